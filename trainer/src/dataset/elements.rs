//! Numbers as files hold them, to `f32`.

use std::{
    io::{ErrorKind, Read},
    path::Path,
};

use crate::{Error, Result};

/// How many bytes a stream has left, where that is known before they are read: not of a pipe, nor of what is
/// packed.
#[derive(Clone, Copy)]
pub(super) struct Left(pub Option<u64>);

impl Left {
    /// Behind so many bytes.
    pub fn behind(self, bytes: u64) -> Self {
        Self(self.0.map(|left| left.saturating_sub(bytes)))
    }
}

/// All values of an array of this shape, which end the stream.
///
/// # Errors
///
/// [`Error::Io`] when they cannot be read, [`Error::Format`] when there are fewer or more; where the size is
/// known, before anything is allocated.
pub(super) fn values(
    reader: &mut impl Read,
    shape: &[usize],
    element: Element,
    left: Left,
    path: &Path,
) -> Result<Vec<f32>> {
    let size = element.size();
    let len = shape
        .iter()
        .try_fold(1_usize, |len, &axis| len.checked_mul(axis))
        .filter(|len| len.checked_mul(8).is_some());
    let short = |found: u64| {
        let expected = len.map_or_else(|| "more".to_string(), |len| (len * size).to_string());
        Error::corrupt(
            path,
            format!(
                "the file ends after {found} bytes of data, expected {expected} for shape {shape:?}; write or copy it again"
            ),
        )
    };
    let there = left.0.unwrap_or(u64::MAX);
    let Some(len) = len.filter(|len| there >= (len * size) as u64) else {
        return Err(short(there));
    };
    let mut values = Vec::with_capacity(left.0.map_or(0, |_| len));
    let mut buffer = vec![0; (1 << 16) / size * size];
    while values.len() < len {
        let wanted = buffer.len().min((len - values.len()) * size);
        let chunk = &mut buffer[..wanted];
        reader
            .read_exact(chunk)
            .map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => short((values.len() * size) as u64),
                _ => Error::io(path, error),
            })?;
        element.extend(chunk, &mut values);
    }
    if reader
        .read(&mut [0])
        .map_err(|error| Error::io(path, error))?
        != 0
    {
        return Err(Error::corrupt(
            path,
            format!(
                "there are bytes after the {len} values of shape {shape:?}, expected the end of the file; write it again"
            ),
        ));
    }
    Ok(values)
}

/// Element type of a file.
#[derive(Clone, Copy)]
pub(super) struct Element {
    pub kind: Kind,
    pub big_endian: bool,
}

/// Numbers of a file.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Bool,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F16,
    F32,
    F64,
}

impl Element {
    /// From NumPy's descriptor: `<f4`.
    pub fn parse(descriptor: &str) -> Option<Self> {
        let (big_endian, name) = match descriptor.split_at_checked(1)? {
            ("<", name) => (false, name),
            (">", name) => (true, name),
            ("|", name) => (false, name),
            _ => (false, descriptor),
        };
        let kind = match name {
            "b1" => Kind::Bool,
            "i1" => Kind::I8,
            "u1" => Kind::U8,
            "i2" => Kind::I16,
            "u2" => Kind::U16,
            "i4" => Kind::I32,
            "u4" => Kind::U32,
            "i8" => Kind::I64,
            "u8" => Kind::U64,
            "f2" => Kind::F16,
            "f4" => Kind::F32,
            "f8" => Kind::F64,
            _ => return None,
        };
        Some(Self { kind, big_endian })
    }

    pub fn size(self) -> usize {
        match self.kind {
            Kind::Bool | Kind::I8 | Kind::U8 => 1,
            Kind::I16 | Kind::U16 | Kind::F16 => 2,
            Kind::I32 | Kind::U32 | Kind::F32 => 4,
            Kind::I64 | Kind::U64 | Kind::F64 => 8,
        }
    }

    /// Appends whole elements; the casts round to the nearest `f32`, as `astype` does.
    fn extend(self, bytes: &[u8], values: &mut Vec<f32>) {
        macro_rules! extend {
            ($type:ty) => {
                extend!($type, |value: $type| value as f32)
            };
            ($type:ty, $convert:expr) => {{
                let elements = bytes.as_chunks::<{ size_of::<$type>() }>().0.iter();
                if self.big_endian {
                    values.extend(elements.map(|&b| $convert(<$type>::from_be_bytes(b))));
                } else {
                    values.extend(elements.map(|&b| $convert(<$type>::from_le_bytes(b))));
                }
            }};
        }
        match self.kind {
            Kind::Bool => values.extend(bytes.iter().map(|&b| f32::from(u8::from(b != 0)))),
            Kind::I8 => extend!(i8),
            Kind::U8 => extend!(u8),
            Kind::I16 => extend!(i16),
            Kind::U16 => extend!(u16),
            Kind::I32 => extend!(i32),
            Kind::U32 => extend!(u32),
            Kind::I64 => extend!(i64),
            Kind::U64 => extend!(u64),
            Kind::F16 => extend!(u16, half_to_f32),
            Kind::F32 => extend!(f32),
            Kind::F64 => extend!(f64),
        }
    }
}

/// IEEE binary16 to binary32, exactly.
fn half_to_f32(bits: u16) -> f32 {
    let sign = if bits & 0x8000 != 0 { -1.0 } else { 1.0 };
    let exponent = i32::from(bits >> 10 & 0x1F);
    let fraction = f32::from(bits & 0x3FF);
    sign * match exponent {
        0 => fraction * f32::exp2(-24.0),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * f32::exp2((exponent - 25) as f32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_exact_down_to_the_smallest() {
        assert_eq!(half_to_f32(0x0001), 5.960_464_5e-8);
        assert_eq!(half_to_f32(0x7BFF), 65504.0);
        assert_eq!(half_to_f32(0x3555), 0.333_251_95);
        assert_eq!(half_to_f32(0xFC00), f32::NEG_INFINITY);
        assert!(half_to_f32(0x7E00).is_nan());
    }
}
