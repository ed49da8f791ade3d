//! Two rows at a time: two models for the same inputs, or one model for inputs that differ in a column.
//!
//! A part of a box is a range of the first model's quantized inputs; where the other one quantizes differently, of the
//! raw values that are the same integer in both. Linear forms of both models' outputs are bounded in terms of their
//! inputs, and these are put in terms of each other: what both have of an input cancels before its range is looked at.
//! Of a model of floats the smallest part still holds many raw values: it is halved by them.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use pulp::Simd;
use thumbnet_runtime::Activation;

use crate::{
    bounds::{Bounded, Engine, Sums},
    domain::Region,
    enumerate::{LANES, Numbers, Reduced, Whole},
    error::{Error, Result},
    float::FloatNetwork,
    goal::{ACTIVATION_ERROR, Goal, Plan, SOFTMAX_GAP},
    monotone::{risen, rises_with_sum},
    network::{Head, Network},
    pair::{Joint, Pair},
    parts::{self, Done, Part, Question},
    relation::{Relation, difference},
    search::{Counterexample, Options, Outcome, Row, downhill},
};

/// A model that another one is compared with.
#[derive(Clone, Debug)]
pub enum Other<'a> {
    /// Of integers.
    Integers(Network<'a>),
    /// Of float32 layers.
    Floats(FloatNetwork<'a>),
}

/// Ranges of raw values for each input, or any value.
pub(crate) type Box = Vec<Option<[f64; 2]>>;

/// The greatest difference of two models' outputs.
#[derive(Clone, Debug)]
pub struct Difference {
    /// What was found, and where.
    pub reached: f64,
    /// The inputs, and the outputs of both; none where no difference was found.
    pub example: Option<Counterexample>,
    /// No input has a greater one; `reached` where that is the greatest.
    pub bound: f64,
    /// What it took; its verdict is known where the bound is reached.
    pub outcome: Outcome,
}

impl<'a> Other<'a> {
    /// Takes a blob apart.
    ///
    /// # Errors
    ///
    /// Those of [`Network::new`], or for a blob with layers of floats of [`FloatNetwork::new`].
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        match Network::new(bytes) {
            Ok(network) => Ok(Self::Integers(network)),
            Err(Error::Layer { .. }) => FloatNetwork::new(bytes).map(Self::Floats),
            Err(error) => Err(error),
        }
    }

    fn head(&self) -> &Head<'a> {
        match self {
            Self::Integers(network) => &network.head,
            Self::Floats(network) => &network.head,
        }
    }

    fn predict(&self, row: &[f32]) -> Option<Vec<f32>> {
        let model = match self {
            Self::Integers(network) => &network.model,
            Self::Floats(network) => &network.model,
        };
        let mut scratch = vec![0; model.scratch_len()];
        let mut outputs = vec![0.0; model.outputs()];
        let predicted = model.predict(row, &mut scratch, &mut outputs);
        predicted.is_ok().then_some(outputs)
    }

    fn widths(&self) -> [usize; 2] {
        match self {
            Self::Integers(network) => [network.inputs(), network.outputs()],
            Self::Floats(network) => [network.model.inputs(), network.model.outputs()],
        }
    }
}

/// Decides a relation of two models, or with no other one of two rows of the same.
///
/// # Errors
///
/// [`Error::Property`] for models that cannot be compared, for relations of one model where there are two, or the other
/// way round, and for boxes with numbers that a device refuses.
pub(crate) fn prove(
    network: &Network,
    other: Option<&Other>,
    boxes: &[Box],
    relation: &Relation,
    options: &Options,
) -> Result<Outcome> {
    let start = Instant::now();
    match (relation, other) {
        (Relation::Monotone { .. }, Some(_)) => {
            return Error::property(
                "rises_with and falls_with are about one model, and there are two",
            );
        }
        (Relation::SameClass | Relation::Within(_), None) => {
            return Error::property(
                "same_class and within are about two models; give the other one",
            );
        }
        _ => {}
    }
    let compare = Compare::new(network, other, boxes, Some(*relation))?;
    Ok(compare.run(options, start).0)
}

