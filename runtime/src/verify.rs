//! Reads a blob and refuses whatever could go wrong later.

use postcard::Deserializer;
use serde::Deserialize;

use crate::blob::{
    self, ALIGNMENT, Activation, Element, Layer, MAGIC, Operation, Packing, ROUNDER, VERSION,
};
use crate::error::{Error, What, number};
use crate::model::Model;
use crate::pack::{self, Shape};

/// Decodes a blob; see [`Model::from_bytes`].
pub(crate) fn model<const LAYERS: usize>(
    bytes: &[u8],
    check_crc: bool,
) -> Result<Model<'_, LAYERS>, Error> {
    let [start] = pack::first_words::<1>(bytes);
    let expected = u32::from_le_bytes(MAGIC);
    if start != expected {
        return Err(Error::Magic {
            expected,
            found: start,
        });
    }
    let mut fields = Deserializer::from_bytes(bytes.get(MAGIC.len()..).unwrap_or(&[]));
    let version = read::<u16>(&mut fields)?;
    if version != VERSION {
        return Err(Error::Version {
            expected: VERSION,
            found: version,
        });
    }
    if check_crc {
        let (covered, crc) = bytes.split_last_chunk::<4>().ok_or(Error::Malformed)?;
        let (expected, found) = (u32::from_le_bytes(*crc), blob::crc32(covered));
        if expected != found {
            return Err(Error::Crc { expected, found });
        }
    }

    let mut model = Model::empty();
    let count = read::<u16>(&mut fields)?;
    for _ in 0..count {
        let layer = read::<Layer>(&mut fields)?;
        model.layers.push(layer).map_err(|_| Error::Length {
            what: What::Layers,
            expected: number(LAYERS),
            found: count.into(),
        })?;
    }
    model.threshold = read(&mut fields)?;
    model.labels = read(&mut fields)?;
    model.tests = read(&mut fields)?;
    let _padding = read::<&[u8]>(&mut fields)?;
    model.tensors = read(&mut fields)?;
    let _crc = read::<[u8; 4]>(&mut fields)?;
    let rest = fields.finalize().map_err(|_| Error::Malformed)?;
    if !rest.is_empty() {
        return Err(Error::Length {
            what: What::Blob,
            expected: number(bytes.len() - rest.len()),
            found: number(bytes.len()),
        });
    }
    check(&model)?;
    Ok(model)
}

#[inline(always)]
fn read<'a, T: Deserialize<'a>>(
    fields: &mut Deserializer<'a, postcard::de_flavors::Slice<'a>>,
) -> Result<T, Error> {
    T::deserialize(fields).map_err(|_| Error::Malformed)
}

