//! Files that are read whole, where that ends.

use std::{fs::File, io::Read, path::Path};

use crate::{Error, FormatKind, Result};

/// Most bytes of what is no file on a disk: a pipe may be read, `/dev/zero` would never end.
const MOST_OF_A_PIPE: u64 = 64 << 20;

/// The bytes of a file.
///
/// # Errors
///
/// [`Error::Io`] when it cannot be read; [`Error::Format`] for a pipe or a device that goes on after
/// 64 MiB.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let io = |source| Error::io(path, source);
    let mut file = File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    if file.metadata().map_err(io)?.is_file() {
        file.read_to_end(&mut bytes).map_err(io)?;
        return Ok(bytes);
    }
    file.take(MOST_OF_A_PIPE + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() as u64 > MOST_OF_A_PIPE {
        return Err(FormatKind::Unknown.error(
            path,
            "this is a device or a pipe that goes on after 64 MiB, expected a file; save it to the disk first",
        ));
    }
    Ok(bytes)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_an_end_is_refused() {
        assert_eq!(
            read(Path::new("/dev/zero")).unwrap_err().to_string(),
            "/dev/zero: this is a device or a pipe that goes on after 64 MiB, expected a file; save it to the disk first"
        );
        assert_eq!(read(Path::new("/dev/null")).unwrap(), b"");
    }
}
