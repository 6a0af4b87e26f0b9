//! Jobs: accept, read, list, wait, metrics.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::error::{Code, ServiceError};
use super::hub::{News, Wanted};
use super::requests::{Once, RequestKey, made_by_same, odd};
use super::spec::Terms;
use super::{JobRequest, Page, Service, cut, one_more};
use crate::records::{
    Cursor, JobFile, JobFilter, JobId, JobKind, JobRecord, JobState, KeyedRequest, Made, NewJob, PageRequest, TenantId,
    Timestamp,
};
use crate::store::{CreateLimits, Creation};

/// What comes with a request besides its document.
#[derive(Debug, Clone, Default)]
pub struct NewJobContext {
    pub key: Option<RequestKey>,
    pub traceparent: Option<String>,
}

/// What a wait is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Until the job has ended.
    Terminal,
    /// Until its row has another version than this.
    Change(i64),
}

/// A request that may become a job.
pub(super) struct Resolved {
    pub(super) kind: JobKind,
    pub(super) terms: Terms,
    pub(super) spec: Value,
    /// The jobs of a batch.
    pub(super) children: Vec<(JobId, Resolved)>,
}

impl Resolved {
    fn into_new(self, tenant: &TenantId, id: JobId, traceparent: Option<&String>, now: Timestamp) -> NewJob {
        let children = self.children.into_iter();
        NewJob {
            id,
            tenant: tenant.clone(),
            kind: self.kind,
            priority: self.terms.priority,
            max_attempts: self.terms.max_attempts,
            deadline_at: self.terms.deadline.as_ref().map(|(_, d)| now.plus(*d)),
            unique_key: self.terms.unique_key.clone(),
            traceparent: traceparent.cloned(),
            retry_of: None,
            spec: self.spec,
            created_at: now,
            children: children.map(|(id, child)| child.into_new(tenant, id, traceparent, now)).collect(),
        }
    }
}

impl Wait {
    fn is_over(self, job: &JobRecord) -> bool {
        match self {
            Wait::Terminal => job.state.is_terminal(),
            Wait::Change(version) => job.version != version || job.state.is_terminal(),
        }
    }
}

impl JobRequest {
    /// Whether every field holds by itself, whatever is stored.
    ///
    /// # Errors
    /// All that is wrong with the request.
    pub fn check(self) -> Result<(), ServiceError> {
        if self.kind == JobKind::Batch.as_str() {
            return self.draft_batch()?.check();
        }
        match self.use_of_model() {
            Some(kind) => self.draft_use(kind).map(drop),
            None => self.draft().map(drop),
        }
    }

    /// The kind, if it runs a stored model and makes none.
    fn use_of_model(&self) -> Option<JobKind> {
        [JobKind::Predict, JobKind::Evaluate].into_iter().find(|k| k.as_str() == self.kind)
    }
}

impl Service {
    /// Checks the whole request, resolves it and stores the job. Durable when it returns.
    ///
    /// # Errors
    /// All that is wrong with the request, a key that was used for another one, or a full queue.
    pub async fn create_job(
        &self,
        tenant: &TenantId,
        request: JobRequest,
        context: NewJobContext,
    ) -> Result<Once<JobRecord>, ServiceError> {
        let now = self.clock.now();
        let id = JobId::at(now);
        let keyed = self.keyed(tenant, context.key, now);
        // Before anything else is looked at: what the spec names may have changed or gone since.
        if let Some(made) = self.made_before(keyed.as_ref()).await? {
            return self.job_again(tenant, made).await;
        }
        let resolved = self.resolved(tenant, request, id).await?;
        let new = resolved.into_new(tenant, id, context.traceparent.as_ref(), now);
        self.store_job(new, keyed).await
    }

    /// Stores a job, unless its request did so before or it may not wait.
    pub(super) async fn store_job(
        &self,
        new: NewJob,
        keyed: Option<KeyedRequest>,
    ) -> Result<Once<JobRecord>, ServiceError> {
        self.make_room(0)?;
        let tenant = new.tenant.clone();
        let limits = CreateLimits {
            max_queued: self.limits.max_queued_jobs,
            max_queued_of_tenant: self.limits.max_queued_jobs_of_tenant,
        };
        match self.store.create_job(new, keyed, limits).await? {
            Creation::Created(job) => Ok(Once::New(job)),
            Creation::Earlier(earlier) => self.job_again(&tenant, made_by_same(earlier)?).await,
            Creation::Duplicate(other) => {
                let error = ServiceError::new(Code::JobDuplicate, format!("{other} does the same and has not ended"));
                Err(ServiceError { job: Some(other), ..error })
            }
            Creation::QueueFull => {
                Err(ServiceError::new(Code::QueueFull, "the queue is full; try again when jobs have ended"))
            }
            Creation::TenantQueueFull => Err(ServiceError::new(
                Code::QuotaExceeded,
                "as many jobs of yours wait as may; try again when some have ended",
            )),
        }
    }

    /// The job of an earlier request, as it stands now.
    pub(super) async fn job_again(&self, tenant: &TenantId, made: Made) -> Result<Once<JobRecord>, ServiceError> {
        let Made::Job(id) = made else { return Err(odd()) };
        Ok(Once::Replayed(self.job(tenant, id).await?))
    }

