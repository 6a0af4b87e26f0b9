//! Bytes in any accepted format become a typed table with roles and statistics, or an error that names the place.
//!
//! Everything is bounded before memory is taken, and the same bytes with the same options give the same table.
//! It knows no SQL, no HTTP and no runtime; it is CPU work and belongs on a compute thread.

mod builder;
mod columns;
mod csv;
mod dialect;
mod error;
mod ipc;
mod json;
mod lines;
mod npy;
mod npz;
mod options;
mod packed;
mod parquet;
mod roles;
mod statistics;
pub mod stored;
mod svmlight;
mod text;

use adaptation::data::{Column, Role, Table, TaskKind, Values};
use bytes::Bytes;

pub use dialect::{BadDialect, CsvOptions, Delimiter, Dialect, HeaderRow, MissingMarks, Quote, TextEncoding};
pub use error::{IngestError, Place};
pub use lines::whole_lines;
pub use options::{Format, Limits, Options, RoleRequest};
pub use packed::{Coding, unpack, unpack_start};
pub use statistics::{ColumnStatistics, Histogram, LevelCount, NumberStatistics, Quantile, WordStatistics};

/// What an upload holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Ingested {
    pub format: Format,
    pub table: Table,
    /// As long as the table has columns.
    pub roles: Vec<Role>,
    /// What the label column asks for; `None` without one.
    pub task: Option<TaskKind>,
    /// As long as the table has columns.
    pub statistics: Vec<ColumnStatistics>,
    /// What the reader did that a user may not expect, such as arrays that were skipped.
    pub notes: Vec<String>,
    /// How a CSV file was read.
    pub dialect: Option<Dialect>,
}

/// A table whose columns were given roles.
#[derive(Debug, Clone, PartialEq)]
pub struct Assigned {
    pub table: Table,
    pub roles: Vec<Role>,
    pub task: Option<TaskKind>,
    pub statistics: Vec<ColumnStatistics>,
    pub notes: Vec<String>,
}

/// Columns as a format's reader hands them over.
struct Parsed {
    columns: Vec<Column>,
    notes: Vec<String>,
    dialect: Option<Dialect>,
}

impl Parsed {
    /// Columns that were read without anything to note.
    fn new(columns: Vec<Column>) -> Self {
        Self { columns, notes: Vec::new(), dialect: None }
    }
}

/// Reads an upload.
///
/// # Errors
/// Everything that is wrong with the bytes or with the options for them, with its place and its cure.
pub fn read(source: &Bytes, options: &Options) -> Result<Ingested, IngestError> {
    let (format, parsed) = parse(source, options)?;
    let Parsed { mut columns, mut notes, dialect } = parsed;
    let assigned = roles::assign(&mut columns, options, &mut notes)?;
    let statistics = columns.iter().map(|c| ColumnStatistics::of(&c.values)).collect();
    let (roles, task) = (assigned.roles, assigned.task);
    Ok(Ingested { format, table: Table::new(columns), roles, task, statistics, notes, dialect })
}

/// Gives the columns of a table that was read before other roles.
///
/// # Errors
/// If the options name columns that are not there, or roles that the columns cannot play.
pub fn assign_roles(table: Table, options: &Options) -> Result<Assigned, IngestError> {
    let mut columns = table.into_columns();
    let mut notes = Vec::new();
    let assigned = roles::assign(&mut columns, options, &mut notes)?;
    let statistics = columns.iter().map(|c| ColumnStatistics::of(&c.values)).collect();
    Ok(Assigned { table: Table::new(columns), roles: assigned.roles, task: assigned.task, statistics, notes })
}

/// Reads rows that are to be predicted: the table alone. Labels are not asked for and no role is given.
///
/// # Errors
/// As [`read`].
pub fn read_rows(source: &Bytes, options: &Options) -> Result<Table, IngestError> {
    let (_, parsed) = parse(source, options)?;
    Ok(Table::new(parsed.columns))
}

