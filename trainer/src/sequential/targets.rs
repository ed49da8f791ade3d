//! How targets lie beside the predictions.

use crate::samples::Samples;
use crate::{Error, Result};

/// How targets lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Targets {
    /// Last axis: 1 when they have one axis less than the predictions.
    pub width: usize,
    /// Whether they have one axis less than the predictions.
    pub flat: bool,
}

impl Targets {
    pub fn of(y: &Samples, output: &[usize]) -> Self {
        let flat = y.sample_shape().len() < output.len();
        let width = y.sample_shape().last().copied().filter(|_| !flat);
        Self {
            width: width.unwrap_or(1),
            flat,
        }
    }

    /// Whether there is one target row for each row of predictions of this shape.
    pub fn check_rows(self, y: &Samples, y_pred: &[usize]) -> Result<()> {
        let rows: usize = y_pred.iter().rev().skip(1).product();
        let found = y.values().len() / self.width.max(1);
        if found == rows {
            return Ok(());
        }
        Err(Error::shape(format!(
            "y has shape {:?}, expected one target row for each prediction row of outputs of shape {y_pred:?}; reshape the targets",
            y.shape(),
        )))
    }
}
