//! svmlight and libsvm text: `label [qid:n] index:value … [# comment]`, one row a line, zeros left out.
//!
//! A column is called by its index as it is written (`x7`), so that files that count from 0 and from 1 need no guess.
//! Columns stay sparse. A line without a label is a row without one; labels are numbers.

use adaptation::data::{Column, Values};

use super::builder::{Expected, Finished, TextColumn};
use super::error::{IngestError, Place, shorten};
use super::options::Limits;
use super::{Parsed, text};

/// The entries so far of one column.
#[derive(Default)]
struct Entries {
    rows: Vec<u32>,
    values: Vec<f64>,
}

/// What the lines that were read hold.
struct Reader<'a> {
    limits: &'a Limits,
    columns: Vec<Entries>,
    labels: TextColumn,
    /// Rows with a label.
    n_labelled: usize,
    n_rows: usize,
    /// Each takes memory, whatever the shape of the table.
    n_entries: usize,
    /// Of all rows; `None` as long as no entry was read.
    least_index: Option<usize>,
    n_queries: usize,
}

pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Parsed, IngestError> {
    let text = text::decode(bytes)?;
    let mut reader = Reader {
        limits,
        columns: Vec::new(),
        labels: TextColumn::new(Expected::Nothing),
        n_labelled: 0,
        n_rows: 0,
        n_entries: 0,
        least_index: None,
        n_queries: 0,
    };
    for (i, line) in text.lines().enumerate() {
        let content = line.split('#').next().unwrap_or_default().trim();
        if !content.is_empty() {
            reader.take(content, i as u64 + 1)?;
        }
    }
    reader.finish()
}

impl Reader<'_> {
    fn take(&mut self, content: &str, line: u64) -> Result<(), IngestError> {
        let row = self.n_rows;
        self.n_rows += 1;
        self.limits.check_shape(self.n_rows, self.columns.len())?;
        let mut words = content.split_ascii_whitespace().peekable();
        self.take_label(words.next_if(|w| !w.contains(':')).unwrap_or_default(), line)?;
        let mut last = None;
        for word in words {
            let Some((index, value)) = word.split_once(':') else {
                return Err(self.refuse(line, None, format!("{:?} is not index:value", shorten(word))));
            };
            if index == "qid" {
                self.n_queries += 1;
                continue;
            }
            let index = self.index(index, line)?;
            if last.is_some_and(|last| index <= last) {
                let message = format!("index {index} comes after {}; sort the indices", last.unwrap_or_default());
                return Err(self.refuse(line, Some(index), message));
            }
            last = Some(index);
            let number = value.parse::<f64>().ok().filter(|v| v.is_finite()).ok_or_else(|| {
                self.refuse(line, Some(index), format!("{:?} is not a finite number", shorten(value)))
            })?;
            self.enter(row, index, number)?;
        }
        Ok(())
    }

    fn take_label(&mut self, word: &str, line: u64) -> Result<(), IngestError> {
        if !word.is_empty() {
            if word.parse::<f64>().ok().is_none_or(|v| !v.is_finite()) {
                let message = format!("the label {:?} is not one number; one label a row is read", shorten(word));
                return Err(self.refuse(line, None, message));
            }
            self.n_labelled += 1;
        }
        self.labels.push(word.as_bytes(), line);
        Ok(())
    }

    fn index(&self, word: &str, line: u64) -> Result<usize, IngestError> {
        let index: usize = word.parse().map_err(|_| {
            self.refuse(line, None, format!("{:?} is not an index; indices are whole numbers from 0", shorten(word)))
        })?;
        // Indices name columns, so that one beyond the limit would make too many.
        if index > self.limits.columns {
            return Err(IngestError::TooManyColumns { found: index, limit: self.limits.columns });
        }
        Ok(index)
    }

    fn enter(&mut self, row: usize, index: usize, value: f64) -> Result<(), IngestError> {
        self.least_index = Some(self.least_index.map_or(index, |least| least.min(index)));
        if self.columns.len() <= index {
            self.columns.resize_with(index + 1, Entries::default);
        }
        if value == 0.0 {
            return Ok(());
        }
        self.n_entries += 1;
        if self.n_entries > self.limits.cells {
            let message = format!("more than {} values; send fewer rows", self.limits.cells);
            return Err(IngestError::TooLarge { message });
        }
        let entries = &mut self.columns[index];
        entries.rows.push(row as u32);
        entries.values.push(value);
        Ok(())
    }

    /// The line and row that are being read, and the column where one is known.
    fn refuse(&self, line: u64, index: Option<usize>, message: String) -> IngestError {
        let place = Place {
            row: Some(self.n_rows as u64),
            line: Some(line),
            column: index.map(|i| format!("x{i}")),
            ..Place::default()
        };
        IngestError::invalid_at(place, format!("line {line}: {message}"))
    }

    fn finish(self) -> Result<Parsed, IngestError> {
        let Some(least) = self.least_index else {
            let message = "no line holds index:value; send rows as label index:value …".to_owned();
            return Err(IngestError::Empty { message });
        };
        let first = least.min(1);
        let n_rows = self.n_rows;
        let last = self.columns.len() - 1;
        let mut notes = vec![format!("columns x{first} to x{last} by their indices; what a row does not name is 0")];
        if self.n_queries > 0 {
            notes.push(format!("the qid of {} rows was skipped: queries are not read", self.n_queries));
        }
        let sparse = |(i, e): (usize, Entries)| Column {
            name: format!("x{i}"),
            values: Values::Sparse { rows: e.rows, values: e.values, n_rows },
        };
        let mut columns: Vec<Column> = self.columns.into_iter().enumerate().skip(first).map(sparse).collect();
        if self.n_labelled > 0 {
            // Every label was a finite number, so that the column is one of numbers.
            if let Finished::Values(values) = self.labels.finish() {
                columns.push(Column { name: "label".into(), values });
            }
        }
        Ok(Parsed { notes, ..Parsed::new(columns) })
    }
}
