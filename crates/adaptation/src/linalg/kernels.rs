//! Kernel functions, evaluated in tiles so that no n × n matrix need exist.

use std::ops::Range;

use faer::{Accum, Par};
use faer_ext::IntoFaer;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::exp::{gaussian_row, scaled_exp};
use super::{Matrix, column_means};

/// Rows and columns of one tile: 256² doubles are half a megabyte, which stays in the second cache.
pub const TILE: usize = 256;
/// The mean off-diagonal entry of a kernel that still tells rows apart.
const INFORMATIVE: Range<f64> = 1e-3..0.999;

/// A kernel with its bandwidth σ > 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kernel", rename_all = "snake_case")]
pub enum Kernel {
    /// x·y
    Linear,
    /// exp(−‖x−y‖² / 2σ²)
    Rbf { bandwidth: f64 },
    /// exp(−‖x−y‖₁ / σ)
    Laplacian { bandwidth: f64 },
}

/// Why a kernel says nothing about these rows.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum KernelError {
    #[error("the median distance between rows is zero: more than half of the pairs of rows are equal")]
    ZeroMedian,
    #[error("the kernel has vanished: its mean off the diagonal is {mean:.2e}, below 0.001; take a larger bandwidth")]
    Vanished { mean: f64 },
    #[error("the kernel is saturated: its mean off the diagonal is {mean:.6}, above 0.999; take a smaller bandwidth")]
    Saturated { mean: f64 },
}

/// Rows made ready for kernel tiles: contiguous, with squared norms.
#[derive(Debug, Clone)]
pub struct KernelRows {
    /// `(n, d)`, in standard layout.
    x: Array2<f64>,
    /// `(n,)`
    squared_norms: Array1<f64>,
}

impl KernelRows {
    /// Rows `x (n, d)`, less `shift (d,)`. The Gaussian kernel loses digits where rows are far from
    /// the origin; a shift common to all rows gives them back and changes no distance.
    pub fn shifted(x: ArrayView2<f64>, shift: &Array1<f64>) -> Self {
        Self::new(x.as_standard_layout().into_owned() - shift)
    }

    pub fn new(x: Array2<f64>) -> Self {
        let x = if x.is_standard_layout() { x } else { x.as_standard_layout().into_owned() };
        let squared_norms = x.map_axis(Axis(1), |r| r.dot(&r));
        Self { x, squared_norms }
    }

    /// The rows of `a` and, below them, those of `b`.
    pub fn stacked(a: &KernelRows, b: &KernelRows) -> Self {
        let mut x = Array2::zeros((a.len() + b.len(), a.x.ncols()));
        x.slice_mut(s![..a.len(), ..]).assign(&a.x);
        x.slice_mut(s![a.len().., ..]).assign(&b.x);
        Self::new(x)
    }

    /// ‖x_i‖², `(n,)`
    pub(super) fn squared_norms(&self) -> &Array1<f64> {
        &self.squared_norms
    }

    pub fn len(&self) -> usize {
        self.x.nrows()
    }

    pub fn is_empty(&self) -> bool {
        self.x.nrows() == 0
    }

    /// The ranges of rows that tiles cover.
    pub fn tiles(&self) -> Vec<Range<usize>> {
        tiles(self.len(), TILE)
    }
}

/// `0..n` in ranges of `size`; the last may be shorter.
pub fn tiles(n: usize, size: usize) -> Vec<Range<usize>> {
    (0..n).step_by(size).map(|at| at..(at + size).min(n)).collect()
}

impl Kernel {
    /// σ, where the kernel has one.
    pub fn bandwidth(self) -> Option<f64> {
        match self {
            Kernel::Linear => None,
            Kernel::Rbf { bandwidth } | Kernel::Laplacian { bandwidth } => Some(bandwidth),
        }
    }

