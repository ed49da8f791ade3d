//! What kernels need of the sums and multipliers of integer layers: within these limits all of them
//! give the same bits. The exporter chooses by them, [`encode`](crate::encode) and
//! [`verify_weights`](crate::Model::verify_weights) hold a unit against them.

use crate::blob::{Element, Operation};
use crate::error::What;

/// The limits of one kind of integer layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of the greatest absolute value that a sum can reach: the greatest input times the weights'
    /// absolute values, and the bias.
    pub sum: u32,
    /// The greatest absolute value of an input.
    pub input: u32,
    /// The greatest absolute value of a weight.
    pub weight: u32,
    /// Whether a sum times its multiplier must fit 16 bits behind the shift: kernels then clamp in
    /// pairs to eight.
    narrow: bool,
}

/// A sum times its multiplier stays below this where outputs have eight bits: `2^39`, of which the
/// shift by 24 leaves 15 and the sign.
const NARROW_PRODUCT: u64 = 1 << 39;
/// And so does the multiplier below this.
const NARROW_MULTIPLIER: u32 = 1 << 24;

impl Limits {
    /// Of a layer of integer weights that writes these elements; none for other operations.
    pub const fn of(operation: Operation, output: Element) -> Option<Self> {
        let Some(weights) = operation.weights() else {
            return None;
        };
        let row = weights.descriptor();
        let eight_bits = matches!(output, Element::Int8 | Element::Int8Wide);
        Some(Self {
            sum: row.sum,
            input: row.input.limit().unsigned_abs(),
            weight: row.limit,
            narrow: eight_bits && matches!(row.input, Element::Int8),
        })
    }

    /// The greatest multiplier of a unit whose sum can reach `largest`.
    pub const fn multiplier(self, largest: u32) -> u32 {
        if !self.narrow {
            return i32::MAX.cast_unsigned();
        }
        let largest = if largest == 0 { 1 } else { largest };
        let by_product = (NARROW_PRODUCT - 1) / largest as u64;
        if by_product < NARROW_MULTIPLIER as u64 {
            by_product as u32 // below 2^24
        } else {
            NARROW_MULTIPLIER - 1
        }
    }

    /// Holds a unit against them: the sum of its weights' absolute values, its bias's, and its
    /// multiplier where it writes integers.
    pub(crate) fn check(
        self,
        weights: u64,
        bias: u32,
        multiplier: Option<u32>,
    ) -> Result<(), Wrong> {
        let largest = u64::from(self.input) * weights + u64::from(bias);
        if largest > self.sum.into() {
            return Err(Wrong {
                what: What::Accumulator,
                expected: self.sum,
                found: largest,
            });
        }
        let greatest = self.multiplier(largest as u32); // at most self.sum
        match multiplier {
            Some(multiplier) if multiplier > greatest => Err(Wrong {
                what: What::Scale,
                expected: greatest,
                found: multiplier.into(),
            }),
            Some(_) | None => Ok(()),
        }
    }
}

/// What breaks a limit.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub what: What,
    pub expected: u32,
    pub found: u64,
}

/// Scales are below this, so that no sum is beyond f32's range once scaled: `2^96`, of sums below `2^31`.
pub(crate) const SCALE_LIMIT: u32 = 0x6F80_0000;

/// The greatest scale of a quantization to integers: `2^64`.
pub(crate) const QUANTIZE_LIMIT: f32 = 18_446_744_073_709_551_616.0;

/// Whether quantization gives the same bits with floats and without.
pub(crate) fn scale_is_sound(scale: f32) -> bool {
    scale == 0.0 || (f32::MIN_POSITIVE..=QUANTIZE_LIMIT).contains(&scale.abs())
}

/// Whether the rounder can hold it. Of that magnitude all floats next to the rounder are whole.
pub(crate) fn zero_is_sound(zero: f32) -> bool {
    zero.abs() <= 4_194_304.0 && zero == zero as i32 as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_has_39_bits() {
        let limits = Limits::of(Operation::DenseInt8, Element::Int8).unwrap();
        assert_eq!(limits.multiplier(0), (1 << 24) - 1);
        assert_eq!(limits.multiplier(1 << 15), (1 << 24) - 1);
        // (2^39 - 1) / 2^20 = 2^19 - 2^-20.
        assert_eq!(limits.multiplier(1 << 20), (1 << 19) - 1);
        let wide = Limits::of(Operation::DenseInt8, Element::Int16).unwrap();
        assert_eq!(wide.multiplier(1 << 20), 0x7FFF_FFFF);
        assert_eq!(Limits::of(Operation::DenseFloat, Element::Float), None);
    }
}
