//! How Keras 1, 2 and 3 differ in what they serialize, and the two layouts of it.
//!
//! Legacy `.h5` files (`model_config`, `training_config`) name classes alone; `.keras` files add
//! `module` and `registered_name` to each object, and say `optimizer` for `optimizer_config`.

pub(crate) mod keras_2;

use serde_json::{Map, Value, json};

use super::object::wrapped;
use super::{camel_case, class_name, is_model, registered_name, serialized, serialized_own};

/// The Keras that wrote a text, by its first number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Keras1,
    Keras2,
    Keras3,
}

impl Dialect {
    /// Of a version such as `2.15.0`; a text that names none is read as Keras 3's.
    pub(crate) fn of(keras_version: &str) -> Self {
        match keras_version.split('.').next() {
            Some("1") => Self::Keras1,
            Some("2") => Self::Keras2,
            _ => Self::Keras3,
        }
    }

    /// An activation by the name that it has here: `hard_sigmoid` was another function before Keras 3.
    pub(crate) fn activation(self, name: &str) -> &str {
        match (self, name) {
            (Self::Keras1 | Self::Keras2, "hard_sigmoid") => KERAS_2_HARD_SIGMOID,
            (Self::Keras1 | Self::Keras2 | Self::Keras3, name) => name,
        }
    }

    /// Compile settings as `compile_config` of a `.keras` file; `is_metric` says whether a metric has a
    /// class of that name.
    ///
    /// Keras 3 calls a metric by the text that it was given as. Before, the name of a class was the
    /// class, whose metrics name themselves: `"AUC"` is in the logs as `auc`.
    pub(crate) fn compile_config(self, settings: &Value, is_metric: fn(&str) -> bool) -> Value {
        let mut settings = full_compile(settings);
        let keys: &[&str] = match self {
            Self::Keras1 | Self::Keras2 => &["metrics", "weighted_metrics"],
            Self::Keras3 => &[],
        };
        for key in keys {
            let metrics = settings[key].as_array_mut().into_iter().flatten();
            for metric in metrics {
                if let Some(name) = metric.as_str()
                    && is_metric(name)
                {
                    *metric = json!({"class_name": name, "config": {}});
                }
            }
        }
        settings
    }
}

/// Name of the `hard_sigmoid` of Keras 1 and 2, which Keras 3 does not have.
pub(crate) const KERAS_2_HARD_SIGMOID: &str = "keras_2_hard_sigmoid";

/// `model` as `model_config` of a legacy file: layers without `module`, `registered_name` and
/// `build_config`.
pub(crate) fn legacy_model(model: &Value) -> Value {
    let mut config = model["config"].clone();
    if let Some(layers) = config.get_mut("layers").and_then(Value::as_array_mut) {
        for layer in layers {
            let mut plain = legacy_model(layer);
            // Of a Functional model.
            for key in ["name", "inbound_nodes"] {
                if let (Some(value), Some(plain)) = (layer.get(key), plain.as_object_mut()) {
                    plain.insert(key.into(), value.clone());
                }
            }
            *layer = plain;
        }
    }
    let class_name =
        registered_name(model).map_or_else(|| model["class_name"].clone(), Value::from);
    json!({"class_name": class_name, "config": config})
}

/// `model` as `config.json` of a `.keras` file, without its `compile_config`.
pub(crate) fn full_model(model: &Value) -> Value {
    let class_name = model["class_name"].as_str().unwrap_or_default();
    let mut config = model["config"].clone();
    if let Some(layers) = config.get_mut("layers").and_then(Value::as_array_mut) {
        for layer in layers {
            *layer = full_model(layer);
        }
    }
    let mut full = match registered_name(model) {
        Some(name) => serialized_own(&name, config),
        None => {
            let module = match is_model(class_name) {
                true => "keras",
                false => "keras.layers",
            };
            let module = model["module"].as_str().unwrap_or(module);
            let mut full = serialized(module, class_name, config);
            full["registered_name"] = model.get("registered_name").cloned().into();
            full
        }
    };
    for key in ["name", "inbound_nodes", "build_config"] {
        if let Some(value) = model.get(key) {
            full[key] = value.clone();
        }
    }
    full
}

