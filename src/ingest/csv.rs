//! CSV: a header line, then rows of as many fields. What is not said of delimiter, header and encoding is guessed.

use adaptation::data::Column;
use csv::{ByteRecord, ReaderBuilder};

use super::builder::{Finished, TextColumn};
use super::dialect::{CsvOptions, Delimiter, Dialect, HeaderRow, MissingMarks, Quote, TextEncoding};
use super::error::{IngestError, Place};
use super::options::Limits;
use super::{Parsed, check_names, text};

pub(super) fn read(bytes: &[u8], options: &CsvOptions, limits: &Limits) -> Result<Parsed, IngestError> {
    let decoded = text::decode_as(bytes, options.encoding.map(|e| e.0))?;
    let quote = options.quote.unwrap_or(Quote::DOUBLE);
    let delimiter = options.delimiter.unwrap_or_else(|| guess_delimiter(&decoded.text, quote));
    let mut file =
        File { text: &decoded.text, delimiter, quote, header: options.header, missing: &options.missing, limits };
    let mut first = ByteRecord::new();
    if !file.reader().read_byte_record(&mut first).map_err(unreadable)? {
        return Err(IngestError::Empty { message: "the file is blank; send a header line and rows".into() });
    }
    limits.check_shape(0, first.len())?;
    let mut notes = Vec::from_iter(decoded.note);
    file.header = resolve_header(&first, options.header, &mut notes)?;
    let names = file.names(&first)?;
    let columns = file.columns(names)?;
    let encoding = TextEncoding(decoded.encoding);
    let dialect = Some(Dialect { delimiter, quote, header: file.header, encoding });
    Ok(Parsed { columns, notes, dialect })
}

/// A decoded file and how it is written.
struct File<'a> {
    text: &'a str,
    delimiter: Delimiter,
    quote: Quote,
    header: HeaderRow,
    missing: &'a MissingMarks,
    limits: &'a Limits,
}

impl File<'_> {
    fn reader(&self) -> csv::Reader<&[u8]> {
        let mut builder = ReaderBuilder::new();
        match self.quote.0 {
            Some(quote) => builder.quote(quote),
            None => builder.quoting(false),
        };
        builder.has_headers(false).flexible(true).delimiter(self.delimiter.0).from_reader(self.text.as_bytes())
    }

    fn names(&self, first: &ByteRecord) -> Result<Vec<String>, IngestError> {
        if self.header == HeaderRow::None {
            return Ok((0..first.len()).map(|j| format!("x{j}")).collect());
        }
        let names: Vec<String> = first.iter().map(|name| cell_text(name).trim().to_owned()).collect();
        check_names(names.iter().map(String::as_str), self.limits)?;
        Ok(names)
    }

    fn columns(&self, names: Vec<String>) -> Result<Vec<Column>, IngestError> {
        // Every row ends its line, but for the last. Rows beyond the limits will be refused and need no room.
        let lines = self.text.bytes().filter(|b| *b == b'\n').count() + 1;
        let expected = lines.min(self.limits.rows).min(self.limits.cells / names.len().max(1));
        let mut columns: Vec<TextColumn> = names.iter().map(|_| TextColumn::new(expected)).collect();
        let n_rows = self.each_row(names.len(), |record, line| {
            for (column, cell) in columns.iter_mut().zip(record.iter()) {
                column.push(self.cell(cell), line);
            }
        })?;
        if n_rows == 0 {
            let message = "the file holds a header and no rows; send at least one row below it".into();
            return Err(IngestError::Empty { message });
        }
        let mut finished: Vec<Finished> = columns.into_iter().map(TextColumn::finish).collect();
        self.read_words_again(&mut finished)?;
        names.into_iter().zip(finished).map(|(name, column)| close(name, column)).collect()
    }

    /// The second pass, over the columns in which words came after numbers.
    fn read_words_again(&self, finished: &mut [Finished]) -> Result<(), IngestError> {
        let mut again: Vec<(usize, TextColumn)> = (finished.iter().enumerate())
            .filter(|(_, f)| matches!(f, Finished::ReadAgain))
            .map(|(i, _)| (i, TextColumn::words()))
            .collect();
        if again.is_empty() {
            return Ok(());
        }
        self.each_row(finished.len(), |record, line| {
            for (i, column) in &mut again {
                column.push(record.get(*i).map_or("", |cell| self.cell(cell)), line);
            }
        })?;
        for (i, column) in again {
            finished[i] = column.finish();
        }
        Ok(())
    }

    /// A cell's text, empty where it is one of the client's marks for what is missing.
    fn cell<'c>(&self, cell: &'c [u8]) -> &'c str {
        let text = cell_text(cell);
        if !self.missing.is_empty() && self.missing.contains(text.trim_ascii()) { "" } else { text }
    }

    /// Feeds every row that is as long as the first line, and counts them.
    fn each_row(&self, n_columns: usize, mut take: impl FnMut(&ByteRecord, u64)) -> Result<usize, IngestError> {
        let mut reader = self.reader();
        let mut record = ByteRecord::new();
        let first = if self.header == HeaderRow::None {
            "first row"
        } else {
            reader.read_byte_record(&mut record).map_err(unreadable)?;
            "header"
        };
        let mut row = 0;
        while reader.read_byte_record(&mut record).map_err(unreadable)? {
            row += 1;
            let line = first_line(&record, self.text);
            if record.len() != n_columns {
                let place = Place { row: Some(row as u64), line: Some(line), ..Place::default() };
                let fields = if record.len() == 1 { "field" } else { "fields" };
                let message = format!(
                    "row {row} (line {line}) has {} {fields}, the {first} has {n_columns}; \
                     complete the row, or quote the field that holds a delimiter",
                    record.len()
                );
                return Err(IngestError::invalid_at(place, message));
            }
            self.limits.check_shape(row, n_columns)?;
            take(&record, line);
        }
        Ok(row)
    }
}

