//! A table at rest: Parquet with Zstd, exactly what was ingested, kinds and the order of levels included.
//!
//! Arrow types alone do not tell category from text, and Parquet rebuilds dictionaries in its own order: so each field
//! carries its kind in its metadata, and a category is its codes with the levels beside them as JSON.
//! Sparse columns together are two lists a row, of their indices and of their values, because thousands of columns of
//! zeros would cost more than what is in them; a table with any has form 2, every other is written as form 1 for ever.
//! The form is a contract: `FORMAT` is raised when it changes, and older forms stay readable.

use std::collections::HashMap;
use std::sync::Arc;

use adaptation::data::{Column, Kind, Table, Values};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, LargeStringArray, RecordBatch,
    TimestampMillisecondArray, UInt32Array,
};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, Schema, TimeUnit, TimestampMillisecondType, UInt32Type,
};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

mod sparse;

/// The version of the stored form without and with sparse columns.
const FORMAT: &str = "1";
const SPARSE_FORMAT: &str = "2";
const FORMAT_KEY: &str = "adaptd.format";
const KIND_KEY: &str = "adaptd.kind";
const LEVELS_KEY: &str = "adaptd.levels";
/// In the metadata of the schema: the places and names of the sparse columns as JSON. The two lists stand last.
const SPARSE_KEY: &str = "adaptd.sparse";

/// Why a stored table cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoredError {
    #[error("the table cannot be written as parquet")]
    Write(#[source] parquet::errors::ParquetError),
    #[error("the stored table cannot be read")]
    Read(#[source] parquet::errors::ParquetError),
    #[error("the stored table is not what it says: {0}")]
    Corrupt(String),
}

/// The stored form of a table.
///
/// # Errors
/// Only where Parquet itself fails.
pub fn write_parquet(table: &Table) -> Result<Vec<u8>, StoredError> {
    let encoded = table.columns().iter().filter_map(encode);
    let (mut fields, mut arrays): (Vec<Field>, Vec<ArrayRef>) = encoded.unzip();
    let mut metadata = HashMap::from([(FORMAT_KEY.to_owned(), FORMAT.to_owned())]);
    let sparse: Vec<(usize, &Column)> =
        table.columns().iter().enumerate().filter(|(_, c)| matches!(c.values, Values::Sparse { .. })).collect();
    if !sparse.is_empty() {
        let places: Vec<(usize, &str)> = sparse.iter().map(|(i, c)| (*i, c.name.as_str())).collect();
        metadata.insert(FORMAT_KEY.to_owned(), SPARSE_FORMAT.to_owned());
        metadata.insert(SPARSE_KEY.to_owned(), serde_json::json!(places).to_string());
        for (name, list) in sparse::lists(table.n_rows(), &sparse) {
            fields.push(Field::new(name, list.data_type().clone(), true));
            arrays.push(list);
        }
    }
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(|e| StoredError::Write(e.into()))?;
    // Level 3 is Zstd's own default; higher levels cost several times the CPU for a few per cent.
    let level = ZstdLevel::try_new(3).map_err(StoredError::Write)?;
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).map_err(StoredError::Write)?;
    writer.write(&batch).map_err(StoredError::Write)?;
    writer.into_inner().map_err(StoredError::Write)
}

/// The table of a stored form.
///
/// # Errors
/// Bytes that this module did not write. The blob's hash was checked before, so this is a newer format or a defect.
pub fn read_parquet(bytes: Bytes) -> Result<Table, StoredError> {
    read_rows(bytes, 0, usize::MAX)
}

/// At most `limit` rows of a stored form, those after the first `offset`.
///
/// # Errors
/// As [`read_parquet`].
pub fn read_rows(bytes: Bytes, offset: usize, limit: usize) -> Result<Table, StoredError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(StoredError::Read)?;
    let schema = Arc::clone(builder.schema());
    let format = schema.metadata().get(FORMAT_KEY);
    if !matches!(format.map(String::as_str), Some(FORMAT | SPARSE_FORMAT)) {
        return Err(StoredError::Corrupt(format!(
            "its format is {format:?}, this program reads {FORMAT:?} and {SPARSE_FORMAT:?}"
        )));
    }
    let sparse: Vec<(usize, String)> = match schema.metadata().get(SPARSE_KEY) {
        Some(places) => serde_json::from_str(places)
            .map_err(|_| StoredError::Corrupt("the places of its sparse columns are unreadable".into()))?,
        None => Vec::new(),
    };
    let n_dense = if sparse.is_empty() { schema.fields().len() } else { schema.fields().len().saturating_sub(2) };
    let all = offset == 0 && limit == usize::MAX;
    let builder = if all { builder } else { builder.with_offset(offset).with_limit(limit) };
    let reader = builder.build().map_err(StoredError::Read)?;
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|e| StoredError::Read(e.into()))?;
    let columns = schema.fields().iter().take(n_dense).enumerate().map(|(j, field)| {
        let parts: Vec<&ArrayRef> = batches.iter().map(|b| b.column(j)).collect();
        Ok(Column { name: field.name().clone(), values: decode(field, &parts)? })
    });
    let dense: Vec<Column> = columns.collect::<Result<_, StoredError>>()?;
    if sparse.is_empty() {
        return Ok(Table::new(dense));
    }
    let values = sparse::columns(&batches, n_dense, sparse.len())?;
    let mut dense = dense.into_iter();
    let mut columns = Vec::with_capacity(dense.len() + sparse.len());
    for ((place, name), values) in sparse.into_iter().zip(values) {
        // Places ascend: what is not sparse comes before, in its own order.
        columns.extend(dense.by_ref().take(place.saturating_sub(columns.len())));
        columns.push(Column { name, values });
    }
    columns.extend(dense);
    Ok(Table::new(columns))
}

