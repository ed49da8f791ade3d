//! Intersection over union of classes, from a confusion matrix of class indices.

use serde_json::{Map, Value, json};

use super::accuracy::argmax;
use super::{Accumulate, weight};
use crate::error::{Error, Result};
use crate::keras::Object;
use crate::losses::{Batch, EPSILON};
use crate::variable::NamedArray;

/// Which class of Keras.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    IoU,
    BinaryIoU,
    MeanIoU,
    OneHotIoU,
    OneHotMeanIoU,
}

#[derive(Clone, Debug)]
pub(super) struct IoU {
    form: Form,
    num_classes: usize,
    target_class_ids: Vec<usize>,
    threshold: f64,
    ignore_class: Option<i64>,
    sparse_y_true: bool,
    sparse_y_pred: bool,
    /// Weights are truncated to integers, as Keras' default dtype has it.
    integer: bool,
    /// `[num_classes, num_classes]`, targets by predictions.
    total_cm: Vec<f64>,
}

impl IoU {
    pub(super) fn read(form: Form, options: &Object) -> Result<Self> {
        let owner = &options.owner();
        let missing = |key: &str| {
            Error::value(format!(
                "{owner} has no {key}; give it as {{\"class_name\": .., \"config\": {{\"{key}\": ..}}}}"
            ))
        };
        let num_classes = match form {
            Form::BinaryIoU => 2,
            _ => options
                .count("num_classes", 1)?
                .ok_or_else(|| missing("num_classes"))?,
        };
        if num_classes > 4096 {
            return Err(Error::value(format!(
                "{owner} has num_classes {num_classes}, expected at most 4096: its matrix has the square of that"
            )));
        }
        let all = || (0..num_classes).collect::<Vec<_>>();
        let target_class_ids = match (form, options.get("target_class_ids")) {
            (Form::MeanIoU | Form::OneHotMeanIoU, _) => all(),
            (Form::BinaryIoU, None) if !options.is_null("target_class_ids") => all(),
            (_, None) => return Err(missing("target_class_ids")),
            (_, Some(given)) => {
                let id = |id: &Value| {
                    let id = usize::try_from(id.as_u64()?).ok()?;
                    (id < num_classes).then_some(id)
                };
                let list = given.as_array().map(Vec::as_slice).unwrap_or_default();
                let list: Option<Vec<_>> = list.iter().map(id).collect();
                list.filter(|list| !list.is_empty()).ok_or_else(|| {
                    Error::value(format!(
                        "{owner} has target_class_ids {given}, expected a list of classes from 0 to {}",
                        num_classes - 1
                    ))
                })?
            }
        };
        let one_hot = matches!(form, Form::OneHotIoU | Form::OneHotMeanIoU);
        if let Some(axis) = options
            .entry("axis")
            .filter(|axis| axis.as_i64() != Some(-1))
        {
            return Err(Error::unsupported(format!(
                "{owner} has axis {axis}, expected -1, the classes of a row; remove it"
            )));
        }
        Ok(Self {
            form,
            num_classes,
            target_class_ids,
            threshold: options.number_or("threshold", 0.5)?,
            ignore_class: options.signed("ignore_class")?,
            sparse_y_true: !one_hot && options.flag_or("sparse_y_true", true)?,
            sparse_y_pred: options.flag_or("sparse_y_pred", !one_hot)?,
            integer: !options
                .text("dtype")?
                .is_some_and(|dtype| dtype.contains("float")),
            total_cm: vec![0.0; num_classes * num_classes],
        })
    }

    /// Index of a class, if it is one of the matrix's.
    fn class(&self, value: f32) -> Option<usize> {
        let class = value as i64;
        usize::try_from(class)
            .ok()
            .filter(|&class| class < self.num_classes && !value.is_nan())
    }
}

impl Accumulate for IoU {
    fn update(&mut self, batch: &Batch, weights: Option<&[f32]>) {
        for (i, (t, p)) in batch.pairs().enumerate() {
            let weight = weight(weights, i);
            let weight = if self.integer { weight.trunc() } else { weight };
            let columns = match (self.sparse_y_true, self.sparse_y_pred) {
                (true, true) => t.len().min(p.len()),
                _ => 1,
            };
            for column in 0..columns {
                let target = if self.sparse_y_true {
                    t[column]
                } else {
                    argmax(t) as f32
                };
                let predicted = match (self.sparse_y_pred, self.form) {
                    (false, _) => argmax(p) as f32,
                    (true, Form::BinaryIoU) => {
                        f32::from(u8::from(p[column] >= self.threshold as f32))
                    }
                    (true, _) => p[column],
                };
                if self
                    .ignore_class
                    .is_some_and(|class| target == class as f32)
                {
                    continue;
                }
                if let (Some(t), Some(p)) = (self.class(target), self.class(predicted)) {
                    self.total_cm[t * self.num_classes + p] += f64::from(weight);
                }
            }
        }
    }

    fn results(&self) -> Vec<f32> {
        let n = self.num_classes;
        let mut sum = 0.0;
        let mut valid = 0.0;
        for &class in &self.target_class_ids {
            let row: f64 = self.total_cm[class * n..][..n].iter().sum();
            let column: f64 = self.total_cm[class..].iter().step_by(n).sum();
            let both = self.total_cm[class * n + class];
            let union = (row + column - both) as f32;
            if union > 1e-9 {
                sum += both as f32 / (union + EPSILON);
                valid += 1.0;
            }
        }
        vec![sum / (valid + EPSILON)]
    }

    fn variables(&self) -> Vec<NamedArray> {
        let matrix = self.total_cm.iter().map(|&count| count as f32).collect();
        let shape = [self.num_classes; 2];
        vec![NamedArray::f32("total_confusion_matrix", &shape, matrix)]
    }

    fn reset(&mut self) {
        self.total_cm.fill(0.0);
    }

    /// Whether targets and predictions hold as many classes each.
    fn check(&self, metric: &str, y_true_width: usize, width: usize) -> Result<()> {
        let expected = match (self.sparse_y_true, self.sparse_y_pred) {
            (true, true) if y_true_width != width => "as many columns in both",
            (true, false) if y_true_width != 1 => "one column of classes in the targets",
            (false, true) if width != 1 => "one column of classes in the predictions",
            (true | false, true | false) => return Ok(()),
        };
        Err(Error::shape(format!(
            "metric {metric:?} got targets of {y_true_width} columns for predictions of {width}, expected {expected}; set sparse_y_true and sparse_y_pred by whether each holds classes or one column per class"
        )))
    }

    fn options(&self) -> Map<String, Value> {
        let mut options = Map::new();
        let mut put = |key: &str, value: Value| options.insert(key.to_owned(), value);
        put(
            "dtype",
            json!(if self.integer { "int64" } else { "float32" }),
        );
        if self.form != Form::BinaryIoU {
            put("num_classes", json!(self.num_classes));
        }
        if !matches!(self.form, Form::MeanIoU | Form::OneHotMeanIoU) {
            put("target_class_ids", json!(self.target_class_ids));
        }
        if self.form == Form::BinaryIoU {
            put("threshold", json!(self.threshold));
            return options;
        }
        put("ignore_class", json!(self.ignore_class));
        if matches!(self.form, Form::IoU | Form::MeanIoU) {
            put("sparse_y_true", json!(self.sparse_y_true));
        }
        put("sparse_y_pred", json!(self.sparse_y_pred));
        put("axis", json!(-1));
        options
    }
}
