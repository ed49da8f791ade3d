//! A blob's layers as matrices of integers.

use thumbnet_runtime::{Activation, Element, Model, Operation, Tensors};

use crate::error::{Error, Result};

/// A model whose inputs are quantized once, and whose layers are sums of integers from there to the outputs.
#[derive(Clone, Debug)]
pub struct Network<'a> {
    /// The blob's own code: the arithmetic that everything here is held against.
    pub model: Model<'a, 255>,
    /// The blob.
    pub bytes: &'a [u8],
    pub(crate) quantization: Tensors<'a>,
    /// The hidden layers and the last one.
    pub(crate) layers: Vec<Layer<'a>>,
    /// Of the last layer, what one sum stands for.
    pub(crate) scales: Vec<f32>,
    pub(crate) head: Head<'a>,
}

/// What becomes of the last layer's floats.
#[derive(Clone, Debug)]
pub(crate) struct Head<'a> {
    pub tensors: Tensors<'a>,
    pub activation: Activation,
    /// From which on a single output is class 1.
    pub threshold: f32,
    /// The greatest magnitude of each output before the activation.
    pub sizes: Vec<f64>,
    /// How far each may be from the real number that bounds are about.
    pub roundings: Vec<f64>,
}

impl Head<'_> {
    pub fn outputs(&self) -> usize {
        self.sizes.len()
    }

    /// The activation, by the device's own code.
    pub fn activate(&self, outputs: &mut [f32]) {
        if self.activation != Activation::Linear {
            self.tensors.activate(outputs);
        }
    }
}

/// A dense layer: `sum = weights · x + bias`, then an integer of it, or, of the last layer, a float.
#[derive(Clone, Debug)]
pub(crate) struct Layer<'a> {
    tensors: Tensors<'a>,
    pub inputs: usize,
    pub units: usize,
    /// `[units, inputs]`.
    pub weights: Vec<i32>,
    pub bias: Vec<i32>,
    /// What a sum is multiplied by, in 2^-`shift`; of the last layer unused.
    pub multipliers: Vec<i32>,
    /// 24 behind int8 inputs, 32 behind int16 ones.
    pub shift: u32,
    /// The greatest magnitude of an input.
    pub input_limit: i32,
    /// The greatest magnitude of an output; 0 for the last layer.
    pub limit: i32,
    /// The greatest magnitude of each unit's sum, below 2^31.
    pub greatest_sum: Vec<i64>,
    /// The output for each integer from `-limit` to `limit`, where there is a table.
    pub table: Vec<i32>,
    /// A row of a layer that goes row by row: how many units and inputs it has.
    row: (usize, usize),
}

