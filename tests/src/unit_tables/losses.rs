//! `unit/losses.json`: value under every reduction, per-sample values, weighted, gradient.

use serde_json::{Value, json};
use thumbnet_trainer::losses::{Batch, Loss, Reduction};

use super::{Near, Tally, differences, flat, near, number, table, width};

/// Relative tolerance of the tables.
const TOLERANCE: f64 = 1e-6;

/// Checks every entry; `None` where the golden folder has no such table.
pub fn check() -> Option<Tally> {
    let file = table("losses.json")?;
    let mut tally = Tally::default();
    for entry in file["table"].as_array().expect("a table") {
        let name = format!(
            "losses.json {} {} {}",
            entry["cls"].as_str().unwrap_or_default(),
            entry["kwargs"],
            entry["tag"].as_str().unwrap_or_default(),
        );
        tally.entry(name.trim_end(), &problems(entry));
    }
    for (identifier, target) in file["string_identifiers"].as_object().into_iter().flatten() {
        let found = identify(identifier, target.as_str().unwrap_or_default());
        tally.entry(&format!("losses.json name {identifier:?}"), &found);
    }
    Some(tally)
}

fn problems(entry: &Value) -> Vec<String> {
    let saved = json!({"class_name": entry["cls"], "config": entry["kwargs"]});
    let mut loss = match Loss::from_config(&saved) {
        Ok(loss) => loss,
        Err(error) => return vec![error.to_string()],
    };
    let (y_true, y_pred) = (flat(&entry["y_true"]), flat(&entry["y_pred"]));
    let batch = Batch::new(
        &y_true,
        width(&entry["y_true"]),
        &y_pred,
        width(&entry["y_pred"]),
    );
    let mut per_sample = vec![0.0; batch.rows()];
    loss.per_sample(&batch, &mut per_sample);
    // A loss near zero is a difference of terms near 1, and carries half a unit in the last place of
    // those in Keras too.
    let floor = f64::from(f32::EPSILON) / 2.0;
    let expected = flat(&entry["none"]);
    // A loss of the whole batch is one number in Keras; every sample has it here.
    let whole = !entry["none"].is_array();
    let found = if whole {
        &per_sample[..1]
    } else {
        &per_sample[..]
    };
    let mut problems = near("none", found, &expected, at_least(floor));

    let weights = entry.get("sample_weight").map(flat);
    let mut scale = vec![0.0; batch.rows()];
    let reductions = [
        ("sum_over_batch_size", Reduction::SumOverBatchSize, false),
        ("sum", Reduction::Sum, false),
        (
            "weighted_sum_over_batch_size",
            Reduction::SumOverBatchSize,
            true,
        ),
        (
            "weighted_mean_with_sample_weight",
            Reduction::MeanWithSampleWeight,
            true,
        ),
    ];
    for (key, reduction, weighted) in reductions {
        let Some(expected) = entry.get(key) else {
            continue;
        };
        loss.reduction = reduction;
        let weights = weights.as_deref().filter(|_| weighted);
        loss.scale(&batch, &per_sample, weights, &mut scale);
        let found = loss.reduce(&per_sample, &scale);
        problems.extend(differences(
            key,
            &[found],
            &[number(expected) as f32],
            TOLERANCE,
        ));
    }
    if let Some(expected) = entry.get("grad_y_pred") {
        loss.reduction = Reduction::SumOverBatchSize;
        loss.scale(&batch, &per_sample, None, &mut scale);
        let mut found = vec![0.0; y_pred.len()];
        loss.gradient(&batch, &scale, &mut found);
        // Of the largest entry: those near zero are differences of larger terms, and carry their
        // rounding in Keras too.
        let expected = flat(expected);
        let largest = expected
            .iter()
            .fold(0f32, |largest, d| largest.max(d.abs()));
        let floor = TOLERANCE * f64::from(largest);
        let found = near("grad_y_pred", &found, &expected, at_least(floor));
        problems.extend(found);
    }
    problems
}

/// 1e-6 of the expected number, or this amount.
fn at_least(absolute: f64) -> Near {
    Near {
        relative: TOLERANCE,
        absolute,
    }
}

/// Whether the name is the loss that Keras has under it.
fn identify(identifier: &str, target: &str) -> Vec<String> {
    let read = Loss::from_config(&json!(identifier));
    match (target, read) {
        // Abstract in Keras: it has the names, but nothing can be computed with them.
        ("Loss" | "LossFunctionWrapper", Err(_)) => Vec::new(),
        // Sequences; refused by name, with what to use instead.
        ("CTC" | "ctc", Err(error)) if error.to_string().contains("sequences") => Vec::new(),
        (_, Err(error)) => vec![error.to_string()],
        (_, Ok(loss)) => {
            let kind = &loss.kind;
            let same = kind.class_name() == target || kind.function_name() == target;
            let wrong = format!("is {}, expected {target}", kind.function_name());
            if same { Vec::new() } else { vec![wrong] }
        }
    }
}
