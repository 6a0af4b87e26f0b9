//! Predictions: the model file is loaded once, kept while it is used, and run off the async threads.

use std::collections::HashSet;
use std::sync::Arc;

use adaptation::data::{Column, Table};
use adaptation::engine::FittedModel;
use adaptation::features::InputProblem;
use bytes::Bytes;
use tokio::task::spawn_blocking;

use super::domains::of_ingest;
use super::error::{Code, ServiceError};
use super::rows::{InlineRows, PredictDocument};
use super::{DomainOptions, Service};
use crate::ingest::{self, Format};
use crate::predictions::{Answer, Form};
use crate::records::{Include, ModelReference, ModelVersionRecord, TenantId};

/// Rows to predict.
#[expect(clippy::large_enum_variant, reason = "there is one a request, which is moved twice")]
pub enum PredictInput {
    /// A document, and what reads it.
    Document { bytes: Bytes, read: fn(&[u8]) -> Result<PredictDocument, ServiceError> },
    /// A file in one of the formats that domains are read from.
    File { bytes: Bytes, options: DomainOptions },
}

/// What is asked for, beside the rows.
#[derive(Debug, Clone, PartialEq)]
pub struct PredictOptions {
    /// A document may ask for more.
    pub include: Vec<Include>,
    /// How the predictions are written.
    pub form: Form,
}

/// Predictions as they were asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicted {
    /// `name@version`
    pub model: String,
    /// What codes and columns of scores stand for; empty for a regression.
    pub classes: Vec<String>,
    pub bytes: Vec<u8>,
}

/// What a word asks for beside the predictions.
///
/// # Errors
/// The words that there are.
pub fn include_of(word: &str) -> Result<Include, String> {
    let known = || format!("known are {}", Include::ALL.map(Include::as_str).join(", "));
    Include::ALL.into_iter().find(|i| i.as_str() == word).ok_or_else(known)
}

/// Rows times bytes of the model up to which a prediction is made where it is asked for: well below a millisecond, and
/// cheaper than a hop to a thread for such work.
const INLINE_WORK: u64 = 1 << 20;

/// Documents up to this size are read where they come, which takes a fraction of a millisecond.
const INLINE_BYTES: usize = 64 << 10;

/// ... and up to this size where the model takes text, of which every byte begins some n-grams.
const INLINE_TEXT_BYTES: usize = 2 << 10;

/// What the array `y` of an archive becomes.
const LABELS_OF_ARCHIVE: &str = "label";

/// A prediction with all but its rows.
struct Call {
    /// `name@version`
    name: String,
    model: Arc<FittedModel>,
    /// Of its file: what one row costs at most, about.
    n_bytes: u64,
    max_rows: usize,
    include: Vec<Include>,
    form: Form,
}

