//! Checks of targets before training: shapes, and the range of class indices.

use super::Loss;
use crate::error::{Error, Result};

/// What a loss or a metric wants its targets to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// As wide as the predictions, or one value for the whole row.
    Elementwise,
    /// As wide as the predictions.
    SameWidth,
    /// One class index per row.
    Index,
}

impl Wanted {
    /// Whether targets of that width fit predictions of this one; if not, what would.
    pub(crate) fn check(self, y_true_width: usize, width: usize) -> Result<(), String> {
        match self {
            Self::Index if y_true_width != 1 => Err(
                "one class index per row; pass the indices, or use the form without sparse".into(),
            ),
            Self::SameWidth if y_true_width == 1 && width > 1 => Err(format!(
                "{width} columns; one-hot encode class indices, or use the sparse form"
            )),
            Self::SameWidth if y_true_width != width => Err(columns(width)),
            Self::Elementwise if y_true_width != width && y_true_width != 1 => Err(columns(width)),
            Self::Index | Self::SameWidth | Self::Elementwise => Ok(()),
        }
    }

    /// As [`Wanted::check`]; `flat` targets have an axis less than predictions.
    pub(crate) fn check_axes(
        self,
        flat: bool,
        y_true_width: usize,
        width: usize,
    ) -> Result<(), String> {
        match self {
            // [rows] against [rows, width]: Keras lines up the last axes, and fails.
            Self::Elementwise if flat && width > 1 => Err(columns(width)),
            Self::Elementwise | Self::SameWidth | Self::Index => self.check(y_true_width, width),
        }
    }
}

fn columns(width: usize) -> String {
    format!("{width} columns; change the targets or the units of the last layer")
}

impl Loss {
    /// Whether targets of this shape fit predictions of that one, rows first in both.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] with both shapes and what to change.
    pub fn check_targets(&self, y_true_shape: &[usize], y_pred_shape: &[usize]) -> Result<()> {
        let width = y_pred_shape.last().copied().unwrap_or(1);
        let y_true_width = if y_true_shape.len() < y_pred_shape.len() {
            1
        } else {
            y_true_shape.last().copied().unwrap_or(1)
        };
        let kind = self.kind.resolved(y_true_width, width);
        let name = &self.name;
        let fail = |expected: &str| {
            Err(Error::shape(format!(
                "loss {name:?} got targets of shape {} for predictions of shape {}, expected {expected}",
                shape(y_true_shape),
                shape(y_pred_shape),
            )))
        };
        let rows = |shape: &[usize], width: usize| shape.iter().product::<usize>() / width.max(1);
        if rows(y_true_shape, y_true_width) != rows(y_pred_shape, width) {
            return fail("one target row for each prediction row");
        }
        if let Some(flaw) = kind.function().flaw(width) {
            return Err(Error::shape(format!("loss {name:?} {flaw}")));
        }
        let flat = y_true_shape.len() < y_pred_shape.len();
        let checked = kind.function().check_widths(flat, y_true_width, width);
        checked.or_else(|expected| fail(&expected))
    }

    /// Whether every class index of sparse targets is one of the `width` outputs.
    ///
    /// # Errors
    ///
    /// [`Error::Value`] with the first row that is not.
    pub fn check_labels(&self, y_true: &[f32], y_true_width: usize, width: usize) -> Result<()> {
        let kind = self.kind.resolved(y_true_width, width);
        let function = kind.function();
        match y_true.iter().position(|&t| !function.is_label(t, width)) {
            Some(row) => Err(Error::value(format!(
                "data row {} of the targets has class {}, expected 0 to {} for an output of {width} units; add units to the last layer or renumber the classes",
                row + 1,
                y_true[row],
                width - 1,
            ))),
            None => Ok(()),
        }
    }
}

