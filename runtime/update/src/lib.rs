//! Replace a thumbnet model in the field: received in pieces of any size, taken only with a right signature, and
//! whatever the power does, the next start runs a whole model, the old or the new one.
//!
//! ```no_run
//! # use thumbnet_update::{Error, HEADER_LEN, Mapped, Policy, Slots};
//! # fn firmware<F: Mapped>(flash: F, mut next: impl FnMut(usize) -> Option<&'static [u8]>) -> Result<(), Error<F::Error>> {
//! const KEYS: &[[u8; 32]] = &[[0; 32]]; // `thumbnet keygen` prints yours
//!
//! let mut slots: Slots<F> = Slots::open(flash, 0x2_0000..0x4_0000, Policy::new(KEYS))?;
//! // Once after each reset.
//! let started = slots.start()?;
//! let (mut scratch, mut outputs) = ([0; 64], [0.0; 3]);
//! let right = slots.model()?.predict(&[5.1, 3.5, 1.4, 0.2], &mut scratch, &mut outputs).is_ok();
//! if started.trial && right {
//!     slots.confirm()?;
//! }
//!
//! // A new model, from wherever it comes: its first bytes tell what it is, and where to go on.
//! let header: &[u8; HEADER_LEN] = next(0).and_then(|bytes| bytes.first_chunk()).expect("a header");
//! let mut position = slots.begin(header)?;
//! while let Some(bytes) = next(position) {
//!     slots.write(bytes)?;
//!     position += bytes.len();
//! }
//! let version = slots.finish(&mut scratch, &mut outputs)?;
//! // Now a reset: `start` runs it, on trial.
//! # Ok(())
//! # }
//! ```
//!
//! `README.md` has the format of a signed model and of the flash, what is promised, and what it costs.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(not(target_os = "none"))]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod error;
mod flash;
mod header;
mod journal;
mod signature;
mod signed;
mod slots;
mod state;

pub use embedded_storage;
pub use error::{Error, Refused};
pub use flash::Mapped;
pub use header::{FORMAT, HEADER_LEN, Header, MAGIC, SIGNATURE_LEN};
pub use signature::PublicKey;
#[cfg(not(target_os = "none"))]
pub use signature::{public_key, sign};
pub use signed::Signed;
pub use slots::{Policy, Slots, Started};
