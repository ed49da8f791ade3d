//! Reads a blob and refuses whatever could go wrong later.

use postcard::Deserializer;
use postcard::de_flavors::Slice;
use serde::Deserialize;

use crate::blob::{self, Activation, Element, Layer, MAGIC, Operation, Packing, ROUNDER, VERSION};
use crate::error::{Error, What, number};
use crate::kernel::Step;
use crate::model::Model;
use crate::pack::{self, Shape};

/// Fills an empty model from a blob; see [`Model::from_bytes`].
pub(crate) fn read<'a, const LAYERS: usize>(
    model: &mut Model<'a, LAYERS>,
    blob: &'a [u8],
    check_crc: bool,
) -> Result<(), Error> {
    let expected = u32::from_le_bytes(MAGIC);
    let [found] = pack::first_words::<1>(blob);
    if expected != found {
        return Err(Error::Magic { expected, found });
    }
    let mut fields = Deserializer::from_bytes(blob.get(MAGIC.len()..).unwrap_or(&[]));
    let version = field::<u16>(&mut fields)?;
    if version != VERSION {
        return Err(Error::Version {
            expected: VERSION,
            found: version,
        });
    }
    if check_crc {
        let (covered, crc) = blob.split_last_chunk::<4>().ok_or(Error::Malformed)?;
        let (expected, found) = (u32::from_le_bytes(*crc), blob::crc32(covered));
        if expected != found {
            return Err(Error::Crc { expected, found });
        }
    }
    model.inputs = field(&mut fields)?;
    let count = field::<u16>(&mut fields)?;
    for _ in 0..count {
        let layer = field::<Layer>(&mut fields)?;
        if model.layers.push(layer).is_err() {
            return Err(length(What::Layers, LAYERS, count.into()));
        }
    }
    model.threshold = field(&mut fields)?;
    model.labels = field(&mut fields)?;
    model.tests = field(&mut fields)?;
    let _padding: &[u8] = field(&mut fields)?;
    model.tensors = field(&mut fields)?;
    // Behind the tensors there is just the checksum.
    let rest = fields.finalize().map_err(|_| Error::Malformed)?;
    if rest.len() != 4 {
        let expected = (blob.len() + 4).saturating_sub(rest.len());
        return Err(length(What::Blob, expected, blob.len()));
    }
    check(model)
}

fn field<'a, T: Deserialize<'a>>(fields: &mut Deserializer<'a, Slice<'a>>) -> Result<T, Error> {
    T::deserialize(fields).map_err(|_| Error::Malformed)
}

#[cold]
fn length(what: What, expected: usize, found: usize) -> Error {
    Error::Length {
        what,
        expected: number(expected),
        found: number(found),
    }
}