    /// Writes `k(a_i, b_j)` for `i` in `rows` and `j` in `columns` to `out (rows, columns)`, which is
    /// in standard layout. Runs on the calling thread alone.
    pub fn fill(
        self,
        (a, rows): (&KernelRows, Range<usize>),
        (b, columns): (&KernelRows, Range<usize>),
        mut out: ArrayViewMut2<f64>,
    ) {
        let (x, y) = (a.x.slice(s![rows.clone(), ..]), b.x.slice(s![columns.clone(), ..]));
        match self {
            Kernel::Linear => product_into(out, Accum::Replace, x, y.reversed_axes(), 1.0),
            Kernel::Rbf { bandwidth } => {
                let scale = bandwidth.powi(-2);
                product_into(out.view_mut(), Accum::Replace, x, y.reversed_axes(), scale);
                let half = -0.5 * scale;
                let columns: Vec<f64> = b.squared_norms.slice(s![columns]).iter().map(|v| v * half).collect();
                for (mut row, norm) in out.axis_iter_mut(Axis(0)).zip(a.squared_norms.slice(s![rows])) {
                    match row.as_slice_mut() {
                        Some(row) => gaussian_row(row, norm * half, &columns),
                        None => row.iter_mut().zip(&columns).for_each(|(v, c)| *v = (*v + norm * half + c).exp()),
                    }
                }
            }
            Kernel::Laplacian { bandwidth } => {
                manhattan_into(x, y, out.view_mut());
                for mut row in out.axis_iter_mut(Axis(0)) {
                    match row.as_slice_mut() {
                        Some(row) => scaled_exp(row, -1.0 / bandwidth),
                        None => row.mapv_inplace(|v| (-v / bandwidth).exp()),
                    }
                }
            }
        }
    }

    /// `k(x_i, x_i)` for all rows.
    pub fn diagonal(self, rows: &KernelRows) -> Array1<f64> {
        match self {
            Kernel::Linear => rows.squared_norms.clone(),
            Kernel::Rbf { .. } | Kernel::Laplacian { .. } => Array1::ones(rows.len()),
        }
    }

    /// The whole matrix `(n_a, n_b)`, its tiles in parallel. For blocks that are meant to be held.
    pub fn matrix(self, a: &KernelRows, b: &KernelRows) -> Array2<f64> {
        let mut out = Array2::zeros((a.len(), b.len()));
        strips(&mut out).into_par_iter().zip(a.tiles()).for_each(|(mut strip, rows)| {
            for columns in b.tiles() {
                let tile = strip.slice_mut(s![.., columns.clone()]);
                self.fill((a, rows.clone()), (b, columns), tile);
            }
        });
        out
    }

    /// `k(a, b) · right`, `(n_a, k)`, for `right (n_b, k)`; takes memory for one strip of tiles a thread.
    pub fn dot(self, a: &KernelRows, b: &KernelRows, right: ArrayView2<f64>) -> Array2<f64> {
        let mut out = Array2::zeros((a.len(), right.ncols()));
        strips(&mut out).into_par_iter().zip(a.tiles()).for_each(|(mut strip, rows)| {
            let mut tile = Array2::zeros((rows.len(), TILE.min(b.len())));
            for columns in b.tiles() {
                let mut tile = tile.slice_mut(s![.., ..columns.len()]);
                self.fill((a, rows.clone()), (b, columns.clone()), tile.view_mut());
                product_into(strip.view_mut(), Accum::Add, tile.view(), right.slice(s![columns, ..]), 1.0);
            }
        });
        out
    }

    /// Whether the kernel still tells rows apart, judged on a matrix `k(x, x)` of some rows: the mean
    /// off its diagonal must lie within [0.001, 0.999]. A linear kernel always passes.
    ///
    /// # Errors
    /// [`KernelError`] with the figure.
    pub fn check_informative(self, k: ArrayView2<f64>) -> Result<(), KernelError> {
        let n = k.nrows() as f64;
        if matches!(self, Kernel::Linear) || k.nrows() < 2 {
            return Ok(());
        }
        let mean = (k.sum() - k.diag().sum()) / (n * (n - 1.0));
        if mean > INFORMATIVE.end {
            return Err(KernelError::Saturated { mean });
        }
        // What is no number comes of a bandwidth whose square vanished.
        if INFORMATIVE.contains(&mean) { Ok(()) } else { Err(KernelError::Vanished { mean }) }
    }
}

/// `k(x, landmarks) · right`, shapes `(n, d)`, `(m, d)` and `(m, k)` → `(n, k)`, in tiles.
pub fn landmark_product(kernel: Kernel, x: &Matrix, landmarks: ArrayView2<f64>, right: ArrayView2<f64>) -> Array2<f64> {
    let shift = match kernel {
        Kernel::Linear => Array1::zeros(landmarks.ncols()),
        Kernel::Rbf { .. } | Kernel::Laplacian { .. } => column_means(landmarks),
    };
    let rows = KernelRows::shifted(x.dense().view(), &shift);
    kernel.dot(&rows, &KernelRows::shifted(landmarks, &shift), right)
}

/// The strips of rows that [`KernelRows::tiles`] names, each to be written by its own thread.
fn strips(out: &mut Array2<f64>) -> Vec<ArrayViewMut2<'_, f64>> {
    out.axis_chunks_iter_mut(Axis(0), TILE).collect()
}