/// `None` for a sparse column, which is written with the others of its kind.
fn encode(column: &Column) -> Option<(Field, ArrayRef)> {
    let mut metadata = HashMap::from([(KIND_KEY.to_owned(), kind_word(column.values.kind()).to_owned())]);
    let array: ArrayRef = match &column.values {
        Values::Sparse { .. } => return None,
        Values::Number(v) => Arc::new(Float64Array::from(v.clone())),
        Values::Integer(v) => Arc::new(Int64Array::from(v.clone())),
        Values::Boolean(v) => Arc::new(BooleanArray::from(v.clone())),
        Values::Category { codes, levels } => {
            metadata.insert(LEVELS_KEY.to_owned(), serde_json::Value::from(levels.clone()).to_string());
            Arc::new(UInt32Array::from(codes.clone()))
        }
        Values::Text(v) => Arc::new(v.iter().map(Option::as_deref).collect::<LargeStringArray>()),
        Values::Timestamp(v) => Arc::new(TimestampMillisecondArray::from(v.clone()).with_timezone("UTC")),
    };
    let field = Field::new(&column.name, array.data_type().clone(), true).with_metadata(metadata);
    Some((field, array))
}

fn decode(field: &Field, parts: &[&ArrayRef]) -> Result<Values, StoredError> {
    let corrupt = |what: &str| StoredError::Corrupt(format!("column {:?} {what}", field.name()));
    let kind = field.metadata().get(KIND_KEY).ok_or_else(|| corrupt("has no kind"))?;
    let stamp = || DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let (kind, expected) = match kind.as_str() {
        "number" => (Kind::Number, DataType::Float64),
        "integer" => (Kind::Integer, DataType::Int64),
        "boolean" => (Kind::Boolean, DataType::Boolean),
        "category" => (Kind::Category, DataType::UInt32),
        "text" => (Kind::Text, DataType::LargeUtf8),
        "timestamp" => (Kind::Timestamp, stamp()),
        _ => return Err(corrupt("has an unknown kind")),
    };
    if *field.data_type() != expected || parts.iter().any(|p| *p.data_type() != expected) {
        return Err(corrupt("has a type that is not of its kind"));
    }
    let parts = parts.iter();
    Ok(match kind {
        Kind::Number => Values::Number(parts.flat_map(|p| p.as_primitive::<Float64Type>()).collect()),
        Kind::Integer => Values::Integer(parts.flat_map(|p| p.as_primitive::<Int64Type>()).collect()),
        Kind::Boolean => Values::Boolean(parts.flat_map(|p| p.as_boolean()).collect()),
        Kind::Timestamp => {
            Values::Timestamp(parts.flat_map(|p| p.as_primitive::<TimestampMillisecondType>()).collect())
        }
        Kind::Text => Values::Text(parts.flat_map(|p| p.as_string::<i64>()).map(|w| w.map(str::to_owned)).collect()),
        Kind::Category => {
            let levels = field.metadata().get(LEVELS_KEY).ok_or_else(|| corrupt("has no levels"))?;
            let levels: Vec<String> = serde_json::from_str(levels).map_err(|_| corrupt("has unreadable levels"))?;
            let codes: Vec<Option<u32>> = parts.flat_map(|p| p.as_primitive::<UInt32Type>()).collect();
            if codes.iter().flatten().any(|code| *code as usize >= levels.len()) {
                return Err(corrupt("has a code without a level"));
            }
            Values::Category { codes, levels }
        }
    })
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Number => "number",
        Kind::Integer => "integer",
        Kind::Boolean => "boolean",
        Kind::Category => "category",
        Kind::Text => "text",
        Kind::Timestamp => "timestamp",
    }
}
