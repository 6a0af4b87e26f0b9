//! `/v1/models`: what jobs have made, and predictions.

use adaptation::learners::{Prediction, Scores};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::App;
use super::data_query::RowsQuery;
use super::extract::{self, Path, Query, collect};
use super::headers::{etag, negotiate, none_match, value};
use super::pages::{Listing, PageQuery, listing};
use super::problem::Problem;
use super::security::Tenant;
use crate::records::{ModelId, ModelRecord, ModelVersionRecord, Timestamp, VersionedReference};
use crate::service::{Answer, Code, ModelWithVersion, PredictDocument, PredictInput, ServiceError};

const JSON: &str = "application/json";
const CSV: &str = "text/csv";

/// A model.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelView {
    pub id: String,
    /// Always `model`.
    pub object: &'static str,
    pub name: String,
    pub latest_version: i64,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// The version that was asked for, by default the newest; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<ModelVersionView>,
    pub links: ModelLinks,
}

/// One immutable version of a model.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelVersionView {
    pub version: i64,
    /// `name@version`, as predictions and jobs take it.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The job that made it.
    pub job: String,
    /// Of the model file.
    pub sha256: String,
    pub n_bytes: i64,
    /// Columns in, classes out.
    #[schema(value_type = Object)]
    pub signature: Value,
    /// Domains with versions, base model, version of the program, spec.
    #[schema(value_type = Object)]
    pub lineage: Value,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    pub links: ModelVersionLinks,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ModelLinks {
    #[serde(rename = "self")]
    pub own: String,
    pub predict: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ModelVersionLinks {
    pub job: String,
    pub metrics: String,
    pub predict: String,
}

/// List models by name.
#[utoipa::path(get, path = "/v1/models", tag = "models", params(PageQuery),
    responses((status = 200, body = Listing<ModelView>)))]
pub async fn list(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Query(query): Query<PageQuery>,
    uri: Uri,
) -> Result<Response, Problem> {
    let page = app.service.models(&tenant, &query.request("models")?).await?;
    Ok(listing(&uri, "models", page, |m| ModelView::of(m, None)))
}

/// Read a model and one of its versions.
#[utoipa::path(get, path = "/v1/models/{name}", tag = "models",
    params(("name" = String, Path, description = "Name or id, with or without @version")),
    responses((status = 200, body = ModelView), (status = 304, description = "Not changed")))]
pub async fn read(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let ModelWithVersion { model, version } = app.service.model(&tenant, &reference(&name)?).await?;
    let etag = etag(model.latest_version);
    if none_match(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, value(&etag))]).into_response());
    }
    Ok(([(header::ETAG, value(&etag))], Json(ModelView::of(model, Some(version)))).into_response())
}

/// Predict rows.
///
/// JSON records or arrays, or a file in a format of domains; labels with probabilities, scores or
/// values out, as JSON or CSV by `Accept`.
#[utoipa::path(post, path = "/v1/models/{name}/predict", tag = "models",
    params(("name" = String, Path, description = "Name or id, with or without @version"), RowsQuery),
    request_body(content(
        (Object = "application/json"), (Vec<u8> = "text/csv"), (Vec<u8> = "text/tab-separated-values"),
        (Vec<u8> = "application/x-ndjson"), (Vec<u8> = "application/vnd.apache.parquet"),
        (Vec<u8> = "application/vnd.apache.arrow.stream"), (Vec<u8> = "application/vnd.apache.arrow.file"),
        (Vec<u8> = "application/x-npy"), (Vec<u8> = "application/x-npz"))),
    responses((status = 200, content((PredictionsView = "application/json"), (String = "text/csv")))))]
pub async fn predict(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(name): Path<String>,
    Query(query): Query<RowsQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let reference = reference(&name)?;
    let written = negotiate(request.headers(), &[JSON, CSV])?;
    let (is_document, options) = (query.is_document(request.headers()), query.options(request.headers()));
    let bytes = collect(request, &app).await?;
    let n_bytes = bytes.len();
    let input = if is_document {
        let read = move || extract::json::<PredictDocument>(&bytes)?.into_rows();
        PredictInput::Rows(extract::aside(n_bytes, read).await?)
    } else {
        PredictInput::File { bytes, options }
    };
    let answer = app.service.predict(&tenant, &reference, input).await?;
    // A number takes about twenty bytes.
    let n_bytes = 20 * answer.prediction.len() * (1 + answer.classes.len());
    let write = move || Ok(if written == CSV { csv(&answer)? } else { Json(Predictions(&answer)).into_response() });
    Ok(extract::aside(n_bytes, write).await?)
}

