//! Metrics against scikit-learn (tests/reference/metrics.py) and against their own laws.

use ndarray::Array2;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use super::*;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

fn draws(n: usize) -> BootstrapDraws {
    BootstrapDraws::new(n, 200, &mut rng(7))
}

fn names(n_classes: usize) -> Vec<String> {
    (0..n_classes).map(|c| format!("class {c}")).collect()
}

/// Predictions that are right more often than not.
struct Case {
    truth: Vec<usize>,
    codes: Vec<usize>,
    scores: Array2<f64>,
}

impl Case {
    fn random(n: usize, n_classes: usize, seed: u64) -> Self {
        let mut rng = rng(seed);
        let truth: Vec<usize> = (0..n).map(|_| rng.random_range(0..n_classes)).collect();
        // Few levels, so that there are ties.
        let mut scores = Array2::from_shape_fn((n, n_classes), |(i, c)| {
            f64::from(rng.random_range(1..6_u32)) + if truth[i] == c { 2.0 } else { 0.0 }
        });
        for mut row in scores.rows_mut() {
            let sum = row.sum();
            row /= sum;
        }
        let codes =
            scores.rows().into_iter().map(|row| (0..n_classes).fold(0, |a, b| if row[b] > row[a] { b } else { a }));
        Self { truth, codes: codes.collect(), scores }
    }

    fn report_with(&self, draws: &BootstrapDraws) -> ClassificationReport {
        let scores = Some((self.scores.view(), ScoreKind::Probability));
        score_classification(&self.truth, &self.codes, scores, &names(self.scores.ncols()), draws)
    }

    fn report(&self) -> ClassificationReport {
        self.report_with(&draws(self.truth.len()))
    }
}

fn value(report: &ClassificationReport, name: &str) -> Option<f64> {
    report.overall[name].map(|i| i.value)
}

fn reference() -> Value {
    serde_json::from_str(include_str!("../../tests/reference/metrics.json")).unwrap()
}

fn list<T: serde::de::DeserializeOwned>(value: &Value) -> Vec<T> {
    serde_json::from_value(value.clone()).unwrap()
}

/// Both undefined, or the same up to rounding.
fn check_close(got: Option<f64>, expected: Option<f64>, what: &str) {
    match (got, expected) {
        (Some(g), Some(e)) => assert!((g - e).abs() <= 1e-12 * (1.0 + e.abs()), "{what}: {g} is not {e}"),
        _ => assert_eq!(got, expected, "{what}"),
    }
}

#[test]
fn classification_agrees_with_scikit_learn() {
    let reference = reference();
    let cases = reference["classification"].as_array().unwrap();
    assert_eq!(cases.len(), 6);
    for case in cases {
        let (truth, codes): (Vec<usize>, Vec<usize>) = (list(&case["truth"]), list(&case["codes"]));
        let rows: Vec<Vec<f64>> = list(&case["scores"]);
        let scores = Array2::from_shape_fn((rows.len(), rows[0].len()), |(i, c)| rows[i][c]);
        let kind = if case["probability"] == true { ScoreKind::Probability } else { ScoreKind::Decision };
        let classes = names(scores.ncols());
        let report = score_classification(&truth, &codes, Some((scores.view(), kind)), &classes, &draws(truth.len()));

        let expected = case["overall"].as_object().unwrap();
        assert_eq!(report.overall.len(), expected.len());
        for (name, number) in expected {
            check_close(value(&report, name), number.as_f64(), &format!("{}: {name}", case["name"]));
        }
        assert_eq!(Value::from(report.confusion), case["confusion"]);
        for (class, expected) in report.per_class.iter().zip(case["per_class"].as_array().unwrap()) {
            let got = serde_json::to_value(class).unwrap();
            for (name, number) in expected.as_object().unwrap() {
                let what = format!("{}, {}: {name}", case["name"], class.class);
                let got = &got[name];
                check_close(got.as_f64().or(got["value"].as_f64()), number.as_f64(), &what);
            }
        }
    }
}

