//! Metrics of one's own.

use super::registry::is_registered_name;
use super::{AnyPart, Custom, METRICS};

/// A metric of one's own: fed row by row, read at any time. What it has seen is in its own fields.
///
/// Its Keras class is a `keras.metrics.Metric`.
pub trait CustomMetric: Custom {
    /// Takes a row in.
    ///
    /// # Shapes
    ///
    /// * `y_true` - `[width]`; `[1]` with [`CustomMetric::takes_classes`]
    /// * `y_pred` - `[width]`
    /// * `weight` - 1, or among `weighted_metrics` the sample's
    fn update(&mut self, y_true: &[f32], y_pred: &[f32], weight: f32);

    /// The result of all rows since the last reset.
    fn result(&self) -> f32;

    /// Forgets all rows.
    fn reset(&mut self);

    /// Whether targets are class indices, one per row. Defaults to false: they are as wide as
    /// predictions.
    fn takes_classes(&self) -> bool {
        false
    }
}

/// [`CustomMetric`] of any type.
pub trait AnyMetric: AnyPart {
    #[doc(hidden)]
    fn take(&mut self, y_true: &[f32], y_pred: &[f32], weight: f32);
    #[doc(hidden)]
    fn value(&self) -> f32;
    #[doc(hidden)]
    fn forget(&mut self);
    #[doc(hidden)]
    fn classes(&self) -> bool;
    #[doc(hidden)]
    fn boxed(&self) -> Box<dyn AnyMetric>;
}

impl<T: CustomMetric> AnyMetric for T {
    fn take(&mut self, y_true: &[f32], y_pred: &[f32], weight: f32) {
        self.update(y_true, y_pred, weight);
    }

    fn value(&self) -> f32 {
        self.result()
    }

    fn forget(&mut self) {
        self.reset();
    }

    fn classes(&self) -> bool {
        self.takes_classes()
    }

    fn boxed(&self) -> Box<dyn AnyMetric> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn AnyMetric> {
    fn clone(&self) -> Self {
        (**self).boxed()
    }
}

/// Lets files be read that hold this metric. Using it in a model does so, too.
pub fn register_metric<T: CustomMetric>() {
    const { assert!(is_registered_name(T::NAME), "NAME is not package>Class") };
    METRICS.register(T::NAME, |arguments| {
        T::read(arguments).map(|metric| Box::new(metric) as Box<dyn AnyMetric>)
    });
}
