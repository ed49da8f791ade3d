//! Writing blobs: what the exporter and the tests use. Nothing here is linked into firmware that
//! only predicts.

use postcard::Serializer;
use postcard::ser_flavors::Flavor;
use serde::Serialize;

use crate::blob::{
    self, ALIGNMENT, Activation, CURVES, Element, Layer, MAGIC, MAX_WIDTH, Operation, Packed,
    VERSION,
};
use crate::checksum::crc32;
use crate::error::{Error, What, number};
use crate::isa;
use crate::layer::{LOOKUP_HEAD, ROWS, ROWS_HEAD, Rows, Shape, blocks_len, words::put_words};
use crate::limits::{Limits, SCALE_LIMIT, Wrong, scale_is_sound};
use crate::packing::Packing;
use crate::reader::{self, Reader, Tail};
use crate::spec::{
    DenseSpec, FloatSpec, Integers, LayerSpec, LookupSpec, LookupTable, ModelSpec, OutputSpec,
    Precision,
};
use crate::verdict::{self, Verdict};

/// Bytes of the blob that [`encode`] writes.
///
/// # Errors
///
/// As [`encode`].
pub fn encoded_len(spec: &ModelSpec) -> Result<usize, Error> {
    write(spec, &mut [])
}

/// Writes a blob into the start of `blob` and says how long it is.
///
/// # Errors
///
/// [`Error::Layer`] or [`Error::Length`] for slices whose lengths do not fit each other and for
/// numbers out of range; [`Error::Feature`] for a weight type that is not built in;
/// [`Error::Length`] with [`What::Blob`] where `blob` is shorter than
/// [`encoded_len`]. What the layers do to each other is checked by
/// [`Model::from_bytes`](crate::Model::from_bytes).
pub fn encode(spec: &ModelSpec, blob: &mut [u8]) -> Result<usize, Error> {
    let found = number(blob.len());
    let length = write(spec, blob)?;
    if length > blob.len() {
        return Err(Error::Length {
            what: What::Blob,
            expected: number(length),
            found,
        });
    }
    Ok(length)
}

/// Writes what has room and counts all.
struct Writer<'a> {
    bytes: &'a mut [u8],
    position: usize,
}

impl Flavor for Writer<'_> {
    type Output = usize;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        if let Some(to) = self.bytes.get_mut(self.position) {
            *to = byte;
        }
        self.position += 1;
        Ok(())
    }

    fn finalize(self) -> postcard::Result<usize> {
        Ok(self.position)
    }
}

fn write(spec: &ModelSpec, blob: &mut [u8]) -> Result<usize, Error> {
    let mut message = Serializer {
        output: Writer {
            bytes: blob,
            position: 0,
        },
    };
    put(&mut message, MAGIC)?;
    put(&mut message, VERSION)?;
    put(
        &mut message,
        spec.layers.first().map_or(0, LayerSpec::inputs),
    )?;
    put(&mut message, spec.layers.len())?;
    let mut tensors = 0usize;
    let (mut inputs, mut outputs) = (0, 0);
    for (layer, spec) in described(spec.layers).zip(spec.layers) {
        let layer = layer?;
        put(&mut message, layer.units)?;
        put(&mut message, layer.numbers())?;
        tensors = tensors.saturating_add(tensor_len(&layer, spec));
        if outputs == 0 {
            inputs = spec.inputs();
        }
        outputs = layer.units.into();
    }
    put(&mut message, spec.threshold)?;

    let separators = spec.labels.len().saturating_sub(1);
    let length = spec.labels.iter().map(|label| label.len()).sum::<usize>() + separators;
    put(&mut message, length)?;
    for (label, index) in spec.labels.iter().zip(0u32..) {
        if label.contains('\n') || (label.is_empty() && spec.labels.len() == 1) {
            return Err(Error::Length {
                what: What::Labels,
                expected: number(spec.labels.len()),
                found: number(spec.labels.len() + 1),
            });
        }
        if index > 0 {
            push(&mut message, b"\n")?;
        }
        push(&mut message, label.as_bytes())?;
    }

    let test = inputs + outputs + spec.layers.len();
    put(&mut message, test * 4 * spec.self_tests.len())?;
    for vector in spec.self_tests {
        for (what, expected, found) in [
            (What::Inputs, inputs, vector.inputs.len()),
            (What::Outputs, outputs, vector.outputs.len()),
            (What::Layers, spec.layers.len(), vector.checksums.len()),
        ] {
            if expected != found {
                return Err(Error::Length {
                    what,
                    expected: number(expected),
                    found: number(found),
                });
            }
        }
        for value in vector.inputs.iter().chain(vector.outputs) {
            push(&mut message, &value.to_le_bytes())?;
        }
        for word in vector.checksums {
            push(&mut message, &word.to_le_bytes())?;
        }
    }

    let is_name = |name: &&str| !name.is_empty() && !name.contains(['\n', '\0']);
    let names = spec.input_names.iter().filter(|name| is_name(name)).count();
    if !spec.input_names.is_empty() && names != inputs {
        return Err(Error::Length {
            what: What::InputNames,
            expected: number(inputs),
            found: number(names),
        });
    }
    let names = (0u32..).zip(spec.input_names);
    let names = names.flat_map(|(index, name)| {
        let separator = (index > 0).then_some(b'\n');
        separator.into_iter().chain(name.bytes())
    });
    put_padding(&mut message, names, tensors)?;

    let start = message.output.position;
    let end = start.saturating_add(tensors);
    let total = end.saturating_add(4);
    let Some(blob) = message.output.bytes.get_mut(..total) else {
        return Ok(total);
    };
    let mut rest = blob.get_mut(start..end).unwrap_or_default();
    rest.fill(0);
    for (layer, spec) in described(spec.layers).zip(spec.layers) {
        let layer = layer?;
        let Some((bytes, next)) = rest.split_at_mut_checked(tensor_len(&layer, spec)) else {
            break;
        };
        rest = next;
        tensor(&layer, spec, bytes);
    }
    if let Some((covered, crc)) = blob.split_last_chunk_mut::<4>() {
        *crc = crc32(covered).to_le_bytes();
    }
    Ok(total)
}

