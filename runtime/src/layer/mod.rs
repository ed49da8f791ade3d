//! A layer as kernels take it: what it does, and where its tensors lie in the blob.

mod blocks;
#[cfg(not(target_os = "none"))]
mod rows;
pub(crate) mod view;
pub(crate) mod words;

pub(crate) use blocks::{Blocks, ROWS, Shape, blocks_len};
#[cfg(not(target_os = "none"))]
pub(crate) use rows::Rows;

use crate::blob::{ALIGNMENT, Packed};

/// A layer with its tensors, as kernels take it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<'a> {
    pub layer: Packed,
    pub inputs: usize,
    /// Bytes of a block; of a quantization, a pair.
    pub block_len: usize,
    /// Bytes at its end that are scales or multipliers.
    pub scales_len: usize,
    /// As [`Blocks`] has them, exactly so many bytes.
    pub blocks: &'a [u8],
    /// The activation table, empty where there is none.
    pub table: &'a [u8],
    /// The tensors of the layers behind it.
    pub behind: &'a [u8],
}

impl<'a> Step<'a> {
    /// Takes the layer's tensors from the start of those left. `None` where they do not suffice.
    #[inline(never)]
    pub fn take(layer: Packed, inputs: usize, tensors: &'a [u8]) -> Option<Self> {
        let shape = Blocks::of(layer, inputs);
        let (blocks, rest) = tensors.split_at_checked(shape.len.checked_mul(shape.count)?)?;
        let (table, rest) = rest.split_at_checked(layer.table_len())?;
        let padding = (blocks.len() + table.len()).wrapping_neg() % ALIGNMENT;
        Some(Self {
            layer,
            inputs,
            block_len: shape.len,
            scales_len: shape.scales_len,
            blocks,
            table,
            behind: rest.get(padding..)?,
        })
    }

    /// The scales or multipliers of a block.
    #[inline(always)]
    pub fn scales<'b>(&self, block: &'b [u8]) -> &'b [u8] {
        block.get(self.block_len - self.scales_len..).unwrap_or(&[])
    }
}
