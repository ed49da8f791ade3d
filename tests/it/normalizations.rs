//! `RMSNormalization` and `GroupNormalization` train as in real Keras (`golden/normalizations/make.py`), from
//! its files of both kinds, and go into files as it writes them.

use std::path::Path;

use ndarray::Array3;
use serde_json::Value;
use thumbnet_tests::golden;
use thumbnet_trainer::layers::{GroupNormalization, Input, RMSNormalization};
use thumbnet_trainer::training::FitOptions;
use thumbnet_trainer::{Sequential, saving};

use crate::custom::{array, assert_near, values};

fn samples(value: &Value) -> Array3<f32> {
    let x: Vec<Vec<Vec<f32>>> = serde_json::from_value(value.clone()).expect("samples");
    let shape = (x.len(), x[0].len(), x[0][0].len());
    Array3::from_shape_fn(shape, |(i, j, k)| x[i][j][k])
}

#[test]
fn trainings_are_those_of_keras() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/normalizations");
    let facts = golden::json(&folder.join("training.json"));
    let (x, y) = (samples(&facts["x"]), array(&facts["y"]));
    let temporary = tempfile::tempdir().expect("a folder");
    for (name, expected) in facts["models"].as_object().expect("models") {
        for kind in ["keras", "h5"] {
            let file = folder.join(format!("{name}.{kind}"));
            let mut model = Sequential::load(&file).expect("Keras' file");
            let ours = temporary.path().join(format!("{name}.{kind}"));
            model.save(&ours).expect("saved");
            let saved = |path: &Path| saving::read(path).expect("a model").config;
            let (ours, theirs) = (saved(&ours), saved(&file));
            let layers =
                |config: &Value| config["config"]["layers"].as_array().expect("a list").len();
            assert_eq!(layers(&ours), layers(&theirs));
            for i in 0..layers(&theirs) {
                for key in ["class_name", "registered_name", "module", "build_config"] {
                    let entry = |config: &Value| config["config"]["layers"][i].get(key).cloned();
                    assert_eq!(entry(&ours), entry(&theirs), "{name} {kind} {i}");
                }
                let config = |config: &Value| {
                    let mut config = config["config"]["layers"][i]["config"].clone();
                    // Keras numbers what stands twice in a file.
                    config.as_object_mut().expect("a config").remove("dtype");
                    config
                };
                assert_eq!(config(&ours), config(&theirs), "{name} {kind} {i}");
            }
            let options = FitOptions {
                epochs: 4,
                batch_size: Some(16),
                shuffle: false,
                verbose: 0,
                ..FitOptions::default()
            };
            let history = model.fit(&x, &y, options).expect("a training");
            for metric in ["loss", "mae"] {
                let found = history.get(metric).expect(metric).to_vec();
                assert_near(
                    &format!("{name} {metric}"),
                    found,
                    &expected["history"][metric],
                );
            }
            let weights = model.get_weights();
            assert_near(name, weights.iter().flat_map(values), &expected["weights"]);
            let predicted = model.predict(&x).expect("predictions");
            assert_near(name, values(&predicted), &expected["predictions"]);
        }
    }
}

#[test]
fn what_keras_could_not_normalize_is_refused_with_what_can_be_done() {
    let add = |layer: thumbnet_trainer::layers::Layer| {
        let mut model = Sequential::new();
        model.add(Input::new([4, 6])).expect("an input");
        model.add(layer).expect_err("refused").to_string()
    };
    let first = RMSNormalization {
        axis: vec![1],
        ..RMSNormalization::new()
    };
    assert_eq!(
        add(first.into()),
        "RMSNormalization over axis [1] of samples of shape [4, 6] is not over the last axes, along which Keras' scale lies; use axis -1, or permute the samples"
    );
    assert_eq!(
        add(GroupNormalization::new(5).into()),
        "sequential/group_normalization: GroupNormalization: 6 channels on axis -1 of samples of shape [4, 6] are not 5 groups of the same size; give a number of groups that divides the channels, or -1"
    );
    // Keras' default is 32 groups, of at least as many channels.
    assert!(add(GroupNormalization::default().into()).contains("are not 32 groups"));
}
