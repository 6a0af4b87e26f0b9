//! Methods of class structure against numbers from an independent implementation: programmes by a general solver,
//! graphs and objectives in full, in `reference/clusters.py`.

use adaptation::context::{Ctx, Silent};
use adaptation::data::Problem;
use adaptation::learners::{Prediction, Predictor};
use adaptation::methods::Estimator;
use adaptation::methods::class_structure::easy_transfer_learning::EasyTransferLearning;
use adaptation::methods::class_structure::selective_pseudo_labeling::SelectivePseudoLabeling;
use adaptation::methods::mmd::class_matching_manifold_smoothing::ClassMatchingManifoldSmoothing;
use adaptation::params::Checked;
use ndarray::Array2;
use serde_json::{Value, json};

use crate::support::{matrix, near, problem};

fn reference() -> Value {
    serde_json::from_str(include_str!("../reference/clusters.json")).expect("the committed file is JSON")
}

fn predict<E: Estimator>(problem: &Problem, params: Value) -> (Vec<usize>, Array2<f64>) {
    let params = Checked::new(&params).expect("parameters are in range");
    let estimate = E::fit(problem, &params, &mut Ctx::new(0, &Silent)).expect("the method fits");
    match estimate.model.predict(&estimate.maps.target.apply(&problem.target.x)) {
        Prediction::Classes { codes, scores, .. } => (codes, scores),
        Prediction::Values(_) => panic!("classes"),
    }
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
