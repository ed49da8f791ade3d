//! Layers that only change the shape, or nothing: `Flatten`, `Reshape`, `Identity`,
//! `ActivityRegularization`, and the input.

use serde_json::{Map, Value, json};

use super::arguments::Config;
use super::base::{Backward, Base, Built, Flow, Forward, OnDevice, Op, layer_options, op_base};
use crate::regularizers::Regularizer;
use crate::{Error, Result};

/// The shape and name of a model's input.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Shape of one sample.
    pub shape: Vec<usize>,
    /// Fixed number of rows. Defaults to any.
    pub batch_size: Option<usize>,
    /// As in the config. Values are float32 in any case: of a type of integers they must be whole and
    /// in its range, where Keras cuts them off. Defaults to `float32`.
    pub dtype: String,
    /// Name and the like.
    pub base: Base,
}

/// All axes but the batch axis become one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Flatten {
    /// Name, trainable and the like.
    pub base: Base,
}

/// The same values in another shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Reshape {
    /// Shape of one sample; one axis may be -1.
    pub target_shape: Vec<i64>,
    /// Name, trainable and the like.
    pub base: Base,
}

/// Passes its input on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// Name, trainable and the like.
    pub base: Base,
}

/// Passes its input on and adds a penalty on it to the loss.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivityRegularization {
    /// Defaults to 0.
    pub l1: f64,
    /// Defaults to 0.
    pub l2: f64,
    /// Name, trainable and the like; the regularizer itself is in here.
    pub base: Base,
}

layer_options!(Input);
layer_options!(Flatten);
layer_options!(Reshape);
layer_options!(Identity);
layer_options!(ActivityRegularization);

impl Input {
    /// Samples of this shape, any number of them.
    pub fn new(shape: impl Into<Vec<usize>>) -> Self {
        Self {
            shape: shape.into(),
            batch_size: None,
            dtype: "float32".to_string(),
            base: Base::default(),
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        let shape = config
            .get("batch_shape")
            .or_else(|| config.get("batch_input_shape"))
            .ok_or_else(|| config.error("batch_shape", "a list such as [null, 4]"))?;
        let dtype = config.string("dtype")?.unwrap_or("float32".into());
        if !matches!(dtype.as_str(), "float32" | "float64") && whole_numbers(&dtype).is_none() {
            return Err(config.error(
                "dtype",
                "float32, float64, bool or a type of integers; rebuild the model with an input of float32",
            ));
        }
        Ok(Self {
            shape: config.sample_shape(shape)?,
            batch_size: shape[0].as_u64().map(|v| v as usize), // 64-bit hosts
            dtype,
            base: Base {
                name: config.string("name")?,
                ..Base::default()
            },
        })
    }

    /// Whether it takes whole numbers only.
    pub(crate) fn is_whole(&self) -> bool {
        whole_numbers(&self.dtype).is_some()
    }

    /// Refuses values that Keras would change on their way into an input of integers.
    pub(crate) fn check_values(&self, values: &[f32]) -> Result<()> {
        let Some((least, most)) = whole_numbers(&self.dtype) else {
            return Ok(());
        };
        let fits = |&value: &f32| value.fract() == 0.0 && (least..=most).contains(&value.into());
        match values.iter().position(|value| !fits(value)) {
            None => Ok(()),
            Some(place) => Err(Error::value(format!(
                "x holds {} in data row {}, expected whole numbers from {least} to {most} for an input of dtype {}; give values of that type, or rebuild the model with an input of float32",
                values[place],
                place / self.shape.iter().product::<usize>().max(1) + 1,
                self.dtype
            ))),
        }
    }

    /// `[null, 4]`
    pub(crate) fn batch_shape(&self) -> Value {
        batch_shape(self.batch_size, &self.shape)
    }
}

/// Which whole numbers a type of integers holds; none for types of fractions.
fn whole_numbers(dtype: &str) -> Option<(f64, f64)> {
    let bits = |bits: i32| 2.0_f64.powi(bits);
    Some(match dtype {
        "bool" => (0.0, 1.0),
        "uint8" => (0.0, bits(8) - 1.0),
        "uint16" => (0.0, bits(16) - 1.0),
        "uint32" => (0.0, bits(32) - 1.0),
        "uint64" => (0.0, bits(64)),
        "int8" => (-bits(7), bits(7) - 1.0),
        "int16" => (-bits(15), bits(15) - 1.0),
        "int32" => (-bits(31), bits(31) - 1.0),
        "int64" => (-bits(63), bits(63)),
        _ => return None,
    })
}

/// Keras' shape with the batch axis, null when any number of rows goes.
pub(crate) fn batch_shape(batch_size: Option<usize>, sample: &[usize]) -> Value {
    std::iter::once(json!(batch_size))
        .chain(sample.iter().map(|&size| json!(size)))
        .collect()
}

impl Flatten {
    /// All axes but the batch axis become one.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        match config.string("data_format")?.as_deref() {
            None | Some("channels_last") => {}
            Some("channels_first") => {
                return Err(Error::unsupported(
                    "Flatten with data_format \"channels_first\" is not supported, expected \"channels_last\"",
                ));
            }
            Some(_) => return Err(config.error("data_format", "\"channels_last\"")),
        }
        Ok(Self {
            base: Base::from_config(config)?,
        })
    }
}

