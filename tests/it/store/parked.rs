//! Jobs whose time is too far off, because the clock was set back between two processes.

use std::time::Duration;

use adaptd::records::Timestamp;

use super::fixtures::{databases, error, lease, terms};

#[test]
fn a_clock_that_was_set_back_parks_no_job() {
    databases(|db| async move {
        let longest = Duration::from_secs(600);
        let failed = db.running().await;
        let fail = error("job.io_error", true, 1);
        db.store.fail(lease(&failed), fail.clone(), longest, db.now()).await.unwrap();
        let waits = db.running().await;
        db.store.fail(lease(&waits), fail, Duration::from_secs(60), db.now()).await.unwrap();
        let fresh = db.create(db.new_job()).await;

        assert_eq!(
            db.store.unpark(db.now(), longest).await.unwrap(),
            0,
            "nothing waits too long by a clock that went on"
        );
        let set_back = Timestamp::from_millis(db.now().millis() - 3_600_000);
        assert_eq!(db.store.unpark(set_back, longest).await.unwrap(), 3);
        for (job, expected) in [(&failed, set_back.plus(longest)), (&waits, set_back.plus(longest)), (&fresh, set_back)]
        {
            assert_eq!(db.job(job.id).await.run_at, expected);
        }
        let claimed = db.store.claim(&terms(), set_back).await.unwrap().unwrap();
        assert_eq!(claimed.id, fresh.id);
        assert_eq!(db.store.unpark(set_back, longest).await.unwrap(), 0);
    });
}
