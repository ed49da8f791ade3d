//! From a plan to the device's blob.

use ndarray::{Array2, ArrayView2, s};
use thumbnet_runtime as runtime;
use thumbnet_runtime::{
    DenseSpec, FloatSpec, LayerSpec, LookupSpec, LookupTable, MaxPoolSpec, ModelSpec,
    NormalizeSpec, OutputSpec, Packing, Precision, SelfTest, WeightsSpec,
};

use super::chain::FloatKind;
use super::data_type::DataType;
use super::pieces::Form;
use super::plan::{Output, Plan, Step, Table, Weights};
use super::range::precision;
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
    /// Only as many of them as [`SELF_TESTS`] of the blob have room for.
    pub self_tests_fit: bool,
}

/// Share of a blob that the rows of its self-test may take unless they are asked for.
const SELF_TESTS: f64 = 0.03;

impl Metadata {
    /// As the options say, with the first calibration rows for the self-test.
    pub fn of(tuned: &Tuned, options: &QuantizeOptions) -> Self {
        let rows = &tuned.calibration.rows;
        let tests = options.self_tests.unwrap_or(2).min(rows.nrows());
        Self {
            labels: options.labels.clone(),
            threshold: options.threshold,
            input_names: options.input_names.clone(),
            // The rows came from f32.
            self_tests: rows.slice(s![..tests, ..]).mapv(|v| v as f32),
            self_tests_fit: options.self_tests.is_none(),
        }
    }
}

/// The numbers of a step in the device's types, for the blob's description to borrow.
#[derive(Default)]
struct Numbers {
    /// Of a step that scales; slopes are a scale, too, and so is a table of floats.
    scale: Vec<f32>,
    /// The bounds of a lookup, too.
    offset: Vec<f32>,
    /// A table of int8.
    bytes: Vec<i8>,
    /// Weights and biases of a dense layer in floats.
    kernel: Vec<f32>,
    bias: Vec<f32>,
    int8_table: Option<Box<[i8; 256]>>,
    int16_table: Option<Box<[i16; 257]>>,
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
    let numbers_of_a_row = untested.inputs() + untested.outputs() + layers.len();
    let room = if metadata.self_tests_fit {
        // Far below 2^52; a row's three lengths take up to 3 bytes each.
        (SELF_TESTS * untested.bytes().len() as f64) as usize / (4 * numbers_of_a_row + 9)
    } else {
        usize::MAX
    };
    let rows = metadata
        .self_tests
        .slice(s![..room.min(metadata.self_tests.nrows()), ..]);
    if rows.is_empty() {
        return Ok(untested);
    }
    let recorded = record(&untested, layers.len(), &rows)?;
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
        Step::Quantize {
            scale,
            zero_point,
            input,
        } => {
            let pairs = pairs(scale, zero_point);
            LayerSpec::Quantize {
                inputs: scale.len(),
                scale: &scale[..pairs],
                zero_point: &zero_point[..pairs],
                output: precision(input.limit),
            }
        }
        Step::Scale(_) => scale(numbers),
        Step::Float(step) => match &step.kind {
            FloatKind::Scale(_) => scale(numbers),
            FloatKind::Prelu(_) => LayerSpec::Prelu {
                slopes: &numbers.scale,
                then: numbers.then(),
            },
            FloatKind::MaxPool(pool) => LayerSpec::MaxPool(MaxPoolSpec {
                blocks: pool.blocks,
                steps: pool.steps,
                channels: pool.channels,
                windows: pool.windows,
                size: pool.size,
                stride: pool.stride,
                before: pool.before,
                then: numbers.then(),
            }),
            FloatKind::Lookup(lookup) => LayerSpec::Lookup(LookupSpec {
                inputs: lookup.inputs,
                bounds: &numbers.offset,
                units: lookup.units,
                table: match lookup.scale {
                    Some(scale) => LookupTable::Int8 {
                        values: &numbers.bytes,
                        scale: scale as f32, // it came from f32
                    },
                    None => LookupTable::Float(&numbers.scale),
                },
                zeros: lookup.zeros,
                then: numbers.then(),
            }),
            FloatKind::Normalize(normalize) => {
                // Counts are below 2^16.
                let factor = 1.0 / normalize.len() as f32;
                LayerSpec::Normalize(NormalizeSpec {
                    blocks: normalize.blocks,
                    steps: normalize.steps,
                    groups: normalize.groups,
                    run: normalize.run,
                    mean_factor: if normalize.centered { factor } else { 0.0 },
                    square_factor: if normalize.by_length { 1.0 } else { factor },
                    // They came from f32, or are far from its ends.
                    epsilon: normalize.epsilon as f32,
                    least: normalize.least as f32,
                    then: numbers.then(),
                })
            }
        },
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
                Weights::Integer {
                    dense, data_type, ..
                } => {
                    let weights = dense.weights.as_slice().expect("made in standard layout");
                    let bias = dense.bias.as_slice().expect("made in standard layout");
                    let weights = match data_type {
                        DataType::Int4 => WeightsSpec::Int4 { weights, bias },
                        DataType::Int16 => WeightsSpec::Int16 { weights, bias },
                        DataType::Int8 | DataType::Float32 => WeightsSpec::Int8 { weights, bias },
                    };
                    (weights, &dense.multipliers, &dense.scales)
                }
            };
            let output = match &layer.output {
                Output::Clamp(tensor) | Output::Table { tensor, .. } => match tensor.precision() {
                    Precision::Int8 => OutputSpec::Int8 {
                        multipliers,
                        table: numbers.int8_table.as_deref(),
                    },
                    Precision::Int16 => OutputSpec::Int16 {
                        multipliers,
                        table: numbers.int16_table.as_deref(),
                    },
                },
                Output::Float { .. } => OutputSpec::Float {
                    scales,
                    activation: numbers.then().activation,
                    table: numbers.then().table,
                },
            };
            let dense = DenseSpec {
                inputs,
                units,
                packing,
                weights,
                output,
            };
            match layer.rows {
                1 => LayerSpec::Dense(dense),
                rows => LayerSpec::Rows { rows, dense },
            }
        }
    }
}

