//! DASVM against numbers from an independent implementation, `reference/domain_adaptation_svm.py`.

use adaptation::context::{Ctx, Silent};
use adaptation::data::{Dataset, Labels, Problem, Task};
use adaptation::learners::{self, BoundLearner};
use adaptation::linalg::Matrix;
use adaptation::methods;
use ndarray::{Array2, Axis};
use serde_json::Value;

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).expect("rows of numbers");
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

/// The rows of the first classes.
fn first(x: &Array2<f64>, codes: &[usize], n_classes: usize) -> (Matrix, Vec<Option<usize>>) {
    let rows: Vec<usize> = (0..codes.len()).filter(|i| codes[*i] < n_classes).collect();
    (Matrix::Dense(x.select(Axis(0), &rows)), rows.iter().map(|i| Some(codes[*i])).collect())
}

#[test]
fn domain_adaptation_svm() {
    let reference: Value = serde_json::from_str(include_str!("../reference/domain_adaptation_svm.json")).expect("JSON");
    let codes = |name: &str| -> Vec<usize> { serde_json::from_value(reference[name].clone()).expect("codes") };
    let (xs, xt) = (matrix(&reference["x_source"]), matrix(&reference["x_target"]));
    for run in reference["runs"].as_array().expect("runs") {
        let n_classes = run["classes"].as_u64().expect("a number") as usize;
        let (source, labels) = first(&xs, &codes("y_source"), n_classes);
        let (target, hidden) = first(&xt, &codes("y_target"), n_classes);
        let problem = Problem {
            task: Task::Classification { classes: (0..n_classes).map(|c| c.to_string()).collect() },
            sources: vec![Dataset { x: source, labels: Labels::Classes(labels), weights: None }],
            target: Dataset { x: target, labels: Labels::Classes(hidden).hidden(), weights: None },
        };
        let method = methods::find("domain_adaptation_svm").expect("listed");
        let learner = learners::find("linear_svm").expect("listed");
        let bound = BoundLearner { learner, params: &Value::Null, base: None };
        let fitted = method.fit(&problem, &run["params"], &bound, &mut Ctx::new(0, &Silent)).expect("it fits");
        assert_eq!(fitted.diagnostics["rounds"], run["rounds"].as_f64().expect("a number"));
        let decisions = fitted.maps.target.apply(&problem.target.x).dense().into_owned();
        let difference = decisions - matrix(&run["decisions"]);
        let worst = difference.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        println!("{}: {worst:e}", run["params"]);
        assert!(worst < 1e-5, "{}: differ by {worst:e}", run["params"]);
    }
}
