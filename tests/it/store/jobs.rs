//! Jobs as clients see them.

use std::time::Duration;

use adaptd::records::{
    Cursor, Earlier, JobFilter, JobId, JobKind, JobState, KeyedRequest, Made, NewJob, PageRequest, TenantId, Timestamp,
};
use adaptd::store::{Cancellation, CreateLimits, Creation, QueueDepth};
use serde_json::json;

use super::fixtures::{Database, LIMITS, databases, lease, page, reopen, tenant, without_model};

const DAY: Duration = Duration::from_secs(86_400);

fn key(new: &NewJob, key: &str, fingerprint: &str) -> Option<KeyedRequest> {
    Some(KeyedRequest {
        tenant: new.tenant.clone(),
        key: key.into(),
        fingerprint: fingerprint.into(),
        at: new.created_at,
        forgotten: Timestamp::from_millis(new.created_at.millis() - DAY.as_millis() as i64),
    })
}

#[test]
fn a_job_is_read_as_it_was_created() {
    databases(|db| async move {
        let new = NewJob {
            kind: JobKind::FineTune,
            priority: -3,
            max_attempts: 5,
            deadline_at: Some(db.now().plus(Duration::from_secs(60))),
            traceparent: Some("00-1-2-01".into()),
            spec: json!({"l2": 0.1, "name": "ü"}),
            ..db.new_job()
        };
        let created = db.create(new.clone()).await;
        assert_eq!(created, db.job(new.id).await);
        assert_eq!((created.state, created.attempt, created.version), (JobState::Queued, 0, 1));
        assert_eq!((created.kind, created.priority, created.max_attempts), (new.kind, -3, 5));
        assert_eq!(
            (created.deadline_at, created.traceparent, created.spec),
            (new.deadline_at, new.traceparent, new.spec)
        );
        assert_eq!(db.told(new.id).await, ["queued"]);
        assert_eq!(db.events(new.id).await[0].data, json!({"state": "queued", "terminal": false}));
    });
}

#[test]
fn what_was_accepted_is_there_after_a_restart() {
    databases(|mut db| async move {
        let job = db.create(db.new_job()).await;
        db.store.close().await;
        assert!(db.store.create_job(db.new_job(), None, LIMITS).await.is_err());
        db.store = reopen(&db.folder).await;
        assert_eq!(db.job(job.id).await, job);
    });
}

#[test]
fn a_key_replays_the_same_request_and_refuses_another() {
    databases(|db| async move {
        let create = async |new: NewJob, k, print| {
            let key = key(&new, k, print);
            db.store.create_job(new, key, LIMITS).await.unwrap()
        };
        let first = db.new_job();
        let Creation::Created(job) = create(first.clone(), "k", "same").await else { panic!("not created") };
        let before = Creation::Earlier(Earlier::Same(Made::Job(job.id)));
        assert_eq!(create(db.new_job(), "k", "same").await, before);
        assert_eq!(create(db.new_job(), "k", "other").await, Creation::Earlier(Earlier::Other));
        assert_eq!(db.store.queue_depth().await.unwrap(), QueueDepth { queued: 1, running: 0 });

        db.clock.advance(DAY);
        assert!(matches!(create(db.new_job(), "k", "other").await, Creation::Created(_)));
    });
}

#[test]
fn an_earlier_request_is_found_by_its_key_for_as_long_as_keys_are_kept() {
    databases(|db| async move {
        let new = db.new_job();
        let asked = |print| key(&new, "k", print).unwrap();
        let earlier = async |k: &KeyedRequest| db.store.earlier_request(k).await.unwrap();
        assert_eq!(earlier(&asked("same")).await, None);
        let Creation::Created(job) = db.store.create_job(new.clone(), key(&new, "k", "same"), LIMITS).await.unwrap()
        else {
            panic!("not created")
        };
        assert_eq!(earlier(&asked("same")).await, Some(Earlier::Same(Made::Job(job.id))));
        assert_eq!(earlier(&asked("other")).await, Some(Earlier::Other));
        let later = KeyedRequest { forgotten: new.created_at, ..asked("same") };
        assert_eq!(earlier(&later).await, None, "too old");
        let stranger = KeyedRequest { tenant: TenantId("somebody else".into()), ..asked("same") };
        assert_eq!(earlier(&stranger).await, None);
    });
}

#[test]
fn a_key_of_a_job_that_was_not_created_is_free() {
    databases(|db| async move {
        let full = CreateLimits { max_queued: 0, max_queued_of_tenant: None };
        let new = db.new_job();
        let k = key(&new, "k", "a");
        assert_eq!(db.store.create_job(new, k, full).await.unwrap(), Creation::QueueFull);
        let new = db.new_job();
        let k = key(&new, "k", "b");
        assert!(matches!(db.store.create_job(new, k, LIMITS).await.unwrap(), Creation::Created(_)));
    });
}

#[test]
fn the_queue_is_bounded_by_what_waits() {
    databases(|db| async move {
        let two = CreateLimits { max_queued: 2, max_queued_of_tenant: None };
        let create = async || db.store.create_job(db.new_job(), None, two).await.unwrap();
        for _ in 0..2 {
            assert!(matches!(create().await, Creation::Created(_)));
        }
        assert_eq!(create().await, Creation::QueueFull);
        db.claim().await.unwrap();
        assert!(matches!(create().await, Creation::Created(_)));
        assert_eq!(db.store.queue_depth().await.unwrap(), QueueDepth { queued: 2, running: 1 });
    });
}

