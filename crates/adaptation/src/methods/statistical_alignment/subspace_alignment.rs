//! Each domain is projected on its own principal axes, and the source's are turned into the target's
//! (Fernando, Habrard, Sebban and Tuytelaars, "Unsupervised visual domain adaptation using subspace
//! alignment", ICCV 2013, equations 1-3):
//!
//! ```text
//! source  x ↦ (x − μ_s) P_s (P_sᵀ P_t)     target  x ↦ (x − μ_t) P_t
//! ```
//!
//! with `P (d, k)` the first k axes of a domain. With k = d this only centres each domain. New rows
//! are projected as the target is. Each source has its own axes.
//!
//! **Cost.** O(n d min(n, d)). **When.** Few directions carry the label, and each domain has noise of
//! its own in the others. **When not.** Domains share their axes but differ in scale: see `coral`.

use ndarray::Array1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Problem, TaskKind};
use crate::linalg::{Matrix, PrincipalAxes, matmul, matmul_tn};
use crate::methods::{Adaptation, Adapter, Card, DomainMaps, Family, Map, Needs, Toy};
use crate::params::Checked;

/// Where the number of axes is not given, they hold this share of the target's variance, ...
const DEFAULT_SHARE: f64 = 0.95;
/// ... and are no more than this: the dimension at which SURF tables are published.
const DEFAULT_MOST: usize = 80;

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Number of axes; left out, as many as hold 95 % of the target's variance, at most 80.
    #[schemars(range(min = 1, max = 100_000))]
    pub n_components: Option<usize>,
}

pub struct SubspaceAlignment;

impl Adapter for SubspaceAlignment {
    const CARD: Card = Card {
        id: "subspace_alignment",
        title: "Subspace alignment",
        family: Family::StatisticalAlignment,
        summary: "Projects each domain on its own principal axes and turns the sources' axes into the target's.",
        when_to_use: "A few directions carry the label, and domains differ in the directions of small variance.",
        when_not: "Domains differ in scale along the same axes.",
        tasks: &[TaskKind::Classification, TaskKind::Regression],
        needs: Needs::Nothing,
        cost: "O(n d min(n, d))",
        references: &[
            "Fernando, Habrard, Sebban and Tuytelaars, Unsupervised visual domain adaptation using subspace \
             alignment, ICCV 2013",
        ],
        defaults_from: "95 % of the target's variance, at most 80 axes (the published tables)",
        toy: Toy::Subspace,
        waived: &[],
    };
    type Params = Params;

    fn adapt(problem: &Problem, params: &Checked<Params>, ctx: &mut Ctx) -> Result<Adaptation, FitError> {
        let most = params.n_components.unwrap_or(DEFAULT_MOST);
        let axes =
            |x: &Matrix| PrincipalAxes::widest(x.dense().view(), most).map_err(|e| FitError::Numerical(e.to_string()));
        ctx.check()?;
        let target = axes(&problem.target.x)?;
        let mut sources = Vec::with_capacity(problem.sources.len());
        for source in &problem.sources {
            ctx.check()?;
            sources.push(axes(&source.x)?);
        }
        let rank = sources.iter().chain([&target]).map(PrincipalAxes::rank).min().unwrap_or(0);
        let k = n_components(params.n_components, &target, rank)?;
        let p_t = target.first(k);
        let sources = sources
            .iter()
            .map(|source| {
                let p_s = source.first(k);
                let matrix = matmul(p_s, matmul_tn(p_s, p_t).view());
                Map::Affine { shift: source.mean.clone(), matrix, offset: Array1::zeros(k) }
            })
            .collect();
        let map = Map::Affine { shift: target.mean.clone(), matrix: p_t.to_owned(), offset: Array1::zeros(k) };
        let mut adaptation = Adaptation::of_maps(DomainMaps { sources, target: map });
        adaptation.diagnostics.insert("n_components".into(), k as f64);
        Ok(adaptation)
    }
}

fn n_components(asked: Option<usize>, target: &PrincipalAxes, rank: usize) -> Result<usize, FitError> {
    match asked {
        _ if rank == 0 => Err(FitError::Degenerate("all rows of a domain are equal: it has no principal axis".into())),
        None => Ok(target.holding(DEFAULT_SHARE).min(DEFAULT_MOST).min(rank)),
        Some(k) if k <= rank => Ok(k),
        Some(k) => Err(FitError::Invalid {
            pointer: "/method/params/n_components".into(),
            detail: format!("{k} components were asked for; the domain of least rank has {rank}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use serde_json::json;

    use super::*;
    use crate::context::Silent;
    use crate::data::{Dataset, Labels, Task};

    fn problem(ns: usize, nt: usize, d: usize) -> Problem {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut dataset = |n: usize| Dataset {
            x: Matrix::Dense(Array2::from_shape_simple_fn((n, d), || rng.random_range(0.0..1.0))),
            labels: Labels::Values(vec![Some(0.0); n]),
            weights: None,
        };
        Problem { task: Task::Regression, sources: vec![dataset(ns), dataset(ns)], target: dataset(nt) }
    }

    fn adapt(problem: &Problem, params: serde_json::Value) -> Result<Adaptation, FitError> {
        SubspaceAlignment::adapt(problem, &Checked::new(&params).unwrap(), &mut Ctx::new(0, &Silent))
    }

    fn matrix(map: &Map) -> &Array2<f64> {
        let Map::Affine { matrix, .. } = map else { panic!("subspace alignment is affine") };
        matrix
    }

    #[test]
    fn target_axes_are_orthonormal_and_each_source_is_projected_before_it_is_turned() {
        let problem = problem(30, 20, 8);
        let maps = adapt(&problem, json!({"n_components": 3})).unwrap().maps;
        let p_t = matrix(&maps.target);
        let gram = p_t.t().dot(p_t) - Array2::<f64>::eye(3);
        assert!(gram.iter().all(|v| v.abs() < 1e-12));
        for (source, map) in problem.sources.iter().zip(&maps.sources) {
            let p_s = PrincipalAxes::of(source.x.dense().view()).unwrap().first(3).to_owned();
            let want = p_s.dot(&p_s.t()).dot(p_t);
            assert!((matrix(map) - &want).iter().all(|v| v.abs() < 1e-12));
        }
    }

    #[test]
    fn a_source_equal_to_the_target_is_mapped_as_the_target_is() {
        let mut problem = problem(30, 20, 8);
        problem.sources = vec![problem.target.clone()];
        let maps = adapt(&problem, json!({"n_components": 3})).unwrap().maps;
        assert!((matrix(&maps.sources[0]) - matrix(&maps.target)).iter().all(|v| v.abs() < 1e-12));
    }

    #[test]
    fn more_components_than_the_smallest_rank_are_refused_by_name() {
        let problem = problem(30, 5, 8);
        assert!(adapt(&problem, json!({"n_components": 4})).is_ok());
        let refused = adapt(&problem, json!({"n_components": 5}));
        assert!(matches!(refused, Err(FitError::Invalid { pointer, .. }) if pointer == "/method/params/n_components"));
    }
}
