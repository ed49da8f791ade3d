//! The end of a dense layer: from an accumulator to an output. The one place that rounds.

use crate::blob::{Element, Operation};
use crate::float;
use crate::layer::{Step, view};

/// The high word of `a * b` in 64 bits, rounded half up, as the SMMULR instruction has it.
#[inline(always)]
pub(crate) fn multiply_high(a: i32, b: i32) -> i32 {
    // i64 holds the product of two i32 with 2^31 added; the cast keeps the low word of the
    // shifted sum, which is all of it.
    ((i64::from(a) * i64::from(b) + (1 << 31)) >> 32) as i32
}

/// `acc * multiplier / 2^(32 - shift)`, rounded half up, then clamped to `[-limit, limit]`.
///
/// `shift` is 8 behind int8 inputs, whose exporter proves `|acc| < 2^23` and, for int8 outputs,
/// `multiplier < 2^24` and `|acc| * multiplier < 2^39`; it is 0 behind int16 inputs. With those bounds nothing is lost; beyond them the value wraps, the same way on
/// every target.
#[inline(always)]
pub(crate) fn requantize(acc: i32, shift: u32, multiplier: i32, limit: i32) -> i32 {
    float::clamp(multiply_high(acc.wrapping_shl(shift), multiplier), limit)
}

/// The `shift` of [`requantize`] for a layer.
#[inline(always)]
pub(crate) fn shift(step: &Step) -> u32 {
    if cfg!(feature = "int16") && step.layer.operation() == Operation::DenseInt16 {
        0
    } else {
        8
    }
}

/// Finishes the sum of a unit. `scale` is its word of the block's tail.
#[inline]
pub(crate) fn put(step: &Step, acc: i32, scale: u32, unit: usize, y: &mut [u32]) {
    if step.layer.output() == Element::Float {
        // One rounding where |acc| exceeds 2^24, one in the product.
        let value = float::scale(acc, f32::from_bits(scale));
        if let Some(to) = y.get_mut(unit) {
            *to = value.to_bits();
        }
        return;
    }
    let limit = step.layer.output().limit();
    let q = requantize(acc, shift(step), scale.cast_signed(), limit);
    // An empty table has no entry: the value stays.
    let q = if cfg!(feature = "int16") && step.layer.output() == Element::Int16 {
        interpolate(q, entries(step.table))
    } else {
        match step.table.get(q as usize & 0xFF) {
            Some(&value) => i32::from(value.cast_signed()),
            None => q,
        }
    };
    put_integer(q, step.layer.output(), unit, y);
}

/// Stores an integer of the element's range.
#[inline(always)]
pub(crate) fn put_integer(q: i32, output: Element, unit: usize, y: &mut [u32]) {
    // The value fits, so the casts keep it.
    if output == Element::Int8 {
        if let Some(to) = view::int8_mut(y).get_mut(unit) {
            *to = q as i8;
        }
    } else if let Some(to) = view::int16_mut(y).get_mut(unit) {
        *to = q as i16;
    }
}

/// The entries of a table of int16.
#[inline(always)]
pub(crate) fn entries(table: &[u8]) -> impl Fn(usize) -> Option<i32> {
    let entries = table.as_chunks::<2>().0;
    move |index| {
        let bytes = entries.get(index);
        bytes.map(|&bytes| i32::from(i16::from_le_bytes(bytes)))
    }
}

/// The 257 entries stand at -32768, -32512 and so on, 256 apart, up to 32768; between two of them
/// the value is on the straight line, rounded half up. Without a table the value stays.
#[inline(always)]
pub(crate) fn interpolate(q: i32, entry: impl Fn(usize) -> Option<i32>) -> i32 {
    let position = (q + 32768).cast_unsigned();
    let index = (position >> 8) as usize;
    let (Some(low), Some(high)) = (entry(index), entry(index + 1)) else {
        return q;
    };
    // |high - low| * 255 + 128 < 2^24; the result lies between the two.
    low + (((high - low) * (position & 255).cast_signed() + 128) >> 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_round_up() {
        // multiplier 2^23 over 2^24: one half.
        let half = 1 << 23;
        assert_eq!(requantize(3, 8, half, 127), 2); // 1.5
        assert_eq!(requantize(-3, 8, half, 127), -1); // -1.5
        assert_eq!(requantize(5, 8, half, 127), 3); // 2.5
        assert_eq!(requantize(4, 8, half, 127), 2);
    }

    #[test]
    fn the_range_is_symmetric() {
        let half = 1 << 23;
        assert_eq!(requantize(256, 8, half, 127), 127); // 128
        assert_eq!(requantize(-256, 8, half, 127), -127); // -128
        assert_eq!(requantize(1 << 20, 0, 1 << 28, 32767), 32767); // 65536
        assert_eq!(requantize(-(1 << 20), 0, 1 << 28, 32767), -32767);
    }

    #[test]
    fn the_largest_proven_accumulator_is_exact() {
        // (2^23 - 1) * (2^31 - 1) / 2^24 = 2^30 - 128.5 + 2^-24, far above the range, so it clamps.
        assert_eq!(requantize((1 << 23) - 1, 8, i32::MAX, 127), 127);
        assert_eq!(multiply_high(((1 << 23) - 1) << 8, i32::MAX), 1_073_741_696);
    }

    #[test]
    fn a_table_of_int16_is_interpolated() {
        // Entries at -32768 and -32512: 10 and 20; the rest 30.
        let mut table = [30u8, 0].repeat(258);
        table[..4].copy_from_slice(&[10, 0, 20, 0]);
        assert_eq!(interpolate(-32768 + 128, entries(&table)), 15);
        assert_eq!(interpolate(-32768 + 115, entries(&table)), 14); // 10 + 4.49
        assert_eq!(interpolate(-32768 + 116, entries(&table)), 15); // 10 + 4.53
        assert_eq!(interpolate(-32512, entries(&table)), 20);
        assert_eq!(interpolate(32767, entries(&table)), 30);
        assert_eq!(interpolate(5, entries(&[])), 5);
    }
}
