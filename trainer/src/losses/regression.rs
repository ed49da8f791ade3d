//! The regression losses: the mean over a row of something of each element alone.
//!
//! `t` is the target, `p` the prediction, `g` the gradient from above; formulas, constants, the value
//! at every kink and the order of operations are those of `keras.losses` on TensorFlow.

use serde_json::{Map, Value, json};

use super::EPSILON;
use super::batch::Batch;
use super::elementwise::{gradient, mean};
use super::kind::{Answer, LossFunction};
use super::math::at_least;
use super::targets::Wanted;
use crate::Result;
use crate::activations::math::exp_as_tensorflow;
use crate::keras::{Object, entries};

/// Mean of `(t - p)²`, for targets t and predictions p as in all of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeanSquaredError;

/// Mean of `|t - p|`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeanAbsoluteError;

/// Mean of `|t - p| / |t|`, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeanAbsolutePercentageError;

/// Mean of `(ln(1 + t) - ln(1 + p))²`, for values from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeanSquaredLogarithmicError;

/// Half the squared error up to `delta`, a line from there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Huber {
    /// Where the parabola becomes a line. Defaults to 1.
    pub delta: f64,
}

/// Mean of `ln(cosh(p - t))`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCosh;

/// Mean of `p - t ln(p)`, for counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Poisson;

impl Default for Huber {
    fn default() -> Self {
        Self { delta: 1.0 }
    }
}

/// What all of them have alike.
macro_rules! numbers {
    ($metric_class:expr) => {
        fn wanted(&self) -> Wanted {
            Wanted::Elementwise
        }

        fn answer(&self) -> Answer {
            Answer::Numbers
        }

        fn metric_class(&self) -> Option<&'static str> {
            $metric_class
        }
    };
}

impl LossFunction for MeanSquaredError {
    numbers!(Some("MeanSquaredError"));

    fn value(&self, batch: &Batch, out: &mut [f32]) {
        mean(batch, out, |t, p| (t - p) * (t - p));
    }

    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        gradient(batch, scale, out, |g, t, p| g * (2.0 * (p - t)));
    }
}

impl LossFunction for MeanAbsoluteError {
    numbers!(Some("MeanAbsoluteError"));

    fn value(&self, batch: &Batch, out: &mut [f32]) {
        mean(batch, out, |t, p| (t - p).abs());
    }

    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        gradient(batch, scale, out, |g, t, p| g * sign(p - t));
    }
}

impl LossFunction for MeanAbsolutePercentageError {
    numbers!(Some("MeanAbsolutePercentageError"));

    fn value(&self, batch: &Batch, out: &mut [f32]) {
        mean(batch, out, |t, p| ((t - p) / denominator(t)).abs());
        out.iter_mut().for_each(|out| *out *= 100.0);
    }

    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        gradient(batch, scale, out, |g, t, p| {
            100.0 * g * sign(p - t) / denominator(t)
        });
    }
}

impl LossFunction for MeanSquaredLogarithmicError {
    numbers!(Some("MeanSquaredLogarithmicError"));

    fn value(&self, batch: &Batch, out: &mut [f32]) {
        mean(batch, out, |t, p| {
            let d = (at_least(p, EPSILON) + 1.0).ln() - (at_least(t, EPSILON) + 1.0).ln();
            d * d
        });
    }

    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        gradient(batch, scale, out, |g, t, p| {
            // As through a clip: nothing for a NaN.
            if p.is_nan() || p < EPSILON {
                return 0.0;
            }
            let d = (p + 1.0).ln() - (at_least(t, EPSILON) + 1.0).ln();
            g * (2.0 * d) / (p + 1.0)
        });
    }
}

impl LossFunction for Huber {
    numbers!(None);

    fn read(options: &Object) -> Result<Self> {
        Ok(Self {
            delta: options.number_or("delta", 1.0)?,
        })
    }

    fn own_name(&self) -> Option<&'static str> {
        Some("huber_loss")
    }

    /// Keras forgets its delta, but reads it back.
    fn options(&self) -> Map<String, Value> {
        match self.delta {
            1.0 => Map::new(),
            delta => entries([("delta", json!(delta))]),
        }
    }

    fn value(&self, batch: &Batch, out: &mut [f32]) {
        let delta = self.delta as f32; // Keras computes in f32
        mean(batch, out, |t, p| {
            let error = p - t;
            let size = error.abs();
            if size <= delta {
                0.5 * (error * error)
            } else {
                delta * size - 0.5 * (delta * delta)
            }
        });
    }

    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        let delta = self.delta as f32;
        gradient(batch, scale, out, |g, t, p| {
            let error = p - t;
            if error.abs() <= delta {
                g * error
            } else {
                // TensorFlow adds 0 times the slope of the other side: NaN where that is infinite.
                g * delta * sign(error) + 0.0 * error
            }
        });
    }
}

impl LossFunction for LogCosh {
    numbers!(Some("LogCoshError"));

    /// `log(cosh(p - t))` as `x + softplus(-2x) - log 2`, which does not overflow.
    fn value(&self, batch: &Batch, out: &mut [f32]) {
        mean(batch, out, |t, p| {
            let x = p - t;
            x + softplus(-2.0 * x) - std::f32::consts::LN_2
        });
    }

    /// `g tanh(p - t)`, as the difference that it is in TensorFlow.
    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        gradient(batch, scale, out, |g, t, p| {
            g - 2.0 * (g / (exp_as_tensorflow(2.0 * (p - t)) + 1.0))
        });
    }
}

impl LossFunction for Poisson {
    numbers!(Some("Poisson"));

    fn value(&self, batch: &Batch, out: &mut [f32]) {
        mean(batch, out, |t, p| p - t * (p + EPSILON).ln());
    }

    fn gradient(&self, batch: &Batch, scale: &[f32], out: &mut [f32]) {
        gradient(batch, scale, out, |g, t, p| {
            g - g * t * (1.0 / (p + EPSILON))
        });
    }

    fn crosses(&self) -> bool {
        true
    }
}

/// `max(|t|, 1e-7)`: what an error is a percentage of.
#[inline(always)]
fn denominator(t: f32) -> f32 {
    at_least(t.abs(), EPSILON)
}

/// -1, 0 or 1: `f32::signum` gives 1 for zero, TensorFlow's `sign` gives 0.
#[inline(always)]
fn sign(x: f32) -> f32 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        x
    }
}

/// `log(1 + e^x)` with TensorFlow's two shortcuts for large |x|.
pub(super) fn softplus(x: f32) -> f32 {
    // log(f32 epsilon) + 2
    const THRESHOLD: f32 = -13.942_385;
    if x > -THRESHOLD {
        x
    } else if x < THRESHOLD {
        exp_as_tensorflow(x)
    } else {
        log1p(exp_as_tensorflow(x))
    }
}

/// `log(1 + q)` with the rounding of Eigen's form, which TensorFlow uses.
fn log1p(q: f32) -> f32 {
    let sum = q + 1.0;
    let log = sum.ln();
    if sum == 1.0 || sum == log {
        q
    } else {
        q * (log / (sum - 1.0))
    }
}
