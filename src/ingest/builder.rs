//! A column of text cells that finds its own type: it starts narrow and widens when a cell does not fit.
//!
//! Integer widens to number in place, as long as none of its values were handed on. Otherwise the spelling or the type
//! of what went before is gone: the column then only learns what it should have been, and the file is read once more.

use adaptation::data::Values;

use super::error::IngestError;
use super::numbers;
use super::words::{Words, timestamp};

/// What is known of a column before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Nothing,
    Boolean,
    Integer,
    Number,
    Timestamp,
    /// That are not all times.
    Words,
    /// Words of which no dictionary is kept.
    Text,
}

/// The column so far.
#[derive(Debug)]
enum State {
    /// Only missing values so far, this many.
    Unknown(usize),
    Boolean(Vec<Option<bool>>),
    Integer(Vec<Option<i64>>),
    Number(Vec<Option<f64>>),
    Timestamp(Vec<Option<i64>>),
    Words(Words),
    Text(Vec<Option<String>>),
    /// The column has to be read again as what is learnt until then.
    Again(Learnt),
}

/// What all cells so far could be.
#[derive(Debug, Clone, Copy)]
struct Learnt {
    boolean: bool,
    integer: bool,
    number: bool,
    timestamp: bool,
    is_text: bool,
}

/// A column that is being read from text.
#[derive(Debug)]
pub(super) struct TextColumn {
    state: State,
    /// Whether words may turn out to be times.
    guesses: bool,
    /// A label or group, whose words are classes however many there are.
    is_pinned: bool,
    /// Rows that were handed on.
    n_taken: usize,
    /// Room for a chunk.
    room: usize,
    /// Bytes of the words of a text column.
    n_text_bytes: usize,
    /// The first row (from 0) and line with an infinite number.
    infinite: Option<(usize, u64)>,
}

/// What a text column turned out to be.
pub(super) enum Finished {
    Values(Values),
    /// The file is to be read again: see [`TextColumn::expected`].
    Again,
    /// A number that is not finite, at this data row (from 0) and line.
    Infinite {
        row: usize,
        line: u64,
    },
}

impl TextColumn {
    pub(super) fn new(expected: Expected) -> Self {
        let state = match expected {
            Expected::Nothing => State::Unknown(0),
            Expected::Boolean => State::Boolean(Vec::new()),
            Expected::Integer => State::Integer(Vec::new()),
            Expected::Number => State::Number(Vec::new()),
            Expected::Timestamp => State::Timestamp(Vec::new()),
            Expected::Words => State::Words(Words::default()),
            Expected::Text => State::Text(Vec::new()),
        };
        let guesses = expected != Expected::Words;
        Self { state, guesses, is_pinned: false, n_taken: 0, room: 0, n_text_bytes: 0, infinite: None }
    }

    /// A column whose words are classes.
    pub(super) fn pinned(self) -> Self {
        Self { is_pinned: true, ..self }
    }

    /// Takes the next cell. `line` is its line in the file.
    pub(super) fn push(&mut self, cell: &[u8], line: u64) {
        if let State::Number(v) = &mut self.state
            && let Some(x) = numbers::short_number(cell)
        {
            return v.push(Some(x));
        }
        let cell = cell.trim_ascii();
        if is_missing(cell) {
            return self.push_missing();
        }
        let fits = match &mut self.state {
            State::Unknown(n) if self.n_taken == 0 => {
                let n = *n;
                self.state = first_state(cell, n);
                return self.push(cell, line);
            }
            State::Unknown(_) => false,
            State::Boolean(v) => boolean(cell).map(|x| v.push(Some(x))).is_some(),
            State::Integer(v) => numbers::integer(cell).map(|x| v.push(Some(x))).is_some(),
            State::Number(_) => self.push_number(cell, line),
            State::Timestamp(v) => timestamp(text_of(cell)).map(|x| v.push(Some(x))).is_some(),
            State::Words(words) => {
                words.push(Some(text_of(cell)));
                true
            }
            State::Text(v) => {
                self.n_text_bytes += cell.len();
                v.push(Some(text_of(cell).to_owned()));
                true
            }
            State::Again(learnt) => {
                learnt.narrow(cell);
                true
            }
        };
        if !fits {
            self.widen(cell, line);
        }
    }

