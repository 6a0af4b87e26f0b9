//! What every learner promises, and numbers of scikit-learn and SciPy
//! (`tests/reference/learners.py`).

use ndarray::{Array1, Array2, ArrayView1, Axis, array, s};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::*;
use crate::context::{Ctx, FitError, Observer, Report, Silent};
use crate::data::TaskKind;
use crate::linalg::{Matrix, SparseRows};
use crate::params::schema_of;

fn reference() -> Value {
    serde_json::from_str(include_str!("../../tests/reference/learners.json")).unwrap()
}

fn numbers(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn matrix(v: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = v.as_array().unwrap().iter().map(numbers).collect();
    let d = rows[0].len();
    Array2::from_shape_vec((rows.len(), d), rows.concat()).unwrap()
}

fn codes(v: &Value) -> Vec<usize> {
    numbers(v).into_iter().map(|c| c as usize).collect()
}

fn sparse(x: &Array2<f64>) -> Matrix {
    let mut out = SparseRows::new(x.ncols());
    x.axis_iter(Axis(0)).for_each(|row| out.push_row(row.iter().copied().enumerate()));
    Matrix::Sparse(out)
}

/// Owned training rows.
#[derive(Clone)]
struct Rows {
    x: Matrix,
    codes: Vec<usize>,
    n_classes: usize,
    values: Vec<f64>,
    weights: Option<Array1<f64>>,
}

impl Rows {
    /// Classes around corners, values linear in the columns with noise.
    fn toy(n: usize, d: usize, n_classes: usize, seed: u64) -> Rows {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let codes: Vec<usize> = (0..n).map(|i| i % n_classes).collect();
        let centre = |i: usize, j: usize| if codes[i] % d == j { 1.5 } else { 0.0 };
        let x = Array2::from_shape_fn((n, d), |(i, j)| centre(i, j) + rng.random_range(-1.5..1.5));
        let values = x.axis_iter(Axis(0)).map(|r| r.sum() + rng.random_range(-0.5..0.5)).collect();
        Rows { x: x.into(), codes, n_classes, values, weights: None }
    }

    fn training(&self, task: TaskKind) -> Training<'_> {
        let y = match task {
            TaskKind::Classification => Targets::Classes { codes: &self.codes, n_classes: self.n_classes },
            TaskKind::Regression => Targets::Values(&self.values),
        };
        Training { x: &self.x, y, weights: self.weights.as_ref().map(|w| w.view()) }
    }

    fn select(&self, rows: &[usize]) -> Rows {
        Rows {
            x: self.x.select_rows(rows),
            codes: rows.iter().map(|&i| self.codes[i]).collect(),
            n_classes: self.n_classes,
            values: rows.iter().map(|&i| self.values[i]).collect(),
            weights: self.weights.as_ref().map(|w| w.select(Axis(0), rows)),
        }
    }
}

const C: TaskKind = TaskKind::Classification;
const R: TaskKind = TaskKind::Regression;

#[track_caller]
fn fit(id: &str, rows: &Rows, task: TaskKind, params: Value) -> Box<dyn Predictor> {
    find(id).unwrap().fit(&rows.training(task), None, &params, &mut Ctx::new(0, &Silent)).unwrap()
}

#[track_caller]
fn fit_from(id: &str, rows: &Rows, start: &Start, params: Value) -> Result<Box<dyn Predictor>, FitError> {
    find(id).unwrap().fit(&rows.training(C), Some(start), &params, &mut Ctx::new(0, &Silent))
}

/// Scores of classes, or values as one column.
fn outputs(p: &dyn Predictor, x: &Matrix) -> Array2<f64> {
    match p.predict(x) {
        Prediction::Classes { scores, .. } => scores,
        Prediction::Values(v) => v.insert_axis(Axis(1)),
    }
}

