//! Names and serialized forms of losses: what `compile` takes, and what Keras 2 and 3 save.

use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::{Alpha, Loss, LossKind, Reduction};
use crate::config::{Object, check_keys, serialized, unknown};
use crate::error::{Error, Result};

/// One row per function: class name, function name, other names.
const NAMES: &[Names] = &[
    names("MeanSquaredError", "mean_squared_error", &["mse", "MSE"]),
    names("MeanAbsoluteError", "mean_absolute_error", &["mae", "MAE"]),
    names(
        "MeanAbsolutePercentageError",
        "mean_absolute_percentage_error",
        &["mape", "MAPE"],
    ),
    names(
        "MeanSquaredLogarithmicError",
        "mean_squared_logarithmic_error",
        &["msle", "MSLE"],
    ),
    names("CosineSimilarity", "cosine_similarity", &[]),
    names("Huber", "huber", &["huber_loss"]),
    names("LogCosh", "log_cosh", &["logcosh"]),
    names("Hinge", "hinge", &[]),
    names("SquaredHinge", "squared_hinge", &[]),
    names("CategoricalHinge", "categorical_hinge", &[]),
    names(
        "KLDivergence",
        "kl_divergence",
        &["kld", "KLD", "kullback_leibler_divergence"],
    ),
    names("Poisson", "poisson", &[]),
    names("BinaryCrossentropy", "binary_crossentropy", &["bce", "BCE"]),
    names("BinaryFocalCrossentropy", "binary_focal_crossentropy", &[]),
    names("CategoricalCrossentropy", "categorical_crossentropy", &[]),
    names(
        "CategoricalFocalCrossentropy",
        "categorical_focal_crossentropy",
        &[],
    ),
    names(
        "SparseCategoricalCrossentropy",
        "sparse_categorical_crossentropy",
        &[],
    ),
    names("Dice", "dice", &[]),
    names("Tversky", "tversky", &[]),
    names("Circle", "circle", &[]),
    names(
        "CategoricalGeneralizedCrossEntropy",
        "categorical_generalized_cross_entropy",
        &[],
    ),
    names("crossentropy", "crossentropy", &["ce"]),
];

struct Names {
    class: &'static str,
    function: &'static str,
    others: &'static [&'static str],
}

const fn names(
    class: &'static str,
    function: &'static str,
    others: &'static [&'static str],
) -> Names {
    Names {
        class,
        function,
        others,
    }
}

/// What losses and metrics read beyond the plain types.
impl<'a> Object<'a> {
    /// The object in messages: `loss Huber`.
    pub(crate) fn owner(&self) -> String {
        format!("{} {}", self.what, self.class_name)
    }

