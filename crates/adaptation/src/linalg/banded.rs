//! Least squares over weights that are bounded one by one and in their sum:
//!
//! ```text
//! min_w  ½ ‖Φᵀ w − goal‖²    with   0 ≤ w_i ≤ most,   least_sum ≤ Σ w ≤ most_sum
//! ```
//!
//! by accelerated projected gradients (Beck and Teboulle 2009) that restart where the momentum points
//! uphill (O'Donoghue and Candès 2015), with an exact projection. The linear bound of Frank and Wolfe says
//! how much is left to gain at most.

use ndarray::{Array1, Array2, ArrayView1, Axis};

use super::{DecomposeError, gram, matmul, top_symmetric_eigen};

/// How often the bound on what is left to gain is computed: it sorts, a step does not.
const STEPS_PER_BOUND: usize = 10;

/// `0 ≤ w ≤ most`, `least_sum ≤ Σ w ≤ most_sum ≤ n · most`: never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    pub most: f64,
    pub least_sum: f64,
    pub most_sum: f64,
}

impl Band {
    /// The nearest feasible point: `clip(v − τ, 0, B)` with the τ that brings the sum into its band.
    pub fn project(&self, v: &Array1<f64>) -> Array1<f64> {
        let clipped = |tau: f64| v.mapv(|v| (v - tau).clamp(0.0, self.most));
        let sum = clipped(0.0).sum();
        let wanted = sum.clamp(self.least_sum, self.most_sum);
        if wanted == sum {
            return clipped(0.0);
        }
        // The sum falls as τ rises; at these ends it is n·B and 0.
        let (mut low, mut high) =
            (v.fold(f64::INFINITY, |m, v| m.min(*v)) - self.most, v.fold(0.0, |m: f64, v| m.max(*v)));
        loop {
            let middle = 0.5 * (low + high);
            // Adjacent numbers have no middle: nothing better can be written down.
            if middle <= low || middle >= high {
                return clipped(middle);
            }
            let sum: f64 = v.iter().map(|v| (v - middle).clamp(0.0, self.most)).sum();
            if sum > wanted {
                low = middle;
            } else {
                high = middle;
            }
        }
    }

    /// The least `gradient · u` over feasible u: the smallest entries get B until the sum is reached.
    fn least_product(&self, gradient: ArrayView1<f64>) -> f64 {
        let mut ascending = gradient.to_vec();
        ascending.sort_unstable_by(f64::total_cmp);
        let (mut product, mut sum) = (0.0, 0.0);
        for g in ascending.into_iter() {
            let until = if g < 0.0 { self.most_sum } else { self.least_sum };
            let weight = (until - sum).clamp(0.0, self.most);
            product += weight * g;
            sum += weight;
        }
        product
    }
}

/// A problem with the length of its steps.
#[derive(Debug, Clone)]
pub struct BandedLeastSquares {
    /// Φ `(n, r)`
    features: Array2<f64>,
    /// `(r,)`
    goal: Array1<f64>,
    band: Band,
    step: f64,
}

/// Where the search ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// `(n,)`
    pub weights: Array1<f64>,
    pub iterations: usize,
    /// What is left to gain at most, as a share of ½‖goal‖².
    pub relative_gap: f64,
}

impl BandedLeastSquares {
    /// A problem of features `(n, r)` and goal `(r,)`.
    ///
    /// # Errors
    /// Where the largest singular value of the features cannot be found.
    pub fn new(features: Array2<f64>, goal: Array1<f64>, band: Band) -> Result<Self, DecomposeError> {
        let squares = gram(features.view());
        let (top, _) = top_symmetric_eigen(squares.view(), 1)?;
        // A hair above the largest eigenvalue, lest rounding make the step too long.
        let largest = top.first().map_or(0.0, |v| v * (1.0 + 1e-6));
        let step = if largest > 0.0 { largest.recip() } else { 0.0 };
        Ok(Self { features, goal, band, step })
    }

    /// `Φ (Φᵀ w − goal)`
    fn gradient(&self, w: &Array1<f64>) -> Array1<f64> {
        let reached = matmul(w.view().insert_axis(Axis(0)), self.features.view());
        self.features.dot(&(&reached.row(0) - &self.goal))
    }

