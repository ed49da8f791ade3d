//! Layers of Keras that compute what another one computes: `TimeDistributed` of a layer on the last axis,
//! `SpectralNormalization` in inference, an `EinsumDense` that is a Dense, what tensorflow-model-optimization
//! wrapped.

use serde_json::{Value, json};

use super::tfmot;
use crate::{Error, Result};

/// Whether a class has its weights in the layer within.
pub(crate) fn is_wrapper(class_name: &str) -> bool {
    matches!(class_name, "TimeDistributed" | "SpectralNormalization")
        || tfmot::Wrapper::of(class_name).is_some()
}

/// Layers that do the same to every step.
const BY_STEP: [&str; 17] = [
    "Dense",
    "EinsumDense",
    "Activation",
    "ReLU",
    "LeakyReLU",
    "ELU",
    "Softmax",
    "Dropout",
    "GaussianNoise",
    "GaussianDropout",
    "AlphaDropout",
    "BatchNormalization",
    "LayerNormalization",
    "RMSNormalization",
    "UnitNormalization",
    "Rescaling",
    "Identity",
];

/// The class and the config of the layer that this one is, by the wrapper's name; of those of
/// tensorflow-model-optimization by its own, as they leave it when they are stripped.
///
/// # Errors
///
/// [`Error::Unsupported`] for one that is another thing.
pub(crate) fn as_layer(class_name: &str, config: &Value) -> Result<Option<(String, Value)>> {
    match class_name {
        "EinsumDense" => einsum_dense(config).map(Some),
        "TimeDistributed" | "SpectralNormalization" => {
            let inner = &config["layer"];
            let (class, inner) = match (inner["class_name"].as_str(), &inner["config"]) {
                (Some(class), inner @ Value::Object(_)) => (class, inner),
                _ => {
                    return Err(Error::value(format!(
                        "{class_name} {}: \"layer\" is {inner}, expected a layer",
                        config["name"]
                    )));
                }
            };
            let last = |key: &str| match &inner[key] {
                Value::Null => true,
                Value::Array(axes) => axes.iter().all(|axis| axis.as_i64() == Some(-1)),
                axis => axis.as_i64() == Some(-1),
            };
            let known = match class_name {
                "TimeDistributed" => BY_STEP.contains(&class) && last("axis"),
                _ => matches!(class, "Dense" | "EinsumDense"),
            };
            if !known {
                return Err(Error::unsupported(format!(
                    "layer {} is a {class_name} of a {class}, which thumbnet does not have; it has that of a Dense or of another layer over the last axis",
                    config["name"]
                )));
            }
            let mut within = inner.clone();
            within["name"] = config["name"].clone();
            for key in ["batch_shape", "batch_input_shape"] {
                if let Some(shape) = config.get(key) {
                    within[key] = shape.clone();
                }
            }
            if config.get("trainable").and_then(Value::as_bool) == Some(false) {
                within["trainable"] = json!(false);
            }
            match as_layer(class, &within)? {
                Some(layer) => Ok(Some(layer)),
                None => Ok(Some((class.to_string(), within))),
            }
        }
        wrapper if tfmot::Wrapper::of(wrapper).is_some() => {
            let (class, within) = tfmot::as_layer(config)?;
            match as_layer(&class, &within)? {
                Some(layer) => Ok(Some(layer)),
                None => Ok(Some((class, within))),
            }
        }
        _ => Ok(None),
    }
}

/// `"...x,xy->...y"` with the bias along y.
fn einsum_dense(config: &Value) -> Result<(String, Value)> {
    let equation = config["equation"]
        .as_str()
        .unwrap_or_default()
        .replace(' ', "");
    let units = match &config["output_shape"] {
        Value::Array(sizes) => sizes.last().cloned().unwrap_or(Value::Null),
        size => size.clone(),
    };
    let bias = config["bias_axes"].as_str();
    let dense = is_dense(&equation).filter(|unit| bias.is_none_or(|axes| axes == *unit));
    if dense.is_none() {
        return Err(Error::unsupported(format!(
            "EinsumDense {}: the equation is {equation:?} with bias_axes {}, which is no Dense; expected one such as \"abc,cd->abd\" with the bias along \"d\" or none",
            config["name"], config["bias_axes"]
        )));
    }
    let mut dense = config.clone();
    dense["units"] = units;
    dense["use_bias"] = json!(bias.is_some());
    if let Some(dense) = dense.as_object_mut() {
        for key in ["equation", "output_shape", "bias_axes"] {
            dense.remove(key);
        }
    }
    Ok(("Dense".into(), dense))
}

/// The letter of the units where the equation is that of a Dense.
fn is_dense(equation: &str) -> Option<&str> {
    let (inputs, output) = equation.split_once("->")?;
    let (x, kernel) = inputs.split_once(',')?;
    let (of_input, unit) = (kernel.get(..1)?, kernel.get(1..)?);
    let rest = x.strip_suffix(of_input)?;
    let same = output.strip_suffix(unit)? == rest;
    (unit.len() == 1
        && same
        && !rest.contains(of_input)
        && !rest.contains(unit)
        && unit != of_input)
        .then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_einsum_of_the_last_axis_is_a_dense() {
        assert_eq!(is_dense("ab,bc->ac"), Some("c"));
        assert_eq!(is_dense("abc,cd->abd"), Some("d"));
        assert_eq!(is_dense("...x,xy->...y"), Some("y"));
        for other in ["abc,cde->abde", "ab,bc->ca", "ab,cb->ac", "abc,bd->adc", ""] {
            assert_eq!(is_dense(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_another_thing_is_refused() {
        let flatten = json!({"class_name": "Flatten", "config": {"name": "flatten"}});
        let config = json!({"name": "steps", "layer": flatten});
        assert_eq!(
            as_layer("TimeDistributed", &config)
                .unwrap_err()
                .to_string(),
            "layer \"steps\" is a TimeDistributed of a Flatten, which thumbnet does not have; it has that of a Dense or of another layer over the last axis"
        );
        let einsum = json!({"name": "e", "equation": "abc,bd->adc", "output_shape": [2, 3], "bias_axes": null});
        assert_eq!(
            as_layer("EinsumDense", &einsum).unwrap_err().to_string(),
            "EinsumDense \"e\": the equation is \"abc,bd->adc\" with bias_axes null, which is no Dense; expected one such as \"abc,cd->abd\" with the bias along \"d\" or none"
        );
    }
}
