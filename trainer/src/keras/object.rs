//! Reading Keras' serialized objects: a name, or `{"class_name", "config", ..}`.

use serde_json::{Map, Value, json};

use super::class_name;
use crate::dataset::nearest;
use crate::{Error, Result};

/// A Keras object in one of its serialized forms, taken apart.
pub(crate) struct Object<'a> {
    /// `class_name` without a package prefix (`Custom>Adam` of Keras 2 is `Adam`), or the name.
    pub class_name: &'a str,
    /// `config`, if there is one.
    pub config: Option<&'a Map<String, Value>>,
    /// `package>name`, where it is not one of Keras' own; see [`registered_name`].
    pub registered: Option<String>,
    /// What the object is, for messages: `optimizer`, `initializer`.
    pub what: &'static str,
}

impl<'a> Object<'a> {
    /// Takes a name, a `{"class_name", "config"}` object, or nothing (`null`).
    pub fn parse(value: &'a Value, what: &'static str) -> Result<Option<Self>> {
        let bad = || {
            Error::value(format!(
                "{what} is {value}, expected a name or {{\"class_name\": .., \"config\": {{..}}}}"
            ))
        };
        let (name, config) = match value {
            Value::Null => return Ok(None),
            Value::String(name) => (name.as_str(), None),
            Value::Object(object) => {
                let name = object.get("class_name").and_then(Value::as_str);
                match object.get("config") {
                    None | Some(Value::Null) => (name.ok_or_else(bad)?, None),
                    Some(Value::Object(config)) => (name.ok_or_else(bad)?, Some(config)),
                    // Functions: {"class_name": "function", "config": "relu"}.
                    Some(Value::String(function)) if name.is_some() => (function.as_str(), None),
                    Some(_) => return Err(bad()),
                }
            }
            Value::Bool(_) | Value::Number(_) | Value::Array(_) => return Err(bad()),
        };
        let function = config.map_or(Ok(None), wrapped_function)?;
        Ok(Some(Self {
            class_name: match function {
                Some(function) if is_wrapper(name) => function,
                _ => class_name(name),
            },
            config,
            registered: registered_name(value).filter(|name| {
                // Keras 2 has its own optimizers in this package.
                !(what == "optimizer" && name.starts_with("Custom>"))
            }),
            what,
        }))
    }

    /// As [`Object::parse`], of a kind that thumbnet has no parts of one's own of.
    pub fn parse_builtin(value: &'a Value, what: &'static str) -> Result<Option<Self>> {
        let parsed = Self::parse(value, what)?;
        match parsed
            .as_ref()
            .and_then(|object| object.registered.as_ref())
        {
            Some(name) => Err(Error::unsupported(format!(
                "{what} {name:?} is not one of Keras' own, and thumbnet takes no {what} of one's own; build the model with what Keras has"
            ))),
            None => Ok(parsed),
        }
    }

