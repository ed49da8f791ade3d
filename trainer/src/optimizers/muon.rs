//! Muon: momentum of matrices, orthogonalized; Adam for everything else (Jordan et al. 2024).

use super::{Muon, Step};
use crate::{matmul, sums};

/// Whether Muon leaves a variable to Adam: no matrix, an embedding, or named to be excluded.
pub(super) fn uses_adam(muon: &Muon, shape: &[usize], path: &str) -> bool {
    let excluded = &muon.exclude_layers;
    shape.len() != 2
        || (muon.exclude_embeddings && path.to_lowercase().contains("embedding"))
        || excluded.iter().any(|part| path.contains(part.as_str()))
}

/// The constants of the update.
pub(super) struct Rule {
    pub momentum: f64,
    pub nesterov: bool,
    pub steps: u64,
    /// Coefficients of the Newton-Schulz polynomial `a·x + b·x³ + c·x⁵`.
    pub a: f32,
    pub b: f32,
    pub c: f32,
    /// Scales updates to this root mean square, or not.
    pub rms_rate: Option<f64>,
}

/// Room for the products of the largest matrix.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    x: Vec<f32>,
    next: Vec<f32>,
    square: Vec<f32>,
    sum: Vec<f32>,
}

impl Scratch {
    /// Room for a matrix of this shape too.
    pub fn reserve(&mut self, shape: &[usize]) {
        if let &[rows, columns] = shape {
            let (len, short) = (rows * columns, rows.min(columns));
            for (buffer, len) in [
                (&mut self.x, len),
                (&mut self.next, len),
                (&mut self.square, short * short),
                (&mut self.sum, short * short),
            ] {
                buffer.resize(buffer.len().max(len), 0.0);
            }
        }
    }
}

impl Rule {
    pub fn new(muon: &Muon) -> Self {
        Self {
            momentum: muon.momentum,
            nesterov: muon.nesterov,
            steps: muon.ns_steps,
            a: muon.muon_a as f32,
            b: muon.muon_b as f32,
            c: muon.muon_c as f32,
            rms_rate: muon.rms_rate,
        }
    }

    /// Updates one matrix; `g` becomes its direction.
    pub fn update(
        &self,
        step: Step,
        w: &mut [f32],
        g: &mut [f32],
        m: &mut [f32],
        shape: [usize; 2],
        scratch: &mut Scratch,
    ) {
        let (momentum, less) = (self.momentum as f32, (self.momentum - 1.0) as f32);
        for (g, m) in g.iter_mut().zip(m) {
            *m += *g + *m * less;
            *g = if self.nesterov {
                *g + momentum * *m
            } else {
                *m
            };
        }
        self.orthogonalize(g, shape, scratch);
        let longer = (shape[0].max(shape[1]) as f32).sqrt();
        let rate = self.rms_rate.map(|rate| rate as f32);
        for (w, g) in w.iter_mut().zip(g) {
            let update = step.learning_rate * *g;
            *w -= rate.map_or(update, |rate| update * longer * rate);
        }
    }

    /// Moves the singular values of `g` towards 1, by Newton-Schulz iterations of degree 5.
    fn orthogonalize(&self, g: &mut [f32], [rows, columns]: [usize; 2], scratch: &mut Scratch) {
        let (short, long) = (rows.min(columns), rows.max(columns));
        let transpose = rows > columns;
        let x = &mut scratch.x[..rows * columns];
        if transpose {
            for (i, x) in x.iter_mut().enumerate() {
                *x = g[i % long * short + i / long];
            }
        } else {
            x.copy_from_slice(g);
        }
        let norm = sums::squares(x).sqrt() + 1e-7;
        x.iter_mut().for_each(|x| *x /= norm);
        for _ in 0..self.steps {
            let next = &mut scratch.next[..rows * columns];
            let square = &mut scratch.square[..short * short];
            let sum = &mut scratch.sum[..short * short];
            next.copy_from_slice(x);
            matmul::set_right_transposed(next, next, square, long, short);
            matmul::set(square, square, sum, short, short);
            for (sum, square) in sum.iter_mut().zip(&*square) {
                *sum = self.b * square + self.c * *sum;
            }
            matmul::set(sum, next, x, short, long);
            for (x, next) in x.iter_mut().zip(&*next) {
                *x += self.a * next;
            }
        }
        if transpose {
            for (i, &x) in x.iter().enumerate() {
                g[i % long * short + i / long] = x;
            }
        } else {
            g.copy_from_slice(x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multiple_of_the_identity_becomes_about_the_identity() {
        let rule = Rule {
            momentum: 0.0,
            nesterov: false,
            steps: 5,
            a: 3.4445,
            b: -4.775,
            c: 2.0315,
            rms_rate: None,
        };
        let mut g = [7.0, 0.0, 0.0, 7.0, 0.0, 0.0];
        let mut scratch = Scratch::default();
        scratch.reserve(&[3, 2]);
        rule.orthogonalize(&mut g, [3, 2], &mut scratch);
        // These coefficients end within 0.7 and 1.2 of singular values of 1, by design.
        assert_eq!(g[0], g[3]);
        assert!((0.7..1.2).contains(&g[0]), "{g:?}");
        assert_eq!([g[1], g[2], g[4], g[5]], [0.0; 4]);
    }
}
