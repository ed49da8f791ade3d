//! `thumbnet export`: from a Keras file to the blob that the device runs.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::Args;
use ndarray::{ArrayD, Axis};
use thumbnet_boards::Hardware;
use thumbnet_runtime::{Packing, cores::Core};
use thumbnet_trainer::{
    Dataset, Error, Sequential, Task, atomic_file,
    dataset::{Target, is_array, list},
    evaluation::{Reconstruction, percent},
    figures::thousands,
    quantize::{
        Budget, DataType, DeviceModel, LayerTypes, Outputs, QuantizeOptions, Quantized,
        RangeMethod, Report, compare, quantize,
    },
};

use super::{
    Failure, Outcome, anomaly,
    architecture::ArchitectureArguments,
    compile::task,
    console,
    data::{self, ColumnArguments, Part},
    difference,
    emit::{Emit, EmitArguments},
    firmware::Place,
    fit::Fit,
    head::Head,
    meaning::{Meaning, are_numbers},
    models::{check_row_shape, has_extension, is_device, load_keras},
    outputs::{self, Named},
    report,
    values::{self, share, some_share},
};

/// Quantize a Keras file and write the model that the device runs
#[derive(Debug, Args)]
#[command(mut_arg("config", |config| config.visible_alias("json")))]
#[command(
    after_help = "Example: thumbnet export model.h5 --calibrate iris.csv --evaluate iris.csv --output model.tnet"
)]
pub struct Export {
    /// Keras file (.h5 or .keras)
    model: PathBuf,
    #[command(flatten)]
    architecture: ArchitectureArguments,
    /// Rows to take the ranges of values from, CSV or .npy, raw as for training; several hundred, of every class
    #[arg(long, value_name = "FILE", required_unless_present = "emit")]
    calibrate: Option<PathBuf>,
    #[command(flatten)]
    columns: ColumnArguments,
    /// Class names to store, in the order of the outputs [default: the model's, else the text labels of
    /// the CSV file]
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
    /// From which output on an output says yes: a probability, which is moved to the logit where the
    /// model is compiled with from_logits, or any value of a linear output [default: 0.5]
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true, value_parser = finite)]
    threshold: Option<f32>,
    /// Store the names of the input columns too, which costs flash: these, else those that the model
    /// was trained on, else those of --calibrate
    #[arg(
        long,
        value_name = "A,B,..",
        value_delimiter = ',',
        num_args = 0..,
        require_equals = true
    )]
    input_names: Option<Vec<String>>,
    /// Arithmetic of every layer, int8, int4 (half the flash), int16x8 (activations of 16 bits) or
    /// float32; or of some by name, such as dense=int4,dense_1=int16x8, with int8 for the others
    /// [default: int8]
    #[arg(long, value_name = "TYPE|LAYER=TYPE,..")]
    dtype: Option<DataTypes>,
    /// In place of --dtype: the smallest model that loses at most this much of the score against
    /// float32 on the rows of --evaluate (else --calibrate), such as 0.5% or 0.005; without labels,
    /// of the rows decided as in float32
    #[arg(long, value_name = "LOSS", conflicts_with = "dtype", value_parser = share)]
    budget: Option<f64>,
    /// Rows to compare float32 and the device on, better not those trained on: a CSV file, or .npy; with
    /// labels, or --evaluate-y, they are scored too [default: the rows of --calibrate]
    #[arg(long, value_name = "FILE")]
    evaluate: Option<PathBuf>,
    /// Targets of --evaluate
    #[arg(long, value_name = "FILE.npy", requires = "evaluate")]
    evaluate_y: Option<PathBuf>,
    /// Share of normal rows that an autoencoder may take for anomalies: the threshold is chosen on the device's
    /// scores of the normal rows of --evaluate, else of those of --calibrate that its training kept for that
    /// [default: the share that it was trained for]
    #[arg(long, value_name = "SHARE", value_parser = some_share)]
    false_alarms: Option<f64>,
    /// Label of the normal rows [default: the model's]
    #[arg(long, value_name = "LABEL")]
    normal: Option<String>,
    /// Share of rows like those of --evaluate for which a classifier may say that it knows no class: it says so
    /// below the probability that this makes. The rows must not be those trained on
    #[arg(
        long,
        value_name = "SHARE",
        value_parser = some_share,
        requires = "evaluate",
        conflicts_with_all = ["false_alarms", "normal"]
    )]
    reject: Option<f64>,
    /// File for the whole comparison, .html or .json; may be given twice
    #[arg(long, value_name = "FILE")]
    report: Vec<PathBuf>,
    /// How ranges are chosen: auto (what costs least on rows to come, estimated), min-max,
    /// percentile:99.99, mse or entropy [default: auto]
    #[arg(long, value_name = "METHOD", value_parser = range_method)]
    range: Option<Range>,
    /// Core to arrange the weights for, such as m0+, m4f, rv32imac, or a chip such as rp2040 or stm32f411: other
    /// cores run them many times slower, with the same results [default: m4]
    #[arg(long = "core", value_name = "CORE", value_parser = packing)]
    packing: Option<Packing>,
    /// Board, see thumbnet boards: arrange the weights for its core, and refuse a model that does not fit, with
    /// what would make it fit
    #[arg(long, value_name = "NAME", conflicts_with = "packing", value_parser = values::board)]
    board: Option<&'static Hardware>,
    /// Calibration rows to store for the device's self-test, 0 for none [default: 2, or as many as 3 % of
    /// the file have room for]
    #[arg(long, value_name = "N")]
    self_tests: Option<usize>,
    /// File to write, usually .tnet
    #[arg(long, value_name = "FILE.tnet", required_unless_present = "emit")]
    output: Option<PathBuf>,
    #[command(flatten)]
    emit: EmitArguments,
}

