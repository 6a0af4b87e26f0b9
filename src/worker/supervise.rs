//! The supervisor's side of an attempt: heartbeats, what was asked meanwhile, and how it ends.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::attempt::{AttemptHandle, News, panicked};
use super::errors::{self, CANCELLED, DEADLINE_EXCEEDED, backoff, job_error};
use super::threads::Slot;
use super::{Runner, WorkerOptions};
use crate::records::{Clock, JobError, JobRecord, JobState};
use crate::store::{Commits, Completion, Lease, Store, StoreError};

/// Tries to commit the end of an attempt before it is left to the next start.
const COMMIT_TRIES: u32 = 5;

/// Between such tries while the disk is full.
const FULL_DISK_PAUSE: Duration = Duration::from_secs(2);

/// What all attempts share.
#[derive(Clone)]
pub(super) struct House {
    pub(super) store: Arc<dyn Store>,
    pub(super) runner: Arc<dyn Runner>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) options: Arc<WorkerOptions>,
    pub(super) shutdown: CancellationToken,
}

/// Why the supervisor stopped watching.
enum End {
    Finished(Box<Result<Completion, JobError>>),
    Cancelled,
    PastDeadline,
    LeaseLost,
    /// It is to be paused, or the process ends: the job is given back, with its last checkpoint.
    Parting,
}

/// What the record says of a running attempt.
enum Asked {
    Nothing,
    Pause,
    End(End),
}

/// Runs one attempt to its end, and writes one line about it.
pub(super) async fn attempt(house: House, job: JobRecord, slot: Slot) {
    let span = tracing::info_span!(
        "attempt", job = %job.id, attempt = job.attempt, kind = job.kind.as_str(), traceparent = job.traceparent
    );
    let handle = AttemptHandle::new(slot, house.clock.clone(), job.deadline_at, house.options.checkpoint_every);
    let timer = handle.clone();
    let kind = job.kind.as_str();
    let supervised = async {
        let outcome =
            Supervisor { house, lease: Lease { job: job.id, token: job.lease_token }, job, handle }.run().await;
        let elapsed = adaptation::context::Observer::elapsed(&timer);
        let ms = elapsed.as_millis() as u64;
        let word = match &outcome {
            Ok(Some(state)) => state.as_str(),
            Ok(None) => "lease_lost",
            Err(_) => "not_committed",
        };
        metrics::histogram!("job_run_seconds", "kind" => kind, "outcome" => word).record(elapsed);
        match outcome {
            Ok(Some(_)) => tracing::info!(outcome = word, ms, "attempt ended"),
            Ok(None) => {
                metrics::counter!("lease_lost_total").increment(1);
                tracing::warn!(outcome = word, ms, "attempt ended");
            }
            Err(e) => tracing::error!(outcome = word, error = %e, ms, "attempt ended"),
        }
    };
    supervised.instrument(span).await;
}

struct Supervisor {
    house: House,
    lease: Lease,
    job: JobRecord,
    handle: AttemptHandle,
}

impl Supervisor {
    /// The state that the job is left in; `None` where the lease was lost.
    async fn run(self) -> Result<Option<JobState>, StoreError> {
        let end = self.watch().await;
        // The runner is told before the record is written: from here on it can only lose time.
        self.handle.stop();
        match end {
            End::Finished(outcome) => match *outcome {
                Ok(completion) => self.complete(completion).await,
                Err(error) => self.fail(error).await,
            },
            End::Cancelled => self.fail(job_error(CANCELLED, "cancelled as asked")).await,
            End::PastDeadline => self.fail(job_error(DEADLINE_EXCEEDED, "the deadline passed while the job ran")).await,
            End::Parting => self.committed(|| self.house.store.release(self.lease, self.house.clock.now())).await,
            End::LeaseLost => Ok(None),
        }
    }

    /// Waits for the runner, or for a reason not to. The runner is dropped on return.
    async fn watch(&self) -> End {
        let House { store, runner, shutdown, options, .. } = &self.house;
        // Subscribed before the first look at the record, so that no cancel falls between.
        let mut changes = store.subscribe();
        let mut run = Box::pin(AssertUnwindSafe(runner.run(self.job.clone(), self.handle.clone())).catch_unwind());
        let mut beats = interval_at(Instant::now() + options.heartbeat_every, options.heartbeat_every);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Until when the next checkpoint is waited for, once the attempt is to part.
        let mut parting = match self.asked().await {
            Asked::End(end) => return end,
            Asked::Pause => return End::Parting,
            Asked::Nothing => None,
        };
        loop {
            let asked = tokio::select! {
                // In this order, so that what is finished is not thrown away.
                biased;
                outcome = &mut run => Asked::End(End::Finished(Box::new(self.finished(outcome).await))),
                () = self.handle.checkpoints().made() => match self.keep().await {
                    Asked::Nothing if parting.is_some() => Asked::End(End::Parting),
                    asked => asked,
                },
                () = shutdown.cancelled(), if parting.is_none() => {
                    match self.part_within(options.shutdown_grace) {
                        Some(until) => parting = Some(until),
                        None => return End::Parting,
                    }
                    Asked::Nothing
                }
                () = until(parting) => Asked::End(End::Parting),
                () = self.change(&mut changes) => self.asked().await,
                _ = beats.tick() => self.beat().await,
            };
            match asked {
                Asked::Nothing => {}
                Asked::End(end) => return end,
                Asked::Pause if parting.is_some() => {}
                Asked::Pause => match self.part_within(options.pause_grace) {
                    Some(until) => parting = Some(until),
                    None => return End::Parting,
                },
            }
        }
    }

