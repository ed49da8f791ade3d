//! A layer as kernels take it: what it does, and where its tensors lie in the blob.

mod blocks;
#[cfg(not(target_os = "none"))]
mod rows;
pub(crate) mod view;
pub(crate) mod words;

#[cfg(not(target_os = "none"))]
pub(crate) use blocks::blocks_len;
pub(crate) use blocks::{Blocks, ROWS, Shape};
#[cfg(any(feature = "layers", not(target_os = "none")))]
pub(crate) use blocks::{LOOKUP_HEAD, ROWS_HEAD};
#[cfg(not(target_os = "none"))]
pub(crate) use rows::Rows;

#[cfg(feature = "layers")]
use crate::blob::Operation;
use crate::blob::{ALIGNMENT, Packed};

/// A layer with its tensors, as kernels take it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<'a> {
    /// Of a layer that goes row by row, that of a row.
    pub layer: Packed,
    /// Of a row.
    pub inputs: usize,
    #[cfg(feature = "layers")]
    pub rows: usize,
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
        #[cfg(feature = "layers")]
        let (layer, inputs, rows, tensors) = of_rows(layer, inputs, tensors)?;
        #[cfg(feature = "layers")]
        let shape = match layer.operation() {
            Operation::Lookup => Blocks::of_lookup(tensors)?,
            _ => Blocks::of(layer, inputs),
        };
        #[cfg(not(feature = "layers"))]
        let shape = Blocks::of(layer, inputs);
        let (blocks, rest) = tensors.split_at_checked(shape.len.checked_mul(shape.count)?)?;
        let (table, rest) = rest.split_at_checked(layer.table_len())?;
        let padding = (blocks.len() + table.len()).wrapping_neg() % ALIGNMENT;
        Some(Self {
            layer,
            inputs,
            #[cfg(feature = "layers")]
            rows,
            block_len: shape.len,
            scales_len: shape.scales_len,
            blocks,
            table,
            behind: rest.get(padding..)?,
        })
    }

    /// Values that it writes.
    #[inline(always)]
    pub fn units(&self) -> usize {
        #[cfg(feature = "layers")]
        return self.layer.units() * self.rows;
        #[cfg(not(feature = "layers"))]
        self.layer.units()
    }

    /// The scales or multipliers of a block.
    #[inline(always)]
    pub fn scales<'b>(&self, block: &'b [u8]) -> &'b [u8] {
        block.get(self.block_len - self.scales_len..).unwrap_or(&[])
    }
}

/// The layer of a row, its inputs, the number of rows, and the tensors behind what says so. `None` where
/// they do not make up the layer.
#[cfg(feature = "layers")]
#[inline(always)]
fn of_rows(layer: Packed, inputs: usize, tensors: &[u8]) -> Option<(Packed, usize, usize, &[u8])> {
    if layer.operation() == layer.operation().of_a_row() {
        return Some((layer, inputs, 1, tensors));
    }
    let (head, rest) = tensors.split_at_checked(ROWS_HEAD)?;
    // Numbers below 2^16: their products are below 2^32.
    let [rows, of_row, units, zero] = words::first_words::<4>(head);
    let most = u16::MAX.into();
    let sound = rows <= most && of_row <= most && units <= most && zero == 0;
    let fits = rows.wrapping_mul(of_row) as usize == inputs
        && rows.wrapping_mul(units) as usize == layer.units();
    (sound && fits).then(|| {
        let row = layer.of_a_row(units as u16); // at most that
        (row, of_row as usize, rows as usize, rest)
    })
}
