//! What a client may say about a CSV file, and what was made of it.

use std::fmt;
use std::str::FromStr;

use encoding_rs::Encoding;
use serde::{Deserialize, Serialize};

use super::error::shorten;

/// Marks beyond the built-in ones, and characters in each.
const MAX_MARKS: usize = 20;
const MAX_MARK_CHARS: usize = 40;

/// How a CSV file is written; what is left out is guessed. The serialised form is part of a version's identity, and
/// holds only what is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CsvOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<Delimiter>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
    #[serde(skip_serializing_if = "HeaderRow::is_auto")]
    pub header: HeaderRow,
    /// UTF-8 that is said makes the same table as UTF-8 that is guessed.
    #[serde(skip_serializing_if = "is_utf8")]
    pub encoding: Option<TextEncoding>,
    #[serde(skip_serializing_if = "MissingMarks::is_empty")]
    pub missing: MissingMarks,
}

/// Whether the first line names the columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderRow {
    /// It does, unless all its cells are numbers.
    #[default]
    Auto,
    Present,
    /// Columns are called `x0…`.
    None,
}

/// The character between cells: ASCII, because the reader splits bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Delimiter(pub(super) u8);

/// The character around cells that hold a delimiter, or that no character does this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Quote(pub(super) Option<u8>);

/// One of the encodings of the WHATWG's standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TextEncoding(pub(super) &'static Encoding);

/// Cells that stand for a missing value beside the built-in ones; sorted, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MissingMarks(Vec<String>);

/// How a CSV file was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    pub delimiter: Delimiter,
    pub quote: Quote,
    /// Never `Auto`.
    pub header: HeaderRow,
    pub encoding: TextEncoding,
}

/// Why a word of a client is not one of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadDialect(String);

impl HeaderRow {
    pub fn as_str(self) -> &'static str {
        match self {
            HeaderRow::Auto => "auto",
            HeaderRow::Present => "present",
            HeaderRow::None => "none",
        }
    }

    fn is_auto(&self) -> bool {
        *self == HeaderRow::Auto
    }
}

impl Delimiter {
    pub(super) const TAB: Self = Self(b'\t');
}

impl Quote {
    pub(super) const DOUBLE: Self = Self(Some(b'"'));
}

impl MissingMarks {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a cell without the blanks around it is one of them.
    pub(super) fn contains(&self, cell: &str) -> bool {
        self.0.iter().any(|mark| mark == cell)
    }
}

fn is_utf8(encoding: &Option<TextEncoding>) -> bool {
    encoding.is_none_or(|e| e.0 == encoding_rs::UTF_8)
}

/// One printable ASCII character.
fn one_character(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [byte @ b' '..=b'~'] => Some(*byte),
        _ => None,
    }
}

impl FromStr for Delimiter {
    type Err = BadDialect;

    fn from_str(text: &str) -> Result<Self, BadDialect> {
        if matches!(text, "tab" | "\t") {
            return Ok(Self::TAB);
        }
        // Letters and digits stand in cells; a delimiter among them is a slip.
        let found = one_character(text).filter(|byte| !byte.is_ascii_alphanumeric());
        let odd = || BadDialect(format!("{:?} is not one ASCII character, such as ; or |, or tab", shorten(text)));
        found.map(Self).ok_or_else(odd)
    }
}

impl FromStr for Quote {
    type Err = BadDialect;

    fn from_str(text: &str) -> Result<Self, BadDialect> {
        if text == "none" {
            return Ok(Self(None));
        }
        let found = one_character(text).filter(|byte| !byte.is_ascii_alphanumeric());
        let odd = || BadDialect(format!("{:?} is not one ASCII character, such as ', or none", shorten(text)));
        found.map(|byte| Self(Some(byte))).ok_or_else(odd)
    }
}

impl FromStr for TextEncoding {
    type Err = BadDialect;

    fn from_str(text: &str) -> Result<Self, BadDialect> {
        // The standard maps some labels to an encoding that holds nothing, so that browsers are not attacked.
        let found = Encoding::for_label_no_replacement(text.as_bytes());
        let odd = || {
            BadDialect(format!(
                "{:?} is not an encoding; send a label such as utf-8, windows-1252, iso-8859-2 or shift_jis",
                shorten(text)
            ))
        };
        found.map(Self).ok_or_else(odd)
    }
}

impl FromStr for MissingMarks {
    type Err = BadDialect;

    fn from_str(text: &str) -> Result<Self, BadDialect> {
        let mut marks: Vec<String> =
            text.split(',').map(str::trim).filter(|m| !m.is_empty()).map(str::to_owned).collect();
        marks.sort_unstable();
        marks.dedup();
        if marks.len() > MAX_MARKS || marks.iter().any(|m| m.chars().count() > MAX_MARK_CHARS) {
            return Err(BadDialect(format!("at most {MAX_MARKS} marks of {MAX_MARK_CHARS} characters are accepted")));
        }
        Ok(Self(marks))
    }
}

impl fmt::Display for Delimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::TAB { f.write_str("tab") } else { write!(f, "{}", char::from(self.0)) }
    }
}

impl fmt::Display for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(byte) => write!(f, "{}", char::from(byte)),
            None => f.write_str("none"),
        }
    }
}

impl fmt::Display for TextEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name().to_ascii_lowercase())
    }
}

impl fmt::Display for MissingMarks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// Words on the wire, by their `FromStr` and `Display`.
macro_rules! as_text {
    ($($name:ident)*) => {
        $(
            impl TryFrom<String> for $name {
                type Error = BadDialect;

                fn try_from(text: String) -> Result<Self, BadDialect> {
                    text.parse()
                }
            }

            impl From<$name> for String {
                fn from(value: $name) -> Self {
                    value.to_string()
                }
            }
        )*
    };
}

as_text!(Delimiter Quote TextEncoding MissingMarks);
