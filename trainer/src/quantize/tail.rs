//! How far values that are not seen yet may lie beyond those that are, and the range that costs least
//! on them: what it clips of an unseen value against the steps that a wider one makes coarser.
//!
//! The values beyond a high quantile of a column follow a generalized Pareto distribution (Pickands
//! 1975), fitted by probability-weighted moments (Hosking and Wallis 1987). A few rows say little of
//! one column's tail: its shape and size are drawn towards those of all columns, the more the less
//! these differ by more than chance (James and Stein 1961), and what is left of the doubt is averaged over.

use std::ops::RangeInclusive;

use ndarray::{ArrayView1, ArrayView2, s};

/// Share of the values that a tail holds, and how many at least and at most.
const SHARE: f64 = 0.1;
const FEWEST: usize = 15;
const MOST: usize = 150;
/// Values of a column that are the same, as a share of all: such a value is no draw from a density.
const ATOM: f64 = 0.05;
/// Beyond a third the mean square of a tail hardly exists.
const HEAVIEST: f64 = 0.33;
/// Bounded ends fall off no faster than this, as far as a fit can tell.
const STEEPEST: f64 = -3.0;
/// Variance of the fitted shape times the number of values.
const SHAPE_VARIANCE: f64 = 2.0;
/// Variance of the logarithm of the fitted mean excess times the number of values.
const EXCESS_VARIANCE: f64 = 2.0;
/// The shape that tails are taken to have before any is seen, and how many tails that weighs.
const PRIOR_SHAPE: f64 = 0.05;
const PRIOR_WEIGHT: f64 = 4.0;
/// How much of the doubt in a fit is averaged over: with all of it the rare heavy tail that could be makes
/// every range wider than most need.
const DOUBT: f64 = 0.4;
/// What steps that are coarser cost beside their own rounding, in units of it: weights that meet them are coarser too.
const COARSER: f64 = 3.0;
/// Ends of a range that are tried on each side.
const CANDIDATES: u32 = 48;
/// The farthest of them is exceeded by that share of the tail's values, as a power of e.
const DEPTH: f64 = -16.0;
/// Rows that tails are taken from at most.
const ROWS: usize = 10_000;

/// One end of a column's values, outwards from 0: of the low end the values are negated.
#[derive(Clone, Debug)]
struct Tail {
    /// Where it begins.
    start: f64,
    /// The farthest value seen.
    end: f64,
    /// Mean distance of its values from the start; 0 where nothing lies beyond it.
    excess: f64,
    /// Of the Pareto distribution: above 0 heavier than an exponential, below 0 bounded.
    shape: f64,
    /// How many values it was fitted to.
    count: usize,
    /// Its values as a share of all.
    share: f64,
    /// Standard deviations of what was fitted: of the shape, of the excess's logarithm.
    doubt: (f64, f64),
    /// Distance of the start from the middle of all values.
    spread: f64,
}

impl Tail {
    /// The end of values in ascending order.
    fn of(sorted: &[f64]) -> Self {
        let count = sorted.len();
        let end = sorted.last().copied().unwrap_or(0.0);
        // At most a third of the values, however few.
        let wanted = (SHARE * count as f64) as usize;
        let wanted = wanted.clamp(FEWEST.min(count / 3), MOST);
        let atom = ((ATOM * count as f64) as usize).max(3);
        // Down to a value that too many share, such as a sensor's end or an absent feature's 0.
        let mut first = count - wanted.min(count.saturating_sub(1));
        for place in (first..count).rev() {
            let below = place.saturating_sub(atom - 1);
            if place + 1 >= atom && sorted[below] == sorted[place] {
                first = place + 1;
                break;
            }
        }
        let start = sorted.get(first.saturating_sub(1)).copied().unwrap_or(end);
        let values = &sorted[first.min(count)..];
        let distances = values.iter().map(|v| v - start);
        // Counts of rows are far below 2^52.
        let held = values.len() as f64;
        let excess = distances.clone().sum::<f64>() / held.max(1.0);
        let weighted: f64 = distances
            .zip((0..values.len()).rev())
            .map(|(distance, above)| distance * above as f64 / (held - 1.0).max(1.0))
            .sum();
        let difference = excess - 2.0 * weighted / held.max(1.0);
        let shape = if values.len() > 1 && difference > 1e-9 * excess {
            2.0 - excess / difference
        } else {
            PRIOR_SHAPE
        };
        Self {
            start,
            end,
            excess,
            shape: shape.clamp(STEEPEST, HEAVIEST),
            count: values.len(),
            share: held / count.max(1) as f64,
            doubt: (
                (SHAPE_VARIANCE / held.max(1.0)).sqrt(),
                (EXCESS_VARIANCE / held.max(1.0)).sqrt(),
            ),
            spread: start - sorted.get(count / 2).copied().unwrap_or(start),
        }
    }

