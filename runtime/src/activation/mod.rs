//! Activations of float outputs.
//!
//! The exponential is done in integers: it costs as much as in floats on a core with an FPU, a
//! fifth on one without, and the same number of instructions for every value. micromath's `exp`
//! does neither: it is off by up to 2.4e-3 and branches on its argument. Its operations on the
//! sign bit are exact and used as they are.

#[cfg(feature = "activations")]
mod pieces;

use micromath::F32Ext;

use crate::blob::Activation;
#[cfg(feature = "activations")]
use crate::blob::{COEFFICIENTS, CURVES, LINES};
use crate::float::integer::multiply_high;
use crate::float::{
    NATIVE, add, choose_by_sign, divide, from_u32, greatest, least, multiply, multiply_normal,
    relu, subtract,
};
#[cfg(feature = "activations")]
use pieces::pieces;

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

/// The greatest of some finite values.
#[inline(always)]
fn largest(values: &[f32]) -> f32 {
    // Floats in the order of integers.
    let ordered = |bits: i32| bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed();
    let mut largest = i32::MIN;
    for value in values {
        largest = greatest(largest, ordered(value.to_bits().cast_signed()));
    }
    f32::from_bits(ordered(largest).cast_unsigned())
}

/// A sum of powers' fractions, in 2^-31: rounded three times, 2^31 being exact.
#[inline(always)]
fn float_of_sum(sum: u64) -> f32 {
    // The casts split the sum.
    let high = multiply(from_u32((sum >> 32) as u32), 4_294_967_296.0);
    add(high, from_u32(sum as u32))
}

impl Power {
    /// In 2^-31.
    #[inline(always)]
    fn fixed(self) -> u64 {
        u64::from(self.fraction >> least(self.halvings, 31))
    }
}

/// `exp(x) / sum(exp(x))` in place, within 1e-6 of the exact value.
#[inline(always)]
fn softmax(values: &mut [f32]) {
    let largest = largest(values);
    let mut sum = 0u64;
    for value in values.iter_mut() {
        let power = exp_of_minus(subtract(largest, *value));
        *value = power.float();
        sum += power.fixed();
    }
    let scale = divide(2_147_483_648.0, float_of_sum(sum));
    for value in values.iter_mut() {
        // The exponential is at least 2^-93, the scale 2^-17: both are normal, and the product.
        *value = multiply_normal(*value, scale);
    }
}

/// `x - ln(sum(exp(x)))` in place, within `2e-6 + 2e-7 |x|` for the greatest `|x|`.
#[cfg(feature = "activations")]
#[inline(never)]
fn log_softmax(values: &mut [f32]) {
    let largest = largest(values);
    let mut sum = 0u64;
    for &value in values.iter() {
        sum += exp_of_minus(subtract(largest, value)).fixed();
    }
    // From 1 to 65535, or the least below 1.
    let sum = multiply(float_of_sum(sum), 1.0 / 2_147_483_648.0);
    let log = log(sum);
    for value in values.iter_mut() {
        *value = subtract(subtract(*value, largest), log);
    }
}

/// `ln(x)` of x from 1 to 65535, not below 0, within `3e-7 + 6e-8 ln(x)`.
#[cfg(feature = "activations")]
#[inline(always)]
fn log(x: f32) -> f32 {
    // Exponent and mantissa are the logarithm to the base of 2, up to 0.0861.
    let (bits, one) = (x.to_bits(), 1f32.to_bits());
    let bits = bits - least(bits, one);
    let mut log = multiply(from_u32(bits), core::f32::consts::LN_2 / 8_388_608.0);
    // Newton's steps leave 1.8e-3, 1.6e-6 and nothing.
    for _ in 0..3 {
        let ratio = multiply(x, exp_of_minus(log).float());
        log = add(log, subtract(ratio, 1.0));
    }
    relu(log)
}

/// `exp(x)` in place, with a relative error below `6e-7 + 6e-8 |x|`; of x above 88.72 infinite.
#[cfg(feature = "activations")]
#[inline(never)]
fn exponential(values: &mut [f32]) {
    for value in values {
        // The square of exp(x / 2), so that the exponent has room.
        let root = exp_of_minus(multiply(*value, 0.5)).float();
        let root = choose_by_sign(*value, divide(1.0, root), root);
        *value = multiply(root, root);
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
#[cfg_attr(
    not(feature = "activations"),
    expect(unused_variables, reason = "without pieces there is no table")
)]
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
        // Of integers only.
        Activation::Table => {}
        #[cfg(feature = "activations")]
        Activation::Exponential => exponential(values),
        #[cfg(feature = "activations")]
        Activation::LogSoftmax => log_softmax(values),
        #[cfg(feature = "activations")]
        Activation::Lines => pieces(LINES.ilog2(), 1, table, values),
        #[cfg(feature = "activations")]
        Activation::Curve => pieces(CURVES.ilog2(), COEFFICIENTS - 1, table, values),
        // The verifier refuses them.
        #[cfg(not(feature = "activations"))]
        Activation::Exponential
        | Activation::LogSoftmax
        | Activation::Lines
        | Activation::Curve => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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

    #[cfg(feature = "activations")]
    #[test]
    fn exponential_has_its_digits_from_the_least_to_the_greatest_float() {
        for x in some_floats(if cfg!(miri) { 99_999_999 } else { 2579 }).filter(|x| x.abs() < 87.0)
        {
            let mut y = [x];
            activate(Activation::Exponential, &[], &mut y);
            let exact = f64::from(x).exp();
            let error = (f64::from(y[0]) - exact) / exact;
            let bound = 6e-7 + f64::from(x).abs() * 6e-8;
            assert!(error.abs() < bound, "exp({x}) is off by {error}");
        }
        let mut y = [0.0, -0.0, -1e30, -200.0, 1e30, 89.0];
        activate(Activation::Exponential, &[], &mut y);
        assert_eq!(y, [1.0, 1.0, 0.0, 0.0, f32::INFINITY, f32::INFINITY]);
    }

    #[cfg(feature = "activations")]
    #[test]
    fn log_softmax_is_right_in_seven_digits_of_the_greatest() {
        let mut state = 1u32;
        let counts = [1, 2, 3, 10, 100, 1000, 65535];
        for &count in if cfg!(miri) { &counts[..4] } else { &counts } {
            for spread in [0.0, 0.01, 1.0, 10.0, 100.0, 1e6, 1e30] {
                let mut next = || {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 8) as f32 / 16_777_216.0 * spread - spread / 3.0
                };
                let logits: Vec<f32> = (0..count).map(|_| next()).collect();
                let exact = |v: f32| f64::from(v);
                let largest = exact(logits.iter().copied().fold(f32::MIN, f32::max));
                let sum: f64 = logits.iter().map(|&x| (exact(x) - largest).exp()).sum();
                let mut found = logits.clone();
                activate(Activation::LogSoftmax, &[], &mut found);
                let greatest = found.iter().fold(0.0, |m, &y| exact(y).abs().max(m));
                for (&found, &x) in found.iter().zip(&logits) {
                    let right = exact(x) - largest - sum.ln();
                    let error = (exact(found) - right).abs();
                    assert!(found <= 0.0 && error < 2e-6 + 2e-7 * greatest, "{error}");
                }
            }
        }
    }
}
