//! The emulator.

use std::{
    env,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{Board, Error, Hardware, Result};

/// An installed `qemu-system-arm`, or that of RISC-V.
#[derive(Clone, Debug)]
pub struct Qemu {
    program: PathBuf,
}

/// What to run, and with what.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// The board to emulate.
    pub board: Board,
    /// The program, as [`Firmware::build`](crate::Firmware::build) made it.
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
        Self::installed("qemu-system-arm", "THUMBNET_QEMU")
    }

    /// Finds the emulator that has the machine of a board: for RISC-V the program named by
    /// `THUMBNET_QEMU_RISCV32`, or `qemu-system-riscv32` on the path.
    ///
    /// # Errors
    ///
    /// Where there is none, with the command that installs it.
    pub fn find_for(board: &Hardware) -> Result<Self> {
        match board.is_riscv() {
            true => Self::installed("qemu-system-riscv32", "THUMBNET_QEMU_RISCV32"),
            false => Self::find(),
        }
    }

    fn installed(usual: &str, variable: &str) -> Result<Self> {
        let program = env::var_os(variable).unwrap_or_else(|| usual.into());
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
            _ if usual == "qemu-system-arm" => {
                "`sudo apt-get install qemu-system-arm`, or your system's package of that name"
            }
            _ => {
                "`sudo apt-get install qemu-system-misc`, or your system's package of that program"
            }
        };
        Err(Error::Missing(format!(
            "{} was not found; get it with {install}",
            Path::new(&program).display()
        )))
    }

    /// The command that runs a program, with nothing connected but semihosting.
    pub fn command(&self, run: &Run) -> Command {
        let mut command = self.machine(run.board.machine());
        command.current_dir(run.folder);
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

    /// The command that runs a program on the machine of a board; none where it has no machine.
    pub fn program(&self, board: &Hardware, elf: &Path) -> Option<Command> {
        let mut command = self.machine(board.machine?);
        if board.is_riscv() {
            command.args(["-bios", "none"]);
        }
        command.arg("-kernel").arg(elf).stdin(Stdio::null());
        Some(command)
    }

    /// A machine with nothing connected but semihosting.
    fn machine(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["-machine", name, "-display", "none"])
            .args(["-monitor", "none", "-serial", "none"])
            .args(["-semihosting-config", "enable=on,target=native"]);
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
