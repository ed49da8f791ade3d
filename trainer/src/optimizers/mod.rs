//! Optimizers: from gradients to weights, in the order of operations of Keras 3.
//!
//! Weights lie in one flat arena and gradients in a parallel one; a [`Variable`] is a range of
//! them. Slots (momentum, velocity, ..) lie in arenas of their own, without gaps, so that
//! neighbouring variables are updated in one run.

mod accumulators;
mod adafactor;
mod adam;
mod algorithm;
mod assign;
mod clip;
mod descent;
mod lamb;
mod muon;
pub mod schedules;
mod serialized;
mod state;
mod variables;

use std::ops::Range;

use crate::{Error, Result, Variable, simd, threads};
pub use algorithm::{Algorithm, Muon};
pub use schedules::Schedule;
use state::State;

/// An optimizer with its state.
#[derive(Clone, Debug)]
pub struct Optimizer {
    /// What all optimizers have.
    pub options: OptimizerOptions,
    /// The update rule.
    pub algorithm: Algorithm,
    state: State,
}

/// What all optimizers have. `..OptimizerOptions::for_algorithm(&algorithm)` gives Keras' defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerOptions {
    /// Defaults to 0.001, for SGD to 0.01.
    pub learning_rate: LearningRate,
    /// Takes `weight_decay · learning_rate · w` from each weight before the update. Defaults to
    /// none, for AdamW and Muon to 0.004.
    pub weight_decay: Option<f64>,
    /// Largest norm of the gradient of each variable. Defaults to none.
    pub clipnorm: Option<f64>,
    /// Largest absolute value of each gradient. Defaults to none.
    pub clipvalue: Option<f64>,
    /// Largest norm of all gradients together. Defaults to none.
    pub global_clipnorm: Option<f64>,
    /// Keeps a moving average of the weights, which replaces them at the end. Defaults to false.
    pub use_ema: bool,
    /// Share of the old average. Defaults to 0.99.
    pub ema_momentum: f64,
    /// Replaces the weights by their average every so many updates. Defaults to none.
    pub ema_overwrite_frequency: Option<u64>,
    /// Divides the gradients, of a loss that the caller multiplied by it. Defaults to none.
    pub loss_scale_factor: Option<f64>,
    /// Updates only every so many steps, by the mean gradient. Defaults to none.
    pub gradient_accumulation_steps: Option<u64>,
    /// Prefix of the variables' names. Defaults to Keras' name of the class.
    pub name: String,
    /// Variables whose name contains one of these do not decay (such as `bias`). Not part of Keras'
    /// serialized form. Defaults to none.
    pub exclude_from_weight_decay: Vec<String>,
}

/// A learning rate or a schedule of them.
#[derive(Clone, Debug, PartialEq)]
pub enum LearningRate {
    /// The same at every step.
    Constant(f32),
    /// One for each step.
    Schedule(Schedule),
}

impl OptimizerOptions {
    /// Keras' defaults.
    pub fn for_algorithm(algorithm: &Algorithm) -> Self {
        Self {
            learning_rate: LearningRate::Constant(algorithm.default_learning_rate()),
            weight_decay: algorithm.default_weight_decay(),
            clipnorm: None,
            clipvalue: None,
            global_clipnorm: None,
            use_ema: false,
            ema_momentum: 0.99,
            ema_overwrite_frequency: None,
            loss_scale_factor: None,
            gradient_accumulation_steps: None,
            name: algorithm.default_name().to_owned(),
            exclude_from_weight_decay: Vec::new(),
        }
    }
}

/// What an update rule needs to know of the step.
#[derive(Clone, Copy)]
struct Step {
    learning_rate: f32,
    /// Updates so far, this one included.
    number: f32,
}

/// Elements that go through decay and update together, while they are in the cache, and on one
/// thread.
const BLOCK: usize = 8192;
/// Fewer elements are updated before another thread has begun.
const ONE_THREAD: usize = 4 * BLOCK;

impl Optimizer {
    /// An optimizer with Keras' defaults for `algorithm`.
    pub fn new(algorithm: Algorithm) -> Self {
        let options = OptimizerOptions::for_algorithm(&algorithm);
        Self::with_options(algorithm, options)
    }

