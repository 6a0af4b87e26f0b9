//! Scores of predicted classes and of the scores behind them.

use std::collections::BTreeMap;

use ndarray::ArrayView2;
use serde::Serialize;

use super::ScoreKind;
use super::curves::{Areas, Ranking, RocCurve};
use super::intervals::{BootstrapDraws, Interval};

const NAMES: [&str; 16] = [
    "accuracy",
    "balanced_accuracy",
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "micro_precision",
    "micro_recall",
    "micro_f1",
    "weighted_precision",
    "weighted_recall",
    "weighted_f1",
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier",
    "expected_calibration_error",
];

/// The first so many of [`NAMES`] need no scores.
const N_FROM_CODES: usize = 11;

/// A probability below this counts as this much in the log loss, which would else be infinite.
const LEAST_PROBABILITY: f64 = 1e-15;

/// Bins of the expected calibration error, equally wide in [0, 1].
const N_BINS: usize = 10;

/// The numbers of one model on some rows; C classes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassificationReport {
    /// By name, see [`score_classification`]; `None` where a metric is not defined on these rows.
    pub overall: BTreeMap<&'static str, Option<Interval>>,
    /// `(C,)`
    pub per_class: Vec<ClassReport>,
    /// `(C, C)` counts of rows: `[true class][predicted class]`.
    pub confusion: Vec<Vec<u64>>,
    /// One class against the rest, for classes that some but not all rows have.
    pub roc: Vec<RocCurve>,
}

/// One class against the rest. `None`: not defined on these rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassReport {
    pub class: String,
    /// 0 where the class is in the truth but never predicted.
    pub precision: Option<Interval>,
    pub recall: Option<Interval>,
    pub f1: Option<Interval>,
    /// Rows of the class.
    pub support: u64,
    pub roc_auc: Option<Interval>,
    pub average_precision: Option<Interval>,
}

/// The numbers of one class in [`ClassReport`].
const N_PER_CLASS: usize = 5;

/// Scores predicted `codes (n,)` and, where given, `scores (n, C)` against `truth (n,)`, n as in
/// `draws`; codes index `classes (C,)`. Classes may be missing from truth, prediction or both.
///
/// - `accuracy`; `micro_precision`, `micro_recall` and `micro_f1`, which equal it where every row has one class.
/// - `balanced_accuracy`, `macro_recall`: the mean recall of classes in the truth.
/// - `macro_precision`, `macro_f1`: the mean over classes in truth or prediction, as scikit-learn has
///   it; 0 for a class that is only in one of them. `weighted_precision`, `weighted_recall` and
///   `weighted_f1` weigh by rows of the class.
/// - `roc_auc`, `average_precision`: with two classes, of the second; with more, the mean over classes
///   that some but not all rows have, each against the rest. Ties count half in `roc_auc`. `None` where
///   the truth has one class.
/// - For probabilities p only: `log_loss` −ln p of the true class, p ≥ 1e-15; `brier` Σ꜀ (p꜀ − 1[y = c])²,
///   from 0 to 2 also with two classes (Brier 1950); `expected_calibration_error` Σ_b n_b/n·|accuracy −
///   confidence| in ten equal bins of the confidence, the probability of the predicted class (Guo et al. 2017).
pub fn score_classification(
    truth: &[usize],
    codes: &[usize],
    scores: Option<(ArrayView2<f64>, ScoreKind)>,
    classes: &[String],
    draws: &BootstrapDraws,
) -> ClassificationReport {
    assert!(truth.len() == draws.n_rows() && codes.len() == draws.n_rows(), "one prediction and one label a row");
    let columns: Vec<Column> =
        scores.map_or_else(Vec::new, |s| (0..classes.len()).map(|c| Column::new(truth, s, c)).collect());
    let losses = match scores {
        Some((probabilities, ScoreKind::Probability)) => Some(Losses::new(truth, codes, probabilities)),
        _ => None,
    };
    // With two classes the first one's ranking is the second's turned round.
    let skipped = usize::from(classes.len() == 2).min(columns.len());

    let mut intervals = draws.intervals(|counts| {
        let tally = Tally::new(truth, codes, classes.len(), counts);
        let mut all = tally.overall();
        let areas: Vec<Option<Areas>> = columns.iter().map(|column| column.ranking.areas(counts)).collect();
        let ranked = columns[skipped..].iter().zip(&areas[skipped..]).filter(|(column, _)| column.roc.is_some());
        all.extend(mean_areas(ranked.map(|(_, areas)| *areas)));
        all.extend(losses.as_ref().map_or([None; 3], |l| l.overall(counts)));
        for c in 0..classes.len() {
            all.extend(one_class(c, &tally, areas.get(c).copied().flatten()));
        }
        all
    });
    let of_classes = intervals.split_off(NAMES.len());

    let tally = Tally::new(truth, codes, classes.len(), &vec![1; truth.len()]);
    ClassificationReport {
        overall: NAMES.into_iter().zip(intervals).collect(),
        per_class: per_class(classes, &tally, &of_classes),
        confusion: confusion(truth, codes, classes.len()),
        roc: classes
            .iter()
            .zip(columns)
            .filter_map(|(class, column)| Some(RocCurve { class: class.clone(), points: column.roc? }))
            .collect(),
    }
}

