//! `--autoencoder`: a model that is trained to give back normal rows, and takes for anomalies what it gives back
//! worse.

use ndarray::{ArrayD, Axis, Slice};
use serde_json::{Value, json};
use thumbnet_trainer::{
    Sequential,
    evaluation::{Anomalies, Reconstruction, percent, rows_needed},
    layers::Normalization,
    quantize::{DataType, LayerTypes, QuantizeOptions, quantize},
    signature::Anomaly,
};

use super::{
    super::{
        Failure, Outcome,
        anomaly::{self, FALSE_ALARMS, Normal, promise},
        console,
        data::{Labelled, Part},
        meaning::Meaning,
        report::{self, Scored, Watched},
        scores::{CALIBRATION_ROWS, spread_out},
        split::{Parts, SplitArguments},
    },
    Train, Trained,
    model::widen_constant_columns,
};

/// Share of the normal rows that are kept for the threshold where `--test-split` does not say it.
const HELD_OUT: f64 = 0.2;

/// Rows by what they are for.
struct Rows {
    /// To train and validate on.
    training: Labelled,
    /// Normal ones for the threshold.
    held: Labelled,
    anomalies: Option<Labelled>,
    /// The label of normal rows.
    label: Option<String>,
}

impl Train {
    pub(super) fn run_autoencoder(&self) -> Outcome {
        let Rows {
            training,
            held,
            anomalies,
            label,
        } = self.rows_of_autoencoder()?;
        let (start, training) = self.started(None, training, Meaning::none())?;
        let split = SplitArguments {
            test_split: 0.0,
            ..self.split_or_default(training.data.rows())
        };
        self.note_epochs(&split);
        let mut parts = split.deal(training, self.seed)?;
        self.set_targets(&mut parts, &split)?;
        (parts.test, parts.normal) = (Some(held), label);
        let trained = self.train(start, &parts, &split, true)?;
        let mut found = Value::Null;
        if self.level() > 0 || self.json || self.report.is_some() {
            found = self.judge_anomalies(&trained, &parts, anomalies.as_ref())?;
        }
        self.end(&trained, json!({"anomalies": found}))
    }

    pub(super) fn false_alarms(&self) -> f64 {
        self.false_alarms.unwrap_or(FALSE_ALARMS)
    }

    fn held_out(&self) -> f64 {
        match self.split.test_split {
            0.0 => HELD_OUT,
            part => part,
        }
    }

    fn rows_of_autoencoder(&self) -> Outcome<Rows> {
        let (data, path) = self.data.with_labels(&Meaning::none(), Part::Train)?;
        if data.row_shape().len() != 1 {
            return Err(Failure::usage(format!(
                "{} has rows of shape {:?}, expected rows of one axis for --autoencoder; reshape the array",
                path.display(),
                data.row_shape()
            )));
        }
        let typed = self.normal.is_some();
        let normal = Normal::of(&data, &path, self.normal.as_deref(), typed)?;
        let (rows, others, label) = match normal {
            None => (data, None, None),
            Some(Normal { label, rows }) => {
                let (others, rows) = data.partition(&rows);
                console::note(&format!(
                    "note: {}: normal are the {} rows labelled {label:?}",
                    path.display(),
                    rows.rows()
                ));
                (
                    rows,
                    Some(others).filter(|others| others.rows() > 0),
                    Some(label),
                )
            }
        };
        let (rows, held) = rows.hold_out(self.held_out());
        let (share, needed) = (self.false_alarms(), rows_needed(self.false_alarms()));
        if held.rows() < needed {
            return Err(Failure::usage(format!(
                "{}: {} normal rows are kept for the threshold ({} of them), too few for --false-alarms {}, expected at least {needed}; give more normal rows, a greater --test-split, or --false-alarms 5%",
                path.display(),
                held.rows(),
                percent(self.held_out()),
                percent(share).replace(' ', "")
            )));
        }
        let labelled = |mut data: thumbnet_trainer::Dataset| {
            // Of the same width; those to train on become the inputs as the network sees them.
            data.y = Some(data.x.clone());
            data.class_names = None;
            Labelled {
                data,
                x_path: path.clone(),
                y_path: path.clone(),
            }
        };
        Ok(Rows {
            training: labelled(rows),
            held: labelled(held),
            anomalies: others.map(labelled),
            label,
        })
    }

