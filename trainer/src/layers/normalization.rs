//! `Normalization` and `Rescaling`: raw inputs to what a network likes.

use std::ops::Range;

use ndarray::{ArrayBase, Data, Dimension};
use serde_json::{Map, Value, json};

use super::arguments::Config;
use super::base::{self, Backward, Base, Flow, Forward, OnDevice, Op, Scratch, Weight, Weights};
use super::base::{broadcast_index, layer_options, op_base, sample_axis};
use crate::Number;
use crate::custom::ScaleOffset;
use crate::initializers::Initializer;
use crate::samples::Samples;
use crate::{Error, Result};

/// `(x - mean) / max(sqrt(variance), 1e-7)`, with mean and variance of the training data.
///
/// They come from [`Normalization::adapt`], from [`Normalization::with_statistics`], or from a
/// file; until then they are 0 and 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalization {
    /// The axes that keep a mean and a variance of their own; empty for one of each. Defaults to
    /// `[-1]`.
    pub axis: Vec<i64>,
    /// Whether to undo the normalization instead: `mean + x * sqrt(variance)`. Defaults to false.
    pub invert: bool,
    /// Given as constants of the layer, not weights: means and variances, as many as fit the kept
    /// axes or one of each. Defaults to none.
    pub given: Option<Statistics>,
    /// Name, trainable and the like.
    pub base: Base,
    #[doc(hidden)]
    pub adapted: Option<Statistics>,
    #[doc(hidden)]
    pub built: Built,
}

/// Means and variances, row-major over the kept axes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Means of the inputs.
    pub mean: Vec<f64>,
    /// Biased.
    pub variance: Vec<f64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Built {
    /// Which statistic each value of a sample takes.
    index: Vec<usize>,
    /// Mean and variance among the weights, unless they are given.
    weights: Option<[Range<usize>; 2]>,
}

/// `x * scale + offset`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rescaling {
    /// One factor, or one per value of the last axis. Defaults to 1.
    pub scale: Vec<f64>,
    /// One offset, or one per value of the last axis. Defaults to 0.
    pub offset: Vec<f64>,
    /// Name, trainable and the like.
    pub base: Base,
}

layer_options!(Normalization);
layer_options!(Rescaling);

/// Keras' epsilon: the smallest deviation to divide by.
const SMALLEST_DEVIATION: f32 = 1e-7;

impl Default for Normalization {
    fn default() -> Self {
        Self::new()
    }
}

impl Normalization {
    /// One mean and one variance per feature of the last axis.
    pub fn new() -> Self {
        Self {
            axis: vec![-1],
            invert: false,
            given: None,
            base: Base::default(),
            adapted: None,
            built: Built::default(),
        }
    }

