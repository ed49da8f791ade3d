//! NumPy's `.npy`: every numeric type to `f32`, in either byte order, row- or column-major.

use std::{
    fs::File,
    io::{BufWriter, Read, Write},
    path::Path,
};

use ndarray::{ArrayD, ShapeBuilder};

use super::elements::{Element, Left, values};
use super::npy_header::Header;
use crate::{Error, FormatKind, Result, atomic_file};

/// Reads an array from a stream that begins with the header; `left` is counted from its beginning.
///
/// # Errors
///
/// [`Error::Io`] when it cannot be read, [`Error::Format`] when it is no array, holds other than numbers, or
/// ends early.
pub(super) fn read(reader: &mut impl Read, left: Left, path: &Path) -> Result<ArrayD<f32>> {
    let header = Header::read(reader)
        .map_err(|source| Error::io(path, source))?
        .ok_or_else(|| {
            let message =
                "the header of the array is damaged, expected one written by numpy.save; write or copy it again";
            Error::corrupt(path, message)
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
    let values = values(
        reader,
        &header.shape,
        element,
        left.behind(header.size),
        path,
    )?;
    let array = ArrayD::from_shape_vec(header.shape.set_f(header.column_major), values)
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
        super::super::read_array(&path)
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
            assert_eq!(super::super::read_array(&path).unwrap(), array);
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
