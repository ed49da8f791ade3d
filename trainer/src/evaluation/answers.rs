//! Outputs with their truth, row by row: what curves are drawn from, and which rows are most wrong.

use ndarray::{Array2, ArrayView1};

use super::{Calibration, Curve, Evaluation};
use crate::figures;
use crate::quantize::{largest, says_yes};
use crate::signature::Task;
use crate::{Error, Result};

/// Outputs of a model for rows whose truth is known.
#[derive(Clone, Debug)]
pub struct Answers {
    task: Task,
    outputs: Array2<f32>,
    labels: Array2<f32>,
    names: Vec<String>,
    threshold: f32,
    evaluation: Evaluation,
}

/// A row that is answered wrongly.
#[derive(Clone, Debug, PartialEq)]
pub struct Wrong {
    /// From 0.
    pub row: usize,
    /// Of the target or label, where a row has several.
    pub output: Option<String>,
    /// A class, or a number.
    pub truth: String,
    /// A class, or a number, of four places.
    pub answer: String,
    /// How far the output of the class that is said lies above that of the true one, or an output beyond
    /// its threshold; of numbers the answer less the truth.
    pub error: f64,
}

impl Answers {
    /// As [`Evaluation::new`], which says the errors too.
    pub fn new(
        task: Task,
        outputs: Array2<f32>,
        labels: Array2<f32>,
        names: &[String],
        threshold: f32,
    ) -> Result<Self> {
        let evaluation = Evaluation::new(task, &outputs.view(), &labels.view(), names, threshold)?;
        let names = match &evaluation {
            Evaluation::Classes(classes) => classes.names.clone(),
            Evaluation::Labels(labels) => labels.iter().map(|label| label.name.clone()).collect(),
            Evaluation::Numbers(numbers) => {
                numbers.iter().map(|number| number.name.clone()).collect()
            }
        };
        Ok(Self {
            task,
            outputs,
            labels,
            names,
            threshold,
            evaluation,
        })
    }

    /// The tables.
    pub fn evaluation(&self) -> &Evaluation {
        &self.evaluation
    }

    /// As the model gave them, `[rows, outputs]`.
    pub fn outputs(&self) -> &Array2<f32> {
        &self.outputs
    }

    /// `[rows, 1]` or `[rows, outputs]`.
    pub fn labels(&self) -> &Array2<f32> {
        &self.labels
    }

