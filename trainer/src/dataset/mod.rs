//! Rows to train on, to calibrate with and to predict: from CSV, from `.npy`, or bundled.

mod array;
mod bounded;
mod cautions;
mod cells;
mod columns;
mod csv;
mod dialect;
mod elements;
mod labels;
mod missing;
mod npy;
mod npy_header;
mod number;
mod row_reader;
mod source;
mod split;
mod spool;
mod survey;
mod table;

pub use self::array::{archive_names, array_file, is_array, read_array};
pub use self::cautions::one_sided;
pub use self::cells::Decimal;
pub use self::columns::{Features, nearest};
pub use self::csv::{CsvOptions, Target, read_csv, read_csv_bytes};
pub use self::dialect::DialectOptions;
pub use self::labels::list;
pub use self::missing::Missing;
pub use self::npy::write_npy;
pub use self::split::SplitOptions;
pub use self::spool::SpooledTable;

use std::{collections::BTreeMap, ops::Range, path::Path};

use ndarray::{Array1, ArrayD, Axis, Slice};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::{Error, Result};

/// Features and, where there are any, targets; rows come first in both.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// Features, `[rows, ..]`; `[rows, columns]` from CSV.
    pub x: ArrayD<f32>,
    /// Targets, `[rows]` from CSV: the class index or the number to regress; `[rows, targets]` of
    /// several columns.
    pub y: Option<ArrayD<f32>>,
    /// Column names; empty when the file has none (`.npy`).
    pub feature_names: Vec<String>,
    /// Names of the columns that became `y`.
    pub target_names: Vec<String>,
    /// Class names in the order of their indices, when the labels were names.
    pub class_names: Option<Vec<String>>,
    /// The number of each row's group, where a column names groups whose rows belong together.
    pub groups: Option<Vec<usize>>,
    /// Of each row in the loss and in weighted metrics.
    pub sample_weight: Option<Array1<f32>>,
    /// Columns of the file that are neither features nor target, where the features were named.
    pub left_out: Vec<String>,
    /// By the feature's name: what stands for a value that is not there.
    pub fill: BTreeMap<String, f32>,
    /// What was found and assumed, a line each.
    pub notes: Vec<String>,
    /// Where the rows are in their file.
    origin: Option<table::Origin>,
}

impl Dataset {
    /// Reads a CSV file whose first line names the columns.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the file cannot be read, [`Error::Format`] with the line for everything
    /// that is wrong in it.
    pub fn from_csv(path: impl AsRef<Path>, options: &CsvOptions) -> Result<Self> {
        read_csv(path.as_ref(), options)
    }

    /// Reads features, and targets where `y` is given, from files that [`read_array`] reads.
    ///
    /// # Errors
    ///
    /// As [`read_array`]; [`Error::Shape`] when the two have different numbers of rows.
    pub fn from_arrays(x: impl AsRef<Path>, y: Option<&Path>) -> Result<Self> {
        let x_path = x.as_ref();
        let x = read_rows(x_path)?;
        let y = match y {
            None => None,
            Some(y_path) => {
                let y = read_rows(y_path)?;
                if y.len_of(Axis(0)) != x.len_of(Axis(0)) {
                    return Err(Error::shape(format!(
                        "{} has {} rows, expected {} as {} has; give one target per row",
                        y_path.display(),
                        y.len_of(Axis(0)),
                        x.len_of(Axis(0)),
                        x_path.display()
                    )));
                }
                Some(y)
            }
        };
        Ok(Self::new(x, y))
    }

    /// Of arrays, without names; rows come first in both.
    pub fn new(x: ArrayD<f32>, y: Option<ArrayD<f32>>) -> Self {
        Self {
            x,
            y,
            feature_names: Vec::new(),
            target_names: Vec::new(),
            class_names: None,
            groups: None,
            sample_weight: None,
            left_out: Vec::new(),
            fill: BTreeMap::new(),
            notes: Vec::new(),
            origin: None,
        }
    }

    /// 1,797 handwritten digits: 64 pixels from 0 to 16, classes 0 to 9.
    pub fn digits() -> Self {
        bundled("digits.csv", include_bytes!("../../data/digits.csv"))
    }

    /// 150 irises: 4 lengths in cm, classes 0 (setosa), 1 (versicolor) and 2 (virginica).
    pub fn iris() -> Self {
        bundled("iris.csv", include_bytes!("../../data/iris.csv"))
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.x.len_of(Axis(0))
    }

    /// Shape of one row of features.
    pub fn row_shape(&self) -> &[usize] {
        &self.x.shape()[1..]
    }

    /// The rows in an order drawn from `seed`; the same seed gives the same order everywhere.
    pub fn shuffled(&self, seed: u64) -> Self {
        let mut order: Vec<usize> = (0..self.rows()).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        self.rows_at(&order)
    }

    /// With these columns of features only, in this order; rows of one axis.
    ///
    /// # Panics
    ///
    /// For a place beyond the last column.
    pub fn with_features(&self, places: &[usize]) -> Self {
        let names = places
            .iter()
            .filter_map(|&place| self.feature_names.get(place));
        Self {
            x: self.x.select(Axis(1), places),
            feature_names: names.cloned().collect(),
            ..self.clone()
        }
    }

