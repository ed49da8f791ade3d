//! Keras' own files, read, written and read again.

use std::path::Path;

use ndarray::{ArrayD, IxDyn};
use thumbnet_tests::golden;
use thumbnet_trainer::saving::{self, SavedModel};
use thumbnet_trainer::{ArrayData, NamedArray};

fn floats(array: &NamedArray) -> ArrayD<f32> {
    let values = match &array.data {
        ArrayData::F32(values) => values.clone(),
        ArrayData::I64(values) => values.iter().map(|&v| v as f32).collect(),
    };
    ArrayD::from_shape_vec(IxDyn(&array.shape), values).unwrap()
}

/// Whether the weights are those of `weights.npz`, bit for bit.
fn has_weights(model: &SavedModel, case: &Path) -> Result<(), String> {
    let weights: Vec<_> = model.layers.iter().flat_map(|l| &l.weights).collect();
    let metadata = golden::json(&case.join("metadata.json"));
    let expected = metadata["weights"].as_array().unwrap();
    if weights.len() != expected.len() {
        return Err(format!(
            "{} weights, expected {}",
            weights.len(),
            expected.len()
        ));
    }
    for (weight, expected) in weights.iter().zip(expected) {
        let key = expected["key"].as_str().unwrap();
        if floats(weight) != golden::npz(&case.join("weights.npz"), key) {
            return Err(format!("{} is not {key}", weight.name));
        }
    }
    Ok(())
}

#[test]
fn every_file_of_keras_reads_to_its_weights_and_is_written_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for kind in ["cases", "cases_keras2"] {
        for case in golden::folders(kind, "metadata.json") {
            let config = golden::json(&case.join("config.json"));
            for file in [
                "model.h5",
                "model.keras",
                "model.weights.h5",
                "weights_only.h5",
            ] {
                let path = case.join(file);
                if !path.is_file() {
                    continue;
                }
                let alone = file.contains("weights");
                let read = |path: &Path| match alone {
                    true => saving::read_weights(path, &config),
                    false => saving::read(path),
                };
                let out = match std::env::var_os("OUT") {
                    Some(o) => Path::new(&o).join(golden::name(&case)),
                    None => folder.path().join(golden::name(&case)),
                };
                std::fs::create_dir_all(&out).unwrap();
                let out = out.join(file);
                let test = || -> Result<(), String> {
                    let model = read(&path).map_err(|e| e.to_string())?;
                    has_weights(&model, &case)?;
                    match file {
                        "model.h5" => saving::write_h5(&out, &model),
                        "model.keras" => saving::write_keras(&out, &model),
                        "model.weights.h5" => saving::write_weights(&out, &model),
                        _ => saving::write_legacy_weights(&out, &model),
                    }
                    .map_err(|e| e.to_string())?;
                    let again = read(&out).map_err(|e| e.to_string())?;
                    has_weights(&again, &case)?;
                    if again.optimizer != model.optimizer {
                        return Err("another optimizer state".into());
                    }
                    // Keras 2's settings are written in the words of Keras 3.
                    if kind == "cases"
                        && file != "model.h5"
                        && again.compile_config != model.compile_config
                    {
                        return Err("other compile settings".into());
                    }
                    Ok(())
                };
                if let Err(message) = test() {
                    wrong.push(format!("{}: {message}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
