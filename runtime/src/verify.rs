//! Reads a blob and refuses whatever could go wrong later.
//!
//! Small on purpose: the [`Reader`] remembers that something was missing, so that what takes from it
//! need not look each time, and each function has one place that writes an [`Error`].

use crate::blob::{self, Activation, Element, MAGIC, Operation, Packed, Packing, VERSION};
use crate::error::{Error, What, number};
use crate::kernel::{OWN, Step};
use crate::model::Model;
use crate::pack;

/// Fills an empty model from a blob; see [`Model::from_bytes`].
#[inline(never)]
pub(crate) fn read<'a, const LAYERS: usize>(
    model: &mut Model<'a, LAYERS>,
    blob: &'a [u8],
    check_crc: bool,
) -> Result<(), Error> {
    let reader = &mut Reader::new(blob);
    head(reader)?;
    if check_crc {
        let Some((covered, crc)) = blob.split_last_chunk::<4>() else {
            return Err(Error::Malformed);
        };
        let (expected, found) = (u32::from_le_bytes(*crc), blob::crc32(covered));
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

/// Bytes of the blob that these bytes begin with, as its head says: known before the tensors, and the
/// checksum behind them, are there. Whatever follows is not looked at.
///
/// # Errors
///
/// [`Error::Magic`] and [`Error::Version`] for bytes that are no blob of this version,
/// [`Error::Malformed`] where the head is not whole.
pub fn blob_len(bytes: &[u8]) -> Result<usize, Error> {
    let reader = &mut Reader::new(bytes);
    head(reader)?;
    let _inputs = reader.halfword();
    for _ in 0..reader.varint() {
        let _units = reader.halfword();
        let _numbers = reader.word();
        if reader.broken {
            return Err(Error::Malformed);
        }
    }
    let _tail = Tail::take(reader);
    let _padding = reader.bytes();
    let tensors = reader.varint() as usize;
    let head = bytes.len() - reader.rest.len();
    let length = head.checked_add(tensors).and_then(|len| len.checked_add(4));
    match length {
        Some(length) if !reader.broken => Ok(length),
        _ => Err(Error::Malformed),
    }
}

/// Magic and version.
fn head(reader: &mut Reader) -> Result<(), Error> {
    let (expected, found) = (u32::from_le_bytes(MAGIC), reader.word());
    if expected != found {
        return Err(Error::Magic { expected, found });
    }
    let version = reader.varint() as u16; // the blob may be anything
    if version != VERSION {
        return Err(Error::Version {
            expected: VERSION,
            found: version,
        });
    }
    Ok(())
}

/// What is left of a blob.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// Something was missing, or was no number. What was taken instead is empty or zero.
    broken: bool,
}

impl<'a> Reader<'a> {
    pub fn new(rest: &'a [u8]) -> Self {
        Self {
            rest,
            broken: false,
        }
    }

    /// A length or count, as postcard has all numbers but bytes and floats.
    #[inline(never)]
    fn varint(&mut self) -> u32 {
        let (number, rest) = postcard::take_from_bytes(self.rest).unwrap_or_else(|_| {
            self.broken = true;
            (0, self.rest)
        });
        self.rest = rest;
        number
    }

    #[inline(never)]
    fn halfword(&mut self) -> u16 {
        let number = self.varint();
        self.broken |= number > u16::MAX.into();
        number as u16 // else it is broken
    }

    #[inline(never)]
    fn word(&mut self) -> u32 {
        let [word] = pack::first_words(self.take(4));
        word
    }

    /// As many bytes as the number before them says.
    #[inline(never)]
    fn bytes(&mut self) -> &'a [u8] {
        let count = self.varint();
        self.take(count as usize)
    }

    #[inline(never)]
    fn take(&mut self, count: usize) -> &'a [u8] {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            self.broken = true;
            return &[];
        };
        self.rest = rest;
        taken
    }
}

/// What lies behind the layers and is rarely of use: it stays in the blob until it is.
#[derive(Clone, Copy)]
pub(crate) struct Tail<'a> {
    /// Four bytes or none.
    threshold: &'a [u8],
    pub labels: &'a [u8],
    pub tests: &'a [u8],
}

impl<'a> Tail<'a> {
    #[inline(always)]
    pub fn take(reader: &mut Reader<'a>) -> Self {
        // One way to write each blob: an option is 0 or 1.
        let some = match reader.take(1) {
            [0] => 0,
            [1] => 1,
            _ => {
                reader.broken = true;
                0
            }
        };
        Self {
            threshold: reader.take(some * 4),
            labels: reader.bytes(),
            tests: reader.bytes(),
        }
    }

    pub fn threshold(self) -> Option<f32> {
        let word = self.threshold.first_chunk()?;
        Some(f32::from_le_bytes(*word))
    }

    fn label_count(self) -> usize {
        if self.labels.is_empty() {
            return 0;
        }
        1 + self.labels.iter().filter(|&&byte| byte == b'\n').count()
    }
}

/// The names of the inputs, from what lies behind the layers: what the padding begins with.
pub(crate) fn input_names(behind: &[u8]) -> &[u8] {
    let reader = &mut Reader::new(behind);
    let _tail = Tail::take(reader);
    let padding = reader.bytes();
    padding.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Everything that later code relies on.
#[inline(always)]
fn check<const LAYERS: usize>(
    model: &mut Model<LAYERS>,
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
        let float = layer.operation() == Operation::DenseFloat;
        let (what, expected, found) = 'wrong: {
            if index == 0 && !quantizes {
                // The first layer takes the caller's floats.
                break 'wrong (What::Operation, 0, layer.operation() as usize);
            }
            if !layer.operation().is_built_in() {
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
            if units != if quantizes { width } else { units.max(1) } {
                break 'wrong (What::Units, width, units);
            }
            if (float || quantizes) && layer.packing() != Packing::Plain {
                break 'wrong (What::Packing, 0, layer.packing() as usize);
            }
            element = layer.output();
            if (float || last) && element != Element::Float {
                break 'wrong (What::Element, Element::Float as usize, element as usize);
            }
            let activation = layer.activation_number();
            // A table for integers, the others for floats.
            let table = activation == Activation::Table as u8;
            if activation != 0 && (quantizes || table == (element == Element::Float)) {
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
            let written = if last { 0 } else { element.words(units) };
            scratch = scratch.max(words + written);
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

/// Scales are below this, so that no sum is beyond f32's range once scaled: `2^96`, of sums below `2^31`.
pub(crate) const SCALE_LIMIT: u32 = 0x6F80_0000;

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
    let bad = pack::words(bytes).find(|word| word << shift >= least << shift);
    bad.unwrap_or(0)
}
