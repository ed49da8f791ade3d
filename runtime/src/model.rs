//! A verified blob, ready to run.

use crate::blob::{Activation, Element, Operation};
use crate::checksum::crc32;
use crate::error::{Error, What, number};
#[cfg(feature = "f32")]
use crate::float::dense;
use crate::layer::{Step, view, words::words};
use crate::packing::Packing;
use crate::quantize::{self, quantize};
use crate::reader::{self, Reader, Tail};
use crate::verify::{self, Verified};
use crate::{activation, float, isa};
#[cfg(feature = "layers")]
use crate::{lookup, max_pool, normalize, prelu, rows};

/// A model that borrows its weights from the blob.
///
/// `LAYERS` is the greatest number of layers it can hold, four bytes each; the input's quantization
/// counts as one. It is at most 255; with up to eight a model is 56 bytes of RAM.
#[derive(Clone, Debug)]
pub struct Model<'a, const LAYERS: usize = 16> {
    pub(crate) blob: Verified<'a, LAYERS>,
}

/// What [`Model::layers`] tells of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct LayerInfo {
    /// What it does.
    pub operation: Operation,
    /// The order of its weights.
    pub packing: Packing,
    /// Values it reads.
    pub inputs: usize,
    /// Values it writes.
    pub units: usize,
    /// Rows of the inputs that its weights are applied to, each by itself; of a normalization, its groups. 1 for
    /// most layers.
    pub rows: usize,
    /// What those are.
    pub output: Element,
    /// What is applied to them.
    pub activation: Activation,
    /// Multiply-accumulates.
    pub macs: usize,
    /// Bytes of its tensors in flash.
    pub bytes: usize,
}

/// What [`Model::classify`] found.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Class<'a> {
    /// The class.
    pub index: usize,
    /// The output that decided: of several the greatest, else the only one.
    pub score: f32,
    /// The name of the class, empty where the blob has none.
    pub label: &'a str,
}

impl<'a> Model<'a> {
    /// [`from_bytes`](Self::from_bytes) for a model of at most 16 layers, whose type need not be
    /// written: `let model = Model::new(BLOB)?;`.
    ///
    /// # Errors
    ///
    /// As [`from_bytes`](Self::from_bytes).
    #[inline(always)]
    pub fn new(blob: &'a [u8]) -> Result<Self, Error> {
        Self::from_bytes(blob)
    }
}

impl<'a, const LAYERS: usize> Model<'a, LAYERS> {
    /// Verifies a blob and borrows its weights.
    ///
    /// Any bytes give `Ok` or `Err`; a model that is `Ok` cannot panic, nor read beyond the blob,
    /// whatever its weights. Takes time for each byte, for the checksum; see
    /// [`from_bytes_without_crc`](Self::from_bytes_without_crc).
    ///
    /// The blob should start at a multiple of four bytes: elsewhere it runs by slower code, or is
    /// refused where the feature `portable` is off.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the blob, the first of it.
    #[inline(always)]
    pub fn from_bytes(blob: &'a [u8]) -> Result<Self, Error> {
        Self::from_bytes_with_crc(blob, crc32)
    }

    /// [`from_bytes`](Self::from_bytes) with a checksum that the chip computes.
    ///
    /// * `crc` - CRC-32/ISO-HDLC of the bytes: polynomial 0x04C11DB7, bits of bytes and result reflected,
    ///   begun with and inverted by 0xFFFFFFFF; of `b"123456789"` it is 0xCBF43926
    ///
    /// # Errors
    ///
    /// As [`from_bytes`](Self::from_bytes).
    #[inline(always)]
    pub fn from_bytes_with_crc(
        blob: &'a [u8],
        crc: impl FnOnce(&[u8]) -> u32,
    ) -> Result<Self, Error> {
        let covered = blob
            .split_last_chunk::<4>()
            .map_or(blob, |(covered, _)| covered);
        Self::read(blob, Some(crc(covered)))
    }

