//! First values of weights. With a seed, they are Keras' own (TensorFlow backend), bit for bit but
//! for the last places of sine, cosine and logarithm.

mod orthogonal;
mod philox;

use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::keras::{Object, check_keys, entries, folded, serialized, unknown};
use crate::{Error, Result};
use orthogonal::orthogonal_factor;
pub use philox::Philox;

/// An initializer, with Keras' names and defaults. `seed` defaults to none: the model's own.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Initializer {
    /// Uniform within ±√(6 / (fan_in + fan_out)): the default of kernels.
    GlorotUniform {
        /// Seed of the random numbers.
        seed: Option<u64>,
    },
    /// Truncated normal of variance 2 / (fan_in + fan_out).
    GlorotNormal {
        /// Seed of the random numbers.
        seed: Option<u64>,
    },
    /// Uniform within ±√(6 / fan_in).
    HeUniform {
        /// Seed of the random numbers.
        seed: Option<u64>,
    },
    /// Truncated normal of variance 2 / fan_in.
    HeNormal {
        /// Seed of the random numbers.
        seed: Option<u64>,
    },
    /// Uniform within ±√(3 / fan_in).
    LecunUniform {
        /// Seed of the random numbers.
        seed: Option<u64>,
    },
    /// Truncated normal of variance 1 / fan_in.
    LecunNormal {
        /// Seed of the random numbers.
        seed: Option<u64>,
    },
    /// Uniform in [`minval`, `maxval`), by default ±0.05.
    RandomUniform {
        /// Lower limit, which is drawn; -0.05 by default.
        minval: f64,
        /// Upper limit, which is not drawn; 0.05 by default.
        maxval: f64,
        /// Seed of the random numbers.
        seed: Option<u64>,
    },
    /// Normal, by default of mean 0 and deviation 0.05.
    RandomNormal {
        /// Mean; 0 by default.
        mean: f64,
        /// Standard deviation; 0.05 by default.
        stddev: f64,
        /// Seed of the random numbers.
        seed: Option<u64>,
    },
    /// Normal before values beyond two deviations are redrawn; by default of mean 0, deviation 0.05.
    TruncatedNormal {
        /// Mean before the redrawing; 0 by default.
        mean: f64,
        /// Standard deviation before the redrawing; 0.05 by default.
        stddev: f64,
        /// Seed of the random numbers.
        seed: Option<u64>,
    },
    /// A matrix with orthogonal columns (or rows, whichever are fewer) of length `gain` (1).
    Orthogonal {
        /// Length of the columns or rows; 1 by default.
        gain: f64,
        /// Seed of the random numbers.
        seed: Option<u64>,
    },
    /// Variance `scale / n`, n by `mode`; defaults to 1, fan_in, truncated normal.
    VarianceScaling {
        /// Factor of the variance, above 0; 1 by default.
        scale: f64,
        /// What it is divided by; fan_in by default.
        mode: FanMode,
        /// Shape of the distribution; truncated normal by default.
        distribution: Distribution,
        /// Seed of the random numbers.
        seed: Option<u64>,
    },
    /// All 0: the default of biases.
    Zeros,
    /// All 1.
    Ones,
    /// All `value` (0).
    Constant {
        /// Value of every weight; 0 by default.
        value: f64,
    },
    /// `gain` (1) on the diagonal of a matrix, 0 elsewhere.
    Identity {
        /// Value on the diagonal; 1 by default.
        gain: f64,
    },
}

/// What a variance is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanMode {
    /// Inputs of a unit.
    FanIn,
    /// Outputs of an input.
    FanOut,
    /// The mean of both.
    FanAvg,
}

/// The distribution of an [`Initializer::VarianceScaling`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Uniform around 0.
    Uniform,
    /// Normal, values beyond two standard deviations redrawn.
    TruncatedNormal,
    /// Normal.
    UntruncatedNormal,
}

/// Standard deviation of a standard normal truncated at ±2 (Keras' own digits).
const TRUNCATED_DEVIATION: f64 = 0.879_625_661_034_239_8;

