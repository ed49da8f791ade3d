//! Loss and metrics over the epochs of a training.

use maud::{Markup, html};
use thumbnet_trainer::{
    History, Sequential, callbacks::Direction, history::metric_name, training::ValidationFrequency,
};

use super::{
    chart::{Axis, Chart, Points, Series, Shape},
    page::{figure, number},
};

/// What a training reported, and its best epoch.
pub struct Curves<'a> {
    history: &'a History,
    validated: &'a ValidationFrequency,
    best: Option<Best>,
}

/// The best epoch by one value.
struct Best {
    name: String,
    /// From 1.
    epoch: usize,
    value: f64,
}

impl<'a> Curves<'a> {
    /// * `validated` - the epochs after which there was a validation
    /// * `monitor`, `mode` - the value that says which epoch is best, and which way
    pub fn new(
        history: &'a History,
        validated: &'a ValidationFrequency,
        model: &Sequential,
        monitor: &str,
        mode: Direction,
    ) -> Self {
        let upwards = mode.upwards(monitor, model);
        let mut curves = Self {
            history,
            validated,
            best: None,
        };
        let finite = curves.points(monitor).into_iter();
        let finite = finite.filter(|(_, value)| value.is_finite());
        curves.best = upwards.and_then(|upwards| {
            let worth = |value: f64| if upwards { value } else { -value };
            // The first of equal ones, as early stopping keeps it.
            let better = |best: (f64, f64), next: (f64, f64)| match worth(next.1) > worth(best.1) {
                true => next,
                false => best,
            };
            finite.reduce(better).map(|(epoch, value)| Best {
                name: monitor.to_string(),
                epoch: epoch as usize,
                value,
            })
        });
        curves
    }

    /// Epochs, from 1, and the values of a name in them.
    fn points(&self, name: &str) -> Points {
        let values = self.history.get(name).unwrap_or_default();
        let epochs = self.history.epoch.iter();
        let all = values.len() == self.history.epoch.len();
        let had = |epoch: &&usize| all || self.validated.includes(**epoch);
        let epochs = epochs.filter(had).map(|&epoch| (epoch + 1) as f64);
        epochs.zip(values).collect()
    }

    /// A chart for the loss and for each metric, with training, validation and the device's arithmetic
    /// as series.
    pub fn charts(&self) -> Vec<(String, Chart)> {
        let mut names: Vec<&str> = Vec::new();
        for name in self.history.names().map(metric_name) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        // The loss comes first, whatever the metrics are called.
        names.sort_by_key(|name| *name != "loss");
        names
            .into_iter()
            .map(|name| (name.to_string(), self.chart(name)))
            .collect()
    }

    fn chart(&self, name: &str) -> Chart {
        let series = |(color, (prefix, said)): (usize, (&str, &str))| Series {
            name: said.to_string(),
            color,
            shape: Shape::Line,
            points: self.points(&format!("{prefix}{name}")),
        };
        let kinds = [
            ("", "training"),
            ("val_", "validation"),
            ("val_q_", "validation, device's arithmetic"),
        ];
        let mut series: Vec<Series> = kinds
            .into_iter()
            .enumerate()
            .map(series)
            .filter(|series| !series.points.is_empty())
            .collect();
        let values = || series.iter().flat_map(|series| &series.points);
        let finite = || values().map(|(_, value)| *value).filter(|v| v.is_finite());
        let low = finite().fold(f64::INFINITY, f64::min);
        let high = finite().fold(f64::NEG_INFINITY, f64::max);
        // One epoch is a dot.
        let single = series.iter().any(|series| series.points.len() == 1);
        if single {
            series
                .iter_mut()
                .for_each(|series| series.shape = Shape::Joined);
        }
        if let (Some(best), true) = (&self.best, low < high) {
            let epoch = best.epoch as f64;
            series.push(Series {
                name: String::new(),
                color: 0,
                shape: Shape::Guide,
                points: vec![(epoch, low), (epoch, high)],
            });
        }
        Chart {
            x: Axis {
                name: "epoch",
                whole: true,
                ..Axis::default()
            },
            y: Axis {
                // What falls by so much shows nothing of its end on even steps.
                logarithmic: low > 0.0 && high > 50.0 * low,
                ..Axis::default()
            },
            series,
        }
    }

    pub fn section(&self) -> Markup {
        let charts = self.charts();
        html! {
            h2 { "Training" }
            @if let Some(best) = &self.best {
                p { "Best " (best.name) " " (number(best.value)) " in epoch " (best.epoch) " (the upright line), of " (self.history.epoch.len()) " trained." }
            }
            @if charts.is_empty() { p.note { "No epoch was trained." } }
            div.figures { @for (name, chart) in &charts { (figure(name, "", chart)) } }
        }
    }
}
