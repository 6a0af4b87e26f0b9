//! Statistical alignment, its kernels and covariances against numbers from independent implementations: POT,
//! scikit-learn and dense matrices of NumPy, in `reference/stats.py`. `mmd_location_scale` is compared beside its
//! code, where frequencies can be given.

use adaptation::context::{Ctx, Silent};
use adaptation::data::{Dataset, Labels, Problem, Task};
use adaptation::distances::mmd::mmd2;
use adaptation::linalg::kernels::{Kernel, KernelRows};
use adaptation::linalg::{Matrix, PrincipalAxes, ledoit_wolf};
use adaptation::methods::statistical_alignment::linear_optimal_transport::LinearOptimalTransport;
use adaptation::methods::statistical_alignment::maximum_independence::MaximumIndependence;
use adaptation::methods::{Adaptation, Adapter};
use adaptation::params::Checked;
use ndarray::{Array2, Axis, concatenate, s};
use serde_json::{Value, json};

fn reference() -> Value {
    serde_json::from_str(include_str!("../reference/stats.json")).expect("the committed file is JSON")
}

fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).expect("rows of numbers");
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

fn dataset(x: Array2<f64>, labels: Labels) -> Dataset {
    Dataset { labels, x: Matrix::Dense(x), weights: None }
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
fn shrinkage_is_that_of_ledoit_and_wolf() {
    let reference = reference();
    for name in ["x_source", "x_target", "wide_source", "wide_target"] {
        let x = matrix(&reference[name]);
        let got = ledoit_wolf(x.view(), &PrincipalAxes::of(x.view()).unwrap());
        let want = reference["ledoit_wolf"][name].as_f64().unwrap();
        assert!((got - want).abs() < 1e-12, "{name}: {got} and {want}");
    }
}

#[test]
fn the_linear_transport_is_the_closed_form() {
    let reference = reference();
    let problem = |prefix: &str| {
        let domain = |side: &str| {
            let x = matrix(&reference[format!("{prefix}_{side}")]);
            let labels = Labels::Values(vec![Some(0.0); x.nrows()]);
            dataset(x, labels)
        };
        Problem { task: Task::Regression, sources: vec![domain("source")], target: domain("target") }
    };
    for (name, prefix, shrinkage) in [
        ("0", "x", json!(0.0)),
        ("0.1", "x", json!(0.1)),
        ("ledoit_wolf", "x", json!(null)),
        ("wide_0.1", "wide", json!(0.1)),
        ("wide_ledoit_wolf", "wide", json!(null)),
    ] {
        let problem = problem(prefix);
        let maps = adapt::<LinearOptimalTransport>(&problem, json!({ "shrinkage": shrinkage })).maps;
        let mapped = maps.sources[0].apply(&problem.sources[0].x).dense().into_owned();
        near(&mapped, &matrix(&reference["monge"][name]), 1e-11);
    }
}

#[test]
fn kernels_of_inner_products() {
    let reference = reference();
    let (xs, xt) = (matrix(&reference["x_source"]), matrix(&reference["x_target"]));
    for (name, kernel) in [
        ("cosine", Kernel::Cosine),
        ("polynomial_1.3_3_0.7", Kernel::Polynomial { bandwidth: 1.3, degree: 3, offset: 0.7 }),
    ] {
        let want = &reference["kernels"][name];
        let first = KernelRows::new(xs.slice(s![..3, ..]).to_owned());
        near(&kernel.matrix(&first, &KernelRows::new(xt.clone())), &matrix(&want["source_target"]), 1e-12);
        let got = mmd2(xs.view(), xt.view(), &[kernel], &Ctx::new(0, &Silent)).unwrap().unbiased;
        assert!((got - want["mmd2_unbiased"].as_f64().unwrap()).abs() < 1e-12, "{name}");
    }
}

#[test]
fn maximum_independence_in_the_form_with_the_whole_kernel_matrix() {
    let reference = reference();
    let (xs, xt) = (matrix(&reference["x_source"]), matrix(&reference["x_target"]));
    let codes: Vec<Option<usize>> = serde_json::from_value(reference["classes"].clone()).unwrap();
    let values: Vec<Option<f64>> = serde_json::from_value(reference["values"].clone()).unwrap();
    let classes = Task::Classification { classes: ["a", "b", "c"].map(String::from).into() };
    let part = |range: std::ops::Range<usize>| {
        dataset(xs.slice(s![range.clone(), ..]).to_owned(), Labels::Classes(codes[range].to_vec()))
    };
    let target = dataset(xt.clone(), Labels::Classes(vec![None; 18]));
    let three = Problem { task: classes, sources: vec![part(0..10), part(10..24)], target };
    let two = Problem {
        task: Task::Regression,
        sources: vec![dataset(xs.clone(), Labels::Values(values))],
        target: dataset(xt.clone(), Labels::Values(vec![None; 18])),
    };
    let rbf = |variance: f64, labels: f64, k: usize, augment: bool| {
        json!({
            "kernel": "rbf", "bandwidth": 1.7, "variance_weight": variance, "label_weight": labels,
            "n_components": k, "augment_features": augment
        })
    };
    for (name, problem, params, tolerance) in [
        ("linear", &three, json!({"label_weight": 0.0, "n_components": 2}), 1e-9),
        ("linear_classes", &three, json!({"n_components": 3}), 1e-9),
        ("rbf_values", &two, rbf(0.5, 0.2, 3, false), 1e-7),
        ("rbf_classes_augmented", &three, rbf(2.0, 0.1, 4, true), 1e-7),
    ] {
        let maps = adapt::<MaximumIndependence>(problem, params).maps;
        let domains = problem.sources.iter().chain([&problem.target]).map(|d| &d.x);
        let mapped: Vec<Array2<f64>> = maps
            .sources
            .iter()
            .chain([&maps.target])
            .zip(domains)
            .map(|(map, x)| map.apply(x).dense().into_owned())
            .collect();
        let z = concatenate(Axis(0), &mapped.iter().map(|m| m.view()).collect::<Vec<_>>()).unwrap();
        // Products of rows do not depend on the signs of components.
        near(&z.select(Axis(0), &[0, 41]).dot(&z.t()), &matrix(&reference["mida"][name]), tolerance);
    }
}
