//! What Keras' own unit tests compute, replayed: the cases that `golden/keras_tests/record.py` writes
//! down while real Keras runs its test files.

mod models;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use thumbnet_trainer::Variable;
use thumbnet_trainer::losses::Batch;
use thumbnet_trainer::metrics::Metric;
use thumbnet_trainer::optimizers::{Optimizer, Schedule};

use crate::unit_tables::{Near, flat, golden, near, number, width};

/// How the cases of one of Keras' test files went.
#[derive(Debug, Default)]
pub struct FileTally {
    /// Every number was met.
    pub equal: usize,
    /// One line per case that was not, with the reason.
    pub different: Vec<String>,
    /// Cases that thumbnet does not mean to have, by the reason.
    pub not_applicable: BTreeMap<String, usize>,
}

/// What became of a case.
pub enum Outcome {
    /// Where it differs; nothing where it is equal.
    Compared(Vec<String>),
    /// Why it cannot be compared.
    NotApplicable(String),
}

/// Replays a case.
type Replay = fn(&Value) -> Outcome;

/// The tables of the golden folder, each with its replay.
const TABLES: [(&str, Replay); 3] = [
    ("metrics.json", metric),
    ("optimizers.json", optimizer),
    ("schedules.json", schedule),
];

/// All cases by the test file that they are from; empty where the golden folder has none.
pub fn check() -> BTreeMap<String, FileTally> {
    let mut files: BTreeMap<String, FileTally> = BTreeMap::new();
    for (table, replay) in TABLES {
        let path = golden().join("keras_tests").join(table);
        let Ok(text) = std::fs::read_to_string(path) else {
            continue;
        };
        let table: Value = serde_json::from_str(&text).expect("a golden table is JSON");
        for case in table["cases"].as_array().expect("cases") {
            count(&mut files, case, replay);
        }
    }
    files
}

/// Replays a case and counts it under its test file.
fn count(files: &mut BTreeMap<String, FileTally>, case: &Value, replay: fn(&Value) -> Outcome) {
    let test = case["test"].as_str().expect("the name of a test");
    let (file, name) = test.split_once("::").expect("file::test");
    let tally = files.entry(file.to_string()).or_default();
    match crate::golden::guarded(|| replay(case)) {
        Ok(Outcome::Compared(problems)) if problems.is_empty() => tally.equal += 1,
        Ok(Outcome::Compared(problems)) => {
            let shown = problems[..problems.len().min(3)].join("; ");
            let object = match case["class_name"].as_str() {
                Some(class) => format!(" {class} {}", case["config"]),
                None => String::new(),
            };
            tally.different.push(format!("{name}{object}: {shown}"));
        }
        Ok(Outcome::NotApplicable(reason)) => {
            *tally.not_applicable.entry(reason).or_default() += 1;
        }
        Err(panic) => tally.different.push(format!("{name}: {panic}")),
    }
}

/// The cases of whole models, `models.json.gz`, by the test file that they are from; empty where the
/// golden folder has none. What could not be written down counts as not applicable.
pub fn check_models() -> BTreeMap<String, FileTally> {
    let mut files = BTreeMap::new();
    let Some(table) = models::table() else {
        return files;
    };
    for case in table["cases"].as_array().expect("cases") {
        count(&mut files, case, models::replay);
    }
    for (file, reasons) in table["skipped"].as_object().expect("files") {
        let tally = files.entry(file.clone()).or_default();
        for (reason, number) in reasons.as_object().expect("reasons") {
            let number = number.as_u64().expect("a count") as usize; // a small number
            *tally.not_applicable.entry(reason.clone()).or_default() += number;
        }
    }
    files
}

/// How often each call is in the cases of whole models.
pub fn model_calls() -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    let table = models::table().unwrap_or_default();
    for case in table["cases"].as_array().into_iter().flatten() {
        for event in case["events"].as_array().expect("events") {
            let call = event["call"].as_str().expect("a call");
            *calls.entry(call.to_string()).or_default() += 1;
        }
    }
    calls
}

