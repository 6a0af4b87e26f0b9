//! All domains projected on the principal axes of their pooled rows: `x ↦ (x − μ) P`, P the first k
//! eigenvectors of the covariance of sources and target together.
//!
//! Nothing here brings the domains together; directions of small variance, where domains often differ
//! and learners overfit, are left out. It is the baseline of the subspace methods. New rows are
//! projected with the stored mean and axes. Several sources are pooled.
//!
//! **Cost.** O(n d min(n, d)). **When.** Many correlated features, few rows. **When not.** The label
//! hangs on a direction of small variance. Pearson 1901; Jolliffe, Principal Component Analysis, 2002.

use ndarray::Array1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Problem, TaskKind};
use crate::linalg::{Matrix, PrincipalAxes};
use crate::methods::{Adaptation, Adapter, Card, DomainMaps, Family, Map, Needs, Toy};
use crate::params::Checked;

/// Where the number of axes is not given, they hold this share of the variance: the rest is where the
/// spectra of real features end in noise.
const DEFAULT_SHARE: f64 = 0.95;

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Number of axes kept; left out, as many as hold 95 % of the variance.
    #[schemars(range(min = 1, max = 100_000))]
    pub n_components: Option<usize>,
}

pub struct Pca;

impl Adapter for Pca {
    const CARD: Card = Card {
        id: "pca",
        title: "Principal components",
        family: Family::StatisticalAlignment,
        summary: "Projects all domains on the principal axes of their pooled rows.",
        when_to_use: "Many correlated features, or noise of small variance that differs between domains.",
        when_not: "The label hangs on a direction of small variance.",
        tasks: &[TaskKind::Classification, TaskKind::Regression],
        needs: Needs::Nothing,
        cost: "O(n d min(n, d))",
        references: &["Jolliffe, Principal Component Analysis, Springer 2002"],
        defaults_from: "95 % of the variance",
        toy: Toy::Subspace,
        waived: &[],
    };
    type Params = Params;

    fn adapt(problem: &Problem, params: &Checked<Params>, ctx: &mut Ctx) -> Result<Adaptation, FitError> {
        ctx.check()?;
        let domains: Vec<&Matrix> = problem.sources.iter().map(|s| &s.x).chain([&problem.target.x]).collect();
        let pooled = Matrix::stack(&domains);
        let axes = PrincipalAxes::of(pooled.dense().view()).map_err(|e| FitError::Numerical(e.to_string()))?;
        if axes.rank() == 0 {
            return Err(FitError::Degenerate("all rows of all domains are equal".into()));
        }
        let k = match params.n_components {
            None => axes.holding(DEFAULT_SHARE),
            Some(k) if k <= axes.rank() => k,
            Some(k) => {
                return Err(FitError::Invalid {
                    pointer: "/method/params/n_components".into(),
                    detail: format!("{k} components were asked for; the pooled rows have rank {}", axes.rank()),
                });
            }
        };
        let mut adaptation = Adaptation::of_maps(DomainMaps::shared(
            problem.sources.len(),
            Map::Affine { shift: axes.mean.clone(), matrix: axes.first(k).to_owned(), offset: Array1::zeros(k) },
        ));
        adaptation.diagnostics.insert("n_components".into(), k as f64);
        let kept: f64 = axes.variances.iter().take(k).sum();
        adaptation.diagnostics.insert("explained_variance".into(), kept / axes.variances.sum());
        Ok(adaptation)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Axis;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use serde_json::json;

    use super::*;
    use crate::context::Silent;
    use crate::data::toy;

    fn adapt(params: serde_json::Value) -> (Problem, Result<Adaptation, FitError>) {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let (problem, _) = toy::classification(toy::Shift::Subspace, toy::Size::default(), &mut rng);
        let params = Checked::new(&params).unwrap();
        let got = Pca::adapt(&problem, &params, &mut Ctx::new(0, &Silent));
        (problem, got)
    }

    #[test]
    fn projected_columns_are_uncorrelated_and_distances_survive_with_all_axes() {
        let (problem, got) = adapt(json!({"n_components": 4}));
        let map = got.unwrap().maps.target;
        let pooled = Matrix::stack(&[&problem.sources[0].x, &problem.target.x]);
        let z = map.apply(&pooled).dense().into_owned();
        let covariance = z.t().dot(&z);
        let off_diagonal = covariance.sum() - covariance.diag().sum();
        assert!(off_diagonal.abs() < 1e-9 * covariance.diag().sum());
        let x = pooled.dense().into_owned();
        let squared = |a: &ndarray::Array2<f64>| (&a.row(0) - &a.row(9)).mapv(|v| v * v).sum();
        assert!((squared(&x) - squared(&z)).abs() < 1e-10);
        assert!(z.mean_axis(Axis(0)).unwrap().iter().all(|v| v.abs() < 1e-12));
    }

    #[test]
    fn more_components_than_rank_are_refused_by_name() {
        let (_, got) = adapt(json!({"n_components": 5}));
        assert!(matches!(got, Err(FitError::Invalid { pointer, .. }) if pointer == "/method/params/n_components"));
    }
}
