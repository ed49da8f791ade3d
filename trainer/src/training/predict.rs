//! `predict`, and the outputs of single layers.

use ndarray::{ArrayBase, ArrayD, ArrayViewD, Data, Dimension, IxDyn};

use super::callback_list::Callbacks;
use super::evaluate::{Shown, checked_batch_size};
use crate::Number;
use crate::Result;
use crate::Sequential;
use crate::callbacks::SharedCallback;
use crate::engine::Chain;
use crate::engine::inference::Inference;
use crate::history::Logs;
use crate::samples::Samples;

/// How `predict_with` runs. The defaults are Keras'.
#[derive(Clone, Debug)]
pub struct PredictOptions<'a> {
    /// Rows per pass, `None` for all at once. Defaults to 32.
    pub batch_size: Option<usize>,
    /// 0 for silence, 1 for a progress bar, 2 for one line. Defaults to 1.
    pub verbose: u8,
    /// Batches to predict. Defaults to all.
    pub steps: Option<usize>,
    /// Called in order. Defaults to none.
    pub callbacks: Vec<SharedCallback<'a>>,
}

impl Default for PredictOptions<'_> {
    fn default() -> Self {
        Self {
            batch_size: Some(32),
            verbose: 1,
            steps: None,
            callbacks: Vec::new(),
        }
    }
}

impl Sequential {
    /// Outputs for the rows of `x`, `[rows, output sample]`, in silence.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`](crate::Error::Shape) when `x` does not fit,
    /// [`Error::Value`](crate::Error::Value) before the model is built.
    pub fn predict<S, D>(&self, x: &ArrayBase<S, D>) -> Result<ArrayD<f32>>
    where
        S: Data<Elem: Number>,
        D: Dimension,
    {
        let quiet = PredictOptions {
            verbose: 0,
            ..Default::default()
        };
        self.predict_with(x, quiet)
    }

    /// Outputs for the rows of `x`, `[rows, output sample]`: for all, or for those of the first
    /// `steps` batches.
    ///
    /// # Errors
    ///
    /// As [`Sequential::predict`], and what a callback returns.
    pub fn predict_with<S, D>(
        &self,
        x: &ArrayBase<S, D>,
        options: PredictOptions,
    ) -> Result<ArrayD<f32>>
    where
        S: Data<Elem: Number>,
        D: Dimension,
    {
        let x = Samples::new(x);
        self.check_x(&x)?;
        let batch_size = checked_batch_size(options.batch_size, x.rows())?;
        let steps = x.rows().div_ceil(batch_size.max(1));
        let steps = options.steps.map_or(steps, |limit| limit.min(steps));
        let rows = x.rows().min(steps * batch_size);
        let mut shown = Shown::new(options.verbose, steps)?;
        let callbacks = Callbacks::new(options.callbacks);
        let sample = self.output_shape().unwrap_or_default();
        let shape = |rows: usize| IxDyn(&[&[rows], sample].concat());
        let inference = Inference::new(self.chain(self.plan.len()), &self.values, &x);
        // A callback sees one batch after another.
        let together = match callbacks.use_batches()? {
            true => 1,
            false => inference.batches(batch_size),
        };
        let mut out = vec![0.0; rows * inference.outputs];
        let mut nothing = Logs::new();
        callbacks.each(|callback| callback.on_predict_begin(self))?;
        for first in (0..steps).step_by(together) {
            let last = (first + together).min(steps) - 1;
            callbacks.each_batch(|callback| callback.on_predict_batch_begin(self, first))?;
            let batch = first * batch_size..((last + 1) * batch_size).min(rows);
            let values = &mut out[batch.start * inference.outputs..batch.end * inference.outputs];
            inference.write(batch.clone(), values, &mut []);
            if callbacks.use_batches()? {
                let outputs = ArrayViewD::from_shape(shape(batch.len()), values)
                    .expect("every row gives one sample");
                callbacks.each_batch(|callback| {
                    callback.on_predict_batch_end(self, first, outputs.view())
                })?;
            }
            if let Some(shown) = &mut shown {
                shown.step(last, &mut nothing, |_| {}, &self.output);
            }
        }
        callbacks.each(|callback| callback.on_predict_end(self))?;
        if let Some(shown) = &mut shown {
            shown.finish(&nothing, &self.output);
        }
        Ok(ArrayD::from_shape_vec(shape(rows), out).expect("every row gives one sample"))
    }

    /// Outputs for the rows of `x` in one pass.
    ///
    /// # Errors
    ///
    /// As [`Sequential::predict`].
    pub fn predict_on_batch<S, D>(&self, x: &ArrayBase<S, D>) -> Result<ArrayD<f32>>
    where
        S: Data<Elem: Number>,
        D: Dimension,
    {
        let whole = PredictOptions {
            batch_size: None,
            verbose: 0,
            ..Default::default()
        };
        self.predict_with(x, whole)
    }

    /// The output of every layer for the rows of `x`, as in inference.
    ///
    /// # Errors
    ///
    /// As [`Sequential::predict`].
    pub fn layer_outputs<S, D>(&self, x: &ArrayBase<S, D>) -> Result<Vec<ArrayD<f32>>>
    where
        S: Data<Elem: Number>,
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

    /// The first leaves.
    fn chain(&self, leaves: usize) -> Chain<'_> {
        Chain {
            layers: &self.layers,
            plan: &self.plan[..leaves],
        }
    }

    /// What leaf `leaf` sees of all rows, in inference.
    pub(super) fn outputs_before(&self, leaf: usize, x: &Samples) -> Vec<f32> {
        let inference = Inference::new(self.chain(leaf), &self.values, x);
        let mut out = vec![0.0; x.rows() * inference.outputs];
        inference.write(0..x.rows(), &mut out, &mut []);
        out
    }
}
