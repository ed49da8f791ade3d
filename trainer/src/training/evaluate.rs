//! `evaluate` and the steps on single batches.

use std::collections::BTreeMap;
use std::time::Instant;

use ndarray::{ArrayBase, ArrayD, ArrayView1, Data, Dimension, IxDyn};

use super::callback_list::Callbacks;
use super::data::Rows;
use super::fit::row_weights;
use super::progress::{Progress, Verbosity};
use super::step::Batches;
use crate::Number;
use crate::Sequential;
use crate::callbacks::SharedCallback;
use crate::engine::{BackwardStep, Chain, Mode};
use crate::history::Logs;
use crate::samples::Samples;
use crate::sequential::compile::Sums;
use crate::sequential::console::Output;
use crate::sequential::targets::Targets;
use crate::{Error, Result};

/// How `evaluate` runs. The defaults are Keras'.
#[derive(Clone, Debug)]
pub struct EvaluateOptions<'a> {
    /// Rows per pass, `None` for all at once. Defaults to 32.
    pub batch_size: Option<usize>,
    /// 0 for silence, 1 for a progress bar, 2 for one line. Defaults to 1.
    pub verbose: u8,
    /// Weight of each row in the loss. Defaults to none.
    pub sample_weight: Option<ArrayView1<'a, f32>>,
    /// Batches to look at. Defaults to all.
    pub steps: Option<usize>,
    /// Called in order. Defaults to none.
    pub callbacks: Vec<SharedCallback<'a>>,
}

impl Default for EvaluateOptions<'_> {
    fn default() -> Self {
        Self {
            batch_size: Some(32),
            verbose: 1,
            sample_weight: None,
            steps: None,
            callbacks: Vec::new(),
        }
    }
}

/// How `evaluate` goes through rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct TestPass {
    pub(super) batch_size: usize,
    /// Batches to look at, `None` for all.
    pub(super) steps: Option<usize>,
    pub(super) sums: Sums,
}

/// A progress bar and its clock.
pub(super) struct Shown {
    progress: Progress,
    clock: Instant,
}

impl Shown {
    pub(super) fn new(verbose: u8, steps: usize) -> Result<Option<Self>> {
        Ok(match Verbosity::new(verbose)? {
            Verbosity::Silent => None,
            verbosity => Some(Self {
                progress: Progress::new(verbosity, steps, 0.0),
                clock: Instant::now(),
            }),
        })
    }

    /// Shows a finished step, counted from 0, when it is time to; `logs` are then written first.
    pub(super) fn step(
        &mut self,
        step: usize,
        logs: &mut Logs,
        write: impl FnOnce(&mut Logs),
        output: &Output,
    ) {
        let now = self.clock.elapsed().as_secs_f64();
        if self.progress.is_due(step + 1, now) {
            write(logs);
            self.progress.update(step + 1, logs, now, output);
        }
    }

    /// Shows the end.
    pub(super) fn finish(&mut self, logs: &Logs, output: &Output) {
        let now = self.clock.elapsed().as_secs_f64();
        self.progress.finish(logs, now, output);
    }
}

/// What an evaluation leaves besides its logs.
#[derive(Default)]
pub(super) struct Seen<'a> {
    shown: Option<Shown>,
    /// Those of all batches, where they are asked for.
    outputs: Option<&'a mut Vec<f32>>,
}

impl Seen<'_> {
    /// Keeps the outputs of a batch.
    fn keep(&mut self, outputs: &[f32]) {
        if let Some(kept) = &mut self.outputs {
            kept.extend_from_slice(outputs);
        }
    }
}

/// What [`Sequential::pass`] gives.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pass {
    /// `[rows, output sample]`
    pub outputs: Vec<f32>,
    /// `[rows, input sample]`; empty without an upstream gradient.
    pub input_gradient: Vec<f32>,
    /// By all weights, as they lie in [`Sequential::values`]; empty without an upstream gradient.
    pub gradients: Vec<f32>,
}

