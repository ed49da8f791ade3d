//! `RMSNormalization`: each sample by its root mean square.

use std::ops::Range;

use serde_json::{Map, Value, json};

use super::arguments::Config;
use super::base::{self, Backward, Base, Flow, Forward, OnDevice, Op, Scratch, Weight, Weights};
use super::base::{ELSEWHERE, NormalizeStep, Normalized, layer_options, op_base};
use super::groups::Groups;
use crate::initializers::Initializer;
use crate::{Error, Result};

/// Divides the values along the last axes of each sample by their root mean square, then multiplies by
/// a learnt scale.
#[derive(Clone, Debug, PartialEq)]
pub struct RMSNormalization {
    /// The axes to normalize over, the last ones of a sample. Defaults to `[-1]`.
    pub axis: Vec<i64>,
    /// Added to the mean square. Defaults to 0.000001.
    pub epsilon: f64,
    /// Name, trainable and the like.
    pub base: Base,
    #[doc(hidden)]
    pub built: Option<Built>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Built {
    groups: Groups,
    scale: Range<usize>,
}

layer_options!(RMSNormalization);

impl Default for RMSNormalization {
    fn default() -> Self {
        Self::new()
    }
}

impl RMSNormalization {
    /// Normalizes over the last axis.
    pub fn new() -> Self {
        Self {
            axis: vec![-1],
            epsilon: 1e-6,
            base: Base::default(),
            built: None,
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        Ok(Self {
            axis: config.axes()?,
            epsilon: config.f64("epsilon", 1e-6)?,
            base: Base::from_config(config)?,
            built: None,
        })
    }

    fn groups(&self, input: &[usize]) -> Result<(Groups, Vec<usize>)> {
        let (groups, sizes) = Groups::new(&self.axis, input, "RMSNormalization")?;
        // Keras' scale has these sizes, and lies along the last axes.
        match input.ends_with(&sizes) && groups.is_contiguous() {
            true => Ok((groups, sizes)),
            false => Err(Error::unsupported(format!(
                "RMSNormalization over axis {:?} of samples of shape {input:?} is not over the last axes, along which Keras' scale lies; use axis -1, or permute the samples",
                self.axis
            ))),
        }
    }
}

impl Op for RMSNormalization {
    op_base!();

    fn extend_config(&self, config: &mut Map<String, Value>) {
        let axis = base::axis_config(&self.axis, self.built.is_some());
        config.insert("axis".into(), axis);
        config.insert("epsilon".into(), json!(self.epsilon));
    }

    fn has_build_config(&self) -> bool {
        true
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        self.groups(input)?;
        Ok(input.to_vec())
    }

    fn build(&mut self, input: &[usize], weights: &mut Weights) -> Result<()> {
        let (groups, sizes) = self.groups(input)?;
        let scale = weights.add(Weight::new("scale", &Initializer::Ones), &sizes)?;
        self.built = Some(Built { groups, scale });
        Ok(())
    }

    fn flow(&self, _training: bool) -> Flow {
        Flow::InPlace
    }

    fn on_device(&self, built: &base::Built) -> OnDevice {
        let groups = self.built.as_ref().map(|built| built.groups.clone());
        let groups = groups.unwrap_or_default();
        // Keras computes in f32, too.
        match NormalizeStep::of(&groups.positions(), f64::from(self.epsilon as f32)) {
            Some(step) => OnDevice::Normalize(Normalized {
                scale: groups.spread(&built.find("scale").unwrap_or_default()),
                offset: groups.spread(&vec![0.0; groups.len()]),
                step: NormalizeStep {
                    centered: false,
                    ..step
                },
            }),
            None => ELSEWHERE,
        }
    }

    fn scratch_len(&self, pass: &Scratch) -> usize {
        // 1 / root of every group.
        let len = self.built.as_ref().map_or(1, |built| built.groups.len());
        pass.rows * pass.outputs / len
    }

    fn forward(&self, pass: Forward) {
        let Built { groups, scale } = self.built.as_ref().expect("built");
        let (len, scale) = (groups.len(), &pass.values[scale.clone()]);
        let epsilon = self.epsilon as f32; // Keras computes in f32, too
        let rows = pass.x.chunks_exact(len).zip(pass.y.chunks_exact_mut(len));
        for ((x, y), inverse) in rows.zip(pass.scratch) {
            let squares = x.iter().map(|x| x * x).sum::<f32>();
            *inverse = 1.0 / (squares / len as f32 + epsilon).sqrt(); // a small count
            for ((y, x), scale) in y.iter_mut().zip(x).zip(scale) {
                *y = x * *inverse * scale;
            }
        }
    }

    fn backward(&self, pass: Backward) {
        let Built { groups, scale } = self.built.as_ref().expect("built");
        let (len, range) = (groups.len(), scale.clone());
        let scale = &pass.values[range.clone()];
        let gradient = &mut pass.grads[range];
        if pass.trainable {
            gradient.fill(0.0);
        }
        let rows = pass.x.chunks_exact(len).zip(pass.dy.chunks_exact_mut(len));
        for ((x, dy), &inverse) in rows.zip(&*pass.scratch) {
            if pass.trainable {
                for ((gradient, dy), x) in gradient.iter_mut().zip(&*dy).zip(x) {
                    *gradient += dy * (x * inverse);
                }
            }
            dy.iter_mut()
                .zip(scale)
                .for_each(|(dy, scale)| *dy *= scale);
            let along = dy.iter().zip(x).map(|(dy, x)| dy * (x * inverse));
            let along = along.sum::<f32>() / len as f32;
            for (dy, x) in dy.iter_mut().zip(x) {
                *dy = inverse * (*dy - x * inverse * along);
            }
        }
    }
}
