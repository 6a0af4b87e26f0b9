//! Columns of free text as tf-idf features.
//!
//! A text with `n` times an n-gram that `f` of the `N` training rows have holds `tf(n) · (ln((1 + N) / (1 + f)) + 1)` in the
//! column of that n-gram, and each row of a text column is then divided by its length. `tf` and idf are those of
//! scikit-learn's `TfidfVectorizer` (`smooth_idf`), with which `tests/reference/text.json` was made. Rows are those of all
//! sources and of the target's training rows together, as for scaling and imputation; labels are not looked at.
//!
//! Hashed, an n-gram goes to column `|h| mod buckets` with the sign of `h`, MurmurHash3 (32 bits, seed 0) of its UTF-8
//! bytes as a signed number, as in scikit-learn's `HashingVectorizer`: collisions then cancel rather than add up. `f` is
//! the number of rows with any n-gram of the column. The hash is part of the model file's contract.
//!
//! Cost: one walk through the texts to count and one to encode; memory for at most two million distinct n-grams.

mod ngrams;
mod params;
mod vocabulary;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use self::ngrams::Ngrams;
pub use self::params::{Analyzer, Case, TermFrequency, TextParams, TextScaling};
use self::vocabulary::Vocabulary;
use crate::context::{Ctx, FitError};
use crate::data::Values;
use crate::parts::LoadError;

/// Bytes of text of one column of which a vocabulary is counted: minutes for the longest n-grams.
const MAX_COUNTED_BYTES: usize = 256 << 20;

/// Bytes of text between two looks at whether to go on: about ten milliseconds.
const PACE_BYTES: usize = 64 << 10;

/// A fitted encoding of one column of text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct TextEncoding {
    ngrams: Ngrams,
    term_frequency: TermFrequency,
    terms: Terms,
    /// One weight a column.
    idf: Vec<f64>,
}

/// Which n-gram goes to which column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "snake_case")]
enum Terms {
    /// In alphabetical order, which is that of the columns.
    Vocabulary {
        terms: Vec<String>,
    },
    Hashed {
        buckets: u32,
    },
}

impl TextEncoding {
    /// Learns from the training rows of one column, and says how many entries they have that are not zero. `None` where
    /// nothing is kept.
    ///
    /// # Errors
    /// [`FitError::Invalid`] where there is too much text for a vocabulary; where the caller asked to stop.
    pub(super) fn fit(
        name: &str,
        columns: &[&Values],
        params: &TextParams,
        ctx: &Ctx,
    ) -> Result<Option<(Self, usize)>, FitError> {
        let ngrams = Ngrams::new(params);
        let n_rows: usize = columns.iter().map(|v| v.len()).sum();
        let (terms, rows_with) = match params.hashed {
            Some(buckets) => {
                let terms = Terms::Hashed { buckets };
                let rows_with = bucket_counts(&ngrams, columns, buckets, ctx)?;
                (terms, rows_with)
            }
            None => {
                refuse_too_much(name, columns)?;
                let counted = Vocabulary { ngrams, params, columns, ctx }.count()?;
                let (terms, rows_with) = counted.into_iter().unzip();
                (Terms::Vocabulary { terms }, rows_with)
            }
        };
        if rows_with.iter().all(|rows| *rows == 0) {
            return Ok(None);
        }
        let idf = rows_with.iter().map(|rows| ((1.0 + n_rows as f64) / (1.0 + f64::from(*rows))).ln() + 1.0).collect();
        let n_entries = rows_with.iter().map(|rows| *rows as usize).sum();
        Ok(Some((Self { ngrams, term_frequency: params.term_frequency, terms, idf }, n_entries)))
    }

    /// The number of columns.
    pub(super) fn width(&self) -> usize {
        self.idf.len()
    }

    /// Every entry of every row that is not zero, as row, column and value; both ascend. Ends early where it is told not
    /// to go on.
    pub(super) fn entries(&self, values: &Values, goes_on: GoesOn, mut write: impl FnMut(usize, usize, f64)) {
        let mut pace = Pace::default();
        let mut found = Vec::new();
        for (row, text) in texts(&[values]).enumerate() {
            let Some(text) = text else { continue };
            if pace.is_due(&text) && !goes_on() {
                return;
            }
            self.row(&text, &mut found);
            for (column, value) in &found {
                write(row, *column as usize, *value);
            }
        }
    }

    /// The entries of one text of unit length, in ascending order of columns.
    fn row(&self, text: &str, out: &mut Vec<(u32, f64)>) {
        out.clear();
        match &self.terms {
            Terms::Vocabulary { terms } => {
                self.ngrams.each(text, |ngram| {
                    if let Ok(at) = terms.binary_search_by(|term| term.as_str().cmp(ngram)) {
                        out.push((at as u32, 1.0));
                    }
                });
                out.sort_unstable_by_key(|(column, _)| *column);
                add_up(out);
                out.iter_mut().for_each(|(_, n)| *n = self.frequency(*n));
            }
            Terms::Hashed { buckets } => {
                // How often each n-gram occurs is told by its whole hash, before n-grams share columns.
                let mut hashes: Vec<(u32, f64)> = Vec::new();
                self.ngrams.each(text, |ngram| hashes.push((hash(ngram), 1.0)));
                hashes.sort_unstable_by_key(|(hash, _)| *hash);
                add_up(&mut hashes);
                out.extend(hashes.into_iter().map(|(hash, n)| {
                    let (column, sign) = bucket(hash, *buckets);
                    (column, sign * self.frequency(n))
                }));
                // Stable: terms of one column are added in one order, always.
                out.sort_by_key(|(column, _)| *column);
                add_up(out);
            }
        }
        out.iter_mut().for_each(|(column, v)| *v *= self.idf[*column as usize]);
        let length = out.iter().map(|(_, v)| v * v).sum::<f64>().sqrt();
        if length > 0.0 {
            out.iter_mut().for_each(|(_, v)| *v /= length);
        }
        out.retain(|(_, v)| *v != 0.0);
    }

