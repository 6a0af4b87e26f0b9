//! CORAL: each source is whitened with its own covariance and coloured with the target's, so that
//! their second moments agree (Sun, Feng and Saenko, "Return of frustratingly easy domain adaptation",
//! AAAI 2016, algorithm 1):
//!
//! ```text
//! C_s = cov(X_s) + λI,  C_t = cov(X_t) + λI,  A = C_s^{-1/2} C_t^{1/2},  x ↦ (x − μ_s) A + μ_t
//! ```
//!
//! The paper aligns covariances only; with `center` the mean is moved too, which it leaves to
//! per-domain standardisation. The target stays as it is, so new rows need no map. Each source has its
//! own.
//!
//! **Cost.** O(n d min(n, d) + d² n): covariances by eigenvectors where d ≤ n, by singular vectors of
//! the rows where d > n; `(C + λI)^p = λ^p I + V ((s + λ)^p − λ^p) Vᵀ` needs the axes with variance
//! only. **When.** Features are correlated differently in the two domains. **When not.** The shares of
//! the classes differ, or there are so few rows that covariances are noise: raise λ.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Dataset, Problem, TaskKind};
use crate::features::recoloured;
use crate::methods::{Adaptation, Adapter, Card, Family, Needs, Toy};
use crate::params::Checked;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// λ, added to the diagonal of both covariances; in units of the features' variance.
    #[schemars(range(min = 1e-10, max = 1e10))]
    pub regularization: f64,
    /// Whether the source's mean is moved to the target's; the paper moves covariances only.
    pub center: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self { regularization: 1.0, center: true }
    }
}

pub struct Coral;

impl Adapter for Coral {
    const CARD: Card = Card {
        id: "coral",
        title: "Correlation alignment (CORAL)",
        family: Family::StatisticalAlignment,
        summary: "Whitens each source and colours it with the target's covariance; moves its mean as well.",
        when_to_use: "Features are scaled, moved or correlated differently in the two domains.",
        when_not: "The shares of the classes differ, or rows are too few for a covariance.",
        tasks: &[TaskKind::Classification, TaskKind::Regression],
        needs: Needs::Nothing,
        cost: "O(n d min(n, d) + d² min(n, d))",
        references: &["Sun, Feng and Saenko, Return of frustratingly easy domain adaptation, AAAI 2016"],
        defaults_from: "λ = 1 as in the paper; the mean is moved too, which the paper does not",
        toy: Toy::Affine,
        waived: &[],
    };
    type Params = Params;

    fn adapt(problem: &Problem, params: &Checked<Params>, ctx: &mut Ctx) -> Result<Adaptation, FitError> {
        Ok(Adaptation::of_maps(recoloured(problem, params.regularization, params.center, ctx)?))
    }

    fn memory_bytes(problem: &Problem, _: &Checked<Params>) -> u64 {
        let n = problem.sources.iter().chain([&problem.target]).map(Dataset::n_rows).max().unwrap_or(0);
        let d = problem.n_features();
        8 * (3 * n * d + (3 + problem.sources.len()) * d * d) as u64
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Axis};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use serde_json::json;

    use super::*;
    use crate::context::Silent;
    use crate::data::{Labels, Task};
    use crate::linalg::Matrix;
    use crate::methods::{DomainMaps, Map};

    fn noise(n: usize, d: usize, seed: u64) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mixing = Array2::from_shape_simple_fn((d, d), || rng.random_range(-1.0..1.0));
        Array2::from_shape_simple_fn((n, d), || rng.random_range(-1.0..1.0)).dot(&mixing) + seed as f64
    }

    fn dataset(x: Array2<f64>) -> Dataset {
        Dataset { labels: Labels::Values(vec![Some(0.0); x.nrows()]), x: Matrix::Dense(x), weights: None }
    }

    fn adapted(xs: &Array2<f64>, xt: &Array2<f64>, params: serde_json::Value) -> DomainMaps {
        let problem =
            Problem { task: Task::Regression, sources: vec![dataset(xs.clone())], target: dataset(xt.clone()) };
        Coral::adapt(&problem, &Checked::new(&params).unwrap(), &mut Ctx::new(0, &Silent)).unwrap().maps
    }

    fn covariance(x: &Array2<f64>) -> Array2<f64> {
        let centred = x - &x.mean_axis(Axis(0)).unwrap();
        centred.t().dot(&centred) / (x.nrows() as f64 - 1.0)
    }

    #[track_caller]
    fn near(a: &Array2<f64>, b: &Array2<f64>, tolerance: f64) {
        let worst = (a - b).iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        assert!(worst < tolerance, "differ by {worst:e}");
    }

    #[test]
    fn without_regularisation_mapped_sources_have_the_targets_mean_and_covariance() {
        let (xs, xt) = (noise(50, 4, 1), noise(40, 4, 2));
        let maps = adapted(&xs, &xt, json!({"regularization": 1e-10}));
        let mapped = maps.sources[0].apply(&xs.into()).dense().into_owned();
        near(&covariance(&mapped), &covariance(&xt), 1e-6);
        let mean = |x: &Array2<f64>| x.mean_axis(Axis(0)).unwrap().insert_axis(Axis(0));
        near(&mean(&mapped), &mean(&xt), 1e-9);
        assert_eq!(maps.target, Map::Identity);
    }

    #[test]
    fn regularised_covariances_agree_with_more_features_than_rows_as_with_fewer() {
        for (ns, nt, d) in [(50, 30, 6), (8, 5, 12), (30, 5, 12)] {
            let (xs, xt) = (noise(ns, d, 3), noise(nt, d, 4));
            let maps = adapted(&xs, &xt, json!({"regularization": 0.5, "center": false}));
            let Map::Affine { matrix, .. } = &maps.sources[0] else { panic!("CORAL is affine") };
            let identity = Array2::<f64>::eye(d) * 0.5;
            // Aᵀ (cov_s + λI) A = cov_t + λI
            near(&matrix.t().dot(&(covariance(&xs) + &identity)).dot(matrix), &(covariance(&xt) + &identity), 1e-9);
        }
    }

    #[test]
    fn a_source_equal_to_the_target_is_not_changed() {
        let x = noise(40, 5, 5);
        let maps = adapted(&x, &x, json!(null));
        near(maps.sources[0].apply(&x.clone().into()).dense().as_ref(), &x, 1e-10);
    }
}
