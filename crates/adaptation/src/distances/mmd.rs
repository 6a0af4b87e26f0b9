//! Maximum mean discrepancy: the distance between two samples in the space of a kernel, exact, with
//! memory for a few tiles only.
//!
//! With `k` a kernel, or the mean of several, m rows `x` and n rows `y` (Gretton, Borgwardt, Rasch,
//! Schölkopf and Smola, "A kernel two-sample test", JMLR 13, 2012, equations 3 and 5):
//!
//! ```text
//! biased    mean k(x, x') + mean k(y, y') − 2 mean k(x, y), the means over all pairs
//! unbiased  the same, with the pairs of a row with itself left out; may be negative
//! ```
//!
//! **Cost.** O((m + n)² d) time, for sparse rows as much as pairs of rows have columns in common; memory for the rows
//! and a few tiles a thread. Sums are taken in the
//! order of tiles, so the bits do not depend on how many threads there are.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, s};
use rayon::prelude::*;

use crate::context::{Ctx, FitError, Observer};
use crate::linalg::kernels::{Kernel, KernelRows, TILE};
use crate::linalg::median::{Distance, median_bandwidth, sample};
use crate::linalg::{Matrix, column_means};
use crate::params::Bandwidth;

/// The two estimates of the squared distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mmd2 {
    pub biased: f64,
    pub unbiased: f64,
}

/// Sums of kernel values that all statistics are made of.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    /// Over all pairs of rows of one sample, or across samples.
    pub(super) all: f64,
    /// Over the pairs of a row with itself.
    pub(super) diagonal: f64,
}

/// MMD² of `x (m, d)` and `y (n, d)` for the mean of `kernels`.
///
/// # Errors
/// [`FitError::Degenerate`] where a sample has fewer than two rows; cancellation.
pub fn mmd2(x: ArrayView2<f64>, y: ArrayView2<f64>, kernels: &[Kernel], ctx: &Ctx) -> Result<Mmd2, FitError> {
    let (x, y) = prepared(x, y, kernels)?;
    of_rows(&x, &y, kernels, ctx)
}

fn of_rows(x: &KernelRows, y: &KernelRows, kernels: &[Kernel], ctx: &Ctx) -> Result<Mmd2, FitError> {
    let observer = ctx.observer();
    let xx = symmetric_sum(kernels, x, observer)?;
    let yy = symmetric_sum(kernels, y, observer)?;
    let xy = cross_sum(kernels, x, y, observer)?;
    Ok(statistic(xx, yy, xy, (x.len(), y.len())))
}

/// Unbiased MMD² of a Gaussian kernel, as reported before and after an adaptation. Where a sample has
/// more than `max_rows` rows, that many seeded ones stand for it; `None` takes all.
///
/// # Errors
/// [`FitError::Degenerate`] where a sample has fewer than two rows or all rows are equal.
pub fn mmd2_unbiased(
    x: &Matrix,
    y: &Matrix,
    bandwidth: Bandwidth,
    max_rows: Option<usize>,
    ctx: &Ctx,
) -> Result<f64, FitError> {
    let bandwidth = match bandwidth {
        Bandwidth::Number(v) => v,
        Bandwidth::Word(_) => median_bandwidth(&[x, y], Distance::Euclidean, &mut ctx.rng("mmd bandwidth"))
            .map_err(|e| FitError::Degenerate(e.to_string()))?,
    };
    let limit = max_rows.unwrap_or(usize::MAX);
    let (x, y) =
        (sample(&[x], limit, &mut ctx.rng("mmd rows of x")), sample(&[y], limit, &mut ctx.rng("mmd rows of y")));
    let kernels = [Kernel::Rbf { bandwidth }];
    if let (Matrix::Sparse(_), Matrix::Sparse(_)) = (&x, &y) {
        enough(x.n_rows(), y.n_rows(), &kernels)?;
        return Ok(of_rows(&KernelRows::unmoved(x), &KernelRows::unmoved(y), &kernels, ctx)?.unbiased);
    }
    Ok(mmd2(x.dense().view(), y.dense().view(), &kernels, ctx)?.unbiased)
}

/// Rows in the form of kernel tiles, moved to the pooled mean where that changes no statistic: the linear
/// kernel's depends on differences only, as do kernels of differences, and the Gaussian kernel gains digits.
pub(super) fn prepared(
    x: ArrayView2<f64>,
    y: ArrayView2<f64>,
    kernels: &[Kernel],
) -> Result<(KernelRows, KernelRows), FitError> {
    enough(x.nrows(), y.nrows(), kernels)?;
    let (m, n) = (x.nrows() as f64, y.nrows() as f64);
    let movable = kernels.iter().all(|k| k.is_shift_invariant() || *k == Kernel::Linear);
    let shift = if movable { (column_means(x) * m + column_means(y) * n) / (m + n) } else { Array1::zeros(x.ncols()) };
    Ok((KernelRows::shifted(x, &shift), KernelRows::shifted(y, &shift)))
}

