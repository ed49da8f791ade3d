//! The blob: one postcard message, written by [`encode`](crate::encode), read by
//! [`Model::from_bytes`](crate::Model::from_bytes). `FORMAT.md` has it byte by byte.

#[cfg(test)]
use serde::{Deserialize, Serialize};

use crate::packing::Packing;

/// The first four bytes of every blob.
pub const MAGIC: [u8; 4] = *b"TNET";
/// The format version that this crate writes and reads.
pub const VERSION: u16 = 2;
/// Tensors start at a multiple of this, and so does each layer's.
pub const ALIGNMENT: usize = 16;
/// Inputs and units of a layer are at most this.
#[cfg(not(target_os = "none"))]
pub const MAX_WIDTH: usize = u16::MAX as usize;
/// The number that rounds a float in `[-2^22, 2^22]` to an integer when added: `1.5 * 2^23`.
pub const ROUNDER: f32 = 12_582_912.0;

/// What a layer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Serialize, Deserialize))]
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
    /// Floats to floats: groups of them, each by its own mean and deviation.
    Normalize,
    /// Floats to floats: those below zero times a slope of their own.
    Prelu,
    /// [`DenseInt8`](Self::DenseInt8), applied to each row of its inputs by itself.
    RowsInt8,
    /// [`DenseInt4`](Self::DenseInt4), row by row.
    RowsInt4,
    /// [`DenseInt16`](Self::DenseInt16), row by row.
    RowsInt16,
    /// [`DenseFloat`](Self::DenseFloat), row by row.
    RowsFloat,
    /// Floats to floats: the maximum of each window.
    MaxPool,
    /// Floats to floats: for each of them a row of a table.
    Lookup,
}

#[cfg(feature = "defmt")]
impl defmt::Format for Packing {
    fn format(&self, to: defmt::Formatter) {
        defmt::write!(to, "{=str}", self.name());
    }
}

/// The packing of integer weights that the core has kernels for. A build that is not `portable` has no
/// other code for them.
pub(crate) const OWN: Packing = if cfg!(kernel = "dsp") {
    Packing::Dsp
} else if cfg!(kernel = "mve") {
    Packing::Mve
} else {
    Packing::Lane
};

/// What the values between two layers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Serialize, Deserialize))]
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

impl Element {
    /// Bytes of a value are two to the power of this.
    #[inline(always)]
    const fn len_bits(self) -> usize {
        // 0, 1, 1, 2, without a table.
        (self as usize + 1) >> 1
    }

    /// Bytes of a value.
    #[cfg(fpu_and_dsp)]
    #[inline(always)]
    pub(crate) const fn len(self) -> usize {
        1 << self.len_bits()
    }

    /// The greatest integer; of no use for floats.
    #[inline(always)]
    pub(crate) const fn limit(self) -> i32 {
        match self {
            Self::Int16 if cfg!(any(feature = "int16", not(target_os = "none"))) => 32767,
            Self::Int8 | Self::Int8Wide | Self::Int16 | Self::Float => 127,
        }
    }

    /// Bytes of `count` values, at most `MAX_WIDTH`.
    #[cfg(feature = "layers")]
    #[inline(always)]
    pub(crate) const fn bytes(self, count: usize) -> usize {
        count << self.len_bits()
    }

    /// Words of scratch memory for `count` values, at most `MAX_WIDTH`.
    #[inline(always)]
    pub(crate) const fn words(self, count: usize) -> usize {
        ((count << self.len_bits()) + 3) >> 2
    }
}

