//! The n-grams that the most rows have, counted exactly in bounded memory, whatever the order of the rows.

use std::collections::HashMap;

use super::ngrams::Ngrams;
use super::params::TextParams;
use super::{Pace, hash, texts};
use crate::context::{Ctx, FitError};
use crate::data::Values;

/// N-grams that are counted at a time: about 100 bytes each. Beyond it they are counted in parts by their hash, each
/// part with one more walk through the texts.
const MAX_COUNTED: usize = 1 << 21;

/// Parts are halved so often at most, after which they are counted whole.
const MAX_HALVINGS: u32 = 20;

/// A kept n-gram and the number of rows that have it.
pub(super) type Counted = (String, u32);

/// What is counted, and what is kept.
pub(super) struct Vocabulary<'a> {
    pub(super) ngrams: Ngrams,
    pub(super) params: &'a TextParams,
    pub(super) columns: &'a [&'a Values],
    pub(super) ctx: &'a Ctx<'a>,
}

impl Vocabulary<'_> {
    /// The n-grams that are kept, in alphabetical order.
    ///
    /// # Errors
    /// Where the caller asked to stop.
    pub(super) fn count(&self) -> Result<Vec<Counted>, FitError> {
        let (mut words, mut characters) = (Vec::new(), Vec::new());
        self.count_part(0, 0, MAX_COUNTED, &mut |counted| {
            let (c, w) = counted.into_iter().partition(|(term, _)| self.ngrams.is_of_characters(term));
            characters.extend::<Vec<Counted>>(c);
            words.extend::<Vec<Counted>>(w);
            self.keep_commonest(&mut words);
            self.keep_commonest(&mut characters);
        })?;
        words.append(&mut characters);
        words.sort_unstable();
        Ok(words)
    }

    /// Counts the n-grams whose hash ends with these bits, halving the part where it has too many.
    fn count_part(
        &self,
        n_bits: u32,
        bits: u32,
        most: usize,
        take: &mut impl FnMut(Vec<Counted>),
    ) -> Result<(), FitError> {
        let limit = if n_bits < MAX_HALVINGS { most } else { usize::MAX };
        match self.counts(n_bits, bits, limit)? {
            Some(counts) => {
                let enough = |(term, rows): (Box<str>, Count)| {
                    (rows.n >= self.params.min_document_frequency).then(|| (term.into_string(), rows.n))
                };
                take(counts.into_iter().filter_map(enough).collect());
                Ok(())
            }
            None => {
                self.count_part(n_bits + 1, bits, most, take)?;
                self.count_part(n_bits + 1, bits | 1 << n_bits, most, take)
            }
        }
    }

    /// `None` where there are more than so many.
    fn counts(&self, n_bits: u32, bits: u32, most: usize) -> Result<Option<HashMap<Box<str>, Count>>, FitError> {
        let mask = (1_u32 << n_bits) - 1;
        let mut counts: HashMap<Box<str>, Count> = HashMap::new();
        let mut pace = Pace::default();
        for (row, text) in (1..).zip(texts(self.columns)) {
            let Some(text) = text else { continue };
            if pace.is_due(&text) {
                self.ctx.check()?;
            }
            self.ngrams.each(&text, |ngram| {
                if mask != 0 && hash(ngram) & mask != bits {
                    return;
                }
                match counts.get_mut(ngram) {
                    Some(count) => count.add(row),
                    None => drop(counts.insert(ngram.into(), Count { n: 1, last_row: row })),
                }
            });
            if counts.len() > most {
                return Ok(None);
            }
        }
        Ok(Some(counts))
    }

    /// Ties are broken by the alphabet, so that the order in which they were counted does not matter.
    fn keep_commonest(&self, counted: &mut Vec<Counted>) {
        counted.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        counted.truncate(self.params.max_features as usize);
    }
}

/// The number of rows with an n-gram, and the last one.
struct Count {
    n: u32,
    last_row: u32,
}

impl Count {
    fn add(&mut self, row: u32) {
        self.n += u32::from(self.last_row != row);
        self.last_row = row;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Silent;

    #[test]
    fn parts_make_the_same_as_the_whole() {
        let texts: Vec<Option<String>> =
            (0..200_u32).map(|i| Some(format!("w{} w{} w{}", i % 7, i * i % 31, i % 50))).collect();
        let column = Values::Text(texts);
        let params = TextParams { max_features: 40, ..TextParams::default() };
        let vocabulary = Vocabulary {
            ngrams: Ngrams::new(&params),
            params: &params,
            columns: &[&column],
            ctx: &Ctx::new(0, &Silent),
        };
        let counted = |most: usize| {
            let mut all = Vec::new();
            let counted = vocabulary.count_part(0, 0, most, &mut |part| {
                all.extend(part);
                vocabulary.keep_commonest(&mut all);
            });
            counted.expect("nobody stops it");
            all
        };
        let whole = counted(usize::MAX);
        assert_eq!(whole.len(), 40);
        assert_eq!(counted(10), whole);
        assert_eq!(vocabulary.count().expect("nobody stops it").len(), 40);
    }
}
