//! The layers around dense ones on the device: Keras' files and random models of them follow the float model on
//! rows that they were not calibrated with, with the same bits on every core.

use std::path::PathBuf;

use ndarray::{ArrayD, IxDyn};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use thumbnet_boards::{Board, Firmware, Float, Run, parity::Answer, parity::Job};
use thumbnet_runtime::Packing;
use thumbnet_tests::{
    cost::packing,
    golden,
    qemu::{compare, prepare},
    random_model::RandomModel,
};
use thumbnet_trainer::Sequential;
use thumbnet_trainer::layers::{
    Dense, Flatten, GlobalMaxPooling1D, GlobalMaxPooling2D, GroupNormalization, Input, Layer,
    LayerNormalization, MaxPooling1D, MaxPooling2D, PReLU, Padding, RMSNormalization, ReLU,
    Softmax, UnitNormalization,
};
use thumbnet_trainer::quantize::{LayerTypes, QuantizeOptions, Quantized, quantize};
use thumbnet_trainer::saving::Loaded;

use crate::layers_around;

/// Files of `golden/model_files`, with how far int8 may be from float: root mean square over the deviation of the
/// outputs.
const FILES: [(&str, f64); 11] = [
    ("u_dense3d_flatten.keras", 0.01),
    ("u_dense_before_flatten_img.keras", 0.028),
    ("u_gap1d.keras", 0.011),
    ("u_groupnorm.keras", 0.018),
    ("u_layernorm.keras", 0.015),
    ("u_layernorm_first.keras", 0.016),
    ("u_prelu.keras", 0.02),
    ("u_rmsnorm.keras", 0.015),
    ("u_softmax_hidden.keras", 0.021),
    ("u_timedistributed.keras", 0.013),
    ("u_unitnorm_out.keras", 0.016),
];

fn rows(count: usize, shape: &[usize], seed: u64) -> ArrayD<f32> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let shape = [&[count], shape].concat();
    ArrayD::from_shape_simple_fn(IxDyn(&shape), || {
        // Not far from a normal distribution.
        (0..4).map(|_| rng.random_range(-1.0..1.0f32)).sum()
    })
}

/// For a core, calibrated with 500 rows.
fn exported(model: &Sequential, packing: Packing) -> Quantized {
    let shape = model.input_shape().expect("a built model");
    let options = QuantizeOptions {
        packing,
        ..QuantizeOptions::default()
    };
    quantize(model, &rows(500, shape, 1), &options).expect("a blob")
}

/// On 500 other rows.
fn relative_error(model: &Sequential, quantized: &Quantized) -> f64 {
    let shape = model.input_shape().expect("a built model");
    let x = rows(500, shape, 2);
    let float = model.predict(&x).expect("predictions");
    let found = quantized.device.predict(&x).expect("finite rows");
    let count = float.len() as f64;
    let mean = float.iter().map(|y| f64::from(*y)).sum::<f64>() / count;
    let deviation = float
        .iter()
        .map(|y| (f64::from(*y) - mean).powi(2))
        .sum::<f64>();
    let pairs = float.iter().zip(&found);
    let squares = pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
    (squares / deviation).sqrt()
}

fn file(name: &str) -> PathBuf {
    golden::root().join("model_files").join(name)
}

