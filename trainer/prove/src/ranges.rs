//! Which values the units of each layer reach within boxes.
//!
//! The least and the greatest value of each unit is looked for by itself: parts of the boxes whose bounds are no further
//! than what was reached are done with, the others are taken by their bounds, the furthest first, and computed
//! or halved.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use pulp::Simd;
use thumbnet_runtime::Activation;

use crate::{
    bounds::{Engine, Sums, outputs},
    compare::Box,
    domain::{Domain, Region},
    enumerate::{LANES, Numbers, Reduced, Whole},
    error::Result,
    goal::ACTIVATION_ERROR,
    network::Network,
    parts::{self, Done, Part, Question},
    search::{Options, downhill},
};

/// The least and the greatest value of a unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// What some inputs give.
    pub reached: [f64; 2],
    /// What no inputs go beyond; the same where it is exact. Infinite where nothing is known.
    pub bound: [f64; 2],
}

/// The ranges of each hidden layer's integers, behind table and clamp, and last of the outputs. Each range has an
/// equal share of what is left of the time.
///
/// # Errors
///
/// [`Error::Property`](crate::Error::Property) for boxes with numbers that the device refuses.
pub fn reachable(network: &Network, boxes: &[Box], options: &Options) -> Result<Vec<Vec<Range>>> {
    let deadline = Instant::now() + options.timeout;
    let domains = boxes.iter().map(|ranges| Domain::new(network, ranges));
    let domains: Vec<Domain> = domains.collect::<Result<_>>()?;
    let mut found = samples(network, &domains, options.samples);
    let total: usize = 2 * found.iter().map(Vec::len).sum::<usize>();
    let mut done = 0;
    for (index, ranges) in found.iter_mut().enumerate() {
        let part = network.until(index);
        let engine = Engine::new(&part);
        for (unit, range) in ranges.iter_mut().enumerate() {
            for (end, sign) in [(0, -1.0), (1, 1.0)] {
                let start = Instant::now();
                let left = deadline.saturating_duration_since(start);
                let own = Options {
                    timeout: left / (total - done) as u32, // two for each of 65535 units at most
                    parts: false,
                    progress: None,
                    ..*options
                };
                let extreme = Extreme {
                    engine: &engine,
                    domains: &domains,
                    unit,
                    sign,
                    is_output: index + 1 == network.layers.len(),
                    slack: match part.head.activation {
                        Activation::Linear | Activation::Relu => 0.0,
                        _ => 3.0 * ACTIVATION_ERROR,
                    },
                    forms: forms(&part, unit),
                    enumeration: options.enumeration,
                    best: Mutex::new(range.reached[end] * sign),
                };
                let regions: Vec<Region> = domains.iter().map(Domain::whole).collect();
                let known = engine.widest();
                let (_, beyond) = parts::decide(&extreme, &regions, &known, &own, start, None);
                let best = *extreme.best();
                // A part that was never looked at has the bound of every input.
                let beyond = beyond.min(extreme.widest());
                // Not the zero below zero.
                range.reached[end] = best * sign + 0.0;
                range.bound[end] = best.max(beyond) * sign + 0.0;
                done += 1;
                if let Some(show) = options.progress {
                    show(done as f64 / total as f64);
                }
            }
        }
    }
    Ok(found)
}

/// What some inputs give.
fn samples(network: &Network, domains: &[Domain], count: usize) -> Vec<Vec<Range>> {
    let mut found: Vec<Vec<Range>> = Vec::new();
    let mut see = |values: Vec<Vec<f64>>| {
        if found.is_empty() {
            let range = |&y: &f64| Range {
                reached: [y; 2],
                bound: [y; 2],
            };
            found = values
                .iter()
                .map(|layer| layer.iter().map(range).collect())
                .collect();
        }
        for (range, y) in found.iter_mut().flatten().zip(values.into_iter().flatten()) {
            range.reached = [range.reached[0].min(y), range.reached[1].max(y)];
        }
    };
    for domain in domains {
        let last = domain.whole().last;
        see(network.trace(&domain.quantized(&last)));
        let distances = |points: &[Vec<usize>]| {
            for point in points {
                see(network.trace(&domain.quantized(point)));
            }
            vec![0.0; points.len()]
        };
        // Once at random is enough.
        downhill(&last, count, 0, distances, |_| true);
    }
    found
}

/// Of a unit's sum, and of what is its opposite; of an output of a softmax of it less each other one, and the opposites.
fn forms(network: &Network, unit: usize) -> Vec<Vec<f64>> {
    let outputs = network.scales.len();
    let form = |sign: f64, other: Option<usize>| {
        let mut form = vec![0.0; outputs];
        form[unit] = sign;
        if let Some(other) = other {
            form[other] = -sign;
        }
        form
    };
    if network.head.activation != Activation::Softmax {
        return vec![form(1.0, None), form(-1.0, None)];
    }
    let others = (0..outputs).filter(|&other| other != unit);
    let pairs = others.flat_map(|other| [form(1.0, Some(other)), form(-1.0, Some(other))]);
    pairs.collect()
}

/// The greatest value of a unit, or of its opposite.
struct Extreme<'a> {
    /// Of the layers up to the unit's.
    engine: &'a Engine<'a>,
    domains: &'a [Domain],
    unit: usize,
    /// -1 for the opposite.
    sign: f64,
    is_output: bool,
    /// What bounds are too wide by at best.
    slack: f64,
    forms: Vec<Vec<f64>>,
    enumeration: f64,
    best: Mutex<f64>,
}

