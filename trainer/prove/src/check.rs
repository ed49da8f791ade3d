//! The checker of certificates. It shares with the search the numbers of the model and what a goal means, and
//! nothing else: inputs are quantized at the ends of their ranges, parts are computed input by input with plain sums,
//! or bounded by interval arithmetic in which every single operation is rounded outwards. It is many times slower,
//! and where its bounds are too wide it halves a part on its own, down to single inputs.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use thumbnet_runtime::Activation;

use crate::{
    error::{Error, Result},
    goal::Goal,
    network::{Layer, Network},
};

/// Least and greatest integer of each quantized input.
type Part = Vec<[i32; 2]>;

/// Inputs up to which a part is computed without a look at its bounds.
const FEW: f64 = 64.0;

/// Whether the goal holds in all of a box, cut as the words say.
pub(crate) fn holds(
    network: &Network,
    ranges: &[Option<[f64; 2]>],
    words: &str,
    goal: &Goal,
    threads: usize,
) -> Result<()> {
    let parts = &leaves(whole(network, ranges)?, words)?;
    let next = AtomicUsize::new(0);
    let broken = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some((part, counted)) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(found) = first_broken(network, part, *counted, goal) {
                        *broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
                        next.store(parts.len(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    match broken.into_inner().unwrap_or_else(PoisonError::into_inner) {
        None => Ok(()),
        Some(found) => {
            Error::certificate(format!("the quantized input {found:?} breaks the property"))
        }
    }
}

/// What the inputs of a box are quantized to, at most: quantization keeps or turns round the order of numbers.
fn whole(network: &Network, ranges: &[Option<[f64; 2]>]) -> Result<Part> {
    let limit = network.layers[0].input_limit;
    let ends = ranges.iter().enumerate().map(|(input, range)| match range {
        None => Ok([-limit, limit]),
        Some(range) => {
            let [a, b] = range.map(|end| network.quantization.quantize(input, end as f32));
            let (Some(a), Some(b)) = (a, b) else {
                return Error::certificate(format!(
                    "input {input} reaches numbers that the model refuses"
                ));
            };
            Ok([a.min(b), a.max(b)])
        }
    });
    ends.collect()
}

/// The parts, and whether the certificate has them input by input; together they are all of the box.
fn leaves(whole: Part, words: &str) -> Result<Vec<(Part, bool)>> {
    let mut open = vec![whole];
    let mut found = Vec::new();
    for word in words.split_whitespace() {
        let Some(part) = open.pop() else {
            return Error::certificate(format!("{word:?} is a part too many"));
        };
        let cut = word.split_once('<').and_then(|(input, at)| {
            let input: usize = input.parse().ok()?;
            let at: i32 = at.parse().ok()?;
            let [low, high] = *part.get(input)?;
            (low <= at && at < high).then_some((input, at))
        });
        match (word, cut) {
            ("b" | "e", _) => found.push((part, word == "e")),
            (_, Some((input, at))) => {
                let (mut low, mut high) = (part.clone(), part);
                low[input][1] = at;
                high[input][0] = at + 1;
                open.extend([high, low]);
            }
            (_, None) => return Error::certificate(format!("{word:?} cuts no part of {part:?}")),
        }
    }
    match open.is_empty() {
        true => Ok(found),
        false => Error::certificate(format!("{} parts are missing", open.len())),
    }
}

fn count(part: &Part) -> f64 {
    part.iter()
        .map(|[low, high]| f64::from(high - low + 1))
        .product()
}

/// An input of a part that breaks the goal.
fn first_broken(network: &Network, part: &Part, counted: bool, goal: &Goal) -> Option<Vec<i32>> {
    if counted || count(part) <= FEW {
        let mut input: Vec<i32> = part.iter().map(|[low, _]| *low).collect();
        loop {
            if !goal.holds(network, &network.outputs_of(&input)) {
                return Some(input);
            }
            let next = (0..part.len()).find(|&i| input[i] < part[i][1])?;
            input[next] += 1;
            (0..next).for_each(|i| input[i] = part[i][0]);
        }
    }
    if Bounds::new(network, part).suffice(goal) {
        return None;
    }
    let widest = (0..part.len()).max_by_key(|&i| part[i][1] - part[i][0])?;
    let middle = part[widest][0] + (part[widest][1] - part[widest][0]) / 2;
    let (mut low, mut high) = (part.clone(), part.clone());
    low[widest][1] = middle;
    high[widest][0] = middle + 1;
    let halves = [low, high];
    halves
        .iter()
        .find_map(|half| first_broken(network, half, false, goal))
}

/// A real number, or what is known of it.
#[derive(Clone, Copy)]
struct Interval {
    low: f64,
    high: f64,
}

impl Interval {
    fn exactly(value: f64) -> Self {
        Self {
            low: value,
            high: value,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            low: (self.low + other.low).next_down(),
            high: (self.high + other.high).next_up(),
        }
    }

    fn times(self, by: f64) -> Self {
        let (a, b) = (self.low * by, self.high * by);
        Self {
            low: a.min(b).next_down(),
            high: a.max(b).next_up(),
        }
    }
}

/// `slope * sum + offset`.
#[derive(Clone, Copy)]
struct Line {
    slope: f64,
    offset: f64,
}

struct Bounds<'a> {
    network: &'a Network<'a>,
    part: &'a Part,
    /// Of each hidden layer and unit the outputs, and a line below and above them.
    layers: Vec<Vec<([i32; 2], Line, Line)>>,
}

impl<'a> Bounds<'a> {
    fn new(network: &'a Network<'a>, part: &'a Part) -> Self {
        let mut bounds = Self {
            network,
            part,
            layers: Vec::new(),
        };
        for (index, layer) in network.hidden().iter().enumerate() {
            let units = (0..layer.units).map(|unit| {
                let values = bounds.values(index);
                let sums = interval(layer, unit, &values);
                let clamped = is_clamped(layer, unit, sums);
                let sums = match (layer.level(unit, sums[0]), layer.level(unit, sums[1])) {
                    (low, high)
                        if index > 0
                            && low != high
                            && (clamped != [false; 2] || high - low < 8) =>
                    {
                        let mut row = vec![0.0; layer.units];
                        row[unit] = 1.0;
                        let low = bounds.below(index, &row).ceil() as i64;
                        row[unit] = -1.0;
                        let high = -(bounds.below(index, &row).ceil() as i64);
                        [sums[0].max(low), sums[1].min(high)]
                    }
                    _ => sums,
                };
                lines(layer, unit, sums)
            });
            let units = units.collect();
            bounds.layers.push(units);
        }
        bounds
    }

    /// What the inputs of a layer may be.
    fn values(&self, layer: usize) -> Part {
        match layer {
            0 => self.part.clone(),
            _ => self.layers[layer - 1]
                .iter()
                .map(|(values, _, _)| *values)
                .collect(),
        }
    }

    /// The least value of a linear form of a layer's sums.
    fn below(&self, layer: usize, form: &[f64]) -> f64 {
        let mut form = form.to_vec();
        let mut constant = Interval::exactly(0.0);
        for index in (0..=layer).rev() {
            let of = &self.network.layers[index];
            let mut next = vec![Interval::exactly(0.0); of.inputs];
            for (unit, &a) in form.iter().enumerate().filter(|(_, a)| **a != 0.0) {
                constant = constant.plus(Interval::exactly(a).times(of.bias[unit].into()));
                for (next, &w) in next.iter_mut().zip(&of.weights[unit * of.inputs..]) {
                    *next = next.plus(Interval::exactly(a).times(w.into()));
                }
            }
            let values = self.values(index);
            form = vec![0.0; of.inputs];
            for (i, (coefficient, [low, high])) in next.iter().zip(&values).enumerate() {
                // One number of the coefficient's interval, and what the others differ by.
                let a = coefficient.low;
                let most = f64::from(low.abs().max(high.abs()));
                let error = (coefficient.high - a).next_up() * most;
                constant = constant.plus(Interval {
                    low: -error.next_up(),
                    high: error.next_up(),
                });
                if low == high {
                    constant = constant.plus(Interval::exactly(a).times((*low).into()));
                } else if index == 0 {
                    let end = if a >= 0.0 { low } else { high };
                    constant = constant.plus(Interval::exactly(a).times((*end).into()));
                } else {
                    let (_, lower, upper) = self.layers[index - 1][i];
                    let line = if a >= 0.0 { lower } else { upper };
                    constant = constant.plus(Interval::exactly(a).times(line.offset));
                    // Rounded, and what that may be times the sum.
                    let product = Interval::exactly(a).times(line.slope);
                    form[i] = product.low;
                    let sum = self.network.layers[index - 1].greatest_sum[i] as f64;
                    let error = ((product.high - product.low).next_up() * sum).next_up();
                    constant = constant.plus(Interval {
                        low: -error,
                        high: error,
                    });
                }
            }
        }
        constant.low
    }

    /// An output times the first sign, plus another one times the second, before the activation: the least.
    fn outputs_below(&self, terms: &[(usize, f64)]) -> f64 {
        let last = self.network.layers.len() - 1;
        let mut form = vec![0.0; self.network.outputs()];
        let mut rounding = f64::from(f32::MIN_POSITIVE);
        for &(output, sign) in terms {
            form[output] += sign * f64::from(self.network.scales[output]);
            // The sum as a float, the product as a float: 2^-24 of it each, and as much again for this bound.
            rounding += self.network.head.sizes[output] * 2f64.powi(-22);
        }
        (self.below(last, &form) - rounding).next_down()
    }

    /// Whether they show that the goal holds.
    fn suffice(&self, goal: &Goal) -> bool {
        let activation = self.network.head.activation;
        let linear = activation == Activation::Linear;
        let outputs = self.network.outputs();
        let above = |a: usize, b: usize, by: f64| self.outputs_below(&[(a, 1.0), (b, -1.0)]) > by;
        // Each other one is beaten by one of the set.
        let beaten = |set: &[bool], sign: bool, by: f64| {
            (0..outputs).filter(|&other| !set[other]).all(|other| {
                let mut members = (0..outputs).filter(|&member| set[member]);
                members.any(|member| {
                    if sign {
                        above(member, other, by)
                    } else {
                        above(other, member, by)
                    }
                })
            })
        };
        match goal {
            Goal::Class(set) if set.iter().all(|&member| member) => true,
            Goal::Class(set) if outputs == 1 => {
                let threshold = f64::from(self.network.model.threshold().unwrap_or(0.5));
                set[1] && self.between(0, threshold, f64::INFINITY)
                    || set[0]
                        && self.between(0, f64::NEG_INFINITY, (threshold as f32).next_down().into())
            }
            Goal::Class(set) | Goal::Largest(set) if outputs > 1 => match activation {
                Activation::Linear => beaten(set, true, 0.0),
                // The greatest one's exponential is 1, those of logits that far below are less: they are within
                // 2e-7 of exact.
                Activation::Softmax => beaten(set, true, 1e-5),
                _ => false,
            },
            Goal::Smallest(set) if linear => beaten(set, false, 0.0),
            Goal::Margin { index, by } if linear => (0..outputs)
                .filter(|other| other != index)
                .all(|other| above(*index, other, *by)),
            Goal::Output {
                index,
                at_least,
                at_most,
            } => self.between(*index, *at_least, *at_most),
            _ => false,
        }
    }

    fn between(&self, index: usize, at_least: f64, at_most: f64) -> bool {
        // The device's sigmoid and tanh are within 1e-6 of functions that rise.
        let error = match self.network.head.activation {
            Activation::Linear | Activation::Relu => 0.0,
            Activation::Sigmoid | Activation::Tanh => 1e-5,
            _ => return false,
        };
        let at = |x: f64, down: bool| {
            let near = x as f32;
            let beyond = if down {
                near.next_down()
            } else {
                near.next_up()
            };
            let mut y = [if f64::from(near) == x { near } else { beyond }];
            self.network.head.activate(&mut y);
            f64::from(y[0])
        };
        let low = self.outputs_below(&[(index, 1.0)]);
        let high = -self.outputs_below(&[(index, -1.0)]);
        at(low, true) - error >= at_least && at(high, false) + error <= at_most
    }
}

/// The sums of a unit.
fn interval(layer: &Layer, unit: usize, values: &Part) -> [i64; 2] {
    let mut sums = [i64::from(layer.bias[unit]); 2];
    for (&w, &[low, high]) in layer.weights[unit * layer.inputs..].iter().zip(values) {
        let ends = [low, high].map(|x| i64::from(w) * i64::from(x));
        sums = [
            sums[0] + ends[0].min(ends[1]),
            sums[1] + ends[0].max(ends[1]),
        ];
    }
    sums
}

fn is_clamped(layer: &Layer, unit: usize, sums: [i64; 2]) -> [bool; 2] {
    // A level at the limit may have been beyond it.
    let [low, high] = sums.map(|sum| layer.level(unit, sum));
    [low == -layer.limit, high == layer.limit]
}

/// The outputs of a unit for sums in an interval, and a line below and above them.
fn lines(layer: &Layer, unit: usize, sums: [i64; 2]) -> ([i32; 2], Line, Line) {
    let [low, high] = sums.map(|sum| layer.level(unit, sum));
    let flat = |offset: i32| Line {
        slope: 0.0,
        offset: offset.into(),
    };
    if !layer.table.is_empty() {
        let values = (low..=high).map(|level| layer.looked_up(level));
        let values = [values.clone().min().unwrap_or(0), values.max().unwrap_or(0)];
        return (values, flat(values[0]), flat(values[1]));
    }
    if high - low <= 1 {
        return ([low, high], flat(low), flat(high));
    }
    // Exact, as is the half: a level is the scaled sum, rounded, so within a half of it where nothing clamps.
    let slope = f64::from(layer.multipliers[unit]) * 2f64.powi(-(layer.shift as i32));
    let band = |offset: f64| Line { slope, offset };
    let [bottom, top] = is_clamped(layer, unit, sums);
    let [l, u] = sums.map(|sum| sum as f64);
    // The offset with which a line of this slope is at y where the sum is x: the least and the greatest.
    let offset = |slope: f64, x: f64, y: Interval| y.plus(Interval::exactly(slope).times(-x));
    let limit = f64::from(layer.limit);
    let scaled = |x: f64, plus: f64| {
        Interval::exactly(slope)
            .times(x)
            .plus(Interval::exactly(plus))
    };
    let lower = match (bottom, top) {
        (false, false) => band(-0.5),
        // Never below min(limit, scaled - 1/2), which bends downwards: below its chord as well.
        (false, true) => {
            let from = scaled(l, -0.5);
            let chord = ((f64::from(high) - 0.5 - from.low) / (u - l)).max(0.0);
            let end = Interval {
                low: limit.min(scaled(u, -0.5).low),
                high: limit,
            };
            let offsets = [offset(chord, l, from), offset(chord, u, end)];
            Line {
                slope: chord,
                offset: offsets[0].low.min(offsets[1].low),
            }
        }
        (true, false) if u * slope + limit > -(l * slope + limit) => band(-0.5),
        (true, _) => flat(low),
    };
    let upper = match (bottom, top) {
        (false, false) => band(0.5),
        // Never above max(-limit, scaled + 1/2), which bends upwards.
        (true, false) => {
            let to = scaled(u, 0.5);
            let from = Interval {
                low: -limit,
                high: scaled(l, 0.5).high.max(-limit),
            };
            let chord = ((to.high + limit) / (u - l)).max(0.0);
            let offsets = [offset(chord, l, from), offset(chord, u, to)];
            Line {
                slope: chord,
                offset: offsets[0].high.max(offsets[1].high),
            }
        }
        (false, true) if limit - l * slope > u * slope - limit => band(0.5),
        (_, true) => flat(high),
    };
    ([low, high], lower, upper)
}
