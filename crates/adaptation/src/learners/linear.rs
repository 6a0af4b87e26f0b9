//! What linear learners share: checked training rows, the model on its way to and from a file, its
//! predictions and the descent that fits it. It is no learner of its own.

use ndarray::{Array1, Array2, ArrayView1, Axis};

mod descent;

pub(super) use descent::Objective;

use super::contract::{LinearModel, Prediction, Predictor, Scores, Start, Targets, Training};
use crate::context::FitError;
use crate::linalg::{Matrix, softmax};
use crate::parts::{LoadError, Parts};

/// The intercept of a class that no training row belongs to: below every score, yet finite.
pub(super) const ABSENT: f64 = -1e9;
/// What the outputs of a linear model mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// Softmax gives probabilities.
    LogOdds,
    /// The largest output wins.
    Decision,
    /// One output, the value itself.
    Value,
}

/// A fitted linear learner.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearPredictor {
    model: LinearModel,
    output: Output,
}

impl LinearPredictor {
    pub(super) fn new(model: LinearModel, output: Output) -> Self {
        Self { model, output }
    }

    /// The predictor of rows that are decision values already, a column for each class: the largest of a class
    /// that is `present` wins. For methods whose map ends in their own decisions.
    pub fn largest_of(present: &[bool]) -> Self {
        let intercept = present.iter().map(|&p| if p { 0.0 } else { ABSENT }).collect();
        Self { model: LinearModel { coef: Array2::eye(present.len()), intercept }, output: Output::Decision }
    }

    /// Reads what [`LinearPredictor::largest_of`] saved.
    ///
    /// # Errors
    /// [`LoadError`] where the parts are not of such a predictor.
    pub fn load_decisions(parts: &Parts) -> Result<Self, LoadError> {
        Self::load(parts, &[Output::Decision])
    }

    /// Reads what [`Predictor::save`] wrote.
    pub(super) fn load(parts: &Parts, outputs: &[Output]) -> Result<Self, LoadError> {
        let name: String = parts.get("output")?;
        let output = outputs.iter().copied().find(|o| o.name() == name);
        let output = output.ok_or_else(|| LoadError(format!("output {name:?} is none of this learner's")))?;
        let coef = parts.matrix("coef", None, None)?;
        let intercept = parts.vector("intercept", coef.nrows())?;
        if coef.nrows() == 0 || (output == Output::Value && coef.nrows() != 1) {
            return Err(LoadError(format!("a model cannot have {} outputs here", coef.nrows())));
        }
        Ok(Self { model: LinearModel { coef, intercept }, output })
    }
}

impl Output {
    fn name(self) -> &'static str {
        match self {
            Output::LogOdds => "log_odds",
            Output::Decision => "decision",
            Output::Value => "value",
        }
    }
}

impl Predictor for LinearPredictor {
    fn predict(&self, x: &Matrix) -> Prediction {
        let mut scores = self.model.outputs(x);
        let kind = match self.output {
            Output::Value => return Prediction::Values(scores.column(0).to_owned()),
            Output::Decision => Scores::Decision,
            Output::LogOdds => {
                softmax(&mut scores);
                Scores::Probability
            }
        };
        let codes = scores.axis_iter(Axis(0)).map(|row| first_largest(row)).collect();
        Prediction::Classes { codes, scores, kind }
    }

    fn n_features(&self) -> usize {
        self.model.coef.ncols()
    }

    fn save(&self) -> Parts {
        let mut parts = Parts::default();
        parts.put("output", self.output.name());
        parts.put_array("coef", &self.model.coef).put_array("intercept", &self.model.intercept);
        parts
    }

    fn linear(&self) -> Option<&LinearModel> {
        Some(&self.model)
    }
}

impl LinearModel {
    /// `x · coefᵀ + intercept`, `(n, k)`.
    pub fn outputs(&self, x: &Matrix) -> Array2<f64> {
        x.dot(self.coef.t()) + &self.intercept
    }

    pub(super) fn zeros(n_outputs: usize, n_features: usize) -> Self {
        Self { coef: Array2::zeros((n_outputs, n_features)), intercept: Array1::zeros(n_outputs) }
    }
}

/// The index of the largest value; of equal ones the first.
pub(super) fn first_largest(row: ArrayView1<f64>) -> usize {
    row.iter().enumerate().fold((0, f64::NEG_INFINITY), |best, (i, &v)| if v > best.1 { (i, v) } else { best }).0
}

