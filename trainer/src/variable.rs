//! Variables: where a model's weights lie in its arena, and arrays with a name for files.

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
    F32(Vec<f32>),
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
