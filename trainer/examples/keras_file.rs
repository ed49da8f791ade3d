//! A file of Keras, gone on with: `cargo run --example keras_file -p thumbnet-trainer -- model.keras`.
//! Without a name it makes one first.

use std::path::PathBuf;

use thumbnet_trainer::layers::{Dense, Input};
use thumbnet_trainer::saving::Loaded;
use thumbnet_trainer::training::FitOptions;
use thumbnet_trainer::{Dataset, Result, Sequential};

/// Reads, and trains on where the rows fit.
pub fn main() -> Result<()> {
    let named = std::env::args()
        .nth(1)
        .filter(|name| name.ends_with(".keras") || name.ends_with(".h5"));
    let path = match named {
        Some(name) => PathBuf::from(name),
        None => made()?,
    };
    let Loaded {
        mut model,
        notes,
        optimizer_error,
        ..
    } = Loaded::read(&path)?;
    notes.iter().for_each(|note| println!("note: {note}"));
    println!("{}: {} parameters", path.display(), model.count_params());
    if let Some(error) = optimizer_error {
        println!("the optimizer begins anew: {error}");
    }
    if model.input_shape() == Some(&[4]) && model.output_shape() == Some(&[3]) {
        let iris = Dataset::iris();
        let labels = iris.y.as_ref().expect("iris has labels");
        let history = model.fit(
            &iris.x,
            labels,
            FitOptions {
                epochs: 5,
                verbose: 0,
                ..FitOptions::default()
            },
        )?;
        println!("after 5 more epochs: loss {:?}", history.last("loss"));
        model.save(path.with_extension("h5"))?;
    }
    Ok(())
}

fn made() -> Result<PathBuf> {
    let mut model = Sequential::new().with_seed(7);
    model.add(Input::new([4]))?;
    model.add(Dense::new(8).with_activation("relu"))?;
    model.add(Dense::new(3).with_activation("softmax"))?;
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])?;
    let path = std::env::temp_dir().join("thumbnet-example.keras");
    model.save(&path)?;
    Ok(path)
}
