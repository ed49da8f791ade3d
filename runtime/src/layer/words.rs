//! Bytes of a blob as little-endian words.

/// Writes words one after the other.
#[cfg(not(target_os = "none"))]
pub(crate) fn put_words(bytes: &mut [u8], words: impl IntoIterator<Item = u32>) {
    for (bytes, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
        *bytes = word.to_le_bytes();
    }
}

/// Reads words one after the other.
#[inline(always)]
pub(crate) fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&bytes| u32::from_le_bytes(bytes))
}

/// The first `N` words, zero where there are fewer.
#[inline(always)]
pub(crate) fn first_words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let chunks = bytes.as_chunks::<4>().0;
    // One by one: a loop would become a call of memcpy, which is large.
    core::array::from_fn(|i| chunks.get(i).map_or(0, |&word| u32::from_le_bytes(word)))
}

/// The low 24 bits as a signed number.
#[inline(always)]
pub(crate) const fn low_24(word: u32) -> u32 {
    ((word << 8).cast_signed() >> 8).cast_unsigned()
}
