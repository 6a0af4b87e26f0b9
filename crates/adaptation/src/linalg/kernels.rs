//! Kernel functions, evaluated in tiles so that no n × n matrix need exist.

use std::ops::Range;

use faer::{Accum, Par};
use faer_ext::IntoFaer;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis, CowArray, Ix2, s};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::exp::{gaussian_row, scaled_exp};
use super::{Matrix, SparseRows, column_means};

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

/// Rows made ready for kernel tiles, with squared norms.
#[derive(Debug, Clone)]
pub struct KernelRows {
    x: Form,
    /// `(n,)`
    squared_norms: Array1<f64>,
}

#[derive(Debug, Clone)]
enum Form {
    /// `(n, d)`, in standard layout.
    Dense(Array2<f64>),
    /// With the columns of each tile, so that products of rows meet common columns only.
    Sparse(SparseRows, Vec<TileColumns>),
}

/// The entries of one tile by column: those of column j are `entries[starts[j]..starts[j + 1]]`, as the row's place
/// in the tile and the value.
#[derive(Debug, Clone)]
struct TileColumns {
    starts: Vec<u32>,
    entries: Vec<(u32, f64)>,
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
        Self { x: Form::Dense(x), squared_norms }
    }

    /// Rows that stay sparse, where they are; they are not moved, for that would fill them.
    pub fn unmoved(x: Matrix) -> Self {
        let squared_norms = x.squared_norms();
        match x {
            Matrix::Dense(x) => Self::new(x),
            Matrix::Sparse(x) => {
                let columns = tiles(x.n_rows(), TILE).into_iter().map(|rows| TileColumns::of(&x, rows)).collect();
                Self { x: Form::Sparse(x, columns), squared_norms }
            }
        }
    }

    /// The rows of `a` and, below them, those of `b`.
    pub fn stacked(a: &KernelRows, b: &KernelRows) -> Self {
        Self::new(ndarray::concatenate![Axis(0), a.block(0..a.len()), b.block(0..b.len())])
    }

    /// Some rows as they are, dense.
    fn block(&self, rows: Range<usize>) -> CowArray<'_, f64, Ix2> {
        match &self.x {
            Form::Dense(x) => x.slice(s![rows, ..]).into(),
            Form::Sparse(x, _) => {
                let mut out = Array2::zeros((rows.len(), x.n_columns()));
                for (i, mut out) in rows.zip(out.axis_iter_mut(Axis(0))) {
                    x.row(i).for_each(|(j, v)| out[j] = v);
                }
                out.into()
            }
        }
    }

    pub fn len(&self) -> usize {
        self.squared_norms.len()
    }

    pub fn is_empty(&self) -> bool {
        self.squared_norms.is_empty()
    }

    /// The ranges of rows that tiles cover.
    pub fn tiles(&self) -> Vec<Range<usize>> {
        tiles(self.len(), TILE)
    }
}

impl TileColumns {
    fn of(x: &SparseRows, rows: Range<usize>) -> Self {
        let mut starts = vec![0_u32; x.n_columns() + 1];
        rows.clone().for_each(|i| x.row(i).for_each(|(j, _)| starts[j + 1] += 1));
        (1..starts.len()).for_each(|j| starts[j] += starts[j - 1]);
        let mut next = starts.clone();
        let mut entries = vec![(0, 0.0); starts.last().map_or(0, |n| *n as usize)];
        for (place, i) in rows.enumerate() {
            for (j, v) in x.row(i) {
                entries[next[j] as usize] = (place as u32, v);
                next[j] += 1;
            }
        }
        Self { starts, entries }
    }

    fn column(&self, j: usize) -> &[(u32, f64)] {
        &self.entries[self.starts[j] as usize..self.starts[j + 1] as usize]
    }
}

/// `out ← scale · a_rows · b_columnsᵀ`; `columns` is one of the ranges of [`KernelRows::tiles`].
fn inner_products(
    (a, rows): (&KernelRows, Range<usize>),
    (b, columns): (&KernelRows, Range<usize>),
    scale: f64,
    mut out: ArrayViewMut2<f64>,
) {
    let (Form::Sparse(x, _), Form::Sparse(_, by_column)) = (&a.x, &b.x) else {
        let (x, y) = (a.block(rows), b.block(columns));
        return product_into(out, Accum::Replace, x.view(), y.view().reversed_axes(), scale);
    };
    let tile = &by_column[columns.start / TILE];
    for (i, mut out) in rows.zip(out.axis_iter_mut(Axis(0))) {
        out.fill(0.0);
        for (j, v) in x.row(i) {
            tile.column(j).iter().for_each(|&(place, w)| out[place as usize] += v * w);
        }
        out *= scale;
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

    /// Writes `k(a_i, b_j)` for `i` in `rows` and `j` in `columns`, one of the ranges of [`KernelRows::tiles`], to
    /// `out (rows, columns)`, which is in standard layout. Runs on the calling thread alone.
    pub fn fill(
        self,
        (a, rows): (&KernelRows, Range<usize>),
        (b, columns): (&KernelRows, Range<usize>),
        mut out: ArrayViewMut2<f64>,
    ) {
        let inner =
            |scale: f64, out: ArrayViewMut2<f64>| inner_products((a, rows.clone()), (b, columns.clone()), scale, out);
        match self {
            Kernel::Linear => inner(1.0, out),
            Kernel::Rbf { bandwidth } => {
                let scale = bandwidth.powi(-2);
                inner(scale, out.view_mut());
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
                manhattan_into(a.block(rows).view(), b.block(columns).view(), out.view_mut());
                for mut row in out.axis_iter_mut(Axis(0)) {
                    match row.as_slice_mut() {
                        Some(row) => scaled_exp(row, -1.0 / bandwidth),
                        None => row.mapv_inplace(|v| (-v / bandwidth).exp()),
                    }
                }
            }
            Kernel::Polynomial { bandwidth, degree, offset } => {
                inner(bandwidth.powi(-2), out.view_mut());
                out.mapv_inplace(|v| (v + offset).powi(degree as i32));
            }
            Kernel::Cosine => {
                inner(1.0, out.view_mut());
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
        // A tile of memory is used again: fresh memory costs as much as what is computed in it.
        let memory = || Array2::zeros((TILE.min(a.len()), TILE.min(b.len())));
        strips(&mut out).into_par_iter().zip(a.tiles()).for_each_init(memory, |memory, (mut strip, rows)| {
            for columns in b.tiles() {
                let mut tile = memory.slice_mut(s![..rows.len(), ..columns.len()]);
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
    fn sparse_rows_give_what_dense_ones_give() {
        let holes = |x: Array2<f64>| x.mapv(|v| if v > 0.4 { v } else { 0.0 });
        let (x, y) = (holes(noise(TILE + 3, 9, 1)), holes(noise(2 * TILE + 1, 9, 2)));
        let sparse = |x: &Array2<f64>| {
            let mut rows = SparseRows::new(x.ncols());
            x.outer_iter().for_each(|row| rows.push_row(row.iter().copied().enumerate()));
            KernelRows::unmoved(Matrix::Sparse(rows))
        };
        let (a, b) = (sparse(&x), sparse(&y));
        for kernel in KERNELS {
            let want = kernel.matrix(&KernelRows::new(x.clone()), &KernelRows::new(y.clone()));
            let worst = (kernel.matrix(&a, &b) - want).mapv(f64::abs).fold(0.0, |m: f64, v| m.max(*v));
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
