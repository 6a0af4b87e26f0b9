//! NPZ, NumPy's archive of arrays: `X` (n, d) becomes columns `x0…`, `y` (n,) becomes `label`.
//!
//! Other arrays are named in the notes and never opened: they may be pickled.

use std::io::{self, Cursor, Read};

use adaptation::data::{Column, Values};
use zip::ZipArchive;
use zip::result::ZipError;

use super::Parsed;
use super::error::{IngestError, Place, shorten};
use super::npy::{self, Block, Blocks, Element, Header};
use super::options::Limits;
use super::output::Output;
use super::source::{ReadSeek, Source};

/// Arrays in one archive; each costs a little memory before it is looked at.
const MAX_ENTRIES: usize = 1000;

type Archive<'a> = ZipArchive<Box<dyn ReadSeek + 'a>>;

pub(super) fn read(source: &Source, limits: &Limits, out: &mut Output) -> Result<Parsed, IngestError> {
    let mut archive = ZipArchive::new(source.open_to_seek()?).map_err(|e| {
        IngestError::invalid(format!("the NPZ archive cannot be opened, it may be cut short: {}", reason(&e)))
    })?;
    if archive.len() > MAX_ENTRIES {
        let message = format!("the archive holds {} arrays, at most {MAX_ENTRIES} are accepted", archive.len());
        return Err(IngestError::Decompression { message });
    }
    if archive.is_empty() {
        return Err(IngestError::Empty {
            message: "the NPZ archive is empty; store an array X, and y if known".into(),
        });
    }
    let names = array_names(&archive);
    let label = match open(&mut archive, "y", limits)? {
        Some(mut y) => Some((y.read_whole()?, y.header)),
        None => None,
    };
    let Some(x) = open(&mut archive, "X", limits)? else {
        let listed = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(IngestError::invalid_at(
            Place::column("X"),
            format!("the archive has no array X of shape (n, d); it has {listed}"),
        ));
    };
    let shape = (x.header.shape[0], x.header.shape[1]);
    if let Some((_, y)) = &label
        && y.shape[0] != shape.0
    {
        let message = format!("array y has {} values, X has {} rows; they must be equal", y.shape[0], shape.0);
        return Err(IngestError::invalid_at(Place::column("y"), message));
    }
    let label = match label {
        Some((data, y)) => {
            let block = Block { data: &data, n_rows: shape.0, rows: 0..shape.0 };
            Some(values(&y, &block, ("y", 0), (0, 1))?)
        }
        None => None,
    };
    let columns = x.hand_on(label, out)?;
    let skipped: Vec<String> = names.into_iter().filter(|n| n != "X" && n != "y").collect();
    let notes = match skipped.len() {
        0 => Vec::new(),
        _ => vec![format!("skipped arrays: {} (only X and y are read)", skipped.join(", "))],
    };
    Ok(Parsed { notes, ..Parsed::new(columns) })
}

/// The names without `.npy`, sorted and short enough for a message.
fn array_names(archive: &Archive<'_>) -> Vec<String> {
    let raw = archive.file_names_raw().map(|name| String::from_utf8_lossy(name).into_owned());
    let mut names: Vec<String> = raw.map(|name| shorten(name.strip_suffix(".npy").unwrap_or(&name))).collect();
    names.sort_unstable();
    const SHOWN: usize = 20;
    if names.len() > SHOWN {
        let more = names.len() - SHOWN;
        names.truncate(SHOWN);
        names.push(format!("and {more} more"));
    }
    names
}

/// An array that is about to be unpacked.
struct Array<'a> {
    name: &'static str,
    header: Header,
    /// Its elements, without the header.
    data: Box<dyn Read + 'a>,
}

/// `None` if the archive has no such array.
fn open<'a>(
    archive: &'a mut Archive<'_>,
    name: &'static str,
    limits: &Limits,
) -> Result<Option<Array<'a>>, IngestError> {
    let mut file = match archive.by_name(&format!("{name}.npy")) {
        Ok(file) => file,
        Err(ZipError::FileNotFound) => return Ok(None),
        Err(error) => return Err(refuse(name, &reason(&error))),
    };
    let packed = file.compressed_size();
    // Enough for the longest header, and no more of an array that will be refused.
    let mut bytes = Vec::new();
    (&mut file).take(npy::MAX_HEADER as u64 + 12).read_to_end(&mut bytes).map_err(|e| damaged(name, &e))?;
    let (header, start) = npy::parse_header(&bytes).map_err(|e| refuse(name, &e))?;
    let too_large = || {
        let message = format!(
            "array {name} of shape {:?} unpacks to more than {} bytes or {} times its size; send fewer rows or columns",
            header.shape, limits.decompressed_bytes, limits.unpack_ratio
        );
        IngestError::Decompression { message }
    };
    let expected = header.n_elements().and_then(|n| n.checked_mul(header.size)).ok_or_else(too_large)?;
    check_shape(&header, name, limits)?;
    if !limits.may_unpack(packed, expected as u64) {
        return Err(too_large());
    }
    let data = Cursor::new(bytes.split_off(start)).chain(file);
    Ok(Some(Array { name, header, data: Box::new(data) }))
}

