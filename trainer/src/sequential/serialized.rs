//! Keras' JSON of a model, both ways.

use serde_json::{Value, json};

use super::Sequential;
use crate::keras::{Dialect, LayerObject, functional_layers, is_model, listed};
use crate::layers::{Layer, Nested, batch_shape};
use crate::layers::{functional, operations};
use crate::{Error, Result};

impl Sequential {
    /// Keras 3's `config` dict of the model.
    pub fn config(&self) -> Value {
        let shapes: Vec<_> = (0..self.output_shapes.len())
            .map_while(|i| self.layer_input_shape(i))
            .collect();
        let mut config = match &self.input {
            Some(input) if self.functional => functional::config(input, &self.layers, &shapes),
            input => functional::sequential_config(input.as_ref(), &self.layers, &shapes),
        };
        config["name"] = json!(self.name);
        config["trainable"] = json!(self.trainable);
        config
    }

    /// Keras 3's serialized model: class, config, shapes, and the compile settings if there are
    /// any.
    pub fn serialized(&self) -> Value {
        let mut object = match self.functional {
            true => functional::object(self.config()),
            false => json!({"module": "keras", "class_name": "Sequential",
                "config": self.config(), "registered_name": null}),
        };
        if let (Some(shape), false) = (self.build_shape(), self.functional) {
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
            .filter(|settings| is_compiled(settings))
        {
            model.compile_from_config(compile)?;
        }
        Ok(model)
    }

    /// A model from `{"class_name", "config"}`; not compiled. An entry `"keras_version"` of Keras 2
    /// makes `hard_sigmoid` what it was then.
    ///
    /// # Errors
    ///
    /// As [`Sequential::from_config`].
    pub fn from_serialized(object: &Value) -> Result<Self> {
        let version = object.get("keras_version").and_then(Value::as_str);
        Self::read(object, Dialect::of(version.unwrap_or_default()))
    }

    /// A model from its Keras class (`Sequential`; `Functional` or `Model` when it is a straight
    /// chain) and config, of Keras 2 or 3.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a layer, an option or a graph that thumbnet has not,
    /// [`Error::Value`] or [`Error::Shape`] for a config that Keras would not write.
    pub fn from_config(class_name: &str, config: &Value) -> Result<Self> {
        Self::of_class(class_name, config, Dialect::Keras3)
    }

    /// A model from `{"class_name", "config"}`; not compiled.
    pub(crate) fn read(object: &Value, dialect: Dialect) -> Result<Self> {
        let class_name = object.get("class_name").and_then(Value::as_str);
        match (class_name, object.get("config")) {
            (Some(class_name), Some(config)) => Self::of_class(class_name, config, dialect),
            _ => Err(Error::value(
                "the model's JSON has no \"class_name\" and \"config\", expected what model.to_json() writes",
            )),
        }
    }

    fn of_class(class_name: &str, config: &Value, dialect: Dialect) -> Result<Self> {
        let functional = class_name != "Sequential";
        let layers = match class_name {
            "Sequential" => sequential_layers(config)?,
            "Functional" | "Model" => functional_layers(config)?,
            other => {
                return Err(Error::unsupported(format!(
                    "model class {other:?} is not supported, expected Sequential, or Functional as a straight chain of layers; train one of these"
                )));
            }
        };
        let mut model = Self::new();
        model.functional = functional;
        if let Some(name) = config.get("name").and_then(Value::as_str) {
            model.name = name.replace('/', "_"); // as for its layers, below
        }
        let mut slashes = false;
        for entry in layers {
            let object = LayerObject::parse(entry);
            let Some((config, object)) = object.and_then(|object| Some((object.config?, object)))
            else {
                return Err(Error::value(format!(
                    "model {:?} has a layer without \"class_name\" and \"config\"",
                    model.name
                )));
            };
            let class_name = object.registered.as_deref().unwrap_or(object.class_name);
            let mut layer = match operations::as_layer(entry)? {
                Some((class_name, config)) => layer(class_name, &config, dialect)?,
                None => layer(class_name, config, dialect)?,
            };
            let taken = |name: &str| model.layers.iter().any(|layer| layer.name() == name);
            if layer.name().contains('/') || (slashes && taken(layer.name())) {
                // Keras 2 allows slashes, Keras 3 refuses them: `block/dense` is `block_dense`.
                let mut name = layer.name().replace('/', "_");
                while taken(&name) {
                    name.push('_');
                }
                layer.op_mut().base_mut().name = Some(name);
                slashes = true;
            }
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
        if functional && config.get("trainable").and_then(Value::as_bool) == Some(false) {
            // The layers' own settings hold. That of a Sequential Keras does not read.
            model.trainable = false;
            model.refresh_trainable();
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

/// Whether a file's compile settings are any: an uncompiled model's are null or empty.
pub(crate) fn is_compiled(settings: &Value) -> bool {
    settings
        .as_object()
        .is_some_and(|object| !object.is_empty())
}

impl Layer {
    /// A layer from its Keras class and config, of Keras 2 or 3.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a class or an option that thumbnet has not,
    /// [`Error::Value`] for a config that Keras would not write.
    pub fn from_config(class_name: &str, config: &Value) -> Result<Self> {
        layer(class_name, config, Dialect::Keras3)
    }
}

fn layer(class_name: &str, config: &Value, dialect: Dialect) -> Result<Layer> {
    match is_model(class_name) {
        true => nested(class_name, config, dialect).map(Layer::Sequential),
        false => Layer::read(class_name, config, dialect),
    }
}

/// A model inside a model.
fn nested(class_name: &str, config: &Value, dialect: Dialect) -> Result<Nested> {
    let mut nested = Nested::from(Sequential::of_class(class_name, config, dialect)?);
    if let Some(input) = nested.input.as_ref().filter(|input| input.is_whole()) {
        return Err(Error::unsupported(format!(
            "model {:?} inside another one has an input of dtype {}, which would cut off the values that it gets; rebuild it with an input of float32",
            nested.base.name(),
            input.dtype
        )));
    }
    if let Some(name) = config.get("name").and_then(Value::as_str) {
        // Given, even when it is the one that a model without a name has.
        nested.base.name = Some(name.to_string());
    }
    Ok(nested)
}

/// The layers of a Sequential's config; Keras 1 and early Keras 2 have the list alone.
fn sequential_layers(config: &Value) -> Result<Vec<&Value>> {
    let layers = listed(config).ok_or_else(|| {
        Error::value("the model's config has no \"layers\", expected a list of layers")
    })?;
    Ok(layers.iter().collect())
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    fn model(keras_version: &str, layers: Value) -> Sequential {
        let object = json!({"class_name": "Sequential", "keras_version": keras_version,
            "config": {"name": "my/s", "layers": layers}});
        Sequential::from_serialized(&object).unwrap()
    }

    #[test]
    fn hard_sigmoid_is_that_of_the_keras_which_wrote_the_model() {
        let layers = json!([
            {"class_name": "InputLayer", "config": {"name": "i", "batch_shape": [null, 1]}},
            {"class_name": "Activation", "config": {"name": "a", "activation": "hard_sigmoid"}},
        ]);
        let predict = |version| {
            let model = model(version, layers.clone());
            // As the model's own JSON says it, too.
            let again = Sequential::from_json(&model.to_json()).unwrap();
            let x = arr2(&[[1.0], [-2.75]]);
            let y = model.predict(&x).unwrap();
            assert_eq!(again.predict(&x).unwrap(), y);
            y.into_raw_vec_and_offset().0
        };
        // 0.2 * 1 + 0.5, and below 0; (1 + 3) / 6 and (-2.75 + 3) / 6.
        assert_eq!(predict("2.15.0"), [0.7, 0.0]);
        assert_eq!(predict("3.15.1"), [4.0 / 6.0, 0.25 / 6.0]);
    }

    #[test]
    fn slashes_of_keras_2_become_underscores() {
        let layer =
            |name: &str| json!({"class_name": "Dense", "config": {"name": name, "units": 1}});
        let model = model(
            "2.15.0",
            json!([layer("a/b"), layer("a_b"), layer("a/b/c")]),
        );
        let names: Vec<_> = model.layers().iter().map(Layer::name).collect();
        assert_eq!(names, ["a_b", "a_b_", "a_b_c"]);
        assert_eq!(model.name(), "my_s");
    }
}
