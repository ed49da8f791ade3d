//! All inputs of a box, one after the other, many at a time.
//!
//! Units that are constants within the box are not computed. Everything else is whole numbers in floats: with int8
//! inputs sums are below 2^23, so that `f32` has them all, and no order of additions rounds; with int16 inputs they
//! are below 2^31, for which `f64` does. A processor adds and multiplies floats as fast as integers of that size.

use pulp::Simd;
use thumbnet_runtime::Activation;

use crate::{
    bounds::{Bounded, Engine},
    domain::{Domain, Region},
    goal::Goal,
    product::{Float, Weights, multiply},
};

/// Inputs that are computed at once.
pub(crate) const LANES: usize = 64;

/// A float that holds all sums of a network.
pub(crate) trait Whole: Float {
    fn of(value: f64) -> Self;
    fn wide(self) -> f64;
    fn scaled(self, scale: f32) -> f32;
}

impl Whole for f32 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32 // a whole number below 2^24
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        self.into()
    }
    #[inline(always)]
    fn scaled(self, scale: f32) -> f32 {
        self * scale
    }
}

impl Whole for f64 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
    #[inline(always)]
    fn scaled(self, scale: f32) -> f32 {
        self as f32 * scale // one rounding, as of the i32
    }
}

/// The inputs of a region by number: the index of the first input moves on fastest.
pub(crate) struct Numbers<'a> {
    region: &'a Region,
    /// Of each input, after how many its index moves on.
    strides: Vec<u64>,
    /// How many there are.
    pub total: u64,
}

impl<'a> Numbers<'a> {
    pub fn new(region: &'a Region) -> Self {
        let mut total = 1;
        let ends = region.first.iter().zip(&region.last);
        let strides = ends.map(|(first, last)| {
            let stride = total;
            total *= (last - first + 1) as u64;
            stride
        });
        Self {
            region,
            strides: strides.collect(),
            total,
        }
    }

    fn index(&self, input: usize, number: u64) -> usize {
        let size = (self.region.last[input] - self.region.first[input] + 1) as u64;
        self.region.first[input] + (number / self.strides[input] % size) as usize // below the size
    }

    /// The indices of one of them.
    pub fn indices(&self, number: u64) -> Vec<usize> {
        let inputs = 0..self.strides.len();
        inputs.map(|input| self.index(input, number)).collect()
    }
}

struct Stage<T> {
    before: usize,
    weights: Vec<T>,
    bias: Vec<T>,
}

/// What the outputs of a box are computed with.
pub(crate) struct Reduced<'a, T> {
    engine: &'a Engine<'a>,
    bounded: &'a Bounded,
    stages: Vec<Stage<T>>,
    /// `[live, LANES]`.
    values: Vec<T>,
    next: Vec<T>,
    /// `[LANES, outputs]`.
    outputs: Vec<f32>,
}

impl<'a, T: Whole> Reduced<'a, T> {
    pub fn new(engine: &'a Engine<'a>, bounded: &'a Bounded) -> Self {
        let of = |values: &[f64]| values.iter().map(|&value| T::of(value)).collect();
        let stages = bounded.stages.iter().map(|stage| Stage {
            before: stage.before,
            weights: of(&stage.weights),
            bias: of(&stage.bias),
        });
        Self {
            engine,
            bounded,
            stages: stages.collect(),
            values: Vec::new(),
            next: Vec::new(),
            outputs: vec![0.0; LANES * engine.network.outputs()],
        }
    }

