//! Builds `firmware-example` for a board and runs it in QEMU.
//!
//! Files pass between host and firmware by semihosting: the program is started in a folder of the
//! caller's, and opens files there by name. What is missing on this machine (QEMU, a Rust target,
//! the firmware's sources) is an error that says how to get it.

pub mod bench;
mod board;
mod error;
pub mod library;
pub mod parity;

use std::{
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

pub use board::Board;
pub use error::{Error, Result};
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

/// The folder `firmware-example` of the workspace that this library was built from.
fn source() -> Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    let folder = workspace.unwrap_or(Path::new(".")).join("firmware-example");
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

/// An installed `qemu-system-arm`.
#[derive(Clone, Debug)]
pub struct Qemu {
    program: PathBuf,
}

/// What to run, and with what.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// The board to emulate.
    pub board: Board,
    /// The program, as [`Firmware::build`] made it.
    pub elf: &'a Path,
    /// Where the firmware's files are.
    pub folder: &'a Path,
    /// Files to put into the memory before the start, each with its address.
    pub memory: &'a [(PathBuf, u32)],
    /// Count time in instructions: one nanosecond each, exact and repeatable, but slower.
    pub count_instructions: bool,
    /// When to give up.
    pub time_limit: Duration,
}

impl<'a> Run<'a> {
    /// Runs `elf` with files in `folder` for at most two minutes.
    pub fn new(board: Board, elf: &'a Path, folder: &'a Path) -> Self {
        Self {
            board,
            elf,
            folder,
            memory: &[],
            count_instructions: false,
            time_limit: Duration::from_secs(120),
        }
    }
}

impl Qemu {
    /// Finds the emulator: the program named by `THUMBNET_QEMU`, or `qemu-system-arm` on the path.
    ///
    /// # Errors
    ///
    /// Where there is none, with the command that installs it.
    pub fn find() -> Result<Self> {
        let program = env::var_os("THUMBNET_QEMU").unwrap_or_else(|| "qemu-system-arm".into());
        let found = Command::new(&program)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if found.is_ok_and(|status| status.success()) {
            return Ok(Self {
                program: program.into(),
            });
        }
        let install = match env::consts::OS {
            "macos" => "`brew install qemu`",
            "windows" => "the installer from https://qemu.org/download",
            _ => "`sudo apt-get install qemu-system-arm`, or your system's package of that name",
        };
        Err(Error::Missing(format!(
            "{} was not found; get it with {install}",
            Path::new(&program).display()
        )))
    }

    /// The command that runs a program, with nothing connected but semihosting.
    pub fn command(&self, run: &Run) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(run.folder)
            .args(["-machine", run.board.machine(), "-display", "none"])
            .args(["-monitor", "none", "-serial", "none"])
            .args(["-semihosting-config", "enable=on,target=native"]);
        if run.count_instructions {
            command.args(["-icount", "shift=0"]);
        }
        for (file, address) in run.memory {
            // A comma in an option's value is written twice.
            let file = file.display().to_string().replace(',', ",,");
            let device = format!("loader,file={file},addr={address:#x},force-raw=on");
            command.arg("-device").arg(device);
        }
        command.arg("-kernel").arg(run.elf).stdin(Stdio::null());
        command
    }

    /// Runs a program until it exits and returns what it wrote to its standard output.
    ///
    /// # Errors
    ///
    /// A program that exits with anything but 0, or not within the time limit.
    pub fn run(&self, run: &Run) -> Result<Vec<u8>> {
        let mut child = self
            .command(run)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| Error::io(&self.program, error))?;
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        let status =
            wait(&mut child, run.time_limit).map_err(|error| Error::io(&self.program, error))?;
        let stdout = stdout.join().unwrap_or_default();
        let stderr = stderr.join().unwrap_or_default();
        let failed = match status {
            Some(status) if status.success() => return Ok(stdout),
            Some(status) => format!("ended with {status}"),
            None => format!("did not end within {:?}", run.time_limit),
        };
        // QEMU's own complaint, or else the last words of the firmware.
        let complaint = [&stderr, &stdout]
            .iter()
            .map(|text| String::from_utf8_lossy(text))
            .find_map(|text| {
                text.lines()
                    .rfind(|line| !line.trim().is_empty())
                    .map(str::to_owned)
            });
        Err(Error::Run(format!(
            "{} on {} {failed}: {}",
            run.elf.display(),
            run.board.machine(),
            complaint.as_deref().unwrap_or("it printed nothing")
        )))
    }
}

/// Reads a pipe to its end beside the waiting, so that the child never blocks on a full one.
fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Waits for the end of a process; `None` if it had to be killed.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
