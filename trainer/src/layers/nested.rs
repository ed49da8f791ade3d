//! A model in a model: its layers run in line with the others, its name stays in paths and files.

use serde_json::{Map, Value, json};

use super::base::{Backward, Base, Flow, Forward, Op, dtype_policy, op_base};
use super::{Input, Layer, batch_shape};
use crate::sequential::Sequential;
use crate::{Error, Result};

/// The layers of a model that is itself a layer. Made from a [`Sequential`] by `into`.
#[derive(Clone, Debug, PartialEq)]
pub struct Nested {
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

impl From<Sequential> for Layer {
    fn from(model: Sequential) -> Self {
        Self::Sequential(Nested::from(model))
    }
}

impl Nested {
    /// Its layers, without the input.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    pub(crate) fn from_config(class_name: &str, config: &Value) -> Result<Self> {
        Sequential::from_config(class_name, config).map(Self::from)
    }

    pub(crate) fn config(&self) -> Value {
        let mut layers = Vec::new();
        if let Some(input) = &self.input {
            layers.push(Layer::Input(input.clone()).serialized(None));
        }
        for (i, layer) in self.layers.iter().enumerate() {
            let shape = self.input_shapes.get(i).map(|s| batch_shape(None, s));
            layers.push(layer.serialized(shape.as_ref()));
        }
        let mut config = json!({"name": self.base.name(), "trainable": self.base.trainable,
            "dtype": dtype_policy(), "layers": layers});
        if let Some(shape) = self.input_shapes.first() {
            config["build_input_shape"] = batch_shape(None, shape);
        }
        config
    }
}

impl Op for Nested {
    op_base!("Sequential");

    fn extend_config(&self, _config: &mut Map<String, Value>) {}

    fn has_build_config(&self) -> bool {
        true
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
