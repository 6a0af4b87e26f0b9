//! Components of large variance along which the means of the domains, and those of each class, stay close
//! (Long, Wang, Ding, Sun and Yu, "Transfer feature learning with joint distribution adaptation", ICCV 2013,
//! equations 4 and 8 and algorithm 1):
//!
//! ```text
//! max_W  tr(Wᵀ Φᵀ H Φ W)   with   Wᵀ (Φᵀ M Φ + λ I) W = λ I,   M = (M₀ + Σ_c M_c) / ‖M₀ + Σ_c M_c‖_F
//! ```
//!
//! M₀ = e₀ e₀ᵀ compares the domains' means, M_c = e_c e_cᵀ those of class c, for which target rows count by
//! pseudo-labels. The first round knows none and is transfer component analysis; then the learner that follows
//! the method is fitted on the projected sources and labels the projected target, T rounds long or until no
//! pseudo-label changes.
//!
//! **What the paper leaves open.** M is divided by its Frobenius norm, so that λ means the same for any number of
//! rows. Classes that a domain lacks have no term. Labels come from whatever learner is asked for; the paper's is the
//! nearest neighbour. Rows are scaled to unit length after the projection. Means are of rows, whatever their weights;
//! the learner respects them. Rows of several sources are pooled.
//!
//! **No n × n matrix.** M has rank C + 1 at most: `Φᵀ M Φ = A Aᵀ`, A = Φᵀ E `(r, C + 1)`. The scatter is computed
//! once; a round changes A only and is one symmetric eigenproblem of size r.
//!
//! **New rows** are `(φ(x) − mean) W`, scaled to unit length like the others (the Nyström extension of Williams and
//! Seeger 2000 for kernels; a linear map otherwise), then the last round's learner predicts them.
//!
//! **Cost.** O(n r² + n d m) once, O(n r C + r² (C + k)) and one fit of the learner a round, r = min(n, d) for the
//! linear kernel or m landmarks; memory linear in n. **When.** Classes moved, each in its own way, and a first guess
//! of target labels is better than chance. **When not.** The shares of classes differ strongly, or the first guess is
//! poor: wrong pseudo-labels then confirm themselves.

use ndarray::{Axis, concatenate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Problem, TaskKind};
use crate::distances::conditional::{RowClasses, class_contrasts, frobenius_of_outer, marginal_contrast};
use crate::features::{ComponentSpace, Lens};
use crate::learners::{BoundLearner, PseudoLabels};
use crate::linalg::matmul_tn;
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
            regularization: 1.0,
            n_iterations: 10,
            normalize_rows: true,
            max_landmarks: 500,
        }
    }
}

pub struct JointDistributionAdaptation;