#[track_caller]
fn close(actual: &Array2<f64>, expected: &Array2<f64>, tolerance: f64) {
    assert_eq!(actual.dim(), expected.dim());
    for (at, a) in actual.indexed_iter() {
        let e = expected[at];
        assert!((a - e).abs() <= tolerance * (1.0 + e.abs()), "{at:?}: {a} is not {e}");
    }
}

/// Every learner with every task it does.
fn all() -> Vec<(&'static LearnerCard, TaskKind)> {
    LEARNERS.iter().flat_map(|l| l.card().tasks.iter().map(|&t| (l.card(), t))).collect()
}

fn linear() -> impl Iterator<Item = &'static LearnerCard> {
    LEARNERS.iter().map(|l| l.card()).filter(|c| c.warm_start)
}

fn row(v: &[f64]) -> Array2<f64> {
    ArrayView1::from(v).insert_axis(Axis(0)).to_owned()
}

#[test]
fn linear_learners_equal_the_references() {
    let r = reference();
    let dense = matrix(&r["x"]);
    let new: Matrix = matrix(&r["new"]).into();
    for x in [Matrix::Dense(dense.clone()), sparse(&dense)] {
        let weights = Some(numbers(&r["weights"]).into());
        let all = Rows { x, codes: codes(&r["codes"]), n_classes: 3, values: numbers(&r["values"]), weights };
        let p = fit("logistic", &all, C, json!({"l2": r["logistic"]["l2"]}));
        close(&outputs(&*p, &new), &matrix(&r["logistic"]["probabilities"]), 1e-7);
        close(&p.linear().unwrap().coef, &matrix(&r["logistic"]["coef"]), 1e-6);
        let two: Vec<usize> = (0..30).filter(|&i| all.codes[i] < 2).collect();
        let two = Rows { n_classes: 2, ..all.select(&two) };
        let p = fit("logistic", &two, C, json!({"l2": r["logistic_two"]["l2"]}));
        close(&outputs(&*p, &new), &matrix(&r["logistic_two"]["probabilities"]), 1e-7);
        for case in ["ridge", "least_squares"] {
            let p = fit("ridge", &all, R, json!({"l2": r[case]["l2"]}));
            close(&p.linear().unwrap().coef, &row(&numbers(&r[case]["coef"])), 1e-7);
            assert!((p.linear().unwrap().intercept[0] - r[case]["intercept"].as_f64().unwrap()).abs() < 1e-6);
        }
        let p = fit("ridge", &all, C, json!({"l2": r["ridge_classes"]["l2"]}));
        close(&outputs(&*p, &new), &matrix(&r["ridge_classes"]["decisions"]), 1e-7);
        let p = fit("linear_svm", &all, C, json!({"c": r["linear_svm"]["c"]}));
        close(&p.linear().unwrap().coef, &matrix(&r["linear_svm"]["coef"]), 1e-5);
        close(&row(&p.linear().unwrap().intercept.to_vec()), &row(&numbers(&r["linear_svm"]["intercept"])), 1e-5);
    }
    let wide = &r["ridge_wide"];
    let weights = Some(numbers(&wide["weights"]).into());
    let rows =
        Rows { x: matrix(&wide["x"]).into(), codes: vec![], n_classes: 0, values: numbers(&wide["values"]), weights };
    let p = fit("ridge", &rows, R, json!({"l2": wide["l2"]}));
    close(&p.linear().unwrap().coef, &row(&numbers(&wide["coef"])), 1e-10);
}

#[test]
fn nearest_neighbours_equal_the_references() {
    let r = reference();
    let dense = matrix(&r["x"]);
    let new = matrix(&r["new"]);
    for (x, new) in [(Matrix::Dense(dense.clone()), Matrix::Dense(new.clone())), (sparse(&dense), sparse(&new))] {
        let all = Rows { x, codes: codes(&r["codes"]), n_classes: 3, values: numbers(&r["values"]), weights: None };
        for k in [1, 5] {
            let expected = &r[&format!("nearest_{k}")];
            let p = fit("nearest_neighbors", &all, C, json!({"n_neighbors": k}));
            close(&outputs(&*p, &new), &matrix(&expected["probabilities"]), 1e-14);
            let p = fit("nearest_neighbors", &all, R, json!({"n_neighbors": k}));
            assert_eq!(outputs(&*p, &new).len(), 9);
            close(&outputs(&*p, &new).reversed_axes(), &row(&numbers(&expected["values"])), 1e-14);
        }
    }
}

