//! What all layers share: the options of Keras' `Layer`, and the inside view that `Sequential`
//! has of them.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use super::arguments::Config;
use super::lookup::LookupStep;
use super::windows::Windows;
use crate::activations::Activation;
use crate::constraints::Constraint;
use crate::custom::ScaleOffset;
use crate::initializers::Initializer;
use crate::regularizers::Regularizer;
use crate::variable::Variable;
use crate::{Error, Result};

/// Options that every layer has.
#[derive(Clone, Debug, PartialEq)]
pub struct Base {
    /// Unique in its model. Defaults to Keras' automatic name, such as `dense_1`, given when the
    /// layer is added.
    pub name: Option<String>,
    /// Whether the weights learn. Defaults to true.
    pub trainable: bool,
    /// Adds a penalty on the outputs, divided by the batch size, to the loss. Defaults to none.
    pub activity_regularizer: Option<Regularizer>,
    /// Shape of one sample, for a model's first layer. Defaults to unknown until `build` or `fit`.
    pub input_shape: Option<Vec<usize>>,
    /// Why the layer cannot be added, where an option was given that there is not.
    #[doc(hidden)]
    pub flaw: Option<String>,
}

impl Default for Base {
    fn default() -> Self {
        Self {
            name: None,
            trainable: true,
            activity_regularizer: None,
            input_shape: None,
            flaw: None,
        }
    }
}

impl Base {
    /// From a Keras 2 or 3 layer config.
    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        config.check_dtype()?;
        if config.is_null("trainable") {
            return Err(config.error("trainable", "true or false"));
        }
        let shape = config
            .get("batch_shape")
            .or_else(|| config.get("batch_input_shape"))
            // Keras 2's Normalization says how many axes its data had, and no sizes.
            .filter(|shape| !is_unknown(shape));
        Ok(Self {
            name: config.string("name")?,
            trainable: config.bool("trainable", true)?,
            activity_regularizer: config.regularizer("activity_regularizer")?,
            input_shape: match shape {
                Some(shape) => Some(config.sample_shape(shape)?),
                None => None,
            },
            flaw: None,
        })
    }

    /// The value, or the default with the error kept until the layer is added.
    pub(crate) fn settle<T>(
        &mut self,
        value: impl TryInto<T, Error: Into<Error>>,
        default: T,
    ) -> T {
        value.try_into().unwrap_or_else(|error| {
            self.flaw = Some(error.into().to_string());
            default
        })
    }

    /// The name, or the empty string before the layer was added.
    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// The keys of Keras 3's `Layer.get_config`.
    pub(crate) fn config(&self) -> Map<String, Value> {
        let mut config = Map::new();
        config.insert("name".into(), json!(self.name()));
        config.insert("trainable".into(), json!(self.trainable));
        config.insert("dtype".into(), dtype_policy());
        if let Some(regularizer) = &self.activity_regularizer {
            config.insert("activity_regularizer".into(), regularizer.config());
        }
        config
    }
}

fn is_unknown(batch_shape: &Value) -> bool {
    let sizes = batch_shape.as_array().map(Vec::as_slice);
    matches!(sizes, Some([_, sizes @ ..]) if sizes.iter().any(Value::is_null))
}

/// Keras 3's serialized `float32` policy.
pub(crate) fn dtype_policy() -> Value {
    json!({"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"},
           "registered_name": null})
}

/// How a layer's output lies to its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// The output is the input (the shape may differ): nothing is computed, no buffer is needed.
    Same,
    /// As many outputs as inputs; `backward` turns the output gradient into the input gradient
    /// in the same buffer.
    InPlace,
    /// Any number of outputs; `backward` writes the input gradient to its own buffer.
    Apart,
}

/// One forward pass of one layer.
pub(crate) struct Forward<'a> {
    pub rows: usize,
    /// Last axis of the outputs.
    pub width: usize,
    /// `[rows, input sample]`
    pub x: &'a [f32],
    /// `[rows, output sample]`, to be written.
    pub y: &'a mut [f32],
    /// [`Op::scratch_len`] values, kept until the backward pass.
    pub scratch: &'a mut [f32],
    /// Weights of the whole model.
    pub values: &'a [f32],
    pub training: bool,
    pub rng: &'a mut ChaCha8Rng,
}

