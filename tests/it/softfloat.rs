//! Floats on cores without an FPU: multiply-accumulates of f32 layers on all sorts of numbers, bit
//! for bit as this machine has them.
//!
//! `THUMBNET_FLOATS=1000` draws ten times that many models, each with 60 rows, in place of 600.

use std::env;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use thumbnet_boards::{
    Board, Firmware, Float, Run,
    parity::{Answer, Job, Row},
};
use thumbnet_runtime::{
    Activation, DenseSpec, FloatSpec, LayerSpec, ModelSpec, OutputSpec, Packing, WeightsSpec,
    encode, encoded_len,
};
use thumbnet_tests::qemu::prepare;

const ROWS: usize = 60;

/// A finite float: any, one of few bits, a subnormal one, one near the least or the greatest, zero.
fn float(rng: &mut ChaCha8Rng) -> f32 {
    let word: u32 = rng.random();
    let bits = match rng.random_range(0..9) {
        0 => word,
        1..3 => (word & 0x87FF_FFFF) + 0x3C00_0000,
        3 => word & 0xFFE0_0001,
        4 => word & 0x807F_FFFF >> rng.random_range(0..16),
        5 => word & 0x87FF_FFFF | 0x7800_0000,
        6 => (word & 0x83FF_FFFF) + 0x3E00_0000,
        7 => (word & 0x807F_8000) + (rng.random_range(100..150) << 23),
        _ => word & 0x8000_0000 | [0, 1, 0x007F_FFFF, 0x0080_0000, 0x7F7F_FFFF][word as usize % 5],
    };
    let x = f32::from_bits(bits);
    if x.is_finite() { x } else { float(rng) }
}

/// A number that makes the product with `x` lie near the least or the greatest float.
fn partner(rng: &mut ChaCha8Rng, x: f32) -> f32 {
    let exponent = match rng.random_range(0..4) {
        0 => rng.random_range(253..257),
        _ => rng.random_range(100..135),
    };
    let exponent = (exponent - (x.to_bits() >> 23 & 0xFF) as i32).clamp(0, 254);
    f32::from_bits((exponent as u32) << 23 | rng.random::<u32>() & 0x807F_FFFF)
}

/// One layer or two, on inputs that are left as they are.
fn model(rng: &mut ChaCha8Rng) -> (Vec<u8>, usize, Vec<f32>) {
    let inputs = rng.random_range(1..=6);
    let x: Vec<f32> = (0..ROWS * inputs).map(|_| float(rng)).collect();
    let mut widths = vec![inputs, rng.random_range(1..=30)];
    if rng.random() {
        widths.push(rng.random_range(1..=7));
    }
    let tensors: Vec<(Vec<f32>, Vec<f32>)> = widths
        .windows(2)
        .map(|pair| {
            let weights: Vec<f32> = (0..pair[0] * pair[1])
                .map(|_| match rng.random_range(0..4) {
                    0 => {
                        let x = x[rng.random_range(0..x.len())];
                        partner(rng, x)
                    }
                    _ => float(rng),
                })
                .collect();
            let bias = (0..pair[1]).map(|unit| {
                // Takes most away from the first product of some row, or nothing.
                let row = rng.random_range(0..ROWS);
                let product = -x[row * inputs] * weights[unit * pair[0]];
                let bits = product
                    .to_bits()
                    .wrapping_add_signed(rng.random_range(-2..=2));
                match f32::from_bits(bits) {
                    near if rng.random() && near.is_finite() => near,
                    _ => float(rng),
                }
            });
            let bias = bias.collect();
            (weights, bias)
        })
        .collect();
    let quantize = LayerSpec::Scale {
        inputs,
        scale: &[1.0],
        offset: &[0.0],
        then: FloatSpec::default(),
    };
    let dense = tensors
        .iter()
        .zip(widths.windows(2))
        .map(|((weights, bias), pair)| {
            LayerSpec::Dense(DenseSpec {
                inputs: pair[0],
                units: pair[1],
                packing: Packing::Plain,
                weights: WeightsSpec::Float { weights, bias },
                output: OutputSpec::Float {
                    scales: &[],
                    activation: Activation::Linear,
                    table: None,
                },
            })
        });
    let layers: Vec<LayerSpec> = [quantize].into_iter().chain(dense).collect();
    let spec = ModelSpec {
        layers: &layers,
        ..ModelSpec::default()
    };
    let mut blob = vec![0; encoded_len(&spec).unwrap()];
    encode(&spec, &mut blob).unwrap();
    (blob, inputs, x)
}

/// The bits of the rows, or why there are none.
fn rows(answer: &Answer) -> Vec<Result<Vec<u32>, String>> {
    let Answer::Loaded { rows, .. } = answer else {
        panic!("{answer:?}");
    };
    let bits = |row: &Result<Row, String>| row.clone().map(|row| row.outputs);
    rows.iter().map(bits).collect()
}

fn same_bits(board: Board) {
    let firmware = Firmware {
        float: Float::Soft,
        ..Firmware::release("parity", board)
    };
    let Some((qemu, elf)) = prepare(&firmware) else {
        return;
    };
    let count = env::var("THUMBNET_FLOATS").map_or(60, |count| count.parse().unwrap());
    let mut sums = 0;
    let mut seen = [0; 3];
    for seed in 0..count {
        let rng = &mut ChaCha8Rng::seed_from_u64(seed);
        let models: Vec<_> = (0..10).map(|_| model(rng)).collect();
        let jobs: Vec<Job> = models
            .iter()
            .enumerate()
            .map(|(i, (blob, inputs, x))| Job {
                blob,
                // One of ten lies misaligned and runs by portable code.
                shift: u8::from(i == 9),
                inputs: *inputs,
                x,
            })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let run = Run::new(board, &elf, folder.path());
        let answers = qemu.answer(&run, &jobs).unwrap();
        for (i, (job, found)) in jobs.iter().zip(&answers).enumerate() {
            let (expected, found) = (rows(&job.on_host()), rows(found));
            for (row, (expected, found)) in expected.iter().zip(&found).enumerate() {
                assert_eq!(expected, found, "seed {seed}, model {i}, row {row}");
                let Ok(expected) = expected else {
                    seen[0] += 1;
                    continue;
                };
                for bits in expected {
                    let y = f32::from_bits(*bits);
                    assert!(y.is_finite(), "seed {seed}, model {i}, row {row}: {y}");
                    seen[1] += usize::from(y.is_subnormal());
                    seen[2] += usize::from(y == 0.0);
                }
                sums += expected.len();
            }
        }
    }
    println!(
        "{}: {sums} sums, among them {} subnormal, {} zero; {} rows overflow",
        board.core().name,
        seen[1],
        seen[2],
        seen[0]
    );
    assert!(seen.iter().all(|&count| count > sums / 1000), "{seen:?}");
}

#[test]
fn m0() {
    same_bits(Board::Microbit);
}

#[test]
fn m3() {
    same_bits(Board::Mps2An385);
}

#[test]
fn m4_without_its_fpu() {
    same_bits(Board::Mps2An386);
}