/// Compile settings as `training_config` of a legacy file, from either layout. `long_name` is that of a
/// loss: real Keras cannot load a legacy file with `mse` in it, not even its own.
pub(crate) fn legacy_compile(
    settings: &Value,
    long_name: fn(&str) -> Option<&'static str>,
) -> Value {
    let spelled_out = |loss: Value| match loss.as_str().and_then(long_name) {
        Some(name) => json!(name),
        None => loss,
    };
    let mut legacy = Map::new();
    for (key, value) in settings.as_object().into_iter().flatten() {
        let value = match key.as_str() {
            "optimizer" | "optimizer_config" => continue,
            "loss" => each(value, &|loss| spelled_out(plain_object(loss))),
            _ => each(value, &plain_object),
        };
        legacy.insert(key.clone(), value);
    }
    if let Some(optimizer) = optimizer(settings) {
        legacy.insert("optimizer_config".into(), plain_object(&builtin(optimizer)));
    }
    Value::Object(legacy)
}

/// Compile settings as `compile_config` of a `.keras` file, from either layout and from Keras 2.
pub(crate) fn full_compile(settings: &Value) -> Value {
    let module = |module: &'static str| {
        move |object: &Value| {
            let object = plain_object(object);
            match (object["class_name"].as_str(), &object["config"]) {
                (Some(own), config) if own.contains('>') => serialized_own(own, config.clone()),
                (Some(class_name), config) => serialized(module, class_name, config.clone()),
                (None, _) => object,
            }
        }
    };
    let mut full = Map::new();
    if let Some(optimizer) = optimizer(settings) {
        full.insert(
            "optimizer".into(),
            module("keras.optimizers")(&builtin(optimizer)),
        );
    }
    for (key, value) in settings.as_object().into_iter().flatten() {
        let value = match key.as_str() {
            "optimizer" | "optimizer_config" => continue,
            "loss" => each(only(value).unwrap_or(value), &module("keras.losses")),
            "metrics" | "weighted_metrics" if value.is_array() || value.is_object() => {
                metric_list(&each(value, &module("keras.metrics"))).into()
            }
            _ => value.clone(),
        };
        full.insert(key.clone(), value);
    }
    Value::Object(full)
}

fn optimizer(settings: &Value) -> Option<&Value> {
    let found = settings
        .get("optimizer")
        .or(settings.get("optimizer_config"))?;
    (!found.is_null()).then_some(found)
}

/// Applies `f` to every object or text in nested lists and dictionaries by output name.
fn each(value: &Value, f: &impl Fn(&Value) -> Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(|value| each(value, f)).collect(),
        Value::Object(object) if !object.contains_key("class_name") => object
            .iter()
            .map(|(key, value)| (key.clone(), each(value, f)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        value => f(value),
    }
}

/// The one entry of `[x]` and `{"output": x}`, or the value itself; none for null.
pub(crate) fn only(value: &Value) -> Option<&Value> {
    match value {
        Value::Null => None,
        Value::Array(list) if list.len() == 1 => only(&list[0]),
        Value::Object(object) if object.len() == 1 && !object.contains_key("class_name") => {
            only(object.values().next()?)
        }
        value => Some(value),
    }
}

/// Metrics of the one output, whether or not they are nested in a list or dict per output.
pub(crate) fn metric_list(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(list) => list.iter().flat_map(metric_list).collect(),
        Value::Object(object) if !object.contains_key("class_name") => {
            object.values().flat_map(metric_list).collect()
        }
        metric => vec![metric.clone()],
    }
}

/// An optimizer by its class: `Custom>Adam` of Keras 2 is Keras' own.
fn builtin(optimizer: &Value) -> Value {
    let mut optimizer = optimizer.clone();
    if let Some(name) = optimizer["class_name"].as_str() {
        optimizer["class_name"] = class_name(name).into();
    }
    optimizer
}

/// `{"class_name", "config"}` alone, the class of one's own by its registered name; what Keras 2 wrote in
/// other words is said as Keras 3 says it.
fn plain_object(object: &Value) -> Value {
    let Some(class_name) = object["class_name"].as_str() else {
        return object.clone();
    };
    let mut config = object["config"].clone();
    if class_name == "function" {
        return config;
    }
    let mut class_name = registered_name(object).unwrap_or_else(|| class_name.to_string());
    if let Some(config) = config.as_object_mut() {
        // A metric or a loss around a function, which says more than its class.
        if let Some(function) = wrapped(&class_name, config) {
            class_name = class_of(function, class_name == "MeanMetricWrapper");
        }
        config.remove("fn");
        if config.get("reduction") == Some(&json!("auto")) {
            config.insert("reduction".into(), json!("sum_over_batch_size"));
        }
    }
    json!({"class_name": class_name, "config": config})
}

