//! `LayerNormalization` and `UnitNormalization`: each sample by its own mean, variance or length.

use std::ops::Range;

use serde_json::{Map, Value, json};

use super::arguments::Config;
use super::base::{self, Backward, Base, Flow, Forward, OnDevice, Op, Scratch, Weight, Weights};
use super::base::{ELSEWHERE, NormalizeStep, Normalized, layer_options, op_base, sample_axis};
use super::groups::Groups;
use crate::Result;
use crate::constraints::Constraint;
use crate::initializers::Initializer;
use crate::regularizers::Regularizer;

/// Mean 0 and variance 1 over some axes of each sample, then a learnt scale and offset.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNormalization {
    /// The axes to normalize over. Defaults to `[-1]`.
    pub axis: Vec<i64>,
    /// Added to the variance. Defaults to 0.001.
    pub epsilon: f64,
    /// Whether there is an offset, beta. Defaults to true.
    pub center: bool,
    /// Whether there is a scale, gamma. Defaults to true.
    pub scale: bool,
    /// Keras' deprecated form: only divides by the deviation, subtracts no mean, has a gamma
    /// always and a beta never. Defaults to false.
    pub rms_scaling: bool,
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
    groups: Option<Groups>,
    gamma: Option<Range<usize>>,
    beta: Option<Range<usize>>,
}

/// Divides the values along some axes of each sample by their Euclidean length.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitNormalization {
    /// The axes to normalize over. Defaults to `[-1]`.
    pub axis: Vec<i64>,
    /// Name, trainable and the like.
    pub base: Base,
    #[doc(hidden)]
    pub groups: Groups,
}