/// One backward pass of one layer over the samples of the last forward pass.
pub(crate) struct Backward<'a> {
    pub rows: usize,
    /// Last axis of the outputs.
    pub width: usize,
    /// `[rows, input sample]`
    pub x: &'a [f32],
    /// `[rows, output sample]`
    pub y: &'a [f32],
    /// Gradient of the loss by `y`; by the logits when `from_logits`. May be overwritten.
    pub dy: &'a mut [f32],
    /// Gradient of the loss by `x`, to be written; `None` when nobody needs it or when the layer
    /// is [`Flow::InPlace`].
    pub dx: Option<&'a mut [f32]>,
    pub scratch: &'a mut [f32],
    pub values: &'a [f32],
    /// Gradients by the weights of the whole model; the layer overwrites those of its own.
    pub grads: &'a mut [f32],
    /// `dy` is the gradient by what the layer's activation was applied to.
    pub from_logits: bool,
    /// Whether the gradients by the layer's weights are needed.
    pub trainable: bool,
}

/// Where a layer's weights are made.
pub(crate) struct Weights<'a> {
    /// Keras' path of the layer, such as `sequential/dense`.
    pub path: String,
    pub trainable: bool,
    pub seed: u64,
    /// Of each weight added: whether it learns when the layer is not frozen.
    pub learns: Vec<bool>,
    pub variables: &'a mut Vec<Variable>,
    pub values: &'a mut Vec<f32>,
}

/// What one weight is like, beside its shape.
pub(crate) struct Weight<'a> {
    pub name: &'a str,
    pub initializer: &'a Initializer,
    pub regularizer: Option<Regularizer>,
    pub constraint: Option<Constraint>,
    pub trainable: bool,
}

impl<'a> Weight<'a> {
    /// A trainable weight without regularizer or constraint.
    pub fn new(name: &'a str, initializer: &'a Initializer) -> Self {
        Self {
            name,
            initializer,
            regularizer: None,
            constraint: None,
            trainable: true,
        }
    }

    /// A weight that gradients never reach.
    pub fn state(name: &'a str, initializer: &'a Initializer) -> Self {
        Self {
            trainable: false,
            ..Self::new(name, initializer)
        }
    }
}

/// Most values of a model's weights together, and of one sample between two layers: 1 GiB. More
/// is a mistake in a file or in a shape, and is refused before memory is taken.
pub(crate) const MOST_VALUES: usize = 1 << 28;

/// How many values an array of this shape has, unless they are more than can be counted.
pub(crate) fn value_count(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1_usize, |count, &size| count.checked_mul(size))
}

impl Weights<'_> {
    /// Appends one weight with initial values and returns where it lies.
    pub fn add(&mut self, weight: Weight, shape: &[usize]) -> Result<Range<usize>> {
        let path = format!("{}/{}", self.path, weight.name);
        let checks = [
            weight.initializer.check(shape),
            weight
                .regularizer
                .as_ref()
                .map_or(Ok(()), |r| r.check(shape)),
            weight
                .constraint
                .as_ref()
                .map_or(Ok(()), |c| c.check(shape)),
        ];
        for check in checks {
            check.map_err(|e| Error::shape(format!("{path}: {e}")))?;
        }
        let count = value_count(shape);
        if count.is_none_or(|count| self.values.len() + count > MOST_VALUES) {
            return Err(Error::shape(format!(
                "{path}: weights of shape {shape:?} bring the model above {MOST_VALUES} values, expected at most that many; give its layers fewer units"
            )));
        }
        // A golden-ratio walk: neighbours differ in half of their bits, and every variable of
        // every model with the same seed begins the same.
        let index = self.variables.len() as u64;
        let seed = self
            .seed
            .wrapping_add(index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let start = self.values.len();
        self.values.extend(weight.initializer.sample(shape, seed));
        let range = start..self.values.len();
        self.learns.push(weight.trainable);
        self.variables.push(Variable {
            path,
            name: weight.name.to_string(),
            shape: shape.to_vec(),
            range: range.clone(),
            trainable: weight.trainable && self.trainable,
            regularizer: weight.regularizer,
            constraint: weight.constraint,
        });
        Ok(range)
    }
}

