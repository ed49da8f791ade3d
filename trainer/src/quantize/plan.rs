//! A whole chain in the device's arithmetic: every tensor's quantization and every layer's
//! numbers, with what that does to each tensor on the calibration rows.

use ndarray::{Array1, Array2, ArrayBase, Axis, Data, Ix2};

use super::calibrate::{Calibration, LayerTrace, Observed, RangeMethod};
use super::chain::{Affine, Chain, FloatStep, FoldedDense, activate, by_rows, split};
use super::data_type::DataType;
use super::dense::{
    Input, QuantizedDense, Rounding, Target, largest_weight_scales, least_error_scales,
    quantize_dense,
};
use super::output_error::OutputError;
use super::range::{TensorQuant, precision};
use crate::activations::Activation;
use crate::{Error, Result};
use thumbnet_runtime::{Precision, arithmetic};

/// The user's choices, and those that are made by trying.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanOptions {
    /// How the ranges of tensors are chosen: of the inputs, then of each layer's outputs.
    pub ranges: Vec<RangeMethod>,
    /// Whether each input has a range of its own instead of one for all.
    pub range_per_feature: bool,
    /// How much of the way from the range of all inputs to its own each input's goes, from 0 to 1: finer
    /// inputs leave coarser weights.
    pub own_range: f64,
    /// Whether weight scales are chosen by the error of the sums instead of the largest weight.
    pub least_error_weights: bool,
    /// Whether each unit's mean error on the calibration rows goes into its bias.
    pub bias_correction: bool,
    /// Whether a weight is rounded so that what the ones before lost is made up for.
    pub adaptive_rounding: bool,
    /// One per dense layer.
    pub types: Vec<DataType>,
}

impl PlanOptions {
    /// Everything in int8, nothing tried.
    pub fn plain(layers: usize) -> Self {
        Self {
            ranges: vec![RangeMethod::Unseen; layers + 1],
            range_per_feature: false,
            own_range: 1.0,
            least_error_weights: false,
            bias_correction: false,
            adaptive_rounding: false,
            types: vec![DataType::Int8; layers],
        }
    }
}

/// One step of the device.
#[derive(Clone, Debug)]
pub enum Step {
    /// Floats to integers: `real = scale * (q - zero_point)`, with the input's range.
    Quantize {
        /// `[inputs]`: reciprocals of the device's f32 factors.
        scale: Vec<f64>,
        /// `[inputs]`
        zero_point: Vec<i32>,
        /// What the integers stand for.
        input: Input,
    },
    /// Floats to floats: `x * scale + offset`. Of the inputs before a float layer, and of outputs that
    /// lie far from 0, see [`center`].
    Scale(Affine),
    /// Floats to floats otherwise.
    Float(FloatStep),
    /// A dense layer.
    Dense(Box<PlannedLayer>),
}

/// One dense layer in the device's arithmetic.
#[derive(Clone, Debug)]
pub struct PlannedLayer {
    /// Name of the Keras layer that the kernel came from.
    pub name: String,
    /// Rows of a sample that it is applied to.
    pub rows: usize,
    pub weights: Weights,
    /// The float layer's.
    pub activation: Activation,
    pub output: Output,
    /// What the float network multiplies with, `[units, inputs]` in steps of nothing: the kernel
    /// and bias that the device's integers stand for, with what a step behind adds to its outputs.
    pub real: RealDense,
    /// Signal-to-noise ratio of the outputs on the calibration rows against the float model, in
    /// dB; infinite where they are equal.
    pub signal_to_noise: f64,
    /// Outputs on the calibration rows that were clipped, as a share of all.
    pub saturated: f64,
}

impl PlannedLayer {
    /// How far the unit's fixed-point multiplier is from the real one, relative.
    pub fn multiplier_error(&self, unit: usize) -> f64 {
        match &self.weights {
            Weights::Integer { dense, .. } => {
                let multiplier = dense.multipliers.get(unit).copied().unwrap_or(0);
                0.5 / f64::from(multiplier.max(1))
            }
            Weights::Float(_) => 0.0,
        }
    }
}

/// What a device layer computes, in real numbers.
#[derive(Clone, Debug)]
pub struct RealDense {
    /// `[units, inputs]`
    pub kernel: Array2<f64>,
    /// `[units]`
    pub bias: Array1<f64>,
}

