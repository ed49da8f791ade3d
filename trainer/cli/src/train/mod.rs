//! `thumbnet train`: from scratch by `--layers`, or onwards from a Keras file by `--model`.

mod autoencoder;
mod cross_validation;
mod model;
mod stream;

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::Args;
use ndarray::Array1;
use serde_json::{Value, json};
use thumbnet_trainer::{
    Error, History, Sequential, atomic_file,
    callbacks::SharedCallback,
    dataset::{Target, is_array, read_array},
    quantize::{DataType, DeviceMetrics, LayerTypes, QuantizeAware, QuantizeOptions},
    saving::Loaded,
    sequential::CompileOptions,
    training::{FitOptions, ValidationData},
};

use super::{
    Failure, Outcome,
    callbacks::CallbackArguments,
    compile::{self, CompileArguments, check_labels},
    config::ConfigArguments,
    console,
    data::{
        DataArguments, Labelled, Part, check_finite, labelled_archive, labelled_arrays,
        labelled_csv,
    },
    head::Head,
    interrupt,
    layers::LayerSpec,
    live::LiveLine,
    meaning::Meaning,
    models::{check_keras_name, check_row_shape, has_extension, read_keras},
    nan::StopAtNan,
    outputs::{self, Named},
    record::Record,
    report::{self, Curves, Findings},
    scores::Scores,
    split::{Parts, SplitArguments},
    values::{
        BatchSize, ClassWeights, Epochs, Verbosity, not_negative, optimizer_name, positive,
        some_share,
    },
};

/// Train a model and save it as a Keras file
#[derive(Debug, Args)]
#[command(
    after_help = "Example: thumbnet train --data iris.csv --layers 16:relu,3:softmax --test-split 0.2 --output model.h5"
)]
pub struct Train {
    #[command(flatten)]
    data: DataArguments,

    /// Layers from the first to the last: units:activation, dropout:RATE, batch_normalization or
    /// flatten, such as 32:relu,10:softmax
    #[arg(
        long,
        value_name = "SPEC",
        value_delimiter = ',',
        required_unless_present_any = ["model", "autoencoder"]
    )]
    layers: Vec<LayerSpec>,
    /// Layers of an autoencoder, such as 64:relu,8:relu,64:relu, to find anomalies: it is trained on normal rows to
    /// give back its inputs, by a last linear layer of as many units that is added. A row that it gives back
    /// worse than normal ones is an anomaly; --test-split says which part of the normal rows is kept for that
    /// threshold [default: 0.2]
    #[arg(
        long,
        value_name = "SPEC",
        value_delimiter = ',',
        conflicts_with_all = [
            "layers", "model", "weights", "classes", "y", "loss", "metrics", "compile", "cv", "stratify", "group",
            "validation_data", "validation_x", "sample_weight", "class_weight", "quantize_aware", "q_metrics"
        ]
    )]
    autoencoder: Vec<LayerSpec>,
    /// Label of the normal rows for --autoencoder; others are anomalies, which are scored but not trained on
    /// [default: normal, nominal, ok, good, healthy, benign, no, false or 0, whichever occurs; all rows without
    /// labels]
    #[arg(long, value_name = "LABEL", requires = "autoencoder")]
    normal: Option<String>,
    /// Share of the normal rows that --autoencoder may take for anomalies [default: 1%]
    #[arg(long, value_name = "SHARE", requires = "autoencoder", value_parser = some_share)]
    false_alarms: Option<f64>,
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
    /// [default: up to 200, until the loss of rows to validate on has not fallen for 10 of them; a fifth of
    /// the rows are kept for that where no option says which]
    #[arg(long)]
    epochs: Option<usize>,
    /// Epoch to begin with, for a run that goes on
    #[arg(long, default_value_t = 0, value_name = "EPOCH")]
    initial_epoch: usize,
    /// Rows per step; none takes all rows at once
    #[arg(long, default_value = "32", value_name = "N|none")]
    batch_size: BatchSize,
    /// Steps per epoch; the next epoch goes on where it ended [default: all rows]
    #[arg(long, value_name = "N", value_parser = positive::<usize>)]
    steps_per_epoch: Option<usize>,
    #[command(flatten)]
    split: SplitArguments,
    /// For tables larger than memory: their numbers go to a temporary file of 4 bytes each, and blocks of so many
    /// rows are shuffled among each other, in place of all [default: 100000]
    #[arg(
        long,
        value_name = "ROWS",
        num_args = 0..=1,
        default_missing_value = "100000",
        value_parser = positive::<usize>,
        conflicts_with_all = [
            "x", "y", "model", "weights", "autoencoder", "missing", "group", "test_split", "shuffle_split", "stratify", "cv",
            "class_weight", "sample_weight", "quantize_aware", "q_metrics", "report"
        ]
    )]
    stream: Option<usize>,
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
    /// Weight of each class in the loss, such as 0:1,walk:2.5, or balanced, by which each class weighs the
    /// same in all; a class that is missing weighs 1
    #[arg(
        long,
        value_name = "CLASS:WEIGHT,..|balanced",
        conflicts_with = "sample_weight"
    )]
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

    /// Output: 0 nothing, 1 Keras' progress bars, 2 a line per epoch, auto one line that is renewed on a terminal
    /// and 2 elsewhere
    #[arg(long, default_value = "auto", value_name = "0|1|2|auto")]
    verbose: Verbosity,
    /// Print one JSON object at the end, with history, scores and tables, and nothing else
    #[arg(long, conflicts_with = "verbose")]
    json: bool,
    /// Loss and metrics of every epoch, as JSON
    #[arg(long, value_name = "FILE.json")]
    history: Option<PathBuf>,
    /// Page with pictures to write: curves, confusion matrix, ROC curve, calibration, errors, rows most
    /// wrong, importance of the columns, layers, quantization
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Curves of loss and metrics to write, as SVG
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// The Keras that is to read the file: 2 writes an .h5 that Keras 2.6 to 2.15 load, without the
    /// optimizer's state
    #[arg(long, default_value = "3", value_name = "2|3", value_parser = ["2", "3"])]
    keras: String,
    /// Keras file to write, .h5 or .keras
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Record of the run: options, version, and the SHA-256 of what was read and written, for thumbnet
    /// reproduce
    #[arg(long, value_name = "FILE.json")]
    record: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArguments,
}

