//! Two maps, one a domain, that are close to each other and bring the means of the domains and of each class together,
//! while the target's variance and the distances of the source's classes stay (Zhang, Li and Ogunbona, "Joint
//! geometrical and statistical alignment for visual domain adaptation", CVPR 2017):
//!
//! ```text
//!       tr(Wᵀ diag(β S_b, μ S_t) W)                                   ⎡ A ⎤
//! max ─────────────────────────────────────────────────────────,  W = ⎢   ⎥
//!  W  tr(Wᵀ ⎛ (α I + β S_w,  −α I      ) + Φ̃ᵀ M Φ̃ ⎞ W)               ⎣ B ⎦
//!           ⎝ (−α I,         (α + μ) I )          ⎠
//! ```
//!
//! A maps source rows, B target rows. S_w and S_b are the scatters within and between the source's classes, S_t the
//! target's; α holds the maps together (‖A − B‖²), `Φ̃ = diag(Φ_s, Φ_t)`, and `M = (M₀ + Σ_c M_c) / ‖M₀ + Σ_c M_c‖_F`
//! compares means as in joint distribution adaptation. Target rows count by pseudo-labels: the learner that follows makes
//! the first from the rows as they are, and others round by round.
//!
//! **What the paper leaves open.** M is divided by its Frobenius norm. Rows are less the mean of all rows and have a mean
//! square of 1, so that neither the origin nor the units have a part: α and μ stand against scatters. (The authors scale
//! every row to unit length.) Classes that a domain lacks have no term. Labels come from whatever learner
//! is asked for; the paper's is the nearest neighbour. Rows may be scaled to unit length after the projection. Means are
//! of rows, whatever their weights; the learner respects them. Rows of several sources are pooled and share A.
//!
//! **No n × n matrix, one decomposition.** Without M the denominator is constant and falls apart,
//! `tr(Aᵀ (β S_w + αμ/(α+μ) I) A) + (α+μ) ‖B − α/(α+μ) A‖²`, so that a Cholesky factor of size r makes it the identity.
//! `Φ̃ᵀ M Φ̃` has rank C + 1, the numerator has a factor of C + r columns at most that is computed once, and a round is one
//! symmetric eigenproblem of that size ([`crate::linalg::Factored`]).
//!
//! **New rows** are `(φ(x) − mean) B` (the Nyström extension of Williams and Seeger 2000 for kernels; a linear map
//! otherwise), then the last round's learner predicts them.
//!
//! **Cost.** O(n r² + r³ + n d m) once, O(n r C + r² (C + k)) and one fit of the learner a round, r = min(n, d) for the
//! linear kernel or m landmarks; memory linear in n. **When.** The domains need different maps, and a first guess of
//! target labels is better than chance. **When not.** The shares of classes differ strongly, or the first guess is poor.

use ndarray::{Array2, ArrayView2, Axis, concatenate, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Problem, TaskKind};
use crate::distances::conditional::{RowClasses, class_contrasts, frobenius_of_outer, marginal_contrast};
use crate::features::{ComponentSpace, Lens, varying};
use crate::learners::{BoundLearner, PseudoLabels};
use crate::linalg::{
    DecomposeError, Factored, PrincipalAxes, Triangle, cholesky, column_means, gram, matmul_tn, solve_triangular,
};
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
    /// α: the larger, the more alike are the maps of source and target.
    #[schemars(range(min = 1e-6, max = 1e6))]
    pub map_similarity: f64,
    /// μ: how much the variance of the target counts, against the length of its map.
    #[schemars(range(min = 1e-6, max = 1e6))]
    pub target_variance: f64,
    /// β: how much the source's classes are driven apart and each drawn together.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub discrimination: f64,
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
            map_similarity: 1.0,
            target_variance: 1.0,
            discrimination: 0.1,
            n_iterations: 10,
            normalize_rows: false,
            max_landmarks: 500,
        }
    }
}

pub struct JointGeometricalStatisticalAlignment;

