//! Correlation of target and prediction within each row.

use serde_json::{Map, Value, json};

use super::mean::Function;
use crate::keras::entries;
use crate::losses::{Batch, EPSILON, Wanted};

/// Mean and biased variance.
struct Moments {
    mean: f32,
    variance: f32,
}

fn moments(x: impl ExactSizeIterator<Item = f32> + Clone) -> Moments {
    let n = x.len().max(1) as f32;
    let mean = x.clone().sum::<f32>() / n;
    let variance = x.map(|x| (x - mean) * (x - mean)).sum::<f32>() / n;
    Moments { mean, variance }
}

/// Pearson's coefficient; NaN where a row is constant.
fn pearson(t: &[f32], p: &[f32]) -> f32 {
    let (t_moments, p_moments) = (moments(t.iter().copied()), moments(p.iter().copied()));
    let (t_std, p_std) = (t_moments.variance.sqrt(), p_moments.variance.sqrt());
    let products = t
        .iter()
        .zip(p)
        .map(|(t, p)| ((t - t_moments.mean) / t_std) * ((p - p_moments.mean) / p_std));
    products.sum::<f32>() / t.len() as f32
}

/// Lin's concordance coefficient, with Keras' covariance: both are centred on the prediction's mean.
fn concordance(t: &[f32], p: &[f32]) -> f32 {
    let (t_moments, p_moments) = (moments(t.iter().copied()), moments(p.iter().copied()));
    let apart = t_moments.mean - p_moments.mean;
    let norm = t_moments.variance + p_moments.variance + apart * apart + EPSILON;
    let products = t
        .iter()
        .zip(p)
        .map(|(t, p)| 2.0 * ((t - p_moments.mean) * (p - p_moments.mean)) / norm);
    products.sum::<f32>() / t.len() as f32
}

#[derive(Debug)]
pub(super) struct PearsonCorrelation;

#[derive(Debug)]
pub(super) struct ConcordanceCorrelation;

/// What the two have alike.
macro_rules! correlation {
    ($class:ident, $of_row:ident) => {
        impl Function for $class {
            fn values(&self, batch: &Batch, out: &mut [f32]) {
                batch.by_row(out, $of_row);
            }

            fn options(&self) -> Map<String, Value> {
                entries([("axis", json!(-1))])
            }

            fn wanted(&self, _y_true_width: usize, _width: usize) -> Option<Wanted> {
                Some(Wanted::SameWidth)
            }
        }
    };
}

correlation!(PearsonCorrelation, pearson);
correlation!(ConcordanceCorrelation, concordance);