/// Epochs at most, and how many of them the validation's loss may stand still, where no option says it.
const EPOCHS: usize = 200;
const PATIENCE: usize = 10;
/// Rows below which none are kept for that.
const FEWEST_ROWS: usize = 20;

/// What a training begins with.
pub(super) struct Start {
    /// Of `--model`.
    model: Option<Sequential>,
    /// Its compile settings, or those that options ask for.
    settings: CompileOptions,
    /// Whether its own hold, with the optimizer's state.
    keep: bool,
    meaning: Meaning,
}

/// What came of a training.
struct Trained {
    model: Sequential,
    history: History,
    /// Rows from this one on were not trained on.
    end: usize,
    /// Of `--validation-data` and its like.
    validation: Option<Labelled>,
}

impl Train {
    /// As [`Self::run`]; `--record` has what the command line was.
    pub fn run_recorded(&self, line: &[OsString]) -> Outcome {
        let Some(path) = &self.record else {
            return self.run();
        };
        if let Some(written) = self.callbacks.listed_outputs()?.first() {
            return Err(Failure::usage(format!(
                "--record keeps no files that callbacks of --callbacks write, such as {}; use --checkpoint and --csv-log",
                written.display()
            )));
        }
        let mut record = Record::of(line, &self.inputs())?;
        self.run()?;
        record.write(path, &self.outputs())
    }

    pub fn run(&self) -> Outcome {
        self.check_outputs()?;
        if let Some(block) = self.stream {
            return self.run_stream(block);
        }
        if !self.autoencoder.is_empty() {
            return self.run_autoencoder();
        }
        let (start, rows) = self.start()?;
        let split = self.split_or_default(rows.data.rows());
        self.note_epochs(&split);
        let parts = split.deal(rows, self.seed)?;
        let folds = match self.split.cv {
            Some(folds) => self.cross_validate(folds, &start, &split, &parts.training)?,
            None => Vec::new(),
        };
        parts.warn_of_classes(parts.end(&split));
        let trained = self.train(start, &parts, &split, true)?;
        let mut score = Value::Null;
        if self.level() > 0 || self.report.is_some() || self.json {
            score = self.judge(&trained, &parts)?;
        }
        let folds = (!folds.is_empty()).then_some(folds);
        self.end(&trained, json!({"score": score, "folds": folds}))
    }

