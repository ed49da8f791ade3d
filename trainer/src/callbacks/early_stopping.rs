//! `EarlyStopping`: no further when a value stops getting better.

use serde_json::{Value, json};

use super::Callback;
use super::monitor::{Direction, Monitor};
use crate::history::Logs;
use crate::{Result, Sequential};

/// Stops when a value of the logs has not got better for some epochs.
#[derive(Clone, Debug)]
pub struct EarlyStopping {
    /// Defaults to `val_loss`.
    pub monitor: String,
    /// Smaller changes count as none. Defaults to 0.
    pub min_delta: f64,
    /// Epochs without a better value to wait for. Defaults to 0.
    pub patience: usize,
    /// Whether to say so. Defaults to 0, silent.
    pub verbose: u8,
    /// Which way is better. Defaults to the metric's own.
    pub mode: Direction,
    /// A value to be better than. Defaults to none.
    pub baseline: Option<f64>,
    /// Whether the model ends with the weights of the best epoch, stopped early or not. Defaults
    /// to false.
    pub restore_best_weights: bool,
    /// The first epoch to look at, counted from 0. Defaults to 0.
    pub start_from_epoch: usize,
    #[doc(hidden)]
    pub state: State,
}

#[derive(Clone, Debug)]
pub struct State {
    monitor: Monitor,
    wait: usize,
    stopped_epoch: usize,
    best_epoch: usize,
    best_weights: Option<Vec<f32>>,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self {
            monitor: "val_loss".to_string(),
            min_delta: 0.0,
            patience: 0,
            verbose: 0,
            mode: Direction::Auto,
            baseline: None,
            restore_best_weights: false,
            start_from_epoch: 0,
            state: State {
                monitor: Monitor::new("", Direction::Auto, 0.0),
                wait: 0,
                stopped_epoch: 0,
                best_epoch: 0,
                best_weights: None,
            },
        }
    }
}

impl EarlyStopping {
    /// Monitors this value, as Keras' defaults say.
    pub fn new(monitor: impl Into<String>) -> Self {
        Self {
            monitor: monitor.into(),
            ..Self::default()
        }
    }

    /// The same with this patience.
    pub fn with_patience(self, patience: usize) -> Self {
        Self { patience, ..self }
    }

    /// The same, ending with the best weights.
    pub fn restoring_best_weights(self) -> Self {
        Self {
            restore_best_weights: true,
            ..self
        }
    }

    /// The epoch after which the training was stopped, counted from 0; 0 when it was not.
    pub fn stopped_epoch(&self) -> usize {
        self.state.stopped_epoch
    }

    /// The epoch with the best value, counted from 0.
    pub fn best_epoch(&self) -> usize {
        self.state.best_epoch
    }
}

impl Callback for EarlyStopping {
    fn uses_batches(&self) -> bool {
        false
    }

    fn on_train_begin(&mut self, _model: &mut Sequential) -> Result<()> {
        let monitor = Monitor::new(&self.monitor, self.mode, self.min_delta);
        self.state = State {
            monitor,
            ..Self::default().state
        };
        Ok(())
    }

    fn state(&self) -> Option<Value> {
        let state = &self.state;
        let bits = |weights: &Vec<f32>| weights.iter().map(|w| w.to_bits()).collect::<Vec<_>>();
        Some(json!({"early_stopping": {
            "wait": state.wait,
            "stopped_epoch": state.stopped_epoch,
            "best_epoch": state.best_epoch,
            "best": state.monitor.best_bits(),
            "best_weights": state.best_weights.as_ref().map(bits),
        }}))
    }

    fn on_train_resume(&mut self, model: &mut Sequential, state: &Value) -> Result<()> {
        self.on_train_begin(model)?;
        let state = &state["early_stopping"];
        let count = |key: &str| state[key].as_u64().map_or(0, |n| n as usize); // 64-bit hosts
        self.state.wait = count("wait");
        self.state.stopped_epoch = count("stopped_epoch");
        self.state.best_epoch = count("best_epoch");
        self.state.monitor.best = state["best"].as_u64().map(f64::from_bits);
        let bits = state["best_weights"].as_array().into_iter().flatten();
        let weights: Vec<f32> = bits
            .filter_map(|bits| Some(f32::from_bits(u32::try_from(bits.as_u64()?).ok()?)))
            .collect();
        // Of another model otherwise.
        self.state.best_weights = Some(weights).filter(|w| w.len() == model.values().len());
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        model: &mut Sequential,
        epoch: usize,
        logs: &mut Logs,
    ) -> Result<()> {
        let state = &mut self.state;
        state.monitor.resolve("EarlyStopping", model, logs)?;
        let Some(current) = state.monitor.value("EarlyStopping", model, logs) else {
            return Ok(());
        };
        if epoch < self.start_from_epoch {
            return Ok(());
        }
        if self.restore_best_weights && state.best_weights.is_none() {
            state.best_weights = Some(model.values().to_vec());
            state.best_epoch = epoch;
        }
        state.wait += 1;
        if state.monitor.is_better(current, state.monitor.best) {
            state.monitor.best = Some(current);
            state.best_epoch = epoch;
            if self.restore_best_weights {
                state.best_weights = Some(model.values().to_vec());
            }
            // Waiting begins anew only when the baseline is beaten, too.
            if self.baseline.is_none() || state.monitor.is_better(current, self.baseline) {
                state.wait = 0;
            }
            return Ok(());
        }
        if state.wait >= self.patience && epoch > 0 {
            state.stopped_epoch = epoch;
            model.stop_training();
        }
        Ok(())
    }

    fn on_train_end(&mut self, model: &mut Sequential, _logs: &Logs) -> Result<()> {
        let state = &mut self.state;
        if state.stopped_epoch > 0 && self.verbose > 0 {
            model.print(&format!(
                "Epoch {}: early stopping\n",
                state.stopped_epoch + 1
            ));
        }
        if let Some(weights) = state.best_weights.take() {
            if self.verbose > 0 {
                model.print(&format!(
                    "Restoring model weights from the end of the best epoch: {}.\n",
                    state.best_epoch + 1
                ));
            }
            model.values_mut().copy_from_slice(&weights);
        }
        Ok(())
    }
}
