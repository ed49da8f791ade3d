//! Names and serialized forms of losses: what `compile` takes, and what Keras 2 and 3 save.

use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::{Alpha, Loss, LossKind, Reduction};
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

/// A config object, read with defaults and clear errors; used by metrics too.
pub(crate) struct Options<'a> {
    /// What the config is of, for messages: `loss "Huber"`.
    pub(crate) owner: String,
    pub(crate) config: &'a Map<String, Value>,
}

impl<'a> Options<'a> {
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.config.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, value: &Value, expected: &str) -> Error {
        let owner = &self.owner;
        Error::value(format!("{owner} has {key} {value}, expected {expected}"))
    }

    /// An optional number.
    pub(crate) fn optional(&self, key: &str) -> Result<Option<f64>> {
        let read = |v: &Value| v.as_f64().ok_or_else(|| self.wrong(key, v, "a number"));
        self.get(key).map(read).transpose()
    }

    pub(crate) fn number(&self, key: &str, default: f64) -> Result<f64> {
        Ok(self.optional(key)?.unwrap_or(default))
    }

    /// A number between 0 and 1, both included.
    pub(crate) fn fraction(&self, key: &str, default: f64) -> Result<f64> {
        let value = self.number(key, default)?;
        if (0.0..=1.0).contains(&value) {
            return Ok(value);
        }
        Err(self.wrong(key, &json!(value), "a number from 0 to 1"))
    }

    pub(crate) fn flag(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => match other.as_f64() {
                Some(number) => Ok(number != 0.0),
                None => Err(self.wrong(key, other, "true or false")),
            },
        }
    }

    /// An optional whole number.
    pub(crate) fn integer(&self, key: &str) -> Result<Option<i64>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let float = value
            .as_f64()
            .filter(|v| v.fract() == 0.0)
            .map(|v| v as i64);
        match value.as_i64().or(float) {
            Some(value) => Ok(Some(value)),
            None => Err(self.wrong(key, value, "a whole number")),
        }
    }

    /// An optional count, at least `least`.
    pub(crate) fn count(&self, key: &str, least: usize) -> Result<Option<usize>> {
        let Some(value) = self.integer(key)? else {
            return Ok(None);
        };
        match usize::try_from(value).ok().filter(|&count| count >= least) {
            Some(count) => Ok(Some(count)),
            None => Err(self.wrong(key, &json!(value), &format!("at least {least}"))),
        }
    }

    pub(crate) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        let read = |v: &'a Value| v.as_str().ok_or_else(|| self.wrong(key, v, "a string"));
        self.get(key).map(read).transpose()
    }

    /// The last axis of a batch of rows, by any of its names; others are refused.
    pub(crate) fn last_axis(&self) -> Result<()> {
        match self.integer("axis")? {
            None | Some(-1 | 1) => Ok(()),
            Some(axis) => Err(self.axis(&json!(axis))),
        }
    }

    fn axis(&self, axis: &Value) -> Error {
        Error::unsupported(format!(
            "{} has axis {axis}, but outputs are rows and only axis -1 is there; remove it or set it to -1",
            self.owner
        ))
    }

    /// `axis` of dice and tversky: whether each row has its own loss.
    fn per_row(&self) -> Result<bool> {
        let Some(axis) = self.get("axis") else {
            return Ok(false);
        };
        let axes: Vec<_> = match axis {
            Value::Array(axes) => axes.iter().map(Value::as_i64).collect(),
            one => vec![one.as_i64()],
        };
        let mut axes: Vec<_> = axes
            .into_iter()
            .map(|a| a.map(|a| a.rem_euclid(2)))
            .collect();
        axes.sort_unstable();
        match axes[..] {
            [Some(1)] => Ok(true),
            [Some(0), Some(1)] => Ok(false),
            _ => Err(self.axis(axis)),
        }
    }

    /// Only single precision is there.
    pub(crate) fn dtype(&self) -> Result<()> {
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
                self.owner
            ))),
        }
    }
}

/// A serialized object: class or function name, and its config if it has one.
pub(crate) struct Serialized<'a> {
    pub(crate) name: &'a str,
    pub(crate) config: Option<&'a Map<String, Value>>,
}

impl<'a> Serialized<'a> {
    /// From a name, `{"class_name", "config"}`, or Keras' form of a function
    /// (`{"class_name": "function", "config": "mean_squared_error"}`).
    pub(crate) fn read(value: &'a Value, what: &str) -> Result<Self> {
        let wrong = || {
            Error::value(format!(
                "{what} is {value}, expected a name or {{\"class_name\": .., \"config\": {{..}}}}"
            ))
        };
        if let Value::String(name) = value {
            return Ok(Self { name, config: None });
        }
        let object = value.as_object().ok_or_else(wrong)?;
        let class = object.get("class_name").and_then(Value::as_str);
        let name = class.ok_or_else(wrong)?;
        match object.get("config") {
            Some(Value::Object(config)) => Ok(Self {
                name: last_part(name),
                config: Some(config),
            }),
            Some(Value::String(function)) => Ok(Self {
                name: last_part(function),
                config: None,
            }),
            None | Some(Value::Null) => Ok(Self {
                name: last_part(name),
                config: None,
            }),
            Some(_) => Err(wrong()),
        }
    }
}