/// Decides a property of two models.
///
/// # Errors
///
/// [`Error::Property`] for a property of one row, for models that cannot be compared, and for boxes with numbers that
/// a device refuses.
pub fn prove_against(
    network: &Network,
    other: &Other,
    boxes: &[Box],
    goal: &Goal,
    options: &Options,
) -> Result<Outcome> {
    match goal {
        Goal::Relation(relation) => prove(network, Some(other), boxes, relation, options),
        _ => {
            Error::property("expected same_class or within in holds_when, to compare two models by")
        }
    }
}

/// Looks for the greatest difference of any output of two models within boxes.
///
/// # Errors
///
/// As [`prove_against`].
pub fn largest_difference(
    network: &Network,
    other: &Other,
    boxes: &[Box],
    options: &Options,
) -> Result<Difference> {
    let start = Instant::now();
    let compare = Compare::new(network, Some(other), boxes, None)?;
    let (outcome, left) = compare.run(options, start);
    let (reached, example) = compare
        .best
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    let reached = reached.max(0.0);
    Ok(Difference {
        reached,
        example,
        bound: left.max(reached),
        outcome,
    })
}

/// A sum of outputs of both rows before their activations that has to be above a number.
struct Form {
    coefficients: [Vec<f64>; 2],
    above: f64,
}

/// What the forms tell.
enum Rule {
    /// Nothing.
    Never,
    /// The relation holds where of each list one form does.
    Clauses(Vec<Vec<usize>>),
    /// How much the outputs differ, see [`Compare::difference`].
    Difference,
}

struct Compare<'a> {
    network: &'a Network<'a>,
    engine: Engine<'a>,
    other: Option<&'a Other<'a>>,
    /// Of the other model, where it is one of integers.
    second: Option<Engine<'a>>,
    /// None: the greatest difference is looked for.
    relation: Option<Relation>,
    pairs: Vec<Pair>,
    forms: Vec<Form>,
    rule: Rule,
    is_narrow: bool,
    /// Of the column's output whether it rises with its sum.
    rises_with_sum: bool,
    best: Mutex<(f64, Option<Counterexample>)>,
}

impl<'a> Compare<'a> {
    fn new(
        network: &'a Network<'a>,
        other: Option<&'a Other<'a>>,
        boxes: &[Box],
        relation: Option<Relation>,
    ) -> Result<Self> {
        if let Some(other) = other
            && other.widths() != [network.inputs(), network.outputs()]
        {
            return Error::property(format!(
                "the other model has {:?} inputs and outputs, expected {:?} as this one has",
                other.widths(),
                [network.inputs(), network.outputs()]
            ));
        }
        let pairs = boxes
            .iter()
            .map(|ranges| Pair::new(network, other, relation, ranges));
        let pairs = pairs.collect::<Result<Vec<Option<Pair>>>>()?;
        let second = match other {
            Some(Other::Integers(network)) => Some(Engine::new(network)),
            _ => None,
        };
        let mut compare = Self {
            network,
            engine: Engine::new(network),
            is_narrow: network.is_narrow()
                && second
                    .as_ref()
                    .is_none_or(|engine| engine.network.is_narrow()),
            second,
            other,
            relation,
            pairs: pairs.into_iter().flatten().collect(),
            forms: Vec::new(),
            rule: Rule::Never,
            rises_with_sum: rises_with_sum(network, relation),
            best: Mutex::new((f64::NEG_INFINITY, None)),
        };
        match relation {
            Some(Relation::SameClass) => compare.plan_class(),
            Some(Relation::Monotone { .. }) => {}
            Some(Relation::Within(_)) | None => compare.plan_difference(),
        }
        Ok(compare)
    }

