//! What becomes of cells without a value.

use std::collections::BTreeMap;

use ndarray::{ArrayD, Axis};

/// What becomes of cells that are empty or say that there is no value: `NA`, `N/A`, `NaN`, `null`,
/// `None`, `?` and `-`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// The table is refused.
    #[default]
    Refuse,
    /// Their rows are left out.
    Drop,
    /// The mean of the column's other cells; no text of a column of texts.
    Mean,
    /// The median of the column's other cells, the lower of two; no text of a column of texts.
    Median,
    /// 0; no text of a column of texts.
    Zero,
}

/// Replaces NaN in every column, and says by what.
pub(super) fn fill(
    x: &mut ArrayD<f32>,
    names: &[String],
    missing: Missing,
) -> BTreeMap<String, f32> {
    let mut fills = BTreeMap::new();
    // A look at every column of a large table takes longer than reading it.
    let nothing_to_fill = match missing {
        Missing::Refuse | Missing::Drop => true,
        Missing::Mean | Missing::Median | Missing::Zero => !x.iter().any(|value| value.is_nan()),
    };
    if nothing_to_fill {
        return fills;
    }
    for (mut column, name) in x.axis_iter_mut(Axis(1)).zip(names) {
        if !column.iter().any(|value| value.is_nan()) {
            continue;
        }
        let mut values: Vec<f32> = column.iter().copied().filter(|v| !v.is_nan()).collect();
        let value = match missing {
            _ if values.is_empty() => 0.0,
            Missing::Mean => {
                let sum: f64 = values.iter().map(|&value| f64::from(value)).sum();
                (sum / values.len() as f64) as f32
            }
            Missing::Median => {
                values.sort_unstable_by(f32::total_cmp);
                values[(values.len() - 1) / 2]
            }
            Missing::Refuse | Missing::Drop | Missing::Zero => 0.0,
        };
        column.mapv_inplace(|old| if old.is_nan() { value } else { old });
        fills.insert(name.clone(), value);
    }
    fills
}
