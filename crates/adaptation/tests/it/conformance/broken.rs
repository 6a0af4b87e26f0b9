//! A sound method, and copies of it that are each broken in one way, to show that every check notices.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use adaptation::context::{Ctx, FitError};
use adaptation::data::{Labels, Problem, TaskKind};
use adaptation::features::{DomainMaps, Map};
use adaptation::learners::{BoundLearner, LinearModel, Prediction, Predictor};
use adaptation::linalg::Matrix;
use adaptation::methods::statistical_alignment::moment_matching::MomentMatching;
use adaptation::methods::{AdapterMethod, Card, Family, FittedMethod, Method, Needs, Toy};
use adaptation::params::{Checked, ParamErrors, schema_of};
use adaptation::parts::Parts;
use ndarray::Array1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What is wrong with a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    RefusesItsDefaults,
    AcceptsEverything,
    AcceptsUnknownNames,
    SchemaWithoutBounds,
    PredictsOneNumber,
    ChangesFromFitToFit,
    LooksAtTheFirstRow,
    PanicsOnEqualRows,
    GivesNaN,
    AcceptsNaN,
    NamesNoPlace,
    SavesOtherNumbers,
    LooksAtTheBatch,
    NeverAsks,
    SwallowsCancel,
    IgnoresTheBudget,
    TakesOneSource,
    LooksAtTargetLabels,
    TrainsWithoutAdapting,
    MovesEqualDomains,
}

pub(crate) struct Faulty(pub(crate) Fault);

pub(crate) static SOUND: Faulty = Faulty(Fault::None);

/// The check, and a method that it must refuse.
pub(crate) static METHODS: &[(&str, &dyn Method)] = &[
    ("defaults_are_valid", &Faulty(Fault::RefusesItsDefaults)),
    ("bounds_refuse_just_outside", &Faulty(Fault::AcceptsEverything)),
    ("bounds_refuse_just_outside", &Faulty(Fault::AcceptsUnknownNames)),
    ("bounds_refuse_just_outside", &Faulty(Fault::SchemaWithoutBounds)),
    ("fits_every_task_of_its_card", &Faulty(Fault::PredictsOneNumber)),
    ("same_seed_same_bits", &Faulty(Fault::ChangesFromFitToFit)),
    ("order_of_source_rows_does_not_matter", &Faulty(Fault::LooksAtTheFirstRow)),
    ("odd_data_does_not_panic", &Faulty(Fault::PanicsOnEqualRows)),
    ("odd_data_does_not_panic", &Faulty(Fault::GivesNaN)),
    ("not_finite_is_refused_with_its_place", &Faulty(Fault::AcceptsNaN)),
    ("not_finite_is_refused_with_its_place", &Faulty(Fault::NamesNoPlace)),
    ("saved_and_loaded_predicts_the_same", &Faulty(Fault::SavesOtherNumbers)),
    ("one_row_is_predicted_as_in_a_batch", &Faulty(Fault::LooksAtTheBatch)),
    ("cancel_is_honoured", &Faulty(Fault::NeverAsks)),
    ("cancel_is_honoured", &Faulty(Fault::SwallowsCancel)),
    ("budget_is_honoured", &Faulty(Fault::IgnoresTheBudget)),
    ("several_sources_are_taken", &Faulty(Fault::TakesOneSource)),
    ("target_labels_are_used_as_the_card_says", &Faulty(Fault::LooksAtTargetLabels)),
    ("beats_source_only_on_its_toy", &Faulty(Fault::TrainsWithoutAdapting)),
    ("equal_domains_change_nothing", &Faulty(Fault::MovesEqualDomains)),
];

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Params {
    /// A number with bounds, for the checks of bounds.
    #[schemars(range(min = 0.0, max = 1.0))]
    share: f64,
}

static CARD: Card = Card {
    id: "faulty",
    title: "Faulty",
    family: Family::Baselines,
    summary: "Moment matching, broken in one way.",
    when_to_use: "In tests of the checks.",
    when_not: "Anywhere else.",
    tasks: &[TaskKind::Classification, TaskKind::Regression],
    needs: Needs::Nothing,
    cost: "O(n d)",
    references: &[],
    defaults_from: "nowhere",
    toy: Toy::Affine,
    waived: &[],
};

static INNER: AdapterMethod<MomentMatching> = AdapterMethod::new();
static FITS: AtomicU64 = AtomicU64::new(0);

