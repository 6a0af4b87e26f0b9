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

/// The degree of a polynomial kernel at most: higher powers of products leave the range of doubles.
pub const MAX_DEGREE: u32 = 10;

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
    /// (x·y / σ² + offset)^degree; offset ≥ 0, degree from 1 to [`MAX_DEGREE`]
    Polynomial { bandwidth: f64, degree: u32, offset: f64 },
    /// x·y / (‖x‖ ‖y‖); 0 where a row is zero
    Cosine,
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
    #[error(
        "all rows point in one direction: their mean cosine is {mean:.6}, above 0.999; centre the columns, \
         or take another kernel"
    )]
    Parallel { mean: f64 },
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
            Kernel::Linear | Kernel::Cosine => None,
            Kernel::Rbf { bandwidth } | Kernel::Laplacian { bandwidth } | Kernel::Polynomial { bandwidth, .. } => {
                Some(bandwidth)
            }
        }
    }

    /// Whether the numbers of the kernel are within the bounds that [`Kernel`] names.
    pub fn is_sound(self) -> bool {
        let shape = match self {
            Kernel::Polynomial { degree, offset, .. } => {
                (1..=MAX_DEGREE).contains(&degree) && offset.is_finite() && offset >= 0.0
            }
            Kernel::Linear | Kernel::Rbf { .. } | Kernel::Laplacian { .. } | Kernel::Cosine => true,
        };
        shape && self.bandwidth().is_none_or(|b| b.is_finite() && b > 0.0)
    }

    /// Whether the kernel depends on the difference of two rows only, so that all rows may be moved alike.
    pub fn is_shift_invariant(self) -> bool {
        matches!(self, Kernel::Rbf { .. } | Kernel::Laplacian { .. })
    }

    /// A shift of all rows that changes no value of the kernel and saves digits: the mean of `x (n, d)`, or zero.
    pub fn harmless_shift(self, x: ArrayView2<f64>) -> Array1<f64> {
        if self.is_shift_invariant() { column_means(x) } else { Array1::zeros(x.ncols()) }
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
            Kernel::Polynomial { bandwidth, degree, offset } => {
                product_into(out.view_mut(), Accum::Replace, x, y.reversed_axes(), bandwidth.powi(-2));
                out.mapv_inplace(|v| (v + offset).powi(degree as i32));
            }
            Kernel::Cosine => {
                product_into(out.view_mut(), Accum::Replace, x, y.reversed_axes(), 1.0);
                let columns = b.squared_norms.slice(s![columns]).mapv(inverse_length);
                for (mut row, norm) in out.axis_iter_mut(Axis(0)).zip(a.squared_norms.slice(s![rows])) {
                    row *= inverse_length(*norm);
                    row *= &columns;
                }
            }
        }
    }

    /// `k(x_i, x_i)` for all rows.
    pub fn diagonal(self, rows: &KernelRows) -> Array1<f64> {
        match self {
            Kernel::Linear => rows.squared_norms.clone(),
            Kernel::Rbf { .. } | Kernel::Laplacian { .. } => Array1::ones(rows.len()),
            Kernel::Polynomial { bandwidth, degree, offset } => {
                rows.squared_norms.mapv(|v| (v * bandwidth.powi(-2) + offset).powi(degree as i32))
            }
            Kernel::Cosine => rows.squared_norms.mapv(|v| if v > 0.0 { 1.0 } else { 0.0 }),
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

    /// Whether the kernel still tells rows apart, judged on a matrix `k(x, x)` of some rows: the mean off
    /// its diagonal must lie within [0.001, 0.999]. Kernels of inner products are judged by
    /// `k(x, y) / √(k(x, x) k(y, y))`; cosines take both signs, so that a mean near zero says nothing of
    /// them. A linear kernel always passes.
    ///
    /// # Errors
    /// [`KernelError`] with the figure.
    pub fn check_informative(self, k: ArrayView2<f64>) -> Result<(), KernelError> {
        if matches!(self, Kernel::Linear) || k.nrows() < 2 {
            return Ok(());
        }
        // Entries of a bandwidth whose square vanishes are no kernel, whatever they look like.
        if self.bandwidth().is_some_and(|sigma| !sigma.powi(-2).is_finite()) {
            return Err(KernelError::Vanished { mean: 0.0 });
        }
        let mean =
            if self.is_shift_invariant() { mean_off_diagonal(k) } else { mean_off_diagonal(normalised(k).view()) };
        if mean > INFORMATIVE.end {
            return Err(match self {
                Kernel::Cosine => KernelError::Parallel { mean },
                _ => KernelError::Saturated { mean },
            });
        }
        if mean.is_nan() || (mean < INFORMATIVE.start && self.is_shift_invariant()) {
            return Err(KernelError::Vanished { mean });
        }
        Ok(())
    }
}

fn mean_off_diagonal(k: ArrayView2<f64>) -> f64 {
    let n = k.nrows() as f64;
    (k.sum() - k.diag().sum()) / (n * (n - 1.0))
}

/// `k(x, y) / √(k(x, x) k(y, y))`; rows of length zero stay zero.
fn normalised(k: ArrayView2<f64>) -> Array2<f64> {
    let by = k.diag().mapv(inverse_length);
    &k * &by * by.view().insert_axis(Axis(1))
}

/// 1/√v; 0 where v is.
fn inverse_length(squared: f64) -> f64 {
    if squared > 0.0 { squared.sqrt().recip() } else { 0.0 }
}

/// `k(x, landmarks) · right`, shapes `(n, d)`, `(m, d)` and `(m, k)` → `(n, k)`, in tiles.
pub fn landmark_product(kernel: Kernel, x: &Matrix, landmarks: ArrayView2<f64>, right: ArrayView2<f64>) -> Array2<f64> {
    let shift = kernel.harmless_shift(landmarks);
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
                Kernel::Polynomial { bandwidth, degree, offset } => {
                    (x.row(i).dot(&y.row(j)) / (bandwidth * bandwidth) + offset).powf(f64::from(degree))
                }
                Kernel::Cosine => x.row(i).dot(&y.row(j)) / (x.row(i).dot(&x.row(i)) * y.row(j).dot(&y.row(j))).sqrt(),
            }
        })
    }

    const KERNELS: [Kernel; 5] = [
        Kernel::Linear,
        Kernel::Rbf { bandwidth: 1.3 },
        Kernel::Laplacian { bandwidth: 2.7 },
        Kernel::Polynomial { bandwidth: 1.3, degree: 3, offset: 0.7 },
        Kernel::Cosine,
    ];

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
        let nothing = Kernel::Rbf { bandwidth: 1e-300 };
        let entries = nothing.matrix(&rows, &rows);
        assert!(matches!(nothing.check_informative(entries.view()), Err(KernelError::Vanished { .. })));
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

    #[test]
    fn kernels_of_inner_products_are_judged_by_the_angles_between_rows() {
        let informative = |kernel: Kernel, x: &Array2<f64>| {
            let rows = KernelRows::new(x.clone());
            kernel.check_informative(kernel.matrix(&rows, &rows).view())
        };
        let centred = noise(50, 20, 4);
        let polynomial = |bandwidth| Kernel::Polynomial { bandwidth, degree: 3, offset: 1.0 };
        assert_eq!(informative(Kernel::Cosine, &centred), Ok(()));
        assert_eq!(informative(polynomial(2.0), &centred), Ok(()));
        assert!(matches!(informative(polynomial(1e4), &centred), Err(KernelError::Saturated { .. })));
        let parallel = centred + 1e3;
        assert!(matches!(informative(Kernel::Cosine, &parallel), Err(KernelError::Parallel { .. })));
    }

    #[test]
    fn a_row_of_zeros_has_no_direction() {
        let rows = KernelRows::new(ndarray::array![[0.0, 0.0], [3.0, 4.0]]);
        assert_eq!(Kernel::Cosine.matrix(&rows, &rows), ndarray::array![[0.0, 0.0], [0.0, 1.0]]);
    }
}
