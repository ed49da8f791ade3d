//! `LambdaCallback`: closures as a callback.

use super::Callback;
use crate::history::Logs;
use crate::{Result, Sequential};

type OnEpochEnd<'a> = Box<dyn FnMut(&mut Sequential, usize, &mut Logs) -> Result<()> + 'a>;
type OnBatchEnd<'a> = Box<dyn FnMut(&mut Sequential, usize, &Logs) -> Result<()> + 'a>;
type OnBegin<'a> = Box<dyn FnMut(&mut Sequential, usize) -> Result<()> + 'a>;
type OnTrain<'a> = Box<dyn FnMut(&mut Sequential) -> Result<()> + 'a>;

/// Calls the closures that are given.
#[derive(Default)]
pub struct LambdaCallback<'a> {
    on_train_begin: Option<OnTrain<'a>>,
    on_train_end: Option<OnTrain<'a>>,
    on_epoch_begin: Option<OnBegin<'a>>,
    on_epoch_end: Option<OnEpochEnd<'a>>,
    on_train_batch_end: Option<OnBatchEnd<'a>>,
}

impl<'a> LambdaCallback<'a> {
    /// Without closures yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `f(model)` before the first epoch.
    pub fn on_train_begin(mut self, f: impl FnMut(&mut Sequential) -> Result<()> + 'a) -> Self {
        self.on_train_begin = Some(Box::new(f));
        self
    }

    /// Calls `f(model)` after the last epoch.
    pub fn on_train_end(mut self, f: impl FnMut(&mut Sequential) -> Result<()> + 'a) -> Self {
        self.on_train_end = Some(Box::new(f));
        self
    }

    /// Calls `f(model, epoch)` before every epoch.
    pub fn on_epoch_begin(
        mut self,
        f: impl FnMut(&mut Sequential, usize) -> Result<()> + 'a,
    ) -> Self {
        self.on_epoch_begin = Some(Box::new(f));
        self
    }

    /// Calls `f(model, epoch, logs)` after every epoch.
    pub fn on_epoch_end(
        mut self,
        f: impl FnMut(&mut Sequential, usize, &mut Logs) -> Result<()> + 'a,
    ) -> Self {
        self.on_epoch_end = Some(Box::new(f));
        self
    }

    /// Calls `f(model, batch, logs)` after every batch.
    pub fn on_train_batch_end(
        mut self,
        f: impl FnMut(&mut Sequential, usize, &Logs) -> Result<()> + 'a,
    ) -> Self {
        self.on_train_batch_end = Some(Box::new(f));
        self
    }
}

impl Callback for LambdaCallback<'_> {
    fn uses_batches(&self) -> bool {
        self.on_train_batch_end.is_some()
    }

    fn on_train_begin(&mut self, model: &mut Sequential) -> Result<()> {
        self.on_train_begin.as_mut().map_or(Ok(()), |f| f(model))
    }

    fn on_train_end(&mut self, model: &mut Sequential, _logs: &Logs) -> Result<()> {
        self.on_train_end.as_mut().map_or(Ok(()), |f| f(model))
    }

    fn on_epoch_begin(&mut self, model: &mut Sequential, epoch: usize) -> Result<()> {
        self.on_epoch_begin
            .as_mut()
            .map_or(Ok(()), |f| f(model, epoch))
    }

    fn on_epoch_end(
        &mut self,
        model: &mut Sequential,
        epoch: usize,
        logs: &mut Logs,
    ) -> Result<()> {
        self.on_epoch_end
            .as_mut()
            .map_or(Ok(()), |f| f(model, epoch, logs))
    }

    fn on_train_batch_end(
        &mut self,
        model: &mut Sequential,
        batch: usize,
        logs: &Logs,
    ) -> Result<()> {
        self.on_train_batch_end
            .as_mut()
            .map_or(Ok(()), |f| f(model, batch, logs))
    }
}
