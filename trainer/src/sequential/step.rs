//! One step of training or evaluation on one batch. No step allocates.

use super::Sequential;
use super::data::{BatchRows, Targets};
use super::engine::{BackwardStep, Chain, Leaf, Mode, grow};
use crate::losses::Batch;
use crate::{Result, variable::Variable};

impl Sequential {
    /// Gradients, weight update, loss and metrics of one batch. `x` fits the model, and it is
    /// compiled and built with its optimizer.
    pub(crate) fn train_step(&mut self, batch: BatchRows, targets: Targets) -> Result<()> {
        self.differentiate(batch, targets, true)?;
        let compiled = self
            .compiled
            .as_mut()
            .expect("differentiate has checked it");
        // Keras scales the loss; the optimizer unscales the gradients.
        let scale = compiled.optimizer.loss_scale();
        if scale != 1.0 {
            self.grads.iter_mut().for_each(|g| *g *= scale);
        }
        compiled
            .optimizer
            .apply(&self.variables, &mut self.values, &mut self.grads);
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
        let mut loss = workspace.forward(chain, values, batch.x, mode, rng);

        // The loss has a row per value of all axes but the last.
        let width = chain.plan.last().map_or(1, |leaf| leaf.width);
        let mut per_sample = std::mem::take(&mut workspace.per_sample);
        let mut scale = std::mem::take(&mut workspace.scale);
        let mut gradient = std::mem::take(&mut workspace.loss_gradient);
        let mut repeated = std::mem::take(&mut workspace.repeated);
        let y_pred = workspace.output(chain, batch.x, batch.rows);
        let rows = y_pred.len() / width.max(1);
        let mut pair = Batch::new(batch.y, targets.width, y_pred, width);
        pair.logits = workspace.logits(chain, batch.x, batch.rows);
        // A crossentropy behind a sigmoid or softmax is differentiated by what that was applied to.
        let by_logits = pair.logits.is_some() && compiled.loss.kind.takes_logits();
        let weights = batch.weights.map(|weights| match rows / batch.rows.max(1) {
            1 => weights,
            times => {
                let repeated = grow(&mut repeated, rows);
                for (repeated, &weight) in repeated.chunks_exact_mut(times).zip(weights) {
                    repeated.fill(weight);
                }
                repeated
            }
        });
        let losses = grow(&mut per_sample, rows);
        let scales = grow(&mut scale, rows);
        compiled.loss.per_sample(&pair, losses);
        compiled.loss.scale(&pair, losses, weights, scales);
        if let Some(weight) = compiled.loss_weight {
            scales.iter_mut().for_each(|scale| *scale *= weight as f32); // Keras' losses are f32
        }
        loss += compiled.loss.reduce(losses, scales);
        loss += penalties(variables, values);
        compiled.update(loss, batch.rows, &pair, weights);

        if training {
            compiled
                .loss
                .gradient(&pair, scales, grow(&mut gradient, y_pred.len()));
            std::mem::swap(workspace.output_gradient(), &mut gradient);
            if grads.len() != values.len() {
                grads.clear();
                grads.resize(values.len(), 0.0);
            }
            let trainable = |leaf: &Leaf| {
                variables[leaf.variables.clone()]
                    .iter()
                    .any(|v| v.trainable)
            };
            let step = BackwardStep {
                chain,
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
        workspace.per_sample = per_sample;
        workspace.scale = scale;
        workspace.loss_gradient = gradient;
        workspace.repeated = repeated;
        Ok(())
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
    use crate::sequential::{CompileOptions, Input, Sequential};

    #[test]
    fn a_loss_scale_leaves_training_as_it_is() {
        let train = |loss_scale_factor| {
            let mut model = Sequential::new().with_seed(1);
            model.add(Input::new([2])).unwrap();
            model.add(Dense::new(1)).unwrap();
            let mut options = CompileOptions::named("sgd", "mse", &[]).unwrap();
            options.optimizer.options.loss_scale_factor = loss_scale_factor;
            model.compile(options).unwrap();
            let (x, y) = (arr2(&[[1., 2.], [3., 4.]]), arr2(&[[1.], [0.]]));
            model.train_on_batch(&x, &y, None, None).unwrap();
            model.values().to_vec()
        };
        // A power of two scales and unscales without rounding.
        assert_eq!(train(Some(1024.0)), train(None));
    }
}
