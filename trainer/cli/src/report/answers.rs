//! What a model's answers are worth: classes, labels and numbers against the truth.

use maud::{Markup, html};
use thumbnet_trainer::{
    error::visible,
    evaluation::{
        Answers, Calibration, ClassScore, Classes, Curve, Evaluation, Histogram, Label, Regression,
    },
    figures::thousands,
};

use super::{
    chart::{Axis, Chart, Points, Series, Shape},
    page::{cell, figure, number, percent, table},
};

/// Curves that can be told apart in one chart.
const MOST_CURVES: usize = 10;
/// Targets with charts of their own.
const MOST_TARGETS: usize = 6;
/// Dots that a chart shows.
const MOST_DOTS: usize = 1000;

pub fn section(answers: &Answers) -> Markup {
    match answers.evaluation() {
        Evaluation::Classes(classes) => html! {
            h2 { "Classes" }
            (class_table(classes))
            h3 { "Confusion matrix" }
            (matrix(classes))
            (curves(answers))
        },
        Evaluation::Labels(labels) => html! {
            h2 { "Labels" }
            (label_table(labels))
            (curves(answers))
        },
        Evaluation::Numbers(numbers) => html! {
            h2 { "Numbers" }
            (number_table(numbers))
            (errors(answers, numbers))
        },
    }
}

fn scores(score: &ClassScore) -> [Markup; 4] {
    let four = |value: f64| cell(&format!("{value:.4}"));
    [
        four(score.precision),
        four(score.recall),
        four(score.f1),
        cell(&thousands(score.support)),
    ]
}

fn class_table(classes: &Classes) -> Markup {
    let rows: Vec<Vec<Markup>> = classes
        .names
        .iter()
        .zip(&classes.classes)
        .map(|(name, score)| std::iter::once(cell(name)).chain(scores(score)).collect())
        .collect();
    table(&["class", "precision", "recall", "F1", "rows"], &rows)
}

fn label_table(labels: &[Label]) -> Markup {
    let row = |label: &Label| {
        let rest = [
            cell(&format!("{:.4}", label.accuracy)),
            cell(&format!("{:.4}", label.baseline)),
        ];
        let all = std::iter::once(cell(&label.name)).chain(scores(&label.yes));
        all.chain(rest).collect()
    };
    let head = [
        "label",
        "precision",
        "recall",
        "F1",
        "rows of yes",
        "accuracy",
        "always the same",
    ];
    table(&head, &labels.iter().map(row).collect::<Vec<_>>())
}

fn number_table(numbers: &[Regression]) -> Markup {
    let row = |number_of: &Regression| {
        let r2 = number_of.r2.map_or("–".to_string(), number);
        [
            visible(&number_of.name),
            number(number_of.mae),
            number(number_of.rmse),
            r2,
            number(number_of.baseline),
        ]
        .iter()
        .map(|text| cell(text))
        .collect()
    };
    let head = [
        "target",
        "MAE",
        "RMSE",
        "R²",
        "MAE of always saying the mean",
    ];
    table(&head, &numbers.iter().map(row).collect::<Vec<_>>())
}

/// Rows by their true class, columns by the predicted one.
fn matrix(classes: &Classes) -> Markup {
    // The share of a class's rows, faint enough that the number on it can be read.
    let shade = |count: usize, row: &[usize]| {
        let all: usize = row.iter().sum();
        format!("--share: {:.0}%", 60.0 * count as f64 / all.max(1) as f64)
    };
    html! {
        table.matrix {
            tr { th { "true ↓ predicted →" } @for name in &classes.names { th { (visible(name)) } } }
            @for (name, row) in classes.names.iter().zip(&classes.confusion) {
                tr {
                    td { (visible(name)) }
                    @for &count in row { td.count style=(shade(count, row)) { (thousands(count)) } }
                }
            }
        }
    }
}

fn share(name: &'static str) -> Axis {
    Axis {
        name,
        within: Some((0.0, 1.0)),
        ..Axis::default()
    }
}

pub fn guide(from: (f64, f64), to: (f64, f64)) -> Series {
    Series {
        name: String::new(),
        color: 0,
        shape: Shape::Guide,
        points: vec![from, to],
    }
}

/// Curves over all thresholds, and whether probabilities are what they say.
fn curves(answers: &Answers) -> Markup {
    let mut curves: Vec<(usize, Curve)> = answers.curves().into_iter().enumerate().collect();
    let all = curves.len();
    let area = |curve: &Curve| curve.area().unwrap_or(1.0);
    if all > MOST_CURVES {
        curves.sort_by(|(_, a), (_, b)| area(a).total_cmp(&area(b)));
        curves.truncate(MOST_CURVES);
    }
    let left_out = match all > MOST_CURVES {
        true => format!("the {MOST_CURVES} of {all} that are told worst"),
        false => String::new(),
    };
    let drawn = roc_and_precision(&curves, &left_out);
    html! {
        div.figures {
            @if let Some(drawn) = &drawn { (drawn) }
            @if let Some(calibration) = answers.calibration() { (calibration_chart(&calibration)) }
        }
        @if drawn.is_none() { p.note { "No ROC curve: the rows are of one class." } }
    }
}