    /// Says where the model is, or prints all that came of the training.
    ///
    /// * `found` - what is to be printed beside the history, by name
    fn end(&self, trained: &Trained, found: Value) -> Outcome {
        if self.json {
            let mut object = json!({
                "output": self.output.display().to_string(),
                "epochs": trained.history.epoch.len(),
                "history": trained.history.to_json(),
            });
            for (name, value) in found.as_object().into_iter().flatten() {
                object[name] = value.clone();
            }
            return console::print_json(&object);
        }
        match self.level() {
            0 => Ok(()),
            _ => console::print(&format!("saved {}\n", self.output.display())),
        }
    }

    /// Keras' number of how much is said on the way.
    fn level(&self) -> u8 {
        if self.json { 0 } else { self.verbose.level() }
    }

    /// Trains on `parts`, and writes files where `saves`; silent where not.
    fn train(
        &self,
        start: Start,
        parts: &Parts,
        split: &SplitArguments,
        saves: bool,
    ) -> Outcome<Trained> {
        let end = parts.end(split);
        let view = parts.training.view(0..end);
        let mut model = self.model(start, &parts.training, &view, saves)?;
        let given = self.validation(&model)?;
        let validation = given.as_ref().or(parts.validation.as_ref());
        let mut callbacks = self.callbacks(&model, &parts.training, end, validation, saves)?;
        let mut verbose = 0;
        if saves {
            let validates = validation.is_some() || end < parts.training.data.rows();
            (callbacks, verbose) = self.with_live_line(callbacks, &model, validates);
        }
        let printed = console::follow(&mut model);
        let options = FitOptions {
            validation_split: parts.tail(split),
            verbose,
            callbacks,
            ..self.fit_options(&parts.training, validation)?
        };
        let rows = &parts.training;
        let history = model.fit(&rows.data.x, rows.y(), options)?;
        let interrupted = interrupt::exit_code().filter(|_| model.was_interrupted());
        if let (false, Some(held)) = (self.autoencoder.is_empty(), &parts.test) {
            self.set_threshold(&mut model, held, parts.normal.clone())?;
        }
        if saves {
            let validates = validation.is_some() || end < parts.training.data.rows();
            self.save(&model, &history, validates)?;
            printed()?;
        }
        if let Some(code) = interrupted {
            return Err(Failure::Interrupted(
                code,
                self.what_is_left(saves, &history),
            ));
        }
        Ok(Trained {
            model,
            history,
            end,
            validation: given,
        })
    }

    /// A model of the rows by these options alone, without a file and without a word.
    ///
    /// * `rows` - of the command's own data
    pub fn model_of(&self, rows: Labelled) -> Outcome<Sequential> {
        let (start, rows) = self.started(None, rows, Meaning::none())?;
        let split = self.split_or_default(rows.data.rows());
        let parts = split.deal(rows, self.seed)?;
        Ok(self.train(start, &parts, &split, false)?.model)
    }

    /// The model to go on from, and the rows, whose labels it can take.
    fn start(&self) -> Outcome<(Start, Labelled)> {
        let given = self.model.as_deref().map(read_keras).transpose()?;
        let meaning = match (&given, &self.model) {
            (Some(loaded), Some(path)) => Meaning::of(&loaded.model, path),
            _ => Meaning::none(),
        };
        let rows = self.data.grouped(&meaning, self.split.group.clone())?;
        for caution in rows
            .data
            .cautions(|row| rows.data.line_of_row(&rows.x_path, row))
        {
            console::note(&format!("note: {}: {caution}", rows.x_path.display()));
        }
        let keep = match &given {
            Some(loaded) => self.keeps_settings(loaded)?,
            None => false,
        };
        let settings = given.as_ref().and_then(compile::settings);
        let (start, mut rows) =
            self.started(given.map(|loaded| (loaded.model, settings)), rows, meaning)?;
        rows.data.sample_weight = weights(self.sample_weight.as_deref(), &rows)?;
        Ok((Start { keep, ..start }, rows))
    }