    /// [`from_bytes`](Self::from_bytes) for a blob whose checksum was checked before, when it was
    /// built in or received.
    ///
    /// Takes a time that grows with layers and units, not with weights. Just as safe: damaged
    /// weights give wrong results, not a crash.
    ///
    /// # Errors
    ///
    /// As [`from_bytes`](Self::from_bytes), but for [`Error::Crc`].
    pub fn from_bytes_without_crc(blob: &'a [u8]) -> Result<Self, Error> {
        Self::read(blob, None)
    }

    /// [`from_bytes`](Self::from_bytes) for a blob at the start of a larger slot, such as a page of flash
    /// with padding behind.
    ///
    /// # Errors
    ///
    /// As [`from_bytes`](Self::from_bytes), and [`Error::Length`] where the slot ends before the blob.
    pub fn from_prefix(slot: &'a [u8]) -> Result<Self, Error> {
        let blob = reader::blob_len(slot)?;
        match slot.get(..blob) {
            Some(blob) => Self::from_bytes(blob),
            None => Err(Error::Length {
                what: What::Blob,
                expected: number(blob),
                found: number(slot.len()),
            }),
        }
    }

    // Inlined, so that the model is filled where the caller keeps it: a copy would take as much
    // stack again, and the code of memcpy.
    #[inline(always)]
    fn read(blob: &'a [u8], checksum: Option<u32>) -> Result<Self, Error> {
        let mut model = Self::empty();
        verify::read(&mut model.blob, blob, checksum)?;
        Ok(model)
    }

    /// A model without layers, inputs or outputs, for [`open`](Self::open).
    #[inline(always)]
    pub const fn empty() -> Self {
        Self {
            blob: Verified {
                layers: heapless::Vec::new(),
                inputs: 0,
                scratch: 0,
                tensors: &[],
                behind: &[],
            },
        }
    }

    /// [`from_bytes`](Self::from_bytes) into the place of another model, without a copy on the stack.
    ///
    /// # Errors
    ///
    /// As [`from_bytes`](Self::from_bytes). The model is empty then.
    #[inline(always)]
    pub fn open(&mut self, blob: &'a [u8]) -> Result<(), Error> {
        let covered = blob
            .split_last_chunk::<4>()
            .map_or(blob, |(covered, _)| covered);
        self.refill(blob, Some(crc32(covered)))
    }

    /// [`from_bytes_without_crc`](Self::from_bytes_without_crc) into the place of another model.
    ///
    /// # Errors
    ///
    /// As [`from_bytes_without_crc`](Self::from_bytes_without_crc). The model is empty then.
    #[inline(always)]
    pub fn open_without_crc(&mut self, blob: &'a [u8]) -> Result<(), Error> {
        self.refill(blob, None)
    }

    #[inline(always)]
    fn refill(&mut self, blob: &'a [u8], checksum: Option<u32>) -> Result<(), Error> {
        self.blob.layers.clear();
        let read = verify::read(&mut self.blob, blob, checksum);
        if read.is_err() {
            *self = Self::empty();
        }
        read
    }

    /// Values of an input row.
    pub fn inputs(&self) -> usize {
        self.blob.inputs()
    }

    /// Values of an output row.
    pub fn outputs(&self) -> usize {
        self.blob.outputs()
    }

    /// Words of scratch memory that a prediction needs: for the layer that needs most, its inputs
    /// and outputs, without the model's own.
    pub fn scratch_len(&self) -> usize {
        self.blob.scratch
    }

    /// Multiply-accumulates of a prediction.
    pub fn macs(&self) -> usize {
        self.layers().map(|layer| layer.macs).sum()
    }

