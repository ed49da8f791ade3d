//! Losses that are the mean over a row of something computed for each element alone.

use super::batch::Batch;
use super::math::{sum_map, sum_pairs};
use crate::simd;

/// `out[i] = mean_j f(y_true[i][j], y_pred[i][j])`; a target of width 1 is used for the whole row.
#[inline(always)]
pub(super) fn mean(batch: &Batch, out: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    simd::widest(
        #[inline(always)]
        || means(batch, out, f),
    );
}

#[inline(always)]
fn means(batch: &Batch, out: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    let width = batch.width as f32;
    if batch.width == 1 && batch.y_true_width == 1 {
        for ((out, &t), &p) in out.iter_mut().zip(batch.y_true).zip(batch.y_pred) {
            *out = f(t, p);
        }
        return;
    }
    for (out, (t, p)) in out.iter_mut().zip(batch.pairs()) {
        let total = if t.len() == p.len() {
            sum_pairs(t, p, &f)
        } else {
            let t = t.first().copied().unwrap_or(f32::NAN);
            sum_map(p, |p| f(t, p))
        };
        *out = total / width;
    }
}

/// `out[i][j] = d(scale[i] / width, y_true[i][j], y_pred[i][j])`.
///
/// `d` takes the gradient that arrives from above, so that it can round where TensorFlow's
/// backpropagation rounds.
#[inline(always)]
pub(super) fn gradient(
    batch: &Batch,
    scale: &[f32],
    out: &mut [f32],
    d: impl Fn(f32, f32, f32) -> f32,
) {
    simd::widest(
        #[inline(always)]
        || gradients(batch, scale, out, d),
    );
}

#[inline(always)]
fn gradients(batch: &Batch, scale: &[f32], out: &mut [f32], d: impl Fn(f32, f32, f32) -> f32) {
    if batch.width == 1 && batch.y_true_width == 1 {
        let pairs = batch.y_true.iter().zip(batch.y_pred);
        for ((out, &scale), (&t, &p)) in out.iter_mut().zip(scale).zip(pairs) {
            *out = d(scale, t, p);
        }
        return;
    }
    let rows = out.chunks_exact_mut(batch.width.max(1));
    for ((out, &scale), (t, p)) in rows.zip(scale).zip(batch.pairs()) {
        let scale = scale / batch.width as f32;
        if t.len() == p.len() {
            for ((out, &t), &p) in out.iter_mut().zip(t).zip(p) {
                *out = d(scale, t, p);
            }
        } else {
            let t = t.first().copied().unwrap_or(f32::NAN);
            for (out, &p) in out.iter_mut().zip(p) {
                *out = d(scale, t, p);
            }
        }
    }
}
