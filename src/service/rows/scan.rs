//! Reads the usual document of a prediction several times faster than a reader of any JSON can: numbers go from the
//! text straight into the columns of a table, names that stand where they stood in the row before are only compared.
//!
//! It gives up at the first thing that is not usual (an escape, a name that is given twice, anything that is wrong), and
//! the reader for all documents begins again, which also knows how to say what is wrong. So whatever this one accepts,
//! that one must accept with the same outcome; a test holds the two against each other.

use std::collections::HashMap;

use adaptation::data::Column;

use super::cells::Cells;
use super::{Cell, MAX_RECORD_COLUMNS};

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
    let mut text = Text { bytes: std::str::from_utf8(bytes).ok()?.as_bytes(), at: 0 };
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
        // Cut at ASCII bytes out of text that is UTF-8.
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
                    let cell = self.cell()?;
                    match columns.get_mut(width) {
                        Some(cells) => cells.push(cell)?,
                        None if n_rows == 0 => columns.push(Cells::after(0, cell)),
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
        let mut n_rows = 0;
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
                    let cell = self.cell()?;
                    let cells = &mut columns[j].1;
                    if cells.len() > n_rows {
                        return None;
                    }
                    cells.push(cell)?;
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

    fn cell(&mut self) -> Option<Cell> {
        match self.peek()? {
            b'"' => Some(Cell::Text(self.string()?.to_owned())),
            b'n' => self.word(b"null", Cell::Missing),
            b't' => self.word(b"true", Cell::Boolean(true)),
            b'f' => self.word(b"false", Cell::Boolean(false)),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8], cell: Cell) -> Option<Cell> {
        self.bytes[self.at..].starts_with(word).then(|| self.at += word.len())?;
        Some(cell)
    }

    fn number(&mut self) -> Option<Cell> {
        let begin = self.at;
        let negative = self.bytes.get(begin) == Some(&b'-');
        self.at += usize::from(negative);
        let mut digits = Digits::default();
        let whole = self.digits(&mut digits);
        let leading_zero = self.bytes.get(self.at - whole) == Some(&b'0') && whole > 1;
        if whole == 0 || leading_zero {
            return None;
        }
        let mut exponent = 0i32;
        let mut is_integer = true;
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            is_integer = false;
            let n = self.digits(&mut digits);
            exponent -= i32::try_from(n).ok().filter(|n| *n > 0)?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            is_integer = false;
            let minus = self.bytes.get(self.at) == Some(&b'-');
            self.at += usize::from(minus || self.bytes.get(self.at) == Some(&b'+'));
            let mut power = Digits::default();
            let n = self.digits(&mut power);
            if n == 0 || n > 4 {
                return None;
            }
            let power = power.value as i32;
            exponent += if minus { -power } else { power };
        }
        if is_integer && digits.are_exact() && !(negative && digits.value == 0) {
            return Some(integer(digits.value, negative));
        }
        let value = match digits.exactly(exponent) {
            Some(value) if negative => -value,
            Some(value) => value,
            None => std::str::from_utf8(&self.bytes[begin..self.at]).ok()?.parse().ok()?,
        };
        f64::is_finite(value).then_some(Cell::Number(value))
    }

    /// Takes digits, and says how many.
    fn digits(&mut self, into: &mut Digits) -> usize {
        let rest = &self.bytes[self.at..];
        let mut value = into.value;
        let mut n = 0;
        while let Some(digit) = rest.get(n).map(|b| b.wrapping_sub(b'0')).filter(|d| *d < 10) {
            // Wraps where there are too many digits, which are then not exact.
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
            n += 1;
        }
        into.value = value;
        into.n += n;
        self.at += n;
        n
    }
}

/// An integer where it fits, as the reader for all documents has it.
fn integer(value: u64, negative: bool) -> Cell {
    match i64::try_from(value) {
        Ok(value) => Cell::Integer(if negative { -value } else { value }),
        Err(_) if negative && value == 1 << 63 => Cell::Integer(i64::MIN),
        Err(_) if negative => Cell::Number(-(value as f64)),
        Err(_) => Cell::Number(value as f64),
    }
}

/// Digits as one number.
#[derive(Default)]
struct Digits {
    value: u64,
    n: usize,
}

impl Digits {
    /// Whether `value` is all of them: 19 digits always fit.
    fn are_exact(&self) -> bool {
        self.n <= 19
    }

    /// `value · 10^exponent` where both are numbers without rounding, so that one operation rounds once: Clinger, How to
    /// read floating point numbers accurately, 1990.
    fn exactly(&self, exponent: i32) -> Option<f64> {
        const POWERS: [f64; 23] = [
            1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
            1e19, 1e20, 1e21, 1e22,
        ];
        let power = *POWERS.get(usize::try_from(exponent.unsigned_abs()).ok()?)?;
        if !self.are_exact() || self.value > 1 << 53 {
            return None;
        }
        let value = self.value as f64;
        Some(if exponent < 0 { value / power } else { value * power })
    }
}
