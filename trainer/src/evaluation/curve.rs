//! How well an output tells yes from no, over all thresholds.

use ndarray::ArrayView1;

/// Rows that are said to be yes from each threshold on, for ROC and precision-recall curves.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What yes is: the name of a class or of an output.
    pub name: String,
    /// Rows that are.
    pub yes: usize,
    /// Rows that are not.
    pub no: usize,
    /// Thresholds from the greatest output to the smallest.
    pub steps: Vec<Step>,
}

/// Rows whose output is at least a threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// An output that occurs.
    pub threshold: f32,
    /// Of the rows that are yes.
    pub hits: usize,
    /// Of the rows that are not.
    pub false_alarms: usize,
}

impl Curve {
    /// * `scores` - `[rows]`, the greater the more a yes
    /// * `is_yes` - of a row
    pub fn new(name: String, scores: ArrayView1<f32>, is_yes: impl Fn(usize) -> bool) -> Self {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let (mut hits, mut false_alarms) = (0, 0);
        let step = |equal: &[usize]| {
            let of_yes = equal.iter().filter(|&&row| is_yes(row)).count();
            hits += of_yes;
            false_alarms += equal.len() - of_yes;
            Step {
                threshold: scores[equal[0]],
                hits,
                false_alarms,
            }
        };
        let equal = order.chunk_by(|&a, &b| scores[a] == scores[b]);
        Self {
            name,
            steps: equal.map(step).collect(),
            yes: hits,
            no: false_alarms,
        }
    }

    /// Shares of false alarms among no (x) and of hits among yes (y), from (0, 0) to (1, 1); none where
    /// either does not occur.
    pub fn roc(&self) -> Option<Vec<(f64, f64)>> {
        let (yes, no) = (self.yes as f64, self.no as f64);
        let points = self
            .steps
            .iter()
            .map(|step| (step.false_alarms as f64 / no, step.hits as f64 / yes));
        let both = self.yes > 0 && self.no > 0;
        both.then(|| std::iter::once((0.0, 0.0)).chain(points).collect())
    }

    /// Recall (x) and precision (y), from (0, 1) on; none where yes does not occur.
    pub fn precision_recall(&self) -> Option<Vec<(f64, f64)>> {
        let points = self
            .steps
            .iter()
            .map(|step| (self.recall(step), precision(step)));
        (self.yes > 0).then(|| std::iter::once((0.0, 1.0)).chain(points).collect())
    }

    /// Area under the ROC curve: the probability that a row of yes has the greater output, equal ones
    /// counting half. None where either does not occur.
    pub fn area(&self) -> Option<f64> {
        let (mut pairs, mut before) = (0.0, (0, 0));
        for step in &self.steps {
            let (hits, false_alarms) = before;
            pairs += (step.false_alarms - false_alarms) as f64 * (step.hits + hits) as f64 / 2.0;
            before = (step.hits, step.false_alarms);
        }
        let all = self.yes as f64 * self.no as f64;
        (all > 0.0).then(|| pairs / all)
    }

    /// Mean of the precisions, each weighed by the recall that it adds; none where yes does not occur.
    pub fn average_precision(&self) -> Option<f64> {
        let (mut sum, mut before) = (0.0, 0.0);
        for step in &self.steps {
            sum += (self.recall(step) - before) * precision(step);
            before = self.recall(step);
        }
        (self.yes > 0).then_some(sum)
    }

    fn recall(&self, step: &Step) -> f64 {
        step.hits as f64 / self.yes as f64
    }
}

/// Of the rows that are said to be yes, those that are.
fn precision(step: &Step) -> f64 {
    step.hits as f64 / (step.hits + step.false_alarms) as f64
}

#[cfg(test)]
mod tests {
    use ndarray::arr1;

    use super::*;

    fn curve(scores: &[f32], yes: &[usize]) -> Curve {
        let is_yes = |row: usize| yes.contains(&row);
        Curve::new("yes".to_string(), arr1(scores).view(), is_yes)
    }

    #[test]
    fn curves_are_those_of_scikit_learn() {
        // Of y = [0, 0, 1, 1, 0, 1] and these scores: roc_curve(drop_intermediate=False), precision_recall_curve
        // from its end, roc_auc_score and average_precision_score.
        let found = curve(&[0.1, 0.4, 0.35, 0.8, 0.8, 0.9], &[2, 3, 5]);
        let third = 1.0 / 3.0;
        let roc = [
            (0.0, 0.0),
            (0.0, third),
            (third, 2.0 * third),
            (2.0 * third, 2.0 * third),
            (2.0 * third, 1.0),
            (1.0, 1.0),
        ];
        assert_eq!(found.roc().unwrap(), roc);
        let precisions = [1.0, 1.0, 2.0 * third, 0.5, 0.6, 0.5];
        let recalls = [0.0, third, 2.0 * third, 2.0 * third, 1.0, 1.0];
        let expected: Vec<_> = recalls.into_iter().zip(precisions).collect();
        assert_eq!(found.precision_recall().unwrap(), expected);
        assert!((found.area().unwrap() - 0.7222222222222222).abs() < 1e-15);
        assert!((found.average_precision().unwrap() - 0.7555555555555555).abs() < 1e-15);
    }

    #[test]
    fn a_class_without_rows_has_no_curve() {
        let none = curve(&[0.1, 0.2], &[]);
        assert_eq!((none.roc(), none.area()), (None, None));
        assert_eq!(
            (none.precision_recall(), none.average_precision()),
            (None, None)
        );
        let all = curve(&[0.1, 0.2], &[0, 1]);
        assert_eq!((all.roc(), all.average_precision()), (None, Some(1.0)));
    }
}
