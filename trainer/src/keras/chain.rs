//! The layers of a Functional model that is one straight chain, of Keras 2 and 3.

use std::collections::HashMap;

use serde_json::Value;

use crate::{Error, Result};

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
        let name = node_name(entry);
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
    let mut name = node_name(first);
    while let Some(entry) = next.remove(name) {
        layers.push(entry);
        name = node_name(entry);
    }
    if let Some(left) = next.values().next() {
        return Err(refuse(
            node_name(left),
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

/// In the graph, where Keras 2 may have it in the config alone.
fn node_name(entry: &Value) -> &str {
    let name = entry.get("name").or_else(|| entry.pointer("/config/name"));
    name.and_then(Value::as_str).unwrap_or_default()
}

/// Names of the layers that a node takes its inputs from: `["dense", 0, 0, {}]` in Keras 2,
/// `{"class_name": "__keras_tensor__", "config": {"keras_history": ["dense", 0, 0]}}` in Keras 3.
fn collect_sources(node: &Value, sources: &mut Vec<String>) {
    match node {
        Value::Array(list) => match list.as_slice() {
            // The others are by name: of an operation of Keras 2, its second operand.
            [
                Value::String(name),
                Value::Number(_),
                Value::Number(_),
                others @ ..,
            ] => {
                if name != "_CONSTANT_VALUE" {
                    sources.push(name.clone());
                }
                others
                    .iter()
                    .for_each(|value| collect_sources(value, sources));
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

/// The layers that the config of a model lists. Keras before 2.2 stored a `Sequential` as the list alone.
pub(crate) fn listed(config: &Value) -> Option<&Vec<Value>> {
    config.get("layers").unwrap_or(config).as_array()
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
        let names: Vec<_> = chain(&config).unwrap().into_iter().map(node_name).collect();
        assert_eq!(names, ["in", "a", "b"]);
        // Keras 2.
        let inbound = json!([[["in", 0, 0, {}]]]);
        let config = json!({"name": "m", "layers": [input, dense("a", inbound)], "output_layers": [["a", 0, 0]]});
        let names: Vec<_> = chain(&config).unwrap().into_iter().map(node_name).collect();
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