/// A squared error of the outputs of this share of their variance deserves a warning.
const USELESS: f64 = 0.1;

/// The name of a core or chip, or `host`, to the order of weights that it reads.
fn packing(text: &str) -> Result<Packing, String> {
    match text {
        "host" => Ok(Packing::Plain),
        _ => values::core(text).map(|core| core.packing),
    }
}

impl Export {
    pub fn run(&self) -> Outcome {
        if let Some(output) = &self.output {
            if has_extension(output, &["h5", "hdf5", "keras", "csv", "npy"]) {
                return Err(Failure::usage(format!(
                    "{}: this is the name of another kind of file, expected one that ends in .tnet",
                    output.display()
                )));
            }
            atomic_file::check(output)?;
        }
        report::check(&self.report)?;
        let emit = self.emit.emit()?;
        self.check_overlap(emit.as_ref())?;
        if is_device(&self.model)? {
            return self.emit_device(emit.as_ref());
        }
        let Exported {
            quantized: Quantized { device, mut report },
            model,
            rows,
            promise,
            ..
        } = self.quantized()?;
        let place = self.board.map(Place::board);
        if let Some(place) = &place {
            self.check_fit(&device, place)?;
        }
        if !self.report.is_empty() {
            report.largest_difference = difference::of(&model, &rows.x, &device, &report);
        }
        let name = self.output.as_ref().unwrap_or(&self.model);
        let name = name.display().to_string();
        if let Some(output) = &self.output {
            device.save(output)?;
        }
        for path in &self.report {
            report::write(path, &report, &device, &name)?;
        }
        let done = match self.output {
            Some(_) => "saved",
            None => "quantized",
        };
        let saved = format!(
            "{done} {name}: {} inputs, {} outputs, {} bytes of flash, {} bytes of scratch, {} multiply-accumulates",
            device.inputs(),
            device.outputs(),
            thousands(report.flash_bytes),
            thousands(report.scratch_bytes),
            thousands(report.macs),
        );
        let fit = place.as_ref().map(|place| Fit::of(&device, place).text());
        let fit = fit.unwrap_or_default();
        let printed = console::print(&format!("{saved}\n{promise}{report}\n{fit}"));
        self.name_far_rows(&report, &rows);
        if let Some(error) = report.relative_error.filter(|error| *error > USELESS) {
            console::note(&format!(
                "warning: the outputs' squared error on the calibration rows is {:.0} % of their variance, little is left of the model; see the fix above, try another --range, or remove rows far from all others",
                100.0 * error
            ));
        }
        if let Some(emit) = &emit {
            emit.write(&device, Some(&rows.x), &self.model)?;
        }
        printed
    }

    /// The model, quantized and compared, and the rows of `--calibrate`.
    pub fn quantized(&self) -> Outcome<Exported> {
        self.quantized_as(self.dtype.clone(), self.budget)
    }

