//! The calls to callbacks, in Keras' order.

use serde_json::Value;

use crate::Result;
use crate::Sequential;
use crate::callbacks::{Callback, SharedCallback};
use crate::history::Logs;

/// The callbacks of one training, evaluation or prediction.
///
/// Those that keep the others' states come first when a training begins and last in every other
/// call, so that what they keep is of one moment.
#[derive(Default)]
pub(super) struct Callbacks<'a>(Vec<SharedCallback<'a>>);

impl<'a> Callbacks<'a> {
    pub fn new(callbacks: Vec<SharedCallback<'a>>) -> Self {
        Self(callbacks)
    }

    /// Calls every callback in order.
    pub fn each(&self, call: impl FnMut(&mut (dyn Callback + 'a)) -> Result<()>) -> Result<()> {
        self.those(|_| true, call)
    }

    /// Calls every callback that uses batches.
    pub fn each_batch(
        &self,
        call: impl FnMut(&mut (dyn Callback + 'a)) -> Result<()>,
    ) -> Result<()> {
        self.those(|callback| callback.uses_batches(), call)
    }

    /// Calls those that are wanted, in order.
    fn those(
        &self,
        wanted: impl Fn(&(dyn Callback + 'a)) -> bool,
        mut call: impl FnMut(&mut (dyn Callback + 'a)) -> Result<()>,
    ) -> Result<()> {
        for callback in &self.0 {
            let mut callback = callback.lend()?;
            if wanted(callback.as_ref()) {
                call(callback.as_mut())?;
            }
        }
        Ok(())
    }

    /// Calls those that keep the others' states, or the others.
    fn keepers(
        &self,
        keep: bool,
        call: impl FnMut(&mut (dyn Callback + 'a)) -> Result<()>,
    ) -> Result<()> {
        self.those(|callback| callback.keeps_states() == keep, call)
    }

    pub fn use_batches(&self) -> Result<bool> {
        self.any(|callback| callback.uses_batches())
    }

    fn any(&self, mut asked: impl FnMut(&(dyn Callback + 'a)) -> bool) -> Result<bool> {
        let mut found = false;
        self.each(|callback| {
            found |= asked(callback);
            Ok(())
        })?;
        Ok(found)
    }

    /// Before the first epoch: restores what is to be restored.
    pub fn begin(&self, model: &mut Sequential) -> Result<()> {
        self.keepers(true, |callback| callback.on_train_begin(model))?;
        let mut states = std::mem::take(&mut model.run.callback_states).into_iter();
        self.each(|callback| {
            let state = states.next().filter(|state| !state.is_null());
            match state {
                _ if callback.keeps_states() => Ok(()),
                Some(state) => callback.on_train_resume(model, &state),
                None => callback.on_train_begin(model),
            }
        })
    }

    pub fn batch_end(&self, model: &mut Sequential, batch: usize, logs: &Logs) -> Result<()> {
        let call = |keep: bool, model: &mut Sequential| {
            self.keepers(keep, |callback| match callback.uses_batches() {
                true => callback.on_train_batch_end(model, batch, logs),
                false => Ok(()),
            })
        };
        call(false, model)?;
        if self.any(|callback| callback.keeps_states() && callback.uses_batches())? {
            self.note_states(model)?;
        }
        call(true, model)
    }

    pub fn epoch_end(&self, model: &mut Sequential, epoch: usize, logs: &mut Logs) -> Result<()> {
        self.keepers(false, |callback| callback.on_epoch_end(model, epoch, logs))?;
        self.note_states(model)?;
        self.keepers(true, |callback| callback.on_epoch_end(model, epoch, logs))
    }

    /// After the last epoch.
    pub fn end(&self, model: &mut Sequential, logs: &Logs) -> Result<()> {
        self.keepers(false, |callback| callback.on_train_end(model, logs))?;
        self.keepers(true, |callback| callback.on_train_end(model, logs))
    }

    /// Gives the model everyone's state, when somebody keeps them.
    fn note_states(&self, model: &mut Sequential) -> Result<()> {
        if !self.any(|callback| callback.keeps_states())? {
            return Ok(());
        }
        model.run.callback_states.clear();
        self.each(|callback| {
            let state = callback.state().unwrap_or(Value::Null);
            model.run.callback_states.push(state);
            Ok(())
        })
    }
}
