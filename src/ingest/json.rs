//! JSON rows: `[{…}, …]`, `{"rows": [{…}, …]}` or `{"columns": […], "data": [[…], …]}`, read in one pass.
//!
//! Cells go straight into typed columns; a tree of JSON values is never built. An absent key is a missing value.

use std::collections::HashMap;
use std::fmt;

use adaptation::data::{Column, Values};
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::builder::Words;
use super::error::{IngestError, Place, shorten};
use super::options::Limits;
use super::{Parsed, check_names, text};

pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Parsed, IngestError> {
    let text = text::decode(bytes)?;
    if text.trim_ascii().is_empty() {
        return Err(IngestError::Empty { message: "the upload is blank; send JSON rows".into() });
    }
    let mut rows = Rows { limits, columns: Vec::new(), index: HashMap::new(), names: None, n_rows: 0, problem: None };
    let mut json = serde_json::Deserializer::from_str(&text);
    let outcome = Top(&mut rows).deserialize(&mut json).and_then(|()| json.end());
    if let Some(problem) = rows.problem.take() {
        return Err(problem);
    }
    outcome.map_err(|e| malformed(&e))?;
    rows.finish()
}

/// `serde_json` ends its messages with line and column.
fn malformed(error: &serde_json::Error) -> IngestError {
    let place = Place { line: Some(error.line() as u64), ..Place::default() };
    if error.is_data() {
        return IngestError::Invalid { message: format!("the JSON is not a table of rows: {error}"), place };
    }
    IngestError::MalformedJson { message: format!("the body is not JSON: {error}"), place }
}

/// The table so far.
struct Rows<'a> {
    limits: &'a Limits,
    /// Each at most `n_rows` long; what is not there is missing.
    columns: Vec<(String, Cells)>,
    index: HashMap<String, usize>,
    /// The names of `{"columns": …, "data": …}`, which may stand after the data.
    names: Option<Vec<String>>,
    n_rows: usize,
    /// The error that stopped the parser: serde carries only text.
    problem: Option<IngestError>,
}

impl Rows<'_> {
    fn stop<E: de::Error>(&mut self, problem: IngestError) -> E {
        let error = E::custom(&problem);
        self.problem = Some(problem);
        error
    }

    fn column_at(&mut self, name: &str) -> Result<usize, IngestError> {
        if let Some(i) = self.index.get(name) {
            return Ok(*i);
        }
        self.limits.check_shape(0, self.columns.len() + 1)?;
        self.index.insert(name.to_owned(), self.columns.len());
        self.columns.push((name.to_owned(), Cells::Unknown));
        Ok(self.columns.len() - 1)
    }

    /// Puts a cell of the row being read, which is row `n_rows`.
    fn put(&mut self, column: usize, cell: Cell<'_>, pointer: impl Fn() -> String) -> Result<(), IngestError> {
        let row = self.n_rows;
        let (name, cells) = &mut self.columns[column];
        cells.put(row, cell).map_err(|reason| {
            let place = Place { pointer: Some(pointer()), ..Place::cell(row + 1, name) };
            IngestError::invalid_at(place, format!("{}: {reason}", pointer()))
        })
    }

    fn end_row(&mut self) -> Result<(), IngestError> {
        self.n_rows += 1;
        self.limits.check_shape(self.n_rows, self.columns.len())
    }

    fn finish(mut self) -> Result<Parsed, IngestError> {
        if self.n_rows == 0 {
            return Err(IngestError::Empty { message: "the JSON holds no rows; send at least one".into() });
        }
        if let Some(names) = self.names.take() {
            check_names(names.iter().map(String::as_str), self.limits)?;
            for (column, name) in self.columns.iter_mut().zip(names) {
                column.0 = name;
            }
        }
        if self.columns.is_empty() {
            return Err(IngestError::Empty { message: "the JSON rows hold no values; name each value".into() });
        }
        let n = self.n_rows;
        let columns = self.columns.into_iter().map(|(name, cells)| Column { name, values: cells.finish(n) });
        Ok(Parsed { columns: columns.collect(), notes: Vec::new() })
    }
}

/// One value.
enum Cell<'a> {
    Missing,
    Boolean(bool),
    Integer(i64),
    Number(f64),
    Word(&'a str),
}

/// The values of one column so far; its type is that of its first value, and integers widen to numbers.
enum Cells {
    Unknown,
    Boolean(Vec<Option<bool>>),
    Integer(Vec<Option<i64>>),
    Number(Vec<Option<f64>>),
    Words(Words),
}

