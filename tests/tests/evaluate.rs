//! `thumbnet evaluate`: the figures of Keras files and of device models.
//!
//! Models and rows are in `tests/golden/decisions/`, values from real Keras or counted by hand.

use std::path::PathBuf;

use serde_json::Value;
use thumbnet_tests::command::thumbnet;
use thumbnet_trainer::{Sequential, dataset::read_npy};

/// A file of `tests/golden/decisions/`.
fn golden(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/decisions");
    folder.join(name).display().to_string()
}

/// The numbers under a name of a JSON object.
fn numbers(object: &Value, name: &str) -> Vec<f64> {
    let list = object[name]
        .as_array()
        .unwrap_or_else(|| panic!("{name}: {object}"));
    list.iter().map(|value| value.as_f64().unwrap()).collect()
}

fn close(found: &[f64], expected: &[f64]) {
    let near = |(a, b): (&f64, &f64)| (a - b).abs() < 5e-6;
    assert!(
        found.len() == expected.len() && found.iter().zip(expected).all(near),
        "{found:?}, expected {expected:?}"
    );
}

#[test]
fn metrics_of_several_values_keep_them() {
    let folder = tempfile::tempdir().unwrap();
    let (model, x, y) = (golden("vecmetric.h5"), golden("mx.npy"), golden("my.npy"));
    let arguments = ["evaluate", &model, "--x", &x, "--y", &y];
    let text = thumbnet(folder.path(), arguments).ok();
    assert!(
        text.ends_with(" - f1: [0.4615, 0.6667, 0.0000] - rec: [0.8333, 0.1667]\n"),
        "{text}"
    );
    let json = thumbnet(folder.path(), arguments.into_iter().chain(["--json"])).ok();
    let object: Value = serde_json::from_str(&json).unwrap();
    close(&numbers(&object, "f1"), &[0.46154, 0.66667, 0.0]);
    close(&numbers(&object, "rec"), &[0.83333, 0.16667]);

    // Before the only step of an epoch nothing was learnt: Keras' history has the same vectors.
    thumbnet(
        folder.path(),
        [
            "train",
            "--model",
            &model,
            "--x",
            &x,
            "--y",
            &y,
            "--epochs",
            "1",
            "--batch-size",
            "none",
            "--history",
            "h.json",
            "--output",
            "m.h5",
            "--verbose",
            "0",
        ],
    )
    .ok();
    let history = std::fs::read(folder.path().join("h.json")).unwrap();
    let history: Value = serde_json::from_slice(&history).unwrap();
    let epoch = |name: &str| serde_json::json!({ name: history[name][0] });
    close(&numbers(&epoch("f1"), "f1"), &[0.46154, 0.66667, 0.0]);
    close(&numbers(&epoch("rec"), "rec"), &[0.83333, 0.16667]);
}

/// Targets from 3000 to 3001.
#[test]
fn r2_is_computed_without_the_loss_of_f32_but_in_fit() {
    let folder = tempfile::tempdir().unwrap();
    let (model, x, y) = (golden("r2.h5"), golden("r2x.npy"), golden("r2y.npy"));
    let json = thumbnet(
        folder.path(),
        ["evaluate", &model, "--x", &x, "--y", &y, "--json"],
    )
    .ok();
    let object: Value = serde_json::from_str(&json).unwrap();
    // In float64; Keras' own is 1.0063.
    close(&[object["r2"].as_f64().unwrap()], &[0.95077]);

    let mut model = Sequential::load(&model).unwrap();
    let (x, y) = (read_npy(x.as_ref()).unwrap(), read_npy(y.as_ref()).unwrap());
    let keras = model.test_on_batch(&x, &y, None).unwrap();
    assert!(
        (keras.get("r2").unwrap() - 1.0063).abs() < 5e-5,
        "{keras:?}"
    );
}
