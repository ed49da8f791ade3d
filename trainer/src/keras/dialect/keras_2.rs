//! What Keras 2 knows of the JSON of Keras 3: other names, fewer arguments, fewer layers.

use serde_json::{Map, Value, json};

use super::{legacy_compile, legacy_model};
use crate::keras::functional_layers;

/// The version that files for Keras 2 name.
pub(crate) const VERSION: &str = "2.15.0";

/// Layers that Keras 2.6 to 2.15 have with the same meaning.
const LAYERS: [&str; 40] = [
    "Activation",
    "ActivityRegularization",
    "AlphaDropout",
    "AveragePooling1D",
    "AveragePooling2D",
    "BatchNormalization",
    "CategoryEncoding",
    "Cropping1D",
    "Dense",
    "Discretization",
    "Dropout",
    "ELU",
    "Embedding",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "InputLayer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPooling1D",
    "MaxPooling2D",
    "Normalization",
    "PReLU",
    "Permute",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Sequential",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "UnitNormalization",
    "UpSampling1D",
    "ZeroPadding1D",
];

/// Activations that it has with the same meaning: its `hard_sigmoid` is another function.
const ACTIVATIONS: [&str; 12] = [
    "elu",
    "exponential",
    "gelu",
    "linear",
    "mish",
    "relu",
    "selu",
    "sigmoid",
    "softmax",
    "softplus",
    "softsign",
    "tanh",
];

/// Arguments that came with Keras 3, all of them at what Keras 2 does.
const NEW_ARGUMENTS: [&str; 14] = [
    "ema_momentum",
    "ema_overwrite_frequency",
    "gradient_accumulation_steps",
    "input_axes",
    "invert",
    "loss_scale_factor",
    "optional",
    "output_axes",
    "quantization_config",
    "renorm",
    "renorm_clipping",
    "renorm_momentum",
    "synchronized",
    "use_ema",
];

/// `model`, `{"class_name", "config"}`, as Keras 2 reads it.
pub(crate) fn model(model: &Value) -> Result<Value, String> {
    let model = legacy_model(model);
    let config = &model["config"];
    let functional = matches!(model["class_name"].as_str(), Some("Functional" | "Model"));
    let listed: Vec<&Value> = match functional {
        true => functional_layers(config).map_err(|error| error.to_string())?,
        false => config["layers"].as_array().into_iter().flatten().collect(),
    };
    let mut layers = Vec::with_capacity(listed.len());
    for layer in listed {
        layers.push(self::layer(layer)?);
    }
    let mut plain = Map::new();
    plain.insert("name".into(), config["name"].clone());
    if functional {
        let names: Vec<Value> = layers
            .iter()
            .map(|layer| layer["config"]["name"].clone())
            .collect();
        for (place, layer) in layers.iter_mut().enumerate() {
            layer["name"] = names[place].clone();
            layer["inbound_nodes"] = match place.checked_sub(1) {
                Some(before) => json!([[[names[before], 0, 0, {}]]]),
                None => json!([]),
            };
        }
        plain.insert("input_layers".into(), json!([[names.first(), 0, 0]]));
        plain.insert("output_layers".into(), json!([[names.last(), 0, 0]]));
    }
    plain.insert("layers".into(), layers.into());
    Ok(json!({"class_name": model["class_name"], "config": plain}))
}

fn layer(layer: &Value) -> Result<Value, String> {
    let class_name = layer["class_name"].as_str().unwrap_or_default();
    let name = &layer["config"]["name"];
    if class_name == "Sequential" {
        return model(layer);
    }
    if !LAYERS.contains(&class_name) {
        return Err(format!(
            "layer {name} is of class {class_name}, which Keras 2 does not have; save the model for Keras 3"
        ));
    }
    let mut config = known(&layer["config"]);
    let activation = config["activation"].as_str().unwrap_or("linear");
    match activation {
        "silu" => config["activation"] = json!("swish"),
        _ if ACTIVATIONS.contains(&activation) && !config["activation"].is_object() => {}
        _ => {
            return Err(format!(
                "layer {name} has the activation {}, which Keras 2 does not have, or as another function; save the model for Keras 3",
                config["activation"]
            ));
        }
    }
    let mut rename = |old: &str, new: &str| {
        if let Some(config) = config.as_object_mut()
            && let Some(value) = config.shift_remove(old)
        {
            config.insert(new.into(), value);
        }
    };
    match class_name {
        "InputLayer" => rename("batch_shape", "batch_input_shape"),
        "LeakyReLU" => rename("negative_slope", "alpha"),
        _ => {}
    }
    Ok(json!({"class_name": class_name, "config": config}))
}

