//! Components of large variance along which the means of source and target stay close (Pan, Tsang,
//! Kwok and Yang, "Domain adaptation via transfer component analysis", IEEE TNN 22(2), 2011,
//! equations 6-8), in the form with one λ:
//!
//! ```text
//! max_W  tr(Wᵀ Φᵀ H Φ W)   with   Wᵀ (Φᵀ M Φ + λ I) W = I
//! ```
//!
//! Φ (n, r) are features of all rows, H centres, and `M = e eᵀ / ‖e‖²` with e = 1/n_s on source rows
//! and −1/n_t on target rows; the division makes λ mean the same for any number of rows. Source rows
//! of several sources are pooled.
//!
//! **No n × n matrix.** `Φᵀ M Φ = a aᵀ` with a the scaled difference of means, so that one symmetric
//! eigenproblem of size r is left ([`crate::linalg::top_constrained`]). W is given without the factor 1/√λ, so that
//! components keep the scale of the features.
//!
//! **Features.** Linear kernel: the columns where d ≤ n, coordinates on the principal axes where d > n
//! (the same solution, r ≤ n). Other kernels: Nyström features of `max_landmarks` rows, half of them from
//! the target; all rows, hence exact, where there are no more than that. The regulariser is ‖w‖² in the
//! kernel's space in every form; the paper's is of the coefficients.
//!
//! **New rows** are `(φ(x) − mean) W`, scaled to unit length like the others: the paper's form knows only
//! the rows it was fitted on; this is its Nyström extension. On Office-Caltech10 SURF, unit length is
//! worth three points with 1-NN.
//!
//! **Cost.** O(n d² + d³) linear with d ≤ n, O(n² d) with d > n, O(n m (d + m) + m³) otherwise; memory
//! linear in n. **When.** Domains differ in mean along directions that do not carry the label.
//! **When not.** The difference of the domains lies along the label, or the shares of classes differ.

use std::collections::BTreeMap;

use ndarray::{Array1, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Problem, TaskKind};
use crate::features::{ComponentSpace, Lens};
use crate::linalg::column_means;
use crate::methods::{Adaptation, Adapter, Card, DomainMaps, Family, Map, Needs, Toy};
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
    /// Whether projected rows are scaled to unit length.
    pub normalize_rows: bool,
    /// Rows from which kernel features are built; with no more rows than this they are exact.
    #[schemars(range(min = 10, max = 2500))]
    pub max_landmarks: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            kernel: KernelName::Rbf,
            bandwidth: Bandwidth::default(),
            n_components: None,
            regularization: 1.0,
            normalize_rows: true,
            max_landmarks: 500,
        }
    }
}

pub struct TransferComponentAnalysis;

impl Adapter for TransferComponentAnalysis {
    const CARD: Card = Card {
        id: "transfer_component_analysis",
        title: "Transfer component analysis (TCA)",
        family: Family::Mmd,
        summary: "Finds components of large variance along which source and target have nearly the same mean.",
        when_to_use: "Domains differ along directions that do not carry the label.",
        when_not: "The domains differ along the label itself, or mix the classes in other shares.",
        tasks: &[TaskKind::Classification, TaskKind::Regression],
        needs: Needs::Nothing,
        cost: "linear kernel O(n d min(n, d)); others O(n m (d + m) + m³) with m landmarks; memory linear in n",
        references: &[
            "Pan, Tsang, Kwok and Yang, Domain adaptation via transfer component analysis, IEEE TNN 2011",
            "Williams and Seeger, Using the Nyström method to speed up kernel machines, NIPS 2000",
        ],
        defaults_from: "30 components, λ = 1, unit rows as in the published SURF tables; median bandwidth, \
                        since 1/d makes the kernel vanish or saturate",
        toy: Toy::Subspace,
        waived: &[],
    };
    type Params = Params;

