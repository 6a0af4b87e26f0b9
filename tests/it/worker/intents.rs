//! What ends an attempt from outside: a cancel, the shutdown, the end of the process.

use std::time::Duration;

use adaptation::context::Observer as _;
use adaptd::records::JobState;

use super::fixtures::{code, gated, options, run, serve};
use crate::store::fixtures::{sqlite, tenant, without_model};

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
