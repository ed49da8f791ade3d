//! `thumbnet demo`: the whole way on handwritten digits, from training to an emulated Cortex-M4.

use std::path::PathBuf;

use clap::Args;
use ndarray::{ArrayD, Axis};
use thumbnet_boards::{
    Board, Firmware, Qemu, Run,
    parity::{Answer, Job},
};
use thumbnet_trainer::{
    Dataset, Error, Result, Sequential, Signature, Task, atomic_file,
    figures::thousands,
    layers::{Dense, Input, Rescaling},
    quantize::{DeviceModel, QuantizeOptions, quantize},
    training::{FitOptions, PredictOptions},
};

use super::{
    Outcome, console,
    inspect::Sizes,
    values::{Verbosity, positive},
};

/// Rows kept for the test: the last of the shuffled ones.
const TEST_ROWS: usize = 360;
/// Training rows that the ranges of values are taken from.
const CALIBRATION_ROWS: usize = 256;

/// Train on handwritten digits, quantize, and run on the host and on an emulated Cortex-M4
#[derive(Debug, Args)]
#[command(after_help = "Example: thumbnet demo")]
pub struct Demo {
    /// Passes over the training rows
    #[arg(long, default_value_t = 40, value_parser = positive::<usize>)]
    epochs: usize,
    /// Seed of the split, the initial weights and the order of the rows
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Folder for model.h5 and model.tnet
    #[arg(long, default_value = ".", value_name = "FOLDER")]
    output_dir: PathBuf,
    /// Output of the training: 0 nothing, 1 a progress bar, 2 a line per epoch, auto 1 on a
    /// terminal and 2 elsewhere
    #[arg(long, default_value = "auto", value_name = "0|1|2|auto")]
    verbose: Verbosity,
}

impl Demo {
    pub fn run(&self) -> Outcome {
        let keras_path = self.output_dir.join("model.h5");
        let device_path = self.output_dir.join("model.tnet");
        atomic_file::check(&keras_path)?;
        atomic_file::check(&device_path)?;

        let digits = Dataset::digits().shuffled(self.seed);
        let (train, test) = digits.split_at(digits.rows() - TEST_ROWS);
        let y_train = train.y.as_ref().expect("the digits have labels");
        let y_test = test.y.as_ref().expect("the digits have labels");
        console::print(&format!(
            "{} handwritten digits of 8x8 pixels: {} to train on, {} to test with\n\n",
            thousands(digits.rows()),
            thousands(train.rows()),
            test.rows()
        ))?;

        let mut model = self.model()?;
        console::print(&format!("{}\n", model.summary().trim_end()))?;
        let printed = console::follow(&mut model);
        model.fit(
            &train.x,
            y_train,
            FitOptions {
                epochs: self.epochs,
                verbose: self.verbose.level(),
                ..FitOptions::default()
            },
        )?;
        let signature = Signature::new(Task::MultiClass)
            .with_features(train.feature_names.clone())
            .with_targets(train.target_names.clone())
            .with_classes((0..10).map(|digit| digit.to_string()));
        model.set_signature(Some(signature))?;
        model.save(&keras_path)?;

        let (calibration, _) = train.split_at(CALIBRATION_ROWS);
        let device = quantize(&model, &calibration.x, &QuantizeOptions::default())?.device;
        device.save(&device_path)?;

        let float = model.predict_with(
            &test.x,
            PredictOptions {
                verbose: 0,
                ..PredictOptions::default()
            },
        )?;
        let int8 = device.predict(&test.x)?;
        let sizes = Sizes::of(&device);
        printed()?;
        console::print(&format!(
            "\ntest accuracy  float32 {:6.2} %  (Keras file {})\n",
            100.0 * accuracy(&float, y_test),
            keras_path.display()
        ))?;
        console::print(&format!(
            "               int8    {:6.2} %  (device model {}: {} bytes of flash, {} of scratch)\n",
            100.0 * accuracy(&int8, y_test),
            device_path.display(),
            thousands(sizes.flash_bytes),
            thousands(sizes.scratch_bytes)
        ))?;

        match on_cortex_m4(&device, &test.x) {
            Ok(rows) => {
                let same = same_bits(&rows, &int8);
                console::print(&format!(
                    "Cortex-M4      {same} of {} test rows gave the same bits as on this computer{}\n",
                    test.rows(),
                    if same == test.rows() {
                        ""
                    } else {
                        ": please report this"
                    }
                ))?;
            }
            Err(error) => console::print(&format!("Cortex-M4      left out: {error}\n"))?,
        }
        console::print(&format!(
            "\nnext: thumbnet inspect {}\n",
            device_path.display()
        ))
    }

