//! Rows kept from training: for the score at the end, for validation, for cross-validation.

use std::{fs, path::Path};

use ndarray::{Array1, Axis};
use thumbnet_tests::iris::{folder, run};
use thumbnet_trainer::{
    Dataset, Sequential,
    dataset::{CsvOptions, SplitOptions},
    layers::{Dense, Input, Normalization},
    training::FitOptions,
};

/// The number behind a word of a line.
fn number(text: &str, before: &str) -> f64 {
    let (_, rest) = text
        .split_once(before)
        .unwrap_or_else(|| panic!("no {before:?}: {text}"));
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    rest[..end]
        .parse()
        .unwrap_or_else(|_| panic!("no number behind {before:?}: {text}"))
}

fn accuracy(model: &Sequential, rows: &Dataset) -> f64 {
    let outputs = model.predict(&rows.x).unwrap();
    let right = outputs
        .outer_iter()
        .zip(rows.y.as_ref().unwrap())
        .filter(|(row, label)| {
            let best = row.iter().copied().fold(f32::MIN, f32::max);
            row.iter().position(|&value| value == best) == Some(**label as usize)
        });
    right.count() as f64 / rows.rows() as f64
}

#[test]
fn the_score_at_the_end_is_of_rows_that_were_kept_from_training() {
    let folder = folder();
    let text = run(
        folder.path(),
        "train --data iris.csv --layers 8:relu,3:softmax --epochs 15 --test-split 0.3 --seed 4 --output m.h5",
    )
    .ok();
    let data = Dataset::from_csv(folder.path().join("iris.csv"), &CsvOptions::default()).unwrap();
    let options = SplitOptions {
        seed: 4,
        stratify: true,
    };
    let (train, test) = data.clone().split(0.3, options).unwrap();
    let model = Sequential::load(folder.path().join("m.h5")).unwrap();
    // The mean of the inputs shows which rows it was trained on.
    let mean = train.x.mean_axis(Axis(0)).unwrap();
    for (found, expected) in model.get_weights()[0].iter().zip(&mean) {
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
    }
    assert!(
        text.contains("45 rows to test on, neither trained nor validated on: accuracy "),
        "{text}"
    );
    let expected = accuracy(&model, &test);
    assert!(
        (number(&text, "validated on: accuracy ") - expected).abs() < 5e-5,
        "{text}"
    );
    assert_ne!(
        format!("{expected:.4}"),
        format!("{:.4}", accuracy(&model, &data))
    );
    assert_eq!(number(&text, " in int8, "), 0.3333, "{text}");
    for class in ["setosa", "versicolor", "virginica"] {
        let row = text.lines().find(|line| line.starts_with(class)).unwrap();
        assert_eq!(row.split_whitespace().last(), Some("15"), "{text}");
    }
}

#[test]
fn without_epochs_a_training_stops_by_itself() {
    let folder = folder();
    let train = "train --data iris.csv --layers 8:relu,3:softmax --learning-rate 0.05 --verbose 0 --history";
    let by_itself = run(folder.path(), &format!("{train} a.json --output a.h5"));
    assert_eq!(
        by_itself.stderr,
        "note: up to 200 epochs, until val_loss of 20 % of the rows, drawn at random, has not fallen for 10 of them; --epochs N trains N\n"
    );
    let options =
        "--epochs 200 --validation-split 0.2 --stratify --early-stopping 10 --restore-best-weights";
    run(
        folder.path(),
        &format!("{train} b.json {options} --output b.h5"),
    )
    .ok();
    let file = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert_eq!(file("a.h5"), file("b.h5"));
    let history: serde_json::Value = serde_json::from_slice(&file("a.json")).unwrap();
    let epochs = history["val_loss"].as_array().unwrap().len();
    assert!((11..200).contains(&epochs), "{epochs}");
}

