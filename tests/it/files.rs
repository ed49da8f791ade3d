//! Keras' own models: read, used, written and read again.

use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use thumbnet_tests::golden;
use thumbnet_tests::golden::cases::{Case, close};
use thumbnet_tests::golden::resume::Interrupted;
use thumbnet_trainer::training::EvaluateOptions;
use thumbnet_trainer::{NamedArray, Sequential, saving};

/// Runs `test` on every case, names those that fail, and prints `<what>: N of M<done>`.
fn every_case(what: &str, done: &str, test: impl Fn(&Case) -> Result<(), String>) {
    let cases = Case::all();
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let wrong = golden::guarded(|| test(case)).and_then(|done| done).err()?;
            Some(format!("{}: {wrong}", case.name))
        })
        .collect();
    wrong.iter().for_each(|line| println!("{line}"));
    if !cases.is_empty() {
        golden::report(&format!(
            "{what}: {} of {}{done}",
            cases.len() - wrong.len(),
            cases.len()
        ));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn text(error: thumbnet_trainer::Error) -> String {
    error.to_string()
}

/// The models of all files of a case, by the file's name.
fn models(case: &Case) -> Result<Vec<(&'static str, Sequential)>, String> {
    let mut models = Vec::new();
    for file in ["model.h5", "model.keras"] {
        if let Some(path) = case.file(file) {
            models.push((file, Sequential::load(path).map_err(text)?));
        }
    }
    for file in ["model.weights.h5", "weights_only.h5"] {
        if let Some(path) = case.file(file) {
            models.push((file, case.with_weights(&path).map_err(text)?));
        }
    }
    Ok(models)
}

#[test]
fn every_case_is_predicted() {
    every_case("cases", " predicted", |case| {
        for (file, model) in models(case)? {
            let predicted = case.predict(&model).map_err(text)?;
            case.check(&predicted).map_err(|e| format!("{file}: {e}"))?;
        }
        Ok(())
    });
}

#[test]
fn every_case_is_evaluated_by_its_own_compile_settings() {
    every_case("cases", " evaluated", |case| {
        let Some(expected) = case.metadata["evaluate_on_x"].as_object() else {
            return Ok(());
        };
        let y = golden::npy(&case.folder.join("y_true.npy"));
        for file in ["model.h5", "model.keras"] {
            let Some(path) = case.file(file) else {
                continue;
            };
            let mut model = Sequential::load(path).map_err(text)?;
            let options = EvaluateOptions {
                verbose: 0,
                ..Default::default()
            };
            let logs = model.evaluate(&case.x, &y, options).map_err(text)?;
            for (name, expected) in expected {
                let expected = expected.as_f64().unwrap_or(f64::NAN);
                let found = logs.get(name).ok_or(format!("{file}: no metric {name}"))?;
                // Sums over 64 rows in another order; a row may cross one of AUC's thresholds.
                let tolerance = if name.contains("auc") { 1e-3 } else { 2e-5 };
                let off = (found - expected).abs() / expected.abs().max(1e-3);
                if off.is_nan() || off > tolerance {
                    return Err(format!("{file}: {name} is {found}, expected {expected}"));
                }
            }
        }
        Ok(())
    });
}

/// All that a file keeps of a model.
#[derive(Debug, PartialEq)]
struct Kept {
    /// With the compile settings.
    config: serde_json::Value,
    weights: Vec<ArrayD<f32>>,
    optimizer: Option<Vec<NamedArray>>,
}

impl Kept {
    fn of(model: &Sequential) -> Self {
        Self {
            config: model.serialized(),
            weights: model.get_weights(),
            optimizer: model.optimizer().map(|optimizer| optimizer.variables()),
        }
    }
}

#[test]
fn every_case_is_written_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    every_case("cases written and re-read", "", |case| {
        let Some(path) = case.file("model.h5").or(case.file("model.keras")) else {
            return Err("has neither model.h5 nor model.keras".into());
        };
        let model = Sequential::load(&path).map_err(text)?;
        let (kept, predicted) = (Kept::of(&model), case.predict(&model).map_err(text)?);
        let out = |file: &str| -> PathBuf { folder.path().join(format!("{}.{file}", case.name)) };
        for file in ["h5", "keras"] {
            model.save(out(file)).map_err(text)?;
            let again = Sequential::load(out(file)).map_err(text)?;
            let again_predicted = case.predict(&again).map_err(text)?;
            if again_predicted != predicted {
                return Err(format!(".{file}: other predictions"));
            }
            let mut again = Kept::of(&again);
            if file == "h5" {
                spell_out_loss(&mut again, &kept);
            }
            if again != kept {
                return Err(format!(".{file}: {again:?}, expected {kept:?}"));
            }
        }
        for file in ["weights.h5", "only.h5"] {
            model.save_weights(out(file)).map_err(text)?;
            let again = Sequential::from_json(&model.to_json()).map_err(text)?;
            let mut again = Sequential::from_serialized(&again.serialized()).map_err(text)?;
            again.load_weights(out(file)).map_err(text)?;
            if again.get_weights() != kept.weights {
                return Err(format!(".{file}: other weights"));
            }
        }
        Ok(())
    });
}

