//! Kinds of files that people hand over in place of what was asked for, told by their first bytes.

use std::path::Path;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Npy,
    Npz,
    Hdf5,
    Keras,
    DeviceModel,
    TfLite,
    SavedModel,
    Onnx,
    PyTorch,
    Pickle,
    Parquet,
    Spreadsheet,
    Zip,
    Gzip,
}

impl FileKind {
    /// By the first bytes of a file, or as many as there are, and by its name where these say nothing;
    /// none for text and the like.
    pub fn of(start: &[u8], path: &Path) -> Option<Self> {
        let has = |part: &[u8]| start.windows(part.len()).any(|window| window == part);
        let ends = |extension: &str| {
            let found = path.extension();
            found.is_some_and(|found| found.eq_ignore_ascii_case(extension))
        };
        Some(match start {
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Self::Npy,
            [0x89, b'H', b'D', b'F', ..] => Self::Hdf5,
            [b'T', b'N', b'E', b'T', ..] => Self::DeviceModel,
            [_, _, _, _, b'T', b'F', b'L', b'3', ..] => Self::TfLite,
            [b'P', b'A', b'R', b'1', ..] => Self::Parquet,
            [0xD0, 0xCF, 0x11, 0xE0, ..] => Self::Spreadsheet,
            [0x1F, 0x8B, ..] => Self::Gzip,
            [b'P', b'K', 3, 4, ..] => match () {
                () if has(b"[Content_Types].xml") || has(b"mimetype") => Self::Spreadsheet,
                () if has(b"data.pkl") => Self::PyTorch,
                () if has(b"config.json") || has(b"metadata.json") => Self::Keras,
                () if has(b".npy") => Self::Npz,
                () => Self::Zip,
            },
            [0x80, 2..=5, ..] => Self::Pickle,
            // Version 1 of a SavedModel, versions from 3 on of ONNX, then a field of text or a message.
            [8, 1, 0x12, ..] => Self::SavedModel,
            [8, 3..=32, 0x12 | 0x1A | 0x3A, ..] => Self::Onnx,
            _ if ends("onnx") => Self::Onnx,
            _ if ends("pb") => Self::SavedModel,
            _ => return None,
        })
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Npy => "a NumPy array (.npy)",
            Self::Npz => "a NumPy archive (.npz)",
            Self::Hdf5 => "an HDF5 file",
            Self::Keras => "a Keras model (.keras)",
            Self::DeviceModel => "a device model (.tnet)",
            Self::TfLite => "a TensorFlow Lite model (.tflite)",
            Self::SavedModel => "a TensorFlow SavedModel",
            Self::Onnx => "an ONNX model",
            Self::PyTorch => "a PyTorch file",
            Self::Pickle => "a Python pickle",
            Self::Parquet => "a Parquet table",
            Self::Spreadsheet => "a spreadsheet",
            Self::Zip => "a zip archive",
            Self::Gzip => "compressed by gzip",
        }
    }

    /// What to do with it where rows are wanted.
    pub fn as_data(self) -> &'static str {
        match self {
            Self::Npy => "give it to --x or --y, or name it .npy",
            Self::Npz => "save each array on its own with numpy.save",
            Self::Spreadsheet | Self::Parquet => "save the table as CSV",
            Self::Zip | Self::Gzip => "unpack it first",
            Self::Pickle | Self::PyTorch => "save the array with numpy.save, or the table as CSV",
            Self::Hdf5
            | Self::Keras
            | Self::DeviceModel
            | Self::TfLite
            | Self::SavedModel
            | Self::Onnx => "give the rows, not the model",
        }
    }

    /// What to do with it where a Keras model is wanted.
    pub fn as_model(self) -> &'static str {
        match self {
            Self::TfLite => {
                "make a Keras file of it first: thumbnet import MODEL.tflite --output MODEL.keras"
            }
            Self::Onnx => {
                "give the Keras model that it was made from, saved with model.save(\"model.keras\")"
            }
            Self::SavedModel => {
                "load it in Keras and save it again with model.save(\"model.keras\")"
            }
            Self::PyTorch | Self::Pickle => {
                "rebuild the model in Keras, take the weights over and save it with model.save(\"model.keras\")"
            }
            Self::DeviceModel => "give the Keras file that it was exported from",
            Self::Zip | Self::Gzip => "unpack it first",
            Self::Npy | Self::Npz | Self::Parquet | Self::Spreadsheet => {
                "give the model's file, and this one as data"
            }
            Self::Hdf5 | Self::Keras => "save it again with model.save",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_first_bytes() {
        let kind = |start: &[u8], name: &str| FileKind::of(start, Path::new(name));
        assert_eq!(kind(b"PK\x03\x04....x.npy", "a"), Some(FileKind::Npz));
        assert_eq!(
            kind(b"PK\x03\x04....[Content_Types].xml", "a"),
            Some(FileKind::Spreadsheet)
        );
        assert_eq!(
            kind(b"PK\x03\x04....config.json", "a"),
            Some(FileKind::Keras)
        );
        assert_eq!(
            kind(b"PK\x03\x04..m/data.pkl", "a"),
            Some(FileKind::PyTorch)
        );
        assert_eq!(kind(b"\x1c\0\0\0TFL3", "a"), Some(FileKind::TfLite));
        assert_eq!(kind(b"\x80\x04\x95", "a"), Some(FileKind::Pickle));
        assert_eq!(kind(b"\x08\x07", "m.onnx"), Some(FileKind::Onnx));
        assert_eq!(kind(b"\x08\x08\x12\x07pytorch", "m"), Some(FileKind::Onnx));
        assert_eq!(
            kind(b"\x08\x01\x12\xd4\x35\x0a", "m"),
            Some(FileKind::SavedModel)
        );
        assert_eq!(kind(b"a,b\n1,2\n", "d.csv"), None);
        assert_eq!(kind(b"", "d.csv"), None);
    }
}