impl Sequential {
    /// Loss and metrics on the rows of `x` and `y`, by name, as Keras computes them but for R²: its
    /// sums have no rounding of f32 in them (see [`Metric::sum_exactly`]). `fit` shows Keras' own.
    ///
    /// [`Metric::sum_exactly`]: crate::metrics::Metric::sum_exactly
    ///
    /// # Errors
    ///
    /// As [`Sequential::fit`].
    pub fn evaluate<S, D, T, E>(
        &mut self,
        x: &ArrayBase<S, D>,
        y: &ArrayBase<T, E>,
        options: EvaluateOptions,
    ) -> Result<Logs>
    where
        S: Data<Elem: Number>,
        T: Data<Elem: Number>,
        D: Dimension,
        E: Dimension,
    {
        self.evaluate_samples(Samples::new(x), Samples::new(y), options, None)
    }

    /// What [`Sequential::evaluate`] gives, and the outputs that it is of, `[rows, output sample]`, as
    /// [`Sequential::predict`] gives them: both by one pass. With `steps`, the rows of these batches.
    ///
    /// # Errors
    ///
    /// As [`Sequential::fit`].
    pub fn evaluate_with_outputs<S, D, T, E>(
        &mut self,
        x: &ArrayBase<S, D>,
        y: &ArrayBase<T, E>,
        options: EvaluateOptions,
    ) -> Result<(Logs, ArrayD<f32>)>
    where
        S: Data<Elem: Number>,
        T: Data<Elem: Number>,
        D: Dimension,
        E: Dimension,
    {
        let mut outputs = Vec::new();
        let (x, y) = (Samples::new(x), Samples::new(y));
        let logs = self.evaluate_samples(x, y, options, Some(&mut outputs))?;
        let sample = self.output_shape().unwrap_or_default();
        let rows = outputs.len() / sample.iter().product::<usize>().max(1);
        let shape = IxDyn(&[&[rows], sample].concat());
        let outputs = ArrayD::from_shape_vec(shape, outputs).expect("every row gives one sample");
        Ok((logs, outputs))
    }

    fn evaluate_samples(
        &mut self,
        x: Samples,
        y: Samples,
        options: EvaluateOptions,
        outputs: Option<&mut Vec<f32>>,
    ) -> Result<Logs> {
        self.compiled()?;
        let weights = options.sample_weight.map(|weights| weights.to_vec());
        let data = Rows {
            x: &x,
            y: &y,
            weights: weights.as_deref(),
        };
        self.build_for(&x)?;
        self.check_loss(false)?;
        self.check_rows(data)?;
        let batch_size = checked_batch_size(options.batch_size, x.rows())?;
        let steps = x.rows().div_ceil(batch_size);
        let steps = options.steps.map_or(steps, |limit| limit.min(steps));
        let shown = Shown::new(options.verbose, steps)?;
        let callbacks = Callbacks::new(options.callbacks);
        let pass = TestPass {
            batch_size,
            steps: Some(steps),
            sums: Sums::Exact,
        };
        let seen = Seen { shown, outputs };
        self.evaluate_rows(data, pass, &callbacks, seen)
    }

    /// `evaluate` on checked rows; the metrics are made for them.
    pub(super) fn evaluate_rows(
        &mut self,
        data: Rows,
        pass: TestPass,
        callbacks: &Callbacks,
        mut seen: Seen,
    ) -> Result<Logs> {
        let output = self.output_shape().unwrap_or_default();
        let targets = Targets::of(data.y, output);
        let width = output.last().copied().unwrap_or(1);
        self.refresh_trainable();
        self.run.stop_evaluating = false;
        callbacks.each(|callback| callback.on_test_begin(self))?;
        let compiled = self.compiled_mut()?;
        compiled.build_metrics(targets, width, pass.sums)?;
        compiled.reset();
        let mut logs = Logs::new();
        let all = data.x.rows();
        let steps = pass.steps.unwrap_or(usize::MAX);
        let batches = Batches {
            rows: steps.saturating_mul(pass.batch_size).min(all),
            size: pass.batch_size,
        };
        if !callbacks.use_batches()? && self.outputs_suffice() {
            let output = self.output.clone();
            self.test_rows(data, targets, batches, |done, outputs, compiled| {
                seen.keep(outputs);
                if let Some(shown) = &mut seen.shown {
                    let write = |logs: &mut Logs| compiled.write(logs);
                    shown.step(done - 1, &mut logs, write, &output);
                }
            });
        } else {
            self.test_steps(data, targets, batches, callbacks, &mut seen)?;
        }
        self.compiled()?.write(&mut logs);
        callbacks.each(|callback| callback.on_test_end(self, &logs))?;
        if let Some(shown) = &mut seen.shown {
            shown.finish(&logs, &self.output);
        }
        Ok(logs)
    }

