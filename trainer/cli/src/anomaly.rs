//! Anomalies, and classes that are not known: thresholds by rows that the model was not trained on.

use std::path::Path;

use ndarray::ArrayD;
use thumbnet_runtime::Verdict;
use thumbnet_trainer::{
    Dataset, Error, Sequential,
    dataset::list,
    evaluation::{Reconstruction, conformal_threshold, flat, percent},
    quantize::DeviceModel,
};

use super::{Failure, Outcome, console, head::Head, models::AnyModel};

/// Labels that are taken for those of normal rows where none is named, in this order.
const USUAL: [&str; 9] = [
    "normal", "nominal", "ok", "good", "healthy", "benign", "no", "false", "0",
];

/// Normal rows that may be taken for anomalies where no option says how many.
pub const FALSE_ALARMS: f64 = 0.01;

/// Which rows are normal.
pub struct Normal {
    /// Their label.
    pub label: String,
    /// Whether each row is.
    pub rows: Vec<bool>,
}

impl Normal {
    /// By the rows' labels; none where there are none.
    ///
    /// * `label` - of normal rows, as `--normal` says or as the model does
    /// * `typed` - whether `--normal` does: then it must occur
    pub fn of(
        data: &Dataset,
        path: &Path,
        label: Option<&str>,
        typed: bool,
    ) -> Outcome<Option<Self>> {
        let Some(y) = &data.y else {
            return match typed {
                true => Err(Failure::usage(format!(
                    "--normal is given, but {} has no labels; name their column with --target",
                    path.display()
                ))),
                false => Ok(None),
            };
        };
        if y.len() != data.rows() {
            return Err(Failure::usage(format!(
                "{} has {} targets a row, expected one label that says what is normal",
                path.display(),
                y.len() / data.rows().max(1)
            )));
        }
        let name = |value: &f32| match &data.class_names {
            Some(names) => names[*value as usize].clone(),
            None => value.to_string(),
        };
        let labels: Vec<String> = y.iter().map(name).collect();
        let mut names = labels.clone();
        names.sort_unstable();
        names.dedup();
        let found = match label {
            Some(label) => {
                (!typed || names.iter().any(|name| name == label)).then(|| label.to_string())
            }
            None => usual(&names),
        };
        let Some(label) = found else {
            let of = label.map_or(String::new(), |label| format!(", none of them {label:?}"));
            return Err(Failure::usage(format!(
                "the labels of {} are {}{of}; say which rows are normal, such as --normal {}",
                path.display(),
                list(&names),
                names[0]
            )));
        };
        let rows = labels.iter().map(|found| *found == label).collect();
        Ok(Some(Self { label, rows }))
    }
}

fn usual(names: &[String]) -> Option<String> {
    if let [one] = names {
        return Some(one.clone());
    }
    let named = |usual: &&str| names.iter().find(|name| name.eq_ignore_ascii_case(usual));
    USUAL.iter().find_map(named).cloned()
}

/// The threshold of a model that finds anomalies.
pub struct Detector {
    pub threshold: f32,
    /// The label of normal rows, where that is known.
    pub normal: Option<String>,
}

impl Detector {
    /// None where the model is none.
    pub fn of(model: &AnyModel) -> Option<Self> {
        match model {
            AnyModel::Keras(loaded) => {
                let anomaly = loaded.model.signature()?.anomaly.as_ref()?;
                Some(Self {
                    threshold: anomaly.threshold,
                    normal: anomaly.normal.clone(),
                })
            }
            AnyModel::Device(device) => Some(Self {
                threshold: device.model().anomaly_above()?,
                normal: None,
            }),
        }
    }

    /// The score of each row.
    pub fn scores(&self, model: &AnyModel, x: &ArrayD<f32>) -> Outcome<Vec<f32>> {
        match model {
            AnyModel::Keras(loaded) => scores(&loaded.model, x),
            AnyModel::Device(device) => device_scores(device, x),
        }
    }

    /// Whether that is an anomaly, as the device decides.
    pub fn is_anomaly(&self, score: f32) -> bool {
        score > self.threshold
    }
}

/// Of float32.
pub fn scores(model: &Sequential, x: &ArrayD<f32>) -> Outcome<Vec<f32>> {
    Ok(Reconstruction::of(model)?.scores(x, &model.predict(x)?)?)
}

pub fn device_scores(device: &DeviceModel, x: &ArrayD<f32>) -> Outcome<Vec<f32>> {
    let found = device.detect(x)?;
    Ok(found.into_iter().map(|found| found.score).collect())
}

/// A device model that takes for anomalies what it gives back worse than these rows.
///
/// * `held` - normal rows that it was not trained on
/// * `path` - of them, for messages
pub fn watching(
    device: &DeviceModel,
    reconstruction: &Reconstruction,
    held: &ArrayD<f32>,
    share: f64,
    path: &Path,
) -> Outcome<DeviceModel> {
    let with = |above: f32| {
        device.with_verdict(&Verdict::Anomaly {
            above,
            means: &reconstruction.means,
            factors: &reconstruction.factors,
        })
    };
    let scores = device_scores(&with(0.0)?, held)?;
    Ok(with(threshold(&scores, share, path)?)?)
}

