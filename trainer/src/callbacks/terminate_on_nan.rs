//! `TerminateOnNaN`: no further once the loss is not a number.

use super::Callback;
use crate::history::Logs;
use crate::{Error, Result, Sequential};

/// Stops as soon as the loss is NaN or infinite.
#[derive(Clone, Debug, Default)]
pub struct TerminateOnNaN {
    /// Whether `fit` returns an error then. Defaults to false.
    pub raise_error: bool,
}

impl TerminateOnNaN {
    /// Stops without an error.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Callback for TerminateOnNaN {
    fn on_train_batch_end(
        &mut self,
        model: &mut Sequential,
        batch: usize,
        logs: &Logs,
    ) -> Result<()> {
        match logs.get("loss") {
            Some(loss) if !loss.is_finite() => {
                if self.raise_error {
                    return Err(Error::value(format!(
                        "the loss is {loss} at batch {batch}, expected a finite number; lower the learning rate or scale the inputs"
                    )));
                }
                model.print(&format!(
                    "Batch {batch}: Invalid loss, terminating training\n"
                ));
                model.stop_training();
            }
            Some(_) | None => {}
        }
        Ok(())
    }
}
