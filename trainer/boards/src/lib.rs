//! The boards that firmware is written for ([`BOARDS`]), and the emulator: builds `firmware-example` for an
//! emulated board and runs it in QEMU.
//!
//! Files pass between host and firmware by semihosting: the program is started in a folder of the
//! caller's, and opens files there by name. What is missing on this machine (QEMU, a Rust target,
//! the firmware's sources) is an error that says how to get it.

#![forbid(unsafe_code)]

mod archive;
pub mod bench;
mod board;
pub mod chips;
mod error;
mod hardware;
pub mod library;
pub mod log;
pub mod parity;
pub mod project;
mod qemu;
mod table;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

pub use board::Board;
pub use error::{Error, Result};
pub use hardware::{FlashReads, Hardware, Memory, Start, core};
pub use qemu::{Qemu, Run};
pub use table::BOARDS;
pub use thumbnet_runtime::cores::Float;

use thumbnet_runtime::cores::Target;

/// One way to compile a binary of `firmware-example`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Firmware {
    /// Name of the binary, such as `parity`.
    pub binary: &'static str,
    /// Board whose memory layout and core are used.
    pub board: Board,
    /// Floats by the FPU or by library calls.
    pub float: Float,
    /// `-C target-cpu`, where not what the table of cores has.
    pub cpu: Option<&'static str>,
    /// Cargo profile: `release`, or `size` for the smallest code.
    pub profile: &'static str,
    /// Cargo features: the weight types beside int8, `portable` for other packings than the core's
    /// own, and `log` for the demo.
    pub features: &'static str,
}

impl Firmware {
    /// Everything that the firmware can be built with.
    pub const ALL_FEATURES: &'static str = "log,activations,f32,int16,int4,layers,portable";

    /// The fastest build for a board.
    pub fn release(binary: &'static str, board: Board) -> Self {
        Self {
            binary,
            board,
            float: board.core().targets[0].float,
            cpu: None,
            profile: "release",
            features: Self::ALL_FEATURES,
        }
    }

    /// Compiles the binary and returns its ELF file, which stays as it is until the next call with
    /// the same arguments.
    ///
    /// # Errors
    ///
    /// Where the sources, cargo or the Rust target are missing, or the build fails.
    pub fn build(&self) -> Result<PathBuf> {
        let source = source()?;
        let mut compiled = *self.board.target(self.float);
        compiled.cpu = self.cpu.or(compiled.cpu);
        let target = compiled.triple;
        check_target(target)?;
        let target_dir = env::var_os("CARGO_TARGET_DIR").map_or_else(
            || source.with_file_name("target"),
            |folder| source.with_file_name("").join(folder),
        );
        fs::create_dir_all(&target_dir).map_err(|error| Error::io(&target_dir, error))?;
        // Cargo puts every board's program of one target into the same file: copy it before
        // another process builds the next.
        let _lock = lock(&target_dir.join("firmware.lock"))?;
        let mut build = cargo_build(&source, &compiled, &target_dir);
        build
            .args(["--package", "firmware-example", "--bin", self.binary])
            .args(["--profile", self.profile])
            .args(["--no-default-features", "--features", self.features])
            .env("THUMBNET_BOARD", self.board.machine());
        if let Some(reason) = failure(&mut build)? {
            return Err(Error::Build(format!(
                "firmware-example did not build for {}: {reason}; run `THUMBNET_BOARD={} cargo build --bin {} \
                 --target {target} --profile {}` in {} to see why",
                self.board.machine(),
                self.board.machine(),
                self.binary,
                self.profile,
                source.display()
            )));
        }
        let folder = target_dir.join(target).join(self.profile);
        let cpu = self.cpu.unwrap_or_default();
        let elf = folder.join(format!("{}-{}{cpu}.elf", self.binary, self.board.machine()));
        let built = folder.join(self.binary);
        fs::copy(&built, &elf).map_err(|error| Error::io(&built, error))?;
        Ok(elf)
    }
}

/// `cargo build` for a target, in a package's folder.
fn cargo_build(folder: &Path, target: &Target, target_dir: &Path) -> Command {
    let flags = target.cpu.map(|cpu| format!("-C target-cpu={cpu}"));
    let mut command = Command::new(cargo());
    command
        .current_dir(folder)
        .args(["build", "--quiet", "--target", target.triple])
        .arg("--target-dir")
        .arg(target_dir)
        // The flags of a surrounding build are meant for the host.
        .env("RUSTFLAGS", flags.unwrap_or_default())
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdin(Stdio::null());
    command
}

/// Runs cargo; its first error where it fails.
fn failure(command: &mut Command) -> Result<Option<String>> {
    let output = command.output().map_err(|error| {
        Error::Missing(format!(
            "cargo could not be started ({error}); install Rust from https://rustup.rs"
        ))
    })?;
    if output.status.success() {
        return Ok(None);
    }
    let log = String::from_utf8_lossy(&output.stderr);
    let reason = log.lines().find(|line| line.starts_with("error"));
    Ok(Some(reason.unwrap_or("cargo failed").to_string()))
}

/// The workspace that this library was built from. A build whose bytes are to be the same from every folder sets
/// `THUMBNET_SOURCES` for it.
pub(crate) fn workspace() -> Option<&'static Path> {
    const CRATE: &str = match option_env!("THUMBNET_SOURCES") {
        Some(folder) => folder,
        None => env!("CARGO_MANIFEST_DIR"),
    };
    Path::new(CRATE).ancestors().nth(2)
}

/// The folder `firmware-example` of the workspace that this library was built from.
fn source() -> Result<PathBuf> {
    let folder = workspace()
        .unwrap_or(Path::new("."))
        .join("firmware-example");
    if folder.join("Cargo.toml").is_file() {
        Ok(folder)
    } else {
        Err(Error::Missing(format!(
            "{} was not found; build thumbnet from a clone of its repository to run firmware",
            folder.display()
        )))
    }
}

/// The cargo that started this process, or the one on the path.
fn cargo() -> std::ffi::OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Refuses a Rust target whose `core` is not installed.
fn check_target(target: &str) -> Result<()> {
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--print", "target-libdir", "--target", target])
        .stdin(Stdio::null())
        .output();
    let installed = output.is_ok_and(|output| {
        Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
            && output.status.success()
    });
    if installed {
        Ok(())
    } else {
        Err(Error::MissingTarget(target.to_string()))
    }
}

/// Takes the lock that the file stands for; closing it gives the lock back.
fn lock(path: &Path) -> Result<fs::File> {
    let open = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    let file = open.map_err(|error| Error::io(path, error))?;
    file.lock().map_err(|error| Error::io(path, error))?;
    Ok(file)
}
