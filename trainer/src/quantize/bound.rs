//! A proven bound on how far the device can be from the float model, over a box of inputs.
//!
//! Intervals go through the float network layer by layer; beside them goes, per unit, how far the
//! device's value can be from the float one: what the inputs bring along, what rounding the
//! weights and biases adds, what the clamp cuts off and half a step of the output.

use ndarray::{Array1, Array2, ArrayView1};

use super::chain::{Chain, FoldedDense};
use super::dense::Input;
use super::plan::{Output, Plan, PlannedLayer, RealDense, Step};
use super::range::TensorQuant;
use crate::activations::Activation;

/// Room for the device's f32 roundings (input quantization, logits, sigmoid and softmax), of
/// which each is below 2^-22 of its value; the rest of this bound is computed in f64.
const F32_SLACK: f64 = 1e-5;

/// For each output, the most that the device's value can differ from the float model's when each
/// raw input lies within `[low, high]`.
///
/// Rigorous up to f64 rounding, and loose: errors that would cancel are added.
pub fn error_bound(
    chain: &Chain,
    plan: &Plan,
    low: ArrayView1<f64>,
    high: ArrayView1<f64>,
) -> Array1<f64> {
    let a = &low * &chain.input.scale + &chain.input.offset;
    let b = &high * &chain.input.scale + &chain.input.offset;
    let mut x = Spread {
        low: pairwise(&a, &b, f64::min),
        high: pairwise(&a, &b, f64::max),
        error: pairwise(&a, &b, |a, b| F32_SLACK * a.abs().max(b.abs())),
    };
    let mut layers = chain.layers.iter();
    for step in &plan.steps {
        match step {
            Step::Scale(_) => {}
            Step::Quantize { input, .. } => x.rounded(input),
            Step::Dense(planned) => {
                if let Some(layer) = layers.next() {
                    x = through(layer, planned, &x);
                }
            }
        }
    }
    x.error
}

/// Values of a tensor over the box: `low <= float <= high`, `|device - float| <= error`.
struct Spread {
    low: Array1<f64>,
    high: Array1<f64>,
    error: Array1<f64>,
}

impl Spread {
    /// Half a step, and what lies beyond the integers' range.
    fn rounded(&mut self, input: &Input) {
        let limit = f64::from(input.limit);
        for (i, error) in self.error.iter_mut().enumerate() {
            let step = input.scale * input.columns[i];
            let lowest = step * (-limit - input.zeros[i]);
            let highest = step * (limit - input.zeros[i]);
            let cut = (lowest - self.low[i]).max(self.high[i] - highest).max(0.0);
            // Rounding to even of `x * scale` is off by a little more where f32 is coarse.
            *error += cut + step * (0.5 + 1e-3);
        }
    }
}

fn pairwise(a: &Array1<f64>, b: &Array1<f64>, f: impl Fn(f64, f64) -> f64) -> Array1<f64> {
    a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()
}

fn through(layer: &FoldedDense, planned: &PlannedLayer, x: &Spread) -> Spread {
    let mut sums = sums(layer, &planned.real, x);
    match &planned.output {
        Output::Clamp(tensor) => {
            // The clamp is the activation, and no steeper than 1.
            activate(&layer.activation, &mut sums);
            sums.requantized(planned, *tensor);
        }
        Output::Table {
            sums: before,
            tensor,
            ..
        } => {
            sums.requantized(planned, *before);
            activate(&layer.activation, &mut sums);
            // An interpolated table is off by what the curve bends between two entries.
            let bend = if tensor.limit == 127 {
                0.0
            } else {
                (256.0 * before.scale).powi(2)
            };
            sums.error += 0.5 * tensor.scale + bend;
        }
        Output::Float { activation, range } => {
            let magnitude = pairwise(&sums.low, &sums.high, |l, h| l.abs().max(h.abs()));
            sums.error += &(magnitude * F32_SLACK);
            match activation {
                Activation::Softmax => {
                    // The odds of a class change by at most exp(2e).
                    let worst = sums.error.iter().copied().fold(0.0, f64::max);
                    let units = sums.error.len();
                    sums.error = Array1::from_elem(units, (worst / 2.0).tanh() + F32_SLACK);
                    sums.low = Array1::zeros(units);
                    sums.high = Array1::ones(units);
                }
                Activation::Sigmoid => {
                    sums.error.mapv_inplace(|e| (e / 4.0).tanh() + F32_SLACK);
                    sums.low.mapv_inplace(|v| activation.eval(v));
                    sums.high.mapv_inplace(|v| activation.eval(v));
                }
                activation => {
                    let mut bends = Array1::zeros(sums.error.len());
                    if !is_direct(activation) {
                        let units = sums.low.iter().zip(&sums.high).zip(&sums.error);
                        for (bend, ((low, high), error)) in bends.iter_mut().zip(units) {
                            *bend = table_error(activation, *range, low - error, high + error);
                        }
                    }
                    activate(activation, &mut sums);
                    sums.error += &(bends + F32_SLACK);
                }
            }
        }
    }
    sums
}