fn parse(source: &Bytes, options: &Options) -> Result<(Format, Parsed), IngestError> {
    let limits = &options.limits;
    if source.len() as u64 > limits.bytes {
        let message = format!("{} bytes, at most {} are accepted", source.len(), limits.bytes);
        return Err(IngestError::TooLarge { message });
    }
    if source.is_empty() {
        return Err(IngestError::Empty {
            message: "the upload holds no bytes; send a file with a header and rows".into(),
        });
    }
    let format = Format::detect(source, options)?;
    options.check_csv_options(format)?;
    let parsed = match format {
        Format::Csv => csv::read(source, &options.csv_options()?, limits),
        Format::Parquet => parquet::read(source, limits),
        Format::Npz => npz::read(source, limits),
        Format::Npy => npy::read(source, limits),
        Format::Arrow => ipc::read(source, limits),
        Format::JsonRows => json::read(source, limits),
        Format::Ndjson => json::read_lines(source, limits),
        Format::Svmlight => svmlight::read(source, limits),
    }?;
    // The invariants of `Table`, whatever the reader was.
    limits.check_shape(0, parsed.columns.len())?;
    check_names(parsed.columns.iter().map(|c| c.name.as_str()), limits)?;
    let n_rows = parsed.columns.first().map_or(0, |c| c.values.len());
    if n_rows == 0 {
        return Err(IngestError::Empty { message: "there are columns but no rows; send at least one row".into() });
    }
    limits.check_shape(n_rows, parsed.columns.len())?;
    if let Some(odd) = parsed.columns.iter().find(|c| c.values.len() != n_rows) {
        let message = format!("column {:?} has {} values, the first has {n_rows}", odd.name, odd.values.len());
        return Err(IngestError::invalid_at(Place::column(&odd.name), message));
    }
    Ok((format, parsed))
}

/// Names are distinct, not empty, not overlong, and printable.
fn check_names<'a>(names: impl Iterator<Item = &'a str>, limits: &Limits) -> Result<(), IngestError> {
    let mut seen = std::collections::HashMap::new();
    for (i, name) in names.enumerate() {
        let at = i + 1;
        if name.trim().is_empty() {
            let message = format!("column {at} has no name; give every column a name in the header");
            return Err(IngestError::invalid(message));
        }
        if name.chars().nth(limits.name_length).is_some() {
            let message =
                format!("the name of column {at} is longer than {} characters; shorten it", limits.name_length);
            return Err(IngestError::invalid_at(Place::column(name), message));
        }
        if name.chars().any(char::is_control) {
            let message = format!("the name of column {at} holds a control character; rename it");
            return Err(IngestError::invalid_at(Place::column(name), message));
        }
        if let Some(first) = seen.insert(name, at) {
            let message = format!("columns {first} and {at} are both called {name:?}; rename one");
            return Err(IngestError::invalid_at(Place::column(name), message));
        }
    }
    Ok(())
}

/// The words of a column, as a category where few are distinct, else as text.
///
/// Up to 50 distinct words, or one in twenty rows, are a category, unless most are distinct and long: prose.
fn words_column(codes: Vec<Option<u32>>, levels: Vec<String>) -> Values {
    const FEW: usize = 50;
    const ROWS_PER_LEVEL: usize = 20;
    const PROSE_CHARS: usize = 40;
    let n_known = codes.iter().flatten().count();
    let mean_length = levels.iter().map(String::len).sum::<usize>() / levels.len().max(1);
    let prose = mean_length > PROSE_CHARS && levels.len() * 2 > n_known;
    if levels.len() <= FEW.max(n_known / ROWS_PER_LEVEL) && !prose {
        return Values::Category { codes, levels };
    }
    Values::Text(codes.into_iter().map(|c| c.map(|c| levels[c as usize].clone())).collect())
}

#[cfg(test)]
mod tests;
