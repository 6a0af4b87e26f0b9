//! Running attempts: what they leave behind, and that only the holder of the lease leaves anything.

use std::time::Duration;

use adaptd::records::{Intent, JobState, Progress};
use adaptd::store::Lease;
use serde_json::json;

use super::fixtures::{LEASE, databases, error, lease, tenant, with_model, without_model};

#[test]
fn a_success_leaves_everything_at_once() {
    databases(|db| async move {
        let job = db.running().await;
        assert_eq!((job.state, job.attempt, job.started_at), (JobState::Running, 1, Some(db.now())));
        db.clock.advance(Duration::from_secs(1));
        let end = db.store.complete(lease(&job), with_model("churn", db.now()), db.now()).await.unwrap();
        assert_eq!(end, Some(JobState::Succeeded));
        let job = db.job(job.id).await;
        assert_eq!((job.state, job.finished_at, job.error), (JobState::Succeeded, Some(db.now()), None));
        assert_eq!(job.result, Some(json!({"model": "churn@1"})));
        assert_eq!(db.store.metrics(&tenant(), job.id).await.unwrap(), Some(json!({"accuracy": 0.5})));
        let version = db.store.model_version(&tenant(), &"churn".parse().unwrap(), None).await.unwrap().unwrap();
        assert_eq!((version.version, version.job, version.n_bytes), (1, job.id, 7));
        assert_eq!(db.told(job.id).await, ["queued", "running", "succeeded"]);
        let last = db.events(job.id).await.pop().unwrap();
        assert_eq!(last.data, json!({"state": "succeeded", "terminal": true, "model": "churn@1", "attempt": 1}));
    });
}

#[test]
fn a_name_used_again_gets_the_next_version() {
    databases(|db| async move {
        for expected in ["m@1", "m@2", "m@3"] {
            let job = db.running().await;
            db.store.complete(lease(&job), with_model("m", db.now()), db.now()).await.unwrap();
            assert_eq!(db.job(job.id).await.result, Some(json!({"model": expected})));
        }
        let named = "m".parse().unwrap();
        let model = db.store.model(&tenant(), &named).await.unwrap().unwrap();
        assert_eq!(model.latest_version, 3);
        let second = db.store.model_version(&tenant(), &named, Some(2)).await.unwrap().unwrap();
        assert_eq!((second.model, second.version), (model.id, 2));
        assert_eq!(db.store.model_version(&tenant(), &named, Some(4)).await.unwrap(), None);
        let by_id = adaptd::records::Reference::Id(model.id);
        assert_eq!(db.store.model(&tenant(), &by_id).await.unwrap(), Some(model));
    });
}

#[test]
fn a_stale_lease_changes_nothing() {
    databases(|db| async move {
        let job = db.running().await;
        let stale = lease(&job);
        db.store.rescue_all(db.now(), 3).await.unwrap();
        let again = db.claim().await.unwrap();
        assert_eq!((again.id, again.lease_token), (job.id, stale.token + 2));
        let before = (db.job(job.id).await, db.events(job.id).await);

        let (store, now) = (&db.store, db.now());
        assert!(!store.checkpoint(stale, "c0ffee", json!({}), now).await.unwrap());
        let until = now.plus(LEASE);
        let progress = Some(Progress { fraction: 0.9, ..Progress::default() });
        for stale in [stale, Lease { token: stale.token + 1, ..stale }, Lease { token: stale.token + 3, ..stale }] {
            assert_eq!(store.heartbeat(stale, progress.clone(), now, until).await.unwrap(), None);
            assert!(!store.append_event(stale, "phase", json!({}), now).await.unwrap());
            assert_eq!(store.complete(stale, with_model("m", now), now).await.unwrap(), None);
            assert_eq!(store.fail(stale, error("job.panic", true, 1), LEASE, now).await.unwrap(), None);
            assert_eq!(store.release(stale, now).await.unwrap(), None);
        }
        assert_eq!((db.job(job.id).await, db.events(job.id).await), before);
        assert_eq!(store.metrics(&tenant(), job.id).await.unwrap(), None);
        assert_eq!(store.model(&tenant(), &"m".parse().unwrap()).await.unwrap(), None);
        assert_eq!(store.complete(lease(&again), without_model(), now).await.unwrap(), Some(JobState::Succeeded));
        // Nor does a lease outlive the job.
        assert_eq!(store.complete(lease(&again), with_model("m", now), now).await.unwrap(), None);
    });
}

#[test]
fn a_heartbeat_keeps_progress_and_tells_what_was_asked() {
    databases(|db| async move {
        let job = db.running().await;
        let progress = Progress { fraction: 0.25, phase: "fit".into(), step: 5, total_steps: Some(20) };
        let beat =
            async |progress| db.store.heartbeat(lease(&job), progress, db.now(), db.now().plus(LEASE)).await.unwrap();
        assert_eq!(beat(Some(progress.clone())).await, Some(Intent::default()));
        assert_eq!(beat(None).await, Some(Intent::default()));
        assert_eq!(db.job(job.id).await.progress, Some(progress));
        db.store.cancel_job(&tenant(), job.id, db.now()).await.unwrap();
        assert_eq!(beat(None).await, Some(Intent { cancel: true, pause: false }));
    });
}