/// Everything that later code relies on.
fn check<const LAYERS: usize>(model: &mut Model<LAYERS>) -> Result<(), Error> {
    let mut tensors = model.tensors;
    let mut width = usize::from(model.inputs);
    let mut element = Element::Float;
    let mut words = 0;
    let mut scratch = 0;
    let mut index = 0;
    for layer in &model.layers {
        let quantizes = layer.quantizes();
        let float = layer.operation == Operation::DenseFloat;
        let units = usize::from(layer.units);
        let plain = layer.packing == Packing::Plain;
        let output = layer.output == Element::Float;
        let needed = match layer.operation {
            Operation::DenseInt4 if !cfg!(feature = "int4") => "int4",
            Operation::DenseInt16 if !cfg!(feature = "int16") => "int16",
            Operation::DenseFloat if !cfg!(feature = "f32") => "f32",
            _ => "",
        };
        if !needed.is_empty() {
            return Err(Error::Feature {
                layer: index,
                needed,
            });
        }
        // In words, the value that is wrong and what is right.
        let first = index == 0;
        let rules = [
            // The first layer takes the caller's floats.
            (
                !first || quantizes,
                What::Operation,
                0,
                layer.operation as usize,
            ),
            (
                layer.input() == element,
                What::Element,
                layer.input() as usize,
                element as usize,
            ),
            (width > 0, What::Inputs, 1, width),
            (units > 0, What::Units, 1, units),
            (!quantizes || units == width, What::Units, width, units),
            (
                !(float || quantizes) || plain,
                What::Packing,
                0,
                layer.packing as usize,
            ),
            (
                !float || output,
                What::Element,
                Element::Float as usize,
                layer.output as usize,
            ),
            (
                match layer.activation {
                    Activation::Linear => true,
                    Activation::Table => !quantizes,
                    _ => !quantizes && output,
                },
                What::Activation,
                0,
                layer.activation as usize,
            ),
        ];
        for (right, what, expected, found) in rules {
            if !right {
                return Err(wrong(index, what, expected, found));
            }
        }
        let before = tensors.len();
        let Some(step) = Step::take(layer, width, &mut tensors) else {
            return Err(wrong(index, What::Tensors, 0, before));
        };
        numbers(&step, index)?;
        let written = layer.output.words(units);
        scratch = scratch.max(words);
        if usize::from(index) + 1 < model.layers.len() {
            scratch = scratch.max(words + written);
        }
        words = written;
        width = units;
        element = layer.output;
        index = index.saturating_add(1);
    }
    model.scratch = scratch;
    if index == 0 {
        return Err(length(What::Layers, 1, 0));
    }
    if element != Element::Float {
        let expected = Element::Float as usize;
        return Err(wrong(index - 1, What::Element, expected, element as usize));
    }
    if !tensors.is_empty() {
        let expected = model.tensors.len() - tensors.len();
        return Err(length(What::Tensors, expected, model.tensors.len()));
    }
    let test = model.test_len();
    let over = model.tests.len().checked_rem(test).unwrap_or(0);
    if over != 0 {
        return Err(length(
            What::SelfTests,
            model.tests.len() - over,
            model.tests.len(),
        ));
    }
    let labels = model.label_count();
    // One output tells two classes apart.
    if labels != 0 && labels != width && !(labels == 2 && width == 1) {
        return Err(length(What::Labels, width, labels));
    }
    Ok(())
}

#[cold]
fn wrong(layer: u8, what: What, expected: usize, found: usize) -> Error {
    Error::Layer {
        layer,
        what,
        expected: number(expected),
        found: number(found),
    }
}

/// The scales of a layer: finite floats, multipliers not negative, zero points whole.
fn numbers(step: &Step, index: u8) -> Result<(), Error> {
    let float = step.output == Element::Float;
    // Of a quantization all numbers, of a dense layer the tails; f32 weights have none.
    let (block, tail) = match step.operation {
        Operation::QuantizeTensor | Operation::QuantizeFeatures => (8, 8),
        Operation::DenseFloat => return finite(step.table, index),
        _ => {
            let shape = Shape::of(step.operation, step.packing);
            (shape.block_len(step.inputs), shape.tail_len())
        }
    };
    let mut rest = step.blocks;
    while let Some((this, next)) = rest.split_at_checked(block) {
        rest = next;
        let Some((_, tail)) = this.split_at_checked(block - tail) else {
            break;
        };
        if tail.len() == 8 && !float {
            // ROUNDER and its zero point have the exponent of 2^23 and no fraction.
            let [scale, zero] = pack::first_words::<2>(tail);
            if zero >> 23 != ROUNDER.to_bits() >> 23 {
                return Err(wrong(
                    index,
                    What::Bias,
                    ROUNDER.to_bits() as usize,
                    zero as usize,
                ));
            }
            finite(&scale.to_le_bytes(), index)?;
        } else if float {
            finite(tail, index)?;
        } else {
            for word in pack::words(tail) {
                if word.cast_signed() < 0 {
                    return Err(wrong(index, What::Scale, i32::MAX as usize, word as usize));
                }
            }
        }
        if rest.is_empty() {
            break;
        }
    }
    if float {
        finite(step.table, index)
    } else {
        Ok(())
    }
}

/// Whether all words are finite floats.
fn finite(bytes: &[u8], index: u8) -> Result<(), Error> {
    for word in pack::words(bytes) {
        if !f32::from_bits(word).is_finite() {
            return Err(wrong(index, What::Scale, 0, word as usize));
        }
    }
    Ok(())
}
