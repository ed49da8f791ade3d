//! `thumbnet run`: a model's rows on a board, or a program in QEMU with its log.

mod program;
mod rows;

use std::path::PathBuf;

use clap::Args;
use ndarray::{ArrayD, Axis};
use serde_json::json;
use thumbnet_boards::Hardware;
use thumbnet_trainer::{Error, figures::thousands, quantize::DeviceModel};

use super::{
    Failure, Outcome, console,
    data::ColumnArguments,
    firmware::Place,
    fit::Fit,
    models::{device_rows, is_device},
    values,
};
use rows::{Answer, Where};

/// Run a model's rows on a board and compare every bit with this computer, or a firmware's program in QEMU
#[derive(Debug, Args)]
#[command(after_help = "Example: thumbnet run model.tnet --board nucleo-f411re --data iris.csv")]
pub struct Run {
    /// Device model (.tnet), or ELF file of a firmware, such as cargo hands to its runner
    file: PathBuf,
    /// Board, see thumbnet boards; without --probe its machine in QEMU, or that of a board with the same core
    #[arg(long, value_name = "NAME", value_parser = values::board)]
    board: &'static Hardware,
    /// Rows of a model, an array
    #[arg(long, value_name = "FILE.npy", conflicts_with_all = ["data", "target", "features", "drop"])]
    x: Option<PathBuf>,
    /// Rows of a model, a CSV file; a label column is left out
    #[arg(long, value_name = "FILE.csv")]
    data: Option<PathBuf>,
    #[command(flatten)]
    columns: ColumnArguments,
    /// Run on the board itself, by probe-rs and a debug probe: the board is flashed
    #[arg(long)]
    probe: bool,
    /// Count the cycles of each prediction by the core's own counter (not Cortex-M0, M23 and RISC-V)
    #[arg(long, requires = "probe")]
    cycles: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Run {
    pub fn run(&self) -> Outcome {
        let rows = self.data.as_ref().or(self.x.as_ref());
        if !is_device(&self.file)? {
            if rows.is_some() || self.probe || self.json {
                return Err(Failure::usage(format!(
                    "{} is no device model, expected a .tnet file for --data, --x, --probe and --json",
                    self.file.display()
                )));
            }
            return program::run(&self.file, self.board);
        }
        let Some(rows_path) = rows else {
            return Err(Failure::usage(
                "a model runs rows; give them: --data rows.csv or --x rows.npy",
            ));
        };
        let device = DeviceModel::load(&self.file)?;
        let rows = device_rows(&device, &self.file, rows_path, &self.columns)?;
        let (board, place) = self.place()?;
        let values: Vec<f32> = rows.x.iter().copied().collect();
        let answers = answers(&device, board, place, &values)?;
        self.compare(&device, board, &rows.x, &answers)
    }

    /// What is built for, and where it runs.
    fn place(&self) -> Outcome<(&'static Hardware, Where)> {
        let board = self.board;
        if self.probe {
            let place = Place::board(board);
            place.check()?;
            if board.chip.is_none() {
                return Err(Failure::usage(format!(
                    "{} is there in QEMU only; leave --probe out",
                    board.name
                )));
            }
            if self.cycles && !place.counts_cycles() {
                return Err(Failure::usage(format!(
                    "the {} of {} has no counter of cycles; leave --cycles out",
                    place.core.name, board.name
                )));
            }
            return Ok((
                board,
                Where::Probe {
                    cycles: self.cycles,
                },
            ));
        }
        Ok((machine(board)?, Where::Qemu))
    }

    /// Says how many rows gave the same bits.
    fn compare(
        &self,
        device: &DeviceModel,
        board: &Hardware,
        x: &ArrayD<f32>,
        answers: &[Answer],
    ) -> Outcome {
        let expected = device.predict(x)?;
        let host: Vec<Vec<u32>> = expected
            .axis_iter(Axis(0))
            .map(|row| row.iter().map(|value| value.to_bits()).collect())
            .collect();
        let differing = host
            .iter()
            .zip(answers)
            .position(|(host, answer)| *host != answer.bits);
        let same = host.iter().zip(answers);
        let same = same.filter(|(host, answer)| **host == answer.bits).count();
        let runs_on = match self.probe {
            true => board.full_name.to_string(),
            false => format!("{} in QEMU", board.name),
        };
        let cycles: Option<Vec<u32>> = self
            .cycles
            .then(|| answers.iter().map(|answer| answer.cycles).collect());
        if self.json {
            let bits: Vec<&[u32]> = answers.iter().map(|answer| &*answer.bits).collect();
            console::print_json(&json!({
                "board": board.name,
                "on": if self.probe { "board" } else { "QEMU" },
                "rows": host.len(),
                "same": same,
                "bits": bits,
                "cycles": cycles,
            }))?;
        } else {
            let rows = thousands(host.len());
            console::print(&format!(
                "{runs_on}: {} of {rows} rows gave the same bits as on this computer\n",
                thousands(same)
            ))?;
            if let Some((least, most)) = cycles
                .as_ref()
                .and_then(|cycles| Some((cycles.iter().min()?, cycles.iter().max()?)))
            {
                console::print(&format!(
                    "cycles of a prediction: {} to {}, at the clock that the chip starts with\n",
                    thousands(*least as usize),
                    thousands(*most as usize)
                ))?;
            }
        }
        match differing {
            None => Ok(()),
            Some(row) => Err(Error::value(format!(
                "row {} differs: {:08x?} on the board, {:08x?} on this computer; please report this",
                row + 1,
                answers[row].bits,
                host[row]
            ))
            .into()),
        }
    }
}

/// The board whose machine QEMU has for one.
fn machine(board: &'static Hardware) -> Outcome<&'static Hardware> {
    let emulated = board.emulated().ok_or_else(|| {
        Failure::usage(format!(
            "QEMU has no machine with the core of {}; run on the board with --probe",
            board.name
        ))
    })?;
    if emulated.name != board.name {
        console::note(&format!(
            "note: QEMU has no machine like {}: emulated is {}, a {}",
            board.name,
            emulated.name,
            emulated.core().name
        ));
    }
    Ok(emulated)
}

/// All rows, as many at once as the flash has room for.
fn answers(
    device: &DeviceModel,
    board: &'static Hardware,
    place: Where,
    values: &[f32],
) -> Outcome<Vec<Answer>> {
    let target = Place::board(board);
    let fit = Fit::of(device, &target);
    let row = 4 * device.inputs().max(1);
    let at_once = fit.flash_left() / row;
    if !fit.fits() || at_once == 0 {
        return Err(Error::value(fit.refusal(None)).into());
    }
    let mut answers = Vec::new();
    for part in values.chunks(at_once * device.inputs().max(1)) {
        answers.extend(rows::run(device, board, place, part)?);
    }
    Ok(answers)
}

/// Runs rows on the machine that QEMU has for a board: its name, and the bits of the outputs of each.
///
/// # Errors
///
/// Those of `thumbnet run`.
pub fn emulated(
    device: &DeviceModel,
    board: &'static Hardware,
    values: &[f32],
) -> Outcome<(&'static str, Vec<Vec<u32>>)> {
    let board = machine(board)?;
    let answers = answers(device, board, Where::Qemu, values)?;
    let bits = answers.into_iter().map(|answer| answer.bits);
    Ok((board.name, bits.collect()))
}
