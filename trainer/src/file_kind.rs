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
    FrozenGraph,
    Checkpoint,
    Onnx,
    PyTorch,
    TorchScript,
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
                () if has(b"data.pkl") && has(b"__torch__") => Self::TorchScript,
                () if has(b"data.pkl") => Self::PyTorch,
                () if has(b"config.json") || has(b"metadata.json") => Self::Keras,
                () if has(b".npy") => Self::Npz,
                () => Self::Zip,
            },
            [0x80, 2..=5, ..] => Self::Pickle,
            // Version 1 of a SavedModel, versions from 3 on of ONNX, then a field of text or a message.
            [8, 1, 0x12, ..] => Self::SavedModel,
            [8, 3..=32, 0x12 | 0x1A | 0x3A, ..] => Self::Onnx,
            // The first node of a graph: its name, then what it does.
            [0x0A, ..] if has(b"\x12\x0bPlaceholder") || has(b"\x12\x05Const") => Self::FrozenGraph,
            // The first entry of an index, which has no key: so many files, version 1.
            [0, 0, _, 8, _, 0x1A, 2, 8, 1, ..] => Self::Checkpoint,
            _ if is_checkpoint_data(path) => Self::Checkpoint,
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
            Self::FrozenGraph => "a frozen graph of TensorFlow",
            Self::Checkpoint => "a part of a TensorFlow checkpoint",
            Self::Onnx => "an ONNX model",
            Self::PyTorch => "a PyTorch file",
            Self::TorchScript => "a TorchScript model",
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
            Self::Pickle | Self::PyTorch | Self::TorchScript => {
                "save the array with numpy.save, or the table as CSV"
            }
            Self::Hdf5
            | Self::Keras
            | Self::DeviceModel
            | Self::TfLite
            | Self::SavedModel
            | Self::FrozenGraph
            | Self::Checkpoint
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
            Self::FrozenGraph => {
                "give the Keras model that it was frozen from, saved with model.save(\"model.keras\")"
            }
            Self::Checkpoint => {
                "build the model in Keras 2, load the checkpoint with model.load_weights and save it with model.save(\"model.h5\")"
            }
            Self::PyTorch | Self::TorchScript | Self::Pickle => {
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

/// Whether the name is that of a checkpoint's weights: `model.data-00000-of-00001`.
fn is_checkpoint_data(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let numbers = name.rsplit_once(".data-").map(|(_, numbers)| numbers);
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers
        .and_then(|numbers| numbers.split_once("-of-"))
        .is_some_and(|(part, parts)| digits(part) && digits(parts))
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
        // Of TensorFlow 2.20.
        let graph = b"\x0a\x3b\x0a\x01x\x12\x0bPlaceholder\x2a\x0b\x0a\x05dtype";
        assert_eq!(kind(graph, "frozen"), Some(FileKind::FrozenGraph));
        assert_eq!(kind(graph, "frozen.pb"), Some(FileKind::FrozenGraph));
        assert_eq!(
            kind(b"\0\0\x06\x08\x01\x1a\x02\x08\x01\0\x1c", "m.index"),
            Some(FileKind::Checkpoint)
        );
        assert_eq!(
            kind(b"\x30\x19\x44", "m.data-00000-of-00001"),
            Some(FileKind::Checkpoint)
        );
        assert_eq!(
            kind(b"PK\x03\x04..m/data.pkl\x80\x02c__torch__\nNet\n", "m.pt"),
            Some(FileKind::TorchScript)
        );
        assert_eq!(kind(b"a,b\n1,2\n", "d.csv"), None);
        assert_eq!(kind(b"", "d.csv"), None);
    }
}
