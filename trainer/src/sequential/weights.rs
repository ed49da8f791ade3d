//! Weights in and out, in Keras' order.

use ndarray::{ArrayD, IxDyn};

use super::Sequential;
use crate::variable::Variable;
use crate::{Error, Result};

impl Sequential {
    /// All weights, as `model.weights`: layer by layer, and in each those that learn first.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// The values of all weights, one after the other.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The values of all weights, to be changed.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// Positions in [`Sequential::variables`] of the weights of each layer.
    pub fn layer_variables(&self) -> Vec<std::ops::Range<usize>> {
        let mut ranges = Vec::with_capacity(self.layers.len());
        let mut start = 0;
        for index in 0..self.layers.len() {
            let leaves = self.plan.iter().filter(|leaf| leaf.path[0] == index);
            let end = leaves.map(|leaf| leaf.variables.end).max().unwrap_or(start);
            ranges.push(start..end);
            start = end;
        }
        ranges
    }

    /// The same for the layers of nested models, in line: every layer that is not a model.
    pub(crate) fn leaf_variables(&self) -> Vec<std::ops::Range<usize>> {
        self.plan
            .iter()
            .map(|leaf| leaf.variables.clone())
            .collect()
    }

    /// One array per weight, in the order of [`Sequential::variables`].
    pub fn get_weights(&self) -> Vec<ArrayD<f32>> {
        let array = |variable: &Variable| {
            let values = self.values[variable.range.clone()].to_vec();
            ArrayD::from_shape_vec(IxDyn(&variable.shape), values)
                .expect("a variable's range is as long as its shape")
        };
        self.variables.iter().map(array).collect()
    }

    /// Takes the weights of [`Sequential::get_weights`], or of Keras' `model.get_weights()`.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] when number or shapes differ; the weights are then as before.
    pub fn set_weights(&mut self, weights: &[ArrayD<f32>]) -> Result<()> {
        if weights.len() != self.variables.len() {
            return Err(Error::shape(format!(
                "{} weight arrays, expected {} for model {:?}; give those of the same architecture",
                weights.len(),
                self.variables.len(),
                self.name
            )));
        }
        for (array, variable) in weights.iter().zip(&self.variables) {
            if array.shape() != variable.shape {
                return Err(Error::shape(format!(
                    "weight {} has shape {:?}, expected {:?}; give those of the same architecture",
                    variable.path,
                    array.shape(),
                    variable.shape
                )));
            }
        }
        for (array, variable) in weights.iter().zip(&self.variables) {
            let values = &mut self.values[variable.range.clone()];
            values
                .iter_mut()
                .zip(array)
                .for_each(|(value, &new)| *value = new);
        }
        Ok(())
    }
}
