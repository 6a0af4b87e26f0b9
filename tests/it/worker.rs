//! The workers, with runners that do what the test tells them: channels say when, nothing sleeps.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use adaptation::context::{Observer as _, Report};
use adaptd::records::{Intent, JobError, JobId, JobRecord, JobState, NewJob};
use adaptd::store::{Committed, Completion};
use adaptd::worker::errors::{DATA_DEGENERATE, IO_ERROR, job_error};
use adaptd::worker::{AttemptHandle, Runner, WorkerOptions, Workers};
use async_trait::async_trait;
use futures::future::BoxFuture;
use serde_json::json;
use tokio::sync::broadcast;

use crate::store::fixtures::{Database, LEASE, lease, reopen, sqlite, tenant, with_model, without_model};

type Outcome = Result<Completion, JobError>;
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
}

/// A computation that hangs, as a long decomposition does, until it is let go.
struct Gate {
    entered: tokio::sync::mpsc::UnboundedReceiver<AttemptHandle>,
    release: mpsc::Sender<()>,
}

/// The inside of a [`Gate`].
#[derive(Clone)]
struct Door {
    enter: tokio::sync::mpsc::UnboundedSender<AttemptHandle>,
    released: Arc<Mutex<mpsc::Receiver<()>>>,
}

fn gate() -> (Gate, Door) {
    let (enter, entered) = tokio::sync::mpsc::unbounded_channel();
    let (release, released) = mpsc::channel();
    (Gate { entered, release }, Door { enter, released: Arc::new(Mutex::new(released)) })
}

impl Door {
    fn pass(&self, handle: AttemptHandle) {
        self.enter.send(handle).unwrap();
        // An error means that the test is over.
        let _ = self.released.lock().unwrap().recv();
    }
}

struct Service {
    db: Database,
    workers: Workers,
    runs: Arc<AtomicUsize>,
    changes: broadcast::Receiver<Committed>,
}

fn options(job_threads: usize) -> WorkerOptions {
    WorkerOptions {
        job_threads,
        heartbeat_every: Duration::from_millis(10),
        sweep_every: Duration::from_millis(10),
        commit_retry: Duration::from_millis(1),
        ..WorkerOptions::default()
    }
}

async fn serve<F>(
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
async fn gated(job_threads: usize) -> (Service, Gate) {
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
    async fn add(&self) -> JobId {
        self.db.create(self.db.new_job()).await.id
    }

    /// Waits until the job is as it should be.
    async fn until(&mut self, id: JobId, what: impl Fn(&JobRecord) -> bool) -> JobRecord {
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

    async fn ended(&mut self, id: JobId) -> JobRecord {
        self.until(id, |job| job.state.is_terminal()).await
    }

    fn n_runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }
}

fn run<F: Future<Output = ()>>(test: impl FnOnce() -> F) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test());
}

fn code(job: &JobRecord) -> &str {
    job.error.as_ref().map_or("", |e| e.code.as_str())
}

#[test]
fn a_job_is_run_and_its_model_is_stored() {
    run(|| async {
        let service = serve(sqlite().await, options(2), |job, handle| async move {
            let name = handle.compute(|| std::thread::current().name().unwrap().to_owned()).await?;
            assert!(name.starts_with("adaptd-job-"), "{name}");
            Ok(with_model("m", job.created_at))
        });
        let mut service = service.await;
        let ids = [service.add().await, service.add().await, service.add().await];
        for id in ids {
            let job = service.ended(id).await;
            assert_eq!((job.state, job.attempt), (JobState::Succeeded, 1));
            assert_eq!(service.db.told(id).await, ["queued", "running", "succeeded"]);
        }
        assert_eq!(service.n_runs(), 3);
        service.workers.shutdown(Duration::from_secs(8)).await;
    });
}