/// Precision, recall, F1, area under the ROC curve and average precision of one class.
fn one_class(c: usize, tally: &Tally, areas: Option<Areas>) -> [Option<f64>; N_PER_CLASS] {
    let (roc, average_precision) = (areas.map(|a| a.roc), areas.map(|a| a.average_precision));
    [tally.precision(c), tally.recall(c), tally.f1(c), roc, average_precision]
}

fn per_class(classes: &[String], tally: &Tally, intervals: &[Option<Interval>]) -> Vec<ClassReport> {
    let report = |(c, class): (usize, &String)| {
        let of = |k: usize| intervals[c * N_PER_CLASS + k];
        ClassReport {
            class: class.clone(),
            precision: of(0),
            recall: of(1),
            f1: of(2),
            support: tally.truth[c],
            roc_auc: of(3),
            average_precision: of(4),
        }
    };
    classes.iter().enumerate().map(report).collect()
}

fn confusion(truth: &[usize], codes: &[usize], n_classes: usize) -> Vec<Vec<u64>> {
    let mut counts = vec![vec![0; n_classes]; n_classes];
    for (&t, &p) in truth.iter().zip(codes) {
        counts[t][p] += 1;
    }
    counts
}

/// The mean of those values that are defined.
fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let (sum, n) = values.flatten().fold((0.0, 0_u32), |(sum, n), v| (sum + v, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

/// Counts of rows by class: `(C,)` each.
struct Tally {
    truth: Vec<u64>,
    predicted: Vec<u64>,
    right: Vec<u64>,
}

impl Tally {
    fn new(truth: &[usize], codes: &[usize], n_classes: usize, counts: &[u32]) -> Self {
        let mut tally = Self { truth: vec![0; n_classes], predicted: vec![0; n_classes], right: vec![0; n_classes] };
        for ((&t, &p), &count) in truth.iter().zip(codes).zip(counts) {
            let count = u64::from(count);
            tally.truth[t] += count;
            tally.predicted[p] += count;
            if t == p {
                tally.right[t] += count;
            }
        }
        tally
    }

    fn is_seen(&self, c: usize) -> bool {
        self.truth[c] + self.predicted[c] > 0
    }

    fn precision(&self, c: usize) -> Option<f64> {
        self.is_seen(c).then(|| self.right[c] as f64 / self.predicted[c].max(1) as f64)
    }

    fn recall(&self, c: usize) -> Option<f64> {
        (self.truth[c] > 0).then(|| self.right[c] as f64 / self.truth[c] as f64)
    }

    fn f1(&self, c: usize) -> Option<f64> {
        self.is_seen(c).then(|| 2.0 * self.right[c] as f64 / (self.truth[c] + self.predicted[c]) as f64)
    }

    /// What needs no scores, in the order of [`NAMES`].
    fn overall(&self) -> Vec<Option<f64>> {
        let n: u64 = self.truth.iter().sum();
        if n == 0 {
            return vec![None; N_FROM_CODES];
        }
        let classes = 0..self.truth.len();
        let accuracy = Some(self.right.iter().sum::<u64>() as f64 / n as f64);
        let macro_of = |value: &dyn Fn(usize) -> Option<f64>| mean(classes.clone().map(value));
        let weighted = |value: &dyn Fn(usize) -> Option<f64>| {
            let sum: f64 = classes.clone().filter_map(|c| Some(value(c)? * self.truth[c] as f64)).sum();
            Some(sum / n as f64)
        };
        let (precision, recall, f1) = (|c| self.precision(c), |c| self.recall(c), |c| self.f1(c));
        let mean_recall = macro_of(&recall);
        let macros = [accuracy, mean_recall, macro_of(&precision), mean_recall, macro_of(&f1)];
        let micros = [accuracy; 3];
        macros.into_iter().chain(micros).chain([weighted(&precision), weighted(&recall), weighted(&f1)]).collect()
    }
}

/// One class against the rest, by its scores.
struct Column {
    ranking: Ranking,
    roc: Option<Vec<super::RocPoint>>,
}

impl Column {
    fn new(truth: &[usize], (scores, kind): (ArrayView2<f64>, ScoreKind), class: usize) -> Self {
        let mut own = scores.column(class).to_vec();
        // Decision scores of two classes need not be each other's negative: only their difference ranks rows.
        if kind == ScoreKind::Decision && scores.ncols() == 2 {
            own.iter_mut().zip(scores.column(1 - class)).for_each(|(own, other)| *own -= other);
        }
        let positive: Vec<bool> = truth.iter().map(|&t| t == class).collect();
        let ranking = Ranking::new(&own, &positive);
        let roc = ranking.roc(&own);
        Self { ranking, roc }
    }
}

/// Mean area under the ROC curve and mean average precision.
fn mean_areas(ranked: impl Iterator<Item = Option<Areas>> + Clone) -> [Option<f64>; 2] {
    [mean(ranked.clone().map(|a| Some(a?.roc))), mean(ranked.map(|a| Some(a?.average_precision)))]
}

/// What each row adds to losses of probabilities.
struct Losses {
    log: Vec<f64>,
    brier: Vec<f64>,
    /// The bin of each row's confidence.
    bins: Vec<usize>,
    /// 1 where the row is right, else 0, minus its confidence.
    gaps: Vec<f64>,
}

impl Losses {
    fn new(truth: &[usize], codes: &[usize], probabilities: ArrayView2<f64>) -> Self {
        let n = truth.len();
        let mut losses = Self { log: Vec::with_capacity(n), brier: Vec::with_capacity(n), bins: vec![], gaps: vec![] };
        for ((&t, &p), row) in truth.iter().zip(codes).zip(probabilities.rows()) {
            let square = |(c, v): (usize, &f64)| (v - f64::from(u8::from(c == t))).powi(2);
            losses.log.push(-row[t].max(LEAST_PROBABILITY).ln());
            losses.brier.push(row.iter().enumerate().map(square).sum());
            losses.bins.push(((row[p] * N_BINS as f64) as usize).min(N_BINS - 1));
            losses.gaps.push(f64::from(u8::from(t == p)) - row[p]);
        }
        losses
    }

    /// Log loss, Brier score, expected calibration error.
    fn overall(&self, counts: &[u32]) -> [Option<f64>; 3] {
        let (mut n, mut log, mut brier, mut gaps) = (0.0, 0.0, 0.0, [0.0; N_BINS]);
        for (i, &count) in counts.iter().enumerate() {
            let count = f64::from(count);
            n += count;
            log += count * self.log[i];
            brier += count * self.brier[i];
            gaps[self.bins[i]] += count * self.gaps[i];
        }
        let calibration: f64 = gaps.iter().map(|g: &f64| g.abs()).sum();
        if n == 0.0 { [None; 3] } else { [log, brier, calibration].map(|sum| Some(sum / n)) }
    }
}