layer_options!(LayerNormalization);
layer_options!(UnitNormalization);

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
            rms_scaling: false,
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
        Ok(Self {
            axis: config.axes()?,
            // Keras takes its own, smaller one for null.
            epsilon: match config.is_null("epsilon") {
                true => 1e-7,
                false => config.f64("epsilon", 1e-3)?,
            },
            center: config.bool("center", true)?,
            scale: config.bool("scale", true)?,
            rms_scaling: config.bool("rms_scaling", false)?,
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

impl LayerNormalization {
    fn subtracted(&self, mean: f32) -> f32 {
        match self.rms_scaling {
            true => 0.0,
            false => mean,
        }
    }
}

impl Op for LayerNormalization {
    op_base!();

    fn on_device(&self, built: &base::Built) -> OnDevice {
        if self.rms_scaling {
            return OnDevice::Refused("use RMSNormalization in place of its rms_scaling");
        }
        let groups = self.built.groups.clone().unwrap_or_default();
        let spread = |name, otherwise| {
            let values = built.find(name);
            groups.spread(&values.unwrap_or_else(|| vec![otherwise; groups.len()]))
        };
        // Keras computes in f32, too.
        match NormalizeStep::of(&groups.positions(), f64::from(self.epsilon as f32)) {
            Some(step) => OnDevice::Normalize(Normalized {
                step,
                scale: spread("gamma", 1.0),
                offset: spread("beta", 0.0),
            }),
            None => ELSEWHERE,
        }
    }

    fn extend_config(&self, config: &mut Map<String, Value>) {
        let entries = [
            (
                "axis",
                base::axis_config(&self.axis, self.built.groups.is_some()),
            ),
            ("epsilon", json!(self.epsilon)),
            ("center", json!(self.center)),
            ("scale", json!(self.scale)),
            ("rms_scaling", json!(self.rms_scaling)),
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
        Groups::new(&self.axis, input, "LayerNormalization")?;
        Ok(input.to_vec())
    }

    fn build(&mut self, input: &[usize], weights: &mut Weights) -> Result<()> {
        let (groups, _) = Groups::new(&self.axis, input, "LayerNormalization")?;
        // Keras sorts the numbers as they are: -1 comes before 1. The values lie as in the sample.
        self.axis.sort_unstable();
        let sizes = self.axis.iter().map(|&axis| {
            let axis = sample_axis(axis, input, "LayerNormalization")?;
            Ok(input[axis])
        });
        let shape = sizes.collect::<Result<Vec<usize>>>()?;
        let gamma = (self.scale || self.rms_scaling)
            .then(|| {
                let gamma = Weight {
                    regularizer: self.gamma_regularizer.clone(),
                    constraint: self.gamma_constraint.clone(),
                    ..Weight::new("gamma", &self.gamma_initializer)
                };
                weights.add(gamma, &shape)
            })
            .transpose()?;
        let beta = (self.center && !self.rms_scaling)
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
            groups: Some(groups),
            gamma,
            beta,
        };
        Ok(())
    }

    fn flow(&self, _training: bool) -> Flow {
        Flow::InPlace
    }

    fn scratch_len(&self, pass: &Scratch) -> usize {
        // Mean and 1 / deviation of every group, then one group of x and one of y or dy.
        let len = self.built.groups.as_ref().map_or(1, Groups::len);
        2 * (pass.rows * pass.outputs / len + len)
    }

    fn forward(&self, pass: Forward) {
        let groups = self.built.groups.as_ref().expect("built");
        let len = groups.len();
        let epsilon = self.epsilon as f32; // Keras computes in f32, too
        let weights = |range: &Option<Range<usize>>| range.clone().map(|range| &pass.values[range]);
        let (gamma, beta) = (weights(&self.built.gamma), weights(&self.built.beta));
        let (stats, group) = pass.scratch.split_at_mut(2 * (pass.x.len() / len));
        let group = &mut group[..len];
        for (start, stats) in groups.starts(pass.x.len()).zip(stats.chunks_exact_mut(2)) {
            groups.gather(pass.x, start, group);
            let mean = group.iter().sum::<f32>() / len as f32; // a small count
            let squares = group.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>();
            let inverse = 1.0 / (squares / len as f32 + epsilon).sqrt();
            stats.copy_from_slice(&[mean, inverse]);
            let subtracted = self.subtracted(mean);
            group
                .iter_mut()
                .for_each(|x| *x = (*x - subtracted) * inverse);
            if let Some(gamma) = gamma {
                group
                    .iter_mut()
                    .zip(gamma)
                    .for_each(|(y, gamma)| *y *= gamma);
            }
            if let Some(beta) = beta {
                group.iter_mut().zip(beta).for_each(|(y, beta)| *y += beta);
            }
            groups.scatter(group, pass.y, start);
        }
    }

    fn backward(&self, pass: Backward) {
        // Ba, Kiros and Hinton (2016): as for a batch, but along each group.
        let groups = self.built.groups.as_ref().expect("built");
        let len = groups.len();
        let (stats, group) = pass.scratch.split_at_mut(2 * (pass.x.len() / len));
        let (x, dy) = group[..2 * len].split_at_mut(len);
        let learnt = [&self.built.gamma, &self.built.beta];
        for range in learnt.into_iter().flatten().filter(|_| pass.trainable) {
            pass.grads[range.clone()].fill(0.0);
        }
        for (start, stats) in groups.starts(pass.x.len()).zip(stats.chunks_exact(2)) {
            let (mean, inverse) = (stats[0], stats[1]);
            let subtracted = self.subtracted(mean);
            groups.gather(pass.x, start, x);
            groups.gather(pass.dy, start, dy);
            if let Some(beta) = self.built.beta.clone().filter(|_| pass.trainable) {
                let gradient = pass.grads[beta].iter_mut();
                gradient.zip(&*dy).for_each(|(g, dy)| *g += dy);
            }
            if let Some(gamma) = self.built.gamma.clone() {
                if pass.trainable {
                    let gradient = pass.grads[gamma.clone()].iter_mut();
                    for ((gradient, dy), x) in gradient.zip(&*dy).zip(&*x) {
                        *gradient += dy * (x - subtracted) * inverse;
                    }
                }
                let gamma = &pass.values[gamma];
                dy.iter_mut().zip(gamma).for_each(|(dy, g)| *dy *= g);
            }
            // By the mean that was subtracted, and by the deviation.
            let sum = match self.rms_scaling {
                true => 0.0,
                false => dy.iter().sum::<f32>() / len as f32, // a small count
            };
            let products = dy.iter().zip(&*x);
            let products = products.map(|(dy, x)| dy * (x - subtracted) * inverse);
            let product = products.sum::<f32>() / len as f32;
            for (dy, x) in dy.iter_mut().zip(&*x) {
                *dy = inverse * (*dy - sum - (x - mean) * inverse * product);
            }
            groups.scatter(dy, pass.dy, start);
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
            groups: Groups::default(),
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        Ok(Self {
            axis: config.axes()?,
            base: Base::from_config(config)?,
            groups: Groups::default(),
        })
    }
}

/// Keras' epsilon: the length is taken as at least this.
const SHORTEST: f32 = 1e-12;

impl Op for UnitNormalization {
    op_base!();

    fn on_device(&self, _built: &base::Built) -> OnDevice {
        match NormalizeStep::of(&self.groups.positions(), 0.0) {
            Some(step) => OnDevice::Normalize(Normalized {
                scale: self.groups.spread(&vec![1.0; self.groups.len()]),
                offset: self.groups.spread(&vec![0.0; self.groups.len()]),
                step: NormalizeStep {
                    centered: false,
                    by_length: true,
                    least: f64::from(SHORTEST).powi(2),
                    ..step
                },
            }),
            None => ELSEWHERE,
        }
    }

    fn extend_config(&self, config: &mut Map<String, Value>) {
        config.insert("axis".into(), base::axis_config(&self.axis, false));
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        Groups::new(&self.axis, input, "UnitNormalization")?;
        Ok(input.to_vec())
    }

    fn build(&mut self, input: &[usize], _weights: &mut Weights) -> Result<()> {
        self.groups = Groups::new(&self.axis, input, "UnitNormalization")?.0;
        Ok(())
    }

    fn flow(&self, _training: bool) -> Flow {
        Flow::InPlace
    }

    fn scratch_len(&self, pass: &Scratch) -> usize {
        // 1 / length of every group, then one group of y and one of dy.
        let len = self.groups.len();
        pass.rows * pass.outputs / len + 2 * len
    }

    fn forward(&self, pass: Forward) {
        let len = self.groups.len();
        let (inverses, group) = pass.scratch.split_at_mut(pass.x.len() / len);
        let group = &mut group[..len];
        for (start, inverse) in self.groups.starts(pass.x.len()).zip(inverses) {
            self.groups.gather(pass.x, start, group);
            let length = group.iter().map(|x| x * x).sum::<f32>().sqrt();
            *inverse = (1.0 / length).min(1.0 / SHORTEST);
            group.iter_mut().for_each(|x| *x *= *inverse);
            self.groups.scatter(group, pass.y, start);
        }
    }

    fn backward(&self, pass: Backward) {
        let len = self.groups.len();
        let (inverses, group) = pass.scratch.split_at_mut(pass.y.len() / len);
        let (y, dy) = group[..2 * len].split_at_mut(len);
        for (start, &inverse) in self.groups.starts(pass.y.len()).zip(&*inverses) {
            self.groups.gather(pass.y, start, y);
            self.groups.gather(pass.dy, start, dy);
            // The length held at its minimum does not depend on x.
            let along = if inverse < 1.0 / SHORTEST {
                dy.iter().zip(&*y).map(|(dy, y)| dy * y).sum()
            } else {
                0.0
            };
            for (dy, y) in dy.iter_mut().zip(&*y) {
                *dy = inverse * (*dy - y * along);
            }
            self.groups.scatter(dy, pass.dy, start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Sequential;
    use crate::layers::{Input, Layer, Softmax};
    use ndarray::array;

    fn predicted(layer: impl Into<Layer>) -> Vec<f32> {
        let mut model = Sequential::new();
        model.add(Input::new([2, 2])).expect("an input");
        model.add(layer).expect("a layer");
        let x = array![[[0.0_f32, 3.0], [4.0, 3.0]]];
        let y = model.predict(&x).expect("a prediction");
        y.iter().copied().collect()
    }

    #[test]
    fn other_axes_than_the_last_are_normalized_together() {
        let layer = LayerNormalization {
            axis: vec![1],
            epsilon: 0.0625,
            ..LayerNormalization::new()
        };
        // Column 0: mean 2, variance 4, 2 / sqrt(4.0625). Column 1 does not vary.
        let side = 2.0 / 4.0625_f32.sqrt();
        assert_eq!(predicted(layer), [-side, 0.0, side, 0.0]);
        let layer = UnitNormalization {
            axis: vec![1],
            ..UnitNormalization::new()
        };
        let half = 3.0 / 18.0_f32.sqrt();
        let found = predicted(layer);
        for (found, expected) in found.iter().zip([0.0, half, 1.0, half]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        let layer = Softmax {
            axis: vec![1],
            ..Softmax::new()
        };
        let high = 1.0 / (1.0 + (-4.0_f32).exp());
        for (found, expected) in predicted(layer).iter().zip([1.0 - high, 0.5, high, 0.5]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn rms_scaling_divides_and_subtracts_nothing() {
        let layer = LayerNormalization {
            axis: vec![1],
            epsilon: 0.25,
            rms_scaling: true,
            ..LayerNormalization::new()
        };
        // Column 0: variance 4, 4 / sqrt(4.25). Column 1: variance 0, 3 / sqrt(0.25).
        assert_eq!(predicted(layer), [0.0, 6.0, 4.0 / 4.25_f32.sqrt(), 6.0]);
    }
}
