//! Reads a blob and refuses whatever could go wrong later.
//!
//! Small on purpose: parts that can fail in one way only say so by `None`, which fits a register,
//! and each function has one place that writes an [`Error`].

use crate::blob::{self, Activation, Element, Layer, MAGIC, Operation, Packed, Packing, VERSION};
use crate::error::{Error, What, number};
use crate::kernel::Step;
use crate::model::Model;
use crate::pack::{self, Shape};

/// Fills an empty model from a blob; see [`Model::from_bytes`].
#[inline(never)]
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
    let mut rest = blob.get(MAGIC.len()..).unwrap_or(&[]);
    let version = varint(&mut rest).unwrap_or(0) as u16; // the blob may be anything
    if version != VERSION {
        return Err(Error::Version {
            expected: VERSION,
            found: version,
        });
    }
    if check_crc {
        let (covered, crc) = blob.split_last_chunk::<4>().unwrap_or((&[], &[0; 4]));
        let (expected, found) = (u32::from_le_bytes(*crc), blob::crc32(covered));
        if expected != found {
            return Err(Error::Crc { expected, found });
        }
    }
    let Some(layers) = fields(model, &mut rest) else {
        return Err(Error::Malformed);
    };
    let (what, expected, found) = if layers > LAYERS {
        (What::Layers, LAYERS, layers)
    } else if rest.is_empty() {
        return check(model);
    } else {
        (What::Blob, blob.len() - rest.len(), blob.len())
    };
    Err(Error::Length {
        what,
        expected: number(expected),
        found: number(found),
    })
}

/// The fields behind the version, as `blob::Message` has them. Says how many layers there are; if
/// more than the model can hold, it stops there.
fn fields<'a, const LAYERS: usize>(
    model: &mut Model<'a, LAYERS>,
    rest: &mut &'a [u8],
) -> Option<usize> {
    model.inputs = halfword(rest)?;
    let layers = varint(rest)? as usize;
    for _ in 0..layers {
        let units = halfword(rest)?;
        // Each variant's number is below 128: one byte.
        let [operation, packing, output, activation] = word(rest)?;
        let layer = Layer {
            units,
            operation: Operation::of(operation)?,
            packing: Packing::of(packing)?,
            output: Element::of(output)?,
            activation: Activation::of(activation)?,
        };
        if model.layers.push(Packed::new(layer)).is_err() {
            return Some(layers);
        }
    }
    model.behind = rest;
    let some = *rest.first()?;
    Tail::take(rest)?;
    let _padding = bytes(rest)?;
    model.tensors = bytes(rest)?;
    let _crc = word(rest)?;
    // One way to write each blob: an option is 0 or 1.
    (some < 2).then_some(layers)
}

/// What lies behind the layers and is rarely of use: it stays in the blob until it is.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tail<'a> {
    pub threshold: Option<f32>,
    pub labels: &'a [u8],
    pub tests: &'a [u8],
}

impl<'a> Tail<'a> {
    #[inline(never)]
    pub fn take(rest: &mut &'a [u8]) -> Option<Self> {
        let (&some, behind) = rest.split_first()?;
        *rest = behind;
        let threshold = if some == 0 {
            None
        } else {
            Some(f32::from_le_bytes(word(rest)?))
        };
        Some(Self {
            threshold,
            labels: bytes(rest)?,
            tests: bytes(rest)?,
        })
    }

    pub fn label_count(self) -> usize {
        if self.labels.is_empty() {
            return 0;
        }
        1 + self.labels.iter().filter(|&&byte| byte == b'\n').count()
    }
}

/// A length or count, as postcard has all numbers but bytes and floats.
#[inline(never)]
fn varint(rest: &mut &[u8]) -> Option<u32> {
    let (number, behind) = postcard::take_from_bytes(rest).ok()?;
    *rest = behind;
    Some(number)
}

fn halfword(rest: &mut &[u8]) -> Option<u16> {
    varint(rest)?.try_into().ok()
}

#[inline(never)]
fn bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let count = varint(rest)?;
    let (taken, behind) = rest.split_at_checked(count as usize)?;
    *rest = behind;
    Some(taken)
}

