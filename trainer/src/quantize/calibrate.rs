//! What the tensors of a network hold on calibration rows, and the ranges chosen from it.

use std::cell::{OnceCell, RefCell};

use ndarray::{Array2, ArrayView2, Axis};

use super::chain::{Chain, FoldedDense, split};
use super::tail::Tails;
use crate::{Error, Result};

/// How the range of a tensor is chosen from what was observed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RangeMethod {
    /// The range that costs least on values to come: beyond those seen as far as their tails reach,
    /// against the steps that a wider range makes coarser.
    Unseen,
    /// Smallest to largest value.
    MinMax,
    /// Leaves out this share of the values at each end, in percent of 100, such as 99.99.
    Percentile(f64),
    /// The range with the least mean squared error of quantized values.
    MeanSquaredError,
    /// The range whose quantized histogram has the least Kullback-Leibler divergence from the
    /// float one (as in TensorRT's calibration, Migacz 2017).
    Entropy,
}

impl RangeMethod {
    /// Every method.
    pub const ALL: [Self; 5] = [
        Self::Unseen,
        Self::MinMax,
        Self::Percentile(99.99),
        Self::MeanSquaredError,
        Self::Entropy,
    ];
}

impl std::fmt::Display for RangeMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unseen => f.write_str("unseen"),
            Self::MinMax => f.write_str("min-max"),
            Self::Percentile(percent) => write!(f, "percentile {percent}"),
            Self::MeanSquaredError => f.write_str("mse"),
            Self::Entropy => f.write_str("entropy"),
        }
    }
}

/// Values of one tensor over the calibration rows.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Smallest value of all rows, but for those [`FAR`] off.
    pub low: f64,
    /// Largest value of all rows, but for those [`FAR`] off.
    pub high: f64,
    /// At most [`SAMPLE`] of the values, sorted.
    sample: Vec<f64>,
    /// Of each column.
    tails: Tails,
    /// How much an error of each column counts.
    weights: Vec<f64>,
    /// Ranges that were asked for: every plan asks anew.
    ranges: RefCell<Vec<FoundRange>>,
}

/// A range that was asked for before.
#[derive(Clone, Copy, Debug)]
struct FoundRange {
    method: RangeMethod,
    limit: i32,
    range: (f64, f64),
}

/// Values kept of a tensor for the methods that need more than its ends.
const SAMPLE: usize = 50_000;
/// Ranges tried by mean squared error and entropy.
const CANDIDATES: u32 = 48;
/// Bins of the entropy method's histogram.
const BINS: usize = 2048;

