//! Predictions: the model file is loaded once, kept while it is used, and run off the async threads.

use std::sync::{Arc, Mutex, PoisonError};

use adaptation::engine::FittedModel;
use adaptation::learners::Prediction;
use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::domains::of_ingest;
use super::error::{Code, ServiceError};
use super::rows::InlineRows;
use super::{DomainOptions, Service};
use crate::ingest;
use crate::records::{ModelId, ModelVersionRecord, TenantId, VersionedReference};

/// Loaded models, the most recently used last; at most as many as the bound says.
pub struct ModelCache {
    loaded: Mutex<Vec<(String, Arc<FittedModel>)>>,
    bound: usize,
}

/// Rows to predict.
#[derive(Debug, Clone)]
pub enum PredictInput {
    Rows(InlineRows),
    /// A file in one of the formats that domains are read from.
    File {
        bytes: Bytes,
        options: DomainOptions,
    },
}

/// Predictions of one model, row by row in the order of the input.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// `name@version`
    pub model: String,
    /// What codes and columns of scores stand for; empty for a regression.
    pub classes: Vec<String>,
    pub prediction: Prediction,
}

impl ModelCache {
    pub(super) fn new(bound: usize) -> Self {
        Self { loaded: Mutex::new(Vec::new()), bound: bound.max(1) }
    }

    fn get(&self, blob: &str) -> Option<Arc<FittedModel>> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let at = loaded.iter().position(|(b, _)| b == blob)?;
        let entry = loaded.remove(at);
        let model = entry.1.clone();
        loaded.push(entry);
        Some(model)
    }

    fn put(&self, blob: &str, model: Arc<FittedModel>) {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|(b, _)| b != blob);
        while loaded.len() >= self.bound {
            loaded.remove(0);
        }
        loaded.push((blob.to_owned(), model));
    }
}

impl Service {
    /// # Errors
    /// If there is no such model, rows do not match its signature, or there are too many.
    pub async fn predict(
        &self,
        tenant: &TenantId,
        reference: &VersionedReference<ModelId>,
        input: PredictInput,
    ) -> Result<Answer, ServiceError> {
        let found = self.model_version_at(tenant, reference).await?;
        let model = self.loaded(&found).await?;
        let name = format!("{}@{}", found.name, found.version);
        let most = self.limits.max_predict_rows;
        let run = match input {
            PredictInput::Rows(rows) => spawn_blocking(move || run(name, &model, rows, most)),
            PredictInput::File { bytes, options } => {
                let settings = self.ingest_options(&options);
                spawn_blocking(move || {
                    let table = ingest::read_rows(&bytes, &settings).map_err(|e| of_ingest(&e))?;
                    run(name, &model, InlineRows::of_file(table), most)
                })
            }
        };
        run.await.map_err(ServiceError::internal)?
    }

    pub(super) async fn loaded(&self, found: &ModelVersionRecord) -> Result<Arc<FittedModel>, ServiceError> {
        let blob = &found.blob;
        if let Some(model) = self.models.get(blob) {
            return Ok(model);
        }
        let bytes = self.blob(blob).await?;
        let load = move || FittedModel::load(&bytes);
        let loaded = spawn_blocking(load).await.map_err(ServiceError::internal)?;
        let model = Arc::new(loaded.map_err(|e| ServiceError {
            cause: Some(e.to_string()),
            ..ServiceError::new(Code::ModelCorrupt, "the stored model file cannot be read")
        })?);
        self.models.put(blob, model.clone());
        Ok(model)
    }
}

fn run(name: String, model: &FittedModel, rows: InlineRows, most: usize) -> Result<Answer, ServiceError> {
    let n = rows.n_rows();
    if n > most {
        return Err(ServiceError::new(Code::TooManyRows, format!("{n} rows, at most {most} are predicted at once")));
    }
    if n == 0 {
        return Err(ServiceError::new(Code::DataEmpty, "there are no rows to predict"));
    }
    let prediction = model.predict(&rows.table).map_err(|problems| {
        let many = if problems.len() == 1 { "1 problem".into() } else { format!("{} problems", problems.len()) };
        let finite = problems.iter().all(|p| p.code != "not_finite");
        let code = if finite { Code::InputSchemaMismatch } else { Code::InputNotFinite };
        let error = ServiceError::new(code, format!("{many} in {n} rows"));
        ServiceError { faults: problems.iter().map(|p| rows.fault(p)).collect(), ..error }
    })?;
    metrics::counter!("predict_rows_total").increment(n as u64);
    Ok(Answer { model: name, classes: model.manifest().classes.clone(), prediction })
}