#[test]
fn a_unique_key_holds_until_its_job_ends() {
    databases(|db| async move {
        let unique = || NewJob { unique_key: Some("one".into()), ..db.new_job() };
        let create = async |new| db.store.create_job(new, None, LIMITS).await.unwrap();
        let first = db.create(unique()).await;
        assert_eq!(create(unique()).await, Creation::Duplicate(first.id));
        db.clock.advance(Duration::from_millis(1));
        let other_kind = NewJob { kind: JobKind::FineTune, ..unique() };
        assert!(matches!(create(other_kind).await, Creation::Created(_)));
        let claimed = db.claim().await.unwrap();
        assert_eq!(create(unique()).await, Creation::Duplicate(first.id));
        db.store.complete(lease(&claimed), without_model(), db.now()).await.unwrap();
        assert!(matches!(create(unique()).await, Creation::Created(_)));
    });
}

#[test]
fn a_cancel_is_at_once_where_nothing_runs_and_never_undone() {
    databases(|db| async move {
        let cancel = async |id| db.store.cancel_job(&tenant(), id, db.now()).await.unwrap();
        let queued = db.create(db.new_job()).await;
        let Cancellation::Accepted(ended) = cancel(queued.id).await else { panic!("not accepted") };
        assert_eq!((ended.state, ended.finished_at), (JobState::Cancelled, Some(db.now())));
        assert_eq!(ended.error.as_ref().map(|e| e.code.as_str()), Some("job.cancelled"));
        assert_eq!(cancel(queued.id).await, Cancellation::AlreadyCancelled(ended));
        assert_eq!(db.told(queued.id).await, ["queued", "cancelled"]);
        assert_eq!(db.claim().await, None);

        let running = db.running().await;
        let Cancellation::Accepted(asked) = cancel(running.id).await else { panic!("not accepted") };
        assert_eq!((asked.state, asked.cancel_requested_at), (JobState::Running, Some(db.now())));
        db.clock.advance(Duration::from_secs(1));
        // Asking twice changes nothing.
        assert_eq!(cancel(running.id).await, Cancellation::Accepted(asked));
        let end = db.store.complete(lease(&running), super::fixtures::with_model("m", db.now()), db.now()).await;
        assert_eq!(end.unwrap(), Some(JobState::Cancelled));
        let job = db.job(running.id).await;
        assert_eq!((job.state, job.result), (JobState::Cancelled, None));
        assert_eq!(db.store.metrics(&tenant(), running.id).await.unwrap(), None);
        assert!(db.store.models(&tenant(), &page(10)).await.unwrap().is_empty());

        let done = db.running().await;
        db.store.complete(lease(&done), without_model(), db.now()).await.unwrap();
        assert_eq!(cancel(done.id).await, Cancellation::AlreadyTerminal(db.job(done.id).await));
        assert_eq!(cancel(JobId::at(db.now())).await, Cancellation::NotFound);
    });
}

#[test]
fn tenants_do_not_see_each_other() {
    databases(|db| async move {
        let stranger = TenantId("somebody else".into());
        let job = db.running().await;
        db.store.complete(lease(&job), super::fixtures::with_model("m", db.now()), db.now()).await.unwrap();
        let waiting = db.create(db.new_job()).await;

        let store = &db.store;
        assert_eq!(store.job(&stranger, job.id).await.unwrap(), None);
        assert_eq!(store.metrics(&stranger, job.id).await.unwrap(), None);
        assert!(store.events(&stranger, job.id, 0, 10).await.unwrap().is_empty());
        assert!(store.jobs(&stranger, &JobFilter::default(), &page(10)).await.unwrap().is_empty());
        assert_eq!(store.cancel_job(&stranger, waiting.id, db.now()).await.unwrap(), Cancellation::NotFound);
        assert_eq!(db.job(waiting.id).await, waiting);
        assert!(store.models(&stranger, &page(10)).await.unwrap().is_empty());
        let named = "m".parse().unwrap();
        assert_eq!(store.model(&stranger, &named).await.unwrap(), None);
        assert_eq!(store.model_version(&stranger, &named, None).await.unwrap(), None);
        assert!(store.model(&tenant(), &named).await.unwrap().is_some());
        // A tenant that is not there cannot own anything.
        assert!(store.create_job(NewJob { tenant: stranger, ..db.new_job() }, None, LIMITS).await.is_err());
    });
}

async fn listed(db: &Database, filter: &JobFilter, limit: u32) -> Vec<JobId> {
    let mut found = Vec::new();
    let mut request = page(limit);
    loop {
        let jobs = db.store.jobs(&tenant(), filter, &request).await.unwrap();
        assert!(jobs.len() <= limit as usize);
        found.extend(jobs.iter().map(|j| j.id));
        match jobs.last() {
            Some(last) => request = PageRequest { after: Some(Cursor(last.id.to_string())), limit },
            None => return found,
        }
    }
}

#[test]
fn lists_show_each_job_once_newest_first() {
    databases(|db| async move {
        let mut ids = Vec::new();
        for n in 0..7 {
            db.clock.advance(Duration::from_millis(5));
            let kind = if n % 2 == 0 { JobKind::Adapt } else { JobKind::FineTune };
            ids.push(db.create(NewJob { kind, ..db.new_job() }).await.id);
        }
        db.store.cancel_job(&tenant(), ids[2], db.now()).await.unwrap();
        ids.reverse();
        let all = JobFilter::default();
        for limit in [1, 3, 7, 200] {
            assert_eq!(listed(&db, &all, limit).await, ids);
        }
        let cancelled = JobFilter { state: Some(JobState::Cancelled), ..JobFilter::default() };
        assert_eq!(listed(&db, &cancelled, 3).await, [ids[4]]);
        let fine_tune =
            JobFilter { state: Some(JobState::Queued), kind: Some(JobKind::FineTune), ..JobFilter::default() };
        assert_eq!(listed(&db, &fine_tune, 2).await, [ids[1], ids[3], ids[5]]);
    });
}
