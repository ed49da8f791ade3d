//! From floats to a layer's integers.
//!
//! `t = x * a + b`, each operation rounded, where `b` holds [`ROUNDER`](crate::blob::ROUNDER)
//! plus the zero point, an integer, so that the sum rounds `x * a` to the nearest integer, ties
//! to even, and has the result in its low bits. The clamp is one of the float's bits: as signed
//! numbers they have the order of the values as long as those are above zero, and what is below
//! has smaller bits too.

#[cfg(all(kernel = "lane", armv6m))]
mod armv6m;
#[cfg(all(kernel = "lane", not(armv6m)))]
mod armv7m;
#[cfg(fpu_and_dsp)]
mod fpu;

#[cfg(all(kernel = "lane", armv6m))]
use self::armv6m as kernel;
#[cfg(all(kernel = "lane", not(armv6m)))]
use self::armv7m as kernel;
use crate::blob::{Element, Operation, ROUNDER};
use crate::float::{self, NATIVE, integer};
use crate::isa::requantize::put_integer;
use crate::layer::{Step, words::first_words};

/// The bits of [`ROUNDER`]: those of `ROUNDER + q` are this much plus q.
pub(crate) const BASE: i32 = ROUNDER.to_bits().cast_signed();

/// Collects whether any value was not finite, without a branch.
#[derive(Clone, Copy, Default)]
struct Finite {
    bits: u32,
    sum: f32,
}

