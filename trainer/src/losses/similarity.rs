//! Losses between whole rows: cosine similarity, Kullback-Leibler divergence, generalized
//! crossentropy.

use serde_json::{Map, Value, json};

use super::batch::Batch;
use super::kind::{Answer, LossFunction};
use super::math::{sum_map, sum_pairs};
use super::targets::Wanted;
use super::{EPSILON, clip_d, label};
use crate::Result;
use crate::keras::{Object, entries};

/// Minus the cosine of the angle between target and prediction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CosineSimilarity;

/// `Σ t ln(t / p)`, for probabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KLDivergence;

/// `(1 - p^q) / q` with the probability p of the right class: tolerates wrong labels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CategoricalGeneralizedCrossEntropy {
    /// Noise parameter, between 0 and 1. Defaults to 0.5.
    pub q: f64,
}

impl Default for CategoricalGeneralizedCrossEntropy {
    fn default() -> Self {
        Self { q: 0.5 }
    }
}

impl LossFunction for CosineSimilarity {
    fn value(&self, batch: &Batch, out: &mut [f32]) {
        batch.by_row(out, |t, p| -cosine(t, p));
    }

    /// `-t̂ / |p| + p (t̂ · p) / |p|³`; without the second term where the norm was cut off, because the
    /// cut has no derivative.
    ///
    /// The two terms nearly cancel where the vectors agree, so the order of operations is TensorFlow's.
    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
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

    fn wanted(&self) -> Wanted {
        Wanted::Elementwise
    }

    fn answer(&self) -> Answer {
        Answer::Numbers
    }
}

impl LossFunction for KLDivergence {
    /// `Σ t log(t / p)`, both clipped to `[1e-7, 1]`.
    fn value(&self, batch: &Batch, out: &mut [f32]) {
        batch.by_row(out, |t, p| {
            sum_pairs(t, p, |t, p| {
                let (t, p) = (t.clamp(EPSILON, 1.0), p.clamp(EPSILON, 1.0));
                t * (t / p).ln()
            })
        });
    }

    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        let rows = out.chunks_exact_mut(batch.width.max(1));
        for ((out, &scale), (t, p)) in rows.zip(scale).zip(batch.pairs()) {
            for ((out, &t), &p) in out.iter_mut().zip(t).zip(p) {
                let d = -scale * t.clamp(EPSILON, 1.0) / p.clamp(EPSILON, 1.0);
                *out = clip_d(p, EPSILON, 1.0, d);
            }
        }
    }

    fn wanted(&self) -> Wanted {
        Wanted::SameWidth
    }

    fn answer(&self) -> Answer {
        Answer::Distribution
    }

    fn metric_class(&self) -> Option<&'static str> {
        Some("KLDivergence")
    }

    fn crosses(&self) -> bool {
        true
    }
}

impl LossFunction for CategoricalGeneralizedCrossEntropy {
    fn read(options: &Object) -> Result<Self> {
        let q = options.number_or("q", 0.5)?;
        if !(q > 0.0 && q < 1.0) {
            return Err(options.bad("q", &json!(q), "a number between 0 and 1"));
        }
        Ok(Self { q })
    }

    fn options(&self) -> Map<String, Value> {
        entries([("q", json!(self.q))])
    }

    fn value(&self, batch: &Batch, out: &mut [f32]) {
        let q = self.q as f32; // Keras computes in f32
        batch.by_row(out, |t, p| (1.0 - probability_of(label(t), p).powf(q)) / q);
    }

    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        let q = self.q as f32;
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

    fn wanted(&self) -> Wanted {
        Wanted::Index
    }

    fn answer(&self) -> Answer {
        Answer::Class
    }

    /// Keras' gradient of a row of no class is not a number.
    fn is_label(&self, target: f32, classes: usize) -> bool {
        target > -1.0 && target < classes as f32
    }

    /// As it learns nothing from them: in Keras, class indices of shape (rows, 1) are one-hot
    /// (rows, 1, classes), and every prediction is held against the classes of all rows of its batch.
    /// Keras itself brings the indices of a single output into this shape.
    fn check_widths(&self, flat: bool, y_true_width: usize, width: usize) -> Result<(), String> {
        self.wanted().check(y_true_width, width)?;
        if width == 1 {
            return Err("at least 2 columns of predictions, one for each class; add units to the last layer, or use \"binary_crossentropy\"".into());
        }
        if !flat {
            return Err("class indices without a last axis of 1, with which Keras compares every prediction with the classes of all rows; reshape them to one axis less, or use \"sparse_categorical_crossentropy\"".into());
        }
        Ok(())
    }
}

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

/// The probability of a class, 0 for a label outside the classes, as the sum of products with a
/// one-hot row that it is in Keras: not a number where one of the others is not finite.
fn probability_of(class: Option<usize>, p: &[f32]) -> f32 {
    let products = p.iter().enumerate();
    products
        .map(|(index, p)| if Some(index) == class { *p } else { p * 0.0 })
        .sum()
}
