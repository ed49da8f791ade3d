//! Counts of true and false positives and negatives at a list of thresholds.
//!
//! Keras counts in two ways. Evenly spaced thresholds (`AUC`'s 200) sort every prediction into a
//! bucket by one multiplication, which rounds in f32; other lists compare it with each threshold.

use super::weight;
use crate::losses::Batch;
use crate::sums::as_tensorflow;
use crate::variable::NamedArray;

/// What a prediction outside the top k is replaced by, and the threshold below it.
pub(super) const NEGATIVE_INFINITY: f32 = -1e10;

/// Counts per threshold, and per label where labels are kept apart.
#[derive(Clone, Debug)]
pub(super) struct Confusion {
    thresholds: Vec<f32>,
    /// Evenly spaced; `Some(true)` if they also reach beyond 0 or 1.
    even: Option<bool>,
    /// Columns that are counted apart; 1 when all columns are taken together.
    labels: usize,
    /// `[thresholds, labels]` each.
    pub(super) true_positives: Vec<f32>,
    pub(super) false_positives: Vec<f32>,
    pub(super) true_negatives: Vec<f32>,
    pub(super) false_negatives: Vec<f32>,
    /// Weight of true and of false labels per bucket, of the current batch.
    buckets: Vec<[f32; 2]>,
    /// The weights of true and of false labels, 0 for the other ones, per label.
    weights: Vec<[Vec<f32>; 2]>,
}

/// Which predictions take part, and how.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Selection<'a> {
    /// Only the k largest of a row can be positive.
    pub(super) top_k: Option<usize>,
    /// Only this column takes part.
    pub(super) class_id: Option<usize>,
    /// Predictions are logits.
    pub(super) from_logits: bool,
    /// A weight per column.
    pub(super) label_weights: Option<&'a [f32]>,
}

impl Confusion {
    /// Counts at thresholds that Keras finds evenly spaced or not.
    pub(super) fn new(thresholds: &[f64]) -> Self {
        let outside = |t: Option<&f64>| t.is_some_and(|t| !(0.0..=1.0).contains(t));
        let beyond = outside(thresholds.first()) || outside(thresholds.last());
        Self::with_spacing(thresholds, is_even(thresholds).then_some(beyond))
    }

    /// Counts at thresholds whose spacing is known.
    pub(super) fn with_spacing(thresholds: &[f64], even: Option<bool>) -> Self {
        let mut counts = Self {
            thresholds: thresholds.iter().map(|&t| t as f32).collect(),
            even,
            labels: 0,
            true_positives: Vec::new(),
            false_positives: Vec::new(),
            true_negatives: Vec::new(),
            false_negatives: Vec::new(),
            buckets: Vec::new(),
            weights: Vec::new(),
        };
        counts.set_labels(1);
        counts
    }

    /// Counts this many columns apart, from zero.
    pub(super) fn set_labels(&mut self, labels: usize) {
        if self.labels == labels {
            return;
        }
        self.labels = labels;
        let len = self.thresholds.len() * labels;
        for counts in self.all() {
            counts.resize(len, 0.0);
        }
        self.buckets.resize(len, [0.0; 2]);
        self.weights.resize(labels, Default::default());
        self.reset();
    }

    fn all(&mut self) -> [&mut Vec<f32>; 4] {
        [
            &mut self.true_positives,
            &mut self.false_positives,
            &mut self.true_negatives,
            &mut self.false_negatives,
        ]
    }

    pub(super) fn reset(&mut self) {
        for counts in self.all() {
            counts.fill(0.0);
        }
    }

    pub(super) fn thresholds(&self) -> usize {
        self.thresholds.len()
    }

    pub(super) fn labels(&self) -> usize {
        self.labels
    }

    /// A state variable by Keras' name.
    pub(super) fn variable(&self, name: &str, counts: &[f32], multi_label: bool) -> NamedArray {
        let thresholds = self.thresholds.len();
        let shape: &[usize] = if multi_label {
            &[thresholds, self.labels]
        } else {
            &[thresholds]
        };
        NamedArray::f32(name, shape, counts.to_vec())
    }

    /// Counts a batch.
    pub(super) fn update(&mut self, batch: &Batch, weights: Option<&[f32]>, select: Selection) {
        match self.even {
            Some(with_epsilon) => self.update_even(batch, weights, select, with_epsilon),
            None => self.update_each(batch, weights, select),
        }
    }