    /// An optimizer with options; see [`Optimizer::check`].
    pub fn with_options(algorithm: Algorithm, options: OptimizerOptions) -> Self {
        Self {
            options,
            algorithm,
            state: State::default(),
        }
    }

    /// Stochastic gradient descent.
    pub fn sgd(learning_rate: f32) -> Self {
        Self::new(Algorithm::SGD).with_learning_rate(learning_rate)
    }

    /// Adam.
    pub fn adam(learning_rate: f32) -> Self {
        Self::new(Algorithm::ADAM).with_learning_rate(learning_rate)
    }

    fn with_learning_rate(mut self, learning_rate: f32) -> Self {
        self.options.learning_rate = LearningRate::Constant(learning_rate);
        self
    }

    /// Steps so far, in Keras `iterations`; with gradient accumulation, all steps.
    pub fn iterations(&self) -> u64 {
        self.state.iterations
    }

    /// The learning rate of the next step.
    pub fn learning_rate(&self) -> f32 {
        match &self.options.learning_rate {
            LearningRate::Constant(rate) => *rate,
            LearningRate::Schedule(schedule) => schedule.at(self.state.iterations),
        }
    }

    /// Sets the learning rate from the next step on.
    ///
    /// # Errors
    ///
    /// If it follows a schedule.
    pub fn set_learning_rate(&mut self, learning_rate: f32) -> Result<()> {
        match &mut self.options.learning_rate {
            LearningRate::Constant(rate) => {
                *rate = learning_rate;
                Ok(())
            }
            LearningRate::Schedule(_) => Err(Error::value(
                "the learning rate follows a schedule, which cannot be set; compile with a number to set it later",
            )),
        }
    }

    /// What the caller multiplies the loss (or its gradient) by before [`Optimizer::apply`], which
    /// divides by it. 1 unless `loss_scale_factor` is set.
    pub fn loss_scale(&self) -> f32 {
        self.options.loss_scale_factor.unwrap_or(1.0) as f32
    }

    /// Whether there are slots for variables.
    pub fn is_built(&self) -> bool {
        !self.state.runs.is_empty()
    }

    /// Allocates the slots of the trainable variables. Slots that are there already are kept for
    /// the variables that still train.
    pub fn build(&mut self, variables: &[Variable]) {
        if !self.state.fits(variables) {
            self.state.build(&self.options, &self.algorithm, variables);
        }
    }

    /// One step: unscales, accumulates, clips, decays, updates, averages, constrains.
    ///
    /// # Shapes
    ///
    /// * `values`, `grads` - the arenas that `variables` are ranges of; `grads` is overwritten
    ///
    /// Allocates nothing once built for these variables.
    pub fn apply(&mut self, variables: &[Variable], values: &mut [f32], grads: &mut [f32]) {
        self.apply_but(&[], variables, values, grads);
    }

    /// [`Optimizer::apply`] that leaves the weights at `untouched` alone, which no gradient reaches:
    /// their gradients are 0, but they do not decay, either.
    pub(crate) fn apply_but(
        &mut self,
        untouched: &[Range<usize>],
        variables: &[Variable],
        values: &mut [f32],
        grads: &mut [f32],
    ) {
        self.build(variables);
        self.state.start(&self.algorithm, values);
        if let Some(scale) = self.options.loss_scale_factor {
            let scale = scale as f32;
            for run in &self.state.runs {
                grads[run.values.clone()]
                    .iter_mut()
                    .for_each(|g| *g /= scale);
            }
        }
        let updates = self.accumulate(grads);
        if updates {
            clip::clip(&self.options, &self.state, grads);
            let kept = untouched.iter().map(|range| values[range.clone()].to_vec());
            let kept: Vec<_> = kept.collect();
            self.update(values, grads);
            for (range, kept) in untouched.iter().zip(kept) {
                values[range.clone()].copy_from_slice(&kept);
            }
        }
        if self.options.use_ema {
            self.average(values);
        }
        let touched = |variable: &&Variable| !untouched.contains(&variable.range);
        let trained = variables.iter().filter(|variable| variable.trainable);
        for variable in trained.filter(touched) {
            if let Some(constraint) = &variable.constraint {
                constraint.apply(&mut values[variable.range.clone()], &variable.shape);
            }
        }
        self.state.iterations += 1;
    }

