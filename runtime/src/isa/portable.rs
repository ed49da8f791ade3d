//! Every packing and weight type by one short loop that looks up each weight: what a device runs
//! of foreign packings and of blobs that lie misaligned, and what every other kernel is tested
//! against.

use super::requantize::put;
use super::{dsp, lane};
use crate::blob::Operation;
use crate::layer::{Shape, Step, view};
use crate::packing::Packing;

/// Runs a layer.
#[inline(never)]
pub(crate) fn dense(step: &Step, x: &[u32], y: &mut [u32]) {
    for unit in 0..step.layer.units() {
        let (sum, scale) = sum(step, x, unit);
        put(step, sum, scale, unit, y);
    }
}

/// The sum of a unit, and its scale or multiplier.
#[inline(never)]
fn sum(step: &Step, x: &[u32], unit: usize) -> (i32, u32) {
    let shape = Shape::of(step.layer.operation(), step.layer.packing());
    let row = unit % shape.rows();
    let block = step.blocks.get(unit / shape.rows() * step.block_len..);
    let block = block.unwrap_or(&[]);
    let mut sum = bias(step, block, row);
    for i in 0..step.inputs {
        sum = sum.wrapping_add(weight(step, block, row, i).wrapping_mul(input(step, x, i)));
    }
    (
        sum,
        word(block, (step.block_len - step.scales_len) / 4 + row),
    )
}

/// An input of an integer layer.
#[inline(always)]
fn input(step: &Step, x: &[u32], i: usize) -> i32 {
    #[cfg(feature = "int16")]
    if step.layer.operation() == Operation::DenseInt16 {
        return view::int16(x).get(i).map_or(0, |&x| x.into());
    }
    // In 16 bits it is the low byte.
    let stride = u32::from(step.layer.packing() == Packing::Dsp);
    view::int8(x).get(i << stride).map_or(0, |&x| x.into())
}

/// A word of a block, zero where it has fewer.
#[inline(always)]
fn word(block: &[u8], index: usize) -> u32 {
    let word = block.as_chunks::<4>().0.get(index);
    word.map_or(0, |&word| u32::from_le_bytes(word))
}

/// The bias of a row, from its block's head.
#[inline]
pub(crate) fn bias(step: &Step, block: &[u8], row: usize) -> i32 {
    #[cfg(any(feature = "int4", feature = "int16"))]
    if step.layer.operation() != Operation::DenseInt8 {
        let head = [0, 1, 2, 3].map(|index| word(block, index));
        let rows = match (step.layer.operation(), step.layer.packing()) {
            #[cfg(feature = "int4")]
            (Operation::DenseInt4, Packing::Lane) => lane::solve_pairs(head),
            #[cfg(feature = "int4")]
            (Operation::DenseInt4, Packing::Dsp) => dsp::solve_int4(head),
            #[cfg(feature = "int16")]
            (Operation::DenseInt16, Packing::Lane) => lane::solve_chain(head),
            _ => head.map(u32::cast_signed),
        };
        return rows.get(row).copied().unwrap_or(0);
    }
    let Some(&head) = block.as_chunks::<4>().0.first_chunk::<3>() else {
        return 0;
    };
    let [a, b, c] = head.map(u32::from_le_bytes);
    let rows = match step.layer.packing() {
        Packing::Dsp => dsp::solve(a, b, c),
        Packing::Lane => lane::solve(a, b, c),
        Packing::Plain | Packing::Mve => return word(block, row).cast_signed(),
    };
    rows.get(row).copied().unwrap_or(0)
}

/// A weight of a block.
#[inline(never)]
pub(crate) fn weight(step: &Step, block: &[u8], row: usize, i: usize) -> i32 {
    let shape = Shape::of(step.layer.operation(), step.layer.packing());
    let byte = |index: usize| block.get(index).copied().unwrap_or(0);
    let signed = |byte: u8| i32::from(byte.cast_signed());
    let head = shape.head_len();
    let start = head + ((i >> shape.group) << shape.bytes);
    let within = i & ((1 << shape.group) - 1);
    // Most packings have the rows of a group one after the other.
    let row_start = start + ((row << shape.bytes) >> 2);
    #[cfg(feature = "int4")]
    if step.layer.operation() == Operation::DenseInt4 {
        let offset_nibble = |byte: u8, high: usize| ((i32::from(byte) >> (high * 4)) & 15) - 8;
        // Two's complement is the nibble with its top bit the other way round, less 8.
        let signed_nibble = |byte: u8, high: usize| (offset_nibble(byte, high) & 15) - 8;
        return match step.layer.packing() {
            Packing::Plain => signed_nibble(byte(head + (i >> 1)), i & 1),
            Packing::Mve => signed_nibble(byte(row_start + (i & 15)), within >> 4),
            Packing::Lane => offset_nibble(byte(head + (i >> 1) * 4 + row), i & 1),
            Packing::Dsp => {
                let byte = byte(head + 2 * i + (row >> 1));
                if row == 3 {
                    signed_nibble(byte, 1)
                } else {
                    offset_nibble(byte, row & 1)
                }
            }
        };
    }
    if step.layer.packing() == Packing::Dsp {
        // A and B in the bytes of a halfword, C and D in those of another, as low + 256 high; the A
        // of int8 has 128 added.
        let pair = start + within * 2 + (row & 2) * 2;
        let mut both = i32::from(byte(pair)) + 256 * signed(byte(pair + 1));
        if row < 2 && (!cfg!(feature = "int16") || step.layer.operation() == Operation::DenseInt8) {
            both -= 128;
        }
        return if row & 1 == 0 {
            signed(both as u8)
        } else {
            (both + 128) >> 8
        };
    }
    let lane = step.layer.packing() == Packing::Lane;
    let index = if cfg!(feature = "int16") && lane {
        head + i * 4 + row // of int8 the same as otherwise
    } else {
        row_start + within
    };
    // Lane has 128 added: the top bit the other way round.
    signed(byte(index) ^ u8::from(lane) << 7)
}
