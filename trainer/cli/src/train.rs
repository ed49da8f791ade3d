//! `thumbnet train`: from scratch by `--layers`, or onwards from a Keras file by `--model`.

use std::path::{Path, PathBuf};

use clap::Args;
use ndarray::{Array1, Axis, Slice};
use serde_json::{Value, json};
use thumbnet_trainer::{
    Dataset, Error, Sequential, Signature, Task, atomic_file,
    callbacks::Callback,
    dataset::{Target, read_npy},
    layers::{Input, Normalization},
    quantize::{DataType, DeviceMetrics, LayerTypes, QuantizeAware, QuantizeOptions, folded},
    saving::Loaded,
    sequential::{FitOptions, ValidationData},
};

use super::{
    Failure, Outcome,
    callbacks::CallbackArguments,
    compile::{self, CompileArguments, check_labels, task},
    console,
    data::{DataArguments, Labelled, check_finite, labelled_csv, labelled_npy},
    head::Head,
    layers::{self, LayerSpec},
    meaning::Meaning,
    models::{check_keras_name, check_row_shape, has_extension},
    nan::StopAtNan,
    outputs::{self, Named},
    values::{
        BatchSize, ClassWeights, Epochs, Verbosity, fraction, not_negative, optimizer_name,
        positive,
    },
};

/// Train a model and save it as a Keras file
#[derive(Debug, Args)]
pub struct Train {
    #[command(flatten)]
    data: DataArguments,

    /// Layers from the first to the last: units:activation, dropout:RATE, batch_normalization or
    /// flatten, such as 32:relu,10:softmax
    #[arg(
        long,
        value_name = "SPEC",
        value_delimiter = ',',
        required_unless_present = "model"
    )]
    layers: Vec<LayerSpec>,
    /// Keras file (.h5 or .keras) to go on from, instead of --layers
    #[arg(long, value_name = "FILE", conflicts_with = "layers")]
    model: Option<PathBuf>,
    /// Keras file (.weights.h5) whose weights to begin with, in place of the model's
    #[arg(long, value_name = "FILE", requires = "model")]
    weights: Option<PathBuf>,
    /// Put no Normalization layer in front (one is fitted on the training rows of a CSV file when
    /// training from scratch)
    #[arg(long)]
    no_normalize: bool,
    /// Put a Normalization layer in front for .npy data too
    #[arg(long, conflicts_with_all = ["no_normalize", "model"])]
    normalize: bool,

    #[command(flatten)]
    compile: CompileArguments,
    /// Optimizer by Keras' name [default: adam, or the model's]
    #[arg(long, value_name = "NAME", value_parser = optimizer_name)]
    optimizer: Option<String>,
    /// Learning rate [default: the optimizer's]
    #[arg(long, value_name = "RATE", value_parser = not_negative)]
    learning_rate: Option<f32>,

    /// Passes over the training rows, those before --initial-epoch counted in; 0 saves the model as it is
    #[arg(long, default_value_t = 1)]
    epochs: usize,
    /// Epoch to begin with, for a run that goes on
    #[arg(long, default_value_t = 0, value_name = "EPOCH")]
    initial_epoch: usize,
    /// Rows per step; none takes all rows at once
    #[arg(long, default_value = "32", value_name = "N|none")]
    batch_size: BatchSize,
    /// Steps per epoch; the next epoch goes on where it ended [default: all rows]
    #[arg(long, value_name = "N", value_parser = positive::<usize>)]
    steps_per_epoch: Option<usize>,
    /// Part of the rows, taken from the end before shuffling, that validates and does not train
    #[arg(long, default_value_t = 0.0, value_name = "PART", value_parser = fraction)]
    validation_split: f64,
    /// CSV file to validate on
    #[arg(long, value_name = "FILE.csv", conflicts_with_all = ["validation_x", "validation_split", "x"])]
    validation_data: Option<PathBuf>,
    /// Features to validate on
    #[arg(
        long,
        value_name = "FILE.npy",
        requires = "validation_y",
        conflicts_with = "validation_split"
    )]
    validation_x: Option<PathBuf>,
    /// Targets to validate on
    #[arg(long, value_name = "FILE.npy", requires = "validation_x")]
    validation_y: Option<PathBuf>,
    /// Weight of each validation row in the loss
    #[arg(long, value_name = "FILE.npy", conflicts_with = "validation_split")]
    validation_sample_weight: Option<PathBuf>,
    /// Rows per step when validating [default: those of --batch-size]
    #[arg(long, value_name = "N", value_parser = positive::<usize>)]
    validation_batch_size: Option<usize>,
    /// Steps per validation [default: all rows]
    #[arg(long, value_name = "N", value_parser = positive::<usize>)]
    validation_steps: Option<usize>,
    /// Epochs from one validation to the next, or the epochs to validate after, such as 1,2,10
    #[arg(long, default_value = "1", value_name = "N|A,B,..")]
    validation_freq: Epochs,
    /// Weight of each class in the loss, such as 0:1,1:2.5; a class that is missing weighs 1
    #[arg(long, value_name = "CLASS:WEIGHT,..", conflicts_with = "sample_weight")]
    class_weight: Option<ClassWeights>,
    /// Weight of each row in the loss
    #[arg(long, value_name = "FILE.npy")]
    sample_weight: Option<PathBuf>,
    /// Keep the rows in their order
    #[arg(long)]
    no_shuffle: bool,
    /// Seed of initial weights, shuffling and dropout; the same seed gives the same file
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Train with the device's rounding, for an export with the same --dtype: int8 or int4. The
    /// model is first folded to what the device runs, from scratch or from --model
    #[arg(long, value_name = "int8|int4")]
    quantize_aware: Option<DataType>,
    /// Report loss and metrics of the device's own arithmetic on the validation rows after every
    /// epoch, as val_q_loss and so on, for --monitor too [default: the type of --quantize-aware, or
    /// int8]
    #[arg(long, value_name = "TYPE", num_args = 0..=1, require_equals = true)]
    q_metrics: Option<Option<DataType>>,

    #[command(flatten)]
    callbacks: CallbackArguments,

    /// Go on where the loss or weights become NaN or infinite, and save the model all the same
    #[arg(long)]
    allow_nan: bool,

    /// Output: 0 nothing, 1 a progress bar, 2 a line per epoch, auto 1 on a terminal and 2 elsewhere
    #[arg(long, default_value = "auto", value_name = "0|1|2|auto")]
    verbose: Verbosity,
    /// Loss and metrics of every epoch, as JSON
    #[arg(long, value_name = "FILE.json")]
    history: Option<PathBuf>,
    /// The Keras that is to read the file: 2 writes an .h5 that Keras 2.6 to 2.15 load, without the
    /// optimizer's state
    #[arg(long, default_value = "3", value_name = "2|3", value_parser = ["2", "3"])]
    keras: String,
    /// Keras file to write, .h5 or .keras
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