    /// What the training of `given`, a model with its own settings, or of `--layers` begins with; the
    /// rows' classes are numbered as the model's.
    fn started(
        &self,
        given: Option<(Sequential, Option<Value>)>,
        mut rows: Labelled,
        meaning: Meaning,
    ) -> Outcome<(Start, Labelled)> {
        let is_given = given.is_some();
        let (mut model, own) = match given {
            Some(given) => given,
            None => (self.architecture(rows.data.row_shape(), None)?, None),
        };
        if !model.is_built() {
            model.build(rows.data.row_shape())?;
        }
        check_row_shape(&model, &rows.data, &rows.x_path)?;
        rows.number_classes(Head::of(&model), output_width(&model).unwrap_or(1));
        let settings = self.settings(&model, own, &rows)?;
        let start = Start {
            model: is_given.then_some(model),
            settings,
            keep: false,
            meaning,
        };
        Ok((start, rows))
    }

    /// The options, with rows to validate on where nothing else says when to stop.
    fn split_or_default(&self, rows: usize) -> SplitArguments {
        let mut split = self.split.clone();
        if self.epochs.is_none()
            && split.validation_split == 0.0
            && !self.has_validation_rows()
            && rows >= FEWEST_ROWS
        {
            split.validation_split = 0.2;
            split.stratify = self.autoencoder.is_empty();
            split.shuffle_split = !split.stratify;
        }
        split
    }

    fn has_validation_rows(&self) -> bool {
        self.validation_data.is_some() || self.validation_x.is_some()
    }

    /// Says how long the training goes on, where no option does.
    fn note_epochs(&self, split: &SplitArguments) {
        let drawn = split.validation_split > 0.0 && self.split.validation_split == 0.0;
        let of = match drawn {
            true => " of 20 % of the rows, drawn at random,",
            false => "",
        };
        let validates = self.has_validation_rows() || split.validation_split > 0.0;
        if self.epochs.is_none() && validates {
            console::note(&format!(
                "note: up to {EPOCHS} epochs, until val_loss{of} has not fallen for {PATIENCE} of them; --epochs N trains N"
            ));
        }
    }