fn not_applicable(reason: impl Into<String>) -> Outcome {
    Outcome::NotApplicable(reason.into())
}

/// Whether a configuration asks for another type of numbers.
fn other_dtype(config: &Value) -> Option<String> {
    let dtype = &config["dtype"];
    let name = dtype.as_str().or(dtype["config"]["name"].as_str())?;
    (name != "float32").then(|| format!("computes in {name}"))
}

fn metric(case: &Value) -> Outcome {
    let config = &case["config"];
    let class = case["class_name"].as_str().unwrap_or_default();
    if let Some(reason) = other_dtype(config) {
        return not_applicable(reason);
    }
    if matches!(class, "Mean" | "Sum" | "MeanMetricWrapper" | "Metric") {
        return not_applicable("metrics of values without targets");
    }
    let events = case["events"].as_array().expect("events");
    let Some(first) = events.iter().find(|event| event.get("update").is_some()) else {
        return not_applicable("metrics that are never updated");
    };
    let (y_true, y_pred) = (&first["update"]["y_true"], &first["update"]["y_pred"]);
    if !y_pred.is_array() || !y_true.is_array() {
        return not_applicable("updates with single numbers");
    }
    // The best of a list are looked for along it: it is one row.
    let one_row = rank(y_pred) == 1 && !config["top_k"].is_null();
    let last_axis = |value: &Value| match value.as_array() {
        Some(list) if one_row => list.len(),
        _ => last_axis(value),
    };
    let saved = json!({"class_name": class, "config": config});
    let mut metric = match Metric::from_config(&saved, last_axis(y_true), last_axis(y_pred)) {
        Ok(metric) => metric,
        Err(error) => return Outcome::Compared(vec![error.to_string()]),
    };
    if rank(y_true) < rank(y_pred) {
        metric.take_flat_targets();
    }
    let mut problems = Vec::new();
    for (index, event) in events.iter().enumerate() {
        if let Some(update) = event.get("update") {
            let (t, p) = (flat(&update["y_true"]), flat(&update["y_pred"]));
            let (t_width, p_width) = (last_axis(&update["y_true"]), last_axis(&update["y_pred"]));
            let rows = p.len() / p_width.max(1);
            if t.len() / t_width.max(1) != rows {
                return not_applicable("targets that are broadcast over the predictions");
            }
            let weights = match weights(&update["sample_weight"], rows) {
                Ok(weights) => weights,
                Err(reason) => return not_applicable(reason),
            };
            metric.update(&Batch::new(&t, t_width, &p, p_width), weights.as_deref());
        } else if event.get("reset").is_some() {
            metric.reset();
        } else {
            let expected = flat(&event["result"]);
            // Sums of float32 in another order; scores that are differences have the scale 1.
            let tolerance = Near {
                relative: 2e-6,
                absolute: 1e-6,
            };
            let found = metric.results();
            problems.extend(near(
                &format!("event {index}"),
                &found,
                &expected,
                tolerance,
            ));
        }
    }
    Outcome::Compared(problems)
}

/// Weights of the rows, or why they are none of those.
fn weights(value: &Value, rows: usize) -> Result<Option<Vec<f32>>, &'static str> {
    if value.is_null() {
        return Ok(None);
    }
    let weights = flat(value);
    match shape(value).as_slice() {
        [] | [1] | [1, 1] => Ok(Some(vec![weights[0]; rows])),
        [first, others @ ..] if *first == rows && others.iter().all(|&axis| axis == 1) => {
            Ok(Some(weights))
        }
        _ => Err("weights that are not one for each row"),
    }
}

/// Last axis of an array; 1 for a list of numbers.
fn last_axis(value: &Value) -> usize {
    match value.as_array().and_then(|list| list.first()) {
        Some(Value::Array(_)) => {
            let mut inner = value;
            while inner[0].is_array() {
                inner = &inner[0];
            }
            inner.as_array().map_or(1, Vec::len)
        }
        _ => width(value),
    }
}

