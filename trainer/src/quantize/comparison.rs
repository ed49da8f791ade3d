//! The float model against the device's, on rows: what the user must know before flashing.

use ndarray::{Array2, ArrayD, ArrayView2};
use serde::Serialize;

use super::DeviceModel;
use super::outputs::{self, Last, Outputs};
use super::score::{Score, share};
use crate::sequential::Sequential;
use crate::training::PredictOptions;
use crate::{Error, Result};

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
    let labels = labels.map(|y| device_labels(device, y, rows)).transpose()?;
    let width = labels.as_ref().map(Array2::ncols);
    let kind = Outputs::of_device(device).labelled_by(device.outputs(), width);
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

/// Labels that score a device model, as `[rows, 1]` or `[rows, outputs]`.
pub(super) fn device_labels(
    device: &DeviceModel,
    y: &ArrayD<f32>,
    rows: usize,
) -> Result<Array2<f32>> {
    let outputs = device.outputs();
    let labels = label_rows(y, rows, outputs)?;
    let kind = Outputs::of_device(device).labelled_by(outputs, Some(labels.ncols()));
    let has_classes = outputs::last(device) != Last::Other || !device.labels().is_empty();
    if let (Outputs::Binary { .. }, true) = (kind, has_classes)
        && kind.score(&labels.view()) == Score::R2
        && let Some(((row, _), label)) = labels
            .indexed_iter()
            .find(|(_, label)| !(0.0..=1.0).contains(*label))
    {
        return Err(Error::value(format!(
            "label {label} of data row {} is neither 0, for no, nor 1, for yes; number the labels 0 and 1",
            row + 1
        )));
    }
    Ok(labels)
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
            "label {label} of data row {} is not among the {outputs} classes 0 to {} that the model has; \
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
        let score = |labels: &ArrayView2<f32>| {
            let name = kind.score(labels);
            ScorePair {
                name,
                float: name.of(float, labels),
                device: name.of(device, labels),
            }
        };
        Self {
            rows: float.nrows(),
            score: labels.map(score),
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
    fn probabilities_say_yes_from_the_threshold_on() {
        let kind = Outputs::of(Last::Sigmoid, 1, false, Some(0.7));
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
        let kind = |labels| Outputs::of(Last::Other, 3, false, None).labelled_by(3, labels);
        assert_eq!(kind(Some(1)), Outputs::Classes);
        assert_eq!(kind(Some(3)), Outputs::Numbers);
        assert_eq!(kind(None), Outputs::Numbers);
    }
}
