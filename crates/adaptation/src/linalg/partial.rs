//! The largest eigenpairs of a large symmetric matrix without the rest of its spectrum: block Krylov spaces with
//! Rayleigh-Ritz projection and thick restarts (Saad, *Numerical Methods for Large Eigenvalue Problems*, chapter 6; Wu and
//! Simon, "Thick-restart Lanczos method for large symmetric eigenvalue problems", SIAM J. Matrix Anal. Appl. 22, 2000). A
//! restart keeps the best vectors and goes on from where the space ended, so that small blocks reach a high degree with
//! few products. The work is bounded, an answer is believed only for its residuals, and fresh vectors look for
//! eigenvalues that the space has missed, as it misses what is repeated more often than a block is wide.

use ndarray::{Array1, Array2, ArrayView2, Axis, ShapeBuilder, s};

use super::decompose::symmetric_eigen;
use super::dense::{gram, matmul, matmul_tn};

/// Residuals relative to the largest magnitude at which the answer is believed.
const ACCEPT: f64 = 1e-10;
/// Vectors kept beyond those asked for: the gap to them sets how fast the others converge.
const SPARE: usize = 8;
/// Vectors that enter the space together.
const BLOCK: usize = 8;
/// Blocks by which the space grows, beyond twice the vectors that are kept.
const DEPTH: usize = 8;
const MAX_RESTARTS: usize = 25;
/// Blocks of the space in which missed eigenvalues are looked for.
const PROBE_DEPTH: usize = 6;
/// How far above the last wanted eigenvalue, relative to the largest, a missed one must lie.
const MISSED: f64 = 1e-9;
/// Directions shorter than this, relative to the longest of their block, are rounding noise.
const VANISHED: f64 = 1e-12;

/// The `k` largest eigenvalues, descending, and their vectors as columns `(n, k)`; `None` where they
/// did not converge within the bound.
pub(super) fn partial_eigen(a: ArrayView2<f64>, k: usize) -> Option<(Array1<f64>, Array2<f64>)> {
    let n = a.nrows();
    // The lower triangle alone counts, as for the whole spectrum, but products read everything.
    let a = Array2::from_shape_fn((n, n), |(i, j)| if i >= j { a[[i, j]] } else { a[[j, i]] });
    let kept = (k + SPARE).min(n);
    let mut space = Space::of(&a, (2 * kept + DEPTH * BLOCK).min(n));
    let mut next = start(n, 0);
    for restart in 0..MAX_RESTARTS {
        space.fill(next);
        // A space that is closed under a grows by fresh vectors only.
        while space.has_room() && space.fill(start(n, MAX_RESTARTS * space.size + restart + 1)) {}
        next = space.outside(space.last_image());
        let (values, worst, scale) = space.shrink(kept, k)?;
        if !worst.is_finite() || values.len() < k {
            return None;
        }
        if worst <= ACCEPT * scale {
            let least = values[k - 1] + MISSED * scale;
            let missed = space.largest_outside()? > least;
            return (!missed).then(|| (values.slice(s![..k]).to_owned(), space.basis(k).to_owned()));
        }
    }
    None
}

/// An orthonormal basis of a growing space, and what the matrix makes of it.
struct Space<'a> {
    a: &'a Array2<f64>,
    /// `(n, most)`, of which the first `size` columns count; columns lie together in memory.
    vectors: Array2<f64>,
    images: Array2<f64>,
    size: usize,
    /// Columns of the block that came last.
    last: usize,
}

impl<'a> Space<'a> {
    fn of(a: &'a Array2<f64>, most: usize) -> Self {
        let empty = || Array2::zeros((a.nrows(), most).f());
        Self { a, vectors: empty(), images: empty(), size: 0, last: 0 }
    }

