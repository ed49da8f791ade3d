//! What whole models compute in Keras' tests of the trainer, callbacks, models and saving, replayed:
//! the cases that `golden/keras_tests/record_models.py` writes down.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use ndarray::{Array1, ArrayD, IxDyn};
use serde_json::{Map, Value, json};
use thumbnet_trainer::callbacks::{self, SharedCallback};
use thumbnet_trainer::history::LogValue;
use thumbnet_trainer::training::{
    EvaluateOptions, FitOptions, PredictOptions, ValidationData, ValidationFrequency,
};
use thumbnet_trainer::{Error, History, Logs, Sequential};

use super::{Outcome, not_applicable};
use crate::golden::trajectory::batch_size;
use crate::unit_tables::{Near, flat, golden, near};

/// Sums of float32 in another order, over a few steps.
const TOLERANCE: Near = Near {
    relative: 1e-5,
    absolute: 1e-6,
};
/// Layers whose noise is drawn while training: other libraries draw another one.
const RANDOM: [&str; 4] = [
    "\"Dropout\"",
    "\"GaussianDropout\"",
    "\"GaussianNoise\"",
    "\"AlphaDropout\"",
];

/// The table; `None` where the golden folder has none.
pub fn table() -> Option<Value> {
    let file = std::fs::File::open(golden().join("keras_tests/models.json.gz")).ok()?;
    let mut text = String::new();
    let mut packed = flate2::read::GzDecoder::new(file);
    packed.read_to_string(&mut text).expect("gzip of text");
    Some(serde_json::from_str(&text).expect("a golden table is JSON"))
}

/// Why a case ends early.
enum Stop {
    NotApplicable(String),
    Different(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Unsupported(message) => Self::NotApplicable(kind(&message)),
            other => Self::Different(other.to_string()),
        }
    }
}

/// The kind of thing that thumbnet does not have, without the names of one model.
fn kind(message: &str) -> String {
    let unknown = message.split_once(", which thumbnet does not have");
    if let Some((start, _)) = unknown {
        let class = start.rsplit(' ').next().unwrap_or(start);
        return format!("layers that thumbnet does not have: {class}");
    }
    if message.contains("train one that is a straight chain of layers") {
        return "models that are no chain of layers".into();
    }
    message.to_string()
}

/// Replays one model of one test.
pub fn replay(case: &Value) -> Outcome {
    let mut problems = Vec::new();
    match replay_calls(case, &mut problems) {
        Err(Stop::NotApplicable(reason)) if problems.is_empty() => return not_applicable(reason),
        Err(Stop::NotApplicable(_)) | Ok(()) => {}
        Err(Stop::Different(problem)) => problems.push(problem),
    }
    Outcome::Compared(problems)
}

fn replay_calls(case: &Value, problems: &mut Vec<String>) -> Result<(), Stop> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let events = case["events"].as_array().expect("events");
    let text = case["model"].to_string();
    let trains = events.iter().any(|event| event.get("after").is_some());
    if trains && RANDOM.iter().any(|layer| text.contains(layer)) {
        return Err(Stop::NotApplicable("noise that is drawn".into()));
    }
    let mut model = Sequential::from_serialized(&case["model"])?;
    // Settings without a loss are those of a model that is not compiled, as in files.
    if !case["compile"]["loss"].is_null() {
        model.compile_from_config(&case["compile"])?;
    }
    for (index, event) in events.iter().enumerate() {
        let call = event["call"].as_str().expect("a name");
        let mut found = Vec::new();
        let outcome = match call {
            "save" => saved(&mut model, event, folder.path(), &mut found),
            _ => called(&mut model, call, event, folder.path(), &mut found),
        };
        let what = |problem: String| format!("{index} {call}: {problem}");
        problems.extend(found.into_iter().map(what));
        match (outcome, event["error"].as_str()) {
            (Ok(()), None) | (Err(Stop::Different(_)), Some(_)) => {}
            (Ok(()), Some(error)) => problems.push(what(format!("no error, expected {error}"))),
            (Err(Stop::NotApplicable(reason)), _) => return Err(Stop::NotApplicable(reason)),
            (Err(Stop::Different(error)), None) => return Err(Stop::Different(what(error))),
        }
    }
    Ok(())
}

