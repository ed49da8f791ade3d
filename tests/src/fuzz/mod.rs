//! Hostile inputs for everything that reads a file: what is accepted must predict, what is refused must say so in a
//! line, and nothing may panic, hang, or take more memory than 64 MiB and eight times the file.
//!
//! `tests/tests/fuzz.rs` runs each target for a while with mutations of its own, on stable Rust; `tests/fuzz` hands the
//! same functions to libFuzzer.

mod blob;
mod mutate;
mod readers;

use std::{
    env, fs,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use crate::golden::guarded;

/// Something that reads bytes.
pub struct Target {
    /// What it is called, here and in `tests/fuzz`.
    pub name: &'static str,
    /// Sound inputs, and odd ones.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Changes an input; the result may be as sound as before.
    pub mutate: fn(&mut Vec<u8>, &mut ChaCha8Rng),
    /// Reads an input and uses what was read. Whether it was accepted. Panics where anything is wrong.
    pub run: fn(&[u8]) -> bool,
    /// Inputs of a run of `tests/run`.
    pub inputs: u64,
}

/// All of them.
pub const TARGETS: [Target; 8] = [
    Target {
        name: "blob",
        seeds: blob::seeds,
        mutate: blob::mutate,
        run: blob::run,
        inputs: 200_000,
    },
    Target {
        name: "h5",
        seeds: || {
            readers::seeds(
                &["cases", "axes", "odd", "positions", "layers_around"],
                ".h5",
            )
        },
        mutate: mutate::bytes,
        run: readers::h5,
        inputs: 4_000,
    },
    Target {
        name: "keras",
        seeds: || readers::seeds(&["cases", "axes", "activations", "layers_around"], ".keras"),
        mutate: mutate::archive,
        run: readers::keras,
        inputs: 2_000,
    },
    Target {
        name: "weights",
        seeds: || readers::seeds(&["cases"], ".weights.h5"),
        mutate: mutate::bytes,
        run: readers::weights,
        inputs: 4_000,
    },
    Target {
        name: "npy",
        seeds: || readers::seeds(&["cases", "tflite", "arrays"], ".npy"),
        mutate: mutate::bytes,
        run: readers::npy,
        inputs: 20_000,
    },
    Target {
        name: "csv",
        seeds: || readers::seeds(&["csv", "tables"], ".csv"),
        mutate: mutate::text,
        run: readers::csv,
        inputs: 4_000,
    },
    Target {
        name: "json",
        seeds: readers::json_seeds,
        mutate: mutate::json,
        run: readers::json,
        inputs: 10_000,
    },
    Target {
        name: "tflite",
        seeds: || readers::seeds(&["tflite"], ".tflite"),
        mutate: mutate::bytes,
        run: readers::tflite,
        inputs: 10_000,
    },
];

/// The one of that name.
pub fn target(name: &str) -> &'static Target {
    static ALL: [Target; 8] = TARGETS;
    let found = ALL.iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("there is no target {name}"))
}

/// What a run has seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Inputs.
    pub inputs: u64,
    /// Those that were accepted.
    pub accepted: u64,
    /// The longest time that one took.
    pub slowest: Duration,
}

/// Mutates seeds of a target and runs it: as many inputs as it says times `THUMBNET_FUZZ` (1), from the seed
/// `THUMBNET_FUZZ_SEED` (0) on. An input that fails is kept in the folder for temporary files and named.
pub fn seeded(target: &Target) -> Seen {
    let variable = |name| env::var(name).ok().and_then(|text| text.parse().ok());
    let count = target.inputs * variable("THUMBNET_FUZZ").unwrap_or(1);
    let first = variable("THUMBNET_FUZZ_SEED").unwrap_or(0u64);
    let seeds = (target.seeds)();
    let mut seen = Seen::default();
    let mut check = |bytes: &[u8]| {
        let start = Instant::now();
        let accepted = guarded(|| (target.run)(bytes)).unwrap_or_else(|what| {
            let path = env::temp_dir().join(format!("thumbnet-fuzz-{}", target.name));
            let kept = fs::write(&path, bytes).map(|()| path);
            panic!("{}: {what:.500}; the input is {kept:?}", target.name)
        });
        seen.inputs += 1;
        seen.accepted += u64::from(accepted);
        seen.slowest = seen.slowest.max(start.elapsed());
    };
    for seed in &seeds {
        check(seed);
    }
    for number in 0..count {
        check(&changed(
            target,
            &seeds,
            first.wrapping_mul(1 << 40) + number,
        ));
    }
    seen
}

/// The input of that number.
///
/// # Panics
///
/// Without seeds.
pub fn changed(target: &Target, seeds: &[Vec<u8>], number: u64) -> Vec<u8> {
    assert!(seeds.len() > 4, "{}: {} seeds", target.name, seeds.len());
    let rng = &mut ChaCha8Rng::seed_from_u64(number);
    let mut bytes = seeds.choose(rng).expect("there are some").clone();
    for _ in 0..rng.random_range(1..=4) {
        (target.mutate)(&mut bytes, rng);
    }
    if rng.random_range(0..20) == 0 {
        mutate::splice(&mut bytes, seeds.choose(rng).expect("there are some"), rng);
    }
    bytes
}
