//! A table at rest: Parquet with Zstd, exactly what was ingested, kinds and the order of levels included.
//!
//! Arrow types alone do not tell category from text, and Parquet rebuilds dictionaries in its own order: so the footer
//! lists every column's kind, and words are their codes with the levels in that list, or, where most are another, strings.
//! What words are is known only at the end of a file, which is why this stands in the footer (form 3); forms 1 and 2 had
//! it in the metadata of each field, and stay readable.
//! Sparse columns together are two lists a row, of their indices and of their values, because thousands of columns of
//! zeros would cost more than what is in them.

use std::sync::Arc;

use super::source::Source;
use adaptation::data::{Column, Kind, Table, Values};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, Schema, TimeUnit, TimestampMillisecondType, UInt32Type,
};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::{Deserialize, Serialize};

mod sparse;
mod writer;

pub use writer::{Writer, Written, write_parquet};

/// The version of the stored form that is written, and those that are read beside it.
const FORMAT: &str = "3";
const OLD_FORMATS: [&str; 2] = ["1", "2"];
const FORMAT_KEY: &str = "adaptd.format";
/// The columns as JSON: [`Described`] for each that is not sparse, in order.
const COLUMNS_KEY: &str = "adaptd.columns";
/// Of the forms 1 and 2: in the metadata of a field.
const KIND_KEY: &str = "adaptd.kind";
const LEVELS_KEY: &str = "adaptd.levels";
/// The places and names of the sparse columns as JSON. The two lists stand last.
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

/// What the footer says of a column that is not sparse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Described {
    kind: Kind,
    /// Of words that stand as codes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    levels: Option<Vec<String>>,
}

/// The levels of a column of codes.
pub(super) fn levels_of(values: &Values) -> Option<&[String]> {
    match values {
        Values::Category { levels, .. } => Some(levels),
        _ => None,
    }
}

/// The table of a stored form.
///
/// # Errors
/// Bytes that this module did not write. The blob's hash was checked before, so this is a newer format or a defect.
pub fn read_parquet(bytes: Bytes) -> Result<Table, StoredError> {
    read_rows(&bytes.into(), 0, usize::MAX)
}

