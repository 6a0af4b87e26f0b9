//! What a method is. Authors write an [`Adapter`] (maps and weights; any learner follows), a
//! [`MetaEstimator`] (takes the learner and fits it in its own way) or an [`Estimator`] (brings its own
//! predictor); the rest of the program sees an erased [`Method`].

use std::collections::BTreeMap;
use std::marker::PhantomData;

use ndarray::Array1;
use serde::Serialize;
use serde_json::Value;

use crate::context::{Ctx, FitError};
use crate::data::{Dataset, Labels, Problem, Task, TaskKind};
use crate::features::{DomainMaps, Map};
use crate::learners::{BoundLearner, ErasedLearner, LearnerCard, Predictor, Settled, Targets, Training};
use crate::linalg::Matrix;
use crate::params::{Checked, ParamErrors, Params, schema_of};
use crate::parts::{LoadError, Parts};

/// The family a method belongs to; also the folder it stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    Baselines,
    StatisticalAlignment,
    Mmd,
    ClassStructure,
    Reweighting,
    Parameters,
}

/// What a method asks for beyond labelled sources and target rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    Nothing,
    /// Some target rows must be labelled, and their labels reach the fit.
    TargetLabels,
}

/// The toy shift on which a method must beat `source_only`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Toy {
    Covariate,
    Label,
    Concept,
    Subspace,
    /// Per-column location and scale.
    Affine,
    /// None: the method is a baseline.
    None,
}

/// The static description of a method.
#[derive(Debug, Clone, Copy)]
pub struct Card {
    /// Equal to the file's stem.
    pub id: &'static str,
    pub title: &'static str,
    pub family: Family,
    /// One or two sentences for somebody who never met it.
    pub summary: &'static str,
    pub when_to_use: &'static str,
    pub when_not: &'static str,
    pub tasks: &'static [TaskKind],
    pub needs: Needs,
    /// The cost in n, d, k, C.
    pub cost: &'static str,
    pub references: &'static [&'static str],
    /// Where the defaults come from.
    pub defaults_from: &'static str,
    pub toy: Toy,
    /// Conformance checks that this method does not have to pass, each with the reason.
    pub waived: &'static [(&'static str, &'static str)],
}

/// The rows on which the learner is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrainOn {
    Sources,
    Target,
    SourcesAndTarget,
}

/// What an adapter yields.
#[derive(Debug, Clone)]
pub struct Adaptation {
    pub maps: DomainMaps,
    /// Weights of the rows of each source, as many vectors as sources; `None` means equal.
    pub weights: Option<Vec<Array1<f64>>>,
    pub train_on: TrainOn,
    /// Numbers about the fit, such as an effective sample size.
    pub diagnostics: BTreeMap<String, f64>,
}

impl Adaptation {
    /// Maps only; the learner is fitted on the mapped sources.
    pub fn of_maps(maps: DomainMaps) -> Self {
        Self { maps, weights: None, train_on: TrainOn::Sources, diagnostics: BTreeMap::new() }
    }
}

/// What the author of an adapter writes.
pub trait Adapter: 'static {
    const CARD: Card;
    type Params: Params;

    /// # Errors
    /// [`FitError`] with the reason, also where the result would be degenerate.
    fn adapt(problem: &Problem, params: &Checked<Self::Params>, ctx: &mut Ctx) -> Result<Adaptation, FitError>;

    /// The memory that `adapt` takes beyond its input, in bytes, before it starts.
    fn memory_bytes(problem: &Problem, _params: &Checked<Self::Params>) -> u64 {
        let (n, d) = (n_rows(problem), problem.n_features());
        8 * (2 * n * d + 3 * d * d) as u64
    }
}

