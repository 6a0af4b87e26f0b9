//! The median rule for the bandwidth of a kernel, and the seeded draw of rows that it looks at.

use ndarray::{Array2, Axis};
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::kernels::{Kernel, KernelError, KernelRows, manhattan_into};
use super::{Matrix, column_means, gram};

/// The median rule looks at this many pooled rows at most: half a million pairs.
pub const MEDIAN_ROWS: usize = 1000;

/// The distance that a kernel's bandwidth is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distance {
    /// Of the Gaussian kernel.
    Euclidean,
    /// Of the Laplacian kernel.
    Manhattan,
}

/// The median distance between pairs of at most [`MEDIAN_ROWS`] rows, drawn without replacement from
/// all rows of all parts.
///
/// # Errors
/// [`KernelError::ZeroMedian`] where it is zero, or where there is no pair.
pub fn median_bandwidth(parts: &[&Matrix], distance: Distance, rng: &mut ChaCha8Rng) -> Result<f64, KernelError> {
    let rows = sample(parts, MEDIAN_ROWS, rng);
    if rows.n_rows() < 2 {
        return Err(KernelError::ZeroMedian);
    }
    let mut distances = pairwise(rows, distance);
    let n_pairs = distances.len();
    let middle = n_pairs / 2;
    let (below, at, _) = distances.select_nth_unstable_by(middle, f64::total_cmp);
    let mut median = *at;
    if below.len() == middle && middle > 0 && n_pairs.is_multiple_of(2) {
        median = 0.5 * (median + below.iter().copied().fold(f64::MIN, f64::max));
    }
    if median > 0.0 { Ok(median) } else { Err(KernelError::ZeroMedian) }
}

/// At most `max_rows` of all rows of all parts, drawn without replacement and kept in order, `(m, d)`, dense.
pub fn sample_rows(parts: &[&Matrix], max_rows: usize, rng: &mut ChaCha8Rng) -> Array2<f64> {
    sample(parts, max_rows, rng).dense().into_owned()
}

/// The same rows; sparse where all parts are.
pub fn sample(parts: &[&Matrix], max_rows: usize, rng: &mut ChaCha8Rng) -> Matrix {
    let n: usize = parts.iter().map(|p| p.n_rows()).sum();
    let mut chosen = index::sample(rng, n, max_rows.min(n)).into_vec();
    chosen.sort_unstable();
    let mut picked = Vec::with_capacity(parts.len());
    let mut start = 0;
    for part in parts {
        let end = start + part.n_rows();
        let here: Vec<usize> = chosen.iter().filter(|&&i| i >= start && i < end).map(|i| i - start).collect();
        picked.push(part.select_rows(&here));
        start = end;
    }
    Matrix::stack(&picked.iter().collect::<Vec<_>>())
}

/// The distances of all pairs i < j, in order.
fn pairwise(x: Matrix, distance: Distance) -> Vec<f64> {
    let mut all = match distance {
        Distance::Manhattan => {
            let x = x.dense();
            let mut out = Array2::zeros((x.nrows(), x.nrows()));
            manhattan_into(x.view(), x.view(), out.view_mut());
            out
        }
        Distance::Euclidean => {
            let mut out = match x {
                Matrix::Dense(x) => gram((&x - &column_means(x.view())).t()),
                sparse @ Matrix::Sparse(_) => {
                    let rows = KernelRows::unmoved(sparse);
                    Kernel::Linear.matrix(&rows, &rows)
                }
            };
            let norms = out.diag().to_owned();
            for (i, mut row) in out.axis_iter_mut(Axis(0)).enumerate() {
                let norm = norms[i];
                // Below the rounding of the norms a distance is zero: rows that are equal stay equal.
                row.iter_mut().zip(&norms).for_each(|(v, other)| {
                    let squared = norm + other - 2.0 * *v;
                    *v = if squared > 1e-14 * (norm + other) { squared.sqrt() } else { 0.0 };
                });
            }
            out
        }
    };
    let n = all.nrows();
    let mut out = Vec::with_capacity(n * (n - 1) / 2);
    for (i, row) in all.axis_iter_mut(Axis(0)).enumerate() {
        out.extend(row.iter().skip(i + 1));
    }
    out
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn the_median_is_that_of_all_pairs_where_all_rows_fit() {
        // Points 0, 1, 3 on a line: distances 1, 3, 2.
        let x = Matrix::from(ndarray::array![[0.0], [1.0]]);
        let y = Matrix::from(ndarray::array![[3.0]]);
        for distance in [Distance::Euclidean, Distance::Manhattan] {
            let mut rng = ChaCha8Rng::seed_from_u64(0);
            let median = median_bandwidth(&[&x, &y], distance, &mut rng).unwrap();
            assert!((median - 2.0).abs() < 1e-12);
        }
    }

    #[test]
    fn equal_rows_have_no_median() {
        let x = Matrix::from(Array2::from_elem((10, 3), 1e6 / 3.0));
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        assert_eq!(median_bandwidth(&[&x], Distance::Euclidean, &mut rng), Err(KernelError::ZeroMedian));
    }
}
