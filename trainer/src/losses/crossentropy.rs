//! Binary, categorical and sparse categorical crossentropy, from logits or from probabilities.
//!
//! The gradient from logits is `probability - target` as in TensorFlow's fused operations; where
//! the model's own activation has just computed those probabilities, they are not computed again.

use super::batch::{Batch, Logits};
use super::math::{at_least, exp, log1p_unit, sigmoid, sum_map, sum_pairs};
use super::{EPSILON, ONE_MINUS_EPSILON, clip_d, elementwise, label};

/// What the predictions of a crossentropy are.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    /// Probabilities that no known activation made.
    Probabilities,
    /// Logits given as the predictions themselves, or pre-activations of the other activation.
    Logits(&'a [f32]),
    /// Logits whose probabilities are the batch's predictions.
    Fused(&'a [f32]),
}

impl<'a> Source<'a> {
    /// For a crossentropy that squashes with sigmoid.
    pub(super) fn sigmoid(batch: &Batch<'a>, from_logits: bool) -> Self {
        match batch.logits {
            Some(Logits::Sigmoid(x)) => Self::Fused(x),
            Some(Logits::Softmax(x)) => Self::Logits(x),
            None if from_logits => Self::Logits(batch.y_pred),
            None => Self::Probabilities,
        }
    }

    /// For a crossentropy that squashes with softmax.
    fn softmax(batch: &Batch<'a>, from_logits: bool) -> Self {
        match batch.logits {
            Some(Logits::Softmax(x)) => Self::Fused(x),
            Some(Logits::Sigmoid(x)) => Self::Logits(x),
            None if from_logits => Self::Logits(batch.y_pred),
            None => Self::Probabilities,
        }
    }
}

/// Targets pulled towards an even distribution: `t · keep + add`.
#[derive(Clone, Copy)]
pub(super) struct Smoothing {
    keep: f32,
    add: f32,
}

impl Smoothing {
    pub(super) fn new(label_smoothing: f64, classes: usize) -> Self {
        Self {
            keep: (1.0 - label_smoothing) as f32,
            add: label_smoothing as f32 / classes as f32,
        }
    }

    #[inline(always)]
    pub(super) fn apply(self, t: f32) -> f32 {
        t * self.keep + self.add
    }
}

/// `-(t log σ(x) + (1 - t) log(1 - σ(x)))`.
#[inline(always)]
pub(super) fn binary_from_logit(t: f32, x: f32) -> f32 {
    at_least(x, 0.0) - x * t + log1p_unit(exp(-x.abs()))
}

/// The same from a probability, clipped to [1e-7, 1 - 1e-7].
#[inline(always)]
pub(super) fn binary_from_probability(t: f32, p: f32) -> f32 {
    let p = p.clamp(EPSILON, ONE_MINUS_EPSILON);
    -(t * p.ln() + (1.0 - t) * (1.0 - p).ln())
}

#[inline(always)]
pub(super) fn binary_from_probability_d(t: f32, p: f32) -> f32 {
    let inside = clip_d(p, EPSILON, ONE_MINUS_EPSILON);
    let p = p.clamp(EPSILON, ONE_MINUS_EPSILON);
    inside * ((1.0 - t) / (1.0 - p) - t / p)
}

pub(super) fn binary(batch: &Batch, from_logits: bool, label_smoothing: f64, out: &mut [f32]) {
    let smooth = Smoothing::new(label_smoothing, 2);
    match Source::sigmoid(batch, from_logits) {
        Source::Logits(x) | Source::Fused(x) => {
            let batch = Batch {
                y_pred: x,
                ..*batch
            };
            elementwise::mean(&batch, out, |t, x| binary_from_logit(smooth.apply(t), x));
        }
        Source::Probabilities => {
            elementwise::mean(batch, out, |t, p| {
                binary_from_probability(smooth.apply(t), p)
            });
        }
    }
}

pub(super) fn binary_gradient(
    batch: &Batch,
    from_logits: bool,
    label_smoothing: f64,
    scale: &[f32],
    out: &mut [f32],
) {
    let smooth = Smoothing::new(label_smoothing, 2);
    match Source::sigmoid(batch, from_logits) {
        Source::Fused(_) => {
            elementwise::gradient(batch, scale, out, |t, p| p - smooth.apply(t));
        }
        Source::Logits(x) => {
            let batch = Batch {
                y_pred: x,
                ..*batch
            };
            elementwise::gradient(&batch, scale, out, |t, x| sigmoid(x) - smooth.apply(t));
        }
        Source::Probabilities => {
            elementwise::gradient(batch, scale, out, |t, p| {
                binary_from_probability_d(smooth.apply(t), p)
            });
        }
    }
}

/// Largest logit of a row and `log Σ exp(x - largest)`.
#[inline(always)]
fn log_sum(x: &[f32]) -> (f32, f32) {
    let largest = maximum(x);
    let total = sum_map(x, |x| exp(x - largest));
    (largest, total.ln())
}

#[inline(always)]
pub(super) fn maximum(x: &[f32]) -> f32 {
    x.iter()
        .fold(f32::NEG_INFINITY, |m, &x| if x > m { x } else { m })
}

/// `log Σ exp(x - largest)` of a row whose softmax `p` is known: the largest probability is its
/// inverse.
#[inline(always)]
fn log_sum_of_softmax(p: &[f32]) -> f32 {
    -maximum(p).ln()
}

/// `out = softmax(x)`.
#[inline(always)]
pub(super) fn softmax(x: &[f32], out: &mut [f32]) {
    let largest = maximum(x);
    for (out, x) in out.iter_mut().zip(x) {
        *out = exp(x - largest);
    }
    let inverse = 1.0 / sum_map(out, |e| e);
    for out in out.iter_mut() {
        *out *= inverse;
    }
}

pub(super) fn categorical(batch: &Batch, from_logits: bool, label_smoothing: f64, out: &mut [f32]) {
    let smooth = Smoothing::new(label_smoothing, batch.y_true_width);
    let row_from_logits = |t: &[f32], x: &[f32], largest: f32, log_sum: f32| {
        sum_pairs(t, x, |t, x| smooth.apply(t) * (log_sum - (x - largest)))
    };
    match Source::softmax(batch, from_logits) {
        Source::Fused(x) => {
            let logits = x.chunks_exact(batch.width.max(1));
            for ((out, (t, p)), x) in out.iter_mut().zip(batch.pairs()).zip(logits) {
                *out = row_from_logits(t, x, maximum(x), log_sum_of_softmax(p));
            }
        }
        Source::Logits(x) => {
            let batch = Batch {
                y_pred: x,
                ..*batch
            };
            for (out, (t, x)) in out.iter_mut().zip(batch.pairs()) {
                let (largest, log_sum) = log_sum(x);
                *out = row_from_logits(t, x, largest, log_sum);
            }
        }
        Source::Probabilities => {
            for (out, (t, p)) in out.iter_mut().zip(batch.pairs()) {
                let total = sum_map(p, |p| p);
                *out = -sum_pairs(t, p, |t, p| {
                    smooth.apply(t) * (p / total).clamp(EPSILON, ONE_MINUS_EPSILON).ln()
                });
            }
        }
    }
}

pub(super) fn categorical_gradient(
    batch: &Batch,
    from_logits: bool,
    label_smoothing: f64,
    scale: &[f32],
    out: &mut [f32],
) {
    let smooth = Smoothing::new(label_smoothing, batch.y_true_width);
    let source = Source::softmax(batch, from_logits);
    let rows = out.chunks_exact_mut(batch.width.max(1)).zip(scale);
    match source {
        Source::Fused(_) => {
            for ((out, &scale), (t, p)) in rows.zip(batch.pairs()) {
                for ((out, &t), p) in out.iter_mut().zip(t).zip(p) {
                    *out = scale * (p - smooth.apply(t));
                }
            }
        }
        Source::Logits(x) => {
            let batch = Batch {
                y_pred: x,
                ..*batch
            };
            for ((out, &scale), (t, x)) in rows.zip(batch.pairs()) {
                softmax(x, out);
                for (out, &t) in out.iter_mut().zip(t) {
                    *out = scale * (*out - smooth.apply(t));
                }
            }
        }
        Source::Probabilities => {
            for ((out, &scale), (t, p)) in rows.zip(batch.pairs()) {
                let total = sum_map(p, |p| p);
                // Derivative to the normalized probability q, before the normalization's own.
                let d = |t: f32, q: f32| {
                    let inside = clip_d(q, EPSILON, ONE_MINUS_EPSILON);
                    -inside * smooth.apply(t) / q.clamp(EPSILON, ONE_MINUS_EPSILON)
                };
                let dot = sum_pairs(t, p, |t, p| d(t, p / total) * (p / total));
                for ((out, &t), p) in out.iter_mut().zip(t).zip(p) {
                    *out = scale * (d(t, p / total) - dot) / total;
                }
            }
        }
    }
}

/// Whether the row is left out of a sparse crossentropy.
#[inline(always)]
pub(super) fn ignored(t: &[f32], ignore_class: Option<i64>) -> bool {
    ignore_class.is_some_and(|class| t.first() == Some(&(class as f32)))
}

pub(super) fn sparse(batch: &Batch, from_logits: bool, ignore_class: Option<i64>, out: &mut [f32]) {
    let entry = |t: &[f32], x: &[f32]| {
        let value = label(t).and_then(|class| x.get(class));
        value.copied().unwrap_or(f32::NAN)
    };
    match sparse_source(batch, from_logits, ignore_class) {
        Source::Fused(x) => {
            let logits = x.chunks_exact(batch.width.max(1));
            for ((out, (t, p)), x) in out.iter_mut().zip(batch.pairs()).zip(logits) {
                *out = log_sum_of_softmax(p) - (entry(t, x) - maximum(x));
            }
        }
        Source::Logits(x) => {
            let batch = Batch {
                y_pred: x,
                ..*batch
            };
            for (out, (t, x)) in out.iter_mut().zip(batch.pairs()) {
                *out = if ignored(t, ignore_class) {
                    0.0
                } else {
                    let (largest, log_sum) = log_sum(x);
                    log_sum - (entry(t, x) - largest)
                };
            }
        }
        Source::Probabilities => {
            for (out, (t, p)) in out.iter_mut().zip(batch.pairs()) {
                *out = if ignored(t, ignore_class) {
                    0.0
                } else {
                    let clip = |p: f32| p.clamp(EPSILON, ONE_MINUS_EPSILON);
                    sum_map(p, clip).ln() - clip(entry(t, p)).ln()
                };
            }
        }
    }
}

/// An ignored class replaces the predictions of its rows, and with that forgets their logits.
fn sparse_source<'a>(
    batch: &Batch<'a>,
    from_logits: bool,
    ignore_class: Option<i64>,
) -> Source<'a> {
    let logits = batch.logits.filter(|_| ignore_class.is_none());
    Source::softmax(&Batch { logits, ..*batch }, from_logits)
}