/// What the author of a method that wraps the learner writes.
pub trait MetaEstimator: 'static {
    const CARD: Card;
    type Params: Params;

    /// Whether the method can wrap this learner. Asked before a job is accepted and again by every fit.
    ///
    /// # Errors
    /// Why it cannot, for the caller to read.
    fn accepts(_learner: &LearnerCard) -> Result<(), String> {
        Ok(())
    }

    /// # Errors
    /// [`FitError`] with the reason.
    fn fit(
        problem: &Problem,
        learner: &BoundLearner,
        params: &Checked<Self::Params>,
        ctx: &mut Ctx,
    ) -> Result<FittedMethod, FitError>;

    /// The memory that `fit` takes beyond its input, in bytes, before it starts.
    fn memory_bytes(problem: &Problem, _params: &Checked<Self::Params>) -> u64 {
        8 * (2 * n_rows(problem) * problem.n_features()) as u64
    }
}

/// What an estimator yields: maps into the space in which its own model predicts.
pub struct Estimate<M> {
    pub maps: DomainMaps,
    pub model: M,
    /// Numbers about the fit, such as how many pseudo-labels still changed.
    pub diagnostics: BTreeMap<String, f64>,
}

/// What the author of a method with a predictor of its own writes.
pub trait Estimator: 'static {
    const CARD: Card;
    type Params: Params;
    type Model: Predictor + 'static;

    /// # Errors
    /// [`FitError`] with the reason, also where the result would be degenerate.
    fn fit(problem: &Problem, params: &Checked<Self::Params>, ctx: &mut Ctx)
    -> Result<Estimate<Self::Model>, FitError>;

    /// # Errors
    /// [`LoadError`] where the parts cannot have been saved by this method's model.
    fn load(parts: &Parts) -> Result<Self::Model, LoadError>;

    /// The memory that `fit` takes beyond its input, in bytes, before it starts.
    fn memory_bytes(problem: &Problem, _params: &Checked<Self::Params>) -> u64 {
        let (n, d) = (n_rows(problem), problem.n_features());
        8 * (2 * n * d + 3 * d * d) as u64
    }
}

/// Rows of all domains together.
fn n_rows(problem: &Problem) -> usize {
    problem.sources.iter().chain([&problem.target]).map(Dataset::n_rows).sum()
}

/// A fitted method: how rows are mapped, and what predicts from them.
pub struct FittedMethod {
    pub maps: DomainMaps,
    pub predictor: Box<dyn Predictor>,
    /// Normalised weights of the pooled source rows, where the method weighs them.
    pub weights: Option<Array1<f64>>,
    pub diagnostics: BTreeMap<String, f64>,
}

impl From<Settled> for FittedMethod {
    fn from(Settled { maps, predictor, diagnostics }: Settled) -> Self {
        Self { maps, predictor, weights: None, diagnostics }
    }
}

/// A method as the list holds it.
pub trait Method: Send + Sync {
    fn card(&self) -> &'static Card;
    fn schema(&self) -> Value;
    /// # Errors
    /// All that is wrong with the parameters.
    fn check(&self, params: &Value) -> Result<(), ParamErrors>;
    /// Whether this learner can follow the method.
    ///
    /// # Errors
    /// Why it cannot.
    fn accepts(&self, _learner: &LearnerCard) -> Result<(), String> {
        Ok(())
    }
    /// Whether the method brings a predictor of its own, so that no learner follows it.
    fn brings_predictor(&self) -> bool {
        false
    }
    /// The predictor that a fit of this method saved; `learner` is the one that followed it.
    ///
    /// # Errors
    /// [`LoadError`] where the parts cannot have been saved by such a predictor.
    fn load(&self, learner: &dyn ErasedLearner, parts: &Parts) -> Result<Box<dyn Predictor>, LoadError> {
        learner.load(parts)
    }
    /// # Errors
    /// As the method's own fit; parameters must have passed `check`.
    fn fit(
        &self,
        problem: &Problem,
        params: &Value,
        learner: &BoundLearner,
        ctx: &mut Ctx,
    ) -> Result<FittedMethod, FitError>;
    /// The memory that a fit takes beyond its input, in bytes.
    fn memory_bytes(&self, problem: &Problem, params: &Value) -> u64;
}

/// Wraps an [`Adapter`] for the list.
pub struct AdapterMethod<A>(PhantomData<fn() -> A>);

