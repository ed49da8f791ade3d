//! What is wrong with calibration rows: some far from all others, too few, repeated, one-sided.

use std::collections::HashSet;

use ndarray::{ArrayView1, ArrayView2};
use serde::Serialize;

use super::outputs::Outputs;

/// A calibration row that lies far from all others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FarRow {
    /// Number of the row, from 1.
    pub row: usize,
    /// Number of the input that is farthest off, from 1.
    pub input: usize,
    /// Its value.
    pub value: f64,
    /// Where 90 % of the rows' values of that input begin.
    pub low: f64,
    /// Where they end.
    pub high: f64,
}

/// Spreads of the middle 90 % of an input's values that a value may lie beyond them: heavy tails
/// such as an exponential's or a log-normal's stay within that.
const SPREADS: f64 = 10.0;
/// A value beyond that is far off if it lies so many times as far out as the next one: tails of thousands of
/// rows thin out without such a gap.
const GAP: f64 = 3.0;
/// And whatever lies so far out, gap or not.
const ALWAYS: f64 = 50.0;
/// As many rows as this share of all may be far off; more are what the device will see.
const SHARE: f64 = 0.02;
/// Fewer rows than this say nothing about which of them is far off.
const FEWEST: usize = 20;
/// With fewer rows every fiftieth value to come lies beyond theirs.
const ENOUGH: usize = 100;

/// The rows of which an input lies more than [`SPREADS`] spreads beyond the middle 90 % of its values
/// and apart from the others, where they are at most [`SHARE`] of all. Inputs that hardly ever differ, such as rare flags, have no
/// spread and no row far off.
pub fn far_rows(rows: &ArrayView2<f64>) -> Vec<FarRow> {
    let count = rows.nrows();
    if count < FEWEST {
        return Vec::new();
    }
    let mut farthest: Vec<Option<(f64, FarRow)>> = vec![None; count];
    for (input, column) in rows.columns().into_iter().enumerate() {
        let (low, high) = middle(column);
        let spread = high - low;
        if spread <= 0.0 {
            continue;
        }
        let beyond = column.mapv(|value| (low - value).max(value - high) / spread);
        let limit = limit(beyond.view());
        for (row, (&value, &beyond)) in column.iter().zip(&beyond).enumerate() {
            let before = farthest[row].as_ref().map_or(limit, |(before, _)| *before);
            if beyond > limit && beyond > before {
                let far = FarRow {
                    row: row + 1,
                    input: input + 1,
                    value,
                    low,
                    high,
                };
                farthest[row] = Some((beyond, far));
            }
        }
    }
    let far: Vec<FarRow> = farthest.into_iter().flatten().map(|(_, far)| far).collect();
    // One of a few rows, too.
    let most = ((SHARE * count as f64) as usize).max(1);
    if far.len() > most { Vec::new() } else { far }
}

/// How many spreads a value may lie out, given how far all of an input do.
fn limit(beyond: ArrayView1<f64>) -> f64 {
    let mut out: Vec<f64> = beyond.iter().copied().filter(|v| *v > 0.0).collect();
    out.sort_by(f64::total_cmp);
    let mut last = 0.0;
    for beyond in out {
        if beyond > ALWAYS || (beyond > SPREADS && beyond > GAP * last) {
            return f64::max(last, SPREADS);
        }
        last = beyond;
    }
    f64::INFINITY
}

/// Where the middle 90 % of the values begin and end.
fn middle(column: ArrayView1<f64>) -> (f64, f64) {
    let mut sorted = column.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    (sorted[last / 20], sorted[last - last / 20])
}

/// What the calibration rows cannot tell, in sentences; nothing where they are many and various.
///
/// `float` are the float model's outputs for them, `device` the device's, `labels` the classes' names.
pub fn cautions(
    rows: &ArrayView2<f64>,
    float: &ArrayView2<f32>,
    device: &ArrayView2<f32>,
    kind: Outputs,
    labels: &[String],
) -> Vec<String> {
    let count = rows.nrows();
    let mut cautions = Vec::new();
    if count < ENOUGH {
        // A new value is the least or the greatest of all with that probability.
        let beyond = 200.0 / (count as f64 + 1.0);
        cautions.push(format!(
            "there {} only {count} calibration row{}: about {beyond:.0} % of the values of an input that are to come lie beyond theirs, and how far is a guess; calibrate with several hundred",
            if count == 1 { "is" } else { "are" },
            if count == 1 { "" } else { "s" },
        ));
    }
    let bits = |row: ArrayView1<f64>| row.iter().map(|v| v.to_bits()).collect::<Vec<u64>>();
    let different: HashSet<Vec<u64>> = rows.outer_iter().map(bits).collect();
    if 2 * different.len() < count {
        cautions.push(format!(
            "of {count} calibration rows only {} are different: what is said of them is said of so many; calibrate with rows as they come",
            different.len()
        ));
    }
    let decided: HashSet<Vec<usize>> = float.outer_iter().map(|row| kind.decisions(row)).collect();
    if let (true, Some(only)) = (
        decided.len() == 1 && kind != Outputs::Numbers,
        decided.iter().next(),
    ) && count > 1
    {
        let names: Vec<&str> = only
            .iter()
            .map(|&class| labels.get(class).map_or("", String::as_str))
            .filter(|name| !name.is_empty())
            .collect();
        let as_what = match names.as_slice() {
            [] => String::new(),
            names => format!(" ({})", names.join(", ")),
        };
        cautions.push(format!(
            "the model decides the same for all calibration rows{as_what}: they say nothing about other classes, nor about where it changes its mind; calibrate with rows of every class"
        ));
    }
    let columns = float.columns().into_iter().zip(device.columns());
    for (output, (float, device)) in columns.enumerate() {
        cautions.extend(lost_spread(output + 1, float, device));
    }
    cautions
}

