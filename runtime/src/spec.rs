//! What a model to be written is: [`encode`](crate::encode) makes a blob of it.

use crate::blob::{Activation, COEFFICIENTS, CURVES, LINES, Operation};
use crate::packing::Packing;
use crate::weight_type::{Descriptor, WeightType};

/// A model to be written by [`encode`](crate::encode).
#[derive(Clone, Copy, Debug, Default)]
pub struct ModelSpec<'a> {
    /// The layers in order; the first is a [`LayerSpec::Quantize`], the last has float outputs.
    pub layers: &'a [LayerSpec<'a>],
    /// A name for each output, or two for a single output, or none. Without line feeds.
    pub labels: &'a [&'a str],
    /// The output from which on an output says yes.
    pub threshold: Option<f32>,
    /// Test vectors for [`Model::self_test`](crate::Model::self_test), from
    /// [`Model::checksums`](crate::Model::checksums) of the same model without them.
    pub self_tests: &'a [SelfTest<'a>],
    /// A name for each input, or none. Without line feeds, none empty. They lie where nothing but
    /// [`Model::input_names`](crate::Model::input_names) looks.
    pub input_names: &'a [&'a str],
}

/// A layer to be written.
#[derive(Clone, Copy, Debug)]
pub enum LayerSpec<'a> {
    /// Floats to integers, as TFLite's QUANTIZE has them: `real = scale * (q - zero_point)`, to the
    /// nearest integer of the range.
    ///
    /// The device computes `q = round(x * a + zero_point)`, ties to even, where `a` is the f32 nearest to
    /// `1 / scale`: the reciprocal in f64 of an f32 `a` gives back that `a`, bit for bit.
    Quantize {
        /// Values it reads and writes.
        inputs: usize,
        /// The size of a step. One for all inputs, or one each, a magnitude from 2^-64 to 2^126, or
        /// infinite for an input that does not count.
        scale: &'a [f64],
        /// The integer that stands for 0, beyond the range where no input is near 0. As many as scales,
        /// at most 2^22 in magnitude.
        zero_point: &'a [i32],
        /// What it writes.
        output: Precision,
    },
    /// Floats to floats: `x * scale + offset`.
    Scale {
        /// Values it reads and writes.
        inputs: usize,
        /// One for all inputs, or one each; finite.
        scale: &'a [f32],
        /// As many as scales; finite.
        offset: &'a [f32],
        /// What becomes of that; needs the feature `layers` where it is not linear.
        then: FloatSpec<'a>,
    },
    /// Floats to floats: groups of them, each by its own mean and deviation. Needs the feature `layers`.
    Normalize(NormalizeSpec<'a>),
    /// Floats to floats: `x`, or where it is below zero `x * slope`. Needs the feature `layers`.
    Prelu {
        /// One for each input; finite.
        slopes: &'a [f32],
        /// What becomes of that.
        then: FloatSpec<'a>,
    },
    /// Floats to floats: the greatest of each window. Needs the feature `layers`.
    MaxPool(MaxPoolSpec<'a>),
    /// Floats to floats: for each of them a row of a table. Needs the feature `layers`.
    Lookup(LookupSpec<'a>),
    /// Fully connected.
    Dense(DenseSpec<'a>),
    /// Fully connected, each row of the inputs by itself. Needs the feature `layers`.
    Rows {
        /// How many, at most 65535; the layer reads and writes as many times what the dense layer does.
        rows: usize,
        /// Of each row.
        dense: DenseSpec<'a>,
    },
}

/// The activation of a layer of floats.
#[derive(Clone, Copy, Debug, Default)]
pub struct FloatSpec<'a> {
    /// Not [`Activation::Table`], which is for integers, nor one in pieces, which follows from `table`.
    pub activation: Activation,
    /// An activation in pieces, then `activation` is not looked at.
    pub table: Option<FloatTable<'a>>,
}

/// A normalization: for the values x of each group
///
/// `mean = sum(x) * mean_factor`, `z = max(sum((x - mean)^2) * square_factor + epsilon, least)` and
/// `y = (x - mean) / sqrt(z)`.
///
/// The values are `blocks` blocks of `steps` rows of `groups` times `run` values; a group has the same
/// `run` values of each row of a block.
#[derive(Clone, Copy, Debug)]
pub struct NormalizeSpec<'a> {
    /// Of the inputs, side by side.
    pub blocks: usize,
    /// Rows of a block.
    pub steps: usize,
    /// Groups of a row.
    pub groups: usize,
    /// Values of a group in a row.
    pub run: usize,
    /// One over the values of a group, or 0 where the mean stays.
    pub mean_factor: f32,
    /// One over the values of a group, or 1 for its length; from 2^-64 to 2^64.
    pub square_factor: f32,
    /// From 0 to 2^64.
    pub epsilon: f32,
    /// From 2^-100 to 2^64.
    pub least: f32,
    /// What becomes of that.
    pub then: FloatSpec<'a>,
}

/// Max pooling along one axis.
///
/// The values are `blocks` blocks of `steps` rows of `channels` values. Window w of a block has `size` of its rows
/// from `w * stride - before` on, but for those beyond its ends, of which there must be some; its output is a row
/// of `channels` values.
#[derive(Clone, Copy, Debug)]
pub struct MaxPoolSpec<'a> {
    /// Of the inputs, side by side.
    pub blocks: usize,
    /// Rows of a block.
    pub steps: usize,
    /// Values of a row.
    pub channels: usize,
    /// Windows of a block.
    pub windows: usize,
    /// Rows of a window.
    pub size: usize,
    /// Rows from one window to the next.
    pub stride: usize,
    /// Rows of the first window before the block, fewer than its size.
    pub before: usize,
    /// What becomes of the greatest.
    pub then: FloatSpec<'a>,
}