/// What happens to a layer's sums at the end.
///
/// Integer outputs have `Linear` and `Table`, float outputs all but `Table`. Those from `Exponential`
/// on need the feature `activations`.
///
/// # Errors
///
/// Against the exact function, for any finite value y:
///
/// * `Linear`, `Relu` - none
/// * `Sigmoid`, `Tanh`, `Softmax` - below 1e-6, and never outside [0, 1] or [-1, 1]
/// * `Exponential` - below `6e-7 + 6e-8 |y|` of the result
/// * `LogSoftmax` - below `2e-6 + 2e-7 |y|` for the greatest `|y|` of the row, and never above 0
/// * `Lines` - what rounding the line's two operations leaves
/// * `Curve` - what the exporter left, and never outside the range that it states: for Keras' functions
///   below 1e-6 of `max(1, |result|)`, or of an alpha above that; below 2e-6 for softsign
/// * `Table` of int8 - half a step of the output, for the int8 value that it is looked up by; of int16
///   a step and what the function bends between two entries
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(Serialize, Deserialize))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
pub enum Activation {
    /// Nothing. The clamp of integer outputs makes this a relu where the zero point is the
    /// range's lower end.
    #[default]
    Linear,
    /// `max(y, 0)`.
    Relu,
    /// `1 / (1 + exp(-y))`.
    Sigmoid,
    /// `tanh(y)`.
    Tanh,
    /// `exp(y) / sum(exp(y))` over the layer's outputs.
    Softmax,
    /// By table. int8: 256 entries indexed by the value as `u8`. int16: 257 entries over the
    /// range, interpolated.
    Table,
    /// `exp(y)`.
    Exponential,
    /// `y - ln(sum(exp(y)))` over the layer's outputs.
    LogSoftmax,
    /// Up to [`LINES`] straight lines, with or without jumps between them.
    Lines,
    /// Up to [`CURVES`] polynomials of the fifth degree.
    Curve,
}

/// Lines of [`Activation::Lines`].
pub const LINES: usize = 4;
/// Polynomials of [`Activation::Curve`].
pub const CURVES: usize = 32;
/// Coefficients of a polynomial of [`Activation::Curve`]; a line has two.
pub const COEFFICIENTS: usize = 6;

impl Activation {
    /// Keras' name, or what it is made of.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Relu => "relu",
            Self::Sigmoid => "sigmoid",
            Self::Tanh => "tanh",
            Self::Softmax => "softmax",
            Self::Table => "table",
            Self::Exponential => "exponential",
            Self::LogSoftmax => "log_softmax",
            Self::Lines => "lines",
            Self::Curve => "curve",
        }
    }

    /// By its number, at most that of `Curve`.
    #[inline(always)]
    pub(crate) const fn from_verified(number: u8) -> Self {
        match number {
            0 => Self::Linear,
            1 => Self::Relu,
            2 => Self::Sigmoid,
            3 => Self::Tanh,
            4 => Self::Softmax,
            5 => Self::Table,
            6 => Self::Exponential,
            7 => Self::LogSoftmax,
            8 => Self::Lines,
            _ => Self::Curve,
        }
    }

    /// Whether this build can run it.
    #[inline(always)]
    pub(crate) const fn is_built_in(number: u8) -> bool {
        cfg!(feature = "activations") || number <= Self::Table as u8
    }
}

/// Bytes of a function in pieces: its least and greatest value, where each piece but the first starts,
/// and for each piece the origin and the coefficients.
const fn pieces_len(pieces: usize, coefficients: usize) -> usize {
    (2 + pieces - 1 + pieces * (1 + coefficients)) * 4
}

/// One step of a model. What it reads is what the step before wrote, and its tensors lie behind
/// that step's.
#[cfg(not(target_os = "none"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Serialize, Deserialize))]
pub(crate) struct Layer {
    pub units: u16,
    pub operation: Operation,
    pub packing: Packing,
    pub output: Element,
    pub activation: Activation,
}

#[cfg(not(target_os = "none"))]
impl Layer {
    /// What stands behind the units, each a byte.
    pub const fn numbers(self) -> [u8; 4] {
        [
            self.operation as u8,
            self.packing as u8,
            self.output as u8,
            self.activation as u8,
        ]
    }
}

/// A layer in four bytes, as a model keeps it and functions take it: a model of eight layers is
/// small enough to be moved without a call of memcpy, which is a kilobyte of flash, and a layer fits
/// a register.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Packed {
    units: u16,
    operation: Operation,
    /// Packing in two bits, output in two, activation in four, from the lowest on.
    rest: u8,
}

impl Packed {
    #[cfg(not(target_os = "none"))]
    pub const fn new(layer: Layer) -> Self {
        Self {
            units: layer.units,
            operation: layer.operation,
            rest: layer.packing as u8 | (layer.output as u8) << 2 | (layer.activation as u8) << 4,
        }
    }