    /// Makes the targets of the rows to train and to validate on what the network sees of their inputs.
    fn set_targets(&self, parts: &mut Parts, split: &SplitArguments) -> Outcome {
        let end = parts.end(split);
        let data = &mut parts.training.data;
        let mut reconstruction = Reconstruction::default();
        if self.normalizes() {
            let mut normalization = Normalization::new();
            normalization.adapt(&data.x.slice_axis(Axis(0), Slice::from(..end)))?;
            let mut model = self.architecture(data.row_shape(), Some(normalization))?;
            widen_constant_columns(&mut model)?;
            reconstruction = Reconstruction::of(&model)?;
        }
        data.y = Some(reconstruction.targets(&data.x));
        if let Some(validation) = &mut parts.validation {
            validation.data.y = Some(reconstruction.targets(&validation.data.x));
        }
        Ok(())
    }

    /// Chooses the threshold of a trained model by rows that it has not seen.
    pub(super) fn set_threshold(
        &self,
        model: &mut Sequential,
        held: &Labelled,
        normal: Option<String>,
    ) -> Outcome {
        let scores = anomaly::scores(model, &held.data.x)?;
        let share = self.false_alarms();
        let mut signature = model.signature().cloned().expect("every training sets one");
        signature.anomaly = Some(Anomaly {
            threshold: anomaly::threshold(&scores, share, &held.x_path)?,
            false_alarms: share,
            held_out: self.held_out(),
            normal,
        });
        Ok(model.set_signature(Some(signature))?)
    }

    /// What the model is worth, in float32 and on the device: printed, as a page where one is asked for, and as JSON.
    fn judge_anomalies(
        &self,
        trained: &Trained,
        parts: &Parts,
        anomalies: Option<&Labelled>,
    ) -> Outcome<Value> {
        let Some(held) = &parts.test else {
            return Ok(Value::Null);
        };
        let model = &trained.model;
        let float = model
            .signature()
            .and_then(|signature| signature.anomaly.as_ref());
        let float = float.map_or(f32::INFINITY, |anomaly| anomaly.threshold);
        let options = QuantizeOptions {
            types: LayerTypes::All(DataType::Int8),
            self_tests: Some(0),
            ..QuantizeOptions::default()
        };
        let x = parts.training.view(0..trained.end).x;
        let quantized = quantize(model, &spread_out(&x, CALIBRATION_ROWS), &options);
        let reconstruction = Reconstruction::of(model)?;
        let device = match &quantized {
            Ok(quantized) => Some(anomaly::watching(
                &quantized.device,
                &reconstruction,
                &held.data.x,
                self.false_alarms(),
                &held.x_path,
            )?),
            // What the device cannot run is said by export, with what to do.
            Err(_) => None,
        };
        let on_device = device
            .as_ref()
            .and_then(|device| device.model().anomaly_above());
        let in_int8 =
            on_device.map_or(String::new(), |above| format!(", of int8 above {above:.4}"));
        let mut text = format!(
            "\n{} normal rows kept from training: scores above {float:.4} are anomalies{in_int8}\n{}\n",
            held.data.rows(),
            promise(self.false_alarms())
        );
        let mut all = json!({
            "rows": held.data.rows(),
            "false_alarms": self.false_alarms(),
            "float32": {"threshold": float},
            "int8": {"threshold": on_device},
        });
        let all_rows: Vec<&ArrayD<f32>> = std::iter::once(&held.data.x)
            .chain(anomalies.map(|anomalies| &anomalies.data.x))
            .collect();
        let scored = |name: &str, threshold, of: &dyn Fn(&ArrayD<f32>) -> Outcome<Vec<f32>>| {
            let scores: Outcome<Vec<_>> = all_rows.iter().map(|x| of(x)).collect();
            Ok::<_, Failure>(Scored {
                name: name.to_string(),
                threshold,
                scores: scores?.concat(),
            })
        };
        let mut by = vec![scored("float32", float, &|x| anomaly::scores(model, x))?];
        if let (Some(device), Some(above)) = (&device, on_device) {
            by.push(scored("int8", above, &|x| {
                anomaly::device_scores(device, x)
            })?);
        }
        let is_normal: Vec<bool> = (0..by[0].scores.len())
            .map(|row| row < held.data.rows())
            .collect();
        if anomalies.is_some() {
            for Scored {
                name,
                threshold,
                scores,
            } in &by
            {
                let found = Anomalies::new(scores, |score| score > *threshold, &is_normal);
                text.push_str(&format!("{name}: {found}\n"));
                all[name]["labelled"] = json!(found);
            }
        }
        if let Some(path) = &self.report {
            let validates = parts.validation.is_some() || trained.end < parts.training.data.rows();
            Watched {
                title: format!(
                    "{} on {}",
                    report::name(&self.output),
                    report::name(&held.x_path)
                ),
                curves: Some(self.curves(model, &trained.history, validates)),
                normal: Some(&is_normal),
                scored: &by,
                lines: None,
                keras: Some((model, &held.data.x)),
            }
            .write(path)?;
        }
        if self.level() > 0 {
            console::print(&text)?;
        }
        Ok(all)
    }
}