impl MaxPoolSpec<'_> {
    /// Values that it writes.
    pub(crate) fn units(&self) -> usize {
        let channels = self.blocks.saturating_mul(self.channels);
        channels.saturating_mul(self.windows)
    }
}

/// A row of a table for each input.
#[derive(Clone, Copy, Debug)]
pub struct LookupSpec<'a> {
    /// Values it reads.
    pub inputs: usize,
    /// Where rows end, ascending and finite: an input's row is how many of them it is not below. None of them: it is
    /// the input itself, rounded towards zero.
    pub bounds: &'a [f32],
    /// Values of a row.
    pub units: usize,
    /// `[rows, units]`; of one row more than bounds, if there are any.
    pub table: LookupTable<'a>,
    /// Whether an input without a row gives zeros; else the prediction ends with
    /// [`Error::NotFinite`](crate::Error::NotFinite).
    pub zeros: bool,
    /// What becomes of the values.
    pub then: FloatSpec<'a>,
}

/// The values of a [`LookupSpec`].
#[derive(Clone, Copy, Debug)]
pub enum LookupTable<'a> {
    /// A byte each.
    Int8 {
        /// Any.
        values: &'a [i8],
        /// What they are multiplied with, above 0.
        scale: f32,
    },
    /// Finite floats.
    Float(&'a [f32]),
}

impl LookupTable<'_> {
    /// How many values it has.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Int8 { values, .. } => values.len(),
            Self::Float(values) => values.len(),
        }
    }
}

impl<'a> LayerSpec<'a> {
    pub(crate) fn inputs(&self) -> usize {
        match self {
            Self::Quantize { inputs, .. } | Self::Scale { inputs, .. } => *inputs,
            Self::Normalize(normalize) => {
                let sizes = [normalize.steps, normalize.groups, normalize.run];
                sizes.iter().fold(normalize.blocks, |product, &size| {
                    product.saturating_mul(size)
                })
            }
            Self::Prelu { slopes, .. } => slopes.len(),
            Self::MaxPool(pool) => {
                let channels = pool.blocks.saturating_mul(pool.channels);
                channels.saturating_mul(pool.steps)
            }
            Self::Lookup(lookup) => lookup.inputs,
            Self::Dense(dense) => dense.inputs,
            Self::Rows { rows, dense } => rows.saturating_mul(dense.inputs),
        }
    }