    /// From the units and the numbers of operation, packing, output and activation, each of which
    /// may be anything.
    #[inline(always)]
    pub const fn of(units: u16, numbers: [u8; 4]) -> Option<Self> {
        let [operation, packing, output, activation] = numbers;
        let operation = match operation {
            0 => Operation::QuantizeTensor,
            1 => Operation::QuantizeFeatures,
            2 => Operation::DenseInt8,
            3 => Operation::DenseInt4,
            4 => Operation::DenseInt16,
            5 => Operation::DenseFloat,
            6 => Operation::Normalize,
            7 => Operation::Prelu,
            8 => Operation::RowsInt8,
            9 => Operation::RowsInt4,
            10 => Operation::RowsInt16,
            11 => Operation::RowsFloat,
            12 => Operation::MaxPool,
            13 => Operation::Lookup,
            _ => return None,
        };
        if packing > Packing::Mve as u8
            || output > Element::Float as u8
            || activation > Activation::Curve as u8
        {
            return None;
        }
        Some(Self {
            units,
            operation,
            rest: packing | output << 2 | activation << 4,
        })
    }

    #[inline(always)]
    pub const fn operation(self) -> Operation {
        self.operation
    }

    #[inline(always)]
    pub const fn units(self) -> usize {
        self.units as usize
    }

    #[inline(always)]
    pub const fn packing(self) -> Packing {
        match self.rest & 3 {
            0 => Packing::Plain,
            1 => Packing::Dsp,
            2 => Packing::Lane,
            _ => Packing::Mve,
        }
    }

    /// What it writes.
    #[inline(always)]
    pub const fn output(self) -> Element {
        match (self.rest >> 2) & 3 {
            0 => Element::Int8,
            1 => Element::Int8Wide,
            2 => Element::Int16,
            _ => Element::Float,
        }
    }

    #[inline(always)]
    pub const fn activation(self) -> Activation {
        Activation::from_verified(self.activation_number())
    }

    /// [`activation`](Self::activation) by its number.
    #[inline(always)]
    pub const fn activation_number(self) -> u8 {
        self.rest >> 4
    }

    /// What it reads.
    #[inline(always)]
    pub const fn input(self) -> Element {
        self.operation().of_a_row().input(self.packing())
    }

    /// Of a layer that goes row by row the layer of one of them, of so many units.
    #[cfg(feature = "layers")]
    #[inline(always)]
    pub const fn of_a_row(self, units: u16) -> Self {
        Self {
            units,
            operation: self.operation.of_a_row(),
            rest: self.rest,
        }
    }

    /// Bytes of the activation's table or pieces behind the blocks.
    #[inline(always)]
    pub const fn table_len(self) -> usize {
        let activation = self.activation_number();
        if cfg!(feature = "activations") {
            if activation == Activation::Lines as u8 {
                return pieces_len(LINES, 2);
            }
            if activation == Activation::Curve as u8 {
                return pieces_len(CURVES, COEFFICIENTS);
            }
        }
        if activation != Activation::Table as u8 {
            return 0;
        }
        // 256 values of one byte, or 257 of two and two more bytes.
        (self.output() as usize & 2) * 130 + 256
    }
}

impl Operation {
    /// What it reads, its weights being packed so.
    #[inline(always)]
    pub(crate) const fn input(self, packing: Packing) -> Element {
        let Some(weights) = self.weights() else {
            return Element::Float;
        };
        match (weights.descriptor().input, packing) {
            // SMLAD multiplies halfwords.
            (Element::Int8, Packing::Dsp) => Element::Int8Wide,
            (input, _) => input,
        }
    }

    /// Whether this build can run it.
    #[inline(always)]
    pub(crate) const fn is_built_in(self) -> bool {
        (cfg!(feature = "layers") || self as u8 <= Self::DenseFloat as u8)
            && (cfg!(feature = "int4") || !matches!(self.of_a_row(), Self::DenseInt4))
            && (cfg!(feature = "int16") || !matches!(self.of_a_row(), Self::DenseInt16))
            && (cfg!(feature = "f32") || !matches!(self.of_a_row(), Self::DenseFloat))
    }

    /// What it does to a row, where it goes row by row; else itself.
    #[inline(always)]
    pub const fn of_a_row(self) -> Self {
        if cfg!(not(feature = "layers")) {
            return self;
        }
        match self {
            Self::RowsInt8 => Self::DenseInt8,
            Self::RowsInt4 => Self::DenseInt4,
            Self::RowsInt16 => Self::DenseInt16,
            Self::RowsFloat => Self::DenseFloat,
            other => other,
        }
    }