    fn run(&self, options: &Options, start: Instant) -> (Outcome, f64) {
        let found = self.sample(options.samples);
        let known = [
            self.engine.widest(),
            self.second.as_ref().map_or(Vec::new(), Engine::widest),
        ];
        let boxes: Vec<Region> = self
            .pairs
            .iter()
            .map(|pair| pair.domains[0].whole())
            .collect();
        parts::decide(
            &Asked {
                compare: self,
                enumeration: options.enumeration,
                deadline: start + options.timeout,
            },
            &boxes,
            &known,
            options,
            start,
            found,
        )
    }

    fn heads(&self) -> [&Head<'a>; 2] {
        let head = &self.network.head;
        [head, self.other.map_or(head, Other::head)]
    }

    fn add(&mut self, terms: [&[(usize, f64)]; 2], gap: f64) -> usize {
        let heads = self.heads();
        let mut above = gap;
        let coefficients = [0, 1].map(|row| {
            let mut of_row = vec![0.0; heads[row].outputs()];
            for &(output, sign) in terms[row] {
                of_row[output] += sign;
                above += heads[row].roundings[output];
            }
            of_row
        });
        self.forms.push(Form {
            coefficients,
            above,
        });
        self.forms.len() - 1
    }

    /// Where one model may decide for a class, the other one does not decide for another.
    fn plan_class(&mut self) {
        let gap = |head: &Head| match head.activation {
            Activation::Linear => Some(0.0),
            Activation::Softmax => Some(SOFTMAX_GAP),
            _ => None,
        };
        let heads = self.heads();
        let outputs = heads[0].outputs();
        let mut clauses = Vec::new();
        if outputs == 1 {
            for class in [false, true] {
                // Not this class in one model, or the same one in the other.
                let mut clause = Some(Vec::new());
                for (row, set) in [(0, [class, !class]), (1, [!class, class])] {
                    let plan = Plan::new(self.heads()[row], &Goal::Class(set.to_vec()));
                    match plan.single() {
                        None => {}
                        // It always is.
                        Some([]) => clause = None,
                        Some(forms) => {
                            for form in forms {
                                let mut coefficients = [vec![0.0], vec![0.0]];
                                coefficients[row].clone_from(&form.coefficients);
                                if let Some(clause) = &mut clause {
                                    clause.push(self.forms.len());
                                }
                                self.forms.push(Form {
                                    coefficients,
                                    above: form.above,
                                });
                            }
                        }
                    }
                }
                clauses.extend(clause);
            }
            self.rule = Rule::Clauses(clauses);
            return;
        }
        let [Some(one), Some(other)] = heads.map(gap) else {
            return;
        };
        for i in 0..outputs {
            for j in (0..outputs).filter(|&j| j != i) {
                // Not i in one model, or not j in the other, or not both.
                let (a, b) = ([(j, 1.0), (i, -1.0)], [(i, 1.0), (j, -1.0)]);
                clauses.push(vec![
                    self.add([&a, &[]], one),
                    self.add([&[], &b], other),
                    self.add([&a, &b], one + other),
                ]);
            }
        }
        self.rule = Rule::Clauses(clauses);
    }

    /// Of each output the forms of [`Self::difference`].
    fn plan_difference(&mut self) {
        let [one, other] = self.heads().map(|head| head.activation);
        let outputs = self.heads()[0].outputs();
        if one != other {
            return;
        }
        match one {
            Activation::Linear | Activation::Relu | Activation::Tanh => {
                for i in 0..outputs {
                    self.add([&[(i, 1.0)], &[(i, -1.0)]], 0.0);
                    self.add([&[(i, -1.0)], &[(i, 1.0)]], 0.0);
                }
            }
            Activation::Sigmoid => {
                // As a softmax with an output that is 0.
                for i in 0..outputs {
                    for sign in [1.0, -1.0] {
                        self.add([&[(i, sign)], &[(i, -sign)]], 0.0);
                        self.add([&[(i, sign)], &[]], 0.0);
                        self.add([&[], &[(i, sign)]], 0.0);
                    }
                }
            }
            Activation::Softmax if outputs > 1 => {
                for i in 0..outputs {
                    for j in (0..outputs).filter(|&j| j != i) {
                        let (a, b) = ([(i, 1.0), (j, -1.0)], [(j, 1.0), (i, -1.0)]);
                        self.add([&a, &b], 0.0);
                        self.add([&a, &[]], 0.0);
                        self.add([&[], &[(i, 1.0), (j, -1.0)]], 0.0);
                    }
                }
            }
            _ => return,
        }
        self.rule = Rule::Difference;
    }

