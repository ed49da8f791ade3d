//! NumPy's `.npy`: every numeric type to `f32`, in either byte order, row- or column-major.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Read, Seek, Write},
    path::Path,
};

use ndarray::{ArrayD, ShapeBuilder};

use super::npy_header::Header;
use crate::file_kind::FileKind;
use crate::{Error, FormatKind, Result, atomic_file};

/// Reads an array of any rank as `f32`; `bool` becomes 0 and 1, wider numbers are rounded.
///
/// # Errors
///
/// [`Error::Io`] when the file cannot be read, [`Error::Format`] when it is no `.npy` file, holds
/// other than numbers, or ends early.
pub fn read_npy(path: &Path) -> Result<ArrayD<f32>> {
    let io = |source| Error::io(path, source);
    let file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if metadata.is_dir() {
        return Err(Error::io(path, std::io::ErrorKind::IsADirectory.into()));
    }
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let kind = FileKind::of(reader.fill_buf().map_err(io)?, path);
    let header = Header::read(&mut reader).map_err(io)?.ok_or_else(|| {
        let message = match kind.filter(|kind| *kind != FileKind::Npy) {
            Some(kind) => format!(
                "this is {}, expected an array written by numpy.save (.npy); {}",
                kind.name(),
                kind.as_data()
            ),
            None => "not an .npy file, expected one written by numpy.save; use --data for CSV"
                .to_string(),
        };
        FormatKind::Unknown.error(path, message)
    })?;
    let element = Element::parse(&header.descriptor).ok_or_else(|| {
        FormatKind::Unsupported.error(
            path,
            format!(
                "the array is of type '{}', expected numbers; convert it with x.astype('float32')",
                header.descriptor
            ),
        )
    })?;
    let len = header
        .shape
        .iter()
        .try_fold(1_usize, |len, &axis| len.checked_mul(axis))
        .filter(|len| len.checked_mul(8).is_some());
    let short = |found: u64| {
        Error::corrupt(
            path,
            format!(
                "the file ends after {found} bytes of data, expected {} for shape {:?}; write or copy it again",
                len.map_or_else(
                    || "more".to_string(),
                    |len| (len * element.size()).to_string()
                ),
                header.shape
            ),
        )
    };
    // Checked before anything is allocated, but for a pipe, which has no length.
    let there = match reader.stream_position() {
        Ok(position) if metadata.is_file() => metadata.len().saturating_sub(position),
        _ => u64::MAX,
    };
    let Some(len) = len.filter(|len| there >= (len * element.size()) as u64) else {
        return Err(short(there));
    };
    let mut values = Vec::with_capacity(if there == u64::MAX { 0 } else { len });
    let size = element.size();
    let mut buffer = vec![0; (1 << 16) / size * size];
    while values.len() < len {
        let wanted = buffer.len().min((len - values.len()) * size);
        let chunk = &mut buffer[..wanted];
        reader
            .read_exact(chunk)
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => short((values.len() * size) as u64),
                _ => io(error),
            })?;
        element.extend(chunk, &mut values);
    }
    if reader.read(&mut [0]).map_err(io)? != 0 {
        return Err(Error::corrupt(
            path,
            format!(
                "there are bytes after the {len} values of shape {:?}, expected the end of the file; write it again",
                header.shape
            ),
        ));
    }
    let shape = header.shape.clone();
    let array = ArrayD::from_shape_vec(shape.set_f(header.column_major), values)
        .map_err(|error| Error::corrupt(path, error.to_string()))?;
    Ok(if array.is_standard_layout() {
        array
    } else {
        array.as_standard_layout().into_owned()
    })
}

/// Writes an array as little-endian `f32`, through a temporary file.
///
/// # Errors
///
/// [`Error::Io`] when the file cannot be written; what was there before is then unchanged.
pub fn write_npy(path: &Path, array: &ArrayD<f32>) -> Result<()> {
    atomic_file::write(path, |file| {
        write_f32(array, file).map_err(|source| Error::io(path, source))
    })
}

fn write_f32(array: &ArrayD<f32>, file: &mut File) -> std::io::Result<()> {
    let mut writer = BufWriter::with_capacity(1 << 16, file);
    Header::write_f32(array.shape(), &mut writer)?;
    for value in array {
        writer.write_all(&value.to_le_bytes())?;
    }
    writer.flush()
}

/// Element type of a file.
#[derive(Clone, Copy)]
struct Element {
    kind: Kind,
    big_endian: bool,
}

