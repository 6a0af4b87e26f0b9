//! What a base learner is: it fits weighted rows, may start from a fitted model, and predicts.

use std::marker::PhantomData;

use ndarray::{Array1, Array2, ArrayView1};
use serde_json::Value;

use crate::context::{Ctx, FitError};
use crate::data::TaskKind;
use crate::linalg::Matrix;
pub use crate::metrics::ScoreKind as Scores;
use crate::params::{Checked, ParamErrors, Params, schema_of};
use crate::parts::{LoadError, Parts};

/// The static description of a learner.
#[derive(Debug, Clone, Copy)]
pub struct LearnerCard {
    /// Equal to the file's stem.
    pub id: &'static str,
    pub title: &'static str,
    /// One or two sentences for somebody who never met it.
    pub summary: &'static str,
    pub tasks: &'static [TaskKind],
    /// The cost in n, d, C.
    pub cost: &'static str,
    pub references: &'static [&'static str],
    /// Whether it can start from a fitted model and be pulled towards it.
    pub warm_start: bool,
}

/// Labels of training rows; all are known.
#[derive(Debug, Clone, Copy)]
pub enum Targets<'a> {
    Classes { codes: &'a [usize], n_classes: usize },
    Values(&'a [f64]),
}

/// Rows to learn from.
#[derive(Debug, Clone, Copy)]
pub struct Training<'a> {
    /// `(n, d)`, finite, n ≥ 1.
    pub x: &'a Matrix,
    /// `(n,)`
    pub y: Targets<'a>,
    /// `(n,)`, finite, not negative, not all zero; only their ratios matter. `None` means equal.
    pub weights: Option<ArrayView1<'a, f64>>,
}

/// A fitted model to start from.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    pub model: &'a dyn Predictor,
    /// Strength λ of the pull λ/2·‖w − w₀‖² towards the start (L2-SP, Li, Grandvalet and Davoine 2018),
    /// which then replaces the learner's own l2; 0 only begins there and keeps it.
    pub pull: f64,
    /// Rows on which an iterative fit stops early: the iterate with the least loss there is kept.
    pub validation: Option<&'a Training<'a>>,
}

/// Predictions for n rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Prediction {
    /// `codes (n,)`; `scores (n, C)`.
    Classes { codes: Vec<usize>, scores: Array2<f64>, kind: Scores },
    /// `(n,)`
    Values(Array1<f64>),
}

/// The weights of a linear model, `f(x) = coef · x + intercept`.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearModel {
    /// `(k, d)`, k outputs.
    pub coef: Array2<f64>,
    /// `(k,)`
    pub intercept: Array1<f64>,
}

/// A fitted learner.
pub trait Predictor: Send + Sync {
    /// `x (n, d)` with d as in training.
    fn predict(&self, x: &Matrix) -> Prediction;

    /// d
    fn n_features(&self) -> usize;

    fn save(&self) -> Parts;

    /// The weights, where the model is linear: what a warm start begins with.
    fn linear(&self) -> Option<&LinearModel> {
        None
    }
}

/// What the author of a learner writes.
pub trait Learner: 'static {
    const CARD: LearnerCard;
    type Params: Params;
    type Model: Predictor + 'static;

    /// # Errors
    /// [`FitError`] with the reason. `start` is `Some` only where the card says `warm_start`.
    fn fit(
        training: &Training,
        start: Option<&Start>,
        params: &Checked<Self::Params>,
        ctx: &mut Ctx,
    ) -> Result<Self::Model, FitError>;

    /// # Errors
    /// [`LoadError`] where the parts cannot have been saved by this learner.
    fn load(parts: &Parts) -> Result<Self::Model, LoadError>;
}

/// A learner as the list holds it.
pub trait ErasedLearner: Send + Sync {
    fn card(&self) -> &'static LearnerCard;
    fn schema(&self) -> Value;
    /// # Errors
    /// All that is wrong with the parameters.
    fn check(&self, params: &Value) -> Result<(), ParamErrors>;
    /// # Errors
    /// As the learner's own fit; parameters must have passed `check`.
    fn fit(
        &self,
        training: &Training,
        start: Option<&Start>,
        params: &Value,
        ctx: &mut Ctx,
    ) -> Result<Box<dyn Predictor>, FitError>;
    /// # Errors
    /// As the learner's own load.
    fn load(&self, parts: &Parts) -> Result<Box<dyn Predictor>, LoadError>;
}

/// Wraps a [`Learner`] for the list.
pub struct WithLearner<L>(PhantomData<fn() -> L>);

impl<L> WithLearner<L> {
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<L> Default for WithLearner<L> {
    fn default() -> Self {
        Self::new()
    }
}

impl<L: Learner> ErasedLearner for WithLearner<L> {
    fn card(&self) -> &'static LearnerCard {
        &L::CARD
    }

    fn schema(&self) -> Value {
        schema_of::<L::Params>()
    }

    fn check(&self, params: &Value) -> Result<(), ParamErrors> {
        Checked::<L::Params>::new(params).map(drop)
    }

    fn fit(
        &self,
        training: &Training,
        start: Option<&Start>,
        params: &Value,
        ctx: &mut Ctx,
    ) -> Result<Box<dyn Predictor>, FitError> {
        let params = Checked::<L::Params>::new(params)
            .map_err(|e| FitError::Invalid { pointer: "/learner/params".into(), detail: e.to_string() })?;
        Ok(Box::new(L::fit(training, start, &params, ctx)?))
    }

    fn load(&self, parts: &Parts) -> Result<Box<dyn Predictor>, LoadError> {
        Ok(Box::new(L::load(parts)?))
    }
}

/// A learner with its parameters and, where a stored model is continued, the model to start from.
#[derive(Clone, Copy)]
pub struct BoundLearner<'a> {
    pub learner: &'static dyn ErasedLearner,
    pub params: &'a Value,
    pub base: Option<&'a dyn Predictor>,
}

impl BoundLearner<'_> {
    /// # Errors
    /// As the learner's own fit.
    pub fn fit(&self, training: &Training, ctx: &mut Ctx) -> Result<Box<dyn Predictor>, FitError> {
        self.learner.fit(training, None, self.params, ctx)
    }

    /// # Errors
    /// As the learner's own fit.
    pub fn fit_from(&self, training: &Training, start: &Start, ctx: &mut Ctx) -> Result<Box<dyn Predictor>, FitError> {
        self.learner.fit(training, Some(start), self.params, ctx)
    }
}

impl Targets<'_> {
    pub fn len(&self) -> usize {
        match self {
            Targets::Classes { codes, .. } => codes.len(),
            Targets::Values(v) => v.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Prediction {
    /// The class of each row, `(n,)`; none for regression.
    pub fn codes(&self) -> &[usize] {
        match self {
            Prediction::Classes { codes, .. } => codes,
            Prediction::Values(_) => &[],
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Prediction::Classes { codes, .. } => codes.len(),
            Prediction::Values(v) => v.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
