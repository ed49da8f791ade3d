//! Reading a layer's Keras config, with errors that name the layer, the key and what was expected.

use serde_json::Value;

use crate::activations::Activation;
use crate::constraints::Constraint;
use crate::initializers::Initializer;
use crate::keras::{Dialect, Object, dtype_name};
use crate::regularizers::Regularizer;
use crate::{Error, Result};

/// A layer's `config` dict and its class, for messages.
#[derive(Clone, Copy)]
pub(crate) struct Config<'a> {
    class: &'a str,
    config: &'a Value,
    dialect: Dialect,
}

impl<'a> Config<'a> {
    pub fn new(class: &'a str, config: &'a Value, dialect: Dialect) -> Self {
        Self {
            class,
            config,
            dialect,
        }
    }

    /// The class, as the file spells it.
    pub fn class(&self) -> &'a str {
        self.class
    }

    /// As a part of one's own reads it, registered by this name.
    pub fn object(&self, registered_name: &'a str) -> Object<'a> {
        Object {
            class_name: registered_name,
            config: self.config.as_object(),
            registered: Some(registered_name.to_owned()),
            what: "layer",
        }
    }

    /// The entry under `key`, unless it is missing or null.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.config.get(key).filter(|value| !value.is_null())
    }

    /// Whether the key is there and null.
    pub fn is_null(&self, key: &str) -> bool {
        self.config.get(key).is_some_and(Value::is_null)
    }

    /// An error about one key.
    pub fn error(&self, key: &str, expected: &str) -> Error {
        let name = self.config.get("name").and_then(Value::as_str);
        Error::value(format!(
            "{} {:?}: \"{key}\" is {}, expected {expected}",
            self.class,
            name.unwrap_or_default(),
            self.config.get(key).unwrap_or(&Value::Null),
        ))
    }

    /// A number, or the default when it is missing; null is no number to Keras either.
    pub fn f64(&self, key: &str, default: f64) -> Result<f64> {
        match self.get(key) {
            None if self.is_null(key) => Err(self.error(key, "a number")),
            None => Ok(default),
            Some(value) => value.as_f64().ok_or_else(|| self.error(key, "a number")),
        }
    }

    pub fn opt_f64(&self, key: &str) -> Result<Option<f64>> {
        self.get(key).map(|_| self.f64(key, 0.0)).transpose()
    }

    /// A number from 0, which null is not, for Keras refuses both.
    pub fn not_negative(&self, key: &str, default: f64) -> Result<f64> {
        let expected = "a number from 0";
        if self.is_null(key) {
            return Err(self.error(key, expected));
        }
        match self.f64(key, default)? {
            value if value >= 0.0 => Ok(value),
            _ => Err(self.error(key, expected)),
        }
    }

    /// True or false, or the default when it is missing; null is false, as in Python.
    pub fn bool(&self, key: &str, default: bool) -> Result<bool> {
        match self.get(key) {
            None => Ok(default && !self.is_null(key)),
            // Keras 2 wrote 0 and 1 in places.
            Some(value) => value
                .as_bool()
                .or_else(|| {
                    value
                        .as_i64()
                        .filter(|v| (0..=1).contains(v))
                        .map(|v| v != 0)
                })
                .ok_or_else(|| self.error(key, "true or false")),
        }
    }

    pub fn positive(&self, key: &str) -> Result<usize> {
        self.get(key)
            .and_then(Value::as_u64)
            .filter(|&v| v > 0)
            .and_then(|v| usize::try_from(v).ok())
            .ok_or_else(|| self.error(key, "a positive integer"))
    }

    pub fn seed(&self) -> Result<Option<u64>> {
        match self.get("seed") {
            None => Ok(None),
            Some(value) => match (value.as_u64(), value.as_i64()) {
                (Some(seed), _) => Ok(Some(seed)),
                (None, Some(seed)) => Ok(Some(seed.cast_unsigned())),
                // A serialized SeedGenerator.
                (None, None) => match value.pointer("/config/seed").and_then(Value::as_u64) {
                    Some(seed) => Ok(Some(seed)),
                    None => Err(self.error("seed", "an integer or null")),
                },
            },
        }
    }

    pub fn string(&self, key: &str) -> Result<Option<String>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.error(key, "a string")),
        }
    }

    /// Sizes of nested lists; none for a number.
    pub fn list_shape(&self, key: &str) -> Vec<usize> {
        let (mut shape, mut inner) = (Vec::new(), self.get(key));
        while let Some(list) = inner.and_then(Value::as_array) {
            shape.push(list.len());
            inner = list.first();
        }
        shape
    }

    /// The axes of a layer that has no meaning for null, or the last one when they are missing.
    pub fn axes(&self) -> Result<Vec<i64>> {
        if self.is_null("axis") {
            return Err(self.error("axis", "an integer such as -1, or a list of them"));
        }
        Ok(self.integers("axis")?.unwrap_or(vec![-1]))
    }

    /// One integer or a list of them.
    pub fn integers(&self, key: &str) -> Result<Option<Vec<i64>>> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let list = match value {
            Value::Array(list) => list.iter().map(Value::as_i64).collect(),
            one => one.as_i64().map(|v| vec![v]),
        };
        list.map(Some)
            .ok_or_else(|| self.error(key, "an integer or a list of integers"))
    }

    /// One number, or numbers in nested lists.
    pub fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>> {
        fn collect(value: &Value, out: &mut Vec<f64>) -> bool {
            match value {
                Value::Array(list) => list.iter().all(|v| collect(v, out)),
                one => one.as_f64().map(|v| out.push(v)).is_some(),
            }
        }
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let mut out = Vec::new();
        if collect(value, &mut out) {
            Ok(Some(out))
        } else {
            Err(self.error(key, "a number or a list of numbers"))
        }
    }

    /// A function; none when it is missing or null.
    pub fn activation(&self, key: &str) -> Result<Activation> {
        Activation::read(self.get(key).unwrap_or(&Value::Null), self.dialect)
    }

    pub fn initializer(&self, key: &str, default: Initializer) -> Result<Initializer> {
        self.get(key)
            .map_or(Ok(default), Initializer::from_config)
            .map_err(|e| self.within(key, e))
    }

    pub fn regularizer(&self, key: &str) -> Result<Option<Regularizer>> {
        self.get(key)
            .map_or(Ok(None), Regularizer::from_config)
            .map_err(|e| self.within(key, e))
    }

    pub fn constraint(&self, key: &str) -> Result<Option<Constraint>> {
        self.get(key)
            .map_or(Ok(None), Constraint::from_config)
            .map_err(|e| self.within(key, e))
    }

    /// `[null, 4]` to `[4]`.
    pub fn sample_shape(&self, batch_shape: &Value) -> Result<Vec<usize>> {
        let expected = "a list of the batch size or null, then positive integers";
        let sizes = batch_shape.as_array().filter(|list| !list.is_empty());
        let Some(sizes) = sizes else {
            return Err(self.error("batch_shape", expected));
        };
        sizes[1..]
            .iter()
            .map(|size| size.as_u64().filter(|&v| v > 0).map(|v| v as usize)) // 64-bit hosts
            .collect::<Option<_>>()
            .ok_or_else(|| self.error("batch_shape", expected))
    }

    /// Refuses a type that weights are not kept as float32 in. In mixed precision they are, and those that
    /// Keras quantized to int8 stand for floats.
    pub fn check_dtype(&self) -> Result<()> {
        let Some(dtype) = self.get("dtype") else {
            return Ok(());
        };
        let int8 = dtype.pointer("/config/mode").and_then(Value::as_str) == Some("int8");
        match dtype_name(dtype).as_str() {
            Some("float32" | "float64" | "mixed_float16" | "mixed_bfloat16") => Ok(()),
            Some(name) if name.starts_with("int8_from_") => Ok(()),
            None if int8 => Ok(()),
            _ => Err(Error::unsupported(format!(
                "{} {:?}: dtype {dtype} is not supported, expected \"float32\"; save the model with the float32 policy",
                self.class,
                self.config
                    .get("name")
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
            ))),
        }
    }

    fn within(&self, key: &str, error: Error) -> Error {
        match error {
            Error::Unsupported(m) => Error::unsupported(format!("{} {key:?}: {m}", self.class)),
            other => Error::value(format!("{} {key:?}: {other}", self.class)),
        }
    }
}
