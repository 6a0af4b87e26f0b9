//! Random frequencies of the Gaussian kernel (Rahimi and Recht, "Random features for large-scale kernel
//! machines", NIPS 2007, algorithm 1): with ω drawn from `N(0, I / σ²)`, the mean of `cos(ω·(x − y))` over
//! frequencies tends to `exp(−‖x−y‖² / 2σ²)`.

use ndarray::Array2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// `n` frequencies as columns, `(d, n)`, for the bandwidth σ > 0.
pub fn gaussian_frequencies(bandwidth: f64, (d, n): (usize, usize), rng: &mut ChaCha8Rng) -> Array2<f64> {
    // Box and Muller (1958): 1 − u lies in (0, 1], so that its logarithm is finite.
    Array2::from_shape_simple_fn((d, n), || {
        let (u, v): (f64, f64) = (rng.random(), rng.random());
        (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos() / bandwidth
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn the_mean_cosine_tends_to_the_kernel() {
        let frequencies = gaussian_frequencies(1.7, (3, 40_000), &mut ChaCha8Rng::seed_from_u64(1));
        let difference = array![0.9, -1.3, 0.4];
        let got = difference.dot(&frequencies).mapv(f64::cos).sum() / 40_000.0;
        let want = (-difference.dot(&difference) / (2.0 * 1.7 * 1.7)).exp();
        assert!((got - want).abs() < 0.01, "{got} and {want}");
    }
}
