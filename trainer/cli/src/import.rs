//! `thumbnet import`: a model of TensorFlow Lite to a Keras file.

use std::path::PathBuf;

use clap::Args;
use thumbnet_trainer::{
    atomic_file,
    figures::thousands,
    saving::{Integers, import_tflite},
};

use super::{
    Outcome, console,
    models::check_keras_name,
    outputs::{self, Named},
};

/// Make a Keras file of a TensorFlow Lite model that is a chain of dense layers
#[derive(Debug, Args)]
#[command(after_help = "Example: thumbnet import model.tflite --output model.keras")]
pub struct Import {
    /// TensorFlow Lite model (.tflite), of floats or of integers
    model: PathBuf,
    /// File to write, .keras or .h5: a model of float32, of the numbers that the file's integers stand for
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

impl Import {
    pub fn run(&self) -> Outcome {
        check_keras_name(&self.output)?;
        atomic_file::check(&self.output)?;
        outputs::check(
            [Named::of("MODEL", Some(&self.model))],
            [Named::of("--output", Some(&self.output))],
        )?;
        let imported = import_tflite(&self.model)?;
        imported.model.save(&self.output)?;
        let mut lines = vec![format!(
            "saved {}: {} layers, {} parameters",
            self.output.display(),
            imported.model.layers().len(),
            thousands(imported.model.count_params())
        )];
        lines.extend(imported.inputs.map(|inputs| integers("inputs", inputs)));
        lines.extend(imported.outputs.map(|outputs| integers("outputs", outputs)));
        lines.push(format!(
            "for the device: thumbnet export {} --calibrate ROWS.csv --output MODEL.tnet, with rows of floats as the model takes them: ranges come from rows, those of the .tflite file are not kept",
            self.output.display()
        ));
        console::print(&format!("{}\n", lines.join("\n")))
    }
}

/// What the file's integers were, as the model takes and gives floats.
fn integers(what: &str, integers: Integers) -> String {
    let number = match integers.zero_point {
        0 => "q".to_string(),
        zero @ ..0 => format!("(q + {})", -zero),
        zero => format!("(q - {zero})"),
    };
    format!(
        "{what} are floats: a number q of the .tflite file's {what} stands for {number} * {:e}, from {} to {}",
        integers.scale, integers.low, integers.high
    )
}
