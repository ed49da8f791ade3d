//! A device model over many rows at once.
//!
//! The sums of a layer of integers come from one product of matrices of floats: whole numbers below 2^24, which
//! `f32` has all, so that no order of additions rounds. All else is the runtime's own arithmetic.

use thumbnet_runtime::{Activation, Element, Model, Operation, Tensors};

use crate::{matmul, simd};

/// Whole numbers up to here are floats.
const EXACT: i64 = 1 << 24;
/// Values that are finished together: a few rows of a narrow layer.
const TILE: usize = 256;

/// A model that quantizes its inputs and has layers of integers from there to its outputs.
pub(super) struct Batch<'a> {
    quantization: Tensors<'a>,
    inputs: usize,
    layers: Vec<Layer<'a>>,
}

/// A dense layer; of one that goes row by row, what it does to a row.
struct Layer<'a> {
    tensors: Tensors<'a>,
    inputs: usize,
    units: usize,
    /// `[inputs, units]`.
    weights: Vec<f32>,
    /// Whether the inputs are int16, whose products with weights are not below 2^24.
    wide: bool,
    /// Of the units, again and again up to a tile.
    bias: Vec<i32>,
    scales: Vec<u32>,
    output: Element,
    activation: Activation,
}

/// What a pass writes on its way.
#[derive(Default)]
pub(super) struct Buffers {
    values: Vec<f32>,
    /// Half of each value, where these are int16.
    bytes: Vec<f32>,
    products: Vec<f32>,
    high: Vec<f32>,
    sums: Vec<i32>,
}

impl<'a> Batch<'a> {
    /// `None` for a model that is to be run row by row: with layers of floats before its outputs, or weights so
    /// large that floats may not have a sum.
    pub fn new<const LAYERS: usize>(model: &Model<'a, LAYERS>) -> Option<Self> {
        let mut infos = model.layers().enumerate();
        let (_, first) = infos.next()?;
        let quantizes = matches!(
            first.operation,
            Operation::QuantizeTensor | Operation::QuantizeFeatures
        );
        if !quantizes || first.output == Element::Float || first.activation != Activation::Linear {
            return None;
        }
        let mut input = first.output;
        let mut layers = Vec::new();
        for (index, info) in infos {
            let dense = matches!(
                info.operation,
                Operation::DenseInt8 | Operation::DenseInt4 | Operation::DenseInt16
            );
            if !dense || input == Element::Float {
                return None;
            }
            let (inputs, units) = (info.inputs / info.rows, info.units / info.rows);
            let tensors = model.tensors(index)?;
            layers.push(Layer::new(tensors, inputs, units, input, info)?);
            input = info.output;
        }
        (input == Element::Float).then_some(Self {
            quantization: model.tensors(0)?,
            inputs: model.inputs(),
            layers,
        })
    }

    /// Predicts rows `x`, `[rows, inputs]`, into `outputs`, `[rows, outputs]`. False where a value is not finite:
    /// the runtime says which.
    pub fn predict(&self, x: &[f32], buffers: &mut Buffers, outputs: &mut [f32]) -> bool {
        buffers.values.resize(x.len(), 0.0);
        let values = &mut buffers.values;
        let mut finite = true;
        simd::widest(
            #[inline(always)]
            || {
                let rows = x.chunks_exact(self.inputs);
                for (x, to) in rows.zip(values.chunks_exact_mut(self.inputs)) {
                    finite &= self.quantization.quantize_row(x, to);
                }
            },
        );
        for layer in &self.layers {
            layer.sum(buffers);
            if layer.output == Element::Float {
                finite &= layer.write(&buffers.sums, outputs);
            } else {
                layer.requantize(buffers);
            }
        }
        finite
    }
}

