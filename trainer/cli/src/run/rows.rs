//! A model's rows on a board, in QEMU or by a debug probe, and what came out.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
};

use thumbnet_boards::{Hardware, Qemu, log::Log, project};
use thumbnet_trainer::{Error, quantize::DeviceModel};

use super::super::{
    Failure, Outcome,
    firmware::{Firmware, Place, Program, Samples, Source},
};

/// Name of the firmware's package.
const NAME: &str = "thumbnet-rows";

/// Where the rows run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Where {
    Qemu,
    /// On the board, by probe-rs.
    Probe {
        cycles: bool,
    },
}

/// What a board said about a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The bits of the outputs.
    pub bits: Vec<u32>,
    /// Cycles of the prediction, 0 where they are not counted.
    pub cycles: u32,
}

/// Builds firmware with these rows in it, runs it, and reads its log.
///
/// # Errors
///
/// Where it does not build, the emulator or probe-rs is missing, or the program ends before the last row.
pub fn run(
    device: &DeviceModel,
    board: &Hardware,
    place: Where,
    rows: &[f32],
) -> Outcome<Vec<Answer>> {
    let io = |error| Error::io(std::env::temp_dir(), error);
    let temporary = tempfile::tempdir().map_err(io)?;
    let folder = fs::canonicalize(temporary.path()).map_err(io)?;
    let firmware = Firmware {
        name: NAME.to_string(),
        place: &Place::board(board),
        device,
        samples: &Samples {
            names: Vec::new(),
            rows: Vec::new(),
            origin: String::new(),
        },
        source: &Source::own(),
        program: Program::Rows {
            cycles: place == Where::Probe { cycles: true },
        },
    };
    firmware.write(&folder)?;
    let path = folder.join("rows.bin");
    let bytes: Vec<u8> = rows.iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::write(&path, bytes).map_err(|error| Error::io(&path, error))?;
    let features: &[&str] = match (place, board.machine) {
        (Where::Probe { .. }, Some(_)) => &["--no-default-features"],
        _ => &[],
    };
    let elf = project::build(&folder, NAME, board.target().triple, features)?;
    let expected = rows.len() / device.inputs().max(1);
    match place {
        Where::Qemu => {
            let bytes = fs::read(&elf).map_err(|error| Error::io(&elf, error))?;
            let qemu = Qemu::find_for(board)?;
            let command = qemu.program(board, &elf).expect("it is emulated");
            let mut log = Log::new(&bytes).expect("it logs by defmt");
            let decode = |bytes: &[u8]| log.push(bytes);
            answers(command, decode, expected)
        }
        Where::Probe { .. } => {
            let mut command = Command::new("probe-rs");
            command
                .args(["run", "--chip", board.chip.unwrap_or_default()])
                .arg(&elf);
            let mut text = Vec::new();
            let decode = |bytes: &[u8]| {
                text.extend(bytes);
                lines(&mut text)
            };
            answers(command, decode, expected)
        }
    }
}

/// Takes whole lines off the front.
fn lines(text: &mut Vec<u8>) -> Vec<String> {
    let end = text.iter().rposition(|&byte| byte == b'\n');
    let Some(end) = end else { return Vec::new() };
    let taken: Vec<u8> = text.drain(..=end).collect();
    let taken = String::from_utf8_lossy(&taken);
    taken.lines().map(str::to_string).collect()
}

/// Runs a program that prints a log, up to the log's end; `decode` turns what was read into whole lines.
fn answers(
    mut command: Command,
    mut decode: impl FnMut(&[u8]) -> Vec<String>,
    expected: usize,
) -> Outcome<Vec<Answer>> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let program = Path::new(command.get_program()).to_path_buf();
    let mut child = command.spawn().map_err(|source| match program.ends_with("probe-rs") {
        true => Failure::Error(Error::value(format!(
            "probe-rs could not be started ({source}); install it from https://probe.rs, or leave --probe out to run in QEMU"
        ))),
        false => Error::io(&program, source).into(),
    })?;
    let mut output = child.stdout.take().expect("it was just piped");
    let mut answers = Vec::new();
    let mut last = String::new();
    let mut buffer = [0; 4096];
    let ended = 'reading: loop {
        let count = match output.read(&mut buffer) {
            Ok(0) | Err(_) => break false,
            Ok(count) => count,
        };
        for line in decode(&buffer[..count]) {
            match Line::of(&line) {
                Line::Row(index, answer) if index == answers.len() => answers.push(answer),
                Line::Row(..) => last = format!("a row out of order: {line}"),
                Line::End => break 'reading true,
                Line::Other if line.trim().is_empty() => {}
                Line::Other => last = line,
            }
        }
    };
    // On a board the program stays where it is, and so does probe-rs.
    let _ = child.kill();
    let status = child.wait();
    if ended && answers.len() == expected {
        return Ok(answers);
    }
    let how = match (ended, status) {
        (true, _) => "the program ended".to_string(),
        (false, Ok(status)) => format!("{} ended with {status}", program.display()),
        (false, Err(error)) => format!("{}: {error}", program.display()),
    };
    Err(Error::value(format!(
        "{how} after {} of {expected} rows; its last words: {}",
        answers.len(),
        match last.trim_end_matches('.') {
            "" => "none",
            words => words,
        }
    ))
    .into())
}

/// A line of the log, whatever stands around the message.
#[derive(Debug, PartialEq)]
enum Line {
    Row(usize, Answer),
    End,
    Other,
}

impl Line {
    fn of(line: &str) -> Self {
        if line.contains("thumbnet end") {
            return Self::End;
        }
        Self::row(line).unwrap_or(Self::Other)
    }

    fn row(line: &str) -> Option<Self> {
        let (_, row) = line.split_once("thumbnet row ")?;
        let (index, row) = row.split_once(" cycles ")?;
        let (cycles, row) = row.split_once(" bits [")?;
        let (bits, _) = row.split_once(']')?;
        let bits = bits.split(',').map(|bits| bits.trim().parse().ok());
        Some(Self::Row(
            index.parse().ok()?,
            Answer {
                bits: bits.collect::<Option<_>>()?,
                cycles: cycles.parse().ok()?,
            },
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_found_in_whatever_a_log_puts_around_it() {
        let row = Line::Row(
            7,
            Answer {
                bits: vec![0, 1_065_353_216],
                cycles: 812,
            },
        );
        for line in [
            "thumbnet row 7 cycles 812 bits [0, 1065353216]",
            "0.000123 thumbnet row 7 cycles 812 bits [0, 1065353216] (main.rs:41)\r",
        ] {
            assert_eq!(Line::of(line), row);
        }
        assert_eq!(Line::of("  thumbnet end"), Line::End);
        for line in [
            "",
            "thumbnet row 7 cycles 812 bits [0, 106",
            "thumbnet row x cycles 1 bits [0]",
        ] {
            assert_eq!(Line::of(line), Line::Other, "{line}");
        }
    }

    #[test]
    fn lines_are_taken_when_they_are_whole() {
        let mut text = b"a\nb\r\nc".to_vec();
        assert_eq!(lines(&mut text), ["a", "b"]);
        assert_eq!(lines(&mut text), [""; 0]);
        assert_eq!(text, b"c");
    }
}