/// A layer's weights on the device.
#[derive(Clone, Debug)]
pub enum Weights {
    Integer {
        dense: QuantizedDense,
        /// What the layer reads.
        input: Input,
        data_type: DataType,
    },
    Float(FoldedDense),
}

impl Weights {
    /// Their type.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Integer { data_type, .. } => *data_type,
            Self::Float(_) => DataType::Float32,
        }
    }
}

/// How a layer's sums become its outputs.
#[derive(Clone, Debug)]
pub enum Output {
    /// Requantized; the clamp is the activation (linear, relu, relu6).
    Clamp(TensorQuant),
    /// Requantized to `sums`, then looked up.
    Table {
        activation: Activation,
        sums: TensorQuant,
        tensor: TensorQuant,
    },
    /// `activation(sum)` in f32.
    Float { activation: Activation },
}

impl Output {
    /// With integers whose steps are so many times as coarse.
    fn coarser(self, factor: f64) -> Self {
        match self {
            Self::Clamp(tensor) => Self::Clamp(tensor.coarser(factor)),
            Self::Table {
                activation,
                sums,
                tensor,
            } => Self::Table {
                activation,
                sums: sums.coarser(factor),
                tensor,
            },
            float @ Self::Float { .. } => float,
        }
    }
}

/// An activation of integers on the device: what each of them becomes.
pub enum Table {
    /// By the integer as `u8`.
    Int8(Box<[i8; 256]>),
    /// At -32768, -32512 and so on, interpolated between.
    Int16(Box<[i16; 257]>),
}

impl Table {
    /// The function from one tensor's integers to the other's.
    pub fn of(activation: &Activation, sums: TensorQuant, tensor: TensorQuant) -> Self {
        let entry = |q: i32| tensor.quantize(activation.eval(sums.dequantize(q)));
        if tensor.precision() == Precision::Int8 {
            let mut table = Box::new([0; 256]);
            for q in i8::MIN..=i8::MAX {
                // `quantize` clamps to [-127, 127].
                table[usize::from(q.cast_unsigned())] = entry(i32::from(q).max(-127)) as i8;
            }
            Self::Int8(table)
        } else {
            let mut table = Box::new([0; 257]);
            for (value, q) in table.iter_mut().zip((-32_768..=32_768).step_by(256)) {
                // `quantize` clamps to [-32767, 32767].
                *value = entry(q) as i16;
            }
            Self::Int16(table)
        }
    }

    /// What the device makes of an integer of the sums' range.
    fn at(&self, q: i32) -> i32 {
        match self {
            // The low byte, as the device has it.
            Self::Int8(table) => i32::from(table[usize::from(q as u8)]),
            Self::Int16(table) => arithmetic::interpolate(q, table),
        }
    }
}

/// A network in the device's arithmetic, not packed for any core yet.
#[derive(Clone, Debug)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Of the outputs on the calibration's kept rows; see [`OutputError`].
    pub error: f64,
    /// The same over the outputs' variance; none where they do not vary.
    pub relative_error: Option<f64>,
}

/// Values between two steps on the calibration rows.
enum Signal {
    Integers { q: Array2<f64>, input: Input },
    Floats(Array2<f64>),
}

impl Signal {
    /// `[samples, rows * values]` as `[samples * rows, values]`.
    fn of_rows(self, rows: usize) -> Self {
        if rows == 1 {
            return self;
        }
        match self {
            Self::Floats(x) => Self::Floats(split(&x.view(), rows)),
            Self::Integers { q, input } => {
                let len = input.zeros.len() / rows;
                let first = |values: &Array1<f64>| values.iter().take(len).copied().collect();
                Self::Integers {
                    q: split(&q.view(), rows),
                    // Of all rows the same.
                    input: Input {
                        columns: first(&input.columns),
                        zeros: first(&input.zeros),
                        ..input
                    },
                }
            }
        }
    }

    /// The way back.
    fn of_samples(self, rows: usize) -> Self {
        if rows == 1 {
            return self;
        }
        let join = |x: Array2<f64>| {
            let shape = (x.nrows() / rows, x.ncols() * rows);
            x.into_shape_with_order(shape).expect("as many values")
        };
        match self {
            Self::Floats(x) => Self::Floats(join(x)),
            Self::Integers { q, input } => {
                let len = input.zeros.len() * rows;
                let all = |values: &Array1<f64>| values.iter().cycle().take(len).copied().collect();
                Self::Integers {
                    q: join(q),
                    input: Input {
                        columns: all(&input.columns),
                        zeros: all(&input.zeros),
                        ..input
                    },
                }
            }
        }
    }

