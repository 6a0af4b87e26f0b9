//! Parquet: numbers, booleans, strings, dates and timestamps; nested columns are refused by name.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use adaptation::data::{Column, Values};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, TimeUnit, TimestampMillisecondType};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::builder::Words;
use super::error::{IngestError, Place, shorten};
use super::options::Limits;
use super::{Parsed, check_names};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 8192;

pub(super) fn read(source: &Bytes, limits: &Limits) -> Result<Parsed, IngestError> {
    // The decoder below is not ours and may panic on bytes that lie about themselves; an upload must never do more
    // than fail.
    catch_unwind(AssertUnwindSafe(|| decode(source, limits)))
        .unwrap_or_else(|_| Err(IngestError::invalid("the Parquet file is damaged: its pages contradict its footer")))
}

fn decode(source: &Bytes, limits: &Limits) -> Result<Parsed, IngestError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(source.clone()).map_err(unreadable)?;
    let metadata = builder.metadata();
    let n_rows = usize::try_from(metadata.file_metadata().num_rows())
        .map_err(|_| IngestError::invalid("the Parquet file says it has a negative number of rows"))?;
    let fields = builder.schema().fields().clone();
    if fields.is_empty() || n_rows == 0 {
        return Err(IngestError::Empty { message: "the Parquet file holds no rows; send at least one".into() });
    }
    limits.check_shape(n_rows, fields.len())?;
    check_names(fields.iter().map(|f| f.name().as_str()), limits)?;
    let unpacked: i128 = metadata.row_groups().iter().map(|g| i128::from(g.total_byte_size())).sum();
    if unpacked > i128::from(limits.decompressed_bytes) {
        let message =
            format!("the Parquet file unpacks to {unpacked} bytes, at most {} are accepted", limits.decompressed_bytes);
        return Err(IngestError::Decompression { message });
    }
    let mut columns = fields.iter().map(|f| Building::for_field(f)).collect::<Result<Vec<_>, _>>()?;
    let mut read = 0;
    for batch in builder.with_batch_size(BATCH_ROWS).build().map_err(unreadable)? {
        let batch = batch.map_err(unreadable)?;
        limits.check_shape(read + batch.num_rows(), fields.len())?;
        for ((column, array), field) in columns.iter_mut().zip(batch.columns()).zip(&fields) {
            column.extend(array, field, read)?;
        }
        read += batch.num_rows();
    }
    let columns = fields.iter().zip(columns).map(|(f, c)| Column { name: f.name().clone(), values: c.finish() });
    Ok(Parsed { columns: columns.collect(), notes: Vec::new() })
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
            other => {
                let message = format!(
                    "column {:?} has type {}, which is not read; flatten it to numbers, strings or timestamps",
                    field.name(),
                    shorten(&other.to_string())
                );
                Err(IngestError::invalid_at(Place::column(field.name()), message))
            }
        }
    }

    /// Takes a batch whose first row is row `start` of the file.
    fn extend(&mut self, array: &ArrayRef, field: &Field, start: usize) -> Result<(), IngestError> {
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
            Self::Words(words) => {
                let array = cast(array, &DataType::LargeUtf8, field)?;
                array.as_string::<i64>().iter().for_each(|word| words.push(word));
            }
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

/// A value that does not fit is an error, never a silent null.
fn cast(array: &ArrayRef, to: &DataType, field: &Field) -> Result<ArrayRef, IngestError> {
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(array, to, &options).map_err(|error| {
        let message = format!("column {:?}: {}", field.name(), shorten(&error.to_string()));
        IngestError::invalid_at(Place::column(field.name()), message)
    })
}

fn unreadable(error: impl std::fmt::Display) -> IngestError {
    let message =
        format!("the Parquet file cannot be read, it may be cut short or damaged: {}", shorten(&error.to_string()));
    IngestError::invalid(message)
}
