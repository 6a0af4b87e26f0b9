//! A feature matrix that is dense or sparse by rows. Linear learners work on both; a method that
//! needs dense rows asks for them, and says so in its memory estimate.

use std::borrow::Cow;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

use super::dense;

/// Rows of samples, `(n, d)`.
#[derive(Debug, Clone, PartialEq)]
pub enum Matrix {
    Dense(Array2<f64>),
    Sparse(SparseRows),
}

/// Compressed sparse rows: row `i` holds `indices[indptr[i]..indptr[i+1]]`, ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct SparseRows {
    indptr: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f64>,
    n_columns: usize,
}

impl SparseRows {
    /// An empty matrix of `n_columns` columns, to which rows are pushed.
    pub fn new(n_columns: usize) -> Self {
        Self { indptr: vec![0], indices: Vec::new(), values: Vec::new(), n_columns }
    }

    /// Appends one row given as `(column, value)` in ascending order of columns.
    pub fn push_row(&mut self, entries: impl IntoIterator<Item = (usize, f64)>) {
        for (column, value) in entries {
            assert!(column < self.n_columns, "column {column} is outside the matrix");
            if value != 0.0 {
                self.indices.push(column as u32);
                self.values.push(value);
            }
        }
        self.indptr.push(self.indices.len());
    }

    pub fn n_rows(&self) -> usize {
        self.indptr.len() - 1
    }

    pub fn n_columns(&self) -> usize {
        self.n_columns
    }

    /// The stored entries of one row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let range = self.indptr[row]..self.indptr[row + 1];
        self.indices[range.clone()].iter().map(|&c| c as usize).zip(self.values[range].iter().copied())
    }

    fn to_dense(&self) -> Array2<f64> {
        let mut out = Array2::zeros((self.n_rows(), self.n_columns));
        for (i, mut row) in out.axis_iter_mut(Axis(0)).enumerate() {
            self.row(i).for_each(|(j, v)| row[j] = v);
        }
        out
    }
}

impl Matrix {
    pub fn n_rows(&self) -> usize {
        match self {
            Matrix::Dense(x) => x.nrows(),
            Matrix::Sparse(x) => x.n_rows(),
        }
    }

    pub fn n_columns(&self) -> usize {
        match self {
            Matrix::Dense(x) => x.ncols(),
            Matrix::Sparse(x) => x.n_columns,
        }
    }

    /// The memory that the entries take, in bytes.
    pub fn stored_bytes(&self) -> usize {
        match self {
            Matrix::Dense(x) => 8 * x.len(),
            Matrix::Sparse(x) => 12 * x.values.len() + 8 * x.indptr.len(),
        }
    }

