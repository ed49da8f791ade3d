//! A table's bytes as UTF-8 text, whatever they were: plain, gzip, UTF-16, Latin-1.

use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read},
    path::{Path, PathBuf},
};

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};
use encoding_rs_io::DecodeReaderBytesBuilder;
use flate2::read::MultiGzDecoder;

use super::bounded::Bounded;
use crate::file_kind::FileKind;
use crate::{Error, FormatKind, Result};

/// Bytes of text from which a table's form is told.
const SAMPLE: u64 = 1 << 16;

/// Most bytes between two line ends: a million columns have fewer.
const LONGEST_LINE: usize = 32 << 20;

/// A table to read, more than once where needed.
pub(super) struct Source<'a> {
    path: &'a Path,
    bytes: Option<&'a [u8]>,
    packed: bool,
    /// Where it is not UTF-8.
    encoding: Option<&'static Encoding>,
    /// The beginning, as text.
    pub sample: Vec<u8>,
}

impl<'a> Source<'a> {
    /// Of a file.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where it cannot be read; [`Error::Format`] where it is no text.
    pub fn file(path: &'a Path) -> Result<Self> {
        Self::new(path, None)
    }

    /// Of bytes; `path` is for messages.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] where they are no text.
    pub fn bytes(bytes: &'a [u8], path: &'a Path) -> Result<Self> {
        Self::new(path, Some(bytes))
    }

    fn new(path: &'a Path, bytes: Option<&'a [u8]>) -> Result<Self> {
        let mut source = Self {
            path,
            bytes,
            packed: false,
            encoding: None,
            sample: Vec::new(),
        };
        let mut start = source.start()?;
        source.packed = start.starts_with(&[0x1F, 0x8B]);
        if source.packed {
            start = source.start()?;
        }
        let inner = unpacked_name(path);
        if let Some(kind) = FileKind::of(&start, &inner) {
            let (name, advice) = (kind.name(), kind.as_data());
            return Err(FormatKind::Unknown.error(
                path,
                format!("this is {name}, expected CSV or .npy; {advice}"),
            ));
        }
        source.encoding = encoding(&start);
        let mut sample = Vec::new();
        source
            .open()?
            .take(SAMPLE)
            .read_to_end(&mut sample)
            .map_err(|error| Error::io(path, error))?;
        if sample.contains(&0) {
            return Err(FormatKind::Unknown.error(
                path,
                "this is no text, expected a table such as CSV; save the table as CSV",
            ));
        }
        source.sample = sample;
        Ok(source)
    }

    /// The first bytes, unpacked but not decoded.
    fn start(&self) -> Result<Vec<u8>> {
        let mut start = Vec::new();
        let mut reader = self.unpacked()?.take(SAMPLE);
        reader
            .read_to_end(&mut start)
            .map_err(|error| Error::io(self.path, error))?;
        Ok(start)
    }

    /// The bytes, unpacked.
    fn unpacked(&self) -> Result<Box<dyn Read + 'a>> {
        let io = |error| Error::io(self.path, error);
        let (size, raw): (u64, Box<dyn Read + 'a>) = match self.bytes {
            Some(bytes) => (bytes.len() as u64, Box::new(Cursor::new(bytes))),
            None => {
                let file = File::open(self.path).map_err(io)?;
                (file.metadata().map_err(io)?.len(), Box::new(file))
            }
        };
        if !self.packed {
            return Ok(raw);
        }
        let raw = BufReader::with_capacity(1 << 16, raw);
        Ok(Box::new(Bounded::new(MultiGzDecoder::new(raw), size)))
    }

    /// The text from the beginning.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] where the file cannot be opened.
    pub fn open(&self) -> Result<Box<dyn Read + 'a>> {
        let raw = Lines {
            inner: self.unpacked()?,
            length: 0,
        };
        Ok(Box::new(
            DecodeReaderBytesBuilder::new()
                .encoding(self.encoding)
                .bom_override(true)
                .utf8_passthru(true)
                .strip_bom(true)
                .build(raw),
        ))
    }

    /// What was done to read it, where it is not plain UTF-8.
    pub fn found(&self) -> Option<String> {
        let encoding = self.encoding.map(|encoding| match encoding.name() {
            "windows-1252" => "Latin-1",
            name => name,
        });
        match (self.packed, encoding) {
            (false, None) => None,
            (true, None) => Some("gzip".to_string()),
            (false, Some(name)) => Some(name.to_string()),
            (true, Some(name)) => Some(format!("gzip, {name}")),
        }
    }
}