    /// Refuses a model that is too large for its board, and says what would make it fit: other data types are
    /// tried.
    ///
    /// # Errors
    ///
    /// A model that does not fit.
    pub fn check_fit(&self, device: &DeviceModel, place: &Place) -> Outcome {
        let fit = Fit::of(device, place);
        if fit.fits() {
            return Ok(());
        }
        let mut tried = Vec::new();
        for data_type in [DataType::Int8, DataType::Int4] {
            let types = DataTypes(LayerTypes::All(data_type));
            if self.budget.is_some() || self.dtype.as_ref() != Some(&types) {
                let tried_with = self.quantized_as(Some(types), None)?;
                tried.push((data_type, Fit::of(&tried_with.quantized.device, place)));
            }
        }
        Err(Error::value(fit.refusal(Some(&tried))).into())
    }

    /// As [`Self::quantized`], in these data types.
    fn quantized_as(&self, dtype: Option<DataTypes>, budget: Option<f64>) -> Outcome<Exported> {
        let Some(calibrate) = &self.calibrate else {
            return Err(Failure::usage(format!(
                "{} is a Keras file, which is quantized first; give it rows: --calibrate rows.csv",
                self.model.display()
            )));
        };
        let model = load_keras(&self.model, &self.architecture)?.model;
        let meaning = Meaning::of(&model, &self.model);
        let mut rows = self.rows(
            calibrate,
            None,
            &meaning,
            self.reading_names(&meaning),
            Part::Train,
        )?;
        check_row_shape(&model, &rows, calibrate)?;
        let watch = Watch::of(self, &model)?;
        let mut evaluation = None;
        let mut held = None;
        if let Some(watch) = &watch {
            (rows, evaluation, held) = self.normal_rows(watch, rows, calibrate, &meaning)?;
        }
        let names = self.known_names(&model, &meaning, &mut rows, calibrate)?;
        if watch.is_none() {
            evaluation = self.evaluation(&meaning, &names)?;
        }
        let labels = self.class_names().unwrap_or(names);
        if let (Some(rows), Some(path)) = (&evaluation, &self.evaluate) {
            check_row_shape(&model, rows, path)?;
        }
        let compared = evaluation.as_ref().unwrap_or(&rows);
        let mut options = QuantizeOptions {
            range: self.range.and_then(|range| range.0),
            packing: self
                .packing
                .or(self.board.map(|board| board.core().packing))
                .unwrap_or(Packing::Dsp),
            labels,
            threshold: self.threshold,
            input_names: self.names_of_inputs(&model, &rows, calibrate)?,
            self_tests: self.self_tests,
            ..QuantizeOptions::default()
        };
        let scores = compared.y.as_ref().is_some_and(|y| {
            evaluation.is_some()
                || Outputs::of_model(&model, &options)
                    .is_ok_and(|outputs| fits(outputs, y, model.output_shape().unwrap_or_default()))
        });
        options.types = match budget {
            None => dtype.map_or(LayerTypes::All(DataType::Int8), |types| types.0),
            Some(loss) => LayerTypes::Budget(Box::new(Budget {
                loss,
                rows: compared.x.clone(),
                labels: compared.y.clone().filter(|_| scores),
            })),
        };
        let Quantized { device, mut report } = quantize(&model, &rows.x, &options)?;
        if scores || evaluation.is_some() {
            let found = compare(&model, &device, &compared.x, compared.y.as_ref())?;
            match evaluation {
                Some(_) => report.evaluation = Some(found),
                None => report.calibration = found,
            }
        }
        let held_path = self.evaluate.as_deref().unwrap_or(calibrate);
        let (device, promise) = match (&watch, &held, self.reject, &evaluation) {
            (Some(watch), Some(held), ..) => {
                let reconstruction = &watch.reconstruction;
                let device =
                    anomaly::watching(&device, reconstruction, held, watch.share, held_path)?;
                let above = device.model().anomaly_above().unwrap_or_default();
                let rows = held.len_of(Axis(0));
                let promise = anomaly::promise(watch.share);
                let said = format!(
                    "scores above {above:.4} are anomalies, by {rows} normal rows: {promise}\n"
                );
                (device, said)
            }
            (.., Some(share), Some(rows)) => {
                let device = anomaly::rejecting(&device, &rows.x, share, held_path)?;
                let below = device.model().unknown_below().unwrap_or_default();
                let said = format!(
                    "a class less probable than {below:.4} is not known: so are at most {} of rows to come that are like those of {}, on average over such draws of rows, if the model has not seen them (split conformal prediction)\n",
                    percent(share),
                    held_path.display()
                );
                (device, said)
            }
            _ => (device, String::new()),
        };
        report.flash_bytes = device.bytes().len();
        let own = model.signature().map(|signature| &signature.features);
        let columns = own.filter(|names| !names.is_empty());
        Ok(Exported {
            quantized: Quantized { device, report },
            columns: columns.unwrap_or(&rows.feature_names).clone(),
            model,
            rows,
            promise,
        })
    }