impl Spread {
    /// What the clamp cuts off, half a step, and the multiplier's own rounding.
    fn requantized(&mut self, planned: &PlannedLayer, tensor: TensorQuant) {
        let (lowest, highest) = (
            tensor.dequantize(-tensor.limit),
            tensor.dequantize(tensor.limit),
        );
        let units = self.low.iter().zip(&self.high).zip(&mut self.error);
        for (unit, ((low, high), error)) in units.enumerate() {
            let cut = (lowest - low).max(high - highest).max(0.0);
            let reach =
                low.abs().max(high.abs()) + *error + tensor.scale * 2.0 * f64::from(tensor.limit);
            *error += cut + 0.5 * tensor.scale + planned.multiplier_error(unit) * reach;
        }
    }
}

/// How far the device's float table can be from the activation on `[low, high]`: what the curve
/// bends between two entries, and where the table's ends, extended, lead beyond its range.
fn table_error(activation: &Activation, range: (f64, f64), low: f64, high: f64) -> f64 {
    // As the blob's.
    let step = ((range.1.max(0.0) - range.0.min(0.0)) / 255.0).max(1e-6);
    let start = (range.0.min(0.0) / step).floor() * step;
    let end = start + 256.0 * step;
    let inside = step * step;
    let beyond = |end: f64, inner: f64, until: f64| {
        let slope = (activation.eval(end) - activation.eval(inner)) / (end - inner);
        let width = (until - end) / f64::from(GRID);
        let off = (0..=GRID).map(|i| {
            let x = end + width * f64::from(i);
            (activation.eval(x) - activation.eval(end) - slope * (x - end)).abs()
        });
        let between = (steepest(activation, low, high) + slope.abs()) * width.abs() / 2.0;
        off.fold(0.0, f64::max) + between
    };
    let mut error = inside;
    if low < start {
        error = error.max(inside + beyond(start, start + step, low));
    }
    if high > end {
        error = error.max(inside + beyond(end, end - step, high));
    }
    error
}

/// Whether the device computes it in f32, without a table.
fn is_direct(activation: &Activation) -> bool {
    matches!(
        activation,
        Activation::Linear | Activation::Relu { .. } | Activation::Tanh
    )
}

fn sums(layer: &FoldedDense, real: &RealDense, x: &Spread) -> Spread {
    let positive: Array2<f64> = layer.kernel.mapv(|w| w.max(0.0));
    let negative: Array2<f64> = layer.kernel.mapv(|w| w.min(0.0));
    let reach = pairwise(&x.low, &x.high, |l, h| l.abs().max(h.abs()));
    // |w·x - r·(x + e)| <= |w - r|·|x| + |r|·|e|
    let rounded = (&layer.kernel - &real.kernel).mapv(f64::abs).dot(&reach);
    let carried = real.kernel.mapv(f64::abs).dot(&x.error);
    Spread {
        low: positive.dot(&x.low) + negative.dot(&x.high) + &layer.bias,
        high: positive.dot(&x.high) + negative.dot(&x.low) + &layer.bias,
        error: rounded + carried + (&layer.bias - &real.bias).mapv(f64::abs),
    }
}

