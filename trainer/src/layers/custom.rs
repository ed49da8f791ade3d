//! A layer of one's own among Keras' layers.

use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Layer;
use super::arguments::Config;
use super::base::layer_options;
use super::base::{Backward, Base, Built, Flow, Forward, OnDevice, Op, Weight, Weights};
use crate::Result;
use crate::custom::{
    AnyLayer, CustomLayer, LAYERS, LayerBackward, LayerForward, LayerGradients, LayerWeights, Own,
    register_layer,
};

/// A [`CustomLayer`](crate::custom::CustomLayer) with the options that every layer has; from one by
/// `into`, or straight from `model.add`.
#[derive(Clone, Debug, PartialEq)]
pub struct Custom {
    layer: Own<dyn AnyLayer>,
    /// Name, trainable and the like.
    pub base: Base,
    /// Where its weights lie, in its own order.
    weights: Vec<Range<usize>>,
}

layer_options!(Custom);

impl Custom {
    pub(crate) fn of(layer: Own<dyn AnyLayer>, base: Base) -> Self {
        Self {
            layer,
            base,
            weights: Vec::new(),
        }
    }

    /// The layer of this registered name.
    pub(crate) fn from_config<'a>(name: &'a str, config: &Config<'a>) -> Result<Self> {
        let layer = LAYERS.read(name, &config.object(name))?;
        Ok(Self::of(layer, Base::from_config(config)?))
    }

    /// Keras' registered name, `package>Class`.
    pub fn registered_name(&self) -> &'static str {
        self.layer.registered_name()
    }

    fn values<'a>(&'a self, values: &'a [f32]) -> LayerWeights<'a> {
        LayerWeights {
            values,
            ranges: &self.weights,
        }
    }

    pub(crate) fn class_name(&self) -> &'static str {
        self.layer.class_name()
    }
}

impl<T: CustomLayer> From<T> for Custom {
    fn from(layer: T) -> Self {
        register_layer::<T>();
        Self::of(Own(Arc::new(layer)), Base::default())
    }
}

impl<T: CustomLayer> From<T> for Layer {
    fn from(layer: T) -> Self {
        Self::Custom(layer.into())
    }
}

impl Op for Custom {
    fn base(&self) -> &Base {
        &self.base
    }

    fn base_mut(&mut self) -> &mut Base {
        &mut self.base
    }

    fn extend_config(&self, config: &mut Map<String, Value>) {
        config.extend(self.layer.arguments());
    }

    fn has_build_config(&self) -> bool {
        true
    }

    fn on_device(&self, built: &Built) -> OnDevice {
        let map = self.layer.map(self.values(built.values));
        map.map_or(
            OnDevice::Refused(
                "use one of Keras' own, or say in its scale_offset what it multiplies by and adds",
            ),
            OnDevice::Scale,
        )
    }

    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        self.layer.shape_of(input)
    }

    fn build(&mut self, input: &[usize], weights: &mut Weights) -> Result<()> {
        let own = self.layer.weights_of(input);
        self.weights = vec![0..0; own.len()];
        // As in Keras' files, those that learn before the others.
        for trainable in [true, false] {
            let these = own.iter().zip(&mut self.weights);
            for (weight, range) in these.filter(|(weight, _)| weight.trainable == trainable) {
                let added = Weight {
                    name: weight.name,
                    initializer: &weight.initializer,
                    regularizer: weight.regularizer.clone(),
                    constraint: weight.constraint.clone(),
                    trainable,
                };
                *range = weights.add(added, &weight.shape)?;
            }
        }
        Ok(())
    }

    fn flow(&self, _training: bool) -> Flow {
        Flow::Apart
    }

    fn forward(&self, pass: Forward) {
        self.layer.run(LayerForward {
            rows: pass.rows,
            x: pass.x,
            y: pass.y,
            weights: self.values(pass.values),
            training: pass.training,
        });
    }

    fn backward(&self, pass: Backward) {
        let clear = |grads: &mut [f32]| {
            for range in &self.weights {
                grads[range.clone()].fill(0.0);
            }
        };
        clear(pass.grads);
        self.layer.run_back(LayerBackward {
            rows: pass.rows,
            x: pass.x,
            y: pass.y,
            dy: pass.dy,
            dx: pass.dx,
            weights: self.values(pass.values),
            gradients: LayerGradients {
                values: pass.grads,
                ranges: &self.weights,
            },
        });
        if !pass.trainable {
            clear(pass.grads);
        }
    }
}
