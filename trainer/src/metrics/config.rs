//! Names and serialized forms of metrics: what `compile` takes, and what Keras 2 and 3 save.

use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::auc::AUC;
use super::constrained::{Constrained, Constraint};
use super::f_score::FBetaScore;
use super::iou::{Form, IoU};
use super::mean::{Function, Mean};
use super::precision::{Count, Counted};
use super::r2::R2Score;
use super::{Family, Metric};
use crate::config::{Object, check_keys, serialized, unknown};
use crate::error::{Error, Result};
use crate::losses::{LossKind, Wanted};

/// Class, its name in snake case (which `compile` takes too), the name that the metric gives
/// itself, and what targets it wants.
struct Class {
    name: &'static str,
    snake: &'static str,
    default_name: &'static str,
}

const fn class(name: &'static str, snake: &'static str) -> Class {
    Class {
        name,
        snake,
        default_name: snake,
    }
}

/// Classes that are not a loss function's.
const CLASSES: &[Class] = &[
    class("Accuracy", "accuracy"),
    class("BinaryAccuracy", "binary_accuracy"),
    class("CategoricalAccuracy", "categorical_accuracy"),
    class("SparseCategoricalAccuracy", "sparse_categorical_accuracy"),
    class("TopKCategoricalAccuracy", "top_k_categorical_accuracy"),
    class(
        "SparseTopKCategoricalAccuracy",
        "sparse_top_k_categorical_accuracy",
    ),
    class("RootMeanSquaredError", "root_mean_squared_error"),
    class("CosineSimilarity", "cosine_similarity"),
    Class {
        name: "LogCoshError",
        snake: "log_cosh_error",
        default_name: "logcosh",
    },
    class("PearsonCorrelation", "pearson_correlation"),
    class("ConcordanceCorrelation", "concordance_correlation"),
    class("R2Score", "r2_score"),
    class("AUC", "auc"),
    class("Precision", "precision"),
    class("Recall", "recall"),
    class("TruePositives", "true_positives"),
    class("TrueNegatives", "true_negatives"),
    class("FalsePositives", "false_positives"),
    class("FalseNegatives", "false_negatives"),
    class("SensitivityAtSpecificity", "sensitivity_at_specificity"),
    class("SpecificityAtSensitivity", "specificity_at_sensitivity"),
    class("PrecisionAtRecall", "precision_at_recall"),
    class("RecallAtPrecision", "recall_at_precision"),
    class("F1Score", "f1_score"),
    Class {
        name: "FBetaScore",
        snake: "f_beta_score",
        default_name: "fbeta_score",
    },
    class("IoU", "io_u"),
    class("BinaryIoU", "binary_io_u"),
    class("MeanIoU", "mean_io_u"),
    class("OneHotIoU", "one_hot_io_u"),
    class("OneHotMeanIoU", "one_hot_mean_io_u"),
];

/// The family of that class or function, and the name that it gives itself.
fn family(name: &str, options: &Object) -> Result<Option<(Family, &'static str)>> {
    let class = CLASSES
        .iter()
        .find(|class| class.name == name || class.snake == name || class.default_name == name);
    let Some(class) = class else {
        let Some(kind) = LossKind::named(name, options)? else {
            return Ok(None);
        };
        let default_name = kind.function_name();
        let mean = Mean::new(Function::Loss(kind));
        return Ok(Some((Family::Mean(mean), default_name)));
    };
    let is_iou = class.name.ends_with("IoU");
    if !is_iou {
        options.single_precision()?;
    }
    let k = || options.count_or("k", 1, 5);
    let mean = |function| Family::Mean(Mean::new(function));
    let count = |count| Counted::read(count, options).map(Family::Counted);
    let constrained = |constraint| Constrained::read(constraint, options).map(Family::Constrained);
    let iou = |form| IoU::read(form, options).map(Family::IoU);
    let family = match class.name {
        "Accuracy" => mean(Function::Accuracy),
        "BinaryAccuracy" => mean(Function::BinaryAccuracy {
            threshold: options.number_or("threshold", 0.5)?,
        }),
        "CategoricalAccuracy" => mean(Function::CategoricalAccuracy),
        "SparseCategoricalAccuracy" => mean(Function::SparseCategoricalAccuracy),
        "TopKCategoricalAccuracy" => mean(Function::TopKCategoricalAccuracy { k: k()? }),
        "SparseTopKCategoricalAccuracy" => mean(Function::SparseTopKCategoricalAccuracy {
            k: k()?,
            from_sorted_ids: options.flag_or("from_sorted_ids", false)?,
        }),
        "RootMeanSquaredError" => mean(Function::RootMeanSquaredError),
        "LogCoshError" => mean(Function::Loss(LossKind::LogCosh)),
        "CosineSimilarity" | "PearsonCorrelation" | "ConcordanceCorrelation" => {
            options.last_axis()?;
            mean(match class.name {
                "CosineSimilarity" => Function::CosineSimilarity,
                "PearsonCorrelation" => Function::PearsonCorrelation,
                _ => Function::ConcordanceCorrelation,
            })
        }
        "R2Score" => Family::R2Score(R2Score::read(options)?),
        "AUC" => Family::AUC(AUC::read(options)?),
        "Precision" => count(Count::Precision)?,
        "Recall" => count(Count::Recall)?,
        "TruePositives" => count(Count::TruePositives)?,
        "TrueNegatives" => count(Count::TrueNegatives)?,
        "FalsePositives" => count(Count::FalsePositives)?,
        "FalseNegatives" => count(Count::FalseNegatives)?,
        "SensitivityAtSpecificity" => constrained(Constraint::SensitivityAtSpecificity)?,
        "SpecificityAtSensitivity" => constrained(Constraint::SpecificityAtSensitivity)?,
        "PrecisionAtRecall" => constrained(Constraint::PrecisionAtRecall)?,
        "RecallAtPrecision" => constrained(Constraint::RecallAtPrecision)?,
        "F1Score" => Family::FBetaScore(FBetaScore::read(true, options)?),
        "FBetaScore" => Family::FBetaScore(FBetaScore::read(false, options)?),
        "IoU" => iou(Form::IoU)?,
        "BinaryIoU" => iou(Form::BinaryIoU)?,
        "MeanIoU" => iou(Form::MeanIoU)?,
        "OneHotIoU" => iou(Form::OneHotIoU)?,
        _ => iou(Form::OneHotMeanIoU)?,
    };
    Ok(Some((family, class.default_name)))
}

