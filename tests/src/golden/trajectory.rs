//! Trainings of real Keras, replayed from their recipe and compared step by step.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{ArrayD, Axis, Slice};
use serde_json::{Value, json};
use thumbnet_trainer::callbacks::{
    Callback, Direction, EarlyStopping, LambdaCallback, LearningRateScheduler, ReduceLROnPlateau,
    SharedCallback,
};
use thumbnet_trainer::history::LogValue;
use thumbnet_trainer::sequential::CompileOptions;
use thumbnet_trainer::training::{
    EvaluateOptions, FitOptions, ValidationData, ValidationFrequency,
};
use thumbnet_trainer::{ArrayData, Logs, Sequential};

use super::{json, npz, rule};

/// What Keras says of the size of rounding noise is the difference of one float32 run to one
/// float64 run; another order of summation may well be this many times as far off.
pub(super) const ROUNDINGS: f64 = 20.0;
/// Share of a value that may differ in any case: two orders above float32's.
const RELATIVE: f64 = 1e-5;
/// A sample that crosses one of AUC's 200 thresholds moves it by about as much.
const AUC: f64 = 1e-3;

/// Collects what differs.
pub(super) struct Differences {
    pub found: Vec<String>,
}

impl Differences {
    /// Values that may differ by `absolute` or by a share of themselves.
    pub fn values(&mut self, what: &str, found: &[f32], expected: &[f32], absolute: f64) {
        if found.len() != expected.len() {
            self.found.push(format!(
                "{what}: {} values, expected {}",
                found.len(),
                expected.len()
            ));
            return;
        }
        let worst = found
            .iter()
            .zip(expected)
            .enumerate()
            .filter_map(|(i, (a, b))| {
                let (a, b) = (f64::from(*a), f64::from(*b));
                let excess = (a - b).abs() - (absolute + RELATIVE * b.abs());
                // NaN must not pass.
                (excess > 0.0 || excess.is_nan()).then_some((excess, i, a, b))
            });
        if let Some((_, i, a, b)) = worst.max_by(|a, b| a.0.total_cmp(&b.0)) {
            self.found.push(format!(
                "{what}: value {i} is {a:e}, expected {b:e}, apart {:.1e}, allowed {:.1e}",
                (a - b).abs(),
                absolute + RELATIVE * b.abs()
            ));
        }
    }

    fn logs(&mut self, what: &str, found: &Logs, expected: &Value, rounding: &Value, prefix: &str) {
        let expected = expected.as_object().expect("logs are an object");
        for (name, value) in expected {
            let Some(found) = found.value(name) else {
                self.found.push(format!("{what}: no {name:?}"));
                continue;
            };
            let rounding = &rounding["history_rel"];
            let relative = rounding
                .get(format!("{prefix}{name}"))
                .or_else(|| rounding.get(name));
            self.logged(
                &format!("{what}: {name}"),
                name,
                found,
                value,
                relative.and_then(Value::as_f64),
            );
        }
    }

    /// What is logged under a metric's name: a number, or one per class.
    fn logged(
        &mut self,
        what: &str,
        metric: &str,
        found: &LogValue,
        expected: &Value,
        rounding: Option<f64>,
    ) {
        let found = match found {
            LogValue::Number(value) => std::slice::from_ref(value),
            LogValue::Numbers(values) => values,
        };
        let expected = match expected {
            Value::Array(values) => values,
            value => std::slice::from_ref(value),
        };
        if found.len() != expected.len() {
            self.found.push(format!(
                "{what}: {} values, expected {}",
                found.len(),
                expected.len()
            ));
            return;
        }
        for (found, expected) in found.iter().zip(expected) {
            let expected = crate::unit_tables::number(expected);
            self.number(what, metric, *found, expected, rounding);
        }
    }