    /// No output differs by more, where the forms are at least so much.
    fn difference(&self, lower: &[f64]) -> f64 {
        let slack = |form: usize| lower[form] - self.forms[form].above;
        let outputs = self.heads()[0].outputs();
        let activation = self.heads()[0].activation;
        // Of p = 1 / (1 + sum(exp(-u))), where each u of both rows is above the first and below the second number,
        // and those of the two differ by no more than the third.
        let softmax = |us: &mut dyn Iterator<Item = [f64; 3]>| {
            let (mut most, mut least, mut apart) = (0.0, 0.0, 0.0f64);
            for [low, high, by] in us {
                most += (-low).exp();
                least += (-high).exp();
                apart = apart.max(by);
            }
            let [low, high] = [1.0 / (1.0 + most), 1.0 / (1.0 + least)];
            // The slope p (1 - p) is greatest at 1/2.
            let steepest = 0.5f64.max(low).min(high);
            (high - low).min(steepest * (1.0 - steepest) * apart) + 2.0 * ACTIVATION_ERROR
        };
        let of = |forms: [usize; 2]| {
            // The forms of u and of -u.
            let [u, minus] = forms;
            [
                slack(u + 1).min(slack(u + 2)),
                -slack(minus + 1).min(slack(minus + 2)),
                -slack(u).min(slack(minus)),
            ]
        };
        let each = (0..outputs).map(|i| match activation {
            Activation::Sigmoid => softmax(&mut [of([6 * i, 6 * i + 3])].into_iter()),
            Activation::Softmax => {
                // The pair (i, j) among all but those of equals.
                let at = |i: usize, j: usize| 3 * (i * (outputs - 1) + j - usize::from(j > i));
                let others = (0..outputs).filter(|&j| j != i);
                softmax(&mut others.map(|j| of([at(i, j), at(j, i)])))
            }
            Activation::Tanh => -slack(2 * i).min(slack(2 * i + 1)) + 2.0 * ACTIVATION_ERROR,
            _ => -slack(2 * i).min(slack(2 * i + 1)),
        });
        each.fold(0.0, |most: f64, by| if by <= most { most } else { by })
    }

    /// The difference that no part has to exceed to be done with.
    fn enough(&self) -> f64 {
        match self.relation {
            Some(Relation::Within(most)) => most,
            _ => self.best().0,
        }
    }

    fn best(&self) -> MutexGuard<'_, (f64, Option<Counterexample>)> {
        self.best.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether they suffice, and how much the outputs may differ.
    fn suffices(&self, lower: &[f64]) -> (bool, f64) {
        match &self.rule {
            Rule::Never => (false, f64::INFINITY),
            Rule::Clauses(clauses) => {
                let holds = |&form: &usize| lower[form] > self.forms[form].above;
                let all = clauses.iter().all(|clause| clause.iter().any(holds));
                (all, f64::INFINITY)
            }
            Rule::Difference => {
                let most = self.difference(lower);
                (most <= self.enough(), most)
            }
        }
    }

    /// The form to be tightened.
    fn worst(&self, lower: &[f64]) -> Option<usize> {
        let slack = |form: &usize| lower[*form] - self.forms[*form].above;
        let by_slack = |a: &usize, b: &usize| slack(a).total_cmp(&slack(b));
        match &self.rule {
            Rule::Never => None,
            Rule::Clauses(clauses) => clauses
                .iter()
                .filter_map(|clause| clause.iter().copied().max_by(by_slack))
                .min_by(by_slack),
            Rule::Difference => {
                let step = match self.heads()[0].activation {
                    Activation::Sigmoid | Activation::Softmax => 3,
                    _ => 1,
                };
                (0..self.forms.len()).step_by(step).min_by(by_slack)
            }
        }
    }

