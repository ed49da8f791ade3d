//! f32 weights: four rows to a block, interleaved by one weight.
//!
//! A block is `rows` biases, then for each input `rows` weights. The last block has as many rows
//! as are left. There is no tail.

use crate::float;
use crate::layer::words::words;

/// The sums of a block of `ROWS` rows: each its bias, then `w * x` added from the first input to
/// the last, every product and sum rounded.
#[inline(always)]
pub(crate) fn sums<const ROWS: usize>(block: &[u8], x: &[f32]) -> [f32; ROWS] {
    let mut numbers = words(block).map(f32::from_bits);
    let mut sums = [0.0; ROWS];
    for (sum, bias) in sums.iter_mut().zip(&mut numbers) {
        *sum = bias;
    }
    for &x in x {
        for (sum, w) in sums.iter_mut().zip(&mut numbers) {
            *sum = float::add(*sum, float::multiply(w, x));
        }
    }
    sums
}

/// One of the sums of a block of `rows` rows.
pub(crate) fn sum(block: &[u8], x: &[f32], rows: usize, row: usize) -> f32 {
    let mut numbers = words(block).map(f32::from_bits).skip(row);
    let mut sum = numbers.next().unwrap_or(0.0);
    for &x in x {
        let w = numbers.nth(rows.wrapping_sub(1)).unwrap_or(0.0);
        sum = float::add(sum, float::multiply(w, x));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::words::put_words;

    #[test]
    fn one_sum_is_that_of_all() {
        let mut block = [0; 4 * 4 * 3];
        let words = [
            1.0f32, 2.0, 3.0, 4.0, 0.5, 0.25, 3.0, 7.0, -1.0, 2.5, 0.1, 9.0,
        ];
        put_words(&mut block, words.map(f32::to_bits));
        let x = [0.1, -3.0];
        // 1 + 0.5 * 0.1 - 1 * -3 and so on.
        let all = sums::<4>(&block, &x);
        assert_eq!(all[0], 1.0 + 0.05 + 3.0);
        for (row, &all) in all.iter().enumerate() {
            assert_eq!(sum(&block, &x, 4, row), all);
        }
        // Three rows are 3 biases and so on.
        let all = sums::<3>(&block[..36], &x);
        for (row, &all) in all.iter().enumerate() {
            assert_eq!(sum(&block[..36], &x, 3, row), all);
        }
    }
}
