//! `GroupNormalization`: each sample by the mean and variance of groups of its channels.

use std::ops::Range;

use serde_json::{Map, Value, json};

use super::arguments::Config;
use super::base::{self, Backward, Base, Flow, Forward, OnDevice, Op, Scratch, Weight, Weights};
use super::base::{ELSEWHERE, NormalizeStep, Normalized, layer_options, op_base, sample_axis};
use super::{constraint_config, regularizer_config};
use crate::constraints::Constraint;
use crate::initializers::Initializer;
use crate::regularizers::Regularizer;
use crate::{Error, Result};

/// Mean 0 and variance 1 over each group of channels of each sample (Wu and He, 2018), then a learnt
/// scale and offset per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupNormalization {
    /// Groups of channels that lie together; none for one channel each. Defaults to 32.
    pub groups: Option<usize>,
    /// That of the channels. Defaults to -1.
    pub axis: i64,
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
    /// Positions in a sample, group by group.
    positions: Vec<usize>,
    /// Of each of these positions.
    channels: Vec<usize>,
    /// Values in a group.
    len: usize,
    gamma: Option<Range<usize>>,
    beta: Option<Range<usize>>,
}

layer_options!(GroupNormalization);

impl Default for GroupNormalization {
    fn default() -> Self {
        Self::new(Some(32))
    }
}

