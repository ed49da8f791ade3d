//! From an accumulator to the next layer's integers: the one place that rounds.

/// The high word of `a * b` in 64 bits, rounded half up, as the SMMULR instruction has it.
#[inline(always)]
pub(crate) fn multiply_high(a: i32, b: i32) -> i32 {
    // i64 holds the product of two i32 with 2^31 added; the cast keeps the low word of the
    // shifted sum, which is all of it.
    ((i64::from(a) * i64::from(b) + (1 << 31)) >> 32) as i32
}

/// `acc * multiplier / 2^(32 - shift)`, rounded half up, then clamped to `[-limit, limit]`.
///
/// `shift` is 8 behind int8 inputs, whose exporter proves `|acc| < 2^23`, and 0 behind int16
/// inputs. With those bounds nothing is lost; beyond them the value wraps, the same way on
/// every target.
#[inline(always)]
pub(crate) fn requantize(acc: i32, shift: u32, multiplier: i32, limit: i32) -> i32 {
    multiply_high(acc.wrapping_shl(shift), multiplier)
        .max(-limit)
        .min(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_round_up() {
        // multiplier 2^23 over 2^24: one half.
        let half = 1 << 23;
        assert_eq!(requantize(3, 8, half, 127), 2); // 1.5
        assert_eq!(requantize(-3, 8, half, 127), -1); // -1.5
        assert_eq!(requantize(5, 8, half, 127), 3); // 2.5
        assert_eq!(requantize(4, 8, half, 127), 2);
    }

    #[test]
    fn the_range_is_symmetric() {
        let half = 1 << 23;
        assert_eq!(requantize(256, 8, half, 127), 127); // 128
        assert_eq!(requantize(-256, 8, half, 127), -127); // -128
        assert_eq!(requantize(1 << 20, 0, 1 << 28, 32767), 32767); // 65536
        assert_eq!(requantize(-(1 << 20), 0, 1 << 28, 32767), -32767);
    }

    #[test]
    fn the_largest_proven_accumulator_is_exact() {
        // (2^23 - 1) * (2^31 - 1) / 2^24 = 2^30 - 128.5 + 2^-24, far above the range, so it clamps.
        assert_eq!(requantize((1 << 23) - 1, 8, i32::MAX, 127), 127);
        assert_eq!(multiply_high(((1 << 23) - 1) << 8, i32::MAX), 1_073_741_696);
    }
}
