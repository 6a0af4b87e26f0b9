//! The nearest of a set of rows to each of many queries, by Euclidean distance; on rows of unit length that is
//! the order by cosine too.
//!
//! Distances are found as `‖x‖² + ‖y‖² − 2·x·y` by products of blocks, never of all rows with all; those
//! within rounding of the nearest are measured again directly, so that rounding never decides. Of rows at
//! exactly equal distance the one of least index is nearer.
//!
//! Cost: O(n·d) a query. Memory: the rows, and one block.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView1, s};
use rayon::prelude::*;

use super::Matrix;

/// Distances held at once, 32 MiB.
const BLOCK_ENTRIES: usize = 1 << 22;
/// Queries answered at once where there are few rows to compare with.
const BLOCK_ROWS: usize = 256;
/// Relative to the squared norms involved: far above the rounding of a product, far below what matters.
const ROUNDING: f64 = 1e-11;

/// One of the nearest rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    pub row: usize,
    pub squared_distance: f64,
}

/// Rows to search among.
#[derive(Debug, Clone, PartialEq)]
pub struct Searchable {
    x: Matrix,
    norms: Array1<f64>,
}

impl Searchable {
    pub fn new(x: Matrix) -> Self {
        Self { norms: x.squared_norms(), x }
    }

    pub fn rows(&self) -> &Matrix {
        &self.x
    }

    /// Calls `answer` with every row of `queries (q, d)` in order and the `k` rows nearest to it, nearest first;
    /// all of them where there are fewer.
    pub fn each_nearest(&self, queries: &Matrix, k: usize, mut answer: impl FnMut(usize, &[Near])) {
        let n = self.x.n_rows();
        let step = (BLOCK_ENTRIES / n.max(1)).clamp(1, BLOCK_ROWS);
        let norms = queries.squared_norms();
        for begin in (0..queries.n_rows()).step_by(step) {
            let rows = begin..(begin + step).min(queries.n_rows());
            let block = dense_rows(queries, rows.clone());
            let products = self.x.dot(block.t());
            let found: Vec<Vec<Near>> = rows
                .clone()
                .into_par_iter()
                .map(|row| {
                    let product = products.column(row - begin);
                    let distances = &self.norms - &(2.0 * &product) + norms[row];
                    self.nearest(block.row(row - begin), norms[row], &distances, k)
                })
                .collect();
            rows.zip(&found).for_each(|(row, nearest)| answer(row, nearest));
        }
    }

    /// The `k` nearest others of every row, nearest first.
    pub fn nearest_others(&self, k: usize) -> Vec<Vec<Near>> {
        let mut out = Vec::with_capacity(self.x.n_rows());
        self.each_nearest(&self.x, k + 1, |row, nearest| {
            out.push(nearest.iter().filter(|near| near.row != row).take(k).copied().collect());
        });
        out
    }

    /// The nearest rows given distances that are right up to rounding.
    fn nearest(&self, query: ArrayView1<f64>, norm: f64, distances: &Array1<f64>, k: usize) -> Vec<Near> {
        let k = k.min(distances.len());
        if k == 0 {
            return Vec::new();
        }
        let slack = |i: usize| ROUNDING * (norm + self.norms[i]);
        let furthest = if k == 1 {
            (0..distances.len()).fold(f64::INFINITY, |m, i| m.min(distances[i] + slack(i)))
        } else {
            let mut upper: Vec<f64> = (0..distances.len()).map(|i| distances[i] + slack(i)).collect();
            *upper.select_nth_unstable_by(k - 1, f64::total_cmp).1
        };
        let candidates = (0..distances.len()).filter(|&i| distances[i] - slack(i) <= furthest);
        let measure = |row: usize| Near { row, squared_distance: self.squared_distance(query, row) };
        let mut measured: Vec<Near> = candidates.map(measure).collect();
        measured.sort_by(|a, b| a.squared_distance.total_cmp(&b.squared_distance).then(a.row.cmp(&b.row)));
        measured.truncate(k);
        measured
    }

    /// The squared distance of a query to row `i`, measured directly.
    fn squared_distance(&self, query: ArrayView1<f64>, i: usize) -> f64 {
        match &self.x {
            Matrix::Dense(x) => query.iter().zip(x.row(i)).map(|(a, b)| (a - b) * (a - b)).sum(),
            Matrix::Sparse(x) => {
                let mut row = x.row(i).peekable();
                let entry = |(j, a): (usize, &f64)| {
                    let b = row.next_if(|&(at, _)| at == j).map_or(0.0, |(_, v)| v);
                    (a - b) * (a - b)
                };
                query.iter().enumerate().map(entry).sum()
            }
        }
    }
}

fn dense_rows(x: &Matrix, rows: Range<usize>) -> Array2<f64> {
    match x {
        Matrix::Dense(x) => x.slice(s![rows, ..]).to_owned(),
        Matrix::Sparse(_) => x.select_rows(&rows.collect::<Vec<_>>()).dense().into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn others_leave_the_row_itself_out_even_among_its_equals() {
        let rows = Searchable::new(array![[0.0], [0.0], [3.0], [1.0]].into());
        let found: Vec<Vec<usize>> =
            rows.nearest_others(2).iter().map(|near| near.iter().map(|n| n.row).collect()).collect();
        assert_eq!(found, [vec![1, 3], vec![0, 3], vec![3, 0], vec![0, 1]]);
        assert_eq!(rows.nearest_others(9)[2].len(), 3);
    }
}
