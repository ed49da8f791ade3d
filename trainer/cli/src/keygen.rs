//! `thumbnet keygen`: a pair of keys for signed models.

use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
};

use clap::Args;
use ed25519_compact::{KeyPair, PublicKey, SecretKey, Seed};
use rand::{TryRng, rngs::SysRng};
use thumbnet_trainer::{Error, atomic_file, input};

use super::{Failure, Outcome, console};

/// Make a private key to sign models with, and the public key that devices know them by
#[derive(Debug, Args)]
#[command(after_help = "Example: thumbnet keygen --output key")]
pub struct Keygen {
    /// File for the private key, which only you can read; the public key gets .pub behind that name. Neither is
    /// ever overwritten
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

impl Keygen {
    pub fn run(&self) -> Outcome {
        atomic_file::check(&self.output)?;
        let mut public_path = self.output.clone().into_os_string();
        public_path.push(".pub");
        let public_path = PathBuf::from(public_path);
        for path in [&self.output, &public_path] {
            if path.symlink_metadata().is_ok() {
                return Err(Error::value(format!(
                    "{}: this is there already, and keys are not overwritten; give --output another name",
                    path.display()
                ))
                .into());
            }
        }
        let mut seed = [0; Seed::BYTES];
        SysRng
            .try_fill_bytes(&mut seed)
            .map_err(|error| Error::value(format!("the system has no random numbers: {error}")))?;
        let keys = KeyPair::from_seed(Seed::new(seed));
        write_new(&self.output, &keys.sk.to_pem(), true)?;
        write_new(
            &public_path,
            &format!("{}{}", constants(&keys.pk), keys.pk.to_pem()),
            false,
        )?;
        console::print(&format!(
            "{}saved {}: keep it secret, and a copy of it; saved {}\nnext: thumbnet sign MODEL.tnet --key {0} --version 1 --output MODEL.signed\n",
            constants(&keys.pk),
            self.output.display(),
            public_path.display(),
        ))
    }
}

/// The public key for the firmware, in Rust and in C.
fn constants(key: &PublicKey) -> String {
    let bytes: Vec<String> = key.iter().map(|byte| format!("0x{byte:02x}")).collect();
    let bytes = bytes.join(", ");
    format!(
        "pub const MODEL_KEY: [u8; 32] = [{bytes}];\nstatic const unsigned char model_key[32] = {{{bytes}}};\n"
    )
}

/// Writes a file that must not be there yet.
fn write_new(path: &Path, text: &str, private: bool) -> Outcome {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if private {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = private;
    let written = options.open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| Failure::from(Error::io(path, error)))
}

/// Reads a private key, and says where others can read it too.
pub fn private(path: &Path) -> Outcome<SecretKey> {
    let text = input::read(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = path
            .metadata()
            .map_or(0, |found| found.permissions().mode());
        if mode & 0o077 != 0 {
            console::note(&format!(
                "note: {0} can be read by others; chmod 600 {0}",
                path.display()
            ));
        }
    }
    SecretKey::from_pem(&String::from_utf8_lossy(&text)).map_err(|_| {
        Error::format(
            path,
            "this is no private key, expected one that thumbnet keygen made, or Ed25519 in PKCS#8 (BEGIN PRIVATE KEY)",
        )
        .into()
    })
}

/// Reads a public key.
pub fn public(path: &Path) -> Outcome<PublicKey> {
    let text = input::read(path)?;
    PublicKey::from_pem(&String::from_utf8_lossy(&text)).map_err(|_| {
        Error::format(
            path,
            "this is no public key, expected one that thumbnet keygen made, or Ed25519 as BEGIN PUBLIC KEY",
        )
        .into()
    })
}