    fn push_number(&mut self, cell: &[u8], line: u64) -> bool {
        let (State::Number(v), Some(x)) = (&mut self.state, numbers::number(cell)) else { return false };
        if x.is_infinite() && self.infinite.is_none() {
            self.infinite = Some((self.n_taken + v.len(), line));
        }
        v.push(x.is_finite().then_some(x));
        true
    }

    fn push_missing(&mut self) {
        match &mut self.state {
            State::Unknown(n) => *n += 1,
            State::Boolean(v) => v.push(None),
            State::Integer(v) | State::Timestamp(v) => v.push(None),
            State::Number(v) => v.push(None),
            State::Words(words) => words.push(None),
            State::Text(v) => v.push(None),
            State::Again(_) => {}
        }
    }

    /// Makes room for a cell that does not fit.
    fn widen(&mut self, cell: &[u8], line: u64) {
        let nothing = Learnt { boolean: false, integer: false, number: false, timestamp: false, is_text: false };
        let learnt = match std::mem::replace(&mut self.state, State::Unknown(0)) {
            State::Integer(v) if self.n_taken == 0 && numbers::number(cell).is_some() => {
                self.state = State::Number(v.into_iter().map(|x| x.map(|x| x as f64)).collect());
                return self.push(cell, line);
            }
            State::Unknown(_) => Learnt { boolean: true, integer: true, number: true, timestamp: true, ..nothing },
            State::Integer(_) => Learnt { number: true, ..nothing },
            _ => nothing,
        };
        self.state = State::Again(learnt);
        self.push(cell, line);
    }

    /// Bytes of what is held and not handed on.
    pub(super) fn n_buffered(&self) -> usize {
        match &self.state {
            State::Boolean(v) => v.len(),
            State::Integer(v) | State::Timestamp(v) => 16 * v.len(),
            State::Number(v) => 16 * v.len(),
            State::Words(words) => 8 * words.len(),
            State::Text(v) => 24 * v.len() + self.n_text_bytes,
            State::Unknown(_) | State::Again(_) => 0,
        }
    }

    /// # Errors
    /// See [`Words::check_levels`].
    pub(super) fn check_levels(&self, column: &str) -> Result<(), IngestError> {
        match &self.state {
            State::Words(words) => words.check_levels(column),
            _ => Ok(()),
        }
    }

    pub(super) fn is_again(&self) -> bool {
        matches!(self.state, State::Again(_))
    }

    /// Hands on the rows since the last time. What the column is stands from then on; only levels are still to come.
    /// The file has so many columns.
    pub(super) fn take_chunk(&mut self, n_columns: usize) -> Values {
        self.settle(n_columns);
        let values = match &mut self.state {
            State::Unknown(n) => Values::Number(vec![None; std::mem::take(n)]),
            State::Boolean(v) => Values::Boolean(take(v, self.room)),
            State::Integer(v) => Values::Integer(take(v, self.room)),
            State::Number(v) => Values::Number(take(v, self.room)),
            State::Timestamp(v) => Values::Timestamp(take(v, self.room)),
            State::Words(words) => words.take_codes(),
            State::Text(v) => Values::Text(take(v, self.room)),
            State::Again(_) => Values::Number(Vec::new()),
        };
        self.n_text_bytes = 0;
        self.n_taken += values.len();
        self.room = values.len();
        values
    }

    /// Decides what words are, before they are handed on for the first time; later, whether they have grown too many.
    fn settle(&mut self, n_columns: usize) {
        let State::Words(words) = &mut self.state else { return };
        if self.n_taken > 0 {
            if words.is_overfull(n_columns) && !self.is_pinned {
                let nothing = Learnt { boolean: false, integer: false, number: false, timestamp: false, is_text: true };
                self.state = State::Again(nothing);
            }
            return;
        }
        let stamps = if self.guesses { words.timestamps() } else { None };
        if let Some(stamps) = stamps {
            self.state = State::Timestamp(stamps);
        } else if !self.is_pinned && (words.is_overfull(n_columns) || words.are_text()) {
            self.state = State::Text(std::mem::take(words).into_text());
        }
    }