/// The conformal threshold of rows of a file.
pub fn threshold(scores: &[f32], share: f64, path: &Path) -> Outcome<f32> {
    let named = |error| Error::format(path, format!("{error}"));
    Ok(conformal_threshold(scores, share).map_err(named)?)
}

/// A device model that does not know classes less probable than those that it finds for these rows.
///
/// * `held` - rows that it was not trained on
/// * `path` - of them, for messages
pub fn rejecting(
    device: &DeviceModel,
    held: &ArrayD<f32>,
    share: f64,
    path: &Path,
) -> Outcome<DeviceModel> {
    let outputs = device.outputs();
    match (Head::of_device(device), outputs) {
        (Head::Softmax, 2..) | (Head::Sigmoid, 1) => {}
        _ => {
            return Err(Failure::usage(
                "--reject takes a model of one class a row, whose last activation is softmax, or sigmoid of one output",
            ));
        }
    }
    let predicted = flat(&device.predict(held)?)?;
    let classes = device.classify(held)?;
    let probabilities =
        predicted
            .outer_iter()
            .zip(classes)
            .map(|(y, (class, _))| match (outputs, class) {
                (1, 0) => 1.0 - y[0],
                (1, _) => y[0],
                _ => y[class],
            });
    // The greater, the stranger.
    let scores: Vec<f32> = probabilities.map(|probability| -probability).collect();
    let below = -threshold(&scores, share, path)?;
    Ok(device.with_verdict(&Verdict::Unknown { below })?)
}

/// What the threshold promises, in words.
pub fn promise(share: f64) -> String {
    format!(
        "of normal rows to come that are like these, at most {} are taken for anomalies, on average over such draws of rows (split conformal prediction)",
        percent(share)
    )
}

/// Normal rows only; says how many others there were.
pub fn normal_part(
    data: Dataset,
    path: &Path,
    label: Option<&str>,
    typed: bool,
) -> Outcome<Dataset> {
    let Some(normal) = Normal::of(&data, path, label, typed)? else {
        return Ok(data);
    };
    let (others, rows) = data.partition(&normal.rows);
    if rows.rows() == 0 {
        return Err(Failure::usage(format!(
            "{} has no rows labelled {:?}; name the label of normal rows with --normal",
            path.display(),
            normal.label
        )));
    }
    if others.rows() > 0 {
        console::note(&format!(
            "note: {}: {} rows are not labelled {:?} and left out",
            path.display(),
            others.rows(),
            normal.label
        ));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr1;

    fn data(labels: &[f32], names: Option<&[&str]>) -> Dataset {
        let x = ArrayD::zeros(vec![labels.len(), 1]);
        let mut data = Dataset::new(x, Some(arr1(labels).into_dyn()));
        data.class_names = names.map(|names| names.iter().map(ToString::to_string).collect());
        data
    }

    fn of(data: &Dataset, label: Option<&str>, typed: bool) -> Result<(String, Vec<bool>), String> {
        match Normal::of(data, Path::new("d.csv"), label, typed) {
            Ok(normal) => normal
                .map(|normal| (normal.label, normal.rows))
                .ok_or("no labels".to_string()),
            Err(failure) => Err(failure.to_string()),
        }
    }

    #[test]
    fn normal_rows_are_those_of_the_usual_or_the_named_label() {
        let text = data(&[1.0, 0.0, 2.0], Some(&["Normal", "fault", "worn"]));
        assert_eq!(
            of(&text, None, false),
            Ok(("Normal".into(), vec![false, true, false]))
        );
        assert_eq!(
            of(&text, Some("worn"), true),
            Ok(("worn".into(), vec![false, false, true]))
        );
        // A model's label need not occur.
        assert_eq!(
            of(&text, Some("fine"), false),
            Ok(("fine".into(), vec![false; 3]))
        );
        assert_eq!(
            of(&data(&[0.0, 1.0], None), None, false),
            Ok(("0".into(), vec![true, false]))
        );
        assert_eq!(
            of(&data(&[3.0, 3.0], None), None, false),
            Ok(("3".into(), vec![true, true]))
        );
        assert_eq!(
            of(&Dataset::new(ArrayD::zeros(vec![2, 1]), None), None, false),
            Err("no labels".into())
        );
    }

    #[test]
    fn what_is_not_known_to_be_normal_is_asked_for() {
        let text = data(&[1.0, 0.0], Some(&["a", "b"]));
        assert_eq!(
            of(&text, None, false).unwrap_err(),
            "the labels of d.csv are a, b; say which rows are normal, such as --normal a"
        );
        assert_eq!(
            of(&text, Some("c"), true).unwrap_err(),
            "the labels of d.csv are a, b, none of them \"c\"; say which rows are normal, such as --normal a"
        );
        assert_eq!(
            of(
                &Dataset::new(ArrayD::zeros(vec![2, 1]), None),
                Some("a"),
                true
            )
            .unwrap_err(),
            "--normal is given, but d.csv has no labels; name their column with --target"
        );
        let two = Dataset::new(ArrayD::zeros(vec![2, 1]), Some(ArrayD::zeros(vec![2, 3])));
        assert_eq!(
            of(&two, None, false).unwrap_err(),
            "d.csv has 3 targets a row, expected one label that says what is normal"
        );
    }
}
