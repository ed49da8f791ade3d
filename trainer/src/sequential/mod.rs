//! `Sequential`: a chain of layers that is built, compiled, trained, evaluated and used as Keras'
//! model of that name.

mod build;
pub(crate) mod compile;
pub(crate) mod console;
pub(crate) mod run;
mod serialized;
mod summary;
pub(crate) mod targets;
mod weights;

use std::sync::{Arc, Mutex};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

pub use crate::samples::Samples;
pub use compile::CompileOptions;
pub(crate) use serialized::is_compiled;
pub use summary::SummaryOptions;

use crate::engine::rounding::Rounding;
use crate::engine::{Leaf, Workspace};
use crate::layers::{Input, Layer, Names};
use crate::signature::Signature;
use crate::variable::Variable;
use compile::Compiled;
use console::Output;
use run::Run;

/// A chain of layers, as `keras.Sequential`.
///
/// ```
/// use thumbnet_trainer::activations::Activation;
/// use thumbnet_trainer::layers::{Dense, Input};
/// use thumbnet_trainer::Sequential;
///
/// let mut model = Sequential::new().with_seed(7);
/// model.add(Input::new([4]))?;
/// model.add(Dense::new(16).with_activation("relu"))?;
/// model.add(Dense::new(3).with_activation(Activation::Softmax))?;
/// assert_eq!(model.count_params(), 4 * 16 + 16 + 16 * 3 + 3);
/// # Ok::<(), thumbnet_trainer::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sequential {
    pub(crate) name: String,
    /// Whether Keras has it as a Functional model, a chain all the same.
    pub(crate) functional: bool,
    pub(crate) trainable: bool,
    pub(crate) seed: u64,
    pub(crate) input: Option<Input>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) names: Names,
    /// All weights in Keras' order; their values lie in `values`.
    pub(crate) variables: Vec<Variable>,
    pub(crate) values: Vec<f32>,
    /// The layers that compute, nested ones in line. Empty until built.
    pub(crate) plan: Vec<Leaf>,
    /// Shape of one output sample of each of `layers`.
    pub(crate) output_shapes: Vec<Vec<usize>>,
    pub(crate) compiled: Option<Compiled>,
    pub(crate) workspace: Workspace,
    pub(crate) grads: Vec<f32>,
    pub(crate) rng: ChaCha8Rng,
    /// Calls of `fit` so far: each shuffles in its own way.
    pub(crate) fits: u64,
    /// The running `fit`, or the last one.
    pub(crate) run: Run,
    pub(crate) output: Output,
    /// What its columns and classes are called, where it was trained from a table.
    pub(crate) signature: Option<Signature>,
}

impl Default for Sequential {
    fn default() -> Self {
        Self::new()
    }
}

impl Sequential {
    /// A model without layers, named `sequential`, with a random seed.
    pub fn new() -> Self {
        let seed = rand::random();
        Self {
            name: "sequential".to_string(),
            functional: false,
            trainable: true,
            seed,
            input: None,
            layers: Vec::new(),
            names: Names::default(),
            variables: Vec::new(),
            values: Vec::new(),
            plan: Vec::new(),
            output_shapes: Vec::new(),
            compiled: None,
            workspace: Workspace::default(),
            grads: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            fits: 0,
            run: Run::training(seed),
            output: Output::Stdout,
            signature: None,
        }
    }

    /// A model of these layers; see [`Sequential::add`].
    ///
    /// # Errors
    ///
    /// As [`Sequential::add`].
    pub fn from_layers(layers: impl IntoIterator<Item = Layer>) -> crate::Result<Self> {
        let mut model = Self::new();
        for layer in layers {
            model.add(layer)?;
        }
        Ok(model)
    }

