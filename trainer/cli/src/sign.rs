//! `thumbnet sign`: a device model that devices can receive.

use std::path::PathBuf;

use clap::Args;
use thumbnet_trainer::{Error, atomic_file, figures::thousands, quantize::DeviceModel};

use super::{
    Outcome, console,
    inspect::self_test_error,
    keygen,
    outputs::{self, Named},
};

/// Sign a device model, for devices that receive their models
#[derive(Debug, Args)]
#[command(
    after_help = "Example: thumbnet sign model.tnet --key key --version 3 --output model.signed"
)]
pub struct Sign {
    /// Device model (.tnet)
    model: PathBuf,
    /// Private key, by thumbnet keygen
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Version of the model; devices that forbid older ones take none below the newest that they have confirmed
    #[arg(long, value_name = "NUMBER")]
    version: u32,
    /// What the model is for: devices refuse those of other products
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    product: u32,
    /// File to write
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

impl Sign {
    pub fn run(&self) -> Outcome {
        atomic_file::check(&self.output)?;
        outputs::check(
            [
                Named::of("MODEL", Some(&self.model)),
                Named::of("--key", Some(&self.key)),
            ],
            [Named::of("--output", Some(&self.output))],
        )?;
        let device = DeviceModel::load(&self.model)?;
        if let Some(error) = self_test_error(&device) {
            let message = format!("its self-test fails: {error}; export it again");
            return Err(Error::corrupt(&self.model, message).into());
        }
        let key = keygen::private(&self.key)?;
        let signed = thumbnet_update::sign(device.bytes(), self.version, self.product, &key.seed());
        let signed = signed.ok_or_else(|| Error::value("the model is too large to be signed"))?;
        atomic_file::write_bytes(&self.output, &signed)?;
        console::print(&format!(
            "saved {}: version {}, product {}, {} bytes, signed by the key of {}\n",
            self.output.display(),
            self.version,
            self.product,
            thousands(signed.len()),
            self.key.display(),
        ))
    }
}