/// What cannot be a reference refers to nothing.
fn reference(text: &str) -> Result<VersionedReference<ModelId>, ServiceError> {
    text.parse().map_err(|_| ServiceError::new(Code::ModelNotFound, "there is no such model"))
}

impl ModelView {
    fn of(model: ModelRecord, version: Option<ModelVersionRecord>) -> Self {
        let own = format!("/v1/models/{}", model.name);
        Self {
            id: model.id.to_string(),
            object: "model",
            name: model.name.to_string(),
            latest_version: model.latest_version,
            created_at: model.created_at,
            updated_at: model.updated_at,
            version: version.map(ModelVersionView::from),
            links: ModelLinks { predict: format!("{own}/predict"), own },
        }
    }
}

impl From<ModelVersionRecord> for ModelVersionView {
    fn from(version: ModelVersionRecord) -> Self {
        let reference = format!("{}@{}", version.name, version.version);
        let job = format!("/v1/jobs/{}", version.job);
        Self {
            version: version.version,
            job: version.job.to_string(),
            sha256: version.blob,
            n_bytes: version.n_bytes,
            signature: version.signature,
            lineage: version.lineage,
            created_at: version.created_at,
            links: ModelVersionLinks {
                metrics: format!("{job}/metrics"),
                predict: format!("/v1/models/{reference}/predict"),
                job,
            },
            reference,
        }
    }
}

/// Predictions, one for each row in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"model": "churn-eu@3",
    "predictions": [{"label": "male", "probabilities": {"male": 0.97, "female": 0.03}}]}))]
pub struct PredictionsView {
    /// `name@version`
    pub model: String,
    pub predictions: Vec<PredictionView>,
}

/// One prediction: a label with probabilities or scores, or a value.
#[derive(Debug, Serialize, ToSchema)]
pub struct PredictionView {
    pub label: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub probabilities: Option<Value>,
    /// Of learners whose scores are no probabilities: larger means more likely.
    #[schema(value_type = Option<Object>)]
    pub scores: Option<Value>,
    pub value: Option<f64>,
}

/// Writes an answer in the form of [`PredictionsView`] without building it.
struct Predictions<'a>(&'a Answer);
struct Rows<'a>(&'a Answer);
struct Row<'a>(&'a Answer, usize);
struct ByClass<'a>(&'a Answer, usize);

impl Serialize for Predictions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("model", &self.0.model)?;
        map.serialize_entry("predictions", &Rows(self.0))?;
        map.end()
    }
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let n = self.0.prediction.len();
        let mut rows = serializer.serialize_seq(Some(n))?;
        for i in 0..n {
            rows.serialize_element(&Row(self.0, i))?;
        }
        rows.end()
    }
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match &self.0.prediction {
            Prediction::Classes { codes, kind, .. } => {
                map.serialize_entry("label", &self.0.classes[codes[self.1]])?;
                map.serialize_entry(scores_name(*kind), &ByClass(self.0, self.1))?;
            }
            Prediction::Values(values) => map.serialize_entry("value", &values[self.1])?,
        }
        map.end()
    }
}

impl Serialize for ByClass<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Prediction::Classes { scores, .. } = &self.0.prediction else { return serializer.serialize_none() };
        serializer.collect_map(self.0.classes.iter().zip(scores.row(self.1)))
    }
}

fn scores_name(kind: Scores) -> &'static str {
    match kind {
        Scores::Probability => "probabilities",
        Scores::Decision => "scores",
    }
}

/// The shortest digits that are this number again; with an exponent where there would be many zeros.
fn number(value: &f64) -> String {
    if *value != 0.0 && !(1e-5..1e16).contains(&value.abs()) { format!("{value:e}") } else { value.to_string() }
}

/// `label` and a column for each class, or `value`.
fn csv(answer: &Answer) -> Result<Response, ServiceError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut write = |record: &[String]| writer.write_record(record).map_err(ServiceError::internal);
    match &answer.prediction {
        Prediction::Classes { codes, scores, kind } => {
            let prefix = if *kind == Scores::Probability { "probability" } else { "score" };
            let header = answer.classes.iter().map(|c| format!("{prefix}_{c}"));
            write(&[String::from("label")].into_iter().chain(header).collect::<Vec<_>>())?;
            for (&code, row) in codes.iter().zip(scores.rows()) {
                let label = [answer.classes[code].clone()];
                write(&label.into_iter().chain(row.iter().map(number)).collect::<Vec<_>>())?;
            }
        }
        Prediction::Values(values) => {
            write(&["value".to_owned()])?;
            values.iter().try_for_each(|v| write(&[number(v)]))?;
        }
    }
    let bytes = writer.into_inner().map_err(ServiceError::internal)?;
    Ok(([(header::CONTENT_TYPE, CSV)], bytes).into_response())
}
