//! From observed values to the scale and zero point of an int8 or int16 tensor.

use thumbnet_runtime::Precision;

use crate::{Error, Result};

/// Affine quantization of a tensor: `real = scale * (q - zero)`, `q` in `[-limit, limit]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorQuant {
    /// Size of one step, positive and finite.
    pub scale: f64,
    /// The integer that stands for 0.
    pub zero: i32,
    /// Largest integer: 127 for int8, 32767 for int16.
    pub limit: i32,
}

impl TensorQuant {
    /// Covers `[low, high]`, stretched so that 0 is exact.
    ///
    /// # Errors
    ///
    /// A range that is not finite or not ordered.
    pub fn covering(low: f64, high: f64, limit: i32) -> Result<Self> {
        if !low.is_finite() || !high.is_finite() || low > high {
            return Err(Error::value(format!(
                "the range [{low}, {high}] is not finite; calibrate with finite rows"
            )));
        }
        let (low, high) = (low.min(0.0), high.max(0.0));
        let steps = f64::from(2 * limit);
        let scale = (high - low) / steps;
        // A tensor that is always 0, or whose step f32 cannot hold.
        if scale < f64::from(f32::MIN_POSITIVE) {
            return Ok(Self {
                scale: 1.0,
                zero: -limit,
                limit,
            });
        }
        if scale > f64::from(f32::MAX) / 1e6 {
            return Err(Error::value(format!(
                "the range [{low:e}, {high:e}] is too wide for the device's f32; remove outliers \
                 from the calibration rows"
            )));
        }
        let zero = (f64::from(-limit) - low / scale).round();
        Ok(Self {
            scale,
            // Within [-limit, limit] since low <= 0 <= high.
            zero: zero as i32,
            limit,
        })
    }

    /// Covers `[low, high]` as it is, 0 within it or not: the integer for 0 may lie beyond the limit.
    ///
    /// # Errors
    ///
    /// A range that is not finite or not ordered.
    pub fn spanning(low: f64, high: f64, limit: i32) -> Result<Self> {
        // Of steps from 0 that a layer's sums have room for.
        const FARTHEST: f64 = 16_384.0;
        let covering = Self::covering(low, high, limit)?;
        let steps = f64::from(2 * limit);
        let least = steps * low.abs().max(high.abs()) / FARTHEST;
        let wider = ((least - (high - low)) / 2.0).max(0.0);
        let (low, high) = (low - wider, high + wider);
        let scale = (high - low) / steps;
        if (low..=high).contains(&0.0) || scale < f64::from(f32::MIN_POSITIVE) {
            return Self::covering(low, high, limit).or(Ok(covering));
        }
        Ok(Self {
            scale,
            // At most FARTHEST and the limit.
            zero: (f64::from(-limit) - low / scale).round() as i32,
            limit,
        })
    }

    /// The same with coarser steps, and a range that many times as wide.
    pub fn coarser(self, factor: f64) -> Self {
        Self {
            scale: self.scale * factor,
            ..self
        }
    }

    /// What its integers are.
    pub fn precision(&self) -> Precision {
        precision(self.limit)
    }

    /// The nearest integer, clamped.
    pub fn quantize(&self, real: f64) -> i32 {
        let limit = f64::from(self.limit);
        // A clamped, rounded value: the cast is exact.
        (real / self.scale + f64::from(self.zero))
            .round()
            .clamp(-limit, limit) as i32
    }

    /// The real value of an integer.
    pub fn dequantize(&self, q: i32) -> f64 {
        self.scale * f64::from(q - self.zero)
    }
}

/// The integers of that limit.
pub fn precision(limit: i32) -> Precision {
    match limit == Precision::Int8.limit() {
        true => Precision::Int8,
        false => Precision::Int16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relu_range_puts_zero_at_the_lowest_integer() {
        let quant = TensorQuant::covering(0.0, 254.0, 127).expect("a range");
        assert_eq!((quant.scale, quant.zero), (1.0, -127));
        assert_eq!(quant.quantize(-3.0), -127);
        assert_eq!(quant.quantize(254.0), 127);
    }

    #[test]
    fn a_range_away_from_zero_is_stretched_to_hold_it() {
        let quant = TensorQuant::covering(2.0, 6.0, 127).expect("a range");
        assert_eq!(quant.dequantize(quant.zero), 0.0);
        assert!((quant.dequantize(127) - 6.0).abs() < 1e-12);
    }

    #[test]
    fn a_tensor_of_zeros_gets_a_sound_scale_and_an_infinite_one_is_refused() {
        assert_eq!(
            TensorQuant::covering(0.0, 0.0, 127).expect("a range").scale,
            1.0
        );
        assert_eq!(
            TensorQuant::covering(0.0, f64::INFINITY, 127)
                .expect_err("infinite")
                .to_string(),
            "the range [0, inf] is not finite; calibrate with finite rows"
        );
    }
}