    /// Against the float model's, in dB; infinite where they are equal.
    fn signal_to_noise(&self, float: &Array2<f64>) -> f64 {
        let noise = match self {
            Self::Floats(y) => y - float,
            Self::Integers { q, input } => (q - &input.zeros) * input.scale - float,
        };
        10.0 * (mean_square(float) / mean_square(&noise)).log10()
    }
}

impl Plan {
    /// Quantizes every layer.
    ///
    /// # Errors
    ///
    /// Ranges that f32 cannot hold.
    pub fn new(chain: &Chain, calibration: &Calibration, options: &PlanOptions) -> Result<Self> {
        let mut steps = Vec::with_capacity(chain.layers.len() + 1);
        let integers = options.types.iter().any(|t| *t != DataType::Float32);
        let floats = |steps: &[FloatStep]| -> Vec<FloatStep> {
            let steps = steps.iter().cloned();
            steps.map(|step| step.on_device(integers)).collect()
        };
        let limit = options.types.first().and_then(|t| t.input_limit());
        let mut signal = match limit.filter(|_| chain.quantizes_inputs()) {
            Some(limit) => {
                let (step, signal) = quantize_inputs(chain, calibration, options, limit)?;
                steps.push(step);
                signal
            }
            None => {
                steps.push(Step::Scale(chain.input.clone()));
                let mut x = chain.scaled_inputs(&calibration.rows.view());
                for step in floats(&chain.first) {
                    step.apply(&mut x);
                    steps.push(Step::Float(step));
                }
                Signal::Floats(x)
            }
        };
        for (index, (layer, trace)) in chain.layers.iter().zip(&calibration.layers).enumerate() {
            let data_type = options.types[index];
            if let (Signal::Floats(x), Some(limit)) = (&signal, data_type.input_limit()) {
                let (step, quantized) = quantize_between(x, options.ranges[index], limit)?;
                steps.push(step);
                signal = quantized;
            }
            let next = options.types.get(index + 1);
            let output = match next.and_then(|next| next.input_limit()) {
                // A float layer's sums stay floats; the next step quantizes them.
                Some(limit)
                    if data_type != DataType::Float32
                        && layer.then.is_empty()
                        && is_a_table(&layer.activation, limit) =>
                {
                    integer_output(layer, trace, options.ranges[index + 1], limit)?
                }
                _ => Output::Float {
                    activation: layer.activation.clone(),
                },
            };
            let sums = split(&trace.sums.view(), layer.rows);
            let of_rows = signal.of_rows(layer.rows);
            let (mut planned, center, after) =
                plan_row(layer, &sums, data_type, output, of_rows, options);
            let mut after = after.of_samples(layer.rows);
            let then = floats(&layer.then);
            if let Signal::Floats(y) = &mut after {
                then.iter().for_each(|step| step.apply(y));
            }
            planned.signal_to_noise = after.signal_to_noise(&trace.outputs);
            steps.push(Step::Dense(Box::new(planned)));
            // One for all rows of a sample.
            let center = center.map(|center| {
                let all = center.iter().cycle().take(layer.outputs());
                all.copied().collect::<Array1<f64>>()
            });
            steps.extend(center.map(|offset| {
                Step::Scale(Affine {
                    scale: Array1::ones(offset.len()),
                    offset,
                })
            }));
            steps.extend(then.into_iter().map(Step::Float));
            signal = after;
        }
        let outputs = match signal {
            Signal::Floats(y) => y,
            Signal::Integers { q, .. } => q,
        };
        let found = calibration
            .layers
            .last()
            .map(|trace| OutputError::of(&outputs, &trace.outputs, chain.activation()));
        Ok(Self {
            steps,
            error: found.map_or(0.0, |found| found.error),
            relative_error: found.and_then(|found| found.relative()),
        })
    }

