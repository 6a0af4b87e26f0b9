//! `/v1/domains`: data comes in, and what is known of it goes out.

use adaptation::data::{Kind, Role, TaskKind};
use axum::Json;
use axum::body::{Body, HttpBody as _};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::conditional::{by_content, tagged};
use super::data_query::DataQuery;
use super::extract::{Chunks, JsonBody, Path, Query};
use super::headers::{etag, expected, value};
use super::idempotency::{replayed, request_key};
use super::pages::{Listing, PageQuery, listing};
use super::problem::Problem;
use super::security::Tenant;
use crate::records::{
    ColumnRecord, DomainId, DomainRecord, DomainVersionRecord, Name, Reference, Timestamp, VersionedReference,
};
use crate::service::{Code, DomainOptions, InlineDomain, Once, PutDomain, RoleRequest, ServiceError};

/// A domain.
#[derive(Debug, Serialize, ToSchema)]
pub struct DomainView {
    pub id: String,
    /// Always `domain`.
    pub object: &'static str,
    pub name: String,
    pub latest_version: i64,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// The newest version; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionView>,
    pub links: DomainLinks,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DomainLinks {
    #[serde(rename = "self")]
    pub own: String,
    pub versions: String,
    pub columns: String,
}

/// One immutable version of a domain.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionView {
    /// Always `domain_version`.
    pub object: &'static str,
    /// The id of the domain.
    pub domain: String,
    pub name: String,
    pub version: i64,
    /// `name@version`, as jobs take it.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Hash of bytes, roles and parse options.
    pub identity: String,
    pub format: String,
    pub n_bytes: i64,
    pub n_rows: i64,
    pub n_columns: usize,
    #[schema(value_type = Option<String>)]
    pub task: Option<TaskKind>,
    /// The name of the label column.
    pub label: Option<String>,
    /// What was met on the way in, such as arrays that were skipped.
    pub notes: Vec<String>,
    /// Names, types and roles; statistics are under `/columns`.
    pub columns: Vec<ColumnHead>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A column without its statistics.
#[derive(Debug, Serialize, ToSchema)]
pub struct ColumnHead {
    pub name: String,
    #[schema(value_type = String)]
    pub kind: Kind,
    #[schema(value_type = String)]
    pub role: Role,
}

/// A column with what ingest counted.
#[derive(Debug, Serialize, ToSchema)]
pub struct ColumnView {
    pub name: String,
    #[schema(value_type = String)]
    pub kind: Kind,
    #[schema(value_type = String)]
    pub role: Role,
    /// Missing values, quantiles, histogram or levels; of kind `text` and role `id` no levels, which are cells.
    #[schema(value_type = Object)]
    pub statistics: Value,
}

/// Which version's columns.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct VersionQuery {
    /// The version; the newest by default.
    #[param(minimum = 1)]
    pub version: Option<i64>,
}

/// A domain with its rows inline: either `rows`, or `columns` with `data`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
#[schema(example = json!({"name": "tiny", "label": "y", "rows": [{"x": 1.5, "y": "a"}, {"x": 2.0, "y": "b"}]}))]
pub struct NewDomain {
    #[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9._-]{0,99}$")]
    pub name: Name,
    /// Objects of column names and values.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    pub rows: Option<Value>,
    /// Column names of `data`.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    /// Lists of values, in the order of `columns`.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Vec<Value>>>)]
    pub data: Option<Value>,
    #[serde(default)]
    pub label: Option<String>,
    #[serde(default)]
    pub ignore: Vec<String>,
    #[serde(default)]
    pub weight: Option<String>,
    #[serde(default)]
    pub group: Option<String>,
    #[serde(default)]
    pub id: Option<String>,
    #[serde(default)]
    pub time: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub task: Option<TaskKind>,
}

