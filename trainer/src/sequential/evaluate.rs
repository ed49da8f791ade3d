//! `evaluate`, `predict` and the steps on single batches.

use std::time::Instant;

use ndarray::{ArrayBase, ArrayD, ArrayView1, Data, Dimension, IxDyn};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::Sequential;
use super::data::{Rows, Samples, Targets};
use super::engine::{BackwardStep, Chain, Mode, Workspace};
use super::progress::{Progress, Verbosity};
use crate::history::Logs;
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
}

impl Default for EvaluateOptions<'_> {
    fn default() -> Self {
        Self {
            batch_size: Some(32),
            verbose: 1,
            sample_weight: None,
            steps: None,
        }
    }
}

/// How `predict_with` runs. The defaults are Keras'.
#[derive(Clone, Debug)]
pub struct PredictOptions {
    /// Rows per pass, `None` for all at once. Defaults to 32.
    pub batch_size: Option<usize>,
    /// 0 for silence, 1 for a progress bar, 2 for one line. Defaults to 1.
    pub verbose: u8,
}

impl Default for PredictOptions {
    fn default() -> Self {
        Self {
            batch_size: Some(32),
            verbose: 1,
        }
    }
}

/// A progress bar and its clock.
pub(super) struct Shown {
    progress: Progress,
    clock: Instant,
}

