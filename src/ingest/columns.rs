//! Arrow arrays, batch by batch, into typed columns; nested columns are refused by name.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use adaptation::data::{Column, Values};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray, make_array};
use arrow::compute::{CastOptions, cast_with_options, take};
use arrow::datatypes::{
    DataType, Field, FieldRef, Fields, Float64Type, Int64Type, TimeUnit, TimestampMillisecondType, UInt64Type,
};
use arrow::error::ArrowError;

use super::check_names;
use super::error::{IngestError, Place, shorten};
use super::options::{Limits, Options};
use super::output::Output;
use super::words::Words;

/// Bytes of words that one batch may copy out.
const MOST_COPIED: usize = 256 << 20;

/// Reads batches until no column of words turns out to be text after chunks of it were handed on: then all is read
/// again, with that column known to be text.
pub(super) fn settle(
    out: &mut Output,
    mut read: impl FnMut(&[usize], &mut Output) -> Result<Found, IngestError>,
) -> Result<Vec<Column>, IngestError> {
    let mut text = Vec::new();
    // Each reading knows more columns to be text.
    loop {
        out.restart()?;
        match read(&text, out)? {
            Found::Columns(columns) => return Ok(columns),
            Found::Text(found) if found.len() > text.len() => text = found,
            Found::Text(_) => return Err(IngestError::invalid("the words of the columns are too many to be read")),
        }
    }
}

/// What a reading of all batches found.
pub(super) enum Found {
    /// The rows that were not handed on, with the levels of all.
    Columns(Vec<Column>),
    /// These columns are text.
    Text(Vec<usize>),
}

/// The columns of one schema as batches arrive.
pub(super) struct ArrowColumns<'a> {
    fields: Fields,
    limits: &'a Limits,
    columns: Vec<Building>,
    /// The words of these are classes however many there are.
    pinned: Vec<bool>,
    n_rows: usize,
    budget: Budget,
    /// Columns of words that turned out to be text after chunks of them were handed on.
    overfull: Vec<usize>,
}

impl<'a> ArrowColumns<'a> {
    /// # Errors
    /// Too many columns, bad names, types that are not read.
    pub(super) fn new(fields: Fields, options: &'a Options) -> Result<Self, IngestError> {
        let limits = &options.limits;
        limits.check_shape(0, fields.len())?;
        check_names(fields.iter().map(|f| f.name().as_str()), limits)?;
        let columns = fields.iter().map(|f| Building::for_field(f)).collect::<Result<Vec<_>, _>>()?;
        let pinned = fields.iter().map(|f| options.is_pinned(f.name())).collect();
        let budget = Budget(limits.decompressed_bytes);
        Ok(Self { fields, limits, columns, pinned, n_rows: 0, budget, overfull: Vec::new() })
    }

    /// With these columns of words known to be text.
    pub(super) fn with_text(mut self, columns: &[usize]) -> Self {
        for j in columns {
            self.columns[*j] = Building::Text(Vec::new());
        }
        self
    }

    /// Takes a batch, and hands a chunk on where enough is buffered.
    ///
    /// # Errors
    /// Too many rows, values that do not fit their column.
    pub(super) fn take(&mut self, batch: &RecordBatch, out: &mut Output) -> Result<(), IngestError> {
        self.extend(batch)?;
        self.hand_on(out)
    }

    fn extend(&mut self, batch: &RecordBatch) -> Result<(), IngestError> {
        self.limits.check_shape(self.n_rows + batch.num_rows(), self.fields.len())?;
        for ((column, array), field) in self.columns.iter_mut().zip(batch.columns()).zip(&self.fields) {
            match column {
                Building::Words(words) => extend_words(words, array, field, &mut self.budget)?,
                Building::Text(words) => extend_text(words, array, field, &mut self.budget)?,
                column => column.extend(array, field, self.n_rows)?,
            }
        }
        self.n_rows += batch.num_rows();
        Ok(())
    }

    /// Once words are too many to go on, the rest is only checked.
    fn hand_on(&mut self, out: &mut Output) -> Result<(), IngestError> {
        let n_bytes = self.columns.iter().map(Building::n_buffered).sum();
        if !out.wants(n_bytes, self.columns.len()) {
            return Ok(());
        }
        let (is_first, n_columns) = (out.n_rows() == 0, self.columns.len());
        let mut chunk = Vec::with_capacity(self.columns.len());
        for (j, (column, field)) in self.columns.iter_mut().zip(&self.fields).enumerate() {
            if let Building::Words(words) = column
                && self.pinned[j]
            {
                words.check_levels(field.name())?;
            } else if let Building::Words(words) = column {
                if is_first && (words.is_overfull(n_columns) || words.are_text()) {
                    *column = Building::Text(std::mem::take(words).into_text());
                } else if !is_first && words.is_overfull(n_columns) && !self.overfull.contains(&j) {
                    self.overfull.push(j);
                }
            }
            chunk.push(Column { name: field.name().clone(), values: column.take_chunk() });
        }
        if self.overfull.is_empty() { out.flush(&chunk) } else { Ok(()) }
    }

