//! The typed columns that JSON rows are put into.

use std::collections::HashMap;

use adaptation::data::{Column, Values};
use serde::de;

use crate::ingest::builder::Words;
use crate::ingest::error::{IngestError, Place, shorten};
use crate::ingest::options::Limits;
use crate::ingest::{Parsed, check_names};

/// The table so far.
pub(super) struct Rows<'a> {
    pub(super) limits: &'a Limits,
    /// Each at most `n_rows` long; what is not there is missing.
    pub(super) columns: Vec<(String, Cells)>,
    index: HashMap<String, usize>,
    /// The names of `{"columns": …, "data": …}`, which may stand after the data.
    pub(super) names: Option<Vec<String>>,
    pub(super) n_rows: usize,
    /// The error that stopped the parser: serde carries only text.
    pub(super) problem: Option<IngestError>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(limits: &'a Limits) -> Self {
        Self { limits, columns: Vec::new(), index: HashMap::new(), names: None, n_rows: 0, problem: None }
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
        let (name, cells) = &mut self.columns[column];
        cells.put(row, cell).map_err(|reason| {
            let place = Place { pointer: Some(pointer()), ..Place::cell(row + 1, name) };
            IngestError::invalid_at(place, format!("{}: {reason}", pointer()))
        })
    }

    pub(super) fn end_row(&mut self) -> Result<(), IngestError> {
        self.n_rows += 1;
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
        let n = self.n_rows;
        let columns = self.columns.into_iter().map(|(name, cells)| Column { name, values: cells.finish(n) });
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

/// The values of one column so far; its type is that of its first value, and integers widen to numbers.
pub(super) enum Cells {
    Unknown,
    Boolean(Vec<Option<bool>>),
    Integer(Vec<Option<i64>>),
    Number(Vec<Option<f64>>),
    Words(Words),
}

impl Cells {
    fn put(&mut self, row: usize, cell: Cell<'_>) -> Result<(), String> {
        if matches!(self, Cells::Unknown) {
            *self = match cell {
                Cell::Missing => return Ok(()),
                Cell::Boolean(_) => Cells::Boolean(Vec::new()),
                Cell::Integer(_) => Cells::Integer(Vec::new()),
                Cell::Number(_) => Cells::Number(Vec::new()),
                Cell::Word(_) => Cells::Words(Words::default()),
            };
        }
        if let (Cells::Integer(v), Cell::Number(_)) = (&mut *self, &cell) {
            *self = Cells::Number(v.iter().map(|x| x.map(|x| x as f64)).collect());
        }
        match (&mut *self, cell) {
            (_, Cell::Missing) => {}
            (Cells::Boolean(v), Cell::Boolean(x)) => put(v, row, x),
            (Cells::Integer(v), Cell::Integer(x)) => put(v, row, x),
            (Cells::Number(v), Cell::Integer(x)) => put(v, row, x as f64),
            (Cells::Number(v), Cell::Number(x)) => put(v, row, x),
            (Cells::Words(words), Cell::Word(x)) => {
                pad_words(words, row);
                words.push(Some(x));
            }
            (cells, cell) => {
                return Err(format!("expected {} as in the rows before, got {}", cells.describe(), cell.describe()));
            }
        }
        Ok(())
    }

    fn describe(&self) -> &'static str {
        match self {
            Cells::Unknown => "any value",
            Cells::Boolean(_) => "a boolean",
            Cells::Integer(_) | Cells::Number(_) => "a number",
            Cells::Words(_) => "a string",
        }
    }

    fn finish(self, n: usize) -> Values {
        match self {
            Cells::Unknown => Values::Number(vec![None; n]),
            Cells::Boolean(v) => Values::Boolean(padded(v, n)),
            Cells::Integer(v) => Values::Integer(padded(v, n)),
            Cells::Number(v) => Values::Number(padded(v, n)),
            Cells::Words(mut words) => {
                pad_words(&mut words, n);
                words.finish_guessing()
            }
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