    /// The entry `key`, `null` included.
    pub(crate) fn entry(&self, key: &str) -> Option<&'a Value> {
        self.config.and_then(|config| config.get(key))
    }

    /// A number between 0 and 1, both included, or Keras' default.
    pub(crate) fn fraction_or(&self, key: &str, default: f64) -> Result<f64> {
        let value = self.number_or(key, default)?;
        if (0.0..=1.0).contains(&value) {
            return Ok(value);
        }
        Err(self.bad(key, &json!(value), "a number from 0 to 1"))
    }

    /// A whole number of either sign, or nothing.
    pub(crate) fn signed(&self, key: &str) -> Result<Option<i64>> {
        let whole = |value: &'a Value| {
            let whole = value.as_i64();
            whole.ok_or_else(|| self.bad(key, value, "a whole number without a point"))
        };
        self.get(key).map(whole).transpose()
    }

    /// A count of at least `least`, or Keras' default when it is missing.
    pub(crate) fn count_or(&self, key: &str, least: usize, default: usize) -> Result<usize> {
        self.not_null(key, "a whole number")?;
        Ok(self.count(key, least)?.unwrap_or(default))
    }

    /// A count of at least `least`, or nothing. Above a million it is a mistake, and what is
    /// counted would take all memory.
    pub(crate) fn count(&self, key: &str, least: usize) -> Result<Option<usize>> {
        let Some(value) = self.signed(key)? else {
            return Ok(None);
        };
        match usize::try_from(value) {
            Ok(count) if count > 1_000_000 => Err(self.bad(key, &json!(value), "at most 1000000")),
            Ok(count) if count >= least => Ok(Some(count)),
            _ => Err(self.bad(key, &json!(value), &format!("at least {least}"))),
        }
    }

    /// A string, or nothing.
    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        let read = |v: &'a Value| v.as_str().ok_or_else(|| self.bad(key, v, "a text"));
        self.get(key).map(read).transpose()
    }

    /// Checks that `axis` is the last axis of a batch of rows, by any of its names.
    pub(crate) fn last_axis(&self) -> Result<()> {
        match self.entry("axis") {
            None => Ok(()),
            Some(axis) if matches!(axis.as_i64(), Some(-1 | 1)) => Ok(()),
            Some(axis) => Err(self.axis(axis)),
        }
    }

    fn axis(&self, axis: &Value) -> Error {
        Error::unsupported(format!(
            "{} has axis {axis}, but outputs are rows and only axis -1 is there; remove it or set it to -1",
            self.owner()
        ))
    }

    /// `axis` of dice and tversky: whether each row has its own loss.
    fn per_row(&self) -> Result<bool> {
        let Some(axis) = self.get("axis") else {
            return Ok(false);
        };
        let mut axes: Vec<_> = match axis {
            Value::Array(axes) => axes.iter().map(Value::as_i64).collect(),
            one => vec![one.as_i64()],
        };
        axes.iter_mut()
            .flatten()
            .for_each(|axis| *axis = axis.rem_euclid(2));
        axes.sort_unstable();
        match axes[..] {
            [Some(1)] => Ok(true),
            [Some(0), Some(1)] => Ok(false),
            _ => Err(self.axis(axis)),
        }
    }

    /// Checks that `dtype` is single precision, the only one there is.
    pub(crate) fn single_precision(&self) -> Result<()> {
        let dtype = match self.get("dtype") {
            // A serialized policy: {"class_name": "DTypePolicy", "config": {"name": "float32"}}.
            Some(Value::Object(policy)) => policy.get("config").and_then(|c| c.get("name")),
            other => other,
        };
        match dtype {
            None => Ok(()),
            Some(Value::String(name)) if name == "float32" => Ok(()),
            Some(other) => Err(Error::unsupported(format!(
                "{} has dtype {other}, but thumbnet trains in float32; remove dtype",
                self.owner()
            ))),
        }
    }

    /// A named function in `fn`, of Keras' wrappers of functions.
    pub(crate) fn function(&self) -> Result<Option<&'a str>> {
        let function = match self.get("fn") {
            Some(function) => Self::parse(function, "fn")?,
            None => None,
        };
        Ok(function.map(|function| function.class_name))
    }
}

