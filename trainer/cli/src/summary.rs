//! `thumbnet summary`: Keras' table of a model.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use thumbnet_trainer::{layers::Layer, saving::Loaded, sequential::SummaryOptions};

use super::{Failure, Outcome, console, models::is_device, values::positive};

/// Layers, output shapes and numbers of parameters of a Keras file
#[derive(Debug, Args)]
#[command(after_help = "Example: thumbnet summary model.h5")]
pub struct Summary {
    /// Keras file (.h5 or .keras)
    model: PathBuf,
    /// Width of the table in characters
    #[arg(long, value_name = "N", value_parser = positive::<usize>)]
    line_length: Option<usize>,
    /// Show which layers learn
    #[arg(long)]
    show_trainable: bool,
    /// Print one JSON object
    #[arg(long, conflicts_with_all = ["line_length", "show_trainable"])]
    json: bool,
}

impl Summary {
    pub fn run(&self) -> Outcome {
        if is_device(&self.model)? {
            return Err(Failure::usage(format!(
                "{0} is a device model, expected a Keras file; use thumbnet inspect {0}",
                self.model.display()
            )));
        }
        let model = Loaded::read(&self.model)?.model;
        if self.json {
            let layer =
                |layer: &Layer| json!({"class_name": layer.class_name(), "config": layer.config()});
            return console::print_json(&json!({
                "input_shape": model.input_shape(),
                "output_shape": model.output_shape(),
                "parameters": model.count_params(),
                "layers": model.layers().iter().map(layer).collect::<Vec<_>>(),
                "signature": model.signature(),
            }));
        }
        let default = SummaryOptions::default();
        let summary = model.summary_with(SummaryOptions {
            line_length: self.line_length.unwrap_or(default.line_length),
            show_trainable: self.show_trainable,
        });
        console::print(&format!("{}\n", summary.trim_end()))
    }
}