fn enough(m: usize, n: usize, kernels: &[Kernel]) -> Result<(), FitError> {
    if m < 2 || n < 2 || kernels.is_empty() {
        return Err(FitError::Degenerate(format!(
            "MMD needs two rows a sample and a kernel; there are {m} and {n} rows and {} kernels",
            kernels.len()
        )));
    }
    Ok(())
}

pub(super) fn statistic(xx: Sums, yy: Sums, xy: f64, (m, n): (usize, usize)) -> Mmd2 {
    let (m, n) = (m as f64, n as f64);
    let cross = 2.0 * xy / (m * n);
    Mmd2 {
        biased: xx.all / (m * m) + yy.all / (n * n) - cross,
        unbiased: (xx.all - xx.diagonal) / (m * (m - 1.0)) + (yy.all - yy.diagonal) / (n * (n - 1.0)) - cross,
    }
}

pub(super) fn mean_diagonal(kernels: &[Kernel], rows: &KernelRows) -> Array1<f64> {
    let sum = kernels.iter().fold(Array1::zeros(rows.len()), |sum, k| sum + k.diagonal(rows));
    sum / kernels.len() as f64
}

/// A tile of the mean of several kernels.
pub(super) struct Tile {
    pub(super) mean: Array2<f64>,
    /// Only used with more than one kernel.
    one: Array2<f64>,
}

impl Tile {
    pub(super) fn new(kernels: &[Kernel]) -> Self {
        let one = if kernels.len() > 1 { TILE } else { 0 };
        Self { mean: Array2::zeros((TILE, TILE)), one: Array2::zeros((one, one)) }
    }

    pub(super) fn fill(&mut self, kernels: &[Kernel], a: (&KernelRows, Range<usize>), b: (&KernelRows, Range<usize>)) {
        let part = s![..a.1.len(), ..b.1.len()];
        kernels[0].fill((a.0, a.1.clone()), (b.0, b.1.clone()), self.mean.slice_mut(part));
        for kernel in &kernels[1..] {
            kernel.fill((a.0, a.1.clone()), (b.0, b.1.clone()), self.one.slice_mut(part));
            self.mean.slice_mut(part).zip_mut_with(&self.one.slice(part), |m, v| *m += v);
        }
        if kernels.len() > 1 {
            let scale = 1.0 / kernels.len() as f64;
            self.mean.slice_mut(part).mapv_inplace(|v| v * scale);
        }
    }
}

/// Σ k(a_i, a_j) over all pairs, from the tiles on and above the diagonal.
fn symmetric_sum(kernels: &[Kernel], a: &KernelRows, observer: &dyn Observer) -> Result<Sums, FitError> {
    let blocks = a.tiles();
    let strips: Vec<f64> = blocks
        .par_iter()
        .enumerate()
        .map(|(i, rows)| strip_sum(kernels, (a, rows.clone()), (a, &blocks[i..]), observer))
        .map(|strip| strip.map(|(first, others)| first + 2.0 * others))
        .collect::<Result<_, FitError>>()?;
    Ok(Sums { all: strips.iter().sum(), diagonal: mean_diagonal(kernels, a).sum() })
}

/// Σ k(a_i, b_j) over all pairs.
fn cross_sum(kernels: &[Kernel], a: &KernelRows, b: &KernelRows, observer: &dyn Observer) -> Result<f64, FitError> {
    let blocks = b.tiles();
    let strips: Vec<f64> = a
        .tiles()
        .par_iter()
        .map(|rows| strip_sum(kernels, (a, rows.clone()), (b, &blocks), observer))
        .map(|strip| strip.map(|(first, others)| first + others))
        .collect::<Result<_, FitError>>()?;
    Ok(strips.iter().sum())
}

/// The sum of the first tile of a strip, and that of the others.
fn strip_sum(
    kernels: &[Kernel],
    (a, rows): (&KernelRows, Range<usize>),
    (b, blocks): (&KernelRows, &[Range<usize>]),
    observer: &dyn Observer,
) -> Result<(f64, f64), FitError> {
    let mut tile = Tile::new(kernels);
    let mut sums = [0.0; 2];
    for (j, columns) in blocks.iter().enumerate() {
        observer.check()?;
        tile.fill(kernels, (a, rows.clone()), (b, columns.clone()));
        sums[j.min(1)] += tile.mean.slice(s![..rows.len(), ..columns.len()]).sum();
    }
    Ok((sums[0], sums[1]))
}

