//! Which features of the runtime a model takes.

use thumbnet_runtime::{Activation, Element, LayerInfo, Operation, cores::Target};
use thumbnet_trainer::quantize::DeviceModel;

/// What `thumbnet-runtime` needs for a model on a target, and no more.
pub fn features(device: &DeviceModel, target: &Target) -> Vec<&'static str> {
    let model = device.model();
    let has = |operation: Operation| {
        let mut rows = model.layers().map(|layer| layer.operation.of_a_row());
        rows.any(|found| found == operation)
    };
    let is_beside = |layer: LayerInfo| match layer.operation {
        Operation::QuantizeTensor | Operation::QuantizeFeatures => {
            layer.activation != Activation::Linear
        }
        operation => layer.macs == 0 || operation != operation.of_a_row(),
    };
    let mut features = Vec::new();
    for (feature, needed) in [
        ("int4", has(Operation::DenseInt4)),
        ("int16", has(Operation::DenseInt16)),
        ("f32", has(Operation::DenseFloat)),
        ("layers", model.layers().any(is_beside)),
        (
            "activations",
            model
                .layers()
                .any(|layer| layer.output == Element::Float && is_rare(layer.activation)),
        ),
        // f32 weights have one packing.
        (
            "portable",
            model.layers().any(|layer| {
                layer.macs > 0
                    && layer.operation.of_a_row() != Operation::DenseFloat
                    && layer.packing != target.packing
            }),
        ),
    ] {
        if needed {
            features.push(feature);
        }
    }
    features
}

/// Whether float outputs take a feature for it.
fn is_rare(activation: Activation) -> bool {
    match activation {
        Activation::Linear
        | Activation::Relu
        | Activation::Sigmoid
        | Activation::Tanh
        | Activation::Softmax
        | Activation::Table => false,
        Activation::Exponential
        | Activation::LogSoftmax
        | Activation::Lines
        | Activation::Curve => true,
        // What comes to be added is behind the feature.
        #[allow(unreachable_patterns, reason = "the enumeration may grow")]
        _ => true,
    }
}
