//! Bounds of a box: linear relaxations, substituted from the outputs back to the inputs.
//!
//! As ReluVal (Wang et al., USENIX Security 2018) and CROWN (Zhang et al., NeurIPS 2018) do it for real numbers and
//! relu; here each unit is the step function that the device computes. A unit's output lies between two lines in
//! its sum. A sum is put in terms of the outputs before it, each of those replaced by the line on the side that
//! bounds, and so on, until there is a linear form of the inputs, whose least value in the box is at its corner.
//! Units that write one integer for the whole box are constants: they are folded into the biases, and neither this
//! nor the enumeration that follows looks at them again.
//!
//! # Why it is sound
//!
//! Intervals of sums are integers. Lines and forms are `f64`, of which only this is used:
//!
//! * The stored numbers of a line are taken for exact, and its offset was chosen so that it bounds with them: the
//!   offset has more than its rounding errors added ([`padded`]).
//! * A form's coefficients are rounded at each layer. Taking the rounded ones for exact changes the form by the
//!   error of each times the value that it stands before; these values are at most the greatest sum or integer of
//!   the layer, so that the error is at most [`Engine::rounding`] times the sum of the magnitudes of all products,
//!   which is summed up along the way (`magnitude`) and subtracted at the end. The factor is that of as many
//!   additions as there are units in the whole network, doubled, which covers the rounding of this sum as well.

use pulp::Simd;

use crate::{
    network::{Layer, Network},
    product::{Weights, multiply},
};

/// Least and greatest sums of the units of each hidden layer.
pub(crate) type Sums = Vec<Vec<[i32; 2]>>;

/// `slope * sum + offset`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Line {
    pub slope: f64,
    pub offset: f64,
}

/// A layer within a box.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stage {
    /// Units that are no constants.
    pub live: Vec<usize>,
    /// Live units, or inputs, of the layer before.
    pub before: usize,
    /// `[live, before]`.
    pub weights: Vec<f64>,
    /// With what the constants before give.
    pub bias: Vec<f64>,
    /// The greatest magnitude of each live sum.
    pub size: Vec<f64>,
    pub lower: Vec<Line>,
    pub upper: Vec<Line>,
    /// Between which slopes each unit's output follows its sum, about.
    pub gains: Vec<[f64; 2]>,
}

/// What is known of a box.
#[derive(Clone, Debug)]
pub(crate) struct Bounded {
    pub sums: Sums,
    /// Inputs of which the box holds several integers.
    pub inputs: Vec<usize>,
    pub stages: Vec<Stage>,
    pub linear: Linear,
}

impl Bounded {
    /// Multiply-accumulates of an input, and what else a unit takes.
    pub fn cost(&self) -> f64 {
        let stages = self.stages.iter();
        let each = stages.map(|stage| stage.weights.len() + 8 * stage.live.len());
        each.sum::<usize>() as f64
    }
}

/// Linear forms of the inputs, no greater than those that were asked for.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    /// Of each input that counts and each form the coefficient, `[inputs, count]`.
    pub slopes: Vec<f64>,
    pub count: usize,
    /// Of each form what is added.
    pub constants: Vec<f64>,
    /// Of each form what it may be too great by, for rounding.
    pub errors: Vec<f64>,
    /// Of each form the least value in the box.
    pub lower: Vec<f64>,
}

/// A network, prepared for bounds.
pub(crate) struct Engine<'a> {
    pub network: &'a Network<'a>,
    rounding: f64,
    /// Weights of each layer by its inputs: `[inputs, units]`.
    transposed: Vec<Vec<i32>>,
}

/// Linear forms over one layer's live units, and what was added to them so far. Many forms at a time are a vector.
pub(crate) struct Forms {
    /// A multiple of [`LANES`]; those at the end are zero.
    pub count: usize,
    /// `[units, count]`.
    pub coefficients: Vec<f64>,
    pub constants: Vec<f64>,
    pub magnitudes: Vec<f64>,
}

/// Forms that are computed at once.
const LANES: usize = 8;

impl Forms {
    pub fn zero(count: usize, units: usize) -> Self {
        let count = count.max(1).next_multiple_of(LANES);
        Self {
            count,
            coefficients: vec![0.0; units * count],
            constants: vec![0.0; count],
            magnitudes: vec![0.0; count],
        }
    }

