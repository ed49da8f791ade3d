//! Products of row-major matrices, by the `gemm` crate, which picks the instruction set at run
//! time. Transposes are strides: nothing is copied.

use gemm::Parallelism;

/// A row-major or transposed view: elements lie `row` and `column` apart.
#[derive(Clone, Copy)]
struct Strides {
    row: usize,
    column: usize,
}

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
    for row in x.chunks_exact(sum.len().max(1)) {
        for (sum, &x) in sum.iter_mut().zip(row) {
            *sum += x;
        }
    }
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

/// `out = a · b` for `[m, k] · [k, n]`.
fn product(
    out: &mut [f32],
    [m, k, n]: [usize; 3],
    (a, a_strides): (&[f32], Strides),
    (b, b_strides): (&[f32], Strides),
) {
    assert!(out.len() == m * n && a.len() == m * k && b.len() == k * n);
    // SAFETY: the lengths were just checked, so that every element addressed by
    // `row * strides.row + column * strides.column` lies inside its slice, and `out` is unique.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n.cast_signed(),
            false,
            a.as_ptr(),
            a_strides.column.cast_signed(),
            a_strides.row.cast_signed(),
            b.as_ptr(),
            b_strides.column.cast_signed(),
            b_strides.row.cast_signed(),
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
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
}