/// The statistic from whole kernel matrices, to hold the tiled forms to.
#[cfg(test)]
pub(super) fn plainly(x: ArrayView2<f64>, y: ArrayView2<f64>, kernels: &[Kernel]) -> Mmd2 {
    let k = |a: ArrayView2<f64>, b: ArrayView2<f64>| {
        let (a, b) = (KernelRows::new(a.to_owned()), KernelRows::new(b.to_owned()));
        kernels.iter().fold(Array2::zeros((a.len(), b.len())), |sum, k| sum + k.matrix(&a, &b)) / kernels.len() as f64
    };
    let sums = |k: &Array2<f64>| Sums { all: k.sum(), diagonal: k.diag().sum() };
    statistic(sums(&k(x, x)), sums(&k(y, y)), k(x, y).sum(), (x.nrows(), y.nrows()))
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::context::Silent;

    fn noise(n: usize, d: usize, seed: u64) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Array2::from_shape_simple_fn((n, d), || rng.random_range(-1.0..1.0))
    }

    #[test]
    fn tiles_give_what_whole_matrices_give() {
        let (x, y) = (noise(TILE + 40, 3, 1), noise(2 * TILE + 1, 3, 2) + 0.1);
        let ctx = Ctx::new(0, &Silent);
        let mixture: Vec<Kernel> = [0.25, 0.5, 1.0, 2.0].map(|bandwidth| Kernel::Rbf { bandwidth }).into();
        for kernels in [&mixture[..], &[Kernel::Linear], &[Kernel::Laplacian { bandwidth: 2.0 }], &[Kernel::Cosine]] {
            let got = mmd2(x.view(), y.view(), kernels, &ctx).unwrap();
            let want = plainly(x.view(), y.view(), kernels);
            assert!((got.biased - want.biased).abs() < 1e-13, "{kernels:?}: {got:?}, {want:?}");
            assert!((got.unbiased - want.unbiased).abs() < 1e-13, "{kernels:?}: {got:?}, {want:?}");
        }
    }

    #[test]
    fn sparse_rows_stay_sparse_and_give_the_same() {
        let holes = |x: Array2<f64>| x.mapv(|v| if v > 0.2 { v } else { 0.0 });
        let (x, y) = (holes(noise(TILE + 40, 8, 1)), holes(noise(90, 8, 2)));
        let sparse = |x: &Array2<f64>| {
            let mut rows = crate::linalg::SparseRows::new(x.ncols());
            x.outer_iter().for_each(|row| rows.push_row(row.iter().copied().enumerate()));
            Matrix::Sparse(rows)
        };
        let ctx = Ctx::new(0, &Silent);
        let of = |x: &Matrix, y: &Matrix| mmd2_unbiased(x, y, Bandwidth::default(), Some(200), &ctx).unwrap();
        let (got, want) = (of(&sparse(&x), &sparse(&y)), of(&Matrix::Dense(x), &Matrix::Dense(y)));
        assert!((got - want).abs() < 1e-14, "{got} instead of {want}");
    }

    #[test]
    fn a_linear_kernel_gives_the_distance_of_the_means() {
        let (x, y) = (noise(30, 4, 3), noise(20, 4, 4) + 0.5);
        let difference = column_means(x.view()) - column_means(y.view());
        let got = mmd2(x.view(), y.view(), &[Kernel::Linear], &Ctx::new(0, &Silent)).unwrap();
        assert!((got.biased - difference.dot(&difference)).abs() < 1e-13);
    }

    #[test]
    fn a_cancelled_test_ends_with_cancelled() {
        struct Stopped;
        impl Observer for Stopped {
            fn report(&self, _: crate::context::Report<'_>) {}
            fn check(&self) -> Result<(), FitError> {
                Err(FitError::Cancelled)
            }
            fn elapsed(&self) -> std::time::Duration {
                std::time::Duration::ZERO
            }
        }
        let x = noise(4, 2, 1);
        let ctx = Ctx::new(0, &Stopped);
        assert_eq!(mmd2(x.view(), x.view(), &[Kernel::Linear], &ctx), Err(FitError::Cancelled));
        let test = super::super::permutation::permutation_test(x.view(), x.view(), &[Kernel::Linear], 9, &ctx);
        assert_eq!(test.map(drop), Err(FitError::Cancelled));
    }
}