/// A file that Keras wrote: it loads, with the weights and the outputs that Keras has.
fn saved(
    model: &mut Sequential,
    event: &Value,
    folder: &Path,
    problems: &mut Vec<String>,
) -> Result<(), Stop> {
    let path = folder.join(event["name"].as_str().expect("a name"));
    let content = bytes(event["file"].as_str().expect("a file"));
    std::fs::write(&path, content).expect("a temporary file");
    let x = array(&event["x"]).expect("an array");
    if event["what"] == "save_weights_only" {
        if !model.is_built() {
            model.build(&x.shape()[1..])?;
        }
        model.load_weights(&path)?;
    } else {
        *model = Sequential::load(&path)?;
    }
    problems.extend(near(
        "weights",
        model.values(),
        &all(&event["weights"]),
        TOLERANCE,
    ));
    compare_array("outputs", &model.predict(&x)?, &event["result"], problems);
    Ok(())
}

/// A call of the trainer, with what it gives and the weights after it.
fn called(
    model: &mut Sequential,
    call: &str,
    event: &Value,
    folder: &Path,
    problems: &mut Vec<String>,
) -> Result<(), Stop> {
    let x = array(&event["x"])
        .ok_or_else(|| Stop::NotApplicable("calls without inputs".to_string()))?;
    if !model.is_built() {
        model.build(&x.shape()[1..])?;
    }
    set_weights(model, &all(&event["before"]))?;
    let y = array(&event["y"]);
    let targets = || {
        y.as_ref()
            .ok_or_else(|| Stop::NotApplicable("calls without targets".to_string()))
    };
    let weight = row_weights(&event["sample_weight"], x.shape()[0])?;
    let weight = weight.as_ref().map(|weight| weight.view());
    let validation = validation(event)?;
    let list = callbacks_of(event, folder)?;
    let class_weight = class_weight(event);
    let steps = count(event, "steps");
    let size = Some(batch_size(count(event, "batch_size"), x.shape()[0], steps));
    match call {
        "fit" => {
            let mut options = fit_options(event, &x);
            options.callbacks = list;
            options.class_weight = class_weight;
            options.sample_weight = weight;
            options.validation_data = validation.as_ref().map(|(x, y, weight)| {
                let data = ValidationData::new(x, y);
                match weight {
                    Some(weight) => data.with_sample_weight(weight.view()),
                    None => data,
                }
            });
            for (name, text) in event["present"].as_object().into_iter().flatten() {
                let text = text.as_str().expect("text");
                std::fs::write(folder.join(name), text).expect("a temporary file");
            }
            let history = model.fit(&x, targets()?, options)?;
            compare_history(&history, event, problems);
            compare_files(event, folder, problems);
        }
        "evaluate" => {
            let options = EvaluateOptions {
                batch_size: size,
                verbose: 0,
                sample_weight: weight,
                steps,
                callbacks: list,
            };
            let logs = model.evaluate(&x, targets()?, options)?;
            compare_logs(&logs, &event["logs"], problems);
        }
        "train_on_batch" => {
            let logs = model.train_on_batch(&x, targets()?, weight, class_weight.as_ref())?;
            compare_logs(&logs, &event["logs"], problems);
        }
        "test_on_batch" => {
            let logs = model.test_on_batch(&x, targets()?, weight)?;
            compare_logs(&logs, &event["logs"], problems);
        }
        "predict" => {
            let options = PredictOptions {
                batch_size: size,
                verbose: 0,
                steps,
                callbacks: list,
            };
            let found = model.predict_with(&x, options)?;
            compare_array("outputs", &found, &event["result"], problems);
        }
        "predict_on_batch" => {
            let found = model.predict_on_batch(&x)?;
            compare_array("outputs", &found, &event["result"], problems);
        }
        other => return Err(Stop::Different(format!("the table has a call {other:?}"))),
    }
    if event.get("after").is_some() {
        let after = all(&event["after"]);
        problems.extend(near("weights", model.values(), &after, TOLERANCE));
    }
    Ok(())
}

