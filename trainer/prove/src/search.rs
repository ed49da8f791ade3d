//! Branch and bound: a box is proven by its bounds, enumerated where it is small, or else halved.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use pulp::{Arch, Simd, WithSimd};

use crate::{
    bounds::{Bounded, Engine, Sums},
    domain::{Domain, Region},
    enumerate::{Reduced, Whole},
    error::Result,
    goal::{Goal, Plan},
    network::Network,
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
    /// Inputs tried at random before the search. Defaults to 2048.
    pub samples: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            threads: std::thread::available_parallelism().map_or(1, Into::into),
            parts: false,
            enumeration: 1.5e6,
            samples: 2048,
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

/// A part of a box in a tree, whose children lie behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Node {
    Open,
    /// By bounds.
    Bounded,
    /// Input by input.
    Enumerated,
    /// Cut behind an index of an input's values; where its first part is, the other follows it.
    Split {
        input: usize,
        at: usize,
        children: usize,
    },
}

/// A part of a box that is to be decided.
struct Task {
    which: usize,
    region: Region,
    sums: Sums,
    node: usize,
}

struct Shared {
    tasks: Vec<Task>,
    working: usize,
    found: Option<Counterexample>,
    late: bool,
    outcome: Outcome,
}

struct Search<'a> {
    network: &'a Network<'a>,
    engine: &'a Engine<'a>,
    goal: &'a Goal,
    plan: &'a Plan,
    domains: &'a [Domain],
    /// Whether f32 holds all sums.
    narrow: bool,
    deadline: Instant,
    options: &'a Options,
    shared: Mutex<Shared>,
    changed: Condvar,
}

/// Decides a property.
///
/// # Errors
///
/// [`Error::Property`](crate::Error::Property) for boxes with numbers that the device refuses.
pub fn prove(network: &Network, property: &Property, options: &Options) -> Result<Outcome> {
    let start = Instant::now();
    let domains: Vec<Domain> = property
        .boxes
        .iter()
        .map(|ranges| Domain::new(network, ranges))
        .collect::<Result<_>>()?;
    let engine = &Engine::new(network);
    let tasks = domains
        .iter()
        .enumerate()
        .rev()
        .map(|(which, domain)| Task {
            which,
            region: domain.whole(),
            sums: engine.widest(),
            node: 0,
        });
    let search = Search {
        network,
        engine,
        goal: &property.goal,
        plan: &Plan::new(network, &property.goal),
        domains: &domains,
        narrow: network.layers.iter().all(|layer| layer.input_limit == 127),
        deadline: start + options.timeout,
        options,
        shared: Mutex::new(Shared {
            tasks: tasks.collect(),
            working: 0,
            found: None,
            late: false,
            outcome: Outcome {
                verdict: Verdict::Unknown,
                inputs: domains.iter().map(|domain| domain.whole().count()).sum(),
                decided: 0.0,
                bounded: 0,
                enumerated: 0,
                computed: 0.0,
                elapsed: Duration::ZERO,
                parts: domains.iter().map(|_| vec![Node::Open]).collect(),
            },
        }),
        changed: Condvar::new(),
    };
    search.sample();
    std::thread::scope(|scope| {
        for _ in 1..options.threads.max(1) {
            scope.spawn(|| search.work());
        }
        search.work();
    });
    let shared = search
        .shared
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let mut outcome = shared.outcome;
    outcome.verdict = match shared.found {
        Some(found) => Verdict::Fails(found),
        None if shared.late => Verdict::Unknown,
        None => Verdict::Holds,
    };
    outcome.decided = match outcome.verdict {
        Verdict::Holds => 1.0,
        Verdict::Fails(_) | Verdict::Unknown => outcome.decided / outcome.inputs,
    };
    outcome.elapsed = start.elapsed();
    Ok(outcome)
}