/// The class of the loss or metric that a function is.
fn class_of(function: &str, metric: bool) -> String {
    match (function, metric) {
        ("kl_divergence" | "kullback_leibler_divergence", _) => "KLDivergence".into(),
        ("log_cosh" | "logcosh", true) => "LogCoshError".into(),
        ("log_cosh" | "logcosh", false) => "LogCosh".into(),
        (function, _) => camel_case(function),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::losses::{Loss, LossKind};
    use crate::metrics::Metric;

    #[test]
    fn the_dialects_translate_into_each_other() {
        let full = json!({
            "optimizer": {"module": "keras.optimizers", "class_name": "SGD", "config": {"name": "sgd"}, "registered_name": null},
            "loss": {"module": "keras.losses", "class_name": "Huber", "config": {"delta": 2.0}, "registered_name": null},
            "loss_weights": null,
            "metrics": ["accuracy", {"module": "keras.metrics", "class_name": "AUC", "config": {"name": "auc"}, "registered_name": null}],
        });
        let legacy = json!({
            "loss": {"class_name": "Huber", "config": {"delta": 2.0}},
            "loss_weights": null,
            "metrics": ["accuracy", {"class_name": "AUC", "config": {"name": "auc"}}],
            "optimizer_config": {"class_name": "SGD", "config": {"name": "sgd"}},
        });
        assert_eq!(legacy_compile(&full, LossKind::long_name), legacy);
        assert_eq!(full_compile(&legacy), full);
        assert_eq!(legacy_compile(&legacy, LossKind::long_name), legacy);
        assert_eq!(full_compile(&full), full);
    }

    #[test]
    fn a_function_has_another_class_as_a_loss_than_as_a_metric() {
        let wrapped = |class: &str| json!({"class_name": class, "config": {"fn": "log_cosh"}});
        let keras2 = json!({"loss": wrapped("LossFunctionWrapper"),
            "metrics": [wrapped("MeanMetricWrapper")]});
        let settings = full_compile(&keras2);
        assert_eq!(settings["loss"]["class_name"], "LogCosh");
        assert_eq!(settings["metrics"][0]["class_name"], "LogCoshError");
        assert!(Loss::from_config(&settings["loss"]).is_ok());
        assert!(Metric::from_config(&settings["metrics"][0], 1, 1).is_ok());
    }

    #[test]
    fn the_version_of_keras_is_its_first_number() {
        assert_eq!(
            Dialect::of("2.15.0").activation("hard_sigmoid"),
            KERAS_2_HARD_SIGMOID
        );
        assert_eq!(
            Dialect::of("3.15.1").activation("hard_sigmoid"),
            "hard_sigmoid"
        );
        assert_eq!(Dialect::of("1.2.2"), Dialect::Keras1);
        assert_eq!(Dialect::of(""), Dialect::Keras3);
    }

    #[test]
    fn a_legacy_file_names_its_loss_by_the_long_name() {
        assert_eq!(
            legacy_compile(
                &json!({"loss": "mse", "metrics": ["mse"]}),
                LossKind::long_name
            ),
            json!({"loss": "mean_squared_error", "metrics": ["mse"]})
        );
    }

    #[test]
    fn keras_2_compile_settings_are_said_as_keras_3_says_them() {
        let keras2 = json!({
            "loss": {"class_name": "BinaryCrossentropy", "config": {"reduction": "auto", "name": "b", "fn": "binary_crossentropy"}},
            "metrics": [[{"class_name": "MeanMetricWrapper", "config": {"name": "accuracy", "dtype": "float32", "fn": "binary_accuracy"}}]],
            "optimizer_config": {"class_name": "Custom>Adam", "config": {"name": "Adam"}},
        });
        assert_eq!(
            full_compile(&keras2),
            json!({
                "optimizer": {"module": "keras.optimizers", "class_name": "Adam", "config": {"name": "Adam"}, "registered_name": null},
                "loss": {"module": "keras.losses", "class_name": "BinaryCrossentropy", "config": {"reduction": "sum_over_batch_size", "name": "b"}, "registered_name": null},
                "metrics": [{"module": "keras.metrics", "class_name": "BinaryAccuracy", "config": {"name": "accuracy", "dtype": "float32"}, "registered_name": null}],
            })
        );
    }

    #[test]
    fn keras_2_names_metrics_by_their_class() {
        let settings = json!({
            "loss": "mse",
            // `Accuracy` goes by the shapes in Keras 2, too, and `MSE` is a function's other name.
            "metrics": [["AUC", "Accuracy", "MSE", "mae"]],
        });
        let settings = Dialect::Keras2.compile_config(&settings, Metric::is_class);
        assert_eq!(
            settings["metrics"],
            json!([{"class_name": "AUC", "config": {}}, "Accuracy", "MSE", "mae"])
        );
        let metric = Metric::from_config(&settings["metrics"][0], 1, 1).expect("a metric");
        assert_eq!(metric.name(), "auc");
    }
}
