//! `unit/serialized.json`: losses and metrics as Keras saves them, read and written again.

use serde_json::Value;
use thumbnet_trainer::losses::Loss;
use thumbnet_trainer::metrics::Metric;

use super::{Tally, table};

/// Checks every entry; `None` where the golden folder has no such table.
pub fn check() -> Option<Tally> {
    let file = table("serialized.json")?;
    let mut tally = Tally::default();
    let entries = |kind: &str| file[kind].as_array().cloned().unwrap_or_default();
    for saved in entries("losses") {
        let written = Loss::from_config(&saved).map(|loss| loss.config());
        tally.entry(&name(&saved), &compare(&saved, written));
    }
    for saved in entries("metrics") {
        let written = Metric::from_config(&saved, 3, 3)
            .or_else(|_| Metric::from_config(&saved, 1, 3))
            .map(|metric| metric.config());
        tally.entry(&name(&saved), &compare(&saved, written));
    }
    Some(tally)
}

fn name(saved: &Value) -> String {
    format!("serialized.json {}", saved["class_name"])
}

fn compare(saved: &Value, written: thumbnet_trainer::Result<Value>) -> Vec<String> {
    match written {
        Ok(written) if same(saved, &written) => Vec::new(),
        Ok(written) => vec![format!("writes {written}, expected {saved}")],
        Err(error) => vec![error.to_string()],
    }
}

/// Equal, with 0 and 0.0 alike.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let in_b = |(key, a)| b.get(key).is_some_and(|b| same(a, b));
            a.len() == b.len() && a.iter().all(in_b)
        }
        _ => a == b,
    }
}
