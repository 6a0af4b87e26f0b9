//! The one writer: a thread that owns the only connection that writes. It commits, without a timer,
//! whatever queued while the last commit ran, so that many small writes share one flush of the disk.
//! Each write has a savepoint of its own, is answered only after the commit, and is told to subscribers
//! after that.

use std::collections::VecDeque;
use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::super::{Commits, Committed, StoreError, WriterHealth};
use super::pulse::Pulse;
use crate::faults::{self, Point};
use crate::records::{JobEvent, JobId, TenantId};

/// Writes that wait; a sender that finds the queue full waits for a place.
const QUEUE: usize = 4096;
/// Writes in one transaction: bounds how long the first of them waits for its answer.
const BATCH: usize = 256;
/// Time after which no other write joins a transaction, for the same reason.
const BATCH_TIME: Duration = Duration::from_millis(50);
/// Commits that a subscriber may be behind before it has to read the database instead: each holds as many events as a
/// transaction has.
const SUBSCRIBER_LAG: usize = 256;

/// The open transaction, as a write sees it.
pub(super) struct Tx {
    pub(super) connection: SqliteConnection,
    /// What the transaction did, to be told after the commit.
    done: Committed,
}

impl Tx {
    /// Notes that subscribers should look at this job after the commit.
    pub(super) fn touch(&mut self, job: JobId) {
        self.done.jobs.push(job);
    }

    /// Notes an event, to be told after the commit.
    pub(super) fn tell(&mut self, tenant: TenantId, event: JobEvent) {
        self.done.jobs.push(event.job);
        self.done.events.push((tenant, event));
    }

    /// How much is noted, for [`Tx::forget`].
    fn noted(&self) -> (usize, usize) {
        (self.done.jobs.len(), self.done.events.len())
    }

    /// Takes back what was noted since.
    fn forget(&mut self, (jobs, events): (usize, usize)) {
        self.done.jobs.truncate(jobs);
        self.done.events.truncate(events);
    }
}

/// The sending side of the writer thread.
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    committed: broadcast::Sender<Arc<Committed>>,
    /// Transactions that ended.
    generation: Arc<AtomicU64>,
    pulse: Arc<Pulse>,
    /// What the pulse is counted from.
    began: Instant,
    ended: watch::Receiver<bool>,
}

enum Message {
    Write(Box<dyn Op>),
    Close,
}

/// A write without its types.
trait Op: Send {
    /// Runs inside the transaction; true if its changes are to be kept.
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> LocalBoxFuture<'a, bool>;
    /// Sends the outcome to the caller, or why the transaction was not committed.
    fn answer(self: Box<Self>, commit: Result<(), StoreError>);
    /// Whether it found the disk full.
    fn met_full_disk(&self) -> bool;
}

struct Pending<W, T> {
    work: Option<W>,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<W, T> Op for Pending<W, T>
where
    W: AsyncFnOnce(&mut Tx) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn run<'a>(&'a mut self, tx: &'a mut Tx) -> LocalBoxFuture<'a, bool> {
        Box::pin(async move {
            let Some(work) = self.work.take() else { return false };
            // A defect in one statement must not take the writer, and with it the service, down.
            let outcome = AssertUnwindSafe(work(tx)).catch_unwind().await;
            let outcome = outcome.unwrap_or_else(|_| Err(StoreError::Refused("a write panicked".into())));
            let good = outcome.is_ok();
            self.outcome = Some(outcome);
            good
        })
    }

    fn answer(self: Box<Self>, commit: Result<(), StoreError>) {
        let outcome = match (self.outcome, commit) {
            (Some(Err(e)), _) | (_, Err(e)) => Err(e),
            (Some(outcome), Ok(())) => outcome,
            (None, Ok(())) => Err(StoreError::Unavailable("the write did not run".into())),
        };
        // The caller may have gone away; what was committed stays.
        let _ = self.reply.send(outcome);
    }

    fn met_full_disk(&self) -> bool {
        matches!(self.outcome, Some(Err(StoreError::Full)))
    }
}

impl Writer {
    /// Starts the thread. It keeps `lock` until it ends.
    pub(super) fn start(connection: SqliteConnection, lock: File) -> Result<Self, StoreError> {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let (committed, _) = broadcast::channel(SUBSCRIBER_LAG);
        let (end, ended) = watch::channel(false);
        let generation = Arc::new(AtomicU64::new(0));
        let (pulse, began) = (Arc::new(Pulse::default()), Instant::now());
        let worker = WriterThread {
            tx: Tx { connection, done: Committed::default() },
            receiver,
            committed: committed.clone(),
            generation: Arc::clone(&generation),
            pulse: Arc::clone(&pulse),
            began,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| StoreError::Unavailable(e.to_string()))?;
        std::thread::Builder::new()
            .name("adaptd-writer".into())
            .spawn(move || {
                let _alive = OrNothing;
                runtime.block_on(worker.run());
                drop(lock);
                let _ = end.send(true);
            })
            .map_err(|e| StoreError::Unavailable(e.to_string()))?;
        Ok(Self { queue, committed, generation, pulse, began, ended })
    }