    fn is_open(&self) -> bool {
        self.excess > 0.0
    }

    /// Mean square of what lies beyond `at`, over all values, where excess and shape are these.
    fn beyond(&self, at: f64, excess: f64, shape: f64) -> f64 {
        let scale = excess * (1.0 - shape);
        let distance = (at - self.start).max(0.0);
        let left = scale + shape * distance;
        if left <= 0.0 {
            return 0.0;
        }
        let survival = if shape.abs() < 1e-6 {
            (-distance / scale).exp()
        } else {
            (left / scale).powf(-1.0 / shape)
        };
        let square = 2.0 * left * left / ((1.0 - shape) * (1.0 - 2.0 * shape));
        let inside = (self.start - at).max(0.0);
        self.share * survival * (square + inside * (2.0 * excess + inside))
    }

    /// Expected square of what a range that ends at `at` clips of a value to come.
    fn clipped(&self, at: f64, rows: f64) -> f64 {
        let seen = (self.end - at).max(0.0).powi(2) / rows;
        if !self.is_open() {
            return seen;
        }
        // Three places stand for a normal distribution (Gauss and Hermite).
        let places = [
            (-3f64.sqrt(), 1.0 / 6.0),
            (0.0, 2.0 / 3.0),
            (3f64.sqrt(), 1.0 / 6.0),
        ];
        let mut mean = 0.0;
        for (a, weight_a) in places {
            let shape = (self.shape + a * DOUBT * self.doubt.0).clamp(STEEPEST, HEAVIEST);
            for (b, weight_b) in places {
                let excess = self.excess * (b * DOUBT * self.doubt.1).exp();
                mean += weight_a * weight_b * self.beyond(at, excess, shape);
            }
        }
        mean.max(seen)
    }

    /// Ends to try, from the farthest value seen outwards.
    fn candidates(&self) -> Vec<f64> {
        let mut ends = vec![self.end];
        if self.is_open() {
            let scale = self.excess * (1.0 - self.shape);
            let places = (1..=CANDIDATES).map(|step| {
                let depth = DEPTH * f64::from(step) / f64::from(CANDIDATES);
                let distance = if self.shape.abs() < 1e-6 {
                    -depth
                } else {
                    ((-self.shape * depth).exp() - 1.0) / self.shape
                };
                self.start + scale * distance
            });
            ends.extend(places.filter(|at| *at > self.end && at.is_finite()));
        }
        ends
    }
}

/// Both tails of one column.
#[derive(Clone, Debug)]
struct Column {
    high: Tail,
    low: Tail,
    /// Values that differ from the most frequent one, as a share of all: what rounding costs.
    varied: f64,
}

impl Column {
    fn of(values: ArrayView1<f64>, believable: &RangeInclusive<f64>) -> Self {
        let mut sorted = values.to_vec();
        sorted.retain(|value| believable.contains(value));
        sorted.sort_by(f64::total_cmp);
        let (mut run, mut longest) = (0usize, 0usize);
        for (place, value) in sorted.iter().enumerate() {
            let same = place > 0 && sorted[place - 1] == *value;
            run = if same { run + 1 } else { 1 };
            longest = longest.max(run);
        }
        let high = Tail::of(&sorted);
        sorted.iter_mut().for_each(|v| *v = -*v);
        sorted.reverse();
        Self {
            high,
            low: Tail::of(&sorted),
            varied: 1.0 - longest as f64 / sorted.len().max(1) as f64,
        }
    }

    fn tails(&mut self) -> [&mut Tail; 2] {
        [&mut self.high, &mut self.low]
    }

    fn width(&self) -> f64 {
        self.high.end + self.low.end
    }
}

/// The tails of a tensor's columns.
#[derive(Clone, Debug)]
pub struct Tails {
    columns: Vec<Column>,
    rows: f64,
}

impl Tails {
    /// Of values, `[rows, columns]`, of which those outside the range that can be believed do not count.
    pub fn of(values: &ArrayView2<f64>, believable: &RangeInclusive<f64>) -> Self {
        let stride = values.nrows().div_ceil(ROWS).max(1);
        let values = values.slice(s![..;stride, ..]);
        let columns = values.columns().into_iter();
        let mut columns: Vec<Column> = columns.map(|c| Column::of(c, believable)).collect();
        share_shapes(&mut columns);
        share_sizes(&mut columns);
        Self {
            columns,
            rows: values.nrows().max(1) as f64,
        }
    }