    /// The outputs of up to [`LANES`] inputs, whose live values `input` has, of a row each `outputs`.
    #[inline(always)]
    fn run<S: Simd>(
        &mut self,
        simd: S,
        input: impl Fn(usize, &mut [T; LANES]),
        used: usize,
    ) -> &[f32] {
        let network = self.engine.network;
        self.values
            .resize(self.bounded.inputs.len() * LANES, T::default());
        for (index, values) in self
            .values
            .as_chunks_mut::<LANES>()
            .0
            .iter_mut()
            .enumerate()
        {
            input(index, values);
        }
        let outputs = network.outputs();
        let last = self.stages.len() - 1;
        for (index, (stage, bounded)) in self.stages.iter().zip(&self.bounded.stages).enumerate() {
            let layer = &network.layers[index];
            self.next.clear();
            for &bias in &stage.bias {
                self.next.extend([bias; LANES]);
            }
            let weights = Weights {
                values: &stage.weights,
                down: stage.before,
                across: 1,
            };
            multiply(simd, weights, &self.values, &mut self.next, LANES);
            for (&unit, sums) in bounded
                .live
                .iter()
                .zip(self.next.as_chunks_mut::<LANES>().0)
            {
                if index == last {
                    for (lane, sum) in sums.iter().enumerate() {
                        self.outputs[lane * outputs + unit] = sum.scaled(network.scales[unit]);
                    }
                    continue;
                }
                let multiplier = layer.multipliers[unit];
                // Below 2^52 both product and sum are whole numbers of f64, and the power of two changes no bit.
                if layer.greatest_sum[unit] * i64::from(multiplier) < 1 << 52 {
                    let factor = f64::from(multiplier) * 2f64.powi(-(layer.shift as i32));
                    let limit = f64::from(layer.limit);
                    for sum in sums.iter_mut() {
                        let level = (sum.wide() * factor + 0.5).floor();
                        *sum = T::of(level.max(-limit).min(limit));
                    }
                } else {
                    for sum in sums.iter_mut() {
                        *sum = T::of(layer.level(unit, sum.wide() as i64).into());
                    }
                }
                if !layer.table.is_empty() {
                    for sum in sums.iter_mut() {
                        *sum = T::of(layer.looked_up(sum.wide() as i32).into());
                    }
                }
            }
            std::mem::swap(&mut self.values, &mut self.next);
        }
        let found = &mut self.outputs[..used * outputs];
        if network.head.activation != Activation::Linear {
            found
                .chunks_exact_mut(outputs)
                .for_each(|row| network.head.activate(row));
        }
        found
    }

    /// The outputs of up to [`LANES`] inputs of a region, from one number on.
    #[inline(always)]
    pub fn rows<S: Simd>(
        &mut self,
        simd: S,
        domain: &Domain,
        numbers: &Numbers,
        start: u64,
    ) -> std::slice::ChunksExact<'_, f32> {
        let bounded = self.bounded;
        let used = (numbers.total - start).min(LANES as u64) as usize; // at most LANES
        let fill = |live: usize, lanes: &mut [T; LANES]| {
            let input = bounded.inputs[live];
            let values = &domain.inputs[input].values;
            let stride = numbers.strides[input];
            let (first, last) = (numbers.region.first[input], numbers.region.last[input]);
            let mut at = numbers.index(input, start);
            let mut left = stride - start % stride;
            for lane in lanes.iter_mut().take(used) {
                *lane = T::of(values[at].into());
                left -= 1;
                if left == 0 {
                    left = stride;
                    at = if at == last { first } else { at + 1 };
                }
            }
        };
        let outputs = self.engine.network.outputs();
        self.run(simd, fill, used).chunks_exact(outputs)
    }

    /// The last layer's sums of a unit for the inputs that were computed last.
    pub fn last_sums(&self, unit: usize) -> &[T] {
        &self.values[unit * LANES..][..LANES]
    }

    /// The indices of the first input of a region that breaks the goal.
    #[inline(always)]
    pub fn first_broken<S: Simd>(
        &mut self,
        simd: S,
        domain: &Domain,
        region: &Region,
        goal: &Goal,
    ) -> Option<Vec<usize>> {
        let network = self.engine.network;
        let numbers = Numbers::new(region);
        (0..numbers.total).step_by(LANES).find_map(|start| {
            let mut rows = self.rows(simd, domain, &numbers, start);
            let lane = rows.position(|row| !goal.holds(network, row))?;
            Some(numbers.indices(start + lane as u64))
        })
    }

    /// The distance from being broken of some inputs, given by their indices.
    #[inline(always)]
    pub fn distances<S: Simd>(
        &mut self,
        simd: S,
        domain: &Domain,
        points: &[Vec<usize>],
        goal: &Goal,
    ) -> Vec<f64> {
        let network = self.engine.network;
        let bounded = self.bounded;
        let mut found = Vec::with_capacity(points.len());
        for chunk in points.chunks(LANES) {
            let fill = |live: usize, lanes: &mut [T; LANES]| {
                let input = bounded.inputs[live];
                for (lane, point) in lanes.iter_mut().zip(chunk) {
                    *lane = T::of(domain.inputs[input].values[point[input]].into());
                }
            };
            let rows = self
                .run(simd, fill, chunk.len())
                .chunks_exact(network.outputs());
            found.extend(rows.map(|row| goal.distance(network, row)));
        }
        found
    }
}
