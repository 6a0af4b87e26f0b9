//! The stored form as it is written, chunk by chunk.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::sync::Arc;

use adaptation::data::{Column, Kind, Table, Values};
use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, LargeStringArray, RecordBatch, TimestampMillisecondArray,
    UInt32Array,
};
use arrow::datatypes::{Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use sha2::{Digest, Sha256};

use super::{COLUMNS_KEY, Described, FORMAT, FORMAT_KEY, SPARSE_KEY, StoredError, levels_of, sparse};

/// Encoded bytes that are held before a row group is written, and as many for each column where there are very many: a
/// group has a line in the footer for each.
const GROUP_BYTES: usize = 6 << 20;
const GROUP_BYTES_A_COLUMN: usize = 4 << 10;
/// A page is held plain until it is full, one a column.
const PAGE_BYTES: usize = 64 << 10;

/// A stored table that was written.
#[derive(Debug)]
pub struct Written {
    /// SHA-256 of the file.
    pub digest: [u8; 32],
    pub n_bytes: u64,
}

/// Writes a table chunk by chunk.
pub struct Writer {
    /// `None` to write to memory.
    file: Option<File>,
    open: Option<(Arc<Schema>, ArrowWriter<Hashed>)>,
    /// Places and names of the sparse columns.
    sparse: Vec<(usize, String)>,
}

/// Where the bytes go, with their hash.
struct Hashed {
    to: Destination,
    hash: Sha256,
    n_bytes: u64,
}

enum Destination {
    File(File),
    Memory(Vec<u8>),
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.to {
            Destination::File(to) => to.write_all(bytes)?,
            Destination::Memory(to) => to.extend_from_slice(bytes),
        }
        self.hash.update(bytes);
        self.n_bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.to {
            Destination::File(to) => to.flush(),
            Destination::Memory(_) => Ok(()),
        }
    }
}

impl Writer {
    /// Writes to an empty file.
    pub fn to_file(file: File) -> Self {
        Self { file: Some(file), open: None, sparse: Vec::new() }
    }

    /// Begins again with an empty file.
    ///
    /// # Errors
    /// A file that cannot be emptied.
    pub fn restart(&mut self) -> io::Result<()> {
        self.open = None;
        self.sparse.clear();
        match &mut self.file {
            Some(file) => file.set_len(0).and_then(|()| file.rewind()),
            None => Ok(()),
        }
    }

    fn open(&self, fields: Vec<Field>) -> Result<(Arc<Schema>, ArrowWriter<Hashed>), StoredError> {
        let to = match &self.file {
            Some(file) => Destination::File(file.try_clone().map_err(|e| StoredError::Write(e.into()))?),
            None => Destination::Memory(Vec::new()),
        };
        let schema = Arc::new(Schema::new(fields));
        let hashed = Hashed { to, hash: Sha256::new(), n_bytes: 0 };
        let writer = ArrowWriter::try_new(hashed, Arc::clone(&schema), Some(properties()?));
        Ok((schema, writer.map_err(StoredError::Write)?))
    }

