//! The best value of one ratio where another is at least a given value.

use serde_json::{Map, Value, json};

use super::confusion::{Confusion, Selection};
use super::{Accumulate, check_class_id, divide_no_nan, fits};
use crate::error::{Error, Result};
use crate::keras::Object;
use crate::losses::{Batch, Wanted};
use crate::variable::NamedArray;

/// Which ratio, under which constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Constraint {
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    PrecisionAtRecall,
    RecallAtPrecision,
}

impl Constraint {
    fn key(self) -> &'static str {
        match self {
            Self::SensitivityAtSpecificity => "specificity",
            Self::SpecificityAtSensitivity => "sensitivity",
            Self::PrecisionAtRecall => "recall",
            Self::RecallAtPrecision => "precision",
        }
    }
}

/// A ratio at the best of `num_thresholds` (default 200) evenly spaced thresholds.
#[derive(Clone, Debug)]
pub(super) struct Constrained {
    constraint: Constraint,
    value: f64,
    num_thresholds: usize,
    class_id: Option<usize>,
    confusion: Confusion,
}

impl Constrained {
    pub(super) fn read(constraint: Constraint, options: &Object) -> Result<Self> {
        let key = constraint.key();
        if options.get(key).is_none() {
            return Err(Error::value(format!(
                "{} has no {key}, expected a number from 0 to 1; give it as {{\"class_name\": .., \"config\": {{\"{key}\": 0.5}}}}",
                options.owner()
            )));
        }
        let num_thresholds = options.count_or("num_thresholds", 1, 200)?;
        let confusion = if num_thresholds == 1 {
            Confusion::with_spacing(&[0.5], None)
        } else {
            let step = |i| i as f64 / (num_thresholds - 1) as f64;
            let thresholds: Vec<_> = (0..num_thresholds).map(step).collect();
            Confusion::with_spacing(&thresholds, Some(false))
        };
        Ok(Self {
            constraint,
            value: options.fraction_or(key, 0.0)?,
            num_thresholds,
            class_id: options.count("class_id", 0)?,
            confusion,
        })
    }
}

impl Accumulate for Constrained {
    fn update(&mut self, batch: &Batch, weights: Option<&[f32]>) {
        let select = Selection {
            class_id: self.class_id,
            ..Selection::default()
        };
        self.confusion.update(batch, weights, select);
    }

    fn results(&self) -> Vec<f32> {
        let c = &self.confusion;
        let value = self.value as f32;
        let best = (0..c.true_positives.len()).filter_map(|i| {
            let sensitivity = divide_no_nan(
                c.true_positives[i],
                c.true_positives[i] + c.false_negatives[i],
            );
            let specificity = divide_no_nan(
                c.true_negatives[i],
                c.true_negatives[i] + c.false_positives[i],
            );
            let precision = divide_no_nan(
                c.true_positives[i],
                c.true_positives[i] + c.false_positives[i],
            );
            let (constrained, wanted) = match self.constraint {
                Constraint::SensitivityAtSpecificity => (specificity, sensitivity),
                Constraint::SpecificityAtSensitivity => (sensitivity, specificity),
                Constraint::PrecisionAtRecall => (sensitivity, precision),
                Constraint::RecallAtPrecision => (precision, sensitivity),
            };
            (constrained >= value).then_some(wanted)
        });
        vec![best.fold(0.0, f32::max)]
    }

    fn variables(&self) -> Vec<NamedArray> {
        let c = &self.confusion;
        vec![
            c.variable("true_positives", &c.true_positives, false),
            c.variable("false_positives", &c.false_positives, false),
            c.variable("true_negatives", &c.true_negatives, false),
            c.variable("false_negatives", &c.false_negatives, false),
        ]
    }

    fn reset(&mut self) {
        self.confusion.reset();
    }

    fn check(&self, metric: &str, y_true_width: usize, width: usize) -> Result<()> {
        check_class_id(metric, self.class_id, width)?;
        fits(metric, Wanted::SameWidth, y_true_width, width)
    }

    fn options(&self) -> Map<String, Value> {
        let mut options = Map::new();
        options.insert("class_id".into(), json!(self.class_id));
        options.insert("num_thresholds".into(), json!(self.num_thresholds));
        options.insert(self.constraint.key().into(), json!(self.value));
        options
    }
}
