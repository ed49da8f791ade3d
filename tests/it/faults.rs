//! What goes wrong around a command: a full disk, a reader that goes away, outputs that are inputs, files
//! that lie about their size, a training that becomes NaN. Nothing is lost, and nothing passes without a
//! word.

use std::{
    fs::{self, File},
    process::Stdio,
};

use ndarray::arr1;
use thumbnet_tests::{
    command::{Finished, command},
    iris::{TRAIN, files, folder as iris_folder, models as iris_models, run},
};
use thumbnet_trainer::{Dataset, Sequential, dataset};

/// A folder with iris.csv, x.npy of its features, model.h5 and model.tnet.
fn models() -> tempfile::TempDir {
    let folder = iris_models();
    let path = folder.path();
    let rows = Dataset::iris();
    dataset::write_npy(&path.join("x.npy"), &rows.x).unwrap();
    folder
}

#[cfg(target_os = "linux")]
#[test]
fn a_standard_output_that_is_full_is_an_error_of_every_verb() {
    let folder = models();
    for line in [
        "predict model.h5 --data iris.csv",
        "evaluate model.h5 --data iris.csv",
        "evaluate model.h5 --data iris.csv --json",
        "summary model.h5",
        "inspect model.tnet",
        "inspect model.tnet --json",
        "export model.h5 --calibrate iris.csv --output n.tnet",
        "train --data iris.csv --layers 3:softmax --epochs 2 --verbose 2 --output n.h5",
        "demo --epochs 1 --verbose 2",
        "--help",
        "--version",
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let finished: Finished = command(folder.path(), line.split_whitespace())
            .stdout(full)
            .output()
            .unwrap()
            .into();
        assert_eq!(
            finished.error(1),
            "standard output: No space left on device (os error 28); what was printed is not complete",
            "{line}"
        );
    }
    // What was asked for is there all the same.
    assert!(Sequential::load(folder.path().join("n.h5")).is_ok());
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_ends_the_command_without_a_word() {
    let folder = models();
    for line in [
        "predict model.h5 --data iris.csv",
        "evaluate model.h5 --data iris.csv",
        "summary model.h5",
        "inspect model.tnet",
        "export model.h5 --calibrate iris.csv --output n.tnet",
        "train --data iris.csv --layers 3:softmax --epochs 20 --verbose 2 --output n.h5",
        "--help",
    ] {
        let mut child = command(folder.path(), line.split_whitespace())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let finished: Finished = child.wait_with_output().unwrap().into();
        assert_eq!(finished.code, Some(0), "{line}: {}", finished.stderr);
        assert_eq!(finished.ok(), "", "{line}");
    }
    assert!(Sequential::load(folder.path().join("n.h5")).is_ok());
}

#[test]
fn outputs_that_are_inputs_or_each_other_are_refused_before_the_work() {
    let folder = models();
    let path = folder.path();
    fs::write(
        path.join("c.json"),
        r#"[{"class_name": "CSVLogger", "config": {"filename": "iris.csv"}}]"#,
    )
    .unwrap();
    fs::hard_link(path.join("x.npy"), path.join("hard.npy")).unwrap();
    fs::copy(path.join("model.h5"), path.join("w.weights.h5")).unwrap();
    let before: Vec<_> = files(path)
        .iter()
        .map(|name| fs::read(path.join(name)).unwrap())
        .collect();
    let train = "train --data iris.csv --layers 3:softmax";
    for (line, message) in [
        (
            "predict model.h5 --data iris.csv --output iris.csv".to_string(),
            "--output would overwrite iris.csv of --data; give --output another name",
        ),
        (
            "predict model.h5 --x x.npy --output ./x.npy".to_string(),
            "--output would overwrite ./x.npy, the same file as x.npy, of --x; give --output another name",
        ),
        (
            "predict model.h5 --x x.npy --output hard.npy".to_string(),
            "--output would overwrite hard.npy, the same file as x.npy, of --x; give --output another name",
        ),
        (
            format!("{train} --output n.h5 --csv-log iris.csv"),
            "--csv-log would overwrite iris.csv of --data; give --csv-log another name",
        ),
        (
            format!("{train} --output n.h5 --callbacks c.json"),
            "--callbacks would overwrite iris.csv of --data; give --callbacks another name",
        ),
        (
            format!("{train} --output n.h5 --checkpoint n.h5"),
            "--checkpoint would overwrite n.h5 of --output; give --checkpoint another name",
        ),
        (
            "train --data iris.csv --model model.h5 --weights w.weights.h5 --checkpoint w.weights.h5 --output n.h5".to_string(),
            "--checkpoint would overwrite w.weights.h5 of --weights; give --checkpoint another name",
        ),
        (
            "train --data iris.csv --model model.h5 --output model.h5".to_string(),
            "--output would overwrite model.h5 of --model; give --output another name",
        ),
        (
            format!("{train} --output n.h5 --history c.json --callbacks c.json"),
            "--history would overwrite c.json of --callbacks; give --history another name",
        ),
        (
            "export model.h5 --calibrate iris.csv --output r.html --report r.html".to_string(),
            "--report would overwrite r.html of --output; give --report another name",
        ),
        (
            "export model.h5 --calibrate iris.csv --output n.tnet --report r.json --report ./r.json".to_string(),
            "--report would overwrite ./r.json, the same file as r.json, of --report; give --report another name",
        ),
    ] {
        assert_eq!(run(path, &line).error(2), message, "{line}");
    }
    let after: Vec<_> = files(path)
        .iter()
        .map(|name| fs::read(path.join(name)).unwrap())
        .collect();
    assert!(before == after);
}

#[test]
fn a_training_that_becomes_nan_overwrites_nothing_unless_told_to() {
    let folder = models();
    let path = folder.path();
    let good = fs::read(path.join("model.h5")).unwrap();
    fs::copy(path.join("model.h5"), path.join("check.h5")).unwrap();
    let line = "train --data numbers.csv --layers 1 --optimizer sgd --learning-rate 1e30 --epochs 9 --verbose 0 --checkpoint check.h5 --output model.h5";
    let message = run(path, line).error(1);
    assert!(
        message.starts_with("the loss is ")
            && message.ends_with(
                " in epoch 1, and nothing is saved of it; the likely cause is --learning-rate, now 1e30: try 1e29; --allow-nan goes on and saves it all the same"
            ),
        "{message}"
    );
    for name in ["model.h5", "check.h5"] {
        assert!(fs::read(path.join(name)).unwrap() == good, "{name}");
    }
    // Raw values of a million.
    let rows = Dataset::iris();
    dataset::write_npy(&path.join("big.npy"), &(&rows.x * 1e30)).unwrap();
    dataset::write_npy(&path.join("y.npy"), rows.y.as_ref().unwrap()).unwrap();
    let line = "train --x big.npy --y y.npy --layers 1 --optimizer sgd --epochs 2 --verbose 0 --output model.h5";
    let message = run(path, line).error(1);
    assert!(
        message.contains("inputs reach 7.9e30 in column 1: train with a Normalization layer in front (--normalize for .npy)"),
        "{message}"
    );
    assert!(fs::read(path.join("model.h5")).unwrap() == good);
    let told = run(path, &format!("{line} --allow-nan"));
    assert_eq!(told.code, Some(0), "{}", told.stderr);
    assert!(
        told.stderr
            .starts_with("warning: training ended with weights that are not finite"),
        "{}",
        told.stderr
    );
    assert!(fs::read(path.join("model.h5")).unwrap() != good);
}

#[test]
fn names_with_escapes_are_shown_and_not_obeyed() {
    let folder = iris_folder();
    let path = folder.path();
    let text = fs::read_to_string(path.join("iris.csv")).unwrap();
    fs::write(
        path.join("iris.csv"),
        text.replace("setosa", "se\u{1b}[31mto\u{9b}sa"),
    )
    .unwrap();
    run(path, &format!("{TRAIN} --output model.h5")).ok();
    run(
        path,
        "export model.h5 --calibrate iris.csv --output model.tnet",
    )
    .ok();
    for line in [
        "inspect model.tnet",
        "inspect model.tnet --json",
        "predict model.tnet --data iris.csv",
        "evaluate model.tnet --data iris.csv",
    ] {
        let finished = run(path, line);
        let shown = format!("{}{}", finished.stdout, finished.stderr);
        assert!(
            !shown.chars().any(|c| c.is_control() && c != '\n'),
            "{line}: {shown}"
        );
    }
    let shown = run(path, "inspect model.tnet").ok();
    assert!(shown.contains("se\\u{1b}[31mto\\u{9b}sa"), "{shown}");
    let json = run(path, "inspect model.tnet --json").ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["labels"][0], "se\u{1b}[31mto\u{9b}sa");
}