#[test]
#[cfg(target_os = "linux")]
fn computations_give_way_to_requests_and_stay_on_their_threads() {
    run(|| async {
        let service = serve(sqlite().await, options(2), |_, handle| async move {
            let before = rustix::process::getpriority_process(None).unwrap();
            let (inside, n_threads) = handle
                .compute(|| (rustix::process::getpriority_process(None).unwrap(), rayon::current_num_threads()))
                .await?;
            assert!(inside > before, "{inside} {before}");
            assert_eq!(n_threads, 2, "a lone job has all the threads");
            Ok(without_model())
        });
        let mut service = service.await;
        // The second runs after the first, alone again.
        for _ in 0..2 {
            let id = service.add().await;
            assert_eq!(service.ended(id).await.state, JobState::Succeeded);
        }
    });
}

#[test]
fn a_cancel_ends_the_record_at_once_and_the_slot_when_the_computation_returns() {
    run(|| async {
        let (mut service, mut gate) = gated(1).await;
        let stuck = service.add().await;
        let inside = gate.entered.recv().await.unwrap();
        assert_eq!(inside.check(), Ok(()));
        let next = service.add().await;
        service.db.store.cancel_job(&tenant(), stuck, service.db.now()).await.unwrap();
        let job = service.ended(stuck).await;
        assert_eq!((job.state, code(&job)), (JobState::Cancelled, "job.cancelled"));
        assert!(inside.check().is_err());
        drop(inside);
        // The computation still hangs: the next job waits for its place.
        assert_eq!((service.n_runs(), service.db.job(next).await.state), (1, JobState::Queued));
        gate.release.send(()).unwrap();
        let inside = gate.entered.recv().await.unwrap();
        assert_eq!(inside.check(), Ok(()));
        gate.release.send(()).unwrap();
        assert_eq!(service.ended(next).await.state, JobState::Succeeded);
        assert_eq!(service.db.told(stuck).await, ["queued", "running", "cancelled"]);
    });
}

#[test]
fn a_job_cancelled_while_it_waits_never_runs() {
    run(|| async {
        let (mut service, mut gate) = gated(1).await;
        let first = service.add().await;
        gate.entered.recv().await.unwrap();
        let waiting = service.add().await;
        service.db.store.cancel_job(&tenant(), waiting, service.db.now()).await.unwrap();
        let last = service.add().await;
        for _ in 0..2 {
            gate.release.send(()).unwrap();
        }
        for id in [first, last] {
            assert_eq!(service.ended(id).await.state, JobState::Succeeded);
        }
        assert_eq!(service.db.job(waiting).await.state, JobState::Cancelled);
        assert_eq!(service.n_runs(), 2);
    });
}

#[test]
fn a_panic_is_tried_once_more() {
    run(|| async {
        let service = serve(sqlite().await, options(1), |job, handle| async move {
            if job.spec["where"] == "outside" {
                panic!("a planned panic");
            }
            handle.compute(|| panic!("a planned panic")).await
        });
        let mut service = service.await;
        for place in ["inside", "outside"] {
            let new = NewJob { spec: json!({"where": place}), ..service.db.new_job() };
            let id = service.db.create(new).await.id;
            let waiting = service.until(id, |job| job.error.is_some()).await;
            assert_eq!((waiting.state, waiting.attempt, code(&waiting)), (JobState::Queued, 1, "job.panic"));
            service.db.clock.advance(Duration::from_secs(600));
            service.workers.wake();
            let job = service.ended(id).await;
            assert_eq!((job.state, job.attempt, code(&job)), (JobState::Failed, 2, "job.panic"));
            assert_eq!(job.error.map(|e| e.attempt), Some(2));
        }
    });
}

#[test]
fn a_failure_that_may_go_away_is_tried_again_after_its_delay() {
    run(|| async {
        let service = serve(sqlite().await, options(1), |job, _| async move {
            if job.attempt == 1 { Err(job_error(IO_ERROR, "no blob")) } else { Ok(without_model()) }
        });
        let mut service = service.await;
        let id = service.add().await;
        let waiting = service.until(id, |job| job.error.is_some()).await;
        let delay = waiting.run_at.since(service.db.now());
        assert!(!delay.is_zero() && delay <= Duration::from_secs(10), "{delay:?}");
        // Another job is run to its end meanwhile: this one is passed over.
        let fails = serve_once_more(&mut service).await;
        assert_eq!((fails.state, service.db.job(id).await.attempt), (JobState::Queued, 1));
        service.db.clock.advance(Duration::from_secs(10));
        service.workers.wake();
        let job = service.ended(id).await;
        assert_eq!((job.state, job.attempt, job.error), (JobState::Succeeded, 2, None));
    });
}

