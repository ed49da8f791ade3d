//! `thumbnet evaluate`: the figures of Keras files and of device models.
//!
//! Models and rows are in `tests/golden/decisions/`, values from real Keras or counted by hand.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use thumbnet_tests::{
    command::thumbnet,
    iris::{folder, models, run},
};
use thumbnet_trainer::{Sequential, dataset::read_array};

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

/// Loss and metrics, without the tables below.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[test]
fn metrics_of_several_values_keep_them() {
    let folder = tempfile::tempdir().unwrap();
    let (model, x, y) = (golden("vecmetric.h5"), golden("mx.npy"), golden("my.npy"));
    let arguments = ["evaluate", &model, "--x", &x, "--y", &y];
    let text = thumbnet(folder.path(), arguments).ok();
    assert!(
        first_line(&text).ends_with(" - f1: [0.4615, 0.6667, 0.0000] - rec: [0.8333, 0.1667]"),
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
    let (x, y) = (
        read_array(x.as_ref()).unwrap(),
        read_array(y.as_ref()).unwrap(),
    );
    let keras = model.test_on_batch(&x, &y, None).unwrap();
    assert!(
        (keras.get("r2").unwrap() - 1.0063).abs() < 5e-5,
        "{keras:?}"
    );
}

/// `model` exported with `arguments` beside its rows, as `name` in `folder`: what is said of the score.
fn export(folder: &Path, model: &str, rows: &str, name: &str, arguments: &[&str]) -> String {
    let (model, rows) = (golden(model), golden(rows));
    let command = ["export", &model, "--calibrate", &rows, "--output", name];
    let text = thumbnet(folder, command.iter().chain(arguments)).ok();
    text.lines().nth(1).unwrap_or_default().to_string()
}

/// Right answers of 300 rows, counted by hand from real Keras' predictions.
#[test]
fn a_device_model_is_scored_at_its_own_threshold() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let rows = golden("th.csv");
    for (threshold, accuracy) in [("0.1", "0.4967"), ("0.9", "0.5400"), ("0", "0.4667")] {
        let said = export(
            folder,
            "th.h5",
            "th.csv",
            "t.tnet",
            &["--threshold", threshold],
        );
        assert_eq!(
            said,
            format!(
                "accuracy on 300 calibration rows: {accuracy} in float, {accuracy} on the device"
            )
        );
        let text = thumbnet(folder, ["evaluate", "t.tnet", "--data", &rows]).ok();
        assert!(
            first_line(&text).ends_with(&format!(" - accuracy: {accuracy}")),
            "{text}"
        );
        let text = thumbnet(
            folder,
            [
                "evaluate",
                "t.tnet",
                "--data",
                &rows,
                "--metrics",
                "auc,accuracy",
            ],
        )
        .ok();
        assert!(
            first_line(&text).ends_with(&format!(" - accuracy: {accuracy}")),
            "{text}"
        );
    }
}

/// What `export` says of the device, where the float model's accuracy is this one and int8 moves at most
/// one of the 300 rows over the boundary.
fn device_score(said: &str, float: f64) -> String {
    let scores = said
        .strip_prefix("accuracy on 300 calibration rows: ")
        .and_then(|scores| scores.strip_suffix(" on the device"))
        .and_then(|scores| scores.split_once(" in float, "));
    let (of_float, of_device) = scores.unwrap_or_else(|| panic!("{said}"));
    assert_eq!(of_float, format!("{float:.4}"), "{said}");
    let device: f64 = of_device.parse().unwrap();
    assert!((device - float).abs() < 1.5 / 300.0, "{said}");
    of_device.to_string()
}

