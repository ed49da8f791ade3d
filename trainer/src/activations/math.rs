//! Float32 `exp`, sigmoid and tanh as plain arithmetic, so that loops over them vectorize.

/// Above this, `exp` is infinite; below the other, it is 0 or subnormal.
const EXP_HIGH: f32 = 89.0;
const EXP_LOW: f32 = -104.0;
/// 1.5 · 2²³: adding it rounds to a whole number, which is then in the low mantissa bits.
const ROUND: f32 = 12_582_912.0;

/// `eˣ` within 1 unit in the last place where the result is normal; NaN stays NaN.
///
/// Cephes' `expf`: x = n·ln 2 + r, a polynomial of degree 6 in r, scaled by 2ⁿ in two factors so
/// that the ends of the range are right.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Comparisons written so that NaN passes through.
    let x = if x > EXP_HIGH { EXP_HIGH } else { x };
    let x = if x < EXP_LOW { EXP_LOW } else { x };
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    // ln 2 in two parts, the first short enough for an exact product.
    let r = x - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 5e-1;
    let p = p * (r * r) + r + 1.0;
    let n = (rounded.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32); // low mantissa bits
    let half = n >> 1;
    p * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// `eˣ` within 2 units in the last place, with the bits of TensorFlow where the result is normal
/// (Eigen's `pexp_float` without fused multiply-add): for `eˣ - 1` near 0, as in elu, which shows
/// its rounding.
#[inline(always)]
pub(crate) fn exp_as_tensorflow(x: f32) -> f32 {
    // Comparisons written so that NaN passes through.
    let x = if x > EXP_HIGH { EXP_HIGH } else { x };
    let x = if x < EXP_LOW { EXP_LOW } else { x };
    // The floor by additions: a call of `floor` would keep the loop from vectorizing.
    let scaled = x * std::f32::consts::LOG2_E + 0.5;
    let nearest = (scaled + ROUND) - ROUND;
    let m = nearest - if nearest > scaled { 1.0 } else { 0.0 };
    // ln 2 in two parts, the first short enough for an exact product.
    let r = (x - m * 0.693_359_4) + m * 2.121_944_4e-4;
    let r2 = r * r;
    let even = r2 * 1.374_496_4e-3 + 4.166_965e-2;
    let even = r2 * even + 0.499_999_88;
    let odd = r2 * 8.368_945e-3 + 0.166_665_18;
    let p = r2 * (r * odd + even) + (r + 1.0);
    let n = ((m + ROUND).to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32); // low mantissa bits
    let half = n >> 1;
    p * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// `2ⁿ` for n in -126..=127.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

/// `1 / (1 + e⁻ˣ)`.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// Hyperbolic tangent within 6 units in the last place; NaN stays NaN.
///
/// A rational minimax approximation of type [9, 8]; coefficients and the point from which it is 1
/// are those of Eigen, which TensorFlow uses.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let s = x * x;
    let mut p = 1.394_553_6e-8;
    p = p * s + 2.102_733_5e-5;
    p = p * s + 3.520_756_7e-3;
    p = p * s + 1.340_216_1e-1;
    p = p * s + 1.0;
    let mut q = 8.015_777e-7;
    q = q * s + 3.326_951_4e-4;
    q = q * s + 2.597_254_5e-2;
    q = q * s + 4.673_548_3e-1;
    q = q * s + 1.0;
    let y = x * p / q;
    if x.abs() > 7.907_39 {
        1f32.copysign(x)
    } else {
        y
    }
}

/// `ln(1 + eˣ)` without overflow.
#[inline(always)]
pub(crate) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// The standard normal distribution function; accurate in both tails.
pub(crate) fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units in the last place of the exact value.
    fn ulps(found: f32, exact: f64) -> f64 {
        let rounded = exact as f32;
        let spacing = f64::from(f32::from_bits(rounded.to_bits() + 1)) - f64::from(rounded);
        (f64::from(found) - exact).abs() / spacing.abs()
    }

    #[test]
    fn exp_is_within_one_and_a_half_units_in_the_last_place() {
        let worst = (-870..=880)
            .flat_map(|i| (0..64).map(move |j| i as f32 / 10.0 + j as f32 / 640.0))
            .map(|x| ulps(exp(x), f64::from(x).exp()))
            .fold(0.0, f64::max);
        assert!(worst < 1.5, "{worst}");
    }

    #[test]
    fn exp_as_tensorflow_has_the_bits_of_tensorflow() {
        // tf.exp of TensorFlow 2.21 on x86-64; the first four differ from the rounded exact value.
        for (x, bits) in [
            (-30.814432_f32, 0x293aa5bb),
            (-12.103093_f32, 0x36b9f85f),
            (0.13402061_f32, 0x3f925b77),
            (30.804123_f32, 0x55adc2a9),
            (0.0_f32, 0x3f800000),
            (-1.0_f32, 0x3ebc5ab2),
            (1.0_f32, 0x402df854),
            (-0.0325_f32, 0x3f77d051),
            (-80.0_f32, 0x05bfecba),
            (88.0_f32, 0x7ef882b7),
        ] {
            assert_eq!(exp_as_tensorflow(x).to_bits(), bits, "exp({x})");
        }
    }

    #[test]
    fn exp_ends_in_zero_infinity_and_nan() {
        assert_eq!(exp(-200.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(89.0), f32::INFINITY);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp_as_tensorflow(f32::NAN).is_nan());
        assert_eq!(exp_as_tensorflow(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp_as_tensorflow(89.0), f32::INFINITY);
        assert!(exp(f32::NAN).is_nan() && tanh(f32::NAN).is_nan() && sigmoid(f32::NAN).is_nan());
    }

    #[test]
    fn tanh_is_within_six_units_in_the_last_place_and_odd() {
        for i in -120_000..=120_000 {
            let x = i as f32 / 10_000.0;
            assert_eq!(tanh(-x).to_bits(), (-tanh(x)).to_bits());
            if x != 0.0 {
                assert!(ulps(tanh(x).abs(), f64::from(x).tanh().abs()) < 6.0, "{x}");
            }
        }
        assert_eq!(tanh(20.0), 1.0);
    }
}
