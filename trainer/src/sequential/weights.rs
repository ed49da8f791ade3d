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
        self.arrays(&self.variables)
    }

    /// The weights of one layer, or of one nested model: `layer.get_weights()`. Empty for a layer
    /// without weights, and before the model is built.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for a name that no layer has.
    pub fn get_layer_weights(&self, name: &str) -> Result<Vec<ArrayD<f32>>> {
        Ok(self.arrays(&self.variables[self.variables_of(name)?]))
    }

    /// Takes the weights of one layer: `layer.set_weights(..)`.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] for a name that no layer has, [`Error::Shape`] when number or shapes differ;
    /// the weights are then as before.
    pub fn set_layer_weights(&mut self, name: &str, weights: &[ArrayD<f32>]) -> Result<()> {
        let range = self.variables_of(name)?;
        self.assign(range, weights, &format!("layer {name:?}"))
    }

    fn variables_of(&self, name: &str) -> Result<std::ops::Range<usize>> {
        let found = self.layers.iter().position(|layer| layer.name() == name);
        let index = found.ok_or_else(|| {
            let names: Vec<_> = self.layers.iter().map(|layer| layer.name()).collect();
            Error::value(format!(
                "model {:?} has no layer {name:?}, expected one of {}",
                self.name,
                names.join(", ")
            ))
        })?;
        Ok(self.layer_variables()[index].clone())
    }

    fn arrays(&self, variables: &[Variable]) -> Vec<ArrayD<f32>> {
        let array = |variable: &Variable| {
            let values = self.values[variable.range.clone()].to_vec();
            ArrayD::from_shape_vec(IxDyn(&variable.shape), values)
                .expect("a variable's range is as long as its shape")
        };
        variables.iter().map(array).collect()
    }

    /// Takes the weights of [`Sequential::get_weights`], or of Keras' `model.get_weights()`.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] when number or shapes differ; the weights are then as before.
    pub fn set_weights(&mut self, weights: &[ArrayD<f32>]) -> Result<()> {
        let owner = format!("model {:?}", self.name);
        self.assign(0..self.variables.len(), weights, &owner)
    }

    fn assign(
        &mut self,
        range: std::ops::Range<usize>,
        weights: &[ArrayD<f32>],
        owner: &str,
    ) -> Result<()> {
        let variables = &self.variables[range];
        if weights.len() != variables.len() {
            return Err(Error::shape(format!(
                "{} weight arrays, expected {} for {owner}; give those of the same architecture",
                weights.len(),
                variables.len(),
            )));
        }
        for (array, variable) in weights.iter().zip(variables) {
            if array.shape() != variable.shape {
                return Err(Error::shape(format!(
                    "weight {} has shape {:?}, expected {:?}; give those of the same architecture",
                    variable.path,
                    array.shape(),
                    variable.shape
                )));
            }
        }
        for (array, variable) in weights.iter().zip(variables) {
            let values = &mut self.values[variable.range.clone()];
            values
                .iter_mut()
                .zip(array)
                .for_each(|(value, &new)| *value = new);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{BatchNormalization, Dense, Input};

    #[test]
    fn weights_of_one_layer_come_and_go_by_its_name() -> Result<()> {
        let mut model = Sequential::new();
        model.add(Input::new([3]))?;
        model.add(Dense::new(2))?;
        model.add(BatchNormalization::new())?;
        let shapes = |weights: &[ArrayD<f32>]| {
            weights
                .iter()
                .map(|w| w.shape().to_vec())
                .collect::<Vec<_>>()
        };
        let dense = model.get_layer_weights("dense")?;
        assert_eq!(shapes(&dense), [vec![3, 2], vec![2]]);
        let normalization = model.get_layer_weights("batch_normalization")?;
        assert_eq!(shapes(&normalization), vec![vec![2]; 4]);

        let ones: Vec<_> = dense.iter().map(|w| ArrayD::ones(w.raw_dim())).collect();
        model.set_layer_weights("dense", &ones)?;
        assert_eq!(model.get_layer_weights("dense")?, ones);
        assert_eq!(
            model.get_layer_weights("batch_normalization")?,
            normalization
        );

        let say = |result: Result<()>| result.expect_err("does not fit").to_string();
        assert_eq!(
            say(model.set_layer_weights("dense", &ones[..1])),
            "1 weight arrays, expected 2 for layer \"dense\"; give those of the same architecture"
        );
        assert_eq!(
            say(model.set_layer_weights("dens", &ones)),
            "model \"sequential\" has no layer \"dens\", expected one of dense, batch_normalization"
        );
        Ok(())
    }
}
