//! No adaptation: the learner is fitted on the sources and used on the target as it is.
//!
//! **Cost.** That of the learner. **When.** Always, as what an adaptation must beat. **New rows** are
//! predicted by the learner directly.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::context::{Ctx, FitError};
use crate::data::{Problem, TaskKind};
use crate::methods::{Adaptation, Adapter, Card, DomainMaps, Family, Needs, Toy};
use crate::params::Checked;

/// No parameters.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {}

pub struct SourceOnly;

impl Adapter for SourceOnly {
    const CARD: Card = Card {
        id: "source_only",
        title: "Source only",
        family: Family::Baselines,
        summary: "Trains on the sources and predicts the target unchanged.",
        when_to_use: "As the baseline that every adaptation has to beat.",
        when_not: "Where an adaptation scores higher on rows that neither of them has seen.",
        tasks: &[TaskKind::Classification, TaskKind::Regression],
        needs: Needs::Nothing,
        cost: "that of the learner",
        references: &[],
        defaults_from: "no parameters",
        toy: Toy::None,
        waived: &[],
    };
    type Params = Params;

    fn adapt(problem: &Problem, _: &Checked<Params>, _: &mut Ctx) -> Result<Adaptation, FitError> {
        Ok(Adaptation::of_maps(DomainMaps::identity(problem.sources.len())))
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
    use crate::methods::TrainOn;

    #[test]
    fn it_changes_nothing_and_trains_on_the_sources() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let (problem, _) = toy::classification(toy::Shift::Affine, toy::Size::default(), &mut rng);
        let got = SourceOnly::adapt(&problem, &Checked::default(), &mut Ctx::new(0, &Silent)).unwrap();
        assert!(got.maps.is_identity());
        assert_eq!((got.train_on, got.weights), (TrainOn::Sources, None));
    }
}
