//! Models that are one straight chain, as Keras writes them: Functional (read from Keras 2 and 3)
//! and Sequential.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::layers::{Input, Layer, dtype_policy};
use crate::{Error, Result};

/// Keras 3's config of a Sequential but for its name. `shapes` are the inputs of the layers that
/// are built, with the batch axis.
pub(crate) fn sequential_config(
    input: Option<&Input>,
    layers: &[Layer],
    shapes: &[Value],
) -> Value {
    let inputs = input.map(|input| Layer::Input(input.clone()).serialized(None));
    let layers = layers.iter().enumerate();
    let layers = layers.map(|(i, layer)| layer.serialized(shapes.get(i)));
    let layers: Vec<_> = inputs.into_iter().chain(layers).collect();
    let mut config =
        json!({"name": null, "trainable": true, "dtype": dtype_policy(), "layers": layers});
    if let Some(shape) = shapes.first() {
        config["build_input_shape"] = shape.clone();
    }
    config
}

/// Keras 3's config of a Functional but for its name; `shapes` as for a Sequential.
pub(crate) fn config(input: &Input, layers: &[Layer], shapes: &[Value]) -> Value {
    let node = |layer: &Layer, object: Value, inbound: Value| {
        let mut object = object;
        object["name"] = json!(layer.name());
        object["inbound_nodes"] = inbound;
        object
    };
    let mut source = Layer::Input(input.clone());
    let end = |layer: &Layer| json!([layer.name(), 0, 0]);
    let first = end(&source);
    let mut nodes = vec![node(&source, source.serialized(None), json!([]))];
    for (i, layer) in layers.iter().enumerate() {
        let shape = shapes.get(i);
        let tensor = json!({"class_name": "__keras_tensor__", "config":
            {"shape": shape, "dtype": "float32", "keras_history": end(&source)}});
        let inbound = json!([{"args": [tensor], "kwargs": layer.op().call_arguments()}]);
        nodes.push(node(layer, layer.serialized(shape), inbound));
        source = layer.clone();
    }
    json!({"name": null, "trainable": true, "layers": nodes,
        "input_layers": first, "output_layers": end(&source)})
}

/// Keras 3's serialized object around the config of a Functional.
pub(crate) fn object(config: Value) -> Value {
    json!({"module": "keras.src.models.functional", "class_name": "Functional", "config": config,
        "registered_name": "Functional", "build_config": {"input_shape": null}})
}

/// The layers of a Functional config from input to output.
///
/// # Errors
///
/// [`Error::Unsupported`] when the graph branches, joins or shares layers.
pub(crate) fn chain(config: &Value) -> Result<Vec<&Value>> {
    let model = config
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let entries = config.get("layers").and_then(Value::as_array);
    let entries = entries.ok_or_else(|| {
        Error::value(format!(
            "model {model:?}: the config has no \"layers\", expected a list"
        ))
    })?;
    let refuse = |name: &str, why: &str| {
        Error::unsupported(format!(
            "model {model:?}: layer {name:?} {why}, but models with branches, or with several inputs or outputs, are not supported; train one that is a straight chain of layers"
        ))
    };
    // Each layer by the one that feeds it.
    let mut next: HashMap<String, &Value> = HashMap::new();
    let mut first = None;
    for entry in entries {
        let name = layer_name(entry);
        let calls = entry.get("inbound_nodes").and_then(Value::as_array);
        let calls = calls.map(Vec::as_slice).unwrap_or_default();
        match calls {
            [] if first.is_some() => return Err(refuse(name, "is a second input")),
            [] => first = Some(entry),
            [call] => {
                let mut sources = Vec::new();
                collect_sources(call, &mut sources);
                let [source] = sources.as_slice() else {
                    return Err(refuse(name, &format!("has {} inputs", sources.len())));
                };
                if next.insert(source.clone(), entry).is_some() {
                    return Err(refuse(source, "feeds more than one layer"));
                }
            }
            calls => return Err(refuse(name, &format!("is used {} times", calls.len()))),
        }
    }
    let first = first.ok_or_else(|| {
        Error::value(format!(
            "model {model:?}: no layer is an input, expected an InputLayer"
        ))
    })?;
    let mut layers = vec![first];
    let mut name = layer_name(first);
    while let Some(entry) = next.remove(name) {
        layers.push(entry);
        name = layer_name(entry);
    }
    if let Some(left) = next.values().next() {
        return Err(refuse(
            layer_name(left),
            "is not on the way from the input to the output",
        ));
    }
    let mut outputs = Vec::new();
    collect_names(
        config.get("output_layers").unwrap_or(&Value::Null),
        &mut outputs,
    );
    match outputs.as_slice() {
        [output] if *output == name => Ok(layers),
        _ => Err(refuse(
            name,
            &format!("ends the chain, but the model's outputs are {outputs:?}"),
        )),
    }
}

