//! One NPY array: a strict header parser and the decoding of plain numbers, booleans and fixed-width strings.
//!
//! The header is a Python literal. Only the dictionary that NumPy writes is understood: a general literal parser
//! recurses as deep as the header wants, and a pickled array must never be unpickled anyway.

use std::io::{self, Read};
use std::ops::Range;

use adaptation::data::{Column, Values};

use super::Parsed;
use super::error::{IngestError, Place};
use super::options::Limits;
use super::output::Output;
use super::source::Source;

/// Of an array that lies column by column, because it has no rows before all of it is there.
const MOST_BY_COLUMNS: usize = 256 << 20;

/// Bytes before the header's text: magic, version, length (two bytes in version 1, four after).
pub(super) const MAX_HEADER: usize = 10_000;

/// What one element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Float,
    Signed,
    Unsigned,
    Boolean,
    /// UTF-32 characters.
    Unicode,
    /// Bytes, padded with NUL.
    Bytes,
}

/// The parsed header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) element: Element,
    pub(super) big_endian: bool,
    /// Bytes of one element.
    pub(super) size: usize,
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<usize>,
}

impl Header {
    /// The number of elements; `None` beyond what a machine counts.
    pub(super) fn n_elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d))
    }
}

/// Splits magic, version and header text from the start of an array: the header and where the data starts.
///
/// # Errors
/// A message without the array's name.
pub(super) fn parse_header(bytes: &[u8]) -> Result<(Header, usize), String> {
    let cut_short = || "the array is cut short in its header".to_owned();
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or("it is not an NPY array")?;
    let (length, start) = match rest {
        [1, _, a, b, ..] => (usize::from(u16::from_le_bytes([*a, *b])), 10),
        [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 12),
        [1..=3, ..] => return Err(cut_short()),
        _ => return Err("its NPY version is not known".into()),
    };
    if length > MAX_HEADER {
        return Err(format!("its header says it is {length} bytes long, at most {MAX_HEADER} are read"));
    }
    let text = bytes.get(start..start + length).ok_or_else(cut_short)?;
    let text = std::str::from_utf8(text).map_err(|_| "its header is not text")?;
    Ok((parse_dictionary(text)?, start + length))
}

fn parse_dictionary(text: &str) -> Result<Header, String> {
    let odd = || "its header is not one that NumPy writes".to_owned();
    let body = text.trim().strip_prefix('{').and_then(|t| t.strip_suffix('}')).ok_or_else(odd)?;
    let value = |key: &str| {
        let quoted = [format!("'{key}':"), format!("\"{key}\":")];
        quoted.iter().find_map(|k| body.split_once(k.as_str())).map(|(_, after)| after.trim_start())
    };
    let descr = value("descr").ok_or_else(odd)?;
    if descr.starts_with('[') {
        return Err("it holds records; send plain numbers".into());
    }
    let quote = descr.chars().next().filter(|c| matches!(c, '\'' | '"')).ok_or_else(odd)?;
    let descr = descr[1..].split_once(quote).ok_or_else(odd)?.0;
    let fortran = value("fortran_order").ok_or_else(odd)?;
    let fortran_order = match (fortran.starts_with("True"), fortran.starts_with("False")) {
        (true, _) => true,
        (_, true) => false,
        _ => return Err(odd()),
    };
    let shape = value("shape").and_then(|s| s.strip_prefix('(')).and_then(|s| s.split_once(')')).ok_or_else(odd)?.0;
    let shape = (shape.split(',').map(str::trim).filter(|s| !s.is_empty()))
        .map(|s| s.parse::<usize>().map_err(|_| odd()))
        .collect::<Result<Vec<usize>, _>>()?;
    let (element, big_endian, size) = parse_dtype(descr)?;
    Ok(Header { element, big_endian, size, fortran_order, shape })
}

fn parse_dtype(descr: &str) -> Result<(Element, bool, usize), String> {
    let unsupported = || format!("its type {:?} is not read; send numbers", super::error::shorten(descr));
    let big_endian = descr.starts_with('>');
    let plain = descr.trim_start_matches(['<', '>', '|', '=']);
    if plain.starts_with('O') {
        return Err("it is pickled (object-typed), and unpickling runs code; \
                    convert it, as in X.astype(float) or y.astype(str)"
            .into());
    }
    let mut letters = plain.chars();
    let kind = letters.next().ok_or_else(unsupported)?;
    let size: usize = letters.as_str().parse().map_err(|_| unsupported())?;
    match (kind, size) {
        ('f', 2 | 4 | 8) => Ok((Element::Float, big_endian, size)),
        ('i', 1 | 2 | 4 | 8) => Ok((Element::Signed, big_endian, size)),
        ('u', 1 | 2 | 4 | 8) => Ok((Element::Unsigned, big_endian, size)),
        ('b', 1) => Ok((Element::Boolean, big_endian, size)),
        ('U', 1..=10_000) => Ok((Element::Unicode, big_endian, 4 * size)),
        ('S', 1..=40_000) => Ok((Element::Bytes, big_endian, size)),
        _ => Err(unsupported()),
    }
}

