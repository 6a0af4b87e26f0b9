//! Components of large variance along which the means of the domains stay close, carried by the source rows that
//! resemble the target (Long, Wang, Ding, Sun and Yu, "Transfer joint matching for unsupervised domain adaptation",
//! CVPR 2014):
//!
//! ```text
//! min_A  tr(Aᵀ K M K A) + λ (‖A_s‖_{2,1} + ‖A_t‖_F²)   with   Aᵀ K H K A = I
//! ```
//!
//! K is the kernel of all rows, `M = e eᵀ / ‖e‖²` compares the domains' means, H centres. The norm `‖A_s‖_{2,1}`, the sum
//! of the lengths of the rows of A that belong to source rows, lets only some of them take part: it weighs instances
//! while it matches features. It is minimised by rounds in which it is `tr(Aᵀ G A)` with `G_ii = 1/(2‖a_i‖)` of the round
//! before for source rows and 1 for target rows; the first round has G = I.
//!
//! **No n × n matrix.** With Φ (n, r) features of the kernel, `K = Φ Φᵀ`, only `W = Φᵀ A` is seen by all terms but G,
//! and of all A with that W the cheapest is `A = G⁻¹ Φ T⁻¹ W`, `T = Φᵀ G⁻¹ Φ`, at the cost `tr(Wᵀ T⁻¹ W)`. With
//! `T = L Lᵀ` and `W = L U` each round is
//!
//! ```text
//! max_U  tr(Uᵀ Lᵀ S L U)   with   Uᵀ (Lᵀ a aᵀ L + λ I) U = λ I,   S = Φᵀ H Φ,  a = Φᵀ e / ‖e‖
//! ```
//!
//! of size r, and exact wherever the features are ([`crate::linalg::top_constrained`]).
//!
//! **What the paper leaves open.** K is centred, so that the origin of the columns has no part, and divided by its mean
//! diagonal, so that λ means the same in all units; the two norms of the penalty are of different degree. Components
//! keep the lengths that `Aᵀ (K M K + λ G) A = λ I` gives them, since directions of more variance are then worth more
//! than others; G follows from A with the paper's `Aᵀ K H K A = I`. A source row that has come to exactly zero stays
//! out; the paper's rule would take it back for nothing. Rows of several sources are pooled.
//!
//! **New rows** are `(φ(x) − mean) W`, scaled to unit length like the others (the Nyström extension of Williams and
//! Seeger 2000 for kernels; a linear map otherwise).
//!
//! **Cost.** O(n r² + r³) a round after O(n d min(n, d)) linear or O(n m (d + m)) otherwise, r = min(n, d) or m
//! landmarks; memory linear in n. **When.** Part of the source has nothing to do with the target. **When not.** The
//! difference of the domains lies along the label, or the shares of classes differ.

use std::collections::BTreeMap;

use ndarray::{Array1, Array2, Axis, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Problem, TaskKind};
use crate::distances::conditional::marginal_contrast;
use crate::features::{ComponentSpace, Lens, varying};
use crate::linalg::{
    DecomposeError, Triangle, cholesky, gram, matmul, matmul_tn, solve_triangular, symmetric_tn, top_constrained,
};
use crate::methods::{Adaptation, Adapter, Card, DomainMaps, Family, Map, Needs, Toy};
use crate::params::{Bandwidth, Checked, KernelName};

/// What T's diagonal gets, relative to its mean: directions that no row is left in would have no factor.
const RIDGE: f64 = 1e-12;
/// Rounds end where no source row's share changes by more than this, relative to the largest.
const SETTLED: f64 = 1e-9;
/// Components that leave this share of the distance of the means match nothing.
const UNMATCHED: f64 = 0.99;

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
    /// λ: the smaller, the closer the means are held together; the larger, the more the rows' weights decide.
    #[schemars(range(min = 1e-10, max = 1e10))]
    pub regularization: f64,
    /// T, rounds of weighing source rows at most; they end early where no weight changes.
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

pub struct TransferJointMatching;

