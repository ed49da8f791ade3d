//! Post-training quantization: from a trained model to the blob that the device runs.

mod aware;
mod batch;
mod blob;
mod bound;
mod calibrate;
mod chain;
mod chain_builder;
mod comparison;
mod data_type;
mod dense;
mod device_model;
mod equalize;
mod fold;
mod folds;
pub mod instructions;
mod output_error;
mod outputs;
mod pieces;
mod plan;
mod range;
mod report;
mod report_text;
mod rows;
mod saturation;
mod score;
mod scores;
mod tail;
mod tune;
mod types;
mod weakest;

use ndarray::{Array2, ArrayBase, ArrayView2, Axis, Data, Dimension};
pub use thumbnet_runtime::Packing;

pub use aware::{DeviceMetrics, QuantizeAware, folded};
pub use calibrate::RangeMethod;
pub use comparison::{Comparison, ScorePair, compare};
pub use data_type::DataType;
pub use device_model::DeviceModel;
pub use instructions::Instructions;
pub use outputs::Outputs;
pub(crate) use outputs::{largest, says_yes};
pub use report::{LargestDifference, LayerReport, LeftOutReport, Report};
pub use rows::FarRow;
pub use saturation::{LayerSaturation, Saturation};
pub use score::Score;
pub use scores::{evaluate, evaluate_outputs, scores};
pub use types::{Budget, LayerTypes};
pub use weakest::{Fix, Weakest};

use crate::sequential::Sequential;
use crate::training::PredictOptions;
use crate::{Error, Number, Result};
use blob::Metadata;
use chain::Chain;
use outputs::Knowledge;
use plan::Plan;
use tune::{Tuned, tune};

/// What [`quantize`] may be told.
#[derive(Clone, Debug)]
pub struct QuantizeOptions {
    /// How the ranges of tensors are chosen. Defaults to none: [`RangeMethod::Unseen`].
    pub range: Option<RangeMethod>,
    /// The arithmetic of the layers. Defaults to int8 for all.
    pub types: LayerTypes,
    /// The core family that the weights are packed for; every core runs every packing with the
    /// same bits. Defaults to [`Packing::Dsp`] (Cortex-M4, M7, M33).
    pub packing: Packing,
    /// Names of the classes: one per output, or two for a model with one output, of no and of yes.
    /// Defaults to none: classes then have their numbers for names.
    pub labels: Vec<String>,
    /// From which output on it says yes, where each output says yes or no. Of a model that is compiled
    /// with logits it is a probability p, and moved to the logit `ln(p / (1 - p))`. Defaults to none:
    /// a probability of 0.5, or 0 behind a hinge loss.
    pub threshold: Option<f32>,
    /// Names of the inputs, which the device does not need; the blob grows by them. Defaults to
    /// none.
    pub input_names: Vec<String>,
    /// Calibration rows that travel in the blob for the device's self-test. Defaults to none: 2, or as many
    /// as 3 % of the blob have room for.
    pub self_tests: Option<usize>,
}

impl Default for QuantizeOptions {
    fn default() -> Self {
        Self {
            range: None,
            types: LayerTypes::default(),
            packing: Packing::Dsp,
            labels: Vec::new(),
            threshold: None,
            input_names: Vec::new(),
            self_tests: None,
        }
    }
}

/// A quantized model, and what quantization did to it.
#[derive(Clone, Debug)]
pub struct Quantized {
    /// The blob, run by the device's own code.
    pub device: DeviceModel,
    /// What to know before flashing it.
    pub report: Report,
}

/// Quantizes a trained model with ranges from calibration rows.
///
/// # Shapes
///
/// * `calibration` - `[rows, ...]`, raw values as the model was trained on; several hundred rows, of
///   every class
///
/// At most 2 % of the rows that lie far from all others decide nothing, and are named in the report,
/// unless `range` is [`RangeMethod::MinMax`].
///
/// # Errors
///
/// A model with layers that have no form on the device (named, with what to do), calibration rows
/// of another shape or with values that are not finite, layer types, labels or a threshold that do
/// not fit the model.
pub fn quantize<S: Data<Elem: Number>, D: Dimension>(
    model: &Sequential,
    calibration: &ArrayBase<S, D>,
    options: &QuantizeOptions,
) -> Result<Quantized> {
    let chain = fold::fold(model)?;
    let rows = flat(calibration, chain.inputs())?;
    let options = outputs::settle(&Knowledge::of(model, &chain), options)?;
    let far = match options.range {
        Some(RangeMethod::MinMax) => Vec::new(),
        Some(
            RangeMethod::Unseen
            | RangeMethod::Percentile(_)
            | RangeMethod::MeanSquaredError
            | RangeMethod::Entropy,
        )
        | None => rows::far_rows(&rows.view()),
    };
    let rows = match far.is_empty() {
        true => rows,
        false => {
            let near: Vec<usize> = (0..rows.nrows())
                .filter(|row| far.iter().all(|far| far.row != row + 1))
                .collect();
            rows.select(Axis(0), &near)
        }
    };
    let mut quantized = quantize_chain(&chain, &Keras(model), &rows.view(), &options)?;
    quantized.report.far_rows = far;
    Ok(quantized)
}

