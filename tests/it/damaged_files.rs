//! Damaged and odd model files: one line that names the file, never a panic, whatever byte is
//! wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use thumbnet_tests::golden;
use thumbnet_trainer::dataset::{CsvOptions, read_array};
use thumbnet_trainer::saving;
use thumbnet_trainer::{ArrayData, Dataset, Error, ErrorKind, Result, Sequential};

/// The files of one small case, Keras' own and those that we write, with the case's configuration.
fn good_files(folder: &Path) -> (Vec<PathBuf>, Value) {
    let case = golden::root().join("cases/custom_names");
    let mut files = ["model.h5", "model.keras", "model.weights.h5"]
        .map(|file| case.join(file))
        .to_vec();
    let model = saving::read(&files[0]).unwrap();
    files.extend(["ours.h5", "ours.keras", "ours.weights.h5"].map(|file| folder.join(file)));
    saving::write_h5(&files[3], &model).unwrap();
    saving::write_keras(&files[4], &model).unwrap();
    saving::write_weights(&files[5], &model).unwrap();
    (files, golden::json(&case.join("config.json")))
}

fn read(path: &Path, config: &Value) -> Result<()> {
    if golden::name(path).ends_with(".weights.h5") {
        Sequential::from_serialized(config)?.load_weights(path)
    } else {
        Sequential::load(path).map(drop)
    }
}

/// Writes each of `damaged` and reads it: `(read, refused)`; a refusal is one line about the file.
fn outcomes(path: &Path, config: &Value, damaged: impl Iterator<Item = Vec<u8>>) -> (usize, usize) {
    let (mut good, mut refused) = (0, 0);
    for bytes in damaged {
        std::fs::write(path, bytes).unwrap();
        match read(path, config) {
            Ok(_) => good += 1,
            Err(error) => {
                assert!(!matches!(error, Error::Io { .. }), "{error:?}");
                let text = error.to_string();
                assert!(text.starts_with(&path.display().to_string()), "{text}");
                assert!(!text.contains('\n') && !text.ends_with('.'), "{text}");
                refused += 1;
            }
        }
    }
    (good, refused)
}

#[test]
fn a_truncated_file_is_refused_at_every_length() {
    let folder = tempfile::tempdir().unwrap();
    let (files, config) = good_files(folder.path());
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let path = folder.path().join(format!("cut_{}", golden::name(&file)));
        // Every length of the last and the first 300 bytes, and every 41st between.
        let lengths = (0..bytes.len()).filter(|&n| n < 300 || n + 300 > bytes.len() || n % 41 == 0);
        let (good, refused) = outcomes(&path, &config, lengths.map(|n| bytes[..n].to_vec()));
        // The last bytes of a file may be unused room: nothing else can be missed.
        let room = bytes.len() / 10;
        assert!(
            good <= room && refused > 600,
            "{}: {good} read",
            file.display()
        );
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let (files, config) = good_files(folder.path());
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let path = folder
            .path()
            .join(format!("flipped_{}", golden::name(&file)));
        let flipped = (0..500).map(|round| {
            let mut bytes = bytes.clone();
            for _ in 0..1 + round % 4 {
                let at = rng.random_range(0..bytes.len());
                bytes[at] = if round % 2 == 0 { 0xFF } else { rng.random() };
            }
            bytes
        });
        let (_, refused) = outcomes(&path, &config, flipped);
        assert!(refused > 0);
    }
}

#[test]
fn odd_files_are_read_exactly_or_refused_in_words() {
    let folder = golden::root().join("odd");
    if !folder.is_dir() {
        println!(
            "odd files: skipped, there is no folder {}",
            folder.display()
        );
        return;
    }
    let plain = saving::read(&folder.join("../cases/softmax_iris/model.h5")).unwrap();
    let mut refusals = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "h5") {
            continue;
        }
        match saving::read(&path) {
            Ok(model) => assert_eq!(model.layers, plain.layers, "{}", path.display()),
            Err(error) => {
                let prefix = format!("{}: ", path.display());
                let message = error.to_string().replace(&prefix, "");
                refusals.insert(golden::name(&path), message);
            }
        }
    }
    let expected = [
        (
            "external_link.h5",
            "array \"sequential/dense/kernel\" of group \"model_weights/dense\" cannot be read: HDF5 format error: path not found: model_weights/dense/sequential/dense/kernel; the file is damaged, truncated, or of an HDF5 kind that Keras does not write",
        ),
        (
            "float16.h5",
            "array \"adam/learning_rate\" of group \"optimizer_weights\" is of type float16 or bfloat16, expected float32 or float64; save the model with a float32 dtype policy",
        ),
        (
            "shape_bomb.h5",
            "array \"sequential/dense/kernel\" of group \"model_weights/dense\" claims shape [1048576, 1048576] of 4 bytes each, more than a file of 23952 bytes can hold; the file is damaged or hostile",
        ),
        (
            "soft_link.h5",
            "array \"sequential/dense/kernel\" of group \"model_weights/dense\" cannot be read: HDF5 format error: unexpected EOF: need 18446744073709551615 bytes, have 23952; the file is damaged, truncated, or of an HDF5 kind that Keras does not write",
        ),
    ];
    let expected = expected.map(|(file, message)| (file.to_string(), message.to_string()));
    assert_eq!(refusals, BTreeMap::from(expected));
}

