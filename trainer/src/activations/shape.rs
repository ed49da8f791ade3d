//! What a proof has to know of an activation: where it jumps or bends at once, how steep and how curved
//! it gets. Those of one's own do not come to a proof: the device refuses them.

use super::Activation;

/// A place where the function leaps from one value to another, or its slope does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Where.
    pub at: f64,
    /// By how much, without its sign.
    pub height: f64,
}

impl Activation {
    /// Where the function jumps. Those of several values in a row do not.
    pub fn jumps(&self) -> Vec<Step> {
        let jump = |at: f64, height: f64| Step {
            at,
            height: height.abs(),
        };
        let jumps = match *self {
            // From 0 to the threshold itself, unless the maximum is below it.
            Self::Relu {
                max_value,
                threshold,
                ..
            } => {
                let at = f64::from(threshold);
                let above = max_value.map_or(at, |max| at.clamp(0.0, f64::from(max).max(0.0)));
                vec![jump(at, above)]
            }
            Self::HardShrink { threshold } => {
                let at = f64::from(threshold);
                vec![jump(-at, at), jump(at, at)]
            }
            Self::Threshold {
                threshold,
                default_value,
            } => {
                let at = f64::from(threshold);
                vec![jump(at, at - f64::from(default_value))]
            }
            Self::Linear
            | Self::Relu6
            | Self::LeakyRelu { .. }
            | Self::Elu { .. }
            | Self::Selu
            | Self::Celu { .. }
            | Self::Gelu { .. }
            | Self::Silu
            | Self::Mish
            | Self::Softplus
            | Self::Softsign
            | Self::Sigmoid
            | Self::HardSigmoid
            | Self::Keras2HardSigmoid
            | Self::Tanh
            | Self::HardTanh
            | Self::TanhShrink
            | Self::SoftShrink { .. }
            | Self::HardSilu
            | Self::Exponential
            | Self::LogSigmoid
            | Self::Squareplus { .. }
            | Self::SparsePlus
            | Self::SparseSigmoid
            | Self::Softmax
            | Self::LogSoftmax
            | Self::Sparsemax
            | Self::Custom(_) => Vec::new(),
        };
        jumps.into_iter().filter(|jump| jump.height > 0.0).collect()
    }

    /// Where the slope jumps.
    pub fn bends(&self) -> Vec<Step> {
        let bend = |at: f64, height: f64| Step {
            at,
            height: height.abs(),
        };
        match *self {
            Self::Relu {
                negative_slope,
                max_value,
                threshold,
            } => {
                // To 1, or to 0 where the maximum is not above the threshold.
                let slope = f64::from(negative_slope);
                let most = slope.abs().max((1.0 - slope).abs());
                let mut bends = vec![bend(f64::from(threshold), most)];
                if let Some(max) = max_value {
                    bends.extend([bend(0.0, 1.0), bend(f64::from(max), 1.0)]);
                }
                bends
            }
            Self::Relu6 => vec![bend(0.0, 1.0), bend(6.0, 1.0)],
            Self::LeakyRelu { negative_slope } => vec![bend(0.0, 1.0 - f64::from(negative_slope))],
            Self::Elu { alpha } => vec![bend(0.0, 1.0 - f64::from(alpha))],
            Self::Selu => vec![bend(0.0, 1.758_099_4 - 1.050_700_9)],
            Self::HardSigmoid => vec![bend(-3.0, 1.0 / 6.0), bend(3.0, 1.0 / 6.0)],
            Self::Keras2HardSigmoid => vec![bend(-2.5, 0.2), bend(2.5, 0.2)],
            Self::HardTanh => vec![bend(-1.0, 1.0), bend(1.0, 1.0)],
            Self::SoftShrink { threshold } | Self::HardShrink { threshold } => {
                let at = f64::from(threshold);
                vec![bend(-at, 1.0), bend(at, 1.0)]
            }
            Self::HardSilu => vec![bend(-3.0, 0.5), bend(3.0, 0.5)],
            Self::SparseSigmoid => vec![bend(-1.0, 0.5), bend(1.0, 0.5)],
            Self::Threshold { threshold, .. } => vec![bend(f64::from(threshold), 1.0)],
            // |x| / 2 + x / 2
            Self::Squareplus { b: 0.0 } => vec![bend(0.0, 1.0)],
            Self::Linear
            | Self::Celu { .. }
            | Self::Gelu { .. }
            | Self::Silu
            | Self::Mish
            | Self::Softplus
            | Self::Softsign
            | Self::Sigmoid
            | Self::Tanh
            | Self::TanhShrink
            | Self::Exponential
            | Self::LogSigmoid
            | Self::Squareplus { .. }
            | Self::SparsePlus
            | Self::Softmax
            | Self::LogSoftmax
            | Self::Sparsemax
            | Self::Custom(_) => Vec::new(),
        }
    }