impl Adapter for TransferJointMatching {
    const CARD: Card = Card {
        id: "transfer_joint_matching",
        title: "Transfer joint matching (TJM)",
        family: Family::StatisticalAlignment,
        summary: "Finds components of large variance along which the domains have nearly the same mean, carried by the \
                  source rows that resemble the target.",
        when_to_use: "Part of the source has nothing to do with the target, and the domains differ along directions \
                      that do not carry the label.",
        when_not: "The domains differ along the label itself, or mix the classes in other shares.",
        tasks: &[TaskKind::Classification, TaskKind::Regression],
        needs: Needs::Nothing,
        cost: "O(n r² + r³) a round, r = min(n, d) or the landmarks; memory linear in n",
        references: &[
            "Long, Wang, Ding, Sun and Yu, Transfer joint matching for unsupervised domain adaptation, CVPR 2014",
            "Williams and Seeger, Using the Nyström method to speed up kernel machines, NIPS 2000",
        ],
        defaults_from: "λ = 1 and 10 rounds as in the leading code; 30 components and unit rows as in the published \
                        SURF tables of its neighbours",
        toy: Toy::Subspace,
        waived: &[],
    };
    type Params = Params;

    fn adapt(problem: &Problem, params: &Checked<Params>, ctx: &mut Ctx) -> Result<Adaptation, FitError> {
        let space = ComponentSpace::of(problem, lens(params), Self::CARD.id, ctx)?;
        let mut matching = Matching::of(&space, params)?;
        ctx.phase("rounds")?;
        let mut rounds = 0;
        let solution = loop {
            let solution = matching.solve(params)?;
            rounds += 1;
            let change = matching.weigh(&solution);
            ctx.metric("change", change);
            ctx.step(rounds as u64, Some(params.n_iterations as u64))?;
            if change <= SETTLED || rounds >= params.n_iterations {
                break solution;
            }
        };

        let w = solution.components();
        let difference = matching.difference();
        let after = difference.dot(&w);
        let lengths = matching.lengths();
        let effective = lengths.sum().powi(2) / lengths.dot(&lengths).max(f64::MIN_POSITIVE);
        // One row that takes part is one; less than that is what rounding leaves of none.
        if effective < 0.99 {
            return Err(FitError::Degenerate(
                "no source row is left that takes part: all weights have vanished; take fewer n_iterations".into(),
            ));
        }
        let before = difference.dot(&difference);
        if w.ncols() < matching.k && after.dot(&after) >= UNMATCHED * before {
            return Err(FitError::Degenerate(
                "the domains lie so far apart that all that varies is the difference between them; scale each domain \
                 by itself (domain_z_score)"
                    .into(),
            ));
        }
        let mut diagnostics = BTreeMap::from([
            ("n_components".into(), w.ncols() as f64),
            ("rounds".into(), rounds as f64),
            ("mean_distance_before".into(), before),
            ("mean_distance_after".into(), after.dot(&after)),
            ("effective_source_rows".into(), effective),
        ]);
        if let Some(bandwidth) = space.kernel.bandwidth() {
            diagnostics.insert("bandwidth".into(), bandwidth);
        }
        let map = space.map(w.view());
        let map = if params.normalize_rows { Map::Chain(vec![map, Map::UnitRows]) } else { map };
        let maps = DomainMaps::shared(problem.sources.len(), map);
        Ok(Adaptation { diagnostics, ..Adaptation::of_maps(maps) })
    }

    fn memory_bytes(problem: &Problem, params: &Checked<Params>) -> u64 {
        let lens = lens(params);
        let r = lens.n_features(problem) as u64;
        lens.memory_bytes(problem, 2 * lens.n_features(problem)) + 8 * 4 * r * r
    }
}

fn lens(params: &Params) -> Lens {
    Lens { kernel: params.kernel, bandwidth: params.bandwidth, max_landmarks: params.max_landmarks }
}

/// What the rounds share, and the weights of the next.
struct Matching {
    /// Φ, centred, with a mean square of 1 a row, `(n, r)`.
    rows: Array2<f64>,
    /// S, `(r, r)`
    scatter: Array2<f64>,
    /// a, `(r, 1)`
    a: Array2<f64>,
    /// G⁻¹, `(n,)`
    inverse: Array1<f64>,
    n_source: usize,
    /// How many components to look for, and how many are insisted on.
    k: usize,
    asked: Option<usize>,
}

/// One round's.
struct Solution {
    /// L, `(r, r)`
    root: Array2<f64>,
    /// U, `(r, k)`
    inner: Array2<f64>,
    /// `wᵀ S w` of each column of W = L U, `(k,)`
    values: Array1<f64>,
}