    /// The rows as a dense array, `(n, d)`; borrowed where they are dense already.
    pub fn dense(&self) -> Cow<'_, Array2<f64>> {
        match self {
            Matrix::Dense(x) => Cow::Borrowed(x),
            Matrix::Sparse(x) => Cow::Owned(x.to_dense()),
        }
    }

    pub fn into_dense(self) -> Array2<f64> {
        match self {
            Matrix::Dense(x) => x,
            Matrix::Sparse(x) => x.to_dense(),
        }
    }

    /// `x · b`, shapes `(n, d)` and `(d, k)` → `(n, k)`.
    pub fn dot(&self, b: ArrayView2<f64>) -> Array2<f64> {
        match self {
            Matrix::Dense(x) => dense::matmul(x.view(), b),
            Matrix::Sparse(x) => {
                let k = b.ncols();
                let b: Vec<f64> = b.iter().copied().collect();
                let mut out = Array2::zeros((x.n_rows(), k));
                for (i, mut row) in out.axis_iter_mut(Axis(0)).enumerate() {
                    if let Some(row) = row.as_slice_mut() {
                        x.row(i).for_each(|(j, v)| add_scaled(row, v, &b[j * k..(j + 1) * k]));
                    }
                }
                out
            }
        }
    }

    /// `xᵀ · b`, shapes `(n, d)` and `(n, k)` → `(d, k)`.
    pub fn t_dot(&self, b: ArrayView2<f64>) -> Array2<f64> {
        match self {
            Matrix::Dense(x) => dense::matmul_tn(x.view(), b),
            Matrix::Sparse(x) => {
                let k = b.ncols();
                let mut out = Array2::zeros((x.n_columns, k));
                if let Some(out) = out.as_slice_mut() {
                    for (i, b) in b.axis_iter(Axis(0)).enumerate() {
                        let b = b.to_vec();
                        x.row(i).for_each(|(j, v)| add_scaled(&mut out[j * k..(j + 1) * k], v, &b));
                    }
                }
                out
            }
        }
    }

    /// The given rows, in the given order.
    pub fn select_rows(&self, rows: &[usize]) -> Matrix {
        match self {
            Matrix::Dense(x) => Matrix::Dense(x.select(Axis(0), rows)),
            Matrix::Sparse(x) => {
                let mut out = SparseRows::new(x.n_columns);
                rows.iter().for_each(|&i| out.push_row(x.row(i)));
                Matrix::Sparse(out)
            }
        }
    }

    /// All rows of all parts, one below the other. Dense if any part is.
    pub fn stack(parts: &[&Matrix]) -> Matrix {
        let n_columns = parts.first().map_or(0, |m| m.n_columns());
        if parts.iter().all(|m| matches!(m, Matrix::Sparse(_))) && !parts.is_empty() {
            let mut out = SparseRows::new(n_columns);
            for part in parts {
                if let Matrix::Sparse(x) = part {
                    (0..x.n_rows()).for_each(|i| out.push_row(x.row(i)));
                }
            }
            return Matrix::Sparse(out);
        }
        let n_rows = parts.iter().map(|m| m.n_rows()).sum();
        let mut out = Array2::zeros((n_rows, n_columns));
        let mut at = 0;
        for part in parts {
            let rows = part.n_rows();
            out.slice_mut(ndarray::s![at..at + rows, ..]).assign(part.dense().as_ref());
            at += rows;
        }
        Matrix::Dense(out)
    }

    /// The first entry that is NaN or infinite, as `(row, column)`.
    pub fn first_not_finite(&self) -> Option<(usize, usize)> {
        self.first_entry(|_, v| !v.is_finite())
    }

    /// The first stored entry of whose column and value `is` holds, as `(row, column)`.
    pub fn first_entry(&self, is: impl Fn(usize, f64) -> bool) -> Option<(usize, usize)> {
        match self {
            Matrix::Dense(x) => {
                let mut rows = x.rows().into_iter().enumerate();
                // Nearly always there is none: all of a row are asked about at once before each is.
                let any = |row: ArrayView1<f64>| row.iter().enumerate().fold(false, |any, (j, v)| any | is(j, *v));
                let (i, row) = rows.find(|(_, row)| any(*row))?;
                row.iter().enumerate().position(|(j, v)| is(j, *v)).map(|j| (i, j))
            }
            Matrix::Sparse(x) => (0..x.n_rows()).find_map(|i| x.row(i).find(|(j, v)| is(*j, *v)).map(|(j, _)| (i, j))),
        }
    }

    /// The squared Euclidean norm of every row, `(n,)`.
    pub fn squared_norms(&self) -> Array1<f64> {
        match self {
            Matrix::Dense(x) => x.map_axis(Axis(1), |r| r.dot(&r)),
            Matrix::Sparse(x) => (0..x.n_rows()).map(|i| x.row(i).map(|(_, v)| v * v).sum()).collect(),
        }
    }
}

/// `out ← out + v · b`, for the few outputs of a linear model: views would cost more than the sums.
fn add_scaled(out: &mut [f64], v: f64, b: &[f64]) {
    out.iter_mut().zip(b).for_each(|(out, b)| *out += v * b);
}

impl From<Array2<f64>> for Matrix {
    fn from(x: Array2<f64>) -> Self {
        Matrix::Dense(x)
    }
}
