//! Sums over long float32 slices: sixteen running sums, so that they vectorize and round little.

use crate::simd;

/// Running sums per slice; float32 partial sums of at most this many blocks go into a float64.
const LANES: usize = 16;
/// Elements before the float32 lanes are folded into the float64 total.
const BLOCK: usize = 4096;

/// `Σ f(x)`; blocks of sixteen float32 lanes, blocks added in float64.
#[inline(always)]
fn total(values: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    simd::widest(
        #[inline(always)]
        || totals(values, f),
    )
}

#[inline(always)]
fn totals(values: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let mut total = 0.0;
    for block in values.chunks(BLOCK) {
        let mut lanes = [0f32; LANES];
        let chunks = block.chunks_exact(LANES);
        for &value in chunks.remainder() {
            total += f64::from(f(value));
        }
        for chunk in chunks {
            for (lane, &value) in lanes.iter_mut().zip(chunk) {
                *lane += f(value);
            }
        }
        total += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
    }
    total
}

/// `Σ x²`.
pub(crate) fn squares(values: &[f32]) -> f32 {
    total(values, |x| x * x) as f32
}

/// `Σ |x|`.
pub(crate) fn absolute(values: &[f32]) -> f32 {
    total(values, f32::abs) as f32
}

/// `Σ x` with the order and so the rounding of TensorFlow's `reduce_sum` (Eigen: four accumulators
/// of eight lanes, then halves), for what shows it: differences of nearly equal sums.
pub(crate) fn as_tensorflow(values: &[f32]) -> f32 {
    const PACKET: usize = 8;
    const LEAF: usize = 1024 * PACKET;
    if values.len() > LEAF {
        let half = values.len().div_ceil(2).next_multiple_of(PACKET);
        let (left, right) = values.split_at(half);
        return as_tensorflow(left) + as_tensorflow(right);
    }
    let add = |lanes: &mut [f32], packet: &[f32]| {
        for (lane, value) in lanes.iter_mut().zip(packet) {
            *lane += value;
        }
    };
    let mut lanes = [0f32; 4 * PACKET];
    let blocks = values.chunks_exact(lanes.len());
    let packets = blocks.remainder().chunks_exact(PACKET);
    blocks.for_each(|block| add(&mut lanes, block));
    let (first, others) = lanes.split_at_mut(PACKET);
    others
        .chunks_exact(PACKET)
        .for_each(|packet| add(first, packet));
    let rest = packets
        .remainder()
        .iter()
        .fold(0.0, |sum, value| sum + value);
    packets.for_each(|packet| add(first, packet));
    for len in [4, 2, 1] {
        let (low, high) = first.split_at_mut(len);
        add(low, high);
    }
    rest + first[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_round_in_the_order_of_tensorflow() {
        // tf.reduce_sum of TensorFlow 2.21.
        let values: Vec<f32> = (0..77)
            .map(|i| ((i * 37 % 101) as f32).sqrt() / 3.0)
            .collect();
        for (len, sum) in [
            (1, 0x00000000),
            (7, 0x414c7b4e),
            (8, 0x4174bf58),
            (31, 0x42883a02),
            (45, 0x42c31342),
            (64, 0x430d10be),
            (77, 0x43299e22),
        ] {
            assert_eq!(as_tensorflow(&values[..len]).to_bits(), sum, "{len} values");
        }
    }

    #[test]
    fn remainders_and_blocks_are_all_counted() {
        // 4096 + 16 + 3 elements: a whole block, a whole chunk, a remainder.
        let values = vec![-0.5; BLOCK + LANES + 3];
        assert_eq!(absolute(&values), 0.5 * 4115.0);
        assert_eq!(squares(&values), 0.25 * 4115.0);
    }
}