#[test]
fn logits_are_decided_by_their_probability() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let inspect = |name: &str| -> Value {
        let json = thumbnet(folder, ["inspect", name, "--json"]).ok();
        serde_json::from_str(&json).unwrap()
    };
    // The probability 0.5 is the logit 0, 0.9 is ln(9).
    for (threshold, logit, accuracy) in [
        (None, 0.0, 0.7767),
        (Some("0.5"), 0.0, 0.7767),
        (Some("0.9"), 9f64.ln(), 0.6033),
    ] {
        let arguments: Vec<&str> = threshold
            .into_iter()
            .flat_map(|t| ["--threshold", t])
            .collect();
        let said = export(folder, "bl2.h5", "th.csv", "l.tnet", &arguments);
        let device = device_score(&said, accuracy);
        let text = thumbnet(folder, ["evaluate", "l.tnet", "--data", &golden("th.csv")]).ok();
        assert_eq!(first_line(&text), format!("accuracy: {device}"));
        // The table counts what the device decides.
        assert!(
            text.contains(&format!("\naccuracy {device}, always")),
            "{text}"
        );
        let found = inspect("l.tnet");
        assert!(
            (found["threshold"].as_f64().unwrap() - logit).abs() < 1e-6,
            "{found}"
        );
        assert_eq!(found["labels"], serde_json::json!(["no", "yes"]));
    }

    // Three logits are classes, with a class per row or one-hot targets.
    let said = export(folder, "l3.h5", "l3.csv", "l3.tnet", &[]);
    let device = device_score(&said, 0.8867);
    let text = thumbnet(folder, ["evaluate", "l3.tnet", "--data", &golden("l3.csv")]).ok();
    assert_eq!(first_line(&text), format!("accuracy: {device}"));
    assert_eq!(inspect("l3.tnet")["threshold"], Value::Null);
}

#[test]
fn a_threshold_that_decides_nothing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let refused = |model: &str, rows: &str, threshold: &str, code: i32| {
        let (model, rows) = (golden(model), golden(rows));
        let arguments = ["export", &model, "--calibrate", &rows, "--output", "x.tnet"];
        let given = ["--threshold", threshold];
        let error = thumbnet(folder, arguments.iter().chain(&given)).error(code);
        assert!(!folder.join("x.tnet").exists());
        error
    };
    for threshold in ["1.5", "-1"] {
        assert_eq!(
            refused("th.h5", "th.csv", threshold, 1),
            format!(
                "threshold {threshold} is beyond what the output can be, 0 to 1, and would decide all rows the same; give one between"
            )
        );
    }
    for threshold in ["nan", "inf", "-inf"] {
        assert_eq!(
            refused("th.h5", "th.csv", threshold, 2),
            format!(
                "invalid value '{threshold}' for '--threshold <VALUE>': expected a finite number, such as 0.5; see thumbnet export --help"
            )
        );
    }
    assert_eq!(
        refused("bl2.h5", "th.csv", "-1", 1),
        "threshold -1 is no probability, expected one from 0 to 1: the model's outputs are logits, and -1 is the logit of 0.26894143"
    );
    assert_eq!(
        refused("l3.h5", "l3.csv", "0.3", 1),
        "threshold 0.3 is given for a model that chooses one of 3 classes, the greatest; leave it out, or end the model with one sigmoid output to decide at a threshold"
    );
    // A number may be cut anywhere.
    let (model, x) = (golden("r2.h5"), golden("r2x.npy"));
    let number = ["export", &model, "--calibrate", &x, "--output", "n.tnet"];
    let finished = thumbnet(
        folder,
        number
            .iter()
            .chain(&["--threshold", "-1", "--dtype", "float32"]),
    );
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let text = thumbnet(folder, ["inspect", "n.tnet"]).ok();
    assert!(text.contains("  threshold   -1\n"), "{text}");
}