/// Writes what lies between the self-tests and the tensors: these bytes, zeros, and how many bytes of tensors
/// there are.
fn put_padding(
    message: &mut Serializer<Writer>,
    bytes: impl Iterator<Item = u8> + Clone,
    tensors: usize,
) -> Result<(), Error> {
    let text = bytes.clone().count();
    // The padding's own length takes a few bytes, and the tensors'.
    let digits = varint_len(tensors);
    let start = message.output.position;
    let tensors_at = |zeros: usize| start + varint_len(text + zeros) + text + zeros + digits;
    // One more digit of the length may leap over a multiple.
    let zeros = (0..2 * ALIGNMENT).find(|&zeros| tensors_at(zeros).is_multiple_of(ALIGNMENT));
    let zeros = zeros.unwrap_or_default();
    put(message, text + zeros)?;
    for byte in bytes.chain(core::iter::repeat_n(0, zeros)) {
        push(message, &[byte])?;
    }
    put(message, tensors)
}

/// Writes a blob again with what it says of rows, in place of what it said before, into the start of `to`, and
/// says how long it is: at most 32 bytes more, and 8 for each mean.
///
/// # Errors
///
/// As [`Model::from_bytes`](crate::Model::from_bytes) for the blob; [`Error::Length`] for means or factors of
/// another number than inputs, a model with another number of outputs, and a `to` that is too short;
/// [`Error::Layer`] with the bits of a number that is not finite.
pub fn encode_verdict(blob: &[u8], verdict: &Verdict, to: &mut [u8]) -> Result<usize, Error> {
    let model = crate::Model::<255>::from_bytes(blob)?;
    let none: &[f32] = &[];
    let (kind, threshold, means, factors) = match *verdict {
        Verdict::Unknown { below } => (verdict::UNKNOWN, below, none, none),
        Verdict::Anomaly {
            above, means: [], ..
        } => (verdict::ANOMALY, above, none, none),
        Verdict::Anomaly {
            above,
            means,
            factors,
        } => (verdict::NORMALIZED_ANOMALY, above, means, factors),
    };
    let expected = model.inputs();
    let outputs = (kind != verdict::UNKNOWN).then_some((What::Outputs, model.outputs()));
    let pairs = [(What::Bias, means.len()), (What::Scale, factors.len())];
    let pairs = (kind == verdict::NORMALIZED_ANOMALY).then_some(pairs);
    for (what, found) in outputs.into_iter().chain(pairs.into_iter().flatten()) {
        if found != expected {
            return Err(Error::Length {
                what,
                expected: number(expected),
                found: number(found),
            });
        }
    }
    let numbers = [threshold].into_iter().chain(means.iter().copied());
    let not_finite = numbers
        .chain(factors.iter().copied())
        .find(|v| !v.is_finite());
    let zero = factors.iter().copied().find(|factor| *factor == 0.0);
    if let Some(wrong) = not_finite.or(zero) {
        return Err(Error::Layer {
            layer: 0,
            what: What::Scale,
            expected: 0,
            found: wrong.to_bits(),
        });
    }
    let names = reader::input_names(model.blob.behind);
    let tail = &mut Reader::new(model.blob.behind);
    let _tail = Tail::take(tail);
    // The padding begins where the self-tests end.
    let head = blob.len() - tail.rest.len();
    let mut message = Serializer {
        output: Writer {
            bytes: to,
            position: 0,
        },
    };
    push(&mut message, blob.get(..head).unwrap_or_default())?;
    let pairs = means.iter().zip(factors);
    let pairs = pairs.flat_map(|(mean, factor)| [mean.to_le_bytes(), factor.to_le_bytes()]);
    let record = names.iter().copied().chain([0, kind]);
    let record = record.chain(threshold.to_le_bytes());
    let tensors = model.blob.tensors;
    put_padding(&mut message, record.chain(pairs.flatten()), tensors.len())?;
    push(&mut message, tensors)?;
    push(&mut message, &[0; 4])?;
    let length = message.output.position;
    let found = number(message.output.bytes.len());
    let written = message.output.bytes.get_mut(..length);
    let Some((covered, crc)) = written.and_then(<[u8]>::split_last_chunk_mut::<4>) else {
        return Err(Error::Length {
            what: What::Blob,
            expected: number(length),
            found,
        });
    };
    *crc = crc32(covered).to_le_bytes();
    Ok(length)
}