impl Train {
    pub fn run(&self) -> Outcome {
        self.check_outputs()?;
        let given = self.model.as_deref().map(Loaded::read).transpose()?;
        let own = given.as_ref().and_then(compile::settings);
        let keep = match &given {
            Some(loaded) => self.keeps_settings(loaded)?,
            None => false,
        };
        let meaning = match (&given, &self.model) {
            (Some(loaded), Some(path)) => Meaning::of(&loaded.model, path),
            _ => Meaning::none(),
        };
        let mut rows = self.data.labelled(&meaning)?;
        let mut model = match given {
            Some(loaded) => loaded.model.with_seed(self.seed),
            None => self.build(&rows.data)?,
        };
        if !model.is_built() {
            model.build(rows.data.row_shape())?;
        }
        check_row_shape(&model, &rows.data, &rows.x_path)?;
        let outputs = model.output_shape().and_then(<[usize]>::last).copied();
        rows.number_classes(Head::of(&model), outputs.unwrap_or(1));
        for caution in rows
            .data
            .cautions(|row| rows.data.line_of_row(&rows.x_path, row))
        {
            console::note(&format!("note: {}: {caution}", rows.x_path.display()));
        }
        if self.quantize_aware.is_some() {
            // Folding needs the weights, and leaves no optimizer state that would fit.
            if let Some(path) = &self.weights {
                model.load_weights(path)?;
            }
            model = folded(&model)?.with_seed(self.seed);
        }
        let keep = keep && self.quantize_aware.is_none();
        self.compile(&mut model, own, keep, &rows)?;
        let signature = self.signature(&model, &meaning, &rows)?;
        model.set_signature(Some(signature))?;
        let validation = self.validation(&model)?;
        if let (Some(path), None) = (&self.weights, self.quantize_aware) {
            // With the optimizer that they were saved with.
            model.build_optimizer();
            model.load_weights(path)?;
        }
        if let (Some(rate), Some(optimizer)) = (self.learning_rate, model.optimizer_mut()) {
            optimizer.set_learning_rate(rate)?;
        }

        let sample_weight = weights(self.sample_weight.as_deref(), &rows)?;
        let validation_data = match &validation {
            None => None,
            Some(validation) => {
                let data = ValidationData::new(&validation.data.x, validation.y());
                match weights(self.validation_sample_weight.as_deref(), validation)? {
                    None => Some(data),
                    Some(weights) => Some(data.with_sample_weight(weights.view())),
                }
            }
        };
        let callbacks = self.callbacks(&model, &rows, validation.as_ref())?;
        let printed = console::follow(&mut model);
        let options = FitOptions {
            epochs: self.epochs,
            batch_size: self.batch_size.0,
            validation_data,
            validation_split: self.validation_split,
            shuffle: !self.no_shuffle,
            verbose: self.verbose.level(),
            callbacks,
            class_weight: self.class_weight.clone().map(|weights| weights.0),
            sample_weight: sample_weight.as_ref().map(|weights| weights.view()),
            initial_epoch: self.initial_epoch,
            steps_per_epoch: self.steps_per_epoch,
            validation_batch_size: self.validation_batch_size,
            validation_steps: self.validation_steps,
            validation_freq: self.validation_freq.0.clone(),
            seed: Some(self.seed),
            // As many as THUMBNET_THREADS says.
            threads: None,
        };
        let history = model.fit(&rows.data.x, rows.y(), options)?;
        if model.values().iter().any(|value| !value.is_finite()) {
            console::note(
                "warning: training ended with weights that are not finite; lower --learning-rate, or check the data's ranges",
            );
        }
        if let Some(path) = &self.history {
            let mut json = serde_json::to_vec_pretty(&history.to_json())
                .expect("a tree of numbers and names is JSON");
            json.push(b'\n');
            atomic_file::write_bytes(path, &json)?;
        }
        match self.keras.as_str() {
            "2" => model.save_for_keras_2(&self.output)?,
            _ => model.save(&self.output)?,
        }
        printed()?;
        if self.verbose.level() > 0 {
            console::print(&format!("saved {}\n", self.output.display()))?;
        }
        Ok(())
    }

