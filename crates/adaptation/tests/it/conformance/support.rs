//! Problems to check on, and short words for fitting and predicting.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use adaptation::context::{Ctx, FitError, Observer, Report, Silent};
use adaptation::data::toy::{Shift, Size, classification, regression};
use adaptation::data::{Holdout, Labels, Problem, TaskKind};
use adaptation::learners::{BoundLearner, Prediction};
use adaptation::linalg::Matrix;
use adaptation::methods::{FittedMethod, Method, Needs, Toy};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::least_squares;

pub(crate) type Outcome = Result<(), String>;

/// How many target labels a method that needs some is shown.
const N_LABELLED: usize = 40;

/// A problem that suits the method: labelled target rows where it needs them.
pub(crate) fn problem(method: &dyn Method, task: TaskKind, shift: Shift, seed: u64) -> (Problem, Holdout) {
    let n_labelled = if method.card().needs == Needs::TargetLabels { N_LABELLED } else { 0 };
    let size = Size { n_labelled, ..Size::default() };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    match task {
        TaskKind::Classification => classification(shift, size, &mut rng),
        TaskKind::Regression => regression(shift, size, &mut rng),
    }
}

/// The shift that the card says the method is for; an affine one for the baseline.
pub(crate) fn own_shift(method: &dyn Method) -> Shift {
    match method.card().toy {
        Toy::Covariate => Shift::Covariate,
        Toy::Label => Shift::Label,
        Toy::Concept => Shift::Concept,
        Toy::Subspace => Shift::Subspace,
        Toy::Affine | Toy::None => Shift::Affine,
    }
}

/// A problem under the method's own shift, of the first task on the card.
pub(crate) fn usual(method: &dyn Method) -> Problem {
    problem(method, method.card().tasks[0], own_shift(method), 1).0
}

pub(crate) fn fit(method: &dyn Method, problem: &Problem) -> Result<FittedMethod, FitError> {
    fit_in(method, problem, &mut Ctx::new(7, &Silent))
}

pub(crate) fn fit_in(method: &dyn Method, problem: &Problem, ctx: &mut Ctx) -> Result<FittedMethod, FitError> {
    let learner = BoundLearner { learner: least_squares::LEARNER, params: &Value::Null, base: None };
    method.fit(problem, &Value::Null, &learner, ctx)
}

/// Predictions for target rows as plain numbers: scores, or values.
pub(crate) fn predict(fitted: &FittedMethod, x: &Matrix) -> Vec<f64> {
    numbers(&fitted.predictor.predict(&fitted.maps.target.apply(x)))
}

pub(crate) fn numbers(prediction: &Prediction) -> Vec<f64> {
    match prediction {
        Prediction::Values(v) => v.to_vec(),
        Prediction::Classes { scores, .. } => scores.iter().copied().collect(),
    }
}

pub(crate) fn fitted_numbers(method: &dyn Method, problem: &Problem) -> Result<Vec<f64>, String> {
    let fitted = fit(method, problem).map_err(|e| format!("the fit failed: {e}"))?;
    Ok(predict(&fitted, &problem.target.x))
}

/// Share of right classes, or minus the mean squared error.
pub(crate) fn score(fitted: &FittedMethod, holdout: &Holdout) -> f64 {
    let prediction = fitted.predictor.predict(&fitted.maps.target.apply(&holdout.x));
    match (&prediction, &holdout.labels) {
        (Prediction::Classes { codes, .. }, Labels::Classes(truth)) => {
            let right = codes.iter().zip(truth).filter(|(a, b)| Some(**a) == **b).count();
            right as f64 / codes.len() as f64
        }
        (Prediction::Values(values), Labels::Values(truth)) => {
            let errors = values.iter().zip(truth.iter().flatten()).map(|(a, b)| (a - b).powi(2));
            -errors.sum::<f64>() / values.len() as f64
        }
        _ => panic!("the prediction is of another task"),
    }
}

/// Fails unless all pairs are within `tolerance` of the largest magnitude.
pub(crate) fn near(a: &[f64], b: &[f64], tolerance: f64) -> Outcome {
    if a.len() != b.len() {
        return Err(format!("{} numbers instead of {}", a.len(), b.len()));
    }
    let scale = b.iter().fold(1e-300, |m: f64, v| m.max(v.abs()));
    let worst = a.iter().zip(b).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs())) / scale;
    if worst <= tolerance { Ok(()) } else { Err(format!("predictions differ by {worst:e} of the largest")) }
}

/// Says "stop" at the n-th question and at all later ones.
pub(crate) struct StopsAt {
    pub(crate) questions: AtomicUsize,
    pub(crate) last: usize,
}

impl StopsAt {
    pub(crate) fn new(last: usize) -> Self {
        Self { questions: AtomicUsize::new(0), last }
    }
}

impl Observer for StopsAt {
    fn report(&self, _: Report<'_>) {}

    fn check(&self) -> Result<(), FitError> {
        let asked = self.questions.fetch_add(1, Ordering::SeqCst);
        if asked >= self.last { Err(FitError::Cancelled) } else { Ok(()) }
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}
