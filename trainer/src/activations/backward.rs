//! Slopes of activation functions, at kinks as TensorFlow has them.

use super::Activation;
use super::forward::{
    GELU_CUBE, GELU_SCALE, SELU_SCALE, SELU_SCALE_ALPHA, gelu_erfc, gelu_tanh, next_largest,
    softplus32, sparsemax_support,
};
use super::math::{exp, sigmoid, tanh};
use crate::simd;

impl Activation {
    /// Replaces `dy`, the gradient with respect to the output, by that with respect to the input.
    ///
    /// # Shapes
    ///
    /// * `x` - `[rows, width]`, the input; may be empty unless [`Activation::needs_input`]
    /// * `y`, `dy` - `[rows, width]`, the output and its gradient
    pub fn backward(&self, x: &[f32], y: &[f32], dy: &mut [f32], width: usize) {
        match *self {
            Self::Linear => {}
            Self::Relu { .. } if *self == Self::RELU => {
                // Not 0: a gradient that is no number shows on the way back, as on TensorFlow.
                each(y, dy, |y, dy| if y > 0.0 { dy } else { 0.0 * dy });
            }
            Self::Relu {
                negative_slope,
                max_value,
                threshold,
            } => each(x, dy, |x, dy| {
                relu(x, negative_slope, max_value, threshold) * dy
            }),
            Self::Relu6 => each(
                y,
                dy,
                |y, dy| if y > 0.0 && y < 6.0 { dy } else { 0.0 * dy },
            ),
            Self::LeakyRelu { negative_slope } => {
                // The sign of y is that of x unless the slope is negative.
                let sign = if negative_slope < 0.0 { x } else { y };
                each(
                    sign,
                    dy,
                    |s, dy| if s > 0.0 { dy } else { negative_slope * dy },
                );
            }
            Self::Elu { alpha: 1.0 } => {
                each(y, dy, |y, dy| if y < 0.0 { (y + 1.0) * dy } else { dy });
            }
            Self::Elu { alpha } => each(x, dy, |x, dy| {
                if x > 0.0 {
                    dy
                } else {
                    let y = exp(x) - 1.0;
                    (y + 1.0) * (alpha * dy)
                }
            }),
            Self::Selu => each(y, dy, |y, dy| {
                if y < 0.0 {
                    (y + SELU_SCALE_ALPHA) * dy
                } else {
                    SELU_SCALE * dy
                }
            }),
            Self::Celu { alpha } => each(x, dy, |x, dy| {
                // Both the maximum and the minimum with 0 pass the gradient on at 0: the slope
                // there is 2 in Keras on TensorFlow.
                let above = if x >= 0.0 { dy } else { 0.0 };
                let below = if x <= 0.0 { exp(x / alpha) * dy } else { 0.0 };
                above + below
            }),
            Self::Gelu { approximate: false } => each(x, dy, |x, dy| {
                const TWO_OVER_ROOT_PI: f32 = std::f32::consts::FRAC_2_SQRT_PI;
                const ROOT_HALF: f32 = std::f32::consts::FRAC_1_SQRT_2;
                let z = x * ROOT_HALF;
                let density = TWO_OVER_ROOT_PI * exp(-(z * z)) * ROOT_HALF;
                0.5 * dy * gelu_erfc(x) + 0.5 * x * dy * density
            }),
            Self::Gelu { approximate: true } => each(x, dy, |x, dy| {
                let t = gelu_tanh(x);
                let inner = GELU_SCALE * (1.0 + GELU_CUBE * (3.0 * (x * x)));
                0.5 * dy * (1.0 + t) + 0.5 * x * dy * (1.0 - t * t) * inner
            }),
            Self::Silu => each(x, dy, |x, dy| {
                let s = sigmoid(x);
                dy * (s * (1.0 + x * (1.0 - s)))
            }),
            Self::Mish => each(x, dy, |x, dy| {
                let t = tanh(softplus32(x));
                dy * t + dy * x * (1.0 - t * t) * sigmoid(x)
            }),
            Self::Softplus => each(x, dy, |x, dy| dy / (exp(-x) + 1.0)),
            Self::LogSigmoid => each(x, dy, |x, dy| dy / (exp(x) + 1.0)),
            Self::Softsign => each(x, dy, |x, dy| {
                let d = 1.0 + x.abs();
                dy / (d * d)
            }),
            Self::Sigmoid => each(y, dy, |y, dy| dy * y * (1.0 - y)),
            Self::HardSigmoid => {
                each(y, dy, |y, dy| {
                    if y > 0.0 && y < 1.0 {
                        dy / 6.0
                    } else {
                        0.0 * dy
                    }
                });
            }
            Self::Keras2HardSigmoid => each(y, dy, |y, dy| match y > 0.0 && y < 1.0 {
                true => dy * 0.2,
                false => 0.0,
            }),
            Self::HardSilu => each(x, dy, |x, dy| {
                let inner = x + 3.0;
                if inner <= 0.0 {
                    0.0 * dy
                } else if inner < 6.0 {
                    inner / 6.0 * dy + x * dy / 6.0
                } else {
                    dy
                }
            }),
            Self::Tanh => each(y, dy, |y, dy| dy * (1.0 - y * y)),
            Self::TanhShrink => each(x, dy, |x, dy| {
                let y = tanh(x);
                dy - dy * (1.0 - y * y)
            }),
            Self::HardTanh => each(x, dy, |x, dy| if x.abs() <= 1.0 { dy } else { 0.0 }),
            Self::SoftShrink { threshold } | Self::HardShrink { threshold } => {
                each(x, dy, |x, dy| if x.abs() > threshold { dy } else { 0.0 });
            }
            Self::Exponential => each(y, dy, |y, dy| dy * y),
            Self::Squareplus { b } => each(x, dy, |x, dy| {
                let half = dy / 2.0;
                half + half * (0.5 / (x * x + b).sqrt()) * (2.0 * x)
            }),
            Self::SparsePlus => each(x, dy, |x, dy| {
                if x <= -1.0 {
                    0.0
                } else if x < 1.0 {
                    0.25 * dy * (2.0 * (x + 1.0))
                } else {
                    dy
                }
            }),
            Self::SparseSigmoid => {
                each(
                    y,
                    dy,
                    |y, dy| if y > 0.0 && y < 1.0 { 0.5 * dy } else { 0.0 },
                );
            }
            Self::Threshold { threshold, .. } => {
                each(x, dy, |x, dy| if x > threshold { dy } else { 0.0 });
            }
            Self::Softmax => rows(y, dy, width, |y, dy| {
                let along: f32 = y.iter().zip(&*dy).map(|(y, dy)| dy * y).sum();
                each(y, dy, |y, dy| (dy - along) * y);
            }),
            Self::LogSoftmax => rows(y, dy, width, |y, dy| {
                let total: f32 = dy.iter().sum();
                each(y, dy, |y, dy| dy - total * exp(y));
            }),
            Self::Sparsemax => {
                let width = width.max(1);
                for (x, dy) in x.chunks_exact(width).zip(dy.chunks_exact_mut(width)) {
                    sparsemax(x, dy);
                }
            }
            Self::Custom(ref own) => {
                for (dy, &x) in dy.iter_mut().zip(x) {
                    *dy = (f64::from(*dy) * own.slope_at(f64::from(x))) as f32;
                }
            }
        }
    }
}