    /// Whether two rows of outputs break the relation, or differ by more than any before.
    fn breaks(&self, rows: [&[f32]; 2]) -> bool {
        match self.relation {
            Some(relation) => !relation.holds(self.heads(), rows),
            None => difference(rows) > self.best().0,
        }
    }

    /// Replays two rows that break something by the models' own code: it is the end, or the greatest difference.
    fn found(&self, inputs: [Vec<f32>; 2]) -> Option<Counterexample> {
        let outputs = self
            .network
            .predict(&inputs[0])
            .expect("the box holds numbers that the model takes");
        let second = match self.other {
            Some(other) => other.predict(&inputs[1])?,
            None => self.network.predict(&inputs[1]).ok()?,
        };
        let [one, other] = inputs;
        let apart = difference([&outputs, &second]);
        let is_broken = self.breaks([&outputs, &second]);
        assert!(
            is_broken || self.relation.is_none() || matches!(self.other, Some(Other::Floats(_))),
            "the search and the model's own code differ for inputs {one:?}, which is a bug of thumbnet-prove"
        );
        let example = Counterexample {
            inputs: one,
            outputs,
            other: Some(Row {
                inputs: other,
                outputs: second,
            }),
        };
        if self.relation.is_some() {
            return is_broken.then_some(example);
        }
        let mut best = self.best();
        if apart > best.0 {
            *best = (apart, Some(example));
        }
        None
    }

    /// The outputs of both rows at some indices.
    fn outputs(&self, pair: &Pair, indices: &[usize]) -> Option<[Vec<f32>; 2]> {
        let quantized = |row: usize| pair.domains[row].quantized(indices);
        let one = self.network.outputs_of(&quantized(0));
        let other = match self.other {
            None => self.network.outputs_of(&quantized(1)),
            Some(Other::Integers(network)) => network.outputs_of(&quantized(1)),
            Some(other) => other.predict(&pair.domains[1].raw(indices))?,
        };
        Some([one, other])
    }

