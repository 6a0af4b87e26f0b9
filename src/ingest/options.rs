//! What a client may say about an upload, and the bounds that hold whatever it says.

use adaptation::data::TaskKind;
use serde::{Deserialize, Serialize};

use super::error::{IngestError, shorten};

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
    /// `[{…}, …]`, `{"rows": […]}` or `{"columns": […], "data": [[…], …]}`.
    #[serde(rename = "json")]
    JsonRows,
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
    /// A cell takes up to 16 bytes: the default is 3.2 GB at the worst.
    pub cells: usize,
    /// Characters in a column name; names are shown in pages, messages and URLs.
    pub name_length: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 2 << 30,
            decompressed_bytes: 1 << 30,
            unpack_ratio: 250,
            rows: 10_000_000,
            columns: 20_000,
            cells: 200_000_000,
            name_length: 200,
        }
    }
}

/// Whatever its ratio, this much may always be unpacked.
const UNPACK_FREELY: u64 = 64 << 20;

impl Limits {
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

impl Format {
    /// The name as `format=` takes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Parquet => "parquet",
            Format::Npz => "npz",
            Format::JsonRows => "json",
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
            "" | "application/octet-stream" | "application/x-www-form-urlencoded" => Ok(Self::from_magic(bytes)),
            "text/csv" | "application/csv" | "text/tab-separated-values" | "text/plain" => Ok(Format::Csv),
            "application/vnd.apache.parquet" | "application/x-parquet" => Ok(Format::Parquet),
            "application/x-npz" | "application/zip" => Ok(Format::Npz),
            "application/json" => Ok(Format::JsonRows),
            _ => Err(IngestError::UnsupportedMediaType { given: shorten(given) }),
        }
    }

    fn from_magic(bytes: &[u8]) -> Format {
        let text = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes).trim_ascii_start();
        match () {
            () if bytes.starts_with(b"PAR1") => Format::Parquet,
            // An empty archive starts with its end record.
            () if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") => Format::Npz,
            () if text.starts_with(b"{") || text.starts_with(b"[") => Format::JsonRows,
            () => Format::Csv,
        }
    }
}
