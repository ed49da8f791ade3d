//! The float operations that predictions need, in a number of instructions that does not depend on
//! the values, on every core.
//!
//! Cores with an FPU, and hosts, have them as instructions. On the others the compiler would call
//! its library, which branches on the values; there [`integer`] does them, with the same bits.

#[cfg(armv6m)]
mod armv6m;
#[cfg(feature = "f32")]
pub(crate) mod dense;
pub(crate) mod integer;

/// Whether floats are instructions of the target.
pub(crate) const NATIVE: bool = cfg!(fpu);

/// `a * b`, rounded to the nearest float, ties to even, as everything here is.
#[inline(always)]
pub(crate) fn multiply(a: f32, b: f32) -> f32 {
    if NATIVE {
        return a * b;
    }
    f32::from_bits(integer::multiply(a.to_bits(), b.to_bits()))
}

/// `a * b`, of normal numbers, the result being normal too.
#[inline(always)]
pub(crate) fn multiply_normal(a: f32, b: f32) -> f32 {
    if NATIVE {
        return a * b;
    }
    f32::from_bits(integer::multiply_normal(a.to_bits(), b.to_bits()))
}

/// `acc * scale`, rounded to a float before and after. The number of instructions depends on
/// `scale` alone.
#[inline(always)]
pub(crate) fn scale(acc: i32, scale: f32) -> f32 {
    if NATIVE {
        return acc as f32 * scale;
    }
    f32::from_bits(integer::scale(acc, scale.to_bits()))
}

/// `a + b`.
#[inline(always)]
pub(crate) fn add(a: f32, b: f32) -> f32 {
    if NATIVE {
        return a + b;
    }
    f32::from_bits(integer::add(a.to_bits(), b.to_bits()))
}

/// `a - b`.
#[inline(always)]
pub(crate) fn subtract(a: f32, b: f32) -> f32 {
    if NATIVE {
        return a - b;
    }
    f32::from_bits(integer::add(a.to_bits(), b.to_bits() ^ integer::SIGN))
}

/// `a / b`, of normal numbers above zero, the result being normal too.
#[inline(always)]
pub(crate) fn divide(a: f32, b: f32) -> f32 {
    if NATIVE {
        return a / b;
    }
    f32::from_bits(integer::divide(a.to_bits(), b.to_bits()))
}

/// The float nearest to an integer.
#[inline(always)]
pub(crate) fn from_u32(value: u32) -> f32 {
    if NATIVE {
        return value as f32;
    }
    f32::from_bits(integer::from_u32(value))
}

/// The value where it is above zero, else zero.
#[inline(always)]
pub(crate) fn relu(value: f32) -> f32 {
    if NATIVE {
        return if value > 0.0 { value } else { 0.0 };
    }
    f32::from_bits(integer::relu(value.to_bits()))
}

/// The lesser of two below 2^31.
#[inline(always)]
pub(crate) fn least(a: u32, b: u32) -> u32 {
    if NATIVE {
        a.min(b)
    } else {
        integer::least(a, b)
    }
}

/// The greater of two.
#[inline(always)]
pub(crate) fn greatest(a: i32, b: i32) -> i32 {
    if NATIVE {
        return a.max(b);
    }
    let (a, b) = (a.cast_unsigned(), b.cast_unsigned());
    integer::choose(integer::below(a, b), a, b).cast_signed()
}

/// The larger of two numbers; -0 is below 0.
#[cfg(feature = "layers")]
#[inline(always)]
pub(crate) fn larger(a: f32, b: f32) -> f32 {
    let ordered = |bits: i32| bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed();
    let [a, b] = [a, b].map(|value| ordered(value.to_bits().cast_signed()));
    f32::from_bits(ordered(greatest(a, b)).cast_unsigned())
}

/// One where `a` is not below `b`, else zero; -0 is below 0.
#[cfg(feature = "activations")]
#[inline(always)]
pub(crate) fn not_below(a: f32, b: f32) -> u32 {
    let ordered = |value: f32| {
        let bits = value.to_bits().cast_signed();
        bits ^ ((bits >> 31).cast_unsigned() >> 1).cast_signed()
    };
    let (a, b) = (ordered(a), ordered(b));
    if NATIVE {
        return u32::from(a >= b);
    }
    integer::below(a.cast_unsigned(), b.cast_unsigned()).wrapping_add(1)
}

/// `value` in `[least, greatest]`; NaN stays.
#[cfg(feature = "activations")]
#[inline(always)]
pub(crate) fn clamp_float(value: f32, least: f32, greatest: f32) -> f32 {
    if NATIVE {
        let value = if value < least { least } else { value };
        return if value > greatest { greatest } else { value };
    }
    let [value, least, greatest] = [value, least, greatest].map(f32::to_bits);
    let value = integer::choose(integer::greater(least, value), value, least);
    f32::from_bits(integer::choose(
        integer::greater(value, greatest),
        value,
        greatest,
    ))
}

/// `value` in `[-limit, limit]`; both below 2^30 in magnitude.
#[inline(always)]
pub(crate) fn clamp(value: i32, limit: i32) -> i32 {
    if NATIVE {
        return value.max(-limit).min(limit);
    }
    let value = integer::not_below_zero(value.wrapping_add(limit).cast_unsigned());
    integer::least(value, (2 * limit).cast_unsigned()).cast_signed() - limit
}

/// `a` where the top bit of `by` is clear, else `b`.
#[inline(always)]
pub(crate) fn choose_by_sign(by: f32, a: f32, b: f32) -> f32 {
    let (a, b) = (a.to_bits(), b.to_bits());
    let mask = if NATIVE {
        (by.to_bits().cast_signed() >> 31).cast_unsigned()
    } else {
        integer::mask(by.to_bits())
    };
    f32::from_bits(integer::choose(mask, a, b))
}

/// The first of the greatest values and its index; zero and minus infinity where none is above that.
#[inline(always)]
pub(crate) fn first_greatest(values: &[f32]) -> (usize, f32) {
    let (mut index, mut greatest) = (0, f32::NEG_INFINITY);
    for (i, &value) in values.iter().enumerate() {
        if NATIVE {
            if value > greatest {
                (index, greatest) = (i, value);
            }
        } else {
            let mask = integer::greater(value.to_bits(), greatest.to_bits());
            let bits = integer::choose(mask, greatest.to_bits(), value.to_bits());
            greatest = f32::from_bits(bits);
            // Fits: a model has fewer than 2^16 outputs.
            index = integer::choose(mask, index as u32, i as u32) as usize;
        }
    }
    (index, greatest)
}

/// One where `a >= b`, else, also for NaN, zero.
#[inline(always)]
pub(crate) fn at_least(a: f32, b: f32) -> usize {
    if NATIVE {
        return usize::from(a >= b);
    }
    let (a, b) = (a.to_bits(), b.to_bits());
    ((integer::greater(a, b) | integer::equal(a, b)) & 1) as usize
}
