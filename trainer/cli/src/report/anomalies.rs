//! The report on a model that finds anomalies.

use std::path::Path;

use maud::{Markup, html};
use ndarray::{ArrayD, ArrayView1};
use thumbnet_trainer::{
    Sequential, atomic_file,
    error::visible,
    evaluation::{Anomalies, Curve, Histogram},
    figures::thousands,
};

use super::{
    super::Outcome,
    Curves,
    answers::{guide, roc_and_precision},
    chart::{Axis, Chart, Series, Shape},
    layers,
    page::{card, cell, figure, number, page, percent, table},
};

/// What there is to tell of it.
pub struct Watched<'a> {
    /// Of the page.
    pub title: String,
    /// Of a training.
    pub curves: Option<Curves<'a>>,
    /// Whether each row is normal; none where that is not known.
    pub normal: Option<&'a [bool]>,
    /// The scores by each form of the model, the one that was asked about first.
    pub scored: &'a [Scored],
    /// The line of each row in its file, where it has one.
    pub lines: Option<Vec<Option<u64>>>,
    /// Of a Keras file, with rows of features.
    pub keras: Option<(&'a Sequential, &'a ArrayD<f32>)>,
}

/// Scores of the rows.
pub struct Scored {
    /// What computed them, such as `int8`.
    pub name: String,
    /// Above it a row is an anomaly.
    pub threshold: f32,
    pub scores: Vec<f32>,
}

/// Rows that are named.
const ROWS: usize = 15;
const BINS: usize = 30;

impl Watched<'_> {
    /// Writes the page.
    ///
    /// # Panics
    ///
    /// Where nothing is scored.
    pub fn write(&self, path: &Path) -> Outcome {
        let first = &self.scored[0];
        let body = html! {
            (self.cards())
            @if let Some(curves) = &self.curves { (curves.section()) }
            h2 { "Scores" }
            p.note { "How far outputs are from the inputs: the mean squared difference." }
            div.figures {
                @for scored in self.scored {
                    @if let Some(chart) = self.histogram(scored) {
                        (figure(&format!("Scores of the rows, in {}", scored.name), "upwards the number of rows; the line is the threshold", &chart))
                    }
                }
                @if let Some(drawn) = self.curve_figures() { (drawn) }
            }
            h2 { "Rows with the greatest scores" }
            (self.greatest(first))
            @if let Some((model, x)) = self.keras { (layers::section(model, x)?) }
        };
        let mut text = page(&self.title, &body);
        text.push('\n');
        Ok(atomic_file::write_bytes(path, text.as_bytes())?)
    }

    fn cards(&self) -> Markup {
        let above = |scored: &Scored| {
            let above = scored
                .scores
                .iter()
                .filter(|score| **score > scored.threshold);
            above.count()
        };
        html! {
            div.cards {
                @for scored in self.scored {
                    @if let Some(normal) = self.normal {
                        @let found = Anomalies::new(&scored.scores, |score| score > scored.threshold, normal);
                        @if found.anomalies > 0 {
                            (card(&percent(found.found as f64 / found.anomalies as f64), &format!("of {} anomalies found, in {}", thousands(found.anomalies), scored.name)))
                        }
                        @if found.normal > 0 {
                            (card(&percent(found.false_alarms as f64 / found.normal as f64), &format!("of {} normal rows taken for anomalies, in {}", thousands(found.normal), scored.name)))
                        }
                        @if let Some(auc) = found.auc { (card(&format!("{auc:.4}"), &format!("area under the ROC curve, in {}", scored.name))) }
                    } @else {
                        (card(&thousands(above(scored)), &format!("of {} rows are anomalies, in {}", thousands(scored.scores.len()), scored.name)))
                    }
                    (card(&number(scored.threshold.into()), &format!("threshold, in {}", scored.name)))
                }
            }
        }
    }

    /// By powers of ten, normal rows and anomalies side by side.
    fn histogram(&self, scored: &Scored) -> Option<Chart> {
        let power = |score: f32| score.max(1e-12).log10();
        let all = Histogram::new(scored.scores.iter().copied().map(power), BINS)?;
        let kinds: Vec<(&str, Option<bool>)> = match self.normal {
            Some(_) => vec![("normal", Some(true)), ("anomalies", Some(false))],
            None => vec![("", None)],
        };
        let step = (all.high - all.low) / BINS as f64;
        let width = step / kinds.len() as f64;
        let mut series: Vec<Series> = kinds
            .iter()
            .enumerate()
            .map(|(color, (name, kind))| {
                let rows = scored.scores.iter().enumerate();
                let of_kind = rows.filter(|(row, _)| {
                    kind.is_none_or(|kind| self.normal.is_some_and(|normal| normal[*row] == kind))
                });
                let counts = all
                    .of(of_kind.map(|(_, &score)| power(score).into()))
                    .counts;
                let left = all.low + color as f64 * width;
                let bar =
                    |(place, count): (usize, usize)| (left + place as f64 * step, count as f64);
                Series {
                    name: (*name).to_string(),
                    color,
                    shape: Shape::Bars(width),
                    points: counts.into_iter().enumerate().map(bar).collect(),
                }
            })
            .collect();
        let heights = series.iter().flat_map(|series| &series.points);
        let top = heights.map(|point| point.1).fold(1.0, f64::max);
        let threshold = f64::from(power(scored.threshold));
        series.push(guide((threshold, 0.0), (threshold, top)));
        Some(Chart {
            x: Axis {
                name: "log10 of the score",
                within: Some((all.low, all.high)),
                ..Axis::default()
            },
            y: Axis {
                within: Some((0.0, 1.0)),
                whole: true,
                ..Axis::default()
            },
            series,
        })
    }

    fn curve_figures(&self) -> Option<Markup> {
        let normal = self.normal?;
        let curve = |(place, scored): (usize, &Scored)| {
            let scores = ArrayView1::from(&scored.scores[..]);
            (
                place,
                Curve::new(scored.name.clone(), scores, |row| !normal[row]),
            )
        };
        let curves: Vec<_> = self.scored.iter().enumerate().map(curve).collect();
        roc_and_precision(&curves, "")
    }

    fn greatest(&self, scored: &Scored) -> Markup {
        let mut order: Vec<usize> = (0..scored.scores.len()).collect();
        order.sort_by(|&a, &b| scored.scores[b].total_cmp(&scored.scores[a]));
        order.truncate(ROWS);
        let line = |row: usize| self.lines.as_ref().and_then(|lines| lines[row]);
        let in_file = order.iter().all(|&row| line(row).is_some());
        let mut head = vec![if in_file { "line" } else { "row" }, "score"];
        head.extend(self.normal.map(|_| "is"));
        let rows: Vec<Vec<Markup>> = order
            .iter()
            .map(|&row| {
                let place = match line(row) {
                    Some(line) if in_file => line,
                    _ => row as u64 + 1,
                };
                let mut cells = vec![
                    cell(&place.to_string()),
                    cell(&number(scored.scores[row].into())),
                ];
                if let Some(normal) = self.normal {
                    cells.push(cell(if normal[row] { "normal" } else { "an anomaly" }));
                }
                cells
            })
            .collect();
        html! {
            (table(&head, &rows))
            p.note { "In " (visible(&scored.name)) ". " @if !in_file { "Rows are counted from 1 among those scored." } }
        }
    }
}
