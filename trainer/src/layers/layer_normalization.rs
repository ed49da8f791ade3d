//! `LayerNormalization` and `UnitNormalization`: each sample by its own mean, variance or length.

use std::ops::Range;

use serde_json::{Map, Value, json};

use super::base::{Backward, Base, Flow, Forward, Op, Scratch, Weight, Weights};
use super::base::{layer_options, op_base, sample_axis};
use super::config::Config;
use crate::constraints::Constraint;
use crate::initializers::Initializer;
use crate::regularizers::Regularizer;
use crate::{Error, Result};

/// Mean 0 and variance 1 over the last axes of each sample, then a learnt scale and offset.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNormalization {
    /// The axes to normalize over, the last ones. Defaults to `[-1]`.
    pub axis: Vec<i64>,
    /// Added to the variance. Defaults to 0.001.
    pub epsilon: f64,
    /// Whether there is an offset, beta. Defaults to true.
    pub center: bool,
    /// Whether there is a scale, gamma. Defaults to true.
    pub scale: bool,
    /// Defaults to zeros.
    pub beta_initializer: Initializer,
    /// Defaults to ones.
    pub gamma_initializer: Initializer,
    /// Defaults to none.
    pub beta_regularizer: Option<Regularizer>,
    /// Defaults to none.
    pub gamma_regularizer: Option<Regularizer>,
    /// Defaults to none.
    pub beta_constraint: Option<Constraint>,
    /// Defaults to none.
    pub gamma_constraint: Option<Constraint>,
    /// Name, trainable and the like.
    pub base: Base,
    #[doc(hidden)]
    pub built: Built,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Built {
    /// Values normalized together; 0 before the layer is built.
    group: usize,
    gamma: Option<Range<usize>>,
    beta: Option<Range<usize>>,
}

/// Divides the last axes of each sample by their Euclidean length.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitNormalization {
    /// The axes to normalize over, the last ones. Defaults to `[-1]`.
    pub axis: Vec<i64>,
    /// Name, trainable and the like.
    pub base: Base,
    #[doc(hidden)]
    pub group: usize,
}

layer_options!(LayerNormalization);
layer_options!(UnitNormalization);

/// The sizes of the axes normalized over, which must be the last ones.
fn normalized(axis: &[i64], input: &[usize], class: &str) -> Result<Vec<usize>> {
    let axes = axis.iter().map(|&axis| sample_axis(axis, input, class));
    let mut axes = axes.collect::<Result<Vec<_>>>()?;
    axes.sort_unstable();
    if axes.is_empty()
        || !axes
            .iter()
            .copied()
            .eq(input.len() - axes.len()..input.len())
    {
        return Err(Error::unsupported(format!(
            "{class} over axis {axis:?} of inputs of rank {} is not supported, expected the last axes, such as -1; reshape so that they come last",
            input.len() + 1
        )));
    }
    Ok(axes.iter().map(|&axis| input[axis]).collect())
}

impl Default for LayerNormalization {
    fn default() -> Self {
        Self::new()
    }
}

impl LayerNormalization {
    /// Normalizes over the last axis.
    pub fn new() -> Self {
        Self {
            axis: vec![-1],
            epsilon: 1e-3,
            center: true,
            scale: true,
            beta_initializer: Initializer::Zeros,
            gamma_initializer: Initializer::Ones,
            beta_regularizer: None,
            gamma_regularizer: None,
            beta_constraint: None,
            gamma_constraint: None,
            base: Base::default(),
            built: Built::default(),
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        if config.bool("rms_scaling", false)? {
            return Err(Error::unsupported(
                "LayerNormalization with rms_scaling is not supported, expected false",
            ));
        }
        Ok(Self {
            axis: config.integers("axis")?.unwrap_or(vec![-1]),
            epsilon: config.f64("epsilon", 1e-3)?,
            center: config.bool("center", true)?,
            scale: config.bool("scale", true)?,
            beta_initializer: config.initializer("beta_initializer", Initializer::Zeros)?,
            gamma_initializer: config.initializer("gamma_initializer", Initializer::Ones)?,
            beta_regularizer: config.regularizer("beta_regularizer")?,
            gamma_regularizer: config.regularizer("gamma_regularizer")?,
            beta_constraint: config.constraint("beta_constraint")?,
            gamma_constraint: config.constraint("gamma_constraint")?,
            base: Base::from_config(config)?,
            built: Built::default(),
        })
    }
}

/// `-1` before the layer is built and `[-1]` after it, as Keras has it.
fn axis_config(axis: &[i64], built: bool) -> Value {
    match axis {
        [axis] if !built => json!(axis),
        axis => json!(axis),
    }
}

impl Op for LayerNormalization {
    op_base!("LayerNormalization");