    /// Looks for what breaks it at random, and downhill.
    fn sample(&self, samples: usize) -> Option<Counterexample> {
        let nothing = Relation::Within(0.0);
        for pair in &self.pairs {
            let relation = self.relation.unwrap_or(nothing);
            let distance = |indices: &Vec<usize>| {
                let rows = self.outputs(pair, indices);
                rows.map_or(f64::INFINITY, |[one, other]| {
                    relation.distance(self.heads(), [&one, &other])
                })
            };
            let is_broken = |indices: &[usize]| {
                let rows = self.outputs(pair, indices);
                self.relation.is_some()
                    && rows.is_some_and(|[one, other]| self.breaks([&one, &other]))
            };
            let last = pair.domains[0].whole().last;
            let distances = |points: &[Vec<usize>]| points.iter().map(distance).collect();
            let Some(indices) = downhill(&last, samples, 0, distances, is_broken) else {
                continue;
            };
            if self.relation.is_some() && !is_broken(&indices) {
                continue;
            }
            let found = self.found([0, 1].map(|row| pair.domains[row].raw(&indices)));
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

/// Parts of a box of floats within one of the integers that are looked at.
const PIECES: usize = 512;

struct Asked<'a> {
    compare: &'a Compare<'a>,
    enumeration: f64,
    deadline: Instant,
}

impl Question for Asked<'_> {
    type Known = [Sums; 2];

    #[inline(always)]
    fn decide<S: Simd>(&self, simd: S, part: &Part<[Sums; 2]>) -> Done<[Sums; 2]> {
        match self.compare.relation {
            Some(Relation::Monotone {
                output,
                column,
                rises,
            }) => self.monotone(simd, part, output, column, rises),
            _ => self.differ(simd, part),
        }
    }
}

/// What the bounds of an integer range are as real numbers.
fn wide(ranges: &[[i32; 2]]) -> Vec<[f64; 2]> {
    ranges.iter().map(|ends| ends.map(f64::from)).collect()
}

impl Asked<'_> {
    #[inline(always)]
    fn differ<S: Simd>(&self, simd: S, part: &Part<[Sums; 2]>) -> Done<[Sums; 2]> {
        let compare = self.compare;
        let pair = &compare.pairs[part.which];
        let ranges = pair.domains[0].ranges(&part.region);
        let [known, other_known] = part.known.clone();
        let forms = |row: usize| {
            compare
                .forms
                .iter()
                .map(move |form| &form.coefficients[row][..])
        };
        let one = compare.engine.bound(simd, &ranges, known, forms(0));
        let ranges = wide(&ranges);
        let (other, other_ranges) = match (&compare.second, compare.other) {
            (Some(engine), _) => {
                let ranges = pair.domains[1].ranges(&part.region);
                let bounded = engine.bound(simd, &ranges, other_known, forms(1));
                (bounded, wide(&ranges))
            }
            (None, Some(Other::Floats(network))) => {
                let raw = pair.raw(&part.region);
                if part.region.count() <= 1.0 {
                    return self.pieces(simd, network, pair, part, (&one, &ranges), raw);
                }
                let bounded = network.bound(simd, &raw, forms(1));
                let raw = raw.iter().map(|ends| ends.map(f64::from));
                (bounded, raw.collect())
            }
            (None, _) => unreachable!("monotone is decided elsewhere"),
        };
        let joint = pair.lower(
            [(&one, &ranges), (&other, &other_ranges)],
            compare.forms.len(),
        );
        let (suffices, most) = compare.suffices(&joint.lower);
        if suffices {
            return Done::Bounded;
        }
        if compare.second.is_some() && self.is_cheap(&part.region, [&one, &other]) {
            return self.enumerated(simd, pair, part, [&one, &other]);
        }
        let (input, corner) = self.widest(pair, part, &joint, [&one, &other]);
        if let Some([a, b]) = compare.outputs(pair, &corner)
            && compare.breaks([&a, &b])
            && let Some(found) = compare.found([0, 1].map(|row| pair.domains[row].raw(&corner)))
        {
            return Done::Broken(found);
        }
        let at = usize::midpoint(part.region.first[input], part.region.last[input]);
        Done::Split {
            input,
            at,
            upwards: corner[input] > at,
            known: [one.sums, other.sums],
            bound: match compare.relation {
                None => most.min(part.bound),
                Some(_) => part.bound,
            },
        }
    }

    fn is_cheap(&self, region: &Region, rows: [&Bounded; 2]) -> bool {
        let cost: f64 = rows.iter().map(|bounded| bounded.cost()).sum();
        region.count() * cost <= self.enumeration || region.count() <= 1.0
    }

    #[inline(always)]
    fn enumerated<S: Simd>(
        &self,
        simd: S,
        pair: &Pair,
        part: &Part<[Sums; 2]>,
        rows: [&Bounded; 2],
    ) -> Done<[Sums; 2]> {
        let found = if self.compare.is_narrow {
            self.enumerated_in::<S, f32>(simd, pair, part, rows)
        } else {
            self.enumerated_in::<S, f64>(simd, pair, part, rows)
        };
        found.map_or(Done::Enumerated, Done::Broken)
    }

    #[inline(always)]
    fn enumerated_in<S: Simd, T: Whole>(
        &self,
        simd: S,
        pair: &Pair,
        part: &Part<[Sums; 2]>,
        rows: [&Bounded; 2],
    ) -> Option<Counterexample> {
        let compare = self.compare;
        let engine = &compare.engine;
        let mut one = Reduced::<T>::new(engine, rows[0]);
        let mut other = Reduced::<T>::new(compare.second.as_ref().unwrap_or(engine), rows[1]);
        let numbers = Numbers::new(&part.region);
        for start in (0..numbers.total).step_by(LANES) {
            let a = one.rows(simd, &pair.domains[0], &numbers, start);
            let b = other.rows(simd, &pair.domains[1], &numbers, start);
            for (lane, (a, b)) in a.zip(b).enumerate() {
                if compare.breaks([a, b]) {
                    let indices = numbers.indices(start + lane as u64);
                    let found = compare.found([0, 1].map(|row| pair.domains[row].raw(&indices)));
                    if found.is_some() {
                        return found;
                    }
                }
            }
        }
        None
    }

