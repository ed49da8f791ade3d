//! Adafactor: second moments of matrices as an outer product of row and column means.

use super::Step;
use crate::sums;

/// Mean squares of one variable, by rows and by columns; empty for vectors and scalars.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Factors {
    /// `[matrices, rows]` and `[matrices, columns]`.
    pub rows: Vec<f32>,
    pub columns: Vec<f32>,
    /// Rows and columns of one matrix; the leading axes count the matrices.
    row_len: usize,
    column_len: usize,
}

impl Factors {
    pub fn new(shape: &[usize]) -> Self {
        let &[ref matrices @ .., rows, columns] = shape else {
            return Self::default();
        };
        let matrices: usize = matrices.iter().product();
        Self {
            rows: vec![0.0; matrices * rows],
            columns: vec![0.0; matrices * columns],
            row_len: rows,
            column_len: columns,
        }
    }
}

pub(super) struct Rule {
    pub beta_2_decay: f32,
    pub epsilon_1: f32,
    pub epsilon_2: f32,
    pub clip_threshold: f32,
}

impl Rule {
    /// Updates one variable; `g` becomes its unscaled step.
    pub fn update(
        &self,
        step: Step,
        w: &mut [f32],
        g: &mut [f32],
        v: &mut [f32],
        factors: &mut Factors,
    ) {
        // Keras' `relative_step` bounds the rate once more by the same bound: no difference.
        let rho = step.learning_rate.min(1.0 / step.number.sqrt());
        let alpha = at_least(self.epsilon_2, root_mean_square(w)) * rho;
        let beta_2 = 1.0 - step.number.powf(self.beta_2_decay);
        if factors.rows.is_empty() {
            for (v, &g) in v.iter_mut().zip(&*g) {
                *v = beta_2 * *v + (1.0 - beta_2) * (g * g + self.epsilon_1);
            }
        } else {
            self.factored(beta_2, g, v, factors);
        }
        for (g, v) in g.iter_mut().zip(v) {
            *g /= v.sqrt();
        }
        let divisor = at_least(1.0, root_mean_square(g) / self.clip_threshold);
        for (w, g) in w.iter_mut().zip(g) {
            *w -= alpha * (*g / divisor);
        }
    }

    fn factored(&self, beta_2: f32, g: &[f32], v: &mut [f32], factors: &mut Factors) {
        let Factors {
            rows,
            columns,
            row_len,
            column_len,
        } = factors;
        let (row_len, column_len) = (*row_len, *column_len);
        let matrices = g.chunks_exact(row_len * column_len);
        let matrices = matrices.zip(v.chunks_exact_mut(row_len * column_len));
        let means = rows.chunks_exact_mut(row_len);
        let means = means.zip(columns.chunks_exact_mut(column_len));
        for ((g, v), (rows, columns)) in matrices.zip(means) {
            let scale = (1.0 - beta_2) / row_len as f32;
            columns.iter_mut().for_each(|c| *c *= beta_2);
            for (row, g) in rows.iter_mut().zip(g.chunks_exact(column_len)) {
                let mean =
                    (sums::squares(g) + self.epsilon_1 * column_len as f32) / column_len as f32;
                *row = beta_2 * *row + (1.0 - beta_2) * mean;
                for (c, &g) in columns.iter_mut().zip(g) {
                    *c += scale * (g * g + self.epsilon_1);
                }
            }
            let mean = rows.iter().sum::<f32>() / row_len as f32;
            for (&row, v) in rows.iter().zip(v.chunks_exact_mut(column_len)) {
                let ratio = row / mean;
                for (v, &c) in v.iter_mut().zip(&*columns) {
                    *v = ratio * c;
                }
            }
        }
    }
}

/// The larger of both; NaN when `value` is, as TensorFlow's maximum has it.
fn at_least(least: f32, value: f32) -> f32 {
    if value < least { least } else { value }
}

fn root_mean_square(x: &[f32]) -> f32 {
    (sums::squares(x) / x.len() as f32).sqrt()
}