/// Compile settings as `training_config`, from either dialect.
pub(crate) fn compile(settings: &Value, long_name: fn(&str) -> Option<&'static str>) -> Value {
    let mut known = known(&legacy_compile(settings, long_name));
    if let Some(Value::Object(loss)) = known.pointer_mut("/loss/config") {
        loss.shift_remove("dtype");
    }
    if let Some(Value::Object(optimizer)) = known.pointer_mut("/optimizer_config/config") {
        // Its optimizers do not know all of them, whose absence means the same.
        optimizer.retain(|_, value| !value.is_null());
    }
    known
}

/// The value without what came with Keras 3.
fn known(value: &Value) -> Value {
    match value {
        Value::Object(object) if object.get("class_name") == Some(&json!("DTypePolicy")) => {
            object["config"]["name"].clone()
        }
        Value::Object(object) => {
            let is_object = object.contains_key("class_name") && object.contains_key("config");
            let new = |key: &str| {
                NEW_ARGUMENTS.contains(&key)
                    || is_object && !["class_name", "config"].contains(&key)
            };
            object
                .iter()
                .filter(|(key, value)| !(new(key) || *key == "seed" && value.is_null()))
                .map(|(key, value)| (key.clone(), known(value)))
                .collect::<Map<_, _>>()
                .into()
        }
        Value::Array(values) => values.iter().map(known).collect(),
        value => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keras 2.21's own text of the same model.
    #[test]
    fn a_model_reads_as_keras_2_writes_it() {
        let policy = json!({"module": "keras", "class_name": "DTypePolicy",
            "config": {"name": "float32"}, "registered_name": null});
        let new = json!({"module": "keras", "class_name": "Sequential", "config": {
            "name": "sequential", "trainable": true, "dtype": policy, "layers": [
                {"module": "keras.layers", "class_name": "InputLayer", "config": {
                    "batch_shape": [null, 4], "dtype": "float32", "sparse": false, "ragged": false,
                    "name": "input_1", "optional": false}},
                {"module": "keras.layers", "class_name": "Dense", "config": {
                    "name": "dense", "trainable": true, "dtype": policy, "units": 3,
                    "activation": "softmax", "use_bias": true,
                    "bias_initializer": {"module": "keras.initializers", "class_name": "Zeros",
                        "config": {}, "registered_name": null},
                    "kernel_regularizer": null, "quantization_config": null}}],
            "build_input_shape": [null, 4]}});
        let old = json!({"class_name": "Sequential", "config": {
            "name": "sequential", "layers": [
                {"class_name": "InputLayer", "config": {
                    "dtype": "float32", "sparse": false, "ragged": false,
                    "name": "input_1", "batch_input_shape": [null, 4]}},
                {"class_name": "Dense", "config": {
                    "name": "dense", "trainable": true, "dtype": "float32", "units": 3,
                    "activation": "softmax", "use_bias": true,
                    "bias_initializer": {"class_name": "Zeros", "config": {}},
                    "kernel_regularizer": null}}]}});
        assert_eq!(model(&new), Ok(old));
    }

    #[test]
    fn a_loss_may_be_a_name() {
        let settings = json!({"loss": "mse", "optimizer_config": {"class_name": "Adam",
            "config": {"learning_rate": 0.5, "clipnorm": null, "use_ema": false}}});
        let old = json!({"loss": "mean_squared_error", "optimizer_config": {"class_name": "Adam",
            "config": {"learning_rate": 0.5}}});
        let long_name = |_: &str| Some("mean_squared_error");
        assert_eq!(compile(&settings, long_name), old);
    }

    #[test]
    fn what_it_does_not_have_is_refused() {
        let with = |class_name: &str, config: Value| {
            let layers = json!([{"class_name": class_name, "config": config}]);
            model(&json!({"class_name": "Sequential", "config": {"name": "s", "layers": layers}}))
        };
        assert_eq!(
            with("RMSNormalization", json!({"name": "n"})).unwrap_err(),
            "layer \"n\" is of class RMSNormalization, which Keras 2 does not have; save the model for Keras 3"
        );
        assert_eq!(
            with("Dense", json!({"name": "d", "activation": "hard_sigmoid"})).unwrap_err(),
            "layer \"d\" has the activation \"hard_sigmoid\", which Keras 2 does not have, or as another function; save the model for Keras 3"
        );
    }
}
