//! The order of claims.

use std::time::Duration;

use adaptd::records::{JobId, NewJob};

use super::fixtures::{Database, databases};

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
