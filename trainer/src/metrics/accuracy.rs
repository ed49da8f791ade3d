//! Whether predictions hit: the per-sample values of the accuracy family.

use serde_json::{Map, Value, json};

use super::mean::Function;
use crate::keras::entries;
use crate::losses::{Batch, Wanted, label};

/// Largest value, NaN left out, in sixteen lanes so that it vectorizes.
#[inline(always)]
fn maximum(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; 16];
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let chunks = x.chunks_exact(16);
    let tail = chunks.remainder();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(tail) {
        *lane = larger(*lane, x);
    }
    lanes.into_iter().fold(f32::NEG_INFINITY, larger)
}

/// Index of the largest value; the first of equals, 0 in a row of NaN.
#[inline(always)]
pub(super) fn argmax(x: &[f32]) -> usize {
    let largest = maximum(x);
    x.iter().position(|&x| x == largest).unwrap_or(0)
}

fn hit(hit: bool) -> f32 {
    if hit { 1.0 } else { 0.0 }
}

/// Share of each row's elements for which `f(y_true, y_pred)`.
fn share(batch: &Batch, out: &mut [f32], f: impl Fn(f32, f32) -> bool) {
    for (out, (t, p)) in out.iter_mut().zip(batch.pairs()) {
        let hits: f32 = if t.len() == p.len() {
            t.iter().zip(p).map(|(&t, &p)| hit(f(t, p))).sum()
        } else {
            let t = t.first().copied().unwrap_or(f32::NAN);
            p.iter().map(|&p| hit(f(t, p))).sum()
        };
        *out = hits / p.len() as f32;
    }
}

/// Whether fewer than `k` predictions are larger than that of the class.
///
/// TensorFlow's `in_top_k`: a row with a value that is not finite misses, ties hit.
fn in_top_k(class: Option<usize>, p: &[f32], k: usize) -> bool {
    let Some(&target) = class.and_then(|class| p.get(class)) else {
        return false;
    };
    target.is_finite()
        && p.iter().all(|p| p.is_finite())
        && p.iter().filter(|&&p| p > target).count() < k
}

/// Elements that are equal.
#[derive(Debug)]
pub(super) struct Accuracy;

impl Function for Accuracy {
    fn values(&self, batch: &Batch, out: &mut [f32]) {
        share(batch, out, |t, p| t == p);
    }

    fn wanted(&self, _y_true_width: usize, _width: usize) -> Option<Wanted> {
        Some(Wanted::Elementwise)
    }
}

/// Elements on the target's side of the threshold; the threshold itself is class 0.
#[derive(Debug)]
pub(super) struct BinaryAccuracy {
    pub threshold: f64,
}

impl Function for BinaryAccuracy {
    fn values(&self, batch: &Batch, out: &mut [f32]) {
        let threshold = self.threshold as f32; // Keras compares in f32
        share(batch, out, |t, p| t == hit(p > threshold));
    }

    fn options(&self) -> Map<String, Value> {
        entries([("threshold", json!(self.threshold))])
    }

    fn wanted(&self, _y_true_width: usize, _width: usize) -> Option<Wanted> {
        Some(Wanted::Elementwise)
    }
}

/// Rows whose largest prediction is where the largest target is.
#[derive(Debug)]
pub(super) struct CategoricalAccuracy;

impl Function for CategoricalAccuracy {
    fn values(&self, batch: &Batch, out: &mut [f32]) {
        batch.by_row(out, |t, p| hit(argmax(t) == argmax(p)));
    }

    fn wanted(&self, _y_true_width: usize, _width: usize) -> Option<Wanted> {
        None
    }
}

/// Rows whose largest prediction is at the target's index.
#[derive(Debug)]
pub(super) struct SparseCategoricalAccuracy;

impl Function for SparseCategoricalAccuracy {
    fn values(&self, batch: &Batch, out: &mut [f32]) {
        batch.by_row(out, |t, p| hit(t.first() == Some(&(argmax(p) as f32))));
    }

    fn wanted(&self, _y_true_width: usize, _width: usize) -> Option<Wanted> {
        Some(Wanted::Index)
    }
}

/// Rows whose largest target is among the `k` largest predictions.
#[derive(Debug)]
pub(super) struct TopKCategoricalAccuracy {
    pub k: usize,
}

impl Function for TopKCategoricalAccuracy {
    fn values(&self, batch: &Batch, out: &mut [f32]) {
        batch.by_row(out, |t, p| hit(in_top_k(Some(argmax(t)), p, self.k)));
    }

    fn options(&self) -> Map<String, Value> {
        entries([("k", json!(self.k))])
    }

    fn wanted(&self, _y_true_width: usize, _width: usize) -> Option<Wanted> {
        Some(Wanted::SameWidth)
    }
}

/// Rows whose class index is among the `k` largest predictions, or, with `from_sorted_ids`, among
/// the first `k` predictions, which are then class indices themselves.
#[derive(Debug)]
pub(super) struct SparseTopKCategoricalAccuracy {
    pub k: usize,
    pub from_sorted_ids: bool,
}

impl Function for SparseTopKCategoricalAccuracy {
    fn values(&self, batch: &Batch, out: &mut [f32]) {
        batch.by_row(out, |t, p| {
            hit(match self.from_sorted_ids {
                true => p.iter().take(self.k).any(|p| t.first() == Some(p)),
                false => in_top_k(label(t), p, self.k),
            })
        });
    }

    fn options(&self) -> Map<String, Value> {
        let mut options = entries([("k", json!(self.k))]);
        if self.from_sorted_ids {
            options.insert("from_sorted_ids".into(), json!(true));
        }
        options
    }

    fn wanted(&self, _y_true_width: usize, _width: usize) -> Option<Wanted> {
        Some(Wanted::Index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_predictions_is_the_prediction() {
        assert_eq!(argmax(&[0.25, 0.25, 0.5, 0.5]), 2);
        assert_eq!(argmax(&[f32::NAN; 3]), 0);
        let wide: Vec<f32> = (0..40).map(|i| if i == 33 { 2.0 } else { 1.0 }).collect();
        assert_eq!(argmax(&wide), 33);
    }

    #[test]
    fn one_half_is_class_zero() {
        let mut out = [9.0; 2];
        let batch = Batch::new(&[0.0, 1.0], 1, &[0.5, 0.5], 1);
        BinaryAccuracy { threshold: 0.5 }.values(&batch, &mut out);
        assert_eq!(out, [1.0, 0.0]);
    }

    #[test]
    fn a_tie_with_the_kth_prediction_hits() {
        // Class 2 ties with three others; none is larger, so it is in the top 1.
        let mut out = [9.0];
        let top = |k| SparseTopKCategoricalAccuracy {
            k,
            from_sorted_ids: false,
        };
        top(1).values(&Batch::new(&[2.0], 1, &[0.25; 4], 4), &mut out);
        assert_eq!(out, [1.0]);
        top(2).values(&Batch::new(&[0.0], 1, &[0.1, 0.5, 0.4], 3), &mut out);
        assert_eq!(out, [0.0]);
    }
}