    /// At the end of training: with `use_ema`, replaces the weights by their average.
    pub fn finalize(&mut self, variables: &[Variable], values: &mut [f32]) {
        if self.options.use_ema && self.state.fits(variables) {
            self.overwrite(values);
        }
    }

    /// Updates so far.
    fn updates(&self) -> u64 {
        let steps = self.options.gradient_accumulation_steps;
        self.state.iterations / steps.unwrap_or(1).max(1)
    }

    /// Whether this step updates; then `grads` are the mean ones.
    fn accumulate(&mut self, grads: &mut [f32]) -> bool {
        let Some(steps) = self.options.gradient_accumulation_steps.filter(|&s| s > 0) else {
            return true;
        };
        let updates = (self.state.iterations + 1).is_multiple_of(steps);
        let accumulated = &mut self.state.accumulated;
        for run in &self.state.runs {
            let grads = &mut grads[run.values.clone()];
            let accumulated = &mut accumulated[run.slots()];
            if updates {
                let steps = steps as f32; // small whole number
                for (g, a) in grads.iter_mut().zip(accumulated) {
                    *g = (*g + *a) / steps;
                    *a = 0.0;
                }
            } else {
                for (g, a) in grads.iter().zip(accumulated) {
                    *a += g;
                }
            }
        }
        updates
    }

    fn update(&mut self, values: &mut [f32], grads: &mut [f32]) {
        let step = Step {
            learning_rate: self.learning_rate(),
            number: (self.updates() + 1) as f32, // as Keras casts its counter
        };
        let decay = self.options.weight_decay.map(|decay| decay as f32);
        match self.algorithm.sees_variables() {
            true => self.update_by_variable(step, decay, values, grads),
            false => self.update_by_run(step, decay, values, grads),
        }
    }

    /// The rules that treat every element alike.
    fn update_by_run(
        &mut self,
        step: Step,
        weight_decay: Option<f32>,
        values: &mut [f32],
        grads: &[f32],
    ) {
        let rule = Rule::new(&self.algorithm, step, &mut self.state.momentum_product);
        let State { runs, slots, .. } = &mut self.state;
        for run in runs {
            let weight_decay = weight_decay.filter(|_| run.decays);
            let grads = &grads[run.values.clone()];
            let count = slots.len();
            let mut slots = slots.iter_mut().map(|slot| &mut slot[run.slots()]);
            let mut slot = || slots.next().unwrap_or_default();
            let arrays = [&mut values[run.values.clone()], slot(), slot(), slot()];
            let _limit = threads::Limit::new((grads.len() < ONE_THREAD).then_some(1));
            threads::chunks(arrays, BLOCK, |start, [w, mut slots @ ..]| {
                let g = &grads[start..start + w.len()];
                if let Some(weight_decay) = weight_decay {
                    decay(w, weight_decay, step.learning_rate);
                }
                simd::widest(
                    #[inline(always)]
                    || rule.apply(w, g, &mut slots[..count]),
                );
            });
        }
    }

