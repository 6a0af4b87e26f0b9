//! A dry run over the first part of a file: what would be made of it. Nothing is stored.

use adaptation::data::{Column, Kind, Role, TaskKind, Values};
use bytes::Bytes;
use serde_json::{Value, json};

use super::domains::of_ingest;
use super::error::ServiceError;
use super::{DomainOptions, Service};
use crate::ingest::{self, Coding, Dialect, Format, Ingested};
use crate::records::Timestamp;

/// Bytes that are looked at: some ten thousand rows of a usual table.
pub const GUESS_BYTES: usize = 4 << 20;

const EXAMPLES: usize = 5;
/// Characters of a word that are shown.
const EXAMPLE_CHARS: usize = 100;

/// The first part of a file.
#[derive(Debug, Clone)]
pub struct FilePart {
    pub bytes: Bytes,
    /// Whether more follows.
    pub is_cut: bool,
}

/// What an upload of the file would be.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemaGuess {
    pub format: Format,
    /// Of CSV.
    pub dialect: Option<Dialect>,
    /// Read, of this part.
    pub n_rows: usize,
    pub n_bytes: usize,
    /// Whether the whole file was looked at.
    pub is_whole: bool,
    pub task: Option<TaskKind>,
    pub columns: Vec<GuessedColumn>,
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct GuessedColumn {
    pub name: String,
    pub kind: Kind,
    pub role: Role,
    pub n_missing: usize,
    /// The first few distinct values.
    pub examples: Vec<Value>,
}

impl Service {
    /// # Errors
    /// As an upload; a part of a file that can only be read as a whole.
    pub async fn guess_schema(&self, part: FilePart, options: DomainOptions) -> Result<SchemaGuess, ServiceError> {
        let (mut settings, coding) = (self.ingest_options(&options), options.coding);
        settings.limits = settings.limits.kept();
        let run = move || guess(part, coding, &settings);
        tokio::task::spawn_blocking(run).await.map_err(ServiceError::internal)?
    }
}

fn guess(part: FilePart, named: Option<Coding>, settings: &ingest::Options) -> Result<SchemaGuess, ServiceError> {
    let FilePart { mut bytes, mut is_cut } = part;
    let mut warnings = Vec::new();
    if let Some(coding) = named.or_else(|| Coding::from_magic(&bytes)) {
        // One byte more shows that there is more.
        let unpacked = ingest::unpack_start(&mut &bytes[..], coding, GUESS_BYTES + 1).map_err(|e| of_ingest(&e))?;
        (is_cut, bytes) = (is_cut || unpacked.len() > GUESS_BYTES, unpacked.into());
        warnings.extend(named.is_none().then(|| format!("the file is packed with {}", coding.as_str())));
    }
    bytes.truncate(GUESS_BYTES);
    if is_cut {
        bytes = ingest::whole_lines(&bytes, settings).map_err(|e| of_ingest(&e))?;
        warnings.push(format!("the file is longer: the first {} bytes of it were read", bytes.len()));
    }
    let found = ingest::read(&bytes.clone().into(), settings).map_err(|e| of_ingest(&e))?;
    let Ingested { format, table, roles, task, statistics, notes, dialect } = found;
    warnings.extend(notes);
    let columns = table.columns().iter().zip(roles).zip(&statistics).map(|((column, role), statistics)| {
        if statistics.count == 0 {
            warnings.push(format!("column {:?} holds no value", column.name));
        }
        GuessedColumn {
            name: column.name.clone(),
            kind: column.values.kind(),
            role,
            n_missing: statistics.missing,
            examples: examples(column),
        }
    });
    let columns = columns.collect();
    let (n_rows, n_bytes) = (table.n_rows(), bytes.len());
    Ok(SchemaGuess { format, dialect, n_rows, n_bytes, is_whole: !is_cut, task, columns, warnings })
}

fn examples(column: &Column) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    // Far beyond the first few hundred rows another value is not worth the search.
    for row in 0..column.values.len().min(1000) {
        let value = example(&column.values, row);
        if !value.is_null() && !found.contains(&value) {
            found.push(value);
        }
        if found.len() == EXAMPLES {
            break;
        }
    }
    found
}

fn example(values: &Values, row: usize) -> Value {
    let short = |word: &str| word.chars().take(EXAMPLE_CHARS).collect::<String>();
    match values {
        Values::Boolean(v) => json!(v[row]),
        Values::Integer(v) => json!(v[row]),
        Values::Timestamp(v) => json!(v[row].map(Timestamp::from_millis)),
        Values::Category { codes, levels } => json!(codes[row].map(|code| short(&levels[code as usize]))),
        Values::Text(v) => json!(v[row].as_deref().map(short)),
        numbers @ (Values::Number(_) | Values::Sparse { .. }) => json!(numbers.number(row)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Code;

    fn part(bytes: impl Into<Bytes>, is_cut: bool) -> FilePart {
        FilePart { bytes: bytes.into(), is_cut }
    }

    #[test]
    fn a_cut_file_is_read_to_its_last_whole_row() {
        let options = ingest::Options::default();
        let found = guess(part("a,b\n1,x\n2,\"y\nz\"\n3,\"u\nv", true), None, &options).expect("rows");
        assert_eq!((found.n_rows, found.n_bytes, found.is_whole), (2, 16, false));
        assert_eq!(found.columns[1].examples, [json!("x"), json!("y\nz")]);
        let found = guess(part("a,b\n1,x\n2,6\" tall\n3,", true), None, &options).expect("rows");
        assert_eq!(found.n_rows, 2, "a stray quote is not taken for an open cell");
        let utf16: Vec<u8> = "\u{feff}a,b\n1,x\n2,".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(guess(part(utf16, true), None, &options).expect("rows").n_rows, 1);
        let refused = |bytes: &'static [u8]| guess(part(bytes, true), None, &options).expect_err("refused").code;
        assert_eq!(refused(b"PAR1"), Code::BodyTooLarge);
        assert_eq!(refused(b"a,b,c"), Code::DataInvalid);
    }
}
