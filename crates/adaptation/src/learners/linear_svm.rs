//! Linear support vector machines, one for each class against the rest.
//!
//! Every class minimises `½‖w‖² + c·Σᵢ wᵢ·max(0, 1 − tᵢ(w·xᵢ + b))²` with `tᵢ = ±1`: the squared hinge, as
//! scikit-learn's `LinearSVC` does by default. Weights are scaled to mean one over the rows of positive
//! weight, so that only their ratios matter; `b` is not penalised, which liblinear does.
//!
//! A class that no training row belongs to is never chosen; with a start it keeps the start's row. With a
//! start the descent begins there; a positive pull λ replaces the penalty by `λ/2·‖w − w₀‖²` beside the
//! mean loss, a pull of zero keeps it.
//!
//! Cost: O(n·d·C) an iteration of L-BFGS; sparse rows stay sparse.

use ndarray::{Array1, Array2, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::contract::{Learner, LearnerCard, LinearModel, Start, Targets, Training};
use super::linear::{Classes, LinearPredictor, Objective, Output, shares, start_model};
use crate::context::{Ctx, FitError};
use crate::data::TaskKind;
use crate::params::Checked;
use crate::parts::{LoadError, Parts};

pub struct LinearSvm;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LinearSvmParams {
    /// What the summed loss costs beside `½‖w‖²`; smaller is smoother.
    #[schemars(range(min = 1e-9, max = 1e9))]
    pub c: f64,
}

impl Default for LinearSvmParams {
    fn default() -> Self {
        // scikit-learn's default.
        Self { c: 1.0 }
    }
}

impl Learner for LinearSvm {
    const CARD: LearnerCard = LearnerCard {
        id: "linear_svm",
        title: "Linear support vector machine",
        summary: "A linear model that keeps classes apart by a margin, one class against the rest, \
                  with the squared hinge loss. Its scores are no probabilities.",
        tasks: &[TaskKind::Classification],
        cost: "O(n·d·C) an iteration, usually fewer than 300 iterations",
        references: &["Fan, Chang, Hsieh, Wang and Lin 2008, LIBLINEAR: a library for large linear classification"],
        warm_start: true,
    };
    type Params = LinearSvmParams;
    type Model = LinearPredictor;

    fn fit(
        training: &Training,
        start: Option<&Start>,
        params: &Checked<LinearSvmParams>,
        ctx: &mut Ctx,
    ) -> Result<LinearPredictor, FitError> {
        let classes = Classes::of(training, "linear_svm")?;
        let (k, d) = (classes.present.len(), training.x.n_columns());
        let from = start_model(start, classes.n_classes, d)?;
        let shares = shares(training);
        let n_counted = classes.place.iter().flatten().count();
        let begin = from.map_or_else(|| LinearModel::zeros(k, d), |w| classes.gather(w));
        let pull = start.map_or(0.0, |s| s.pull);
        // ½‖w‖² + c·Σ loss is c·n times the mean loss with this l2.
        let (l2, centre) = if pull > 0.0 {
            (pull, begin.clone())
        } else {
            (1.0 / (params.c * n_counted as f64), LinearModel::zeros(k, d))
        };
        let loss = |f: &Array2<f64>| squared_hinge(f, &classes.place, &shares);
        let validation = start.and_then(|s| s.validation).map(|rows| {
            let classes = &classes;
            move |model: &LinearModel| held_out_loss(&classes.scatter(model, from), rows)
        });
        let objective = Objective { x: training.x, shares: &shares, loss: &loss, l2, centre, begin };
        let fitted = objective.descend(validation.as_ref().map(|v| v as &dyn Fn(&LinearModel) -> f64), ctx)?;
        Ok(LinearPredictor::new(classes.scatter(&fitted, from), Output::Decision))
    }

    fn load(parts: &Parts) -> Result<LinearPredictor, LoadError> {
        LinearPredictor::load(parts, &[Output::Decision])
    }
}

/// The mean loss at decisions `f (n, k)`, summed over classes, and its derivative.
fn squared_hinge(f: &Array2<f64>, place: &[Option<usize>], shares: &Array1<f64>) -> (f64, Array2<f64>) {
    let mut derivative = f.clone();
    let mut loss = 0.0;
    for ((mut row, own), share) in derivative.axis_iter_mut(Axis(0)).zip(place).zip(shares) {
        for (p, value) in row.iter_mut().enumerate() {
            let t = if *own == Some(p) { 1.0 } else { -1.0 };
            let short = (1.0 - t * *value).max(0.0);
            loss += share * short * short;
            *value = -2.0 * share * t * short;
        }
    }
    (loss, derivative)
}

/// The mean loss on rows kept aside.
fn held_out_loss(model: &LinearModel, rows: &Training) -> f64 {
    let Targets::Classes { codes, .. } = rows.y else { return f64::INFINITY };
    let place: Vec<_> = codes.iter().map(|&c| Some(c)).collect();
    squared_hinge(&model.outputs(rows.x), &place, &shares(rows)).0
}