/// An array that was sent alone: `(n, d)` becomes columns `x0…`, `(n,)` becomes `x0`.
pub(super) fn read(source: &Source, limits: &Limits, out: &mut Output) -> Result<Parsed, IngestError> {
    let refuse = |message: String| IngestError::invalid(format!("the array: {message}"));
    // Enough for the longest header.
    let (header, start) = parse_header(&source.start(MAX_HEADER + 12)?).map_err(refuse)?;
    let shape = match header.shape.as_slice() {
        [n, d] => (*n, *d),
        [n] => (*n, 1),
        other => return Err(refuse(format!("it has shape {other:?}, expected (n, d) or (n,); reshape it"))),
    };
    if matches!(header.element, Element::Unicode | Element::Bytes) {
        return Err(refuse("it holds strings; encode them as numbers, or send CSV, Parquet or JSON".into()));
    }
    if shape.0 == 0 || shape.1 == 0 {
        return Err(IngestError::Empty { message: format!("the array has shape {:?}: no values", header.shape) });
    }
    limits.check_shape(shape.0, shape.1)?;
    let (held, expected) =
        (source.n_bytes() - start as u64, header.n_elements().and_then(|n| n.checked_mul(header.size)));
    if expected.map(|n| n as u64) != Some(held) {
        let shape = &header.shape;
        return Err(refuse(format!("its shape {shape:?} does not need the {held} bytes that it holds")));
    }
    let mut data = source.open()?;
    io::copy(&mut data.by_ref().take(start as u64), &mut io::sink())?;
    out.restart()?;
    let blocks = Blocks { header: &header, shape, data: &mut *data };
    let columns = blocks.hand_on(out, |block, rows| {
        let columns = (0..shape.1).map(|j| {
            let name = format!("x{j}");
            match column(&header, block.data, j, (block.n_rows, shape.1), block.rows.clone()) {
                Ok(values) => Ok(Column { name, values }),
                Err(bad) => {
                    let row = rows.start + bad.row + 1;
                    let message = format!("row {row}, column {name:?}: {}", bad.reason);
                    Err(IngestError::invalid_at(Place::cell(row, &name), message))
                }
            }
        });
        columns.collect()
    })?;
    Ok(Parsed::new(columns))
}

/// The elements of an array, from its first one on.
pub(super) struct Blocks<'a> {
    pub(super) header: &'a Header,
    /// `(n, d)`, none of them 0.
    pub(super) shape: (usize, usize),
    pub(super) data: &'a mut dyn Read,
}

/// Elements that are in memory.
pub(super) struct Block<'a> {
    pub(super) data: &'a [u8],
    /// Rows that the elements make.
    pub(super) n_rows: usize,
    /// Of these, the ones that are meant.
    pub(super) rows: Range<usize>,
}

impl Blocks<'_> {
    /// Makes columns of some rows after others; all but the last of them are handed on.
    ///
    /// # Errors
    /// Data that ends too soon; an array by columns that is too large to be held.
    pub(super) fn hand_on(
        self,
        out: &mut Output,
        columns: impl Fn(Block<'_>, Range<usize>) -> Result<Vec<Column>, IngestError>,
    ) -> Result<Vec<Column>, IngestError> {
        let Self { header, shape: (n, d), data } = self;
        let row_bytes = d * header.size;
        let n_rows = out.chunk_rows(n, d);
        if header.fortran_order && n.saturating_mul(row_bytes) > MOST_BY_COLUMNS {
            let message = format!(
                "the array lies column by column (Fortran order) and is larger than {MOST_BY_COLUMNS} bytes; store it by \
                 rows, as numpy.ascontiguousarray makes it"
            );
            return Err(IngestError::TooLarge { message });
        }
        let mut held = Vec::new();
        let mut read = |n_rows: usize, held: &mut Vec<u8>| {
            let expected = n_rows * row_bytes;
            held.clear();
            // The vector grows with the bytes that are there, never with what the header says.
            (&mut *data).take(expected as u64).read_to_end(held)?;
            match expected - held.len() {
                0 => Ok(()),
                n => Err(IngestError::invalid(format!("the array is cut short: {n} bytes of a block are missing"))),
            }
        };
        if header.fortran_order {
            read(n, &mut held)?;
        }
        let mut start = 0;
        loop {
            let rows = start..n.min(start + n_rows);
            let block = if header.fortran_order {
                Block { data: &held, n_rows: n, rows: rows.clone() }
            } else {
                read(rows.len(), &mut held)?;
                Block { data: &held, n_rows: rows.len(), rows: 0..rows.len() }
            };
            start = rows.end;
            let found = columns(block, rows)?;
            if start == n {
                return Ok(found);
            }
            out.flush(&found)?;
        }
    }
}

