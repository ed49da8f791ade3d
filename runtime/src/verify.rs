//! Reads a blob and refuses whatever could go wrong later.
//!
//! Small on purpose: each function has one place that writes an [`Error`].

#[cfg(feature = "layers")]
use crate::blob::Operation;
use crate::blob::{Activation, Element, OWN, Packed};
use crate::error::{Error, What, number};
use crate::layer::{Step, words::words};
use crate::limits::SCALE_LIMIT;
use crate::packing::Packing;
use crate::reader::{Reader, Tail, head};
#[cfg(feature = "layers")]
use crate::{lookup, max_pool, normalize, rows};

/// A verified blob.
#[derive(Clone, Debug)]
pub(crate) struct Verified<'a, const LAYERS: usize> {
    pub layers: heapless::Vec<Packed, LAYERS, u8>,
    pub inputs: u16,
    /// Words.
    pub scratch: usize,
    pub tensors: &'a [u8],
    /// The blob from behind the layers on.
    pub behind: &'a [u8],
}

impl<const LAYERS: usize> Verified<'_, LAYERS> {
    /// Values of an input row.
    pub fn inputs(&self) -> usize {
        self.inputs.into()
    }

    /// Values of an output row.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.units())
    }

    /// Bytes of one self-test vector.
    pub fn test_len(&self) -> usize {
        (self.inputs() + self.outputs() + self.layers.len()) * 4
    }
}

/// Fills an empty one from a blob; see [`Model::from_bytes`](crate::Model::from_bytes).
///
/// * `checksum` - what the blob's own is compared with, where it is
#[inline(never)]
pub(crate) fn read<'a, const LAYERS: usize>(
    model: &mut Verified<'a, LAYERS>,
    blob: &'a [u8],
    checksum: Option<u32>,
) -> Result<(), Error> {
    let reader = &mut Reader::new(blob);
    head(reader)?;
    if let Some(found) = checksum {
        let Some((_, crc)) = blob.split_last_chunk::<4>() else {
            return Err(Error::Malformed);
        };
        let expected = u32::from_le_bytes(*crc);
        if expected != found {
            return Err(Error::Crc { expected, found });
        }
    }
    // The fields behind the version, as `blob::Message` has them.
    model.inputs = reader.halfword();
    let layers = reader.varint() as usize;
    let wrong = 'wrong: {
        for _ in 0..layers {
            let units = reader.halfword();
            // Each variant's number is below 128: one byte.
            let numbers = reader.word().to_le_bytes();
            if reader.broken {
                return Err(Error::Malformed);
            }
            let Some(layer) = Packed::of(units, numbers) else {
                return Err(Error::Malformed);
            };
            // Looked at before: the error of `push` has the layer, to be told from none.
            if model.layers.is_full() {
                break 'wrong (What::Layers, LAYERS, layers);
            }
            let _ = model.layers.push(layer);
        }
        model.behind = reader.rest;
        let tail = &Tail::take(reader);
        let _padding = reader.bytes();
        model.tensors = reader.bytes();
        let _crc = reader.word();
        if reader.broken {
            return Err(Error::Malformed);
        }
        if !reader.rest.is_empty() {
            break 'wrong (What::Blob, blob.len() - reader.rest.len(), blob.len());
        }
        let beyond = (model.tensors.as_ptr().addr() % 4) as u8; // at most 3
        if !cfg!(portable) && beyond != 0 {
            return Err(Error::Misaligned {
                expected: 0,
                found: beyond,
            });
        }
        match check(model, tail)? {
            Some(wrong) => wrong,
            None => return Ok(()),
        }
    };
    let (what, expected, found) = wrong;
    Err(Error::Length {
        what,
        expected: number(expected),
        found: number(found),
    })
}

