//! The same bits, or the same error, on every core for rows that no sensor gives and for models that
//! someone made wrong.

use std::{fs, path::Path};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use thumbnet_boards::{
    Board, Firmware, Float,
    parity::{Answer, Job},
};
use thumbnet_runtime::{Model, Packing};
use thumbnet_tests::{
    qemu::compare,
    random_model::{Limits, RandomModel, random_model},
};
use thumbnet_trainer::{
    Sequential,
    dataset::read_array,
    quantize::{DataType, LayerTypes, QuantizeOptions, compare as against_float, quantize},
};

/// Magnitudes of a row's values: nothing, subnormal, ordinary, saturating, about to overflow.
const MAGNITUDES: [f32; 9] = [0.0, 1e-45, 1e-39, 1e-30, 1.0, 1e30, 1e36, 1e38, f32::MAX];

fn golden(folder: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(folder)
}

/// Rows of one magnitude each, and a few with all of them.
fn extreme_rows(inputs: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let value = |magnitude: f32, rng: &mut ChaCha8Rng| match rng.random_range(0..4) {
        0 => magnitude,
        1 => -magnitude,
        _ => magnitude * rng.random_range(-1.0f32..1.0),
    };
    let mut rows = Vec::new();
    for magnitude in MAGNITUDES {
        rows.extend((0..inputs).map(|_| value(magnitude, rng)));
    }
    for _ in 0..3 {
        rows.extend((0..inputs).map(|_| {
            let magnitude = MAGNITUDES[rng.random_range(0..MAGNITUDES.len())];
            value(magnitude, rng)
        }));
    }
    rows
}

/// Random models of all types and widths.
fn random_models(count: u64, limits: &Limits) -> Vec<RandomModel> {
    let models = (0..count).map(|seed| {
        let mut model = random_model(5000 + seed, 1, limits);
        model.x = extreme_rows(model.inputs, &mut ChaCha8Rng::seed_from_u64(seed));
        model
    });
    models.collect()
}

/// Models with damaged numbers that verify.
fn damaged_models() -> Vec<RandomModel> {
    let mut models = Vec::new();
    for entry in fs::read_dir(golden("hostile")).unwrap() {
        let path = entry.unwrap().path();
        let blob = fs::read(&path).unwrap();
        let Ok(model) = Model::<16>::from_bytes(&blob) else {
            continue;
        };
        let inputs = model.inputs();
        if model.verify_weights().is_err() || inputs > 400 {
            continue;
        }
        models.push(RandomModel {
            description: path.display().to_string(),
            inputs,
            x: extreme_rows(inputs, &mut ChaCha8Rng::seed_from_u64(1)),
            blob,
        });
    }
    models
}

/// Layers of one input, whose sums have steps as coarse as the outputs'.
fn one_input_models() -> Vec<RandomModel> {
    let mut models = Vec::new();
    for name in ["rnd06", "st16"] {
        let file = |end: &str| golden("one_input").join(format!("{name}.{end}"));
        let model = Sequential::load(file("h5")).unwrap();
        let rows = read_array(&file("cal.npy")).unwrap();
        for packing in [Packing::Plain, Packing::Dsp, Packing::Lane, Packing::Mve] {
            let options = QuantizeOptions {
                types: LayerTypes::All(DataType::Int4),
                packing,
                ..QuantizeOptions::default()
            };
            let device = quantize(&model, &rows, &options).unwrap().device;
            models.push(RandomModel {
                description: format!("{name} {packing:?}"),
                blob: device.bytes().to_vec(),
                inputs: device.inputs(),
                x: rows.iter().copied().collect(),
            });
        }
    }
    models
}

fn same_bits(board: Board, float: Float) {
    let small = board == Board::Microbit;
    let limits = Limits {
        width: if small { 100 } else { 300 },
        weights: if small { 4_000 } else { 20_000 },
        packing: None,
    };
    let mut models = random_models(if small { 20 } else { 40 }, &limits);
    models.extend(damaged_models());
    models.extend(one_input_models());
    let firmware = Firmware {
        float,
        ..Firmware::release("parity", board)
    };
    let rows = compare(&firmware, &models);
    println!(
        "{}, {float:?} floats: {rows} rows of {} models gave the same bits or the same error",
        board.core().name,
        models.len()
    );
}

macro_rules! extremes {
    ($($name:ident: $board:ident $float:ident;)*) => {
        $(#[test] fn $name() { same_bits(Board::$board, Float::$float); })*
    };
}

extremes! {
    m0: Microbit Soft;
    m3: Mps2An385 Soft;
    m4: Mps2An386 Soft;
    m4f: Mps2An386 Hard;
    m7f: Mps2An500 Hard;
    m33: Mps2An505 Soft;
    m33f: Mps2An505 Hard;
    m55: Mps3An547 Soft;
    m55f: Mps3An547 Hard;
}

#[test]
fn a_float_layer_that_overflows_says_so() {
    let limits = Limits {
        width: 60,
        weights: 2_000,
        packing: None,
    };
    let (mut overflown, mut fine) = (0, 0);
    for model in random_models(200, &limits) {
        let job = Job {
            blob: &model.blob,
            shift: 0,
            inputs: model.inputs,
            x: &model.x,
        };
        let Answer::Loaded { rows, .. } = job.on_host() else {
            panic!("{}: refused", model.description);
        };
        for row in rows {
            match row {
                Ok(row) => {
                    fine += 1;
                    assert!(
                        row.outputs
                            .iter()
                            .all(|bits| f32::from_bits(*bits).is_finite()),
                        "{}",
                        model.description
                    );
                }
                Err(error) => {
                    overflown += 1;
                    assert!(
                        error.contains("beyond the range of f32")
                            || error.contains("not finite once scaled"),
                        "{error}"
                    );
                }
            }
        }
    }
    assert!(overflown > 20 && fine > 1000, "{overflown} of {fine}");
}

#[test]
fn int4_layers_of_one_input_follow_the_float_model() {
    for name in ["rnd06", "st16"] {
        let file = |end: &str| golden("one_input").join(format!("{name}.{end}"));
        let model = Sequential::load(file("h5")).unwrap();
        let rows = read_array(&file("cal.npy")).unwrap();
        let mut errors = Vec::new();
        for data_type in [DataType::Int4, DataType::Int8, DataType::Float32] {
            let options = QuantizeOptions {
                types: LayerTypes::All(data_type),
                ..QuantizeOptions::default()
            };
            let device = quantize(&model, &rows, &options).unwrap().device;
            let found = against_float(&model, &device, &rows, None).unwrap();
            errors.push(found.mean_difference);
        }
        println!("{name}: mean differences in int4, int8, float32 {errors:?}");
        // Four bits of weights; with wrapped products it was 0.43 on some cores.
        assert!(errors[0] < 0.02 && errors[1] < 0.005, "{name}: {errors:?}");
    }
}
