//! Projections of weights after each update.

use serde_json::{Value, json};

use crate::keras::{Object, check_keys, folded, serialized, unknown};
use crate::{Error, Result};

/// A constraint, with Keras' names and defaults. Norms are euclidean, along `axis`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Constraint {
    /// Scales vectors longer than `max_value` (2) down to it.
    MaxNorm {
        /// Largest norm; 2 by default.
        max_value: f64,
        /// Axes of the norm; 0 by default.
        axis: Axis,
    },
    /// Sets negative weights to 0.
    NonNeg,
    /// Scales vectors to length 1.
    UnitNorm {
        /// Axes of the norm; 0 by default.
        axis: Axis,
    },
    /// Moves lengths into [`min_value`, `max_value`] (0 to 1), by a share `rate` (1) per update.
    MinMaxNorm {
        /// Smallest norm; 0 by default.
        min_value: f64,
        /// Largest norm; 1 by default.
        max_value: f64,
        /// Share of the way to the limit that an update goes; 1 by default.
        rate: f64,
        /// Axes of the norm; 0 by default.
        axis: Axis,
    },
}

/// Along which axes a norm is taken; negative ones count from the last. Defaults to axis 0, that
/// is one norm per unit of a Dense kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Axis {
    /// A single axis.
    One(i64),
    /// Several axes together, each named once.
    Many(Vec<i64>),
    /// One norm of all weights; `null` in a config.
    All,
}

impl Default for Axis {
    fn default() -> Self {
        Self::One(0)
    }
}

/// Keras' epsilon, added to norms that are divided by.
const EPSILON: f32 = 1e-7;
/// More axes than any weight of a dense network has.
const MAX_RANK: usize = 8;
/// Columns whose norms are summed together, for a Dense kernel read row by row.
const COLUMNS: usize = 64;

impl Axis {
    fn from_config(object: &Object) -> Result<Self> {
        match object.get("axis") {
            None if object.is_null("axis") => Ok(Self::All),
            None => Ok(Self::default()),
            Some(value) => Self::parse(value).ok_or_else(|| {
                Error::value(format!(
                    "axis of constraint {} is {value}, expected a whole number or a list of them",
                    object.class_name
                ))
            }),
        }
    }

    fn parse(value: &Value) -> Option<Self> {
        if let Some(axis) = value.as_i64() {
            return Some(Self::One(axis));
        }
        let axes: Option<Vec<i64>> = value.as_array()?.iter().map(Value::as_i64).collect();
        axes.map(Self::Many)
    }

    fn config(&self) -> Value {
        match self {
            Self::One(axis) => json!(axis),
            Self::Many(axes) => json!(axes),
            Self::All => Value::Null,
        }
    }

    fn axes(&self) -> &[i64] {
        match self {
            Self::One(axis) => std::slice::from_ref(axis),
            Self::Many(axes) => axes,
            Self::All => &[],
        }
    }

    fn contains(&self, axis: usize, rank: usize) -> bool {
        *self == Self::All
            || self
                .axes()
                .iter()
                .any(|&a| a == axis as i64 || a + rank as i64 == axis as i64)
    }
}

impl Constraint {
    /// A name, Keras' serialized form, or `null`.
    ///
    /// # Errors
    ///
    /// An unknown name or an entry of the wrong type.
    pub fn from_config(value: &Value) -> Result<Option<Self>> {
        let read = Self::read(value)?;
        if let (Some(read), Some(object)) = (&read, Object::parse_builtin(value, "constraint")?) {
            let own = read.config();
            check_keys(
                "constraint",
                object.class_name,
                object.config,
                &own["config"],
                &[],
            )?;
        }
        Ok(read)
    }

    fn read(value: &Value) -> Result<Option<Self>> {
        let Some(object) = Object::parse_builtin(value, "constraint")? else {
            return Ok(None);
        };
        Ok(Some(match folded(object.class_name).as_str() {
            "maxnorm" => Self::MaxNorm {
                max_value: object.number_or("max_value", 2.0)?,
                axis: Axis::from_config(&object)?,
            },
            "nonneg" => Self::NonNeg,
            "unitnorm" => Self::UnitNorm {
                axis: Axis::from_config(&object)?,
            },
            "minmaxnorm" => Self::MinMaxNorm {
                min_value: object.number_or("min_value", 0.0)?,
                max_value: object.number_or("max_value", 1.0)?,
                rate: object.number_or("rate", 1.0)?,
                axis: Axis::from_config(&object)?,
            },
            _ => {
                return Err(unknown(
                    "constraint",
                    object.class_name,
                    &["max_norm", "non_neg", "unit_norm", "min_max_norm"],
                ));
            }
        }))
    }