impl Method for Faulty {
    fn card(&self) -> &'static Card {
        &CARD
    }

    fn schema(&self) -> Value {
        match self.0 {
            Fault::SchemaWithoutBounds => {
                json!({"properties": {"share": {"type": "number", "description": "no bounds"}}})
            }
            _ => schema_of::<Params>(),
        }
    }

    fn check(&self, params: &Value) -> Result<(), ParamErrors> {
        match self.0 {
            Fault::RefusesItsDefaults => Checked::<Params>::new(&json!({"share": 2.0})).map(drop),
            Fault::AcceptsEverything => Ok(()),
            Fault::AcceptsUnknownNames if params.get("share").is_none() => Ok(()),
            _ => Checked::<Params>::new(params).map(drop),
        }
    }

    fn fit(
        &self,
        problem: &Problem,
        params: &Value,
        learner: &BoundLearner,
        ctx: &mut Ctx,
    ) -> Result<FittedMethod, FitError> {
        match self.0 {
            Fault::TrainsWithoutAdapting => {
                let source_only = adaptation::methods::find("source_only").expect("it is on the list");
                return source_only.fit(problem, params, learner, ctx);
            }
            Fault::AcceptsNaN if problem.check().is_err() => {
                return self.fit(&without_nan(problem), params, learner, ctx);
            }
            Fault::NamesNoPlace if problem.check().is_err() => {
                return Err(FitError::Degenerate("something is wrong".into()));
            }
            Fault::NeverAsks => {
                return INNER.fit(problem, params, learner, &mut Ctx::new(ctx.seed(), &adaptation::context::Silent));
            }
            Fault::SwallowsCancel if ctx.check().is_err() => return Err(FitError::Numerical("stopped".into())),
            Fault::IgnoresTheBudget => {
                return INNER.fit(problem, params, learner, &mut Ctx::new(ctx.seed(), ctx.observer()));
            }
            _ => {}
        }
        let fitted = INNER.fit(problem, params, learner, ctx)?;
        Ok(self.spoil(fitted, problem))
    }

    fn memory_bytes(&self, problem: &Problem, params: &Value) -> u64 {
        INNER.memory_bytes(problem, params)
    }
}

impl Faulty {
    fn spoil(&self, mut fitted: FittedMethod, problem: &Problem) -> FittedMethod {
        let first = problem.sources[0].x.dense();
        let moved = |by: f64| Map::Scale {
            shift: Array1::zeros(problem.n_features()),
            scale: Array1::ones(problem.n_features()),
            offset: Array1::from_elem(problem.n_features(), by),
        };
        let then = |map: Map, maps: &DomainMaps| Map::Chain(vec![map, maps.target.clone()]);
        match self.0 {
            Fault::ChangesFromFitToFit => {
                fitted.maps.target = then(moved(FITS.fetch_add(1, Ordering::SeqCst) as f64), &fitted.maps);
            }
            Fault::MovesEqualDomains => fitted.maps.target = then(moved(1.0), &fitted.maps),
            Fault::LooksAtTheFirstRow => fitted.maps.target = then(moved(first[[0, 0]]), &fitted.maps),
            Fault::PanicsOnEqualRows => assert!(first.iter().any(|v| *v != first[[0, 0]]), "all rows are equal"),
            Fault::GivesNaN if problem.n_features() == 1 => fitted.maps.target = moved(f64::NAN),
            Fault::TakesOneSource => fitted.maps.sources.truncate(1),
            Fault::LooksAtTargetLabels if !problem.target.labels.known_rows().is_empty() => {
                fitted.maps.target = then(moved(1.0), &fitted.maps);
            }
            Fault::PredictsOneNumber | Fault::SavesOtherNumbers | Fault::LooksAtTheBatch => {
                fitted.predictor = Box::new(Spoiled { inner: fitted.predictor, fault: self.0 });
            }
            _ => {}
        }
        FittedMethod { diagnostics: BTreeMap::new(), ..fitted }
    }
}

fn without_nan(problem: &Problem) -> Problem {
    let mut problem = problem.clone();
    for dataset in problem.sources.iter_mut().chain([&mut problem.target]) {
        dataset.x = dataset.x.dense().mapv(|v| if v.is_finite() { v } else { 0.0 }).into();
    }
    debug_assert!(matches!(problem.target.labels, Labels::Classes(_) | Labels::Values(_)));
    problem
}

/// A model that is broken where the method is not.
struct Spoiled {
    inner: Box<dyn Predictor>,
    fault: Fault,
}

impl Predictor for Spoiled {
    fn predict(&self, x: &Matrix) -> Prediction {
        let mut prediction = self.inner.predict(x);
        let spoil = |v: f64| match self.fault {
            Fault::PredictsOneNumber => 1.0,
            Fault::LooksAtTheBatch => v + x.n_rows() as f64,
            _ => v,
        };
        match &mut prediction {
            Prediction::Classes { scores, .. } => scores.mapv_inplace(spoil),
            Prediction::Values(values) => values.mapv_inplace(spoil),
        }
        prediction
    }

    fn n_features(&self) -> usize {
        self.inner.n_features()
    }

    fn save(&self) -> Parts {
        let mut parts = self.inner.save();
        if self.fault == Fault::SavesOtherNumbers
            && let Some(intercept) = parts.arrays.get_mut("intercept")
        {
            intercept.mapv_inplace(|v| v + 1.0);
        }
        parts
    }

    fn linear(&self) -> Option<&LinearModel> {
        self.inner.linear()
    }
}