#[inline(never)]
fn word(rest: &mut &[u8]) -> Option<[u8; 4]> {
    let (&word, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(word)
}

/// Everything that later code relies on.
fn check<const LAYERS: usize>(model: &mut Model<LAYERS>) -> Result<(), Error> {
    let mut tensors = model.tensors;
    let mut width = usize::from(model.inputs);
    let mut element = Element::Float;
    let mut words = 0;
    let mut index = 0;
    'layers: for layer in &model.layers {
        let layer = &layer.layer();
        let last = index + 1 == model.layers.len();
        let units = usize::from(layer.units);
        let quantizes = layer.quantizes();
        let float = layer.operation == Operation::DenseFloat;
        let (what, expected, found) = 'wrong: {
            if index == 0 && !quantizes {
                // The first layer takes the caller's floats.
                break 'wrong (What::Operation, 0, layer.operation as usize);
            }
            if !layer.operation.is_built_in() {
                return Err(Error::Feature {
                    layer: index as u8,
                    operation: layer.operation,
                });
            }
            let reads = layer.input();
            if reads != element {
                break 'wrong (What::Element, reads as usize, element as usize);
            }
            if width == 0 {
                break 'wrong (What::Inputs, 1, width);
            }
            if units == 0 || (quantizes && units != width) {
                break 'wrong (What::Units, width, units);
            }
            if (float || quantizes) && layer.packing != Packing::Plain {
                break 'wrong (What::Packing, 0, layer.packing as usize);
            }
            element = layer.output;
            if (float || last) && element != Element::Float {
                break 'wrong (What::Element, Element::Float as usize, element as usize);
            }
            let activation = layer.activation as usize;
            if activation != 0
                && (quantizes
                    || (element != Element::Float && layer.activation != Activation::Table))
            {
                break 'wrong (What::Activation, 0, activation);
            }
            let before = tensors.len();
            let Some((step, rest)) = Step::take(layer, width, tensors) else {
                break 'wrong (What::Tensors, model.tensors.len() - before, before);
            };
            tensors = rest;
            if let Some(word) = bad_number(&step) {
                break 'wrong (What::Scale, 0, word as usize);
            }
            let written = if last { 0 } else { element.words(units) };
            model.scratch = model.scratch.max(words + written);
            words = written;
            width = units;
            index += 1;
            continue 'layers;
        };
        return Err(Error::Layer {
            layer: index as u8, // of use for 256 layers
            what,
            expected: number(expected),
            found: number(found),
        });
    }
    let tail = model.tail();
    let labels = tail.label_count();
    let test = model.test_len();
    let (what, expected, found) = if index == 0 {
        (What::Layers, 1, 0)
    } else if !tensors.is_empty() {
        let expected = model.tensors.len() - tensors.len();
        (What::Tensors, expected, model.tensors.len())
    } else if !is_multiple(tail.tests, test) {
        (What::SelfTests, test, tail.tests.len())
    } else if labels != 0 && labels != width.max(2) && labels != width {
        // One output tells two classes apart.
        (What::Labels, width, labels)
    } else {
        return Ok(());
    };
    Err(Error::Length {
        what,
        expected: number(expected),
        found: number(found),
    })
}

/// Whether the bytes are some chunks of that length. Without a division: the smallest cores have
/// none, and 400 bytes of code in its place.
fn is_multiple(mut bytes: &[u8], chunk: usize) -> bool {
    while let Some((_, rest)) = bytes.split_at_checked(chunk.max(1)) {
        bytes = rest;
    }
    bytes.is_empty()
}

/// The first of a layer's scales or float entries that is not finite, or multiplier that is
/// negative.
fn bad_number(step: &Step) -> Option<u32> {
    let float = step.output == Element::Float;
    // Of a quantization all numbers, of a dense layer the tails; f32 weights have none.
    let (block, tail) = match step.operation {
        Operation::QuantizeTensor | Operation::QuantizeFeatures => (8, 8),
        Operation::DenseFloat => (usize::MAX, 0),
        _ => {
            let shape = Shape::of(step.operation, step.packing);
            (shape.block_len(step.inputs), shape.tail_len())
        }
    };
    let mut rest = step.blocks;
    while let Some((this, next)) = rest.split_at_checked(block) {
        let bad = bad_word(this, block - tail, float || tail == 8 && block == 8);
        if bad.is_some() {
            return bad;
        }
        rest = next;
    }
    let table = if float { step.table } else { &[] };
    bad_word(table, 0, true)
}

fn bad_word(bytes: &[u8], start: usize, float: bool) -> Option<u32> {
    // The sign does not matter to a float, infinity is the first that is not finite.
    let (mask, limit) = if float {
        (0x7FFF_FFFF, 0x7F80_0000)
    } else {
        (u32::MAX, 0x8000_0000)
    };
    pack::words(bytes.get(start..)?).find(|word| word & mask >= limit)
}