/// Upload a version of a domain.
///
/// The body is the data: CSV, Parquet, Arrow IPC, NPZ, NPY, JSON rows, one JSON object a line, or svmlight. `curl -T file.csv` is a complete upload.
/// Bodies may be packed with gzip, zstd or deflate, by `Content-Encoding` or as `.gz` and `.zst` files.
/// When this answers, the version is readable. The same bytes with the same options are the same version.
/// With `If-Match` it is stored only where the domain still stands as it was read, with `If-None-Match: *` only where there
/// is none of that name; otherwise the answer is 412.
#[utoipa::path(put, path = "/v1/domains/{name}", tag = "domains", request_body = inline(Object),
    params(("name" = String, Path, description = "Name of the domain"), DataQuery,
           ("If-Match" = Option<String>, Header, description = "ETag of the domain, as it was read, or *: there is one"),
           ("If-None-Match" = Option<String>, Header, description = "*: there is none yet")),
    responses((status = 201, body = VersionView), (status = 200, description = "The newest version again", body = VersionView)))]
pub async fn put(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(name): Path<String>,
    Query(query): Query<DataQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let refused = |e: crate::records::BadName| ServiceError::parameter(Code::InvalidParameter, "name", e.to_string());
    let name = name.parse::<Name>().map_err(refused)?;
    let options = query.options(&headers)?;
    let _place = app.service.upload_place()?;
    let mut upload = app.service.begin_upload(body.size_hint().lower()).await?;
    let mut chunks = Chunks::new(body, app.limits.body_idle);
    while let Some(chunk) = chunks.next().await? {
        upload.write(chunk).await?;
    }
    let received = upload.finish().await?;
    let put = app.service.put_domain(&tenant, (name, expected(&headers)), received, options).await?;
    Ok(put_response(put))
}

/// Make a domain of rows in the request.
#[utoipa::path(post, path = "/v1/domains", tag = "domains", request_body = NewDomain,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key makes one domain; kept for a day")),
    responses((status = 201, body = VersionView), (status = 200, description = "The same data again", body = VersionView)))]
pub async fn create(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    headers: HeaderMap,
    body: JsonBody<NewDomain>,
) -> Result<Response, Problem> {
    let key = request_key(&headers, "POST /v1/domains", &body.bytes)?;
    Ok(match app.service.create_domain(&tenant, body.value.inline()?, key).await? {
        Once::New(put) => put_response(put),
        Once::Replayed(put) => replayed(put_response(put)),
    })
}

/// List domains by name.
#[utoipa::path(get, path = "/v1/domains", tag = "domains", params(PageQuery),
    responses((status = 200, body = Listing<DomainView>)))]
pub async fn list(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Query(query): Query<PageQuery>,
    uri: Uri,
) -> Result<Response, Problem> {
    let page = app.service.domains(&tenant, &query.request("domains")?).await?;
    Ok(listing(&uri, "domains", page, |d| DomainView::of(d, None)))
}

/// Read a domain and its newest version.
#[utoipa::path(get, path = "/v1/domains/{name}", tag = "domains",
    params(("name" = String, Path, description = "Name or id, with or without @version")),
    responses((status = 200, body = DomainView), (status = 304, description = "Not changed")))]
pub async fn read(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let reference = versioned(&name)?;
    let domain = app.service.domain(&tenant, &reference.thing).await?;
    let version = app.service.domain_version(&tenant, &reference.thing, reference.version).await?;
    Ok(tagged(&headers, &etag(domain.latest_version), DomainView::of(domain, Some(version))))
}

/// List the versions of a domain, newest first.
#[utoipa::path(get, path = "/v1/domains/{name}/versions", tag = "domains",
    params(("name" = String, Path, description = "Name or id"), PageQuery),
    responses((status = 200, body = Listing<VersionView>)))]
pub async fn versions(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(name): Path<String>,
    Query(query): Query<PageQuery>,
    uri: Uri,
) -> Result<Response, Problem> {
    let page = app.service.domain_versions(&tenant, &reference(&name)?, &query.request("versions")?).await?;
    Ok(listing(&uri, "versions", page, VersionView::of))
}

/// Read one version of a domain.
#[utoipa::path(get, path = "/v1/domains/{name}/versions/{n}", tag = "domains",
    params(("name" = String, Path, description = "Name or id"), ("n" = i64, Path, minimum = 1, description = "Version")),
    responses((status = 200, body = VersionView), (status = 304, description = "Not changed")))]
pub async fn version(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path((name, n)): Path<(String, i64)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let version = app.service.domain_version(&tenant, &reference(&name)?, Some(n)).await?;
    Ok(by_content(&headers, &VersionView::of(version))?)
}