    /// The input that moves the bounds most, and the corner where they are least.
    #[inline(always)]
    fn widest(
        &self,
        pair: &Pair,
        part: &Part<[Sums; 2]>,
        joint: &Joint,
        rows: [&Bounded; 2],
    ) -> (usize, Vec<usize>) {
        let compare = self.compare;
        let region = &part.region;
        let mut corner = region.first.clone();
        let form = compare.worst(&joint.lower);
        let inputs = corner.len();
        let mut moved = vec![0.0; inputs];
        for (row, bounded) in rows.iter().enumerate() {
            let gradients = form.map(|form| {
                let coefficients = compare.forms[form].coefficients[row].iter();
                let scaled: Vec<f64> = match (row, &compare.second) {
                    (0, _) => coefficients
                        .zip(&compare.network.scales)
                        .map(|(c, &scale)| c * f64::from(scale))
                        .collect(),
                    (_, Some(engine)) => coefficients
                        .zip(&engine.network.scales)
                        .map(|(c, &scale)| c * f64::from(scale))
                        .collect(),
                    _ => coefficients.copied().collect(),
                };
                bounded.gradients(&scaled)
            });
            for (place, &input) in bounded.inputs.iter().enumerate() {
                let unit = match (row, pair.links[input]) {
                    (0, _) => 1.0,
                    (_, link) => link.map_or(0.0, |(slope, _)| slope.abs()),
                };
                moved[input] += gradients.as_ref().map_or(1.0, |all| all[place] * unit);
            }
        }
        let mut widest = (f64::NEG_INFINITY, 0);
        for input in 0..inputs {
            let (first, last) = (region.first[input], region.last[input]);
            if first == last {
                continue;
            }
            let slope = form.map_or(0.0, |form| {
                let [a, b] = joint.slopes[form * inputs + input];
                a + b * pair.links[input].map_or(0.0, |(link, _)| link)
            });
            if slope < 0.0 {
                corner[input] = last;
            }
            let values = &pair.domains[0].inputs[input].values;
            let width = f64::from(values[last] - values[first]).max(1.0);
            let moved = (moved[input] + 20.0 * slope.abs()) * width;
            if moved > widest.0 {
                widest = (moved, input);
            }
        }
        (widest.1, corner)
    }

    /// Of a part that is one row of integers the raw values, halved.
    #[inline(always)]
    fn pieces<S: Simd>(
        &self,
        simd: S,
        network: &FloatNetwork,
        pair: &Pair,
        part: &Part<[Sums; 2]>,
        one: (&Bounded, &[[f64; 2]]),
        raw: Vec<[f32; 2]>,
    ) -> Done<[Sums; 2]> {
        let compare = self.compare;
        let outputs = compare
            .network
            .outputs_of(&pair.domains[0].quantized(&part.region.first));
        let mut open = vec![(raw, f64::INFINITY)];
        let mut left = f64::NEG_INFINITY;
        let mut pieces = 0;
        while let Some((piece, bound)) = open.pop() {
            pieces += 1;
            if pieces > PIECES || Instant::now() >= self.deadline {
                left = left.max(bound);
                continue;
            }
            let forms = compare.forms.iter().map(|form| &form.coefficients[1][..]);
            let other = network.bound(simd, &piece, forms);
            let ranges: Vec<[f64; 2]> = piece.iter().map(|ends| ends.map(f64::from)).collect();
            let joint = pair.lower([one, (&other, &ranges)], compare.forms.len());
            let (suffices, most) = compare.suffices(&joint.lower);
            if suffices {
                continue;
            }
            // The corner where the bound is least, and where it is greatest.
            let form = compare.worst(&joint.lower);
            let slope =
                |input: usize| form.map_or(1.0, |form| joint.slopes[form * piece.len() + input][1]);
            for upwards in [false, true] {
                let row = piece.iter().enumerate().map(|(input, ends)| {
                    if (slope(input) < 0.0) == upwards {
                        ends[0]
                    } else {
                        ends[1]
                    }
                });
                let row: Vec<f32> = row.collect();
                let broken = compare.other.and_then(|other| other.predict(&row));
                if broken.is_some_and(|other| compare.breaks([&outputs, &other]))
                    && let Some(found) = compare.found([row.clone(), row])
                {
                    return Done::Broken(found);
                }
            }
            let bound = most.min(bound).min(part.bound);
            let width = |input: usize| {
                (f64::from(piece[input][1]) - f64::from(piece[input][0])) * slope(input).abs()
            };
            let inputs = (0..piece.len()).filter(|&input| piece[input][0] < piece[input][1]);
            let Some(input) = inputs.max_by(|&a, &b| width(a).total_cmp(&width(b))) else {
                continue; // a single row, which was computed
            };
            let [low, high] = piece[input];
            let middle = f64::midpoint(low.into(), high.into()) as f32;
            let middle = if middle < high { middle } else { low };
            let (mut lower, mut upper) = (piece.clone(), piece);
            lower[input] = [low, middle];
            upper[input] = [middle.next_up(), high];
            open.extend([(upper, bound), (lower, bound)]);
        }
        if left > f64::NEG_INFINITY {
            Done::Left(left)
        } else {
            Done::Bounded
        }
    }

