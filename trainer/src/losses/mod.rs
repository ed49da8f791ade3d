//! Losses with the names, defaults, formulas and gradients of `keras.losses` on TensorFlow.
//!
//! ```
//! use thumbnet_trainer::losses::{Batch, Loss};
//!
//! let loss: Loss = "mse".parse()?;
//! let mut per_sample = [0.0; 2];
//! loss.per_sample(&Batch::new(&[1.0, 2.0], 1, &[1.5, 0.0], 1), &mut per_sample);
//! assert_eq!(per_sample, [0.25, 4.0]);
//! # Ok::<(), thumbnet_trainer::Error>(())
//! ```

mod batch;
mod circle;
mod crossentropy;
mod custom;
mod elementwise;
mod focal;
mod hinge;
mod kind;
mod math;
mod overlap;
mod regression;
mod serialized;
pub(crate) mod similarity;
mod targets;

use crate::activations::Activation;
pub use batch::{Batch, Logits};
pub use circle::Circle;
pub use crossentropy::{
    BinaryCrossentropy, CategoricalCrossentropy, Crossentropy, SparseCategoricalCrossentropy,
};
pub use focal::{Alpha, BinaryFocalCrossentropy, CategoricalFocalCrossentropy};
pub use hinge::{CategoricalHinge, Hinge, SquaredHinge};
pub(crate) use kind::Answer;
pub use kind::LossKind;
pub use overlap::{Dice, Tversky};
pub use regression::{
    Huber, LogCosh, MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredError,
    MeanSquaredLogarithmicError, Poisson,
};
pub use similarity::{CategoricalGeneralizedCrossEntropy, CosineSimilarity, KLDivergence};
pub(crate) use targets::Wanted;

/// `keras.backend.epsilon()`.
pub(crate) const EPSILON: f32 = 1e-7;
/// The largest probability that a crossentropy takes the logarithm of.
pub(crate) const ONE_MINUS_EPSILON: f32 = (1.0 - 1e-7f64) as f32;

/// A loss function with its options, as `model.compile_with(loss=..)` takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// Which function, with its options.
    pub kind: LossKind,
    /// How per-sample losses become one number. Defaults to `SumOverBatchSize`.
    pub reduction: Reduction,
    /// Name of the loss, `mean_squared_error` for example.
    pub name: String,
    /// The string that the loss was made from, if it was: Keras saves it in place of a config.
    pub identifier: Option<String>,
}

/// How per-sample losses become the batch's loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// Sum divided by the number of samples, whatever their weights; Keras also calls it `mean`.
    #[default]
    SumOverBatchSize,
    /// Sum.
    Sum,
    /// Sum divided by the sum of the sample weights.
    MeanWithSampleWeight,
    /// No reduction: the gradient is that of the sum, the reported loss is the mean.
    None,
}

impl Loss {
    /// The loss with Keras' default name and reduction.
    pub fn new(kind: impl Into<LossKind>) -> Self {
        let kind = kind.into();
        Self {
            name: kind.default_name(),
            kind,
            reduction: Reduction::default(),
            identifier: None,
        }
    }

    /// Whether loss and gradient come from the pre-activations of the model's last activation:
    /// TensorFlow-backed Keras does so for every crossentropy behind a sigmoid or a softmax,
    /// except the categorical focal one and the sparse one that ignores a class.
    ///
    /// The caller then gives [`Batch::logits`], and [`Loss::gradient`] is to the logits.
    pub fn fuses(&self, last: &Activation) -> bool {
        Logits::of(last, &[]).is_some() && self.kind.function().takes_logits()
    }

    /// The loss of every row, without weights: `out[rows]`.
    pub fn per_sample(&self, batch: &Batch, out: &mut [f32]) {
        self.kind.per_sample(batch, out);
    }

    /// What every row's loss is multiplied by in the batch's loss: sample weights, masks and the
    /// reduction together.
    ///
    /// # Shapes
    ///
    /// * `per_sample` - `[rows]`, from [`Loss::per_sample`]
    /// * `weights` - `[rows]`, sample weights times class weights; `None` for 1
    /// * `out` - `[rows]`
    pub fn scale(
        &self,
        batch: &Batch,
        per_sample: &[f32],
        weights: Option<&[f32]>,
        out: &mut [f32],
    ) {
        let rows = out.len() as f32;
        match weights {
            Some(weights) => out.copy_from_slice(weights),
            None if self.kind.function().is_of_batch() => return out.fill(1.0 / rows),
            None => out.fill(1.0),
        }
        let mut counted = rows;
        if self.kind.function().masks() {
            for (i, (out, &loss)) in out.iter_mut().zip(per_sample).enumerate() {
                if !self.kind.function().counts(batch, i, loss) {
                    *out = 0.0;
                    counted -= 1.0;
                }
            }
        }
        let divisor = match self.reduction {
            Reduction::SumOverBatchSize => counted,
            Reduction::MeanWithSampleWeight => math::sum_map(out, |w| w),
            Reduction::Sum | Reduction::None => return,
        };
        let factor = if divisor == 0.0 { 0.0 } else { 1.0 / divisor };
        out.iter_mut().for_each(|out| *out *= factor);
    }

