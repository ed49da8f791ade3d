//! The JSON of Keras' files: which layers a model has, and the two dialects of the same settings.
//!
//! Legacy `.h5` files (`model_config`, `training_config`) name classes alone; `.keras` files add
//! `module` and `registered_name` to each object, and say `optimizer` for `optimizer_config`.

use std::collections::HashMap;
use std::io;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::custom::class_name;
use crate::keras_object::{registered_name, serialized, serialized_own, snake_case};
use crate::layers::functional;
use crate::losses::LossKind;
use crate::metrics::Metric;

/// A layer that is not itself a model, as a file stores it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Leaf {
    /// The layer's own name.
    pub(crate) name: String,
    /// Keras' class, such as `Dense`.
    pub(crate) class_name: String,
    /// Name of the outermost layer that holds it: its own, unless it is inside a nested model.
    /// Legacy files keep all weights of that one in one group.
    pub(crate) group: String,
    /// Folder in a `.weights.h5` file, such as `layers/sequential/layers/dense_1`.
    pub(crate) folder: String,
    /// False when it or a model around it is frozen.
    pub(crate) trainable: bool,
}

impl Leaf {
    /// Whether it is inside a nested model.
    pub(crate) fn nested(&self) -> bool {
        self.folder.matches("layers/").count() > 1
    }

    /// How many of its `weights` are trained: all but the statistics, none when it is frozen.
    pub(crate) fn trained(&self, weights: usize) -> usize {
        match self.class_name.as_str() {
            _ if !self.trainable => 0,
            "BatchNormalization" => weights.saturating_sub(2),
            "Normalization" => 0,
            _ => weights,
        }
    }
}

/// What a file says of a model's structure.
#[derive(Default)]
pub(crate) struct Structure {
    /// The layers of the model and of the models inside it, in order, without the input layers.
    pub(crate) leaves: Vec<Leaf>,
    /// The models inside it.
    pub(crate) nested: Vec<Nested>,
}

/// A model inside a model.
#[derive(Debug, PartialEq)]
pub(crate) struct Nested {
    pub(crate) name: String,
    /// As [`Leaf::folder`].
    pub(crate) folder: String,
}

impl Structure {
    /// Of `model`, `{"class_name", "config"}` in any dialect. The error says what is missing.
    pub(crate) fn of(model: &Value) -> Result<Self, String> {
        let mut all = Self::default();
        all.walk(model, "", None, true)?;
        Ok(all)
    }

    fn walk(
        &mut self,
        model: &Value,
        folder: &str,
        group: Option<&str>,
        trainable: bool,
    ) -> Result<(), String> {
        let mut used = HashMap::new();
        for layer in layers(model)? {
            let class_name = class_name(text(layer, "class_name")?);
            let config = layer.get("config").unwrap_or(&Value::Null);
            let name = layer_name(layer)
                .ok_or_else(|| format!("a layer of class \"{class_name}\" has no \"name\""))?;
            // Also counted for input layers, which no other layer shares a folder with.
            let folder = format!(
                "{folder}layers/{}",
                unique(&snake_case(class_name), &mut used)
            );
            let trainable = trainable
                && config
                    .get("trainable")
                    .and_then(Value::as_bool)
                    .unwrap_or(true);
            let group = group.unwrap_or(name);
            if is_model(class_name) {
                self.nested.push(Nested {
                    name: name.to_string(),
                    folder: folder.clone(),
                });
                self.walk(layer, &format!("{folder}/"), Some(group), trainable)?;
            } else if class_name != "InputLayer" {
                self.leaves.push(Leaf {
                    name: name.to_string(),
                    class_name: class_name.to_string(),
                    group: group.to_string(),
                    folder,
                    trainable,
                });
            }
        }
        Ok(())
    }
}

/// Names of the outermost layers, input layers of a `Sequential` left out, as Keras lists them.
pub(crate) fn layer_names(model: &Value) -> Result<Vec<String>, String> {
    let sequential = text(model, "class_name")? == "Sequential";
    let mut names = Vec::new();
    for layer in layers(model)? {
        let class_name = text(layer, "class_name")?;
        if sequential && class_name == "InputLayer" {
            continue;
        }
        names.push(
            layer_name(layer)
                .ok_or_else(|| format!("a layer of class \"{class_name}\" has no \"name\""))?
                .to_string(),
        );
    }
    Ok(names)
}

/// The model's own name, `sequential` when it has none.
pub(crate) fn model_name(model: &Value) -> &str {
    model["config"]["name"].as_str().unwrap_or("sequential")
}

