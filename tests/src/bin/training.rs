//! thumbnet's side of `tests/bench-training`, and the data of every side.
//!
//! * `training data SPEC FOLDER` writes `x.npy` and `y.npy`;
//! * `training work SPEC [FOLDER]` reads or makes the data, trains once to warm up, prints `ready`,
//!   and then for each line that it reads does the work of the specification and prints the seconds;
//! * `training csv FILE` prints the megabytes of the file and the seconds that reading it took.
//!
//! A specification is a JSON object, see `CASES` in `tests/bench-training`.

use std::{
    error::Error,
    io::BufRead,
    path::{Path, PathBuf},
    time::Instant,
};

use ndarray::{Array1, Array2, ArrayD};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use thumbnet_trainer::{
    Dataset, Sequential,
    activations::Activation,
    dataset::{CsvOptions, read_array, write_npy},
    layers::{BatchNormalization, Dense, Input, ReLU},
    sequential::CompileOptions,
    training::FitOptions,
};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// What to train, and on how much.
struct Spec(Value);

impl Spec {
    fn number(&self, name: &str) -> Outcome<usize> {
        let value = self.0[name].as_u64();
        Ok(value.ok_or(format!("the specification has no {name}"))? as usize) // a small count
    }

    fn text(&self, name: &str) -> Outcome<&str> {
        let value = self.0[name].as_str();
        Ok(value.ok_or(format!("the specification has no {name}"))?)
    }

    fn units(&self) -> Outcome<Vec<usize>> {
        let units = self.0["units"].as_array().ok_or("no units")?;
        Ok(units
            .iter()
            .filter_map(|units| Some(units.as_u64()? as usize)) // a small count
            .collect())
    }

    /// Values from 0 to 1 of a fixed seed; labels and targets that can be learned from them.
    fn make_data(&self) -> Outcome<(ArrayD<f32>, ArrayD<f32>)> {
        if self.text("data")? == "digits" {
            let digits = Dataset::digits();
            let labels = digits.y.ok_or("digits have labels")?;
            return Ok((digits.x, labels.into_dyn()));
        }
        let (rows, inputs) = (self.number("rows")?, self.number("inputs")?);
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        // 24 bits are what an f32 in 0..1 has.
        let x = Array2::from_shape_simple_fn((rows, inputs), || {
            (rng.next_u32() >> 8) as f32 / (1 << 24) as f32
        });
        let outputs = *self.units()?.last().ok_or("no units")?;
        let y = match self.text("loss")? {
            "sparse_categorical_crossentropy" => {
                let class = |row: ndarray::ArrayView1<f32>| {
                    let scores = row.iter().take(outputs).enumerate();
                    scores
                        .max_by(|a, b| a.1.total_cmp(b.1))
                        .map_or(0, |best| best.0) as f32 // small
                };
                x.rows()
                    .into_iter()
                    .map(class)
                    .collect::<Array1<f32>>()
                    .into_dyn()
            }
            _ if outputs == inputs => x.clone().into_dyn(),
            _ => Array2::from_shape_fn((rows, outputs), |(row, unit)| {
                x.row(row).iter().skip(unit).step_by(outputs).take(8).sum()
            })
            .into_dyn(),
        };
        Ok((x.into_dyn(), y))
    }

    fn model(&self, inputs: usize) -> Outcome<Sequential> {
        let units = self.units()?;
        let (output, hidden) = units.split_last().ok_or("no units")?;
        let relu: Activation = "relu".parse()?;
        let mut model = Sequential::new().with_seed(1);
        model.add(Input::new([inputs]))?;
        for &units in hidden {
            if self.0["batch_normalization"] == true {
                model.add(Dense::new(units))?;
                model.add(BatchNormalization::new())?;
                model.add(ReLU::new())?;
            } else {
                model.add(Dense::new(units).with_activation(relu.clone()))?;
            }
        }
        let last: Activation = self.text("activation")?.parse()?;
        model.add(Dense::new(*output).with_activation(last))?;
        let options = CompileOptions::named(self.text("optimizer")?, self.text("loss")?, &[])?;
        model.compile_with(options)?;
        Ok(model)
    }
}

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["data", spec, folder] => {
            let (x, y) = Spec(serde_json::from_str(spec)?).make_data()?;
            write_npy(&Path::new(folder).join("x.npy"), &x)?;
            write_npy(&Path::new(folder).join("y.npy"), &y)?;
            Ok(())
        }
        ["work", spec] => work(&Spec(serde_json::from_str(spec)?), None),
        ["work", spec, folder] => work(&Spec(serde_json::from_str(spec)?), Some(folder.into())),
        ["read", file] => read(Path::new(file)),
        _ => Err("expected data SPEC FOLDER, work SPEC [FOLDER] or read FILE".into()),
    }
}

fn work(spec: &Spec, folder: Option<PathBuf>) -> Outcome {
    let (x, y) = match folder {
        Some(folder) => (
            read_array(&folder.join("x.npy"))?,
            read_array(&folder.join("y.npy"))?,
        ),
        None => spec.make_data()?,
    };
    let mut model = spec.model(x.shape()[1])?;
    let options = |epochs| -> Outcome<FitOptions> {
        Ok(FitOptions {
            epochs,
            batch_size: Some(spec.number("batch")?),
            verbose: 0,
            ..FitOptions::default()
        })
    };
    model.fit(&x, &y, options(1)?)?;
    if spec.0["predict"] == true {
        model.predict(&x)?;
    }
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        line?;
        let start = Instant::now();
        if spec.0["predict"] == true {
            model.predict(&x)?;
        } else {
            model.fit(&x, &y, options(spec.number("epochs")?)?)?;
        }
        println!("{}", start.elapsed().as_secs_f64());
    }
    Ok(())
}

/// Says how many megabytes a file of numbers has, in how many seconds it was read, and its rows.
fn read(file: &Path) -> Outcome {
    let start = Instant::now();
    let rows = if file.extension().is_some_and(|extension| extension == "npy") {
        read_array(file)?.shape()[0]
    } else {
        Dataset::from_csv(file, &CsvOptions::default())?.rows()
    };
    let seconds = start.elapsed().as_secs_f64();
    let megabytes = file.metadata()?.len() as f64 / 1e6; // far below 2^53
    println!("{megabytes:.1} {seconds:.4} {rows}");
    Ok(())
}
