//! `Masking`: steps that hold nothing but one value become 0, and layers behind may leave them out.

use serde_json::{Map, Value, json};

use super::Layer;
use super::arguments::Config;
use super::base::{Backward, Base, Built, Flow, Forward, OnDevice, Op};
use super::base::{layer_options, op_base};
use crate::{Error, Result};

/// Sets steps of which every feature is `mask_value` to 0.
///
/// Keras' layers behind it that know which steps these were are refused: a `GlobalAveragePooling1D`
/// averages the others alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Masking {
    /// Defaults to 0.
    pub mask_value: f64,
    /// Name, trainable and the like.
    pub base: Base,
}

layer_options!(Masking);

impl Masking {
    /// Masks steps of this value alone.
    pub fn new(mask_value: f64) -> Self {
        Self {
            mask_value,
            base: Base::default(),
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        Ok(Self {
            mask_value: config.f64("mask_value", 0.0)?,
            base: Base::from_config(config)?,
        })
    }
}

impl Op for Masking {
    op_base!();

    fn extend_config(&self, config: &mut Map<String, Value>) {
        config.insert("mask_value".into(), json!(self.mask_value));
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        match input.len() {
            2.. => Ok(input.to_vec()),
            _ => Err(Error::shape(format!(
                "Masking: samples have the shape {input:?}, expected [steps, features]; reshape them"
            ))),
        }
    }

    fn flow(&self, _training: bool) -> Flow {
        if self.mask_value == 0.0 {
            // What is 0 stays 0.
            Flow::Same
        } else {
            Flow::InPlace
        }
    }

    fn on_device(&self, _built: &Built) -> OnDevice {
        if self.mask_value == 0.0 {
            OnDevice::Nothing
        } else {
            OnDevice::Refused("use mask_value 0, which changes no value")
        }
    }

    fn forward(&self, pass: Forward) {
        let mask = self.mask_value as f32; // Keras compares in f32, too
        pass.y.copy_from_slice(pass.x);
        for step in pass.y.chunks_exact_mut(pass.width) {
            if step.iter().all(|value| *value == mask) {
                step.fill(0.0);
            }
        }
    }

    fn backward(&self, pass: Backward) {
        let mask = self.mask_value as f32; // as above
        let steps = pass.dy.chunks_exact_mut(pass.width);
        for (dy, x) in steps.zip(pass.x.chunks_exact(pass.width)) {
            if x.iter().all(|value| *value == mask) {
                dy.fill(0.0);
            }
        }
    }
}

/// What a layer does with the mask that one before it made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mask {
    /// Makes one.
    Made,
    /// Passes it on.
    Passed,
    /// Leaves it behind, as Keras does with a warning.
    Dropped,
    /// Computes by it.
    Used,
}

impl Layer {
    /// What it does with a mask in inference.
    pub(crate) fn mask(&self) -> Mask {
        match self {
            Self::Masking(_) => Mask::Made,
            Self::Embedding(embedding) if embedding.mask_zero => Mask::Made,
            Self::Softmax(_) | Self::GlobalAveragePooling1D(_) => Mask::Used,
            Self::Input(_)
            | Self::Dense(_)
            | Self::Activation(_)
            | Self::ReLU(_)
            | Self::LeakyReLU(_)
            | Self::PReLU(_)
            | Self::ELU(_)
            | Self::Dropout(_)
            | Self::AlphaDropout(_)
            | Self::GaussianNoise(_)
            | Self::GaussianDropout(_)
            | Self::SpatialDropout1D(_)
            | Self::SpatialDropout2D(_)
            | Self::BatchNormalization(_)
            | Self::LayerNormalization(_)
            | Self::UnitNormalization(_)
            | Self::GroupNormalization(_)
            | Self::Normalization(_)
            | Self::Rescaling(_)
            | Self::Identity(_)
            | Self::ActivityRegularization(_)
            | Self::Sequential(_)
            | Self::Custom(_) => Mask::Passed,
            Self::Flatten(_)
            | Self::Embedding(_)
            | Self::CategoryEncoding(_)
            | Self::Discretization(_)
            | Self::Reshape(_)
            | Self::RMSNormalization(_)
            | Self::Permute(_)
            | Self::RepeatVector(_)
            | Self::ZeroPadding1D(_)
            | Self::Cropping1D(_)
            | Self::UpSampling1D(_)
            | Self::GetItem(_)
            | Self::AveragePooling1D(_)
            | Self::AveragePooling2D(_)
            | Self::MaxPooling1D(_)
            | Self::MaxPooling2D(_)
            | Self::GlobalAveragePooling2D(_)
            | Self::GlobalMaxPooling1D(_)
            | Self::GlobalMaxPooling2D(_) => Mask::Dropped,
        }
    }
}

/// Refuses a layer that Keras computes by the mask of one before it; says whether there is one behind it.
///
/// # Errors
///
/// [`Error::Unsupported`] for such a layer.
pub(crate) fn after(layer: &Layer, masked_by: Option<String>) -> Result<Option<String>> {
    match (layer.mask(), masked_by) {
        (Mask::Made, _) => Ok(Some(layer.name().to_string())),
        (Mask::Passed, by) => Ok(by),
        (Mask::Dropped, _) | (Mask::Used, None) => Ok(None),
        (Mask::Used, Some(by)) => Err(Error::unsupported(format!(
            "layer {:?} is a {} behind the mask of {by:?}: Keras leaves the masked steps out, which thumbnet does not; remove the mask, or flatten before",
            layer.name(),
            layer.class_name()
        ))),
    }
}
