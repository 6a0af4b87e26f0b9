//! Columns of words: each distinct one is kept once, and rows are numbers of them.

use std::collections::HashMap;

use adaptation::data::{Kind, Values};
use jiff::civil::Date;

use super::error::{IngestError, Place};

/// What the columns of words may hold in their dictionaries together, in a file that is read by chunks: one that holds more
/// than its share is taken for text.
const MOST_LEVEL_BYTES: usize = 24 << 20;
const LEAST_SHARE: usize = 128 << 10;
/// What the classes of a label or the groups may take, which are kept however many they are.
const MOST_CLASS_BYTES: usize = 64 << 20;
/// A level beside its letters: two strings and their place in the index.
const LEVEL_OVERHEAD: usize = 80;

/// Interned words: codes and levels in order of first appearance.
#[derive(Debug, Default)]
pub(super) struct Words {
    codes: Vec<Option<u32>>,
    levels: Vec<String>,
    index: HashMap<Box<str>, u32>,
    level_bytes: usize,
}

impl Words {
    pub(super) fn push(&mut self, word: Option<&str>) {
        let code = word.map(|word| self.code_of(word));
        self.push_code(code);
    }

    /// The code of a word, which is new if the word is.
    pub(super) fn code_of(&mut self, word: &str) -> u32 {
        match self.index.get(word) {
            Some(code) => *code,
            None => {
                let code = self.levels.len() as u32;
                self.level_bytes += 2 * word.len() + LEVEL_OVERHEAD;
                self.levels.push(word.to_owned());
                self.index.insert(word.into(), code);
                code
            }
        }
    }

    /// `code` is of [`Words::code_of`].
    pub(super) fn push_code(&mut self, code: Option<u32>) {
        self.codes.push(code);
    }

    pub(super) fn len(&self) -> usize {
        self.codes.len()
    }

    /// Of a file of so many columns.
    pub(super) fn is_overfull(&self, n_columns: usize) -> bool {
        self.level_bytes > (MOST_LEVEL_BYTES / n_columns.max(6)).max(LEAST_SHARE)
    }

    /// # Errors
    /// More distinct words than classes or groups can sensibly have.
    pub(super) fn check_levels(&self, column: &str) -> Result<(), IngestError> {
        if self.level_bytes <= MOST_CLASS_BYTES {
            return Ok(());
        }
        let n = self.levels.len();
        let message = format!(
            "column {column:?} holds more than {n} distinct words, too many for classes or groups; give it another role"
        );
        Err(IngestError::invalid_at(Place::column(column), message))
    }

    /// Most words are another, or they are prose: a dictionary would hold most of the column.
    pub(super) fn are_text(&self) -> bool {
        let n_known = self.codes.iter().flatten().count();
        is_prose(&self.levels, n_known) || self.levels.len() > 50 && self.levels.len() * 2 > n_known
    }

    /// The codes so far; the levels stay for those that follow.
    pub(super) fn take_codes(&mut self) -> Values {
        Values::Category { codes: std::mem::take(&mut self.codes), levels: Vec::new() }
    }

    /// The words one by one.
    pub(super) fn into_text(self) -> Vec<Option<String>> {
        self.codes.into_iter().map(|c| c.map(|c| self.levels[c as usize].clone())).collect()
    }

    pub(super) fn into_category(self) -> Values {
        Values::Category { codes: self.codes, levels: self.levels }
    }

    /// Category or text.
    pub(super) fn finish(self) -> Values {
        words_column(self.codes, self.levels)
    }

    /// The times, if every word is one.
    pub(super) fn timestamps(&self) -> Option<Vec<Option<i64>>> {
        let stamps: Vec<i64> = self.levels.iter().map(|word| timestamp(word)).collect::<Option<_>>()?;
        (!stamps.is_empty()).then(|| self.codes.iter().map(|c| c.map(|c| stamps[c as usize])).collect())
    }
}

/// The words of a column, as a category where few are distinct, else as text.
fn words_column(codes: Vec<Option<u32>>, levels: Vec<String>) -> Values {
    let n_known = codes.iter().flatten().count();
    let copied: usize = codes.iter().flatten().map(|code| levels[*code as usize].len()).sum();
    if kind_of_words(&levels, n_known, copied) == Kind::Category {
        return Values::Category { codes, levels };
    }
    Values::Text(codes.into_iter().map(|c| c.map(|c| levels[c as usize].clone())).collect())
}

/// Up to 50 distinct words, or one in twenty rows, are a category, unless most are distinct and long: prose. `copied` are
/// the bytes of all words, copied out.
pub(super) fn kind_of_words(levels: &[String], n_known: usize, copied: usize) -> Kind {
    const FEW: usize = 50;
    const ROWS_PER_LEVEL: usize = 20;
    const MOST_COPIED: usize = 1 << 30;
    // Few long words in many rows would each be copied out.
    let held: usize = levels.iter().map(String::len).sum();
    let repeated = copied > MOST_COPIED && copied > 2 * held;
    let few = levels.len() <= FEW.max(n_known / ROWS_PER_LEVEL);
    if repeated || few && !is_prose(levels, n_known) { Kind::Category } else { Kind::Text }
}

fn is_prose(levels: &[String], n_known: usize) -> bool {
    const PROSE_CHARS: usize = 40;
    let mean_length = levels.iter().map(String::len).sum::<usize>() / levels.len().max(1);
    mean_length > PROSE_CHARS && levels.len() * 2 > n_known
}

/// RFC 3339, or a plain date as its midnight UTC; milliseconds since 1970.
pub(super) fn timestamp(word: &str) -> Option<i64> {
    if !word.as_bytes().first()?.is_ascii_digit() || word.len() < 10 {
        return None;
    }
    if let Ok(stamp) = word.parse::<jiff::Timestamp>() {
        // Down, before 1970 too.
        return i64::try_from(stamp.as_nanosecond().div_euclid(1_000_000)).ok();
    }
    // `len` keeps out date-times without an offset, which name no instant.
    let date: Date = word.parse().ok().filter(|_| word.len() == 10)?;
    let days = date.duration_since(Date::constant(1970, 1, 1)).as_hours() / 24;
    days.checked_mul(86_400_000)
}
