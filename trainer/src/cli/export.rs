//! `thumbnet export`: from a Keras file to the blob that the device runs.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, ValueEnum};
use thumbnet_trainer::{
    Dataset,
    dataset::{CsvOptions, Target},
    output,
    quantize::{
        Comparison, DataType, LayerTypes, Packing, QuantizeOptions, Quantized, RangeMethod,
        quantize,
    },
};

use super::{
    Failure, Outcome,
    data::{self, is_npy},
    inspect::thousands,
    models::{check_row_shape, has_extension, is_device, load_keras},
};

/// Quantize a Keras file and write the model that the device runs
#[derive(Debug, Args)]
pub struct Export {
    /// Keras file (.h5 or .keras)
    model: PathBuf,
    /// Rows to take the ranges of values from, CSV or .npy, raw as for training; a hundred will do
    #[arg(long, value_name = "FILE")]
    calibrate: PathBuf,
    /// Column of the label or target in the CSV file [default: label, or else target]
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// Class names to store, in the order of the outputs [default: the text labels of the CSV file]
    #[arg(
        long,
        value_name = "A,B,..",
        value_delimiter = ',',
        conflicts_with = "classes"
    )]
    labels: Option<Vec<String>>,
    /// The same as --labels
    #[arg(long, value_name = "A,B,..", value_delimiter = ',', hide = true)]
    classes: Option<Vec<String>>,
    /// From which output on a model with one output says yes [default: 0.5]
    #[arg(long, value_name = "VALUE")]
    threshold: Option<f32>,
    /// Arithmetic of every layer, int8, int4 (half the flash), int16 (activations of 16 bits) or
    /// float32; or of some by name, such as dense=int4,dense_1=int16, with int8 for the others
    #[arg(long, default_value = "int8", value_name = "TYPE|LAYER=TYPE,..")]
    dtype: DataTypes,
    /// How ranges are chosen: auto (by the measured result), min-max, percentile:99.99, mse or
    /// entropy
    #[arg(long, default_value = "auto", value_name = "METHOD", value_parser = range_method)]
    range: Range,
    /// Core to arrange the weights for; every core runs every arrangement, with the same results
    #[arg(long, default_value = "m4")]
    core: Core,
    /// File to write, usually .tnet
    #[arg(long, value_name = "FILE.tnet")]
    output: PathBuf,
}

/// What the weights are arranged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Core {
    M0,
    M3,
    M4,
    M7,
    M33,
    M55,
    Host,
}

impl Core {
    pub fn packing(self) -> Packing {
        match self {
            Self::M0 | Self::M3 => Packing::Lane,
            Self::M4 | Self::M7 | Self::M33 => Packing::Dsp,
            Self::M55 => Packing::Mve,
            Self::Host => Packing::Plain,
        }
    }
}

impl Export {
    pub fn run(&self) -> Outcome {
        if has_extension(&self.output, &["h5", "hdf5", "keras", "csv", "npy"]) {
            return Err(Failure::usage(format!(
                "{}: this is the name of another kind of file, expected one that ends in .tnet",
                self.output.display()
            )));
        }
        output::check(&self.output)?;
        if is_device(&self.model)? {
            return Err(Failure::usage(format!(
                "{} is exported already, expected a Keras file (.h5 or .keras)",
                self.model.display()
            )));
        }
        let model = load_keras(&self.model)?;
        let rows = self.rows()?;
        check_row_shape(&model, &rows, &self.calibrate)?;
        let labels = self
            .labels
            .clone()
            .or(self.classes.clone())
            .or(rows.class_names.clone())
            .unwrap_or_default();
        let options = QuantizeOptions {
            range: self.range.0,
            types: self.dtype.0.clone(),
            packing: self.core.packing(),
            labels,
            threshold: self.threshold,
            ..QuantizeOptions::default()
        };
        let Quantized { device, report } = quantize(&model, &rows.x, &options)?;
        device.save(&self.output)?;
        println!(
            "saved {}: {} inputs, {} outputs, {} bytes of flash, {} bytes of scratch, {} multiply-accumulates",
            self.output.display(),
            device.inputs(),
            device.outputs(),
            thousands(report.flash_bytes),
            thousands(report.scratch_bytes),
            thousands(report.macs),
        );
        println!("{}", agreement(&report.calibration));
        Ok(())
    }

