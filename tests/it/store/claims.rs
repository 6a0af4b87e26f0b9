//! The order of claims.

use std::time::Duration;

use adaptd::records::{JobError, JobId, NewJob, TenantId};
use adaptd::store::{COUNTED_QUEUE, CreateLimits};

use super::fixtures::{Database, databases, lease, tenant};

async fn add(db: &Database, priority: i64) -> JobId {
    db.clock.advance(Duration::from_millis(1));
    db.create(NewJob { priority, ..db.new_job() }).await.id
}

#[test]
fn claims_go_by_priority_then_first_in_first_out() {
    databases(|db| async move {
        let low = add(&db, -10).await;
        let first = add(&db, 0).await;
        let second = add(&db, 0).await;
        let high = add(&db, 10).await;
        for expected in [high, first, second, low] {
            assert_eq!(db.claim().await.map(|j| j.id), Some(expected));
        }
        assert_eq!(db.claim().await, None);
    });
}

#[test]
fn jobs_of_one_millisecond_are_claimed_as_they_came() {
    databases(|db| async move {
        let mut jobs = Vec::new();
        for _ in 0..20 {
            jobs.push(db.create(db.new_job()).await.id);
        }
        for expected in jobs {
            assert_eq!(db.claim().await.map(|j| j.id), Some(expected));
        }
    });
}

#[test]
fn a_job_goes_to_one_of_many_claimants() {
    databases(|db| async move {
        for _ in 0..20 {
            db.create(db.new_job()).await;
        }
        let claims = futures::future::join_all((0..40).map(|_| db.claim())).await;
        let mut ids: Vec<JobId> = claims.into_iter().flatten().map(|j| j.id).collect();
        assert_eq!(ids.len(), 20);
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 20);
    });
}

async fn position(db: &Database, id: JobId) -> Option<i64> {
    db.store.queue_position(&tenant(), id, db.now()).await.unwrap()
}

#[test]
fn places_in_the_queue_foretell_the_claims() {
    databases(|db| async move {
        let mut jobs = Vec::new();
        for priority in [0, -10, 5, 0, 5] {
            jobs.push(add(&db, priority).await);
        }
        let mut order = Vec::new();
        while order.len() < jobs.len() {
            let mut waiting = Vec::new();
            for id in &jobs {
                waiting.extend(position(&db, *id).await.map(|p| (p, *id)));
            }
            waiting.sort();
            let numbers: Vec<i64> = waiting.iter().map(|(p, _)| *p).collect();
            assert_eq!(numbers, (1..=(jobs.len() - order.len()) as i64).collect::<Vec<_>>());
            let claimed = db.claim().await.unwrap().id;
            assert_eq!(claimed, waiting[0].1);
            assert_eq!(position(&db, claimed).await, None);
            order.push(claimed);
        }
        let stranger = TenantId("somebody else".into());
        let job = add(&db, 0).await;
        assert_eq!(db.store.queue_position(&stranger, job, db.now()).await.unwrap(), None);
    });
}

#[test]
fn a_job_that_waits_for_its_time_has_no_place_yet() {
    databases(|db| async move {
        let backing_off = db.running().await;
        let error =
            JobError { code: "job.io_error".into(), message: "x".into(), retryable: true, pointer: None, attempt: 1 };
        let wait = Duration::from_secs(5);
        db.store.fail(lease(&backing_off), error, wait, db.now()).await.unwrap();
        let ready = add(&db, -10).await;
        assert_eq!((position(&db, backing_off.id).await, position(&db, ready).await), (None, Some(1)));
        db.clock.advance(wait);
        assert_eq!((position(&db, backing_off.id).await, position(&db, ready).await), (Some(1), Some(2)));
    });
}

#[test]
fn places_are_counted_as_far_as_is_cheap() {
    databases(|db| async move {
        let wide = CreateLimits { max_queued: i64::MAX, max_queued_of_tenant: None };
        let jobs: Vec<NewJob> = (0..=COUNTED_QUEUE).map(|_| db.new_job()).collect();
        let mut ids: Vec<JobId> = jobs.iter().map(|j| j.id).collect();
        ids.sort();
        // Together, so that they share commits.
        let created = jobs.into_iter().map(|new| db.store.create_job(new, None, wide));
        futures::future::try_join_all(created).await.unwrap();
        let last = ids[COUNTED_QUEUE as usize - 1];
        assert_eq!(position(&db, last).await, Some(i64::from(COUNTED_QUEUE)));
        assert_eq!(position(&db, ids[COUNTED_QUEUE as usize]).await, None);
    });
}