impl Shown {
    fn new(verbose: u8, steps: usize) -> Result<Option<Self>> {
        Ok(match Verbosity::new(verbose)? {
            Verbosity::Silent => None,
            verbosity => Some(Self {
                progress: Progress::new(verbosity, steps, 0.0),
                clock: Instant::now(),
            }),
        })
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
    /// Loss and metrics on the rows of `x` and `y`, by name.
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
        S: Data<Elem = f32>,
        T: Data<Elem = f32>,
        D: Dimension,
        E: Dimension,
    {
        self.compiled()?;
        let (x, y) = (Samples::new(x), Samples::new(y));
        let weights = options.sample_weight.map(|weights| weights.to_vec());
        let data = Rows {
            x: &x,
            y: &y,
            weights: weights.as_deref(),
        };
        self.build_for(&x)?;
        self.check_rows(data)?;
        let batch_size = checked_batch_size(options.batch_size, x.rows())?;
        let steps = x.rows().div_ceil(batch_size);
        let steps = options.steps.map_or(steps, |limit| limit.min(steps));
        let shown = Shown::new(options.verbose, steps)?;
        self.evaluate_rows(data, batch_size, Some(steps), shown)
    }

    /// `evaluate` on checked rows; the metrics are made for them.
    pub(super) fn evaluate_rows(
        &mut self,
        data: Rows,
        batch_size: usize,
        steps: Option<usize>,
        mut shown: Option<Shown>,
    ) -> Result<Logs> {
        let output = self.output_shape().unwrap_or_default();
        let targets = Targets::of(data.y, output);
        let width = output.last().copied().unwrap_or(1);
        self.refresh_trainable();
        let compiled = self.compiled_mut()?;
        compiled.build_metrics(targets, width)?;
        compiled.reset();
        let mut logs = Logs::new();
        let rows = data.x.rows();
        let starts = (0..rows)
            .step_by(batch_size)
            .take(steps.unwrap_or(usize::MAX));
        for (step, start) in starts.enumerate() {
            let stop = (start + batch_size).min(rows);
            self.test_step(data.slice(start, stop), targets)?;
            if let Some(Shown { progress, clock }) = &mut shown {
                let now = clock.elapsed().as_secs_f64();
                if progress.is_due(step + 1, now) {
                    self.compiled()?.write(&mut logs);
                    progress.update(step + 1, &logs, now, &self.output);
                }
            }
        }
        self.compiled()?.write(&mut logs);
        if let Some(Shown { progress, clock }) = &mut shown {
            progress.finish(&logs, clock.elapsed().as_secs_f64(), &self.output);
        }
        Ok(logs)
    }

    /// Outputs for the rows of `x`, `[rows, output sample]`, in silence.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] when `x` does not fit, [`Error::Value`] before the model is built.
    pub fn predict<S, D>(&self, x: &ArrayBase<S, D>) -> Result<ArrayD<f32>>
    where
        S: Data<Elem = f32>,
        D: Dimension,
    {
        let quiet = PredictOptions {
            verbose: 0,
            ..Default::default()
        };
        self.predict_with(x, &quiet)
    }

    /// Outputs for the rows of `x`, `[rows, output sample]`.
    ///
    /// # Errors
    ///
    /// As [`Sequential::predict`].
    pub fn predict_with<S, D>(
        &self,
        x: &ArrayBase<S, D>,
        options: &PredictOptions,
    ) -> Result<ArrayD<f32>>
    where
        S: Data<Elem = f32>,
        D: Dimension,
    {
        let x = Samples::new(x);
        self.check_x(&x)?;
        let batch_size = checked_batch_size(options.batch_size, x.rows())?;
        let mut shown = Shown::new(options.verbose, x.rows().div_ceil(batch_size))?;
        let sample = self.output_shape().unwrap_or_default();
        let mut out = Vec::with_capacity(x.rows() * sample.iter().product::<usize>());
        let leaves = self.plan.len();
        self.each_batch(&x, batch_size, leaves, |step, values| {
            out.extend_from_slice(values);
            if let Some(Shown { progress, clock }) = &mut shown {
                let now = clock.elapsed().as_secs_f64();
                if progress.is_due(step + 1, now) {
                    progress.update(step + 1, &Logs::new(), now, &self.output);
                }
            }
        });
        if let Some(Shown { progress, clock }) = &mut shown {
            progress.finish(&Logs::new(), clock.elapsed().as_secs_f64(), &self.output);
        }
        let shape: Vec<usize> = [&[x.rows()], sample].concat();
        Ok(ArrayD::from_shape_vec(IxDyn(&shape), out).expect("every row gives one sample"))
    }

    /// The output of every layer for the rows of `x`, as in inference.
    ///
    /// # Errors
    ///
    /// As [`Sequential::predict`].
    pub fn layer_outputs<S, D>(&self, x: &ArrayBase<S, D>) -> Result<Vec<ArrayD<f32>>>
    where
        S: Data<Elem = f32>,
        D: Dimension,
    {
        let x = Samples::new(x);
        self.check_x(&x)?;
        let output = |(index, sample): (usize, &Vec<usize>)| {
            let leaves = self
                .plan
                .iter()
                .filter(|leaf| leaf.path[0] <= index)
                .count();
            let values = self.outputs_before(leaves, &x);
            let shape: Vec<usize> = [&[x.rows()], sample.as_slice()].concat();
            ArrayD::from_shape_vec(IxDyn(&shape), values).expect("every row gives one sample")
        };
        Ok(self.output_shapes.iter().enumerate().map(output).collect())
    }

    /// What leaf `leaf` sees of all rows, in inference.
    pub(super) fn outputs_before(&self, leaf: usize, x: &Samples) -> Vec<f32> {
        let mut out = Vec::new();
        self.each_batch(x, 256, leaf, |_, values| out.extend_from_slice(values));
        out
    }

    /// Runs the first `leaves` leaves in inference on batches of rows.
    fn each_batch(
        &self,
        x: &Samples,
        batch_size: usize,
        leaves: usize,
        mut f: impl FnMut(usize, &[f32]),
    ) {
        let chain = Chain {
            layers: &self.layers,
            plan: &self.plan[..leaves],
        };
        let sample = match chain.plan.last() {
            Some(last) => last.outputs,
            None => x.width(),
        };
        let mut workspace = Workspace::default();
        let mut rng = ChaCha8Rng::seed_from_u64(0); // nothing is random in inference
        let (rows, width) = (x.rows(), x.width());
        for (step, start) in (0..rows).step_by(batch_size).enumerate() {
            let stop = (start + batch_size).min(rows);
            let mode = Mode {
                rows: stop - start,
                training: false,
                logits: false,
            };
            let x = &x.values()[start * width..stop * width];
            workspace.infer(chain, &self.values, x, mode, &mut rng);
            f(step, workspace.values_at(leaves, x, mode.rows * sample));
        }
    }

    /// One gradient step on all rows of `x`; loss and metrics are those of this batch.
    ///
    /// # Errors
    ///
    /// As [`Sequential::fit`].
    pub fn train_on_batch<S, D, T, E>(
        &mut self,
        x: &ArrayBase<S, D>,
        y: &ArrayBase<T, E>,
        sample_weight: Option<ArrayView1<f32>>,
    ) -> Result<Logs>
    where
        S: Data<Elem = f32>,
        T: Data<Elem = f32>,
        D: Dimension,
        E: Dimension,
    {
        self.on_batch(x, y, sample_weight, |model, data, targets| {
            model.build_optimizer();
            model.train_step(data.slice(0, data.x.rows()), targets)
        })
    }

    /// Loss and metrics of this batch, nothing learnt.
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
        S: Data<Elem = f32>,
        T: Data<Elem = f32>,
        D: Dimension,
        E: Dimension,
    {
        self.on_batch(x, y, sample_weight, |model, data, targets| {
            model.refresh_trainable();
            model.test_step(data.slice(0, data.x.rows()), targets)
        })
    }

    /// Outputs for the rows of `x` in one pass.
    ///
    /// # Errors
    ///
    /// As [`Sequential::predict`].
    pub fn predict_on_batch<S, D>(&self, x: &ArrayBase<S, D>) -> Result<ArrayD<f32>>
    where
        S: Data<Elem = f32>,
        D: Dimension,
    {
        let whole = PredictOptions {
            batch_size: None,
            verbose: 0,
        };
        self.predict_with(x, &whole)
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
        S: Data<Elem = f32>,
        T: Data<Elem = f32>,
        D: Dimension,
        E: Dimension,
    {
        let mut scratch = self.clone();
        scratch.on_batch(x, y, sample_weight, |model, data, targets| {
            model.refresh_trainable();
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
        S: Data<Elem = f32>,
        D: Dimension,
    {
        let x = Samples::new(x);
        self.build_for(&x)?;
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
        sample_weight: Option<ArrayView1<f32>>,
        step: impl FnOnce(&mut Self, Rows, Targets) -> Result<()>,
    ) -> Result<Logs>
    where
        S: Data<Elem = f32>,
        T: Data<Elem = f32>,
        D: Dimension,
        E: Dimension,
    {
        self.compiled()?;
        let (x, y) = (Samples::new(x), Samples::new(y));
        let weights = sample_weight.map(|weights| weights.to_vec());
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
        compiled.build_metrics(targets, width)?;
        compiled.reset();
        step(self, data, targets)?;
        let mut logs = Logs::new();
        self.compiled()?.write(&mut logs);
        Ok(logs)
    }
}

fn checked_batch_size(batch_size: Option<usize>, rows: usize) -> Result<usize> {
    match batch_size {
        Some(0) => Err(Error::value("batch_size is 0, expected at least 1")),
        Some(size) => Ok(size),
        None => Ok(rows),
    }
}