impl Observed {
    /// Reads a tensor, `[rows, width]`; `weights` say how much an error of each column counts.
    pub fn of(values: &ArrayView2<f64>, weights: Vec<f64>) -> Self {
        let stride = values.len().div_ceil(SAMPLE).max(1);
        let mut sample: Vec<f64> = values.iter().step_by(stride).copied().collect();
        sample.sort_by(f64::total_cmp);
        let (nearest, farthest) = believable(&sample);
        sample.retain(|v| (nearest..=farthest).contains(v));
        let (low, high) = values
            .iter()
            .filter(|v| (nearest..=farthest).contains(*v))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| {
                (low.min(v), high.max(v))
            });
        Self {
            low,
            high,
            sample,
            tails: Tails::of(values, &(nearest..=farthest)),
            weights,
            ranges: RefCell::default(),
        }
    }

    /// A range for each column.
    pub fn ranges_of_columns(&self, limit: i32) -> Vec<(f64, f64)> {
        self.tails.ranges(limit)
    }

    /// The range to quantize; within `[low, high]` but for [`RangeMethod::Unseen`].
    pub fn range(&self, method: RangeMethod, limit: i32) -> (f64, f64) {
        let mut ranges = self.ranges.borrow_mut();
        let known = ranges
            .iter()
            .find(|known| (known.method, known.limit) == (method, limit));
        if let Some(known) = known {
            return known.range;
        }
        let range = self.find_range(method, limit);
        ranges.push(FoundRange {
            method,
            limit,
            range,
        });
        range
    }

    fn find_range(&self, method: RangeMethod, limit: i32) -> (f64, f64) {
        match method {
            RangeMethod::Unseen => self.tails.range(&self.weights, limit),
            RangeMethod::MinMax => (self.low, self.high),
            RangeMethod::Percentile(percent) => (
                self.quantile(1.0 - percent / 100.0),
                self.quantile(percent / 100.0),
            ),
            RangeMethod::MeanSquaredError => {
                self.best(|low, high| self.squared_error(low, high, limit))
            }
            RangeMethod::Entropy => {
                let histogram = self.histogram();
                self.best(|low, high| self.divergence(&histogram, low, high, limit))
            }
        }
    }

    fn quantile(&self, share: f64) -> f64 {
        let last = self.sample.len().saturating_sub(1);
        // A share of a length: within the sample.
        let index = (share.clamp(0.0, 1.0) * last as f64).round() as usize;
        self.sample.get(index).copied().unwrap_or(0.0)
    }

    /// The candidate of least cost: the full range, shrunk towards 0 step by step.
    fn best(&self, cost: impl Fn(f64, f64) -> f64) -> (f64, f64) {
        // An outlier must not make every candidate too wide: start from the bulk of the values
        // as well as from the ends.
        let bulk = (self.quantile(0.001), self.quantile(0.999));
        let wide = (self.low, self.high);
        let mut best = (cost(wide.0, wide.1), wide);
        for start in [wide, bulk] {
            for step in 1..=CANDIDATES {
                let share = f64::from(step) / f64::from(CANDIDATES);
                let range = (start.0 * share, start.1 * share);
                let cost = cost(range.0, range.1);
                if cost < best.0 {
                    best = (cost, range);
                }
            }
        }
        best.1
    }

    fn squared_error(&self, low: f64, high: f64, limit: i32) -> f64 {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let step = (high - low) / f64::from(2 * limit);
        if step <= 0.0 {
            return self.sample.iter().map(|v| v * v).sum();
        }
        self.sample
            .iter()
            .map(|&v| {
                let q = ((v.clamp(low, high) - low) / step).round() * step + low;
                (v - q) * (v - q)
            })
            .sum()
    }

    fn histogram(&self) -> Vec<f64> {
        let mut bins = vec![0.0; BINS];
        let width = (self.high - self.low) / BINS as f64;
        if width > 0.0 {
            for v in &self.sample {
                // Within BINS by construction, but for rounding at the end.
                let bin = ((v - self.low) / width) as usize;
                bins[bin.min(BINS - 1)] += 1.0;
            }
        }
        bins
    }

    /// Kullback-Leibler divergence of the histogram quantized on `[low, high]` from itself.
    fn divergence(&self, histogram: &[f64], low: f64, high: f64, limit: i32) -> f64 {
        let width = (self.high - self.low) / BINS as f64;
        let step = (high.max(0.0) - low.min(0.0)) / f64::from(2 * limit);
        let total: f64 = histogram.iter().sum();
        if width <= 0.0 || step <= 0.0 || total <= 0.0 {
            return 0.0;
        }
        let level = |bin: usize| {
            let centre = self.low + (bin as f64 + 0.5) * width;
            // Clamped to the levels of the range.
            ((centre.clamp(low, high) - low) / step).round() as usize
        };
        let levels = level(BINS - 1).max(level(0)) + 1;
        let (mut mass, mut filled) = (vec![0.0f64; levels], vec![0.0f64; levels]);
        for (bin, &count) in histogram.iter().enumerate() {
            let centre = self.low + (bin as f64 + 0.5) * width;
            mass[level(bin)] += count;
            // Bins outside the range keep no probability of their own.
            if count > 0.0 && (low..=high).contains(&centre) {
                filled[level(bin)] += 1.0;
            }
        }
        histogram
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0.0)
            .map(|(bin, &count)| {
                let centre = self.low + (bin as f64 + 0.5) * width;
                let p = count / total;
                let q = if (low..=high).contains(&centre) {
                    mass[level(bin)] / filled[level(bin)].max(1.0) / total
                } else {
                    1e-9
                };
                p * (p / q.max(1e-12)).ln()
            })
            .sum()
    }
}

