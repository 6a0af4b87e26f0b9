//! The typed columns that JSON rows are put into.

use std::collections::HashMap;

use adaptation::data::{Column, Values};
use serde::de;

use crate::ingest::error::{IngestError, Place, shorten};
use crate::ingest::options::{Limits, Options};
use crate::ingest::output::Output;
use crate::ingest::words::{Words, timestamp};
use crate::ingest::{Parsed, check_names};

/// Cells of a table that need no value each, and how many may stand for one value beyond them.
const FREE_CELLS: usize = 4 << 20;
const CELLS_A_VALUE: usize = 64;

/// The table so far.
pub(super) struct Rows<'a> {
    pub(super) limits: &'a Limits,
    options: &'a Options,
    /// Each at most as long as the rows that are kept; what is not there is missing.
    pub(super) columns: Vec<(String, Cells)>,
    index: HashMap<String, usize>,
    /// The names of `{"columns": …, "data": …}`, which may stand after the data.
    pub(super) names: Option<Vec<String>>,
    pub(super) n_rows: usize,
    /// Values and nulls that were given so far.
    n_given: usize,
    /// Rows that were handed on.
    n_taken: usize,
    /// Whether a column is not what it was taken for when rows were handed on.
    is_again: bool,
    /// The error that stopped the parser: serde carries only text.
    pub(super) problem: Option<IngestError>,
}

/// What an earlier reading found: each column's name, and cells of its kind.
pub(super) type Learnt = Vec<(String, Cells)>;

impl<'a> Rows<'a> {
    pub(super) fn new(options: &'a Options, learnt: Learnt) -> Self {
        let index = learnt.iter().enumerate().map(|(i, (name, _))| (name.clone(), i)).collect();
        Self {
            limits: &options.limits,
            options,
            columns: learnt,
            index,
            names: None,
            n_rows: 0,
            n_given: 0,
            n_taken: 0,
            is_again: false,
            problem: None,
        }
    }

    pub(super) fn stop<E: de::Error>(&mut self, problem: IngestError) -> E {
        let error = E::custom(&problem);
        self.problem = Some(problem);
        error
    }

    pub(super) fn column_at(&mut self, name: &str) -> Result<usize, IngestError> {
        if let Some(i) = self.index.get(name) {
            return Ok(*i);
        }
        self.limits.check_shape(0, self.columns.len() + 1)?;
        // The rows that were handed on have no place for it.
        self.is_again |= self.n_taken > 0;
        self.index.insert(name.to_owned(), self.columns.len());
        self.columns.push((name.to_owned(), Cells::Unknown));
        Ok(self.columns.len() - 1)
    }

    /// Puts a cell of the row being read, which is row `n_rows`.
    pub(super) fn put(
        &mut self,
        column: usize,
        cell: Cell<'_>,
        pointer: impl Fn() -> String,
    ) -> Result<(), IngestError> {
        let row = self.n_rows;
        self.n_given += 1;
        let (name, cells) = &mut self.columns[column];
        let outcome = cells.put(row - self.n_taken, cell).map_err(|reason| {
            let place = Place { pointer: Some(pointer()), ..Place::cell(row + 1, name) };
            IngestError::invalid_at(place, format!("{}: {reason}", pointer()))
        })?;
        self.is_again |= outcome == Put::Changed && self.n_taken > 0;
        Ok(())
    }

    /// Hands a chunk on where enough is buffered. Once a column is not what it was taken for, rows are only learnt from.
    pub(super) fn hand_on(&mut self, out: &mut Output) -> Result<(), IngestError> {
        let n = self.n_rows - self.n_taken;
        let n_bytes = self.columns.iter().map(|(_, cells)| cells.n_buffered(n)).sum();
        if !out.wants(n_bytes, self.columns.len()) {
            return Ok(());
        }
        let (is_first, n_columns) = (self.n_taken == 0, self.columns.len());
        let mut chunk = Vec::with_capacity(self.columns.len());
        for (name, cells) in &mut self.columns {
            let is_pinned = self.options.is_pinned(name);
            self.is_again |= cells.settle((n, n_columns), is_first, is_pinned) == Put::Changed && !is_first;
            if let Cells::OtherWords(words) = cells {
                words.check_levels(name)?;
            }
            chunk.push(Column { name: name.clone(), values: cells.take(n) });
        }
        self.n_taken = self.n_rows;
        if self.is_again {
            return Ok(());
        }
        check_names(chunk.iter().map(|c| c.name.as_str()), self.limits)?;
        out.flush(&chunk)
    }

