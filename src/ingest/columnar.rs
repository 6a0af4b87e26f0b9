//! Rows of a table as files of columns: Parquet, a stream of Arrow, or one array of numbers.

use std::sync::Arc;

use adaptation::data::{Table, Values};
use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, LargeStringArray, RecordBatch, TimestampMillisecondArray,
};
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;

use super::error::IngestError;

/// A format of columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columnar {
    Parquet,
    ArrowStream,
    /// `(rows, columns)` of 64-bit floats; a missing value is NaN.
    Npy,
}

/// # Errors
/// A column of words as NPY, which has no place for it.
pub fn write(table: &Table, form: Columnar) -> Result<Vec<u8>, IngestError> {
    match form {
        Columnar::Parquet => parquet(table).map_err(|e| IngestError::storage(&e)),
        Columnar::ArrowStream => arrow_stream(table).map_err(|e| IngestError::storage(&e)),
        Columnar::Npy => npy(table),
    }
}

fn parquet(table: &Table) -> Result<Vec<u8>, ParquetError> {
    let batch = batch(table)?;
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None)?;
    writer.write(&batch)?;
    writer.into_inner()
}

fn arrow_stream(table: &Table) -> Result<Vec<u8>, ArrowError> {
    let batch = batch(table)?;
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(&batch)?;
    writer.into_inner()
}

fn npy(table: &Table) -> Result<Vec<u8>, IngestError> {
    let words = |values: &Values| matches!(values, Values::Category { .. } | Values::Text(_));
    if let Some(column) = table.columns().iter().find(|c| words(&c.values)) {
        let message = format!("column {:?} holds words, which an array of numbers has no place for", column.name);
        return Err(IngestError::Parameter { name: "columns", message });
    }
    let shape = (table.n_rows(), table.columns().len());
    let mut header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape:?}, }}");
    // Magic, version and length take ten bytes; the data starts at a multiple of 64.
    let padding = 63 - (10 + header.len()) % 64;
    header.push_str(&" ".repeat(padding));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    // Two numbers are never so long that two bytes do not hold the length.
    bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    for row in 0..shape.0 {
        for column in table.columns() {
            bytes.extend_from_slice(&column.values.number(row).unwrap_or(f64::NAN).to_le_bytes());
        }
    }
    Ok(bytes)
}

fn batch(table: &Table) -> Result<RecordBatch, ArrowError> {
    let arrays: Vec<ArrayRef> = table.columns().iter().map(|c| array(&c.values)).collect();
    let fields = table.columns().iter().zip(&arrays).map(|(c, a)| Field::new(&c.name, a.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    RecordBatch::try_new(schema, arrays)
}

fn array(values: &Values) -> ArrayRef {
    match values {
        Values::Number(v) => Arc::new(v.iter().copied().collect::<Float64Array>()),
        Values::Sparse { n_rows, .. } => Arc::new((0..*n_rows).map(|i| values.number(i)).collect::<Float64Array>()),
        Values::Integer(v) => Arc::new(v.iter().copied().collect::<Int64Array>()),
        Values::Boolean(v) => Arc::new(v.iter().copied().collect::<BooleanArray>()),
        Values::Category { codes, levels } => {
            let words = codes.iter().map(|code| code.map(|code| levels[code as usize].as_str()));
            Arc::new(words.collect::<LargeStringArray>())
        }
        Values::Text(v) => Arc::new(v.iter().map(Option::as_deref).collect::<LargeStringArray>()),
        Values::Timestamp(v) => Arc::new(v.iter().copied().collect::<TimestampMillisecondArray>().with_timezone("UTC")),
    }
}
