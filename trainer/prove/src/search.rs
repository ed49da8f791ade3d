//! Branch and bound: a box is proven by its bounds, enumerated where it is small, or else halved.

use std::time::{Duration, Instant};

use pulp::{Arch, Simd, WithSimd};

use crate::{
    bounds::{Bounded, Engine, Sums},
    compare,
    domain::{Domain, Region},
    enumerate::{Reduced, Whole},
    error::{Error, Result},
    goal::{Goal, Plan},
    network::Network,
    parts::{self, Done, Node, Part, Question},
    property::Property,
};

/// How to look for a verdict.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// After which the verdict is [`Verdict::Unknown`]. Defaults to 60 seconds.
    pub timeout: Duration,
    /// Defaults to as many as there are cores.
    pub threads: usize,
    /// Whether the parts of the boxes are kept, for a [`Certificate`](crate::Certificate). Defaults to no.
    pub parts: bool,
    /// Multiply-accumulates up to which a part is enumerated; larger ones are halved. Defaults to 1.5 million, about what
    /// the bounds of a part cost.
    pub enumeration: f64,
    /// Inputs tried at random before the search, at each start: there is one for 64 of them. Defaults to 2048.
    pub samples: usize,
    /// Told, now and then, what share of the inputs is decided. Defaults to none.
    pub progress: Option<fn(f64)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            threads: std::thread::available_parallelism().map_or(1, Into::into),
            parts: false,
            enumeration: 1.5e6,
            samples: 2048,
            progress: None,
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It holds for every input of the boxes.
    Holds,
    /// It does not, for this one.
    Fails(Counterexample),
    /// Neither was found in time.
    Unknown,
}

/// An input that breaks a property.
#[derive(Clone, Debug, PartialEq)]
pub struct Counterexample {
    /// Raw values, in a box of the property.
    pub inputs: Vec<f32>,
    /// What `Model::predict` says of it.
    pub outputs: Vec<f32>,
    /// Where two rows are compared the other one: the same inputs in the other model, or, of
    /// [`Relation::Monotone`](crate::Relation::Monotone), inputs with the next value in its column.
    pub other: Option<Row>,
}

/// Inputs and what the model that they were given to makes of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Raw values.
    pub inputs: Vec<f32>,
    /// What `Model::predict` says of them.
    pub outputs: Vec<f32>,
}

/// A verdict and what it took.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was found.
    pub verdict: Verdict,
    /// Quantized inputs in all boxes; those in two of them count twice.
    pub inputs: f64,
    /// The share of them that is decided.
    pub decided: f64,
    /// Parts whose bounds were computed.
    pub bounded: u64,
    /// Parts that were enumerated.
    pub enumerated: u64,
    /// Inputs that were computed one by one.
    pub computed: f64,
    /// How long it took.
    pub elapsed: Duration,
    /// How each box was cut, where it was asked for.
    pub(crate) parts: Vec<Vec<Node>>,
}

struct Search<'a> {
    network: &'a Network<'a>,
    engine: &'a Engine<'a>,
    goal: &'a Goal,
    plan: &'a Plan,
    domains: &'a [Domain],
    /// Whether f32 holds all sums.
    narrow: bool,
    options: &'a Options,
}

/// Decides a property of one model.
///
/// # Errors
///
/// [`Error::Property`](crate::Error::Property) for boxes with numbers that the device refuses, and for properties
/// of two models.
pub fn prove(network: &Network, property: &Property, options: &Options) -> Result<Outcome> {
    if let Goal::Relation(relation) = &property.goal {
        return compare::prove(network, None, &property.boxes, relation, options);
    }
    if property.goal == Goal::Nothing {
        return Error::property("holds_when is missing, expected what has to hold in the boxes");
    }
    let start = Instant::now();
    let domains: Vec<Domain> = property
        .boxes
        .iter()
        .map(|ranges| Domain::new(network, ranges))
        .collect::<Result<_>>()?;
    let engine = &Engine::new(network);
    let search = Search {
        network,
        engine,
        goal: &property.goal,
        plan: &Plan::new(&network.head, &property.goal),
        domains: &domains,
        narrow: network.is_narrow(),
        options,
    };
    let found = search.sample();
    let boxes: Vec<Region> = domains.iter().map(Domain::whole).collect();
    let widest = engine.widest();
    let (outcome, _) = parts::decide(&search, &boxes, &widest, options, start, found);
    Ok(outcome)
}

