//! Attempts that fail, and whether they are tried again.

use std::time::Duration;

use adaptd::records::{JobRecord, JobState, NewJob};
use adaptd::worker::errors::{DATA_DEGENERATE, IO_ERROR, job_error};
use serde_json::json;

use super::fixtures::{Service, code, gated, options, run, serve};
use crate::store::fixtures::{reopen, sqlite, without_model};

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
