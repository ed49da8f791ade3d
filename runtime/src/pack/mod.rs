//! Packings: how a layer's weights lie in flash. One file each, with its packer and its
//! portable kernel: the three change together.
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
//! | int4 | lane | 4 | 3 | ceil(n/2)*4 | i8 |
//! | int4 | mve | 4 | 4 | ceil(n/32)*64 | i8 |
//! | int16 | plain | 1 | 1 | ceil(n/4)*4 | i16 |
//! | int16 | dsp | 4 | 4 | ceil(n/4)*16 | i16 |
//! | int16 | lane | 4 | 4 | n*4 | i16 |
//! | int16 | mve | 4 | 4 | ceil(n/8)*32 | i16 |
//! | f32 | plain | 4 | 4 | n*16 | f32 |
//!
//! A kernel may read its inputs up to the end of their last word; what lies there does not
//! matter, since it meets zero weights.

pub(crate) mod dsp;
#[cfg(feature = "f32")]
pub(crate) mod float;
pub(crate) mod lane;
pub(crate) mod mve;
pub(crate) mod plain;

use crate::blob::{Operation, Packing};

/// Rows that a block has at most.
pub(crate) const ROWS: usize = 4;

/// The dimensions of a packing's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub rows: usize,
    /// Words.
    pub head: usize,
    /// Bytes.
    pub weights: usize,
    /// Words.
    pub tail: usize,
}

impl Shape {
    pub const fn of(operation: Operation, packing: Packing, inputs: usize) -> Self {
        let (rows, head, weights) = match (operation, packing) {
            (Operation::DenseInt4, Packing::Plain) => (1, 1, inputs.div_ceil(8) * 4),
            (_, Packing::Plain) => (1, 1, inputs.div_ceil(4) * 4),
            (Operation::DenseInt4, Packing::Dsp) => (4, 4, inputs.div_ceil(2) * 4),
            (Operation::DenseInt16, Packing::Dsp) => (4, 4, inputs.div_ceil(4) * 16),
            (_, Packing::Dsp) => (4, 3, inputs.div_ceil(2) * 8),
            (Operation::DenseInt4, Packing::Lane) => (4, 3, inputs.div_ceil(2) * 4),
            (Operation::DenseInt16, Packing::Lane) => (4, 4, inputs * 4),
            (_, Packing::Lane) => (4, 3, inputs * 4),
            (Operation::DenseInt4, Packing::Mve) => (4, 4, inputs.div_ceil(32) * 64),
            (Operation::DenseInt16, Packing::Mve) => (4, 4, inputs.div_ceil(8) * 32),
            (_, Packing::Mve) => (4, 4, inputs.div_ceil(16) * 64),
        };
        if matches!(operation, Operation::DenseFloat) {
            return Self {
                rows: 4,
                head: 4,
                weights: inputs * 16,
                tail: 0,
            };
        }
        Self {
            rows,
            head,
            weights,
            tail: rows,
        }
    }

    /// Bytes of one block.
    #[inline(always)]
    pub const fn block(&self) -> usize {
        (self.head + self.tail) * 4 + self.weights
    }

    /// Bytes of all blocks of `units` rows.
    #[inline(always)]
    pub const fn len(&self, units: usize) -> usize {
        if self.tail == 0 {
            // f32: the last block is as narrow as needed.
            return (self.block() / self.rows).saturating_mul(units);
        }
        self.block().saturating_mul(units.div_ceil(self.rows))
    }
}

/// The rows of one block, as the packers take them.
pub(crate) struct Rows<'a> {
    /// Of each row, as many as the block has units, at most [`ROWS`].
    pub bias: &'a [i32],
    /// Of each row.
    pub weights: &'a [i8],
    pub inputs: usize,
}

impl Rows<'_> {
    /// Zero where the block has fewer rows.
    pub fn bias(&self, row: usize) -> i32 {
        self.bias.get(row).copied().unwrap_or(0)
    }

    /// Zero where the block has fewer rows, or the row fewer weights.
    pub fn weight(&self, row: usize, input: usize) -> i8 {
        if input >= self.inputs {
            return 0;
        }
        self.weights
            .get(row * self.inputs + input)
            .copied()
            .unwrap_or(0)
    }
}

/// Packs the head and the weights of one block; both slices start zeroed.
pub(crate) fn pack(
    operation: Operation,
    packing: Packing,
    rows: &Rows,
    head: &mut [u8],
    weights: &mut [u8],
) {
    match packing {
        Packing::Plain => plain::pack(operation, rows, head, weights),
        Packing::Dsp => dsp::pack(operation, rows, head, weights),
        Packing::Lane => lane::pack(operation, rows, head, weights),
        Packing::Mve => mve::pack(operation, rows, head, weights),
    }
}

/// Writes words one after the other.
pub(crate) fn put_words(bytes: &mut [u8], words: impl IntoIterator<Item = u32>) {
    for (bytes, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
}

/// Reads words one after the other.
#[inline(always)]
pub(crate) fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&bytes| u32::from_le_bytes(bytes))
}

/// The first `N` words, zero where there are fewer.
#[inline(always)]
pub(crate) fn first_words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut first = [0; N];
    for (to, word) in first.iter_mut().zip(words(bytes)) {
        *to = word;
    }
    first
}

/// The low 24 bits as a signed number.
#[inline(always)]
pub(crate) const fn low_24(word: u32) -> u32 {
    ((word << 8).cast_signed() >> 8).cast_unsigned()
}
