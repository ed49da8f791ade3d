//! Activation functions in float64, for quantization tables.

use super::Activation;
use super::math::{normal_cdf, softplus};

impl Activation {
    /// The elementwise function in float64. Softmax and its kin, which are not, give NaN.
    pub fn eval(&self, x: f64) -> f64 {
        let relu6 = |x: f64| x.clamp(0.0, 6.0);
        match *self {
            Self::Linear => x,
            Self::Softmax | Self::LogSoftmax | Self::Sparsemax => f64::NAN,
            Self::Relu {
                negative_slope,
                max_value,
                threshold,
            } => {
                let threshold = f64::from(threshold);
                let above = if x > threshold { x } else { 0.0 };
                let above = max_value.map_or(above, |max| above.max(0.0).min(f64::from(max)));
                above - f64::from(negative_slope) * (threshold - x).max(0.0)
            }
            Self::Relu6 => relu6(x),
            Self::LeakyRelu { negative_slope } if x <= 0.0 => f64::from(negative_slope) * x,
            Self::LeakyRelu { .. } => x,
            Self::Elu { alpha } if x < 0.0 => f64::from(alpha) * x.exp_m1(),
            Self::Elu { .. } => x,
            Self::Selu => {
                const SCALE: f64 = 1.050_700_987_355_480_5;
                const SCALE_ALPHA: f64 = 1.758_099_340_847_376_9;
                if x < 0.0 {
                    SCALE_ALPHA * x.exp_m1()
                } else {
                    SCALE * x
                }
            }
            Self::Celu { alpha } => {
                let alpha = f64::from(alpha);
                x.max(0.0) + alpha * (x.min(0.0) / alpha).exp_m1()
            }
            Self::Gelu { approximate: false } => x * normal_cdf(x),
            Self::Gelu { approximate: true } => {
                // 0.5 (1 + tanh u) is sigmoid(2u), which keeps its digits in the negative tail.
                x * sigmoid(2.0 * gelu_argument(x))
            }
            Self::Silu => x * sigmoid(x),
            Self::Mish => x * softplus(x).tanh(),
            Self::Softplus => softplus(x),
            Self::Softsign => x / (x.abs() + 1.0),
            Self::Sigmoid => sigmoid(x),
            Self::HardSigmoid => relu6(x + 3.0) / 6.0,
            Self::Keras2HardSigmoid => (0.2 * x + 0.5).clamp(0.0, 1.0),
            Self::Tanh => x.tanh(),
            Self::HardTanh => x.clamp(-1.0, 1.0),
            Self::TanhShrink => x - x.tanh(),
            Self::SoftShrink { threshold } => {
                let threshold = f64::from(threshold);
                if x > threshold {
                    x - threshold
                } else if x < -threshold {
                    x + threshold
                } else {
                    0.0
                }
            }
            Self::HardShrink { threshold } if x.abs() > f64::from(threshold) => x,
            Self::HardShrink { .. } => 0.0,
            Self::HardSilu => x * relu6(x + 3.0) / 6.0,
            Self::Exponential => x.exp(),
            Self::LogSigmoid => -softplus(-x),
            Self::Squareplus { b } => {
                let root = (x * x + f64::from(b)).sqrt();
                // Below 0 the sum would cancel.
                if x < 0.0 {
                    f64::from(b) / (2.0 * (root - x))
                } else {
                    (x + root) / 2.0
                }
            }
            Self::SparsePlus if x <= -1.0 => 0.0,
            Self::SparsePlus if x < 1.0 => (x + 1.0) * (x + 1.0) / 4.0,
            Self::SparsePlus => x,
            Self::SparseSigmoid => (0.5 * (x + 1.0)).clamp(0.0, 1.0),
            Self::Threshold { threshold, .. } if x > f64::from(threshold) => x,
            Self::Threshold { default_value, .. } => f64::from(default_value),
            Self::Custom(ref own) => own.at(x),
        }
    }
}

/// `√(2/π) (x + 0.044715 x³)`.
fn gelu_argument(x: f64) -> f64 {
    0.797_884_560_802_865_4 * (x + 0.044_715 * x * x * x)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn float32_and_float64_agree() {
        for name in super::super::NAMES.iter().filter(|&&n| n != "threshold") {
            let activation: Activation = name.parse().expect(name);
            if !activation.is_elementwise() {
                continue;
            }
            for i in -80..=80 {
                let x = i as f32 / 10.0;
                let mut y = [x];
                activation.forward(&mut y, 1);
                let exact = activation.eval(f64::from(x));
                // Ten units in the last place of the larger of result and input.
                let tolerance = 1.2e-6 * exact.abs().max(f64::from(x).abs()).max(0.1);
                assert!((f64::from(y[0]) - exact).abs() <= tolerance, "{name}({x})");
            }
        }
    }
}