    /// The layers, from the input's quantization on.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = LayerInfo> + '_ {
        let mut inputs = self.inputs();
        let mut tensors = self.blob.tensors;
        self.blob.layers.iter().map(move |layer| {
            let units = layer.units();
            let mut info = LayerInfo {
                operation: layer.operation(),
                packing: layer.packing(),
                inputs,
                units,
                rows: 1,
                output: layer.output(),
                activation: layer.activation(),
                macs: 0,
                bytes: 0,
            };
            // The verifier took the same.
            if let Some(step) = Step::take(*layer, inputs, tensors) {
                if layer.operation().is_dense() {
                    info.macs = step.inputs * units;
                }
                #[cfg(feature = "layers")]
                {
                    info.rows = match layer.operation() {
                        Operation::Normalize => normalize::groups(&step),
                        _ => step.rows,
                    };
                }
                info.bytes = step.blocks.len() + step.table.len();
                tensors = step.behind;
            }
            inputs = units;
            info
        })
    }

    /// The classes' names in order, none where the blob has none.
    pub fn labels(&self) -> impl Iterator<Item = &'a str> + use<'a, LAYERS> {
        let labels = self.tail().labels;
        // The exporter writes UTF-8; of what is not, nothing is shown.
        labels
            .split(|&byte| byte == b'\n')
            .map(|label| core::str::from_utf8(label).unwrap_or(""))
            .take(if labels.is_empty() { 0 } else { usize::MAX })
    }

    /// The names of the inputs in order, none where the blob has none: they are written on request
    /// (`thumbnet export --input-names`), and cost a program that does not ask for them nothing.
    pub fn input_names(&self) -> impl Iterator<Item = &'a str> + use<'a, LAYERS> {
        let names = reader::input_names(self.blob.behind);
        let count = if names.is_empty() { 0 } else { self.inputs() };
        // As for the labels.
        names
            .split(|&byte| byte == b'\n')
            .map(|name| core::str::from_utf8(name).unwrap_or(""))
            .take(count)
    }

    /// The name of a class.
    pub fn label(&self, class: usize) -> Option<&'a str> {
        self.labels().nth(class)
    }

    /// What the blob has beside layers and tensors.
    #[inline(never)]
    pub(crate) fn tail(&self) -> Tail<'a> {
        Tail::take(&mut Reader::new(self.blob.behind))
    }

    /// Whether an output says yes, where each decides for itself: from the threshold on, 0.5 where
    /// the blob has none. What [`classify`](Self::classify) asks of a single output; of several with
    /// a threshold, each has a label of its own.
    pub fn says_yes(&self, output: f32) -> bool {
        float::at_least(output, self.threshold().unwrap_or(0.5)) != 0
    }

    /// The output from which on an output says yes; of several outputs, each for itself.
    pub fn threshold(&self) -> Option<f32> {
        self.tail().threshold()
    }

    /// Computes the outputs of one row, in a number of instructions that does not depend on the
    /// inputs.
    ///
    /// # Shapes
    ///
    /// * `inputs` - `[inputs()]`, raw values as the model was trained on
    /// * `scratch` - at least `[scratch_len()]`, left with whatever the layers wrote
    /// * `outputs` - `[outputs()]`
    ///
    /// # Errors
    ///
    /// [`Error::Length`] for a slice of another length, [`Error::NotFinite`] for an input that is
    /// NaN, infinite or too large to be scaled.
    pub fn predict(
        &self,
        inputs: &[f32],
        scratch: &mut [u32],
        outputs: &mut [f32],
    ) -> Result<(), Error> {
        self.predict_profiled(inputs, scratch, outputs, &mut |_| ())
    }

    /// [`predict`](Self::predict), calling `done` with the index of each layer once it is
    /// finished: read a cycle counter there. The same code and the same bits.
    ///
    /// # Errors
    ///
    /// As [`predict`](Self::predict).
    pub fn predict_profiled(
        &self,
        inputs: &[f32],
        scratch: &mut [u32],
        outputs: &mut [f32],
        done: &mut impl FnMut(usize),
    ) -> Result<(), Error> {
        length(What::Inputs, self.inputs(), inputs.len())?;
        let inputs = view::bits(inputs);
        self.run(inputs, scratch, outputs, |index, step, x, y, spare| {
            let finite = run(step, x, y, spare);
            if finite {
                done(index);
            }
            finite
        })
    }

    /// [`predict`](Self::predict) from samples as an ADC has them: `i8`, `u8`, `i16` or `u16`, each as
    /// the float of the same value. The same bits as of those floats, without a buffer for them.
    ///
    /// # Errors
    ///
    /// As [`predict`](Self::predict).
    pub fn predict_samples(
        &self,
        samples: &[impl Copy + Into<f32>],
        scratch: &mut [u32],
        outputs: &mut [f32],
    ) -> Result<(), Error> {
        length(What::Inputs, self.inputs(), samples.len())?;
        self.run(&[], scratch, outputs, |index, step, x, y, spare| {
            if index == 0 {
                let samples = samples.iter().map(|&sample| sample.into());
                quantize::each(step, samples, 0, y) && scaled(step, y)
            } else {
                run(step, x, y, spare)
            }
        })
    }

    /// Predicts, and decides for a class: of several outputs the first of the greatest, of one
    /// output class 1 from the threshold on (0.5 where the blob has none), else class 0.
    ///
    /// # Errors
    ///
    /// As [`predict`](Self::predict).
    pub fn classify(
        &self,
        inputs: &[f32],
        scratch: &mut [u32],
        outputs: &mut [f32],
    ) -> Result<Class<'a>, Error> {
        self.predict(inputs, scratch, outputs)?;
        Ok(self.class_of(outputs))
    }

    /// The class that [`classify`](Self::classify) decides for, of outputs that were predicted before.
    #[inline]
    pub fn class_of(&self, outputs: &[f32]) -> Class<'a> {
        let (mut index, score) = float::first_greatest(outputs);
        if outputs.len() == 1 {
            index = float::at_least(score, self.threshold().unwrap_or(0.5));
        }
        Class {
            index,
            score,
            label: self.label(index).unwrap_or(""),
        }
    }

    /// Runs the blob's own test vectors and compares every bit.
    ///
    /// `scratch` and `outputs` are as for [`predict`](Self::predict). A blob without test vectors
    /// passes.
    ///
    /// # Errors
    ///
    /// [`Error::SelfTest`] with the first layer that differs.
    pub fn self_test(&self, scratch: &mut [u32], outputs: &mut [f32]) -> Result<(), Error> {
        for (test, vector) in
            (0u16..).zip(self.tail().tests.chunks_exact(self.blob.test_len().max(4)))
        {
            let mut inputs = words(vector);
            let mut checksums = words(vector).skip(self.inputs() + self.outputs());
            let mut result = Ok(());
            self.run(&[], scratch, outputs, |index, step, x, y, spare| {
                let finite = if index == 0 {
                    // Straight from the blob, where they may lie misaligned.
                    quantize::each(step, inputs.by_ref().map(f32::from_bits), 0, y)
                        && scaled(step, y)
                } else {
                    run(step, x, y, spare)
                };
                let expected = checksums.next().unwrap_or(0);
                let found = checksum(step, y);
                if finite && expected != found && result.is_ok() {
                    result = Err(Error::SelfTest {
                        test,
                        layer: index as u8, // of use for 256 layers
                        expected,
                        found,
                    });
                }
                finite
            })?;
            result?;
        }
        Ok(())
    }

    /// [`predict`](Self::predict), with a checksum of each layer's values: what a self-test
    /// compares. `checksums` has an element per layer.
    ///
    /// # Errors
    ///
    /// As [`predict`](Self::predict).
    pub fn checksums(
        &self,
        inputs: &[f32],
        scratch: &mut [u32],
        outputs: &mut [f32],
        checksums: &mut [u32],
    ) -> Result<(), Error> {
        length(What::Inputs, self.inputs(), inputs.len())?;
        length(What::Layers, self.blob.layers.len(), checksums.len())?;
        let mut checksums = checksums.iter_mut();
        let inputs = view::bits(inputs);
        self.run(inputs, scratch, outputs, |_, step, x, y, spare| {
            let finite = run(step, x, y, spare);
            if finite && let Some(to) = checksums.next() {
                *to = checksum(step, y);
            }
            finite
        })
    }

    /// All layers. `run` runs one, given its index, what it is, the values that it reads, room
    /// for those that it writes, and what is left of the scratch memory; false where a value is not finite.
    ///
    /// The values lie at the start of the scratch memory behind layers of even index, at its end
    /// behind the odd ones, so that what a layer reads and what it writes never overlap.
    #[inline(always)]
    pub(crate) fn run(
        &self,
        inputs: &[u32],
        scratch: &mut [u32],
        outputs: &mut [f32],
        mut run: impl FnMut(usize, &Step, &[u32], &mut [u32], &mut [u32]) -> bool,
    ) -> Result<(), Error> {
        length(What::Outputs, self.outputs(), outputs.len())?;
        let Some(scratch) = scratch.get_mut(..self.blob.scratch) else {
            return length(What::Scratch, self.blob.scratch, scratch.len());
        };
        let outputs = view::bits_mut(outputs);
        let mut tensors = self.blob.tensors;
        let mut width = self.inputs();
        let mut reads = 0;
        let mut index = 0;
        let mut layers = self.blob.layers.iter();
        while let Some(&layer) = layers.next() {
            // The verifier took the same.
            let Some(step) = &Step::take(layer, width, tensors) else {
                return Err(Error::Malformed);
            };
            tensors = step.behind;
            width = step.units();
            let last = layers.as_slice().is_empty();
            let writes = if last {
                0
            } else {
                step.layer.output().words(width)
            };
            let odd = index & 1 != 0;
            let at_end = if odd { writes } else { reads };
            let (start, end) = scratch
                .split_at_mut_checked(scratch.len().wrapping_sub(at_end))
                .ok_or(Error::Malformed)?;
            #[cfg(feature = "layers")]
            let (start, spare) = start
                .split_at_mut_checked(if odd { reads } else { writes })
                .ok_or(Error::Malformed)?;
            #[cfg(not(feature = "layers"))]
            let spare: &mut [u32] = &mut [];
            let (x, y) = if odd { (start, end) } else { (end, start) };
            let x = if index == 0 { inputs } else { x };
            let y = if last { &mut *outputs } else { y };
            if !run(index, step, x, y, spare) {
                return Err(Error::NotFinite {
                    layer: index as u8, // there are at most 255
                });
            }
            reads = writes;
            index += 1;
        }
        Ok(())
    }
}

