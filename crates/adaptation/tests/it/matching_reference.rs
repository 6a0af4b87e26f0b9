//! Transfer joint matching, joint geometrical and statistical alignment and feature selection by MMD against numbers from
//! an independent implementation: n × n matrices, generic eigensolvers and optimisers of NumPy and SciPy, in
//! `reference/matching.py`.

use adaptation::context::{Ctx, Silent};
use adaptation::data::{Dataset, Labels, Problem, Task};
use adaptation::features::Map;
use adaptation::learners::{self, BoundLearner, Prediction};
use adaptation::linalg::Matrix;
use adaptation::methods::{self, FittedMethod};
use ndarray::{Array2, Axis, concatenate};
use serde_json::{Value, json};

fn reference() -> Value {
    serde_json::from_str(include_str!("../reference/matching.json")).expect("JSON")
}

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).expect("rows of numbers");
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

fn problem(reference: &Value) -> Problem {
    let (xs, xt) = (matrix(&reference["x_source"]), matrix(&reference["x_target"]));
    let ys: Vec<usize> = serde_json::from_value(reference["y_source"].clone()).expect("codes");
    let hidden = Labels::Classes(vec![None; xt.nrows()]);
    Problem {
        task: Task::Classification { classes: ["a", "b", "c"].map(str::to_owned).into() },
        sources: vec![Dataset {
            x: Matrix::Dense(xs),
            labels: Labels::Classes(ys.into_iter().map(Some).collect()),
            weights: None,
        }],
        target: Dataset { x: Matrix::Dense(xt), labels: hidden, weights: None },
    }
}

fn fit(method: &str, problem: &Problem, params: &Value) -> FittedMethod {
    let one = json!({"n_neighbors": 1});
    let learner = learners::find("nearest_neighbors").expect("it is in the list");
    let bound = BoundLearner { learner, params: &one, base: None };
    let method = methods::find(method).expect("it is in the list");
    method.fit(problem, params, &bound, &mut Ctx::new(0, &Silent)).expect("it fits")
}

/// Products of rows know no signs.
fn compare_products(name: &str, fitted: &FittedMethod, problem: &Problem, want: &Value) {
    let zs = fitted.maps.sources[0].apply(&problem.sources[0].x);
    let zt = fitted.maps.target.apply(&problem.target.x);
    let z = concatenate![Axis(0), *zs.dense(), *zt.dense()];
    let difference = z.select(Axis(0), &[0, 40]).dot(&z.t()) - matrix(&want["gram_rows_0_40"]);
    let worst = difference.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    println!("{name}: {worst:e}");
    assert!(worst < 1e-6, "{name}: differ by {worst:e}");
}

#[test]
fn transfer_joint_matching() {
    let reference = reference();
    let problem = problem(&reference);
    for (name, params) in [
        ("tjm_k3_lambda0.5_t6", json!({"regularization": 0.5, "n_iterations": 6})),
        ("tjm_k3_lambda20_t1", json!({"regularization": 20.0, "n_iterations": 1})),
        (
            "tjm_rbf_2.0_k3_lambda0.5_t6",
            json!({"regularization": 0.5, "n_iterations": 6, "kernel": "rbf", "bandwidth": 2.0}),
        ),
    ] {
        let mut params = params;
        params["n_components"] = json!(3);
        let fitted = fit("transfer_joint_matching", &problem, &params);
        compare_products(name, &fitted, &problem, &reference[name]);
        let (got, want) = (fitted.diagnostics["effective_source_rows"], &reference[name]["effective_source_rows"]);
        assert!((got - want.as_f64().expect("a number")).abs() < 1e-5, "{name}: {got} and {want}");
    }
}

#[test]
fn joint_geometrical_and_statistical_alignment() {
    let reference = reference();
    let problem = problem(&reference);
    for (name, params) in [
        ("jgsa_k3_t4", json!({"n_components": 3})),
        (
            "jgsa_k2_alpha0.3_mu2_beta0.5_t3",
            json!({"n_components": 2, "map_similarity": 0.3, "target_variance": 2.0, "discrimination": 0.5}),
        ),
        ("jgsa_rbf_2.0_k3_t4", json!({"n_components": 3, "kernel": "rbf", "bandwidth": 2.0})),
    ] {
        let history: Vec<Vec<usize>> = serde_json::from_value(reference[name]["labels"].clone()).expect("codes");
        let mut params = params;
        params["normalize_rows"] = json!(true);
        for (round, want) in history.iter().enumerate() {
            params["n_iterations"] = json!(round + 1);
            let fitted = fit("joint_geometrical_statistical_alignment", &problem, &params);
            let Prediction::Classes { codes, .. } =
                fitted.predictor.predict(&fitted.maps.target.apply(&problem.target.x))
            else {
                panic!("classes")
            };
            assert_eq!(&codes, want, "{name}, round {}", round + 1);
            if round + 1 == history.len() {
                compare_products(name, &fitted, &problem, &reference[name]);
            }
        }
    }
}

#[test]
fn feature_selection_by_mmd() {
    let reference = reference();
    let problem = problem(&reference);
    for (name, kernel) in [("fmmd_linear", json!("linear")), ("fmmd_rbf_5.0", json!("rbf"))] {
        // So few rows would be told apart by chance too often for the width of the gap to decide.
        let kept: Vec<usize> = serde_json::from_value(reference[name]["kept"].clone()).expect("columns");
        let params = json!({"kernel": kernel, "bandwidth": 5.0, "n_columns": kept.len()});
        let fitted = fit("feature_selection_mmd", &problem, &params);
        let (got, want) = (fitted.diagnostics["weighted_mmd2"], &reference[name]["distance"]);
        let difference = (got - want.as_f64().expect("a number")).abs();
        println!("{name}: {difference:e}");
        assert!(difference < 1e-7, "{name}: {got} and {want}");
        assert_eq!(fitted.maps.target, Map::Select { columns: kept }, "{name}");
    }
}
