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
mod config;
mod crossentropy;
mod elementwise;
mod focal;
mod hinge;
mod math;
mod overlap;
mod regression;
pub(crate) mod similarity;
mod targets;

use crate::activations::Activation;
pub use batch::{Batch, Logits};
use circle::Circle;
use overlap::{Dice, Tversky};
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

/// Weight of the classes in a categorical focal crossentropy.
#[derive(Clone, Debug, PartialEq)]
pub enum Alpha {
    /// The same for every class.
    One(f64),
    /// One for each class, in their order.
    PerClass(Vec<f64>),
}

/// The loss functions of Keras for outputs of one row per sample.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum LossKind {
    /// Mean of `(t - p)²`, for targets t and predictions p as in all of these.
    MeanSquaredError,
    /// Mean of `|t - p|`.
    MeanAbsoluteError,
    /// Mean of `|t - p| / |t|`, in percent.
    MeanAbsolutePercentageError,
    /// Mean of `(ln(1 + t) - ln(1 + p))²`, for values from 0.
    MeanSquaredLogarithmicError,
    /// Minus the cosine of the angle between target and prediction.
    CosineSimilarity,
    /// Half the squared error up to `delta`, a line from there.
    Huber {
        /// Where the parabola becomes a line. Defaults to 1.
        delta: f64,
    },
    /// Mean of `ln(cosh(p - t))`.
    LogCosh,
    /// Mean of `max(1 - t p, 0)`, for targets of -1 and 1; 0 and 1 are read as those.
    Hinge,
    /// Mean of the squared hinge, for targets as in [`LossKind::Hinge`].
    SquaredHinge,
    /// `max(n - Σ t p + 1, 0)`, n the largest `(1 - t) p` of the row, for one-hot targets.
    CategoricalHinge,
    /// `Σ t ln(t / p)`, for probabilities.
    KLDivergence,
    /// Mean of `p - t ln(p)`, for counts.
    Poisson,
    /// Mean of `-t ln(p) - (1 - t) ln(1 - p)`, for targets from 0 to 1.
    BinaryCrossentropy {
        /// Predictions are logits, not probabilities. Defaults to false.
        from_logits: bool,
        /// Pulls targets towards 1/2, in [0, 1]. Defaults to 0.
        label_smoothing: f64,
    },
    /// Binary crossentropy in which easy examples count less, by `(1 - p)^gamma` where p is the
    /// probability of the right answer.
    BinaryFocalCrossentropy {
        /// Weights class 1 by `alpha`, class 0 by `1 - alpha`. Defaults to false.
        apply_class_balancing: bool,
        /// Defaults to 0.25.
        alpha: f64,
        /// Exponent of the focal factor. Defaults to 2.
        gamma: f64,
        /// Defaults to false.
        from_logits: bool,
        /// Defaults to 0.
        label_smoothing: f64,
    },
    /// `-Σ t ln(p)`, for one-hot targets or probabilities of the classes.
    CategoricalCrossentropy {
        /// Predictions are logits, not probabilities. Defaults to false.
        from_logits: bool,
        /// Pulls targets towards 1/classes, in [0, 1]. Defaults to 0.
        label_smoothing: f64,
    },
    /// Categorical crossentropy in which easy examples count less, each class by `(1 - p)^gamma`.
    CategoricalFocalCrossentropy {
        /// Defaults to 0.25 for every class.
        alpha: Alpha,
        /// Exponent of the focal factor. Defaults to 2.
        gamma: f64,
        /// Defaults to false.
        from_logits: bool,
        /// Defaults to 0.
        label_smoothing: f64,
    },
    /// `-ln(p)` of the right class, for targets that are class indices.
    SparseCategoricalCrossentropy {
        /// Predictions are logits, not probabilities. Defaults to false.
        from_logits: bool,
        /// Samples of this class count for nothing. Defaults to none.
        ignore_class: Option<i64>,
    },
    /// `1 - 2 Σ t p / (Σ t + Σ p)`: how little target and prediction overlap.
    Dice {
        /// One loss per row (Keras' `axis=-1`) or, by default, one for the batch (`axis=None`).
        per_row: bool,
    },
    /// [`LossKind::Dice`] with a weight for each kind of error.
    Tversky {
        /// Weight of what is in the target only. Defaults to 0.5.
        alpha: f64,
        /// Weight of what is in the prediction only. Defaults to 0.5.
        beta: f64,
        /// As for [`LossKind::Dice`].
        per_row: bool,
    },
    /// Draws embeddings of a class together and those of different classes apart, for predictions
    /// of unit length and targets that are class indices.
    Circle {
        /// Defaults to 80.
        gamma: f64,
        /// Defaults to 0.4.
        margin: f64,
        /// A sample is not its own partner. Defaults to true.
        remove_diagonal: bool,
    },
    /// `(1 - p^q) / q` with the probability p of the right class: tolerates wrong labels.
    CategoricalGeneralizedCrossEntropy {
        /// Noise parameter, between 0 and 1. Defaults to 0.5.
        q: f64,
    },
    /// Keras' `"crossentropy"`: binary, sparse or categorical by the widths of the batch.
    Crossentropy,
}

