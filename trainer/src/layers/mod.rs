//! The layers, one closed set. Each struct holds Keras' options; [`Layer`] is any of them.

mod absent;
mod activation;
mod arguments;
mod base;
mod batch_normalization;
mod category_encoding;
mod custom;
mod dense;
mod embedding;
pub(crate) mod functional;
mod group_normalization;
mod groups;
mod layer_normalization;
mod lookup;
mod masking;
mod naming;
mod nested;
mod noise;
mod normalization;
pub(crate) mod operations;
mod pooling;
mod prelu;
mod rearrange;
mod rms_normalization;
mod shape;
pub(crate) mod tfmot;
mod windows;
pub(crate) mod wrappers;

use serde_json::{Value, json};

pub use activation::{Activation, ELU, LeakyReLU, ReLU, Softmax};
pub use base::Base;
pub use batch_normalization::BatchNormalization;
pub use category_encoding::{CategoryEncoding, Discretization, OutputMode};
pub use custom::Custom;
pub use dense::Dense;
pub use embedding::Embedding;
pub use group_normalization::GroupNormalization;
pub use layer_normalization::{LayerNormalization, UnitNormalization};
pub use masking::Masking;
pub use nested::Nested;
pub use noise::{
    AlphaDropout, Dropout, GaussianDropout, GaussianNoise, SpatialDropout1D, SpatialDropout2D,
};
pub use normalization::{Normalization, Rescaling, Statistics};
pub use pooling::{
    AveragePooling1D, AveragePooling2D, GlobalAveragePooling1D, GlobalAveragePooling2D,
    GlobalMaxPooling1D, GlobalMaxPooling2D, MaxPooling1D, MaxPooling2D, Padding,
};
pub use prelu::PReLU;
pub use rearrange::{Cropping1D, GetItem, Key, Permute, RepeatVector, UpSampling1D, ZeroPadding1D};
pub use rms_normalization::RMSNormalization;
pub use shape::{ActivityRegularization, Flatten, Identity, Input, Reshape};

pub(crate) use base::{
    Backward, Built, Flow, Forward, MOST_VALUES, MaxPoolStep, NormalizeStep, OnDevice, Op, Scratch,
    Weights, dtype_policy, value_count,
};
pub(crate) use lookup::LookupStep;
pub(crate) use masking::after as mask_after;
pub(crate) use naming::Names;
pub(crate) use shape::batch_shape;
pub(crate) use windows::Windows;

pub use crate::custom::ScaleOffset;

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
                    $(Self::$class(_) => layer_object($name, config),)*
                    Self::Sequential(nested) => nested.serialized(config),
                    Self::Custom(own) => serialized_own(own.registered_name(), config),
                }
            }

            fn of_class(class_name: &str, config: &Value, dialect: Dialect) -> Result<Self> {
                let reader = Config::new(class_name, config, dialect);
                match class_name {
                    $($name $(| $old_name)* => $class::from_config(&reader).map(Self::$class),)*
                    own if own.contains('>') => Custom::from_config(own, &reader).map(Self::Custom),
                    _ => {
                        let advice = absent::advice(class_name).map_or_else(
                            || format!("build the model of {} and save it again", [$($name),*].join(", ")),
                            String::from,
                        );
                        Err(Error::unsupported(format!(
                            "layer {:?} is of class {class_name}, which thumbnet does not have; {advice}",
                            config.get("name").and_then(Value::as_str).unwrap_or_default(),
                        )))
                    }
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
    // Keras 2's other name for one with a threshold.
    ReLU = "ReLU" | "ThresholdedReLU",
    LeakyReLU = "LeakyReLU",
    PReLU = "PReLU",
    ELU = "ELU",
    Softmax = "Softmax",
    Dropout = "Dropout",
    AlphaDropout = "AlphaDropout",
    GaussianNoise = "GaussianNoise",
    GaussianDropout = "GaussianDropout",
    SpatialDropout1D = "SpatialDropout1D",
    SpatialDropout2D = "SpatialDropout2D",
    Masking = "Masking",
    Embedding = "Embedding",
    CategoryEncoding = "CategoryEncoding",
    Discretization = "Discretization",
    // TensorFlow's own names of the class in older files.
    BatchNormalization = "BatchNormalization" | "BatchNormalizationV1" | "BatchNormalizationV2",
    LayerNormalization = "LayerNormalization",
    UnitNormalization = "UnitNormalization",
    GroupNormalization = "GroupNormalization",
    RMSNormalization = "RMSNormalization",
    Normalization = "Normalization",
    Rescaling = "Rescaling",
    Permute = "Permute",
    RepeatVector = "RepeatVector",
    ZeroPadding1D = "ZeroPadding1D",
    Cropping1D = "Cropping1D",
    UpSampling1D = "UpSampling1D",
    GetItem = "GetItem",
    AveragePooling1D = "AveragePooling1D",
    AveragePooling2D = "AveragePooling2D",
    MaxPooling1D = "MaxPooling1D",
    MaxPooling2D = "MaxPooling2D",
    GlobalAveragePooling1D = "GlobalAveragePooling1D",
    GlobalAveragePooling2D = "GlobalAveragePooling2D",
    GlobalMaxPooling1D = "GlobalMaxPooling1D",
    GlobalMaxPooling2D = "GlobalMaxPooling2D",
    Identity = "Identity",
    ActivityRegularization = "ActivityRegularization",
}

impl Layer {
    /// A layer that is no model, from its Keras class and config.
    pub(crate) fn read(class_name: &str, config: &Value, dialect: Dialect) -> Result<Self> {
        if let Some((class_name, config)) = wrappers::as_layer(class_name, config)? {
            return Self::read(&class_name, &config, dialect);
        }
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

/// Refuses values whose channels lie first.
fn channels_last(config: &Config) -> Result<()> {
    match config.string("data_format")?.as_deref() {
        None | Some("channels_last") => Ok(()),
        Some(_) => Err(config.error("data_format", "\"channels_last\"; save the model so")),
    }
}

/// Keras 3's serialized object of a class; slices are an operation, no layer.
fn layer_object(class_name: &str, config: Value) -> Value {
    if class_name != "GetItem" {
        return serialized("keras.layers", class_name, config);
    }
    let mut object = serialized("keras.src.ops.numpy", class_name, config);
    object["registered_name"] = json!(class_name);
    object
}