impl MetaEstimator for JointGeometricalStatisticalAlignment {
    const CARD: Card = Card {
        id: "joint_geometrical_statistical_alignment",
        title: "Joint geometrical and statistical alignment (JGSA)",
        family: Family::Mmd,
        summary: "Finds a map for each domain, close to each other, that bring the means of the domains and of each \
                  class together and keep the source's classes apart; the learner guesses the target's classes round by \
                  round.",
        when_to_use: "The domains need different maps, and source-only is already better than chance.",
        when_not: "The shares of classes differ strongly, or source-only is hardly better than chance.",
        tasks: &[TaskKind::Classification],
        needs: Needs::Nothing,
        cost: "O(n r² + r³) once and O(r² (C + k)) and a fit of the learner a round; r = min(n, d) or the landmarks",
        references: &[
            "Zhang, Li and Ogunbona, Joint geometrical and statistical alignment for visual domain adaptation, CVPR 2017",
            "Williams and Seeger, Using the Nyström method to speed up kernel machines, NIPS 2000",
        ],
        defaults_from: "30 components, α = μ = 1, β = 0.1 and 10 rounds as the authors take, and projected rows as they are; \
                        the median bandwidth instead of a fixed one",
        toy: Toy::Affine,
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
        let alignment = Alignment::of(&space, labels.source(), problem.task.n_classes(), params)?;
        ctx.check()?;
        let k = space.count(params.n_components)?;
        let (first, _) = labels.label(&DomainMaps::identity(problem.sources.len()), ctx)?;
        let settled = labels.settle(Some(first), params.n_iterations, ctx, |target, _| {
            let target = target.unwrap_or_default();
            let classes = RowClasses { source: labels.source(), target, n_classes: problem.task.n_classes() };
            let marginal = marginal_contrast(space.n_source, target.len());
            let e = concatenate![Axis(1), marginal, class_contrasts(classes)];
            let e = &e / frobenius_of_outer(&e).sqrt();
            let (a, b) = alignment.solve(&space, &e, k, params.n_components)?;
            let map = |w: Array2<f64>| {
                let map = space.map(w.view());
                if params.normalize_rows { Map::Chain(vec![map, Map::UnitRows]) } else { map }
            };
            Ok(DomainMaps { sources: vec![map(a); problem.sources.len()], target: map(b) })
        })?;
        Ok(settled.into())
    }

    fn memory_bytes(problem: &Problem, params: &Checked<Params>) -> u64 {
        let lens = lens(params);
        let r = lens.n_features(problem) as u64;
        lens.memory_bytes(problem, lens.n_features(problem) + 2 * (problem.task.n_classes() + 1)) + 8 * 20 * r * r
    }
}

fn lens(params: &Params) -> Lens {
    Lens { kernel: params.kernel, bandwidth: params.bandwidth, max_landmarks: params.max_landmarks }
}

/// What the rounds share. In coordinates U, D with `A = R⁻ᵀ U`, `B = c A + D/√q`, q = α + μ, c = α/q, the denominator
/// without M is `‖U‖² + ‖D‖²`.
struct Alignment {
    /// R, lower triangular, `R Rᵀ = β S_w + cμ I`, `(r, r)`.
    root: Array2<f64>,
    /// The numerator over U and D, of 2r dimensions, by a factor of as many columns as there are classes and axes of the
    /// target.
    numerator: Factored,
    c: f64,
    /// √q
    scale: f64,
    /// By what features are multiplied for a mean square of 1 a row.
    unit: f64,
}

