//! Values of activation functions in place.

use super::Activation;
use super::math::{exp, exp_as_tensorflow, sigmoid, softplus, tanh};
use crate::simd;

/// selu's scale, and scale times alpha, as TensorFlow has them.
pub(super) const SELU_SCALE: f32 = 1.050_701;
pub(super) const SELU_SCALE_ALPHA: f32 = 1.758_099_3;

/// √(2/π) and the share of the cube in the approximation of gelu.
pub(super) const GELU_SCALE: f32 = 0.797_884_6;
pub(super) const GELU_CUBE: f32 = 0.044_715;

impl Activation {
    /// Replaces `x` by the function of it.
    ///
    /// # Shapes
    ///
    /// * `x` - `[rows, width]`; `width` is the last axis, which softmax and its kin work along
    pub fn forward(&self, x: &mut [f32], width: usize) {
        match *self {
            Self::Linear => {}
            Self::Relu { .. } if *self == Self::RELU => each(x, |x| if x < 0.0 { 0.0 } else { x }),
            Self::Relu {
                negative_slope,
                max_value,
                threshold,
            } => each(x, |x| relu(x, negative_slope, max_value, threshold)),
            Self::Relu6 => each(x, |x| clip(x, 0.0, 6.0)),
            Self::LeakyRelu { negative_slope } => {
                each(x, |x| if x > 0.0 { x } else { negative_slope * x });
            }
            // eˣ - 1 with its rounding near 0, as TensorFlow has it for elu and selu but not for celu.
            Self::Elu { alpha } => each(x, |x| {
                if x < 0.0 {
                    alpha * (exp_as_tensorflow(x) - 1.0)
                } else {
                    x
                }
            }),
            Self::Selu => each(x, |x| {
                if x < 0.0 {
                    SELU_SCALE_ALPHA * (exp_as_tensorflow(x) - 1.0)
                } else {
                    SELU_SCALE * x
                }
            }),
            Self::Celu { alpha } => {
                each(x, |x| x.max(0.0) + alpha * exp_m1(x.min(0.0) / alpha));
            }
            Self::Gelu { approximate: false } => each(x, |x| 0.5 * x * gelu_erfc(x)),
            Self::Gelu { approximate: true } => {
                each(x, |x| 0.5 * x * (1.0 + gelu_tanh(x)));
            }
            Self::Mish => each(x, |x| x * tanh(softplus32(x))),
            Self::TanhShrink => each(x, |x| x - tanh(x)),
            Self::Silu => each(x, |x| x * sigmoid(x)),
            Self::Sigmoid => each(x, sigmoid),
            Self::Tanh => each(x, tanh),
            Self::Exponential => each(x, exp),
            Self::Softsign => each(x, |x| x / (x.abs() + 1.0)),
            Self::HardSigmoid => each(x, hard_sigmoid),
            Self::Keras2HardSigmoid => each(x, |x| clip(0.2 * x + 0.5, 0.0, 1.0)),
            Self::HardSilu => each(x, |x| x * hard_sigmoid(x)),
            Self::HardTanh => each(x, |x| clip(x, -1.0, 1.0)),
            Self::Softplus => each(x, softplus32),
            Self::LogSigmoid => each(x, |x| -softplus32(-x)),
            Self::SoftShrink { threshold } => each(x, |x| {
                if x > threshold {
                    x - threshold
                } else if x < -threshold {
                    x + threshold
                } else {
                    0.0
                }
            }),
            Self::HardShrink { threshold } => {
                each(x, |x| if x.abs() > threshold { x } else { 0.0 });
            }
            Self::Squareplus { b } => each(x, |x| (x + (x * x + b).sqrt()) / 2.0),
            Self::SparsePlus => each(x, |x| {
                if x <= -1.0 {
                    0.0
                } else if x < 1.0 {
                    0.25 * ((x + 1.0) * (x + 1.0))
                } else {
                    x
                }
            }),
            Self::SparseSigmoid => each(x, |x| clip(0.5 * (x + 1.0), 0.0, 1.0)),
            Self::Threshold {
                threshold,
                default_value,
            } => each(x, |x| if x > threshold { x } else { default_value }),
            Self::Softmax => softmax(x, width),
            Self::LogSoftmax => log_softmax(x, width),
            Self::Sparsemax => x.chunks_exact_mut(width.max(1)).for_each(sparsemax),
            Self::Custom(ref own) => x.iter_mut().for_each(|x| *x = own.at(f64::from(*x)) as f32),
        }
    }
}

#[inline(always)]
fn each(x: &mut [f32], f: impl Fn(f32) -> f32) {
    simd::widest(
        #[inline(always)]
        || {
            for x in x {
                *x = f(*x);
            }
        },
    );
}

