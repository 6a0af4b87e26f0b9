//! CSV: a header line, then rows of as many fields. What is not said of delimiter, header and encoding is guessed.
//!
//! The file is read once, in blocks; a type or an encoding that the first part of it misled to makes a second reading.

use adaptation::data::Column;
use encoding_rs::{Encoding, WINDOWS_1252};

use super::builder::{Expected, Finished, TextColumn};
use super::dialect::{CsvOptions, Delimiter, Dialect, HeaderRow, MissingMarks, Quote, TextEncoding};
use super::error::{IngestError, Place};
use super::options::{Limits, Options};
use super::output::Output;
use super::source::Source;
use super::{Parsed, check_names, numbers};

use records::{Next, Records};

mod records;

/// Readings of a file: each that begins again knows more of its columns.
const MOST_READINGS: usize = 5;
/// Rows between two looks at how much is buffered.
const ROWS_A_LOOK: usize = 64;

/// How a file is written, as far as it is known.
struct File<'a> {
    said: &'a CsvOptions,
    options: &'a Options,
    encoding: Option<&'static Encoding>,
    expected: Vec<Expected>,
    notes: Vec<String>,
}

enum Reading {
    Done(Parsed),
    /// With what was learnt of the columns.
    Again(Vec<Expected>),
    NotUtf8 {
        byte: u64,
        line: u64,
    },
}

pub(super) fn read(
    source: &Source,
    said: &CsvOptions,
    options: &Options,
    out: &mut Output,
) -> Result<Parsed, IngestError> {
    let encoding = said.encoding.map(|e| e.0);
    let mut file = File { said, options, encoding, expected: Vec::new(), notes: Vec::new() };
    for _ in 0..MOST_READINGS {
        out.restart()?;
        match file.read(source, out)? {
            Reading::Done(parsed) => {
                let notes = file.notes.into_iter().chain(parsed.notes).collect();
                return Ok(Parsed { notes, ..parsed });
            }
            Reading::Again(expected) => file.expected = expected,
            Reading::NotUtf8 { byte, line } => {
                file.encoding = Some(WINDOWS_1252);
                file.notes.push(format!(
                    "byte {byte} (line {line}) is not UTF-8: read as windows-1252; say encoding= if it is another"
                ));
            }
        }
    }
    Err(IngestError::invalid("the columns change their types too often; send Parquet, which names them"))
}

impl File<'_> {
    fn limits(&self) -> &Limits {
        &self.options.limits
    }

    fn read(&self, source: &Source, out: &mut Output) -> Result<Reading, IngestError> {
        let quote = self.said.quote.unwrap_or(Quote::DOUBLE);
        let mut records = Records::open(source, self.encoding, quote)?;
        let delimiter = match self.said.delimiter {
            Some(delimiter) => delimiter,
            None => guess_delimiter(records.first_line()?, quote),
        };
        records.set_delimiter(delimiter);
        match records.next()? {
            Next::Record { .. } => {}
            Next::End => {
                return Err(IngestError::Empty { message: "the file is blank; send a header line and rows".into() });
            }
            Next::NotUtf8 { byte, line } => return Ok(Reading::NotUtf8 { byte, line }),
        }
        self.limits().check_shape(0, records.n_cells())?;
        let mut notes = Vec::new();
        let first: Vec<String> = records.cells().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect();
        let header = resolve_header(&first, self.said.header, &mut notes)?;
        let names = self.names(&first, header)?;
        let is_row = header == HeaderRow::None;
        let mut rows = Rows::of(self, names, is_row);
        if is_row {
            rows.take(&records, out)?;
        }
        loop {
            match records.next()? {
                Next::Record { line } => {
                    rows.line = line;
                    rows.take(&records, out)?;
                }
                Next::End => break,
                Next::NotUtf8 { byte, line } => return Ok(Reading::NotUtf8 { byte, line }),
            }
        }
        let encoding = TextEncoding(records.encoding());
        rows.finish(notes, Dialect { delimiter, quote, header, encoding })
    }

    fn names(&self, first: &[String], header: HeaderRow) -> Result<Vec<String>, IngestError> {
        if header == HeaderRow::None {
            return Ok((0..first.len()).map(|j| format!("x{j}")).collect());
        }
        let names: Vec<String> = first.iter().map(|name| name.trim().to_owned()).collect();
        check_names(names.iter().map(String::as_str), self.limits())?;
        Ok(names)
    }
}

/// The columns as rows arrive.
struct Rows<'a> {
    limits: &'a Limits,
    missing: &'a MissingMarks,
    names: Vec<String>,
    columns: Vec<TextColumn>,
    /// Whether the first line is a row.
    is_headless: bool,
    n_rows: usize,
    /// On which the row that is taken starts.
    line: u64,
    /// Whether no type was found wrong yet; afterwards rows are only learnt from.
    is_good: bool,
}

impl<'a> Rows<'a> {
    fn of(file: &'a File<'_>, names: Vec<String>, is_headless: bool) -> Self {
        let column = |(j, name): (usize, &String)| {
            let column = TextColumn::new(file.expected.get(j).copied().unwrap_or(Expected::Nothing));
            if file.options.is_pinned(name) { column.pinned() } else { column }
        };
        let columns = names.iter().enumerate().map(column).collect();
        let (limits, missing) = (&file.options.limits, &file.said.missing);
        Self { limits, missing, names, columns, is_headless, n_rows: 0, line: 1, is_good: true }
    }