#[test]
fn regression_agrees_with_scikit_learn() {
    let reference = reference();
    let cases = reference["regression"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let (truth, values): (Vec<f64>, Vec<f64>) = (list(&case["truth"]), list(&case["values"]));
        let report = score_regression(&truth, &values, &draws(truth.len()));
        for (name, got) in report.overall {
            check_close(got.map(|i| i.value), case["overall"][name].as_f64(), &format!("{}: {name}", case["name"]));
        }
    }
}

#[test]
fn no_scores_leave_what_needs_them_undefined() {
    let case = Case::random(30, 3, 1);
    let report = score_classification(&case.truth, &case.codes, None, &names(3), &draws(30));
    let undefined: Vec<_> = report.overall.iter().filter(|(_, v)| v.is_none()).map(|(name, _)| *name).collect();
    assert_eq!(undefined, ["average_precision", "brier", "expected_calibration_error", "log_loss", "roc_auc"]);
    assert!(report.roc.is_empty() && report.per_class.iter().all(|c| c.roc_auc.is_none() && c.f1.is_some()));
}

#[test]
fn no_rows_define_nothing() {
    let empty = Case { truth: vec![], codes: vec![], scores: Array2::zeros((0, 2)) };
    assert!(empty.report().overall.values().all(Option::is_none));
    assert!(score_regression(&[], &[], &draws(0)).overall.values().all(Option::is_none));
}

#[test]
fn a_true_class_of_probability_zero_has_a_finite_loss() {
    let case = Case { truth: vec![0], codes: vec![1], scores: ndarray::array![[0.0, 1.0]] };
    let report = case.report();
    check_close(value(&report, "log_loss"), Some(-(1e-15_f64.ln())), "log loss");
    check_close(value(&report, "brier"), Some(2.0), "brier");
}

#[test]
fn numbers_beyond_range_are_undefined_rather_than_infinite() {
    let overall = score_regression(&[1e300, 0.0], &[-1e300, 0.0], &draws(2)).overall;
    assert_eq!(overall["rmse"], None);
    assert!(overall["mae"].is_some_and(|i| i.high.is_finite()));
}

#[test]
fn a_perfect_prediction_has_perfect_scores_without_doubt() {
    for n_classes in [2, 4] {
        let truth: Vec<usize> = (0..40).map(|i| i % n_classes).collect();
        let scores = Array2::from_shape_fn((40, n_classes), |(i, c)| f64::from(u8::from(truth[i] == c)));
        let report = Case { codes: truth.clone(), truth, scores }.report();
        for (name, interval) in &report.overall {
            let best = if ["log_loss", "brier", "expected_calibration_error"].contains(name) { 0.0 } else { 1.0 };
            assert_eq!(*interval, Some(Interval { value: best, low: best, high: best }), "{name}");
        }
    }
    let values = [1.0, 2.5, -3.0];
    let overall = score_regression(&values, &values, &draws(3)).overall;
    assert_eq!(overall["r2"], Some(Interval { value: 1.0, low: 1.0, high: 1.0 }));
    assert_eq!(overall["rmse"], Some(Interval { value: 0.0, low: 0.0, high: 0.0 }));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_rows_changes_no_value(n in 1_usize..60, n_classes in 2_usize..5, seed: u64) {
        let case = Case::random(n, n_classes, seed);
        let reversed: Vec<usize> = (0..n).rev().collect();
        let other = Case {
            truth: reversed.iter().map(|&i| case.truth[i]).collect(),
            codes: reversed.iter().map(|&i| case.codes[i]).collect(),
            scores: case.scores.select(ndarray::Axis(0), &reversed),
        };
        let (report, other) = (case.report(), other.report());
        for name in report.overall.keys() {
            check_close(value(&other, name), value(&report, name), name);
        }
        // Intervals are of draws of places, so that they follow the order.
        let values = |report: &ClassificationReport| -> Vec<_> {
            let of = |c: &ClassReport| [c.precision, c.recall, c.f1, c.roc_auc, c.average_precision];
            report.per_class.iter().map(|c| (c.support, of(c).map(|i| i.map(|i| i.value)))).collect()
        };
        prop_assert_eq!(values(&report), values(&other));
        prop_assert_eq!(report.confusion, other.confusion);
    }

    #[test]
    fn intervals_are_finite_and_hold_their_value(n in 1_usize..30, n_classes in 2_usize..5, seed: u64) {
        let report = Case::random(n, n_classes, seed).report();
        prop_assert!(report.overall["accuracy"].is_some());
        for (name, interval) in report.overall.iter().filter_map(|(name, i)| Some((name, (*i)?))) {
            prop_assert!(interval.low <= interval.value && interval.value <= interval.high, "{name}: {interval:?}");
            prop_assert!(interval.low.is_finite() && interval.high.is_finite(), "{name}: {interval:?}");
        }
    }

    #[test]
    fn the_area_is_the_share_of_pairs_in_order(n in 2_usize..40, seed: u64) {
        let case = Case::random(n, 2, seed);
        let (mut pairs, mut in_order) = (0.0, 0.0);
        for (i, j) in (0..n * n).map(|k| (k / n, k % n)).filter(|&(i, j)| case.truth[i] > case.truth[j]) {
            pairs += 1.0;
            let (a, b) = (case.scores[[i, 1]], case.scores[[j, 1]]);
            in_order += if a > b { 1.0 } else if a == b { 0.5 } else { 0.0 };
        }
        check_close(value(&case.report(), "roc_auc"), (pairs > 0.0).then(|| in_order / pairs), "area");
    }
}

