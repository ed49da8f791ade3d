//! Products of small matrices, in the widest vectors of the machine.

use pulp::Simd;

/// A float whose vectors a machine has.
pub(crate) trait Float: Copy + Default {
    type Vector<S: Simd>: Copy;
    fn vectors<S: Simd>(values: &[Self]) -> &[Self::Vector<S>];
    fn vectors_mut<S: Simd>(values: &mut [Self]) -> &mut [Self::Vector<S>];
    fn splat<S: Simd>(simd: S, value: Self) -> Self::Vector<S>;
    /// `a * b + sum`, rounded once or twice.
    fn add_product<S: Simd>(
        simd: S,
        sum: Self::Vector<S>,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
    ) -> Self::Vector<S>;
}

impl Float for f32 {
    type Vector<S: Simd> = S::f32s;

    #[inline(always)]
    fn vectors<S: Simd>(values: &[Self]) -> &[S::f32s] {
        S::as_simd_f32s(values).0
    }

    #[inline(always)]
    fn vectors_mut<S: Simd>(values: &mut [Self]) -> &mut [S::f32s] {
        S::as_mut_simd_f32s(values).0
    }

    #[inline(always)]
    fn splat<S: Simd>(simd: S, value: Self) -> S::f32s {
        simd.splat_f32s(value)
    }

    #[inline(always)]
    fn add_product<S: Simd>(simd: S, sum: S::f32s, a: S::f32s, b: S::f32s) -> S::f32s {
        simd.mul_add_e_f32s(a, b, sum)
    }
}

impl Float for f64 {
    type Vector<S: Simd> = S::f64s;

    #[inline(always)]
    fn vectors<S: Simd>(values: &[Self]) -> &[S::f64s] {
        S::as_simd_f64s(values).0
    }

    #[inline(always)]
    fn vectors_mut<S: Simd>(values: &mut [Self]) -> &mut [S::f64s] {
        S::as_mut_simd_f64s(values).0
    }

    #[inline(always)]
    fn splat<S: Simd>(simd: S, value: Self) -> S::f64s {
        simd.splat_f64s(value)
    }

    #[inline(always)]
    fn add_product<S: Simd>(simd: S, sum: S::f64s, a: S::f64s, b: S::f64s) -> S::f64s {
        simd.mul_add_e_f64s(a, b, sum)
    }
}

/// The weights of a product: element `[row, column]` is at `row * down + column * across`.
#[derive(Clone, Copy)]
pub(crate) struct Weights<'a, T> {
    pub values: &'a [T],
    pub down: usize,
    pub across: usize,
}

/// `to += weights · x`, where `x` is `[columns, lanes]` and `to` `[rows, lanes]`; a multiple of 16 lanes, or with
/// f64 of 8.
#[inline(always)]
pub(crate) fn multiply<S: Simd, T: Float>(
    simd: S,
    weights: Weights<T>,
    x: &[T],
    to: &mut [T],
    lanes: usize,
) {
    let rows = to.len() / lanes;
    let (x, to) = (T::vectors::<S>(x), T::vectors_mut::<S>(to));
    if rows == 0 {
        return;
    }
    let count = to.len() / rows;
    let mut row = 0;
    while row + 4 <= rows {
        strip::<S, T, 4>(simd, weights, row, x, to, count);
        row += 4;
    }
    while row < rows {
        strip::<S, T, 1>(simd, weights, row, x, to, count);
        row += 1;
    }
}

#[inline(always)]
fn strip<S: Simd, T: Float, const ROWS: usize>(
    simd: S,
    weights: Weights<T>,
    row: usize,
    x: &[T::Vector<S>],
    to: &mut [T::Vector<S>],
    count: usize,
) {
    let mut column = 0;
    while column + 2 <= count {
        tile::<S, T, ROWS, 2>(simd, weights, row, x, to, count, column);
        column += 2;
    }
    if column < count {
        tile::<S, T, ROWS, 1>(simd, weights, row, x, to, count, column);
    }
}

/// Some rows and vectors of the product, in registers.
#[inline(always)]
fn tile<S: Simd, T: Float, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    weights: Weights<T>,
    row: usize,
    x: &[T::Vector<S>],
    to: &mut [T::Vector<S>],
    count: usize,
    column: usize,
) {
    let zero = T::splat(simd, T::default());
    let mut sums = [[zero; VECTORS]; ROWS];
    for (r, sums) in sums.iter_mut().enumerate() {
        sums.copy_from_slice(&to[(row + r) * count + column..][..VECTORS]);
    }
    for (i, x) in x.chunks_exact(count).enumerate() {
        let Some(x) = x[column..].first_chunk::<VECTORS>() else {
            return;
        };
        for (r, sums) in sums.iter_mut().enumerate() {
            let weight = weights.values[(row + r) * weights.down + i * weights.across];
            let weight = T::splat(simd, weight);
            for (sum, &x) in sums.iter_mut().zip(x) {
                *sum = T::add_product(simd, *sum, weight, x);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        to[(row + r) * count + column..][..VECTORS].copy_from_slice(sums);
    }
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, WithSimd};

    use super::*;

    struct Product<'a>(Weights<'a, f64>, &'a [f64], &'a mut [f64], usize);

    impl WithSimd for Product<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            multiply(simd, self.0, self.1, self.2, self.3);
        }
    }

    #[test]
    fn every_row_is_multiplied_by_either_order_of_weights() {
        for (rows, columns, lanes) in [(1, 1, 8), (4, 3, 16), (7, 5, 24), (3, 0, 8)] {
            let element = |row: usize, column: usize| (row * 10 + column) as f64 - 7.0;
            let by_rows: Vec<f64> = (0..rows * columns)
                .map(|at| element(at / columns, at % columns))
                .collect();
            let by_columns: Vec<f64> = (0..rows * columns)
                .map(|at| element(at % rows, at / rows))
                .collect();
            let x: Vec<f64> = (0..columns * lanes)
                .map(|at| (at * at % 13) as f64)
                .collect();
            let expected: Vec<f64> = (0..rows * lanes)
                .map(|at| {
                    let (row, lane) = (at / lanes, at % lanes);
                    let products =
                        (0..columns).map(|column| element(row, column) * x[column * lanes + lane]);
                    2.0 + products.sum::<f64>()
                })
                .collect();
            for (values, down, across) in [(&by_rows, columns, 1), (&by_columns, 1, rows)] {
                let mut found = vec![2.0; rows * lanes];
                let weights = Weights {
                    values,
                    down,
                    across,
                };
                Arch::new().dispatch(Product(weights, &x, &mut found, lanes));
                assert_eq!(found, expected);
            }
        }
    }
}
