//! Ridge regression, for values and for classes.
//!
//! Minimises `Σᵢ wᵢ·½(yᵢ − w·xᵢ − b)² / Σᵢ wᵢ + l2/2·‖w‖²`; `b` is not penalised. scikit-learn's `alpha` is
//! `n · l2`. Classes are regressed on as ±1, each against the rest, and the largest output wins.
//!
//! Dense rows are solved in closed form, with the smaller of the d × d and the n × n system; without a
//! penalty the solution of least norm is taken. Sparse rows stay sparse and are solved by L-BFGS.
//! A start with a positive pull λ replaces the penalty by `λ/2·‖w − w₀‖²`. A closed form has no iterates:
//! a start without pull changes nothing, and validation rows are not read.
//!
//! Cost: O(n·d·min(n, d)) time and O(min(n, d)²) memory.

use ndarray::{Array1, Array2, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::contract::{Learner, LearnerCard, LinearModel, Start, Targets, Training};
use super::linear::{Classes, LinearPredictor, Objective, Output, shares, start_model};
use crate::context::{Ctx, FitError};
use crate::data::TaskKind;
use crate::linalg::{DecomposeError, Matrix, gram, matmul, matmul_nt, matmul_tn, solve_spd, thin_svd};
use crate::params::Checked;
use crate::parts::{LoadError, Parts};

pub struct Ridge;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RidgeParams {
    /// Strength of the penalty `l2/2·‖w‖²` beside half the mean squared error.
    #[schemars(range(min = 0.0, max = 1e6))]
    pub l2: f64,
}

impl Default for RidgeParams {
    fn default() -> Self {
        // What scikit-learn's alpha = 1 is for 1000 rows.
        Self { l2: 1e-3 }
    }
}

impl Learner for Ridge {
    const CARD: LearnerCard = LearnerCard {
        id: "ridge",
        title: "Ridge regression",
        summary: "A linear model of values by least squares with a penalty on large weights. \
                  The first choice for regression; classes are regressed on as ±1.",
        tasks: &[TaskKind::Regression, TaskKind::Classification],
        cost: "O(n·d·min(n, d))",
        references: &["Hoerl and Kennard 1970, Ridge regression: biased estimation for nonorthogonal problems"],
        warm_start: true,
    };
    type Params = RidgeParams;
    type Model = LinearPredictor;

    fn fit(
        training: &Training,
        start: Option<&Start>,
        params: &Checked<RidgeParams>,
        ctx: &mut Ctx,
    ) -> Result<LinearPredictor, FitError> {
        let d = training.x.n_columns();
        let pull = start.map_or(0.0, |s| s.pull);
        let l2 = if pull > 0.0 { pull } else { params.l2 };
        let centre_of = |begin: LinearModel| {
            if pull > 0.0 { begin } else { LinearModel::zeros(begin.intercept.len(), d) }
        };
        match training.y {
            Targets::Values(values) => {
                let y = Array1::from(values.to_vec()).insert_axis(Axis(1));
                let from = start_model(start, 1, d)?;
                let centre = centre_of(from.cloned().unwrap_or_else(|| LinearModel::zeros(1, d)));
                Ok(LinearPredictor::new(solve(training, y, l2, centre, ctx)?, Output::Value))
            }
            Targets::Classes { .. } => {
                let classes = Classes::of(training, "ridge")?;
                let k = classes.present.len();
                let y = Array2::from_shape_fn((training.x.n_rows(), k), |(i, p)| {
                    if classes.place[i] == Some(p) { 1.0 } else { -1.0 }
                });
                let from = start_model(start, classes.n_classes, d)?;
                let centre = centre_of(from.map_or_else(|| LinearModel::zeros(k, d), |w| classes.gather(w)));
                let fitted = solve(training, y, l2, centre, ctx)?;
                Ok(LinearPredictor::new(classes.scatter(&fitted, from), Output::Decision))
            }
        }
    }

    fn load(parts: &Parts) -> Result<LinearPredictor, LoadError> {
        LinearPredictor::load(parts, &[Output::Value, Output::Decision])
    }
}

/// The weights for targets `y (n, k)`.
fn solve(
    training: &Training,
    y: Array2<f64>,
    l2: f64,
    centre: LinearModel,
    ctx: &mut Ctx,
) -> Result<LinearModel, FitError> {
    let shares = shares(training);
    match training.x {
        Matrix::Dense(x) => {
            let smaller = x.nrows().min(x.ncols());
            ctx.reserve("ridge", 8 * (smaller * smaller + 2 * x.len()) as u64)?;
            ctx.check()?;
            let model = closed_form(x, &shares, y, l2, centre)?;
            ctx.step(1, Some(1))?;
            Ok(model)
        }
        Matrix::Sparse(_) => {
            let loss = |f: &Array2<f64>| {
                let residual = f - &y;
                let derivative = &residual * &shares.view().insert_axis(Axis(1));
                (0.5 * (&residual * &derivative).sum(), derivative)
            };
            let begin = centre.clone();
            Objective { x: training.x, shares: &shares, loss: &loss, l2, centre, begin }.descend(None, ctx)
        }
    }
}

fn closed_form(
    x: &Array2<f64>,
    shares: &Array1<f64>,
    y: Array2<f64>,
    l2: f64,
    centre: LinearModel,
) -> Result<LinearModel, FitError> {
    let (n, d) = x.dim();
    let (x_mean, y_mean) = (x.t().dot(shares), y.t().dot(shares));
    let roots = shares.mapv(f64::sqrt).insert_axis(Axis(1));
    // Rows scaled by the root of their weight: the problem becomes one of equal weights.
    let a = (x - &x_mean) * &roots;
    // What the centre of the penalty leaves to explain.
    let b = (y - &y_mean) * &roots - matmul_nt(a.view(), centre.coef.view());
    let numerical = |e: DecomposeError| FitError::Numerical(format!("ridge: {e}"));
    let delta = if l2 == 0.0 {
        least_norm(&a, &b).map_err(numerical)?
    } else if d <= n {
        let squares = gram(a.view()) + &(Array2::<f64>::eye(d) * l2);
        solve_spd(squares.view(), matmul_tn(a.view(), b.view()).view()).map_err(numerical)?
    } else {
        let squares = matmul_nt(a.view(), a.view()) + &(Array2::<f64>::eye(n) * l2);
        matmul_tn(a.view(), solve_spd(squares.view(), b.view()).map_err(numerical)?.view())
    };
    let coef = centre.coef + delta.t();
    let intercept = y_mean - coef.dot(&x_mean);
    Ok(LinearModel { coef, intercept })
}

/// The least-squares solution of least norm.
fn least_norm(a: &Array2<f64>, b: &Array2<f64>) -> Result<Array2<f64>, DecomposeError> {
    let (u, s, vt) = thin_svd(a.view())?;
    let floor = s.first().copied().unwrap_or(0.0) * f64::EPSILON * a.nrows().max(a.ncols()) as f64;
    let inverse = s.mapv(|v| if v > floor { 1.0 / v } else { 0.0 }).insert_axis(Axis(1));
    Ok(matmul_tn(vt.view(), (matmul(u.t(), b.view()) * &inverse).view()))
}
