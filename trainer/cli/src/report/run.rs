//! The report on a training or an evaluation.

use std::{ops::Range, path::Path};

use maud::{Markup, html};
use ndarray::ArrayD;
use thumbnet_trainer::{
    Result, Sequential, atomic_file,
    evaluation::{Answers, Evaluation, Headline, Importance, flat, permutation_importance},
    figures::thousands,
    quantize::{DataType, Report},
};

use super::{
    super::{
        Outcome,
        data::Labelled,
        scores::{always, spread_out, stride},
    },
    Curves, answers, layers, name,
    page::{bar, card, cell, number, page, percent, table},
    quantization,
};

/// What there is to tell of a model.
pub struct Findings<'a> {
    /// The file of the model.
    pub model: &'a Path,
    /// The rows that it is judged on, of these.
    pub rows: &'a Labelled,
    pub range: Range<usize>,
    /// What they are.
    pub which: &'a str,
    /// Of a training.
    pub curves: Option<Curves<'a>>,
    /// None where the targets are not what the outputs say.
    pub answers: Option<&'a Answers>,
    /// The model's outputs.
    pub predict: &'a dyn Fn(&ArrayD<f32>) -> Result<ArrayD<f32>>,
    /// Of a Keras file.
    pub keras: Option<&'a Sequential>,
    /// Columns of the features.
    pub features: &'a [String],
    /// What quantization does to it, and the score then.
    pub device: Option<(DataType, &'a Evaluation, &'a Report)>,
    /// Of the order in which values are dealt to other rows.
    pub seed: u64,
}

/// Rows that are named as most wrong.
const MOST_WRONG: usize = 15;
/// Rows that importance and layers are shown by.
const MOST_ROWS: usize = 1000;
/// Columns whose importance is shown.
const MOST_COLUMNS: usize = 25;

