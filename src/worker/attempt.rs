//! The runner's side of an attempt: where it computes, what it reports, and how it learns to stop.

use std::cell::Cell;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use adaptation::context::{FitError, Observer, Report};
use rayon::ThreadPool;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use super::checkpoints::Checkpoints;
use super::errors::{IO_ERROR, PANIC, job_error};
use super::threads::{BusySlot, Slot};
use crate::records::{Clock, JobError, Progress, Timestamp};

/// One attempt, as its runner sees it. Clones are the same attempt.
#[derive(Clone)]
pub struct AttemptHandle(Arc<Shared>);

struct Shared {
    stopped: AtomicBool,
    deadline: Option<Timestamp>,
    clock: Arc<dyn Clock>,
    started: Instant,
    slot: Arc<BusySlot>,
    pool: OnceLock<ThreadPool>,
    reports: Mutex<Reports>,
    checkpoints: Checkpoints,
    /// What an earlier attempt left, until the runner asks for it.
    resume: Mutex<Option<Vec<u8>>>,
}

/// What was reported since the supervisor last looked. Bounded: later values replace earlier ones.
struct Reports {
    progress: Progress,
    window: RangeInclusive<f64>,
    progress_changed: bool,
    phase_changed: bool,
    metrics: Map<String, Value>,
}

/// Names in one metrics event; a method that reports more is cut short, not the database.
const METRIC_NAMES: usize = 64;

/// Phases of a job whose memory others have, and when it got it.
const WAITING_FOR_MEMORY: &str = "waiting_for_memory";
const ADMITTED: &str = "admitted";

/// What there is to write since the last time.
#[derive(Default)]
pub(super) struct News {
    pub(super) progress: Option<Progress>,
    /// Kinds of events and their data.
    pub(super) events: Vec<(&'static str, Value)>,
}

impl AttemptHandle {
    #[expect(clippy::disallowed_methods, reason = "the elapsed time of a fit is monotonic; the fit itself is given it")]
    pub(super) fn new(
        slot: Slot,
        clock: Arc<dyn Clock>,
        deadline: Option<Timestamp>,
        checkpoint_every: Duration,
    ) -> Self {
        let reports = Reports {
            progress: Progress::default(),
            window: 0.0..=1.0,
            progress_changed: false,
            phase_changed: false,
            metrics: Map::new(),
        };
        Self(Arc::new(Shared {
            stopped: AtomicBool::new(false),
            deadline,
            clock,
            started: Instant::now(),
            slot: Arc::new(slot.occupy()),
            pool: OnceLock::new(),
            reports: Mutex::new(reports),
            checkpoints: Checkpoints::new(checkpoint_every),
            resume: Mutex::default(),
        }))
    }

