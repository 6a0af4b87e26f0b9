//! Where the columns of an upload go: chunk by chunk to a stored table, or nowhere as long as all are kept in memory.

use std::fs::File;

use adaptation::data::{Column, Kind, Values};

use super::error::IngestError;
use super::gather::{Gatherer, Gathering};
use super::statistics::ColumnStatistics;
use super::stored::{StoredError, Writer, Written, levels_of};
use super::words::kind_of_words;

/// Bytes of values that are kept before the first chunk goes: by these the types of columns are guessed.
const FIRST_CHUNK: usize = 4 << 20;
/// And before each later one: small enough to stay in the cache.
const CHUNK: usize = 1 << 20;
/// Rows of a chunk at the least, however many columns there are: each column of each chunk costs a little.
const CHUNK_ROWS: usize = 64;
const CELL_BYTES: usize = 16;

/// A column without its values.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSummary {
    pub name: String,
    pub kind: Kind,
    pub statistics: ColumnStatistics,
}

/// The rows so far and where they went.
pub(super) struct Output {
    writer: Option<Writer>,
    gatherer: Gatherer,
    first_chunk: usize,
    chunk: usize,
    chunk_rows: usize,
}

/// All rows: of a stored table, or those that are in `columns`.
pub(super) struct Whole {
    /// The rows that were not handed on; the levels of all.
    pub(super) columns: Vec<Column>,
    pub(super) kinds: Vec<Kind>,
    gatherer: Gatherer,
    writer: Option<Writer>,
}

impl Output {
    /// Everything is kept.
    pub(super) fn memory() -> Self {
        let most = usize::MAX;
        Self { writer: None, gatherer: Gatherer::default(), first_chunk: most, chunk: most, chunk_rows: CHUNK_ROWS }
    }

    /// Everything goes to a file, which is empty.
    pub(super) fn file(file: File) -> Self {
        let writer = Some(Writer::to_file(file));
        let gatherer = Gatherer::default();
        Self { writer, gatherer, first_chunk: FIRST_CHUNK, chunk: CHUNK, chunk_rows: CHUNK_ROWS }
    }

    /// With chunks of so many bytes.
    #[cfg(test)]
    pub(super) fn with_chunks(self, n_bytes: usize) -> Self {
        Self { first_chunk: n_bytes, chunk: n_bytes, chunk_rows: 1, ..self }
    }

    /// Forgets all rows, because the upload is read again.
    pub(super) fn restart(&mut self) -> Result<(), IngestError> {
        self.gatherer = Gatherer::default();
        match &mut self.writer {
            Some(writer) => Ok(writer.restart()?),
            None => Ok(()),
        }
    }

    /// Whether so many buffered bytes of so many columns are enough for a chunk.
    pub(super) fn wants(&self, n_bytes: usize, n_columns: usize) -> bool {
        let least = if self.gatherer.n_rows() == 0 { self.first_chunk } else { self.chunk };
        n_bytes >= least.max(self.chunk_rows * n_columns * CELL_BYTES)
    }

    /// How many of `n` rows of `d` numbers make a chunk.
    pub(super) fn chunk_rows(&self, n: usize, d: usize) -> usize {
        let n_bytes = n.saturating_mul(d).saturating_mul(CELL_BYTES);
        if self.wants(n_bytes, d) { (self.chunk / (d * CELL_BYTES)).max(self.chunk_rows).min(n) } else { n }
    }

    /// Rows that were handed on.
    pub(super) fn n_rows(&self) -> usize {
        self.gatherer.n_rows()
    }

    /// Takes the next rows. The levels of categories may be missing.
    pub(super) fn flush(&mut self, columns: &[Column]) -> Result<(), IngestError> {
        self.gatherer.take(columns);
        match &mut self.writer {
            Some(writer) => writer.write(columns).map_err(of_stored),
            None => Ok(()),
        }
    }

    /// The last rows, with all levels.
    pub(super) fn finish(mut self, columns: Vec<Column>) -> Result<Whole, IngestError> {
        let was_flushed = self.gatherer.n_rows() > 0;
        self.gatherer.take(&columns);
        if let Some(writer) = &mut self.writer {
            writer.write(&columns).map_err(of_stored)?;
        }
        let kinds = columns.iter().zip(self.gatherer.columns()).map(|(column, gathered)| match &column.values {
            Values::Category { levels, .. } if was_flushed => {
                let counts = gathered.level_counts();
                let copied = counts.iter().zip(levels).map(|(n, level)| n * level.len()).sum();
                kind_of_words(levels, gathered.n_known(), copied)
            }
            values => values.kind(),
        });
        let kinds = kinds.collect();
        Ok(Whole { columns, kinds, gatherer: self.gatherer, writer: self.writer })
    }
}

impl Whole {
    pub(super) fn n_rows(&self) -> usize {
        self.gatherer.n_rows()
    }

    pub(super) fn gathered(&self) -> &[Gathering] {
        self.gatherer.columns()
    }

    /// The columns that are in memory, and what they are.
    pub(super) fn into_memory(self) -> (Vec<Column>, Vec<ColumnStatistics>) {
        let statistics = self.gatherer.finish(self.columns.iter().map(|c| levels_of(&c.values).unwrap_or_default()));
        (self.columns, statistics)
    }

    /// The file that was written, and what is in it.
    pub(super) fn into_file(self) -> Result<(Written, Vec<ColumnSummary>), IngestError> {
        let Self { columns, kinds, gatherer, writer } = self;
        let writer = writer.ok_or_else(|| IngestError::invalid("there is no file to write to"))?;
        let dense = columns.iter().zip(&kinds).filter(|(c, _)| !matches!(c.values, Values::Sparse { .. }));
        let written = writer.finish(dense.map(|(c, kind)| (*kind, levels_of(&c.values)))).map_err(of_stored)?;
        let statistics = gatherer.finish(columns.iter().map(|c| levels_of(&c.values).unwrap_or_default()));
        let summaries = columns.into_iter().zip(kinds).zip(statistics);
        Ok((
            written,
            summaries.map(|((c, kind), statistics)| ColumnSummary { name: c.name, kind, statistics }).collect(),
        ))
    }
}

fn of_stored(error: StoredError) -> IngestError {
    IngestError::storage(&error)
}
