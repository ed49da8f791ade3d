//! `.keras` files: a zip archive of `metadata.json`, `config.json` and `model.weights.h5`.

use std::io::{Cursor, Read, Write};
use std::path::Path;

use serde_json::{Value, json};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::hdf5::H5File;
use super::structure::Structure;
use super::{KERAS_VERSION, SavedModel, most_expanded, weights_h5};
use crate::keras::{dialect, to_json};
use crate::{Error, FormatKind, Result};

const METADATA: &str = "metadata.json";
const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.weights.h5";
/// A member that Keras does not look at.
const SIGNATURE: &str = "thumbnet.json";

/// Reads the model in `bytes`; `path` is for messages only.
pub(super) fn read(path: &Path, bytes: Vec<u8>) -> Result<SavedModel> {
    let size = bytes.len() as u64;
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| {
        Error::corrupt(
            path,
            format!("is not a readable zip archive: {error}; expected a .keras file as Keras 3 writes it"),
        )
    })?;
    let config = member(path, &mut archive, CONFIG, size)?.ok_or_else(|| missing(path, CONFIG))?;
    let mut config: Value = parse(path, CONFIG, &config)?;
    let keras_version = match member(path, &mut archive, METADATA, size)? {
        Some(text) => parse(path, METADATA, &text)?["keras_version"]
            .as_str()
            .unwrap_or_default()
            .to_string(),
        None => String::new(),
    };
    let weights = match member(path, &mut archive, WEIGHTS, size)? {
        Some(weights) => weights,
        None if archive.index_for_name("model.weights.npz").is_some() => {
            return Err(FormatKind::Unsupported.error(
                path,
                "keeps its weights in model.weights.npz, expected model.weights.h5; save it with weights_format=\"h5\"",
            ));
        }
        None => return Err(missing(path, WEIGHTS)),
    };
    let signature = match member(path, &mut archive, SIGNATURE, size)? {
        Some(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            super::signature(path, &format!("member {SIGNATURE}"), Some(&text))?
        }
        None => None,
    };
    let compile_config = config
        .as_object_mut()
        .and_then(|config| config.shift_remove("compile_config"))
        .filter(|settings| !settings.is_null());
    let file = H5File::open(path, weights)?.within(most_expanded(size));
    let structure = Structure::of(&config).map_err(|message| Error::corrupt(path, message))?;
    let weights = weights_h5::read(&file, &structure)?;
    Ok(SavedModel {
        config,
        keras_version,
        layers: weights.layers,
        compile_config,
        optimizer: weights.optimizer,
        signature,
    })
}

fn missing(path: &Path, name: &str) -> Error {
    FormatKind::Unknown.error(
        path,
        format!("has no member {name}, expected a .keras file as Keras 3's model.save writes it"),
    )
}

fn parse(path: &Path, name: &str, bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes).map_err(|error| {
        Error::corrupt(
            path,
            format!("member {name} is not JSON: {error}; save the model again"),
        )
    })
}

/// The bytes of a member of an archive of `size` bytes; none when there is no such member.
fn member(
    path: &Path,
    archive: &mut ZipArchive<Cursor<Vec<u8>>>,
    name: &str,
    size: u64,
) -> Result<Option<Vec<u8>>> {
    let wrong = |message: String| Error::corrupt(path, format!("member {name} {message}"));
    let file = match archive.by_name(name) {
        Ok(file) => file,
        Err(ZipError::FileNotFound) => return Ok(None),
        Err(error) => return Err(wrong(format!("cannot be read: {error}"))),
    };
    let most = if file.compression() == CompressionMethod::Stored {
        size
    } else {
        most_expanded(size)
    };
    let claimed = file.size();
    let too_large = || {
        wrong(format!(
            "claims {claimed} bytes, more than an archive of {size} bytes can hold; the file is damaged or hostile"
        ))
    };
    if claimed > most {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| wrong(format!("cannot be read: {error}; the file is damaged")))?;
    if bytes.len() as u64 > most {
        return Err(too_large());
    }
    Ok(Some(bytes))
}