    #[inline(always)]
    fn monotone<S: Simd>(
        &self,
        simd: S,
        part: &Part<[Sums; 2]>,
        output: usize,
        column: usize,
        rises: bool,
    ) -> Done<[Sums; 2]> {
        let compare = self.compare;
        let network = compare.network;
        let pair = &compare.pairs[part.which];
        let region = &part.region;
        let [one, next] = [0, 1].map(|row| pair.domains[row].ranges(region));
        let both = one.iter().zip(&next);
        let ranges: Vec<[i32; 2]> = both
            .map(|(a, b)| [a[0].min(b[0]), a[1].max(b[1])])
            .collect();
        let next = &pair.domains[1].inputs[column];
        let mut form = vec![0.0; network.outputs()];
        form[output] = 1.0;
        let known = part.known[0].clone();
        let bounded = compare
            .engine
            .bound(simd, &ranges, known, [&form[..]].into_iter());
        let steps = pair.domains[0].inputs[column]
            .values
            .iter()
            .zip(&next.values);
        let steps = steps.map(|(from, to)| i64::from(to - from));
        let steps = steps
            .skip(region.first[column])
            .take(region.last[column] - region.first[column] + 1);
        let steps = [steps.clone().min().unwrap_or(0), steps.max().unwrap_or(0)];
        let steps = risen(network, &bounded.sums, column, steps);
        let is_still = steps.iter().all(|&step| step == [0, 0]);
        // A negative scale turns it round.
        let wanted = rises == (network.scales[output] >= 0.0);
        let [low, high] = steps[output];
        if is_still || compare.rises_with_sum && if wanted { low >= 0 } else { high <= 0 } {
            return Done::Bounded;
        }
        if self.is_cheap(region, [&bounded, &bounded]) {
            return self.enumerated(simd, pair, part, [&bounded, &bounded]);
        }
        form[output] = network.scales[output].into();
        let gradients = bounded.gradients(&form);
        let moved = bounded
            .inputs
            .iter()
            .zip(&gradients)
            .filter_map(|(&input, gradient)| {
                let (first, last) = (region.first[input], region.last[input]);
                let values = &pair.domains[0].inputs[input].values;
                let width = f64::from(values[last] - values[first]);
                (first < last).then_some((input, (gradient + 1e-9) * width))
            });
        let (input, _) = moved
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .expect("several values, of which there are more than one can compute at once");
        Done::Split {
            input,
            at: usize::midpoint(region.first[input], region.last[input]),
            upwards: false,
            known: [bounded.sums, Vec::new()],
            bound: part.bound,
        }
    }
}