    /// The layer with means and variances as constants.
    pub fn with_statistics(statistics: Statistics) -> Self {
        Self {
            given: Some(statistics),
            ..Self::new()
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        let given = match (config.numbers("mean")?, config.numbers("variance")?) {
            (Some(_), Some(_)) if config.list_shape("mean") != config.list_shape("variance") => {
                return Err(config.error(
                    "variance",
                    "as many numbers as \"mean\" has, in lists of the same shape",
                ));
            }
            (Some(mean), Some(variance)) => Some(Statistics { mean, variance }),
            (None, None) => None,
            _ => return Err(config.error("variance", "to be given together with \"mean\"")),
        };
        // A null axis means one mean for everything; only a missing one takes the default.
        let axis = match config.integers("axis")? {
            Some(axis) => axis,
            None if config.is_null("axis") => Vec::new(),
            None => vec![-1],
        };
        Ok(Self {
            axis,
            invert: config.bool("invert", false)?,
            given,
            base: Base::from_config(config)?,
            ..Self::new()
        })
    }

    /// Takes mean and variance of `data`, `[rows, ..]`, for when the layer joins a model.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] without rows or with values that are not finite, [`Error::Shape`] when
    /// the axes do not fit.
    pub fn adapt<S: Data<Elem: Number>, D: Dimension>(
        &mut self,
        data: &ArrayBase<S, D>,
    ) -> Result<()> {
        let samples = Samples::new(data);
        let (rows, sample) = (samples.rows(), samples.sample_shape());
        self.adapted = Some(self.statistics(samples.values(), rows, sample)?);
        Ok(())
    }

    /// Mean and variance of `[rows, sample]` values over all but the kept axes.
    pub(crate) fn statistics(
        &self,
        values: &[f32],
        rows: usize,
        sample: &[usize],
    ) -> Result<Statistics> {
        if rows == 0 {
            return Err(Error::value(
                "Normalization: the data to adapt to has no rows, expected at least one",
            ));
        }
        let kept = self.kept(sample)?;
        let count = kept.iter().product();
        let index = broadcast_index(sample, &kept);
        let per_statistic = (values.len() / count) as f64; // exact below 2^53
        let mut mean = vec![0.0_f64; count];
        let mut variance = vec![0.0_f64; count];
        let rows = || values.chunks_exact(index.len().max(1)).enumerate();
        for (row, x) in rows() {
            for (&x, &i) in x.iter().zip(&index) {
                if !x.is_finite() {
                    return Err(Error::value(format!(
                        "Normalization: data row {} to adapt to holds {x}, expected finite numbers; remove the row or fill the value",
                        row + 1
                    )));
                }
                mean[i] += f64::from(x);
            }
        }
        mean.iter_mut().for_each(|mean| *mean /= per_statistic);
        for (_, x) in rows() {
            for (&x, &i) in x.iter().zip(&index) {
                variance[i] += (f64::from(x) - mean[i]).powi(2);
            }
        }
        variance.iter_mut().for_each(|v| *v /= per_statistic);
        Ok(Statistics { mean, variance })
    }

    /// Where mean and variance lie among the weights, unless they are given.
    pub(crate) fn weights(&self) -> Option<&[Range<usize>; 2]> {
        self.built.weights.as_ref()
    }

    /// Shape of mean and variance, with 1 for every axis that is averaged over.
    fn kept(&self, sample: &[usize]) -> Result<Vec<usize>> {
        let (mut kept, mut twice) = (vec![1; sample.len()], vec![false; sample.len()]);
        for &axis in &self.axis {
            let axis = sample_axis(axis, sample, "Normalization")?;
            if std::mem::replace(&mut twice[axis], true) {
                return Err(Error::value(format!(
                    "Normalization has axis {:?}, expected each axis once",
                    self.axis
                )));
            }
            kept[axis] = sample[axis];
        }
        Ok(kept)
    }
}

impl Op for Normalization {
    op_base!();

    /// `(x - mean) / max(sqrt(variance), 1e-7)`, or its inverse.
    fn on_device(&self, built: &base::Built) -> OnDevice {
        let (mean, variance) = match &self.given {
            Some(given) => (given.mean.clone(), given.variance.clone()),
            None => (
                built.find("mean").unwrap_or_default(),
                built.find("variance").unwrap_or_default(),
            ),
        };
        let deviation = variance.iter().map(|v| v.sqrt().max(1e-7));
        OnDevice::Scale(match self.invert {
            true => ScaleOffset {
                scale: deviation.collect(),
                offset: mean,
            },
            false => ScaleOffset {
                scale: deviation.clone().map(|d| 1.0 / d).collect(),
                offset: mean.iter().zip(deviation).map(|(m, d)| -m / d).collect(),
            },
        })
    }

    fn extend_config(&self, config: &mut Map<String, Value>) {
        let list = |values: &[f64]| match values {
            [value] => json!(value),
            values => json!(values),
        };
        let given = self.given.as_ref();
        config.insert("axis".into(), json!(self.axis));
        config.insert("invert".into(), json!(self.invert));
        config.insert("mean".into(), given.map_or(Value::Null, |g| list(&g.mean)));
        config.insert(
            "variance".into(),
            given.map_or(Value::Null, |g| list(&g.variance)),
        );
    }

