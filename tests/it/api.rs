//! What a Keras user would write with the library: names for things, arrays of any numbers, a seed at any time.

use ndarray::{Array1, Array2};
use thumbnet_trainer::{
    Sequential,
    layers::{Activation, Dense, Input},
    quantize::{QuantizeOptions, quantize},
    training::FitOptions,
};

fn layers() -> [Dense; 2] {
    [
        Dense::new(6).with_activation("relu").with_input_shape([3]),
        Dense::new(2).with_activation("softmax"),
    ]
}

fn rows() -> Array2<f32> {
    Array2::from_shape_fn((20, 3), |(row, column)| ((row * 3 + column) % 7) as f32)
}

fn trained<T: Copy + thumbnet_trainer::Number>(y: &Array1<T>) -> Sequential {
    let mut model = Sequential::from_layers(layers().map(Into::into)).unwrap();
    model.set_seed(5);
    model
        .compile("adam", "sparse_categorical_crossentropy", ["accuracy"])
        .unwrap();
    let options = FitOptions {
        epochs: 3,
        verbose: 0,
        ..FitOptions::default()
    };
    let history = model.fit(&rows(), y, options).unwrap();
    assert_eq!(history.get("accuracy").map(|values| values.len()), Some(3));
    model
}

#[test]
fn labels_may_be_whole_numbers() {
    let floats = trained(&Array1::from_shape_fn(20, |row| (row % 2) as f32));
    let expected = floats.get_weights();
    let integers = trained(&Array1::from_shape_fn(20, |row| row as i64 % 2));
    assert_eq!(integers.get_weights(), expected);
    let bytes = trained(&Array1::from_shape_fn(20, |row| row as u8 % 2));
    assert_eq!(bytes.get_weights(), expected);
    let truths = trained(&Array1::from_shape_fn(20, |row| row % 2 == 1));
    assert_eq!(truths.get_weights(), expected);
}

#[test]
fn quantize_takes_arrays_as_fit_does() {
    let model = trained(&Array1::from_shape_fn(20, |row| row % 2));
    let (floats, doubles) = (rows(), rows().mapv(f64::from));
    let options = QuantizeOptions::default();
    let by_floats = quantize(&model, &floats, &options).unwrap();
    let by_doubles = quantize(&model, &doubles.view(), &options).unwrap();
    assert_eq!(by_floats.device.bytes(), by_doubles.device.bytes());
    let predicted = by_floats.device.predict(&floats).unwrap();
    assert_eq!(by_floats.device.predict(&doubles).unwrap(), predicted);
    assert!(by_floats.report.to_string().contains("proven: "));
}

#[test]
fn a_seed_works_before_and_after_layers_are_added() {
    let mut before = Sequential::new().with_seed(11);
    before.add(Input::new([3])).unwrap();
    for layer in layers() {
        before.add(layer).unwrap();
    }
    let after = Sequential::from_layers(layers().map(Into::into))
        .unwrap()
        .with_seed(11);
    assert_eq!(before.get_weights(), after.get_weights());
    assert_ne!(before.clone_with_seed(12), before.get_weights());
}

trait Reseeded {
    fn clone_with_seed(&self, seed: u64) -> Vec<ndarray::ArrayD<f32>>;
}

impl Reseeded for Sequential {
    fn clone_with_seed(&self, seed: u64) -> Vec<ndarray::ArrayD<f32>> {
        let layers = self.layers().to_vec();
        let mut model = Sequential::from_layers(layers).unwrap().with_seed(seed);
        model.build(&[3]).unwrap();
        model.get_weights()
    }
}

#[test]
fn a_seed_leaves_weights_that_were_set() {
    let mut model = Sequential::from_layers(layers().map(Into::into)).unwrap();
    let kernel = model.get_layer_weights("dense").unwrap()[0].mapv(|_| 0.5);
    let bias = ndarray::arr1(&[0.0; 6]).into_dyn();
    model
        .set_layer_weights("dense", &[kernel.clone(), bias])
        .unwrap();
    let second = model.get_layer_weights("dense_1").unwrap();
    model.set_seed(3);
    assert_eq!(model.get_layer_weights("dense").unwrap()[0], kernel);
    assert_ne!(model.get_layer_weights("dense_1").unwrap()[0], second[0]);
}

#[test]
fn unknown_names_are_refused_with_those_that_there_are() {
    let mut model = Sequential::new();
    model.add(Input::new([3])).unwrap();
    for layer in [
        Dense::new(2).with_activation("rellu").into(),
        Activation::new("rellu").into(),
    ] as [thumbnet_trainer::layers::Layer; 2]
    {
        let error = model.add(layer).unwrap_err().to_string();
        assert!(error.contains("\"rellu\""), "{error}");
        assert!(error.contains("relu"), "{error}");
        assert!(model.layers().is_empty());
    }
    model.add(Dense::new(1)).unwrap();
    for (optimizer, loss, metric, wrong) in [
        ("adamm", "mse", "mae", "adamm"),
        ("adam", "msee", "mae", "msee"),
        ("adam", "mse", "maee", "maee"),
    ] {
        let error = model.compile(optimizer, loss, [metric]).unwrap_err();
        assert!(error.to_string().contains(wrong), "{error}");
    }
    assert!(model.compile_config().is_none());
}
