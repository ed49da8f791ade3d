//! The layers around dense ones: from real Keras' files of both kinds (`golden/layers_around/make.py`) they
//! predict and train as there, go into files as it writes them, and run on the device.

use std::path::{Path, PathBuf};

use ndarray::{ArrayD, IxDyn};
use serde_json::Value;
use thumbnet_tests::golden;
use thumbnet_trainer::quantize::{LayerTypes, QuantizeOptions, quantize};
use thumbnet_trainer::training::FitOptions;
use thumbnet_trainer::{Sequential, saving};

use crate::custom::{array, assert_near, values};

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/layers_around")
}

/// What Keras computed, by the names of the models.
pub fn facts() -> Value {
    let mut facts = golden::json(&folder().join("facts.json"));
    let categories = golden::json(&folder().join("categories.json"));
    let models = facts.as_object_mut().expect("models");
    models.extend(categories.as_object().expect("models").clone());
    facts
}

pub fn samples(facts: &Value) -> ArrayD<f32> {
    let shape: Vec<usize> = serde_json::from_value(facts["shape"].clone()).expect("a shape");
    let x: Vec<f32> = serde_json::from_value(facts["x"].clone()).expect("samples");
    ArrayD::from_shape_vec(IxDyn(&shape), x).expect("of that shape")
}

/// The configs of a file's layers, but for what Keras counts in files.
fn configs(path: &Path) -> Vec<Value> {
    let config = saving::read(path).expect("a model").config;
    let layers = config["config"]["layers"].as_array().expect("a list");
    let plain = |layer: &Value| {
        let mut layer = layer.clone();
        layer["config"]
            .as_object_mut()
            .expect("a config")
            .remove("dtype");
        layer
    };
    layers.iter().map(plain).collect()
}

#[test]
fn trainings_are_those_of_keras() {
    let facts = facts();
    let temporary = tempfile::tempdir().expect("a folder");
    let trained = facts.as_object().expect("models").iter();
    let trained = trained.filter(|(_, facts)| !facts["history"].is_null());
    for (name, expected) in trained {
        for kind in ["keras", "h5"] {
            let what = format!("{name} {kind}");
            let file = folder().join(format!("{name}.{kind}"));
            let mut model = Sequential::load(&file).expect("Keras' file");
            let ours = temporary.path().join(what.replace(' ', "."));
            model.save(&ours).expect("saved");
            for (ours, theirs) in configs(&ours).iter().zip(configs(&file)) {
                for key in [
                    "class_name",
                    "registered_name",
                    "module",
                    "build_config",
                    "config",
                ] {
                    assert_eq!(ours.get(key), theirs.get(key), "{what}");
                }
            }
            let options = FitOptions {
                epochs: 4,
                batch_size: Some(16),
                shuffle: false,
                verbose: 0,
                ..FitOptions::default()
            };
            let x = samples(expected);
            let history = model
                .fit(&x, &array(&expected["y"]), options)
                .expect("a training");
            for metric in ["loss", "mae"] {
                let found = history.get(metric).expect(metric).to_vec();
                assert_near(&what, found, &expected["history"][metric]);
            }
            let weights = model.get_weights();
            assert_near(
                &what,
                weights.iter().flat_map(values),
                &flat(&expected["weights"]),
            );
            let predicted = model.predict(&x).expect("predictions");
            assert_near(&what, values(&predicted), &expected["predictions"]);
        }
    }
}

fn flat(lists: &Value) -> Value {
    let lists = lists.as_array().expect("lists").iter();
    lists
        .flat_map(|list| list.as_array().expect("a list").clone())
        .collect()
}

#[test]
fn predictions_are_those_of_keras() {
    let facts = facts();
    let temporary = tempfile::tempdir().expect("a folder");
    for (name, expected) in facts.as_object().expect("models") {
        // Of the greatest output; Keras computes in 11 and 8 bits, and rounds inputs to 8.
        let tolerance = match name.as_str() {
            "mixed_float16" => 2e-3,
            "mixed_bfloat16" => 2e-2,
            "int8" => 3e-2,
            _ => 2e-6,
        };
        for kind in ["keras", "h5"] {
            let file = folder().join(format!("{name}.{kind}"));
            let model = Sequential::load_uncompiled(&file).expect("Keras' file");
            let x = samples(expected);
            let predicted = model.predict(&x).expect("predictions");
            if !expected["history"].is_null() {
                continue; // those are of the trained model
            }
            let expected: Vec<f32> =
                serde_json::from_value(expected["predictions"].clone()).expect("numbers");
            let most = expected
                .iter()
                .fold(0.0f32, |most, value| most.max(value.abs()));
            for (found, expected) in predicted.iter().zip(&expected) {
                let off = (found - expected).abs();
                assert!(
                    off < tolerance * most,
                    "{name} {kind}: {found}, expected {expected}"
                );
            }
            let again = temporary.path().join(format!("{name}.{kind}"));
            model.save(&again).expect("saved");
            let again = Sequential::load(&again).expect("our own file");
            assert_eq!(
                again.predict(&x).expect("predictions"),
                predicted,
                "{name} {kind}"
            );
        }
    }
}

