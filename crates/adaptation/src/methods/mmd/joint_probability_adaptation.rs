//! Components in which rows of one class are near across domains, and rows of different classes are far: the
//! discriminative joint probability MMD (Zhang and Wu, "Discriminative joint probability maximum mean discrepancy
//! (DJP-MMD) for domain adaptation", IJCNN 2020; its joint probability MMD with a discriminative term):
//!
//! ```text
//! min_W  tr(Wᵀ (Φᵀ (R_min − μ R_max) Φ + λ I) W)   with   Wᵀ Φᵀ H Φ W = I
//! R_min: Σ_c ‖s_c − t_c‖²,   R_max: Σ_{c ≠ c'} ‖s_c − t_c'‖²,   s_c = Σ_{y_i = c} φ(x_i) / n_s,  t_c alike
//! ```
//!
//! s_c and t_c are sums over a class divided by the rows of the *domain*: expectations under the joint probability of
//! row and class, where joint distribution adaptation compares means. Target rows count by pseudo-labels.
//!
//! **What the paper leaves open.** The first pseudo-labels are the learner's on the features as they are.
//! `R_min − μ R_max` is divided by its Frobenius norm, so that λ means the same for any number of rows. The sums act
//! on features less the mean of all rows, so that the origin has no part. The components have variance one; rows are scaled to unit length after the projection. Weights of rows reach the learner only. Rows of
//! several sources are pooled.
//!
//! **No n × n matrix.** With E `(n, 2C)` the one-hot labels over n_s and n_t, the matrix is `E K Eᵀ`, K `(2C, 2C)`. It
//! is not positive, so that the constraint of transfer component analysis does not apply: the problem is solved in
//! white coordinates ([`Whitened`]), found once. Directions whose variance is below 1e-8 of the largest are left out.
//!
//! **New rows** are `(φ(x) − mean) W`, scaled to unit length like the others (Nyström extension for kernels, Williams
//! and Seeger 2000), then the last round's learner predicts them.
//!
//! **Cost.** O(n r² + n d m) once, O(n r C + r³) and one fit of the learner a round, r = min(n, d) for the linear
//! kernel or m landmarks; memory linear in n. **When.** As joint distribution adaptation, and classes lie close
//! together. **When not.** The shares of classes differ (the sums then differ though nothing moved), or the first guess
//! of labels is poor.

use ndarray::{Array2, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Problem, TaskKind};
use crate::distances::conditional::{RowClasses, joint_probabilities};
use crate::features::{ComponentSpace, Lens};
use crate::learners::{BoundLearner, PseudoLabels};
use crate::linalg::{Whitened, gram, matmul, matmul_tn};
use crate::methods::{Card, DomainMaps, Family, FittedMethod, Map, MetaEstimator, Needs, Toy};
use crate::params::{Bandwidth, Checked, KernelName};

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
    /// μ: how much classes are driven apart, against how much each is drawn together.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub discrimination: f64,
    /// λ: the larger, the more components follow the directions of large variance.
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
            discrimination: 0.1,
            regularization: 1.0,
            n_iterations: 5,
            normalize_rows: true,
            max_landmarks: 500,
        }
    }
}

pub struct JointProbabilityAdaptation;

impl MetaEstimator for JointProbabilityAdaptation {
    const CARD: Card = Card {
        id: "joint_probability_adaptation",
        title: "Joint probability adaptation (JPDA, DJP-MMD)",
        family: Family::Mmd,
        summary: "Finds components in which each class is near itself across domains and far from the others; the \
                  learner guesses the target's classes round by round.",
        when_to_use: "Classes moved and lie close together, and source-only is already better than chance.",
        when_not: "The shares of classes differ, or source-only is hardly better than chance.",
        tasks: &[TaskKind::Classification],
        needs: Needs::Nothing,
        cost: "O(n r²) once and O(r³) and a fit of the learner a round; r = min(n, d) or the landmarks",
        references: &[
            "Zhang and Wu, Discriminative joint probability maximum mean discrepancy (DJP-MMD) for domain adaptation, \
             IJCNN 2020",
            "Williams and Seeger, Using the Nyström method to speed up kernel machines, NIPS 2000",
        ],
        defaults_from: "μ = 0.1, λ = 1 and 5 rounds as its authors take; 30 components and unit rows as in the published \
                        SURF tables of the other component methods",
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
        let whitened = Whitened::of(space.scatter.view()).map_err(|e| FitError::Numerical(e.to_string()))?;
        let k = components(params.n_components, space.count(params.n_components)?, whitened.rank())?;
        let (first, _) = labels.label(&DomainMaps::identity(problem.sources.len()), ctx)?;
        let objective = objective(problem.task.n_classes(), params.discrimination);
        // Wᵀ S W = n I: components of variance one.
        let scale = (space.rows.nrows() as f64).sqrt();
        let settled = labels.settle(Some(first), params.n_iterations, ctx, |target, _| {
            let target = target.unwrap_or_default();
            let classes = RowClasses { source: labels.source(), target, n_classes: problem.task.n_classes() };
            let e = joint_probabilities(classes);
            let objective = &objective / frobenius(&e, &objective);
            let a = matmul_tn(space.rows.view(), e.view());
            let w = whitened.least(a.view(), objective.view(), params.regularization, k);
            let map = space.map((w.map_err(|e| FitError::Numerical(e.to_string()))? * scale).view());
            let map = if params.normalize_rows { Map::Chain(vec![map, Map::UnitRows]) } else { map };
            Ok(DomainMaps::shared(problem.sources.len(), map))
        })?;
        Ok(settled.into())
    }