    /// What was learnt of the columns, if everything is to be read again with it.
    pub(super) fn learnt(&mut self) -> Option<Learnt> {
        let again = std::mem::take(&mut self.is_again);
        again.then(|| {
            std::mem::take(&mut self.columns).into_iter().map(|(name, cells)| (name, cells.emptied())).collect()
        })
    }

    pub(super) fn end_row(&mut self) -> Result<(), IngestError> {
        self.n_rows += 1;
        // Rows that each name other columns would make a table of a size that is the square of theirs.
        let n_cells = self.n_rows.saturating_mul(self.columns.len());
        if n_cells > FREE_CELLS.saturating_add(self.n_given.saturating_mul(CELLS_A_VALUE)) {
            let message = format!(
                "the rows name {} columns, and hold values in fewer than one of {CELLS_A_VALUE} cells; send them as \
                 svmlight, or name what is missing",
                self.columns.len()
            );
            return Err(IngestError::TooLarge { message });
        }
        self.limits.check_shape(self.n_rows, self.columns.len())
    }

    pub(super) fn finish(mut self) -> Result<Parsed, IngestError> {
        if self.n_rows == 0 {
            return Err(IngestError::Empty { message: "the JSON holds no rows; send at least one".into() });
        }
        if let Some(names) = self.names.take() {
            check_names(names.iter().map(String::as_str), self.limits)?;
            for (column, name) in self.columns.iter_mut().zip(names) {
                column.0 = name;
            }
        }
        if self.columns.is_empty() {
            return Err(IngestError::Empty { message: "the JSON rows hold no values; name each value".into() });
        }
        let (n, was_taken) = (self.n_rows - self.n_taken, self.n_taken > 0);
        let columns = self.columns.into_iter().map(|(name, cells)| {
            let as_codes = was_taken || self.options.is_pinned(&name);
            Column { name, values: cells.finish(n, as_codes) }
        });
        Ok(Parsed::new(columns.collect()))
    }
}

/// One value.
pub(super) enum Cell<'a> {
    Missing,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Word(&'a str),
}

/// Whether a column is of the kind that it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    Same,
    Changed,
}

/// The values of one column so far; its type is that of its first value, and integers widen to numbers.
#[derive(Debug)]
pub(super) enum Cells {
    Unknown,
    Boolean(Vec<Option<bool>>),
    Integer(Vec<Option<i64>>),
    Number(Vec<Option<f64>>),
    /// Words of a first chunk in which every word was a time.
    Timestamp(Vec<Option<i64>>),
    Words(Words),
    /// Words that are not all times.
    OtherWords(Words),
    /// Words of which no dictionary is kept, and their bytes.
    Text(Vec<Option<String>>, usize),
}

impl Cells {
    /// Puts a value in row `row` of those that are kept.
    fn put(&mut self, row: usize, cell: Cell<'_>) -> Result<Put, String> {
        let mut outcome = Put::Same;
        if matches!(self, Cells::Unknown) {
            *self = match cell {
                Cell::Missing => return Ok(outcome),
                Cell::Boolean(_) => Cells::Boolean(Vec::new()),
                Cell::Integer(_) => Cells::Integer(Vec::new()),
                Cell::Number(_) => Cells::Number(Vec::new()),
                Cell::Word(_) => Cells::Words(Words::default()),
            };
            outcome = Put::Changed;
        }
        if let (Cells::Integer(v), Cell::Number(_)) = (&mut *self, &cell) {
            *self = Cells::Number(v.iter().map(|x| x.map(|x| x as f64)).collect());
            outcome = Put::Changed;
        }
        match (&mut *self, cell) {
            (_, Cell::Missing) => {}
            (Cells::Boolean(v), Cell::Boolean(x)) => put(v, row, x),
            (Cells::Integer(v), Cell::Integer(x)) => put(v, row, x),
            (Cells::Number(v), Cell::Integer(x)) => put(v, row, x as f64),
            (Cells::Number(v), Cell::Number(x)) => put(v, row, x),
            (Cells::Words(words) | Cells::OtherWords(words), Cell::Word(x)) => {
                pad_words(words, row);
                words.push(Some(x));
            }
            (Cells::Text(v, n_bytes), Cell::Word(x)) => {
                *n_bytes += x.len();
                put(v, row, x.to_owned());
            }
            (Cells::Timestamp(v), Cell::Word(x)) => match timestamp(x) {
                Some(stamp) => put(v, row, stamp),
                None => {
                    *self = Cells::OtherWords(Words::default());
                    outcome = Put::Changed;
                }
            },
            (cells, cell) => {
                return Err(format!("expected {} as in the rows before, got {}", cells.describe(), cell.describe()));
            }
        }
        Ok(outcome)
    }