impl Matching {
    fn of(space: &ComponentSpace, params: &Params) -> Result<Self, FitError> {
        let n = space.rows.nrows();
        // Fourth powers neither overflow nor vanish then.
        let unit = (n as f64 / space.scatter.diag().sum()).sqrt();
        let rows = &space.rows * unit;
        let e = marginal_contrast(space.n_source, n - space.n_source);
        let a = matmul_tn(rows.view(), e.view()) / e.iter().map(|v| v * v).sum::<f64>().sqrt();
        Ok(Self {
            scatter: &space.scatter * unit * unit,
            rows,
            a,
            inverse: Array1::ones(n),
            n_source: space.n_source,
            k: space.count(params.n_components)?,
            asked: params.n_components,
        })
    }

    fn solve(&self, params: &Params) -> Result<Solution, FitError> {
        let numerical = |e: DecomposeError| FitError::Numerical(e.to_string());
        let weighted = &self.rows * &self.inverse.mapv(f64::sqrt).insert_axis(Axis(1));
        let mut t = gram(weighted.view());
        drop(weighted);
        let ridge = RIDGE * t.diag().sum() / t.nrows() as f64;
        t.diag_mut().iter_mut().for_each(|v| *v += ridge);
        let root = cholesky(t.view()).map_err(numerical)?;
        let inner = symmetric_tn(root.view(), matmul(self.scatter.view(), root.view()).view());
        let a = matmul_tn(root.view(), self.a.view());
        let found = top_constrained(inner, a.view(), params.regularization, self.k).map_err(numerical)?;
        let found = varying(found, self.asked)?;
        Ok(Solution { root, inner: found.vectors, values: found.values })
    }

    /// Takes G from A; answers by how much it changed.
    fn weigh(&mut self, solution: &Solution) -> f64 {
        // T⁻¹ W = L⁻ᵀ U
        let reduced = solve_triangular(solution.root.view(), solution.inner.view(), Triangle::LowerTransposed);
        let source = self.rows.slice(s![..self.n_source, ..]);
        let a = matmul(source, (reduced / &solution.values.mapv(f64::sqrt)).view());
        let mut inverse = self.inverse.slice_mut(s![..self.n_source]);
        let lengths = a.map_axis(Axis(1), |row| row.dot(&row).sqrt()) * &inverse * 2.0;
        let largest = lengths.iter().fold(f64::MIN_POSITIVE, |m, v| m.max(*v));
        let change = inverse.iter().zip(&lengths).fold(0.0_f64, |m, (old, new)| m.max((old - new).abs())) / largest;
        inverse.assign(&lengths);
        change
    }

    /// How much each source row takes part, `(n_source,)`, in units of their own.
    fn lengths(&self) -> Array1<f64> {
        self.inverse.slice(s![..self.n_source]).to_owned()
    }

    /// The difference of the domains' means in the direction of `a`, relative to the spread of all rows, `(r,)`.
    fn difference(&self) -> Array1<f64> {
        let (n, ns) = (self.rows.nrows() as f64, self.n_source as f64);
        // ‖e‖² = 1/n_s + 1/n_t
        self.a.column(0).to_owned() * (ns.recip() + (n - ns).recip()).sqrt()
    }
}