/// The list of layers in `config`, of a Functional chain from input to output, in whatever order they are
/// listed: so Keras orders them. Keras before 2.2 stored a `Sequential` as the list alone.
fn layers(model: &Value) -> Result<Vec<&Value>, String> {
    let config = &model["config"];
    let listed = config
        .as_array()
        .or_else(|| config["layers"].as_array())
        .ok_or_else(|| {
            format!(
                "a model of class {} has no list \"layers\" in its \"config\"",
                model["class_name"]
            )
        })?;
    let functional = matches!(model["class_name"].as_str(), Some("Functional" | "Model"));
    // One that is no chain is refused when the model is built.
    match functional::chain(config) {
        Ok(chain) if functional => Ok(chain),
        _ => Ok(listed.iter().collect()),
    }
}

fn layer_name(layer: &Value) -> Option<&str> {
    layer["config"]["name"].as_str().or(layer["name"].as_str())
}

fn text<'a>(object: &'a Value, key: &str) -> Result<&'a str, String> {
    object[key]
        .as_str()
        .ok_or_else(|| format!("an object has no text \"{key}\", expected a Keras configuration"))
}

fn is_model(class_name: &str) -> bool {
    matches!(class_name, "Sequential" | "Functional" | "Model")
}

/// `name`, or `name_1`, `name_2`, … when it was used before.
pub(crate) fn unique(name: &str, used: &mut HashMap<String, usize>) -> String {
    let count = used.entry(name.to_string()).or_default();
    *count += 1;
    if *count == 1 {
        name.to_string()
    } else {
        format!("{name}_{}", *count - 1)
    }
}

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

/// Compile settings as `training_config` of a legacy file, from either dialect.
pub(crate) fn legacy_compile(settings: &Value) -> Value {
    let mut legacy = Map::new();
    for (key, value) in settings.as_object().into_iter().flatten() {
        let value = match key.as_str() {
            "optimizer" | "optimizer_config" => continue,
            "loss" => each(value, &|loss| spelled_out(&plain_object(loss))),
            _ => each(value, &plain_object),
        };
        legacy.insert(key.clone(), value);
    }
    if let Some(optimizer) = optimizer(settings) {
        legacy.insert("optimizer_config".into(), plain_object(&builtin(optimizer)));
    }
    Value::Object(legacy)
}

/// Compile settings as `compile_config` of a `.keras` file, from either dialect and from Keras 2.
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
            "loss" => one(&each(value, &module("keras.losses"))),
            "metrics" | "weighted_metrics" => flat(&each(value, &module("keras.metrics"))),
            _ => value.clone(),
        };
        full.insert(key.clone(), value);
    }
    Value::Object(full)
}

