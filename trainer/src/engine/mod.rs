//! The forward and backward passes over a built chain, in buffers that are kept between steps.

pub(crate) mod inference;
pub(crate) mod rounding;

use std::ops::Range;

use rand_chacha::ChaCha8Rng;

use crate::activations::Activation;
use crate::layers::{Backward, Flow, Forward, Layer, Scratch};
use crate::losses::Logits;
use crate::regularizers::Regularizer;
use rounding::Rounding;

/// One layer that computes, and how it lies in the chain.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    /// Position in the model's layers; in a nested model, then in its layers.
    pub path: Vec<usize>,
    /// Its weights among the model's variables.
    pub variables: Range<usize>,
    /// Of each weight: whether it learns when no layer is frozen.
    pub learns: Vec<bool>,
    /// Values of one input sample.
    pub inputs: usize,
    /// Values of one output sample.
    pub outputs: usize,
    /// Last axis of the outputs.
    pub width: usize,
    pub input_shape: Vec<usize>,
    /// On the outputs.
    pub penalty: Option<Regularizer>,
    /// Whether the output is the input, in training and out of it.
    pub same: bool,
}

impl Leaf {
    /// The layer itself.
    pub fn layer<'a>(&self, layers: &'a [Layer]) -> &'a Layer {
        let (first, rest) = self.path.split_first().expect("a path is never empty");
        rest.iter()
            .fold(&layers[*first], |layer, &index| match layer {
                Layer::Sequential(nested) => &nested.layers[index],
                other => other,
            })
    }
}

/// What both passes read of a model.
#[derive(Clone, Copy)]
pub(crate) struct Chain<'a> {
    pub layers: &'a [Layer],
    pub plan: &'a [Leaf],
}

/// Where the values of a point in the chain lie.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// The batch itself.
    Batch,
    /// The outputs of this leaf.
    Outputs(usize),
}

/// How a pass runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    pub rows: usize,
    pub training: bool,
    /// Whether the loss looks at the logits of the last activation.
    pub logits: bool,
}

/// Buffers of one model: they grow to the largest batch seen, then no step allocates.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workspace {
    outputs: Vec<Vec<f32>>,
    scratch: Vec<Vec<f32>>,
    /// Used part of each scratch in the last pass.
    scratch_len: Vec<usize>,
    /// Where the input of each leaf lies; one more for the end of the chain.
    places: Vec<Place>,
    /// Gradients by the outputs and by the inputs of one leaf.
    dy: Vec<f32>,
    dx: Vec<f32>,
    /// The leaf whose activation the loss sees through, in the last pass.
    fused: Option<usize>,
    /// Rows of a shuffled batch.
    pub batch: Gathered,
    pub loss: LossBuffers,
    /// The device's rounding, in quantization-aware training.
    pub rounding: Option<Rounding>,
}

/// Room for the loss of a batch; see `Workspace`.
#[derive(Clone, Debug, Default)]
pub(crate) struct LossBuffers {
    /// `[rows of the loss]` each.
    pub per_sample: Vec<f32>,
    pub scale: Vec<f32>,
    /// Sample weights, repeated for outputs of several rows per sample.
    pub repeated: Vec<f32>,
}

/// One gathered batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gathered {
    pub x: Vec<f32>,
    pub y: Vec<f32>,
    pub weights: Vec<f32>,
}

