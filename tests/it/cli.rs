//! The command line end to end: what a user types, sees and finds on the disk afterwards.

use std::{fs, path::Path, thread, time::Duration};

use ndarray::{Array1, Array2};
use serde_json::Value;
use thumbnet_tests::{
    command::command,
    iris::{TRAIN, files, folder as iris_folder, run},
};
use thumbnet_trainer::{Dataset, Sequential, dataset};

#[test]
fn from_a_csv_to_a_device_model_on_raw_values() {
    let folder = iris_folder();
    let path = folder.path();
    let trained = run(
        path,
        &format!("{TRAIN} --seed 7 --history h.json --output model.h5"),
    );
    assert_eq!(trained.ok(), "");
    let history: Value = serde_json::from_slice(&fs::read(path.join("h.json")).unwrap()).unwrap();
    let names: Vec<&String> = history.as_object().unwrap().keys().collect();
    assert_eq!(names, ["accuracy", "loss"]);
    assert_eq!(history["loss"].as_array().unwrap().len(), 40);

    let summary = run(path, "summary model.h5").ok();
    assert!(
        summary.contains("normalization") && summary.contains("dense_1"),
        "{summary}"
    );

    let float: Value =
        serde_json::from_str(&run(path, "evaluate model.h5 --data iris.csv --json").ok()).unwrap();
    assert!(float["accuracy"].as_f64().unwrap() >= 0.95, "{float}");

    let exported = run(
        path,
        "export model.h5 --calibrate iris.csv --output model.tnet",
    )
    .ok();
    assert!(
        exported.starts_with("saved model.tnet: 4 inputs, 3 outputs, "),
        "{exported}"
    );
    let inspected = run(path, "inspect model.tnet").ok();
    assert!(
        inspected.contains("setosa, versicolor, virginica"),
        "{inspected}"
    );
    assert!(inspected.contains("self-test   passed"), "{inspected}");
    let inspected: Value =
        serde_json::from_str(&run(path, "inspect model.tnet --json").ok()).unwrap();
    assert_eq!(inspected["labels"][2], "virginica");
    assert_eq!(inspected["macs"], 4 * 8 + 8 * 3);

    let int8: Value =
        serde_json::from_str(&run(path, "evaluate model.tnet --data iris.csv --json").ok())
            .unwrap();
    let lost = float["accuracy"].as_f64().unwrap() - int8["accuracy"].as_f64().unwrap();
    assert!(lost.abs() <= 0.01, "{float} {int8}");

    // The same rows as .npy give the same predictions, and so does the order of the columns' file.
    let rows = Dataset::from_csv(path.join("iris.csv"), &dataset::CsvOptions::default()).unwrap();
    dataset::write_npy(&path.join("x.npy"), &rows.x).unwrap();
    for model in ["model.h5", "model.tnet"] {
        assert_eq!(
            run(
                path,
                &format!("predict {model} --data iris.csv --output a.npy")
            )
            .ok(),
            ""
        );
        assert_eq!(
            run(path, &format!("predict {model} --x x.npy --output b.npy")).ok(),
            ""
        );
        let (a, b) = (
            fs::read(path.join("a.npy")).unwrap(),
            fs::read(path.join("b.npy")).unwrap(),
        );
        assert_eq!(a, b);
        let y = dataset::read_array(&path.join("a.npy")).unwrap();
        assert_eq!(y.shape(), [150, 3]);
    }
    let csv = run(path, "predict model.tnet --x x.npy").ok();
    assert_eq!(csv.lines().next(), Some("setosa,versicolor,virginica"));
    assert_eq!(csv.lines().count(), 151);
}

#[test]
fn the_same_seed_gives_the_same_file_and_another_one_another() {
    let folder = iris_folder();
    let path = folder.path();
    for (seed, output) in [(7, "a.h5"), (7, "b.h5"), (8, "c.h5")] {
        run(path, &format!("{TRAIN} --seed {seed} --output {output}")).ok();
    }
    let bytes = |name: &str| fs::read(path.join(name)).unwrap();
    assert_eq!(bytes("a.h5"), bytes("b.h5"));
    assert_ne!(bytes("a.h5"), bytes("c.h5"));
}

