//! The arguments that name data: `--data d.csv`, or `--x x.npy --y y.npy`.

use std::path::{Path, PathBuf};

use clap::Args;
use ndarray::{ArrayD, Axis};
use thumbnet_trainer::{
    Dataset, Error,
    dataset::{CsvOptions, Target, line_of_row},
};

use super::{Failure, Outcome};

/// Rows from a CSV file or from `.npy` files.
#[derive(Clone, Debug, Args)]
pub struct DataArguments {
    /// CSV file with a header line
    #[arg(long, value_name = "FILE.csv", conflicts_with_all = ["x", "y"])]
    pub data: Option<PathBuf>,
    /// Column of the label or target [default: label, or else target]
    #[arg(long, value_name = "COLUMN", conflicts_with = "x")]
    pub target: Option<String>,
    /// Class names in the order of the model's outputs [default: the names in the file, sorted]
    #[arg(long, value_name = "A,B,..", value_delimiter = ',')]
    pub classes: Option<Vec<String>>,
    /// Features, an array with one row per sample
    #[arg(long, value_name = "FILE.npy")]
    pub x: Option<PathBuf>,
    /// Targets, an array with one row per sample
    #[arg(long, value_name = "FILE.npy", requires = "x")]
    pub y: Option<PathBuf>,
}

/// Features with their targets, and the file to name when a row is wrong.
pub struct Labelled {
    pub data: Dataset,
    pub x_path: PathBuf,
    pub y_path: PathBuf,
}

impl DataArguments {
    /// Features and targets.
    pub fn labelled(&self) -> Outcome<Labelled> {
        self.labelled_as(Vec::new())
    }

    /// Features and targets, with these class names unless others are given.
    pub fn labelled_as(&self, names: Vec<String>) -> Outcome<Labelled> {
        let names = Some(names).filter(|names| !names.is_empty());
        match (&self.data, &self.x, &self.y) {
            (Some(csv), ..) => {
                labelled_csv(csv, self.target.as_deref(), self.classes.clone().or(names))
            }
            (None, Some(x), Some(y)) => labelled_npy(x, y),
            (None, Some(_), None) => Err(Failure::usage(
                "--x is given without --y, expected the targets too; add --y y.npy",
            )),
            (None, None, _) => Err(Failure::usage(
                "there is no data; add --data d.csv, or --x x.npy --y y.npy",
            )),
        }
    }
}

/// Features of one file, CSV or `.npy` by its extension.
pub fn features(path: &Path, target: Option<&str>) -> Outcome<Dataset> {
    let data = if is_npy(path) {
        Dataset::from_npy(path, None)?
    } else {
        let options = CsvOptions {
            target: Target::Skip(target.map(str::to_string)),
            class_names: None,
        };
        Dataset::from_csv(path, &options)?
    };
    check_finite(&data.x, path)?;
    Ok(data)
}

/// Whether the name ends in `.npy`.
pub fn is_npy(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("npy"))
}

/// A CSV file with its label column.
pub fn labelled_csv(
    path: &Path,
    target: Option<&str>,
    class_names: Option<Vec<String>>,
) -> Outcome<Labelled> {
    let options = CsvOptions {
        target: Target::Read(target.map(str::to_string)),
        class_names,
    };
    Ok(Labelled {
        data: Dataset::from_csv(path, &options)?,
        x_path: path.to_path_buf(),
        y_path: path.to_path_buf(),
    })
}

/// Two `.npy` files of equally many rows.
pub fn labelled_npy(x: &Path, y: &Path) -> Outcome<Labelled> {
    let data = Dataset::from_npy(x, Some(y))?;
    check_finite(&data.x, x)?;
    if let Some(targets) = &data.y {
        check_finite(targets, y)?;
    }
    Ok(Labelled {
        data,
        x_path: x.to_path_buf(),
        y_path: y.to_path_buf(),
    })
}

impl Labelled {
    /// The targets.
    pub fn y(&self) -> &ArrayD<f32> {
        self.data
            .y
            .as_ref()
            .expect("labelled data is built with targets only")
    }

    /// Refuses labels that are not whole numbers below `classes`, naming the first one's place.
    pub fn check_classes(&self, classes: usize) -> Outcome {
        let wrong = |label: f32| label.fract() != 0.0 || label < 0.0 || label >= classes as f32;
        let Some(place) = self.y().iter().position(|&label| wrong(label)) else {
            return Ok(());
        };
        let label = self.y().iter().nth(place).copied().unwrap_or_default();
        if let Some(names) = &self.data.class_names {
            let name = names.get(label as usize).map_or("", String::as_str);
            let message = format!(
                "label {name:?} is not among the {classes} classes that the model's last layer has; give the last layer {} units",
                names.len()
            );
            return Err(self.at(place, message).into());
        }
        let largest = self.y().iter().copied().fold(0.0, f32::max);
        let fix = if label.fract() == 0.0 && label > 0.0 && largest < 1e5 {
            format!(
                "give the last layer {} units, or number the labels from 0",
                largest as usize + 1
            )
        } else {
            "number the labels from 0".to_string()
        };
        let message = format!(
            "label {label} is not among the {classes} classes 0 to {} that the model's last layer has; {fix}",
            classes.saturating_sub(1)
        );
        Err(self.at(place, message).into())
    }

    /// Refuses labels outside 0 to 1, for a sigmoid.
    pub fn check_probabilities(&self) -> Outcome {
        match self
            .y()
            .iter()
            .position(|label| !(0.0..=1.0).contains(label))
        {
            None => Ok(()),
            Some(place) => {
                let label = self.y().iter().nth(place).copied().unwrap_or_default();
                Err(self
                    .at(
                        place,
                        format!(
                            "label {label} is outside 0 to 1, which binary_crossentropy expects; number the labels 0 and 1, or end --layers with a softmax layer of one unit per class"
                        ),
                    )
                    .into())
            }
        }
    }

    /// An error about target number `place` in memory order.
    fn at(&self, place: usize, message: String) -> Error {
        let row = place / (self.y().len() / self.data.rows().max(1)).max(1);
        Error::Format {
            path: self.y_path.clone(),
            line: line_of_row(&self.y_path, row),
            message,
        }
    }
}

/// Refuses NaN and infinity, naming the first one's place.
pub fn check_finite(values: &ArrayD<f32>, path: &Path) -> Outcome {
    let Some(place) = values.iter().position(|value| !value.is_finite()) else {
        return Ok(());
    };
    let value = values.iter().nth(place).copied().unwrap_or_default();
    let width = values.len() / values.len_of(Axis(0)).max(1);
    Err(Error::format(
        path,
        format!(
            "row {}, column {} is {value}, expected a finite number; remove the row or replace the value",
            place / width,
            place % width
        ),
    )
    .into())
}
