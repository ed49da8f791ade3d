//! All outputs of a model of one or two inputs.

use maud::{Markup, html};
use ndarray::Array2;
use thumbnet_trainer::{
    Result,
    quantize::{DeviceModel, Report},
};

use super::{
    chart::{Axis, Chart, Series, Shape, color},
    page::{figure, number},
};

/// Values of the only input, from the smallest to the largest of the calibration rows.
const POINTS: usize = 1001;
/// Values of each of two inputs.
const SIDE: usize = 41;
/// Outputs that can be told apart.
const MOST_OUTPUTS: usize = 10;

/// The outputs as the device has them, over the range of the inputs; none of models with more of either.
///
/// # Errors
///
/// As [`DeviceModel::predict`].
pub fn section(report: &Report, device: &DeviceModel) -> Result<Option<Markup>> {
    if device.outputs() > MOST_OUTPUTS {
        return Ok(None);
    }
    let value = |input: usize, share: f64| {
        let (low, high) = (report.input_low[input], report.input_high[input]);
        low + share * (high - low)
    };
    let name = |place: usize| match device.class_names().get(place) {
        Some(name) if device.outputs() > 1 => name.clone(),
        _ => format!("output {}", place + 1),
    };
    Ok(match device.inputs() {
        1 => {
            let step = |row: usize| row as f64 / (POINTS - 1) as f64;
            let x = Array2::from_shape_fn((POINTS, 1), |(row, _)| value(0, step(row)) as f32);
            let y = device.predict(&x)?;
            let points = |output: usize| {
                let values = y.iter().skip(output).step_by(device.outputs());
                let rows = x.iter().zip(values);
                rows.map(|(&x, &y)| (f64::from(x), f64::from(y))).collect()
            };
            let series = (0..device.outputs()).map(|output| Series {
                name: name(output),
                color: output,
                shape: Shape::Line,
                points: points(output),
            });
            let axis = |name| Axis {
                name,
                ..Axis::default()
            };
            let chart = Chart {
                x: axis("input"),
                y: axis("output"),
                series: series.collect(),
            };
            Some(html! {
                h2 { "All outputs" }
                div.figures { (figure("Outputs over the input", "as the device computes them", &chart)) }
            })
        }
        2 => {
            let step = |place: usize| (place as f64 + 0.5) / SIDE as f64;
            let x = Array2::from_shape_fn((SIDE * SIDE, 2), |(row, input)| {
                value(input, step([row % SIDE, row / SIDE][input])) as f32
            });
            let y = device.predict(&x)?;
            let y: Vec<Vec<f32>> = y
                .outer_iter()
                .map(|y| y.iter().copied().collect())
                .collect();
            let (low, high) = y
                .iter()
                .flatten()
                .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &y| {
                    (low.min(y), high.max(y))
                });
            // Of several outputs the largest one, the fainter the nearer the second is.
            let cell = |row: &[f32]| {
                let best =
                    (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]).then(b.cmp(&a)));
                let best = best.unwrap_or(0);
                let share = (row[best] - low) / (high - low).max(f32::MIN_POSITIVE);
                (color(best), format!("{:.2}", 0.1 + 0.9 * share))
            };
            let side = 8 * SIDE;
            Some(html! {
                h2 { "All outputs" }
                figure {
                    figcaption {
                        "Outputs over both inputs " span { "as the device computes them: to the right the first input, from " (number(report.input_low[0])) " to " (number(report.input_high[0])) ", upwards the second, from " (number(report.input_low[1])) " to " (number(report.input_high[1])) "; from " (number(low.into())) " (faint) to " (number(high.into())) }
                    }
                    @if device.outputs() > 1 {
                        ul.legend {
                            @for output in 0..device.outputs() {
                                li { i style=(format!("background:{}", color(output))) {} (name(output)) }
                            }
                        }
                    }
                    svg viewBox=(format!("0 0 {side} {side}")) width=(side) height=(side) role="img" aria-label="outputs over both inputs" {
                        @for (place, row) in y.iter().enumerate() {
                            @let (fill, opacity) = cell(row);
                            rect x=(8 * (place % SIDE)) y=(8 * (SIDE - 1 - place / SIDE)) width="8" height="8" fill=(fill) fill-opacity=(opacity) {}
                        }
                    }
                }
            })
        }
        _ => None,
    })
}
