//! How far an autoencoder's outputs are from its inputs.

use ndarray::{ArrayD, ArrayView1, Axis};

use crate::samples::Samples;
use crate::{Error, Result, Sequential};

/// What the outputs of an autoencoder are compared with: its inputs, normalized where it normalizes them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reconstruction {
    /// One for each input, or none.
    pub means: Vec<f32>,
    /// One over the deviation, as many as means.
    pub factors: Vec<f32>,
}

impl Reconstruction {
    /// Of a model that was trained to give back its inputs as the first layer, a normalization, leaves them;
    /// the inputs themselves without such a layer.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a normalization that does not keep a mean and a variance for each input as its
    /// weights.
    pub fn of(model: &Sequential) -> Result<Self> {
        let inputs: usize = model.input_shape().unwrap_or_default().iter().product();
        let first = model.layers().first();
        if first.is_none_or(|layer| layer.class_name() != "Normalization") {
            return Ok(Self::default());
        }
        let weights = model.get_weights();
        let statistics = (weights.first(), weights.get(1));
        let (Some(mean), Some(variance)) = statistics else {
            return Err(refused());
        };
        if mean.len() != inputs || variance.len() != inputs {
            return Err(refused());
        }
        // As the layer does.
        let factor = |variance: &f32| 1.0 / variance.sqrt().max(1e-7);
        Ok(Self {
            means: mean.iter().copied().collect(),
            factors: variance.iter().map(factor).collect(),
        })
    }

    /// The inputs as outputs are compared with them, in their shape.
    pub fn targets(&self, x: &ArrayD<f32>) -> ArrayD<f32> {
        let mut targets = x.clone();
        if self.means.is_empty() {
            return targets;
        }
        let (means, factors) = (
            ArrayView1::from(&self.means),
            ArrayView1::from(&self.factors),
        );
        for mut row in targets.axis_iter_mut(Axis(0)) {
            let pairs = means.iter().zip(&factors);
            for (value, (mean, factor)) in row.iter_mut().zip(pairs) {
                *value = (*value - mean) * factor;
            }
        }
        targets
    }

    /// The mean squared difference of each row, as `thumbnet_runtime::Model::score` computes it.
    ///
    /// * `y` - the model's outputs for the rows `x`
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] for outputs of another width than the inputs.
    pub fn scores(&self, x: &ArrayD<f32>, y: &ArrayD<f32>) -> Result<Vec<f32>> {
        let targets = self.targets(x);
        let (targets, outputs) = (Samples::new(&targets), Samples::new(y));
        let (width, found) = (targets.width(), outputs.width());
        if width != found {
            return Err(Error::shape(format!(
                "the model has {found} outputs, expected {width} as it has inputs: the score of an anomaly is how far they are apart"
            )));
        }
        let rows = targets.values().chunks(width.max(1));
        let rows = rows.zip(outputs.values().chunks(width.max(1)));
        let score = |(z, y): (&[f32], &[f32])| {
            let squares = z.iter().zip(y).map(|(z, y)| (z - y) * (z - y));
            let mean = squares.fold(0.0, |sum, square| sum + square) * (1.0 / width as f32);
            if mean.is_finite() {
                mean
            } else {
                f32::INFINITY
            }
        };
        Ok(rows.map(score).collect())
    }
}

fn refused() -> Error {
    Error::unsupported(
        "a normalization without a mean and a variance for each input, expected one that was adapted to rows of one axis",
    )
}