#[test]
fn training_in_two_parts_is_training_in_one() {
    let folder = iris_folder();
    let path = folder.path();
    let common = "--data iris.csv --no-shuffle --batch-size 16 --verbose 0";
    run(
        path,
        &format!("train {common} --layers 6:tanh,3:softmax --epochs 6 --output whole.h5"),
    )
    .ok();
    run(
        path,
        &format!("train {common} --layers 6:tanh,3:softmax --epochs 4 --output part.h5"),
    )
    .ok();
    run(
        path,
        &format!("train {common} --model part.h5 --epochs 2 --output rest.h5"),
    )
    .ok();
    let whole = Sequential::load(path.join("whole.h5")).unwrap();
    let rest = Sequential::load(path.join("rest.h5")).unwrap();
    assert_eq!(whole.values(), rest.values());
}

#[test]
fn the_normalization_is_fitted_on_the_training_rows_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    // Mean of the first 3 of 4 rows: a = 2, variance 2/3; b is constant and gets variance 1.
    fs::write(
        path.join("d.csv"),
        "a,b,target\n1,5,0\n2,5,1\n3,5,0\n1000,6,1\n",
    )
    .unwrap();
    run(
        path,
        "train --data d.csv --layers 1 --validation-split 0.25 --verbose 0 --output m.h5",
    )
    .ok();
    let weights = Sequential::load(path.join("m.h5")).unwrap().get_weights();
    assert_eq!(weights[0].as_slice().unwrap(), [2.0, 5.0]);
    assert_eq!(weights[1].as_slice().unwrap(), [2.0 / 3.0, 1.0]);

    run(
        path,
        "train --data d.csv --layers 1 --no-normalize --verbose 0 --output m.h5",
    )
    .ok();
    let summary = run(path, "summary m.h5").ok();
    assert!(!summary.contains("normalization"), "{summary}");
}

#[test]
fn the_loss_follows_from_the_last_layer_and_the_metric_from_the_loss() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("d.csv"), "a,label\n1,0\n2,1\n3,0\n4,1\n").unwrap();
    for (layers, loss, metric) in [
        ("2:softmax", "sparse_categorical_crossentropy", "accuracy"),
        ("1:sigmoid", "binary_crossentropy", "accuracy"),
        ("1", "mean_squared_error", "mae"),
    ] {
        run(
            path,
            &format!(
                "train --data d.csv --layers {layers} --history h.json --verbose 0 --output m.h5"
            ),
        )
        .ok();
        let history = fs::read_to_string(path.join("h.json")).unwrap();
        assert!(history.contains(&format!("\"{metric}\"")), "{history}");
        let model = Sequential::load(path.join("m.h5")).unwrap();
        let config = model.compile_config().unwrap().to_string();
        assert!(config.contains(loss), "{config}");
    }
}

#[test]
fn rows_from_npy_with_one_hot_targets_and_validation_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let x = Array2::from_shape_fn((40, 3), |(i, j)| ((i * 7 + j * 3) % 11) as f32 / 11.0);
    let y = Array2::from_shape_fn((40, 2), |(i, j)| f32::from(u8::from(i % 2 == j)));
    let w = Array1::from_elem(40, 0.5);
    for (name, array) in [
        ("x", x.into_dyn()),
        ("y", y.into_dyn()),
        ("w", w.into_dyn()),
    ] {
        dataset::write_npy(&path.join(format!("{name}.npy")), &array).unwrap();
    }
    run(
        path,
        "train --x x.npy --y y.npy --validation-x x.npy --validation-y y.npy --layers 4:relu,2:softmax --sample-weight w.npy --batch-size none --epochs 3 --history h.json --verbose 0 --output m.keras",
    )
    .ok();
    let history: Value = serde_json::from_slice(&fs::read(path.join("h.json")).unwrap()).unwrap();
    assert_eq!(history["val_loss"].as_array().unwrap().len(), 3);
    assert_eq!(
        files(path),
        ["h.json", "m.keras", "w.npy", "x.npy", "y.npy"]
    );
    run(path, "evaluate m.keras --x x.npy --y y.npy").ok();
}

