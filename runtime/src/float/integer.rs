//! IEEE-754 single precision by integers, on the bits of floats, in straight lines.
//!
//! Results are those of an FPU that rounds to the nearest, ties to even, with subnormal numbers and
//! infinities; where it gives a NaN, these give some NaN.
//!
//! # Why not plain Rust
//!
//! A core like Cortex-M0 has no conditional instructions but branches, so a comparison or a minimum
//! may become one, and then the number of instructions depends on the value. Here a choice is
//! arithmetic with a mask, all ones or zero. The compiler would see through that and branch again,
//! hence [`opaque`].

/// The bit of the sign.
pub(crate) const SIGN: u32 = 1 << 31;
const INFINITY: u32 = 0x7F80_0000;
/// The bit above the 23 that a float's mantissa has, which its bits leave out.
const HIDDEN: u32 = 1 << 23;

/// The same value, of which the compiler knows nothing.
#[inline(always)]
fn opaque(value: u32) -> u32 {
    #[cfg(target_arch = "arm")]
    let value = {
        let mut value = value;
        // SAFETY: no instruction at all.
        unsafe {
            core::arch::asm!("/* {0} */", inout(reg) value, options(pure, nomem, nostack, preserves_flags));
        }
        value
    };
    value
}

/// All ones where the top bit is set.
#[inline(always)]
pub(crate) fn mask(value: u32) -> u32 {
    opaque((opaque(value).cast_signed() >> 31).cast_unsigned())
}

/// All ones where `a < b`, both below 2^31.
#[inline(always)]
fn less(a: u32, b: u32) -> u32 {
    mask(a.wrapping_sub(b))
}

/// All ones where `a < b`, both with a sign.
#[inline(always)]
pub(crate) fn below(a: u32, b: u32) -> u32 {
    // The sign of the difference, unless that overflows: then the sign of a.
    let difference = a.wrapping_sub(b);
    mask(difference ^ ((a ^ b) & (difference ^ a)))
}

/// One where the value is not zero.
#[inline(always)]
fn any(value: u32) -> u32 {
    opaque(opaque(value | value.wrapping_neg()) >> 31)
}

/// `a` where the mask is zero, `b` where it is all ones.
#[inline(always)]
pub(crate) fn choose(mask: u32, a: u32, b: u32) -> u32 {
    a ^ ((a ^ b) & mask)
}

/// The lesser of two below 2^31.
#[inline(always)]
pub(crate) fn least(a: u32, b: u32) -> u32 {
    choose(less(b, a), a, b)
}

/// The value, or zero where its top bit is set.
#[inline(always)]
pub(crate) fn not_below_zero(value: u32) -> u32 {
    value & !mask(value)
}

/// Zeros above the top bit, of zero 31 or 32.
#[inline(always)]
fn leading_zeros(value: u32) -> u32 {
    #[cfg(armv6m)]
    return super::armv6m::leading_zeros(value);
    #[cfg(not(armv6m))]
    value.leading_zeros()
}

/// The product of two words whose lower 8 bits are zero: its two words.
#[inline(always)]
fn product(a: u32, b: u32) -> (u32, u32) {
    if cfg!(armv6m) {
        return product_of_parts(a, b);
    }
    let product = u64::from(a) * u64::from(b);
    ((product >> 32) as u32, product as u32) // its halves
}

/// The same for cores whose products have 32 bits.
#[inline(always)]
fn product_of_parts(a: u32, b: u32) -> (u32, u32) {
    let low = (a >> 8 & 0xFF) * (b >> 8);
    let middle = (a >> 16) * (b >> 8 & 0xFF) + (low >> 8);
    let high = (a >> 16) * (b >> 16) + (middle >> 8);
    (high, middle << 24 | (low & 0xFF) << 16)
}

