//! Takes a blob apart, field by field.
//!
//! Small on purpose: the [`Reader`] remembers that something was missing, so that what takes from it
//! need not look each time.

use crate::blob::{MAGIC, VERSION};
use crate::error::Error;
use crate::layer::words::first_words;

/// Bytes of the blob that these bytes begin with, as its head says: known before the tensors, and the
/// checksum behind them, are there. Whatever follows is not looked at.
///
/// # Errors
///
/// [`Error::Magic`] and [`Error::Version`] for bytes that are no blob of this version,
/// [`Error::Malformed`] where the head is not whole.
pub fn blob_len(bytes: &[u8]) -> Result<usize, Error> {
    let reader = &mut Reader::new(bytes);
    head(reader)?;
    let _inputs = reader.halfword();
    for _ in 0..reader.varint() {
        let _units = reader.halfword();
        let _numbers = reader.word();
        if reader.broken {
            return Err(Error::Malformed);
        }
    }
    let _tail = Tail::take(reader);
    let _padding = reader.bytes();
    let tensors = reader.varint() as usize;
    let head = bytes.len() - reader.rest.len();
    let length = head.checked_add(tensors).and_then(|len| len.checked_add(4));
    match length {
        Some(length) if !reader.broken => Ok(length),
        _ => Err(Error::Malformed),
    }
}

/// Magic and version.
pub(crate) fn head(reader: &mut Reader) -> Result<(), Error> {
    let (expected, found) = (u32::from_le_bytes(MAGIC), reader.word());
    if expected != found {
        return Err(Error::Magic { expected, found });
    }
    let version = reader.varint() as u16; // the blob may be anything
    if version != VERSION {
        return Err(Error::Version {
            expected: VERSION,
            found: version,
        });
    }
    Ok(())
}

/// What is left of a blob.
pub(crate) struct Reader<'a> {
    pub rest: &'a [u8],
    /// Something was missing, or was no number. What was taken instead is empty or zero.
    pub broken: bool,
}

impl<'a> Reader<'a> {
    pub fn new(rest: &'a [u8]) -> Self {
        Self {
            rest,
            broken: false,
        }
    }

    /// A length or count, as postcard has all numbers but bytes and floats.
    #[inline(never)]
    pub fn varint(&mut self) -> u32 {
        let (number, rest) = postcard::take_from_bytes(self.rest).unwrap_or_else(|_| {
            self.broken = true;
            (0, self.rest)
        });
        self.rest = rest;
        number
    }

    #[inline(never)]
    pub fn halfword(&mut self) -> u16 {
        let number = self.varint();
        self.broken |= number > u16::MAX.into();
        number as u16 // else it is broken
    }

    #[inline(never)]
    pub fn word(&mut self) -> u32 {
        let [word] = first_words(self.take(4));
        word
    }

    /// As many bytes as the number before them says.
    #[inline(never)]
    pub fn bytes(&mut self) -> &'a [u8] {
        let count = self.varint();
        self.take(count as usize)
    }

    #[inline(never)]
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            self.broken = true;
            return &[];
        };
        self.rest = rest;
        taken
    }
}

/// What lies behind the layers and is rarely of use: it stays in the blob until it is.
#[derive(Clone, Copy)]
pub(crate) struct Tail<'a> {
    /// Four bytes or none.
    threshold: &'a [u8],
    pub labels: &'a [u8],
    pub tests: &'a [u8],
}

impl<'a> Tail<'a> {
    #[inline(always)]
    pub fn take(reader: &mut Reader<'a>) -> Self {
        // One way to write each blob: an option is 0 or 1.
        let some = match reader.take(1) {
            [0] => 0,
            [1] => 1,
            _ => {
                reader.broken = true;
                0
            }
        };
        Self {
            threshold: reader.take(some * 4),
            labels: reader.bytes(),
            tests: reader.bytes(),
        }
    }

    pub fn threshold(self) -> Option<f32> {
        let word = self.threshold.first_chunk()?;
        Some(f32::from_le_bytes(*word))
    }

    pub fn label_count(self) -> usize {
        if self.labels.is_empty() {
            return 0;
        }
        1 + self.labels.iter().filter(|&&byte| byte == b'\n').count()
    }
}

/// The names of the inputs, from what lies behind the layers: what the padding begins with.
pub(crate) fn input_names(behind: &[u8]) -> &[u8] {
    padding(behind)
        .split(|&byte| byte == 0)
        .next()
        .unwrap_or_default()
}

/// What follows the names of the inputs and the zero that ends them: zeros, or a verdict's record.
pub(crate) fn behind_names(behind: &[u8]) -> &[u8] {
    let padding = padding(behind);
    padding
        .get(input_names(behind).len() + 1..)
        .unwrap_or_default()
}

fn padding(behind: &[u8]) -> &[u8] {
    let reader = &mut Reader::new(behind);
    let _tail = Tail::take(reader);
    reader.bytes()
}
