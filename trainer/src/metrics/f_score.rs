//! F scores: the weighted harmonic mean of precision and recall, per class.

use serde_json::{Map, Value, json};

use super::accuracy::argmax;
use super::{Accumulate, total, weight};
use crate::error::{Error, Result};
use crate::keras::Object;
use crate::losses::{Batch, EPSILON};
use crate::variable::NamedArray;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Average {
    None,
    Micro,
    Macro,
    Weighted,
}

#[derive(Clone, Debug)]
pub(super) struct FBetaScore {
    /// Keras' F1Score, which has no `beta` in its config.
    is_f1: bool,
    average: Average,
    beta: f64,
    threshold: Option<f64>,
    /// Per class, or one for `micro`.
    classes: Vec<Class>,
    /// Of the current batch.
    sums: Vec<[f64; 4]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Class {
    true_positives: f32,
    false_positives: f32,
    false_negatives: f32,
    intermediate_weights: f32,
}

impl FBetaScore {
    pub(super) fn read(is_f1: bool, options: &Object) -> Result<Self> {
        let owner = &options.owner();
        let average = match options.text("average")? {
            None => Average::None,
            Some("micro") => Average::Micro,
            Some("macro") => Average::Macro,
            Some("weighted") => Average::Weighted,
            Some(other) => {
                return Err(Error::value(format!(
                    "{owner} has average {other:?}, expected null, \"micro\", \"macro\" or \"weighted\""
                )));
            }
        };
        let beta = if is_f1 {
            1.0
        } else {
            options.float_or("beta", 1.0)?
        };
        if beta.is_nan() || beta <= 0.0 {
            return Err(Error::value(format!(
                "{owner} has beta {beta}, expected a number above 0"
            )));
        }
        let threshold = match options.get("threshold") {
            Some(_) => Some(options.float_or("threshold", 0.5)?),
            None => None,
        };
        if let Some(threshold) = threshold.filter(|t| !(*t > 0.0 && *t <= 1.0)) {
            return Err(Error::value(format!(
                "{owner} has threshold {threshold}, expected a number above 0 and at most 1"
            )));
        }
        Ok(Self {
            is_f1,
            average,
            beta,
            threshold,
            classes: Vec::new(),
            sums: Vec::new(),
        })
    }

    /// The score of one class.
    fn score(&self, class: &Class) -> f32 {
        let tp = class.true_positives;
        let precision = tp / (tp + class.false_positives + EPSILON);
        let recall = tp / (tp + class.false_negatives + EPSILON);
        let beta_2 = (self.beta * self.beta) as f32;
        let mean = (precision * recall) / (beta_2 * precision + recall + EPSILON);
        mean * (1.0 + beta_2)
    }
}

impl Accumulate for FBetaScore {
    fn update(&mut self, batch: &Batch, weights: Option<&[f32]>) {
        let micro = self.average == Average::Micro;
        let len = if micro { 1 } else { batch.width };
        self.classes.resize(len, Class::default());
        self.sums.clear();
        self.sums.resize(len, [0.0; 4]);
        for (i, (t, p)) in batch.pairs().enumerate() {
            let weight = weight(weights, i);
            let largest = p.get(argmax(p)).copied().unwrap_or(f32::NAN);
            for (class, (&t, &p)) in t.iter().zip(p).enumerate() {
                let positive = match self.threshold {
                    Some(threshold) => p > threshold as f32,
                    None => p >= largest && p.abs() > 1e-9,
                };
                let p = if positive { 1.0 } else { 0.0 };
                let terms = [p * t, p * (1.0 - t), (1.0 - p) * t, t];
                let sums = &mut self.sums[if micro { 0 } else { class }];
                for (sum, term) in sums.iter_mut().zip(terms) {
                    *sum += f64::from(term * weight);
                }
            }
        }
        for (class, sums) in self.classes.iter_mut().zip(&self.sums) {
            let [tp, fp, fn_, weights] = sums.map(|sum| sum as f32);
            class.true_positives += tp;
            class.false_positives += fp;
            class.false_negatives += fn_;
            class.intermediate_weights += weights;
        }
    }

    fn results(&self) -> Vec<f32> {
        let scores = self.classes.iter().map(|class| self.score(class));
        match self.average {
            Average::None => scores.collect(),
            _ if self.classes.is_empty() => vec![0.0],
            Average::Weighted => {
                let all = total(self.classes.iter().map(|c| c.intermediate_weights)) + EPSILON;
                let weights = self.classes.iter().map(|c| c.intermediate_weights / all);
                vec![total(
                    scores.zip(weights).map(|(score, weight)| score * weight),
                )]
            }
            Average::Micro | Average::Macro => vec![total(scores) / self.classes.len() as f32],
        }
    }

    fn is_vector(&self) -> bool {
        self.average == Average::None
    }

    fn variables(&self) -> Vec<NamedArray> {
        let named = |name: &str, value: fn(&Class) -> f32| {
            let values: Vec<_> = self.classes.iter().map(value).collect();
            let len = [values.len()];
            let shape: &[usize] = if self.average == Average::Micro {
                &[]
            } else {
                &len
            };
            NamedArray::f32(name, shape, values)
        };
        vec![
            named("true_positives", |c| c.true_positives),
            named("false_positives", |c| c.false_positives),
            named("false_negatives", |c| c.false_negatives),
            named("intermediate_weights", |c| c.intermediate_weights),
        ]
    }

    fn reset(&mut self) {
        self.classes.fill(Class::default());
    }

    fn options(&self) -> Map<String, Value> {
        let mut options = Map::new();
        let average = match self.average {
            Average::None => Value::Null,
            Average::Micro => json!("micro"),
            Average::Macro => json!("macro"),
            Average::Weighted => json!("weighted"),
        };
        options.insert("average".into(), average);
        if !self.is_f1 {
            options.insert("beta".into(), json!(self.beta));
        }
        options.insert("threshold".into(), json!(self.threshold));
        options
    }
}