/// What is wrong with an element: its index in the column, and why.
pub(super) struct BadElement {
    pub(super) row: usize,
    pub(super) reason: &'static str,
}

/// Some rows of column `j` of an array of `(n, d)` elements, or of `(n,)` with `d = 1`.
pub(super) fn column(
    header: &Header,
    data: &[u8],
    j: usize,
    (n, d): (usize, usize),
    rows: Range<usize>,
) -> Result<Values, BadElement> {
    // The first element, and how many there are up to the next one.
    let (first, step) = if header.fortran_order { (j * n + rows.start, 1) } else { (rows.start * d + j, d) };
    let data = data.get(first * header.size..).unwrap_or_default();
    let cells = data.chunks(step * header.size).take(rows.len()).map(|chunk| &chunk[..header.size]);
    Ok(match header.element {
        Element::Float => Values::Number(collect(cells, |c| float(little(c, header).0, header.size))?),
        Element::Signed => Values::Integer(collect(cells, |c| Ok(Some(little(c, header).1)))?),
        Element::Unsigned => Values::Integer(collect(cells, |c| {
            i64::try_from(little(c, header).0).map(Some).map_err(|_| "an integer above 2^63 is not accepted")
        })?),
        Element::Boolean => Values::Boolean(cells.map(|c| Some(c[0] != 0)).collect()),
        Element::Unicode | Element::Bytes => {
            let words = collect(cells, |c| word(c, header))?;
            Values::categories(words)
        }
    })
}

fn collect<'a, T>(
    cells: impl Iterator<Item = &'a [u8]>,
    read: impl Fn(&[u8]) -> Result<Option<T>, &'static str>,
) -> Result<Vec<Option<T>>, BadElement> {
    cells.enumerate().map(|(row, cell)| read(cell).map_err(|reason| BadElement { row, reason })).collect()
}

/// An element of at most eight bytes as unsigned and, extended by its sign, as signed.
#[inline]
fn little(cell: &[u8], header: &Header) -> (u64, i64) {
    // As nearly all arrays are.
    if let (Ok(bytes), false) = (cell.try_into(), header.big_endian) {
        let bits = u64::from_le_bytes(bytes);
        return (bits, bits as i64);
    }
    let mut bytes = [0u8; 8];
    for (k, byte) in cell.iter().enumerate() {
        bytes[if header.big_endian { cell.len() - 1 - k } else { k }] = *byte;
    }
    let unsigned = u64::from_le_bytes(bytes);
    let unused = 64 - 8 * cell.len() as u32;
    (unsigned, (unsigned << unused) as i64 >> unused)
}

/// NaN is a missing value.
fn float(bits: u64, size: usize) -> Result<Option<f64>, &'static str> {
    let x = match size {
        2 => half(bits as u16),
        4 => f64::from(f32::from_bits(bits as u32)),
        _ => f64::from_bits(bits),
    };
    if x.is_infinite() {
        return Err("a number must be finite; store NaN if it is missing");
    }
    Ok((!x.is_nan()).then_some(x))
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    match exponent {
        0 => sign * fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => sign * f64::INFINITY,
        31 => f64::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    }
}

/// An empty string is a missing value.
fn word(cell: &[u8], header: &Header) -> Result<Option<String>, &'static str> {
    const NOT_TEXT: &str = "a string is not text";
    let text = if header.element == Element::Bytes {
        let end = cell.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        String::from_utf8(cell[..end].to_vec()).map_err(|_| NOT_TEXT)?
    } else {
        let codes = cell.chunks_exact(4).map(|c| {
            let four = [c[0], c[1], c[2], c[3]];
            if header.big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
        });
        let text: Option<String> = codes.map(char::from_u32).collect();
        text.ok_or(NOT_TEXT)?.trim_end_matches('\0').to_owned()
    };
    Ok((!text.is_empty()).then_some(text))
}