    /// What the device makes of raw rows, `[rows, inputs]` to `[rows, outputs]`: its integers, and its
    /// floats but for their roundings.
    pub fn predict(&self, rows: &Array2<f64>) -> Array2<f64> {
        let mut x = rows.clone();
        for step in &self.steps {
            x = match step {
                Step::Quantize {
                    scale,
                    zero_point,
                    input,
                } => integers(&x, scale, zero_point, precision(input.limit)),
                Step::Scale(affine) => x * &affine.scale + &affine.offset,
                Step::Float(step) => {
                    step.apply(&mut x);
                    x
                }
                Step::Dense(layer) => match &layer.weights {
                    Weights::Integer { dense, input, .. } => by_rows(layer.rows, &x.view(), |x| {
                        let sums = accumulate(dense, x);
                        match finish(&layer.activation, dense, input, &layer.output, &sums).0 {
                            Signal::Integers { q, .. } => q,
                            Signal::Floats(y) => y,
                        }
                    }),
                    Weights::Float(layer) => {
                        let mut y = layer.sums(&x.view());
                        layer.activate(&mut y);
                        y
                    }
                },
            };
        }
        x
    }

    /// How many of the rows, `[rows, inputs]`, have an input beyond its range.
    pub fn clipped(&self, rows: &Array2<f64>) -> usize {
        let Some(Step::Quantize {
            scale,
            zero_point,
            input,
        }) = self.steps.first()
        else {
            return 0;
        };
        let limit = f64::from(input.limit) + 0.5;
        let is_beyond =
            |(x, (scale, zero)): (&f64, (&f64, &i32))| (x / scale + f64::from(*zero)).abs() > limit;
        let pairs = || scale.iter().zip(zero_point);
        let rows = rows.outer_iter();
        rows.filter(|row| row.iter().zip(pairs()).any(is_beyond))
            .count()
    }

    /// The dense layers.
    pub fn layers(&self) -> impl Iterator<Item = &PlannedLayer> {
        self.steps.iter().filter_map(|step| match step {
            Step::Dense(layer) => Some(&**layer),
            Step::Quantize { .. } | Step::Scale(_) | Step::Float(_) => None,
        })
    }
}

/// Whether integers can have the activation: a table of int16 is interpolated, and would make a slope of a
/// jump; a softmax is of all values together.
fn is_a_table(activation: &Activation, limit: i32) -> bool {
    if !activation.is_elementwise() {
        return false;
    }
    precision(limit) == Precision::Int8 || activation.jumps().is_empty()
}

/// The device adds zero points to `1.5 * 2^23`, which leaves this much room.
const LARGEST_ZERO: f64 = 4_194_304.0; // 2^22

/// How much coarser a feature's steps must be for its zero point, 1 where they are coarse enough. A
/// pressure of 101325 +- 300 in 65,535 steps has one beyond what the device adds up; f32 itself has
/// hardly finer steps there.
fn too_fine(chain: &Chain, tensor: TensorQuant, feature: usize) -> f64 {
    // With as many of the steps left as eight bits have; else it is refused.
    let most = f64::from(tensor.limit) / f64::from(Precision::Int8.limit());
    far_by(chain, tensor, feature).clamp(1.0, most.max(1.0))
}

/// A feature's zero point in units of the greatest.
fn far_by(chain: &Chain, tensor: TensorQuant, feature: usize) -> f64 {
    let zero = chain.input.offset[feature] / tensor.scale + f64::from(tensor.zero);
    1.001 * zero.abs() / LARGEST_ZERO
}

