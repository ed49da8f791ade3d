//! `unit/metrics.json`: running results over three updates, weighted and not, state, reset.

use serde_json::{Value, json};
use thumbnet_trainer::losses::Batch;
use thumbnet_trainer::metrics::Metric;
use thumbnet_trainer::variable::{ArrayData, NamedArray};

use super::{Near, Tally, differences, flat, near, number, table, width};

/// Relative tolerance of the tables.
const TOLERANCE: f64 = 1e-6;

/// Checks every entry; `None` where the golden folder has no such table.
pub fn check() -> Option<Tally> {
    let file = table("metrics.json")?;
    let mut tally = Tally::default();
    for entry in file["table"].as_array().expect("a table") {
        let name = format!(
            "metrics.json {} {} {}",
            entry["cls"].as_str().unwrap_or_default(),
            entry["kwargs"],
            entry["y_pred"].as_str().unwrap_or_default(),
        );
        tally.entry(&name, &problems(entry, &file["inputs"]));
    }
    if let Some(ties) = file.get("ties") {
        tally.entry("metrics.json ties", &check_ties(ties));
    }
    for (identifier, target) in file["string_identifiers"].as_object().into_iter().flatten() {
        let found = identify(identifier, target.as_str().unwrap_or_default());
        tally.entry(&format!("metrics.json name {identifier:?}"), &found);
    }
    Some(tally)
}

