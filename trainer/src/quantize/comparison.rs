//! The float model against the device's, on rows: what the user must know before flashing.

use ndarray::{Array2, ArrayD, ArrayView1, ArrayView2, Axis};
use serde::Serialize;

use super::DeviceModel;
use crate::activations::Activation;
use crate::sequential::{PredictOptions, Sequential};
use crate::{Error, Result};

/// What the outputs of a model are, which decides how they are compared and scored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outputs {
    /// A score per class: the first of the largest decides.
    Classes,
    /// A probability per output: yes from the threshold on, as on the device.
    Probabilities { threshold: f32 },
    /// Numbers: nothing is decided.
    Numbers,
}

impl Outputs {
    /// By the last activation, the number of outputs and, where there are labels, of labels per
    /// row: one label for several outputs is a class. `threshold` defaults to 0.5.
    pub(super) fn of(
        activation: &Activation,
        outputs: usize,
        labels: Option<usize>,
        threshold: Option<f32>,
    ) -> Self {
        let threshold = threshold.unwrap_or(0.5);
        match activation {
            _ if outputs > 1 && labels == Some(1) => Self::Classes,
            Activation::Softmax | Activation::LogSoftmax if outputs > 1 => Self::Classes,
            Activation::Softmax | Activation::Sigmoid => Self::Probabilities { threshold },
            _ => Self::Numbers,
        }
    }

    /// Whether two rows of outputs decide the same.
    fn agree(self, a: ArrayView1<f32>, b: ArrayView1<f32>) -> bool {
        match self {
            Self::Classes => largest(a) == largest(b),
            Self::Probabilities { threshold } => a
                .iter()
                .zip(&b)
                .all(|(a, b)| (*a >= threshold) == (*b >= threshold)),
            Self::Numbers => a == b,
        }
    }

    /// What scores them.
    pub fn score(self) -> Score {
        match self {
            Self::Classes => Score::Accuracy,
            Self::Probabilities { threshold } => Score::BinaryAccuracy { threshold },
            Self::Numbers => Score::R2,
        }
    }
}