#[test]
fn names_of_inputs_are_stored_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let inspect = |name: &str| -> Value {
        let json = thumbnet(folder, ["inspect", name, "--json"]).ok();
        serde_json::from_str(&json).unwrap()
    };
    export(folder, "th.h5", "th.csv", "without.tnet", &[]);
    export(folder, "th.h5", "th.csv", "with.tnet", &["--input-names"]);
    export(
        folder,
        "th.h5",
        "th.csv",
        "given.tnet",
        &["--input-names=u,µ"],
    );
    assert_eq!(
        inspect("without.tnet")["input_names"],
        serde_json::json!([])
    );
    assert_eq!(
        inspect("with.tnet")["input_names"],
        serde_json::json!(["a", "b"])
    );
    assert_eq!(
        inspect("given.tnet")["input_names"],
        serde_json::json!(["u", "µ"])
    );
    let text = thumbnet(folder, ["inspect", "with.tnet"]).ok();
    assert!(text.contains("  names       a, b\n"), "{text}");
    // Tables are matched by them.
    let table = fs::read_to_string(golden("th.csv")).unwrap();
    let swapped: Vec<String> = table
        .lines()
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            [&[cells[1], cells[0]], &cells[2..]].concat().join(",")
        })
        .collect();
    fs::write(folder.join("swapped.csv"), swapped.join("\n")).unwrap();
    let predict = |model: &str, rows: &str| thumbnet(folder, ["predict", model, "--data", rows]);
    let expected = predict("with.tnet", &golden("th.csv")).ok();
    assert_eq!(predict("with.tnet", "swapped.csv").ok(), expected);
    assert_ne!(predict("without.tnet", "swapped.csv").ok(), expected);
    let line = predict("given.tnet", "swapped.csv").error(1);
    assert!(line.contains("none of the model's columns u, µ"), "{line}");
    let (model, rows) = (golden("th.h5"), golden("th.csv"));
    let error = |names: &str| {
        let command = [
            "export",
            &model,
            "--calibrate",
            &rows,
            "--output",
            "x.tnet",
            names,
        ];
        thumbnet(folder, command).error(1)
    };
    assert_eq!(
        error("--input-names=a,b,c"),
        "there are 3 names of inputs (a, b, c), expected 2: one for each input"
    );
    assert_eq!(
        error("--input-names=a,a"),
        "input 1, \"a\", has the name of another one; give every input a name of its own on one line"
    );
}

#[test]
fn rows_and_values_at_the_ends_of_a_device_models_ranges_are_counted() {
    let folder = models();
    let path = folder.path();
    // The first column of every other row a hundred thousand times as large.
    let text = fs::read_to_string(path.join("iris.csv")).unwrap();
    let mut rows: Vec<String> = text.lines().map(str::to_string).collect();
    for row in rows.iter_mut().skip(1).step_by(2) {
        *row = row.replacen(',', "e5,", 1);
    }
    fs::write(path.join("far.csv"), rows.join("\n")).unwrap();
    let ends = |data: &str| -> Value {
        let said = run(
            path,
            &format!("evaluate model.tnet --data {data} --saturation --json"),
        )
        .ok();
        serde_json::from_str::<Value>(&said).unwrap()["saturation"].clone()
    };
    let (near, far) = (ends("iris.csv"), ends("far.csv"));
    let beyond = rows.len() / 2;
    assert_eq!(near["rows_beyond"], 0);
    assert_eq!(far["rows_beyond"], beyond);
    assert_eq!(far["layers"][0]["values"], (rows.len() - 1) * 4);
    let high = |ends: &Value| ends["layers"][0]["high"].as_u64().unwrap();
    assert!(high(&near) < 5, "{near}");
    assert!(high(&far) >= beyond as u64, "{far}");
    let said = run(path, "evaluate model.tnet --data far.csv --saturation").ok();
    let line = format!(
        "{beyond} of {} rows have an input beyond the model's range",
        rows.len() - 1
    );
    assert!(said.contains(&line), "{said}");
    assert_eq!(
        run(path, "evaluate model.h5 --data iris.csv --saturation").error(2),
        "--saturation is for device models, and model.h5 is a Keras file; export it first"
    );
}

/// Classes without names are called by their numbers, of a device model as of the file it comes from.
#[test]
fn classes_without_names_are_called_by_their_numbers() {
    let folder = folder();
    let run = |line: &str| run(folder.path(), line).ok();
    run("train --data numbers.csv --layers 8:relu,3:softmax --epochs 2 --verbose 0 --output m.h5");
    run("export m.h5 --calibrate numbers.csv --output m.tnet");
    for model in ["m.h5", "m.tnet"] {
        let said = run(&format!("evaluate {model} --data numbers.csv"));
        let matrix = said
            .lines()
            .find(|line| line.starts_with("actual"))
            .unwrap();
        let names: Vec<&str> = matrix.split_whitespace().skip(3).collect();
        assert_eq!(names, ["0", "1", "2"], "{said}");
    }
}
