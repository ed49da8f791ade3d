//! The loss functions, one row each: what there is to know of one is in its own file.

use serde_json::{Map, Value};

use super::batch::Batch;
use super::circle::Circle;
use super::crossentropy::{
    BinaryCrossentropy, CategoricalCrossentropy, Crossentropy, SparseCategoricalCrossentropy,
};
use super::focal::{BinaryFocalCrossentropy, CategoricalFocalCrossentropy};
use super::hinge::{CategoricalHinge, Hinge, SquaredHinge};
use super::overlap::{Dice, Tversky};
use super::regression::{
    Huber, LogCosh, MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredError,
    MeanSquaredLogarithmicError, Poisson,
};
use super::similarity::{CategoricalGeneralizedCrossEntropy, CosineSimilarity, KLDivergence};
use super::targets::Wanted;
use crate::Result;
use crate::custom::{AnyLoss, Own};
use crate::keras::Object;

/// What the outputs of a model that is trained with a loss say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Numbers.
    Numbers,
    /// No or yes, each by its probability.
    Probability,
    /// No or yes, each by its logit.
    Logit,
    /// No or yes, below and above 0.
    Sign,
    /// No or yes, on a scale that the loss leaves open.
    Overlap,
    /// One of several classes.
    Class,
    /// How probable each of several classes is.
    Distribution,
}

/// A loss function with its options. Those of a batch come in rows, as [`Batch`] has them.
pub(crate) trait LossFunction {
    /// From Keras' config; without options, what there is.
    fn read(_options: &Object) -> Result<Self>
    where
        Self: Sized + Default,
    {
        Ok(Self::default())
    }

    /// Checks `axis`, which is the last one but where a loss has others, too.
    fn check_axis(options: &Object) -> Result<()>
    where
        Self: Sized,
    {
        options.last_axis()
    }

    /// The name that Keras' class gives itself, where that is not the function's.
    fn own_name(&self) -> Option<&'static str> {
        None
    }

    /// The options as Keras' own `get_config` has them.
    fn options(&self) -> Map<String, Value> {
        Map::new()
    }

    /// The loss of every row: `out[rows]`.
    fn value(&self, batch: &Batch, out: &mut [f32]);

    /// `out = d(Σ scale[i] · loss_i)`, `[rows, width]`; to the logits where the batch has them.
    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]);

    /// What targets there have to be.
    fn wanted(&self) -> Wanted;

    /// What the outputs say.
    fn answer(&self) -> Answer;

    /// Whether it takes the logits of a last sigmoid or softmax in place of its output.
    fn takes_logits(&self) -> bool {
        false
    }

    /// Whether samples may be masked, so that Keras gives their weights to the others.
    fn masks(&self) -> bool {
        false
    }

    /// Whether row `i` of the batch, of loss `loss`, counts.
    fn counts(&self, _batch: &Batch, _i: usize, _loss: f32) -> bool {
        true
    }

    /// Whether the batch has one loss, which every row repeats.
    fn is_of_batch(&self) -> bool {
        false
    }

    /// Whether a target is one of `classes` classes; anything goes where targets are no classes.
    fn is_label(&self, _target: f32, _classes: usize) -> bool {
        true
    }

    /// What is wrong with the options for so many outputs.
    fn flaw(&self, _width: usize) -> Option<String> {
        None
    }

    /// Whether targets of that width fit predictions of this one; if not, what would. `flat` targets
    /// have an axis less.
    fn check_widths(&self, flat: bool, y_true_width: usize, width: usize) -> Result<(), String> {
        self.wanted().check_axes(flat, y_true_width, width)
    }

    /// The function that it is once the widths are known, where it depends on them.
    fn resolved(&self, _y_true_width: usize, _width: usize) -> Option<LossKind> {
        None
    }

    /// Keras' class of the metric that is its mean; none where that is a function in a wrapper.
    fn metric_class(&self) -> Option<&'static str> {
        None
    }

    /// Its options as that metric has them.
    fn metric_options(&self) -> Map<String, Value> {
        self.options()
    }

    /// Whether, as a metric, it compares every prediction with every target where targets of `[rows]`
    /// meet predictions of `[rows, 1]`. Keras lines up the axes in some functions; others it leaves to
    /// broadcasting.
    fn crosses(&self) -> bool {
        false
    }
}

/// Keras' names of a function.
struct Names {
    class: &'static str,
    function: &'static str,
    others: &'static [&'static str],
}

