//! Attempts that offer state: it is kept, a pause and a shutdown wait for it, and the next attempt is given it.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use adaptation::context::Observer as _;
use adaptd::records::JobState;
use adaptd::worker::WorkerOptions;

use super::fixtures::{Service, options, run, serve};
use crate::store::fixtures::{sqlite, tenant, without_model};

/// Counts to `end`, offers each number as its state, and waits for a word before each step.
async fn counting(options: WorkerOptions, end: usize) -> (Service, mpsc::Sender<()>, Arc<Mutex<Vec<String>>>) {
    let (go, steps) = mpsc::channel();
    let steps = Arc::new(Mutex::new(steps));
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = log.clone();
    let service = serve(sqlite().await, options, move |job, handle| {
        let (steps, lines) = (steps.clone(), lines.clone());
        async move {
            if let Some(checkpoint) = job.checkpoint {
                handle.resume_from(checkpoint.into_bytes());
            }
            let inside = handle.clone();
            handle
                .compute(move || {
                    let before: usize =
                        inside.resume().map_or(0, |state| String::from_utf8(state).unwrap().parse().unwrap());
                    for n in before + 1..=end {
                        let _ = steps.lock().unwrap().recv();
                        lines.lock().unwrap().push(n.to_string());
                        inside.checkpoint(&|| n.to_string().into_bytes());
                        if inside.check().is_err() {
                            return;
                        }
                    }
                })
                .await?;
            Ok(without_model())
        }
    });
    (service.await, go, log)
}

fn seldom() -> WorkerOptions {
    WorkerOptions { checkpoint_every: Duration::from_secs(3600), ..options(1) }
}

#[test]
fn a_pause_waits_for_the_next_checkpoint_and_the_job_goes_on_from_it() {
    run(|| async {
        let (mut service, go, log) = counting(seldom(), 3).await;
        let id = service.add().await;
        service.until(id, |job| job.state == JobState::Running).await;
        // The first offer tells that there will be others; nobody wants it.
        go.send(()).unwrap();
        while log.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        service.db.store.pause_job(&tenant(), id, service.db.now()).await.unwrap();
        assert_eq!(service.db.job(id).await.state, JobState::Running, "not before there is a state to go on from");
        // Asked for at the second step, or at the third where the pause came late: both are kept.
        go.send(()).unwrap();
        let job = loop {
            let job = service.db.job(id).await;
            if job.state != JobState::Running {
                break job;
            }
            go.send(()).unwrap();
            tokio::time::timeout(Duration::from_millis(50), service.changes.recv()).await.ok();
        };
        if job.state == JobState::Succeeded {
            return; // All three steps were done before the worker heard of it.
        }
        assert_eq!((job.state, job.attempt), (JobState::Paused, 0));
        let kept: usize = job.checkpoint.expect("a checkpoint").parse().unwrap();
        service.db.store.resume_job(&tenant(), id, service.db.now()).await.unwrap();
        for _ in 0..3 {
            go.send(()).unwrap();
        }
        assert_eq!(service.ended(id).await.state, JobState::Succeeded);
        let log = log.lock().unwrap().clone();
        assert!(log.len() <= 4 && log.iter().filter(|n| **n <= kept.to_string()).count() <= kept + 1, "{log:?}");
    });
}

#[test]
fn a_job_that_offers_nothing_is_paused_at_once() {
    run(|| async {
        let (mut service, mut gate) = super::fixtures::gated(1).await;
        let id = service.add().await;
        let inside = gate.entered.recv().await.unwrap();
        service.db.store.pause_job(&tenant(), id, service.db.now()).await.unwrap();
        let job = service.until(id, |job| job.state == JobState::Paused).await;
        assert_eq!((job.attempt, job.checkpoint), (0, None));
        assert!(inside.check().is_err(), "its computation is told to stop");
        drop(inside);
        gate.release.send(()).unwrap();
        service.db.store.resume_job(&tenant(), id, service.db.now()).await.unwrap();
        gate.entered.recv().await.unwrap();
        gate.release.send(()).unwrap();
        assert_eq!(service.ended(id).await.state, JobState::Succeeded);
    });
}

#[test]
fn checkpoints_are_kept_while_a_job_runs_and_a_crash_goes_back_to_the_last() {
    run(|| async {
        let often = WorkerOptions { checkpoint_every: Duration::ZERO, ..options(1) };
        let (mut service, go, log) = counting(often, 3).await;
        let id = service.add().await;
        go.send(()).unwrap();
        let job = service.until(id, |job| job.checkpoint.as_deref() == Some("1")).await;
        assert_eq!(job.state, JobState::Running);
        // As if the process had gone: another takes the row, and the attempt that hangs is fenced.
        service.db.store.rescue_all(service.db.now(), 3).await.unwrap();
        for _ in 0..4 {
            go.send(()).unwrap();
        }
        assert_eq!(service.ended(id).await.state, JobState::Succeeded);
        let log = log.lock().unwrap().clone();
        assert_eq!(log.iter().filter(|n| *n == "1").count(), 1, "what was kept is not done again: {log:?}");
    });
}

#[test]
fn a_shutdown_takes_a_checkpoint_with_it() {
    run(|| async {
        let (service, go, log) = counting(seldom(), usize::MAX).await;
        let id = service.add().await;
        go.send(()).unwrap();
        while log.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let db = service.db;
        let stopping = service.workers.shutdown(Duration::from_secs(8));
        // It goes on until it is stopped: some step comes after the asking.
        let stepping = async {
            while go.send(()).is_ok() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        futures::future::select(std::pin::pin!(stopping), std::pin::pin!(stepping)).await;
        let job = db.job(id).await;
        assert_eq!((job.state, job.attempt, job.crash_count), (JobState::Queued, 0, 0));
        let kept: usize = job.checkpoint.expect("the state at a step after the asking").parse().unwrap();
        assert!(kept > 1 && kept <= log.lock().unwrap().len(), "{kept}");
    });
}

#[test]
fn jobs_wait_for_their_share_of_the_memory() {
    run(|| async {
        let options = WorkerOptions { memory_bytes: 100, ..options(2) };
        let (gate, door) = super::fixtures::gate();
        let mut gate = gate;
        let mut service = serve(sqlite().await, options, move |_, handle| {
            let door = door.clone();
            async move {
                let inside = handle.clone();
                handle
                    .compute(move || {
                        inside.admit(60)?;
                        door.pass(inside);
                        Ok::<_, adaptation::context::FitError>(())
                    })
                    .await?
                    .map_err(|e| adaptd::worker::errors::job_error(e.code(), e.to_string()))?;
                Ok(without_model())
            }
        })
        .await;
        let (first, second) = (service.add().await, service.add().await);
        gate.entered.recv().await.unwrap();
        let waits = service.until(second, |job| job.progress.as_ref().is_some_and(|p| p.phase == "waiting_for_memory"));
        let waiting = waits.await;
        assert_eq!(waiting.state, JobState::Running);
        assert!(gate.entered.try_recv().is_err(), "two shares of sixty are more than a hundred");
        gate.release.send(()).unwrap();
        gate.entered.recv().await.unwrap();
        gate.release.send(()).unwrap();
        for id in [first, second] {
            assert_eq!(service.ended(id).await.state, JobState::Succeeded);
        }
    });
}
