//! What quantization does to a model: a page of its own, and a section of others.

use maud::{Markup, html};
use thumbnet_trainer::{
    Result,
    figures::thousands,
    quantize::{Comparison, DeviceModel, LayerReport, Report, Score},
};

use super::{
    page::{bar, card, number, page, percent},
    picture,
};

/// One self-contained page on the blob called `name`.
///
/// # Errors
///
/// As [`DeviceModel::predict`].
pub fn to_html(report: &Report, device: &DeviceModel, name: &str) -> Result<String> {
    let body = html! {
        (cards(report))
        h2 { "What quantization does to the outputs" }
        (section(report))
        @if let Some(picture) = picture::section(report, device)? { (picture) }
    };
    Ok(page(&format!("{name}: float against the device"), &body))
}

/// All but the first figures; within another page under a heading of its own.
pub fn section(report: &Report) -> Markup {
    html! {
        (comparisons(report))
        (warnings(report))
        h3 { "Layers" }
        (layer_table(report))
        p { (report.advice_text()) }
        h3 { "Cost on the device" }
        (costs(report))
        h3 { "Proven from the weights" }
        (proofs(report))
        h3 { "How it was quantized" }
        (choices(report))
    }
}

fn cards(report: &Report) -> Markup {
    let compared = report.evaluation.as_ref().unwrap_or(&report.calibration);
    html! {
        div.cards {
            @if let Some(score) = compared.score {
                (card(&score_text(score.name, score.device), &format!("{} on the device, {} in float", score.name.name(), score_text(score.name, score.float))))
            }
            @if let Some(agreement) = compared.agreement {
                (card(&percent(agreement), &format!("of {} rows decided as in float", thousands(compared.rows))))
            }
            (card(&format!("{} B", thousands(report.flash_bytes)), "of flash"))
            (card(&format!("{} B", thousands(report.ram_bytes)), "of RAM for a prediction, without the stack"))
        }
    }
}

/// What the calibration rows cannot tell, and those that were left out.
fn warnings(report: &Report) -> Markup {
    html! {
        @for caution in &report.cautions { p.note { strong { "Caution: " } (caution) "." } }
        @if let Some(far) = report.far_rows.first() {
            p.note {
                strong { "Left out: " }
                (thousands(report.far_rows.len())) " calibration rows that lie far from all others ("
                (report.far_rows.iter().map(|far| far.row.to_string()).collect::<Vec<_>>().join(", "))
                "), such as " (number(far.value)) " in input " (far.input) ", where 90 % lie from "
                (number(far.low)) " to " (number(far.high)) "."
            }
        }
    }
}

fn comparisons(report: &Report) -> Markup {
    let evaluation = report
        .evaluation
        .as_ref()
        .map(|rows| ("rows to evaluate on", rows));
    let compared: Vec<(&str, &Comparison)> = evaluation
        .into_iter()
        .chain([("calibration rows", &report.calibration)])
        .collect();
    let row = |name: &str, value: &dyn Fn(&Comparison) -> Option<String>| {
        let values: Vec<_> = compared.iter().map(|(_, c)| value(c)).collect();
        html! {
            @if values.iter().any(Option::is_some) {
                tr {
                    td { (name) }
                    @for value in &values { td { (value.as_deref().unwrap_or("–")) } }
                }
            }
        }
    };
    html! {
        table {
            tr { th {} @for (name, _) in &compared { th { (name) } } }
            (row("rows", &|c| Some(thousands(c.rows))))
            (row("score in float", &|c| c.score.map(|s| format!("{} {}", s.name.name(), score_text(s.name, s.float)))))
            (row("score on the device", &|c| c.score.map(|s| format!("{} {}", s.name.name(), score_text(s.name, s.device)))))
            (row("decided as in float", &|c| c.agreement.map(percent)))
            (row("largest difference of an output", &|c| Some(number(c.worst_difference))))
            (row("mean difference", &|c| Some(number(c.mean_difference))))
            (row("mean squared difference", &|c| Some(number(c.mean_squared_difference))))
        }
    }
}

