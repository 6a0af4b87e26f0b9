//! Curves of one class against the rest: ROC with its area, and average precision. Rows are sorted once;
//! each draw of the bootstrap then is one pass.

use serde::Serialize;

/// Points of a curve that are published; more would be invisible.
const MAX_POINTS: usize = 200;

/// Rows in descending order of their score for one class.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// Row, and whether it is of the class.
    rows: Vec<(u32, bool)>,
    /// Where each group of equal scores ends in `rows`, and its score.
    groups: Vec<(usize, f64)>,
}

/// A ROC curve from (0, 0) to (1, 1).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RocCurve {
    pub class: String,
    pub fpr: Vec<f64>,
    pub tpr: Vec<f64>,
    /// Rows of at least this score are taken; `None` at (0, 0), where no row is.
    pub thresholds: Vec<Option<f64>>,
}

/// What a ranking is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Areas {
    /// The area under the ROC curve, equal scores counting half; `None` unless there are rows of the class
    /// and others.
    pub roc_auc: Option<f64>,
    /// `Σ (Rₙ − Rₙ₋₁)·Pₙ` over distinct scores; `None` where no row is of the class.
    pub average_precision: Option<f64>,
}

impl Ranking {
    /// `scores (n,)` for one class, larger meaning more likely, and which rows are of it.
    pub fn new(scores: &[f64], of_class: impl Fn(usize) -> bool) -> Self {
        let mut order: Vec<u32> = (0..scores.len() as u32).collect();
        order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b)));
        let score = |at: usize| scores[order[at] as usize];
        // Equality of numbers, so that 0 and −0 tie.
        let ends = (0..order.len()).filter(|&at| at + 1 == order.len() || score(at) != score(at + 1));
        let groups = ends.map(|at| (at + 1, score(at))).collect();
        Self { rows: order.iter().map(|&row| (row, of_class(row as usize))).collect(), groups }
    }

    /// The areas where row i counts `counts[i]` times.
    pub fn areas(&self, counts: &[u32]) -> Areas {
        let (mut positives, mut negatives) = (0_u64, 0_u64);
        // Twice the pairs in right order, exactly.
        let mut ordered = 0_u64;
        let mut precision = 0.0;
        self.each_group(counts, |p, q, _| {
            ordered += q * (2 * positives + p);
            positives += p;
            negatives += q;
            if p > 0 {
                precision += p as f64 * positives as f64 / (positives + negatives) as f64;
            }
        });
        let pairs = 2.0 * positives as f64 * negatives as f64;
        Areas {
            roc_auc: (pairs > 0.0).then(|| ordered as f64 / pairs),
            average_precision: (positives > 0).then(|| precision / positives as f64),
        }
    }

    /// The ROC curve, thinned evenly along its length; `None` unless there are rows of the class and others.
    pub fn roc(&self, class: &str) -> Option<RocCurve> {
        let mut steps = vec![(0_u64, 0_u64, None)];
        let (mut tp, mut fp) = (0, 0);
        self.each_group(&vec![1; self.rows.len()], |p, q, score| {
            tp += p;
            fp += q;
            steps.push((fp, tp, Some(score)));
        });
        if tp == 0 || fp == 0 {
            return None;
        }
        let mut curve = RocCurve { class: class.to_owned(), fpr: Vec::new(), tpr: Vec::new(), thresholds: Vec::new() };
        // The curve is 2 long in the sum of its coordinates.
        let gap = if steps.len() <= MAX_POINTS { 0.0 } else { 2.0 / (MAX_POINTS - 3) as f64 };
        let mut kept_at = f64::NEG_INFINITY;
        let last = steps.len() - 1;
        for (i, (fps, tps, threshold)) in steps.into_iter().enumerate() {
            let (x, y) = (fps as f64 / fp as f64, tps as f64 / tp as f64);
            if x + y - kept_at >= gap || i == last {
                kept_at = x + y;
                curve.fpr.push(x);
                curve.tpr.push(y);
                curve.thresholds.push(threshold);
            }
        }
        Some(curve)
    }

    /// Calls `f` with the counts of rows of the class and of others, and the score, for each group.
    fn each_group(&self, counts: &[u32], mut f: impl FnMut(u64, u64, f64)) {
        let mut begin = 0;
        for &(end, score) in &self.groups {
            let mut by_class = [0_u64; 2];
            for &(row, of_class) in &self.rows[begin..end] {
                by_class[usize::from(of_class)] += u64::from(counts[row as usize]);
            }
            f(by_class[1], by_class[0], score);
            begin = end;
        }
    }
}
