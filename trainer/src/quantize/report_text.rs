//! A report as text for a terminal.

use std::fmt;

use super::{Comparison, Report};
use crate::figures::thousands;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(self))
    }
}

impl Report {
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

/// What to know before flashing, in lines.
fn text(report: &Report) -> String {
    let mut lines = Vec::new();
    if let Some(evaluation) = &report.evaluation {
        lines.extend(comparison("rows to evaluate on", evaluation));
    }
    lines.extend(comparison("calibration rows", &report.calibration));
    if let Some(left_out) = &report.left_out {
        lines.extend(comparison(
            "of them, each left out of the calibration once",
            &left_out.comparison,
        ));
        // Counts of rows are far below 2^52.
        let share = left_out.clipped as f64 / left_out.comparison.rows.max(1) as f64;
        lines.push(format!(
            "rows to come: about {:.1} % have an input beyond its range, which is clipped ({} of {} left out)",
            100.0 * share,
            thousands(left_out.clipped),
            thousands(left_out.comparison.rows)
        ));
    }
    let cautions = report.cautions.iter();
    lines.extend(cautions.map(|caution| format!("caution: {caution}")));
    lines.push(String::new());
    let width = report.layers.iter().map(|layer| layer.name.len()).max();
    let width = width.unwrap_or(0).max(5);
    lines.push(format!(
        "  {:<width$}  {:>11}  {:<8} {:>15} {:>8}",
        "layer", "shape", "type", "signal to noise", "clipped"
    ));
    let step = |step: &String| format!("    {step}, in float32");
    lines.extend(report.first.iter().map(step));
    for layer in &report.layers {
        lines.push(format!(
            "  {:<width$}  {:>11}  {:<8} {:>15} {:>6.2} %",
            layer.name,
            layer.shape(),
            layer.data_type,
            layer
                .signal_to_noise_db
                .map_or("exact".to_string(), |ratio| format!("{ratio:.1} dB")),
            100.0 * layer.saturated
        ));
        lines.extend(layer.then.iter().map(step));
    }
    lines.push(String::new());
    lines.push(report.advice_text());
    lines.push(format!(
        "RAM for a prediction: {} bytes (scratch, a row of inputs, one of outputs), and the stack",
        thousands(report.ram_bytes)
    ));
    let instructions: Vec<String> = report
        .instructions
        .iter()
        .map(|core| format!("{} on {}", thousands(core.instructions as usize), core.core))
        .collect();
    if !instructions.is_empty() {
        lines.push(format!(
            "instructions, estimated from counts in QEMU (not cycles): {}",
            instructions.join(", ")
        ));
    }
    lines.push(format!("proven: {}", report.proven()));
    lines.join("\n")
}

/// Float against device on rows, in one or two lines.
fn comparison(rows: &str, compared: &Comparison) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(score) = compared.score {
        lines.push(format!(
            "{} on {} {rows}: {:.4} in float, {:.4} on the device",
            score.name.name(),
            thousands(compared.rows),
            score.float,
            score.device
        ));
    }
    let classes = match compared.agreement {
        Some(share) => format!("decided the same for {:.2} %, ", 100.0 * share),
        None => String::new(),
    };
    lines.push(format!(
        "against float32 on {} {rows}: {classes}outputs differ by {:.2e} at most, {:.2e} on average",
        thousands(compared.rows),
        compared.worst_difference,
        compared.mean_difference
    ));
    lines
}