    /// From forms over a layer's outputs to forms over its sums, which are no greater.
    #[inline(always)]
    pub fn relax(&mut self, stage: &Stage) {
        let lines = stage.lower.iter().zip(&stage.upper);
        for (row, (lower, upper)) in self.coefficients.chunks_exact_mut(self.count).zip(lines) {
            let sums = self.constants.iter_mut().zip(&mut self.magnitudes);
            for (a, (constant, magnitude)) in row.iter_mut().zip(sums) {
                // One of the two is zero.
                let (above, below) = (a.max(0.0), a.min(0.0));
                let added = above * lower.offset + below * upper.offset;
                *constant += added;
                *magnitude += added.abs();
                *a = above * lower.slope + below * upper.slope;
            }
        }
    }

    /// From forms over the sums of the last of `stages` to forms over the inputs.
    #[inline(always)]
    pub fn substitute<S: Simd>(&mut self, simd: S, stages: &[Stage]) {
        for (index, stage) in stages.iter().enumerate().rev() {
            if index + 1 < stages.len() {
                self.relax(stage);
            }
            for (j, row) in self.coefficients.chunks_exact(self.count).enumerate() {
                let (bias, size) = (stage.bias[j], stage.size[j]);
                let sums = self.constants.iter_mut().zip(&mut self.magnitudes);
                for (a, (constant, magnitude)) in row.iter().zip(sums) {
                    *constant += a * bias;
                    *magnitude += a.abs() * size;
                }
            }
            let mut next = vec![0.0; stage.before * self.count];
            let weights = Weights {
                values: &stage.weights,
                down: 1,
                across: stage.before,
            };
            multiply(simd, weights, &self.coefficients, &mut next, self.count);
            self.coefficients = next;
        }
    }

    /// The least values of forms over the inputs, whose ends these are.
    #[inline(always)]
    pub fn least(&mut self, ends: &[[f64; 2]], rounding: f64) {
        for (row, ends) in self.coefficients.chunks_exact(self.count).zip(ends) {
            let [low, high] = *ends;
            let most = low.abs().max(high.abs());
            let sums = self.constants.iter_mut().zip(&mut self.magnitudes);
            for (slope, (constant, magnitude)) in row.iter().zip(sums) {
                *constant += slope.max(0.0) * low + slope.min(0.0) * high;
                *magnitude += slope.abs() * most;
            }
        }
        for (constant, magnitude) in self.constants.iter_mut().zip(&self.magnitudes) {
            *constant -= magnitude * rounding;
        }
    }

    /// [`Self::least`] of the first `forms`, with the forms that it is of.
    #[inline(always)]
    pub fn linear(mut self, forms: usize, ends: &[[f64; 2]], rounding: f64) -> Linear {
        let constants = self.constants.clone();
        self.least(ends, rounding);
        self.constants.truncate(forms);
        let errors = self.magnitudes.iter().map(|size| size * rounding);
        Linear {
            errors: errors.collect(),
            slopes: self.coefficients,
            count: self.count,
            constants,
            lower: self.constants,
        }
    }
}

/// More than the rounding errors of the few operations that a number was made by from others of such magnitude.
pub(crate) fn padded(magnitude: f64) -> f64 {
    1e-14 * magnitude + 1e-14
}

impl<'a> Engine<'a> {
    pub fn new(network: &'a Network<'a>) -> Self {
        let units: usize = network.layers.iter().map(|layer| layer.units).sum();
        let transposed = network.layers.iter().map(|layer| {
            let weights =
                |i| (0..layer.units).map(move |unit| layer.weights[unit * layer.inputs + i]);
            (0..layer.inputs).flat_map(weights).collect()
        });
        Self {
            network,
            rounding: (units + network.inputs() + 64) as f64 * f64::EPSILON,
            transposed: transposed.collect(),
        }
    }

    /// What every input gives.
    pub fn widest(&self) -> Sums {
        let layers = self.network.hidden().iter();
        let sums = layers.map(|layer| {
            let greatest = |unit| layer.greatest_sum[unit] as i32; // below 2^31
            (0..layer.units)
                .map(|unit| [-greatest(unit), greatest(unit)])
                .collect()
        });
        sums.collect()
    }