/// Declares [`LossKind`] and its dispatch, once for every loss: class, function, other
/// names.
macro_rules! losses {
    ($($kind:ident = $class:literal, $function:literal, $others:expr;)*) => {
        /// The loss functions of Keras for outputs of one row per sample, and those of one's own.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum LossKind {
            $(#[doc = concat!("See [`", stringify!($kind), "`](super::", stringify!($kind), ").")]
            $kind($kind),)*
            /// One's own; see [`CustomLoss`](crate::custom::CustomLoss).
            Custom(Own<dyn AnyLoss>),
        }

        /// In the order of [`LossKind`].
        const NAMES: &[Names] = &[
            $(Names { class: $class, function: $function, others: &$others },)*
        ];

        impl LossKind {
            pub(crate) fn function(&self) -> &dyn LossFunction {
                match self {
                    $(Self::$kind(loss) => loss,)*
                    Self::Custom(loss) => loss,
                }
            }

            /// Keras' class, `MeanSquaredError`.
            pub fn class_name(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $class,)*
                    Self::Custom(loss) => loss.class_name(),
                }
            }

            /// Keras' function, `mean_squared_error`; the class of one's own.
            pub fn function_name(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $function,)*
                    Self::Custom(loss) => loss.class_name(),
                }
            }

            /// The name that Keras' class gives itself.
            pub(super) fn default_name(&self) -> String {
                match self {
                    $(Self::$kind(loss) => loss.own_name().unwrap_or($function).to_owned(),)*
                    Self::Custom(loss) => loss.default_name(),
                }
            }

            /// The function of that class, function or short name, with options from a config.
            ///
            /// # Errors
            ///
            /// [`Error::Value`](crate::Error::Value) for an option out of range,
            /// [`Error::Unsupported`](crate::Error::Unsupported) for what rows of outputs do not have.
            pub(crate) fn named(name: &str, options: &Object) -> Result<Option<Self>> {
                let is = |names: &&Names| {
                    names.class == name || names.function == name || names.others.contains(&name)
                };
                match NAMES.iter().find(is).map(|names| names.class) {
                    $(Some($class) => {
                        options.single_precision()?;
                        $kind::check_axis(options)?;
                        Ok(Some(Self::$kind($kind::read(options)?)))
                    })*
                    _ => Ok(None),
                }
            }
        }

        $(impl From<$kind> for LossKind {
            fn from(loss: $kind) -> Self {
                Self::$kind(loss)
            }
        }

        impl From<$kind> for super::Loss {
            fn from(loss: $kind) -> Self {
                Self::new(loss)
            }
        })*
    };
}

losses! {
    MeanSquaredError = "MeanSquaredError", "mean_squared_error", ["mse", "MSE"];
    MeanAbsoluteError = "MeanAbsoluteError", "mean_absolute_error", ["mae", "MAE"];
    MeanAbsolutePercentageError = "MeanAbsolutePercentageError", "mean_absolute_percentage_error", ["mape", "MAPE"];
    MeanSquaredLogarithmicError = "MeanSquaredLogarithmicError", "mean_squared_logarithmic_error", ["msle", "MSLE"];
    CosineSimilarity = "CosineSimilarity", "cosine_similarity", [];
    Huber = "Huber", "huber", ["huber_loss"];
    LogCosh = "LogCosh", "log_cosh", ["logcosh"];
    Hinge = "Hinge", "hinge", [];
    SquaredHinge = "SquaredHinge", "squared_hinge", [];
    CategoricalHinge = "CategoricalHinge", "categorical_hinge", [];
    KLDivergence = "KLDivergence", "kl_divergence", ["kld", "KLD", "kullback_leibler_divergence"];
    Poisson = "Poisson", "poisson", [];
    BinaryCrossentropy = "BinaryCrossentropy", "binary_crossentropy", ["bce", "BCE"];
    BinaryFocalCrossentropy = "BinaryFocalCrossentropy", "binary_focal_crossentropy", [];
    CategoricalCrossentropy = "CategoricalCrossentropy", "categorical_crossentropy", [];
    CategoricalFocalCrossentropy = "CategoricalFocalCrossentropy", "categorical_focal_crossentropy", [];
    SparseCategoricalCrossentropy = "SparseCategoricalCrossentropy", "sparse_categorical_crossentropy", [];
    Dice = "Dice", "dice", [];
    Tversky = "Tversky", "tversky", [];
    Circle = "Circle", "circle", [];
    CategoricalGeneralizedCrossEntropy = "CategoricalGeneralizedCrossEntropy", "categorical_generalized_cross_entropy", [];
    Crossentropy = "crossentropy", "crossentropy", ["ce"];
}

impl LossKind {
    /// The functions that there are, for messages.
    pub(super) fn functions() -> Vec<&'static str> {
        NAMES.iter().map(|names| names.function).collect()
    }

    /// Keras' function by any of its names.
    pub(crate) fn long_name(name: &str) -> Option<&'static str> {
        let found = NAMES.iter().find(|names| names.others.contains(&name));
        found.map(|names| names.function)
    }

    /// The function itself, once [`Crossentropy`] has seen the widths.
    pub(crate) fn resolved(&self, y_true_width: usize, width: usize) -> Self {
        let resolved = self.function().resolved(y_true_width, width);
        resolved.unwrap_or_else(|| self.clone())
    }

    /// Per-sample losses of the batch.
    pub(crate) fn per_sample(&self, batch: &Batch, out: &mut [f32]) {
        self.function().value(&self.only_usable_logits(batch), out);
    }

    /// `out = d(Σ scale[i] · loss_i)`, to the logits where the function takes them.
    pub(super) fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        let batch = self.only_usable_logits(batch);
        self.function().gradient(&batch, scale, out);
    }

    fn only_usable_logits<'a>(&self, batch: &Batch<'a>) -> Batch<'a> {
        Batch {
            logits: batch.logits.filter(|_| self.function().takes_logits()),
            ..*batch
        }
    }
}
