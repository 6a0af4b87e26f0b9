//! Self-training against numbers from an independent implementation, `reference/self_training.py`.

use adaptation::context::{Ctx, Silent};
use adaptation::data::{Dataset, Labels, Problem, Task};
use adaptation::learners::{self, BoundLearner, Prediction};
use adaptation::linalg::Matrix;
use adaptation::methods;
use ndarray::Array2;
use serde_json::{Value, json};

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).expect("rows of numbers");
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

#[test]
fn self_training() {
    let reference: Value = serde_json::from_str(include_str!("../reference/self_training.json")).expect("JSON");
    let codes: Vec<usize> = serde_json::from_value(reference["y_source"].clone()).expect("codes");
    let xt = matrix(&reference["x_target"]);
    let hidden = Labels::Classes(vec![None; xt.nrows()]);
    let problem = Problem {
        task: Task::Classification { classes: ["a", "b", "c"].map(str::to_owned).into() },
        sources: vec![Dataset {
            x: Matrix::Dense(matrix(&reference["x_source"])),
            labels: Labels::Classes(codes.into_iter().map(Some).collect()),
            weights: None,
        }],
        target: Dataset { x: Matrix::Dense(xt), labels: hidden, weights: None },
    };
    let params = json!({"l2": reference["l2"]});
    let bound = BoundLearner { learner: learners::find("logistic").expect("listed"), params: &params, base: None };
    for run in reference["runs"].as_array().expect("runs") {
        let method = methods::find("self_training").expect("listed");
        let fitted = method.fit(&problem, &run["params"], &bound, &mut Ctx::new(0, &Silent)).expect("it fits");
        assert_eq!(fitted.diagnostics["taken"], run["taken"].as_f64().expect("a number"));
        let Prediction::Classes { scores, .. } = fitted.predictor.predict(&problem.target.x) else { panic!("classes") };
        let difference = scores - matrix(&run["scores"]);
        let worst = difference.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        println!("{}: {worst:e}", run["params"]);
        assert!(worst < 1e-6, "{}: differ by {worst:e}", run["params"]);
    }
}