    /// Bounds the forms, each `[outputs]` coefficients of the real numbers `sum * scale`, and all sums within a box of
    /// quantized inputs. `sums` hold for a larger box.
    #[inline(always)]
    pub fn bound<'f, S: Simd>(
        &self,
        simd: S,
        ranges: &[[i32; 2]],
        mut sums: Sums,
        forms: impl ExactSizeIterator<Item = &'f [f64]>,
    ) -> Bounded {
        let mut stages: Vec<Stage> = Vec::with_capacity(self.network.layers.len());
        // What each value of the layer before may be.
        let mut values = ranges.to_vec();
        let inputs = live(&values);
        let ends = inputs.iter().map(|&input| ranges[input].map(f64::from));
        let ends: Vec<[f64; 2]> = ends.collect();
        for (index, layer) in self.network.hidden().iter().enumerate() {
            let before = live(&values);
            let mut stage = self.stage(index, &before, &values, 0..layer.units);
            let known = &mut sums[index];
            interval(&stage, &values, &before, known);
            // The interval of the first layer is exact; constants need nothing.
            if index > 0 {
                let open: Vec<usize> = (0..layer.units)
                    .filter(|&unit| is_bent(layer, unit, known[unit]))
                    .collect();
                self.tighten(simd, &stage, &stages, &ends, &open, known);
            }
            values = (0..layer.units)
                .map(|unit| outputs(layer, unit, known[unit]))
                .collect();
            let live = live(&values);
            stage.keep(&live);
            for &unit in &live {
                let (lower, upper) = lines(layer, unit, known[unit]);
                stage.lower.push(lower);
                stage.upper.push(upper);
                stage
                    .gains
                    .push(gain(layer, unit, known[unit], lower, upper));
            }
            stages.push(stage);
        }
        let last = self.network.last();
        let before = live(&values);
        let stage = self.stage(stages.len(), &before, &values, 0..last.units);
        stages.push(stage);
        let count = forms.len();
        let mut over = Forms::zero(count, last.units);
        for (index, form) in forms.enumerate() {
            for (output, (c, &scale)) in form.iter().zip(&self.network.scales).enumerate() {
                over.coefficients[output * over.count + index] = c * f64::from(scale);
            }
        }
        over.substitute(simd, &stages);
        Bounded {
            sums,
            inputs,
            stages,
            linear: over.linear(count, &ends, self.rounding),
        }
    }

    /// The weights of some units for the values that are no constants, and biases with those that are.
    #[inline(always)]
    fn stage(
        &self,
        index: usize,
        before: &[usize],
        values: &[[i32; 2]],
        units: std::ops::Range<usize>,
    ) -> Stage {
        let layer = &self.network.layers[index];
        let mut bias = layer.bias.clone();
        for (value, weights) in values
            .iter()
            .zip(self.transposed[index].chunks_exact(layer.units))
        {
            if value[0] == value[1] {
                for (bias, weight) in bias.iter_mut().zip(weights) {
                    *bias += weight * value[0];
                }
            }
        }
        let mut weights = Vec::with_capacity(units.len() * before.len());
        let mut size = Vec::with_capacity(units.len());
        for unit in units.clone() {
            let row = &layer.weights[unit * layer.inputs..][..layer.inputs];
            weights.extend(before.iter().map(|&i| f64::from(row[i])));
            size.push(layer.greatest_sum[unit] as f64);
        }
        Stage {
            live: units.collect(),
            before: before.len(),
            weights,
            bias: bias.into_iter().map(f64::from).collect(),
            size,
            ..Stage::default()
        }
    }

    /// Narrows the sums of some units by substitution.
    #[inline(always)]
    fn tighten<S: Simd>(
        &self,
        simd: S,
        stage: &Stage,
        stages: &[Stage],
        ends: &[[f64; 2]],
        open: &[usize],
        known: &mut [[i32; 2]],
    ) {
        if open.is_empty() {
            return;
        }
        let Some(before) = stages.last() else { return };
        let width = before.live.len();
        // Each sum, and what is its opposite.
        let mut forms = Forms::zero(open.len() * 2, width);
        let count = forms.count;
        for (place, &unit) in open.iter().enumerate() {
            let weights = &stage.weights[unit * width..][..width];
            for (index, sign) in [(place, 1.0), (open.len() + place, -1.0)] {
                for (j, weight) in weights.iter().enumerate() {
                    forms.coefficients[j * count + index] = weight * sign;
                }
                forms.constants[index] = stage.bias[unit] * sign;
                forms.magnitudes[index] = stage.size[unit];
            }
        }
        forms.relax(before);
        forms.substitute(simd, stages);
        forms.least(ends, self.rounding);
        let (lower, upper) = forms.constants.split_at(open.len());
        for ((&unit, lower), upper) in open.iter().zip(lower).zip(upper) {
            // Sums are whole; the casts keep those within i32, and others bound nothing.
            known[unit][0] = known[unit][0].max(lower.ceil() as i32);
            known[unit][1] = known[unit][1].min((-upper.ceil()) as i32);
            debug_assert!(known[unit][0] <= known[unit][1]);
        }
    }
}

