//! A verified blob, ready to run.

use crate::blob::{Activation, Element, Layer, Operation, Packing};
use crate::error::{Error, What, number};
use crate::kernel::{self, Dense, Source, Target, view};
use crate::math;
use crate::pack;
use crate::quantize::quantize;
use crate::verify;

/// A model that borrows its weights from the blob.
///
/// `LAYERS` is the greatest number of layers it can hold, 12 bytes each; the input's quantization
/// counts as one.
#[derive(Clone, Debug)]
pub struct Model<'a, const LAYERS: usize = 16> {
    pub(crate) layers: heapless::Vec<Layer, LAYERS>,
    pub(crate) tensors: &'a [u8],
    pub(crate) labels: &'a [u8],
    pub(crate) tests: &'a [u8],
    pub(crate) threshold: Option<f32>,
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

impl<'a, const LAYERS: usize> Model<'a, LAYERS> {
    /// Verifies a blob and borrows its weights.
    ///
    /// Any bytes give `Ok` or `Err`; a model that is `Ok` cannot panic, nor read beyond the blob,
    /// whatever its weights. Takes time for each byte, for the checksum; see
    /// [`from_bytes_without_crc`](Self::from_bytes_without_crc).
    ///
    /// The blob should start at a multiple of four bytes: elsewhere it runs by slower code.
    ///
    /// # Errors
    ///
    /// Whatever is wrong with the blob, the first of it.
    pub fn from_bytes(blob: &'a [u8]) -> Result<Self, Error> {
        verify::model(blob, true)
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
        verify::model(blob, false)
    }

    pub(crate) const fn empty() -> Self {
        Self {
            layers: heapless::Vec::new(),
            tensors: &[],
            labels: &[],
            tests: &[],
            threshold: None,
        }
    }

    /// Values of an input row.
    pub fn inputs(&self) -> usize {
        self.layers.first().map_or(0, Layer::inputs)
    }

