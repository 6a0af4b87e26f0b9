//! JSON rows: `[{…}, …]`, `{"rows": [{…}, …]}`, `{"columns": […], "data": [[…], …]}` or one object a line, read in one
//! pass.
//!
//! Cells go straight into typed columns; a tree of JSON values is never built. An absent key is a missing value.

mod lines;
mod rows;

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

pub(super) use lines::read_lines;

use rows::{Cell, Cells, Rows};

use super::Parsed;
use super::error::{IngestError, Place, shorten};
use super::options::Options;
use super::text;

pub(super) fn read(bytes: &[u8], options: &Options) -> Result<Parsed, IngestError> {
    let text = text::decode(bytes)?;
    if text.trim_ascii().is_empty() {
        return Err(IngestError::Empty { message: "the upload is blank; send JSON rows".into() });
    }
    let mut rows = Rows::new(options, Vec::new());
    let mut json = serde_json::Deserializer::from_str(&text);
    let outcome = Top(&mut rows).deserialize(&mut json).and_then(|()| json.end());
    if outcome.is_err() && is_too_deep(text.as_bytes()) {
        return Err(IngestError::JsonTooDeep { limit: MAX_DEPTH });
    }
    if let Some(problem) = rows.problem.take() {
        return Err(problem);
    }
    outcome.map_err(|e| malformed(&e))?;
    rows.finish()
}

/// As deep as `serde_json` recurses.
const MAX_DEPTH: usize = 127;

/// Whether brackets are nested deeper than that. It is asked of text that was refused, so it need not be JSON.
fn is_too_deep(text: &[u8]) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    text.iter().any(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MAX_DEPTH
    })
}

/// `serde_json` ends its messages with line and column.
fn malformed(error: &serde_json::Error) -> IngestError {
    let place = Place { line: Some(error.line() as u64), ..Place::default() };
    if error.is_data() {
        return IngestError::Invalid { message: format!("the JSON is not a table of rows: {error}"), place };
    }
    IngestError::MalformedJson { message: format!("the body is not JSON: {error}"), place }
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
        while seq.next_element_seed(Object { rows: &mut *self.0, prefix: Some("") })?.is_some() {}
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
                while seq.next_element_seed(Object { rows: &mut *self.rows, prefix: Some("/rows") })?.is_some() {}
            }
            Shape::Arrays => while seq.next_element_seed(Array(&mut *self.rows))?.is_some() {},
        }
        Ok(())
    }
}

/// One row with names.
struct Object<'r, 'l> {
    rows: &'r mut Rows<'l>,
    /// Of the list in the document; `None` where the row is the document.
    prefix: Option<&'static str>,
}

impl Object<'_, '_> {
    fn pointer(&self) -> String {
        self.prefix.map_or(String::new(), |prefix| format!("{prefix}/{}", self.rows.n_rows))
    }
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
        match self.pointer().as_str() {
            "" => f.write_str("an object of column names and values"),
            pointer => write!(f, "{pointer} to be an object of column names and values"),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let parent = self.pointer();
        let rows = self.rows;
        let mut seen = std::collections::HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            let pointer = format!("{parent}/{}", escaped(&name));
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