impl Question for Search<'_> {
    type Known = Sums;

    #[inline(always)]
    fn decide<S: Simd>(&self, simd: S, part: &Part<Sums>) -> Done<Sums> {
        let domain = &self.domains[part.which];
        let region = &part.region;
        let forms = self.plan.forms.iter().map(|form| &form.coefficients[..]);
        let bounded = self
            .engine
            .bound(simd, &domain.ranges(region), part.known.clone(), forms);
        if self.plan.suffices(&bounded.linear.lower) {
            return Done::Bounded;
        }
        if region.count() * bounded.cost() <= self.options.enumeration || bounded.inputs.is_empty()
        {
            let broken = if self.narrow {
                Reduced::<f32>::new(self.engine, &bounded)
                    .first_broken(simd, domain, region, self.goal)
            } else {
                Reduced::<f64>::new(self.engine, &bounded)
                    .first_broken(simd, domain, region, self.goal)
            };
            return match broken {
                Some(indices) => Done::Broken(self.broken(domain, &indices)),
                None => Done::Enumerated,
            };
        }
        let (input, corner) = self.widest(domain, region, &bounded);
        // Where the bound is least, the goal may be broken.
        if !self.goal.holds(
            self.network,
            &self.network.outputs_of(&domain.quantized(&corner)),
        ) {
            return Done::Broken(self.broken(domain, &corner));
        }
        let at = usize::midpoint(region.first[input], region.last[input]);
        Done::Split {
            input,
            at,
            upwards: corner[input] > at,
            known: bounded.sums,
            bound: part.bound,
        }
    }
}

impl Search<'_> {
    /// The input that moves the bound most, and the corner where it is least.
    #[inline(always)]
    fn widest(&self, domain: &Domain, region: &Region, bounded: &Bounded) -> (usize, Vec<usize>) {
        let ranges = domain.ranges(region);
        let mut corner = region.first.clone();
        let mut widest = (f64::NEG_INFINITY, bounded.inputs[0]);
        let form = self.plan.worst(&bounded.linear.lower);
        let gradients = form.map(|form| {
            let form = self.plan.forms[form]
                .coefficients
                .iter()
                .zip(&self.network.scales);
            let form: Vec<f64> = form.map(|(c, &scale)| c * f64::from(scale)).collect();
            bounded.gradients(&form)
        });
        for (place, &input) in bounded.inputs.iter().enumerate() {
            let width = f64::from(ranges[input][1] - ranges[input][0]);
            let slope = form.map_or(1.0, |form| {
                bounded.linear.slopes[place * bounded.linear.count + form]
            });
            if slope < 0.0 {
                corner[input] = region.last[input];
            }
            let gradient = gradients.as_ref().map_or(1.0, |gradients| gradients[place]);
            // What it moves the bound by counts as well; the factor is measured.
            let moved = (gradient + 20.0 * slope.abs()) * width;
            if moved > widest.0 {
                widest = (moved, input);
            }
        }
        (widest.1, corner)
    }

    /// An input that breaks the goal, replayed by the device's code.
    fn broken(&self, domain: &Domain, indices: &[usize]) -> Counterexample {
        let inputs = domain.raw(indices);
        let outputs = self
            .network
            .predict(&inputs)
            .expect("the box holds numbers that the model takes");
        assert!(
            !self.goal.holds(self.network, &outputs),
            "the search and the model's own code differ for inputs {inputs:?}, which is a bug of thumbnet-prove"
        );
        Counterexample {
            inputs,
            outputs,
            other: None,
        }
    }

    /// Looks for what breaks the goal at random, and downhill from where it is nearest to being broken.
    fn sample(&self) -> Option<Counterexample> {
        self.domains.iter().find_map(|domain| {
            let indices = Arch::new().dispatch(Sampling(self, domain))?;
            Some(self.broken(domain, &indices))
        })
    }

    #[inline(always)]
    fn sampled<S: Simd, T: Whole>(&self, simd: S, domain: &Domain) -> Option<Vec<usize>> {
        let whole = domain.whole();
        let none: [&[f64]; 0] = [];
        let bounded = self.engine.bound(
            simd,
            &domain.ranges(&whole),
            self.engine.widest(),
            none.into_iter(),
        );
        let mut reduced = Reduced::<T>::new(self.engine, &bounded);
        // The distance is for finding: whether it is broken the goal says.
        let is_broken = |point: &[usize]| {
            let outputs = self.network.outputs_of(&domain.quantized(point));
            !self.goal.holds(self.network, &outputs)
        };
        let mut distances =
            |points: &[Vec<usize>]| reduced.distances(simd, domain, points, self.goal);
        // What is rare is found from one start in many; the proof has the most of the time.
        let samples = self.options.samples;
        let end = Instant::now() + self.options.timeout / 50;
        let starts = 0..(samples as u64 / 64).max(1);
        starts
            .take_while(|&start| start == 0 || Instant::now() < end)
            .find_map(|start| {
                let found = downhill(&whole.last, samples, start, &mut distances, is_broken)?;
                is_broken(&found).then_some(found)
            })
    }
}