/// Bytes of a length as postcard writes it: seven bits each.
fn varint_len(length: usize) -> usize {
    let bits = (usize::BITS - length.leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

/// The layers as the blob has them, but for their offsets.
fn described<'a>(specs: &'a [LayerSpec<'a>]) -> impl Iterator<Item = Result<Layer, Error>> + 'a {
    let next = specs.iter().skip(1).map(Some).chain([None]);
    specs
        .iter()
        .zip(next)
        .zip(0..)
        .map(|((spec, next), index)| describe(spec, next, index))
}

/// Bytes of a layer's tensors with their padding.
fn tensor_len(layer: &Layer, spec: &LayerSpec) -> usize {
    let (packed, inputs, head) = match spec {
        LayerSpec::Rows { dense, .. } => {
            (Packed::new(layer.of_a_row(dense)), dense.inputs, ROWS_HEAD)
        }
        spec => (Packed::new(*layer), spec.inputs(), 0),
    };
    own_blocks_len(packed, inputs, spec)
        .saturating_add(packed.table_len())
        .saturating_add(head)
        .checked_next_multiple_of(ALIGNMENT)
        .unwrap_or(usize::MAX)
}

/// Bytes of a layer's blocks; of a row where it goes row by row.
fn own_blocks_len(layer: Packed, inputs: usize, spec: &LayerSpec) -> usize {
    match spec {
        LayerSpec::Lookup(lookup) => {
            let table = match lookup.table {
                LookupTable::Int8 { values, .. } => values.len().next_multiple_of(4),
                LookupTable::Float(values) => values.len() * 4,
            };
            LOOKUP_HEAD + lookup.bounds.len() * 4 + table
        }
        _ => blocks_len(layer, inputs),
    }
}

/// Writes a table and what is before it.
fn put_lookup(lookup: &LookupSpec, bytes: &mut [u8]) {
    let rows = lookup.table.len().checked_div(lookup.units).unwrap_or(0);
    let scale = match lookup.table {
        LookupTable::Int8 { scale, .. } => scale.to_bits(),
        LookupTable::Float(_) => 0,
    };
    let [bounds, rows, units] = [lookup.bounds.len(), rows, lookup.units].map(number);
    let head = [bounds, rows, units, scale, lookup.zeros.into(), 0, 0, 0];
    let bounds = lookup.bounds.iter().map(|bound| bound.to_bits());
    put_words(bytes, head.into_iter().chain(bounds));
    let start = LOOKUP_HEAD + lookup.bounds.len() * 4;
    let table = bytes.get_mut(start..).unwrap_or_default();
    match lookup.table {
        LookupTable::Int8 { values, .. } => {
            for (to, value) in table.iter_mut().zip(values) {
                *to = value.cast_unsigned();
            }
        }
        LookupTable::Float(values) => put_words(table, values.iter().map(|v| v.to_bits())),
    }
}

impl Layer {
    /// That of a row.
    fn of_a_row(self, dense: &DenseSpec) -> Self {
        Self {
            units: dense.units as u16, // no more than all rows have
            operation: self.operation.of_a_row(),
            ..self
        }
    }
}

fn describe(spec: &LayerSpec, next: Option<&LayerSpec>, index: usize) -> Result<Layer, Error> {
    let layer = describe_layer(spec, next, index)?;
    let number = u8::try_from(index).unwrap_or(u8::MAX);
    let operation = layer.operation;
    let rare = matches!(spec, LayerSpec::Scale { .. }) && layer.activation != Activation::Linear;
    if !operation.is_built_in() || (rare && !cfg!(feature = "layers")) {
        return Err(Error::Feature {
            layer: number,
            operation,
        });
    }
    if !Activation::is_built_in(layer.activation as u8) {
        return Err(Error::Activation {
            layer: number,
            activation: layer.activation,
        });
    }
    match spec.float_table() {
        Some(table) if !(1..=CURVES).contains(&table.pieces.len()) => Err(Error::Layer {
            layer: number,
            what: What::Table,
            expected: CURVES as u32,
            found: crate::error::number(table.pieces.len()),
        }),
        _ => Ok(layer),
    }
}

fn describe_layer(
    spec: &LayerSpec,
    next: Option<&LayerSpec>,
    index: usize,
) -> Result<Layer, Error> {
    let wrong = |what, expected: usize, found: usize| Error::Layer {
        layer: u8::try_from(index).unwrap_or(u8::MAX),
        what,
        expected: number(expected),
        found: number(found),
    };
    let width = |what, found: usize| match u16::try_from(found) {
        Ok(width) if width > 0 => Ok(width),
        _ => Err(wrong(what, MAX_WIDTH, found)),
    };
    let length = |what, expected: usize, found: usize| match expected == found {
        true => Ok(()),
        false => Err(wrong(what, expected, found)),
    };
    // What the next layer reads int8 values from.
    let int8 = match next {
        Some(LayerSpec::Dense(next) | LayerSpec::Rows { dense: next, .. }) => {
            match next.weights.operation().input(next.packing) {
                Element::Int8Wide => Element::Int8Wide,
                Element::Int8 | Element::Int16 | Element::Float => Element::Int8,
            }
        }
        Some(
            LayerSpec::Quantize { .. }
            | LayerSpec::Scale { .. }
            | LayerSpec::Normalize(_)
            | LayerSpec::Prelu { .. }
            | LayerSpec::MaxPool(_)
            | LayerSpec::Lookup(_),
        )
        | None => Element::Int8,
    };
    // A layer of floats without weights.
    let floats = |operation: Operation, inputs: usize, then: &FloatSpec| {
        Ok(Layer {
            units: width(What::Inputs, inputs)?,
            operation,
            packing: Packing::Plain,
            output: Element::Float,
            activation: then.activation(),
        })
    };
    // A layer that multiplies and adds, with so many pairs of numbers for its inputs.
    let affine = |inputs: usize, pairs: usize, output: Element| {
        if pairs != 1 {
            length(What::Scale, inputs, pairs)?;
        }
        Ok(Layer {
            units: width(What::Inputs, inputs)?,
            operation: if pairs == 1 {
                Operation::QuantizeTensor
            } else {
                Operation::QuantizeFeatures
            },
            packing: Packing::Plain,
            output,
            activation: Activation::Linear,
        })
    };
    match spec {
        &LayerSpec::Quantize {
            inputs,
            scale,
            zero_point,
            output,
        } => {
            length(What::Bias, scale.len(), zero_point.len())?;
            let mut factors = scale.iter().map(|&scale| factor(scale));
            if let Some(bad) = factors.find(|&factor| !scale_is_sound(factor)) {
                return Err(wrong(What::Scale, 1 << 30, bad.to_bits() as usize));
            }
            let sound = |zero: i32| zero.unsigned_abs() <= LARGEST_ZERO_POINT;
            if let Some(&bad) = zero_point.iter().find(|&&zero| !sound(zero)) {
                let found = bad.unsigned_abs() as usize;
                return Err(wrong(What::Bias, LARGEST_ZERO_POINT as usize, found));
            }
            let output = match output {
                Precision::Int8 => int8,
                Precision::Int16 => Element::Int16,
            };
            affine(inputs, scale.len(), output)
        }
        &LayerSpec::Scale {
            inputs,
            scale,
            offset,
            then,
        } => {
            length(What::Bias, scale.len(), offset.len())?;
            let limit = f32::from_bits(SCALE_LIMIT);
            if let Some(bad) = beyond(scale, limit).or_else(|| beyond(offset, limit)) {
                return Err(wrong(What::Scale, 0, bad.to_bits() as usize));
            }
            Ok(Layer {
                activation: then.activation(),
                ..affine(inputs, scale.len(), Element::Float)?
            })
        }
        LayerSpec::Normalize(normalize) => {
            let numbers = [
                normalize.square_factor,
                normalize.epsilon,
                normalize.least,
                normalize.mean_factor,
            ];
            if let Some(bad) = beyond(&numbers, f32::from_bits(SCALE_LIMIT)) {
                return Err(wrong(What::Scale, 0, bad.to_bits() as usize));
            }
            floats(Operation::Normalize, spec.inputs(), &normalize.then)
        }
        LayerSpec::Prelu { slopes, then } => {
            if let Some(bad) = beyond(slopes, f32::from_bits(SCALE_LIMIT)) {
                return Err(wrong(What::Scale, 0, bad.to_bits() as usize));
            }
            floats(Operation::Prelu, slopes.len(), then)
        }
        LayerSpec::MaxPool(pool) => {
            width(What::Inputs, spec.inputs())?;
            floats(Operation::MaxPool, pool.units(), &pool.then)
        }
        LayerSpec::Lookup(lookup) => {
            let rows = lookup.table.len().checked_div(lookup.units).unwrap_or(0);
            let expected = match lookup.bounds.len() {
                0 => rows.clamp(1, MAX_WIDTH),
                bounds => bounds.min(MAX_WIDTH) + 1,
            };
            length(What::Weights, expected * lookup.units, lookup.table.len())?;
            if let LookupTable::Int8 { scale, .. } = lookup.table
                && !(scale > 0.0 && scale.is_finite())
            {
                return Err(wrong(What::Scale, 0, scale.to_bits() as usize));
            }
            width(What::Inputs, lookup.inputs)?;
            floats(
                Operation::Lookup,
                lookup.inputs.saturating_mul(lookup.units),
                &lookup.then,
            )
        }
        LayerSpec::Rows { rows, dense } => {
            let row = describe_layer(&LayerSpec::Dense(*dense), next, index)?;
            width(What::Inputs, spec.inputs())?;
            Ok(Layer {
                units: width(What::Units, rows.saturating_mul(dense.units))?,
                operation: match row.operation {
                    Operation::DenseInt8 => Operation::RowsInt8,
                    Operation::DenseInt4 => Operation::RowsInt4,
                    Operation::DenseInt16 => Operation::RowsInt16,
                    _ => Operation::RowsFloat,
                },
                ..row
            })
        }
        LayerSpec::Dense(dense) => {
            let weights = dense.inputs.saturating_mul(dense.units);
            let operation = dense.weights.operation();
            let (found, biases) = match dense.weights.integers() {
                Some(integers) => {
                    let limit = integers.row.limit;
                    let size = |w: &i8| u32::from(w.unsigned_abs());
                    if let Some(size) = integers.weights.iter().map(size).find(|&w| w > limit) {
                        return Err(wrong(What::Weights, limit as usize, size as usize));
                    }
                    (integers.weights.len(), integers.bias.len())
                }
                None => {
                    let (weights, bias) = dense.weights.floats();
                    (weights.len(), bias.len())
                }
            };
            length(What::Weights, weights, found)?;
            length(What::Bias, dense.units, biases)?;
            let float = operation == Operation::DenseFloat;
            let (output, activation, scales) = match dense.output {
                OutputSpec::Int8 { multipliers, table } => {
                    (int8, table.map(|_| Activation::Table), multipliers.len())
                }
                OutputSpec::Int16 { multipliers, table } => (
                    Element::Int16,
                    table.map(|_| Activation::Table),
                    multipliers.len(),
                ),
                OutputSpec::Float {
                    scales,
                    activation,
                    table,
                } => (
                    Element::Float,
                    Some(FloatSpec { activation, table }.activation()),
                    scales.len(),
                ),
            };
            let activation = activation.unwrap_or_default();
            length(What::Scale, if float { 0 } else { dense.units }, scales)?;
            if let Some((what, bad)) = bad_float(dense) {
                return Err(wrong(what, 0, bad.to_bits() as usize));
            }
            width(What::Inputs, dense.inputs)?;
            let units = width(What::Units, dense.units)?;
            if let Some(limits) = Limits::of(operation, output) {
                check_units(limits, dense).map_err(|broken| {
                    let found = usize::try_from(broken.found).unwrap_or(usize::MAX);
                    wrong(broken.what, broken.expected as usize, found)
                })?;
            }
            Ok(Layer {
                units,
                operation,
                packing: if float { Packing::Plain } else { dense.packing },
                output,
                activation,
            })
        }
    }
}

/// The first number of a dense layer that is not finite, or a scale that is too large.
fn bad_float(dense: &DenseSpec) -> Option<(What, f32)> {
    let scales = match dense.output {
        OutputSpec::Float { scales, .. } => scales,
        OutputSpec::Int8 { .. } | OutputSpec::Int16 { .. } => &[],
    };
    let (weights, bias) = dense.weights.floats();
    let bad = |what, values, limit| beyond(values, limit).map(|value| (what, value));
    bad(What::Scale, scales, f32::from_bits(SCALE_LIMIT))
        .or_else(|| bad(What::Weights, weights, f32::INFINITY))
        .or_else(|| bad(What::Bias, bias, f32::INFINITY))
}

/// The first value that is no number, or not below the limit in magnitude.
fn beyond(values: &[f32], limit: f32) -> Option<f32> {
    let sound = |value: &f32| value.is_finite() && value.abs() < limit;
    values.iter().copied().find(|value| !sound(value))
}

/// Holds each unit of a layer of integers against what kernels need. Inputs are at least one, and the
/// slices as long as they must be.
fn check_units(limits: Limits, dense: &DenseSpec) -> Result<(), Wrong> {
    let Some(Integers { weights, bias, .. }) = dense.weights.integers() else {
        return Ok(());
    };
    let multipliers = match dense.output {
        OutputSpec::Int8 { multipliers, .. } | OutputSpec::Int16 { multipliers, .. } => multipliers,
        OutputSpec::Float { .. } => &[],
    };
    let multipliers = multipliers.iter().map(|m| Some(m.cast_unsigned()));
    let multipliers = multipliers.chain(core::iter::repeat(None));
    let units = weights.chunks(dense.inputs).zip(bias).zip(multipliers);
    for ((weights, bias), multiplier) in units {
        let sizes = weights.iter().map(|w| u64::from(w.unsigned_abs()));
        limits.check(sizes.sum(), bias.unsigned_abs(), multiplier)?;
    }
    Ok(())
}

/// The greatest magnitude of a zero point: the rounder can hold it.
const LARGEST_ZERO_POINT: u32 = 1 << 22;

/// What the device multiplies an input by whose steps have this size.
fn factor(scale: f64) -> f32 {
    // The nearest float.
    (1.0 / scale) as f32
}

/// One pair four times, or each input's.
fn put_pairs(bytes: &mut [u8], pairs: impl Iterator<Item = [f32; 2]> + Clone, count: usize) {
    let times = if count == 1 { 4 } else { 1 };
    let pairs = core::iter::repeat_n(pairs, times).flatten().flatten();
    put_words(bytes, pairs.map(f32::to_bits));
}

/// Packs the tensors of a layer into bytes that start zeroed.
fn tensor(layer: &Layer, spec: &LayerSpec, bytes: &mut [u8]) {
    if let LayerSpec::Rows { rows, dense } = spec {
        let Some((head, bytes)) = bytes.split_at_mut_checked(ROWS_HEAD) else {
            return;
        };
        put_words(head, [*rows, dense.inputs, dense.units].map(number));
        return tensor(&layer.of_a_row(dense), &LayerSpec::Dense(*dense), bytes);
    }
    let blocks_len = own_blocks_len(Packed::new(*layer), spec.inputs(), spec);
    let Some((blocks, table)) = bytes.split_at_mut_checked(blocks_len) else {
        return;
    };
    if let Some(function) = spec.float_table() {
        put_words(table, function.words().map(f32::to_bits));
    }
    let dense = match spec {
        LayerSpec::Quantize {
            scale, zero_point, ..
        } => {
            // Exact: the sum is below 2^24.
            let pairs = scale.iter().zip(*zero_point);
            let pairs = pairs.map(|(&a, &b)| [factor(a), blob::ROUNDER + b as f32]);
            return put_pairs(blocks, pairs, scale.len());
        }
        LayerSpec::Scale { scale, offset, .. } => {
            let pairs = scale.iter().zip(*offset).map(|(&a, &b)| [a, b]);
            return put_pairs(blocks, pairs, scale.len());
        }
        LayerSpec::Normalize(normalize) => {
            let sizes = [
                normalize.blocks,
                normalize.steps,
                normalize.groups,
                normalize.run,
            ];
            let floats = [
                normalize.mean_factor,
                normalize.square_factor,
                normalize.epsilon,
                normalize.least,
            ];
            let words = sizes.map(number).into_iter();
            return put_words(blocks, words.chain(floats.map(f32::to_bits)));
        }
        LayerSpec::MaxPool(pool) => {
            let numbers = [
                pool.blocks,
                pool.steps,
                pool.channels,
                pool.windows,
                pool.size,
                pool.stride,
                pool.before,
            ];
            return put_words(blocks, numbers.map(number));
        }
        LayerSpec::Lookup(lookup) => return put_lookup(lookup, blocks),
        LayerSpec::Prelu { slopes, .. } => {
            return put_words(blocks, slopes.iter().map(|slope| slope.to_bits()));
        }
        LayerSpec::Dense(dense) | LayerSpec::Rows { dense, .. } => dense,
    };
    if let Some(integers) = dense.weights.integers() {
        integer_blocks(layer, dense, &integers, blocks);
    } else {
        let (weights, bias) = dense.weights.floats();
        let rows = weights.chunks(dense.inputs * ROWS).zip(bias.chunks(ROWS));
        let words = rows.flat_map(|(weights, bias)| {
            let column = move |i: usize| weights.iter().skip(i).step_by(dense.inputs).copied();
            bias.iter()
                .copied()
                .chain((0..dense.inputs).flat_map(column))
        });
        put_words(blocks, words.map(f32::to_bits));
    }
    match dense.output {
        OutputSpec::Int8 {
            table: Some(values),
            ..
        } => {
            for (to, value) in table.iter_mut().zip(values) {
                *to = value.cast_unsigned();
            }
        }
        OutputSpec::Int16 {
            table: Some(values),
            ..
        } => {
            for (to, value) in table.as_chunks_mut::<2>().0.iter_mut().zip(values) {
                *to = value.to_le_bytes();
            }
        }
        OutputSpec::Int8 { table: None, .. }
        | OutputSpec::Int16 { table: None, .. }
        | OutputSpec::Float { .. } => {}
    }
}

fn integer_blocks(layer: &Layer, dense: &DenseSpec, integers: &Integers, blocks: &mut [u8]) {
    let shape = Shape::of(layer.operation, layer.packing);
    let units = integers
        .weights
        .chunks(dense.inputs * shape.rows())
        .zip(integers.bias.chunks(shape.rows()));
    for (group, (block, (weights, bias))) in blocks
        .chunks_exact_mut(shape.block_len(dense.inputs))
        .zip(units)
        .enumerate()
    {
        let Some((head, body)) = block.split_at_mut_checked(shape.head_len()) else {
            return;
        };
        let Some((packed, tail)) = body.split_at_mut_checked(shape.weights_len(dense.inputs))
        else {
            return;
        };
        let rows = Rows {
            bias,
            weights,
            inputs: dense.inputs,
        };
        isa::pack(integers.kind, layer.packing, &rows, head, packed);
        let first = group * shape.rows();
        match dense.output {
            OutputSpec::Int8 { multipliers, .. } | OutputSpec::Int16 { multipliers, .. } => {
                let words = multipliers.iter().skip(first).map(|m| m.cast_unsigned());
                put_words(tail, words);
            }
            OutputSpec::Float { scales, .. } => {
                let words = scales.iter().skip(first).map(|scale| scale.to_bits());
                put_words(tail, words);
            }
        }
    }
}

fn put(message: &mut Serializer<Writer>, value: impl Serialize) -> Result<(), Error> {
    value.serialize(message).map_err(|_| Error::Malformed)
}

fn push(message: &mut Serializer<Writer>, bytes: &[u8]) -> Result<(), Error> {
    message
        .output
        .try_extend(bytes)
        .map_err(|_| Error::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::Message;
    use crate::spec::{SelfTest, WeightsSpec};

    fn spec() -> ModelSpec<'static> {
        ModelSpec {
            layers: &[
                LayerSpec::Quantize {
                    inputs: 2,
                    scale: &[1.0],
                    zero_point: &[-3],
                    output: Precision::Int8,
                },
                LayerSpec::Dense(DenseSpec {
                    inputs: 2,
                    units: 1,
                    packing: Packing::Plain,
                    weights: WeightsSpec::Int8 {
                        weights: &[5, -6],
                        bias: &[7],
                    },
                    output: OutputSpec::Float {
                        scales: &[0.5],
                        activation: Activation::Sigmoid,
                        table: None,
                    },
                }),
            ],
            labels: &["no", "yes"],
            threshold: Some(0.25),
            self_tests: &[SelfTest {
                inputs: &[1.0, 2.0],
                outputs: &[0.5],
                checksums: &[3, 4],
            }],
            input_names: &[],
        }
    }

    #[test]
    fn a_blob_is_one_postcard_message() {
        let mut bytes = [0xFF; 256];
        let length = encode(&spec(), &mut bytes).unwrap();
        let message: Message<4> = postcard::from_bytes(&bytes[..length]).unwrap();
        let mut again = [0; 256];
        let written = postcard::to_slice(&message, &mut again).unwrap();
        assert_eq!(written, &bytes[..length]);
        assert_eq!(message.labels, "no\nyes");
        assert_eq!(message.layers.len(), 2);
        assert_eq!(message.tests.len(), (2 + 1 + 2) * 4);
        assert_eq!(
            (length - 4 - message.tensors.len()) % ALIGNMENT,
            0,
            "tensors are aligned"
        );
    }

    #[test]
    fn names_of_inputs_lie_in_the_padding_whatever_their_length() {
        let bare = encoded_len(&spec()).unwrap();
        let long = "n".repeat(300);
        // Also where the length of the padding gets another digit, at 128.
        for length in (1..300).step_by(if cfg!(miri) { 42 } else { 1 }) {
            let names = [&long[..length], "µ"];
            let mut bytes = [0xFF; 1024];
            let named = ModelSpec {
                input_names: &names,
                ..spec()
            };
            let written = encode(&named, &mut bytes).unwrap();
            let message: Message<4> = postcard::from_bytes(&bytes[..written]).unwrap();
            assert_eq!((written - 4 - message.tensors.len()) % ALIGNMENT, 0);
            assert!(written <= bare + (length + 3).next_multiple_of(ALIGNMENT) + ALIGNMENT);
            // The model is not sound, but the names are found.
            let text = &message.padding[..length + 3];
            assert_eq!(text, std::format!("{}\nµ", names[0]).as_bytes());
            assert!(message.padding[length + 3..].iter().all(|&byte| byte == 0));
        }
        for names in [&["a"][..], &["a", "b", "c"], &["a", ""], &["a", "b\nc"]] {
            let named = ModelSpec {
                input_names: names,
                ..spec()
            };
            assert!(matches!(
                encoded_len(&named),
                Err(Error::Length {
                    what: What::InputNames,
                    expected: 2,
                    ..
                })
            ));
        }
    }

    #[test]
    fn floats_that_do_not_verify_are_not_written() {
        let limit = f32::from_bits(SCALE_LIMIT);
        for bad in [f32::NAN, f32::INFINITY, limit, -limit] {
            let scales = [bad];
            let mut layers = spec().layers.to_vec();
            let LayerSpec::Dense(dense) = &mut layers[1] else {
                unreachable!("the second is dense");
            };
            dense.output = OutputSpec::Float {
                scales: &scales,
                activation: Activation::Linear,
                table: None,
            };
            let spec = ModelSpec {
                layers: &layers,
                ..spec()
            };
            let refused = encode(&spec, &mut [0; 256]);
            let expected = Error::Layer {
                layer: 1,
                what: What::Scale,
                expected: 0,
                found: bad.to_bits(),
            };
            assert_eq!(refused, Err(expected));
        }
    }

    #[test]
    fn a_short_buffer_is_an_error_that_says_how_long() {
        let length = encoded_len(&spec()).unwrap();
        let mut bytes = [0; 256];
        assert_eq!(
            encode(&spec(), &mut bytes[..length - 1]),
            Err(Error::Length {
                what: What::Blob,
                expected: number(length),
                found: number(length - 1)
            })
        );
    }
}