/// A legacy file names `mse` by its long name: real Keras cannot load the short one from there.
fn spell_out_loss(again: &mut Kept, kept: &Kept) {
    let parsed = |kept: &Kept| {
        let name = kept.config["compile_config"]["loss"].as_str()?;
        name.parse::<thumbnet_trainer::losses::Loss>().ok()
    };
    // A loss keeps the name that it was made from; without it, both are the same one.
    let class = |kept: &Kept| parsed(kept).map(|loss| format!("{:?}", loss.kind));
    if class(again).is_some() && class(again) == class(kept) {
        again.config["compile_config"]["loss"] = kept.config["compile_config"]["loss"].clone();
    }
}

#[test]
fn the_weights_are_keras_own_bit_for_bit() {
    every_case("cases", " of the same weights", |case| {
        let expected = case.metadata["weights"].as_array().ok_or("no weights")?;
        for (file, model) in models(case)? {
            let weights = model.get_weights();
            if weights.len() != expected.len() {
                return Err(format!("{file}: {} weights", weights.len()));
            }
            for (weight, expected) in weights.iter().zip(expected) {
                let key = expected["key"].as_str().ok_or("no key")?;
                let expected = golden::npz(&case.folder.join("weights.npz"), key);
                close(weight, &expected, 0.0).map_err(|e| format!("{file}: {key}: {e}"))?;
            }
        }
        Ok(())
    });
}

#[test]
fn equal_models_give_equal_files() {
    let folder = tempfile::tempdir().unwrap();
    let Some(case) = Case::all().into_iter().next() else {
        return;
    };
    let model = Sequential::load(case.file("model.h5").unwrap()).unwrap();
    for file in ["a.h5", "a.keras", "a.weights.h5"] {
        let write = || {
            let path = folder.path().join(file);
            if file.contains("weights") {
                model.save_weights(&path).unwrap();
            } else {
                model.save(&path).unwrap();
            }
            std::fs::read(path).unwrap()
        };
        assert!(write() == write(), "{file}");
    }
}

#[test]
fn mlperf_tinys_anomaly_model_predicts_what_keras_predicts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/mlperf");
    let path = folder.join("model_ToyCar.hdf5");
    if !path.is_file() {
        println!("mlperf: skipped, there is no file {}", path.display());
        return;
    }
    let model = Sequential::load(&path).unwrap();
    let predicted = model.predict(&golden::npy(&folder.join("x.npy"))).unwrap();
    close(&predicted, &golden::npy(&folder.join("y_float.npy")), 1e-5).unwrap();
}

#[test]
fn a_layer_that_we_do_not_have_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    let layer = serde_json::json!({"class_name": "Conv2D", "config": {"name": "conv2d"}});
    let saved = saving::SavedModel {
        config: serde_json::json!({"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}),
        keras_version: String::new(),
        layers: vec![saving::SavedLayer {
            name: "conv2d".into(),
            weights: vec![],
        }],
        compile_config: None,
        optimizer: None,
        signature: None,
    };
    saving::write_h5(&path, &saved).unwrap();
    let error = Sequential::load(&path).unwrap_err();
    assert!(matches!(error, thumbnet_trainer::Error::Unsupported(_)));
    let error = error.to_string();
    let expected = format!(
        "{}: layer \"conv2d\" is of class Conv2D, which thumbnet does not have; ",
        path.display()
    );
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn training_goes_on_where_keras_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let all = Interrupted::all();
    let mut wrong = Vec::new();
    for training in &all {
        let test = || -> Result<(), String> {
            let load = || Sequential::load(training.file()).map_err(text);
            let straight = training.go_on(load()?).map_err(text)?;
            if let Some(keras) = training.resumed() {
                training.check(&straight, &keras)?;
            }
            for file in ["a.h5", "a.keras"] {
                let path = folder.path().join(file);
                load()?.save(&path).map_err(text)?;
                let again = Sequential::load(&path).map_err(text)?;
                if training.go_on(again).map_err(text)? != straight {
                    return Err(format!("{file}: other weights than without the file"));
                }
            }
            Ok(())
        };
        if let Err(message) = test() {
            wrong.push(format!("{}: {message}", training.name));
        }
    }
    println!(
        "trainings gone on with: {} of {}",
        all.len() - wrong.len(),
        all.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_that_we_wrote_are_read_back_as_keras_read_them() {
    let folders = golden::folders("written", "y_keras.npy");
    for folder in &folders {
        let x = golden::npy(&folder.join("x.npy"));
        let expected = golden::npy(&folder.join("y_keras.npy"));
        let config = std::fs::read_to_string(folder.join("config.json")).unwrap();
        let mut models = ["model.h5", "model.keras"]
            .map(|file| Sequential::load(folder.join(file)).unwrap())
            .to_vec();
        let mut alone = Sequential::from_json(&config).unwrap();
        alone.load_weights(folder.join("model.weights.h5")).unwrap();
        models.push(alone);
        for model in models {
            let predicted = model.predict(&x).unwrap();
            close(&predicted, &expected, 1e-5)
                .unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        }
    }
    println!("files that we wrote: {} read back", folders.len());
}