    /// The entry `key` of `config`, unless it is missing or `null`.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.config
            .and_then(|config| config.get(key))
            .filter(|value| !value.is_null())
    }

    /// Whether the entry is there and `null`, where that is not Keras' default.
    pub fn is_null(&self, key: &str) -> bool {
        let value = self.config.and_then(|config| config.get(key));
        value.is_some_and(Value::is_null)
    }

    /// The error for an entry that is not what it should be.
    pub fn bad(&self, key: &str, value: &Value, expected: &str) -> Error {
        Error::value(format!(
            "{key} of {} {} is {value}, expected {expected}",
            self.what, self.class_name
        ))
    }

    /// A number, or nothing. Keras writes infinities and NaN as bare words that JSON has not; files
    /// that went through another tool may hold them as strings.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        self.get(key)
            .map(|value| number(value).ok_or_else(|| self.bad(key, value, "a number")))
            .transpose()
    }

    /// A number, or Keras' default when it is missing; null is no number to Keras either.
    pub fn number_or(&self, key: &str, default: f64) -> Result<f64> {
        self.not_null(key, "a number")?;
        Ok(self.number(key)?.unwrap_or(default))
    }

    /// As [`Object::number_or`], where Keras refuses whole numbers without a point.
    pub fn float_or(&self, key: &str, default: f64) -> Result<f64> {
        match self.get(key) {
            Some(value) if value.is_i64() || value.is_u64() => Err(self.bad(
                key,
                value,
                &format!("a number with a point such as {value}.0"),
            )),
            _ => self.number_or(key, default),
        }
    }

    /// Refuses null where Keras has no meaning for it.
    pub fn not_null(&self, key: &str, expected: &str) -> Result<()> {
        match self.is_null(key) {
            true => Err(self.bad(key, &Value::Null, expected)),
            false => Ok(()),
        }
    }

    /// A whole number from 0, or nothing.
    pub fn integer(&self, key: &str) -> Result<Option<u64>> {
        self.get(key)
            .map(|value| {
                let whole = value.as_u64();
                whole.ok_or_else(|| self.bad(key, value, "a whole number without a point"))
            })
            .transpose()
    }

    /// A whole number from 0, or Keras' default when it is missing.
    pub fn whole_or(&self, key: &str, default: u64) -> Result<u64> {
        self.not_null(key, "a whole number")?;
        Ok(self.integer(key)?.unwrap_or(default))
    }

    /// `true` or `false`, or Keras' default when it is missing; null is false, as in Python.
    pub fn flag_or(&self, key: &str, default: bool) -> Result<bool> {
        let default = default && !self.is_null(key);
        self.get(key).map_or(Ok(default), |value| {
            value
                .as_bool()
                .ok_or_else(|| self.bad(key, value, "true or false"))
        })
    }

    /// A string, or Keras' default when it is missing.
    pub fn text_or<'b>(&self, key: &str, default: &'b str) -> Result<&'b str>
    where
        'a: 'b,
    {
        self.not_null(key, "a text")?;
        self.get(key).map_or(Ok(default), |value| {
            value.as_str().ok_or_else(|| self.bad(key, value, "a text"))
        })
    }

    /// The object in messages: `loss Huber`.
    pub fn owner(&self) -> String {
        format!("{} {}", self.what, self.class_name)
    }

    /// The entry `key`, `null` included.
    pub fn entry(&self, key: &str) -> Option<&'a Value> {
        self.config.and_then(|config| config.get(key))
    }

    /// A number between 0 and 1, both included, or Keras' default.
    pub fn fraction_or(&self, key: &str, default: f64) -> Result<f64> {
        let value = self.number_or(key, default)?;
        if (0.0..=1.0).contains(&value) {
            return Ok(value);
        }
        Err(self.bad(key, &json!(value), "a number from 0 to 1"))
    }

    /// A whole number of either sign, or nothing.
    pub fn signed(&self, key: &str) -> Result<Option<i64>> {
        let whole = |value: &'a Value| {
            let whole = value.as_i64();
            whole.ok_or_else(|| self.bad(key, value, "a whole number without a point"))
        };
        self.get(key).map(whole).transpose()
    }

    /// A count of at least `least`, or Keras' default when it is missing.
    pub fn count_or(&self, key: &str, least: usize, default: usize) -> Result<usize> {
        self.not_null(key, "a whole number")?;
        Ok(self.count(key, least)?.unwrap_or(default))
    }

    /// A count of at least `least`, or nothing. Above a million it is a mistake, and what is
    /// counted would take all memory.
    pub fn count(&self, key: &str, least: usize) -> Result<Option<usize>> {
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
    pub fn text(&self, key: &str) -> Result<Option<&'a str>> {
        let read = |v: &'a Value| v.as_str().ok_or_else(|| self.bad(key, v, "a text"));
        self.get(key).map(read).transpose()
    }

    /// Checks that `axis` is the last axis of a batch of rows, by any of its names.
    pub fn last_axis(&self) -> Result<()> {
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
    pub fn per_row(&self) -> Result<bool> {
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
    pub fn single_precision(&self) -> Result<()> {
        match self.get("dtype").map(dtype_name) {
            None | Some(Value::Null) => Ok(()),
            Some(Value::String(name)) if name == "float32" => Ok(()),
            Some(other) => Err(Error::unsupported(format!(
                "{} has dtype {other}, but thumbnet trains in float32; remove dtype",
                self.owner()
            ))),
        }
    }
}

/// Whether the class is that of a loss or a metric around a function, which says more than its class.
fn is_wrapper(class_name: &str) -> bool {
    matches!(class_name, "LossFunctionWrapper" | "MeanMetricWrapper")
}

/// The function that a loss or a metric of this class is made of.
pub(super) fn wrapped<'a>(class_name: &str, config: &'a Map<String, Value>) -> Option<&'a str> {
    match is_wrapper(class_name) {
        true => wrapped_function(config).ok().flatten(),
        false => None,
    }
}

fn wrapped_function(config: &Map<String, Value>) -> Result<Option<&str>> {
    let function = match config.get("fn") {
        Some(function) => Object::parse(function, "fn")?,
        None => None,
    };
    Ok(function.map(|function| function.class_name))
}