/// One layer. False where a value is not finite: one that it quantizes, or one of its outputs.
#[cfg(feature = "layers")]
#[inline(always)]
pub(crate) fn run(step: &Step, x: &[u32], y: &mut [u32], spare: &mut [u32]) -> bool {
    if step.rows == 1 {
        one(step, x, y)
    } else {
        rows::each(step, x, y, spare, one)
    }
}

#[cfg(not(feature = "layers"))]
#[inline(always)]
pub(crate) fn run(step: &Step, x: &[u32], y: &mut [u32], _spare: &mut [u32]) -> bool {
    one(step, x, y)
}

/// One layer, or one row of a layer that goes row by row.
#[inline(never)]
fn one(step: &Step, x: &[u32], y: &mut [u32]) -> bool {
    #[cfg(feature = "layers")]
    match step.layer.operation() {
        Operation::Normalize => {
            normalize::normalize(step, view::floats(x), view::floats_mut(y));
            return activated_floats(step, y);
        }
        Operation::Prelu => {
            prelu::prelu(step, view::floats(x), view::floats_mut(y));
            return activated_floats(step, y);
        }
        Operation::MaxPool => {
            max_pool::max_pool(step, view::floats(x), view::floats_mut(y));
            return activated_floats(step, y);
        }
        Operation::Lookup => {
            return lookup::lookup(step, view::floats(x), view::floats_mut(y))
                && activated_floats(step, y);
        }
        operation if operation.quantizes() => return quantized(step, x, y) && scaled(step, y),
        _ => {}
    }
    if step.layer.operation().quantizes() {
        return quantized(step, x, y);
    }
    let floats = step.layer.output() == Element::Float;
    let float = cfg!(feature = "f32") && step.layer.operation() == Operation::DenseFloat;
    #[cfg(feature = "f32")]
    if float {
        dense::dense(step, x, y);
    } else {
        isa::dense(step, x, y);
    }
    #[cfg(not(feature = "f32"))]
    isa::dense(step, x, y);
    if floats
        && (float || step.layer.activation_number() != 0)
        && let Some(y) = view::floats_mut(y).get_mut(..step.layer.units())
    {
        return activated(step, float, y);
    }
    true
}