/// Narrows the sums of a layer by the intervals of the values before. In `f64`, whose integers are exact.
#[inline(always)]
fn interval(stage: &Stage, values: &[[i32; 2]], before: &[usize], known: &mut [[i32; 2]]) {
    // Twice the centre and twice the radius, so that both are whole.
    let centre: Vec<f64> = before
        .iter()
        .map(|&i| f64::from(values[i][0] + values[i][1]))
        .collect();
    let radius: Vec<f64> = before
        .iter()
        .map(|&i| f64::from(values[i][1] - values[i][0]))
        .collect();
    for (unit, known) in known.iter_mut().enumerate() {
        if known[0] == known[1] {
            continue;
        }
        let weights = &stage.weights[unit * before.len()..][..before.len()];
        let (mut middle, mut spread) = (2.0 * stage.bias[unit], 0.0);
        for ((w, c), r) in weights.iter().zip(&centre).zip(&radius) {
            middle += w * c;
            spread += w.abs() * r;
        }
        // Whole numbers, sums within i32.
        known[0] = known[0].max(((middle - spread) / 2.0) as i32);
        known[1] = known[1].min(((middle + spread) / 2.0) as i32);
    }
}

/// Between which slopes a unit's output follows its sum, about.
fn gain(layer: &Layer, unit: usize, sums: [i32; 2], lower: Line, upper: Line) -> [f64; 2] {
    let slope = f64::from(layer.multipliers[unit]) * 2f64.powi(-(layer.shift as i32));
    if !layer.table.is_empty() {
        let slopes = [lower.slope, upper.slope];
        return [
            slopes[0].min(slopes[1]).min(0.0),
            slopes[0].max(slopes[1]).max(slope),
        ];
    }
    match is_clamped(layer, unit, sums) {
        [false, false] => [slope; 2],
        _ => [0.0, slope],
    }
}

impl Bounded {
    /// About how far each of `inputs` can move a form (coefficients of the outputs' sums): the greatest slope that it
    /// has anywhere in the box. A guess where to halve, no bound.
    #[inline(always)]
    pub fn gradients(&self, form: &[f64]) -> Vec<f64> {
        let mut slopes: Vec<[f64; 2]> = form.iter().map(|&c| [c; 2]).collect();
        for (index, stage) in self.stages.iter().enumerate().rev() {
            if index + 1 < self.stages.len() {
                for (slope, gain) in slopes.iter_mut().zip(&stage.gains) {
                    let ends = [
                        slope[0] * gain[0],
                        slope[0] * gain[1],
                        slope[1] * gain[0],
                        slope[1] * gain[1],
                    ];
                    *slope = [
                        ends.iter().copied().fold(f64::INFINITY, f64::min),
                        ends.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                    ];
                }
            }
            let mut next = vec![[0.0; 2]; stage.before];
            if stage.before > 0 {
                for (slope, weights) in slopes.iter().zip(stage.weights.chunks_exact(stage.before))
                {
                    for (next, &w) in next.iter_mut().zip(weights) {
                        let (above, below) = (w.max(0.0), w.min(0.0));
                        next[0] += above * slope[0] + below * slope[1];
                        next[1] += above * slope[1] + below * slope[0];
                    }
                }
            }
            slopes = next;
        }
        slopes
            .into_iter()
            .map(|[low, high]| low.abs().max(high.abs()))
            .collect()
    }
}

/// Those that are no constants.
fn live(values: &[[i32; 2]]) -> Vec<usize> {
    (0..values.len())
        .filter(|&index| values[index][0] != values[index][1])
        .collect()
}

