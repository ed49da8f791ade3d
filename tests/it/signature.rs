//! A model's columns and classes travel in its file: tables are matched to them by name.

use std::{fs, path::Path};

use serde_json::Value;
use tempfile::TempDir;
use thumbnet_tests::command::{Finished, thumbnet};
use thumbnet_trainer::{Sequential, Signature, Task};

/// A folder with the tables and a model of three classes, trained on `tr.csv`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/tables");
    for entry in fs::read_dir(tables).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

fn run(folder: &TempDir, line: &str) -> Finished {
    thumbnet(folder.path(), line.split_whitespace())
}

const FIT: &str = "--epochs 60 --learning-rate 0.02 --verbose 0";

fn train_three_classes(folder: &TempDir, output: &str) {
    run(
        folder,
        &format!("train --data tr.csv --layers 8:relu,3:softmax {FIT} --output {output}"),
    )
    .ok();
}

fn accuracy(folder: &TempDir, line: &str) -> f64 {
    let printed = run(folder, &format!("evaluate {line} --json")).ok();
    let values: Value = serde_json::from_str(&printed).unwrap();
    values["accuracy"].as_f64().unwrap()
}

#[test]
fn training_from_a_table_says_what_inputs_and_outputs_are() {
    let folder = folder();
    for output in ["m.h5", "m.keras"] {
        train_three_classes(&folder, output);
        let model = Sequential::load(folder.path().join(output)).unwrap();
        let expected = Signature::new(Task::MultiClass)
            .with_features(["a", "b", "c"])
            .with_targets(["label"])
            .with_classes(["setosa", "versicolor", "virginica"]);
        assert_eq!(model.signature(), Some(&expected), "{output}");
    }
}

#[test]
fn a_table_with_some_classes_or_with_its_columns_in_another_order_is_scored_rightly() {
    let folder = folder();
    train_three_classes(&folder, "m.h5");
    // The classes lie apart: every row is decided rightly, in whatever order its columns are.
    for table in ["te_all.csv", "te_12.csv", "te_sw.csv"] {
        assert_eq!(accuracy(&folder, &format!("m.h5 --data {table}")), 1.0);
    }
    let in_order = run(&folder, "predict m.h5 --data te_all.csv").ok();
    let table = fs::read_to_string(folder.path().join("te_all.csv")).unwrap();
    let reversed: String = table
        .lines()
        .map(|line| line.split(',').rev().collect::<Vec<_>>().join(",") + ",1\n")
        .collect();
    let reversed = reversed.replacen(",1\n", ",more\n", 1);
    fs::write(folder.path().join("reversed.csv"), reversed).unwrap();
    let turned = run(&folder, "predict m.h5 --data reversed.csv");
    assert_eq!(
        turned.stderr,
        "note: reversed.csv: not of the model and left out: \"more\"\n"
    );
    assert_eq!(turned.stdout, in_order);
}

#[test]
fn training_goes_on_with_the_models_classes() {
    let folder = folder();
    train_three_classes(&folder, "m.h5");
    let first = run(
        &folder,
        "train --model m.h5 --data te_12.csv --validation-data te_sw.csv --epochs 1 --verbose 2 --output on.h5",
    )
    .ok();
    // Wrong labels would begin near 0.
    assert!(first.contains("accuracy: 1.0000"), "{first}");
    assert!(first.contains("val_accuracy: 1.0000"), "{first}");
    let of = |file: &str| {
        let model = Sequential::load(folder.path().join(file)).unwrap();
        model.signature().cloned()
    };
    assert_eq!(of("on.h5"), of("m.h5"));
}

#[test]
fn what_does_not_match_is_named() {
    let folder = folder();
    train_three_classes(&folder, "m.h5");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("missing.csv", "a,b,C,label\n1,2,3,setosa\n");
    assert_eq!(
        run(&folder, "evaluate m.h5 --data missing.csv").error(1),
        "missing.csv:1: there is no column \"c\", expected a, b, c, and \"C\" is not of the model; add the column, or give it the model's name in the header; did you mean \"C\"?"
    );
    write("unknown.csv", "a,b,c,label\n1,2,3,setosa\n1,2,3,Setosa\n");
    for verb in [
        "evaluate m.h5 --data unknown.csv",
        "train --model m.h5 --data unknown.csv --output x.h5",
        "export m.h5 --calibrate tr.csv --evaluate unknown.csv --output x.tnet",
    ] {
        assert_eq!(
            run(&folder, verb).error(1),
            "unknown.csv:3: column \"label\" is \"Setosa\", expected one of the model's classes setosa, versicolor, virginica; did you mean \"setosa\"?"
        );
    }
    assert_eq!(
        run(&folder, "evaluate m.h5 --data te_12.csv --classes x,y,z").error(2),
        "--classes says x, y, z, but m.h5 has the classes setosa, versicolor, virginica; leave --classes out"
    );
    assert_eq!(
        run(&folder, "predict m.h5 --data te_12.csv --features c,b,a").error(2),
        "m.h5 names its columns, a, b, c; leave --features and --drop out"
    );
    assert_eq!(
        run(&folder, "evaluate m.h5 --data te_12.csv --target a").error(1),
        "te_12.csv:1: column \"a\" is a feature and cannot be the target too; name another with --target"
    );
}

