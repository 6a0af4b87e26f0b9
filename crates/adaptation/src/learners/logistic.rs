//! Multinomial logistic regression.
//!
//! Minimises `Σᵢ wᵢ·(−log softmax(W xᵢ + b)[yᵢ]) / Σᵢ wᵢ + l2/2·‖W‖²` by L-BFGS; `b` is not penalised.
//! scikit-learn's `C` is `1 / (n · l2)`. Every class has a row, with two classes as well: `l2` then acts on
//! their difference with half its strength.
//!
//! A class that no training row belongs to has probability zero; with a start it keeps the start's row.
//! With a start the descent begins there; a positive pull λ replaces the penalty by `λ/2·‖W − W₀‖²`,
//! a pull of zero keeps it.
//!
//! Cost: O(n·d·C) an iteration, tens to hundreds of iterations; sparse rows stay sparse.

use ndarray::{Array1, Array2, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::contract::{Learner, LearnerCard, LinearModel, Start, Targets, Training};
use super::linear::{ABSENT, Classes, LinearPredictor, Objective, Output, log_sum_exp, shares, start_model};
use crate::context::{Ctx, FitError};
use crate::data::TaskKind;
use crate::params::Checked;
use crate::parts::{LoadError, Parts};

pub struct Logistic;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogisticParams {
    /// Strength of the penalty `l2/2·‖W‖²` beside the mean loss.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub l2: f64,
}

impl Default for LogisticParams {
    fn default() -> Self {
        // What scikit-learn's C = 1 is for 1000 rows.
        Self { l2: 1e-3 }
    }
}

impl Learner for Logistic {
    const CARD: LearnerCard = LearnerCard {
        id: "logistic",
        title: "Logistic regression",
        summary: "A linear model of class probabilities. The first choice for classification.",
        tasks: &[TaskKind::Classification],
        cost: "O(n·d·C) an iteration, usually fewer than 200 iterations",
        references: &["Hastie, Tibshirani and Friedman 2009, The Elements of Statistical Learning, section 4.4"],
        warm_start: true,
    };
    type Params = LogisticParams;
    type Model = LinearPredictor;

    fn fit(
        training: &Training,
        start: Option<&Start>,
        params: &Checked<LogisticParams>,
        ctx: &mut Ctx,
    ) -> Result<LinearPredictor, FitError> {
        let classes = Classes::of(training, "logistic")?;
        let d = training.x.n_columns();
        let from = start_model(start, classes.n_classes, d)?;
        let shares = shares(training);
        let begin = from.map_or_else(|| LinearModel::zeros(classes.present.len(), d), |w| classes.gather(w));
        let pull = start.map_or(0.0, |s| s.pull);
        let (l2, centre) =
            if pull > 0.0 { (pull, begin.clone()) } else { (params.l2, LinearModel::zeros(classes.present.len(), d)) };
        let frozen = from.map(|w| frozen_log_odds(training, &classes, w));
        let loss = |z: &Array2<f64>| softmax_loss(z, &classes.place, &shares, frozen.as_ref());
        let validation = start.and_then(|s| s.validation).map(|rows| {
            let classes = &classes;
            move |model: &LinearModel| held_out_loss(&classes.scatter(model, from), rows)
        });
        let objective = Objective { x: training.x, shares: &shares, loss: &loss, l2, centre, begin };
        let fitted = objective.descend(validation.as_ref().map(|v| v as &dyn Fn(&LinearModel) -> f64), ctx)?;
        Ok(LinearPredictor::new(classes.scatter(&fitted, from), Output::LogOdds))
    }

    fn load(parts: &Parts) -> Result<LinearPredictor, LoadError> {
        LinearPredictor::load(parts, &[Output::LogOdds])
    }
}

/// The log of the sum of exponentials, `(n,)`, over classes that keep the start's row.
fn frozen_log_odds(training: &Training, classes: &Classes, start: &LinearModel) -> Array1<f64> {
    let absent: Vec<usize> = (0..classes.n_classes).filter(|c| !classes.present.contains(c)).collect();
    if absent.is_empty() {
        return Array1::from_elem(training.x.n_rows(), ABSENT);
    }
    let frozen =
        LinearModel { coef: start.coef.select(Axis(0), &absent), intercept: start.intercept.select(Axis(0), &absent) };
    frozen.outputs(training.x).map_axis(Axis(1), log_sum_exp)
}

/// The mean loss at log-odds `z (n, k)` of the present classes, and its derivative.
fn softmax_loss(
    z: &Array2<f64>,
    place: &[Option<usize>],
    shares: &Array1<f64>,
    frozen: Option<&Array1<f64>>,
) -> (f64, Array2<f64>) {
    let mut derivative = z.clone();
    let mut loss = 0.0;
    for (i, mut row) in derivative.axis_iter_mut(Axis(0)).enumerate() {
        let Some(own) = place[i] else {
            row.fill(0.0);
            continue;
        };
        let mut log_sum = log_sum_exp(row.view());
        if let Some(frozen) = frozen {
            let (high, low) = if log_sum > frozen[i] { (log_sum, frozen[i]) } else { (frozen[i], log_sum) };
            log_sum = high + (low - high).exp().ln_1p();
        }
        loss += shares[i] * (log_sum - row[own]);
        row.mapv_inplace(|z| shares[i] * (z - log_sum).exp());
        row[own] -= shares[i];
    }
    (loss, derivative)
}

/// The mean loss on rows kept aside.
fn held_out_loss(model: &LinearModel, rows: &Training) -> f64 {
    let Targets::Classes { codes, .. } = rows.y else { return f64::INFINITY };
    let z = model.outputs(rows.x);
    let shares = shares(rows);
    z.axis_iter(Axis(0)).zip(codes).zip(&shares).map(|((row, &c), share)| share * (log_sum_exp(row) - row[c])).sum()
}
