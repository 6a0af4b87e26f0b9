//! What is in one column: counts, quantiles and a histogram of numbers, the commonest words.

use adaptation::data::Values;
use serde::{Deserialize, Serialize};

/// The quantiles that are stored.
const QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
const BINS: usize = 20;
const TOP_LEVELS: usize = 20;
/// Characters of a level that are kept: statistics are shown, and text may be long.
const LEVEL_CHARS: usize = 200;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnStatistics {
    /// Values that are there.
    pub count: usize,
    pub missing: usize,
    /// Of numbers, integers and times (milliseconds since 1970); `None` if no value is there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub number: Option<NumberStatistics>,
    /// Of categories, text and booleans.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub words: Option<WordStatistics>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NumberStatistics {
    pub min: f64,
    pub max: f64,
    pub mean: f64,
    /// Of the population: the sum of squares is divided by the count.
    pub std: f64,
    pub quantiles: Vec<Quantile>,
    pub histogram: Histogram,
}

/// `value` at share `p`, interpolated between neighbours (type 7 of Hyndman and Fan, 1996).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantile {
    pub p: f64,
    pub value: f64,
}

/// Equal bins; a value on an edge counts to the right, the last bin is closed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// One more than counts; a constant column has one bin from its value to itself.
    pub edges: Vec<f64>,
    pub counts: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WordStatistics {
    pub n_distinct: usize,
    /// The commonest, at most 20; ties in alphabetical order.
    pub top: Vec<LevelCount>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelCount {
    pub level: String,
    pub count: usize,
}

impl ColumnStatistics {
    pub fn of(values: &Values) -> Self {
        let missing = values.n_missing();
        let count = values.len() - missing;
        let (number, words) = match values {
            Values::Number(_) | Values::Integer(_) | Values::Timestamp(_) => {
                let known: Vec<f64> = (0..values.len()).filter_map(|i| values.number(i)).collect();
                (NumberStatistics::of(known), None)
            }
            Values::Sparse { values, n_rows, .. } => {
                let mut known = values.clone();
                known.resize(*n_rows, 0.0);
                (NumberStatistics::of(known), None)
            }
            Values::Category { codes, levels } => (None, Some(WordStatistics::of_codes(codes, levels))),
            Values::Text(words) => (None, Some(WordStatistics::of_words(words.iter().flatten().map(String::as_str)))),
            Values::Boolean(v) => {
                let words = v.iter().flatten().map(|x| if *x { "true" } else { "false" });
                (None, Some(WordStatistics::of_words(words)))
            }
        };
        Self { count, missing, number, words }
    }
}

impl NumberStatistics {
    fn of(mut known: Vec<f64>) -> Option<Self> {
        known.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*known.first()?, *known.last()?);
        let n = known.len() as f64;
        // Scaled by the largest magnitude, so that squares of large numbers stay finite.
        let scale = min.abs().max(max.abs()).max(f64::MIN_POSITIVE);
        let mean = known.iter().map(|x| x / scale).sum::<f64>() / n;
        let variance = known.iter().map(|x| (x / scale - mean).powi(2)).sum::<f64>() / n;
        let quantiles = QUANTILES.map(|p| Quantile { p, value: quantile(&known, p) }).to_vec();
        Some(Self {
            min,
            max,
            mean: mean * scale,
            std: variance.sqrt() * scale,
            quantiles,
            histogram: histogram(&known),
        })
    }
}

/// Of sorted values that are at least one.
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let at = p * (sorted.len() - 1) as f64;
    let (low, share) = (at.floor() as usize, at.fract());
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] * (1.0 - share) + sorted[high] * share
}

/// Of sorted values that are at least one.
fn histogram(sorted: &[f64]) -> Histogram {
    let (min, max) = (sorted[0], sorted[sorted.len() - 1]);
    if min == max {
        return Histogram { edges: vec![min, max], counts: vec![sorted.len()] };
    }
    let edge = |k: usize| {
        let share = k as f64 / BINS as f64;
        min * (1.0 - share) + max * share
    };
    let mut edges: Vec<f64> = (0..=BINS).map(edge).collect();
    edges[BINS] = max;
    let below: Vec<usize> = (1..BINS).map(|k| sorted.partition_point(|x| *x < edges[k])).collect();
    let starts = std::iter::once(0).chain(below.iter().copied());
    let ends = below.iter().copied().chain([sorted.len()]);
    let counts = starts.zip(ends).map(|(start, end)| end.saturating_sub(start)).collect();
    Histogram { edges, counts }
}

impl WordStatistics {
    fn of_codes(codes: &[Option<u32>], levels: &[String]) -> Self {
        let mut counts = vec![0usize; levels.len()];
        codes.iter().flatten().for_each(|code| counts[*code as usize] += 1);
        let counted = levels.iter().map(String::as_str).zip(counts).filter(|(_, n)| *n > 0).collect();
        Self::top(counted)
    }

    fn of_words<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut counts = std::collections::HashMap::new();
        words.for_each(|word| *counts.entry(word).or_insert(0) += 1);
        Self::top(counts.into_iter().collect())
    }

    fn top(mut counted: Vec<(&str, usize)>) -> Self {
        counted.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let shown = counted.iter().take(TOP_LEVELS);
        let top =
            shown.map(|(level, count)| LevelCount { level: level.chars().take(LEVEL_CHARS).collect(), count: *count });
        Self { n_distinct: counted.len(), top: top.collect() }
    }
}
