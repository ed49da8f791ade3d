//! `adapt`: statistics of data for the layers that normalize by them.

use ndarray::{ArrayBase, Data, Dimension};

use crate::layers::Layer;
use crate::samples::Samples;
use crate::{Number, Result, Sequential};

impl Sequential {
    /// Takes mean and variance of `x` for every [`crate::layers::Normalization`] of the model
    /// that has weights, each as it sees the data through the layers before it.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`](crate::Error::Shape) when `x` does not fit, [`Error::Value`](crate::Error::Value) for values that are not finite.
    pub fn adapt<S: Data<Elem: Number>, D: Dimension>(
        &mut self,
        x: &ArrayBase<S, D>,
    ) -> Result<()> {
        let samples = Samples::new(x);
        self.build_for(&samples)?;
        let rows = samples.rows();
        for i in 0..self.plan.len() {
            let leaf = &self.plan[i];
            let Layer::Normalization(layer) = leaf.layer(&self.layers) else {
                continue;
            };
            let Some(ranges) = layer.weights().cloned() else {
                continue;
            };
            let input = self.outputs_before(i, &samples);
            let statistics = layer.statistics(&input, rows, &leaf.input_shape)?;
            for (range, new) in ranges
                .into_iter()
                .zip([&statistics.mean, &statistics.variance])
            {
                for (value, &new) in self.values[range].iter_mut().zip(new) {
                    *value = new as f32; // weights are f32
                }
            }
        }
        Ok(())
    }
}