#[test]
fn archives_and_idx_files_go_where_tables_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    // Made by NumPy: uint8 of shape (rows, 2, 2), int64.
    fs::copy(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/arrays/d.npz"),
        path.join("d.npz"),
    )
    .unwrap();
    for name in ["x_train", "y_train", "x_test"] {
        let array = dataset::read_array(&path.join(format!("d.npz:{name}"))).unwrap();
        let sizes = array.shape().iter().map(|&size| size as u32);
        let sizes: Vec<u8> = sizes.flat_map(u32::to_be_bytes).collect();
        let values = array.iter().map(|&value| value as u8);
        let idx: Vec<u8> = [0, 0, 8, array.ndim() as u8]
            .into_iter()
            .chain(sizes)
            .chain(values)
            .collect();
        fs::write(path.join(format!("{name}-ubyte")), idx).unwrap();
    }
    let options =
        "--layers flatten,1:sigmoid --no-normalize --epochs 2 --seed 3 --verbose 0 --output";
    let found = run(
        path,
        &format!("train --data d.npz --validation-data d.npz {options} a.h5"),
    );
    assert!(
        found
            .stderr
            .contains("note: d.npz: features are d.npz:x_train, targets d.npz:y_train"),
        "{}",
        found.stderr
    );
    found.ok();
    run(
        path,
        &format!("train --x d.npz:x_train --y d.npz:y_train {options} b.h5"),
    )
    .ok();
    run(
        path,
        &format!("train --x x_train-ubyte --y y_train-ubyte {options} c.h5"),
    )
    .ok();
    let weights = |name: &str| Sequential::load(path.join(name)).unwrap().get_weights();
    assert_eq!(weights("a.h5"), weights("b.h5"));
    assert_eq!(weights("a.h5"), weights("c.h5"));
    let shown = run(path, "evaluate a.h5 --data d.npz").ok();
    assert!(shown.contains("1                   0  11"), "{shown}");
    let shown = run(
        path,
        "export a.h5 --calibrate d.npz --evaluate d.npz --output a.tnet",
    )
    .ok();
    assert!(shown.contains("20 rows"), "{shown}");
    let expected = run(path, "predict a.tnet --data x_test-ubyte").ok();
    assert_eq!(run(path, "predict a.tnet --data d.npz").ok(), expected);
    assert_eq!(expected.lines().count(), 21);
    let refused = run(
        path,
        &format!("train --x d.npz:x_train --y y_train-ubyte {options} d.h5 --history d.npz"),
    );
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("would overwrite"),
        "{}",
        refused.stderr
    );
    let refused = run(path, &format!("train --data x_train-ubyte {options} d.h5")).stderr;
    assert!(
        refused.contains("x_train-ubyte is an array, expected a table or an archive with features and targets; give --x x_train-ubyte --y TARGETS.npy"),
        "{refused}"
    );
}

#[test]
fn a_search_takes_its_options_from_a_file() {
    let folder = iris_folder();
    let path = folder.path();
    let search = "search --data iris.csv --flash 300 --trials 4 --seed 3 --output a.h5";
    let printed = run(path, &format!("{search} --print-config")).ok();
    assert!(
        printed.starts_with("# thumbnet search --config FILE\n"),
        "{printed}"
    );
    assert!(printed.contains("flash = 300\n"), "{printed}");
    assert_eq!(files(path), ["iris.csv", "numbers.csv"]);
    fs::write(path.join("run.toml"), printed.replace("a.h5", "b.h5")).unwrap();
    run(path, search).ok();
    run(path, "search --config run.toml").ok();
    let bytes = |name: &str| fs::read(path.join(name)).unwrap();
    assert_eq!(bytes("a.h5"), bytes("b.h5"));
}

