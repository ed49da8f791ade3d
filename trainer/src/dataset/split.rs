//! Rows dealt out to parts: for testing, for validation, for cross-validation.

use ndarray::{ArrayD, Axis};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::Dataset;
use crate::{Error, Result};

/// How rows are dealt out.
///
/// Rows of one group ([`Dataset::groups`]) stay together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SplitOptions {
    /// Of the order in which rows are drawn.
    pub seed: u64,
    /// Whether every part has its share of each class; of several targets, of each combination.
    pub stratify: bool,
}

/// Rows that stay together.
struct Unit {
    rows: Vec<usize>,
    /// Of its first row, as bits; units of one class come one after the other.
    class: Vec<u32>,
}

impl Dataset {
    /// The rows but for a part of them, and that part, both in the order in which they are here. The first
    /// stay in the memory that they are in.
    ///
    /// * `part` - above 0 and below 1; the second has `part * rows` rows, as near as groups and
    ///   rounding allow
    ///
    /// # Errors
    ///
    /// [`Error::Value`] where one of the two would be empty.
    pub fn split(self, part: f64, options: SplitOptions) -> Result<(Self, Self)> {
        let (mut kept, mut held) = (Vec::new(), Vec::new());
        let mut due = 0.0;
        for unit in self.units(options) {
            let size = unit.rows.len() as f64;
            due += size * part;
            // Of units one after the other, that of which most is due.
            if due >= size / 2.0 {
                due -= size;
                held.extend(unit.rows);
            } else {
                kept.extend(unit.rows);
            }
        }
        if kept.is_empty() || held.is_empty() {
            return Err(Error::value(format!(
                "{} rows{} cannot be divided by {part}, expected at least one row on each side; give more rows or another part",
                self.rows(),
                self.of_groups()
            )));
        }
        let held = self.select(held);
        kept.sort_unstable();
        Ok((self.retain(&kept), held))
    }

    /// The rows but for those that a hash of their features draws, and these: each with the probability
    /// `part`, wherever and in whatever file it stands. What has seen only the first of a table has seen none of the
    /// second of any other, and rows that are equal are all on one side.
    ///
    /// * `part` - 0 to 1
    pub fn hold_out(self, part: f64) -> (Self, Self) {
        let is_held = |row: usize| {
            // FNV-1a, and the finish of MurmurHash3: all bits count for the first ones.
            let hash = self.x.index_axis(Axis(0), row).iter().fold(
                0xCBF2_9CE4_8422_2325,
                |hash: u64, value| {
                    let bits = u64::from((value + 0.0).to_bits());
                    (hash ^ bits).wrapping_mul(0x0000_0100_0000_01B3)
                },
            );
            let hash = (hash ^ hash >> 33).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
            let hash = (hash ^ hash >> 33).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
            ((hash ^ hash >> 33) as f64) < part * 2f64.powi(64)
        };
        let held: Vec<bool> = (0..self.rows()).map(is_held).collect();
        self.partition(&held)
    }

    /// The rows of which this does not hold, and those of which it does.
    ///
    /// * `holds` - one for each row
    pub fn partition(self, holds: &[bool]) -> (Self, Self) {
        let (held, kept): (Vec<usize>, Vec<usize>) = (0..self.rows()).partition(|&row| holds[row]);
        let held = self.rows_at(&held);
        (self.retain(&kept), held)
    }

    /// These rows, ascending, moved to the front of the arrays.
    fn retain(mut self, rows: &[usize]) -> Self {
        let x = retain(std::mem::take(&mut self.x), rows);
        let y = self.y.take().map(|y| retain(y, rows));
        self.with_arrays(x, y, rows.iter().copied())
    }

    /// For cross-validation: `count` times the rows to train on and those to test on. Every row is
    /// tested on once.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for fewer than two folds, or more than there are rows or groups.
    pub fn folds(&self, count: usize, options: SplitOptions) -> Result<Vec<(Self, Self)>> {
        let units = self.units(options);
        if count < 2 || units.len() < count {
            return Err(Error::value(format!(
                "{} rows{} cannot be divided into {count} folds, expected 2 to {}",
                self.rows(),
                self.of_groups(),
                units.len()
            )));
        }
        let mut folds: Vec<Vec<usize>> = vec![Vec::new(); count];
        for unit in units {
            let smallest = folds.iter_mut().min_by_key(|fold| fold.len());
            smallest
                .into_iter()
                .for_each(|fold| fold.extend(&unit.rows));
        }
        let one = |held: Vec<usize>| {
            let mut is_held = vec![false; self.rows()];
            held.iter().for_each(|&row| is_held[row] = true);
            let kept = (0..self.rows()).filter(|&row| !is_held[row]).collect();
            (self.select(kept), self.select(held))
        };
        Ok(folds.into_iter().map(one).collect())
    }

