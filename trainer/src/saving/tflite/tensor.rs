//! Constant tensors of a `.tflite` file as floats.

use super::schema::{Buffer, Tensor};

/// The types of numbers that weights have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    F32,
    F16,
    I32,
    U8,
    I64,
    I16,
    I8,
    I4,
}

impl Kind {
    /// By the number of TensorFlow Lite's `TensorType`.
    fn of(number: i8) -> Result<Self, String> {
        Ok(match number {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::I32,
            3 => Self::U8,
            4 => Self::I64,
            7 => Self::I16,
            9 => Self::I8,
            17 => Self::I4,
            number => {
                return Err(format!(
                    "is of type {number} of TensorFlow Lite's schema, expected float32, float16, int4, int8, uint8, int16, int32 or int64"
                ));
            }
        })
    }

    /// Bytes of `count` numbers; none where that is beyond all memory.
    fn bytes(self, count: usize) -> Option<usize> {
        match self {
            Self::I4 => Some(count.div_ceil(2)),
            Self::U8 | Self::I8 => Some(count),
            Self::F16 | Self::I16 => count.checked_mul(2),
            Self::F32 | Self::I32 => count.checked_mul(4),
            Self::I64 => count.checked_mul(8),
        }
    }

    /// Smallest and largest number of an activation of integers.
    fn ends(self) -> Option<[i64; 2]> {
        match self {
            Self::U8 => Some([0, 255]),
            Self::I8 => Some([-128, 127]),
            Self::I16 => Some([-32_768, 32_767]),
            Self::F32 | Self::F16 | Self::I32 | Self::I64 | Self::I4 => None,
        }
    }
}

/// A constant, in float32.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constant {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// How the numbers of an activation stand for values: `(number - zero_point) * scale`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Integers {
    /// Value of one step.
    pub scale: f32,
    /// The number that stands for 0.
    pub zero_point: i64,
    /// The smallest value that has a number.
    pub low: f32,
    /// The largest value that has a number.
    pub high: f32,
}

impl Integers {
    /// Of a tensor that is computed; none when it is not of 8 or 16 bits.
    pub(super) fn of(tensor: &Tensor) -> Result<Option<Self>, String> {
        let Some([first, last]) = Kind::of(tensor.kind().map_err(damaged)?)?.ends() else {
            return Ok(None);
        };
        let Scales { scales, zeros, .. } = Scales::of(tensor)?;
        let ([scale], zeros) = (scales.as_slice(), zeros.as_slice()) else {
            return Err(format!(
                "is of integers with {} scales, expected one",
                scales.len()
            ));
        };
        let zero_point = zeros.first().copied().unwrap_or(0);
        let value = |number: i64| dequantized(number, zero_point, *scale);
        Ok(Some(Self {
            scale: *scale,
            zero_point,
            low: value(first),
            high: value(last),
        }))
    }
}

/// The numbers of a constant, each with its scale.
pub(super) fn constant(tensor: &Tensor, buffer: &Buffer) -> Result<Constant, String> {
    if tensor.is_sparse().map_err(damaged)? {
        return Err("is sparse; convert the model without sparsity".into());
    }
    if buffer.is_outside().map_err(damaged)? {
        return Err("lies outside of the tables, as in files beyond 2 GB".into());
    }
    let kind = Kind::of(tensor.kind().map_err(damaged)?)?;
    let data = buffer.data().map_err(damaged)?;
    let sizes = tensor.shape().map_err(damaged)?;
    if sizes.len() > MOST_AXES {
        return Err(format!(
            "has {} axes, expected at most {MOST_AXES}",
            sizes.len()
        ));
    }
    let shape: Option<Vec<usize>> = sizes
        .iter()
        .map(|size| usize::try_from(size).ok())
        .collect();
    let counted = shape.and_then(|shape| {
        let count = shape
            .iter()
            .try_fold(1usize, |n, &size| n.checked_mul(size))?;
        Some((shape, count))
    });
    match counted {
        Some((shape, count)) if kind.bytes(count) == Some(data.len()) => {
            let values = numbers(kind, data, count, &shape, tensor)?;
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Err(format!("holds {value}, expected finite numbers"));
            }
            Ok(Constant { shape, values })
        }
        _ => Err(format!(
            "has {} bytes for the shape {:?}; the file is damaged",
            data.len(),
            sizes.iter().collect::<Vec<_>>()
        )),
    }
}

/// More than any layer of a chain has.
const MOST_AXES: usize = 8;

fn numbers(
    kind: Kind,
    data: &[u8],
    count: usize,
    shape: &[usize],
    tensor: &Tensor,
) -> Result<Vec<f32>, String> {
    let integers: Vec<i64> = match kind {
        Kind::F32 => return Ok(each(data, f32::from_le_bytes)),
        Kind::F16 => return Ok(each(data, |bytes| from_half(u16::from_le_bytes(bytes)))),
        Kind::I32 => each(data, |bytes| i32::from_le_bytes(bytes).into()),
        Kind::I64 => each(data, i64::from_le_bytes),
        Kind::I16 => each(data, |bytes| i16::from_le_bytes(bytes).into()),
        Kind::I8 => each(data, |bytes| i8::from_le_bytes(bytes).into()),
        Kind::U8 => data.iter().map(|&byte| byte.into()).collect(),
        // The first of two in the low half.
        Kind::I4 => data
            .iter()
            .flat_map(|byte| [byte << 4, byte & 0xF0])
            .map(|high| i64::from(high.cast_signed() >> 4))
            .take(count)
            .collect(),
    };
    Scales::of(tensor)?.apply(&integers, shape)
}

