//! `thumbnet export` end to end: what it says, what it proves, and what it refuses.

use std::{fmt::Write as _, fs, path::Path};

use ndarray::Array2;
use serde_json::Value;
use thumbnet_tests::iris::{TRAIN, run};
use thumbnet_trainer::{Dataset, Sequential, dataset, quantize::DeviceModel};

/// A folder with `iris.csv` and `model.h5`, a classifier of it.
fn trained() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/data/iris.csv");
    fs::copy(data, folder.path().join("iris.csv")).unwrap();
    let line = format!("{TRAIN} --output model.h5");
    assert_eq!(run(folder.path(), &line).ok(), "");
    folder
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_report_says_what_evaluate_measures() {
    let folder = trained();
    let path = folder.path();
    let said = run(
        path,
        "export model.h5 --calibrate iris.csv --evaluate iris.csv --report r.json --report r.html --output model.tnet",
    )
    .ok();
    let report = json(&path.join("r.json"));
    let evaluation = &report["evaluation"];
    assert_eq!(evaluation["rows"], 150);
    for (model, key) in [("model.h5", "float"), ("model.tnet", "device")] {
        let line = format!("evaluate {model} --data iris.csv --json");
        let found: Value = serde_json::from_str(&run(path, &line).ok()).unwrap();
        let (score, accuracy) = (&evaluation["score"][key], &found["accuracy"]);
        // Keras' metrics are f32.
        assert!((score.as_f64().unwrap() - accuracy.as_f64().unwrap()).abs() < 1e-6);
    }
    // Agreement and differences, counted from the predictions.
    let predict = |model: &str| {
        run(
            path,
            &format!("predict {model} --data iris.csv --output y.npy"),
        )
        .ok();
        dataset::read_array(&path.join("y.npy")).unwrap()
    };
    let (float, device) = (predict("model.h5"), predict("model.tnet"));
    let worst = float
        .iter()
        .zip(&device)
        .fold(0.0, |worst: f64, (a, b)| worst.max(f64::from(a - b).abs()));
    let reported = evaluation["worst_difference"].as_f64().unwrap();
    assert!((reported - worst).abs() < 1e-6, "{reported} {worst}");
    // Proofs: no sum leaves the accumulator; what was measured is within the bound.
    for layer in report["layers"].as_array().unwrap() {
        assert!(layer["largest_sum"].as_i64() <= layer["accumulator_limit"].as_i64());
        assert!(
            layer["signal_to_noise_db"].as_f64().unwrap() > 20.0,
            "{layer}"
        );
    }
    for bound in report["error_bound"].as_array().unwrap() {
        assert!(bound.as_f64().unwrap() >= worst);
    }
    assert_eq!(report["input_low"].as_array().unwrap().len(), 4);
    let inspected: Value =
        serde_json::from_str(&run(path, "inspect model.tnet --json").ok()).unwrap();
    for key in ["flash_bytes", "scratch_bytes", "macs"] {
        assert_eq!(report[key], inspected[key], "{key}");
    }
    assert_eq!(
        report["ram_bytes"].as_u64(),
        Some(inspected["scratch_bytes"].as_u64().unwrap() + 4 * (4 + 3))
    );
    assert_eq!(report["instructions"][0]["core"], "Cortex-M4F");
    for words in [
        "accuracy on 150 rows to evaluate on: ",
        "signal to noise",
        "squared error comes from dense",
        "estimated from counts in QEMU (not cycles): ",
        "proven: no input overflows an accumulator",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    let page = fs::read_to_string(path.join("r.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("model.tnet"));
    // One file: nothing is loaded from elsewhere.
    for outside in ["http:", "https:", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn the_report_bounds_the_difference_from_float32_by_search_and_draws_what_has_one_or_two_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for (inputs, header) in [(1, "a,y"), (2, "a,b,y"), (3, "a,b,c,y")] {
        let mut table = format!("{header}\n");
        for row in 0..200 {
            let x: Vec<f32> = (0..inputs)
                .map(|input| ((row * (input + 3) * 7) % 101) as f32 / 50.0 - 1.0)
                .collect();
            let sum: f32 = x.iter().sum();
            let cells: Vec<String> = x.iter().chain([&(sum * sum)]).map(f32::to_string).collect();
            table += &format!("{}\n", cells.join(","));
        }
        fs::write(path.join("d.csv"), table).unwrap();
        run(
            path,
            "train --data d.csv --layers 6:relu,1 --epochs 30 --seed 1 --output m.h5",
        )
        .ok();
        run(
            path,
            "export m.h5 --calibrate d.csv --dtype float32 --output f.tnet",
        )
        .ok();
        let said = run(
            path,
            "export m.h5 --calibrate d.csv --report r.json --report r.html --output m.tnet",
        )
        .ok();
        let report = json(&path.join("r.json"));
        let number = |value: &Value| value.as_f64().unwrap();
        let found = &report["largest_difference"];
        let (reached, bound) = (number(&found["reached"]), number(&found["bound"]));
        assert!(reached <= bound, "{found}");
        assert!(bound < number(&report["error_bound"][0]), "{found}");
        assert!(
            said.contains(&format!("further than {bound:.2e} from float")),
            "{said}"
        );
        // No row within the ranges is further off.
        let [device, float] =
            ["m.tnet", "f.tnet"].map(|name| DeviceModel::load(path.join(name)).unwrap());
        let ends = |key: &str| {
            report[key]
                .as_array()
                .unwrap()
                .iter()
                .map(number)
                .collect::<Vec<_>>()
        };
        let (low, high) = (ends("input_low"), ends("input_high"));
        let rows = 20_000;
        let x = Array2::from_shape_fn((rows, inputs), |(row, input)| {
            let share = (row * [1, 173, 4391][input] % rows) as f64 / (rows - 1) as f64;
            (low[input] + share * (high[input] - low[input])) as f32
        });
        let [device, float] = [device, float].map(|model| model.predict(&x).unwrap());
        let worst = device
            .iter()
            .zip(&float)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(f64::from(worst) <= bound, "{worst} {found}");
        assert!(f64::from(worst) > bound / 3.0, "{worst} {found}");
        let page = fs::read_to_string(path.join("r.html")).unwrap();
        assert!(page.contains("by search over the device"), "{inputs}");
        assert_eq!(page.contains("All outputs"), inputs < 3, "{inputs}");
        assert_eq!(
            page.matches("fill-opacity").count() > 1600,
            inputs == 2,
            "{inputs}"
        );
    }
}

#[test]
fn a_budget_gives_a_smaller_model_that_stays_within_it() {
    let folder = trained();
    let path = folder.path();
    let bytes = |arguments: &str| {
        let line = format!(
            "export model.h5 --calibrate iris.csv {arguments} --report r.json --output m.tnet"
        );
        run(path, &line).ok();
        let report = json(&path.join("r.json"));
        let score = &report["calibration"]["score"];
        let lost = score["float"].as_f64().unwrap() - score["device"].as_f64().unwrap();
        (report["flash_bytes"].as_u64().unwrap(), lost)
    };
    let (int8, _) = bytes("");
    let (int4, _) = bytes("--dtype int4");
    let (generous, _) = bytes("--budget 100%");
    let (strict, lost) = bytes("--budget 0");
    assert_eq!(generous, int4);
    assert!(int4 < int8);
    assert!(strict >= int4 && lost <= 0.0, "{strict} {lost}");
    assert_eq!(
        run(
            path,
            "export model.h5 --calibrate iris.csv --budget 1% --dtype int4 --output m.tnet"
        )
        .error(2),
        "the argument '--budget <LOSS>' cannot be used with '--dtype <TYPE|LAYER=TYPE,..>'; see thumbnet export --help"
    );
}

#[test]
fn bad_calibration_rows_are_refused_and_no_output_is_touched() {
    let folder = trained();
    let path = folder.path();
    const HEADER: &str = "sepal_length,sepal_width,petal_length,petal_width,label\n";
    for (name, rows, message) in [
        (
            "empty",
            "",
            "empty.csv: there is only a header line, expected rows below it",
        ),
        (
            "nan",
            "5,3,nan,1,0\n",
            "nan.csv:2: 1 cell has no value, expected numbers: 1 of column \"petal_length\" (line 2); fill the cells",
        ),
        (
            "infinite",
            "5,3,1,inf,0\n",
            "infinite.csv:2: column \"petal_width\" is \"inf\", expected a number",
        ),
        (
            "large",
            "5,3,1,1e39,0\n",
            "large.csv:2: column \"petal_width\" is \"1e39\"",
        ),
        (
            "text",
            "5,3,1,1,0\n5,wide,1,1,0\n",
            "text.csv:3: column \"sepal_width\" is \"wide\", expected a number",
        ),
        ("short", "5,3,1,0\n", "short.csv:2: "),
        (
            "class",
            "5,3,1,1,7\n",
            "class.csv:2: column \"label\" is \"7\", expected one of the model's classes 0, 1, 2",
        ),
    ] {
        let csv = format!("{name}.csv");
        fs::write(path.join(&csv), format!("{HEADER}{rows}")).unwrap();
        for file in ["kept.tnet", "kept.json"] {
            fs::write(path.join(file), "kept").unwrap();
        }
        let line = format!(
            "export model.h5 --calibrate {csv} --report kept.json --report r.html --output kept.tnet"
        );
        let error = run(path, &line).error(1);
        assert!(error.starts_with(message), "{name}: {error}");
        for file in ["kept.tnet", "kept.json"] {
            assert_eq!(fs::read_to_string(path.join(file)).unwrap(), "kept");
        }
        assert!(!path.join("r.html").exists());
    }
    fs::write(path.join("wide.csv"), "a,b,label\n1,2,0\n").unwrap();
    assert_eq!(
        run(
            path,
            "export model.h5 --calibrate wide.csv --output kept.tnet"
        )
        .error(1),
        "wide.csv:1: the file has none of the model's columns sepal_length, sepal_width, petal_length, petal_width, but a, b, label; give the columns the model's names in the header"
    );
    assert_eq!(
        run(
            path,
            "export model.h5 --calibrate iris.csv --report r.txt --output kept.tnet"
        )
        .error(2),
        "r.txt: the name says nothing about the format, expected one that ends in .html or .json"
    );
    let unlabelled = "1,2,3,4\n";
    fs::write(
        path.join("x.csv"),
        format!("sepal_length,sepal_width,petal_length,petal_width\n{unlabelled}"),
    )
    .unwrap();
    let printed = run(
        path,
        "export model.h5 --calibrate iris.csv --evaluate x.csv --self-tests 0 --output x.tnet",
    )
    .ok();
    assert!(
        printed.contains("against float32 on 1 rows to evaluate on: decided the same for "),
        "{printed}"
    );
    // Each row that was left out was judged by a plan that had not seen it.
    assert!(
        printed.contains("against float32 on 150 of them, each left out of the calibration once: "),
        "{printed}"
    );
    assert_eq!(fs::read_to_string(path.join("kept.tnet")).unwrap(), "kept");
}

#[test]
fn odd_calibration_rows_give_a_sound_model() {
    let folder = trained();
    let path = folder.path();
    let iris = fs::read_to_string(path.join("iris.csv")).unwrap();
    let header = iris.lines().next().unwrap();
    let rows: Vec<&str> = iris.lines().skip(1).collect();
    let outlier = format!("{header}\n{}\n1e30,-1e30,1e30,1e30,0\n", rows.join("\n"));
    let same = format!("{header}\n{}", format!("{}\n", rows[70]).repeat(40));
    let one = format!("{header}\n{}\n", rows[70]);
    let mut constant = format!("{header}\n");
    for row in &rows {
        let cells: Vec<&str> = row.split(',').collect();
        writeln!(
            constant,
            "{},{},0,{},{}",
            cells[0], cells[1], cells[3], cells[4]
        )
        .unwrap();
    }
    for (name, text) in [
        ("outlier", outlier),
        ("same", same),
        ("one", one),
        ("constant", constant),
    ] {
        fs::write(path.join("c.csv"), text).unwrap();
        let finished = run(
            path,
            "export model.h5 --calibrate c.csv --report r.json --output m.tnet",
        );
        assert_eq!(finished.code, Some(0), "{name}: {}", finished.stderr);
        let inspected = run(path, "inspect m.tnet").ok();
        assert!(
            inspected.contains("self-test   passed"),
            "{name}: {inspected}"
        );
        run(path, "predict m.tnet --data iris.csv --output y.npy").ok();
        let y = dataset::read_array(&path.join("y.npy")).unwrap();
        for row in y.rows() {
            assert!((row.sum() - 1.0).abs() < 1e-4 && row.iter().all(|p| (0.0..=1.0).contains(p)));
        }
        if name == "outlier" {
            // The other 150 rows keep their resolution.
            let report = json(&path.join("r.json"));
            let agreement = report["calibration"]["agreement"].as_f64().unwrap();
            assert!(agreement > 0.97, "{agreement}");
        }
    }
}

#[test]
fn an_outlier_does_not_take_the_resolution_of_a_regression() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut rows = String::from("a,b,target\n");
    for i in 0..200 {
        let (a, b) = (f64::from(i % 20) / 10.0, f64::from(i / 20) / 5.0);
        writeln!(rows, "{a},{b},{}", 2.0 * a - b).unwrap();
    }
    fs::write(path.join("d.csv"), &rows).unwrap();
    fs::write(path.join("c.csv"), format!("{rows}1e30,1e30,0\n")).unwrap();
    run(path, "train --data d.csv --layers 8:relu,1 --epochs 60 --learning-rate 0.01 --verbose 0 --output m.h5").ok();
    let line = "export m.h5 --calibrate c.csv --evaluate d.csv --report r.json --output m.tnet";
    assert_eq!(run(path, line).code, Some(0));
    let score = &json(&path.join("r.json"))["evaluation"]["score"];
    let (float, device) = (
        score["float"].as_f64().unwrap(),
        score["device"].as_f64().unwrap(),
    );
    assert!(float > 0.98 && device > float - 0.01, "{score}");
}

#[test]
fn training_with_the_devices_rounding_is_watched_in_its_own_arithmetic() {
    let folder = trained();
    let path = folder.path();
    let line = "train --data iris.csv --validation-split 0.2 --layers 8:relu,3:softmax --epochs 30 --batch-size 8 --learning-rate 0.01 --verbose 0 --seed 3 \
        --quantize-aware int4 --q-metrics --monitor val_q_loss --checkpoint best.h5 --save-best-only --early-stopping 20 --restore-best-weights --history h.json --output aware.h5";
    assert_eq!(run(path, line).ok(), "");
    let history = json(&path.join("h.json"));
    for name in ["val_q_loss", "val_q_accuracy", "val_loss", "accuracy"] {
        assert!(!history[name].as_array().unwrap().is_empty(), "{name}");
    }
    assert!(path.join("best.h5").exists());
    // The weights lie on int4 grids, by unit.
    let model = Sequential::load(path.join("aware.h5")).unwrap();
    let weights = model.get_weights();
    for kernel in weights.iter().filter(|weights| weights.ndim() == 2) {
        for unit in kernel.columns() {
            let step = unit.iter().fold(0.0f32, |m, w| m.max(w.abs())) / 7.0;
            assert!(
                unit.iter()
                    .all(|w| (w / step - (w / step).round()).abs() < 1e-3)
            );
        }
    }
    // From a model trained in float, too, whose normalization is folded.
    run(path, "train --model model.h5 --data iris.csv --epochs 5 --learning-rate 0.001 --verbose 0 --quantize-aware int8 --output tuned.h5").ok();
    run(
        path,
        "export tuned.h5 --calibrate iris.csv --report r.json --output tuned.tnet",
    )
    .ok();
    let score = &json(&path.join("r.json"))["calibration"]["score"];
    assert!(score["device"].as_f64().unwrap() >= 0.94, "{score}");
    assert_eq!(
        run(path, "train --data iris.csv --layers 8:relu,dropout:0.5,3:softmax --quantize-aware int8 --output a.h5").error(2),
        "--quantize-aware trains what the device runs, which has neither dropout nor batch_normalization; train with them first, then go on with --model"
    );
    assert_eq!(
        run(
            path,
            "train --data iris.csv --layers 8:relu,3:softmax --epochs 1 --q-metrics --output a.h5"
        )
        .error(2),
        "--q-metrics is given without rows to validate on; add --validation-split 0.2 or --validation-data v.csv"
    );
    assert_eq!(
        run(
            path,
            "train --data iris.csv --layers 8:relu,3:softmax --quantize-aware int16 --output a.h5"
        )
        .error(1),
        "quantization-aware training is for int8 or int4, not int16x8, whose rounding does not need it"
    );
}

#[test]
fn images_of_two_axes_keep_their_shape_when_trained_for_int4() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let digits = Dataset::digits().split_at(300).0;
    let x = digits.x.into_shape_with_order(vec![300, 8, 8]).unwrap();
    dataset::write_npy(&path.join("x.npy"), &x).unwrap();
    dataset::write_npy(&path.join("y.npy"), &digits.y.unwrap()).unwrap();
    run(path, "train --x x.npy --y y.npy --layers flatten,16:relu,10:softmax --normalize --epochs 2 --verbose 0 --quantize-aware int4 --output m.h5").ok();
    run(path, "evaluate m.h5 --x x.npy --y y.npy").ok();
    run(path, "export m.h5 --calibrate x.npy --evaluate x.npy --evaluate-y y.npy --dtype int4 --output m.tnet").ok();
}
