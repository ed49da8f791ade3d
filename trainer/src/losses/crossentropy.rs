//! Binary, categorical and sparse categorical crossentropy, from logits or from probabilities.
//!
//! The categorical gradient from logits is `probability - target` as in TensorFlow's fused operation;
//! where the model's own softmax has just computed those probabilities, they are not computed again.
//! The binary one does not cancel: a saturated sigmoid keeps its small gradient.

use serde_json::{Map, Value, json};

use super::batch::{Batch, Logits};
use super::kind::{Answer, LossFunction, LossKind};
use super::math::{at_least, log1p_unit, sum_map, sum_pairs};
use super::targets::Wanted;
use super::{EPSILON, ONE_MINUS_EPSILON, clip_d, elementwise, label};
use crate::Result;
use crate::activations::math::exp;
use crate::keras::{Object, entries};

/// Mean of `-t ln(p) - (1 - t) ln(1 - p)`, for targets from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BinaryCrossentropy {
    /// Predictions are logits, not probabilities. Defaults to false.
    pub from_logits: bool,
    /// Pulls targets towards 1/2, in [0, 1]. Defaults to 0.
    pub label_smoothing: f64,
}

/// `-Σ t ln(p)`, for one-hot targets or probabilities of the classes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CategoricalCrossentropy {
    /// Predictions are logits, not probabilities. Defaults to false.
    pub from_logits: bool,
    /// Pulls targets towards 1/classes, in [0, 1]. Defaults to 0.
    pub label_smoothing: f64,
}

/// `-ln(p)` of the right class, for targets that are class indices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SparseCategoricalCrossentropy {
    /// Predictions are logits, not probabilities. Defaults to false.
    pub from_logits: bool,
    /// Samples of this class count for nothing. Defaults to none.
    pub ignore_class: Option<i64>,
}

/// Keras' `"crossentropy"`: binary, sparse or categorical by the widths of the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crossentropy;

impl LossFunction for BinaryCrossentropy {
    fn read(options: &Object) -> Result<Self> {
        Ok(Self {
            from_logits: options.flag_or("from_logits", false)?,
            label_smoothing: options.fraction_or("label_smoothing", 0.0)?,
        })
    }

    fn options(&self) -> Map<String, Value> {
        entries([
            ("from_logits", json!(self.from_logits)),
            ("label_smoothing", json!(self.label_smoothing)),
            ("axis", json!(-1)),
        ])
    }

    fn value(&self, batch: &Batch, out: &mut [f32]) {
        let smooth = Smoothing::new(self.label_smoothing, 2);
        match Source::of(batch, self.from_logits) {
            Source::Logits(x) | Source::Softmax(x) => {
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

    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        let smooth = Smoothing::new(self.label_smoothing, 2);
        match Source::of(batch, self.from_logits) {
            Source::Logits(x) | Source::Softmax(x) => {
                let batch = Batch {
                    y_pred: x,
                    ..*batch
                };
                elementwise::gradient(&batch, scale, out, |g, t, x| {
                    g * binary_from_logit_d(smooth.apply(t), x)
                });
            }
            Source::Probabilities => {
                elementwise::gradient(batch, scale, out, |g, t, p| {
                    g * binary_from_probability_d(smooth.apply(t), p)
                });
            }
        }
    }

    fn wanted(&self) -> Wanted {
        Wanted::SameWidth
    }

    fn answer(&self) -> Answer {
        match self.from_logits {
            true => Answer::Logit,
            false => Answer::Probability,
        }
    }

    fn takes_logits(&self) -> bool {
        true
    }

    fn metric_class(&self) -> Option<&'static str> {
        Some("BinaryCrossentropy")
    }

    /// Keras' metric has no axis.
    fn metric_options(&self) -> Map<String, Value> {
        let mut options = self.options();
        options.shift_remove("axis");
        options
    }
}

impl LossFunction for CategoricalCrossentropy {
    fn read(options: &Object) -> Result<Self> {
        Ok(Self {
            from_logits: options.flag_or("from_logits", false)?,
            label_smoothing: options.fraction_or("label_smoothing", 0.0)?,
        })
    }

    fn options(&self) -> Map<String, Value> {
        entries([
            ("from_logits", json!(self.from_logits)),
            ("label_smoothing", json!(self.label_smoothing)),
            ("axis", json!(-1)),
        ])
    }

