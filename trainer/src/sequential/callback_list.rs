//! The calls to callbacks, in Keras' order.

use serde_json::Value;

use super::Sequential;
use crate::Result;
use crate::callbacks::Callback;
use crate::history::Logs;

/// The callbacks of one training, evaluation or prediction.
///
/// Those that keep the others' states come first when a training begins and last in every other
/// call, so that what they keep is of one moment.
#[derive(Default)]
pub(super) struct Callbacks<'a>(Vec<Box<dyn Callback + 'a>>);

impl<'a> Callbacks<'a> {
    pub fn new(callbacks: Vec<Box<dyn Callback + 'a>>) -> Self {
        Self(callbacks)
    }

    /// Calls every callback in order.
    pub fn each(
        &mut self,
        mut call: impl FnMut(&mut (dyn Callback + 'a)) -> Result<()>,
    ) -> Result<()> {
        let mut all = self.0.iter_mut();
        all.try_for_each(|callback| call(callback.as_mut()))
    }

    /// Calls every callback that uses batches.
    pub fn each_batch(
        &mut self,
        mut call: impl FnMut(&mut (dyn Callback + 'a)) -> Result<()>,
    ) -> Result<()> {
        let mut used = self.0.iter_mut().filter(|callback| callback.uses_batches());
        used.try_for_each(|callback| call(callback.as_mut()))
    }

    pub fn use_batches(&self) -> bool {
        self.0.iter().any(|callback| callback.uses_batches())
    }

    /// Before the first epoch: restores what is to be restored.
    pub fn begin(&mut self, model: &mut Sequential) -> Result<()> {
        for callback in self.keepers(true) {
            callback.on_train_begin(model)?;
        }
        let states = std::mem::take(&mut model.run.callback_states);
        for (i, callback) in self.0.iter_mut().enumerate() {
            if callback.keeps_states() {
                continue;
            }
            match states.get(i).filter(|state| !state.is_null()) {
                Some(state) => callback.on_train_resume(model, state)?,
                None => callback.on_train_begin(model)?,
            }
        }
        Ok(())
    }

    pub fn batch_end(&mut self, model: &mut Sequential, batch: usize, logs: &Logs) -> Result<()> {
        for callback in self.keepers(false).filter(|c| c.uses_batches()) {
            callback.on_train_batch_end(model, batch, logs)?;
        }
        if self.keepers(true).any(|keeper| keeper.uses_batches()) {
            self.note_states(model);
        }
        for callback in self.keepers(true).filter(|c| c.uses_batches()) {
            callback.on_train_batch_end(model, batch, logs)?;
        }
        Ok(())
    }

    pub fn epoch_end(
        &mut self,
        model: &mut Sequential,
        epoch: usize,
        logs: &mut Logs,
    ) -> Result<()> {
        for callback in self.keepers(false) {
            callback.on_epoch_end(model, epoch, logs)?;
        }
        self.note_states(model);
        for callback in self.keepers(true) {
            callback.on_epoch_end(model, epoch, logs)?;
        }
        Ok(())
    }

    /// After the last epoch.
    pub fn end(&mut self, model: &mut Sequential, logs: &Logs) -> Result<()> {
        for callback in self.keepers(false) {
            callback.on_train_end(model, logs)?;
        }
        for callback in self.keepers(true) {
            callback.on_train_end(model, logs)?;
        }
        Ok(())
    }

    fn keepers(&mut self, keep: bool) -> impl Iterator<Item = &mut Box<dyn Callback + 'a>> {
        let all = self.0.iter_mut();
        all.filter(move |callback| callback.keeps_states() == keep)
    }

    /// Gives the model everyone's state, when somebody keeps them.
    fn note_states(&mut self, model: &mut Sequential) {
        if self.keepers(true).next().is_some() {
            let states = self.0.iter().map(|callback| callback.state());
            model.run.callback_states = states.map(|state| state.unwrap_or(Value::Null)).collect();
        }
    }
}
