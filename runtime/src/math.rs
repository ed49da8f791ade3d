//! Activations of float outputs.
//!
//! The exponential is done in integers: it costs as much as in floats on a core with an FPU, a
//! fifth on one without, and the same number of instructions for every value. micromath's `exp`
//! does neither: it is off by up to 2.4e-3 and branches on its argument. Its operations on the
//! sign bit are exact and used as they are.

use micromath::F32Ext;

use crate::blob::Activation;
use crate::softfloat::integer::multiply_high;
use crate::softfloat::{
    NATIVE, add, choose_by_sign, divide, from_u32, greatest, least, multiply, multiply_normal,
    relu, subtract, to_byte,
};

/// A power of two below one: `2^-halvings * fraction / 2^31`, the fraction in `(2^30, 2^31]`, or
/// below it by less than 2^-23 of that.
#[derive(Clone, Copy)]
struct Power {
    fraction: u32,
    halvings: u32,
}

/// `exp(-|x|)`, with a relative error below `2e-7 + |x| * 6e-8`; as `exp(-64)` where that is less.
#[inline(never)]
fn exp_of_minus(x: f32) -> Power {
    // log2(e) * 2^31.
    const LOG2_E: u32 = 0xB8AA_3B29;
    // Below 64; infinity and NaN too.
    let bits = least(F32Ext::abs(x).to_bits(), 64f32.to_bits() - 1);
    let mantissa = ((bits & 0x007F_FFFF) | 0x0080_0000) << 7;
    // |x| is mantissa * 2^(exponent - 157): this is |x| * log2(e) * 2^24, rounded down.
    let shift = least(132 - (bits >> 23), 31);
    let t = multiply_high(mantissa, LOG2_E) >> shift;
    // 2^-f for the fraction f of t, in 2^-32. Minimax of the relative error on [0, 1], 8.4e-8.
    let f = t << 8;
    let p = 0x003D_ECDA;
    let p = 0x025B_4FAA - multiply_high(p, f);
    let p = 0x0E27_F7B9 - multiply_high(p, f);
    let p = 0x3D7C_7223 - multiply_high(p, f);
    let p = 0xB171_DDEE - multiply_high(p, f);
    Power {
        fraction: (1 << 31) - (multiply_high(p, f) >> 1),
        halvings: t >> 24,
    }
}

impl Power {
    /// The nearest float; of two, the greater.
    #[inline(always)]
    fn float(self) -> f32 {
        // A fraction of 2^30 is one half; the carry of a greater one goes into the exponent.
        let above = self.fraction.wrapping_sub((1 << 30) - 64).cast_signed() >> 7;
        f32::from_bits(((126 - self.halvings) << 23).wrapping_add_signed(above))
    }
}

/// `exp(x) / sum(exp(x))` in place, within 1e-6 of the exact value.
#[inline(always)]
fn softmax(values: &mut [f32]) {
    // Floats in the order of integers.
    let ordered = |bits: i32| bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed();
    let mut largest = i32::MIN;
    for value in values.iter() {
        largest = greatest(largest, ordered(value.to_bits().cast_signed()));
    }
    let largest = f32::from_bits(ordered(largest).cast_unsigned());
    let mut sum = 0u64;
    for value in values.iter_mut() {
        let power = exp_of_minus(subtract(largest, *value));
        *value = power.float();
        sum += u64::from(power.fraction >> least(power.halvings, 31));
    }
    // Rounded three times, 2^31 being exact. The casts split the sum.
    let high = multiply(from_u32((sum >> 32) as u32), 4_294_967_296.0);
    let scale = divide(2_147_483_648.0, add(high, from_u32(sum as u32)));
    for value in values.iter_mut() {
        // The exponential is at least 2^-93, the scale 2^-17: both are normal, and the product.
        *value = multiply_normal(*value, scale);
    }
}

/// `1 / (1 + exp(-x))`, within 1e-6 of the exact value.
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    let power = exp_of_minus(x);
    let sum = (1 << 30) + (power.fraction >> least(power.halvings + 1, 31));
    // From the side where nothing cancels: 1 / (1 + e) above zero, e / (1 + e) below. Chosen by
    // bits, since a branch would make the number of instructions depend on x.
    let numerator = choose_by_sign(x, 1.0, power.float());
    // A power of two, so just two roundings.
    divide(multiply_normal(numerator, 1_073_741_824.0), from_u32(sum))
}

/// The activation of a whole float output, in place.
#[inline(never)]
pub(crate) fn activate(activation: Activation, table: &[u8], values: &mut [f32]) {
    // Asked once, not by each loop.
    if values.is_empty() {
        return;
    }
    match activation {
        Activation::Linear => {}
        Activation::Relu => values.iter_mut().for_each(|y| *y = relu(*y)),
        Activation::Sigmoid | Activation::Tanh => {
            // tanh(x) = 2 * sigmoid(2 * x) - 1.
            let stretch = if activation == Activation::Tanh {
                2.0
            } else {
                1.0
            };
            let offset = 1.0 - stretch;
            // One and zero change nothing; an FPU is done with them sooner than with a branch.
            if !NATIVE && activation == Activation::Sigmoid {
                values.iter_mut().for_each(|y| *y = sigmoid(*y));
                return;
            }
            for y in values {
                let value = sigmoid(multiply(stretch, *y));
                *y = add(multiply(stretch, value), offset);
            }
        }
        Activation::Softmax => softmax(values),
        Activation::Table => interpolate(values, table),
    }
}

