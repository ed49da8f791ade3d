//! A proven bound on how far the device can be from the float model, over a box of inputs.
//!
//! Intervals go through the float network layer by layer; beside them goes, per unit, how far the
//! device's value can be from the float one: what the inputs bring along, what rounding the
//! weights and biases adds, what the clamp cuts off and half a step of the output.

use ndarray::{Array1, Array2, ArrayView1, Axis, concatenate, s};

use super::chain::{Chain, FloatKind, FloatStep, FoldedDense};
use super::dense::Input;
use super::plan::{Output, Plan, PlannedLayer, RealDense, Step, Weights};
use super::range::TensorQuant;
use crate::activations::Activation;
use thumbnet_runtime::Precision;

/// Room for the device's f32 roundings (input quantization, logits, sigmoid and softmax), of
/// which each is below 2^-22 of its value; the rest of this bound is computed in f64.
const F32_SLACK: f64 = 1e-5;

/// For each output, the most that the device's value can differ from the float model's when each
/// raw input lies within `[low, high]`.
///
/// Rigorous up to f64 rounding, and loose: errors that would cancel are added. None through a normalization by a
/// sample's own deviation, which may be as small as you like.
pub fn error_bound(
    chain: &Chain,
    plan: &Plan,
    low: ArrayView1<f64>,
    high: ArrayView1<f64>,
) -> Option<Array1<f64>> {
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
                    let rows = (0..layer.rows).map(|row| x.row(row, layer.rows));
                    let rows = rows.map(|row| through(layer, planned, &row));
                    x = Spread::joined(&rows.collect::<Vec<_>>());
                }
            }
            Step::Float(step) => x = x.bent(step)?,
        }
    }
    Some(x.error)
}

/// Values of a tensor over the box: `low <= float <= high`, `|device - float| <= error`.
struct Spread {
    low: Array1<f64>,
    high: Array1<f64>,
    error: Array1<f64>,
}

impl Spread {
    /// One of so many equal parts.
    fn row(&self, row: usize, rows: usize) -> Self {
        let len = self.error.len() / rows;
        let part = |values: &Array1<f64>| values.slice(s![row * len..(row + 1) * len]).to_owned();
        Self {
            low: part(&self.low),
            high: part(&self.high),
            error: part(&self.error),
        }
    }

    fn joined(rows: &[Self]) -> Self {
        let joined = |part: fn(&Self) -> &Array1<f64>| {
            let parts: Vec<_> = rows.iter().map(|row| part(row).view()).collect();
            concatenate(Axis(0), &parts).expect("vectors")
        };
        Self {
            low: joined(|row| &row.low),
            high: joined(|row| &row.high),
            error: joined(|row| &row.error),
        }
    }

    /// Through a step in floats; none through a normalization or a table.
    fn bent(mut self, step: &FloatStep) -> Option<Self> {
        let slopes = match &step.kind {
            FloatKind::Normalize(_) | FloatKind::Lookup(_) => return None,
            FloatKind::MaxPool(step) => {
                let greatest = |values: &Array1<f64>| -> Array1<f64> {
                    let terms = step.terms().map(|terms| terms.map(|i| values[i]));
                    terms
                        .map(|terms| terms.fold(f64::NEG_INFINITY, f64::max))
                        .collect()
                };
                self = Self {
                    low: greatest(&self.low),
                    high: greatest(&self.high),
                    error: greatest(&self.error),
                };
                Array1::ones(self.low.len())
            }
            FloatKind::Scale(map) => {
                let ends = [&self.low, &self.high].map(|end| end * &map.scale + &map.offset);
                let [a, b] = ends;
                self.low = pairwise(&a, &b, f64::min);
                self.high = pairwise(&a, &b, f64::max);
                map.scale.mapv(f64::abs)
            }
            FloatKind::Prelu(slopes) => {
                let at = |x: &Array1<f64>| {
                    pairwise(x, slopes, |x, slope| if x < 0.0 { slope * x } else { x })
                };
                let (a, b) = (at(&self.low), at(&self.high));
                // Where the slope is negative, 0 may be the least.
                let zero = pairwise(&self.low, &self.high, |l, h| 0f64.clamp(l, h.max(l)));
                let zero = at(&zero);
                self.low = pairwise(&pairwise(&a, &b, f64::min), &zero, f64::min);
                self.high = pairwise(&pairwise(&a, &b, f64::max), &zero, f64::max);
                slopes.mapv(|slope| slope.abs().max(1.0))
            }
        };
        let magnitude = pairwise(&self.low, &self.high, |l, h| l.abs().max(h.abs()));
        self.error = self.error * slopes + magnitude * F32_SLACK;
        float(&step.activation, &mut self);
        Some(self)
    }

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
            activation,
        } => {
            sums.requantized(planned, *before);
            let table = if tensor.precision() == Precision::Int8 {
                // An entry is the function, rounded.
                sums.error.mapv(|_| 0.5 * tensor.scale)
            } else {
                let reach = pairwise(&sums.high, &sums.error, |high, error| high + error);
                reach.mapv(|high| interpolation(activation, high, *before, *tensor))
            };
            activate(activation, &mut sums);
            sums.error += &table;
        }
        Output::Float { activation } => {
            let magnitude = pairwise(&sums.low, &sums.high, |l, h| l.abs().max(h.abs()));
            sums.error += &(magnitude * F32_SLACK);
            if matches!(planned.weights, Weights::Float(_)) {
                sums.error += &rounding(&planned.real, x);
            }
            float(activation, &mut sums);
        }
    }
    sums
}

