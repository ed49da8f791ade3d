//! Lane, for cores without DSP instructions: one word has a weight of each of four rows A, B, C,
//! D for *one* input.
//!
//! # int8
//!
//! `W = (A+128) + 2^8 (B+128) + 2^16 (C+128) + 2^24 (D+128)` for each input x. Modulo 2^32 the
//! kernel sums, REV being the bytes in reverse order,
//!
//! ```text
//! e0 += W * x                A + 2^8 B + 2^16 C + 2^24 D
//! e1 += (REV W >> 16) * x    B + 2^8 A
//! e2 += REV W * x            D + 2^8 C + 2^16 B + 2^24 A
//! ```
//!
//! each less its share of `128 * sum(x)`. Then, each step exact while all four sums are below
//! 2^23 in magnitude, which the exporter proves:
//!
//! ```text
//! p = e2 - 2^16 e1 = D + 2^8 C
//! z = e0 - 2^8 e1 - 2^24 p = A + 2^16 (C - A)
//! B = low 24 bits of (e1 - 2^8 z)                     A = (e1 - B) >> 8
//! D = low 24 bits of (p - (z - A) / 2^8 - 2^8 A)      C = (p - D) >> 8
//! ```
//!
//! These three words, since each is one instruction away from the one before even where there are
//! no shifted operands. The head is the same three combinations of the biases.
//!
//! # int4
//!
//! Two words for four inputs: in each byte, rows as above, one input's weight + 8 in the low
//! nibble and the next one's in the high one. Under the mask `0x000F000F` there stand, for the
//! first input, A and C in `W`, B and D in `W >> 8`, for the second these in `W >> 4` and
//! `W >> 12`, each time as a word `A+8 + 2^16 (C+8)`: with that, one product is two. Over no more
//! than 16 inputs neither half of their sum exceeds 15 bits and a sign, so that both can be read
//! from it; then the kernel adds it to `C` and to `A + 2^16 C`, where the high half of A is kept.
//! The head is these words of the biases: `A + 2^16 C, C, B + 2^16 D, D`.
//!
//! # int16
//!
//! Two words for two inputs, each `W` as of int8. The sums need all 32 bits, so there are four,
//!
//! ```text
//! e0 += W * x            A + 2^8 B + 2^16 C + 2^24 D
//! e1 += (W >> 8) * x     B + 2^8 C + 2^16 D
//! e2 += (W >> 16) * x    C + 2^8 D
//! e3 += (W >> 24) * x    D
//! ```
//!
//! where each row is a sum less 2^8 times the one below it. The head is the same of the biases.

#[cfg(compiled)]
pub(super) mod host;
#[cfg(kernel = "lane")]
pub(super) mod kernel;
#[cfg(not(target_os = "none"))]
pub(super) mod pack;

use crate::layer::{ROWS, words::low_24};

/// The rows' values from those that an int4 head has.
#[cfg_attr(
    all(not(feature = "int4"), not(compiled)),
    allow(dead_code, reason = "only an int4 head has such values")
)]
#[inline(always)]
pub(crate) fn solve_pairs([ac, c, bd, d]: [u32; ROWS]) -> [i32; ROWS] {
    let (a, b) = (ac.wrapping_sub(c << 16), bd.wrapping_sub(d << 16));
    [a, b, c, d].map(u32::cast_signed)
}

/// The four sums from those of an int16 block.
#[cfg_attr(
    all(not(feature = "int16"), not(compiled)),
    allow(dead_code, reason = "only an int16 block has such sums")
)]
#[inline(always)]
pub(crate) fn solve_chain([e0, e1, e2, e3]: [u32; ROWS]) -> [i32; ROWS] {
    let less = |sum: u32, next: u32| sum.wrapping_sub(next << 8);
    [less(e0, e1), less(e1, e2), less(e2, e3), e3].map(u32::cast_signed)
}

/// The four sums from the three combined ones.
#[inline(always)]
pub(crate) fn solve(e0: u32, e1: u32, e2: u32) -> [i32; ROWS] {
    let p = e2.wrapping_sub(e1 << 16);
    let z = e0.wrapping_sub(e1 << 8).wrapping_sub(p << 24);
    let b = low_24(e1.wrapping_sub(z << 8));
    let a = e1.wrapping_sub(b).cast_signed() >> 8;
    // 2^16 C, from z = A + 2^16 (C - A).
    let c16 = z
        .wrapping_sub(a.cast_unsigned())
        .wrapping_add(a.cast_unsigned() << 16);
    let d = (p << 8).wrapping_sub(c16).cast_signed() >> 8;
    let c = p.wrapping_sub(d.cast_unsigned()).cast_signed() >> 8;
    [a, b.cast_signed(), c, d]
}

#[cfg(test)]
mod tests {
    use super::pack::{chain, combine, pairs};
    use super::*;

    #[test]
    fn four_sums_survive_in_three_words() {
        const TOP: i32 = (1 << 23) - 1;
        for sums in [
            [0, 0, 0, 0],
            [1, -2, 3, -4],
            [TOP, TOP, TOP, TOP],
            [-TOP, -TOP, -TOP, -TOP],
            [TOP, -TOP, TOP, -TOP],
            [-TOP, TOP, -1, TOP],
        ] {
            let [e0, e1, e2] = combine(sums.map(i32::cast_unsigned));
            assert_eq!(solve(e0, e1, e2), sums);
            assert_eq!(solve_pairs(pairs(sums.map(i32::cast_unsigned))), sums);
        }
        for sums in [[i32::MAX; 4], [i32::MIN, i32::MAX, -1, i32::MIN]] {
            assert_eq!(solve_chain(chain(sums.map(i32::cast_unsigned))), sums);
        }
    }
}