impl LossKind {
    fn names(&self) -> &'static Names {
        let class = match self {
            Self::MeanSquaredError => "MeanSquaredError",
            Self::MeanAbsoluteError => "MeanAbsoluteError",
            Self::MeanAbsolutePercentageError => "MeanAbsolutePercentageError",
            Self::MeanSquaredLogarithmicError => "MeanSquaredLogarithmicError",
            Self::CosineSimilarity => "CosineSimilarity",
            Self::Huber { .. } => "Huber",
            Self::LogCosh => "LogCosh",
            Self::Hinge => "Hinge",
            Self::SquaredHinge => "SquaredHinge",
            Self::CategoricalHinge => "CategoricalHinge",
            Self::KLDivergence => "KLDivergence",
            Self::Poisson => "Poisson",
            Self::BinaryCrossentropy { .. } => "BinaryCrossentropy",
            Self::BinaryFocalCrossentropy { .. } => "BinaryFocalCrossentropy",
            Self::CategoricalCrossentropy { .. } => "CategoricalCrossentropy",
            Self::CategoricalFocalCrossentropy { .. } => "CategoricalFocalCrossentropy",
            Self::SparseCategoricalCrossentropy { .. } => "SparseCategoricalCrossentropy",
            Self::Dice { .. } => "Dice",
            Self::Tversky { .. } => "Tversky",
            Self::Circle { .. } => "Circle",
            Self::CategoricalGeneralizedCrossEntropy { .. } => "CategoricalGeneralizedCrossEntropy",
            Self::Crossentropy => "crossentropy",
        };
        let row = NAMES.iter().find(|names| names.class == class);
        row.expect("every kind has a row in NAMES")
    }

    /// Keras' class, `MeanSquaredError`.
    pub fn class_name(&self) -> &'static str {
        self.names().class
    }

    /// Keras' function, `mean_squared_error`.
    pub fn function_name(&self) -> &'static str {
        self.names().function
    }

    /// The name that Keras' class gives itself.
    pub(super) fn default_name(&self) -> &'static str {
        match self {
            Self::Huber { .. } => "huber_loss",
            other => other.function_name(),
        }
    }

    /// The function of that class, function or short name, with options from a config.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for an unknown name or an option out of range, [`Error::Unsupported`] for
    /// what rows of outputs do not have.
    pub(crate) fn named(name: &str, options: &Object) -> Result<Option<Self>> {
        let row = NAMES.iter().find(|names| {
            names.class == name || names.function == name || names.others.contains(&name)
        });
        let Some(row) = row else {
            return Ok(None);
        };
        options.single_precision()?;
        let from_logits = options.flag_or("from_logits", false)?;
        let label_smoothing = options.fraction_or("label_smoothing", 0.0)?;
        let gamma = options.number_or("gamma", 2.0)?;
        if !matches!(row.class, "Dice" | "Tversky") {
            options.last_axis()?;
        }
        Ok(Some(match row.class {
            "MeanSquaredError" => Self::MeanSquaredError,
            "MeanAbsoluteError" => Self::MeanAbsoluteError,
            "MeanAbsolutePercentageError" => Self::MeanAbsolutePercentageError,
            "MeanSquaredLogarithmicError" => Self::MeanSquaredLogarithmicError,
            "CosineSimilarity" => Self::CosineSimilarity,
            "Huber" => Self::Huber {
                delta: options.number_or("delta", 1.0)?,
            },
            "LogCosh" => Self::LogCosh,
            "Hinge" => Self::Hinge,
            "SquaredHinge" => Self::SquaredHinge,
            "CategoricalHinge" => Self::CategoricalHinge,
            "KLDivergence" => Self::KLDivergence,
            "Poisson" => Self::Poisson,
            "BinaryCrossentropy" => Self::BinaryCrossentropy {
                from_logits,
                label_smoothing,
            },
            "BinaryFocalCrossentropy" => Self::BinaryFocalCrossentropy {
                apply_class_balancing: options.flag_or("apply_class_balancing", false)?,
                alpha: options.number_or("alpha", 0.25)?,
                gamma,
                from_logits,
                label_smoothing,
            },
            "CategoricalCrossentropy" => Self::CategoricalCrossentropy {
                from_logits,
                label_smoothing,
            },
            "CategoricalFocalCrossentropy" => Self::CategoricalFocalCrossentropy {
                alpha: read_alpha(options)?,
                gamma,
                from_logits,
                label_smoothing,
            },
            "SparseCategoricalCrossentropy" => Self::SparseCategoricalCrossentropy {
                from_logits,
                ignore_class: options.signed("ignore_class")?,
            },
            "Dice" => Self::Dice {
                per_row: options.per_row()?,
            },
            "Tversky" => Self::Tversky {
                alpha: options.number_or("alpha", 0.5)?,
                beta: options.number_or("beta", 0.5)?,
                per_row: options.per_row()?,
            },
            "Circle" => Self::Circle {
                gamma: options.number_or("gamma", 80.0)?,
                margin: options.number_or("margin", 0.4)?,
                remove_diagonal: options.flag_or("remove_diagonal", true)?,
            },
            "CategoricalGeneralizedCrossEntropy" => {
                let q = options.number_or("q", 0.5)?;
                if !(q > 0.0 && q < 1.0) {
                    return Err(options.bad("q", &json!(q), "a number between 0 and 1"));
                }
                Self::CategoricalGeneralizedCrossEntropy { q }
            }
            _ => Self::Crossentropy,
        }))
    }

    /// The options as Keras' own `get_config` has them; those that it forgets (the delta of
    /// Huber) are added when they are not the default, since Keras reads them back.
    pub(crate) fn options(&self) -> Map<String, Value> {
        let options = match self {
            Self::Huber { delta } if *delta != 1.0 => json!({"delta": delta}),
            Self::BinaryCrossentropy {
                from_logits,
                label_smoothing,
            }
            | Self::CategoricalCrossentropy {
                from_logits,
                label_smoothing,
            } => json!({
                "from_logits": from_logits,
                "label_smoothing": label_smoothing,
                "axis": -1,
            }),
            Self::BinaryFocalCrossentropy {
                apply_class_balancing,
                alpha,
                gamma,
                from_logits,
                label_smoothing,
            } => json!({
                "from_logits": from_logits,
                "label_smoothing": label_smoothing,
                "axis": -1,
                "apply_class_balancing": apply_class_balancing,
                "alpha": alpha,
                "gamma": gamma,
            }),
            Self::CategoricalFocalCrossentropy {
                alpha,
                gamma,
                from_logits,
                label_smoothing,
            } => json!({
                "from_logits": from_logits,
                "label_smoothing": label_smoothing,
                "axis": -1,
                "alpha": match alpha {
                    Alpha::One(alpha) => json!(alpha),
                    Alpha::PerClass(alpha) => json!(alpha),
                },
                "gamma": gamma,
            }),
            Self::SparseCategoricalCrossentropy {
                from_logits,
                ignore_class,
            } => json!({"from_logits": from_logits, "ignore_class": ignore_class}),
            Self::Dice { per_row } => json!({"axis": per_row.then_some(-1)}),
            Self::Tversky {
                alpha,
                beta,
                per_row,
            } => json!({"alpha": alpha, "beta": beta, "axis": per_row.then_some(-1)}),
            Self::Circle {
                gamma,
                margin,
                remove_diagonal,
            } => json!({"gamma": gamma, "margin": margin, "remove_diagonal": remove_diagonal}),
            Self::CategoricalGeneralizedCrossEntropy { q } => json!({"q": q}),
            _ => json!({}),
        };
        match options {
            Value::Object(options) => options,
            _ => Map::new(),
        }
    }
}