    /// The rules that need a whole variable at once.
    fn update_by_variable(
        &mut self,
        step: Step,
        weight_decay: Option<f32>,
        values: &mut [f32],
        grads: &mut [f32],
    ) {
        let state = &mut self.state;
        for (index, variable) in state.variables.iter().enumerate() {
            let w = &mut values[variable.range.clone()];
            let g = &mut grads[variable.range.clone()];
            let weight_decay = match &self.algorithm {
                Algorithm::Muon(muon) if variable.by_adam => {
                    muon.adam_weight_decay.map(|decay| decay as f32)
                }
                _ => weight_decay,
            };
            if let Some(weight_decay) = weight_decay.filter(|_| variable.decays) {
                decay(w, weight_decay, step.learning_rate);
            }
            let slots = variable.slots();
            if let Algorithm::Muon(muon) = &self.algorithm {
                let [m, v, ..] = state.slots.as_mut_slice() else {
                    missing_slots();
                };
                let (m, v) = (&mut m[slots.clone()], &mut v[slots]);
                if variable.by_adam {
                    let step = Step {
                        learning_rate: step.learning_rate * muon.adam_lr_ratio as f32,
                        ..step
                    };
                    let Muon {
                        adam_beta_1,
                        adam_beta_2,
                        epsilon,
                        ..
                    } = *muon;
                    adam::Adam::new(adam_beta_1, adam_beta_2, epsilon, step).apply(w, g, m, v);
                } else if let &[rows, columns] = variable.shape.as_slice() {
                    let rule = muon::Rule::new(muon);
                    rule.update(step, w, g, m, [rows, columns], &mut state.scratch);
                }
                continue;
            }
            match &self.algorithm {
                Algorithm::Lamb {
                    beta_1,
                    beta_2,
                    epsilon,
                } => {
                    let [m, v, ..] = state.slots.as_mut_slice() else {
                        missing_slots();
                    };
                    let moments = adam::Moments::new(*beta_1, *beta_2, *epsilon, step);
                    lamb::update(&moments, step, w, g, &mut m[slots.clone()], &mut v[slots]);
                }
                Algorithm::Adafactor {
                    beta_2_decay,
                    epsilon_1,
                    epsilon_2,
                    clip_threshold,
                    ..
                } => {
                    let rule = adafactor::Rule {
                        beta_2_decay: *beta_2_decay as f32,
                        epsilon_1: *epsilon_1 as f32,
                        epsilon_2: *epsilon_2 as f32,
                        clip_threshold: *clip_threshold as f32,
                    };
                    let [v, ..] = state.slots.as_mut_slice() else {
                        missing_slots();
                    };
                    rule.update(step, w, g, &mut v[slots], &mut state.factors[index]);
                }
                // Those that `update_by_run` takes, and Muon above.
                Algorithm::Muon(_)
                | Algorithm::Sgd { .. }
                | Algorithm::Adam { .. }
                | Algorithm::AdamW { .. }
                | Algorithm::RMSprop { .. }
                | Algorithm::Adagrad { .. }
                | Algorithm::Adadelta { .. }
                | Algorithm::Adamax { .. }
                | Algorithm::Nadam { .. }
                | Algorithm::Ftrl { .. }
                | Algorithm::Lion { .. }
                | Algorithm::ScheduleFreeAdamW { .. } => {}
            }
        }
    }

    /// Moves the averages towards the weights, and every so often the weights to the averages.
    fn average(&mut self, values: &mut [f32]) {
        let updates = self.updates();
        // Keras: the first update sets the average to the weights.
        let momentum = if updates == 0 {
            0.0
        } else {
            self.options.ema_momentum as f32
        };
        for run in &self.state.runs {
            let averages = &mut self.state.averages[run.slots()];
            for (a, &w) in averages.iter_mut().zip(&values[run.values.clone()]) {
                *a = momentum * *a + (1.0 - momentum) * w;
            }
        }
        let frequency = self.options.ema_overwrite_frequency;
        if frequency.is_some_and(|f| f > 0 && (updates + 1).is_multiple_of(f)) {
            self.overwrite(values);
        }
    }

    fn overwrite(&self, values: &mut [f32]) {
        for run in &self.state.runs {
            values[run.values.clone()].copy_from_slice(&self.state.averages[run.slots()]);
        }
    }
}

/// 0 in place of a subnormal number. Slots that decay towards 0, of units that died or inputs that
/// are always 0, would otherwise stay subnormal, and slow every later step down many times.
/// TensorFlow's threads flush them as well.
#[inline(always)]
fn flushed(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0.0 } else { x }
}

fn decay(w: &mut [f32], weight_decay: f32, learning_rate: f32) {
    for w in w {
        *w -= *w * weight_decay * learning_rate;
    }
}

