//! Parquet: numbers, booleans, strings, dates and timestamps; nested columns are refused by name.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Schema};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::Parsed;
use super::columns::{ArrowColumns, Found, settle};
use super::error::{IngestError, shorten};
use super::options::Options;
use super::output::Output;
use super::source::Source;

/// Rows decoded at a time: fewer where words may be long.
const BATCH_ROWS: usize = 8192;
const WORD_BATCH_ROWS: usize = 1024;

pub(super) fn read(source: &Source, options: &Options, out: &mut Output) -> Result<Parsed, IngestError> {
    // The decoder below is not ours and may panic on bytes that lie about themselves; an upload must never do more
    // than fail.
    let decode = || settle(out, |text, out| decode(source, options, text, out)).map(Parsed::new);
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(IngestError::invalid("the Parquet file is damaged: its pages contradict its footer")))
}

fn decode(source: &Source, options: &Options, text: &[usize], out: &mut Output) -> Result<Found, IngestError> {
    let limits = &options.limits;
    let builder = open(source)?;
    let metadata = builder.metadata();
    let n_rows = usize::try_from(metadata.file_metadata().num_rows())
        .map_err(|_| IngestError::invalid("the Parquet file says it has a negative number of rows"))?;
    let fields = builder.schema().fields().clone();
    if fields.is_empty() || n_rows == 0 {
        return Err(IngestError::Empty { message: "the Parquet file holds no rows; send at least one".into() });
    }
    limits.check_shape(n_rows, fields.len())?;
    let unpacked: i128 = metadata.row_groups().iter().map(|g| i128::from(g.total_byte_size())).sum();
    let may_unpack = u64::try_from(unpacked).is_ok_and(|unpacked| limits.may_unpack(source.n_bytes(), unpacked));
    if !may_unpack {
        let (most, ratio) = (limits.decompressed_bytes, limits.unpack_ratio);
        let message = format!(
            "the Parquet file unpacks to {unpacked} bytes, at most {most} or {ratio} times its size are accepted"
        );
        return Err(IngestError::Decompression { message });
    }
    let has_words = fields.iter().any(|f| is_text(f.data_type()) || matches!(f.data_type(), DataType::Dictionary(..)));
    let batch_rows = if has_words { WORD_BATCH_ROWS } else { BATCH_ROWS };
    let mut columns = ArrowColumns::new(fields, options)?.with_text(text);
    for batch in builder.with_batch_size(batch_rows).build().map_err(unreadable)? {
        columns.take(&batch.map_err(unreadable)?, out)?;
    }
    Ok(columns.finish(out))
}

/// Words are asked for as views into the pages: a dictionary may hold one long word for many rows, and copying it out for
/// each of a batch would take gigabytes.
fn open(source: &Source) -> Result<ParquetRecordBatchReaderBuilder<Source>, IngestError> {
    let found = ArrowReaderMetadata::load(source, ArrowReaderOptions::new()).map_err(unreadable)?;
    let viewed = found.schema().fields().iter().map(|field| match field.data_type() {
        DataType::Dictionary(_, values) if is_text(values) => viewed(field),
        plain if is_text(plain) => viewed(field),
        _ => Arc::clone(field),
    });
    let schema = Schema::new_with_metadata(viewed.collect::<Vec<_>>(), found.schema().metadata().clone());
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(found.metadata()), options).map_err(unreadable)?;
    Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(source.clone(), metadata))
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn viewed(field: &FieldRef) -> FieldRef {
    Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View))
}

fn unreadable(error: impl std::fmt::Display) -> IngestError {
    let reason = error.to_string();
    if reason.contains("Disabled feature") {
        let message = "the Parquet file is packed by a codec that is not read; write it with snappy, zstd, lz4 or gzip";
        return IngestError::invalid(message);
    }
    let message = format!("the Parquet file cannot be read, it may be cut short or damaged: {}", shorten(&reason));
    IngestError::invalid(message)
}
