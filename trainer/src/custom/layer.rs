//! Layers of one's own.

use std::ops::{Index, Range};
use std::sync::Arc;

use super::registry::is_registered_name;
use super::{AnyPart, Custom, LAYERS, Own};
use crate::Result;
use crate::constraints::Constraint;
use crate::initializers::Initializer;
use crate::regularizers::Regularizer;

/// A layer of one's own. Shapes are those of one sample, without the batch axis.
///
/// Its Keras class is a `keras.layers.Layer` whose `build` adds the weights in the same order, those
/// that learn before the others.
pub trait CustomLayer: Custom {
    /// What comes out for inputs of this shape. Defaults to the same shape.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`](crate::Error::Shape) for inputs that the layer does not take.
    fn output_shape(&self, input: &[usize]) -> Result<Vec<usize>> {
        Ok(input.to_vec())
    }

    /// The weights for inputs of this shape. Defaults to none.
    fn weights(&self, _input: &[usize]) -> Vec<LayerWeight> {
        Vec::new()
    }

    /// Writes `pass.y`.
    fn forward(&self, pass: LayerForward);

    /// Writes `pass.dx`, and adds to the gradients of the weights, which are 0.
    fn backward(&self, pass: LayerBackward);

    /// What the layer is in inference where that is a scale and an offset of each value alone: so much
    /// goes into the layers beside it on the device. Defaults to none, and such a layer is refused there.
    fn scale_offset(&self, _weights: LayerWeights) -> Option<ScaleOffset> {
        None
    }
}

/// `y = scale * x + offset`, with one value for all, one per element of the last axis, or one per value of
/// a sample in each.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleOffset {
    /// What values are multiplied by.
    pub scale: Vec<f64>,
    /// What is added then.
    pub offset: Vec<f64>,
}

/// One weight of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerWeight {
    /// Its name in files, such as `kernel`.
    pub name: &'static str,
    /// Its shape.
    pub shape: Vec<usize>,
    /// The values at first.
    pub initializer: Initializer,
    /// Whether gradients reach it. Defaults to true.
    pub trainable: bool,
    /// Defaults to none.
    pub regularizer: Option<Regularizer>,
    /// Defaults to none.
    pub constraint: Option<Constraint>,
}

impl LayerWeight {
    /// One that learns, without regularizer and constraint.
    pub fn new(name: &'static str, shape: impl Into<Vec<usize>>, initializer: Initializer) -> Self {
        Self {
            name,
            shape: shape.into(),
            initializer,
            trainable: true,
            regularizer: None,
            constraint: None,
        }
    }
}

/// The weights of a layer: `weights[0]` has the values of the first one.
#[derive(Clone, Copy, Debug)]
pub struct LayerWeights<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) ranges: &'a [Range<usize>],
}

impl Index<usize> for LayerWeights<'_> {
    type Output = [f32];

    fn index(&self, weight: usize) -> &[f32] {
        &self.values[self.ranges[weight].clone()]
    }
}

/// The gradients of the loss by a layer's weights.
#[derive(Debug)]
pub struct LayerGradients<'a> {
    pub(crate) values: &'a mut [f32],
    pub(crate) ranges: &'a [Range<usize>],
}

impl LayerGradients<'_> {
    /// That by one weight, to be added to.
    pub fn of(&mut self, weight: usize) -> &mut [f32] {
        &mut self.values[self.ranges[weight].clone()]
    }
}

/// A forward pass over some samples.
#[derive(Debug)]
pub struct LayerForward<'a> {
    /// Samples.
    pub rows: usize,
    /// `[rows, input sample]`
    pub x: &'a [f32],
    /// `[rows, output sample]`, to be written.
    pub y: &'a mut [f32],
    /// In the order of [`CustomLayer::weights`].
    pub weights: LayerWeights<'a>,
    /// Whether the model is in training.
    pub training: bool,
}

/// A backward pass over the samples of the last forward pass.
#[derive(Debug)]
pub struct LayerBackward<'a> {
    /// Samples.
    pub rows: usize,
    /// `[rows, input sample]`
    pub x: &'a [f32],
    /// `[rows, output sample]`
    pub y: &'a [f32],
    /// Gradient of the loss by `y`.
    pub dy: &'a [f32],
    /// Gradient of the loss by `x`, to be written; none where nobody needs it.
    pub dx: Option<&'a mut [f32]>,
    /// In the order of [`CustomLayer::weights`].
    pub weights: LayerWeights<'a>,
    /// Gradients of the loss by the weights, 0 at first.
    pub gradients: LayerGradients<'a>,
}

/// [`CustomLayer`] of any type.
pub trait AnyLayer: AnyPart {
    #[doc(hidden)]
    fn shape_of(&self, input: &[usize]) -> Result<Vec<usize>>;
    #[doc(hidden)]
    fn weights_of(&self, input: &[usize]) -> Vec<LayerWeight>;
    #[doc(hidden)]
    fn run(&self, pass: LayerForward);
    #[doc(hidden)]
    fn run_back(&self, pass: LayerBackward);
    #[doc(hidden)]
    fn map(&self, weights: LayerWeights) -> Option<ScaleOffset>;
}

impl<T: CustomLayer> AnyLayer for T {
    fn shape_of(&self, input: &[usize]) -> Result<Vec<usize>> {
        self.output_shape(input)
    }

    fn weights_of(&self, input: &[usize]) -> Vec<LayerWeight> {
        self.weights(input)
    }

    fn run(&self, pass: LayerForward) {
        self.forward(pass);
    }

    fn run_back(&self, pass: LayerBackward) {
        self.backward(pass);
    }

    fn map(&self, weights: LayerWeights) -> Option<ScaleOffset> {
        self.scale_offset(weights)
    }
}

/// Lets files be read that hold this layer. Using it in a model does so, too.
pub fn register_layer<T: CustomLayer>() {
    const { assert!(is_registered_name(T::NAME), "NAME is not package>Class") };
    LAYERS.register(T::NAME, |arguments| {
        T::read(arguments).map(|layer| Own(Arc::new(layer) as Arc<dyn AnyLayer>))
    });
}