    /// Asks for a checkpoint; until when it is waited for, `None` where there will be none.
    fn part_within(&self, grace: Duration) -> Option<Instant> {
        self.handle.checkpoints().ask().then(|| Instant::now() + grace)
    }

    /// Keeps the state that the runner offered.
    async fn keep(&self) -> Asked {
        let Some(state) = self.handle.checkpoints().take() else { return Asked::Nothing };
        let House { store, runner, clock, .. } = &self.house;
        let data = json!({"fraction": self.handle.fraction(), "n_bytes": state.len()});
        let kept = match runner.keep(state.into()).await {
            Ok(blob) => store.checkpoint(self.lease, &blob, data, clock.now()).await.map_err(JobError::from),
            Err(error) => Err(error),
        };
        match kept {
            Ok(true) => Asked::Nothing,
            Ok(false) => Asked::End(End::LeaseLost),
            Err(error) => {
                // What is lost is time: the job goes on, and the last checkpoint stays.
                tracing::warn!(code = error.code, message = error.message, "a checkpoint was not stored");
                Asked::Nothing
            }
        }
    }

    /// What the runner returned, after its last reports are written.
    async fn finished(
        &self,
        outcome: Result<Result<Completion, JobError>, Box<dyn Any + Send>>,
    ) -> Result<Completion, JobError> {
        // Whether it was asked to end meanwhile is found again when the end is committed.
        if self.handle.has_news() {
            self.beat().await;
        }
        outcome.unwrap_or_else(|panic| Err(panicked(&*panic)))
    }

    /// Returns when this job's record may have changed.
    async fn change(&self, changes: &mut Commits) {
        loop {
            match changes.recv().await {
                Ok(committed) if !committed.touches(self.lease.job) => {}
                Ok(_) | Err(RecvError::Lagged(_)) => return,
                // The store is closed: nothing will be asked any more.
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Looks whether the record asks the attempt to end. Reads only: most changes are the attempt's own.
    async fn asked(&self) -> Asked {
        match self.house.store.job(&self.job.tenant, self.job.id).await {
            Ok(Some(job)) if job.state == JobState::Running && job.lease_token == self.lease.token => {
                asked_by(job.cancel_requested_at.is_some(), job.pause_requested_at.is_some())
            }
            Ok(_) => Asked::End(End::LeaseLost),
            // The next heartbeat asks again.
            Err(_) => Asked::Nothing,
        }
    }

    async fn beat(&self) -> Asked {
        if self.handle.is_past_deadline() {
            return Asked::End(End::PastDeadline);
        }
        let now = self.house.clock.now();
        let News { progress, events } = self.handle.news();
        let beat = self.house.store.heartbeat(self.lease, progress, now, now.plus(self.house.options.lease));
        // Together, so that they share a commit; they are queued in this order.
        match futures::future::join(beat, self.append(events)).await.0 {
            Ok(Some(intent)) => asked_by(intent.cancel, intent.pause),
            Ok(None) => Asked::End(End::LeaseLost),
            Err(e) => {
                // One process: nobody takes the job away for a late heartbeat.
                tracing::warn!(error = %e, "a heartbeat was not stored");
                Asked::Nothing
            }
        }
    }

    async fn append(&self, events: Vec<(&'static str, serde_json::Value)>) {
        let now = self.house.clock.now();
        let appends =
            events.into_iter().map(|(event, data)| self.house.store.append_event(self.lease, event, data, now));
        for stored in futures::future::join_all(appends).await {
            if let Err(e) = stored {
                tracing::warn!(error = %e, "an event was not stored");
            }
        }
    }

    async fn complete(&self, completion: Completion) -> Result<Option<JobState>, StoreError> {
        let commit = || self.house.store.complete(self.lease, completion.clone(), self.house.clock.now());
        match self.committed(commit).await {
            Ok(state) => Ok(state),
            // What the attempt made cannot be stored; that it failed perhaps can.
            Err(e) => self.fail(e.into()).await,
        }
    }

    async fn fail(&self, error: JobError) -> Result<Option<JobState>, StoreError> {
        let error = errors::of_attempt(error, &self.job);
        tracing::debug!(code = error.code, retryable = error.retryable, "attempt failed");
        let wait = backoff(self.job.id, self.job.attempt);
        loop {
            let commit = || self.house.store.fail(self.lease, error.clone(), wait, self.house.clock.now());
            match self.committed(commit).await {
                // There will be room again, and the job is not to hang until the next start.
                Err(StoreError::Full) if !self.house.shutdown.is_cancelled() => {
                    tokio::select! {
                        () = tokio::time::sleep(FULL_DISK_PAUSE) => {}
                        () = self.house.shutdown.cancelled() => {}
                    }
                }
                outcome => return outcome,
            }
        }
    }

    /// Tries a commit a few times. One that never succeeds leaves the row running, which the next start
    /// of the service takes for an orphan and runs again.
    async fn committed<F>(&self, commit: impl Fn() -> F) -> Result<Option<JobState>, StoreError>
    where
        F: Future<Output = Result<Option<JobState>, StoreError>>,
    {
        let mut wait = self.house.options.commit_retry;
        let mut tries = 1;
        loop {
            match commit().await {
                Err(e) if tries < COMMIT_TRIES && !matches!(e, StoreError::Refused(_)) => {
                    tracing::warn!(error = %e, tries, "the end of an attempt was not stored");
                    tokio::time::sleep(wait).await;
                    wait = wait.saturating_mul(2).min(Duration::from_secs(1));
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }
}

fn asked_by(cancel: bool, pause: bool) -> Asked {
    match (cancel, pause) {
        (true, _) => Asked::End(End::Cancelled),
        (false, true) => Asked::Pause,
        (false, false) => Asked::Nothing,
    }
}

/// Returns at that time, or never.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
