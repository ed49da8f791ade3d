//! R², the coefficient of determination, per output.
//!
//! Keras sums targets and their squares in f32: where the mean is large beside the spread, their
//! difference has few digits left, and the score may exceed 1. `fit` shows Keras' number; `evaluate`
//! sums in f64, about the first target.

use serde_json::{Map, Value, json};

use super::{Accumulate, total, weight};
use crate::error::{Error, Result};
use crate::keras::Object;
use crate::losses::Batch;
use crate::variable::NamedArray;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregation {
    None,
    UniformAverage,
    VarianceWeightedAverage,
}

#[derive(Clone, Debug)]
pub(super) struct R2Score {
    class_aggregation: Aggregation,
    /// Independent variables, for the adjusted score; 0 for the plain one.
    num_regressors: usize,
    /// Elements seen, as Keras counts them: rows times outputs.
    num_samples: f32,
    outputs: Vec<Sums>,
    /// In place of `outputs` once [`R2Score::sum_exactly`] was called.
    exact: Option<Vec<ExactSums>>,
    /// Of the current batch.
    sums: Vec<[f64; 4]>,
}

/// Weighted sums over the rows of one output.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    squared_sum: f32,
    sum: f32,
    residual: f32,
    count: f32,
}

impl Sums {
    /// Sum of squares around the mean.
    fn total(&self) -> f32 {
        self.squared_sum - self.sum * (self.sum / self.count)
    }

    fn score(&self) -> f32 {
        let score = 1.0 - self.residual / self.total();
        if score.is_infinite() { 0.0 } else { score }
    }
}

/// [`Sums`] in f64, of the distances from the first target.
#[derive(Clone, Copy, Debug, Default)]
struct ExactSums {
    first: Option<f64>,
    squared_sum: f64,
    sum: f64,
    residual: f64,
    count: f64,
}

impl ExactSums {
    fn add(&mut self, target: f64, prediction: f64, weight: f64) {
        let distance = target - *self.first.get_or_insert(target);
        let error = target - prediction;
        self.squared_sum += distance * distance * weight;
        self.sum += distance * weight;
        self.residual += error * error * weight;
        self.count += weight;
    }

    fn score(&self) -> Score {
        let total = self.squared_sum - self.sum * (self.sum / self.count);
        let value = 1.0 - self.residual / total;
        Score {
            value: if value.is_infinite() { 0.0 } else { value },
            total,
        }
    }
}

/// Of one output.
struct Score {
    value: f64,
    /// Sum of squares around the mean.
    total: f64,
}

impl R2Score {
    pub(super) fn read(options: &Object) -> Result<Self> {
        // Missing means the default, an explicit null means one score per output.
        let class_aggregation = match options.entry("class_aggregation") {
            Some(Value::Null) => Aggregation::None,
            _ => match options.text("class_aggregation")? {
                None | Some("uniform_average") => Aggregation::UniformAverage,
                Some("variance_weighted_average") => Aggregation::VarianceWeightedAverage,
                Some(other) => {
                    return Err(Error::value(format!(
                        "{} has class_aggregation {other:?}, expected null, \"uniform_average\" or \"variance_weighted_average\"",
                        options.owner()
                    )));
                }
            },
        };
        Ok(Self {
            class_aggregation,
            num_regressors: options.count_or("num_regressors", 0, 0)?,
            num_samples: 0.0,
            outputs: Vec::new(),
            exact: None,
            sums: Vec::new(),
        })
    }

    /// The score adjusted for the number of regressors, where there are samples enough.
    fn adjusted(&self, score: f32) -> f32 {
        let (n, p) = (self.num_samples, self.num_regressors as f32);
        if self.num_regressors == 0 || p >= n - 1.0 {
            return score;
        }
        1.0 - ((1.0 - score) * (n - 1.0)) / ((n - p) - 1.0)
    }
}