/// Wraps a [`MetaEstimator`] for the list.
pub struct MetaMethod<M>(PhantomData<fn() -> M>);

/// Wraps an [`Estimator`] for the list.
pub struct EstimatorMethod<E>(PhantomData<fn() -> E>);

impl<A> AdapterMethod<A> {
    #[expect(clippy::new_without_default, reason = "made once, in the list")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<M> MetaMethod<M> {
    #[expect(clippy::new_without_default, reason = "made once, in the list")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<E> EstimatorMethod<E> {
    #[expect(clippy::new_without_default, reason = "made once, in the list")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

fn checked<P: Params>(params: &Value) -> Result<Checked<P>, FitError> {
    Checked::new(params).map_err(|e| FitError::Invalid { pointer: "/method/params".into(), detail: e.to_string() })
}

fn sound(problem: &Problem) -> Result<(), FitError> {
    problem.check().map_err(|e| FitError::Degenerate(e.to_string()))
}

impl<A: Adapter> Method for AdapterMethod<A> {
    fn card(&self) -> &'static Card {
        &A::CARD
    }

    fn schema(&self) -> Value {
        schema_of::<A::Params>()
    }

    fn check(&self, params: &Value) -> Result<(), ParamErrors> {
        Checked::<A::Params>::new(params).map(drop)
    }

    fn fit(
        &self,
        problem: &Problem,
        params: &Value,
        learner: &BoundLearner,
        ctx: &mut Ctx,
    ) -> Result<FittedMethod, FitError> {
        let params = checked::<A::Params>(params)?;
        sound(problem)?;
        ctx.reserve(A::CARD.id, A::memory_bytes(problem, &params))?;
        let adaptation = A::adapt(problem, &params, ctx)?;
        ctx.check()?;
        let rows = Labelled::gather(problem, &adaptation)?;
        let predictor = learner.fit(&rows.training(&problem.task), ctx)?;
        let weights = adaptation.weights.is_some().then(|| rows.weights.clone()).flatten();
        Ok(FittedMethod { maps: adaptation.maps, predictor, weights, diagnostics: adaptation.diagnostics })
    }

    fn memory_bytes(&self, problem: &Problem, params: &Value) -> u64 {
        checked::<A::Params>(params).map_or(0, |p| A::memory_bytes(problem, &p))
    }
}

impl<M: MetaEstimator> Method for MetaMethod<M> {
    fn card(&self) -> &'static Card {
        &M::CARD
    }

    fn schema(&self) -> Value {
        schema_of::<M::Params>()
    }

    fn check(&self, params: &Value) -> Result<(), ParamErrors> {
        Checked::<M::Params>::new(params).map(drop)
    }

    fn accepts(&self, learner: &LearnerCard) -> Result<(), String> {
        M::accepts(learner)
    }

    fn fit(
        &self,
        problem: &Problem,
        params: &Value,
        learner: &BoundLearner,
        ctx: &mut Ctx,
    ) -> Result<FittedMethod, FitError> {
        let checked = checked::<M::Params>(params)?;
        M::accepts(learner.learner.card())
            .map_err(|detail| FitError::Invalid { pointer: "/learner/id".into(), detail })?;
        sound(problem)?;
        ctx.reserve(M::CARD.id, M::memory_bytes(problem, &checked))?;
        ctx.check()?;
        M::fit(problem, learner, &checked, ctx)
    }

    fn memory_bytes(&self, problem: &Problem, params: &Value) -> u64 {
        checked::<M::Params>(params).map_or(0, |p| M::memory_bytes(problem, &p))
    }
}

