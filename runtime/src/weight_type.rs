//! Integer weights: all that exporter, writer, verifier and kernels ask about a type of them.

use crate::blob::{Element, Operation};

/// A type of integer weights, by the layer that has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightType {
    /// int8 weights, int8 inputs.
    Int8,
    /// int4 weights, int8 inputs.
    Int4,
    /// int8 weights, int16 inputs.
    Int16,
}

/// What there is to know about a [`WeightType`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The layer that has such weights.
    pub operation: Operation,
    /// Bits of a weight in flash.
    pub bits: u32,
    /// The greatest absolute value of a weight.
    pub limit: u32,
    /// What the layer reads; [`Packing::Dsp`](crate::Packing::Dsp) may widen it.
    pub input: Element,
    /// The greatest absolute value that a sum may reach.
    pub sum: u32,
    /// An output is a sum times its multiplier over two to the power of this.
    pub fraction: u32,
}

impl WeightType {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::Int8, Self::Int4, Self::Int16];

    /// The table of types.
    #[inline(always)]
    pub const fn descriptor(self) -> Descriptor {
        match self {
            Self::Int8 => Descriptor {
                operation: Operation::DenseInt8,
                bits: 8,
                limit: 127,
                input: Element::Int8,
                // Packed kernels keep several sums of 24 bits in one register.
                sum: (1 << 23) - 1,
                fraction: 24,
            },
            Self::Int4 => Descriptor {
                operation: Operation::DenseInt4,
                bits: 4,
                limit: 7,
                input: Element::Int8,
                sum: (1 << 23) - 1,
                fraction: 24,
            },
            Self::Int16 => Descriptor {
                operation: Operation::DenseInt16,
                bits: 8,
                limit: 127,
                input: Element::Int16,
                sum: i32::MAX.cast_unsigned(),
                fraction: 32,
            },
        }
    }
}

impl Operation {
    /// The type of its weights; none where they are no integers, or there are none.
    #[inline(always)]
    pub const fn weights(self) -> Option<WeightType> {
        match self.of_a_row() {
            Self::DenseInt8 => Some(WeightType::Int8),
            Self::DenseInt4 => Some(WeightType::Int4),
            Self::DenseInt16 => Some(WeightType::Int16),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_has_the_bits_that_its_limit_needs() {
        for weights in WeightType::ALL {
            let row = weights.descriptor();
            assert_eq!(row.operation.weights(), Some(weights));
            // Two's complement without its lowest value.
            assert_eq!(row.limit, (1 << (row.bits - 1)) - 1);
        }
    }

    #[test]
    fn one_product_fits_a_sum() {
        for weights in WeightType::ALL {
            let row = weights.descriptor();
            assert!(row.limit * row.input.limit().unsigned_abs() <= row.sum);
        }
    }
}
