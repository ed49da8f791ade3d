//! What can go wrong, as one small `Copy` value that holds both numbers.

use core::fmt;

use crate::blob::{Activation, Operation};
use crate::packing::Packing;

/// What a number in an [`Error`] counts or names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum What {
    /// Bytes of the blob.
    Blob,
    /// Layers of the model.
    Layers,
    /// Values of one input row.
    Inputs,
    /// Values of one output row.
    Outputs,
    /// Words of scratch memory.
    Scratch,
    /// Bytes of the labels, or their number.
    Labels,
    /// Names of the inputs.
    InputNames,
    /// Bytes of the self-test vectors.
    SelfTests,
    /// Bytes of the tensors, or the end of a layer's.
    Tensors,
    /// Number of the operation.
    Operation,
    /// Number of the packing.
    Packing,
    /// Number of the element type.
    Element,
    /// Number of the activation.
    Activation,
    /// Units of a layer.
    Units,
    /// Weights of a layer.
    Weights,
    /// Biases of a layer, or one of them.
    Bias,
    /// Multipliers or scales of a layer; for one of them, its bits.
    Scale,
    /// Entries of an activation table.
    Table,
    /// The largest accumulator that some input reaches.
    Accumulator,
    /// The bits of the threshold, which is no number.
    Threshold,
}

impl What {
    const fn name(self) -> &'static str {
        match self {
            Self::Blob => "blob bytes",
            Self::Layers => "layers",
            Self::Inputs => "inputs",
            Self::Outputs => "outputs",
            Self::Scratch => "scratch words",
            Self::Labels => "labels",
            Self::InputNames => "names of inputs",
            Self::SelfTests => "self-test bytes",
            Self::Tensors => "tensor bytes",
            Self::Operation => "operation",
            Self::Packing => "packing",
            Self::Element => "element type",
            Self::Activation => "activation",
            Self::Units => "units",
            Self::Weights => "weights",
            Self::Bias => "bias",
            Self::Scale => "scale",
            Self::Table => "table entries",
            Self::Accumulator => "accumulator",
            Self::Threshold => "threshold (in bits)",
        }
    }
}

