//! The device's rounding in the forward pass of a training: what quantization-aware training
//! learns to live with.
//!
//! The backward pass takes the rounding for the identity within the range and for a constant
//! beyond it (the straight-through estimator; Jacob et al. 2018, "Quantization and training of
//! neural networks for efficient integer-arithmetic-only inference").

use std::ops::Range;

/// A weight to the integer that stands for it, `w / scale` rounded half away from 0, within `[-limit, limit]`.
///
/// The scale is positive, or the weight is 0.
pub(crate) fn round_weight(w: f64, scale: f64, limit: i8) -> i8 {
    let limit = f64::from(limit);
    // Rounded and clamped: the cast is exact, and makes 0 of NaN.
    (w / scale).round().clamp(-limit, limit) as i8
}

/// The integers of one tensor: `real = scale * (q - zero)`, `q` in `[-limit, limit]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Grid {
    pub scale: f32,
    pub zero: f32,
    pub limit: f32,
}

impl Grid {
    /// Each value to the nearest of the grid.
    fn round(&self, values: &mut [f32]) {
        let inverse = 1.0 / self.scale;
        for v in values {
            let q = (*v * inverse + self.zero + 0.5).floor();
            *v = (q.clamp(-self.limit, self.limit) - self.zero) * self.scale;
        }
    }

    /// No gradient where the range ends.
    fn mask(&self, y: &[f32], dy: &mut [f32]) {
        let low = (-self.limit - self.zero) * self.scale;
        let high = (self.limit - self.zero) * self.scale;
        for (dy, &y) in dy.iter_mut().zip(y) {
            // The lower end is where a relu stops gradients by itself.
            if y >= high || (y <= low && low < 0.0) {
                *dy = 0.0;
            }
        }
    }
}

/// A kernel, `[inputs, units]`, and the largest integer of its weights.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KernelGrid {
    pub range: Range<usize>,
    pub units: usize,
    pub limit: i8,
}

/// Which tensors of a model are rounded, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rounding {
    /// Outputs of each leaf; none where the device keeps floats or there is nothing to round.
    pub outputs: Vec<Option<Grid>>,
    pub kernels: Vec<KernelGrid>,
    /// The weights before rounding, while a step runs.
    float: Vec<f32>,
    /// `[units]` of the kernel at hand.
    scales: Vec<f32>,
}

impl Rounding {
    pub fn new(outputs: Vec<Option<Grid>>, kernels: Vec<KernelGrid>) -> Self {
        Self {
            outputs,
            kernels,
            ..Self::default()
        }
    }

    /// Rounds every kernel to its units' grids, symmetric, by the largest weight.
    pub fn round_kernels(&mut self, values: &mut [f32]) {
        for kernel in &self.kernels {
            let weights = &mut values[kernel.range.clone()];
            self.scales.clear();
            self.scales.resize(kernel.units, 0.0);
            for row in weights.chunks_exact(kernel.units) {
                for (scale, w) in self.scales.iter_mut().zip(row) {
                    *scale = scale.max(w.abs());
                }
            }
            let limit = f32::from(kernel.limit);
            self.scales.iter_mut().for_each(|s| *s /= limit);
            for row in weights.chunks_exact_mut(kernel.units) {
                for (w, &scale) in row.iter_mut().zip(&self.scales) {
                    if scale > 0.0 {
                        let q = round_weight((*w).into(), scale.into(), kernel.limit);
                        *w = f32::from(q) * scale;
                    }
                }
            }
        }
    }

    /// [`Rounding::round_kernels`], keeping the weights for [`Rounding::restore`].
    pub fn begin(&mut self, values: &mut [f32]) {
        self.float.clear();
        self.float.extend_from_slice(values);
        self.round_kernels(values);
    }

    /// Brings the weights back that [`Rounding::begin`] kept; what else the pass changed, such as
    /// moving averages, stays.
    pub fn restore(&self, values: &mut [f32]) {
        for kernel in &self.kernels {
            let range = kernel.range.clone();
            values[range.clone()].copy_from_slice(&self.float[range]);
        }
    }

    pub fn round_outputs(&self, leaf: usize, y: &mut [f32]) {
        if let Some(Some(grid)) = self.outputs.get(leaf) {
            grid.round(y);
        }
    }

    pub fn mask_gradient(&self, leaf: usize, y: &[f32], dy: &mut [f32]) {
        if let Some(Some(grid)) = self.outputs.get(leaf) {
            grid.mask(y, dy);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_go_to_the_grid_and_gradients_pass_only_within_it() {
        let grid = Grid {
            scale: 0.5,
            zero: -127.0,
            limit: 127.0,
        };
        let rounding = Rounding::new(vec![None, Some(grid)], Vec::new());
        let mut y = [-1.0, 0.2, 0.3, 500.0];
        rounding.round_outputs(1, &mut y);
        assert_eq!(y, [0.0, 0.0, 0.5, 127.0]);
        let mut dy = [1.0; 4];
        rounding.mask_gradient(1, &y, &mut dy);
        assert_eq!(dy, [1.0, 1.0, 1.0, 0.0]);
        rounding.round_outputs(0, &mut y);
        assert_eq!(y, [0.0, 0.0, 0.5, 127.0]);
    }

    #[test]
    fn a_weight_goes_to_the_nearest_integer_of_its_range() {
        // -2.5, away from 0.
        assert_eq!(round_weight(-0.25, 0.1, 127), -3);
        assert_eq!(round_weight(9.0, 0.1, 7), 7);
        assert_eq!(round_weight(0.0, 0.0, 7), 0);
    }

    #[test]
    fn kernels_are_rounded_by_unit_and_come_back() {
        // Two inputs, two units: scales 1 / 1 and 7 / 7 of int4.
        let kernel = KernelGrid {
            range: 1..5,
            units: 2,
            limit: 7,
        };
        let mut rounding = Rounding::new(Vec::new(), vec![kernel]);
        let before = [9.0, 7.0, 0.7, 3.4, -0.36];
        let mut values = before;
        rounding.begin(&mut values);
        // -0.36 / 0.1 = -3.6 -> -4; 3.4 -> 3
        assert_eq!(values[..4], [9.0, 7.0, 0.7, 3.0]);
        assert!((values[4] + 0.4).abs() < 1e-6);
        rounding.restore(&mut values);
        assert_eq!(values, before);
    }
}
