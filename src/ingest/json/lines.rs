//! One JSON object a line, read block by block.

use encoding_rs::UTF_8;
use serde::de::DeserializeSeed;

use super::rows::Rows;
use super::{MAX_DEPTH, Object, is_too_deep};
use crate::ingest::Parsed;
use crate::ingest::error::{IngestError, Place};
use crate::ingest::options::Options;
use crate::ingest::output::Output;
use crate::ingest::source::Source;
use crate::ingest::text::{Fill, TextReader};

/// Readings of a file: each that begins again knows more of its columns.
const MOST_READINGS: usize = 5;
/// Bytes of one line, which is held whole.
const MOST_LINE: usize = 16 << 20;
/// Rows between two looks at how much is buffered.
const ROWS_A_LOOK: usize = 64;

/// One object a line; blank lines are passed over, and errors name the line.
pub(in crate::ingest) fn read_lines(
    source: &Source,
    options: &Options,
    out: &mut Output,
) -> Result<Parsed, IngestError> {
    let mut learnt = Vec::new();
    for _ in 0..MOST_READINGS {
        out.restart()?;
        let mut rows = Rows::new(options, learnt);
        each_line(source, |line, number| {
            read_line(&mut rows, line, number)?;
            if rows.n_rows.is_multiple_of(ROWS_A_LOOK) { rows.hand_on(out) } else { Ok(()) }
        })?;
        match rows.learnt() {
            Some(found) => learnt = found,
            None => return rows.finish(),
        }
    }
    Err(IngestError::invalid("the columns change their types too often; send Parquet, which names them"))
}

/// The lines of a text file that are not blank, with their numbers, from 1.
fn each_line(source: &Source, mut take: impl FnMut(&[u8], u64) -> Result<(), IngestError>) -> Result<(), IngestError> {
    let mut text = TextReader::open(source, Some(UTF_8))?;
    let (mut buffer, mut at, mut number) = (Vec::new(), 0, 0);
    loop {
        let end = memchr::memchr(b'\n', &buffer[at..]).map(|n| at + n);
        let filled = match end {
            Some(_) => Fill::More,
            None if buffer.len() - at > MOST_LINE => {
                let place = Place { line: Some(number + 1), ..Place::default() };
                let message = format!("line {} is longer than {MOST_LINE} bytes; put one row on each", number + 1);
                return Err(IngestError::invalid_at(place, message));
            }
            None => {
                buffer.drain(..at);
                at = 0;
                text.fill(&mut buffer)?
            }
        };
        let end = match (end, filled) {
            (Some(end), _) => end,
            (None, Fill::More) => continue,
            (None, _) if buffer.is_empty() => return Ok(()),
            (None, _) => buffer.len(),
        };
        number += 1;
        let line = buffer[at..end].trim_ascii();
        if !line.is_empty() {
            take(line, number)?;
        }
        at = (end + 1).min(buffer.len());
        if end == buffer.len() {
            return Ok(());
        }
    }
}

fn read_line(rows: &mut Rows<'_>, content: &[u8], line: u64) -> Result<(), IngestError> {
    let row = rows.n_rows as u64 + 1;
    let mut json = serde_json::Deserializer::from_slice(content);
    let object = Object { rows: &mut *rows, prefix: None };
    let outcome = object.deserialize(&mut json).and_then(|()| json.end());
    if outcome.is_err() && is_too_deep(content) {
        return Err(IngestError::JsonTooDeep { limit: MAX_DEPTH });
    }
    match (rows.problem.take(), outcome) {
        (None, Ok(())) => Ok(()),
        (Some(problem), _) => Err(problem.on_line(line, row)),
        (None, Err(error)) => Err(malformed_line(&error, line, row)),
    }
}

/// The line of the file in place of the line that `serde_json` counts from the start of this one.
fn malformed_line(error: &serde_json::Error, line: u64, row: u64) -> IngestError {
    let text = error.to_string();
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    let place = Place { line: Some(line), row: Some(row), ..Place::default() };
    if error.is_data() {
        return IngestError::Invalid { message: format!("line {line}: {reason}"), place };
    }
    let column = error.column();
    IngestError::MalformedJson { message: format!("line {line} is not JSON: {reason} at column {column}"), place }
}
