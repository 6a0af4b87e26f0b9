//! Statistics of columns that come chunk by chunk, in bounded memory.
//!
//! Counts, extremes, mean and deviation are of all rows. Quantiles, histograms and the words of a text are of all rows
//! as long as those are few, else of a sample: rows whose hash ends in ever more zeros, the same for every column.

use adaptation::data::{Column, Values};

use super::statistics::{ColumnStatistics, LEVEL_CHARS, Moments, NumberStatistics, WordStatistics};

/// Cells of a sample in all columns.
const SAMPLE_CELLS: usize = 1 << 19;
/// Rows of a sample: a share is known to about 0.2 % (one standard error of a median).
const SAMPLE_ROWS: usize = 1 << 16;
/// Integers of more distinct values than this are quantities, not classes.
const MAX_INTEGER_CLASSES: usize = 50;

/// What is gathered of all columns of a table.
#[derive(Debug, Default)]
pub(super) struct Gatherer {
    columns: Vec<Gathering>,
    n_rows: usize,
    /// The sampled rows are those whose hash ends in so many zeros.
    n_zeros: u32,
    sampled: Vec<u32>,
}

/// What is gathered of one column.
#[derive(Debug)]
pub(super) struct Gathering {
    count: usize,
    missing: usize,
    first_missing: Option<usize>,
    first_negative: Option<usize>,
    distinct: FewIntegers,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// A number that is missing in a sampled row is not a number there.
    Numbers { moments: Moments, sample: Vec<f64> },
    /// Of each code.
    Codes(Vec<usize>),
    /// `false` and `true`.
    Booleans([usize; 2]),
    /// The start of each word.
    Text(Vec<Option<String>>),
    /// Of a column that came as a whole.
    Sparse(Option<NumberStatistics>),
}

/// Distinct integers, as long as they are few.
#[derive(Debug, Default)]
struct FewIntegers(Vec<i64>);

impl FewIntegers {
    fn see(&mut self, values: &[Option<i64>]) {
        for x in values.iter().flatten() {
            if self.0.len() > MAX_INTEGER_CLASSES {
                return;
            }
            if let Err(at) = self.0.binary_search(x) {
                self.0.insert(at, *x);
            }
        }
    }
}

impl Gatherer {
    /// Takes the next rows. The levels of categories may be missing.
    pub(super) fn take(&mut self, columns: &[Column]) {
        let n = columns.first().map_or(0, |c| c.values.len());
        if self.columns.is_empty() {
            self.columns = columns.iter().map(|c| Gathering::of_kind(&c.values)).collect();
        }
        for (gathering, column) in self.columns.iter_mut().zip(columns) {
            gathering.count(&column.values, self.n_rows);
        }
        let most = SAMPLE_ROWS.min(SAMPLE_CELLS / columns.len().max(1)).max(1);
        // By pieces, so that no more than twice the sample is held.
        for start in (0..n).step_by(most) {
            let rows = start..n.min(start + most);
            let first = self.n_rows;
            let drawn: Vec<usize> = rows.filter(|i| is_drawn(first + i, self.n_zeros)).collect();
            self.sampled.extend(drawn.iter().map(|i| (first + i) as u32));
            for (gathering, column) in self.columns.iter_mut().zip(columns) {
                gathering.sample(&column.values, &drawn);
            }
            while self.sampled.len() > most {
                self.thin();
            }
        }
        self.n_rows += n;
    }

    /// Halves the sample, about.
    fn thin(&mut self) {
        self.n_zeros += 1;
        let kept: Vec<bool> = self.sampled.iter().map(|row| is_drawn(*row as usize, self.n_zeros)).collect();
        retain(&mut self.sampled, &kept);
        for gathering in &mut self.columns {
            match &mut gathering.body {
                Body::Numbers { sample, .. } => retain(sample, &kept),
                Body::Text(sample) => retain(sample, &kept),
                Body::Codes(_) | Body::Booleans(_) | Body::Sparse(_) => {}
            }
        }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.n_rows
    }

    pub(super) fn columns(&self) -> &[Gathering] {
        &self.columns
    }

    /// `levels` are those of each category column, or of words that were gathered as codes.
    pub(super) fn finish<'a>(self, levels: impl Iterator<Item = &'a [String]>) -> Vec<ColumnStatistics> {
        let sampled = (self.n_zeros > 0).then_some(self.sampled.len());
        self.columns.into_iter().zip(levels).map(|(gathering, levels)| gathering.finish(levels, sampled)).collect()
    }
}

/// One row of 2ⁿ is: by the SplitMix64 finaliser, so that no pattern of the rows meets one of the sample.
fn is_drawn(row: usize, n_zeros: u32) -> bool {
    let mut z = (row as u64).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)).trailing_zeros() >= n_zeros
}

fn retain<T>(values: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    values.retain(|_| kept.next().copied().unwrap_or(true));
}

