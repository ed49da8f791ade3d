//! Sums over long float32 slices: sixteen running sums, so that they vectorize and round little.

/// Running sums per slice; float32 partial sums of at most this many blocks go into a float64.
const LANES: usize = 16;
/// Elements before the float32 lanes are folded into the float64 total.
const BLOCK: usize = 4096;

/// `Σ f(x)`; blocks of sixteen float32 lanes, blocks added in float64.
#[inline(always)]
fn total(values: &[f32], f: impl Fn(f32) -> f32) -> f64 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainders_and_blocks_are_all_counted() {
        // 4096 + 16 + 3 elements: a whole block, a whole chunk, a remainder.
        let values = vec![-0.5; BLOCK + LANES + 3];
        assert_eq!(absolute(&values), 0.5 * 4115.0);
        assert_eq!(squares(&values), 0.25 * 4115.0);
    }
}