    /// Bytes of what is kept of `n` rows.
    fn n_buffered(&self, n: usize) -> usize {
        match self {
            Cells::Unknown => 0,
            Cells::Boolean(_) => n,
            Cells::Integer(_) | Cells::Number(_) | Cells::Timestamp(_) => 16 * n,
            Cells::Words(_) | Cells::OtherWords(_) => 8 * n,
            Cells::Text(_, n_bytes) => 24 * n + n_bytes,
        }
    }

    /// Decides what words are, before they are handed on for the first time; later, whether they have grown too many.
    fn settle(&mut self, (n, n_columns): (usize, usize), is_first: bool, is_pinned: bool) -> Put {
        let (words, guesses) = match self {
            Cells::Words(words) => (words, true),
            Cells::OtherWords(words) => (words, false),
            _ => return Put::Same,
        };
        pad_words(words, n);
        let stamps = if guesses && is_first { words.timestamps() } else { None };
        if let Some(stamps) = stamps {
            *self = Cells::Timestamp(stamps);
        } else if !is_pinned && (words.is_overfull(n_columns) || is_first && words.are_text()) {
            *self = Cells::Text(std::mem::take(words).into_text(), 0);
        } else {
            *self = Cells::OtherWords(std::mem::take(words));
            return Put::Same;
        }
        Put::Changed
    }

    /// The values of `n` rows, which are handed on. Only levels are still to come.
    fn take(&mut self, n: usize) -> Values {
        match self {
            Cells::Unknown => Values::Number(vec![None; n]),
            Cells::Boolean(v) => Values::Boolean(padded(std::mem::take(v), n)),
            Cells::Integer(v) => Values::Integer(padded(std::mem::take(v), n)),
            Cells::Number(v) => Values::Number(padded(std::mem::take(v), n)),
            Cells::Timestamp(v) => Values::Timestamp(padded(std::mem::take(v), n)),
            Cells::Words(words) | Cells::OtherWords(words) => words.take_codes(),
            Cells::Text(v, n_bytes) => {
                *n_bytes = 0;
                Values::Text(padded(std::mem::take(v), n))
            }
        }
    }

    /// Of the same kind, without values.
    fn emptied(self) -> Self {
        match self {
            Cells::Unknown => Cells::Unknown,
            Cells::Boolean(_) => Cells::Boolean(Vec::new()),
            Cells::Integer(_) => Cells::Integer(Vec::new()),
            Cells::Number(_) => Cells::Number(Vec::new()),
            Cells::Timestamp(_) => Cells::Timestamp(Vec::new()),
            Cells::Words(_) => Cells::Words(Words::default()),
            Cells::OtherWords(_) => Cells::OtherWords(Words::default()),
            Cells::Text(..) => Cells::Text(Vec::new(), 0),
        }
    }

    fn describe(&self) -> &'static str {
        match self {
            Cells::Unknown => "any value",
            Cells::Boolean(_) => "a boolean",
            Cells::Integer(_) | Cells::Number(_) => "a number",
            Cells::Timestamp(_) | Cells::Words(_) | Cells::OtherWords(_) | Cells::Text(..) => "a string",
        }
    }

    /// The values of the last `n` rows. Words stay codes if they must, else they are what they seem to be.
    fn finish(mut self, n: usize, as_codes: bool) -> Values {
        if let Cells::Words(words) | Cells::OtherWords(words) = &mut self {
            pad_words(words, n);
        }
        match self {
            Cells::Words(words) => match words.timestamps() {
                Some(stamps) => Values::Timestamp(stamps),
                None if as_codes => words.into_category(),
                None => words.finish(),
            },
            Cells::OtherWords(words) if as_codes => words.into_category(),
            Cells::OtherWords(words) => words.finish(),
            mut other => other.take(n),
        }
    }
}

/// A repeated key is caught before this; so `row` is never before the end.
fn put<T: Clone>(values: &mut Vec<Option<T>>, row: usize, value: T) {
    values.resize(row, None);
    values.push(Some(value));
}

fn padded<T: Clone>(mut values: Vec<Option<T>>, n: usize) -> Vec<Option<T>> {
    values.resize(n, None);
    values
}

fn pad_words(words: &mut Words, n: usize) {
    while words.len() < n {
        words.push(None);
    }
}

impl Cell<'_> {
    fn describe(&self) -> String {
        match self {
            Cell::Missing => "null".into(),
            Cell::Boolean(x) => x.to_string(),
            Cell::Integer(x) => x.to_string(),
            Cell::Number(x) => x.to_string(),
            Cell::Word(x) => format!("{:?}", shorten(x)),
        }
    }
}
