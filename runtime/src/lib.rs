#![doc = include_str!("../README.md")]
#![no_std]
#![warn(missing_docs)]

#[cfg(test)]
extern crate std;

mod activation;
#[cfg(not(target_os = "none"))]
pub mod arithmetic;
#[cfg(any(kernel = "dsp", kernel = "lane", kernel = "mve"))]
mod assembly;
mod blob;
mod checksum;
#[cfg(not(target_os = "none"))]
pub mod cores;
#[cfg(not(target_os = "none"))]
mod encode;
mod error;
mod float;
mod isa;
mod layer;
mod limits;
#[cfg(feature = "layers")]
mod lookup;
#[cfg(feature = "layers")]
mod max_pool;
mod model;
#[cfg(feature = "layers")]
mod normalize;
mod packing;
#[cfg(feature = "layers")]
mod prelu;
mod quantize;
mod reader;
#[cfg(feature = "layers")]
mod rows;
mod saturation;
#[cfg(not(target_os = "none"))]
mod spec;
#[cfg(not(target_os = "none"))]
mod tensors;
mod verdict;
mod verify;
mod weight_type;
mod weights;

pub use blob::{Activation, COEFFICIENTS, CURVES, Element, LINES, MAGIC, Operation, VERSION};
pub use checksum::crc32;
#[cfg(not(target_os = "none"))]
pub use encode::{encode, encode_verdict, encoded_len};
pub use error::{Error, What};
pub use limits::Limits;
pub use model::{Class, LayerInfo, Model};
pub use packing::Packing;
pub use reader::blob_len;
pub use saturation::Saturation;
#[cfg(not(target_os = "none"))]
pub use spec::{
    DenseSpec, FloatSpec, FloatTable, LayerSpec, LookupSpec, LookupTable, MaxPoolSpec, ModelSpec,
    NormalizeSpec, OutputSpec, Piece, Precision, SelfTest, WeightsSpec,
};
#[cfg(not(target_os = "none"))]
pub use tensors::Tensors;
pub use verdict::Detection;
#[cfg(not(target_os = "none"))]
pub use verdict::Verdict;
pub use weight_type::{Descriptor, WeightType};

/// Includes the module of a model that `thumbnet_build::embed` has made in the firmware's `build.rs`:
/// `include_model!(iris)` for `iris.tnet`, or `include_model!(pub iris)`.
///
/// The module holds `load()`, `BLOB`, `INPUTS`, `OUTPUTS`, `SCRATCH`, `LABELS` and more; see the crate
/// `thumbnet-build`.
#[macro_export]
macro_rules! include_model {
    ($visibility:vis $name:ident) => {
        #[allow(dead_code, reason = "firmware uses what it needs")]
        $visibility mod $name {
            include!(concat!(env!("OUT_DIR"), "/", stringify!($name), ".rs"));
        }
    };
}