    /// The batch's loss: `Σ scale[i] · per_sample[i]`, and with [`Reduction::None`] its mean, as
    /// Keras reports it.
    pub fn reduce(&self, per_sample: &[f32], scale: &[f32]) -> f32 {
        if self.reduction == Reduction::MeanWithSampleWeight && scale.iter().all(|&s| s == 0.0) {
            // Nothing counts, not even a loss of NaN.
            return 0.0;
        }
        let pairs = per_sample.iter().zip(scale);
        let total: f64 = pairs.map(|(l, s)| f64::from(*l) * f64::from(*s)).sum();
        let count = per_sample.len().max(1);
        // A loss of the whole batch is one number, of which the mean is itself.
        let is_one =
            self.kind.function().is_of_batch() && scale.iter().all(|&s| s == 1.0 / count as f32);
        let rows = match self.reduction {
            Reduction::None if !is_one => count as f64,
            _ => 1.0,
        };
        (total / rows) as f32
    }

    /// `out = d(Σ scale[i] · loss_i)` to the predictions, or to the logits when the batch has them
    /// and [`Loss::fuses`] is true for their activation.
    ///
    /// # Shapes
    ///
    /// * `scale` - `[rows]`, from [`Loss::scale`]
    /// * `out` - `[rows, width]`
    pub fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        self.kind.gradient(batch, scale, out);
    }
}

/// `gradient` where clipping to `[low, high]` leaves `x` alone, else 0, whatever `gradient` is: the
/// way back through TensorFlow's clip, which lets nothing through for a NaN.
#[inline(always)]
fn clip_d(x: f32, low: f32, high: f32, gradient: f32) -> f32 {
    if x >= low && x <= high { gradient } else { 0.0 }
}