    /// The export for a core, with the defaults of everything else.
    pub fn for_core(
        model: PathBuf,
        calibrate: PathBuf,
        columns: ColumnArguments,
        dtype: Option<DataTypes>,
        core: &Core,
    ) -> Self {
        Self {
            model,
            calibrate: Some(calibrate),
            columns,
            dtype,
            packing: Some(core.packing),
            board: None,
            architecture: ArchitectureArguments::default(),
            labels: None,
            classes: None,
            threshold: None,
            input_names: None,
            budget: None,
            evaluate: None,
            evaluate_y: None,
            false_alarms: None,
            normal: None,
            reject: None,
            report: Vec::new(),
            range: None,
            self_tests: None,
            output: None,
            emit: EmitArguments::default(),
        }
    }

    /// Writes a model as source that is exported already.
    fn emit_device(&self, emit: Option<&Emit>) -> Outcome {
        let Some(emit) = emit else {
            return Err(Failure::usage(format!(
                "{} is exported already, expected a Keras file (.h5 or .keras)",
                self.model.display()
            )));
        };
        let of_keras_files = [
            ("--calibrate", self.calibrate.is_some()),
            ("--labels", self.class_names().is_some()),
            ("--threshold", self.threshold.is_some()),
            ("--input-names", self.input_names.is_some()),
            ("--dtype", self.dtype.is_some()),
            ("--budget", self.budget.is_some()),
            ("--evaluate", self.evaluate.is_some()),
            ("--false-alarms", self.false_alarms.is_some()),
            ("--normal", self.normal.is_some()),
            ("--report", !self.report.is_empty()),
            ("--range", self.range.is_some()),
            ("--core", self.packing.is_some()),
            ("--board", self.board.is_some()),
            ("--self-tests", self.self_tests.is_some()),
            ("--output", self.output.is_some()),
        ];
        if let Some((option, _)) = of_keras_files.iter().find(|(_, given)| *given) {
            return Err(Failure::usage(format!(
                "{} is exported already, and {option} is for Keras files (.h5 or .keras); leave it out",
                self.model.display()
            )));
        }
        emit.write(&DeviceModel::load(&self.model)?, None, &self.model)
    }

    /// Refuses outputs that are inputs or each other.
    fn check_overlap(&self, emit: Option<&Emit>) -> Outcome {
        let reports = self.report.iter();
        let reports = reports.map(|path| Named::of("--report", Some(path)));
        let emitted = emit.and_then(Emit::named);
        outputs::check(
            [
                Named::of("MODEL", Some(&self.model)),
                Named::of("--calibrate", self.calibrate.as_ref()),
                Named::of("--evaluate", self.evaluate.as_ref()),
                Named::of("--evaluate-y", self.evaluate_y.as_ref()),
            ],
            [Named::of("--output", self.output.as_ref()), emitted]
                .into_iter()
                .chain(reports),
        )
    }

    /// Of `--input-names`; none where it is not given.
    fn names_of_inputs(
        &self,
        model: &Sequential,
        rows: &Dataset,
        calibrate: &Path,
    ) -> Outcome<Vec<String>> {
        let Some(given) = &self.input_names else {
            return Ok(Vec::new());
        };
        let signature = model.signature().map(|signature| &signature.features);
        let known = [Some(given), signature, Some(&rows.feature_names)];
        match known.into_iter().flatten().find(|names| !names.is_empty()) {
            Some(names) => Ok(names.clone()),
            None => Err(Failure::usage(format!(
                "neither {} nor {} has names of columns; give them: --input-names=a,b",
                self.model.display(),
                calibrate.display()
            ))),
        }
    }

