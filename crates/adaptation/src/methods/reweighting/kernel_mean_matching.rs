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
//! where there are no more rows than that. The minimum is found by accelerated projected gradients
//! (Beck and Teboulle 2009) with restarts (O'Donoghue and Candès 2015) and an exact projection; it stops
//! when the linear bound of Frank and Wolfe says that less than `tolerance` is to be gained: the target's
//! mean is itself known to about 1/n_target only, and matching it closer spends rows on noise.
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

use ndarray::{Array1, Array2, ArrayView1, Axis, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Dataset, Problem, TaskKind};
use crate::linalg::nystrom::{Nystrom, NystromError, landmarks_of};
use crate::linalg::{column_means, matmul, matmul_tn, top_symmetric_eigen};
use crate::methods::{Adaptation, Adapter, Card, DomainMaps, Family, Needs, Toy};
use crate::params::{Bandwidth, Checked, KernelName};

/// How often the bound on what is left to gain is computed: it sorts, a step does not.
const STEPS_PER_BOUND: usize = 10;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The kernel whose means are matched.
    pub kernel: KernelName,
    /// σ of the kernel; "median" is the median distance of at most 1000 pooled rows. Not used by linear.
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
    #[schemars(range(min = 10, max = 5000))]
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
        let matching = Matching {
            features: nystrom.features(&sources),
            goal: column_means(nystrom.features(target).view()) * n,
            feasible: Feasible::new(sources.n_rows(), params),
        };
        ctx.phase("weights")?;
        let solution = matching.solve(params, ctx)?;

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

/// `0 ≤ w ≤ most`, `least_sum ≤ Σ w ≤ most_sum`; never empty, since all ones are in it.
struct Feasible {
    n: usize,
    most: f64,
    least_sum: f64,
    most_sum: f64,
}

impl Feasible {
    fn new(n: usize, params: &Params) -> Self {
        let rows = n as f64;
        let epsilon = params.epsilon.unwrap_or(1.0 - rows.sqrt().recip());
        let most = params.max_weight;
        Self { n, most, least_sum: rows * (1.0 - epsilon), most_sum: (rows * (1.0 + epsilon)).min(rows * most) }
    }

    /// The nearest feasible point: `clip(v − τ, 0, B)` with the τ that brings the sum into its band.
    fn project(&self, v: &Array1<f64>) -> Array1<f64> {
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
        for g in ascending.into_iter().take(self.n) {
            let until = if g < 0.0 { self.most_sum } else { self.least_sum };
            let weight = (until - sum).clamp(0.0, self.most);
            product += weight * g;
            sum += weight;
        }
        product
    }
}

/// `min ½ ‖Φᵀ w − goal‖²` over the feasible weights.
struct Matching {
    /// Φ `(n_source, r)`
    features: Array2<f64>,
    /// `n_source μ_t`, `(r,)`
    goal: Array1<f64>,
    feasible: Feasible,
}

struct Solution {
    weights: Array1<f64>,
    iterations: usize,
    /// What is left to gain at most, as a share of ½‖goal‖².
    relative_gap: f64,
}

impl Matching {
    fn gradient(&self, w: &Array1<f64>) -> Array1<f64> {
        let reached = matmul(w.view().insert_axis(Axis(0)), self.features.view());
        self.features.dot(&(&reached.row(0) - &self.goal))
    }

    fn solve(&self, params: &Params, ctx: &mut Ctx) -> Result<Solution, FitError> {
        let gram = matmul_tn(self.features.view(), self.features.view());
        let (top, _) = top_symmetric_eigen(gram.view(), 1).map_err(|e| FitError::Numerical(e.to_string()))?;
        // A hair above the largest eigenvalue, lest rounding make the step too long.
        let step = (top[0] * (1.0 + 1e-6)).recip();
        if !step.is_finite() {
            return Err(FitError::Degenerate("all source rows are zero in the kernel's space".into()));
        }
        let scale = 0.5 * self.goal.dot(&self.goal);
        let mut w = Array1::<f64>::ones(self.feasible.n);
        let (mut ahead, mut momentum) = (w.clone(), 1.0_f64);
        let mut relative_gap = f64::INFINITY;
        for iteration in 0..params.max_iterations {
            if iteration % STEPS_PER_BOUND == 0 {
                ctx.step(iteration as u64, Some(params.max_iterations as u64))?;
                let gradient = self.gradient(&w);
                relative_gap = (gradient.dot(&w) - self.feasible.least_product(gradient.view())) / scale;
                if relative_gap <= params.tolerance {
                    return Ok(Solution { weights: w, iterations: iteration, relative_gap });
                }
            }
            let mut trial = ahead.clone();
            trial.scaled_add(-step, &self.gradient(&ahead));
            let next = self.feasible.project(&trial);
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
        Ok(Solution { weights: w, iterations: params.max_iterations, relative_gap })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
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

    proptest! {
        #[test]
        fn the_projection_is_the_nearest_feasible_point(
            v in prop::collection::vec(-20.0..20.0_f64, 1..30), epsilon in 0.0..1.0_f64, most in 1.0..4.0_f64,
        ) {
            let v = Array1::from_vec(v);
            let params = Params { epsilon: Some(epsilon), max_weight: most, ..Params::default() };
            let feasible = Feasible::new(v.len(), &params);
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
