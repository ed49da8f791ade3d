//! Products of row-major matrices: sums of outer products, kept in registers, in the widest
//! vectors of the machine. Nothing is allocated once a thread has seen its largest product.
//!
//! Each element of a product is summed over the inner axis from first to last, one addition (fused
//! where the machine does that) per term: its bits do not depend on where pieces are cut.

use std::cell::Cell;
use std::ops::Range;

use pulp::{Simd, WithSimd};

/// Vectors of a row that are summed at a time.
const VECTORS: usize = 2;
/// Rows of a product below which laying `b` side by side costs more than it saves.
const FEW: usize = 16;
/// Elements of `b` that a core's first cache holds as they lie.
const SMALL: usize = 8192;
/// Distance of rows of `b` from which they are laid side by side: rows that far apart fall on the
/// same few lines of the cache. Closer ones are, too, where the panel then stays in the cache, which
/// is up to an inner axis of [`SHALLOW`].
const FAR: usize = 256;
const SHALLOW: usize = 192;
/// Floats of a cache line: vectors that lie across two of them take twice as long.
const LINE: usize = 16;

/// Products that are summed before they are added to the others, where the inner axis is longer:
/// cut evenly, as Eigen does, which TensorFlow uses. Sums of large numbers that nearly cancel (the
/// first layer of MLPerf Tiny's anomaly model) come out as Keras' do only so.
const DEPTH: usize = 512;

/// [`DEPTH`] or less, for an inner axis of `k`.
fn depth(k: usize) -> usize {
    k.div_ceil(k.div_ceil(DEPTH).max(1)).next_multiple_of(8)
}

thread_local! {
    /// Columns of `b` close together, in use by one product at a time.
    static PANEL: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// How a matrix lies: elements `row` and `column` apart.
#[derive(Clone, Copy)]
pub(crate) struct Strides {
    pub row: usize,
    pub column: usize,
}

impl Strides {
    pub fn transposed(self) -> Self {
        Self {
            row: self.column,
            column: self.row,
        }
    }
}

/// `out = a · b` for `[m, k] · [k, n]`, somewhere in memory; `out` is row-major.
pub(crate) struct Product {
    pub out: *mut f32,
    pub out_row: usize,
    pub a: *const f32,
    pub a_strides: Strides,
    pub b: *const f32,
    pub b_strides: Strides,
    pub k: usize,
}

// SAFETY: `compute`, which is unsafe, says which parts may be computed at a time.
unsafe impl Sync for Product {}

impl Product {
    /// The part of `out` in these rows and columns.
    ///
    /// # Safety
    ///
    /// The matrices must be valid there, and nobody else may use the part meanwhile.
    pub unsafe fn compute(&self, rows: Range<usize>, columns: Range<usize>) {
        pulp::Arch::new().dispatch(Part {
            product: self,
            rows,
            columns,
        });
    }
}

struct Part<'a> {
    product: &'a Product,
    rows: Range<usize>,
    columns: Range<usize>,
}

/// Where `b` lies for the kernel: rows of neighbouring columns, full vectors of them.
#[derive(Clone, Copy)]
struct Panel {
    first: *const f32,
    row: usize,
}

impl WithSimd for Part<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            product,
            rows,
            columns,
        } = self;
        let k = product.k;
        let depth = depth(k);
        let width = VECTORS * S::F32_LANES;
        let Strides { row, column } = product.b_strides;
        let direct =
            column == 1 && (rows.len() < FEW || k * row <= SMALL || (row < FAR && depth > SHALLOW));
        let mut gathered = PANEL.take();
        if gathered.len() < width * depth + LINE {
            gathered.resize(width * depth + LINE, 0.0);
        }
        let aligned = gathered.as_ptr().align_offset(LINE * size_of::<f32>());
        let mut inner = 0..depth.min(k);
        loop {
            for start in columns.clone().step_by(width) {
                let part = start..(start + width).min(columns.end);
                // Elsewhere, a row's last vector would go beyond it.
                let panel = if direct && part.len() == width {
                    Panel {
                        // SAFETY: an element of `b`.
                        first: unsafe { product.b.add(inner.start * row + start) },
                        row,
                    }
                } else {
                    let panel = &mut gathered[aligned..];
                    // SAFETY: these are in `b`; the panel has room for `depth` rows of `width`.
                    unsafe { product.gather(simd, inner.clone(), part.clone(), panel) };
                    Panel {
                        first: panel.as_ptr(),
                        row: width,
                    }
                };
                // SAFETY: as the caller of `compute` has it.
                unsafe { product.columns(simd, rows.clone(), part, inner.clone(), panel) };
            }
            inner = inner.end..(inner.end + depth).min(k);
            if inner.is_empty() {
                break;
            }
        }
        PANEL.set(gathered);
    }
}

