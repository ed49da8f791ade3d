//! `thumbnet evaluate`: loss and metrics of a Keras file or of a device model on labelled rows.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use clap::Args;
use ndarray::ArrayD;
use serde_json::{Map, Value, json};
use thumbnet_trainer::{
    evaluation::{Anomalies, Answers, Evaluation, percent},
    figures::thousands,
    history::{LogValue, Logs},
    quantize::{self, DataType, DeviceModel, Saturation, scores},
    saving::Loaded,
    training::EvaluateOptions,
};

use super::{
    Failure, Outcome,
    anomaly::{Detector, Normal},
    answers::{device_answers, keras_answers},
    architecture::ArchitectureArguments,
    compile::{self, CompileArguments, check_device_labels, check_labels},
    console,
    data::{DataArguments, Labelled, Part},
    head::Head,
    models::{AnyModel, silent},
    outputs::{self, Named},
    report::{self, Findings, Scored, Watched},
    scores::OnDevice,
    values::BatchSize,
};

/// Loss and metrics of a model on labelled rows
#[derive(Debug, Args)]
#[command(after_help = "Example: thumbnet evaluate model.h5 --data iris.csv")]
pub struct Evaluate {
    /// Keras file (.h5, .keras) or device model (.tnet)
    model: PathBuf,
    /// Keras file (.weights.h5) whose weights to use in place of the model's
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    #[command(flatten)]
    architecture: ArchitectureArguments,
    #[command(flatten)]
    data: DataArguments,
    #[command(flatten)]
    compile: CompileArguments,
    /// Rows per step; none takes all rows at once
    #[arg(long, default_value = "32", value_name = "N|none")]
    batch_size: BatchSize,
    /// Page with pictures to write: confusion matrix, ROC curve, calibration, errors, rows most wrong,
    /// importance of the columns, layers, quantization
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Label of the normal rows, for a model that finds anomalies [default: the model's, else normal, ok, good,
    /// healthy, benign, no, false or 0]
    #[arg(long, value_name = "LABEL")]
    normal: Option<String>,
    /// Count, of a device model, rows with an input beyond its range and values of each layer at the ends of theirs
    #[arg(long)]
    saturation: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Evaluate {
    pub fn run(&self) -> Outcome {
        self.check_report()?;
        let mut model = AnyModel::load(&self.model, &self.architecture)?
            .with_weights(&self.model, self.weights.as_deref())?;
        if let Some(detector) = Detector::of(&model) {
            return self.anomalies(&detector, &model);
        }
        if self.normal.is_some() {
            return Err(Failure::usage(format!(
                "--normal is for models that find anomalies, but {} does not; leave it out",
                self.model.display()
            )));
        }
        let rows = self.data.labelled(&model.meaning(&self.model))?;
        model.check_rows(&rows.data, &rows.x_path)?;
        let (results, found) = match &mut model {
            AnyModel::Keras(loaded) => {
                let (results, predicted) = self.keras(loaded, &rows)?;
                let found = keras_answers(&loaded.model, &predicted, &rows.all())?;
                (results, found)
            }
            AnyModel::Device(model) => {
                let predicted = model.predict(&rows.data.x)?;
                let results = self.device(model, &predicted, &rows)?;
                (results, device_answers(model, &predicted, &rows.all())?)
            }
        };
        if let Some(path) = &self.report {
            self.write_report(path, &model, &rows, found.as_ref())?;
        }
        let unknown = match &model {
            AnyModel::Device(device) => Unknown::of(device, &rows, found.as_ref())?,
            AnyModel::Keras(_) => None,
        };
        let saturation = match &model {
            AnyModel::Device(model) if self.saturation => Some(model.saturation(&rows.data.x)?),
            AnyModel::Keras(_) if self.saturation => {
                return Err(Failure::usage(format!(
                    "--saturation is for device models, and {} is a Keras file; export it first",
                    self.model.display()
                )));
            }
            AnyModel::Device(_) | AnyModel::Keras(_) => None,
        };
        let tables = found.as_ref().map(Answers::evaluation);
        self.print(&results, tables, unknown, saturation.as_ref())
    }

    /// Which rows are anomalies, and where they are labelled how many of them are found.
    fn anomalies(&self, detector: &Detector, model: &AnyModel) -> Outcome {
        if self.compile.are_given() {
            return Err(Failure::usage(format!(
                "{} finds anomalies, for which there are no --loss, --metrics and --compile; leave them out",
                self.model.display()
            )));
        }
        let (data, path) = self
            .data
            .with_labels(&model.meaning(&self.model), Part::Test)?;
        model.check_rows(&data, &path)?;
        let label = self.normal.as_deref().or(detector.normal.as_deref());
        let normal = Normal::of(&data, &path, label, self.normal.is_some())?;
        let scores = detector.scores(model, &data.x)?;
        let above = scores
            .iter()
            .filter(|score| detector.is_anomaly(**score))
            .count();
        let threshold = detector.threshold;
        if let Some(to) = &self.report {
            let numbers: Vec<usize> = (1..=scores.len()).collect();
            Watched {
                title: format!("{} on {}", report::name(&self.model), report::name(&path)),
                curves: None,
                normal: normal.as_ref().map(|normal| &normal.rows[..]),
                lines: data.lines_of_rows(&path, &numbers),
                keras: match model {
                    AnyModel::Keras(loaded) => Some((&loaded.model, &data.x)),
                    AnyModel::Device(_) => None,
                },
                scored: &[Scored {
                    name: match model {
                        AnyModel::Keras(_) => "float32".to_string(),
                        AnyModel::Device(_) => "the device's bits".to_string(),
                    },
                    threshold,
                    scores: scores.clone(),
                }],
            }
            .write(to)?;
        }
        let found = normal.map(|normal| {
            let found = Anomalies::new(&scores, |score| detector.is_anomaly(score), &normal.rows);
            (normal.label, found)
        });
        if self.json {
            let mut object = json!({"rows": scores.len(), "threshold": threshold, "above": above});
            if let Some((label, found)) = &found {
                object["normal"] = json!(label);
                object["anomalies"] = serde_json::to_value(found).expect("numbers are JSON");
            }
            return console::print_json(&object);
        }
        let labelled = found.map_or(String::new(), |(label, found)| {
            format!("normal is {label:?}: {found}\n")
        });
        console::print(&format!(
            "{above} of {} rows have a score above {threshold:.4}: anomalies\n{labelled}",
            scores.len()
        ))
    }

    /// Refuses a report that could not be written, or would overwrite what is read.
    fn check_report(&self) -> Outcome {
        report::check_page(self.report.as_ref())?;
        let inputs = [
            Named::of("MODEL", Some(&self.model)),
            Named::of("--weights", self.weights.as_ref()),
            Named::of("--data", self.data.data.as_ref()),
            Named::of("--x", self.data.x.as_ref()),
            Named::of("--y", self.data.y.as_ref()),
            Named::of("--compile", self.compile.compile.as_ref()),
            self.architecture.input(),
        ];
        outputs::check(inputs, [Named::of("--report", self.report.as_ref())])
    }

    fn write_report(
        &self,
        path: &Path,
        model: &AnyModel,
        rows: &Labelled,
        found: Option<&Answers>,
    ) -> Outcome {
        let keras = match model {
            AnyModel::Keras(loaded) => Some(&loaded.model),
            AnyModel::Device(_) => None,
        };
        let all = rows.all();
        // No others are at hand to calibrate on.
        let device = match (keras, found) {
            (Some(model), Some(_)) => OnDevice::of(model, &all, &all.x, DataType::Int8)?
                .map(|device| (device.report(model, &all), device)),
            _ => None,
        };
        Findings {
            model: &self.model,
            rows,
            range: 0..rows.data.rows(),
            which: "rows evaluated on",
            curves: None,
            answers: found,
            predict: &|x| model.predict(x, silent()),
            keras,
            features: &rows.data.feature_names,
            device: device
                .as_ref()
                .map(|(report, device)| (device.data_type, &device.evaluation, report)),
            seed: 0,
        }
        .write(path)
    }

    /// Loss and metrics, and the outputs, by one pass over the rows.
    fn keras(&self, loaded: &mut Loaded, rows: &Labelled) -> Outcome<(Logs, ArrayD<f32>)> {
        let mut own = compile::settings(loaded);
        let keep = self.compile.keep(loaded)?;
        let model = &mut loaded.model;
        let outputs = model
            .output_shape()
            .and_then(<[usize]>::last)
            .copied()
            .unwrap_or(1);
        // Nothing is trained: an optimizer that thumbnet does not have is in nobody's way.
        if let Some(own) = &mut own {
            own["optimizer"] = json!("adam");
        }
        let options = self
            .compile
            .options(own, Head::of(model), outputs, rows.y().shape())?;
        check_labels(options.loss.as_ref(), Head::of(model), outputs, rows)?;
        if !keep {
            model.compile_with(options)?;
        }
        let silent = EvaluateOptions {
            batch_size: self.batch_size.0,
            verbose: 0,
            ..EvaluateOptions::default()
        };
        Ok(model.evaluate_with_outputs(&rows.data.x, rows.y(), silent)?)
    }

    /// By what the blob says of itself; `--loss`, `--metrics` and `--compile` ask for others, but
    /// accuracy remains the device's.
    fn device(
        &self,
        model: &DeviceModel,
        predicted: &ArrayD<f32>,
        rows: &Labelled,
    ) -> Outcome<Logs> {
        let own = || quantize::evaluate_outputs(model, predicted, rows.y());
        if !self.compile.are_given() {
            check_device_labels(model, rows)?;
            return Ok(own()?);
        }
        let outputs = model.outputs();
        let head = Head::of_device(model);
        let mut options = self
            .compile
            .options(None, head, outputs, rows.y().shape())?;
        check_labels(options.loss.as_ref(), head, outputs, rows)?;
        let names = ["accuracy", "acc"];
        let (own_score, metrics) = options
            .metrics
            .into_iter()
            .partition(|metric| metric.as_str().is_some_and(|name| names.contains(&name)));
        options.metrics = metrics;
        let mut logs = scores(predicted, rows.y(), &options)?;
        let own_score: Vec<Value> = own_score;
        if !own_score.is_empty() {
            let own = own()?;
            for name in ["accuracy", "binary_accuracy", "r2_score"] {
                if let Some(value) = own.value(name) {
                    logs.set_value(name, value.clone());
                }
            }
        }
        Ok(logs)
    }

    fn print(
        &self,
        logs: &Logs,
        tables: Option<&Evaluation>,
        unknown: Option<Unknown>,
        saturation: Option<&Saturation>,
    ) -> Outcome {
        // Keras shows the loss last, as its names are sorted; a reader looks for it first.
        let mut results: Vec<_> = logs.iter().collect();
        results.sort_by_key(|(name, _)| *name != "loss");
        if self.json {
            let mut object: Map<String, Value> = results
                .into_iter()
                .map(|(name, value)| (name.to_string(), value.to_json()))
                .collect();
            if let Some(tables) = tables {
                let tables = serde_json::to_value(tables).expect("numbers and names are JSON");
                object.insert("evaluation".to_string(), tables);
            }
            if let Some(unknown) = unknown {
                object.insert("unknown".to_string(), json!(unknown.rows));
            }
            if let Some(saturation) = saturation {
                object.insert("saturation".to_string(), json!(saturation));
            }
            console::print_json(&Value::Object(object))
        } else {
            let parts: Vec<String> = results
                .into_iter()
                .map(|(name, value)| format!("{name}: {}", text(value)))
                .collect();
            let below = tables.map_or(String::new(), |tables| format!("\n{tables}"));
            let unknown = unknown.map_or(String::new(), |unknown| format!("\n{unknown}"));
            let ends = saturation.map_or(String::new(), ends);
            console::print(&format!("{}\n{below}{unknown}{ends}", parts.join(" - ")))
        }
    }
}

/// Rows beyond the range, and the layers' values at the ends of theirs.
fn ends(saturation: &Saturation) -> String {
    let mut text = format!(
        "\n{} of {} rows have an input beyond the model's range\n",
        saturation.rows_beyond, saturation.rows
    );
    for (index, layer) in saturation.layers.iter().enumerate() {
        let share = |count: u32| percent(f64::from(count) / layer.values.max(1) as f64);
        text.push_str(&format!(
            "layer {index}: {} values, {} at the lower end, {} at the upper end\n",
            thousands(layer.values),
            share(layer.low),
            share(layer.high)
        ));
    }
    text
}

/// Rows whose class a device model does not know.
struct Unknown {
    rows: usize,
    of: usize,
    /// Share of the others whose class is right.
    accuracy: Option<f64>,
}

impl Unknown {
    /// None where the model knows all.
    fn of(
        device: &DeviceModel,
        rows: &Labelled,
        answers: Option<&Answers>,
    ) -> Outcome<Option<Self>> {
        if device.model().unknown_below().is_none() {
            return Ok(None);
        }
        let classes = device.classify(&rows.data.x)?;
        let known = classes.iter().filter(|(_, known)| *known).count();
        let labels = answers
            .map(Answers::labels)
            .filter(|labels| labels.ncols() == 1);
        let accuracy = labels.filter(|_| known > 0).map(|labels| {
            let rows = classes.iter().zip(labels);
            let right = rows.filter(|((class, known), label)| *known && *class as f32 == **label);
            right.count() as f64 / known as f64
        });
        Ok(Some(Self {
            rows: classes.len() - known,
            of: classes.len(),
            accuracy,
        }))
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = percent(self.rows as f64 / self.of.max(1) as f64);
        write!(
            f,
            "{} of {} rows are of no known class ({share})",
            self.rows, self.of
        )?;
        match self.accuracy {
            Some(accuracy) => writeln!(f, ", of the others {} are right", percent(accuracy)),
            None => writeln!(f),
        }
    }
}

/// `0.4615`, or `[0.4615, 0.6667, 0.0000]` of a metric with a value per class or threshold.
fn text(value: &LogValue) -> String {
    match value {
        LogValue::Number(value) => format!("{value:.4}"),
        LogValue::Numbers(values) => {
            let values: Vec<String> = values.iter().map(|value| format!("{value:.4}")).collect();
            format!("[{}]", values.join(", "))
        }
    }
}
