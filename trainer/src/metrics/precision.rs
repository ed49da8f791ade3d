//! Counts at thresholds, and what is a ratio of two counts: precision and recall.

use serde_json::{Map, Value, json};

use super::confusion::{Confusion, NEGATIVE_INFINITY, Selection};
use super::{Accumulate, check_class_id, divide_no_nan, fits};
use crate::error::{Error, Result};
use crate::keras::Object;
use crate::losses::{Batch, Wanted};
use crate::variable::NamedArray;

/// Which count or ratio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    TruePositives,
    TrueNegatives,
    FalsePositives,
    FalseNegatives,
    Precision,
    Recall,
}

/// A count or ratio per threshold.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    count: Count,
    /// `thresholds` as given: null, a number or a list.
    thresholds: Value,
    top_k: Option<usize>,
    class_id: Option<usize>,
    confusion: Confusion,
}

impl Counted {
    /// From a config: `thresholds` (default 0.5), and for ratios `top_k` and `class_id`.
    pub(super) fn read(count: Count, options: &Object) -> Result<Self> {
        let ratio = matches!(count, Count::Precision | Count::Recall);
        let top_k = if ratio {
            options.count("top_k", 1)?
        } else {
            None
        };
        let class_id = if ratio {
            options.count("class_id", 0)?
        } else {
            None
        };
        let given = options.get("thresholds").cloned().unwrap_or(Value::Null);
        let thresholds = match &given {
            Value::Null if top_k.is_some() => vec![f64::from(NEGATIVE_INFINITY)],
            Value::Null => vec![0.5],
            given => thresholds(given, &options.owner())?,
        };
        Ok(Self {
            count,
            thresholds: given,
            top_k,
            class_id,
            confusion: Confusion::new(&thresholds),
        })
    }
}

/// A number or a list of numbers, each from 0 to 1.
pub(super) fn thresholds(given: &Value, owner: &str) -> Result<Vec<f64>> {
    let list = match given {
        Value::Array(list) => list.iter().map(Value::as_f64).collect(),
        one => vec![one.as_f64()],
    };
    let valid = |t: Option<f64>| t.filter(|t| (0.0..=1.0).contains(t));
    let valid: Option<Vec<_>> = list.into_iter().map(valid).collect();
    valid.filter(|list| !list.is_empty()).ok_or_else(|| {
        Error::value(format!(
            "{owner} has thresholds {given}, expected a number from 0 to 1 or a list of them"
        ))
    })
}

impl Accumulate for Counted {
    fn update(&mut self, batch: &Batch, weights: Option<&[f32]>) {
        let select = Selection {
            top_k: self.top_k,
            class_id: self.class_id,
            ..Selection::default()
        };
        self.confusion.update(batch, weights, select);
    }

    fn results(&self) -> Vec<f32> {
        let c = &self.confusion;
        let ratio = |others: &[f32]| {
            let pairs = c.true_positives.iter().zip(others);
            pairs
                .map(|(&tp, &other)| divide_no_nan(tp, tp + other))
                .collect()
        };
        match self.count {
            Count::TruePositives => c.true_positives.clone(),
            Count::TrueNegatives => c.true_negatives.clone(),
            Count::FalsePositives => c.false_positives.clone(),
            Count::FalseNegatives => c.false_negatives.clone(),
            Count::Precision => ratio(&c.false_positives),
            Count::Recall => ratio(&c.false_negatives),
        }
    }

    fn is_vector(&self) -> bool {
        self.confusion.thresholds() > 1
    }

    fn variables(&self) -> Vec<NamedArray> {
        let c = &self.confusion;
        let named = |name: &str, counts: &[f32]| c.variable(name, counts, false);
        match self.count {
            Count::TruePositives => vec![named("accumulator", &c.true_positives)],
            Count::TrueNegatives => vec![named("accumulator", &c.true_negatives)],
            Count::FalsePositives => vec![named("accumulator", &c.false_positives)],
            Count::FalseNegatives => vec![named("accumulator", &c.false_negatives)],
            Count::Precision => vec![
                named("true_positives", &c.true_positives),
                named("false_positives", &c.false_positives),
            ],
            Count::Recall => vec![
                named("true_positives", &c.true_positives),
                named("false_negatives", &c.false_negatives),
            ],
        }
    }

    fn reset(&mut self) {
        self.confusion.reset();
    }

    fn check(&self, metric: &str, y_true_width: usize, width: usize) -> Result<()> {
        if let Some(top_k) = self.top_k.filter(|&top_k| top_k > width) {
            return Err(Error::shape(format!(
                "metric {metric:?} has top_k {top_k}, expected at most {width} for an output of {width} units"
            )));
        }
        check_class_id(metric, self.class_id, width)?;
        fits(metric, Wanted::SameWidth, y_true_width, width)
    }

    fn options(&self) -> Map<String, Value> {
        let mut options = Map::new();
        options.insert("thresholds".into(), self.thresholds.clone());
        if matches!(self.count, Count::Precision | Count::Recall) {
            options.insert("top_k".into(), json!(self.top_k));
            options.insert("class_id".into(), json!(self.class_id));
        }
        options
    }
}