impl Reshape {
    /// The same values as samples of this shape; one axis may be -1.
    pub fn new(target_shape: impl Into<Vec<i64>>) -> Self {
        Self {
            target_shape: target_shape.into(),
            base: Base::default(),
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        if config
            .get("target_shape")
            .is_some_and(|shape| !shape.is_array())
        {
            return Err(config.error("target_shape", "a list of integers"));
        }
        Ok(Self {
            target_shape: config
                .integers("target_shape")?
                .ok_or_else(|| config.error("target_shape", "a list of integers"))?,
            base: Base::from_config(config)?,
        })
    }
}

impl Identity {
    /// Passes its input on.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        Ok(Self {
            base: Base::from_config(config)?,
        })
    }
}

impl ActivityRegularization {
    /// Adds `l1 * sum(|x|) + l2 * sum(x^2)`, divided by the batch size, to the loss.
    pub fn new(l1: f64, l2: f64) -> Self {
        Self {
            l1,
            l2,
            base: Base {
                activity_regularizer: Some(Regularizer::L1L2 { l1, l2 }),
                ..Base::default()
            },
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        let layer = Self::new(
            config.not_negative("l1", 0.0)?,
            config.not_negative("l2", 0.0)?,
        );
        let base = Base::from_config(config)?;
        if config.get("activity_regularizer").is_some() {
            return Err(config.error("activity_regularizer", "none beside l1 and l2; remove it"));
        }
        Ok(Self {
            base: Base {
                activity_regularizer: layer.base.activity_regularizer,
                ..base
            },
            ..layer
        })
    }
}

/// [`Op`] of a layer that passes the values on.
macro_rules! shape_op {
    ($layer:ident, $self:ident, $config:ident => $extend:expr,
     $input:ident => $output:expr, build_config: $build_config:literal, $($method:tt)*) => {
        impl Op for $layer {
            op_base!();

            fn extend_config(&$self, $config: &mut Map<String, Value>) {
                $extend
            }

            fn has_build_config(&self) -> bool {
                $build_config
            }

            fn output_shape(&$self, $input: &[usize]) -> Result<Vec<usize>> {
                $output
            }

            fn on_device(&self, _built: &Built) -> OnDevice {
                OnDevice::Nothing
            }

            $($method)*

            fn flow(&self, _training: bool) -> Flow {
                Flow::Same
            }

            fn forward(&self, _pass: Forward) {}

            fn backward(&self, _pass: Backward) {}
        }
    };
}

shape_op!(Input, self, _config => (), input => Ok(input.to_vec()),
build_config: false,
fn config(&self) -> Value {
    json!({"batch_shape": self.batch_shape(), "dtype": self.dtype, "sparse": false,
           "ragged": false, "name": self.base.name(), "optional": false})
}

fn other_keys(&self) -> &'static [&'static str] {
    &["sparse", "ragged", "optional"]
});
shape_op!(Flatten, self,
config => { config.insert("data_format".into(), json!("channels_last")); },
input => Ok(vec![input.iter().product()]),
build_config: true,
fn other_keys(&self) -> &'static [&'static str] {
    &["data_format"]
});
shape_op!(Reshape, self,
    config => { config.insert("target_shape".into(), json!(self.target_shape)); },
    input => reshaped(input, &self.target_shape),
    build_config: false,);
