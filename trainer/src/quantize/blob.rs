//! From a plan to the device's blob.

use ndarray::{Array2, s};
use thumbnet_runtime as runtime;
use thumbnet_runtime::{
    DenseSpec, LayerSpec, ModelSpec, OutputSpec, Packing, Precision, SelfTest, WeightsSpec,
};

use super::data_type::DataType;
use super::pieces::Form;
use super::plan::{Output, Plan, Step, Weights};
use super::tune::Tuned;
use super::{DeviceModel, QuantizeOptions};
use crate::{Error, Result};

/// What travels with the weights.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    /// A name per output, or two for a model with one output, or none.
    pub labels: Vec<String>,
    /// From which output on a model with one output says yes.
    pub threshold: Option<f32>,
    /// A name per input, or none.
    pub input_names: Vec<String>,
    /// Rows kept with their outputs, `[rows, inputs]`, for `Model::self_test`.
    pub self_tests: Array2<f32>,
}

impl Metadata {
    /// As the options say, with the first calibration rows for the self-test.
    pub fn of(tuned: &Tuned, options: &QuantizeOptions) -> Self {
        let rows = &tuned.calibration.rows;
        let tests = options.self_tests.min(rows.nrows());
        Self {
            labels: options.labels.clone(),
            threshold: options.threshold,
            input_names: options.input_names.clone(),
            // The rows came from f32.
            self_tests: rows.slice(s![..tests, ..]).mapv(|v| v as f32),
        }
    }
}

/// Values of the interpolated activation tables.
const TABLE: usize = 257;

/// The numbers of a step in the device's types, for the blob's description to borrow.
#[derive(Default)]
struct Numbers {
    /// Scales and zeros or offsets of a step that quantizes.
    scale: Vec<f32>,
    zero: Vec<f32>,
    /// Weights and biases of a dense layer in floats.
    kernel: Vec<f32>,
    bias: Vec<f32>,
    int8_table: Option<[i8; 256]>,
    int16_table: Option<Box<[i16; TABLE]>>,
    form: Option<Form>,
}

/// Packs a plan for a core family and runs the self-test rows once to record their outputs.
///
/// # Errors
///
/// Labels that do not fit the outputs, models larger than the format holds.
pub fn build(plan: &Plan, packing: Packing, metadata: &Metadata) -> Result<DeviceModel> {
    let numbers: Vec<Numbers> = plan.steps.iter().map(numbers).collect();
    let layers: Vec<LayerSpec> = plan
        .steps
        .iter()
        .zip(&numbers)
        .map(|(step, numbers)| describe(step, numbers, packing))
        .collect();
    let labels: Vec<&str> = metadata.labels.iter().map(String::as_str).collect();
    let input_names: Vec<&str> = metadata.input_names.iter().map(String::as_str).collect();
    let spec = ModelSpec {
        layers: &layers,
        labels: &labels,
        threshold: metadata.threshold,
        self_tests: &[],
        input_names: &input_names,
    };
    let untested = encode(&spec)?;
    if metadata.self_tests.is_empty() {
        return Ok(untested);
    }
    let recorded = record(&untested, layers.len(), &metadata.self_tests)?;
    let self_tests: Vec<SelfTest> = recorded
        .iter()
        .map(|(inputs, outputs, checksums)| SelfTest {
            inputs,
            outputs,
            checksums,
        })
        .collect();
    encode(&ModelSpec {
        self_tests: &self_tests,
        ..spec
    })
}