impl<'a> Network<'a> {
    /// Takes a blob apart.
    ///
    /// # Errors
    ///
    /// [`Error::Blob`] where the blob is damaged or its weights could overflow a sum, [`Error::Layer`] where it
    /// has layers of floats.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let model = Model::<255>::from_bytes(bytes).map_err(Error::Blob)?;
        // No sum wraps then, and everything below may take sums for what they are.
        model.verify_weights().map_err(Error::Blob)?;
        let infos: Vec<_> = model.layers().collect();
        let mut quantization = None;
        let mut layers = Vec::new();
        let mut scales = Vec::new();
        let mut activation = Activation::Linear;
        let mut input = Element::Float;
        for (index, info) in infos.iter().enumerate() {
            let tensors = model.tensors(index).expect("the model has that layer");
            let refused = |what: &str| {
                Err(Error::Layer {
                    layer: index,
                    what: what.to_string(),
                    fix: "export with --dtype int8, int4 or int16x8, without layers of floats between",
                })
            };
            let dense = matches!(
                tensors.operation(),
                Operation::DenseInt8 | Operation::DenseInt4 | Operation::DenseInt16
            );
            match tensors.operation() {
                Operation::QuantizeTensor | Operation::QuantizeFeatures if index == 0 => {
                    if info.output == Element::Float {
                        return refused("scales floats");
                    }
                    quantization = Some(tensors);
                }
                _ if dense && index > 0 => {
                    let layer = Layer::new(
                        tensors,
                        info.rows,
                        info.inputs,
                        info.units,
                        input,
                        info.output,
                    );
                    if info.output == Element::Float {
                        if index + 1 != infos.len() {
                            return refused("writes floats that another layer reads");
                        }
                        if info.rows > 1
                            && matches!(
                                info.activation,
                                Activation::Softmax | Activation::LogSoftmax
                            )
                        {
                            return Err(Error::Layer {
                                layer: index,
                                what: "applies a softmax to each of its rows".into(),
                                fix: "export the model without its last activation",
                            });
                        }
                        scales = (0..info.units)
                            .map(|unit| f32::from_bits(tensors.scale(unit % layer.row.0)))
                            .collect();
                        activation = info.activation;
                    }
                    layers.push(layer);
                }
                other => return refused(&format!("is {other:?}")),
            }
            input = info.output;
        }
        let (Some(quantization), false) = (quantization, scales.is_empty()) else {
            return Err(Error::Layer {
                layer: 0,
                what: "does not quantize".into(),
                fix: "export with --dtype int8",
            });
        };
        let (Some(last), Some(tensors)) = (layers.last(), model.tensors(infos.len() - 1)) else {
            unreachable!("there are scales, which are those of a layer");
        };
        // At most 2^31 times a float: exact in f64.
        let sizes: Vec<f64> = scales
            .iter()
            .zip(&last.greatest_sum)
            .map(|(&scale, &sum)| f64::from(scale).abs() * sum as f64)
            .collect();
        // The sum becomes a float, and is multiplied: two roundings, of 2^-24 each, or, for products below the
        // least normal number, 2^-149.
        let roundings = sizes
            .iter()
            .map(|size| size * 2f64.powi(-22) + f64::from(f32::MIN_POSITIVE));
        let head = Head {
            tensors,
            activation,
            threshold: model.threshold().unwrap_or(0.5),
            roundings: roundings.collect(),
            sizes,
        };
        Ok(Self {
            model,
            bytes,
            quantization,
            layers,
            scales,
            head,
        })
    }

    /// The layers up to one, of whose sums each stands for itself; all of it up to the last.
    pub(crate) fn until(&self, layer: usize) -> Self {
        let mut network = self.clone();
        if layer + 1 == self.layers.len() {
            return network;
        }
        network.layers.truncate(layer + 1);
        let units = network.last().units;
        network.scales = vec![1.0; units];
        network.head.activation = Activation::Linear;
        network.head.sizes = vec![0.0; units]; // of no use here
        network.head.roundings = vec![0.0; units];
        network
    }

    /// What each layer writes for quantized inputs: the hidden ones integers; of [`Self::until`] the last, too.
    pub(crate) fn trace(&self, quantized: &[i32]) -> Vec<Vec<f64>> {
        let mut values = quantized.to_vec();
        let mut found = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            if layer.limit == 0 {
                found.push(self.floats(&values).into_iter().map(f64::from).collect());
                break;
            }
            values = layer.written(&values);
            found.push(values.iter().map(|&value| value.into()).collect());
        }
        found
    }

    /// Whether `f32` holds all sums.
    pub(crate) fn is_narrow(&self) -> bool {
        self.layers.iter().all(|layer| layer.input_limit == 127)
    }

    /// Values of an input row.
    pub fn inputs(&self) -> usize {
        self.model.inputs()
    }

    /// Values of an output row.
    pub fn outputs(&self) -> usize {
        self.scales.len()
    }

    pub(crate) fn last(&self) -> &Layer<'a> {
        self.layers
            .last()
            .expect("there is a layer that writes floats")
    }

    pub(crate) fn hidden(&self) -> &[Layer<'a>] {
        &self.layers[..self.layers.len() - 1]
    }

    /// The outputs for a row, as the device has them.
    ///
    /// # Errors
    ///
    /// [`Error::Property`] where an input is not finite or too large to be scaled.
    pub fn predict(&self, row: &[f32]) -> Result<Vec<f32>> {
        let mut scratch = vec![0; self.model.scratch_len()];
        let mut outputs = vec![0.0; self.outputs()];
        self.model
            .predict(row, &mut scratch, &mut outputs)
            .map_err(|error| {
                Error::Property(format!("inputs {row:?} are refused by the model: {error}"))
            })?;
        Ok(outputs)
    }

    /// The outputs for quantized inputs, by the plain sums and the device's own arithmetic on each of them.
    pub(crate) fn outputs_of(&self, quantized: &[i32]) -> Vec<f32> {
        let mut values = quantized.to_vec();
        for layer in self.hidden() {
            values = layer.written(&values);
        }
        self.floats(&values)
    }

    /// What the last layer makes of its inputs.
    fn floats(&self, values: &[i32]) -> Vec<f32> {
        let last = self.last();
        let mut outputs: Vec<f32> = (0..last.units)
            .map(|unit| {
                last.tensors
                    .float(unit % last.row.0, last.sum(unit, values))
            })
            .collect();
        last.tensors.activate(&mut outputs);
        outputs
    }
}