/// Spreads that a value may lie outside the bulk of them: no integers, not even of 16 bits, have
/// room for both beyond that, and a single sensor that failed must not leave one step for the rest.
const FAR: f64 = 1e6;

/// Where values of a sorted sample are taken seriously.
fn believable(sorted: &[f64]) -> (f64, f64) {
    let last = sorted.len().saturating_sub(1);
    let low = sorted.get(last / 20).copied().unwrap_or(0.0);
    let high = sorted.get(last - last / 20).copied().unwrap_or(0.0);
    let spread = high - low;
    if spread > 0.0 {
        (low - FAR * spread, high + FAR * spread)
    } else {
        (f64::NEG_INFINITY, f64::INFINITY)
    }
}

/// Rows that are kept whole, for measuring what quantization does to each tensor.
const KEPT: usize = 2048;

/// One layer of a chain on the calibration rows, in float.
#[derive(Clone, Debug)]
pub struct LayerTrace {
    /// Before the activation, over all rows.
    pub seen_sums: Observed,
    /// After the activation and the steps behind it, over all rows.
    pub seen_outputs: Observed,
    /// Before the activation, `[kept rows, units]`.
    pub sums: Array2<f64>,
    /// After the activation and the steps behind it, `[kept rows, units]`.
    pub outputs: Array2<f64>,
}

/// What every tensor of a chain holds on the calibration rows.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// What the first dense layer sees, over all rows.
    pub seen_inputs: Observed,
    /// Raw rows, `[kept rows, inputs]`: all of them, or evenly spaced ones.
    pub rows: Array2<f64>,
    /// One for each dense layer.
    pub layers: Vec<LayerTrace>,
    /// What the first dense layer sees of each input of one of its rows, on the kept rows.
    columns: OnceCell<Vec<Observed>>,
}

impl Calibration {
    /// Runs the chain on calibration rows, `[rows, inputs]`.
    ///
    /// # Errors
    ///
    /// No rows, rows of another width, values that are not finite, or rows on which the float
    /// model itself overflows.
    pub fn run(chain: &Chain, rows: &ArrayView2<f64>) -> Result<Self> {
        check(chain, rows)?;
        let stride = rows.nrows().div_ceil(KEPT);
        let kept: Vec<usize> = (0..rows.nrows()).step_by(stride).collect();
        let mut x = chain.first_inputs(rows);
        let seen_inputs = {
            // Of rows that the same weights are applied to, the values of all.
            let of_a_row = of_a_row(chain, &x);
            Observed::of(
                &of_a_row.view(),
                gains(chain.layers.first(), of_a_row.ncols()),
            )
        };
        let mut layers = Vec::with_capacity(chain.layers.len());
        for (index, layer) in chain.layers.iter().enumerate() {
            let next = chain.layers.get(index + 1);
            let next = next.filter(|_| layer.then.is_empty());
            let gains = gains(next, layer.outputs());
            let mut y = layer.sums(&x.view());
            let seen_sums = Observed::of(&y.view(), gains.clone());
            let sums = y.select(Axis(0), &kept);
            layer.activate(&mut y);
            layer.then.iter().for_each(|step| step.apply(&mut y));
            if y.iter().any(|v| !v.is_finite()) {
                return Err(Error::value(format!(
                    "layer \"{}\" is not finite on the calibration rows in float already; remove \
                     outliers from them",
                    layer.name
                )));
            }
            layers.push(LayerTrace {
                seen_sums,
                seen_outputs: Observed::of(
                    &y.view(),
                    match layer.then.is_empty() {
                        true => gains,
                        false => vec![1.0; y.ncols()],
                    },
                ),
                sums,
                outputs: y.select(Axis(0), &kept),
            });
            x = y;
        }
        Ok(Self {
            seen_inputs,
            rows: rows.select(Axis(0), &kept),
            layers,
            columns: OnceCell::new(),
        })
    }

    /// What the first dense layer sees of each input of one of its rows, on the kept rows.
    pub fn columns(&self, chain: &Chain) -> &[Observed] {
        self.columns.get_or_init(|| {
            let inputs = chain.first_inputs(&self.rows.view());
            let inputs = of_a_row(chain, &inputs);
            let columns = inputs.axis_iter(Axis(1));
            columns
                .map(|column| Observed::of(&column.insert_axis(Axis(1)), vec![1.0]))
                .collect()
        })
    }
}

