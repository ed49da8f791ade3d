//! Callbacks that set the learning rate: `LearningRateScheduler`, `ReduceLROnPlateau`.

use serde_json::{Value, json};

use super::Callback;
use super::monitor::{Direction, Monitor};
use crate::history::Logs;
use crate::{Error, Result, Sequential};

/// Sets the learning rate at the beginning of every epoch to `schedule(epoch, learning_rate)`.
pub struct LearningRateScheduler<F> {
    /// From the epoch, counted from 0, and the learning rate so far.
    pub schedule: F,
    /// Whether to say so. Defaults to 0, silent.
    pub verbose: u8,
}

impl<F: FnMut(usize, f64) -> f64> LearningRateScheduler<F> {
    /// A silent scheduler.
    pub fn new(schedule: F) -> Self {
        Self {
            schedule,
            verbose: 0,
        }
    }
}

fn learning_rate(model: &Sequential) -> f64 {
    model
        .optimizer()
        .map_or(0.0, |optimizer| f64::from(optimizer.learning_rate()))
}

fn set_learning_rate(model: &mut Sequential, rate: f64) -> Result<()> {
    match model.optimizer_mut() {
        Some(optimizer) => optimizer.set_learning_rate(rate as f32), // Keras' is an f32, too
        None => Ok(()),
    }
}

/// As Python's `str` writes a float.
pub(super) fn python_float(value: f64) -> String {
    let text = format!("{value:?}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let mantissa = mantissa.strip_suffix(".0").unwrap_or(mantissa);
            let (sign, digits) = match exponent.strip_prefix('-') {
                Some(digits) => ('-', digits),
                None => ('+', exponent),
            };
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        // Python changes to scientific notation below 1e-4, Rust only later.
        None if value != 0.0 && value.abs() < 1e-4 => python_float_small(value),
        None => text,
    }
}

fn python_float_small(value: f64) -> String {
    let text = format!("{value:e}");
    match text.split_once("e-") {
        Some((mantissa, digits)) => format!("{mantissa}e-{digits:0>2}"),
        None => text,
    }
}

impl<F: FnMut(usize, f64) -> f64> Callback for LearningRateScheduler<F> {
    fn uses_batches(&self) -> bool {
        false
    }

    fn on_epoch_begin(&mut self, model: &mut Sequential, epoch: usize) -> Result<()> {
        let rate = (self.schedule)(epoch, learning_rate(model));
        if !rate.is_finite() || rate < 0.0 {
            return Err(Error::value(format!(
                "LearningRateScheduler: the schedule gave {rate} for epoch {epoch}, expected a finite number that is not negative"
            )));
        }
        set_learning_rate(model, rate)?;
        if self.verbose > 0 {
            model.print(&format!(
                "\nEpoch {}: LearningRateScheduler setting learning rate to {}.\n",
                epoch + 1,
                python_float(rate)
            ));
        }
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        model: &mut Sequential,
        _epoch: usize,
        logs: &mut Logs,
    ) -> Result<()> {
        logs.set("learning_rate", learning_rate(model));
        Ok(())
    }
}

/// Multiplies the learning rate by a factor when a value has not got better for some epochs.
#[derive(Clone, Debug)]
pub struct ReduceLROnPlateau {
    /// Defaults to `val_loss`.
    pub monitor: String,
    /// Less than 1. Defaults to 0.1.
    pub factor: f64,
    /// Epochs without a better value to wait for. Defaults to 10.
    pub patience: usize,
    /// Whether to say so. Defaults to 0, silent.
    pub verbose: u8,
    /// Which way is better. Defaults to the metric's own.
    pub mode: Direction,
    /// Smaller changes count as none. Defaults to 1e-4.
    pub min_delta: f64,
    /// Epochs to pause after a reduction. Defaults to 0.
    pub cooldown: usize,
    /// The learning rate goes no lower. Defaults to 0.
    pub min_lr: f64,
    #[doc(hidden)]
    pub state: Plateau,
}

