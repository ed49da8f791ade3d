//! A training loop of one's own, batch by batch: `cargo run --example own_loop -p thumbnet-trainer`.

use thumbnet_trainer::layers::{Dense, Input, Rescaling};
use thumbnet_trainer::ndarray::{Axis, Slice};
use thumbnet_trainer::{Dataset, Result, Sequential};

/// Trains batch by batch.
pub fn main() -> Result<()> {
    let (train, test) = Dataset::digits().shuffled(1).split_at(1400);
    let mut model = Sequential::new().with_seed(7);
    model.add(Input::new([64]))?;
    model.add(Rescaling::new(1.0 / 16.0, 0.0))?;
    model.add(Dense::new(32).with_activation("relu"))?;
    model.add(Dense::new(10).with_activation("softmax"))?;
    model.compile("adam", "sparse_categorical_crossentropy", ["accuracy"])?;

    for epoch in 0..10 {
        // Another order each time; a rate that falls by half every third epoch.
        let rows = train.shuffled(epoch);
        let (x, y) = (&rows.x, rows.y.as_ref().expect("digits have labels"));
        if let Some(optimizer) = model.optimizer_mut() {
            optimizer.set_learning_rate(0.004 * 0.5f32.powi(epoch as i32 / 3))?;
        }
        for start in (0..rows.rows()).step_by(50) {
            let batch = Slice::from(start..(start + 50).min(rows.rows()));
            let (x, y) = (x.slice_axis(Axis(0), batch), y.slice_axis(Axis(0), batch));
            model.train_on_batch(&x, &y, None, None)?;
        }
        let labels = test.y.as_ref().expect("digits have labels");
        let found = model.test_on_batch(&test.x, labels, None)?;
        println!("epoch {}: {found:?}", epoch + 1);
    }
    Ok(())
}
