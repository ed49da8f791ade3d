//! What may be wrong with a table to train on, although it can be read.

use ndarray::ArrayViewD;

use super::Dataset;
use super::columns::nearest;
use super::labels::list;

/// Rows below which nothing is concluded from values that go together.
const FEW_ROWS: usize = 10;
/// Classes beyond which a target is taken for a quantity.
const MOST_CLASSES: usize = 100;

impl Dataset {
    /// What may be wrong with the rows, a line each: columns of one value, targets of one value, a label
    /// that is probably a typing error, a feature that alone gives the label away.
    ///
    /// * `line` - the line of a data row (from 1) in its file, where that is known
    pub fn cautions(&self, line: impl Fn(usize) -> Option<u64>) -> Vec<String> {
        let mut cautions = Vec::new();
        let classes = self.classes();
        let ranges = Ranges::new(self, classes.as_deref());
        let constant = self.names_where(|column| ranges.is_constant(column));
        if !constant.is_empty() && self.rows() > 1 {
            cautions.push(format!(
                "the same value in every row, which tells nothing: {}; leave such columns out with --drop",
                list(&constant)
            ));
        }
        let Some(classes) = classes else {
            return cautions;
        };
        let mut counts = vec![0_usize; classes.iter().max().map_or(0, |most| most + 1)];
        for &class in &classes {
            counts[class] += 1;
        }
        let named = |class: usize| match &self.class_names {
            Some(names) => format!("{:?}", names.get(class).map_or("", String::as_str)),
            None => class.to_string(),
        };
        if let (Some(&first), true) = (classes.first(), self.rows() > 1)
            && counts[first] == self.rows()
        {
            cautions.push(format!(
                "every label is {}, of which nothing can be learned; add rows of another class",
                named(first)
            ));
            return cautions;
        }
        cautions.extend(self.typing_error(&classes, &counts, line));
        let telling = match self.rows() < FEW_ROWS {
            true => Vec::new(),
            false => self.names_where(|column| ranges.lie_apart(column)),
        };
        if !telling.is_empty() {
            cautions.push(format!(
                "alone tells the classes of all rows apart: {}; leave it out with --drop if it is not known before the label is",
                list(&telling)
            ));
        }
        cautions
    }

    /// Whether the targets are classes, or may be: whole numbers from 0, below 100.
    pub fn has_classes(&self) -> bool {
        self.classes().is_some()
    }

    /// The class of every row, where the targets are classes.
    fn classes(&self) -> Option<Vec<usize>> {
        classes(&self.y.as_ref()?.view())
    }

    /// Names of the features that are so, by their columns.
    fn names_where(&self, is_so: impl Fn(usize) -> bool) -> Vec<String> {
        let columns = self.feature_names.iter().enumerate();
        columns
            .filter(|(column, _)| is_so(*column))
            .map(|(_, name)| format!("{name:?}"))
            .collect()
    }

    /// A label of one row that is nearly another, of many.
    fn typing_error(
        &self,
        classes: &[usize],
        counts: &[usize],
        line: impl Fn(usize) -> Option<u64>,
    ) -> Option<String> {
        let names = self.class_names.as_ref()?;
        let (class, near) = (0..names.len())
            .filter(|&class| counts.get(class) == Some(&1))
            .find_map(|class| {
                let near = nearest(&names[class], names)?;
                let others = names.iter().position(|name| name == near)?;
                (counts.get(others)? > &2).then_some((class, near))
            })?;
        let row = classes.iter().position(|&other| other == class)?;
        let place = match line(row + 1) {
            Some(line) => format!("line {line}"),
            None => format!("row {}", row + 1),
        };
        Some(format!(
            "{place}: the label {:?} occurs once and is nearly {near:?}: a class of its own unless the cell is corrected",
            names[class]
        ))
    }
}

/// The class of every row, where the targets are classes.
fn classes(y: &ArrayViewD<f32>) -> Option<Vec<usize>> {
    let is_class = |y: &f32| y.fract() == 0.0 && (0.0..MOST_CLASSES as f32).contains(y);
    (y.ndim() == 1 && y.iter().all(is_class)).then(|| y.iter().map(|&y| y as usize).collect())
}

