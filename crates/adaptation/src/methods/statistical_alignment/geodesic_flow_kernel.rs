//! Rows are compared by how they look along the whole way from the source's subspace to the target's (Gong, Shi,
//! Sha and Grauman, "Geodesic flow kernel for unsupervised domain adaptation", CVPR 2012, equations 4-6):
//!
//! ```text
//! k(x, y) = ∫₀¹ (Φ(t)ᵀ x)·(Φ(t)ᵀ y) dt = xᵀ G y,   Φ(0) = P_s,  Φ(1) = P_t
//! ```
//!
//! with `P (d, k)` the first k principal axes of a domain and Φ the geodesic between them. `G = W Wᵀ` has rank 2k
//! at most, so that G is never formed: every row is mapped by `x ↦ Wᵀ x` ([`Geodesic`]), and any learner follows
//! in the space whose inner products are the kernel. New rows are mapped by the same W: nothing in it belongs to
//! rows of the fit.
//!
//! **Left open by the paper**, and chosen here: both subspaces are of principal axes (the paper offers partial
//! least squares for the source as well); rows of several sources are pooled; axes are found about each domain's
//! own mean, and rows are not moved, since one shift for all changes no distance. Sample weights are not used.
//!
//! **Cost.** O(n d min(n, d) + d k²). **When.** Domains vary along other directions, as pictures of two cameras
//! do. **When not.** Domains share their axes and differ in scale or mean: the geodesic then has no length. Nor has it
//! any with k = d, where both subspaces are the whole space and nothing changes; the paper takes k ≤ d/2.

use ndarray::{Array1, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Problem, TaskKind};
use crate::linalg::{Geodesic, Matrix, PrincipalAxes};
use crate::methods::{Adaptation, Adapter, Card, DomainMaps, Family, Map, Needs, Toy};
use crate::params::Checked;

/// Where the number of axes is not given, they hold this share of the target's variance, ...
const DEFAULT_SHARE: f64 = 0.95;
/// ... and are no more than this: the upper end of the paper's range.
const DEFAULT_MOST: usize = 20;

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Number of axes of each domain; left out, as many as hold 95 % of the target's variance, at most 20.
    #[schemars(range(min = 1, max = 100_000))]
    pub n_components: Option<usize>,
}

pub struct GeodesicFlowKernel;

impl Adapter for GeodesicFlowKernel {
    const CARD: Card = Card {
        id: "geodesic_flow_kernel",
        title: "Geodesic flow kernel (GFK)",
        family: Family::StatisticalAlignment,
        summary: "Compares rows along all subspaces between the sources' principal axes and the target's.",
        when_to_use: "The domains vary along different directions, and few directions carry the label.",
        when_not: "Domains share their axes and differ in scale or mean.",
        tasks: &[TaskKind::Classification, TaskKind::Regression],
        needs: Needs::Nothing,
        cost: "O(n d min(n, d) + d k²)",
        references: &["Gong, Shi, Sha and Grauman, Geodesic flow kernel for unsupervised domain adaptation, CVPR 2012"],
        defaults_from: "95 % of the target's variance, at most the paper's 20 axes",
        toy: Toy::Subspace,
        waived: &[],
    };
    type Params = Params;

    fn adapt(problem: &Problem, params: &Checked<Params>, ctx: &mut Ctx) -> Result<Adaptation, FitError> {
        let most = params.n_components.unwrap_or(DEFAULT_MOST);
        let axes =
            |x: &Matrix| PrincipalAxes::widest(x.dense().view(), most).map_err(|e| FitError::Numerical(e.to_string()));
        ctx.phase("axes")?;
        let target = axes(&problem.target.x)?;
        ctx.check()?;
        let source = axes(&problem.pooled_sources())?;
        ctx.phase("geodesic")?;
        let k = n_components(params.n_components, &source, &target)?;
        let geodesic =
            Geodesic::between(source.first(k), target.first(k)).map_err(|e| FitError::Numerical(e.to_string()))?;
        let widest = geodesic.angles.fold(0.0_f64, |m, v| m.max(*v));
        let (shift, offset) = (Array1::zeros(problem.n_features()), Array1::zeros(geodesic.factor.len_of(Axis(1))));
        let map = Map::Affine { shift, matrix: geodesic.factor, offset };
        let mut adaptation = Adaptation::of_maps(DomainMaps::shared(problem.sources.len(), map));
        adaptation.diagnostics.insert("n_components".into(), k as f64);
        adaptation.diagnostics.insert("widest_angle".into(), widest);
        Ok(adaptation)
    }
}

fn n_components(asked: Option<usize>, source: &PrincipalAxes, target: &PrincipalAxes) -> Result<usize, FitError> {
    let rank = source.rank().min(target.rank());
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
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use serde_json::json;

    use super::*;
    use crate::context::Silent;
    use crate::data::toy;

    fn problem() -> Problem {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let size = toy::Size { n_source: 60, n_target: 40, n_features: 8, n_labelled: 0 };
        toy::classification(toy::Shift::Affine, size, &mut rng).0
    }

    fn adapt(problem: &Problem, params: serde_json::Value) -> Result<Adaptation, FitError> {
        GeodesicFlowKernel::adapt(problem, &Checked::new(&params).unwrap(), &mut Ctx::new(0, &Silent))
    }

    fn kernel(problem: &Problem) -> Array2<f64> {
        let maps = adapt(problem, json!({"n_components": 3})).unwrap().maps;
        let Map::Affine { matrix, .. } = &maps.target else { panic!("the map is affine") };
        matrix.dot(&matrix.t())
    }

    #[test]
    fn the_kernel_of_a_domain_with_itself_is_the_projection_on_its_axes() {
        let mut problem = problem();
        problem.sources = vec![problem.target.clone()];
        let p = PrincipalAxes::of(problem.target.x.dense().view()).unwrap().first(3).to_owned();
        assert!((kernel(&problem) - p.dot(&p.t())).iter().all(|v| v.abs() < 1e-10));
    }

    #[test]
    fn the_way_there_is_the_way_back() {
        let there = problem();
        let mut back = there.clone();
        std::mem::swap(&mut back.sources[0], &mut back.target);
        assert!((kernel(&there) - kernel(&back)).iter().all(|v| v.abs() < 1e-10));
    }

    #[test]
    fn more_components_than_the_smallest_rank_are_refused_by_name() {
        let refused = adapt(&problem(), json!({"n_components": 9}));
        assert!(matches!(refused, Err(FitError::Invalid { pointer, .. }) if pointer == "/method/params/n_components"));
    }
}