/// Looks for indices up to `last` of which the distance is least, at random and near the best; an `end` is good enough.
/// Each `start` is elsewhere.
#[inline(always)]
pub(crate) fn downhill(
    last: &[usize],
    samples: usize,
    start: u64,
    mut distances: impl FnMut(&[Vec<usize>]) -> Vec<f64>,
    end: impl Fn(&[usize]) -> bool,
) -> Option<Vec<usize>> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(2 * start + 1);
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize // below it
    };
    let mut points: Vec<Vec<usize>> = (0..samples)
        .map(|_| last.iter().map(|&last| random(last + 1)).collect())
        .collect();
    let mut step = 0.25;
    let mut best: Vec<Vec<usize>> = Vec::new();
    for _ in 0..ROUNDS {
        let found = distances(&points);
        let mut order: Vec<usize> = (0..points.len()).collect();
        order.sort_by(|&a, &b| found[a].total_cmp(&found[b]));
        let kept = order.iter().take(KEPT);
        best = kept.map(|&index| points[index].clone()).collect();
        if best.first().is_none_or(|point| end(point)) {
            break;
        }
        points.clone_from(&best);
        for point in &best {
            for _ in 0..samples / KEPT / 4 {
                let near = point.iter().zip(last).map(|(&at, &last)| {
                    let reach = ((last as f64 * step) as usize).max(1); // rounded down
                    let (low, high) = (at.saturating_sub(reach), (at + reach).min(last));
                    low + random(high - low + 1)
                });
                points.push(near.collect());
            }
        }
        step *= 0.7;
    }
    best.into_iter().next()
}

/// Those of them around which others are tried.
const KEPT: usize = 16;
/// How often, ever nearer.
const ROUNDS: usize = 12;

/// [`Search::sampled`] in the widest vectors of the machine.
struct Sampling<'a>(&'a Search<'a>, &'a Domain);

impl WithSimd for Sampling<'_> {
    type Output = Option<Vec<usize>>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        if self.0.narrow {
            self.0.sampled::<S, f32>(simd, self.1)
        } else {
            self.0.sampled::<S, f64>(simd, self.1)
        }
    }
}