/// Points at which an activation is looked at.
const GRID: u32 = 512;

/// Sends an interval and its error through an elementwise activation.
fn activate(activation: &Activation, x: &mut Spread) {
    for ((low, high), error) in x.low.iter_mut().zip(&mut x.high).zip(&mut x.error) {
        let slope = steepest(activation, *low - *error, *high + *error);
        let width = (*high - *low) / f64::from(GRID);
        let values = (0..=GRID).map(|i| activation.eval(*low + width * f64::from(i)));
        let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), v| {
            (least.min(v), most.max(v))
        });
        *error *= slope;
        // Between two points it can leave their values by half a step's rise.
        *low = least - slope * width / 2.0;
        *high = most + slope * width / 2.0;
    }
}

/// The largest slope on `[low, high]`, from above.
fn steepest(activation: &Activation, low: f64, high: f64) -> f64 {
    match activation {
        Activation::Sigmoid => 0.25,
        Activation::Linear
        | Activation::Relu6
        | Activation::Tanh
        | Activation::HardTanh
        | Activation::Softplus
        | Activation::Softsign => 1.0,
        Activation::Relu {
            negative_slope,
            threshold: 0.0,
            ..
        }
        | Activation::LeakyRelu { negative_slope } => f64::from(negative_slope.abs()).max(1.0),
        Activation::Exponential => high.exp(),
        _ => {
            // Slopes between the points of a grid, and what the curve bends between them: none of
            // the others has a second derivative above 2.
            let width = ((high - low) / f64::from(GRID)).max(1e-9);
            let slopes = (0..GRID).map(|i| {
                let x = low + width * f64::from(i);
                (activation.eval(x + width) - activation.eval(x)).abs() / width
            });
            slopes.fold(0.0, f64::max) + 2.0 * width
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::calibrate::Calibration;
    use super::super::data_type::DataType;
    use super::super::device_model::DeviceModel;
    use super::super::plan::{PlanOptions, Weights};
    use super::super::tests::{network, uniform};
    use super::*;
    use ndarray::Axis;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const MIXTURES: [[DataType; 3]; 7] = [
        [DataType::Int8; 3],
        [DataType::Int4; 3],
        [DataType::Int16; 3],
        [DataType::Float32; 3],
        [DataType::Int8, DataType::Int16, DataType::Int4],
        [DataType::Float32, DataType::Int8, DataType::Int16],
        [DataType::Int4, DataType::Float32, DataType::Int8],
    ];

    const ACTIVATIONS: [[&str; 3]; 5] = [
        ["relu", "relu", "sigmoid"],
        ["tanh", "relu6", "linear"],
        ["gelu", "sigmoid", "softmax"],
        ["softsign", "elu", "tanh"],
        ["leaky_relu", "silu", "softplus"],
    ];

    /// A network in the device's arithmetic with the box of its calibration rows.
    struct Case {
        chain: Chain,
        device: DeviceModel,
        plan: Plan,
        low: Array1<f64>,
        high: Array1<f64>,
    }

    fn case(activations: &[&str; 3], types: &[DataType; 3], rng: &mut ChaCha8Rng) -> Case {
        let chain = network(&[6, 9, 7, 3], activations, rng);
        let rows = uniform((200, 6), 20.0, rng) + 50.0;
        let rows = rows.mapv(|v| f64::from(v as f32));
        let calibration = Calibration::run(&chain, &rows.view()).expect("finite rows");
        let options = PlanOptions {
            types: types.to_vec(),
            ..PlanOptions::plain(3)
        };
        let plan = Plan::new(&chain, &calibration, &options).expect("a plan");
        Case {
            device: super::super::blob::build(&plan, Default::default(), &Default::default())
                .expect("a blob"),
            low: rows.fold_axis(Axis(0), f64::INFINITY, |a, b| a.min(*b)),
            high: rows.fold_axis(Axis(0), f64::NEG_INFINITY, |a, b| a.max(*b)),
            chain,
            plan,
        }
    }

    impl Case {
        /// `|device - float|`, `[rows, outputs]`.
        fn differences(&self, rows: &Array2<f64>) -> Array2<f64> {
            let rows = rows.mapv(|v| f64::from(v as f32));
            let float = self.chain.predict(&rows.view());
            let found = self
                .device
                .predict(&rows.mapv(|v| v as f32).into_dyn())
                .expect("finite rows")
                .into_dimensionality::<ndarray::Ix2>()
                .expect("rows of outputs");
            (float - found.mapv(f64::from)).mapv(f64::abs)
        }

        /// From `row`, the value of one input after the other that makes output `output` worst,
        /// of both ends and points between; until nothing helps.
        fn climb(&self, mut row: Array1<f64>, output: usize) -> f64 {
            let mut worst = 0.0;
            loop {
                let before = worst;
                for input in 0..row.len() {
                    let (low, high) = (self.low[input], self.high[input]);
                    let tries = Array2::from_shape_fn((18, row.len()), |(step, i)| {
                        match (i == input, step) {
                            (false, _) | (true, 17) => row[i],
                            (true, step) => low + (high - low) * step as f64 / 16.0,
                        }
                    });
                    let found = self.differences(&tries);
                    for (tried, &difference) in tries.outer_iter().zip(found.column(output)) {
                        if difference > worst {
                            worst = difference;
                            row = tried.to_owned();
                        }
                    }
                }
                if worst <= before {
                    return worst;
                }
            }
        }
    }

    #[test]
    fn no_input_of_the_box_found_by_search_is_further_off_than_the_bound() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for activations in &ACTIVATIONS {
            for types in &MIXTURES {
                let case = case(activations, types, &mut rng);
                let (low, high) = (&case.low, &case.high);
                let bound = error_bound(&case.chain, &case.plan, low.view(), high.view());
                // Corners, edges and inner points, where weights add up with one sign.
                let tries =
                    Array2::from_shape_fn((500, 6), |(_, i)| match rng.random_range(0..3) {
                        0 => low[i],
                        1 => high[i],
                        _ => rng.random_range(low[i]..high[i]),
                    });
                let found = case.differences(&tries);
                for (output, &bound) in bound.iter().enumerate() {
                    let column = found.column(output);
                    let (worst, &random) = column
                        .indexed_iter()
                        .max_by(|a, b| a.1.total_cmp(b.1))
                        .expect("rows were tried");
                    let climbed = case.climb(tries.row(worst).to_owned(), output);
                    assert!(climbed >= random);
                    assert!(
                        climbed <= bound,
                        "{activations:?} {types:?} output {output}: {climbed} > {bound}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_worst_input_of_every_unit_reaches_its_bound_and_stays_within_the_accumulator() {
        let mut rng = ChaCha8Rng::seed_from_u64(12);
        for types in &MIXTURES {
            let case = case(&ACTIVATIONS[0], types, &mut rng);
            for layer in case.plan.layers() {
                let Weights::Integer { dense, data_type } = &layer.weights else {
                    continue;
                };
                let limit = i64::from(data_type.input_limit().expect("integers"));
                let held = if limit == 127 {
                    (1 << 23) - 1
                } else {
                    i64::from(i32::MAX)
                };
                for (unit, row) in dense.weights.rows().into_iter().enumerate() {
                    // Every input at the end that its weight drives away from 0, as the bias does.
                    let bias = i64::from(dense.bias[unit]);
                    let sign = if bias < 0 { -1 } else { 1 };
                    let mut sum = bias;
                    for &weight in row {
                        let input = limit * i64::from(weight).signum() * sign;
                        sum += i64::from(weight) * input;
                        assert!(sum.abs() <= held, "{types:?} {sum}");
                    }
                    assert_eq!(sum.abs(), dense.bounds[unit]);
                }
            }
        }
    }
}
