//! The float model against the device's, on rows: what the user must know before flashing.

use ndarray::{Array1, ArrayView1, ArrayView2, Axis};
use serde::Serialize;

/// What the score of a model is, from its outputs and the rows' labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// Rows whose class is right; 1 is best.
    Accuracy,
    /// Coefficient of determination, R²; 1 is best.
    R2,
}

impl Score {
    /// Keras' name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::R2 => "r2_score",
        }
    }

    /// The score of outputs `[rows, outputs]` for labels: a class or a value per row.
    pub fn of(self, outputs: &ArrayView2<f32>, labels: &ArrayView1<f32>) -> f64 {
        match self {
            Self::Accuracy => {
                let right = classes(outputs)
                    .iter()
                    .zip(labels)
                    // Labels are whole numbers in f32.
                    .filter(|(class, label)| **class as f32 == **label)
                    .count();
                right as f64 / labels.len().max(1) as f64
            }
            Self::R2 => {
                let mean =
                    labels.iter().map(|&v| f64::from(v)).sum::<f64>() / labels.len().max(1) as f64;
                let (mut left, mut all) = (0.0, 0.0);
                for (&label, y) in labels.iter().zip(outputs.column(0)) {
                    left += (f64::from(label) - f64::from(*y)).powi(2);
                    all += (f64::from(label) - mean).powi(2);
                }
                if all > 0.0 { 1.0 - left / all } else { 0.0 }
            }
        }
    }
}

/// The class of each row: the first of the largest outputs, or with one output whether it is
/// greater than 0.5.
pub fn classes(outputs: &ArrayView2<f32>) -> Array1<usize> {
    outputs
        .axis_iter(Axis(0))
        .map(|row| match row.len() {
            1 => usize::from(row[0] > 0.5),
            _ => {
                let mut best = 0;
                for (class, &value) in row.iter().enumerate() {
                    if value > row[best] {
                        best = class;
                    }
                }
                best
            }
        })
        .collect()
}

/// Float against device on the same rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Rows compared.
    pub rows: usize,
    /// Where there are labels: what is scored, by the float model and by the device.
    pub score: Option<ScorePair>,
    /// Rows for which both predict the same class, as a share; none for a regression.
    pub agreement: Option<f64>,
    /// Largest absolute difference of an output.
    pub worst_difference: f64,
    /// Mean absolute difference of the outputs.
    pub mean_difference: f64,
    /// Mean squared difference of the outputs.
    pub mean_squared_difference: f64,
}

/// A score of both models.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ScorePair {
    /// What is scored.
    pub name: Score,
    /// By the float model.
    pub float: f64,
    /// By the device's kernels.
    pub device: f64,
}

impl Comparison {
    /// Compares outputs, `[rows, outputs]` each; `is_classifier` when outputs are scores of
    /// classes; `labels` hold a class or a value per row.
    pub fn new(
        float: &ArrayView2<f32>,
        device: &ArrayView2<f32>,
        is_classifier: bool,
        labels: Option<&ArrayView1<f32>>,
    ) -> Self {
        let (mut worst, mut sum, mut squares) = (0.0f64, 0.0, 0.0);
        for (f, d) in float.iter().zip(device) {
            let difference = (f64::from(*f) - f64::from(*d)).abs();
            worst = worst.max(difference);
            sum += difference;
            squares += difference * difference;
        }
        let count = float.len().max(1) as f64;
        let agreement = is_classifier.then(|| {
            let same = classes(float)
                .iter()
                .zip(&classes(device))
                .filter(|(f, d)| f == d)
                .count();
            same as f64 / float.nrows().max(1) as f64
        });
        let name = if is_classifier {
            Score::Accuracy
        } else {
            Score::R2
        };
        Self {
            rows: float.nrows(),
            score: labels.map(|labels| ScorePair {
                name,
                float: name.of(float, labels),
                device: name.of(device, labels),
            }),
            agreement,
            worst_difference: worst,
            mean_difference: sum / count,
            mean_squared_difference: squares / count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{arr1, arr2};

    #[test]
    fn differences_agreement_and_scores_are_counted() {
        let float = arr2(&[[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]]);
        let device = arr2(&[[0.8, 0.2], [0.6, 0.4], [0.5, 0.5]]);
        let labels = arr1(&[0.0, 1.0, 0.0]);
        let found = Comparison::new(&float.view(), &device.view(), true, Some(&labels.view()));
        let score = found.score.expect("labels were given");
        assert_eq!((score.float, score.device), (1.0, 2.0 / 3.0));
        assert_eq!(found.agreement, Some(2.0 / 3.0));
        assert!((found.worst_difference - 0.2).abs() < 1e-7);
        // 2 * 0.1 + 2 * 0.2 over 6 outputs
        assert!((found.mean_difference - 0.1).abs() < 1e-7);
    }

    #[test]
    fn a_regression_is_scored_by_r2() {
        let outputs = arr2(&[[1.0], [2.0], [4.0]]);
        let labels = arr1(&[1.0, 2.0, 3.0]);
        // 1 - 1 / 2
        assert_eq!(Score::R2.of(&outputs.view(), &labels.view()), 0.5);
    }
}