/// Everything that later code relies on.
fn check<const LAYERS: usize>(model: &Model<LAYERS>) -> Result<(), Error> {
    let mut previous: Option<&Layer> = None;
    let mut end = 0;
    for (layer, index) in model.layers.iter().zip(0u8..) {
        let wrong = |what: What, expected: usize, found: usize| {
            Err(Error::Layer {
                layer: index,
                what,
                expected: number(expected),
                found: number(found),
            })
        };
        let feature = |needed| {
            Err(Error::Feature {
                layer: index,
                needed,
            })
        };
        match layer.operation {
            Operation::DenseInt4 if !cfg!(feature = "int4") => return feature("int4"),
            Operation::DenseInt16 if !cfg!(feature = "int16") => return feature("int16"),
            Operation::DenseFloat if !cfg!(feature = "f32") => return feature("f32"),
            _ => {}
        }
        // The first layer takes the caller's floats.
        let quantizes = matches!(
            layer.operation,
            Operation::QuantizeTensor | Operation::QuantizeFeatures
        );
        let (element, width) = match previous {
            Some(previous) => (previous.output, previous.units()),
            None if quantizes => (Element::Float, layer.inputs()),
            None => {
                return wrong(
                    What::Operation,
                    Operation::QuantizeTensor as usize,
                    layer.operation as usize,
                );
            }
        };
        if layer.input() != element {
            return wrong(What::Element, layer.input() as usize, element as usize);
        }
        if layer.inputs() != width || width == 0 {
            return wrong(What::Inputs, width.max(1), layer.inputs());
        }
        let units = if quantizes { width } else { layer.units() };
        if layer.units() != units || units == 0 {
            return wrong(What::Units, units.max(1), layer.units());
        }
        let float = layer.operation == Operation::DenseFloat;
        if (float || quantizes) && layer.packing != Packing::Plain {
            return wrong(
                What::Packing,
                Packing::Plain as usize,
                layer.packing as usize,
            );
        }
        if float && layer.output != Element::Float {
            return wrong(
                What::Element,
                Element::Float as usize,
                layer.output as usize,
            );
        }
        let allowed = match layer.activation {
            Activation::Linear => true,
            Activation::Table => !quantizes,
            _ => !quantizes && layer.output == Element::Float,
        };
        if !allowed {
            return wrong(
                What::Activation,
                Activation::Linear as usize,
                layer.activation as usize,
            );
        }
        // Tensors lie one after the other, each at a multiple of the alignment.
        let start = layer.offset as usize;
        if start != end {
            return wrong(What::Tensors, end, start);
        }
        let length = layer.blocks_len().saturating_add(layer.table_len());
        end = start
            .saturating_add(length)
            .checked_next_multiple_of(ALIGNMENT)
            .unwrap_or(usize::MAX);
        if end > model.tensors.len() {
            return wrong(What::Tensors, end, model.tensors.len());
        }
        scales(model, layer, index)?;
        previous = Some(layer);
    }
    let length = |what, expected, found| {
        Err(Error::Length {
            what,
            expected: number(expected),
            found: number(found),
        })
    };
    let Some(last) = previous else {
        return length(What::Layers, 1, 0);
    };
    if last.output != Element::Float {
        return Err(Error::Layer {
            layer: (model.layers.len() as u8).wrapping_sub(1), // at most 255 are kept
            what: What::Element,
            expected: Element::Float as u32,
            found: last.output as u32,
        });
    }
    if end != model.tensors.len() {
        return length(What::Tensors, end, model.tensors.len());
    }
    let test = model.test_len();
    if !model.tests.len().is_multiple_of(test) {
        return length(
            What::SelfTests,
            model.tests.len().next_multiple_of(test),
            model.tests.len(),
        );
    }
    let labels = model.label_count();
    let outputs = model.outputs();
    // One output tells two classes apart.
    if labels != 0 && labels != outputs && !(labels == 2 && outputs == 1) {
        return length(What::Labels, outputs, labels);
    }
    Ok(())
}

/// The scales of a layer: finite floats, multipliers not negative.
fn scales<const LAYERS: usize>(
    model: &Model<LAYERS>,
    layer: &Layer,
    index: u8,
) -> Result<(), Error> {
    let (blocks, table) = model.tensors_of(layer);
    let shape = Shape::of(layer.operation, layer.packing, layer.inputs());
    let (block, tail, is_float) = match layer.operation {
        Operation::QuantizeTensor | Operation::QuantizeFeatures => (8, 8, true),
        Operation::DenseFloat => (usize::MAX, 0, true),
        _ => (
            shape.block(),
            shape.tail * 4,
            layer.output == Element::Float,
        ),
    };
    let rounds = !matches!(layer.operation, Operation::DenseFloat)
        && is_float
        && layer.output != Element::Float;
    let wrong = |what, expected: u32, found| Error::Layer {
        layer: index,
        what,
        expected,
        found,
    };
    for block in blocks.chunks_exact(block.max(1)) {
        let Some((_, tail)) = block.split_at_checked(block.len().saturating_sub(tail)) else {
            continue;
        };
        for word in pack::words(tail) {
            if is_float && !f32::from_bits(word).is_finite() {
                return Err(wrong(What::Scale, 0, word));
            }
            if !is_float && word > i32::MAX.cast_unsigned() {
                return Err(wrong(What::Scale, i32::MAX.cast_unsigned(), word));
            }
        }
        if rounds {
            let [_, offset] = pack::first_words::<2>(tail);
            let zero = f32::from_bits(offset) - ROUNDER;
            if !(-4_194_304.0..=4_194_304.0).contains(&zero) {
                return Err(wrong(What::Bias, ROUNDER.to_bits(), offset));
            }
        }
    }
    if layer.output == Element::Float {
        for word in pack::words(table) {
            if !f32::from_bits(word).is_finite() {
                return Err(wrong(What::Table, 0, word));
            }
        }
    }
    Ok(())
}
