//! `unit/optimizers.json`: ten steps with given gradients, and learning-rate schedules.

use serde_json::{Value, json};
use thumbnet_trainer::optimizers::{Optimizer, Schedule};
use thumbnet_trainer::{ArrayData, Variable};

use super::{Near, Tally, flat, near, number, same, table};

/// Relative tolerance of the tables. Weights near 0 are sums of larger ones: they may differ by as
/// much of the largest weight.
const TOLERANCE: f64 = 1e-6;

/// Checks every entry; `None` where the golden folder has no such table.
pub fn check() -> Option<Tally> {
    let file = table("optimizers.json")?;
    let mut tally = Tally::default();
    for entry in file["table"].as_array().expect("a table") {
        let class = entry["cls"].as_str().unwrap_or_default();
        let name = format!("optimizers.json {class} {}", entry["kwargs"]);
        tally.entry(&name, &steps(&file, entry));
    }
    for entry in file["schedules"].as_array().into_iter().flatten() {
        let class = entry["cls"].as_str().unwrap_or_default();
        let name = format!("optimizers.json {class} {}", entry["kwargs"]);
        tally.entry(&name, &schedule(entry));
    }
    for name in file["string_identifiers"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        tally.entry(&format!("optimizers.json name {name}"), &identify(name));
    }
    Some(tally)
}

fn steps(file: &Value, entry: &Value) -> Vec<String> {
    let saved = json!({"class_name": entry["cls"], "config": entry["kwargs"]});
    let mut optimizer = match Optimizer::from_config(&saved) {
        Ok(optimizer) => optimizer,
        Err(error) => return vec![error.to_string()],
    };
    let mut problems = same(&optimizer.config()["config"], &entry["config"]);
    let (kernel, bias) = (flat(&file["kernel0"]), flat(&file["bias0"]));
    let variables = [
        variable(
            "kernel",
            &[kernel.len() / bias.len(), bias.len()],
            0..kernel.len(),
        ),
        variable(
            "bias",
            &[bias.len()],
            kernel.len()..kernel.len() + bias.len(),
        ),
    ];
    let mut values = [kernel, bias].concat();
    let gradients = file["kernel_grads"].as_array().expect("gradients");
    let bias_gradients = file["bias_grads"].as_array().expect("gradients");
    let expected = entry["after_step"].as_array().expect("steps");
    for (step, ((kernel, bias), expected)) in gradients
        .iter()
        .zip(bias_gradients)
        .zip(expected)
        .enumerate()
    {
        let mut grads = [flat(kernel), flat(bias)].concat();
        optimizer.apply(&variables, &mut values, &mut grads);
        let expected = [flat(&expected["kernel"]), flat(&expected["bias"])].concat();
        problems.extend(compare(&format!("step {step}"), &values, &expected));
    }
    problems.extend(slots(&optimizer, &entry["variables"]));
    problems
}

/// The optimizer's own variables after the last step: order, name, shape, values.
fn slots(optimizer: &Optimizer, expected: &Value) -> Vec<String> {
    let found = optimizer.variables();
    let expected = expected.as_array().expect("variables");
    if found.len() != expected.len() {
        return vec![format!(
            "{} variables, expected {}",
            found.len(),
            expected.len()
        )];
    }
    let mut problems = Vec::new();
    for (found, expected) in found.iter().zip(expected) {
        let path = expected["path"].as_str().unwrap_or_default();
        // The table built its optimizers outside of `fit`, where variables that Keras makes by
        // hand lack the optimizer's name and are numbered; in a saved model they have it.
        let path = match path.strip_prefix("variable_") {
            Some(number) if number.parse::<u32>().is_ok() => "variable",
            _ => path,
        };
        if found.name != path && !found.name.ends_with(&format!("/{path}")) {
            problems.push(format!("variable {}, expected {path}", found.name));
        }
        if json!(found.shape) != expected["shape"] {
            problems.push(format!("{path} has shape {:?}", found.shape));
        }
        let is_integer = matches!(found.data, ArrayData::I64(_));
        let dtype = expected["dtype"].as_str().unwrap_or_default();
        if is_integer != dtype.starts_with("int") {
            problems.push(format!("{path} is not {dtype}"));
        }
        problems.extend(compare(
            path,
            &found.data.to_f32(),
            &flat(&expected["value"]),
        ));
    }
    problems
}

fn compare(what: &str, found: &[f32], expected: &[f32]) -> Vec<String> {
    let largest = expected
        .iter()
        .fold(0f64, |a, &b| a.max(f64::from(b.abs())));
    let tolerance = Near {
        relative: TOLERANCE,
        absolute: TOLERANCE * largest,
    };
    near(what, found, expected, tolerance)
}

/// A weight that is trained, with no regularizer and no constraint.
pub fn variable(name: &str, shape: &[usize], range: std::ops::Range<usize>) -> Variable {
    Variable {
        path: name.into(),
        name: name.into(),
        shape: shape.to_vec(),
        range,
        trainable: true,
        regularizer: None,
        constraint: None,
    }
}

fn schedule(entry: &Value) -> Vec<String> {
    let schedule = match Schedule::from_config(&entry["config"]) {
        Ok(schedule) => schedule,
        Err(error) => return vec![error.to_string()],
    };
    let mut problems = same(&schedule.config(), &entry["config"]);
    let rates = entry["lr"].as_array().expect("rates");
    let found: Vec<f32> = (0..rates.len() as u64).map(|s| schedule.at(s)).collect();
    let expected: Vec<f32> = rates.iter().map(|rate| number(rate) as f32).collect();
    problems.extend(compare("rate", &found, &expected));
    problems
}

/// Every name that Keras takes is taken, or refused by name.
fn identify(name: &str) -> Vec<String> {
    match (name, name.parse::<Optimizer>()) {
        // The base class and wrappers, which Keras itself cannot make from a name alone.
        ("optimizer" | "lossscaleoptimizer" | "multioptimizer" | "optimizermap", Err(_)) => vec![],
        (_, Err(error)) => vec![error.to_string()],
        (_, Ok(optimizer)) => {
            let class = optimizer.algorithm.class_name();
            if class.to_lowercase() == name {
                vec![]
            } else {
                vec![format!("is {class}")]
            }
        }
    }
}