impl Alignment {
    fn of(space: &ComponentSpace, codes: &[usize], n_classes: usize, params: &Params) -> Result<Self, FitError> {
        let (alpha, mu, beta) = (params.map_similarity, params.target_variance, params.discrimination);
        let (q, r) = (alpha + mu, space.rows.ncols());
        let (c, scale) = (alpha / q, q.sqrt());
        let unit = (space.rows.nrows() as f64 / space.scatter.diag().sum()).sqrt();
        let Scatters { within, between, target } = Scatters::of(space, codes, n_classes)?;
        let mut held = within * (beta * unit * unit);
        held.diag_mut().iter_mut().for_each(|v| *v += c * mu);
        let root = cholesky(held.view()).map_err(numerical)?;
        let lower = |x: ArrayView2<f64>| solve_triangular(root.view(), x, Triangle::Lower);
        // β S_b = G Gᵀ and μ S_t = F Fᵀ; over A and B the factor is diag(G, F).
        let (of_source, of_target) = (between.t().to_owned() * (beta.sqrt() * unit), target * (mu.sqrt() * unit));
        let (classes, axes) = (of_source.ncols(), of_target.ncols());
        let mut factor = Array2::zeros((2 * r, classes + axes));
        factor.slice_mut(s![..r, ..classes]).assign(&lower(of_source.view()));
        factor.slice_mut(s![..r, classes..]).assign(&(lower(of_target.view()) * c));
        factor.slice_mut(s![r.., classes..]).assign(&(of_target / scale));
        let numerator = Factored::new(factor);
        Ok(Self { root, numerator, c, scale, unit })
    }

    /// A and B `(r, k)` for M = E Eᵀ, `e (n, p)`.
    fn solve(
        &self,
        space: &ComponentSpace,
        e: &Array2<f64>,
        k: usize,
        asked: Option<usize>,
    ) -> Result<(Array2<f64>, Array2<f64>), FitError> {
        let r = self.root.nrows();
        let (source, target) = halves(space);
        let of_target = matmul_tn(target, e.slice(s![space.n_source.., ..])) * self.unit;
        let of_source = matmul_tn(source, e.slice(s![..space.n_source, ..])) * self.unit + &of_target * self.c;
        let of_source = solve_triangular(self.root.view(), of_source.view(), Triangle::Lower);
        let both = concatenate![Axis(0), of_source, of_target / self.scale];
        let found = self.numerator.top_constrained(both.view(), 1.0, k).map_err(numerical)?;
        let w = varying(found, asked)?.vectors;
        let a = solve_triangular(self.root.view(), w.slice(s![..r, ..]), Triangle::LowerTransposed);
        let b = &a * self.c + &w.slice(s![r.., ..]) / self.scale;
        Ok((a * self.unit, b * self.unit))
    }
}

/// Features of source rows and of target rows.
fn halves(space: &ComponentSpace) -> (ArrayView2<'_, f64>, ArrayView2<'_, f64>) {
    space.rows.view().split_at(Axis(0), space.n_source)
}

/// S_w, and factors of S_b and S_t.
struct Scatters {
    /// `(r, r)`
    within: Array2<f64>,
    /// G with `GᵀG = S_b`, `(C, r)`.
    between: Array2<f64>,
    /// F with `F Fᵀ = S_t`, `(r, axes)`, no more axes than vary.
    target: Array2<f64>,
}

impl Scatters {
    /// Of a space whose source rows have the classes `codes`, each below `n_classes`.
    fn of(space: &ComponentSpace, codes: &[usize], n_classes: usize) -> Result<Self, FitError> {
        let (source, target) = halves(space);
        let mut means = Array2::<f64>::zeros((n_classes, source.ncols()));
        let mut counts = vec![0.0_f64; n_classes];
        for (row, &code) in source.outer_iter().zip(codes) {
            means.row_mut(code).scaled_add(1.0, &row);
            counts[code] += 1.0;
        }
        for (mut mean, count) in means.outer_iter_mut().zip(&counts) {
            mean /= count.max(1.0);
        }
        let mut within = source.to_owned();
        for (mut row, &code) in within.outer_iter_mut().zip(codes) {
            row -= &means.row(code);
        }
        let mut between = means - &column_means(source);
        for (mut mean, count) in between.outer_iter_mut().zip(&counts) {
            // A class without rows has no mean.
            mean *= count.sqrt();
        }
        let axes = PrincipalAxes::of(target).map_err(numerical)?;
        let degrees = (target.nrows() as f64 - 1.0).max(1.0);
        let target = axes.axes * &axes.variances.mapv(|v| (v * degrees).sqrt());
        Ok(Self { within: gram(within.view()), between, target })
    }
}

