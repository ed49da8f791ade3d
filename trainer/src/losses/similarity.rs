//! Losses between whole rows: cosine similarity, Kullback-Leibler divergence, generalized
//! crossentropy.

use super::batch::Batch;
use super::math::{sum_map, sum_pairs};
use super::{EPSILON, clip_d, label};

/// `1 / |x|`, at most `1 / epsilon`.
fn inverse_norm(x: &[f32]) -> f32 {
    let squares = sum_map(x, |v| v * v);
    let inverse = 1.0 / squares.sqrt();
    // Not `f32::min`, which would hide NaN.
    if inverse > 1.0 / EPSILON {
        1.0 / EPSILON
    } else {
        inverse
    }
}

/// `Σ t/|t| · p/|p|` of one row, a target of width 1 used for the whole row.
pub(crate) fn cosine(t: &[f32], p: &[f32]) -> f32 {
    let (t_inverse, p_inverse) = (inverse_norm(t), inverse_norm(p));
    if t.len() == p.len() {
        return sum_pairs(t, p, |t, p| (t * t_inverse) * (p * p_inverse));
    }
    let t = t.first().copied().unwrap_or(f32::NAN) * t_inverse;
    sum_map(p, |p| t * (p * p_inverse))
}

/// Gradient of `-cosine`: `-t̂ / |p| + p (t̂ · p) / |p|³`; without the second term where the norm
/// was cut off, because the cut has no derivative.
///
/// The two terms nearly cancel where the vectors agree, so the order of operations is TensorFlow's.
pub(super) fn cosine_gradient(batch: &Batch, scale: &[f32], out: &mut [f32]) {
    let rows = out.chunks_exact_mut(batch.width.max(1));
    for ((out, &scale), (t, p)) in rows.zip(scale).zip(batch.pairs()) {
        let (t_inverse, p_inverse) = (inverse_norm(t), inverse_norm(p));
        let target = |j: usize| t.get(j).or(t.first()).copied().unwrap_or(f32::NAN);
        for (j, out) in out.iter_mut().enumerate() {
            *out = -scale * (target(j) * t_inverse);
        }
        let to_norm = if p_inverse < 1.0 / EPSILON {
            let to_inverse = sum_pairs(out, p, |d, p| d * p);
            -0.5 * (to_inverse * p_inverse) * (p_inverse * p_inverse)
        } else {
            0.0
        };
        for (out, &p) in out.iter_mut().zip(p) {
            *out = *out * p_inverse + to_norm * (2.0 * p);
        }
    }
}

/// `Σ t log(t / p)`, both clipped to `[1e-7, 1]`.
pub(super) fn kl_divergence(t: &[f32], p: &[f32]) -> f32 {
    sum_pairs(t, p, |t, p| {
        let (t, p) = (t.clamp(EPSILON, 1.0), p.clamp(EPSILON, 1.0));
        t * (t / p).ln()
    })
}

pub(super) fn kl_gradient(batch: &Batch, scale: &[f32], out: &mut [f32]) {
    let rows = out.chunks_exact_mut(batch.width.max(1));
    for ((out, &scale), (t, p)) in rows.zip(scale).zip(batch.pairs()) {
        for ((out, &t), &p) in out.iter_mut().zip(t).zip(p) {
            let d = -scale * t.clamp(EPSILON, 1.0) / p.clamp(EPSILON, 1.0);
            *out = clip_d(p, EPSILON, 1.0, d);
        }
    }
}

/// `(1 - p_label^q) / q`.
pub(super) fn generalized(t: &[f32], p: &[f32], q: f32) -> f32 {
    (1.0 - probability_of(label(t), p).powf(q)) / q
}

/// The probability of a class, 0 for a label outside the classes, as the sum of products with a
/// one-hot row that it is in Keras: not a number where one of the others is not finite.
fn probability_of(class: Option<usize>, p: &[f32]) -> f32 {
    let products = p.iter().enumerate();
    products
        .map(|(index, p)| if Some(index) == class { *p } else { p * 0.0 })
        .sum()
}

pub(super) fn generalized_gradient(batch: &Batch, scale: &[f32], q: f32, out: &mut [f32]) {
    let rows = out.chunks_exact_mut(batch.width.max(1));
    for ((out, &scale), (t, p)) in rows.zip(scale).zip(batch.pairs()) {
        let class = label(t);
        let d = -scale * probability_of(class, p).powf(q - 1.0);
        // A probability of 0 has an infinite derivative, and infinity times 0 is not a number.
        out.fill(d * 0.0);
        if let Some(out) = class.and_then(|class| out.get_mut(class)) {
            *out = d;
        }
    }
}
