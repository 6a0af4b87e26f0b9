//! N-grams of a text: words in a row, or characters in a row within what spaces part. The same rules as
//! scikit-learn's `TfidfVectorizer` with the analyzers `word` and `char_wb`, so that numbers can be compared.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::params::{Analyzer, Case, TextParams};

/// Words are of so many characters. One letter says little; what is longer than any word is a key, a hash or noise.
const WORD_CHARS: std::ops::RangeInclusive<usize> = 2..=64;

/// Stands before n-grams of characters where there are n-grams of words as well; no word begins with it.
const OF_CHARACTERS: char = '#';

/// How texts are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ngrams {
    analyzer: Analyzer,
    word_ngrams: [u8; 2],
    char_ngrams: [u8; 2],
    case: Case,
}

impl Ngrams {
    pub(super) fn new(params: &TextParams) -> Self {
        let TextParams { analyzer, word_ngrams, char_ngrams, case, .. } = *params;
        Self { analyzer, word_ngrams, char_ngrams, case }
    }

    /// Whether a term of both kinds is one of characters.
    pub(super) fn is_of_characters(&self, term: &str) -> bool {
        self.analyzer == Analyzer::Char || term.starts_with(OF_CHARACTERS)
    }

    /// Calls with every n-gram of a text, as often as the text has it.
    pub(super) fn each(&self, text: &str, mut take: impl FnMut(&str)) {
        let text = match self.case {
            Case::Lower => Cow::Owned(text.to_lowercase()),
            Case::Keep => Cow::Borrowed(text),
        };
        match self.analyzer {
            Analyzer::Word => of_words(&text, self.word_ngrams, take),
            Analyzer::Char => of_characters(&text, self.char_ngrams, take),
            Analyzer::WordChar => {
                of_words(&text, self.word_ngrams, &mut take);
                let mut marked = String::new();
                of_characters(&text, self.char_ngrams, |ngram| {
                    marked.clear();
                    marked.push(OF_CHARACTERS);
                    marked.push_str(ngram);
                    take(&marked);
                });
            }
        }
    }
}

/// Words with a space between, however far they stand apart.
fn of_words(text: &str, [fewest, most]: [u8; 2], mut take: impl FnMut(&str)) {
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
    // Words side by side, so that every n-gram is a piece of this.
    let mut joined = String::with_capacity(text.len());
    let mut places: Vec<(usize, usize)> = Vec::new();
    for word in text.split(|c| !is_of_word(c)).filter(|w| is_word(w)) {
        let start = joined.len();
        joined.push_str(word);
        places.push((start, joined.len()));
        joined.push(' ');
    }
    for n in usize::from(fewest)..=usize::from(most) {
        for run in places.windows(n) {
            take(&joined[run[0].0..run[n - 1].1]);
        }
    }
}

fn is_word(piece: &str) -> bool {
    // A character has four bytes at most: what is far too long is not counted.
    piece.len() >= *WORD_CHARS.start()
        && piece.len() <= 4 * WORD_CHARS.end()
        && WORD_CHARS.contains(&piece.chars().count())
}

/// Each word with a space on both sides; a word that is shorter than an n-gram is one, once.
fn of_characters(text: &str, [fewest, most]: [u8; 2], mut take: impl FnMut(&str)) {
    let mut padded = String::new();
    let mut places: Vec<usize> = Vec::new();
    for word in text.split_whitespace() {
        padded.clear();
        padded.push(' ');
        padded.push_str(word);
        padded.push(' ');
        places.clear();
        places.extend(padded.char_indices().map(|(at, _)| at));
        places.push(padded.len());
        let n_chars = places.len() - 1;
        for n in usize::from(fewest)..=usize::from(most) {
            if n >= n_chars {
                take(&padded);
                break;
            }
            for run in places.windows(n + 1) {
                take(&padded[run[0]..run[n]]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(params: TextParams, text: &str, expected: &[&str]) {
        let mut found = Vec::new();
        Ngrams::new(&params).each(text, |ngram| found.push(ngram.to_owned()));
        assert_eq!(found, expected, "{text:?}");
    }

    fn characters(fewest: u8, most: u8) -> TextParams {
        TextParams { analyzer: Analyzer::Char, char_ngrams: [fewest, most], ..TextParams::default() }
    }

    #[test]
    fn words_are_runs_of_letters_and_digits_of_at_least_two() {
        let words = TextParams::default();
        check(words, "Free SHIPPING, a gift!", &["free", "shipping", "gift", "free shipping", "shipping gift"]);
        check(words, "don't", &["don"]);
        check(
            words,
            "x2 été_1 日本語 שלום עולם",
            &["x2", "été_1", "日本語", "שלום", "עולם", "x2 été_1", "été_1 日本語", "日本語 שלום", "שלום עולם"],
        );
        for nothing in ["", " ", "a b c", "🎉🎉 !!! …", "\u{200f}\u{202e}"] {
            check(words, nothing, &[]);
        }
        let long = "x".repeat(65);
        check(words, &format!("one {long} two"), &["one", "two", "one two"]);
        check(TextParams { word_ngrams: [2, 3], case: Case::Keep, ..words }, "A1 B2", &["A1 B2"]);
    }

    #[test]
    fn characters_stay_within_words_and_mark_their_edges() {
        check(characters(3, 3), "to 🎉", &[" to", "to ", " 🎉 "]);
        check(characters(2, 4), "ab", &[" a", "ab", "b ", " ab", "ab ", " ab "]);
        check(characters(5, 9), "ab", &[" ab "]);
        check(characters(3, 5), " \n\t ", &[]);
    }

    #[test]
    fn words_and_characters_do_not_mix() {
        let both = TextParams { analyzer: Analyzer::WordChar, word_ngrams: [1, 1], ..characters(2, 2) };
        check(both, "ab", &["ab", "# a", "#ab", "#b "]);
    }

    #[test]
    fn a_word_of_a_megabyte_is_cut_in_linear_time() {
        let huge = "é".repeat(1 << 20);
        let mut n = 0;
        Ngrams::new(&TextParams { analyzer: Analyzer::WordChar, ..TextParams::default() }).each(&huge, |_| n += 1);
        assert_eq!(n, 3 * ((1 << 20) - 1), "3, 4 and 5 of 2^20 characters and two spaces");
    }
}