#[test]
fn a_model_without_names_says_what_it_assumes_and_never_guesses_classes() {
    let folder = folder();
    let old = "without_signature.h5";
    let whole = run(&folder, &format!("evaluate {old} --data te_all.csv"));
    assert_eq!(
        whole.stderr,
        "note: without_signature.h5 names no columns: assumed from te_all.csv that its inputs are a, b, c, and that its classes are setosa, versicolor, virginica\n"
    );
    for verb in [
        format!("evaluate {old} --data te_12.csv"),
        format!("train --model {old} --data te_12.csv --output x.h5"),
    ] {
        assert_eq!(
            run(&folder, &verb).error(1),
            "te_12.csv: the labels are of 2 classes, versicolor, virginica, expected 3 as the model's last layer tells apart; name all of them in the order of its outputs with --classes"
        );
    }
    // 58 of 60, as of the rows of all classes.
    let named = format!("{old} --data te_12.csv --classes setosa,versicolor,virginica");
    assert!((accuracy(&folder, &named) - 58.0 / 60.0).abs() < 1e-6);
}

#[test]
fn the_device_has_the_models_names_whatever_the_calibration_rows_are() {
    let folder = folder();
    run(
        &folder,
        &format!("train --data b_tr.csv --layers 8:relu,1:sigmoid {FIT} --output b.keras"),
    )
    .ok();
    assert_eq!(accuracy(&folder, "b.keras --data b_sick.csv"), 1.0);
    run(
        &folder,
        "export b.keras --calibrate b_sick.csv --output b.tnet",
    )
    .ok();
    let printed = run(&folder, "inspect b.tnet --json").ok();
    let inspected: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(inspected["labels"], serde_json::json!(["healthy", "sick"]));
    assert_eq!(accuracy(&folder, "b.tnet --data b_sick.csv"), 1.0);
    // The same of a model that has no names, from a file that has only some.
    assert_eq!(
        run(
            &folder,
            "export without_signature.h5 --calibrate te_12.csv --output x.tnet"
        )
        .error(1),
        "te_12.csv: the labels are of 2 classes, versicolor, virginica, expected 3 as the model tells apart; name all of them in the order of its outputs with --classes"
    );
}

#[test]
fn classes_that_are_numbers_have_them_for_names() {
    let folder = folder();
    let table = fs::read_to_string(folder.path().join("tr.csv")).unwrap();
    let numbered = table
        .replace("setosa", "0")
        .replace("versicolor", "1.0")
        .replace("virginica", "2");
    fs::write(folder.path().join("numbers.csv"), numbered).unwrap();
    run(
        &folder,
        &format!("train --data numbers.csv --layers 8:relu,3:softmax {FIT} --output n.h5"),
    )
    .ok();
    let model = Sequential::load(folder.path().join("n.h5")).unwrap();
    assert_eq!(model.signature().unwrap().classes, ["0", "1", "2"]);
    assert_eq!(accuracy(&folder, "n.h5 --data numbers.csv"), 1.0);
    // They may be given names.
    let named = "n.h5 --data te_12.csv --classes setosa,versicolor,virginica";
    assert_eq!(accuracy(&folder, named), 1.0);
    assert_eq!(
        run(&folder, "evaluate n.h5 --data te_12.csv").error(1),
        "te_12.csv:2: column \"label\" is \"versicolor\", expected one of the model's classes 0, 1, 2"
    );
}

#[test]
fn the_number_of_a_row_is_no_feature() {
    let folder = folder();
    let trained = run(
        &folder,
        "train --data pd.csv --layers 8:relu,1:sigmoid --epochs 100 --verbose 0 --output p.h5",
    );
    assert_eq!(
        trained.stderr,
        "note: pd.csv: a column without a name numbers the rows and is left out; give it a name and insist with --keep\n"
    );
    // The labels are noise: with the number of the row they would be told apart.
    let found = accuracy(&folder, "p.h5 --data pd.csv");
    assert!(found < 0.75, "{found}");
    let only = "train --data pd.csv --features b --layers 1:sigmoid --verbose 0 --output b.h5";
    run(&folder, only).ok();
    let features = |file: &str| {
        let model = Sequential::load(folder.path().join(file)).unwrap();
        model.signature().unwrap().features.clone()
    };
    assert_eq!(features("p.h5"), ["a", "b"]);
    assert_eq!(features("b.h5"), ["b"]);
    run(
        &folder,
        "train --data pd.csv --drop a --layers 1:sigmoid --verbose 0 --output d.h5",
    )
    .ok();
    assert_eq!(features("d.h5"), ["b"]);
}

#[test]
fn a_typo_among_the_labels_is_named_by_its_own_line() {
    let folder = folder();
    assert_eq!(
        run(
            &folder,
            "train --data typo.csv --layers 8:relu,3:softmax --output x.h5"
        )
        .error(1),
        "typo.csv:6: label \"Virginica\", of 1 row, makes 4 classes, expected 3 as the model's last layer tells apart; it is nearly \"virginica\", of 49 rows: correct the cell if that is meant; else give the last layer 4 units"
    );
    assert_eq!(
        run(
            &folder,
            "train --data tr.csv --layers 8:relu,1 --output x.h5"
        )
        .error(1),
        "tr.csv: the labels are classes, setosa, versicolor, virginica, but the model predicts numbers with the loss mean_squared_error; end --layers with 3:softmax"
    );
    assert!(!folder.path().join("x.h5").exists());
}
