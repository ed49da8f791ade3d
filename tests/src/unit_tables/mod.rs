//! The golden unit tables: what single losses, metrics, activations, .. give in real Keras.

pub mod activations;
pub mod fused;
pub mod initializers;
pub mod layers;
pub mod layers_misc;
pub mod losses;
pub mod metrics;
pub mod optimizers;
pub mod serialized;

use std::path::PathBuf;

use serde_json::Value;

/// How a table went.
#[derive(Debug, Default)]
pub struct Tally {
    /// Entries in the table.
    pub total: usize,
    /// Entries whose every number was met.
    pub followed: usize,
    /// One line per entry that was not, with the reason.
    pub failures: Vec<String>,
}

impl Tally {
    /// Counts an entry; `problems` are what differed in it.
    pub fn entry(&mut self, name: &str, problems: &[String]) {
        self.total += 1;
        if problems.is_empty() {
            self.followed += 1;
        } else {
            let shown = problems.len().min(3);
            let more = problems.len() - shown;
            let rest = if more > 0 {
                format!(" (and {more} more)")
            } else {
                String::new()
            };
            let shown = problems[..shown].join("; ");
            self.failures.push(format!("{name}: {shown}{rest}"));
        }
    }

    /// Adds another table's counts.
    pub fn add(&mut self, other: Self) {
        self.total += other.total;
        self.followed += other.followed;
        self.failures.extend(other.failures);
    }
}

/// The golden folder: `THUMBNET_GOLDEN`, or the one committed with the tests.
pub fn golden() -> PathBuf {
    match std::env::var_os("THUMBNET_GOLDEN") {
        Some(folder) => folder.into(),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden"),
    }
}

/// A unit table by its file name; `None` where the golden folder has none.
pub fn table(file: &str) -> Option<Value> {
    let text = std::fs::read_to_string(golden().join("unit").join(file)).ok()?;
    Some(serde_json::from_str(&text).expect("a golden table is JSON"))
}

/// A JSON number as a `f64`; `"nan"`, `"inf"` and `"-inf"` stand for themselves.
pub fn number(value: &Value) -> f64 {
    match value {
        Value::String(text) => text.parse().expect("nan or inf"),
        other => other.as_f64().expect("a number"),
    }
}

/// All numbers of a nested list, in C order.
pub fn flat(value: &Value) -> Vec<f32> {
    match value {
        Value::Array(list) => list.iter().flat_map(flat).collect(),
        other => vec![number(other) as f32],
    }
}

/// Last axis of a list of rows; 1 for a list of numbers.
pub fn width(value: &Value) -> usize {
    let first = value.as_array().and_then(|rows| rows.first());
    first.and_then(Value::as_array).map_or(1, Vec::len)
}

/// How far a number may be from the table's: by a share of it, or by an amount, whichever is more.
#[derive(Clone, Copy, Debug)]
pub struct Near {
    /// Share of the expected number.
    pub relative: f64,
    /// Amount; whoever sets it says why.
    pub absolute: f64,
}

/// Where `found` leaves `expected` by more than `tolerance` of it.
pub fn differences(what: &str, found: &[f32], expected: &[f32], tolerance: f64) -> Vec<String> {
    let tolerance = Near {
        relative: tolerance,
        absolute: 0.0,
    };
    near(what, found, expected, tolerance)
}

/// Where `found` leaves `expected` by more than `tolerance`.
pub fn near(what: &str, found: &[f32], expected: &[f32], tolerance: Near) -> Vec<String> {
    if found.len() != expected.len() {
        return vec![format!(
            "{what} has {} values, expected {}",
            found.len(),
            expected.len()
        )];
    }
    let mut problems = Vec::new();
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let (a, b) = (f64::from(found), f64::from(expected));
        let allowed = (tolerance.relative * b.abs()).max(tolerance.absolute);
        let same = (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= allowed;
        if !same {
            let relative = (a - b).abs() / b.abs();
            problems.push(format!(
                "{what}[{i}] is {found:e}, expected {expected:e} (relative {relative:.1e})"
            ));
        }
    }
    problems
}

/// Where `found` is not the same JSON with its keys in the same order.
pub fn same(found: &Value, expected: &Value) -> Vec<String> {
    let (found, expected) = (found.to_string(), expected.to_string());
    if found == expected {
        vec![]
    } else {
        vec![format!("is {found}, expected {expected}")]
    }
}