fn rank(value: &Value) -> usize {
    match value.as_array().and_then(|list| list.first()) {
        Some(first) => 1 + rank(first),
        None => usize::from(value.is_array()),
    }
}

fn shape(value: &Value) -> Vec<usize> {
    match value.as_array() {
        Some(list) => {
            let inner = list.first().map(shape).unwrap_or_default();
            [vec![list.len()], inner].concat()
        }
        None => vec![],
    }
}

fn optimizer(case: &Value) -> Outcome {
    let class = case["class_name"].as_str().unwrap_or_default();
    if matches!(class, "LossScaleOptimizer" | "MultiOptimizer" | "Optimizer") {
        return not_applicable(format!("{class} around other optimizers"));
    }
    if case["config"].to_string().contains("\"__lambda__\"") {
        return not_applicable("learning rates by a function of Python");
    }
    let saved = json!({"class_name": class, "config": case["config"]});
    let mut optimizer = match Optimizer::from_config(&saved) {
        Ok(optimizer) => optimizer,
        Err(error) => return Outcome::Compared(vec![error.to_string()]),
    };
    let events = case["events"].as_array().expect("events");
    let mut variables: Vec<Variable> = Vec::new();
    let mut problems = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let before = event["before"].as_array().expect("variables");
        if index == 0 {
            let mut start = 0;
            for (number, value) in before.iter().enumerate() {
                let shape = shape(value);
                let end = start + shape.iter().product::<usize>();
                variables.push(Variable {
                    path: format!("layer/variable_{number}"),
                    name: format!("variable_{number}"),
                    shape,
                    range: start..end,
                    trainable: true,
                    regularizer: None,
                    constraint: None,
                });
                start = end;
            }
        }
        let excluded = event["excluded_from_weight_decay"].as_array();
        optimizer.options.exclude_from_weight_decay = excluded
            .into_iter()
            .flatten()
            .filter_map(|index| Some(variables.get(index.as_u64()? as usize)?.name.clone()))
            .collect();
        if before.len() != variables.len() {
            return not_applicable("steps over other variables than the first one's");
        }
        let rate = number(&event["learning_rate"]) as f32;
        if case["config"]["learning_rate"].is_number() && optimizer.learning_rate() != rate {
            optimizer
                .set_learning_rate(rate)
                .expect("a rate that Keras took");
        }
        let mut values = flat(&event["before"]);
        let mut grads = flat(&event["grads"]);
        optimizer.apply(&variables, &mut values, &mut grads);
        let expected = flat(&event["after"]);
        let largest = expected
            .iter()
            .fold(0f64, |a, &b| a.max(f64::from(b.abs())));
        let tolerance = Near {
            relative: 1e-6,
            absolute: 1e-6 * largest,
        };
        problems.extend(near(
            &format!("step {index}"),
            &values,
            &expected,
            tolerance,
        ));
    }
    Outcome::Compared(problems)
}

fn schedule(case: &Value) -> Outcome {
    let saved = json!({"class_name": case["class_name"], "config": case["config"]});
    let schedule = match Schedule::from_config(&saved) {
        Ok(schedule) => schedule,
        Err(error) => return Outcome::Compared(vec![error.to_string()]),
    };
    let mut problems = Vec::new();
    for (index, event) in case["events"]
        .as_array()
        .expect("events")
        .iter()
        .enumerate()
    {
        let step = number(&event["step"]);
        if step < 0.0 || step.fract() != 0.0 {
            return not_applicable("steps that are no whole numbers");
        }
        let expected = [number(&event["rate"]) as f32];
        let tolerance = Near {
            relative: 1e-6,
            absolute: 1e-9,
        };
        let found = [schedule.at(step as u64)];
        problems.extend(near(&format!("call {index}"), &found, &expected, tolerance));
    }
    Outcome::Compared(problems)
}