/// Raw inputs to integers, with the normalization folded in.
///
/// A zero point is a whole number on the device; what the normalization has beyond goes into the
/// first layer's bias by way of `Input::zeros`.
fn quantize_inputs(
    chain: &Chain,
    calibration: &Calibration,
    options: &PlanOptions,
    limit: i32,
) -> Result<(Step, Signal)> {
    let normalization = &chain.input;
    let method = options.ranges[0];
    let (low, high) = calibration.seen_inputs.range(method, limit);
    let mut whole = TensorQuant::covering(low, high, limit)?;
    if !options.range_per_feature {
        let widest = (0..chain.inputs()).map(|feature| too_fine(chain, whole, feature));
        whole = whole.coarser(widest.fold(1.0, f64::max));
    }
    let mut tensors = vec![whole; chain.inputs()];
    if options.range_per_feature && method == RangeMethod::Unseen {
        let ranges = calibration.seen_inputs.ranges_of_columns(limit);
        let widest = whole.scale * f64::from(2 * limit);
        let ranges = ranges.into_iter().cycle();
        for (feature, (tensor, (low, high))) in tensors.iter_mut().zip(ranges).enumerate() {
            let width = high - low;
            let wanted = width * (widest / width).max(1.0).powf(1.0 - options.own_range);
            let wider = if width > 0.0 {
                (wanted - width) / 2.0
            } else {
                0.0
            };
            let (low, high) = (low - wider, high + wider);
            *tensor = TensorQuant::spanning(low, high, limit)?;
            // As coarse as its distance from 0 asks for.
            let most = far_by(chain, *tensor, feature).max(1.0);
            let wider = (most - 1.0) * tensor.scale * f64::from(limit);
            *tensor = TensorQuant::spanning(low - wider, high + wider, limit)?;
        }
    } else if options.range_per_feature {
        let columns = calibration.columns(chain).iter().cycle();
        for (tensor, column) in tensors.iter_mut().zip(columns) {
            let (low, high) = column.range(method, limit);
            // A column that hardly moves must not get steps so fine that the next value saturates.
            let least = whole.scale / 64.0;
            let own = TensorQuant::covering(low, high, limit)?;
            *tensor = TensorQuant::covering(
                low.min(-least * f64::from(own.zero + limit)),
                high.max(least * f64::from(limit - own.zero)),
                limit,
            )?;
        }
        for (feature, tensor) in tensors.iter_mut().enumerate() {
            *tensor = tensor.coarser(too_fine(chain, *tensor, feature));
        }
    }
    let scales: Array1<f64> = tensors.iter().map(|tensor| tensor.scale).collect();
    let wanted: Array1<f64> = tensors
        .iter()
        .map(|tensor| f64::from(tensor.zero))
        .collect();
    let scale = &normalization.scale / &scales;
    let exact = &normalization.offset / &scales + &wanted;
    let zero = exact.mapv(f64::round);
    if let Some((feature, &zero)) = zero.indexed_iter().find(|(_, z)| z.abs() > LARGEST_ZERO) {
        return Err(Error::value(format!(
            "input {} lies {:.3e} quantization steps from 0, expected at most {LARGEST_ZERO}; its \
             values are too far from 0 for their spread, subtract a constant from them before",
            feature + 1,
            zero.abs()
        )));
    }
    let input = Input {
        scale: whole.scale,
        columns: scales / whole.scale,
        zeros: wanted + &zero - &exact,
        limit,
    };
    Ok(quantize_floats(&calibration.rows, &scale, &zero, input))
}

/// Outputs of a float layer to the integers that the next layer reads.
fn quantize_between(x: &Array2<f64>, method: RangeMethod, limit: i32) -> Result<(Step, Signal)> {
    let (low, high) = Observed::of(&x.view(), vec![1.0; x.ncols()]).range(method, limit);
    let tensor = TensorQuant::covering(low, high, limit)?;
    let width = x.ncols();
    let factors = Array1::from_elem(width, 1.0 / tensor.scale);
    let zeros = Array1::from_elem(width, f64::from(tensor.zero));
    let input = Input::tensor(tensor, width);
    Ok(quantize_floats(x, &factors, &zeros, input))
}

/// The step that multiplies by the factors and adds the zero points, whole numbers, and what it makes of
/// floats, `[rows, inputs]`.
fn quantize_floats(
    x: &Array2<f64>,
    factors: &Array1<f64>,
    zeros: &Array1<f64>,
    input: Input,
) -> (Step, Signal) {
    let output = precision(input.limit);
    // One rounding to the device's f32; zero points are below 2^23.
    let factors: Vec<f32> = factors.iter().map(|&factor| factor as f32).collect();
    let zero_point: Vec<i32> = zeros.iter().map(|&zero| zero as i32).collect();
    // Whose reciprocals are the factors again.
    let scale: Vec<f64> = factors.iter().map(|&a| 1.0 / f64::from(a)).collect();
    let q = integers(x, &scale, &zero_point, output);
    let step = Step::Quantize {
        scale,
        zero_point,
        input: input.clone(),
    };
    (step, Signal::Integers { q, input })
}

/// Floats, `[rows, inputs]`, to the device's integers.
fn integers(x: &Array2<f64>, scale: &[f64], zero_point: &[i32], output: Precision) -> Array2<f64> {
    let mut q = x.clone();
    for mut row in q.rows_mut() {
        for ((q, &scale), &zero) in row.iter_mut().zip(scale).zip(zero_point) {
            // Rows are f32, and so is what a float layer writes; the factor is the device's f32.
            let q32 = arithmetic::quantize(*q as f32, (1.0 / scale) as f32, zero, output);
            *q = f64::from(q32);
        }
    }
    q
}