    /// For each column the range, in `2 limit` steps, that costs least on values to come.
    ///
    /// A column that always was the same gets as much room on both sides as others have.
    pub fn ranges(&self, limit: i32) -> Vec<(f64, f64)> {
        let mut widths: Vec<f64> = self.columns.iter().map(Column::width).collect();
        widths.retain(|width| *width > 0.0);
        widths.sort_by(f64::total_cmp);
        let usual = widths.get(widths.len() / 2).copied().unwrap_or(0.0);
        let own = |column: &Column| {
            if column.width() <= 0.0 {
                let value = column.high.end;
                return (value - usual, value + usual);
            }
            let clipped = |tail: &Tail| -> Vec<(f64, f64)> {
                let ends = tail.candidates().into_iter();
                ends.map(|at| (at, tail.clipped(at, self.rows))).collect()
            };
            let (high, low) = (clipped(&column.high), clipped(&column.low));
            let mut best = (f64::INFINITY, (-column.low.end, column.high.end));
            for &(high, above) in &high {
                for &(low, below) in &low {
                    let cost = above + below + column.varied * rounding(high + low, limit);
                    if cost < best.0 {
                        best = (cost, (-low, high));
                    }
                }
            }
            best.1
        };
        self.columns.iter().map(own).collect()
    }

    /// The range for all columns together, 0 within it, where a column's errors count by `weights`.
    pub fn range(&self, weights: &[f64], limit: i32) -> (f64, f64) {
        let ends = |tail: fn(&Column) -> &Tail| {
            let farthest = self.columns.iter().map(|column| tail(column).end);
            let farthest = farthest.fold(0.0, f64::max);
            let clipped = |at: f64| -> f64 {
                let columns = self.columns.iter();
                columns
                    .zip(weights)
                    .map(|(column, weight)| weight * tail(column).clipped(at, self.rows))
                    .sum()
            };
            if farthest <= 0.0 {
                return vec![(0.0, clipped(0.0))];
            }
            // From half of the farthest to three times as far.
            let places = (0..=CANDIDATES).map(|step| {
                let share = f64::from(step) / f64::from(CANDIDATES);
                farthest * 0.5 * 6f64.powf(share)
            });
            places.map(|at| (at, clipped(at))).collect()
        };
        let (high, low) = (ends(|column| &column.high), ends(|column| &column.low));
        let columns = self.columns.iter().zip(weights);
        let rough: f64 = columns.map(|(column, weight)| weight * column.varied).sum();
        let mut best = (f64::INFINITY, (0.0, 0.0));
        for &(high, above) in &high {
            for &(low, below) in &low {
                let cost = above + below + rough * rounding(high + low, limit);
                if cost < best.0 {
                    best = (cost, (-low, high));
                }
            }
        }
        best.1
    }
}

/// What `2 limit` steps in a range of this width cost: the mean square of rounding to the nearest, and what goes with it.
fn rounding(width: f64, limit: i32) -> f64 {
    COARSER * (width / f64::from(2 * limit)).powi(2) / 12.0
}

/// Mean and variance, and how much of a value's distance from the mean is its own rather than chance.
struct Pool {
    mean: f64,
    own: f64,
}

/// `chance` is the mean variance of a value by chance alone.
fn pool(values: &[f64], chance: f64, prior: (f64, f64)) -> Pool {
    let count = values.len() as f64;
    let (expected, weight) = prior;
    let mean = (values.iter().sum::<f64>() + expected * weight) / (count + weight).max(1.0);
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count.max(1.0);
    let real = (variance - chance).max(0.0) + 0.005;
    Pool {
        mean,
        own: real / (real + chance),
    }
}

fn open_tails(columns: &mut [Column]) -> Vec<&mut Tail> {
    let tails = columns.iter_mut().flat_map(Column::tails);
    tails.filter(|tail| tail.is_open()).collect()
}