/// What the score of a model is, from its outputs and the rows' labels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Score {
    /// Rows whose class is right; 1 is best.
    Accuracy,
    /// Outputs on the right side of the threshold; 1 is best.
    BinaryAccuracy {
        /// An output from here on says yes.
        threshold: f32,
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
    /// Keras' name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy | Self::BinaryAccuracy { .. } => "accuracy",
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
            Self::BinaryAccuracy { threshold } => share(
                outputs
                    .iter()
                    .zip(labels)
                    .map(|(output, label)| (*output >= threshold) == (*label > 0.5)),
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
fn share(truths: impl Iterator<Item = bool>) -> f64 {
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

/// The first of the largest values.
fn largest(row: ArrayView1<f32>) -> usize {
    let mut best = 0;
    for (class, &value) in row.iter().enumerate() {
        if value > row[best] {
            best = class;
        }
    }
    best
}

/// Compares the float model and its blob on rows, `[rows, ...]`; `labels`, `[rows]` or
/// `[rows, ...]`, hold a class or a value per row, or one per output.
///
/// # Errors
///
/// Rows or labels of another shape than the model's; values that are not finite.
pub fn compare(
    model: &Sequential,
    device: &DeviceModel,
    x: &ArrayD<f32>,
    labels: Option<&ArrayD<f32>>,
) -> Result<Comparison> {
    let found = device.predict(x)?;
    let silent = PredictOptions {
        verbose: 0,
        ..PredictOptions::default()
    };
    let float = model.predict_with(x, silent)?;
    let rows = x.shape().first().copied().unwrap_or(0);
    let labels = labels
        .map(|y| label_rows(y, rows, device.outputs()))
        .transpose()?;
    let chain = super::fold::fold(model)?;
    let last = chain
        .layers
        .last()
        .map_or(Activation::Linear, |layer| layer.activation.clone());
    let kind = Outputs::of(
        &last,
        device.outputs(),
        labels.as_ref().map(Array2::ncols),
        device.model().threshold(),
    );
    let flat = |y: ArrayD<f32>| {
        y.into_shape_with_order((rows, device.outputs()))
            .map_err(|error| Error::shape(format!("the model's outputs: {error}")))
    };
    let (float, found) = (flat(float)?, flat(found)?);
    let labels = labels.as_ref().map(|labels| labels.view());
    Ok(Comparison::new(
        &float.view(),
        &found.view(),
        kind,
        labels.as_ref(),
    ))
}

/// Labels as `[rows, 1]` or `[rows, outputs]`.
pub(super) fn label_rows(y: &ArrayD<f32>, rows: usize, outputs: usize) -> Result<Array2<f32>> {
    let width = y.len().checked_div(rows).unwrap_or(0);
    if y.shape().first() != Some(&rows) || (width != 1 && width != outputs) {
        return Err(Error::shape(format!(
            "labels have the shape {:?} for {rows} rows, expected one per row or one per output, of \
             which there are {outputs}",
            y.shape()
        )));
    }
    let wrong = |label: f32| label.fract() != 0.0 || !(0.0..outputs as f32).contains(&label);
    if width == 1
        && outputs > 1
        && let Some((row, label)) = y.iter().enumerate().find(|(_, label)| wrong(**label))
    {
        return Err(Error::value(format!(
            "label {label} of row {} is not among the {outputs} classes 0 to {} that the model has; \
             number the labels from 0",
            row + 1,
            outputs - 1
        )));
    }
    let values = y.iter().copied().collect();
    Ok(Array2::from_shape_vec((rows, width), values).expect("as many as were counted"))
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
    /// Compares outputs, `[rows, outputs]` each; `labels` are `[rows, 1]` or `[rows, outputs]`.
    pub fn new(
        float: &ArrayView2<f32>,
        device: &ArrayView2<f32>,
        kind: Outputs,
        labels: Option<&ArrayView2<f32>>,
    ) -> Self {
        let (mut worst, mut sum, mut squares) = (0.0f64, 0.0, 0.0);
        for (f, d) in float.iter().zip(device) {
            let difference = (f64::from(*f) - f64::from(*d)).abs();
            worst = worst.max(difference);
            sum += difference;
            squares += difference * difference;
        }
        let count = float.len().max(1) as f64;
        let rows = || float.outer_iter().zip(device.outer_iter());
        let agreement = (kind != Outputs::Numbers)
            .then(|| share(rows().map(|(float, device)| kind.agree(float, device))));
        let name = kind.score();
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
    use ndarray::arr2;

    #[test]
    fn differences_agreement_and_scores_are_counted() {
        let float = arr2(&[[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]]);
        let device = arr2(&[[0.8, 0.2], [0.6, 0.4], [0.5, 0.5]]);
        let labels = arr2(&[[0.0], [1.0], [0.0]]);
        let kind = Outputs::Classes;
        let found = Comparison::new(&float.view(), &device.view(), kind, Some(&labels.view()));
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
        let labels = arr2(&[[1.0], [2.0], [3.0]]);
        // 1 - 1 / 2
        assert_eq!(Score::R2.of(&outputs.view(), &labels.view()), 0.5);
        // The mean with an output that is right.
        let outputs = arr2(&[[1.0, 5.0], [2.0, 6.0], [4.0, 7.0]]);
        let labels = arr2(&[[1.0, 5.0], [2.0, 6.0], [3.0, 7.0]]);
        assert_eq!(Score::R2.of(&outputs.view(), &labels.view()), 0.75);
    }

    #[test]
    fn probabilities_say_yes_from_the_threshold_on() {
        let kind = Outputs::of(&Activation::Sigmoid, 1, Some(1), Some(0.7));
        let float = arr2(&[[0.7], [0.6], [0.9]]);
        let device = arr2(&[[0.69], [0.6], [0.9]]);
        let labels = arr2(&[[1.0], [0.0], [0.0]]);
        let found = Comparison::new(&float.view(), &device.view(), kind, Some(&labels.view()));
        let score = found.score.expect("labels were given");
        assert_eq!((score.float, score.device), (2.0 / 3.0, 1.0 / 3.0));
        assert_eq!(found.agreement, Some(2.0 / 3.0));
    }

    #[test]
    fn one_label_for_several_outputs_is_a_class_whatever_the_activation() {
        let kind = |labels| Outputs::of(&Activation::Linear, 3, labels, None);
        assert_eq!(kind(Some(1)), Outputs::Classes);
        assert_eq!(kind(Some(3)), Outputs::Numbers);
        assert_eq!(kind(None), Outputs::Numbers);
    }
}
