//! Methods of the manifold against numbers from an independent implementation: kernels, Laplacians and systems in
//! full, in `reference/manifold.py`.

use adaptation::context::{Ctx, Silent};
use adaptation::data::Problem;
use adaptation::linalg::Matrix;
use adaptation::methods::mmd::manifold_embedded_distribution_alignment::ManifoldEmbeddedDistributionAlignment;
use adaptation::methods::statistical_alignment::geodesic_flow_kernel::GeodesicFlowKernel;
use adaptation::methods::{Adapter, Estimator};
use adaptation::params::Checked;
use ndarray::Axis;
use serde_json::{Value, json};

use crate::support::{matrix, near, problem};

fn reference() -> Value {
    serde_json::from_str(include_str!("../reference/manifold.json")).expect("the committed file is JSON")
}

fn all_rows(problem: &Problem) -> Matrix {
    Matrix::stack(&[&problem.sources[0].x, &problem.target.x])
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
