//! Dice and Tversky: losses of the overlap of a whole batch, or of each row.

use serde_json::{Map, Value, json};

use super::EPSILON;
use super::batch::Batch;
use super::kind::{Answer, LossFunction};
use super::math::{sum_map, sum_pairs};

use super::targets::Wanted;
use crate::Result;
use crate::keras::{Object, entries};

/// `1 - 2 Σ t p / (Σ t + Σ p)`: how little target and prediction overlap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dice {
    /// One loss per row (Keras' `axis=-1`) or, by default, one for the batch (`axis=None`).
    pub per_row: bool,
}

/// [`Dice`] with a weight for each kind of error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tversky {
    /// Weight of what is in the target only. Defaults to 0.5.
    pub alpha: f64,
    /// Weight of what is in the prediction only. Defaults to 0.5.
    pub beta: f64,
    /// As for [`Dice`].
    pub per_row: bool,
}

impl Default for Tversky {
    fn default() -> Self {
        Self {
            alpha: 0.5,
            beta: 0.5,
            per_row: false,
        }
    }
}

/// What the two have alike.
macro_rules! overlap {
    () => {
        fn check_axis(_options: &Object) -> Result<()> {
            Ok(())
        }

        fn value(&self, batch: &Batch, out: &mut [f32]) {
            value(self, self.per_row, batch, out);
        }

        fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
            gradient(self, self.per_row, batch, scale, out);
        }

        fn wanted(&self) -> Wanted {
            Wanted::SameWidth
        }

        fn answer(&self) -> Answer {
            Answer::Overlap
        }

        fn is_of_batch(&self) -> bool {
            !self.per_row
        }
    };
}

impl LossFunction for Dice {
    overlap!();

    fn read(options: &Object) -> Result<Self> {
        Ok(Self {
            per_row: options.per_row()?,
        })
    }

    fn options(&self) -> Map<String, Value> {
        entries([("axis", json!(self.per_row.then_some(-1)))])
    }
}

impl LossFunction for Tversky {
    overlap!();

    fn read(options: &Object) -> Result<Self> {
        Ok(Self {
            alpha: options.number_or("alpha", 0.5)?,
            beta: options.number_or("beta", 0.5)?,
            per_row: options.per_row()?,
        })
    }

    fn options(&self) -> Map<String, Value> {
        entries([
            ("alpha", json!(self.alpha)),
            ("beta", json!(self.beta)),
            ("axis", json!(self.per_row.then_some(-1))),
        ])
    }
}

/// A ratio of two sums, and its derivative to one prediction.
trait Overlap {
    /// Numerator and denominator.
    fn sums(&self, t: &[f32], p: &[f32]) -> (f32, f32);
    /// Derivatives of the two to the prediction whose target is `t`.
    fn sums_d(&self, t: f32) -> (f32, f32);
}

/// `1 - I / (I + alpha·fp + beta·fn + 1e-7)` with `I = Σ t p`, `fp = Σ t (1 - p)`,
/// `fn = Σ p (1 - t)`: the names are Keras'.
impl Overlap for Tversky {
    fn sums(&self, t: &[f32], p: &[f32]) -> (f32, f32) {
        let both = sum_pairs(t, p, |t, p| t * p);
        let only_t = sum_pairs(t, p, |t, p| (1.0 - p) * t);
        let only_p = sum_pairs(t, p, |t, p| p * (1.0 - t));
        (
            both,
            both + only_t * self.alpha as f32 + only_p * self.beta as f32 + EPSILON,
        )
    }
    fn sums_d(&self, t: f32) -> (f32, f32) {
        (t, t - self.alpha as f32 * t + self.beta as f32 * (1.0 - t))
    }
}

/// `1 - 2 I / (Σ t + Σ p + 1e-7)`.
impl Overlap for Dice {
    fn sums(&self, t: &[f32], p: &[f32]) -> (f32, f32) {
        let both = sum_pairs(t, p, |t, p| t * p);
        let total = sum_map(t, |t| t) + sum_map(p, |p| p);
        (2.0 * both, total + EPSILON)
    }
    fn sums_d(&self, t: f32) -> (f32, f32) {
        (2.0 * t, 1.0)
    }
}

/// The loss of each row, or the batch's own in every row.
fn value(kind: &impl Overlap, per_row: bool, batch: &Batch, out: &mut [f32]) {
    let ratio = |t: &[f32], p: &[f32]| {
        let (numerator, denominator) = kind.sums(t, p);
        1.0 - numerator / denominator
    };
    if per_row {
        for (out, (t, p)) in out.iter_mut().zip(batch.pairs()) {
            *out = ratio(t, p);
        }
    } else {
        out.fill(ratio(batch.y_true, batch.y_pred));
    }
}

fn gradient(kind: &impl Overlap, per_row: bool, batch: &Batch, scale: &[f32], out: &mut [f32]) {
    let one = |t: &[f32], p: &[f32], scale: f32, out: &mut [f32]| {
        let (numerator, denominator) = kind.sums(t, p);
        for (out, &t) in out.iter_mut().zip(t) {
            let (numerator_d, denominator_d) = kind.sums_d(t);
            let d = numerator_d * denominator - numerator * denominator_d;
            *out = -scale * d / (denominator * denominator);
        }
    };
    if per_row {
        let rows = out.chunks_exact_mut(batch.width.max(1)).zip(scale);
        for ((out, &scale), (t, p)) in rows.zip(batch.pairs()) {
            one(t, p, scale, out);
        }
    } else {
        one(batch.y_true, batch.y_pred, scale.iter().sum(), out);
    }
}