#[derive(Clone, Copy)]
enum Kind {
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
    fn parse(descriptor: &str) -> Option<Self> {
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

    fn size(self) -> usize {
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
    use ndarray::{Array2, ArrayD, arr2};

    /// A version 1 file as NumPy writes it.
    fn npy(descriptor: &str, fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
        let order = if fortran { "True" } else { "False" };
        let mut header =
            format!("{{'descr': {descriptor}, 'fortran_order': {order}, 'shape': {shape}, }}");
        while (10 + header.len() + 1) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(data);
        file
    }

    fn read(bytes: &[u8]) -> Result<ArrayD<f32>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npy");
        std::fs::write(&path, bytes).unwrap();
        read_npy(&path)
    }

    fn error(bytes: &[u8]) -> String {
        let text = read(bytes).unwrap_err().to_string();
        text.split_once("x.npy: ").unwrap().1.to_string()
    }

    #[test]
    fn every_number_type_in_both_byte_orders_becomes_f32() {
        let cases: [(&str, Vec<u8>); 18] = [
            ("'|b1'", vec![1, 0]),
            ("'|i1'", vec![1, 0xFE]),
            ("'|u1'", vec![1, 0xFE]),
            ("'<i2'", [1_i16, -2].map(i16::to_le_bytes).concat()),
            ("'>i2'", [1_i16, -2].map(i16::to_be_bytes).concat()),
            ("'<u2'", [1_u16, 65534].map(u16::to_le_bytes).concat()),
            ("'<i4'", [1_i32, -2].map(i32::to_le_bytes).concat()),
            ("'>i4'", [1_i32, -2].map(i32::to_be_bytes).concat()),
            ("'<u4'", [1_u32, 7].map(u32::to_le_bytes).concat()),
            ("'<i8'", [1_i64, -2].map(i64::to_le_bytes).concat()),
            ("'>i8'", [1_i64, -2].map(i64::to_be_bytes).concat()),
            ("'>u8'", [1_u64, 7].map(u64::to_be_bytes).concat()),
            ("'<f2'", [0x3C00_u16, 0xC000].map(u16::to_le_bytes).concat()),
            ("'>f2'", [0x3C00_u16, 0xC000].map(u16::to_be_bytes).concat()),
            ("'<f4'", [1_f32, -2.0].map(f32::to_le_bytes).concat()),
            ("'>f4'", [1_f32, -2.0].map(f32::to_be_bytes).concat()),
            ("'<f8'", [1_f64, -2.0].map(f64::to_le_bytes).concat()),
            ("'>f8'", [1_f64, -2.0].map(f64::to_be_bytes).concat()),
        ];
        for (descriptor, data) in cases {
            let second = match descriptor {
                "'|b1'" => 0.0,
                "'|u1'" => 254.0,
                "'<u2'" => 65534.0,
                "'<u4'" | "'>u8'" => 7.0,
                _ => -2.0,
            };
            let array = read(&npy(descriptor, false, "(2,)", &data)).unwrap();
            assert_eq!(array.shape(), [2], "{descriptor}");
            assert_eq!((array[0], array[1]), (1.0, second), "{descriptor}");
        }
    }

    #[test]
    fn halves_are_exact_down_to_the_smallest() {
        assert_eq!(half_to_f32(0x0001), 5.960_464_5e-8);
        assert_eq!(half_to_f32(0x7BFF), 65504.0);
        assert_eq!(half_to_f32(0x3555), 0.333_251_95);
        assert_eq!(half_to_f32(0xFC00), f32::NEG_INFINITY);
        assert!(half_to_f32(0x7E00).is_nan());
    }

    #[test]
    fn column_major_files_are_turned_to_rows() {
        let data = [1_f32, 4.0, 2.0, 5.0, 3.0, 6.0]
            .map(f32::to_le_bytes)
            .concat();
        let array = read(&npy("'<f4'", true, "(2, 3)", &data)).unwrap();
        assert_eq!(array, arr2(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).into_dyn());
        assert!(array.is_standard_layout());
    }

    #[test]
    fn what_is_written_is_read_again_at_any_rank() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("y.npy");
        let column_major = arr2(&[[1.0_f32, 2.0], [3.0, 4.0], [5.0, 6.0]]).reversed_axes();
        for array in [
            ArrayD::from_elem(vec![], 3.0),
            ArrayD::from_elem(vec![2, 3, 4], -1.5),
            ArrayD::zeros(vec![0, 3]),
            column_major.into_dyn(),
            Array2::from_shape_fn((300, 700), |(i, j)| (i * 700 + j) as f32).into_dyn(),
        ] {
            write_npy(&path, &array).unwrap();
            assert_eq!(read_npy(&path).unwrap(), array);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn other_files_types_and_lengths_are_refused_with_what_to_do() {
        assert_eq!(
            error(b"a,b\n1,2\n"),
            "not an .npy file, expected one written by numpy.save; use --data for CSV"
        );
        assert_eq!(
            error(&npy("'<U3'", false, "(1,)", &[0; 12])),
            "the array is of type '<U3', expected numbers; convert it with x.astype('float32')"
        );
        assert_eq!(
            error(&npy("'<f4'", false, "(2,)", &[0; 4])),
            "the file ends after 4 bytes of data, expected 8 for shape [2]; write or copy it again"
        );
        assert_eq!(
            error(&npy("'<f4'", false, "(1,)", &[0; 8])),
            "there are bytes after the 1 values of shape [1], expected the end of the file; write it again"
        );
        // A header that promises more than memory holds is refused before any allocation.
        let huge = error(&npy("'<f4'", false, "(9999999999999, 4)", &[0; 8]));
        assert!(huge.starts_with("the file ends after "), "{huge}");
        let overflow = error(&npy(
            "'<f4'",
            false,
            "(9999999999999999, 9999999999999999)",
            &[0; 8],
        ));
        assert!(overflow.starts_with("the file ends after "), "{overflow}");
    }
}