/// `(150, 3)`, as Python writes it.
fn shape(shape: &[usize]) -> String {
    match shape {
        [one] => format!("({one},)"),
        _ => {
            let sizes: Vec<_> = shape.iter().map(usize::to_string).collect();
            format!("({})", sizes.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(loss: &str, y_true: &[usize], y_pred: &[usize]) -> String {
        let loss: Loss = loss.parse().expect("a loss");
        let checked = loss.check_targets(y_true, y_pred);
        checked.expect_err("targets do not fit").to_string()
    }

    #[test]
    fn class_indices_for_a_categorical_loss_are_refused_with_the_loss_to_use() {
        assert_eq!(
            error("categorical_crossentropy", &[150], &[150, 3]),
            "loss \"categorical_crossentropy\" got targets of shape (150,) for predictions of shape (150, 3), expected 3 columns; one-hot encode class indices, or use the sparse form"
        );
    }

    #[test]
    fn one_hot_targets_for_a_sparse_loss_are_refused() {
        assert_eq!(
            error("sparse_categorical_crossentropy", &[150, 3], &[150, 3]),
            "loss \"sparse_categorical_crossentropy\" got targets of shape (150, 3) for predictions of shape (150, 3), expected one class index per row; pass the indices, or use the form without sparse"
        );
    }

    #[test]
    fn indices_of_one_column_for_the_generalized_crossentropy_are_refused() {
        let name = "categorical_generalized_cross_entropy";
        let loss = json!({"class_name": "CategoricalGeneralizedCrossEntropy", "config": {}});
        let loss = Loss::from_config(&loss).expect("a loss");
        assert!(loss.check_targets(&[150], &[150, 3]).is_ok());
        let error = |y_true: &[usize], y_pred: &[usize]| {
            let checked = loss.check_targets(y_true, y_pred);
            checked.expect_err("targets do not fit").to_string()
        };
        // Keras 3.15.1 with q 0.5: classes [0, 2, 1, 1] of shape (4,) give one loss per row, of shape
        // (4, 1) all pairs of rows, and other gradients.
        assert_eq!(
            error(&[150, 1], &[150, 3]),
            format!(
                "loss {name:?} got targets of shape (150, 1) for predictions of shape (150, 3), expected class indices without a last axis of 1, with which Keras compares every prediction with the classes of all rows; reshape them to one axis less, or use \"sparse_categorical_crossentropy\""
            )
        );
        assert_eq!(
            error(&[150], &[150, 1]),
            format!(
                "loss {name:?} got targets of shape (150,) for predictions of shape (150, 1), expected at least 2 columns of predictions, one for each class; add units to the last layer, or use \"binary_crossentropy\""
            )
        );
    }

    #[test]
    fn other_row_counts_and_widths_are_refused_and_one_column_is_spread() {
        assert_eq!(
            error("mse", &[9, 3], &[10, 3]),
            "loss \"mse\" got targets of shape (9, 3) for predictions of shape (10, 3), expected one target row for each prediction row"
        );
        assert_eq!(
            error("mse", &[10, 2], &[10, 3]),
            "loss \"mse\" got targets of shape (10, 2) for predictions of shape (10, 3), expected 3 columns; change the targets or the units of the last layer"
        );
        assert_eq!(
            error("mse", &[10], &[10, 3]),
            "loss \"mse\" got targets of shape (10,) for predictions of shape (10, 3), expected 3 columns; change the targets or the units of the last layer"
        );
        let mse: Loss = "mse".parse().expect("a loss");
        assert!(mse.check_targets(&[10, 1], &[10, 3]).is_ok());
        assert!(mse.check_targets(&[10], &[10, 1]).is_ok());
    }

    #[test]
    fn a_class_beyond_the_output_is_named_with_its_row() {
        let loss: Loss = "sparse_categorical_crossentropy".parse().expect("a loss");
        assert!(loss.check_labels(&[0.0, 2.0], 1, 3).is_ok());
        let generalized = crate::losses::CategoricalGeneralizedCrossEntropy { q: 0.5 };
        for loss in [loss, generalized.into()] {
            let error = loss.check_labels(&[0.0, 3.0], 1, 3).expect_err("class 3");
            assert_eq!(
                error.to_string(),
                "data row 2 of the targets has class 3, expected 0 to 2 for an output of 3 units; add units to the last layer or renumber the classes"
            );
        }
    }
}
