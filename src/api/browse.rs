//! Stored domains looked at again: rows by page, one column, other roles.

use adaptation::data::Table;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use utoipa::IntoParams;

use super::App;
use super::conditional::by_content;
use super::domains::{ColumnView, VersionQuery, VersionView, put_response, reference, versioned};
use super::extract::{JsonBody, Path, Query, aside};
use super::headers::{expected, negotiate, value};
use super::pages::{Listing, PageQuery, encode, link, respond};
use super::problem::Problem;
use super::security::Tenant;
use crate::service::{Code, Columnar, RolePatch, RowPage, ServiceError, cell, columnar};

const JSON: &str = "application/json";
const CSV: &str = "text/csv";
const NDJSON: &str = "application/x-ndjson";
const PARQUET: &str = "application/vnd.apache.parquet";
const ARROW: &str = "application/vnd.apache.arrow.stream";
const NPY: &str = "application/x-npy";

/// Which rows, and what of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RowsQuery {
    /// Rows in the answer, 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before, or the cursor in its `Link`.
    pub cursor: Option<String>,
    /// Columns, separated by commas; all by default.
    pub columns: Option<String>,
    /// The version; the newest by default.
    #[param(minimum = 1)]
    pub version: Option<i64>,
}

/// Rows of a version.
///
/// As JSON objects, as CSV with a header, as one JSON object a line, as Parquet, as a stream of Arrow, or, of columns of
/// numbers, as one NPY array, by `Accept`. `Link` leads to the next page.
#[utoipa::path(get, path = "/v1/domains/{name}/rows", tag = "domains",
    params(("name" = String, Path, description = "Name or id, with or without @version"), RowsQuery),
    responses((status = 200, content((Listing<Object> = "application/json"), (String = "text/csv"),
        (String = "application/x-ndjson"), (Vec<u8> = "application/vnd.apache.parquet"),
        (Vec<u8> = "application/vnd.apache.arrow.stream"), (Vec<u8> = "application/x-npy")))))]
pub async fn rows(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(name): Path<String>,
    Query(query): Query<RowsQuery>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let format = negotiate(&headers, &[JSON, CSV, NDJSON, PARQUET, ARROW, NPY])?;
    let which = versioned(&name)?;
    let columns = query.columns.iter().flat_map(|t| t.split(',')).map(str::trim).filter(|t| !t.is_empty());
    let columns = columns.map(str::to_owned).collect();
    let page = PageQuery { limit: query.limit, cursor: query.cursor }.request("rows")?;
    let version = query.version.or(which.version);
    let found = app.service.rows(&tenant, (&which.thing, version), columns, &page).await?;
    let size = 16 * found.table.n_rows() * found.table.columns().len();
    aside(size, move || written(found, format, &uri)).await.map_err(Problem::from)
}

/// One column of a version, with its statistics.
///
/// Of a column of kind `text` or role `id` no cells are shown, only how many distinct ones there are: `words` lacks `top`.
#[utoipa::path(get, path = "/v1/domains/{name}/columns/{column}", tag = "domains",
    params(("name" = String, Path, description = "Name or id, with or without @version"),
           ("column" = String, Path, description = "Name of the column"), VersionQuery),
    responses((status = 200, body = ColumnView), (status = 304, description = "Not changed")))]
pub async fn column(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path((name, column)): Path<(String, String)>,
    Query(query): Query<VersionQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let which = versioned(&name)?;
    let version = app.service.domain_version(&tenant, &which.thing, query.version.or(which.version)).await?;
    let missing = || ServiceError::new(Code::ColumnNotFound, "this version has no such column");
    let found = version.columns.into_iter().find(|c| c.name == column).ok_or_else(missing)?;
    Ok(by_content(&headers, &ColumnView::from(found))?)
}

/// Give columns other roles.
///
/// What is left out stays as it is; null takes a role away. Where anything changes, this makes a new version.
#[utoipa::path(patch, path = "/v1/domains/{name}", tag = "domains", request_body = inline(Object),
    params(("name" = String, Path, description = "Name or id"),
           ("If-Match" = Option<String>, Header, description = "ETag of the newest version, as it was read")),
    responses((status = 201, body = VersionView), (status = 200, description = "Nothing changes", body = VersionView)))]
pub async fn patch(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: JsonBody<RolePatch>,
) -> Result<Response, Problem> {
    let put = app.service.patch_roles(&tenant, &reference(&name)?, body.value, &expected(&headers)).await?;
    Ok(put_response(put))
}

fn written(page: RowPage, format: &str, uri: &Uri) -> Result<Response, ServiceError> {
    let next_cursor = page.next.map(|cursor| encode("rows", &cursor));
    let link = next_cursor.as_deref().map(|next| link(uri, "cursor", next));
    let table = &page.table;
    if format == JSON {
        let data = (0..table.n_rows()).map(|i| RowView(table, i)).collect();
        return Ok(respond(Listing { data, next_cursor }, link));
    }
    let bytes = match format {
        CSV => csv(table)?,
        PARQUET => columnar(table, Columnar::Parquet)?,
        ARROW => columnar(table, Columnar::ArrowStream)?,
        NPY => columnar(table, Columnar::Npy)?,
        _ => ndjson(table)?,
    };
    let mut response = ([(header::CONTENT_TYPE, value(format))], bytes).into_response();
    if let Some(link) = link {
        response.headers_mut().insert(header::LINK, value(&link));
    }
    Ok(response)
}

fn ndjson(table: &Table) -> Result<Vec<u8>, ServiceError> {
    let mut out = Vec::new();
    for i in 0..table.n_rows() {
        serde_json::to_writer(&mut out, &RowView(table, i)).map_err(ServiceError::internal)?;
        out.push(b'\n');
    }
    Ok(out)
}

fn csv(table: &Table) -> Result<Vec<u8>, ServiceError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = table.columns().iter().map(|c| c.name.as_str());
    writer.write_record(names).map_err(ServiceError::internal)?;
    for i in 0..table.n_rows() {
        let words = table.columns().iter().map(|c| match cell(&c.values, i) {
            Value::Null => String::new(),
            Value::String(text) => text,
            other => other.to_string(),
        });
        writer.write_record(words).map_err(ServiceError::internal)?;
    }
    writer.into_inner().map_err(ServiceError::internal)
}

/// A row as an object, its columns in the order of the table.
struct RowView<'a>(&'a Table, usize);

impl Serialize for RowView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.columns().iter().map(|c| (&c.name, cell(&c.values, self.1))))
    }
}
