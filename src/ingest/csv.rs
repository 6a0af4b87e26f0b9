//! CSV: a header line, then rows of as many fields. The delimiter is guessed from the header.

use adaptation::data::Column;
use csv::{ByteRecord, ReaderBuilder};

use super::builder::{Finished, TextColumn};
use super::error::{IngestError, Place, shorten};
use super::options::Limits;
use super::{Parsed, check_names, text};

pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Parsed, IngestError> {
    let text = text::decode(bytes)?;
    let delimiter = guess_delimiter(&text);
    let mut header = ByteRecord::new();
    let mut reader = reader(&text, delimiter);
    let found = reader.read_byte_record(&mut header).map_err(unreadable)?;
    if !found {
        return Err(IngestError::Empty { message: "the file is blank; send a header line and rows".into() });
    }
    let names = header_names(&header, limits)?;
    // Every row ends its line, but for the last. Rows beyond the limits will be refused and need no room.
    let lines = text.bytes().filter(|b| *b == b'\n').count();
    let expected = lines.min(limits.rows).min(limits.cells / names.len().max(1));
    let mut columns: Vec<TextColumn> = names.iter().map(|_| TextColumn::new(expected)).collect();
    let n_rows = read_rows(&mut reader, &text, names.len(), limits, |record, line| {
        for (column, cell) in columns.iter_mut().zip(record.iter()) {
            column.push(cell_text(cell), line);
        }
    })?;
    if n_rows == 0 {
        let message = "the file holds a header and no rows; send at least one row below it".into();
        return Err(IngestError::Empty { message });
    }
    let mut finished: Vec<Finished> = columns.into_iter().map(TextColumn::finish).collect();
    read_words_again(&text, delimiter, limits, &mut finished)?;
    let columns =
        names.into_iter().zip(finished).map(|(name, column)| close(name, column)).collect::<Result<_, _>>()?;
    Ok(Parsed { columns, notes: Vec::new() })
}

/// The second pass, over the columns in which words came after numbers.
fn read_words_again(text: &str, delimiter: u8, limits: &Limits, finished: &mut [Finished]) -> Result<(), IngestError> {
    let mut again: Vec<(usize, TextColumn)> = (finished.iter().enumerate())
        .filter(|(_, f)| matches!(f, Finished::ReadAgain))
        .map(|(i, _)| (i, TextColumn::words()))
        .collect();
    if again.is_empty() {
        return Ok(());
    }
    let mut reader = reader(text, delimiter);
    reader.read_byte_record(&mut ByteRecord::new()).map_err(unreadable)?;
    read_rows(&mut reader, text, finished.len(), limits, |record, line| {
        for (i, column) in &mut again {
            column.push(record.get(*i).map_or("", cell_text), line);
        }
    })?;
    for (i, column) in again {
        finished[i] = column.finish();
    }
    Ok(())
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

fn reader(text: &str, delimiter: u8) -> csv::Reader<&[u8]> {
    ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes())
}

/// Feeds every row that is as long as the header, and counts them.
fn read_rows(
    reader: &mut csv::Reader<&[u8]>,
    text: &str,
    n_columns: usize,
    limits: &Limits,
    mut take: impl FnMut(&ByteRecord, u64),
) -> Result<usize, IngestError> {
    let mut record = ByteRecord::new();
    let mut row = 0;
    while reader.read_byte_record(&mut record).map_err(unreadable)? {
        row += 1;
        let line = first_line(&record, text);
        if record.len() != n_columns {
            let place = Place { row: Some(row as u64), line: Some(line), ..Place::default() };
            let fields = if record.len() == 1 { "field" } else { "fields" };
            let message = format!(
                "row {row} (line {line}) has {} {fields}, the header has {n_columns}; \
                 complete the row, or quote the field that holds a delimiter",
                record.len()
            );
            return Err(IngestError::invalid_at(place, message));
        }
        limits.check_shape(row, n_columns)?;
        take(&record, line);
    }
    Ok(row)
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

fn header_names(header: &ByteRecord, limits: &Limits) -> Result<Vec<String>, IngestError> {
    let names: Vec<String> = header.iter().map(|name| cell_text(name).trim().to_owned()).collect();
    limits.check_shape(0, names.len())?;
    if names.iter().all(|name| name.parse::<f64>().is_ok()) {
        let message = format!(
            "the first line holds numbers ({}…), not column names; add a header line",
            shorten(names.first().map_or("", String::as_str))
        );
        return Err(IngestError::invalid_at(Place { line: Some(1), ..Place::default() }, message));
    }
    check_names(names.iter().map(String::as_str), limits)?;
    Ok(names)
}

/// The most frequent of `, ; tab |` outside quotes in the first line that is not blank; the comma if there is none.
fn guess_delimiter(text: &str) -> u8 {
    let header = text.trim_start_matches(['\r', '\n']).bytes();
    let mut quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0), (b'|', 0)];
    for byte in header.take_while(|b| !matches!(b, b'\n' | b'\r')) {
        match byte {
            b'"' => quoted = !quoted,
            _ if quoted => {}
            _ => counts.iter_mut().filter(|(d, _)| *d == byte).for_each(|(_, n)| *n += 1),
        }
    }
    // The first of the largest: the comma wins a tie.
    counts.iter().rev().max_by_key(|(_, n)| *n).map_or(b',', |(d, _)| *d)
}

fn unreadable(error: csv::Error) -> IngestError {
    let line = error.position().map(csv::Position::line);
    IngestError::invalid_at(Place { line, ..Place::default() }, format!("the CSV cannot be read: {error}"))
}
