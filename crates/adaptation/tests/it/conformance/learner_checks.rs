//! The checks of learners.

use std::panic::{AssertUnwindSafe, catch_unwind};

use adaptation::context::{Ctx, FitError, Silent};
use adaptation::data::toy::{Shift, Size, classification, regression};
use adaptation::data::{Labels, Problem, TaskKind};
use adaptation::learners::{ErasedLearner, Predictor, Start, Targets, Training};
use adaptation::linalg::Matrix;
use ndarray::{Array1, Array2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::schema_checks::bounds_refuse_just_outside;
use super::support::{Outcome, near, numbers};

type Check = fn(&dyn ErasedLearner) -> Outcome;

pub(crate) const CHECKS: &[(&str, Check)] = &[
    ("defaults_are_valid", defaults_are_valid),
    ("bounds_refuse_just_outside", bounds),
    ("same_seed_same_bits", same_seed_same_bits),
    ("saved_and_loaded_predicts_the_same", saved_and_loaded_predicts_the_same),
    ("only_ratios_of_weights_matter", only_ratios_of_weights_matter),
    ("a_row_of_no_weight_is_no_row", a_row_of_no_weight_is_no_row),
    ("a_strong_pull_stays_at_the_start", a_strong_pull_stays_at_the_start),
    ("odd_data_does_not_panic", odd_data_does_not_panic),
];

/// Labelled rows of one task.
struct Rows {
    x: Matrix,
    codes: Vec<usize>,
    values: Vec<f64>,
}

impl Rows {
    fn of(task: TaskKind, seed: u64) -> Self {
        let size = Size { n_source: 80, ..Size::default() };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (problem, _) = match task {
            TaskKind::Classification => classification(Shift::Concept, size, &mut rng),
            TaskKind::Regression => regression(Shift::Concept, size, &mut rng),
        };
        Self::from_source(&problem)
    }

    fn from_source(problem: &Problem) -> Self {
        let source = &problem.sources[0];
        let (codes, values) = match &source.labels {
            Labels::Classes(v) => (v.iter().flatten().copied().collect(), Vec::new()),
            Labels::Values(v) => (Vec::new(), v.iter().flatten().copied().collect()),
        };
        Self { x: source.x.clone(), codes, values }
    }

    fn training<'a>(&'a self, weights: Option<&'a Array1<f64>>) -> Training<'a> {
        let y = match self.values.is_empty() {
            true => Targets::Classes { codes: &self.codes, n_classes: 2 },
            false => Targets::Values(&self.values),
        };
        Training { x: &self.x, y, weights: weights.map(|w| w.view()) }
    }
}

fn fit(
    learner: &dyn ErasedLearner,
    training: &Training,
    start: Option<&Start>,
) -> Result<Box<dyn Predictor>, FitError> {
    learner.fit(training, start, &Value::Null, &mut Ctx::new(3, &Silent))
}

/// Runs a check for every task on the card.
fn for_tasks(learner: &dyn ErasedLearner, check: impl Fn(TaskKind) -> Outcome) -> Outcome {
    learner.card().tasks.iter().try_for_each(|task| check(*task).map_err(|e| format!("{task:?}: {e}")))
}

fn predictions(learner: &dyn ErasedLearner, training: &Training, x: &Matrix) -> Result<Vec<f64>, String> {
    Ok(numbers(&fit(learner, training, None).map_err(|e| e.to_string())?.predict(x)))
}

fn defaults_are_valid(learner: &dyn ErasedLearner) -> Outcome {
    [Value::Null, json!({})].iter().try_for_each(|params| learner.check(params).map_err(|e| e.to_string()))
}

fn bounds(learner: &dyn ErasedLearner) -> Outcome {
    bounds_refuse_just_outside(&learner.schema(), |params| learner.check(params).is_ok())
}

fn same_seed_same_bits(learner: &dyn ErasedLearner) -> Outcome {
    for_tasks(learner, |task| {
        let rows = Rows::of(task, 1);
        let got = || predictions(learner, &rows.training(None), &rows.x);
        if got()? == got()? { Ok(()) } else { Err("two fits differ".into()) }
    })
}

fn saved_and_loaded_predicts_the_same(learner: &dyn ErasedLearner) -> Outcome {
    for_tasks(learner, |task| {
        let rows = Rows::of(task, 1);
        let model = fit(learner, &rows.training(None), None).map_err(|e| e.to_string())?;
        let loaded = learner.load(&model.save()).map_err(|e| e.to_string())?;
        let same = numbers(&loaded.predict(&rows.x)) == numbers(&model.predict(&rows.x));
        if same && loaded.n_features() == rows.x.n_columns() { Ok(()) } else { Err("the loaded model differs".into()) }
    })
}

fn only_ratios_of_weights_matter(learner: &dyn ErasedLearner) -> Outcome {
    for_tasks(learner, |task| {
        let rows = Rows::of(task, 1);
        let weights = Array1::from_shape_fn(rows.x.n_rows(), |i| 0.5 + (i % 3) as f64);
        let larger = &weights * 37.0;
        let got = |w| predictions(learner, &rows.training(Some(w)), &rows.x);
        near(&got(&larger)?, &got(&weights)?, 1e-5)?;
        let ones = Array1::ones(rows.x.n_rows());
        near(&got(&ones)?, &predictions(learner, &rows.training(None), &rows.x)?, 1e-5)
    })
}

fn a_row_of_no_weight_is_no_row(learner: &dyn ErasedLearner) -> Outcome {
    for_tasks(learner, |task| {
        let rows = Rows::of(task, 1);
        let kept: Vec<usize> = (0..rows.x.n_rows()).filter(|i| i % 4 != 0).collect();
        let weights = Array1::from_shape_fn(rows.x.n_rows(), |i| f64::from(i % 4 != 0));
        let fewer = Rows {
            x: rows.x.select_rows(&kept),
            codes: kept.iter().filter_map(|i| rows.codes.get(*i).copied()).collect(),
            values: kept.iter().filter_map(|i| rows.values.get(*i).copied()).collect(),
        };
        let (with, without) = (rows.training(Some(&weights)), fewer.training(None));
        near(&predictions(learner, &with, &rows.x)?, &predictions(learner, &without, &rows.x)?, 1e-5)
    })
}

fn a_strong_pull_stays_at_the_start(learner: &dyn ErasedLearner) -> Outcome {
    if !learner.card().warm_start {
        return Ok(());
    }
    for_tasks(learner, |task| {
        let (rows, others) = (Rows::of(task, 1), Rows::of(task, 2));
        let model = fit(learner, &rows.training(None), None).map_err(|e| e.to_string())?;
        let start = Start { model: &*model, pull: 1e7, validation: None };
        let continued = fit(learner, &others.training(None), Some(&start)).map_err(|e| e.to_string())?;
        // The intercept is free: only the weights are pulled.
        let weights = |model: &dyn Predictor| model.linear().map(|l| l.coef.iter().copied().collect::<Vec<_>>());
        match (weights(&*continued), weights(&*model)) {
            (Some(continued), Some(start)) => near(&continued, &start, 1e-3),
            _ => Err("a learner that can be continued shows no weights".into()),
        }
    })
}

fn odd_data_does_not_panic(learner: &dyn ErasedLearner) -> Outcome {
    for_tasks(learner, |task| {
        let rows = Rows::of(task, 1);
        let with = |x: Array2<f64>| Rows { x: x.into(), codes: rows.codes.clone(), values: rows.values.clone() };
        let n = rows.x.n_rows();
        let one_class = Rows { x: rows.x.clone(), codes: vec![0; rows.codes.len()], values: rows.values.clone() };
        let one_row = Rows {
            x: rows.x.select_rows(&[0]),
            codes: rows.codes.iter().take(1).copied().collect(),
            values: rows.values.iter().take(1).copied().collect(),
        };
        let odd = [
            ("all zero", with(Array2::zeros((n, 3)))),
            ("one column", with(Array2::from_shape_fn((n, 1), |(i, _)| i as f64))),
            ("more columns than rows", with(Array2::from_shape_fn((n, 2 * n), |(i, j)| ((i * j) % 7) as f64))),
            ("large numbers", with(rows.x.dense().mapv(|v| 1e8 * v))),
            ("one class", one_class),
            ("one row", one_row),
        ];
        for (name, rows) in odd {
            let got = catch_unwind(AssertUnwindSafe(|| predictions(learner, &rows.training(None), &rows.x)));
            match got {
                Err(_) => return Err(format!("{name}: panic")),
                Ok(Ok(v)) if v.iter().any(|v| !v.is_finite()) => return Err(format!("{name}: not finite")),
                Ok(_) => {}
            }
        }
        Ok(())
    })
}