pub(super) fn log_sum_exp(row: ArrayView1<f64>) -> f64 {
    let largest = row.fold(f64::NEG_INFINITY, |m, &v| m.max(v));
    largest + row.iter().map(|v| (v - largest).exp()).sum::<f64>().ln()
}

/// What every row counts: weights over their sum, `(n,)`.
pub(super) fn shares(training: &Training) -> Array1<f64> {
    let n = training.x.n_rows();
    match training.weights {
        None => Array1::from_elem(n, 1.0 / n as f64),
        // The largest is taken out first, so that huge weights do not overflow.
        Some(w) => {
            let w = &w / w.fold(f64::MIN_POSITIVE, |m, &v| m.max(v));
            let sum = w.sum();
            w / sum
        }
    }
}

/// The classes that training rows of positive weight belong to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Classes {
    pub n_classes: usize,
    /// Ascending; at least two.
    pub present: Vec<usize>,
    /// For every row the place of its class in `present`; `None` for rows of no weight.
    pub place: Vec<Option<usize>>,
}

impl Classes {
    /// # Errors
    /// [`FitError::Degenerate`] where the rows are of one class.
    pub(super) fn of(training: &Training, learner: &str) -> Result<Classes, FitError> {
        let Targets::Classes { codes, n_classes } = training.y else {
            return Err(wrong_task(learner, "regression"));
        };
        let counts = |i: usize| training.weights.is_none_or(|w| w[i] > 0.0);
        let mut place_of = vec![None; n_classes];
        (0..codes.len()).filter(|&i| counts(i)).for_each(|i| place_of[codes[i]] = Some(0));
        let present: Vec<usize> = (0..n_classes).filter(|&c| place_of[c].is_some()).collect();
        if present.len() < 2 {
            let only = present.first().map_or("no class".to_owned(), |c| format!("class number {c}"));
            return Err(FitError::Degenerate(format!(
                "all {} training rows are of {only}; {learner} needs two classes",
                codes.len()
            )));
        }
        present.iter().enumerate().for_each(|(p, &c)| place_of[c] = Some(p));
        let place = codes.iter().enumerate().map(|(i, &c)| place_of[c].filter(|_| counts(i))).collect();
        Ok(Classes { n_classes, present, place })
    }

    /// The rows of `full` that belong to present classes; a class that was absent before begins at zero.
    pub(super) fn gather(&self, full: &LinearModel) -> LinearModel {
        let coef = full.coef.select(Axis(0), &self.present);
        let intercept = full.intercept.select(Axis(0), &self.present);
        LinearModel { coef, intercept: intercept.mapv(|b| if b <= ABSENT { 0.0 } else { b }) }
    }

    /// A model of all classes: those present as fitted, the others as in the start, else never chosen.
    pub(super) fn scatter(&self, fitted: &LinearModel, start: Option<&LinearModel>) -> LinearModel {
        let mut full = match start {
            Some(start) => start.clone(),
            None => {
                let mut absent = LinearModel::zeros(self.n_classes, fitted.coef.ncols());
                absent.intercept.fill(ABSENT);
                absent
            }
        };
        for (p, &c) in self.present.iter().enumerate() {
            full.coef.row_mut(c).assign(&fitted.coef.row(p));
            full.intercept[c] = fitted.intercept[p];
        }
        full
    }
}

/// The weights to start from, if there is a start.
///
/// # Errors
/// [`FitError::Invalid`] where the start is not linear or of other sizes.
pub(super) fn start_model<'a>(
    start: Option<&Start<'a>>,
    n_outputs: usize,
    n_features: usize,
) -> Result<Option<&'a LinearModel>, FitError> {
    let Some(start) = start else { return Ok(None) };
    let invalid = |detail: String| FitError::Invalid { pointer: "/base".into(), detail };
    let model = start.model.linear().ok_or_else(|| invalid("the model to start from is not linear".into()))?;
    if model.coef.dim() != (n_outputs, n_features) {
        let (k, d) = model.coef.dim();
        return Err(invalid(format!(
            "the model to start from has {k} outputs and {d} features, the data {n_outputs} and {n_features}"
        )));
    }
    Ok(Some(model))
}

pub(super) fn wrong_task(learner: &str, task: &str) -> FitError {
    FitError::Invalid { pointer: "/learner/id".into(), detail: format!("{learner} does not do {task}") }
}
