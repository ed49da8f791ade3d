//! What outputs are to be, and which linear bounds suffice for it.

use thumbnet_runtime::Activation;

use crate::{
    network::{Head, Network},
    relation::Relation,
};

/// What has to hold of the outputs of one row, as the device computes them.
#[derive(Clone, Debug, PartialEq)]
pub enum Goal {
    /// Every largest output is one of these: each other one is less than the greatest of them.
    Largest(Vec<bool>),
    /// Every smallest output is one of these.
    Smallest(Vec<bool>),
    /// The class that `Model::classify` decides for is one of these.
    Class(Vec<bool>),
    /// An output lies between two numbers, either of which may be infinite.
    Output {
        /// Its index.
        index: usize,
        /// The least that it may be.
        at_least: f64,
        /// The most that it may be.
        at_most: f64,
    },
    /// An output is greater than every other one by at least so much.
    Margin {
        /// Its index.
        index: usize,
        /// By how much.
        by: f64,
    },
    /// Something of the outputs of two rows; those of one behind those of the other.
    Relation(Relation),
    /// Nothing: the boxes are to look for a difference in.
    Nothing,
}

fn greatest(outputs: &[f32], set: &[bool], member: bool) -> f64 {
    let members = outputs.iter().zip(set).filter(|(_, set)| **set == member);
    members.fold(f64::NEG_INFINITY, |most, (&y, _)| most.max(y.into()))
}

fn least(outputs: &[f32], set: &[bool], member: bool) -> f64 {
    let members = outputs.iter().zip(set).filter(|(_, set)| **set == member);
    members.fold(f64::INFINITY, |least, (&y, _)| least.min(y.into()))
}

/// The class that the device decides for.
pub(crate) fn class(outputs: &[f32], threshold: f32) -> usize {
    if let [output] = outputs {
        return usize::from(*output >= threshold);
    }
    let mut found = 0;
    for (index, y) in outputs.iter().enumerate() {
        if *y > outputs[found] {
            found = index;
        }
    }
    found
}

impl Goal {
    /// Whether it holds.
    pub fn holds(&self, network: &Network, outputs: &[f32]) -> bool {
        match self {
            Self::Largest(set) => greatest(outputs, set, true) > greatest(outputs, set, false),
            Self::Smallest(set) => least(outputs, set, true) < least(outputs, set, false),
            Self::Class(set) => set[class(outputs, network.head.threshold)],
            Self::Output {
                index,
                at_least,
                at_most,
            } => (*at_least..=*at_most).contains(&outputs[*index].into()),
            Self::Margin { index, by } => {
                let set: Vec<bool> = (0..outputs.len()).map(|output| output == *index).collect();
                // The difference of two f32 is exact in f64 unless one is 2^29 times the other.
                f64::from(outputs[*index]) - greatest(outputs, &set, false) >= *by
            }
            Self::Relation(relation) => {
                let (one, other) = outputs.split_at(outputs.len() / 2);
                relation.holds([&network.head; 2], [one, other])
            }
            Self::Nothing => true,
        }
    }

    /// How far it is from being broken, to look for what breaks it where this is least.
    pub(crate) fn distance(&self, network: &Network, outputs: &[f32]) -> f64 {
        match self {
            Self::Largest(set) => greatest(outputs, set, true) - greatest(outputs, set, false),
            Self::Smallest(set) => least(outputs, set, false) - least(outputs, set, true),
            Self::Class(set) if outputs.len() == 1 => {
                let above = f64::from(outputs[0] - network.head.threshold);
                if set[1] { above } else { -above }
            }
            Self::Class(set) => greatest(outputs, set, true) - greatest(outputs, set, false),
            Self::Output {
                index,
                at_least,
                at_most,
            } => {
                let y = f64::from(outputs[*index]);
                (y - at_least).min(at_most - y)
            }
            Self::Margin { index, .. } => {
                let set: Vec<bool> = (0..outputs.len()).map(|output| output == *index).collect();
                f64::from(outputs[*index]) - greatest(outputs, &set, false)
            }
            Self::Relation(relation) => {
                let (one, other) = outputs.split_at(outputs.len() / 2);
                relation.distance([&network.head; 2], [one, other])
            }
            Self::Nothing => 0.0,
        }
    }
}

/// A sum of outputs before the activation, each the real number `sum * scale`, that has to be above a number.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Form {
    /// One for each output.
    pub coefficients: Vec<f64>,
    pub above: f64,
}