shape_op!(Identity, self, _config => (), input => Ok(input.to_vec()),
build_config: false,
fn shows_logits(&self) -> bool {
    true
});
shape_op!(ActivityRegularization, self,
config => {
    config.shift_remove("activity_regularizer");
    config.insert("l1".into(), json!(self.l1));
    config.insert("l2".into(), json!(self.l2));
},
input => Ok(input.to_vec()),
build_config: false,
fn shows_logits(&self) -> bool {
    true
});

/// Resolves the one -1 of a target shape.
fn reshaped(input: &[usize], target: &[i64]) -> Result<Vec<usize>> {
    let values: usize = input.iter().product();
    let error = || {
        Error::shape(format!(
            "Reshape: samples of shape {input:?} have {values} values, expected as many as target_shape {target:?}; give a target_shape with the same product"
        ))
    };
    let free = target.iter().filter(|&&size| size == -1).count();
    let fixed = target
        .iter()
        .filter(|&&size| size != -1)
        .map(|&size| usize::try_from(size).ok().filter(|&size| size > 0))
        .try_fold(1_usize, |product, size| product.checked_mul(size?))
        .ok_or_else(error)?;
    let fits = match free {
        0 => values == fixed,
        1 => values.is_multiple_of(fixed),
        _ => false,
    };
    if !fits {
        return Err(error());
    }
    let size = |&size: &i64| usize::try_from(size).unwrap_or(values / fixed);
    Ok(target.iter().map(size).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Sequential;

    fn input_of(dtype: &str) -> crate::Result<Sequential> {
        let input = json!({"class_name": "InputLayer",
            "config": {"name": "in", "batch_shape": [null, 2], "dtype": dtype}});
        let identity = json!({"class_name": "Identity", "config": {"name": "same"}});
        let config = json!({"name": "m", "layers": [input, identity]});
        Sequential::from_config("Sequential", &config)
    }

    // Keras cuts 0.5 to 0 for int32, and takes -1 as 255 for uint8.
    #[test]
    fn an_input_of_integers_takes_whole_numbers_in_its_range() {
        let whole = ndarray::arr2(&[[1.0, 0.0], [0.0, 1.0]]);
        for (dtype, wrong, range) in [
            ("int32", 0.5, "-2147483648 to 2147483647"),
            ("uint8", -1.0, "0 to 255"),
            ("int8", 128.0, "-128 to 127"),
            ("bool", 2.0, "0 to 1"),
        ] {
            let model = input_of(dtype).unwrap();
            assert_eq!(model.predict(&whole).unwrap(), whole.clone().into_dyn());
            let mut x = whole.clone();
            x[[1, 0]] = wrong;
            assert_eq!(
                model.predict(&x).unwrap_err().to_string(),
                format!(
                    "x holds {wrong} in data row 2, expected whole numbers from {range} for an input of dtype {dtype}; give values of that type, or rebuild the model with an input of float32"
                )
            );
        }
        assert!(input_of("float64").is_ok());
        let error = input_of("float16").unwrap_err().to_string();
        assert_eq!(
            error,
            "InputLayer \"in\": \"dtype\" is \"float16\", expected float32, float64, bool or a type of integers; rebuild the model with an input of float32"
        );
    }
}
