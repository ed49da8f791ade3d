//! Comparing emulated boards with this machine.

use std::{
    env,
    ops::Range,
    path::{Path, PathBuf},
};

use thumbnet_boards::{
    Board, Firmware, Qemu, Run,
    parity::{Answer, Job},
};

use thumbnet_runtime::Model;

use crate::random_model::RandomModel;

/// Builds a firmware and finds QEMU. `None`, with a line that says why, where this machine has not
/// got what it takes; `THUMBNET_REQUIRE_QEMU` makes that a failure.
pub fn prepare(firmware: &Firmware) -> Option<(Qemu, PathBuf)> {
    match Qemu::find().and_then(|qemu| Ok((qemu, firmware.build()?))) {
        Ok(ready) => Some(ready),
        Err(
            error @ (thumbnet_boards::Error::Missing(_) | thumbnet_boards::Error::MissingTarget(_)),
        ) if env::var_os("THUMBNET_REQUIRE_QEMU").is_none() => {
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Predicts the models' rows on a board and on this machine, and compares every bit, the texts of
/// errors and the self-tests. Returns the number of rows that were compared.
pub fn compare(firmware: &Firmware, models: &[RandomModel]) -> usize {
    let Some((qemu, elf)) = prepare(firmware) else {
        return 0;
    };
    let mut rows = 0;
    for range in batches(firmware.board, models.iter().map(|model| model.blob.len())) {
        let models = &models[range];
        let jobs: Vec<Job> = models
            .iter()
            .enumerate()
            .map(|(i, model)| Job {
                blob: &model.blob,
                shift: shift(i),
                inputs: model.inputs,
                x: &model.x,
            })
            .collect();
        let answers = answers(&qemu, firmware.board, &elf, &jobs);
        for ((job, model), found) in jobs.iter().zip(models).zip(&answers) {
            let expected = job.on_host();
            if *found != expected {
                panic!(
                    "{firmware:?}, {}:\n{}",
                    model.description,
                    difference(&expected, found)
                );
            }
            if let Answer::Loaded { rows: all, .. } = expected {
                rows += all.len();
            }
        }
    }
    rows
}

/// Bytes behind an aligned address: most are aligned, as firmware will have them; the others run by portable code.
fn shift(index: usize) -> u8 {
    if index % 5 == 4 {
        1 + (index / 5 % 3) as u8 // at most 3
    } else {
        0
    }
}

fn answers(qemu: &Qemu, board: Board, elf: &Path, jobs: &[Job]) -> Vec<Answer> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = Run::new(board, elf, folder.path());
    let found = qemu.answer(&run, jobs);
    found.unwrap_or_else(|error| panic!("{error}"))
}

/// Places of blobs of these lengths, as many at once as the board has room for.
fn batches(board: Board, lengths: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let (_, room) = board.spare();
    let mut batches = Vec::new();
    let (mut start, mut end, mut taken) = (0, 0, 0);
    for length in lengths {
        // With the bytes that it may be shifted by.
        let length = (length + 3).next_multiple_of(16);
        if taken + length > room {
            batches.push(start..end);
            (start, taken) = (end, 0);
        }
        taken += length;
        end += 1;
    }
    batches.push(start..end);
    batches
}

/// What became of blobs on a board and on this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hostile {
    /// Refused by both, with the same text.
    pub refused: usize,
    /// With weights that [`Model::verify_weights`] refuses: loaded by both, and run on the board.
    pub lying: usize,
    /// Loaded by both, with the same bits.
    pub sound: usize,
    /// Loaded by this machine, and too large for the board's RAM.
    pub too_large: usize,
}

/// Gives blobs to a board, whatever they are, and compares what it makes of them with this machine.
///
/// # Panics
///
/// Where the two differ, and where the firmware panics, faults or hangs.
pub fn compare_hostile(firmware: &Firmware, blobs: &[Vec<u8>]) -> Option<Hostile> {
    /// Words of scratch memory and outputs that every board has room for.
    const WORDS: usize = 1500;
    let (qemu, elf) = prepare(firmware)?;
    let mut seen = Hostile::default();
    let model = |blob: &[u8]| {
        Model::from_bytes(blob).map(|model: Model| {
            let words = model.scratch_len() + model.inputs() + model.outputs();
            (model.inputs(), words, model.verify_weights().is_ok())
        })
    };
    let models: Vec<_> = blobs.iter().map(|blob| (blob, model(blob).ok())).collect();
    let fits =
        |(_, model): &&(_, Option<(_, usize, _)>)| model.is_none_or(|(_, words, _)| words <= WORDS);
    let models: Vec<_> = models.iter().filter(fits).collect();
    seen.too_large = blobs.len() - models.len();
    let row: Vec<f32> = (0..WORDS).map(|i| (i as f32 * 0.7).sin() * 40.0).collect();
    for range in batches(firmware.board, models.iter().map(|(blob, _)| blob.len())) {
        let models = &models[range];
        let jobs: Vec<Job> = models
            .iter()
            .enumerate()
            .map(|(i, (blob, model))| {
                let inputs = model.map_or(1, |(inputs, _, _)| inputs);
                Job {
                    blob,
                    shift: shift(i),
                    inputs,
                    x: &row[..inputs],
                }
            })
            .collect();
        let answers = answers(&qemu, firmware.board, &elf, &jobs);
        for ((job, (_, model)), found) in jobs.iter().zip(models).zip(&answers) {
            let expected = job.on_host();
            let count = match model {
                None => &mut seen.refused,
                Some((_, _, true)) => &mut seen.sound,
                Some((_, _, false)) => &mut seen.lying,
            };
            *count += 1;
            let same = match model {
                Some((_, _, false)) => matches!(found, Answer::Loaded { .. }),
                _ => *found == expected,
            };
            assert!(
                same,
                "{firmware:?}, {:x?}:\n{}",
                job.blob,
                difference(&expected, found)
            );
        }
    }
    Some(seen)
}

/// The first thing that differs.
fn difference(expected: &Answer, found: &Answer) -> String {
    if let (
        Answer::Loaded {
            rows: a,
            self_test: s,
            ..
        },
        Answer::Loaded {
            rows: b,
            self_test: t,
            ..
        },
    ) = (expected, found)
    {
        let differing: Vec<usize> = (0..a.len()).filter(|&row| a[row] != b[row]).collect();
        if let Some(&row) = differing.first() {
            return format!(
                "{} of {} rows differ, the first is {row}: host {:x?}, device {:x?}; \
                 self-test on the host {s:?}, on the device {t:?}",
                differing.len(),
                a.len(),
                a[row],
                b[row]
            );
        }
    }
    format!("host {expected:?}, device {found:?}")
}