/// The high word of a product.
#[inline(always)]
pub(crate) fn multiply_high(a: u32, b: u32) -> u32 {
    #[cfg(armv6m)]
    return super::armv6m::multiply_high(a, b);
    #[cfg(not(armv6m))]
    {
        ((u64::from(a) * u64::from(b)) >> 32) as u32 // at most 2^32 - 2
    }
}

/// A mantissa with its top bit at 2^31, or below that for a subnormal number, and the exponent.
#[inline(always)]
fn unpack(bits: u32) -> (u32, u32) {
    let exponent = bits >> 23 & 0xFF;
    let normal = any(exponent);
    // Subnormal numbers have the exponent of the least normal ones.
    (bits << 9 >> 1 | normal << 31, exponent + 1 - normal)
}

/// The upper 24 bits of a mantissa rounded: `sticky` is not zero where there is more behind it.
#[inline(always)]
pub(crate) fn round(mantissa: u32, sticky: u32) -> u32 {
    let odd = mantissa >> 8 & 1;
    let rest = (mantissa & 0xFF) << 1 | any(sticky);
    // One where the rest and, for ties, the lowest bit exceed a half.
    (mantissa >> 8) + ((rest + odd + 0xFF) >> 9)
}

/// The bits of `a * b`.
#[inline(never)]
pub(crate) fn multiply(a: u32, b: u32) -> u32 {
    let sign = (a ^ b) & SIGN;
    let (a, b) = (a & !SIGN, b & !SIGN);
    let ((of_a, exponent_a), (of_b, exponent_b)) = (unpack(a), unpack(b));
    let (high, low) = product(of_a, of_b);
    // One of the factors is normal, or the product is next to nothing: the top bit is in `high`.
    let zeros = leading_zeros(high) & 31;
    let high = high << zeros | low >> 1 >> (31 - zeros);
    let low = low << zeros;
    // One less than the exponent, which is what a hidden bit adds.
    let exponent = (exponent_a + exponent_b).wrapping_sub(127 + zeros);
    // Below the least exponent, the mantissa is shifted instead.
    let shift = least(not_below_zero(exponent.wrapping_neg()), 31);
    let lost = high << 1 << (31 - shift);
    let exponent = not_below_zero(exponent) * any(high);
    let magnitude = round(high >> shift, low | lost) + (exponent << 23);
    // At most 2^8 * 2^23 * 1.5. From infinity on it is that.
    let overflow = mask((INFINITY - 1).wrapping_sub(magnitude));
    // Infinity times zero, and NaN.
    let least_of_both = least(a, b);
    let greatest = a ^ b ^ least_of_both;
    let special = less(INFINITY - 1, greatest);
    let nan = less(INFINITY, greatest) | (special & less(least_of_both, 1));
    choose(overflow | special, magnitude, INFINITY) | (nan & (HIDDEN >> 1)) | sign
}

/// The bits of `a * b`, of normal numbers, the result being normal too.
#[inline(never)]
pub(crate) fn multiply_normal(a: u32, b: u32) -> u32 {
    let mantissa = |bits: u32| bits << 8 | SIGN;
    let exponent = |bits: u32| bits >> 23 & 0xFF;
    let (high, low) = product(mantissa(a), mantissa(b));
    let doubled = mask(!high) & 1;
    // Only the rounding looks at the lower bits: whether there are any is enough.
    let exponent = exponent(a) + exponent(b) - (126 + doubled);
    let magnitude = round(high << doubled, low) + ((exponent - 1) << 23);
    magnitude | (a ^ b) & SIGN
}

/// The bits of `acc * scale`, first `acc` rounded, then the product. Few instructions for a scale
/// in `[2^-126, 2^95)`, more for another one, each the same number for every `acc`.
#[inline(never)]
pub(crate) fn scale(acc: i32, scale: u32) -> u32 {
    let acc = from_i32(acc);
    // A product of at least 2^-126 and less than 2^128.
    if (1..222).contains(&(scale >> 23 & 0xFF)) {
        // Zero is one times the scale, but for its sign.
        let nonzero = mask(any(acc).wrapping_neg());
        let one = 1f32.to_bits() & !nonzero;
        return multiply_normal(acc | one, scale) & (nonzero | SIGN);
    }
    multiply(acc, scale)
}

