//! Tables as people have them: other dialects, missing values, text, dates, labels of all kinds.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use thumbnet_tests::iris::run;
use thumbnet_trainer::{
    Dataset, Error,
    dataset::{CsvOptions, DialectOptions, Missing, Target},
};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("golden/csv")
        .join(format!("{name}.csv"))
}

fn read(name: &str, options: &CsvOptions) -> Result<Dataset, Error> {
    Dataset::from_csv(file(name), options)
}

fn plain(name: &str) -> Dataset {
    read(name, &CsvOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_dialect_gives_the_rows_of_the_plain_file() {
    let expected = plain("ok");
    for (name, note) in [
        ("semi", "read as separated by ';'"),
        ("tab", "read as separated by tabs"),
        ("deccomma", "read as separated by ';', decimal comma"),
        ("airq", "read as separated by ';', decimal comma"),
        ("comment", "read as comments behind '#'"),
        ("utf16", "read as UTF-16LE"),
    ] {
        let found = plain(name);
        assert_eq!((&found.x, &found.y), (&expected.x, &expected.y), "{name}");
        assert_eq!(found.class_names, expected.class_names, "{name}");
        assert_eq!(found.notes, [note], "{name}");
    }
    let error = read("nohead", &CsvOptions::default())
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("nohead.csv:1: the first line holds numbers, expected column names; add a header line such as a,b,label, or give --no-header"), "{error}");
    let options = CsvOptions {
        dialect: DialectOptions {
            header: false,
            ..DialectOptions::default()
        },
        ..CsvOptions::default()
    };
    let found = read("nohead", &options).unwrap();
    assert_eq!((&found.x, &found.y), (&expected.x, &expected.y));
    assert_eq!(found.target_names, ["column_5"]);
}

#[test]
fn a_packed_table_is_read_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ok.csv.gz");
    let mut encoder = flate2::write::GzEncoder::new(
        fs::File::create(&path).unwrap(),
        flate2::Compression::default(),
    );
    std::io::copy(&mut fs::File::open(file("ok")).unwrap(), &mut encoder).unwrap();
    encoder.finish().unwrap();
    let found = Dataset::from_csv(&path, &CsvOptions::default()).unwrap();
    assert_eq!(found.x, plain("ok").x);
}

#[test]
fn text_truths_dates_and_numbers_of_rows_become_what_they_are() {
    let expected = plain("ok");
    let found = plain("bool");
    assert_eq!(found.feature_names, ["sl", "sw", "pl", "pw", "wet"]);
    assert!(
        found
            .x
            .iter()
            .skip(4)
            .step_by(5)
            .all(|&wet| wet == 0.0 || wet == 1.0)
    );
    let found = plain("text");
    assert_eq!(
        found.feature_names,
        ["mode=run", "mode=walk", "sl", "sw", "pl", "pw"]
    );
    for name in ["ts", "sortedindex"] {
        assert_eq!(
            plain(name).feature_names,
            ["sl", "sw", "pl", "pw"],
            "{name}"
        );
    }
    assert_eq!(plain("ts").x, expected.x);
    let found = plain("occupancy");
    assert_eq!(
        found.feature_names,
        ["Temperature", "Humidity", "Light", "CO2"]
    );
    assert_eq!(found.target_names, ["Occupancy"]);
    assert_eq!(found.notes.len(), 3, "{:?}", found.notes);
    let found = plain("thousands");
    // The column counts from 1,000 on.
    assert_eq!(found.feature_names, ["sw", "pl", "pw"]);
    let options = CsvOptions {
        keep: vec!["sl".into()],
        ..CsvOptions::default()
    };
    let found = read("thousands", &options).unwrap();
    assert_eq!(found.x[[149, 0]], 1149.0);
}

#[test]
fn missing_values_are_refused_by_column_and_line_or_treated_as_asked() {
    for name in ["miss_NA", "miss_empty"] {
        let error = read(name, &CsvOptions::default()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{name}.csv:5: 3 cells have no value, expected numbers: 3 of column \"sw\" (lines 5, 19, 42); fill the cells, or give --missing drop, mean, median or zero")),
            "{error}"
        );
        let with = |missing| {
            let options = CsvOptions {
                missing,
                ..CsvOptions::default()
            };
            read(name, &options).unwrap()
        };
        assert_eq!(with(Missing::Drop).rows(), 147);
        assert_eq!(with(Missing::Zero).x[[3, 1]], 0.0);
        let x = plain("ok").x;
        let others = (0..150).filter(|row| ![3, 17, 40].contains(row));
        let mean = others.map(|row| f64::from(x[[row, 1]])).sum::<f64>() / 147.0;
        assert_eq!(with(Missing::Mean).x[[3, 1]], mean as f32);
    }
}