    /// Whether it writes nothing but floats.
    #[inline(always)]
    pub(crate) const fn writes_floats(self) -> bool {
        if cfg!(not(feature = "layers")) {
            return matches!(self, Self::DenseFloat);
        }
        matches!(
            self.of_a_row(),
            Self::DenseFloat | Self::Normalize | Self::Prelu | Self::MaxPool | Self::Lookup
        )
    }

    /// Whether it has weights.
    #[inline(always)]
    pub(crate) const fn is_dense(self) -> bool {
        self.weights().is_some() || matches!(self.of_a_row(), Self::DenseFloat)
    }

    /// Whether it scales, normalizes or bends each value, and writes as many as it reads.
    #[inline(always)]
    pub(crate) const fn is_elementwise(self) -> bool {
        self.quantizes()
            || (cfg!(feature = "layers") && matches!(self, Self::Normalize | Self::Prelu))
    }

    /// Whether it turns floats into integers, or scales them.
    #[inline(always)]
    pub(crate) const fn quantizes(self) -> bool {
        matches!(self, Self::QuantizeTensor | Self::QuantizeFeatures)
    }
}

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
    /// The names of the inputs, a line feed between two, or none; then zeros, so many that the tensors
    /// start at a multiple of [`ALIGNMENT`].
    pub padding: &'a [u8],
    pub tensors: &'a [u8],
    /// Little-endian, over everything before it.
    pub crc: [u8; 4],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_is_six_bytes_and_four_packed() {
        assert_eq!(size_of::<Layer>(), 6);
        assert_eq!(size_of::<Packed>(), 4);
    }

    #[test]
    fn values_fill_words() {
        for (element, words) in [
            (Element::Int8, [0, 1, 1, 1, 1, 2]),
            (Element::Int8Wide, [0, 1, 1, 2, 2, 3]),
            (Element::Int16, [0, 1, 1, 2, 2, 3]),
            (Element::Float, [0, 1, 2, 3, 4, 5]),
        ] {
            assert_eq!([0, 1, 2, 3, 4, 5].map(|count| element.words(count)), words);
        }
    }

    #[test]
    fn a_packed_layer_is_the_same() {
        let mut count = 0;
        // Miri is slow: one of 97 there.
        for numbers in (0..1 << 16).step_by(if cfg!(miri) { 97 } else { 1 }) {
            // Four to a number: all that are allowed, and some that are not.
            let numbers = [0, 4, 8, 12].map(|bits| (numbers >> bits & 15) as u8);
            let layer = postcard::from_bytes(&[&[7], &numbers[..]].concat());
            let packed = Packed::of(7, numbers);
            let found = packed.map(|packed| Layer {
                units: packed.units,
                operation: packed.operation(),
                packing: packed.packing(),
                output: packed.output(),
                activation: packed.activation(),
            });
            assert_eq!(found, layer.ok(), "{numbers:?}");
            if let Some(layer) = found {
                assert_eq!(Some(Packed::new(layer)), packed);
                count += 1;
            }
        }
        if cfg!(miri) {
            assert!(count > 0);
        } else {
            assert_eq!(count, 14 * 4 * 4 * 10);
        }
    }

    #[test]
    fn tables_are_as_long_as_their_values() {
        let len = |output, activation| {
            let layer = Layer {
                units: 1,
                operation: Operation::DenseInt8,
                packing: Packing::Plain,
                output,
                activation,
            };
            Packed::new(layer).table_len()
        };
        assert_eq!(len(Element::Int8, Activation::Table), 256);
        assert_eq!(len(Element::Int8Wide, Activation::Table), 256);
        // And two bytes to fill the last word.
        assert_eq!(len(Element::Int16, Activation::Table), 257 * 2 + 2);
        assert_eq!(len(Element::Float, Activation::Exponential), 0);
    }

    #[cfg(feature = "activations")]
    #[test]
    fn pieces_are_as_long_as_their_values() {
        // Two ends, three starts, four times an origin, a slope and an offset.
        assert_eq!(pieces_len(LINES, 2), (2 + 3 + 4 * 3) * 4);
        assert_eq!(pieces_len(CURVES, COEFFICIENTS), (2 + 31 + 32 * 7) * 4);
    }
}