#[inline(always)]
fn each(at: &[f32], dy: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    simd::widest(
        #[inline(always)]
        || {
            for (dy, &at) in dy.iter_mut().zip(at) {
                *dy = f(at, *dy);
            }
        },
    );
}

fn rows(y: &[f32], dy: &mut [f32], width: usize, mut f: impl FnMut(&[f32], &mut [f32])) {
    let width = width.max(1);
    for (y, dy) in y.chunks_exact(width).zip(dy.chunks_exact_mut(width)) {
        f(y, dy);
    }
}

/// Through the threshold too, which has the slope `(k - rank) / k` by an element of the support.
fn sparsemax(x: &[f32], dy: &mut [f32]) {
    let support = sparsemax_support(x);
    let mut total = 0.0;
    for (dy, &x) in dy.iter_mut().zip(x) {
        if x < support.tau {
            *dy = 0.0;
        }
        total += *dy;
    }
    let mut last = None;
    for rank in 0..support.count {
        if let Some(next) = next_largest(x, last) {
            dy[next] -= total * (support.count - rank) as f32 / support.count as f32;
            last = Some(next);
        }
    }
}

fn relu(x: f32, negative_slope: f32, max_value: Option<f32>, threshold: f32) -> f32 {
    // relu6 is its own operation in Keras, flat at 6; the clip of other maxima is not.
    let is_relu6 = threshold == 0.0 && max_value == Some(6.0);
    let below_max = max_value.is_none_or(|max| if is_relu6 { x < max } else { x <= max });
    if x > threshold {
        // A clip to a negative maximum, or above a negative threshold, leaves nothing.
        f32::from(u8::from(below_max && (x >= 0.0 || max_value.is_none())))
    } else if x < threshold || threshold == 0.0 && max_value.is_none() {
        negative_slope // alone, Keras' leaky_relu counts 0 as negative; without a slope it is 0
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_the_functions() {
        for name in super::super::NAMES.iter().filter(|&&n| n != "threshold") {
            let activation: Activation = name.parse().expect(name);
            if !activation.is_elementwise() {
                continue;
            }
            // Away from kinks, which lie at multiples of one half.
            for i in (-37..=37).filter(|i| i % 5 != 0) {
                let x = i as f32 / 10.0;
                let mut y = [x];
                activation.forward(&mut y, 1);
                let mut dy = [1.0];
                activation.backward(&[x], &y, &mut dy, 1);
                let at = |x: f64| activation.eval(x);
                let slope = (at(f64::from(x) + 1e-6) - at(f64::from(x) - 1e-6)) / 2e-6;
                // Slopes from float32 outputs near 1 carry their rounding.
                let difference = (f64::from(dy[0]) - slope).abs();
                assert!(
                    difference < 1e-6 * slope.abs().max(1.0),
                    "{name}({x}): {dy:?} {slope}"
                );
            }
        }
    }

    #[test]
    fn softmax_gradients_are_orthogonal_to_ones() {
        let mut y = [0.3, -0.2, 0.9];
        Activation::Softmax.forward(&mut y, 3);
        let mut dy = [1.0, 2.0, -1.0];
        Activation::Softmax.backward(&[], &y, &mut dy, 3);
        assert!(dy.iter().sum::<f32>().abs() < 1e-6, "{dy:?}");
    }
}
