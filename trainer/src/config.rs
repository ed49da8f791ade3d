//! Reading Keras' serialized objects: a name, or `{"class_name", "config", ..}`.

use serde_json::{Map, Value, json};

use crate::dataset::nearest;
use crate::{Error, Result};

/// A Keras object in one of its serialized forms, taken apart.
pub(crate) struct Object<'a> {
    /// `class_name` without a package prefix (`Custom>Adam` of Keras 2 is `Adam`), or the name.
    pub class_name: &'a str,
    /// `config`, if there is one.
    pub config: Option<&'a Map<String, Value>>,
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
        match value {
            Value::Null => Ok(None),
            Value::String(name) => Ok(Some(Self {
                class_name: name,
                config: None,
                what,
            })),
            Value::Object(object) => {
                let name = object
                    .get("class_name")
                    .and_then(Value::as_str)
                    .ok_or_else(bad)?;
                let config = match object.get("config") {
                    None | Some(Value::Null) => None,
                    Some(Value::Object(config)) => Some(config),
                    // Functions: {"class_name": "function", "config": "relu"}.
                    Some(Value::String(function)) => {
                        return Ok(Some(Self {
                            class_name: function,
                            config: None,
                            what,
                        }));
                    }
                    Some(_) => return Err(bad()),
                };
                Ok(Some(Self {
                    class_name: name.rsplit('>').next().unwrap_or(name),
                    config,
                    what,
                }))
            }
            _ => Err(bad()),
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

/// A JSON number, or one of Python's spellings of a number that JSON lacks.
pub(crate) fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| match value.as_str()? {
        "Infinity" | "inf" => Some(f64::INFINITY),
        "-Infinity" | "-inf" => Some(f64::NEG_INFINITY),
        "NaN" | "nan" => Some(f64::NAN),
        _ => None,
    })
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

/// `GlorotUniform` and `glorot_uniform` alike, for comparing names: lower case without underscores.
pub(crate) fn folded(name: &str) -> String {
    name.chars()
        .filter(|&c| c != '_')
        .flat_map(char::to_lowercase)
        .collect()
}

/// The error for a name that nothing has.
pub(crate) fn unknown(what: &str, name: &str, known: &[&str]) -> Error {
    Error::value(format!(
        "unknown {what} \"{name}\", expected one of {}",
        known.join(", ")
    ))
}
