//! Joint distribution adaptation with a weight between the means of the domains and those of each class (Wang, Chen,
//! Hao, Feng and Shen, "Balanced distribution adaptation for transfer learning", ICDM 2017; BDA and its weighted form W-BDA):
//!
//! ```text
//! max_W  tr(Wᵀ Φᵀ H Φ W)   with   Wᵀ (Φᵀ M Φ + λ I) W = λ I,   M ∝ (1 − μ) M₀ + μ Σ_c M_c,   ‖M‖_F = 1
//! ```
//!
//! μ = 0 is transfer component analysis, μ = ½ joint distribution adaptation. With `class_weights: "shares"` (W-BDA)
//! the mean of class c counts with the root of the class's share in its domain, P_s(c)^½ and P_t(c)^½, so that M_c has
//! the entries P_s(c)/n_c², P_t(c)/m_c² and −(P_s(c) P_t(c))^½/(n_c m_c): a class that became rarer is not pulled to
//! where it was. Target rows count by pseudo-labels, made by the learner that follows, round by round; the first
//! round knows none and is transfer component analysis.
//!
//! **What the paper leaves open.** It estimates μ from classifiers that tell the domains apart; here μ is given. M is
//! divided by its Frobenius norm, so that λ means the same for any number of rows and any μ. Weighted contrasts do
//! not sum to zero; they act on features less the mean of all rows, so that the origin has no part. Where no class is in
//! both domains, M is that of the marginals. Means are of rows, whatever their weights; the learner respects those.
//! Rows of several sources are pooled.
//!
//! **No n × n matrix**: M has rank C + 1 at most, and a round is one symmetric eigenproblem of size r over a scatter
//! that is computed once. **New rows** are `(φ(x) − mean) W`, scaled to unit length like the others (Nyström extension
//! for kernels, Williams and Seeger 2000), then the last round's learner predicts them.
//!
//! **Cost.** O(n r² + n d m) once, O(n r C + r² (C + k)) and one fit of the learner a round, r = min(n, d) for the
//! linear kernel or m landmarks; memory linear in n. **When.** One of the two differences matters more: domains far
//! apart call for a small μ, domains alike whose classes moved for a large one. **When not.** The first guess of labels
//! is poor, or nothing is known by which to choose μ.

use ndarray::{Array2, Axis, concatenate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Problem, TaskKind};
use crate::distances::conditional::{
    RowClasses, class_contrasts, frobenius_of_outer, marginal_contrast, share_weighted_contrasts,
};
use crate::features::{ComponentSpace, Lens};
use crate::learners::{BoundLearner, PseudoLabels};
use crate::linalg::matmul_tn;
use crate::methods::{Card, DomainMaps, Family, FittedMethod, Map, MetaEstimator, Needs, Toy};
use crate::params::{Bandwidth, Checked, KernelName};

/// How the mean of a class counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum ClassWeights {
    /// Every class as much (BDA).
    Equal,
    /// By the root of its share in its domain (W-BDA).
    Shares,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The kernel whose means are brought together.
    pub kernel: KernelName,
    /// σ of the kernel; "median" is the median distance of at most 1000 pooled rows. Not used by linear and cosine.
    pub bandwidth: Bandwidth,
    /// Number of components; left out, 30 or as many as there are.
    #[schemars(range(min = 1, max = 10_000))]
    pub n_components: Option<usize>,
    /// μ: 0 brings the means of the domains together, 1 only those of each class.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub balance: f64,
    /// How classes count: "equal" (BDA), or "shares" by their share in each domain (W-BDA).
    pub class_weights: ClassWeights,
    /// λ: the smaller, the closer the means are held together.
    #[schemars(range(min = 1e-10, max = 1e10))]
    pub regularization: f64,
    /// T, rounds of pseudo-labels at most; they end early where no pseudo-label changes.
    #[schemars(range(min = 1, max = 1000))]
    pub n_iterations: usize,
    /// Whether projected rows are scaled to unit length.
    pub normalize_rows: bool,
    /// Rows from which kernel features are built; with no more rows than this they are exact.
    #[schemars(range(min = 10, max = 2500))]
    pub max_landmarks: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            kernel: KernelName::Linear,
            bandwidth: Bandwidth::default(),
            n_components: None,
            balance: 0.5,
            class_weights: ClassWeights::Equal,
            regularization: 1.0,
            n_iterations: 10,
            normalize_rows: true,
            max_landmarks: 500,
        }
    }
}

pub struct BalancedDistributionAdaptation;