fn each<const N: usize, T>(data: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (numbers, _) = data.as_chunks::<N>();
    numbers.iter().map(|bytes| read(*bytes)).collect()
}

/// Scales and zero points of a tensor of integers.
struct Scales {
    scales: Vec<f32>,
    zeros: Vec<i64>,
    /// The axis that they are along, where there are several.
    axis: usize,
}

impl Scales {
    fn of(tensor: &Tensor) -> Result<Self, String> {
        let Some(quantization) = tensor.quantization().map_err(damaged)? else {
            return Err("is of integers without a scale".into());
        };
        let scales = quantization.scale().map_err(damaged)?;
        let zeros = quantization.zero_point().map_err(damaged)?;
        let axis = quantization.axis().map_err(damaged)?;
        let read = Self {
            scales: scales.iter().collect(),
            zeros: zeros.iter().collect(),
            axis: usize::try_from(axis).unwrap_or(usize::MAX),
        };
        let sound = |scale: &f32| scale.is_finite() && *scale >= 0.0;
        match read.scales.iter().find(|scale| !sound(scale)) {
            Some(scale) => Err(format!("has the scale {scale}, expected a positive number")),
            None => Ok(read),
        }
    }

    fn apply(&self, integers: &[i64], shape: &[usize]) -> Result<Vec<f32>, String> {
        let zero = |channel: usize| match self.zeros.as_slice() {
            [] => Some(0),
            [zero] => Some(*zero),
            zeros => zeros.get(channel).copied(),
        };
        let channels = match (self.scales.len(), shape.get(self.axis)) {
            (1, _) => 1,
            (scales, Some(&size)) if scales == size => size,
            (scales, _) => {
                return Err(format!(
                    "has {scales} scales along axis {} of the shape {shape:?}, expected one, or one for each place there",
                    self.axis
                ));
            }
        };
        let inner: usize = match channels {
            1 => integers.len(),
            _ => shape.iter().skip(self.axis + 1).product(),
        };
        let value = |(at, &number): (usize, &i64)| {
            let channel = at / inner.max(1) % channels;
            let scale = self.scales.get(channel)?;
            Some(dequantized(number, zero(channel)?, *scale))
        };
        let values: Option<Vec<f32>> = integers.iter().enumerate().map(value).collect();
        values.ok_or_else(|| {
            format!(
                "has {} zero points for {channels} scales, expected as many",
                self.zeros.len()
            )
        })
    }
}

/// Rounded once.
fn dequantized(number: i64, zero_point: i64, scale: f32) -> f32 {
    (number.saturating_sub(zero_point) as f64 * f64::from(scale)) as f32
}

/// IEEE half precision, exactly.
fn from_half(bits: u16) -> f32 {
    let sign = f32::from_bits(u32::from(bits & 0x8000) << 16).signum();
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1F), f32::from(bits & 0x3FF));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2f32.powi(exponent - 25),
    }
}

/// What `planus` found.
pub(super) fn damaged(error: planus::Error) -> String {
    format!("the file is damaged: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_exact() {
        assert_eq!(from_half(0x3C00), 1.0);
        assert_eq!(from_half(0xC100), -2.5);
        assert_eq!(from_half(0x7BFF), 65504.0);
        assert_eq!(from_half(0x0001), 2f32.powi(-24));
        assert_eq!(from_half(0x8000).to_bits(), (-0.0f32).to_bits());
        assert_eq!(from_half(0xFC00), f32::NEG_INFINITY);
        assert!(from_half(0x7E00).is_nan());
    }

    #[test]
    fn integers_take_the_scale_of_their_channel() {
        let scales = Scales {
            scales: vec![0.5, 2.0],
            zeros: vec![0, 1],
            axis: 0,
        };
        // Row 0: 3 * 0.5, -4 * 0.5. Row 1: (5 - 1) * 2, (-128 - 1) * 2.
        assert_eq!(
            scales.apply(&[3, -4, 5, -128], &[2, 2]).unwrap(),
            [1.5, -2.0, 8.0, -258.0]
        );
        // Along the last axis.
        let columns = Scales { axis: 1, ..scales };
        assert_eq!(
            columns.apply(&[3, 5, -4, -128], &[2, 2]).unwrap(),
            [1.5, 8.0, -2.0, -258.0]
        );
        assert_eq!(
            columns.apply(&[1, 2, 3], &[1, 3]).unwrap_err(),
            "has 2 scales along axis 1 of the shape [1, 3], expected one, or one for each place there"
        );
    }
}
