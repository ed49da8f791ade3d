//! `thumbnet predict`: outputs of a Keras file or of a device model, row by row.

use std::{
    io::{BufWriter, Write},
    path::PathBuf,
};

use clap::Args;
use ndarray::{ArrayD, Axis};
use thumbnet_trainer::{
    Error, atomic_file, dataset::write_npy, error::visible, quantize::DeviceModel,
    training::PredictOptions,
};

use super::{
    Failure, Outcome,
    anomaly::Detector,
    architecture::ArchitectureArguments,
    console,
    data::{self, ColumnArguments, Part},
    models::{AnyModel, has_extension},
    outputs::{self, Named},
    values::BatchSize,
};

/// Outputs of a model for rows
#[derive(Debug, Args)]
#[command(mut_arg("config", |config| config.visible_alias("json")))]
#[command(after_help = "Example: thumbnet predict model.tnet --data iris.csv")]
pub struct Predict {
    /// Keras file (.h5, .keras) or device model (.tnet)
    model: PathBuf,
    /// Keras file (.weights.h5) whose weights to use in place of the model's
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    architecture: ArchitectureArguments,
    /// CSV file with a header line; a label column is left out
    #[arg(
        long,
        value_name = "FILE.csv",
        conflicts_with = "x",
        required_unless_present = "x"
    )]
    data: Option<PathBuf>,
    #[command(flatten)]
    columns: ColumnArguments,
    /// Features, an array with one row per sample
    #[arg(long, value_name = "FILE.npy", conflicts_with_all = ["target", "features", "drop"])]
    x: Option<PathBuf>,
    /// File to write, .npy or .csv [default: CSV on the standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Rows per step of a Keras file; none takes all rows at once
    #[arg(long, default_value = "32", value_name = "N|none")]
    batch_size: BatchSize,
}

impl Predict {
    pub fn run(&self) -> Outcome {
        if let Some(path) = &self.output {
            if !has_extension(path, &["npy", "csv"]) {
                return Err(Failure::usage(format!(
                    "{}: the name says nothing about the format, expected one that ends in .npy or .csv",
                    path.display()
                )));
            }
            atomic_file::check(path)?;
        }
        outputs::check(
            [
                Named::of("MODEL", Some(&self.model)),
                Named::of("--weights", self.weights.as_ref()),
                Named::of("--data", self.data.as_ref()),
                Named::of("--x", self.x.as_ref()),
            ],
            [Named::of("--output", self.output.as_ref())],
        )?;
        let model = AnyModel::load(&self.model, &self.architecture)?
            .with_weights(&self.model, self.weights.as_deref())?;
        let path = self
            .data
            .as_ref()
            .or(self.x.as_ref())
            .expect("clap requires one of the two");
        let meaning = model.meaning(&self.model);
        let rows = data::features(path, &self.columns, &meaning, Part::Test)?;
        model.check_rows(&rows, path)?;
        let options = PredictOptions {
            batch_size: self.batch_size.0,
            verbose: 0,
            ..PredictOptions::default()
        };
        let (predictions, labels, verdicts) = match (Detector::of(&model), &model) {
            (Some(detector), _) => {
                let scores = detector.scores(&model, &rows.x)?;
                let verdict = |score: &f32| match detector.is_anomaly(*score) {
                    true => "anomaly".to_string(),
                    false => "normal".to_string(),
                };
                let verdicts = scores.iter().map(verdict).collect();
                let shape = vec![scores.len(), 1];
                let scores = ArrayD::from_shape_vec(shape, scores).expect("a score for each row");
                (scores, vec!["score".to_string()], verdicts)
            }
            (None, AnyModel::Keras(_)) => {
                (model.predict(&rows.x, options)?, Vec::new(), Vec::new())
            }
            (None, AnyModel::Device(device)) => (
                device.predict(&rows.x)?,
                device.class_names(),
                classes(device, &rows.x)?,
            ),
        };
        match &self.output {
            None => {
                let labels: Vec<String> = labels.iter().map(|label| visible(label)).collect();
                let mut text = Vec::new();
                csv_text(&predictions, &labels, &verdicts, &mut text)
                    .expect("memory takes everything");
                console::write(&text)?;
            }
            Some(path) if has_extension(path, &["npy"]) => write_npy(path, &predictions)?,
            Some(path) => atomic_file::write(path, |file| {
                csv_text(&predictions, &labels, &verdicts, &mut BufWriter::new(file))
                    .map_err(|source| Error::io(path, source))
            })?,
        }
        Ok(())
    }
}

/// The class of each row, or `unknown`; none where the model knows all.
fn classes(device: &DeviceModel, x: &ArrayD<f32>) -> Outcome<Vec<String>> {
    let model = device.model();
    if model.unknown_below().is_none() {
        return Ok(Vec::new());
    }
    let name = |(class, known): (usize, bool)| match known {
        true => model.label(class).map_or(class.to_string(), visible),
        false => "unknown".to_string(),
    };
    Ok(device.classify(x)?.into_iter().map(name).collect())
}

/// One line per row under a header of the labels, or of `output_0`, `output_1`, ...
///
/// * `verdicts` - one for each row, for a last column, or none
fn csv_text(
    y: &ArrayD<f32>,
    labels: &[String],
    verdicts: &[String],
    out: &mut impl Write,
) -> std::io::Result<()> {
    let width: usize = y.shape().iter().skip(1).product();
    let names: Vec<String> = if labels.len() == width {
        labels.to_vec()
    } else {
        (0..width).map(|index| format!("output_{index}")).collect()
    };
    let mut writer = csv::Writer::from_writer(out);
    let header = (!verdicts.is_empty()).then(|| "verdict".to_string());
    writer.write_record(names.into_iter().chain(header))?;
    for (row, y) in y.axis_iter(Axis(0)).enumerate() {
        let verdict = verdicts.get(row).cloned();
        writer.write_record(y.iter().map(f32::to_string).chain(verdict))?;
    }
    writer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn predictions_are_written_under_the_labels_with_every_digit() {
        let text = |labels: &[&str]| {
            let y = arr2(&[[0.25, 0.1], [1e-8, 3.0]]).into_dyn();
            let labels: Vec<String> = labels.iter().map(|&label| label.to_string()).collect();
            let mut out = Vec::new();
            csv_text(&y, &labels, &[], &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(&[]), "output_0,output_1\n0.25,0.1\n0.00000001,3\n");
        assert_eq!(
            text(&["no", "yes, sir"]),
            "no,\"yes, sir\"\n0.25,0.1\n0.00000001,3\n"
        );
    }
}
