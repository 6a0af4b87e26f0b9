//! Weights of the source rows with which their mean, seen through a kernel, is the target's (Huang,
//! Smola, Gretton, Borgwardt and Schölkopf, "Correcting sample selection bias by unlabeled data",
//! NIPS 2006, equation 12):
//!
//! ```text
//! min_w  ½ wᵀ K w − κᵀ w    with   0 ≤ w_i ≤ B,   |mean(w) − 1| ≤ ε,   κ_i = (n_s/n_t) Σ_j k(x_i, t_j)
//! ```
//!
//! With features φ of the kernel this is `½ ‖Φ_sᵀ w − n_s μ_t‖²`, μ_t the target's mean: no n × n matrix
//! is formed. Features are Nyström's, of `max_landmarks` rows, half of them from the target, and exact
//! where there are no more rows than that. The search ends when no more than `tolerance` is to be gained:
//! the target's mean is itself known to about 1/n_target only, and matching it closer spends rows on noise.
//!
//! Source rows of several sources are weighed together, so a source that is like the target counts for
//! more. **New rows** are predicted by the learner that was fitted with the weights.
//!
//! **Refused.** Few rows that carry all the weight are no sample: the effective number of rows,
//! (Σw)²/Σw², must be at least 5 % of the source rows and at least 30, or a quarter of the rows where
//! there are fewer than 120.
//!
//! **Cost.** O(n m (d + m) + m³) for the features and O(n_s m) a step; memory linear in n.
//! **When.** The relation of features to label is one, but rows are drawn unevenly. **When not.** The
//! domains hardly overlap, or the label behaves differently in the target.

use ndarray::{Array1, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Dataset, Problem, TaskKind};
use crate::linalg::nystrom::{Nystrom, NystromError, landmarks_of};
use crate::linalg::{Band, BandedLeastSquares, column_means};
use crate::methods::{Adaptation, Adapter, Card, DomainMaps, Family, Needs, Toy};
use crate::params::{Bandwidth, Checked, KernelName};

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The kernel whose means are matched.
    pub kernel: KernelName,
    /// σ of the kernel; "median" is the median distance of at most 1000 pooled rows. Not used by linear and cosine.
    pub bandwidth: Bandwidth,
    /// B: no row counts for more than this many.
    #[schemars(range(min = 1.0, max = 1e9))]
    pub max_weight: f64,
    /// ε: how far the mean weight may be from 1; left out, 1 − 1/√n_source.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub epsilon: Option<f64>,
    /// Steps of the solver at most.
    #[schemars(range(min = 10, max = 1_000_000))]
    pub max_iterations: usize,
    /// The solver stops when less than this share of the target's squared mean is left to gain.
    #[schemars(range(min = 1e-12, max = 0.1))]
    pub tolerance: f64,
    /// Rows from which kernel features are built; with no more rows than this they are exact.
    #[schemars(range(min = 10, max = 2500))]
    pub max_landmarks: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            kernel: KernelName::Rbf,
            bandwidth: Bandwidth::default(),
            max_weight: 1000.0,
            epsilon: None,
            max_iterations: 2000,
            tolerance: 1e-3,
            max_landmarks: 500,
        }
    }
}

pub struct KernelMeanMatching;

impl Adapter for KernelMeanMatching {
    const CARD: Card = Card {
        id: "kernel_mean_matching",
        title: "Kernel mean matching (KMM)",
        family: Family::Reweighting,
        summary: "Weighs source rows so that, seen through a kernel, their mean is the target's.",
        when_to_use: "Rows are drawn unevenly, and the same features mean the same label in both domains.",
        when_not: "The domains hardly overlap, or the label behaves differently in the target.",
        tasks: &[TaskKind::Classification, TaskKind::Regression],
        needs: Needs::Nothing,
        cost: "O(n m (d + m) + m³) with m landmarks, and O(n_source m) a step; memory linear in n",
        references: &[
            "Huang, Smola, Gretton, Borgwardt and Schölkopf, Correcting sample selection bias by unlabeled data, \
             NIPS 2006",
        ],
        defaults_from: "B = 1000 and ε of the order of 1 − 1/√n as in the paper and the leading libraries; \
                        median bandwidth; tolerance of the order of the noise in the target's mean",
        toy: Toy::Covariate,
        waived: &[],
    };
    type Params = Params;

    fn adapt(problem: &Problem, params: &Checked<Params>, ctx: &mut Ctx) -> Result<Adaptation, FitError> {
        ctx.phase("features")?;
        let sources = problem.pooled_sources();
        let target = &problem.target.x;
        let domains = [&sources, target];
        let kernel = params
            .kernel
            .resolve(params.bandwidth, &domains, &mut ctx.rng("kernel_mean_matching bandwidth"))
            .map_err(|e| FitError::Degenerate(e.to_string()))?;
        let mut rng = ctx.rng("kernel_mean_matching landmarks");
        let landmarks = landmarks_of(&[&sources], target, params.max_landmarks, &mut rng);
        let nystrom = Nystrom::new(kernel, landmarks).map_err(|e| match e {
            NystromError::Kernel(e) => FitError::Degenerate(e.to_string()),
            NystromError::Decompose(e) => FitError::Numerical(e.to_string()),
        })?;
        let n = sources.n_rows() as f64;
        let goal = column_means(nystrom.features(target).view()) * n;
        let matching = BandedLeastSquares::new(nystrom.features(&sources), goal, band(sources.n_rows(), params))
            .map_err(|e| FitError::Numerical(e.to_string()))?;
        ctx.phase("weights")?;
        let total = Some(params.max_iterations as u64);
        let solution = matching.solve(params.tolerance, params.max_iterations, |step| ctx.step(step as u64, total))?;

        let w = solution.weights;
        let effective = w.sum().powi(2) / w.dot(&w);
        let least = (0.05 * n).max((0.25 * n).min(30.0));
        if !effective.is_finite() || effective < least {
            return Err(FitError::Degenerate(format!(
                "the weights leave {effective:.1} effective source rows of {n}, fewer than {least:.0}: \
                 the domains hardly overlap"
            )));
        }
        let mut adaptation = Adaptation::of_maps(DomainMaps::identity(problem.sources.len()));
        adaptation.diagnostics.insert("effective_sample_size".into(), effective);
        adaptation.diagnostics.insert("iterations".into(), solution.iterations as f64);
        adaptation.diagnostics.insert("relative_gap".into(), solution.relative_gap);
        if let Some(bandwidth) = kernel.bandwidth() {
            adaptation.diagnostics.insert("bandwidth".into(), bandwidth);
        }
        adaptation.weights = Some(split(&w, &problem.sources));
        Ok(adaptation)
    }

