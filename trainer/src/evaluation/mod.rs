//! How good a model's outputs are: the tables that a reader wants beside loss and metrics, and the numbers
//! that pictures are drawn from.

mod anomalies;
mod answers;
mod calibration;
mod conformal;
mod curve;
mod histogram;
mod importance;
mod reconstruction;

pub use self::anomalies::Anomalies;
pub use self::answers::{Answers, Wrong};
pub use self::calibration::{Bin, Calibration};
pub use self::conformal::{conformal_threshold, percent, rows_needed};
pub use self::curve::{Curve, Step};
pub use self::histogram::Histogram;
pub use self::importance::{Importance, permutation_importance};
pub use self::reconstruction::Reconstruction;

use std::fmt;

use ndarray::{Array2, ArrayBase, ArrayView1, ArrayView2, Axis, Data, Dimension};
use serde::Serialize;

use crate::quantize::{largest, says_yes};
use crate::signature::Task;
use crate::{Error, Result};

/// Outputs against the truth, by what the outputs say.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evaluation {
    /// One class a row.
    Classes(Classes),
    /// Each output says yes or no for itself.
    Labels(Vec<Label>),
    /// Numbers.
    Numbers(Vec<Regression>),
}

/// Predicted classes against the true ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Classes {
    /// Of the classes, in the order of the outputs.
    pub names: Vec<String>,
    /// Rows of a true class (first axis) for which a class was predicted (second axis).
    pub confusion: Vec<Vec<usize>>,
    /// One for each class.
    pub classes: Vec<ClassScore>,
    /// Rows whose class is right, as a share.
    pub accuracy: f64,
    /// The accuracy of always saying the most frequent class.
    pub baseline: f64,
    /// Area under the ROC curve, of two classes: the probability that a row of the second has the
    /// greater output (Mann and Whitney's U over its largest value). None where a class has no rows.
    pub auc: Option<f64>,
}

/// How well a class is found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassScore {
    /// Of the rows that are said to be of the class, those that are; 0 where none is.
    pub precision: f64,
    /// Of the rows of the class, those that are said to be; 0 where there are none.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
    /// Rows of the class.
    pub support: usize,
}

/// How well one output says yes or no.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Label {
    /// Of the output.
    pub name: String,
    /// Yes as a class.
    pub yes: ClassScore,
    /// Rows for which it is right, as a share.
    pub accuracy: f64,
    /// The accuracy of always saying what is more frequent.
    pub baseline: f64,
    /// As of [`Classes`].
    pub auc: Option<f64>,
}

/// How near one output comes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Regression {
    /// Of the output.
    pub name: String,
    /// Mean absolute error, in the target's unit.
    pub mae: f64,
    /// Root of the mean squared error, in the target's unit.
    pub rmse: f64,
    /// Coefficient of determination; 1 is best, 0 is as good as the mean. None where the target does
    /// not vary.
    pub r2: Option<f64>,
    /// The mean absolute error of always saying the mean.
    pub baseline: f64,
}

impl Evaluation {
    /// Compares outputs with the truth.
    ///
    /// * `outputs` - `[rows, outputs]`, as the model predicts them
    /// * `labels` - `[rows, 1]`, the class or the number, or `[rows, outputs]`, one for each output
    /// * `names` - of the classes, or of the outputs; numbers are made up where they are missing
    /// * `threshold` - from which output on the answer is yes
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] where the shapes do not go together, [`Error::Value`] for classes that the
    /// model does not have.
    pub fn new(
        task: Task,
        outputs: &ArrayView2<f32>,
        labels: &ArrayView2<f32>,
        names: &[String],
        threshold: f32,
    ) -> Result<Self> {
        let (rows, width) = outputs.dim();
        let classes_of_one = matches!(task, Task::MultiClass) && labels.ncols() == 1;
        if labels.nrows() != rows || rows == 0 || (labels.ncols() != width && !classes_of_one) {
            return Err(Error::shape(format!(
                "labels have the shape {:?} and outputs {:?}, expected as many rows, at least one, and one label for each output",
                labels.shape(),
                outputs.shape()
            )));
        }
        let name = |index: usize| match names.get(index) {
            Some(name) => name.clone(),
            None => index.to_string(),
        };
        Ok(match task {
            Task::MultiClass => {
                let predicted: Vec<usize> = outputs.outer_iter().map(largest).collect();
                let actual = match labels.ncols() {
                    1 => classes(labels.column(0), width)?,
                    _ => labels.outer_iter().map(largest).collect(),
                };
                let names = (0..width).map(name).collect();
                let auc = (width == 2).then(|| area(outputs.column(1), |row| actual[row] == 1));
                Self::Classes(Classes::new(names, &predicted, &actual, auc.flatten()))
            }
            Task::Binary => {
                let scores = outputs.column(0);
                let predicted: Vec<usize> = scores
                    .iter()
                    .map(|&p| usize::from(says_yes(p, threshold)))
                    .collect();
                let actual = classes(labels.column(0), 2)?;
                let names = (0..2).map(name).collect();
                let auc = area(scores, |row| actual[row] == 1);
                Self::Classes(Classes::new(names, &predicted, &actual, auc))
            }
            Task::MultiLabel => {
                let columns = outputs.axis_iter(Axis(1)).zip(labels.axis_iter(Axis(1)));
                let labels = columns.enumerate().map(|(index, (scores, labels))| {
                    Label::new(name(index), scores, labels, threshold)
                });
                Self::Labels(labels.collect())
            }
            Task::Regression => {
                let columns = outputs.axis_iter(Axis(1)).zip(labels.axis_iter(Axis(1)));
                let numbers = columns
                    .enumerate()
                    .map(|(index, (found, wanted))| Regression::new(name(index), found, wanted));
                Self::Numbers(numbers.collect())
            }
        })
    }
}

