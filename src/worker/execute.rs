//! Runs the jobs of the service. What a job of the kinds `adapt` and `fine_tune` does: loads the domains that its spec names, runs
//! the library on the attempt's threads, stores the model file, and returns what is to be committed.

use std::sync::Arc;
use std::time::Duration;

use adaptation::context::{Ctx, FitError, Observer, Report};
use adaptation::data::{DomainTable, TaskKind};
use adaptation::engine::{self, FittedModel, Outcome, Spec};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};

use super::errors::{
    DATA_DEGENERATE, DISK_FULL, IO_ERROR, NUMERICAL_ERROR, STORAGE_UNAVAILABLE, job_error, job_error_at,
};
use super::{AttemptHandle, Runner};
use crate::blobs::{BlobError, BlobId, Blobs};
use crate::ingest::stored;
use crate::records::{
    Clock, DomainVersionRecord, JobError, JobKind, JobRecord, ModelId, ModelVersionRecord, NewModelVersion, StoredSpec,
    TenantId, VersionedReference,
};
use crate::store::{Completion, Store};

/// How the progress bar is shared out: the phase, and the fraction at which it ends. The phases after
/// the first are those of [`engine::PHASES`].
const PHASES: [(&str, f64); 7] = [
    ("load", 0.05),
    ("source_only", 0.15),
    ("fit", 0.65),
    ("evaluate", 0.85),
    ("score", 0.92),
    ("distances", 0.98),
    ("save", 1.0),
];

/// Runs the jobs of the service.
pub struct Executor {
    pub(super) store: Arc<dyn Store>,
    pub(super) blobs: Blobs,
    clock: Arc<dyn Clock>,
    /// What one fit may take beyond its input.
    pub(super) memory_bytes: u64,
}

/// Everything that the library is given, loaded.
struct Loaded {
    spec: Spec,
    task: TaskKind,
    sources: Vec<DomainTable>,
    target: DomainTable,
    base: Option<FittedModel>,
    lineage: Value,
}

/// A version of a domain as it lies in the store.
pub(super) struct Stored {
    record: DomainVersionRecord,
    bytes: Bytes,
}

impl Executor {
    pub fn new(store: Arc<dyn Store>, blobs: Blobs, clock: Arc<dyn Clock>, memory_bytes: u64) -> Self {
        Self { store, blobs, clock, memory_bytes }
    }

    pub(super) async fn domain(&self, tenant: &TenantId, reference: &str, pointer: &str) -> Result<Stored, JobError> {
        let gone = || job_error_at(DATA_DEGENERATE, pointer, format!("domain {reference} is not there any more"));
        let which: VersionedReference<_> = reference.parse().map_err(|_| gone())?;
        let record = self.store.domain_version(tenant, &which.thing, which.version).await?.ok_or_else(gone)?;
        let bytes = self.blob(&record.blob).await?;
        Ok(Stored { record, bytes })
    }

    pub(super) async fn model(
        &self,
        tenant: &TenantId,
        reference: &str,
        pointer: &str,
    ) -> Result<(ModelVersionRecord, Bytes), JobError> {
        let gone = || job_error_at(DATA_DEGENERATE, pointer, format!("model {reference} is not there any more"));
        let which: VersionedReference<_> = reference.parse().map_err(|_| gone())?;
        let record = self.store.model_version(tenant, &which.thing, which.version).await?.ok_or_else(gone)?;
        let bytes = self.blob(&record.blob).await?;
        Ok((record, bytes))
    }

    async fn blob(&self, id: &str) -> Result<Bytes, JobError> {
        let id: BlobId = id.parse().map_err(|_| job_error(IO_ERROR, "a record names a blob that cannot be"))?;
        Ok(self.blobs.get(&id).await?)
    }

    async fn load(&self, tenant: &TenantId, spec: &StoredSpec, handle: &AttemptHandle) -> Result<Loaded, JobError> {
        let mut sources = Vec::new();
        for (i, source) in spec.sources.iter().enumerate() {
            sources.push(self.domain(tenant, source, &format!("/sources/{i}")).await?);
        }
        let target = self.domain(tenant, &spec.target, "/target").await?;
        let base = match &spec.base {
            Some(base) => Some(self.model(tenant, base, "/base").await?),
            None => None,
        };
        let engine_spec = spec.engine();
        // Decoding is computation: it belongs on the attempt's threads.
        handle.compute(move || assemble(engine_spec, sources, target, base)).await?
    }
}