impl Solution {
    /// W `(r, k)` with a longest column of length 1, so that components have the scale of the features.
    fn components(&self) -> Array2<f64> {
        let w = matmul(self.root.view(), self.inner.view());
        let longest = w.axis_iter(Axis(1)).map(|c| c.dot(&c).sqrt()).fold(f64::MIN_POSITIVE, f64::max);
        w / longest
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use serde_json::{Value, json};

    use super::*;
    use crate::context::Silent;
    use crate::data::toy;
    use crate::linalg::Matrix;

    fn problem() -> Problem {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let size = toy::Size { n_source: 80, n_target: 67, n_features: 5, n_labelled: 0 };
        toy::classification(toy::Shift::Affine, size, &mut rng).0
    }

    fn params(value: Value) -> Checked<Params> {
        Checked::new(&value).unwrap()
    }

    fn space(problem: &Problem, params: &Params) -> ComponentSpace {
        ComponentSpace::of(problem, lens(params), "test", &mut Ctx::new(0, &Silent)).unwrap()
    }

    /// tr(Aᵀ K M K A) + λ (‖A_s‖_{2,1} + ‖A_t‖_F²) for A with Aᵀ K H K A = I.
    fn objective(matching: &Matching, solution: &Solution, lambda: f64) -> f64 {
        let scale = solution.values.mapv(f64::sqrt);
        let w = matmul(solution.root.view(), solution.inner.view()) / &scale;
        let reduced = solve_triangular(solution.root.view(), solution.inner.view(), Triangle::LowerTransposed) / &scale;
        let a = matmul(matching.rows.view(), reduced.view()) * matching.inverse.view().insert_axis(Axis(1));
        assert!((matmul_tn(matching.rows.view(), a.view()) - &w).iter().all(|v| v.abs() < 1e-8), "Φᵀ A = W");
        let squares = a.map_axis(Axis(1), |row| row.dot(&row));
        let (source, target) = squares.view().split_at(Axis(0), matching.n_source);
        let along = matching.a.column(0).dot(&w);
        along.dot(&along) + lambda * (source.mapv(f64::sqrt).sum() + target.sum())
    }

    #[test]
    fn every_round_lowers_the_objective_of_the_paper() {
        let problem = problem();
        for kernel in ["linear", "rbf"] {
            for lambda in [0.1, 1.0, 30.0] {
                let params = params(json!({"kernel": kernel, "regularization": lambda, "n_components": 3}));
                let mut matching = Matching::of(&space(&problem, &params), &params).unwrap();
                let mut last = f64::INFINITY;
                for round in 0..8 {
                    let solution = matching.solve(&params).unwrap();
                    let now = objective(&matching, &solution, lambda);
                    // The first round penalises squares of source rows too.
                    assert!(round < 1 || now <= last * (1.0 + 1e-9), "{kernel}, λ = {lambda}: {last} to {now}");
                    last = now;
                    matching.weigh(&solution);
                }
            }
        }
    }

    #[test]
    fn units_and_origin_of_the_columns_have_no_part() {
        let problem = problem();
        let mut moved = problem.clone();
        for dataset in moved.sources.iter_mut().chain([&mut moved.target]) {
            dataset.x = (dataset.x.dense().into_owned() * 250.0 + 3e4).into();
        }
        let fit = |problem: &Problem| {
            let ctx = &mut Ctx::new(0, &Silent);
            TransferJointMatching::adapt(problem, &params(json!({"n_components": 3})), ctx).unwrap()
        };
        let rows = |problem: &Problem| fit(problem).maps.target.apply(&problem.target.x).dense().into_owned();
        assert!((rows(&problem) - rows(&moved)).iter().all(|v| v.abs() < 1e-7));
    }

    #[test]
    fn domains_with_nothing_but_a_difference_are_an_error() {
        let mut problem = problem();
        problem.target.x = (problem.target.x.dense().into_owned() + 1e6).into();
        let error = TransferJointMatching::adapt(&problem, &params(json!({})), &mut Ctx::new(0, &Silent)).unwrap_err();
        assert!(matches!(&error, FitError::Degenerate(why) if why.contains("far apart")), "{error}");
    }

    #[test]
    fn source_rows_unlike_the_target_take_less_part() {
        let mut problem = problem();
        let n = problem.sources[0].n_rows();
        // The second half of the source varies along a direction in which the target does not.
        let mut x = problem.sources[0].x.dense().into_owned();
        for i in n / 2..n {
            x.row_mut(i).fill(0.0);
            x[[i, 4]] = if i % 2 == 0 { 3.0 } else { -3.0 };
        }
        problem.sources[0].x = Matrix::Dense(x);
        let mut t = problem.target.x.dense().into_owned();
        t.column_mut(4).mapv_inplace(|v| 0.01 * v);
        problem.target.x = Matrix::Dense(t);
        let params = params(json!({"n_components": 3}));
        let mut matching = Matching::of(&space(&problem, &params), &params).unwrap();
        for _ in 0..5 {
            let solution = matching.solve(&params).unwrap();
            matching.weigh(&solution);
        }
        let lengths = matching.lengths();
        let (like, unlike) = (lengths.slice(s![..n / 2]).sum(), lengths.slice(s![n / 2..]).sum());
        assert!(unlike < 0.5 * like, "{like} and {unlike}");
    }
}
