//! Jobs of the kind `batch`: several jobs that are accepted together or not at all, and a parent that gathers what they
//! did.

use super::error::{Code, Place, ServiceError};
use super::jobs::Resolved;
use super::spec::{Faults, Terms};
use super::{JobRequest, Service};
use crate::records::{BatchSpec, JobId, JobKind, TenantId};

/// Jobs of one batch: each is resolved before the answer, and all are stored in one transaction.
pub(super) const MAX_JOBS: usize = 200;

/// A batch whose own fields hold.
pub(super) struct DraftedBatch {
    pub(super) terms: Terms,
    jobs: Vec<JobRequest>,
}

impl JobRequest {
    /// # Errors
    /// Every field of the batch itself that cannot hold.
    pub(super) fn draft_batch(mut self) -> Result<DraftedBatch, ServiceError> {
        let mut faults = Faults::default();
        self.refuse_fields_of_its_jobs(&mut faults);
        let terms = Terms::of(&mut self, &mut faults);
        let mut jobs = self.jobs.unwrap_or_default();
        if jobs.is_empty() || jobs.len() > MAX_JOBS {
            faults.invalid("/jobs", format!("{} jobs; a batch starts 1 to {MAX_JOBS}", jobs.len()));
        }
        for (i, job) in jobs.iter_mut().enumerate() {
            if job.kind == JobKind::Batch.as_str() {
                faults.invalid(format!("/jobs/{i}/kind"), "a batch does not start batches");
            }
            if job.unique_key.is_some() {
                faults.invalid(
                    format!("/jobs/{i}/unique_key"),
                    "a batch has one key for all of its jobs; leave this out",
                );
            }
            job.inherit(&terms);
        }
        if faults.is_empty() { Ok(DraftedBatch { terms, jobs }) } else { Err(faults.into_error()) }
    }

    fn refuse_fields_of_its_jobs(&self, faults: &mut Faults) {
        let given = [
            ("/sources", self.sources.is_some()),
            ("/target", self.target.is_some()),
            ("/method", self.method.is_some()),
            ("/learner", self.learner.is_some()),
            ("/features", self.features.is_some()),
            ("/evaluation", self.evaluation.is_some()),
            ("/seed", self.seed.is_some()),
            ("/model", self.model.is_some()),
            ("/base", self.base.is_some()),
            ("/time_budget", self.time_budget.is_some()),
            ("/risk", self.risk.is_some()),
            ("/format", self.format.is_some()),
            ("/include", self.include.is_some()),
        ];
        for (pointer, _) in given.into_iter().filter(|(_, given)| *given) {
            faults.invalid(pointer, "each of the jobs of a batch has its own; leave this out");
        }
    }

    /// What the batch is told about how it is run holds for each of its jobs that is not told otherwise.
    fn inherit(&mut self, terms: &Terms) {
        self.priority.get_or_insert(terms.priority);
        self.max_attempts.get_or_insert(terms.max_attempts);
        if self.deadline.is_none() {
            self.deadline = terms.deadline.as_ref().map(|(text, _)| text.clone());
        }
        let labels = self.labels.get_or_insert_default();
        for (key, value) in &terms.labels {
            labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
}

impl DraftedBatch {
    /// Whether every job holds by itself, whatever is stored.
    ///
    /// # Errors
    /// All that is wrong with the first that does not.
    pub(super) fn check(self) -> Result<(), ServiceError> {
        self.jobs.into_iter().enumerate().try_for_each(|(i, job)| job.check().map_err(|error| under(i, error)))
    }
}

impl Service {
    /// # Errors
    /// All that is wrong with the first of its jobs that cannot be started.
    pub(super) async fn resolve_batch(&self, tenant: &TenantId, batch: DraftedBatch) -> Result<Resolved, ServiceError> {
        let DraftedBatch { terms, jobs } = batch;
        let mut children = Vec::with_capacity(jobs.len());
        for (i, job) in jobs.into_iter().enumerate() {
            let id = JobId::at(self.clock.now());
            let resolved = self.resolved_alone(tenant, job, id).await.map_err(|error| under(i, error))?;
            children.push((id, resolved));
        }
        let spec = BatchSpec {
            kind: JobKind::Batch,
            n_jobs: children.len(),
            deadline: terms.deadline.as_ref().map(|(text, _)| text.clone()),
            labels: terms.labels.clone(),
        };
        let spec = serde_json::to_value(spec).map_err(ServiceError::internal)?;
        Ok(Resolved { kind: JobKind::Batch, terms, spec, children })
    }
}

/// The error of one job of a batch, as one of the whole document.
fn under(i: usize, mut error: ServiceError) -> ServiceError {
    let place = format!("/jobs/{i}");
    for fault in &mut error.faults {
        if let Place::Pointer(pointer) = &mut fault.at {
            *pointer = format!("{place}{pointer}");
        }
    }
    if error.code != Code::Internal {
        let between = if error.detail.starts_with('/') { "" } else { ": " };
        error.detail = format!("{place}{between}{}", error.detail);
    }
    error
}
