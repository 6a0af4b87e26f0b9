//! What metrics promise, and numbers of scikit-learn (`tests/reference/learners_and_metrics.py`).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use ndarray::{Array2, array};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::*;

fn reference() -> Value {
    serde_json::from_str(include_str!("../../tests/reference/metrics.json")).unwrap()
}

fn numbers(v: &Value) -> Vec<f64> {
    v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn codes(v: &Value) -> Vec<usize> {
    numbers(v).into_iter().map(|c| c as usize).collect()
}

fn names(n: usize) -> Vec<String> {
    (0..n).map(|c| format!("class {c}")).collect()
}

fn draws(n: usize, n_draws: usize) -> BootstrapDraws {
    BootstrapDraws::new(n, n_draws, &mut ChaCha8Rng::seed_from_u64(1))
}

fn value(report: &ClassificationReport, name: &str) -> Option<f64> {
    report.overall[name].map(|i| i.value)
}

#[test]
fn classification_equals_the_reference() {
    let reference = reference();
    for (number, case) in reference["classification"].as_array().unwrap().iter().enumerate() {
        let (truth, predicted) = (codes(&case["truth"]), codes(&case["codes"]));
        let rows: Vec<Vec<f64>> = case["scores"].as_array().unwrap().iter().map(numbers).collect();
        let scores = Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap();
        let kind = if case["kind"] == "probability" { Scores::Probability } else { Scores::Decision };
        let classes = names(case["n_classes"].as_u64().unwrap() as usize);
        let drawn = draws(truth.len(), 20);
        let report = score_classification(&truth, &predicted, Some((scores.view(), kind)), &classes, &drawn);
        for (name, expected) in case["expected"].as_object().unwrap() {
            let (actual, expected) = (value(&report, name), expected.as_f64().unwrap());
            assert!(actual.is_some_and(|a| (a - expected).abs() < 1e-12), "case {number}, {name}: {actual:?}");
        }
        assert_eq!(serde_json::to_value(&report.confusion).unwrap(), case["confusion"]);
        let class = &classes[case["roc"]["class"].as_u64().unwrap() as usize];
        let curve = report.roc.iter().find(|c| c.class == *class).unwrap();
        assert_eq!(curve.fpr, numbers(&case["roc"]["fpr"]), "case {number}");
        assert_eq!(curve.tpr, numbers(&case["roc"]["tpr"]), "case {number}");
        for interval in report.overall.values().flatten() {
            assert!(interval.low <= interval.high && interval.low.is_finite(), "{interval:?}");
        }
    }
}

#[test]
fn regression_equals_the_reference() {
    let reference = &reference()["regression"];
    let (truth, values) = (numbers(&reference["truth"]), numbers(&reference["values"]));
    let report = score_regression(&truth, &values, &draws(truth.len(), 100));
    for (name, interval) in &report.overall {
        let interval = interval.unwrap();
        assert!((interval.value - reference[name].as_f64().unwrap()).abs() < 1e-12, "{name}: {interval:?}");
        assert!(interval.low < interval.value && interval.value < interval.high, "{name}: {interval:?}");
    }
}

#[test]
fn calibration_error_is_the_gap_in_bins() {
    // Bin (0.8, 0.9]: two rows of 0.9, one right; bin (0.5, 0.6]: one row of 0.6, wrong.
    let scores = array![[0.9, 0.1], [0.1, 0.9], [0.6, 0.4]];
    let given = Some((scores.view(), Scores::Probability));
    let report = score_classification(&[0, 0, 1], &[0, 1, 0], given, &names(2), &draws(3, 0));
    let expected = (2.0 * (0.9 - 0.5) + 0.6) / 3.0;
    assert!((value(&report, "expected_calibration_error").unwrap() - expected).abs() < 1e-12);
}

#[test]
fn what_is_not_defined_is_none() {
    let scores = array![[0.7, 0.3], [0.6, 0.4]];
    let given = Some((scores.view(), Scores::Probability));
    let one = score_classification(&[0, 0], &[0, 0], given, &names(2), &draws(2, 50));
    assert_eq!((value(&one, "roc_auc"), value(&one, "accuracy")), (None, Some(1.0)));
    assert_eq!((one.per_class[1].recall, one.per_class[1].precision, one.per_class[1].f1), (None, None, None));
    assert!(one.roc.is_empty());

    let given = Some((scores.view(), Scores::Decision));
    let decisions = score_classification(&[0, 1], &[0, 0], given, &names(2), &draws(2, 50));
    assert_eq!((value(&decisions, "log_loss"), value(&decisions, "brier")), (None, None));
    assert!(value(&decisions, "roc_auc").is_some());

    let bare = score_classification(&[0, 1], &[0, 0], None, &names(2), &draws(2, 50));
    assert_eq!((value(&bare, "roc_auc"), value(&bare, "accuracy")), (None, Some(0.5)));

    let empty = score_classification(&[], &[], None, &names(2), &draws(0, 50));
    assert!(empty.overall.values().all(Option::is_none));
    assert!(score_regression(&[], &[], &draws(0, 50)).overall.values().all(Option::is_none));

    let constant = score_regression(&[0.1, 0.1, 0.1], &[1.0, 2.0, 3.0], &draws(3, 50));
    assert_eq!(constant.overall["r2"], None);
    assert!(constant.overall["mae"].is_some());
}

#[test]
fn draws_repeat_and_are_shared() {
    let drawn = draws(50, 10);
    assert_eq!(drawn.counts(3), drawn.counts(3));
    assert_ne!(drawn.counts(3), drawn.counts(4));
    assert_eq!(drawn.counts(3).iter().sum::<u32>(), 50);
    assert_eq!(drawn, draws(50, 10));
    let truth: Vec<usize> = (0..50).map(|i| i % 2).collect();
    let report = || score_classification(&truth, &vec![0; 50], None, &names(2), &drawn);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(report(), pool.install(report));
}

#[test]
fn an_interval_covers_as_it_says() {
    // Accuracy 0.8 of 100 rows has a standard deviation of 0.04.
    let codes: Vec<usize> = (0..100).map(|i| usize::from(i % 5 == 0)).collect();
    let report = score_classification(&vec![0; 100], &codes, None, &names(2), &draws(100, DRAWS));
    let interval = report.overall["accuracy"].unwrap();
    assert!((interval.low - 0.72).abs() < 0.015 && (interval.high - 0.88).abs() < 0.015, "{interval:?}");
}

#[test]
fn long_curves_are_thinned_and_keep_their_ends() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let scores: Vec<f64> = (0..5000).map(|_| rng.random_range(0.0..1.0)).collect();
    let curve = Ranking::new(&scores, |i| scores[i] > 0.5 || i % 3 == 0).roc("a").unwrap();
    assert!(curve.fpr.len() <= 200 && curve.fpr.len() > 100, "{}", curve.fpr.len());
    assert_eq!((curve.fpr[0], curve.tpr[0], curve.thresholds[0]), (0.0, 0.0, None));
    assert_eq!((curve.fpr.last(), curve.tpr.last()), (Some(&1.0), Some(&1.0)));
}