fn numerical(e: DecomposeError) -> FitError {
    FitError::Numerical(e.to_string())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use serde_json::{Value, json};

    use super::*;
    use crate::context::Silent;
    use crate::data::toy;

    fn problem() -> Problem {
        let size = toy::Size { n_features: 6, ..toy::Size::default() };
        toy::classification(toy::Shift::Affine, size, &mut ChaCha8Rng::seed_from_u64(2)).0
    }

    fn solved(problem: &Problem, value: Value) -> (ComponentSpace, Array2<f64>, Array2<f64>, Array2<f64>) {
        let params: Checked<Params> = Checked::new(&value).unwrap();
        let space = ComponentSpace::of(problem, lens(&params), "test", &mut Ctx::new(0, &Silent)).unwrap();
        let alignment = Alignment::of(&space, &problem.source_codes(), 2, &params).unwrap();
        let e = marginal_contrast(200, 150) * 3.0;
        let (a, b) = alignment.solve(&space, &e, 3, Some(3)).unwrap();
        (space, e, a, b)
    }

    #[test]
    fn maps_solve_the_generalised_eigenproblem() {
        let problem = problem();
        let value = json!({"map_similarity": 0.7, "target_variance": 1.3, "discrimination": 0.2});
        let (space, e, a, b) = solved(&problem, value);
        let unit = (350.0 / space.scatter.diag().sum()).sqrt();
        let space = ComponentSpace { rows: &space.rows * unit, ..space };
        let (a, b) = (a / unit, b / unit);
        let Scatters { within, between, target } = Scatters::of(&space, &problem.source_codes(), 2).unwrap();
        let (between, target) = (between.t().dot(&between), target.dot(&target.t()));
        let eye = Array2::<f64>::eye(6);
        let (xs, xt) = halves(&space);
        let means = concatenate![Axis(0), xs.t().dot(&e.slice(s![..200, ..])), xt.t().dot(&e.slice(s![200.., ..]))];
        let block = |tl: Array2<f64>, off: Array2<f64>, br: Array2<f64>| {
            concatenate![Axis(0), concatenate![Axis(1), tl, off], concatenate![Axis(1), off, br]]
        };
        let numerator = block(between * 0.2, Array2::zeros((6, 6)), target * 1.3);
        let denominator = block(&eye * 0.7 + within * 0.2, &eye * -0.7, &eye * 2.0) + means.dot(&means.t());
        let w = concatenate![Axis(0), a, b];
        let gram = w.t().dot(&denominator).dot(&w) - Array2::<f64>::eye(3);
        assert!(gram.iter().all(|v| v.abs() < 1e-9), "{gram}");
        let theta = w.t().dot(&numerator).dot(&w);
        let left = numerator.dot(&w) - denominator.dot(&w) * theta.diag();
        let largest = numerator.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        assert!(left.iter().all(|v| v.abs() < 1e-9 * largest), "{left}");
        assert!(theta[[0, 0]] >= theta[[1, 1]] && theta[[1, 1]] >= theta[[2, 2]]);
    }

    #[test]
    fn the_more_similarity_is_asked_for_the_more_alike_are_the_maps() {
        let problem = problem();
        let unlike = |similarity: f64| {
            let (_, _, a, b) = solved(&problem, json!({"map_similarity": similarity}));
            let norm = |x: &Array2<f64>| x.iter().map(|v| v * v).sum::<f64>().sqrt();
            norm(&(&a - &b)) / (norm(&a) + norm(&b))
        };
        let (free, held) = (unlike(1e-3), unlike(1e4));
        assert!(held < 0.01 && free > 0.3, "{free} and {held}");
    }
}