    fn model(&self) -> Result<Sequential> {
        let mut model = Sequential::new().with_seed(self.seed);
        model.add(Input::new([64]))?;
        // Pixels are 0 to 16: the model takes them as they are.
        model.add(Rescaling::new(1.0 / 16.0, 0.0))?;
        model.add(Dense::new(32).with_activation("relu"))?;
        model.add(Dense::new(10).with_activation("softmax"))?;
        model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])?;
        Ok(model)
    }
}

/// Part of the rows whose greatest output is that of the label.
fn accuracy(predictions: &ArrayD<f32>, y: &ArrayD<f32>) -> f64 {
    let right = predictions
        .axis_iter(Axis(0))
        .zip(y)
        .filter(|(row, label)| greatest(row.iter()) == **label as usize)
        .count();
    right as f64 / y.len().max(1) as f64
}

/// Index of the greatest value, the first of several.
fn greatest<'a>(values: impl Iterator<Item = &'a f32>) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, &value) in values.enumerate() {
        if value > best.1 {
            best = (index, value);
        }
    }
    best.0
}

/// The bits of every row's outputs on an emulated board.
fn on_cortex_m4(device: &DeviceModel, x: &ArrayD<f32>) -> Outcome<Vec<Vec<u32>>> {
    let qemu = Qemu::find()?;
    let board = Board::Mps2An386;
    let elf = Firmware::release("parity", board).build()?;
    let folder = tempfile::tempdir().map_err(|source| Error::io(std::env::temp_dir(), source))?;
    let x = x.as_standard_layout();
    let job = Job {
        blob: device.bytes(),
        shift: 0,
        inputs: device.inputs(),
        x: x.as_slice().expect("standard layout is contiguous"),
    };
    let answers = qemu.answer(&Run::new(board, &elf, folder.path()), &[job])?;
    match answers.into_iter().next() {
        Some(Answer::Loaded { rows, .. }) => rows
            .into_iter()
            .map(|row| Ok(row.map_err(Error::value)?.outputs))
            .collect(),
        Some(Answer::Refused(message)) => Err(Error::value(message).into()),
        None => Err(Error::value("the firmware gave no answer, expected one per model").into()),
    }
}

/// Rows whose outputs have the same bits.
fn same_bits(device: &[Vec<u32>], host: &ArrayD<f32>) -> usize {
    host.axis_iter(Axis(0))
        .zip(device)
        .filter(|(host, device)| {
            host.iter()
                .map(|value| value.to_bits())
                .eq(device.iter().copied())
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{arr1, arr2};

    #[test]
    fn accuracy_counts_rows_whose_greatest_output_is_the_label() {
        let predictions = arr2(&[[0.1_f32, 0.9], [0.5, 0.5], [0.2, 0.8], [0.6, 0.4]]).into_dyn();
        // Of two equal outputs the first counts: rows 0, 1 and 3 are right.
        assert_eq!(
            accuracy(&predictions, &arr1(&[1.0, 0.0, 0.0, 0.0]).into_dyn()),
            0.75
        );
    }

    #[test]
    fn same_bits_tells_zero_from_minus_zero() {
        let host = arr2(&[[0.0_f32, 1.0], [-0.0, 1.0]]).into_dyn();
        let device = vec![vec![0, 0x3F80_0000]; 2];
        assert_eq!(same_bits(&device, &host), 1);
    }
}
