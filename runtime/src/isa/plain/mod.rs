//! Plain: one row to a block, weight after weight, as two's-complement bytes.
//!
//! int4 has two weights to a byte, the first in the low nibble, two's complement.
//! What a row lacks to whole words is zero. The head is the bias.

#[cfg(not(target_os = "none"))]
pub(super) mod host;
#[cfg(not(target_os = "none"))]
pub(super) mod pack;