/// What a quantization of floats to floats has behind it: its activation.
#[cfg_attr(not(feature = "layers"), inline(always))]
fn scaled(step: &Step, y: &mut [u32]) -> bool {
    !cfg!(feature = "layers") || step.layer.activation_number() == 0 || activated_floats(step, y)
}

/// [`activated`] for a layer of floats.
#[inline(never)]
fn activated_floats(step: &Step, y: &mut [u32]) -> bool {
    let y = view::floats_mut(y).get_mut(..step.layer.units());
    activated(step, true, y.unwrap_or_default())
}

/// Float outputs: false where one is not finite, before or behind the activation.
#[inline(always)]
fn activated(step: &Step, float: bool, y: &mut [f32]) -> bool {
    // The sums of integer layers are: the verifier bounds their scales.
    if float && !are_finite(y) {
        return false;
    }
    activation::activate(step.layer.activation(), step.table, y);
    !cfg!(feature = "activations")
        || step.layer.activation_number() <= Activation::Table as u8
        || are_finite(y)
}

/// Whether all are, in as many instructions whatever they are.
#[inline(never)]
pub(crate) fn are_finite(values: &[f32]) -> bool {
    // An exponent of ones carries into the sign's place.
    let carry = |value: &f32| (value.to_bits() & 0x7FFF_FFFF) + 0x0080_0000;
    values.iter().fold(0, |all, value| all | carry(value)) >> 31 == 0
}