/// The float model that the device is compared with.
///
/// It shares no code with what the device is made from: a mistake of the folded network, or of a table, must
/// not be in what both are held against.
trait Reference {
    /// The outputs for rows, `[rows, inputs]` to `[rows, outputs]`.
    fn outputs(&self, rows: &Array2<f32>) -> Result<Array2<f32>>;
}

/// The model itself.
struct Keras<'a>(&'a Sequential);

impl Reference for Keras<'_> {
    fn outputs(&self, rows: &Array2<f32>) -> Result<Array2<f32>> {
        let silent = PredictOptions {
            verbose: 0,
            ..PredictOptions::default()
        };
        let count = rows.nrows();
        let mut shape = vec![count];
        shape.extend(self.0.input_shape().unwrap_or(&[rows.ncols()]));
        let shaped = |error| Error::shape(format!("the rows of the float model: {error}"));
        let rows = rows.to_shape(shape).map_err(shaped)?;
        let outputs = self.0.predict_with(&rows.to_owned(), silent)?;
        let width = outputs.len().checked_div(count).unwrap_or(0);
        outputs
            .into_shape_with_order((count, width))
            .map_err(shaped)
    }
}

/// `[rows, ...]` to `[rows, values]`, in f64.
fn flat<S: Data<Elem: Number>, D: Dimension>(
    rows: &ArrayBase<S, D>,
    inputs: usize,
) -> Result<Array2<f64>> {
    let count = rows.shape().first().copied().unwrap_or(0);
    let width = rows.len().checked_div(count).unwrap_or(inputs);
    let values = rows.iter().map(|value| f64::from(value.to_f32())).collect();
    Array2::from_shape_vec((count, width), values)
        .map_err(|error| Error::shape(format!("the calibration rows: {error}")))
}

/// [`quantize`] from the folded network and the settled options on; `rows` are `[rows, inputs]`.
fn quantize_chain(
    chain: &Chain,
    reference: &dyn Reference,
    rows: &ArrayView2<f64>,
    options: &QuantizeOptions,
) -> Result<Quantized> {
    let (tuned, mut quantized) = choose(chain, reference, rows, options)?;
    let metadata = Metadata::of(&tuned, options);
    let flash = |plan: &Plan| Ok(blob::build(plan, options.packing, &metadata)?.bytes().len());
    quantized.report.weakest = weakest::weakest(&tuned, flash)?;
    Ok(quantized)
}

/// [`quantize_chain`] without the search for the weakest layer.
fn choose(
    chain: &Chain,
    reference: &dyn Reference,
    rows: &ArrayView2<f64>,
    options: &QuantizeOptions,
) -> Result<(Tuned, Quantized)> {
    let names: Vec<&str> = chain
        .layers
        .iter()
        .map(|layer| layer.name.as_str())
        .collect();
    match &options.types {
        LayerTypes::Budget(budget) => types::within(chain, reference, rows, options, budget),
        chosen => {
            let tuned = tune(chain, rows, &chosen.each(&names)?, options.range)?;
            let quantized = pack(&tuned, reference, options)?;
            Ok((tuned, quantized))
        }
    }
}