impl Product {
    /// Lays a part of `b` side by side.
    ///
    /// # Safety
    ///
    /// `b` has these rows and columns, and `panel` room for a row of all vectors for each.
    #[inline(always)]
    unsafe fn gather<S: Simd>(
        &self,
        simd: S,
        inner: Range<usize>,
        columns: Range<usize>,
        panel: &mut [f32],
    ) {
        let lanes = S::F32_LANES;
        let Strides { row, column } = self.b_strides;
        // SAFETY: elements of `b`, for its rows and columns.
        let at = |i: usize, j: usize| unsafe { self.b.add(i * row + j * column) };
        for (i, to) in inner.zip(panel.chunks_exact_mut(VECTORS * lanes)) {
            if column != 1 {
                for (to, j) in to.iter_mut().zip(columns.clone()) {
                    // SAFETY: an element of `b`.
                    *to = unsafe { *at(i, j) };
                }
                continue;
            }
            for (start, to) in columns
                .clone()
                .step_by(lanes)
                .zip(to.chunks_exact_mut(lanes))
            {
                let from = at(i, start);
                let left = columns.end - start;
                // SAFETY: neighbours in `b`, as many as are left of them; `to` has a vector's room.
                unsafe {
                    let vector = if left >= lanes {
                        from.cast::<S::f32s>().read_unaligned()
                    } else {
                        let mask = simd.mask_between_m32s(0, left as u32);
                        simd.mask_load_ptr_f32s(mask, from)
                    };
                    to.as_mut_ptr().cast::<S::f32s>().write_unaligned(vector);
                }
            }
        }
    }

    /// # Safety
    ///
    /// As for `compute`; `panel` has the columns.
    #[inline(always)]
    unsafe fn columns<S: Simd>(
        &self,
        simd: S,
        rows: Range<usize>,
        columns: Range<usize>,
        inner: Range<usize>,
        panel: Panel,
    ) {
        let lanes = S::F32_LANES;
        let mut row = rows.start;
        macro_rules! blocks {
            ($($rows:literal)*) => {$(
                while rows.end - row >= $rows {
                    // SAFETY: the rows and columns are of the part.
                    unsafe {
                        let out = self.out.add(row * self.out_row + columns.start);
                        let inner = inner.clone();
                        match columns.len() {
                            len if len > lanes => {
                                let last = len - lanes;
                                self.sums::<S, $rows, 2>(simd, row, inner, panel, out, last);
                            }
                            last => self.sums::<S, $rows, 1>(simd, row, inner, panel, out, last),
                        }
                    }
                    row += $rows;
                }
            )*};
        }
        if S::REGISTER_COUNT >= 32 {
            blocks!(8 4 2 1);
        } else {
            blocks!(6 4 2 1);
        }
    }

    /// `ROWS` rows of `COUNT` vectors, of the last of which `last` elements are stored.
    ///
    /// # Safety
    ///
    /// `a` has the rows, `out` the rows and columns, and `panel` full vectors.
    #[inline(always)]
    unsafe fn sums<S: Simd, const ROWS: usize, const COUNT: usize>(
        &self,
        simd: S,
        row: usize,
        inner: Range<usize>,
        panel: Panel,
        out: *mut f32,
        last: usize,
    ) {
        let lanes = S::F32_LANES;
        let Strides { row: rows, column } = self.a_strides;
        let first = inner.start == 0;
        // Addresses of their own: one that goes from row to row is a chain of additions as long as
        // the products take.
        let a: [*const f32; ROWS] = std::array::from_fn(|i| {
            let at = (row + i) * rows + inner.start * column;
            self.a.wrapping_add(at)
        });
        let mut offset = 0_usize;
        let mut b = panel.first;
        let mut sums = [[simd.splat_f32s(0.0); COUNT]; ROWS];
        for _ in inner {
            let mut vectors = [simd.splat_f32s(0.0); COUNT];
            for (i, vector) in vectors.iter_mut().enumerate() {
                // SAFETY: a full vector of the panel.
                *vector = unsafe { b.add(i * lanes).cast::<S::f32s>().read_unaligned() };
            }
            for (a, sums) in a.iter().zip(&mut sums) {
                // SAFETY: an element of `a`.
                let value = simd.splat_f32s(unsafe { *a.wrapping_add(offset) });
                for (sum, &vector) in sums.iter_mut().zip(&vectors) {
                    *sum = simd.mul_add_e_f32s(value, vector, *sum);
                }
            }
            offset = offset.wrapping_add(column);
            b = b.wrapping_add(panel.row);
        }
        let at = |i: usize, j: usize| out.wrapping_add(i * self.out_row + j * lanes);
        let full = if last == lanes { COUNT } else { COUNT - 1 };
        for (i, sums) in sums.iter().enumerate() {
            for (j, &sum) in sums.iter().enumerate().take(full) {
                let at = at(i, j).cast::<S::f32s>();
                // SAFETY: as many elements of `out` as a vector has.
                unsafe {
                    let sum = match first {
                        true => sum,
                        false => simd.add_f32s(at.read_unaligned(), sum),
                    };
                    at.write_unaligned(sum);
                }
            }
        }
        if last == lanes {
            return;
        }
        let mask = simd.mask_between_m32s(0, last as u32);
        for (i, sums) in sums.iter().enumerate() {
            let (at, sum) = (at(i, full), sums[full]);
            // SAFETY: `last` elements of `out`.
            unsafe {
                let sum = match first {
                    true => sum,
                    false => simd.add_f32s(simd.mask_load_ptr_f32s(mask, at), sum),
                };
                simd.mask_store_ptr_f32s(mask, at, sum);
            }
        }
    }
}
