//! From floats to a layer's integers.
//!
//! `t = x * a + b`, each operation rounded, where `b` holds [`ROUNDER`](crate::blob::ROUNDER)
//! plus the zero point, an integer, so that the sum rounds `x * a` to the nearest integer, ties
//! to even, and has the result in its low bits. The clamp is one of the float's bits: as signed
//! numbers they have the order of the values as long as those are above zero, and what is below
//! has smaller bits too.

use super::Step;
use super::finish::{limit, put_integer};
use crate::blob::{Element, Operation, ROUNDER};
use crate::pack;

/// The bits of [`ROUNDER`]: those of `ROUNDER + q` are this much plus q.
const BASE: i32 = ROUNDER.to_bits().cast_signed();

/// Collects whether any value was not finite, without a branch.
#[derive(Clone, Copy, Default)]
struct Finite {
    bits: u32,
    sum: f32,
}

impl Finite {
    #[inline(always)]
    fn see(&mut self, t: f32) {
        if cfg!(target_abi = "eabihf") {
            // Zero for every finite t, else NaN, which stays.
            self.sum += t * 0.0;
        } else {
            // The top bit comes out where the exponent is all ones.
            self.bits |= (t.to_bits() & 0x7FFF_FFFF) + 0x0080_0000;
        }
    }

    #[inline(always)]
    fn all(self) -> bool {
        self.bits.cast_signed() >= 0 && !self.sum.is_nan()
    }
}

/// A layer that quantizes: `step.inputs` values of `x` into `y`. False for a value that is not
/// finite once scaled; `y` is written anyway.
#[inline(always)]
pub(crate) fn quantize(step: &Step, x: &[f32], y: &mut [u32]) -> bool {
    each(step, x.iter().copied(), 0, y)
}

/// The same, from the value of that number on; `x` starts there.
#[inline(always)]
pub(crate) fn each(step: &Step, x: impl Iterator<Item = f32>, from: usize, y: &mut [u32]) -> bool {
    let mut finite = Finite::default();
    let pairs = step.blocks.as_chunks::<8>().0;
    let load = |bytes: &[u8; 8]| pack::first_words::<2>(bytes).map(f32::from_bits);
    let mut pair = pairs.first().map_or([0.0; 2], load);
    let limit = limit(step.output);
    for (x, unit) in x.zip(from..step.inputs) {
        if step.operation == Operation::QuantizeFeatures {
            pair = pairs.get(unit).map_or([0.0; 2], load);
        }
        let [a, b] = pair;
        let t = x * a + b;
        finite.see(t);
        if step.output == Element::Float {
            if let Some(to) = y.get_mut(unit) {
                *to = t.to_bits();
            }
            continue;
        }
        let q = t
            .to_bits()
            .cast_signed()
            .max(BASE - limit)
            .min(BASE + limit);
        // The low halfword of BASE is zero: that of the sum is q.
        put_integer(q, step.output, unit, y);
    }
    finite.all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::{Activation, Packing};
    use crate::kernel::view;

    fn int8(x: &[f32; 8], a: f32, zero: f32) -> Option<[i8; 8]> {
        let mut pair = [0; 8];
        pack::put_words(&mut pair, [a.to_bits(), (ROUNDER + zero).to_bits()]);
        let step = Step {
            operation: Operation::QuantizeTensor,
            packing: Packing::Plain,
            output: Element::Int8,
            activation: Activation::Linear,
            inputs: 8,
            units: 8,
            blocks: &pair,
            table: &[],
        };
        let mut y = [0; 2];
        quantize(&step, x, &mut y).then(|| view::int8(&y).try_into().unwrap())
    }

    #[test]
    fn ties_go_to_even_and_the_ends_are_clamped() {
        let x = [0.5, 1.5, -0.5, -1.5, 126.6, 1e9, -1e9, -127.4];
        assert_eq!(
            int8(&x, 1.0, 0.0),
            Some([0, 2, 0, -2, 127, 127, -127, -127])
        );
    }

    #[test]
    fn the_zero_point_is_added() {
        // 0.25 * 8 - 3 = -1; 0.3 * 8 - 3 = -0.6
        let x = [0.25, 0.3, 0.0, 100.0, -100.0, 1.0, 2.0, 3.0];
        assert_eq!(
            int8(&x, 8.0, -3.0),
            Some([-1, -1, -3, 127, -127, 5, 13, 21])
        );
    }

    #[test]
    fn what_is_not_finite_is_an_error() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3e38] {
            for place in [0, 7] {
                let mut x = [1.0; 8];
                x[place] = bad;
                assert_eq!(int8(&x, 2.0, 0.0), None, "{bad}");
            }
        }
        // The largest that still is: 1.7e38 * 2.
        assert_eq!(int8(&[1.7e38; 8], 2.0, 0.0), Some([127; 8]));
        assert_eq!(int8(&[-1.7e38; 8], 2.0, 0.0), Some([-127; 8]));
    }
}