    /// Says which calibration rows were left out, and why.
    fn name_far_rows(&self, report: &Report, rows: &Dataset) {
        const SHOWN: usize = 5;
        let (Some(far), Some(calibrate)) = (report.far_rows.first(), &self.calibrate) else {
            return;
        };
        let numbers: Vec<String> = report
            .far_rows
            .iter()
            .take(SHOWN)
            .map(|far| match rows.line_of_row(calibrate, far.row) {
                Some(line) => format!("{} (line {line})", far.row),
                _ => far.row.to_string(),
            })
            .collect();
        let more = match report.far_rows.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let column = match rows.feature_names.get(far.input - 1) {
            Some(name) => format!("{name:?}"),
            None => far.input.to_string(),
        };
        console::note(&format!(
            "warning: {}: data rows far from all others are left out of the calibration: {}{more}, such as {} in column {column}, where 90 % lie from {:.3} to {:.3}; remove what no sensor gives, or insist on them by --range min-max",
            calibrate.display(),
            numbers.join(", "),
            far.value,
            far.low,
            far.high
        ));
    }

    /// Of `--labels`.
    fn class_names(&self) -> Option<Vec<String>> {
        self.labels.clone().or(self.classes.clone())
    }

    /// The names that labels in tables have: the model's, else those of `--labels`.
    fn reading_names(&self, meaning: &Meaning) -> Option<Vec<String>> {
        match meaning.classes() {
            own if own.is_empty() || are_numbers(own) => self
                .class_names()
                .or(Some(own.to_vec()))
                .filter(|names| !names.is_empty()),
            own => Some(own.to_vec()),
        }
    }

    /// The names of the classes: the model's, those of `--labels`, or the text labels of the calibration
    /// rows where they are as many as the model has classes.
    fn known_names(
        &self,
        model: &Sequential,
        meaning: &Meaning,
        rows: &mut Dataset,
        calibrate: &Path,
    ) -> Outcome<Vec<String>> {
        if let Some(names) = self.reading_names(meaning) {
            return Ok(names);
        }
        let Some(names) = rows.class_names.clone() else {
            return Ok(Vec::new());
        };
        let outputs: usize = model.output_shape().unwrap_or_default().iter().product();
        let head = Head::of(model);
        let task = match model.loss() {
            Some(loss) => task(loss, head, outputs, Some(&names)),
            None => match head {
                Head::Other => Task::Regression,
                _ if outputs == 1 => Task::Binary,
                _ => Task::MultiClass,
            },
        };
        let expected = task.class_count(outputs);
        if names.len() == expected.unwrap_or(outputs.max(2)) {
            return Ok(names);
        }
        if let Some(expected) = expected {
            return Err(Error::format(
                calibrate,
                format!(
                    "the labels are of {} classes, {}, expected {expected} as the model tells apart; name all of them in the order of its outputs with --classes",
                    names.len(),
                    list(&names)
                ),
            )
            .into());
        }
        // Classes of the rows of a model that predicts numbers, such as an autoencoder, are none of its
        // own.
        rows.y = None;
        rows.class_names = None;
        Ok(Vec::new())
    }

    /// The rows of `--evaluate`, with labels where they are there.
    fn evaluation(&self, meaning: &Meaning, labels: &[String]) -> Outcome<Option<Dataset>> {
        let Some(path) = &self.evaluate else {
            return Ok(None);
        };
        let names = Some(labels.to_vec()).filter(|names| !names.is_empty());
        let rows = self.rows(path, self.evaluate_y.as_deref(), meaning, names, Part::Test)?;
        Ok(Some(rows))
    }

    /// Of an autoencoder: normal rows to calibrate on, those to compare on, and those to choose the threshold by,
    /// which it was not trained on.
    fn normal_rows(
        &self,
        watch: &Watch,
        rows: Dataset,
        calibrate: &Path,
        meaning: &Meaning,
    ) -> Outcome<(Dataset, Option<Dataset>, Option<ArrayD<f32>>)> {
        let normal = |data: Dataset, path: &Path| -> Outcome<Dataset> {
            let label = watch.normal.as_deref();
            let mut data = anomaly::normal_part(data, path, label, self.normal.is_some())?;
            (data.y, data.class_names) = (None, None);
            Ok(data)
        };
        let rows = normal(rows, calibrate)?;
        let other = self.evaluate.as_ref().filter(|path| *path != calibrate);
        match (other, watch.held_out) {
            (Some(path), _) => {
                let y = self.evaluate_y.as_deref();
                let other = normal(self.rows(path, y, meaning, None, Part::Test)?, path)?;
                let held = other.x.clone();
                Ok((rows, Some(other), Some(held)))
            }
            (None, Some(part)) => {
                let (rows, held) = rows.hold_out(part);
                let x = held.x.clone();
                Ok((rows, self.evaluate.is_some().then_some(held), Some(x)))
            }
            (None, None) => Err(Failure::usage(
                "--false-alarms takes normal rows that the model was not trained on; add --evaluate held.csv",
            )),
        }
    }

