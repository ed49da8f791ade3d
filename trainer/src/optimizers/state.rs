//! What an optimizer remembers: slots of every trainable variable, and the step counter.

use std::ops::Range;

use super::{Algorithm, OptimizerOptions, adafactor, muon};
use crate::Variable;

#[derive(Clone, Debug)]
pub(super) struct State {
    /// Steps so far.
    pub iterations: u64,
    /// The trainable variables that the slots are for.
    pub variables: Vec<Tracked>,
    /// Neighbouring trainable variables, as one.
    pub runs: Vec<Run>,
    /// The algorithm's slots, in the order of [`Algorithm::groups`].
    pub slots: Vec<Vec<f32>>,
    /// Moving averages of the weights, or empty.
    pub averages: Vec<f32>,
    /// Sums of gradients, or empty.
    pub accumulated: Vec<f32>,
    /// Adafactor's factors of each variable, or empty.
    pub factors: Vec<adafactor::Factors>,
    /// Nadam's product of momenta.
    pub momentum_product: f32,
    /// Muon's room for matrix products, or empty.
    pub scratch: muon::Scratch,
    /// Whether a variable is unfilled.
    pub unfilled: bool,
    /// Number of all variables that it was built for; 0 before that.
    built_for: usize,
}

/// A trainable variable.
#[derive(Clone, Debug)]
pub(super) struct Tracked {
    /// Where it is in the model's list.
    pub index: usize,
    pub path: String,
    pub name: String,
    pub shape: Vec<usize>,
    pub range: Range<usize>,
    /// Where its slots begin.
    pub start: usize,
    pub decays: bool,
    /// Whether Muon leaves it to Adam.
    pub by_adam: bool,
    /// Whether slots that begin as a copy of the weights have yet to be filled.
    pub unfilled: bool,
}

/// A range of the arena with its slots.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub values: Range<usize>,
    pub start: usize,
    pub decays: bool,
}

impl Tracked {
    pub fn slots(&self) -> Range<usize> {
        self.start..self.start + self.range.len()
    }
}

impl Run {
    pub fn slots(&self) -> Range<usize> {
        self.start..self.start + self.values.len()
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            iterations: 0,
            variables: Vec::new(),
            runs: Vec::new(),
            slots: Vec::new(),
            averages: Vec::new(),
            accumulated: Vec::new(),
            factors: Vec::new(),
            momentum_product: 1.0,
            scratch: muon::Scratch::default(),
            unfilled: false,
            built_for: 0,
        }
    }
}

impl State {
    /// Whether the slots are those of these variables.
    pub fn fits(&self, variables: &[Variable]) -> bool {
        let mut tracked = self.variables.iter();
        self.built_for == variables.len()
            && variables
                .iter()
                .enumerate()
                .filter(|(_, variable)| variable.trainable)
                .all(|(index, variable)| {
                    tracked
                        .next()
                        .is_some_and(|t| t.index == index && t.range == variable.range)
                })
            && tracked.next().is_none()
    }

    /// Makes slots for the trainable variables; those of variables tracked before are kept.
    pub fn build(
        &mut self,
        options: &OptimizerOptions,
        algorithm: &Algorithm,
        variables: &[Variable],
    ) {
        let old = std::mem::take(self);
        self.iterations = old.iterations;
        self.momentum_product = old.momentum_product;
        self.built_for = variables.len();
        let mut len = 0;
        for (index, variable) in variables.iter().enumerate() {
            if !variable.trainable {
                continue;
            }
            let excluded = &options.exclude_from_weight_decay;
            let decays = !excluded
                .iter()
                .any(|part| variable.name.contains(part.as_str()));
            self.track(index, variable, len, decays);
            len += variable.range.len();
        }
        let starts = algorithm.groups().into_iter().flatten();
        self.slots = starts.map(|slot| vec![slot.start; len]).collect();
        if options.use_ema {
            self.averages = vec![0.0; len];
        }
        if options.gradient_accumulation_steps.is_some() {
            self.accumulated = vec![0.0; len];
        }
        if matches!(algorithm, Algorithm::Adafactor { .. }) {
            let shapes = self.variables.iter().map(|variable| &variable.shape);
            self.factors = shapes.map(|s| adafactor::Factors::new(s)).collect();
        }
        if let Algorithm::Muon(muon) = algorithm {
            for variable in &mut self.variables {
                variable.by_adam = muon::uses_adam(muon, &variable.shape, &variable.path);
                self.scratch.reserve(&variable.shape);
            }
        }
        self.unfilled = matches!(algorithm, Algorithm::ScheduleFreeAdamW { .. });
        self.keep(&old);
    }

