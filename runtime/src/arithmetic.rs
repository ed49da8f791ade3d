//! The device's arithmetic by itself, for hosts that plan with it: what kernels do to one value.

use crate::blob::ROUNDER;
use crate::isa::requantize;
use crate::quantize;
use crate::spec::Precision;

impl Precision {
    /// The greatest integer.
    pub const fn limit(self) -> i32 {
        match self {
            Self::Int8 => 127,
            Self::Int16 => 32767,
        }
    }
}

/// The sum of a unit to the integer that it becomes before any clamp: `acc * multiplier / 2^24`, by 2^32
/// behind int16 inputs, rounded half up.
pub fn requantize(acc: i32, inputs: Precision, multiplier: i32) -> i32 {
    let shift = match inputs {
        Precision::Int8 => 8,
        Precision::Int16 => 0,
    };
    requantize::multiply_high(acc.wrapping_shl(shift), multiplier)
}

/// A value to an integer: `round(x * factor + zero_point)`, ties to even, clamped to the range. The factor is
/// the f32 nearest to the reciprocal of the scale; the product is rounded to f32 before the sum.
pub fn quantize(x: f32, factor: f32, zero_point: i32, output: Precision) -> i32 {
    // Exact for every zero point that a blob can have.
    quantize::affine(x, factor, ROUNDER + zero_point as f32, output.limit()).1 - quantize::BASE
}

/// An integer of int16 to its value by the table of an activation.
pub fn interpolate(q: i32, table: &[i16; 257]) -> i32 {
    requantize::interpolate(q, |index| table.get(index).map(|&entry| entry.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_is_rounded_as_kernels_round() {
        // 3 halves, and their opposite: half up.
        assert_eq!(requantize(3, Precision::Int8, 1 << 23), 2);
        assert_eq!(requantize(-3, Precision::Int8, 1 << 23), -1);
        assert_eq!(requantize(3, Precision::Int16, 1 << 30), 1);
        // 2.5 - 3 to even, 2.5 - 2 to even, then the range.
        assert_eq!(quantize(1.25, 2.0, -3, Precision::Int8), 0);
        assert_eq!(quantize(1.25, 2.0, -2, Precision::Int8), 0);
        assert_eq!(quantize(100.0, 2.0, -3, Precision::Int8), 127);
        assert_eq!(quantize(-1e9, 2.0, -3, Precision::Int16), -32767);
    }
}
