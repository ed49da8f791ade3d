//! What can go wrong, and why a model is refused.

use core::fmt;

/// Why a signed model does not become the one that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The bytes do not begin as those of a signed model do.
    NotSigned,
    /// A format of another version.
    Format {
        /// The one that this crate reads.
        expected: u32,
        /// The one that the bytes name.
        found: u32,
    },
    /// Fewer or more bytes than the header says.
    Length {
        /// Bytes that the header says, or that there is room for.
        expected: usize,
        /// Bytes that are there, or that the header says.
        found: usize,
    },
    /// A model for another product.
    Product {
        /// The device's.
        expected: u32,
        /// The model's.
        found: u32,
    },
    /// A model older than one that was confirmed, where that is forbidden.
    Older {
        /// The oldest version that is taken.
        expected: u32,
        /// The model's.
        found: u32,
    },
    /// Signed by a key that is none of the device's.
    Key {
        /// The first bytes of that key.
        found: [u8; 8],
    },
    /// The signature is not one of these bytes by that key.
    Signature,
    /// The blob is damaged, cannot run here, or fails its own test.
    Model(thumbnet_runtime::Error),
}

impl From<thumbnet_runtime::Error> for Refused {
    fn from(error: thumbnet_runtime::Error) -> Self {
        Self::Model(error)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::NotSigned => f.write_str("this is no signed model; make one with thumbnet sign"),
            Self::Format { expected, found } => write!(
                f,
                "the signed model has format {found}, expected {expected}; sign it with the version of thumbnet that the device has"
            ),
            Self::Length { expected, found } => {
                write!(f, "the signed model has {found} bytes, expected {expected}")
            }
            Self::Product { expected, found } => write!(
                f,
                "the model is for product {found}, expected {expected}; sign it with --product {expected}"
            ),
            Self::Older { expected, found } => write!(
                f,
                "the model has version {found}, expected {expected} or newer; sign it with --version"
            ),
            Self::Key { found } => {
                f.write_str("the model is signed by the key that begins with ")?;
                found.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str(", which is not known here")
            }
            Self::Signature => f.write_str(
                "the signature is wrong: the model was altered, or signed by another key",
            ),
            Self::Model(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Refused {}

/// What can go wrong with the slots; `E` is the flash driver's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error<E> {
    /// The flash could not be read, erased or written.
    Flash(E),
    /// The region does not begin or end with erased sectors, has fewer than four of them, or is not in the flash.
    Region {
        /// Bytes of a sector.
        sector: usize,
    },
    /// A signed model that does not become the one that runs.
    Refused(Refused),
    /// The model that runs has not confirmed itself: the other slot has the one to go back to.
    OnTrial,
    /// Nothing is being received: [`begin`](crate::Slots::begin) comes first.
    NotBegun,
    /// The signed model is not whole yet.
    Incomplete {
        /// Bytes of all of it.
        expected: usize,
        /// Bytes received.
        found: usize,
    },
    /// No model was started: [`start`](crate::Slots::start) comes first.
    NotStarted,
    /// There is no model that could run.
    NoModel,
}

impl<E> From<Refused> for Error<E> {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl<E: fmt::Debug> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "the flash failed: {error:?}"),
            Self::Region { sector } => write!(
                f,
                "the region for models must be whole sectors of {sector} bytes within the flash, four at least"
            ),
            Self::Refused(refused) => refused.fmt(f),
            Self::OnTrial => f.write_str(
                "the running model is on trial: confirm or reject it before another one is received",
            ),
            Self::NotBegun => f.write_str("nothing is being received; call begin first"),
            Self::Incomplete { expected, found } => {
                write!(f, "{found} of {expected} bytes were received")
            }
            Self::NotStarted => f.write_str("no model was started; call start first"),
            Self::NoModel => f.write_str("there is no model to run; receive one"),
        }
    }
}

impl<E: fmt::Debug> core::error::Error for Error<E> {}
