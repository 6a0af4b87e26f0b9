//! What is asked of a job once it is there: cancel, pause, go on, try again.

use super::error::{Code, ServiceError};
use super::jobs::no_job;
use super::spec::duration_in;
use super::{NewJobContext, Once, Service};
use crate::records::{Cursor, JobFilter, JobId, JobKind, JobRecord, JobState, NewJob, PageRequest, TenantId};
use crate::store::{Cancellation, Pausing};

/// Jobs of one transaction of a cancel of many: bounds how long other writes wait for it.
const CANCELLED_AT_ONCE: u32 = 200;

/// States in which a job may be cancelled.
const OPEN: [JobState; 3] = [JobState::Queued, JobState::Paused, JobState::Running];

/// What was asked for was accepted.
#[derive(Debug, Clone, PartialEq)]
pub enum Accepted {
    Now(JobRecord),
    /// It was so before.
    Before(JobRecord),
}

/// What a cancel of many did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CancelledMany {
    /// Had not begun, and have ended.
    pub cancelled: u64,
    /// Run, and end within moments.
    pub stopping: u64,
}

impl Service {
    /// # Errors
    /// If there is no such job, or it has succeeded or failed.
    pub async fn cancel_job(&self, tenant: &TenantId, id: JobId) -> Result<Accepted, ServiceError> {
        match self.store.cancel_job(tenant, id, self.clock.now()).await? {
            Cancellation::Accepted(job) => Ok(Accepted::Now(job)),
            Cancellation::AlreadyCancelled(job) => Ok(Accepted::Before(job)),
            Cancellation::AlreadyTerminal(job) => Err(has_ended(&job)),
            Cancellation::NotFound => Err(no_job(id)),
        }
    }

    /// Cancels every job that the filter finds and that was there before; children of what it finds with them.
    ///
    /// # Errors
    /// If the filter names nothing: all jobs are cancelled by naming their states.
    pub async fn cancel_jobs(&self, tenant: &TenantId, filter: JobFilter) -> Result<CancelledMany, ServiceError> {
        if filter == JobFilter::default() {
            return Err(ServiceError::new(
                Code::FilterRequired,
                "say which jobs: by state, kind, parent, labels or created_before",
            ));
        }
        let now = self.clock.now();
        let until = filter.created_before.map_or(now.plus(std::time::Duration::from_millis(1)), |t| t.min(now));
        let states: Vec<JobState> = OPEN.into_iter().filter(|s| filter.state.is_none_or(|f| f == *s)).collect();
        let mut done = CancelledMany::default();
        // A job may move from a state to another meanwhile; each is cancelled once, so this comes to an end.
        loop {
            let mut n_asked = 0;
            for state in &states {
                let filter = JobFilter { state: Some(*state), created_before: Some(until), ..filter.clone() };
                n_asked += self.cancel_found(tenant, &filter, &mut done).await?;
            }
            if n_asked == 0 {
                return Ok(done);
            }
        }
    }

    /// One walk over the jobs of one state; how many of them had not been asked to end before.
    async fn cancel_found(
        &self,
        tenant: &TenantId,
        filter: &JobFilter,
        done: &mut CancelledMany,
    ) -> Result<usize, ServiceError> {
        let mut page = PageRequest { after: None, limit: CANCELLED_AT_ONCE };
        let mut n_asked = 0;
        loop {
            let found = self.store.jobs(tenant, filter, &page).await?;
            let Some(last) = found.last() else { return Ok(n_asked) };
            page.after = Some(Cursor(last.id.to_string()));
            let new: Vec<&JobRecord> = found.iter().filter(|job| job.cancel_requested_at.is_none()).collect();
            n_asked += new.len();
            for ids in in_steps(&new) {
                for job in self.store.cancel_jobs(tenant, ids, self.clock.now()).await? {
                    if job.state == JobState::Cancelled { done.cancelled += 1 } else { done.stopping += 1 }
                }
            }
        }
    }

