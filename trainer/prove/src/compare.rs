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

use pulp::{Arch, Simd, WithSimd};
use thumbnet_runtime::Activation;

use crate::{
    bounds::{Bounded, Engine, Linear, Sums, outputs},
    domain::{Domain, Region},
    enumerate::{LANES, Numbers, Reduced, Whole},
    error::{Error, Result},
    float::FloatNetwork,
    goal::{ACTIVATION_ERROR, Goal, Plan, SOFTMAX_GAP},
    network::{Head, Network},
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

/// The inputs of a box in both rows.
struct Pair {
    domains: [Domain; 2],
    /// Of each input the other row's value, in terms of this one's: `slope * value`, and between which numbers
    /// added; none where they cannot be said.
    links: Vec<Option<(f64, [f64; 2])>>,
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

/// Whether an output, as the device computes it, is no less for a greater sum.
fn rises_with_sum(network: &Network, relation: Option<Relation>) -> bool {
    let Some(Relation::Monotone { output, .. }) = relation else {
        return false;
    };
    let most = network.last().greatest_sum[output];
    match network.head.activation {
        Activation::Linear | Activation::Relu => true,
        Activation::Sigmoid | Activation::Tanh if most < 1 << 21 => {
            // All that there are, by the device's own code.
            let scale = network.scales[output].abs();
            let mut values: Vec<f32> = (-most..=most).map(|sum| sum as f32 * scale).collect();
            network.head.activate(&mut values);
            values.is_sorted()
        }
        _ => false,
    }
}

impl Pair {
    /// None where a column has no two values.
    fn new(
        network: &Network,
        other: Option<&Other>,
        relation: Option<Relation>,
        ranges: &Box,
    ) -> Result<Option<Self>> {
        let own = |input, x| network.quantization.quantize(input, x);
        let mut domains = match other {
            Some(Other::Integers(other)) => Domain::pair(ranges, &|input, x| {
                Some([own(input, x)?, other.quantization.quantize(input, x)?])
            })?,
            Some(Other::Floats(other)) => Domain::pair(ranges, &|input, x| {
                let q = own(input, x)?;
                other.takes(input, x).then_some([q, 0])
            })?,
            None => {
                let domain = Domain::new(network, ranges)?;
                [domain.clone(), domain]
            }
        };
        if let Some(Relation::Monotone { column, .. }) = relation {
            let [one, next] = &mut domains;
            let (one, next) = (&mut one.inputs[column], &mut next.inputs[column]);
            if one.values.len() < 2 {
                return Ok(None);
            }
            // Integers may rise where raw values fall.
            let (lower, upper) = match one.witnesses.is_sorted() {
                true => (one, next),
                false => (next, one),
            };
            lower.values.pop();
            lower.witnesses.pop();
            upper.values.remove(0);
            upper.witnesses.remove(0);
        }
        let is_float = matches!(other, Some(Other::Floats(_)));
        let links = domains[0]
            .inputs
            .iter()
            .zip(&domains[1].inputs)
            .map(|(one, next)| {
                let second = |index: usize| match is_float {
                    true => next.ends[index].map(f64::from),
                    false => [f64::from(next.values[index]); 2],
                };
                let end = one.values.len() - 1;
                let middle = |index: usize| second(index)[0] / 2.0 + second(index)[1] / 2.0;
                let width = f64::from(one.values[end] - one.values[0]);
                let slope = (middle(end) - middle(0)) / width;
                let mut added = [f64::INFINITY, f64::NEG_INFINITY];
                for (index, &value) in one.values.iter().enumerate() {
                    let product = slope * f64::from(value);
                    for y in second(index) {
                        // More than the roundings.
                        let pad = 1e-14 * (product.abs() + y.abs());
                        added = [
                            added[0].min(y - product - pad),
                            added[1].max(y - product + pad),
                        ];
                    }
                }
                let is_finite = slope.is_finite() && added.iter().all(|x| x.is_finite());
                is_finite.then_some((slope, added))
            });
        Ok(Some(Self {
            links: links.collect(),
            domains,
        }))
    }

    /// The raw values of a part.
    fn raw(&self, region: &Region) -> Vec<[f32; 2]> {
        let ends = region
            .first
            .iter()
            .zip(&region.last)
            .zip(&self.domains[1].inputs);
        ends.map(|((&first, &last), input)| {
            let [a, b] = [input.ends[first], input.ends[last]];
            [a[0].min(b[0]), a[1].max(b[1])]
        })
        .collect()
    }

    /// The least values of sums of forms of both rows.
    fn lower(&self, rows: [(&Bounded, &[[f64; 2]]); 2], forms: usize) -> Joint {
        let inputs = self.links.len();
        let mut places = [vec![None; inputs], vec![None; inputs]];
        for ((bounded, _), places) in rows.iter().zip(&mut places) {
            for (place, &input) in bounded.inputs.iter().enumerate() {
                places[input] = Some(place);
            }
        }
        let [a, b] = rows.map(|(bounded, _)| &bounded.linear);
        let slope = |linear: &Linear, place: Option<usize>, form: usize| {
            place.map_or(0.0, |place| linear.slopes[place * linear.count + form])
        };
        let mut joint = Joint {
            lower: Vec::with_capacity(forms),
            slopes: vec![[0.0; 2]; inputs * forms],
        };
        for form in 0..forms {
            let mut sum = a.constants[form] + b.constants[form];
            let mut magnitude = a.constants[form].abs() + b.constants[form].abs();
            for (input, link) in self.links.iter().enumerate() {
                let slopes = [
                    slope(a, places[0][input], form),
                    slope(b, places[1][input], form),
                ];
                joint.slopes[form * inputs + input] = slopes;
                let [one, other] = [rows[0].1[input], rows[1].1[input]];
                let least = |slope: f64, ends: [f64; 2]| (slope * ends[0]).min(slope * ends[1]);
                let most = |ends: [f64; 2]| ends[0].abs().max(ends[1].abs());
                let mut low = 0.0;
                if slopes[0] != 0.0 {
                    low += least(slopes[0], one);
                    magnitude += slopes[0].abs() * most(one);
                }
                if slopes[1] != 0.0 {
                    low += least(slopes[1], other);
                    magnitude += slopes[1].abs() * most(other);
                }
                if let Some((link, added)) = *link
                    && slopes[0] != 0.0
                    && slopes[1] != 0.0
                {
                    let both = slopes[0] + slopes[1] * link;
                    let joined = least(both, one) + least(slopes[1], added);
                    if joined > low {
                        low = joined;
                    }
                    magnitude += (slopes[0].abs() + (slopes[1] * link).abs()) * most(one)
                        + slopes[1].abs() * most(added);
                }
                sum += low;
            }
            let error = a.errors[form] + b.errors[form];
            let rounding = magnitude * (8 * inputs + 64) as f64 * f64::EPSILON;
            let lower = sum - error - rounding;
            joint.lower.push(if lower.is_nan() {
                f64::NEG_INFINITY
            } else {
                lower
            });
        }
        joint
    }
}

/// Bounds of forms of two rows.
struct Joint {
    lower: Vec<f64>,
    /// Of each form and input the coefficients in both rows, `[forms, inputs]`.
    slopes: Vec<[f64; 2]>,
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

    fn decide(&self, part: &Part<[Sums; 2]>) -> Done<[Sums; 2]> {
        Arch::new().dispatch(Deciding(self, part))
    }
}

/// [`Asked::decide_with`] in the widest vectors of the machine.
struct Deciding<'a>(&'a Asked<'a>, &'a Part<[Sums; 2]>);

impl WithSimd for Deciding<'_> {
    type Output = Done<[Sums; 2]>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let part = self.1;
        match self.0.compare.relation {
            Some(Relation::Monotone {
                output,
                column,
                rises,
            }) => self.0.monotone(simd, part, output, column, rises),
            _ => self.0.differ(simd, part),
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
        let stages = rows.iter().flat_map(|bounded| &bounded.stages);
        let cost: usize = stages
            .map(|stage| stage.weights.len() + 8 * stage.live.len())
            .sum();
        region.count() * cost as f64 <= self.enumeration || region.count() <= 1.0
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

/// By how much the sums of the last layer may rise with a step of an input, where the sums of the hidden layers are
/// within these for both rows: all in integers.
fn risen(network: &Network, sums: &Sums, column: usize, steps: [i64; 2]) -> Vec<[i64; 2]> {
    let mut values = vec![[0; 2]; network.inputs()];
    values[column] = steps;
    for (index, layer) in network.layers.iter().enumerate() {
        let units = (0..layer.units).map(|unit| {
            let weights = &layer.weights[unit * layer.inputs..][..layer.inputs];
            let mut risen = [0; 2];
            for (&w, step) in weights.iter().zip(&values) {
                let ends = step.map(|step| step * i64::from(w));
                risen = [
                    risen[0] + ends[0].min(ends[1]),
                    risen[1] + ends[0].max(ends[1]),
                ];
            }
            let Some(sums) = sums.get(index).map(|sums| sums[unit]) else {
                return risen; // of the last layer
            };
            // Rounding moves a step by less than one; the clamp keeps its sign and makes it no longer.
            let multiplier = i64::from(layer.multipliers[unit]);
            let [low, high] = [
                (risen[0] * multiplier) >> layer.shift,
                -((-risen[1] * multiplier) >> layer.shift),
            ];
            let [least, most] = sums.map(|sum| layer.level(unit, sum.into()));
            let is_inside = -layer.limit < least && most < layer.limit;
            let [low, high] = match is_inside {
                true => [low, high],
                false => [low.min(0), high.max(0)],
            };
            let width = i64::from(most - least);
            let level = [low.max(-width), high.min(width)];
            if layer.table.is_empty() || level == [0, 0] {
                return level;
            }
            let [bottom, top] = outputs(layer, unit, sums).map(i64::from);
            let spread = top - bottom;
            let entries = (least..=most).map(|level| layer.looked_up(level));
            // Only short parts are looked at.
            let sorted = most - least <= 512;
            let is_rising = sorted && entries.clone().is_sorted();
            let is_falling = sorted && entries.rev().is_sorted();
            match (level[0] >= 0, level[1] <= 0, is_rising, is_falling) {
                (true, _, true, _) | (_, true, _, true) => [0, spread],
                (true, _, _, true) | (_, true, true, _) => [-spread, 0],
                _ => [-spread, spread],
            }
        });
        values = units.collect();
    }
    values
}
