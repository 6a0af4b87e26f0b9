//! Rows that come inside a request as JSON records or arrays, and the table that they make.
//! Numbers go straight into cells, never through a tree of JSON values.

mod cells;
mod decimal;
mod scan;

use std::collections::HashMap;
use std::fmt;

use adaptation::data::{Column, Table, Values};
use adaptation::features::InputProblem;
use adaptation::params::escape_pointer;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use self::scan::Scanned;
use super::error::{Code, Fault, Place, ServiceError};
use super::predict::include_of;
use crate::records::Include;

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Missing,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Text(String),
}

/// Rows as a table, and how they were written, so that faults point to where they stand.
#[derive(Debug, Clone, PartialEq)]
pub struct InlineRows {
    pub(super) table: Table,
    /// Also where the rows are empty objects and the table has no column.
    n_rows: usize,
    written: Written,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// `{"rows": [{"a": 1}, …]}`
    Records,
    /// `{"columns": ["a"], "data": [[1], …]}`
    Arrays,
    /// A file in one of the formats of domains.
    File,
}

/// The document of a prediction: either `rows`, or `columns` and `data`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct PredictDocument {
    #[serde(default)]
    rows: Option<Records>,
    #[serde(default)]
    columns: Option<Vec<String>>,
    #[serde(default)]
    data: Option<Vec<Vec<Cell>>>,
    /// Words of [`Include`], as the parameter of that name has them.
    #[serde(default)]
    include: Vec<String>,
    /// The rows, where the usual form was scanned.
    #[serde(skip)]
    scanned: Option<InlineRows>,
}

/// Cells of records, column by column.
#[derive(Debug, Default)]
struct Records {
    columns: Vec<(String, Vec<Cell>)>,
    index: HashMap<String, usize>,
    n_rows: usize,
    /// Values and nulls that were given.
    n_given: usize,
}

impl PredictDocument {
    /// What the document asks for beside the predictions.
    ///
    /// # Errors
    /// A word that is not known.
    pub fn include(&self) -> Result<Vec<Include>, ServiceError> {
        let read = |(i, word): (usize, &String)| {
            let refused = |known| ServiceError::at(Code::InvalidParameter, format!("/include/{i}"), known);
            include_of(word).map_err(refused)
        };
        self.include.iter().enumerate().map(read).collect()
    }

    /// Reads a document of the usual form several times faster than `serde_json` does; `None` leaves it to that, with
    /// the same outcome and the words for what is wrong.
    pub fn scan(bytes: &[u8]) -> Option<Self> {
        let Scanned { columns, n_rows, are_records, include } = scan::document(bytes)?;
        let written = if are_records { Written::Records } else { Written::Arrays };
        let rows = InlineRows { table: Table::new(columns), n_rows, written };
        Some(Self { include, scanned: Some(rows), ..Self::default() })
    }

    /// # Errors
    /// If neither or both forms are given, a row has another length than `columns`, or a column is
    /// named twice.
    pub fn into_rows(self) -> Result<InlineRows, ServiceError> {
        if let Some(rows) = self.scanned {
            return Ok(rows);
        }
        match (self.rows, self.columns, self.data) {
            (Some(records), None, None) => Ok(InlineRows::new(records.columns, records.n_rows, Written::Records)),
            (None, Some(columns), Some(data)) => arrays(columns, data),
            _ => Err(ServiceError::at(
                Code::InvalidParameter,
                "",
                "give either rows, a list of objects, or columns, a list of names, with data, a list of lists",
            )),
        }
    }
}

fn arrays(names: Vec<String>, data: Vec<Vec<Cell>>) -> Result<InlineRows, ServiceError> {
    for (j, name) in names.iter().enumerate() {
        if names[..j].contains(name) {
            let pointer = format!("/columns/{j}");
            return Err(ServiceError::at(Code::InvalidParameter, pointer, "this column is named twice"));
        }
    }
    let n_rows = data.len();
    let mut columns: Vec<(String, Vec<Cell>)> = names.into_iter().map(|n| (n, Vec::with_capacity(n_rows))).collect();
    for (i, row) in data.into_iter().enumerate() {
        if row.len() != columns.len() {
            let detail = format!("{} values for {} columns", row.len(), columns.len());
            return Err(ServiceError::at(Code::InvalidParameter, format!("/data/{i}"), detail));
        }
        columns.iter_mut().zip(row).for_each(|((_, cells), cell)| cells.push(cell));
    }
    Ok(InlineRows::new(columns, n_rows, Written::Arrays))
}

impl InlineRows {
    /// A column is of numbers or of true and false if all its cells are, else of words. Names are distinct.
    fn new(columns: Vec<(String, Vec<Cell>)>, n_rows: usize, written: Written) -> Self {
        let columns = columns.into_iter().map(|(name, cells)| Column { name, values: values_of(cells) });
        Self { table: Table::new(columns.collect()), n_rows, written }
    }

    /// Rows that came as a file.
    pub(super) fn of_file(table: Table) -> Self {
        Self { n_rows: table.n_rows(), table, written: Written::File }
    }

    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Rows, as a factor of what predicting them costs.
    pub(super) fn work(&self) -> u64 {
        self.n_rows as u64
    }