impl<'a> Layer<'a> {
    fn new(
        tensors: Tensors<'a>,
        inputs: usize,
        units: usize,
        input: Element,
        info: thumbnet_runtime::LayerInfo,
    ) -> Option<Self> {
        let wide = input == Element::Int16;
        // Of an int16 input the low byte is the larger half.
        let greatest = if wide { 255 } else { 127 };
        let mut weights = vec![0.0; inputs * units];
        for unit in 0..units {
            let mut sum = 0;
            for i in 0..inputs {
                let weight = tensors.weight(unit, i);
                weights[i * units + unit] = weight as f32; // at most 127
                sum += i64::from(weight.abs());
            }
            if sum * greatest > EXACT {
                return None;
            }
        }
        Some(Self {
            tensors,
            inputs,
            units,
            weights,
            wide,
            bias: tiled(units, |unit| tensors.bias(unit)),
            scales: tiled(units, |unit| tensors.scale(unit)),
            output: info.output,
            activation: info.activation,
        })
    }

    /// The sums of all units, from `values`, which an int16 layer splits into its bytes.
    fn sum(&self, buffers: &mut Buffers) {
        let Buffers {
            values,
            bytes,
            products,
            high,
            sums,
        } = buffers;
        let count = values.len() / self.inputs * self.units;
        products.resize(count, 0.0);
        sums.resize(count, 0);
        if self.wide {
            high.resize(count, 0.0);
            bytes.resize(values.len(), 0.0);
            split(values, bytes, |value| value >> 8);
            matmul::set(bytes, &self.weights, high, self.inputs, self.units);
            split(values, bytes, |value| value & 255);
            matmul::set(bytes, &self.weights, products, self.inputs, self.units);
        } else {
            matmul::set(values, &self.weights, products, self.inputs, self.units);
        }
        simd::widest(
            #[inline(always)]
            || {
                let tile = self.bias.len();
                let tiles = sums.chunks_mut(tile).zip(products.chunks(tile));
                for (sums, products) in tiles {
                    for ((sum, &product), &bias) in sums.iter_mut().zip(products).zip(&self.bias) {
                        *sum = bias.wrapping_add(product as i32); // a whole number
                    }
                }
                if self.wide {
                    for (sum, &high) in sums.iter_mut().zip(&*high) {
                        *sum = sum.wrapping_add((high as i32).wrapping_shl(8));
                    }
                }
            },
        );
    }

    /// `values` from the sums.
    fn requantize(&self, buffers: &mut Buffers) {
        let Buffers { values, sums, .. } = buffers;
        values.resize(sums.len(), 0.0);
        simd::widest(
            #[inline(always)]
            || {
                let tile = self.scales.len();
                for (sums, values) in sums.chunks_mut(tile).zip(values.chunks_mut(tile)) {
                    self.tensors.integers(sums, &self.scales);
                    for (value, &sum) in values.iter_mut().zip(&*sums) {
                        *value = sum as f32; // at most 32767
                    }
                }
            },
        );
    }

    /// The outputs from the sums.
    fn write(&self, sums: &[i32], outputs: &mut [f32]) -> bool {
        simd::widest(
            #[inline(always)]
            || {
                let tile = self.scales.len();
                for (sums, outputs) in sums.chunks(tile).zip(outputs.chunks_mut(tile)) {
                    self.tensors.floats(sums, &self.scales, outputs);
                }
            },
        );
        self.activation == Activation::Linear
            || outputs
                .chunks_exact_mut(self.units)
                .all(|row| self.tensors.activate(row))
    }
}

/// Something of each unit, again and again up to a tile.
fn tiled<T>(units: usize, of: impl Fn(usize) -> T) -> Vec<T> {
    let count = units * TILE.div_ceil(units);
    (0..count).map(|at| of(at % units)).collect()
}

/// One byte of each value.
fn split(values: &[f32], bytes: &mut [f32], byte: impl Fn(i32) -> i32) {
    simd::widest(
        #[inline(always)]
        || {
            for (to, &value) in bytes.iter_mut().zip(values) {
                *to = byte(value as i32) as f32; // whole numbers of 16 bits
            }
        },
    );
}
