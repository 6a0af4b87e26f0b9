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

/// The rows by falling score.
pub(super) struct Ranking {
    rows: Vec<RankedRow>,
}

struct RankedRow {
    row: u32,
    positive: bool,
    /// The next row scores less: a threshold can be put between them.
    ends_tie: bool,
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
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        let ends_tie = |k: usize| order.get(k + 1).is_none_or(|&next| scores[next] != scores[order[k]]);
        let ranked = |(k, &i): (usize, &usize)| RankedRow {
            // Half the memory of usize; a table has fewer rows than 2³².
            row: i as u32,
            positive: positive[i],
            ends_tie: ends_tie(k),
        };
        Self { rows: order.iter().enumerate().map(ranked).collect() }
    }

    /// `None` unless there are both positive and negative rows among those that count.
    pub(super) fn areas(&self, counts: &[u32]) -> Option<Areas> {
        let (mut positives, mut negatives) = (0, 0);
        let (mut positives_before, mut negatives_before) = (0, 0);
        let (mut twice_pairs, mut precision_sum) = (0, 0.0);
        for ranked in &self.rows {
            let count = u64::from(counts[ranked.row as usize]);
            if ranked.positive {
                positives += count;
            } else {
                negatives += count;
            }
            if ranked.ends_tie {
                twice_pairs += (negatives - negatives_before) * (positives + positives_before);
                if positives > positives_before {
                    let precision = positives as f64 / (positives + negatives) as f64;
                    precision_sum += (positives - positives_before) as f64 * precision;
                }
                (positives_before, negatives_before) = (positives, negatives);
            }
        }
        (positives > 0 && negatives > 0).then(|| Areas {
            roc: twice_pairs as f64 / 2.0 / (positives as f64 * negatives as f64),
            average_precision: precision_sum / positives as f64,
        })
    }

    /// The curve over all rows; `None` unless there are both positive and negative ones.
    pub(super) fn roc(&self, scores: &[f64]) -> Option<Vec<RocPoint>> {
        let n_positive = self.rows.iter().filter(|r| r.positive).count();
        let n_negative = self.rows.len() - n_positive;
        if n_positive == 0 || n_negative == 0 {
            return None;
        }
        let mut points = vec![RocPoint { false_positive_rate: 0.0, true_positive_rate: 0.0, threshold: None }];
        let mut positives = 0;
        for (k, ranked) in self.rows.iter().enumerate() {
            positives += usize::from(ranked.positive);
            if ranked.ends_tie {
                points.push(RocPoint {
                    false_positive_rate: (k + 1 - positives) as f64 / n_negative as f64,
                    true_positive_rate: positives as f64 / n_positive as f64,
                    threshold: Some(scores[ranked.row as usize]),
                });
            }
        }
        Some(thin(corners(points)))
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