    /// These rows, ascending.
    fn select(&self, mut rows: Vec<usize>) -> Self {
        rows.sort_unstable();
        self.rows_at(&rows)
    }

    /// In the order in which they are dealt out.
    fn units(&self, options: SplitOptions) -> Vec<Unit> {
        let class = |row: usize| match (&self.y, options.stratify) {
            (Some(y), true) => bits(y, row),
            _ => Vec::new(),
        };
        let mut units: Vec<Unit> = match &self.groups {
            None => (0..self.rows()).map(|row| vec![row]).collect::<Vec<_>>(),
            Some(groups) => together(groups),
        }
        .into_iter()
        .map(|rows| Unit {
            class: class(rows[0]),
            rows,
        })
        .collect();
        units.shuffle(&mut ChaCha8Rng::seed_from_u64(options.seed));
        units.sort_by(|a, b| a.class.cmp(&b.class));
        units
    }

    fn of_groups(&self) -> String {
        match &self.groups {
            None => String::new(),
            Some(groups) => format!(" of {} groups", together(groups).len()),
        }
    }
}

fn retain(array: ArrayD<f32>, rows: &[usize]) -> ArrayD<f32> {
    let mut shape = array.shape().to_vec();
    let width: usize = shape.iter().skip(1).product();
    let mut values = match array.is_standard_layout() {
        true => array.into_raw_vec_and_offset().0,
        false => array.into_iter().collect(),
    };
    for (place, &row) in rows.iter().enumerate() {
        values.copy_within(row * width..(row + 1) * width, place * width);
    }
    values.truncate(rows.len() * width);
    shape[0] = rows.len();
    ArrayD::from_shape_vec(shape, values).expect("whole rows")
}

/// A row's targets, in an order of their own.
fn bits(y: &ArrayD<f32>, row: usize) -> Vec<u32> {
    let row = y.index_axis(Axis(0), row);
    row.iter().map(|value| value.to_bits()).collect()
}