#[test]
fn a_perfect_median_counts_repeated_rows() {
    let drawn = draws(2, 200);
    let report = score_regression(&[0.0, 0.0], &[1.0, 3.0], &drawn);
    let interval = report.overall["median_absolute_error"].unwrap();
    assert_eq!((interval.value, interval.low, interval.high), (2.0, 1.0, 3.0));
}

proptest! {
    #[test]
    fn counting_a_row_is_repeating_it(
        rows in prop::collection::vec((0u8..6, any::<bool>(), 0u32..4), 1..40)
    ) {
        let scores: Vec<f64> = rows.iter().map(|r| f64::from(r.0)).collect();
        let counts: Vec<u32> = rows.iter().map(|r| r.2).collect();
        let counted = Ranking::new(&scores, |i| rows[i].1).areas(&counts);
        let repeated: Vec<_> = rows.iter().flat_map(|r| std::iter::repeat_n(*r, r.2 as usize)).collect();
        let scores: Vec<f64> = repeated.iter().map(|r| f64::from(r.0)).collect();
        let plain = Ranking::new(&scores, |i| repeated[i].1).areas(&vec![1; repeated.len()]);
        prop_assert_eq!(counted.roc_auc, plain.roc_auc);
        let gap = counted.average_precision.unwrap_or(-1.0) - plain.average_precision.unwrap_or(-1.0);
        prop_assert!(gap.abs() < 1e-12);
    }

    #[test]
    fn the_area_is_the_share_of_ordered_pairs(rows in prop::collection::vec((0u8..6, any::<bool>()), 1..40)) {
        let scores: Vec<f64> = rows.iter().map(|r| f64::from(r.0)).collect();
        let areas = Ranking::new(&scores, |i| rows[i].1).areas(&vec![1; rows.len()]);
        let (mut won, mut pairs) = (0.0, 0.0);
        for p in rows.iter().filter(|r| r.1) {
            for q in rows.iter().filter(|r| !r.1) {
                pairs += 1.0;
                won += if p.0 > q.0 { 1.0 } else if p.0 == q.0 { 0.5 } else { 0.0 };
            }
        }
        prop_assert_eq!(areas.roc_auc, (pairs > 0.0).then(|| won / pairs));
    }
}
