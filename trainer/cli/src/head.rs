//! What a model's last activation says about its targets.

use serde_json::Value;
use thumbnet_runtime as runtime;
use thumbnet_trainer::{Sequential, quantize::DeviceModel};

/// The last activation, as far as it decides the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// One probability per class.
    Softmax,
    /// A probability per output.
    Sigmoid,
    /// Numbers.
    Other,
}

impl Head {
    /// Of a Keras model.
    pub fn of(model: &Sequential) -> Self {
        for layer in model.layers().iter().rev() {
            let config = layer.config();
            match (
                layer.class_name(),
                config.get("activation").and_then(Value::as_str),
            ) {
                ("Softmax", _) | (_, Some("softmax")) => return Self::Softmax,
                (_, Some("sigmoid")) => return Self::Sigmoid,
                ("Dropout" | "Identity" | "Flatten" | "Reshape", _) => {}
                _ => return Self::Other,
            }
        }
        Self::Other
    }

    /// Of a device model.
    pub fn of_device(model: &DeviceModel) -> Self {
        match model.model().layers().last().map(|layer| layer.activation) {
            Some(runtime::Activation::Softmax) => Self::Softmax,
            Some(runtime::Activation::Sigmoid) => Self::Sigmoid,
            _ => Self::Other,
        }
    }

    /// Keras' name of the loss that goes with it, for targets of this shape, rows first.
    pub fn loss(self, outputs: usize, y_shape: &[usize]) -> &'static str {
        let y_width: usize = y_shape.iter().skip(1).product();
        match self {
            Self::Softmax if y_width == outputs && outputs > 1 => "categorical_crossentropy",
            Self::Softmax => "sparse_categorical_crossentropy",
            Self::Sigmoid => "binary_crossentropy",
            Self::Other => "mean_squared_error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_follows_from_the_last_activation_and_the_targets() {
        assert_eq!(
            Head::Softmax.loss(3, &[150]),
            "sparse_categorical_crossentropy"
        );
        assert_eq!(
            Head::Softmax.loss(3, &[150, 1]),
            "sparse_categorical_crossentropy"
        );
        assert_eq!(Head::Softmax.loss(3, &[150, 3]), "categorical_crossentropy");
        assert_eq!(Head::Sigmoid.loss(1, &[150]), "binary_crossentropy");
        assert_eq!(Head::Other.loss(1, &[150]), "mean_squared_error");
    }
}
