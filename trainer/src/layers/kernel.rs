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
/// Distance of rows of `b` from which they are gathered first: rows that far apart fall on the
/// same few lines of the cache.
const FAR: usize = 256;

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

/// Where `b` lies for the kernel: rows of neighbouring columns.
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
        let width = VECTORS * S::F32_LANES;
        let direct =
            product.b_strides.column == 1 && (product.b_strides.row < FAR || rows.len() < 16);
        let mut gathered = PANEL.take();
        if !direct && gathered.len() < width * product.k {
            gathered.resize(width * product.k, 0.0);
        }
        for start in columns.clone().step_by(width) {
            let part = start..(start + width).min(columns.end);
            let panel = if direct {
                Panel {
                    // SAFETY: an element of `b`.
                    first: unsafe { product.b.add(start) },
                    row: product.b_strides.row,
                }
            } else {
                // SAFETY: these columns are in `b`; the panel has room for `k` rows of `width`.
                unsafe { product.gather(part.clone(), width, &mut gathered) };
                Panel {
                    first: gathered.as_ptr(),
                    row: width,
                }
            };
            // SAFETY: as the caller of `compute` has it.
            unsafe { product.columns(simd, rows.clone(), part, panel) };
        }
        PANEL.set(gathered);
    }
}

impl Product {
    /// # Safety
    ///
    /// `b` has these columns, and `panel` room for `k` rows of `width`.
    #[inline(always)]
    unsafe fn gather(&self, columns: Range<usize>, width: usize, panel: &mut [f32]) {
        for (i, row) in panel.chunks_exact_mut(width).take(self.k).enumerate() {
            for (to, column) in row.iter_mut().zip(columns.clone()) {
                let at = i * self.b_strides.row + column * self.b_strides.column;
                // SAFETY: an element of `b`.
                *to = unsafe { *self.b.add(at) };
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
        panel: Panel,
    ) {
        let mut row = rows.start;
        macro_rules! blocks {
            ($($rows:literal)*) => {$(
                while rows.end - row >= $rows {
                    // SAFETY: the rows and columns are of the part.
                    unsafe { self.block::<S, $rows>(simd, row, columns.clone(), panel) };
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

    #[inline(always)]
    unsafe fn block<S: Simd, const ROWS: usize>(
        &self,
        simd: S,
        row: usize,
        columns: Range<usize>,
        panel: Panel,
    ) {
        let lanes = S::F32_LANES;
        // SAFETY: `a` has the rows, `out` rows and columns.
        unsafe {
            let a = self.a.add(row * self.a_strides.row);
            let out = self.out.add(row * self.out_row + columns.start);
            match columns.len() {
                len if len == 2 * lanes => {
                    self.sums::<S, ROWS, 2, false>(simd, a, panel, out, lanes)
                }
                len if len > lanes => {
                    self.sums::<S, ROWS, 2, true>(simd, a, panel, out, len - lanes)
                }
                len if len == lanes => self.sums::<S, ROWS, 1, false>(simd, a, panel, out, lanes),
                len => self.sums::<S, ROWS, 1, true>(simd, a, panel, out, len),
            }
        }
    }

    /// `ROWS` rows of `COUNT` vectors, the last of which has `last` elements if it is `SHORT`.
    #[inline(always)]
    unsafe fn sums<S: Simd, const ROWS: usize, const COUNT: usize, const SHORT: bool>(
        &self,
        simd: S,
        a: *const f32,
        panel: Panel,
        out: *mut f32,
        last: usize,
    ) {
        let Strides { row, column } = self.a_strides;
        // SAFETY: every address is that of an element in rows and columns of this part; a short
        // vector touches its first elements alone.
        unsafe {
            let mut a = a;
            let mut b = panel.first;
            let depth = depth(self.k);
            let mut done = 0;
            loop {
                let mut sums = [[simd.splat_f32s(0.0); COUNT]; ROWS];
                for _ in done..self.k.min(done + depth) {
                    let mut vectors = [simd.splat_f32s(0.0); COUNT];
                    for (i, vector) in vectors.iter_mut().enumerate() {
                        let at = b.add(i * S::F32_LANES);
                        *vector = if SHORT && i + 1 == COUNT {
                            simd.mask_load_ptr_f32s(simd.mask_between_m32s(0, last as u32), at)
                        } else {
                            at.cast::<S::f32s>().read_unaligned()
                        };
                    }
                    for (i, sums) in sums.iter_mut().enumerate() {
                        let value = simd.splat_f32s(*a.add(i * row));
                        for (sum, &vector) in sums.iter_mut().zip(&vectors) {
                            *sum = simd.mul_add_e_f32s(value, vector, *sum);
                        }
                    }
                    a = a.wrapping_add(column);
                    b = b.wrapping_add(panel.row);
                }
                for (i, sums) in sums.iter().enumerate() {
                    for (j, &sum) in sums.iter().enumerate() {
                        let at = out.add(i * self.out_row + j * S::F32_LANES);
                        if SHORT && j + 1 == COUNT {
                            let mask = simd.mask_between_m32s(0, last as u32);
                            let sum = if done == 0 {
                                sum
                            } else {
                                simd.add_f32s(simd.mask_load_ptr_f32s(mask, at), sum)
                            };
                            simd.mask_store_ptr_f32s(mask, at, sum);
                        } else {
                            let at = at.cast::<S::f32s>();
                            let sum = if done == 0 {
                                sum
                            } else {
                                simd.add_f32s(at.read_unaligned(), sum)
                            };
                            at.write_unaligned(sum);
                        }
                    }
                }
                done += depth;
                if done >= self.k {
                    break;
                }
            }
        }
    }
}