/// The bits of `a + b`.
#[inline(never)]
pub(crate) fn add(a: u32, b: u32) -> u32 {
    // The greater magnitude first.
    let swap = less(a & !SIGN, b & !SIGN) & (a ^ b);
    let (a, b) = (a ^ swap, b ^ swap);
    let ((of_a, exponent_a), (of_b, exponent_b)) = (unpack(a), unpack(b));
    let shift = least(exponent_a - exponent_b, 31);
    // Top bits at 2^30 at most. What is shifted out leaves a bit set.
    let (of_a, of_b) = (of_a >> 1, of_b >> 1);
    let of_b = of_b >> shift | any(of_b << 1 << (31 - shift));
    let opposite = mask(a ^ b);
    let sum = of_a.wrapping_add((of_b ^ opposite).wrapping_sub(opposite));
    // Up to the top, unless the exponent ends before that.
    let zeros = least(leading_zeros(sum), exponent_a) & 31;
    let nonzero = mask(any(sum).wrapping_neg());
    let exponent = exponent_a.wrapping_sub(zeros) & nonzero;
    let magnitude = round(sum << zeros, 0) + (exponent << 23);
    let overflow = mask((INFINITY - 1).wrapping_sub(magnitude));
    let (absolute_a, absolute_b) = (a & !SIGN, b & !SIGN);
    let special = less(INFINITY - 1, absolute_a);
    // NaN, and infinities of two signs.
    let nan = less(INFINITY, absolute_a) | (opposite & less(INFINITY - 1, absolute_b));
    // Zero from a number and the same below zero has no sign.
    let sign = a & (b | nonzero) & SIGN;
    choose(overflow | special, magnitude, INFINITY) | (nan & (HIDDEN >> 1)) | sign
}

/// The bits of `a / b`, of normal numbers above zero, the result being normal too.
#[inline(never)]
pub(crate) fn divide(a: u32, b: u32) -> u32 {
    let mantissa = |bits: u32| (bits & (HIDDEN - 1)) | HIDDEN;
    let divisor = mantissa(b);
    // The first digit is a one.
    let below = less(mantissa(a), divisor);
    let rest = (mantissa(a) << (below & 1)) - divisor;
    let digits = if cfg!(armv6m) {
        digits_one_by_one(rest, divisor)
    } else {
        digits_by_eight(rest, divisor)
    };
    // The last of them rounds. It is no tie: that would take a divisor of more bits.
    let exponent = (a >> 23)
        .wrapping_sub(b >> 23)
        .wrapping_add(127)
        .wrapping_add(below);
    (exponent << 23) + ((digits + 1) >> 1)
}

/// The first 24 binary digits of `rest / divisor`, which is below one. `divisor` has 24 bits.
fn digits_by_eight(mut rest: u32, divisor: u32) -> u32 {
    let mut digits = 0u32;
    for _ in 0..3 {
        rest <<= 8;
        // Not zero, which the compiler need not check.
        digits = (digits << 8) | (rest / (divisor | HIDDEN));
        rest %= divisor | HIDDEN;
    }
    digits
}

/// The same for cores that do not divide.
fn digits_one_by_one(mut rest: u32, divisor: u32) -> u32 {
    let mut digits = 0u32;
    for _ in 0..24 {
        rest = (rest << 1).wrapping_sub(divisor);
        let below = mask(rest);
        rest = rest.wrapping_add(divisor & below);
        digits = (digits << 1).wrapping_add(1).wrapping_add(below);
    }
    digits
}

