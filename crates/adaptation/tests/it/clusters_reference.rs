//! Methods of class structure against numbers from an independent implementation: programmes by a general solver,
//! graphs and objectives in full, in `reference/clusters.py`.

use adaptation::context::{Ctx, Silent};
use adaptation::data::{Dataset, Labels, Problem, Task};
use adaptation::learners::{Prediction, Predictor};
use adaptation::methods::Estimator;
use adaptation::methods::class_structure::easy_transfer_learning::EasyTransferLearning;
use adaptation::methods::class_structure::selective_pseudo_labeling::SelectivePseudoLabeling;
use adaptation::methods::mmd::class_matching_manifold_smoothing::ClassMatchingManifoldSmoothing;
use adaptation::params::Checked;
use ndarray::Array2;
use serde_json::{Value, json};

fn reference() -> Value {
    serde_json::from_str(include_str!("../reference/clusters.json")).expect("the committed file is JSON")
}

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).expect("rows of numbers");
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

fn problem(reference: &Value) -> Problem {
    let codes: Vec<usize> = serde_json::from_value(reference["source_codes"].clone()).expect("codes");
    let n_classes: usize = serde_json::from_value(reference["n_classes"].clone()).expect("a number");
    let (source, target) = (matrix(&reference["x_source"]), matrix(&reference["x_target"]));
    let hidden = Labels::Classes(vec![None; target.nrows()]);
    let known = Labels::Classes(codes.into_iter().map(Some).collect());
    Problem {
        task: Task::Classification { classes: (0..n_classes).map(|c| c.to_string()).collect() },
        sources: vec![Dataset { x: source.into(), labels: known, weights: None }],
        target: Dataset { x: target.into(), labels: hidden, weights: None },
    }
}

fn predict<E: Estimator>(problem: &Problem, params: Value) -> (Vec<usize>, Array2<f64>) {
    let params = Checked::new(&params).expect("parameters are in range");
    let estimate = E::fit(problem, &params, &mut Ctx::new(0, &Silent)).expect("the method fits");
    match estimate.model.predict(&estimate.maps.target.apply(&problem.target.x)) {
        Prediction::Classes { codes, scores, .. } => (codes, scores),
        Prediction::Values(_) => panic!("classes"),
    }
}

#[track_caller]
fn near(got: &Array2<f64>, want: &Array2<f64>, tolerance: f64) {
    assert_eq!(got.dim(), want.dim());
    let worst = (got - want).iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    assert!(worst < tolerance, "differ by {worst:e}");
}

#[test]
fn easy_transfer_learning_of_the_linear_programme() {
    let reference = reference();
    let want: Vec<usize> =
        serde_json::from_value(reference["easy_transfer_learning"]["labels"].clone()).expect("codes");
    let nearest: Vec<usize> =
        serde_json::from_value(reference["easy_transfer_learning"]["nearest"].clone()).expect("codes");
    assert_ne!(want, nearest, "the programme has something to do");
    assert_eq!(predict::<EasyTransferLearning>(&problem(&reference), Value::Null).0, want);
    let free = json!({"every_class": false});
    assert_eq!(predict::<EasyTransferLearning>(&problem(&reference), free).0, nearest);
}

#[test]
fn selective_pseudo_labeling_with_the_whole_graph() {
    let reference = reference();
    let params = json!({"n_components": 5, "n_projections": 3, "regularization": 0.5, "n_iterations": 4});
    let (_, scores) = predict::<SelectivePseudoLabeling>(&problem(&reference), params);
    near(&scores, &matrix(&reference["spl_k5_q3_alpha0.5_t4"]), 1e-10);
    let params = json!({"n_components": 5, "n_iterations": 3});
    let (_, scores) = predict::<SelectivePseudoLabeling>(&problem(&reference), params);
    near(&scores, &matrix(&reference["spl_k5_alpha1_t3"]), 1e-10);
}

#[test]
fn class_matching_and_manifold_smoothing_with_whole_matrices() {
    let reference = reference();
    let params = json!({
        "n_components": 3, "clustering": 0.2, "regularization": 0.3, "structure": 4.0, "n_neighbors": 4,
        "n_iterations": 3
    });
    let (_, scores) = predict::<ClassMatchingManifoldSmoothing>(&problem(&reference), params);
    near(&scores, &matrix(&reference["cmms_k3_alpha0.2_beta0.3_gamma4_p4_t3"]), 1e-8);
}
