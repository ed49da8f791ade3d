//! What EarlyStopping, ModelCheckpoint and ReduceLROnPlateau have alike: one value of the logs and
//! which way it gets better.

use crate::history::Logs;
use crate::{Error, Result, Sequential};

/// Which way a monitored value gets better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// By the metric: losses and errors downwards, accuracies and the like upwards.
    #[default]
    Auto,
    /// Downwards.
    Min,
    /// Upwards.
    Max,
}

impl Direction {
    /// Whether a value of the logs, such as `val_accuracy`, is the better the greater it is. None by
    /// [`Auto`](Self::Auto) for what is no metric of the model.
    pub fn upwards(self, name: &str, model: &Sequential) -> Option<bool> {
        match self {
            Self::Min => Some(false),
            Self::Max => Some(true),
            Self::Auto => model.improves_upwards(name),
        }
    }
}

/// One monitored value.
#[derive(Clone, Debug)]
pub(super) struct Monitor {
    pub name: String,
    pub mode: Direction,
    /// Changes not larger than it are none.
    pub min_delta: f64,
    /// Best so far.
    pub best: Option<f64>,
    upwards: Option<bool>,
}

impl Monitor {
    pub fn new(name: &str, mode: Direction, min_delta: f64) -> Self {
        Self {
            name: name.to_string(),
            mode,
            min_delta,
            best: None,
            upwards: None,
        }
    }

    /// Decides the direction; the metrics exist by now.
    pub fn resolve(&mut self, callback: &str, model: &Sequential, logs: &Logs) -> Result<()> {
        if self.upwards.is_some() {
            return Ok(());
        }
        self.upwards = Some(self.mode.upwards(&self.name, model).ok_or_else(|| {
            let names: Vec<_> = logs.names().collect();
            Error::value(format!(
                "{callback} monitors {:?}, which is no metric of the model; name one of {}, or give mode min or max",
                self.name,
                names.join(", ")
            ))
        })?);
        Ok(())
    }

    /// The monitored value; without it, one line on what there is.
    pub fn value(&self, callback: &str, model: &Sequential, logs: &Logs) -> Option<f64> {
        let value = logs.get(&self.name);
        if value.is_none() {
            let names: Vec<_> = logs.names().collect();
            model.print(&format!(
                "{callback} monitors {:?}, which is not among the logs: {}\n",
                self.name,
                names.join(", ")
            ));
        }
        value
    }

    /// The best value so far, bit for bit.
    pub fn best_bits(&self) -> Option<u64> {
        self.best.map(f64::to_bits)
    }

    /// Whether a value is better than a reference, by more than `min_delta`; no reference is
    /// worse than any value.
    pub fn is_better(&self, value: f64, reference: Option<f64>) -> bool {
        let Some(reference) = reference else {
            return true;
        };
        // Keras compares in f32.
        let delta = self.min_delta.abs();
        if self.upwards.unwrap_or(false) {
            (value - delta) as f32 > reference as f32
        } else {
            ((value + delta) as f32) < reference as f32
        }
    }
}