/// The inside view of a layer. Shapes are those of one sample, without the batch axis.
pub(crate) trait Op {
    fn base(&self) -> &Base;
    fn base_mut(&mut self) -> &mut Base;
    /// Adds the class's own keys to a Keras 3 config.
    fn extend_config(&self, config: &mut Map<String, Value>);
    /// Keras 3's whole config.
    fn config(&self) -> Value {
        let mut config = self.base().config();
        self.extend_config(&mut config);
        Value::Object(config)
    }
    /// What files have beside the class's own keys and those of every layer.
    fn other_keys(&self) -> &'static [&'static str] {
        &[]
    }
    /// What Keras calls the layer with, beside the input.
    fn call_arguments(&self) -> Value {
        json!({})
    }
    /// What Keras calls an operation with behind the input.
    fn more_arguments(&self) -> Vec<Value> {
        Vec::new()
    }
    /// Whether Keras 3 writes a `build_config` for this class.
    fn has_build_config(&self) -> bool {
        false
    }
    /// Checks the input and says what comes out.
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        Ok(input.to_vec())
    }
    /// Makes the weights for inputs of this shape.
    fn build(&mut self, _input: &[usize], _weights: &mut Weights) -> Result<()> {
        Ok(())
    }
    fn flow(&self, training: bool) -> Flow;
    /// The elementwise function or softmax that the layer ends with.
    fn activation(&self) -> Option<Activation> {
        None
    }
    /// Scratch values needed for `rows` samples of `inputs` to `outputs` values each.
    fn scratch_len(&self, _pass: &Scratch) -> usize {
        0
    }
    fn forward(&self, pass: Forward);
    fn backward(&self, pass: Backward);
    /// What the layer is on the device; its activation aside.
    fn on_device(&self, built: &Built) -> OnDevice;
    /// Whether a loss sees the logits of the layer before it, as through one that changes nothing.
    /// `Flatten` and `Reshape` do not count as such: Keras loses sight of the logits there.
    fn shows_logits(&self) -> bool {
        false
    }
    /// What the last activation was applied to, of the last forward pass with logits kept.
    fn logits<'a>(&self, x: &'a [f32], _scratch: &'a [f32]) -> &'a [f32] {
        x
    }
    /// Refuses samples that the layer cannot take, where it is the first; values of all rows, one after the other.
    fn check_inputs(&self, _x: &[f32]) -> Result<()> {
        Ok(())
    }
    /// Whether training is defined with these options; inference may be without.
    fn check_training(&self) -> Result<()> {
        Ok(())
    }
    /// Updates state that is not learnt by gradients, after a forward pass in training.
    fn update_state(&self, _values: &mut [f32], _scratch: &[f32]) {}
}

/// What a layer is on the device.
pub(crate) enum OnDevice {
    /// Nothing: it acts in training only, or changes the shape.
    Nothing,
    /// A kernel and a bias, the weights of these names.
    Dense,
    /// A scale and an offset of each value.
    Scale(ScaleOffset),
    /// Sums of values of a sample.
    Sums(Windows),
    /// Groups of values by their own mean and deviation.
    Normalize(Normalized),
    /// `x`, or where it is below zero `x` times a slope; one for each value of a sample.
    Prelu(Vec<f64>),
    /// The greatest of windows, along one axis after the other.
    MaxPool(Vec<MaxPoolStep>),
    /// Rows of a table.
    Lookup(LookupStep),
    /// One after the other.
    Steps(Vec<OnDevice>),
    /// It does not run there; what to do.
    Refused(&'static str),
}

/// Max pooling along one axis, as the device has it: a sample is `blocks` blocks of `steps` rows of
/// `channels` values; window w of a block has `size` rows from `w * stride - before` on, but for those beyond its ends.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MaxPoolStep {
    pub blocks: usize,
    pub steps: usize,
    pub channels: usize,
    pub windows: usize,
    pub size: usize,
    pub stride: usize,
    pub before: usize,
}

