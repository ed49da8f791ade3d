//! Metrics with the names, defaults and running state of `keras.metrics`.
//!
//! A metric is fed batch by batch and read at any time; its result is that of all rows since the
//! last [`Metric::reset`], not a mean of batch means.
//!
//! ```
//! use thumbnet_trainer::losses::Batch;
//! use thumbnet_trainer::metrics::Metric;
//!
//! let mut metric: Metric = "binary_accuracy".parse()?;
//! metric.update(&Batch::new(&[1.0, 0.0, 1.0], 1, &[0.9, 0.5, 0.4], 1), None);
//! assert_eq!(metric.result(), 2.0 / 3.0);
//! # Ok::<(), thumbnet_trainer::Error>(())
//! ```

mod accuracy;
mod auc;
mod classes;
mod confusion;
mod constrained;
mod correlation;
mod custom;
mod f_score;
mod iou;
mod mean;
mod precision;
mod r2;

use std::fmt::Debug;

use serde_json::{Map, Value};

use crate::history::LogValue;
use crate::losses::{Batch, Wanted};
use crate::variable::NamedArray;
use crate::{Error, Result};

/// A metric with its options and what it has seen since its last reset.
#[derive(Clone, Debug)]
pub struct Metric {
    name: String,
    /// The string that the metric was made from, if it was: Keras saves it in place of a config.
    identifier: Option<String>,
    class_name: &'static str,
    is_upwards: Option<bool>,
    seen: Box<dyn Accumulate>,
}

/// What a metric does with its batches.
trait Accumulate: Boxed + Debug + Send + Sync {
    /// Takes a batch in; `weights` has one entry per row.
    fn update(&mut self, batch: &Batch, weights: Option<&[f32]>);
    /// One value, or one per class or threshold.
    fn results(&self) -> Vec<f32>;
    /// The one value, or the mean of several.
    fn result(&self) -> f32 {
        let results = self.results();
        results.iter().sum::<f32>() / results.len().max(1) as f32
    }
    /// Whether the result is a vector, of one value as it may be.
    fn is_vector(&self) -> bool {
        false
    }
    /// The state variables in Keras' order, with Keras' names.
    fn variables(&self) -> Vec<NamedArray>;
    /// Forgets everything seen.
    fn reset(&mut self);
    /// The options after `name` and `dtype` in Keras' config.
    fn options(&self) -> Map<String, Value>;
    /// Whether targets of that width can be compared with predictions of this one; `metric` is its
    /// name.
    fn check(&self, metric: &str, y_true_width: usize, width: usize) -> Result<()> {
        fits(metric, Wanted::SameWidth, y_true_width, width)
    }
    /// Keras' registered name, of one's own.
    fn registered_name(&self) -> Option<&'static str> {
        None
    }
    /// See [`Metric::take_flat_targets`].
    fn take_flat_targets(&mut self) {}
    /// See [`Metric::sum_exactly`].
    fn sum_exactly(&mut self) {}
}

/// A copy of something whose type is not known.
trait Boxed {
    fn boxed(&self) -> Box<dyn Accumulate>;
}

impl<T: Accumulate + Clone + 'static> Boxed for T {
    fn boxed(&self) -> Box<dyn Accumulate> {
        Box::new(self.clone())
    }
}

impl Clone for Box<dyn Accumulate> {
    fn clone(&self) -> Self {
        (**self).boxed()
    }
}

/// The error where targets do not fit.
fn fits(metric: &str, wanted: Wanted, y_true_width: usize, width: usize) -> Result<()> {
    wanted.check(y_true_width, width).map_err(|expected| {
        Error::shape(format!(
            "metric {metric:?} got targets of {y_true_width} columns for predictions of {width}, expected {expected}"
        ))
    })
}

/// Refuses a class that no output is of.
fn check_class_id(metric: &str, class_id: Option<usize>, width: usize) -> Result<()> {
    match class_id.filter(|&class| class >= width) {
        Some(class_id) => Err(Error::shape(format!(
            "metric {metric:?} has class_id {class_id}, expected 0 to {} for an output of {width} units",
            width.saturating_sub(1)
        ))),
        None => Ok(()),
    }
}

impl Metric {
    /// The name in logs and history: the string it was made from, or the config's `name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Keras' class, such as `BinaryAccuracy`.
    pub fn class_name(&self) -> &'static str {
        self.class_name
    }

    /// Whether a larger value is better; none when Keras does not say.
    pub(crate) fn is_upwards(&self) -> Option<bool> {
        self.is_upwards
    }

    /// Says that targets come as `[rows]` for predictions of `[rows, 1]`. `Hinge`, `SquaredHinge`,
    /// `CategoricalHinge`, `KLDivergence` and `Poisson` then compare every prediction with every
    /// target, as they do in Keras; no other metric minds.
    pub fn take_flat_targets(&mut self) {
        self.seen.take_flat_targets();
    }

    /// Takes a batch in.
    ///
    /// Give the batch its logits ([`Batch::with_logits`]) when the model ends in a sigmoid or a
    /// softmax: crossentropies use them, as TensorFlow-backed Keras does, others ignore them.
    /// `weights` (`[rows]`) are for `weighted_metrics`; plain metrics get `None`.
    pub fn update(&mut self, batch: &Batch, weights: Option<&[f32]>) {
        self.seen.update(batch, weights);
    }

    /// The result so far; of a metric with several, their mean.
    pub fn result(&self) -> f32 {
        self.seen.result()
    }

    /// The result so far: one value, or one per class (F scores without `average`, R² without
    /// `class_aggregation`) or per threshold.
    pub fn results(&self) -> Vec<f32> {
        self.seen.results()
    }

    /// The result so far as Keras logs it: a number, or a vector for a metric that has one per class
    /// (F scores without `average`, R² without `class_aggregation`) or per threshold.
    pub fn value(&self) -> LogValue {
        if self.seen.is_vector() {
            LogValue::Numbers(self.results().into_iter().map(f64::from).collect())
        } else {
            LogValue::Number(f64::from(self.result()))
        }
    }

    /// Has R² summed without Keras' loss of digits: Keras takes squares of the targets, not of their
    /// distances from the mean, and sums them in f32, so that a score may be above 1 where the mean
    /// is large beside the spread. No other metric minds, and the state variables stay empty.
    pub fn sum_exactly(&mut self) {
        self.seen.sum_exactly();
    }

    /// The state as Keras' variables: names, shapes and order.
    pub fn variables(&self) -> Vec<NamedArray> {
        self.seen.variables()
    }

    /// Forgets everything seen, as at the start of an epoch.
    pub fn reset(&mut self) {
        self.seen.reset();
    }
}

/// Sum as TensorFlow's reductions come close to: exact, then rounded once.
fn total(values: impl Iterator<Item = f32>) -> f32 {
    values.map(f64::from).sum::<f64>() as f32
}

/// `a / b`, 0 where `b` is 0.
fn divide_no_nan(a: f32, b: f32) -> f32 {
    if b == 0.0 { 0.0 } else { a / b }
}

/// Weight of row `i`.
fn weight(weights: Option<&[f32]>, i: usize) -> f32 {
    weights.map_or(1.0, |weights| weights.get(i).copied().unwrap_or(0.0))
}
