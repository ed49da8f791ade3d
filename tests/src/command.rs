//! Runs the built `thumbnet` as a user does.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

/// What a run of `thumbnet` left behind.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Finished {
    /// The lines on standard error that are no notes of what was assumed or left out.
    fn complaints(&self) -> String {
        let lines = self.stderr.lines();
        let complaints = lines.filter(|line| !line.starts_with("note: "));
        complaints.collect::<Vec<_>>().join("\n")
    }

    /// The standard output of a run that must have ended well, without warnings.
    pub fn ok(self) -> String {
        assert_eq!(
            (self.code, self.complaints().as_str()),
            (Some(0), ""),
            "{}",
            self.stdout
        );
        self.stdout
    }

    /// The message of a run that must have ended with `code`, one line on standard error.
    pub fn error(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        let line = self.complaints();
        assert!(!line.contains('\n') && !line.ends_with('.'), "{line}");
        line.strip_prefix("error: ")
            .unwrap_or_else(|| panic!("no error: {line}"))
            .to_string()
    }
}

/// Runs `thumbnet` with these arguments in `folder`.
pub fn thumbnet(folder: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Finished {
    command(folder, arguments)
        .output()
        .expect("thumbnet starts")
        .into()
}

/// The command, to be started in another way.
pub fn command(folder: &Path, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(binary());
    command.current_dir(folder).args(arguments);
    command
}

/// The command line that cargo builds with the tests.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        // target/<profile>/deps/<test>
        let test = std::env::current_exe().expect("a running test has a file");
        let folder = test
            .ancestors()
            .nth(2)
            .expect("tests are built in <profile>/deps");
        let binary = folder.join(format!(
            "thumbnet-under-test{}",
            std::env::consts::EXE_SUFFIX
        ));
        assert!(
            binary.is_file(),
            "{} is not there; run the tests with cargo test --workspace",
            binary.display()
        );
        binary
    })
}
