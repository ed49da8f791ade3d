//! Metrics that are the weighted mean of a per-sample value.

use serde_json::{Map, Value, json};

use super::{Accumulate, accuracy, correlation, divide_no_nan, total, weight};
use crate::losses::{Batch, LossKind, similarity};
use crate::variable::NamedArray;

/// What the mean is of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Function {
    /// A loss function.
    Loss(LossKind),
    /// The squared error, whose mean's root is the result.
    RootMeanSquaredError,
    CosineSimilarity,
    PearsonCorrelation,
    ConcordanceCorrelation,
    Accuracy,
    BinaryAccuracy {
        threshold: f64,
    },
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    TopKCategoricalAccuracy {
        k: usize,
    },
    SparseTopKCategoricalAccuracy {
        k: usize,
        from_sorted_ids: bool,
    },
}

/// `total / count`, both kept in f32 as Keras keeps them.
#[derive(Clone, Debug)]
pub(super) struct Mean {
    pub(super) function: Function,
    total: f32,
    count: f32,
    /// Values of the current batch.
    values: Vec<f32>,
    /// Whether targets of `[rows]` meet predictions of `[rows, 1]`, see [`Mean::crosses`].
    pub(super) flat_targets: bool,
    /// One prediction, once per target.
    repeated: Vec<f32>,
}

impl Mean {
    pub(super) fn new(function: Function) -> Self {
        Self {
            function,
            total: 0.0,
            count: 0.0,
            values: Vec::new(),
            flat_targets: false,
            repeated: Vec::new(),
        }
    }

    /// Whether every prediction is compared with every target of the batch. Keras lines up the
    /// axes of `[rows]` and `[rows, 1]` in some functions; these it leaves to broadcasting.
    fn crosses(&self, batch: &Batch) -> Option<LossKind> {
        match &self.function {
            Function::Loss(
                kind @ (LossKind::Hinge
                | LossKind::SquaredHinge
                | LossKind::CategoricalHinge
                | LossKind::KLDivergence
                | LossKind::Poisson),
            ) if self.flat_targets && batch.width == 1 => Some(kind.clone()),
            _ => None,
        }
    }

    fn compute_crossed(&mut self, kind: &LossKind, batch: &Batch) {
        let rows = batch.rows();
        self.values.resize(rows, 0.0);
        self.repeated.resize(rows, 0.0);
        for (value, &prediction) in self.values.iter_mut().zip(batch.y_pred) {
            self.repeated.fill(prediction);
            let crossed = Batch::new(batch.y_true, rows, &self.repeated, rows);
            kind.per_sample(&crossed, std::slice::from_mut(value));
        }
    }

    pub(super) fn result(&self) -> f32 {
        let mean = divide_no_nan(self.total, self.count);
        match self.function {
            Function::RootMeanSquaredError => mean.sqrt(),
            _ => mean,
        }
    }

