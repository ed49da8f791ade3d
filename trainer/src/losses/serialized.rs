//! Names and serialized forms of losses: what `compile` takes, and what Keras 2 and 3 save.

use std::str::FromStr;

use serde_json::{Map, Value, json};

use super::{Loss, LossKind, Reduction};
use crate::custom::LOSSES;
use crate::error::{Error, Result};
use crate::keras::{Object, check_keys, serialized, serialized_own, unknown};

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
        let name = options.class_name;
        if name.eq_ignore_ascii_case("ctc") {
            return Err(Error::unsupported(
                "loss \"ctc\" is for sequences, and dense networks have none; use a crossentropy",
            ));
        }
        let kind = match &options.registered {
            Some(own) => LossKind::Custom(LOSSES.read(own, &options)?),
            None => LossKind::named(name, &options)?
                .ok_or_else(|| unknown("loss", name, &LossKind::functions()))?,
        };
        let mut loss = Self::new(kind);
        loss.reduction = Reduction::read(&options)?;
        if let Some(given) = options.text("name")? {
            loss.name = given.to_owned();
        } else if options.config.is_none() && options.registered.is_none() {
            loss.name = name.to_owned();
            loss.identifier = Some(name.to_owned());
        }
        let own = loss.config();
        let also = ["name", "reduction", "dtype", "fn", "axis"];
        check_keys("loss", name, options.config, &own["config"], &also)?;
        Ok(loss)
    }

    /// As Keras 3 serializes it: the name, if the loss was made from one, else
    /// `{"module", "class_name", "config", "registered_name"}`.
    pub fn config(&self) -> Value {
        if let Some(identifier) = &self.identifier {
            return json!(identifier);
        }
        if let LossKind::Crossentropy(_) = self.kind {
            return json!("crossentropy");
        }
        let mut config = Map::new();
        config.insert("name".into(), json!(self.name));
        config.insert("reduction".into(), json!(self.reduction.name()));
        config.extend(self.kind.function().options());
        let config = Value::Object(config);
        match &self.kind {
            LossKind::Custom(own) => serialized_own(own.registered_name(), config),
            builtin => serialized("keras.losses", builtin.class_name(), config),
        }
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
    use crate::losses::{Huber, MeanSquaredError};

    #[test]
    fn a_name_stays_the_name_and_a_class_keeps_its_options() {
        let loss: Loss = "mse".parse().expect("known");
        assert_eq!(loss.kind, LossKind::MeanSquaredError(MeanSquaredError));
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
        assert_eq!(loss.kind, LossKind::Huber(Huber { delta: 0.5 }));
        assert_eq!(loss.name, "mine");
        let function = json!({"class_name": "function", "config": "mean_squared_error"});
        let loss = Loss::from_config(&function).expect("function");
        assert_eq!(loss.kind, LossKind::MeanSquaredError(MeanSquaredError));
    }

    #[test]
    fn a_delta_survives_where_keras_itself_forgets_it() {
        let loss = Loss::new(Huber { delta: 0.3 });
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
