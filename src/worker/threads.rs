//! Threads for computing: apart from those that answer requests, of lower priority, and bounded.
//!
//! Each attempt has a pool of its own. In one shared pool, a job that waits for a part of its own work
//! may be handed another job's whole computation and be held up until that ends.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use adaptation::context::FitError;
use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::admission::{MemoryBudget, Share};
use super::memory::Watch;

/// How much the compute threads give way to the threads that answer requests.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;
#[cfg(target_os = "linux")]
const LOWEST: i32 = 19;

/// Places for attempts.
#[derive(Clone)]
pub(super) struct Slots {
    semaphore: Arc<Semaphore>,
    n_threads: usize,
    /// Attempts that run. Fewer than the places taken, one of which waits for the next job.
    n_running: Arc<AtomicUsize>,
    /// Attempts that have begun in this process.
    n_begun: Arc<AtomicUsize>,
    memory: MemoryBudget,
}

/// One place, taken.
pub(super) struct Slot {
    permit: OwnedSemaphorePermit,
    slots: Slots,
}

/// One place in use. Held until the attempt has ended and its last computation has returned.
pub(super) struct BusySlot {
    slot: Slot,
    /// Threads for the attempt: all for a lone one, a share where others run.
    n_threads: usize,
    /// Given back with the place.
    memory: Mutex<Vec<Share>>,
    /// Of an attempt that began alone: how many had begun with it, and the watch over memory.
    alone: Option<(usize, Watch)>,
}

impl Slots {
    /// Places for so many attempts, which share so many bytes.
    pub(super) fn new(n_threads: usize, memory_bytes: u64) -> Self {
        let n_threads = n_threads.max(1);
        Self {
            semaphore: Arc::new(Semaphore::new(n_threads)),
            n_threads,
            n_running: Arc::default(),
            n_begun: Arc::default(),
            memory: MemoryBudget::new(memory_bytes),
        }
    }

    /// A free place, as soon as there is one.
    pub(super) async fn take(&self) -> Option<Slot> {
        let permit = self.semaphore.clone().acquire_owned().await.ok()?;
        Some(Slot { permit, slots: self.clone() })
    }
}

impl Slot {
    /// An attempt begins in this place.
    pub(super) fn occupy(self) -> BusySlot {
        let n_running = self.slots.n_running.fetch_add(1, Ordering::Relaxed) + 1;
        let n_begun = self.slots.n_begun.fetch_add(1, Ordering::Relaxed) + 1;
        let alone = if n_running == 1 { Watch::begin().map(|watch| (n_begun, watch)) } else { None };
        let n_threads = (self.slots.n_threads / n_running).max(1);
        BusySlot { n_threads, memory: Mutex::default(), alone, slot: self }
    }
}

impl BusySlot {
    /// The most memory that the process took during the attempt, in bytes beyond what it held before; `None`
    /// unless no other attempt ran beside it.
    pub(super) fn peak_bytes(&self) -> Option<u64> {
        let (n_begun, watch) = self.alone.as_ref()?;
        let still_alone = self.slot.slots.n_begun.load(Ordering::Relaxed) == *n_begun;
        if still_alone { watch.peak() } else { None }
    }

    /// Takes a share of the memory of all attempts; waits for it as long as `wait` has it wait.
    pub(super) fn admit(&self, bytes: u64, wait: &dyn Fn() -> Result<(), FitError>) -> Result<(), FitError> {
        let share = self.slot.slots.memory.take(bytes, wait)?;
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).push(share);
        Ok(())
    }

    /// Starts the attempt's threads.
    pub(super) fn pool(&self) -> Result<ThreadPool, ThreadPoolBuildError> {
        ThreadPoolBuilder::new()
            .num_threads(self.n_threads)
            .thread_name(|i| format!("adaptd-job-{i}"))
            .start_handler(|_| give_way())
            .build()
    }
}

impl Drop for BusySlot {
    fn drop(&mut self) {
        self.slot.slots.n_running.fetch_sub(1, Ordering::Relaxed);
        debug_assert_eq!(self.slot.permit.num_permits(), 1);
    }
}

/// Lowers the priority of the calling thread. On Linux a priority belongs to a thread; elsewhere the
/// call would slow the whole process. Where it is refused, the jobs run as fast as everything else.
fn give_way() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        let lowered = getpriority_process(None).and_then(|now| setpriority_process(None, (now + NICE).min(LOWEST)));
        if let Err(e) = lowered {
            tracing::debug!(error = %e, "the priority of a compute thread is not lowered");
        }
    }
}
