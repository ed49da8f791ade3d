//! The runtime for C and C++: `include/thumbnet.h` declares and documents what is here.
//!
//! `thumbnet export MODEL --emit c FOLDER` makes a folder that a C project takes as it is. By hand, for one
//! core:
//!
//! ```sh
//! cargo rustc --package thumbnet-c --crate-type staticlib --release --target thumbv7em-none-eabihf
//! ```
//!
//! On hosts this crate is for tests, and hands the header and the examples to tools.
#![cfg_attr(target_os = "none", no_std)]
#![warn(missing_docs)]

mod borrow;
mod calls;
mod code;
mod handle;
mod labels;
#[cfg(not(target_os = "none"))]
pub mod sources;
#[cfg(test)]
mod tests;

pub use calls::*;
pub use code::*;
pub use handle::{Class, Detection, HANDLE_LAYERS, Handle};
pub use labels::*;

/// Nothing here can panic; the linker leaves this out.
#[cfg(all(target_os = "none", not(test)))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