/// An elementwise update rule with the constants of one step.
enum Rule {
    Sgd(descent::Sgd),
    Lion(descent::Lion),
    Ftrl(descent::Ftrl),
    Adam(adam::Adam),
    Adamax(adam::Adamax),
    Nadam(adam::Nadam),
    ScheduleFree(adam::ScheduleFree),
    RMSprop(accumulators::RMSprop),
    Adagrad(accumulators::Adagrad),
    Adadelta(accumulators::Adadelta),
    None,
}

impl Rule {
    fn new(algorithm: &Algorithm, step: Step, momentum_product: &mut f32) -> Self {
        match *algorithm {
            Algorithm::Sgd { momentum, nesterov } => {
                Self::Sgd(descent::Sgd::new(momentum, nesterov, step))
            }
            Algorithm::Lion { beta_1, beta_2 } => {
                Self::Lion(descent::Lion::new(beta_1, beta_2, step))
            }
            Algorithm::Ftrl {
                learning_rate_power,
                l1_regularization_strength,
                l2_regularization_strength,
                l2_shrinkage_regularization_strength,
                beta,
                ..
            } => Self::Ftrl(descent::Ftrl::new(
                learning_rate_power,
                l1_regularization_strength,
                l2_regularization_strength,
                l2_shrinkage_regularization_strength,
                beta,
                step,
            )),
            Algorithm::Adam {
                beta_1,
                beta_2,
                epsilon,
                ..
            }
            | Algorithm::AdamW {
                beta_1,
                beta_2,
                epsilon,
                ..
            } => Self::Adam(adam::Adam::new(beta_1, beta_2, epsilon, step)),
            Algorithm::ScheduleFreeAdamW {
                beta_1,
                beta_2,
                epsilon,
                warmup_steps,
            } => Self::ScheduleFree(adam::ScheduleFree::new(
                beta_1,
                beta_2,
                epsilon,
                warmup_steps,
                step,
            )),
            Algorithm::Adamax {
                beta_1,
                beta_2,
                epsilon,
            } => Self::Adamax(adam::Adamax::new(beta_1, beta_2, epsilon, step)),
            Algorithm::Nadam {
                beta_1,
                beta_2,
                epsilon,
            } => {
                let nadam = adam::Nadam::new(beta_1, beta_2, epsilon, step, momentum_product);
                Self::Nadam(nadam)
            }
            Algorithm::RMSprop {
                rho,
                momentum,
                epsilon,
                centered,
            } => Self::RMSprop(accumulators::RMSprop::new(
                rho, momentum, epsilon, centered, step,
            )),
            Algorithm::Adagrad { epsilon, .. } => {
                Self::Adagrad(accumulators::Adagrad::new(epsilon, step))
            }
            Algorithm::Adadelta { rho, epsilon } => {
                Self::Adadelta(accumulators::Adadelta::new(rho, epsilon, step))
            }
            Algorithm::Lamb { .. } | Algorithm::Adafactor { .. } | Algorithm::Muon(_) => Self::None,
        }
    }

    /// Updates `w` by `g`, with the slots of the same elements.
    #[inline(always)]
    fn apply(&self, w: &mut [f32], g: &[f32], slots: &mut [&mut [f32]]) {
        match (self, slots) {
            // Its optimizers are updated by variable.
            (Self::None, _) => {}
            (Self::Sgd(rule), []) => rule.apply(w, g),
            (Self::Sgd(rule), [m]) => rule.apply_momentum(w, g, m),
            (Self::Lion(rule), [m]) => rule.apply(w, g, m),
            (Self::Ftrl(rule), [accumulator, linear]) => rule.apply(w, g, accumulator, linear),
            (Self::Adam(rule), [m, v]) => rule.apply(w, g, m, v),
            (Self::Adam(rule), [m, v, largest]) => rule.apply_amsgrad(w, g, m, v, largest),
            (Self::Adamax(rule), [m, u]) => rule.apply(w, g, m, u),
            (Self::Nadam(rule), [m, v]) => rule.apply(w, g, m, v),
            (Self::ScheduleFree(rule), [z, v]) => rule.apply(w, g, z, v),
            (Self::RMSprop(rule), [v, rest @ ..]) => rule.apply(w, g, v, rest),
            (Self::Adagrad(rule), [accumulator]) => rule.apply(w, g, accumulator),
            (Self::Adadelta(rule), [gradient, delta]) => rule.apply(w, g, gradient, delta),
            // Each by name, so that a new rule without an arm does not compile.
            (
                Self::Sgd(_)
                | Self::Lion(_)
                | Self::Ftrl(_)
                | Self::Adam(_)
                | Self::Adamax(_)
                | Self::Nadam(_)
                | Self::ScheduleFree(_)
                | Self::RMSprop(_)
                | Self::Adagrad(_)
                | Self::Adadelta(_),
                _,
            ) => missing_slots(),
        }
    }
}