impl MaxPoolStep {
    /// For each output of a sample, the inputs that it is the greatest of.
    pub fn terms(&self) -> impl Iterator<Item = impl Iterator<Item = usize>> + '_ {
        (0..self.blocks * self.windows * self.channels).map(move |output| {
            let (window, channel) = (output / self.channels, output % self.channels);
            let (block, window) = (window / self.windows, window % self.windows);
            let from = window * self.stride;
            let until = (from + self.size - self.before).min(self.steps);
            let first = block * self.steps;
            let rows = from.saturating_sub(self.before)..until;
            rows.map(move |row| (first + row) * self.channels + channel)
        })
    }
}

/// Groups of a sample's values, each by its own mean and deviation, then a scale and an offset.
pub(crate) struct Normalized {
    /// What the device does.
    pub step: NormalizeStep,
    /// Of each value of a sample.
    pub scale: Vec<f64>,
    pub offset: Vec<f64>,
}

/// A normalization as the device has it: `z = max(squares + epsilon, least)` and `y = (x - mean) / sqrt(z)`,
/// squares being the mean square of x - mean, or its sum.
///
/// A sample is `blocks` blocks of `steps` rows of `groups` times `run` values; a group has the same `run` values of
/// each row of a block.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NormalizeStep {
    pub blocks: usize,
    pub steps: usize,
    pub groups: usize,
    pub run: usize,
    /// Whether the mean is subtracted; else it is taken as 0.
    pub centered: bool,
    /// Whether squares are a sum.
    pub by_length: bool,
    pub epsilon: f64,
    pub least: f64,
}

/// Smaller ones are taken as this: nothing that a sample's mean square could be but 0.
const LEAST: f64 = 1e-28;

impl NormalizeStep {
    /// For groups given by the positions of their values in a sample; none where they do not lie as the
    /// device needs them.
    pub fn of(positions: &[Vec<usize>], epsilon: f64) -> Option<Self> {
        let first = positions.first()?;
        let run = first.iter().zip(first[0]..).take_while(|(a, b)| *a == b);
        let (run, len) = (run.count(), first.len());
        let total = len * positions.len();
        // From one row of a block to the next.
        let row = first.get(run).map_or(run, |next| next - first[0]);
        let sound = row.is_multiple_of(run) && total.is_multiple_of(row * (len / run));
        let found = Self {
            blocks: total / (row * (len / run)),
            steps: len / run,
            groups: row / run,
            run,
            centered: true,
            by_length: false,
            epsilon,
            least: LEAST,
        };
        let is_own = |group: &Vec<usize>| {
            let places = found.positions(group[0]);
            group.iter().copied().eq(places)
        };
        (sound && positions.iter().all(is_own)).then_some(found)
    }

    /// Values of a group.
    pub fn len(&self) -> usize {
        self.steps * self.run
    }

    /// Where the values of a group lie, the first being there.
    fn positions(&self, first: usize) -> impl Iterator<Item = usize> {
        let row = self.groups * self.run;
        (0..self.steps).flat_map(move |step| (0..self.run).map(move |i| first + step * row + i))
    }

    /// Normalizes a sample.
    pub fn apply(&self, sample: &mut [f64]) {
        let row = self.groups * self.run;
        let starts = (0..self.blocks).flat_map(|block| {
            (0..self.groups).map(move |group| block * self.steps * row + group * self.run)
        });
        for start in starts {
            let count = self.len() as f64; // far below 2^52
            let mean = match self.centered {
                true => self.positions(start).map(|i| sample[i]).sum::<f64>() / count,
                false => 0.0,
            };
            let squares = self.positions(start).map(|i| (sample[i] - mean).powi(2));
            let squares = squares.sum::<f64>() / if self.by_length { 1.0 } else { count };
            let root = (squares + self.epsilon).max(self.least).sqrt();
            for i in self.positions(start) {
                sample[i] = (sample[i] - mean) / root;
            }
        }
    }
}

