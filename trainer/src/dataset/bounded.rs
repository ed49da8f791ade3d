//! Packed files that unpack to no more than a file of that size may.

use std::io::{self, Read};

/// How many times its size a file may unpack to, beyond what any small file may.
const EXPANSION: u64 = 200;
/// Bytes that any file may unpack to.
const SMALL: u64 = 64 << 20;

/// What is packed, and unpacks to no more than `left` bytes.
pub(super) struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R> Bounded<R> {
    /// Of a file of `size` bytes.
    pub fn new(inner: R, size: u64) -> Self {
        let left = SMALL.saturating_add(size.saturating_mul(EXPANSION));
        Self { inner, left }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the file unpacks to more than {EXPANSION} times its size, expected data; unpack it first if that is what it holds"),
            )
        })?;
        Ok(read)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    /// Packed bytes.
    pub fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }
}
