//! A callback as options hold it.

use std::cell::{RefCell, RefMut};
use std::fmt::{self, Debug};
use std::rc::Rc;

use super::Callback;
use crate::{Error, Result};

/// A callback in the options of `fit`, `evaluate` or `predict_with`, made of any by `into`. A clone is the
/// same callback, as in Python: what it knows after one training, it knows in the next.
///
/// ```
/// use thumbnet_trainer::callbacks::{EarlyStopping, TerminateOnNaN};
/// use thumbnet_trainer::training::FitOptions;
///
/// let options = FitOptions {
///     epochs: 50,
///     callbacks: vec![EarlyStopping::new("val_loss").into(), TerminateOnNaN::new().into()],
///     ..FitOptions::default()
/// };
/// let longer = FitOptions { epochs: 100, ..options.clone() };
/// # assert_eq!(longer.callbacks.len(), 2);
/// ```
#[derive(Clone)]
pub struct SharedCallback<'a>(Rc<RefCell<Box<dyn Callback + 'a>>>);

impl<'a> SharedCallback<'a> {
    /// The callback, to be called.
    pub(crate) fn lend(&self) -> Result<RefMut<'_, Box<dyn Callback + 'a>>> {
        self.0.try_borrow_mut().map_err(|_| {
            Error::value(
                "a callback trains, evaluates or predicts with itself among the callbacks; leave it out of those options",
            )
        })
    }
}

impl<'a, C: Callback + 'a> From<C> for SharedCallback<'a> {
    fn from(callback: C) -> Self {
        Self::from(Box::new(callback) as Box<dyn Callback + 'a>)
    }
}

impl<'a> From<Box<dyn Callback + 'a>> for SharedCallback<'a> {
    fn from(callback: Box<dyn Callback + 'a>) -> Self {
        Self(Rc::new(RefCell::new(callback)))
    }
}

/// Without what is in it, which may be anything.
impl Debug for SharedCallback<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("SharedCallback")
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{arr1, arr2};

    use super::*;
    use crate::history::Logs;
    use crate::layers::Dense;
    use crate::sequential::Sequential;
    use crate::training::{EvaluateOptions, FitOptions};

    fn model() -> Sequential {
        let mut model = Sequential::new();
        model.add(Dense::new(1).with_input_shape([1])).unwrap();
        model.compile("sgd", "mse", [""; 0]).unwrap();
        model
    }

    #[test]
    fn a_clone_of_options_has_the_same_callbacks() {
        struct Epochs(Rc<RefCell<usize>>);
        impl Callback for Epochs {
            fn on_epoch_end(&mut self, _: &mut Sequential, _: usize, _: &mut Logs) -> Result<()> {
                *self.0.borrow_mut() += 1;
                Ok(())
            }
        }
        let (x, y) = (arr2(&[[1.0]]), arr1(&[1.0]));
        let epochs = Rc::new(RefCell::new(0));
        let options = FitOptions {
            epochs: 2,
            verbose: 0,
            callbacks: vec![Epochs(epochs.clone()).into()],
            ..FitOptions::default()
        };
        model().fit(&x, &y, options.clone()).unwrap();
        let longer = FitOptions {
            epochs: 3,
            ..options
        };
        assert!(format!("{longer:?}").contains("epochs: 3"));
        model().fit(&x, &y, longer).unwrap();
        assert_eq!(*epochs.borrow(), 5);
    }

    #[test]
    fn a_callback_within_itself_is_an_error() {
        let held = Rc::new(RefCell::new(None::<SharedCallback>));
        struct Held(Rc<RefCell<Option<SharedCallback<'static>>>>);
        impl Callback for Held {
            fn on_epoch_end(&mut self, m: &mut Sequential, _: usize, _: &mut Logs) -> Result<()> {
                let options = EvaluateOptions {
                    verbose: 0,
                    callbacks: self.0.borrow().iter().cloned().collect(),
                    ..EvaluateOptions::default()
                };
                m.evaluate(&arr2(&[[1.0]]), &arr1(&[1.0]), options)
                    .map(|_| ())
            }
        }
        let callback = SharedCallback::from(Held(held.clone()));
        *held.borrow_mut() = Some(callback.clone());
        let options = FitOptions {
            verbose: 0,
            callbacks: vec![callback],
            ..FitOptions::default()
        };
        let error = model().fit(&arr2(&[[1.0]]), &arr1(&[1.0]), options);
        held.borrow_mut().take();
        assert_eq!(
            error.unwrap_err().to_string(),
            "a callback trains, evaluates or predicts with itself among the callbacks; leave it out of those options"
        );
    }
}