/// Why a blob was refused, or a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u32)] // copied as words, without memcpy
#[non_exhaustive]
pub enum Error {
    /// The bytes do not start as a thumbnet blob does.
    Magic {
        /// `TNET` as a little-endian word.
        expected: u32,
        /// The first four bytes, zero where there are fewer.
        found: u32,
    },
    /// The blob has another format version; export the model again.
    Version {
        /// The version that this crate reads.
        expected: u16,
        /// The blob's version.
        found: u16,
    },
    /// The blob was damaged in storage or transfer.
    Crc {
        /// The checksum stored in the blob.
        expected: u32,
        /// The checksum of its bytes.
        found: u32,
    },
    /// The blob is not a postcard message of this format.
    Malformed,
    /// A slice, or a part of the blob, has the wrong length.
    Length {
        /// Whose length.
        what: What,
        /// The length that was needed; the greatest one for [`What::Layers`].
        expected: u32,
        /// The length that was found.
        found: u32,
    },
    /// A layer of the blob contradicts itself, or the layer before it.
    Layer {
        /// The layer's index.
        layer: u8,
        /// What is wrong.
        what: What,
        /// What would be right, or the limit.
        expected: u32,
        /// What was found.
        found: u32,
    },
    /// The blob needs a cargo feature of this crate that is not enabled.
    Feature {
        /// The layer's index.
        layer: u8,
        /// What the layer does.
        operation: Operation,
    },
    /// The layer's activation needs the cargo feature `activations` of this crate, which is not enabled.
    Activation {
        /// The layer's index.
        layer: u8,
        /// What the layer does to its sums.
        activation: Activation,
    },
    /// The layer's weights are packed for another core, and the cargo feature `portable` of this
    /// crate is not enabled.
    Packing {
        /// The layer's index.
        layer: u8,
        /// The packing that the core has a kernel for.
        expected: Packing,
        /// The layer's packing.
        found: Packing,
    },
    /// The blob's tensors do not lie at a multiple of four bytes, and the cargo feature `portable`
    /// of this crate is not enabled.
    Misaligned {
        /// Bytes behind such a multiple: 0.
        expected: u8,
        /// Bytes behind such a multiple.
        found: u8,
    },
    /// A value is NaN, infinite or beyond the range of f32: an input, or what a float layer makes of
    /// the inputs.
    NotFinite {
        /// The layer's index; 0 is the quantization or scaling of the inputs.
        layer: u8,
    },
    /// A self-test gave other bits than the exporter's machine.
    SelfTest {
        /// The self-test's index.
        test: u16,
        /// The first layer whose values differ.
        layer: u8,
        /// The checksum of that layer's values in the blob.
        expected: u32,
        /// The checksum of the values computed here.
        found: u32,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Magic { expected, found } => write!(
                f,
                "not a thumbnet blob: it starts with {found:#010x}, expected {expected:#010x}"
            ),
            Self::Version { expected, found } => write!(
                f,
                "blob version {found}, expected {expected}; export the model again"
            ),
            Self::Crc { expected, found } => write!(
                f,
                "damaged blob: its checksum is {found:#010x}, expected {expected:#010x}; copy or flash it again"
            ),
            Self::Malformed => f.write_str(
                "malformed blob: its fields do not decode, expected a whole thumbnet blob; export the model again",
            ),
            Self::Length {
                what,
                expected,
                found,
            } => write!(f, "{found} {}, expected {expected}", what.name()),
            Self::Layer {
                layer,
                what,
                expected,
                found,
            } => write!(
                f,
                "layer {layer}: {} is {found}, expected {expected}",
                what.name()
            ),
            Self::Feature { layer, operation } => {
                let needed = match operation.of_a_row() {
                    Operation::DenseInt4 => "int4",
                    Operation::DenseInt16 => "int16",
                    Operation::DenseFloat => "f32",
                    _ => "layers",
                };
                write!(
                    f,
                    "layer {layer} needs the feature \"{needed}\" of thumbnet-runtime, which is off; enable it in Cargo.toml, or export without"
                )
            }
            Self::Activation { layer, activation } => write!(
                f,
                "layer {layer}: its activation ({}) needs the feature \"activations\" of thumbnet-runtime, which is off; enable it in Cargo.toml, or export with linear, relu, sigmoid, tanh or softmax",
                activation.name()
            ),
            Self::Packing {
                layer,
                expected,
                found,
            } => write!(
                f,
                "layer {layer}: weights are packed as {}, expected {}; export for this core (thumbnet export --core) and build with its target-cpu, or enable the feature \"portable\" of thumbnet-runtime",
                found.name(),
                expected.name()
            ),
            Self::Misaligned { expected, found } => write!(
                f,
                "the tensors lie {found} bytes behind a multiple of 4, expected {expected}; place the blob at a multiple of 16, or enable the feature \"portable\" of thumbnet-runtime"
            ),
            Self::NotFinite { layer: 0 } => f.write_str(
                "an input is not finite once scaled, expected ordinary numbers; check the sensor",
            ),
            Self::NotFinite { layer } => write!(
                f,
                "layer {layer} gives a value beyond the range of f32, or was given a category that it does not have, expected inputs like those that the model was trained on; check the sensor"
            ),
            Self::SelfTest {
                test,
                layer,
                expected,
                found,
            } => write!(
                f,
                "self-test {test}: layer {layer} gave checksum {found:#010x}, expected {expected:#010x}; the blob or the build is broken"
            ),
        }
    }
}

impl core::error::Error for Error {}

/// A length for an [`Error`]; those that do not fit say `u32::MAX`.
pub(crate) fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn an_error_is_four_words() {
        assert_eq!(size_of::<Error>(), 16);
    }

    #[test]
    fn an_error_says_what_was_found_and_what_was_expected() {
        let error = Error::Length {
            what: What::Scratch,
            expected: 41,
            found: 40,
        };
        assert_eq!(error.to_string(), "40 scratch words, expected 41");
        let error = Error::Layer {
            layer: 2,
            what: What::Inputs,
            expected: 64,
            found: 32,
        };
        assert_eq!(error.to_string(), "layer 2: inputs is 32, expected 64");
        let error = Error::Feature {
            layer: 1,
            operation: Operation::DenseInt4,
        };
        assert_eq!(
            error.to_string(),
            "layer 1 needs the feature \"int4\" of thumbnet-runtime, which is off; enable it in Cargo.toml, or export without"
        );
        let error = Error::Activation {
            layer: 1,
            activation: Activation::Exponential,
        };
        assert_eq!(
            error.to_string(),
            "layer 1: its activation (exponential) needs the feature \"activations\" of thumbnet-runtime, which is off; enable it in Cargo.toml, or export with linear, relu, sigmoid, tanh or softmax"
        );
        let error = Error::Packing {
            layer: 1,
            expected: Packing::Dsp,
            found: Packing::Lane,
        };
        assert_eq!(
            error.to_string(),
            "layer 1: weights are packed as lane, expected dsp; export for this core (thumbnet export --core) and build with its target-cpu, or enable the feature \"portable\" of thumbnet-runtime"
        );
        let error = Error::Misaligned {
            expected: 0,
            found: 1,
        };
        assert_eq!(
            error.to_string(),
            "the tensors lie 1 bytes behind a multiple of 4, expected 0; place the blob at a multiple of 16, or enable the feature \"portable\" of thumbnet-runtime"
        );
    }
}
