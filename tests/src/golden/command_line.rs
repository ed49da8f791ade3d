//! Trainings of real Keras, replayed by `thumbnet train` and compared as `trajectory` does.

use std::fs;
use std::path::Path;

use ndarray::ArrayD;
use serde_json::{Value, json};
use thumbnet_trainer::{Sequential, dataset::write_npy, history::LogValue};

use super::rule::Rule;
use super::trajectory::{
    Data, Differences, ROUNDINGS, batch_size, compare_history, compile_config,
};
use super::{json, npz};
use crate::command::thumbnet;

/// Trains by the command line what the recipe in `folder` says; returns what differed.
pub fn replay(folder: &Path) -> Vec<String> {
    let recipe = json(&folder.join("recipe.json"));
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let mut differences = Differences { found: Vec::new() };
    if let Err(problem) = run(folder, &recipe, scratch.path(), &mut differences) {
        differences.found.push(problem);
    }
    differences.found
}

/// The words after `thumbnet`, with the files that they name in `scratch`.
pub fn arguments(folder: &Path, recipe: &Value, scratch: &Path) -> Result<Vec<String>, String> {
    let write = |name: &str, array: &ArrayD<f32>| {
        write_npy(&scratch.join(name), array).map_err(|error| error.to_string())
    };
    let write_json = |name: &str, value: &Value| {
        fs::write(scratch.join(name), value.to_string()).map_err(|error| error.to_string())
    };
    let data = Data::read(folder, recipe);
    let (x, y) = data.rows(recipe, "train_rows");
    write("x.npy", &x)?;
    write("y.npy", &y)?;
    write_json("compile.json", &compile_config(recipe))?;
    fs::copy(folder.join("init.h5"), scratch.join("init.h5")).map_err(|e| e.to_string())?;

    let line = "train --model init.h5 --compile compile.json --x x.npy --y y.npy --no-shuffle \
        --history h.json --output out.h5 --verbose 0";
    let mut words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
    let fit = recipe["fit"].as_object().ok_or("the recipe has no fit")?;
    let mut option = |name: &str, value: String| words.extend([format!("--{name}"), value]);
    for (key, value) in fit {
        let name = key.replace('_', "-");
        match (key.as_str(), value) {
            (_, Value::Null) | ("shuffle" | "validation_data", Value::Bool(false)) => {}
            ("validation_data", Value::Bool(true)) => {
                let (x, y) = data.rows(recipe, "eval_rows");
                write("x-val.npy", &x)?;
                write("y-val.npy", &y)?;
                option("validation-x", "x-val.npy".to_string());
                option("validation-y", "y-val.npy".to_string());
            }
            ("sample_weight" | "val_sample_weight", Value::String(_)) => {
                let file = format!("{key}.npy");
                write(&file, &npz(&folder.join("extra.npz"), key))?;
                option(&name.replace("val-", "validation-"), file);
            }
            ("class_weight", Value::Object(weights)) => {
                let pairs: Vec<_> = weights.iter().map(|(k, v)| format!("{k}:{v}")).collect();
                option(&name, pairs.join(","));
            }
            ("validation_freq", Value::Array(epochs)) => {
                let epochs: Vec<_> = epochs.iter().map(|epoch| format!("{epoch},")).collect();
                option(&name, epochs.concat());
            }
            (
                "epochs"
                | "initial_epoch"
                | "batch_size"
                | "steps_per_epoch"
                | "validation_split"
                | "validation_steps"
                | "validation_batch_size"
                | "validation_freq",
                Value::Number(number),
            ) => option(&name, number.to_string()),
            (key, value) => {
                return Err(format!("cannot be expressed: {key}={value} of fit"));
            }
        }
    }
    // What Keras makes of None when the steps are given.
    let count = |key: &str| fit.get(key).and_then(Value::as_u64).map(|v| v as usize); // small numbers
    if let (None, Some(steps)) = (count("batch_size"), count("steps_per_epoch")) {
        let size = batch_size(None, x.shape()[0], Some(steps));
        option("batch-size", size.to_string());
    }
    let given = count("validation_batch_size").or(count("batch_size"));
    if let (None, Some(steps)) = (given, count("validation_steps")) {
        let rows = data.rows(recipe, "eval_rows").0.shape()[0];
        let size = batch_size(None, rows, Some(steps));
        option("validation-batch-size", size.to_string());
    }
    let callbacks = recipe["callbacks"].as_array().cloned().unwrap_or_default();
    if !callbacks.is_empty() {
        let callbacks = callbacks.iter().map(|spec| callback(spec, recipe));
        let callbacks = callbacks.collect::<Result<Vec<_>, _>>()?;
        write_json("callbacks.json", &Value::Array(callbacks))?;
        option("callbacks", "callbacks.json".to_string());
    }
    Ok(words)
}

/// `{"cls": "EarlyStopping", "patience": 1}` as a class name and a config.
fn callback(spec: &Value, recipe: &Value) -> Result<Value, String> {
    let mut config = spec.as_object().ok_or("a callback is no object")?.clone();
    let class = config.remove("cls").ok_or("a callback without a class")?;
    if let Some(rule) = config.remove("rule") {
        // The command line takes the rates themselves.
        let rule = Rule::parse(rule.as_str().unwrap_or_default())?;
        let rate = &recipe["compile"]["optimizer"]["config"]["learning_rate"];
        let mut rate = rate
            .as_f64()
            .ok_or("cannot be expressed: a schedule twice")?;
        let epochs = recipe["fit"]["epochs"].as_u64().unwrap_or(1) as usize; // tens
        let rates: Vec<f64> = (0..epochs)
            .map(|epoch| {
                rate = rule.at(epoch, f64::from(rate as f32)); // as the optimizer holds it
                rate
            })
            .collect();
        config.insert("schedule".to_string(), json!(rates));
    }
    Ok(json!({"class_name": class, "config": config}))
}

/// A number, or one per class; JSON has no NaN.
fn logged(value: &Value) -> LogValue {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    match value {
        Value::Array(values) => LogValue::Numbers(values.iter().map(number).collect()),
        value => LogValue::Number(number(value)),
    }
}

fn run(
    folder: &Path,
    recipe: &Value,
    scratch: &Path,
    differences: &mut Differences,
) -> Result<(), String> {
    let words = arguments(folder, recipe, scratch)?;
    let finished = thumbnet(scratch, &words);
    if finished.code != Some(0) || !finished.stderr.is_empty() || !finished.stdout.is_empty() {
        return Err(format!(
            "thumbnet {} ends with {:?}: {}{}",
            words.join(" "),
            finished.code,
            finished.stderr.trim_end(),
            finished.stdout
        ));
    }
    let history = json(&scratch.join("h.json"));
    let history = history.as_object().ok_or("the history is no object")?;
    let names: Vec<_> = history.keys().map(String::as_str).collect();
    let values = |name: &str| {
        let values = history.get(name)?.as_array()?.iter();
        Some(values.map(logged).collect())
    };
    compare_history(recipe, &names, values, differences);
    let model = Sequential::load(scratch.join("out.h5")).map_err(|error| error.to_string())?;
    let expected = npz(&folder.join("trajectory.npz"), "final");
    let rounding = recipe["rounding"]["final_abs"].as_f64().unwrap_or(0.0);
    let expected = expected.as_slice().expect("one axis");
    differences.values("final", model.values(), expected, ROUNDINGS * rounding);
    Ok(())
}
