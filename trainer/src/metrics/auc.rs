//! Area under the ROC, precision-recall or precision-recall-gain curve, by Keras' Riemann sums.

use serde_json::{Map, Value, json};

use super::confusion::{Confusion, Selection, is_even};
use super::precision::thresholds;
use super::{Accumulate, divide_no_nan, fits, total};
use crate::error::{Error, Result};
use crate::keras::Object;
use crate::losses::{Batch, EPSILON, Wanted};
use crate::variable::NamedArray;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Curve {
    Roc,
    Pr,
    PrGain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Summation {
    Interpolation,
    Minoring,
    Majoring,
}

#[derive(Clone, Debug)]
#[expect(clippy::upper_case_acronyms, reason = "Keras' name")]
pub(super) struct AUC {
    num_thresholds: usize,
    curve: Curve,
    summation: Summation,
    /// The user's own thresholds, sorted.
    thresholds: Option<Vec<f64>>,
    multi_label: bool,
    num_labels: Option<usize>,
    label_weights: Option<Vec<f32>>,
    from_logits: bool,
    confusion: Confusion,
}

/// The four counts at one threshold.
#[derive(Clone, Copy)]
struct At {
    tp: f32,
    fp: f32,
    tn: f32,
    fn_: f32,
}

impl AUC {
    pub(super) fn read(options: &Object) -> Result<Self> {
        let wrong = |key: &str, found: &str, expected: &str| {
            let owner = &options.owner();
            Error::value(format!("{owner} has {key} {found:?}, expected {expected}"))
        };
        let curve = match options.text_or("curve", "ROC")? {
            "ROC" | "roc" => Curve::Roc,
            "PR" | "pr" => Curve::Pr,
            "PRGAIN" | "prgain" => Curve::PrGain,
            other => return Err(wrong("curve", other, "\"ROC\", \"PR\" or \"PRGAIN\"")),
        };
        let summation = match options.text_or("summation_method", "interpolation")? {
            "interpolation" | "Interpolation" => Summation::Interpolation,
            "minoring" | "Minoring" => Summation::Minoring,
            "majoring" | "Majoring" => Summation::Majoring,
            other => {
                let expected = "\"interpolation\", \"minoring\" or \"majoring\"";
                return Err(wrong("summation_method", other, expected));
            }
        };
        let own = match options.get("thresholds") {
            None => None,
            Some(one) if !one.is_array() => {
                return Err(wrong(
                    "thresholds",
                    &one.to_string(),
                    "a list of numbers from 0 to 1",
                ));
            }
            Some(given) => {
                let mut list = thresholds(given, &options.owner())?;
                list.sort_by(f64::total_cmp);
                Some(list)
            }
        };
        let (inner, even) = match &own {
            Some(own) => {
                let whole: Vec<_> = [&[0.0], &own[..], &[1.0]].concat();
                (own.clone(), is_even(&whole))
            }
            None => {
                let n = options.count_or("num_thresholds", 2, 200)?;
                let step = |i| (i + 1) as f64 / (n - 1) as f64;
                ((0..n - 2).map(step).collect(), true)
            }
        };
        let all = [&[-1e-7], &inner[..], &[1.0 + 1e-7]].concat();
        let multi_label = options.flag_or("multi_label", false)?;
        let num_labels = options.count("num_labels", 1)?;
        if num_labels.is_some() && !multi_label {
            let owner = &options.owner();
            return Err(Error::value(format!(
                "{owner} has num_labels, which needs multi_label; set it or remove num_labels"
            )));
        }
        let label_weights = match options.get("label_weights") {
            None => None,
            Some(given) => {
                // A serialized array: {"class_name": "__numpy__" .., "config": {"value": [..]}}.
                let list = given
                    .get("config")
                    .and_then(|c| c.get("value"))
                    .unwrap_or(given);
                let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
                let weights: Option<Vec<_>> =
                    list.iter().map(|w| Some(w.as_f64()? as f32)).collect();
                let weights = weights.filter(|weights| !weights.is_empty());
                let weights =
                    weights.ok_or_else(|| wrong("label_weights", &given.to_string(), "a list"))?;
                Some(weights)
            }
        };
        let mut confusion = Confusion::with_spacing(&all, even.then_some(true));
        if let Some(labels) = num_labels {
            confusion.set_labels(labels);
        }
        Ok(Self {
            num_thresholds: all.len(),
            curve,
            summation,
            thresholds: own,
            multi_label,
            num_labels,
            label_weights,
            from_logits: options.flag_or("from_logits", false)?,
            confusion,
        })
    }

    fn at(&self, threshold: usize, label: usize) -> At {
        let c = &self.confusion;
        let i = threshold * c.labels() + label;
        At {
            tp: c.true_positives[i],
            fp: c.false_positives[i],
            tn: c.true_negatives[i],
            fn_: c.false_negatives[i],
        }
    }

    /// The point of the curve at a threshold: (x, y).
    fn point(&self, At { tp, fp, tn, fn_ }: At) -> [f32; 2] {
        let recall = divide_no_nan(tp, tp + fn_);
        match self.curve {
            Curve::Roc => [divide_no_nan(fp, fp + tn), recall],
            Curve::Pr => [recall, divide_no_nan(tp, tp + fp)],
            Curve::PrGain if tp == 0.0 => [0.0, 1.0],
            Curve::PrGain => {
                let scale = divide_no_nan(tp + fn_, tn + fp);
                let recall_gain = 1.0 - scale * divide_no_nan(fn_, tp);
                let precision_gain = 1.0 - scale * divide_no_nan(fp, tp);
                [recall_gain.max(0.0), precision_gain]
            }
        }
    }

    /// The area between two neighbouring thresholds, `low` the smaller one.
    fn piece(&self, low: At, high: At) -> f32 {
        if self.curve == Curve::Pr && self.summation == Summation::Interpolation {
            return interpolated_precision(low, high);
        }
        let ([x_low, y_low], [x_high, y_high]) = (self.point(low), self.point(high));
        let height = match self.summation {
            Summation::Interpolation => (y_low + y_high) / 2.0,
            Summation::Minoring => y_low.min(y_high),
            Summation::Majoring => y_low.max(y_high),
        };
        (x_low - x_high) * height
    }

    fn of_label(&self, label: usize) -> f32 {
        let pieces =
            (1..self.num_thresholds).map(|i| self.piece(self.at(i - 1, label), self.at(i, label)));
        total(pieces)
    }
}

/// Davis and Goadrich's interpolation of precision between two thresholds, as Keras has it.
fn interpolated_precision(low: At, high: At) -> f32 {
    let d_tp = low.tp - high.tp;
    let (p_low, p_high) = (low.tp + low.fp, high.tp + high.fp);
    let slope = divide_no_nan(d_tp, (p_low - p_high).max(0.0));
    let intercept = high.tp - slope * p_high;
    let ratio = if p_low > 0.0 && p_high > 0.0 {
        divide_no_nan(p_low, p_high.max(0.0))
    } else {
        1.0
    };
    divide_no_nan(
        slope * (d_tp + intercept * ratio.ln()),
        (high.tp + high.fn_).max(0.0),
    )
}

impl Accumulate for AUC {
    fn update(&mut self, batch: &Batch, weights: Option<&[f32]>) {
        let select = Selection {
            from_logits: self.from_logits,
            label_weights: self.label_weights.as_deref().filter(|_| !self.multi_label),
            ..Selection::default()
        };
        if self.multi_label {
            self.confusion.set_labels(batch.width);
        }
        self.confusion.update(batch, weights, select);
    }

    fn results(&self) -> Vec<f32> {
        if !self.multi_label {
            return vec![self.of_label(0)];
        }
        let areas = (0..self.confusion.labels()).map(|label| self.of_label(label));
        vec![match &self.label_weights {
            None => total(areas) / self.confusion.labels() as f32,
            Some(weights) => {
                let weighted = areas.zip(weights).map(|(area, weight)| area * weight);
                divide_no_nan(total(weighted), total(weights.iter().copied()))
            }
        }]
    }

    fn variables(&self) -> Vec<NamedArray> {
        let c = &self.confusion;
        vec![
            c.variable("true_positives", &c.true_positives, self.multi_label),
            c.variable("false_positives", &c.false_positives, self.multi_label),
            c.variable("true_negatives", &c.true_negatives, self.multi_label),
            c.variable("false_negatives", &c.false_negatives, self.multi_label),
        ]
    }

    fn reset(&mut self) {
        self.confusion.reset();
    }

    fn check(&self, metric: &str, y_true_width: usize, width: usize) -> Result<()> {
        if let Some(weights) = self
            .label_weights
            .as_ref()
            .filter(|list| list.len() != width)
        {
            return Err(Error::shape(format!(
                "metric {metric:?} has {} label_weights, expected {width}, one for each output",
                weights.len()
            )));
        }
        fits(metric, Wanted::SameWidth, y_true_width, width)
    }

    fn options(&self) -> Map<String, Value> {
        let mut options = Map::new();
        let mut put = |key: &str, value: Value| options.insert(key.to_owned(), value);
        put("num_thresholds", json!(self.num_thresholds));
        put(
            "curve",
            json!(match self.curve {
                Curve::Roc => "ROC",
                Curve::Pr => "PR",
                Curve::PrGain => "PRGAIN",
            }),
        );
        put(
            "summation_method",
            json!(match self.summation {
                Summation::Interpolation => "interpolation",
                Summation::Minoring => "minoring",
                Summation::Majoring => "majoring",
            }),
        );
        put("multi_label", json!(self.multi_label));
        put("num_labels", json!(self.num_labels));
        put("label_weights", json!(self.label_weights));
        put("from_logits", json!(self.from_logits));
        if let Some(thresholds) = &self.thresholds {
            put("thresholds", json!(thresholds));
        }
        options
    }
}

const _: () = assert!(
    EPSILON == 1e-7,
    "the outer thresholds are one epsilon outside [0, 1]"
);