    /// Runs `work` in a transaction and returns after the commit.
    pub(super) async fn write<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        W: AsyncFnOnce(&mut Tx) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let closed = || StoreError::Unavailable("the store is closed".into());
        let (reply, answer) = oneshot::channel();
        let op = Box::new(Pending { work: Some(work), outcome: None, reply });
        self.queue.send(Message::Write(op)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn health(&self) -> WriterHealth {
        // A thread that panicked has dropped its end of the channel without a word.
        if *self.ended.borrow() || self.ended.has_changed().is_err() {
            return WriterHealth::Ended;
        }
        WriterHealth::SilentFor(self.pulse.silent_for(self.began.elapsed()))
    }

    pub(super) fn subscribe(&self) -> Commits {
        self.committed.subscribe()
    }

    /// Commits what is queued and waits for the thread to end.
    pub(super) async fn close(&self) {
        // An error here means that the thread has ended already.
        let _ = self.queue.send(Message::Close).await;
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }
}

/// Ends the process where its thread panics: a service that reads and cannot write would look alive, and its jobs would wait
/// for ever, while the next start rescues them.
struct OrNothing;

impl Drop for OrNothing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("the writer of the database has stopped at a defect, and the process with it");
            std::process::abort();
        }
    }
}

struct WriterThread {
    tx: Tx,
    receiver: mpsc::Receiver<Message>,
    committed: broadcast::Sender<Arc<Committed>>,
    generation: Arc<AtomicU64>,
    pulse: Arc<Pulse>,
    began: Instant,
}

impl WriterThread {
    async fn run(mut self) {
        while let Some(first) = self.receiver.recv().await {
            self.pulse.beat(self.began.elapsed());
            let mut waiting = VecDeque::new();
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Write(op) => waiting.push_back(op),
                    Message::Close => self.receiver.close(),
                }
                next = if waiting.len() < BATCH { self.receiver.try_recv().ok() } else { None };
            }
            while !waiting.is_empty() {
                self.transaction(&mut waiting).await;
                self.pulse.beat(self.began.elapsed());
            }
            self.pulse.rest();
        }
        if let Err(e) = self.tx.connection.close().await {
            tracing::warn!(error = %e, "the database did not close cleanly");
        }
    }

    /// Runs and answers writes of `waiting`, usually all of them.
    async fn transaction(&mut self, waiting: &mut VecDeque<Box<dyn Op>>) {
        let mut ran = Vec::new();
        let began = Instant::now();
        let result = self.commit(waiting, &mut ran).await;
        metrics::histogram!("db_commit_seconds").record(began.elapsed());
        if let Err(e) = &result {
            tracing::error!(error = %e, writes = ran.len(), "a transaction was not committed");
            // Fails where SQLite has rolled back by itself, which is as good.
            let _ = execute(&mut self.tx.connection, "ROLLBACK").await;
            if *e == StoreError::Full {
                // Puts into the database what the log holds, as far as that needs no room, so that the log can be written
                // over from its beginning. What fails here has failed already.
                let _ = execute(&mut self.tx.connection, "PRAGMA wal_checkpoint(PASSIVE)").await;
            }
            self.tx.forget((0, 0));
            if ran.is_empty() {
                ran.extend(waiting.drain(..));
            }
        }
        // Before the answers, so that who wrote reads what was written.
        self.generation.fetch_add(1, Ordering::Release);
        for op in ran {
            op.answer(result.clone());
        }
        let mut done = std::mem::take(&mut self.tx.done);
        if !done.jobs.is_empty() {
            done.jobs.sort_unstable();
            done.jobs.dedup();
            // Without subscribers there is nobody to tell.
            let _ = self.committed.send(Arc::new(done));
        }
    }

    /// One transaction; what ran in it is moved to `ran`. After `Err` nothing of it is stored.
    async fn commit(
        &mut self,
        waiting: &mut VecDeque<Box<dyn Op>>,
        ran: &mut Vec<Box<dyn Op>>,
    ) -> Result<(), StoreError> {
        let began = Instant::now();
        execute(&mut self.tx.connection, "BEGIN IMMEDIATE").await?;
        // Writes that take long do not add up before the first of them is answered.
        while (ran.is_empty() || began.elapsed() < BATCH_TIME)
            && let Some(mut op) = waiting.pop_front()
        {
            let noted_before = self.tx.noted();
            execute(&mut self.tx.connection, "SAVEPOINT one_write").await?;
            let good = op.run(&mut self.tx).await;
            ran.push(op);
            if !good {
                self.tx.forget(noted_before);
                // On a full disk SQLite may have rolled back all of it, and then has no savepoint.
                let full = ran.last().is_some_and(|op| op.met_full_disk());
                let undone = execute(&mut self.tx.connection, "ROLLBACK TO one_write").await;
                undone.map_err(|e| if full { StoreError::Full } else { e })?;
            }
            execute(&mut self.tx.connection, "RELEASE one_write").await?;
        }
        faults::hit(Point::WriterBeforeCommit)?;
        execute(&mut self.tx.connection, "COMMIT").await?;
        Ok(faults::hit(Point::WriterAfterCommit)?)
    }
}

async fn execute(connection: &mut SqliteConnection, sql: &'static str) -> Result<(), StoreError> {
    sqlx::query(sql).execute(connection).await?;
    Ok(())
}