    fn number(
        &mut self,
        what: &str,
        metric: &str,
        found: f64,
        expected: f64,
        rounding: Option<f64>,
    ) {
        let mut allowed = (ROUNDINGS * rounding.unwrap_or(0.0) + RELATIVE) * expected.abs();
        if metric.contains("auc") || metric.contains("pr_") {
            allowed = AUC;
        }
        let apart = (found - expected).abs();
        if apart > allowed || apart.is_nan() && !(found.is_nan() && expected.is_nan()) {
            self.found.push(format!(
                "{what} is {found}, expected {expected}, apart {apart:.1e}, allowed {allowed:.1e}"
            ));
        }
    }
}

/// The data of a recipe.
pub(super) struct Data {
    x: ArrayD<f32>,
    y: ArrayD<f32>,
}

impl Data {
    pub fn read(folder: &Path, recipe: &Value) -> Self {
        let data = &recipe["data"];
        let file = folder.join(data["file"].as_str().expect("a file name"));
        let mut x = npz(&file, data["x"].as_str().expect("a name"));
        let factor = data["x_multiplier"].as_f64().expect("a number") as f32; // as Keras was given it
        if factor != 1.0 {
            x.mapv_inplace(|v| v * factor);
        }
        let y = match data["y"].as_str().expect("a name") {
            "y_pm1" => npz(&file, "y_float").mapv(|v| v * 2.0 - 1.0),
            "y_col" => npz(&file, "y_float").insert_axis(Axis(1)),
            name => npz(&file, name),
        };
        Self { x, y }
    }

    pub fn rows(&self, recipe: &Value, key: &str) -> (ArrayD<f32>, ArrayD<f32>) {
        let range = &recipe["data"][key];
        let at = |i: usize| range[i].as_u64().expect("a row") as usize; // small numbers
        let slice = Slice::from(at(0)..at(1));
        let cut = |array: &ArrayD<f32>| array.slice_axis(Axis(0), slice).to_owned();
        (cut(&self.x), cut(&self.y))
    }
}

/// The compile settings of a recipe, with the loss as its class and arguments say.
pub fn compile_config(recipe: &Value) -> Value {
    let mut compile = recipe["compile"].clone();
    let loss = &recipe["compile"]["loss"];
    compile["loss"] = match loss.get("string") {
        Some(name) => name.clone(),
        None => json!({"class_name": loss["cls"], "config": loss["kwargs"]}),
    };
    compile
}

/// The model of a recipe with its initial weights, compiled.
fn model(folder: &Path, recipe: &Value) -> Result<Sequential, String> {
    let say = |e: thumbnet_trainer::Error| e.to_string();
    let mut model = Sequential::from_serialized(&recipe["model"]).map_err(say)?;
    let init = npz(&folder.join("trajectory.npz"), "init");
    let init = init.as_slice().expect("one axis");
    if model.values().len() != init.len() {
        return Err(format!(
            "{} weights, expected {}",
            model.values().len(),
            init.len()
        ));
    }
    model.values_mut().copy_from_slice(init);
    let paths: Vec<_> = model.variables().iter().map(|v| v.path.as_str()).collect();
    let expected = recipe["weights"].as_array().expect("a list");
    let expected: Vec<_> = expected
        .iter()
        .map(|w| w["path"].as_str().expect("a path"))
        .collect();
    if paths != expected {
        return Err(format!("weights {paths:?}, expected {expected:?}"));
    }
    let options = CompileOptions::from_config(&compile_config(recipe)).map_err(say)?;
    model.compile_with(options).map_err(say)?;
    Ok(model)
}

fn callbacks(recipe: &Value) -> Result<Vec<Box<dyn Callback>>, String> {
    let list = recipe["callbacks"].as_array().cloned().unwrap_or_default();
    list.iter().map(callback).collect()
}

