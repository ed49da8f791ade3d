//! Functions in pieces: lines or polynomials, each from where it starts to the start of the next.

use crate::float::{add, clamp_float, multiply, not_below, subtract};

/// Replaces each value by the function of it, in a number of instructions that does not depend on it.
///
/// The table holds the least and the greatest value of the function, where each piece but the first
/// starts, and for each piece an origin and then `degree + 1` coefficients, the highest power first.
/// There are `2^steps` pieces.
#[inline(never)]
pub(crate) fn pieces(steps: u32, degree: usize, table: &[u8], values: &mut [f32]) {
    let float = |&bytes: &[u8; 4]| f32::from_bits(u32::from_le_bytes(bytes));
    let [least, greatest, rest @ ..] = table.as_chunks::<4>().0 else {
        return;
    };
    let (least, greatest) = (float(least), float(greatest));
    let Some((starts, pieces)) = rest.split_at_checked((1 << steps) - 1) else {
        return;
    };
    for value in values {
        let x = *value;
        // Halves what may be left, so that it ends at the last piece that starts at or below x.
        let mut piece = 0;
        let mut half = 1 << steps >> 1;
        while half > 0 {
            let Some(start) = starts.get(piece + half - 1) else {
                return;
            };
            piece += half * not_below(x, float(start)) as usize;
            half >>= 1;
        }
        let Some([origin, first, others @ ..]) = pieces.get(piece * (degree + 2)..) else {
            return;
        };
        let distance = subtract(x, float(origin));
        let mut y = float(first);
        for coefficient in others.iter().take(degree) {
            y = add(multiply(y, distance), float(coefficient));
        }
        *value = clamp_float(y, least, greatest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::words::put_words;

    fn table<const WORDS: usize>(words: [f32; WORDS]) -> std::vec::Vec<u8> {
        let mut table = std::vec![0; WORDS * 4];
        put_words(&mut table, words.map(f32::to_bits));
        table
    }

    #[test]
    fn lines_jump_where_they_start() {
        // relu with a threshold of 1: 0 up to 1, then x; and 6 from 6 on.
        let above_one = 1f32.next_up();
        #[rustfmt::skip]
        let table = table([
            0.0, 6.0,
            above_one, 6.0, 6.0,
            0.0, 0.0, 0.0,
            0.0, 1.0, 0.0,
            0.0, 0.0, 6.0,
            0.0, 0.0, 6.0,
        ]);
        let mut y = [-1e30, 0.0, 1.0, above_one, 2.5, 6.0, 7.0, 3e38];
        pieces(2, 1, &table, &mut y);
        assert_eq!(y, [0.0, 0.0, 0.0, above_one, 2.5, 6.0, 6.0, 6.0]);
    }

    #[test]
    fn a_polynomial_is_around_its_origin_and_stays_within_its_ends() {
        // 2 (x - 3)^2 + 1 below 10, from 4 on 5.
        #[rustfmt::skip]
        let table = table([
            f32::NEG_INFINITY, 10.0,
            4.0,
            3.0, 2.0, 0.0, 1.0,
            0.0, 0.0, 0.0, 5.0,
        ]);
        let mut y = [3.5, 0.0, 4.0];
        pieces(1, 2, &table, &mut y);
        assert_eq!(y, [1.5, 10.0, 5.0]);
    }
}
