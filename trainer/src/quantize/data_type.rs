//! The arithmetic of one dense layer on the device.

use std::fmt;
use std::str::FromStr;

use thumbnet_runtime::{Precision, WeightType};

use crate::Error;

/// What a dense layer's weights and inputs are on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DataType {
    /// int4 weights, int8 inputs: half the flash of int8.
    Int4,
    /// int8 weights and inputs.
    #[default]
    Int8,
    /// int8 weights, int16 inputs, as TFLite's int16x8: for layers whose inputs span a wide range.
    Int16,
    /// f32 weights and inputs: for boards with an FPU, and layers that nothing else serves.
    Float32,
}

impl DataType {
    /// From the smallest to the largest in flash.
    pub const ALL: [Self; 4] = [Self::Int4, Self::Int8, Self::Int16, Self::Float32];

    /// Keras' or TFLite's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int4 => "int4",
            Self::Int8 => "int8",
            Self::Int16 => "int16x8",
            Self::Float32 => "float32",
        }
    }

    /// The runtime's name of such weights; none for floats.
    pub(super) fn weights(self) -> Option<WeightType> {
        match self {
            Self::Int4 => Some(WeightType::Int4),
            Self::Int8 => Some(WeightType::Int8),
            Self::Int16 => Some(WeightType::Int16),
            Self::Float32 => None,
        }
    }

    /// Largest weight; 0 for floats.
    pub(super) fn weight_limit(self) -> i8 {
        self.weights()
            .map_or(0, |weights| weights.descriptor().limit as i8) // at most 127
    }

    /// Largest integer that the layer reads, or none for floats.
    pub(super) fn input_limit(self) -> Option<i32> {
        match self {
            Self::Int4 | Self::Int8 => Some(Precision::Int8.limit()),
            Self::Int16 => Some(Precision::Int16.limit()),
            Self::Float32 => None,
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DataType {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        // What int16x8 was called first.
        let name = if name == "int16" { "int16x8" } else { name };
        Self::ALL
            .into_iter()
            .find(|data_type| data_type.name() == name)
            .ok_or_else(|| {
                Error::value(format!(
                    "data type \"{name}\" is unknown, expected int4, int8, int16x8 or float32"
                ))
            })
    }
}
