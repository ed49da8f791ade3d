//! One step of training or evaluation on one batch. No step allocates.

use super::data::{BatchRows, Rows};
use super::penalties::penalized;
use crate::Sequential;
use crate::engine::inference::Inference;
use crate::engine::{BackwardStep, Chain, Leaf, LossBuffers, Mode, grow};
use crate::losses::{Batch, Logits};
use crate::sequential::compile::Compiled;
use crate::sequential::targets::Targets;
use crate::{Result, variable::Variable};

impl Sequential {
    /// Gradients, weight update, loss and metrics of one batch. `x` fits the model, and it is
    /// compiled and built with its optimizer.
    pub(crate) fn train_step(&mut self, batch: BatchRows, targets: Targets) -> Result<()> {
        self.differentiate(batch, targets, true)?;
        let untouched = self.untouched();
        let compiled = self
            .compiled
            .as_mut()
            .expect("differentiate has checked it");
        // Keras scales the loss; the optimizer unscales the gradients.
        let scale = compiled.optimizer.loss_scale();
        if scale != 1.0 {
            self.grads.iter_mut().for_each(|g| *g *= scale);
        }
        compiled.optimizer.apply_but(
            &untouched,
            &self.variables,
            &mut self.values,
            &mut self.grads,
        );
        Ok(())
    }

    /// Loss and metrics of one batch.
    pub(crate) fn test_step(&mut self, batch: BatchRows, targets: Targets) -> Result<()> {
        self.differentiate(batch, targets, false)
    }

    /// The forward pass with its loss and metrics and, in training, the gradients of all weights
    /// that learn.
    pub(crate) fn differentiate(
        &mut self,
        batch: BatchRows,
        targets: Targets,
        training: bool,
    ) -> Result<()> {
        self.compiled()?;
        let Some(mut rounding) = self.workspace.rounding.take() else {
            return self.differentiate_as_is(batch, targets, training);
        };
        rounding.begin(&mut self.values);
        self.workspace.rounding = Some(rounding);
        let result = self.differentiate_as_is(batch, targets, training);
        if let Some(rounding) = &self.workspace.rounding {
            rounding.restore(&mut self.values);
        }
        result
    }

    fn differentiate_as_is(
        &mut self,
        batch: BatchRows,
        targets: Targets,
        training: bool,
    ) -> Result<()> {
        let Self {
            layers,
            plan,
            variables,
            values,
            grads,
            compiled: Some(compiled),
            workspace,
            rng,
            ..
        } = self
        else {
            return Ok(());
        };
        let chain = Chain { layers, plan };
        let mode = Mode {
            rows: batch.rows,
            training,
            logits: true,
        };
        let before = workspace.forward(chain, values, batch.x, mode, rng);
        let mut buffers = std::mem::take(&mut workspace.loss);
        let mut gradient = std::mem::take(workspace.output_gradient());
        let outputs = Outputs {
            y_pred: workspace.output(chain, batch.x, batch.rows),
            // The loss has a row per value of all axes but the last.
            width: chain.plan.last().map_or(1, |leaf| leaf.width),
            logits: workspace.logits(chain, batch.x, batch.rows),
        };
        // A crossentropy behind a sigmoid or softmax is differentiated by what that was applied to.
        let loss = compiled.loss.as_ref();
        let by_logits = outputs.logits.is_some()
            && loss.is_some_and(|loss| loss.kind.function().takes_logits());
        let penalties = [before, penalties(variables, values)];
        let pair = outputs.pair(batch, targets);
        let scales = compiled.measure(&pair, batch, penalties, &mut buffers);
        // Without a loss, the way back begins where the last penalty is.
        let seen = match &compiled.loss {
            Some(_) => chain.plan,
            None => &chain.plan[..penalized(chain.plan)],
        };
        if training {
            let outputs = seen.last().map_or(0, |leaf| leaf.outputs);
            let gradient = grow(&mut gradient, batch.rows * outputs);
            match &compiled.loss {
                Some(loss) => loss.gradient(&pair, scales, gradient),
                None => gradient.fill(0.0),
            }
        }
        *workspace.output_gradient() = gradient;
        if training {
            if grads.len() != values.len() {
                grads.clear();
                grads.resize(values.len(), 0.0);
            }
            if compiled.loss.is_none() {
                grads.fill(0.0);
            }
            let trainable = |leaf: &Leaf| {
                variables[leaf.variables.clone()]
                    .iter()
                    .any(|v| v.trainable)
            };
            let step = BackwardStep {
                chain: Chain { layers, plan: seen },
                values,
                x: batch.x,
                rows: batch.rows,
                trainable: &trainable,
                by_logits,
                to_inputs: false,
            };
            workspace.backward(&step, grads);
            for variable in learning(variables) {
                if let Some(regularizer) = &variable.regularizer {
                    let range = variable.range.clone();
                    let grads = &mut grads[range.clone()];
                    regularizer.add_gradient(&values[range], &variable.shape, 1.0, grads);
                }
            }
        }
        workspace.loss = buffers;
        Ok(())
    }