/// Keras' names; those of `from_config` are compared without case and underscores.
const NAMES: [&str; 15] = [
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "random_uniform",
    "random_normal",
    "truncated_normal",
    "orthogonal",
    "variance_scaling",
    "zeros",
    "ones",
    "constant",
    "identity",
];

impl Initializer {
    /// A name, Keras' serialized form, of Keras 2 or 3, or `null`, which Keras takes as its default.
    ///
    /// # Errors
    ///
    /// An unknown name, or an entry of the wrong type or out of range.
    pub fn from_config(value: &Value) -> Result<Self> {
        let initializer = Self::read(value)?;
        if let Some(object) = Object::parse_builtin(value, "initializer")? {
            let own = initializer.config();
            let also = ["dtype", "input_axes", "output_axes", "partition"];
            let (class, config) = (object.class_name, object.config);
            check_keys("initializer", class, config, &own["config"], &also)?;
        }
        Ok(initializer)
    }

    fn read(value: &Value) -> Result<Self> {
        let Some(object) = Object::parse_builtin(value, "initializer")? else {
            return Ok(Self::GlorotUniform { seed: None });
        };
        if object.get("input_axes").is_some() || object.get("output_axes").is_some() {
            return Err(Error::unsupported(format!(
                "initializer {} has input_axes or output_axes, which thumbnet does not know; remove them",
                object.class_name
            )));
        }
        let seed = seed(&object)?;
        let name = folded(object.class_name);
        Ok(match name.strip_suffix("v2").unwrap_or(&name) {
            "glorotuniform" => Self::GlorotUniform { seed },
            "glorotnormal" => Self::GlorotNormal { seed },
            "heuniform" => Self::HeUniform { seed },
            "henormal" => Self::HeNormal { seed },
            "lecununiform" => Self::LecunUniform { seed },
            "lecunnormal" => Self::LecunNormal { seed },
            "randomuniform" | "uniform" => Self::RandomUniform {
                minval: object.number_or("minval", -0.05)?,
                maxval: object.number_or("maxval", 0.05)?,
                seed,
            },
            "randomnormal" | "normal" => Self::RandomNormal {
                mean: object.number_or("mean", 0.0)?,
                stddev: object.number_or("stddev", 0.05)?,
                seed,
            },
            "truncatednormal" => Self::TruncatedNormal {
                mean: object.number_or("mean", 0.0)?,
                stddev: object.number_or("stddev", 0.05)?,
                seed,
            },
            "orthogonal" | "orthogonalinitializer" => Self::Orthogonal {
                gain: object.number_or("gain", 1.0)?,
                seed,
            },
            "variancescaling" => Self::variance_scaling(&object, seed)?,
            "zeros" | "zero" => Self::Zeros,
            "ones" | "one" => Self::Ones,
            "constant" => Self::Constant {
                value: object
                    .number("value")?
                    .ok_or_else(|| object.bad("value", &Value::Null, "a number"))?,
            },
            "identity" | "identityinitializer" => Self::Identity {
                gain: object.number_or("gain", 1.0)?,
            },
            _ => return Err(unknown("initializer", object.class_name, &NAMES)),
        })
    }

    fn variance_scaling(object: &Object, seed: Option<u64>) -> Result<Self> {
        let scale = object.number_or("scale", 1.0)?;
        if scale.is_nan() || scale <= 0.0 {
            return Err(Error::value(format!(
                "scale of initializer VarianceScaling is {scale}, expected a number above 0"
            )));
        }
        let bad = |key: &str, value: &str, expected: &str| {
            Error::value(format!(
                "{key} of initializer VarianceScaling is \"{value}\", expected {expected}"
            ))
        };
        let mode = match object.text_or("mode", "fan_in")? {
            "fan_in" => FanMode::FanIn,
            "fan_out" => FanMode::FanOut,
            "fan_avg" => FanMode::FanAvg,
            other => return Err(bad("mode", other, "fan_in, fan_out or fan_avg")),
        };
        let distribution = object.text_or("distribution", "truncated_normal")?;
        let distribution = match distribution.to_lowercase().as_str() {
            "uniform" => Distribution::Uniform,
            "normal" | "truncated_normal" => Distribution::TruncatedNormal,
            "untruncated_normal" => Distribution::UntruncatedNormal,
            other => {
                return Err(bad(
                    "distribution",
                    other,
                    "uniform, truncated_normal or untruncated_normal",
                ));
            }
        };
        Ok(Self::VarianceScaling {
            scale,
            mode,
            distribution,
            seed,
        })
    }

