//! What a client may say about an upload, and the bounds that hold whatever it says.

use adaptation::data::TaskKind;
use serde::{Deserialize, Serialize};

use super::dialect::{CsvOptions, Delimiter, HeaderRow, TextEncoding};
use super::error::{IngestError, shorten};
use super::source::Source;

/// How bytes become a table. The serialised form is part of a version's identity, so it holds no limits:
/// raising a limit must not make a new version of the same data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Overrides the media type and the magic bytes.
    pub format: Option<Format>,
    /// The request's content type, parameters included.
    pub media_type: Option<String>,
    pub roles: RoleRequest,
    /// Overrides what the label column says.
    pub task: Option<TaskKind>,
    /// How a CSV file is written.
    pub csv: CsvOptions,
    #[serde(skip)]
    pub limits: Limits,
}

/// Which columns play which role, by name. Without `label`, a column that is called `label` is it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoleRequest {
    pub label: Option<String>,
    pub weight: Option<String>,
    pub group: Option<String>,
    pub id: Option<String>,
    pub time: Option<String>,
    pub ignore: Vec<String>,
}

/// The formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    Csv,
    Parquet,
    Npz,
    /// One array alone.
    Npy,
    /// Arrow IPC, as a file or as a stream.
    Arrow,
    /// `[{…}, …]`, `{"rows": […]}` or `{"columns": […], "data": [[…], …]}`.
    #[serde(rename = "json")]
    JsonRows,
    /// One object a line.
    Ndjson,
    /// Also called libsvm; only where it is named, because nothing in the bytes tells it from other text.
    Svmlight,
}

/// Bounds on one upload, checked before memory is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Of the body as it arrives.
    pub bytes: u64,
    /// Of what a compressed body unpacks to.
    pub decompressed_bytes: u64,
    /// Times that packed data may grow when it is unpacked, beyond the first 64 MiB. Real tables stay far below.
    pub unpack_ratio: u64,
    pub rows: usize,
    pub columns: usize,
    /// Of which a job that uses them all holds eight bytes or more each.
    pub cells: usize,
    /// Characters in a column name; names are shown in pages, messages and URLs.
    pub name_length: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 4 << 30,
            decompressed_bytes: 1 << 30,
            unpack_ratio: 250,
            rows: 10_000_000,
            columns: 20_000,
            cells: 400_000_000,
            name_length: 200,
        }
    }
}

/// Cells and unpacked bytes of a table that is kept in memory while a client waits.
const MOST_KEPT_CELLS: usize = 1 << 25;
const MOST_KEPT_BYTES: u64 = 1 << 30;

/// Whatever its ratio, this much may always be unpacked.
const UNPACK_FREELY: u64 = 64 << 20;

impl Limits {
    /// For a table that is kept in memory.
    pub fn kept(self) -> Self {
        Self {
            cells: self.cells.min(MOST_KEPT_CELLS),
            decompressed_bytes: self.decompressed_bytes.min(MOST_KEPT_BYTES),
            ..self
        }
    }

    /// Whether so many packed bytes may become so many unpacked ones.
    pub(super) fn may_unpack(&self, packed: u64, unpacked: u64) -> bool {
        unpacked <= self.decompressed_bytes && unpacked <= packed.saturating_mul(self.unpack_ratio).max(UNPACK_FREELY)
    }

    /// Whether a table of this shape is accepted.
    pub(super) fn check_shape(&self, n_rows: usize, n_columns: usize) -> Result<(), IngestError> {
        if n_columns > self.columns {
            return Err(IngestError::TooManyColumns { found: n_columns, limit: self.columns });
        }
        if n_rows > self.rows {
            let message = format!("more than {} rows; send fewer, or a sample of them", self.rows);
            return Err(IngestError::TooLarge { message });
        }
        if n_rows.checked_mul(n_columns).is_none_or(|cells| cells > self.cells) {
            let message = format!("more than {} cells (rows times columns); send fewer rows or columns", self.cells);
            return Err(IngestError::TooLarge { message });
        }
        Ok(())
    }
}

/// Bytes by which a format is told: a first line of JSON may be long.
const HEAD: usize = 1 << 20;

/// The column that is the label where none is named.
pub(super) const DEFAULT_LABEL: &str = "label";

impl Options {
    /// The format of an upload, as [`Format::detect`] tells it.
    ///
    /// # Errors
    /// A media type that is none of ours; a file that cannot be read.
    pub fn format_of(&self, source: &Source) -> Result<Format, IngestError> {
        match self.format {
            Some(format) => Ok(format),
            None => Format::detect(&source.start(HEAD)?, self),
        }
    }

    /// Whether the words of a column are classes however many there are: those of a label or of groups.
    pub(super) fn is_pinned(&self, column: &str) -> bool {
        let RoleRequest { label, group, ignore, .. } = &self.roles;
        let is_default = label.is_none() && column == DEFAULT_LABEL && !ignore.iter().any(|name| name == column);
        is_default || [label, group].into_iter().flatten().any(|name| name == column)
    }

