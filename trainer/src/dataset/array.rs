//! Arrays of numbers from files: NumPy's `.npy` and `.npz`, and IDX as MNIST has it, packed by gzip or not.

use std::{
    ffi::OsStr,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;
use ndarray::ArrayD;
use zip::ZipArchive;

use super::bounded::Bounded;
use super::elements::{Element, Kind, Left, values};
use super::npy;
use crate::file_kind::FileKind;
use crate::{Error, FormatKind, Result};

/// Reads an array of any rank as `f32`; `bool` becomes 0 and 1, wider numbers are rounded.
///
/// An array of several in an archive is named behind the file: `mnist.npz:x_train`.
///
/// # Errors
///
/// [`Error::Io`] when the file cannot be read, [`Error::Format`] when it is none of these, holds other than
/// numbers, ends early, or is an archive of several arrays and none is named.
pub fn read_array(path: &Path) -> Result<ArrayD<f32>> {
    let (file_path, key) = split_key(path);
    let io = |source| Error::io(&file_path, source);
    let file = File::open(&file_path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if metadata.is_dir() {
        return Err(Error::io(path, std::io::ErrorKind::IsADirectory.into()));
    }
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let start = reader.fill_buf().map_err(io)?;
    let size = metadata.is_file().then_some(metadata.len());
    match FileKind::of(start, &file_path) {
        Some(FileKind::Npz) => {
            let mut archive = archive(reader, &file_path)?;
            member(&mut archive, key.as_deref(), metadata.len(), &file_path)
        }
        Some(FileKind::Gzip) => {
            let unpacked = Bounded::new(MultiGzDecoder::new(reader), size.unwrap_or(0));
            let unpacked = BufReader::with_capacity(1 << 16, unpacked);
            plain(unpacked, Left(None), path)
        }
        _ => plain(reader, Left(size), path),
    }
}

/// Whether the name says that the file holds arrays: `.npy`, `.npz`, `.idx`, `-idx3-ubyte`, and these with `.gz`.
pub fn is_array(path: &Path) -> bool {
    let (path, _) = split_key(path);
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let ends = [".npy", ".npz", ".idx", "-ubyte", ".ubyte"];
    ends.iter().any(|end| name.ends_with(end))
}

/// Names of the arrays in an archive, in the order of the file; none where it is no `.npz`.
///
/// # Errors
///
/// [`Error::Io`] when the file cannot be read, [`Error::Format`] when it is no zip archive.
pub fn archive_names(path: &Path) -> Result<Option<Vec<String>>> {
    let extension = path.extension();
    if extension.is_none_or(|extension| !extension.eq_ignore_ascii_case("npz")) {
        return Ok(None);
    }
    let file = File::open(path).map_err(|source| Error::io(path, source))?;
    Ok(Some(names(&archive(BufReader::new(file), path)?)))
}

/// The file of `mnist.npz:x_train`, or of a name without an array.
pub fn array_file(path: &Path) -> PathBuf {
    split_key(path).0
}

/// `mnist.npz:x_train` to the file and the name of the array.
fn split_key(path: &Path) -> (PathBuf, Option<String>) {
    let split = path.to_str().and_then(|text| {
        let at = text.rfind(".npz:")? + 4;
        Some((PathBuf::from(&text[..at]), Some(text[at + 1..].to_string())))
    });
    split.unwrap_or_else(|| (path.to_path_buf(), None))
}

/// What is neither packed nor an archive.
fn plain(mut reader: impl BufRead, left: Left, path: &Path) -> Result<ArrayD<f32>> {
    let start = reader
        .fill_buf()
        .map_err(|source| Error::io(path, source))?;
    if let [0, 0, element, axes @ 1..=8, ..] = *start
        && let Some(element) = idx_element(element)
    {
        return idx(&mut reader, element, axes.into(), left, path);
    }
    match FileKind::of(start, path) {
        Some(FileKind::Npy) => npy::read(&mut reader, left, path),
        Some(kind) => Err(FormatKind::Unknown.error(
            path,
            format!(
                "this is {}, expected an array written by numpy.save (.npy); {}",
                kind.name(),
                kind.as_data()
            ),
        )),
        None => Err(FormatKind::Unknown.error(
            path,
            "not an .npy file, expected one written by numpy.save; use --data for CSV",
        )),
    }
}

fn archive(reader: BufReader<File>, path: &Path) -> Result<ZipArchive<BufReader<File>>> {
    ZipArchive::new(reader).map_err(|error| damaged(path, &error))
}

fn damaged(path: &Path, error: &zip::result::ZipError) -> Error {
    Error::corrupt(
        path,
        format!(
            "the archive is damaged ({error}), expected one written by numpy.savez; write or copy it again"
        ),
    )
}

fn names(archive: &ZipArchive<BufReader<File>>) -> Vec<String> {
    let names = archive.file_names().filter_map(std::result::Result::ok);
    names
        .map(|name| name.strip_suffix(".npy").unwrap_or(&name).to_string())
        .collect()
}

/// One array of an archive of `size` bytes.
fn member(
    archive: &mut ZipArchive<BufReader<File>>,
    key: Option<&str>,
    size: u64,
    path: &Path,
) -> Result<ArrayD<f32>> {
    let found = names(archive);
    let name = match (key, found.as_slice()) {
        (Some(key), found) if found.iter().any(|name| name == key) => key,
        (None, [only]) => only,
        (key, found) => {
            let (first, list) = (found.first().map_or("x", String::as_str), found.join(", "));
            let what = match key {
                Some(key) => {
                    format!("there is no array \"{key}\" in the archive, which holds {list}")
                }
                None => format!("the archive holds the arrays {list}, expected the name of one"),
            };
            let message = format!(
                "{what}; name one behind the file, as in {}:{first}",
                path.display()
            );
            return Err(Error::format(path, message));
        }
    };
    let full = [&format!("{name}.npy"), name].map(|name| archive.index_for_name(name));
    let index = full.into_iter().flatten().next();
    let entry = archive
        .by_index(index.unwrap_or_default())
        .map_err(|error| damaged(path, &error))?;
    let mut reader = BufReader::with_capacity(1 << 16, Bounded::new(entry, size));
    npy::read(
        &mut reader,
        Left(None),
        Path::new(&format!("{}:{name}", path.display())),
    )
}

/// The third byte of an IDX file; its numbers are big-endian.
fn idx_element(byte: u8) -> Option<Element> {
    let kind = match byte {
        0x08 => Kind::U8,
        0x09 => Kind::I8,
        0x0B => Kind::I16,
        0x0C => Kind::I32,
        0x0D => Kind::F32,
        0x0E => Kind::F64,
        _ => return None,
    };
    Some(Element {
        kind,
        big_endian: true,
    })
}

/// IDX: two zeros, type, number of axes, their sizes in four bytes each, values (the format's description at
/// MNIST's first home, yann.lecun.com/exdb/mnist).
fn idx(
    reader: &mut impl Read,
    element: Element,
    axes: usize,
    left: Left,
    path: &Path,
) -> Result<ArrayD<f32>> {
    let mut header = vec![0; 4 + 4 * axes];
    reader
        .read_exact(&mut header)
        .map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => Error::corrupt(
                path,
                format!("the file ends within its header, expected the sizes of {axes} axes; write or copy it again"),
            ),
            _ => Error::io(path, source),
        })?;
    let sizes = header[4..].as_chunks::<4>().0.iter();
    let shape: Vec<usize> = sizes
        .map(|&size| u32::from_be_bytes(size) as usize)
        .collect(); // 64-bit hosts
    let values = values(
        reader,
        &shape,
        element,
        left.behind(header.len() as u64),
        path,
    )?;
    ArrayD::from_shape_vec(shape, values).map_err(|error| Error::corrupt(path, error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ndarray::arr2;
    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;
    use crate::dataset::{bounded::tests::gzip, write_npy};

    fn read(name: &str, bytes: &[u8]) -> Result<ArrayD<f32>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        read_array(&path)
    }

    #[test]
    fn idx_files_of_every_type_packed_or_not() {
        let expected = arr2(&[[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]]).into_dyn();
        let whole = |byte: u8, values: Vec<u8>| {
            [&[0, 0, byte, 2, 0, 0, 0, 2, 0, 0, 0, 3], values.as_slice()].concat()
        };
        macro_rules! of {
            ($type:ty) => {
                (1..=6u8)
                    .flat_map(|v| <$type>::from(v as i8).to_be_bytes())
                    .collect()
            };
        }
        let files = [
            whole(0x08, (1..=6).collect()),
            whole(0x09, of!(i8)),
            whole(0x0B, of!(i16)),
            whole(0x0C, of!(i32)),
            whole(0x0D, of!(f32)),
            whole(0x0E, of!(f64)),
        ];
        for file in files {
            assert_eq!(read("t10k-images-idx3-ubyte", &file).unwrap(), expected);
            assert_eq!(read("a.gz", &gzip(&file)).unwrap(), expected);
            let short = read("a", &file[..file.len() - 1]).unwrap_err().to_string();
            assert!(short.contains("expected"), "{short}");
            let long = read("a", &[file.as_slice(), &[0]].concat());
            assert!(
                long.unwrap_err()
                    .to_string()
                    .contains("bytes after the 6 values")
            );
        }
        let lies = [
            0, 0, 8, 3, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 9,
        ];
        assert!(read("a", &lies).is_err());
        assert!(read("a.gz", &gzip(&lies)).is_err());
        assert!(read("a", &lies[..9]).is_err());
    }

    #[test]
    fn arrays_of_an_archive_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let npy = dir.path().join("a.npy");
        let path = dir.path().join("d.npz");
        let mut writer = ZipWriter::new(File::create(&path).unwrap());
        for (name, value) in [("x_train", 1.0), ("y_train", 2.0)] {
            write_npy(&npy, &arr2(&[[value], [3.0]]).into_dyn()).unwrap();
            let options = SimpleFileOptions::default();
            writer.start_file(format!("{name}.npy"), options).unwrap();
            writer.write_all(&std::fs::read(&npy).unwrap()).unwrap();
        }
        writer.finish().unwrap();
        let named = |key: &str| read_array(Path::new(&format!("{}{key}", path.display())));
        assert_eq!(named(":y_train").unwrap(), arr2(&[[2.0], [3.0]]).into_dyn());
        assert_eq!(
            archive_names(&path).unwrap().unwrap(),
            ["x_train", "y_train"]
        );
        assert_eq!(archive_names(&npy).unwrap(), None);
        let path = path.display();
        assert_eq!(
            named("").unwrap_err().to_string(),
            format!(
                "{path}: the archive holds the arrays x_train, y_train, expected the name of one; name one behind the file, as in {path}:x_train"
            )
        );
        assert_eq!(
            named(":z").unwrap_err().to_string(),
            format!(
                "{path}: there is no array \"z\" in the archive, which holds x_train, y_train; name one behind the file, as in {path}:x_train"
            )
        );
        let bytes = std::fs::read(path.to_string()).unwrap();
        for end in 0..bytes.len() {
            assert!(read("d.npz", &bytes[..end]).is_err(), "{end}");
        }
    }
}