/// Keras 3 calls a metric by the text that it was given as. To Keras 2 the name of a class was the
/// class, whose metrics name themselves: `"AUC"` is in the logs as `auc`.
pub(crate) fn name_metrics_by_class(settings: &mut Value) {
    for key in ["metrics", "weighted_metrics"] {
        let metrics = settings[key].as_array_mut().into_iter().flatten();
        for metric in metrics {
            if let Some(name) = metric.as_str()
                && Metric::from_str(name).is_ok_and(|metric| metric.class_name() == name)
            {
                *metric = json!({"class_name": name, "config": {}});
            }
        }
    }
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

/// A model with one output may have its loss in a list or a dictionary of one.
fn one(loss: &Value) -> Value {
    match loss {
        Value::Array(losses) if losses.len() == 1 => losses[0].clone(),
        Value::Object(losses) if losses.len() == 1 && !losses.contains_key("class_name") => {
            losses.values().next().cloned().unwrap_or_default()
        }
        loss => loss.clone(),
    }
}

/// Metrics of the one output as one list: Keras 2 nests it, `{"output": [..]}` names the output.
fn flat(metrics: &Value) -> Value {
    match metrics {
        Value::Array(metrics) => metrics
            .iter()
            .flat_map(|metric| match flat(metric) {
                Value::Array(inner) if metric.is_array() => inner,
                metric => vec![metric],
            })
            .collect(),
        Value::Object(outputs) if outputs.len() == 1 && !outputs.contains_key("class_name") => {
            flat(outputs.values().next().unwrap_or(&Value::Null))
        }
        metric => metric.clone(),
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

/// `{"class_name", "config"}` alone, the class of one's own by its registered name; what Keras 2 wrote in other words is said as Keras 3 says it.
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
        let function = config.get("fn").map(|function| match function {
            Value::Object(_) => function["config"].clone(),
            function => function.clone(),
        });
        if let Some(Value::String(function)) = function
            && matches!(
                class_name.as_str(),
                "MeanMetricWrapper" | "LossFunctionWrapper"
            )
        {
            class_name = camel_case(&function);
        }
        config.remove("fn");
        if config.get("reduction") == Some(&json!("auto")) {
            config.insert("reduction".into(), json!("sum_over_batch_size"));
        }
    }
    json!({"class_name": class_name, "config": config})
}

/// A loss by its long name: real Keras cannot load a legacy file with `mse` in it, not even its own.
fn spelled_out(loss: &Value) -> Value {
    let long = loss.as_str().and_then(LossKind::long_name);
    long.map_or_else(|| loss.clone(), |name| json!(name))
}

/// The class of a function: `binary_accuracy` is `BinaryAccuracy`.
fn camel_case(function: &str) -> String {
    match function {
        "kl_divergence" | "kullback_leibler_divergence" => "KLDivergence".into(),
        "log_cosh" | "logcosh" => "LogCoshError".into(),
        function => function
            .split('_')
            .flat_map(|word| {
                let mut letters = word.chars();
                letters
                    .next()
                    .into_iter()
                    .flat_map(char::to_uppercase)
                    .chain(letters)
                    .collect::<Vec<_>>()
            })
            .collect(),
    }
}

/// JSON as Python writes it: `", "` and `": "`, other than ASCII as `\u` escapes.
pub(crate) fn to_json(value: &Value) -> String {
    struct Python;
    impl serde_json::ser::Formatter for Python {
        fn begin_array_value<W: ?Sized + io::Write>(
            &mut self,
            writer: &mut W,
            first: bool,
        ) -> io::Result<()> {
            writer.write_all(if first { b"" } else { b", " })
        }
        fn begin_object_key<W: ?Sized + io::Write>(
            &mut self,
            writer: &mut W,
            first: bool,
        ) -> io::Result<()> {
            writer.write_all(if first { b"" } else { b", " })
        }
        fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
            writer.write_all(b": ")
        }
        fn write_string_fragment<W: ?Sized + io::Write>(
            &mut self,
            writer: &mut W,
            fragment: &str,
        ) -> io::Result<()> {
            for c in fragment.chars() {
                if c.is_ascii() {
                    writer.write_all(&[c as u8])?; // ASCII, so one byte
                } else {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
            }
            Ok(())
        }
    }
    let mut json = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, Python);
    serde::Serialize::serialize(value, &mut serializer).expect("a Value has only text keys");
    String::from_utf8(json).expect("ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_count_by_class_and_groups_are_the_outermost_names() {
        let model = json!({"class_name": "Sequential", "config": {"name": "outer", "layers": [
            {"class_name": "InputLayer", "config": {"name": "in"}},
            {"class_name": "Sequential", "config": {"name": "inner", "trainable": false, "layers": [
                {"class_name": "Dense", "config": {"name": "a"}},
                {"class_name": "Dense", "config": {"name": "b"}},
            ]}},
            {"class_name": "Dense", "config": {"name": "c"}},
        ]}});
        let Structure { leaves, nested } = Structure::of(&model).unwrap();
        let all: Vec<_> = leaves
            .iter()
            .map(|l| (&*l.name, &*l.group, &*l.folder, l.trainable, l.nested()))
            .collect();
        assert_eq!(
            all,
            [
                ("a", "inner", "layers/sequential/layers/dense", false, true),
                (
                    "b",
                    "inner",
                    "layers/sequential/layers/dense_1",
                    false,
                    true
                ),
                ("c", "c", "layers/dense", true, false),
            ]
        );
        let inner = Nested {
            name: "inner".into(),
            folder: "layers/sequential".into(),
        };
        assert_eq!(nested, [inner]);
        assert_eq!(layer_names(&model).unwrap(), ["inner", "c"]);
    }

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
        assert_eq!(legacy_compile(&full), legacy);
        assert_eq!(full_compile(&legacy), full);
        assert_eq!(legacy_compile(&legacy), legacy);
        assert_eq!(full_compile(&full), full);
    }

    #[test]
    fn a_legacy_file_names_its_loss_by_the_long_name() {
        assert_eq!(
            legacy_compile(&json!({"loss": "mse", "metrics": ["mse"]})),
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
        let mut settings = full_compile(&json!({
            "loss": "mse",
            // `Accuracy` goes by the shapes in Keras 2, too, and `MSE` is a function's other name.
            "metrics": [["AUC", "Accuracy", "MSE", "mae"]],
        }));
        name_metrics_by_class(&mut settings);
        assert_eq!(
            settings["metrics"],
            json!([{"class_name": "AUC", "config": {}}, "Accuracy", "MSE", "mae"])
        );
        let metric = Metric::from_config(&settings["metrics"][0], 1, 1).expect("a metric");
        assert_eq!(metric.name(), "auc");
    }

    #[test]
    fn json_is_spelled_as_python_spells_it() {
        let value = json!({"name": "größe", "shape": [null, 4], "rate": 0.1});
        assert_eq!(
            to_json(&value),
            r#"{"name": "gr\u00f6\u00dfe", "shape": [null, 4], "rate": 0.1}"#
        );
    }
}
