//! What a model means: the columns that it takes, and what its outputs say.
//!
//! A model that was trained from a table keeps this, and so does its file: in `.h5` as the attribute
//! `thumbnet_signature` of the root, in `.keras` as the member `thumbnet.json`, both of which Keras
//! ignores. Files are matched to it by the names of their columns and classes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::losses::{Answer, Loss};
use crate::{Error, Result};

/// The version that this crate writes, and the newest that it reads.
const VERSION: u32 = 1;

/// What the inputs and outputs of a model are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Signature {
    /// Of this form; a newer one may mean something that is not known here.
    version: u32,
    /// Columns of the features, in the order of the inputs; none for a model trained from arrays.
    #[serde(default)]
    pub features: Vec<String>,
    /// Columns of the targets; none for a model trained from arrays.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Names of the classes: one per output, or two for one output, of no and of yes. None for a
    /// regression.
    #[serde(default)]
    pub classes: Vec<String>,
    /// What the outputs say.
    pub task: Task,
    /// From which probability on an output says yes. Defaults to none, which is 0.5.
    #[serde(default)]
    pub threshold: Option<f32>,
    /// By column: what stands for a value that is not there. Defaults to none: it must be there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fill: BTreeMap<String, f32>,
    /// Of an autoencoder: which rows are anomalies. Defaults to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<Anomaly>,
}

/// What an autoencoder takes for an anomaly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// The greatest [reconstruction error](crate::evaluation::Reconstruction) of float32 that is none.
    pub threshold: f32,
    /// Share of normal rows that may be taken for anomalies, by which the threshold was chosen.
    pub false_alarms: f64,
    /// Share of the normal rows that [`Dataset::hold_out`](crate::Dataset::hold_out) kept from training for
    /// that.
    pub held_out: f64,
    /// The label of normal rows. Defaults to none: there were no labels.
    #[serde(default)]
    pub normal: Option<String>,
}

/// What the outputs of a model say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Numbers.
    Regression,
    /// One output: no or yes.
    Binary,
    /// One class of several.
    MultiClass,
    /// No or yes from each output.
    MultiLabel,
}

impl Task {
    /// By the loss that a model is trained with.
    pub fn of(loss: &Loss, outputs: usize) -> Self {
        let one = outputs <= 1;
        match loss.kind.function().answer() {
            Answer::Numbers => Self::Regression,
            _ if one => Self::Binary,
            Answer::Probability | Answer::Logit | Answer::Sign | Answer::Overlap => {
                Self::MultiLabel
            }
            Answer::Class | Answer::Distribution => Self::MultiClass,
        }
    }

    /// How many names its classes have; none where it has no classes.
    pub fn class_count(self, outputs: usize) -> Option<usize> {
        match self {
            Self::Regression => None,
            Self::Binary => Some(2),
            Self::MultiClass | Self::MultiLabel => Some(outputs),
        }
    }
}

impl Signature {
    /// Of a model with this task, without names.
    pub fn new(task: Task) -> Self {
        Self {
            version: VERSION,
            features: Vec::new(),
            targets: Vec::new(),
            classes: Vec::new(),
            task,
            threshold: None,
            fill: BTreeMap::new(),
            anomaly: None,
        }
    }

    /// With these columns, in the order of the inputs.
    pub fn with_features(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.features = names.into_iter().map(Into::into).collect();
        self
    }

    /// With these columns of targets.
    pub fn with_targets(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.targets = names.into_iter().map(Into::into).collect();
        self
    }

    /// With these classes, in the order of the outputs.
    pub fn with_classes(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.classes = names.into_iter().map(Into::into).collect();
        self
    }

    /// As it is stored.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("names and numbers are JSON")
    }

    /// From what is stored.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] where it is no signature, or a newer one.
    pub(crate) fn from_json(text: &str) -> Result<Self> {
        let damaged = |error: serde_json::Error| {
            Error::value(format!(
                "the signature is damaged: {error}; train and save the model again"
            ))
        };
        let value: serde_json::Value = serde_json::from_str(text).map_err(damaged)?;
        if let Some(version) = value["version"].as_u64().filter(|v| *v > VERSION.into()) {
            return Err(Error::value(format!(
                "the signature has version {version}, expected at most {VERSION}; use a newer thumbnet"
            )));
        }
        let signature: Self = serde_json::from_value(value).map_err(damaged)?;
        signature.check_names()?;
        Ok(signature)
    }

    /// Refuses a name that stands twice among the features or the classes.
    fn check_names(&self) -> Result<()> {
        for (what, names) in [("column", &self.features), ("class", &self.classes)] {
            if let Some(name) = twice(names) {
                return Err(Error::value(format!(
                    "the signature has two of the {what} {name:?}, expected different names; train and save the model again"
                )));
            }
        }
        Ok(())
    }

    /// Refuses a signature for other numbers of inputs and outputs than the model's.
    pub(crate) fn check_model(&self, inputs: usize, outputs: usize) -> Result<()> {
        let wrong = |what: &str, found: usize, expected: usize| {
            Error::value(format!(
                "the signature has {found} {what}, expected {expected} as the model has; train and save the model again"
            ))
        };
        let columns = self.features.len();
        if columns != 0 && columns != inputs {
            return Err(wrong("columns", columns, inputs));
        }
        let classes = self.classes.len();
        let expected = self.task.class_count(outputs).unwrap_or(0);
        if classes != 0 && classes != expected {
            return Err(wrong("classes", classes, expected));
        }
        Ok(())
    }
}

/// The first name that was there before.
fn twice(names: &[String]) -> Option<&String> {
    let mut seen = std::collections::HashSet::new();
    names.iter().find(|name| !seen.insert(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iris() -> Signature {
        Signature::new(Task::MultiClass)
            .with_features(["a", "b"])
            .with_targets(["label"])
            .with_classes(["setosa", "größer, \"x\"\n"])
    }

    #[test]
    fn what_is_stored_is_read_again_and_later_keys_do_no_harm() {
        assert_eq!(Signature::from_json(&iris().to_json()).unwrap(), iris());
        let later = r#"{"version":1,"task":"regression","features":["t"],"sensor":{"t":1.5}}"#;
        assert_eq!(
            Signature::from_json(later).unwrap(),
            Signature::new(Task::Regression).with_features(["t"])
        );
    }

    #[test]
    fn what_is_no_signature_is_refused() {
        let error = |text: &str| Signature::from_json(text).unwrap_err().to_string();
        assert_eq!(
            error(r#"{"version":2,"task":"ranking"}"#),
            "the signature has version 2, expected at most 1; use a newer thumbnet"
        );
        assert_eq!(
            error(r#"{"version":1,"task":"binary","classes":["no","no"]}"#),
            "the signature has two of the class \"no\", expected different names; train and save the model again"
        );
        for wrong in ["", "[]", "{}", r#"{"version":1,"task":"dance"}"#, "\"x\""] {
            assert!(
                error(wrong).starts_with("the signature is damaged: "),
                "{wrong}"
            );
        }
    }

    #[test]
    fn its_numbers_are_the_models() {
        assert!(iris().check_model(2, 2).is_ok());
        assert_eq!(
            iris().check_model(3, 2).unwrap_err().to_string(),
            "the signature has 2 columns, expected 3 as the model has; train and save the model again"
        );
        assert_eq!(
            iris().check_model(2, 3).unwrap_err().to_string(),
            "the signature has 2 classes, expected 3 as the model has; train and save the model again"
        );
    }
}
