//! The header of an `.npy` file: NumPy's magic bytes, a version, and a Python dictionary such as
//! `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
//!
//! Read here, since the crates that read it bring a parser generator and a C compiler along.

use std::io::{self, Read, Write};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// As much as NumPy reads of a header before it asks whether the file is to be trusted.
const LONGEST: usize = 10_000;
/// Data starts at a multiple of this.
const ALIGNMENT: usize = 64;

/// What stands before the values.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    /// The element type as NumPy spells it, `<f4`; what is between the brackets where it is a list.
    pub descriptor: String,
    /// Whether the first axis runs fastest.
    pub column_major: bool,
    /// `[axes]`
    pub shape: Vec<usize>,
    /// Bytes before the first value.
    pub size: u64,
}

impl Header {
    /// Reads up to the first byte of data; none where this is no `.npy` header.
    pub fn read(reader: &mut impl Read) -> io::Result<Option<Self>> {
        let mut start = [0; 8];
        if !fill(reader, &mut start)? || start[..6] != *MAGIC {
            return Ok(None);
        }
        // Version 1 has a length of two bytes, 2 and 3 one of four.
        let mut length = [0; 4];
        let bytes = if start[6] == 1 { 2 } else { 4 };
        if !(1..=3).contains(&start[6]) || !fill(reader, &mut length[..bytes])? {
            return Ok(None);
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST {
            return Ok(None);
        }
        let mut text = vec![0; length];
        if !fill(reader, &mut text)? {
            return Ok(None);
        }
        let size = (start.len() + bytes + length) as u64;
        let text = std::str::from_utf8(&text).ok();
        Ok(text.and_then(|text| Self::parse(text, size)))
    }

    fn parse(text: &str, size: u64) -> Option<Self> {
        let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?;
        let (mut descriptor, mut column_major, mut shape) = (None, None, None);
        while !rest.trim_start_matches([',', ' ']).is_empty() {
            let (key, behind) = quoted(rest.trim_start_matches([',', ' ']))?;
            let value = behind.trim_start().strip_prefix(':')?.trim_start();
            rest = match key {
                "descr" => {
                    let (value, rest) = quoted(value).or_else(|| between(value, '[', ']'))?;
                    descriptor = Some(value.to_string());
                    rest
                }
                "fortran_order" => {
                    let (value, rest) = match value.strip_prefix("True") {
                        Some(rest) => (true, rest),
                        None => (false, value.strip_prefix("False")?),
                    };
                    column_major = Some(value);
                    rest
                }
                "shape" => {
                    let (axes, rest) = between(value, '(', ')')?;
                    let axes = axes
                        .split(',')
                        .map(str::trim)
                        .filter(|axis| !axis.is_empty());
                    // Python 2 writes a long integer as 3L.
                    let axes = axes.map(|axis| axis.trim_end_matches('L').parse().ok());
                    shape = Some(axes.collect::<Option<_>>()?);
                    rest
                }
                _ => return None,
            };
        }
        Some(Self {
            descriptor: descriptor?,
            column_major: column_major?,
            shape: shape?,
            size,
        })
    }

    /// Writes the header of an array of little-endian `f32`, row after row.
    pub fn write_f32(shape: &[usize], writer: &mut impl Write) -> io::Result<()> {
        let axes: String = shape.iter().map(|axis| format!("{axis}, ")).collect();
        // A comma stands behind a single axis, as Python wants it, and none behind the last of more.
        let axes = match shape {
            [axis] => format!("{axis},"),
            _ => axes.trim_end_matches(", ").to_string(),
        };
        let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({axes}), }}");
        let before = MAGIC.len() + 4;
        let length = (before + text.len() + 1).next_multiple_of(ALIGNMENT) - before;
        let Ok(length) = u16::try_from(length) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many axes"));
        };
        writer.write_all(MAGIC)?;
        writer.write_all(&[1, 0])?;
        writer.write_all(&length.to_le_bytes())?;
        writer.write_all(format!("{text:<0$}\n", usize::from(length) - 1).as_bytes())
    }
}

/// `'text'rest` to both.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text
        .chars()
        .next()
        .filter(|&first| first == '\'' || first == '"')?;
    text[1..].split_once(quote)
}

/// `(text)rest` to both.
fn between(text: &str, open: char, close: char) -> Option<(&str, &str)> {
    text.strip_prefix(open)?.split_once(close)
}

/// Whether there were as many bytes.
fn fill(reader: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(bytes) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(String, bool, Vec<usize>)> {
        let header = Header::parse(text, 0)?;
        Some((header.descriptor, header.column_major, header.shape))
    }

    #[test]
    fn keys_stand_in_any_order_and_spacing() {
        let expected = |descriptor: &str, column_major, shape: &[usize]| {
            Some((descriptor.to_string(), column_major, shape.to_vec()))
        };
        assert_eq!(
            parse("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n"),
            expected("<f4", false, &[3, 4])
        );
        assert_eq!(
            parse("{\"shape\":(3L,),\"fortran_order\":True,\"descr\":\"|u1\"}"),
            expected("|u1", true, &[3])
        );
        assert_eq!(
            parse("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (), }"),
            expected("('a', '<f4')", false, &[])
        );
        for wrong in [
            "",
            "{}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
            "{'descr': '<f4', 'fortran_order': 0, 'shape': (1,), }",
            "{'descr': '<f4, 'fortran_order': False, 'shape': (1,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_bytes_are_numpys() {
        // numpy.save of an array of shape (2, 3), and of (2,), up to the data.
        for (shape, text) in [
            (
                &[2, 3][..],
                "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
            ),
            (
                &[2],
                "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }",
            ),
            (
                &[],
                "{'descr': '<f4', 'fortran_order': False, 'shape': (), }",
            ),
        ] {
            let mut bytes = Vec::new();
            Header::write_f32(shape, &mut bytes).unwrap();
            let expected = format!("{text:<117}\n");
            assert_eq!(bytes.len(), 128);
            assert_eq!(bytes[..10], *b"\x93NUMPY\x01\x00\x76\x00");
            assert_eq!(bytes[10..], *expected.as_bytes());
            let read = Header::read(&mut &bytes[..]).unwrap();
            assert_eq!(read.map(|header| header.shape), Some(shape.to_vec()));
        }
    }

    #[test]
    fn a_header_that_promises_gigabytes_is_none() {
        let bytes = b"\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF{'descr'";
        assert_eq!(Header::read(&mut &bytes[..]).unwrap(), None);
    }
}
