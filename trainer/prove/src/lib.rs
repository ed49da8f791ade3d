//! Proofs over the integers of a thumbnet model: a property holds for every input of a box, or here is an input that
//! breaks it.
//!
//! What is proven is proven of the device: of the quantization of raw inputs, the sums, the requantization, tables
//! and float outputs with their roundings, as [`thumbnet_runtime`] computes them on every core. Not proven are a
//! compiler, a board's memory, a sensor.
//!
//! ```no_run
//! use thumbnet_prove::{Network, Options, Property, Verdict, prove};
//!
//! let bytes = std::fs::read("model.tnet")?;
//! let network = Network::new(&bytes)?;
//! for property in Property::read(&std::fs::read_to_string("property.toml")?, &network)? {
//!     match prove(&network, &property, &Options::default())?.verdict {
//!         Verdict::Holds => println!("holds"),
//!         Verdict::Fails(example) => println!("fails: {:?} gives {:?}", example.inputs, example.outputs),
//!         Verdict::Unknown => println!("unknown"),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How
//!
//! The inputs have finitely many quantized values. Small parts of a box are enumerated; larger ones are bounded by linear
//! relaxations of the integer network, and halved where that does not suffice. Sources:
//!
//! * Katz, Barrett, Dill, Julian, Kochenderfer: Reluplex, CAV 2017 (arXiv 1702.01135): complete proofs for networks of
//!   relu, over real numbers; the ACAS Xu networks and their properties
//! * Wang, Pei, Whitehouse, Yang, Jana: ReluVal, USENIX Security 2018 (arXiv 1804.10829): symbolic intervals, halving the
//!   inputs
//! * Zhang, Weng, Chen, Hsieh, Daniel: CROWN, NeurIPS 2018 (arXiv 1811.00866): a line on each side of any activation,
//!   substituted backwards. These three are about real numbers, and say nothing of the rounding of what runs
//! * Zhang, Zhao, Chen, Song, et al.: QVIP, ASE 2022 (arXiv 2212.11138): integer linear programs for quantized networks whose
//!   weights, activations and inputs are fixed-point numbers. Here scales are arbitrary, the raw inputs' own rounding is
//!   part of it, and there is no solver
//! * Henzinger, Lechner, Žikelić: Scalable Verification of Quantized Neural Networks, AAAI 2021 (arXiv 2012.08185): the same
//!   kind of networks as formulas over bit vectors, for a solver of those
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate self as thumbnet_prove;

#[cfg(test)]
#[path = "../tests/common/mod.rs"]
mod common;

mod bounds;
mod certificate;
mod check;
mod compare;
mod domain;
mod enumerate;
mod error;
mod float;
mod goal;
mod monotone;
mod network;
mod pair;
mod parts;
mod product;
mod property;
mod ranges;
mod relation;
mod search;

pub use certificate::Certificate;
pub use compare::{Difference, Other, largest_difference, prove_against};
pub use error::{Error, Result};
pub use float::FloatNetwork;
pub use goal::Goal;
pub use network::Network;
pub use property::Property;
pub use ranges::{Range, reachable};
pub use relation::Relation;
pub use search::{Counterexample, Options, Outcome, Row, Verdict, prove};
