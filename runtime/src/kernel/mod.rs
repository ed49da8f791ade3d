//! Kernels: one call is one whole layer, from its inputs to its finished outputs.
//!
//! [`dense`] picks the fast kernel of the core that the crate is built for when the layer has its
//! packing and lies aligned in memory, else [`portable`]: the same bits either way. A fast kernel
//! is a file of its own with the signature of [`portable::dense`].
//!
//! # The arithmetic
//!
//! * Integer layers: `acc = sum(w * q) + bias` in wrapping i32. The bias has the zero points
//!   folded in, that of the output too.
//! * Integer outputs: `requantize(acc)` (see `requantize.rs`), then the table if there is one.
//! * Float outputs of integer layers: `acc as f32 * scale`, each operation rounded.
//! * Float layers: `bias + w0 * x0 + w1 * x1 ...` from left to right, each operation rounded.
//! * Activations of float outputs: `math.rs`, over the whole output.

pub(crate) mod portable;
pub(crate) mod view;

use crate::blob::Layer;

/// The inputs of a dense layer, as its operation and packing want them.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Int8(&'a [i8]),
    /// Of [`crate::Element::Int8Wide`] and [`crate::Element::Int16`].
    Int16(&'a [i16]),
    Float(&'a [f32]),
}

/// Where the outputs of a layer go.
pub(crate) enum Target<'a> {
    Int8(&'a mut [i8]),
    /// Of [`crate::Element::Int8Wide`] and [`crate::Element::Int16`].
    Int16(&'a mut [i16]),
    Float(&'a mut [f32]),
}

/// A dense layer with its tensors. [`crate::Model`] has checked all lengths.
#[derive(Clone, Copy)]
pub(crate) struct Dense<'a> {
    pub layer: &'a Layer,
    /// As `pack` has them, exactly.
    pub blocks: &'a [u8],
    /// The activation table, empty where there is none.
    pub table: &'a [u8],
}

/// Runs a layer. Activations of float outputs are left to the caller.
#[inline(always)]
pub(crate) fn dense(dense: &Dense, source: Source, target: Target) {
    portable::dense(dense, source, target);
}
