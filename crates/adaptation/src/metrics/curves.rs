//! Receiver operating characteristic and the areas that need rows ranked by a score.
//! Rows are sorted once; a bootstrap draw walks the same order with other counts.

use serde::Serialize;

/// A curve is drawn with at most so many points.
const MAX_POINTS: usize = 200;

/// Receiver operating characteristic of one class against all others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RocCurve {
    pub class: String,
    /// From (0, 0) to (1, 1), at most 200.
    pub points: Vec<RocPoint>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RocPoint {
    pub false_positive_rate: f64,
    pub true_positive_rate: f64,
    /// Rows that score at least this are called positive; `None` where no row is.
    pub threshold: Option<f64>,
}

/// The rows by falling score, in steps.
pub(super) struct Ranking {
    /// `(n,)`; in a step the negative rows come first, then the positive ones, then the negative ones tied with them.
    rows: Vec<u32>,
    steps: Vec<Step>,
}

/// Negative rows up to the next positive one, and the rows that tie with that. A walk over few steps with plain sums
/// within them is several times as fast as one that asks each row what it is.
struct Step {
    /// Places in the ranking where each part ends.
    negatives: u32,
    positives: u32,
    tied: u32,
}

/// Areas under curves of a ranking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Areas {
    /// Equals the share of (positive, negative) pairs in the right order, ties counting half (midranks).
    pub(super) roc: f64,
    /// Σ (Rₖ − Rₖ₋₁)·Pₖ over thresholds, without interpolation.
    pub(super) average_precision: f64,
}

impl Ranking {
    /// `scores (n,)`, larger meaning more likely positive; `positive (n,)`.
    pub(super) fn new(scores: &[f64], positive: &[bool]) -> Self {
        // Half the memory of usize; a table has fewer rows than 2³².
        let mut rows: Vec<u32> = (0..scores.len() as u32).collect();
        let (score, is_positive) = (|row: u32| scores[row as usize], |row: u32| positive[row as usize]);
        rows.sort_unstable_by(|&a, &b| score(b).total_cmp(&score(a)));
        let mut steps = Vec::new();
        let (mut start, mut negatives) = (0, 0);
        while start < rows.len() {
            let tied = start + rows[start..].iter().take_while(|row| score(**row) == score(rows[start])).count().max(1);
            let ties = &mut rows[start..tied];
            ties.sort_unstable_by_key(|row| !is_positive(*row));
            let positives = start + ties.partition_point(|row| is_positive(*row));
            if positives == start {
                negatives = tied;
            } else {
                steps.push(Step { negatives: start as u32, positives: positives as u32, tied: tied as u32 });
            }
            start = tied;
        }
        // Negative rows below every positive one.
        if negatives > steps.last().map_or(0, |step| step.tied as usize) {
            let end = rows.len() as u32;
            steps.push(Step { negatives: end, positives: end, tied: end });
        }
        Self { rows, steps }
    }

    /// `None` unless there are both positive and negative rows among those that count.
    pub(super) fn areas(&self, counts: &[u32]) -> Option<Areas> {
        let count = |from: u32, to: u32| -> u64 {
            self.rows[from as usize..to as usize].iter().map(|row| u64::from(counts[*row as usize])).sum()
        };
        let (mut positives, mut negatives, mut start) = (0, 0, 0);
        let (mut twice_pairs, mut precision_sum) = (0, 0.0);
        for step in &self.steps {
            let before = count(start, step.negatives);
            let right = count(step.negatives, step.positives);
            let tied = count(step.positives, step.tied);
            twice_pairs += before * 2 * positives + tied * (2 * positives + right);
            positives += right;
            negatives += before + tied;
            if right > 0 {
                precision_sum += right as f64 * (positives as f64 / (positives + negatives) as f64);
            }
            start = step.tied;
        }
        (positives > 0 && negatives > 0).then(|| Areas {
            roc: twice_pairs as f64 / 2.0 / (positives as f64 * negatives as f64),
            average_precision: precision_sum / positives as f64,
        })
    }

    /// The curve over all rows; `None` unless there are both positive and negative ones.
    pub(super) fn roc(&self, scores: &[f64]) -> Option<Vec<RocPoint>> {
        let n_positive: u32 = self.parts().map(|[_, positives, _]| positives).sum();
        let n_negative = self.rows.len() as u32 - n_positive;
        if n_positive == 0 || n_negative == 0 {
            return None;
        }
        let mut points = vec![RocPoint { false_positive_rate: 0.0, true_positive_rate: 0.0, threshold: None }];
        let (mut positives, mut seen) = (0, 0);
        let mut push = |positives: u32, seen: u32| {
            points.push(RocPoint {
                false_positive_rate: f64::from(seen - positives) / f64::from(n_negative),
                true_positive_rate: f64::from(positives) / f64::from(n_positive),
                threshold: Some(scores[self.rows[seen as usize - 1] as usize]),
            });
        };
        for [before, right, tied] in self.parts() {
            // Between negative rows of different scores the curve is a horizontal line.
            if before > 0 {
                seen += before;
                push(positives, seen);
            }
            if right + tied > 0 {
                positives += right;
                seen += right + tied;
                push(positives, seen);
            }
        }
        Some(thin(corners(points)))
    }

    /// The rows of each part of each step.
    fn parts(&self) -> impl Iterator<Item = [u32; 3]> {
        let starts = [0].into_iter().chain(self.steps.iter().map(|step| step.tied));
        self.steps
            .iter()
            .zip(starts)
            .map(|(step, start)| [step.negatives - start, step.positives - step.negatives, step.tied - step.positives])
    }
}

/// Leaves out points on a vertical or horizontal line between their neighbours: they change no line.
fn corners(points: Vec<RocPoint>) -> Vec<RocPoint> {
    let on_line = |window: &[RocPoint]| {
        let same = |of: fn(&RocPoint) -> f64| of(&window[0]) == of(&window[1]) && of(&window[1]) == of(&window[2]);
        same(|p| p.false_positive_rate) || same(|p| p.true_positive_rate)
    };
    let kept = |&k: &usize| k == 0 || k + 1 == points.len() || !on_line(&points[k - 1..=k + 1]);
    (0..points.len()).filter(kept).map(|k| points[k]).collect()
}

/// Keeps at most [`MAX_POINTS`], evenly along the curve, and always both ends.
fn thin(points: Vec<RocPoint>) -> Vec<RocPoint> {
    if points.len() <= MAX_POINTS {
        return points;
    }
    let last = points.len() - 1;
    let mut kept = Vec::with_capacity(MAX_POINTS);
    for (k, point) in points.iter().enumerate() {
        // Both rates rise along the curve, so their sum goes from 0 to 2 and measures the way.
        let way = (point.false_positive_rate + point.true_positive_rate) / 2.0;
        if k == last || way * (MAX_POINTS - 1) as f64 >= kept.len() as f64 && kept.len() < MAX_POINTS - 1 {
            kept.push(*point);
        }
    }
    kept
}
