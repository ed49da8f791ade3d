//! `exp` and `log(1 + x)` in f32 that the compiler turns into vector code: no branches, no calls.

/// `e^x`, within 2 ulp where the result is a normal number; 0 below -87.34, infinity above 88.73.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`, then the Taylor polynomial of degree 7 in `r`.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer without a branch.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.34, 88.73);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = clamped - n * LN_2_HIGH - n * LN_2_LOW;
    let p = 1.0 / 5040.0;
    let p = p * r + 1.0 / 720.0;
    let p = p * r + 1.0 / 120.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r + 1.0 / 6.0;
    let p = p * r + 0.5;
    let p = p * (r * r) + r + 1.0;
    // n is at most 128: two factors, because 2^128 itself is not a f32.
    let bits = shifted.to_bits().wrapping_sub(ROUND.to_bits());
    let half = ((bits as i32) >> 1) as u32;
    let rest = bits.wrapping_sub(half);
    let scale = |k: u32| f32::from_bits(k.wrapping_add(127) << 23);
    let y = p * scale(half) * scale(rest);
    let y = if x >= 88.722_84 { f32::INFINITY } else { y };
    let y = if x < -87.34 { 0.0 } else { y };
    if x.is_nan() { x } else { y }
}

/// `log(1 + q)` for `0 <= q <= 1`, within 2 ulp: `2 atanh(q / (2 + q))` as a series.
#[inline(always)]
pub(crate) fn log1p_unit(q: f32) -> f32 {
    let s = q / (2.0 + q);
    let s2 = s * s;
    let p = 1.0 / 15.0;
    let p = p * s2 + 1.0 / 13.0;
    let p = p * s2 + 1.0 / 11.0;
    let p = p * s2 + 1.0 / 9.0;
    let p = p * s2 + 1.0 / 7.0;
    let p = p * s2 + 1.0 / 5.0;
    let p = p * s2 + 1.0 / 3.0;
    2.0 * (s + s * (s2 * p))
}

/// `1 / (1 + e^-x)` without overflow.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    let small = e / (1.0 + e);
    if x >= 0.0 { 1.0 / (1.0 + e) } else { small }
}

/// `x`, or `floor` where that is larger; NaN stays NaN, unlike with `f32::max`.
#[inline(always)]
pub(crate) fn at_least(x: f32, floor: f32) -> f32 {
    if x < floor { floor } else { x }
}

/// `Σ f(x)` in sixteen lanes: it vectorizes, and errs less than from left to right.
#[inline(always)]
pub(crate) fn sum_map(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0f32; 16];
    let chunks = x.chunks_exact(16);
    let tail = chunks.remainder();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane += f(x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(tail) {
        *lane += f(x);
    }
    lanes.chunks(4).map(|four| four.iter().sum::<f32>()).sum()
}

/// `Σ f(a, b)` over two rows of equal length, in sixteen lanes.
#[inline(always)]
pub(crate) fn sum_pairs(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0f32; 16];
    let (a_chunks, b_chunks) = (a.chunks_exact(16), b.chunks_exact(16));
    let (a_tail, b_tail) = (a_chunks.remainder(), b_chunks.remainder());
    for (a, b) in a_chunks.zip(b_chunks) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += f(a, b);
        }
    }
    for ((lane, &a), &b) in lanes.iter_mut().zip(a_tail).zip(b_tail) {
        *lane += f(a, b);
    }
    lanes.chunks(4).map(|four| four.iter().sum::<f32>()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units in the last place of the exact value.
    fn ulps(found: f32, exact: f64) -> f64 {
        let rounded = exact as f32;
        let step = f64::from(f32::from_bits(rounded.to_bits() + 1)) - f64::from(rounded);
        ((f64::from(found) - exact) / step).abs()
    }

    #[test]
    fn exp_stays_within_two_ulp_from_minus_87_to_88() {
        for i in -87_000..88_700 {
            let x = i as f32 * 1e-3;
            assert!(
                ulps(exp(x), f64::from(x).exp()) < 2.0,
                "exp({x}) = {}",
                exp(x)
            );
        }
    }

    #[test]
    fn exp_saturates_and_passes_nan() {
        assert_eq!(exp(-200.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(200.0), f32::INFINITY);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn log1p_stays_within_three_ulp_on_the_unit_interval() {
        for i in 1..=100_000 {
            let q = i as f32 * 1e-5;
            assert!(
                ulps(log1p_unit(q), f64::from(q).ln_1p()) < 3.0,
                "log1p({q})"
            );
        }
        assert_eq!(log1p_unit(0.0), 0.0);
    }

    #[test]
    fn sums_take_every_lane_and_the_tail() {
        let values: Vec<f32> = (1..=37).map(|i| i as f32).collect();
        assert_eq!(sum_map(&values, |x| x), 703.0);
        assert_eq!(sum_pairs(&values, &values, |a, b| a + b), 1406.0);
    }
}
