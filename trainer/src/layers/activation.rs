//! Layers that are one activation: `Activation`, `ReLU`, `LeakyReLU`, `ELU`, `Softmax`.

use serde_json::{Map, Value, json};

use super::arguments::Config;
use super::base::{Backward, Base, Built, Flow, Forward, OnDevice, Op, Scratch, Weights};
use super::base::{layer_options, op_base, sample_axis};
use super::groups::Groups;
use crate::activations::Activation as Function;
use crate::{Error, Result};

/// Applies an activation, as `keras.layers.Activation` does.
#[derive(Clone, Debug, PartialEq)]
pub struct Activation {
    /// What is applied to the inputs.
    pub function: Function,
    /// Name, trainable and the like.
    pub base: Base,
}

/// `max(x, 0)` with Keras' options.
#[derive(Clone, Debug, PartialEq)]
pub struct ReLU {
    /// Largest output. Defaults to none.
    pub max_value: Option<f64>,
    /// Slope below the threshold. Defaults to 0.
    pub negative_slope: f64,
    /// Inputs below it are not passed. Defaults to 0.
    pub threshold: f64,
    /// Name, trainable and the like.
    pub base: Base,
}

/// `x` where positive, else `negative_slope * x`.
#[derive(Clone, Debug, PartialEq)]
pub struct LeakyReLU {
    /// Defaults to 0.3.
    pub negative_slope: f64,
    /// Name, trainable and the like.
    pub base: Base,
}

/// `x` where positive, else `alpha * (exp(x) - 1)`.
#[derive(Clone, Debug, PartialEq)]
pub struct ELU {
    /// Defaults to 1.
    pub alpha: f64,
    /// Name, trainable and the like.
    pub base: Base,
}

/// Softmax over the last axis or others.
#[derive(Clone, Debug, PartialEq)]
pub struct Softmax {
    /// The axes over which probabilities sum to 1. Defaults to `[-1]`.
    pub axis: Vec<i64>,
    #[doc(hidden)]
    pub groups: Option<Groups>,
    /// Name, trainable and the like.
    pub base: Base,
}

layer_options!(Activation);
layer_options!(ReLU);
layer_options!(LeakyReLU);
layer_options!(ELU);
layer_options!(Softmax);

impl Activation {
    /// A layer that applies a function, or one of Keras' names such as `"relu"`. A name that there is
    /// not is an error when the layer is added.
    pub fn new(function: impl TryInto<Function, Error: Into<Error>>) -> Self {
        let mut base = Base::default();
        Self {
            function: base.settle(function, Function::Linear),
            base,
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        Ok(Self {
            function: config.activation("activation")?,
            base: Base::from_config(config)?,
        })
    }
}

impl Default for ReLU {
    fn default() -> Self {
        Self {
            max_value: None,
            negative_slope: 0.0,
            threshold: 0.0,
            base: Base::default(),
        }
    }
}

impl ReLU {
    /// The plain rectifier.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        let max_value = config.opt_f64("max_value")?;
        if max_value.is_some_and(|max_value| max_value < 0.0) {
            return Err(config.error("max_value", "null or a number from 0"));
        }
        Ok(Self {
            max_value,
            negative_slope: config.not_negative("negative_slope", 0.0)?,
            threshold: match config.class() {
                "ThresholdedReLU" => config.not_negative("theta", 1.0)?,
                _ => config.not_negative("threshold", 0.0)?,
            },
            base: Base::from_config(config)?,
        })
    }
}

impl LeakyReLU {
    /// A layer with the slope `negative_slope` below zero.
    pub fn new(negative_slope: f64) -> Self {
        Self {
            negative_slope,
            base: Base::default(),
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        // Keras 2 calls it alpha.
        let alpha = config.f64("alpha", 0.3)?;
        Ok(Self {
            negative_slope: config.not_negative("negative_slope", alpha)?,
            base: Base::from_config(config)?,
        })
    }
}

impl ELU {
    /// A layer that saturates at `-alpha`.
    pub fn new(alpha: f64) -> Self {
        Self {
            alpha,
            base: Base::default(),
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        Ok(Self {
            alpha: config.f64("alpha", 1.0)?,
            base: Base::from_config(config)?,
        })
    }
}

impl Default for Softmax {
    fn default() -> Self {
        Self {
            axis: vec![-1],
            groups: None,
            base: Base::default(),
        }
    }
}

impl Softmax {
    /// Softmax over the last axis.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        if config.is_null("axis") {
            // Keras' own then divides by the sum of the whole batch.
            return Err(config.error("axis", "an axis of a sample such as -1, as rows of a batch have nothing to do with each other"));
        }
        Ok(Self {
            axis: config.integers("axis")?.unwrap_or(vec![-1]),
            groups: None,
            base: Base::from_config(config)?,
        })
    }
}