    /// The first `rows` rows and the others; `rows` is cut to the number there is.
    pub fn split_at(&self, rows: usize) -> (Self, Self) {
        let rows = rows.min(self.rows());
        let part = |range: Range<usize>| {
            let slice = Slice::from(range.clone());
            let cut = |array: &ArrayD<f32>| array.slice_axis(Axis(0), slice).to_owned();
            self.with_arrays(cut(&self.x), self.y.as_ref().map(cut), range)
        };
        (part(0..rows), part(rows..self.rows()))
    }

    /// Rows by their places, from 0.
    fn rows_at(&self, places: &[usize]) -> Self {
        let select = |array: &ArrayD<f32>| array.select(Axis(0), places);
        let places = places.iter().copied();
        self.with_arrays(select(&self.x), self.y.as_ref().map(select), places)
    }

    fn with_arrays(
        &self,
        x: ArrayD<f32>,
        y: Option<ArrayD<f32>>,
        places: impl Iterator<Item = usize> + Clone,
    ) -> Self {
        let groups = self.groups.as_ref();
        Self {
            x,
            y,
            feature_names: self.feature_names.clone(),
            target_names: self.target_names.clone(),
            class_names: self.class_names.clone(),
            groups: groups.map(|groups| places.clone().map(|row| groups[row]).collect()),
            sample_weight: self
                .sample_weight
                .as_ref()
                .map(|weights| places.clone().map(|row| weights[row]).collect()),
            left_out: self.left_out.clone(),
            fill: self.fill.clone(),
            notes: self.notes.clone(),
            origin: self.origin.as_ref().map(|origin| origin.of_rows(places)),
        }
    }
}

fn bundled(name: &str, bytes: &[u8]) -> Dataset {
    read_csv_bytes(bytes, Path::new(name), &CsvOptions::default())
        .expect("the bundled files are read by the tests")
}

/// Reads an array that must have rows.
fn read_rows(path: &Path) -> Result<ArrayD<f32>> {
    let array = read_array(path)?;
    if array.ndim() == 0 || array.len_of(Axis(0)) == 0 {
        return Err(Error::format(
            path,
            format!(
                "the array has shape {:?}, expected at least one row",
                array.shape()
            ),
        ));
    }
    Ok(array)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_1797_rows_of_64_pixels_from_0_to_16() {
        let digits = Dataset::digits();
        assert_eq!(digits.x.shape(), [1797, 64]);
        assert!(
            digits
                .x
                .iter()
                .all(|&p| (0.0..=16.0).contains(&p) && p.fract() == 0.0)
        );
        let y = digits.y.unwrap();
        assert_eq!(
            y.iter().take(10).copied().collect::<Vec<_>>(),
            [0., 1., 2., 3., 4., 5., 6., 7., 8., 9.]
        );
        assert_eq!(y.iter().filter(|&&c| c == 0.0).count(), 178);
    }

    #[test]
    fn iris_has_50_rows_of_each_class() {
        let iris = Dataset::iris();
        assert_eq!(iris.x.shape(), [150, 4]);
        assert_eq!(
            iris.feature_names,
            ["sepal_length", "sepal_width", "petal_length", "petal_width"]
        );
        assert_eq!(iris.target_names, ["label"]);
        let y = iris.y.unwrap();
        for class in [0.0, 1.0, 2.0] {
            assert_eq!(y.iter().filter(|&&c| c == class).count(), 50);
        }
    }

    #[test]
    fn shuffled_moves_rows_and_targets_together_and_repeats_with_the_seed() {
        let iris = Dataset::iris();
        let shuffled = iris.shuffled(7);
        assert_eq!(shuffled, iris.shuffled(7));
        assert_ne!(shuffled, iris.shuffled(8));
        let row_sums = |data: &Dataset| {
            let mut sums: Vec<(i64, i64)> = data
                .x
                .outer_iter()
                .zip(data.y.as_ref().unwrap())
                .map(|(row, &y)| ((row.sum() * 1000.0).round() as i64, y as i64))
                .collect();
            sums.sort_unstable();
            sums
        };
        assert_eq!(row_sums(&shuffled), row_sums(&iris));
    }

    #[test]
    fn split_at_keeps_every_row_once() {
        let (first, last) = Dataset::iris().split_at(120);
        assert_eq!((first.rows(), last.rows()), (120, 30));
        assert_eq!(last.y.unwrap()[0], 2.0);
        let (all, none) = Dataset::iris().split_at(1000);
        assert_eq!((all.rows(), none.rows()), (150, 0));
    }

    #[test]
    fn targets_with_other_rows_than_the_features_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (x, y) = (dir.path().join("x.npy"), dir.path().join("y.npy"));
        write_npy(&x, &ArrayD::zeros(vec![3, 2])).unwrap();
        write_npy(&y, &ArrayD::zeros(vec![2])).unwrap();
        let error = Dataset::from_arrays(&x, Some(&y)).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "{} has 2 rows, expected 3 as {} has; give one target per row",
                y.display(),
                x.display()
            )
        );
    }
}