/// Bytes that give up on a line which does not end, before it fills the memory.
struct Lines<R> {
    inner: R,
    /// Bytes since the last line end.
    length: usize,
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let found = buffer.get(..count).unwrap_or_default();
        let end = found
            .iter()
            .rposition(|&byte| matches!(byte, b'\n' | b'\r'));
        self.length = match end {
            Some(end) => count - end,
            None => self.length + count,
        };
        if self.length > LONGEST_LINE {
            let message = format!(
                "a line goes on after {} MiB, expected a row of a table; save the table again as CSV",
                LONGEST_LINE >> 20
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(count)
    }
}

/// `d.csv` of `d.csv.gz`.
fn unpacked_name(path: &Path) -> PathBuf {
    match path.extension() {
        Some(extension) if extension.eq_ignore_ascii_case("gz") => path.with_extension(""),
        _ => path.to_path_buf(),
    }
}

/// Of text that is not UTF-8.
fn encoding(start: &[u8]) -> Option<&'static Encoding> {
    let zeros = |from: usize| {
        start
            .iter()
            .skip(from)
            .step_by(2)
            .filter(|&&b| b == 0)
            .count()
    };
    let half = start.len() / 2;
    match start {
        [0xFF, 0xFE, ..] => Some(UTF_16LE),
        [0xFE, 0xFF, ..] => Some(UTF_16BE),
        // Without a mark: text of Latin letters has every other byte 0.
        _ if half > 1 && zeros(1) * 4 > half * 3 && zeros(0) == 0 => Some(UTF_16LE),
        _ if half > 1 && zeros(0) * 4 > half * 3 && zeros(1) == 0 => Some(UTF_16BE),
        _ => match std::str::from_utf8(start) {
            Ok(_) => None,
            // The sample ends within a letter.
            Err(error) if error.error_len().is_none() => None,
            Err(_) => Some(WINDOWS_1252),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::bounded::tests::gzip;
    use super::*;

    #[test]
    fn a_line_without_an_end_is_refused() {
        let mut endless = Lines {
            inner: io::repeat(b'1'),
            length: 0,
        };
        let error = io::copy(&mut endless, &mut io::sink()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a line goes on after 32 MiB, expected a row of a table; save the table again as CSV"
        );
    }

    fn text(bytes: &[u8]) -> (String, Option<String>) {
        let source = Source::bytes(bytes, Path::new("d.csv")).unwrap();
        let mut text = String::new();
        source.open().unwrap().read_to_string(&mut text).unwrap();
        (text, source.found())
    }

    #[test]
    fn every_encoding_becomes_the_same_text() {
        let expected = "a,\u{b0}C\n1,2\n";
        let utf16 = |to_bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            expected.encode_utf16().flat_map(to_bytes).collect()
        };
        let marked = |mark: &[u8], text: Vec<u8>| [mark, &text].concat();
        let latin: Vec<u8> = expected.chars().map(|c| c as u8).collect();
        let cases: [(Vec<u8>, Option<&str>); 8] = [
            (expected.into(), None),
            (marked(&[0xEF, 0xBB, 0xBF], expected.into()), None),
            (utf16(u16::to_le_bytes), Some("UTF-16LE")),
            (utf16(u16::to_be_bytes), Some("UTF-16BE")),
            (
                marked(&[0xFF, 0xFE], utf16(u16::to_le_bytes)),
                Some("UTF-16LE"),
            ),
            (
                marked(&[0xFE, 0xFF], utf16(u16::to_be_bytes)),
                Some("UTF-16BE"),
            ),
            (latin.clone(), Some("Latin-1")),
            (gzip(&latin), Some("gzip, Latin-1")),
        ];
        for (bytes, found) in cases {
            assert_eq!(
                text(&bytes),
                (expected.to_string(), found.map(String::from))
            );
        }
    }

    #[test]
    fn a_gzip_file_that_unpacks_without_end_is_refused() {
        let bomb = gzip(&b"1\n".repeat(150 << 20));
        let source = Source::bytes(&bomb, Path::new("d.csv.gz")).unwrap();
        let error = io::copy(&mut source.open().unwrap(), &mut io::sink()).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the file unpacks to more than 200 times"),
            "{error}"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        let error = Source::bytes(b"a\0\0\0b\0\0", Path::new("d.csv"))
            .err()
            .unwrap();
        assert_eq!(
            error.to_string(),
            "d.csv: this is no text, expected a table such as CSV; save the table as CSV"
        );
    }
}
