//! Rows of a table, chosen by the inputs: Keras' Embedding, Discretization and CategoryEncoding.
//!
//! An input's row is how many of the layer's bounds it reaches, or, where it has none, the input itself, rounded
//! towards zero.

use crate::error::What;
use crate::float;
use crate::layer::{LOOKUP_HEAD, Step, words::first_words, words::words};

/// What the tensors begin with, all below 2^16 but the scale.
#[derive(Clone, Copy)]
struct Numbers {
    bounds: u32,
    rows: u32,
    /// Values of a row.
    units: u32,
    /// The bits of what int8 values are multiplied with; zero where they are floats.
    scale: u32,
    /// 1 where an input without a row gives zeros, 0 where it ends the prediction.
    zeros: u32,
    rest: [u32; 3],
}

impl Numbers {
    fn of(tensors: &[u8]) -> Self {
        let [bounds, rows, units, scale, zeros, rest @ ..] = first_words::<8>(tensors);
        Self {
            bounds,
            rows,
            units,
            scale,
            zeros,
            rest,
        }
    }
}

/// What is wrong with a layer: what of it, what would be right, what was found.
#[inline(never)]
pub(crate) fn wrong(step: &Step) -> Option<(What, usize, usize)> {
    let numbers = Numbers::of(step.blocks);
    let units = numbers.units as usize * step.inputs; // below 2^32
    if units != step.layer.units() {
        return Some((What::Units, units, step.layer.units()));
    }
    let rows = match numbers.bounds {
        0 => numbers.rows.max(1),
        bounds => bounds + 1,
    };
    if numbers.rows != rows {
        return Some((What::Weights, rows as usize, numbers.rows as usize));
    }
    if numbers.zeros > 1 || numbers.rest != [0; 3] {
        return Some((What::Weights, 1, numbers.zeros as usize));
    }
    let largest = 0x7F80_0000 - 1;
    // A negative scale is greater as a word.
    if numbers.scale > largest {
        return Some((What::Scale, 0, numbers.scale as usize));
    }
    let (bounds, table) = parts(step, numbers);
    let mut before = i32::MIN;
    for word in words(bounds) {
        let place = ordered(word);
        if word << 1 > largest << 1 || place <= before {
            return Some((What::Bias, 0, word as usize));
        }
        before = place;
    }
    if numbers.scale == 0
        && let Some(word) = words(table).find(|word| word << 1 > largest << 1)
    {
        return Some((What::Weights, 0, word as usize));
    }
    None
}

/// The bounds and the table.
#[inline(always)]
fn parts<'a>(step: &Step<'a>, numbers: Numbers) -> (&'a [u8], &'a [u8]) {
    let behind = step.blocks.get(LOOKUP_HEAD..).unwrap_or(&[]);
    let bounds = numbers.bounds as usize * 4;
    behind.split_at_checked(bounds).unwrap_or_default()
}

/// The bits of a float as an integer in the order of the floats, both zeros being one.
#[inline(always)]
fn ordered(bits: u32) -> i32 {
    let magnitude = (bits << 1 >> 1).cast_signed();
    if bits >> 31 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// A float rounded towards zero; `u32::MAX` where that is negative or 2^24 or more.
#[inline(always)]
fn whole(bits: u32) -> u32 {
    let exponent = bits << 1 >> 24;
    if exponent < 127 {
        return 0;
    }
    if bits >> 31 != 0 || exponent > 150 {
        return u32::MAX;
    }
    (bits & 0x007F_FFFF | 0x0080_0000) >> (150 - exponent)
}

/// Runs a layer. False where an input has no row, and that is no zeros.
///
/// # Shapes
///
/// * `x` - `[inputs]`
/// * `y` - `[inputs, units]`; may be longer
#[inline(never)]
pub(crate) fn lookup(step: &Step, x: &[f32], y: &mut [f32]) -> bool {
    let numbers = Numbers::of(step.blocks);
    let (bounds, table) = parts(step, numbers);
    let units = numbers.units as usize;
    let mut found = true;
    for (&x, y) in x.iter().zip(y.chunks_exact_mut(units.max(1))) {
        let mut row = 0;
        if bounds.is_empty() {
            row = whole(x.to_bits());
        }
        for bound in words(bounds) {
            row += u32::from(ordered(x.to_bits()) >= ordered(bound));
        }
        let has_row = row < numbers.rows;
        found &= has_row || numbers.zeros != 0;
        // Some row is read in any case, so that all take as long.
        let row = if has_row { row } else { 0 };
        let keep = if has_row { u32::MAX } else { 0 };
        let start = row as usize * units;
        if numbers.scale == 0 {
            let values = words(table.get(start * 4..).unwrap_or(&[]));
            for (y, value) in y.iter_mut().zip(values) {
                *y = f32::from_bits(value & keep);
            }
        } else {
            let scale = f32::from_bits(numbers.scale);
            for (y, value) in y.iter_mut().zip(table.get(start..).unwrap_or(&[])) {
                let value = float::scale(value.cast_signed().into(), scale);
                *y = f32::from_bits(value.to_bits() & keep);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_rounded_towards_zero() {
        for (x, expected) in [
            (0.0, 0),
            (-0.0, 0),
            (-0.9, 0),
            (0.99, 0),
            (1.0, 1),
            (1.9, 1),
            (2.0, 2),
            (65534.9, 65534),
            (16_777_215.0, 16_777_215),
            (-1.0, u32::MAX),
            (1e10, u32::MAX),
            (f32::INFINITY, u32::MAX),
            (f32::NAN, u32::MAX),
        ] {
            assert_eq!(whole(f32::to_bits(x)), expected, "{x}");
        }
    }

    #[test]
    fn words_are_in_the_order_of_the_floats() {
        let values = [f32::MIN, -1.0, -1e-40, 0.0, 1e-40, 0.5, f32::MAX];
        for (i, a) in values.iter().enumerate() {
            for (j, b) in values.iter().enumerate() {
                let order = ordered(a.to_bits()).cmp(&ordered(b.to_bits()));
                assert_eq!(order, i.cmp(&j));
            }
        }
        assert_eq!(ordered(0x8000_0000), ordered(0));
    }
}
