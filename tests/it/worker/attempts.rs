//! Attempts that run: what they leave behind while they run and after.

use std::sync::Arc;
use std::time::Duration;

use adaptation::context::{Observer as _, Report};
use adaptd::records::{Intent, JobId, JobState, NewJob};
use adaptd::worker::WorkerOptions;
use adaptd::worker::errors::job_error;
use serde_json::json;

use super::fixtures::{code, gate, gated, options, run, serve};
use crate::store::fixtures::{LEASE, lease, sqlite, with_model, without_model};

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
            assert!(inside > before || before == 19, "{inside} {before}");
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
        let job = service.until(id, |job| job.progress.as_ref().is_some_and(|p| p.step == 2)).await;
        let progress = job.progress.unwrap();
        assert_eq!((progress.fraction, progress.phase.as_str()), (0.25, "fit"));
        assert_eq!((progress.step, progress.total_steps), (2, Some(4)));
        gate.release.send(()).unwrap();
        let progress = service.ended(id).await.progress.unwrap();
        assert_eq!((progress.fraction, progress.phase.as_str()), (1.0, "score"));
        let events = service.db.events(id).await;
        let of = |kind: &str| events.iter().filter(|e| e.event == kind).map(|e| &e.data).collect::<Vec<_>>();
        let phases: Vec<_> = of("phase").into_iter().map(|data| &data["phase"]).collect();
        assert_eq!(phases, ["fit", "score"]);
        // One event or two: a heartbeat may fall between the reports.
        let last = |name| of("metrics").into_iter().filter_map(|data| data["metrics"].get(name)).next_back();
        assert_eq!((last("train.loss"), last("broken")), (Some(&json!(0.5)), Some(&json!(null))));
        assert_eq!(service.db.told(id).await, ["queued", "running", "succeeded"]);
    });
}
