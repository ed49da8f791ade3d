//! Sums, and `log(1 + x)` in f32, that the compiler turns into vector code: no branches, no calls.

/// `log(1 + q)` for `0 <= q <= 1`, within 2 ulp: `2 atanh(q / (2 + q))` as a series.
#[inline(always)]
pub(super) fn log1p_unit(q: f32) -> f32 {
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

/// `x`, or `floor` where that is larger; NaN stays NaN, unlike with `f32::max`.
#[inline(always)]
pub(super) fn at_least(x: f32, floor: f32) -> f32 {
    if x < floor { floor } else { x }
}

/// `Σ f(x)` in sixteen lanes: it vectorizes, and errs less than from left to right.
#[inline(always)]
pub(super) fn sum_map(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
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
pub(super) fn sum_pairs(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
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