impl GroupNormalization {
    /// So many groups of the channels on the last axis, or one channel each.
    pub fn new(groups: impl Into<Option<usize>>) -> Self {
        Self {
            groups: groups.into(),
            axis: -1,
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
        let axis = config.axes()?;
        let &[axis] = axis.as_slice() else {
            return Err(config.error("axis", "one axis such as -1"));
        };
        let groups = match config.get("groups").map(Value::as_i64) {
            Some(Some(-1)) => None,
            Some(_) => Some(config.positive("groups")?),
            None if config.is_null("groups") => {
                return Err(config.error("groups", "a positive integer or -1"));
            }
            None => Some(32),
        };
        Ok(Self {
            groups,
            axis,
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

    /// Channels of a sample and of a group.
    fn channels(&self, input: &[usize]) -> Result<(usize, usize)> {
        let channels = input[sample_axis(self.axis, input, "GroupNormalization")?];
        let groups = self.groups.unwrap_or(channels);
        match groups > 0 && channels.is_multiple_of(groups) {
            true => Ok((channels, channels / groups)),
            false => Err(Error::shape(format!(
                "GroupNormalization: {channels} channels on axis {} of samples of shape {input:?} are not {groups} groups of the same size; give a number of groups that divides the channels, or -1",
                self.axis
            ))),
        }
    }
}

impl Op for GroupNormalization {
    op_base!();

    fn extend_config(&self, config: &mut Map<String, Value>) {
        let entries = [
            (
                "groups",
                self.groups.map_or(json!(-1), |groups| json!(groups)),
            ),
            ("axis", json!(self.axis)),
            ("epsilon", json!(self.epsilon)),
            ("center", json!(self.center)),
            ("scale", json!(self.scale)),
            ("beta_initializer", self.beta_initializer.config()),
            ("gamma_initializer", self.gamma_initializer.config()),
            (
                "beta_regularizer",
                regularizer_config(&self.beta_regularizer),
            ),
            (
                "gamma_regularizer",
                regularizer_config(&self.gamma_regularizer),
            ),
            ("beta_constraint", constraint_config(&self.beta_constraint)),
            (
                "gamma_constraint",
                constraint_config(&self.gamma_constraint),
            ),
        ];
        config.extend(entries.map(|(key, value)| (key.to_string(), value)));
    }

    fn has_build_config(&self) -> bool {
        true
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        self.channels(input)?;
        Ok(input.to_vec())
    }

    fn build(&mut self, input: &[usize], weights: &mut Weights) -> Result<()> {
        let (channels, in_group) = self.channels(input)?;
        // As Keras, which puts the number of channels in place of -1.
        self.groups = Some(channels / in_group);
        let axis = sample_axis(self.axis, input, "GroupNormalization")?;
        let inner: usize = input[axis + 1..].iter().product();
        let channel = |position: usize| position / inner % channels;
        let mut positions: Vec<usize> = (0..input.iter().product()).collect();
        positions.sort_by_key(|&position| channel(position) / in_group);
        let gamma = Weight {
            regularizer: self.gamma_regularizer.clone(),
            constraint: self.gamma_constraint.clone(),
            ..Weight::new("gamma", &self.gamma_initializer)
        };
        let beta = Weight {
            regularizer: self.beta_regularizer.clone(),
            constraint: self.beta_constraint.clone(),
            ..Weight::new("beta", &self.beta_initializer)
        };
        let mut add =
            |weight, wanted: bool| wanted.then(|| weights.add(weight, &[channels])).transpose();
        self.built = Built {
            gamma: add(gamma, self.scale)?,
            beta: add(beta, self.center)?,
            channels: positions
                .iter()
                .map(|&position| channel(position))
                .collect(),
            len: positions.len() * in_group / channels,
            positions,
        };
        Ok(())
    }

    fn flow(&self, _training: bool) -> Flow {
        Flow::InPlace
    }

    fn on_device(&self, built: &base::Built) -> OnDevice {
        let Built {
            positions,
            channels,
            len,
            ..
        } = &self.built;
        let of_channels = |name, otherwise| {
            let values = built.find(name);
            let mut sample = vec![otherwise; positions.len()];
            for (&position, &channel) in positions.iter().zip(channels) {
                if let Some(values) = &values {
                    sample[position] = values[channel];
                }
            }
            sample
        };
        let groups = positions.chunks_exact((*len).max(1)).map(<[usize]>::to_vec);
        let groups: Vec<Vec<usize>> = groups.collect();
        // Keras computes in f32, too.
        match NormalizeStep::of(&groups, f64::from(self.epsilon as f32)) {
            Some(step) => OnDevice::Normalize(Normalized {
                step,
                scale: of_channels("gamma", 1.0),
                offset: of_channels("beta", 0.0),
            }),
            None => ELSEWHERE,
        }
    }

    fn scratch_len(&self, pass: &Scratch) -> usize {
        // Mean and 1 / deviation of every group.
        2 * (pass.rows * pass.outputs / self.built.len.max(1))
    }

    fn forward(&self, pass: Forward) {
        let Built {
            positions,
            channels,
            len,
            gamma,
            beta,
        } = &self.built;
        let of = |weight: &Option<Range<usize>>| weight.clone().map(|range| &pass.values[range]);
        let (gamma, beta) = (of(gamma), of(beta));
        let epsilon = self.epsilon as f32; // Keras computes in f32, too
        let mut stats = pass.scratch.chunks_exact_mut(2);
        let samples = pass.x.chunks_exact(positions.len());
        for (x, y) in samples.zip(pass.y.chunks_exact_mut(positions.len())) {
            let groups = positions
                .chunks_exact(*len)
                .zip(channels.chunks_exact(*len));
            for ((positions, channels), stats) in groups.zip(&mut stats) {
                let mean = positions.iter().map(|&i| x[i]).sum::<f32>() / *len as f32; // a small count
                let squares = positions.iter().map(|&i| (x[i] - mean) * (x[i] - mean));
                let inverse = 1.0 / (squares.sum::<f32>() / *len as f32 + epsilon).sqrt();
                stats.copy_from_slice(&[mean, inverse]);
                for (&i, &channel) in positions.iter().zip(channels) {
                    let gamma = gamma.map_or(1.0, |gamma| gamma[channel]);
                    let beta = beta.map_or(0.0, |beta| beta[channel]);
                    y[i] = (x[i] - mean) * inverse * gamma + beta;
                }
            }
        }
    }

    fn backward(&self, pass: Backward) {
        let Built {
            positions,
            channels,
            len,
            gamma,
            beta,
        } = &self.built;
        let learnt = [gamma, beta];
        for range in learnt.into_iter().flatten().filter(|_| pass.trainable) {
            pass.grads[range.clone()].fill(0.0);
        }
        let mut stats = pass.scratch.chunks_exact(2);
        let samples = pass.x.chunks_exact(positions.len());
        for (x, dy) in samples.zip(pass.dy.chunks_exact_mut(positions.len())) {
            let groups = positions
                .chunks_exact(*len)
                .zip(channels.chunks_exact(*len));
            for ((positions, channels), stats) in groups.zip(&mut stats) {
                let (mean, inverse) = (stats[0], stats[1]);
                let (mut sum, mut product) = (0.0, 0.0);
                for (&i, &channel) in positions.iter().zip(channels) {
                    let normal = (x[i] - mean) * inverse;
                    if let Some(beta) = beta.as_ref().filter(|_| pass.trainable) {
                        pass.grads[beta.start + channel] += dy[i];
                    }
                    if let Some(gamma) = gamma {
                        if pass.trainable {
                            pass.grads[gamma.start + channel] += dy[i] * normal;
                        }
                        dy[i] *= pass.values[gamma.start + channel];
                    }
                    sum += dy[i];
                    product += dy[i] * normal;
                }
                let (sum, product) = (sum / *len as f32, product / *len as f32);
                for &i in positions {
                    dy[i] = inverse * (dy[i] - sum - (x[i] - mean) * inverse * product);
                }
            }
        }
    }
}
