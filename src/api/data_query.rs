//! What the query and the headers say about data in a body.

use adaptation::data::TaskKind;
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::media_type;
use super::headers::content_coding;
use super::problem::Problem;
use crate::service::{
    CsvOptions, Delimiter, DomainOptions, Format, HeaderRow, MissingMarks, Quote, RoleRequest, TextEncoding,
};

/// Roles, format and, of CSV, the dialect of an upload.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DataQuery {
    /// The column with the labels. Without it, a column called `label` is taken.
    pub label: Option<String>,
    /// Columns to leave out, separated by commas.
    pub ignore: Option<String>,
    /// The column with sample weights.
    pub weight: Option<String>,
    /// The column with groups.
    pub group: Option<String>,
    /// The column that identifies rows.
    pub id: Option<String>,
    /// The column with times.
    pub time: Option<String>,
    /// What labels are; inferred by default.
    #[param(value_type = Option<String>, pattern = "^(classification|regression)$")]
    pub task: Option<TaskKind>,
    /// What the bytes are, where the media type does not say.
    #[param(value_type = Option<String>, pattern = "^(csv|parquet|arrow|npz|npy|json|ndjson|svmlight)$")]
    pub format: Option<Format>,
    /// Of CSV: the character between cells, one of ASCII, or `tab`; guessed by default.
    #[param(value_type = Option<String>, example = ";")]
    pub delimiter: Option<Delimiter>,
    /// Of CSV: the character around cells that hold a delimiter, or `none`; by default `"`.
    #[param(value_type = Option<String>)]
    pub quote: Option<Quote>,
    /// Of CSV: whether the first line names the columns, which are called `x0…` otherwise. By default it does unless
    /// all its cells are numbers.
    #[param(value_type = Option<String>, pattern = "^(auto|present|none)$")]
    pub header: Option<HeaderRow>,
    /// Of CSV: a label of the WHATWG's Encoding Standard. By default UTF-8, or UTF-16 with a byte order mark, or else
    /// windows-1252.
    #[param(value_type = Option<String>, example = "windows-1252")]
    pub encoding: Option<TextEncoding>,
    /// Of CSV: marks that stand for a missing value, separated by commas, beside the empty cell, `?`, `NA`, `N/A`,
    /// `NaN` and `null`.
    #[param(value_type = Option<String>, example = "-999,unknown")]
    pub missing: Option<MissingMarks>,
}

/// What is asked for beside the predictions, and format and, of CSV, the dialect of rows to predict; as of an upload.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PredictQuery {
    /// What stands beside each prediction, separated by commas: `source_only`, what the model without the adaptation
    /// says (JSON, NDJSON, CSV); `features`, the row in the adapted space (JSON, NDJSON).
    #[param(example = "source_only,features")]
    pub include: Option<String>,
    /// What the bytes are, where the media type does not say.
    #[param(value_type = Option<String>, pattern = "^(csv|parquet|arrow|npz|npy|json|ndjson|svmlight)$")]
    pub format: Option<Format>,
    /// Of CSV: the character between cells, one of ASCII, or `tab`; guessed by default.
    #[param(value_type = Option<String>, example = ";")]
    pub delimiter: Option<Delimiter>,
    /// Of CSV: the character around cells that hold a delimiter, or `none`; by default `"`.
    #[param(value_type = Option<String>)]
    pub quote: Option<Quote>,
    /// Of CSV: whether the first line names the columns.
    #[param(value_type = Option<String>, pattern = "^(auto|present|none)$")]
    pub header: Option<HeaderRow>,
    /// Of CSV: a label of the WHATWG's Encoding Standard.
    #[param(value_type = Option<String>, example = "windows-1252")]
    pub encoding: Option<TextEncoding>,
    /// Of CSV: marks that stand for a missing value, separated by commas.
    #[param(value_type = Option<String>, example = "-999,unknown")]
    pub missing: Option<MissingMarks>,
}

impl PredictQuery {
    /// Whether the body is a JSON document of this route, with pointers into it where rows are wrong.
    pub(super) fn is_document(&self, headers: &HeaderMap) -> bool {
        let given = media_type(headers);
        let is_json = given.is_none_or(|t| t == "application/json" || t == "application/x-www-form-urlencoded");
        self.format.map_or(is_json, |format| format == Format::JsonRows)
    }

    /// Bodies of this route are unpacked before they are read.
    pub(super) fn options(self, headers: &HeaderMap) -> DomainOptions {
        let csv = dialect(self.delimiter, self.quote, self.header, self.encoding, self.missing);
        DomainOptions { format: self.format, media_type: content_type(headers), csv, ..DomainOptions::default() }
    }
}

/// What both queries say of CSV.
fn dialect(
    delimiter: Option<Delimiter>,
    quote: Option<Quote>,
    header: Option<HeaderRow>,
    encoding: Option<TextEncoding>,
    missing: Option<MissingMarks>,
) -> CsvOptions {
    let (header, missing) = (header.unwrap_or_default(), missing.unwrap_or_default());
    CsvOptions { delimiter, quote, header, encoding, missing }
}

/// With its parameters, of which `charset` counts.
fn content_type(headers: &HeaderMap) -> Option<String> {
    headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).map(str::to_owned)
}

impl DataQuery {
    /// With what the headers say of the body: its media type and its coding.
    pub(super) fn options(self, headers: &HeaderMap) -> Result<DomainOptions, Problem> {
        let ignore = self.ignore.iter().flat_map(|t| t.split(',')).map(|t| t.trim().to_owned());
        let roles = RoleRequest {
            label: self.label,
            weight: self.weight,
            group: self.group,
            id: self.id,
            time: self.time,
            ignore: ignore.filter(|t| !t.is_empty()).collect(),
        };
        let csv = dialect(self.delimiter, self.quote, self.header, self.encoding, self.missing);
        let coding = content_coding(headers)?;
        let media_type = content_type(headers);
        Ok(DomainOptions { format: self.format, media_type, coding, csv, roles, task: self.task })
    }
}
