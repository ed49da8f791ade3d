//! `Dense`: `activation(x · kernel + bias)`.

use std::ops::Range;

use serde_json::{Map, Value, json};

use super::arguments::Config;
use super::base::{self, Backward, Base, Flow, Forward, OnDevice, Op, Scratch, Weight, Weights};
use super::base::{layer_options, op_base};
use crate::activations::Activation;
use crate::constraints::Constraint;
use crate::initializers::Initializer;
use crate::regularizers::Regularizer;
use crate::{Error, Result, matmul, simd};

/// A fully connected layer on the last axis: `activation(x · kernel + bias)`.
///
/// # Shapes
///
/// * `x` - `[rows, .., inputs]`
/// * `kernel` - `[inputs, units]`
/// * `bias` - `[units]`
/// * output - `[rows, .., units]`
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// Size of the output's last axis.
    pub units: usize,
    /// Defaults to linear.
    pub activation: Activation,
    /// Defaults to true.
    pub use_bias: bool,
    /// Defaults to glorot_uniform.
    pub kernel_initializer: Initializer,
    /// Defaults to zeros.
    pub bias_initializer: Initializer,
    /// Defaults to none.
    pub kernel_regularizer: Option<Regularizer>,
    /// Defaults to none.
    pub bias_regularizer: Option<Regularizer>,
    /// Defaults to none.
    pub kernel_constraint: Option<Constraint>,
    /// Defaults to none.
    pub bias_constraint: Option<Constraint>,
    /// Name, trainable and the like.
    pub base: Base,
    #[doc(hidden)]
    pub built: Built,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Built {
    inputs: usize,
    units: usize,
    kernel: Range<usize>,
    bias: Option<Range<usize>>,
}

layer_options!(Dense);

impl Dense {
    /// A linear layer with a bias.
    pub fn new(units: usize) -> Self {
        Self {
            units,
            activation: Activation::Linear,
            use_bias: true,
            kernel_initializer: Initializer::GlorotUniform { seed: None },
            bias_initializer: Initializer::Zeros,
            kernel_regularizer: None,
            bias_regularizer: None,
            kernel_constraint: None,
            bias_constraint: None,
            base: Base::default(),
            built: Built::default(),
        }
    }

    /// The same layer with another activation, or one of Keras' names such as `"relu"`. A name that
    /// there is not is an error when the layer is added.
    pub fn with_activation(
        mut self,
        activation: impl TryInto<Activation, Error: Into<Error>>,
    ) -> Self {
        self.activation = self.base.settle(activation, Activation::Linear);
        self
    }

    /// The same layer without a bias.
    pub fn without_bias(mut self) -> Self {
        self.use_bias = false;
        self
    }

    pub(crate) fn from_config(config: &Config) -> Result<Self> {
        // What it learnt beside the kernel is added to it in files.
        if let Some(quantization) = config.get("quantization_config")
            && quantization["class_name"] != "Int8QuantizationConfig"
        {
            return Err(Error::unsupported(format!(
                "Dense {}: quantization_config is of class {}, expected none or Int8QuantizationConfig; save the model before it is quantized, or quantized to int8",
                config.get("name").unwrap_or(&Value::Null),
                quantization["class_name"]
            )));
        }
        Ok(Self {
            units: config.positive("units")?,
            activation: config.activation("activation")?,
            use_bias: config.bool("use_bias", true)?,
            kernel_initializer: config.initializer(
                "kernel_initializer",
                Initializer::GlorotUniform { seed: None },
            )?,
            bias_initializer: config.initializer("bias_initializer", Initializer::Zeros)?,
            kernel_regularizer: config.regularizer("kernel_regularizer")?,
            bias_regularizer: config.regularizer("bias_regularizer")?,
            kernel_constraint: config.constraint("kernel_constraint")?,
            bias_constraint: config.constraint("bias_constraint")?,
            base: Base::from_config(config)?,
            built: Built::default(),
        })
    }

    /// Whether the sums before the activation must be kept beside the outputs.
    fn keeps_sums(&self, training: bool, logits: bool) -> bool {
        self.activation != Activation::Linear
            && (logits || (training && self.activation.needs_input()))
    }
}

impl Op for Dense {
    op_base!();