/// The layer on rows of samples, what a step behind it adds to its outputs, if any, and those with that;
/// its signal-to-noise ratio is not known yet. `float` are the float model's sums.
fn plan_row(
    layer: &FoldedDense,
    float: &Array2<f64>,
    data_type: DataType,
    mut output: Output,
    signal: Signal,
    options: &PlanOptions,
) -> (PlannedLayer, Option<Array1<f64>>, Signal) {
    let mut center = None;
    let (weights, real, after, saturated) = match signal {
        Signal::Floats(x) => {
            let mut y = x.dot(&layer.kernel.t()) + &layer.bias;
            activate(&layer.activation, &mut y);
            let real = RealDense {
                kernel: layer.kernel.clone(),
                bias: layer.bias.clone(),
            };
            let weights = Weights::Float(layer.clone());
            (weights, real, Signal::Floats(y), 0.0)
        }
        Signal::Integers { q, input } => {
            let quantize = |layer: &FoldedDense, sums: &Array2<f64>, output: &Output| {
                integer_dense(layer, sums, &input, output, &q, data_type, options)
            };
            let mut dense = quantize(layer, float, &output);
            // Steps of the output that are finer than those of the sum break the kernels' limits.
            while dense.excess > 1.0 {
                output = output.coarser(dense.excess.max(1.01));
                dense = quantize(layer, float, &output);
            }
            if let Output::Float {
                activation: Activation::Linear,
            } = output
                && let Some(offset) = offset(float)
            {
                let mut near = layer.clone();
                near.bias -= &offset;
                let centered = quantize(&near, &(float - &offset), &output);
                if is_finer(&centered, &dense) {
                    dense = centered;
                    center = Some(offset);
                }
            }
            let mut real = real_dense(&dense, &input, &output);
            let sums = accumulate(&dense, &q);
            let (mut after, saturated) = finish(&layer.activation, &dense, &input, &output, &sums);
            if let (Some(offset), Signal::Floats(y)) = (&center, &mut after) {
                real.bias += offset;
                *y += offset;
            }
            let weights = Weights::Integer {
                dense,
                input,
                data_type,
            };
            (weights, real, after, saturated)
        }
    };
    let planned = PlannedLayer {
        name: layer.name.clone(),
        rows: layer.rows,
        weights,
        activation: layer.activation.clone(),
        output,
        real,
        signal_to_noise: f64::INFINITY,
        saturated,
    };
    (planned, center, after)
}

/// The middle of each output on the calibration rows, as the device has it, `[units]`.
fn offset(float: &Array2<f64>) -> Option<Array1<f64>> {
    let mean = float.mean_axis(Axis(0))?;
    // Within f32's range, as the blob's numbers must be.
    let offset = mean.mapv(|mean| f64::from(mean as f32));
    offset
        .iter()
        .all(|offset| offset.is_finite())
        .then_some(offset)
}

/// Whether steps of some unit's sum are finer by a tenth or more: a bias that is large against the
/// weights takes the room that sums have.
fn is_finer(dense: &QuantizedDense, than: &QuantizedDense) -> bool {
    let pairs = dense.scales.iter().zip(&than.scales);
    pairs.into_iter().any(|(scale, than)| *scale < 0.9 * than)
}

fn mean_square(values: &Array2<f64>) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>() / values.len().max(1) as f64
}

