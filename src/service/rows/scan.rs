//! Reads the usual document of a prediction several times faster than a reader of any JSON can: numbers go from the
//! text straight into the columns of a table, names that stand where they stood in the row before are only compared.
//!
//! It gives up at the first thing that is not usual (an escape, a name that is given twice, anything that is wrong), and
//! the reader for all documents begins again, which also knows how to say what is wrong. So whatever this one accepts,
//! that one must accept with the same outcome; a test holds the two against each other.

use std::collections::HashMap;

use adaptation::data::Column;

use super::cells::Cells;
use super::decimal;
use super::{Cell, MAX_RECORD_COLUMNS, are_filled};

/// Rows for which room is made once the first one is known; more make their own.
const ROOM_ROWS: usize = 4096;

/// Rows as they were scanned.
pub(super) struct Scanned {
    pub(super) columns: Vec<Column>,
    pub(super) n_rows: usize,
    /// Whether rows were objects, not arrays.
    pub(super) are_records: bool,
    pub(super) include: Vec<String>,
}

/// The rows of a document, unless something in it is unusual.
pub(super) fn document(bytes: &[u8]) -> Option<Scanned> {
    let mut text = Text { bytes, at: 0 };
    let (mut records, mut names, mut data, mut include) = (None, None, None, None);
    text.expect(b'{')?;
    loop {
        match text.key()? {
            "rows" if records.is_none() => records = Some(text.records()?),
            "columns" if names.is_none() => names = Some(text.words()?),
            "data" if data.is_none() => data = Some(text.arrays()?),
            "include" if include.is_none() => include = Some(text.words()?),
            _ => return None,
        }
        if !text.goes_on(b'}')? {
            break;
        }
    }
    if text.peek().is_some() {
        return None;
    }
    let include = include.unwrap_or_default();
    match (records, names, data) {
        (Some((columns, n_rows)), None, None) => {
            let columns = columns.into_iter().map(|(name, cells)| Column { name, values: cells.values() });
            Some(Scanned { columns: columns.collect(), n_rows, are_records: true, include })
        }
        (None, Some(names), Some((cells, n_rows))) => {
            let twice = names.iter().enumerate().any(|(j, name)| names[..j].contains(name));
            if twice || cells.len() != names.len() {
                return None;
            }
            let columns = names.into_iter().zip(cells).map(|(name, cells)| Column { name, values: cells.values() });
            Some(Scanned { columns: columns.collect(), n_rows, are_records: false, include })
        }
        _ => None,
    }
}

