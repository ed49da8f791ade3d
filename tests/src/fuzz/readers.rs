//! Files that the trainer reads.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
};

use ndarray::{ArrayD, Dimension};
use serde_json::{Value, json};
use thumbnet_trainer::{
    Dataset, Error, Result, Sequential, callbacks,
    dataset::{CsvOptions, read_array},
    saving::import_tflite,
    sequential::CompileOptions,
};

use crate::{allocations, golden};

/// Files of that ending in folders of the golden data, the small ones.
pub fn seeds(folders: &[&str], ending: &str) -> Vec<Vec<u8>> {
    let mut paths = Vec::new();
    for folder in folders {
        find(&golden::root().join(folder), ending, &mut paths);
    }
    paths.sort();
    let seeds = paths.iter().map(|path| fs::read(path).expect("a file"));
    seeds.filter(|seed| seed.len() < 60_000).take(60).collect()
}

fn find(folder: &Path, ending: &str, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of golden data") {
        let path = entry.expect("a file").path();
        if path.is_dir() {
            find(&path, ending, paths);
        } else if golden::name(&path).ends_with(ending)
            && (ending == ".weights.h5" || !golden::name(&path).ends_with(".weights.h5"))
        {
            paths.push(path);
        }
    }
}

/// Most bytes that a reader may have at a time, beside eight times the file.
const ROOM: usize = 64 << 20;

/// Reads bytes as a file of that name. A refusal is one line.
fn read<T>(name: &str, bytes: &[u8], read: impl FnOnce(&Path) -> Result<T>) -> Option<T> {
    thread_local! {
        static FOLDER: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
    }
    let path = FOLDER.with_borrow_mut(|folder| {
        let folder = folder.get_or_insert_with(|| {
            // In memory, where the system has such a folder.
            let memory = Path::new("/dev/shm");
            let made = match memory.is_dir() {
                true => tempfile::tempdir_in(memory),
                false => tempfile::tempdir(),
            };
            made.expect("a temporary folder")
        });
        folder.path().join(name)
    });
    fs::write(&path, bytes).expect("space for the input");
    let (peak, result) = allocations::peak_of(|| read(&path));
    let most = ROOM + 8 * bytes.len();
    assert!(peak <= most, "{peak} bytes for a file of {}", bytes.len());
    result.map_err(|error| one_line(&error)).ok()
}

fn one_line(error: &Error) {
    let text = error.to_string();
    assert!(!text.is_empty() && text.chars().count() < 2000, "{text}");
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

/// A model that was accepted predicts.
fn predicts(model: &Sequential) {
    let Some(shape) = model.input_shape() else {
        return;
    };
    let width: usize = shape.iter().product();
    if width > 1 << 20 {
        return;
    }
    let shape: Vec<usize> = [2].iter().chain(shape).copied().collect();
    let x = ArrayD::from_shape_fn(shape, |at| (at[at.ndim() - 1] % 7) as f32 * 0.25);
    model
        .predict(&x)
        .unwrap_or_else(|error| panic!("accepted, but: {error}"));
    let _ = (model.to_json(), model.count_params());
}

pub fn h5(bytes: &[u8]) -> bool {
    let model = read("input.h5", bytes, |path| Sequential::load(path));
    model.as_ref().inspect(|model| predicts(model)).is_some()
}

pub fn keras(bytes: &[u8]) -> bool {
    let model = read("input.keras", bytes, |path| Sequential::load(path));
    model.as_ref().inspect(|model| predicts(model)).is_some()
}

/// Weights for each of some architectures.
pub fn weights(bytes: &[u8]) -> bool {
    let mut accepted = false;
    for case in ["custom_names", "softmax_iris", "batchnorm_breast_cancer"] {
        let config = golden::json(&golden::root().join("cases").join(case).join("config.json"));
        let mut model = Sequential::from_serialized(&config).expect("a golden configuration");
        let read = read("input.weights.h5", bytes, |path| model.load_weights(path));
        if read.is_some() {
            predicts(&model);
            accepted = true;
        }
    }
    accepted
}

pub fn npy(bytes: &[u8]) -> bool {
    let array = read("input.npy", bytes, read_array);
    array.is_some_and(|array| array.len() * 4 <= 8 * bytes.len() + ROOM)
}

pub fn csv(bytes: &[u8]) -> bool {
    let table = read("input.csv", bytes, |path| {
        Dataset::from_csv(path, &CsvOptions::default())
    });
    let Some(table) = table else {
        return false;
    };
    let width: usize = table.row_shape().iter().product();
    assert_eq!(table.x.len(), table.rows() * width);
    assert!(table.x.iter().all(|x| x.is_finite()));
    true
}

pub fn tflite(bytes: &[u8]) -> bool {
    let imported = read("input.tflite", bytes, import_tflite);
    imported
        .inspect(|imported| predicts(&imported.model))
        .is_some()
}

/// A text as each of the things that JSON is read for.
pub fn json(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let model = Sequential::from_json(text);
    let model = model.map_err(|error| one_line(&error)).ok();
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return false;
    };
    let compile = CompileOptions::from_config(&value);
    let compile = compile.map_err(|error| one_line(&error)).is_ok();
    let callback = callbacks::from_config(&value);
    let callback = callback.map_err(|error| one_line(&error)).is_ok();
    if let Some(model) = &model {
        predicts(model);
    }
    model.is_some() || compile || callback
}

/// Configurations of models, settings of compiling, callbacks.
pub fn json_seeds() -> Vec<Vec<u8>> {
    let mut seeds = seeds(&["cases"], "config.json");
    let texts = [
        json!({"optimizer": "adam", "loss": "mse", "metrics": ["accuracy", "mae"]}),
        json!({"optimizer": {"class_name": "SGD", "config": {"learning_rate": 0.1, "momentum": 0.9, "nesterov": true}},
            "loss": {"class_name": "Huber", "config": {"delta": 2.0, "reduction": "sum"}}, "metrics": null}),
        json!({"optimizer": {"class_name": "Adam", "config": {"learning_rate": {"class_name": "ExponentialDecay",
            "config": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.9, "staircase": false}}}},
            "loss": "sparse_categorical_crossentropy", "metrics": [["accuracy"]], "loss_weights": null}),
        json!({"class_name": "EarlyStopping", "config": {"monitor": "val_loss", "patience": 3, "min_delta": 0.1}}),
        json!({"class_name": "ReduceLROnPlateau", "config": {"factor": 0.5, "patience": 3, "min_lr": 1e-5}}),
        json!({"class_name": "ModelCheckpoint", "config": {"filepath": "m-{epoch:02d}.keras", "save_best_only": true}}),
        json!({"class_name": "LearningRateScheduler", "config": {"schedule": [0.1, 0.05]}}),
        json!({"class_name": "CSVLogger", "config": {"filename": "log.csv", "separator": ";"}}),
        json!("TerminateOnNaN"),
    ];
    seeds.extend(texts.map(|text| text.to_string().into_bytes()));
    seeds
}