/// Where an optimizer was not built for its rule: nothing would be trained, in silence.
#[cold]
fn missing_slots() -> ! {
    panic!("the optimizer's state does not fit its rule")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constraints::Constraint;

    fn weights(shape: &[usize], constraint: Option<Constraint>) -> Variable {
        Variable {
            path: "kernel".into(),
            name: "kernel".into(),
            shape: shape.to_vec(),
            range: 0..shape.iter().product(),
            trainable: true,
            regularizer: None,
            constraint,
        }
    }

    #[test]
    fn momentum_carries_on() {
        let mut sgd = Optimizer::new(Algorithm::Sgd {
            momentum: 0.5,
            nesterov: false,
        });
        sgd.set_learning_rate(1.0).expect("no schedule");
        let (variables, mut w) = ([weights(&[1], None)], [10.0]);
        // m = -1, w = 9; m = -0.5 - 1, w = 7.5.
        for expected in [9.0, 7.5] {
            sgd.apply(&variables, &mut w, &mut [1.0]);
            assert_eq!(w, [expected]);
        }
    }

    #[test]
    fn constraints_come_after_the_update_also_when_gradients_only_accumulate() {
        let mut sgd = Optimizer::sgd(1.0);
        sgd.options.gradient_accumulation_steps = Some(2);
        let (variables, mut w) = ([weights(&[2], Some(Constraint::NonNeg))], [-3.0, 3.0]);
        sgd.apply(&variables, &mut w, &mut [1.0, 1.0]);
        assert_eq!(w, [0.0, 3.0]);
        // The mean gradient is (1 + 2) / 2: -1.5 becomes 0, 3 - (1 + 7) / 2 too.
        sgd.apply(&variables, &mut w, &mut [2.0, 7.0]);
        assert_eq!(w, [0.0, 0.0]);
        assert_eq!(sgd.iterations(), 2);
    }

    #[test]
    fn a_gradient_that_is_no_number_is_in_every_clipped_one() {
        let mut sgd = Optimizer::sgd(1.0);
        sgd.options.clipnorm = Some(1.0);
        let (variables, mut w) = ([weights(&[2], None)], [1.0, 1.0]);
        // The norm that Keras divides by is NaN.
        sgd.apply(&variables, &mut w, &mut [f32::NAN, 0.5]);
        assert!(w.iter().all(|w| w.is_nan()), "{w:?}");
    }

    #[test]
    fn a_momentum_without_gradients_ends_at_zero() {
        let mut adam = Optimizer::adam(0.001);
        let (variables, mut w) = ([weights(&[1], None)], [1.0]);
        adam.apply(&variables, &mut w, &mut [1e-3]);
        // 1e-4 * 0.9^n is below the smallest normal number, 1.2e-38, from n = 747.
        for _ in 0..760 {
            adam.apply(&variables, &mut w, &mut [0.0]);
        }
        let momentum = adam.variables()[2].data.to_f32();
        assert_eq!(momentum, [0.0]);
    }

    #[test]
    fn weight_decay_can_leave_biases_out() {
        let mut sgd = Optimizer::sgd(0.5);
        sgd.options.weight_decay = Some(0.1);
        sgd.options.exclude_from_weight_decay = vec!["bias".into()];
        let mut bias = weights(&[1], None);
        (bias.name, bias.range) = ("bias".into(), 1..2);
        let variables = [weights(&[1], None), bias];
        let mut w = [1.0, 1.0];
        sgd.apply(&variables, &mut w, &mut [0.0, 0.0]);
        assert_eq!(w, [0.95, 1.0]);
    }
}
