//! The learner that methods are checked with: regularised least squares, on one indicator per class
//! for classification. Exact, so that a check sees the method and not a solver's tolerance.

use adaptation::context::{Ctx, FitError};
use adaptation::data::TaskKind;
use adaptation::learners::{
    ErasedLearner, Learner, LearnerCard, LinearModel, Prediction, Predictor, Scores, Start, Targets, Training,
    WithLearner,
};
use adaptation::linalg::{Matrix, solve_spd};
use adaptation::params::Checked;
use adaptation::parts::{LoadError, Parts};
use ndarray::{Array1, Array2, Axis, concatenate};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) static LEARNER: &dyn ErasedLearner = &WithLearner::<LeastSquares>::new();

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Params {
    #[schemars(range(min = 1e-9, max = 1e9))]
    l2: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self { l2: 1e-3 }
    }
}

pub(crate) struct LeastSquares;

pub(crate) struct Model {
    linear: LinearModel,
    classes: bool,
}

impl Learner for LeastSquares {
    const CARD: LearnerCard = LearnerCard {
        id: "least_squares",
        title: "Least squares",
        summary: "For tests.",
        tasks: &[TaskKind::Classification, TaskKind::Regression],
        cost: "O(n d² + d³)",
        references: &[],
        warm_start: true,
    };
    type Params = Params;
    type Model = Model;

    fn fit(
        training: &Training,
        start: Option<&Start>,
        params: &Checked<Params>,
        ctx: &mut Ctx,
    ) -> Result<Model, FitError> {
        ctx.step(0, Some(1))?;
        let (goals, classes) = match training.y {
            Targets::Values(v) => (Array2::from_shape_fn((v.len(), 1), |(i, _)| v[i]), false),
            Targets::Classes { codes, n_classes } => {
                (Array2::from_shape_fn((codes.len(), n_classes), |(i, c)| f64::from(codes[i] == c)), true)
            }
        };
        let n = training.x.n_rows();
        let w = training.weights.map_or_else(|| Array1::ones(n), |w| w.to_owned());
        let w = &w / w.sum();
        let x = concatenate![Axis(1), *training.x.dense(), Array2::ones((n, 1))];
        let weighted = &x * &w.insert_axis(Axis(1));
        let (pull, begin) = match start {
            None => (params.l2, Array2::zeros((x.ncols(), goals.ncols()))),
            Some(start) => {
                let linear = start.model.linear().expect("this learner's models are linear");
                let begin = concatenate![Axis(1), linear.coef, linear.intercept.view().insert_axis(Axis(1))];
                (start.pull.max(1e-9), begin.reversed_axes())
            }
        };
        let a = x.t().dot(&weighted) + Array2::<f64>::eye(x.ncols()) * pull;
        let b = weighted.t().dot(&goals) + begin * pull;
        let solution = solve_spd(a.view(), b.view()).map_err(|e| FitError::Numerical(e.to_string()))?;
        let d = training.x.n_columns();
        let coef = solution.slice(ndarray::s![..d, ..]).t().to_owned();
        Ok(Model { linear: LinearModel { coef, intercept: solution.row(d).to_owned() }, classes })
    }

    fn load(parts: &Parts) -> Result<Model, LoadError> {
        let coef = parts.matrix("coef", None, None)?;
        let intercept = parts.vector("intercept", coef.nrows())?;
        Ok(Model { linear: LinearModel { coef, intercept }, classes: parts.get("classes")? })
    }
}

impl Predictor for Model {
    fn predict(&self, x: &Matrix) -> Prediction {
        let scores = x.dot(self.linear.coef.t()) + &self.linear.intercept;
        if !self.classes {
            return Prediction::Values(scores.column(0).to_owned());
        }
        let best = |row: ndarray::ArrayView1<f64>| (1..row.len()).fold(0, |b, c| if row[c] > row[b] { c } else { b });
        let codes = scores.outer_iter().map(best).collect();
        Prediction::Classes { codes, scores, kind: Scores::Decision }
    }

    fn n_features(&self) -> usize {
        self.linear.coef.ncols()
    }

    fn save(&self) -> Parts {
        let mut parts = Parts::default();
        parts.put_array("coef", &self.linear.coef).put_array("intercept", &self.linear.intercept);
        parts.put("classes", self.classes);
        parts
    }

    fn linear(&self) -> Option<&LinearModel> {
        Some(&self.linear)
    }
}