impl<'a> Layer<'a> {
    fn new(
        tensors: Tensors<'a>,
        rows: usize,
        inputs: usize,
        units: usize,
        input: Element,
        output: Element,
    ) -> Self {
        let row = (units / rows, inputs / rows);
        let mut weights = vec![0; units * inputs];
        for unit in 0..units {
            let (place, of_row) = (unit / row.0, unit % row.0);
            for i in 0..row.1 {
                weights[unit * inputs + place * row.1 + i] = tensors.weight(of_row, i);
            }
        }
        let bias: Vec<i32> = (0..units).map(|unit| tensors.bias(unit % row.0)).collect();
        let wide = input == Element::Int16;
        let limit = match output {
            Element::Int8 | Element::Int8Wide => 127,
            Element::Int16 => 32767,
            Element::Float => 0,
        };
        let input_limit = if wide { 32767 } else { 127 };
        let sizes = weights.chunks_exact(inputs).zip(&bias).map(|(row, bias)| {
            let size: i64 = row.iter().map(|w| i64::from(w.abs())).sum();
            size * i64::from(input_limit) + i64::from(bias.abs())
        });
        let greatest_sum = sizes.collect();
        let mut layer = Self {
            tensors,
            inputs,
            units,
            weights,
            bias,
            greatest_sum,
            multipliers: (0..units)
                .map(|unit| tensors.scale(unit % row.0).cast_signed())
                .collect(),
            shift: if wide { 32 } else { 24 },
            input_limit,
            limit,
            table: Vec::new(),
            row,
        };
        if limit > 0 {
            layer.table = (-limit..=limit)
                .map_while(|level| tensors.looked_up(level))
                .collect();
        }
        layer
    }

    /// The sum of a unit.
    pub fn sum(&self, unit: usize, values: &[i32]) -> i32 {
        let weights = &self.weights[unit * self.inputs..][..self.inputs];
        let products = weights.iter().zip(values).map(|(w, x)| w * x);
        self.bias[unit] + products.sum::<i32>()
    }

    /// What all units write.
    fn written(&self, values: &[i32]) -> Vec<i32> {
        let units = 0..self.units;
        units
            .map(|unit| self.write(unit, self.sum(unit, values)))
            .collect()
    }

    /// What a unit writes for its sum, by the device's own code.
    pub fn write(&self, unit: usize, sum: i32) -> i32 {
        self.tensors.integer(unit % self.row.0, sum)
    }

    /// The integer of a sum before the table: rises with the sum, since multipliers are not negative.
    pub fn level(&self, unit: usize, sum: i64) -> i32 {
        let limit = i64::from(self.limit);
        self.scaled(unit, sum).clamp(-limit, limit) as i32 // in the range of i32
    }

    /// The integer of a sum before any clamp.
    pub fn scaled(&self, unit: usize, sum: i64) -> i64 {
        let product = sum * i64::from(self.multipliers[unit]) + (1 << (self.shift - 1));
        product >> self.shift
    }

    /// What an integer becomes by the table.
    pub fn looked_up(&self, level: i32) -> i32 {
        let entry = self.table.get((level + self.limit) as usize); // at least 0
        entry.copied().unwrap_or(level)
    }
}