    /// # Errors
    /// If there is no such job, it has ended, or is to be cancelled.
    pub async fn pause_job(&self, tenant: &TenantId, id: JobId) -> Result<Accepted, ServiceError> {
        paused(id, self.store.pause_job(tenant, id, self.clock.now()).await?)
    }

    /// # Errors
    /// If there is no such job, it has ended, or is to be cancelled.
    pub async fn resume_job(&self, tenant: &TenantId, id: JobId) -> Result<Accepted, ServiceError> {
        paused(id, self.store.resume_job(tenant, id, self.clock.now()).await?)
    }

    /// Starts a new job that does what a failed or cancelled one was to do, on the same versions.
    ///
    /// # Errors
    /// If there is no such job, or it has not ended so.
    pub async fn retry_job(
        &self,
        tenant: &TenantId,
        id: JobId,
        context: NewJobContext,
    ) -> Result<Once<JobRecord>, ServiceError> {
        let now = self.clock.now();
        let keyed = self.keyed(tenant, context.key, now);
        if let Some(made) = self.made_before(keyed.as_ref()).await? {
            return self.job_again(tenant, made).await;
        }
        let before = self.job(tenant, id).await?;
        let conflict =
            |detail: &str| Err(ServiceError { job: Some(id), ..ServiceError::new(Code::JobStateConflict, detail) });
        match before.state {
            JobState::Failed | JobState::Cancelled if before.kind == JobKind::Batch => {
                return conflict("a batch is not tried again as a whole; retry those of its jobs that did not succeed");
            }
            JobState::Failed | JobState::Cancelled => {}
            JobState::Succeeded => return conflict("the job has succeeded; there is nothing to try again"),
            _ => return conflict("the job has not ended; it tries again by itself where that may help"),
        }
        // What it was given from its creation, it is given again.
        let id_of_new = JobId::at(now);
        let mut spec = before.spec;
        // A model without a name of its own is named after the job that makes it.
        if spec["model"].as_str().is_some_and(|name| name.parse::<JobId>().is_ok()) {
            spec["model"] = id_of_new.to_string().into();
        }
        let deadline = spec["deadline"].as_str().and_then(|text| duration_in(text).ok());
        let new = NewJob {
            id: id_of_new,
            tenant: before.tenant,
            kind: before.kind,
            priority: before.priority,
            max_attempts: before.max_attempts,
            deadline_at: deadline.map(|d| now.plus(d)),
            unique_key: None,
            traceparent: context.traceparent,
            retry_of: Some(id),
            spec,
            created_at: now,
            children: Vec::new(),
        };
        self.store_job(new, keyed).await
    }
}

/// Jobs that are cancelled together, their children counted with them.
fn in_steps(jobs: &[&JobRecord]) -> Vec<Vec<JobId>> {
    let mut steps: Vec<Vec<JobId>> = Vec::new();
    let mut room = 0;
    for job in jobs {
        let n = 1 + job.open_children;
        match steps.last_mut() {
            Some(step) if n <= room => step.push(job.id),
            _ => {
                steps.push(vec![job.id]);
                room = i64::from(CANCELLED_AT_ONCE);
            }
        }
        room -= n;
    }
    steps
}

fn paused(id: JobId, outcome: Pausing) -> Result<Accepted, ServiceError> {
    match outcome {
        Pausing::Accepted(job) => Ok(Accepted::Now(job)),
        Pausing::Already(job) => Ok(Accepted::Before(job)),
        Pausing::AlreadyTerminal(job) => Err(has_ended(&job)),
        Pausing::BeingCancelled(_) => {
            let detail = "the job is being cancelled";
            Err(ServiceError { job: Some(id), ..ServiceError::new(Code::JobStateConflict, detail) })
        }
        Pausing::NotFound => Err(no_job(id)),
    }
}

fn has_ended(job: &JobRecord) -> ServiceError {
    let detail = format!("the job has {} and is not to be changed any more", ended(job.state));
    ServiceError { job: Some(job.id), ..ServiceError::new(Code::JobAlreadyTerminal, detail) }
}

const fn ended(state: JobState) -> &'static str {
    if matches!(state, JobState::Cancelled) { "been cancelled" } else { state.as_str() }
}
