//! Penalties on weights or activities that are added to the loss.

use serde_json::{Value, json};

use crate::keras::{Object, check_keys, folded, serialized, unknown};
use crate::sums;
use crate::{Error, Result};

/// A penalty, with Keras' names and defaults.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Regularizer {
    /// `l1 · Σ|w|`. Defaults to 0.01.
    L1 {
        /// Factor of the sum; 0.01 by default.
        l1: f64,
    },
    /// `l2 · Σw²`. Defaults to 0.01.
    L2 {
        /// Factor of the sum; 0.01 by default.
        l2: f64,
    },
    /// The sum of both. Each defaults to 0.
    L1L2 {
        /// Factor of `Σ|w|`; 0 by default.
        l1: f64,
        /// Factor of `Σw²`; 0 by default.
        l2: f64,
    },
    /// Mean absolute cosine between the rows (or columns) of a matrix, times `factor` (0.01).
    OrthogonalRegularizer {
        /// Factor of the mean; 0.01 by default.
        factor: f64,
        /// Rows or columns; rows by default.
        mode: OrthogonalMode,
    },
}

/// What an [`Regularizer::OrthogonalRegularizer`] makes orthogonal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrthogonalMode {
    /// The rows of the matrix.
    Rows,
    /// The columns of the matrix.
    Columns,
}

/// Below this length a vector is divided by it, as in Keras' `normalize`.
const EPSILON: f32 = 1e-7;

impl Regularizer {
    /// A name, Keras' serialized form, or `null`.
    ///
    /// # Errors
    ///
    /// An unknown name, or a factor that is negative or not finite.
    pub fn from_config(value: &Value) -> Result<Option<Self>> {
        let read = Self::read(value)?;
        if let (Some(read), Some(object)) = (&read, Object::parse_builtin(value, "regularizer")?) {
            let own = read.config();
            check_keys(
                "regularizer",
                object.class_name,
                object.config,
                &own["config"],
                &[],
            )?;
        }
        Ok(read)
    }

    fn read(value: &Value) -> Result<Option<Self>> {
        let Some(object) = Object::parse_builtin(value, "regularizer")? else {
            return Ok(None);
        };
        let checked = |key: &str, value: f64| -> Result<f64> {
            if value >= 0.0 && value.is_finite() {
                return Ok(value);
            }
            Err(Error::value(format!(
                "{key} of regularizer {} is {value}, expected a number from 0",
                object.class_name
            )))
        };
        // Null is the default to Keras' l1 and l2.
        let factor = |key: &str, default: f64| checked(key, object.number(key)?.unwrap_or(default));
        Ok(Some(match folded(object.class_name).as_str() {
            "l1" => Self::L1 {
                l1: factor("l1", 0.01)?,
            },
            "l2" => Self::L2 {
                l2: factor("l2", 0.01)?,
            },
            "l1l2" => Self::L1L2 {
                l1: factor("l1", 0.0)?,
                l2: factor("l2", 0.0)?,
            },
            "orthogonalregularizer" => Self::OrthogonalRegularizer {
                factor: checked("factor", object.float_or("factor", 0.01)?)?,
                mode: match object.text_or("mode", "rows")? {
                    "rows" => OrthogonalMode::Rows,
                    "columns" => OrthogonalMode::Columns,
                    other => {
                        return Err(Error::value(format!(
                            "mode of regularizer OrthogonalRegularizer is \"{other}\", expected \"rows\" or \"columns\""
                        )));
                    }
                },
            },
            _ => {
                return Err(unknown(
                    "regularizer",
                    object.class_name,
                    &["l1", "l2", "l1l2", "orthogonal_regularizer"],
                ));
            }
        }))
    }