struct Text<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Text<'a> {
    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        while let Some(b) = self.bytes.get(self.at) {
            match b {
                b' ' | b'\n' | b'\t' | b'\r' => self.at += 1,
                b => return Some(*b),
            }
        }
        None
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Whether a comma follows; else the end must.
    fn goes_on(&mut self, end: u8) -> Option<bool> {
        let next = self.peek()?;
        self.at += 1;
        match next {
            b',' => Some(true),
            b if b == end => Some(false),
            _ => None,
        }
    }

    /// Whether the list or object that has just begun is empty; then its end is taken.
    fn is_empty(&mut self, end: u8) -> Option<bool> {
        let empty = self.peek()? == end;
        self.at += usize::from(empty);
        Some(empty)
    }

    /// A string without escapes.
    fn string(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20))?;
        if rest[end] != b'"' {
            return None;
        }
        self.at += end + 1;
        // Everything else that is accepted is ASCII.
        std::str::from_utf8(&rest[..end]).ok()
    }

    fn key(&mut self) -> Option<&'a str> {
        let key = self.string()?;
        self.expect(b':')?;
        Some(key)
    }

    fn words(&mut self) -> Option<Vec<String>> {
        self.expect(b'[')?;
        let mut words = Vec::new();
        if self.is_empty(b']')? {
            return Some(words);
        }
        loop {
            words.push(self.string()?.to_owned());
            if !self.goes_on(b']')? {
                return Some(words);
            }
        }
    }

    /// Rows without names, as columns.
    fn arrays(&mut self) -> Option<(Vec<Cells>, usize)> {
        let mut columns: Vec<Cells> = Vec::new();
        let mut n_rows = 0;
        self.expect(b'[')?;
        if self.is_empty(b']')? {
            return None;
        }
        loop {
            let begin = self.at;
            self.expect(b'[')?;
            let mut width = 0;
            if !self.is_empty(b']')? {
                loop {
                    match columns.get_mut(width) {
                        Some(cells) => self.value(cells)?,
                        None if n_rows == 0 => columns.push(Cells::after(0, self.cell()?)),
                        None => return None,
                    }
                    width += 1;
                    if !self.goes_on(b']')? {
                        break;
                    }
                }
            }
            if width != columns.len() {
                return None;
            }
            if n_rows == 0 {
                let room = self.rows_like(begin);
                columns.iter_mut().for_each(|cells| cells.reserve(room));
            }
            n_rows += 1;
            if !self.goes_on(b']')? {
                return Some((columns, n_rows));
            }
        }
    }

    /// Rows with names.
    fn records(&mut self) -> Option<(Vec<(String, Cells)>, usize)> {
        let mut columns: Vec<(String, Cells)> = Vec::new();
        let mut index: HashMap<&str, usize> = HashMap::new();
        let (mut n_rows, mut n_given) = (0, 0);
        self.expect(b'[')?;
        if self.is_empty(b']')? {
            return Some((columns, 0));
        }
        loop {
            let begin = self.at;
            self.expect(b'{')?;
            let mut width = 0;
            if !self.is_empty(b'}')? {
                loop {
                    let j = match columns.get(width) {
                        Some((expected, _)) if self.is_key(expected)? => width,
                        _ => {
                            let name = self.key()?;
                            match index.get(name) {
                                Some(j) => *j,
                                None if columns.len() == MAX_RECORD_COLUMNS => return None,
                                None => {
                                    index.insert(name, columns.len());
                                    columns.push((name.to_owned(), Cells::Missing(n_rows)));
                                    columns.len() - 1
                                }
                            }
                        }
                    };
                    let cells = &mut columns[j].1;
                    if cells.len() > n_rows {
                        return None;
                    }
                    self.value(cells)?;
                    width += 1;
                    if !self.goes_on(b'}')? {
                        break;
                    }
                }
            }
            if n_rows == 0 {
                let room = self.rows_like(begin);
                columns.iter_mut().for_each(|(_, cells)| cells.reserve(room));
            }
            n_rows += 1;
            n_given += width;
            if !are_filled(n_rows, columns.len(), n_given) {
                return None;
            }
            if width < columns.len() {
                columns.iter_mut().for_each(|(_, cells)| cells.fill(n_rows));
            }
            if !self.goes_on(b']')? {
                return Some((columns, n_rows));
            }
        }
    }

    /// Whether the next key is this one; then it is taken.
    fn is_key(&mut self, name: &str) -> Option<bool> {
        self.peek()?;
        let rest = &self.bytes[self.at + 1..];
        // What the reader for all documents would call by this name otherwise has an escape, on which the scan ends.
        let same =
            self.bytes[self.at] == b'"' && rest.starts_with(name.as_bytes()) && rest.get(name.len()) == Some(&b'"');
        if same {
            self.at += name.len() + 2;
            self.expect(b':')?;
        }
        Some(same)
    }

    /// How many rows as long as the one that began there may follow.
    fn rows_like(&self, begin: usize) -> usize {
        ((self.bytes.len() - self.at) / (self.at - begin).max(1) + 1).min(ROOM_ROWS)
    }

    /// Reads the next value of a column.
    #[inline]
    fn value(&mut self, of: &mut Cells) -> Option<()> {
        match of {
            // What there is most of goes without a detour.
            Cells::Numbers(values) if matches!(self.peek()?, b'-' | b'0'..=b'9') => {
                let (number, n) = decimal::double(&self.bytes[self.at..])?;
                values.push(Some(number));
                self.at += n;
                Some(())
            }
            _ => of.push(self.cell()?),
        }
    }

    fn cell(&mut self) -> Option<Cell> {
        match self.peek()? {
            b'"' => Some(Cell::Text(self.string()?.to_owned())),
            b'n' => self.word(b"null", Cell::Missing),
            b't' => self.word(b"true", Cell::Boolean(true)),
            b'f' => self.word(b"false", Cell::Boolean(false)),
            _ => {
                let (cell, n) = decimal::cell(&self.bytes[self.at..])?;
                self.at += n;
                Some(cell)
            }
        }
    }

    fn word(&mut self, word: &[u8], cell: Cell) -> Option<Cell> {
        self.bytes[self.at..].starts_with(word).then(|| self.at += word.len())?;
        Some(cell)
    }
}
