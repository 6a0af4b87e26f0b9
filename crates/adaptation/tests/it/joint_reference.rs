//! Methods of joint distributions against numbers from an independent implementation: n × n matrices and generic
//! eigensolvers of NumPy and SciPy, in `reference/joint.py`.

use adaptation::context::{Ctx, Silent};
use adaptation::data::{Dataset, Labels, Problem, Task};
use adaptation::learners::{self, BoundLearner, Prediction};
use adaptation::linalg::Matrix;
use adaptation::methods;
use ndarray::{Array2, Axis, concatenate};
use serde_json::{Value, json};

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).expect("rows of numbers");
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

/// Every round's pseudo-labels agree, and so do products of rows after the last: those know no signs.
fn check(method: &str, name: &str, mut params: Value) {
    let reference: Value = serde_json::from_str(include_str!("../reference/joint.json")).expect("JSON");
    let (xs, xt) = (matrix(&reference["x_source"]), matrix(&reference["x_target"]));
    let ys: Vec<usize> = serde_json::from_value(reference["y_source"].clone()).expect("codes");
    let hidden = Labels::Classes(vec![None; xt.nrows()]);
    let problem = Problem {
        task: Task::Classification { classes: ["a", "b", "c"].map(str::to_owned).into() },
        sources: vec![Dataset {
            x: Matrix::Dense(xs),
            labels: Labels::Classes(ys.into_iter().map(Some).collect()),
            weights: None,
        }],
        target: Dataset { x: Matrix::Dense(xt), labels: hidden, weights: None },
    };
    let one = json!({"n_neighbors": 1});
    let learner = learners::find("nearest_neighbors").expect("it is in the list");
    let bound = BoundLearner { learner, params: &one, base: None };
    let history: Vec<Vec<usize>> = serde_json::from_value(reference[name]["labels"].clone()).expect("codes");
    for (round, want) in history.iter().enumerate() {
        params["n_iterations"] = json!(round + 1);
        let method = methods::find(method).expect("it is in the list");
        let fitted = method.fit(&problem, &params, &bound, &mut Ctx::new(0, &Silent)).expect("it fits");
        let zt = fitted.maps.target.apply(&problem.target.x);
        let Prediction::Classes { codes, .. } = fitted.predictor.predict(&zt) else { panic!("classes") };
        assert_eq!(&codes, want, "{name}, round {}", round + 1);
        if round + 1 == history.len() {
            let zs = fitted.maps.sources[0].apply(&problem.sources[0].x);
            let z = concatenate![Axis(0), *zs.dense(), *zt.dense()];
            let got = z.select(Axis(0), &[0, 40]).dot(&z.t());
            let difference = got - matrix(&reference[name]["gram_rows_0_40"]);
            let worst = difference.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            assert!(worst < 1e-6, "{name}: differ by {worst:e}");
            println!("{name}: {worst:e}");
        }
    }
}

fn settings(more: Value) -> Value {
    let mut params = json!({"kernel": "linear", "n_components": 3, "regularization": 0.1});
    for (name, value) in more.as_object().expect("an object") {
        params[name.as_str()] = value.clone();
    }
    params
}

#[test]
fn joint_distribution_adaptation() {
    let method = "joint_distribution_adaptation";
    check(method, "jda_k3_lambda0.1_t4", settings(json!({})));
    check(method, "jda_rbf_2.0_k3_lambda0.1_t4", settings(json!({"kernel": "rbf", "bandwidth": 2.0})));
}

#[test]
fn balanced_distribution_adaptation() {
    let method = "balanced_distribution_adaptation";
    check(method, "bda_mu0.8_k3_lambda0.1_t4", settings(json!({"balance": 0.8})));
    check(method, "wbda_mu0.8_k3_lambda0.1_t4", settings(json!({"balance": 0.8, "class_weights": "shares"})));
}

#[test]
fn joint_probability_adaptation() {
    check("joint_probability_adaptation", "jpda_mu0.1_k3_lambda0.1_t4", settings(json!({"discrimination": 0.1})));
}
