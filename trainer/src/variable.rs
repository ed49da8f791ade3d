//! Variables: where a model's weights lie in its arena, and arrays with a name for files.

use std::ops::Range;

/// One weight of a model: a range of the model's flat arena of values (and of its gradients).
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// Keras' path, such as `sequential/dense/kernel`.
    pub path: String,
    /// Keras' name, such as `kernel`.
    pub name: String,
    /// Shape; its product is the length of `range`.
    pub shape: Vec<usize>,
    /// Where the values lie in the arena.
    pub range: Range<usize>,
    /// Whether gradients and updates apply.
    pub trainable: bool,
    /// Adds a penalty to the loss. Defaults to none.
    pub regularizer: Option<crate::regularizers::Regularizer>,
    /// Projects the values after each update. Defaults to none.
    pub constraint: Option<crate::constraints::Constraint>,
}

/// An array with a name, as weight files and optimizers exchange them.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedArray {
    /// Name or path, as in the file (`kernel`, `dense/kernel:0`, `adam/dense_kernel_momentum`).
    pub name: String,
    /// Shape, empty for a scalar.
    pub shape: Vec<usize>,
    /// Values in C order.
    pub data: ArrayData,
}

/// The values of a [`NamedArray`].
#[derive(Clone, Debug, PartialEq)]
pub enum ArrayData {
    /// Numbers of type float32.
    F32(Vec<f32>),
    /// Numbers of type int64, such as a step counter.
    I64(Vec<i64>),
}

impl NamedArray {
    /// An array of floats.
    pub fn f32(name: impl Into<String>, shape: &[usize], data: Vec<f32>) -> Self {
        Self {
            name: name.into(),
            shape: shape.to_vec(),
            data: ArrayData::F32(data),
        }
    }

    /// A scalar integer, such as an optimizer's iteration counter.
    pub fn i64_scalar(name: impl Into<String>, value: i64) -> Self {
        Self {
            name: name.into(),
            shape: Vec::new(),
            data: ArrayData::I64(vec![value]),
        }
    }
}

impl ArrayData {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::I64(values) => values.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements as floats.
    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            Self::F32(values) => values.clone(),
            Self::I64(values) => values.iter().map(|&v| v as f32).collect(), // counters and flags
        }
    }
}