    fn compute(&mut self, batch: &Batch) {
        if let Some(kind) = self.crosses(batch) {
            return self.compute_crossed(&kind, batch);
        }
        self.values.resize(batch.rows(), 0.0);
        let out = &mut self.values[..];
        let mut by_row = |f: fn(&[f32], &[f32]) -> f32| {
            for (out, (t, p)) in out.iter_mut().zip(batch.pairs()) {
                *out = f(t, p);
            }
        };
        match &self.function {
            Function::Loss(kind) => kind.per_sample(batch, out),
            Function::RootMeanSquaredError => LossKind::MeanSquaredError.per_sample(batch, out),
            Function::CosineSimilarity => by_row(similarity::cosine),
            Function::PearsonCorrelation => by_row(correlation::pearson),
            Function::ConcordanceCorrelation => by_row(correlation::concordance),
            Function::Accuracy => accuracy::equal(batch, out),
            Function::BinaryAccuracy { threshold } => {
                accuracy::binary(batch, *threshold as f32, out);
            }
            Function::CategoricalAccuracy => accuracy::categorical(batch, out),
            Function::SparseCategoricalAccuracy => accuracy::sparse_categorical(batch, out),
            Function::TopKCategoricalAccuracy { k } => accuracy::top_k(batch, *k, out),
            Function::SparseTopKCategoricalAccuracy { k, from_sorted_ids } => {
                accuracy::sparse_top_k(batch, *k, *from_sorted_ids, out);
            }
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
        let mask = match &self.function {
            Function::Loss(kind) if kind.masks() => Some(kind),
            _ => None,
        };
        let weighted = self.values.iter().enumerate().map(|(i, &value)| {
            let counts = mask.is_none_or(|kind| kind.counts(batch, i, value));
            let weight = if counts { weight(weights, i) } else { 0.0 };
            [value * weight, weight]
        });
        let sums = weighted.fold([0f64; 2], |sums, [value, weight]| {
            [sums[0] + f64::from(value), sums[1] + f64::from(weight)]
        });
        self.total += sums[0] as f32;
        self.count += sums[1] as f32;
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

    fn class_name(&self) -> &'static str {
        match &self.function {
            Function::Loss(LossKind::LogCosh) => "LogCoshError",
            Function::Loss(kind) if has_class(kind) => kind.class_name(),
            Function::Loss(_) => "MeanMetricWrapper",
            Function::RootMeanSquaredError => "RootMeanSquaredError",
            Function::CosineSimilarity => "CosineSimilarity",
            Function::PearsonCorrelation => "PearsonCorrelation",
            Function::ConcordanceCorrelation => "ConcordanceCorrelation",
            Function::Accuracy => "Accuracy",
            Function::BinaryAccuracy { .. } => "BinaryAccuracy",
            Function::CategoricalAccuracy => "CategoricalAccuracy",
            Function::SparseCategoricalAccuracy => "SparseCategoricalAccuracy",
            Function::TopKCategoricalAccuracy { .. } => "TopKCategoricalAccuracy",
            Function::SparseTopKCategoricalAccuracy { .. } => "SparseTopKCategoricalAccuracy",
        }
    }

    fn options(&self) -> Map<String, Value> {
        let mut options = Map::new();
        let mut put = |key: &str, value: Value| {
            options.insert(key.to_owned(), value);
        };
        match &self.function {
            Function::Loss(kind) => {
                if !has_class(kind) {
                    put("fn", function(kind.function_name()));
                }
                for (key, value) in kind.options() {
                    // Keras' BinaryCrossentropy metric has no axis, the sparse one has.
                    if key != "axis" || !matches!(kind, LossKind::BinaryCrossentropy { .. }) {
                        put(&key, value);
                    }
                }
                if let LossKind::SparseCategoricalCrossentropy { .. } = kind {
                    put("axis", json!(-1));
                }
            }
            Function::PearsonCorrelation | Function::ConcordanceCorrelation => {
                put("axis", json!(-1));
            }
            Function::BinaryAccuracy { threshold } => put("threshold", json!(threshold)),
            Function::TopKCategoricalAccuracy { k } => put("k", json!(k)),
            Function::SparseTopKCategoricalAccuracy { k, from_sorted_ids } => {
                put("k", json!(k));
                if *from_sorted_ids {
                    put("from_sorted_ids", json!(true));
                }
            }
            _ => {}
        }
        options
    }
}

/// Whether `keras.metrics` has a class for the loss function.
fn has_class(kind: &LossKind) -> bool {
    matches!(
        kind,
        LossKind::MeanSquaredError
            | LossKind::MeanAbsoluteError
            | LossKind::MeanAbsolutePercentageError
            | LossKind::MeanSquaredLogarithmicError
            | LossKind::LogCosh
            | LossKind::Hinge
            | LossKind::SquaredHinge
            | LossKind::CategoricalHinge
            | LossKind::KLDivergence
            | LossKind::Poisson
            | LossKind::BinaryCrossentropy { .. }
            | LossKind::CategoricalCrossentropy { .. }
            | LossKind::SparseCategoricalCrossentropy { .. }
    )
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