/// Apart from [`run`] where it takes more stack than that.
#[cfg_attr(not(fpu), inline(never))]
#[cfg_attr(fpu, inline(always))]
fn quantized(step: &Step, x: &[u32], y: &mut [u32]) -> bool {
    quantize(step, view::floats(x), y)
}

pub(crate) fn length(what: What, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found {
        return Ok(());
    }
    Err(Error::Length {
        what,
        expected: number(expected),
        found: number(found),
    })
}

/// Of values, not of their bytes: the same for every packing.
fn checksum(step: &Step, values: &[u32]) -> u32 {
    let units = step.units();
    // FNV-1a over words.
    let add = |sum: u32, word: u32| (sum ^ word).wrapping_mul(0x0100_0193);
    let start = 0x811C_9DC5;
    let integers = |sum, value: i32| add(sum, value.cast_unsigned());
    match step.layer.output() {
        Element::Int8 => view::int8(values)
            .iter()
            .take(units)
            .fold(start, |sum, &value| integers(sum, value.into())),
        Element::Int8Wide | Element::Int16 => view::int16(values)
            .iter()
            .take(units)
            .fold(start, |sum, &value| integers(sum, value.into())),
        Element::Float => values
            .iter()
            .take(units)
            .fold(start, |sum, &word| add(sum, word)),
    }
}