    /// Keras 3's serialized form.
    pub fn config(&self) -> Value {
        let (name, config) = match self {
            // Keras keeps l1 and the orthogonal factor as float32 tensors, l2 as a Python float.
            Self::L1 { l1 } => ("L1", json!({"l1": rounded(*l1)})),
            Self::L2 { l2 } => ("L2", json!({"l2": l2})),
            Self::L1L2 { l1, l2 } => ("L1L2", json!({"l1": l1, "l2": l2})),
            Self::OrthogonalRegularizer { factor, mode } => (
                "OrthogonalRegularizer",
                json!({
                    "factor": rounded(*factor),
                    "mode": match mode {
                        OrthogonalMode::Rows => "rows",
                        OrthogonalMode::Columns => "columns",
                    },
                }),
            ),
        };
        serialized("keras.regularizers", name, config)
    }

    /// The penalty of `w`, of shape `shape`.
    pub fn penalty(&self, w: &[f32], shape: &[usize]) -> f32 {
        match self {
            Self::L1 { l1 } => *l1 as f32 * sums::absolute(w),
            Self::L2 { l2 } => *l2 as f32 * sums::squares(w),
            Self::L1L2 { l1, l2 } => {
                let mut penalty = 0.0;
                if *l1 != 0.0 {
                    penalty += *l1 as f32 * sums::absolute(w);
                }
                if *l2 != 0.0 {
                    penalty += *l2 as f32 * sums::squares(w);
                }
                penalty
            }
            Self::OrthogonalRegularizer { factor, mode } => {
                let Vectors { units, count, .. } = Vectors::new(w, shape, *mode);
                let mut total = 0.0;
                for i in 0..count {
                    for j in 0..i {
                        total += 2.0 * dot(&units[i], &units[j]).abs();
                    }
                }
                *factor as f32 * 0.5 * total / pairs(count)
            }
        }
    }

    /// `gradient += scale · d(penalty)/d(w)`.
    ///
    /// # Shapes
    ///
    /// * `w`, `gradient` - `shape`
    pub fn add_gradient(&self, w: &[f32], shape: &[usize], scale: f32, gradient: &mut [f32]) {
        let mut add = |l1: f32, l2: f32| {
            for (g, &w) in gradient.iter_mut().zip(w) {
                *g += l1 * sign(w) + l2 * (2.0 * w);
            }
        };
        match self {
            Self::L1 { l1 } => add(scale * *l1 as f32, 0.0),
            Self::L2 { l2 } => add(0.0, scale * *l2 as f32),
            Self::L1L2 { l1, l2 } => add(scale * *l1 as f32, scale * *l2 as f32),
            Self::OrthogonalRegularizer { factor, mode } => {
                let vectors = Vectors::new(w, shape, *mode);
                let scale = scale * *factor as f32 / pairs(vectors.count);
                for i in 0..vectors.count {
                    // d/du_i of Σ_{i<j} |u_i·u_j|, then through the normalization u = w/|w|.
                    let unit = &vectors.units[i];
                    let mut towards = vec![0.0; unit.len()];
                    for (j, other) in vectors.units.iter().enumerate() {
                        if j != i {
                            let direction = sign(dot(unit, other));
                            for (t, &o) in towards.iter_mut().zip(other) {
                                *t += direction * o;
                            }
                        }
                    }
                    let (inverse, along) = match vectors.inverses[i] {
                        inverse if inverse < 1.0 / EPSILON => (inverse, dot(&towards, unit)),
                        // The norm was replaced by epsilon: a constant.
                        inverse => (inverse, 0.0),
                    };
                    for (k, (&t, &u)) in towards.iter().zip(unit).enumerate() {
                        gradient[vectors.index(i, k)] += scale * inverse * (t - along * u);
                    }
                }
            }
        }
    }

    /// Whether the penalty is defined for weights of this shape.
    ///
    /// # Errors
    ///
    /// An orthogonal regularizer on something that is not a matrix.
    pub fn check(&self, shape: &[usize]) -> Result<()> {
        match self {
            Self::OrthogonalRegularizer { .. } if shape.len() != 2 => Err(Error::shape(format!(
                "regularizer OrthogonalRegularizer on weights of shape {shape:?}, expected a matrix; use it as a kernel regularizer"
            ))),
            _ => Ok(()),
        }
    }
}

