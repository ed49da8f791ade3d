//! Keras' JSON of a model, both ways.

use serde_json::{Value, json};

use super::{Sequential, functional};
use crate::layers::{Layer, batch_shape, dtype_policy};
use crate::{Error, Result};

impl Sequential {
    /// Keras 3's `config` dict of the model.
    pub fn config(&self) -> Value {
        let mut layers = Vec::new();
        if let Some(input) = &self.input {
            layers.push(Layer::Input(input.clone()).serialized(None));
        }
        for (i, layer) in self.layers.iter().enumerate() {
            let shape = self.is_built().then(|| self.layer_input_shape(i)).flatten();
            layers.push(layer.serialized(shape.as_ref()));
        }
        let mut config = json!({"name": self.name, "trainable": self.trainable,
            "dtype": dtype_policy(), "layers": layers});
        if let Some(shape) = self.build_shape() {
            config["build_input_shape"] = shape;
        }
        config
    }

    /// Keras 3's serialized model: class, config, shapes, and the compile settings if there are
    /// any.
    pub fn serialized(&self) -> Value {
        let mut object = json!({"module": "keras", "class_name": "Sequential",
            "config": self.config(), "registered_name": null});
        if let Some(shape) = self.build_shape() {
            object["build_config"] = json!({"input_shape": shape});
        }
        object["compile_config"] = self.compile_config().unwrap_or(json!({}));
        object
    }

    /// The architecture as Keras' `model.to_json()` writes it.
    pub fn to_json(&self) -> String {
        self.serialized().to_string()
    }

    /// A model from Keras' `model.to_json()`, of Keras 2 or 3, compiled when the text says how.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for text that is not such JSON, [`Error::Unsupported`] for a layer or an
    /// architecture that thumbnet has not.
    pub fn from_json(text: &str) -> Result<Self> {
        let object: Value = serde_json::from_str(text)
            .map_err(|e| Error::value(format!("the model's JSON cannot be read: {e}")))?;
        let mut model = Self::from_serialized(&object)?;
        if let Some(compile) = object
            .get("compile_config")
            .filter(|c| c.get("loss").is_some())
        {
            model.compile_from_config(compile)?;
        }
        Ok(model)
    }

    /// A model from `{"class_name", "config"}`; not compiled.
    ///
    /// # Errors
    ///
    /// As [`Sequential::from_config`].
    pub fn from_serialized(object: &Value) -> Result<Self> {
        match (
            object.get("class_name").and_then(Value::as_str),
            object.get("config"),
        ) {
            (Some(class_name), Some(config)) => Self::from_config(class_name, config),
            _ => Err(Error::value(
                "the model's JSON has no \"class_name\" and \"config\", expected what model.to_json() writes",
            )),
        }
    }

    /// A model from its Keras class (`Sequential`; `Functional` or `Model` when it is a straight
    /// chain) and config, of Keras 2 or 3.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a layer, an option or a graph that thumbnet has not,
    /// [`Error::Value`] or [`Error::Shape`] for a config that Keras would not write.
    pub fn from_config(class_name: &str, config: &Value) -> Result<Self> {
        let layers = match class_name {
            "Sequential" => sequential_layers(config)?,
            "Functional" | "Model" => functional::chain(config)?,
            other => {
                return Err(Error::unsupported(format!(
                    "model class {other:?} is not supported, expected Sequential, or Functional as a straight chain of layers; rebuild the model as one"
                )));
            }
        };
        let mut model = Self::new();
        if let Some(name) = config.get("name").and_then(Value::as_str) {
            model.name = name.to_string();
        }
        for entry in layers {
            let class_name = entry.get("class_name").and_then(Value::as_str);
            let (Some(class_name), Some(config)) = (class_name, entry.get("config")) else {
                return Err(Error::value(format!(
                    "model {:?} has a layer without \"class_name\" and \"config\"",
                    model.name
                )));
            };
            let layer = Layer::from_config(class_name, config)?;
            // Keras counts given names, too, when it makes automatic ones later.
            model.names.note(std::slice::from_ref(&layer));
            model.add(layer)?;
        }
        let shape = config.get("build_input_shape").and_then(Value::as_array);
        if let Some([_, sample @ ..]) = shape.map(Vec::as_slice)
            && !model.is_built()
            && !model.layers.is_empty()
        {
            let sizes = sample.iter().map(|size| size.as_u64().map(|v| v as usize)); // 64-bit hosts
            if let Some(sample) = sizes.collect::<Option<Vec<_>>>() {
                model.build(&sample)?;
            }
        }
        if config.get("trainable").and_then(Value::as_bool) == Some(false) {
            // The layers' own settings hold; only the model's is taken over.
            model.trainable = false;
        }
        Ok(model)
    }

    fn build_shape(&self) -> Option<Value> {
        let input = self.input.as_ref().filter(|_| self.is_built())?;
        Some(batch_shape(input.batch_size, &input.shape))
    }

    /// Shape of what layer `index` sees, with the batch axis.
    fn layer_input_shape(&self, index: usize) -> Option<Value> {
        let input = self.input.as_ref()?;
        let sample = match index.checked_sub(1) {
            Some(before) => &self.output_shapes[before],
            None => &input.shape,
        };
        Some(batch_shape(input.batch_size, sample))
    }
}

/// The layers of a Sequential's config; Keras 1 and early Keras 2 have the list alone.
fn sequential_layers(config: &Value) -> Result<Vec<&Value>> {
    let layers = config.get("layers").unwrap_or(config).as_array();
    layers.map(|layers| layers.iter().collect()).ok_or_else(|| {
        Error::value("the model's config has no \"layers\", expected a list of layers")
    })
}