/// The one number that says how good a model is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Headline {
    /// `accuracy`, or `mae`, of several outputs their mean.
    pub name: &'static str,
    /// Of the model.
    pub value: f64,
    /// Of always saying the same: the most frequent class, or the mean.
    pub baseline: f64,
}

impl Evaluation {
    /// Accuracy of classes, mean absolute error of numbers.
    pub fn headline(&self) -> Headline {
        let mean = |values: &mut dyn Iterator<Item = f64>| {
            let (count, sum) = values.fold((0.0, 0.0), |(n, sum), value| (n + 1.0, sum + value));
            sum / f64::max(count, 1.0)
        };
        match self {
            Self::Classes(classes) => Headline {
                name: "accuracy",
                value: classes.accuracy,
                baseline: classes.baseline,
            },
            Self::Labels(labels) => Headline {
                name: "accuracy",
                value: mean(&mut labels.iter().map(|label| label.accuracy)),
                baseline: mean(&mut labels.iter().map(|label| label.baseline)),
            },
            Self::Numbers(numbers) => Headline {
                name: "mae",
                value: mean(&mut numbers.iter().map(|number| number.mae)),
                baseline: mean(&mut numbers.iter().map(|number| number.baseline)),
            },
        }
    }
}

/// Whole numbers below `count`.
fn classes(labels: ArrayView1<f32>, count: usize) -> Result<Vec<usize>> {
    let class = |(row, &label): (usize, &f32)| {
        if label.fract() == 0.0 && (0.0..count as f32).contains(&label) {
            return Ok(label as usize);
        }
        Err(Error::value(format!(
            "label {label} of row {} is not among the {count} classes 0 to {} that the model has; number the labels from 0",
            row + 1,
            count.saturating_sub(1)
        )))
    };
    labels.iter().enumerate().map(class).collect()
}

/// Area under the ROC curve.
fn area(scores: ArrayView1<f32>, is_yes: impl Fn(usize) -> bool) -> Option<f64> {
    Curve::new(String::new(), scores, is_yes).area()
}

fn share(part: usize, all: usize) -> f64 {
    if all == 0 {
        0.0
    } else {
        part as f64 / all as f64
    }
}

impl Classes {
    fn new(names: Vec<String>, predicted: &[usize], actual: &[usize], auc: Option<f64>) -> Self {
        let count = names.len();
        let mut confusion = vec![vec![0; count]; count];
        for (&predicted, &actual) in predicted.iter().zip(actual) {
            confusion[actual][predicted] += 1;
        }
        let classes: Vec<ClassScore> = (0..count)
            .map(|class| {
                let said = confusion.iter().map(|row| row[class]).sum();
                let support = confusion[class].iter().sum();
                ClassScore::new(confusion[class][class], said, support)
            })
            .collect();
        let right = (0..count).map(|class| confusion[class][class]).sum();
        let most = classes.iter().map(|class| class.support).max().unwrap_or(0);
        Self {
            names,
            accuracy: share(right, actual.len()),
            baseline: share(most, actual.len()),
            confusion,
            classes,
            auc,
        }
    }
}

impl ClassScore {
    fn new(right: usize, said: usize, support: usize) -> Self {
        Self {
            precision: share(right, said),
            recall: share(right, support),
            // 2 / (1 / precision + 1 / recall)
            f1: share(2 * right, said + support),
            support,
        }
    }
}