#[test]
fn folds_are_scored_on_rows_that_their_models_have_not_seen() {
    let folder = folder();
    let text = run(
        folder.path(),
        "train --data iris.csv --layers 8:relu,3:softmax --epochs 20 --cv 4 --verbose 2 --output m.h5",
    )
    .ok();
    let folds: Vec<f64> = (1..=4)
        .map(|fold| number(&text, &format!("fold {fold} of 4: accuracy ")))
        .collect();
    let mean = folds.iter().sum::<f64>() / 4.0;
    let variance = folds.iter().map(|fold| (fold - mean).powi(2)).sum::<f64>() / 3.0;
    assert!(
        (number(&text, "4 folds: accuracy ") - mean).abs() < 1e-4,
        "{text}"
    );
    assert!(
        (number(&text, " ± ") - variance.sqrt()).abs() < 2e-4,
        "{text}"
    );
    // The model that is saved is that of a training without folds.
    run(
        folder.path(),
        "train --data iris.csv --layers 8:relu,3:softmax --epochs 20 --verbose 0 --output n.h5",
    )
    .ok();
    let file = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert_eq!(file("m.h5"), file("n.h5"));
    let error = run(
        folder.path(),
        "train --data iris.csv --layers 3:softmax --epochs 1 --cv 1 --output m.h5",
    );
    assert_eq!(
        error.error(1),
        "150 rows cannot be divided into 1 folds, expected 2 to 150"
    );
}

#[test]
fn rows_of_a_group_are_on_one_side() {
    let folder = folder();
    let text = fs::read_to_string(folder.path().join("iris.csv")).unwrap();
    // Three rows of each plant, one after the other; its number would give the class away.
    let mut grouped = String::new();
    for (place, line) in text.lines().enumerate() {
        let plant = match place {
            0 => "plant".to_string(),
            _ => format!("p{}", (place - 1) / 3),
        };
        grouped += &format!("{plant},{line}\n");
    }
    fs::write(folder.path().join("plants.csv"), grouped).unwrap();
    let train = "train --data plants.csv --layers 3:softmax --epochs 2 --output m.h5";
    let text = run(
        folder.path(),
        &format!("{train} --group plant --test-split 0.2"),
    )
    .ok();
    assert!(text.contains("30 rows to test on"), "{text}");
    let model = Sequential::load(folder.path().join("m.h5")).unwrap();
    assert_eq!(model.signature().unwrap().features.len(), 4);
    let options = CsvOptions {
        group: Some("plant".into()),
        ..CsvOptions::default()
    };
    let data = Dataset::from_csv(folder.path().join("plants.csv"), &options).unwrap();
    let (train_rows, test) = data
        .split(
            0.2,
            SplitOptions {
                seed: 0,
                stratify: true,
            },
        )
        .unwrap();
    let of = |data: &Dataset| data.groups.clone().unwrap();
    assert!(
        of(&test)
            .iter()
            .all(|plant| !of(&train_rows).contains(plant))
    );
    for (line, code, expected) in [
        (
            "--group plant",
            2,
            "--group is given, but no rows are kept from training; add --test-split 0.2, --validation-split 0.2 or --cv 5",
        ),
        (
            "--group plnt --cv 5",
            1,
            "plants.csv:1: there is no column \"plnt\" of groups, the columns are plant, sepal_length, sepal_width, petal_length, petal_width, label; did you mean \"plant\"?",
        ),
        (
            "--group label --cv 5",
            1,
            "plants.csv:1: column \"label\" is the target and cannot name the groups too; name the target with --target",
        ),
    ] {
        assert_eq!(
            run(folder.path(), &format!("{train} {line}")).error(code),
            expected
        );
    }
}

#[test]
fn classes_weigh_the_same_where_that_is_asked_for() {
    let folder = folder();
    let text = fs::read_to_string(folder.path().join("iris.csv")).unwrap();
    // 50, 50 and 20 rows.
    let some: Vec<&str> = text.lines().take(121).collect();
    fs::write(folder.path().join("some.csv"), some.join("\n")).unwrap();
    let train = "train --data some.csv --layers 3:softmax --epochs 4 --verbose 0 --class-weight";
    run(folder.path(), &format!("{train} balanced --output a.h5")).ok();
    // 120 / (3 * 50), 120 / (3 * 20)
    run(
        folder.path(),
        &format!("{train} setosa:0.8,versicolor:0.8,virginica:2 --output b.h5"),
    )
    .ok();
    run(
        folder.path(),
        &format!("{train} 0:0.8,1:0.8,2:2 --output c.h5"),
    )
    .ok();
    run(folder.path(), &format!("{train} 0:1 --output d.h5")).ok();
    let file = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert_eq!(file("a.h5"), file("b.h5"));
    assert_eq!(file("a.h5"), file("c.h5"));
    assert_ne!(file("a.h5"), file("d.h5"));
    assert_eq!(
        run(folder.path(), &format!("{train} rosa:2 --output e.h5")).error(2),
        "--class-weight names \"rosa\", expected one of setosa, versicolor, virginica"
    );
}