impl Findings<'_> {
    /// Writes the page.
    pub fn write(&self, path: &Path) -> Outcome {
        let title = format!("{} on {}", name(self.model), name(&self.rows.x_path));
        let x = self.rows.view(self.range.clone()).x;
        let some = spread_out(&x, MOST_ROWS).into_owned();
        let body = html! {
            (self.cards())
            @if let Some(curves) = &self.curves { (curves.section()) }
            @match self.answers {
                Some(found) => {
                    (answers::section(found))
                    (self.most_wrong(found))
                    (self.importance(found, &some)?)
                }
                None => p.note { "The targets are not what the outputs say, such as probabilities: nothing is counted." }
            }
            @if let Some(model) = self.keras { (layers::section(model, &some)?) }
            @if let Some((data_type, _, report)) = &self.device {
                h2 { "On the device, in " (data_type) }
                // Of an evaluation, which has no other rows.
                @if self.curves.is_none() {
                    p.note { "Calibrated on the very rows that are evaluated; export calibrates on those that it is given." }
                }
                (quantization::section(report))
            }
        };
        let mut text = page(&title, &body);
        text.push('\n');
        Ok(atomic_file::write_bytes(path, text.as_bytes())?)
    }

    fn cards(&self) -> Markup {
        let text = |name: &str, value: f64| match name {
            "accuracy" => percent(value),
            _ => number(value),
        };
        let auc = match self.answers.map(Answers::evaluation) {
            Some(Evaluation::Classes(classes)) => classes.auc,
            _ => None,
        };
        html! {
            div.cards {
                @if let Some(found) = self.answers {
                    @let Headline { name, value, baseline } = found.evaluation().headline();
                    @let said = if name == "mae" { "mean absolute error" } else { name };
                    (card(&text(name, value), said))
                    @if let Some((data_type, table, _)) = &self.device {
                        (card(&text(name, table.headline().value), &format!("{said} on the device, in {data_type}")))
                    }
                    (card(&text(name, baseline), &format!("by always saying {}", always(name))))
                }
                @if let Some(auc) = auc { (card(&format!("{auc:.4}"), "area under the ROC curve")) }
                (card(&thousands(self.range.len()), self.which))
            }
        }
    }

    /// Where in the file rows are, none where they are in none that has lines.
    fn lines(&self, rows: &[usize]) -> Option<Vec<u64>> {
        let numbers: Vec<usize> = rows.iter().map(|row| self.range.start + row + 1).collect();
        let lines = self.rows.data.lines_of_rows(&self.rows.x_path, &numbers)?;
        lines.into_iter().collect()
    }

    fn most_wrong(&self, found: &Answers) -> Markup {
        let wrong = found.most_wrong(MOST_WRONG);
        let numbers = matches!(found.evaluation(), Evaluation::Numbers(_));
        let several = wrong.iter().any(|wrong| wrong.output.is_some());
        let places: Vec<usize> = wrong.iter().map(|wrong| wrong.row).collect();
        let lines = self.lines(&places);
        let in_file = lines.is_some();
        let mut head = vec![if in_file { "line" } else { "row" }];
        head.extend(several.then_some("output"));
        head.extend(["true", "predicted", if numbers { "error" } else { "by" }]);
        let rows: Vec<Vec<Markup>> = wrong
            .iter()
            .enumerate()
            .map(|(place, wrong)| {
                let line = lines.as_ref().map(|lines| lines[place].to_string());
                let mut cells = vec![cell(&line.unwrap_or_else(|| (wrong.row + 1).to_string()))];
                cells.extend(wrong.output.as_deref().map(cell));
                cells.extend([
                    cell(&wrong.truth),
                    cell(&wrong.answer),
                    cell(&number(wrong.error)),
                ]);
                cells
            })
            .collect();
        html! {
            h2 { "Rows most wrong" }
            @if rows.is_empty() { p { "None: every row is answered right." } } @else { (table(&head, &rows)) }
            p.note {
                @if in_file { "Lines of " (name(&self.rows.x_path)) "." } @else { "Rows are counted from 1 among those judged." }
                @if !numbers { " By: how far the output of what is predicted lies above that of the true class, or beyond the threshold." }
            }
        }
    }

    fn importance(&self, found: &Answers, x: &ArrayD<f32>) -> Result<Markup> {
        let rows: Vec<usize> = (0..self.range.len())
            .step_by(stride(self.range.len(), MOST_ROWS))
            .collect();
        let width = x.len() / rows.len().max(1);
        let columns = together(self.features, width);
        let Headline { name, .. } = found.evaluation().headline();
        // So that more is worse, and what is worse without the column is above 0.
        let sign = if name == "mae" { 1.0 } else { -1.0 };
        let score = |x: &ArrayD<f32>| {
            let outputs = flat(&(self.predict)(x)?)?;
            Ok(sign * found.evaluate(&rows, &outputs)?.headline().value)
        };
        let repeats = if columns.len() > 100 { 1 } else { 5 };
        let places: Vec<Vec<usize>> = columns.iter().map(|(_, places)| places.clone()).collect();
        let worth = permutation_importance(x, &places, repeats, self.seed, score)?;
        let mut worth: Vec<(&str, Importance)> = columns
            .iter()
            .map(|(name, _)| name.as_str())
            .zip(worth)
            .collect();
        worth.sort_by(|(_, a), (_, b)| b.mean.total_cmp(&a.mean));
        let most = worth
            .iter()
            .map(|(_, importance)| importance.mean.abs())
            .fold(f64::MIN_POSITIVE, f64::max);
        // What is left of a difference of equal scores is rounding.
        let text = |value: f64| match value.abs() < 1e-9 * most {
            true => number(0.0),
            false => number(value),
        };
        let shown: Vec<Vec<Markup>> = worth
            .iter()
            .take(MOST_COLUMNS)
            .map(|(name, importance)| {
                vec![
                    cell(name),
                    cell(&text(importance.mean)),
                    cell(&format!("± {}", text(importance.deviation))),
                    bar(importance.mean / most),
                ]
            })
            .collect();
        let change = match name {
            "mae" => "mean absolute error gained",
            _ => "accuracy lost",
        };
        Ok(html! {
            h2 { "Importance of the columns" }
            (table(&["column", change, "", ""], &shown))
            p.note {
                "What the score loses where a column's values are dealt to other rows ("
                (repeats) " times, on " (thousands(rows.len())) " rows). Columns that tell the same stand in for each other, and show little."
                @if columns.len() > MOST_COLUMNS { " The first " (MOST_COLUMNS) " of " (columns.len()) "." }
            }
        })
    }
}

/// Columns with their places; those that one text became (`mode=walk`, `mode=ride`) are one.
fn together(names: &[String], width: usize) -> Vec<(String, Vec<usize>)> {
    if names.len() != width {
        let number = |place: usize| (format!("input {}", place + 1), vec![place]);
        return (0..width).map(number).collect();
    }
    let text = |name: &str| Some(name.split_once('=')?.0.to_string());
    let mut columns: Vec<(Option<String>, Vec<usize>)> = Vec::new();
    for (place, name) in names.iter().enumerate() {
        let of = text(name);
        match columns.last_mut() {
            Some((last, places)) if of.is_some() && *last == of => places.push(place),
            _ => columns.push((of, vec![place])),
        }
    }
    let named = |(of, places): (Option<String>, Vec<usize>)| match (of, places.as_slice()) {
        (Some(of), [_, _, ..]) => (of, places),
        _ => (names[places[0]].clone(), places),
    };
    columns.into_iter().map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_one_text_are_one() {
        let names = ["a", "mode=ride", "mode=walk", "b=1", "c"].map(str::to_string);
        let found = together(&names, 5);
        let expected = [
            ("a", vec![0]),
            ("mode", vec![1, 2]),
            ("b=1", vec![3]),
            ("c", vec![4]),
        ];
        assert_eq!(
            found,
            expected.map(|(name, places)| (name.to_string(), places))
        );
        assert_eq!(together(&names, 1), [("input 1".to_string(), vec![0])]);
    }
}