impl MetaEstimator for JointDistributionAdaptation {
    const CARD: Card = Card {
        id: "joint_distribution_adaptation",
        title: "Joint distribution adaptation (JDA)",
        family: Family::Mmd,
        summary: "Finds components along which the domains, and each class in them, have nearly the same mean; \
                  the learner guesses the target's classes round by round.",
        when_to_use: "Classes moved, each in its own way, and source-only is already better than chance.",
        when_not: "The shares of classes differ strongly, or source-only is hardly better than chance.",
        tasks: &[TaskKind::Classification],
        needs: Needs::Nothing,
        cost: "O(n r²) once and O(r² (C + k)) and a fit of the learner a round; r = min(n, d) or the landmarks",
        references: &[
            "Long, Wang, Ding, Sun and Yu, Transfer feature learning with joint distribution adaptation, ICCV 2013",
            "Williams and Seeger, Using the Nyström method to speed up kernel machines, NIPS 2000",
        ],
        defaults_from: "λ = 1, 10 rounds as in the paper; 30 components and unit rows as in the published SURF tables",
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
            let marginal = marginal_contrast(space.n_source, problem.target.n_rows());
            let e = match target {
                None => marginal,
                Some(target) => {
                    let n_classes = problem.task.n_classes();
                    let classes = class_contrasts(RowClasses { source: labels.source(), target, n_classes });
                    concatenate![Axis(1), marginal, classes]
                }
            };
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

#[cfg(test)]
mod tests {
    use ndarray::Array1;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use serde_json::{Value, json};

    use super::*;
    use crate::context::Silent;
    use crate::data::{Labels, toy};
    use crate::learners;
    use crate::learners::Prediction;
    use crate::linalg::Matrix;

    fn problem(shift: toy::Shift) -> (Problem, crate::data::Holdout) {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        toy::classification(shift, toy::Size { n_features: 6, ..toy::Size::default() }, &mut rng)
    }

    fn fit(problem: &Problem, params: Value) -> Result<FittedMethod, FitError> {
        let learner = learners::find("nearest_neighbors").unwrap();
        let bound = BoundLearner { learner, params: &Value::Null, base: None };
        let params = Checked::new(&params).unwrap();
        JointDistributionAdaptation::fit(problem, &bound, &params, &mut Ctx::new(0, &Silent))
    }

    /// The largest distance of the means of a class in source and target, relative to the spread of all rows.
    fn class_distance(xs: &Matrix, xt: &Matrix, problem: &Problem, truth: &Labels) -> f64 {
        let of_class = |x: &Matrix, labels: &Labels, c: usize| -> Array1<f64> {
            let Labels::Classes(codes) = labels else { panic!("classes") };
            let rows: Vec<usize> = (0..codes.len()).filter(|i| codes[*i] == Some(c)).collect();
            x.select_rows(&rows).dense().mean_axis(Axis(0)).unwrap()
        };
        let spread = xs.dense().var_axis(Axis(0), 1.0).sum();
        let apart = (0..2).map(|c| of_class(xs, &problem.sources[0].labels, c) - of_class(xt, truth, c));
        apart.map(|v| v.dot(&v) / spread).fold(0.0, f64::max)
    }

    #[test]
    fn means_of_each_class_come_together() {
        let (problem, holdout) = problem(toy::Shift::Affine);
        for kernel in ["linear", "rbf"] {
            let params = json!({"kernel": kernel, "regularization": 1e-2, "normalize_rows": false, "n_components": 3});
            let maps = fit(&problem, params).unwrap().maps;
            let (xs, xt) = (&problem.sources[0].x, &problem.target.x);
            let before = class_distance(xs, xt, &problem, &holdout.labels);
            let after = class_distance(&maps.sources[0].apply(xs), &maps.target.apply(xt), &problem, &holdout.labels);
            assert!(after < 0.1 * before, "{kernel}: {before} to {after}");
        }
    }

    #[test]
    fn rounds_end_when_no_label_changes_and_more_of_them_change_nothing() {
        let (problem, _) = problem(toy::Shift::Subspace);
        let few = fit(&problem, json!({"n_iterations": 30})).unwrap();
        assert_eq!(few.diagnostics["changed"], 0.0);
        let many = fit(&problem, json!({"n_iterations": 1000})).unwrap();
        assert_eq!(few.maps, many.maps);
    }

    #[test]
    fn a_source_equal_to_the_target_predicts_as_without_adaptation() {
        let (mut problem, _) = problem(toy::Shift::Subspace);
        problem.target =
            crate::data::Dataset { labels: problem.sources[0].labels.hidden(), ..problem.sources[0].clone() };
        let fitted = fit(&problem, json!({})).unwrap();
        let got = fitted.predictor.predict(&fitted.maps.target.apply(&problem.target.x));
        let Prediction::Classes { codes, .. } = got else { panic!("classes") };
        let Labels::Classes(truth) = &problem.sources[0].labels else { panic!("classes") };
        assert!(codes.iter().zip(truth).all(|(a, b)| Some(*a) == *b), "its own nearest neighbour is each row");
        assert!(fitted.diagnostics["rounds"] <= 3.0);
    }
}