impl Stage {
    /// Keeps some units alone.
    fn keep(&mut self, live: &[usize]) {
        let before = self.before;
        for (to, &from) in live.iter().enumerate() {
            self.weights
                .copy_within(from * before..(from + 1) * before, to * before);
            self.bias[to] = self.bias[from];
            self.size[to] = self.size[from];
        }
        self.weights.truncate(live.len() * before);
        self.bias.truncate(live.len());
        self.size.truncate(live.len());
        self.live = live.to_vec();
    }
}

/// Whether a unit's integer is clamped at the lower and at the upper end of its sums.
pub(crate) fn is_clamped(layer: &Layer, unit: usize, sums: [i32; 2]) -> [bool; 2] {
    let [low, high] = sums.map(|sum| layer.scaled(unit, sum.into()));
    [low < -i64::from(layer.limit), high > i64::from(layer.limit)]
}

/// Whether substitution may tell more of a unit: where its clamp bends within the sums, or where it has a table.
fn is_bent(layer: &Layer, unit: usize, sums: [i32; 2]) -> bool {
    let [low, high] = sums.map(|sum| layer.level(unit, sum.into()));
    low != high
        && (low == -layer.limit || high == layer.limit || high - low < 8 || !layer.table.is_empty())
}

/// The least and greatest value that a unit writes.
pub(crate) fn outputs(layer: &Layer, unit: usize, sums: [i32; 2]) -> [i32; 2] {
    let [low, high] = sums.map(|sum| layer.level(unit, sum.into()));
    if layer.table.is_empty() {
        return [low, high];
    }
    extremes(layer, low, high, |level| f64::from(layer.looked_up(level))).map(|value| value as i32) // whole
}

/// The least and greatest `value` of the levels from `low` to `high`, for a value that is the table's less a line.
/// Of int16 those between two entries of the table are within one of the straight line, so that the entries and
/// the ends tell.
fn extremes(layer: &Layer, low: i32, high: i32, value: impl Fn(i32) -> f64) -> [f64; 2] {
    let mut found = [f64::INFINITY, f64::NEG_INFINITY];
    let mut see = |value: f64| found = [found[0].min(value), found[1].max(value)];
    see(value(low));
    see(value(high));
    if layer.limit == 127 || high - low <= 512 {
        (low..=high).for_each(|level| see(value(level)));
        return found;
    }
    let first = (low + 32768).div_euclid(256) * 256 - 32768;
    (first..=high)
        .step_by(256)
        .filter(|level| *level >= low)
        .for_each(|level| see(value(level)));
    [found[0] - 1.0, found[1] + 1.0]
}