fn callback(spec: &Value) -> Result<Box<dyn Callback>, String> {
    let number = |key: &str, default: f64| spec.get(key).and_then(Value::as_f64).unwrap_or(default);
    let count = |key: &str, default: usize| {
        spec.get(key)
            .and_then(Value::as_u64)
            .map_or(default, |v| v as usize) // small numbers
    };
    let monitor = spec
        .get("monitor")
        .and_then(Value::as_str)
        .unwrap_or("val_loss");
    let mode = match spec.get("mode").and_then(Value::as_str) {
        Some("min") => Direction::Min,
        Some("max") => Direction::Max,
        _ => Direction::Auto,
    };
    Ok(match spec["cls"].as_str().unwrap_or_default() {
        "EarlyStopping" => Box::new(EarlyStopping {
            min_delta: number("min_delta", 0.0),
            patience: count("patience", 0),
            mode,
            baseline: spec.get("baseline").and_then(Value::as_f64),
            restore_best_weights: spec.get("restore_best_weights") == Some(&json!(true)),
            start_from_epoch: count("start_from_epoch", 0),
            ..EarlyStopping::new(monitor)
        }),
        "ReduceLROnPlateau" => Box::new(ReduceLROnPlateau {
            factor: number("factor", 0.1),
            patience: count("patience", 10),
            mode,
            min_delta: number("min_delta", 1e-4),
            cooldown: count("cooldown", 0),
            min_lr: number("min_lr", 0.0),
            ..ReduceLROnPlateau::new(monitor)
        }),
        "LearningRateScheduler" => {
            let rule = rule::Rule::parse(spec["rule"].as_str().unwrap_or_default())?;
            Box::new(LearningRateScheduler::new(move |epoch, rate| {
                rule.at(epoch, rate)
            }))
        }
        other => return Err(format!("callback {other} is not one that is replayed")),
    })
}

/// Replays the training in `folder`; returns what differed.
pub fn replay(folder: &Path) -> Vec<String> {
    let recipe = json(&folder.join("recipe.json"));
    let mut differences = Differences { found: Vec::new() };
    if let Err(error) = run(folder, &recipe, &mut differences) {
        differences.found.push(error);
    }
    differences.found
}