/// What the first dense layer sees, `[samples, rows * inputs]`, as `[samples * rows, inputs]`.
fn of_a_row(chain: &Chain, x: &Array2<f64>) -> Array2<f64> {
    let rows = chain.layers.first().map_or(1, |layer| layer.rows);
    split(&x.view(), rows)
}

/// How much an error of each value that a layer reads does to the squared error of its sums, `[width]`.
fn gains(next: Option<&FoldedDense>, width: usize) -> Vec<f64> {
    match next {
        Some(next) => {
            let columns = next.kernel.columns().into_iter();
            let gains: Vec<f64> = columns.map(|column| column.dot(&column)).collect();
            gains.into_iter().cycle().take(width).collect()
        }
        None => vec![1.0; width],
    }
}

fn check(chain: &Chain, rows: &ArrayView2<f64>) -> Result<()> {
    if rows.nrows() == 0 {
        return Err(Error::value(
            "there are no calibration rows; give at least one, better several hundred, of the kind that \
             the device will see",
        ));
    }
    if rows.ncols() != chain.inputs() {
        return Err(Error::shape(format!(
            "calibration rows have {} columns, expected the model's {} inputs",
            rows.ncols(),
            chain.inputs()
        )));
    }
    if let Some(((row, column), value)) = rows.indexed_iter().find(|(_, v)| !v.is_finite()) {
        return Err(Error::value(format!(
            "calibration data row {} column {} is {value}, expected a finite number; remove the row",
            row + 1,
            column + 1
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    fn observed_with_outlier() -> Observed {
        let mut values: Vec<f64> = (0..10_000).map(|i| f64::from(i % 100) / 100.0).collect();
        values.push(1000.0);
        let values = Array2::from_shape_vec((1, values.len()), values).expect("one row");
        Observed::of(&values.view(), vec![1.0; values.ncols()])
    }

    #[test]
    fn a_value_that_no_integers_could_hold_beside_the_others_is_left_out() {
        let mut values = Array2::from_shape_fn((100, 1), |(row, _)| row as f64);
        values[[7, 0]] = 1e30;
        values[[8, 0]] = 1e6;
        let observed = Observed::of(&values.view(), vec![1.0; values.ncols()]);
        assert_eq!((observed.low, observed.high), (0.0, 1e6));
        // Nothing to compare with.
        let mut values = Array2::zeros((100, 1));
        values[[7, 0]] = 1e30;
        assert_eq!(Observed::of(&values.view(), vec![1.0]).high, 1e30);
    }

    #[test]
    fn min_max_keeps_an_outlier_and_the_percentile_drops_it() {
        let observed = observed_with_outlier();
        assert_eq!(observed.range(RangeMethod::MinMax, 127), (0.0, 1000.0));
        let (low, high) = observed.range(RangeMethod::Percentile(99.9), 127);
        assert_eq!((low, high), (0.0, 0.99));
    }

    #[test]
    fn the_squared_error_range_beats_every_other_in_squared_error() {
        let observed = observed_with_outlier();
        let (low, high) = observed.range(RangeMethod::MeanSquaredError, 127);
        let best = observed.squared_error(low, high, 127);
        for method in &RangeMethod::ALL[1..] {
            let (low, high) = observed.range(*method, 127);
            assert!(best <= observed.squared_error(low, high, 127), "{method}");
        }
    }

    #[test]
    fn entropy_narrows_the_range_of_a_long_tailed_tensor() {
        // Exponential quantiles: dense near 0, a long thin tail.
        let values: Vec<f64> = (1..20_000)
            .map(|i| -(f64::from(i) / 20_000.0).ln().powi(3))
            .collect();
        let values = Array2::from_shape_vec((1, values.len()), values).expect("one row");
        let observed = Observed::of(&values.view(), vec![1.0; values.ncols()]);
        let (_, high) = observed.range(RangeMethod::Entropy, 127);
        assert!(
            high > 0.0 && high < observed.high,
            "{high} of {}",
            observed.high
        );
    }
}
