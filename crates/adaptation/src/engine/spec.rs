//! What a fit runs: method, learner, features, evaluation and seed, with everything resolved.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::features::FeatureParams;
use crate::methods::Needs;

/// A method or a learner with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    pub id: String,
    /// Those that are not named have their defaults.
    #[serde(default)]
    pub params: Value,
}

/// The library's part of a job's spec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    pub method: Choice,
    /// What follows the method; of source-only alone where the method brings its own predictor.
    pub learner: Choice,
    #[serde(default)]
    pub features: FeatureParams,
    pub evaluation: Evaluation,
    #[serde(default)]
    pub seed: u64,
}

/// How the adapted model is scored against known labels of the target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Evaluation {
    /// All target rows are adapted to without their labels, and scored by labels kept aside.
    TargetLabels {},
    /// A stratified share of the labelled target rows is kept out of everything and scored.
    HoldOut {
        #[serde(default = "default_fraction")]
        #[schemars(range(min = 0.01, max = 0.99))]
        fraction: f64,
    },
    /// Every labelled target row is scored by a model that was fitted without its fold.
    KFold {
        #[serde(default = "default_folds")]
        #[schemars(range(min = 2, max = 100))]
        n_folds: usize,
    },
    /// As k folds, with as many folds as labelled rows.
    LeaveOneOut {},
    /// Fitted on target rows drawn with replacement, scored on the rows that were not drawn.
    Bootstrap {
        #[serde(default = "default_draws")]
        #[schemars(range(min = 1, max = 1000))]
        n_draws: usize,
    },
    /// No score; metrics then hold only distances.
    None {},
}

fn default_fraction() -> f64 {
    0.2
}

fn default_folds() -> usize {
    5
}

fn default_draws() -> usize {
    50
}

impl Evaluation {
    /// The evaluation where a spec names none: labels of the target are kept aside where there are
    /// any; a method that uses them leaves a fifth out.
    pub fn default_for(target_is_labelled: bool, needs: Needs) -> Self {
        match (target_is_labelled, needs) {
            (false, _) => Evaluation::None {},
            (true, Needs::Nothing) => Evaluation::TargetLabels {},
            (true, Needs::TargetLabels) => Evaluation::HoldOut { fraction: default_fraction() },
        }
    }
}