/// `alpha` of a categorical focal crossentropy: a number, or one per class.
fn read_alpha(options: &Object) -> Result<Alpha> {
    match options.get("alpha") {
        Some(Value::Array(list)) => {
            let alpha: Option<Vec<_>> = list.iter().map(Value::as_f64).collect();
            let wrong = || options.bad("alpha", &json!(list), "a number or one per class");
            alpha.map(Alpha::PerClass).ok_or_else(wrong)
        }
        _ => Ok(Alpha::One(options.number_or("alpha", 0.25)?)),
    }
}

impl Reduction {
    /// From Keras' name; `auto` is Keras 2's default.
    fn read(options: &Object) -> Result<Self> {
        let name = match options.entry("reduction") {
            Some(Value::Null) => return Ok(Self::None),
            _ => options.text("reduction")?,
        };
        match name {
            None | Some("sum_over_batch_size" | "mean" | "auto") => Ok(Self::SumOverBatchSize),
            Some("sum") => Ok(Self::Sum),
            Some("mean_with_sample_weight") => Ok(Self::MeanWithSampleWeight),
            Some("none") => Ok(Self::None),
            Some(other) => Err(options.bad(
                "reduction",
                &json!(other),
                "\"sum_over_batch_size\", \"sum\", \"mean\", \"mean_with_sample_weight\" or \"none\"",
            )),
        }
    }

    /// Keras' name, `sum_over_batch_size`.
    pub fn name(self) -> &'static str {
        match self {
            Self::SumOverBatchSize => "sum_over_batch_size",
            Self::Sum => "sum",
            Self::MeanWithSampleWeight => "mean_with_sample_weight",
            Self::None => "none",
        }
    }
}

impl Loss {
    /// From what `compile(loss=..)` takes: a name (`"mse"`, `"MeanSquaredError"`), or
    /// `{"class_name", "config"}` as Keras 2 and 3 save it.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for an unknown loss or an option out of range, [`Error::Unsupported`] for
    /// one that needs more than rows of outputs (`ctc`).
    pub fn from_config(value: &Value) -> Result<Self> {
        let Some(options) = Object::parse(value, "loss")? else {
            return Err(Error::value(
                "loss is null, expected a name such as \"mse\"",
            ));
        };
        // A wrapped function: Keras' `LossFunctionWrapper` with the function's name as `fn`.
        let wrapped = match (options.class_name, options.function()?) {
            ("LossFunctionWrapper", Some(function)) => function,
            (name, _) => name,
        };
        if wrapped.eq_ignore_ascii_case("ctc") {
            return Err(Error::unsupported(
                "loss \"ctc\" is for sequences, and dense networks have none; use a crossentropy",
            ));
        }
        let Some(kind) = LossKind::named(wrapped, &options)? else {
            let known: Vec<_> = NAMES.iter().map(|names| names.function).collect();
            return Err(unknown("loss", wrapped, &known));
        };
        let mut loss = Self::new(kind);
        loss.reduction = Reduction::read(&options)?;
        if let Some(name) = options.text("name")? {
            loss.name = name.to_owned();
        } else if options.config.is_none() {
            loss.name = wrapped.to_owned();
            loss.identifier = Some(wrapped.to_owned());
        }
        let own = loss.config();
        let also = ["name", "reduction", "dtype", "fn", "axis"];
        check_keys("loss", wrapped, options.config, &own["config"], &also)?;
        Ok(loss)
    }