    /// Keras 3's serialized form.
    pub fn config(&self) -> Value {
        let none = Map::new;
        let fan = |seed: &Option<u64>| {
            entries([
                ("seed", json!(seed)),
                ("input_axes", Value::Null),
                ("output_axes", Value::Null),
            ])
        };
        let normal = |seed: &Option<u64>, mean: &f64, stddev: &f64| {
            entries([
                ("seed", json!(seed)),
                ("mean", json!(mean)),
                ("stddev", json!(stddev)),
            ])
        };
        let (name, config) = match self {
            Self::Zeros => ("Zeros", none()),
            Self::Ones => ("Ones", none()),
            Self::Constant { value } => ("Constant", entries([("value", json!(value))])),
            // Keras forgets the gain; it takes one when it is given.
            Self::Identity { gain: 1.0 } => ("Identity", none()),
            Self::Identity { gain } => ("Identity", entries([("gain", json!(gain))])),
            Self::GlorotUniform { seed } => ("GlorotUniform", fan(seed)),
            Self::GlorotNormal { seed } => ("GlorotNormal", fan(seed)),
            Self::HeUniform { seed } => ("HeUniform", fan(seed)),
            Self::HeNormal { seed } => ("HeNormal", fan(seed)),
            Self::LecunUniform { seed } => ("LecunUniform", fan(seed)),
            Self::LecunNormal { seed } => ("LecunNormal", fan(seed)),
            Self::VarianceScaling {
                scale,
                mode,
                distribution,
                seed,
            } => {
                let mode = match mode {
                    FanMode::FanIn => "fan_in",
                    FanMode::FanOut => "fan_out",
                    FanMode::FanAvg => "fan_avg",
                };
                let distribution = match distribution {
                    Distribution::Uniform => "uniform",
                    Distribution::TruncatedNormal => "truncated_normal",
                    Distribution::UntruncatedNormal => "untruncated_normal",
                };
                let config = entries([
                    ("seed", json!(seed)),
                    ("scale", json!(scale)),
                    ("mode", json!(mode)),
                    ("distribution", json!(distribution)),
                    ("input_axes", Value::Null),
                    ("output_axes", Value::Null),
                ]);
                ("VarianceScaling", config)
            }
            Self::RandomUniform {
                minval,
                maxval,
                seed,
            } => {
                let config = entries([
                    ("seed", json!(seed)),
                    ("minval", json!(minval)),
                    ("maxval", json!(maxval)),
                ]);
                ("RandomUniform", config)
            }
            Self::RandomNormal { mean, stddev, seed } => {
                ("RandomNormal", normal(seed, mean, stddev))
            }
            Self::TruncatedNormal { mean, stddev, seed } => {
                ("TruncatedNormal", normal(seed, mean, stddev))
            }
            Self::Orthogonal { gain, seed } => {
                let config = entries([("seed", json!(seed)), ("gain", json!(gain))]);
                ("Orthogonal", config)
            }
        };
        serialized("keras.initializers", name, Value::Object(config))
    }

    /// The initializer's own seed.
    pub fn seed(&self) -> Option<u64> {
        match self {
            Self::GlorotUniform { seed }
            | Self::GlorotNormal { seed }
            | Self::HeUniform { seed }
            | Self::HeNormal { seed }
            | Self::LecunUniform { seed }
            | Self::LecunNormal { seed }
            | Self::RandomUniform { seed, .. }
            | Self::RandomNormal { seed, .. }
            | Self::TruncatedNormal { seed, .. }
            | Self::Orthogonal { seed, .. }
            | Self::VarianceScaling { seed, .. } => *seed,
            Self::Zeros | Self::Ones | Self::Constant { .. } | Self::Identity { .. } => None,
        }
    }

