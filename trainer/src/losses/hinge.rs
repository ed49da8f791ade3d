//! The hinge family.

use super::batch::Batch;
use super::math::at_least;

/// Whether every target of the batch is 0 or 1, so that they stand for -1 and 1.
pub(super) fn is_binary(y_true: &[f32]) -> bool {
    y_true.iter().all(|&t| t == 0.0 || t == 1.0)
}

/// `max(1 - t p, 0)`.
#[inline(always)]
pub(super) fn hinge(t: f32, p: f32) -> f32 {
    at_least(1.0 - t * p, 0.0)
}

/// At the kink the derivative is that of the margin, as TensorFlow's `maximum` has it.
#[inline(always)]
pub(super) fn hinge_d(g: f32, t: f32, p: f32) -> f32 {
    let inside = if 1.0 - t * p >= 0.0 { g } else { 0.0 };
    -inside * t // NaN for a target that is
}

#[inline(always)]
pub(super) fn squared_hinge_d(g: f32, t: f32, p: f32) -> f32 {
    let inside = if 1.0 - t * p >= 0.0 {
        g * (-2.0 * hinge(t, p))
    } else {
        0.0
    };
    inside * t
}

/// `max(neg - pos + 1, 0)` with `pos = Σ t p`, `neg = max((1 - t) p)`.
pub(super) fn categorical(t: &[f32], p: &[f32]) -> f32 {
    at_least(margin(t, p).0 + 1.0, 0.0)
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

/// Gradient of [`categorical`]: equal maxima share theirs equally.
pub(super) fn categorical_gradient(batch: &Batch, scale: &[f32], out: &mut [f32]) {
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