/// The bits of the nearest float.
#[inline(never)]
pub(crate) fn from_u32(value: u32) -> u32 {
    let zeros = leading_zeros(value);
    let nonzero = mask(any(value).wrapping_neg());
    let exponent = (157 - zeros) & nonzero;
    round(value << (zeros & 31), 0) + (exponent << 23)
}

/// The bits of the nearest float.
#[inline(always)]
pub(crate) fn from_i32(value: i32) -> u32 {
    let value = value.cast_unsigned();
    let below = mask(value);
    from_u32((value ^ below).wrapping_sub(below)) | (value & SIGN)
}

/// The float where it is above zero, else zero; also for NaN.
#[inline(always)]
pub(crate) fn relu(bits: u32) -> u32 {
    not_below_zero(bits) & less(bits & !SIGN, INFINITY + 1)
}

/// All ones where neither is NaN, and the two as integers of the same order.
#[inline(always)]
fn ordered(a: u32, b: u32) -> (u32, u32, u32) {
    let value = |bits: u32| {
        let below = mask(bits);
        ((bits & !SIGN) ^ below).wrapping_sub(below)
    };
    let numbers = less(a & !SIGN, INFINITY + 1) & less(b & !SIGN, INFINITY + 1);
    (numbers, value(a), value(b))
}

/// All ones where `a > b`, zero where one is NaN.
#[inline(always)]
pub(crate) fn greater(a: u32, b: u32) -> u32 {
    let (numbers, a, b) = ordered(a, b);
    numbers & below(b, a)
}

