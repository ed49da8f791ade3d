//! What a score owes to each column of features.

use ndarray::{ArrayD, Axis};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::Result;

/// How a score changes where the values of a column are dealt to other rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Importance {
    /// Mean over the repetitions: the score then, less the score as it is.
    pub mean: f64,
    /// Standard deviation over the repetitions.
    pub deviation: f64,
}

/// Permutation importance of columns, or of columns that belong together, such as those of one text.
///
/// * `x` - features, rows first; columns are counted over all other axes
/// * `columns` - each set of them is dealt to other rows together
/// * `repeats` - of every set, at least 1
/// * `score` - of features such as `x`
///
/// # Errors
///
/// What `score` returns.
pub fn permutation_importance(
    x: &ArrayD<f32>,
    columns: &[Vec<usize>],
    repeats: usize,
    seed: u64,
    mut score: impl FnMut(&ArrayD<f32>) -> Result<f64>,
) -> Result<Vec<Importance>> {
    let rows = x.len_of(Axis(0));
    let width = x.len() / rows.max(1);
    let whole = score(x)?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..rows).collect();
    let mut dealt = x.as_standard_layout().into_owned();
    let given: Vec<f32> = dealt.iter().copied().collect();
    let mut one = |columns: &Vec<usize>| {
        let mut changes = Vec::with_capacity(repeats);
        for _ in 0..repeats.max(1) {
            order.shuffle(&mut random);
            let values = dealt.as_slice_mut().expect("made in standard layout");
            for (row, &from) in values.chunks_exact_mut(width).zip(&order) {
                columns
                    .iter()
                    .for_each(|&column| row[column] = given[from * width + column]);
            }
            changes.push(score(&dealt)? - whole);
        }
        let values = dealt.as_slice_mut().expect("made in standard layout");
        values.copy_from_slice(&given);
        let count = changes.len() as f64;
        let mean = changes.iter().sum::<f64>() / count;
        let squares: f64 = changes.iter().map(|change| (change - mean).powi(2)).sum();
        Ok(Importance {
            mean,
            deviation: (squares / count).sqrt(),
        })
    };
    columns.iter().map(&mut one).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::ArrayD;

    use super::*;

    #[test]
    fn columns_count_by_what_the_score_owes_to_them() {
        // The score is the mean product of the columns 0 and 1, which are equal, -1 or 1: 1 as they are. Column 2
        // is not in it.
        let x = ArrayD::from_shape_fn(vec![400, 3], |at| if at[0] % 2 == 0 { 1.0 } else { -1.0 });
        let score = |x: &ArrayD<f32>| {
            let products = x.outer_iter().map(|row| f64::from(row[0] * row[1]));
            Ok(products.sum::<f64>() / 400.0)
        };
        let columns = [vec![0], vec![2], vec![0, 1]];
        let found = permutation_importance(&x, &columns, 5, 1, score).unwrap();
        // Of rows by chance half agree: the mean of 5 times 400 products lies within 0.1 of 0.
        assert!((found[0].mean + 1.0).abs() < 0.1, "{found:?}");
        assert!(found[0].deviation > 0.0);
        let none = Importance {
            mean: 0.0,
            deviation: 0.0,
        };
        // Together they stay equal.
        assert_eq!(found[1..], [none, none]);
        let again = permutation_importance(&x, &columns, 5, 1, score).unwrap();
        assert_eq!(again, found);
    }
}
