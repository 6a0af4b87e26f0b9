//! The claiming loop and its start and end. It has a small runtime of its own, so that neither requests
//! nor computations hold up heartbeats.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{Notify, broadcast};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::errors::BACKOFF_LIMIT;
use super::supervise::{House, attempt};
use super::threads::Slots;
use super::{Runner, WorkerOptions};
use crate::records::Clock;
use crate::store::{ClaimTerms, Commits, Store, StoreError};

/// Threads of the runtime: supervisors only wait, a second thread is for a runner that does not.
const SUPERVISOR_THREADS: usize = 2;

/// Steps of one sweep of deadlines.
const EXPIRY_STEPS: usize = 5;

/// The running workers of a process.
pub struct Workers {
    /// `None` after the shutdown.
    runtime: Option<Runtime>,
    shutdown: CancellationToken,
    ended: CancellationToken,
    wake: Arc<Notify>,
}

impl Workers {
    /// Rescues what a process before this one left running, then begins to claim.
    ///
    /// # Errors
    /// Where the rescue cannot be written or no threads can be started.
    pub async fn start(
        store: Arc<dyn Store>,
        runner: Arc<dyn Runner>,
        clock: Arc<dyn Clock>,
        options: WorkerOptions,
    ) -> Result<Self, StoreError> {
        for (job, state) in store.rescue_all(clock.now(), options.crash_limit).await? {
            metrics::counter!("job_rescues_total").increment(1);
            tracing::warn!(%job, state = state.as_str(), "rescued a job whose process is gone");
        }
        let n_parked = store.unpark(clock.now(), BACKOFF_LIMIT).await?;
        if n_parked > 0 {
            tracing::warn!(n_parked, "jobs waited for a time too far off: the clock was set back; they wait less now");
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(SUPERVISOR_THREADS)
            .thread_name("adaptd-worker")
            .enable_all()
            .build()
            .map_err(|e| StoreError::Unavailable(format!("no threads for workers: {e}")))?;
        let (shutdown, ended, wake) = (CancellationToken::new(), CancellationToken::new(), Arc::new(Notify::new()));
        let house = House { store, runner, clock, options: Arc::new(options), shutdown: shutdown.clone() };
        let claiming = Claiming { changes: house.store.subscribe(), wake: wake.clone(), house };
        // Dropped with the loop, also where it panics: the shutdown never waits for nothing.
        let guard = ended.clone().drop_guard();
        runtime.spawn(async move {
            claiming.run().await;
            drop(guard);
        });
        Ok(Self { runtime: Some(runtime), shutdown, ended, wake })
    }

    /// Looks for jobs now, for a caller that knows better than the timer.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Returns when no jobs are claimed any more, for whatever reason.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Stops claiming, gives running jobs back without consuming their attempts, and returns when that
    /// is written, or after `grace`; what is not given back by then is rescued at the next start.
    /// Computations that still run are left to the end of the process: the fence keeps them out.
    pub async fn shutdown(mut self, grace: Duration) {
        self.shutdown.cancel();
        if tokio::time::timeout(grace, self.ended.cancelled()).await.is_err() {
            tracing::warn!("running jobs were not given back in time");
        }
        self.leave();
    }

    fn leave(&mut self) {
        self.shutdown.cancel();
        if let Some(runtime) = self.runtime.take() {
            // A runtime must not be dropped where others run on this thread.
            runtime.shutdown_background();
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.leave();
    }
}

struct Claiming {
    house: House,
    changes: Commits,
    wake: Arc<Notify>,
}

impl Claiming {
    async fn run(mut self) {
        let slots = Slots::new(self.house.options.job_threads, self.house.options.memory_bytes);
        let mut attempts = JoinSet::new();
        let mut sweeps = interval(self.house.options.sweep_every);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shutdown = self.house.shutdown.clone();
        'claiming: loop {
            let slot = loop {
                tokio::select! {
                    slot = slots.take() => break slot,
                    // Deadlines of waiting jobs pass also while all places are taken.
                    _ = sweeps.tick() => self.expire().await,
                    () = shutdown.cancelled() => break 'claiming,
                }
            };
            let Some(slot) = slot else { break };
            let job = loop {
                while let Some(ended) = attempts.try_join_next() {
                    note(ended);
                }
                if shutdown.is_cancelled() {
                    break 'claiming;
                }
                if let Some(job) = self.claim().await {
                    break job;
                }
                tokio::select! {
                    () = self.wake.notified() => self.expire().await,
                    () = change(&mut self.changes) => {}
                    _ = sweeps.tick() => self.expire().await,
                    () = shutdown.cancelled() => break 'claiming,
                }
            };
            attempts.spawn(attempt(self.house.clone(), job, slot));
        }
        while let Some(ended) = attempts.join_next().await {
            note(ended);
        }
    }

    async fn claim(&self) -> Option<crate::records::JobRecord> {
        let House { store, clock, options, .. } = &self.house;
        if !self.house.runner.has_room() {
            return None;
        }
        let terms = ClaimTerms {
            owner: options.owner.clone(),
            lease: options.lease,
            max_running_of_tenant: options.max_running_of_tenant,
        };
        match store.claim(&terms, clock.now()).await {
            Ok(job) => job,
            Err(e) => {
                tracing::error!(error = %e, "no job could be claimed");
                None
            }
        }
    }

    /// The next sweep goes on where there are more, so that claims do not wait for all of them.
    async fn expire(&self) {
        for _ in 0..EXPIRY_STEPS {
            match self.house.store.expire(self.house.clock.now()).await {
                Ok(expired) if expired.is_empty() => return,
                Ok(expired) => tracing::info!(n = expired.len(), "jobs passed their deadline while they waited"),
                Err(e) => return tracing::error!(error = %e, "deadlines could not be swept"),
            }
        }
    }
}

/// A supervisor that panicked has left its row running; the next start rescues it.
fn note(ended: Result<(), JoinError>) {
    if let Err(e) = ended {
        tracing::error!(error = %e, "a supervisor ended early");
    }
}

/// Returns when a job was committed; several that came together are one.
async fn change(changes: &mut Commits) {
    use broadcast::error::{RecvError, TryRecvError};
    if matches!(changes.recv().await, Err(RecvError::Closed)) {
        std::future::pending::<()>().await;
    }
    while !matches!(changes.try_recv(), Err(TryRecvError::Empty | TryRecvError::Closed)) {}
}