pub(super) fn sparse_gradient(
    batch: &Batch,
    from_logits: bool,
    ignore_class: Option<i64>,
    scale: &[f32],
    out: &mut [f32],
) {
    let source = sparse_source(batch, from_logits, ignore_class);
    let rows = out.chunks_exact_mut(batch.width.max(1)).zip(scale);
    match source {
        Source::Fused(_) => {
            for ((out, &scale), (t, p)) in rows.zip(batch.pairs()) {
                for (out, p) in out.iter_mut().zip(p) {
                    *out = scale * p;
                }
                subtract_label(t, scale, out);
            }
        }
        Source::Logits(x) => {
            let batch = Batch {
                y_pred: x,
                ..*batch
            };
            for ((out, &scale), (t, x)) in rows.zip(batch.pairs()) {
                if ignored(t, ignore_class) {
                    out.fill(0.0);
                    continue;
                }
                softmax(x, out);
                for out in out.iter_mut() {
                    *out *= scale;
                }
                subtract_label(t, scale, out);
            }
        }
        Source::Probabilities => {
            for ((out, &scale), (t, p)) in rows.zip(batch.pairs()) {
                if ignored(t, ignore_class) {
                    out.fill(0.0);
                    continue;
                }
                let clip = |p: f32| p.clamp(EPSILON, ONE_MINUS_EPSILON);
                let total = sum_map(p, clip);
                for (out, &p) in out.iter_mut().zip(p) {
                    *out = scale * (clip(p) / total);
                }
                subtract_label(t, scale, out);
                for (out, &p) in out.iter_mut().zip(p) {
                    *out *= clip_d(p, EPSILON, ONE_MINUS_EPSILON) / clip(p);
                }
            }
        }
    }
}

/// Subtracts `scale` where the one-hot target is 1; a label outside the classes spoils the row.
#[inline(always)]
fn subtract_label(t: &[f32], scale: f32, out: &mut [f32]) {
    match label(t).and_then(|class| out.get_mut(class)) {
        Some(out) => *out -= scale,
        None => out.fill(f32::NAN),
    }
}