    /// Whether values depend on a seed.
    pub fn is_random(&self) -> bool {
        !matches!(
            self,
            Self::Zeros | Self::Ones | Self::Constant { .. } | Self::Identity { .. }
        )
    }

    /// Whether weights of this shape can be made.
    ///
    /// # Errors
    ///
    /// `Orthogonal` with less than two axes, `Identity` with other than two.
    pub fn check(&self, shape: &[usize]) -> Result<()> {
        let (name, expected) = match self {
            Self::Orthogonal { .. } if shape.len() < 2 => ("Orthogonal", "at least two axes"),
            Self::Identity { .. } if shape.len() != 2 => ("Identity", "two axes"),
            _ => return Ok(()),
        };
        Err(Error::shape(format!(
            "initializer {name} for weights of shape {shape:?}, expected {expected}; use another one here"
        )))
    }

    /// Values for weights of `shape` (see [`Initializer::check`]), row-major. `seed` counts only if
    /// the initializer has none of its own.
    pub fn sample(&self, shape: &[usize], seed: u64) -> Vec<f32> {
        let len = shape.iter().product();
        let philox = Philox::new(self.seed().unwrap_or(seed));
        match *self {
            Self::Zeros => vec![0.0; len],
            Self::Ones => vec![1.0; len],
            Self::Constant { value } => vec![value as f32; len],
            Self::Identity { gain } => {
                let columns = shape.last().copied().unwrap_or(1);
                (0..len)
                    .map(|i| {
                        let on_diagonal = i / columns == i % columns;
                        if on_diagonal { gain as f32 } else { 0.0 }
                    })
                    .collect()
            }
            Self::RandomUniform { minval, maxval, .. } => {
                let (minval, maxval) = (minval as f32, maxval as f32);
                scaled(philox.uniform(len), maxval - minval, minval)
            }
            Self::RandomNormal { mean, stddev, .. } => {
                scaled(philox.normal(len), stddev as f32, mean as f32)
            }
            Self::TruncatedNormal { mean, stddev, .. } => {
                scaled(philox.truncated_normal(len), stddev as f32, mean as f32)
            }
            Self::Orthogonal { gain, .. } => orthogonal(philox, shape, gain as f32),
            Self::VarianceScaling {
                scale,
                mode,
                distribution,
                ..
            } => variance_scaled(philox, shape, scale, mode, distribution),
            Self::GlorotUniform { .. } => {
                variance_scaled(philox, shape, 1.0, FanMode::FanAvg, Distribution::Uniform)
            }
            Self::GlorotNormal { .. } => variance_scaled(
                philox,
                shape,
                1.0,
                FanMode::FanAvg,
                Distribution::TruncatedNormal,
            ),
            Self::HeUniform { .. } => {
                variance_scaled(philox, shape, 2.0, FanMode::FanIn, Distribution::Uniform)
            }
            Self::HeNormal { .. } => variance_scaled(
                philox,
                shape,
                2.0,
                FanMode::FanIn,
                Distribution::TruncatedNormal,
            ),
            Self::LecunUniform { .. } => {
                variance_scaled(philox, shape, 1.0, FanMode::FanIn, Distribution::Uniform)
            }
            Self::LecunNormal { .. } => variance_scaled(
                philox,
                shape,
                1.0,
                FanMode::FanIn,
                Distribution::TruncatedNormal,
            ),
        }
    }
}

impl FromStr for Initializer {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::from_config(&Value::from(name))
    }
}

/// `seed` of a config: a number, or nothing. A `SeedGenerator` counts as its own seed.
fn seed(object: &Object) -> Result<Option<u64>> {
    let Some(value) = object.get("seed") else {
        return Ok(None);
    };
    if let Some(seed) = value.pointer("/config/seed").filter(|_| {
        value
            .get("class_name")
            .is_some_and(|n| n == "SeedGenerator")
    }) {
        return Ok(seed.as_u64());
    }
    match value.as_i64() {
        // Keras wraps negative seeds as Python's % does.
        Some(seed) => Ok(Some(
            seed.rem_euclid(i64::from(i32::MAX) - 1).unsigned_abs(),
        )),
        None => object.integer("seed"),
    }
}

