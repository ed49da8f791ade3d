//! Loss and metrics of the device's predictions, by Keras' names.

use ndarray::ArrayD;

use crate::Result;
use crate::losses::Batch;
use crate::metrics::Metric;
use crate::sequential::CompileOptions;

/// Loss and metrics of predictions, `[rows, outputs]`, as `evaluate` computes them for a float model.
///
/// # Errors
///
/// Targets or metrics that do not fit the predictions.
pub fn scores(
    predictions: &ArrayD<f32>,
    y: &ArrayD<f32>,
    options: &CompileOptions,
) -> Result<Vec<(String, f64)>> {
    let loss = &options.loss;
    loss.check_targets(y.shape(), predictions.shape())?;
    let width = predictions.shape().last().copied().unwrap_or(1).max(1);
    let rows = predictions.len() / width;
    let y_true_width = (y.len() / rows.max(1)).max(1);
    let (y_true, y_pred) = (y.as_standard_layout(), predictions.as_standard_layout());
    let y_true = y_true.as_slice().expect("standard layout is contiguous");
    let y_pred = y_pred.as_slice().expect("standard layout is contiguous");

    let batch = Batch::new(y_true, y_true_width, y_pred, width);
    let mut losses = vec![0.0; rows];
    loss.per_sample(&batch, &mut losses);
    // Means of many rows, in f64 so that their number does not show.
    let mean = losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / rows.max(1) as f64;
    let mut results = vec![("loss".to_string(), mean)];
    for metric in &options.metrics {
        let mut metric = Metric::from_config(metric, y_true_width, width)?;
        metric.update(&batch, None);
        results.push((metric.name().to_string(), f64::from(metric.result())));
    }
    Ok(results)
}