    pub(super) fn finish(self, out: &Output) -> Found {
        if !self.overfull.is_empty() {
            let is_text = |j: &usize| matches!(self.columns[*j], Building::Text(_)) || self.overfull.contains(j);
            return Found::Text((0..self.columns.len()).filter(is_text).collect());
        }
        let was_flushed = out.n_rows() > 0;
        let named = self.fields.iter().zip(self.columns).zip(self.pinned);
        let column = |((field, column), is_pinned): ((&FieldRef, Building), bool)| Column {
            name: field.name().clone(),
            values: column.finish(is_pinned || was_flushed),
        };
        Found::Columns(named.map(column).collect())
    }
}

/// A column as its batches arrive.
enum Building {
    Number(Vec<Option<f64>>),
    Integer(Vec<Option<i64>>),
    Boolean(Vec<Option<bool>>),
    Timestamp(Vec<Option<i64>>),
    Words(Words),
    /// Words of which no dictionary is kept.
    Text(Vec<Option<String>>),
}

impl Building {
    fn for_field(field: &Field) -> Result<Self, IngestError> {
        let values = match field.data_type() {
            DataType::Dictionary(_, values) => values.as_ref(),
            other => other,
        };
        match values {
            t if t.is_integer() => Ok(Self::Integer(Vec::new())),
            t if t.is_floating() => Ok(Self::Number(Vec::new())),
            DataType::Decimal128(..) | DataType::Decimal256(..) | DataType::Null => Ok(Self::Number(Vec::new())),
            DataType::Boolean => Ok(Self::Boolean(Vec::new())),
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Ok(Self::Timestamp(Vec::new())),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(Self::Words(Words::default())),
            _ => Err(unread(field)),
        }
    }

    /// Takes a batch whose first row is row `start` of the file.
    fn extend(&mut self, array: &ArrayRef, field: &Field, start: usize) -> Result<(), IngestError> {
        let array = &decoded(array, field)?;
        match self {
            Self::Number(v) => {
                let array = cast(array, &DataType::Float64, field)?;
                for (i, x) in array.as_primitive::<Float64Type>().iter().enumerate() {
                    if x.is_some_and(f64::is_infinite) {
                        let row = start + i + 1;
                        let message = format!(
                            "row {row}, column {:?}: a number must be finite; store null if it is missing",
                            field.name()
                        );
                        return Err(IngestError::invalid_at(Place::cell(row, field.name()), message));
                    }
                    v.push(x.filter(|x| !x.is_nan()));
                }
            }
            Self::Integer(v) => {
                let array = cast(array, &DataType::Int64, field)?;
                v.extend(array.as_primitive::<Int64Type>().iter());
            }
            Self::Boolean(v) => v.extend(cast(array, &DataType::Boolean, field)?.as_boolean().iter()),
            Self::Timestamp(v) => {
                // Without a zone it is taken as UTC; with one, Arrow stores the instant already.
                let array = match array.data_type() {
                    DataType::Timestamp(_, zone) => {
                        cast(array, &DataType::Timestamp(TimeUnit::Millisecond, zone.clone()), field)?
                    }
                    _ => cast(array, &DataType::Timestamp(TimeUnit::Millisecond, None), field)?,
                };
                v.extend(array.as_primitive::<TimestampMillisecondType>().iter());
            }
            Self::Words(_) | Self::Text(_) => return Err(unread(field)),
        }
        Ok(())
    }

    /// Bytes of what is held and not handed on.
    fn n_buffered(&self) -> usize {
        match self {
            Self::Number(v) => 16 * v.len(),
            Self::Integer(v) | Self::Timestamp(v) => 16 * v.len(),
            Self::Boolean(v) => v.len(),
            Self::Words(words) => 8 * words.len(),
            Self::Text(v) => v.iter().map(|w| 24 + w.as_ref().map_or(0, String::len)).sum(),
        }
    }

    fn take_chunk(&mut self) -> Values {
        match self {
            Self::Number(v) => Values::Number(std::mem::take(v)),
            Self::Integer(v) => Values::Integer(std::mem::take(v)),
            Self::Boolean(v) => Values::Boolean(std::mem::take(v)),
            Self::Timestamp(v) => Values::Timestamp(std::mem::take(v)),
            Self::Words(words) => words.take_codes(),
            Self::Text(v) => Values::Text(std::mem::take(v)),
        }
    }

    /// Words stay codes if they must, else they are what they seem to be.
    fn finish(self, as_codes: bool) -> Values {
        match self {
            Self::Number(v) => Values::Number(v),
            Self::Integer(v) => Values::Integer(v),
            Self::Boolean(v) => Values::Boolean(v),
            Self::Timestamp(v) => Values::Timestamp(v),
            Self::Words(words) if as_codes => words.into_category(),
            Self::Words(words) => words.finish(),
            Self::Text(v) => Values::Text(v),
        }
    }
}

