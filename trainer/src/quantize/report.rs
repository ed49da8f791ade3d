//! What quantization did to a model, said in full before it is flashed.

use serde::Serialize;

use super::calibrate::RangeMethod;
use super::chain::{FloatKind, FloatStep};
use super::comparison::Comparison;
use super::instructions::{self, Instructions};
use super::plan::{Output, PlannedLayer, Weights};
use super::rows::FarRow;
use super::tune::Tuned;
use super::weakest::Weakest;
use super::{DeviceModel, bound};
use crate::activations::Activation;

/// One dense layer on the device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerReport {
    /// Of the Keras layer; of several, joined by `+`, that became one.
    pub name: String,
    /// Number of its inputs.
    pub inputs: usize,
    /// Number of its units, which is that of its outputs.
    pub units: usize,
    /// Rows of a sample that it is applied to, each of so many inputs; 1 for most.
    pub rows: usize,
    /// Steps in floats behind it, such as `layer_normalization: normalize`.
    pub then: Vec<String>,
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
    /// The integer that stands for 0.
    pub output_zero: Option<i32>,
}

/// What the device makes of calibration rows that it was not calibrated with: each part of them by a plan
/// that was made with the others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LeftOutReport {
    /// Against the float model.
    pub comparison: Comparison,
    /// Rows of which an input lay beyond its range and was clipped.
    pub clipped: usize,
}

/// Everything about one export.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// How the ranges were chosen: of the inputs, then of each layer's outputs.
    pub ranges: Vec<String>,
    /// Whether every input has a range of its own.
    pub range_per_feature: bool,
    /// Whether weight scales were chosen by the error of the sums.
    pub least_error_weights: bool,
    /// Whether scales were moved between layers.
    pub equalized: bool,
    /// Whether mean errors went into the biases.
    pub bias_corrected: bool,
    /// Steps in floats before the first dense layer, as [`LayerReport::then`].
    pub first: Vec<String>,
    /// The dense layers on the device, in order.
    pub layers: Vec<LayerReport>,
    /// The layer that costs the most accuracy, and the cheapest cure; none without any error.
    pub weakest: Option<Weakest>,
    /// On the calibration rows.
    pub calibration: Comparison,
    /// On calibration rows left out in turn: what to expect of rows to come. None of fewer than 20.
    pub left_out: Option<LeftOutReport>,
    /// What these rows cannot tell, in sentences.
    pub cautions: Vec<String>,
    /// Rows that lie far from all others, and were left out.
    pub far_rows: Vec<FarRow>,
    /// Squared error of the outputs on the calibration rows, left out in turn where they are enough, over
    /// their variance, rows far from all others counted no more than the spread: 1 is as bad as one answer for all rows. None where
    /// the outputs do not vary.
    pub relative_error: Option<f64>,
    /// On the rows to evaluate on, where some were given: see [`compare`](super::compare).
    pub evaluation: Option<Comparison>,
    /// For each output, the most that the device can differ from float for any input within
    /// [`input_low`](Self::input_low) and [`input_high`](Self::input_high). Proven, hence loose. None through
    /// a normalization by a sample's own deviation, of which nothing is proven.
    pub error_bound: Option<Vec<f64>>,
    /// A tighter bound, where one was looked for: none by [`quantize`](super::quantize) itself.
    pub largest_difference: Option<LargestDifference>,
    /// Smallest value of each input on the calibration rows.
    pub input_low: Vec<f64>,
    /// Largest value of each input on the calibration rows.
    pub input_high: Vec<f64>,
    /// Bytes of the blob, which stays in flash.
    pub flash_bytes: usize,
    /// Bytes of scratch memory that a prediction needs.
    pub scratch_bytes: usize,
    /// Bytes of RAM that the caller holds for a prediction: scratch memory, a row of inputs and one
    /// of outputs. The stack comes on top.
    pub ram_bytes: usize,
    /// Multiply-accumulates of a prediction.
    pub macs: usize,
    /// About how many instructions a prediction takes, on the cores that the weights are arranged
    /// for.
    pub instructions: Vec<Instructions>,
}

/// How far outputs of the device are from those of the same model in float32 layers on the device.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LargestDifference {
    /// By an input that was found.
    pub reached: f64,
    /// By no input within [`Report::input_low`] and [`Report::input_high`] exceeded; `reached` where that is the
    /// largest.
    pub bound: f64,
}