/// Everything that later code relies on.
#[inline(always)]
fn check<const LAYERS: usize>(
    model: &mut Verified<LAYERS>,
    tail: &Tail,
) -> Result<Option<(What, usize, usize)>, Error> {
    let mut tensors = model.tensors;
    let mut width = model.inputs();
    let mut element = Element::Float;
    let (mut words, mut scratch) = (0, 0);
    let mut index = 0;
    'layers: while let Some(&layer) = model.layers.get(index) {
        let last = index + 1 == model.layers.len();
        let units = layer.units();
        let quantizes = layer.operation().quantizes();
        let elementwise = layer.operation().is_elementwise();
        let float = layer.operation().writes_floats();
        let (what, expected, found) = 'wrong: {
            if index == 0 && !quantizes {
                // The first layer takes the caller's floats.
                break 'wrong (What::Operation, 0, layer.operation() as usize);
            }
            let activation = layer.activation_number();
            let plain = cfg!(feature = "layers") || !quantizes || activation == 0;
            if !layer.operation().is_built_in() || !plain {
                return Err(Error::Feature {
                    layer: index as u8,
                    operation: layer.operation(),
                });
            }
            let reads = layer.input();
            if !cfg!(portable) && reads != Element::Float && layer.packing() != OWN {
                return Err(Error::Packing {
                    layer: index as u8,
                    expected: OWN,
                    found: layer.packing(),
                });
            }
            if reads != element {
                break 'wrong (What::Element, reads as usize, element as usize);
            }
            if width == 0 {
                break 'wrong (What::Inputs, 1, width);
            }
            if units != if elementwise { width } else { units.max(1) } {
                break 'wrong (What::Units, width, units);
            }
            if (float || elementwise) && layer.packing() != Packing::Plain {
                break 'wrong (What::Packing, 0, layer.packing() as usize);
            }
            element = layer.output();
            let floats = float || last || (elementwise && !quantizes);
            if floats && element != Element::Float {
                break 'wrong (What::Element, Element::Float as usize, element as usize);
            }
            // A table for integers, the others for floats; none for those of a quantization.
            let table = activation == Activation::Table as u8;
            let is_float = element == Element::Float;
            let bends = cfg!(feature = "layers") && quantizes && !is_float;
            if activation != 0 && (table == is_float || bends) {
                break 'wrong (What::Activation, 0, activation.into());
            }
            if !Activation::is_built_in(activation) {
                return Err(Error::Activation {
                    layer: index as u8,
                    activation: layer.activation(),
                });
            }
            let Some(step) = &Step::take(layer, width, tensors) else {
                let left = tensors.len();
                break 'wrong (What::Tensors, model.tensors.len() - left, left);
            };
            tensors = step.behind;
            let bad = bad_number(step) as usize;
            if bad != 0 {
                break 'wrong (What::Scale, 0, bad);
            }
            #[cfg(feature = "layers")]
            if let Some(wrong) = match layer.operation() {
                Operation::Normalize => normalize::wrong(step),
                Operation::MaxPool => max_pool::wrong(step),
                Operation::Lookup => lookup::wrong(step),
                _ => None,
            } {
                break 'wrong wrong;
            }
            let written = if last { 0 } else { element.words(units) };
            #[cfg(feature = "layers")]
            let spare = rows::spare(step);
            #[cfg(not(feature = "layers"))]
            let spare = 0;
            scratch = scratch.max(words + written + spare);
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
    model.scratch = scratch;
    let labels = tail.label_count();
    let test = model.test_len();
    Ok(if index == 0 {
        Some((What::Layers, 1, 0))
    } else if !tensors.is_empty() {
        let expected = model.tensors.len() - tensors.len();
        Some((What::Tensors, expected, model.tensors.len()))
    } else if !is_multiple(tail.tests, test) {
        Some((What::SelfTests, test, tail.tests.len()))
    } else if labels != 0 && labels != width.max(2) && labels != width {
        // One output tells two classes apart.
        Some((What::Labels, width, labels))
    } else {
        None
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

/// The first of a layer's scales that is too large or no number, of its float entries that is not
/// finite, or multiplier that is negative; zero where there is none, as zero is neither.
#[inline(never)]
fn bad_number(step: &Step) -> u32 {
    // Where they are floats, so is the table, if there is one.
    let floats = step.layer.output() == Element::Float || step.layer.operation().quantizes();
    let mut bad = 0;
    let mut blocks = step.blocks;
    while bad == 0
        && let Some((block, rest)) = blocks.split_at_checked(step.block_len)
    {
        let least = if floats { SCALE_LIMIT } else { 1 << 31 };
        bad = bad_word(step.scales(block), floats, least);
        blocks = rest;
    }
    if cfg!(feature = "activations") && bad == 0 && floats {
        // Behind the least and the greatest value, which may be infinite.
        let least = f32::INFINITY.to_bits();
        bad = bad_word(step.table.get(8..).unwrap_or(&[]), floats, least);
    }
    bad
}

#[inline(never)]
fn bad_word(bytes: &[u8], float: bool, least: u32) -> u32 {
    // Of floats the sign does not matter, and greater ones are greater words; of integers the sign is
    // the top bit.
    let shift = u32::from(float);
    let bad = words(bytes).find(|word| word << shift >= least << shift);
    bad.unwrap_or(0)
}
