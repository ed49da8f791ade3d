//! The wrappers of tensorflow-model-optimization: which layer is within, without what the wrapper did in
//! training.

use serde_json::{Value, json};

use crate::{Error, Result};

/// What a wrapper is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrapper {
    /// `prune_low_magnitude`: sets small weights to zero.
    Pruned,
    /// `cluster_weights`: moves each weight to the nearest of a few values.
    Clustered,
    /// `quantize_model`, around a layer or at the input: rounds as integers of 8 bits would.
    QuantizeAware,
}

impl Wrapper {
    /// By the class, with or without its module.
    pub(crate) fn of(class_name: &str) -> Option<Self> {
        let (module, class_name) = class_name.rsplit_once('>').unwrap_or(("", class_name));
        if !(module.is_empty() || module.starts_with("tensorflow_model_optimization")) {
            return None;
        }
        match class_name {
            "PruneLowMagnitude" => Some(Self::Pruned),
            "ClusterWeights" => Some(Self::Clustered),
            "QuantizeLayer" | "QuantizeWrapper" | "QuantizeWrapperV2" => Some(Self::QuantizeAware),
            _ => None,
        }
    }

    /// What its name has before that of the layer within.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Pruned => "prune_low_magnitude_",
            Self::Clustered => "cluster_",
            Self::QuantizeAware => "quant_",
        }
    }
}

/// Class and config of the layer within, by its own name; an `Identity` where there is none.
///
/// # Errors
///
/// [`Error::Value`] where `layer` is no layer.
pub(crate) fn as_layer(config: &Value) -> Result<(String, Value)> {
    let Some(layer) = config.get("layer") else {
        return Ok(("Identity".into(), json!({"name": config["name"]})));
    };
    let (Some(class_name), Some(inner)) = (
        layer["class_name"].as_str(),
        layer.get("config").filter(|inner| inner.is_object()),
    ) else {
        return Err(Error::value(format!(
            "layer {}: \"layer\" is {layer}, expected a layer",
            config["name"]
        )));
    };
    let mut inner = inner.clone();
    if let Some(shape) = config.get("batch_input_shape") {
        inner["batch_input_shape"] = shape.clone();
    }
    if config["trainable"] == json!(false) {
        inner["trainable"] = json!(false);
    }
    if let Some(activation) = inner.get("activation").and_then(plain_activation) {
        inner["activation"] = activation;
    }
    Ok((class_name.to_string(), inner))
}

/// The activation that is rounded before or behind; none for another object.
fn plain_activation(activation: &Value) -> Option<Value> {
    match activation["class_name"].as_str()? {
        "QuantizeAwareActivation" => {
            let within = &activation["config"]["activation"];
            Some(plain_activation(within).unwrap_or_else(|| within.clone()))
        }
        "NoOpActivation" => Some(json!("linear")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layer_within_has_its_own_name_and_activation() {
        let activation =
            json!({"class_name": "QuantizeAwareActivation", "config": {"activation": "relu"}});
        let layer = json!({"class_name": "Dense", "config": {"name": "a", "units": 3, "activation": activation}});
        let config = json!({"name": "quant_a", "trainable": false, "layer": layer});
        let expected = json!({"name": "a", "units": 3, "activation": "relu", "trainable": false});
        assert_eq!(as_layer(&config).unwrap(), ("Dense".into(), expected));
        let broken = json!({"name": "quant_a", "layer": 3});
        assert_eq!(
            as_layer(&broken).unwrap_err().to_string(),
            "layer \"quant_a\": \"layer\" is 3, expected a layer"
        );
    }

    #[test]
    fn classes_of_others_are_no_wrappers() {
        let own = "tensorflow_model_optimization.python.core.x>ClusterWeights";
        assert_eq!(Wrapper::of(own), Some(Wrapper::Clustered));
        assert_eq!(Wrapper::of("mine>ClusterWeights"), None);
    }
}