#[test]
fn one_seed_gives_one_report_on_any_number_of_threads() {
    let case = Case::random(200, 3, 2);
    let on_one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| case.report());
    assert_eq!(case.report(), on_one_thread);
    let other_draws = BootstrapDraws::new(200, 200, &mut rng(8));
    assert_ne!(case.report_with(&other_draws), on_one_thread);
}

#[test]
fn models_are_compared_on_the_same_draws() {
    // Both models are wrong on the same rows, in different ways: only shared draws give equal intervals.
    let case = Case::random(300, 3, 3);
    let otherwise_wrong = |(&t, &p): (&usize, &usize)| if p == t { t } else { 3 - t - p };
    let codes: Vec<usize> = case.truth.iter().zip(&case.codes).map(otherwise_wrong).collect();
    assert_ne!(codes, case.codes);
    let draws = draws(300);
    let other = score_classification(&case.truth, &codes, None, &names(3), &draws);
    assert_eq!(case.report_with(&draws).overall["accuracy"], other.overall["accuracy"]);
}

#[test]
fn the_interval_of_an_accuracy_is_as_wide_as_the_normal_one() {
    let (n, p) = (4000, 0.8);
    let mut rng = rng(4);
    let codes: Vec<usize> = (0..n).map(|_| usize::from(rng.random_bool(p))).collect();
    let draws = BootstrapDraws::new(n, 1000, &mut rng);
    let report = score_classification(&vec![1; n], &codes, None, &names(2), &draws);
    let Interval { value, low, high } = report.overall["accuracy"].unwrap();
    let half = 1.96 * (value * (1.0 - value) / n as f64).sqrt();
    assert!((low - (value - half)).abs() < 0.1 * half && (high - (value + half)).abs() < 0.1 * half, "{low} {high}");
}

#[test]
fn ninety_five_percent_intervals_cover_about_as_often() {
    let (n, p, n_trials) = (200, 0.7, 300);
    let mut rng = rng(5);
    let covered = (0..n_trials).filter(|_| {
        let codes: Vec<usize> = (0..n).map(|_| usize::from(rng.random_bool(p))).collect();
        let draws = BootstrapDraws::new(n, 200, &mut rng);
        let report = score_classification(&vec![1; n], &codes, None, &names(2), &draws);
        let interval = report.overall["accuracy"].unwrap();
        interval.low <= p && p <= interval.high
    });
    let share = covered.count() as f64 / f64::from(n_trials);
    // The standard error of the share is 0.013; the percentile interval covers a little less than 95 %.
    assert!((0.90..=0.98).contains(&share), "{share}");
}

