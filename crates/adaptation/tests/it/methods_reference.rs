//! Methods and distances against numbers from an independent implementation: dense matrices and generic
//! solvers of NumPy and SciPy, in `reference/methods.py`.

use adaptation::context::{Ctx, Silent};
use adaptation::data::{Dataset, Labels, Problem, Task};
use adaptation::distances::mmd::mmd2;
use adaptation::linalg::Matrix;
use adaptation::linalg::kernels::{Kernel, KernelRows};
use adaptation::linalg::median::{Distance, median_bandwidth};
use adaptation::methods::mmd::transfer_component_analysis::TransferComponentAnalysis;
use adaptation::methods::reweighting::kernel_mean_matching::KernelMeanMatching;
use adaptation::methods::statistical_alignment::coral::Coral;
use adaptation::methods::statistical_alignment::subspace_alignment::SubspaceAlignment;
use adaptation::methods::{Adaptation, Adapter};
use adaptation::params::Checked;
use ndarray::{Array2, Axis, concatenate};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

fn reference() -> Value {
    serde_json::from_str(include_str!("../reference/methods.json")).expect("the committed file is JSON")
}

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).expect("rows of numbers");
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

fn problem(reference: &Value) -> Problem {
    let dataset = |name: &str| {
        let x = matrix(&reference[name]);
        Dataset { labels: Labels::Values(vec![Some(0.0); x.nrows()]), x: Matrix::Dense(x), weights: None }
    };
    Problem { task: Task::Regression, sources: vec![dataset("x_source")], target: dataset("x_target") }
}

fn adapt<A: Adapter>(problem: &Problem, params: Value) -> Adaptation {
    let params = Checked::new(&params).expect("parameters are in range");
    A::adapt(problem, &params, &mut Ctx::new(0, &Silent)).expect("the method fits")
}

#[track_caller]
fn near(got: &Array2<f64>, want: &Array2<f64>, tolerance: f64) {
    assert_eq!(got.dim(), want.dim());
    let worst = (got - want).iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    assert!(worst < tolerance, "differ by {worst:e}");
}

#[test]
fn mmd_and_the_median_rule() {
    let reference = reference();
    let (xs, xt) = (matrix(&reference["x_source"]), matrix(&reference["x_target"]));
    let mixture: Vec<Kernel> = [0.5, 1.0, 2.0].map(|bandwidth| Kernel::Rbf { bandwidth }).into();
    let cases: [(&str, &[Kernel]); 3] = [
        ("rbf_1.7", &[Kernel::Rbf { bandwidth: 1.7 }]),
        ("laplacian_2.5", &[Kernel::Laplacian { bandwidth: 2.5 }]),
        ("rbf_mean_0.5_1_2", &mixture),
    ];
    for (name, kernels) in cases {
        let got = mmd2(xs.view(), xt.view(), kernels, &Ctx::new(0, &Silent)).unwrap();
        let want = &reference["mmd2"][name];
        assert!((got.biased - want["biased"].as_f64().unwrap()).abs() < 1e-14, "{name}");
        assert!((got.unbiased - want["unbiased"].as_f64().unwrap()).abs() < 1e-14, "{name}");
    }
    for (name, distance) in [("euclidean", Distance::Euclidean), ("manhattan", Distance::Manhattan)] {
        let parts = [Matrix::Dense(xs.clone()), Matrix::Dense(xt.clone())];
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let got = median_bandwidth(&[&parts[0], &parts[1]], distance, &mut rng).unwrap();
        assert!((got - reference["median"][name].as_f64().unwrap()).abs() < 1e-12, "{name}");
    }
}

#[test]
fn coral() {
    let reference = reference();
    let problem = problem(&reference);
    let maps = adapt::<Coral>(&problem, json!({"regularization": 0.3})).maps;
    near(maps.sources[0].apply(&problem.sources[0].x).dense().as_ref(), &matrix(&reference["coral_0.3"]), 1e-12);
}

#[test]
fn subspace_alignment() {
    let reference = reference();
    let problem = problem(&reference);
    let maps = adapt::<SubspaceAlignment>(&problem, json!({"n_components": 2})).maps;
    let source = maps.sources[0].apply(&problem.sources[0].x).dense().into_owned();
    let target = maps.target.apply(&problem.target.x).dense().into_owned();
    // Products of source and target rows do not depend on the signs of the axes.
    near(&source.dot(&target.t()), &matrix(&reference["subspace_alignment_2"]["gram"]), 1e-12);
}

#[test]
fn transfer_component_analysis_in_the_form_with_the_whole_kernel_matrix() {
    let reference = reference();
    let problem = problem(&reference);
    let params = json!({"bandwidth": 1.7, "n_components": 3, "regularization": 0.5});
    let maps = adapt::<TransferComponentAnalysis>(&problem, params).maps;
    let mapped = |x: &Matrix| maps.target.apply(x).dense().into_owned();
    let z = concatenate![Axis(0), mapped(&problem.sources[0].x), mapped(&problem.target.x)];
    let want = matrix(&reference["tca_rbf_1.7_k3_lambda0.5"]["gram_rows_0_30"]);
    near(&z.select(Axis(0), &[0, 30]).dot(&z.t()), &want, 1e-6);
}

#[test]
fn kernel_mean_matching_reaches_the_minimum_of_the_quadratic_programme() {
    let reference = reference();
    let problem = problem(&reference);
    let params = json!({
        "bandwidth": 1.7, "max_weight": 3.0, "epsilon": 0.2, "tolerance": 1e-9, "max_iterations": 200_000
    });
    let w = adapt::<KernelMeanMatching>(&problem, params).weights.unwrap().remove(0);
    let (xs, xt) = (matrix(&reference["x_source"]), matrix(&reference["x_target"]));
    let kernel = Kernel::Rbf { bandwidth: 1.7 };
    let (a, b) = (KernelRows::new(xs.clone()), KernelRows::new(xt.clone()));
    let kappa = kernel.matrix(&a, &b).sum_axis(Axis(1)) * (xs.nrows() as f64 / xt.nrows() as f64);
    let objective = 0.5 * w.dot(&kernel.matrix(&a, &a).dot(&w)) - kappa.dot(&w);
    let want = reference["kmm_rbf_1.7_b3_e0.2"]["objective"].as_f64().unwrap();
    assert!((objective - want).abs() < 1e-6 * want.abs(), "{objective} and {want}");
    assert!(w.iter().all(|v| (0.0..=3.0).contains(v)));
}