    fn adapt(problem: &Problem, params: &Checked<Params>, ctx: &mut Ctx) -> Result<Adaptation, FitError> {
        let space = ComponentSpace::of(problem, lens(params), Self::CARD.id, ctx)?;
        ctx.phase("components")?;
        let difference = mean_difference(&space);
        // ‖e‖² = 1/n_s + 1/n_t
        let n_target = problem.target.n_rows() as f64;
        let norm = ((space.n_source as f64).recip() + n_target.recip()).sqrt();
        let a = (&difference / norm).insert_axis(Axis(1));
        let w = space.components(a.view(), params.regularization, params.n_components)?.vectors;

        let after = difference.dot(&w);
        let mut diagnostics = BTreeMap::from([
            ("n_components".into(), w.ncols() as f64),
            ("mean_distance_before".into(), difference.dot(&difference)),
            ("mean_distance_after".into(), after.dot(&after)),
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
        lens(params).memory_bytes(problem, 1)
    }
}

fn lens(params: &Params) -> Lens {
    Lens { kernel: params.kernel, bandwidth: params.bandwidth, max_landmarks: params.max_landmarks }
}

/// The difference of the domains' means among the rows of a space, `(r,)`.
fn mean_difference(space: &ComponentSpace) -> Array1<f64> {
    let mean = |rows| column_means(space.rows.slice_axis(Axis(0), rows));
    mean((..space.n_source).into()) - mean((space.n_source..).into())
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use serde_json::{Value, json};

    use super::*;
    use crate::context::Silent;
    use crate::data::toy;
    use crate::distances::mmd::mmd2_unbiased;
    use crate::linalg::Matrix;

    fn problem(n: usize, d: usize) -> Problem {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let size = toy::Size { n_source: n, n_target: n + 7, n_features: d, n_labelled: 0 };
        toy::classification(toy::Shift::Affine, size, &mut rng).0
    }

    fn adapt(problem: &Problem, params: Value) -> Result<Adaptation, FitError> {
        let params = Checked::new(&params).unwrap();
        TransferComponentAnalysis::adapt(problem, &params, &mut Ctx::new(0, &Silent))
    }

    fn projected(problem: &Problem, params: Value) -> (Array2<f64>, Array2<f64>) {
        let maps = adapt(problem, params).unwrap().maps;
        let rows = |x: &Matrix| maps.target.apply(x).dense().into_owned();
        (rows(&problem.sources[0].x), rows(&problem.target.x))
    }

    #[test]
    fn mmd_falls_and_variance_stays_with_every_kernel() {
        let problem = problem(120, 6);
        let ctx = Ctx::new(0, &Silent);
        let mmd = |x: &Matrix, y: &Matrix| mmd2_unbiased(x, y, Bandwidth::default(), None, &ctx).unwrap();
        let before = mmd(&problem.sources[0].x, &problem.target.x);
        let polynomial = json!({"polynomial": {"degree": 2, "offset": 1.0}});
        for kernel in [json!("linear"), json!("rbf"), json!("laplacian"), json!("cosine"), polynomial] {
            let params = json!({"kernel": kernel, "n_components": 4, "regularization": 1e-3});
            let (xs, xt) = projected(&problem, params);
            assert!(xt.var_axis(Axis(0), 1.0).iter().all(|v| *v > 1e-6), "{kernel}");
            let after = mmd(&xs.into(), &xt.into());
            assert!(after < 0.5 * before, "{kernel}: {before} to {after}");
        }
    }

    #[test]
    fn components_solve_the_generalised_eigenproblem() {
        let problem = problem(60, 5);
        let params = json!({"kernel": "linear", "n_components": 3, "regularization": 0.7, "normalize_rows": false});
        let maps = adapt(&problem, params).unwrap().maps;
        let Map::Affine { matrix: w, .. } = &maps.target else { panic!("a linear kernel is affine") };
        let x = ndarray::concatenate![Axis(0), *problem.sources[0].x.dense(), *problem.target.x.dense()];
        let (ns, nt) = (60.0, 67.0);
        let e = Array1::from_shape_fn(127, |i| if i < 60 { 1.0 / ns } else { -1.0 / nt });
        let xe = e.dot(&x) / e.dot(&e).sqrt();
        let centred = &x - &column_means(x.view());
        let scatter = centred.t().dot(&centred);
        let bound = Array2::from_shape_fn((5, 5), |(i, j)| xe[i] * xe[j] + if i == j { 0.7 } else { 0.0 });
        // Wᵀ A W = λ I with W scaled by √λ, and Wᵀ S W diagonal.
        let constraint = w.t().dot(&bound).dot(w) - Array2::<f64>::eye(3) * 0.7;
        assert!(constraint.iter().all(|v| v.abs() < 1e-9), "{constraint}");
        let variance = w.t().dot(&scatter).dot(w);
        let total = variance.diag().sum();
        for ((i, j), v) in variance.indexed_iter() {
            assert!(i == j || v.abs() < 1e-9 * total, "{variance}");
        }
        // S W = A W Θ: nothing of S W is left outside A W.
        let left = scatter.dot(w) - bound.dot(w).dot(&Array2::from_diag(&(&variance.diag() / 0.7)));
        assert!(left.iter().all(|v| v.abs() < 1e-9 * total), "{left}");
    }

    #[test]
    fn a_kernel_that_says_nothing_is_refused_with_its_mean() {
        let problem = problem(30, 4);
        for (bandwidth, word) in [(1e-3, "vanished"), (1e5, "saturated")] {
            let refused = adapt(&problem, json!({"bandwidth": bandwidth}));
            assert!(matches!(&refused, Err(FitError::Degenerate(why)) if why.contains(word)), "{:?}", refused.err());
        }
    }

    #[test]
    fn more_components_than_the_rank_are_refused_by_name_and_the_default_takes_what_there_is() {
        let problem = problem(30, 4);
        let refused = adapt(&problem, json!({"kernel": "linear", "n_components": 5}));
        assert!(matches!(refused, Err(FitError::Invalid { pointer, .. }) if pointer == "/method/params/n_components"));
        assert_eq!(adapt(&problem, json!({"kernel": "linear"})).unwrap().diagnostics["n_components"], 4.0);
    }
}