/// The rows of each group.
fn together(groups: &[usize]) -> Vec<Vec<usize>> {
    let mut rows: Vec<Vec<usize>> = Vec::new();
    for (row, &group) in groups.iter().enumerate() {
        if rows.len() <= group {
            rows.resize(group + 1, Vec::new());
        }
        rows[group].push(row);
    }
    rows.retain(|rows| !rows.is_empty());
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(data: &Dataset) -> [usize; 3] {
        let y = data.y.as_ref().unwrap();
        [0.0, 1.0, 2.0].map(|class| y.iter().filter(|&&label| label == class).count())
    }

    const STRATIFIED: SplitOptions = SplitOptions {
        seed: 3,
        stratify: true,
    };

    #[test]
    fn a_stratified_part_has_its_share_of_each_class_and_no_row_is_lost() {
        let iris = Dataset::iris();
        let (kept, held) = iris.clone().split(0.2, STRATIFIED).unwrap();
        assert_eq!((counts(&kept), counts(&held)), ([40; 3], [10; 3]));
        let sum = |data: &Dataset| data.x.iter().map(|&x| f64::from(x)).sum::<f64>();
        assert!((sum(&kept) + sum(&held) - sum(&iris)).abs() < 1e-9);
        assert_eq!(iris.clone().split(0.2, STRATIFIED).unwrap().1, held);
        let other = SplitOptions {
            seed: 4,
            ..STRATIFIED
        };
        assert_ne!(iris.clone().split(0.2, other).unwrap().1, held);
        let (_, any) = iris.clone().split(0.3, SplitOptions::default()).unwrap();
        assert_eq!(any.rows(), 45);
    }

    #[test]
    fn rows_held_out_are_the_same_ones_in_any_order_and_file() {
        let iris = Dataset::iris();
        let rows = |data: &Dataset| {
            let mut rows: Vec<String> = data.x.outer_iter().map(|row| row.to_string()).collect();
            rows.sort_unstable();
            rows
        };
        let (kept, held) = iris.clone().hold_out(0.3);
        assert_eq!(kept.rows() + held.rows(), 150);
        // 45 and three standard deviations.
        assert!((28..=62).contains(&held.rows()), "{}", held.rows());
        let (_, again) = iris.shuffled(5).hold_out(0.3);
        assert_eq!(rows(&again), rows(&held));
        // What was kept from one is in nothing that the other keeps.
        assert_eq!(kept.hold_out(0.3).1.rows(), 0);
        assert_eq!(iris.clone().hold_out(0.0).1.rows(), 0);
        assert_eq!(iris.hold_out(1.0).0.rows(), 0);
    }

    #[test]
    fn rows_that_are_kept_are_whole_in_their_order_and_where_they_were() {
        // Row 7 is [14, 15], label 7; its weight 7.5.
        let x = ArrayD::from_shape_fn(vec![50, 2], |at| (2 * at[0] + at[1]) as f32);
        let x = x.to_shape(vec![50, 2, 1]).unwrap().into_owned();
        let y = ArrayD::from_shape_fn(vec![50], |at| at[0] as f32);
        let mut data = Dataset::new(x, Some(y));
        data.sample_weight = Some((0..50).map(|row| row as f32 + 0.5).collect());
        let before = data.x.as_ptr();
        let (kept, held) = data.split(0.3, SplitOptions::default()).unwrap();
        assert_eq!(
            (kept.x.as_ptr(), kept.rows(), held.rows()),
            (before, 35, 15)
        );
        for part in [&kept, &held] {
            let labels: Vec<f32> = part.y.iter().flatten().copied().collect();
            assert!(labels.is_sorted());
            for (row, label) in labels.iter().enumerate() {
                assert_eq!(part.x[[row, 0, 0]], 2.0 * label);
                assert_eq!(part.x[[row, 1, 0]], 2.0 * label + 1.0);
                assert_eq!(part.sample_weight.as_ref().unwrap()[row], label + 0.5);
            }
        }
    }

    #[test]
    fn every_row_is_in_one_fold() {
        let folds = Dataset::iris().folds(4, STRATIFIED).unwrap();
        let mut held = [0; 3];
        for (kept, fold) in &folds {
            assert_eq!(kept.rows() + fold.rows(), 150);
            for (class, count) in counts(fold).into_iter().enumerate() {
                assert!((12..=13).contains(&count), "{count}");
                held[class] += count;
            }
        }
        assert_eq!(held, [50; 3]);
        let error = Dataset::iris().folds(1, STRATIFIED).unwrap_err();
        assert_eq!(
            error.to_string(),
            "150 rows cannot be divided into 1 folds, expected 2 to 150"
        );
    }

    #[test]
    fn rows_of_a_group_stay_together() {
        let mut iris = Dataset::iris();
        iris.groups = Some((0..150).map(|row| row % 7).collect());
        let of = |data: &Dataset| {
            let mut groups = data.groups.clone().unwrap();
            groups.sort_unstable();
            groups.dedup();
            groups
        };
        let (kept, held) = iris.clone().split(0.3, SplitOptions::default()).unwrap();
        assert_eq!(of(&kept).len() + of(&held).len(), 7);
        assert_eq!(of(&held).len(), 2);
        for (kept, held) in iris.folds(3, SplitOptions::default()).unwrap() {
            assert!(of(&held).iter().all(|group| !of(&kept).contains(group)));
            assert!(of(&held).len() >= 2);
        }
        assert_eq!(
            iris.folds(8, SplitOptions::default())
                .unwrap_err()
                .to_string(),
            "150 rows of 7 groups cannot be divided into 8 folds, expected 2 to 7"
        );
        iris.groups = Some(vec![0; 150]);
        assert_eq!(
            iris.clone()
                .split(0.2, SplitOptions::default())
                .unwrap_err()
                .to_string(),
            "150 rows of 1 groups cannot be divided by 0.2, expected at least one row on each side; give more rows or another part"
        );
    }
}