fn layer_name(entry: &Value) -> &str {
    let name = entry.get("name").or_else(|| entry.pointer("/config/name"));
    name.and_then(Value::as_str).unwrap_or_default()
}

/// Names of the layers that a node takes its inputs from: `["dense", 0, 0, {}]` in Keras 2,
/// `{"class_name": "__keras_tensor__", "config": {"keras_history": ["dense", 0, 0]}}` in Keras 3.
fn collect_sources(node: &Value, sources: &mut Vec<String>) {
    match node {
        Value::Array(list) => match list.as_slice() {
            [Value::String(name), Value::Number(_), Value::Number(_), ..] => {
                sources.push(name.clone());
            }
            list => list
                .iter()
                .for_each(|value| collect_sources(value, sources)),
        },
        Value::Object(object) => match node.pointer("/config/keras_history") {
            Some(history) => collect_sources(history, sources),
            None => object
                .values()
                .for_each(|value| collect_sources(value, sources)),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Names in `["dense", 0, 0]`, in a list of such, or in a dictionary by the outputs' names.
fn collect_names<'a>(value: &'a Value, names: &mut Vec<&'a str>) {
    if let Some(outputs) = value.as_object() {
        outputs
            .values()
            .for_each(|value| collect_names(value, names));
    }
    match value.as_array().map(Vec::as_slice) {
        Some([Value::String(name), Value::Number(_), ..]) => names.push(name),
        Some(list) => list.iter().for_each(|value| collect_names(value, names)),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn dense(name: &str, inbound: Value) -> Value {
        json!({"class_name": "Dense", "name": name, "config": {"name": name}, "inbound_nodes": inbound})
    }

    fn keras_3(source: &str) -> Value {
        json!([{"args": [{"class_name": "__keras_tensor__", "config":
            {"shape": [null, 4], "dtype": "float32", "keras_history": [source, 0, 0]}}], "kwargs": {}}])
    }

    #[test]
    fn chains_of_both_kerases_are_put_in_order() {
        let input =
            json!({"class_name": "InputLayer", "name": "in", "config": {}, "inbound_nodes": []});
        // Keras 3, and the layers not in order.
        let config = json!({"name": "m", "layers": [input, dense("b", keras_3("a")), dense("a", keras_3("in"))],
            "output_layers": ["b", 0, 0]});
        let names: Vec<_> = chain(&config)
            .unwrap()
            .into_iter()
            .map(layer_name)
            .collect();
        assert_eq!(names, ["in", "a", "b"]);
        // Keras 2.
        let inbound = json!([[["in", 0, 0, {}]]]);
        let config = json!({"name": "m", "layers": [input, dense("a", inbound)], "output_layers": [["a", 0, 0]]});
        let names: Vec<_> = chain(&config)
            .unwrap()
            .into_iter()
            .map(layer_name)
            .collect();
        assert_eq!(names, ["in", "a"]);
    }

    #[test]
    fn an_output_with_a_name_of_its_own_is_the_end_of_the_chain() {
        let input =
            json!({"class_name": "InputLayer", "name": "in", "config": {}, "inbound_nodes": []});
        let config = json!({"name": "m", "layers": [input, dense("a", keras_3("in"))],
            "output_layers": {"score": ["a", 0, 0]}});
        assert_eq!(chain(&config).unwrap().len(), 2);
    }

    #[test]
    fn a_branch_is_refused_by_the_layer_that_branches() {
        let input =
            json!({"class_name": "InputLayer", "name": "in", "config": {}, "inbound_nodes": []});
        let config = json!({"name": "m", "layers": [input, dense("a", keras_3("in")), dense("b", keras_3("in"))],
            "output_layers": [["a", 0, 0], ["b", 0, 0]]});
        assert_eq!(
            chain(&config).unwrap_err().to_string(),
            "model \"m\": layer \"in\" feeds more than one layer, but models with branches, or with several inputs or outputs, are not supported; train one that is a straight chain of layers"
        );
    }
}
