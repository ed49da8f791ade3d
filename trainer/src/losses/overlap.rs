//! Dice and Tversky: losses of the overlap of a whole batch, or of each row.

use super::EPSILON;
use super::batch::Batch;
use super::math::{sum_map, sum_pairs};

/// `1 - I / (I + alpha·fp + beta·fn + 1e-7)` with `I = Σ t p`, `fp = Σ t (1 - p)`,
/// `fn = Σ p (1 - t)`: the names are Keras'.
#[derive(Clone, Copy)]
pub(super) struct Tversky {
    alpha: f32,
    beta: f32,
}

impl Tversky {
    /// With Keras' arguments.
    pub(super) fn new(alpha: f64, beta: f64) -> Self {
        Self {
            alpha: alpha as f32,
            beta: beta as f32,
        }
    }
}

/// `1 - 2 I / (Σ t + Σ p + 1e-7)`.
#[derive(Clone, Copy)]
pub(super) struct Dice;

/// A ratio of two sums, and its derivative to one prediction.
pub(super) trait Overlap: Copy {
    /// Numerator and denominator.
    fn sums(self, t: &[f32], p: &[f32]) -> (f32, f32);
    /// Derivatives of the two to the prediction whose target is `t`.
    fn sums_d(self, t: f32) -> (f32, f32);
}

impl Overlap for Tversky {
    fn sums(self, t: &[f32], p: &[f32]) -> (f32, f32) {
        let both = sum_pairs(t, p, |t, p| t * p);
        let only_t = sum_pairs(t, p, |t, p| (1.0 - p) * t);
        let only_p = sum_pairs(t, p, |t, p| p * (1.0 - t));
        (
            both,
            both + only_t * self.alpha + only_p * self.beta + EPSILON,
        )
    }
    fn sums_d(self, t: f32) -> (f32, f32) {
        (t, t - self.alpha * t + self.beta * (1.0 - t))
    }
}

impl Overlap for Dice {
    fn sums(self, t: &[f32], p: &[f32]) -> (f32, f32) {
        let both = sum_pairs(t, p, |t, p| t * p);
        let total = sum_map(t, |t| t) + sum_map(p, |p| p);
        (2.0 * both, total + EPSILON)
    }
    fn sums_d(self, t: f32) -> (f32, f32) {
        (2.0 * t, 1.0)
    }
}

/// The loss of each row, or the batch's own in every row.
pub(super) fn value(kind: impl Overlap, per_row: bool, batch: &Batch, out: &mut [f32]) {
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

pub(super) fn gradient(
    kind: impl Overlap,
    per_row: bool,
    batch: &Batch,
    scale: &[f32],
    out: &mut [f32],
) {
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