fn run(folder: &Path, recipe: &Value, differences: &mut Differences) -> Result<(), String> {
    let say = |e: thumbnet_trainer::Error| e.to_string();
    let mut model = model(folder, recipe)?;
    let data = Data::read(folder, recipe);
    let (x, y) = data.rows(recipe, "train_rows");
    let (x_val, y_val) = data.rows(recipe, "eval_rows");
    let extra = |name: &str| npz(&folder.join("extra.npz"), name);
    let fit = &recipe["fit"];
    let weights = fit["sample_weight"]
        .is_string()
        .then(|| extra("sample_weight"));
    let weights = weights.map(|w| w.into_dimensionality::<ndarray::Ix1>().expect("one axis"));
    let val_weights = fit["val_sample_weight"]
        .is_string()
        .then(|| extra("val_sample_weight"));
    let val_weights =
        val_weights.map(|w| w.into_dimensionality::<ndarray::Ix1>().expect("one axis"));
    let rounding = &recipe["rounding"];
    let count = |key: &str| fit.get(key).and_then(Value::as_u64).map(|v| v as usize); // small numbers

    // Recorded without weights.
    let quiet = || EvaluateOptions {
        verbose: 0,
        ..Default::default()
    };
    let initial = model.evaluate(&x_val, &y_val, quiet()).map_err(say)?;
    differences.logs(
        "evaluate_initial",
        &initial,
        &recipe["evaluate_initial"],
        rounding,
        "val_",
    );

    let class_weight: Option<BTreeMap<i64, f32>> = fit
        .get("class_weight")
        .and_then(Value::as_object)
        .map(|map| {
            map.iter()
                .map(|(k, v)| {
                    (
                        k.parse().expect("a class"),
                        v.as_f64().expect("a weight") as f32,
                    )
                })
                .collect()
        });
    first_gradient(
        folder,
        recipe,
        &mut model,
        (&x, &y),
        (weights.as_ref(), class_weight.as_ref()),
        differences,
    )?;

    let seen = RefCell::new(Seen::default());
    let mut validation = ValidationData::new(&x_val, &y_val);
    if let Some(weights) = &val_weights {
        validation = validation.with_sample_weight(weights.view());
    }
    let mut list: Vec<SharedCallback> = callbacks(recipe)?.into_iter().map(Into::into).collect();
    list.push(SharedCallback::from(
        LambdaCallback::new()
            .on_train_batch_end(|model, _, logs| {
                let mut seen = seen.borrow_mut();
                if seen.after_batch_1.is_empty() {
                    seen.after_batch_1 = model.values().to_vec();
                }
                if seen.epochs.is_empty() {
                    seen.batch_logs.push(logs.clone());
                }
                seen.learning_rates
                    .push(model.optimizer().expect("compiled").learning_rate());
                Ok(())
            })
            .on_epoch_end(|model, _, _| {
                seen.borrow_mut().epochs.push(model.values().to_vec());
                Ok(())
            }),
    ));
    let with_data = fit["validation_data"] == json!(true);
    let validation_split = fit
        .get("validation_split")
        .and_then(Value::as_f64)
        .unwrap_or(0.0);
    let rows = x.shape()[0];
    let held_out = rows - (rows as f64 * (1.0 - validation_split)).floor() as usize; // of few rows
    let options = FitOptions {
        epochs: count("epochs").unwrap_or(1),
        batch_size: Some(batch_size(
            count("batch_size"),
            x.shape()[0] - held_out,
            count("steps_per_epoch"),
        )),
        validation_data: with_data.then_some(validation),
        validation_split,
        shuffle: false,
        shuffle_block: None,
        verbose: 0,
        callbacks: list,
        class_weight,
        sample_weight: weights.as_ref().map(|w| w.view()),
        initial_epoch: count("initial_epoch").unwrap_or(0),
        steps_per_epoch: count("steps_per_epoch"),
        validation_steps: count("validation_steps"),
        validation_batch_size: Some(batch_size(
            count("validation_batch_size").or(count("batch_size")),
            if with_data {
                x_val.shape()[0]
            } else {
                held_out
            },
            count("validation_steps"),
        )),
        validation_freq: match &fit["validation_freq"] {
            Value::Array(list) => ValidationFrequency::Epochs(
                list.iter()
                    .filter_map(Value::as_u64)
                    .map(|v| v as usize)
                    .collect(),
            ),
            other => ValidationFrequency::Every(other.as_u64().unwrap_or(1) as usize),
        },
        seed: None,
        interrupt: None,
        threads: None,
    };
    let history = model.fit(&x, &y, options).map_err(say)?;
    let seen = seen.into_inner();

    let names: Vec<_> = history.names().collect();
    compare_history(
        recipe,
        &names,
        |name| history.values(name).map(<[_]>::to_vec),
        differences,
    );
    compare_weights(folder, recipe, &seen, &model, differences);
    compare_optimizer(folder, recipe, &model, &seen, differences);
    let predicted = model.predict(&x_val).map_err(say)?;
    let expected = npz(&folder.join("trajectory.npz"), "y_pred_val");
    let allowed = ROUNDINGS * rounding["y_pred_abs"].as_f64().unwrap_or(0.0);
    let slices = (
        predicted.as_slice().expect("C order"),
        expected.as_slice().expect("C order"),
    );
    differences.values("y_pred_val", slices.0, slices.1, allowed);
    let last = model.evaluate(&x_val, &y_val, quiet()).map_err(say)?;
    differences.logs(
        "evaluate_final",
        &last,
        &recipe["evaluate_final"],
        rounding,
        "val_",
    );
    Ok(())
}

/// What Keras makes of a batch size that may be None, which is not all rows there.
pub fn batch_size(given: Option<usize>, rows: usize, steps: Option<usize>) -> usize {
    given.unwrap_or(steps.map_or(32, |steps| rows.div_ceil(steps)))
}