impl Label {
    fn new(name: String, scores: ArrayView1<f32>, labels: ArrayView1<f32>, threshold: f32) -> Self {
        let pairs = || {
            scores
                .iter()
                .zip(labels)
                .map(|(&s, &l)| (says_yes(s, threshold), l > 0.5))
        };
        let count = |wanted: &dyn Fn((bool, bool)) -> bool| pairs().filter(|&p| wanted(p)).count();
        let support = count(&|(_, yes)| yes);
        Self {
            yes: ClassScore::new(
                count(&|pair| pair == (true, true)),
                count(&|(said, _)| said),
                support,
            ),
            accuracy: share(count(&|(said, yes)| said == yes), labels.len()),
            baseline: share(support.max(labels.len() - support), labels.len()),
            auc: area(scores, |row| labels[row] > 0.5),
            name,
        }
    }
}

impl Regression {
    fn new(name: String, found: ArrayView1<f32>, wanted: ArrayView1<f32>) -> Self {
        let rows = wanted.len() as f64;
        let mean = wanted.iter().map(|&value| f64::from(value)).sum::<f64>() / rows;
        let (mut absolute, mut squared, mut around, mut spread) = (0.0, 0.0, 0.0, 0.0);
        for (&found, &wanted) in found.iter().zip(wanted) {
            let (error, deviation) = (
                f64::from(found) - f64::from(wanted),
                f64::from(wanted) - mean,
            );
            absolute += error.abs();
            squared += error * error;
            around += deviation.abs();
            spread += deviation * deviation;
        }
        Self {
            name,
            mae: absolute / rows,
            rmse: (squared / rows).sqrt(),
            r2: (spread > 0.0).then(|| 1.0 - squared / spread),
            baseline: around / rows,
        }
    }
}

impl fmt::Display for Evaluation {
    /// Tables, a line each row, with a line end behind the last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Classes(classes) => classes.fmt(f),
            Self::Labels(labels) => {
                let head = [
                    "output",
                    "precision",
                    "recall",
                    "f1",
                    "support",
                    "accuracy",
                    "always the same",
                    "auc",
                ];
                let rows = labels.iter().map(|label| {
                    let mut cells = vec![label.name.clone()];
                    cells.extend(label.yes.cells());
                    cells.extend([
                        four(label.accuracy),
                        four(label.baseline),
                        optional(label.auc),
                    ]);
                    cells
                });
                table(f, &head, rows)
            }
            Self::Numbers(numbers) => {
                let head = ["output", "mae", "rmse", "r2", "mae of the mean"];
                let rows = numbers.iter().map(|number| {
                    let cells = [
                        Some(number.mae),
                        Some(number.rmse),
                        number.r2,
                        Some(number.baseline),
                    ];
                    let mut row = vec![number.name.clone()];
                    row.extend(cells.map(optional));
                    row
                });
                table(f, &head, rows)
            }
        }
    }
}

impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["class", "precision", "recall", "f1", "support"];
        let rows = self.names.iter().zip(&self.classes).map(|(name, score)| {
            let mut row = vec![name.clone()];
            row.extend(score.cells());
            row
        });
        table(f, &head, rows)?;
        let auc = self
            .auc
            .map_or(String::new(), |auc| format!(", auc {}", four(auc)));
        writeln!(
            f,
            "accuracy {}, always the most frequent class {}{auc}",
            four(self.accuracy),
            four(self.baseline)
        )?;
        let corner = "actual \\ predicted".to_string();
        let head: Vec<&str> = std::iter::once(&corner)
            .chain(&self.names)
            .map(String::as_str)
            .collect();
        let rows = self
            .names
            .iter()
            .zip(&self.confusion)
            .map(|(name, counts)| {
                let counts = counts.iter().map(ToString::to_string);
                std::iter::once(name.clone()).chain(counts).collect()
            });
        table(f, &head, rows)
    }
}

impl ClassScore {
    fn cells(&self) -> [String; 4] {
        [
            four(self.precision),
            four(self.recall),
            four(self.f1),
            self.support.to_string(),
        ]
    }
}

fn four(value: f64) -> String {
    format!("{value:.4}")
}

fn optional(value: Option<f64>) -> String {
    value.map_or("-".to_string(), four)
}

/// Columns apart by two spaces, the first flush left and the others flush right.
fn table(
    f: &mut fmt::Formatter<'_>,
    head: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> fmt::Result {
    let head: Vec<String> = head.iter().map(ToString::to_string).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| unicode_width::UnicodeWidthStr::width(cell.as_str()))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    for row in &rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let spaces = " ".repeat(width - unicode_width::UnicodeWidthStr::width(cell.as_str()));
            match column {
                0 => write!(f, "{cell}{spaces}")?,
                _ => write!(f, "  {spaces}{cell}")?,
            }
        }
        writeln!(f)?;
    }
    Ok(())
}

