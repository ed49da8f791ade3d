//! Layers that are random in training and the identity otherwise: `Dropout`, `GaussianNoise`,
//! `GaussianDropout`.

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use super::base::{Backward, Base, Flow, Forward, Op, Scratch, layer_options, op_base};
use super::config::Config;
use crate::{Error, Result};

/// Sets a fraction of its inputs to 0 in training and scales the others by `1 / (1 - rate)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Dropout {
    /// Fraction to drop, `0..=1`.
    pub rate: f64,
    /// Kept for the config; the masks come from the seed of `fit`. Defaults to none.
    pub seed: Option<u64>,
    /// Name, trainable and the like.
    pub base: Base,
}

/// Adds normal noise in training.
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianNoise {
    /// Standard deviation of the noise, `0..=1`.
    pub stddev: f64,
    /// Kept for the config; the noise comes from the seed of `fit`. Defaults to none.
    pub seed: Option<u64>,
    /// Name, trainable and the like.
    pub base: Base,
}

/// Multiplies by normal noise of mean 1 and deviation `sqrt(rate / (1 - rate))` in training.
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianDropout {
    /// As for [`Dropout`], `0..=1`.
    pub rate: f64,
    /// Kept for the config; the noise comes from the seed of `fit`. Defaults to none.
    pub seed: Option<u64>,
    /// Name, trainable and the like.
    pub base: Base,
}

layer_options!(Dropout);
layer_options!(GaussianNoise);
layer_options!(GaussianDropout);

fn between_0_and_1(class: &str, key: &str, value: f64) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(Error::value(format!(
            "{class}: {key} is {value}, expected a number from 0 to 1"
        )))
    }
}

/// Constructor, config and checks, which the three have alike.
macro_rules! noise_layer {
    ($class:ident, $name:literal, $key:ident) => {
        impl $class {
            #[doc = concat!("A layer with this ", stringify!($key), ", checked when it is built.")]
            pub fn new($key: f64) -> Self {
                Self {
                    $key,
                    seed: None,
                    base: Base::default(),
                }
            }

            pub(crate) fn from_config(config: &Config) -> Result<Self> {
                if config.get("noise_shape").is_some() {
                    return Err(config.error("noise_shape", "null: shared masks are not supported"));
                }
                config
                    .get(stringify!($key))
                    .ok_or_else(|| config.error(stringify!($key), "a number from 0 to 1"))?;
                let layer = Self {
                    $key: config.f64(stringify!($key), 0.0)?,
                    seed: config.seed()?,
                    base: Base::from_config(config)?,
                };
                between_0_and_1($name, stringify!($key), layer.$key)?;
                Ok(layer)
            }

            fn active(&self, training: bool) -> Flow {
                if training && self.$key > 0.0 {
                    Flow::InPlace
                } else {
                    Flow::Same
                }
            }
        }
    };
}

noise_layer!(Dropout, "Dropout", rate);
noise_layer!(GaussianNoise, "GaussianNoise", stddev);
noise_layer!(GaussianDropout, "GaussianDropout", rate);

/// Pairs of independent standard normal values (Box and Muller, 1958).
fn fill_normal(rng: &mut ChaCha8Rng, out: &mut [f32]) {
    let mut pair = || {
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        let angle = std::f64::consts::TAU * rng.random::<f64>();
        [radius * angle.cos(), radius * angle.sin()]
    };
    for chunk in out.chunks_mut(2) {
        for (out, normal) in chunk.iter_mut().zip(pair()) {
            *out = normal as f32; // the noise is f32
        }
    }
}

impl Op for Dropout {
    op_base!("Dropout");

    fn extend_config(&self, config: &mut Map<String, Value>) {
        config.insert("rate".into(), json!(self.rate));
        config.insert("seed".into(), json!(self.seed));
        config.insert("noise_shape".into(), Value::Null);
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        between_0_and_1("Dropout", "rate", self.rate)?;
        Ok(input.to_vec())
    }

    fn flow(&self, training: bool) -> Flow {
        self.active(training)
    }

    fn scratch_len(&self, pass: &Scratch) -> usize {
        match self.active(pass.training) {
            Flow::Same => 0,
            _ => pass.rows * pass.outputs,
        }
    }

    fn forward(&self, pass: Forward) {
        // The mask holds 0 or the scale, so that both passes are one product.
        let keep = 1.0 - self.rate;
        let scale = if keep > 0.0 { (1.0 / keep) as f32 } else { 0.0 };
        // P(u32 < threshold) = rate, to 2^-32.
        let threshold = (self.rate * 4_294_967_296.0) as u64;
        for mask in pass.scratch.iter_mut() {
            let kept = u64::from(pass.rng.next_u32()) >= threshold;
            *mask = if kept { scale } else { 0.0 };
        }
        for ((y, &x), &mask) in pass.y.iter_mut().zip(pass.x).zip(&*pass.scratch) {
            *y = x * mask;
        }
    }

    fn backward(&self, pass: Backward) {
        for (dy, &mask) in pass.dy.iter_mut().zip(&*pass.scratch) {
            *dy *= mask;
        }
    }
}

impl Op for GaussianNoise {
    op_base!("GaussianNoise");

    fn extend_config(&self, config: &mut Map<String, Value>) {
        config.insert("stddev".into(), json!(self.stddev));
        config.insert("seed".into(), json!(self.seed));
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        between_0_and_1("GaussianNoise", "stddev", self.stddev)?;
        Ok(input.to_vec())
    }

    fn flow(&self, training: bool) -> Flow {
        self.active(training)
    }

    fn forward(&self, pass: Forward) {
        let stddev = self.stddev as f32; // the noise is f32
        fill_normal(pass.rng, pass.y);
        for (y, &x) in pass.y.iter_mut().zip(pass.x) {
            *y = x + stddev * *y;
        }
    }

    fn backward(&self, _pass: Backward) {}
}

impl Op for GaussianDropout {
    op_base!("GaussianDropout");

    fn extend_config(&self, config: &mut Map<String, Value>) {
        config.insert("rate".into(), json!(self.rate));
        config.insert("seed".into(), json!(self.seed));
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        between_0_and_1("GaussianDropout", "rate", self.rate)?;
        Ok(input.to_vec())
    }

    fn flow(&self, training: bool) -> Flow {
        self.active(training)
    }

    fn scratch_len(&self, pass: &Scratch) -> usize {
        match self.active(pass.training) {
            Flow::Same => 0,
            _ => pass.rows * pass.outputs,
        }
    }

    fn forward(&self, pass: Forward) {
        let stddev = (self.rate / (1.0 - self.rate)).sqrt() as f32; // the noise is f32
        fill_normal(pass.rng, pass.scratch);
        for ((y, &x), noise) in pass.y.iter_mut().zip(pass.x).zip(pass.scratch) {
            *noise = 1.0 + stddev * *noise;
            *y = x * *noise;
        }
    }

    fn backward(&self, pass: Backward) {
        for (dy, &noise) in pass.dy.iter_mut().zip(&*pass.scratch) {
            *dy *= noise;
        }
    }
}
