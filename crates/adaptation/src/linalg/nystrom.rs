//! Explicit features of a kernel from a few landmark rows (Williams and Seeger, "Using the Nyström
//! method to speed up kernel machines", NIPS 2000): `φ(x) = Λ^{-1/2} Uᵀ k(landmarks, x)` with
//! `k(landmarks, landmarks) = U Λ Uᵀ`, so that `φ(x)·φ(y) ≈ k(x, y)`, exactly where x or y is among the
//! landmarks. Linear in the number of rows.

use ndarray::{Array2, Axis};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use super::kernels::{Kernel, KernelError, KernelRows, landmark_product};
use super::median::sample_rows;
use super::{DecomposeError, Matrix, symmetric_eigen};

/// Directions whose eigenvalue is below this share of the largest are rounding, and are left out.
const RELATIVE_FLOOR: f64 = 1e-10;

/// A kernel seen through landmark rows.
#[derive(Debug, Clone)]
pub struct Nystrom {
    kernel: Kernel,
    /// `(m, d)`
    landmarks: Array2<f64>,
    /// `U Λ^{-1/2}`, `(m, r)`, r ≤ m
    projection: Array2<f64>,
}

/// Why there are no features.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum NystromError {
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error(transparent)]
    Decompose(#[from] DecomposeError),
}

impl Nystrom {
    /// Features from `landmarks (m, d)`. O(m² d + m³) time, O(m²) memory.
    ///
    /// # Errors
    /// A kernel that has vanished or is saturated on the landmarks.
    pub fn new(kernel: Kernel, landmarks: Array2<f64>) -> Result<Self, NystromError> {
        let rows = KernelRows::shifted(landmarks.view(), &kernel.harmless_shift(landmarks.view()));
        let k = kernel.matrix(&rows, &rows);
        kernel.check_informative(k.view())?;
        let (values, vectors) = symmetric_eigen(k.view())?;
        let floor = RELATIVE_FLOOR * values.iter().copied().fold(0.0, f64::max);
        let kept: Vec<usize> = (0..values.len()).filter(|&i| values[i] > floor).collect();
        let mut projection = vectors.select(Axis(1), &kept);
        for (mut column, &i) in projection.axis_iter_mut(Axis(1)).zip(&kept) {
            column /= values[i].sqrt();
        }
        Ok(Self { kernel, landmarks, projection })
    }

    /// φ of rows `x (n, d)`, `(n, r)`.
    pub fn features(&self, x: &Matrix) -> Array2<f64> {
        landmark_product(self.kernel, x, self.landmarks.view(), self.projection.view())
    }

    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    pub fn landmarks(&self) -> &Array2<f64> {
        &self.landmarks
    }

    /// `U Λ^{-1/2}`, `(m, r)`
    pub fn projection(&self) -> &Array2<f64> {
        &self.projection
    }
}

/// At most `most` rows to build features from, half of them from `target` where both sides have enough,
/// so that neither domain is seen through the other alone. All rows, in order, where there are no more.
pub fn landmarks_of(sources: &[&Matrix], target: &Matrix, most: usize, rng: &mut ChaCha8Rng) -> Array2<f64> {
    let n_source: usize = sources.iter().map(|x| x.n_rows()).sum();
    let from_target = target.n_rows().min(most - n_source.min(most / 2));
    let source = sample_rows(sources, most - from_target, rng);
    let target = sample_rows(&[target], from_target, rng);
    ndarray::concatenate![Axis(0), source, target]
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn features_of_landmarks_give_the_kernel_back() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let x = Array2::from_shape_simple_fn((60, 3), || rng.random_range(-1.0..1.0));
        let kernels = [
            Kernel::Linear,
            Kernel::Rbf { bandwidth: 1.2 },
            Kernel::Laplacian { bandwidth: 1.2 },
            Kernel::Polynomial { bandwidth: 1.2, degree: 2, offset: 1.0 },
            Kernel::Cosine,
        ];
        for kernel in kernels {
            let features = Nystrom::new(kernel, x.clone()).unwrap().features(&Matrix::Dense(x.clone()));
            let rows = KernelRows::new(x.clone());
            let error = features.dot(&features.t()) - kernel.matrix(&rows, &rows);
            let worst = error.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            assert!(worst < 1e-8, "{kernel:?}: {worst:e}");
        }
    }

    #[test]
    fn landmarks_come_from_both_domains_and_are_all_rows_where_these_are_few() {
        let source = Matrix::Dense(Array2::from_shape_fn((100, 1), |(i, _)| i as f64));
        let target = |n| Matrix::Dense(Array2::from_shape_fn((n, 1), |(i, _)| -1.0 - i as f64));
        let count = |n_target, most| {
            let mut rng = ChaCha8Rng::seed_from_u64(0);
            let rows = landmarks_of(&[&source], &target(n_target), most, &mut rng);
            let from_target = rows.iter().filter(|v| **v < 0.0).count();
            (rows.nrows() - from_target, from_target)
        };
        assert_eq!(count(80, 1000), (100, 80));
        assert_eq!(count(80, 20), (10, 10));
        assert_eq!(count(4, 20), (16, 4));
        assert_eq!(count(500, 150), (75, 75));
        assert_eq!(count(500, 300), (100, 200));
    }
}
