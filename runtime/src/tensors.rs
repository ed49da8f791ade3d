//! The numbers of a layer, for hosts that reason about a model.

use crate::blob::{Element, Operation};
use crate::isa::{portable, requantize};
use crate::layer::{
    ROWS, Shape, Step,
    words::{first_words, words},
};
use crate::model::{Model, are_finite};
use crate::{activation, float, quantize};

/// A layer's weights and its arithmetic, one value at a time, whatever its packing. By
/// [`Model::tensors`].
#[derive(Clone, Copy, Debug)]
pub struct Tensors<'a> {
    step: Step<'a>,
}

impl<'a, const LAYERS: usize> Model<'a, LAYERS> {
    /// The numbers of a layer; `None` beyond the last.
    pub fn tensors(&self, layer: usize) -> Option<Tensors<'a>> {
        let mut tensors = self.blob.tensors;
        let mut inputs = self.inputs();
        for (index, &packed) in self.blob.layers.iter().enumerate() {
            let step = Step::take(packed, inputs, tensors)?;
            if index == layer {
                return Some(Tensors { step });
            }
            tensors = step.behind;
            inputs = step.units();
        }
        None
    }
}

impl Tensors<'_> {
    /// What it does; of a layer that goes row by row, what it does to a row. The methods are for the operations
    /// that they name.
    pub fn operation(&self) -> Operation {
        self.step.layer.operation()
    }

    /// An input of a layer that quantizes to the integer that it becomes; `None` where that is not finite.
    pub fn quantize(&self, input: usize, x: f32) -> Option<i32> {
        let own = self.operation() == Operation::QuantizeFeatures;
        let pair = self.step.blocks.as_chunks::<8>().0;
        let pair = pair.get(if own { input } else { 0 }).unwrap_or(&[0; 8]);
        let (t, q) = self.affine(x, pair);
        t.is_finite().then_some(q)
    }

    /// [`quantize`](Self::quantize) of a whole row, `[inputs]`, each integer as a float. False where one is not
    /// finite.
    #[inline(always)]
    pub fn quantize_row(&self, x: &[f32], to: &mut [f32]) -> bool {
        let pairs = self.step.blocks.as_chunks::<8>().0;
        let mut finite = true;
        let mut each = |x: f32, to: &mut f32, pair: &[u8; 8]| {
            let (t, q) = self.affine(x, pair);
            finite &= t.is_finite();
            *to = q as f32; // at most 32767
        };
        if self.operation() == Operation::QuantizeFeatures {
            for ((&x, to), pair) in x.iter().zip(to).zip(pairs) {
                each(x, to, pair);
            }
        } else if let Some(pair) = pairs.first() {
            for (&x, to) in x.iter().zip(to) {
                each(x, to, pair);
            }
        }
        finite
    }

    /// What an input is once scaled, and the integer that it becomes.
    #[inline(always)]
    fn affine(&self, x: f32, pair: &[u8; 8]) -> (f32, i32) {
        let [a, b] = first_words::<2>(pair).map(f32::from_bits);
        let (t, q) = quantize::affine(x, a, b, self.step.layer.output().limit());
        (t, q - quantize::BASE)
    }

    /// A weight of a dense layer of integers.
    pub fn weight(&self, unit: usize, input: usize) -> i32 {
        let (block, row) = self.block(unit);
        portable::weight(&self.step, block, row, input)
    }

    /// A number of a unit of a dense layer of floats: at 0 its bias, then its weights. NaN where there is none.
    pub fn float_weight(&self, unit: usize, index: usize) -> f32 {
        let first = unit - unit % ROWS;
        let rows = ROWS.min(self.step.layer.units().saturating_sub(first));
        let block = first * (self.step.inputs + 1);
        let numbers = words(self.step.blocks).map(f32::from_bits);
        let mut numbers = numbers.skip(block + index * rows + unit % ROWS);
        let number = numbers.next().filter(|_| index <= self.step.inputs);
        number.unwrap_or(f32::NAN)
    }

    /// Of a layer that scales or quantizes what an input is multiplied with, and what is added then.
    pub fn factors(&self, input: usize) -> [f32; 2] {
        let own = self.operation() == Operation::QuantizeFeatures;
        let pairs = self.step.blocks.as_chunks::<8>().0;
        let pair = pairs.get(if own { input } else { 0 });
        let pair = pair.unwrap_or(&[0; 8]);
        first_words::<2>(pair).map(f32::from_bits)
    }

    /// The bias of a unit of a dense layer of integers.
    pub fn bias(&self, unit: usize) -> i32 {
        let (block, row) = self.block(unit);
        portable::bias(&self.step, block, row)
    }

    /// What the sum of a unit of a dense layer of integers is multiplied by, an integer for integer outputs
    /// (see [`OutputSpec`](crate::OutputSpec)), else the bits of an `f32`.
    pub fn scale(&self, unit: usize) -> u32 {
        let (block, row) = self.block(unit);
        words(self.step.scales(block)).nth(row).unwrap_or(0)
    }

    /// The sum of a unit to the integer that it writes.
    pub fn integer(&self, unit: usize, sum: i32) -> i32 {
        let word = self.put(unit, sum);
        if self.step.layer.output() == Element::Int8 {
            i32::from(word as i8) // its low byte is the value
        } else {
            i32::from(word as i16) // and here its low half
        }
    }

    /// [`integer`](Self::integer) of many sums, in place, each with the [`scale`](Self::scale) of its unit.
    #[inline(always)]
    pub fn integers(&self, sums: &mut [i32], scales: &[u32]) {
        let limit = self.step.layer.output().limit();
        let shift = requantize::shift(&self.step);
        for (sum, &scale) in sums.iter_mut().zip(scales) {
            *sum = requantize::requantize(*sum, shift, scale.cast_signed(), limit);
        }
        if !self.step.table.is_empty() {
            for sum in sums {
                *sum = self.looked_up(*sum).unwrap_or(*sum);
            }
        }
    }

    /// [`float`](Self::float) of many sums, each with the [`scale`](Self::scale) of its unit.
    #[inline(always)]
    pub fn floats(&self, sums: &[i32], scales: &[u32], to: &mut [f32]) {
        for ((to, &sum), &scale) in to.iter_mut().zip(sums).zip(scales) {
            *to = float::scale(sum, f32::from_bits(scale));
        }
    }

    /// What a level of a layer that writes integers, a requantized and clamped sum, becomes by its table;
    /// `None` where it has none.
    #[inline]
    pub fn looked_up(&self, level: i32) -> Option<i32> {
        if self.step.table.is_empty() {
            return None;
        }
        match self.step.layer.output() {
            Element::Float => None,
            Element::Int16 => Some(requantize::interpolate(
                level,
                requantize::entries(self.step.table),
            )),
            Element::Int8 | Element::Int8Wide => {
                let entry = self.step.table.get(level as usize & 0xFF);
                entry.map(|&value| i32::from(value.cast_signed()))
            }
        }
    }

    /// The sum of a unit to the float that it writes, before the activation.
    pub fn float(&self, unit: usize, sum: i32) -> f32 {
        f32::from_bits(self.put(unit, sum))
    }

    /// The activation of a layer that writes floats, on all of them. False where one is not finite then.
    pub fn activate(&self, outputs: &mut [f32]) -> bool {
        activation::activate(self.step.layer.activation(), self.step.table, outputs);
        are_finite(outputs)
    }

    fn put(&self, unit: usize, sum: i32) -> u32 {
        let mut to = [0];
        requantize::put(&self.step, sum, self.scale(unit), 0, &mut to);
        let [word] = to;
        word
    }

    fn block(&self, unit: usize) -> (&[u8], usize) {
        let shape = Shape::of(self.operation(), self.step.layer.packing());
        let start = unit / shape.rows() * self.step.block_len;
        let block = self.step.blocks.get(start..start + self.step.block_len);
        (block.unwrap_or(&[]), unit % shape.rows())
    }
}
