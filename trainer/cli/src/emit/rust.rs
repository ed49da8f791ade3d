//! A module for firmware in Rust that needs no build script.

use thumbnet_trainer::quantize::DeviceModel;

use super::literals;

/// The module: the blob, aligned, and its numbers by the names that `thumbnet-build` gives them.
pub fn module(device: &DeviceModel, from: &str) -> String {
    let model = device.model();
    let labels = device.labels();
    format!(
        "\
//! Made by `thumbnet export --emit rust` from {from:?}; export again rather than edit.

#![allow(dead_code, reason = \"firmware uses what it needs\")]

/// Values of an input row.
pub const INPUTS: usize = {inputs};
/// Values of an output row.
pub const OUTPUTS: usize = {outputs};
/// Words of scratch memory.
pub const SCRATCH_WORDS: usize = {scratch};
/// Scratch memory for a prediction, to begin with.
pub const SCRATCH: [u32; SCRATCH_WORDS] = [0; SCRATCH_WORDS];
/// Layers, the input's quantization included.
pub const LAYERS: usize = {layers};
/// The classes' names in order.
pub const LABELS: [&str; {label_count}] = {labels:?};
/// The model's type.
pub type Model = ::thumbnet_runtime::Model<'static, LAYERS>;

/// The model, verified.
///
/// # Errors
///
/// Where the bytes were changed, or this build of `thumbnet-runtime` lacks a feature that the model needs.
pub fn load() -> Result<Model, ::thumbnet_runtime::Error> {{
    Model::from_bytes(BLOB)
}}

#[repr(C, align(16))]
struct Aligned([u8; {length}]);
/// The model's bytes, which start at a multiple of 16.
pub static BLOB: &[u8] = &ALIGNED.0;
#[rustfmt::skip]
static ALIGNED: Aligned = Aligned([
{bytes}]);
",
        inputs = model.inputs(),
        outputs = model.outputs(),
        scratch = model.scratch_len(),
        layers = model.layers().len(),
        label_count = labels.len(),
        length = device.bytes().len(),
        bytes = literals::bytes(device.bytes()),
    )
}