#[test]
fn a_class_that_is_missing_on_one_side_is_named() {
    let folder = folder();
    let found = run(
        folder.path(),
        "train --data iris.csv --layers 3:softmax --epochs 1 --validation-split 0.4 --verbose 0 --output m.h5",
    );
    assert_eq!(
        found.stderr,
        "note: iris.csv: never trained on, as only validation rows are of it: \"virginica\"; never validated on, as only training rows are of it: \"setosa\"; --stratify gives each side its share of every class\n"
    );
    let found = run(
        folder.path(),
        "train --data iris.csv --layers 3:softmax --epochs 1 --validation-split 0.4 --stratify --verbose 0 --output m.h5",
    );
    assert_eq!(found.stderr, "");
}

fn diabetes() -> String {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/data/diabetes.csv");
    data.display().to_string()
}

#[test]
fn a_regression_is_better_than_the_mean_within_ten_epochs() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..3 {
        let text = run(
            folder.path(),
            &format!(
                "train --data {} --layers 32:relu,1 --epochs 10 --test-split 0.2 --seed {seed} --output m.h5",
                diabetes()
            ),
        )
        .ok();
        let mae = number(&text, "validated on: mae ");
        let of_the_mean = number(&text, " in int8, ");
        assert!(mae < 0.95 * of_the_mean, "{text}");
    }
}

#[test]
fn a_regression_is_trained_as_on_standardized_targets_and_predicts_in_their_unit() {
    let folder = tempfile::tempdir().unwrap();
    let found = run(
        folder.path(),
        &format!(
            "train --data {} --layers 16:relu,1 --epochs 5 --optimizer sgd --seed 2 --verbose 0 --output m.h5",
            diabetes()
        ),
    );
    // Mean and population deviation of the 442 targets.
    let expected =
        "the targets are standardized within the model (mean 152.1335, deviation 77.0057)";
    assert!(found.stderr.contains(expected), "{}", found.stderr);
    let found = Sequential::load(folder.path().join("m.h5")).unwrap();

    let data = Dataset::from_csv(diabetes(), &CsvOptions::default()).unwrap();
    let y = data.y.as_ref().unwrap();
    let standardized: Array1<f32> = y.iter().map(|y| (y - 152.133_48) / 77.005_74).collect();
    let mut model = Sequential::new().with_seed(2);
    model.add(Input::new([10])).unwrap();
    let mut normalization = Normalization::new();
    normalization.adapt(&data.x).unwrap();
    model.add(normalization).unwrap();
    model.add(Dense::new(16).with_activation("relu")).unwrap();
    model.add(Dense::new(1)).unwrap();
    model.compile("sgd", "mse", ["mae"]).unwrap();
    let options = FitOptions {
        epochs: 5,
        verbose: 0,
        seed: Some(2),
        ..FitOptions::default()
    };
    model.fit(&data.x, &standardized, options).unwrap();
    let (found, expected) = (
        found.predict(&data.x).unwrap(),
        model.predict(&data.x).unwrap(),
    );
    for (found, expected) in found.iter().zip(&expected) {
        let expected = expected * 77.005_74 + 152.133_48;
        assert!((found - expected).abs() < 0.02, "{found} {expected}");
    }
}

#[test]
fn a_training_is_one_json_document_where_that_is_asked_for() {
    let folder = folder();
    let train = "train --data iris.csv --layers 8:relu,3:softmax --epochs 12 --validation-split 0.2 --stratify --test-split 0.2 --cv 3 --json --output m.h5";
    let text = run(folder.path(), train).ok();
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&found["output"], &found["epochs"]),
        (&"m.h5".into(), &12.into())
    );
    assert_eq!(found["history"]["val_loss"].as_array().unwrap().len(), 12);
    assert_eq!(found["folds"].as_array().unwrap().len(), 3);
    let score = &found["score"];
    assert_eq!(
        (&score["rows"], &score["metric"]),
        (&30.into(), &"accuracy".into())
    );
    let tables =
        |score: &serde_json::Value| score["evaluation"]["classes"]["accuracy"].as_f64().unwrap();
    assert_eq!(score["value"], tables(score));
    assert_eq!(score["device"]["value"], tables(&score["device"]));
    // The same as in words.
    let said = run(folder.path(), &train.replace(" --json", "")).ok();
    let value = score["value"].as_f64().unwrap();
    assert!(
        (number(&said, "validated on: accuracy ") - value).abs() < 5e-5,
        "{said}"
    );
    let refused = run(folder.path(), &format!("{train} --verbose 1")).error(2);
    assert!(refused.contains("--json"), "{refused}");
}