    /// The tables of other outputs for some of the rows.
    ///
    /// * `rows` - from 0, one for each row of `outputs`
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] where the outputs are others than these.
    pub fn evaluate(&self, rows: &[usize], outputs: &Array2<f32>) -> Result<Evaluation> {
        if rows.iter().any(|&row| row >= self.labels.nrows()) {
            return Err(Error::shape(format!(
                "a row is beyond the last of {}",
                self.labels.nrows()
            )));
        }
        let labels = self.labels.select(ndarray::Axis(0), rows);
        Evaluation::new(
            self.task,
            &outputs.view(),
            &labels.view(),
            &self.names,
            self.threshold,
        )
    }

    /// For two classes one curve, of the second; of more one for each class, and of labels for each
    /// label. None of numbers.
    pub fn curves(&self) -> Vec<Curve> {
        let width = self.outputs.ncols();
        let of = |column: usize, is_yes: &dyn Fn(usize) -> bool| {
            let name = match self.task {
                Task::Binary => self.names[1].clone(),
                _ => self.names[column].clone(),
            };
            Curve::new(name, self.outputs.column(column), is_yes)
        };
        match self.task {
            Task::Regression => Vec::new(),
            Task::Binary => vec![of(0, &|row| self.labels[[row, 0]] > 0.5)],
            Task::MultiClass => {
                let classes = if width == 2 { 1..2 } else { 0..width };
                let curve = |class| of(class, &|row| self.class(row) == class);
                classes.map(curve).collect()
            }
            Task::MultiLabel => (0..width)
                .map(|label| of(label, &|row| self.labels[[row, label]] > 0.5))
                .collect(),
        }
    }

    /// How often it is so what is said with a probability: yes, of one output or several; of classes the
    /// one that is said. None where the outputs are no probabilities.
    pub fn calibration(&self) -> Option<Calibration> {
        let is_probability = |value: &f32| (0.0..=1.0).contains(value);
        if !self.outputs.iter().all(is_probability) {
            return None;
        }
        match self.task {
            Task::Regression => None,
            Task::Binary | Task::MultiLabel => {
                let pairs = self.outputs.iter().zip(&self.labels);
                Calibration::new(pairs.map(|(&said, &label)| (said, label > 0.5)))
            }
            Task::MultiClass => {
                // Of softmax in float32.
                let sums_to_1 = |row: ArrayView1<f32>| (row.sum() - 1.0).abs() < 1e-3;
                if !self.outputs.outer_iter().all(sums_to_1) {
                    return None;
                }
                let rows = self.outputs.outer_iter().enumerate();
                Calibration::new(rows.map(|(row, outputs)| {
                    let said = largest(outputs);
                    (outputs[said], said == self.class(row))
                }))
            }
        }
    }

    /// At most `most` rows, the worst first: by [`Wrong::error`], of several targets in deviations of each.
    pub fn most_wrong(&self, most: usize) -> Vec<Wrong> {
        let mut found: Vec<(f64, Wrong)> = match self.task {
            Task::MultiClass => self.wrong_classes(),
            Task::Binary | Task::MultiLabel => self.wrong_labels(),
            Task::Regression => self.wrong_numbers(),
        };
        found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        found.truncate(most);
        found.into_iter().map(|(_, wrong)| wrong).collect()
    }

    fn wrong_classes(&self) -> Vec<(f64, Wrong)> {
        let wrong = |(row, outputs): (usize, ArrayView1<f32>)| {
            let (said, class) = (largest(outputs), self.class(row));
            let error = f64::from(outputs[said]) - f64::from(outputs[class]);
            (said != class).then(|| {
                let wrong = Wrong {
                    row,
                    output: None,
                    truth: self.names[class].clone(),
                    answer: self.names[said].clone(),
                    error,
                };
                (error, wrong)
            })
        };
        let rows = self.outputs.outer_iter().enumerate();
        rows.filter_map(wrong).collect()
    }

    fn wrong_labels(&self) -> Vec<(f64, Wrong)> {
        let one = matches!(self.task, Task::Binary);
        let wrong = |((row, column), &output): ((usize, usize), &f32)| {
            let yes = self.labels[[row, column]] > 0.5;
            let said = says_yes(output, self.threshold);
            let error = (f64::from(output) - f64::from(self.threshold)).abs();
            let name = |yes: bool| match one {
                true => self.names[usize::from(yes)].clone(),
                false => (if yes { "yes" } else { "no" }).to_string(),
            };
            (said != yes).then(|| {
                let wrong = Wrong {
                    row,
                    output: (!one).then(|| self.names[column].clone()),
                    truth: name(yes),
                    answer: name(said),
                    error,
                };
                (error, wrong)
            })
        };
        self.outputs.indexed_iter().filter_map(wrong).collect()
    }

    fn wrong_numbers(&self) -> Vec<(f64, Wrong)> {
        let deviation = |column: usize| {
            let spread = self.labels.column(column).mapv(f64::from).std(0.0);
            if spread > 0.0 { spread } else { 1.0 }
        };
        let deviations: Vec<f64> = (0..self.outputs.ncols()).map(deviation).collect();
        let wrong = |((row, column), &answer): ((usize, usize), &f32)| {
            let truth = self.labels[[row, column]];
            let error = f64::from(answer) - f64::from(truth);
            let wrong = Wrong {
                row,
                output: (deviations.len() > 1).then(|| self.names[column].clone()),
                truth: truth.to_string(),
                answer: figures::number(f64::from(answer), answer == 0.0 || answer.abs() >= 1e-3),
                error,
            };
            (error.abs() / deviations[column], wrong)
        };
        let all = self.outputs.indexed_iter().map(wrong);
        all.filter(|(size, _)| *size > 0.0).collect()
    }

    /// The true class of a row.
    fn class(&self, row: usize) -> usize {
        match self.labels.ncols() {
            1 => self.labels[[row, 0]] as usize,
            _ => largest(self.labels.row(row)),
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;

    fn answers(task: Task, outputs: Array2<f32>, labels: Array2<f32>, names: &[&str]) -> Answers {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        Answers::new(task, outputs, labels, &names, 0.5).unwrap()
    }

    #[test]
    fn classes_have_a_curve_each_and_wrong_rows_by_what_is_said_for_the_other_class() {
        let outputs = arr2(&[[0.75, 0.25, 0.0], [0.5, 0.25, 0.25], [0.25, 0.0, 0.75]]);
        let labels = arr2(&[[1.0], [2.0], [2.0]]);
        let found = answers(Task::MultiClass, outputs, labels, &["a", "b", "c"]);
        let names: Vec<_> = found.curves().into_iter().map(|curve| curve.name).collect();
        assert_eq!(names, ["a", "b", "c"]);
        // Of c: both yes, 0.25 and 0.75, above the only no, 0.
        assert_eq!(found.curves()[2].area(), Some(1.0));
        let wrong = |row, truth: &str, error| Wrong {
            row,
            output: None,
            truth: truth.to_string(),
            answer: "a".to_string(),
            error,
        };
        let both = [wrong(0, "b", 0.5), wrong(1, "c", 0.25)];
        assert_eq!(found.most_wrong(5), both);
        assert_eq!(found.most_wrong(1), both[..1]);
        // Said with 0.75: a wrong and a right row.
        let bins = found.calibration().unwrap().bins;
        assert_eq!((bins[0].said, bins[0].so), (0.5, 0.0));
        assert_eq!((bins[1].said, bins[1].so, bins[1].rows), (0.75, 0.5, 2));
        let rest = found.evaluate(&[2], &arr2(&[[0.0, 0.0, 1.0]])).unwrap();
        assert_eq!(rest.headline().value, 1.0);
    }

    #[test]
    fn outputs_that_are_no_probabilities_have_no_calibration() {
        let labels = arr2(&[[0.0], [1.0]]);
        let logits = answers(Task::Binary, arr2(&[[-2.0], [3.0]]), labels.clone(), &[]);
        assert_eq!(logits.calibration(), None);
        let scores = arr2(&[[0.5, 0.75], [0.5, 0.25]]);
        let scores = answers(Task::MultiClass, scores, labels, &[]);
        assert_eq!(scores.calibration(), None);
    }

    #[test]
    fn numbers_are_wrong_by_deviations_of_their_target() {
        // Deviations 10 and 0.5: 4 off is 0.4 of the first, 0.5 off is 1 of the second.
        let labels = arr2(&[[10.0, 1.0], [30.0, 2.0]]);
        let outputs = arr2(&[[14.0, 1.0], [30.0, 1.5]]);
        let found = answers(Task::Regression, outputs, labels, &["far", "near"]);
        let named: Vec<_> = found
            .most_wrong(9)
            .into_iter()
            .map(|wrong| (wrong.row, wrong.output.unwrap(), wrong.error))
            .collect();
        assert_eq!(
            named,
            [(1, "near".to_string(), -0.5), (0, "far".to_string(), 4.0)]
        );
        assert!(found.curves().is_empty());
    }

    #[test]
    fn yes_and_no_are_wrong_by_their_distance_from_the_threshold() {
        let outputs = arr2(&[[0.75], [0.125], [0.5]]);
        let labels = arr2(&[[0.0], [1.0], [1.0]]);
        let found = answers(Task::Binary, outputs, labels, &["off", "on"]);
        assert_eq!(found.curves()[0].name, "on");
        let wrong = found.most_wrong(9);
        assert_eq!((wrong[0].row, wrong[0].error), (1, 0.375));
        assert_eq!(
            (wrong[0].truth.as_str(), wrong[0].answer.as_str()),
            ("on", "off")
        );
        assert_eq!((wrong[1].row, wrong.len()), (0, 2));
    }
}