/// `Huber` of `keras.losses>Huber` or `Custom>Huber`.
fn last_part(name: &str) -> &str {
    name.rsplit(['>', '.']).next().unwrap_or(name)
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
            Self::KlDivergence => "KLDivergence",
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
    pub(crate) fn named(name: &str, options: &Options) -> Result<Option<Self>> {
        let row = NAMES.iter().find(|names| {
            names.class == name || names.function == name || names.others.contains(&name)
        });
        let Some(row) = row else {
            return Ok(None);
        };
        options.dtype()?;
        let from_logits = options.flag("from_logits", false)?;
        let label_smoothing = options.fraction("label_smoothing", 0.0)?;
        let gamma = options.number("gamma", 2.0)?;
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
                delta: options.number("delta", 1.0)?,
            },
            "LogCosh" => Self::LogCosh,
            "Hinge" => Self::Hinge,
            "SquaredHinge" => Self::SquaredHinge,
            "CategoricalHinge" => Self::CategoricalHinge,
            "KLDivergence" => Self::KlDivergence,
            "Poisson" => Self::Poisson,
            "BinaryCrossentropy" => Self::BinaryCrossentropy {
                from_logits,
                label_smoothing,
            },
            "BinaryFocalCrossentropy" => Self::BinaryFocalCrossentropy {
                apply_class_balancing: options.flag("apply_class_balancing", false)?,
                alpha: options.number("alpha", 0.25)?,
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
                ignore_class: options.integer("ignore_class")?,
            },
            "Dice" => Self::Dice {
                per_row: options.per_row()?,
            },
            "Tversky" => Self::Tversky {
                alpha: options.number("alpha", 0.5)?,
                beta: options.number("beta", 0.5)?,
                per_row: options.per_row()?,
            },
            "Circle" => Self::Circle {
                gamma: options.number("gamma", 80.0)?,
                margin: options.number("margin", 0.4)?,
                remove_diagonal: options.flag("remove_diagonal", true)?,
            },
            "CategoricalGeneralizedCrossEntropy" => {
                let q = options.number("q", 0.5)?;
                if !(q > 0.0 && q < 1.0) {
                    return Err(options.wrong("q", &json!(q), "a number between 0 and 1"));
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
fn read_alpha(options: &Options) -> Result<Alpha> {
    match options.get("alpha") {
        Some(Value::Array(list)) => {
            let alpha: Option<Vec<_>> = list.iter().map(Value::as_f64).collect();
            let wrong = || options.wrong("alpha", &json!(list), "a number or one per class");
            alpha.map(Alpha::PerClass).ok_or_else(wrong)
        }
        _ => Ok(Alpha::One(options.number("alpha", 0.25)?)),
    }
}

impl Reduction {
    /// From Keras' name; `auto` is Keras 2's default.
    fn read(options: &Options) -> Result<Self> {
        let name = match options.config.get("reduction") {
            Some(Value::Null) => return Ok(Self::None),
            _ => options.text("reduction")?,
        };
        match name {
            None | Some("sum_over_batch_size" | "mean" | "auto") => Ok(Self::SumOverBatchSize),
            Some("sum") => Ok(Self::Sum),
            Some("mean_with_sample_weight") => Ok(Self::MeanWithSampleWeight),
            Some("none") => Ok(Self::None),
            Some(other) => Err(options.wrong(
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
        let serialized = Serialized::read(value, "loss")?;
        let empty = Map::new();
        let options = Options {
            owner: format!("loss {:?}", serialized.name),
            config: serialized.config.unwrap_or(&empty),
        };
        // A wrapped function: Keras' `LossFunctionWrapper` with the function's name as `fn`.
        let wrapped = match (serialized.name, options.get("fn")) {
            ("LossFunctionWrapper", Some(function)) => Serialized::read(function, "fn")?.name,
            (name, _) => name,
        };
        if wrapped.eq_ignore_ascii_case("ctc") {
            return Err(Error::unsupported(
                "loss \"ctc\" is for sequences, and dense networks have none; use a crossentropy",
            ));
        }
        let Some(kind) = LossKind::named(wrapped, &options)? else {
            return Err(unknown(wrapped));
        };
        let mut loss = Self::new(kind);
        loss.reduction = Reduction::read(&options)?;
        if let Some(name) = options.text("name")? {
            loss.name = name.to_owned();
        } else if serialized.config.is_none() {
            loss.name = wrapped.to_owned();
            loss.identifier = Some(wrapped.to_owned());
        }
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
        json!({
            "module": "keras.losses",
            "class_name": self.kind.class_name(),
            "config": config,
            "registered_name": null,
        })
    }
}

fn unknown(name: &str) -> Error {
    let known: Vec<_> = NAMES.iter().map(|names| names.function).collect();
    Error::value(format!(
        "unknown loss {name:?}, expected one of {}",
        known.join(", ")
    ))
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
            "loss \"MeanSquaredError\" has reduction \"avg\", expected \"sum_over_batch_size\", \"sum\", \"mean\", \"mean_with_sample_weight\" or \"none\""
        );
        assert_eq!(
            read(json!({"class_name": "BinaryCrossentropy", "config": {"label_smoothing": 2}})),
            "loss \"BinaryCrossentropy\" has label_smoothing 2.0, expected a number from 0 to 1"
        );
        assert!(read(json!("nope")).starts_with("unknown loss \"nope\", expected one of mean_"));
        assert_eq!(
            read(json!("ctc")),
            "loss \"ctc\" is for sequences, and dense networks have none; use a crossentropy"
        );
    }
}
