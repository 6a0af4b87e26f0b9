//! What is asked of jobs: pause, resume, cancel of many and of families; and what a checkpoint keeps.

use std::time::Duration;

use adaptd::records::{JobId, JobState, NewJob};
use adaptd::store::{Cancellation, ClaimTerms, CreateLimits, Creation, EXPIRED_AT_ONCE, Pausing, TenantRecord};
use serde_json::json;

use super::fixtures::{Database, LIMITS, databases, error, lease, page, tenant, terms, without_model};

async fn pause(db: &Database, id: JobId) -> Pausing {
    db.store.pause_job(&tenant(), id, db.now()).await.unwrap()
}

async fn resume(db: &Database, id: JobId) -> Pausing {
    db.store.resume_job(&tenant(), id, db.now()).await.unwrap()
}

/// A parent of so many children, which are claimable in order.
async fn family(db: &Database, n: usize) -> (JobId, Vec<JobId>) {
    let children: Vec<NewJob> = (0..n).map(|_| db.new_job()).collect();
    let ids = children.iter().map(|c| c.id).collect();
    let parent = db.create(NewJob { children, ..db.new_job() }).await;
    assert_eq!((parent.n_children, parent.open_children), (n as i64, n as i64));
    (parent.id, ids)
}

#[test]
fn a_queued_job_is_paused_at_once_and_goes_on_when_it_is_told_to() {
    databases(|db| async move {
        let id = db.create(db.new_job()).await.id;
        assert!(matches!(pause(&db, id).await, Pausing::Accepted(job) if job.state == JobState::Paused));
        assert!(matches!(pause(&db, id).await, Pausing::Already(_)));
        assert_eq!(db.claim().await, None, "what is paused is not claimed");
        assert!(matches!(resume(&db, id).await, Pausing::Accepted(job) if job.state == JobState::Queued));
        assert!(matches!(resume(&db, id).await, Pausing::Already(_)));
        assert_eq!(db.claim().await.map(|job| job.id), Some(id));
        assert_eq!(db.told(id).await, ["queued", "paused", "queued", "running"]);
    });
}

#[test]
fn a_running_job_is_paused_when_its_worker_gives_it_back() {
    databases(|db| async move {
        let job = db.running().await;
        assert!(matches!(pause(&db, job.id).await, Pausing::Accepted(job) if job.state == JobState::Running));
        let beat = db.store.heartbeat(lease(&job), None, db.now(), db.now().plus(Duration::from_secs(15))).await;
        assert!(beat.unwrap().unwrap().pause);
        assert_eq!(db.store.release(lease(&job), db.now()).await.unwrap(), Some(JobState::Paused));
        assert_eq!(db.job(job.id).await.attempt, 0, "a pause is no attempt");
        resume(&db, job.id).await;
        let again = db.claim().await.unwrap();
        assert_eq!((again.id, again.attempt, again.pause_requested_at), (job.id, 1, None));
        // A pause that is taken back in time is none.
        pause(&db, job.id).await;
        resume(&db, job.id).await;
        assert_eq!(db.store.release(lease(&again), db.now()).await.unwrap(), Some(JobState::Queued));
    });
}

#[test]
fn what_has_ended_or_will_is_not_paused() {
    databases(|db| async move {
        let job = db.running().await;
        db.store.cancel_job(&tenant(), job.id, db.now()).await.unwrap();
        assert!(matches!(pause(&db, job.id).await, Pausing::BeingCancelled(_)));
        assert!(matches!(resume(&db, job.id).await, Pausing::BeingCancelled(_)));
        db.store.complete(lease(&job), without_model(), db.now()).await.unwrap();
        assert!(matches!(pause(&db, job.id).await, Pausing::AlreadyTerminal(_)));
        assert!(matches!(resume(&db, job.id).await, Pausing::AlreadyTerminal(_)));
        assert_eq!(pause(&db, JobId::at(db.now())).await, Pausing::NotFound);
    });
}

#[test]
fn a_paused_job_can_be_cancelled_and_passes_its_deadline() {
    databases(|db| async move {
        let cancelled = db.create(db.new_job()).await.id;
        pause(&db, cancelled).await;
        let answer = db.store.cancel_job(&tenant(), cancelled, db.now()).await.unwrap();
        assert!(matches!(answer, Cancellation::Accepted(job) if job.state == JobState::Cancelled));
        let deadline_at = Some(db.now().plus(Duration::from_secs(60)));
        let late = db.create(NewJob { deadline_at, ..db.new_job() }).await.id;
        pause(&db, late).await;
        db.clock.advance(Duration::from_secs(61));
        assert_eq!(db.store.expire(db.now()).await.unwrap(), [late]);
    });
}

