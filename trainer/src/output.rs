//! Files appear whole or not at all: written beside their place, then renamed.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// Writes a file by way of a temporary one in the same folder.
///
/// When `write` fails, or the process is killed, what was at `path` before is unchanged. Devices
/// and pipes (`/dev/stdout`) are written directly, links keep pointing where they point.
///
/// # Errors
///
/// [`Error::Io`] naming `path`, or what `write` returns.
pub fn write(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let io = |source| Error::io(path, source);
    check(path)?;
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        let mut device = OpenOptions::new().write(true).open(path).map_err(io)?;
        return write(&mut device);
    }
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let mut file = Temporary::beside(&place).map_err(io)?;
    write(&mut file.file)?;
    file.file.sync_all().map_err(io)?;
    file.persist(&place).map_err(io)?;
    // The name itself has to reach the disk too; not every system can open a folder.
    #[cfg(unix)]
    if let Ok(folder) = File::open(folder(&place)) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// A file that becomes another one, or disappears when dropped before.
struct Temporary {
    file: File,
    path: PathBuf,
    persisted: bool,
}

impl Temporary {
    /// `.m.h5.thumbnet` for `m.h5`: a process that is killed leaves it behind, and the next one that
    /// writes `m.h5` uses it up. A lock tells it from one that another process is writing.
    fn beside(place: &Path) -> std::io::Result<Self> {
        let mut name = std::ffi::OsString::from(".");
        name.push(place.file_name().unwrap_or_default());
        name.push(".thumbnet");
        let path = folder(place).join(name);
        for _ in 0..8 {
            let mut options = OpenOptions::new();
            let opened = options.create(true).truncate(false).write(true).open(&path);
            let Ok(file) = opened else { break };
            if file.try_lock().is_err() {
                break;
            }
            // Another process may have renamed it before the lock was ours.
            if is_at(&file, &path) {
                file.set_len(0)?;
                return Ok(Self {
                    file,
                    path,
                    persisted: false,
                });
            }
        }
        Self::unique(place)
    }

    /// Under a name that no other process has, where the usual one cannot be had.
    fn unique(place: &Path) -> std::io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".thumbnet-");
        #[cfg(unix)]
        {
            // Ordinary permissions (the umask applies), not a temporary file's private ones.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let (file, path) = builder.tempfile_in(folder(place))?.keep()?;
        Ok(Self {
            file,
            path,
            persisted: false,
        })
    }

    fn persist(mut self, place: &Path) -> std::io::Result<()> {
        fs::rename(&self.path, place)?;
        self.persisted = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.persisted {
            // What failed before is what the user hears of.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Whether an open file is the one with this name, and not where a link of this name points.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(file), Ok(path)) => (file.dev(), file.ino()) == (path.dev(), path.ino()),
        _ => false,
    }
}

/// Whether an open file is the one with this name; a file that is open keeps its name here.
#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.is_file()
}

/// [`write()`] of bytes that are there already.
///
/// # Errors
///
/// [`Error::Io`] naming `path`.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write(path, |file| {
        file.write_all(bytes)
            .map_err(|source| Error::io(path, source))
    })
}

/// Whether a file could be written at `path`, to refuse before hours of work instead of after.
///
/// # Errors
///
/// [`Error::Value`] when the folder is missing or `path` is a folder.
pub fn check(path: &Path) -> Result<()> {
    let folder = folder(path);
    if !folder.is_dir() {
        return Err(Error::value(format!(
            "{}: there is no folder {folder}; create it with mkdir -p {folder}",
            path.display(),
            folder = folder.display()
        )));
    }
    if path.is_dir() {
        return Err(Error::value(format!(
            "{}: this is a folder, expected the name of a file to write",
            path.display()
        )));
    }
    Ok(())
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// A number as texts have it: `12,345`.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.h5");
        write(&path, |file| {
            file.write_all(b"good").map_err(|e| Error::io(&path, e))
        })
        .unwrap();
        let failed = write(&path, |file| {
            file.write_all(b"ba").unwrap();
            Err(Error::value("stopped"))
        });
        assert_eq!(failed.unwrap_err().to_string(), "stopped");
        assert_eq!(fs::read(&path).unwrap(), b"good");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_process_left_is_used_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.h5");
        fs::write(dir.path().join(".model.h5.thumbnet"), b"half a mod").unwrap();
        write_bytes(&path, b"good").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"good");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn two_writers_at_once_do_not_mix() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.h5");
        write(&path, |outer| {
            write_bytes(&path, b"inner")?;
            assert_eq!(fs::read(&path).unwrap(), b"inner");
            outer.write_all(b"outer").map_err(|e| Error::io(&path, e))
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"outer");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

        let text = |writer: u8| vec![b'a' + writer; 10_000];
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let path = &path;
                scope
                    .spawn(move || (0..25).for_each(|_| write_bytes(path, &text(writer)).unwrap()));
            }
        });
        let found = fs::read(&path).unwrap();
        assert!((0..4).any(|writer| found == text(writer)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_and_a_folder_are_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("models");
        let path = folder.join("m.h5");
        assert_eq!(
            check(&path).unwrap_err().to_string(),
            format!(
                "{}: there is no folder {}; create it with mkdir -p {1}",
                path.display(),
                folder.display()
            )
        );
        assert_eq!(
            check(dir.path()).unwrap_err().to_string(),
            format!(
                "{}: this is a folder, expected the name of a file to write",
                dir.path().display()
            )
        );
    }

    #[cfg(unix)]
    #[test]
    fn devices_stay_devices_and_links_stay_links() {
        use std::os::unix::fs::{FileTypeExt, symlink};
        write(Path::new("/dev/null"), |file| {
            file.write_all(b"x").map_err(|e| Error::io("/dev/null", e))
        })
        .unwrap();
        assert!(
            fs::metadata("/dev/null")
                .unwrap()
                .file_type()
                .is_char_device()
        );

        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, b"old").unwrap();
        symlink(&file, &link).unwrap();
        write(&link, |out| {
            out.write_all(b"new").map_err(|e| Error::io(&link, e))
        })
        .unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"new");
    }

    #[test]
    fn thousands_are_separated() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1234567, "1,234,567"),
        ] {
            assert_eq!(thousands(number), text);
        }
    }
}