fn fit_options<'a>(event: &Value, x: &ArrayD<f32>) -> FitOptions<'a> {
    let validation_split = event["validation_split"].as_f64().unwrap_or(0.0);
    let rows = x.shape()[0];
    let train = (rows as f64 * (1.0 - validation_split)).floor() as usize; // of few rows
    let validated = match event["validation_data"][0]["shape"][0].as_u64() {
        Some(rows) => rows as usize, // a small number
        None => rows.saturating_sub(train),
    };
    let given = count(event, "batch_size");
    FitOptions {
        epochs: count(event, "epochs").unwrap_or(1),
        batch_size: Some(batch_size(given, train, count(event, "steps_per_epoch"))),
        validation_split,
        shuffle: false,
        verbose: 0,
        initial_epoch: count(event, "initial_epoch").unwrap_or(0),
        steps_per_epoch: count(event, "steps_per_epoch"),
        validation_steps: count(event, "validation_steps"),
        validation_batch_size: Some(batch_size(
            count(event, "validation_batch_size").or(given),
            validated,
            count(event, "validation_steps"),
        )),
        validation_freq: match &event["validation_freq"] {
            Value::Array(_) => ValidationFrequency::Epochs(
                flat(&event["validation_freq"])
                    .iter()
                    .map(|&epoch| epoch as usize) // small numbers
                    .collect(),
            ),
            other => ValidationFrequency::Every(other.as_u64().unwrap_or(1) as usize), // a small number
        },
        ..FitOptions::default()
    }
}

type Rows = (ArrayD<f32>, ArrayD<f32>, Option<Array1<f32>>);

fn validation(event: &Value) -> Result<Option<Rows>, Stop> {
    let parts = &event["validation_data"];
    if parts.is_null() {
        return Ok(None);
    }
    match (array(&parts[0]), array(&parts[1])) {
        (Some(x), Some(y)) => {
            let weights = row_weights(&parts[2], x.shape()[0])?;
            Ok(Some((x, y, weights)))
        }
        _ => Err(Stop::NotApplicable("validation without targets".into())),
    }
}

fn class_weight(event: &Value) -> Option<BTreeMap<i64, f32>> {
    let classes = event["class_weight"].as_object()?;
    let entry = |(class, weight): (&String, &Value)| {
        let class = class.parse().expect("a class");
        (class, weight.as_f64().expect("a weight") as f32)
    };
    Some(classes.iter().map(entry).collect())
}

fn row_weights(value: &Value, rows: usize) -> Result<Option<Array1<f32>>, Stop> {
    match array(value) {
        None => Ok(None),
        Some(weights) if weights.ndim() > 0 && weights.len() == weights.shape()[0] => {
            Ok(Some(weights.iter().copied().collect()))
        }
        Some(weights) if weights.len() == 1 => Ok(Some(Array1::from_elem(rows, weights[[]]))),
        Some(_) => Err(Stop::NotApplicable(
            "weights that are not one for each row".into(),
        )),
    }
}

/// Callbacks by their configurations; what they write goes to `folder`.
fn callbacks_of<'a>(event: &Value, folder: &Path) -> Result<Vec<SharedCallback<'a>>, Stop> {
    let none = vec![];
    let list = event["callbacks"].as_array().unwrap_or(&none);
    list.iter()
        .map(|one| {
            let mut one = one.clone();
            let config = one["config"].as_object_mut().expect("arguments");
            for key in ["filepath", "filename", "backup_dir"] {
                if let Some(Value::String(name)) = config.get(key) {
                    let path = folder.join(name).to_string_lossy().into_owned();
                    config.insert(key.to_string(), path.into());
                }
            }
            Ok(callbacks::from_config(&one)?.into())
        })
        .collect()
}

fn set_weights(model: &mut Sequential, weights: &[f32]) -> Result<(), Stop> {
    let values = model.values_mut();
    if values.len() != weights.len() {
        return Err(Stop::Different(format!(
            "{} weights, expected {}",
            values.len(),
            weights.len()
        )));
    }
    // Weights that were met go on as they are, so that differences add up and are seen.
    if !near("", values, weights, TOLERANCE).is_empty() {
        values.copy_from_slice(weights);
    }
    Ok(())
}

fn compare_history(history: &History, event: &Value, problems: &mut Vec<String>) {
    let epochs = json!(history.epoch);
    if epochs != event["epochs_run"] {
        problems.push(format!("epochs {epochs}, expected {}", event["epochs_run"]));
    }
    let expected = event["history"].as_object().expect("a history");
    compare_names(history.names(), expected, problems);
    for (name, values) in expected {
        let found = history.values(name).unwrap_or_default();
        let found: Vec<f32> = found.iter().flat_map(numbers).collect();
        problems.extend(near(name, &found, &flat(values), TOLERANCE));
    }
}

