//! Operations in a Functional model as the layers that they are: `x / 255` is a Rescaling, `ops.tanh(x)`
//! an Activation. Of Keras 3 (`keras.ops`) and of Keras 2 (`TFOpLambda`).

use serde_json::{Value, json};

use crate::activations::Activation;
use crate::{Error, Result};

/// Operations that no layer of one input has the name of.
const NO_LAYERS: [&str; 27] = [
    "Add",
    "Clip",
    "Divide",
    "Elu",
    "Exp",
    "Gelu",
    "GetItem",
    "HardSigmoid",
    "HardSilu",
    "HardTanh",
    "LeakyRelu",
    "LogSigmoid",
    "Max",
    "Mean",
    "Multiply",
    "Negative",
    "Relu",
    "Relu6",
    "Selu",
    "Sigmoid",
    "Silu",
    "Softplus",
    "Softsign",
    "Subtract",
    "Tanh",
    "Transpose",
    "TrueDivide",
];

/// The class and the config of the layer that an entry of a Functional model's list is.
///
/// # Errors
///
/// [`Error::Unsupported`] for an operation that is none.
pub(crate) fn as_layer(entry: &Value) -> Result<Option<(&'static str, Value)>> {
    let class = entry
        .get("class_name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let module = entry
        .get("module")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let config = entry.get("config").unwrap_or(&Value::Null);
    let call = entry.pointer("/inbound_nodes/0").unwrap_or(&Value::Null);
    let function = config.get("function").and_then(Value::as_str);
    let (name, operands) = match (class, function) {
        ("TFOpLambda" | "SlicingOpLambda", Some(function)) => {
            let name = function.rsplit('.').next().unwrap_or_default();
            (camel_case(name), of_keras_2(call))
        }
        _ if module.starts_with("keras.src.ops") || module.starts_with("keras.ops") => {
            (class.to_string(), of_keras_3(call))
        }
        // Legacy files do not say the module. A layer of these names takes a list of tensors.
        _ if NO_LAYERS.contains(&class)
            || (class == "Reshape" && config["newshape"].is_array()) =>
        {
            (class.to_string(), of_keras_3(call))
        }
        _ => return Ok(None),
    };
    let operation = Operation {
        name: &name,
        config,
        operands: &operands,
    };
    if operation.integers() {
        return Err(operation.refused("computes with integers; cast its input to float32 first"));
    }
    operation.layer().map(Some)
}

/// `truediv` of Keras 2 as Keras 3 has it.
fn camel_case(name: &str) -> String {
    match name {
        "truediv" => "TrueDivide".into(),
        "sub" => "Subtract".into(),
        "mul" => "Multiply".into(),
        "neg" => "Negative".into(),
        "getitem" => "GetItem".into(),
        name => {
            let words = name.split('_').map(|word| {
                let (first, rest) = word.split_at_checked(1).unwrap_or(("", word));
                first.to_ascii_uppercase() + rest
            });
            words.collect()
        }
    }
}

/// What an operation is called with.
enum Operand {
    Tensor {
        shape: Vec<Option<u64>>,
        dtype: String,
    },
    Constant(Value),
}

/// The arguments in their order, then those by name.
fn of_keras_3(call: &Value) -> Vec<Operand> {
    let arguments = call["args"].as_array().into_iter().flatten();
    let named = call["kwargs"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(_, value)| value);
    let operand = |value: &Value| match value["class_name"].as_str() {
        Some("__keras_tensor__") => Operand::Tensor {
            shape: sizes(&value["config"]["shape"]),
            dtype: value["config"]["dtype"]
                .as_str()
                .unwrap_or("float32")
                .into(),
        },
        Some("__numpy__" | "__tensor__") => Operand::Constant(value["config"]["value"].clone()),
        _ => Operand::Constant(value.clone()),
    };
    arguments.chain(named).map(operand).collect()
}

fn sizes(shape: &Value) -> Vec<Option<u64>> {
    shape
        .as_array()
        .into_iter()
        .flatten()
        .map(Value::as_u64)
        .collect()
}

/// `["input", 0, 0, {"y": 255.0, "name": null}]`, or `["_CONSTANT_VALUE", -1, 1.0, {"y": ["input", 0, 0]}]`.
fn of_keras_2(call: &Value) -> Vec<Operand> {
    let tensor = || Operand::Tensor {
        shape: Vec::new(),
        dtype: "float32".into(),
    };
    let first = match (call[0].as_str(), call.get(2)) {
        (Some("_CONSTANT_VALUE"), Some(value)) => Operand::Constant(value.clone()),
        _ => tensor(),
    };
    let others = call[3].as_object().into_iter().flatten();
    let others = others.filter(|(key, value)| *key != "name" && !value.is_null());
    let others = others.map(|(_, value)| match value.as_array().map(Vec::as_slice) {
        Some([Value::String(_), Value::Number(_), Value::Number(_)]) => tensor(),
        _ => Operand::Constant(value.clone()),
    });
    std::iter::once(first).chain(others).collect()
}

struct Operation<'a> {
    name: &'a str,
    config: &'a Value,
    operands: &'a [Operand],
}