impl Question for Extreme<'_> {
    type Known = Sums;

    #[inline(always)]
    fn decide<S: Simd>(&self, simd: S, part: &Part<Sums>) -> Done<Sums> {
        let network = self.engine.network;
        let domain = &self.domains[part.which];
        let region = &part.region;
        let ranges = domain.ranges(region);
        let forms = self.forms.iter().map(Vec::as_slice);
        let bounded = self.engine.bound(simd, &ranges, part.known.clone(), forms);
        let beyond = self.beyond(&bounded.linear.lower);
        let best = *self.best();
        if beyond <= best {
            return Done::Bounded;
        }
        if beyond <= best + self.slack {
            return Done::Left(beyond);
        }
        if region.count() * bounded.cost() <= self.enumeration || bounded.inputs.is_empty() {
            if network.is_narrow() {
                self.computed(
                    simd,
                    domain,
                    region,
                    Reduced::<f32>::new(self.engine, &bounded),
                );
            } else {
                self.computed(
                    simd,
                    domain,
                    region,
                    Reduced::<f64>::new(self.engine, &bounded),
                );
            }
            return Done::Enumerated;
        }
        // The corner where the form is greatest that is to be great.
        let form = usize::from(self.sign > 0.0);
        let mut corner = region.first.clone();
        let mut widest = (f64::NEG_INFINITY, bounded.inputs[0]);
        let coefficients = self
            .forms
            .get(form)
            .into_iter()
            .flatten()
            .zip(&network.scales);
        let scaled: Vec<f64> = coefficients
            .map(|(c, &scale)| c * f64::from(scale))
            .collect();
        let gradients = (!scaled.is_empty()).then(|| bounded.gradients(&scaled));
        for (place, &input) in bounded.inputs.iter().enumerate() {
            let slope = match self.forms.is_empty() {
                true => 1.0,
                false => bounded.linear.slopes[place * bounded.linear.count + form],
            };
            if slope < 0.0 {
                corner[input] = region.last[input];
            }
            let gradient = gradients.as_ref().map_or(1.0, |all| all[place]);
            let width = f64::from(ranges[input][1] - ranges[input][0]);
            let moved = (gradient + 20.0 * slope.abs()) * width;
            if moved > widest.0 {
                widest = (moved, input);
            }
        }
        let values = network.trace(&domain.quantized(&corner));
        if let Some(values) = values.last() {
            self.see(values[self.unit]);
        }
        let (_, input) = widest;
        let at = usize::midpoint(region.first[input], region.last[input]);
        Done::Split {
            input,
            at,
            upwards: corner[input] > at,
            known: bounded.sums,
            bound: beyond.min(part.bound),
        }
    }
}

impl Extreme<'_> {
    fn best(&self) -> MutexGuard<'_, f64> {
        self.best.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn see(&self, value: f64) {
        let mut best = self.best();
        *best = best.max(value * self.sign);
    }

    /// What no inputs at all go beyond.
    fn widest(&self) -> f64 {
        let network = self.engine.network;
        let size = network.last().greatest_sum[self.unit] as f64;
        let scale = f64::from(network.scales[self.unit]).abs();
        match network.head.activation {
            Activation::Softmax => self.beyond(&vec![f64::NEG_INFINITY; self.forms.len()]),
            _ => self.beyond(&[-size * scale; 2]),
        }
    }

    /// What nothing goes beyond where the forms are at least so much.
    fn beyond(&self, lower: &[f64]) -> f64 {
        let network = self.engine.network;
        let unit = self.unit;
        let ends = if self.is_output {
            let rounding = network.head.roundings[unit];
            let error = ACTIVATION_ERROR;
            match network.head.activation {
                Activation::Softmax => {
                    let sums = lower
                        .chunks_exact(2)
                        .map(|pair| [(-pair[0]).exp(), pair[1].exp()]);
                    let [most, least] = sums.fold([0.0; 2], |a, b| [a[0] + b[0], a[1] + b[1]]);
                    // The logits are that far off, whose softmax is less.
                    let error =
                        error + 2.0 * network.head.roundings.iter().fold(0.0, |a, b| b.max(a));
                    [1.0 / (1.0 + most) - error, 1.0 / (1.0 + least) + error]
                }
                activation @ (Activation::Linear
                | Activation::Relu
                | Activation::Sigmoid
                | Activation::Tanh) => {
                    let mut ends = [lower[0] - rounding, -lower[1] + rounding].map(|z| z as f32);
                    ends = [ends[0].next_down(), ends[1].next_up()];
                    network.head.activate(&mut ends);
                    let error = match activation {
                        Activation::Linear | Activation::Relu => 0.0,
                        _ => error,
                    };
                    [f64::from(ends[0]) - error, f64::from(ends[1]) + error]
                }
                _ => [f64::NEG_INFINITY, f64::INFINITY],
            }
        } else {
            let layer = network.last();
            // Sums are whole, and within i32.
            let sums = [lower[0].ceil() as i32, (-lower[1].ceil()) as i32];
            outputs(layer, unit, sums).map(f64::from)
        };
        if self.sign > 0.0 { ends[1] } else { -ends[0] }
    }

    /// Computes all inputs of a part.
    #[inline(always)]
    fn computed<S: Simd, T: Whole>(
        &self,
        simd: S,
        domain: &Domain,
        region: &Region,
        mut reduced: Reduced<T>,
    ) {
        let layer = self.engine.network.last();
        let numbers = Numbers::new(region);
        for start in (0..numbers.total).step_by(LANES) {
            let rows = reduced.rows(simd, domain, &numbers, start);
            if self.is_output {
                rows.for_each(|row| self.see(row[self.unit].into()));
                continue;
            }
            let used = rows.len();
            for sum in &reduced.last_sums(self.unit)[..used] {
                self.see(layer.write(self.unit, sum.wide() as i32).into());
            }
        }
    }
}
