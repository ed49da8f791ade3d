//! Losses, metrics, layers and activations of one's own, under the names that Keras registers them by.
//!
//! A part is a type of this crate's user that implements [`Custom`] and one of [`CustomLoss`],
//! [`CustomMetric`], [`CustomLayer`], or [`CustomActivation`]. Models take it wherever they take Keras'
//! own, and save it by its registered name; real Keras reads the file where a class of that name is
//! registered (`@keras.saving.register_keras_serializable(package="shop")`), and so does
//! [`Sequential::load`](crate::Sequential::load) after [`register_loss`] and the like.
//!
//! ```
//! use thumbnet_trainer::custom::{Arguments, Custom, CustomLoss, register_loss};
//! use thumbnet_trainer::layers::{Dense, Input};
//! use thumbnet_trainer::serde_json::{Value, json};
//! use thumbnet_trainer::{Result, Sequential};
//!
//! /// Minimal where a share `tau` of the targets is below the predictions.
//! #[derive(Clone, Debug)]
//! struct Pinball {
//!     tau: f64,
//! }
//!
//! impl Custom for Pinball {
//!     const NAME: &'static str = "shop>Pinball";
//!
//!     fn read(arguments: &Arguments) -> Result<Self> {
//!         let tau = arguments.number("tau", 0.5)?;
//!         Ok(Self { tau })
//!     }
//!
//!     fn config(&self) -> Vec<(&'static str, Value)> {
//!         vec![("tau", json!(self.tau))]
//!     }
//! }
//!
//! impl CustomLoss for Pinball {
//!     fn value(&self, y_true: &[f32], y_pred: &[f32]) -> f32 {
//!         let tau = self.tau as f32;
//!         let pairs = y_true.iter().zip(y_pred);
//!         let losses = pairs.map(|(t, p)| (tau * (t - p)).max((tau - 1.0) * (t - p)));
//!         losses.sum::<f32>() / y_pred.len() as f32
//!     }
//!
//!     fn gradient(&self, y_true: &[f32], y_pred: &[f32], gradient: &mut [f32]) {
//!         let tau = self.tau as f32;
//!         for ((d, t), p) in gradient.iter_mut().zip(y_true).zip(y_pred) {
//!             let slope = if t > p { -tau } else { 1.0 - tau };
//!             *d = slope / y_pred.len() as f32;
//!         }
//!     }
//! }
//!
//! let mut model = Sequential::new();
//! model.add(Input::new([4]))?;
//! model.add(Dense::new(1))?;
//! model.compile("adam", Pinball { tau: 0.9 }, ["mae"])?;
//! # let folder = tempfile::tempdir().expect("a temporary folder");
//! # let file = folder.path().join("model.keras");
//! model.save(&file)?;
//!
//! register_loss::<Pinball>(); // in the program that loads it
//! let model = Sequential::load(&file)?;
//! assert_eq!(model.loss().expect("compiled").name, "pinball");
//! # Ok::<(), thumbnet_trainer::Error>(())
//! ```

mod activation;
mod layer;
mod loss;
mod metric;
mod registry;

use std::fmt::{self, Debug};
use std::ops::Deref;
use std::sync::Arc;

use serde_json::{Map, Value};

pub use activation::{AnyActivation, CustomActivation, register_activation};
pub use layer::{
    AnyLayer, CustomLayer, LayerBackward, LayerForward, LayerGradients, LayerWeight, LayerWeights,
    ScaleOffset, register_layer,
};
pub use loss::{AnyLoss, CustomLoss, register_loss};
pub use metric::{AnyMetric, CustomMetric, register_metric};
pub(crate) use registry::{ACTIVATIONS, LAYERS, LOSSES, METRICS};

use crate::Result;
use crate::keras::{Object, class_name, snake_case};

/// A part of one's own: its name in Keras, and its arguments there and back.
pub trait Custom: Clone + Debug + Send + Sync + 'static {
    /// Keras' registered name, `package>Class`. Anything else does not compile.
    const NAME: &'static str;

    /// From the arguments that a file has, or from none: then what they default to.
    ///
    /// # Errors
    ///
    /// An argument of the wrong type or out of range; [`Arguments`] has messages for both.
    fn read(arguments: &Arguments) -> Result<Self>;

    /// The arguments, as `get_config` of the Keras class adds them to those that every class has.
    /// Defaults to none.
    fn config(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }
}

/// The arguments of a part in a file, by name.
pub struct Arguments<'a>(&'a Object<'a>);

impl<'a> Arguments<'a> {
    /// The value as the file has it; none where it is missing or null.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name)
    }

    /// A number, or the default where it is missing.
    ///
    /// # Errors
    ///
    /// [`Error::Value`](crate::Error::Value) for anything else, as for the other types.
    pub fn number(&self, name: &str, default: f64) -> Result<f64> {
        self.0.number_or(name, default)
    }

    /// A whole number from 0, or the default where it is missing.
    ///
    /// # Errors
    ///
    /// As [`Arguments::number`].
    pub fn whole(&self, name: &str, default: u64) -> Result<u64> {
        self.0.whole_or(name, default)
    }

    /// True or false, or the default where it is missing.
    ///
    /// # Errors
    ///
    /// As [`Arguments::number`].
    pub fn flag(&self, name: &str, default: bool) -> Result<bool> {
        self.0.flag_or(name, default)
    }

    /// A text, or the default where it is missing.
    ///
    /// # Errors
    ///
    /// As [`Arguments::number`].
    pub fn text<'b>(&self, name: &str, default: &'b str) -> Result<&'b str>
    where
        'a: 'b,
    {
        self.0.text_or(name, default)
    }

    /// The error for a value that is not as expected, such as `"a number from 0 to 1"`.
    pub fn error(&self, name: &str, expected: &str) -> crate::Error {
        let found = self.get(name).unwrap_or(&Value::Null);
        self.0.bad(name, found, expected)
    }
}

/// What there is to know of any part.
pub trait AnyPart: Debug + Send + Sync {
    #[doc(hidden)]
    fn registered_name(&self) -> &'static str;
    #[doc(hidden)]
    fn arguments(&self) -> Map<String, Value>;
}

impl<T: Custom> AnyPart for T {
    fn registered_name(&self) -> &'static str {
        T::NAME
    }

    fn arguments(&self) -> Map<String, Value> {
        let entries = self.config().into_iter();
        entries
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }
}

/// A part in a model. Two are the same when their names and arguments are.
pub struct Own<T: ?Sized>(pub(crate) Arc<T>);

impl<T: ?Sized> Clone for Own<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: ?Sized> Deref for Own<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized + AnyPart> Debug for Own<T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: ?Sized + AnyPart> PartialEq for Own<T> {
    fn eq(&self, other: &Self) -> bool {
        self.registered_name() == other.registered_name() && self.arguments() == other.arguments()
    }
}

impl<T: ?Sized + AnyPart> Own<T> {
    /// The class without its package.
    pub(crate) fn class_name(&self) -> &'static str {
        class_name(self.registered_name())
    }

    /// The name that Keras gives an object of the class.
    pub(crate) fn default_name(&self) -> String {
        snake_case(self.class_name())
    }
}
