//! Anomalies and unknown classes: thresholds that keep what they promise, the same on the device.

use std::{fmt::Write as _, fs, path::Path};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use thumbnet_boards::{Board, Firmware, Float, Run, parity::Answer, parity::Job};
use thumbnet_tests::{iris, iris::run, qemu::prepare};
use thumbnet_trainer::{Dataset, Sequential, dataset::CsvOptions, quantize::DeviceModel};

/// Six sensors that follow two causes; of an anomaly one sensor does not.
fn sensors(rows: usize, anomalies: usize, labels: bool, seed: u64) -> String {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let mut text = "a,b,c,d,e,f".to_string();
    text.push_str(if labels { ",state\n" } else { "\n" });
    for row in 0..rows + anomalies {
        let (p, q) = (
            rng.random_range(-1.0..1.0f32),
            rng.random_range(-1.0..1.0f32),
        );
        let causes = [p, q, p + q, p - q, p * q, p * p];
        let is_anomaly = row >= rows;
        let broken = rng.random_range(0..6);
        let cells = causes.iter().enumerate().map(|(sensor, value)| {
            let noise = rng.random_range(-0.05..0.05f32);
            let value = if is_anomaly && sensor == broken {
                value + if rng.random() { 1.5 } else { -1.5 }
            } else {
                *value
            };
            // In units of its own, far from 0.
            format!("{}", 1000.0 + 50.0 * (value + noise))
        });
        let cells: Vec<String> = cells.collect();
        let label = match (labels, is_anomaly) {
            (false, _) => "",
            (true, false) => ",normal",
            (true, true) => ",stuck",
        };
        let _ = writeln!(text, "{}{label}", cells.join(","));
    }
    text
}

const TRAIN: &str = "train --data d.csv --target state --autoencoder 12:relu,3:relu,12:relu --epochs 60 --seed 1 --output a.h5";

/// Trained on sensors, exported for a core, with 3000 other normal rows and 300 anomalies in `new.csv`.
fn trained() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("d.csv"), sensors(2000, 100, true, 1)).unwrap();
    fs::write(at("new.csv"), sensors(3000, 300, true, 2)).unwrap();
    let said = run(folder.path(), TRAIN).ok();
    assert!(
        said.contains("at most 1 % are taken for anomalies"),
        "{said}"
    );
    let said = run(
        folder.path(),
        "export a.h5 --target state --calibrate d.csv --core m4 --output a.tnet",
    )
    .ok();
    assert!(
        said.contains("normal rows: of normal rows to come"),
        "{said}"
    );
    folder
}

fn evaluated(folder: &Path, model: &str) -> Value {
    let text = run(
        folder,
        &format!("evaluate {model} --data new.csv --target state --normal normal --json"),
    )
    .ok();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn an_autoencoder_finds_anomalies_with_the_false_alarms_that_it_promises() {
    let folder = trained();
    for model in ["a.h5", "a.tnet"] {
        let found = evaluated(folder.path(), model);
        let number = |name: &str| found["anomalies"][name].as_f64().unwrap();
        assert_eq!((number("normal"), number("anomalies")), (3000.0, 300.0));
        // 1 % of 3000 are 30; with 400 rows for the threshold the rate has a standard deviation of 0.5 %.
        assert!(number("false_alarms") <= 75.0, "{model}: {found}");
        assert!(number("found") >= 270.0, "{model}: {found}");
        assert!(number("auc") > 0.98, "{model}: {found}");
    }
    // Rows are called as they are counted.
    let text = run(
        folder.path(),
        "predict a.tnet --data new.csv --target state",
    )
    .ok();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("score,verdict"));
    let verdicts: Vec<bool> = lines.map(|line| line.ends_with(",anomaly")).collect();
    let above = verdicts.iter().filter(|verdict| **verdict).count();
    assert_eq!(evaluated(folder.path(), "a.tnet")["above"], above as u64);
    let shown = run(folder.path(), "inspect a.tnet").ok();
    assert!(shown.contains("  anomaly     a score above "), "{shown}");
    let json = run(folder.path(), &TRAIN.replace("a.h5", "j.h5 --json")).ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["anomalies"]["float32"]["labelled"]["anomalies"], 100);
    assert_eq!(json["epochs"], 60);
    // The file is an autoencoder like any other.
    let model = Sequential::load(folder.path().join("a.h5")).unwrap();
    assert_eq!(
        (model.input_shape(), model.output_shape()),
        (Some(&[6][..]), Some(&[6][..]))
    );
    let again = run(folder.path(), TRAIN.replace("a.h5", "b.h5").as_str());
    again.ok();
    let bytes = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert!(
        bytes("a.h5") == bytes("b.h5"),
        "the same command, other bytes"
    );
}