/// The class index in a row of sparse targets, truncated as a cast to an integer does.
#[inline(always)]
pub(crate) fn label(t: &[f32]) -> Option<usize> {
    t.first()
        .filter(|&&t| t > -1.0 && t < 1e9)
        .map(|&t| t as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_any_weight_a_loss_of_nan_is_0() {
        // Keras divides the weighted sum by the sum of weights, and gives 0 where that is 0.
        let mut loss: Loss = "mse".parse().expect("a loss");
        loss.reduction = Reduction::MeanWithSampleWeight;
        let batch = Batch::new(&[0.0, 1.0], 1, &[f32::NAN, 1.0], 1);
        let mut scale = [0.0; 2];
        loss.scale(&batch, &[f32::NAN, 0.0], Some(&[0.0, 0.0]), &mut scale);
        assert_eq!(loss.reduce(&[f32::NAN, 0.0], &scale), 0.0);
        loss.reduction = Reduction::SumOverBatchSize;
        assert!(loss.reduce(&[f32::NAN, 0.0], &scale).is_nan());
    }

    #[test]
    fn the_generalized_crossentropy_multiplies_by_a_one_hot_row() {
        const NAN: f32 = f32::NAN;
        let loss = Loss::new(CategoricalGeneralizedCrossEntropy { q: 0.7 });
        // Keras 3.15.1: class, predictions, loss, gradient.
        let rows: [(f32, [f32; 3], f32, [f32; 3]); 6] = [
            (0., [0.7, 0.2, 0.1], 0.315_634_43, [-1.112_937, 0., 0.]),
            (1.9, [0.5, 0.25, 0.25], 0.887_244_1, [0., -1.515_716_6, 0.]),
            (5., [0.2, 0.3, 0.5], 1.428_571_5, [NAN; 3]),
            (0., [0., 1., 0.], 1.428_571_5, [f32::NEG_INFINITY, NAN, NAN]),
            (0., [-0.2, 0.3, 0.5], NAN, [NAN; 3]),
            (0., [NAN, 0.6, 0.3], NAN, [NAN; 3]),
        ];
        let same = |a: f32, b: f32| a == b || (a - b).abs() < 1e-6 || a.is_nan() && b.is_nan();
        for (class, p, expected, expected_gradient) in rows {
            let (y_true, mut found, mut gradient) = ([class], [0.0], [0.0; 3]);
            let batch = Batch::new(&y_true, 1, &p, 3);
            loss.per_sample(&batch, &mut found);
            loss.gradient(&batch, &[1.0], &mut gradient);
            assert!(same(found[0], expected), "{p:?}: {found:?}");
            let mut pairs = gradient.iter().zip(expected_gradient);
            assert!(pairs.all(|(&a, b)| same(a, b)), "{p:?}: {gradient:?}");
        }
    }

    #[test]
    fn predictions_that_are_not_finite_spoil_the_gradient_as_in_keras() {
        let gradient = |name: &str, y_true: &[f32], y_pred: &[f32]| {
            let loss: Loss = name.parse().expect("a loss");
            let mut out = vec![0.0; y_pred.len()];
            let width = y_pred.len();
            loss.gradient(&Batch::new(y_true, width, y_pred, width), &[1.0], &mut out);
            out
        };
        let huber = gradient("huber", &[0.0, 0.0], &[f32::INFINITY, 3.0]);
        assert!(huber[0].is_nan());
        assert_eq!(huber[1], 0.5);
        let cosine = gradient("cosine_similarity", &[1.0, 1.0], &[f32::NAN, 1.0]);
        assert!(cosine.iter().all(|d| d.is_nan()));
    }

    #[test]
    fn nan_goes_back_through_a_clip_as_in_keras() {
        const NAN: f32 = f32::NAN;
        // Keras 3.15.1 on TensorFlow: loss, targets, predictions, gradient.
        type Row<'a> = (&'a str, &'a [f32], &'a [f32], &'a [f32]);
        let rows: [Row; 18] = [
            ("binary_crossentropy", &[1., 0.], &[NAN, 0.5], &[0., 1.]),
            ("binary_crossentropy", &[NAN, 0.], &[0.3, 0.5], &[NAN, 1.]),
            ("binary_crossentropy", &[NAN, NAN], &[2., -1.5], &[0., 0.]),
            ("msle", &[0., 1.], &[NAN, 0.5], &[0., -0.191_788_06]),
            ("msle", &[NAN, 0.], &[0.3, 0.5], &[NAN, 0.270_309_98]),
            ("msle", &[NAN, NAN], &[2., -1.5], &[NAN, 0.]),
            ("kl_divergence", &[0., 1.], &[NAN, 0.5], &[0., -2.]),
            ("kl_divergence", &[NAN, 1.], &[0.3, 0.5], &[NAN, -2.]),
            ("kl_divergence", &[NAN, NAN], &[2., -1.5], &[0., 0.]),
            ("hinge", &[1., 0.], &[NAN, 0.5], &[0., 0.5]),
            ("hinge", &[NAN, 0.], &[0.3, 0.5], &[NAN, 0.]),
            ("squared_hinge", &[1., 0.], &[NAN, 0.5], &[0., 1.5]),
            ("squared_hinge", &[NAN, 0.], &[0.3, 0.5], &[NAN, 0.]),
            (
                "categorical_hinge",
                &[1., 0., 0.],
                &[NAN, 0.5, 0.2],
                &[NAN; 3],
            ),
            (
                "categorical_hinge",
                &[NAN, 1., 0.],
                &[0.3, 0.5, 0.2],
                &[NAN; 3],
            ),
            (
                "categorical_hinge",
                &[0., 1., 0.],
                &[f32::INFINITY, 0.5, 0.2],
                &[0.; 3],
            ),
            (
                "categorical_crossentropy",
                &[0., 1., 0.],
                &[NAN, 0.5, 0.2],
                &[NAN; 3],
            ),
            (
                "sparse_categorical_crossentropy",
                &[1.],
                &[NAN, 0.5, 0.2],
                &[0., NAN, NAN],
            ),
        ];
        for (name, y_true, y_pred, expected) in rows {
            let loss: Loss = name.parse().expect("a loss");
            let mut out = vec![0.0; y_pred.len()];
            let batch = Batch::new(y_true, y_true.len(), y_pred, y_pred.len());
            loss.gradient(&batch, &[1.0], &mut out);
            for (found, expected) in out.iter().zip(expected) {
                let same = (found - expected).abs() <= 1e-6 || found.is_nan() && expected.is_nan();
                assert!(same, "{name} {y_true:?} {y_pred:?}: {out:?}");
            }
        }
    }
}
