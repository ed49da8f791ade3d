//! Blocks of the packing plain, at the speed of a host.

/// The dot product of int8 weights and inputs.
#[inline(always)]
pub(crate) fn dot<X: Copy + Into<i32>>(weights: &[u8], x: &[X]) -> i32 {
    weights.iter().zip(x).fold(0i32, |sum, (&w, &x)| {
        sum.wrapping_add(i32::from(w.cast_signed()).wrapping_mul(x.into()))
    })
}

/// The dot product of int4 weights and inputs.
#[cfg(feature = "int4")]
#[inline(always)]
pub(crate) fn dot_nibbles(weights: &[u8], x: &[i8]) -> i32 {
    let (pairs, last) = x.as_chunks::<2>();
    let mut sum = 0i32;
    for (&w, &[p, q]) in weights.iter().zip(pairs) {
        sum += low_nibble(w) * i32::from(p) + high_nibble(w) * i32::from(q);
    }
    if let (Some(&w), Some(&p)) = (weights.get(pairs.len()), last.first()) {
        sum += low_nibble(w) * i32::from(p);
    }
    sum
}

#[cfg(feature = "int4")]
#[inline(always)]
pub(crate) fn low_nibble(byte: u8) -> i32 {
    i32::from((byte << 4).cast_signed() >> 4)
}

#[cfg(feature = "int4")]
#[inline(always)]
pub(crate) fn high_nibble(byte: u8) -> i32 {
    i32::from(byte.cast_signed() >> 4)
}
