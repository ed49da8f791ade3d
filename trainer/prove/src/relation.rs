//! What has to hold of the outputs of two rows.

use crate::{goal::class, network::Head};

/// What has to hold of the outputs of two models for the same inputs, or of one for inputs that differ in a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Relation {
    /// Two models decide for the same class.
    SameClass,
    /// No output of two models differs by more than this.
    Within(f64),
    /// An output never falls while a column rises and all others stay.
    Monotone {
        /// Its index.
        output: usize,
        /// The index of the input.
        column: usize,
        /// Whether it never falls; else it never rises.
        rises: bool,
    },
}

/// The greatest difference of two outputs.
pub(crate) fn difference(rows: [&[f32]; 2]) -> f64 {
    let pairs = rows[0].iter().zip(rows[1]);
    // The difference of two f32 is exact in f64 unless one is 2^29 times the other.
    pairs
        .map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs())
        .fold(0.0, f64::max)
}

impl Relation {
    /// Whether it holds of two rows of outputs.
    pub(crate) fn holds(self, heads: [&Head; 2], rows: [&[f32]; 2]) -> bool {
        let class = |which: usize| class(rows[which], heads[which].threshold);
        match self {
            Self::SameClass => class(0) == class(1),
            Self::Within(most) => difference(rows) <= most,
            Self::Monotone { output, rises, .. } if rises => rows[0][output] <= rows[1][output],
            Self::Monotone { output, .. } => rows[0][output] >= rows[1][output],
        }
    }

    /// How far it is from being broken, to look for what breaks it where this is least.
    pub(crate) fn distance(self, heads: [&Head; 2], rows: [&[f32]; 2]) -> f64 {
        match self {
            Self::SameClass => {
                let found = class(rows[0], heads[0].threshold);
                let margin = |which: usize| {
                    let row = rows[which];
                    if let [y] = row {
                        let above = f64::from(*y) - f64::from(heads[which].threshold);
                        return if found == 1 { above } else { -above };
                    }
                    let others = row.iter().enumerate().filter(|(index, _)| *index != found);
                    let most = others.fold(f32::MIN, |most, (_, &y)| most.max(y));
                    f64::from(row[found]) - f64::from(most)
                };
                // Both are near where the class changes, or the other has changed it.
                margin(1).min(0.0) * 1e3 + margin(0) + margin(1)
            }
            Self::Within(_) => -difference(rows),
            Self::Monotone { output, rises, .. } => {
                let risen = f64::from(rows[1][output]) - f64::from(rows[0][output]);
                if rises { risen } else { -risen }
            }
        }
    }
}
