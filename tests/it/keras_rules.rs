//! Where files and training follow rules of Keras that the structure of a model does not show:
//! weights by position, layers in any order, what a frozen model trains, masks that are shared.

use std::path::{Path, PathBuf};

use ndarray::Array2;
use thumbnet_tests::command::thumbnet;
use thumbnet_trainer::{Sequential, dataset::read_array, training::FitOptions};

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(file)
}

/// The first row of predictions.
fn first_row(model: &mut Sequential) -> Vec<f32> {
    let x = read_array(&golden("positions/x.npy")).unwrap();
    let y = model.predict(&x).unwrap();
    let width = y.shape()[1];
    y.iter().take(width).copied().collect()
}

fn assert_near(found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5, "{found} {expected}");
    }
}

/// Real Keras 3.15: `load_weights` of a file whose layers have the same names in another order.
#[test]
fn weights_of_a_legacy_file_go_by_position() {
    let mut model = Sequential::load(golden("positions/arch.h5")).unwrap();
    model
        .load_weights(golden("positions/other_order.h5"))
        .unwrap();
    assert_near(
        &first_row(&mut model),
        &[1.5569813, -0.57594186, -0.727079, 0.81480074],
    );
}

/// Real Keras 3.15: a Functional inside, whose config lists its layers out of order.
#[test]
fn the_layers_of_a_functional_model_are_ordered_by_their_connections() {
    let mut model = Sequential::load(golden("positions/fnsq.h5")).unwrap();
    assert_near(
        &first_row(&mut model),
        &[-5.37724, -1.7387177, 2.1276083, 4.77622],
    );
}

/// What `golden/frozen/make.py` prints with real Keras 3.15: 1 for each weight that an epoch changes.
const CHANGED: [(&str, &str); 15] = [
    ("seq_constructor.keras", "11111111"),
    ("seq_constructor.h5", "11111111"),
    ("seq_set.keras", "00000000"),
    ("seq_layer.keras", "11111100"),
    ("fun_constructor.keras", "00001100"),
    ("fun_constructor.h5", "00001100"),
    ("fun_set.keras", "00000000"),
    ("fun_layer.keras", "11111100"),
    ("fun_layer.h5", "11111100"),
    ("n_seq_constructor.keras", "1111111111"),
    ("n_seq_set.keras", "0000000011"),
    ("n_fun_constructor.keras", "1111111111"),
    ("n_fun_layer.keras", "1111110011"),
    ("f_seq_constructor.keras", "1111111111"),
    ("f_fun_set.keras", "0000000011"),
];

#[test]
fn a_frozen_model_trains_what_keras_trains() {
    let x = Array2::from_shape_fn((32, 3), |(i, j)| ((i * 3 + j) as f32 * 0.7).sin());
    let y = Array2::from_shape_fn((32, 2), |(i, j)| ((i * 2 + j) as f32 * 0.9).cos());
    let folder = tempfile::tempdir().unwrap();
    for (file, expected) in CHANGED {
        let first = Sequential::load(golden("frozen").join(file)).unwrap();
        // Read again from a file of our own, too.
        let copy = folder.path().join(file);
        first.save(&copy).unwrap();
        for mut model in [first, Sequential::load(&copy).unwrap()] {
            model.compile("sgd", "mse", None::<&str>).unwrap();
            let before = model.get_weights();
            let options = FitOptions {
                verbose: 0,
                ..FitOptions::default()
            };
            model.fit(&x, &y, options).unwrap();
            let changed: String = before
                .iter()
                .zip(model.get_weights())
                .map(|(before, after)| if *before == after { '0' } else { '1' })
                .collect();
            assert_eq!(changed, expected, "{file}");
        }
    }
}

#[test]
fn a_model_that_is_frozen_as_a_whole_keeps_its_loss() {
    let folder = tempfile::tempdir().unwrap();
    let path = |file: &str| golden(file).display().to_string();
    let line = format!(
        "train --model {} --x {} --y {} --no-shuffle --epochs 3 --verbose 0 --history h.json --output f.keras",
        path("frozen/reported.keras"),
        path("positions/x.npy"),
        path("frozen/y.npy")
    );
    thumbnet(folder.path(), line.split(' ')).ok();
    let history = std::fs::read(folder.path().join("h.json")).unwrap();
    let history: serde_json::Value = serde_json::from_slice(&history).unwrap();
    let losses = history["loss"].as_array().unwrap();
    assert_eq!(losses.len(), 3);
    for loss in losses {
        // Real Keras 3.15.
        assert!((loss.as_f64().unwrap() - 1.4214636).abs() < 1e-6, "{loss}");
    }
}

