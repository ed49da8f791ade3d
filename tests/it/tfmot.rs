//! What tensorflow-model-optimization wrapped predicts as tf_keras says (`golden/tfmot/make.py`).

use ndarray::{ArrayD, IxDyn};
use serde_json::Value;
use thumbnet_tests::golden;
use thumbnet_trainer::saving::Loaded;

fn numbers(value: &Value) -> Vec<f32> {
    serde_json::from_value(value.clone()).expect("numbers")
}

/// The largest difference of the predictions from `facts[name][key]`.
fn off(file: &str, key: &str) -> f32 {
    let folder = golden::root().join("tfmot");
    let facts = golden::json(&folder.join("facts.json"));
    let x = ArrayD::from_shape_vec(IxDyn(&[12, 6]), numbers(&facts["x"])).expect("rows");
    let loaded = Loaded::read(folder.join(file)).expect("a model");
    let found = loaded.model.predict(&x).expect("predictions");
    let name = file.split('.').next().expect("a name");
    let expected = numbers(&facts[name][key]);
    assert_eq!(found.len(), expected.len(), "{file}");
    let differences = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

#[test]
fn pruned_and_clustered_models_predict_as_they_do_in_keras() {
    for file in [
        "pruned.h5",
        "pruned_nested.h5",
        "pruned_functional.keras",
        // A weight's index is that of the step before, so that it is another centroid's.
        "clustered.h5",
        "clustered_sparse.h5",
        "clustered_nested.keras",
    ] {
        let off = off(file, "predictions");
        assert!(off < 1e-6, "{file}: off by {off}");
    }
}

#[test]
fn quantization_aware_models_predict_by_their_float_weights() {
    for file in ["qat_functional.h5", "qat_bn.keras"] {
        let from_floats = off(file, "float");
        assert!(from_floats < 1e-6, "{file}: off by {from_floats}");
        // The rounding to 8 bits that Keras imitates moves a probability by 0.006 and 0.021.
        let from_keras = off(file, "predictions");
        assert!(
            from_keras > 1e-3 && from_keras < 0.03,
            "{file}: off by {from_keras}"
        );
    }
}

#[test]
fn notes_say_how_wrapped_layers_are_read() {
    let notes = |file: &str| {
        let path = golden::root().join("tfmot").join(file);
        Loaded::read(path).expect("a model").notes
    };
    assert_eq!(
        notes("pruned.h5"),
        [
            "layer \"prune_low_magnitude_first\" and 5 more: each was wrapped for pruning by tensorflow-model-optimization: it is read as strip_pruning leaves it, and training goes on without the pruning"
        ]
    );
    assert_eq!(
        notes("clustered.h5"),
        [
            "layer \"cluster_first\" and 5 more: each was wrapped for clustering by tensorflow-model-optimization: it is read as strip_clustering leaves it, and training goes on without the clustering"
        ]
    );
    assert_eq!(
        notes("qat_functional.h5"),
        [
            "layer \"quantize_layer_1\" and 4 more: each was trained quantization-aware by tensorflow-model-optimization: it predicts with its float weights, and not with the rounding to 8 bits that Keras imitates; for the weights and ranges of that rounding make a .tflite file with TFLiteConverter and Optimize.DEFAULT, and read it by thumbnet import"
        ]
    );
}
