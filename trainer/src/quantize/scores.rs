//! Loss and metrics of the device's predictions, by Keras' names.

use ndarray::ArrayD;

use super::DeviceModel;
use super::comparison::device_labels;
use super::outputs::{self, Last, Outputs};
use crate::history::Logs;
use crate::losses::Batch;
use crate::metrics::Metric;
use crate::sequential::CompileOptions;
use crate::{Error, Result};

/// Loss, if there is one, and metrics of predictions, `[rows, outputs]`, as `evaluate` computes them for a float model.
///
/// # Errors
///
/// Targets or metrics that do not fit the predictions.
pub fn scores(
    predictions: &ArrayD<f32>,
    y: &ArrayD<f32>,
    options: &CompileOptions,
) -> Result<Logs> {
    if let Some(loss) = &options.loss {
        loss.check_targets(y.shape(), predictions.shape())?;
    }
    let width = predictions.shape().last().copied().unwrap_or(1).max(1);
    let rows = predictions.len() / width;
    let y_true_width = (y.len() / rows.max(1)).max(1);
    let (y_true, y_pred) = (y.as_standard_layout(), predictions.as_standard_layout());
    let y_true = y_true.as_slice().expect("standard layout is contiguous");
    let y_pred = y_pred.as_slice().expect("standard layout is contiguous");

    let batch = Batch::new(y_true, y_true_width, y_pred, width);
    let mut logs = Logs::new();
    if let Some(loss) = &options.loss {
        let mut losses = vec![0.0; rows];
        loss.per_sample(&batch, &mut losses);
        // Means of many rows, in f64 so that their number does not show.
        let mean = losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / rows.max(1) as f64;
        logs.set("loss", mean);
    }
    for metric in &options.metrics {
        let mut metric = Metric::from_config(metric, y_true_width, width)?;
        metric.sum_exactly();
        metric.update(&batch, None);
        logs.set_value(metric.name(), metric.value());
    }
    Ok(logs)
}

/// How a device model does on rows, `[rows, ...]`, by what it says of its outputs itself: its labels, its
/// threshold, its last activation. Labels `y` are `[rows]` or `[rows, ...]`, a class or a value per row, or
/// one per output.
///
/// `loss` is the crossentropy behind a softmax or a sigmoid, the mean squared error of numbers, and left
/// out for logits, of which a blob does not say what they were trained with. Then comes what
/// [`compare`](super::compare) scores: `accuracy`, `binary_accuracy` of several outputs that each say
/// yes or no, `r2_score` of numbers, behind their `mae`.
///
/// # Errors
///
/// Rows or labels of another shape than the model's; values that are not finite.
pub fn evaluate(device: &DeviceModel, x: &ArrayD<f32>, y: &ArrayD<f32>) -> Result<Logs> {
    evaluate_outputs(device, &device.predict(x)?, y)
}

/// As [`evaluate`], of what the device model has predicted, `[rows, outputs]`.
///
/// # Errors
///
/// As [`evaluate`].
pub fn evaluate_outputs(
    device: &DeviceModel,
    predictions: &ArrayD<f32>,
    y: &ArrayD<f32>,
) -> Result<Logs> {
    let rows = predictions.shape().first().copied().unwrap_or(0);
    let labels = device_labels(device, y, rows)?;
    let outputs = device.outputs();
    let kind = Outputs::of_device(device).labelled_by(outputs, Some(labels.ncols()));
    let (loss, metrics): (_, &[&str]) = match (kind, outputs::last(device)) {
        (Outputs::Classes, Last::Softmax) if labels.ncols() == 1 => {
            (Some("sparse_categorical_crossentropy"), &[])
        }
        (Outputs::Classes, Last::Softmax) => (Some("categorical_crossentropy"), &[]),
        (Outputs::Binary { .. }, Last::Sigmoid) => (Some("binary_crossentropy"), &[]),
        (Outputs::Classes | Outputs::Binary { .. }, _) => (None, &[]),
        (Outputs::Numbers, _) => (Some("mean_squared_error"), &["mae"]),
    };
    let mut logs = match loss {
        Some(loss) => {
            let settings = CompileOptions::named("adam", loss, metrics)?;
            scores(predictions, &labels.clone().into_dyn(), &settings)?
        }
        None => Logs::new(),
    };
    let predictions = predictions
        .to_shape((rows, outputs))
        .map_err(|error| Error::shape(format!("the model's outputs: {error}")))?;
    let score = kind.score(&labels.view());
    logs.set(score.name(), score.of(&predictions.view(), &labels.view()));
    Ok(logs)
}
