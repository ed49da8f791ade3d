//! Per-element values and derivatives (to the prediction) of the regression losses.
//!
//! `t` is the target, `p` the prediction, `g` the gradient from above; formulas, constants, the value
//! at every kink and the order of operations are those of `keras.losses` on TensorFlow.

use super::EPSILON;
use super::math::at_least;
use crate::activations::math::exp_as_tensorflow;

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

#[inline(always)]
pub(super) fn squared(t: f32, p: f32) -> f32 {
    (t - p) * (t - p)
}
#[inline(always)]
pub(super) fn squared_d(g: f32, t: f32, p: f32) -> f32 {
    g * (2.0 * (p - t))
}

#[inline(always)]
pub(super) fn absolute(t: f32, p: f32) -> f32 {
    (t - p).abs()
}
#[inline(always)]
pub(super) fn absolute_d(g: f32, t: f32, p: f32) -> f32 {
    g * sign(p - t)
}

/// In percent, once multiplied by 100 after the mean.
#[inline(always)]
pub(super) fn percentage(t: f32, p: f32) -> f32 {
    ((t - p) / denominator(t)).abs()
}
#[inline(always)]
pub(super) fn percentage_d(g: f32, t: f32, p: f32) -> f32 {
    100.0 * g * sign(p - t) / denominator(t)
}

pub(super) fn squared_logarithmic(t: f32, p: f32) -> f32 {
    let d = (at_least(p, EPSILON) + 1.0).ln() - (at_least(t, EPSILON) + 1.0).ln();
    d * d
}
pub(super) fn squared_logarithmic_d(g: f32, t: f32, p: f32) -> f32 {
    // As through a clip: nothing for a NaN.
    if p.is_nan() || p < EPSILON {
        return 0.0;
    }
    let d = (p + 1.0).ln() - (at_least(t, EPSILON) + 1.0).ln();
    g * (2.0 * d) / (p + 1.0)
}

#[inline(always)]
pub(super) fn huber(t: f32, p: f32, delta: f32) -> f32 {
    let error = p - t;
    let size = error.abs();
    if size <= delta {
        0.5 * (error * error)
    } else {
        delta * size - 0.5 * (delta * delta)
    }
}
#[inline(always)]
pub(super) fn huber_d(g: f32, t: f32, p: f32, delta: f32) -> f32 {
    let error = p - t;
    if error.abs() <= delta {
        g * error
    } else {
        // TensorFlow adds 0 times the slope of the other side: NaN where that is infinite.
        g * delta * sign(error) + 0.0 * error
    }
}

/// `log(cosh(p - t))` as `x + softplus(-2x) - log 2`, which does not overflow.
pub(super) fn log_cosh(t: f32, p: f32) -> f32 {
    let x = p - t;
    x + softplus(-2.0 * x) - std::f32::consts::LN_2
}
/// `g tanh(p - t)`, as the difference that it is in TensorFlow.
pub(super) fn log_cosh_d(g: f32, t: f32, p: f32) -> f32 {
    g - 2.0 * (g / (exp_as_tensorflow(2.0 * (p - t)) + 1.0))
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

pub(super) fn poisson(t: f32, p: f32) -> f32 {
    p - t * (p + EPSILON).ln()
}
pub(super) fn poisson_d(g: f32, t: f32, p: f32) -> f32 {
    g - g * t * (1.0 / (p + EPSILON))
}