async fn serve_once_more(service: &mut Service) -> JobRecord {
    let id = service.add().await;
    service.until(id, |job| job.error.is_some()).await
}

#[test]
fn a_failure_of_the_data_is_final() {
    run(|| async {
        let service = serve(sqlite().await, options(1), |_, _| async {
            Err(job_error(DATA_DEGENERATE, "column 'income' is constant"))
        });
        let mut service = service.await;
        let id = service.add().await;
        let job = service.ended(id).await;
        assert_eq!((job.state, job.attempt, code(&job)), (JobState::Failed, 1, "job.data_degenerate"));
    });
}

#[test]
fn a_shutdown_gives_running_jobs_back() {
    run(|| async {
        let (service, mut gate) = gated(2).await;
        let running = [service.add().await, service.add().await];
        let inside = [gate.entered.recv().await.unwrap(), gate.entered.recv().await.unwrap()];
        let waiting = service.add().await;
        service.workers.shutdown(Duration::from_secs(8)).await;
        assert!(inside.iter().all(|handle| handle.check().is_err()));
        for id in running {
            let job = service.db.job(id).await;
            assert_eq!((job.state, job.attempt, job.crash_count), (JobState::Queued, 0, 0));
            assert_eq!(service.db.told(id).await, ["queued", "running", "queued"]);
        }
        assert_eq!(service.db.job(waiting).await.lease_token, 0);
    });
}

#[test]
fn a_deadline_stops_a_computation_that_listens() {
    run(|| async {
        let clock_moved = Arc::new(tokio::sync::Notify::new());
        let moved = clock_moved.clone();
        // Without heartbeats in the way: the computation itself sees that its time is over.
        let options = WorkerOptions { heartbeat_every: Duration::from_secs(3_600), ..options(1) };
        let service = serve(sqlite().await, options, move |_, handle| {
            let moved = moved.clone();
            async move {
                handle.check().map_err(|e| job_error(e.code(), e.to_string()))?;
                moved.notified().await;
                handle.check().map_err(|e| job_error(e.code(), e.to_string()))?;
                Ok(without_model())
            }
        });
        let mut service = service.await;
        let deadline_at = Some(service.db.now().plus(Duration::from_secs(60)));
        let id = service.db.create(NewJob { deadline_at, ..service.db.new_job() }).await.id;
        service.until(id, |job| job.state == JobState::Running).await;
        service.db.clock.advance(Duration::from_secs(60));
        clock_moved.notify_one();
        let job = service.ended(id).await;
        assert_eq!((job.state, code(&job)), (JobState::Failed, "job.deadline_exceeded"));
    });
}

#[test]
fn a_deadline_ends_the_record_of_a_computation_that_hangs() {
    run(|| async {
        let (mut service, mut gate) = gated(1).await;
        let deadline_at = Some(service.db.now().plus(Duration::from_secs(60)));
        let late = NewJob { deadline_at, ..service.db.new_job() };
        let running = service.db.create(late.clone()).await.id;
        gate.entered.recv().await.unwrap();
        let waiting = service.db.create(NewJob { id: JobId::at(service.db.now()), ..late }).await.id;
        service.db.clock.advance(Duration::from_secs(61));
        for id in [running, waiting] {
            let job = service.ended(id).await;
            assert_eq!((job.state, code(&job)), (JobState::Failed, "job.deadline_exceeded"));
        }
    });
}

