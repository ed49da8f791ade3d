//! The same bits on this machine and on every core, emulated.
//!
//! `THUMBNET_PARITY=1000x100` draws that many models with that many rows, in place of 50x40.

use std::env;

use thumbnet_boards::{
    Board, Firmware, Float, Run,
    parity::{Answer, Job},
};
use thumbnet_runtime::{Activation, Packing};
use thumbnet_tests::{
    cost::packing,
    fuzz::{TARGETS, changed},
    qemu::{compare, compare_hostile, prepare},
    random_model::{Kind, Limits, RandomModel, chain, random_model},
};

/// Random models for one test.
fn models(limits: &Limits) -> Vec<RandomModel> {
    let wanted = env::var("THUMBNET_PARITY").unwrap_or_else(|_| "50x40".into());
    let (count, rows) = wanted.split_once('x').expect("THUMBNET_PARITY=MODELSxROWS");
    let count: u64 = count.parse().expect("a number of models");
    let rows = rows.parse().expect("a number of rows");
    (0..count)
        .map(|seed| random_model(seed, rows, limits))
        .collect()
}

fn same_bits(board: Board, float: Float, profile: &'static str) {
    let limits = match board {
        // 16 kB of RAM, 128 kB of flash for blobs.
        Board::Microbit => Limits {
            width: 200,
            weights: 8_000,
            packing: None,
        },
        _ => Limits {
            width: 400,
            weights: 30_000,
            packing: None,
        },
    };
    let models = models(&limits);
    let firmware = Firmware {
        float,
        profile,
        ..Firmware::release("parity", board)
    };
    let rows = compare(&firmware, &models);
    println!(
        "{}, {float:?} floats, {profile}: {rows} rows of {} models gave the same bits",
        board.core().name,
        models.len()
    );
}

/// Changed blobs, as many as `THUMBNET_DEVICE_BLOBS` says: 500 where it does not.
#[test]
fn hostile_blobs_do_on_devices_what_they_do_here() {
    let wanted = env::var("THUMBNET_DEVICE_BLOBS").unwrap_or_else(|_| "500".into());
    let count: u64 = wanted.parse().expect("a number of blobs");
    let target = TARGETS.iter().find(|target| target.name == "blob").unwrap();
    let mut seeds = (target.seeds)();
    seeds.retain(|blob| blob.len() < 3_000);
    let blobs: Vec<_> = (0..count)
        .map(|number| changed(target, &seeds, (7 << 50) + number))
        .collect();
    for board in [Board::Microbit, Board::Mps2An386] {
        let Some(seen) = compare_hostile(&Firmware::release("parity", board), &blobs) else {
            return;
        };
        println!("{}: {seen:?}", board.core().name);
        assert!(seen.refused > blobs.len() / 4, "{seen:?}");
        assert!(seen.sound > blobs.len() / 50, "{seen:?}");
    }
}

/// A build without the feature `portable` runs its core's own packing, with the same bits, and says
/// what it refuses.
#[test]
fn without_portable_code_only_the_own_packing_runs() {
    for (board, name) in [
        (Board::Mps2An385, "lane"),
        (Board::Mps2An386, "dsp"),
        (Board::Mps3An547, "mve"),
    ] {
        let own = packing(board);
        for (kind, features) in [
            (Kind::Int8, ""),
            (Kind::Int4, "int4"),
            (Kind::Int16, "int16"),
            (Kind::Float, "f32"),
        ] {
            let firmware = Firmware {
                features,
                ..Firmware::release("parity", board)
            };
            let Some((qemu, elf)) = prepare(&firmware) else {
                return;
            };
            let model = |packing| chain(&[13, 9, 6, 3], kind, packing, Activation::Softmax, 20);
            let models = [own, Packing::Plain, own].map(model);
            let jobs: Vec<Job> = models
                .iter()
                .zip([0, 0, 3])
                .map(|(model, shift)| Job {
                    blob: &model.blob,
                    shift,
                    inputs: model.inputs,
                    x: &model.x,
                })
                .collect();
            let folder = tempfile::tempdir().unwrap();
            let run = Run::new(board, &elf, folder.path());
            let answers = qemu.answer(&run, &jobs).unwrap();
            let refused = Answer::Refused(format!(
                "layer 1: weights are packed as plain, expected {name}; export for this core (thumbnet export --core) and build with its target-cpu, or enable the \
                 feature \"portable\" of thumbnet-runtime"
            ));
            // f32 weights have one packing, which all builds run.
            let second = if kind == Kind::Float {
                jobs[1].on_host()
            } else {
                refused
            };
            assert_eq!(answers[0], jobs[0].on_host(), "{board:?} {kind:?}");
            assert_eq!(answers[1], second, "{board:?} {kind:?}");
            let misaligned = "the tensors lie 3 bytes behind a multiple of 4, expected 0; place the blob at a \
                 multiple of 16, or enable the feature \"portable\" of thumbnet-runtime";
            assert_eq!(
                answers[2],
                Answer::Refused(misaligned.into()),
                "{board:?} {kind:?}"
            );
        }
    }
}

/// Built for Cortex-M7 alone, whose f32 layers multiply and add in one instruction.
#[test]
fn m7f_by_its_name() {
    let firmware = Firmware {
        cpu: Some("cortex-m7"),
        ..Firmware::release("parity", Board::Mps2An500)
    };
    let limits = Limits {
        width: 400,
        weights: 30_000,
        packing: None,
    };
    compare(&firmware, &models(&limits));
}

macro_rules! parity {
    ($($name:ident: $board:ident $float:ident $profile:literal;)*) => {
        $(#[test] fn $name() { same_bits(Board::$board, Float::$float, $profile); })*
    };
}

parity! {
    m0_release: Microbit Soft "release";
    m0_size: Microbit Soft "size";
    m3_release: Mps2An385 Soft "release";
    m3_size: Mps2An385 Soft "size";
    m4_release: Mps2An386 Soft "release";
    m4_size: Mps2An386 Soft "size";
    m4f_release: Mps2An386 Hard "release";
    m4f_size: Mps2An386 Hard "size";
    m7_release: Mps2An500 Soft "release";
    m7_size: Mps2An500 Soft "size";
    m7f_release: Mps2An500 Hard "release";
    m7f_size: Mps2An500 Hard "size";
    m33_release: Mps2An505 Soft "release";
    m33_size: Mps2An505 Soft "size";
    m33f_release: Mps2An505 Hard "release";
    m33f_size: Mps2An505 Hard "size";
    m55_release: Mps3An547 Soft "release";
    m55_size: Mps3An547 Soft "size";
    m55f_release: Mps3An547 Hard "release";
    m55f_size: Mps3An547 Hard "size";
}
