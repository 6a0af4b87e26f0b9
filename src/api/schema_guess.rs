//! `/v1/schema-guess`: what would be made of a file.

use adaptation::data::{Kind, Role, TaskKind};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use bytes::BytesMut;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::App;
use super::data_query::DataQuery;
use super::extract::{Chunks, Query};
use super::problem::Problem;
use crate::service::{FilePart, GUESS_BYTES, GuessedColumn, SchemaGuess};

/// What an upload of this file would be.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"object": "schema_guess", "format": "csv", "delimiter": ";", "quote": "\"", "header": "present",
    "encoding": "windows-1252", "n_rows": 2, "n_bytes": 38, "complete": true, "task": "classification", "label": "label",
    "columns": [
        {"name": "age", "kind": "integer", "role": "feature", "missing": 1, "examples": [39]},
        {"name": "label", "kind": "category", "role": "label", "missing": 0, "examples": ["yes", "no"]}],
    "warnings": ["byte 25 (line 2) is not UTF-8: read as windows-1252; say encoding= if it is another"]}))]
pub struct SchemaGuessView {
    /// Always `schema_guess`.
    pub object: &'static str,
    pub format: &'static str,
    /// Of CSV, as the parameter takes it.
    pub delimiter: Option<String>,
    /// Of CSV.
    pub quote: Option<String>,
    /// Of CSV: `present` or `none`.
    pub header: Option<&'static str>,
    /// Of CSV.
    pub encoding: Option<String>,
    /// Rows that were read.
    pub n_rows: usize,
    /// Bytes that were read, unpacked.
    pub n_bytes: usize,
    /// Whether that is the whole file.
    pub complete: bool,
    #[schema(value_type = Option<String>)]
    pub task: Option<TaskKind>,
    /// The name of the label column.
    pub label: Option<String>,
    pub columns: Vec<GuessedColumnView>,
    pub warnings: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct GuessedColumnView {
    pub name: String,
    #[schema(value_type = String)]
    pub kind: Kind,
    #[schema(value_type = String)]
    pub role: Role,
    /// Missing values among the rows that were read.
    pub missing: usize,
    /// The first few distinct values.
    #[schema(value_type = Vec<Value>)]
    pub examples: Vec<Value>,
}

/// Guess what a file holds.
///
/// The body is the first part of a file, at most 4 MiB of which are read: what is longer is cut after its last whole
/// line. Takes the parameters of an upload, answers what the upload would be, and stores nothing.
#[utoipa::path(post, path = "/v1/schema-guess", tag = "domains", params(DataQuery),
    request_body = inline(Object),
    responses((status = 200, body = SchemaGuessView)))]
pub async fn guess(
    State(app): State<App>,
    Query(query): Query<DataQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<SchemaGuessView>, Problem> {
    let options = query.options(&headers)?;
    let part = first_part(body, &app).await?;
    Ok(Json(app.service.guess_schema(part, options).await?.into()))
}

/// The rest of a body is read and forgotten: many clients hear no answer before they have sent everything.
async fn first_part(body: Body, app: &App) -> Result<FilePart, Problem> {
    let (mut first, mut n_bytes) = (BytesMut::new(), 0);
    let mut chunks = Chunks::new(body, app.limits.body_idle);
    while let Some(chunk) = chunks.next().await? {
        n_bytes += chunk.len() as u64;
        let room = GUESS_BYTES - first.len();
        first.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if n_bytes > app.service.limits().max_upload_bytes {
            break;
        }
    }
    Ok(FilePart { is_cut: n_bytes > first.len() as u64, bytes: first.freeze() })
}

impl From<SchemaGuess> for SchemaGuessView {
    fn from(guess: SchemaGuess) -> Self {
        let dialect = guess.dialect;
        Self {
            object: "schema_guess",
            format: guess.format.as_str(),
            delimiter: dialect.map(|d| d.delimiter.to_string()),
            quote: dialect.map(|d| d.quote.to_string()),
            header: dialect.map(|d| d.header.as_str()),
            encoding: dialect.map(|d| d.encoding.to_string()),
            n_rows: guess.n_rows,
            n_bytes: guess.n_bytes,
            complete: guess.is_whole,
            task: guess.task,
            label: guess.columns.iter().find(|c| c.role == Role::Label).map(|c| c.name.clone()),
            columns: guess.columns.into_iter().map(GuessedColumnView::from).collect(),
            warnings: guess.warnings,
        }
    }
}

impl From<GuessedColumn> for GuessedColumnView {
    fn from(column: GuessedColumn) -> Self {
        let GuessedColumn { name, kind, role, n_missing, examples } = column;
        Self { name, kind, role, missing: n_missing, examples }
    }
}