    fn value(&self, batch: &Batch, out: &mut [f32]) {
        let smooth = Smoothing::new(self.label_smoothing, batch.y_true_width);
        let row_from_logits = |t: &[f32], x: &[f32], largest: f32, log_sum: f32| {
            sum_pairs(t, x, |t, x| smooth.apply(t) * (log_sum - (x - largest)))
        };
        match Source::of(batch, self.from_logits) {
            Source::Softmax(x) => {
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

    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        let smooth = Smoothing::new(self.label_smoothing, batch.y_true_width);
        let source = Source::of(batch, self.from_logits);
        let rows = out.chunks_exact_mut(batch.width.max(1)).zip(scale);
        match source {
            Source::Softmax(_) => {
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
                    // Derivative to the normalized probability q, before the normalization's own; in
                    // TensorFlow's order, because the two parts cancel.
                    let d = |t: f32, q: f32| {
                        let inverse = 1.0 / q.clamp(EPSILON, ONE_MINUS_EPSILON);
                        let d = -scale * smooth.apply(t) * inverse;
                        clip_d(q, EPSILON, ONE_MINUS_EPSILON, d)
                    };
                    let to_total = sum_pairs(t, p, |t, p| d(t, p / total) * (-p / total / total));
                    for ((out, &t), p) in out.iter_mut().zip(t).zip(p) {
                        *out = d(t, p / total) / total + to_total;
                    }
                }
            }
        }
    }

    fn wanted(&self) -> Wanted {
        Wanted::SameWidth
    }

    fn answer(&self) -> Answer {
        Answer::Class
    }

    fn takes_logits(&self) -> bool {
        true
    }

    fn metric_class(&self) -> Option<&'static str> {
        Some("CategoricalCrossentropy")
    }
}

impl SparseCategoricalCrossentropy {
    /// Whether the row is left out.
    #[inline(always)]
    fn ignores(&self, t: &[f32]) -> bool {
        let class = self.ignore_class;
        class.is_some_and(|class| t.first() == Some(&(class as f32)))
    }

    /// An ignored class replaces the predictions of its rows, and with that forgets their logits.
    fn source<'a>(&self, batch: &Batch<'a>) -> Source<'a> {
        let logits = batch.logits.filter(|_| self.ignore_class.is_none());
        Source::of(&Batch { logits, ..*batch }, self.from_logits)
    }
}

impl LossFunction for SparseCategoricalCrossentropy {
    fn read(options: &Object) -> Result<Self> {
        Ok(Self {
            from_logits: options.flag_or("from_logits", false)?,
            ignore_class: options.signed("ignore_class")?,
        })
    }

    fn options(&self) -> Map<String, Value> {
        entries([
            ("from_logits", json!(self.from_logits)),
            ("ignore_class", json!(self.ignore_class)),
        ])
    }

    fn value(&self, batch: &Batch, out: &mut [f32]) {
        let entry = |t: &[f32], x: &[f32]| {
            let value = label(t).and_then(|class| x.get(class));
            value.copied().unwrap_or(f32::NAN)
        };
        match self.source(batch) {
            Source::Softmax(x) => {
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
                    *out = if self.ignores(t) {
                        0.0
                    } else {
                        let (largest, log_sum) = log_sum(x);
                        log_sum - (entry(t, x) - largest)
                    };
                }
            }
            Source::Probabilities => {
                for (out, (t, p)) in out.iter_mut().zip(batch.pairs()) {
                    *out = if self.ignores(t) {
                        0.0
                    } else {
                        let (largest, log_sum) = log_sum_of_probabilities(p);
                        log_sum - (clipped_log(entry(t, p)) - largest)
                    };
                }
            }
        }
    }

    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        let source = self.source(batch);
        let rows = out.chunks_exact_mut(batch.width.max(1)).zip(scale);
        match source {
            Source::Softmax(_) => {
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
                    if self.ignores(t) {
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
                    if self.ignores(t) {
                        out.fill(0.0);
                        continue;
                    }
                    for (out, &p) in out.iter_mut().zip(p) {
                        *out = clipped_log(p);
                    }
                    softmax_in_place(out);
                    out.iter_mut().for_each(|out| *out *= scale);
                    subtract_label(t, scale, out);
                    for (out, &p) in out.iter_mut().zip(p) {
                        let d = *out * (1.0 / p.clamp(EPSILON, ONE_MINUS_EPSILON));
                        *out = clip_d(p, EPSILON, ONE_MINUS_EPSILON, d);
                    }
                }
            }
        }
    }

    fn wanted(&self) -> Wanted {
        Wanted::Index
    }

    fn answer(&self) -> Answer {
        Answer::Class
    }

    fn takes_logits(&self) -> bool {
        self.ignore_class.is_none()
    }

    fn masks(&self) -> bool {
        self.ignore_class.is_some()
    }

    fn counts(&self, batch: &Batch, i: usize, _loss: f32) -> bool {
        !self.ignores(batch.y_true.get(i..i + 1).unwrap_or_default())
    }

    fn is_label(&self, target: f32, classes: usize) -> bool {
        (target > -1.0 && target < classes as f32) || self.ignores(&[target])
    }

    fn metric_class(&self) -> Option<&'static str> {
        Some("SparseCategoricalCrossentropy")
    }

    /// Keras' metric has an axis.
    fn metric_options(&self) -> Map<String, Value> {
        let mut options = self.options();
        options.insert("axis".into(), json!(-1));
        options
    }
}

