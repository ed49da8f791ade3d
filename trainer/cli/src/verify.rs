//! `thumbnet verify`: whether a signed model is what a device takes.

use std::path::PathBuf;

use clap::Args;
use thumbnet_trainer::{Error, figures::thousands, input, quantize::DeviceModel};
use thumbnet_update::Signed;

use super::{Outcome, console, inspect::self_test_error, keygen};

/// Check a signed model: signature, checksum, structure, weights and self-test
#[derive(Debug, Args)]
#[command(after_help = "Example: thumbnet verify model.signed --public-key key.pub")]
pub struct Verify {
    /// Signed model, by thumbnet sign
    model: PathBuf,
    /// Public key, by thumbnet keygen
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
}

impl Verify {
    pub fn run(&self) -> Outcome {
        let key = keygen::public(&self.public_key)?;
        let bytes = input::read(&self.model)?;
        let wrong = |error: String| Error::corrupt(&self.model, error);
        let signed = Signed::open(&bytes, &[*key]).map_err(|error| wrong(error.to_string()))?;
        let device = DeviceModel::from_bytes(signed.blob)
            .map_err(|error| wrong(format!("rightly signed, but not sound: {error}")))?;
        if let Some(error) = self_test_error(&device) {
            return Err(wrong(format!("rightly signed, but its self-test fails: {error}")).into());
        }
        console::print(&format!(
            "{}: signed by the key of {}, version {}, product {}; a sound model of {} bytes\n",
            self.model.display(),
            self.public_key.display(),
            signed.header.version,
            signed.header.product,
            thousands(signed.blob.len()),
        ))
    }
}