/// What is noted during the training.
#[derive(Default)]
struct Seen {
    after_batch_1: Vec<f32>,
    batch_logs: Vec<Logs>,
    learning_rates: Vec<f32>,
    epochs: Vec<Vec<f32>>,
}

type Weighting<'a> = (
    Option<&'a ndarray::Array1<f32>>,
    Option<&'a BTreeMap<i64, f32>>,
);

fn first_gradient(
    folder: &Path,
    recipe: &Value,
    model: &mut Sequential,
    (x, y): (&ArrayD<f32>, &ArrayD<f32>),
    (sample_weight, class_weight): Weighting,
    differences: &mut Differences,
) -> Result<(), String> {
    let rows = recipe["first_batch"]["rows"].as_u64().expect("a count") as usize; // a small number
    let slice = Slice::from(0..rows);
    let (x, y) = (x.slice_axis(Axis(0), slice), y.slice_axis(Axis(0), slice));
    let weights = match (sample_weight, class_weight) {
        (Some(weights), _) => Some(weights.slice(ndarray::s![..rows]).to_owned()),
        (None, Some(classes)) => {
            let class = |row: ndarray::ArrayViewD<f32>| {
                let row: Vec<f32> = row.iter().copied().collect();
                match row.as_slice() {
                    [label] => label.round() as i64, // a class
                    row => row.iter().position(|&v| v == 1.0).unwrap_or(0) as i64,
                }
            };
            Some(
                y.outer_iter()
                    .map(|row| classes.get(&class(row)).copied().unwrap_or(1.0))
                    .collect(),
            )
        }
        (None, None) => None,
    };
    let gradients = model
        .gradients(
            &x,
            &y,
            weights.as_ref().map(|w: &ndarray::Array1<f32>| w.view()),
        )
        .map_err(|e| e.to_string())?;
    let learning = model
        .variables()
        .iter()
        .zip(&gradients)
        .filter(|(v, _)| v.trainable);
    let found: Vec<f32> = learning.flat_map(|(_, g)| g.iter().copied()).collect();
    let expected = npz(&folder.join("trajectory.npz"), "grad0");
    let allowed = ROUNDINGS * recipe["rounding"]["grad0_abs"].as_f64().unwrap_or(0.0);
    differences.values(
        "grad0",
        &found,
        expected.as_slice().expect("one axis"),
        allowed,
    );
    Ok(())
}