impl LossKind {
    /// The function itself, once [`LossKind::Crossentropy`] has seen the widths.
    pub(crate) fn resolved(&self, y_true_width: usize, width: usize) -> Self {
        let (from_logits, label_smoothing) = (false, 0.0);
        match self {
            Self::Crossentropy if width == 1 => Self::BinaryCrossentropy {
                from_logits,
                label_smoothing,
            },
            Self::Crossentropy if y_true_width == 1 => Self::SparseCategoricalCrossentropy {
                from_logits,
                ignore_class: None,
            },
            Self::Crossentropy => Self::CategoricalCrossentropy {
                from_logits,
                label_smoothing,
            },
            other => other.clone(),
        }
    }

    /// Whether the function takes the logits of a last sigmoid or softmax in place of its output.
    pub(crate) fn takes_logits(&self) -> bool {
        match self {
            Self::BinaryCrossentropy { .. }
            | Self::CategoricalCrossentropy { .. }
            | Self::Crossentropy => true,
            Self::SparseCategoricalCrossentropy { ignore_class, .. } => ignore_class.is_none(),
            Self::BinaryFocalCrossentropy { from_logits, .. } => !from_logits,
            _ => false,
        }
    }

    /// Per-sample losses of the batch.
    pub(crate) fn per_sample(&self, batch: &Batch, out: &mut [f32]) {
        let batch = &self.only_usable_logits(batch);
        match self {
            Self::MeanSquaredError => elementwise::mean(batch, out, regression::squared),
            Self::MeanAbsoluteError => elementwise::mean(batch, out, regression::absolute),
            Self::MeanAbsolutePercentageError => {
                elementwise::mean(batch, out, regression::percentage);
                out.iter_mut().for_each(|out| *out *= 100.0);
            }
            Self::MeanSquaredLogarithmicError => {
                elementwise::mean(batch, out, regression::squared_logarithmic);
            }
            Self::CosineSimilarity => {
                by_row(batch, out, |t, p| -similarity::cosine(t, p));
            }
            Self::Huber { delta } => {
                let delta = *delta as f32;
                elementwise::mean(batch, out, |t, p| regression::huber(t, p, delta));
            }
            Self::LogCosh => elementwise::mean(batch, out, regression::log_cosh),
            Self::Hinge if hinge::is_binary(batch.y_true) => {
                elementwise::mean(batch, out, |t, p| hinge::hinge(2.0 * t - 1.0, p));
            }
            Self::Hinge => elementwise::mean(batch, out, hinge::hinge),
            Self::SquaredHinge => {
                let binary = hinge::is_binary(batch.y_true);
                elementwise::mean(batch, out, |t, p| {
                    let margin = hinge::hinge(if binary { 2.0 * t - 1.0 } else { t }, p);
                    margin * margin
                });
            }
            Self::CategoricalHinge => by_row(batch, out, hinge::categorical),
            Self::KLDivergence => by_row(batch, out, similarity::kl_divergence),
            Self::Poisson => elementwise::mean(batch, out, regression::poisson),
            Self::BinaryCrossentropy {
                from_logits,
                label_smoothing,
            } => crossentropy::binary(batch, *from_logits, *label_smoothing, out),
            Self::BinaryFocalCrossentropy {
                apply_class_balancing,
                alpha,
                gamma,
                from_logits,
                label_smoothing,
            } => focal::Binary::new(
                *apply_class_balancing,
                *alpha,
                *gamma,
                *from_logits,
                *label_smoothing,
            )
            .value(batch, out),
            Self::CategoricalCrossentropy {
                from_logits,
                label_smoothing,
            } => crossentropy::categorical(batch, *from_logits, *label_smoothing, out),
            Self::CategoricalFocalCrossentropy {
                alpha,
                gamma,
                from_logits,
                label_smoothing,
            } => focal::Categorical::new(
                alpha,
                *gamma,
                *from_logits,
                *label_smoothing,
                batch.y_true_width,
            )
            .value(batch, out),
            Self::SparseCategoricalCrossentropy {
                from_logits,
                ignore_class,
            } => crossentropy::sparse(batch, *from_logits, *ignore_class, out),
            Self::Dice { per_row } => overlap::value(Dice, *per_row, batch, out),
            Self::Tversky {
                alpha,
                beta,
                per_row,
            } => overlap::value(Tversky::new(*alpha, *beta), *per_row, batch, out),
            Self::Circle {
                gamma,
                margin,
                remove_diagonal,
            } => Circle::new(*gamma, *margin, *remove_diagonal).value(batch, out),
            Self::CategoricalGeneralizedCrossEntropy { q } => {
                by_row(batch, out, |t, p| similarity::generalized(t, p, *q as f32));
            }
            Self::Crossentropy => {
                let kind = self.resolved(batch.y_true_width, batch.width);
                kind.per_sample(batch, out);
            }
        }
    }

