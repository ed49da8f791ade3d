//! A training that becomes NaN: it is said in which epoch and why, and nothing is overwritten by it.

use thumbnet_trainer::{Dataset, Error, Logs, Result, Sequential, callbacks::Callback};

/// Beyond this, inputs or targets are the likely cause.
const LARGE: f32 = 1e3;

/// Ends the training with an error after the first epoch whose loss or weights are not finite, before
/// other callbacks save the model.
#[derive(Clone, Debug)]
pub struct StopAtNan {
    /// What in the rows makes it likely, with what to do.
    rows: Option<String>,
    batches: bool,
    epoch: usize,
}

impl StopAtNan {
    /// For a training on these rows by a model that normalizes them first, or does not; looking at every
    /// batch too where something may be saved in between.
    pub fn new(rows: &Dataset, normalized: bool, batches: bool) -> Self {
        let y = rows.y.iter().flatten().copied().map(f32::abs);
        let target = y.fold(0.0, f32::max);
        let rows = match largest(rows) {
            Some((column, value)) if !normalized && value > LARGE => Some(format!(
                "inputs reach {} in {column}: train with a Normalization layer in front (--normalize for .npy)",
                shown(value)
            )),
            _ if target > LARGE => Some(format!(
                "targets reach {}: scale them, such as by a thousandth",
                shown(target)
            )),
            _ => None,
        };
        Self {
            rows,
            batches,
            epoch: 0,
        }
    }

    fn check(
        &self,
        model: &Sequential,
        epoch: usize,
        loss: Option<f64>,
        weights: bool,
    ) -> Result<()> {
        let loss = loss.filter(|loss| !loss.is_finite());
        let what = match loss {
            Some(loss) => format!("the loss is {loss}"),
            None if weights && model.values().iter().any(|value| !value.is_finite()) => {
                "weights are not finite".to_string()
            }
            None => return Ok(()),
        };
        let rate = model
            .optimizer()
            .map_or(0.0, |optimizer| optimizer.learning_rate());
        let cause = match &self.rows {
            Some(rows) => format!("{rows}, or lower --learning-rate, now {}", shown(rate)),
            None => format!(
                "the likely cause is --learning-rate, now {}: try {}",
                shown(rate),
                shown(rate / 10.0)
            ),
        };
        Err(Error::value(format!(
            "{what} in epoch {}, and nothing is saved of it; {cause}; --allow-nan goes on and saves it all the same",
            epoch + 1
        )))
    }
}

/// A number as people write it, be it as large as a diverged training's.
fn shown(value: f32) -> String {
    match value.abs() {
        0.0 | 1e-4..1e6 => value.to_string(),
        _ => format!("{value:e}"),
    }
}

/// The column with the largest absolute value, and that value.
fn largest(rows: &Dataset) -> Option<(String, f32)> {
    let width = rows.x.shape().last().copied()?.max(1);
    // In the order of the memory: column by column a large table takes longer than to read.
    let values = rows.x.iter().map(|value| value.abs()).enumerate();
    let (place, value) = values.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let column = place % width;
    let name = match rows.feature_names.get(column) {
        Some(name) => format!("column {name:?}"),
        None => format!("column {}", column + 1),
    };
    Some((name, value))
}

impl Callback for StopAtNan {
    fn uses_batches(&self) -> bool {
        self.batches
    }

    fn on_epoch_begin(&mut self, _model: &mut Sequential, epoch: usize) -> Result<()> {
        self.epoch = epoch;
        Ok(())
    }

    fn on_train_batch_end(&mut self, model: &mut Sequential, _: usize, logs: &Logs) -> Result<()> {
        self.check(model, self.epoch, logs.get("loss"), false)
    }

    fn on_epoch_end(
        &mut self,
        model: &mut Sequential,
        epoch: usize,
        logs: &mut Logs,
    ) -> Result<()> {
        self.check(model, epoch, logs.get("loss"), true)
    }
}