impl Operation<'_> {
    fn refused(&self, why: &str) -> Error {
        Error::unsupported(format!(
            "operation {:?} is {}, which {why}",
            self.config["name"].as_str().unwrap_or_default(),
            self.name,
        ))
    }

    /// Whether it computes with integers, which Keras cuts off at the ends of their type.
    fn integers(&self) -> bool {
        let whole = |operand: &Operand| match operand {
            Operand::Tensor { dtype, .. } => !dtype.contains("float"),
            Operand::Constant(_) => false,
        };
        !matches!(self.name, "TrueDivide" | "GetItem") && self.operands.iter().any(whole)
    }

    fn layer(&self) -> Result<(&'static str, Value)> {
        let constant = match self.operands {
            [Operand::Tensor { .. }, Operand::Constant(by)] => Some((by, true)),
            [Operand::Constant(by), Operand::Tensor { .. }] => Some((by, false)),
            _ => None,
        };
        let by = |map: &dyn Fn(f64) -> f64| self.numbers(constant.map(|(by, _)| by), map);
        match (self.name, constant) {
            ("Add", Some(_)) => self.rescaling(json!(1.0), by(&|c| c)?),
            ("Subtract", Some((_, true))) => self.rescaling(json!(1.0), by(&|c| -c)?),
            ("Subtract", Some((_, false))) => self.rescaling(json!(-1.0), by(&|c| c)?),
            ("Multiply", Some(_)) => self.rescaling(by(&|c| c)?, json!(0.0)),
            ("TrueDivide" | "Divide", Some((_, true))) => {
                self.rescaling(by(&|c| 1.0 / c)?, json!(0.0))
            }
            ("Negative", None) => self.rescaling(json!(-1.0), json!(0.0)),
            ("GetItem", Some((key, true))) => {
                self.class("GetItem", &[("key", key_of_keras_3(key))])
            }
            _ => self.function(),
        }
    }

    /// A constant as a Rescaling has it: one for all, or one for each element of the last axis.
    fn numbers(&self, value: Option<&Value>, map: &dyn Fn(f64) -> f64) -> Result<Value> {
        let refused = || {
            self.refused("thumbnet has with one number, or one for each element of the last axis; use a layer of your own or a Dense in its place")
        };
        let mut value = value.ok_or_else(refused)?;
        while let Some([inner @ Value::Array(_)]) = value.as_array().map(Vec::as_slice) {
            value = inner;
        }
        let number = |value: &Value| value.as_f64().map(map).filter(|v| v.is_finite());
        let found = match value {
            Value::Array(list) => list
                .iter()
                .map(number)
                .collect::<Option<Vec<_>>>()
                .map(|list| json!(list)),
            one => number(one).map(|one| json!(one)),
        };
        found.ok_or_else(refused)
    }

    fn class(
        &self,
        class: &'static str,
        options: &[(&str, Value)],
    ) -> Result<(&'static str, Value)> {
        let mut config = json!({"name": self.config["name"]});
        for (key, value) in options {
            config[*key] = value.clone();
        }
        Ok((class, config))
    }

    fn rescaling(&self, scale: Value, offset: Value) -> Result<(&'static str, Value)> {
        self.class("Rescaling", &[("scale", scale), ("offset", offset)])
    }

    /// An operation on the tensor alone.
    fn function(&self) -> Result<(&'static str, Value)> {
        let option = |key: &str| self.config.get(key).filter(|value| !value.is_null());
        let [Operand::Tensor { shape, .. }] = self.operands else {
            return Err(self.unknown());
        };
        match self.name {
            "Reshape" if let Some(shape) = option("newshape") => {
                let sizes = shape.as_array().map(Vec::as_slice);
                match sizes {
                    Some([rows, sizes @ ..]) if *rows == json!(-1) || rows.is_null() => {
                        self.class("Reshape", &[("target_shape", json!(sizes))])
                    }
                    _ => Err(self.refused("reshapes the rows of a batch; begin its shape with -1")),
                }
            }
            "Transpose"
                if let Some([Value::Number(rows), axes @ ..]) =
                    option("axes").and_then(Value::as_array).map(Vec::as_slice)
                    && rows.as_u64() == Some(0) =>
            {
                self.class("Permute", &[("dims", json!(axes))])
            }
            "Mean" | "Max" if shape.len() == 3 && self.over_steps() => {
                let class = if self.name == "Mean" {
                    "GlobalAveragePooling1D"
                } else {
                    "GlobalMaxPooling1D"
                };
                self.class(
                    class,
                    &[("keepdims", json!(option("keepdims") == Some(&json!(true))))],
                )
            }
            "LeakyRelu" => self.class(
                "LeakyReLU",
                &[("negative_slope", json!(self.number("negative_slope", 0.2)))],
            ),
            "Elu" => self.class("ELU", &[("alpha", json!(self.number("alpha", 1.0)))]),
            "Softmax" => self.class(
                "Softmax",
                &[("axis", option("axis").cloned().unwrap_or(json!(-1)))],
            ),
            "Gelu" => {
                let gelu = json!({"class_name": "gelu", "config": {"approximate": option("approximate").cloned().unwrap_or(json!(true))}});
                self.class("Activation", &[("activation", gelu)])
            }
            "Clip" => {
                match (
                    self.number("x_min", f64::NAN),
                    self.number("x_max", f64::NAN),
                ) {
                    (0.0, max) if max >= 0.0 => self.class("ReLU", &[("max_value", json!(max))]),
                    (-1.0, 1.0) => self.class("Activation", &[("activation", json!("hard_tanh"))]),
                    _ => Err(self
                        .refused("thumbnet has from 0 to a number, and from -1 to 1; clip there")),
                }
            }
            "Exp" => self.class("Activation", &[("activation", json!("exponential"))]),
            "Identity" => self.class("Identity", &[]),
            "Relu" | "Relu6" | "Tanh" | "Sigmoid" | "Silu" | "Swish" | "Softplus" | "Softsign"
            | "Selu" | "HardSigmoid" | "HardSilu" | "HardTanh" | "LogSigmoid" | "TanhShrink"
            | "SparsePlus" | "SparseSigmoid" => {
                let name = crate::keras::snake_case(self.name);
                let name = if name == "swish" {
                    "silu".to_string()
                } else {
                    name
                };
                match name.parse::<Activation>() {
                    Ok(_) => self.class("Activation", &[("activation", json!(name))]),
                    Err(_) => Err(self.unknown()),
                }
            }
            _ => Err(self.unknown()),
        }
    }

    fn over_steps(&self) -> bool {
        let axis = &self.config["axis"];
        let axis = axis
            .as_array()
            .filter(|list| list.len() == 1)
            .map_or(axis, |list| &list[0]);
        matches!(axis.as_i64(), Some(1 | -2))
    }

    fn number(&self, key: &str, default: f64) -> f64 {
        self.config[key].as_f64().unwrap_or(default)
    }

    fn unknown(&self) -> Error {
        self.refused(
            "thumbnet does not have; it has +, -, * and / by a number, slices and Keras' activations: put the operation before the model, or train one without it",
        )
    }
}

