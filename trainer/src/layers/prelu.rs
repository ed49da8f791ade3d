//! `PReLU`: a rectifier whose negative slopes are learnt.

use std::ops::Range;

use serde_json::{Map, Value, json};

use super::arguments::Config;
use super::base::{self, Backward, Base, Flow, Forward, OnDevice, Op, Weight, Weights};
use super::base::{broadcast_index, layer_options, op_base};
use crate::constraints::Constraint;
use crate::initializers::Initializer;
use crate::regularizers::Regularizer;
use crate::{Error, Result};

/// `x` where positive, else `alpha * x`, with one alpha per value of a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct PReLU {
    /// Defaults to zeros.
    pub alpha_initializer: Initializer,
    /// Defaults to none.
    pub alpha_regularizer: Option<Regularizer>,
    /// Defaults to none.
    pub alpha_constraint: Option<Constraint>,
    /// Axes along which alpha is shared, counted from 1 (0 is the batch). Defaults to none.
    pub shared_axes: Vec<i64>,
    /// Name, trainable and the like.
    pub base: Base,
    #[doc(hidden)]
    pub built: Built,
}

/// Of a built layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Built {
    alpha: Range<usize>,
    /// Which alpha each value of a sample takes.
    index: Vec<usize>,
}

layer_options!(PReLU);

impl Default for PReLU {
    fn default() -> Self {
        Self::new()
    }
}

impl PReLU {
    /// One alpha per value of a sample, all 0 at first.
    pub fn new() -> Self {
        Self {
            alpha_initializer: Initializer::Zeros,
            alpha_regularizer: None,
            alpha_constraint: None,
            shared_axes: Vec::new(),
            base: Base::default(),
            built: Built::default(),
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        Ok(Self {
            alpha_initializer: config.initializer("alpha_initializer", Initializer::Zeros)?,
            alpha_regularizer: config.regularizer("alpha_regularizer")?,
            alpha_constraint: config.constraint("alpha_constraint")?,
            shared_axes: config.integers("shared_axes")?.unwrap_or_default(),
            base: Base::from_config(config)?,
            ..Self::new()
        })
    }
}

impl Op for PReLU {
    op_base!();

    fn on_device(&self, built: &base::Built) -> OnDevice {
        let alpha = built.find("alpha").unwrap_or_default();
        OnDevice::Prelu(self.built.index.iter().map(|&index| alpha[index]).collect())
    }

    fn extend_config(&self, config: &mut Map<String, Value>) {
        let shared = Some(&self.shared_axes).filter(|axes| !axes.is_empty());
        let entries = [
            ("alpha_initializer", self.alpha_initializer.config()),
            (
                "alpha_regularizer",
                super::regularizer_config(&self.alpha_regularizer),
            ),
            (
                "alpha_constraint",
                super::constraint_config(&self.alpha_constraint),
            ),
            ("shared_axes", json!(shared)),
        ];
        config.extend(entries.map(|(key, value)| (key.to_string(), value)));
    }

    fn has_build_config(&self) -> bool {
        true
    }

    fn build(&mut self, input: &[usize], weights: &mut Weights) -> Result<()> {
        let mut shape = input.to_vec();
        for &axis in &self.shared_axes {
            // Keras takes 1 off and counts what is negative then from the end: -1 is the last axis but one.
            let rank = input.len() as i64; // shapes are short
            let shared = if axis < 1 { axis - 1 + rank } else { axis - 1 };
            if !(0..rank).contains(&shared) {
                return Err(Error::shape(format!(
                    "PReLU: shared_axes has {axis}, expected numbers from 1 to {rank} for inputs of rank {}",
                    rank + 1
                )));
            }
            shape[shared as usize] = 1; // in 0..rank
        }
        self.built.index = broadcast_index(input, &shape);
        let alpha = Weight {
            regularizer: self.alpha_regularizer.clone(),
            constraint: self.alpha_constraint.clone(),
            ..Weight::new("alpha", &self.alpha_initializer)
        };
        self.built.alpha = weights.add(alpha, &shape)?;
        Ok(())
    }

    fn flow(&self, _training: bool) -> Flow {
        Flow::InPlace
    }

    fn forward(&self, pass: Forward) {
        let alpha = &pass.values[self.built.alpha.clone()];
        let sample = self.built.index.len();
        let rows = pass.y.chunks_exact_mut(sample);
        for (y, x) in rows.zip(pass.x.chunks_exact(sample)) {
            for ((y, &x), &index) in y.iter_mut().zip(x).zip(&self.built.index) {
                *y = if x > 0.0 { x } else { alpha[index] * x };
            }
        }
    }

    fn backward(&self, pass: Backward) {
        let alpha = &pass.values[self.built.alpha.clone()];
        let gradient = &mut pass.grads[self.built.alpha.clone()];
        if pass.trainable {
            gradient.fill(0.0);
        }
        let sample = self.built.index.len();
        let rows = pass.dy.chunks_exact_mut(sample);
        for (dy, x) in rows.zip(pass.x.chunks_exact(sample)) {
            for ((dy, &x), &index) in dy.iter_mut().zip(x).zip(&self.built.index) {
                if x < 0.0 {
                    if pass.trainable {
                        gradient[index] += *dy * x;
                    }
                    *dy *= alpha[index];
                } else if x == 0.0 {
                    // Keras adds two rectifiers, and neither passes a gradient at 0.
                    *dy = 0.0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_axes_hold_one_alpha_each() {
        let mut layer = PReLU {
            shared_axes: vec![1],
            ..PReLU::new()
        };
        let (mut variables, mut values) = (Vec::new(), Vec::new());
        let mut weights = Weights {
            path: "p_re_lu".into(),
            trainable: true,
            seed: 0,
            learns: Vec::new(),
            variables: &mut variables,
            values: &mut values,
        };
        layer.build(&[2, 3], &mut weights).unwrap();
        assert_eq!(variables[0].shape, [1, 3]);
        assert_eq!(layer.built.index, [0, 1, 2, 0, 1, 2]);
    }
}