    /// One batch after another, each with its callbacks.
    fn test_steps(
        &mut self,
        data: Rows,
        targets: Targets,
        batches: Batches,
        callbacks: &Callbacks,
        seen: &mut Seen,
    ) -> Result<()> {
        let mut logs = Logs::new();
        for (step, start) in (0..batches.rows).step_by(batches.size).enumerate() {
            let stop = (start + batches.size).min(batches.rows);
            callbacks.each_batch(|callback| callback.on_test_batch_begin(self, step))?;
            let batch = data.slice(start, stop);
            self.test_step(batch, targets)?;
            let Self { layers, plan, .. } = &*self;
            let chain = Chain { layers, plan };
            seen.keep(self.workspace.output(chain, batch.x, batch.rows));
            if callbacks.use_batches()? {
                self.compiled()?.write(&mut logs);
                callbacks.each_batch(|callback| callback.on_test_batch_end(self, step, &logs))?;
            }
            if let Some(shown) = &mut seen.shown {
                let compiled = self.compiled()?;
                let write = |logs: &mut Logs| compiled.write(logs);
                shown.step(step, &mut logs, write, &self.output);
            }
            if self.run.stop_evaluating {
                break;
            }
        }
        Ok(())
    }

    /// One gradient step on all rows of `x`; loss and metrics are those of this batch. Of
    /// `sample_weight` (a weight of each row in the loss) and `class_weight` (one of each class, 1
    /// for classes that are not in it) at most one is given.
    ///
    /// # Errors
    ///
    /// As [`Sequential::fit`].
    pub fn train_on_batch<S, D, T, E>(
        &mut self,
        x: &ArrayBase<S, D>,
        y: &ArrayBase<T, E>,
        sample_weight: Option<ArrayView1<f32>>,
        class_weight: Option<&BTreeMap<i64, f32>>,
    ) -> Result<Logs>
    where
        S: Data<Elem: Number>,
        T: Data<Elem: Number>,
        D: Dimension,
        E: Dimension,
    {
        self.on_batch(
            x,
            y,
            (sample_weight, class_weight),
            |model, data, targets| {
                model.check_training()?;
                model.check_loss(true)?;
                model.build_optimizer();
                model.train_step(data.slice(0, data.x.rows()), targets)
            },
        )
    }

    /// Loss and metrics of this batch, nothing learnt, with a weight of each row in the loss or none.
    ///
    /// # Errors
    ///
    /// As [`Sequential::fit`].
    pub fn test_on_batch<S, D, T, E>(
        &mut self,
        x: &ArrayBase<S, D>,
        y: &ArrayBase<T, E>,
        sample_weight: Option<ArrayView1<f32>>,
    ) -> Result<Logs>
    where
        S: Data<Elem: Number>,
        T: Data<Elem: Number>,
        D: Dimension,
        E: Dimension,
    {
        self.on_batch(x, y, (sample_weight, None), |model, data, targets| {
            model.check_loss(false)?;
            model.test_step(data.slice(0, data.x.rows()), targets)
        })
    }

    /// Gradients of the loss by all weights, for one batch in training mode; those of weights
    /// that do not learn are 0. Weights, state and metrics stay as they are.
    ///
    /// # Errors
    ///
    /// As [`Sequential::fit`].
    pub fn gradients<S, D, T, E>(
        &mut self,
        x: &ArrayBase<S, D>,
        y: &ArrayBase<T, E>,
        sample_weight: Option<ArrayView1<f32>>,
    ) -> Result<Vec<ArrayD<f32>>>
    where
        S: Data<Elem: Number>,
        T: Data<Elem: Number>,
        D: Dimension,
        E: Dimension,
    {
        let mut scratch = self.clone();
        scratch.on_batch(x, y, (sample_weight, None), |model, data, targets| {
            model.check_training()?;
            model.check_loss(true)?;
            model.differentiate(data.slice(0, data.x.rows()), targets, true)
        })?;
        let array = |variable: &crate::variable::Variable| {
            let mut gradient = scratch.grads[variable.range.clone()].to_vec();
            if !variable.trainable {
                gradient.fill(0.0);
            }
            ArrayD::from_shape_vec(IxDyn(&variable.shape), gradient)
                .expect("a variable's range is as long as its shape")
        };
        Ok(scratch.variables.iter().map(array).collect())
    }