impl Report {
    pub(super) fn new(tuned: &Tuned, device: &DeviceModel, calibration: Comparison) -> Self {
        let rows = &tuned.calibration.rows;
        let low = rows.fold_axis(ndarray::Axis(0), f64::INFINITY, |a, b| a.min(*b));
        let high = rows.fold_axis(ndarray::Axis(0), f64::NEG_INFINITY, |a, b| a.max(*b));
        let bound = bound::error_bound(&tuned.chain, &tuned.plan, low.view(), high.view());
        let model = device.model();
        Self {
            ranges: tuned
                .options
                .ranges
                .iter()
                .map(RangeMethod::to_string)
                .collect(),
            range_per_feature: tuned.options.range_per_feature,
            least_error_weights: tuned.options.least_error_weights,
            equalized: tuned.equalized,
            bias_corrected: tuned.options.bias_correction,
            weakest: None,
            first: steps(&tuned.chain.first),
            layers: tuned
                .plan
                .layers()
                .zip(&tuned.chain.layers)
                .map(|(planned, folded)| layer(planned, &folded.then))
                .collect(),
            calibration,
            left_out: None,
            cautions: Vec::new(),
            far_rows: Vec::new(),
            relative_error: tuned.relative_error(),
            evaluation: None,
            error_bound: bound.map(|bound| bound.to_vec()),
            largest_difference: None,
            input_low: low.to_vec(),
            input_high: high.to_vec(),
            flash_bytes: device.bytes().len(),
            scratch_bytes: model.scratch_len() * 4,
            ram_bytes: (model.scratch_len() + model.inputs() + model.outputs()) * 4,
            macs: model.macs(),
            instructions: instructions::estimate(device),
        }
    }
}

impl LayerReport {
    /// Inputs and units such as `16x8`, with the rows before them where they are several: `12 of 16x8`.
    pub(super) fn shape(&self) -> String {
        match self.rows {
            1 => format!("{}x{}", self.inputs, self.units),
            rows => format!("{rows} of {}x{}", self.inputs, self.units),
        }
    }
}

impl Report {
    /// The tighter of the proven bounds of an output's difference from float, and how it was found.
    pub fn proven_difference(&self) -> Option<(f64, String)> {
        let loose = self.error_bound.as_ref();
        let loose = loose.map(|bound| bound.iter().copied().fold(0.0, f64::max));
        let found = self.largest_difference;
        match found.filter(|found| loose.is_none_or(|loose| found.bound < loose)) {
            Some(found) if found.bound <= found.reached => Some((
                found.bound,
                "exactly, by search over the device's integers".to_owned(),
            )),
            Some(found) => Some((
                found.bound,
                format!(
                    "by search over the device's integers, which found {:.2e}",
                    found.reached
                ),
            )),
            None => loose.map(|bound| (bound, "by adding up the errors of each layer".to_owned())),
        }
    }

    /// What is proven of every input.
    pub(super) fn proven(&self) -> String {
        let sums = "no input overflows an accumulator";
        match self.proven_difference() {
            Some((bound, how)) => format!(
                "{sums}; within the calibration rows' ranges no output is further than {bound:.2e} from float, {how}"
            ),
            None => format!(
                "{sums}; how far an output can be from float is not, through a normalization by a sample's own deviation, or a table of categories"
            ),
        }
    }
}

/// What each step does, in words.
fn steps(steps: &[FloatStep]) -> Vec<String> {
    let text = |step: &FloatStep| {
        let what = match &step.kind {
            FloatKind::Scale(_) => "scale",
            FloatKind::Normalize(_) => "normalize",
            FloatKind::Prelu(_) => "slopes below zero",
            FloatKind::MaxPool(_) => "max pooling",
            FloatKind::Lookup(_) => "rows of a table",
        };
        match &step.activation {
            Activation::Linear => format!("{}: {what}", step.name),
            activation => format!("{}: {what}, {}", step.name, activation.name()),
        }
    };
    steps.iter().map(text).collect()
}

fn layer(planned: &PlannedLayer, then: &[FloatStep]) -> LayerReport {
    let (units, inputs) = planned.real.kernel.dim();
    let data_type = planned.weights.data_type();
    let (largest_sum, accumulator_limit) = match &planned.weights {
        Weights::Integer { dense, .. } => (
            dense.bounds.iter().copied().max(),
            data_type
                .weights()
                .map(|weights| i64::from(weights.descriptor().sum)),
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
        rows: planned.rows,
        then: steps(then),
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
