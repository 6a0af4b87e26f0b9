//! Predictions: the model file is loaded once, kept while it is used, and run off the async threads.

use std::sync::Arc;

use adaptation::engine::FittedModel;
use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::domains::of_ingest;
use super::error::{Code, ServiceError};
use super::rows::InlineRows;
use super::{DomainOptions, Service};
use crate::ingest;
use crate::predictions::Answer;
use crate::records::{Include, ModelId, ModelVersionRecord, TenantId, VersionedReference};

/// Rows to predict.
#[derive(Debug, Clone)]
pub enum PredictInput {
    Rows(InlineRows),
    /// A file in one of the formats that domains are read from.
    File {
        bytes: Bytes,
        media_type: Option<String>,
    },
}

/// What is asked for, beside the rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PredictOptions {
    pub include: Vec<Include>,
    /// Of the file, where its media type is not enough.
    pub format: Option<ingest::Format>,
}

/// What a word asks for beside the predictions.
///
/// # Errors
/// The words that there are.
pub fn include_of(word: &str) -> Result<Include, String> {
    let known = || format!("known are {}", Include::ALL.map(Include::as_str).join(", "));
    Include::ALL.into_iter().find(|i| i.as_str() == word).ok_or_else(known)
}

/// A model that is loaded and has a name.
struct Named {
    /// `name@version`
    name: String,
    model: Arc<FittedModel>,
    /// Of its file: what one row costs at most, about.
    n_bytes: u64,
}

/// Rows times bytes of the model up to which a prediction is made where it is asked for: well below a millisecond, and
/// cheaper than a hop to a thread for such work.
const INLINE_WORK: u64 = 1 << 20;

impl Service {
    /// # Errors
    /// If there is no such model, rows do not match its signature, or there are too many.
    pub async fn predict(
        &self,
        tenant: &TenantId,
        reference: &VersionedReference<ModelId>,
        input: PredictInput,
        options: PredictOptions,
    ) -> Result<Answer, ServiceError> {
        let found = self.found_model(tenant, reference).await?;
        let n_bytes = u64::try_from(found.n_bytes).unwrap_or(u64::MAX);
        let model = self.loaded(&found).await?;
        let name = format!("{}@{}", found.name, found.version);
        if options.include.contains(&Include::SourceOnly) && !model.keeps_source_only() {
            let detail =
                format!("{name} was stored before source_only was kept beside models; adapt it again to have it");
            return Err(ServiceError::parameter(Code::InvalidParameter, "include", detail));
        }
        let named = Named { name, model, n_bytes };
        let most = self.limits.max_predict_rows;
        let PredictOptions { include, format } = options;
        let run = match input {
            PredictInput::Rows(rows) if rows.work().saturating_mul(named.n_bytes) <= INLINE_WORK => {
                return run(named, rows, &include, most);
            }
            PredictInput::Rows(rows) => spawn_blocking(move || run(named, rows, &include, most)),
            PredictInput::File { bytes, media_type } => {
                let settings = self.ingest_options(&DomainOptions { media_type, format, ..DomainOptions::default() });
                spawn_blocking(move || {
                    let table = ingest::read_rows(&bytes, &settings).map_err(|e| of_ingest(&e))?;
                    run(named, InlineRows::of_file(table), &include, most)
                })
            }
        };
        run.await.map_err(ServiceError::internal)?
    }

    pub(super) async fn loaded(&self, found: &ModelVersionRecord) -> Result<Arc<FittedModel>, ServiceError> {
        let corrupt = |cause: String| ServiceError {
            cause: Some(cause),
            ..ServiceError::new(Code::ModelCorrupt, "the stored model file cannot be read")
        };
        let load = async {
            let bytes = self.blob(&found.blob).await.map_err(|e| match e.code {
                // Gone, or not what its name says.
                Code::Internal => corrupt(e.cause.unwrap_or_default()),
                _ => e,
            })?;
            let load = move || FittedModel::load(&bytes);
            spawn_blocking(load).await.map_err(ServiceError::internal)?.map_err(|e| corrupt(e.to_string()))
        };
        self.models.get(&found.blob, u64::try_from(found.n_bytes).unwrap_or(u64::MAX), load).await
    }
}

fn run(named: Named, rows: InlineRows, include: &[Include], most: usize) -> Result<Answer, ServiceError> {
    let n = rows.n_rows();
    if n > most {
        return Err(ServiceError::new(Code::TooManyRows, format!("{n} rows, at most {most} are predicted at once")));
    }
    if n == 0 {
        return Err(ServiceError::new(Code::DataEmpty, "there are no rows to predict"));
    }
    Answer::of((named.name, &named.model), &rows.table, include).map_err(|problems| {
        let many = if problems.len() == 1 { "1 problem".into() } else { format!("{} problems", problems.len()) };
        let finite = problems.iter().all(|p| p.code != "not_finite");
        let code = if finite { Code::InputSchemaMismatch } else { Code::InputNotFinite };
        let error = ServiceError::new(code, format!("{many} in {n} rows"));
        ServiceError { faults: problems.iter().map(|p| rows.fault(p)).collect(), ..error }
    })
}
