//! A service around a scripted runner, and a gate that holds computations until they are let go.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use adaptd::records::{JobError, JobId, JobRecord};
use adaptd::store::{Commits, Completion};
use adaptd::worker::{AttemptHandle, Runner, WorkerOptions, Workers};
use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;

use crate::store::fixtures::{Database, sqlite, without_model};

pub(crate) type Outcome = Result<Completion, JobError>;
type Script = Box<dyn Fn(JobRecord, AttemptHandle) -> BoxFuture<'static, Outcome> + Send + Sync>;

/// Does what its script says, and counts how often.
struct Scripted {
    script: Script,
    runs: Arc<AtomicUsize>,
}

#[async_trait]
impl Runner for Scripted {
    async fn run(&self, job: JobRecord, handle: AttemptHandle) -> Outcome {
        self.runs.fetch_add(1, Ordering::SeqCst);
        (self.script)(job, handle).await
    }

    /// The state is its own name: what is kept can be read from the record.
    async fn keep(&self, state: Bytes) -> Result<String, JobError> {
        Ok(String::from_utf8(state.to_vec()).expect("a state of words"))
    }
}

/// A computation that hangs, as a long decomposition does, until it is let go.
pub(crate) struct Gate {
    pub(crate) entered: tokio::sync::mpsc::UnboundedReceiver<AttemptHandle>,
    pub(crate) release: mpsc::Sender<()>,
}

/// The inside of a [`Gate`].
#[derive(Clone)]
pub(crate) struct Door {
    enter: tokio::sync::mpsc::UnboundedSender<AttemptHandle>,
    released: Arc<Mutex<mpsc::Receiver<()>>>,
}

pub(crate) fn gate() -> (Gate, Door) {
    let (enter, entered) = tokio::sync::mpsc::unbounded_channel();
    let (release, released) = mpsc::channel();
    (Gate { entered, release }, Door { enter, released: Arc::new(Mutex::new(released)) })
}

impl Door {
    pub(crate) fn pass(&self, handle: AttemptHandle) {
        self.enter.send(handle).unwrap();
        // An error means that the test is over.
        let _ = self.released.lock().unwrap().recv();
    }
}

pub(crate) struct Service {
    pub(crate) db: Database,
    pub(crate) workers: Workers,
    pub(crate) runs: Arc<AtomicUsize>,
    pub(crate) changes: Commits,
}

pub(crate) fn options(job_threads: usize) -> WorkerOptions {
    WorkerOptions {
        job_threads,
        heartbeat_every: Duration::from_millis(10),
        sweep_every: Duration::from_millis(10),
        commit_retry: Duration::from_millis(1),
        ..WorkerOptions::default()
    }
}

pub(crate) async fn serve<F>(
    db: Database,
    options: WorkerOptions,
    script: impl Fn(JobRecord, AttemptHandle) -> F + Send + Sync + 'static,
) -> Service
where
    F: Future<Output = Outcome> + Send + 'static,
{
    let runs = Arc::new(AtomicUsize::new(0));
    let script: Script = Box::new(move |job, handle| Box::pin(script(job, handle)));
    let runner = Arc::new(Scripted { script, runs: runs.clone() });
    let changes = db.store.subscribe();
    let workers = Workers::start(db.store.clone(), runner, Arc::new(db.clock.clone()), options).await.unwrap();
    Service { db, workers, runs, changes }
}

/// A service whose computations hang at the gate and then succeed.
pub(crate) async fn gated(job_threads: usize) -> (Service, Gate) {
    let (gate, door) = gate();
    let service = serve(sqlite().await, options(job_threads), move |_, handle| {
        let door = door.clone();
        async move {
            let inside = handle.clone();
            handle.compute(move || door.pass(inside)).await?;
            Ok(without_model())
        }
    });
    (service.await, gate)
}

impl Service {
    pub(crate) async fn add(&self) -> JobId {
        self.db.create(self.db.new_job()).await.id
    }

    /// Waits until the job is as it should be.
    pub(crate) async fn until(&mut self, id: JobId, what: impl Fn(&JobRecord) -> bool) -> JobRecord {
        let look = async {
            loop {
                let job = self.db.job(id).await;
                if what(&job) {
                    return job;
                }
                let _ = self.changes.recv().await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(20), look).await {
            Ok(job) => job,
            Err(_) => panic!("still {:?}", self.db.job(id).await),
        }
    }

    pub(crate) async fn ended(&mut self, id: JobId) -> JobRecord {
        self.until(id, |job| job.state.is_terminal()).await
    }

    pub(crate) fn n_runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

pub(crate) fn run<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test());
}

pub(crate) fn code(job: &JobRecord) -> &str {
    job.error.as_ref().map_or("", |e| e.code.as_str())
}
