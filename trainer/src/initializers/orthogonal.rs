//! The orthogonal factor of a random matrix.

/// The `rows x columns` factor Q of A = QR, `rows >= columns`, row-major, with the signs that make
/// the diagonal of R positive; that makes it unique, and uniformly distributed for a normal A
/// (Mezzadri 2007).
///
/// Householder reflections in float64.
pub(super) fn orthogonal_factor(a: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    // Column-major: reflections work on whole columns.
    let mut work: Vec<Vec<f64>> = (0..columns)
        .map(|c| (0..rows).map(|r| f64::from(a[r * columns + c])).collect())
        .collect();
    let mut reflectors = Vec::with_capacity(columns);
    let mut positive = Vec::with_capacity(columns);
    for c in 0..columns {
        let mut v = work[c][c..].to_vec();
        let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        // Away from the leading element, against cancellation: R's diagonal gets the other sign.
        let leading = if v[0] < 0.0 { -norm } else { norm };
        positive.push(leading < 0.0);
        v[0] += leading;
        let squares = v.iter().map(|x| x * x).sum::<f64>();
        for column in &mut work[c + 1..] {
            reflect(&v, squares, &mut column[c..]);
        }
        reflectors.push((v, squares));
    }
    let mut q = vec![0.0; rows * columns];
    for c in 0..columns {
        let mut column = vec![0.0; rows];
        column[c] = 1.0;
        for (start, (v, squares)) in reflectors.iter().enumerate().rev() {
            reflect(v, *squares, &mut column[start..]);
        }
        let sign = if positive[c] { 1.0 } else { -1.0 };
        for (r, value) in column.into_iter().enumerate() {
            q[r * columns + c] = (sign * value) as f32; // back to the precision of weights
        }
    }
    q
}

/// `x -= 2 v (v·x) / (v·v)`.
fn reflect(v: &[f64], squares: f64, x: &mut [f64]) {
    if squares == 0.0 {
        return;
    }
    let along = 2.0 * v.iter().zip(&*x).map(|(v, x)| v * x).sum::<f64>() / squares;
    for (x, v) in x.iter_mut().zip(v) {
        *x -= along * v;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_triangular_matrix_has_the_identity_as_its_factor() {
        // A = I · R with a positive diagonal.
        let q = orthogonal_factor(&[2.0, 5.0, 0.0, 3.0, 0.0, 0.0], 3, 2);
        for (q, expected) in q.iter().zip([1.0, 0.0, 0.0, 1.0, 0.0, 0.0]) {
            assert!((q - expected).abs() < 1e-7, "{q} {expected}");
        }
    }
}