/// At most `limit` rows of a stored form, those after the first `offset`: of a file only the groups that hold them are
/// read.
///
/// # Errors
/// As [`read_parquet`].
pub fn read_rows(source: &Source, offset: usize, limit: usize) -> Result<Table, StoredError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(source.clone()).map_err(StoredError::Read)?;
    let schema = Arc::clone(builder.schema());
    let format = schema.metadata().get(FORMAT_KEY);
    let is_old = format.is_some_and(|f| OLD_FORMATS.contains(&f.as_str()));
    if !is_old && format.is_none_or(|f| f != FORMAT) {
        return Err(StoredError::Corrupt(format!("its format is {format:?}, this program reads up to {FORMAT:?}")));
    }
    let sparse: Vec<(usize, String)> = match schema.metadata().get(SPARSE_KEY) {
        Some(places) => serde_json::from_str(places)
            .map_err(|_| StoredError::Corrupt("the places of its sparse columns are unreadable".into()))?,
        None => Vec::new(),
    };
    let n_dense = if sparse.is_empty() { schema.fields().len() } else { schema.fields().len().saturating_sub(2) };
    let all = offset == 0 && limit == usize::MAX;
    let builder = if all { builder } else { some_rows(builder, offset, limit) };
    let reader = builder.build().map_err(StoredError::Read)?;
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|e| StoredError::Read(e.into()))?;
    let described =
        if is_old { described_by_fields(&schema, n_dense)? } else { described_by_footer(&schema, n_dense)? };
    let columns = schema.fields().iter().zip(described).enumerate().map(|(j, (field, described))| {
        let parts: Vec<&ArrayRef> = batches.iter().map(|b| b.column(j)).collect();
        Ok(Column { name: field.name().clone(), values: decode(field, described, &parts)? })
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

/// Rows of the groups that hold any of them.
fn some_rows(
    builder: ParquetRecordBatchReaderBuilder<Source>,
    offset: usize,
    limit: usize,
) -> ParquetRecordBatchReaderBuilder<Source> {
    let (mut start, mut before) = (0_usize, 0);
    let mut groups = Vec::new();
    for (i, group) in builder.metadata().row_groups().iter().enumerate() {
        let end = start.saturating_add(usize::try_from(group.num_rows()).unwrap_or(0));
        if end <= offset {
            before = end;
        } else if start < offset.saturating_add(limit) {
            groups.push(i);
        }
        start = end;
    }
    builder.with_row_groups(groups).with_offset(offset - before).with_limit(limit)
}

/// Form 3.
fn described_by_footer(schema: &Schema, n_columns: usize) -> Result<Vec<Described>, StoredError> {
    let corrupt = || StoredError::Corrupt("its list of columns is missing, or not of its columns".into());
    let listed = schema.metadata().get(COLUMNS_KEY).ok_or_else(corrupt)?;
    let described: Vec<Described> = serde_json::from_str(listed).map_err(|_| corrupt())?;
    if described.len() == n_columns { Ok(described) } else { Err(corrupt()) }
}

/// Forms 1 and 2.
fn described_by_fields(schema: &Schema, n_columns: usize) -> Result<Vec<Described>, StoredError> {
    let described = schema.fields().iter().take(n_columns).map(|field| {
        let corrupt = |what: &str| StoredError::Corrupt(format!("column {:?} {what}", field.name()));
        let kind = field.metadata().get(KIND_KEY).ok_or_else(|| corrupt("has no kind"))?;
        let kind = serde_json::from_value(kind.as_str().into()).map_err(|_| corrupt("has an unknown kind"))?;
        let levels = field.metadata().get(LEVELS_KEY);
        let levels = levels.map(|levels| serde_json::from_str(levels).map_err(|_| corrupt("has unreadable levels")));
        Ok(Described { kind, levels: levels.transpose()? })
    });
    described.collect()
}

fn decode(field: &Field, described: Described, parts: &[&ArrayRef]) -> Result<Values, StoredError> {
    let corrupt = |what: &str| StoredError::Corrupt(format!("column {:?} {what}", field.name()));
    let Described { kind, levels } = described;
    let expected = match kind {
        Kind::Number => DataType::Float64,
        Kind::Integer => DataType::Int64,
        Kind::Boolean => DataType::Boolean,
        Kind::Category => DataType::UInt32,
        Kind::Text if levels.is_some() => DataType::UInt32,
        Kind::Text => DataType::LargeUtf8,
        Kind::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
    };
    if *field.data_type() != expected || parts.iter().any(|p| *p.data_type() != expected) {
        return Err(corrupt("has a type that is not of its kind"));
    }
    let parts = parts.iter();
    Ok(match (kind, levels) {
        (Kind::Number, _) => Values::Number(parts.flat_map(|p| p.as_primitive::<Float64Type>()).collect()),
        (Kind::Integer, _) => Values::Integer(parts.flat_map(|p| p.as_primitive::<Int64Type>()).collect()),
        (Kind::Boolean, _) => Values::Boolean(parts.flat_map(|p| p.as_boolean()).collect()),
        (Kind::Timestamp, _) => {
            Values::Timestamp(parts.flat_map(|p| p.as_primitive::<TimestampMillisecondType>()).collect())
        }
        (Kind::Text, None) => {
            Values::Text(parts.flat_map(|p| p.as_string::<i64>()).map(|w| w.map(str::to_owned)).collect())
        }
        (Kind::Category, None) => return Err(corrupt("has no levels")),
        (kind, Some(levels)) => {
            let codes: Vec<Option<u32>> = parts.flat_map(|p| p.as_primitive::<UInt32Type>()).collect();
            if codes.iter().flatten().any(|code| *code as usize >= levels.len()) {
                return Err(corrupt("has a code without a level"));
            }
            if kind == Kind::Category {
                return Ok(Values::Category { codes, levels });
            }
            Values::Text(codes.into_iter().map(|c| c.map(|c| levels[c as usize].clone())).collect())
        }
    })
}