impl MetaEstimator for BalancedDistributionAdaptation {
    const CARD: Card = Card {
        id: "balanced_distribution_adaptation",
        title: "Balanced distribution adaptation (BDA, W-BDA)",
        family: Family::Mmd,
        summary: "Joint distribution adaptation with a weight between the domains' means and those of each class.",
        when_to_use: "The domains as a whole, or the classes in them, differ more; or the shares of classes changed.",
        when_not: "Source-only is hardly better than chance, or nothing is known by which to choose the balance.",
        tasks: &[TaskKind::Classification],
        needs: Needs::Nothing,
        cost: "O(n r²) once and O(r² (C + k)) and a fit of the learner a round; r = min(n, d) or the landmarks",
        references: &[
            "Wang, Chen, Hao, Feng and Shen, Balanced distribution adaptation for transfer learning, ICDM 2017",
            "Williams and Seeger, Using the Nyström method to speed up kernel machines, NIPS 2000",
        ],
        defaults_from: "λ = 1, 10 rounds; μ = ½, for neither difference is known to matter more; 30 components and unit \
                        rows as in the published SURF tables",
        toy: Toy::Subspace,
        waived: &[],
    };
    type Params = Params;

    fn fit(
        problem: &Problem,
        learner: &BoundLearner,
        params: &Checked<Params>,
        ctx: &mut Ctx,
    ) -> Result<FittedMethod, FitError> {
        let labels = PseudoLabels::new(problem, learner)?;
        let space = ComponentSpace::of(problem, lens(params), Self::CARD.id, ctx)?;
        let settled = labels.settle(None, params.n_iterations, ctx, |target, _| {
            let e = contrasts(problem, labels.source(), target, params);
            let a = matmul_tn(space.rows.view(), e.view()) / frobenius_of_outer(&e).sqrt();
            let w = space.components(a.view(), params.regularization, params.n_components)?.vectors;
            let map = space.map(w.view());
            let map = if params.normalize_rows { Map::Chain(vec![map, Map::UnitRows]) } else { map };
            Ok(DomainMaps::shared(problem.sources.len(), map))
        })?;
        Ok(settled.into())
    }

    fn memory_bytes(problem: &Problem, params: &Checked<Params>) -> u64 {
        lens(params).memory_bytes(problem, 2 * (problem.task.n_classes() + 1))
    }
}

fn lens(params: &Params) -> Lens {
    Lens { kernel: params.kernel, bandwidth: params.bandwidth, max_landmarks: params.max_landmarks }
}

/// E of the constraint, `(n, 1)` or `(n, C + 1)`; only the ratio of its columns matters.
fn contrasts(problem: &Problem, source: &[usize], target: Option<&[usize]>, params: &Params) -> Array2<f64> {
    let marginal = marginal_contrast(source.len(), problem.target.n_rows());
    let Some(target) = target else { return marginal };
    let classes = RowClasses { source, target, n_classes: problem.task.n_classes() };
    let conditional = match params.class_weights {
        ClassWeights::Equal => class_contrasts(classes),
        ClassWeights::Shares => share_weighted_contrasts(classes),
    };
    if conditional.iter().all(|v| *v == 0.0) {
        return marginal;
    }
    concatenate![Axis(1), marginal * (1.0 - params.balance).sqrt(), conditional * params.balance.sqrt()]
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use serde_json::{Value, json};

    use super::*;
    use crate::context::Silent;
    use crate::data::toy;
    use crate::learners;
    use crate::linalg::column_means;

    fn fit(problem: &Problem, params: Value) -> FittedMethod {
        let learner = learners::find("nearest_neighbors").unwrap();
        let bound = BoundLearner { learner, params: &Value::Null, base: None };
        let params = Checked::new(&params).unwrap();
        BalancedDistributionAdaptation::fit(problem, &bound, &params, &mut Ctx::new(0, &Silent)).unwrap()
    }

    fn problem() -> Problem {
        let size = toy::Size { n_features: 6, ..toy::Size::default() };
        toy::classification(toy::Shift::Affine, size, &mut ChaCha8Rng::seed_from_u64(2)).0
    }

    #[test]
    fn the_less_the_balance_the_closer_the_means_of_the_domains() {
        let problem = problem();
        let distance = |balance: f64| {
            let params = json!({"balance": balance, "normalize_rows": false, "n_components": 3, "n_iterations": 2});
            let maps = fit(&problem, params).maps;
            let mean = |x| column_means(maps.target.apply(x).dense().view());
            let apart = mean(&problem.sources[0].x) - mean(&problem.target.x);
            apart.dot(&apart)
        };
        let distances = [0.0, 0.5, 1.0].map(distance);
        assert!(distances.is_sorted() && distances[0] < 0.9 * distances[2], "{distances:?}");
    }

    #[test]
    fn no_balance_is_the_first_round_for_ever() {
        let problem = problem();
        let (once, often) = (fit(&problem, json!({"n_iterations": 1})), fit(&problem, json!({"balance": 0.0})));
        let (a, b) = (once.maps.target.apply(&problem.target.x), often.maps.target.apply(&problem.target.x));
        assert!((&*a.dense() - &*b.dense()).iter().all(|v| v.abs() < 1e-9));
    }
}
