//! The learner fitted on all labelled rows, those of the sources and those of the target, as if they
//! were of one domain. The simplest use of a few target labels; `target_weight` says how many source
//! rows one of them is worth.
//!
//! **Cost.** That of the learner on the pooled rows. **When not.** Where the sources contradict the
//! target and outnumber it: see `fine_tuning`. **New rows** are predicted directly.

use ndarray::Array1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Problem, TaskKind};
use crate::methods::{Adaptation, Adapter, Card, DomainMaps, Family, Needs, Toy, TrainOn};
use crate::params::Checked;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// How much one labelled target row counts, where a source row counts 1.
    #[schemars(range(min = 1e-6, max = 1e6))]
    pub target_weight: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { target_weight: 1.0 }
    }
}

pub struct Pooled;

impl Adapter for Pooled {
    const CARD: Card = Card {
        id: "pooled",
        title: "Pooled",
        family: Family::Baselines,
        summary: "Trains on the sources and the target's labelled rows together.",
        when_to_use: "As the baseline where some target rows are labelled.",
        when_not: "Where no target row is labelled, or where sources contradict the target.",
        tasks: &[TaskKind::Classification, TaskKind::Regression],
        needs: Needs::TargetLabels,
        cost: "that of the learner on all labelled rows",
        references: &["Daumé III, Frustratingly easy domain adaptation, ACL 2007 (its baseline ALL)"],
        defaults_from: "every row counts the same",
        toy: Toy::Concept,
        waived: &[],
    };
    type Params = Params;

    fn adapt(problem: &Problem, params: &Checked<Params>, _: &mut Ctx) -> Result<Adaptation, FitError> {
        if problem.target.labels.known_rows().is_empty() {
            return Err(FitError::LabelMissing("pooled needs labelled target rows; there are none".into()));
        }
        let maps = DomainMaps::identity(problem.sources.len());
        // Only ratios of weights matter, so the sources are weighed instead of the target.
        let weights = (params.target_weight != 1.0).then(|| {
            problem.sources.iter().map(|s| Array1::from_elem(s.n_rows(), params.target_weight.recip())).collect()
        });
        Ok(Adaptation { train_on: TrainOn::SourcesAndTarget, weights, ..Adaptation::of_maps(maps) })
    }

    fn memory_bytes(problem: &Problem, _: &Checked<Params>) -> u64 {
        let n: usize = problem.sources.iter().map(|s| s.n_rows()).sum();
        8 * n as u64
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use serde_json::json;

    use super::*;
    use crate::context::Silent;
    use crate::data::toy;
    use crate::methods::Labelled;

    #[test]
    fn target_rows_join_the_sources_with_the_ratio_asked_for() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let size = toy::Size { n_labelled: 5, ..toy::Size::default() };
        let (problem, _) = toy::classification(toy::Shift::Concept, size, &mut rng);
        let params = Checked::new(&json!({"target_weight": 4.0})).unwrap();
        let got = Pooled::adapt(&problem, &params, &mut Ctx::new(0, &Silent)).unwrap();
        let rows = Labelled::gather(&problem, &got).unwrap();
        let weights = rows.weights.unwrap();
        assert_eq!(weights.len(), size.n_source + 5);
        assert_eq!(weights[size.n_source] / weights[0], 4.0);
    }
}
