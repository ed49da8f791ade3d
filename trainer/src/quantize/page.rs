//! The report as one HTML file that needs nothing else.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::comparison::Comparison;
use super::report::{LayerReport, Report};
use super::score::Score;
use crate::figures::thousands;

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --bar: #3b82c4; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; background: var(--soft); }
svg { display: block; } rect.all { fill: var(--line); } rect.part { fill: var(--bar); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .8rem; }
.card { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem; }
.card b { display: block; font-size: 1.3rem; }
.note, .card span { color: #888; font-size: .9rem; }
";

impl Report {
    /// One self-contained HTML page; `name` is the blob's.
    pub fn to_html(&self, name: &str) -> String {
        let title = format!("{name}: float against the device");
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    h1 { (title) }
                    (self.cards())
                    h2 { "What quantization does to the outputs" }
                    (self.comparisons())
                    (self.warnings())
                    h2 { "Layers" }
                    (self.layer_table())
                    (self.advice())
                    h2 { "Cost on the device" }
                    (self.costs())
                    h2 { "Proven from the weights" }
                    (self.proofs())
                    h2 { "How it was quantized" }
                    (self.choices())
                }
            }
        }
        .into_string()
    }

    fn cards(&self) -> Markup {
        let compared = self.evaluation.as_ref().unwrap_or(&self.calibration);
        html! {
            div.cards {
                @if let Some(score) = compared.score {
                    (card(&score_text(score.name, score.device), &format!("{} on the device, {} in float", score.name.name(), score_text(score.name, score.float))))
                }
                @if let Some(agreement) = compared.agreement {
                    (card(&percent(agreement), &format!("of {} rows decided as in float", thousands(compared.rows))))
                }
                (card(&format!("{} B", thousands(self.flash_bytes)), "of flash"))
                (card(&format!("{} B", thousands(self.ram_bytes)), "of RAM for a prediction, without the stack"))
            }
        }
    }

    /// What the calibration rows cannot tell, and those that were left out.
    fn warnings(&self) -> Markup {
        html! {
            @for caution in &self.cautions { p.note { strong { "Caution: " } (caution) "." } }
            @if let Some(far) = self.far_rows.first() {
                p.note {
                    strong { "Left out: " }
                    (thousands(self.far_rows.len())) " calibration rows that lie far from all others ("
                    (self.far_rows.iter().map(|far| far.row.to_string()).collect::<Vec<_>>().join(", "))
                    "), such as " (number(far.value)) " in input " (far.input) ", where 90 % lie from "
                    (number(far.low)) " to " (number(far.high)) "."
                }
            }
        }
    }

    fn comparisons(&self) -> Markup {
        let evaluation = self
            .evaluation
            .as_ref()
            .map(|rows| ("rows to evaluate on", rows));
        let compared: Vec<(&str, &Comparison)> = evaluation
            .into_iter()
            .chain([("calibration rows", &self.calibration)])
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

    fn layer_table(&self) -> Markup {
        html! {
            table {
                tr {
                    th { "layer" } th { "shape" } th { "type" } th { "signal to noise" } th {}
                    th { "clipped" }
                }
                @for step in &self.first { tr { td colspan="6" { (step) ", in float32" } } }
                @for layer in &self.layers {
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

    fn advice(&self) -> Markup {
        html! { p { (self.advice_text()) } }
    }

    fn costs(&self) -> Markup {
        html! {
            table {
                tr { td { "flash" } td { (thousands(self.flash_bytes)) " bytes" } }
                tr { td { "scratch memory" } td { (thousands(self.scratch_bytes)) " bytes" } }
                tr { td { "RAM: scratch, a row of inputs, one of outputs" } td { (thousands(self.ram_bytes)) " bytes" } }
                tr { td { "multiply-accumulates" } td { (thousands(self.macs)) } }
                @for estimate in &self.instructions {
                    tr { td { "instructions on " (estimate.core) } td { "about " (thousands(estimate.instructions as usize)) } }
                }
            }
            p.note {
                "Instructions are an estimate, from counts of such layers in QEMU: not cycles, which a \
                 board's pipeline and flash decide. The stack comes on top of the RAM."
            }
        }
    }

    fn proofs(&self) -> Markup {
        let bound = self.error_bound.as_ref();
        let largest = bound.map(|bound| bound.iter().copied().fold(0.0, f64::max));
        html! {
            table {
                tr { th { "layer" } th { "largest possible sum" } th { "accumulator holds" } th {} }
                @for layer in &self.layers {
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
            @if let Some(largest) = largest {
                p {
                    "No input whatsoever overflows an accumulator. For any input between the smallest and \
                     the largest values of the calibration rows, no output differs from float by more than "
                    (number(largest))
                    "."
                }
                p.note { "The bound adds up errors that cancel in practice; what was measured is above." }
            } @else {
                p {
                    "No input whatsoever overflows an accumulator. How far an output can be from float is not \
                     proven: the model normalizes by a sample's own deviation, which may be as small as you like."
                }
            }
        }
    }

    fn choices(&self) -> Markup {
        let yes = |chosen: bool| if chosen { "yes" } else { "no" };
        html! {
            table {
                tr { td { "ranges of the inputs, then of each layer's outputs" } td { (self.ranges.join(", ")) } }
                tr { td { "a range for every input" } td { (yes(self.range_per_feature)) } }
                tr { td { "weight scales by the error of the sums" } td { (yes(self.least_error_weights)) } }
                tr { td { "scales evened out between layers" } td { (yes(self.equalized)) } }
                tr { td { "mean errors taken off the biases" } td { (yes(self.bias_corrected)) } }
            }
        }
    }

    /// The layer that costs most, and what to do, in a sentence.
    pub fn advice_text(&self) -> String {
        let Some(weakest) = &self.weakest else {
            return "float32 in no single layer would lower the error".to_owned();
        };
        let cause = format!(
            "{:.0} % of the squared error comes from {} ({})",
            100.0 * weakest.share.min(1.0),
            weakest.layer,
            weakest.data_type
        );
        match &weakest.fix {
            None => format!("{cause}; the outputs are clean, nothing needs to be done"),
            Some(fix) => format!(
                "{cause}; cheapest fix: --dtype {} takes off {:.0} % for {} bytes of flash",
                fix.dtype,
                100.0 * fix.share,
                fix.flash_bytes
            ),
        }
    }
}

fn card(value: &str, text: &str) -> Markup {
    html! { div.card { b { (value) } span { (text) } } }
}

/// A bar for a share from 0 to 1.
fn bar(share: f64) -> Markup {
    let width = format!("{:.1}", 120.0 * share.clamp(0.0, 1.0));
    html! {
        svg width="120" height="10" {
            rect.all width="120" height="10" rx="2" {}
            rect.part width=(width) height="10" rx="2" {}
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

/// Four places, or an exponent where those say nothing.
fn number(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        0.001..100_000.0 => format!("{value:.4}"),
        value => format!("{value:.2e}"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}