    fn other_keys(&self) -> &'static [&'static str] {
        &["lora_rank", "lora_alpha", "quantization_config"]
    }

    fn on_device(&self, _built: &base::Built) -> OnDevice {
        OnDevice::Dense
    }

    fn extend_config(&self, config: &mut Map<String, Value>) {
        let entries = [
            ("units", json!(self.units)),
            ("activation", self.activation.config()),
            ("use_bias", json!(self.use_bias)),
            ("kernel_initializer", self.kernel_initializer.config()),
            ("bias_initializer", self.bias_initializer.config()),
            (
                "kernel_regularizer",
                super::regularizer_config(&self.kernel_regularizer),
            ),
            (
                "bias_regularizer",
                super::regularizer_config(&self.bias_regularizer),
            ),
            (
                "kernel_constraint",
                super::constraint_config(&self.kernel_constraint),
            ),
            (
                "bias_constraint",
                super::constraint_config(&self.bias_constraint),
            ),
            ("quantization_config", Value::Null),
        ];
        config.extend(entries.map(|(key, value)| (key.to_string(), value)));
    }

    fn has_build_config(&self) -> bool {
        true
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        if self.units == 0 {
            return Err(Error::value(
                "Dense: units is 0, expected a positive integer",
            ));
        }
        let mut output = input.to_vec();
        match output.last_mut() {
            Some(last) => *last = self.units,
            None => {
                return Err(Error::shape(format!(
                    "Dense {:?}: inputs have one value per row and no feature axis, expected shape (None, features); reshape them to two axes",
                    self.base.name(),
                )));
            }
        }
        Ok(output)
    }

    fn build(&mut self, input: &[usize], weights: &mut Weights) -> Result<()> {
        let inputs = input.last().copied().unwrap_or_default();
        let kernel = Weight {
            regularizer: self.kernel_regularizer.clone(),
            constraint: self.kernel_constraint.clone(),
            ..Weight::new("kernel", &self.kernel_initializer)
        };
        let kernel = weights.add(kernel, &[inputs, self.units])?;
        let bias = self
            .use_bias
            .then(|| {
                let bias = Weight {
                    regularizer: self.bias_regularizer.clone(),
                    constraint: self.bias_constraint.clone(),
                    ..Weight::new("bias", &self.bias_initializer)
                };
                weights.add(bias, &[self.units])
            })
            .transpose()?;
        self.built = Built {
            inputs,
            units: self.units,
            kernel,
            bias,
        };
        Ok(())
    }

    fn flow(&self, _training: bool) -> Flow {
        Flow::Apart
    }

    fn activation(&self) -> Option<Activation> {
        Some(self.activation.clone())
    }

    fn scratch_len(&self, pass: &Scratch) -> usize {
        if self.keeps_sums(pass.training, pass.logits) {
            pass.rows * pass.outputs
        } else {
            0
        }
    }

    fn forward(&self, pass: Forward) {
        let Built { inputs, units, .. } = self.built;
        let kernel = &pass.values[self.built.kernel.clone()];
        let y = pass.y;
        matmul::set(pass.x, kernel, y, inputs, units);
        // After the product, as Keras rounds it: the other way round, MLPerf Tiny's anomaly model
        // is off by 2.6e-5 in place of 0.9e-5.
        if let Some(bias) = &self.built.bias {
            let bias = &pass.values[bias.clone()];
            simd::widest(
                #[inline(always)]
                || {
                    for row in y.chunks_exact_mut(units) {
                        row.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias);
                    }
                },
            );
        }
        if !pass.scratch.is_empty() {
            pass.scratch.copy_from_slice(y);
        }
        self.activation.forward(y, units);
    }

    fn backward(&self, pass: Backward) {
        let Built { inputs, units, .. } = self.built;
        let dy = pass.dy;
        if !pass.from_logits {
            // An activation that does not need its input never looks at it.
            let sums = if pass.scratch.is_empty() {
                pass.y
            } else {
                &*pass.scratch
            };
            self.activation.backward(sums, pass.y, dy, units);
        }
        if pass.trainable {
            if let Some(bias) = &self.built.bias {
                matmul::sum_rows(dy, &mut pass.grads[bias.clone()]);
            }
            let kernel = &mut pass.grads[self.built.kernel.clone()];
            matmul::set_left_transposed(pass.x, dy, kernel, inputs, units);
        }
        if let Some(dx) = pass.dx {
            let kernel = &pass.values[self.built.kernel.clone()];
            matmul::set_right_transposed(dy, kernel, dx, units, inputs);
        }
    }

    fn logits<'a>(&self, _x: &'a [f32], scratch: &'a [f32]) -> &'a [f32] {
        scratch
    }
}
