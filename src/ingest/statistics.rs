//! What is in one column: counts, quantiles and a histogram of numbers, the commonest words.

use serde::{Deserialize, Serialize};

/// The quantiles that are stored.
const QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
const BINS: usize = 20;
const TOP_LEVELS: usize = 20;
/// Characters of a level that are kept: statistics are shown, and text may be long.
pub(super) const LEVEL_CHARS: usize = 200;

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
    /// Rows that quantiles, histogram and the words of a text were taken from, where there are more than those.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sampled: Option<usize>,
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

impl NumberStatistics {
    /// Quantiles and histogram are those of the sample, which is sorted here.
    pub(super) fn of(moments: &Moments, mut sample: Vec<f64>) -> Option<Self> {
        if moments.count == 0 {
            return None;
        }
        // A few values among very many that are missing may all not be drawn.
        if sample.is_empty() {
            sample.push(moments.mean);
        }
        sample.sort_unstable_by(f64::total_cmp);
        let quantiles = QUANTILES.map(|p| Quantile { p, value: quantile(&sample, p) }).to_vec();
        let histogram = histogram(&sample, moments.min, moments.max);
        let Moments { min, max, mean, std, .. } = *moments;
        Some(Self { min, max, mean, std, quantiles, histogram })
    }
}

/// Count, extremes, mean and deviation, chunk by chunk (Chan, Golub and LeVeque, 1979).
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    pub(super) count: usize,
    min: f64,
    max: f64,
    mean: f64,
    std: f64,
}

impl Moments {
    pub(super) const NONE: Self = Self { count: 0, min: f64::INFINITY, max: f64::NEG_INFINITY, mean: 0.0, std: 0.0 };

    pub(super) fn min(&self) -> f64 {
        self.min
    }

    pub(super) fn of(numbers: &[f64]) -> Self {
        if numbers.is_empty() {
            return Self::NONE;
        }
        let min = lanes(numbers, f64::INFINITY, f64::min, f64::min);
        let max = lanes(numbers, f64::NEG_INFINITY, f64::max, f64::max);
        // Scaled by the largest magnitude, so that squares of large numbers stay finite; by a power of two, which
        // rounds nothing.
        let scale = power_of_two_near(min.abs().max(max.abs()));
        let n = numbers.len() as f64;
        let mean = lanes(numbers, 0.0, |sum, x| sum + x * scale, |a, b| a + b) / n;
        let variance = lanes(numbers, 0.0, |sum, x| sum + (x * scale - mean).powi(2), |a, b| a + b) / n;
        Self { count: numbers.len(), min, max, mean: mean / scale, std: variance.sqrt() / scale }
    }

    pub(super) fn join(self, other: Self) -> Self {
        if self.count == 0 || other.count == 0 {
            return if self.count == 0 { other } else { self };
        }
        let count = self.count + other.count;
        let (here, there) = (self.count as f64 / count as f64, other.count as f64 / count as f64);
        let scale = power_of_two_near(
            [self.mean, self.std, other.mean, other.std].into_iter().map(f64::abs).fold(0.0, f64::max),
        );
        let scaled = [self.mean, self.std, other.mean, other.std].map(|x| x * scale);
        let [mean, std, other_mean, other_std] = scaled;
        let variance = here * std * std + there * other_std * other_std + here * there * (mean - other_mean).powi(2);
        Self {
            count,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
            mean: (here * mean + there * other_mean) / scale,
            std: variance.sqrt() / scale,
        }
    }
}

/// Folds numbers in eight lanes, which are joined at the end: one after another would wait for each addition.
fn lanes(numbers: &[f64], start: f64, take: impl Fn(f64, f64) -> f64, join: impl Fn(f64, f64) -> f64) -> f64 {
    let mut held = [start; 8];
    let (eights, rest) = numbers.as_chunks::<8>();
    for eight in eights {
        for (held, x) in held.iter_mut().zip(eight) {
            *held = take(*held, *x);
        }
    }
    for (held, x) in held.iter_mut().zip(rest) {
        *held = take(*held, *x);
    }
    held.into_iter().reduce(join).unwrap_or(start)
}

/// A factor that brings a magnitude between a half and two, as far as exponents reach.
fn power_of_two_near(magnitude: f64) -> f64 {
    let exponent = ((magnitude.to_bits() >> 52) & 0x7FF) as i64 - 1023;
    f64::from_bits(((1023 - exponent.clamp(-1000, 1000)) as u64) << 52)
}

/// Of sorted values that are at least one.
fn quantile(sorted: &[f64], p: f64) -> f64 {
    let at = p * (sorted.len() - 1) as f64;
    let (low, share) = (at.floor() as usize, at.fract());
    let high = (low + 1).min(sorted.len() - 1);
    sorted[low] * (1.0 - share) + sorted[high] * share
}

/// Of sorted values, all from `min` to `max`.
fn histogram(sorted: &[f64], min: f64, max: f64) -> Histogram {
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
    /// Of levels that occur so often.
    pub(super) fn of_counts(counts: &[usize], levels: &[String]) -> Self {
        let counted = levels.iter().map(String::as_str).zip(counts.iter().copied()).filter(|(_, n)| *n > 0).collect();
        Self::top(counted)
    }

    pub(super) fn of_words<'a>(words: impl Iterator<Item = &'a str>) -> Self {
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
