//! From a table to a model that a Cortex-M runs: `cargo run --example iris -p thumbnet-trainer`.

use thumbnet_trainer::dataset::SplitOptions;
use thumbnet_trainer::layers::{Dense, Input, Normalization};
use thumbnet_trainer::quantize::{QuantizeOptions, evaluate, quantize};
use thumbnet_trainer::training::{EvaluateOptions, FitOptions};
use thumbnet_trainer::{Dataset, Result, Sequential};

/// Trains, quantizes and writes both models.
pub fn main() -> Result<()> {
    // Of a file: Dataset::from_csv("iris.csv", &CsvOptions::default()).
    let stratified = SplitOptions {
        seed: 1,
        stratify: true,
    };
    let (train, test) = Dataset::iris().split(0.2, stratified)?;
    let (x, y) = (&train.x, train.y.as_ref().expect("iris has labels"));
    let (test_x, test_y) = (&test.x, test.y.as_ref().expect("iris has labels"));

    let mut normalization = Normalization::new();
    normalization.adapt(x)?;
    let mut model = Sequential::new().with_seed(7);
    model.add(Input::new([4]))?;
    model.add(normalization)?;
    model.add(Dense::new(16).with_activation("relu"))?;
    model.add(Dense::new(3).with_activation("softmax"))?;
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])?;
    model.fit(
        x,
        y,
        FitOptions {
            epochs: 60,
            batch_size: Some(8),
            verbose: 0,
            ..FitOptions::default()
        },
    )?;

    let silent = EvaluateOptions {
        verbose: 0,
        ..EvaluateOptions::default()
    };
    let float = model.evaluate(test_x, test_y, silent)?;
    let labels = ["setosa", "versicolor", "virginica"].map(String::from);
    let options = QuantizeOptions {
        labels: labels.to_vec(),
        ..QuantizeOptions::default()
    };
    let device = quantize(&model, x, &options)?.device;
    let int8 = evaluate(&device, test_x, test_y)?;
    println!(
        "accuracy in float32 {:?}, on the device {:?}",
        float.get("accuracy"),
        int8.get("accuracy")
    );
    println!("{} bytes of flash", device.bytes().len());

    let folder = std::env::temp_dir();
    model.save(folder.join("thumbnet-iris.h5"))?;
    device.save(folder.join("thumbnet-iris.tnet"))
}
