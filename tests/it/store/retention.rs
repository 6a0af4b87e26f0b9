//! What is kept no longer goes in small steps, and takes nothing with it that is still needed.

use std::time::Duration;

use adaptd::records::{FileFormat, JobFile, JobId, JobRecord, JobState, KeyedRequest, Made, NewJob, Timestamp};
use adaptd::store::{Completion, FeedBounds, Purge};
use serde_json::json;

use super::fixtures::{Database, databases, lease, tenant, with_model, without_model};

/// Rows that one step may change.
const STEP: u64 = 500;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A job that told `n` things while it ran, made a model, left a file, and ended.
async fn ended(db: &Database, n: usize) -> JobRecord {
    let job = db.running().await;
    tell(db, &job, n).await;
    let file = JobFile { format: FileFormat::Csv, blob: format!("file of {}", job.id), n_bytes: 1, n_rows: 1 };
    let completion = Completion { file: Some(file), ..with_model("m", db.now()) };
    assert_eq!(db.store.complete(lease(&job), completion, db.now()).await.unwrap(), Some(JobState::Succeeded));
    job
}

async fn tell(db: &Database, job: &JobRecord, n: usize) {
    let told = (0..n).map(|n| db.store.append_event(lease(job), "metrics", json!({"n": n}), db.now()));
    assert!(futures::future::join_all(told).await.into_iter().all(Result::unwrap));
}

/// Takes steps until nothing is due; how many.
async fn all_steps(db: &Database, what: Purge) -> usize {
    let mut steps = 0;
    while db.store.is_due(what).await.unwrap() {
        let purged = db.store.purge(what).await.unwrap();
        assert!((1..=STEP).contains(&purged.rows), "{purged:?}");
        steps += 1;
    }
    assert_eq!(db.store.purge(what).await.unwrap().rows, 0, "nothing was due any more");
    steps
}

#[test]
fn events_go_in_small_steps_all_but_the_last() {
    databases(|db| async move {
        let (old, other) = (ended(&db, 700).await, ended(&db, 3).await);
        let waiting = db.create(db.new_job()).await;
        let last = [db.events(old.id).await, db.store.events(&tenant(), old.id, 700, 100).await.unwrap()].concat();
        let last = last.last().unwrap().clone();
        db.clock.advance(DAY);
        let young = db.claim().await.unwrap();
        assert_eq!(young.id, waiting.id);
        tell(&db, &young, 5).await;
        let until = db.now();
        let what = Purge::Events { ended_before: until };
        assert!(all_steps(&db, what).await >= 3, "700 events are several steps");

        assert_eq!(db.store.events(&tenant(), old.id, 0, 1_000).await.unwrap(), [last]);
        assert_eq!(db.store.events(&tenant(), other.id, 0, 100).await.unwrap().len(), 1);
        assert_eq!(db.events(young.id).await.len(), 7, "a job that has not ended keeps its events");
        assert_eq!(db.job(old.id).await.state, JobState::Succeeded);
        // Everything above the last number that went is there.
        let FeedBounds { last, purged } = db.store.feed_bounds(&tenant()).await.unwrap();
        let gone = db.store.events(&tenant(), other.id, 0, 1).await.unwrap()[0].feed_seq - 1;
        assert_eq!(purged, gone);
        let rest = db.store.feed(&tenant(), purged, 1_000).await.unwrap();
        assert_eq!(rest.iter().map(|e| e.feed_seq).collect::<Vec<_>>(), (purged + 1..=last).collect::<Vec<_>>());
        // What comes now has the next numbers, within the job and within the feed.
        tell(&db, &young, 1).await;
        assert_eq!(db.store.feed_bounds(&tenant()).await.unwrap().last, last + 1);
        assert_eq!(db.events(young.id).await.len(), 8);
    });
}

#[test]
fn what_ended_lately_is_not_due() {
    databases(|db| async move {
        ended(&db, 3).await;
        for what in [Purge::Events { ended_before: db.now() }, Purge::Jobs { ended_before: db.now(), at_most: 9 }] {
            assert!(!db.store.is_due(what).await.unwrap());
            assert_eq!(db.store.purge(what).await.unwrap().rows, 0);
        }
        db.clock.advance(Duration::from_millis(1));
        assert!(db.store.is_due(Purge::Events { ended_before: db.now() }).await.unwrap());
    });
}