    /// Everything that is checked before a job is stored.
    pub(super) async fn resolved(
        &self,
        tenant: &TenantId,
        request: JobRequest,
        id: JobId,
    ) -> Result<Resolved, ServiceError> {
        if request.kind == JobKind::Batch.as_str() {
            return self.resolve_batch(tenant, request.draft_batch()?).await;
        }
        self.resolved_alone(tenant, request, id).await
    }

    /// A job that starts no others.
    pub(super) async fn resolved_alone(
        &self,
        tenant: &TenantId,
        request: JobRequest,
        id: JobId,
    ) -> Result<Resolved, ServiceError> {
        let (kind, terms, spec) = match request.use_of_model() {
            Some(kind) => {
                let draft = request.draft_use(kind)?;
                let terms = draft.terms.clone();
                (kind, terms, serde_json::to_value(self.resolve_use(tenant, draft).await?))
            }
            None => {
                let draft = request.draft()?;
                let (kind, terms) = (draft.kind, draft.terms.clone());
                (kind, terms, serde_json::to_value(self.resolve(tenant, draft, id).await?))
            }
        };
        Ok(Resolved { kind, terms, spec: spec.map_err(ServiceError::internal)?, children: Vec::new() })
    }

    /// # Errors
    /// If there is no such job.
    pub async fn job(&self, tenant: &TenantId, id: JobId) -> Result<JobRecord, ServiceError> {
        self.store.job(tenant, id).await?.ok_or_else(|| no_job(id))
    }

    /// Where a queued job stands in the queue, 1 being next; `None` where it does not wait for its turn
    /// or is too far behind for a number.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn queue_position(&self, job: &JobRecord) -> Result<Option<i64>, ServiceError> {
        if job.state != JobState::Queued {
            return Ok(None);
        }
        Ok(self.store.queue_position(&job.tenant, job.id, self.clock.now()).await?)
    }

    /// The job as soon as the wait is over, or as it is after `at_most`.
    ///
    /// # Errors
    /// If there is no such job.
    pub async fn wait_for_job(
        &self,
        tenant: &TenantId,
        id: JobId,
        wait: Wait,
        at_most: Duration,
    ) -> Result<JobRecord, ServiceError> {
        // Listened for before the first read, so that no change falls between the two.
        let listener = self.hub.listen(Wanted::Changes(id));
        let deadline = tokio::time::Instant::now() + at_most;
        loop {
            let job = self.job(tenant, id).await?;
            if wait.is_over(&job) {
                return Ok(job);
            }
            tokio::select! {
                news = listener.news() => if matches!(news, News::Over) { return Ok(job) },
                () = tokio::time::sleep_until(deadline) => return self.job(tenant, id).await,
                () = self.stopping.cancelled() => return Ok(job),
            }
        }
    }

    /// # Errors
    /// If the cursor is none of ours.
    pub async fn jobs(
        &self,
        tenant: &TenantId,
        filter: &JobFilter,
        page: &PageRequest,
    ) -> Result<Page<JobRecord>, ServiceError> {
        check_cursor(page, |key| key.parse::<JobId>().is_ok())?;
        let found = self.store.jobs(tenant, filter, &one_more(page)).await?;
        Ok(cut(found, page, |job| job.id.to_string()))
    }

    /// The file that a job left, with its bytes.
    ///
    /// # Errors
    /// If there is no such job, it has not succeeded, or it is of a kind that leaves no file.
    pub async fn job_file(&self, tenant: &TenantId, id: JobId) -> Result<(JobFile, Bytes), ServiceError> {
        if let Some(file) = self.store.job_file(tenant, id).await? {
            let bytes = self.blob(&file.blob).await?;
            return Ok((file, bytes));
        }
        let job = self.job(tenant, id).await?;
        let detail = match job.state {
            _ if job.kind != JobKind::Predict => "only jobs of kind predict leave a file",
            JobState::Failed | JobState::Cancelled => "the job has ended without a file",
            _ => "the job has not ended; the file is there once it has succeeded",
        };
        Err(ServiceError { job: Some(id), ..ServiceError::new(Code::JobStateConflict, detail) })
    }

    /// # Errors
    /// If there is no such job, or it has not succeeded.
    pub async fn job_metrics(&self, tenant: &TenantId, id: JobId) -> Result<Value, ServiceError> {
        if let Some(metrics) = self.store.metrics(tenant, id).await? {
            return Ok(metrics);
        }
        let job = self.job(tenant, id).await?;
        let detail = match job.state {
            JobState::Failed | JobState::Cancelled => "the job has ended without metrics",
            _ => "the job has not ended; metrics are there once it has succeeded",
        };
        Err(ServiceError { job: Some(id), ..ServiceError::new(Code::JobStateConflict, detail) })
    }
}

pub(super) fn no_job(_: JobId) -> ServiceError {
    ServiceError::new(Code::JobNotFound, "there is no such job")
}

pub(super) fn check_cursor(page: &PageRequest, good: impl Fn(&str) -> bool) -> Result<(), ServiceError> {
    match &page.after {
        Some(Cursor(key)) if !good(key) => {
            Err(ServiceError::parameter(Code::InvalidCursor, "cursor", "not a cursor of this list"))
        }
        _ => Ok(()),
    }
}