impl Service {
    /// # Errors
    /// If there is no such model, rows do not match its signature, or there are too many.
    pub async fn predict(
        &self,
        tenant: &TenantId,
        reference: &ModelReference,
        input: PredictInput,
        options: PredictOptions,
    ) -> Result<Predicted, ServiceError> {
        let found = self.found_model(tenant, reference).await?;
        let PredictOptions { include, form } = options;
        let mut call = Call {
            name: format!("{}@{}", found.name, found.version),
            model: self.loaded(&found).await?,
            n_bytes: u64::try_from(found.n_bytes).unwrap_or(u64::MAX),
            max_rows: self.limits.max_predict_rows,
            include,
            form,
        };
        // One hop for all that is long: reading, predicting and writing share what they have in the cache.
        let work: Box<dyn FnOnce() -> Result<Predicted, ServiceError> + Send> = match input {
            PredictInput::Document { bytes, read } if bytes.len() <= INLINE_BYTES => {
                let rows = call.rows_of(read(&bytes)?)?;
                let is_short = bytes.len() <= INLINE_TEXT_BYTES || !call.model.takes_text();
                if is_short && rows.work().saturating_mul(call.n_bytes) <= INLINE_WORK {
                    return call.answer(&rows);
                }
                Box::new(move || call.answer(&rows))
            }
            PredictInput::Document { bytes, read } => Box::new(move || {
                let rows = call.rows_of(read(&bytes)?)?;
                call.answer(&rows)
            }),
            PredictInput::File { bytes, options } => {
                let mut settings = self.ingest_options(&options);
                settings.limits = settings.limits.kept();
                Box::new(move || {
                    let source = bytes.into();
                    let table = ingest::read_rows(&source, &settings).map_err(|e| of_ingest(&e))?;
                    let format = settings.format_of(&source).map_err(|e| of_ingest(&e))?;
                    let is_array = matches!(format, Format::Npy | Format::Npz);
                    let table = if is_array { named(table, &call.model)? } else { table };
                    call.answer(&InlineRows::of_file(table))
                })
            }
        };
        let permit = Arc::clone(&self.predicting).acquire_owned().await.map_err(ServiceError::internal)?;
        // The permit goes along: a client that hangs up does not end the work.
        let held = move || {
            let _permit = permit;
            work()
        };
        spawn_blocking(held).await.map_err(ServiceError::internal)?
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

impl Call {
    /// The rows of a document; what it includes joins the rest.
    fn rows_of(&mut self, document: PredictDocument) -> Result<InlineRows, ServiceError> {
        self.include.extend(document.include()?);
        document.into_rows()
    }

    fn answer(self, rows: &InlineRows) -> Result<Predicted, ServiceError> {
        self.check(rows.n_rows())?;
        let named = (self.name, self.model.as_ref());
        let answer = Answer::of(named, &rows.table, &self.include).map_err(|problems| refused(rows, &problems))?;
        metrics::counter!("predict_rows_total").increment(rows.n_rows() as u64);
        let bytes = answer.write(self.form).map_err(ServiceError::internal)?;
        Ok(Predicted { model: answer.model, classes: answer.classes, bytes })
    }

    fn check(&self, n_rows: usize) -> Result<(), ServiceError> {
        let odd = |detail| Err(ServiceError::parameter(Code::InvalidParameter, "include", detail));
        if let Some(what) = self.include.iter().find(|i| !self.form.holds(**i)) {
            return odd(format!("{} has no place for {}", self.form.media_type(), what.as_str()));
        }
        if self.include.contains(&Include::SourceOnly) && !self.model.keeps_source_only() {
            let name = &self.name;
            return odd(format!(
                "{name} was stored before source_only was kept beside models; adapt it again to have it"
            ));
        }
        if n_rows > self.max_rows {
            let detail = format!("{n_rows} rows, at most {} are predicted at once", self.max_rows);
            return Err(ServiceError::new(Code::TooManyRows, detail));
        }
        match n_rows {
            0 => Err(ServiceError::new(Code::DataEmpty, "there are no rows to predict")),
            _ => Ok(()),
        }
    }
}

/// An array has no names: its columns are the model's inputs in their order, unless the inputs are called as the columns of
/// arrays are. The labels beside it in an archive are none of them.
fn named(array: Table, model: &FittedModel) -> Result<Table, ServiceError> {
    let inputs = model.signature().inputs;
    let names: HashSet<&str> = array.columns().iter().map(|c| c.name.as_str()).collect();
    if inputs.iter().all(|input| names.contains(input.name.as_str())) {
        return Ok(array);
    }
    let mut columns = array.into_columns();
    columns.retain(|column| column.name != LABELS_OF_ARCHIVE);
    if columns.len() != inputs.len() {
        let detail = format!(
            "the array has {} columns, the model takes {}: an array has no names, so they are taken by position",
            columns.len(),
            inputs.len()
        );
        return Err(ServiceError::new(Code::InputSchemaMismatch, detail));
    }
    let columns = columns.into_iter().zip(inputs).map(|(column, input)| Column { name: input.name, ..column });
    Ok(Table::new(columns.collect()))
}

/// Rows that the model cannot take.
fn refused(rows: &InlineRows, problems: &[InputProblem]) -> ServiceError {
    let many = if problems.len() == 1 { "1 problem".into() } else { format!("{} problems", problems.len()) };
    let finite = problems.iter().all(|p| p.code != "not_finite");
    let code = if finite { Code::InputSchemaMismatch } else { Code::InputNotFinite };
    let error = ServiceError::new(code, format!("{many} in {} rows", rows.n_rows()));
    ServiceError { faults: problems.iter().map(|p| rows.fault(p)).collect(), ..error }
}
