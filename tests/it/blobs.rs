//! Blobs of version 2 in `golden/blobs`, written once: they stay loadable and predict the same bits. One
//! of version 1 is refused by its number.
//!
//! `UPDATE=1 cargo test --release -p thumbnet-tests --test it blobs` writes them anew; that is for a new
//! version of the format, beside the old ones.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

use ndarray::Array2;
use serde_json::{Map, Value, json};
use thumbnet_runtime::{Activation, Element, Model, Packing};
use thumbnet_tests::random_model::{Kind, Limits, RandomModel, chain, random_model};
use thumbnet_trainer::quantize::DeviceModel;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/blobs")
}

fn models() -> Vec<(String, RandomModel)> {
    let packings = [
        ("plain", Packing::Plain),
        ("dsp", Packing::Dsp),
        ("lane", Packing::Lane),
        ("mve", Packing::Mve),
    ];
    let mut models = Vec::new();
    for (kind, dtype) in [
        (Kind::Int8, "int8"),
        (Kind::Int4, "int4"),
        (Kind::Int16, "int16"),
        (Kind::Float, "f32"),
    ] {
        for (name, packing) in packings {
            if kind != Kind::Float || packing == Packing::Plain {
                let model = chain(&[9, 14, 3], kind, packing, Activation::Softmax, 4);
                models.push((format!("{dtype}_{name}"), model));
            }
        }
    }
    for (name, last) in [
        ("exponential", Activation::Exponential),
        ("log_softmax", Activation::LogSoftmax),
        ("lines", Activation::Lines),
        ("curve", Activation::Curve),
    ] {
        let model = chain(&[9, 14, 3], Kind::Int8, Packing::Plain, last, 4);
        models.push((name.to_owned(), model));
    }
    // Tables, other activations, thresholds, labels, self-tests, layers of several types.
    let limits = Limits {
        width: 14,
        weights: 120,
        packing: None,
    };
    models.extend((0..6).map(|seed| (format!("mixed_{seed}"), random_model(seed, 4, &limits))));
    models
}

/// The bits of the outputs; no output where the row is refused.
fn outputs(blob: &[u8], x: &[f32]) -> Vec<u32> {
    let model: Model = Model::from_bytes(blob).unwrap();
    let (mut scratch, mut outputs) = (vec![0; model.scratch_len()], vec![0.0; model.outputs()]);
    x.chunks(model.inputs())
        .flat_map(|row| match model.predict(row, &mut scratch, &mut outputs) {
            Ok(()) => outputs.iter().map(|y| y.to_bits()).collect(),
            Err(_) => Vec::new(),
        })
        .collect()
}

/// Words of a JSON array.
fn words(value: &Value) -> Vec<u32> {
    let words = value.as_array().expect("an array").iter();
    words
        .map(|word| {
            word.as_u64()
                .and_then(|word| word.try_into().ok())
                .expect("a word")
        })
        .collect()
}

#[test]
fn golden_blobs_stay_loadable_and_predict_the_same_bits() {
    let list = folder().join("rows.json");
    if env::var_os("UPDATE").is_some() {
        fs::create_dir_all(folder()).unwrap();
        let mut rows = Map::new();
        for (name, model) in models() {
            let x: Vec<u32> = model.x.iter().map(|x| x.to_bits()).collect();
            let outputs = outputs(&model.blob, &model.x);
            fs::write(folder().join(&name).with_extension("tnet"), &model.blob).unwrap();
            rows.insert(name, json!({"x": x, "outputs": outputs}));
        }
        let lines: Vec<String> = rows
            .iter()
            .map(|(name, row)| format!("{name:?}: {row}"))
            .collect();
        fs::write(&list, format!("{{\n{}\n}}\n", lines.join(",\n"))).unwrap();
    }
    let rows: Map<String, Value> = serde_json::from_slice(&fs::read(list).unwrap()).unwrap();
    assert!(rows.len() >= 23);
    for (name, row) in rows {
        let blob = fs::read(folder().join(&name).with_extension("tnet")).unwrap();
        let x: Vec<f32> = words(&row["x"]).into_iter().map(f32::from_bits).collect();
        assert_eq!(outputs(&blob, &x), words(&row["outputs"]), "{name}");
        let model: Model = Model::from_bytes(&blob).unwrap();
        assert_eq!(model.verify_weights(), Ok(()), "{name}");
        let (mut scratch, mut outputs) = (vec![0; model.scratch_len()], vec![0.0; model.outputs()]);
        assert_eq!(
            model.self_test(&mut scratch, &mut outputs),
            Ok(()),
            "{name}"
        );
    }
}

#[test]
fn a_blob_of_version_1_is_refused_by_its_number() {
    let blob = fs::read(folder().join("version_1.tnet")).unwrap();
    assert_eq!(
        <Model>::from_bytes(&blob).unwrap_err().to_string(),
        "blob version 1, expected 2; export the model again"
    );
}

#[test]
fn many_rows_at_once_have_the_bits_of_each_by_itself() {
    let limits = Limits {
        width: 40,
        weights: 600,
        packing: None,
    };
    // Models of integers from the inputs to the outputs, whose sums a matrix product computes.
    let mut of_integers = BTreeMap::new();
    let mut refused = 0;
    for seed in 0..600 {
        let drawn = random_model(seed, 150, &limits);
        let device = DeviceModel::from_bytes(&drawn.blob).unwrap();
        let model = device.model();
        let x = Array2::from_shape_vec((150, drawn.inputs), drawn.x.clone()).unwrap();
        let (mut scratch, mut y) = (vec![0; model.scratch_len()], vec![0.0; model.outputs()]);
        let mut each = || -> Result<Vec<u32>, String> {
            let mut bits = Vec::new();
            for (row, x) in x.outer_iter().enumerate() {
                model
                    .predict(&x.to_vec(), &mut scratch, &mut y)
                    .map_err(|error| format!("data row {}: {error}", row + 1))?;
                bits.extend(y.iter().map(|y| y.to_bits()));
            }
            Ok(bits)
        };
        let expected = each();
        let found = device.predict(&x).map_err(|error| error.to_string());
        let found = found.map(|y| y.iter().map(|y| y.to_bits()).collect::<Vec<u32>>());
        assert_eq!(found, expected, "seed {seed}: {}", drawn.description);
        refused += usize::from(expected.is_err());
        let inner = model.layers().len() - 1;
        let integers = model
            .layers()
            .take(inner)
            .all(|layer| layer.output != Element::Float);
        if integers {
            for layer in model.layers().skip(1) {
                *of_integers
                    .entry(format!("{:?}", layer.operation))
                    .or_insert(0) += 1;
            }
        }
    }
    assert!(refused > 10, "{refused} models refuse a row");
    for operation in ["DenseInt8", "DenseInt4", "DenseInt16"] {
        assert!(of_integers[operation] > 50, "{of_integers:?}");
    }
}
