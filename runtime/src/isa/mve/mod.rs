//! Mve, for cores with vector instructions: four rows A, B, C, D to a block, interleaved by 16
//! bytes, so that each vector of inputs is loaded once for all of them.
//!
//! * int8: for 16 inputs 16 bytes of A, of B, of C, of D, two's complement.
//! * int4: for 32 inputs the same; input k of the 32 in the low nibble of byte k for k < 16, else
//!   in the high nibble of byte k - 16, two's complement.
//! * int16: for 8 inputs 8 bytes of A, of B, of C, of D, two's complement.
//!
//! What the last group lacks is zero. The head is the four biases.

#[cfg(not(target_os = "none"))]
pub(super) mod host;
#[cfg(kernel = "mve")]
pub(super) mod kernel;
#[cfg(not(target_os = "none"))]
pub(super) mod pack;
