//! What belongs to a running `fit` or `evaluate`, and not to the model.

use serde_json::Value;

/// The state of a run: made anew by each call of `fit`; its callbacks look at it and change it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    /// Of shuffling and noise.
    pub seed: u64,
    /// Epoch and batch to begin with, where a callback has restored a training.
    pub resume: Option<(usize, usize)>,
    /// What the callbacks want kept, null for none.
    pub callback_states: Vec<Value>,
    /// Whether somebody asked `fit` to return.
    pub stop_training: bool,
    /// Whether the training was ended from outside, within an epoch.
    pub interrupted: bool,
    /// Whether somebody asked `evaluate`, or a validation, to return.
    pub stop_evaluating: bool,
}

impl Run {
    /// A training that begins.
    pub fn training(seed: u64) -> Self {
        Self {
            seed,
            ..Self::default()
        }
    }
}