#[test]
fn a_report_shows_the_scores_of_normal_rows_and_of_anomalies() {
    let folder = trained();
    let page = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let training = TRAIN.replace("a.h5", "b.h5 --verbose 0 --report t.html");
    run(folder.path(), &training).ok();
    let text = page("t.html");
    // The loss, the scores in float32 and in int8, ROC, precision and recall, and the layers.
    for part in [
        "Scores of the rows, in float32",
        "Scores of the rows, in int8",
        "ROC curve",
        "area under the ROC curve, in int8",
        "of 100 anomalies found, in float32",
        ">an anomaly<",
        ">normal<",
    ] {
        assert!(text.contains(part), "{part}");
    }
    assert!(text.matches("<svg").count() > 8);
    for model in ["a.h5", "a.tnet"] {
        let evaluate = format!("evaluate {model} --data new.csv --target state --normal normal");
        let found = run(folder.path(), &format!("{evaluate} --report e.html --json")).ok();
        let found: Value = serde_json::from_str(&found).unwrap();
        let text = page("e.html");
        let anomalies = &found["anomalies"];
        let share = 100.0 * anomalies["found"].as_f64().unwrap() / 300.0;
        assert!(
            text.contains(&format!("<b>{share:.2} %</b> <span>of 300 anomalies found"))
                || text.contains(&format!("<b>{share:.2} %</b><span>of 300 anomalies found")),
            "{share}"
        );
        assert!(text.contains(&format!("{:.4}</b>", anomalies["auc"].as_f64().unwrap())));
        // The anomalies are the last 300 lines of the file.
        let first = text.split("<th>is</th>").nth(1).unwrap();
        let line = first.split("<td>").nth(1).unwrap();
        let line: usize = line.split('<').next().unwrap().parse().unwrap();
        assert!((3002..3302).contains(&line), "line {line}");
    }
    // Without labels only the rows above the threshold are counted.
    fs::write(folder.path().join("plain.csv"), sensors(50, 5, false, 5)).unwrap();
    run(
        folder.path(),
        "evaluate a.h5 --data plain.csv --report e.html",
    )
    .ok();
    let text = page("e.html");
    assert!(text.contains("of 55 rows are anomalies") && !text.contains("ROC"));
}

#[test]
fn rows_without_labels_are_all_normal_and_too_few_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("d.csv"), sensors(800, 0, false, 3)).unwrap();
    fs::write(folder.path().join("few.csv"), sensors(300, 0, false, 4)).unwrap();
    let train = |options: &str| {
        run(
            folder.path(),
            &format!(
                "train --autoencoder 8:relu,3:relu,8:relu --epochs 2 {options} --output a.keras"
            ),
        )
    };
    train("--data d.csv").ok();
    let refused = train("--data few.csv").error(2);
    assert!(
        refused.contains("normal rows are kept for the threshold (20 % of them), too few for --false-alarms 1%, expected at least 99"),
        "{refused}"
    );
    train("--data few.csv --false-alarms 5%").ok();
    let refused = run(
        folder.path(),
        "export a.keras --calibrate d.csv --evaluate few.csv --false-alarms 0.1% --output a.tnet",
    )
    .error(1);
    assert!(refused.contains("few.csv: 300 rows to choose the threshold by are too few for 0.1 %, expected at least 999"), "{refused}");
    assert!(!folder.path().join("a.tnet").exists());
    for (option, other) in [
        ("--cv 5", "--cv"),
        ("--stratify --validation-split 0.2", "--stratify"),
        ("--loss mae", "--loss"),
    ] {
        let refused = train(&format!("--data d.csv {option}")).error(2);
        assert!(
            refused.contains("--autoencoder") && refused.contains(other),
            "{refused}"
        );
    }
}

/// Any model that gives back its inputs, without a word of thumbnet's in its file.
#[test]
fn other_autoencoders_take_rows_that_they_have_not_seen() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("d.csv"), sensors(500, 0, false, 5)).unwrap();
    fs::write(at("held.csv"), sensors(200, 0, false, 6)).unwrap();
    let data = Dataset::from_csv(
        at("d.csv"),
        &CsvOptions {
            target: thumbnet_trainer::dataset::Target::Skip(vec![]),
            ..CsvOptions::default()
        },
    )
    .unwrap();
    let mut model = Sequential::new();
    model
        .add(thumbnet_trainer::layers::Input::new([6]))
        .unwrap();
    model.add(thumbnet_trainer::layers::Dense::new(6)).unwrap();
    model.build(&[6]).unwrap();
    model.save(at("own.h5")).unwrap();
    let refused = run(
        folder.path(),
        "export own.h5 --calibrate d.csv --false-alarms 1% --output own.tnet",
    )
    .error(2);
    assert!(refused.contains("add --evaluate held.csv"), "{refused}");
    run(
        folder.path(),
        "export own.h5 --calibrate d.csv --evaluate held.csv --false-alarms 1% --output own.tnet",
    )
    .ok();
    let device = DeviceModel::load(at("own.tnet")).unwrap();
    // The inputs as they are: the mean squared difference by another road.
    let outputs = device.predict(&data.x).unwrap();
    let found = device.detect(&data.x).unwrap();
    for ((x, y), found) in data.x.outer_iter().zip(outputs.outer_iter()).zip(&found) {
        let squares: f64 = x
            .iter()
            .zip(&y)
            .map(|(x, y)| f64::from(x - y).powi(2))
            .sum();
        let expected = squares / 6.0;
        assert!(
            (f64::from(found.score) / expected - 1.0).abs() < 1e-6,
            "{found:?} {expected}"
        );
    }
}