    /// Keras 3's serialized form.
    pub fn config(&self) -> Value {
        let (name, config) = match self {
            Self::MaxNorm { max_value, axis } => (
                "MaxNorm",
                json!({"max_value": max_value, "axis": axis.config()}),
            ),
            Self::NonNeg => ("NonNeg", json!({})),
            Self::UnitNorm { axis } => ("UnitNorm", json!({"axis": axis.config()})),
            Self::MinMaxNorm {
                min_value,
                max_value,
                rate,
                axis,
            } => (
                "MinMaxNorm",
                json!({
                    "min_value": min_value,
                    "max_value": max_value,
                    "rate": rate,
                    "axis": axis.config(),
                }),
            ),
        };
        serialized("keras.constraints", name, config)
    }

    /// Whether the axes exist in weights of this shape.
    ///
    /// # Errors
    ///
    /// An axis outside `shape`.
    pub fn check(&self, shape: &[usize]) -> Result<()> {
        let (Self::MaxNorm { axis, .. } | Self::UnitNorm { axis } | Self::MinMaxNorm { axis, .. }) =
            self
        else {
            return Ok(());
        };
        let rank = shape.len() as i64;
        let twice = axis.axes().iter().enumerate().find(|(i, a)| {
            let before = &axis.axes()[..*i];
            before
                .iter()
                .any(|b| a.rem_euclid(rank.max(1)) == b.rem_euclid(rank.max(1)))
        });
        if let Some((_, a)) = twice {
            return Err(Error::shape(format!(
                "constraint has axis {:?}, where {a} is there twice, expected each axis once",
                axis.axes()
            )));
        }
        match axis.axes().iter().find(|&&a| a >= rank || a < -rank) {
            Some(a) => Err(Error::shape(format!(
                "constraint on axis {a} of weights of shape {shape:?}, expected an axis from {} to {}",
                -rank,
                rank - 1
            ))),
            None if rank > MAX_RANK as i64 => Err(Error::shape(format!(
                "constraint on weights of shape {shape:?}, expected at most {MAX_RANK} axes"
            ))),
            None => Ok(()),
        }
    }

    /// Projects `w`, of shape `shape` (checked by [`Constraint::check`]), in place.
    pub fn apply(&self, w: &mut [f32], shape: &[usize]) {
        match self {
            // By a product, as in Keras: NaN stays what it is.
            Self::NonNeg => w
                .iter_mut()
                .filter(|w| w.is_nan() || **w < 0.0)
                .for_each(|w| *w *= 0.0),
            Self::MaxNorm { max_value, axis } => {
                let max_value = *max_value as f32;
                scale(w, shape, axis, |norm| {
                    // The lower limit wins, as in TensorFlow's clip.
                    norm.min(max_value).max(0.0) / (EPSILON + norm)
                });
            }
            Self::UnitNorm { axis } => divide(w, shape, axis, |norm| EPSILON + norm),
            Self::MinMaxNorm {
                min_value,
                max_value,
                rate,
                axis,
            } => {
                let (min_value, max_value) = (*min_value as f32, *max_value as f32);
                let (rate, rest) = (*rate as f32, (1.0 - rate) as f32);
                scale(w, shape, axis, |norm| {
                    let desired = rate * norm.min(max_value).max(min_value) + rest * norm;
                    desired / (EPSILON + norm)
                });
            }
        }
    }
}

fn scale(w: &mut [f32], shape: &[usize], axis: &Axis, factor: impl Fn(f32) -> f32) {
    per_vector(w, shape, axis, factor, |w, factor| *w *= factor);
}

fn divide(w: &mut [f32], shape: &[usize], axis: &Axis, divisor: impl Fn(f32) -> f32) {
    per_vector(w, shape, axis, divisor, |w, divisor| *w /= divisor);
}