    /// Whether the settings and the optimizer of the model's file hold. An error where they would have to,
    /// but thumbnet does not have them.
    fn keeps_settings(&self, loaded: &Loaded) -> Outcome<bool> {
        let keep = match self.compile.keep(loaded) {
            Err(Failure::Error(error)) => {
                return Err(Error::unsupported(format!("{error}; and --optimizer")).into());
            }
            keep => keep? && self.optimizer.is_none(),
        };
        if let (true, Some(error)) = (keep, &loaded.optimizer_error) {
            console::note(&format!(
                "note: the optimizer begins anew, as its state cannot be taken over: {error}"
            ));
        }
        Ok(keep)
    }

    /// Refuses epochs that do not exist and outputs that could not be written, before the work and not after it.
    fn check_outputs(&self) -> Outcome {
        if self.initial_epoch > self.epochs {
            return Err(Failure::usage(format!(
                "--initial-epoch {} is beyond --epochs {}, the epoch to end with; give --epochs {} for {1} more",
                self.initial_epoch,
                self.epochs,
                self.initial_epoch + self.epochs
            )));
        }
        let only_trains = |layer: &LayerSpec| {
            matches!(
                layer,
                LayerSpec::Dropout { .. } | LayerSpec::BatchNormalization
            )
        };
        if self.quantize_aware.is_some() && self.layers.iter().any(only_trains) {
            return Err(Failure::usage(
                "--quantize-aware trains what the device runs, which has neither dropout nor batch_normalization; train with them first, then go on with --model",
            ));
        }
        check_keras_name(&self.output)?;
        if self.keras == "2" && has_extension(&self.output, &["keras"]) {
            return Err(Failure::usage(format!(
                "--keras 2 reads .h5 files only, but --output is {}; give it a name that ends in .h5",
                self.output.display()
            )));
        }
        for path in [Some(&self.output), self.history.as_ref()]
            .into_iter()
            .flatten()
        {
            atomic_file::check(path)?;
        }
        self.callbacks.check_outputs()?;
        self.check_overlap()
    }