    /// Rows with their labels where they are there.
    fn rows(
        &self,
        path: &Path,
        y: Option<&Path>,
        meaning: &Meaning,
        class_names: Option<Vec<String>>,
        part: Part,
    ) -> Outcome<Dataset> {
        if is_array(path) {
            if let Some(y) = y {
                return Ok(data::labelled_arrays(path, y)?.data);
            }
            return match data::archive_rows(path, part, meaning)? {
                Some(rows) => Ok(rows.data),
                None => data::features(path, &self.columns, meaning, part),
            };
        }
        if y.is_some() {
            return Err(Failure::usage(format!(
                "--evaluate-y goes with arrays, but {} is a CSV file; leave it out",
                path.display()
            )));
        }
        let options = self
            .columns
            .options(Target::ReadIfThere, meaning, class_names)?;
        let data = Dataset::from_csv(path, &options)?;
        meaning.say(&data, path);
        Ok(data)
    }
}

/// What came of an export.
pub struct Exported {
    pub quantized: Quantized,
    /// In float32.
    model: Sequential,
    /// Of `--calibrate`.
    pub rows: Dataset,
    /// Names of the inputs: those that the model was trained on, else those of the rows.
    pub columns: Vec<String>,
    /// What the thresholds promise, a line or nothing.
    promise: String,
}

/// How a model finds anomalies.
struct Watch {
    share: f64,
    normal: Option<String>,
    /// Part of the normal rows that was kept from its training.
    held_out: Option<f64>,
    reconstruction: Reconstruction,
}

impl Watch {
    /// None where neither the options nor the model say that it does.
    fn of(options: &Export, model: &Sequential) -> Outcome<Option<Self>> {
        let own = model
            .signature()
            .and_then(|signature| signature.anomaly.as_ref());
        let Some(share) = options.false_alarms.or(own.map(|own| own.false_alarms)) else {
            return match &options.normal {
                Some(_) => Err(Failure::usage(format!(
                    "--normal is given, but {} was not trained with --autoencoder; add --false-alarms 1% for a model that gives back its inputs",
                    options.model.display()
                ))),
                None => Ok(None),
            };
        };
        // Another one was trained on its inputs as they are.
        let reconstruction = own.map(|_| Reconstruction::of(model)).transpose()?;
        Ok(Some(Self {
            share,
            normal: options
                .normal
                .clone()
                .or(own.and_then(|own| own.normal.clone())),
            held_out: own.map(|own| own.held_out),
            reconstruction: reconstruction.unwrap_or_default(),
        }))
    }
}

/// Whether what stands beside the calibration rows are targets of the model: a class beside the rows of
/// an autoencoder is none.
fn fits(outputs: Outputs, y: &ArrayD<f32>, output_shape: &[usize]) -> bool {
    let width: usize = y.shape().iter().skip(1).product();
    match outputs {
        Outputs::Classes => true,
        Outputs::Binary { .. } | Outputs::Numbers => {
            width == output_shape.iter().product::<usize>()
        }
    }
}

/// A number, but NaN and infinity.
fn finite(text: &str) -> Result<f32, String> {
    match text.trim().parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err("expected a finite number, such as 0.5".to_string()),
    }
}

/// `--dtype`.
#[derive(Clone, Debug, PartialEq)]
pub struct DataTypes(LayerTypes);

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
    fn a_budget_is_a_share_or_a_percentage() {
        assert_eq!(share("0.5%"), Ok(0.005));
        assert_eq!(share("0.25"), Ok(0.25));
        let expected = "expected a share from 0 to 1, such as 0.005 or 0.5%";
        for text in ["-1%", "101%", "NaN", "much", ""] {
            assert_eq!(share(text), Err(expected.to_string()));
        }
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