/// Whether the name is one that Keras resolves by shapes.
fn is_accuracy(name: &str) -> bool {
    name.eq_ignore_ascii_case("accuracy") || name.eq_ignore_ascii_case("acc")
}

impl Metric {
    /// From what `compile(metrics=[..])` takes: a name (`"mae"`, `"AUC"`, `"accuracy"`), or
    /// `{"class_name", "config"}` as Keras 2 and 3 save it.
    ///
    /// `"accuracy"` and `"acc"` become binary accuracy for one output, sparse categorical for
    /// class indices, else categorical: `y_true_width` and `width` are the last axes of targets
    /// (1 for `[rows]`) and predictions.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for an unknown metric or a wrong option, [`Error::Shape`] for one that
    /// does not fit the widths.
    pub fn from_config(value: &Value, y_true_width: usize, width: usize) -> Result<Self> {
        let resolved = match value.as_str() {
            Some(name) if is_accuracy(name) => Some(match (y_true_width, width) {
                (_, 0 | 1) => "binary_accuracy",
                (1, _) => "sparse_categorical_accuracy",
                _ => "categorical_accuracy",
            }),
            _ => None,
        };
        let metric = Self::read(value, resolved)?;
        metric.check_widths(y_true_width, width)?;
        Ok(metric)
    }

    /// From a name or serialized form; `resolved` takes the name's place.
    fn read(value: &Value, resolved: Option<&str>) -> Result<Self> {
        let Some(options) = Object::parse(value, "metric")? else {
            return Err(Error::value(
                "metric is null, expected a name such as \"mae\"",
            ));
        };
        let class = match (options.class_name, options.function()?) {
            ("MeanMetricWrapper", Some(function)) => function,
            (name, _) => resolved.unwrap_or(name),
        };
        if matches!(class, "Mean" | "mean" | "Sum" | "sum") {
            return Err(Error::unsupported(format!(
                "metric {class:?} has no targets to compare with; name what it is the mean of, such as \"mean_absolute_error\""
            )));
        }
        let Some((family, default_name)) = family(class, &options)? else {
            let known: Vec<_> = CLASSES.iter().map(|class| class.snake).collect();
            return Err(unknown("metric", class, &known));
        };
        let given = options.text("name")?;
        // Keras calls a metric made from a string by that string.
        let identifier = value.as_str().map(str::to_owned);
        let name = match (&identifier, given) {
            (Some(identifier), _) => identifier,
            (None, Some(name)) => name,
            (None, None) => default_name,
        };
        let metric = Self {
            name: name.to_owned(),
            identifier,
            family,
        };
        let own = metric.config();
        let also = [
            "name",
            "dtype",
            "fn",
            "thresholds",
            "num_thresholds",
            "axis",
            "from_sorted_ids",
        ];
        check_keys("metric", class, options.config, &own["config"], &also)?;
        Ok(metric)
    }

    /// As Keras 3 serializes it: the name, if the metric was made from one, else
    /// `{"module", "class_name", "config", "registered_name"}`.
    pub fn config(&self) -> Value {
        if let Some(identifier) = &self.identifier {
            return json!(identifier);
        }
        let mut config = Map::new();
        config.insert("name".into(), json!(self.name));
        config.insert("dtype".into(), json!("float32"));
        config.extend(self.family().options());
        serialized(
            "keras.metrics",
            self.family().class_name(),
            Value::Object(config),
        )
    }