impl<E: Estimator> Method for EstimatorMethod<E> {
    fn card(&self) -> &'static Card {
        &E::CARD
    }

    fn schema(&self) -> Value {
        schema_of::<E::Params>()
    }

    fn check(&self, params: &Value) -> Result<(), ParamErrors> {
        Checked::<E::Params>::new(params).map(drop)
    }

    fn brings_predictor(&self) -> bool {
        true
    }

    fn load(&self, _: &dyn ErasedLearner, parts: &Parts) -> Result<Box<dyn Predictor>, LoadError> {
        Ok(Box::new(E::load(parts)?))
    }

    fn fit(
        &self,
        problem: &Problem,
        params: &Value,
        _: &BoundLearner,
        ctx: &mut Ctx,
    ) -> Result<FittedMethod, FitError> {
        let params = checked::<E::Params>(params)?;
        sound(problem)?;
        ctx.reserve(E::CARD.id, E::memory_bytes(problem, &params))?;
        ctx.check()?;
        let Estimate { maps, model, diagnostics } = E::fit(problem, &params, ctx)?;
        Ok(FittedMethod { maps, predictor: Box::new(model), weights: None, diagnostics })
    }

    fn memory_bytes(&self, problem: &Problem, params: &Value) -> u64 {
        checked::<E::Params>(params).map_or(0, |p| E::memory_bytes(problem, &p))
    }
}

/// Labelled rows in the form that learners take.
#[derive(Debug, Clone)]
pub struct Labelled {
    pub x: Matrix,
    pub codes: Vec<usize>,
    pub values: Vec<f64>,
    pub weights: Option<Array1<f64>>,
}

impl Labelled {
    /// The labelled rows of one dataset after a map; rows of unknown label are left out.
    pub fn of(dataset: &Dataset, map: &Map, weights: Option<&Array1<f64>>) -> Labelled {
        let known = dataset.labels.known_rows();
        let x =
            map.apply(&if known.len() == dataset.n_rows() { dataset.x.clone() } else { dataset.x.select_rows(&known) });
        let (codes, values) = match &dataset.labels {
            Labels::Classes(v) => (v.iter().flatten().copied().collect(), Vec::new()),
            Labels::Values(v) => (Vec::new(), v.iter().flatten().copied().collect()),
        };
        // A method's weights multiply those that came with the data.
        let weights = match (&dataset.weights, weights) {
            (Some(a), Some(b)) => Some(a * b),
            (Some(a), None) => Some(a.clone()),
            (None, Some(b)) => Some(b.clone()),
            (None, None) => None,
        };
        Labelled { x, codes, values, weights: weights.map(|w| w.select(ndarray::Axis(0), &known)) }
    }

    /// The rows that an adaptation trains on, mapped and weighted.
    ///
    /// # Errors
    /// [`FitError::LabelMissing`] where none is labelled.
    pub fn gather(problem: &Problem, adaptation: &Adaptation) -> Result<Labelled, FitError> {
        let mut parts = Vec::new();
        if adaptation.train_on != TrainOn::Target {
            for (s, (source, map)) in problem.sources.iter().zip(&adaptation.maps.sources).enumerate() {
                parts.push(Labelled::of(source, map, adaptation.weights.as_ref().map(|w| &w[s])));
            }
        }
        if adaptation.train_on != TrainOn::Sources {
            parts.push(Labelled::of(&problem.target, &adaptation.maps.target, None));
        }
        let n: usize = parts.iter().map(|p| p.x.n_rows()).sum();
        if n == 0 {
            return Err(FitError::LabelMissing("no row that the method trains on is labelled".into()));
        }
        let weights = parts.iter().any(|p| p.weights.is_some()).then(|| {
            parts
                .iter()
                .flat_map(|p| match &p.weights {
                    Some(w) => w.to_vec(),
                    None => vec![1.0; p.x.n_rows()],
                })
                .collect()
        });
        Ok(Labelled {
            x: Matrix::stack(&parts.iter().map(|p| &p.x).collect::<Vec<_>>()),
            codes: parts.iter().flat_map(|p| p.codes.iter().copied()).collect(),
            values: parts.iter().flat_map(|p| p.values.iter().copied()).collect(),
            weights,
        })
    }

    pub fn training(&self, task: &Task) -> Training<'_> {
        let y = match task {
            Task::Classification { classes } => Targets::Classes { codes: &self.codes, n_classes: classes.len() },
            Task::Regression => Targets::Values(&self.values),
        };
        Training { x: &self.x, y, weights: self.weights.as_ref().map(|w| w.view()) }
    }
}
