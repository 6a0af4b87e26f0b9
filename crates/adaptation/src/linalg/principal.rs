//! Principal axes of rows: the eigenvectors of their covariance, from whichever side is smaller.

use ndarray::{Array1, Array2, ArrayView2, s};

use super::{DecomposeError, column_means, gram, matmul_tn, thin_svd, top_symmetric_eigen};

/// Axes whose variance is below this share of the largest are rounding, and are left out.
const RELATIVE_FLOOR: f64 = 1e-12;
/// Axes whose variance is above this share of the largest keep twelve digits when they are made from products of rows.
const PRECISE_SHARE: f64 = 1e-4;

/// The directions in which rows vary, the widest first.
#[derive(Debug, Clone)]
pub struct PrincipalAxes {
    /// `(d,)`
    pub mean: Array1<f64>,
    /// `(r,)`, descending and above zero; r ≤ min(n − 1, d), or as many as were asked for
    pub variances: Array1<f64>,
    /// Of the rows in all directions.
    pub total_variance: f64,
    /// `(d, r)`, orthonormal columns
    pub axes: Array2<f64>,
}

impl PrincipalAxes {
    /// The axes of rows `x (n, d)`: eigenvectors of `Xᵀ X / (n − 1)` for centred X where d ≤ n, otherwise right
    /// singular vectors of X, by way of `X Xᵀ` where that loses no digits. O(n d min(n, d)).
    ///
    /// # Errors
    /// Where the decomposition does not converge.
    pub fn of(x: ArrayView2<f64>) -> Result<Self, DecomposeError> {
        Self::widest(x, usize::MAX)
    }

    /// The `most` widest axes; where they are few, far cheaper than all.
    ///
    /// # Errors
    /// As [`PrincipalAxes::of`].
    pub fn widest(x: ArrayView2<f64>, most: usize) -> Result<Self, DecomposeError> {
        let mean = column_means(x);
        let centred = &x - &mean;
        let degrees = (x.nrows() as f64 - 1.0).max(1.0);
        let total_variance = centred.iter().map(|v| v * v).sum::<f64>() / degrees;
        let (variances, axes) = if x.ncols() <= x.nrows() {
            let covariance = gram(centred.view()) / degrees;
            top_symmetric_eigen(covariance.view(), most)?
        } else if let Some((squares, axes)) = among_rows(centred.view(), most) {
            (squares / degrees, axes)
        } else {
            let (_, values, vt) = thin_svd(centred.view())?;
            (values.mapv(|v| v * v / degrees), vt.reversed_axes())
        };
        // What centring leaves of equal rows is rounding of the mean, not variance.
        let noise = 1e-24 * mean.dot(&mean);
        let floor = (RELATIVE_FLOOR * variances.first().copied().unwrap_or(0.0)).max(noise);
        let rank = variances.iter().take_while(|v| **v > floor).count().min(most);
        let axes = axes.slice(s![.., ..rank]).as_standard_layout().into_owned();
        Ok(Self { mean, variances: variances.slice(s![..rank]).to_owned(), total_variance, axes })
    }

    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.variances.len()
    }

    /// The first k axes, `(d, k)`, k ≤ rank.
    pub fn first(&self, k: usize) -> ArrayView2<'_, f64> {
        self.axes.slice(s![.., ..k])
    }

    /// The least number of axes that hold `share` of the variance.
    pub fn holding(&self, share: f64) -> usize {
        let wanted = share * self.total_variance;
        let mut sum = 0.0;
        let before = self.variances.iter().take_while(|v| {
            sum += **v;
            sum < wanted
        });
        (before.count() + 1).min(self.rank())
    }
}

/// The `most` squared singular values of centred rows `x (n, d)`, n < d, and their axes from products of rows; `None` where
/// more than the direction that centring took away is small.
fn among_rows(x: ArrayView2<f64>, most: usize) -> Option<(Array1<f64>, Array2<f64>)> {
    let (squares, u) = top_symmetric_eigen(gram(x.t()).view(), most.min(x.nrows().saturating_sub(1))).ok()?;
    let precise = squares.last().is_some_and(|least| *least > PRECISE_SHARE * squares[0]);
    let axes = precise.then(|| matmul_tn(x, u.view()) / squares.mapv(f64::sqrt))?;
    Some((squares, axes))
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, array};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn the_widest_are_the_first_of_all_and_know_the_whole_variance() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for shape in [(400, 300), (300, 400)] {
            let widths = Array1::from_shape_fn(shape.1, |j| 0.98_f64.powi(j as i32));
            let x = Array2::from_shape_simple_fn(shape, || rng.random_range(-1.0..1.0)) * widths;
            let (all, got) = (PrincipalAxes::of(x.view()).unwrap(), PrincipalAxes::widest(x.view(), 5).unwrap());
            assert_eq!(got.rank(), 5);
            assert!((&got.variances - &all.variances.slice(s![..5])).iter().all(|v| v.abs() < 1e-10));
            let cosines = got.axes.t().dot(&all.first(5));
            assert!((cosines.diag().mapv(f64::abs) - 1.0).iter().all(|v| v.abs() < 1e-9), "{cosines}");
            assert!((got.total_variance - all.variances.sum()).abs() < 1e-9);
        }
    }

    #[test]
    fn both_forms_find_orthonormal_axes_with_the_variances_along_them() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for shape in [(40, 6), (6, 40), (7, 7)] {
            let x = Array2::from_shape_simple_fn(shape, || rng.random_range(0.0..1.0));
            let got = PrincipalAxes::of(x.view()).unwrap();
            assert_eq!(got.rank(), shape.1.min(shape.0 - 1));
            let gram = got.axes.t().dot(&got.axes) - Array2::<f64>::eye(got.rank());
            assert!(gram.iter().all(|v| v.abs() < 1e-12));
            let along = (&x - &got.mean).dot(&got.axes).var_axis(Axis(0), 1.0);
            assert!((along - &got.variances).iter().all(|v| v.abs() < 1e-12));
            assert!(got.variances.windows(2).into_iter().all(|w| w[0] >= w[1]));
        }
    }

    #[test]
    fn equal_rows_have_no_axis() {
        let x = Array2::from_elem((5, 3), 1.0 / 3.0);
        assert_eq!(PrincipalAxes::of(x.view()).unwrap().rank(), 0);
    }

    #[test]
    fn shares_of_the_variance_count_axes() {
        let (variances, total_variance) = (array![6.0, 3.0, 1.0], 10.0);
        let got = PrincipalAxes { mean: array![], variances, total_variance, axes: Array2::zeros((0, 3)) };
        assert_eq!([0.1, 0.6, 0.61, 0.9, 0.95, 1.0].map(|share| got.holding(share)), [1, 1, 2, 2, 3, 3]);
    }
}
