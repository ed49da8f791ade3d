//! How wrong the outputs of a plan are, not ruled by single rows.

use ndarray::Array2;

use crate::activations::Activation;

/// Outputs against the float model's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutputError {
    /// Mean squared difference.
    pub error: f64,
    /// Mean squared distance of the float outputs from their median; 0 where they do not vary.
    pub variance: f64,
}

impl OutputError {
    /// Compares outputs, `[rows, outputs]` each.
    ///
    /// Where outputs have no bounds, a distance counts no more than the spread of the float outputs
    /// (from the first to the last percent): else one calibration row far from all others would
    /// decide every range, and leave one integer for the rest.
    pub fn of(found: &Array2<f64>, float: &Array2<f64>, activation: &Activation) -> Self {
        let mut sorted: Vec<f64> = float.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let quantile = |share: f64| {
            // A share of a length: within it.
            let place = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
            sorted.get(place).copied().unwrap_or(0.0)
        };
        let spread = quantile(0.99) - quantile(0.01);
        let is_bounded = matches!(
            activation,
            Activation::Softmax | Activation::Sigmoid | Activation::Tanh
        );
        let cap = if is_bounded || spread <= 0.0 {
            f64::INFINITY
        } else {
            spread
        };
        let median = quantile(0.5);
        let (mut error, mut variance) = (0.0, 0.0);
        for (found, float) in found.iter().zip(float) {
            error += (found - float).abs().min(cap).powi(2);
            variance += (float - median).abs().min(cap).powi(2);
        }
        let count = float.len().max(1) as f64;
        Self {
            error: error / count,
            variance: variance / count,
        }
    }

    /// Error over variance: 1 is as bad as one answer for all rows. None where the outputs do not
    /// vary.
    pub fn relative(&self) -> Option<f64> {
        (self.variance > 0.0).then(|| self.error / self.variance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_far_off_counts_no_more_than_the_spread_of_the_others() {
        let float = Array2::from_shape_fn((201, 1), |(row, _)| match row {
            200 => 1e30,
            row => row as f64 / 199.0,
        });
        // All rows of one answer, the last one right: as bad as it gets.
        let collapsed =
            Array2::from_shape_fn((201, 1), |(row, _)| if row == 200 { 1e30 } else { 0.0 });
        // All rows right but for the last.
        let clipped = float.mapv(|v: f64| v.min(1.0));
        let of = |found| OutputError::of(found, &float, &Activation::Linear);
        assert!(of(&clipped).error < 0.01, "{:?}", of(&clipped));
        assert!(of(&collapsed).error > 0.3, "{:?}", of(&collapsed));
        assert!(of(&collapsed).relative() > Some(1.0));
        assert_eq!(of(&float).relative(), Some(0.0));
    }
}