    /// Whether targets of that width can be compared with predictions of this one.
    fn check_widths(&self, y_true_width: usize, width: usize) -> Result<()> {
        let wanted = match &self.family {
            Family::Mean(mean) => match &mean.function {
                Function::Loss(kind) => kind.resolved(y_true_width, width).wanted(),
                Function::SparseCategoricalAccuracy
                | Function::SparseTopKCategoricalAccuracy { .. } => Wanted::Index,
                Function::CategoricalAccuracy => return Ok(()),
                Function::RootMeanSquaredError
                | Function::CosineSimilarity
                | Function::Accuracy
                | Function::BinaryAccuracy { .. } => Wanted::Elementwise,
                Function::PearsonCorrelation
                | Function::ConcordanceCorrelation
                | Function::TopKCategoricalAccuracy { .. } => Wanted::SameWidth,
            },
            Family::IoU(iou) => {
                return iou.check_widths(y_true_width, width).map_err(|expected| {
                    Error::shape(format!(
                        "metric {:?} got targets of {y_true_width} columns for predictions of {width}, expected {expected}; set sparse_y_true and sparse_y_pred by whether each holds classes or one column per class",
                        self.name
                    ))
                });
            }
            _ => Wanted::SameWidth,
        };
        if let Family::AUC(auc) = &self.family {
            auc.check_labels(&self.name, width)?;
        }
        if let Family::Counted(counted) = &self.family
            && let Some(top_k) = counted.top_k().filter(|&top_k| top_k > width)
        {
            return Err(Error::shape(format!(
                "metric {:?} has top_k {top_k}, expected at most {width} for an output of {width} units",
                self.name
            )));
        }
        let class_id = match &self.family {
            Family::Counted(counted) => counted.class_id(),
            Family::Constrained(constrained) => constrained.class_id(),
            _ => None,
        };
        if let Some(class_id) = class_id.filter(|&class| class >= width) {
            return Err(Error::shape(format!(
                "metric {:?} has class_id {class_id}, expected 0 to {} for an output of {width} units",
                self.name,
                width.saturating_sub(1)
            )));
        }
        wanted
            .check(y_true_width, width)
            .map_err(|expected| {
                Error::shape(format!(
                    "metric {:?} got targets of {y_true_width} columns for predictions of {width}, expected {expected}",
                    self.name
                ))
            })
    }
}

impl FromStr for Metric {
    type Err = Error;

    /// A metric by a name that means the same for all shapes.
    fn from_str(name: &str) -> Result<Self> {
        if is_accuracy(name) {
            return Err(Error::value(format!(
                "metric {name:?} depends on the shapes of targets and outputs; use binary_accuracy, categorical_accuracy or sparse_categorical_accuracy, or compile the model with it"
            )));
        }
        Self::read(&json!(name), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_is_resolved_by_shapes_and_keeps_its_name() {
        let class = |y_true_width, width| {
            let metric = Metric::from_config(&json!("acc"), y_true_width, width).expect("fits");
            assert_eq!(metric.name(), "acc");
            assert_eq!(metric.config(), json!("acc"));
            metric.family().class_name()
        };
        assert_eq!(class(1, 1), "BinaryAccuracy");
        assert_eq!(class(1, 3), "SparseCategoricalAccuracy");
        assert_eq!(class(3, 3), "CategoricalAccuracy");
    }

    #[test]
    fn keras_own_forms_are_read_and_written() {
        let saved = json!({
            "module": "keras.metrics",
            "class_name": "AUC",
            "config": {
                "name": "auc_ml",
                "dtype": "float32",
                "num_thresholds": 200,
                "curve": "ROC",
                "summation_method": "interpolation",
                "multi_label": true,
                "num_labels": null,
                "label_weights": null,
                "from_logits": false,
            },
            "registered_name": null,
        });
        let metric = Metric::from_config(&saved, 3, 3).expect("Keras 3's form");
        assert_eq!(metric.config(), saved);
        assert_eq!(metric.name(), "auc_ml");
        let keras_2 = json!({
            "class_name": "MeanMetricWrapper",
            "config": {"name": "accuracy", "dtype": "float32", "fn": "binary_accuracy"},
        });
        let metric = Metric::from_config(&keras_2, 1, 1).expect("Keras 2's form");
        assert_eq!(metric.name(), "accuracy");
        assert_eq!(metric.config()["class_name"], "BinaryAccuracy");
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        let read = |value: Value, y_true_width, width| {
            let read = Metric::from_config(&value, y_true_width, width);
            read.expect_err("refused").to_string()
        };
        assert_eq!(
            read(json!("precision"), 1, 3),
            "metric \"precision\" got targets of 1 columns for predictions of 3, expected 3 columns; one-hot encode class indices, or use the sparse form"
        );
        assert_eq!(
            read(json!("precision_at_recall"), 1, 1),
            "metric precision_at_recall has no recall, expected a number from 0 to 1; give it as {\"class_name\": .., \"config\": {\"recall\": 0.5}}"
        );
        assert!(read(json!("nope"), 1, 1).starts_with("unknown metric \"nope\", expected one of"));
    }
}