#[test]
fn of_rows_equally_near_the_first_decides() {
    // The columns are far from zero, where squared norms lose what tells rows apart.
    let x = array![[1e6 + 1.0], [1e6 - 1.0], [1e6 + 1.0], [1e6 + 0.999]];
    let rows = Rows { x: x.into(), codes: vec![2, 1, 0, 1], n_classes: 3, values: vec![0.0; 4], weights: None };
    let Prediction::Classes { codes, .. } =
        fit("nearest_neighbors", &rows, C, Value::Null).predict(&array![[1e6], [1e6 + 1.1], [1e6 - 5.0]].into())
    else {
        panic!("classes were asked for")
    };
    assert_eq!(codes, [1, 2, 1]);
}

#[test]
fn votes_tie_to_the_nearest_and_count_weights() {
    let x = array![[0.0], [1.0], [2.0], [10.0]];
    let mut rows = Rows { x: x.into(), codes: vec![1, 0, 0, 1], n_classes: 2, values: vec![0.0; 4], weights: None };
    let code = |rows: &Rows, k: usize, at: f64| {
        let p = fit("nearest_neighbors", rows, C, json!({"n_neighbors": k})).predict(&array![[at]].into());
        let Prediction::Classes { codes, .. } = p else { panic!("classes were asked for") };
        codes[0]
    };
    assert_eq!((code(&rows, 2, 0.4), code(&rows, 2, 0.6), code(&rows, 1000, 9.0)), (1, 0, 1));
    assert_eq!(code(&rows, 3, 0.0), 0);
    rows.weights = Some(array![3.0, 1.0, 1.0, 0.0]);
    assert_eq!((code(&rows, 3, 0.0), code(&rows, 1, 9.0)), (1, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Of linear learners and of the nearest row; more neighbours count rows.
    #[test]
    fn a_weight_of_two_is_a_row_twice(seed in 0u64..1000, twice in prop::collection::vec(any::<bool>(), 24)) {
        let mut weighted = Rows::toy(24, 3, 3, seed);
        let new = Rows::toy(10, 3, 3, seed + 1).x;
        let order: Vec<usize> = (0..24).chain((0..24).filter(|&i| twice[i])).collect();
        let repeated = weighted.select(&order);
        // Only ratios matter, as large and small weights show.
        weighted.weights = Some(twice.iter().map(|&t| if t { 2e200 } else { 1e200 }).collect());
        for (card, task) in all() {
            // The loss of linear_svm is a sum: weights of mean one stand for 24 rows.
            let (a, b) = match card.id {
                "linear_svm" => (json!({"c": order.len() as f64 / 24.0}), json!({"c": 1.0})),
                _ => (Value::Null, Value::Null),
            };
            let (a, b) = (fit(card.id, &weighted, task, a), fit(card.id, &repeated, task, b));
            close(&outputs(&*a, &new), &outputs(&*b, &new), 1e-5);
        }
    }

    #[test]
    fn a_weight_of_zero_is_no_row(seed in 0u64..1000) {
        let mut rows = Rows::toy(24, 3, 3, seed);
        let kept: Vec<usize> = (0..20).collect();
        let fewer = rows.select(&kept);
        rows.weights = Some((0..24).map(|i| if i < 20 { 0.3 } else { 0.0 }).collect());
        for (card, task) in all() {
            let (a, b) = (fit(card.id, &rows, task, Value::Null), fit(card.id, &fewer, task, Value::Null));
            close(&outputs(&*a, &fewer.x), &outputs(&*b, &fewer.x), 1e-5);
        }
    }

    #[test]
    fn the_order_of_rows_does_not_matter(seed in 0u64..1000) {
        let rows = Rows::toy(24, 3, 3, seed);
        let turned = rows.select(&(0..24).map(|i| i * 7 % 24).collect::<Vec<_>>());
        for (card, task) in all() {
            let (a, b) = (fit(card.id, &rows, task, Value::Null), fit(card.id, &turned, task, Value::Null));
            close(&outputs(&*a, &rows.x), &outputs(&*b, &rows.x), 1e-5);
        }
    }

    #[test]
    fn sparse_rows_are_treated_as_dense_ones(seed in 0u64..1000) {
        let rows = Rows::toy(24, 3, 3, seed);
        let thin = Rows { x: sparse(&rows.x.dense().mapv(|v| if v < 0.0 { 0.0 } else { v })), ..rows };
        let full = Rows { x: Matrix::Dense(thin.x.dense().into_owned()), ..thin.clone() };
        for (card, task) in all() {
            let (a, b) = (fit(card.id, &thin, task, Value::Null), fit(card.id, &full, task, Value::Null));
            close(&outputs(&*a, &thin.x), &outputs(&*b, &full.x), 1e-5);
        }
    }
}

#[test]
fn wide_rows_are_fitted_in_their_own_space() {
    // Dense rows take the way through a basis, sparse ones do not; the minimum is the same.
    let rows = Rows::toy(12, 40, 3, 8);
    let far = Rows { x: Matrix::Dense(rows.x.dense().mapv(|v| v + 3.0)), ..rows.clone() };
    let thin = Rows { x: sparse(&far.x.dense()), ..far.clone() };
    for card in linear() {
        let (a, b) = (fit(card.id, &far, C, Value::Null), fit(card.id, &thin, C, Value::Null));
        close(&a.linear().unwrap().coef, &b.linear().unwrap().coef, 1e-5);
        close(&outputs(&*a, &rows.x), &outputs(&*b, &rows.x), 1e-5);
        let base = fit(card.id, &rows, C, Value::Null);
        let start = Start { model: &*base, pull: 0.2, validation: None };
        let a = fit_from(card.id, &far, &start, Value::Null).unwrap();
        let b = fit_from(card.id, &thin, &start, Value::Null).unwrap();
        close(&a.linear().unwrap().coef, &b.linear().unwrap().coef, 1e-5);
        close(&outputs(&*a, &rows.x), &outputs(&*b, &rows.x), 1e-5);
    }
}

#[test]
fn a_refit_gives_the_same_bits_and_a_file_the_same_model() {
    for x in [Rows::toy(40, 4, 3, 2).x, sparse(&Rows::toy(40, 4, 3, 2).x.dense())] {
        let rows = Rows { x, ..Rows::toy(40, 4, 3, 2) };
        for (card, task) in all() {
            let (a, b) = (fit(card.id, &rows, task, Value::Null), fit(card.id, &rows, task, Value::Null));
            assert_eq!(a.predict(&rows.x), b.predict(&rows.x), "{}", card.id);
            let loaded = find(card.id).unwrap().load(&a.save()).unwrap();
            assert_eq!(a.predict(&rows.x), loaded.predict(&rows.x), "{}", card.id);
            assert_eq!((loaded.n_features(), loaded.save()), (4, a.save()));
        }
    }
}

#[test]
fn parts_of_wrong_sizes_are_refused() {
    let rows = Rows::toy(12, 2, 3, 0);
    for (card, task) in all() {
        let learner = find(card.id).unwrap();
        let parts = fit(card.id, &rows, task, Value::Null).save();
        for name in parts.arrays.keys() {
            let mut broken = parts.clone();
            broken.put_array(name, &Array1::<f64>::zeros(7));
            assert!(learner.load(&broken).is_err(), "{}: {name}", card.id);
            broken.arrays.remove(name);
            assert!(learner.load(&broken).is_err(), "{}: no {name}", card.id);
        }
        for name in parts.values.keys() {
            let mut broken = parts.clone();
            broken.put(name, "nonsense");
            assert!(learner.load(&broken).is_err(), "{}: {name}", card.id);
        }
    }
}

#[test]
fn a_strong_pull_gives_the_start_and_none_only_begins_there() {
    let (before, after) = (Rows::toy(60, 3, 3, 4), Rows::toy(30, 3, 3, 9));
    for card in linear() {
        let model = fit(card.id, &before, C, Value::Null);
        let start = |pull| Start { model: &*model, pull, validation: None };
        let held = fit_from(card.id, &after, &start(1e9), Value::Null).unwrap();
        close(&held.linear().unwrap().coef, &model.linear().unwrap().coef, 1e-6);
        let alone = fit(card.id, &after, C, Value::Null);
        let free = fit_from(card.id, &after, &start(0.0), Value::Null).unwrap();
        close(&free.linear().unwrap().coef, &alone.linear().unwrap().coef, 1e-5);
        // Between the two, nearer to the start the stronger the pull.
        let distance = |pull| {
            let fitted = fit_from(card.id, &after, &start(pull), Value::Null).unwrap();
            let gap = &fitted.linear().unwrap().coef - &model.linear().unwrap().coef;
            gap.iter().map(|v| v * v).sum::<f64>()
        };
        assert!(distance(1.0) < distance(0.01), "{}", card.id);
    }
}

#[test]
fn early_stopping_keeps_the_best_iterate() {
    // The start is already best on the validation rows.
    let (before, noise) = (Rows::toy(400, 3, 3, 4), Rows::toy(9, 3, 3, 77));
    let flipped = Rows { codes: noise.codes.iter().map(|c| (c + 1) % 3).collect(), ..noise };
    for id in ["logistic", "linear_svm"] {
        let model = fit(id, &before, C, Value::Null);
        let validation = before.training(C);
        let start = Start { model: &*model, pull: 0.0, validation: Some(&validation) };
        let kept = fit_from(id, &flipped, &start, Value::Null).unwrap();
        close(&kept.linear().unwrap().coef, &model.linear().unwrap().coef, 1e-12);
    }
}

#[test]
fn a_class_without_rows_is_never_chosen() {
    let rows = Rows::toy(30, 3, 2, 1);
    let more = Rows { n_classes: 4, ..rows.clone() };
    for (card, _) in all().into_iter().filter(|(_, t)| *t == C) {
        let (with, without) = (fit(card.id, &more, C, Value::Null), fit(card.id, &rows, C, Value::Null));
        let (with, without) = (outputs(&*with, &rows.x), outputs(&*without, &rows.x));
        assert_eq!(with.slice(s![.., ..2]), without, "{}", card.id);
        let lowest = with.slice(s![.., 2..]);
        assert!(lowest.iter().all(|&v| v == 0.0 || v < -1e8), "{}: {lowest}", card.id);
    }
}

#[test]
fn a_class_without_rows_keeps_its_row_of_the_start() {
    let (before, after) = (Rows::toy(60, 3, 3, 4), Rows { n_classes: 3, ..Rows::toy(30, 3, 2, 9) });
    for card in linear() {
        let model = fit(card.id, &before, C, Value::Null);
        let start = Start { model: &*model, pull: 0.1, validation: None };
        let fitted = fit_from(card.id, &after, &start, Value::Null).unwrap();
        assert_eq!(fitted.linear().unwrap().coef.row(2), model.linear().unwrap().coef.row(2));
        // And a class that was absent at first is learnt later.
        let model = fit(card.id, &after, C, Value::Null);
        let start = Start { model: &*model, pull: 0.1, validation: None };
        let fitted = fit_from(card.id, &before, &start, Value::Null).unwrap();
        let Prediction::Classes { codes, .. } = fitted.predict(&before.x) else { panic!("classes") };
        assert!(codes.contains(&2), "{}", card.id);
    }
}

#[test]
fn what_cannot_be_learnt_is_refused_with_the_reason() {
    let rows = Rows::toy(6, 2, 2, 0);
    let one = Rows { codes: vec![1; 6], ..rows.clone() };
    for (card, _) in all().into_iter().filter(|(_, t)| *t == C) {
        let refused = find(card.id).unwrap().fit(&one.training(C), None, &Value::Null, &mut Ctx::new(0, &Silent));
        let Err(FitError::Degenerate(reason)) = refused else { panic!("{} learnt one class", card.id) };
        assert!(reason.contains("class number 1"), "{reason}");
    }
    let neighbours = fit("nearest_neighbors", &rows, C, Value::Null);
    let start = Start { model: &*neighbours, pull: 0.0, validation: None };
    assert!(matches!(fit_from("logistic", &rows, &start, Value::Null), Err(FitError::Invalid { .. })));
    let wider = fit("logistic", &Rows::toy(6, 3, 2, 0), C, Value::Null);
    let start = Start { model: &*wider, pull: 0.0, validation: None };
    assert!(matches!(fit_from("logistic", &rows, &start, Value::Null), Err(FitError::Invalid { .. })));
}

#[test]
fn odd_shapes_and_columns_are_learnt() {
    for (card, task) in all() {
        for (n, d) in [(2, 1), (2, 5), (9, 1), (5, 5)] {
            fit(card.id, &Rows::toy(n, d, 2, 3), task, Value::Null);
        }
        // A constant column, one far from zero and of another scale, and one that copies another.
        let rows = Rows::toy(40, 4, 2, 3);
        let mut x = rows.x.dense().into_owned();
        x.column_mut(0).fill(5.0);
        x.column_mut(1).mapv_inplace(|v| 1e6 + 1e3 * v);
        let copy = x.column(2).to_owned();
        x.column_mut(3).assign(&copy);
        let rows = Rows { x: x.into(), ..rows };
        let params = if matches!(card.id, "logistic" | "ridge") { json!({"l2": 0.0}) } else { Value::Null };
        let fitted = fit(card.id, &rows, task, params);
        assert!(outputs(&*fitted, &rows.x).iter().all(|v| v.is_finite()), "{}", card.id);
    }
}

struct Cancelled;

impl Observer for Cancelled {
    fn report(&self, _: Report<'_>) {}

    fn check(&self) -> Result<(), FitError> {
        Err(FitError::Cancelled)
    }

    fn elapsed(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

#[test]
fn a_cancelled_fit_ends() {
    let rows = Rows::toy(20, 2, 2, 0);
    for (card, task) in all() {
        let ended = find(card.id).unwrap().fit(&rows.training(task), None, &Value::Null, &mut Ctx::new(0, &Cancelled));
        assert!(matches!(ended, Err(FitError::Cancelled)), "{}", card.id);
    }
}

#[test]
fn cards_and_parameters_hold() {
    for learner in LEARNERS {
        let card = learner.card();
        assert_eq!(find(card.id).map(|l| l.card().id), Some(card.id));
        assert!(learner.check(&Value::Null).is_ok() && learner.check(&json!({"nonsense": 1})).is_err());
        for (name, property) in learner.schema()["properties"].as_object().into_iter().flatten() {
            let (low, high) = (property["minimum"].as_f64().unwrap(), property["maximum"].as_f64().unwrap());
            assert!(learner.check(&json!({name: low - 1.0})).is_err(), "{}: {name}", card.id);
            assert!(learner.check(&json!({name: high + 1.0})).is_err(), "{}: {name}", card.id);
        }
    }
    assert_eq!(schema_of::<logistic::LogisticParams>()["properties"]["l2"]["default"], json!(0.001));
}
