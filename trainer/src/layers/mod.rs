//! The layers, one closed set. Each struct holds Keras' options; [`Layer`] is any of them.

mod activation;
mod arguments;
mod base;
mod batch_normalization;
mod custom;
mod dense;
pub(crate) mod functional;
mod group_normalization;
mod groups;
mod kernel;
mod layer_normalization;
pub(crate) mod matmul;
mod naming;
mod nested;
mod noise;
mod normalization;
mod prelu;
mod rms_normalization;
mod shape;

use serde_json::{Value, json};

pub use activation::{Activation, ELU, LeakyReLU, ReLU, Softmax};
pub use base::{Base, ScaleOffset};
pub use batch_normalization::BatchNormalization;
pub use custom::Custom;
pub use dense::Dense;
pub use group_normalization::GroupNormalization;
pub use layer_normalization::{LayerNormalization, UnitNormalization};
pub use nested::Nested;
pub use noise::{AlphaDropout, Dropout, GaussianDropout, GaussianNoise};
pub use normalization::{Normalization, Rescaling, Statistics};
pub use prelu::PReLU;
pub use rms_normalization::RMSNormalization;
pub use shape::{ActivityRegularization, Flatten, Identity, Input, Reshape};

pub(crate) use base::{
    Backward, Built, Flow, Forward, MOST_VALUES, OnDevice, Op, Scratch, Weights, dtype_policy,
    value_count,
};
pub(crate) use naming::Names;
pub(crate) use shape::batch_shape;

use crate::constraints::Constraint;
use crate::keras::{Dialect, check_keys, serialized, serialized_own};
use crate::regularizers::Regularizer;
use crate::{Error, Result};
use arguments::Config;

/// Declares [`Layer`], its dispatch and its reading from configs, once for every class: a row has its
/// name in files, and the names that it had before.
macro_rules! layers {
    ($($class:ident = $name:literal $(| $old_name:literal)*),* $(,)?) => {
        /// Any layer of a model.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Layer {
            $(#[doc = concat!("See [`", stringify!($class), "`].")] $class($class),)*
            /// A model in a model; see [`Nested`].
            Sequential(Nested),
            /// One's own; see [`CustomLayer`](crate::custom::CustomLayer).
            Custom(Custom),
        }

        impl Layer {
            pub(crate) fn op(&self) -> &dyn Op {
                match self {
                    $(Self::$class(layer) => layer,)*
                    Self::Sequential(layer) => layer,
                    Self::Custom(layer) => layer,
                }
            }

            pub(crate) fn op_mut(&mut self) -> &mut dyn Op {
                match self {
                    $(Self::$class(layer) => layer,)*
                    Self::Sequential(layer) => layer,
                    Self::Custom(layer) => layer,
                }
            }

            /// Keras' class, such as `Dense`.
            pub fn class_name(&self) -> &'static str {
                match self {
                    $(Self::$class(_) => $name,)*
                    Self::Sequential(layer) => layer.class_name(),
                    Self::Custom(layer) => layer.class_name(),
                }
            }

            /// Keras 3's serialized object around the config.
            fn object(&self) -> Value {
                let config = self.config();
                match self {
                    $(Self::$class(_) => serialized("keras.layers", $name, config),)*
                    Self::Sequential(nested) => nested.serialized(config),
                    Self::Custom(own) => serialized_own(own.registered_name(), config),
                }
            }

            fn of_class(class_name: &str, config: &Value, dialect: Dialect) -> Result<Self> {
                let reader = Config::new(class_name, config, dialect);
                match class_name {
                    $($name $(| $old_name)* => $class::from_config(&reader).map(Self::$class),)*
                    own if own.contains('>') => Custom::from_config(own, &reader).map(Self::Custom),
                    _ => Err(Error::unsupported(format!(
                        "layer {:?} is a {class_name}, which thumbnet does not have; build the model of {} and save it again",
                        config.get("name").and_then(Value::as_str).unwrap_or_default(),
                        [$($name),*].join(", "),
                    ))),
                }
            }
        }
    };
}

/// What files of Keras 2 and 3 have beside a layer's own arguments.
const OTHER_KEYS: [&str; 9] = [
    "name",
    "trainable",
    "dtype",
    "activity_regularizer",
    "batch_input_shape",
    "batch_shape",
    "input_shape",
    "input_dim",
    "build_config",
];

layers! {
    Input = "InputLayer",
    Dense = "Dense",
    Flatten = "Flatten",
    Reshape = "Reshape",
    Activation = "Activation",
    ReLU = "ReLU",
    LeakyReLU = "LeakyReLU",
    PReLU = "PReLU",
    ELU = "ELU",
    Softmax = "Softmax",
    Dropout = "Dropout",
    AlphaDropout = "AlphaDropout",
    GaussianNoise = "GaussianNoise",
    GaussianDropout = "GaussianDropout",
    // TensorFlow's own names of the class in older files.
    BatchNormalization = "BatchNormalization" | "BatchNormalizationV1" | "BatchNormalizationV2",
    LayerNormalization = "LayerNormalization",
    UnitNormalization = "UnitNormalization",
    GroupNormalization = "GroupNormalization",
    RMSNormalization = "RMSNormalization",
    Normalization = "Normalization",
    Rescaling = "Rescaling",
    Identity = "Identity",
    ActivityRegularization = "ActivityRegularization",
}

impl Layer {
    /// A layer that is no model, from its Keras class and config.
    pub(crate) fn read(class_name: &str, config: &Value, dialect: Dialect) -> Result<Self> {
        let layer = Self::of_class(class_name, config, dialect)?;
        let others = [&OTHER_KEYS, layer.op().other_keys()].concat();
        let given = config.as_object();
        check_keys("layer", class_name, given, &layer.config(), &others)?;
        Ok(layer)
    }

    /// The name, or the empty string before the layer was added to a model without one.
    pub fn name(&self) -> &str {
        self.op().base().name()
    }

    /// Whether the weights learn.
    pub fn trainable(&self) -> bool {
        self.op().base().trainable
    }

    /// Freezes or unfreezes the layer, and every layer in it.
    pub fn set_trainable(&mut self, trainable: bool) {
        self.op_mut().base_mut().trainable = trainable;
        if let Self::Sequential(nested) = self {
            for layer in &mut nested.layers {
                layer.set_trainable(trainable);
            }
        }
    }

    /// The layers of a model in a model.
    pub(crate) fn layers(&self) -> Option<&[Layer]> {
        if let Self::Sequential(nested) = self {
            return Some(nested.layers());
        }
        None
    }

    /// Keras 3's `config` dict.
    pub fn config(&self) -> Value {
        self.op().config()
    }

    /// Keras 3's serialized object around the config. `input_shape` is that of one sample, when
    /// the layer was built.
    pub(crate) fn serialized(&self, input_shape: Option<&Value>) -> Value {
        let mut object = self.object();
        if let Some(shape) = input_shape
            && self.op().has_build_config()
        {
            object["build_config"] = json!({"input_shape": shape});
        }
        if let Self::Sequential(_) = self {
            object["compile_config"] = json!({});
        }
        object
    }
}

/// Null or the serialized regularizer.
fn regularizer_config(regularizer: &Option<Regularizer>) -> Value {
    regularizer
        .as_ref()
        .map_or(Value::Null, Regularizer::config)
}

/// Null or the serialized constraint.
fn constraint_config(constraint: &Option<Constraint>) -> Value {
    constraint.as_ref().map_or(Value::Null, Constraint::config)
}
