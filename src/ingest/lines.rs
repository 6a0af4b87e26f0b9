//! The part of a cut file that can be read: its whole lines.

use bytes::Bytes;
use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

use super::dialect::Quote;
use super::error::IngestError;
use super::options::{Format, Options};

/// The start of a file up to the last line that is whole. A line break within quotes ends no line of CSV.
///
/// # Errors
/// A format that is not made of lines; one line alone.
pub fn whole_lines(bytes: &Bytes, options: &Options) -> Result<Bytes, IngestError> {
    let format = Format::detect(bytes, options)?;
    let quote = match format {
        Format::Csv => options.csv_options()?.quote.unwrap_or(Quote::DOUBLE).0,
        Format::Ndjson | Format::Svmlight => None,
        Format::Parquet | Format::Arrow | Format::Npz | Format::Npy | Format::JsonRows => {
            let (n, name) = (bytes.len(), format.as_str());
            let message = format!("the first {n} bytes of {name} cannot be read without the rest; send a smaller file");
            return Err(IngestError::TooLarge { message });
        }
    };
    let named = options.csv_options()?.encoding.map(|e| e.0);
    let encoding = Encoding::for_bom(bytes).map(|(encoding, _)| encoding).or(named);
    // The place of a line break's own byte among those of its character.
    let (width, own) = match encoding {
        Some(e) if e == UTF_16LE => (2, 0),
        Some(e) if e == UTF_16BE => (2, 1),
        _ => (1, 0),
    };
    let (mut last, mut last_unquoted, mut quoted) = (None, None, false);
    for (i, unit) in bytes.chunks_exact(width).enumerate() {
        if width == 2 && unit[1 - own] != 0 {
            continue;
        }
        if Some(unit[own]) == quote {
            quoted = !quoted;
        } else if unit[own] == b'\n' {
            last = Some((i + 1) * width);
            last_unquoted = last.filter(|_| !quoted).or(last_unquoted);
        }
    }
    // A quote within a cell that is not quoted would hide every line after it.
    let end = last_unquoted.filter(|end| 2 * end > bytes.len()).or(last);
    let message = || format!("the first {} bytes hold no whole line; send CSV, JSON lines or svmlight", bytes.len());
    end.map(|end| bytes.slice(..end)).ok_or_else(|| IngestError::invalid(message()))
}
