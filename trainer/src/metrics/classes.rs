//! Names and serialized forms of metrics: what `compile` takes, and what Keras 2 and 3 save.

use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::accuracy::{
    Accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy, TopKCategoricalAccuracy,
};
use super::auc::AUC;
use super::constrained::{Constrained, Constraint};
use super::correlation::{ConcordanceCorrelation, PearsonCorrelation};
use super::f_score::FBetaScore;
use super::iou::{Form, IoU};
use super::mean::{CosineSimilarity, Function, Mean, RootMeanSquaredError};
use super::precision::{Count, Counted};
use super::r2::R2Score;
use super::{Accumulate, Metric};
use crate::error::{Error, Result};
use crate::keras::{Object, check_keys, serialized, serialized_own, unknown};
use crate::losses::{LogCosh, LossKind};

/// A metric of Keras.
struct Class {
    name: &'static str,
    /// The name in snake case, which `compile` takes too.
    snake: &'static str,
    /// The name that the metric gives itself.
    default_name: &'static str,
    /// Whether a larger value is better; none when Keras does not say.
    is_upwards: Option<bool>,
    read: fn(&Object) -> Result<Box<dyn Accumulate>>,
}

const UP: Option<bool> = Some(true);
const DOWN: Option<bool> = Some(false);

const fn class(
    name: &'static str,
    snake: &'static str,
    is_upwards: Option<bool>,
    read: fn(&Object) -> Result<Box<dyn Accumulate>>,
) -> Class {
    Class {
        name,
        snake,
        default_name: snake,
        is_upwards,
        read,
    }
}

/// The metrics that are not a loss function's mean, one row each.
const CLASSES: &[Class] = &[
    class("Accuracy", "accuracy", UP, |_| mean(Accuracy)),
    class("BinaryAccuracy", "binary_accuracy", UP, |options| {
        mean(BinaryAccuracy {
            threshold: options.number_or("threshold", 0.5)?,
        })
    }),
    class("CategoricalAccuracy", "categorical_accuracy", UP, |_| {
        mean(CategoricalAccuracy)
    }),
    class(
        "SparseCategoricalAccuracy",
        "sparse_categorical_accuracy",
        UP,
        |_| mean(SparseCategoricalAccuracy),
    ),
    class(
        "TopKCategoricalAccuracy",
        "top_k_categorical_accuracy",
        UP,
        |options| {
            let k = options.count_or("k", 1, 5)?;
            mean(TopKCategoricalAccuracy { k })
        },
    ),
    class(
        "SparseTopKCategoricalAccuracy",
        "sparse_top_k_categorical_accuracy",
        UP,
        |options| {
            mean(SparseTopKCategoricalAccuracy {
                k: options.count_or("k", 1, 5)?,
                from_sorted_ids: options.flag_or("from_sorted_ids", false)?,
            })
        },
    ),
    class(
        "RootMeanSquaredError",
        "root_mean_squared_error",
        DOWN,
        |_| mean(RootMeanSquaredError),
    ),
    class("CosineSimilarity", "cosine_similarity", UP, |options| {
        options.last_axis()?;
        mean(CosineSimilarity)
    }),
    Class {
        default_name: "logcosh",
        ..class("LogCoshError", "log_cosh_error", DOWN, |_| {
            mean(LossKind::from(LogCosh))
        })
    },
    class("PearsonCorrelation", "pearson_correlation", UP, |options| {
        options.last_axis()?;
        mean(PearsonCorrelation)
    }),
    class(
        "ConcordanceCorrelation",
        "concordance_correlation",
        UP,
        |options| {
            options.last_axis()?;
            mean(ConcordanceCorrelation)
        },
    ),
    class("R2Score", "r2_score", UP, |options| {
        own(R2Score::read(options)?)
    }),
    class("AUC", "auc", UP, |options| own(AUC::read(options)?)),
    class("Precision", "precision", UP, |options| {
        own(Counted::read(Count::Precision, options)?)
    }),
    class("Recall", "recall", UP, |options| {
        own(Counted::read(Count::Recall, options)?)
    }),
    class("TruePositives", "true_positives", None, |options| {
        own(Counted::read(Count::TruePositives, options)?)
    }),
    class("TrueNegatives", "true_negatives", None, |options| {
        own(Counted::read(Count::TrueNegatives, options)?)
    }),
    class("FalsePositives", "false_positives", None, |options| {
        own(Counted::read(Count::FalsePositives, options)?)
    }),
    class("FalseNegatives", "false_negatives", None, |options| {
        own(Counted::read(Count::FalseNegatives, options)?)
    }),
    class(
        "SensitivityAtSpecificity",
        "sensitivity_at_specificity",
        UP,
        |options| {
            own(Constrained::read(
                Constraint::SensitivityAtSpecificity,
                options,
            )?)
        },
    ),
    class(
        "SpecificityAtSensitivity",
        "specificity_at_sensitivity",
        UP,
        |options| {
            own(Constrained::read(
                Constraint::SpecificityAtSensitivity,
                options,
            )?)
        },
    ),
    class("PrecisionAtRecall", "precision_at_recall", UP, |options| {
        own(Constrained::read(Constraint::PrecisionAtRecall, options)?)
    }),
    class("RecallAtPrecision", "recall_at_precision", UP, |options| {
        own(Constrained::read(Constraint::RecallAtPrecision, options)?)
    }),
    class("F1Score", "f1_score", UP, |options| {
        own(FBetaScore::read(true, options)?)
    }),
    Class {
        default_name: "fbeta_score",
        ..class("FBetaScore", "f_beta_score", UP, |options| {
            own(FBetaScore::read(false, options)?)
        })
    },
    class("IoU", "io_u", UP, |options| {
        own(IoU::read(Form::IoU, options)?)
    }),
    class("BinaryIoU", "binary_io_u", UP, |options| {
        own(IoU::read(Form::BinaryIoU, options)?)
    }),
    class("MeanIoU", "mean_io_u", UP, |options| {
        own(IoU::read(Form::MeanIoU, options)?)
    }),
    class("OneHotIoU", "one_hot_io_u", UP, |options| {
        own(IoU::read(Form::OneHotIoU, options)?)
    }),
    class("OneHotMeanIoU", "one_hot_mean_io_u", UP, |options| {
        own(IoU::read(Form::OneHotMeanIoU, options)?)
    }),
];