    /// The model with another name. Give it before the layers: their weights' paths begin with it.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The model with this seed for initial weights, shuffling and noise; see
    /// [`Sequential::set_seed`].
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.set_seed(seed);
        self
    }

    /// Sets the seed for initial weights, shuffling and noise, before or after layers are added.
    /// Initial weights are drawn anew; those that were trained, loaded or set keep their values.
    pub fn set_seed(&mut self, seed: u64) {
        // Layers that were built once are built again.
        let redrawn = self.redraw(seed);
        debug_assert!(redrawn.is_ok(), "{redrawn:?}");
        self.seed = seed;
        self.rng = ChaCha8Rng::seed_from_u64(seed);
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its columns and classes are called; none where nobody has said so.
    pub fn signature(&self) -> Option<&Signature> {
        self.signature.as_ref()
    }

    /// Says what its columns and classes are called; its file keeps that.
    ///
    /// # Errors
    ///
    /// [`Error::Value`](crate::Error::Value) where the model is built and has other numbers of
    /// inputs or outputs.
    pub fn set_signature(&mut self, signature: Option<Signature>) -> crate::Result<()> {
        if let (Some(signature), Some(input), Some(output)) =
            (&signature, self.input_shape(), self.output_shape())
        {
            signature.check_model(input.iter().product(), output.last().copied().unwrap_or(1))?;
        }
        self.signature = signature;
        Ok(())
    }

    /// The device's rounding in every later pass; none for floats again. Kernels are left on
    /// their grids when it ends.
    pub(crate) fn set_rounding(&mut self, rounding: Option<Rounding>) {
        if let (None, Some(mut last)) = (&rounding, self.workspace.rounding.take()) {
            last.round_kernels(&mut self.values);
        }
        self.workspace.rounding = rounding;
    }

    /// The layers that compute, nested ones in line; empty until built.
    pub(crate) fn leaves(&self) -> &[Leaf] {
        &self.plan
    }

    /// The layers, without the input.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The layers, to freeze them and the like; see [`Sequential::layer_mut`].
    pub fn layers_mut(&mut self) -> &mut [Layer] {
        &mut self.layers
    }

    /// The layer of this name.
    pub fn layer(&self, name: &str) -> Option<&Layer> {
        self.layers.iter().find(|layer| layer.name() == name)
    }

    /// The layer of this name, to freeze it and the like. Options that its weights were made by
    /// have no effect once the model is built. Freezing and unfreezing hold from the next call that
    /// trains, where Keras waits for the next `compile`; a new `compile` makes both the same.
    pub fn layer_mut(&mut self, name: &str) -> Option<&mut Layer> {
        self.layers.iter_mut().find(|layer| layer.name() == name)
    }

    /// Freezes or unfreezes all layers.
    pub fn set_trainable(&mut self, trainable: bool) {
        self.trainable = trainable;
        for layer in &mut self.layers {
            layer.set_trainable(trainable);
        }
        self.refresh_trainable();
    }

    /// Whether shapes and weights exist.
    pub fn is_built(&self) -> bool {
        !self.output_shapes.is_empty()
    }

    /// Shape of one input sample, when known.
    pub fn input_shape(&self) -> Option<&[usize]> {
        self.input.as_ref().map(|input| input.shape.as_slice())
    }

    /// Shape of one output sample, once built.
    pub fn output_shape(&self) -> Option<&[usize]> {
        self.output_shapes.last().map(Vec::as_slice)
    }

    /// Shape of one output sample of every layer, once built.
    pub fn output_shapes(&self) -> &[Vec<usize>] {
        &self.output_shapes
    }

    /// Asks `fit` to return after this batch.
    pub fn stop_training(&mut self) {
        self.run.stop_training = true;
    }

    /// Asks `evaluate`, or the validation of `fit`, to return after this batch.
    pub fn stop_evaluating(&mut self) {
        self.run.stop_evaluating = true;
    }

    /// Whether every layer can be trained with its options.
    pub(crate) fn check_training(&self) -> crate::Result<()> {
        let mut leaves = self.plan.iter();
        leaves.try_for_each(|leaf| leaf.layer(&self.layers).op().check_training())?;
        self.check_masks_in_training()
    }

    /// Whether [`Sequential::stop_training`] was called since `fit` began.
    pub fn is_stopping(&self) -> bool {
        self.run.stop_training
    }

    /// Whether the last `fit` was ended by its `interrupt`. Its last epoch is not whole then: it was not
    /// validated, callbacks have not seen its end, and it is not in the history.
    pub fn was_interrupted(&self) -> bool {
        self.run.interrupted
    }

    /// Lets the running `fit` begin with this batch of this epoch, both counted from 0; for
    /// callbacks that restore a training when it begins.
    pub fn resume_at(&mut self, epoch: usize, batch: usize) {
        self.run.resume = Some((epoch, batch));
    }

    /// [`Callback::state`](crate::callbacks::Callback::state) of each callback of the running `fit`
    /// at the end of this batch or epoch; null for none. Only noted when a callback keeps them.
    pub fn callback_states(&self) -> &[serde_json::Value] {
        &self.run.callback_states
    }

    /// Gives the callbacks of the running `fit` these states; for callbacks that restore a training
    /// when it begins.
    pub fn set_callback_states(&mut self, states: Vec<serde_json::Value>) {
        self.run.callback_states = states;
    }

    /// Seed of the shuffling and noise of the running `fit`.
    pub fn training_seed(&self) -> u64 {
        self.run.seed
    }

    /// Sets the seed of the running `fit`; for callbacks that restore a training when it begins.
    pub fn set_training_seed(&mut self, seed: u64) {
        self.run.seed = seed;
    }

    /// Sends the progress bar and the callbacks' messages to `writer` in place of the standard
    /// output.
    pub fn set_output(&mut self, writer: Arc<Mutex<dyn std::io::Write + Send>>) {
        self.output = Output::Writer(writer);
    }

    /// Prints text where the progress bar goes, without adding a line break.
    pub fn print(&self, text: &str) {
        self.output.print(text);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;
    use crate::activations::Activation;
    use crate::layers::Dense;
    use crate::training::FitOptions;

    #[test]
    fn xor_is_learnt_from_a_seed_and_again_from_it() {
        let x = arr2(&[[0., 0.], [0., 1.], [1., 0.], [1., 1.]]);
        let y = ndarray::arr1(&[0., 1., 1., 0.]);
        let train = || {
            let mut model = Sequential::new().with_seed(3);
            model.add(Input::new([2])).unwrap();
            model
                .add(Dense::new(16).with_activation(Activation::Tanh))
                .unwrap();
            model
                .add(Dense::new(1).with_activation(Activation::Sigmoid))
                .unwrap();
            let mut options =
                CompileOptions::named("adam", "binary_crossentropy", &["accuracy"]).unwrap();
            options.optimizer.set_learning_rate(0.05).unwrap();
            model.compile_with(options).unwrap();
            let fit = FitOptions {
                epochs: 100,
                batch_size: Some(2),
                verbose: 0,
                ..Default::default()
            };
            let history = model.fit(&x, &y, fit).unwrap();
            (history.last("accuracy").unwrap(), model.values().to_vec())
        };
        let (accuracy, weights) = train();
        assert_eq!(accuracy, 1.0);
        assert_eq!(train().1, weights);
    }
}
