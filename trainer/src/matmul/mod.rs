//! Products of row-major matrices. Transposes are strides.

mod kernel;

use crate::{simd, threads};
use kernel::{Product, Strides};

/// More pieces than that only repeat the packing of what they share.
const MOST_PIECES: usize = 8;
/// Rows or columns of a piece: full vectors, and many of them.
const SIDE: usize = 32;

/// `y = x · w`; `x` is `[rows, inner]`, `w` is `[inner, columns]`, `y` is `[rows, columns]`.
pub(crate) fn set(x: &[f32], w: &[f32], y: &mut [f32], inner: usize, columns: usize) {
    product(
        y,
        [y.len() / columns.max(1), inner, columns],
        (x, row_major(inner)),
        (w, row_major(columns)),
    );
}

/// `w = xᵀ · y`; `x` is `[rows, inner]`, `y` is `[rows, columns]`, `w` is `[inner, columns]`.
pub(crate) fn set_left_transposed(
    x: &[f32],
    y: &[f32],
    w: &mut [f32],
    inner: usize,
    columns: usize,
) {
    product(
        w,
        [inner, x.len() / inner.max(1), columns],
        (x, transposed(inner)),
        (y, row_major(columns)),
    );
}

/// `x = y · wᵀ`; `y` is `[rows, columns]`, `w` is `[inner, columns]`, `x` is `[rows, inner]`.
pub(crate) fn set_right_transposed(
    y: &[f32],
    w: &[f32],
    x: &mut [f32],
    columns: usize,
    inner: usize,
) {
    product(
        x,
        [y.len() / columns.max(1), columns, inner],
        (y, row_major(columns)),
        (w, transposed(columns)),
    );
}

/// `sum` = the sum of the rows of `x`, which is `[rows, sum.len()]`.
pub(crate) fn sum_rows(x: &[f32], sum: &mut [f32]) {
    sum.fill(0.0);
    simd::widest(
        #[inline(always)]
        || {
            for row in x.chunks_exact(sum.len().max(1)) {
                for (sum, &x) in sum.iter_mut().zip(row) {
                    *sum += x;
                }
            }
        },
    );
}

fn row_major(width: usize) -> Strides {
    Strides {
        row: width,
        column: 1,
    }
}

fn transposed(width: usize) -> Strides {
    Strides {
        row: 1,
        column: width,
    }
}