impl Cells {
    fn put(&mut self, row: usize, cell: Cell<'_>) -> Result<(), String> {
        if matches!(self, Cells::Unknown) {
            *self = match cell {
                Cell::Missing => return Ok(()),
                Cell::Boolean(_) => Cells::Boolean(Vec::new()),
                Cell::Integer(_) => Cells::Integer(Vec::new()),
                Cell::Number(_) => Cells::Number(Vec::new()),
                Cell::Word(_) => Cells::Words(Words::default()),
            };
        }
        if let (Cells::Integer(v), Cell::Number(_)) = (&mut *self, &cell) {
            *self = Cells::Number(v.iter().map(|x| x.map(|x| x as f64)).collect());
        }
        match (&mut *self, cell) {
            (_, Cell::Missing) => {}
            (Cells::Boolean(v), Cell::Boolean(x)) => put(v, row, x),
            (Cells::Integer(v), Cell::Integer(x)) => put(v, row, x),
            (Cells::Number(v), Cell::Integer(x)) => put(v, row, x as f64),
            (Cells::Number(v), Cell::Number(x)) => put(v, row, x),
            (Cells::Words(words), Cell::Word(x)) => {
                pad_words(words, row);
                words.push(Some(x));
            }
            (cells, cell) => {
                return Err(format!("expected {} as in the rows before, got {}", cells.describe(), cell.describe()));
            }
        }
        Ok(())
    }

    fn describe(&self) -> &'static str {
        match self {
            Cells::Unknown => "any value",
            Cells::Boolean(_) => "a boolean",
            Cells::Integer(_) | Cells::Number(_) => "a number",
            Cells::Words(_) => "a string",
        }
    }

    fn finish(self, n: usize) -> Values {
        match self {
            Cells::Unknown => Values::Number(vec![None; n]),
            Cells::Boolean(v) => Values::Boolean(padded(v, n)),
            Cells::Integer(v) => Values::Integer(padded(v, n)),
            Cells::Number(v) => Values::Number(padded(v, n)),
            Cells::Words(mut words) => {
                pad_words(&mut words, n);
                words.finish_guessing()
            }
        }
    }
}

/// A repeated key is caught before this; so `row` is never before the end.
fn put<T: Clone>(values: &mut Vec<Option<T>>, row: usize, value: T) {
    values.resize(row, None);
    values.push(Some(value));
}

fn padded<T: Clone>(mut values: Vec<Option<T>>, n: usize) -> Vec<Option<T>> {
    values.resize(n, None);
    values
}

fn pad_words(words: &mut Words, n: usize) {
    while words.len() < n {
        words.push(None);
    }
}

impl Cell<'_> {
    fn describe(&self) -> String {
        match self {
            Cell::Missing => "null".into(),
            Cell::Boolean(x) => x.to_string(),
            Cell::Integer(x) => x.to_string(),
            Cell::Number(x) => x.to_string(),
            Cell::Word(x) => format!("{:?}", shorten(x)),
        }
    }
}

/// `~` and `/` as RFC 6901 writes them.
fn escaped(name: &str) -> String {
    shorten(name).replace('~', "~0").replace('/', "~1")
}

/// The whole body.
struct Top<'r, 'l>(&'r mut Rows<'l>);

impl<'de> DeserializeSeed<'de> for Top<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Top<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array of objects, or an object with `rows`, or with `columns` and `data`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Object { rows: &mut *self.0, prefix: "" })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = [false; 3];
        while let Some(key) = map.next_key::<String>()? {
            let slot = match key.as_str() {
                "rows" => 0,
                "columns" => 1,
                "data" => 2,
                _ => {
                    let message = format!("unknown field {:?}; a table has rows, or columns and data", shorten(&key));
                    let place = Place::pointer(format!("/{}", escaped(&key)));
                    return Err(self.0.stop(IngestError::invalid_at(place, message)));
                }
            };
            if std::mem::replace(&mut seen[slot], true) || (seen[0] && (seen[1] || seen[2])) {
                let message = format!("{key:?} is one too many: send rows, or columns and data, each once");
                return Err(self.0.stop(IngestError::invalid_at(Place::pointer(format!("/{key}")), message)));
            }
            match slot {
                0 => map.next_value_seed(List { rows: &mut *self.0, of: Shape::Objects })?,
                1 => self.0.names = Some(map.next_value::<Vec<String>>()?),
                _ => map.next_value_seed(List { rows: &mut *self.0, of: Shape::Arrays })?,
            }
        }
        match seen {
            [true, false, false] => Ok(()),
            [false, true, true] => check_width(self.0).map_err(|problem| self.0.stop(problem)),
            _ => Err(de::Error::custom("the object needs rows, or columns and data")),
        }
    }
}

/// The names of `columns` against the rows of `data`, where the names came last.
fn check_width(rows: &Rows) -> Result<(), IngestError> {
    let n_names = rows.names.as_ref().map_or(0, Vec::len);
    if rows.n_rows > 0 && rows.columns.len() != n_names {
        let message = format!("columns names {n_names} columns, the rows of data have {}", rows.columns.len());
        return Err(IngestError::invalid_at(Place::pointer("/columns".into()), message));
    }
    Ok(())
}

