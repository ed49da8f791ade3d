//! Losses of one's own.

use std::sync::Arc;

use super::registry::is_registered_name;
use super::{AnyPart, Custom, LOSSES, Own};

/// A loss of one's own, row by row; [`Loss`](crate::losses::Loss) weighs the rows and sums them up.
///
/// Its Keras class is a `keras.losses.Loss` whose `call` gives one value per row.
pub trait CustomLoss: Custom {
    /// The loss of one row.
    ///
    /// # Shapes
    ///
    /// * `y_true` - `[width]`; `[1]` with [`CustomLoss::takes_classes`]
    /// * `y_pred` - `[width]`
    fn value(&self, y_true: &[f32], y_pred: &[f32]) -> f32;

    /// The derivative of [`CustomLoss::value`] by each prediction, written to `gradient`, `[width]`.
    fn gradient(&self, y_true: &[f32], y_pred: &[f32], gradient: &mut [f32]);

    /// Whether targets are class indices, one per row. Defaults to false: they are as wide as
    /// predictions.
    fn takes_classes(&self) -> bool {
        false
    }
}

/// [`CustomLoss`] of any type.
pub trait AnyLoss: AnyPart {
    #[doc(hidden)]
    fn row_value(&self, y_true: &[f32], y_pred: &[f32]) -> f32;
    #[doc(hidden)]
    fn row_gradient(&self, y_true: &[f32], y_pred: &[f32], gradient: &mut [f32]);
    #[doc(hidden)]
    fn classes(&self) -> bool;
}

impl<T: CustomLoss> AnyLoss for T {
    fn row_value(&self, y_true: &[f32], y_pred: &[f32]) -> f32 {
        self.value(y_true, y_pred)
    }

    fn row_gradient(&self, y_true: &[f32], y_pred: &[f32], gradient: &mut [f32]) {
        self.gradient(y_true, y_pred, gradient);
    }

    fn classes(&self) -> bool {
        self.takes_classes()
    }
}

/// Lets files be read that hold this loss. Using it in a model does so, too.
pub fn register_loss<T: CustomLoss>() {
    const { assert!(is_registered_name(T::NAME), "NAME is not package>Class") };
    LOSSES.register(T::NAME, |arguments| {
        T::read(arguments).map(|loss| Own(Arc::new(loss) as Arc<dyn AnyLoss>))
    });
}