    fn has_build_config(&self) -> bool {
        true
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        self.kept(input)?;
        Ok(input.to_vec())
    }

    fn build(&mut self, input: &[usize], weights: &mut Weights) -> Result<()> {
        let kept = self.kept(input)?;
        let count: usize = kept.iter().product();
        let check = |statistics: &Statistics, allowed: &dyn Fn(usize) -> bool| {
            let found = statistics.mean.len();
            if found == statistics.variance.len() && allowed(found) {
                return Ok(());
            }
            Err(Error::shape(format!(
                "Normalization: {found} means and {} variances, expected {count} of each for samples of shape {input:?}",
                statistics.variance.len()
            )))
        };
        self.built.index = broadcast_index(input, &kept);
        self.built.weights = None;
        if let Some(given) = &self.given {
            // Broadcast over the axes before, as by NumPy.
            let mut ends = vec![1];
            for size in kept.iter().rev() {
                ends.push(ends[ends.len() - 1] * size);
            }
            return check(given, &|found| ends.contains(&found));
        }
        // Keras' order of axes is that of the sample, whatever the order in `axis`.
        let axes = self
            .axis
            .iter()
            .map(|&axis| sample_axis(axis, input, "Normalization"));
        let mut axes = axes.collect::<Result<Vec<_>>>()?;
        axes.sort_unstable();
        let shape: Vec<usize> = axes.iter().map(|&axis| input[axis]).collect();
        let mean = weights.add(Weight::state("mean", &Initializer::Zeros), &shape)?;
        let variance = weights.add(Weight::state("variance", &Initializer::Ones), &shape)?;
        weights.add(Weight::state("count", &Initializer::Zeros), &[])?;
        if let Some(adapted) = &self.adapted {
            check(adapted, &|found| found == count)?;
            for (range, from) in [(&mean, &adapted.mean), (&variance, &adapted.variance)] {
                for (value, &from) in weights.values[range.clone()].iter_mut().zip(from) {
                    *value = from as f32; // weights are f32
                }
            }
        }
        self.built.weights = Some([mean, variance]);
        Ok(())
    }

    fn flow(&self, _training: bool) -> Flow {
        Flow::InPlace
    }

    fn scratch_len(&self, _pass: &Scratch) -> usize {
        // Mean and deviation of every value of a sample.
        2 * self.built.index.len()
    }

    fn forward(&self, pass: Forward) {
        let sample = self.built.index.len();
        let (means, deviations) = pass.scratch.split_at_mut(sample);
        // Of a negative variance it is NaN, as on TensorFlow.
        let clamp = |variance: f32| match variance.sqrt() {
            deviation if deviation < SMALLEST_DEVIATION => SMALLEST_DEVIATION,
            deviation => deviation,
        };
        let slots = means.iter_mut().zip(deviations.iter_mut());
        match (&self.built.weights, &self.given) {
            (Some([mean, variance]), _) => {
                let (mean, variance) = (&pass.values[mean.clone()], &pass.values[variance.clone()]);
                for ((m, d), &i) in slots.zip(&self.built.index) {
                    (*m, *d) = (mean[i], clamp(variance[i]));
                }
            }
            (None, Some(given)) => {
                // Fewer values than statistics repeat along the last axes, as numpy broadcasts.
                let count = given.mean.len();
                for ((m, d), &i) in slots.zip(&self.built.index) {
                    let (mean, variance) = (given.mean[i % count], given.variance[i % count]);
                    (*m, *d) = (mean as f32, clamp(variance as f32)); // inputs are f32
                }
            }
            (None, None) => {}
        }
        let rows = pass
            .y
            .chunks_exact_mut(sample)
            .zip(pass.x.chunks_exact(sample));
        for (y, x) in rows {
            let values = y.iter_mut().zip(x).zip(means.iter().zip(&*deviations));
            if self.invert {
                values.for_each(|((y, x), (mean, deviation))| *y = mean + x * deviation);
            } else {
                values.for_each(|((y, x), (mean, deviation))| *y = (x - mean) / deviation);
            }
        }
    }