    fn fit_options<'a>(
        &self,
        rows: &'a Labelled,
        validation: Option<&'a Labelled>,
    ) -> Outcome<FitOptions<'a>> {
        let validation_data = validation.map(|validation| {
            let data = ValidationData::new(&validation.data.x, validation.y());
            match &validation.data.sample_weight {
                None => data,
                Some(weights) => data.with_sample_weight(weights.view()),
            }
        });
        let sample_weight = rows.data.sample_weight.as_ref();
        Ok(FitOptions {
            epochs: self.last_epoch(),
            batch_size: self.batch_size.0,
            validation_data,
            shuffle: !self.no_shuffle,
            class_weight: self.class_weights(rows)?,
            sample_weight: sample_weight.map(|weights| weights.view()),
            initial_epoch: self.initial_epoch,
            steps_per_epoch: self.steps_per_epoch,
            validation_batch_size: self.validation_batch_size,
            validation_steps: self.validation_steps,
            validation_freq: self.validation_freq.0.clone(),
            seed: Some(self.seed),
            interrupt: Some(interrupt::listen().map_err(Failure::Output)?),
            ..FitOptions::default()
        })
    }

    /// Where the work of an interrupted training is.
    fn what_is_left(&self, saved: bool, history: &History) -> String {
        if !saved {
            return "nothing is saved; the folds were not done".to_string();
        }
        let best = self.callbacks.restores_best(self.epochs.is_none());
        let weights = if best { "best" } else { "last" };
        format!(
            "{} has the {weights} weights, after {} whole epochs{}",
            self.output.display(),
            history.epoch.len(),
            self.callbacks.how_to_go_on()
        )
    }

    fn last_epoch(&self) -> usize {
        self.epochs.unwrap_or(EPOCHS)
    }

    /// Patience of stopping early, where no option says how long to train.
    fn patience(&self, validates: bool) -> Option<usize> {
        (self.epochs.is_none() && validates).then_some(PATIENCE)
    }

    /// * `validates` - whether there were rows to validate on
    fn save(&self, model: &Sequential, history: &History, validates: bool) -> Outcome {
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
        if let Some(path) = &self.plot {
            report::write_plot(path, &self.curves(model, history, validates))?;
        }
        match self.keras.as_str() {
            "2" => model.save_for_keras_2(&self.output)?,
            _ => model.save(&self.output)?,
        }
        Ok(())
    }

    fn curves<'a>(
        &'a self,
        model: &Sequential,
        history: &'a History,
        validates: bool,
    ) -> Curves<'a> {
        let (monitor, mode) = self.callbacks.monitored(validates);
        Curves::new(history, &self.validation_freq.0, model, &monitor, mode)
    }

    /// What the model is worth on rows that it was not trained on, or on those that it was where there are
    /// no others: printed, and as a page where one is asked for.
    fn judge(&self, trained: &Trained, parts: &Parts) -> Outcome<Value> {
        let training = &parts.training;
        let (end, count) = (trained.end, training.data.rows());
        let validation = trained.validation.as_ref().or(parts.validation.as_ref());
        let whole = |rows: &Labelled| 0..rows.data.rows();
        let (rows, range, which) = match (&parts.test, validation) {
            (Some(test), _) => (
                test,
                whole(test),
                "rows to test on, neither trained nor validated on",
            ),
            (None, Some(validation)) => (validation, whole(validation), "rows validated on"),
            (None, None) if end < count => (training, end..count, "rows validated on"),
            (None, None) => (
                training,
                0..count,
                "rows trained on (--test-split 0.2 keeps others for the score)",
            ),
        };
        let view = rows.view(range.clone());
        let data_type = self.quantize_aware.unwrap_or_default();
        let trained_on = training.view(0..end).x;
        let scores = Scores::of(&trained.model, &view, &trained_on, data_type)?;
        let found = self.print_scores(scores.as_ref(), range.len(), which)?;
        let Some(path) = &self.report else {
            return Ok(found);
        };
        let device = scores.as_ref().and_then(|scores| scores.device.as_ref());
        let quantized = device.map(|device| device.report(&trained.model, &view));
        Findings {
            model: &self.output,
            rows,
            range,
            which,
            curves: Some(self.curves(
                &trained.model,
                &trained.history,
                validation.is_some() || end < count,
            )),
            answers: scores.as_ref().map(|scores| &scores.float),
            predict: &|x| trained.model.predict(x),
            keras: Some(&trained.model),
            features: &rows.data.feature_names,
            device: device
                .zip(quantized.as_ref())
                .map(|(device, report)| (device.data_type, &device.evaluation, report)),
            seed: self.seed,
        }
        .write(path)?;
        Ok(found)
    }

    /// Prints the scores of so many rows, and gives them as JSON.
    fn print_scores(&self, scores: Option<&Scores>, rows: usize, which: &str) -> Outcome<Value> {
        let Some(scores) = scores else {
            return Ok(Value::Null);
        };
        let mut found = scores.json();
        (found["rows"], found["which"]) = (json!(rows), json!(which));
        if self.level() > 0 {
            console::print(&format!(
                "\n{rows} {which}: {}\n{}\n",
                scores.line(),
                scores.float.evaluation()
            ))?;
        }
        Ok(found)
    }

    /// The callbacks with the line of a terminal, where somebody looks on, and how much else is said.
    fn with_live_line<'a>(
        &self,
        mut callbacks: Vec<SharedCallback<'a>>,
        model: &Sequential,
        validates: bool,
    ) -> (Vec<SharedCallback<'a>>, u8) {
        if self.json || !self.verbose.is_live() {
            return (callbacks, self.level());
        }
        let (monitor, mode) = self.callbacks.monitored(validates);
        let upwards = mode.upwards(&monitor, model).unwrap_or(false);
        callbacks.push(LiveLine::new(self.last_epoch(), &monitor, upwards).into());
        (callbacks, 0)
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
        let last = self.last_epoch();
        if self.initial_epoch > last {
            return Err(Failure::usage(format!(
                "--initial-epoch {} is beyond --epochs {last}, the epoch to end with; give --epochs {} for {last} more",
                self.initial_epoch,
                self.initial_epoch + last
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
        for path in [
            Some(&self.output),
            self.history.as_ref(),
            self.record.as_ref(),
        ]
        .into_iter()
        .flatten()
        {
            atomic_file::check(path)?;
        }
        report::check_page(self.report.as_ref())?;
        report::check_plot(self.plot.as_ref())?;
        self.callbacks.check_outputs()?;
        self.check_overlap()
    }

    /// Refuses outputs that are inputs or each other.
    fn check_overlap(&self) -> Outcome {
        let listed = self.callbacks.listed_outputs()?;
        let listed = listed
            .iter()
            .map(|path| Named::of("--callbacks", Some(path)));
        let outputs = self.outputs().into_iter().map(Some).chain(listed);
        outputs::check(
            self.inputs().into_iter().map(Some),
            outputs.chain([Named::of("--record", self.record.as_ref())]),
        )
    }

    /// The files that it reads.
    fn inputs(&self) -> Vec<Named<'_>> {
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
            self.config.input(),
        ];
        inputs
            .into_iter()
            .chain(self.callbacks.inputs())
            .flatten()
            .collect()
    }

    /// The files that it writes.
    fn outputs(&self) -> Vec<Named<'_>> {
        let outputs = [
            Named::of("--output", Some(&self.output)),
            Named::of("--history", self.history.as_ref()),
            Named::of("--report", self.report.as_ref()),
            Named::of("--plot", self.plot.as_ref()),
        ];
        outputs
            .into_iter()
            .chain(self.callbacks.outputs())
            .flatten()
            .collect()
    }

    /// Callbacks in the order that they are called in; of the rows those before `end` train.
    fn callbacks<'a>(
        &self,
        model: &Sequential,
        rows: &Labelled,
        end: usize,
        validation: Option<&Labelled>,
        saves: bool,
    ) -> Outcome<Vec<SharedCallback<'a>>> {
        let held = match validation {
            Some(validation) => validation.data.rows(),
            None => rows.data.rows() - end,
        };
        let training = rows.view(0..end).x;
        let mut callbacks = Vec::new();
        // First, so that the others save nothing that is not finite.
        if !self.allow_nan {
            callbacks.push(self.stop_at_nan(model, rows).into());
        }
        // Before those that watch the device's metrics.
        if let (Some(data_type), true) = (self.q_metrics, saves) {
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
            let rest = || rows.view(end..rows.data.rows());
            let held = validation.map_or_else(rest, Labelled::all);
            let metrics = DeviceMetrics::new(&training, &held.x, &held.y, options)?;
            callbacks.push(metrics.into());
        }
        let patience = self.patience(held > 0);
        callbacks.extend(match saves {
            true => self.callbacks.callbacks(held > 0, patience)?,
            false => self.callbacks.without_files(held > 0, patience),
        });
        // Last, so that weights which another one restores are rounded too.
        if let Some(data_type) = self.quantize_aware {
            callbacks.push(QuantizeAware::new(data_type, &training)?.into());
        }
        Ok(callbacks)
    }

    fn stop_at_nan(&self, model: &Sequential, rows: &Labelled) -> StopAtNan {
        let first = model.layers().first();
        let normalized =
            first.is_some_and(|layer| matches!(layer.class_name(), "Normalization" | "Rescaling"));
        StopAtNan::new(&rows.data, normalized, self.callbacks.saves_within_epochs())
    }

    /// The rows of `--validation-data`, read by what the model says about its columns and classes.
    fn validation(&self, model: &Sequential) -> Outcome<Option<Labelled>> {
        let mut validation = match (
            &self.validation_data,
            &self.validation_x,
            &self.validation_y,
        ) {
            (Some(arrays), ..) if is_array(arrays) => {
                labelled_archive(arrays, Part::Test, &Meaning::of(model, &self.output))?
            }
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
            (None, Some(x), Some(y)) => labelled_arrays(x, y)?,
            _ => return Ok(None),
        };
        check_row_shape(model, &validation.data, &validation.x_path)?;
        let path = self.validation_sample_weight.as_deref();
        validation.data.sample_weight = weights(path, &validation)?;
        if let (Some(loss), Some(outputs)) = (
            model.loss(),
            model.output_shape().and_then(<[usize]>::last).copied(),
        ) {
            check_labels(Some(loss), Head::of(model), outputs, &validation)?;
        }
        Ok(Some(validation))
    }

    /// Weights of the classes by number, for these rows to train on.
    fn class_weights(&self, rows: &Labelled) -> Outcome<Option<BTreeMap<i64, f32>>> {
        match &self.class_weight {
            None => Ok(None),
            Some(weights) => rows.class_weights(weights).map(Some),
        }
    }
}

/// Values of a sample of the model's outputs along their last axis.
pub(super) fn output_width(model: &Sequential) -> Option<usize> {
    model.output_shape()?.last().copied()
}

/// One weight per row.
fn weights(path: Option<&Path>, rows: &Labelled) -> Outcome<Option<Array1<f32>>> {
    let Some(path) = path else {
        return Ok(None);
    };
    let weights = read_array(path)?;
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