#[derive(Clone, Debug)]
pub struct Plateau {
    monitor: Monitor,
    wait: usize,
    cooldown: usize,
}

impl Default for ReduceLROnPlateau {
    fn default() -> Self {
        Self {
            monitor: "val_loss".to_string(),
            factor: 0.1,
            patience: 10,
            verbose: 0,
            mode: Direction::Auto,
            min_delta: 1e-4,
            cooldown: 0,
            min_lr: 0.0,
            state: Plateau {
                monitor: Monitor::new("", Direction::Auto, 0.0),
                wait: 0,
                cooldown: 0,
            },
        }
    }
}

impl ReduceLROnPlateau {
    /// Monitors this value, as Keras' defaults say.
    pub fn new(monitor: impl Into<String>) -> Self {
        Self {
            monitor: monitor.into(),
            ..Self::default()
        }
    }
}

impl Callback for ReduceLROnPlateau {
    fn uses_batches(&self) -> bool {
        false
    }

    fn on_train_begin(&mut self, _model: &mut Sequential) -> Result<()> {
        if self.factor >= 1.0 {
            return Err(Error::value(format!(
                "ReduceLROnPlateau: factor is {}, expected a number less than 1",
                self.factor
            )));
        }
        let monitor = Monitor::new(&self.monitor, self.mode, self.min_delta);
        self.state = Plateau {
            monitor,
            ..Self::default().state
        };
        Ok(())
    }

    fn state(&self) -> Option<Value> {
        let state = &self.state;
        Some(json!({"reduce_lr_on_plateau": {
            "wait": state.wait,
            "cooldown": state.cooldown,
            "best": state.monitor.best_bits(),
        }}))
    }

    fn on_train_resume(&mut self, model: &mut Sequential, state: &Value) -> Result<()> {
        self.on_train_begin(model)?;
        let state = &state["reduce_lr_on_plateau"];
        let count = |key: &str| state[key].as_u64().map_or(0, |n| n as usize); // 64-bit hosts
        self.state.wait = count("wait");
        self.state.cooldown = count("cooldown");
        self.state.monitor.best = state["best"].as_u64().map(f64::from_bits);
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        model: &mut Sequential,
        epoch: usize,
        logs: &mut Logs,
    ) -> Result<()> {
        let state = &mut self.state;
        state.monitor.resolve("ReduceLROnPlateau", model, logs)?;
        logs.set("learning_rate", learning_rate(model));
        let Some(current) = state.monitor.value("ReduceLROnPlateau", model, logs) else {
            return Ok(());
        };
        if state.cooldown > 0 {
            state.cooldown -= 1;
            state.wait = 0;
        }
        if state.monitor.is_better(current, state.monitor.best) {
            state.monitor.best = Some(current);
            state.wait = 0;
        } else if state.cooldown == 0 {
            state.wait += 1;
            let old = learning_rate(model);
            if state.wait >= self.patience && old > f64::from(self.min_lr as f32) {
                let new = (old * self.factor).max(self.min_lr);
                set_learning_rate(model, new)?;
                if self.verbose > 0 {
                    model.print(&format!(
                        "\nEpoch {}: ReduceLROnPlateau reducing learning rate to {}.\n",
                        epoch + 1,
                        python_float(new)
                    ));
                }
                state.cooldown = self.cooldown;
                state.wait = 0;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_python_writes_them() {
        assert_eq!(python_float(0.0010000000474974513), "0.0010000000474974513");
        assert_eq!(python_float(f64::from(1e-5f32)), "9.999999747378752e-06");
        assert_eq!(python_float(1e-7), "1e-07");
        assert_eq!(
            python_float(0.00010000000474974513),
            "0.00010000000474974513"
        );
        assert_eq!(python_float(0.0), "0.0");
        assert_eq!(python_float(1.0), "1.0");
    }
}