impl Array<'_> {
    fn read_whole(&mut self) -> Result<Vec<u8>, IngestError> {
        let mut data = Vec::new();
        // The vector grows with the bytes that are there, never with what the header says.
        let expected = self.header.n_elements().unwrap_or(0) * self.header.size;
        (&mut self.data).take(expected as u64).read_to_end(&mut data).map_err(|e| damaged(self.name, &e))?;
        self.check_end(expected - data.len())?;
        Ok(data)
    }

    /// The features of all rows, with their labels: all but the last rows are handed on.
    fn hand_on(mut self, label: Option<Values>, out: &mut Output) -> Result<Vec<Column>, IngestError> {
        let shape = (self.header.shape[0], self.header.shape[1]);
        let mut counted = Counted { inner: &mut self.data, n: 0, problem: None };
        let blocks = Blocks { header: &self.header, shape, data: &mut counted };
        out.restart()?;
        let label = label.as_ref();
        let columns = blocks.hand_on(out, |block, rows| {
            let mut columns = (0..shape.1)
                .map(|j| {
                    let values = values(&self.header, &block, (&format!("x{j}"), j), (rows.start, shape.1))?;
                    Ok(Column { name: format!("x{j}"), values })
                })
                .collect::<Result<Vec<_>, IngestError>>()?;
            if let Some(label) = label {
                columns.push(Column { name: "label".into(), values: label.select(&rows.collect::<Vec<_>>()) });
            }
            Ok(columns)
        });
        let (n, problem) = (counted.n, counted.problem.take());
        if let Some(error) = problem {
            return Err(damaged(self.name, &error));
        }
        if !matches!(columns, Err(IngestError::TooLarge { .. })) {
            self.check_end((shape.0 * shape.1 * self.header.size).saturating_sub(n))?;
        }
        columns
    }

    /// That nothing is missing, and nothing more is there.
    fn check_end(&mut self, missing: usize) -> Result<(), IngestError> {
        let expected = self.header.n_elements().unwrap_or(0) * self.header.size;
        let more = self.data.read(&mut [0]).map_err(|e| damaged(self.name, &e))?;
        if missing == 0 && more == 0 {
            return Ok(());
        }
        let found = if missing == 0 { "more".to_owned() } else { format!("{}", expected - missing) };
        let shape = &self.header.shape;
        Err(refuse(self.name, &format!("its shape {shape:?} needs {expected} bytes, it holds {found}")))
    }
}

/// Counts what is read, and keeps what went wrong.
struct Counted<'a> {
    inner: &'a mut dyn Read,
    n: usize,
    problem: Option<io::Error>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buffer) {
            Ok(n) => {
                self.n += n;
                Ok(n)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let kind = error.kind();
                self.problem = Some(error);
                Err(kind.into())
            }
        }
    }
}

fn refuse(name: &str, message: &str) -> IngestError {
    IngestError::invalid_at(Place::column(name), format!("array {name}: {message}"))
}

fn damaged(name: &str, error: &io::Error) -> IngestError {
    refuse(name, &format!("it cannot be unpacked, the archive may be damaged: {error}"))
}

/// `X` is a matrix, `y` a vector or one column.
fn check_shape(header: &Header, name: &str, limits: &Limits) -> Result<(), IngestError> {
    let wrong = |expected: &str| {
        let message = format!("array {name} has shape {:?}, expected {expected}; reshape it", header.shape);
        IngestError::invalid_at(Place::column(name), message)
    };
    let is_word = matches!(header.element, Element::Unicode | Element::Bytes);
    match (name, header.shape.as_slice()) {
        ("X", [n, d]) => {
            if is_word {
                let message = "array X holds strings; encode them as numbers, or send CSV, Parquet or JSON";
                return Err(IngestError::invalid_at(Place::column(name), message));
            }
            if *n == 0 || *d == 0 {
                return Err(IngestError::Empty { message: format!("array X has shape ({n}, {d}): no values") });
            }
            limits.check_shape(*n, *d)
        }
        ("X", _) => Err(wrong("(n, d)")),
        (_, [n] | [n, 1]) => limits.check_shape(*n, 1),
        _ => Err(wrong("(n,)")),
    }
}

/// Some rows of column `j` of an array of `d` columns; the first of them is row `start` of the array.
fn values(
    header: &Header,
    block: &Block<'_>,
    (name, j): (&str, usize),
    (start, d): (usize, usize),
) -> Result<Values, IngestError> {
    npy::column(header, block.data, j, (block.n_rows, d), block.rows.clone()).map_err(|bad| {
        let row = start + bad.row + 1;
        IngestError::invalid_at(Place::cell(row, name), format!("row {row}, column {name:?}: {}", bad.reason))
    })
}

fn reason(error: &ZipError) -> String {
    shorten(&error.to_string())
}
