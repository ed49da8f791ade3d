//! How a layer's weights lie in flash: the dimensions that each packing has for each type of weights. The
//! order within is the packing's own, in its folder of `isa`.
//!
//! The tensors of a dense layer are a list of *blocks*, then the activation table if there is
//! one. A block holds some rows (units) of the weight matrix:
//!
//! | part | words |
//! |---|---|
//! | head | the rows' biases, combined as the packing's kernel starts its sums |
//! | weights | the packing's own order |
//! | tail | per row: the multiplier (i32) or, for float outputs, the scale (f32) |
//!
//! so that a kernel reads all of it with one pointer, forwards. All words are little-endian;
//! each block is a whole number of words. The rows that the last block lacks are zero in all
//! parts. `units` rows make `ceil(units / rows)` blocks, but for f32 weights, whose last block
//! is as narrow as needed.
//!
//! | operation | packing | rows | head | weight bytes | inputs |
//! |---|---|---|---|---|---|
//! | int8 | plain | 1 | 1 | ceil(n/4)*4 | i8 |
//! | int8 | dsp | 4 | 3 | ceil(n/2)*8 | i8 in i16 |
//! | int8 | lane | 4 | 3 | n*4 | i8 |
//! | int8 | mve | 4 | 4 | ceil(n/16)*64 | i8 |
//! | int4 | plain | 1 | 1 | ceil(n/8)*4 | i8 |
//! | int4 | dsp | 4 | 4 | ceil(n/2)*4 | i8 in i16 |
//! | int4 | lane | 4 | 4 | ceil(n/4)*8 | i8 |
//! | int4 | mve | 4 | 4 | ceil(n/32)*64 | i8 |
//! | int16 | plain | 1 | 1 | ceil(n/4)*4 | i16 |
//! | int16 | dsp | 4 | 4 | ceil(n/2)*8 | i16 |
//! | int16 | lane | 4 | 4 | ceil(n/2)*8 | i16 |
//! | int16 | mve | 4 | 4 | ceil(n/8)*32 | i16 |
//! | f32 | plain | 4 | 4 | n*16 | f32 |
//!
//! A kernel may read its inputs up to the end of their last word; what lies there does not
//! matter, since it meets zero weights.

#[cfg(feature = "layers")]
use super::words::first_words;
use crate::blob::{OWN, Operation, Packed};
use crate::packing::Packing;

/// Rows that a block has at most.
pub(crate) const ROWS: usize = 4;

/// The dimensions of a packing's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// A block has `2^row_bits` rows: one or four.
    row_bits: u8,
    /// Words of its head.
    head: u8,
    /// The weights lie in groups of `2^group` inputs ...
    pub group: u8,
    /// ... that take `2^bytes` bytes for all rows.
    pub bytes: u8,
}

impl Shape {
    #[inline(always)]
    pub const fn of(operation: Operation, packing: Packing) -> Self {
        const fn rows_1(group: u8, bytes: u8) -> Shape {
            Shape {
                row_bits: 0,
                head: 1,
                group,
                bytes,
            }
        }
        const fn rows_4(head: u8, group: u8, bytes: u8) -> Shape {
            Shape {
                row_bits: 2,
                head,
                group,
                bytes,
            }
        }
        match operation {
            #[cfg(feature = "int4")]
            Operation::DenseInt4 => match packing {
                Packing::Plain => rows_1(3, 2),
                Packing::Dsp => rows_4(4, 1, 2),
                Packing::Lane => rows_4(4, 2, 3),
                Packing::Mve => rows_4(4, 5, 6),
            },
            #[cfg(feature = "int16")]
            Operation::DenseInt16 => match packing {
                Packing::Plain => rows_1(2, 2),
                Packing::Dsp => rows_4(4, 1, 3),
                Packing::Lane => rows_4(4, 1, 3),
                Packing::Mve => rows_4(4, 3, 5),
            },
            // Int8, and what has no such blocks.
            _ => match packing {
                Packing::Plain => rows_1(2, 2),
                Packing::Dsp => rows_4(3, 1, 3),
                Packing::Lane => rows_4(3, 0, 2),
                Packing::Mve => rows_4(4, 4, 6),
            },
        }
    }

    /// Rows of a block.
    #[inline(always)]
    pub const fn rows(self) -> usize {
        1 << self.row_bits
    }

    /// Blocks for so many units.
    #[inline(always)]
    const fn blocks(self, units: usize) -> usize {
        ceil_shift(units, self.row_bits)
    }

    /// Bytes of a block's head.
    #[inline(always)]
    pub const fn head_len(self) -> usize {
        self.head as usize * 4
    }