    /// The largest slope up to `high`, jumps aside, from above; of softmax and its kin that of one
    /// value.
    pub fn steepest(&self, high: f64) -> f64 {
        match *self {
            Self::Sigmoid => 0.25,
            Self::HardSigmoid => 1.0 / 6.0,
            Self::Keras2HardSigmoid => 0.2 + 1e-8,
            Self::SparseSigmoid => 0.5,
            Self::Relu { negative_slope, .. } | Self::LeakyRelu { negative_slope } => {
                f64::from(negative_slope).abs().max(1.0)
            }
            Self::Elu { alpha } => f64::from(alpha).abs().max(1.0),
            Self::Selu => 1.7581,
            // 1.1290 at the square root of 2, 1.0998 at 2.4, 1.0885 at 1.5, 1.5 at 3.
            Self::Gelu { .. } => 1.13,
            Self::Silu => 1.1,
            Self::Mish => 1.09,
            Self::HardSilu => 1.5,
            Self::Exponential => high.exp(),
            Self::Linear
            | Self::Relu6
            | Self::Celu { .. }
            | Self::Softplus
            | Self::Softsign
            | Self::Tanh
            | Self::HardTanh
            | Self::TanhShrink
            | Self::SoftShrink { .. }
            | Self::HardShrink { .. }
            | Self::LogSigmoid
            | Self::Squareplus { .. }
            | Self::SparsePlus
            | Self::Threshold { .. }
            | Self::Softmax
            | Self::LogSoftmax
            | Self::Sparsemax
            | Self::Custom(_) => 1.0,
        }
    }

    /// The largest second derivative up to `high`, jumps and bends aside, from above.
    pub fn curvature(&self, high: f64) -> f64 {
        match *self {
            Self::Elu { alpha } => f64::from(alpha).abs(),
            Self::Selu => 1.7581,
            Self::Celu { alpha } => 1.0 / f64::from(alpha).abs(),
            // 2 / sqrt(2 pi) at 0.
            Self::Gelu { .. } => 0.81,
            Self::Silu => 0.5,
            // 0.6 at 0.
            Self::Mish => 0.7,
            Self::Softplus | Self::LogSigmoid => 0.25,
            Self::Softsign => 2.0,
            Self::Sigmoid => 0.0963,
            // 4 / 3^1.5
            Self::Tanh | Self::TanhShrink => 0.77,
            Self::HardSilu => 1.0 / 3.0,
            Self::Exponential => high.exp(),
            Self::Squareplus { b: 0.0 } => 0.0,
            Self::Squareplus { b } => 0.5 / f64::from(b).sqrt(),
            Self::SparsePlus => 0.5,
            Self::Linear
            | Self::Relu { .. }
            | Self::Relu6
            | Self::LeakyRelu { .. }
            | Self::HardSigmoid
            | Self::Keras2HardSigmoid
            | Self::HardTanh
            | Self::SoftShrink { .. }
            | Self::HardShrink { .. }
            | Self::SparseSigmoid
            | Self::Threshold { .. }
            | Self::Softmax
            | Self::LogSoftmax
            | Self::Sparsemax
            | Self::Custom(_) => 0.0,
        }
    }
}