    pub(super) fn finish(self) -> Finished {
        Finished::Values(match self.state {
            // Nothing is known of it: a number column that is empty harms no encoder.
            State::Unknown(n) => Values::Number(vec![None; n]),
            State::Boolean(v) => Values::Boolean(v),
            State::Integer(v) => Values::Integer(v),
            State::Timestamp(v) => Values::Timestamp(v),
            State::Number(v) => match self.infinite {
                Some((row, line)) => return Finished::Infinite { row, line },
                None => Values::Number(v),
            },
            State::Words(words) if self.n_taken > 0 => words.into_category(),
            State::Words(words) => match words.timestamps().filter(|_| self.guesses) {
                Some(stamps) => Values::Timestamp(stamps),
                None if self.is_pinned => words.into_category(),
                None => words.finish(),
            },
            State::Text(v) => Values::Text(v),
            State::Again(_) => return Finished::Again,
        })
    }

    /// What is known of the column for another reading of the file.
    pub(super) fn expected(&self) -> Expected {
        match &self.state {
            State::Unknown(_) => Expected::Nothing,
            State::Boolean(_) => Expected::Boolean,
            State::Integer(_) => Expected::Integer,
            State::Number(_) => Expected::Number,
            State::Timestamp(_) => Expected::Timestamp,
            State::Words(_) if self.n_taken == 0 && self.guesses => Expected::Nothing,
            State::Words(_) => Expected::Words,
            State::Text(_) => Expected::Text,
            State::Again(learnt) => learnt.expected(),
        }
    }
}

impl Learnt {
    fn narrow(&mut self, cell: &[u8]) {
        self.boolean = self.boolean && boolean(cell).is_some();
        self.integer = self.integer && numbers::integer(cell).is_some();
        self.number = self.number && numbers::number(cell).is_some();
        self.timestamp = self.timestamp && timestamp(text_of(cell)).is_some();
    }

    fn expected(self) -> Expected {
        match self {
            Learnt { is_text: true, .. } => Expected::Text,
            Learnt { boolean: true, .. } => Expected::Boolean,
            Learnt { integer: true, .. } => Expected::Integer,
            Learnt { number: true, .. } => Expected::Number,
            Learnt { timestamp: true, .. } => Expected::Timestamp,
            _ => Expected::Words,
        }
    }
}

/// The values, with room for as many again.
fn take<T>(values: &mut Vec<T>, room: usize) -> Vec<T> {
    std::mem::replace(values, Vec::with_capacity(room))
}

/// The narrowest column that takes this cell, with `n` missing values before it.
fn first_state(cell: &[u8], n: usize) -> State {
    if boolean(cell).is_some() {
        State::Boolean(vec![None; n])
    } else if numbers::integer(cell).is_some() {
        State::Integer(vec![None; n])
    } else if numbers::number(cell).is_some() {
        State::Number(vec![None; n])
    } else {
        let mut words = Words::default();
        (0..n).for_each(|_| words.push(None));
        State::Words(words)
    }
}

/// A cell of text that was checked as a whole: cells are cut at ASCII bytes, so each is UTF-8 again.
fn text_of(cell: &[u8]) -> &str {
    std::str::from_utf8(cell).unwrap_or_default()
}

/// The marks that stand for a missing value in a text file.
pub(super) fn is_missing(cell: &[u8]) -> bool {
    matches!(cell, b"" | b"?" | b"NA" | b"N/A" | b"nan" | b"NaN" | b"NAN" | b"null" | b"NULL")
}

fn boolean(cell: &[u8]) -> Option<bool> {
    match cell {
        b"true" | b"True" | b"TRUE" => Some(true),
        b"false" | b"False" | b"FALSE" => Some(false),
        _ => None,
    }
}
