//! Circle loss: embeddings of one class together, of different classes apart.
//!
//! Predictions are rows of unit length, targets are class indices. Every row is compared with every
//! other row of its batch.

use serde_json::{Map, Value, json};

use super::batch::Batch;
use super::kind::{Answer, LossFunction};
use super::math::sum_pairs;
use super::regression::softplus;
use super::targets::Wanted;
use crate::Result;
use crate::keras::{Object, entries};

/// Draws embeddings of a class together and those of different classes apart, for predictions of unit
/// length and targets that are class indices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Circle {
    /// Defaults to 80.
    pub gamma: f64,
    /// Defaults to 0.4.
    pub margin: f64,
    /// A sample is not its own partner. Defaults to true.
    pub remove_diagonal: bool,
}

impl Default for Circle {
    fn default() -> Self {
        Self {
            gamma: 80.0,
            margin: 0.4,
            remove_diagonal: true,
        }
    }
}

/// What row `j` is to row `i`.
#[derive(Clone, Copy, PartialEq)]
enum Pair {
    Positive,
    Negative,
    Itself,
}

/// `log Σ exp` of the two kinds of pairs of one row.
#[derive(Clone, Copy)]
struct Sums {
    positive: f32,
    negative: f32,
}

impl Circle {
    fn pair(self, batch: &Batch, i: usize, j: usize) -> Pair {
        let same = batch.y_true[i] as i32 == batch.y_true[j] as i32;
        match same {
            true if self.remove_diagonal && i == j => Pair::Itself,
            true => Pair::Positive,
            false => Pair::Negative,
        }
    }

    fn row<'a>(batch: &Batch<'a>, i: usize) -> &'a [f32] {
        &batch.y_pred[i * batch.width..][..batch.width]
    }

    /// `1 - cos`, before it is cut off at 0.
    fn distance(batch: &Batch, i: usize, j: usize) -> f32 {
        1.0 - sum_pairs(Self::row(batch, i), Self::row(batch, j), |a, b| a * b)
    }

    /// The weighted distance, and its derivative to the distance.
    fn logit(self, pair: Pair, distance: f32) -> (f32, f32) {
        let (gamma, margin) = (self.gamma as f32, self.margin as f32); // Keras computes in f32
        match pair {
            Pair::Positive => {
                let weight = (margin + distance).max(0.0);
                let d = if weight > 0.0 {
                    2.0 * gamma * distance
                } else {
                    0.0
                };
                (-gamma * weight * (margin - distance), d)
            }
            _ => {
                let weight = (1.0 + margin - distance).max(0.0);
                let d = if weight > 0.0 {
                    -2.0 * gamma * (1.0 - distance)
                } else {
                    0.0
                };
                (gamma * weight * (1.0 - margin - distance), d)
            }
        }
    }

    fn log_sum(self, batch: &Batch, i: usize, wanted: Pair) -> f32 {
        let logits = || {
            let others = (0..batch.rows()).filter(move |&j| self.pair(batch, i, j) == wanted);
            others.map(move |j| self.logit(wanted, Self::distance(batch, i, j).max(0.0)).0)
        };
        let largest = logits().fold(f32::NEG_INFINITY, f32::max);
        if largest == f32::NEG_INFINITY {
            return largest;
        }
        largest + logits().map(|x| (x - largest).exp()).sum::<f32>().ln()
    }

    fn sums(self, batch: &Batch, i: usize) -> Sums {
        Sums {
            positive: self.log_sum(batch, i, Pair::Positive),
            negative: self.log_sum(batch, i, Pair::Negative),
        }
    }
}

impl LossFunction for Circle {
    fn read(options: &Object) -> Result<Self> {
        Ok(Self {
            gamma: options.number_or("gamma", 80.0)?,
            margin: options.number_or("margin", 0.4)?,
            remove_diagonal: options.flag_or("remove_diagonal", true)?,
        })
    }

    fn options(&self) -> Map<String, Value> {
        entries([
            ("gamma", json!(self.gamma)),
            ("margin", json!(self.margin)),
            ("remove_diagonal", json!(self.remove_diagonal)),
        ])
    }

    fn value(&self, batch: &Batch, out: &mut [f32]) {
        for (i, out) in out.iter_mut().enumerate() {
            let Sums { positive, negative } = self.sums(batch, i);
            *out = softplus(positive + negative);
        }
    }

    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        out.fill(0.0);
        for (i, &scale) in scale.iter().enumerate() {
            let sums = self.sums(batch, i);
            // A row without a partner or without an opponent has loss 0 and no slope.
            if !(sums.positive + sums.negative).is_finite() {
                continue;
            }
            let outer = scale / (1.0 + (-(sums.positive + sums.negative)).exp());
            for j in 0..batch.rows() {
                let pair = self.pair(batch, i, j);
                let log_sum = match pair {
                    Pair::Positive => sums.positive,
                    Pair::Negative => sums.negative,
                    Pair::Itself => continue,
                };
                let distance = Self::distance(batch, i, j);
                if distance < 0.0 {
                    continue;
                }
                let (logit, d) = self.logit(pair, distance);
                let d = -outer * (logit - log_sum).exp() * d;
                for k in 0..batch.width {
                    out[i * batch.width + k] += d * Self::row(batch, j)[k];
                    out[j * batch.width + k] += d * Self::row(batch, i)[k];
                }
            }
        }
    }

    fn wanted(&self) -> Wanted {
        Wanted::Index
    }

    fn answer(&self) -> Answer {
        Answer::Numbers
    }

    fn masks(&self) -> bool {
        true
    }

    fn counts(&self, _batch: &Batch, _i: usize, loss: f32) -> bool {
        loss > 0.0
    }
}
