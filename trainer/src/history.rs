//! What training reports: the logs of a batch or an epoch, and the history of all epochs.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::figures::number;

/// One value of a log: a number, or a vector (numpy's array in Keras) for metrics that have a value
/// per class or per threshold.
#[derive(Clone, Debug, PartialEq)]
pub enum LogValue {
    /// One number.
    Number(f64),
    /// A number per class or threshold.
    Numbers(Vec<f64>),
}

impl LogValue {
    /// The number, or the mean of the numbers, as Keras' progress bar shows it.
    pub fn number(&self) -> f64 {
        match self {
            Self::Number(value) => *value,
            Self::Numbers(values) => values.iter().sum::<f64>() / values.len() as f64,
        }
    }

    /// JSON has no NaN and no infinity: they become null.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Number(value) => json!(value),
            Self::Numbers(values) => json!(values),
        }
    }
}

/// Named values in order: by name, with what callbacks add at the end, as Keras has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logs {
    entries: Vec<(String, LogValue)>,
}

impl Logs {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value under a name; the mean for a metric of many values.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.value(name).map(LogValue::number)
    }

    /// The value under a name.
    pub fn value(&self, name: &str) -> Option<&LogValue> {
        let found = self.entries.iter().find(|(entry, _)| entry == name);
        found.map(|(_, value)| value)
    }

    /// Replaces the value under a name, or adds it at the end.
    pub fn set(&mut self, name: &str, value: f64) {
        self.set_value(name, LogValue::Number(value));
    }

    /// Replaces the value under a name, or adds it at the end.
    pub fn set_value(&mut self, name: &str, value: LogValue) {
        match self.entries.iter_mut().find(|(entry, _)| entry == name) {
            Some((_, old)) => *old = value,
            None => self.entries.push((name.to_string(), value)),
        }
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &LogValue)> {
        self.entries
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }

    /// Names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds `val_` entries, then sorts all by name.
    pub(crate) fn extend_validation(&mut self, validation: &Logs) {
        for (name, value) in validation.iter() {
            self.set_value(&format!("val_{name}"), value.clone());
        }
        self.entries.sort_by(|(a, _), (b, _)| a.cmp(b));
    }

    /// As a JSON object, in order.
    pub fn to_json(&self) -> Value {
        let entries = self
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_json()));
        Value::Object(entries.collect())
    }
}

/// What `fit` returns: one value per epoch and name, as `keras.callbacks.History.history`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The epochs that were run, counted from 0.
    pub epoch: Vec<usize>,
    entries: Vec<(String, Vec<LogValue>)>,
}

impl History {
    /// The values under a name, one per epoch that had it.
    pub fn get(&self, name: &str) -> Option<Vec<f64>> {
        let values = self.values(name)?;
        Some(values.iter().map(LogValue::number).collect())
    }

    /// The values under a name, one per epoch that had it.
    pub fn values(&self, name: &str) -> Option<&[LogValue]> {
        let found = self.entries.iter().find(|(entry, _)| entry == name);
        found.map(|(_, values)| values.as_slice())
    }

    /// The value of the last epoch that had it.
    pub fn last(&self, name: &str) -> Option<f64> {
        self.values(name)?.last().map(LogValue::number)
    }

    /// Names in Keras' order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// Appends one epoch.
    pub(crate) fn push(&mut self, epoch: usize, logs: &Logs) {
        self.epoch.push(epoch);
        for (name, value) in logs.iter() {
            match self.entries.iter_mut().find(|(entry, _)| entry == name) {
                Some((_, values)) => values.push(value.clone()),
                None => self.entries.push((name.to_string(), vec![value.clone()])),
            }
        }
    }

    /// `{"loss": [..], ..}` in order, as `json.dumps(history.history)` gives it.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        for (name, values) in &self.entries {
            let values = values.iter().map(LogValue::to_json).collect();
            object.insert(name.clone(), Value::Array(values));
        }
        Value::Object(object)
    }
}

impl Serialize for LogValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl Serialize for Logs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl Serialize for History {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

/// The number, or the numbers in brackets, with four digits.
impl fmt::Display for LogValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: f64| number(value, value.abs() > 1e-3);
        match self {
            Self::Number(value) => f.write_str(&text(*value)),
            Self::Numbers(values) => {
                let values: Vec<String> = values.iter().map(|&value| text(value)).collect();
                write!(f, "[{}]", values.join(", "))
            }
        }
    }
}

/// `loss: 0.5000 - accuracy: 0.7500`, as Keras prints a line.
impl fmt::Display for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.iter().map(|(name, value)| format!("{name}: {value}"));
        f.write_str(&entries.collect::<Vec<_>>().join(" - "))
    }
}

/// A line per name with its values in the order of the epochs: `loss: 0.5000 0.2500`.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.entries.iter().map(|(name, values)| {
            let values: Vec<String> = values.iter().map(LogValue::to_string).collect();
            format!("{name}: {}", values.join(" "))
        });
        f.write_str(&lines.collect::<Vec<_>>().join("\n"))
    }
}

/// The metric of a value of the logs: `loss` of `val_loss`, and of `val_q_loss`, the device's.
pub fn metric_name(name: &str) -> &str {
    let metric = name.strip_prefix("val_").unwrap_or(name);
    metric.strip_prefix("q_").unwrap_or(metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validation_is_sorted_in_and_callbacks_come_last() {
        let mut logs = Logs::new();
        logs.set("loss", 0.5);
        logs.set("weighted_accuracy", 0.75);
        let mut validation = Logs::new();
        validation.set("loss", 0.25);
        logs.extend_validation(&validation);
        logs.set("learning_rate", 0.1);
        let names: Vec<_> = logs.names().collect();
        assert_eq!(
            names,
            ["loss", "val_loss", "weighted_accuracy", "learning_rate"]
        );
    }

    #[test]
    fn an_epoch_without_validation_shortens_only_its_names() {
        let mut history = History::default();
        let mut logs = Logs::new();
        logs.set("loss", 0.5);
        history.push(0, &logs);
        logs.set("val_loss", 0.75);
        history.push(1, &logs);
        assert_eq!(
            history.to_json().to_string(),
            r#"{"loss":[0.5,0.5],"val_loss":[0.75]}"#
        );
        assert_eq!(history.last("val_loss"), Some(0.75));
        assert_eq!(history.to_string(), "loss: 0.5000 0.5000\nval_loss: 0.7500");
        assert_eq!(logs.to_string(), "loss: 0.5000 - val_loss: 0.7500");
        assert_eq!(
            serde_json::to_string(&logs).unwrap(),
            r#"{"loss":0.5,"val_loss":0.75}"#
        );
    }
}