#[test]
fn options_of_a_file_make_the_run_that_was_printed() {
    let folder = iris_folder();
    let path = folder.path();
    let printed = run(
        path,
        &format!("{TRAIN} --seed 7 --class-weight balanced --output a.h5 --print-config"),
    )
    .ok();
    assert!(
        printed.contains("seed = 7\n") && printed.contains("layers = [\""),
        "{printed}"
    );
    assert_eq!(files(path), ["iris.csv", "numbers.csv"]);
    fs::write(path.join("run.toml"), printed.replace("a.h5", "b.h5")).unwrap();
    run(
        path,
        &format!("{TRAIN} --seed 7 --class-weight balanced --output a.h5"),
    )
    .ok();
    run(path, "train --config run.toml").ok();
    let bytes = |name: &str| fs::read(path.join(name)).unwrap();
    assert_eq!(bytes("a.h5"), bytes("b.h5"));
    run(path, "train --config run.toml --seed 8 --output c.h5").ok();
    assert_ne!(bytes("a.h5"), bytes("c.h5"));
    fs::write(
        path.join("wrong.toml"),
        "data = \"iris.csv\"\nlayers = \"3:softmax\"\noutput = \"d.h5\"\nbatch_size = 0\n",
    )
    .unwrap();
    let wrong = run(path, "train --config wrong.toml");
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong
            .stderr
            .starts_with("error: wrong.toml: line 4: invalid value '0' for '--batch-size"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn a_recorded_run_is_made_again_with_the_same_bytes() {
    let folder = iris_folder();
    let path = folder.path();
    let train = format!(
        "{TRAIN} --seed 7 --output a.h5 --history=h.json --csv-log l.csv --record run.json"
    );
    run(path, &train).ok();
    let before = files(path);
    assert_eq!(
        before,
        [
            "a.h5",
            "h.json",
            "iris.csv",
            "l.csv",
            "numbers.csv",
            "run.json"
        ]
    );
    let shown = run(path, "reproduce run.json").ok();
    assert_eq!(shown.matches(", the same\n").count(), 3, "{shown}");
    assert_eq!(files(path), before);

    let record = fs::read_to_string(path.join("run.json")).unwrap();
    fs::write(path.join("other.json"), record.replace("\"7\"", "\"8\"")).unwrap();
    let other = run(path, "reproduce other.json");
    assert_eq!(other.code, Some(1));
    assert!(
        other
            .stderr
            .contains("a.h5, h.json, l.csv came out differently"),
        "{}",
        other.stderr
    );
    let mut rows = fs::read_to_string(path.join("iris.csv")).unwrap();
    rows.push_str("5,3,1,0,0\n");
    fs::write(path.join("iris.csv"), rows).unwrap();
    let changed = run(path, "reproduce run.json");
    assert_eq!(changed.code, Some(1));
    assert!(
        changed.stderr.starts_with("error: iris.csv: the file has "),
        "{}",
        changed.stderr
    );
    fs::write(path.join("no.json"), "{}").unwrap();
    let no = run(path, "reproduce no.json");
    assert!(
        no.stderr
            .contains("expected a record that train --record has written"),
        "{}",
        no.stderr
    );
    let same = run(path, &format!("{TRAIN} --output a.h5 --record a.h5"));
    assert_eq!(same.code, Some(2));
    assert!(
        same.stderr
            .contains("--record would overwrite a.h5 of --output"),
        "{}",
        same.stderr
    );
}

#[test]
fn two_models_differ_in_layers_weights_and_outputs() {
    let folder = iris_folder();
    let path = folder.path();
    let train = |options: &str| run(path, &format!("{TRAIN} {options}")).ok();
    train("--seed 7 --output a.h5");
    train("--seed 8 --output b.h5");
    run(
        path,
        "train --data iris.csv --layers 6:tanh,3:softmax --epochs 1 --verbose 0 --output c.h5",
    )
    .ok();
    for name in ["a", "b"] {
        run(
            path,
            &format!("export {name}.h5 --calibrate iris.csv --output {name}.tnet"),
        )
        .ok();
    }
    assert_eq!(
        run(path, "diff a.h5 a.h5").ok(),
        "the same layers and weights\n"
    );
    assert_eq!(run(path, "diff a.tnet a.tnet").ok(), "the same bytes\n");

    let weights = run(path, "diff a.h5 b.h5").ok();
    let kernels = weights
        .lines()
        .filter(|line| line.contains("kernel: ") && line.contains(" weights differ, by "));
    assert_eq!(kernels.count(), 2, "{weights}");
    let layers = run(path, "diff a.h5 c.h5").ok();
    for expected in [
        "dense: units is 8 and 6",
        "dense: activation is \"relu\" and \"tanh\"",
        "kernel: shape is [4, 8] and [4, 6]",
    ] {
        assert!(layers.contains(expected), "{layers}");
    }
    assert!(
        run(path, "diff a.tnet b.tnet")
            .ok()
            .contains(" bytes differ; the sizes are ")
    );

    let found: Value =
        serde_json::from_str(&run(path, "diff a.h5 a.tnet --data iris.csv --json").ok()).unwrap();
    let outputs = &found["outputs"];
    // The float model's and the device's outputs, worked out by predict.
    let predicted = |name: &str| -> Vec<f64> {
        let text = run(path, &format!("predict {name} --data iris.csv")).ok();
        let cells = text.lines().skip(1).flat_map(|line| line.split(','));
        cells
            .map(|cell| f64::from(cell.parse::<f32>().unwrap()))
            .collect()
    };
    let (float, device) = (predicted("a.h5"), predicted("a.tnet"));
    let largest = float
        .iter()
        .zip(&device)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    assert_eq!(outputs["rows"], 150);
    assert!(
        (outputs["largest_difference"].as_f64().unwrap() - largest).abs() < 1e-12,
        "{found} {largest}"
    );
    assert!(
        outputs["same_largest_output"].as_u64().unwrap() > 140,
        "{found}"
    );

    let kinds = run(path, "diff a.h5 a.tnet");
    assert_eq!(kinds.code, Some(2));
    assert!(
        kinds.stderr.contains("add --data rows.csv"),
        "{}",
        kinds.stderr
    );
}

#[test]
fn help_and_version_go_to_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    for line in ["--help", "--version", "train --help", "demo --help"] {
        assert!(run(folder.path(), line).ok().contains("thumbnet"));
    }
    let nothing = run(folder.path(), "");
    assert_eq!(nothing.code, Some(2));
    assert!(
        nothing.stderr.contains("Usage: thumbnet"),
        "{}",
        nothing.stderr
    );
}

#[test]
fn the_demo_leaves_two_models_that_agree() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let shown = run(path, "demo --verbose 0").ok();
    let percent = |name: &str| -> f64 {
        let line = shown.lines().find(|line| line.contains(name)).unwrap();
        let after = line.split_once(name).unwrap().1;
        after.split_whitespace().next().unwrap().parse().unwrap()
    };
    let (float, int8) = (percent("float32"), percent("int8 "));
    assert!(float >= 96.0 && (float - int8).abs() <= 1.0, "{shown}");
    assert!(
        shown.contains("360 of 360 test rows gave the same bits") || shown.contains("left out: "),
        "{shown}"
    );
    assert_eq!(files(path), ["model.h5", "model.tnet"]);
    let inspected = run(path, "inspect model.tnet").ok();
    assert!(
        inspected.contains("0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        "{inspected}"
    );
}

#[test]
fn a_killed_run_with_a_backup_ends_as_if_it_had_not_been_killed() {
    let folder = iris_folder();
    let path = folder.path();
    let train = "train --data iris.csv --layers 64:relu,dropout:0.2,64:relu,3:softmax --epochs 300 --verbose 0 --seed 3";
    run(path, &format!("{train} --output whole.h5")).ok();
    let line = format!("{train} --output resumed.h5 --backup-dir backup");
    // Killed as soon as there is a backup, then twice more wherever it is by then.
    for pause in [0, 10, 20] {
        let mut child = command(path, line.split_whitespace()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() && !path.join("backup").exists() {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(
            pause > 0 || !path.join("resumed.h5").exists(),
            "the run was not killed in time"
        );
    }
    run(path, &line).ok();
    assert_eq!(
        fs::read(path.join("whole.h5")).unwrap(),
        fs::read(path.join("resumed.h5")).unwrap()
    );
}

#[test]
fn checkpoints_are_files_of_their_own() {
    let folder = iris_folder();
    let path = folder.path();
    let train =
        "train --data iris.csv --layers 3:softmax --epochs 3 --validation-split 0.2 --verbose 0";
    run(
        path,
        &format!("{train} --checkpoint at-{{epoch:02d}}.keras --output model.h5"),
    )
    .ok();
    run(
        path,
        &format!(
            "{train} --checkpoint best.weights.h5 --save-best-only --monitor loss --output model.h5"
        ),
    )
    .ok();
    assert_eq!(
        files(path),
        [
            "at-01.keras",
            "at-02.keras",
            "at-03.keras",
            "best.weights.h5",
            "iris.csv",
            "model.h5",
            "numbers.csv"
        ]
    );
    let last = Sequential::load(path.join("at-03.keras")).unwrap();
    let model = Sequential::load(path.join("model.h5")).unwrap();
    assert_eq!(last.values(), model.values());
}

#[test]
fn early_stopping_gives_back_the_best_epoch() {
    let folder = iris_folder();
    let path = folder.path();
    // Sorted rows: the last fifth is a class that training never sees, so that val_loss only grows.
    let line = "train --data iris.csv --layers 3:softmax --epochs 50 --learning-rate 0.1 --validation-split 0.2 --early-stopping 2 --restore-best-weights --history h.json --verbose 0 --output model.h5";
    run(path, line).ok();
    let history: Value = serde_json::from_slice(&fs::read(path.join("h.json")).unwrap()).unwrap();
    let losses = history["val_loss"].as_array().unwrap();
    let best = losses
        .iter()
        .map(|loss| loss.as_f64().unwrap())
        .fold(f64::INFINITY, f64::min);
    assert!(
        losses.len() < 50 && losses[losses.len() - 3] == best,
        "{losses:?}"
    );
}

#[test]
fn weights_alone_are_loaded_into_a_model() {
    let folder = iris_folder();
    let path = folder.path();
    let train = "train --data iris.csv --verbose 0 --no-shuffle";
    // Two epochs, and what they leave: a model after one, weights after each.
    run(
        path,
        &format!("{train} --layers 4:tanh,3:softmax --epochs 2 --checkpoint {{epoch}}.weights.h5 --output two.h5"),
    )
    .ok();
    run(
        path,
        &format!("{train} --layers 4:tanh,3:softmax --epochs 1 --seed 9 --output other.h5"),
    )
    .ok();
    let predict = |words: &str| run(path, &format!("predict {words} --data iris.csv")).ok();
    assert_ne!(predict("other.h5"), predict("two.h5"));
    assert_eq!(
        predict("other.h5 --weights 2.weights.h5"),
        predict("two.h5")
    );
    let evaluate = |words: &str| run(path, &format!("evaluate {words} --data iris.csv")).ok();
    assert_eq!(
        evaluate("other.h5 --weights 2.weights.h5"),
        evaluate("two.h5")
    );
    // Adam's state is in the weights' file too.
    run(
        path,
        &format!("{train} --model other.h5 --weights 1.weights.h5 --epochs 2 --initial-epoch 1 --output again.h5"),
    )
    .ok();
    assert_eq!(
        Sequential::load(path.join("again.h5")).unwrap().values(),
        Sequential::load(path.join("two.h5")).unwrap().values()
    );
}

#[test]
fn callbacks_come_from_options_and_from_a_file() {
    let folder = iris_folder();
    let path = folder.path();
    fs::write(
        path.join("callbacks.json"),
        r#"[{"class_name": "LearningRateScheduler", "config": {"schedule": [0.5, 0.25]}},
            {"class_name": "CSVLogger", "config": {"filename": "tabs.csv", "separator": "\t"}}]"#,
    )
    .unwrap();
    let line = "train --data iris.csv --layers 3:softmax --epochs 3 --callbacks callbacks.json --csv-log log.csv --history h.json --verbose 0 --output m.h5";
    run(path, line).ok();
    let history: Value = serde_json::from_slice(&fs::read(path.join("h.json")).unwrap()).unwrap();
    assert_eq!(
        history["learning_rate"],
        serde_json::json!([0.5, 0.25, 0.25])
    );
    let text = |name: &str| fs::read_to_string(path.join(name)).unwrap();
    let mut expected = vec![
        "epoch,accuracy,learning_rate,loss,val_accuracy,val_learning_rate,val_loss".to_string(),
    ];
    for epoch in 0..3 {
        let value = |name: &str| history[name][epoch].clone();
        expected.push(format!(
            "{epoch},{},{},{},NA,NA,NA",
            value("accuracy"),
            value("learning_rate"),
            value("loss")
        ));
    }
    let lines: Vec<_> = text("log.csv")
        .split_terminator("\r\n")
        .map(str::to_string)
        .collect();
    assert_eq!(lines, expected);
    assert_eq!(text("tabs.csv"), text("log.csv").replace(',', "\t"));

    // Too far, and stopped at the first sign of it.
    let line = "train --data numbers.csv --layers 1 --optimizer sgd --learning-rate 1e30 --epochs 9 --batch-size 16 --terminate-on-nan --history h.json --verbose 0 --output m.h5";
    let stopped = run(path, line);
    assert_eq!(stopped.code, Some(1));
    let stopped = run(path, &format!("{line} --allow-nan"));
    assert_eq!(stopped.code, Some(0));
    assert!(
        stopped.stdout.starts_with("Batch ")
            && stopped
                .stdout
                .ends_with(": Invalid loss, terminating training\n"),
        "{}",
        stopped.stdout
    );
    let history: Value = serde_json::from_slice(&fs::read(path.join("h.json")).unwrap()).unwrap();
    assert_eq!(history["loss"], serde_json::json!([null]));
}