/// Quantizes one layer; with bias correction twice, the second time with each unit's mean error
/// on the calibration rows taken off its bias. `float` are the float model's sums for these.
fn integer_dense(
    layer: &FoldedDense,
    float: &Array2<f64>,
    input: &Input,
    output: &Output,
    integers: &Array2<f64>,
    data_type: DataType,
    options: &PlanOptions,
) -> QuantizedDense {
    let target = match output {
        Output::Clamp(tensor) | Output::Table { sums: tensor, .. } => Target::Integer(*tensor),
        Output::Float { .. } => Target::Float,
    };
    let limit = data_type.weight_limit();
    let kernel = &layer.kernel * &input.columns;
    let scales = if options.least_error_weights {
        let mut distances = integers - &input.zeros;
        // The bias takes up what a weight does to the mean.
        if options.bias_correction
            && let Some(mean) = distances.mean_axis(Axis(0))
        {
            distances -= &mean;
        }
        let power = distances
            .mapv(|v| v * v)
            .mean_axis(Axis(0))
            .unwrap_or_else(|| Array1::ones(layer.inputs()));
        least_error_scales(&kernel, &power, limit)
    } else {
        largest_weight_scales(&kernel, limit)
    };
    let rounding = if options.adaptive_rounding {
        Rounding::adaptive(&(integers - &input.zeros))
    } else {
        Rounding::Nearest
    };
    let quantize = |bias: &Array1<f64>| {
        quantize_dense(&kernel, bias, input, target, &scales, &rounding, limit)
    };
    let dense = quantize(&layer.bias);
    if !options.bias_correction {
        return dense;
    }
    let sums = accumulate(&dense, integers) * &steps(&dense) - zero_of(output);
    let mean = (&sums - float)
        .mean_axis(Axis(0))
        .unwrap_or_else(|| Array1::zeros(layer.units()));
    quantize(&(&layer.bias - &mean))
}

/// What each unit's sum is worth, `[units]`.
fn steps(dense: &QuantizedDense) -> Array1<f64> {
    dense.scales.iter().map(|&scale| f64::from(scale)).collect()
}

/// The real value of the output zero point that the bias holds.
fn zero_of(output: &Output) -> f64 {
    match output {
        Output::Clamp(tensor) | Output::Table { sums: tensor, .. } => {
            f64::from(tensor.zero) * tensor.scale
        }
        Output::Float { .. } => 0.0,
    }
}

fn real_dense(dense: &QuantizedDense, input: &Input, output: &Output) -> RealDense {
    let steps = steps(dense);
    let weights = dense.weights.mapv(f64::from);
    let zeros = weights.dot(&input.zeros);
    let kernel = &weights * &(&steps / input.scale).insert_axis(Axis(1)) / &input.columns;
    let bias = (dense.bias.mapv(f64::from) + zeros) * &steps - zero_of(output);
    RealDense { kernel, bias }
}

/// `[rows, inputs]` integers to `[rows, units]` sums, exact in f64.
fn accumulate<S: Data<Elem = f64>>(
    dense: &QuantizedDense,
    integers: &ArrayBase<S, Ix2>,
) -> Array2<f64> {
    integers.dot(&dense.weights.mapv(f64::from).t()) + &dense.bias.mapv(f64::from)
}

/// Sums to outputs, and the share of them that was clipped.
fn finish(
    activation: &Activation,
    dense: &QuantizedDense,
    input: &Input,
    output: &Output,
    sums: &Array2<f64>,
) -> (Signal, f64) {
    let inputs = precision(input.limit);
    match output {
        Output::Float { .. } => {
            let mut y = sums * &steps(dense);
            activate(activation, &mut y);
            (Signal::Floats(y), 0.0)
        }
        Output::Clamp(tensor) => {
            let (q, clipped) = requantize(sums, &dense.multipliers, inputs, *tensor, activation);
            let input = Input::tensor(*tensor, sums.ncols());
            (Signal::Integers { q, input }, clipped)
        }
        Output::Table {
            sums: before,
            tensor,
            ..
        } => {
            let (mut q, clipped) =
                requantize(sums, &dense.multipliers, inputs, *before, activation);
            let table = Table::of(activation, *before, *tensor);
            // Whole numbers within the limits.
            q.mapv_inplace(|q| f64::from(table.at(q as i32)));
            let input = Input::tensor(*tensor, sums.ncols());
            (Signal::Integers { q, input }, clipped)
        }
    }
}

/// Sums to clamped integers, and the share that the clamp changed though the float activation
/// would not have.
fn requantize(
    sums: &Array2<f64>,
    multipliers: &[i32],
    inputs: Precision,
    tensor: TensorQuant,
    activation: &Activation,
) -> (Array2<f64>, f64) {
    let limit = tensor.limit;
    let mut clipped = 0usize;
    // What falls below the range of a relu is its zero, not a loss.
    let is_relu = !matches!(activation, Activation::Linear) && tensor.zero == -tensor.limit;
    let mut q = sums.clone();
    for mut row in q.rows_mut() {
        for (q, &multiplier) in row.iter_mut().zip(multipliers) {
            // A sum within the accumulator's range, which is proven of every unit.
            let rounded = arithmetic::requantize(*q as i32, inputs, multiplier);
            if rounded > limit || (rounded < -limit && !is_relu) {
                clipped += 1;
            }
            *q = f64::from(rounded.clamp(-limit, limit));
        }
    }
    // Counts far below 2^53.
    let share = clipped as f64 / sums.len().max(1) as f64;
    (q, share)
}

