//! Activation functions, forwards and backwards, with Keras' names, defaults and edge cases.

mod backward;
mod exact;
mod forward;
pub(crate) mod math;
mod shape;

use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::custom::{ACTIVATIONS, AnyActivation, CustomActivation, Own, register_activation};
use crate::keras::dialect::KERAS_2_HARD_SIGMOID;
use crate::keras::{Dialect, Object, folded, serialized, unknown};
use crate::{Error, Result};

/// An activation function. Parameters have Keras' names; `from_str` gives Keras' defaults.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// `x`.
    Linear,
    /// `x` above `threshold` (0) and up to `max_value` (none), `negative_slope` (0) times
    /// `x - threshold` below.
    Relu {
        /// Slope below `threshold`; 0 by default.
        negative_slope: f32,
        /// Upper limit of the result; none by default.
        max_value: Option<f32>,
        /// Above it the result is `x`; 0 by default.
        threshold: f32,
    },
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x` above 0, `negative_slope · x` below; 0.2 by name, 0.3 as Keras' layer.
    LeakyRelu {
        /// Slope below 0.
        negative_slope: f32,
    },
    /// `x` above 0, `alpha (eˣ - 1)` below; alpha 1.
    Elu {
        /// The limit far below 0, negated; 1 by default.
        alpha: f32,
    },
    /// The self-normalizing `elu`.
    Selu,
    /// `max(x, 0) + alpha (e^(min(x, 0) / alpha) - 1)`; alpha 1.
    Celu {
        /// The limit far below 0, negated; 1 by default.
        alpha: f32,
    },
    /// `x Φ(x)`, exact unless `approximate` (by tanh).
    Gelu {
        /// By tanh in place of Φ; false by default.
        approximate: bool,
    },
    /// `x · sigmoid(x)`; also called swish.
    Silu,
    /// `x · tanh(softplus(x))`.
    Mish,
    /// `ln(1 + eˣ)`.
    Softplus,
    /// `x / (1 + |x|)`.
    Softsign,
    /// `1 / (1 + e⁻ˣ)`.
    Sigmoid,
    /// `relu6(x + 3) / 6`.
    HardSigmoid,
    /// `0.2 x + 0.5` clipped to [0, 1]: what `hard_sigmoid` is in Keras 2, and so in its files. Keras
    /// 3 has no name for it.
    Keras2HardSigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `x` clipped to [-1, 1].
    HardTanh,
    /// `x - tanh(x)`.
    TanhShrink,
    /// `x` moved towards 0 by `threshold` (0.5), 0 within it.
    SoftShrink {
        /// How far from 0 the result is 0; 0.5 by default.
        threshold: f32,
    },
    /// `x` where `|x| > threshold` (0.5), else 0.
    HardShrink {
        /// How far from 0 the result is 0; 0.5 by default.
        threshold: f32,
    },
    /// `x · hard_sigmoid(x)`; also called hard_swish.
    HardSilu,
    /// `eˣ`.
    Exponential,
    /// `ln(sigmoid(x))`.
    LogSigmoid,
    /// `(x + √(x² + b)) / 2`; b 4.
    Squareplus {
        /// Roundness of the bend at 0, none with 0; 4 by default.
        b: f32,
    },
    /// 0 up to -1, `(x + 1)² / 4` up to 1, then `x`.
    SparsePlus,
    /// `(x + 1) / 2` clipped to [0, 1].
    SparseSigmoid,
    /// `x` above `threshold`, else `default_value`.
    Threshold {
        /// Values above it stay as they are; no default.
        threshold: f32,
        /// What the others become; no default.
        default_value: f32,
    },
    /// `eˣ` divided by its sum over the last axis.
    Softmax,
    /// The logarithm of softmax.
    LogSoftmax,
    /// `max(x - tau, 0)` over the last axis, with the tau of Keras.
    Sparsemax,
    /// One's own; see [`CustomActivation`].
    Custom(Own<dyn AnyActivation>),
}

/// Names that `from_str` takes, as Keras has them.
const NAMES: [&str; 29] = [
    "linear",
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "softplus",
    "softsign",
    "sigmoid",
    "hard_sigmoid",
    "tanh",
    "hard_tanh",
    "tanh_shrink",
    "soft_shrink",
    "hard_shrink",
    "hard_silu",
    "exponential",
    "log_sigmoid",
    "squareplus",
    "sparse_plus",
    "sparse_sigmoid",
    "threshold",
    "softmax",
    "log_softmax",
    "sparsemax",
];

impl Activation {
    /// `max(x, 0)`.
    pub const RELU: Self = Self::Relu {
        negative_slope: 0.0,
        max_value: None,
        threshold: 0.0,
    };

    /// A name, `null` (linear), Keras' serialized function, or a serialized activation layer.
    ///
    /// # Errors
    ///
    /// An unknown name, an entry of the wrong type, a softmax over another axis than the last.
    pub fn from_config(value: &Value) -> Result<Self> {
        Self::read(value, Dialect::Keras3)
    }

    pub(crate) fn read(value: &Value, dialect: Dialect) -> Result<Self> {
        let Some(object) = Object::parse(value, "activation")? else {
            return Ok(Self::Linear);
        };
        if let Some(name) = &object.registered {
            return ACTIVATIONS.read(name, &object).map(Self::Custom);
        }
        // A layer as an activation has the layer's defaults and Keras 2's or 3's key for the slope.
        let is_layer = object.class_name == "LeakyReLU";
        let number = |key: &str, default: f64| -> Result<f32> {
            Ok(object.number_or(key, default)? as f32) // Keras computes in float32
        };
        Ok(
            match folded(dialect.activation(object.class_name)).as_str() {
                "linear" => Self::Linear,
                "relu" => Self::Relu {
                    negative_slope: number("negative_slope", 0.0)?,
                    max_value: object.number("max_value")?.map(|v| v as f32),
                    threshold: number("threshold", 0.0)?,
                },
                "relu6" => Self::Relu6,
                "leakyrelu" => Self::LeakyRelu {
                    negative_slope: match object.number("alpha")? {
                        Some(alpha) => alpha as f32,
                        None => number("negative_slope", if is_layer { 0.3 } else { 0.2 })?,
                    },
                },
                "elu" => Self::Elu {
                    alpha: number("alpha", 1.0)?,
                },
                "selu" => Self::Selu,
                "celu" => Self::Celu {
                    alpha: number("alpha", 1.0)?,
                },
                "gelu" => Self::Gelu {
                    approximate: object.flag_or("approximate", false)?,
                },
                "silu" | "swish" => Self::Silu,
                "mish" => Self::Mish,
                "softplus" => Self::Softplus,
                "softsign" => Self::Softsign,
                "sigmoid" => Self::Sigmoid,
                "hardsigmoid" => Self::HardSigmoid,
                "keras2hardsigmoid" => Self::Keras2HardSigmoid,
                "tanh" => Self::Tanh,
                "hardtanh" => Self::HardTanh,
                "tanhshrink" => Self::TanhShrink,
                "softshrink" => Self::SoftShrink {
                    threshold: number("threshold", 0.5)?,
                },
                "hardshrink" => Self::HardShrink {
                    threshold: number("threshold", 0.5)?,
                },
                "hardsilu" | "hardswish" => Self::HardSilu,
                "exponential" => Self::Exponential,
                "logsigmoid" => Self::LogSigmoid,
                "squareplus" => Self::Squareplus {
                    b: number("b", 4.0)?,
                },
                "sparseplus" => Self::SparsePlus,
                "sparsesigmoid" => Self::SparseSigmoid,
                "threshold" => {
                    let (Some(threshold), Some(default_value)) =
                        (object.number("threshold")?, object.number("default_value")?)
                    else {
                        return Err(Error::value(
                            "activation threshold has no defaults, expected {\"class_name\": \"threshold\", \"config\": {\"threshold\": .., \"default_value\": ..}}",
                        ));
                    };
                    Self::Threshold {
                        threshold: threshold as f32,
                        default_value: default_value as f32,
                    }
                }
                "softmax" => over_last_axis(&object, Self::Softmax)?,
                "logsoftmax" => over_last_axis(&object, Self::LogSoftmax)?,
                "sparsemax" => over_last_axis(&object, Self::Sparsemax)?,
                "glu" => {
                    return Err(Error::unsupported(
                        "activation glu halves the width of a layer, which thumbnet does not have; use silu or sigmoid",
                    ));
                }
                _ => return Err(unknown("activation", object.class_name, &NAMES)),
            },
        )
    }

    /// As Keras 3 serializes it in a layer's config: the name, or the activation layer where Keras'
    /// functions do not carry the parameters.
    pub fn config(&self) -> Value {
        let mut parameters = Map::new();
        let mut put = |key: &str, value: Value| {
            parameters.insert(key.into(), value);
        };
        let layer = match *self {
            Self::Relu {
                negative_slope,
                max_value,
                threshold,
            } if *self != Self::RELU => {
                put("max_value", json!(max_value));
                put("negative_slope", json!(negative_slope));
                put("threshold", json!(threshold));
                "ReLU"
            }
            Self::LeakyRelu { negative_slope } if negative_slope != 0.2 => {
                put("negative_slope", json!(shortest(negative_slope)));
                "LeakyReLU"
            }
            Self::Elu { alpha } if alpha != 1.0 => {
                put("alpha", json!(shortest(alpha)));
                "ELU"
            }
            _ => return self.function_config(),
        };
        serialized("keras.layers", layer, Value::Object(parameters))
    }

    /// The name; with its parameters where they are not Keras' defaults.
    fn function_config(&self) -> Value {
        let parameters = match *self {
            Self::Custom(ref own) => {
                return json!({"module": "builtins", "class_name": "function",
                    "config": own.registered_name(), "registered_name": "function"});
            }
            Self::Celu { alpha } if alpha != 1.0 => json!({"alpha": shortest(alpha)}),
            Self::Gelu { approximate: true } => json!({"approximate": true}),
            Self::SoftShrink { threshold } | Self::HardShrink { threshold } if threshold != 0.5 => {
                json!({"threshold": shortest(threshold)})
            }
            Self::Squareplus { b } if b != 4.0 => json!({"b": shortest(b)}),
            Self::Threshold {
                threshold,
                default_value,
            } => json!({
                "threshold": shortest(threshold),
                "default_value": shortest(default_value),
            }),
            Self::Linear
            | Self::Relu { .. }
            | Self::Relu6
            | Self::LeakyRelu { .. }
            | Self::Elu { .. }
            | Self::Selu
            | Self::Celu { .. }
            | Self::Gelu { .. }
            | Self::Silu
            | Self::Mish
            | Self::Softplus
            | Self::Softsign
            | Self::Sigmoid
            | Self::HardSigmoid
            | Self::Keras2HardSigmoid
            | Self::Tanh
            | Self::HardTanh
            | Self::TanhShrink
            | Self::SoftShrink { .. }
            | Self::HardShrink { .. }
            | Self::HardSilu
            | Self::Exponential
            | Self::LogSigmoid
            | Self::Squareplus { .. }
            | Self::SparsePlus
            | Self::SparseSigmoid
            | Self::Softmax
            | Self::LogSoftmax
            | Self::Sparsemax => return Value::from(self.name()),
        };
        json!({"class_name": self.name(), "config": parameters})
    }

    /// Keras' name of the function.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Relu { .. } => "relu",
            Self::Relu6 => "relu6",
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Elu { .. } => "elu",
            Self::Selu => "selu",
            Self::Celu { .. } => "celu",
            Self::Gelu { .. } => "gelu",
            Self::Silu => "silu",
            Self::Mish => "mish",
            Self::Softplus => "softplus",
            Self::Softsign => "softsign",
            Self::Sigmoid => "sigmoid",
            Self::HardSigmoid => "hard_sigmoid",
            Self::Keras2HardSigmoid => KERAS_2_HARD_SIGMOID,
            Self::Tanh => "tanh",
            Self::HardTanh => "hard_tanh",
            Self::TanhShrink => "tanh_shrink",
            Self::SoftShrink { .. } => "soft_shrink",
            Self::HardShrink { .. } => "hard_shrink",
            Self::HardSilu => "hard_silu",
            Self::Exponential => "exponential",
            Self::LogSigmoid => "log_sigmoid",
            Self::Squareplus { .. } => "squareplus",
            Self::SparsePlus => "sparse_plus",
            Self::SparseSigmoid => "sparse_sigmoid",
            Self::Threshold { .. } => "threshold",
            Self::Softmax => "softmax",
            Self::LogSoftmax => "log_softmax",
            Self::Sparsemax => "sparsemax",
            Self::Custom(own) => own.registered_name(),
        }
    }

    /// Whether each output depends on one input only.
    pub fn is_elementwise(&self) -> bool {
        !matches!(self, Self::Softmax | Self::LogSoftmax | Self::Sparsemax)
    }

    /// Whether [`Activation::backward`] reads `x`; if not, the caller need not keep it.
    pub fn needs_input(&self) -> bool {
        match self {
            Self::Linear
            | Self::Relu6
            | Self::Sigmoid
            | Self::HardSigmoid
            | Self::Keras2HardSigmoid
            | Self::Tanh
            | Self::Exponential
            | Self::Selu
            | Self::SparseSigmoid
            | Self::Softmax
            | Self::LogSoftmax => false,
            Self::Relu { .. } => *self != Self::RELU,
            Self::LeakyRelu { negative_slope } => *negative_slope < 0.0,
            Self::Elu { alpha } => *alpha != 1.0,
            Self::Celu { .. }
            | Self::Gelu { .. }
            | Self::Silu
            | Self::Mish
            | Self::Softplus
            | Self::Softsign
            | Self::HardTanh
            | Self::TanhShrink
            | Self::SoftShrink { .. }
            | Self::HardShrink { .. }
            | Self::HardSilu
            | Self::LogSigmoid
            | Self::Squareplus { .. }
            | Self::SparsePlus
            | Self::Threshold { .. }
            | Self::Sparsemax
            | Self::Custom(_) => true,
        }
    }
}

impl TryFrom<&str> for Activation {
    type Error = Error;

    fn try_from(name: &str) -> Result<Self> {
        name.parse()
    }
}

impl FromStr for Activation {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::from_config(&Value::from(name))
    }
}

fn over_last_axis(object: &Object, activation: Activation) -> Result<Activation> {
    let null = Value::Null;
    // Over all axes, with that of the batch.
    let all = object.is_null("axis").then_some(&null);
    match object.get("axis").or(all) {
        None => Ok(activation),
        Some(axis) if axis == -1 || axis.as_array().is_some_and(|a| a.len() == 1 && a[0] == -1) => {
            Ok(activation)
        }
        Some(axis) => Err(Error::unsupported(format!(
            "{} over axis {axis}, thumbnet has it over the last axis only; use axis -1",
            activation.name()
        ))),
    }
}

/// The float64 with the shortest digits of a float32: 0.3 rather than 0.30000001192092896.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

impl<T: CustomActivation> From<T> for Activation {
    fn from(function: T) -> Self {
        register_activation::<T>();
        Self::Custom(Own(std::sync::Arc::new(function)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_configs_come_back() {
        for name in NAMES.iter().filter(|&&name| name != "threshold") {
            let activation: Activation = name.parse().expect(name);
            assert_eq!(activation.config(), *name);
        }
        for activation in [
            Activation::LeakyRelu {
                negative_slope: 0.3,
            },
            Activation::Relu {
                negative_slope: 0.1,
                max_value: Some(6.0),
                threshold: 0.5,
            },
            Activation::Gelu { approximate: true },
            Activation::Threshold {
                threshold: 1.0,
                default_value: 0.1,
            },
        ] {
            let config = activation.config();
            assert_eq!(
                Activation::from_config(&config).expect("own form"),
                activation
            );
        }
    }

    #[test]
    fn null_is_linear_and_functions_may_be_objects() {
        assert_eq!(
            Activation::from_config(&Value::Null).expect("null"),
            Activation::Linear
        );
        let function = json!({"module": "builtins", "class_name": "function", "config": "relu"});
        assert_eq!(
            Activation::from_config(&function).expect("function"),
            Activation::RELU
        );
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = "reluu".parse::<Activation>().expect_err("no such name");
        assert!(
            error
                .to_string()
                .starts_with("unknown activation \"reluu\", expected one of linear, relu, ")
        );
    }
}