    fn frequency(&self, n: f64) -> f64 {
        match self.term_frequency {
            TermFrequency::Sublinear => 1.0 + n.ln(),
            TermFrequency::Count => n,
            TermFrequency::Presence => 1.0,
        }
    }

    /// # Errors
    /// [`LoadError`] where a file holds what no fit makes.
    pub(super) fn check(&self) -> Result<(), LoadError> {
        let width = match &self.terms {
            Terms::Vocabulary { terms } if terms.is_sorted_by(|a, b| a < b) => terms.len(),
            Terms::Vocabulary { .. } => return Err(LoadError("the terms of a text are not in order".into())),
            Terms::Hashed { buckets } => *buckets as usize,
        };
        let sound = self.idf.iter().all(|w| w.is_finite() && *w > 0.0);
        if width != self.width() || !sound {
            return Err(LoadError(format!(
                "a text has {} weights for {width} terms, or weights of no text",
                self.width()
            )));
        }
        Ok(())
    }
}

/// Says whether to go on.
pub(super) type GoesOn<'a> = &'a dyn Fn() -> bool;

/// Counts the bytes of texts between two looks.
#[derive(Default)]
struct Pace(usize);

impl Pace {
    /// Whether it is time to look.
    fn is_due(&mut self, text: &str) -> bool {
        self.0 += text.len();
        let due = self.0 > PACE_BYTES;
        if due {
            self.0 = 0;
        }
        due
    }
}

/// Neighbours of one key become one entry.
fn add_up(entries: &mut Vec<(u32, f64)>) {
    entries.dedup_by(|next, first| {
        let same = next.0 == first.0;
        if same {
            first.1 += next.1;
        }
        same
    });
}

/// The texts of all rows, one column below the other; `None` where one is missing.
fn texts<'a>(columns: &'a [&'a Values]) -> impl Iterator<Item = Option<Cow<'a, str>>> {
    columns.iter().flat_map(|values| (0..values.len()).map(|row| text_at(values, row)))
}

fn text_at(values: &Values, row: usize) -> Option<Cow<'_, str>> {
    match values {
        Values::Text(v) => v[row].as_deref().map(Cow::Borrowed),
        Values::Category { codes, levels } => codes[row].map(|c| Cow::Borrowed(levels[c as usize].as_str())),
        other => other.word(row).map(Cow::Owned),
    }
}

fn refuse_too_much(name: &str, columns: &[&Values]) -> Result<(), FitError> {
    let n_bytes: usize = texts(columns).flatten().map(|t| t.len()).sum();
    if n_bytes <= MAX_COUNTED_BYTES {
        return Ok(());
    }
    Err(FitError::Invalid {
        pointer: "/features/text/hashed".into(),
        detail: format!(
            "column {name:?} holds {} MiB of text, of which no list of n-grams is kept beyond {} MiB; give a number of \
             columns to hash into, such as 2000",
            n_bytes >> 20,
            MAX_COUNTED_BYTES >> 20
        ),
    })
}

/// How many rows have any n-gram of each column.
fn bucket_counts(ngrams: &Ngrams, columns: &[&Values], buckets: u32, ctx: &Ctx) -> Result<Vec<u32>, FitError> {
    let mut counts = vec![0; buckets as usize];
    let mut found = Vec::new();
    let mut pace = Pace::default();
    for text in texts(columns).flatten() {
        if pace.is_due(&text) {
            ctx.check()?;
        }
        found.clear();
        ngrams.each(&text, |ngram| found.push(bucket(hash(ngram), buckets).0));
        found.sort_unstable();
        found.dedup();
        found.iter().for_each(|column| counts[*column as usize] += 1);
    }
    Ok(counts)
}

/// The column and the sign of a hash.
fn bucket(hash: u32, buckets: u32) -> (u32, f64) {
    let signed = hash.cast_signed();
    (signed.unsigned_abs() % buckets, if signed < 0 { -1.0 } else { 1.0 })
}

/// MurmurHash3_x86_32 with seed 0. Written out because what it gives is stored in models: it may never change.
fn hash(text: &str) -> u32 {
    let mixed = |k: u32| k.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let (blocks, rest) = text.as_bytes().as_chunks::<4>();
    let mut h = 0_u32;
    for block in blocks {
        h = (h ^ mixed(u32::from_le_bytes(*block))).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let tail = rest.iter().rev().fold(0_u32, |k, byte| k << 8 | u32::from(*byte));
    h ^= mixed(tail);
    h ^= text.len() as u32;
    h = (h ^ h >> 16).wrapping_mul(0x85eb_ca6b);
    h = (h ^ h >> 13).wrapping_mul(0xc2b2_ae35);
    h ^ h >> 16
}

#[cfg(test)]
mod tests;