    /// Weights from which no more than `tolerance · ½‖goal‖²` is left to gain, or those after
    /// `max_iterations` steps. `observe` is told the number of the step now and then.
    ///
    /// # Errors
    /// The first error of `observe`.
    pub fn solve<E>(
        &self,
        tolerance: f64,
        max_iterations: usize,
        mut observe: impl FnMut(usize) -> Result<(), E>,
    ) -> Result<Solution, E> {
        let scale = 0.5 * self.goal.dot(&self.goal);
        let mut w = self.band.project(&Array1::ones(self.features.nrows()));
        if scale == 0.0 || self.step == 0.0 {
            return Ok(Solution { weights: w, iterations: 0, relative_gap: 0.0 });
        }
        let (mut ahead, mut momentum) = (w.clone(), 1.0_f64);
        let mut relative_gap = f64::INFINITY;
        for iteration in 0..max_iterations {
            if iteration % STEPS_PER_BOUND == 0 {
                observe(iteration)?;
                let gradient = self.gradient(&w);
                relative_gap = (gradient.dot(&w) - self.band.least_product(gradient.view())) / scale;
                if relative_gap <= tolerance {
                    return Ok(Solution { weights: w, iterations: iteration, relative_gap });
                }
            }
            let mut trial = ahead.clone();
            trial.scaled_add(-self.step, &self.gradient(&ahead));
            let next = self.band.project(&trial);
            let moved = &next - &w;
            if (&ahead - &next).dot(&moved) > 0.0 {
                // The momentum points uphill: start over from here without it.
                momentum = 1.0;
                ahead = next.clone();
            } else {
                let faster = 0.5 * (1.0 + (1.0 + 4.0 * momentum * momentum).sqrt());
                ahead = &next + &(&moved * ((momentum - 1.0) / faster));
                momentum = faster;
            }
            w = next;
        }
        Ok(Solution { weights: w, iterations: max_iterations, relative_gap })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use ndarray::array;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_small_problem_is_solved_by_hand() {
        // Two rows on a line at 1 and 3, goal 4, sum fixed at 2: w₁ + 3 w₂ = 4 with w₁ + w₂ = 2.
        let band = Band { most: 10.0, least_sum: 2.0, most_sum: 2.0 };
        let problem = BandedLeastSquares::new(array![[1.0], [3.0]], array![4.0], band).unwrap();
        let got = problem.solve(1e-12, 10_000, |_| Ok::<(), Infallible>(())).unwrap();
        assert!((&got.weights - &array![1.0, 1.0]).iter().all(|v| v.abs() < 1e-5), "{got:?}");
    }

    #[test]
    fn features_that_are_zero_leave_equal_weights() {
        let band = Band { most: 10.0, least_sum: 1.0, most_sum: 5.0 };
        for features in [Array2::zeros((3, 2)), Array2::zeros((3, 0))] {
            let goal = Array1::ones(features.ncols());
            let problem = BandedLeastSquares::new(features, goal, band.clone()).unwrap();
            let got = problem.solve(1e-6, 10, |_| Ok::<(), Infallible>(())).unwrap();
            assert_eq!(got.weights, array![1.0, 1.0, 1.0]);
        }
    }

    proptest! {
        #[test]
        fn the_projection_is_the_nearest_feasible_point(
            v in prop::collection::vec(-20.0..20.0_f64, 1..30), epsilon in 0.0..1.0_f64, most in 1.0..4.0_f64,
        ) {
            let v = Array1::from_vec(v);
            let n = v.len() as f64;
            let feasible = Band { most, least_sum: n * (1.0 - epsilon), most_sum: n * (1.0 + epsilon).min(most) };
            let p = feasible.project(&v);
            prop_assert!(p.iter().all(|w| (0.0..=most).contains(w)));
            prop_assert!(p.sum() >= feasible.least_sum - 1e-9 && p.sum() <= feasible.most_sum + 1e-9);
            // Nearest: no feasible u lies further along v − p than p itself.
            let outward = &v - &p;
            let furthest = -feasible.least_product((-&outward).view());
            prop_assert!(furthest - outward.dot(&p) < 1e-7, "{} {}", furthest, outward.dot(&p));
        }
    }
}
