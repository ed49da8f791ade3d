//! Dsp, for cores with SMLAD: four rows A, B, C, D to a block share each load of inputs.
//!
//! # int8
//!
//! For the inputs (p, q) = (x[2i], x[2i+1]) there are two words, p's part in the low halfwords:
//! `W1` with `(A+128) + 256*B`, `W2` with `C + 256*D` (as signed halfwords). Modulo 2^32 the
//! kernel sums, `.` being the dot product with (p, q):
//!
//! ```text
//! e0 += W1 . x                                 A + 256 B + 128
//! e1 += (W1 ror 8 as signed bytes + (W2 << 8 & 0xFF00FF00)) . x      B + 256 C
//! e2 += W2 . x                                 C + 256 D
//! ```
//!
//! `e0` starts at its head word less `128 * sum(x)`. With `b = e1 - 256 e2` the four sums are
//! `A = low 24 bits of (e0 - 256 b)`, `B = (e0 - A) / 256`, `C = (e1 - B) / 256`,
//! `D = (e2 - C) / 256`: exact while each is below 2^23 in magnitude, which the exporter proves.
//! The head is the same combination of the biases: `A + 256 B`, `B + 256 C`, `C + 256 D`.
//!
//! # int4
//!
//! One word for the inputs (x[2i], x[2i+1]), a halfword each:
//! `(A+8) + 16 (B+8) + 256 (C+8) + 4096 D` as a signed halfword. The kernel sums the words
//! themselves in 64 bits, and modulo 2^32 two pairs of their nibbles, all less what the eights
//! add:
//!
//! ```text
//! s  += W . x                            A + 16 B + 256 C + 4096 D
//! e0 += (W & 0x0F0F0F0F) . x             A + 256 C
//! e1 += (W << 4 & 0x0F000F00 | W >> 8 & 0x000F000F) . x      C + 256 B
//! ```
//!
//! `(s - e0) / 16` would be the third link, `B + 256 D`, and has 28 of its bits, since s has all of
//! its own: enough for `A`, then `C` and `B` as above, by which all bits of the link are known,
//! and with them `D`. As exact, under the same bound. The head is s of the biases in two words,
//! low one first, e0 and e1.
//!
//! # int16
//!
//! For the inputs (p, q) = (x[2i], x[2i+1]) there are two words, p's part in the low halfwords:
//! `A + 256 B` and `C + 256 D`, as signed halfwords. The kernel sums each with all inputs in 64
//! bits, and `A` and `C`, the signed low bytes, in 32: what is left is `256 B` and `256 D`. The head
//! is the four biases.

#[cfg(not(target_os = "none"))]
pub(super) mod host;
#[cfg(kernel = "dsp")]
pub(super) mod kernel;
#[cfg(not(target_os = "none"))]
pub(super) mod pack;

use crate::layer::{ROWS, words::low_24};

/// The four sums from the three chained ones.
#[inline(always)]
pub(crate) fn solve(e0: u32, e1: u32, e2: u32) -> [i32; ROWS] {
    let b = e1.wrapping_sub(e2 << 8);
    let a = low_24(e0.wrapping_sub(b << 8));
    let next = |sum: u32, low: u32| sum.wrapping_sub(low).cast_signed() >> 8;
    let b = next(e0, a);
    let c = next(e1, b.cast_unsigned());
    let d = next(e2, c.cast_unsigned());
    [a.cast_signed(), b, c, d]
}

/// The four sums of int4 weights from s, low word first, e0 and e1.
#[cfg(any(feature = "int4", not(target_os = "none")))]
#[inline(always)]
pub(crate) fn solve_int4([low, high, e0, e1]: [u32; ROWS]) -> [i32; ROWS] {
    let s = low >> 4 | high << 28;
    let link = s.wrapping_sub(e0 >> 4);
    let a = low_24(e0.wrapping_sub(e1.wrapping_sub(link << 8) << 8)).cast_signed();
    let next = |sum: u32, low: i32| sum.wrapping_sub(low.cast_unsigned()).cast_signed();
    let c256 = next(e0, a);
    let b256 = next(e1, c256 >> 8);
    let d256 = next(
        next(next(s, a >> 4).cast_unsigned(), c256 >> 4).cast_unsigned(),
        b256 >> 8,
    );
    [a, b256 >> 8, c256 >> 8, d256 >> 8]
}

/// The words that [`solve_int4`] takes apart: no others, since they have more bits than the sums.
#[cfg(any(feature = "int4", not(target_os = "none")))]
pub(crate) fn combine_int4(sums: [i32; ROWS]) -> [u32; ROWS] {
    let [a, b, c, d] = sums.map(i64::from);
    let s = a + 16 * b + 256 * c + 4096 * d;
    // The two words of s, and the low ones of the others.
    [s, s >> 32, a + 256 * c, c + 256 * b].map(|word| word as u32)
}

#[cfg(all(test, feature = "int4"))]
mod tests {
    use super::*;

    #[test]
    fn int4_sums_come_apart_at_the_ends_of_their_range() {
        const END: i32 = (1 << 23) - 1;
        const VALUES: [i32; 13] = [
            -END,
            1 - END,
            -65536,
            -4096,
            -257,
            -16,
            -1,
            0,
            15,
            256,
            65535,
            END - 1,
            END,
        ];
        // Miri takes a minute for all of them.
        let values = if cfg!(miri) { &VALUES[..3] } else { &VALUES };
        for &a in values {
            for &b in values {
                for &c in values {
                    for &d in values {
                        let sums = [a, b, c, d];
                        assert_eq!(solve_int4(combine_int4(sums)), sums);
                    }
                }
            }
        }
    }
}