/// What to do in place of groups that lie otherwise.
pub(crate) const ELSEWHERE: OnDevice =
    OnDevice::Refused("normalize over the last axis, or over axes that follow each other");

/// The weights of a layer that is built.
pub(crate) struct Built<'a> {
    /// Of this layer.
    pub variables: &'a [Variable],
    /// Of the whole model.
    pub values: &'a [f32],
}

impl Built<'_> {
    /// The values of the weight of this name.
    pub fn find(&self, name: &str) -> Option<Vec<f64>> {
        let variable = self
            .variables
            .iter()
            .find(|variable| variable.name == name)?;
        let values = &self.values[variable.range.clone()];
        Some(values.iter().map(|&value| f64::from(value)).collect())
    }
}

/// What a layer's scratch depends on.
pub(crate) struct Scratch {
    pub rows: usize,
    /// Values of one output sample.
    pub outputs: usize,
    pub training: bool,
    /// Whether [`Op::logits`] will be asked.
    pub logits: bool,
}

/// Methods that every layer struct has, on its field `base`.
macro_rules! layer_options {
    ($class:ident) => {
        impl $class {
            /// The same layer with a name of its own.
            pub fn named(mut self, name: impl Into<String>) -> Self {
                self.base.name = Some(name.into());
                self
            }

            /// The same layer, not learning.
            pub fn frozen(mut self) -> Self {
                self.base.trainable = false;
                self
            }

            /// The same layer as a model's first one, for samples of this shape.
            pub fn with_input_shape(mut self, shape: impl Into<Vec<usize>>) -> Self {
                self.base.input_shape = Some(shape.into());
                self
            }

            /// The same layer with a penalty on its outputs.
            pub fn with_activity_regularizer(
                mut self,
                regularizer: crate::regularizers::Regularizer,
            ) -> Self {
                self.base.activity_regularizer = Some(regularizer);
                self
            }
        }

        impl From<$class> for crate::layers::Layer {
            fn from(layer: $class) -> Self {
                crate::layers::Layer::$class(layer)
            }
        }
    };
}
pub(crate) use layer_options;

/// The parts of [`Op`] that every layer struct has alike.
macro_rules! op_base {
    () => {
        fn base(&self) -> &crate::layers::base::Base {
            &self.base
        }

        fn base_mut(&mut self) -> &mut crate::layers::base::Base {
            &mut self.base
        }
    };
}
pub(crate) use op_base;

/// Resolves Keras' axis (counted from the batch axis, or from the end when negative) to an axis
/// of one sample.
pub(crate) fn sample_axis(axis: i64, sample: &[usize], class: &str) -> Result<usize> {
    let rank = sample.len() as i64 + 1; // shapes are short
    let from_batch = if axis < 0 { axis + rank } else { axis };
    if (1..rank).contains(&from_batch) {
        Ok(from_batch as usize - 1) // in 1..rank
    } else if from_batch == 0 {
        Err(Error::shape(format!(
            "{class}: axis {axis} is that of the rows of a batch, which have nothing to do with each other, expected 1..{rank} or -1..-{}",
            rank - 1
        )))
    } else {
        Err(Error::shape(format!(
            "{class}: axis {axis} is out of bounds for inputs of rank {rank}, expected 1..{rank} or -1..-{}",
            rank - 1
        )))
    }
}

/// Which value of a row-major array of shape `kept` each value of a sample of shape `sample`
/// takes; an axis of `kept` is either that of the sample or 1.
pub(crate) fn broadcast_index(sample: &[usize], kept: &[usize]) -> Vec<usize> {
    let mut indices = vec![0];
    for (&size, &kept) in sample.iter().zip(kept) {
        let along = |&index: &usize| (0..size).map(move |i| index * kept + i % kept);
        indices = indices.iter().flat_map(along).collect();
    }
    indices
}

/// `-1` before the layer is built and `[-1]` after it, as Keras has it.
pub(crate) fn axis_config(axis: &[i64], built: bool) -> Value {
    match axis {
        [axis] if !built => json!(axis),
        axis => json!(axis),
    }
}
