//! What the tests against reference numbers share.

use adaptation::data::{Dataset, Labels, Problem, Task};
use ndarray::Array2;
use serde_json::Value;

pub(crate) fn matrix(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = serde_json::from_value(value.clone()).expect("rows of numbers");
    Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, j)| rows[i][j])
}

/// Sources, codes and the target as the scripts write them.
pub(crate) fn problem(reference: &Value) -> Problem {
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

#[track_caller]
pub(crate) fn near(got: &Array2<f64>, want: &Array2<f64>, tolerance: f64) {
    assert_eq!(got.dim(), want.dim());
    let worst = (got - want).iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    assert!(worst < tolerance, "differ by {worst:e}");
}