    fn extend_config(&self, config: &mut Map<String, Value>) {
        let entries = [
            ("axis", axis_config(&self.axis, self.built.group > 0)),
            ("epsilon", json!(self.epsilon)),
            ("center", json!(self.center)),
            ("scale", json!(self.scale)),
            ("rms_scaling", json!(false)),
            ("beta_initializer", self.beta_initializer.config()),
            ("gamma_initializer", self.gamma_initializer.config()),
            (
                "beta_regularizer",
                super::regularizer_config(&self.beta_regularizer),
            ),
            (
                "gamma_regularizer",
                super::regularizer_config(&self.gamma_regularizer),
            ),
            (
                "beta_constraint",
                super::constraint_config(&self.beta_constraint),
            ),
            (
                "gamma_constraint",
                super::constraint_config(&self.gamma_constraint),
            ),
        ];
        config.extend(entries.map(|(key, value)| (key.to_string(), value)));
    }

    fn has_build_config(&self) -> bool {
        true
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        normalized(&self.axis, input, "LayerNormalization")?;
        Ok(input.to_vec())
    }

    fn build(&mut self, input: &[usize], weights: &mut Weights) -> Result<()> {
        let shape = normalized(&self.axis, input, "LayerNormalization")?;
        let gamma = self
            .scale
            .then(|| {
                let gamma = Weight {
                    regularizer: self.gamma_regularizer.clone(),
                    constraint: self.gamma_constraint.clone(),
                    ..Weight::new("gamma", &self.gamma_initializer)
                };
                weights.add(gamma, &shape)
            })
            .transpose()?;
        let beta = self
            .center
            .then(|| {
                let beta = Weight {
                    regularizer: self.beta_regularizer.clone(),
                    constraint: self.beta_constraint.clone(),
                    ..Weight::new("beta", &self.beta_initializer)
                };
                weights.add(beta, &shape)
            })
            .transpose()?;
        self.built = Built {
            group: shape.iter().product(),
            gamma,
            beta,
        };
        Ok(())
    }

    fn flow(&self, _training: bool) -> Flow {
        Flow::InPlace
    }

    fn scratch_len(&self, pass: &Scratch) -> usize {
        // Mean and 1 / deviation of every group.
        2 * pass.rows * pass.outputs / self.built.group.max(1)
    }

    fn forward(&self, pass: Forward) {
        let group = self.built.group;
        let epsilon = self.epsilon as f32; // Keras computes in f32, too
        let weights = |range: &Option<Range<usize>>| range.clone().map(|range| &pass.values[range]);
        let (gamma, beta) = (weights(&self.built.gamma), weights(&self.built.beta));
        let rows = pass
            .y
            .chunks_exact_mut(group)
            .zip(pass.x.chunks_exact(group));
        for ((y, x), stats) in rows.zip(pass.scratch.chunks_exact_mut(2)) {
            let mean = x.iter().sum::<f32>() / group as f32; // a small count
            let squares = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>();
            let inverse = 1.0 / (squares / group as f32 + epsilon).sqrt();
            stats.copy_from_slice(&[mean, inverse]);
            for (y, x) in y.iter_mut().zip(x) {
                *y = (x - mean) * inverse;
            }
            if let Some(gamma) = gamma {
                y.iter_mut().zip(gamma).for_each(|(y, gamma)| *y *= gamma);
            }
            if let Some(beta) = beta {
                y.iter_mut().zip(beta).for_each(|(y, beta)| *y += beta);
            }
        }
    }