#[test]
fn a_checkpoint_is_kept_through_every_loss_and_goes_at_the_end() {
    databases(|db| async move {
        let job = db.running().await;
        let keep = |job: &adaptd::records::JobRecord, blob: &'static str| {
            let (lease, now, store) = (lease(job), db.now(), db.store.clone());
            async move { store.checkpoint(lease, blob, json!({"fraction": 0.5}), now).await.unwrap() }
        };
        assert!(keep(&job, "c1").await);
        assert!(db.store.names_blob("c1").await.unwrap(), "it is not garbage");
        assert_eq!(db.store.release(lease(&job), db.now()).await.unwrap(), Some(JobState::Queued));
        assert!(!keep(&job, "c2").await, "a lost lease keeps nothing");

        let again = db.claim().await.unwrap();
        assert_eq!(again.checkpoint.as_deref(), Some("c1"));
        db.store.rescue_all(db.now(), 3).await.unwrap();
        let again = db.claim().await.unwrap();
        assert_eq!(again.checkpoint.as_deref(), Some("c1"));
        db.store.fail(lease(&again), error("job.io_error", true, 1), Duration::ZERO, db.now()).await.unwrap();
        let again = db.claim().await.unwrap();
        assert_eq!(again.checkpoint.as_deref(), Some("c1"));
        db.store.complete(lease(&again), without_model(), db.now()).await.unwrap();
        assert_eq!(db.job(job.id).await.checkpoint, None);
        assert!(!db.store.names_blob("c1").await.unwrap());
        let events = db.events(job.id).await;
        assert_eq!(events.iter().filter(|e| e.event == "checkpoint").count(), 1);
    });
}

#[test]
fn a_checkpoint_forgives_the_crashes_before_it() {
    databases(|db| async move {
        let created = db.create(db.new_job()).await;
        for round in 0..6 {
            let job = db.claim().await.unwrap();
            assert_eq!(job.id, created.id);
            if round % 2 == 1 {
                db.store.checkpoint(lease(&job), "c", json!({}), db.now()).await.unwrap();
                assert_eq!(db.job(job.id).await.crash_count, 0, "round {round}");
            }
            // Long enough that the crash is this job's.
            db.clock.advance(Duration::from_secs(6));
            let until = db.now().plus(Duration::from_secs(15));
            db.store.heartbeat(lease(&job), None, db.now(), until).await.unwrap();
            assert_eq!(db.store.rescue_all(db.now(), 3).await.unwrap(), [(job.id, JobState::Queued)]);
        }
        // Two more without a checkpoint are the second and third in a row.
        for expected in [JobState::Queued, JobState::Failed] {
            let job = db.claim().await.unwrap();
            db.clock.advance(Duration::from_secs(6));
            let until = db.now().plus(Duration::from_secs(15));
            db.store.heartbeat(lease(&job), None, db.now(), until).await.unwrap();
            assert_eq!(db.store.rescue_all(db.now(), 3).await.unwrap(), [(job.id, expected)]);
        }
    });
}

#[test]
fn a_parent_waits_for_its_children_and_is_told_of_each() {
    databases(|db| async move {
        let (parent, children) = family(&db, 3).await;
        for (i, child) in children.iter().enumerate() {
            let job = db.claim().await.unwrap();
            assert_eq!((job.id, job.parent), (*child, Some(parent)), "the parent is not claimed before");
            match i {
                0 => {
                    db.store.complete(lease(&job), without_model(), db.now()).await.unwrap();
                }
                1 => {
                    let failed = error("job.data_degenerate", false, 1);
                    db.store.fail(lease(&job), failed, Duration::ZERO, db.now()).await.unwrap();
                }
                _ => {
                    assert_eq!(db.claim().await, None, "only the parent is left, and it waits");
                    // A loss is no end.
                    db.store.rescue_all(db.now(), 3).await.unwrap();
                    assert_eq!(db.job(parent).await.open_children, 1);
                    db.store.cancel_job(&tenant(), *child, db.now()).await.unwrap();
                }
            }
            assert_eq!(db.job(parent).await.open_children, 2 - i as i64);
        }
        let gathering = db.claim().await.unwrap();
        assert_eq!(gathering.id, parent);
        db.store.complete(lease(&gathering), without_model(), db.now()).await.unwrap();
        let events = db.events(parent).await;
        let told: Vec<String> =
            events.iter().filter(|e| e.event == "child").map(|e| e.data["state"].to_string()).collect();
        assert_eq!(told, ["\"succeeded\"", "\"failed\"", "\"cancelled\""]);
        let filter = adaptd::records::JobFilter { parent: Some(parent), ..Default::default() };
        let listed = db.store.jobs(&tenant(), &filter, &page(10)).await.unwrap();
        assert_eq!(listed.iter().map(|j| j.id).rev().collect::<Vec<_>>(), children);
    });
}