    /// `out = d(Σ scale[i] · loss_i)`, to the logits where the function takes them.
    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        let batch = &self.only_usable_logits(batch);
        match self {
            Self::MeanSquaredError => {
                elementwise::gradient(batch, scale, out, regression::squared_d);
            }
            Self::MeanAbsoluteError => {
                elementwise::gradient(batch, scale, out, regression::absolute_d);
            }
            Self::MeanAbsolutePercentageError => {
                elementwise::gradient(batch, scale, out, regression::percentage_d);
            }
            Self::MeanSquaredLogarithmicError => {
                elementwise::gradient(batch, scale, out, regression::squared_logarithmic_d);
            }
            Self::CosineSimilarity => similarity::cosine_gradient(batch, scale, out),
            Self::Huber { delta } => {
                let delta = *delta as f32;
                elementwise::gradient(batch, scale, out, |g, t, p| {
                    regression::huber_d(g, t, p, delta)
                });
            }
            Self::LogCosh => elementwise::gradient(batch, scale, out, regression::log_cosh_d),

            Self::Hinge | Self::SquaredHinge => {
                let binary = hinge::is_binary(batch.y_true);
                let squared = *self == Self::SquaredHinge;
                elementwise::gradient(batch, scale, out, |g, t, p| {
                    let t = if binary { 2.0 * t - 1.0 } else { t };
                    if squared {
                        hinge::squared_hinge_d(g, t, p)
                    } else {
                        hinge::hinge_d(g, t, p)
                    }
                });
            }
            Self::CategoricalHinge => hinge::categorical_gradient(batch, scale, out),
            Self::KLDivergence => similarity::kl_gradient(batch, scale, out),
            Self::Poisson => elementwise::gradient(batch, scale, out, regression::poisson_d),
            Self::BinaryCrossentropy {
                from_logits,
                label_smoothing,
            } => crossentropy::binary_gradient(batch, *from_logits, *label_smoothing, scale, out),
            Self::BinaryFocalCrossentropy {
                apply_class_balancing,
                alpha,
                gamma,
                from_logits,
                label_smoothing,
            } => focal::Binary::new(
                *apply_class_balancing,
                *alpha,
                *gamma,
                *from_logits,
                *label_smoothing,
            )
            .gradient(batch, scale, out),
            Self::CategoricalCrossentropy {
                from_logits,
                label_smoothing,
            } => {
                crossentropy::categorical_gradient(
                    batch,
                    *from_logits,
                    *label_smoothing,
                    scale,
                    out,
                );
            }
            Self::CategoricalFocalCrossentropy {
                alpha,
                gamma,
                from_logits,
                label_smoothing,
            } => focal::Categorical::new(
                alpha,
                *gamma,
                *from_logits,
                *label_smoothing,
                batch.y_true_width,
            )
            .gradient(batch, scale, out),
            Self::SparseCategoricalCrossentropy {
                from_logits,
                ignore_class,
            } => crossentropy::sparse_gradient(batch, *from_logits, *ignore_class, scale, out),
            Self::Dice { per_row } => overlap::gradient(Dice, *per_row, batch, scale, out),
            Self::Tversky {
                alpha,
                beta,
                per_row,
            } => {
                let tversky = Tversky::new(*alpha, *beta);
                overlap::gradient(tversky, *per_row, batch, scale, out);
            }
            Self::Circle {
                gamma,
                margin,
                remove_diagonal,
            } => Circle::new(*gamma, *margin, *remove_diagonal).gradient(batch, scale, out),
            Self::CategoricalGeneralizedCrossEntropy { q } => {
                similarity::generalized_gradient(batch, scale, *q as f32, out);
            }
            Self::Crossentropy => {
                let kind = self.resolved(batch.y_true_width, batch.width);
                kind.gradient(batch, scale, out);
            }
        }
    }

    fn only_usable_logits<'a>(&self, batch: &Batch<'a>) -> Batch<'a> {
        Batch {
            logits: batch.logits.filter(|_| self.takes_logits()),
            ..*batch
        }
    }

    /// Whether the sample is masked, so that Keras gives its weight to the others.
    pub(crate) fn masks(&self) -> bool {
        matches!(
            self,
            Self::SparseCategoricalCrossentropy {
                ignore_class: Some(_),
                ..
            } | Self::Circle { .. }
        )
    }

    /// Whether row `i` of the batch, of loss `loss`, counts.
    pub(crate) fn counts(&self, batch: &Batch, i: usize, loss: f32) -> bool {
        match self {
            Self::SparseCategoricalCrossentropy { ignore_class, .. } => {
                let target = batch.y_true.get(i..i + 1).unwrap_or_default();
                !crossentropy::ignored(target, *ignore_class)
            }
            Self::Circle { .. } => loss > 0.0,
            _ => true,
        }
    }

    /// Whether the batch has one loss, which every row repeats.
    fn is_of_batch(&self) -> bool {
        matches!(
            self,
            Self::Dice { per_row: false } | Self::Tversky { per_row: false, .. }
        )
    }
}

impl Loss {
    /// The loss with Keras' default name and reduction.
    pub fn new(kind: LossKind) -> Self {
        Self {
            name: kind.default_name().to_owned(),
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
        Logits::of(last, &[]).is_some() && self.kind.takes_logits()
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
            None if self.kind.is_of_batch() => return out.fill(1.0 / rows),
            None => out.fill(1.0),
        }
        let mut counted = rows;
        if self.kind.masks() {
            for (i, (out, &loss)) in out.iter_mut().zip(per_sample).enumerate() {
                if !self.kind.counts(batch, i, loss) {
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
        let is_one = self.kind.is_of_batch() && scale.iter().all(|&s| s == 1.0 / count as f32);
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

/// `out[i] = f(y_true[i], y_pred[i])`.
fn by_row(batch: &Batch, out: &mut [f32], f: impl Fn(&[f32], &[f32]) -> f32) {
    for (out, (t, p)) in out.iter_mut().zip(batch.pairs()) {
        *out = f(t, p);
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
        let loss = Loss::new(LossKind::CategoricalGeneralizedCrossEntropy { q: 0.7 });
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