/// Of an output so far from 0 that its steps are too coarse for its spread.
fn lost_spread(output: usize, float: ArrayView1<f32>, device: ArrayView1<f32>) -> Option<String> {
    /// Deviations between an output's mean and 0 that leave it steps enough.
    const NEAR: f64 = 100.0;
    /// Share of the variance that may be lost.
    const LOSS: f64 = 0.01;
    let count = float.len().max(1) as f64;
    let mean = float.iter().map(|&y| f64::from(y)).sum::<f64>() / count;
    let variance = float
        .iter()
        .map(|&y| (f64::from(y) - mean).powi(2))
        .sum::<f64>()
        / count;
    let pairs = float.iter().zip(device);
    let error = pairs
        .map(|(&y, &d)| (f64::from(y) - f64::from(d)).powi(2))
        .sum::<f64>()
        / count;
    let far = mean.abs() > NEAR * variance.sqrt();
    (far && error > LOSS * variance).then(|| {
        format!(
            "output {output} is {mean:.6} with a deviation of {:.3}: so far from 0 its steps are too coarse, and {:.0} % of its spread is lost; train on targets less {mean:.0}, and add that in the firmware",
            variance.sqrt(),
            100.0 * (error / variance).sqrt().min(1.0)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, arr2};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn normal(rng: &mut ChaCha8Rng) -> f64 {
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
    }

    #[test]
    fn up_to_two_of_a_hundred_wild_rows_are_found_whatever_they_hold() {
        for seed in 0..50 {
            let rng = &mut ChaCha8Rng::seed_from_u64(seed);
            let mut rows = Array2::from_shape_simple_fn((300, 4), || normal(rng));
            let wild = rng.random_range(1..=6usize);
            let sizes = [50.0, 1e3, 1e6, 1e30];
            let size = sizes[seed as usize % 4] * if seed % 3 == 0 { -1.0 } else { 1.0 };
            for row in 0..wild {
                // Alike, or each of its own size; in one column, or in all.
                for column in 0..if seed % 2 == 0 { 1 } else { 4 } {
                    rows[[row * 40 + 3, column]] = size
                        * if seed % 5 == 0 {
                            1.0
                        } else {
                            1.0 + rng.random::<f64>()
                        };
                }
            }
            let found: Vec<usize> = far_rows(&rows.view()).iter().map(|far| far.row).collect();
            let expected: Vec<usize> = (0..wild).map(|row| row * 40 + 4).collect();
            assert_eq!(found, expected, "seed {seed}");
        }
    }

    #[test]
    fn rare_flags_and_heavy_tails_are_not_far_off() {
        let rng = &mut ChaCha8Rng::seed_from_u64(3);
        let rows = Array2::from_shape_fn((2000, 5), |(row, column)| match column {
            0 => f64::from(u8::from(row % 100 == 7)),
            1 => -(1.0 - rng.random::<f64>()).ln(),
            2 => normal(rng).exp(),
            // A power law's quantiles, up to 46 spreads out, each at most 2.2 times as far as the next.
            3 => ((row as f64 + 0.5) / 2000.0).powf(-0.7),
            _ => f64::from(u8::from(row % 15 == 0)),
        });
        assert_eq!(far_rows(&rows.view()), []);
        // A twentieth of the rows is what the device will see.
        let mut rows = Array2::from_shape_simple_fn((200, 1), || normal(rng));
        for row in 0..10 {
            rows[[row * 20, 0]] = 1e3;
        }
        assert_eq!(far_rows(&rows.view()), []);
    }

    #[test]
    fn few_repeated_and_one_sided_rows_are_said() {
        let one = cautions(
            &arr2(&[[1.0, 2.0]]).view(),
            &arr2(&[[0.9f32, 0.1]]).view(),
            &arr2(&[[0.9f32, 0.1]]).view(),
            Outputs::Classes,
            &[],
        );
        assert_eq!(
            one,
            [
                "there is only 1 calibration row: about 100 % of the values of an input that are to come lie beyond theirs, and how far is a guess; calibrate with several hundred"
            ]
        );
        let rng = &mut ChaCha8Rng::seed_from_u64(4);
        let rows = Array2::from_shape_fn((200, 2), |(row, _)| f64::from((row % 50) as u8));
        let float = Array2::from_shape_fn((200, 2), |(_, class)| class as f32);
        let labels = ["no".to_string(), "yes".to_string()];
        assert_eq!(
            cautions(
                &rows.view(),
                &float.view(),
                &float.view(),
                Outputs::Classes,
                &labels
            ),
            [
                "of 200 calibration rows only 50 are different: what is said of them is said of so many; calibrate with rows as they come",
                "the model decides the same for all calibration rows (yes): they say nothing about other classes, nor about where it changes its mind; calibrate with rows of every class",
            ]
        );
        let rows = Array2::from_shape_simple_fn((100, 2), || normal(rng));
        let float = Array2::from_shape_fn((100, 2), |(row, class)| ((row + class) % 2) as f32);
        assert_eq!(
            cautions(
                &rows.view(),
                &float.view(),
                &float.view(),
                Outputs::Classes,
                &labels
            ),
            [""; 0]
        );
    }
}
