//! The blob: one postcard message, written by [`encode`](crate::encode), read by
//! [`Model::from_bytes`](crate::Model::from_bytes). `FORMAT.md` has it byte by byte.

use serde::{Deserialize, Serialize};

/// The first four bytes of every blob.
pub const MAGIC: [u8; 4] = *b"TNET";
/// The format version that this crate writes and reads.
pub const VERSION: u16 = 1;
/// Tensors start at a multiple of this, and so does each layer's.
pub const ALIGNMENT: usize = 16;
/// Inputs and units of a layer are at most this.
pub const MAX_WIDTH: usize = u16::MAX as usize;
/// The number that rounds a float in `[-2^22, 2^22]` to an integer when added: `1.5 * 2^23`.
pub const ROUNDER: f32 = 12_582_912.0;

/// What a layer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Operation {
    /// Floats to the output's element, one scale and offset for all of them.
    QuantizeTensor,
    /// Floats to the output's element, a scale and an offset for each of them.
    QuantizeFeatures,
    /// Fully connected, int8 weights, int8 inputs.
    DenseInt8,
    /// Fully connected, int4 weights, int8 inputs.
    DenseInt4,
    /// Fully connected, int8 weights, int16 inputs.
    DenseInt16,
    /// Fully connected, f32 weights and inputs.
    DenseFloat,
}

/// The order of a layer's weights in flash: for which cores it is made. Every build runs all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Packing {
    /// Row after row, for hosts and any other core. The only one of f32 weights.
    #[default]
    Plain,
    /// For cores with DSP instructions: Cortex-M4, M7, M33.
    Dsp,
    /// For the smallest cores: Cortex-M0, M0+, M3.
    Lane,
    /// For cores with vector instructions: Cortex-M55, M85.
    Mve,
}

/// What the values between two layers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Element {
    /// Integers in `[-127, 127]`, in bytes.
    Int8,
    /// Integers in `[-127, 127]`, in 16 bits each: what [`Packing::Dsp`] reads.
    Int8Wide,
    /// Integers in `[-32767, 32767]`.
    Int16,
    /// IEEE single precision.
    Float,
}

/// The variants by their numbers, as postcard counts them.
macro_rules! numbered {
    ($($name:ident: $($variant:ident)*;)*) => {$(
        impl $name {
            pub(crate) const fn of(number: u8) -> Option<Self> {
                $(if number == Self::$variant as u8 {
                    return Some(Self::$variant);
                })*
                None
            }
        }
    )*};
}

numbered! {
    Operation: QuantizeTensor QuantizeFeatures DenseInt8 DenseInt4 DenseInt16 DenseFloat;
    Packing: Plain Dsp Lane Mve;
    Element: Int8 Int8Wide Int16 Float;
    Activation: Linear Relu Sigmoid Tanh Softmax Table;
}

impl Element {
    /// Words of scratch memory for `count` values, at most `MAX_WIDTH`.
    #[inline(always)]
    pub(crate) const fn words(self, count: usize) -> usize {
        // Values of one byte, two or four.
        let shift = match self {
            Self::Int8 => 2,
            Self::Int8Wide | Self::Int16 => 1,
            Self::Float => 0,
        };
        (count + (1 << shift) - 1) >> shift
    }
}

/// What happens to a layer's sums at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Activation {
    /// Nothing. The clamp of integer outputs makes this a relu where the zero point is the
    /// range's lower end.
    #[default]
    Linear,
    /// `max(y, 0)`. Float outputs only.
    Relu,
    /// `1 / (1 + exp(-y))`. Float outputs only.
    Sigmoid,
    /// Float outputs only.
    Tanh,
    /// `exp(y) / sum(exp(y))` over the layer's outputs. Float outputs only.
    Softmax,
    /// By table. int8: 256 entries indexed by the value as `u8`. int16: 257 entries over the
    /// range, interpolated. Float: 257 entries over a stated range, interpolated, the first and
    /// last pair extended beyond it.
    Table,
}

/// One step of a model. What it reads is what the step before wrote, and its tensors lie behind
/// that step's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layer {
    pub units: u16,
    pub operation: Operation,
    pub packing: Packing,
    pub output: Element,
    pub activation: Activation,
}

/// A [`Layer`] in four bytes, as a model keeps it: a model of eight layers is small enough to be moved
/// without a call of memcpy, which is a kilobyte of flash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packed {
    units: u16,
    operation: Operation,
    /// Packing in two bits, output in two, activation in three, from the lowest on.
    rest: u8,
}

impl Packed {
    #[inline(always)]
    pub const fn new(layer: Layer) -> Self {
        Self {
            units: layer.units,
            operation: layer.operation,
            rest: layer.packing as u8 | (layer.output as u8) << 2 | (layer.activation as u8) << 4,
        }
    }