impl Finite {
    #[inline(always)]
    fn see(&mut self, t: f32) {
        if cfg!(all(fpu, target_os = "none")) {
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
    #[cfg(fpu_and_dsp)]
    return fpu::quantize(step, x, y);
    #[cfg(not(fpu_and_dsp))]
    {
        #[cfg(kernel = "lane")]
        let done = if NATIVE { 0 } else { without_fpu(step, x, y) };
        #[cfg(not(kernel = "lane"))]
        let done = 0;
        each(step, x.iter().skip(done).copied(), done, y)
    }
}

/// Quantizes values to int8: says how many it did. None where one might not be finite, or a scale
/// is too small: that is for other code.
#[cfg(kernel = "lane")]
#[inline(always)]
fn without_fpu(step: &Step, x: &[f32], y: &mut [u32]) -> usize {
    // Both may be longer than the layer.
    let count = step.inputs.min(x.len()).min(y.len() * 4);
    let pairs = step.blocks.as_ptr().cast::<u32>();
    let own = step.layer.operation() == Operation::QuantizeFeatures;
    let needed = if own { count * 8 } else { 8 };
    if step.layer.output() != Element::Int8
        || count == 0
        || step.blocks.len() < needed
        || !pairs.is_aligned()
    {
        return 0;
    }
    // SAFETY: x has `count` values, y room for as many bytes; `pairs` is aligned and has `needed`
    // bytes.
    let check = unsafe { kernel::quantize(x.as_ptr(), pairs, y.as_mut_ptr(), count, own.into()) };
    if check.cast_signed() < 0 { 0 } else { count }
}

/// The values of that number and on, `x` starting there, one by one.
#[inline(always)]
pub(crate) fn each(step: &Step, x: impl Iterator<Item = f32>, from: usize, y: &mut [u32]) -> bool {
    let mut finite = Finite::default();
    let pairs = step.blocks.as_chunks::<8>().0;
    let own = step.layer.operation() == Operation::QuantizeFeatures;
    for (x, unit) in x.zip(from..step.inputs) {
        let pair = pairs.get(if own { unit } else { 0 });
        let [a, b] = pair.map_or([0; 2], |pair| first_words::<2>(pair));
        if NATIVE || step.layer.output() == Element::Float {
            let limit = step.layer.output().limit();
            let (t, q) = affine(x, f32::from_bits(a), f32::from_bits(b), limit);
            finite.see(t);
            if step.layer.output() == Element::Float {
                if let Some(to) = y.get_mut(unit) {
                    *to = t.to_bits();
                }
            } else {
                // The low halfword of BASE is zero: that of the sum is q.
                put_integer(q, step.layer.output(), unit, y);
            }
        } else {
            let (q, t) = without_floats(x.to_bits(), a, b);
            finite.bits |= t;
            let limit = step.layer.output().limit();
            put_integer(float::clamp(q, limit), step.layer.output(), unit, y);
        }
    }
    finite.all()
}

/// Whether the value of an input would be clamped, or is not finite once scaled.
pub(crate) fn is_beyond(step: &Step, unit: usize, x: f32) -> bool {
    let own = step.layer.operation() == Operation::QuantizeFeatures;
    let pair = step
        .blocks
        .as_chunks::<8>()
        .0
        .get(if own { unit } else { 0 });
    let [a, b] = pair.map_or([0; 2], |pair| first_words::<2>(pair));
    let output = step.layer.output();
    let limit = output.limit();
    let mut finite = Finite::default();
    let within = if NATIVE || output == Element::Float {
        let (t, q) = affine(x, f32::from_bits(a), f32::from_bits(b), limit);
        finite.see(t);
        output == Element::Float || t.to_bits().cast_signed() == q
    } else {
        let (q, t) = without_floats(x.to_bits(), a, b);
        finite.bits |= t;
        q == float::clamp(q, limit)
    };
    !(within && finite.all())
}

/// `x * a + b` as a float, and its bits clamped to [`BASE`] and so many above and below.
#[inline(always)]
pub(crate) fn affine(x: f32, a: f32, b: f32, limit: i32) -> (f32, i32) {
    let t = float::add(float::multiply(x, a), b);
    let q = t.to_bits().cast_signed();
    (t, q.max(BASE - limit).min(BASE + limit))
}

/// The same result for cores without an FPU, in a third of the instructions: q, not yet clamped,
/// and a word whose top bit is set where t is not finite. `armv6m.rs` and `armv7m.rs` have it for int8. Of `x`, `a` and `b` the bits.
///
/// `a` is zero or in `[2^-126, 2^64]` in magnitude, so that no product that matters is subnormal.
#[inline(always)]
fn without_floats(x: u32, a: u32, b: u32) -> (i32, u32) {
    let exponent = |bits: u32| (bits >> 23 & 0xFF).cast_signed();
    let mantissa = |bits: u32| (bits | 0x0080_0000) << 8;
    let zero = b.cast_signed().wrapping_sub(BASE);
    // Of the product the top bit is at 2^63 or at 2^62, then it is doubled.
    let of_a = if exponent(a) == 0 { 0 } else { mantissa(a) };
    let product = u64::from(mantissa(x)) * u64::from(of_a);
    let (high, low) = ((product >> 32) as u32, product as u32); // its halves
    let doubled = integer::mask(!high) & 1;
    // Rounded to 24 bits as the float product is: |x * a| = p / 2^shift. The bit that `low` should
    // give to `high` only says that there is something.
    let p = integer::round(high << doubled, low);
    let shift = 276 + doubled.cast_signed() - exponent(x) - exponent(a);
    // 2^128 and above is infinite, and so is whatever has the last exponent.
    let finite = (104 + shift - (p >> 24).cast_signed()) | (254 - exponent(x));
    // The whole part, and the fraction in 2^-32. Above 2^23 it does not matter.
    let shift = float::least(integer::not_below_zero(shift.cast_unsigned()), 31);
    let (whole, fraction) = (p >> shift, p << (31 - shift) << 1);
    // Ties go to the even sum.
    let odd = (whole ^ zero.cast_unsigned()) & 1;
    let half = fraction >> 1 | (fraction | odd) & 1;
    let up = integer::mask((1u32 << 30).wrapping_sub(half)) & 1;
    let whole = (whole + up).cast_signed();
    let sign = integer::mask(x ^ a).cast_signed();
    (
        zero.wrapping_add((whole ^ sign) - sign),
        finite.cast_unsigned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::{Activation, Layer, Packed};
    use crate::layer::{view, words::put_words};
    use crate::packing::Packing;

    fn int8(x: &[f32; 8], a: f32, zero: f32) -> Option<[i8; 8]> {
        let mut pair = [0; 8];
        put_words(&mut pair, [a.to_bits(), (ROUNDER + zero).to_bits()]);
        let step = Step {
            layer: Packed::new(Layer {
                units: 8,
                operation: Operation::QuantizeTensor,
                packing: Packing::Plain,
                output: Element::Int8,
                activation: Activation::Linear,
            }),
            inputs: 8,
            #[cfg(feature = "layers")]
            rows: 1,
            block_len: 8,
            scales_len: 8,
            blocks: &pair,
            table: &[],
            behind: &[],
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
    fn floats_are_not_needed() {
        let with_floats = |x: u32, a: u32, b: u32| {
            let t = f32::from_bits(x) * f32::from_bits(a) + f32::from_bits(b);
            let q = t.to_bits().cast_signed().clamp(BASE - 32767, BASE + 32767);
            (t.is_finite(), if t.is_finite() { q - BASE } else { 0 })
        };
        let without = |x: u32, a: u32, b: u32| {
            let (q, t) = without_floats(x, a, b);
            let finite = t.cast_signed() >= 0;
            (finite, if finite { q.clamp(-32767, 32767) } else { 0 })
        };
        let mut state = 1u32;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        };
        let zeros = [0.0, -1.0, 127.0, -127.0, 32767.0, 4_194_303.0, -4_194_304.0];
        for i in 0..if cfg!(miri) { 500 } else { 300_000 } {
            let b = (ROUNDER + zeros[i % 7]).to_bits();
            let sign = next() & 0x8000_0000;
            // All bits; products around one; around ties; the ends.
            let any = [next(), (next() % 191 + 1) << 23 | next() >> 9 | sign];
            let near = [
                (110 + next() % 34) << 23 | next() >> 9 | sign,
                (120 + next() % 14) << 23 | next() >> 9,
            ];
            let half = (next() % 600) as f32 / 2.0 - 150.0;
            let tie = [half.to_bits(), 1f32.to_bits()];
            let ends = [0, 1, 0x7F7F_FFFF, 0x7F80_0000, 0xFFC0_0000, 0x8000_0000];
            let end = [ends[i % 6], [0, 1 << 23, 191 << 23, 127 << 23][i % 4]];
            for [x, a] in [any, near, tie, end] {
                assert_eq!(
                    without(x, a, b),
                    with_floats(x, a, b),
                    "{x:08x} {a:08x} {b:08x}"
                );
            }
        }
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
