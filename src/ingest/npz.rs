//! NPZ, NumPy's archive of arrays: `X` (n, d) becomes columns `x0…`, `y` (n,) becomes `label`.
//!
//! Other arrays are named in the notes and never opened: they may be pickled.

use std::io::{Cursor, Read};

use adaptation::data::{Column, Values};
use zip::ZipArchive;
use zip::result::ZipError;

use super::Parsed;
use super::error::{IngestError, Place, shorten};
use super::npy::{self, Element, Header};
use super::options::Limits;

/// Arrays in one archive; each costs a little memory before it is looked at.
const MAX_ENTRIES: usize = 1000;

type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Parsed, IngestError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|e| {
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
    let Some((x, data)) = open(&mut archive, "X", limits)? else {
        let listed = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(IngestError::invalid_at(
            Place::column("X"),
            format!("the archive has no array X of shape (n, d); it has {listed}"),
        ));
    };
    let mut columns = features(&x, &data)?;
    if let Some((y, data)) = open(&mut archive, "y", limits)? {
        columns.push(label(&y, &data, x.shape[0])?);
    }
    let skipped: Vec<String> = names.into_iter().filter(|n| n != "X" && n != "y").collect();
    let notes = match skipped.len() {
        0 => Vec::new(),
        _ => vec![format!("skipped arrays: {} (only X and y are read)", skipped.join(", "))],
    };
    Ok(Parsed { notes, ..Parsed::new(columns) })
}

/// The names without `.npy`, sorted and short enough for a message.
fn array_names(archive: &Archive) -> Vec<String> {
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

/// The header and exactly the bytes of an array; `None` if the archive has no such array.
fn open(archive: &mut Archive, name: &str, limits: &Limits) -> Result<Option<(Header, Vec<u8>)>, IngestError> {
    let refuse = |message: String| IngestError::invalid_at(Place::column(name), format!("array {name}: {message}"));
    let mut file = match archive.by_name(&format!("{name}.npy")) {
        Ok(file) => file,
        Err(ZipError::FileNotFound) => return Ok(None),
        Err(error) => return Err(refuse(reason(&error))),
    };
    let packed = file.compressed_size();
    // Enough for the longest header, and no more of an array that will be refused.
    let mut bytes = Vec::new();
    let unreadable = |e: std::io::Error| refuse(format!("it cannot be unpacked, the archive may be damaged: {e}"));
    (&mut file).take(npy::MAX_HEADER as u64 + 12).read_to_end(&mut bytes).map_err(unreadable)?;
    let (header, start) = npy::parse_header(&bytes).map_err(refuse)?;
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
    let mut data = bytes.split_off(start);
    // The vector grows with the bytes that are there, never with what the header says; one byte more shows a lie.
    let missing = (expected + 1).saturating_sub(data.len());
    (&mut file).take(missing as u64).read_to_end(&mut data).map_err(unreadable)?;
    if data.len() != expected {
        let found = if data.len() > expected { "more".to_owned() } else { format!("{}", data.len()) };
        return Err(refuse(format!("its shape {:?} needs {expected} bytes, it holds {found}", header.shape)));
    }
    Ok(Some((header, data)))
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

fn features(header: &Header, data: &[u8]) -> Result<Vec<Column>, IngestError> {
    let shape = (header.shape[0], header.shape[1]);
    (0..shape.1).map(|j| Ok(Column { name: format!("x{j}"), values: values(header, data, j, shape)? })).collect()
}

fn label(header: &Header, data: &[u8], n: usize) -> Result<Column, IngestError> {
    if header.shape[0] != n {
        let message = format!("array y has {} values, X has {n} rows; they must be equal", header.shape[0]);
        return Err(IngestError::invalid_at(Place::column("y"), message));
    }
    Ok(Column { name: "label".into(), values: values(header, data, 0, (n, 1))? })
}

fn values(header: &Header, data: &[u8], j: usize, shape: (usize, usize)) -> Result<Values, IngestError> {
    npy::column(header, data, j, shape).map_err(|bad| {
        let row = bad.row + 1;
        let name = if shape.1 == 1 && header.shape.len() == 1 { "y".to_owned() } else { format!("x{j}") };
        IngestError::invalid_at(Place::cell(row, &name), format!("row {row}, column {name:?}: {}", bad.reason))
    })
}

fn reason(error: &ZipError) -> String {
    shorten(&error.to_string())
}
