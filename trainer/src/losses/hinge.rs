//! The hinge family.

use super::batch::Batch;
use super::elementwise;
use super::kind::{Answer, LossFunction};
use super::math::at_least;
use super::targets::Wanted;

/// Mean of `max(1 - t p, 0)`, for targets of -1 and 1; 0 and 1 are read as those.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hinge;

/// Mean of the squared hinge, for targets as in [`Hinge`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SquaredHinge;

/// `max(n - Σ t p + 1, 0)`, n the largest `(1 - t) p` of the row, for one-hot targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CategoricalHinge;

/// What a target is read as: where every one of the batch is 0 or 1, they stand for -1 and 1.
fn signs(y_true: &[f32]) -> impl Fn(f32) -> f32 + Copy {
    let binary = y_true.iter().all(|&t| t == 0.0 || t == 1.0);
    move |t| if binary { 2.0 * t - 1.0 } else { t }
}

/// `max(1 - t p, 0)`.
#[inline(always)]
fn hinge(t: f32, p: f32) -> f32 {
    at_least(1.0 - t * p, 0.0)
}

impl LossFunction for Hinge {
    fn value(&self, batch: &Batch, out: &mut [f32]) {
        let sign = signs(batch.y_true);
        elementwise::mean(batch, out, |t, p| hinge(sign(t), p));
    }

    /// At the kink the derivative is that of the margin, as TensorFlow's `maximum` has it.
    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        let sign = signs(batch.y_true);
        elementwise::gradient(batch, scale, out, |g, t, p| {
            let t = sign(t);
            let inside = if 1.0 - t * p >= 0.0 { g } else { 0.0 };
            -inside * t // NaN for a target that is
        });
    }

    fn wanted(&self) -> Wanted {
        Wanted::Elementwise
    }

    fn answer(&self) -> Answer {
        Answer::Sign
    }

    fn metric_class(&self) -> Option<&'static str> {
        Some("Hinge")
    }

    fn crosses(&self) -> bool {
        true
    }
}

impl LossFunction for SquaredHinge {
    fn value(&self, batch: &Batch, out: &mut [f32]) {
        let sign = signs(batch.y_true);
        elementwise::mean(batch, out, |t, p| {
            let margin = hinge(sign(t), p);
            margin * margin
        });
    }

    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        let sign = signs(batch.y_true);
        elementwise::gradient(batch, scale, out, |g, t, p| {
            let t = sign(t);
            let inside = if 1.0 - t * p >= 0.0 {
                g * (-2.0 * hinge(t, p))
            } else {
                0.0
            };
            inside * t
        });
    }

    fn wanted(&self) -> Wanted {
        Wanted::Elementwise
    }

    fn answer(&self) -> Answer {
        Answer::Sign
    }

    fn metric_class(&self) -> Option<&'static str> {
        Some("SquaredHinge")
    }

    fn crosses(&self) -> bool {
        true
    }
}

impl LossFunction for CategoricalHinge {
    /// `max(neg - pos + 1, 0)` with `pos = Σ t p`, `neg = max((1 - t) p)`.
    fn value(&self, batch: &Batch, out: &mut [f32]) {
        batch.by_row(out, |t, p| at_least(margin(t, p).0 + 1.0, 0.0));
    }

    /// Equal maxima share theirs equally.
    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        let rows = out.chunks_exact_mut(batch.width.max(1));
        for ((out, &scale), (t, p)) in rows.zip(scale).zip(batch.pairs()) {
            let (margin, neg) = margin(t, p);
            let scale = if margin + 1.0 >= 0.0 { scale } else { 0.0 };
            let is_max = |t: f32, p: f32| (1.0 - t) * p == neg;
            let ties = t.iter().zip(p).filter(|&(&t, &p)| is_max(t, p)).count() as f32;
            for ((out, &t), &p) in out.iter_mut().zip(t).zip(p) {
                // 0 / 0 without a maximum, as when there is a NaN.
                let share = f32::from(u8::from(is_max(t, p))) / ties;
                *out = scale * ((1.0 - t) * share - t);
            }
        }
    }

    fn wanted(&self) -> Wanted {
        Wanted::SameWidth
    }

    fn answer(&self) -> Answer {
        Answer::Class
    }

    fn metric_class(&self) -> Option<&'static str> {
        Some("CategoricalHinge")
    }

    fn crosses(&self) -> bool {
        true
    }
}

/// `neg - pos`, and `neg`.
fn margin(t: &[f32], p: &[f32]) -> (f32, f32) {
    let mut pos = 0.0;
    let mut neg = f32::NEG_INFINITY;
    for (&t, &p) in t.iter().zip(p) {
        pos += t * p;
        let other = (1.0 - t) * p;
        // Unlike with `f32::max`, NaN stays NaN.
        if other > neg || other.is_nan() {
            neg = other;
        }
    }
    (neg - pos, neg)
}