/// Slices of Keras 2 are dictionaries.
fn key_of_keras_3(key: &Value) -> Value {
    match key {
        Value::Array(list) => list.iter().map(key_of_keras_3).collect(),
        Value::Object(object) if object.contains_key("start") => {
            json!({"class_name": "__slice__", "config": key})
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keras_3(class: &str, config: Value, arguments: &[Value]) -> Value {
        let tensor = json!({"class_name": "__keras_tensor__", "config":
            {"shape": [null, 4], "dtype": "float32", "keras_history": ["in", 0, 0]}});
        let arguments: Vec<Value> = arguments
            .iter()
            .map(|argument| {
                if argument == "x" {
                    tensor.clone()
                } else {
                    argument.clone()
                }
            })
            .collect();
        json!({"module": "keras.src.ops.numpy", "class_name": class, "config": config,
            "inbound_nodes": [{"args": arguments, "kwargs": {}}]})
    }

    #[test]
    fn a_number_beside_a_tensor_is_a_rescaling() {
        let name = || json!({"name": "op"});
        let x = json!("x");
        for (class, arguments, scale, offset) in [
            (
                "TrueDivide",
                [x.clone(), json!(4.0)],
                json!(0.25),
                json!(0.0),
            ),
            ("Add", [json!(2), x.clone()], json!(1.0), json!(2.0)),
            ("Subtract", [x.clone(), json!(2.0)], json!(1.0), json!(-2.0)),
            ("Subtract", [json!(2.0), x.clone()], json!(-1.0), json!(2.0)),
            (
                "Multiply",
                [
                    x.clone(),
                    json!({"class_name": "__numpy__", "config": {"value": [[1.0, 2.0]]}}),
                ],
                json!([1.0, 2.0]),
                json!(0.0),
            ),
        ] {
            let layer = as_layer(&keras_3(class, name(), &arguments))
                .unwrap()
                .unwrap();
            assert_eq!(
                layer,
                (
                    "Rescaling",
                    json!({"name": "op", "scale": scale, "offset": offset})
                )
            );
        }
        let keras_2 = json!({"class_name": "TFOpLambda", "config": {"name": "op", "function": "math.subtract"},
            "inbound_nodes": [["_CONSTANT_VALUE", -1, 1.0, {"y": ["in", 0, 0], "name": null}]]});
        let layer = as_layer(&keras_2).unwrap().unwrap();
        assert_eq!(layer.1, json!({"name": "op", "scale": -1.0, "offset": 1.0}));
    }

    #[test]
    fn what_is_no_layer_is_refused_by_name() {
        let refused = |entry: Value| as_layer(&entry).unwrap_err().to_string();
        assert_eq!(
            refused(keras_3("Sin", json!({"name": "sin"}), &[json!("x")])),
            "operation \"sin\" is Sin, which thumbnet does not have; it has +, -, * and / by a number, slices and Keras' activations: put the operation before the model, or train one without it"
        );
        // 1 / x is no Rescaling.
        assert!(
            refused(keras_3(
                "TrueDivide",
                json!({"name": "d"}),
                &[json!(1.0), json!("x")]
            ))
            .contains("TrueDivide")
        );
        let mut whole = keras_3("Add", json!({"name": "add"}), &[json!("x"), json!(200)]);
        whole["inbound_nodes"][0]["args"][0]["config"]["dtype"] = json!("uint8");
        assert_eq!(
            refused(whole),
            "operation \"add\" is Add, which computes with integers; cast its input to float32 first"
        );
    }
}
