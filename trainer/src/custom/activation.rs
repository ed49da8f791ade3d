//! Activations of one's own.

use std::sync::Arc;

use super::registry::is_registered_name;
use super::{ACTIVATIONS, AnyPart, Custom, Own};

/// An activation of one's own, of each value alone. As a function in Keras it has no arguments.
///
/// It is computed in f64 and rounded to f32 once.
pub trait CustomActivation: Custom {
    /// The function.
    fn value(&self, x: f64) -> f64;

    /// Its derivative by `x`.
    fn slope(&self, x: f64) -> f64;
}

/// [`CustomActivation`] of any type.
pub trait AnyActivation: AnyPart {
    #[doc(hidden)]
    fn at(&self, x: f64) -> f64;
    #[doc(hidden)]
    fn slope_at(&self, x: f64) -> f64;
}

impl<T: CustomActivation> AnyActivation for T {
    fn at(&self, x: f64) -> f64 {
        self.value(x)
    }

    fn slope_at(&self, x: f64) -> f64 {
        self.slope(x)
    }
}

/// Lets files be read that hold this activation. Using it in a model does so, too.
pub fn register_activation<T: CustomActivation>() {
    const { assert!(is_registered_name(T::NAME), "NAME is not package>function") };
    ACTIVATIONS.register(T::NAME, |arguments| {
        T::read(arguments).map(|function| Own(Arc::new(function) as Arc<dyn AnyActivation>))
    });
}