impl Gathering {
    fn of_kind(values: &Values) -> Self {
        let body = match values {
            Values::Number(_) | Values::Integer(_) | Values::Timestamp(_) => {
                Body::Numbers { moments: Moments::NONE, sample: Vec::new() }
            }
            Values::Sparse { .. } => Body::Sparse(None),
            Values::Boolean(_) => Body::Booleans([0; 2]),
            Values::Category { .. } => Body::Codes(Vec::new()),
            Values::Text(_) => Body::Text(Vec::new()),
        };
        Self { count: 0, missing: 0, first_missing: None, first_negative: None, distinct: FewIntegers::default(), body }
    }

    fn count(&mut self, values: &Values, start: usize) {
        let mut known = Vec::new();
        match (&mut self.body, values) {
            (Body::Numbers { .. }, Values::Number(v)) => {
                known.reserve_exact(v.len());
                known.extend(v.iter().copied().flatten());
            }
            (Body::Numbers { .. }, Values::Integer(v) | Values::Timestamp(v)) => {
                known.reserve_exact(v.len());
                known.extend(v.iter().copied().flatten().map(|x| x as f64));
                self.distinct.see(v);
            }
            (Body::Codes(counts), Values::Category { codes, .. }) => {
                for code in codes.iter().flatten().map(|c| *c as usize) {
                    if counts.len() <= code {
                        counts.resize(code + 1, 0);
                    }
                    counts[code] += 1;
                }
            }
            (Body::Booleans(counts), Values::Boolean(v)) => {
                v.iter().flatten().for_each(|x| counts[usize::from(*x)] += 1)
            }
            (Body::Sparse(found), Values::Sparse { values, n_rows, .. }) => {
                let mut all = values.clone();
                all.resize(*n_rows, 0.0);
                *found = NumberStatistics::of(&Moments::of(&all), all);
            }
            _ => {}
        }
        let missing = match &mut self.body {
            Body::Numbers { moments, .. } => {
                *moments = moments.join(Moments::of(&known));
                values.len() - known.len()
            }
            _ => values.n_missing(),
        };
        self.count += values.len() - missing;
        if missing > 0 && self.missing == 0 {
            self.first_missing = first_missing(values).map(|i| start + i);
        }
        self.missing += missing;
        if let Body::Numbers { moments, .. } = &self.body
            && self.first_negative.is_none()
            && moments.min() < 0.0
        {
            self.first_negative =
                (0..values.len()).find(|i| values.number(*i).is_some_and(|x| x < 0.0)).map(|i| start + i);
        }
    }

    fn sample(&mut self, values: &Values, rows: &[usize]) {
        match (&mut self.body, values) {
            (Body::Numbers { sample, .. }, Values::Number(v)) => {
                sample.extend(rows.iter().map(|i| v[*i].unwrap_or(f64::NAN)));
            }
            (Body::Numbers { sample, .. }, Values::Integer(v) | Values::Timestamp(v)) => {
                sample.extend(rows.iter().map(|i| v[*i].map_or(f64::NAN, |x| x as f64)));
            }
            (Body::Text(sample), Values::Text(v)) => {
                sample.extend(rows.iter().map(|i| v[*i].as_ref().map(|w| w.chars().take(LEVEL_CHARS).collect())));
            }
            _ => {}
        }
    }

    pub(super) fn n_known(&self) -> usize {
        self.count
    }

    /// Occurrences of each level of words that were gathered as codes.
    pub(super) fn level_counts(&self) -> &[usize] {
        match &self.body {
            Body::Codes(counts) => counts,
            _ => &[],
        }
    }

    pub(super) fn is_all_missing(&self) -> bool {
        self.count == 0
    }

    /// Of a column of integers.
    pub(super) fn has_few_integers(&self) -> bool {
        self.distinct.0.len() <= MAX_INTEGER_CLASSES
    }

    /// The first row (from 0) that cannot be a weight.
    pub(super) fn first_unfit_weight(&self) -> Option<usize> {
        [self.first_missing, self.first_negative].into_iter().flatten().min()
    }

    fn finish(self, levels: &[String], sampled: Option<usize>) -> ColumnStatistics {
        let Self { count, missing, body, .. } = self;
        let (mut number, mut words, mut sampled) = (None, None, sampled);
        match body {
            Body::Numbers { moments, mut sample } => {
                sample.retain(|x| !x.is_nan());
                number = NumberStatistics::of(&moments, sample);
            }
            Body::Codes(counts) => {
                words = Some(WordStatistics::of_counts(&counts, levels));
                sampled = None;
            }
            Body::Booleans([no, yes]) => {
                let both = ["false".to_owned(), "true".to_owned()];
                words = Some(WordStatistics::of_counts(&[no, yes], &both));
                sampled = None;
            }
            Body::Text(sample) => words = Some(WordStatistics::of_words(sample.iter().flatten().map(String::as_str))),
            Body::Sparse(found) => (number, sampled) = (found, None),
        }
        ColumnStatistics { count, missing, number, words, sampled }
    }
}

fn first_missing(values: &Values) -> Option<usize> {
    fn first<T>(v: &[Option<T>]) -> Option<usize> {
        v.iter().position(Option::is_none)
    }
    match values {
        Values::Number(v) => first(v),
        Values::Sparse { .. } => None,
        Values::Integer(v) | Values::Timestamp(v) => first(v),
        Values::Boolean(v) => first(v),
        Values::Category { codes, .. } => first(codes),
        Values::Text(v) => first(v),
    }
}