fn mean(function: impl Function + 'static) -> Result<Box<dyn Accumulate>> {
    own(Mean::new(function))
}

fn own(metric: impl Accumulate + 'static) -> Result<Box<dyn Accumulate>> {
    Ok(Box::new(metric))
}

/// The metric of that class or function, as it calls itself.
fn named(name: &str, options: &Object) -> Result<Option<Metric>> {
    let is = |class: &&Class| [class.name, class.snake, class.default_name].contains(&name);
    if let Some(class) = CLASSES.iter().find(is) {
        if !class.name.ends_with("IoU") {
            options.single_precision()?;
        }
        return Ok(Some(Metric {
            name: class.default_name.to_owned(),
            identifier: None,
            class_name: class.name,
            is_upwards: class.is_upwards,
            seen: (class.read)(options)?,
        }));
    }
    let Some(loss) = LossKind::named(name, options)? else {
        return Ok(None);
    };
    Ok(Some(Metric {
        name: loss.function_name().to_owned(),
        identifier: None,
        class_name: loss
            .function()
            .metric_class()
            .unwrap_or("MeanMetricWrapper"),
        is_upwards: DOWN,
        seen: mean(loss)?,
    }))
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
        metric.seen.check(&metric.name, y_true_width, width)?;
        Ok(metric)
    }

    /// Whether a metric has a class of this name.
    pub(crate) fn is_class(name: &str) -> bool {
        Self::from_str(name).is_ok_and(|metric| metric.class_name() == name)
    }

    /// From a name or serialized form; `resolved` takes the name's place.
    fn read(value: &Value, resolved: Option<&str>) -> Result<Self> {
        let Some(options) = Object::parse(value, "metric")? else {
            return Err(Error::value(
                "metric is null, expected a name such as \"mae\"",
            ));
        };
        let class = resolved.unwrap_or(options.class_name);
        if matches!(class, "Mean" | "mean" | "Sum" | "sum") {
            return Err(Error::unsupported(format!(
                "metric {class:?} has no targets to compare with; name what it is the mean of, such as \"mean_absolute_error\""
            )));
        }
        let mut metric = match &options.registered {
            Some(name) => Self::read_own(name, &options)?,
            None => named(class, &options)?.ok_or_else(|| {
                let known: Vec<_> = CLASSES.iter().map(|class| class.snake).collect();
                unknown("metric", class, &known)
            })?,
        };
        let given = options.text("name")?;
        // Keras calls a metric made from a string by that string.
        metric.identifier = value.as_str().map(str::to_owned);
        if let Some(name) = metric.identifier.as_deref().or(given) {
            name.clone_into(&mut metric.name);
        }
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
        config.extend(self.seen.options());
        let config = Value::Object(config);
        match self.seen.registered_name() {
            Some(name) => serialized_own(name, config),
            None => serialized("keras.metrics", self.class_name, config),
        }
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
            metric.class_name()
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