    #[inline(always)]
    pub const fn layer(self) -> Layer {
        Layer {
            units: self.units,
            operation: self.operation,
            packing: match self.rest & 3 {
                0 => Packing::Plain,
                1 => Packing::Dsp,
                2 => Packing::Lane,
                _ => Packing::Mve,
            },
            output: match (self.rest >> 2) & 3 {
                0 => Element::Int8,
                1 => Element::Int8Wide,
                2 => Element::Int16,
                _ => Element::Float,
            },
            activation: match self.rest >> 4 {
                0 => Activation::Linear,
                1 => Activation::Relu,
                2 => Activation::Sigmoid,
                3 => Activation::Tanh,
                4 => Activation::Softmax,
                _ => Activation::Table,
            },
        }
    }

    #[inline(always)]
    pub const fn units(self) -> usize {
        self.units as usize
    }
}

impl Operation {
    /// Whether this build can run it.
    pub(crate) const fn is_built_in(self) -> bool {
        (cfg!(feature = "int4") || !matches!(self, Self::DenseInt4))
            && (cfg!(feature = "int16") || !matches!(self, Self::DenseInt16))
            && (cfg!(feature = "f32") || !matches!(self, Self::DenseFloat))
    }
}

impl Layer {
    /// What it reads.
    #[inline(always)]
    pub const fn input(&self) -> Element {
        match self.operation {
            Operation::DenseInt8 | Operation::DenseInt4 => match self.packing {
                Packing::Dsp => Element::Int8Wide,
                _ => Element::Int8,
            },
            Operation::DenseInt16 => Element::Int16,
            _ => Element::Float,
        }
    }

    /// Whether it turns floats into integers, or scales them.
    #[inline(always)]
    pub const fn quantizes(&self) -> bool {
        matches!(
            self.operation,
            Operation::QuantizeTensor | Operation::QuantizeFeatures
        )
    }

    /// Bytes of the activation table behind the blocks.
    #[inline(always)]
    pub const fn table_len(&self) -> usize {
        if !matches!(self.activation, Activation::Table) {
            return 0;
        }
        match self.output {
            Element::Int8 | Element::Int8Wide => 256,
            Element::Int16 => INT16_TABLE_LEN,
            Element::Float => FLOAT_TABLE_LEN,
        }
    }
}

/// 257 values of 16 bits, and two bytes to fill the last word.
pub(crate) const INT16_TABLE_LEN: usize = 257 * 2 + 2;
/// The range's start, entries per unit of the argument, and 257 values.
pub(crate) const FLOAT_TABLE_LEN: usize = (2 + 257) * 4;

/// The whole message, field for field as postcard writes it. The writer puts the fields one by
/// one, since it has no memory for the tensors, and the reader takes them so, which costs less
/// stack and flash; tests hold both against this.
#[cfg(test)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message<'a, const LAYERS: usize> {
    pub magic: [u8; 4],
    pub version: u16,
    pub inputs: u16,
    pub layers: heapless::Vec<Layer, LAYERS>,
    pub threshold: Option<f32>,
    /// One after the other, a line feed between them.
    pub labels: &'a str,
    /// Inputs, outputs and the layers' checksums of each, as words.
    pub tests: &'a [u8],
    /// Zeros, so many that the tensors start at a multiple of [`ALIGNMENT`].
    pub padding: &'a [u8],
    pub tensors: &'a [u8],
    /// Little-endian, over everything before it.
    pub crc: [u8; 4],
}

/// CRC-32/ISO-HDLC, as zip and Ethernet have it.
///
/// On a device without a table: it runs once, and a table would be 1 kB of flash.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    #[cfg(target_os = "none")]
    const CRC: crc::Crc<u32, crc::NoTable> =
        crc::Crc::<u32, crc::NoTable>::new(&crc::CRC_32_ISO_HDLC);
    #[cfg(not(target_os = "none"))]
    static CRC: crc::Crc<u32, crc::Table<16>> =
        crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISO_HDLC);
    CRC.checksum(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn a_layer_is_six_bytes_and_four_packed() {
        assert_eq!(size_of::<Layer>(), 6);
        assert_eq!(size_of::<Packed>(), 4);
    }

    #[test]
    fn a_packed_layer_is_the_same() {
        for number in 0..=u16::MAX {
            let [kind, rest] = number.to_le_bytes();
            let parts = (
                Operation::of(kind),
                Packing::of(rest & 3),
                Element::of(rest >> 2 & 3),
                Activation::of(rest >> 4),
            );
            if let (Some(operation), Some(packing), Some(output), Some(activation)) = parts {
                let layer = Layer {
                    units: !number,
                    operation,
                    packing,
                    output,
                    activation,
                };
                assert_eq!(Packed::new(layer).layer(), layer);
            }
        }
    }
}