    /// Values of an output row.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, Layer::units)
    }

    /// Words of scratch memory that a prediction needs: for the layer that needs most, its inputs
    /// and outputs, without the model's own.
    pub fn scratch_len(&self) -> usize {
        let mut most = 0;
        let mut input = 0;
        for (index, layer) in self.layers.iter().enumerate() {
            let output = if index + 1 == self.layers.len() {
                0
            } else {
                layer.output.words(layer.units())
            };
            most = most.max(input + output);
            input = output;
        }
        most
    }

    /// Multiply-accumulates of a prediction.
    pub fn macs(&self) -> usize {
        self.layers().map(|layer| layer.macs).sum()
    }

    /// The layers, from the input's quantization on.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = LayerInfo> + '_ {
        self.layers.iter().map(|layer| LayerInfo {
            operation: layer.operation,
            packing: layer.packing,
            inputs: layer.inputs(),
            units: layer.units(),
            output: layer.output,
            activation: layer.activation,
            macs: match layer.operation {
                Operation::QuantizeTensor | Operation::QuantizeFeatures => 0,
                _ => layer.inputs() * layer.units(),
            },
            bytes: layer.blocks_len() + layer.table_len(),
        })
    }

    /// The classes' names in order, none where the blob has none.
    pub fn labels(&self) -> impl Iterator<Item = &'a str> + use<'a, LAYERS> {
        let labels = self.labels;
        // The exporter writes UTF-8; of what is not, nothing is shown.
        labels
            .split(|&byte| byte == b'\n')
            .map(|label| core::str::from_utf8(label).unwrap_or(""))
            .take(if labels.is_empty() { 0 } else { usize::MAX })
    }

    /// The name of a class.
    pub fn label(&self, class: usize) -> Option<&'a str> {
        self.labels().nth(class)
    }

    pub(crate) fn label_count(&self) -> usize {
        if self.labels.is_empty() {
            return 0;
        }
        1 + self.labels.iter().filter(|&&byte| byte == b'\n').count()
    }

    /// The output from which on a model with one output says yes.
    pub fn threshold(&self) -> Option<f32> {
        self.threshold
    }

    /// Bytes of one self-test vector.
    pub(crate) fn test_len(&self) -> usize {
        (self.inputs() + self.outputs() + self.layers.len()) * 4
    }

    /// The blocks and the table of a layer.
    #[inline(always)]
    pub(crate) fn tensors_of(&self, layer: &Layer) -> (&'a [u8], &'a [u8]) {
        let from = self.tensors.get(layer.offset as usize..).unwrap_or(&[]);
        let (blocks, rest) = from
            .split_at_checked(layer.blocks_len())
            .unwrap_or((&[], &[]));
        (blocks, rest.get(..layer.table_len()).unwrap_or(&[]))
    }

    /// Computes the outputs of one row.
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
        self.run(inputs.iter().copied(), scratch, outputs, |layer, _| {
            done(layer);
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
        let mut index = 0;
        let mut score = f32::NEG_INFINITY;
        for (i, &output) in outputs.iter().enumerate() {
            if output > score {
                (index, score) = (i, output);
            }
        }
        if outputs.len() == 1 {
            index = usize::from(score >= self.threshold.unwrap_or(0.5));
        }
        Ok(Class {
            index,
            score,
            label: self.label(index).unwrap_or(""),
        })
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
        for (test, vector) in (0u16..).zip(self.tests.chunks_exact(self.test_len().max(4))) {
            let mut words = pack::words(vector);
            let inputs = words.by_ref().take(self.inputs()).map(f32::from_bits);
            let mut checksums = pack::words(vector).skip(self.inputs() + self.outputs());
            let mut result = Ok(());
            self.run(inputs, scratch, outputs, |layer, values| {
                let expected = checksums.next().unwrap_or(0);
                let found = checksum(&values);
                if expected != found && result.is_ok() {
                    result = Err(Error::SelfTest {
                        test,
                        layer: layer as u8, // at most LAYERS
                        expected,
                        found,
                    });
                }
            })?;
            result?;
            // The last checksum covers the outputs; their bits are there to be compared by hand.
            for (output, expected) in outputs.iter().zip(words) {
                if output.to_bits() != expected {
                    return Err(Error::SelfTest {
                        test,
                        layer: (self.layers.len() as u8).wrapping_sub(1),
                        expected,
                        found: output.to_bits(),
                    });
                }
            }
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
        length(What::Layers, self.layers.len(), checksums.len())?;
        let mut checksums = checksums.iter_mut();
        self.run(inputs.iter().copied(), scratch, outputs, |_, values| {
            if let Some(to) = checksums.next() {
                *to = checksum(&values);
            }
        })
    }

    /// All layers, `seen` being shown the values of each.
    ///
    /// The values alternate between the two ends of the scratch memory.
    #[inline(always)]
    fn run(
        &self,
        inputs: impl Iterator<Item = f32>,
        scratch: &mut [u32],
        outputs: &mut [f32],
        mut seen: impl FnMut(usize, Source),
    ) -> Result<(), Error> {
        length(What::Outputs, self.outputs(), outputs.len())?;
        let needed = self.scratch_len();
        if scratch.len() < needed {
            length(What::Scratch, needed, scratch.len())?;
        }
        let scratch = scratch
            .split_at_mut_checked(needed)
            .map_or(&mut [][..], |(s, _)| s);
        let Some((first, rest)) = self.layers.split_first() else {
            return Ok(());
        };
        let target = if rest.is_empty() {
            Target::Float(&mut *outputs)
        } else {
            view::target(first.output, scratch, first.units())
        };
        self.quantize(first, inputs, target)?;
        seen(0, self.values(0, first, scratch, outputs));
        for (layer, index) in rest.iter().zip(1..) {
            self.step(index, layer, scratch, outputs)?;
            seen(index, self.values(index, layer, scratch, outputs));
        }
        Ok(())
    }

    /// Where the values of a layer are once it is done.
    #[inline(always)]
    fn values<'s>(
        &self,
        index: usize,
        layer: &Layer,
        scratch: &'s [u32],
        outputs: &'s [f32],
    ) -> Source<'s> {
        if index + 1 == self.layers.len() {
            return Source::Float(outputs);
        }
        let skip = if index.is_multiple_of(2) {
            0
        } else {
            scratch.len() - layer.output.words(layer.units()).min(scratch.len())
        };
        let words = scratch.get(skip..).unwrap_or(&[]);
        view::source(layer.output, words, layer.units())
    }

    /// One layer behind the first.
    #[inline(never)]
    fn step(
        &self,
        index: usize,
        layer: &Layer,
        scratch: &mut [u32],
        outputs: &mut [f32],
    ) -> Result<(), Error> {
        let last = index + 1 == self.layers.len();
        let reads = layer.input().words(layer.inputs());
        let writes = if last {
            0
        } else {
            layer.output.words(layer.units())
        };
        // Odd layers read the start and write the end.
        let odd = !index.is_multiple_of(2);
        let middle = if odd {
            scratch.len().wrapping_sub(writes)
        } else {
            scratch.len().wrapping_sub(reads)
        };
        let (start, end) = scratch
            .split_at_mut_checked(middle)
            .unwrap_or((&mut [], &mut []));
        let (from, to) = if odd { (start, end) } else { (end, start) };
        let source = view::source(layer.input(), from, layer.inputs());
        let mut target = if last {
            Target::Float(outputs)
        } else {
            view::target(layer.output, to, layer.units())
        };
        if let Operation::QuantizeTensor | Operation::QuantizeFeatures = layer.operation {
            let Source::Float(x) = source else {
                return Ok(());
            };
            return self.quantize(layer, x.iter().copied(), target);
        }
        let (blocks, table) = self.tensors_of(layer);
        let reborrowed = match &mut target {
            Target::Int8(y) => Target::Int8(y),
            Target::Int16(y) => Target::Int16(y),
            Target::Float(y) => Target::Float(y),
        };
        let dense = Dense {
            layer,
            blocks,
            table,
        };
        kernel::dense(&dense, source, reborrowed);
        if let Target::Float(y) = target {
            math::activate(layer.activation, table, y);
        }
        Ok(())
    }

    /// A layer that turns floats into integers.
    #[inline(always)]
    fn quantize(
        &self,
        layer: &Layer,
        x: impl Iterator<Item = f32>,
        target: Target,
    ) -> Result<(), Error> {
        let (pairs, _) = self.tensors_of(layer);
        let limit = if layer.output == Element::Int16 {
            32767
        } else {
            127
        };
        let pair = |bytes: &[u8; 8]| pack::first_words::<2>(bytes).map(f32::from_bits);
        if layer.operation == Operation::QuantizeTensor {
            let one = pairs.first_chunk::<8>().map_or([0.0; 2], pair);
            quantize(x, core::iter::repeat(one), target, limit)
        } else {
            let pairs = pairs.as_chunks::<8>().0;
            quantize(x, pairs.iter().map(pair), target, limit)
        }
    }
}

fn length(what: What, expected: usize, found: usize) -> Result<(), Error> {
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
fn checksum(values: &Source) -> u32 {
    // FNV-1a over words.
    let add = |sum: u32, word: u32| (sum ^ word).wrapping_mul(0x0100_0193);
    let start = 0x811C_9DC5;
    match *values {
        Source::Int8(y) => y
            .iter()
            .fold(start, |sum, &y| add(sum, i32::from(y).cast_unsigned())),
        Source::Int16(y) => y
            .iter()
            .fold(start, |sum, &y| add(sum, i32::from(y).cast_unsigned())),
        Source::Float(y) => y.iter().fold(start, |sum, &y| add(sum, y.to_bits())),
    }
}
