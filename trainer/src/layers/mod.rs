//! The layers, one closed set. Each struct holds Keras' options; [`Layer`] is any of them.

mod activation;
mod base;
mod batch_normalization;
mod config;
mod custom;
mod dense;
mod groups;
mod kernel;
mod layer_normalization;
pub(crate) mod matmul;
mod naming;
mod nested;
mod noise;
mod normalization;
mod prelu;
mod shape;

use serde_json::{Value, json};

pub use activation::{Activation, ELU, LeakyReLU, ReLU, Softmax};
pub use base::Base;
pub use batch_normalization::BatchNormalization;
pub use custom::Custom;
pub use dense::Dense;
pub use layer_normalization::{LayerNormalization, UnitNormalization};
pub use nested::Nested;
pub use noise::{AlphaDropout, Dropout, GaussianDropout, GaussianNoise};
pub use normalization::{Normalization, Rescaling, Statistics};
pub use prelu::PReLU;
pub use shape::{ActivityRegularization, Flatten, Identity, Input, Reshape};

pub(crate) use base::{
    Backward, Flow, Forward, MOST_VALUES, Op, Scratch, Weights, dtype_policy, value_count,
};
pub(crate) use naming::Names;
pub(crate) use shape::batch_shape;

use crate::config::{check_keys, serialized, serialized_own};
use crate::constraints::Constraint;
use crate::regularizers::Regularizer;
use crate::{Error, Result};
use config::Config;

/// Declares [`Layer`], its dispatch and its reading from configs, once for every class.
macro_rules! layers {
    ($($class:ident = $name:literal),* $(,)?) => {
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

            /// A layer from its Keras class and config, of Keras 2 or 3.
            ///
            /// # Errors
            ///
            /// [`Error::Unsupported`] for a class or an option that thumbnet has not,
            /// [`Error::Value`] for a config that Keras would not write.
            pub fn from_config(class_name: &str, config: &Value) -> Result<Self> {
                let layer = match class_name.contains('>') {
                    true => Self::Custom(Custom::read(class_name, config)?),
                    false => Self::read(class_name, config)?,
                };
                if !matches!(layer, Self::Sequential(_)) {
                    check_keys(
                        "layer",
                        class_name,
                        config.as_object(),
                        &layer.config(),
                        &other_keys(class_name),
                    )?;
                }
                Ok(layer)
            }

            fn read(class_name: &str, config: &Value) -> Result<Self> {
                let reader = Config::new(class_name, config);
                match class_name {
                    $($name => $class::from_config(&reader).map(Self::$class),)*
                    "Sequential" | "Functional" | "Model" => {
                        Nested::from_config(class_name, config).map(Self::Sequential)
                    }
                    // TensorFlow's own name of the class in older files.
                    "BatchNormalizationV1" | "BatchNormalizationV2" => {
                        BatchNormalization::from_config(&reader).map(Self::BatchNormalization)
                    }
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

/// What they have beside these, of single classes.
fn other_keys(class_name: &str) -> Vec<&'static str> {
    let of_class: &[&str] = match class_name {
        "InputLayer" => &["sparse", "ragged", "optional"],
        "Dense" => &["lora_rank", "lora_alpha", "quantization_config"],
        "Flatten" => &["data_format"],
        "LeakyReLU" => &["alpha"],
        "BatchNormalization" | "BatchNormalizationV1" | "BatchNormalizationV2" => &[
            "renorm",
            "renorm_clipping",
            "renorm_momentum",
            "fused",
            "virtual_batch_size",
            "synchronized",
        ],
        _ => &[],
    };
    [&OTHER_KEYS, of_class].concat()
}

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
    BatchNormalization = "BatchNormalization",
    LayerNormalization = "LayerNormalization",
    UnitNormalization = "UnitNormalization",
    Normalization = "Normalization",
    Rescaling = "Rescaling",
    Identity = "Identity",
    ActivityRegularization = "ActivityRegularization",
}

impl Layer {
    /// Keras' class, such as `Dense`.
    pub fn class_name(&self) -> &'static str {
        self.op().class_name()
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

    /// Keras 3's `config` dict.
    pub fn config(&self) -> Value {
        match self {
            Self::Input(input) => input.config(),
            Self::Sequential(nested) => nested.config(),
            _ => {
                let mut config = self.op().base().config();
                self.op().extend_config(&mut config);
                if let (Self::ELU(_), Some(alpha)) = (self, config.shift_remove("alpha")) {
                    // The one class where Keras puts an option of its own first.
                    config.shift_insert(1, "alpha".to_string(), alpha);
                }
                Value::Object(config)
            }
        }
    }

    /// Keras 3's serialized object around the config. `input_shape` is that of one sample, when
    /// the layer was built.
    pub(crate) fn serialized(&self, input_shape: Option<&Value>) -> Value {
        let mut object = match self {
            Self::Sequential(nested) if nested.functional => {
                let mut object = crate::sequential::functional::object(self.config());
                object["compile_config"] = json!({});
                return object;
            }
            Self::Sequential(_) => serialized("keras", self.class_name(), self.config()),
            Self::Custom(own) => serialized_own(own.registered_name(), self.config()),
            _ => serialized("keras.layers", self.class_name(), self.config()),
        };
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

    /// What Keras calls the layer with, beside the input.
    pub(crate) fn call_arguments(&self) -> Value {
        match self {
            Self::Sequential(_) | Self::BatchNormalization(_) | Self::Softmax(_) => {
                json!({"mask": null})
            }
            Self::Dropout(_)
            | Self::AlphaDropout(_)
            | Self::GaussianNoise(_)
            | Self::GaussianDropout(_) => json!({"training": false}),
            _ => json!({}),
        }
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