/// A type's name, of itself or in a policy: `{"class_name": "DTypePolicy", "config": {"name": "float32"}}`.
pub(crate) fn dtype_name(dtype: &Value) -> &Value {
    match dtype {
        Value::Object(_) => &dtype["config"]["name"],
        name => name,
    }
}

/// A layer or a model in a file, taken apart.
pub(crate) struct LayerObject<'a> {
    /// Without a package.
    pub class_name: &'a str,
    pub config: Option<&'a Value>,
    /// In the config, or beside it.
    pub name: Option<&'a str>,
    /// As [`Object::registered`].
    pub registered: Option<String>,
}

impl<'a> LayerObject<'a> {
    /// None without a class.
    pub fn parse(value: &'a Value) -> Option<Self> {
        let config = value.get("config");
        let name = config.and_then(|config| config.get("name")?.as_str());
        Some(Self {
            class_name: class_name(value.get("class_name")?.as_str()?),
            config,
            name: name.or_else(|| value.get("name")?.as_str()),
            registered: registered_name(value),
        })
    }

    /// Whether it has layers itself.
    pub fn is_model(&self) -> bool {
        is_model(self.class_name)
    }
}

/// Whether the class is that of a model.
pub(crate) fn is_model(class_name: &str) -> bool {
    matches!(class_name, "Sequential" | "Functional" | "Model")
}

/// Refuses entries that the object has not, as Keras does: `own` is its config, `also` are entries that
/// files have besides.
pub(crate) fn check_keys(
    what: &str,
    class_name: &str,
    given: Option<&Map<String, Value>>,
    own: &Value,
    also: &[&str],
) -> Result<()> {
    let (Some(given), Some(own)) = (given, own.as_object()) else {
        return Ok(());
    };
    let known = |key: &&String| own.contains_key(*key) || also.contains(&key.as_str());
    let Some(key) = given.keys().find(|key| !known(key)) else {
        return Ok(());
    };
    let names: Vec<String> = own.keys().cloned().collect();
    let near = match nearest(key, &names) {
        Some(near) => format!("; did you mean \"{near}\"?"),
        None => String::new(),
    };
    Err(Error::value(format!(
        "{what} {class_name} has no argument \"{key}\", expected one of {}{near}",
        names.join(", ")
    )))
}

/// `package>name` of a serialized object or function that is not one of Keras' own; its class in a file
/// that names none of them, `module>Class`.
pub(crate) fn registered_name(value: &Value) -> Option<String> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let name = text("class_name")?;
    if let Some(function) = text("config") {
        return function.contains('>').then(|| function.to_owned());
    }
    // `keras.layers`, `keras.src.models.functional`, `tf_keras.src.engine.functional`.
    let root = text("module").and_then(|module| module.split('.').next());
    match (root, text("registered_name")) {
        (Some("keras" | "keras_core" | "tf_keras" | "tensorflow" | "builtins"), _) => None,
        (_, Some(registered)) if registered.contains('>') => Some(registered.to_owned()),
        (Some(_), _) => Some(format!("{}>{name}", text("module")?)),
        (None, _) => name.contains('>').then(|| name.to_owned()),
    }
}

/// A JSON number, or one of Python's spellings of a number that JSON lacks.
pub(crate) fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| match value.as_str()? {
        "Infinity" | "inf" => Some(f64::INFINITY),
        "-Infinity" | "-inf" => Some(f64::NEG_INFINITY),
        "NaN" | "nan" => Some(f64::NAN),
        _ => None,
    })
}

/// Entries of a config, in Keras' order.
pub(crate) fn entries<const N: usize>(entries: [(&str, Value); N]) -> Map<String, Value> {
    entries
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect()
}

/// Keras 3's serialized form of a built-in object.
pub(crate) fn serialized(module: &str, class_name: &str, config: Value) -> Value {
    json!({
        "module": module,
        "class_name": class_name,
        "config": config,
        "registered_name": null,
    })
}

/// Keras 3's serialized form of an object of one's own.
pub(crate) fn serialized_own(registered_name: &str, config: Value) -> Value {
    json!({
        "module": null,
        "class_name": class_name(registered_name),
        "config": config,
        "registered_name": registered_name,
    })
}

/// The error for a name that nothing has.
pub(crate) fn unknown(what: &str, name: &str, known: &[&str]) -> Error {
    Error::value(format!(
        "unknown {what} \"{name}\", expected one of {}",
        known.join(", ")
    ))
}