    fn memory_bytes(problem: &Problem, params: &Checked<Params>) -> u64 {
        let n: usize = problem.sources.iter().chain([&problem.target]).map(Dataset::n_rows).sum();
        let (d, m) = (problem.n_features(), params.max_landmarks.min(n));
        8 * (2 * n * d + n * m + 4 * m * m) as u64
    }
}

/// What weights may be; all ones are among it.
fn band(n: usize, params: &Params) -> Band {
    let rows = n as f64;
    let epsilon = params.epsilon.unwrap_or(1.0 - rows.sqrt().recip());
    let most_sum = rows * (1.0 + epsilon).min(params.max_weight);
    Band { most: params.max_weight, least_sum: rows * (1.0 - epsilon), most_sum }
}

/// The weights of each source's rows.
fn split(w: &Array1<f64>, sources: &[Dataset]) -> Vec<Array1<f64>> {
    let mut start = 0;
    let part = |source: &Dataset| {
        let range = start..start + source.n_rows();
        start = range.end;
        w.slice(s![range]).to_owned()
    };
    sources.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use ndarray::Axis;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use serde_json::{Value, json};

    use super::*;
    use crate::context::Silent;
    use crate::data::toy;

    fn problem(shift: toy::Shift) -> Problem {
        let size = toy::Size { n_source: 200, n_target: 150, ..toy::Size::default() };
        toy::classification(shift, size, &mut ChaCha8Rng::seed_from_u64(0)).0
    }

    fn adapt(problem: &Problem, params: Value) -> Result<Adaptation, FitError> {
        KernelMeanMatching::adapt(problem, &Checked::new(&params).unwrap(), &mut Ctx::new(0, &Silent))
    }

    #[test]
    fn weighted_source_moments_approach_the_targets() {
        let problem = problem(toy::Shift::Covariate);
        let weights = adapt(&problem, json!(null)).unwrap().weights.unwrap();
        let w = &weights[0] / weights[0].sum();
        let (xs, xt) = (problem.sources[0].x.dense(), problem.target.x.dense());
        let goal = column_means(xt.view());
        let distance = |m: Array1<f64>| (&m - &goal).mapv(|v| v * v).sum();
        let (before, after) = (distance(column_means(xs.view())), distance(w.dot(&*xs)));
        assert!(after < 0.1 * before, "{before} to {after}");
        let sd = |m: Array1<f64>| (m[0] - (&*xt * &*xt).mean_axis(Axis(0)).unwrap()[0]).abs();
        let squares = &*xs * &*xs;
        assert!(sd(w.dot(&squares)) < 0.3 * sd(squares.mean_axis(Axis(0)).unwrap()));
    }

    #[test]
    fn weights_keep_their_bounds_and_belong_to_their_source() {
        let mut problem = problem(toy::Shift::Covariate);
        let halves = [(0..80).collect::<Vec<_>>(), (80..200).collect()];
        let whole = problem.sources[0].clone();
        let params = json!({"max_weight": 3.0, "epsilon": 0.1});
        let one = adapt(&problem, params.clone()).unwrap().weights.unwrap();
        problem.sources = halves.iter().map(|rows| whole.select_rows(rows)).collect();
        let two = adapt(&problem, params).unwrap().weights.unwrap();
        assert_eq!(two.iter().map(Array1::len).collect::<Vec<_>>(), [80, 120]);
        let joined = ndarray::concatenate![Axis(0), two[0], two[1]];
        assert!((&joined - &one[0]).iter().all(|v| v.abs() < 1e-9));
        assert!(joined.iter().all(|v| (0.0..=3.0).contains(v)));
        assert!((joined.mean().unwrap() - 1.0).abs() <= 0.1 + 1e-9);
    }

    #[test]
    fn a_target_equal_to_the_source_keeps_nearly_all_rows() {
        let mut problem = problem(toy::Shift::Concept);
        problem.target.x = problem.sources[0].x.clone();
        problem.target.labels = problem.sources[0].labels.hidden();
        let got = adapt(&problem, json!(null)).unwrap();
        assert!(got.diagnostics["effective_sample_size"] > 199.0, "{:?}", got.diagnostics);
    }

    #[test]
    fn domains_that_do_not_overlap_are_refused_with_the_figure() {
        let mut problem = problem(toy::Shift::Concept);
        let far = problem.target.x.dense().mapv(|v| v + 6.0);
        problem.target.x = far.into();
        let refused = adapt(&problem, json!(null));
        assert!(matches!(&refused, Err(FitError::Degenerate(why)) if why.contains("effective")), "{:?}", refused.err());
    }
}
