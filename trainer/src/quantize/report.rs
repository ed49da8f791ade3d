//! What quantization did to a model, said in full before it is flashed.

use serde::Serialize;

use super::comparison::Comparison;
use super::data_type::DataType;
use super::plan::{Output, PlannedLayer, Weights};
use super::tune::Tuned;
use super::{DeviceModel, bound};

/// One dense layer on the device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerReport {
    /// Of the Keras layer; of several, joined by `+`, that became one.
    pub name: String,
    pub inputs: usize,
    pub units: usize,
    /// Arithmetic, such as `int8`.
    pub data_type: String,
    /// Of the outputs on the calibration rows against the float model, in dB; none where they are
    /// equal.
    pub signal_to_noise_db: Option<f64>,
    /// Outputs on the calibration rows that were clipped, as a share of all.
    pub saturated: f64,
    /// The largest sum that any input can reach, proven from the weights; none for floats.
    pub largest_sum: Option<i64>,
    /// What the accumulator holds at most.
    pub accumulator_limit: Option<i64>,
    /// What the next layer reads: size of one step, and the integer for 0.
    pub output_scale: Option<f64>,
    pub output_zero: Option<i32>,
}

/// Everything about one export.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// How ranges were chosen.
    pub range: String,
    /// Whether every input has a range of its own.
    pub range_per_feature: bool,
    /// Whether weight scales were chosen by the error of the sums.
    pub least_error_weights: bool,
    /// Whether scales were moved between layers.
    pub equalized: bool,
    /// Whether mean errors went into the biases.
    pub bias_corrected: bool,
    pub layers: Vec<LayerReport>,
    /// The layer that costs the most accuracy, and the cheapest cure.
    pub weakest: Option<Weakest>,
    /// On the calibration rows.
    pub calibration: Comparison,
    /// On rows with labels, where some were given.
    pub labelled: Option<Comparison>,
    /// For each output, the most that the device can differ from float for any input within the
    /// smallest and largest values of the calibration rows. Proven, hence loose.
    pub error_bound: Vec<f64>,
    /// Bytes of the blob, which stays in flash.
    pub flash_bytes: usize,
    /// Bytes of scratch memory that a prediction needs.
    pub scratch_bytes: usize,
    /// Multiply-accumulates of a prediction.
    pub macs: usize,
}

/// The layer that loses most, with what helps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Weakest {
    pub layer: String,
    pub signal_to_noise_db: f64,
    /// What to do, cheapest first.
    pub fix: String,
}

impl Report {
    pub(super) fn new(tuned: &Tuned, device: &DeviceModel, calibration: Comparison) -> Self {
        let layers: Vec<LayerReport> = tuned.plan.layers().map(layer).collect();
        let rows = &tuned.calibration.rows;
        let low = rows.fold_axis(ndarray::Axis(0), f64::INFINITY, |a, b| a.min(*b));
        let high = rows.fold_axis(ndarray::Axis(0), f64::NEG_INFINITY, |a, b| a.max(*b));
        let bound = bound::error_bound(&tuned.chain, &tuned.plan, low.view(), high.view());
        let model = device.model();
        Self {
            range: tuned.options.range.to_string(),
            range_per_feature: tuned.options.range_per_feature,
            least_error_weights: tuned.options.least_error_weights,
            equalized: tuned.equalized,
            bias_corrected: tuned.options.bias_correction,
            weakest: weakest(&layers),
            layers,
            calibration,
            labelled: None,
            error_bound: bound.to_vec(),
            flash_bytes: device.bytes().len(),
            scratch_bytes: model.scratch_len() * 4,
            macs: model.macs(),
        }
    }
}

fn layer(planned: &PlannedLayer) -> LayerReport {
    let (units, inputs) = planned.real.kernel.dim();
    let data_type = planned.weights.data_type();
    let (largest_sum, accumulator_limit) = match &planned.weights {
        Weights::Integer { dense, .. } => (
            dense.bounds.iter().copied().max(),
            Some(match data_type {
                DataType::Int16 => i64::from(i32::MAX),
                _ => (1 << 23) - 1,
            }),
        ),
        Weights::Float(_) => (None, None),
    };
    let tensor = match &planned.output {
        Output::Clamp(tensor) | Output::Table { tensor, .. } => Some(tensor),
        Output::Float { .. } => None,
    };
    LayerReport {
        name: planned.name.clone(),
        inputs,
        units,
        data_type: data_type.to_string(),
        signal_to_noise_db: planned
            .signal_to_noise
            .is_finite()
            .then_some(planned.signal_to_noise),
        saturated: planned.saturated,
        largest_sum,
        accumulator_limit,
        output_scale: tensor.map(|tensor| tensor.scale),
        output_zero: tensor.map(|tensor| tensor.zero),
    }
}

/// Below this, a layer's noise shows in the outputs.
const NOISY_DB: f64 = 30.0;

/// The layer at which the signal-to-noise ratio falls most.
fn weakest(layers: &[LayerReport]) -> Option<Weakest> {
    let mut before = f64::INFINITY;
    let mut worst: Option<(f64, &LayerReport)> = None;
    for layer in layers {
        let ratio = layer.signal_to_noise_db.unwrap_or(f64::INFINITY);
        let fall = before.min(90.0) - ratio.min(90.0);
        if worst.is_none_or(|(most, _)| fall > most) {
            worst = Some((fall, layer));
        }
        before = ratio;
    }
    let (_, layer) = worst?;
    let ratio = layer.signal_to_noise_db?;
    let fix = match layer.data_type.as_str() {
        "int4" => "give it int8 weights, at twice its flash; or train with int4 in mind",
        _ if layer.saturated > 0.01 => "calibrate with rows that cover what the device will see",
        "int8" if ratio < NOISY_DB => {
            "give it int16 activations, at the same flash; or train with int8 in mind"
        }
        _ => "nothing needs to be done",
    };
    Some(Weakest {
        layer: layer.name.clone(),
        signal_to_noise_db: ratio,
        fix: fix.to_owned(),
    })
}
