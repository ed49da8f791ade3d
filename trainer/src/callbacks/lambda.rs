//! `LambdaCallback`: closures as a callback.

use ndarray::ArrayViewD;

use super::Callback;
use crate::history::Logs;
use crate::{Result, Sequential};

/// Declares [`LambdaCallback`] with one closure for each method of [`Callback`] that is listed: its
/// documentation, its name, and the arguments that the closure takes.
macro_rules! lambda_callback {
    ($($(#[$doc:meta])* $hook:ident($($argument:ident: $kind:ty),*));* $(;)?) => {
        /// Calls the closures that are given.
        #[derive(Default)]
        pub struct LambdaCallback<'a> {
            $($hook: Option<Box<dyn FnMut($($kind),*) -> Result<()> + 'a>>,)*
        }

        impl<'a> LambdaCallback<'a> {
            /// Without closures yet.
            pub fn new() -> Self {
                Self::default()
            }

            $($(#[$doc])*
            pub fn $hook(mut self, f: impl FnMut($($kind),*) -> Result<()> + 'a) -> Self {
                self.$hook = Some(Box::new(f));
                self
            })*
        }

        impl Callback for LambdaCallback<'_> {
            fn uses_batches(&self) -> bool {
                self.on_train_batch_begin.is_some()
                    || self.on_train_batch_end.is_some()
                    || self.on_test_batch_begin.is_some()
                    || self.on_test_batch_end.is_some()
                    || self.on_predict_batch_begin.is_some()
                    || self.on_predict_batch_end.is_some()
            }

            $(fn $hook(&mut self, $($argument: $kind),*) -> Result<()> {
                self.$hook.as_mut().map_or(Ok(()), |f| f($($argument),*))
            })*
        }
    };
}

lambda_callback! {
    /// Calls `f(model)` before the first epoch.
    on_train_begin(model: &mut Sequential);
    /// Calls `f(model, logs)` after the last epoch.
    on_train_end(model: &mut Sequential, logs: &Logs);
    /// Calls `f(model, epoch)` before every epoch.
    on_epoch_begin(model: &mut Sequential, epoch: usize);
    /// Calls `f(model, epoch, logs)` after every epoch.
    on_epoch_end(model: &mut Sequential, epoch: usize, logs: &mut Logs);
    /// Calls `f(model, batch)` before every batch that is trained on.
    on_train_batch_begin(model: &mut Sequential, batch: usize);
    /// Calls `f(model, batch, logs)` after every batch that is trained on.
    on_train_batch_end(model: &mut Sequential, batch: usize, logs: &Logs);
    /// Calls `f(model)` before every evaluation.
    on_test_begin(model: &mut Sequential);
    /// Calls `f(model, logs)` after every evaluation.
    on_test_end(model: &mut Sequential, logs: &Logs);
    /// Calls `f(model, batch)` before every batch of an evaluation.
    on_test_batch_begin(model: &mut Sequential, batch: usize);
    /// Calls `f(model, batch, logs)` after every batch of an evaluation.
    on_test_batch_end(model: &mut Sequential, batch: usize, logs: &Logs);
    /// Calls `f(model)` before a prediction.
    on_predict_begin(model: &Sequential);
    /// Calls `f(model)` after a prediction.
    on_predict_end(model: &Sequential);
    /// Calls `f(model, batch)` before every batch of a prediction.
    on_predict_batch_begin(model: &Sequential, batch: usize);
    /// Calls `f(model, batch, outputs)` after every batch of a prediction.
    on_predict_batch_end(model: &Sequential, batch: usize, outputs: ArrayViewD<f32>);
}