/// The table's 257 values stand at equal distances from its start on; between two of them, and
/// beyond the first and the last pair, the value is on the straight line.
#[inline(always)]
fn interpolate(values: &mut [f32], table: &[u8]) {
    let float = |&bytes: &[u8; 4]| f32::from_bits(u32::from_le_bytes(bytes));
    let [start, density, entries @ ..] = table.as_chunks::<4>().0 else {
        return;
    };
    let (start, density) = (float(start), float(density));
    for y in values {
        let position = multiply(subtract(*y, start), density);
        let index = to_byte(position);
        let Some([low, high, ..]) = entries.get(index as usize..) else {
            return;
        };
        let (low, high) = (float(low), float(high));
        let beyond = subtract(position, from_u32(index));
        *y = add(low, multiply(beyond, subtract(high, low)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack;
    use std::vec::Vec;

    /// Every so manieth float in `[-90, 90]`.
    fn some_floats(step: u32) -> impl Iterator<Item = f32> {
        (0..=90f32.to_bits())
            .step_by(step as usize)
            .map(f32::from_bits)
            .flat_map(|x| [x, -x])
    }

    #[test]
    fn exp_has_seven_digits() {
        for x in some_floats(if cfg!(miri) { 99_999_999 } else { 2579 }).filter(|x| x.abs() < 64.0)
        {
            let exact = (-f64::from(x).abs()).exp();
            let error = (f64::from(exp_of_minus(x).float()) - exact) / exact;
            // 8.4e-8 of the polynomial, 2^-24 of the float, ln 2 * 2^-24 of t, |x| * 2^-24 of
            // the argument.
            let bound = 1.9e-7 + f64::from(x).abs() * 6e-8;
            assert!(error.abs() < bound, "exp({x}) is off by {error}");
        }
    }

    #[test]
    fn sigmoid_and_tanh_are_within_a_millionth() {
        for x in some_floats(if cfg!(miri) { 99_999_999 } else { 2579 }) {
            let mut y = [x];
            activate(Activation::Sigmoid, &[], &mut y);
            let exact = 1.0 / (1.0 + (-f64::from(x)).exp());
            assert!((f64::from(y[0]) - exact).abs() < 2e-7, "sigmoid({x})");
            let mut y = [x];
            activate(Activation::Tanh, &[], &mut y);
            assert!(
                (f64::from(y[0]) - f64::from(x).tanh()).abs() < 4e-7,
                "tanh({x})"
            );
        }
    }

    #[test]
    fn sigmoid_of_zero_is_one_half_and_the_ends_are_sound() {
        let mut y = [0.0, -0.0, 1e9, -1e9, 64.0, -64.0];
        activate(Activation::Sigmoid, &[], &mut y);
        assert_eq!(y[..3], [0.5, 0.5, 1.0]);
        assert!(y[3] > 0.0 && y[3] < 1e-27 && y[3] == y[5]);
        assert_eq!(y[4], 1.0);
    }

    #[test]
    fn softmax_is_within_a_millionth() {
        let mut state = 1u32;
        for &count in if cfg!(miri) {
            &[1, 10][..]
        } else {
            &[1, 2, 3, 10, 100, 1000]
        } {
            for spread in [0.01, 1.0, 10.0, 100.0, 1e6] {
                let mut next = || {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 8) as f32 / 16_777_216.0 * spread - spread / 3.0
                };
                let logits: Vec<f32> = (0..count).map(|_| next()).collect();
                let largest = logits.iter().copied().fold(f32::MIN, f32::max);
                let exps = logits
                    .iter()
                    .map(|&x| (f64::from(x) - f64::from(largest)).exp());
                let sum: f64 = exps.clone().sum();
                let mut found = logits.clone();
                activate(Activation::Softmax, &[], &mut found);
                for (found, exp) in found.iter().zip(exps) {
                    assert!((f64::from(*found) - exp / sum).abs() < 5e-7);
                }
            }
        }
    }

    #[test]
    fn softmax_of_equals_is_uniform() {
        let mut y = [-3.5; 4];
        activate(Activation::Softmax, &[], &mut y);
        assert_eq!(y, [0.25; 4]);
        let mut y = [0.0, f32::MIN, f32::MAX];
        activate(Activation::Softmax, &[], &mut y);
        assert_eq!(y[2], 1.0);
        assert!(y[0] < 1e-27);
    }

    #[test]
    fn relu_keeps_what_is_above_zero() {
        let mut y = [1.5, -1.5, 0.0, -0.0, 1e-40];
        activate(Activation::Relu, &[], &mut y);
        assert_eq!(y, [1.5, 0.0, 0.0, 0.0, 1e-40]);
    }

    #[test]
    fn a_table_is_extended_beyond_its_range() {
        // leaky relu with slope 0.25 on [-8, 8]: 16 values to one, a knot at zero.
        let mut table = [0; (2 + 257) * 4];
        let value = |i: u32| {
            let x = i as f32 / 16.0 - 8.0;
            if x < 0.0 { x * 0.25 } else { x }
        };
        let words = [-8.0, 16.0].into_iter().chain((0..257).map(value));
        pack::put_words(&mut table, words.map(f32::to_bits));
        let mut y = [-100.0, -8.0, -0.03125, 0.0, 0.7, 8.0, 1000.0];
        activate(Activation::Table, &table, &mut y);
        let expected = [-25.0, -2.0, -0.007_812_5, 0.0, 0.7, 8.0, 1000.0];
        for (y, expected) in y.iter().zip(expected) {
            // 0.7 is between two knots: one rounding each of position, step and sum.
            assert!((y - expected).abs() < 1e-6, "{y} {expected}");
        }
    }
}
