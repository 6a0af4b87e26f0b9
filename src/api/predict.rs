//! `POST /v1/models/{name}/predict`: rows in, predictions out, in the form that the client accepts.

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::App;
use super::data_query::PredictQuery;
use super::extract::{self, Path, Query, collect};
use super::headers::{negotiate, value};
use super::models::reference;
use super::problem::Problem;
use super::security::Tenant;
use crate::service::{
    Code, FileFormat, Form, Include, PredictDocument, PredictInput, PredictOptions, Predicted, ServiceError, include_of,
};

/// What is written, the default first.
const FORMS: [Form; 4] = [Form::Json, Form::File(FileFormat::Csv), Form::File(FileFormat::Ndjson), Form::Npy];

/// `name@version` of the model that answered: only JSON has a place for it in the body.
const MODEL: HeaderName = HeaderName::from_static("adaptd-model");
/// The classes in the order of columns, as a JSON array in ASCII.
const CLASSES: HeaderName = HeaderName::from_static("adaptd-classes");

/// Clients refuse answers with larger heads; the model's signature has the classes too.
const MAX_CLASSES_BYTES: usize = 4 << 10;

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
#[schema(example = json!({"label": "male", "probabilities": {"male": 0.97, "female": 0.03},
    "source_only": {"label": "female", "probabilities": {"male": 0.4, "female": 0.6}}, "features": [0.2, -1.4]}))]
pub struct PredictionView {
    pub label: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub probabilities: Option<Value>,
    /// Of learners whose scores are no probabilities: larger means more likely.
    #[schema(value_type = Option<Object>)]
    pub scores: Option<Value>,
    pub value: Option<f64>,
    /// What the model without the adaptation says, where `include` asks for it: the fields above.
    #[schema(value_type = Option<Object>)]
    pub source_only: Option<Value>,
    /// The row in the adapted space, where `include` asks for it.
    pub features: Option<Vec<f64>>,
}

/// Predict rows.
///
/// JSON records or arrays, or a file in a format of domains; labels with probabilities, scores or values out. By
/// `Accept`: JSON (the default), CSV, NDJSON with one prediction a line, or NPY: a float64 array of shape `(n, C)`, the
/// probabilities or scores by class in the order of the model's `signature.classes`, or `(n, 1)` values. The headers
/// `Adaptd-Model` and, for classes, `Adaptd-Classes` (a JSON array) say what answered, in which order.
///
/// An array (NPY, or `X` of NPZ) has no names: it needs as many columns as the model's `signature.inputs`, which are taken
/// by position, in that order. Inputs that are called `x0…`, as those of models made of arrays, are taken by these names.
#[utoipa::path(post, path = "/v1/models/{name}/predict", tag = "models",
    params(("name" = String, Path, description = "Name or id, with or without @version or @alias", example = "churn-eu@3"),
           PredictQuery),
    request_body = inline(Object),
    responses((status = 200, content((PredictionsView = "application/json"), (String = "text/csv"),
        (PredictionView = "application/x-ndjson"), (Vec<u8> = "application/x-npy")))))]
pub async fn predict(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(name): Path<String>,
    Query(query): Query<PredictQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let reference = reference(&name)?;
    let media = negotiate(request.headers(), &FORMS.map(Form::media_type))?;
    let form = FORMS.into_iter().find(|f| f.media_type() == media).unwrap_or(Form::Json);
    let options = PredictOptions { include: include(&query)?, form };
    let input = input(&app, query, request).await?;
    let predicted = app.service.predict(&tenant, &reference, input, options).await?;
    Ok(written(predicted, form)?)
}

/// The words of the query.
fn include(query: &PredictQuery) -> Result<Vec<Include>, ServiceError> {
    let words = query.include.as_deref().unwrap_or_default().split(',').map(str::trim).filter(|w| !w.is_empty());
    let refused = |known: String| ServiceError::parameter(Code::InvalidParameter, "include", known);
    words.map(include_of).collect::<Result<Vec<_>, _>>().map_err(refused)
}

async fn input(app: &App, query: PredictQuery, request: Request) -> Result<PredictInput, Problem> {
    let (is_document, options) = (query.is_document(request.headers()), query.options(request.headers()));
    let bytes = collect(request, app).await?;
    Ok(if is_document { PredictInput::Document { bytes, read } } else { PredictInput::File { bytes, options } })
}

fn read(bytes: &[u8]) -> Result<PredictDocument, ServiceError> {
    PredictDocument::scan(bytes).map_or_else(|| extract::json(bytes), Ok)
}

fn written(predicted: Predicted, form: Form) -> Result<Response, ServiceError> {
    let Predicted { model, classes, bytes } = predicted;
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.media_type()));
    headers.insert(header::VARY, HeaderValue::from_static("accept"));
    headers.insert(MODEL, value(&model));
    if form != Form::Json && !classes.is_empty() {
        let classes = ascii(&serde_json::to_string(&classes).map_err(ServiceError::internal)?);
        if classes.len() <= MAX_CLASSES_BYTES {
            headers.insert(CLASSES, value(&classes));
        }
    }
    Ok(response)
}

/// JSON text with everything beyond ASCII escaped, as headers need it.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            out.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::ascii;

    #[test]
    fn headers_get_the_same_words_in_ascii() {
        let words = "[\"a\",\"ü\",\"\u{1f427}\",\"\u{7f}\"]";
        let escaped = ascii(words);
        assert_eq!(escaped, "[\"a\",\"\\u00fc\",\"\\ud83d\\udc27\",\"\\u007f\"]");
        let parsed: Vec<String> = serde_json::from_str(&escaped).expect("JSON");
        assert_eq!(parsed, serde_json::from_str::<Vec<String>>(words).expect("JSON"));
    }
}