#[async_trait]
impl Runner for Executor {
    async fn run(&self, job: JobRecord, handle: AttemptHandle) -> Result<Completion, JobError> {
        match job.kind {
            JobKind::Adapt | JobKind::FineTune => self.make(job, handle).await,
            JobKind::Predict | JobKind::Evaluate => self.apply(job, handle).await,
            JobKind::Batch => self.gather(&job, &handle).await,
        }
    }

    fn has_room(&self) -> bool {
        self.blobs.has_room()
    }

    async fn keep(&self, state: Bytes) -> Result<String, JobError> {
        Ok(self.blobs.put(state).await?.as_str().to_owned())
    }
}

impl Executor {
    /// One attempt of a job that makes a model.
    async fn make(&self, job: JobRecord, handle: AttemptHandle) -> Result<Completion, JobError> {
        let stored: StoredSpec = serde_json::from_value(job.spec.clone())
            .map_err(|e| job_error(DATA_DEGENERATE, format!("the stored spec is of another release: {e}")))?;
        let observer = Phased(handle.clone(), &PHASES);
        let began = observer.elapsed();
        observer.report(Report::Phase("load"));
        let loaded = self.load(&job.tenant, &stored, &handle).await?;
        if let Some(checkpoint) = &job.checkpoint {
            match self.blob(checkpoint).await {
                Ok(state) => handle.resume_from(state.to_vec()),
                // The work is not lost with it, only begun anew.
                Err(error) => tracing::warn!(code = error.code, message = error.message, "a checkpoint cannot be read"),
            }
        }
        let load_time = observer.elapsed().saturating_sub(began);

        let (memory_bytes, job_id) = (self.memory_bytes, job.id.to_string());
        let fitted = handle.compute(move || fit(loaded, &observer, memory_bytes, &job_id)).await?;
        let (model, metrics) = fitted.map_err(of_fit)?;

        Phased(handle.clone(), &PHASES).report(Report::Phase("save"));
        let signature = json!(model.signature());
        let lineage = model.manifest().lineage.clone();
        let file = model.save().map_err(|e| job_error(NUMERICAL_ERROR, format!("the model cannot be saved: {e}")))?;
        let n_bytes = i64::try_from(file.len()).unwrap_or(i64::MAX);
        let blob = self.blobs.put_at_all_costs(Bytes::from(file)).await?;
        let new = NewModelVersion {
            tenant: job.tenant.clone(),
            id: ModelId::at(self.clock.now()),
            name: stored.model,
            blob: blob.as_str().to_owned(),
            n_bytes,
            signature,
            lineage,
        };
        let metrics = of_job(metrics, &job, load_time, handle.peak_bytes());
        Ok(Completion { model: Some(new), file: None, metrics, result: json!({}) })
    }
}

fn fit(
    loaded: Loaded,
    observer: &Phased,
    memory_bytes: u64,
    job: &str,
) -> Result<(FittedModel, engine::Metrics), FitError> {
    let mut ctx = Ctx::new(loaded.spec.seed, observer).with_memory(memory_bytes);
    let input = engine::Input {
        task: loaded.task,
        sources: &loaded.sources,
        target: &loaded.target,
        base: loaded.base.as_ref(),
    };
    let Outcome { mut model, metrics } = engine::run(&loaded.spec, &input, &mut ctx)?;
    let mut lineage = loaded.lineage;
    lineage["job"] = json!(job);
    model.set_lineage(lineage);
    Ok((model, metrics))
}

/// The published numbers: those of the library, with the job, the time that loading took, and the memory.
pub(super) fn of_job(mut metrics: engine::Metrics, job: &JobRecord, load: Duration, peak: Option<u64>) -> Value {
    metrics.memory_bytes.peak = peak;
    let mut metrics = json!(metrics);
    metrics["job"] = json!(job.id);
    metrics["timings_ms"]["load"] = json!(load.as_secs_f64() * 1e3);
    metrics
}