/// What suffices for a goal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub forms: Vec<Form>,
    rule: Rule,
}

#[derive(Clone, Debug, PartialEq)]
enum Rule {
    /// Nothing: the outputs have to be computed.
    Never,
    /// Of each list one form holds.
    Clauses(Vec<Vec<usize>>),
    /// The forms are a logit less each other one; the softmax is at least this.
    SoftmaxAtLeast(f64),
    /// The forms are each other logit less the one; the softmax is at most this.
    SoftmaxAtMost(f64),
}

/// How far the device's activations may be from the exact functions: ten times what the runtime states.
pub(crate) const ACTIVATION_ERROR: f64 = 1e-5;
/// Logits that are further apart than this have different softmax values, if one is the greatest: the
/// exponential of the difference is below 1 by five times its own error and the rounding of the products.
pub(crate) const SOFTMAX_GAP: f64 = 1e-5;

impl Plan {
    pub fn new(head: &Head, goal: &Goal) -> Self {
        let outputs = head.outputs();
        let activation = head.activation;
        let form = |plus: usize, minus: Option<usize>, above: f64| {
            let mut coefficients = vec![0.0; outputs];
            coefficients[plus] += 1.0;
            let mut above = above + head.roundings[plus];
            if let Some(minus) = minus {
                coefficients[minus] -= 1.0;
                above += head.roundings[minus];
            }
            Form {
                coefficients,
                above,
            }
        };
        let never = Self {
            forms: Vec::new(),
            rule: Rule::Never,
        };
        let linear = activation == Activation::Linear;
        let softmax = activation == Activation::Softmax;
        // One of the first is above each of the others, by more than the gap.
        let beats = |of: &dyn Fn(usize, usize) -> Option<[usize; 2]>, gap: f64| {
            let mut forms = Vec::new();
            let mut clauses = Vec::new();
            for other in 0..outputs {
                let pairs: Vec<[usize; 2]> = (0..outputs)
                    .filter_map(|member| of(member, other))
                    .collect();
                if !pairs.is_empty() {
                    clauses.push((forms.len()..forms.len() + pairs.len()).collect());
                    forms.extend(
                        pairs
                            .iter()
                            .map(|&[plus, minus]| form(plus, Some(minus), gap)),
                    );
                }
            }
            Self {
                forms,
                rule: Rule::Clauses(clauses),
            }
        };
        match goal {
            Goal::Largest(set) | Goal::Class(set) if linear || softmax => {
                if outputs == 1 {
                    return match goal {
                        Goal::Class(set) => Self::threshold(head, set, form),
                        _ => never,
                    };
                }
                let gap = if softmax { SOFTMAX_GAP } else { 0.0 };
                beats(
                    &|member, other| (set[member] && !set[other]).then_some([member, other]),
                    gap,
                )
            }
            Goal::Class(set) if outputs == 1 => Self::threshold(head, set, form),
            Goal::Smallest(set) if linear => beats(
                &|member, other| (set[member] && !set[other]).then_some([other, member]),
                0.0,
            ),
            Goal::Margin { index, by } if linear => beats(
                &|member, other| (member == *index && other != member).then_some([member, other]),
                *by,
            ),
            Goal::Output {
                index,
                at_least,
                at_most,
            } if softmax => {
                let others = (0..outputs).filter(|other| other != index);
                match (at_least.is_finite(), at_most.is_finite()) {
                    (true, false) => Self {
                        forms: others.map(|other| form(*index, Some(other), 0.0)).collect(),
                        rule: Rule::SoftmaxAtLeast(*at_least),
                    },
                    (false, true) => Self {
                        forms: others.map(|other| form(other, Some(*index), 0.0)).collect(),
                        rule: Rule::SoftmaxAtMost(*at_most),
                    },
                    _ => never,
                }
            }
            Goal::Output {
                index,
                at_least,
                at_most,
            } => Self::between(head, *index, *at_least, *at_most, form),
            _ => never,
        }
    }

    /// The class of a single output.
    fn threshold(
        head: &Head,
        set: &[bool],
        form: impl Fn(usize, Option<usize>, f64) -> Form,
    ) -> Self {
        let threshold = head.threshold;
        match set {
            [true, true] => Self {
                forms: Vec::new(),
                rule: Rule::Clauses(Vec::new()),
            },
            [false, true] => Self::between(head, 0, threshold.into(), f64::INFINITY, form),
            // Below the threshold: at most the number before it.
            [true, false] => Self::between(
                head,
                0,
                f64::NEG_INFINITY,
                threshold.next_down().into(),
                form,
            ),
            _ => Self {
                forms: Vec::new(),
                rule: Rule::Never,
            },
        }
    }

