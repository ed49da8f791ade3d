//! Every packing and weight type by one short loop that looks up each weight: what a device runs
//! of foreign packings and of blobs that lie misaligned, and what every other kernel is tested
//! against.

use super::finish::put;
use super::{Step, view};
use crate::blob::{Operation, Packing};
use crate::pack::{self, Shape, dsp, lane};

#[inline(always)]
pub(crate) fn dense(step: &Step, x: &[u32], y: &mut [u32]) {
    #[cfg(feature = "f32")]
    if step.operation == Operation::DenseFloat {
        return float(step, view::floats(x), view::floats_mut(y));
    }
    integers(step, x, y);
}

/// A layer of integer weights.
#[inline(never)]
fn integers(step: &Step, x: &[u32], y: &mut [u32]) {
    let shape = Shape::of(step.operation, step.packing);
    let mut units = 0..step.units;
    let mut rest = step.blocks;
    while let Some((block, next)) = rest.split_at_checked(shape.block_len(step.inputs)) {
        rest = next;
        let Some((head, weights, tail)) = pack::parts(block, shape) else {
            return;
        };
        for ((row, scale), unit) in pack::words(tail).enumerate().zip(&mut units) {
            let mut acc = bias(step, head, row);
            for i in 0..step.inputs {
                let w = weight(step, shape, weights, row, i);
                acc = acc.wrapping_add(w.wrapping_mul(input(step, x, i)));
            }
            put(step, acc, scale, unit, y);
        }
        if units.is_empty() {
            return;
        }
    }
}

/// An input of an integer layer.
#[inline(always)]
fn input(step: &Step, x: &[u32], i: usize) -> i32 {
    let wide = step.operation == Operation::DenseInt16 || step.packing == Packing::Dsp;
    if wide {
        view::int16(x).get(i).map_or(0, |&x| x.into())
    } else {
        view::int8(x).get(i).map_or(0, |&x| x.into())
    }
}

/// The bias of a row from its block's head.
#[inline]
pub(crate) fn bias(step: &Step, head: &[u8], row: usize) -> i32 {
    let words = pack::first_words::<4>(head);
    let [a, b, c, _] = words;
    let rows = match (step.operation, step.packing) {
        #[cfg(feature = "int16")]
        (Operation::DenseInt16, Packing::Lane) => lane::solve_chain(words),
        #[cfg(feature = "int16")]
        (Operation::DenseInt16, _) => words.map(u32::cast_signed),
        #[cfg(feature = "int4")]
        (Operation::DenseInt4, Packing::Lane) => lane::solve_pairs(words),
        #[cfg(feature = "int4")]
        (Operation::DenseInt4, Packing::Dsp) => dsp::solve_int4(words),
        (_, Packing::Dsp) => dsp::solve(a, b, c),
        (_, Packing::Lane) => lane::solve(a, b, c),
        _ => words.map(u32::cast_signed),
    };
    rows.get(row).copied().unwrap_or(0)
}

/// A weight of a block.
#[inline]
pub(crate) fn weight(step: &Step, shape: Shape, weights: &[u8], row: usize, i: usize) -> i32 {
    let byte = |index: usize| weights.get(index).copied().unwrap_or(0);
    // Most packings have the rows of a group one after the other.
    let start = (i >> shape.group) << shape.bytes;
    let row_start = start + ((row << shape.bytes) >> 2);
    let within = i & ((1 << shape.group) - 1);
    let signed = |byte: u8| i32::from(byte.cast_signed());
    match (step.operation, step.packing) {
        #[cfg(feature = "int4")]
        (Operation::DenseInt4, packing) => {
            let offset_nibble = |byte: u8, high: usize| ((i32::from(byte) >> (high * 4)) & 15) - 8;
            let signed_nibble = |byte: u8, high: usize| (offset_nibble(byte, high) & 15) - 8;
            match packing {
                // Two's complement is the nibble with its top bit the other way round, less 8.
                Packing::Plain => signed_nibble(byte(i >> 1), i & 1),
                Packing::Mve => signed_nibble(byte(row_start + (i & 15)), within >> 4),
                Packing::Lane => offset_nibble(byte((i >> 1) * 4 + row), i & 1),
                Packing::Dsp => {
                    let byte = byte(2 * i + (row >> 1));
                    if row == 3 {
                        signed_nibble(byte, 1)
                    } else {
                        offset_nibble(byte, row & 1)
                    }
                }
            }
        }
        #[cfg(feature = "int16")]
        (Operation::DenseInt16, Packing::Plain | Packing::Mve) => signed(byte(row_start + within)),
        (operation, Packing::Dsp) => {
            // A and B in the bytes of a halfword, C and D in those of another. A negative byte has
            // borrowed from the one above it; the A of int8 is not, having 128 added.
            let offset = !cfg!(feature = "int16") || operation == Operation::DenseInt8;
            let pair = start + within * 2 + (row >> 1) * 4;
            let (low, high) = (byte(pair), byte(pair + 1));
            match row {
                0 if offset => i32::from(low) - 128,
                1 if offset => signed(high),
                0 | 2 => signed(low),
                _ => signed(high) + i32::from(low >> 7),
            }
        }
        (_, Packing::Lane) => i32::from(byte(i * 4 + row)) - 128,
        _ => signed(byte(row_start + within)),
    }
}

/// A layer of f32 weights.
#[cfg(feature = "f32")]
#[inline(never)]
fn float(step: &Step, x: &[f32], y: &mut [f32]) {
    let x = x.get(..step.inputs).unwrap_or(x);
    let mut blocks = step.blocks;
    let (fours, last) = y
        .get_mut(..step.units)
        .unwrap_or_default()
        .as_chunks_mut::<{ pack::ROWS }>();
    for y in fours {
        let (block, rest) = blocks
            .split_at_checked(16 + x.len() * 16)
            .unwrap_or_default();
        blocks = rest;
        *y = pack::float::sums(block, x);
    }
    match last {
        [a] => [*a] = pack::float::sums(blocks, x),
        [a, b] => [*a, *b] = pack::float::sums(blocks, x),
        [a, b, c] => [*a, *b, *c] = pack::float::sums(blocks, x),
        _ => {}
    }
}