    fn backward(&self, pass: Backward) {
        // Ba, Kiros and Hinton (2016): as for a batch, but along each group.
        let group = self.built.group;
        if pass.trainable {
            if let Some(gamma) = &self.built.gamma {
                let gradient = &mut pass.grads[gamma.clone()];
                gradient.fill(0.0);
                let rows = pass.dy.chunks_exact(group).zip(pass.x.chunks_exact(group));
                for ((dy, x), stats) in rows.zip(pass.scratch.chunks_exact(2)) {
                    for ((gradient, dy), x) in gradient.iter_mut().zip(dy).zip(x) {
                        *gradient += dy * (x - stats[0]) * stats[1];
                    }
                }
            }
            if let Some(beta) = &self.built.beta {
                super::matmul::sum_rows(pass.dy, &mut pass.grads[beta.clone()]);
            }
        }
        let gamma = self
            .built
            .gamma
            .as_ref()
            .map(|gamma| &pass.values[gamma.clone()]);
        let rows = pass
            .dy
            .chunks_exact_mut(group)
            .zip(pass.x.chunks_exact(group));
        for ((dy, x), stats) in rows.zip(pass.scratch.chunks_exact(2)) {
            let (mean, inverse) = (stats[0], stats[1]);
            if let Some(gamma) = gamma {
                dy.iter_mut()
                    .zip(gamma)
                    .for_each(|(dy, gamma)| *dy *= gamma);
            }
            let sum = dy.iter().sum::<f32>() / group as f32; // a small count
            let products = dy.iter().zip(x).map(|(dy, x)| dy * (x - mean) * inverse);
            let product = products.sum::<f32>() / group as f32;
            for (dy, x) in dy.iter_mut().zip(x) {
                *dy = inverse * (*dy - sum - (x - mean) * inverse * product);
            }
        }
    }
}

impl Default for UnitNormalization {
    fn default() -> Self {
        Self::new()
    }
}

impl UnitNormalization {
    /// Normalizes over the last axis.
    pub fn new() -> Self {
        Self {
            axis: vec![-1],
            base: Base::default(),
            group: 0,
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        Ok(Self {
            axis: config.integers("axis")?.unwrap_or(vec![-1]),
            base: Base::from_config(config)?,
            group: 0,
        })
    }
}

/// Keras' epsilon: the length is taken as at least this.
const SHORTEST: f32 = 1e-12;

impl Op for UnitNormalization {
    op_base!("UnitNormalization");

    fn extend_config(&self, config: &mut Map<String, Value>) {
        config.insert("axis".into(), axis_config(&self.axis, false));
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        normalized(&self.axis, input, "UnitNormalization")?;
        Ok(input.to_vec())
    }

    fn build(&mut self, input: &[usize], _weights: &mut Weights) -> Result<()> {
        let shape = normalized(&self.axis, input, "UnitNormalization")?;
        self.group = shape.iter().product();
        Ok(())
    }

    fn flow(&self, _training: bool) -> Flow {
        Flow::InPlace
    }

    fn scratch_len(&self, pass: &Scratch) -> usize {
        pass.rows * pass.outputs / self.group.max(1)
    }

    fn forward(&self, pass: Forward) {
        let rows = pass.y.chunks_exact_mut(self.group);
        let rows = rows.zip(pass.x.chunks_exact(self.group));
        for ((y, x), inverse) in rows.zip(pass.scratch) {
            let length = x.iter().map(|x| x * x).sum::<f32>().sqrt();
            *inverse = (1.0 / length).min(1.0 / SHORTEST);
            y.iter_mut().zip(x).for_each(|(y, x)| *y = x * *inverse);
        }
    }

    fn backward(&self, pass: Backward) {
        let rows = pass.dy.chunks_exact_mut(self.group);
        let rows = rows.zip(pass.y.chunks_exact(self.group));
        for ((dy, y), &inverse) in rows.zip(&*pass.scratch) {
            // The length held at its minimum does not depend on x.
            let along = if inverse < 1.0 / SHORTEST {
                dy.iter().zip(y).map(|(dy, y)| dy * y).sum()
            } else {
                0.0
            };
            for (dy, y) in dy.iter_mut().zip(y) {
                *dy = inverse * (*dy - y * along);
            }
        }
    }
}
