//! Callbacks: what happens around epochs and batches of `fit`, `evaluate` and `predict`. Anyone's
//! own implement [`Callback`].

mod backup_and_restore;
mod csv_logger;
mod early_stopping;
mod lambda;
mod learning_rate;
mod model_checkpoint;
mod monitor;
mod serialized;
mod shared;
mod terminate_on_nan;

pub use backup_and_restore::BackupAndRestore;
pub use csv_logger::CSVLogger;
pub use early_stopping::EarlyStopping;
pub use lambda::LambdaCallback;
pub use learning_rate::{LearningRateScheduler, ReduceLROnPlateau};
pub use model_checkpoint::{ModelCheckpoint, SaveFrequency};
pub use monitor::Direction;
pub use serialized::from_config;
pub use shared::SharedCallback;
pub use terminate_on_nan::TerminateOnNaN;

use ndarray::ArrayViewD;
use serde_json::Value;

use crate::history::Logs;
use crate::{Result, Sequential};

/// What `fit`, `evaluate` and `predict_with` call, with Keras' names and in its order. Every method
/// does nothing by default; an error ends the training, evaluation or prediction.
///
/// A callback stops the training by [`Sequential::stop_training`], an evaluation by
/// [`Sequential::stop_evaluating`], prints by [`Sequential::print`], and may add to the logs of an
/// epoch. A validation in `fit` is an evaluation.
///
/// ```
/// use thumbnet_trainer::callbacks::Callback;
/// use thumbnet_trainer::history::Logs;
/// use thumbnet_trainer::{Result, Sequential};
///
/// /// Stops as soon as the training is good enough.
/// struct GoodEnough;
///
/// impl Callback for GoodEnough {
///     fn on_epoch_end(&mut self, model: &mut Sequential, _: usize, logs: &mut Logs) -> Result<()> {
///         if logs.get("accuracy") > Some(0.99) {
///             model.stop_training();
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Callback {
    /// Before the first epoch; model and optimizer are built.
    fn on_train_begin(&mut self, _model: &mut Sequential) -> Result<()> {
        Ok(())
    }

    /// In place of `on_train_begin` in a training that [`BackupAndRestore`] restored, with what
    /// `state` gave when it was backed up. Begins anew by default.
    fn on_train_resume(&mut self, model: &mut Sequential, _state: &Value) -> Result<()> {
        self.on_train_begin(model)
    }

    /// What a backup has to keep, so that a training which was killed goes on as if it had not
    /// been. Nothing by default.
    fn state(&self) -> Option<Value> {
        None
    }

    /// Whether this callback keeps the others' states, as [`BackupAndRestore`]: it is then called
    /// before them when the training begins, and after them when a batch, an epoch or the training
    /// ends. Defaults to false.
    fn keeps_states(&self) -> bool {
        false
    }

    /// After the last epoch, with its logs.
    fn on_train_end(&mut self, _model: &mut Sequential, _logs: &Logs) -> Result<()> {
        Ok(())
    }

    /// Before an epoch, counted from 0.
    fn on_epoch_begin(&mut self, _model: &mut Sequential, _epoch: usize) -> Result<()> {
        Ok(())
    }

    /// After an epoch and its validation. What is added to `logs` is seen by later callbacks and
    /// kept in the history.
    fn on_epoch_end(
        &mut self,
        _model: &mut Sequential,
        _epoch: usize,
        _logs: &mut Logs,
    ) -> Result<()> {
        Ok(())
    }

    /// Whether the methods about batches are to be called. Their logs cost time: a callback that
    /// does not look at batches should say so. Defaults to true.
    fn uses_batches(&self) -> bool {
        true
    }

    /// Before a batch, counted from 0 in each epoch.
    fn on_train_batch_begin(&mut self, _model: &mut Sequential, _batch: usize) -> Result<()> {
        Ok(())
    }

    /// After a batch, with the logs of the epoch so far.
    fn on_train_batch_end(
        &mut self,
        _model: &mut Sequential,
        _batch: usize,
        _logs: &Logs,
    ) -> Result<()> {
        Ok(())
    }

    /// Before an evaluation.
    fn on_test_begin(&mut self, _model: &mut Sequential) -> Result<()> {
        Ok(())
    }

    /// After an evaluation, with its logs.
    fn on_test_end(&mut self, _model: &mut Sequential, _logs: &Logs) -> Result<()> {
        Ok(())
    }

    /// Before a batch of an evaluation, counted from 0.
    fn on_test_batch_begin(&mut self, _model: &mut Sequential, _batch: usize) -> Result<()> {
        Ok(())
    }

    /// After a batch of an evaluation, with the logs of the evaluation so far.
    fn on_test_batch_end(
        &mut self,
        _model: &mut Sequential,
        _batch: usize,
        _logs: &Logs,
    ) -> Result<()> {
        Ok(())
    }

    /// Before a prediction.
    fn on_predict_begin(&mut self, _model: &Sequential) -> Result<()> {
        Ok(())
    }

    /// After a prediction.
    fn on_predict_end(&mut self, _model: &Sequential) -> Result<()> {
        Ok(())
    }

    /// Before a batch of a prediction, counted from 0.
    fn on_predict_batch_begin(&mut self, _model: &Sequential, _batch: usize) -> Result<()> {
        Ok(())
    }

    /// After a batch of a prediction, with its outputs, `[rows, output sample]`.
    fn on_predict_batch_end(
        &mut self,
        _model: &Sequential,
        _batch: usize,
        _outputs: ArrayViewD<f32>,
    ) -> Result<()> {
        Ok(())
    }
}

