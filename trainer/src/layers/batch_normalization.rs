//! `BatchNormalization`: mean 0 and variance 1 over the batch, then a learnt scale and offset.

use std::ops::Range;

use serde_json::{Map, Value, json};

use super::arguments::Config;
use super::base::{self, Backward, Base, Flow, Forward, OnDevice, Op, Scratch};
use super::base::{Weight, Weights, layer_options, op_base, sample_axis};
use crate::constraints::Constraint;
use crate::custom::ScaleOffset;
use crate::initializers::Initializer;
use crate::regularizers::Regularizer;
use crate::{Error, Result, simd};

/// Normalizes by the batch in training, by moving averages otherwise, or always when frozen.
///
/// # Shapes
///
/// * `x`, output - `[rows, .., channels, ..]`, channels on `axis`
/// * `gamma`, `beta`, `moving_mean`, `moving_variance` - `[channels]`
///
/// The variance is the biased one, for normalizing and for the moving average alike.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormalization {
    /// Axis of the channels. Defaults to -1.
    pub axis: i64,
    /// Of the moving averages. Defaults to 0.99.
    pub momentum: f64,
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
    /// Defaults to zeros.
    pub moving_mean_initializer: Initializer,
    /// Defaults to ones.
    pub moving_variance_initializer: Initializer,
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
    channels: usize,
    /// Values of a sample after the channel axis.
    inner: usize,
    gamma: Option<Range<usize>>,
    beta: Option<Range<usize>>,
    moving_mean: Range<usize>,
    moving_variance: Range<usize>,
}

layer_options!(BatchNormalization);

impl Default for BatchNormalization {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchNormalization {
    /// Normalizes the last axis.
    pub fn new() -> Self {
        Self {
            axis: -1,
            momentum: 0.99,
            epsilon: 1e-3,
            center: true,
            scale: true,
            beta_initializer: Initializer::Zeros,
            gamma_initializer: Initializer::Ones,
            moving_mean_initializer: Initializer::Zeros,
            moving_variance_initializer: Initializer::Ones,
            beta_regularizer: None,
            gamma_regularizer: None,
            beta_constraint: None,
            gamma_constraint: None,
            base: Base::default(),
            built: Built::default(),
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        if config.bool("renorm", false)? {
            return Err(Error::unsupported(
                "BatchNormalization with renorm is not supported, expected false",
            ));
        }
        if config.get("virtual_batch_size").is_some() {
            return Err(Error::unsupported(
                "BatchNormalization with a virtual_batch_size is not supported, expected null",
            ));
        }
        let axis = config.axes()?;
        let &[axis] = axis.as_slice() else {
            return Err(config.error("axis", "one integer"));
        };
        let initializer = |key: &str, default| config.initializer(key, default);
        Ok(Self {
            axis,
            momentum: config.f64("momentum", 0.99)?,
            epsilon: config.f64("epsilon", 1e-3)?,
            center: config.bool("center", true)?,
            scale: config.bool("scale", true)?,
            beta_initializer: initializer("beta_initializer", Initializer::Zeros)?,
            gamma_initializer: initializer("gamma_initializer", Initializer::Ones)?,
            moving_mean_initializer: initializer("moving_mean_initializer", Initializer::Zeros)?,
            moving_variance_initializer: initializer(
                "moving_variance_initializer",
                Initializer::Ones,
            )?,
            beta_regularizer: config.regularizer("beta_regularizer")?,
            gamma_regularizer: config.regularizer("gamma_regularizer")?,
            beta_constraint: config.constraint("beta_constraint")?,
            gamma_constraint: config.constraint("gamma_constraint")?,
            base: Base::from_config(config)?,
            built: Built::default(),
        })
    }

    fn uses_batch(&self, training: bool) -> bool {
        training && self.base.trainable
    }

    /// The scratch of a pass, cut up.
    fn stats<'a>(&self, scratch: &'a mut [f32]) -> Stats<'a> {
        let channels = self.built.channels;
        let (mean, rest) = scratch.split_at_mut(channels);
        let (variance, rest) = rest.split_at_mut(channels);
        let (factor, rest) = rest.split_at_mut(channels);
        let (a, rest) = rest.split_at_mut(channels);
        Stats {
            mean,
            variance,
            factor,
            a,
            b: &mut rest[..channels],
        }
    }

    /// `sum[channel] += f(value of a, value of b)` over all rows. Partial sums of 64 rows are
    /// added up, so that the rounding of a long sum stays small.
    #[inline(always)]
    fn sum(
        &self,
        a: &[f32],
        b: &[f32],
        partial: &mut [f32],
        sum: &mut [f32],
        f: impl Fn(usize, f32, f32) -> f32,
    ) {
        let Built {
            channels, inner, ..
        } = self.built;
        sum.fill(0.0);
        for (a, b) in a
            .chunks(64 * channels * inner)
            .zip(b.chunks(64 * channels * inner))
        {
            partial.fill(0.0);
            if inner == 1 {
                for (a, b) in a.chunks_exact(channels).zip(b.chunks_exact(channels)) {
                    for (channel, ((partial, &a), &b)) in
                        partial.iter_mut().zip(a).zip(b).enumerate()
                    {
                        *partial += f(channel, a, b);
                    }
                }
            } else {
                let runs = a.chunks_exact(inner).zip(b.chunks_exact(inner));
                for (run, (a, b)) in runs.enumerate() {
                    let channel = run % channels;
                    let values = a.iter().zip(b).map(|(&a, &b)| f(channel, a, b));
                    partial[channel] += values.sum::<f32>();
                }
            }
            for (sum, &partial) in sum.iter_mut().zip(&*partial) {
                *sum += partial;
            }
        }
    }