    /// Refuses outputs that are inputs or each other.
    fn check_overlap(&self) -> Outcome {
        let inputs = [
            Named::of("--data", self.data.data.as_ref()),
            Named::of("--x", self.data.x.as_ref()),
            Named::of("--y", self.data.y.as_ref()),
            Named::of("--model", self.model.as_ref()),
            Named::of("--weights", self.weights.as_ref()),
            Named::of("--compile", self.compile.compile.as_ref()),
            Named::of("--validation-data", self.validation_data.as_ref()),
            Named::of("--validation-x", self.validation_x.as_ref()),
            Named::of("--validation-y", self.validation_y.as_ref()),
            Named::of(
                "--validation-sample-weight",
                self.validation_sample_weight.as_ref(),
            ),
            Named::of("--sample-weight", self.sample_weight.as_ref()),
        ];
        let outputs = [
            Named::of("--output", Some(&self.output)),
            Named::of("--history", self.history.as_ref()),
        ];
        let listed = self.callbacks.listed_outputs()?;
        let listed = listed
            .iter()
            .map(|path| Named::of("--callbacks", Some(path)));
        outputs::check(
            inputs.into_iter().chain(self.callbacks.inputs()),
            outputs
                .into_iter()
                .chain(self.callbacks.outputs())
                .chain(listed),
        )
    }

    /// Callbacks in the order that they are called in.
    fn callbacks(
        &self,
        model: &Sequential,
        rows: &Labelled,
        validation: Option<&Labelled>,
    ) -> Outcome<Vec<Box<dyn Callback>>> {
        let training = self.training_rows(rows.data.rows());
        let held = match validation {
            Some(validation) => validation.data.rows(),
            None => rows.data.rows() - training,
        };
        let mut callbacks: Vec<Box<dyn Callback>> = Vec::new();
        // First, so that the others save nothing that is not finite.
        if !self.allow_nan {
            let normalized = model
                .layers()
                .first()
                .is_some_and(|layer| matches!(layer.class_name(), "Normalization" | "Rescaling"));
            let within = self.callbacks.saves_within_epochs();
            callbacks.push(Box::new(StopAtNan::new(&rows.data, normalized, within)));
        }
        // Before those that watch the device's metrics.
        if let Some(data_type) = self.q_metrics {
            if held == 0 {
                return Err(Failure::usage(
                    "--q-metrics is given without rows to validate on; add --validation-split 0.2 or --validation-data v.csv",
                ));
            }
            let options = QuantizeOptions {
                types: LayerTypes::All(data_type.or(self.quantize_aware).unwrap_or_default()),
                self_tests: Some(0),
                ..QuantizeOptions::default()
            };
            let (training, rest) = rows.data.split_at(training);
            let held = validation.map_or(&rest, |validation| &validation.data);
            let y = held.y.as_ref().expect("labelled rows have targets");
            callbacks.push(Box::new(DeviceMetrics::new(
                &training.x,
                &held.x,
                y,
                options,
            )?));
        }
        callbacks.extend(self.callbacks.callbacks(held > 0)?);
        // Last, so that weights which another one restores are rounded too.
        if let Some(data_type) = self.quantize_aware {
            let (training, _) = rows.data.split_at(training);
            callbacks.push(Box::new(QuantizeAware::new(data_type, &training.x)?));
        }
        Ok(callbacks)
    }

    /// What the trained model's inputs and outputs are: as before where it has said so, else as in
    /// the rows.
    fn signature(
        &self,
        model: &Sequential,
        meaning: &Meaning,
        rows: &Labelled,
    ) -> Outcome<Signature> {
        let outputs = model
            .output_shape()
            .and_then(<[usize]>::last)
            .copied()
            .unwrap_or(1);
        let names = rows.data.class_names.as_deref();
        let task = match model.loss() {
            Some(loss) => task(loss, Head::of(model), outputs, names),
            None => Task::Regression,
        };
        let given = meaning.class_names(self.data.classes.as_deref())?;
        let numbers = || {
            let count = task.class_count(outputs).unwrap_or(0);
            (0..count).map(|number| number.to_string()).collect()
        };
        let classes = given
            .filter(|names| task.class_count(outputs) == Some(names.len()))
            .or(names.map(<[String]>::to_vec))
            .unwrap_or_else(numbers);
        let features = match meaning.features() {
            [] => rows.data.feature_names.clone(),
            own => own.to_vec(),
        };
        let targets = match rows.data.target_names.as_slice() {
            [] => meaning.targets(),
            names => names.to_vec(),
        };
        let mut signature = Signature::new(task)
            .with_features(features)
            .with_targets(targets)
            .with_classes(classes);
        signature.threshold = meaning.threshold();
        signature.fill = rows.data.fill.clone();
        Ok(signature)
    }

