//! Comparing emulated boards with this machine.

use std::{env, path::PathBuf};

use thumbnet_boards::{
    Board, Firmware, Qemu, Run,
    parity::{Answer, Job},
};

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
    for models in batches(firmware, models) {
        let jobs: Vec<Job> = models
            .iter()
            .enumerate()
            .map(|(i, model)| Job {
                blob: &model.blob,
                // Most are aligned, as firmware will have them; the others run by portable code.
                shift: if i % 5 == 4 { 1 + (i / 5 % 3) as u8 } else { 0 },
                inputs: model.inputs,
                x: &model.x,
            })
            .collect();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let run = Run::new(firmware.board, &elf, folder.path());
        let answers = qemu
            .answer(&run, &jobs)
            .unwrap_or_else(|error| panic!("{error}"));
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

/// As many models at once as the board has room for.
fn batches<'a>(firmware: &Firmware, models: &'a [RandomModel]) -> Vec<&'a [RandomModel]> {
    if firmware.board != Board::Microbit {
        return vec![models];
    }
    let (_, room) = firmware.board.spare();
    let mut batches = Vec::new();
    let (mut start, mut taken) = (0, 0);
    for (i, model) in models.iter().enumerate() {
        // With the bytes that it may be shifted by.
        let length = (model.blob.len() + 3).next_multiple_of(16);
        if taken + length > room {
            batches.push(&models[start..i]);
            (start, taken) = (i, 0);
        }
        taken += length;
    }
    batches.push(&models[start..]);
    batches
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