    fn backward(&self, pass: Backward) {
        let sample = self.built.index.len();
        let deviations = &pass.scratch[sample..];
        for dy in pass.dy.chunks_exact_mut(sample) {
            let values = dy.iter_mut().zip(deviations);
            if self.invert {
                values.for_each(|(dy, deviation)| *dy *= deviation);
            } else {
                values.for_each(|(dy, deviation)| *dy /= deviation);
            }
        }
    }
}

impl Rescaling {
    /// `x * scale + offset`.
    pub fn new(scale: f64, offset: f64) -> Self {
        Self {
            scale: vec![scale],
            offset: vec![offset],
            base: Base::default(),
        }
    }

    /// `x * scale + offset`, with one of each, or one for each value of the last axis.
    pub fn with_values(scale: Vec<f64>, offset: Vec<f64>) -> Self {
        Self {
            scale,
            offset,
            base: Base::default(),
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        for key in ["scale", "offset"] {
            let shape = config.list_shape(key);
            let outer = shape.split_last().map_or(&[][..], |(_, outer)| outer);
            if config.is_null(key) || outer.iter().any(|&size| size != 1) {
                return Err(config.error(key, "a number, or one for each value of the last axis"));
            }
        }
        Ok(Self {
            scale: config.numbers("scale")?.unwrap_or(vec![1.0]),
            offset: config.numbers("offset")?.unwrap_or(vec![0.0]),
            base: Base::from_config(config)?,
        })
    }
}

impl Op for Rescaling {
    op_base!();

    fn on_device(&self, _built: &base::Built) -> OnDevice {
        OnDevice::Scale(ScaleOffset {
            scale: self.scale.clone(),
            offset: self.offset.clone(),
        })
    }

    fn extend_config(&self, config: &mut Map<String, Value>) {
        for (key, values) in [("scale", &self.scale), ("offset", &self.offset)] {
            let value = match values.as_slice() {
                [value] => json!(value),
                values => json!(values),
            };
            config.insert(key.to_string(), value);
        }
    }

    fn has_build_config(&self) -> bool {
        true
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        let width = input.last().copied().unwrap_or(1);
        for (key, values) in [("scale", &self.scale), ("offset", &self.offset)] {
            if values.len() != 1 && values.len() != width {
                return Err(Error::shape(format!(
                    "Rescaling: {} values of {key}, expected 1 or {width}, the last axis of the inputs",
                    values.len()
                )));
            }
        }
        Ok(input.to_vec())
    }

    fn flow(&self, _training: bool) -> Flow {
        Flow::InPlace
    }

    fn scratch_len(&self, pass: &Scratch) -> usize {
        // Factor and offset of every value of a sample.
        2 * pass.outputs
    }

    fn forward(&self, pass: Forward) {
        let sample = pass.scratch.len() / 2;
        let (factors, offsets) = pass.scratch.split_at_mut(sample);
        for (slots, values) in [(&mut *factors, &self.scale), (&mut *offsets, &self.offset)] {
            for (slot, &value) in slots.iter_mut().zip(values.iter().cycle()) {
                *slot = value as f32; // inputs are f32
            }
        }
        let rows = pass
            .y
            .chunks_exact_mut(sample)
            .zip(pass.x.chunks_exact(sample));
        for (y, x) in rows {
            for ((y, x), (factor, offset)) in y.iter_mut().zip(x).zip(factors.iter().zip(&*offsets))
            {
                *y = x * factor + offset;
            }
        }
    }

    fn backward(&self, pass: Backward) {
        let sample = pass.scratch.len() / 2;
        for dy in pass.dy.chunks_exact_mut(sample) {
            dy.iter_mut()
                .zip(&pass.scratch[..sample])
                .for_each(|(dy, factor)| *dy *= factor);
        }
    }
}