    /// The rows of `--validation-data`, read by what the model says about its columns and classes.
    fn validation(&self, model: &Sequential) -> Outcome<Option<Labelled>> {
        let validation = match (
            &self.validation_data,
            &self.validation_x,
            &self.validation_y,
        ) {
            (Some(csv), ..) => {
                let meaning = Meaning::of(model, &self.output);
                let classes = meaning.class_names(None)?;
                let options = self
                    .data
                    .columns
                    .form()
                    .options(Target::Read, &meaning, classes)?;
                labelled_csv(csv, &options, &meaning)?
            }
            (None, Some(x), Some(y)) => labelled_npy(x, y)?,
            _ => return Ok(None),
        };
        check_row_shape(model, &validation.data, &validation.x_path)?;
        if let (Some(loss), Some(outputs)) = (
            model.loss(),
            model.output_shape().and_then(<[usize]>::last).copied(),
        ) {
            check_labels(Some(loss), Head::of(model), outputs, &validation)?;
        }
        Ok(Some(validation))
    }

    /// Rows that train: Keras' `floor(rows * (1 - split))`.
    fn training_rows(&self, rows: usize) -> usize {
        (rows as f64 * (1.0 - self.validation_split)) as usize
    }

    /// The model of `--layers`, with a normalization in front.
    fn build(&self, data: &Dataset) -> Outcome<Sequential> {
        let mut model = Sequential::new().with_seed(self.seed);
        model.add(Input::new(data.row_shape()))?;
        let normalize = self.normalize || (self.data.data.is_some() && !self.no_normalize);
        if normalize {
            let training = Slice::from(..self.training_rows(data.rows()));
            let mut normalization = Normalization::new();
            normalization.adapt(&data.x.slice_axis(Axis(0), training))?;
            model.add(normalization)?;
        }
        layers::add(&mut model, &self.layers)?;
        model.build(data.row_shape())?;
        if normalize {
            widen_constant_columns(&mut model)?;
        }
        Ok(model)
    }

    /// Compiles with `own` settings, those of the model's file, where no options ask for others.
    fn compile(
        &self,
        model: &mut Sequential,
        mut own: Option<Value>,
        keep: bool,
        rows: &Labelled,
    ) -> Outcome {
        let outputs = model
            .output_shape()
            .and_then(<[usize]>::last)
            .copied()
            .unwrap_or(1);
        if let (Some(own), Some(optimizer)) = (&mut own, &self.optimizer) {
            own["optimizer"] = json!(optimizer);
        }
        let mut options = self
            .compile
            .options(own, Head::of(model), outputs, rows.y().shape())?;
        if let Some(optimizer) = &self.optimizer {
            options.optimizer = optimizer.parse()?;
        }
        check_labels(options.loss.as_ref(), Head::of(model), outputs, rows)?;
        // Compiling anew would forget the optimizer's state.
        if !keep {
            model.compile_with(options)?;
        }
        Ok(())
    }
}

/// One weight per row.
fn weights(path: Option<&Path>, rows: &Labelled) -> Outcome<Option<Array1<f32>>> {
    let Some(path) = path else {
        return Ok(None);
    };
    let weights = read_npy(path)?;
    if weights.len() != rows.data.rows() {
        return Err(Error::shape(format!(
            "{} has {} weights, expected {} as {} has rows",
            path.display(),
            weights.len(),
            rows.data.rows(),
            rows.x_path.display()
        ))
        .into());
    }
    check_finite(&weights, path)?;
    Ok(Some(weights.into_iter().collect()))
}

/// Gives columns of one value the deviation 1: Keras would divide a later, other value by 1e-7.
fn widen_constant_columns(model: &mut Sequential) -> Outcome {
    let mut weights = model.get_weights();
    // Mean, variance, count: the normalization's come first.
    if let Some(variance) = weights.get_mut(1) {
        variance.mapv_inplace(|value| if value == 0.0 { 1.0 } else { value });
    }
    model.set_weights(&weights)?;
    Ok(())
}
