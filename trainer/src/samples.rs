//! Arrays on their way into a model.

use std::borrow::Cow;

use ndarray::{ArrayBase, Data, Dimension};

use crate::Number;

/// An array as rows of samples.
#[derive(Clone, Debug)]
pub struct Samples<'a> {
    values: Cow<'a, [f32]>,
    shape: Vec<usize>,
}

impl<'a> Samples<'a> {
    /// The rows of `array`; arrays not in C order, and of other numbers than `f32`, are copied.
    pub fn new<S: Data<Elem: Number>, D: Dimension>(array: &'a ArrayBase<S, D>) -> Self {
        let values = match array.as_slice() {
            Some(values) => Number::floats(values),
            None => Cow::Owned(array.iter().map(|value| value.to_f32()).collect()),
        };
        Self {
            values,
            shape: array.shape().to_vec(),
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or_default()
    }

    /// Shape of one row.
    pub fn sample_shape(&self) -> &[usize] {
        self.shape.get(1..).unwrap_or_default()
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Values of one row.
    pub(crate) fn width(&self) -> usize {
        self.sample_shape().iter().product()
    }

    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Rows `start..stop`.
    pub(crate) fn range(&self, start: usize, stop: usize) -> Samples<'_> {
        let width = self.width();
        let mut shape = self.shape.clone();
        if let Some(rows) = shape.first_mut() {
            *rows = stop - start;
        }
        Samples {
            values: Cow::Borrowed(&self.values[start * width..stop * width]),
            shape,
        }
    }
}