/// Compares the history, by the values under a name, with the recipe's.
pub(super) fn compare_history(
    recipe: &Value,
    names: &[&str],
    values: impl Fn(&str) -> Option<Vec<LogValue>>,
    differences: &mut Differences,
) {
    let expected: Vec<_> = recipe["history_key_order"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    if names != expected {
        differences
            .found
            .push(format!("history has {names:?}, expected {expected:?}"));
    }
    for name in expected {
        let expected = recipe["history"][name].as_array().expect("a list");
        let found = values(name).unwrap_or_default();
        if found.len() != expected.len() {
            differences.found.push(format!(
                "history {name}: {} epochs, expected {}",
                found.len(),
                expected.len()
            ));
            continue;
        }
        let rounding = recipe["rounding"]["history_rel"]
            .get(name)
            .and_then(Value::as_f64);
        for (epoch, (found, expected)) in found.iter().zip(expected).enumerate() {
            let what = format!("history {name}, entry {epoch}");
            differences.logged(&what, name, found, expected, rounding);
        }
    }
}

fn compare_weights(
    folder: &Path,
    recipe: &Value,
    seen: &Seen,
    model: &Sequential,
    differences: &mut Differences,
) {
    let rounding = &recipe["rounding"];
    let file = folder.join("trajectory.npz");
    let allowed = |value: &Value| ROUNDINGS * value.as_f64().unwrap_or(0.0);
    let mut weights = |what: &str, key: &str, found: &[f32], absolute: f64| {
        let expected = npz(&file, key);
        differences.values(
            what,
            found,
            expected.as_slice().expect("one axis"),
            absolute,
        );
    };
    weights(
        "after_batch_1",
        "after_batch_1",
        &seen.after_batch_1,
        allowed(&rounding["after_batch_1_abs"]),
    );
    for (i, epoch) in seen.epochs.iter().enumerate() {
        let key = format!("epoch_{}", i + 1);
        weights(&key, &key, epoch, allowed(&rounding["weights_abs"][&key]));
    }
    weights(
        "final",
        "final",
        model.values(),
        allowed(&rounding["final_abs"]),
    );
    let expected = rounding["weights_abs"]
        .as_object()
        .map_or(0, |epochs| epochs.len());
    if seen.epochs.len() != expected {
        differences
            .found
            .push(format!("{} epochs, expected {expected}", seen.epochs.len()));
    }
    let logs = recipe["batch_logs_first_epoch"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if logs.len() != seen.batch_logs.len() {
        differences.found.push(format!(
            "{} batches in the first epoch, expected {}",
            seen.batch_logs.len(),
            logs.len()
        ));
    }
    for (i, (found, expected)) in seen.batch_logs.iter().zip(logs).enumerate() {
        differences.logs(&format!("batch {i}"), found, expected, rounding, "");
    }
}

/// The optimizer's variables, and the learning rate of every step.
fn compare_optimizer(
    folder: &Path,
    recipe: &Value,
    model: &Sequential,
    seen: &Seen,
    differences: &mut Differences,
) {
    let optimizer = model.optimizer().expect("compiled");
    let found = optimizer.variables();
    let expected = recipe["optimizer_variables"].as_array().expect("a list");
    let names: Vec<_> = found.iter().map(|array| array.name.as_str()).collect();
    let paths: Vec<_> = expected.iter().filter_map(|v| v["path"].as_str()).collect();
    if names != paths {
        differences
            .found
            .push(format!("optimizer variables {names:?}, expected {paths:?}"));
        return;
    }
    // Not there for an optimizer without slots.
    let has_slots = expected.iter().any(|v| v.get("offset").is_some());
    let slots = has_slots.then(|| npz(&folder.join("trajectory.npz"), "optimizer_slots"));
    let slots = slots
        .as_ref()
        .and_then(|slots| slots.as_slice())
        .unwrap_or_default();
    let final_rounding = recipe["rounding"]["final_abs"].as_f64().unwrap_or(0.0);
    for (found, expected) in found.iter().zip(expected) {
        let values: Vec<f32> = match &found.data {
            ArrayData::F32(values) => values.clone(),
            ArrayData::I64(values) => values.iter().map(|&v| v as f32).collect(), // small counts
        };
        let (wanted, allowed) = match expected.get("value") {
            Some(value) => (vec![crate::unit_tables::number(value) as f32], 0.0),
            None => {
                let at = |key: &str| expected[key].as_u64().expect("a position") as usize; // small
                let wanted = &slots[at("offset")..at("offset") + at("size")];
                // Gradients follow the weights' rounding, each slot on its own scale.
                let scale = wanted.iter().fold(0.0_f32, |a, v| a.max(v.abs()));
                (
                    wanted.to_vec(),
                    ROUNDINGS * final_rounding * f64::from(scale.max(1e-3)),
                )
            }
        };
        differences.values(&found.name, &values, &wanted, allowed);
    }
    if let Some(expected) = recipe["learning_rate_per_step"].as_array() {
        let expected: Vec<f32> = crate::unit_tables::flat(&Value::Array(expected.clone()));
        // A schedule counts steps: after step i it gives the rate of step i + 1.
        let scheduled = recipe["compile"]["optimizer"]["config"]["learning_rate"].is_object();
        let (found, expected) = match scheduled {
            true => (&seen.learning_rates[..expected.len() - 1], &expected[1..]),
            false => (seen.learning_rates.as_slice(), expected.as_slice()),
        };
        differences.values("learning_rate_per_step", found, expected, 0.0);
    }
}
