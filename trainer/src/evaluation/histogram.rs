//! How values are spread.

/// Numbers of values between equally wide steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Lower end of the first step.
    pub low: f64,
    /// Upper end of the last step.
    pub high: f64,
    /// Values in each step, which has its lower end; the last one has its upper end too.
    pub counts: Vec<usize>,
}

impl Histogram {
    /// Of the finite values, in `bins` steps from the smallest to the greatest, half a unit to each side
    /// where those are equal; none where there are no values.
    pub fn new(values: impl Iterator<Item = f32> + Clone, bins: usize) -> Option<Self> {
        let values = values.map(f64::from).filter(|value| value.is_finite());
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.clone() {
            (low, high) = (low.min(value), high.max(value));
        }
        if low > high || bins == 0 {
            return None;
        }
        if low == high {
            (low, high) = (low - 0.5, high + 0.5);
        }
        let counts = vec![0; bins];
        Some(Self { low, high, counts }.of(values))
    }

    /// Of other values, in the same steps; those beyond the ends are left out.
    pub fn of(&self, values: impl Iterator<Item = f64>) -> Self {
        let (low, high, bins) = (self.low, self.high, self.counts.len());
        let mut counts = vec![0; bins];
        for value in values.filter(|value| (low..=high).contains(value)) {
            let place = ((value - low) / (high - low) * bins as f64) as usize;
            counts[place.min(bins - 1)] += 1;
        }
        Self { low, high, counts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_as_numpy_does() {
        // numpy.histogram([1, 2, 2.5, 5, 3], bins=4): edges 1, 2, 3, 4, 5.
        let of = |values: &[f32]| Histogram::new(values.iter().copied(), 4);
        let found = of(&[1.0, 2.0, f32::NAN, 2.5, 5.0, 3.0]).unwrap();
        assert_eq!((found.low, found.high), (1.0, 5.0));
        assert_eq!(found.counts, [1, 2, 1, 1]);
        // numpy.histogram([7, 7], bins=4): edges 6.5, 6.75, 7, 7.25, 7.5.
        let found = of(&[7.0, 7.0]).unwrap();
        assert_eq!((found.low, found.high), (6.5, 7.5));
        assert_eq!(found.counts, [0, 0, 2, 0]);
        assert_eq!(of(&[f32::INFINITY]), None);
    }
}