/// Columns of a version, with their statistics.
///
/// No cells of columns of kind `text` or role `id` are shown, only how many distinct ones there are: `words` lacks `top`.
#[utoipa::path(get, path = "/v1/domains/{name}/columns", tag = "domains",
    params(("name" = String, Path, description = "Name or id, with or without @version"), VersionQuery),
    responses((status = 200, body = Listing<ColumnView>), (status = 304, description = "Not changed")))]
pub async fn columns(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(name): Path<String>,
    Query(query): Query<VersionQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let reference = versioned(&name)?;
    let wanted = query.version.or(reference.version);
    let version = app.service.domain_version(&tenant, &reference.thing, wanted).await?;
    let data = version.columns.into_iter().map(ColumnView::from).collect();
    Ok(by_content(&headers, &Listing { data, next_cursor: None })?)
}

pub fn put_response(put: PutDomain) -> Response {
    let (status, version) = match put {
        PutDomain::Created(version) => (StatusCode::CREATED, version),
        PutDomain::Unchanged(version) => (StatusCode::OK, version),
    };
    let location = format!("/v1/domains/{}/versions/{}", version.name, version.version);
    let headers = [(header::LOCATION, value(&location)), (header::ETAG, value(&etag(version.version)))];
    (status, headers, Json(VersionView::of(version))).into_response()
}

/// What cannot be a name is the name of nothing.
pub fn reference(text: &str) -> Result<Reference<DomainId>, ServiceError> {
    text.parse().map_err(|_| ServiceError::new(Code::DomainNotFound, "there is no such domain"))
}

pub fn versioned(text: &str) -> Result<VersionedReference<DomainId>, ServiceError> {
    text.parse().map_err(|_| ServiceError::new(Code::DomainNotFound, "there is no such domain"))
}

impl NewDomain {
    fn inline(self) -> Result<InlineDomain, ServiceError> {
        let rows = match (self.rows, self.columns, self.data) {
            (Some(rows), None, None) => json!({ "rows": rows }),
            (None, Some(columns), Some(data)) => json!({ "columns": columns, "data": data }),
            _ => {
                let detail = "give either rows, a list of objects, or columns with data, a list of lists";
                return Err(ServiceError::at(Code::InvalidParameter, "", detail));
            }
        };
        let roles = RoleRequest {
            label: self.label,
            weight: self.weight,
            group: self.group,
            id: self.id,
            time: self.time,
            ignore: self.ignore,
        };
        let options = DomainOptions { roles, task: self.task, ..DomainOptions::default() };
        Ok(InlineDomain { name: self.name, rows, options })
    }
}

impl DomainView {
    fn of(domain: DomainRecord, version: Option<DomainVersionRecord>) -> Self {
        let own = format!("/v1/domains/{}", domain.name);
        Self {
            id: domain.id.to_string(),
            object: "domain",
            name: domain.name.to_string(),
            latest_version: domain.latest_version,
            created_at: domain.created_at,
            updated_at: domain.updated_at,
            version: version.map(VersionView::of),
            links: DomainLinks { versions: format!("{own}/versions"), columns: format!("{own}/columns"), own },
        }
    }
}

impl VersionView {
    fn of(version: DomainVersionRecord) -> Self {
        let label = version.columns.iter().find(|c| c.role == Role::Label);
        Self {
            object: "domain_version",
            domain: version.domain.to_string(),
            reference: format!("{}@{}", version.name, version.version),
            name: version.name.to_string(),
            version: version.version,
            identity: version.identity,
            format: version.format,
            n_bytes: version.n_bytes,
            n_rows: version.n_rows,
            n_columns: version.columns.len(),
            task: version.task,
            label: label.map(|c| c.name.clone()),
            notes: version.notes,
            columns: version
                .columns
                .into_iter()
                .map(|c| ColumnHead { name: c.name, kind: c.kind, role: c.role })
                .collect(),
            created_at: version.created_at,
        }
    }
}

impl From<ColumnRecord> for ColumnView {
    fn from(mut column: ColumnRecord) -> Self {
        // The commonest cells of texts and ids are data, for which a key needs another scope.
        if (column.kind == Kind::Text || column.role == Role::Id)
            && let Some(words) = column.statistics.get_mut("words").and_then(Value::as_object_mut)
        {
            words.remove("top");
        }
        Self { name: column.name, kind: column.kind, role: column.role, statistics: column.statistics }
    }
}