    /// Its float table, if it has one.
    pub(crate) fn float_table(&self) -> Option<FloatTable<'a>> {
        match self {
            Self::Quantize { .. } => None,
            Self::Scale { then, .. } | Self::Prelu { then, .. } => then.table,
            Self::Normalize(normalize) => normalize.then.table,
            Self::MaxPool(pool) => pool.then.table,
            Self::Lookup(lookup) => lookup.then.table,
            Self::Dense(dense) | Self::Rows { dense, .. } => match dense.output {
                OutputSpec::Float { table, .. } => table,
                OutputSpec::Int8 { .. } | OutputSpec::Int16 { .. } => None,
            },
        }
    }
}

/// How fine the integers of a layer are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Integers in `[-127, 127]`.
    #[default]
    Int8,
    /// Integers in `[-32767, 32767]`, for a layer of [`WeightsSpec::Int16`] behind.
    Int16,
}

/// A fully connected layer to be written.
#[derive(Clone, Copy, Debug)]
pub struct DenseSpec<'a> {
    /// Values it reads.
    pub inputs: usize,
    /// Values it writes.
    pub units: usize,
    /// The order of the weights in flash. f32 weights have one order, whatever stands here.
    pub packing: Packing,
    /// The weights and biases.
    pub weights: WeightsSpec<'a>,
    /// What becomes of the sums.
    pub output: OutputSpec<'a>,
}

/// Weights, `[units, inputs]` (a row per unit), and biases, `[units]`.
#[derive(Clone, Copy, Debug)]
pub enum WeightsSpec<'a> {
    /// For int8 inputs. Weights in `[-127, 127]`.
    Int8 {
        /// The weights.
        weights: &'a [i8],
        /// The biases, in units of an accumulator.
        bias: &'a [i32],
    },
    /// For int8 inputs. Weights in `[-7, 7]`, two to a byte in flash.
    Int4 {
        /// The weights, one to a byte here.
        weights: &'a [i8],
        /// The biases, in units of an accumulator.
        bias: &'a [i32],
    },
    /// For int16 inputs. Weights in `[-127, 127]`.
    Int16 {
        /// The weights.
        weights: &'a [i8],
        /// The biases, in units of an accumulator.
        bias: &'a [i32],
    },
    /// For float inputs. The output must be float as well.
    Float {
        /// The weights.
        weights: &'a [f32],
        /// The biases.
        bias: &'a [f32],
    },
}

/// Weights that are integers.
pub(crate) struct Integers<'a> {
    pub(crate) kind: WeightType,
    pub(crate) row: Descriptor,
    pub(crate) weights: &'a [i8],
    pub(crate) bias: &'a [i32],
}

impl<'a> WeightsSpec<'a> {
    pub(crate) fn integers(self) -> Option<Integers<'a>> {
        let (kind, weights, bias) = match self {
            Self::Int8 { weights, bias } => (WeightType::Int8, weights, bias),
            Self::Int4 { weights, bias } => (WeightType::Int4, weights, bias),
            Self::Int16 { weights, bias } => (WeightType::Int16, weights, bias),
            Self::Float { .. } => return None,
        };
        Some(Integers {
            kind,
            row: kind.descriptor(),
            weights,
            bias,
        })
    }

    /// Weights and biases that are floats; empty where they are not.
    pub(crate) fn floats(self) -> (&'a [f32], &'a [f32]) {
        match self {
            Self::Float { weights, bias } => (weights, bias),
            Self::Int8 { .. } | Self::Int4 { .. } | Self::Int16 { .. } => (&[], &[]),
        }
    }

    pub(crate) fn operation(self) -> Operation {
        self.integers()
            .map_or(Operation::DenseFloat, |integers| integers.row.operation)
    }
}