/// At least `len` values; never shrinks.
pub(crate) fn grow(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

impl Workspace {
    /// Decides where everything lies for a pass in this mode.
    fn prepare(&mut self, chain: Chain, mode: Mode) {
        let leaves = chain.plan.len();
        self.outputs.resize_with(leaves, Vec::new);
        self.scratch.resize_with(leaves, Vec::new);
        self.scratch_len.resize(leaves, 0);
        self.places.clear();
        self.fused = mode.logits.then(|| fused(chain)).flatten();
        let mut place = Place::Batch;
        for (i, leaf) in chain.plan.iter().enumerate() {
            self.places.push(place);
            let op = leaf.layer(chain.layers).op();
            let scratch = Scratch {
                rows: mode.rows,
                outputs: leaf.outputs,
                training: mode.training,
                logits: self.fused == Some(i),
            };
            self.scratch_len[i] = op.scratch_len(&scratch);
            grow(&mut self.scratch[i], self.scratch_len[i]);
            if op.flow(mode.training) != Flow::Same {
                grow(&mut self.outputs[i], mode.rows * leaf.outputs);
                place = Place::Outputs(i);
            }
        }
        self.places.push(place);
    }

    /// Runs the chain over `x`, `[rows, input sample]`; then [`Workspace::output`] has the result.
    /// In training, state such as moving averages is updated. Returns the penalties on outputs,
    /// divided by the rows.
    pub fn forward(
        &mut self,
        chain: Chain,
        values: &mut [f32],
        x: &[f32],
        mode: Mode,
        rng: &mut ChaCha8Rng,
    ) -> f32 {
        self.infer(chain, values, x, mode, rng);
        if mode.training {
            for (i, leaf) in chain.plan.iter().enumerate().filter(|(_, leaf)| !leaf.same) {
                let op = leaf.layer(chain.layers).op();
                op.update_state(values, &self.scratch[i][..self.scratch_len[i]]);
            }
        }
        let mut penalty = 0.0;
        for (i, leaf) in chain.plan.iter().enumerate() {
            if let Some(regularizer) = &leaf.penalty {
                let shape = [mode.rows, leaf.outputs];
                let y = self.values_at(i + 1, x, shape[0] * shape[1]);
                penalty += regularizer.penalty(y, &shape) / mode.rows as f32; // a small count
            }
        }
        penalty
    }

    /// Runs the chain over `x` and leaves the weights alone.
    pub fn infer(
        &mut self,
        chain: Chain,
        values: &[f32],
        x: &[f32],
        mode: Mode,
        rng: &mut ChaCha8Rng,
    ) {
        self.prepare(chain, mode);
        for (i, leaf) in chain.plan.iter().enumerate() {
            let op = leaf.layer(chain.layers).op();
            if op.flow(mode.training) == Flow::Same {
                continue;
            }
            let (before, after) = self.outputs.split_at_mut(i);
            let input = match self.places[i] {
                Place::Batch => x,
                Place::Outputs(j) => before[j].as_slice(),
            };
            op.forward(Forward {
                rows: mode.rows,
                width: leaf.width,
                x: &input[..mode.rows * leaf.inputs],
                y: &mut after[0][..mode.rows * leaf.outputs],
                scratch: &mut self.scratch[i][..self.scratch_len[i]],
                values,
                training: mode.training,
                rng,
            });
            if let Some(rounding) = &self.rounding {
                rounding.round_outputs(i, &mut after[0][..mode.rows * leaf.outputs]);
            }
        }
    }

    /// Values before leaf `i` (its input) of the last pass; `i` may be the number of leaves.
    pub fn values_at<'a>(&'a self, i: usize, x: &'a [f32], len: usize) -> &'a [f32] {
        match self.places[i] {
            Place::Batch => &x[..len],
            Place::Outputs(j) => &self.outputs[j][..len],
        }
    }

    /// The result of the last pass, `[rows, output sample]`.
    pub fn output<'a>(&'a self, chain: Chain, x: &'a [f32], rows: usize) -> &'a [f32] {
        let leaves = chain.plan.len();
        self.values_at(leaves, x, rows * chain.plan[leaves - 1].outputs)
    }

    /// What the last sigmoid or softmax of the last pass was applied to, when logits were asked
    /// for and the model ends so.
    pub fn logits<'a>(&'a self, chain: Chain, x: &'a [f32], rows: usize) -> Option<Logits<'a>> {
        let i = self.fused?;
        let leaf = &chain.plan[i];
        let op = leaf.layer(chain.layers).op();
        let input = self.values_at(i, x, rows * leaf.inputs);
        let logits = op.logits(input, &self.scratch[i][..self.scratch_len[i]]);
        Logits::of(&op.activation()?, logits)
    }

    /// The gradient by the output, to be swapped in before [`Workspace::backward`].
    pub fn output_gradient(&mut self) -> &mut Vec<f32> {
        &mut self.dy
    }

    /// Runs the chain backwards from the gradient by the output (or by the logits) of the last
    /// forward pass, and writes the gradients of all weights that learn.
    pub fn backward(&mut self, step: &BackwardStep, grads: &mut [f32]) {
        let BackwardStep { chain, x, rows, .. } = *step;
        let first = match chain.plan.iter().position(step.trainable) {
            _ if step.to_inputs => 0,
            Some(first) => first,
            None => return,
        };
        // The first layer that learns has nobody to pass a gradient to: its inputs, often the
        // widest, need no room.
        let passes_on = |i: usize| i > first || step.to_inputs;
        let widest = chain.plan.iter().enumerate().skip(first).map(|(i, leaf)| {
            let inputs = if passes_on(i) { leaf.inputs } else { 0 };
            leaf.outputs.max(inputs)
        });
        let widest = rows * widest.max().unwrap_or_default();
        grow(&mut self.dy, widest);
        grow(&mut self.dx, widest);
        let fused = self.fused.filter(|_| step.by_logits);
        for (i, leaf) in chain.plan.iter().enumerate().skip(first).rev() {
            let op = leaf.layer(chain.layers).op();
            if let Some(regularizer) = &leaf.penalty {
                self.penalize(step, regularizer, i, fused.filter(|&fused| i >= fused));
            }
            let flow = op.flow(true);
            if flow == Flow::Same {
                continue;
            }
            let input = match self.places[i] {
                Place::Batch => x,
                Place::Outputs(j) => self.outputs[j].as_slice(),
            };
            if let Some(rounding) = &self.rounding {
                let len = rows * leaf.outputs;
                rounding.mask_gradient(i, &self.outputs[i][..len], &mut self.dy[..len]);
            }
            let apart = flow == Flow::Apart;
            let dx = (apart && passes_on(i)).then(|| &mut self.dx[..rows * leaf.inputs]);
            op.backward(Backward {
                rows,
                width: leaf.width,
                x: &input[..rows * leaf.inputs],
                y: &self.outputs[i][..rows * leaf.outputs],
                dy: &mut self.dy[..rows * leaf.outputs],
                dx,
                scratch: &mut self.scratch[i][..self.scratch_len[i]],
                values: step.values,
                grads,
                from_logits: fused == Some(i),
                trainable: (step.trainable)(leaf),
            });
            if apart {
                std::mem::swap(&mut self.dy, &mut self.dx);
            }
        }
    }

    /// Adds the gradient of a penalty on the outputs of leaf `i` to `dy`; when that is by the
    /// logits of leaf `fused`, the penalty's gradient passes the activation first.
    fn penalize(
        &mut self,
        step: &BackwardStep,
        regularizer: &Regularizer,
        i: usize,
        fused: Option<usize>,
    ) {
        let BackwardStep { chain, x, rows, .. } = *step;
        let at = |place: Place| match place {
            Place::Batch => x,
            Place::Outputs(j) => self.outputs[j].as_slice(),
        };
        let shape = [rows, chain.plan[i].outputs];
        let len = shape[0] * shape[1];
        let y = &at(self.places[i + 1])[..len];
        let scale = 1.0 / rows as f32; // a small count
        let Some(fused) = fused else {
            regularizer.add_gradient(y, &shape, scale, &mut self.dy[..len]);
            return;
        };
        let own = &mut self.dx[..len];
        own.fill(0.0);
        regularizer.add_gradient(y, &shape, scale, own);
        let leaf = &chain.plan[fused];
        let op = leaf.layer(chain.layers).op();
        let scratch = &self.scratch[fused][..self.scratch_len[fused]];
        let logits = op.logits(&at(self.places[fused])[..rows * leaf.inputs], scratch);
        if let Some(activation) = op.activation() {
            activation.backward(logits, y, own, leaf.width);
        }
        for (dy, &own) in self.dy.iter_mut().zip(&*own) {
            *dy += own;
        }
    }
}

/// What a backward pass reads.
pub(crate) struct BackwardStep<'a> {
    pub chain: Chain<'a>,
    pub values: &'a [f32],
    /// The batch.
    pub x: &'a [f32],
    pub rows: usize,
    /// Whether a leaf has weights that learn.
    pub trainable: &'a dyn Fn(&Leaf) -> bool,
    /// Whether the gradient is by the logits of the last activation.
    pub by_logits: bool,
    /// Whether the gradient by the inputs of the model is wanted, too.
    pub to_inputs: bool,
}

/// The sigmoid or softmax that the model ends with, if it does.
pub(crate) fn last_activation(chain: Chain) -> Option<Activation> {
    activation_of(chain, fused(chain)?)
}

/// The leaf whose activation the model ends with, whatever comes after it that changes nothing.
fn fused(chain: Chain) -> Option<usize> {
    let mut leaves = chain.plan.iter();
    let last = leaves.rposition(|leaf| !leaf.layer(chain.layers).op().shows_logits())?;
    let activation = activation_of(chain, last)?;
    matches!(activation, Activation::Softmax | Activation::Sigmoid).then_some(last)
}

fn activation_of(chain: Chain, leaf: usize) -> Option<Activation> {
    chain.plan[leaf].layer(chain.layers).op().activation()
}
