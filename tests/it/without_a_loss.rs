//! Models compiled without a loss: regularizers alone are trained, or nothing is, as in real Keras 3.15.

use std::path::{Path, PathBuf};

use ndarray::{Array2, arr2};
use serde_json::{Value, json};
use thumbnet_tests::command::thumbnet;
use thumbnet_tests::unit_tables::{Near, flat, near};
use thumbnet_trainer::sequential::CompileOptions;
use thumbnet_trainer::training::{EvaluateOptions, FitOptions};
use thumbnet_trainer::{Logs, Sequential};

const NO_LOSS: &str = "there is no loss to compute: the model was compiled without one, and no regularizer counts; compile it with a loss such as \"mse\"";
const NO_GRADIENT: &str = "no gradient reaches a weight that is trained: the model was compiled without a loss, and its regularizers look at the inputs alone; compile it with a loss such as \"mse\"";

fn golden(file: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/without_a_loss");
    folder.join(file)
}

fn rows() -> (Array2<f32>, Array2<f32>) {
    let x = arr2(&[[1.0, 2.0], [3.0, -1.0], [0.5, 0.25]]);
    (x, arr2(&[[1.0], [0.0], [2.0]]))
}

fn assert_near(what: &str, found: &[f32], expected: &[f32]) {
    let tolerance = Near {
        relative: 1e-5,
        absolute: 1e-6,
    };
    let problems = near(what, found, expected, tolerance);
    assert!(problems.is_empty(), "{problems:?}");
}

fn assert_logs(what: &str, found: thumbnet_trainer::Result<Logs>, expected: &Value) {
    match found {
        Ok(logs) => {
            let found: Vec<f32> = logs.iter().flat_map(|(_, v)| flat(&v.to_json())).collect();
            let keys: Vec<_> = logs.names().map(|name| &expected[name]).collect();
            assert_near(what, &found, &flat(&json!(keys)));
            assert_eq!(logs.names().count(), expected.as_object().unwrap().len());
        }
        Err(error) => assert_eq!(error.to_string(), ours(expected), "{what}"),
    }
}

/// The error that stands for Keras' own.
fn ours(expected: &Value) -> &'static str {
    match expected["error"].as_str() {
        Some("No loss to compute. Provide a `loss` argument in `compile()`.") => NO_LOSS,
        Some("No gradients provided for any variable.") => NO_GRADIENT,
        _ => panic!("Keras gives {expected}"),
    }
}

fn by_twos() -> EvaluateOptions<'static> {
    EvaluateOptions {
        batch_size: Some(2),
        verbose: 0,
        ..EvaluateOptions::default()
    }
}

#[test]
fn regularizers_alone_are_trained_as_keras_does() {
    let text = std::fs::read_to_string(golden("cases.json")).unwrap();
    let table: Value = serde_json::from_str(&text).unwrap();
    let (x, y) = rows();
    for case in table["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let mut model = Sequential::from_json(case["model"].as_str().unwrap()).unwrap();
        assert!(model.loss().is_none() && model.optimizer().is_some());
        model.values_mut().copy_from_slice(&flat(&case["before"]));
        let options = FitOptions {
            epochs: 2,
            batch_size: Some(2),
            shuffle: false,
            verbose: 0,
            ..FitOptions::default()
        };
        match model.fit(&x, &y, options) {
            Ok(history) => {
                let found = history.to_json();
                for key in ["loss", "mae"] {
                    assert_near(name, &flat(&found[key]), &flat(&case["fit"][key]));
                }
            }
            Err(error) => assert_eq!(error.to_string(), ours(&case["fit"]), "{name}"),
        }
        assert_near(name, model.values(), &flat(&case["after"]));
        assert_logs(name, model.evaluate(&x, &y, by_twos()), &case["evaluate"]);
        let trained = model.train_on_batch(&x, &y, None, None);
        assert_logs(name, trained, &case["train_on_batch"]);
        let tested = model.test_on_batch(&x, &y, None);
        assert_logs(name, tested, &case["test_on_batch"]);
    }
}

/// Real Keras 3.15 prints these numbers in `golden/without_a_loss/make.py`.
#[test]
fn files_without_a_loss_are_read_and_trained_on() {
    let (x, y) = rows();
    for file in ["model.keras", "model.h5"] {
        let mut model = Sequential::load(golden(file)).unwrap();
        let outputs: Vec<f32> = model.predict(&x).unwrap().into_iter().collect();
        assert_near(file, &outputs, &[0.265_024_7, 1.573_720_7, 0.478_410_9]);
        let logs = model.evaluate(&x, &y, by_twos()).unwrap();
        // From HDF5, Keras calls the second mean_absolute_error.
        let expected = json!({"loss": 0.209_666_565, "mae": 1.276_761_65});
        assert_logs(file, Ok(logs), &expected);
        model.train_on_batch(&x, &y, None, None).unwrap();
        let kernel = [0.299_940_7, -0.060_093_05, -0.074_786_13, 0.799_996_8];
        let others = [-0.099_735_16, -0.108_346_21, 1.0, -0.5, 0.3];
        assert_near(file, model.values(), &[&kernel[..], &others].concat());
    }
}

#[test]
fn a_loss_of_null_is_written_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["again.keras", "again.h5"] {
        let model = Sequential::load(golden("model.keras")).unwrap();
        let path = folder.path().join(name);
        model.save(&path).unwrap();
        let again = Sequential::load(&path).unwrap();
        assert_eq!(again.compile_config().unwrap()["loss"], Value::Null);
        assert_eq!(again.values(), model.values());
    }
    let error = CompileOptions::from_config(&json!({"loss": [null]})).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"loss\" is [null], expected one such as \"mse\", or null to train by regularizers alone"
    );
}

/// Keras evaluates without a loss; the command looks for the one that goes with the outputs, as for
/// a model that was never compiled, and keeps the metrics.
#[test]
fn the_command_takes_the_loss_that_goes_with_the_outputs() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("rows.csv"),
        "a,b,label\n1,2,1\n3,-1,0\n0.5,0.25,2\n",
    )
    .unwrap();
    let model = golden("model.keras").to_string_lossy().into_owned();
    let arguments = ["evaluate", &model, "--data", "rows.csv", "--json"];
    let found: Value = serde_json::from_str(&thumbnet(folder.path(), arguments).ok()).unwrap();
    // ((1 - 0.26502)² + 1.57372² + (2 - 0.47841)²) / 3 = 1.77735, and Keras' penalties, 0.20967.
    assert!(
        (found["loss"].as_f64().unwrap() - 1.987_02).abs() < 1e-4,
        "{found}"
    );
    assert!(
        (found["mae"].as_f64().unwrap() - 1.276_76).abs() < 1e-4,
        "{found}"
    );
}
