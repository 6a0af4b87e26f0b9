//! Explicit features of a kernel from a few landmark rows (Williams and Seeger, "Using the Nyström
//! method to speed up kernel machines", NIPS 2000): `φ(x) = Λ^{-1/2} Uᵀ k(landmarks, x)` with
//! `k(landmarks, landmarks) = U Λ Uᵀ`, so that `φ(x)·φ(y) ≈ k(x, y)`, exactly where x or y is among the
//! landmarks. Linear in the number of rows.

use ndarray::{Array2, Axis};
use thiserror::Error;

use super::kernels::{Kernel, KernelError, KernelRows, landmark_product};
use super::{DecompositionError, Matrix, column_means, symmetric_eigen};

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
    Decomposition(#[from] DecompositionError),
}

impl Nystrom {
    /// Features from `landmarks (m, d)`. O(m² d + m³) time, O(m²) memory.
    ///
    /// # Errors
    /// A kernel that has vanished or is saturated on the landmarks.
    pub fn new(kernel: Kernel, landmarks: Array2<f64>) -> Result<Self, NystromError> {
        let shift = column_means(landmarks.view());
        let rows = match kernel {
            Kernel::Linear => KernelRows::new(landmarks.clone()),
            Kernel::Rbf { .. } | Kernel::Laplacian { .. } => KernelRows::shifted(landmarks.view(), &shift),
        };
        let k = kernel.matrix(&rows, &rows);
        kernel.check_informative(k.view())?;
        let eigen = symmetric_eigen(k.view())?;
        let floor = RELATIVE_FLOOR * eigen.values.iter().copied().fold(0.0, f64::max);
        let kept: Vec<usize> = (0..eigen.values.len()).filter(|&i| eigen.values[i] > floor).collect();
        let mut projection = eigen.vectors.select(Axis(1), &kept);
        for (mut column, &i) in projection.axis_iter_mut(Axis(1)).zip(&kept) {
            column /= eigen.values[i].sqrt();
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

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn features_of_landmarks_give_the_kernel_back() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let x = Array2::from_shape_simple_fn((60, 3), || rng.random_range(-1.0..1.0));
        for kernel in [Kernel::Rbf { bandwidth: 1.2 }, Kernel::Laplacian { bandwidth: 1.2 }, Kernel::Linear] {
            let features = Nystrom::new(kernel, x.clone()).unwrap().features(&Matrix::Dense(x.clone()));
            let rows = KernelRows::new(x.clone());
            let error = features.dot(&features.t()) - kernel.matrix(&rows, &rows);
            let worst = error.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            assert!(worst < 1e-8, "{kernel:?}: {worst:e}");
        }
    }
}