#[test]
fn a_retryable_failure_waits_and_the_attempts_are_bounded() {
    databases(|db| async move {
        let mut job = db.running().await;
        for attempt in 1..3 {
            let failed = error("job.io_error", true, attempt);
            let end = db.store.fail(lease(&job), failed.clone(), Duration::from_secs(9), db.now()).await.unwrap();
            assert_eq!(end, Some(JobState::Queued));
            assert_eq!(db.job(job.id).await.error, Some(failed));
            db.clock.advance(Duration::from_millis(8_999));
            assert_eq!(db.claim().await, None);
            db.clock.advance(Duration::from_millis(1));
            job = db.claim().await.unwrap();
            assert_eq!(job.attempt, attempt + 1);
        }
        let end = db.store.fail(lease(&job), error("job.io_error", true, 3), LEASE, db.now()).await.unwrap();
        assert_eq!(end, Some(JobState::Failed));
        assert_eq!(db.told(job.id).await, ["queued", "running", "queued", "running", "queued", "running", "failed"]);
        let last = db.events(job.id).await.pop().unwrap();
        assert_eq!((&last.data["terminal"], &last.data["error"]["code"]), (&json!(true), &json!("job.io_error")));
    });
}

#[test]
fn other_failures_end_the_job_and_a_cancel_goes_before_a_failure() {
    databases(|db| async move {
        let job = db.running().await;
        let end = db.store.fail(lease(&job), error("job.data_degenerate", false, 1), LEASE, db.now()).await.unwrap();
        assert_eq!(end, Some(JobState::Failed));

        for retryable in [true, false] {
            let job = db.running().await;
            db.store.cancel_job(&tenant(), job.id, db.now()).await.unwrap();
            let end = db.store.fail(lease(&job), error("job.panic", retryable, 1), LEASE, db.now()).await.unwrap();
            assert_eq!(end, Some(JobState::Cancelled));
            assert_eq!(db.job(job.id).await.error.map(|e| e.code), Some("job.cancelled".into()));
        }
    });
}

#[test]
fn a_release_does_not_consume_the_attempt() {
    databases(|db| async move {
        let job = db.running().await;
        db.clock.advance(Duration::from_secs(20));
        assert_eq!(db.store.release(lease(&job), db.now()).await.unwrap(), Some(JobState::Queued));
        let released = db.job(job.id).await;
        assert_eq!((released.attempt, released.crash_count, released.error), (0, 0, None));
        let job = db.claim().await.unwrap();
        assert_eq!(job.attempt, 1);
        db.store.cancel_job(&tenant(), job.id, db.now()).await.unwrap();
        assert_eq!(db.store.release(lease(&job), db.now()).await.unwrap(), Some(JobState::Cancelled));
    });
}

#[test]
fn a_job_that_brings_the_process_down_is_given_up() {
    databases(|db| async move {
        let mut job = db.running().await;
        for crashes in 1..=3 {
            db.clock.advance(Duration::from_secs(5));
            db.store.heartbeat(lease(&job), None, db.now(), db.now().plus(LEASE)).await.unwrap();
            let rescued = db.store.rescue_all(db.now(), 3).await.unwrap();
            let state = if crashes == 3 { JobState::Failed } else { JobState::Queued };
            assert_eq!(rescued, [(job.id, state)]);
            let now = db.job(job.id).await;
            assert_eq!((now.crash_count, now.attempt), (crashes, 0));
            let lost = now.error.unwrap();
            assert_eq!((lost.code.as_str(), lost.retryable, lost.attempt), ("job.worker_lost", true, 1));
            if state == JobState::Queued {
                job = db.claim().await.unwrap();
            }
        }
        assert_eq!(db.store.rescue_all(db.now(), 3).await.unwrap(), []);
    });
}

#[test]
fn a_short_attempt_is_blamed_only_for_the_second_crash_in_a_row() {
    databases(|db| async move {
        let job = db.running().await;
        // A long time without the service is not a long attempt.
        db.clock.advance(Duration::from_secs(3_600));
        let crash = async || {
            db.store.rescue_all(db.now(), 9).await.unwrap();
            db.job(job.id).await.crash_count
        };
        assert_eq!(crash().await, 0);
        db.claim().await.unwrap();
        assert_eq!(crash().await, 1);
        let again = db.claim().await.unwrap();
        db.store.release(lease(&again), db.now()).await.unwrap();
        db.claim().await.unwrap();
        assert_eq!(crash().await, 1);
        db.claim().await.unwrap();
        db.store.cancel_job(&tenant(), job.id, db.now()).await.unwrap();
        assert_eq!(db.store.rescue_all(db.now(), 9).await.unwrap(), [(job.id, JobState::Cancelled)]);
    });
}

#[test]
fn what_waits_past_its_deadline_fails() {
    databases(|db| async move {
        let deadline_at = Some(db.now().plus(Duration::from_secs(10)));
        let late = db.create(adaptd::records::NewJob { deadline_at, ..db.new_job() }).await;
        let free = db.create(db.new_job()).await;
        db.clock.advance(Duration::from_secs(10));
        assert_eq!(db.store.expire(db.now()).await.unwrap(), []);
        db.clock.advance(Duration::from_millis(1));
        assert_eq!(db.store.expire(db.now()).await.unwrap(), [late.id]);
        let late = db.job(late.id).await;
        assert_eq!((late.state, late.error.map(|e| e.code)), (JobState::Failed, Some("job.deadline_exceeded".into())));
        assert_eq!(db.told(late.id).await, ["queued", "failed"]);
        assert_eq!(db.job(free.id).await.state, JobState::Queued);
    });
}