/// The two charts of curves, each with a place among the colours; none where the rows are of one class.
pub fn roc_and_precision(curves: &[(usize, Curve)], left_out: &str) -> Option<Markup> {
    let series = |points: &dyn Fn(&Curve) -> Option<Points>,
                  worth: &dyn Fn(&Curve) -> Option<f64>| {
        let drawn = curves.iter().filter_map(|(place, curve)| {
            Some(Series {
                name: format!("{} {:.4}", curve.name, worth(curve)?),
                color: *place,
                shape: Shape::Line,
                points: points(curve)?,
            })
        });
        drawn.collect::<Vec<_>>()
    };
    let mut roc = series(&|curve| curve.roc(), &|curve| curve.area());
    if roc.is_empty() {
        return None;
    }
    roc.insert(0, guide((0.0, 0.0), (1.0, 1.0)));
    let roc = Chart {
        x: share("false alarms, of all that are not"),
        y: share("found, of all that are"),
        series: roc,
    };
    let precision = Chart {
        x: share("recall"),
        y: share("precision"),
        series: series(&|curve| curve.precision_recall(), &|curve| {
            curve.average_precision()
        }),
    };
    Some(html! {
        (figure("ROC curve", &joined("area under it", left_out), &roc))
        (figure("Precision and recall", &joined("average precision", left_out), &precision))
    })
}

fn joined(first: &str, second: &str) -> String {
    match second {
        "" => first.to_string(),
        second => format!("{first}; {second}"),
    }
}

fn calibration_chart(calibration: &Calibration) -> Markup {
    let points = calibration.bins.iter().map(|bin| (bin.said, bin.so));
    let chart = Chart {
        x: share("probability that is said"),
        y: share("how often it is so"),
        series: vec![
            guide((0.0, 0.0), (1.0, 1.0)),
            Series {
                name: String::new(),
                color: 0,
                shape: Shape::Joined,
                points: points.collect(),
            },
        ],
    };
    let note = format!("off by {} on average", percent(calibration.error));
    figure("Calibration of the probabilities", &note, &chart)
}

/// Predictions and what is left of them, for each target.
fn errors(answers: &Answers, numbers: &[Regression]) -> Markup {
    let (outputs, labels) = (answers.outputs(), answers.labels());
    let step = outputs.nrows().div_ceil(MOST_DOTS).max(1);
    let note = match step {
        1 => String::new(),
        step => format!("every {step}th row"),
    };
    let charts = |target: usize| {
        let pair = |row: usize| {
            (
                f64::from(labels[[row, target]]),
                f64::from(outputs[[row, target]]),
            )
        };
        let rows = || (0..outputs.nrows()).step_by(step).map(pair);
        let ends =
            |(low, high): (f64, f64), (truth, _): (f64, f64)| (low.min(truth), high.max(truth));
        let (low, high) = rows().fold((f64::INFINITY, f64::NEG_INFINITY), ends);
        let left = (0..outputs.nrows()).map(|row| labels[[row, target]] - outputs[[row, target]]);
        let dots = |points: Vec<(f64, f64)>| Series {
            name: String::new(),
            color: 0,
            shape: Shape::Dots,
            points,
        };
        let said = rows().map(|(_, said)| said);
        let (least, greatest) = (
            said.clone().fold(f64::INFINITY, f64::min),
            said.fold(f64::NEG_INFINITY, f64::max),
        );
        let axis = |name: &'static str| Axis {
            name,
            ..Axis::default()
        };
        let predicted = Chart {
            x: axis("true"),
            y: axis("predicted"),
            series: vec![dots(rows().collect()), guide((low, low), (high, high))],
        };
        let residuals = Chart {
            x: axis("predicted"),
            y: axis("true less predicted"),
            series: vec![
                dots(rows().map(|(truth, said)| (said, truth - said)).collect()),
                guide((least, 0.0), (greatest, 0.0)),
            ],
        };
        (predicted, residuals, histogram("true less predicted", left))
    };
    html! {
        @for (target, of) in numbers.iter().enumerate().take(MOST_TARGETS) {
            @let (predicted, residuals, spread) = charts(target);
            @if numbers.len() > 1 { h3 { (visible(&of.name)) } }
            div.figures {
                (figure("Predicted against true", &note, &predicted))
                (figure("Residuals", &note, &residuals))
                @if let Some(spread) = spread { (figure("How residuals are spread", "", &spread)) }
            }
        }
        @if numbers.len() > MOST_TARGETS { p.note { "Charts of the first " (MOST_TARGETS) " of " (numbers.len()) " targets." } }
    }
}

/// Numbers of values; none where there are none.
pub fn histogram(name: &'static str, values: impl Iterator<Item = f32> + Clone) -> Option<Chart> {
    const BINS: usize = 30;
    let Histogram { low, high, counts } = Histogram::new(values, BINS)?;
    let width = (high - low) / BINS as f64;
    let bar = |(place, &count): (usize, &usize)| (low + place as f64 * width, count as f64);
    Some(Chart {
        x: Axis {
            name,
            within: Some((low, high)),
            ..Axis::default()
        },
        y: Axis {
            within: Some((0.0, 1.0)),
            whole: true,
            ..Axis::default()
        },
        series: vec![Series {
            name: String::new(),
            color: 0,
            shape: Shape::Bars(width),
            points: counts.iter().enumerate().map(bar).collect(),
        }],
    })
}