/// The bytes of a `.keras` file. Equal models give equal bytes: the date is that of zip's epoch.
pub(super) fn write(path: &Path, model: &SavedModel) -> Result<Vec<u8>> {
    let mut config = dialect::full_model(&model.config);
    if let Some(settings) = &model.compile_config {
        config["compile_config"] = dialect::full_compile(settings);
    }
    let metadata = json!({"keras_version": KERAS_VERSION, "date_saved": "1980-01-01@00:00:00"});
    let weights = weights_h5::write(path, model)?;
    let mut members = vec![
        (METADATA, to_json(&metadata).into_bytes()),
        (CONFIG, to_json(&config).into_bytes()),
        (WEIGHTS, weights),
    ];
    if let Some(signature) = &model.signature {
        members.push((SIGNATURE, signature.to_json().into_bytes()));
    }
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let mut write = || -> Result<(), ZipError> {
        for (name, bytes) in &members {
            let options = SimpleFileOptions::default()
                .compression_method(CompressionMethod::Stored)
                .last_modified_time(DateTime::DEFAULT)
                .large_file(bytes.len() as u64 >= zip::ZIP64_BYTES_THR);
            archive.start_file(*name, options)?;
            archive.write_all(bytes)?;
        }
        Ok(())
    };
    write()
        .and_then(|()| archive.finish())
        .map(Cursor::into_inner)
        .map_err(|error| Error::value(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(members: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in members {
            let options = SimpleFileOptions::default().compression_method(method);
            archive.start_file(*name, options).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    fn refusal(bytes: Vec<u8>) -> String {
        read(Path::new("a.keras"), bytes).unwrap_err().to_string()
    }

    fn model() -> SavedModel {
        let dense = json!({"class_name": "Dense", "config": {"name": "dense"}});
        SavedModel {
            config: json!({"class_name": "Sequential", "config": {"name": "s", "layers": [dense]}}),
            keras_version: KERAS_VERSION.into(),
            layers: vec![crate::saving::SavedLayer {
                name: "dense".into(),
                weights: vec![crate::NamedArray::f32("dense/0", &[1, 2], vec![1.0, -0.5])],
            }],
            compile_config: None,
            optimizer: None,
            signature: None,
        }
    }

    #[test]
    fn equal_models_give_equal_bytes_of_three_stored_members() {
        let path = Path::new("a.keras");
        let bytes = write(path, &model()).unwrap();
        assert_eq!(bytes, write(path, &model()).unwrap());
        let mut archive = ZipArchive::new(Cursor::new(bytes.clone())).unwrap();
        for (index, name) in [METADATA, CONFIG, WEIGHTS].into_iter().enumerate() {
            let member = archive.by_index(index).unwrap();
            assert_eq!(member.name().unwrap(), name);
            assert_eq!(member.compression(), CompressionMethod::Stored);
        }
        assert_eq!(read(path, bytes).unwrap().layers, model().layers);
    }

    #[test]
    fn missing_members_are_named() {
        let stored = CompressionMethod::Stored;
        assert_eq!(
            refusal(archive(&[], stored)),
            "a.keras: has no member config.json, expected a .keras file as Keras 3's model.save writes it"
        );
        assert_eq!(
            refusal(archive(&[(CONFIG, b"{}")], stored)),
            "a.keras: has no member model.weights.h5, expected a .keras file as Keras 3's model.save writes it"
        );
        assert_eq!(
            refusal(archive(
                &[(CONFIG, b"{}"), ("model.weights.npz", b"")],
                stored
            )),
            "a.keras: keeps its weights in model.weights.npz, expected model.weights.h5; save it with weights_format=\"h5\""
        );
        assert_eq!(
            refusal(archive(&[(CONFIG, b"{"), (WEIGHTS, b"")], stored)),
            "a.keras: member config.json is not JSON: EOF while parsing an object at line 1 column 1; save the model again"
        );
        assert_eq!(
            refusal(archive(&[(CONFIG, b"{}"), (WEIGHTS, b"")], stored)),
            "a.keras: the file is empty, expected an HDF5 file as Keras writes it"
        );
    }

    #[test]
    fn a_size_that_the_archive_cannot_hold_is_refused_before_it_is_read() {
        // The size of config.json, 2 bytes, is claimed to be 4 GB in both headers.
        let mut bytes = archive(&[(CONFIG, b"{}")], CompressionMethod::Deflated);
        let total = bytes.len();
        for (signature, size) in [(b"PK\x03\x04", 22), (b"PK\x01\x02", 24)] {
            let at = (0..total).find(|&at| bytes[at..].starts_with(signature));
            let at = at.unwrap() + size;
            bytes[at..at + 4].copy_from_slice(&0xFFFF_FFF0_u32.to_le_bytes());
        }
        assert_eq!(
            refusal(bytes),
            format!(
                "a.keras: member config.json claims 4294967280 bytes, more than an archive of {total} bytes can hold; the file is damaged or hostile"
            )
        );
    }

    #[test]
    fn a_member_that_expands_beyond_the_files_means_is_refused() {
        let zeros = vec![0; 80 << 20];
        let bytes = archive(
            &[(CONFIG, b"{}"), (WEIGHTS, &zeros)],
            CompressionMethod::Deflated,
        );
        let size = bytes.len();
        assert_eq!(
            refusal(bytes),
            format!(
                "a.keras: member model.weights.h5 claims 83886080 bytes, more than an archive of {size} bytes can hold; the file is damaged or hostile"
            )
        );
    }

    #[test]
    fn compressed_members_are_read_as_well() {
        let stored = write(Path::new("a.keras"), &model()).unwrap();
        let mut old = ZipArchive::new(Cursor::new(stored)).unwrap();
        let mut members = Vec::new();
        for name in [METADATA, CONFIG, WEIGHTS] {
            let mut bytes = Vec::new();
            old.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
            members.push((name, bytes));
        }
        let members: Vec<_> = members.iter().map(|(name, b)| (*name, &b[..])).collect();
        let bytes = archive(&members, CompressionMethod::Deflated);
        let again = read(Path::new("a.keras"), bytes).unwrap();
        assert_eq!(again.layers, model().layers);
        assert_eq!(again.keras_version, KERAS_VERSION);
    }
}