#[test]
fn a_dropout_with_a_shared_mask_is_read_and_written() {
    let mut model = Sequential::load(golden("positions/dropout_noise_shape.keras")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy.keras");
    model.save(&path).unwrap();
    let mut copy = Sequential::load(&path).unwrap();
    assert_eq!(first_row(&mut copy), first_row(&mut model));
    let config = copy.layer("dropout_1").unwrap().config();
    assert_eq!(config["noise_shape"], serde_json::json!([null, 9]));
}

#[test]
fn files_of_another_kind_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |file: &str| folder.path().join(file);
    std::fs::copy(golden("positions/arch.h5"), path("m.h5")).unwrap();
    std::fs::copy(golden("positions/keras1.h5"), path("keras1.h5")).unwrap();
    std::fs::write(path("x.npz"), b"PK\x03\x04\x14\0\0\0\0\0arr_0.npy").unwrap();
    std::fs::write(path("m.tflite"), b"\x1c\0\0\0TFL3\0\0").unwrap();
    let error = |line: &str| thumbnet(folder.path(), line.split(' ')).error(1);
    assert_eq!(
        error("predict m.h5 --x x.npz"),
        "x.npz: the archive is damaged (invalid Zip archive: Could not find EOCD), expected one written by numpy.savez; write or copy it again"
    );
    assert_eq!(
        error("predict m.h5 --data x.npz"),
        "x.npz: the archive is damaged (invalid Zip archive: Could not find EOCD), expected one written by numpy.savez; write or copy it again"
    );
    assert_eq!(
        error("predict m.h5 --data m.h5"),
        "m.h5: this is an HDF5 file, expected CSV or .npy; give the rows, not the model"
    );
    assert_eq!(
        error("summary m.tflite"),
        "m.tflite: this is a TensorFlow Lite model (.tflite), expected a Keras file (.h5 or .keras); make a Keras file of it first: thumbnet import MODEL.tflite --output MODEL.keras"
    );
    std::fs::write(path("m.json"), "{\"class_name\": \"Sequential\"}").unwrap();
    assert_eq!(
        error("summary m.json"),
        "m.json: this is JSON, which says a model's layers without their weights; give the weights' file and this one as --config, or save the whole model with model.save(\"model.keras\")"
    );
    std::fs::write(path("rows.csv"), "a,b\n1,2\n").unwrap();
    assert_eq!(
        error("summary rows.csv"),
        "rows.csv: this is text, expected a Keras file (.h5 or .keras); give the model's file, and this one as data"
    );
    let graph = b"\x0a\x3b\x0a\x01x\x12\x0bPlaceholder\x2a\x0b\x0a\x05dtype";
    std::fs::write(path("frozen"), graph).unwrap();
    assert_eq!(
        error("summary frozen"),
        "frozen: this is a frozen graph of TensorFlow, expected a Keras file (.h5 or .keras); give the Keras model that it was frozen from, saved with model.save(\"model.keras\")"
    );
    let of_keras_2 = "build the model in Keras 2, load the checkpoint with model.load_weights and save it with model.save(\"model.h5\")";
    let index = b"\0\0\x06\x08\x01\x1a\x02\x08\x01\0\x1c";
    std::fs::write(path("m.index"), index).unwrap();
    std::fs::write(path("m.data-00000-of-00001"), b"\x30\x19\x44\xbf").unwrap();
    for file in ["m.index", "m.data-00000-of-00001"] {
        assert_eq!(
            error(&format!("summary {file}")),
            format!(
                "{file}: this is a part of a TensorFlow checkpoint, expected a Keras file (.h5 or .keras); {of_keras_2}"
            )
        );
    }
    std::fs::write(path("checkpoint"), "model_checkpoint_path: \"m\"\n").unwrap();
    assert_eq!(
        error("summary checkpoint"),
        format!(
            "checkpoint: this names the newest checkpoint of TensorFlow, expected a Keras file (.h5 or .keras); {of_keras_2}"
        )
    );
    let script = b"PK\x03\x04..m/data.pkl\x80\x02c__torch__\nNet\n";
    std::fs::write(path("m.pt"), script).unwrap();
    assert_eq!(
        error("summary m.pt"),
        "m.pt: this is a TorchScript model, expected a Keras file (.h5 or .keras); rebuild the model in Keras, take the weights over and save it with model.save(\"model.keras\")"
    );
    std::fs::create_dir(path("saved")).unwrap();
    assert_eq!(
        error("summary saved"),
        "saved: is a folder, expected a .h5 or .keras file; save a TensorFlow SavedModel again as .keras"
    );
    assert_eq!(
        error("summary keras1.h5"),
        "keras1.h5: this file is of Keras 1.2.2, expected Keras 2 or 3; load it in Keras 2.0 to 2.3, which reads it, and save it again with model.save(\"model.h5\")"
    );
}