    /// Appends rows. Every chunk has the columns of the first, in the same types; the levels of categories may be left out
    /// of all but the last.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&mut self, columns: &[Column]) -> Result<(), StoredError> {
        let encoded = columns.iter().filter_map(encode);
        let (mut fields, mut arrays): (Vec<Field>, Vec<ArrayRef>) = encoded.unzip();
        let sparse: Vec<(usize, &Column)> =
            columns.iter().enumerate().filter(|(_, c)| matches!(c.values, Values::Sparse { .. })).collect();
        if !sparse.is_empty() {
            let n_rows = columns.first().map_or(0, |c| c.values.len());
            for (name, list) in sparse::lists(n_rows, &sparse) {
                fields.push(Field::new(name, list.data_type().clone(), true));
                arrays.push(list);
            }
            self.sparse = sparse.iter().map(|(i, c)| (*i, c.name.clone())).collect();
        }
        let n_columns = fields.len();
        let opened = match self.open.take() {
            Some(open) => open,
            None => self.open(fields)?,
        };
        let (schema, writer) = self.open.insert(opened);
        let batch = RecordBatch::try_new(Arc::clone(schema), arrays).map_err(|e| StoredError::Write(e.into()))?;
        writer.write(&batch).map_err(StoredError::Write)?;
        if writer.memory_size() > GROUP_BYTES.max(GROUP_BYTES_A_COLUMN * n_columns) {
            writer.flush().map_err(StoredError::Write)?;
        }
        Ok(())
    }

    /// Writes the footer. `described` are kind and levels of each column, sparse ones left out.
    ///
    /// # Errors
    /// A file that cannot be written; a table without a chunk.
    pub fn finish<'a>(
        self,
        described: impl Iterator<Item = (Kind, Option<&'a [String]>)>,
    ) -> Result<Written, StoredError> {
        let Hashed { hash, n_bytes, .. } = self.close(described)?;
        Ok(Written { digest: hash.finalize().into(), n_bytes })
    }

    fn close<'a>(self, described: impl Iterator<Item = (Kind, Option<&'a [String]>)>) -> Result<Hashed, StoredError> {
        let (_, mut writer) = self.open.ok_or_else(|| StoredError::Corrupt("it has no rows".into()))?;
        let described: Vec<Described> =
            described.map(|(kind, levels)| Described { kind, levels: levels.map(<[String]>::to_vec) }).collect();
        let json = |value: Result<String, serde_json::Error>| value.map_err(|e| StoredError::Corrupt(e.to_string()));
        let mut put = |key: &str, value: String| {
            writer.append_key_value_metadata(KeyValue { key: key.to_owned(), value: Some(value) });
        };
        put(FORMAT_KEY, FORMAT.to_owned());
        put(COLUMNS_KEY, json(serde_json::to_string(&described))?);
        if !self.sparse.is_empty() {
            put(SPARSE_KEY, json(serde_json::to_string(&self.sparse))?);
        }
        writer.into_inner().map_err(StoredError::Write)
    }
}

fn properties() -> Result<WriterProperties, StoredError> {
    // The lowest level: higher ones cost several times the CPU for a few per cent of numbers.
    let level = ZstdLevel::try_new(1).map_err(StoredError::Write)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        // Numbers are mostly another each, and words are codes already: a dictionary would be tried and given up.
        .set_dictionary_enabled(false)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_data_page_size_limit(PAGE_BYTES);
    Ok(properties.build())
}

/// The stored form of a table.
///
/// # Errors
/// Only where Parquet itself fails.
pub fn write_parquet(table: &Table) -> Result<Vec<u8>, StoredError> {
    let mut writer = Writer { file: None, open: None, sparse: Vec::new() };
    writer.write(table.columns())?;
    let dense = table.columns().iter().filter(|c| !matches!(c.values, Values::Sparse { .. }));
    match writer.close(dense.map(|c| (c.values.kind(), levels_of(&c.values))))?.to {
        Destination::Memory(bytes) => Ok(bytes),
        Destination::File(_) => Err(StoredError::Corrupt("it went to a file".into())),
    }
}

/// `None` for a sparse column, which is written with the others of its kind.
fn encode(column: &Column) -> Option<(Field, ArrayRef)> {
    let array: ArrayRef = match &column.values {
        Values::Sparse { .. } => return None,
        Values::Number(v) => Arc::new(v.iter().copied().collect::<Float64Array>()),
        Values::Integer(v) => Arc::new(v.iter().copied().collect::<Int64Array>()),
        Values::Boolean(v) => Arc::new(v.iter().copied().collect::<BooleanArray>()),
        Values::Category { codes, .. } => Arc::new(codes.iter().copied().collect::<UInt32Array>()),
        Values::Text(v) => Arc::new(v.iter().map(Option::as_deref).collect::<LargeStringArray>()),
        Values::Timestamp(v) => Arc::new(v.iter().copied().collect::<TimestampMillisecondArray>().with_timezone("UTC")),
    };
    Some((Field::new(&column.name, array.data_type().clone(), true), array))
}