fn assemble(
    spec: Spec,
    sources: Vec<Stored>,
    target: Stored,
    base: Option<(ModelVersionRecord, Bytes)>,
) -> Result<Loaded, JobError> {
    let reference =
        |r: &DomainVersionRecord| json!({"domain": format!("{}@{}", r.name, r.version), "identity": r.identity});
    let lineage = json!({
        "sources": sources.iter().map(|s| reference(&s.record)).collect::<Vec<_>>(),
        "target": reference(&target.record),
        "base": base.as_ref().map(|(m, _)| format!("{}@{}", m.name, m.version)),
        "seed": spec.seed,
        "program": env!("CARGO_PKG_VERSION"),
    });
    let base = match base {
        Some((record, bytes)) => Some(FittedModel::load(&bytes).map_err(|e| {
            job_error_at(DATA_DEGENERATE, "/base", format!("model {}@{} is corrupt: {e}", record.name, record.version))
        })?),
        None => None,
    };
    let task = base.as_ref().map(|b| b.manifest().task).or_else(|| sources.first().and_then(|s| s.record.task));
    let task = task.ok_or_else(|| job_error_at(DATA_DEGENERATE, "/sources/0", "the source has no label column"))?;
    let sources = sources
        .into_iter()
        .enumerate()
        .map(|(i, s)| table(s, &format!("/sources/{i}")))
        .collect::<Result<Vec<_>, _>>()?;
    let target = table(target, "/target")?;
    Ok(Loaded { spec, task, sources, target, base, lineage })
}

pub(super) fn table(stored: Stored, pointer: &str) -> Result<DomainTable, JobError> {
    let name = format!("{}@{}", stored.record.name, stored.record.version);
    let table = stored::read_parquet(stored.bytes)
        .map_err(|e| job_error_at(IO_ERROR, pointer, format!("the table of {name} cannot be read: {e}")))?;
    if table.columns().len() != stored.record.columns.len() {
        return Err(job_error_at(IO_ERROR, pointer, format!("the table of {name} is not what its record says")));
    }
    Ok(DomainTable { name, table, roles: stored.record.columns.iter().map(|c| c.role).collect() })
}

/// The error of a job from that of a fit.
pub(super) fn of_fit(error: FitError) -> JobError {
    let message = error.to_string();
    match &error {
        FitError::Invalid { pointer, .. } => job_error_at(error.code(), pointer.clone(), message),
        FitError::NoSharedColumns(_) => job_error_at(error.code(), "/target", message),
        _ => job_error(error.code(), message),
    }
}

impl From<BlobError> for JobError {
    fn from(error: BlobError) -> Self {
        let code = match &error {
            BlobError::Full(_) => DISK_FULL,
            BlobError::InvalidId | BlobError::Missing(_) | BlobError::Corrupt(_) => IO_ERROR,
            BlobError::Unavailable(_) => STORAGE_UNAVAILABLE,
        };
        job_error(code, error.to_string())
    }
}

/// Gives each phase its part of the progress bar.
#[derive(Clone)]
pub(super) struct Phased(pub(super) AttemptHandle, pub(super) &'static [(&'static str, f64)]);

impl Observer for Phased {
    fn report(&self, report: Report<'_>) {
        if let Report::Phase(name) = report
            && let Some(at) = self.1.iter().position(|(phase, _)| *phase == name)
        {
            let from = if at == 0 { 0.0 } else { self.1[at - 1].1 };
            self.0.window(from..=self.1[at].1);
            self.0.report(report);
            self.0.report(Report::Step { step: 0, total: Some(1) });
            return;
        }
        self.0.report(report);
    }

    fn check(&self) -> Result<(), FitError> {
        self.0.check()
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn admit(&self, bytes: u64) -> Result<(), FitError> {
        self.0.admit(bytes)
    }

    fn resume(&self) -> Option<Vec<u8>> {
        self.0.resume()
    }

    fn checkpoint(&self, state: &dyn Fn() -> Vec<u8>) {
        self.0.checkpoint(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_knows_every_phase_of_the_engine_in_order() {
        let known: Vec<&str> = PHASES.iter().map(|(phase, _)| *phase).collect();
        assert_eq!(known[1..known.len() - 1], engine::PHASES);
        assert!(PHASES.windows(2).all(|w| w[0].1 < w[1].1));
    }
}