/// `out ← [out +] scale · a · b` on the calling thread, for tiles that are parallel among themselves.
pub fn product_into(out: ArrayViewMut2<f64>, accum: Accumulate, a: ArrayView2<f64>, b: ArrayView2<f64>, scale: f64) {
    faer::linalg::matmul::matmul(out.into_faer(), accum, a.into_faer(), b.into_faer(), scale, Par::Seq);
}

/// Whether a product replaces what was there or is added to it.
pub type Accumulate = Accum;

/// `out[i, j] ← ‖x_i − y_j‖₁`.
pub(super) fn manhattan_into(x: ArrayView2<f64>, y: ArrayView2<f64>, mut out: ArrayViewMut2<f64>) {
    // Columns of y become rows, so that the inner loop runs over j without a sum across lanes.
    let yt = y.reversed_axes().as_standard_layout().into_owned();
    let mut sums = vec![0.0; yt.ncols()];
    for (x, mut out) in x.axis_iter(Axis(0)).zip(out.axis_iter_mut(Axis(0))) {
        sums.fill(0.0);
        for (xf, yf) in x.iter().zip(yt.axis_iter(Axis(0))) {
            if let Some(yf) = yf.as_slice() {
                sums.iter_mut().zip(yf).for_each(|(s, y)| *s += (xf - y).abs());
            }
        }
        out.iter_mut().zip(&sums).for_each(|(o, s)| *o = *s);
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn noise(n: usize, d: usize, seed: u64) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Array2::from_shape_simple_fn((n, d), || rng.random_range(-1.0..1.0))
    }

    fn plainly(kernel: Kernel, x: ArrayView2<f64>, y: ArrayView2<f64>) -> Array2<f64> {
        Array2::from_shape_fn((x.nrows(), y.nrows()), |(i, j)| {
            let difference = &x.row(i) - &y.row(j);
            match kernel {
                Kernel::Linear => x.row(i).dot(&y.row(j)),
                Kernel::Rbf { bandwidth } => (-difference.dot(&difference) / (2.0 * bandwidth * bandwidth)).exp(),
                Kernel::Laplacian { bandwidth } => (-difference.mapv(f64::abs).sum() / bandwidth).exp(),
            }
        })
    }

    const KERNELS: [Kernel; 3] = [Kernel::Linear, Kernel::Rbf { bandwidth: 1.3 }, Kernel::Laplacian { bandwidth: 2.7 }];

    #[test]
    fn tiles_hold_what_the_formula_says() {
        let (x, y) = (noise(TILE + 3, 5, 1), noise(7, 5, 2));
        let (a, b) = (KernelRows::new(x.clone()), KernelRows::new(y.clone()));
        for kernel in KERNELS {
            let want = plainly(kernel, x.view(), y.view());
            let worst = (kernel.matrix(&a, &b) - &want).mapv(f64::abs).fold(0.0, |m: f64, v| m.max(*v));
            assert!(worst < 1e-14, "{kernel:?}: {worst:e}");
            let right = noise(7, 3, 3);
            let worst =
                (kernel.dot(&a, &b, right.view()) - want.dot(&right)).mapv(f64::abs).fold(0.0, |m: f64, v| m.max(*v));
            assert!(worst < 1e-13, "{kernel:?}: {worst:e}");
        }
    }

    #[test]
    fn the_diagonal_is_the_kernel_of_a_row_with_itself() {
        let rows = KernelRows::new(noise(9, 4, 5));
        for kernel in KERNELS {
            let worst = (kernel.matrix(&rows, &rows).diag().to_owned() - kernel.diagonal(&rows)).mapv(f64::abs).sum();
            assert!(worst < 1e-13, "{kernel:?}: {worst:e}");
        }
    }

    #[test]
    fn a_bandwidth_far_from_the_distances_is_named() {
        let rows = KernelRows::new(noise(50, 200, 3));
        let narrow = Kernel::Rbf { bandwidth: 0.5 };
        let wide = Kernel::Rbf { bandwidth: 1e4 };
        assert!(matches!(
            narrow.check_informative(narrow.matrix(&rows, &rows).view()),
            Err(KernelError::Vanished { .. })
        ));
        assert!(matches!(wide.check_informative(wide.matrix(&rows, &rows).view()), Err(KernelError::Saturated { .. })));
        let fitting = Kernel::Rbf { bandwidth: 10.0 };
        assert_eq!(fitting.check_informative(fitting.matrix(&rows, &rows).view()), Ok(()));
    }
}
