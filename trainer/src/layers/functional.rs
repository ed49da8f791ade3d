//! Models that are one straight chain, as Keras 3 writes them: Functional and Sequential.

use serde_json::{Value, json};

use crate::layers::{Input, Layer, dtype_policy};

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
        let arguments = [vec![tensor], layer.op().more_arguments()].concat();
        let inbound = json!([{"args": arguments, "kwargs": layer.op().call_arguments()}]);
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
