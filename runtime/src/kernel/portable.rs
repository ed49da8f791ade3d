//! Every packing and weight type by safe code on slices: what runs on hosts, what other cores
//! run of foreign packings, and what every fast kernel is tested against.

use super::{Dense, Source, Target};
use crate::blob::{Activation, Element, Operation, Packing};
use crate::pack::{self, ROWS, Shape, dsp, lane, mve, plain};
use crate::requantize::requantize;

/// A layer by portable code.
pub(crate) fn dense(dense: &Dense, source: Source, target: Target) {
    let layer = dense.layer;
    let finish = Finish::new(dense, target);
    match (layer.operation, source) {
        (Operation::DenseInt8, Source::Int8(x)) => match layer.packing {
            Packing::Lane => blocks(dense, finish, |head, w| lane::int8(head, w, x)),
            Packing::Mve => blocks(dense, finish, |head, w| mve::int8(head, w, x)),
            _ => blocks(dense, finish, |head, w| row(head, plain::dot(w, x))),
        },
        (Operation::DenseInt8, Source::Int16(x)) => {
            blocks(dense, finish, |head, w| dsp::int8(head, w, x));
        }
        #[cfg(feature = "int4")]
        (Operation::DenseInt4, Source::Int8(x)) => match layer.packing {
            Packing::Lane => blocks(dense, finish, |head, w| lane::int4(head, w, x)),
            Packing::Mve => blocks(dense, finish, |head, w| mve::int4(head, w, x)),
            _ => blocks(dense, finish, |head, w| row(head, plain::dot_nibbles(w, x))),
        },
        #[cfg(feature = "int4")]
        (Operation::DenseInt4, Source::Int16(x)) => {
            blocks(dense, finish, |head, w| dsp::int4(head, w, x));
        }
        #[cfg(feature = "int16")]
        (Operation::DenseInt16, Source::Int16(x)) => match layer.packing {
            Packing::Dsp => blocks(dense, finish, |head, w| dsp::int16(head, w, x)),
            Packing::Lane => blocks(dense, finish, |head, w| lane::int16(head, w, x)),
            Packing::Mve => blocks(dense, finish, |head, w| mve::int16(head, w, x)),
            Packing::Plain => blocks(dense, finish, |head, w| row(head, plain::dot(w, x))),
        },
        #[cfg(feature = "f32")]
        (Operation::DenseFloat, Source::Float(x)) => {
            if let Target::Float(y) = finish.target {
                float(dense, x, y);
            }
        }
        // The verifier lets no other pair through.
        _ => {}
    }
}

/// The sums of a block that has one row.
#[inline(always)]
fn row(head: &[u8], dot: i32) -> [i32; ROWS] {
    let [bias] = pack::first_words::<1>(head);
    [dot.wrapping_add(bias.cast_signed()), 0, 0, 0]
}

/// Runs all blocks of a layer, `sums` giving the sums of one from its head and weights.
#[inline(always)]
fn blocks(dense: &Dense, mut finish: Finish, sums: impl Fn(&[u8], &[u8]) -> [i32; ROWS]) {
    let layer = dense.layer;
    let shape = Shape::of(layer.operation, layer.packing, layer.inputs());
    let mut rest = dense.blocks;
    while let Some((block, next)) = rest.split_at_checked(shape.block()) {
        if block.is_empty() {
            return;
        }
        rest = next;
        let Some((head, body)) = block.split_at_checked(shape.head * 4) else {
            return;
        };
        let Some((weights, tail)) = body.split_at_checked(shape.weights) else {
            return;
        };
        finish.rows(sums(head, weights), tail);
    }
}

/// The end of a layer: sums to outputs.
struct Finish<'a> {
    target: Target<'a>,
    /// Outputs done.
    done: usize,
    shift: u32,
    limit: i32,
    table: &'a [u8],
}

impl<'a> Finish<'a> {
    fn new(dense: &Dense<'a>, target: Target<'a>) -> Self {
        let layer = dense.layer;
        Self {
            target,
            done: 0,
            shift: if layer.operation == Operation::DenseInt16 {
                0
            } else {
                8
            },
            limit: if layer.output == Element::Int16 {
                32767
            } else {
                127
            },
            table: if layer.activation == Activation::Table {
                dense.table
            } else {
                &[]
            },
        }
    }

    /// Finishes the next rows: as many as `tail` has words and the target has room.
    #[inline(never)]
    fn rows(&mut self, sums: [i32; ROWS], tail: &[u8]) {
        let first = self.done;
        let rows = sums.iter().zip(pack::words(tail));
        self.done += tail.len() / 4;
        match &mut self.target {
            Target::Int8(y) => {
                for (y, (&sum, word)) in y.iter_mut().skip(first).zip(rows) {
                    let q = requantize(sum, self.shift, word.cast_signed(), self.limit);
                    *y = int8(q, self.table);
                }
            }
            Target::Int16(y) => {
                for (y, (&sum, word)) in y.iter_mut().skip(first).zip(rows) {
                    let q = requantize(sum, self.shift, word.cast_signed(), self.limit);
                    *y = int16(q, self.limit, self.table);
                }
            }
            Target::Float(y) => {
                for (y, (&sum, word)) in y.iter_mut().skip(first).zip(rows) {
                    // One rounding where |sum| exceeds 2^24, one in the product.
                    *y = sum as f32 * f32::from_bits(word);
                }
            }
        }
    }
}

/// A value in `[-127, 127]` by the table, if there is one.
#[inline(always)]
fn int8(q: i32, table: &[u8]) -> i8 {
    // The value fits, so the cast keeps it.
    let q = q as i8;
    match table.get(usize::from(q.cast_unsigned())) {
        Some(&y) => y.cast_signed(),
        None => q,
    }
}

/// A value in `[-limit, limit]` by the table, if there is one.
#[inline(always)]
fn int16(q: i32, limit: i32, table: &[u8]) -> i16 {
    if limit == 127 {
        return i16::from(int8(q, table));
    }
    // The value fits, so the cast keeps it.
    interpolate(q, table).unwrap_or(q as i16)
}

/// The 257 entries stand at -32768, -32640 and so on up to 32640 + 128; between two of them the
/// value is on the straight line, rounded half up.
#[inline(always)]
pub(crate) fn interpolate(q: i32, table: &[u8]) -> Option<i16> {
    let position = (q + 32768).cast_unsigned();
    let entries = table.as_chunks::<2>().0;
    let entry = |index: u32| {
        entries
            .get(index as usize)
            .map(|&bytes| i32::from(i16::from_le_bytes(bytes)))
    };
    let (low, high) = (entry(position >> 8)?, entry((position >> 8) + 1)?);
    // |high - low| * 255 + 128 < 2^24; the result lies between two i16.
    Some((low + (((high - low) * (position & 255).cast_signed() + 128) >> 8)) as i16)
}

/// A layer of f32 weights.
#[cfg(feature = "f32")]
fn float(dense: &Dense, x: &[f32], y: &mut [f32]) {
    let block = pack::Shape::of(Operation::DenseFloat, Packing::Plain, x.len()).block();
    let (fours, last) = y.as_chunks_mut::<ROWS>();
    let mut blocks = dense.blocks;
    for y in fours {
        let Some((block, rest)) = blocks.split_at_checked(block) else {
            return;
        };
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