/// `[rows, 1]` or `[rows, columns]` of an array whose rows come first.
///
/// # Errors
///
/// [`Error::Shape`] where there are no rows.
pub fn flat<S: Data<Elem = f32>, D: Dimension>(values: &ArrayBase<S, D>) -> Result<Array2<f32>> {
    let rows = values.shape().first().copied().unwrap_or(0);
    let width = values.len().checked_div(rows).unwrap_or(0);
    Array2::from_shape_vec((rows, width), values.iter().copied().collect())
        .map_err(|error| Error::shape(format!("{error}; expected rows first")))
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn classes_are_counted_as_scikit_learn_does() {
        // sklearn.metrics.classification_report and confusion_matrix of
        // y = [0, 0, 1, 1, 2], predicted = [0, 1, 1, 1, 0].
        let outputs = arr2(&[
            [0.8, 0.1, 0.1],
            [0.3, 0.4, 0.3],
            [0.0, 1.0, 0.0],
            [0.2, 0.6, 0.2],
            [0.5, 0.2, 0.3],
        ]);
        let labels = arr2(&[[0.0], [0.0], [1.0], [1.0], [2.0]]);
        let found = Evaluation::new(
            Task::MultiClass,
            &outputs.view(),
            &labels.view(),
            &names(&["a", "b", "c"]),
            0.5,
        );
        let Evaluation::Classes(found) = found.unwrap() else {
            panic!("three classes")
        };
        assert_eq!(found.confusion, [[1, 1, 0], [0, 2, 0], [1, 0, 0]]);
        let of = |class: usize| {
            let score = &found.classes[class];
            [score.precision, score.recall, score.f1]
        };
        assert_eq!(of(0), [0.5, 0.5, 0.5]);
        assert_eq!(of(1), [2.0 / 3.0, 1.0, 0.8]);
        assert_eq!(of(2), [0.0, 0.0, 0.0]);
        assert_eq!((found.accuracy, found.baseline), (0.6, 0.4));
        assert_eq!(
            found.to_string(),
            "class  precision  recall      f1  support\n\
             a         0.5000  0.5000  0.5000        2\n\
             b         0.6667  1.0000  0.8000        2\n\
             c         0.0000  0.0000  0.0000        1\n\
             accuracy 0.6000, always the most frequent class 0.4000\n\
             actual \\ predicted  a  b  c\n\
             a                   1  1  0\n\
             b                   0  2  0\n\
             c                   1  0  0\n"
        );
    }

    #[test]
    fn the_area_under_the_curve_counts_pairs() {
        // Pairs of yes and no: (0.4, 0.1), (0.4, 0.4) half, (0.8, 0.1), (0.8, 0.4): 3.5 of 4.
        let outputs = arr2(&[[0.1], [0.4], [0.4], [0.8]]);
        let labels = arr2(&[[0.0], [0.0], [1.0], [1.0]]);
        let found =
            Evaluation::new(Task::Binary, &outputs.view(), &labels.view(), &[], 0.5).unwrap();
        let Evaluation::Classes(found) = found else {
            panic!("two classes")
        };
        assert_eq!(found.auc, Some(0.875));
        assert_eq!(found.confusion, [[2, 0], [1, 1]]);
    }

    #[test]
    fn numbers_have_errors_in_the_targets_unit() {
        let outputs = arr2(&[[1.0], [2.0], [6.0]]);
        let labels = arr2(&[[1.0], [3.0], [5.0]]);
        let found = Evaluation::new(
            Task::Regression,
            &outputs.view(),
            &labels.view(),
            &names(&["y"]),
            0.5,
        )
        .unwrap();
        let Evaluation::Numbers(found) = found else {
            panic!("numbers")
        };
        assert_eq!(found[0].mae, 2.0 / 3.0);
        assert_eq!(found[0].rmse, (2.0_f64 / 3.0).sqrt());
        // Squared errors 2, around the mean 8.
        assert_eq!((found[0].r2, found[0].baseline), (Some(0.75), 4.0 / 3.0));
    }

    #[test]
    fn labels_that_no_class_has_are_refused() {
        let outputs = arr2(&[[0.5, 0.5]]);
        let labels = arr2(&[[2.0]]);
        let found = Evaluation::new(Task::MultiClass, &outputs.view(), &labels.view(), &[], 0.5);
        assert_eq!(
            found.unwrap_err().to_string(),
            "label 2 of row 1 is not among the 2 classes 0 to 1 that the model has; number the labels from 0"
        );
    }
}