/// Where an activation is flat beyond these sums, wider ranges only cost resolution.
fn saturation(activation: &Activation) -> f64 {
    match activation {
        // sigmoid(8) = 1 - 3.4e-4, less than a tenth of an int8 step from 1.
        Activation::Sigmoid | Activation::HardSigmoid | Activation::Keras2HardSigmoid => 8.0,
        Activation::Tanh | Activation::HardTanh => 4.0,
        _ => f64::INFINITY,
    }
}

fn integer_output(
    layer: &FoldedDense,
    trace: &LayerTrace,
    method: RangeMethod,
    limit: i32,
) -> Result<Output> {
    let (low, high) = trace.seen_outputs.range(method, limit);
    match layer.activation {
        Activation::Linear => Ok(Output::Clamp(TensorQuant::covering(low, high, limit)?)),
        // The range begins at 0 and ends at the cap or below: the clamp does the rest.
        Activation::Relu {
            negative_slope: 0.0,
            threshold: 0.0,
            max_value,
        } => {
            let cap = max_value.map_or(f64::INFINITY, f64::from);
            let tensor = TensorQuant::covering(0.0, high.clamp(0.0, cap), limit)?;
            Ok(Output::Clamp(tensor))
        }
        Activation::Relu6 => {
            let tensor = TensorQuant::covering(0.0, high.clamp(0.0, 6.0), limit)?;
            Ok(Output::Clamp(tensor))
        }
        _ => {
            // int16 tables are interpolated: they reach further before the next step is flat.
            let flat = saturation(&layer.activation)
                * match precision(limit) {
                    Precision::Int8 => 1.0,
                    Precision::Int16 => 2.0,
                };
            let (low, high) = trace.seen_sums.range(method, limit);
            let sums =
                TensorQuant::covering(low.clamp(-flat, flat), high.clamp(-flat, flat), limit)?;
            let ends = (-limit..=limit)
                .map(|q| layer.activation.eval(sums.dequantize(q)))
                .fold((0.0, 0.0), |(low, high): (f64, f64), v| {
                    (low.min(v), high.max(v))
                });
            Ok(Output::Table {
                activation: layer.activation.clone(),
                sums,
                tensor: TensorQuant::covering(ends.0, ends.1, limit)?,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::blob;
    use super::super::tests::{network, uniform};
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// Sums of the last layer are below 2^24: the device rounds once, from the exact product to f32.
    #[test]
    fn the_plan_computes_the_device_s_bits_from_the_inputs_to_the_outputs() {
        let mut rng = ChaCha8Rng::seed_from_u64(31);
        let mut outputs = 0;
        for first in [DataType::Int8, DataType::Int4, DataType::Int16] {
            for activations in [["relu", "relu"], ["tanh", "gelu"], ["relu6", "elu"]] {
                let activations = [activations[0], activations[1], "linear"];
                let chain = network(&[9, 40, 30, 25], &activations, &mut rng);
                // Half of the rows lie beyond the calibration's: the ends of every range are reached.
                let rows = uniform((9000, 9), 40.0, &mut rng) + 50.0;
                let rows = rows.mapv(|v| f64::from(v as f32));
                let seen = uniform((200, 9), 20.0, &mut rng) + 50.0;
                let calibration = Calibration::run(&chain, &seen.view()).expect("finite rows");
                let options = PlanOptions {
                    types: vec![first, first, DataType::Int8],
                    range_per_feature: true,
                    ..PlanOptions::plain(3)
                };
                let plan = Plan::new(&chain, &calibration, &options).expect("a plan");
                let device = blob::build(&plan, Default::default(), &Default::default());
                let found = device
                    .expect("a blob")
                    .predict(&rows.mapv(|v| v as f32))
                    .expect("finite rows");
                let planned = plan.predict(&rows);
                for (planned, found) in planned.iter().zip(&found) {
                    assert_eq!(
                        (*planned as f32).to_bits(),
                        found.to_bits(),
                        "{first} {activations:?}"
                    );
                    outputs += 1;
                }
            }
        }
        // Each from 79 integers before.
        assert_eq!(outputs, 9 * 9000 * 25);
    }
}
