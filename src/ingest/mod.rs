//! Bytes in any accepted format become a typed table with roles and statistics, or an error that names the place.
//!
//! Everything is bounded before memory is taken, and the same bytes with the same options give the same table.
//! [`store`] reads an upload piece by piece and writes the stored table as it goes, so that its memory does not grow with
//! the upload; [`read`] keeps the table. A type that is guessed too narrow from the first chunk makes a reader begin again.
//! It knows no SQL, no HTTP and no runtime; it is CPU work and belongs on a compute thread.

mod builder;
pub mod columnar;
mod columns;
mod csv;
mod dialect;
mod error;
mod gather;
mod ipc;
mod json;
mod lines;
mod npy;
mod npz;
mod numbers;
mod options;
mod output;
mod packed;
mod parquet;
mod roles;
mod source;
mod statistics;
pub mod stored;
mod svmlight;
mod text;
mod words;

use std::fs::File;

use adaptation::data::{Column, Kind, Role, Table, TaskKind, Values};

pub use dialect::{BadDialect, CsvOptions, Delimiter, Dialect, HeaderRow, MissingMarks, Quote, TextEncoding};
pub use error::{IngestError, Place};
pub use lines::whole_lines;
pub use options::{Format, Limits, Options, RoleRequest};
pub use output::ColumnSummary;
pub use packed::{Coding, unpack, unpack_start, unpack_to};
pub use source::Source;
pub use statistics::{ColumnStatistics, Histogram, LevelCount, NumberStatistics, Quantile, WordStatistics};

use output::{Output, Whole};
use roles::Described;
use stored::Written;

/// What an upload holds, beside its rows, which are in the file that was written.
#[derive(Debug)]
pub struct Stored {
    pub format: Format,
    pub columns: Vec<ColumnSummary>,
    /// As long as there are columns.
    pub roles: Vec<Role>,
    /// What the label column asks for; `None` without one.
    pub task: Option<TaskKind>,
    pub n_rows: usize,
    pub notes: Vec<String>,
    pub written: Written,
}

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

/// Reads an upload into a stored table, which is written to a file that is empty.
///
/// # Errors
/// As [`read`]; a file that cannot be written.
pub fn store(source: &Source, options: &Options, to: File) -> Result<Stored, IngestError> {
    store_through(source, options, Output::file(to))
}

fn store_through(source: &Source, options: &Options, mut out: Output) -> Result<Stored, IngestError> {
    let (format, mut parsed) = parse(source, options, &mut out)?;
    let mut whole = out.finish(std::mem::take(&mut parsed.columns))?;
    pin_kinds(&mut whole, options);
    let assigned = roles::assign(&described(&whole), options, &mut parsed.notes)?;
    let n_rows = whole.n_rows();
    let (written, columns) = whole.into_file()?;
    Ok(Stored { format, columns, roles: assigned.roles, task: assigned.task, n_rows, notes: parsed.notes, written })
}

/// Reads an upload.
///
/// # Errors
/// Everything that is wrong with the bytes or with the options for them, with its place and its cure.
pub fn read(source: &Source, options: &Options) -> Result<Ingested, IngestError> {
    let (format, parsed) = parse(source, options, &mut Output::memory())?;
    let Parsed { columns, notes, dialect } = parsed;
    let Assigned { table, roles, task, statistics, notes } = assign(columns, options, notes)?;
    Ok(Ingested { format, table, roles, task, statistics, notes, dialect })
}

/// Gives the columns of a table that was read before other roles.
///
/// # Errors
/// If the options name columns that are not there, or roles that the columns cannot play.
pub fn assign_roles(table: Table, options: &Options) -> Result<Assigned, IngestError> {
    assign(table.into_columns(), options, Vec::new())
}

fn assign(mut columns: Vec<Column>, options: &Options, mut notes: Vec<String>) -> Result<Assigned, IngestError> {
    for column in columns.iter_mut().filter(|c| options.is_pinned(&c.name)) {
        if let Values::Text(words) = &mut column.values {
            column.values = Values::categories(std::mem::take(words));
        }
    }
    let whole = Output::memory().finish(columns)?;
    let assigned = roles::assign(&described(&whole), options, &mut notes)?;
    let (columns, statistics) = whole.into_memory();
    Ok(Assigned { table: Table::new(columns), roles: assigned.roles, task: assigned.task, statistics, notes })
}

/// Reads rows that are to be predicted: the table alone. Labels are not asked for and no role is given.
///
/// # Errors
/// As [`read`].
pub fn read_rows(source: &Source, options: &Options) -> Result<Table, IngestError> {
    let (_, parsed) = parse(source, options, &mut Output::memory())?;
    Ok(Table::new(parsed.columns))
}

/// The words of a label or of groups are categories however many there are.
fn pin_kinds(whole: &mut Whole, options: &Options) {
    for (column, kind) in whole.columns.iter().zip(&mut whole.kinds) {
        if *kind == Kind::Text && options.is_pinned(&column.name) {
            *kind = Kind::Category;
        }
    }
}

fn described(whole: &Whole) -> Vec<Described<'_>> {
    let columns = whole.columns.iter().zip(&whole.kinds).zip(whole.gathered());
    columns.map(|((column, kind), gathered)| Described { name: &column.name, kind: *kind, gathered }).collect()
}

/// The rows that were not handed on to the output.
fn parse(source: &Source, options: &Options, out: &mut Output) -> Result<(Format, Parsed), IngestError> {
    let limits = &options.limits;
    if source.n_bytes() > limits.bytes {
        let message = format!("{} bytes, at most {} are accepted", source.n_bytes(), limits.bytes);
        return Err(IngestError::TooLarge { message });
    }
    if source.n_bytes() == 0 {
        return Err(IngestError::Empty {
            message: "the upload holds no bytes; send a file with a header and rows".into(),
        });
    }
    let format = options.format_of(source)?;
    options.check_csv_options(format)?;
    let whole = || source.whole(format.as_str());
    let parsed = match format {
        Format::Csv => csv::read(source, &options.csv_options()?, options, out),
        Format::Parquet => parquet::read(source, options, out),
        Format::Npz => npz::read(source, limits, out),
        Format::Npy => npy::read(source, limits, out),
        Format::Arrow => ipc::read(&whole()?, options, out),
        Format::JsonRows => json::read(&whole()?, options),
        Format::Ndjson => json::read_lines(source, options, out),
        Format::Svmlight => svmlight::read(&whole()?, limits),
    }?;
    // The invariants of `Table`, whatever the reader was.
    limits.check_shape(0, parsed.columns.len())?;
    check_names(parsed.columns.iter().map(|c| c.name.as_str()), limits)?;
    let n_kept = parsed.columns.first().map_or(0, |c| c.values.len());
    let n_rows = out.n_rows() + n_kept;
    if n_rows == 0 {
        return Err(IngestError::Empty { message: "there are columns but no rows; send at least one row".into() });
    }
    limits.check_shape(n_rows, parsed.columns.len())?;
    if let Some(odd) = parsed.columns.iter().find(|c| c.values.len() != n_kept) {
        let message = format!("column {:?} has {} values, the first has {n_kept}", odd.name, odd.values.len());
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

#[cfg(test)]
mod tests;