    fn take(&mut self, records: &Records<'_>, out: &mut Output) -> Result<(), IngestError> {
        self.n_rows += 1;
        if records.n_cells() != self.columns.len() {
            return Err(self.odd_length(records.n_cells()));
        }
        self.limits.check_shape(self.n_rows, self.columns.len())?;
        let line = self.line;
        if self.missing.is_empty() {
            self.columns.iter_mut().zip(records.cells()).for_each(|(column, cell)| column.push(cell, line));
        } else {
            for (column, cell) in self.columns.iter_mut().zip(records.cells()) {
                column.push(if is_mark(self.missing, cell) { b"" } else { cell }, line);
            }
        }
        if self.n_rows.is_multiple_of(ROWS_A_LOOK) {
            self.hand_on(out)?;
        }
        Ok(())
    }

    fn odd_length(&self, found: usize) -> IngestError {
        let (row, line, expected) = (self.n_rows, self.line, self.columns.len());
        let place = Place { row: Some(row as u64), line: Some(line), ..Place::default() };
        let fields = if found == 1 { "field" } else { "fields" };
        let first = if self.is_headless { "first row" } else { "header" };
        let message = format!(
            "row {row} (line {line}) has {found} {fields}, the {first} has {expected}; \
             complete the row, or quote the field that holds a delimiter"
        );
        IngestError::invalid_at(place, message)
    }

    /// Hands a chunk on where enough is buffered.
    fn hand_on(&mut self, out: &mut Output) -> Result<(), IngestError> {
        let n_bytes = self.columns.iter().map(TextColumn::n_buffered).sum();
        if !out.wants(n_bytes, self.columns.len()) {
            return Ok(());
        }
        let values: Vec<_> = self.columns.iter_mut().map(|column| column.take_chunk(self.names.len())).collect();
        self.columns.iter().zip(&self.names).try_for_each(|(column, name)| column.check_levels(name))?;
        self.is_good = self.is_good && !self.columns.iter().any(TextColumn::is_again);
        if !self.is_good {
            return Ok(());
        }
        let chunk = self.names.iter().cloned().zip(values).map(|(name, values)| Column { name, values });
        out.flush(&chunk.collect::<Vec<_>>())
    }

    fn finish(self, notes: Vec<String>, dialect: Dialect) -> Result<Reading, IngestError> {
        if self.n_rows == 0 {
            let message = "the file holds a header and no rows; send at least one row below it".into();
            return Err(IngestError::Empty { message });
        }
        if self.columns.iter().any(TextColumn::is_again) {
            return Ok(Reading::Again(self.columns.iter().map(TextColumn::expected).collect()));
        }
        let columns = self.names.into_iter().zip(self.columns).map(|(name, column)| close(name, column.finish()));
        let columns = columns.collect::<Result<_, _>>()?;
        Ok(Reading::Done(Parsed { columns, notes, dialect: Some(dialect) }))
    }
}

fn is_mark(marks: &MissingMarks, cell: &[u8]) -> bool {
    std::str::from_utf8(cell.trim_ascii()).is_ok_and(|cell| marks.contains(cell))
}

/// Whether the first line names columns: it does unless all its cells are numbers.
///
/// # Errors
/// Numbers that count from 0, as tools write them over columns without names: they may be names or values.
fn resolve_header(first: &[String], said: HeaderRow, notes: &mut Vec<String>) -> Result<HeaderRow, IngestError> {
    let is_number = |cell: &String| numbers::number(cell.trim().as_bytes()).is_some_and(f64::is_finite);
    match said {
        HeaderRow::Auto if first.iter().all(is_number) => {}
        HeaderRow::Auto => return Ok(HeaderRow::Present),
        said => return Ok(said),
    }
    if first.len() > 1 && first.iter().enumerate().all(|(j, cell)| cell.trim() == j.to_string()) {
        let message = "the first line counts 0, 1 …, which may name the columns or be a row; say header=present or \
                       header=none";
        return Err(IngestError::invalid_at(Place { line: Some(1), ..Place::default() }, message));
    }
    notes.push("the first line holds only numbers: read as a row, and columns are called x0 …; say header=present if it names them".into());
    Ok(HeaderRow::None)
}

fn close(name: String, column: Finished) -> Result<Column, IngestError> {
    match column {
        Finished::Values(values) => Ok(Column { name, values }),
        Finished::Infinite { row, line } => {
            let row = row + 1;
            let place = Place { line: Some(line), ..Place::cell(row, &name) };
            let message = format!(
                "row {row} (line {line}), column {name:?}: a number must be finite; leave the cell empty if it is missing"
            );
            Err(IngestError::invalid_at(place, message))
        }
        // Was asked for before.
        Finished::Again => Err(IngestError::invalid_at(Place::column(&name), "the column cannot be read")),
    }
}

/// The most frequent of `, ; tab |` outside quotes in the first line that is not blank; the comma if there is none.
fn guess_delimiter(first_line: &[u8], quote: Quote) -> Delimiter {
    let mut quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
    for byte in first_line.iter().copied() {
        match byte {
            byte if Some(byte) == quote.0 => quoted = !quoted,
            _ if quoted => {}
            _ => counts.iter_mut().filter(|(d, _)| *d == byte).for_each(|(_, n)| *n += 1),
        }
    }
    // The first of the largest: the comma wins a tie.
    let others = counts.iter().rev().filter(|(d, _)| Some(*d) != quote.0);
    Delimiter(others.max_by_key(|(_, n)| *n).map_or(b',', |(d, _)| *d))
}
