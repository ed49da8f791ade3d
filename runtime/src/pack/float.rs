//! f32 weights: four rows to a block, interleaved by one weight.
//!
//! A block is `rows` biases, then for each input `rows` weights. The last block has as many rows
//! as are left. There is no tail.

/// The sums of a block of `ROWS` rows: each its bias, then `w * x` added from the first input to
/// the last, every product and sum rounded.
#[inline(always)]
pub(crate) fn sums<const ROWS: usize>(block: &[u8], x: &[f32]) -> [f32; ROWS] {
    let mut words = super::words(block).map(f32::from_bits);
    let mut sums = [0.0; ROWS];
    for (sum, bias) in sums.iter_mut().zip(&mut words) {
        *sum = bias;
    }
    for &x in x {
        for (sum, w) in sums.iter_mut().zip(&mut words) {
            *sum += w * x;
        }
    }
    sums
}