/// Calls `update(w, of_norm(norm))` for every element, norms taken along `axis`. No allocation.
fn per_vector(
    w: &mut [f32],
    shape: &[usize],
    axis: &Axis,
    of_norm: impl Fn(f32) -> f32,
    update: impl Fn(&mut f32, f32),
) {
    let rank = shape.len();
    if rank == 2 && axis.contains(0, 2) && !axis.contains(1, 2) {
        return per_column(w, shape[1], of_norm, update);
    }
    // Any other combination: walk the kept axes, and for each of their positions the others.
    let (mut kept, mut reduced) = (Walk::default(), Walk::default());
    let mut stride = w.len();
    for (axis_index, &len) in shape.iter().enumerate().take(MAX_RANK) {
        stride /= len.max(1);
        let walk = if axis.contains(axis_index, rank) {
            &mut reduced
        } else {
            &mut kept
        };
        walk.push(len, stride);
    }
    kept.each(|base| {
        let mut squares = 0.0;
        reduced.each(|offset| squares += w[base + offset] * w[base + offset]);
        let value = of_norm(squares.sqrt());
        reduced.each(|offset| update(&mut w[base + offset], value));
    });
}

fn per_column(
    w: &mut [f32],
    columns: usize,
    of_norm: impl Fn(f32) -> f32,
    update: impl Fn(&mut f32, f32),
) {
    for start in (0..columns).step_by(COLUMNS) {
        let end = columns.min(start + COLUMNS);
        let mut values = [0f32; COLUMNS];
        for row in w.chunks_exact(columns) {
            for (value, &w) in values.iter_mut().zip(&row[start..end]) {
                *value += w * w;
            }
        }
        values.iter_mut().for_each(|v| *v = of_norm(v.sqrt()));
        for row in w.chunks_exact_mut(columns) {
            for (w, &value) in row[start..end].iter_mut().zip(&values) {
                update(w, value);
            }
        }
    }
}

/// Offsets of all positions along some axes.
#[derive(Default)]
struct Walk {
    lens: [usize; MAX_RANK],
    strides: [usize; MAX_RANK],
    rank: usize,
}

impl Walk {
    fn push(&mut self, len: usize, stride: usize) {
        self.lens[self.rank] = len;
        self.strides[self.rank] = stride;
        self.rank += 1;
    }

    fn each(&self, mut visit: impl FnMut(usize)) {
        let positions: usize = self.lens[..self.rank].iter().product();
        for position in 0..positions {
            let (mut rest, mut offset) = (position, 0);
            for axis in (0..self.rank).rev() {
                offset += rest % self.lens[axis] * self.strides[axis];
                rest /= self.lens[axis];
            }
            visit(offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn max_norm_shortens_only_long_columns() {
        let constraint = Constraint::MaxNorm {
            max_value: 5.0,
            axis: Axis::One(0),
        };
        // Column lengths 10 and 1: the first is halved, the second kept but for the epsilon of 1e-7.
        let mut w = [6.0, 1.0, 8.0, 0.0];
        constraint.apply(&mut w, &[2, 2]);
        for (w, expected) in w.iter().zip([3.0, 1.0, 4.0, 0.0]) {
            assert!((w - expected).abs() < 1e-6, "{w} {expected}");
        }
    }

    #[test]
    fn a_norm_over_all_axes_is_the_norm_of_the_matrix() {
        let constraint = Constraint::UnitNorm {
            axis: Axis::Many(vec![0, -1]),
        };
        let mut w = [2.0, 4.0, 5.0, 6.0]; // 4 + 16 + 25 + 36 = 9 squared
        constraint.apply(&mut w, &[2, 2]);
        for (w, expected) in w.iter().zip([2.0, 4.0, 5.0, 6.0]) {
            assert!((w - expected / 9.0).abs() < 1e-7, "{w}");
        }
    }

    #[test]
    fn a_weight_that_is_no_number_stays_none() {
        let mut w = [f32::NAN, -2.0, 3.0];
        Constraint::NonNeg.apply(&mut w, &[3]);
        // As Keras' product of the weight and 0.
        assert!(w[0].is_nan() && w[1..] == [0.0, 3.0], "{w:?}");
    }

    #[test]
    fn an_axis_that_is_there_twice_is_refused() {
        let constraint = Constraint::UnitNorm {
            axis: Axis::Many(vec![1, -1]),
        };
        assert_eq!(
            constraint.check(&[4, 3]).expect_err("twice").to_string(),
            "constraint has axis [1, -1], where -1 is there twice, expected each axis once"
        );
    }

    #[test]
    fn an_axis_that_a_bias_lacks_is_refused() {
        let constraint = Constraint::UnitNorm { axis: Axis::One(1) };
        assert_eq!(
            constraint.check(&[4]).expect_err("rank 1").to_string(),
            "constraint on axis 1 of weights of shape [4], expected an axis from -1 to 0"
        );
    }
}