    /// `out = f(channel, out, other)` for every value.
    #[inline(always)]
    fn each(&self, out: &mut [f32], other: &[f32], f: impl Fn(usize, f32, f32) -> f32) {
        let Built {
            channels, inner, ..
        } = self.built;
        if inner == 1 {
            let rows = out.chunks_exact_mut(channels);
            for (out, other) in rows.zip(other.chunks_exact(channels)) {
                for (channel, (out, &other)) in out.iter_mut().zip(other).enumerate() {
                    *out = f(channel, *out, other);
                }
            }
        } else {
            let runs = out.chunks_exact_mut(inner).zip(other.chunks_exact(inner));
            for (run, (out, other)) in runs.enumerate() {
                for (out, &other) in out.iter_mut().zip(other) {
                    *out = f(run % channels, *out, other);
                }
            }
        }
    }
}

/// The scratch of one pass, `[channels]` each.
struct Stats<'a> {
    mean: &'a mut [f32],
    variance: &'a mut [f32],
    /// `gamma / sqrt(variance + epsilon)`
    factor: &'a mut [f32],
    a: &'a mut [f32],
    b: &'a mut [f32],
}

impl Op for BatchNormalization {
    op_base!();

    fn other_keys(&self) -> &'static [&'static str] {
        &[
            "renorm",
            "renorm_clipping",
            "renorm_momentum",
            "fused",
            "virtual_batch_size",
            "synchronized",
        ]
    }

    fn call_arguments(&self) -> Value {
        json!({"mask": null})
    }

    /// `gamma * (x - mean) / sqrt(variance + epsilon) + beta`, as in inference.
    fn on_device(&self, built: &base::Built) -> OnDevice {
        let of = |name: &str, missing: f64| {
            let found = built.find(name);
            found.unwrap_or_else(|| vec![missing; self.built.channels])
        };
        let variance = of("moving_variance", 1.0).into_iter();
        let deviations = variance.map(|variance| (variance + self.epsilon).sqrt());
        let scale = deviations
            .zip(of("gamma", 1.0))
            .map(|(d, gamma)| 1.0 / d * gamma);
        let scale: Vec<f64> = scale.collect();
        let shift = of("moving_mean", 0.0).into_iter().zip(&scale);
        let offset = of("beta", 0.0)
            .into_iter()
            .zip(shift)
            .map(|(beta, (mean, scale))| beta - mean * scale);
        OnDevice::Scale(ScaleOffset {
            offset: offset.collect(),
            scale,
        })
    }

    fn extend_config(&self, config: &mut Map<String, Value>) {
        let entries = [
            ("axis", json!(self.axis)),
            ("momentum", json!(self.momentum)),
            ("epsilon", json!(self.epsilon)),
            ("center", json!(self.center)),
            ("scale", json!(self.scale)),
            ("beta_initializer", self.beta_initializer.config()),
            ("gamma_initializer", self.gamma_initializer.config()),
            (
                "moving_mean_initializer",
                self.moving_mean_initializer.config(),
            ),
            (
                "moving_variance_initializer",
                self.moving_variance_initializer.config(),
            ),
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
            ("synchronized", json!(false)),
            ("renorm", json!(false)),
            ("renorm_clipping", Value::Null),
            ("renorm_momentum", json!(0.99)),
        ];
        config.extend(entries.map(|(key, value)| (key.to_string(), value)));
    }

    fn has_build_config(&self) -> bool {
        true
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        sample_axis(self.axis, input, "BatchNormalization")?;
        Ok(input.to_vec())
    }

    fn build(&mut self, input: &[usize], weights: &mut Weights) -> Result<()> {
        let axis = sample_axis(self.axis, input, "BatchNormalization")?;
        let shape = [input[axis]];
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
        let mean = Weight::state("moving_mean", &self.moving_mean_initializer);
        let moving_mean = weights.add(mean, &shape)?;
        let variance = Weight::state("moving_variance", &self.moving_variance_initializer);
        let moving_variance = weights.add(variance, &shape)?;
        self.built = Built {
            channels: input[axis],
            inner: input[axis + 1..].iter().product(),
            gamma,
            beta,
            moving_mean,
            moving_variance,
        };
        Ok(())
    }

    fn flow(&self, _training: bool) -> Flow {
        Flow::InPlace
    }

    fn scratch_len(&self, _pass: &Scratch) -> usize {
        5 * self.built.channels
    }

    fn forward(&self, pass: Forward) {
        simd::widest(
            #[inline(always)]
            || self.normalize(pass),
        );
    }

    fn backward(&self, pass: Backward) {
        simd::widest(
            #[inline(always)]
            || self.differentiate(pass),
        );
    }

    fn update_state(&self, values: &mut [f32], scratch: &[f32]) {
        if !self.uses_batch(true) {
            return;
        }
        let channels = self.built.channels;
        let old = self.momentum as f32; // Keras computes in f32, too
        let new = (1.0 - self.momentum) as f32;
        let ranges = [&self.built.moving_mean, &self.built.moving_variance];
        for (range, batch) in ranges
            .into_iter()
            .zip(scratch.chunks_exact(channels.max(1)))
        {
            for (moving, &batch) in values[range.clone()].iter_mut().zip(batch) {
                *moving = *moving * old + batch * new;
            }
        }
    }
}