#[test]
fn an_attempt_that_lost_its_lease_writes_nothing() {
    run(|| async {
        let (mut service, mut gate) = gated(1).await;
        let id = service.add().await;
        let inside = gate.entered.recv().await.unwrap();
        // As another process would: take the job, and run it.
        service.db.store.rescue_all(service.db.now(), 9).await.unwrap();
        let taken = service.db.claim().await.unwrap();
        assert_eq!(taken.id, id);
        while inside.check().is_ok() {
            tokio::task::yield_now().await;
        }
        drop(inside);
        gate.release.send(()).unwrap();
        // The place is free again, so the attempt is over.
        let other = service.add().await;
        gate.entered.recv().await.unwrap();
        gate.release.send(()).unwrap();
        service.ended(other).await;
        assert_eq!(service.db.job(id).await.state, JobState::Running);
        assert_eq!(service.db.told(id).await, ["queued", "running", "queued", "running"]);
        let until = service.db.now().plus(LEASE);
        let held = service.db.store.heartbeat(lease(&taken), None, service.db.now(), until).await.unwrap();
        assert_eq!(held, Some(Intent::default()));
    });
}

#[test]
fn progress_and_events_are_told_while_the_job_runs() {
    run(|| async {
        let (mut gate, door) = gate();
        let service = serve(sqlite().await, options(1), move |_, handle| {
            let door = door.clone();
            async move {
                let inside = handle.clone();
                let work = move || {
                    inside.window(0.0..=0.5);
                    inside.report(Report::Phase("fit"));
                    inside.report(Report::Step { step: 1, total: Some(4) });
                    inside.report(Report::Step { step: 2, total: Some(4) });
                    inside.report(Report::Metric { name: "train.loss", value: 0.5 });
                    inside.report(Report::Metric { name: "broken", value: f64::NAN });
                    door.pass(inside.clone());
                    inside.window(0.5..=1.0);
                    inside.report(Report::Phase("score"));
                };
                handle.compute(work).await?;
                Ok(without_model())
            }
        });
        let mut service = service.await;
        let id = service.add().await;
        gate.entered.recv().await.unwrap();
        let job = service.until(id, |job| job.progress.is_some()).await;
        let progress = job.progress.unwrap();
        assert_eq!((progress.fraction, progress.phase.as_str()), (0.25, "fit"));
        assert_eq!((progress.step, progress.total_steps), (2, Some(4)));
        gate.release.send(()).unwrap();
        let job = service.ended(id).await;
        assert_eq!(job.progress.map(|p| p.fraction), Some(1.0));
        let events = service.db.events(id).await;
        let told: Vec<_> = events.iter().filter(|e| e.event != "state").map(|e| (e.event.as_str(), &e.data)).collect();
        let fit = json!({"phase": "fit", "fraction": 0.25});
        let metrics = json!({"step": 2, "metrics": {"train.loss": 0.5, "broken": null}});
        let score = json!({"phase": "score", "fraction": 0.25});
        assert_eq!(told, [("phase", &fit), ("metrics", &metrics), ("phase", &score)]);
        assert_eq!(service.db.told(id).await, ["queued", "running", "succeeded"]);
    });
}

#[test]
fn what_a_process_before_left_running_is_run_again() {
    run(|| async {
        let db = sqlite().await;
        let orphan = db.running().await;
        let mut service = serve(db, options(1), |_, _| async { Ok(without_model()) }).await;
        let job = service.ended(orphan.id).await;
        assert_eq!((job.state, job.attempt, job.crash_count), (JobState::Succeeded, 1, 0));
        assert_eq!(service.db.told(orphan.id).await, ["queued", "running", "queued", "running", "succeeded"]);
    });
}

#[test]
fn an_end_that_cannot_be_stored_is_left_to_the_next_start() {
    run(|| async {
        let (service, mut gate) = gated(1).await;
        let id = service.add().await;
        gate.entered.recv().await.unwrap();
        service.db.store.close().await;
        gate.release.send(()).unwrap();
        let Service { mut db, workers, .. } = service;
        workers.shutdown(Duration::from_secs(8)).await;
        db.store = reopen(&db.folder).await;
        assert_eq!(db.job(id).await.state, JobState::Running);
        let mut service = serve(db, options(1), |_, _| async { Ok(without_model()) }).await;
        assert_eq!(service.ended(id).await.state, JobState::Succeeded);
    });
}
