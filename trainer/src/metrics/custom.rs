//! A metric of one's own among Keras' metrics.

use serde_json::{Map, Value, json};

use super::{Accumulate, Metric, fits, weight};
use crate::Result;
use crate::custom::{AnyMetric, CustomMetric, METRICS, register_metric};
use crate::keras::{Object, class_name, snake_case};
use crate::losses::{Batch, Wanted};
use crate::variable::NamedArray;

/// What it has seen is in it.
#[derive(Clone, Debug)]
pub(super) struct Own(Box<dyn AnyMetric>);

impl Accumulate for Own {
    fn update(&mut self, batch: &Batch, weights: Option<&[f32]>) {
        for (i, (t, p)) in batch.pairs().enumerate() {
            self.0.take(t, p, weight(weights, i));
        }
    }

    fn results(&self) -> Vec<f32> {
        vec![self.0.value()]
    }

    fn variables(&self) -> Vec<NamedArray> {
        Vec::new()
    }

    fn reset(&mut self) {
        self.0.forget();
    }

    fn options(&self) -> Map<String, Value> {
        self.0.arguments()
    }

    fn check(&self, metric: &str, y_true_width: usize, width: usize) -> Result<()> {
        let wanted = match self.0.classes() {
            true => Wanted::Index,
            false => Wanted::SameWidth,
        };
        fits(metric, wanted, y_true_width, width)
    }

    fn registered_name(&self) -> Option<&'static str> {
        Some(self.0.registered_name())
    }
}

impl Metric {
    /// The metric of this registered name, as it calls itself.
    pub(super) fn read_own(name: &str, options: &Object) -> Result<Self> {
        Ok(Self::of_own(METRICS.read(name, options)?))
    }

    fn of_own(metric: Box<dyn AnyMetric>) -> Self {
        let class_name = class_name(metric.registered_name());
        Self {
            name: snake_case(class_name),
            identifier: None,
            class_name,
            is_upwards: None,
            seen: Box::new(Own(metric)),
        }
    }
}

impl<T: CustomMetric> From<T> for Metric {
    fn from(metric: T) -> Self {
        register_metric::<T>();
        Self::of_own(Box::new(metric))
    }
}

/// As [`CompileOptions::metrics`](crate::sequential::CompileOptions::metrics) takes it.
impl From<Metric> for Value {
    fn from(metric: Metric) -> Self {
        json!(metric.config())
    }
}