    /// Before the first step: the slots that begin as the weights.
    pub fn start(&mut self, algorithm: &Algorithm, values: &[f32]) {
        if !std::mem::take(&mut self.unfilled) {
            return;
        }
        if let (Algorithm::ScheduleFreeAdamW { .. }, [z, ..]) =
            (algorithm, self.slots.as_mut_slice())
        {
            for variable in self.variables.iter().filter(|variable| variable.unfilled) {
                z[variable.slots()].copy_from_slice(&values[variable.range.clone()]);
            }
        }
        for variable in &mut self.variables {
            variable.unfilled = false;
        }
    }

    fn track(&mut self, index: usize, variable: &Variable, start: usize, decays: bool) {
        let range = variable.range.clone();
        self.variables.push(Tracked {
            index,
            path: variable.path.clone(),
            name: variable.name.clone(),
            shape: variable.shape.clone(),
            range: range.clone(),
            start,
            decays,
            by_adam: false,
            unfilled: true,
        });
        match self.runs.last_mut() {
            Some(run) if run.values.end == range.start && run.decays == decays => {
                run.values.end = range.end;
            }
            _ => self.runs.push(Run {
                values: range,
                start,
                decays,
            }),
        }
    }

    fn keep(&mut self, old: &Self) {
        for (index, new) in self.variables.iter_mut().enumerate() {
            let same = |old: &&Tracked| old.path == new.path && old.shape == new.shape;
            let Some(position) = old.variables.iter().position(|v| same(&v)) else {
                continue;
            };
            let was = &old.variables[position];
            let (slots, was_slots) = (new.slots(), was.slots());
            let unfilled = old.unfilled && was.unfilled;
            let arenas = self.slots.iter_mut().zip(&old.slots);
            let arenas = arenas
                .chain([(&mut self.averages, &old.averages)])
                .chain([(&mut self.accumulated, &old.accumulated)]);
            for (to, from) in arenas {
                if !to.is_empty() && !from.is_empty() {
                    to[slots.clone()].copy_from_slice(&from[was_slots.clone()]);
                }
            }
            if let (Some(to), Some(from)) = (self.factors.get_mut(index), old.factors.get(position))
            {
                to.clone_from(from);
            }
            new.unfilled = unfilled;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(path: &str, range: Range<usize>, trainable: bool) -> Variable {
        Variable {
            path: path.into(),
            name: path.into(),
            shape: vec![range.len()],
            range,
            trainable,
            regularizer: None,
            constraint: None,
        }
    }

    #[test]
    fn neighbours_become_one_run_and_frozen_variables_have_no_slots() {
        let variables = [
            variable("a", 0..4, true),
            variable("b", 4..6, true),
            variable("c", 6..9, false),
            variable("d", 9..10, true),
        ];
        let options = OptimizerOptions::for_algorithm(&Algorithm::ADAM);
        let mut state = State::default();
        assert!(!state.fits(&variables));
        state.build(&options, &Algorithm::ADAM, &variables);
        assert!(state.fits(&variables));
        let runs: Vec<_> = state
            .runs
            .iter()
            .map(|r| (r.values.clone(), r.start))
            .collect();
        assert_eq!(runs, [(0..6, 0), (9..10, 6)]);
        assert_eq!(state.slots.iter().map(Vec::len).collect::<Vec<_>>(), [7, 7]);
    }

    #[test]
    fn slots_survive_freezing_another_variable() {
        let mut variables = [variable("a", 0..2, true), variable("b", 2..4, true)];
        let options = OptimizerOptions::for_algorithm(&Algorithm::ADAM);
        let mut state = State::default();
        state.build(&options, &Algorithm::ADAM, &variables);
        state.slots[1] = vec![1.0, 2.0, 3.0, 4.0];
        variables[0].trainable = false;
        assert!(!state.fits(&variables));
        state.build(&options, &Algorithm::ADAM, &variables);
        assert_eq!(state.slots[1], [3.0, 4.0]);
    }
}
