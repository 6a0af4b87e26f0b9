//! How far a covariance estimated from few rows is to be drawn towards a multiple of the identity
//! (Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", Journal of
//! Multivariate Analysis 88(2), 2004, section 3).

use ndarray::{ArrayView2, Axis};

use super::PrincipalAxes;

/// The ρ of `(1 − ρ) S + ρ (tr S / d) I` with the least expected squared error, estimated from the rows
/// `x (n, d)` whose covariance has these axes: `β² / δ²` with `δ² = ‖S − (tr S / d) I‖²` and β² the part of it
/// that is noise of the rows, no more than δ². Within [0, 1]; 0 where S is a multiple of the identity. O(n d).
pub fn ledoit_wolf(x: ArrayView2<f64>, axes: &PrincipalAxes) -> f64 {
    let (n, d) = (x.nrows() as f64, x.ncols() as f64);
    let total = axes.variances.sum();
    if axes.rank() == 0 || n < 2.0 {
        return 0.0;
    }
    // In units of the total variance, so that fourth powers neither overflow nor vanish; the paper divides by n.
    let unit = total.sqrt().recip();
    let biased = (n - 1.0) / n;
    let squares: f64 = axes.variances.iter().map(|v| (v / total * biased).powi(2)).sum();
    let fourths: f64 = x
        .axis_iter(Axis(0))
        .map(|row| row.iter().zip(&axes.mean).map(|(v, m)| ((v - m) * unit).powi(2)).sum::<f64>().powi(2))
        .sum();
    let delta = squares - biased * biased / d;
    let beta = (fourths / n - squares) / n;
    if delta > f64::EPSILON * squares { (beta / delta).clamp(0.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn of(x: &Array2<f64>) -> f64 {
        ledoit_wolf(x.view(), &PrincipalAxes::of(x.view()).unwrap())
    }

    #[test]
    fn few_rows_are_shrunk_more_than_many_and_units_do_not_matter() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let mut draw =
            |n: usize| Array2::from_shape_fn((n, 6), |(_, j)| rng.random_range(-1.0..1.0) * (1.0 + j as f64));
        let (few, many) = (draw(8), draw(800));
        assert!(of(&few) > 3.0 * of(&many) && of(&many) > 0.0);
        for unit in [1e-120, 1e120] {
            assert!((of(&(&few * unit)) - of(&few)).abs() < 1e-9);
        }
    }

    #[test]
    fn a_single_column_and_equal_rows_need_none() {
        assert_eq!(of(&array![[1.0], [2.0], [4.0]]), 0.0);
        assert_eq!(of(&Array2::from_elem((4, 3), 0.1)), 0.0);
    }
}