/// A borrowed callback, to look at it after `fit`.
impl<C: Callback + ?Sized> Callback for &mut C {
    fn on_train_begin(&mut self, model: &mut Sequential) -> Result<()> {
        (**self).on_train_begin(model)
    }

    fn on_train_resume(&mut self, model: &mut Sequential, state: &Value) -> Result<()> {
        (**self).on_train_resume(model, state)
    }

    fn state(&self) -> Option<Value> {
        (**self).state()
    }

    fn keeps_states(&self) -> bool {
        (**self).keeps_states()
    }

    fn on_train_end(&mut self, model: &mut Sequential, logs: &Logs) -> Result<()> {
        (**self).on_train_end(model, logs)
    }

    fn on_epoch_begin(&mut self, model: &mut Sequential, epoch: usize) -> Result<()> {
        (**self).on_epoch_begin(model, epoch)
    }

    fn on_epoch_end(
        &mut self,
        model: &mut Sequential,
        epoch: usize,
        logs: &mut Logs,
    ) -> Result<()> {
        (**self).on_epoch_end(model, epoch, logs)
    }

    fn uses_batches(&self) -> bool {
        (**self).uses_batches()
    }

    fn on_train_batch_begin(&mut self, model: &mut Sequential, batch: usize) -> Result<()> {
        (**self).on_train_batch_begin(model, batch)
    }

    fn on_train_batch_end(
        &mut self,
        model: &mut Sequential,
        batch: usize,
        logs: &Logs,
    ) -> Result<()> {
        (**self).on_train_batch_end(model, batch, logs)
    }

    fn on_test_begin(&mut self, model: &mut Sequential) -> Result<()> {
        (**self).on_test_begin(model)
    }

    fn on_test_end(&mut self, model: &mut Sequential, logs: &Logs) -> Result<()> {
        (**self).on_test_end(model, logs)
    }

    fn on_test_batch_begin(&mut self, model: &mut Sequential, batch: usize) -> Result<()> {
        (**self).on_test_batch_begin(model, batch)
    }

    fn on_test_batch_end(
        &mut self,
        model: &mut Sequential,
        batch: usize,
        logs: &Logs,
    ) -> Result<()> {
        (**self).on_test_batch_end(model, batch, logs)
    }

    fn on_predict_begin(&mut self, model: &Sequential) -> Result<()> {
        (**self).on_predict_begin(model)
    }

    fn on_predict_end(&mut self, model: &Sequential) -> Result<()> {
        (**self).on_predict_end(model)
    }

    fn on_predict_batch_begin(&mut self, model: &Sequential, batch: usize) -> Result<()> {
        (**self).on_predict_batch_begin(model, batch)
    }

    fn on_predict_batch_end(
        &mut self,
        model: &Sequential,
        batch: usize,
        outputs: ArrayViewD<f32>,
    ) -> Result<()> {
        (**self).on_predict_batch_end(model, batch, outputs)
    }
}