#[test]
fn a_metric_that_some_draws_do_not_define_has_its_interval_from_the_others() {
    // The only row of the first class is missing in a third of the draws.
    let truth = [0, 1, 1, 1, 1, 1];
    let p = [0.5, 0.4, 0.6, 0.7, 0.8, 0.9];
    let scores = Array2::from_shape_fn((6, 2), |(i, c)| if c == 1 { p[i] } else { 1.0 - p[i] });
    let report = Case { truth: truth.to_vec(), codes: vec![1; 6], scores }.report();
    let interval = report.overall["roc_auc"].unwrap();
    assert_eq!(interval.value, 0.8);
    assert!(interval.low > 0.0 && interval.low < 0.8 && interval.high == 1.0, "{interval:?}");
}

#[test]
fn decisions_of_two_classes_rank_by_their_difference() {
    let shifted = ndarray::array![[10.0, 11.0], [0.0, -1.0], [-5.0, -3.0], [20.0, 19.5]];
    let scores = Some((shifted.view(), ScoreKind::Decision));
    let report = score_classification(&[1, 0, 1, 0], &[1, 0, 1, 0], scores, &names(2), &draws(4));
    assert_eq!(value(&report, "roc_auc"), Some(1.0));
    assert_eq!(value(&report, "log_loss"), None);
}

fn area_under(points: &[RocPoint]) -> f64 {
    let trapezoid = |w: &[RocPoint]| {
        (w[1].false_positive_rate - w[0].false_positive_rate)
            * w[0].true_positive_rate.midpoint(w[1].true_positive_rate)
    };
    points.windows(2).map(trapezoid).sum()
}

/// The curve rises from corner to corner, and its area is that of all rows within `tolerance`.
fn check_curves(report: &ClassificationReport, tolerance: f64) {
    assert_eq!(report.roc.len(), report.per_class.iter().filter(|c| c.roc_auc.is_some()).count());
    for curve in &report.roc {
        let ends = [curve.points[0], curve.points[curve.points.len() - 1]];
        assert_eq!(ends.map(|p| (p.false_positive_rate, p.true_positive_rate)), [(0.0, 0.0), (1.0, 1.0)]);
        assert!(ends[0].threshold.is_none() && ends[1].threshold.is_some() && curve.points.len() <= 200);
        for w in curve.points.windows(2) {
            assert!(w[0].false_positive_rate <= w[1].false_positive_rate);
            assert!(w[0].true_positive_rate <= w[1].true_positive_rate);
            assert!(w[0].threshold.is_none_or(|t| Some(t) > w[1].threshold));
        }
        let area = report.per_class.iter().find(|c| c.class == curve.class).unwrap().roc_auc.unwrap().value;
        assert!((area_under(&curve.points) - area).abs() <= tolerance, "{}", curve.class);
    }
}

#[test]
fn short_curves_are_exact() {
    let report = Case::random(50, 3, 6).report();
    assert_eq!(report.roc.len(), 3);
    check_curves(&report, 1e-12);
}

#[test]
fn long_curves_are_thinned_along_their_whole_way() {
    let n = 5000;
    let mut rng = rng(9);
    let truth: Vec<usize> = (0..n).map(|_| usize::from(rng.random_bool(0.3))).collect();
    let p: Vec<f64> = truth.iter().map(|&t| 0.6 * rng.random::<f64>() + 0.3 * t as f64).collect();
    let scores = Array2::from_shape_fn((n, 2), |(i, c)| if c == 1 { p[i] } else { 1.0 - p[i] });
    let codes = p.iter().map(|&p| usize::from(p > 0.5)).collect();
    let report = Case { truth, codes, scores }.report_with(&BootstrapDraws::new(n, 10, &mut rng));
    check_curves(&report, 1e-3);
    assert!(report.roc.iter().all(|curve| curve.points.len() > 150));
}

#[test]
fn a_point_of_the_curve_says_what_its_threshold_gives() {
    let case = Case::random(60, 2, 10);
    let report = case.report();
    let curve = &report.roc[1];
    assert!(curve.points.len() > 3);
    for point in &curve.points {
        let called = |class: usize| {
            let rows: Vec<usize> = (0..60).filter(|&i| case.truth[i] == class).collect();
            let n_called = rows.iter().filter(|&&i| point.threshold.is_some_and(|t| case.scores[[i, 1]] >= t)).count();
            n_called as f64 / rows.len() as f64
        };
        assert_eq!((point.false_positive_rate, point.true_positive_rate), (called(0), called(1)));
    }
}