    fn basis(&self, size: usize) -> ArrayView2<'_, f64> {
        self.vectors.slice(s![.., ..size])
    }

    fn last_image(&self) -> Array2<f64> {
        self.images.slice(s![.., self.size - self.last..self.size]).to_owned()
    }

    fn has_room(&self) -> bool {
        self.size + BLOCK <= self.vectors.ncols()
    }

    /// Grows from `block` on until there is no more room or nothing new; answers whether it has grown.
    fn fill(&mut self, mut block: Array2<f64>) -> bool {
        let before = self.size;
        while let Some(image) = self.grow(block) {
            block = image;
        }
        self.size > before
    }

    /// Takes in what of `block` is new; answers with its image, `None` where there is no room or nothing new.
    fn grow(&mut self, block: Array2<f64>) -> Option<Array2<f64>> {
        let new = self.outside_orthonormal(block)?;
        let width = new.ncols();
        if self.size + width > self.vectors.ncols() {
            return None;
        }
        let image = matmul(self.a.view(), new.view());
        let at = s![.., self.size..self.size + width];
        self.vectors.slice_mut(at).assign(&new);
        self.images.slice_mut(at).assign(&image);
        self.size += width;
        self.last = width;
        Some(image)
    }

    /// What of `x` is orthogonal to the basis.
    fn outside(&self, x: Array2<f64>) -> Array2<f64> {
        let basis = self.basis(self.size);
        let inside = matmul(basis, matmul_tn(basis, x.view()).view());
        x - inside
    }

    /// Orthonormal columns that span what of `x` is outside the basis; `None` where that is rounding.
    fn outside_orthonormal(&self, x: Array2<f64>) -> Option<Array2<f64>> {
        let length = longest(&x);
        let rest = self.outside(x);
        if longest(&rest) <= VANISHED * length {
            return None;
        }
        // Twice is enough (Kahan and Parlett): once leaves what cancellation brought back.
        orthonormal(self.outside(orthonormal(rest)?))
    }

    /// Replaces the basis by its `kept` best vectors: their values, descending, the largest residual of the first
    /// `k` and the largest magnitude seen.
    fn shrink(&mut self, kept: usize, k: usize) -> Option<(Array1<f64>, f64, f64)> {
        let images = self.images.slice(s![.., ..self.size]);
        let (ritz, y) = symmetric_eigen(matmul_tn(self.basis(self.size), images).view()).ok()?;
        let kept = kept.min(ritz.len());
        let scale = ritz.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let y = y.slice(s![.., ritz.len() - kept..;-1]).to_owned();
        let values = ritz.slice(s![ritz.len() - kept..;-1]).to_owned();
        let vectors = matmul(self.basis(self.size), y.view());
        let images = matmul(images, y.view());
        let residual = &images - &(&vectors * &values);
        let worst = residual.slice(s![.., ..k.min(kept)]).iter().fold(0.0_f64, |m, r| m.max(r.abs()));
        self.vectors.slice_mut(s![.., ..kept]).assign(&vectors);
        self.images.slice_mut(s![.., ..kept]).assign(&images);
        self.size = kept;
        self.last = kept;
        Some((values, worst, scale))
    }

    /// About the largest eigenvalue among vectors outside the basis, from fresh ones; never above it.
    fn largest_outside(&self) -> Option<f64> {
        let n = self.a.nrows();
        let mut probe = Space::of(self.a, (PROBE_DEPTH * BLOCK).min(n - self.size));
        let mut block = self.outside(start(n, usize::MAX));
        while let Some(image) = probe.grow(block) {
            block = self.outside(image);
        }
        if probe.size == 0 {
            return Some(f64::NEG_INFINITY);
        }
        let images = probe.images.slice(s![.., ..probe.size]);
        let (ritz, _) = symmetric_eigen(matmul_tn(probe.basis(probe.size), images).view()).ok()?;
        ritz.last().copied()
    }
}

/// Orthonormal columns that span those of `x`; directions that vanished are left out.
fn orthonormal(x: Array2<f64>) -> Option<Array2<f64>> {
    let (squares, vectors) = symmetric_eigen(gram(x.view()).view()).ok()?;
    let largest = squares.last().copied().unwrap_or(0.0);
    let kept: Vec<usize> = (0..squares.len()).filter(|&i| squares[i] > VANISHED * largest).collect();
    let directions = vectors.select(Axis(1), &kept) / kept.iter().map(|&i| squares[i].sqrt()).collect::<Array1<f64>>();
    Some(matmul(x.view(), directions.view()))
}

fn longest(x: &Array2<f64>) -> f64 {
    x.axis_iter(Axis(1)).map(|c| c.dot(&c).sqrt()).fold(0.0, f64::max)
}

/// Fixed entries without symmetry, other ones for each seed: constant ones would be orthogonal to all that is centred.
fn start(n: usize, seed: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, BLOCK.min(n)), |(i, j)| start_entry(i, j, seed))
}

fn start_entry(i: usize, j: usize, seed: usize) -> f64 {
    // SplitMix64 of the place (Steele, Lea and Flood 2014).
    let place = ((i as u64) << 32) ^ ((j as u64) << 16) ^ (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut z = place.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}