fn problems(entry: &Value, inputs: &Value) -> Vec<String> {
    let of = |key: &str| {
        let input = entry[key].as_str().and_then(|name| inputs.get(name));
        input.and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let (y_true, y_pred) = (of("y_true"), of("y_pred"));
    let saved = json!({"class_name": entry["cls"], "config": entry["kwargs"]});
    let read = Metric::from_config(&saved, width(&y_true[0]), width(&y_pred[0]));
    let mut metric = match read {
        Ok(metric) => metric,
        Err(error) => return vec![error.to_string()],
    };
    if y_true[0][0].is_number() && y_pred[0][0].is_array() {
        metric.take_flat_targets();
    }
    let mut problems = Vec::new();
    if let Some(expected) = entry["default_name"].as_str() {
        // Keras numbers the instances of one process: auc, auc_1, ..
        let counted = expected.strip_prefix(metric.name());
        if !counted.is_some_and(|rest| rest.chars().all(|c| c == '_' || c.is_ascii_digit())) {
            problems.push(format!("is named {}, expected {expected}", metric.name()));
        }
    }
    let weights: Vec<_> = inputs["weights"].as_array().into_iter().flatten().collect();
    // Areas and scores that are differences of ratios: their scale is 1, however small they are.
    let tolerance = Near {
        relative: TOLERANCE,
        absolute: match entry["cls"].as_str() {
            Some("AUC" | "R2Score") => TOLERANCE,
            _ => 0.0,
        },
    };
    let mut run = |metric: &mut Metric, key: &str, weighted: bool| {
        let expected = entry[key].as_array().cloned().unwrap_or_default();
        let batches = y_true.iter().zip(&y_pred).zip(&weights);
        for (step, (((t, p), weights), expected)) in batches.zip(&expected).enumerate() {
            let (t_flat, p_flat, weights) = (flat(t), flat(p), flat(weights));
            let batch = Batch::new(&t_flat, width(t), &p_flat, width(p));
            metric.update(&batch, weighted.then_some(&weights[..]));
            let what = format!("{key}[{step}]");
            let expected = flat(expected);
            problems.extend(near(&what, &metric.results(), &expected, tolerance));
        }
    };
    run(&mut metric, "running_results", false);
    let state = metric.variables();
    metric.reset();
    let after_reset = metric.results();
    metric.reset();
    run(&mut metric, "running_results_weighted", true);
    problems.extend(differences(
        "after_reset",
        &after_reset,
        &flat(&entry["after_reset"]),
        TOLERANCE,
    ));
    for (name, expected) in entry["state"].as_object().into_iter().flatten() {
        let variable = state.iter().find(|variable| variable.name == *name);
        problems.extend(variable.map_or_else(
            || vec![format!("has no variable {name}")],
            |variable| check_variable(variable, expected),
        ));
    }
    problems
}

/// A state variable against its values, or, where the table has only that, its shape.
fn check_variable(variable: &NamedArray, expected: &Value) -> Vec<String> {
    let NamedArray { name, shape, data } = variable;
    if let Some(expected) = expected.as_str().filter(|text| text.starts_with("shape")) {
        let sizes: Vec<_> = shape.iter().map(usize::to_string).collect();
        let comma = if shape.len() == 1 { "," } else { "" };
        let found = format!("shape ({}{comma})", sizes.join(", "));
        let wrong = format!("{name} has {found}, expected {expected}");
        return if found == expected {
            Vec::new()
        } else {
            vec![wrong]
        };
    }
    match data {
        ArrayData::F32(values) => differences(name, values, &flat(expected), TOLERANCE),
        ArrayData::I64(_) => vec![format!("{name} holds integers")],
    }
}

fn check_ties(ties: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let mut check = |what: &str, name: &str, config: Value, batch: Batch, expected: &Value| {
        let saved = json!({"class_name": name, "config": config});
        let metric = Metric::from_config(&saved, batch.y_true_width, batch.width);
        let mut metric = metric.expect("a metric of the table");
        metric.update(&batch, None);
        let expected = [number(expected) as f32];
        problems.extend(differences(what, &metric.results(), &expected, TOLERANCE));
    };
    // Labels 0 and 1, both predicted 0.5.
    let half = Batch::new(&[0.0, 1.0], 1, &[0.5, 0.5], 1);
    let key = "binary_accuracy_at_half";
    check(key, "BinaryAccuracy", json!({}), half, &ties[key]);
    check(
        "precision_at_half",
        "Precision",
        json!({}),
        half,
        &ties["precision_at_half"],
    );
    let tied = &ties["topk_tied"];
    let (label, p) = (flat(&tied["y_true"]), flat(&tied["y_pred"]));
    let one_hot: Vec<f32> = (0..p.len())
        .map(|i| if i as f32 == label[0] { 1.0 } else { 0.0 })
        .collect();
    let k = json!({"k": tied["k"]});
    let sparse = Batch::new(&label, 1, &p, p.len());
    let expected = &tied["sparse_top_k"];
    check(
        "sparse_top_k",
        "SparseTopKCategoricalAccuracy",
        k.clone(),
        sparse,
        expected,
    );
    let dense = Batch::new(&one_hot, p.len(), &p, p.len());
    check(
        "top_k_cat",
        "TopKCategoricalAccuracy",
        k,
        dense,
        &tied["top_k_cat"],
    );
    problems
}

/// Whether the name is the metric that Keras has under it.
fn identify(identifier: &str, target: &str) -> Vec<String> {
    // What the class cannot do without.
    let needed = [
        json!({}),
        json!({"num_classes": 3}),
        json!({"num_classes": 3, "target_class_ids": [0]}),
        json!({"specificity": 0.5}),
        json!({"sensitivity": 0.5}),
        json!({"recall": 0.5}),
        json!({"precision": 0.5}),
    ];
    let by_class = |name: &str| {
        let all = needed.iter().flat_map(|config| {
            let saved = json!({"class_name": name, "config": config});
            [(3, 3), (1, 3)].map(|(y_true, y_pred)| Metric::from_config(&saved, y_true, y_pred))
        });
        all.flatten().next()
    };
    match target {
        // Abstract in Keras, or without targets: the names are there, but `compile` cannot use them.
        "Metric" | "Mean" | "Sum" | "MeanMetricWrapper" => Vec::new(),
        _ => match by_class(identifier) {
            None => vec![format!("is unknown, expected {target}")],
            Some(metric) => {
                let found = metric.config()["class_name"].clone();
                let wrong = format!("is {found}, expected {target}");
                if found == target {
                    Vec::new()
                } else {
                    vec![wrong]
                }
            }
        },
    }
}
