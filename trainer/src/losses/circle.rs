//! Circle loss: embeddings of one class together, of different classes apart.
//!
//! Predictions are rows of unit length, targets are class indices. Every row is compared with every
//! other row of its batch.

use super::batch::Batch;
use super::math::sum_pairs;
use super::regression::softplus;

#[derive(Clone, Copy)]
pub(super) struct Circle {
    gamma: f32,
    margin: f32,
    remove_diagonal: bool,
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
    /// With Keras' arguments.
    pub(super) fn new(gamma: f64, margin: f64, remove_diagonal: bool) -> Self {
        Self {
            gamma: gamma as f32,
            margin: margin as f32,
            remove_diagonal,
        }
    }

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
        let Self { gamma, margin, .. } = self;
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

    pub(super) fn value(self, batch: &Batch, out: &mut [f32]) {
        for (i, out) in out.iter_mut().enumerate() {
            let Sums { positive, negative } = self.sums(batch, i);
            *out = softplus(positive + negative);
        }
    }

    pub(super) fn gradient(self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
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
}