/// What the rows of a list are.
#[derive(Clone, Copy)]
enum Shape {
    Objects,
    Arrays,
}

struct List<'r, 'l> {
    rows: &'r mut Rows<'l>,
    of: Shape,
}

impl<'de> DeserializeSeed<'de> for List<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array of rows")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        match self.of {
            Shape::Objects => {
                while seq.next_element_seed(Object { rows: &mut *self.rows, prefix: "/rows" })?.is_some() {}
            }
            Shape::Arrays => while seq.next_element_seed(Array(&mut *self.rows))?.is_some() {},
        }
        Ok(())
    }
}

/// One row with names.
struct Object<'r, 'l> {
    rows: &'r mut Rows<'l>,
    prefix: &'static str,
}

impl<'de> DeserializeSeed<'de> for Object<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/{} to be an object of column names and values", self.prefix, self.rows.n_rows)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { rows, prefix } = self;
        let mut seen = std::collections::HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let place = || format!("{prefix}/{}/{}", rows.n_rows, escaped(&name));
            let pointer = place();
            let column = rows.column_at(&name).map_err(|problem| rows.stop(problem))?;
            if !seen.insert(column) {
                let problem =
                    IngestError::invalid_at(Place::pointer(pointer.clone()), format!("{pointer} is given twice"));
                return Err(rows.stop(problem));
            }
            map.next_value_seed(Value { rows: &mut *rows, column, pointer: &|| pointer.clone() })?;
        }
        rows.end_row().map_err(|problem| rows.stop(problem))
    }
}

/// One row without names.
struct Array<'r, 'l>(&'r mut Rows<'l>);

impl<'de> DeserializeSeed<'de> for Array<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Array<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "/data/{} to be an array of values", self.0.n_rows)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let rows = self.0;
        let row = rows.n_rows;
        let mut width = 0;
        loop {
            // The first row makes the columns; a longer one is read on only to be counted.
            if width == rows.columns.len() && row == 0 && rows.limits.check_shape(0, width).is_ok() {
                rows.columns.push((String::new(), Cells::Unknown));
            }
            let pointer = || format!("/data/{row}/{width}");
            let found = if width < rows.columns.len() {
                seq.next_element_seed(Value { rows: &mut *rows, column: width, pointer: &pointer })?.is_some()
            } else {
                seq.next_element::<IgnoredAny>()?.is_some()
            };
            if !found {
                break;
            }
            width += 1;
        }
        if row == 0 {
            rows.columns.truncate(width);
        }
        rows.limits.check_shape(0, width).map_err(|problem| rows.stop(problem))?;
        let expected = rows.names.as_ref().map_or(rows.columns.len(), Vec::len);
        if width != expected {
            let message = format!("/data/{row} has {width} values, expected {expected}");
            let place = Place { row: Some(row as u64 + 1), ..Place::pointer(format!("/data/{row}")) };
            return Err(rows.stop(IngestError::invalid_at(place, message)));
        }
        rows.end_row().map_err(|problem| rows.stop(problem))
    }
}

/// One value of the row being read.
struct Value<'r, 'l, 'p> {
    rows: &'r mut Rows<'l>,
    column: usize,
    pointer: &'p dyn Fn() -> String,
}

impl Value<'_, '_, '_> {
    fn put<E: de::Error>(self, cell: Cell<'_>) -> Result<(), E> {
        let Self { rows, column, pointer } = self;
        rows.put(column, cell, pointer).map_err(|problem| rows.stop(problem))
    }

    fn nested<E: de::Error>(self) -> E {
        let pointer = (self.pointer)();
        let message = format!("{pointer} is nested; a cell is a number, a string, true, false or null");
        self.rows.stop(IngestError::invalid_at(Place::pointer(pointer), message))
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a number, a string, true, false or null")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.put(Cell::Missing)
    }

    fn visit_bool<E: de::Error>(self, x: bool) -> Result<(), E> {
        self.put(Cell::Boolean(x))
    }

    fn visit_i64<E: de::Error>(self, x: i64) -> Result<(), E> {
        self.put(Cell::Integer(x))
    }

    fn visit_u64<E: de::Error>(self, x: u64) -> Result<(), E> {
        self.put(i64::try_from(x).map_or(Cell::Number(x as f64), Cell::Integer))
    }

    fn visit_f64<E: de::Error>(self, x: f64) -> Result<(), E> {
        self.put(Cell::Number(x))
    }

    fn visit_str<E: de::Error>(self, x: &str) -> Result<(), E> {
        self.put(Cell::Word(x))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.nested())
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.nested())
    }
}
