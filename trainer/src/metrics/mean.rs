//! Metrics that are the weighted mean of a per-sample value.

use std::fmt::Debug;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Accumulate, divide_no_nan, fits, total, weight};
use crate::Result;
use crate::losses::{Batch, LossKind, MeanSquaredError, Wanted, similarity};
use crate::variable::NamedArray;

/// What the mean is of.
pub(super) trait Function: Debug + Send + Sync {
    /// The value of every row.
    fn values(&self, batch: &Batch, out: &mut [f32]);
    /// The result of the mean.
    fn result(&self, mean: f32) -> f32 {
        mean
    }
    /// The options in Keras' config.
    fn options(&self) -> Map<String, Value> {
        Map::new()
    }
    /// What targets there have to be for predictions of some width; none for any.
    fn wanted(&self, y_true_width: usize, width: usize) -> Option<Wanted>;
    /// The loss that it is.
    fn loss(&self) -> Option<&LossKind> {
        None
    }
}

/// A loss function.
impl Function for LossKind {
    fn values(&self, batch: &Batch, out: &mut [f32]) {
        self.per_sample(batch, out);
    }

    fn options(&self) -> Map<String, Value> {
        let mut options = self.function().metric_options();
        if self.function().metric_class().is_none() {
            options.shift_insert(0, "fn".to_owned(), function(self.function_name()));
        }
        options
    }

    fn wanted(&self, y_true_width: usize, width: usize) -> Option<Wanted> {
        Some(self.resolved(y_true_width, width).function().wanted())
    }

    fn loss(&self) -> Option<&LossKind> {
        Some(self)
    }
}

/// The squared error, whose mean's root is the result.
#[derive(Debug)]
pub(super) struct RootMeanSquaredError;

impl Function for RootMeanSquaredError {
    fn values(&self, batch: &Batch, out: &mut [f32]) {
        LossKind::from(MeanSquaredError).per_sample(batch, out);
    }

    fn result(&self, mean: f32) -> f32 {
        mean.sqrt()
    }

    fn wanted(&self, _y_true_width: usize, _width: usize) -> Option<Wanted> {
        Some(Wanted::Elementwise)
    }
}

/// The cosine itself, where the loss is its negative.
#[derive(Debug)]
pub(super) struct CosineSimilarity;

impl Function for CosineSimilarity {
    fn values(&self, batch: &Batch, out: &mut [f32]) {
        batch.by_row(out, similarity::cosine);
    }

    fn wanted(&self, _y_true_width: usize, _width: usize) -> Option<Wanted> {
        Some(Wanted::Elementwise)
    }
}

/// `total / count`, both kept in f32 as Keras keeps them.
#[derive(Clone, Debug)]
pub(super) struct Mean {
    function: Arc<dyn Function>,
    total: f32,
    count: f32,
    /// Values of the current batch.
    values: Vec<f32>,
    /// Whether targets of `[rows]` meet predictions of `[rows, 1]`, see [`Mean::crosses`].
    flat_targets: bool,
    /// One prediction, once per target.
    repeated: Vec<f32>,
}

impl Mean {
    pub(super) fn new(function: impl Function + 'static) -> Self {
        Self {
            function: Arc::new(function),
            total: 0.0,
            count: 0.0,
            values: Vec::new(),
            flat_targets: false,
            repeated: Vec::new(),
        }
    }

    /// Whether every prediction is compared with every target of the batch.
    fn crosses(&self, batch: &Batch) -> bool {
        let crosses = |loss: &LossKind| loss.function().crosses();
        self.flat_targets && batch.width == 1 && self.function.loss().is_some_and(crosses)
    }

    fn compute(&mut self, batch: &Batch) {
        let rows = batch.rows();
        self.values.resize(rows, 0.0);
        if !self.crosses(batch) {
            return self.function.values(batch, &mut self.values);
        }
        self.repeated.resize(rows, 0.0);
        for (value, &prediction) in self.values.iter_mut().zip(batch.y_pred) {
            self.repeated.fill(prediction);
            let crossed = Batch::new(batch.y_true, rows, &self.repeated, rows);
            self.function.values(&crossed, std::slice::from_mut(value));
        }
    }
}

impl Accumulate for Mean {
    fn update(&mut self, batch: &Batch, weights: Option<&[f32]>) {
        self.compute(batch);
        if weights.is_none() {
            // Masked rows count here, with their value 0: only weights carry a mask in Keras.
            self.total += total(self.values.iter().copied());
            self.count += self.values.len() as f32;
            return;
        }
        let mask = self.function.loss().map(LossKind::function);
        let mask = mask.filter(|loss| loss.masks());
        let weighted = self.values.iter().enumerate().map(|(i, &value)| {
            let counts = mask.is_none_or(|loss| loss.counts(batch, i, value));
            let weight = if counts { weight(weights, i) } else { 0.0 };
            [value * weight, weight]
        });
        let sums = weighted.fold([0f64; 2], |sums, [value, weight]| {
            [sums[0] + f64::from(value), sums[1] + f64::from(weight)]
        });
        self.total += sums[0] as f32;
        self.count += sums[1] as f32;
    }

    fn result(&self) -> f32 {
        self.function.result(divide_no_nan(self.total, self.count))
    }

    fn results(&self) -> Vec<f32> {
        vec![self.result()]
    }

    fn variables(&self) -> Vec<NamedArray> {
        vec![
            NamedArray::f32("total", &[], vec![self.total]),
            NamedArray::f32("count", &[], vec![self.count]),
        ]
    }

    fn reset(&mut self) {
        self.total = 0.0;
        self.count = 0.0;
    }

    fn options(&self) -> Map<String, Value> {
        self.function.options()
    }

    fn check(&self, metric: &str, y_true_width: usize, width: usize) -> Result<()> {
        match self.function.wanted(y_true_width, width) {
            Some(wanted) => fits(metric, wanted, y_true_width, width),
            None => Ok(()),
        }
    }

    fn take_flat_targets(&mut self) {
        self.flat_targets = true;
    }
}

/// A function as Keras 3 serializes it.
fn function(name: &str) -> Value {
    json!({
        "module": "builtins",
        "class_name": "function",
        "config": name,
        "registered_name": "function",
    })
}