fn describe<'a>(step: &'a Step, numbers: &'a Numbers, packing: Packing) -> LayerSpec<'a> {
    match step {
        Step::Quantize { .. } | Step::Scale(_) => {
            let (scale, zero) = (&numbers.scale, &numbers.zero);
            // One pair does for all inputs where they are all the same.
            let same = |values: &[f32]| values.windows(2).all(|pair| pair[0] == pair[1]);
            let pairs = if same(scale) && same(zero) {
                1
            } else {
                scale.len()
            };
            LayerSpec::Quantize {
                inputs: scale.len(),
                scale: &scale[..pairs],
                zero: &zero[..pairs],
                output: match step {
                    Step::Quantize { input, .. } if input.limit == 127 => Precision::Int8,
                    Step::Quantize { .. } => Precision::Int16,
                    _ => Precision::Float,
                },
            }
        }
        Step::Dense(layer) => {
            let (units, inputs) = layer.real.kernel.dim();
            let (weights, multipliers, scales): (_, &[i32], &[f32]) = match &layer.weights {
                Weights::Float(_) => {
                    let weights = WeightsSpec::Float {
                        weights: &numbers.kernel,
                        bias: &numbers.bias,
                    };
                    (weights, &[], &[])
                }
                Weights::Integer { dense, data_type } => {
                    let weights = dense.weights.as_slice().expect("made in standard layout");
                    let bias = dense.bias.as_slice().expect("made in standard layout");
                    let weights = match data_type {
                        DataType::Int4 => WeightsSpec::Int4 { weights, bias },
                        DataType::Int16 => WeightsSpec::Int16 { weights, bias },
                        _ => WeightsSpec::Int8 { weights, bias },
                    };
                    (weights, &dense.multipliers, &dense.scales)
                }
            };
            let output = match &layer.output {
                Output::Clamp(tensor) | Output::Table { tensor, .. } if tensor.limit == 127 => {
                    OutputSpec::Int8 {
                        multipliers,
                        table: numbers.int8_table.as_ref(),
                    }
                }
                Output::Clamp(_) | Output::Table { .. } => OutputSpec::Int16 {
                    multipliers,
                    table: numbers.int16_table.as_deref(),
                },
                Output::Float { .. } => OutputSpec::Float {
                    scales,
                    activation: match &numbers.form {
                        Some(Form::Direct(activation)) => *activation,
                        _ => runtime::Activation::Linear,
                    },
                    table: match &numbers.form {
                        Some(Form::Pieces(pieces)) => Some(pieces.table()),
                        _ => None,
                    },
                },
            };
            LayerSpec::Dense(DenseSpec {
                inputs,
                units,
                packing,
                weights,
                output,
            })
        }
    }
}

fn numbers(step: &Step) -> Numbers {
    let mut numbers = Numbers::default();
    match step {
        Step::Quantize { scale, zero, .. } => {
            numbers.scale = narrow(scale);
            numbers.zero = narrow(zero);
        }
        Step::Scale(affine) => {
            numbers.scale = narrow(&affine.scale);
            numbers.zero = narrow(&affine.offset);
        }
        Step::Dense(layer) => {
            if let Weights::Float(dense) = &layer.weights {
                numbers.kernel = narrow(&dense.kernel);
                numbers.bias = narrow(&dense.bias);
            }
            match &layer.output {
                Output::Clamp(_) => {}
                Output::Table {
                    activation,
                    sums,
                    tensor,
                } if tensor.limit == 127 => {
                    let mut table = [0; 256];
                    for q in i8::MIN..=i8::MAX {
                        let sum = sums.dequantize(i32::from(q).max(-127));
                        // `quantize` clamps to [-127, 127].
                        table[usize::from(q.cast_unsigned())] =
                            tensor.quantize(activation.eval(sum)) as i8;
                    }
                    numbers.int8_table = Some(table);
                }
                Output::Table {
                    activation,
                    sums,
                    tensor,
                } => {
                    let mut table = Box::new([0; TABLE]);
                    for (entry, q) in table.iter_mut().zip((-32_768..=32_768).step_by(256)) {
                        // `quantize` clamps to [-32767, 32767].
                        *entry = tensor.quantize(activation.eval(sums.dequantize(q))) as i16;
                    }
                    numbers.int16_table = Some(table);
                }
                Output::Float { activation } => numbers.form = Some(Form::of(activation)),
            }
        }
    }
    numbers
}

fn encode(spec: &ModelSpec) -> Result<DeviceModel> {
    let refused = |error: runtime::Error| Error::value(format!("the device model: {error}"));
    let mut blob = vec![0; runtime::encoded_len(spec).map_err(refused)?];
    runtime::encode(spec, &mut blob).map_err(refused)?;
    DeviceModel::from_bytes(&blob)
}

type Recorded = (Vec<f32>, Vec<f32>, Vec<u32>);

fn record(model: &DeviceModel, layers: usize, rows: &Array2<f32>) -> Result<Vec<Recorded>> {
    let model = model.model();
    let mut scratch = vec![0; model.scratch_len()];
    rows.rows()
        .into_iter()
        .map(|row| {
            let inputs = row.to_vec();
            let mut outputs = vec![0.0; model.outputs()];
            let mut checksums = vec![0; layers];
            model
                .checksums(&inputs, &mut scratch, &mut outputs, &mut checksums)
                .map_err(|error| Error::value(format!("a self-test row: {error}")))?;
            Ok((inputs, outputs, checksums))
        })
        .collect()
}

/// f64 to the device's f32, one rounding each.
fn narrow<'a>(values: impl IntoIterator<Item = &'a f64>) -> Vec<f32> {
    values.into_iter().map(|&v| v as f32).collect()
}