fn share_shapes(columns: &mut [Column]) {
    let mut tails = open_tails(columns);
    let (shapes, chances): (Vec<f64>, Vec<f64>) = tails
        .iter()
        .filter(|tail| tail.count >= 4)
        .map(|tail| (tail.shape, tail.doubt.0.powi(2)))
        .unzip();
    let mean_chance = chances.iter().sum::<f64>() / chances.len().max(1) as f64;
    let pooled = pool(&shapes, mean_chance.max(1e-9), (PRIOR_SHAPE, PRIOR_WEIGHT));
    let real = mean_chance.max(1e-9) * pooled.own / (1.0 - pooled.own);
    for tail in &mut tails {
        let chance = tail.doubt.0.powi(2);
        let own = real / (real + chance);
        tail.shape = pooled.mean + (tail.shape - pooled.mean) * own;
        // What the mean of all is off adds to what is not known of the one.
        let of_mean = (1.0 - own).powi(2) * chance / (shapes.len() as f64 + PRIOR_WEIGHT);
        tail.doubt.0 = (own * chance + of_mean).sqrt();
    }
}

fn share_sizes(columns: &mut [Column]) {
    let mut tails = open_tails(columns);
    tails.retain(|tail| tail.spread > 0.0 && tail.count >= 4);
    let ratio = |tail: &Tail| (tail.excess / tail.spread).ln();
    let ratios: Vec<f64> = tails.iter().map(|tail| ratio(tail)).collect();
    if ratios.len() < 2 {
        return;
    }
    let chances = tails.iter().map(|tail| tail.doubt.1.powi(2));
    let mean_chance = chances.sum::<f64>() / tails.len() as f64;
    let pooled = pool(&ratios, mean_chance, (0.0, 0.0));
    let real = mean_chance * pooled.own / (1.0 - pooled.own);
    for tail in &mut tails {
        let chance = tail.doubt.1.powi(2);
        let own = real / (real + chance);
        let moved = (pooled.mean - ratio(tail)) * (1.0 - own);
        tail.excess *= moved.exp();
        let of_mean = (1.0 - own).powi(2) * chance / ratios.len() as f64;
        tail.doubt.1 = (own * chance + of_mean).sqrt();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const ALL: RangeInclusive<f64> = f64::NEG_INFINITY..=f64::INFINITY;

    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
    }

    #[test]
    fn a_hundred_normal_values_get_room_for_the_next_ten_thousand() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let rows = Array2::from_shape_simple_fn((100, 10), || normal(&mut rng));
        let ranges = Tails::of(&rows.view(), &ALL).ranges(127);
        let mut beyond = 0;
        for (low, high) in &ranges {
            // Of 10,000 the farthest is expected at 3.85; 8 would waste half of the steps.
            assert!(
                (-8.0..-2.5).contains(low) && (2.5..8.0).contains(high),
                "{low} {high}"
            );
            for _ in 0..10_000 {
                beyond += u32::from(!(*low..=*high).contains(&normal(&mut rng)));
            }
        }
        // Of the values, the least and the greatest of a hundred leave out 2 %.
        assert!(beyond < 200, "{beyond} of 100,000 lie beyond");
    }

    #[test]
    fn a_value_that_many_rows_share_is_an_end() {
        // A flag, a sensor from 0 to 16 that stays at 16, and one that never moved.
        let rows = Array2::from_shape_fn((100, 3), |(row, column)| match column {
            0 => (row % 2) as f64,
            1 => (row as f64 * 0.4).min(16.0),
            _ => 7.0,
        });
        let ranges = Tails::of(&rows.view(), &ALL).ranges(127);
        assert_eq!(ranges[0], (0.0, 1.0));
        assert_eq!(ranges[1].1, 16.0);
        // As much room on both sides as the others have.
        assert_eq!(ranges[2], (7.0 - 16.0, 7.0 + 16.0));
    }

    #[test]
    fn a_tail_of_known_shape_clips_what_is_expected() {
        // Exponential with the mean 1 beyond 0: the mean square beyond t is 2 exp(-t).
        let tail = Tail {
            start: 0.0,
            end: 3.0,
            excess: 1.0,
            shape: 0.0,
            count: 50,
            share: 0.5,
            doubt: (0.0, 0.0),
            spread: 0.0,
        };
        for t in [0.0, 1.0, 5.0] {
            let right = 0.5 * 2.0 * f64::exp(-t);
            assert!((tail.beyond(t, 1.0, 0.0) - right).abs() < 1e-12);
        }
        // Uniform from 0 to 2, of the mean 1 and the shape -1: (2 - t)^3 / 6.
        for t in [0.0, 1.0, 1.5, 2.0, 3.0] {
            let right = 0.5 * f64::max(2.0 - t, 0.0).powi(3) / 6.0;
            assert!((tail.beyond(t, 1.0, -1.0) - right).abs() < 1e-12, "{t}");
        }
    }
}
