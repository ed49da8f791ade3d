//! Scratch memory as the values that a layer keeps in it.
//!
//! Words are seen as bytes, halfwords and floats, and the caller's floats as words, which takes
//! `unsafe`: a copy would cost instructions for every value.

macro_rules! view {
    ($(#[$doc:meta] $name:ident, $name_mut:ident: $from:ty => $to:ty;)*) => {$(
        #[$doc]
        #[allow(dead_code, reason = "not every build has a use for every view")]
        #[inline(always)]
        pub(crate) fn $name(values: &[$from]) -> &[$to] {
            // SAFETY: both are plain numbers, any bits are valid in either, and the alignment
            // does not grow, so that the middle is all of it.
            unsafe { values.align_to() }.1
        }

        #[$doc]
        #[allow(dead_code, reason = "not every build has a use for every view")]
        #[inline(always)]
        pub(crate) fn $name_mut(values: &mut [$from]) -> &mut [$to] {
            // SAFETY: as above.
            unsafe { values.align_to_mut() }.1
        }
    )*};
}

view! {
    /// Words as the bytes they are.
    bytes, bytes_mut: u32 => u8;
    /// Words as the signed bytes they are.
    int8, int8_mut: u32 => i8;
    /// Words as the halfwords they are.
    int16, int16_mut: u32 => i16;
    /// Words as the floats of the same bits.
    floats, floats_mut: u32 => f32;
    /// Floats as their bits.
    bits, bits_mut: f32 => u32;
}

/// Bytes at a multiple of four as the words they are, none where they lie elsewhere.
#[cfg(compiled)]
#[inline(always)]
pub(crate) fn words(bytes: &[u8]) -> &[u32] {
    // SAFETY: any bits are valid in a word, and only those at a multiple of four are in the middle.
    match unsafe { bytes.align_to() } {
        ([], words, _) => words,
        _ => &[],
    }
}

/// The first `count` signed bytes, none where there are fewer.
#[cfg(compiled)]
#[inline(always)]
pub(crate) fn int8s(words: &[u32], count: usize) -> &[i8] {
    int8(words).get(..count).unwrap_or(&[])
}

/// The first `count` halfwords, none where there are fewer.
#[cfg(compiled)]
#[inline(always)]
pub(crate) fn int16s(words: &[u32], count: usize) -> &[i16] {
    int16(words).get(..count).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_has_all_of_the_memory() {
        let mut words = [0x0403_0201, 0x3F80_0000];
        assert_eq!(int8(&words), [1, 2, 3, 4, 0, 0, -128, 63]);
        assert_eq!(int16(&words), [0x0201, 0x0403, 0, 0x3F80]);
        floats_mut(&mut words)[0] = 1.0;
        assert_eq!(words, [0x3F80_0000; 2]);
        assert_eq!(bits(&[1.0]), [0x3F80_0000]);
    }
}