    /// What is said about CSV, in options and in the media type; the options outweigh it.
    ///
    /// # Errors
    /// A `charset` that is no encoding; a delimiter that is also the quote.
    pub fn csv_options(&self) -> Result<CsvOptions, IngestError> {
        let mut csv = self.csv.clone();
        let given = self.media_type.as_deref().unwrap_or_default();
        let mut parts = given.split(';').map(str::trim);
        if parts.next().is_some_and(|t| t.eq_ignore_ascii_case("text/tab-separated-values")) {
            csv.delimiter = csv.delimiter.or(Some(Delimiter::TAB));
        }
        let charset = parts.filter_map(|p| p.split_once('=')).find(|(k, _)| k.trim().eq_ignore_ascii_case("charset"));
        if let (None, Some((_, label))) = (csv.encoding, charset) {
            let odd = |_| IngestError::UnsupportedMediaType { given: shorten(given) };
            csv.encoding = Some(label.trim().trim_matches('"').parse::<TextEncoding>().map_err(odd)?);
        }
        if let (Some(delimiter), Some(quote)) = (csv.delimiter, csv.quote)
            && quote.0 == Some(delimiter.0)
        {
            let message = format!("{quote} is the delimiter too; they must differ");
            return Err(IngestError::Parameter { name: "quote", message });
        }
        Ok(csv)
    }

    /// What is said about CSV is a slip where the data is not.
    pub(super) fn check_csv_options(&self, format: Format) -> Result<(), IngestError> {
        let CsvOptions { delimiter, quote, header, encoding, missing } = &self.csv;
        let said = [
            ("delimiter", delimiter.is_some()),
            ("quote", quote.is_some()),
            ("header", *header != HeaderRow::Auto),
            ("encoding", encoding.is_some()),
            ("missing", !missing.is_empty()),
        ];
        match said.into_iter().find(|(_, is_said)| *is_said && format != Format::Csv) {
            Some((name, _)) => {
                let message = format!("this is of CSV, and the data is read as {}", format.as_str());
                Err(IngestError::Parameter { name, message })
            }
            None => Ok(()),
        }
    }
}

impl Format {
    /// The name as `format=` takes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Parquet => "parquet",
            Format::Npz => "npz",
            Format::Npy => "npy",
            Format::Arrow => "arrow",
            Format::JsonRows => "json",
            Format::Ndjson => "ndjson",
            Format::Svmlight => "svmlight",
        }
    }

    /// The format of an upload: what the client names, else its media type, else magic bytes, else CSV.
    ///
    /// # Errors
    /// A media type that is none of ours. Types that say nothing (`application/octet-stream`, and the form type
    /// that some clients send unasked) leave it to the bytes.
    pub fn detect(bytes: &[u8], options: &Options) -> Result<Format, IngestError> {
        if let Some(format) = options.format {
            return Ok(format);
        }
        let given = options.media_type.as_deref().unwrap_or_default();
        match given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            // Packed data is unpacked before it comes here, and its type told only that it was.
            ""
            | "application/octet-stream"
            | "application/x-www-form-urlencoded"
            | "application/gzip"
            | "application/x-gzip"
            | "application/zstd" => Ok(Self::from_magic(bytes)),
            "text/csv" | "application/csv" | "text/tab-separated-values" | "text/plain" => Ok(Format::Csv),
            "application/vnd.apache.parquet" | "application/x-parquet" => Ok(Format::Parquet),
            "application/x-npz" | "application/zip" => Ok(Format::Npz),
            "application/x-npy" => Ok(Format::Npy),
            "application/vnd.apache.arrow.stream" | "application/vnd.apache.arrow.file" => Ok(Format::Arrow),
            "application/json" => Ok(Format::JsonRows),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" | "application/x-jsonlines" => {
                Ok(Format::Ndjson)
            }
            _ => Err(IngestError::UnsupportedMediaType { given: shorten(given) }),
        }
    }

    fn from_magic(bytes: &[u8]) -> Format {
        let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii_start();
        match () {
            () if bytes.starts_with(b"PAR1") => Format::Parquet,
            // An empty archive starts with its end record.
            () if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") => Format::Npz,
            () if bytes.starts_with(b"\x93NUMPY") => Format::Npy,
            // A stream starts with the mark of a message, which no text holds.
            () if bytes.starts_with(b"ARROW1") || bytes.starts_with(b"\xFF\xFF\xFF\xFF") => Format::Arrow,
            () if is_json_lines(text) => Format::Ndjson,
            () if text.starts_with(b"{") || text.starts_with(b"[") => Format::JsonRows,
            () => Format::Csv,
        }
    }
}

/// Whether the first line is an object by itself, and another line follows.
fn is_json_lines(text: &[u8]) -> bool {
    let Some(end) = text.iter().position(|b| *b == b'\n').filter(|_| text.starts_with(b"{")) else { return false };
    let (first, rest) = text.split_at(end);
    rest.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(first).is_ok()
}
