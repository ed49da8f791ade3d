//! An autoencoder that finds what it was not trained on: `cargo run --example anomaly -p thumbnet-trainer`.

use thumbnet_runtime::Verdict;
use thumbnet_trainer::evaluation::{Anomalies, Reconstruction, conformal_threshold};
use thumbnet_trainer::layers::{Dense, Input};
use thumbnet_trainer::quantize::{QuantizeOptions, quantize};
use thumbnet_trainer::training::FitOptions;
use thumbnet_trainer::{Dataset, Result, Sequential};

/// Trains, chooses the threshold and counts what it finds.
pub fn main() -> Result<()> {
    // Normal is what is written as 0 to 4; the other digits are anomalies.
    let digits = Dataset::digits();
    let labels = digits.y.as_ref().expect("digits have labels");
    let is_normal: Vec<bool> = labels.iter().map(|&digit| digit < 5.0).collect();
    let (others, normal) = digits.partition(&is_normal);
    let (train, held) = normal.hold_out(0.3);

    let mut model = Sequential::new().with_seed(7);
    model.add(Input::new([64]))?;
    model.add(Dense::new(24).with_activation("relu"))?;
    model.add(Dense::new(6).with_activation("relu"))?;
    model.add(Dense::new(24).with_activation("relu"))?;
    model.add(Dense::new(64))?;
    model.compile("adam", "mse", [] as [&str; 0])?;
    model.fit(
        &train.x,
        &train.x,
        FitOptions {
            epochs: 60,
            verbose: 0,
            ..FitOptions::default()
        },
    )?;

    // The device's own scores decide, of rows that it has not seen.
    let device = quantize(&model, &train.x, &QuantizeOptions::default())?.device;
    let Reconstruction { means, factors } = Reconstruction::of(&model)?;
    let with = |above: f32| {
        device.with_verdict(&Verdict::Anomaly {
            above,
            means: &means,
            factors: &factors,
        })
    };
    let scores = |rows: &Dataset| -> Result<Vec<f32>> {
        Ok(with(0.0)?
            .detect(&rows.x)?
            .iter()
            .map(|found| found.score)
            .collect())
    };
    let (held, others) = (scores(&held)?, scores(&others)?);
    let above = conformal_threshold(&held, 0.05)?;
    let truth = [vec![true; held.len()], vec![false; others.len()]].concat();
    println!(
        "{}",
        Anomalies::new(&[held, others].concat(), |score| score > above, &truth)
    );
    with(above)?.save(std::env::temp_dir().join("thumbnet-anomaly.tnet"))
}
