//! Matrix products.

/// A matrix in a buffer: the value at row r, column c lies at `r * row_stride + c * column_stride`.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    /// The buffer from the first value on.
    pub values: &'a [f32],
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// From a row to the next.
    pub row_stride: usize,
    /// From a column to the next.
    pub column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows that follow each other at a distance.
    pub const fn new(values: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        Self { values, rows, columns, row_stride, column_stride: 1 }
    }

    /// The transposed matrix over the same buffer.
    pub const fn transposed(self) -> Self {
        Self {
            values: self.values,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }

    /// Some rows.
    ///
    /// # Panics
    /// If there are not that many.
    pub fn row_range(self, start: usize, rows: usize) -> Self {
        assert!(start + rows <= self.rows, "rows of the matrix");
        Self { values: &self.values[start * self.row_stride..], rows, ..self }
    }

    /// The values of a row that lie one after the other.
    ///
    /// # Panics
    /// If they do not.
    pub fn row(self, row: usize) -> &'a [f32] {
        assert_eq!(self.column_stride, 1, "rows in one piece");
        &self.values[row * self.row_stride..][..self.columns]
    }

    const fn end(&self) -> usize {
        if self.rows == 0 || self.columns == 0 {
            return 0;
        }
        (self.rows - 1) * self.row_stride + (self.columns - 1) * self.column_stride + 1
    }
}

/// Who computes a product.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// This thread.
    This,
    /// All.
    All,
}

/// `out = a b`, or `out += a b` where `add`; rows of `out` follow each other at `out_stride`.
///
/// # Panics
/// If the matrices do not fit each other or their buffers.
pub fn product(out: &mut [f32], out_stride: usize, a: Matrix, b: Matrix, add: bool, threads: Threads) {
    let (m, n) = (a.rows, b.columns);
    if m == 0 || n == 0 {
        return;
    }
    assert!(out_stride >= n && (m - 1) * out_stride + n <= out.len(), "the product fits its buffer");
    #[expect(unsafe_code, reason = "the matrix kernel takes pointers")]
    // SAFETY: what is written lies below the end checked above, and `out` is borrowed alone.
    unsafe {
        kernel(out.as_mut_ptr(), out_stride, a, b, add, threads);
    }
}

/// `a b` in a buffer of its own, row by row.
///
/// # Panics
/// If the matrices do not fit each other or their buffers.
pub fn new_product(a: Matrix, b: Matrix, threads: Threads) -> Vec<f32> {
    let size = a.rows * b.columns;
    if size == 0 || a.columns == 0 {
        return vec![0.0; size];
    }
    let mut out = Vec::with_capacity(size);
    #[expect(unsafe_code, reason = "zeroing the buffer first is a pass over memory on one thread")]
    // SAFETY: the kernel writes each of the m n values of a product that adds to nothing, and reads none.
    unsafe {
        kernel(out.as_mut_ptr(), b.columns, a, b, false, threads);
        out.set_len(size);
    }
    out
}

/// # Safety
/// `out` can be written at `r * out_stride + c` for each row r of `a` and column c of `b`, and read there where `add`.
#[expect(unsafe_code, reason = "the matrix kernel takes pointers")]
unsafe fn kernel(out: *mut f32, out_stride: usize, a: Matrix, b: Matrix, add: bool, threads: Threads) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert_eq!(b.rows, k, "the inner sizes of a product agree");
    assert!(a.end() <= a.values.len() && b.end() <= b.values.len(), "matrices fit their buffers");
    let parallelism = match threads {
        Threads::This => gemm::Parallelism::None,
        Threads::All => gemm::Parallelism::Rayon(0),
    };
    // SAFETY: each index into `a` and `b` stays below the ends checked above; `out` is the caller's promise.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out,
            1,
            out_stride as isize,
            add,
            a.values.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.values.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0_f32,
            1.0_f32,
            false,
            false,
            false,
            parallelism,
        );
    }
}