#[test]
fn files_follow_float_on_rows_not_seen() {
    let mut wrong = Vec::new();
    for (name, most) in FILES {
        let model = Loaded::read(file(name)).expect("Keras' file").model;
        let quantized = exported(&model, Packing::Dsp);
        let error = relative_error(&model, &quantized);
        if error > most {
            wrong.push(format!("{name}: {error:.4}, expected at most {most}"));
        }
        // Nothing is proven through a deviation.
        let normalizes = name.contains("norm");
        assert_eq!(quantized.report.error_bound.is_none(), normalizes, "{name}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Samples of `shape` through a layer in the middle, and through another one at the end.
fn network(shape: &[usize], middle: Layer, last: Option<Layer>) -> Sequential {
    let mut model = Sequential::new().with_seed(11);
    model.add(Input::new(shape)).expect("an input");
    model.add(Dense::new(6)).expect("a layer");
    model.add(middle).expect("a layer");
    model.add(ReLU::new()).expect("a layer");
    model.add(Flatten::new()).expect("a layer");
    model.add(Dense::new(5)).expect("a layer");
    if let Some(last) = last {
        model.add(last).expect("a layer");
    }
    // Keras begins with scales of 1 and offsets of 0.
    let rng = &mut ChaCha8Rng::seed_from_u64(12);
    let mut weights = model.get_weights();
    for weight in weights
        .iter_mut()
        .filter(|weight| weight.ndim() < 2 || weight.len() < 28)
    {
        weight.mapv_inplace(|w| w + rng.random_range(-0.4..0.4));
    }
    model.set_weights(&weights).expect("of the same shapes");
    model
}

/// Every kind over every axis, in all types.
#[test]
fn layers_of_every_kind_follow_float() {
    let layer = |axis: &[i64]| LayerNormalization {
        axis: axis.to_vec(),
        ..LayerNormalization::new()
    };
    let unit = |axis: &[i64]| UnitNormalization {
        axis: axis.to_vec(),
        ..UnitNormalization::new()
    };
    let groups = |groups: usize, axis: i64| GroupNormalization {
        axis,
        ..GroupNormalization::new(groups)
    };
    let mut same = MaxPooling1D::new([3]);
    (same.strides, same.padding) = ([2], Padding::Same);
    let kinds: Vec<(&[usize], Layer)> = vec![
        (&[7], layer(&[-1]).into()),
        (&[4, 3], layer(&[-1]).into()),
        (&[4, 3], layer(&[1]).into()),
        (&[4, 3], layer(&[2, 1]).into()),
        (&[2, 5, 3], layer(&[2]).into()),
        (&[2, 5, 3], layer(&[1, 3]).into()),
        (&[7], RMSNormalization::new().into()),
        (&[4, 3], RMSNormalization::new().into()),
        (&[7], unit(&[-1]).into()),
        (&[4, 3], unit(&[1]).into()),
        (&[7], groups(3, -1).into()),
        (&[4, 3], groups(2, -1).into()),
        (&[4, 3], groups(2, 1).into()),
        (&[2, 5, 3], groups(3, -1).into()),
        (&[7], PReLU::new().into()),
        (&[4, 3], PReLU::new().into()),
        (
            &[4, 3],
            PReLU {
                shared_axes: vec![1],
                ..PReLU::new()
            }
            .into(),
        ),
        (&[7], Softmax::new().into()),
        (&[7, 3], MaxPooling1D::new([2]).into()),
        (&[7, 3], same.into()),
        (&[4, 3], GlobalMaxPooling1D::new().into()),
        (&[4, 6, 3], MaxPooling2D::new([2, 3]).into()),
        (&[2, 5, 3], GlobalMaxPooling2D::new().into()),
    ];
    let mut lasts = [
        None,
        Some(layer(&[-1]).into()),
        Some(UnitNormalization::new().into()),
        Some(PReLU::new().into()),
    ]
    .into_iter()
    .cycle();
    let mut wrong = Vec::new();
    for (shape, middle) in kinds {
        let name = format!("{shape:?} {}", middle.class_name());
        let model = network(shape, middle, lasts.next().flatten());
        for (dtype, most) in [
            ("float32", 2e-6),
            ("int16x8", 0.02),
            ("int8", 0.05),
            ("int4", 0.4),
        ] {
            let options = QuantizeOptions {
                types: LayerTypes::All(dtype.parse().expect("a type")),
                ..QuantizeOptions::default()
            };
            let quantized = quantize(&model, &rows(500, shape, 1), &options).expect("a blob");
            let error = relative_error(&model, &quantized);
            if error > most {
                wrong.push(format!(
                    "{name} {dtype}: {error:.6}, expected at most {most}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Files of `golden/layers_around` that turn categories into numbers, in floats and integers.
fn categories(packing: Packing) -> Vec<RandomModel> {
    let facts = golden::json(&layers_around::folder().join("categories.json"));
    let mut models = Vec::new();
    for (name, facts) in facts.as_object().expect("models") {
        let file = layers_around::folder().join(format!("{name}.keras"));
        let model = Sequential::load_uncompiled(file).expect("Keras' file");
        let x = layers_around::samples(facts);
        for dtype in ["float32", "int8"] {
            let options = QuantizeOptions {
                packing,
                types: LayerTypes::All(dtype.parse().expect("a type")),
                ..QuantizeOptions::default()
            };
            let device = quantize(&model, &x, &options).expect("a blob").device;
            models.push(RandomModel {
                description: format!("{name} {dtype}"),
                blob: device.bytes().to_vec(),
                inputs: device.inputs(),
                x: x.iter().take(12 * device.inputs()).copied().collect(),
            });
        }
    }
    models
}

#[test]
fn a_category_that_there_is_not_is_refused() {
    let file = layers_around::folder().join("embedded.keras");
    let model = Sequential::load_uncompiled(file).expect("Keras' file");
    let facts = golden::json(&layers_around::folder().join("categories.json"));
    let x = layers_around::samples(&facts["embedded"]);
    let device = quantize(&model, &x, &QuantizeOptions::default());
    let device = device.expect("a blob").device;
    for bad in [7.0, -1.0, 1e20] {
        let mut x = x.clone();
        x[[2, 1]] = bad;
        let refused = model.predict(&x).expect_err("category 7 of 7").to_string();
        assert_eq!(
            refused,
            format!(
                "layer \"embedding\": value 2 of row 3 is {bad}, expected a category from 0 to 6; number the categories from 0, or give the Embedding a larger input_dim"
            )
        );
        let refused = device.predict(&x).expect_err("no such row").to_string();
        assert!(
            refused.contains("category that it does not have"),
            "{refused}"
        );
    }
}

#[test]
fn files_give_the_same_bits_on_every_core() {
    for (board, float) in [
        (Board::Microbit, Float::Soft),
        (Board::Mps2An385, Float::Soft),
        (Board::Mps2An386, Float::Soft),
        (Board::Mps2An386, Float::Hard),
        (Board::Mps2An500, Float::Hard),
        (Board::Mps2An505, Float::Hard),
        (Board::Mps3An547, Float::Hard),
    ] {
        let mut models = Vec::from(FILES.map(|(name, _)| {
            let model = Loaded::read(file(name)).expect("Keras' file").model;
            let shape = model.input_shape().expect("a built model").to_vec();
            RandomModel {
                description: name.to_owned(),
                blob: exported(&model, packing(board)).device.bytes().to_vec(),
                inputs: shape.iter().product(),
                x: rows(12, &shape, 3).iter().copied().collect(),
            }
        }));
        models.extend(categories(packing(board)));
        let firmware = Firmware {
            float,
            ..Firmware::release("parity", board)
        };
        let rows = compare(&firmware, &models);
        println!("{board:?}, {float:?} floats: {rows} rows gave the same bits");
    }
}

/// A build without the feature says which it is.
#[test]
fn a_build_without_the_feature_refuses_by_its_name() {
    let firmware = Firmware {
        features: "activations,f32,int16,int4,portable",
        ..Firmware::release("parity", Board::Mps2An386)
    };
    let Some((qemu, elf)) = prepare(&firmware) else {
        return;
    };
    for name in [
        "u_layernorm.keras",
        "u_prelu.keras",
        "u_timedistributed.keras",
    ] {
        let model = Loaded::read(file(name)).expect("Keras' file").model;
        let quantized = exported(&model, Packing::Dsp);
        let x: Vec<f32> = rows(1, model.input_shape().expect("a shape"), 3)
            .iter()
            .copied()
            .collect();
        let job = Job {
            blob: quantized.device.bytes(),
            shift: 0,
            inputs: x.len(),
            x: &x,
        };
        let folder = tempfile::tempdir().expect("a folder");
        let run = Run::new(firmware.board, &elf, folder.path());
        let answers = qemu.answer(&run, &[job]).expect("an answer");
        let Answer::Refused(text) = &answers[0] else {
            panic!("{name} was loaded");
        };
        let rest = text.split_once(" needs ").map(|(_, rest)| rest);
        assert_eq!(
            rest,
            Some(
                "the feature \"layers\" of thumbnet-runtime, which is off; enable it in Cargo.toml, or export without"
            ),
            "{name}: {text}"
        );
    }
}
