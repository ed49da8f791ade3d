//! `thumbnet inspect`: what a device model holds and what it needs.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use thumbnet_boards::Hardware;
use thumbnet_runtime as runtime;
use thumbnet_trainer::{figures::thousands, quantize::DeviceModel};

use super::{Failure, Outcome, console, firmware::Place, fit::Fit, models::is_device, values};

/// Layers, sizes and labels of a device model
#[derive(Debug, Args)]
#[command(after_help = "Example: thumbnet inspect model.tnet")]
pub struct Inspect {
    /// Device model (.tnet)
    model: PathBuf,
    /// Board, see thumbnet boards: what the model takes of it, and if it does not fit, what would make it fit
    #[arg(long, value_name = "NAME", value_parser = values::board)]
    board: Option<&'static Hardware>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Inspect {
    pub fn run(&self) -> Outcome {
        if !is_device(&self.model)? {
            return Err(Failure::usage(format!(
                "{0} is no device model, expected a .tnet file; use thumbnet summary {0} for a Keras file",
                self.model.display()
            )));
        }
        let device = DeviceModel::load(&self.model)?;
        let sizes = Sizes::of(&device);
        let place = self.board.map(Place::board);
        let fit = place.as_ref().map(|place| Fit::of(&device, place));
        if self.json {
            let mut json = sizes.json(&device);
            if let Some(fit) = fit {
                json["board"] = fit.json();
            }
            return console::print_json(&json);
        }
        let mut text = sizes.text(&device, &self.model.display().to_string());
        if let Some(fit) = fit {
            text.push_str(&fit.text());
            if !fit.fits() {
                text.push_str(&format!("  advice      {}\n", fit.advice(None)));
            }
        }
        console::print(&text)
    }
}

/// What a model costs on the device.
pub struct Sizes {
    pub flash_bytes: usize,
    pub scratch_bytes: usize,
    pub macs: usize,
}

impl Sizes {
    pub fn of(device: &DeviceModel) -> Self {
        let model = device.model();
        Self {
            flash_bytes: device.bytes().len(),
            scratch_bytes: model.scratch_len() * 4,
            macs: model.macs(),
        }
    }

    fn json(&self, device: &DeviceModel) -> serde_json::Value {
        let model = device.model();
        let layers: Vec<_> = model
            .layers()
            .map(|layer| {
                json!({
                    "operation": operation(layer.operation),
                    "inputs": layer.inputs,
                    "units": layer.units,
                    "rows": layer.rows,
                    "output": element(layer.output),
                    "activation": layer.activation.name(),
                    "packing": format!("{:?}", layer.packing).to_lowercase(),
                    "macs": layer.macs,
                    "bytes": layer.bytes,
                })
            })
            .collect();
        json!({
            "version": runtime::VERSION,
            "inputs": model.inputs(),
            "outputs": model.outputs(),
            "input_names": device.input_names(),
            "labels": device.labels(),
            "threshold": model.threshold(),
            "anomaly_above": model.anomaly_above(),
            "unknown_below": model.unknown_below(),
            "macs": self.macs,
            "flash_bytes": self.flash_bytes,
            "scratch_bytes": self.scratch_bytes,
            "scratch_words": model.scratch_len(),
            "self_test": self_test(device),
            "layers": layers,
        })
    }

    fn text(&self, device: &DeviceModel, name: &str) -> String {
        let model = device.model();
        let mut text = format!(
            "{name}: thumbnet model, format {}, checksum right\n\n",
            runtime::VERSION
        );
        let mut line = |key: &str, value: String| text.push_str(&format!("  {key:<12}{value}\n"));
        line("inputs", model.inputs().to_string());
        let names = device.input_names();
        if !names.is_empty() {
            line("names", names.join(", "));
        }
        line("outputs", model.outputs().to_string());
        let labels = device.labels();
        if !labels.is_empty() {
            line("labels", labels.join(", "));
        }
        if let Some(threshold) = model.threshold() {
            line("threshold", threshold.to_string());
        }
        if let Some(above) = model.anomaly_above() {
            line("anomaly", format!("a score above {above}"));
        }
        if let Some(below) = model.unknown_below() {
            line("unknown", format!("a class less probable than {below}"));
        }
        line("flash", format!("{} bytes", thousands(self.flash_bytes)));
        line(
            "scratch",
            format!(
                "{} bytes ({} words)",
                thousands(self.scratch_bytes),
                model.scratch_len()
            ),
        );
        line(
            "work",
            format!("{} multiply-accumulates", thousands(self.macs)),
        );
        line("self-test", self_test(device));
        text.push_str(&format!(
            "\n  {:<19} {:>7} {:>7}  {:<9} {:<11} {:<7} {:>9}\n",
            "layer", "inputs", "units", "output", "activation", "packing", "bytes"
        ));
        for layer in model.layers() {
            text.push_str(&format!(
                "  {:<19} {:>7} {:>7}  {:<9} {:<11} {:<7} {:>9}\n",
                operation(layer.operation),
                layer.inputs,
                layer.units,
                element(layer.output),
                layer.activation.name(),
                format!("{:?}", layer.packing).to_lowercase(),
                thousands(layer.bytes),
            ));
        }
        text
    }
}

/// `passed`, or what differs.
fn self_test(device: &DeviceModel) -> String {
    self_test_error(device).map_or("passed".to_string(), |error| error.to_string())
}

/// What differs in the model's own test, if anything does.
pub fn self_test_error(device: &DeviceModel) -> Option<runtime::Error> {
    let model = device.model();
    let mut scratch = vec![0; model.scratch_len()];
    let mut outputs = vec![0.0; model.outputs()];
    model.self_test(&mut scratch, &mut outputs).err()
}

pub fn operation(operation: runtime::Operation) -> String {
    use runtime::Operation;
    match operation {
        Operation::QuantizeTensor => "quantize".to_string(),
        Operation::QuantizeFeatures => "quantize features".to_string(),
        Operation::DenseInt8 => "dense int8".to_string(),
        Operation::DenseInt4 => "dense int4".to_string(),
        Operation::DenseInt16 => "dense int16x8".to_string(),
        Operation::DenseFloat => "dense f32".to_string(),
        Operation::Normalize => "normalize".to_string(),
        Operation::Prelu => "slopes below zero".to_string(),
        Operation::MaxPool => "max_pool".to_string(),
        Operation::Lookup => "lookup".to_string(),
        Operation::RowsInt8 => "rows, dense int8".to_string(),
        Operation::RowsInt4 => "rows, dense int4".to_string(),
        Operation::RowsInt16 => "rows, dense int16x8".to_string(),
        Operation::RowsFloat => "rows, dense f32".to_string(),
    }
}

fn element(element: runtime::Element) -> &'static str {
    use runtime::Element;
    match element {
        Element::Int8 => "int8",
        Element::Int8Wide => "int8 (16)",
        Element::Int16 => "int16",
        Element::Float => "f32",
    }
}