/// A tuned plan to its blob, run on the calibration rows.
fn pack(tuned: &Tuned, reference: &dyn Reference, options: &QuantizeOptions) -> Result<Quantized> {
    // The rows came from f32.
    let rows = tuned.calibration.rows.mapv(|v| v as f32);
    let metadata = Metadata::of(tuned, options);
    let device = blob::build(&tuned.plan, options.packing, &metadata)?;
    let float = reference.outputs(&rows)?;
    let found = device.predict(&rows.into_dyn())?;
    let outputs = device.outputs();
    let found = found
        .into_shape_with_order((tuned.calibration.rows.nrows(), outputs))
        .expect("predict returns a row of outputs per row");
    let kind = Outputs::settled(tuned.activation(), outputs, options);
    let calibration = Comparison::new(&float.view(), &found.view(), kind, None);
    let mut report = Report::new(tuned, &device, calibration);
    let rows = tuned.calibration.rows.view();
    report.cautions = rows::cautions(&rows, &float.view(), &found.view(), kind, &device.labels());
    report.left_out = tuned.left_out.as_ref().map(|left_out| {
        // The device's outputs are f32.
        let outputs = left_out.outputs.mapv(|v| v as f32);
        LeftOutReport {
            comparison: Comparison::new(&float.view(), &outputs.view(), kind, None),
            clipped: left_out.clipped,
        }
    });
    Ok(Quantized { device, report })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activations::Activation;
    use chain::Affine;
    use chain_builder::ChainBuilder;
    use ndarray::Array1;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    pub(super) fn uniform(shape: (usize, usize), limit: f64, rng: &mut ChaCha8Rng) -> Array2<f64> {
        Array2::from_shape_simple_fn(shape, || rng.random_range(-limit..limit))
    }

    /// For networks without a model.
    impl Reference for Chain {
        fn outputs(&self, rows: &Array2<f32>) -> Result<Array2<f32>> {
            let rows = rows.mapv(f64::from);
            Ok(self.predict(&rows.view()).mapv(|v| v as f32))
        }
    }

    /// Inputs around 50, normalized, then dense layers of these widths and activations.
    pub(super) fn network(widths: &[usize], activations: &[&str], rng: &mut ChaCha8Rng) -> Chain {
        let mut builder = ChainBuilder::new(widths[0]);
        builder.affine(&Affine {
            scale: Array1::from_elem(widths[0], 0.1),
            offset: Array1::from_elem(widths[0], -5.03),
        });
        for (pair, name) in widths.windows(2).zip(activations) {
            let limit = (6.0 / (pair[0] + pair[1]) as f64).sqrt();
            let bias = uniform((1, pair[1]), 0.3, rng).row(0).to_owned();
            let kernel = uniform((pair[1], pair[0]), limit, rng);
            builder.dense("dense", 1, kernel, bias).expect("a layer");
            let activation: Activation = name.parse().expect("a Keras name");
            builder.activation(name, &activation).expect("a place");
        }
        builder.finish().expect("a chain")
    }

    #[test]
    fn the_device_follows_the_float_network_with_the_same_bits_in_every_packing() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        for activations in [
            ["relu", "tanh", "softmax"],
            ["relu6", "gelu", "sigmoid"],
            ["elu", "linear", "linear"],
            ["sigmoid", "leaky_relu", "softplus"],
            ["silu", "relu", "tanh"],
        ] {
            let chain = network(&[20, 13, 17, 5], &activations, &mut rng);
            let rows = uniform((300, 20), 20.0, &mut rng) + 50.0;
            let rows = rows.mapv(|v| f64::from(v as f32));
            let float = chain.predict(&rows.view());
            let x = rows.mapv(|v| v as f32).into_dyn();
            let mut bits: Option<Vec<u32>> = None;
            for packing in [Packing::Plain, Packing::Dsp, Packing::Lane, Packing::Mve] {
                let options = QuantizeOptions {
                    packing,
                    ..QuantizeOptions::default()
                };
                let device = quantize_chain(&chain, &chain, &rows.view(), &options)
                    .expect("a blob")
                    .device;
                let y = device.predict(&x).expect("finite rows");
                let found: Vec<u32> = y.iter().map(|v| v.to_bits()).collect();
                assert_eq!(bits.get_or_insert_with(|| found.clone()), &found);
                let spread = float.iter().fold(0.0f64, |m, v| m.max(v.abs()));
                let worst = y
                    .iter()
                    .zip(&float)
                    .fold(0.0f64, |m, (y, f)| m.max((f64::from(*y) - f).abs()));
                // A few steps of 1/254 of the range, through three layers.
                assert!(
                    worst < 0.05 * spread,
                    "{activations:?}: {worst} of {spread}"
                );
                let mut scratch = vec![0; device.model().scratch_len()];
                let mut outputs = vec![0.0; device.outputs()];
                assert_eq!(device.model().self_test(&mut scratch, &mut outputs), Ok(()));
            }
        }
    }

    #[test]
    fn bad_calibration_rows_are_refused_with_what_to_do() {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let chain = network(&[2, 3, 1], &["relu", "linear"], &mut rng);
        let options = QuantizeOptions::default();
        let refused = |rows: Array2<f64>| {
            quantize_chain(&chain, &chain, &rows.view(), &options)
                .expect_err("bad rows")
                .to_string()
        };
        assert_eq!(
            refused(Array2::zeros((0, 2))),
            "there are no calibration rows; give at least one, better several hundred, of the kind that \
             the device will see"
        );
        assert_eq!(
            refused(Array2::zeros((4, 3))),
            "calibration rows have 3 columns, expected the model's 2 inputs"
        );
        assert_eq!(
            refused(ndarray::arr2(&[[1.0, 2.0], [3.0, f64::NAN]])),
            "calibration data row 2 column 2 is NaN, expected a finite number; remove the row"
        );
        // One row, constant columns and large outliers give a sound blob.
        for rows in [
            ndarray::arr2(&[[50.0, 50.0]]),
            Array2::from_elem((40, 2), 50.3),
            ndarray::arr2(&[[50.0, 50.0], [1e30, -1e30]]),
        ] {
            let device = quantize_chain(&chain, &chain, &rows.view(), &options)
                .expect("a sound blob")
                .device;
            let y = device
                .predict(&Array2::from_elem((1, 2), 50.0f32).into_dyn())
                .expect("finite rows");
            assert!(y.iter().all(|v| v.is_finite()));
        }
    }
}