impl BatchNormalization {
    #[inline(always)]
    fn normalize(&self, pass: Forward) {
        let built = &self.built;
        let stats = self.stats(pass.scratch);
        if self.uses_batch(pass.training) {
            let scale = (pass.x.len() / built.channels.max(1)) as f32; // a count of rows
            self.sum(pass.x, pass.x, stats.a, stats.mean, |_, x, _| x);
            stats.mean.iter_mut().for_each(|mean| *mean /= scale);
            let mean = &*stats.mean;
            self.sum(pass.x, pass.x, stats.a, stats.variance, |channel, x, _| {
                (x - mean[channel]) * (x - mean[channel])
            });
            stats
                .variance
                .iter_mut()
                .for_each(|variance| *variance /= scale);
        } else {
            stats
                .mean
                .copy_from_slice(&pass.values[built.moving_mean.clone()]);
            stats
                .variance
                .copy_from_slice(&pass.values[built.moving_variance.clone()]);
        }
        let epsilon = self.epsilon as f32; // Keras computes in f32, too
        for (factor, &variance) in stats.factor.iter_mut().zip(&*stats.variance) {
            *factor = 1.0 / (variance + epsilon).sqrt();
        }
        if let Some(gamma) = &built.gamma {
            for (factor, &gamma) in stats.factor.iter_mut().zip(&pass.values[gamma.clone()]) {
                *factor *= gamma;
            }
        }
        // y = x * factor + (beta - mean * factor)
        match &built.beta {
            Some(beta) => stats.a.copy_from_slice(&pass.values[beta.clone()]),
            None => stats.a.fill(0.0),
        }
        for ((offset, &mean), &factor) in stats.a.iter_mut().zip(&*stats.mean).zip(&*stats.factor) {
            *offset -= mean * factor;
        }
        let (factor, offset) = (&*stats.factor, &*stats.a);
        self.each(pass.y, pass.x, |channel, _, x| {
            x * factor[channel] + offset[channel]
        });
    }

    #[inline(always)]
    fn differentiate(&self, pass: Backward) {
        // Ioffe and Szegedy (2015), section 3, with the sums taken over x - mean.
        let built = &self.built;
        let stats = self.stats(pass.scratch);
        let mean = &*stats.mean;
        let epsilon = self.epsilon as f32; // as in forward
        let batch = self.uses_batch(true);
        if batch || pass.trainable {
            let beta_gradient = &mut *stats.a;
            let gamma_gradient = &mut *stats.b;
            // `factor` is free for partial sums until it is computed again below.
            let partial = &mut *stats.factor;
            self.sum(pass.dy, pass.dy, partial, beta_gradient, |_, dy, _| dy);
            self.sum(
                pass.dy,
                pass.x,
                partial,
                gamma_gradient,
                |channel, dy, x| dy * (x - mean[channel]),
            );
        }
        let variance = &*stats.variance;
        for (factor, &variance) in stats.factor.iter_mut().zip(variance) {
            *factor = 1.0 / (variance + epsilon).sqrt();
        }
        for (gradient, &factor) in stats.b.iter_mut().zip(&*stats.factor) {
            *gradient *= factor;
        }
        if pass.trainable {
            if let Some(gamma) = &built.gamma {
                pass.grads[gamma.clone()].copy_from_slice(stats.b);
            }
            if let Some(beta) = &built.beta {
                pass.grads[beta.clone()].copy_from_slice(stats.a);
            }
        }
        let gamma = built
            .gamma
            .as_ref()
            .map(|gamma| &pass.values[gamma.clone()]);
        let gamma = |channel: usize| gamma.map_or(1.0, |gamma| gamma[channel]);
        let inverse = &*stats.factor;
        if !batch {
            self.each(pass.dy, pass.x, |channel, dy, _| {
                dy * gamma(channel) * inverse[channel]
            });
            return;
        }
        // dx = gamma / std * (dy - mean(dy) - xhat * mean(dy * xhat))
        let count = (pass.x.len() / built.channels.max(1)) as f32; // a count of rows
        let (sum, product) = (&*stats.a, &*stats.b);
        self.each(pass.dy, pass.x, |channel, dy, x| {
            let xhat = (x - mean[channel]) * inverse[channel];
            gamma(channel)
                * inverse[channel]
                * (dy - (sum[channel] + xhat * product[channel]) / count)
        });
    }
}