impl Search<'_> {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes tasks until there are none, or the verdict is known, or it is late.
    fn work(&self) {
        let mut shared = self.shared();
        loop {
            if shared.found.is_some() || shared.late {
                break;
            }
            let Some(task) = shared.tasks.pop() else {
                if shared.working == 0 {
                    break;
                }
                shared = self
                    .changed
                    .wait(shared)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if Instant::now() >= self.deadline {
                shared.late = true;
                break;
            }
            shared.working += 1;
            drop(shared);
            let done = Arch::new().dispatch(Deciding(self, &task));
            shared = self.shared();
            shared.working -= 1;
            self.note(&mut shared, &task, done);
            self.changed.notify_all();
        }
        self.changed.notify_all();
    }

    fn note(&self, shared: &mut Shared, task: &Task, done: Done) {
        let count = task.region.count();
        let outcome = &mut shared.outcome;
        outcome.bounded += 1;
        let node = match done {
            Done::Broken(found) => {
                shared.found = Some(found);
                return;
            }
            Done::Bounded => Node::Bounded,
            Done::Enumerated => {
                outcome.enumerated += 1;
                outcome.computed += count;
                Node::Enumerated
            }
            Done::Split {
                input,
                at,
                upwards,
                sums,
            } => {
                let tree = &mut outcome.parts[task.which];
                let children = tree.len();
                if self.options.parts {
                    tree.extend([Node::Open; 2]);
                    tree[task.node] = Node::Split {
                        input,
                        at,
                        children,
                    };
                }
                let [low, high] = task.region.split(input, at);
                let mut halves = [(high, children + 1), (low, children)];
                if upwards {
                    halves.reverse();
                }
                for (region, node) in halves {
                    shared.tasks.push(Task {
                        which: task.which,
                        region,
                        sums: sums.clone(),
                        node,
                    });
                }
                return;
            }
        };
        outcome.decided += count;
        if self.options.parts {
            outcome.parts[task.which][task.node] = node;
        }
    }

    #[inline(always)]
    fn decide<S: Simd>(&self, simd: S, task: &Task) -> Done {
        let domain = &self.domains[task.which];
        let region = &task.region;
        let forms = self.plan.forms.iter().map(|form| &form.coefficients[..]);
        let bounded = self
            .engine
            .bound(simd, &domain.ranges(region), task.sums.clone(), forms);
        if self.plan.suffices(&bounded.lower) {
            return Done::Bounded;
        }
        let cost: usize = bounded
            .stages
            .iter()
            .map(|stage| stage.weights.len() + 8 * stage.live.len())
            .sum();
        if region.count() * cost as f64 <= self.options.enumeration || bounded.inputs.is_empty() {
            let broken = if self.narrow {
                Reduced::<f32>::new(self.engine, &bounded)
                    .first_broken(simd, domain, region, self.goal)
            } else {
                Reduced::<f64>::new(self.engine, &bounded)
                    .first_broken(simd, domain, region, self.goal)
            };
            return match broken {
                Some(indices) => self.broken(domain, &indices),
                None => Done::Enumerated,
            };
        }
        let (input, corner) = self.widest(domain, region, &bounded);
        // Where the bound is least, the goal may be broken.
        if !self.goal.holds(
            self.network,
            &self.network.outputs_of(&domain.quantized(&corner)),
        ) {
            return self.broken(domain, &corner);
        }
        let at = usize::midpoint(region.first[input], region.last[input]);
        Done::Split {
            input,
            at,
            upwards: corner[input] > at,
            sums: bounded.sums,
        }
    }

    /// The input that moves the bound most, and the corner where it is least.
    #[inline(always)]
    fn widest(&self, domain: &Domain, region: &Region, bounded: &Bounded) -> (usize, Vec<usize>) {
        let ranges = domain.ranges(region);
        let mut corner = region.first.clone();
        let mut widest = (f64::NEG_INFINITY, bounded.inputs[0]);
        let form = self.plan.worst(&bounded.lower);
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
            let slope = form.map_or(1.0, |form| bounded.slopes[place * bounded.count + form]);
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
    fn broken(&self, domain: &Domain, indices: &[usize]) -> Done {
        let inputs = domain.raw(indices);
        let outputs = self
            .network
            .predict(&inputs)
            .expect("the box holds numbers that the model takes");
        assert!(
            !self.goal.holds(self.network, &outputs),
            "the search and the model's own code differ for inputs {inputs:?}, which is a bug of thumbnet-prove"
        );
        Done::Broken(Counterexample { inputs, outputs })
    }

    /// Looks for what breaks the goal at random, and downhill from where it is nearest to being broken.
    fn sample(&self) {
        for domain in self.domains {
            let found = Arch::new().dispatch(Sampling(self, domain));
            let Some(indices) = found else { continue };
            if let Done::Broken(found) = self.broken(domain, &indices) {
                self.shared().found = Some(found);
                return;
            }
        }
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
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize // below it
        };
        let mut points: Vec<Vec<usize>> = (0..self.options.samples)
            .map(|_| whole.last.iter().map(|&last| random(last + 1)).collect())
            .collect();
        let mut step = 0.25;
        for _ in 0..ROUNDS {
            let distances = reduced.distances(simd, domain, &points, self.goal);
            let mut order: Vec<usize> = (0..points.len()).collect();
            order.sort_by(|&a, &b| distances[a].total_cmp(&distances[b]));
            // The distance is for finding: whether it is broken the goal says.
            let broken = |point: &&Vec<usize>| {
                !self.goal.holds(
                    self.network,
                    &self.network.outputs_of(&domain.quantized(point)),
                )
            };
            let best: Vec<Vec<usize>> = order
                .iter()
                .take(KEPT)
                .map(|&index| points[index].clone())
                .collect();
            if let Some(found) = best.iter().take(1).find(broken) {
                return Some(found.clone());
            }
            points.clone_from(&best);
            if best.is_empty() {
                return None;
            }
            for point in &best {
                for _ in 0..self.options.samples / KEPT / 4 {
                    let near = point.iter().zip(&whole.last).map(|(&at, &last)| {
                        let reach = ((last as f64 * step) as usize).max(1); // rounded down
                        let (low, high) = (at.saturating_sub(reach), (at + reach).min(last));
                        low + random(high - low + 1)
                    });
                    points.push(near.collect());
                }
            }
            step *= 0.7;
        }
        None
    }
}

/// Those of them around which others are tried.
const KEPT: usize = 16;
/// How often, ever nearer.
const ROUNDS: usize = 12;

/// [`Search::decide`] in the widest vectors of the machine.
struct Deciding<'a>(&'a Search<'a>, &'a Task);

impl WithSimd for Deciding<'_> {
    type Output = Done;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Done {
        self.0.decide(simd, self.1)
    }
}

/// [`Search::sampled`] likewise.
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

enum Done {
    Broken(Counterexample),
    Bounded,
    Enumerated,
    /// `upwards`: the upper half first, where the bound is least.
    Split {
        input: usize,
        at: usize,
        upwards: bool,
        sums: Sums,
    },
}