/// A dictionary's values in place of its keys: of the rows alone, because a large dictionary may come with many batches.
fn decoded(array: &ArrayRef, field: &Field) -> Result<ArrayRef, IngestError> {
    let Some(dictionary) = array.as_any_dictionary_opt() else { return Ok(Arc::clone(array)) };
    take(dictionary.values(), dictionary.keys(), None).map_err(|e| of_arrow(&e, field))
}

/// Words are read where they lie: one long word may stand in a few bytes for each of many rows, so that copying it out
/// for each would take more memory than any limit allows, and reading it for each too much time.
fn extend_words(words: &mut Words, array: &ArrayRef, field: &Field, budget: &mut Budget) -> Result<(), IngestError> {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().iter().for_each(|word| words.push(word)),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().for_each(|word| words.push(word)),
        DataType::Utf8View => extend_views(words, array.as_string_view(), budget)?,
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let keys = cast(&make_array(dictionary.keys().to_data()), &DataType::UInt64, field)?;
            // Of this batch: another may have another dictionary.
            let mut codes: HashMap<u64, Option<u32>> = HashMap::new();
            for key in keys.as_primitive::<UInt64Type>() {
                let code = match key.map(|key| codes.entry(key)) {
                    None => None,
                    Some(Entry::Occupied(known)) => *known.get(),
                    Some(Entry::Vacant(new)) => {
                        let word = word_at(dictionary.values(), *new.key() as usize, field)?;
                        budget.spend(word.map_or(0, str::len))?;
                        *new.insert(word.map(|word| words.code_of(word)))
                    }
                };
                words.push_code(code);
            }
        }
        _ => return Err(unread(field)),
    }
    Ok(())
}

/// Words one by one, of a column in which most are another. What is copied out is bounded as a whole and for one batch.
fn extend_text(
    words: &mut Vec<Option<String>>,
    array: &ArrayRef,
    field: &Field,
    budget: &mut Budget,
) -> Result<(), IngestError> {
    let array = &decoded_text(array, field)?;
    let mut room = Budget(MOST_COPIED as u64);
    for i in 0..array.len() {
        let word = word_at(array, i, field)?;
        room.spend(word.map_or(0, str::len))?;
        budget.spend(word.map_or(0, str::len))?;
        words.push(word.map(str::to_owned));
    }
    Ok(())
}

/// As views into a dictionary, so that no word is copied for each of its rows.
fn decoded_text(array: &ArrayRef, field: &Field) -> Result<ArrayRef, IngestError> {
    match array.as_any_dictionary_opt() {
        None => Ok(Arc::clone(array)),
        Some(dictionary) => {
            let views = cast(dictionary.values(), &DataType::Utf8View, field)?;
            take(&views, dictionary.keys(), None).map_err(|e| of_arrow(&e, field))
        }
    }
}

/// Views of one place are one word; those of other places may overlap, so that each is paid for.
fn extend_views(words: &mut Words, views: &StringViewArray, budget: &mut Budget) -> Result<(), IngestError> {
    let mut codes: HashMap<u128, u32> = HashMap::new();
    for (word, view) in views.iter().zip(views.views()) {
        let code = match word.map(|word| (word, codes.entry(*view))) {
            None => None,
            Some((_, Entry::Occupied(known))) => Some(*known.get()),
            Some((word, Entry::Vacant(new))) => {
                budget.spend(word.len())?;
                Some(*new.insert(words.code_of(word)))
            }
        };
        words.push_code(code);
    }
    Ok(())
}

fn word_at<'a>(values: &'a ArrayRef, i: usize, field: &Field) -> Result<Option<&'a str>, IngestError> {
    if values.is_null(i) {
        return Ok(None);
    }
    match values.data_type() {
        DataType::Utf8 => Ok(Some(values.as_string::<i32>().value(i))),
        DataType::LargeUtf8 => Ok(Some(values.as_string::<i64>().value(i))),
        DataType::Utf8View => Ok(Some(values.as_string_view().value(i))),
        _ => Err(unread(field)),
    }
}

/// Bytes that may be read of words that can stand in many rows and lie in one place.
struct Budget(u64);

impl Budget {
    fn spend(&mut self, n: usize) -> Result<(), IngestError> {
        let message = || "the words of the table are longer than is accepted; send shorter ones, or fewer rows".into();
        self.0 = self.0.checked_sub(n as u64).ok_or_else(|| IngestError::Decompression { message: message() })?;
        Ok(())
    }
}

/// A value that does not fit is an error, never a silent null.
fn cast(array: &ArrayRef, to: &DataType, field: &Field) -> Result<ArrayRef, IngestError> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, to, &options).map_err(|e| of_arrow(&e, field))
}

fn of_arrow(error: &ArrowError, field: &Field) -> IngestError {
    let message = format!("column {:?}: {}", field.name(), shorten(&error.to_string()));
    IngestError::invalid_at(Place::column(field.name()), message)
}

fn unread(field: &Field) -> IngestError {
    let message = format!(
        "column {:?} has type {}, which is not read; flatten it to numbers, strings or timestamps",
        field.name(),
        shorten(&field.data_type().to_string())
    );
    IngestError::invalid_at(Place::column(field.name()), message)
}