/// Written so that NaN passes through, as in TensorFlow.
#[inline(always)]
fn clip(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

#[inline(always)]
fn hard_sigmoid(x: f32) -> f32 {
    clip(x + 3.0, 0.0, 6.0) / 6.0
}

fn exp_m1(x: f32) -> f32 {
    f64::from(x).exp_m1() as f32
}

pub(super) fn softplus32(x: f32) -> f32 {
    softplus(f64::from(x)) as f32
}

/// Twice the normal distribution function, of the float32 argument that TensorFlow gives it.
pub(super) fn gelu_erfc(x: f32) -> f32 {
    libm::erfc(f64::from(-x * std::f32::consts::FRAC_1_SQRT_2)) as f32
}

/// The tangent in the approximation of gelu.
#[inline(always)]
pub(super) fn gelu_tanh(x: f32) -> f32 {
    tanh(GELU_SCALE * (x + GELU_CUBE * (x * x * x)))
}

fn relu(x: f32, negative_slope: f32, max_value: Option<f32>, threshold: f32) -> f32 {
    let above = if x > threshold { x } else { 0.0 };
    let clipped = max_value.map_or(above, |max_value| clip(above, 0.0, max_value));
    let below = (threshold - x).max(0.0);
    clipped - negative_slope * below
}

fn largest(row: &[f32]) -> f32 {
    row.iter()
        .fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a })
}

fn softmax(x: &mut [f32], width: usize) {
    let width = width.max(1);
    for row in x.chunks_exact_mut(width) {
        let largest = largest(row);
        row.iter_mut().for_each(|x| *x -= largest);
    }
    // One long loop: rows are often too short to fill vectors.
    each(x, exp);
    for row in x.chunks_exact_mut(width) {
        let inverse = 1.0 / row.iter().sum::<f32>();
        row.iter_mut().for_each(|x| *x *= inverse);
    }
}

fn log_softmax(x: &mut [f32], width: usize) {
    for row in x.chunks_exact_mut(width.max(1)) {
        let largest = largest(row);
        let mut sum = 0.0;
        for x in row.iter_mut() {
            *x -= largest;
            sum += exp(*x);
        }
        let log = sum.ln();
        row.iter_mut().for_each(|x| *x -= log);
    }
}

/// How many elements of a row are in sparsemax's support, and the threshold.
pub(super) struct Support {
    pub count: usize,
    pub tau: f32,
}

/// Sparsemax as Keras has it. Martins and Astudillo (2016) take the sum of the support for the
/// threshold; Keras 3.15 takes the sum of all its partial sums, so that with a support of more than
/// one the outputs no longer add up to 1.
fn sparsemax(row: &mut [f32]) {
    let Support { tau, .. } = sparsemax_support(row);
    row.iter_mut().for_each(|x| *x = (*x - tau).max(0.0));
}

pub(super) fn sparsemax_support(row: &[f32]) -> Support {
    let (mut count, mut partial, mut total) = (0, 0.0, 0.0);
    let mut last = None;
    while let Some(next) = next_largest(row, last) {
        partial += row[next];
        if row[next] - (partial - 1.0) / (count + 1) as f32 <= 0.0 {
            break;
        }
        total += partial;
        count += 1;
        last = Some(next);
    }
    Support {
        count,
        tau: (total - 1.0) / count as f32,
    }
}

/// The largest element after `last` in descending order, the first of equals first. Sorts nothing:
/// supports are small, and rows are not to be copied.
pub(super) fn next_largest(row: &[f32], last: Option<usize>) -> Option<usize> {
    let comes_after =
        |i: usize| last.is_none_or(|last| row[i] < row[last] || row[i] == row[last] && i > last);
    (0..row.len())
        .filter(|&i| comes_after(i))
        .reduce(|best, i| if row[i] > row[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_of_huge_logits_is_finite() {
        let mut x = [1000.0, 999.0, -1000.0, 1.0, 1.0, 1.0];
        Activation::Softmax.forward(&mut x, 3);
        // e / (e + 1) = 0.7310586, and three equal thirds.
        for (x, expected) in x.iter().zip([0.731_058_6, 0.268_941_4, 0.0, 1.0 / 3.0]) {
            assert!((x - expected).abs() < 1e-7, "{x} {expected}");
        }
    }

    #[test]
    fn sparsemax_is_that_of_keras() {
        let mut x = [0.5, 0.3, -2.0, -1.0, 4.0, 2.0];
        Activation::Sparsemax.forward(&mut x, 3);
        // Support {0.5, 0.3}, partial sums 0.5 and 0.8: tau = (1.3 - 1) / 2 = 0.15.
        // Support {4}: tau = 3.
        for (x, expected) in x.iter().zip([0.35, 0.15, 0.0, 0.0, 1.0, 0.0]) {
            assert!((x - expected).abs() < 1e-6, "{x} {expected}");
        }
    }

    #[test]
    fn relu_with_all_parameters_is_keras_piecewise_line() {
        let relu = Activation::Relu {
            negative_slope: 0.5,
            max_value: Some(4.0),
            threshold: 1.0,
        };
        let mut x = [-1.0, 1.0, 2.0, 9.0];
        relu.forward(&mut x, 4);
        // 0.5 * (-1 - 1), nothing at the threshold, itself, the maximum.
        assert_eq!(x, [-1.0, 0.0, 2.0, 4.0]);
    }
}