#[test]
fn what_is_asked_of_a_parent_reaches_its_children() {
    databases(|db| async move {
        let (parent, children) = family(&db, 2).await;
        let running = db.claim().await.unwrap();
        assert_eq!(running.id, children[0]);
        pause(&db, parent).await;
        assert_eq!(db.job(parent).await.state, JobState::Paused);
        assert!(db.job(children[0]).await.pause_requested_at.is_some());
        assert_eq!(db.job(children[1]).await.state, JobState::Paused);
        assert_eq!(db.store.release(lease(&running), db.now()).await.unwrap(), Some(JobState::Paused));
        resume(&db, parent).await;
        for id in [parent, children[0], children[1]] {
            assert_eq!(db.job(id).await.state, JobState::Queued);
        }

        let running = db.claim().await.unwrap();
        let answer = db.store.cancel_job(&tenant(), parent, db.now()).await.unwrap();
        assert!(matches!(answer, Cancellation::Accepted(job) if job.state == JobState::Cancelled));
        assert_eq!(db.job(children[1]).await.state, JobState::Cancelled);
        assert!(db.job(running.id).await.cancel_requested_at.is_some());
        // Its success comes too late.
        let end = db.store.complete(lease(&running), without_model(), db.now()).await.unwrap();
        assert_eq!(end, Some(JobState::Cancelled));
        assert_eq!((db.job(parent).await.open_children, db.job(parent).await.state), (0, JobState::Cancelled));
        assert_eq!(db.claim().await, None);
    });
}

#[test]
fn a_family_is_accepted_as_a_whole_or_not_at_all() {
    databases(|db| async move {
        let children: Vec<NewJob> = (0..3).map(|_| db.new_job()).collect();
        let new = NewJob { children, ..db.new_job() };
        let tight = CreateLimits { max_queued: 3, ..LIMITS };
        assert_eq!(db.store.create_job(new.clone(), None, tight).await.unwrap(), Creation::QueueFull);
        let own = CreateLimits { max_queued_of_tenant: Some(3), ..LIMITS };
        assert_eq!(db.store.create_job(new.clone(), None, own).await.unwrap(), Creation::TenantQueueFull);
        assert_eq!(db.store.queue_depth().await.unwrap().queued, 0);
        let enough = CreateLimits { max_queued_of_tenant: Some(4), ..LIMITS };
        assert!(matches!(db.store.create_job(new, None, enough).await.unwrap(), Creation::Created(_)));
        assert_eq!(db.store.queue_depth().await.unwrap().queued, 4);
    });
}

#[test]
fn a_tenant_runs_no_more_jobs_than_it_may() {
    databases(|db| async move {
        for _ in 0..3 {
            db.create(db.new_job()).await;
        }
        let two = ClaimTerms { max_running_of_tenant: Some(2), ..terms() };
        let claim = async || db.store.claim(&two, db.now()).await.unwrap();
        let first = claim().await.unwrap();
        assert!(claim().await.is_some());
        assert_eq!(claim().await, None);
        db.store.complete(lease(&first), without_model(), db.now()).await.unwrap();
        assert!(claim().await.is_some());
    });
}

#[test]
fn a_tenant_may_have_bounds_of_its_own() {
    databases(|db| async move {
        let own = TenantRecord { id: tenant(), max_running: Some(1), max_queued: Some(2) };
        db.store.set_tenant(own.clone()).await.unwrap();
        assert_eq!(db.store.tenants().await.unwrap(), [own]);
        for _ in 0..2 {
            db.create(db.new_job()).await;
        }
        let third = db.store.create_job(db.new_job(), None, LIMITS).await.unwrap();
        assert_eq!(third, Creation::TenantQueueFull);
        assert!(db.claim().await.is_some());
        assert_eq!(db.claim().await, None);
    });
}

#[test]
fn deadlines_are_swept_in_steps() {
    databases(|db| async move {
        let deadline_at = Some(db.now().plus(Duration::from_secs(1)));
        let n = EXPIRED_AT_ONCE as usize + 5;
        let created = (0..n).map(|_| db.create(NewJob { deadline_at, ..db.new_job() }));
        futures::future::join_all(created).await;
        db.clock.advance(Duration::from_secs(2));
        let mut steps = Vec::new();
        loop {
            let expired = db.store.expire(db.now()).await.unwrap().len();
            if expired == 0 {
                break;
            }
            steps.push(expired);
        }
        assert_eq!(steps, [n - 5, 5]);
    });
}