/// What an interpolated table adds, for sums up to `high`: the entries and the value between them are
/// rounded, the last entry lies a step beyond the range, and between two entries the function bends.
fn interpolation(
    activation: &Activation,
    high: f64,
    before: TensorQuant,
    tensor: TensorQuant,
) -> f64 {
    let width = 256.0 * before.scale;
    let bend = activation
        .bends()
        .iter()
        .map(|bend| bend.height)
        .sum::<f64>()
        * width
        / 4.0;
    let curve = activation.curvature(high + width) * width * width / 8.0;
    tensor.scale + activation.steepest(high + width) * before.scale + bend + curve
}

/// What a float layer's sum loses in its roundings: two for each input.
fn rounding(real: &RealDense, x: &Spread) -> Array1<f64> {
    let reach = pairwise(&x.low, &x.high, |l, h| l.abs().max(h.abs())) + &x.error;
    let terms = real.kernel.mapv(f64::abs).dot(&reach) + real.bias.mapv(f64::abs);
    terms * (real.kernel.ncols() + 1) as f64 * f64::from(f32::EPSILON)
}

/// Sends floats through an activation, with what the device's own form of it is off.
fn float(activation: &Activation, sums: &mut Spread) {
    let worst = sums.error.iter().copied().fold(0.0, f64::max);
    let units = sums.error.len();
    match activation {
        Activation::Softmax => {
            // The odds of a class change by at most exp(2e).
            sums.error = Array1::from_elem(units, (worst / 2.0).tanh() + F32_SLACK);
            sums.low = Array1::zeros(units);
            sums.high = Array1::ones(units);
        }
        Activation::LogSoftmax => {
            // The logarithm of the sum changes by at most what the largest value does.
            let largest = sums.high.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let least = sums.low.iter().copied().fold(f64::INFINITY, f64::min);
            sums.low
                .mapv_inplace(|low| low - largest - (units as f64).ln());
            sums.high.fill(0.0);
            let slack = F32_SLACK * (1.0 + largest - least);
            sums.error.mapv_inplace(|error| error + worst + slack);
        }
        Activation::Sigmoid => {
            sums.error.mapv_inplace(|e| (e / 4.0).tanh() + F32_SLACK);
            sums.low.mapv_inplace(|v| activation.eval(v));
            sums.high.mapv_inplace(|v| activation.eval(v));
        }
        activation => {
            activate(activation, sums);
            let alpha = match activation {
                Activation::Elu { alpha } | Activation::Celu { alpha } => f64::from(alpha.abs()),
                _ => 0.0,
            };
            // Ten times what the blob's form is off, in units of the outputs.
            let slack = pairwise(&sums.low, &sums.high, |low, high| {
                F32_SLACK * low.abs().max(high.abs()).max(alpha).max(1.0)
            });
            sums.error += &slack;
        }
    }
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
    let jumps = activation.jumps();
    for ((low, high), error) in x.low.iter_mut().zip(&mut x.high).zip(&mut x.error) {
        let (from, until) = (*low - *error, *high + *error);
        let slope = activation.steepest(until);
        // Where the float value is on one side of a jump, the device's may be on the other.
        let crossed: f64 = jumps
            .iter()
            .filter(|jump| (from..=until).contains(&jump.at))
            .map(|jump| jump.height)
            .sum();
        let width = (*high - *low) / f64::from(GRID);
        let grid = (0..=GRID).map(|i| *low + width * f64::from(i));
        // Both ends of a jump.
        let sides = jumps
            .iter()
            .flat_map(|jump| [jump.at.next_down(), jump.at, jump.at.next_up()])
            .filter(|at| (*low..=*high).contains(at));
        let values = grid.chain(sides).map(|at| activation.eval(at));
        let (least, most) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), v| {
            (least.min(v), most.max(v))
        });
        *error = *error * slope + crossed;
        // Between two points it can leave their values by a step's rise.
        *low = least - slope * width;
        *high = most + slope * width;
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
                let bound = error_bound(&case.chain, &case.plan, low.view(), high.view())
                    .expect("no normalization");
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
                let Weights::Integer {
                    dense, data_type, ..
                } = &layer.weights
                else {
                    continue;
                };
                let limit = i64::from(data_type.input_limit().expect("integers"));
                let held = match crate::quantize::range::precision(limit as i32) {
                    Precision::Int8 => (1 << 23) - 1,
                    Precision::Int16 => i64::from(i32::MAX),
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
