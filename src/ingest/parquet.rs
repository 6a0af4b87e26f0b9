//! Parquet: numbers, booleans, strings, dates and timestamps; nested columns are refused by name.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::Parsed;
use super::columns::ArrowColumns;
use super::error::{IngestError, shorten};
use super::options::Limits;

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
    let unpacked: i128 = metadata.row_groups().iter().map(|g| i128::from(g.total_byte_size())).sum();
    if unpacked > i128::from(limits.decompressed_bytes) {
        let message =
            format!("the Parquet file unpacks to {unpacked} bytes, at most {} are accepted", limits.decompressed_bytes);
        return Err(IngestError::Decompression { message });
    }
    let mut columns = ArrowColumns::new(fields, limits)?;
    for batch in builder.with_batch_size(BATCH_ROWS).build().map_err(unreadable)? {
        columns.extend(&batch.map_err(unreadable)?)?;
    }
    Ok(Parsed::new(columns.finish()))
}

fn unreadable(error: impl std::fmt::Display) -> IngestError {
    let message =
        format!("the Parquet file cannot be read, it may be cut short or damaged: {}", shorten(&error.to_string()));
    IngestError::invalid(message)
}
