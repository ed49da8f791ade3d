//! A number to predict, with early stopping: `cargo run --example regression -p thumbnet-trainer`.

use thumbnet_trainer::callbacks::EarlyStopping;
use thumbnet_trainer::evaluation::{Answers, flat};
use thumbnet_trainer::layers::{Dense, Input, Normalization};
use thumbnet_trainer::ndarray::{ArrayD, Axis, Slice};
use thumbnet_trainer::training::FitOptions;
use thumbnet_trainer::{Dataset, Result, Sequential, Task};

/// Trains, and prints how far off it is.
pub fn main() -> Result<()> {
    // The breadth of a petal by the other lengths of the flower.
    let iris = Dataset::iris().shuffled(3);
    let columns = |columns: std::ops::Range<usize>| -> ArrayD<f32> {
        iris.x.slice_axis(Axis(1), Slice::from(columns)).to_owned()
    };
    let (x, y) = (columns(0..3), columns(3..4));

    let mut normalization = Normalization::new();
    normalization.adapt(&x)?;
    let mut model = Sequential::new().with_seed(7);
    model.add(Input::new([3]))?;
    model.add(normalization)?;
    model.add(Dense::new(16).with_activation("relu"))?;
    model.add(Dense::new(1))?;
    model.compile("adam", "mse", ["mae"])?;
    let stop = EarlyStopping {
        restore_best_weights: true,
        ..EarlyStopping::new("val_loss").with_patience(10)
    };
    let options = FitOptions {
        epochs: 200,
        validation_split: 0.2,
        callbacks: vec![stop.into()],
        verbose: 0,
        ..FitOptions::default()
    };
    let history = model.fit(&x, &y, options)?;

    let names = ["petal_width".to_string()];
    let answers = Answers::new(
        Task::Regression,
        flat(&model.predict(&x)?)?,
        flat(&y)?,
        &names,
        0.0,
    )?;
    println!("{} epochs\n{}", history.epoch.len(), answers.evaluation());
    Ok(())
}