/// All ones where `a == b`, zero where one is NaN.
#[inline(always)]
pub(crate) fn equal(a: u32, b: u32) -> u32 {
    let (numbers, a, b) = ordered(a, b);
    numbers & any(a ^ b).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random bits, and such that come close to what is hard.
    struct Random(u32);

    impl Random {
        fn word(&mut self) -> u32 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 17;
            self.0 ^= self.0 << 5;
            self.0
        }

        /// A float: any, one of few bits, a subnormal, one near the greatest, or a special one.
        fn float(&mut self) -> u32 {
            let word = self.word();
            match self.word() % 8 {
                0..3 => word,
                3 => word & 0xFFE0_0001,
                4 => word & 0x81FF_FFFF >> (word >> 16 & 15),
                5 => word | 0x7E00_0000,
                6 => (word & 0x81FF_FFFF) + 0x3F00_0000,
                _ => {
                    let edges = [
                        0,
                        1,
                        0x007F_FFFF,
                        HIDDEN,
                        0x3F80_0000,
                        0x7F7F_FFFF,
                        INFINITY,
                        0x7FC0_0000,
                    ];
                    edges[(word >> 8 & 7) as usize] | word & SIGN
                }
            }
        }

        /// A float whose exponent is near another's: sums that cancel and tie.
        fn near(&mut self, other: u32) -> u32 {
            let word = self.word();
            let exponent =
                (other >> 23 & 0xFF).saturating_add_signed((word >> 24 & 63).cast_signed() - 32);
            let mantissa = match self.word() % 4 {
                0 => 0,
                1 => (other + (word & 7)).wrapping_sub(3) & (HIDDEN - 1),
                _ => word & (HIDDEN - 1),
            };
            exponent.min(255) << 23 | mantissa | self.word() & SIGN
        }
    }

    const ROUNDS: u32 = if cfg!(miri) { 500 } else { 10_000_000 };

    #[track_caller]
    fn assert_same(found: u32, native: f32, what: &str, a: u32, b: u32) {
        let same = found == native.to_bits() || f32::from_bits(found).is_nan() && native.is_nan();
        assert!(
            same,
            "{what} of {a:08x} and {b:08x}: {found:08x}, natively {:08x}",
            native.to_bits()
        );
    }

    fn both(a: u32, b: u32) {
        let [x, y] = [a, b].map(f32::from_bits);
        assert_same(multiply(a, b), x * y, "product", a, b);
        assert_same(add(a, b), x + y, "sum", a, b);
        let mask = |yes: bool| u32::from(yes).wrapping_neg();
        assert_eq!(greater(a, b), mask(x > y), "{a:08x} > {b:08x}");
        assert_eq!(equal(a, b), mask(x == y), "{a:08x} == {b:08x}");
    }

    #[test]
    fn products_sums_and_comparisons_have_the_bits_of_an_fpu() {
        let mut random = Random(1);
        for _ in 0..ROUNDS {
            let a = random.float();
            let b = random.float();
            both(a, b);
            let b = random.near(a);
            both(a, b);
        }
    }

    #[test]
    fn products_around_the_least_and_the_greatest_have_the_bits_of_an_fpu() {
        let mut random = Random(2);
        for _ in 0..ROUNDS {
            let (word, a) = (random.word(), random.float());
            // Exponents that add up to about 2^-150 to 2^-120, or to about 2^128.
            let sum = if word & 1 == 0 {
                104 + (word >> 8 & 31)
            } else {
                253 + (word >> 8 & 3)
            };
            let exponent = sum.saturating_sub(a >> 23 & 0xFF).min(255);
            let b = exponent << 23 | random.word() & 0x807F_FFFF;
            both(a, b);
            both(a & 0xFFFF_F000, b & 0xFFFF_F800);
        }
    }

    #[test]
    fn quotients_have_the_bits_of_an_fpu() {
        let mut random = Random(3);
        for _ in 0..ROUNDS {
            let normal = |word: u32| (((word >> 23 & 63) + 96) << 23) | (word & 0x007F_FFFF);
            let (a, b) = (normal(random.word()), normal(random.word()));
            for (a, b) in [
                (a, b),
                (a, a),
                (a & 0xFFF0_0000, b),
                (a, b & 0xFFFF_0000),
                (a | 0xFFFF, b),
            ] {
                let native = f32::from_bits(a) / f32::from_bits(b);
                assert_same(divide(a, b), native, "quotient", a, b);
                let native = f32::from_bits(a) * f32::from_bits(b);
                assert_same(multiply_normal(a, b), native, "product", a, b);
                let rest = random.word() % (a & 0x007F_FFFF | HIDDEN);
                let divisor = a & 0x007F_FFFF | HIDDEN;
                assert_eq!(
                    digits_one_by_one(rest, divisor),
                    digits_by_eight(rest, divisor)
                );
            }
        }
    }

    #[test]
    fn conversions_have_the_bits_of_an_fpu() {
        let mut random = Random(4);
        let edges = [
            0,
            1,
            u32::MAX,
            SIGN,
            SIGN - 1,
            SIGN + 1,
            1 << 24,
            (1 << 24) + 1,
            (1 << 24) + 3,
        ];
        for i in 0..ROUNDS {
            let word = match edges.get(i as usize) {
                Some(&edge) => edge,
                None => random.word() >> (random.word() & 31),
            };
            assert_same(from_u32(word), word as f32, "u32", word, 0);
            let signed = word.cast_signed();
            for signed in [signed, signed.wrapping_neg()] {
                assert_same(from_i32(signed), signed as f32, "i32", word, 0);
            }
            let other = random.word();
            let (a, b) = (word & !0xFF, other & !0xFF);
            assert_eq!(product_of_parts(a, b), product(a, b));
            for factor in [random.float(), other & 0xBFFF_FFFF] {
                let native = signed as f32 * f32::from_bits(factor);
                assert_same(scale(signed, factor), native, "acc", word, factor);
            }
            let near = f32::from_bits(word & 0x83FF_FFFF | 0x4000_0000);
            for x in [f32::from_bits(random.float()), near] {
                let relu_of_x = if x > 0.0 { x } else { 0.0 };
                assert_eq!(relu(x.to_bits()), relu_of_x.to_bits(), "relu({x})");
            }
        }
    }
}
