//! Whether probabilities are what they say.

/// How often what is said with a probability is so.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Of probabilities from 0 to 1 in steps of a tenth, those that occur.
    pub bins: Vec<Bin>,
    /// Expected calibration error: mean difference between what is said and what is so, each bin weighed
    /// by its rows.
    pub error: f64,
}

/// Rows of about the same probability.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// How many.
    pub rows: usize,
    /// Mean of the probabilities.
    pub said: f64,
    /// Rows for which it is so, as a share.
    pub so: f64,
}

/// Number of bins.
const BINS: usize = 10;

impl Calibration {
    /// Of probabilities from 0 to 1, and whether it is so; none of no rows.
    pub fn new(rows: impl Iterator<Item = (f32, bool)>) -> Option<Self> {
        let mut sums = [(0_usize, 0.0, 0_usize); BINS];
        for (probability, so) in rows {
            let probability = f64::from(probability);
            // A bin has its upper end, the first one 0 too.
            let above = |edge: &usize| *edge as f64 / (BINS as f64) < probability;
            let (rows, said, is_so) = &mut sums[(1..BINS).take_while(above).count()];
            *rows += 1;
            *said += probability;
            *is_so += usize::from(so);
        }
        let filled = sums.into_iter().filter(|(rows, ..)| *rows > 0);
        let bins: Vec<Bin> = filled
            .map(|(rows, said, so)| Bin {
                rows,
                said: said / rows as f64,
                so: so as f64 / rows as f64,
            })
            .collect();
        let rows: usize = bins.iter().map(|bin| bin.rows).sum();
        let off = |bin: &Bin| bin.rows as f64 * (bin.said - bin.so).abs();
        let error = bins.iter().map(off).sum::<f64>() / rows as f64;
        (rows > 0).then_some(Self { bins, error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_those_of_scikit_learn() {
        // calibration_curve(y, p, n_bins=10) of y = [0, 0, 1, 1, 1, 0], p = [0, 0.125, 0.1875, 0.75, 1, 0.9375]:
        // prob_true [0, 0.5, 1, 0.5], prob_pred [0, 0.15625, 0.75, 0.96875].
        let rows = [
            (0.0, false),
            (0.125, false),
            (0.1875, true),
            (0.75, true),
            (1.0, true),
            (0.9375, false),
        ];
        let found = Calibration::new(rows.into_iter()).unwrap();
        let so: Vec<f64> = found.bins.iter().map(|bin| bin.so).collect();
        let said: Vec<f64> = found.bins.iter().map(|bin| bin.said).collect();
        assert_eq!(so, [0.0, 0.5, 1.0, 0.5]);
        assert_eq!(said, [0.0, 0.15625, 0.75, 0.96875]);
        // (1 * 0 + 2 * 0.34375 + 1 * 0.25 + 2 * 0.46875) / 6
        assert_eq!(found.error, 0.3125);
        assert_eq!(Calibration::new(std::iter::empty()), None);
    }
}