/// Whether the first line names columns: it does unless all its cells are numbers.
///
/// # Errors
/// Numbers that count from 0, as tools write them over columns without names: they may be names or values.
fn resolve_header(first: &ByteRecord, said: HeaderRow, notes: &mut Vec<String>) -> Result<HeaderRow, IngestError> {
    let is_number = |cell: &[u8]| cell_text(cell).trim().parse::<f64>().is_ok_and(f64::is_finite);
    match said {
        HeaderRow::Auto if first.iter().all(is_number) => {}
        HeaderRow::Auto => return Ok(HeaderRow::Present),
        said => return Ok(said),
    }
    if first.len() > 1 && first.iter().enumerate().all(|(j, cell)| cell_text(cell).trim() == j.to_string()) {
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
        // A column of words takes every cell.
        Finished::ReadAgain => Err(IngestError::invalid_at(Place::column(&name), "the column cannot be read")),
    }
}

/// The line on which a record starts: its position is before the blank lines that were skipped to reach it.
fn first_line(record: &ByteRecord, text: &str) -> u64 {
    let Some(position) = record.position() else { return 0 };
    let before = text.as_bytes().iter().skip(position.byte() as usize);
    let skipped = before.take_while(|b| matches!(b, b'\n' | b'\r')).filter(|b| **b == b'\n').count();
    position.line() + skipped as u64
}

/// A field of text that was decoded as a whole: fields are cut at ASCII bytes, so each is UTF-8 again.
fn cell_text(cell: &[u8]) -> &str {
    std::str::from_utf8(cell).unwrap_or_default()
}

/// The most frequent of `, ; tab |` outside quotes in the first line that is not blank; the comma if there is none.
fn guess_delimiter(text: &str, quote: Quote) -> Delimiter {
    let header = text.trim_start_matches(['\r', '\n']).bytes();
    let mut quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
    for byte in header.take_while(|b| !matches!(b, b'\n' | b'\r')) {
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

fn unreadable(error: csv::Error) -> IngestError {
    let line = error.position().map(csv::Position::line);
    IngestError::invalid_at(Place { line, ..Place::default() }, format!("the CSV cannot be read: {error}"))
}
