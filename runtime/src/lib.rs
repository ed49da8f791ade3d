//! Run a thumbnet model on a microcontroller: no allocation, no panic, the same bits as on the
//! host.
//!
//! ```
//! use thumbnet_runtime::{LayerSpec, DenseSpec, ModelSpec, Model, OutputSpec, WeightsSpec, Precision};
//! use thumbnet_runtime::{Activation, Packing, encode};
//!
//! // Usually `thumbnet export` writes the blob: y = 0.5 * round(x) + 1.
//! let spec = ModelSpec {
//!     layers: &[
//!         LayerSpec::Quantize { inputs: 1, scale: &[1.0], zero_point: &[0], output: Precision::Int8 },
//!         LayerSpec::Dense(DenseSpec {
//!             inputs: 1,
//!             units: 1,
//!             packing: Packing::Plain,
//!             weights: WeightsSpec::Int8 { weights: &[2], bias: &[4] },
//!             output: OutputSpec::Float { scales: &[0.25], activation: Activation::Linear, table: None },
//!         }),
//!     ],
//!     ..ModelSpec::default()
//! };
//! let mut blob = [0; 256];
//! let length = encode(&spec, &mut blob)?;
//!
//! let model: Model = Model::from_bytes(&blob[..length])?;
//! let mut scratch = [0; 16];
//! let mut outputs = [0.0];
//! model.predict(&[2.9], &mut scratch[..], &mut outputs)?;
//! assert_eq!(outputs, [2.5]);
//! # Ok::<(), thumbnet_runtime::Error>(())
//! ```
//!
//! # Features
//!
//! * `int4`, `int16`, `f32` - weight types beside int8, which cost flash. A blob that needs a missing
//!   one is refused.
//! * `activations` - activations of float outputs beside linear, relu, sigmoid, tanh and softmax:
//!   those of a last layer or of f32 layers. Hidden int8 and int16 layers have them all by tables.
//! * `layers` - layers beside dense ones, in floats: normalizations by a sample's own mean and deviation,
//!   PReLU, max pooling, activations behind them; and dense layers that go over
//!   each row of a sample by itself.
//! * `portable`, on by default - code for weights that were exported for another core, and for blobs
//!   that do not lie at a multiple of four bytes. It is many times slower than the core's own.
//! * `defmt` - formats of errors and layers for its log.
//!
//! # Kernels
//!
//! The target decides which there are, and for Armv8-M the processor as well: build with
//! `-C target-cpu=cortex-m33` for a soft-float Cortex-M33, with `-C target-cpu=cortex-m55` for a
//! Cortex-M55. RV32IMC, RV32IMAC and RV32IMAFC run [`Packing::Lane`] by a kernel in Rust; other cores
//! have what `portable` has.
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