#[test]
fn a_file_of_another_kind_is_said_to_be_one() {
    let folder = golden::root().join("cases/custom_names");
    let message = |error: Error| {
        error
            .to_string()
            .rsplit_once("names/")
            .unwrap()
            .1
            .to_string()
    };
    assert_eq!(
        message(saving::read(&folder.join("model.weights.h5")).unwrap_err()),
        "model.weights.h5: holds weights without a model; load the model's file, then these into it by load_weights (--weights of the command line), or name its layers by --layers 16:relu,3:softmax or --config model.json"
    );
    assert_eq!(
        message(saving::read(&folder.join("x.npy")).unwrap_err()),
        "x.npy: this is a NumPy array (.npy), expected a Keras file (.h5 or .keras); give the model's file, and this one as data"
    );
    assert_eq!(
        message(saving::read_h5(&folder.join("model.keras")).unwrap_err()),
        "model.keras: the file is a zip archive, expected an HDF5 file as Keras writes it"
    );
    assert_eq!(
        saving::read(&folder).unwrap_err().to_string(),
        format!(
            "{}: is a folder, expected a .h5 or .keras file; save a TensorFlow SavedModel again as .keras",
            folder.display()
        )
    );
    assert!(matches!(
        saving::read(Path::new("missing.h5")),
        Err(Error::Io { .. })
    ));
}

#[test]
fn weights_of_a_whole_model_are_weights_too() {
    let case = golden::root().join("cases/custom_names");
    let config = golden::json(&case.join("config.json"));
    let alone = saving::read_weights(&case.join("model.weights.h5"), &config).unwrap();
    for file in ["model.h5", "model.keras"] {
        let whole = saving::read_weights(&case.join(file), &config).unwrap();
        for (a, b) in alone.layers.iter().zip(&whole.layers) {
            let values = |layer: &saving::SavedLayer| {
                let weights = layer.weights.iter().map(|w| w.data.clone());
                weights.collect::<Vec<ArrayData>>()
            };
            assert_eq!((&a.name, values(a)), (&b.name, values(b)), "{file}");
        }
    }
}

/// `value` with one thing wrong: every number, text, list and dictionary in it, replaced by other
/// kinds and by extremes, or left out.
fn mutations(value: &Value, found: &mut Vec<Value>, make: &dyn Fn(Value) -> Value) {
    let wrong = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(3_000_000_000_u64),
        json!(i64::MAX),
        json!(1e300),
        json!(0.5),
        json!("relu"),
        json!([]),
        json!([null, 1_u64 << 40, 1_u64 << 40]),
        json!({}),
        json!({"class_name": "Dense", "config": {}}),
    ];
    found.extend(wrong.into_iter().map(make));
    match value {
        Value::Object(object) => {
            for (key, inner) in object {
                let with = |new: Value| {
                    let mut object = object.clone();
                    object[key] = new;
                    make(object.into())
                };
                mutations(inner, found, &with);
                let mut without = object.clone();
                without.shift_remove(key);
                found.push(make(without.into()));
            }
        }
        Value::Array(array) => {
            for (index, inner) in array.iter().enumerate() {
                let with = |new: Value| {
                    let mut array = array.clone();
                    array[index] = new;
                    make(array.into())
                };
                mutations(inner, found, &with);
            }
        }
        _ => {}
    }
}

#[test]
fn every_value_of_a_configuration_may_be_wrong() {
    for name in [
        "../cases_keras2/k2_flatten_dropout_bn",
        "misc_layers_wine",
        "batchnorm_breast_cancer",
        "regularizers_iris",
        "constraints_breast_cancer",
        "config_objects_schedule",
        "activation_layers_iris",
        "normalization_diabetes_raw",
        "flatten_digits_8x8",
        "nested_sequential",
    ] {
        let config = golden::json(&golden::root().join("cases").join(name).join("config.json"));
        let mut wrong = Vec::new();
        mutations(&config, &mut wrong, &|value| value);
        for wrong in wrong {
            let text = wrong.to_string();
            if let Err(error) = Sequential::from_json(&text) {
                let line = error.to_string();
                assert!(!line.contains('\n') && !line.ends_with('.'), "{line}");
            }
        }
    }
}

/// What a caller would do differently: ask for another file, copy it again, convert it.
#[test]
fn kinds_of_errors_are_told_apart_by_code() {
    let folder = tempfile::tempdir().unwrap();
    let case = golden::root().join("cases/custom_names");
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let model = std::fs::read(case.join("model.h5")).unwrap();
    let load = |path: &Path| Sequential::load(path).unwrap_err().kind();
    assert_eq!(load(&folder.path().join("missing.h5")), ErrorKind::NotFound);
    assert_eq!(
        load(&write("a.h5", b"a,b\n1,2\n")),
        ErrorKind::UnknownFormat
    );
    assert_eq!(
        load(&case.join("model.weights.h5")),
        ErrorKind::UnknownFormat
    );
    assert_eq!(
        load(&write("cut.h5", &model[..model.len() - 9])),
        ErrorKind::Corrupt
    );
    let table = |name: &str, text: &str| {
        let path = write(name, text.as_bytes());
        Dataset::from_csv(path, &CsvOptions::default())
            .unwrap_err()
            .kind()
    };
    assert_eq!(table("t.csv", "a,label\n1,0\nx,1\n"), ErrorKind::Content);
    assert_eq!(table("m.csv", "\u{89}"), ErrorKind::Content);
    assert_eq!(table("x.csv", "PAR1"), ErrorKind::UnknownFormat);
    let text = write("text.npy", b"\x93NUMPY\x01\x00\x46\x00{'descr': '<U3', 'fortran_order': False, 'shape': (0,), }             \n");
    assert_eq!(
        read_array(&text).unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    let mut whole = Sequential::load(case.join("model.h5")).unwrap();
    let other = golden::root().join("cases/seed_binary_breast_cancer/model.h5");
    assert_eq!(
        whole.load_weights(other).unwrap_err().kind(),
        ErrorKind::Shape
    );
}