#[test]
fn operations_and_layers_of_keras_2_are_read() {
    let facts = golden::json(&folder().join("keras_2.json"));
    for (name, facts) in [
        ("operations", &facts),
        ("thresholded", &facts["thresholded"]),
    ] {
        let model = Sequential::load(folder().join(format!("{name}_keras_2.h5")));
        let model = model.expect("Keras' file");
        let x = array(&facts["x"]);
        let predicted = model.predict(&x).expect("predictions");
        assert_near(
            name,
            values(&predicted),
            &facts["predictions"]
                .as_array()
                .map(|rows| {
                    let rows = rows
                        .iter()
                        .flat_map(|row| row.as_array().expect("a row").clone());
                    rows.collect::<Value>()
                })
                .expect("rows"),
        );
        // As ReLU with a threshold, which Keras 3 has.
        let path = tempfile::tempdir().expect("a folder");
        let path = path.path().join("again.keras");
        model.save(&path).expect("a file");
        let again = Sequential::load(&path).expect("our file");
        assert_eq!(again.predict(&x).expect("predictions"), predicted, "{name}");
        let device = quantize(&model, &x, &QuantizeOptions::default())
            .expect("a blob")
            .device;
        let found = device.predict(&x).expect("rows");
        let far = found.iter().zip(&predicted).map(|(a, b)| (a - b).abs());
        assert!(far.fold(0.0, f32::max) < 0.1, "{name}");
    }
}

#[test]
fn the_device_predicts_what_the_model_predicts() {
    let facts = facts();
    for name in DEVICE {
        let model = Sequential::load_uncompiled(folder().join(format!("{name}.keras")));
        let model = model.expect("Keras' file");
        let x = samples(&facts[name]);
        let float = model.predict(&x).expect("predictions");
        for dtype in ["float32", "int16x8", "int8"] {
            let options = QuantizeOptions {
                types: LayerTypes::All(dtype.parse().expect("a type")),
                ..QuantizeOptions::default()
            };
            let device = quantize(&model, &x, &options).expect("a blob").device;
            let found = device.predict(&x).expect("finite rows");
            let spread = float
                .iter()
                .fold(0.0f32, |most, value| most.max(value.abs()));
            let worst = found.iter().zip(&float).map(|(a, b)| (a - b).abs());
            let worst = worst.fold(0.0, f32::max) / spread;
            let most = match dtype {
                "float32" => 1e-5,
                // Of integers a few hundredths of the range; of int16x8 the weights have 8 bits.
                _ => 0.06,
            };
            assert!(
                worst < most,
                "{name} {dtype}: off by {worst} of the greatest output"
            );
        }
    }
}

/// All models that have predictions.
const DEVICE: [&str; 25] = [
    "steps",
    "images",
    "pooled",
    "pictures",
    "spatial_dropout",
    "spectral",
    "einsum",
    "mixed_bfloat16",
    "mixed_float16",
    "lora",
    "int8",
    "operations",
    "embedded",
    "embedded_mean",
    "embedded_zero",
    "one_hot",
    "multi_hot",
    "count",
    "one_hot_one",
    "binned",
    "binned_embedded",
    "binned_int",
    "binned_one_hot",
    "binned_multi_hot",
    "binned_count",
];

#[test]
fn a_mask_that_counts_is_refused() {
    use thumbnet_trainer::layers::{Dense, GlobalAveragePooling1D, Input, Masking};
    let mut model = Sequential::new();
    model.add(Input::new([4, 2])).expect("an input");
    model.add(Masking::new(0.0)).expect("a layer");
    model.add(Dense::new(3)).expect("a layer");
    let refused = model
        .add(GlobalAveragePooling1D::new())
        .expect_err("a mean of masked steps");
    assert_eq!(
        refused.to_string(),
        "layer \"global_average_pooling1d\" is a GlobalAveragePooling1D behind the mask of \"masking\": Keras leaves the masked steps out, which thumbnet does not; remove the mask, or flatten before"
    );
    model
        .compile("sgd", "mse", &[] as &[&str])
        .expect("settings");
    let x = ndarray::Array3::<f32>::zeros((5, 4, 2));
    let refused = model
        .fit(&x, &x, FitOptions::default())
        .expect_err("masked losses");
    assert_eq!(
        refused.to_string(),
        "the mask of \"masking\" reaches the loss, which Keras trains without the masked steps and thumbnet does not; flatten before, or remove the mask"
    );
}