    /// Loss and metrics of the rows in batches, as [`Sequential::test_step`] of each in order
    /// would have them; the outputs are computed on several cores. Calls `seen` with the number of
    /// batches done and the outputs since the last call, now and then.
    pub(crate) fn test_rows(
        &mut self,
        data: Rows,
        targets: Targets,
        batches: Batches,
        mut seen: impl FnMut(usize, &[f32], &Compiled),
    ) {
        let Self {
            layers,
            plan,
            variables,
            values,
            compiled: Some(compiled),
            workspace,
            ..
        } = self
        else {
            return;
        };
        let inference = Inference::new(Chain { layers, plan }, values, data.x);
        let last = inference.last_activation();
        let width = plan.last().map_or(1, |leaf| leaf.width);
        let penalties = [0.0, penalties(variables, values)];
        let together = inference.batches(batches.size) * batches.size;
        let sample = inference.outputs;
        let most = together.min(batches.rows) * sample;
        let (mut y_pred, mut logits) = (vec![0.0; most], vec![0.0; most]);
        if last.is_none() {
            logits.clear();
        }
        let buffers = &mut workspace.loss;
        for first in (0..batches.rows).step_by(together) {
            let stop = (first + together).min(batches.rows);
            let len = (stop - first) * sample;
            let of_logits = len.min(logits.len());
            inference.write(first..stop, &mut y_pred[..len], &mut logits[..of_logits]);
            for start in (first..stop).step_by(batches.size) {
                let batch = data.slice(start, (start + batches.size).min(stop));
                let part = (start - first) * sample..(start - first + batch.rows) * sample;
                let outputs = Outputs {
                    y_pred: &y_pred[part.clone()],
                    width,
                    logits: last
                        .as_ref()
                        .and_then(|last| Logits::of(last, &logits[part])),
                };
                compiled.measure(&outputs.pair(batch, targets), batch, penalties, buffers);
            }
            seen(stop.div_ceil(batches.size), &y_pred[..len], compiled);
        }
    }

    /// Whether [`Sequential::test_rows`] can be used: nothing happens between layers.
    pub(crate) fn outputs_suffice(&self) -> bool {
        self.workspace.rounding.is_none() && self.plan.iter().all(|leaf| leaf.penalty.is_none())
    }
}

/// The first rows of some, batch by batch.
#[derive(Clone, Copy)]
pub(crate) struct Batches {
    pub rows: usize,
    /// Rows of each but the last.
    pub size: usize,
}

/// What the loss takes of a forward pass.
struct Outputs<'a> {
    y_pred: &'a [f32],
    /// Last axis.
    width: usize,
    logits: Option<Logits<'a>>,
}

impl<'a> Outputs<'a> {
    fn pair(&self, batch: BatchRows<'a>, targets: Targets) -> Batch<'a> {
        let mut pair = Batch::new(batch.y, targets.width, self.y_pred, self.width);
        pair.logits = self.logits;
        pair
    }
}

impl Compiled {
    /// Takes a batch into loss and metrics; gives the scale of each row's loss. `penalties` are
    /// added to the loss, one before it and one behind it.
    fn measure<'a>(
        &mut self,
        pair: &Batch,
        batch: BatchRows,
        [before, behind]: [f32; 2],
        buffers: &'a mut LossBuffers,
    ) -> &'a [f32] {
        let rows = pair.y_pred.len() / pair.width.max(1);
        let weights = batch.weights.map(|weights| match rows / batch.rows.max(1) {
            1 => weights,
            times => {
                let repeated = grow(&mut buffers.repeated, rows);
                for (repeated, &weight) in repeated.chunks_exact_mut(times).zip(weights) {
                    repeated.fill(weight);
                }
                repeated
            }
        });
        let Some(loss) = &self.loss else {
            self.update(before + behind, batch.rows, pair, weights);
            return &[];
        };
        let losses = grow(&mut buffers.per_sample, rows);
        let scales = grow(&mut buffers.scale, rows);
        loss.per_sample(pair, losses);
        loss.scale(pair, losses, weights, scales);
        if let Some(weight) = self.loss_weight {
            scales.iter_mut().for_each(|scale| *scale *= weight as f32); // Keras' losses are f32
        }
        let total = before + loss.reduce(losses, scales) + behind;
        self.update(total, batch.rows, pair, weights);
        scales
    }
}

/// Variables that gradients reach.
fn learning(variables: &[Variable]) -> impl Iterator<Item = &Variable> {
    variables.iter().filter(|variable| variable.trainable)
}

/// The penalties on weights; those of frozen weights do not count, as in Keras.
fn penalties(variables: &[Variable], values: &[f32]) -> f32 {
    let penalty = |variable: &Variable| {
        let regularizer = variable.regularizer.as_ref()?;
        Some(regularizer.penalty(&values[variable.range.clone()], &variable.shape))
    };
    learning(variables).filter_map(penalty).sum()
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use crate::layers::Dense;
    use crate::layers::Input;
    use crate::sequential::{CompileOptions, Sequential};

    #[test]
    fn a_loss_scale_leaves_training_as_it_is() {
        let train = |loss_scale_factor| {
            let mut model = Sequential::new().with_seed(1);
            model.add(Input::new([2])).unwrap();
            model.add(Dense::new(1)).unwrap();
            let mut options = CompileOptions::named("sgd", "mse", &[]).unwrap();
            options.optimizer.options.loss_scale_factor = loss_scale_factor;
            model.compile_with(options).unwrap();
            let (x, y) = (arr2(&[[1., 2.], [3., 4.]]), arr2(&[[1.], [0.]]));
            model.train_on_batch(&x, &y, None, None).unwrap();
            model.values().to_vec()
        };
        // A power of two scales and unscales without rounding.
        assert_eq!(train(Some(1024.0)), train(None));
    }
}