fn scale(numbers: &Numbers) -> LayerSpec<'_> {
    let (scale, offset) = (&numbers.scale, &numbers.offset);
    let pairs = pairs(scale, offset);
    LayerSpec::Scale {
        inputs: scale.len(),
        scale: &scale[..pairs],
        offset: &offset[..pairs],
        then: numbers.then(),
    }
}

impl Numbers {
    /// The activation of floats.
    fn then(&self) -> FloatSpec<'_> {
        let (activation, table) = match &self.form {
            Some(Form::Direct(activation)) => (*activation, None),
            Some(Form::Pieces(pieces)) => (runtime::Activation::Linear, Some(pieces.table())),
            None => (runtime::Activation::Linear, None),
        };
        FloatSpec { activation, table }
    }
}

/// How many pairs of numbers a layer needs: one does for all inputs where they are all the same.
fn pairs<A: PartialEq, B: PartialEq>(a: &[A], b: &[B]) -> usize {
    let same = a.windows(2).all(|pair| pair[0] == pair[1]);
    if same && b.windows(2).all(|pair| pair[0] == pair[1]) {
        1
    } else {
        a.len()
    }
}

fn numbers(step: &Step) -> Numbers {
    let mut numbers = Numbers::default();
    match step {
        Step::Quantize { .. } => {}
        Step::Scale(affine) => {
            numbers.scale = narrow(&affine.scale);
            numbers.offset = narrow(&affine.offset);
        }
        Step::Float(step) => {
            match &step.kind {
                FloatKind::Scale(affine) => {
                    numbers.scale = narrow(&affine.scale);
                    numbers.offset = narrow(&affine.offset);
                }
                FloatKind::Prelu(slopes) => numbers.scale = narrow(slopes),
                FloatKind::Lookup(lookup) => {
                    numbers.offset = narrow(&lookup.bounds);
                    match lookup.scale {
                        // Whole numbers of 8 bits.
                        Some(scale) => {
                            let whole = |value: &f64| (value / scale).round() as i8;
                            numbers.bytes = lookup.table.iter().map(whole).collect();
                        }
                        None => numbers.scale = narrow(&lookup.table),
                    }
                }
                FloatKind::Normalize(_) | FloatKind::MaxPool(_) => {}
            }
            numbers.form = Some(Form::of(&step.activation));
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
                } => match Table::of(activation, *sums, *tensor) {
                    Table::Int8(table) => numbers.int8_table = Some(table),
                    Table::Int16(table) => numbers.int16_table = Some(table),
                },
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

fn record(model: &DeviceModel, layers: usize, rows: &ArrayView2<f32>) -> Result<Vec<Recorded>> {
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