/// What becomes of the sums of a layer.
#[derive(Clone, Copy, Debug)]
pub enum OutputSpec<'a> {
    /// `q = clamp(round(sum * multiplier / 2^24), ±127)`, with 2^32 instead behind int16 inputs.
    Int8 {
        /// One per unit, in `[0, 2^31)`. Behind int8 inputs below 2^24, and such that the product
        /// with the largest sum is below 2^39 (see [`Limits`](crate::Limits)): fast kernels rely on a q of 16 bits before the
        /// clamp.
        multipliers: &'a [i32],
        /// The output for each q, indexed by its byte (`q as u8`).
        table: Option<&'a [i8; 256]>,
    },
    /// The same with ±32767.
    Int16 {
        /// One per unit, in `[0, 2^31)`.
        multipliers: &'a [i32],
        /// The outputs for q = -32768, -32512 and so on up to 32768, interpolated between.
        table: Option<&'a [i16; 257]>,
    },
    /// `sum * scale`, then the activation.
    Float {
        /// One per unit; empty behind f32 weights.
        scales: &'a [f32],
        /// The activation; not [`Activation::Table`], which is for integers, nor one in pieces, which
        /// follows from `table`.
        activation: Activation,
        /// An activation in pieces, then `activation` is not looked at.
        table: Option<FloatTable<'a>>,
    },
}

/// Any elementwise function on floats, in pieces: [`Activation::Lines`] where it is up to [`LINES`] lines,
/// else [`Activation::Curve`].
#[derive(Clone, Copy, Debug)]
pub struct FloatTable<'a> {
    /// The least value of the function, where the pieces end; may be infinite.
    pub least: f32,
    /// The greatest value.
    pub greatest: f32,
    /// One at least, [`CURVES`] at most, by ascending starts.
    pub pieces: &'a [Piece],
}

/// A part of a function: a polynomial of `x - origin`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Piece {
    /// The least x that it is for. The first piece is for whatever lies below the second, wherever
    /// it starts.
    pub start: f32,
    /// Where the polynomial has its first coefficient.
    pub origin: f32,
    /// Of the powers 0 to 5.
    pub coefficients: [f32; COEFFICIENTS],
}

impl FloatSpec<'_> {
    /// How it is written.
    pub(crate) fn activation(&self) -> Activation {
        self.table
            .map_or(self.activation, |table| table.activation())
    }
}

impl FloatTable<'_> {
    /// How it is written.
    pub(crate) fn activation(&self) -> Activation {
        match self.is_lines() {
            true => Activation::Lines,
            false => Activation::Curve,
        }
    }

    fn is_lines(&self) -> bool {
        let is_line = |piece: &Piece| piece.coefficients.iter().skip(2).all(|c| *c == 0.0);
        self.pieces.len() <= LINES && self.pieces.iter().all(is_line)
    }

    /// The words of its table: what is left of the pieces is filled with the last one.
    pub(crate) fn words(&self) -> impl Iterator<Item = f32> {
        let (count, coefficients) = match self.is_lines() {
            true => (LINES, 2),
            false => (CURVES, COEFFICIENTS),
        };
        let last = self.pieces.last().copied().unwrap_or_default();
        let filler = Piece {
            start: f32::MAX,
            ..last
        };
        let pieces = self.pieces.iter().copied();
        let pieces = pieces.chain(core::iter::repeat(filler)).take(count);
        let words = move |piece: Piece| {
            let powers = piece.coefficients.into_iter().take(coefficients).rev();
            core::iter::once(piece.origin).chain(powers)
        };
        [self.least, self.greatest]
            .into_iter()
            .chain(pieces.clone().skip(1).map(|piece| piece.start))
            .chain(pieces.flat_map(words))
    }
}

/// A self-test vector to be written.
#[derive(Clone, Copy, Debug)]
pub struct SelfTest<'a> {
    /// The input row.
    pub inputs: &'a [f32],
    /// The outputs that it gave.
    pub outputs: &'a [f32],
    /// The checksums of the layers' values, one per layer.
    pub checksums: &'a [u32],
}
