//! A column of text cells that finds its own type: it starts narrow and widens when a cell does not fit.
//!
//! Integer widens to number in place. Boolean and number cannot widen to words in place, because the spelling of what
//! is stored is gone (`1.50`, `True`): such a builder says so, and the caller feeds it the column once more.

use std::collections::HashMap;

use adaptation::data::Values;
use jiff::civil::Date;

/// Interned words: codes and levels in order of first appearance.
#[derive(Debug, Default)]
pub(super) struct Words {
    codes: Vec<Option<u32>>,
    levels: Vec<String>,
    index: HashMap<Box<str>, u32>,
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

    /// Category or text.
    pub(super) fn finish(self) -> Values {
        super::words_column(self.codes, self.levels)
    }

    /// Timestamps where every word is one, else category or text.
    pub(super) fn finish_guessing(self) -> Values {
        let stamps: Option<Vec<i64>> = self.levels.iter().map(|word| timestamp(word)).collect();
        match stamps {
            Some(stamps) if !stamps.is_empty() => {
                Values::Timestamp(self.codes.into_iter().map(|c| c.map(|c| stamps[c as usize])).collect())
            }
            _ => self.finish(),
        }
    }
}

/// The column so far.
#[derive(Debug)]
enum State {
    /// Only missing values so far, this many.
    Unknown(usize),
    Boolean(Vec<Option<bool>>),
    Integer(Vec<Option<i64>>),
    Number(Vec<Option<f64>>),
    Words(Words),
    /// Words appeared after another type: the column has to be read again.
    Again,
}

/// A column that is being read from text.
#[derive(Debug)]
pub(super) struct TextColumn {
    state: State,
    /// Room for this many rows is made once, instead of moving the column each time it doubles.
    expected_rows: usize,
    /// The first cell that is a number but not finite. It is an error only if the column stays a number.
    infinite: Option<(usize, u64)>,
}

/// What a text column turned out to be.
pub(super) enum Finished {
    Values(Values),
    /// Feed the whole column to [`TextColumn::words`].
    ReadAgain,
    /// A number that is not finite, at this data row (from 0) and line.
    Infinite {
        row: usize,
        line: u64,
    },
}

impl TextColumn {
    pub(super) fn new(expected_rows: usize) -> Self {
        Self { state: State::Unknown(0), expected_rows, infinite: None }
    }

    /// A column that is known to hold words.
    pub(super) fn words() -> Self {
        Self { state: State::Words(Words::default()), expected_rows: 0, infinite: None }
    }

    /// Takes the next cell. `line` is its line in the file.
    pub(super) fn push(&mut self, cell: &str, line: u64) {
        let cell = cell.trim_ascii();
        if is_missing(cell) {
            return self.push_missing();
        }
        let fits = match &mut self.state {
            State::Unknown(n) => {
                let n = *n;
                self.state = first_state(cell, n, self.expected_rows);
                return self.push(cell, line);
            }
            State::Boolean(v) => boolean(cell).map(|x| v.push(Some(x))).is_some(),
            State::Integer(v) => cell.parse().map(|x| v.push(Some(x))).is_ok(),
            State::Number(_) => self.push_number(cell, line),
            State::Words(words) => {
                words.push(Some(cell));
                true
            }
            State::Again => true,
        };
        if fits {
            return;
        }
        self.state = match std::mem::replace(&mut self.state, State::Again) {
            State::Integer(v) if cell.parse::<f64>().is_ok() => {
                State::Number(v.into_iter().map(|x| x.map(|x| x as f64)).collect())
            }
            _ => return,
        };
        self.push(cell, line);
    }

    fn push_number(&mut self, cell: &str, line: u64) -> bool {
        let (State::Number(v), Ok(x)) = (&mut self.state, cell.parse::<f64>()) else { return false };
        if x.is_infinite() && self.infinite.is_none() {
            self.infinite = Some((v.len(), line));
        }
        v.push(x.is_finite().then_some(x));
        true
    }

    fn push_missing(&mut self) {
        match &mut self.state {
            State::Unknown(n) => *n += 1,
            State::Boolean(v) => v.push(None),
            State::Integer(v) => v.push(None),
            State::Number(v) => v.push(None),
            State::Words(words) => words.push(None),
            State::Again => {}
        }
    }

    pub(super) fn finish(self) -> Finished {
        Finished::Values(match self.state {
            // Nothing is known of it: a number column that is empty harms no encoder.
            State::Unknown(n) => Values::Number(vec![None; n]),
            State::Boolean(v) => Values::Boolean(v),
            State::Integer(v) => Values::Integer(v),
            State::Number(v) => match self.infinite {
                Some((row, line)) => return Finished::Infinite { row, line },
                None => Values::Number(v),
            },
            State::Words(words) => words.finish_guessing(),
            State::Again => return Finished::ReadAgain,
        })
    }
}

/// The narrowest column that takes this cell, with `n` missing values before it and room for `expected` rows.
fn first_state(cell: &str, n: usize, expected: usize) -> State {
    if boolean(cell).is_some() {
        State::Boolean(missing(n, expected))
    } else if cell.parse::<i64>().is_ok() {
        State::Integer(missing(n, expected))
    } else if cell.parse::<f64>().is_ok() {
        State::Number(missing(n, expected))
    } else {
        let mut words = Words::default();
        (0..n).for_each(|_| words.push(None));
        State::Words(words)
    }
}

fn missing<T: Clone>(n: usize, expected: usize) -> Vec<Option<T>> {
    let mut values = Vec::with_capacity(expected.max(n));
    values.resize(n, None);
    values
}

/// The marks that stand for a missing value in a text file.
pub(super) fn is_missing(cell: &str) -> bool {
    matches!(cell, "" | "?" | "NA" | "N/A" | "nan" | "NaN" | "NAN" | "null" | "NULL")
}

fn boolean(cell: &str) -> Option<bool> {
    match cell {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// RFC 3339, or a plain date as its midnight UTC; milliseconds since 1970.
fn timestamp(word: &str) -> Option<i64> {
    if !word.as_bytes().first()?.is_ascii_digit() || word.len() < 10 {
        return None;
    }
    if let Ok(stamp) = word.parse::<jiff::Timestamp>() {
        return Some(stamp.as_millisecond());
    }
    // `len` keeps out date-times without an offset, which name no instant.
    let date: Date = word.parse().ok().filter(|_| word.len() == 10)?;
    let days = date.duration_since(Date::constant(1970, 1, 1)).as_hours() / 24;
    days.checked_mul(86_400_000)
}