    /// An output between two numbers, for activations that rise with their argument.
    fn between(
        head: &Head,
        index: usize,
        at_least: f64,
        at_most: f64,
        form: impl Fn(usize, Option<usize>, f64) -> Form,
    ) -> Self {
        let never = Self {
            forms: Vec::new(),
            rule: Rule::Never,
        };
        let sound = match head.activation {
            Activation::Linear | Activation::Relu => 0.0,
            Activation::Sigmoid | Activation::Tanh => ACTIVATION_ERROR,
            _ => return never,
        };
        // The device's function, which for Sigmoid and Tanh is nearly one that rises.
        let at = |x: f64| {
            let mut y = [x as f32];
            head.activate(&mut y);
            f64::from(y[0])
        };
        let size = head.sizes[index];
        let mut forms = Vec::new();
        let mut clauses = Vec::new();
        let sign = |below: bool| if below { -1.0 } else { 1.0 };
        for (wanted, below) in [(at_least, false), (at_most, true)] {
            let sign = sign(below);
            if wanted == -sign * f64::INFINITY {
                continue;
            }
            // A number whose function suffices, with the error to spare: the least one that bisection finds, but
            // any such number is sound.
            let good = |x: f64| sign * (at(sign * x) - wanted) >= sound;
            let beyond = f64::from((size as f32).next_up());
            let (mut low, mut high) = (-beyond, beyond);
            if good(low) {
                continue; // for every sum
            }
            clauses.push(vec![forms.len()]);
            let above = if good(high) {
                // All are numbers of f32, for which `at` rounds nothing.
                loop {
                    let middle = f64::from(f64::midpoint(low, high) as f32);
                    if middle <= low || middle >= high {
                        break high;
                    }
                    if good(middle) {
                        high = middle;
                    } else {
                        low = middle;
                    }
                }
            } else {
                f64::INFINITY
            };
            let mut form = form(index, None, above);
            form.coefficients[index] = sign;
            forms.push(form);
        }
        Self {
            forms,
            rule: Rule::Clauses(clauses),
        }
    }

    /// The one form that suffices, or none where nothing is needed; `None` where no form does.
    pub fn single(&self) -> Option<&[Form]> {
        match &self.rule {
            Rule::Clauses(clauses) if clauses.len() <= 1 => Some(&self.forms),
            _ => None,
        }
    }

    /// Whether forms that are at least so much suffice.
    pub fn suffices(&self, lower: &[f64]) -> bool {
        let holds = |&form: &usize| lower[form] > self.forms[form].above;
        match &self.rule {
            Rule::Never => false,
            Rule::Clauses(clauses) => clauses.iter().all(|clause| clause.iter().any(holds)),
            // 1 / sum(exp(other - one)), where each difference is at most, or at least, what the forms say.
            Rule::SoftmaxAtLeast(p) => {
                let sum: f64 = self.slack(lower).map(|slack| (-slack).exp()).sum();
                1.0 / (1.0 + sum) >= p + ACTIVATION_ERROR
            }
            Rule::SoftmaxAtMost(p) => {
                let sum: f64 = self.slack(lower).map(f64::exp).sum();
                1.0 / (1.0 + sum) <= p - ACTIVATION_ERROR
            }
        }
    }

    fn slack(&self, lower: &[f64]) -> impl Iterator<Item = f64> {
        lower
            .iter()
            .zip(&self.forms)
            .map(|(lower, form)| lower - form.above)
    }

    /// The form to be tightened: of the first list of which none holds the one that is nearest to it.
    pub fn worst(&self, lower: &[f64]) -> Option<usize> {
        let slack = |form: &usize| lower[*form] - self.forms[*form].above;
        match &self.rule {
            Rule::Never => None,
            Rule::Clauses(clauses) => {
                let best = clauses.iter().filter_map(|clause| {
                    clause
                        .iter()
                        .copied()
                        .max_by(|a, b| slack(a).total_cmp(&slack(b)))
                });
                best.min_by(|a, b| slack(a).total_cmp(&slack(b)))
            }
            Rule::SoftmaxAtLeast(_) | Rule::SoftmaxAtMost(_) => {
                (0..self.forms.len()).min_by(|a, b| slack(a).total_cmp(&slack(b)))
            }
        }
    }
}
