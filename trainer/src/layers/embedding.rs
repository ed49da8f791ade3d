//! `Embedding`: a vector for each category, learnt.

use std::ops::Range;

use serde_json::{Map, Value, json};

use super::arguments::Config;
use super::base::{self, Backward, Base, Flow, Forward, OnDevice, Op, Weight, Weights};
use super::base::{layer_options, op_base, value_count};
use super::lookup::{LookupStep, category};
use crate::constraints::Constraint;
use crate::initializers::Initializer;
use crate::regularizers::Regularizer;
use crate::{Error, Result};

/// A vector for each value of a sample, which is the number of a category from 0 to `input_dim` - 1: samples of shape
/// `[...]` become `[..., output_dim]`.
///
/// Numbers are rounded towards zero, as Keras does. Samples with others than these categories are refused.
///
/// A category's gradient is the sum of those of the values that have it, as in Keras on JAX and PyTorch. On TensorFlow Keras' optimizers that square
/// gradients, such as Adam, square them before that sum, where a category is in a batch more than once.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// How many categories there are.
    pub input_dim: usize,
    /// Values of a vector.
    pub output_dim: usize,
    /// Defaults to `RandomUniform` from -0.05 to 0.05.
    pub embeddings_initializer: Initializer,
    /// Defaults to none.
    pub embeddings_regularizer: Option<Regularizer>,
    /// Defaults to none.
    pub embeddings_constraint: Option<Constraint>,
    /// Whether category 0 says that a step does not count. Layers that would leave such steps out are refused.
    /// Defaults to false.
    pub mask_zero: bool,
    /// Name, trainable and the like.
    pub base: Base,
    #[doc(hidden)]
    pub built: Built,
}

/// Of a built layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Built {
    embeddings: Range<usize>,
    inputs: usize,
}

layer_options!(Embedding);

/// Keras' default.
const UNIFORM: Initializer = Initializer::RandomUniform {
    minval: -0.05,
    maxval: 0.05,
    seed: None,
};

impl Embedding {
    /// So many categories, with so many values each.
    pub fn new(input_dim: usize, output_dim: usize) -> Self {
        Self {
            input_dim,
            output_dim,
            embeddings_initializer: UNIFORM,
            embeddings_regularizer: None,
            embeddings_constraint: None,
            mask_zero: false,
            base: Base::default(),
            built: Built::default(),
        }
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        if !config.is_null("quantization_config") && config.get("quantization_config").is_some() {
            return Err(config.error(
                "quantization_config",
                "null; save the model before it is quantized",
            ));
        }
        let initializer = "embeddings_initializer";
        Ok(Self {
            embeddings_initializer: config.initializer(initializer, UNIFORM)?,
            embeddings_regularizer: config.regularizer("embeddings_regularizer")?,
            embeddings_constraint: config.constraint("embeddings_constraint")?,
            mask_zero: config.bool("mask_zero", false)?,
            base: Base::from_config(config)?,
            ..Self::new(
                config.positive("input_dim")?,
                config.positive("output_dim")?,
            )
        })
    }

    /// Each value's vector, as a range of the weights.
    fn vectors<'a>(&self, x: &'a [f32]) -> impl Iterator<Item = Option<Range<usize>>> + use<'a> {
        let (categories, width) = (self.input_dim, self.output_dim);
        let first = self.built.embeddings.start;
        x.iter().map(move |&x| {
            let start = first + category(x.into(), categories)? * width;
            Some(start..start + width)
        })
    }
}

impl Op for Embedding {
    op_base!();

    fn on_device(&self, built: &base::Built) -> OnDevice {
        OnDevice::Lookup(LookupStep {
            inputs: self.built.inputs,
            bounds: Vec::new(),
            units: self.output_dim,
            table: built.find("embeddings").unwrap_or_default(),
            zeros: false,
            scale: None,
            rounds: true,
        })
    }

    fn extend_config(&self, config: &mut Map<String, Value>) {
        let entries = [
            ("input_dim", json!(self.input_dim)),
            ("output_dim", json!(self.output_dim)),
            (
                "embeddings_initializer",
                self.embeddings_initializer.config(),
            ),
            (
                "embeddings_regularizer",
                super::regularizer_config(&self.embeddings_regularizer),
            ),
            (
                "embeddings_constraint",
                super::constraint_config(&self.embeddings_constraint),
            ),
            ("mask_zero", json!(self.mask_zero)),
            (
                "activity_regularizer",
                super::regularizer_config(&self.base.activity_regularizer),
            ),
            ("quantization_config", Value::Null),
        ];
        config.extend(entries.map(|(key, value)| (key.to_string(), value)));
    }

    fn other_keys(&self) -> &'static [&'static str] {
        &["input_length"]
    }

    fn has_build_config(&self) -> bool {
        true
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        if self.input_dim == 0 || self.output_dim == 0 {
            return Err(Error::shape(format!(
                "Embedding: input_dim is {} and output_dim is {}, expected positive integers",
                self.input_dim, self.output_dim
            )));
        }
        Ok([input, &[self.output_dim]].concat())
    }

    fn build(&mut self, input: &[usize], weights: &mut Weights) -> Result<()> {
        let embeddings = Weight {
            regularizer: self.embeddings_regularizer.clone(),
            constraint: self.embeddings_constraint.clone(),
            ..Weight::new("embeddings", &self.embeddings_initializer)
        };
        self.built.embeddings = weights.add(embeddings, &[self.input_dim, self.output_dim])?;
        self.built.inputs = value_count(input).unwrap_or_default();
        Ok(())
    }

    fn check_inputs(&self, x: &[f32]) -> Result<()> {
        let Some(at) = x
            .iter()
            .position(|&x| category(x.into(), self.input_dim).is_none())
        else {
            return Ok(());
        };
        Err(Error::value(format!(
            "layer {:?}: value {} of row {} is {}, expected a category from 0 to {}; number the categories from 0, or give the Embedding a larger input_dim",
            self.base.name(),
            at % self.built.inputs + 1,
            at / self.built.inputs + 1,
            x[at],
            self.input_dim - 1
        )))
    }

    fn flow(&self, _training: bool) -> Flow {
        Flow::Apart
    }

    fn forward(&self, pass: Forward) {
        let vectors = pass.y.chunks_exact_mut(self.output_dim);
        for (y, place) in vectors.zip(self.vectors(pass.x)) {
            match place {
                Some(place) => y.copy_from_slice(&pass.values[place]),
                // Behind other layers; samples are looked at before.
                None => y.fill(f32::NAN),
            }
        }
    }

    fn backward(&self, pass: Backward) {
        if pass.trainable {
            pass.grads[self.built.embeddings.clone()].fill(0.0);
            let vectors = pass.dy.chunks_exact(self.output_dim);
            for (dy, place) in vectors.zip(self.vectors(pass.x)) {
                let gradient = place
                    .map(|place| &mut pass.grads[place])
                    .unwrap_or_default();
                for (gradient, dy) in gradient.iter_mut().zip(dy) {
                    *gradient += dy;
                }
            }
        }
        // A category has no slope.
        if let Some(dx) = pass.dx {
            dx.fill(0.0);
        }
    }
}