    /// Where a problem of the table stands in what was sent.
    pub(super) fn fault(&self, problem: &InputProblem) -> Fault {
        let at = match (self.written, problem.row) {
            (Written::Records, Some(i)) => Place::Pointer(format!("/rows/{i}/{}", escape_pointer(&problem.column))),
            (Written::Arrays, Some(i)) => {
                let j = self.table.columns().iter().position(|c| c.name == problem.column);
                Place::Pointer(format!("/data/{i}/{}", j.unwrap_or_default()))
            }
            (Written::File, Some(i)) => {
                Place::Cell { row: Some(i as u64 + 1), line: None, column: Some(problem.column.clone()) }
            }
            (_, None) => Place::Cell { row: None, line: None, column: Some(problem.column.clone()) },
        };
        Fault { at, code: problem.code.to_owned(), detail: problem.detail.clone() }
    }
}

fn values_of(cells: Vec<Cell>) -> Values {
    let (mut booleans, mut integers, mut numbers, mut words) = (false, false, false, false);
    for cell in &cells {
        match cell {
            Cell::Missing => {}
            Cell::Boolean(_) => booleans = true,
            Cell::Integer(_) => integers = true,
            Cell::Number(_) => numbers = true,
            Cell::Text(_) => words = true,
        }
    }
    if booleans && !integers && !numbers && !words {
        let value = |c: &Cell| if let Cell::Boolean(b) = c { Some(*b) } else { None };
        return Values::Boolean(cells.iter().map(value).collect());
    }
    if booleans || words {
        return Values::Text(cells.into_iter().map(word).collect());
    }
    if numbers {
        return Values::Number(cells.iter().map(number).collect());
    }
    let value = |c: &Cell| if let Cell::Integer(i) = c { Some(*i) } else { None };
    Values::Integer(cells.iter().map(value).collect())
}

fn number(cell: &Cell) -> Option<f64> {
    match cell {
        Cell::Integer(i) => Some(*i as f64),
        Cell::Number(x) => Some(*x),
        Cell::Missing | Cell::Boolean(_) | Cell::Text(_) => None,
    }
}

fn word(cell: Cell) -> Option<String> {
    match cell {
        Cell::Missing => None,
        Cell::Boolean(b) => Some(b.to_string()),
        Cell::Integer(i) => Some(i.to_string()),
        Cell::Number(x) => Some(x.to_string()),
        Cell::Text(text) => Some(text),
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CellVisitor;
        impl Visitor<'_> for CellVisitor {
            type Value = Cell;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, text, true, false or null")
            }

            fn visit_unit<E>(self) -> Result<Cell, E> {
                Ok(Cell::Missing)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Cell, E> {
                Ok(Cell::Boolean(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Cell, E> {
                Ok(Cell::Integer(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Cell, E> {
                Ok(i64::try_from(value).map_or(Cell::Number(value as f64), Cell::Integer))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Cell, E> {
                Ok(Cell::Number(value))
            }

            fn visit_str<E>(self, value: &str) -> Result<Cell, E> {
                Ok(Cell::Text(value.to_owned()))
            }
        }
        deserializer.deserialize_any(CellVisitor)
    }
}

impl<'de> Deserialize<'de> for Records {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RecordsVisitor;
        impl<'de> Visitor<'de> for RecordsVisitor {
            type Value = Records;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of objects")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Records, A::Error> {
                let mut records = Records::default();
                while rows.next_element_seed(OneRecord(&mut records))?.is_some() {}
                Ok(records)
            }
        }
        deserializer.deserialize_seq(RecordsVisitor)
    }
}

/// Reads one record into the columns of all.
struct OneRecord<'a>(&'a mut Records);

impl<'de> DeserializeSeed<'de> for OneRecord<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneRecord<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of column names and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Records { columns, index, n_rows, n_given } = self.0;
        while let Some(name) = fields.next_key::<String>()? {
            let cell = fields.next_value::<Cell>()?;
            let j = match index.get(&name) {
                Some(&j) => j,
                None => {
                    // Columns in a table of records cost memory in every row: a bound keeps rows
                    // with ever new names from growing it with the square of the body.
                    if columns.len() == MAX_RECORD_COLUMNS {
                        return Err(A::Error::custom(format!("more than {MAX_RECORD_COLUMNS} distinct columns")));
                    }
                    index.insert(name.clone(), columns.len());
                    columns.push((name, Vec::new()));
                    columns.len() - 1
                }
            };
            let cells = &mut columns[j].1;
            if cells.len() > *n_rows {
                return Err(A::Error::custom("a column is named twice in one row"));
            }
            // Rows before this one did not name the column.
            cells.resize(*n_rows, Cell::Missing);
            cells.push(cell);
            *n_given += 1;
        }
        *n_rows += 1;
        if !are_filled(*n_rows, columns.len(), *n_given) {
            return Err(A::Error::custom(format!(
                "the rows name {} distinct columns, and most hold few of them; send columns and data",
                columns.len()
            )));
        }
        for (_, cells) in columns.iter_mut() {
            cells.resize(*n_rows, Cell::Missing);
        }
        Ok(())
    }
}

const MAX_RECORD_COLUMNS: usize = 20_000;

/// Whether records that hold so many values may make a table of this size: those that each name other columns would make
/// one that is the square of theirs.
fn are_filled(n_rows: usize, n_columns: usize, n_given: usize) -> bool {
    const FREE_CELLS: usize = 1 << 20;
    n_rows.saturating_mul(n_columns) <= FREE_CELLS + 4 * n_given
}

#[cfg(test)]
mod tests;