/// `out = a · b` for `[m, k] · [k, n]`, in pieces of rows or of columns that depend on the shape
/// alone.
fn product(
    out: &mut [f32],
    [m, k, n]: [usize; 3],
    (a, a_strides): (&[f32], Strides),
    (b, b_strides): (&[f32], Strides),
) {
    assert!(out.len() == m * n && a.len() == m * k && b.len() == k * n);
    // A column is a row of the transposed product, and a row fills vectors.
    let ([m, n], [(a, a_strides), (b, b_strides)]) = match n {
        1 => (
            [1, m],
            [(b, b_strides.transposed()), (a, a_strides.transposed())],
        ),
        _ => ([m, n], [(a, a_strides), (b, b_strides)]),
    };
    let whole = Product {
        out: out.as_mut_ptr(),
        out_row: n,
        a: a.as_ptr(),
        a_strides,
        b: b.as_ptr(),
        b_strides,
        k,
    };
    let pieces = m.saturating_mul(n).saturating_mul(k) / threads::PIECE;
    let pieces = pieces.min(m.max(n) / SIDE).min(MOST_PIECES);
    // A power of two, so that two or four threads have as much to do each.
    let pieces = 1 << pieces.max(1).ilog2();
    let bound = |side: usize, piece: usize| match piece == pieces {
        true => side,
        false => side * piece / pieces / SIDE * SIDE,
    };
    threads::run(pieces, &|piece| {
        let part = |side: usize| bound(side, piece)..bound(side, piece + 1);
        let (rows, columns) = match m >= n {
            true => (part(m), 0..n),
            false => (0..m, part(n)),
        };
        // SAFETY: the lengths were checked above, so that every element addressed by
        // `row * strides.row + column * strides.column` lies inside its slice; `out` is unique, and
        // no two pieces have an element of it in common.
        unsafe { whole.compute(rows, columns) }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: [f32; 6] = [1., 2., 3., 4., 5., 6.]; // [2, 3]
    const W: [f32; 6] = [1., -1., 0., 2., 1., 1.]; // [3, 2]

    #[test]
    fn a_product_overwrites_what_was_there() {
        let mut y = [10., 0., 0., 0.];
        // Row 0: 1*1 + 2*0 + 3*1 = 4, -1 + 4 + 3 = 6.  Row 1: 4 + 0 + 6, -4 + 10 + 6.
        set(&X, &W, &mut y, 3, 2);
        assert_eq!(y, [4., 6., 10., 12.]);
    }

    #[test]
    fn transposes_are_those_of_a_gradient() {
        let dy = [1., 0., 2., -1.]; // [2, 2]
        let mut dw = [9.; 6];
        set_left_transposed(&X, &dy, &mut dw, 3, 2);
        // Column 0: 1*x0 + 2*x1, column 1: -x1.
        assert_eq!(dw, [9., -4., 12., -5., 15., -6.]);
        let mut dx = [9.; 6];
        set_right_transposed(&dy, &W, &mut dx, 2, 3);
        // Row 0: first column of W; row 1: twice the first minus the second.
        assert_eq!(dx, [1., 0., 1., 3., -2., 1.]);
        let mut db = [9.; 2];
        sum_rows(&dy, &mut db);
        assert_eq!(db, [3., -1.]);
    }

    #[test]
    fn a_product_in_pieces_has_the_same_bits_with_any_number_of_threads() {
        // Cut by rows, by columns, and with a last piece that is longer than the others.
        for [m, k, n] in [[300, 200, 100], [40, 784, 130], [512, 64, 509]] {
            let values = |len: usize| -> Vec<f32> {
                (0..len)
                    .map(|i| (i * 37 % 101) as f32 / 7.0 - 6.0)
                    .collect()
            };
            let (x, w) = (values(m * k), values(k * n));
            let product = |threads: usize| {
                let _limit = threads::Limit::new(Some(threads));
                let mut y = vec![f32::NAN; m * n];
                set(&x, &w, &mut y, k, n);
                y
            };
            let one = product(1);
            assert!(one == product(2) && one == product(3), "{m} {k} {n}");
            let exact = |row: usize, column: usize| -> f64 {
                let terms = (0..k).map(|i| (x[row * k + i], w[i * n + column]));
                terms.map(|(x, w)| f64::from(x) * f64::from(w)).sum()
            };
            for (row, column) in [(0, 0), (m / 2, n / 2), (m - 1, n - 1), (0, n - 1)] {
                let found = f64::from(one[row * n + column]);
                // Sums of up to 784 products of up to 64 round by less than this.
                assert!((found - exact(row, column)).abs() < 0.05, "{row} {column}");
            }
        }
    }

    #[test]
    fn products_of_all_shapes_are_the_sums_of_products() {
        // Every remainder of rows and of vectors, one column, rows far apart.
        let sizes = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 47, 300];
        let values = |len: usize, step: usize| -> Vec<f32> {
            (0..len).map(|i| (i * step % 11) as f32 - 5.0).collect()
        };
        // Small whole numbers: every sum is exact, in any order.
        for [rows, inner, columns] in sizes
            .iter()
            .flat_map(|&a| sizes.iter().map(move |&b| [a, b]))
            .flat_map(|[a, b]| [[a, b, 1], [a, 6, b], [b, 300, 19], [4, a, b]])
        {
            let x = values(rows * inner, 7);
            let w = values(inner * columns, 3);
            let dy = values(rows * columns, 5);
            let sum = |count: usize, term: &dyn Fn(usize) -> f32| (0..count).map(term).sum::<f32>();
            let (mut y, mut dw, mut dx) = (dy.clone(), w.clone(), x.clone());
            set(&x, &w, &mut y, inner, columns);
            set_left_transposed(&x, &dy, &mut dw, inner, columns);
            set_right_transposed(&dy, &w, &mut dx, columns, inner);
            for (r, c) in (0..rows).flat_map(|r| (0..columns).map(move |c| (r, c))) {
                let exact = sum(inner, &|i| x[r * inner + i] * w[i * columns + c]);
                assert_eq!(y[r * columns + c], exact, "{rows} {inner} {columns}");
            }
            for (i, c) in (0..inner).flat_map(|i| (0..columns).map(move |c| (i, c))) {
                let exact = sum(rows, &|r| x[r * inner + i] * dy[r * columns + c]);
                assert_eq!(dw[i * columns + c], exact, "{rows} {inner} {columns}");
            }
            for (r, i) in (0..rows).flat_map(|r| (0..inner).map(move |i| (r, i))) {
                let exact = sum(columns, &|c| dy[r * columns + c] * w[i * columns + c]);
                assert_eq!(dx[r * inner + i], exact, "{rows} {inner} {columns}");
            }
        }
    }
}
