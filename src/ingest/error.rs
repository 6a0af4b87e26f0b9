//! What can be wrong with uploaded data: what it is, where it is, and how to cure it.

use std::error::Error;
use std::io;

use serde::Serialize;

/// Where in the upload something is wrong; every part that is known is filled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The data row, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// The line of a text file, from 1; the header is line 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Bytes before it, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byte: Option<u64>,
    /// JSON pointer into a JSON upload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

impl Place {
    pub(super) fn column(name: &str) -> Self {
        Self { column: Some(shorten(name)), ..Self::default() }
    }

    pub(super) fn cell(row: usize, column: &str) -> Self {
        Self { row: Some(row as u64), ..Self::column(column) }
    }

    pub(super) fn pointer(pointer: String) -> Self {
        Self { pointer: Some(pointer), ..Self::default() }
    }
}

/// Why an upload is refused. Messages name the cure; they never hold more than a short piece of a cell.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IngestError {
    /// The bytes are read, and what they say cannot be a table with these roles.
    #[error("{message}")]
    Invalid { message: String, place: Place },
    #[error("{message}")]
    Empty { message: String },
    #[error("{found} columns, at most {limit} are accepted; drop columns or split the file")]
    TooManyColumns { found: usize, limit: usize },
    #[error("{message}")]
    Encoding { message: String, place: Place },
    /// `known` is cut to the first few names.
    #[error("there is no column {name:?} (asked for as {role}); the columns are {known}")]
    ColumnNotFound { name: String, role: &'static str, known: String },
    #[error(
        "{given:?} is not read here; send text/csv, text/tab-separated-values, application/json, application/x-ndjson, \
         application/vnd.apache.parquet, application/vnd.apache.arrow.stream, application/vnd.apache.arrow.file, \
         application/x-npy or application/x-npz, or say what it is with ?format=, as for svmlight"
    )]
    UnsupportedMediaType { given: String },
    /// What was said of the data cannot be.
    #[error("{message}")]
    Parameter { name: &'static str, message: String },
    /// A limit on bytes, rows or cells.
    #[error("{message}")]
    TooLarge { message: String },
    /// Compressed data that unpacks to more than is accepted.
    #[error("{message}")]
    Decompression { message: String },
    /// Not JSON at all; the place has line and, in the message, the column.
    #[error("{message}")]
    MalformedJson { message: String, place: Place },
    /// No table is nested like this, and no reader may recurse as deep as a document wants.
    #[error("the JSON is nested deeper than {limit} levels; a table is two or three deep")]
    JsonTooDeep { limit: usize },
    /// Not the upload's fault: a file of ours cannot be read or written.
    #[error("the file of the upload cannot be read or written: {message}")]
    Storage { kind: io::ErrorKind, message: String },
}

impl From<io::Error> for IngestError {
    fn from(error: io::Error) -> Self {
        Self::storage(&error)
    }
}

impl IngestError {
    /// The code of the error catalogue.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "data_invalid",
            Self::Empty { .. } => "data_empty",
            Self::TooManyColumns { .. } => "too_many_columns",
            Self::Encoding { .. } => "encoding_error",
            Self::ColumnNotFound { .. } => "column_not_found",
            Self::UnsupportedMediaType { .. } => "unsupported_media_type",
            Self::Parameter { .. } => "invalid_parameter",
            Self::TooLarge { .. } => "body_too_large",
            Self::Decompression { .. } => "decompression_limit",
            Self::MalformedJson { .. } => "malformed_json",
            Self::JsonTooDeep { .. } => "json_too_deep",
            Self::Storage { .. } => "storage_unavailable",
        }
    }

    /// Where it is, if it is in one place.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Invalid { place, .. } | Self::Encoding { place, .. } | Self::MalformedJson { place, .. } => {
                (*place != Place::default()).then(|| place.clone())
            }
            Self::ColumnNotFound { name, .. } => Some(Place::column(name)),
            _ => None,
        }
    }

    /// The same of one line of a file: a pointer into the line becomes part of its message.
    pub(super) fn on_line(self, line: u64, row: u64) -> Self {
        match self {
            Self::Invalid { message, place } => {
                let place = Place { line: Some(line), row: Some(row), pointer: None, ..place };
                Self::Invalid { message: format!("line {line}: {message}"), place }
            }
            other => other,
        }
    }

    /// A file that failed: of what kind says the innermost error of the operating system.
    pub(super) fn storage(error: &(dyn Error + 'static)) -> Self {
        let (mut kind, mut next) = (io::ErrorKind::Other, Some(error));
        while let Some(error) = next {
            kind = error.downcast_ref::<io::Error>().map_or(kind, io::Error::kind);
            next = error.source();
        }
        Self::Storage { kind, message: error.to_string() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), place: Place::default() }
    }

    pub(super) fn invalid_at(place: Place, message: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), place }
    }
}

/// A cell or a name as a message may show it: at most 40 characters, without control characters.
pub(super) fn shorten(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(41).collect();
    if clean.chars().count() > 40 { clean.chars().take(40).chain(['…']).collect() } else { clean }
}