/// [`Op`] of a layer that is its activation.
macro_rules! activation_op {
    ($layer:ident, $self:ident => $function:expr, $($key:literal: $value:expr),*
     ; $($method:tt)*) => {
        impl Op for $layer {
            op_base!();

            fn extend_config(&$self, config: &mut Map<String, Value>) {
                $(config.insert($key.to_string(), json!($value));)*
            }

            $($method)*

            fn flow(&self, _training: bool) -> Flow {
                Flow::InPlace
            }

            fn on_device(&self, _built: &Built) -> OnDevice {
                OnDevice::Nothing
            }

            fn activation(&$self) -> Option<Function> {
                Some($function)
            }

            fn forward(&$self, pass: Forward) {
                pass.y.copy_from_slice(pass.x);
                $function.forward(pass.y, pass.width);
            }

            fn backward(&$self, pass: Backward) {
                if !pass.from_logits {
                    $function.backward(pass.x, pass.y, pass.dy, pass.width);
                }
            }
        }
    };
}

activation_op!(Activation, self => self.function.clone(),
    "activation": self.function.config(););
activation_op!(ReLU, self => Function::Relu {
        negative_slope: self.negative_slope as f32, // Keras computes in f32, too
        max_value: self.max_value.map(|v| v as f32),
        threshold: self.threshold as f32,
    },
    "max_value": self.max_value, "negative_slope": self.negative_slope, "threshold": self.threshold;
fn other_keys(&self) -> &'static [&'static str] {
    &["theta"]
});
activation_op!(LeakyReLU, self => Function::LeakyRelu {
    negative_slope: self.negative_slope as f32, // Keras computes in f32, too
},
"negative_slope": self.negative_slope;
fn other_keys(&self) -> &'static [&'static str] {
    &["alpha"]
});
activation_op!(ELU, self => Function::Elu {
    alpha: self.alpha as f32, // Keras computes in f32, too
},
"alpha": self.alpha;
// The one class where Keras puts an option of its own first.
fn config(&self) -> Value {
    let mut config = self.base.config();
    config.shift_insert(1, "alpha".to_owned(), json!(self.alpha));
    Value::Object(config)
});

impl Op for Softmax {
    op_base!();

    fn call_arguments(&self) -> Value {
        json!({"mask": null})
    }

    fn on_device(&self, _built: &Built) -> OnDevice {
        match self.groups {
            None => OnDevice::Nothing,
            Some(_) => OnDevice::Refused("take the softmax over the last axis"),
        }
    }

    fn extend_config(&self, config: &mut Map<String, Value>) {
        let axis = match self.axis[..] {
            [axis] => json!(axis),
            _ => json!(self.axis),
        };
        config.insert("axis".into(), axis);
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        Groups::new(&self.axis, input, "Softmax")?;
        Ok(input.to_vec())
    }

    fn build(&mut self, input: &[usize], _weights: &mut Weights) -> Result<()> {
        let (groups, sizes) = Groups::new(&self.axis, input, "Softmax")?;
        let last = sample_axis(self.axis[0], input, "Softmax")? + 1 == input.len();
        self.groups = (sizes.len() > 1 || !last).then_some(groups);
        Ok(())
    }

    fn flow(&self, _training: bool) -> Flow {
        Flow::InPlace
    }

    fn activation(&self) -> Option<Function> {
        self.groups.is_none().then_some(Function::Softmax)
    }

    fn scratch_len(&self, _pass: &Scratch) -> usize {
        // One group of x, of y and of dy.
        3 * self.groups.as_ref().map_or(0, Groups::len)
    }

    fn forward(&self, pass: Forward) {
        let Some(groups) = &self.groups else {
            pass.y.copy_from_slice(pass.x);
            return Function::Softmax.forward(pass.y, pass.width);
        };
        let group = &mut pass.scratch[..groups.len()];
        for start in groups.starts(pass.x.len()) {
            groups.gather(pass.x, start, group);
            Function::Softmax.forward(group, groups.len());
            groups.scatter(group, pass.y, start);
        }
    }

    fn backward(&self, pass: Backward) {
        let Some(groups) = &self.groups else {
            if !pass.from_logits {
                Function::Softmax.backward(pass.x, pass.y, pass.dy, pass.width);
            }
            return;
        };
        let len = groups.len();
        let (x, rest) = pass.scratch[..3 * len].split_at_mut(len);
        let (y, dy) = rest.split_at_mut(len);
        for start in groups.starts(pass.x.len()) {
            groups.gather(pass.x, start, x);
            groups.gather(pass.y, start, y);
            groups.gather(pass.dy, start, dy);
            Function::Softmax.backward(x, y, dy, len);
            groups.scatter(dy, pass.dy, start);
        }
    }
}