fn compare_logs(logs: &Logs, expected: &Value, problems: &mut Vec<String>) {
    let empty = Map::new();
    let expected = expected.as_object().unwrap_or(&empty);
    compare_names(logs.names(), expected, problems);
    for (name, value) in expected {
        let found = logs.value(name).map(numbers).unwrap_or_default();
        problems.extend(near(name, &found, &flat(value), TOLERANCE));
    }
}

fn compare_names<'a>(
    found: impl Iterator<Item = &'a str>,
    expected: &Map<String, Value>,
    problems: &mut Vec<String>,
) {
    let found: Vec<&str> = found.collect();
    let expected: Vec<&str> = expected.keys().map(String::as_str).collect();
    if found != expected {
        problems.push(format!("names {found:?}, expected {expected:?}"));
    }
}

/// What callbacks left in the folder: tables by their numbers, checkpoints by their names.
fn compare_files(event: &Value, folder: &Path, problems: &mut Vec<String>) {
    for (name, expected) in event["files"].as_object().into_iter().flatten() {
        if name == "checkpoints" {
            let found = std::fs::read_dir(folder).expect("a folder");
            let names = found.map(|file| file.expect("a file").file_name().into_string());
            let mut names: Vec<String> = names.map(|name| name.expect("text")).collect();
            names.retain(|name| name.ends_with(".keras") || name.ends_with(".h5"));
            names.sort();
            if json!(names) != *expected {
                problems.push(format!("checkpoints {names:?}, expected {expected}"));
            }
            continue;
        }
        let found = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let expected = expected.as_str().expect("text");
        let cells = |text: &str| -> Vec<String> {
            let lines = text.lines();
            lines
                .flat_map(|line| line.split([',', '\t', ';']))
                .map(str::to_string)
                .collect()
        };
        let (a, b) = (cells(&found), cells(expected));
        let same = |a: &String, b: &String| match (a.parse::<f32>(), b.parse::<f32>()) {
            (Ok(a), Ok(b)) => near("", &[a], &[b], TOLERANCE).is_empty(),
            _ => a == b,
        };
        if a.len() != b.len() || !a.iter().zip(&b).all(|(a, b)| same(a, b)) {
            problems.push(format!("{name} holds {found:?}, expected {expected:?}"));
        }
    }
}

fn compare_array(what: &str, found: &ArrayD<f32>, expected: &Value, problems: &mut Vec<String>) {
    let expected = array(expected).unwrap_or_else(|| ArrayD::zeros(IxDyn(&[0])));
    if found.shape() != expected.shape() {
        let (found, expected) = (found.shape(), expected.shape());
        problems.push(format!("{what} of shape {found:?}, expected {expected:?}"));
        return;
    }
    let found: Vec<f32> = found.iter().copied().collect();
    let expected: Vec<f32> = expected.iter().copied().collect();
    problems.extend(near(what, &found, &expected, TOLERANCE));
}

fn numbers(value: &LogValue) -> Vec<f32> {
    match value {
        LogValue::Number(value) => vec![*value as f32],
        LogValue::Numbers(values) => values.iter().map(|&value| value as f32).collect(),
    }
}

/// An array of the table; `None` for null.
fn array(value: &Value) -> Option<ArrayD<f32>> {
    let shape: Vec<usize> = value
        .get("shape")?
        .as_array()?
        .iter()
        .map(|axis| axis.as_u64().expect("a size") as usize) // small numbers
        .collect();
    let len = shape.iter().product();
    let mut values = flat(&value["values"]);
    // One number stands for all.
    if values.len() == 1 && len != 1 {
        values = vec![values[0]; len];
    }
    Some(ArrayD::from_shape_vec(IxDyn(&shape), values).expect("as many numbers as its shape says"))
}

/// All numbers of a list of arrays.
fn all(list: &Value) -> Vec<f32> {
    let arrays = list.as_array().expect("arrays").iter().filter_map(array);
    arrays.flat_map(|array| array.into_iter()).collect()
}

fn count(event: &Value, key: &str) -> Option<usize> {
    event[key].as_u64().map(|count| count as usize) // small numbers
}

/// Bytes of hexadecimal digits.
fn bytes(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a digit") as u8; // below 16
    let pairs = text.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}