#[test]
fn a_job_goes_with_all_that_is_its_own_and_leaves_its_model() {
    databases(|db| async move {
        let old = ended(&db, 450).await;
        db.clock.advance(DAY);
        let (until, young) = (db.now(), ended(&db, 2).await);
        assert!(all_steps(&db, Purge::Jobs { ended_before: until, at_most: 100 }).await >= 3);

        assert_eq!(db.store.job(&tenant(), old.id).await.unwrap(), None);
        assert_eq!(db.store.events(&tenant(), old.id, 0, 100).await.unwrap(), []);
        assert_eq!(db.store.metrics(&tenant(), old.id).await.unwrap(), None);
        assert_eq!(db.store.job_file(&tenant(), old.id).await.unwrap(), None);
        assert!(!db.store.names_blob(&format!("file of {}", old.id)).await.unwrap(), "so that it is collected");
        let model = db.store.model_version(&tenant(), &"m".parse().unwrap(), Some(1)).await.unwrap().unwrap();
        assert_eq!(model.job, old.id, "the model tells what made it");
        assert!(db.store.names_blob("b10b").await.unwrap());
        assert_eq!(db.job(young.id).await.state, JobState::Succeeded);
        assert_eq!(db.store.job_counts().await.unwrap().iter().map(|(.., n)| n).sum::<i64>(), 1);
        let bounds = db.store.feed_bounds(&tenant()).await.unwrap();
        assert_eq!((bounds.purged, bounds.last), (453, 458));
    });
}

#[test]
fn the_oldest_go_first_whether_their_events_went_before_or_not() {
    databases(|db| async move {
        let mut jobs = Vec::new();
        for _ in 0..4 {
            jobs.push(ended(&db, 0).await.id);
            db.clock.advance(DAY);
        }
        let two_days_ago = Timestamp::from_millis(db.now().millis() - 2 * DAY.as_millis() as i64);
        all_steps(&db, Purge::Events { ended_before: two_days_ago }).await;
        for job in jobs {
            let purged = db.store.purge(Purge::Jobs { ended_before: Timestamp::MAX, at_most: 1 }).await.unwrap();
            assert_eq!(purged.jobs, 1);
            assert_eq!(db.store.job(&tenant(), job).await.unwrap(), None);
        }
    });
}

#[test]
fn keys_of_requests_go_in_small_steps_and_are_forgotten_at_their_time() {
    databases(|db| async move {
        let request = |key: String| KeyedRequest {
            tenant: tenant(),
            key,
            fingerprint: "f".into(),
            at: db.now(),
            forgotten: Timestamp::from_millis(db.now().millis() - DAY.as_millis() as i64),
        };
        let job = db.create(NewJob { ..db.new_job() }).await.id;
        let kept = (0..1_200).map(|n| db.store.remember_request(request(format!("k{n}")), Made::Job(job)));
        assert!(futures::future::join_all(kept).await.into_iter().all(|r| r.unwrap().is_none()));
        db.clock.advance(DAY);
        // Too old by now: the same key makes something again, though its row was not removed yet.
        assert_eq!(db.store.remember_request(request("k7".into()), Made::Job(job)).await.unwrap(), None);
        let what = Purge::Requests { made_before: request(String::new()).forgotten };
        assert!(all_steps(&db, what).await >= 3);
        assert!(db.store.earlier_request(&request("k7".into())).await.unwrap().is_some(), "the new use stays");
        assert!(db.store.earlier_request(&request("k8".into())).await.unwrap().is_none());
    });
}

#[test]
fn children_go_with_their_parent_and_not_before() {
    databases(|db| async move {
        let children: Vec<NewJob> = (0..2).map(|_| db.new_job()).collect();
        let ids: Vec<JobId> = children.iter().map(|c| c.id).collect();
        let parent = db.create(NewJob { children, ..db.new_job() }).await.id;
        let running = db.claim().await.unwrap();
        // The parent ends before the child that runs.
        db.store.cancel_job(&tenant(), parent, db.now()).await.unwrap();
        db.clock.advance(Duration::from_secs(1));
        let jobs = Purge::Jobs { ended_before: db.now(), at_most: u32::MAX };
        let steps = async || while db.store.purge(jobs).await.unwrap().rows > 0 {};
        steps().await;
        for id in [parent, ids[0], ids[1]] {
            assert!(db.store.job(&tenant(), id).await.unwrap().is_some(), "a child has not ended");
        }
        db.store.complete(lease(&running), without_model(), db.now()).await.unwrap();
        steps().await;
        for id in [parent, ids[0], ids[1]] {
            assert_eq!(db.store.job(&tenant(), id).await.unwrap(), None);
        }
    });
}