/// What is wrong where a class has rows to train on or to validate on only.
///
/// * `train`, `validate` - targets, `[rows]` where they are classes
/// * `names` - of the classes; their numbers where there are none
pub fn one_sided(
    train: &ArrayViewD<f32>,
    validate: &ArrayViewD<f32>,
    names: Option<&[String]>,
) -> Option<String> {
    let (train, validate) = (classes(train)?, classes(validate)?);
    let only = |these: &[usize], others: &[usize]| {
        let mut classes: Vec<usize> = these.to_vec();
        classes.sort_unstable();
        classes.dedup();
        classes.retain(|class| !others.contains(class));
        let name = |&class: &usize| match names.and_then(|names| names.get(class)) {
            Some(name) => format!("{name:?}"),
            None => class.to_string(),
        };
        list(&classes.iter().map(name).collect::<Vec<_>>())
    };
    let (unseen, unasked) = (only(&validate, &train), only(&train, &validate));
    let parts: Vec<String> = [
        ("trained on", "validation", unseen),
        ("validated on", "training", unasked),
    ]
    .into_iter()
    .filter(|(.., classes)| !classes.is_empty())
    .map(|(never, only, classes)| {
        format!("never {never}, as only {only} rows are of it: {classes}")
    })
    .collect();
    match parts.as_slice() {
        [] => None,
        parts => Some(parts.join("; ")),
    }
}

/// The smallest and the largest value of every feature, class by class.
struct Ranges {
    features: usize,
    /// `[classes, features]`; infinity where a class has no rows.
    low: Vec<f32>,
    /// As `low`, with negative infinity.
    high: Vec<f32>,
}

impl Ranges {
    /// Row by row, as the values lie in memory; without classes all rows are of one.
    fn new(data: &Dataset, classes: Option<&[usize]>) -> Self {
        let features = data.feature_names.len();
        let count = classes
            .and_then(|c| c.iter().max())
            .map_or(1, |most| most + 1);
        let mut ranges = Self {
            features,
            low: vec![f32::INFINITY; count * features],
            high: vec![f32::NEG_INFINITY; count * features],
        };
        for (row, values) in data.x.outer_iter().enumerate() {
            let start = classes.map_or(0, |classes| classes[row]) * features;
            let low = &mut ranges.low[start..start + features];
            let high = &mut ranges.high[start..start + features];
            for ((low, high), value) in low.iter_mut().zip(high).zip(&values) {
                *low = low.min(*value);
                *high = high.max(*value);
            }
        }
        ranges
    }

    /// Of every class that has rows.
    fn of(&self, feature: usize) -> impl Iterator<Item = (f32, f32)> {
        let ranges = self.low.iter().zip(&self.high).skip(feature);
        ranges
            .step_by(self.features)
            .map(|(low, high)| (*low, *high))
            .filter(|(low, high)| low <= high)
    }

    fn is_constant(&self, feature: usize) -> bool {
        let mut ranges = self.of(feature);
        let first = ranges.next();
        first.is_none_or(|(low, high)| low == high && ranges.all(|range| range == (low, low)))
    }

    /// Whether the classes lie in ranges of their own.
    fn lie_apart(&self, feature: usize) -> bool {
        let mut ranges: Vec<(f32, f32)> = self.of(feature).collect();
        ranges.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        ranges.windows(2).all(|pair| pair[0].1 < pair[1].0)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{CsvOptions, read_csv_bytes};

    fn cautions(text: &str) -> Vec<String> {
        let data = read_csv_bytes(text.as_bytes(), Path::new("d.csv"), &CsvOptions::default());
        data.unwrap().cautions(|row| Some(row as u64 + 1))
    }

    #[test]
    fn what_may_be_wrong_is_said() {
        let mut text = "same,leak,b,label\n".to_string();
        for row in 0..12 {
            let label = if row % 2 == 0 { "dog" } else { "cat" };
            text += &format!("3,{},{},{label}\n", row % 2 * 5, row * row % 7);
        }
        assert_eq!(
            cautions(&text),
            [
                "the same value in every row, which tells nothing: \"same\"; leave such columns out with --drop",
                "alone tells the classes of all rows apart: \"leak\"; leave it out with --drop if it is not known before the label is",
            ]
        );
        assert_eq!(
            cautions("a,label\n1,0\n1.5,0\n"),
            ["every label is 0, of which nothing can be learned; add rows of another class"]
        );
        assert_eq!(
            cautions(
                "a,label\n1,virginica\n1,setosa\n3,virginica\n2,Virginica\n7,virginica\n1,setosa\n"
            ),
            [
                "line 5: the label \"Virginica\" occurs once and is nearly \"virginica\": a class of its own unless the cell is corrected"
            ]
        );
        assert_eq!(cautions("a,label\n1,0.5\n1.5,0.25\n2,0.5\n"), [""; 0]);
    }
}