    fn rows(&self) -> Outcome<Dataset> {
        if is_npy(&self.calibrate) {
            return data::features(&self.calibrate, None);
        }
        let options = CsvOptions {
            target: Target::ReadIfThere(self.target.clone()),
            class_names: None,
        };
        Ok(Dataset::from_csv(&self.calibrate, &options)?)
    }
}

/// How far quantization moved the outputs on the calibration rows.
fn agreement(compared: &Comparison) -> String {
    let classes = match compared.agreement {
        Some(share) => format!("the same class for {:.2} % of them, ", 100.0 * share),
        None => String::new(),
    };
    format!(
        "against float32 on {} calibration rows: {classes}outputs differ by {:.2e} at most, {:.2e} on average",
        thousands(compared.rows),
        compared.worst_difference,
        compared.mean_difference
    )
}

/// `--dtype`.
#[derive(Clone, Debug, PartialEq)]
struct DataTypes(LayerTypes);

impl FromStr for DataTypes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let data_type = |name: &str| {
            name.trim()
                .parse::<DataType>()
                .map_err(|error| error.to_string())
        };
        if !text.contains('=') {
            return Ok(Self(LayerTypes::All(data_type(text)?)));
        }
        let named = text.split(',').map(|pair| {
            let (layer, name) = pair.split_once('=').ok_or_else(|| {
                format!("{pair:?} is no pair of layer and type such as dense=int4")
            })?;
            Ok((layer.trim().to_string(), data_type(name)?))
        });
        Ok(Self(LayerTypes::Named(
            named.collect::<Result<_, String>>()?,
        )))
    }
}

/// `--range`; none stands for auto.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Range(Option<RangeMethod>);

fn range_method(text: &str) -> Result<Range, String> {
    let method = match text.split_once(':').unwrap_or((text, "")) {
        ("auto", "") => return Ok(Range(None)),
        ("min-max", "") => RangeMethod::MinMax,
        ("mse", "") => RangeMethod::MeanSquaredError,
        ("entropy", "") => RangeMethod::Entropy,
        ("percentile", percent) => match percent.parse() {
            Ok(percent) if percent > 50.0 && percent <= 100.0 => RangeMethod::Percentile(percent),
            _ => {
                return Err("expected a percentage above 50, such as percentile:99.99".to_string());
            }
        },
        _ => {
            return Err("expected auto, min-max, percentile:99.99, mse or entropy".to_string());
        }
    };
    Ok(Range(Some(method)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_for_all_layers_or_by_name() {
        assert_eq!(
            "int4".parse(),
            Ok(DataTypes(LayerTypes::All(DataType::Int4)))
        );
        let named = vec![
            ("dense".to_string(), DataType::Int4),
            ("dense_1".to_string(), DataType::Float32),
        ];
        assert_eq!(
            "dense=int4, dense_1=float32".parse(),
            Ok(DataTypes(LayerTypes::Named(named)))
        );
        assert_eq!(
            "dense=int4,int8".parse::<DataTypes>(),
            Err("\"int8\" is no pair of layer and type such as dense=int4".to_string())
        );
        assert!("int5".parse::<DataTypes>().unwrap_err().contains("int5"));
    }

    #[test]
    fn ranges_are_chosen_by_method() {
        assert_eq!(range_method("auto"), Ok(Range(None)));
        assert_eq!(
            range_method("percentile:99.9"),
            Ok(Range(Some(RangeMethod::Percentile(99.9))))
        );
        assert_eq!(
            range_method("percentile"),
            Err("expected a percentage above 50, such as percentile:99.99".to_string())
        );
    }
}