fn layer_table(report: &Report) -> Markup {
    html! {
        table {
            tr {
                th { "layer" } th { "shape" } th { "type" } th { "signal to noise" } th {}
                th { "clipped" }
            }
            @for step in &report.first { tr { td colspan="6" { (step) ", in float32" } } }
            @for layer in &report.layers {
                tr {
                    td { (layer.name) }
                    td {
                        @if layer.rows > 1 { (layer.rows) " of " }
                        (layer.inputs) " → " (layer.units)
                    }
                    td { (layer.data_type) }
                    td { (decibels(layer)) }
                    // 80 dB is as good as it gets to the eye.
                    td { (bar(layer.signal_to_noise_db.unwrap_or(80.0) / 80.0)) }
                    td { (percent(layer.saturated)) }
                }
                @for step in &layer.then { tr { td colspan="6" { (step) ", in float32" } } }
            }
        }
        p.note {
            "Signal to noise: of the layer's outputs on the calibration rows against the float \
             model, everything before it included. Clipped: outputs beyond the range of their \
             integers."
        }
    }
}

fn costs(report: &Report) -> Markup {
    html! {
        table {
            tr { td { "flash" } td { (thousands(report.flash_bytes)) " bytes" } }
            tr { td { "scratch memory" } td { (thousands(report.scratch_bytes)) " bytes" } }
            tr { td { "RAM: scratch, a row of inputs, one of outputs" } td { (thousands(report.ram_bytes)) " bytes" } }
            tr { td { "multiply-accumulates" } td { (thousands(report.macs)) } }
            @for estimate in &report.instructions {
                tr { td { "instructions on " (estimate.core) } td { "about " (thousands(estimate.instructions as usize)) } }
            }
        }
        p.note {
            "Instructions are an estimate, from counts of such layers in QEMU: not cycles, which a \
             board's pipeline and flash decide. The stack comes on top of the RAM."
        }
    }
}

fn proofs(report: &Report) -> Markup {
    html! {
        table {
            tr { th { "layer" } th { "largest possible sum" } th { "accumulator holds" } th {} }
            @for layer in &report.layers {
                @if let (Some(sum), Some(limit)) = (layer.largest_sum, layer.accumulator_limit) {
                    tr {
                        td { (layer.name) }
                        td { (thousands(sum as usize)) }
                        td { (thousands(limit as usize)) }
                        td { (bar(sum as f64 / limit as f64)) }
                    }
                }
            }
        }
        @if let Some((bound, how)) = report.proven_difference() {
            p {
                "No input whatsoever overflows an accumulator. For any input between the smallest and \
                 the largest values of the calibration rows, no output differs from float by more than "
                (number(bound))
                ", " (how) "."
            }
            @if report.largest_difference.is_none() {
                p.note { "The bound adds up errors that cancel in practice; what was measured is above." }
            }
        } @else {
            p {
                "No input whatsoever overflows an accumulator. How far an output can be from float is not \
                 proven: the model normalizes by a sample's own deviation, which may be as small as you like."
            }
        }
    }
}

fn choices(report: &Report) -> Markup {
    let yes = |chosen: bool| if chosen { "yes" } else { "no" };
    html! {
        table {
            tr { td { "ranges of the inputs, then of each layer's outputs" } td { (report.ranges.join(", ")) } }
            tr { td { "a range for every input" } td { (yes(report.range_per_feature)) } }
            tr { td { "weight scales by the error of the sums" } td { (yes(report.least_error_weights)) } }
            tr { td { "scales evened out between layers" } td { (yes(report.equalized)) } }
            tr { td { "mean errors taken off the biases" } td { (yes(report.bias_corrected)) } }
        }
    }
}

fn decibels(layer: &LayerReport) -> String {
    match layer.signal_to_noise_db {
        Some(ratio) => format!("{ratio:.1} dB"),
        None => "exact".to_owned(),
    }
}

fn score_text(score: Score, value: f64) -> String {
    match score {
        Score::R2 => number(value),
        Score::Accuracy | Score::BinaryAccuracy { .. } => percent(value),
    }
}