    /// One pass in training mode over the rows of `x`, and back from a gradient by the outputs:
    /// state such as moving averages is updated, weights are not.
    ///
    /// # Shapes
    ///
    /// * `x` - `[rows, input sample]`
    /// * `upstream` - `[rows, output sample]`; without it there is no way back
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] when `x` or `upstream` does not fit.
    pub fn pass<S, D>(
        &mut self,
        x: &ArrayBase<S, D>,
        upstream: Option<&ArrayBase<S, D>>,
    ) -> Result<Pass>
    where
        S: Data<Elem: Number>,
        D: Dimension,
    {
        let x = Samples::new(x);
        self.build_for(&x)?;
        self.check_training()?;
        let upstream = upstream.map(Samples::new);
        let outputs = self
            .output_shape()
            .unwrap_or_default()
            .iter()
            .product::<usize>();
        if let Some(upstream) = &upstream
            && upstream.values().len() != x.rows() * outputs
        {
            return Err(Error::shape(format!(
                "the upstream gradient has shape {:?}, expected {} rows of {outputs} values",
                upstream.shape(),
                x.rows()
            )));
        }
        self.refresh_trainable();
        self.grads.clear();
        self.grads.resize(self.values.len(), 0.0);
        let mode = Mode {
            rows: x.rows(),
            training: true,
            logits: false,
        };
        let Self {
            layers,
            plan,
            variables,
            values,
            grads,
            workspace,
            rng,
            ..
        } = self;
        let chain = Chain { layers, plan };
        workspace.forward(chain, values, x.values(), mode, rng);
        let mut pass = Pass {
            outputs: workspace.output(chain, x.values(), x.rows()).to_vec(),
            ..Pass::default()
        };
        if let Some(upstream) = &upstream {
            workspace.output_gradient().clear();
            workspace
                .output_gradient()
                .extend_from_slice(upstream.values());
            let step = BackwardStep {
                chain,
                values,
                x: x.values(),
                rows: x.rows(),
                trainable: &|leaf| {
                    variables[leaf.variables.clone()]
                        .iter()
                        .any(|v| v.trainable)
                },
                by_logits: false,
                to_inputs: true,
            };
            workspace.backward(&step, grads);
            pass.input_gradient = workspace.output_gradient()[..x.values().len()].to_vec();
            pass.gradients = grads.clone();
        }
        Ok(pass)
    }

    fn on_batch<S, D, T, E>(
        &mut self,
        x: &ArrayBase<S, D>,
        y: &ArrayBase<T, E>,
        (sample_weight, class_weight): (Option<ArrayView1<f32>>, Option<&BTreeMap<i64, f32>>),
        step: impl FnOnce(&mut Self, Rows, Targets) -> Result<()>,
    ) -> Result<Logs>
    where
        S: Data<Elem: Number>,
        T: Data<Elem: Number>,
        D: Dimension,
        E: Dimension,
    {
        self.compiled()?;
        let (x, y) = (Samples::new(x), Samples::new(y));
        let weights = row_weights(&y, sample_weight, class_weight)?;
        let data = Rows {
            x: &x,
            y: &y,
            weights: weights.as_deref(),
        };
        self.build_for(&x)?;
        self.check_rows(data)?;
        let output = self.output_shape().unwrap_or_default();
        let targets = Targets::of(&y, output);
        let width = output.last().copied().unwrap_or(1);
        let compiled = self.compiled_mut()?;
        compiled.build_metrics(targets, width, Sums::Keras)?;
        compiled.reset();
        step(self, data, targets)?;
        let mut logs = Logs::new();
        self.compiled()?.write(&mut logs);
        Ok(logs)
    }
}

pub(super) fn checked_batch_size(batch_size: Option<usize>, rows: usize) -> Result<usize> {
    match batch_size {
        Some(0) => Err(Error::value("batch_size is 0, expected at least 1")),
        Some(size) => Ok(size),
        None => Ok(rows),
    }
}