    fn memory_bytes(problem: &Problem, params: &Checked<Params>) -> u64 {
        lens(params).memory_bytes(problem, 4 * problem.task.n_classes())
    }
}

fn lens(params: &Params) -> Lens {
    Lens { kernel: params.kernel, bandwidth: params.bandwidth, max_landmarks: params.max_landmarks }
}

/// How many of the `wanted` components there are, where `asked` of them must be.
fn components(asked: Option<usize>, wanted: usize, rank: usize) -> Result<usize, FitError> {
    match asked {
        Some(asked) if asked > rank => Err(FitError::Invalid {
            pointer: "/method/params/n_components".into(),
            detail: format!("{asked} components were asked for; the features have rank {rank}"),
        }),
        _ => Ok(wanted.min(rank)),
    }
}

/// K `(2C, 2C)` = K_min − μ K_max over the sums s_1 … s_C, t_1 … t_C.
fn objective(n_classes: usize, mu: f64) -> Array2<f64> {
    let c = n_classes;
    let own = 1.0 - mu * (c as f64 - 1.0);
    let mut k = Array2::eye(2 * c) * own;
    // Equal classes attract with −1, different ones repel with μ.
    let across = Array2::from_shape_fn((c, c), |(i, j)| if i == j { -1.0 } else { mu });
    k.slice_mut(s![..c, c..]).assign(&across);
    k.slice_mut(s![c.., ..c]).assign(&across);
    k
}

/// ‖E K Eᵀ‖_F = tr(G K G K)^½ with G = Eᵀ E.
fn frobenius(e: &Array2<f64>, k: &Array2<f64>) -> f64 {
    let gk = matmul(gram(e.view()).view(), k.view());
    gk.dot(&gk).diag().sum().max(f64::MIN_POSITIVE).sqrt()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use serde_json::{Value, json};

    use super::*;
    use crate::context::Silent;
    use crate::data::{Labels, toy};
    use crate::learners;

    #[test]
    fn the_more_discrimination_the_farther_are_classes() {
        let size = toy::Size { n_features: 6, ..toy::Size::default() };
        let problem = toy::classification(toy::Shift::Affine, size, &mut ChaCha8Rng::seed_from_u64(2)).0;
        let learner = learners::find("nearest_neighbors").unwrap();
        let bound = BoundLearner { learner, params: &Value::Null, base: None };
        let apart = |mu: f64| {
            let params = json!({"discrimination": mu, "n_components": 2, "normalize_rows": false, "n_iterations": 1});
            let params = Checked::new(&params).unwrap();
            let ctx = &mut Ctx::new(0, &Silent);
            let fitted = JointProbabilityAdaptation::fit(&problem, &bound, &params, ctx).unwrap();
            let z = fitted.maps.sources[0].apply(&problem.sources[0].x).dense().into_owned();
            let Labels::Classes(codes) = &problem.sources[0].labels else { panic!("classes") };
            let signed = |i: usize| if codes[i] == Some(0) { 1.0 } else { -1.0 };
            let difference =
                (0..z.nrows()).fold(ndarray::Array1::<f64>::zeros(2), |sum, i| sum + &z.row(i) * signed(i));
            difference.dot(&difference) / (z.nrows() as f64).powi(2)
        };
        let (without, with): (f64, f64) = (apart(0.0), apart(2.0));
        assert!(with > 1.2 * without, "{without} to {with}");
    }

    #[test]
    fn the_objective_is_the_sum_over_pairs_of_classes() {
        let (c, mu) = (3, 0.4);
        let pair = |i: usize, j: usize| {
            Array2::from_shape_fn((2 * c, 1), |(r, _)| {
                if r == i {
                    1.0
                } else if r == c + j {
                    -1.0
                } else {
                    0.0
                }
            })
        };
        let mut want = Array2::<f64>::zeros((2 * c, 2 * c));
        for (i, j) in (0..c).flat_map(|i| (0..c).map(move |j| (i, j))) {
            let e = pair(i, j);
            want = want + e.dot(&e.t()) * if i == j { 1.0 } else { -mu };
        }
        assert!((objective(c, mu) - want).iter().all(|v| v.abs() < 1e-14));
    }
}