/// Two lines that a unit's output lies between, for sums within an interval.
#[inline(always)]
fn lines(layer: &Layer, unit: usize, sums: [i32; 2]) -> (Line, Line) {
    let [low, high] = sums.map(|sum| layer.level(unit, sum.into()));
    let [least, greatest] = outputs(layer, unit, sums).map(f64::from);
    let flat = |offset| Line { slope: 0.0, offset };
    let multiplier = i64::from(layer.multipliers[unit]);
    // Exact: a power of two.
    let slope = multiplier as f64 * 2f64.powi(-(layer.shift as i32));
    let [bottom, top] = is_clamped(layer, unit, sums);
    if !layer.table.is_empty() {
        // A line through the ends of the table's part, shifted to both sides; the level is within a half of the
        // scaled sum, unless it was clamped.
        let chord = f64::from(layer.looked_up(high) - layer.looked_up(low)) / f64::from(high - low);
        let [under, over] = extremes(layer, low, high, |level| {
            f64::from(layer.looked_up(level)) - chord * f64::from(level)
        });
        if bottom || top || over - under + chord.abs() >= greatest - least {
            return (flat(least), flat(greatest));
        }
        let pad = padded(2.0 * f64::from(layer.limit) * (chord.abs() + 1.0));
        let half = chord.abs() / 2.0;
        // chord * slope is rounded: taken for exact, it changes the line by this at most.
        let pad = pad + padded((chord * slope).abs() * layer.greatest_sum[unit] as f64);
        let line = |offset| Line {
            slope: chord * slope,
            offset,
        };
        return (line(under - half - pad), line(over + half + pad));
    }
    if high - low <= 1 {
        return (flat(least), flat(greatest));
    }
    let limit = f64::from(layer.limit);
    let [l, u] = sums.map(f64::from);
    let (zl, zu) = (slope * l, slope * u);
    let band = |half: f64| Line {
        slope,
        offset: half,
    };
    // Of a function that is at most, or at least, its chord: the line through its values at both ends.
    let chord = |from: [f64; 2], to: [f64; 2], side: f64| {
        let slope = (to[1] - from[1]) / (to[0] - from[0]);
        let magnitude = from
            .iter()
            .chain(&to)
            .fold(limit, |most, x| most.max((slope * x).abs()).max(x.abs()));
        let pad = padded(magnitude);
        let offset = [from, to].map(|[x, y]| y - slope * x);
        Line {
            slope,
            offset: if side > 0.0 {
                offset[0].max(offset[1]) + pad
            } else {
                offset[0].min(offset[1]) - pad
            },
        }
    };
    // Rounding half up lies above z - 1/2 and reaches z + 1/2.
    let lower = match (bottom, top) {
        (false, false) => band(-0.5),
        // min(limit, z - 1/2) is concave.
        (false, true) => chord([l, zl - 0.5], [u, limit], -1.0),
        // max(-limit, z - 1/2): either of the two.
        (true, false) if zu + limit > -(zl + limit) => band(-0.5),
        (true, false) => flat(-limit),
        (true, true) => flat(-limit),
    };
    let upper = match (bottom, top) {
        (false, false) => band(0.5),
        // max(-limit, z + 1/2) is convex.
        (true, false) => chord([l, -limit], [u, zu + 0.5], 1.0),
        (false, true) if limit - zl > zu - limit => band(0.5),
        (false, true) => flat(limit),
        (true, true) => flat(limit),
    };
    (lower, upper)
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;
    use crate::{common, domain::Domain};

    struct Bounding<'a>(&'a Engine<'a>, &'a [[i32; 2]]);

    impl WithSimd for Bounding<'_> {
        type Output = Sums;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Sums {
            let none: [&[f64]; 0] = [];
            let widest = self.0.widest();
            self.0.bound(simd, self.1, widest, none.into_iter()).sums
        }
    }

    /// So many ends of bounds are reached that one which is narrower by a single step, anywhere, would leave a sum
    /// out: the tests that try every input have teeth.
    #[test]
    fn every_sum_is_within_its_bounds_and_many_are_at_their_ends() {
        let mut random = common::Random(0x7654_3210_FEDC_BA98);
        // Of the first layer, and of those behind.
        let mut reached = [0; 2];
        let mut ends = [0; 2];
        for _ in 0..400 {
            let model = common::model(&mut random);
            let network = Network::new(&model.blob).unwrap();
            let engine = Engine::new(&network);
            let ranges = common::ranges(&mut random, &model, 5);
            let domain = Domain::new(&network, &ranges).unwrap();
            let quantized = domain.ranges(&domain.whole());
            let bounds = Arch::new().dispatch(Bounding(&engine, &quantized));
            let mut seen: Sums = bounds
                .iter()
                .map(|layer| vec![[i32::MAX, i32::MIN]; layer.len()])
                .collect();
            for row in common::all_rows(&model.scales, &ranges) {
                let row = row.iter().enumerate();
                let mut values: Vec<i32> = row
                    .map(|(input, &x)| network.quantization.quantize(input, x).unwrap())
                    .collect();
                for (layer, seen) in network.hidden().iter().zip(&mut seen) {
                    let sums: Vec<i32> = (0..layer.units)
                        .map(|unit| layer.sum(unit, &values))
                        .collect();
                    for (sum, seen) in sums.iter().zip(seen) {
                        *seen = [seen[0].min(*sum), seen[1].max(*sum)];
                    }
                    values = (0..layer.units)
                        .map(|unit| layer.write(unit, sums[unit]))
                        .collect();
                }
            }
            for (index, (bounds, seen)) in bounds.iter().zip(&seen).enumerate() {
                for (bound, seen) in bounds.iter().zip(seen) {
                    assert!(
                        bound[0] <= seen[0] && seen[1] <= bound[1],
                        "{seen:?} of {bound:?}"
                    );
                    let open = bound[0] < bound[1];
                    let place = index.min(1);
                    ends[place] += 2 * usize::from(open);
                    reached[place] += usize::from(open && bound[0] == seen[0]);
                    reached[place] += usize::from(open && bound[1] == seen[1]);
                }
            }
        }
        println!("{reached:?} of {ends:?}");
        assert_eq!(reached[0], ends[0]);
        assert!(reached[1] > ends[1] / 10, "{reached:?} of {ends:?}");
    }
}
