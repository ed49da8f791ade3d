//! One candidate, trained and scored on the device's own bits.

use clap::Parser;
use serde::Serialize;
use thumbnet_trainer::{
    Dataset, Sequential,
    quantize::{
        DataType, DeviceModel, LayerTypes, QuantizeAware, QuantizeOptions, folded,
        instructions::estimate, quantize,
    },
    sequential::CompileOptions,
    training::FitOptions,
};

use super::{
    super::{
        Failure, Outcome, answers::device_answers, data::Labelled, inspect::Sizes,
        scores::spread_out, train::Train,
    },
    Candidate, Goal,
};

/// Epochs with the device's rounding, for weights of four bits.
pub const AWARE_EPOCHS: usize = 20;
/// Rows that ranges are chosen by.
const CALIBRATION_ROWS: usize = 500;

/// What a candidate costs and is worth.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    #[serde(flatten)]
    pub candidate: Candidate,
    /// Accuracy, or the mean absolute error, of each fold on the device.
    pub folds: Vec<f64>,
    pub mean: f64,
    pub flash_bytes: usize,
    pub ram_bytes: usize,
    /// Estimated, on the core asked for.
    pub instructions: u64,
}

/// A `train` command of its own.
#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    train: Train,
}

impl Goal {
    /// None where it does not fit the limits, or is given up after its first fold.
    ///
    /// * `folds` - rows to train on and rows to score
    /// * `hopeless` - whether the score of the first fold is too bad to go on
    pub fn trial(
        &self,
        candidate: &Candidate,
        folds: &[(Dataset, Dataset)],
        hopeless: impl Fn(f64) -> bool,
    ) -> Outcome<Option<Trial>> {
        let mut trial = Trial {
            candidate: candidate.clone(),
            folds: Vec::new(),
            mean: 0.0,
            flash_bytes: 0,
            ram_bytes: 0,
            instructions: 0,
        };
        for (train, test) in folds {
            let train = self.rows.with_data(self.chosen(train, candidate));
            let test = self.rows.with_data(self.chosen(test, candidate));
            let (_, device) = self.models(candidate, train)?;
            let (flash, ram, instructions) = self.costs(&device);
            if !self.limits.allow(flash, ram, instructions) {
                return Ok(None);
            }
            trial.flash_bytes = trial.flash_bytes.max(flash);
            trial.ram_bytes = ram;
            trial.instructions = instructions;
            let outputs = device.predict(&test.data.x)?;
            let Some(found) = device_answers(&device, &outputs, &test.all())? else {
                return Ok(None);
            };
            trial.folds.push(found.evaluation().headline().value);
            if trial.folds.len() == 1 && hopeless(trial.folds[0]) {
                return Ok(None);
            }
        }
        trial.mean = trial.folds.iter().sum::<f64>() / trial.folds.len() as f64;
        Ok(Some(trial))
    }

    /// The trained model, as Keras and as the device have it.
    pub fn models(
        &self,
        candidate: &Candidate,
        rows: Labelled,
    ) -> Outcome<(Sequential, DeviceModel)> {
        let arguments = self.train_arguments(candidate);
        let command = Command::try_parse_from(arguments)
            .map_err(|error| Failure::usage(error.render().to_string()))?;
        let x = rows.data.x.clone();
        let y = rows.y().clone();
        let mut model = command.train.model_of(rows)?;
        if candidate.data_type == DataType::Int4 {
            model = self.aware(&model, &x, &y)?;
        }
        let calibration = x.view();
        let some = spread_out(&calibration, CALIBRATION_ROWS);
        let options = QuantizeOptions {
            types: LayerTypes::All(candidate.data_type),
            packing: self.core.packing,
            self_tests: Some(0),
            ..QuantizeOptions::default()
        };
        let device = quantize(&model, &some, &options)?.device;
        Ok((model, device))
    }

    /// Goes on with the device's rounding.
    fn aware(
        &self,
        model: &Sequential,
        x: &ndarray::ArrayD<f32>,
        y: &ndarray::ArrayD<f32>,
    ) -> Outcome<Sequential> {
        let settings = model.compile_config().expect("it was trained");
        let mut tuned = folded(model)?.with_seed(self.seed);
        tuned.compile_with(CompileOptions::from_config(&settings)?)?;
        tuned.set_signature(model.signature().cloned())?;
        let options = FitOptions {
            epochs: AWARE_EPOCHS,
            seed: Some(self.seed),
            verbose: 0,
            callbacks: vec![QuantizeAware::new(DataType::Int4, x)?.into()],
            ..FitOptions::default()
        };
        tuned.fit(x, y, options)?;
        Ok(tuned)
    }

    /// Flash, RAM and estimated instructions.
    fn costs(&self, device: &DeviceModel) -> (usize, usize, u64) {
        let sizes = Sizes::of(device);
        let rows = 4 * (device.inputs() + device.outputs());
        let instructions = estimate(device)
            .into_iter()
            .find(|estimate| estimate.core == self.core.name)
            .map_or(0, |estimate| estimate.instructions);
        (sizes.flash_bytes, sizes.scratch_bytes + rows, instructions)
    }
}