impl Accumulate for R2Score {
    fn update(&mut self, batch: &Batch, weights: Option<&[f32]>) {
        self.num_samples += batch.y_true.len() as f32;
        if let Some(outputs) = &mut self.exact {
            outputs.resize(batch.width, ExactSums::default());
            for (i, (t, p)) in batch.pairs().enumerate() {
                let weight = f64::from(weight(weights, i));
                for ((sums, &t), &p) in outputs.iter_mut().zip(t).zip(p) {
                    sums.add(t.into(), p.into(), weight);
                }
            }
            return;
        }
        self.outputs.resize(batch.width, Sums::default());
        self.sums.clear();
        self.sums.resize(batch.width, [0.0; 4]);
        for (i, (t, p)) in batch.pairs().enumerate() {
            let weight = weight(weights, i);
            for ((sums, &t), &p) in self.sums.iter_mut().zip(t).zip(p) {
                let weighted = t * weight;
                let error = t - p;
                let terms = [t * weighted, weighted, (error * error) * weight, weight];
                for (sum, term) in sums.iter_mut().zip(terms) {
                    *sum += f64::from(term);
                }
            }
        }
        for (output, sums) in self.outputs.iter_mut().zip(&self.sums) {
            let [squared_sum, sum, residual, count] = sums.map(|sum| sum as f32);
            output.squared_sum += squared_sum;
            output.sum += sum;
            output.residual += residual;
            output.count += count;
        }
    }

    fn results(&self) -> Vec<f32> {
        if let Some(outputs) = &self.exact {
            let scores: Vec<Score> = outputs.iter().map(ExactSums::score).collect();
            let scores = match self.class_aggregation {
                Aggregation::None => scores.iter().map(|score| score.value).collect(),
                Aggregation::UniformAverage => {
                    let sum: f64 = scores.iter().map(|score| score.value).sum();
                    vec![sum / scores.len() as f64]
                }
                Aggregation::VarianceWeightedAverage => {
                    let weighted: f64 = scores.iter().map(|score| score.total * score.value).sum();
                    vec![weighted / scores.iter().map(|score| score.total).sum::<f64>()]
                }
            };
            return scores
                .into_iter()
                .map(|score| self.adjusted(score as f32))
                .collect();
        }
        let scores = self.outputs.iter().map(Sums::score);
        let scores = match self.class_aggregation {
            Aggregation::None => scores.collect(),
            Aggregation::UniformAverage => vec![total(scores) / self.outputs.len() as f32],
            Aggregation::VarianceWeightedAverage => {
                let weighted = self.outputs.iter().map(|o| o.total() * o.score());
                vec![total(weighted) / total(self.outputs.iter().map(Sums::total))]
            }
        };
        scores
            .into_iter()
            .map(|score| self.adjusted(score))
            .collect()
    }

    fn is_vector(&self) -> bool {
        self.class_aggregation == Aggregation::None
    }

    fn variables(&self) -> Vec<NamedArray> {
        let named = |name: &str, value: fn(&Sums) -> f32| {
            let values: Vec<_> = self.outputs.iter().map(value).collect();
            NamedArray::f32(name, &[values.len()], values)
        };
        vec![
            NamedArray::f32("num_samples", &[], vec![self.num_samples]),
            named("squared_sum", |o| o.squared_sum),
            named("sum", |o| o.sum),
            named("residual", |o| o.residual),
            named("count", |o| o.count),
        ]
    }

    fn reset(&mut self) {
        self.outputs.fill(Sums::default());
        if let Some(outputs) = &mut self.exact {
            outputs.fill(ExactSums::default());
        }
        self.num_samples = 0.0;
    }

    fn sum_exactly(&mut self) {
        self.exact.get_or_insert_default();
    }

    fn options(&self) -> Map<String, Value> {
        let mut options = Map::new();
        let aggregation = match self.class_aggregation {
            Aggregation::None => Value::Null,
            Aggregation::UniformAverage => json!("uniform_average"),
            Aggregation::VarianceWeightedAverage => json!("variance_weighted_average"),
        };
        options.insert("class_aggregation".into(), aggregation);
        options.insert("num_regressors".into(), json!(self.num_regressors));
        options
    }
}
