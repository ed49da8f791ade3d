//! Every activation on the device against real Keras, wherever it may stand.
//!
//! `golden/activations/make.py` has the values, within what a model sees, at the places where a function
//! bends, and far beyond.

use std::{fs, path::PathBuf};

use ndarray::{Array2, ArrayD, Ix2, arr1, arr2};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use thumbnet_tests::command::thumbnet;
use thumbnet_trainer::{
    Sequential,
    activations::Activation,
    dataset::read_array,
    layers::{self, Dense, Input},
    quantize::{DataType, DeviceModel, LayerTypes, QuantizeOptions, Quantized, quantize},
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/activations")
}

fn golden() -> Value {
    let text = fs::read(folder().join("activations.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Values of an array; none where Keras' are infinite.
fn numbers(value: &Value) -> Vec<Option<f64>> {
    let values = value.as_array().unwrap().iter();
    values.map(Value::as_f64).collect()
}

/// Floats, which JSON has in full.
fn floats(value: &Value) -> Vec<f32> {
    let values = numbers(value).into_iter();
    values.map(|value| value.unwrap() as f32).collect()
}

fn options(types: LayerTypes) -> QuantizeOptions {
    QuantizeOptions {
        types,
        ..QuantizeOptions::default()
    }
}

/// `width` inputs passed on, through the activation: of the Dense layer itself, or as a layer behind it.
fn model(width: usize, activation: &Activation, is_layer: bool) -> Sequential {
    let mut model = Sequential::new();
    model.add(Input::new([width])).unwrap();
    if is_layer {
        model.add(Dense::new(width)).unwrap();
        model
            .add(layers::Activation::new(activation.clone()))
            .unwrap();
    } else {
        let dense = Dense::new(width).with_activation(activation.clone());
        model.add(dense).unwrap();
    }
    model.build(&[width]).unwrap();
    let kernel = Array2::<f32>::eye(width).into_dyn();
    let bias = ArrayD::zeros(vec![width]);
    model.set_weights(&[kernel, bias]).unwrap();
    model
}

fn outputs(device: &DeviceModel, x: Vec<f32>) -> Vec<f32> {
    let width = device.inputs();
    let x = Array2::from_shape_vec((x.len() / width, width), x).unwrap();
    device.predict(&x.into_dyn()).unwrap().into_iter().collect()
}

/// What the documentation of the runtime's `Activation` states: none for what is made of lines, whose
/// values are Keras' own floats; but three divide by 6 or round `x + 1` first, and are within two steps
/// of a float.
fn stated_error(activation: &Activation, x: f64, y: f64) -> Option<f64> {
    let alpha = match activation {
        Activation::Elu { alpha } | Activation::Celu { alpha } => f64::from(*alpha).abs(),
        _ => 1.0,
    };
    match activation {
        Activation::Linear
        | Activation::Relu { .. }
        | Activation::Relu6
        | Activation::LeakyRelu { .. }
        | Activation::HardTanh
        | Activation::SoftShrink { .. }
        | Activation::HardShrink { .. }
        | Activation::Keras2HardSigmoid
        | Activation::SparseSigmoid
        | Activation::Threshold { .. } => None,
        Activation::HardSigmoid => Some(2.4e-7),
        Activation::Exponential => Some(y * (6e-7 + 6e-8 * x.abs()) + 1e-44),
        Activation::Softsign => Some(2e-6),
        _ => Some(1e-6 * y.abs().max(alpha).max(1.0)),
    }
}

/// The function's own range.
fn range(activation: &Activation) -> (f64, f64) {
    let infinite = f64::INFINITY;
    match activation {
        Activation::Relu {
            negative_slope: 0.0,
            max_value: None,
            threshold,
        } => (f64::from(*threshold).min(0.0), infinite),
        Activation::Relu {
            negative_slope: 0.0,
            max_value: Some(max),
            ..
        } => (0.0, f64::from(*max)),
        Activation::Relu {
            max_value: Some(max),
            ..
        } => (-infinite, f64::from(*max)),
        Activation::Relu6 => (0.0, 6.0),
        Activation::Elu { alpha } | Activation::Celu { alpha } => (-f64::from(*alpha), infinite),
        Activation::Selu => (-1.758_099_340_847_376_9, infinite),
        // The lowest points, by Keras in float64.
        Activation::Gelu { approximate: false } => (-0.169_971_207_5, infinite),
        Activation::Gelu { approximate: true } => (-0.170_040_746_3, infinite),
        Activation::Silu => (-0.278_464_542_8, infinite),
        Activation::Mish => (-0.308_840_132_5, infinite),
        Activation::HardSilu => (-0.375, infinite),
        Activation::Softplus
        | Activation::Exponential
        | Activation::Squareplus { .. }
        | Activation::SparsePlus => (0.0, infinite),
        Activation::LogSigmoid => (-infinite, 0.0),
        Activation::Softsign | Activation::Tanh | Activation::HardTanh => (-1.0, 1.0),
        Activation::Sigmoid
        | Activation::HardSigmoid
        | Activation::Keras2HardSigmoid
        | Activation::SparseSigmoid
        | Activation::Softmax => (0.0, 1.0),
        Activation::LogSoftmax => (-infinite, 0.0),
        _ => (-infinite, infinite),
    }
}

#[test]
fn every_activation_of_floats_is_that_of_keras_however_far_out() {
    let golden = golden();
    let x = floats(&golden["x"]);
    let seen = arr2(&[[-1.0f32], [0.5], [1.0]]).into_dyn();
    let mut count = 0;
    for case in golden["cases"].as_array().unwrap() {
        let activation = Activation::from_config(&case["activation"]).unwrap();
        let (exact, float32) = (numbers(&case["float64"]), numbers(&case["float32"]));
        for is_layer in [false, true] {
            let model = model(1, &activation, is_layer);
            let float = model.predict(&arr2(&[[0.0f32]])).unwrap();
            assert_eq!(float.len(), 1);
            let device = quantize(&model, &seen, &options(LayerTypes::All(DataType::Float32)))
                .unwrap_or_else(|error| panic!("{activation:?}: {error}"))
                .device;
            // Where Keras' own float32 is infinite there is nothing to compare.
            let finite: Vec<usize> = (0..x.len()).filter(|&i| float32[i].is_some()).collect();
            let found = outputs(&device, finite.iter().map(|&i| x[i]).collect());
            for (&i, found) in finite.iter().zip(found) {
                let (x, found) = (f64::from(x[i]), f64::from(found));
                let exact = exact[i].unwrap();
                let what = format!("{activation:?} of {x}: {found}, Keras has {exact}");
                match stated_error(&activation, x, exact) {
                    None => assert_eq!(Some(found), float32[i], "{what}"),
                    Some(error) => assert!((found - exact).abs() <= error, "{what}"),
                }
                let (least, greatest) = range(&activation);
                assert!((least..=greatest).contains(&found), "{what}");
                count += 1;
            }
        }
    }
    assert!(count > 20_000, "{count}");
}

#[test]
fn rowwise_activations_are_those_of_keras() {
    let golden = golden();
    let rows = floats(&golden["rows"]);
    let seen = ArrayD::from_shape_vec(vec![rows.len() / 4, 4], rows.clone()).unwrap();
    for case in golden["row_cases"].as_array().unwrap() {
        let activation = Activation::from_config(&case["activation"]).unwrap();
        for is_layer in [false, true] {
            let model = model(4, &activation, is_layer);
            let types = LayerTypes::All(DataType::Float32);
            let device = quantize(&model, &seen, &options(types)).unwrap().device;
            let found = outputs(&device, rows.clone());
            let expected = numbers(&case["float64"]);
            for (row, exact) in found.chunks(4).zip(expected.chunks(4)) {
                let exact: Vec<f64> = exact.iter().map(|y| y.unwrap()).collect();
                let largest = exact.iter().fold(0.0, |m: f64, y| m.max(y.abs()));
                let error = match activation {
                    Activation::Softmax => 1e-6,
                    _ => 2e-6 + 2e-7 * largest,
                };
                for (found, exact) in row.iter().zip(&exact) {
                    let difference = (f64::from(*found) - exact).abs();
                    assert!(difference <= error, "{activation:?}: {row:?} {exact:?}");
                }
            }
        }
    }
}

#[test]
fn sparsemax_is_refused_by_name() {
    let rows = arr2(&[[0.5f32, 1.0, -1.0], [0.1, 0.2, 0.3]]).into_dyn();
    let refusal = |model: &Sequential| {
        let error = quantize(model, &rows, &QuantizeOptions::default()).unwrap_err();
        error.to_string()
    };
    for is_layer in [false, true] {
        let sparsemax = model(3, &Activation::Sparsemax, is_layer);
        assert_eq!(
            refusal(&sparsemax),
            "layer \"dense\": sparsemax cannot run on the device; use softmax"
        );
        let mut hidden = model(3, &Activation::Sparsemax, is_layer);
        hidden.add(Dense::new(2)).unwrap();
        hidden.build(&[3]).unwrap();
        assert_eq!(refusal(&hidden), refusal(&sparsemax));
    }
}

/// Three inputs, five hidden units with an activation, two outputs with another one.
fn network(hidden: &Activation, last: &Activation, rng: &mut ChaCha8Rng) -> Sequential {
    let mut model = Sequential::new();
    model.add(Input::new([3])).unwrap();
    for (units, activation) in [(5, hidden), (2, last)] {
        model
            .add(Dense::new(units).with_activation(activation.clone()))
            .unwrap();
    }
    model.build(&[3]).unwrap();
    let mut uniform = |shape: &[usize], most: f32| {
        ArrayD::from_shape_simple_fn(shape, || rng.random_range(-most..most))
    };
    let weights = [
        uniform(&[3, 5], 1.2),
        uniform(&[5], 0.8),
        uniform(&[5, 2], 1.0),
        uniform(&[2], 0.5),
    ];
    model.set_weights(&weights).unwrap();
    model
}

/// Rows within `[-3, 3]`, first all corners.
fn rows(count: usize, rng: &mut ChaCha8Rng) -> ArrayD<f32> {
    let corner = |row: usize, i: usize| if row >> i & 1 == 1 { 3.0 } else { -3.0 };
    let rows = Array2::from_shape_fn((count, 3), |(row, i)| match row {
        0..8 => corner(row, i),
        _ => rng.random_range(-3.0..3.0),
    });
    rows.into_dyn()
}

/// Checks the device against the float model within the box of the calibration rows, and the range of its
/// outputs far beyond.
fn check(
    model: &Sequential,
    last: &Activation,
    quantized: &Quantized,
    tries: &ArrayD<f32>,
    what: &str,
) {
    let float = model.predict(tries).unwrap();
    let found = quantized.device.predict(tries).unwrap();
    let bound = quantized.report.error_bound.as_ref().expect("a bound");
    let float = float.into_dimensionality::<Ix2>().unwrap();
    let found = found.into_dimensionality::<Ix2>().unwrap();
    for ((row, float), found) in tries
        .outer_iter()
        .zip(float.outer_iter())
        .zip(found.outer_iter())
    {
        for ((float, found), bound) in float.iter().zip(found).zip(bound) {
            let difference = f64::from((float - found).abs());
            assert!(
                difference <= *bound,
                "{what}: {row} gives {found}, float {float}, bound {bound}"
            );
        }
    }
    let (least, greatest) = range(last);
    let far = arr2(&[
        [1e3f32, -1e3, 1e3],
        [-1e3, -1e3, 50.0],
        [1e6, 1e6, -1e6],
        [-1e6, 1e5, -1e6],
        [-1e30, 1e30, 1e20],
    ]);
    for row in far.outer_iter() {
        // An exponential may overflow, which is an error.
        let Ok(y) = quantized
            .device
            .predict(&row.to_owned().insert_axis(ndarray::Axis(0)).into_dyn())
        else {
            continue;
        };
        for y in y.iter().filter(|y| y.is_finite()) {
            let y = f64::from(*y);
            assert!((least..=greatest).contains(&y), "{what}: {row} gives {y}");
        }
    }
}

#[test]
fn every_activation_in_every_place_and_type_holds_its_bound_and_its_range() {
    let rng = &mut ChaCha8Rng::seed_from_u64(17);
    let golden = golden();
    let seen = rows(64, rng);
    let tries = rows(20_000, rng);
    let types = [
        [DataType::Int8; 2],
        [DataType::Int4; 2],
        [DataType::Int16; 2],
        [DataType::Float32; 2],
        [DataType::Int16, DataType::Int8],
        [DataType::Float32, DataType::Int16],
        [DataType::Int8, DataType::Float32],
    ];
    let mut activations: Vec<Activation> = ["softmax", "log_softmax"]
        .iter()
        .map(|name| name.parse().unwrap())
        .collect();
    for case in golden["cases"].as_array().unwrap() {
        activations.push(Activation::from_config(&case["activation"]).unwrap());
    }
    let relu: Activation = "relu".parse().unwrap();
    for activation in &activations {
        for hidden in [true, false] {
            // Two linear layers become one.
            if hidden && (!activation.is_elementwise() || *activation == Activation::Linear) {
                continue;
            }
            let (first, last) = match hidden {
                true => (activation, &Activation::Linear),
                false => (&relu, activation),
            };
            let model = network(first, last, rng);
            for types in &types {
                let named = [("dense", types[0]), ("dense_1", types[1])];
                let named = named.map(|(name, data_type)| (name.to_owned(), data_type));
                let what = format!("{activation:?}, hidden {hidden}, {types:?}");
                let quantized =
                    quantize(&model, &seen, &options(LayerTypes::Named(named.to_vec())))
                        .unwrap_or_else(|error| panic!("{what}: {error}"));
                check(&model, last, &quantized, &tries, &what);
            }
        }
    }
}

fn npy(name: &str) -> ArrayD<f32> {
    read_array(&folder().join(name)).unwrap()
}

/// What `thumbnet export` and `thumbnet predict` make of a file.
fn exported(name: &str, calibration: &str, rows: &str, dtype: &str) -> Vec<Vec<f64>> {
    let directory = tempfile::tempdir().unwrap();
    for file in [name, calibration, rows] {
        fs::copy(folder().join(file), directory.path().join(file)).unwrap();
    }
    let run = |line: &str| thumbnet(directory.path(), line.split_whitespace());
    let export = run(&format!(
        "export {name} --calibrate {calibration} --dtype {dtype} --output a.tnet"
    ));
    assert_eq!(export.code, Some(0), "{}", export.stderr);
    let predict = run(&format!("predict a.tnet --x {rows} --output y.npy"));
    assert_eq!(predict.code, Some(0), "{}", predict.stderr);
    let y = read_array(&directory.path().join("y.npy")).unwrap();
    y.outer_iter()
        .map(|row| row.iter().map(|&y| f64::from(y)).collect())
        .collect()
}

#[test]
fn a_final_log_softmax_is_computed() {
    for (dtype, error) in [
        ("float32", 5e-6),
        // Of eight bits are the weights.
        ("int16", 0.02),
        ("int8", 0.1),
        ("int4", 0.8),
    ] {
        let found = exported("logsoftmax.keras", "x.npy", "x.npy", dtype);
        // Row 0 by Keras.
        let expected = arr1(&[-4.563246, -1.785011, -0.196287]);
        let difference = &arr1(&found[0]) - &expected;
        let worst = difference.iter().fold(0.0f64, |m, d| m.max(d.abs()));
        assert!(worst < error, "{dtype}: {:?}", found[0]);
    }
}

#[test]
fn rows_beyond_the_calibration_rows_stay_in_the_functions_range() {
    for (name, greatest) in [("relu6.keras", 6.0), ("hard_sigmoid.keras", 1.0)] {
        let model = Sequential::load(folder().join(name)).unwrap();
        let expected = model.predict(&npy("x_wide.npy")).unwrap();
        for dtype in ["float32", "int8", "int16", "int4"] {
            let found = exported(name, "x_small.npy", "x_wide.npy", dtype);
            let found: Vec<f64> = found.into_iter().flatten().collect();
            assert!(found.iter().all(|y| (0.0..=greatest).contains(y)), "{name}");
            if dtype == "float32" {
                assert!(found.contains(&greatest), "{name}");
                for (found, expected) in found.iter().zip(&expected) {
                    assert!((found - f64::from(*expected)).abs() < 2e-6, "{name}");
                }
            }
        }
    }
}

#[test]
fn a_relu_with_a_threshold_jumps_where_keras_has_it_jump() {
    let text = fs::read(folder().join("thr_keras.json")).unwrap();
    let keras: Value = serde_json::from_slice(&text).unwrap();
    let expected: Vec<f64> = numbers(&keras["thr"]).into_iter().flatten().collect();
    assert_eq!(expected[16], 1.007627248764038);
    let found = exported("relu_threshold.keras", "x.npy", "x.npy", "float32");
    let found: Vec<f64> = found.into_iter().flatten().collect();
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() < 2e-6, "{found} {expected}");
    }
}