/// The rows or columns of a matrix, scaled to length 1.
struct Vectors {
    units: Vec<Vec<f32>>,
    inverses: Vec<f32>,
    count: usize,
    columns: usize,
    mode: OrthogonalMode,
}

impl Vectors {
    fn new(w: &[f32], shape: &[usize], mode: OrthogonalMode) -> Self {
        let columns = shape.last().copied().unwrap_or(1).max(1);
        let rows = w.len() / columns;
        let (count, len) = match mode {
            OrthogonalMode::Rows => (rows, columns),
            OrthogonalMode::Columns => (columns, rows),
        };
        let mut vectors = Self {
            units: Vec::with_capacity(count),
            inverses: Vec::with_capacity(count),
            count,
            columns,
            mode,
        };
        for i in 0..count {
            let mut unit: Vec<f32> = (0..len).map(|k| w[vectors.index(i, k)]).collect();
            let inverse = (1.0 / sums::squares(&unit).sqrt()).min(1.0 / EPSILON);
            unit.iter_mut().for_each(|u| *u *= inverse);
            vectors.units.push(unit);
            vectors.inverses.push(inverse);
        }
        vectors
    }

    fn index(&self, vector: usize, element: usize) -> usize {
        match self.mode {
            OrthogonalMode::Rows => vector * self.columns + element,
            OrthogonalMode::Columns => element * self.columns + vector,
        }
    }
}

fn pairs(count: usize) -> f32 {
    (count as f64 * (count as f64 - 1.0) / 2.0) as f32
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The slope of `|x|`, 0 at 0, as TensorFlow has it.
fn sign(x: f32) -> f32 {
    if x > 0.0 {
        1.0
    } else if x < 0.0 {
        -1.0
    } else {
        0.0
    }
}

fn rounded(value: f64) -> f64 {
    f64::from(value as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l1_l2_adds_both_slopes() {
        let regularizer = Regularizer::L1L2 { l1: 0.5, l2: 0.25 };
        let w = [2.0, -4.0, 0.0];
        // 0.5 * (2 + 4) + 0.25 * (4 + 16) = 8.
        assert_eq!(regularizer.penalty(&w, &[3]), 8.0);
        let mut gradient = [1.0; 3];
        regularizer.add_gradient(&w, &[3], 2.0, &mut gradient);
        // 1 + 2 * (±0.5 + 0.25 * 2w): 1 + 2 * 1.5, 1 + 2 * -2.5, 1.
        assert_eq!(gradient, [4.0, -4.0, 1.0]);
    }

    #[test]
    fn the_orthogonal_gradient_is_the_slope_of_the_penalty() {
        let w = [0.9, -0.3, 0.4, 0.2, 0.8, -0.5];
        for mode in [OrthogonalMode::Rows, OrthogonalMode::Columns] {
            let regularizer = Regularizer::OrthogonalRegularizer { factor: 0.7, mode };
            let mut gradient = [0.0; 6];
            regularizer.add_gradient(&w, &[2, 3], 1.0, &mut gradient);
            for i in 0..w.len() {
                let at = |delta: f32| {
                    let mut moved = w;
                    moved[i] += delta;
                    regularizer.penalty(&moved, &[2, 3])
                };
                // Central differences in float32 carry about 1e-7 / 2e-3 of rounding.
                let slope = (at(1e-3) - at(-1e-3)) / 2e-3;
                assert!(
                    (slope - gradient[i]).abs() < 1e-3,
                    "{mode:?} {i}: {slope} {gradient:?}"
                );
            }
        }
    }

    #[test]
    fn a_negative_factor_is_refused() {
        let error = Regularizer::from_config(&json!({"class_name": "L2", "config": {"l2": -1.0}}));
        assert_eq!(
            error.expect_err("negative").to_string(),
            "l2 of regularizer L2 is -1, expected a number from 0"
        );
    }
}
