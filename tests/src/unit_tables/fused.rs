//! `unit/fused.json`: losses behind a sigmoid or a softmax, value and gradient to its input, metric.

use serde_json::{Value, json};
use thumbnet_trainer::activations::Activation;
use thumbnet_trainer::losses::{Batch, Loss};
use thumbnet_trainer::metrics::Metric;

use super::{Near, Tally, differences, flat, near, number, table, width};

/// Relative tolerance of the tables.
const TOLERANCE: f64 = 1e-6;

/// Checks every entry; `None` where the golden folder has no such table.
pub fn check() -> Option<Tally> {
    let file = table("fused.json")?;
    let mut tally = Tally::default();
    for entry in file.as_array().expect("a table") {
        let name = format!(
            "fused.json {} {} behind {}, width {}",
            entry["cls"].as_str().unwrap_or_default(),
            entry["kwargs"],
            entry["activation"].as_str().unwrap_or_default(),
            width(&entry["logits"]),
        );
        tally.entry(&name, &problems(entry));
    }
    Some(tally)
}

fn problems(entry: &Value) -> Vec<String> {
    let saved = json!({"class_name": entry["cls"], "config": entry["kwargs"]});
    let loss = Loss::from_config(&saved).expect("a loss of Keras");
    let last = Activation::from_config(&entry["activation"]).expect("an activation of Keras");
    let (y_true, x) = (flat(&entry["y_true"]), flat(&entry["logits"]));
    let (y_true_width, width) = (width(&entry["y_true"]), width(&entry["logits"]));
    let mut y_pred = x.clone();
    last.forward(&mut y_pred, width);
    let batch = Batch::new(&y_true, y_true_width, &y_pred, width).with_logits(&last, &x);

    let mut per_sample = vec![0.0; batch.rows()];
    let mut scale = vec![0.0; batch.rows()];
    loss.per_sample(&batch, &mut per_sample);
    loss.scale(&batch, &per_sample, None, &mut scale);
    let found = loss.reduce(&per_sample, &scale);
    let expected = number(&entry["loss"]) as f32;
    let mut problems = differences("loss", &[found], &[expected], TOLERANCE);

    let mut gradient = vec![0.0; x.len()];
    loss.gradient(&batch, &scale, &mut gradient);
    if !loss.fuses(&last) {
        last.backward(&x, &y_pred, &mut gradient, width);
    }
    // Of the largest entry: those near zero are differences of larger terms, and carry their
    // rounding in Keras too.
    let expected = flat(&entry["gradient"]);
    let largest = expected
        .iter()
        .fold(0f32, |largest, d| largest.max(d.abs()));
    let tolerance = Near {
        relative: TOLERANCE,
        absolute: TOLERANCE * f64::from(largest),
    };
    problems.extend(near("gradient", &gradient, &expected, tolerance));

    if let Some(expected) = entry.get("metric") {
        let metric = Metric::from_config(&saved, y_true_width, width);
        let mut metric = metric.expect("a metric of Keras");
        metric.update(&batch, None);
        let expected = number(expected) as f32;
        problems.extend(differences(
            "metric",
            &[metric.result()],
            &[expected],
            TOLERANCE,
        ));
    }
    problems
}