    /// By buckets: `ceil(p · (n - 1)) - 1` in f32.
    fn update_even(
        &mut self,
        batch: &Batch,
        weights: Option<&[f32]>,
        select: Selection,
        with_epsilon: bool,
    ) {
        let labels = self.labels;
        let last = self.thresholds.len() - 1;
        self.buckets.fill([0.0; 2]);
        self.weights.iter_mut().flatten().for_each(Vec::clear);
        let (buckets, weights_of) = (&mut self.buckets, &mut self.weights);
        for_each(batch, weights, select, |column, positive, p, weight| {
            let column = if labels == 1 { 0 } else { column };
            let side = usize::from(!positive);
            weights_of[column][side].push(weight);
            weights_of[column][1 - side].push(0.0);
            let bucket = (p.clamp(0.0, 1.0) * last as f32).ceil() - 1.0;
            // Prediction 0 lies below the first threshold, unless that is -1e-7.
            let bucket = if with_epsilon {
                bucket.max(0.0)
            } else {
                bucket
            };
            if bucket >= 0.0 {
                buckets[bucket as usize * labels + column][side] += weight;
            }
        });
        for label in 0..labels {
            // Rounded as in Keras: what is left below a threshold is compared with 0 and 1.
            let [positives, negatives] = self.weights[label].each_ref().map(|w| as_tensorflow(w));
            let mut above = [0f32; 2];
            for threshold in (0..=last).rev() {
                let at = threshold * labels + label;
                above[0] += self.buckets[at][0];
                above[1] += self.buckets[at][1];
                self.true_positives[at] += above[0];
                self.false_positives[at] += above[1];
                self.true_negatives[at] += negatives - above[1];
                self.false_negatives[at] += positives - above[0];
            }
        }
    }

    /// By comparing with every threshold.
    fn update_each(&mut self, batch: &Batch, weights: Option<&[f32]>, select: Selection) {
        let labels = self.labels;
        for (i, &threshold) in self.thresholds.iter().enumerate() {
            for label in 0..labels {
                let mut sums = [0f64; 4];
                for_each(batch, weights, select, |column, positive, p, weight| {
                    if labels == 1 || column == label {
                        let cell =
                            usize::from(!positive) + 2 * usize::from(p <= threshold || p.is_nan());
                        sums[cell] += f64::from(weight);
                    }
                });
                let at = i * labels + label;
                let [tp, fp, fn_, tn] = sums.map(|sum| sum as f32);
                self.true_positives[at] += tp;
                self.false_positives[at] += fp;
                self.false_negatives[at] += fn_;
                self.true_negatives[at] += tn;
            }
        }
    }
}

/// Calls `f(column, positive label, prediction, weight)` for every element that takes part.
fn for_each(
    batch: &Batch,
    weights: Option<&[f32]>,
    select: Selection,
    mut f: impl FnMut(usize, bool, f32, f32),
) {
    for (i, (t, p)) in batch.pairs().enumerate() {
        let row_weight = weight(weights, i);
        for (column, (&t, &value)) in t.iter().zip(p).enumerate() {
            if select.class_id.is_some_and(|class| class != column) {
                continue;
            }
            let value = match select.top_k {
                Some(k) if !is_in_top_k(p, column, k) => NEGATIVE_INFINITY,
                _ if select.from_logits => crate::activations::math::sigmoid(value),
                _ => value,
            };
            let label_weight = match select.label_weights {
                Some(weights) => weights.get(column).copied().unwrap_or(0.0),
                None => 1.0,
            };
            f(column, t != 0.0, value, row_weight * label_weight);
        }
    }
}

/// Whether the column is one of the k largest of its row, the first of equals.
fn is_in_top_k(p: &[f32], column: usize, k: usize) -> bool {
    let value = p[column];
    let before = p[..column].iter().filter(|&&p| p >= value).count();
    let after = p[column..].iter().filter(|&&p| p > value).count();
    before + after < k
}

/// `numpy.allclose(thresholds, 0..1 in equal steps, atol=1e-7)`.
pub(super) fn is_even(thresholds: &[f64]) -> bool {
    let n = thresholds.len();
    n >= 3
        && thresholds.iter().enumerate().all(|(i, &threshold)| {
            let even = f64::from(i as f32 / (n - 1) as f32);
            (threshold - even).abs() <= 1e-7 + 1e-5 * even.abs()
        })
}