impl LossFunction for Crossentropy {
    fn value(&self, batch: &Batch, out: &mut [f32]) {
        self.of(batch.y_true_width, batch.width)
            .per_sample(batch, out);
    }

    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        self.of(batch.y_true_width, batch.width)
            .gradient(batch, scale, out);
    }

    fn wanted(&self) -> Wanted {
        Wanted::SameWidth
    }

    fn answer(&self) -> Answer {
        Answer::Class
    }

    fn takes_logits(&self) -> bool {
        true
    }

    fn resolved(&self, y_true_width: usize, width: usize) -> Option<LossKind> {
        Some(self.of(y_true_width, width))
    }
}

impl Crossentropy {
    fn of(&self, y_true_width: usize, width: usize) -> LossKind {
        match (y_true_width, width) {
            (_, 1) => BinaryCrossentropy::default().into(),
            (1, _) => SparseCategoricalCrossentropy::default().into(),
            _ => CategoricalCrossentropy::default().into(),
        }
    }
}

/// What the predictions of a crossentropy are.
#[derive(Clone, Copy)]
enum Source<'a> {
    /// Probabilities that no known activation made.
    Probabilities,
    /// Logits given as the predictions themselves, or pre-activations of a sigmoid.
    Logits(&'a [f32]),
    /// Logits whose softmax is the batch's predictions.
    Softmax(&'a [f32]),
}

impl<'a> Source<'a> {
    fn of(batch: &Batch<'a>, from_logits: bool) -> Self {
        match batch.logits {
            Some(Logits::Softmax(x)) => Self::Softmax(x),
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

/// Derivative of [`binary_from_logit`]: `σ(x) - t`, without cancellation where they are close to 1.
#[inline(always)]
pub(super) fn binary_from_logit_d(t: f32, x: f32) -> f32 {
    let e = exp(-x.abs());
    let rest = e / (1.0 + e);
    if x >= 0.0 { (1.0 - t) - rest } else { rest - t }
}

/// The same from a probability, clipped to [1e-7, 1 - 1e-7].
#[inline(always)]
pub(super) fn binary_from_probability(t: f32, p: f32) -> f32 {
    let p = p.clamp(EPSILON, ONE_MINUS_EPSILON);
    -(t * p.ln() + (1.0 - t) * (1.0 - p).ln())
}

#[inline(always)]
pub(super) fn binary_from_probability_d(t: f32, p: f32) -> f32 {
    let inside = p.clamp(EPSILON, ONE_MINUS_EPSILON);
    let d = (1.0 - t) / (1.0 - inside) - t / inside;
    clip_d(p, EPSILON, ONE_MINUS_EPSILON, d)
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

/// Logarithm of a probability clipped to [1e-7, 1 - 1e-7], which Keras takes for a logit.
fn clipped_log(p: f32) -> f32 {
    p.clamp(EPSILON, ONE_MINUS_EPSILON).ln()
}

/// [`log_sum`] of a row's [`clipped_log`].
fn log_sum_of_probabilities(p: &[f32]) -> (f32, f32) {
    let largest = clipped_log(maximum(p));
    let total = sum_map(p, |p| exp(clipped_log(p) - largest));
    (largest, total.ln())
}

/// `out = softmax(x)`.
#[inline(always)]
pub(super) fn softmax(x: &[f32], out: &mut [f32]) {
    out.copy_from_slice(x);
    softmax_in_place(out);
}

#[inline(always)]
fn softmax_in_place(out: &mut [f32]) {
    let largest = maximum(out);
    for out in out.iter_mut() {
        *out = exp(*out - largest);
    }
    let total = sum_map(out, |e| e);
    for out in out.iter_mut() {
        *out /= total;
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