    /// Bytes of a block's weights; `inputs` is at most `MAX_WIDTH`.
    #[inline(always)]
    pub const fn weights_len(self, inputs: usize) -> usize {
        ceil_shift(inputs, self.group) << self.bytes
    }

    /// Bytes of a block's tail.
    #[inline(always)]
    pub const fn tail_len(self) -> usize {
        4 << self.row_bits
    }

    /// Bytes of one block.
    #[inline(always)]
    pub const fn block_len(self, inputs: usize) -> usize {
        self.head_len() + self.weights_len(inputs) + self.tail_len()
    }
}

/// `count / 2^bits`, rounded up; the count is at most `isize::MAX`.
#[inline(always)]
const fn ceil_shift(count: usize, bits: u8) -> usize {
    // Of the negative number the shift rounds down.
    (count.wrapping_neg().cast_signed() >> bits)
        .wrapping_neg()
        .cast_unsigned()
}

/// The scale and offset of a quantization that has just one, four times: for kernels that take four
/// values at once.
const QUANTIZE_TENSOR_LEN: usize = 4 * 8;

/// How the groups of a normalization lie, then four floats; see `FORMAT.md`.
#[cfg(feature = "layers")]
const NORMALIZE_LEN: usize = 32;
/// Where the windows of a pooling lie.
#[cfg(feature = "layers")]
const MAX_POOL_LEN: usize = 32;
/// What a layer that goes row by row has before its blocks: the number of rows, the inputs and units of
/// one, and zero.
#[cfg(any(feature = "layers", not(target_os = "none")))]
pub(crate) const ROWS_HEAD: usize = 16;

/// What a lookup has before its bounds: how many they are, the rows of the table, their values, the scale of int8
/// values or zero for floats, what is done without a row, and zeros.
#[cfg(any(feature = "layers", not(target_os = "none")))]
pub(crate) const LOOKUP_HEAD: usize = 32;

/// The blocks of a layer: of a quantization its pairs, of f32 weights the units, whose last block
/// is as narrow as needed.
pub(crate) struct Blocks {
    /// Bytes of one block.
    pub len: usize,
    /// Bytes at its end that are scales or multipliers.
    pub scales_len: usize,
    /// Number of blocks.
    pub count: usize,
}

impl Blocks {
    #[inline(always)]
    pub const fn of(layer: Packed, inputs: usize) -> Self {
        let (len, scales_len, count) = match layer.operation() {
            Operation::QuantizeTensor => (8, 8, QUANTIZE_TENSOR_LEN / 8),
            Operation::QuantizeFeatures => (8, 8, inputs),
            #[cfg(feature = "layers")]
            Operation::Normalize => (NORMALIZE_LEN, 16, 1),
            #[cfg(feature = "layers")]
            Operation::Prelu => (4, 4, inputs),
            #[cfg(feature = "layers")]
            Operation::MaxPool => (MAX_POOL_LEN, 0, 1),
            #[cfg(feature = "f32")]
            Operation::DenseFloat => (inputs * 4 + 4, 0, layer.units()),
            _ => {
                // A constant where the verifier has refused all others.
                let packing = if cfg!(portable) { layer.packing() } else { OWN };
                let shape = Shape::of(layer.operation(), packing);
                (
                    shape.block_len(inputs),
                    shape.tail_len(),
                    shape.blocks(layer.units()),
                )
            }
        };
        Self {
            len,
            scales_len,
            count,
        }
    }

    /// The bounds and the table of a lookup, whose tensors say how long they are; whole words. `None` where they are
    /// too long.
    #[cfg(feature = "layers")]
    #[inline(never)]
    pub fn of_lookup(tensors: &[u8]) -> Option<Self> {
        let [bounds, rows, units, scale] = first_words::<4>(tensors);
        if bounds.max(rows).max(units) > u16::MAX.into() {
            return None;
        }
        // Below 2^32.
        let values = rows * units;
        let table = match scale {
            0 => values.checked_mul(4)?,
            _ => values.checked_add(3)? & !3,
        };
        let before = LOOKUP_HEAD as u32 + bounds * 4;
        Some(Self {
            len: table.checked_add(before)? as usize,
            scales_len: 0,
            count: 1,
        })
    }
}

/// Bytes of all blocks of a layer that does not go row by row; `usize::MAX` where they are more.
#[cfg(not(target_os = "none"))]
pub(crate) const fn blocks_len(layer: Packed, inputs: usize) -> usize {
    let blocks = Blocks::of(layer, inputs);
    blocks.len.saturating_mul(blocks.count)
}
