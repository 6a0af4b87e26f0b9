//! Methods of the manifold against numbers from an independent implementation: kernels, Laplacians and systems in
//! full, in `reference/manifold.py`.

use adaptation::context::{Ctx, Silent};
use adaptation::data::{Dataset, Labels, Problem, Task};
use adaptation::linalg::Matrix;
use adaptation::methods::mmd::manifold_embedded_distribution_alignment::ManifoldEmbeddedDistributionAlignment;
use adaptation::methods::statistical_alignment::geodesic_flow_kernel::GeodesicFlowKernel;
use adaptation::methods::{Adapter, Estimator};
use adaptation::params::Checked;
use ndarray::{Array2, Axis};
use serde_json::{Value, json};

fn reference() -> Value {
    serde_json::from_str(include_str!("../reference/manifold.json")).expect("the committed file is JSON")
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

fn all_rows(problem: &Problem) -> Matrix {
    Matrix::stack(&[&problem.sources[0].x, &problem.target.x])
}

#[track_caller]
fn near(got: &Array2<f64>, want: &Array2<f64>, tolerance: f64) {
    assert_eq!(got.dim(), want.dim());
    let worst = (got - want).iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    assert!(worst < tolerance, "differ by {worst:e}");
}

#[test]
fn geodesic_flow_kernel_of_the_closed_form() {
    let reference = reference();
    let problem = problem(&reference);
    let params = Checked::new(&json!({"n_components": 3})).expect("parameters are in range");
    let adaptation = GeodesicFlowKernel::adapt(&problem, &params, &mut Ctx::new(0, &Silent)).expect("the method fits");
    let z = adaptation.maps.target.apply(&all_rows(&problem)).dense().into_owned();
    near(&z.select(Axis(0), &[0, 40]).dot(&z.t()), &matrix(&reference["gfk_3"]["kernel"]), 1e-10);
}

#[test]
fn manifold_embedded_distribution_alignment_with_the_whole_kernel_matrix() {
    let reference = reference();
    let problem = problem(&reference);
    let params = json!({
        "n_components": 3, "n_neighbors": 4, "alignment": 5.0, "regularization": 0.2, "smoothness": 0.7,
        "conditional_share": 0.4, "bandwidth": 0.8, "n_iterations": 3
    });
    let params = Checked::new(&params).expect("parameters are in range");
    let mut ctx = Ctx::new(0, &Silent);
    let estimate = ManifoldEmbeddedDistributionAlignment::fit(&problem, &params, &mut ctx).expect("the method fits");
    let f = estimate.maps.target.apply(&all_rows(&problem)).dense().into_owned();
    near(&f, &matrix(&reference["meda_k3_p4_lambda5_eta0.2_rho0.7_mu0.4_sigma0.8_t3"]["f"]), 1e-6);
}
