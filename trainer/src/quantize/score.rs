//! The score of a model's outputs by the rows' labels.

use ndarray::{ArrayView1, ArrayView2, Axis};
use serde::Serialize;

use super::outputs::{largest, says_yes};
use crate::Result;

/// What the score of a model is, from its outputs and the rows' labels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Score {
    /// Rows whose class is right; 1 is best.
    Accuracy,
    /// Outputs on the right side of the threshold; 1 is best.
    BinaryAccuracy {
        /// An output from here on says yes.
        threshold: f32,
        /// Each of several outputs counts for itself.
        multi_label: bool,
    },
    /// Coefficient of determination, R², the mean over the outputs; 1 is best.
    R2,
}

impl Serialize for Score {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Score {
    /// Keras' name. Of several outputs that each say yes or no, its `accuracy` would look for the
    /// greatest one.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy
            | Self::BinaryAccuracy {
                multi_label: false, ..
            } => "accuracy",
            Self::BinaryAccuracy {
                multi_label: true, ..
            } => "binary_accuracy",
            Self::R2 => "r2_score",
        }
    }

    /// The score of outputs `[rows, outputs]` for labels: `[rows, 1]`, the class or the value, or
    /// `[rows, outputs]`, one per output.
    pub fn of(self, outputs: &ArrayView2<f32>, labels: &ArrayView2<f32>) -> f64 {
        let rows = outputs.outer_iter().zip(labels.outer_iter());
        match self {
            Self::Accuracy => share(rows.map(|(row, label)| match label.len() {
                // Classes are whole numbers in f32.
                1 => largest(row) as f32 == label[0],
                _ => largest(row) == largest(label),
            })),
            Self::BinaryAccuracy { threshold, .. } => share(
                outputs
                    .iter()
                    .zip(labels)
                    .map(|(&output, label)| says_yes(output, threshold) == (*label > 0.5)),
            ),
            Self::R2 => {
                let each = outputs
                    .axis_iter(Axis(1))
                    .zip(labels.axis_iter(Axis(1)))
                    .map(|(outputs, labels)| determination(outputs, labels));
                let count = outputs.ncols().min(labels.ncols()).max(1);
                each.sum::<f64>() / count as f64
            }
        }
    }
}

/// The part of them that is true.
pub(super) fn share(truths: impl Iterator<Item = bool>) -> f64 {
    let (mut right, mut all) = (0.0f64, 0.0f64);
    for truth in truths {
        right += f64::from(u8::from(truth));
        all += 1.0;
    }
    right / all.max(1.0)
}

/// `1 - residual / variance` of one output; 0 where the labels do not vary.
fn determination(outputs: ArrayView1<f32>, labels: ArrayView1<f32>) -> f64 {
    let mean = labels.iter().map(|&v| f64::from(v)).sum::<f64>() / labels.len().max(1) as f64;
    let (mut left, mut all) = (0.0, 0.0);
    for (&label, &y) in labels.iter().zip(&outputs) {
        left += (f64::from(label) - f64::from(y)).powi(2);
        all += (f64::from(label) - mean).powi(2);
    }
    if all > 0.0 { 1.0 - left / all } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn a_regression_is_scored_by_r2() {
        let outputs = arr2(&[[1.0], [2.0], [4.0]]);
        let labels = arr2(&[[1.0], [2.0], [3.0]]);
        // 1 - 1 / 2
        assert_eq!(Score::R2.of(&outputs.view(), &labels.view()), 0.5);
        // The mean with an output that is right.
        let outputs = arr2(&[[1.0, 5.0], [2.0, 6.0], [4.0, 7.0]]);
        let labels = arr2(&[[1.0, 5.0], [2.0, 6.0], [3.0, 7.0]]);
        assert_eq!(Score::R2.of(&outputs.view(), &labels.view()), 0.75);
    }
}
