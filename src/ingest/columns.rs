//! Arrow arrays, batch by batch, into typed columns; nested columns are refused by name.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use adaptation::data::{Column, Values};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, make_array};
use arrow::compute::{CastOptions, cast_with_options, take};
use arrow::datatypes::{
    DataType, Field, Fields, Float64Type, Int64Type, TimeUnit, TimestampMillisecondType, UInt64Type,
};
use arrow::error::ArrowError;

use super::builder::Words;
use super::check_names;
use super::error::{IngestError, Place, shorten};
use super::options::Limits;

/// The columns of one schema as batches arrive.
pub(super) struct ArrowColumns<'a> {
    fields: Fields,
    limits: &'a Limits,
    columns: Vec<Building>,
    n_rows: usize,
    budget: Budget,
}

impl<'a> ArrowColumns<'a> {
    /// # Errors
    /// Too many columns, bad names, types that are not read.
    pub(super) fn new(fields: Fields, limits: &'a Limits) -> Result<Self, IngestError> {
        limits.check_shape(0, fields.len())?;
        check_names(fields.iter().map(|f| f.name().as_str()), limits)?;
        let columns = fields.iter().map(|f| Building::for_field(f)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { fields, limits, columns, n_rows: 0, budget: Budget(limits.decompressed_bytes) })
    }

    /// # Errors
    /// Too many rows, values that do not fit their column.
    pub(super) fn extend(&mut self, batch: &RecordBatch) -> Result<(), IngestError> {
        self.limits.check_shape(self.n_rows + batch.num_rows(), self.fields.len())?;
        for ((column, array), field) in self.columns.iter_mut().zip(batch.columns()).zip(&self.fields) {
            match column {
                Building::Words(words) => extend_words(words, array, field, &mut self.budget)?,
                column => column.extend(array, field, self.n_rows)?,
            }
        }
        self.n_rows += batch.num_rows();
        Ok(())
    }

    pub(super) fn finish(self) -> Vec<Column> {
        let named = self.fields.iter().zip(self.columns);
        named.map(|(f, c)| Column { name: f.name().clone(), values: c.finish() }).collect()
    }
}

/// A column as its batches arrive.
enum Building {
    Number(Vec<Option<f64>>),
    Integer(Vec<Option<i64>>),
    Boolean(Vec<Option<bool>>),
    Timestamp(Vec<Option<i64>>),
    Words(Words),
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
            Self::Words(_) => return Err(unread(field)),
        }
        Ok(())
    }

    fn finish(self) -> Values {
        match self {
            Self::Number(v) => Values::Number(v),
            Self::Integer(v) => Values::Integer(v),
            Self::Boolean(v) => Values::Boolean(v),
            Self::Timestamp(v) => Values::Timestamp(v),
            Self::Words(words) => words.finish(),
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
        DataType::Utf8View => {
            for word in array.as_string_view() {
                budget.spend(word.map_or(0, str::len))?;
                words.push(word);
            }
        }
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
