//! `unit/layers_misc.json`: regularizers, constraints, defaults of optimizers.

use serde_json::{Value, json};
use thumbnet_trainer::constraints::Constraint;
use thumbnet_trainer::optimizers::Optimizer;
use thumbnet_trainer::regularizers::Regularizer;

use super::{Tally, differences, flat, number, same, table, width};

/// Relative tolerance of the tables.
const TOLERANCE: f64 = 1e-6;

/// Checks every entry; `None` where the golden folder has no such table.
pub fn check() -> Option<Tally> {
    let file = table("layers_misc.json")?;
    let mut tally = Tally::default();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for entry in list(&file["regularizers"]["table"]) {
        let found = regularizer(&file["regularizers"]["w"], &entry);
        tally.entry(&named("regularizer", &entry), &found);
    }
    let names = file["regularizers"]["string_identifiers"].as_object();
    for (name, config) in names.into_iter().flatten() {
        let found = match Regularizer::from_config(&json!(name)) {
            Ok(Some(found)) => same(&found.config(), config),
            Ok(None) => vec!["is none".into()],
            Err(error) => vec![error.to_string()],
        };
        tally.entry(&format!("layers_misc.json regularizer name {name}"), &found);
    }
    for entry in list(&file["constraints"]["table"]) {
        let found = constraint(&file["constraints"]["w"], &entry);
        tally.entry(&named("constraint", &entry), &found);
    }
    for (class, name) in file["optimizer_auto_names"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let found = match class.parse::<Optimizer>() {
            Ok(optimizer) => same(&json!(optimizer.options.name), name),
            Err(error) => vec![error.to_string()],
        };
        tally.entry(&format!("layers_misc.json optimizer name {class}"), &found);
    }
    for (class, config) in file["optimizer_defaults"].as_object().into_iter().flatten() {
        let found = match class.parse::<Optimizer>() {
            Ok(mut optimizer) => {
                // Keras numbers the names of a session.
                optimizer.options.name = config["name"].as_str().unwrap_or_default().into();
                same(&optimizer.config()["config"], config)
            }
            Err(error) => vec![error.to_string()],
        };
        tally.entry(&format!("layers_misc.json optimizer {class}"), &found);
    }
    Some(tally)
}

fn named(what: &str, entry: &Value) -> String {
    let class = entry["cls"].as_str().unwrap_or_default();
    format!("layers_misc.json {what} {class} {}", entry["kwargs"])
}

fn regularizer(w: &Value, entry: &Value) -> Vec<String> {
    let saved = json!({"class_name": entry["cls"], "config": entry["kwargs"]});
    let regularizer = match Regularizer::from_config(&saved) {
        Ok(Some(regularizer)) => regularizer,
        Ok(None) => return vec!["is none".into()],
        Err(error) => return vec![error.to_string()],
    };
    let (values, width) = (flat(w), width(w));
    let penalty = regularizer.penalty(&values, &[values.len() / width, width]);
    let expected = number(&entry["value"]) as f32;
    differences("penalty", &[penalty], &[expected], TOLERANCE)
}

fn constraint(w: &Value, entry: &Value) -> Vec<String> {
    let saved = json!({"class_name": entry["cls"], "config": entry["kwargs"]});
    let constraint = match Constraint::from_config(&saved) {
        Ok(Some(constraint)) => constraint,
        Ok(None) => return vec!["is none".into()],
        Err(error) => return vec![error.to_string()],
    };
    let (mut values, width) = (flat(w), width(w));
    let rows = values.len() / width;
    constraint.apply(&mut values, &[rows, width]);
    differences("w", &values, &flat(&entry["value"]), TOLERANCE)
}
