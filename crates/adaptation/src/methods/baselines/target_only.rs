//! The learner fitted on the target's labelled rows alone: with all of them an upper bound of what
//! adapting could reach, with a few of them what adapting must beat.
//!
//! **Cost.** That of the learner on the labelled target rows. **When not.** As a candidate where target
//! labels are kept for scoring: it is marked as an oracle there. **New rows** are predicted directly.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Problem, TaskKind};
use crate::methods::{Adaptation, Adapter, Card, DomainMaps, Family, Needs, Toy, TrainOn};
use crate::params::Checked;

/// No parameters.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {}

pub struct TargetOnly;

impl Adapter for TargetOnly {
    const CARD: Card = Card {
        id: "target_only",
        title: "Target only",
        family: Family::Baselines,
        summary: "Trains on the target's own labelled rows and ignores the sources.",
        when_to_use: "As an upper bound where many target rows are labelled; as a baseline where a few are.",
        when_not: "Where no target row is labelled.",
        tasks: &[TaskKind::Classification, TaskKind::Regression],
        needs: Needs::TargetLabels,
        cost: "that of the learner on the labelled target rows",
        references: &[],
        defaults_from: "no parameters",
        toy: Toy::Concept,
        waived: &[(
            "equal_domains_change_nothing",
            "it is fitted on the labelled target rows alone, fewer than the source's, whatever the source is",
        )],
    };
    type Params = Params;

    fn adapt(problem: &Problem, _: &Checked<Params>, _: &mut Ctx) -> Result<Adaptation, FitError> {
        if problem.target.labels.known_rows().is_empty() {
            return Err(FitError::LabelMissing("target_only needs labelled target rows; there are none".into()));
        }
        let maps = DomainMaps::identity(problem.sources.len());
        Ok(Adaptation { train_on: TrainOn::Target, ..Adaptation::of_maps(maps) })
    }

    fn memory_bytes(_: &Problem, _: &Checked<Params>) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::context::Silent;
    use crate::data::toy;

    #[track_caller]
    fn check(n_labelled: usize, expected: Result<TrainOn, &str>) {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let size = toy::Size { n_labelled, ..toy::Size::default() };
        let (problem, _) = toy::classification(toy::Shift::Concept, size, &mut rng);
        let got = TargetOnly::adapt(&problem, &Checked::default(), &mut Ctx::new(0, &Silent));
        assert_eq!(got.map(|a| a.train_on).map_err(|e| e.code()), expected);
    }

    #[test]
    fn it_trains_on_labelled_target_rows_and_refuses_without_any() {
        check(1, Ok(TrainOn::Target));
        check(0, Err("job.label_missing"));
    }
}