#[test]
fn a_classifier_says_that_it_knows_no_class() {
    let folder = iris::folder();
    run(
        folder.path(),
        "train --data iris.csv --layers 8:relu,3:softmax --epochs 60 --output m.h5",
    )
    .ok();
    let plain = "export m.h5 --calibrate iris.csv --output";
    run(folder.path(), &format!("{plain} plain.tnet")).ok();
    let said = run(
        folder.path(),
        &format!("{plain} m.tnet --evaluate iris.csv --reject 5%"),
    )
    .ok();
    assert!(
        said.contains("is not known: so are at most 5 % of rows to come"),
        "{said}"
    );
    let shown = run(folder.path(), "evaluate m.tnet --data iris.csv").ok();
    // Of the rows that the threshold is chosen by at most floor(151 * 0.05) - 1 = 6, fewer of equal ones.
    let (_, rest) = shown.split_once("support").expect("a table");
    let unknown = |line: &&str| line.contains(" rows are of no known class (");
    let line = rest.lines().find(unknown).expect("a line on unknown rows");
    let count: usize = line.split(' ').next().unwrap().parse().unwrap();
    assert!((4..=6).contains(&count), "{shown}");
    let text = run(folder.path(), "predict m.tnet --data iris.csv").ok();
    assert!(
        text.starts_with("setosa,versicolor,virginica,verdict\n"),
        "{text}"
    );
    assert_eq!(
        text.lines()
            .filter(|line| line.ends_with(",unknown"))
            .count(),
        count
    );
    assert!(text.lines().nth(1).unwrap().ends_with(",setosa"), "{text}");
    // The same outputs as without, and what reads no verdict reads the file.
    let [with, without] = ["m.tnet", "plain.tnet"].map(|name| {
        let device = DeviceModel::load(folder.path().join(name)).unwrap();
        device.predict(&Dataset::iris().x).unwrap()
    });
    assert_eq!(with, without);
    let refused = run(folder.path(), &format!("{plain} x.tnet --reject 5%")).error(2);
    assert!(refused.contains("--evaluate"), "{refused}");
    let refused = run(
        folder.path(),
        &format!("{plain} x.tnet --evaluate iris.csv --reject 0.5%"),
    )
    .error(1);
    assert!(refused.contains("expected at least 199"), "{refused}");
}

/// Scores and verdicts of both kinds are the host's, bit for bit.
#[test]
fn devices_score_as_the_host_does() {
    let folder = trained();
    let at = |name: &str| folder.path().join(name);
    for (board, float, core) in [
        (Board::Microbit, Float::Soft, "m0"),
        (Board::Mps2An386, Float::Hard, "m4"),
    ] {
        let firmware = Firmware {
            float,
            ..Firmware::release("parity", board)
        };
        let Some((qemu, elf)) = prepare(&firmware) else {
            return;
        };
        let export = format!(
            "export a.h5 --target state --calibrate d.csv --core {core} --output {core}.tnet"
        );
        run(folder.path(), &export).ok();
        let device = DeviceModel::load(at(&format!("{core}.tnet"))).unwrap();
        let options = CsvOptions {
            target: thumbnet_trainer::dataset::Target::Read(vec!["state".into()]),
            ..CsvOptions::default()
        };
        let data = Dataset::from_csv(at("new.csv"), &options).unwrap();
        // The last rows are the anomalies; one beyond what a sum of squares holds.
        let mut x: Vec<f32> = data
            .x
            .iter()
            .copied()
            .skip(6 * 2900)
            .take(6 * 200)
            .collect();
        x[0] = 3e25;
        let job = Job {
            blob: device.bytes(),
            shift: 0,
            inputs: 6,
            x: &x,
        };
        let run = Run::new(board, &elf, folder.path());
        let answers = qemu.answer(&run, &[job]).unwrap();
        assert_eq!(answers[0], job.on_host(), "{board:?}");
        let Answer::Loaded { rows, .. } = &answers[0] else {
            panic!("{answers:?}");
        };
        let anomalies = rows
            .iter()
            .filter(|row| row.as_ref().unwrap().anomaly)
            .count();
        assert!((90..130).contains(&anomalies), "{anomalies}");
        let far = rows[0].as_ref().unwrap();
        assert_eq!(
            (far.anomaly_score, far.anomaly),
            (f32::INFINITY.to_bits(), true)
        );
    }
}