#[test]
fn several_targets_are_read_together() {
    let options = CsvOptions {
        target: Target::Read(vec!["a".into(), "b".into()]),
        ..CsvOptions::default()
    };
    let found = read("multilabel", &options).unwrap();
    assert_eq!(found.y.unwrap().shape(), [150, 2]);
    assert_eq!(found.feature_names, ["sl", "sw", "pl", "pw"]);
}

/// Trains on a table and gives back the folder and what was said.
fn train(name: &str, options: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(file(name), folder.path().join("d.csv")).unwrap();
    let done = run(
        folder.path(),
        &format!("train --data d.csv --epochs 30 --verbose 0 --output m.h5 {options}"),
    );
    let said = done.stderr.clone();
    done.ok();
    (folder, said)
}

#[test]
fn a_model_of_text_and_missing_values_means_the_same_when_it_predicts() {
    let (folder, _) = train("text", "--layers 8:relu,3:softmax");
    let path = folder.path();
    fs::write(
        path.join("new.csv"),
        "sl,sw,mode,pl,pw\n5.8,4.0,walk,1.2,0.2\n",
    )
    .unwrap();
    assert_eq!(
        run(path, "predict m.h5 --data new.csv")
            .ok()
            .lines()
            .count(),
        2
    );
    fs::write(
        path.join("new.csv"),
        "sl,sw,mode,pl,pw\n5.8,4.0,swim,1.2,0.2\n",
    )
    .unwrap();
    let error = run(path, "predict m.h5 --data new.csv").error(1);
    assert!(
        error.contains("new.csv:2: column \"mode\" is \"swim\", expected one of run, walk"),
        "{error}"
    );
    run(path, "export m.h5 --calibrate d.csv --output m.tnet").ok();

    let (folder, said) = train("miss_NA", "--missing mean --layers 8:relu,3:softmax");
    assert!(said.contains("cells without a value become 3.0"), "{said}");
    let path = folder.path();
    let report: Value =
        serde_json::from_str(&run(path, "evaluate m.h5 --data d.csv --json").ok()).unwrap();
    assert!(report["accuracy"].as_f64().unwrap() > 0.7, "{report}");
}

#[test]
fn labels_of_other_numbers_are_names_of_classes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (labels, layers, expected) in [
        (
            ["1", "2", "3"],
            "8:relu,3:softmax",
            ["1", "2", "3"].as_slice(),
        ),
        (["-1", "1", "-1"], "8:relu,1:sigmoid", &["-1", "1"]),
        (["no", "yes", "no"], "8:relu,1:sigmoid", &["no", "yes"]),
        (
            ["False", "True", "True"],
            "8:relu,1:sigmoid",
            &["False", "True"],
        ),
    ] {
        let rows: String = fs::read_to_string(file("ok")).unwrap();
        let rows = rows
            .replace("setosa", labels[0])
            .replace("versicolor", labels[1])
            .replace("virginica", labels[2]);
        fs::write(path.join("d.csv"), rows).unwrap();
        run(
            path,
            &format!("train --data d.csv --epochs 40 --verbose 0 --layers {layers} --output m.h5"),
        )
        .ok();
        let report: Value =
            serde_json::from_str(&run(path, "evaluate m.h5 --data d.csv --json").ok()).unwrap();
        assert!(
            report["accuracy"].as_f64().unwrap() > 0.6,
            "{labels:?}: {report}"
        );
        run(path, "export m.h5 --calibrate d.csv --output m.tnet").ok();
        let inspected: Value =
            serde_json::from_str(&run(path, "inspect m.tnet --json").ok()).unwrap();
        let names: Vec<&str> = inspected["labels"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(names, expected);
    }
}

#[test]
fn what_is_suspicious_is_said() {
    let said = |name: &str, options: &str| train(name, options).1;
    let leak = said("both", "--layers 8:relu,3:softmax");
    assert!(
        leak.contains("alone tells the classes of all rows apart: \"target\""),
        "{leak}"
    );
    let typo = said("dirtylabel", "--layers 8:relu,4:softmax");
    assert!(
        typo.contains("the label \"Virginica\" occurs once and is nearly \"virginica\""),
        "{typo}"
    );
    let one = said(
        "only_setosa",
        "--classes setosa,versicolor,virginica --layers 8:relu,3:softmax",
    );
    assert!(
        one.contains("every label is \"setosa\", of which nothing can be learned"),
        "{one}"
    );
    let guess = said("multilabel", "--layers 8:relu,1:sigmoid");
    assert!(
        guess.contains("the target is the last column, \"b\""),
        "{guess}"
    );
}