#[test]
fn fractional_classes_are_refused_in_arrays_too() {
    let folder = models();
    let path = folder.path();
    let mut y = vec![0.0; 150];
    y[41] = 1.5;
    dataset::write_npy(&path.join("y.npy"), &arr1(&y).into_dyn()).unwrap();
    let message = "y.npy: data row 42: label 1.5 is no class, expected a whole number from 0; number the classes, or train on numbers with --loss mse";
    for line in [
        "train --x x.npy --y y.npy --layers 3:softmax --output n.h5",
        "evaluate model.h5 --x x.npy --y y.npy",
        "evaluate model.tnet --x x.npy --y y.npy",
    ] {
        assert_eq!(run(path, line).error(1), message, "{line}");
    }
}

#[test]
fn two_trainings_do_not_share_a_backup() {
    let folder = iris_folder();
    let path = folder.path();
    fs::create_dir(path.join("backup")).unwrap();
    let lock = File::create(path.join("backup/.lock")).unwrap();
    lock.lock().unwrap();
    let line =
        "train --data iris.csv --layers 3:softmax --verbose 0 --backup-dir backup --output m.h5";
    assert_eq!(
        run(path, line).error(1),
        "backup: another training keeps its backups here, expected a folder of its own for each; give another one, or wait for its end"
    );
    drop(lock);
    run(path, line).ok();
    assert!(!path.join("backup").exists());
}

#[cfg(unix)]
#[test]
fn devices_without_an_end_are_refused() {
    let folder = models();
    let path = folder.path();
    let endless = "/dev/zero: this is a device or a pipe that goes on after 64 MiB, expected a file; save it to the disk first";
    for (line, message) in [
        (
            "evaluate model.h5 --data /dev/zero",
            "/dev/zero: this is no text, expected a table such as CSV; save the table as CSV",
        ),
        ("predict /dev/zero --data iris.csv", endless),
        (
            "train --data iris.csv --layers 3:softmax --compile /dev/zero --output n.h5",
            endless,
        ),
        (
            "predict model.h5 --x /dev/zero",
            "/dev/zero: this is no text, expected a table such as CSV; save the table as CSV",
        ),
    ] {
        assert_eq!(run(path, line).error(1), message, "{line}");
    }
}