fn variance_scaled(
    philox: Philox,
    shape: &[usize],
    scale: f64,
    mode: FanMode,
    distribution: Distribution,
) -> Vec<f32> {
    let len = shape.iter().product();
    let (fan_in, fan_out) = fans(shape);
    let fan = match mode {
        FanMode::FanIn => fan_in,
        FanMode::FanOut => fan_out,
        FanMode::FanAvg => (fan_in + fan_out) / 2.0,
    };
    let variance = scale / fan.max(1.0);
    match distribution {
        Distribution::Uniform => {
            let limit = (3.0 * variance).sqrt() as f32;
            scaled(philox.uniform(len), limit - -limit, -limit)
        }
        Distribution::TruncatedNormal => {
            let stddev = variance.sqrt() / TRUNCATED_DEVIATION;
            scaled(philox.truncated_normal(len), stddev as f32, 0.0)
        }
        Distribution::UntruncatedNormal => scaled(philox.normal(len), variance.sqrt() as f32, 0.0),
    }
}

/// Inputs and outputs: of a kernel (in, units); other shapes as Keras' `compute_fans`.
fn fans(shape: &[usize]) -> (f64, f64) {
    match *shape {
        [] => (1.0, 1.0),
        [len] => (len as f64, len as f64),
        [ref field @ .., fan_in, fan_out] => {
            let field = field.iter().product::<usize>() as f64;
            (fan_in as f64 * field, fan_out as f64 * field)
        }
    }
}

fn orthogonal(philox: Philox, shape: &[usize], gain: f32) -> Vec<f32> {
    let columns = shape.last().copied().unwrap_or(1);
    let len: usize = shape.iter().product();
    let rows = len.checked_div(columns).unwrap_or(0);
    let (long, short) = (rows.max(columns), rows.min(columns));
    let q = orthogonal_factor(&philox.normal(len), long, short);
    let q = if rows < columns {
        // Transposed: `short` rows of `long`.
        (0..len).map(|i| q[i % long * short + i / long]).collect()
    } else {
        q
    };
    scaled(q, gain, 0.0)
}

fn scaled(mut values: Vec<f32>, scale: f32, offset: f32) -> Vec<f32> {
    values.iter_mut().for_each(|v| *v = *v * scale + offset);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glorot_uniform_stays_within_its_limit() {
        // √(6 / (784 + 512)) = 0.068041.
        let values = Initializer::GlorotUniform { seed: None }.sample(&[784, 512], 3);
        let largest = values.iter().fold(0f32, |a, v| a.max(v.abs()));
        assert!((0.0680..0.068_042).contains(&largest), "{largest}");
    }

    #[test]
    fn a_wide_orthogonal_matrix_has_orthogonal_rows() {
        let w = Initializer::Orthogonal {
            gain: 2.0,
            seed: Some(1),
        }
        .sample(&[2, 3], 0);
        let dot = |a: usize, b: usize| -> f32 { (0..3).map(|i| w[a * 3 + i] * w[b * 3 + i]).sum() };
        // Rows of length 2 at right angles; sums of three float32 products round by 1e-6.
        for (a, b, expected) in [(0, 0, 4.0), (1, 1, 4.0), (0, 1, 0.0)] {
            assert!((dot(a, b) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn names_of_keras_2_and_3_are_known() {
        for (name, class_name) in [
            ("glorot_uniform", "GlorotUniform"),
            ("VarianceScaling", "VarianceScaling"),
            ("normal", "RandomNormal"),
            ("one", "Ones"),
        ] {
            let initializer: Initializer = name.parse().expect(name);
            assert_eq!(initializer.config()["class_name"], class_name);
        }
        assert!(
            "glorot"
                .parse::<Initializer>()
                .expect_err("no such name")
                .to_string()
                .starts_with("unknown initializer \"glorot\", expected one of glorot_uniform, ")
        );
    }
}