    /// Runs `work` on the attempt's own threads, of lower priority; what it does in parallel stays on
    /// them. Long work outside of this holds up the heartbeats of all jobs.
    ///
    /// # Errors
    /// `job.panic` where `work` panics, `job.io_error` where there are no threads to be had.
    pub async fn compute<T, W>(&self, work: W) -> Result<T, JobError>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let slot = self.0.slot.clone();
        let span = tracing::Span::current();
        self.pool()?.spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| span.in_scope(work))).map_err(|panic| panicked(&*panic));
            // The attempt may have ended meanwhile; then nobody listens, and the slot is free from here.
            let _ = reply.send(outcome);
            drop(slot);
        });
        answer.await.unwrap_or_else(|_| Err(job_error(PANIC, "the computation ended without an answer")))
    }

    /// The most memory that the process took since the attempt began, in bytes beyond what it held then;
    /// `None` unless the attempt has been alone.
    pub fn peak_bytes(&self) -> Option<u64> {
        self.0.slot.peak_bytes()
    }

    /// The following steps fill this part of the progress bar; without it each phase fills the whole.
    pub fn window(&self, part: RangeInclusive<f64>) {
        self.reports().window = part;
    }

    /// The work may go on from this state, which an earlier attempt left.
    pub fn resume_from(&self, state: Vec<u8>) {
        *self.0.resume.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
    }

    pub(super) fn checkpoints(&self) -> &Checkpoints {
        &self.0.checkpoints
    }

    /// How far the attempt says it is, 0 to 1.
    pub(super) fn fraction(&self) -> f64 {
        self.reports().progress.fraction
    }

    /// Asks the runner to stop.
    pub(super) fn stop(&self) {
        self.0.stopped.store(true, Ordering::Release);
    }

    pub(super) fn is_past_deadline(&self) -> bool {
        self.0.deadline.is_some_and(|deadline| self.0.clock.now() >= deadline)
    }

    pub(super) fn has_news(&self) -> bool {
        let reports = self.reports();
        reports.progress_changed || reports.phase_changed || !reports.metrics.is_empty()
    }

    /// Takes what was reported since the last call.
    pub(super) fn news(&self) -> News {
        let mut reports = self.reports();
        let mut news = News::default();
        if std::mem::take(&mut reports.progress_changed) {
            news.progress = Some(reports.progress.clone());
        }
        if std::mem::take(&mut reports.phase_changed) {
            let Progress { phase, fraction, .. } = &reports.progress;
            news.events.push(("phase", json!({"phase": phase, "fraction": fraction})));
        }
        if !reports.metrics.is_empty() {
            let metrics = std::mem::take(&mut reports.metrics);
            news.events.push(("metrics", json!({"step": reports.progress.step, "metrics": metrics})));
        }
        news
    }

    fn pool(&self) -> Result<&ThreadPool, JobError> {
        if let Some(pool) = self.0.pool.get() {
            return Ok(pool);
        }
        let pool = self.0.slot.pool().map_err(|e| job_error(IO_ERROR, format!("no compute threads: {e}")))?;
        Ok(self.0.pool.get_or_init(|| pool))
    }

    fn reports(&self) -> MutexGuard<'_, Reports> {
        // A panic while it was held leaves values that are each whole.
        self.0.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for AttemptHandle {
    fn report(&self, report: Report<'_>) {
        let mut reports = self.reports();
        match report {
            Report::Phase(name) => {
                reports.phase_changed |= reports.progress.phase != name;
                reports.progress =
                    Progress { fraction: reports.progress.fraction, phase: name.into(), step: 0, total_steps: None };
                reports.progress_changed = true;
            }
            Report::Step { step, total } => {
                if let Some(total) = total.filter(|&t| t > 0) {
                    let (from, to) = (*reports.window.start(), *reports.window.end());
                    let fraction = from + (to - from) * (step.min(total) as f64 / total as f64);
                    // A bar that goes back says nothing.
                    reports.progress.fraction = reports.progress.fraction.max(fraction.clamp(0.0, 1.0));
                }
                reports.progress.step = step;
                reports.progress.total_steps = total;
                reports.progress_changed = true;
            }
            Report::Metric { name, value } => {
                if reports.metrics.len() < METRIC_NAMES || reports.metrics.contains_key(name) {
                    reports.metrics.insert(name.into(), json!(value));
                }
            }
        }
    }

    fn check(&self) -> Result<(), FitError> {
        if self.0.stopped.load(Ordering::Acquire) {
            return Err(FitError::Cancelled);
        }
        if self.is_past_deadline() { Err(FitError::DeadlineExceeded) } else { Ok(()) }
    }

    fn elapsed(&self) -> Duration {
        self.0.started.elapsed()
    }

    fn admit(&self, bytes: u64) -> Result<(), FitError> {
        let mut told = Cell::new(false);
        let wait = || {
            if !told.replace(true) {
                self.report(Report::Phase(WAITING_FOR_MEMORY));
            }
            self.check()
        };
        self.0.slot.admit(bytes, &wait)?;
        if *told.get_mut() {
            self.report(Report::Phase(ADMITTED));
        }
        Ok(())
    }

    fn resume(&self) -> Option<Vec<u8>> {
        self.0.resume.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn checkpoint(&self, state: &dyn Fn() -> Vec<u8>) {
        self.0.checkpoints.offer(state);
    }
}

/// The error of a panic. Its message may hold values of the data, so it goes to the log of the panic
/// hook and not into the record.
pub(super) fn panicked(_panic: &(dyn std::any::Any + Send)) -> JobError {
    job_error(PANIC, "the computation stopped at a defect of the program; the service's log has the place")
}
