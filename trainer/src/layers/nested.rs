//! A model in a model: its layers run in line with the others, its name stays in paths and files.

use serde_json::{Map, Value, json};

use super::base::{Backward, Base, Built, Flow, Forward, OnDevice, Op};
use super::functional;
use super::{Input, Layer, batch_shape};
use crate::keras::serialized;
use crate::{Error, Result};

/// The layers of a model that is itself a layer. Made from a
/// [`Sequential`](crate::Sequential) by `into`.
#[derive(Clone, Debug, PartialEq)]
pub struct Nested {
    /// Whether Keras has it as a Functional model, not as a Sequential.
    pub(crate) functional: bool,
    /// Its input, when it has one of its own.
    pub(crate) input: Option<Input>,
    pub(crate) layers: Vec<Layer>,
    /// Name, trainable and the like.
    pub base: Base,
    /// Weights it had when it was added, taken over when the outer model is built.
    pub(crate) values: Vec<f32>,
    /// Input shape of each of its layers, once built.
    pub(crate) input_shapes: Vec<Vec<usize>>,
}

impl Nested {
    /// Its layers, without the input.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    pub(crate) fn class_name(&self) -> &'static str {
        match self.functional {
            true => "Functional",
            false => "Sequential",
        }
    }

    /// Keras 3's serialized object around the config.
    pub(crate) fn serialized(&self, config: Value) -> Value {
        match self.functional {
            true => functional::object(config),
            false => serialized("keras", "Sequential", config),
        }
    }
}

impl Op for Nested {
    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn extend_config(&self, _config: &mut Map<String, Value>) {}

    fn config(&self) -> Value {
        let name = self.base.name();
        let shapes: Vec<_> = self
            .input_shapes
            .iter()
            .map(|shape| batch_shape(None, shape))
            .collect();
        let mut config = match (&self.input, self.functional) {
            (Some(input), true) => functional::config(input, &self.layers, &shapes),
            (input, _) => functional::sequential_config(input.as_ref(), &self.layers, &shapes),
        };
        config["name"] = json!(name);
        config["trainable"] = json!(self.base.trainable);
        config
    }

    fn call_arguments(&self) -> Value {
        json!({"mask": null})
    }

    fn on_device(&self, _built: &Built) -> OnDevice {
        OnDevice::Refused("add its layers to the model one by one")
    }

    /// That of a Functional is always the same.
    fn has_build_config(&self) -> bool {
        !self.functional
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        if let Some(own) = &self.input
            && own.shape != input
        {
            return Err(Error::shape(format!(
                "model {:?} takes samples of shape {:?}, but the layer before it gives {input:?}; give both the same shape",
                self.base.name(),
                own.shape
            )));
        }
        let mut shape = input.to_vec();
        for layer in &self.layers {
            shape = layer.op().output_shape(&shape)?;
        }
        Ok(shape)
    }

    // Only its layers run, each as one of the outer model's.
    fn flow(&self, _training: bool) -> Flow {
        Flow::Same
    }

    fn forward(&self, _pass: Forward) {}

    fn backward(&self, _pass: Backward) {}
}