    /// As Keras 3 serializes it: the name, if the loss was made from one, else
    /// `{"module", "class_name", "config", "registered_name"}`.
    pub fn config(&self) -> Value {
        if let Some(identifier) = &self.identifier {
            return json!(identifier);
        }
        if self.kind == LossKind::Crossentropy {
            return json!("crossentropy");
        }
        let mut config = Map::new();
        config.insert("name".into(), json!(self.name));
        config.insert("reduction".into(), json!(self.reduction.name()));
        config.extend(self.kind.options());
        serialized(
            "keras.losses",
            self.kind.class_name(),
            Value::Object(config),
        )
    }
}

impl TryFrom<&str> for Loss {
    type Error = Error;

    fn try_from(name: &str) -> Result<Self> {
        name.parse()
    }
}

impl FromStr for Loss {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::from_config(&json!(name))
    }
}

impl From<LossKind> for Loss {
    fn from(kind: LossKind) -> Self {
        Self::new(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_the_name_and_a_class_keeps_its_options() {
        let loss: Loss = "mse".parse().expect("known");
        assert_eq!(loss.kind, LossKind::MeanSquaredError);
        assert_eq!(loss.config(), json!("mse"));
        let saved = json!({
            "module": "keras.losses",
            "class_name": "BinaryCrossentropy",
            "config": {
                "name": "binary_crossentropy",
                "reduction": "sum",
                "from_logits": true,
                "label_smoothing": 0.1,
                "axis": -1,
            },
            "registered_name": null,
        });
        let loss = Loss::from_config(&saved).expect("Keras' own form");
        assert_eq!(loss.reduction, Reduction::Sum);
        assert_eq!(loss.config(), saved);
    }

    #[test]
    fn keras_2_forms_are_read() {
        let saved = json!({
            "class_name": "BinaryCrossentropy",
            "config": {
                "reduction": "auto",
                "name": "binary_crossentropy",
                "from_logits": false,
                "label_smoothing": 0.0,
                "axis": -1,
                "fn": "binary_crossentropy",
            },
        });
        let loss = Loss::from_config(&saved).expect("Keras 2's form");
        assert_eq!(loss, Loss::new(loss.kind.clone()));
        let wrapped = json!({
            "class_name": "LossFunctionWrapper",
            "config": {"fn": "huber", "delta": 0.5, "name": "mine"},
        });
        let loss = Loss::from_config(&wrapped).expect("wrapped function");
        assert_eq!(loss.kind, LossKind::Huber { delta: 0.5 });
        assert_eq!(loss.name, "mine");
        let function = json!({"class_name": "function", "config": "mean_squared_error"});
        let loss = Loss::from_config(&function).expect("function");
        assert_eq!(loss.kind, LossKind::MeanSquaredError);
    }

    #[test]
    fn a_delta_survives_where_keras_itself_forgets_it() {
        let loss = Loss::new(LossKind::Huber { delta: 0.3 });
        assert_eq!(Loss::from_config(&loss.config()).expect("own form"), loss);
    }

    #[test]
    fn wrong_options_say_what_is_allowed() {
        let read = |value: Value| Loss::from_config(&value).expect_err("refused").to_string();
        assert_eq!(
            read(json!({"class_name": "MeanSquaredError", "config": {"reduction": "avg"}})),
            "reduction of loss MeanSquaredError is \"avg\", expected \"sum_over_batch_size\", \"sum\", \"mean\", \"mean_with_sample_weight\" or \"none\""
        );
        assert_eq!(
            read(json!({"class_name": "BinaryCrossentropy", "config": {"label_smoothing": 2}})),
            "label_smoothing of loss BinaryCrossentropy is 2.0, expected a number from 0 to 1"
        );
        assert!(read(json!("nope")).starts_with("unknown loss \"nope\", expected one of mean_"));
        assert_eq!(
            read(json!("ctc")),
            "loss \"ctc\" is for sequences, and dense networks have none; use a crossentropy"
        );
    }
}
