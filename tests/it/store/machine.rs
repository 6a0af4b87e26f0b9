//! The state machine against a small model of it, step by step: every answer and every row is foretold. The clock is the
//! test's, and jumps.
//!
//! Some thousand transitions by default; `ADAPTD_TRANSITIONS=1000000` makes it long.

use std::collections::BTreeMap;
use std::time::Duration;

use adaptd::records::{Clock as _, JobId, JobState, NewJob, TenantId, Timestamp};
use adaptd::store::{Cancellation, Creation, Lease, Pausing, Purge, TenantRecord};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

use super::fixtures::{Database, LEASE, LIMITS, databases_in_memory, error, terms, without_model};

/// Jobs that have not ended, at most: enough to meet each other, few enough to look at.
const OPEN: usize = 24;
const CRASH_LIMIT: i64 = 3;
const BLAMED_AFTER_MS: i64 = 5_000;
/// Jobs of the second tenant that may run.
const CAP: u32 = 2;

/// What a row must be.
#[derive(Debug, Clone, PartialEq)]
struct Model {
    tenant: &'static str,
    state: JobState,
    attempt: i64,
    max_attempts: i64,
    crashes: i64,
    lost_before: bool,
    token: i64,
    priority: i64,
    run_at: i64,
    cancel: bool,
    pause: bool,
    deadline: Option<i64>,
    parent: Option<JobId>,
    open_children: i64,
    checkpoint: Option<String>,
    claimed_at: i64,
    heartbeat_at: i64,
    n_events: i64,
}

struct World<'a> {
    db: &'a Database,
    rng: ChaCha8Rng,
    jobs: BTreeMap<JobId, Model>,
    /// Leases that were given, the lost ones among them.
    leases: Vec<Lease>,
    transitions: usize,
    seen: BTreeMap<&'static str, usize>,
}

impl World<'_> {
    fn now(&self) -> Timestamp {
        self.db.clock.now()
    }

    fn any<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.rng.random_range(0..from.len())].clone())
    }

    fn any_job(&mut self) -> Option<(JobId, TenantId)> {
        let ids: Vec<JobId> = self.jobs.keys().copied().collect();
        self.any(&ids).map(|id| (id, TenantId(self.jobs[&id].tenant.into())))
    }

    fn count(&mut self, what: &'static str) {
        self.transitions += 1;
        *self.seen.entry(what).or_default() += 1;
    }

    fn job(&mut self, id: JobId) -> &mut Model {
        self.jobs.get_mut(&id).expect("a job of the model")
    }

    /// The holder's view of a lease: its job, where it is held.
    fn held(&mut self, lease: Lease) -> Option<&mut Model> {
        self.jobs.get_mut(&lease.job).filter(|m| m.state == JobState::Running && m.token == lease.token)
    }

    /// A state was told: an event, and where it is an end, one less for the parent to wait for.
    fn to(&mut self, id: JobId, state: JobState) {
        let ended = !self.jobs[&id].state.is_terminal() && state.is_terminal();
        let job = self.job(id);
        job.state = state;
        job.n_events += 1;
        if state.is_terminal() {
            job.checkpoint = None;
        }
        if ended && let Some(parent) = job.parent {
            let parent = self.job(parent);
            parent.open_children -= 1;
            if matches!(parent.state, JobState::Queued | JobState::Paused) {
                parent.n_events += 1;
            }
        }
    }

    fn new_job(&mut self, tenant: &'static str) -> (NewJob, Model) {
        let now = self.now();
        let deadline =
            self.rng.random_bool(0.1).then(|| now.plus(Duration::from_millis(self.rng.random_range(1..200))));
        let new = NewJob {
            tenant: TenantId(tenant.into()),
            priority: self.rng.random_range(-1..=1),
            max_attempts: self.rng.random_range(1..=3),
            deadline_at: deadline,
            ..self.db.new_job()
        };
        let model = Model {
            tenant,
            state: JobState::Queued,
            attempt: 0,
            max_attempts: new.max_attempts,
            crashes: 0,
            lost_before: false,
            token: 0,
            priority: new.priority,
            run_at: now.millis(),
            cancel: false,
            pause: false,
            deadline: deadline.map(Timestamp::millis),
            parent: None,
            open_children: 0,
            checkpoint: None,
            claimed_at: 0,
            heartbeat_at: 0,
            n_events: 1,
        };
        (new, model)
    }

    async fn create(&mut self) {
        let tenant = if self.rng.random_bool(0.3) { "b" } else { "default" };
        let (mut new, mut model) = self.new_job(tenant);
        if self.rng.random_bool(0.15) {
            for _ in 0..self.rng.random_range(1..=3) {
                let (child, of_child) = self.new_job(tenant);
                self.jobs.insert(child.id, Model { parent: Some(new.id), ..of_child });
                new.children.push(child);
                model.open_children += 1;
            }
            self.count("family");
        }
        let id = new.id;
        self.jobs.insert(id, model);
        assert!(matches!(self.db.store.create_job(new, None, LIMITS).await.unwrap(), Creation::Created(_)));
        self.count("create");
    }

    /// Who is next: the best of each tenant that may run one more, by priority, then fewest running, then age.
    fn next(&self) -> Option<JobId> {
        let now = self.now().millis();
        let running =
            |tenant: &str| self.jobs.values().filter(|m| m.tenant == tenant && m.state == JobState::Running).count();
        let ready = |m: &Model| m.state == JobState::Queued && m.open_children == 0 && m.run_at <= now;
        let heads = ["default", "b"].into_iter().filter(|t| *t != "b" || running(t) < CAP as usize).filter_map(|t| {
            let of_tenant = self.jobs.iter().filter(|(_, m)| m.tenant == t && ready(m));
            of_tenant.min_by_key(|(id, m)| (-m.priority, m.run_at, id.to_string())).map(|(id, _)| *id)
        });
        heads.min_by_key(|id| {
            let m = &self.jobs[id];
            (-m.priority, running(m.tenant), m.run_at, id.to_string())
        })
    }

    async fn claim(&mut self) {
        let claimed = self.db.store.claim(&terms(), self.now()).await.unwrap();
        assert_eq!(claimed.as_ref().map(|job| job.id), self.next(), "who is next");
        let Some(claimed) = claimed else { return };
        let now = self.now().millis();
        let job = self.job(claimed.id);
        (job.attempt, job.token) = (job.attempt + 1, job.token + 1);
        (job.claimed_at, job.heartbeat_at) = (now, now);
        self.to(claimed.id, JobState::Running);
        self.leases.push(Lease { job: claimed.id, token: claimed.lease_token });
        self.count("claim");
    }

    async fn as_holder(&mut self) {
        let leases = self.leases.clone();
        let Some(lease) = self.any(&leases) else { return };
        let (now, store) = (self.now(), self.db.store.clone());
        let held = self.held(lease).map(|m| (m.cancel, m.pause, m.attempt < m.max_attempts));
        let Some((cancel, pause, more)) = held else {
            // A lease that is lost changes nothing, whatever its holder tries.
            assert_eq!(store.heartbeat(lease, None, now, now.plus(LEASE)).await.unwrap(), None);
            assert!(!store.checkpoint(lease, "late", json!({}), now).await.unwrap());
            assert_eq!(store.complete(lease, without_model(), now).await.unwrap(), None);
            self.leases.retain(|l| *l != lease);
            self.count("lost lease");
            return;
        };
        let or = |state: JobState| if cancel { JobState::Cancelled } else { state };
        let waiting = if pause { JobState::Paused } else { JobState::Queued };
        let (state, expected) = match self.rng.random_range(0..12) {
            0..3 => {
                let beat = store.heartbeat(lease, None, now, now.plus(LEASE)).await.unwrap().unwrap();
                assert_eq!((beat.cancel, beat.pause), (cancel, pause));
                self.job(lease.job).heartbeat_at = now.millis();
                return self.count("heartbeat");
            }
            3 => {
                let blob = format!("blob-{}", self.transitions);
                assert!(store.checkpoint(lease, &blob, json!({}), now).await.unwrap());
                let job = self.job(lease.job);
                (job.crashes, job.lost_before, job.checkpoint) = (0, false, Some(blob));
                job.n_events += 1;
                return self.count("checkpoint");
            }
            4..8 => (store.complete(lease, without_model(), now).await.unwrap(), or(JobState::Succeeded)),
            8..10 => {
                let (retryable, wait) = (self.rng.random_bool(0.7), self.rng.random_range(0..20));
                let failed = error("job.io_error", retryable, 1);
                let state = store.fail(lease, failed, Duration::from_millis(wait), now).await.unwrap();
                if retryable && more {
                    self.job(lease.job).run_at = now.plus(Duration::from_millis(wait)).millis();
                }
                (state, or(if retryable && more { waiting } else { JobState::Failed }))
            }
            _ => {
                let state = store.release(lease, now).await.unwrap();
                let job = self.job(lease.job);
                (job.attempt, job.run_at) = (job.attempt - 1, now.millis());
                (state, or(waiting))
            }
        };
        assert_eq!(state, Some(expected));
        self.job(lease.job).lost_before = false;
        self.to(lease.job, expected);
        self.count(expected.as_str());
    }

    /// The job and, before it, its children that have not ended.
    fn family(&self, id: JobId) -> Vec<JobId> {
        let open = self.jobs.iter().filter(|(_, m)| m.parent == Some(id) && !m.state.is_terminal());
        open.map(|(child, _)| *child).chain([id]).collect()
    }

    async fn cancel(&mut self) {
        let Some((id, tenant)) = self.any_job() else { return };
        let answer = self.db.store.cancel_job(&tenant, id, self.now()).await.unwrap();
        match self.jobs[&id].state {
            JobState::Cancelled => assert!(matches!(answer, Cancellation::AlreadyCancelled(_))),
            s if s.is_terminal() => assert!(matches!(answer, Cancellation::AlreadyTerminal(_))),
            _ => {
                assert!(matches!(answer, Cancellation::Accepted(_)));
                for id in self.family(id) {
                    self.job(id).cancel = true;
                    if self.jobs[&id].state != JobState::Running {
                        self.to(id, JobState::Cancelled);
                    }
                }
                self.count("cancel");
            }
        }
    }

    async fn pause_or_resume(&mut self) {
        let Some((id, tenant)) = self.any_job() else { return };
        let (pause, now, store) = (self.rng.random_bool(0.5), self.now(), self.db.store.clone());
        let answer = match pause {
            true => store.pause_job(&tenant, id, now).await.unwrap(),
            false => store.resume_job(&tenant, id, now).await.unwrap(),
        };
        let job = self.jobs[&id].clone();
        match answer {
            Pausing::AlreadyTerminal(_) => return assert!(job.state.is_terminal()),
            Pausing::BeingCancelled(_) => return assert!(job.cancel && !job.state.is_terminal()),
            Pausing::Already(_) => assert_eq!(job.pause, pause),
            Pausing::Accepted(_) => assert_ne!(job.pause, pause),
            Pausing::NotFound => panic!("{id} is there"),
        }
        assert!(!job.state.is_terminal() && !job.cancel);
        for id in self.family(id) {
            let job = self.job(id);
            if job.cancel && pause {
                continue;
            }
            let (from, to) =
                if pause { (JobState::Queued, JobState::Paused) } else { (JobState::Paused, JobState::Queued) };
            let was = job.pause;
            job.pause = pause;
            if job.state == from && was != pause {
                if !pause {
                    job.run_at = now.millis();
                }
                self.to(id, to);
            }
        }
        self.count(if pause { "pause" } else { "resume" });
    }

    async fn rescue(&mut self) {
        let now = self.now();
        let rescued = self.db.store.rescue_all(now, CRASH_LIMIT).await.unwrap();
        let running: Vec<JobId> =
            self.jobs.iter().filter(|(_, m)| m.state == JobState::Running).map(|(id, _)| *id).collect();
        let mut expected = Vec::new();
        for id in running {
            let job = self.job(id);
            job.crashes += i64::from(job.lost_before || job.heartbeat_at - job.claimed_at >= BLAMED_AFTER_MS);
            (job.attempt, job.token, job.lost_before, job.run_at) =
                (job.attempt - 1, job.token + 1, true, now.millis());
            let state = match (job.cancel, job.crashes >= CRASH_LIMIT, job.pause) {
                (true, _, _) => JobState::Cancelled,
                (false, true, _) => JobState::Failed,
                (false, false, true) => JobState::Paused,
                (false, false, false) => JobState::Queued,
            };
            expected.push((id, state));
            self.to(id, state);
            self.count("rescue");
        }
        assert_eq!(
            BTreeMap::from_iter(rescued.into_iter().map(|(id, s)| (id, s.as_str()))),
            BTreeMap::from_iter(expected.into_iter().map(|(id, s)| (id, s.as_str())))
        );
    }

    async fn expire(&mut self) {
        let now = self.now().millis();
        let mut expired = self.db.store.expire(self.now()).await.unwrap();
        let late = |m: &Model| {
            matches!(m.state, JobState::Queued | JobState::Paused) && m.deadline.is_some_and(|deadline| deadline < now)
        };
        let expected: Vec<JobId> = self.jobs.iter().filter(|(_, m)| late(m)).map(|(id, _)| *id).collect();
        expired.sort_unstable();
        assert_eq!(expired, expected);
        // All at once: a parent that passes with its child is not told of it any more.
        for id in &expected {
            let job = self.job(*id);
            (job.state, job.checkpoint, job.n_events) = (JobState::Failed, None, job.n_events + 1);
        }
        for id in &expected {
            if let Some(parent) = self.jobs[id].parent {
                let parent = self.job(parent);
                parent.open_children -= 1;
                parent.n_events += i64::from(matches!(parent.state, JobState::Queued | JobState::Paused));
            }
            self.count("deadline");
        }
    }

    /// Time goes on, or is set by an hour to either side.
    fn pass(&mut self) {
        let ms = self.rng.random_range(0..4);
        self.db.clock.advance(Duration::from_millis(ms));
        match self.rng.random_range(0..2000) {
            0 => self.db.clock.advance(Duration::from_secs(3600)),
            1 => self.db.clock.set(Timestamp::from_millis(self.now().millis() - 3_600_000)),
            2..40 => self.db.clock.advance(Duration::from_millis(6_000)),
            _ => return,
        }
        self.count("jump");
    }

    /// Ended jobs are looked at once more and removed.
    async fn purge(&mut self) {
        self.compare_all().await;
        let ended_before = self.now().plus(Duration::from_secs(100 * 3600));
        while self.db.store.purge(Purge::Jobs { ended_before, at_most: u32::MAX }).await.unwrap().rows > 0 {}
        let gone = |m: &Model, jobs: &BTreeMap<JobId, Model>| match m.parent {
            Some(parent) => jobs[&parent].state.is_terminal() && jobs[&parent].open_children == 0,
            None => m.state.is_terminal() && m.open_children == 0,
        };
        let jobs = self.jobs.clone();
        self.jobs.retain(|_, m| !gone(m, &jobs));
        self.leases.retain(|l| self.jobs.contains_key(&l.job));
        for id in jobs.keys().filter(|id| !self.jobs.contains_key(id)) {
            let tenant = TenantId(jobs[id].tenant.into());
            assert_eq!(self.db.store.job(&tenant, *id).await.unwrap(), None, "{id} is purged");
        }
        self.count("purge");
    }

    async fn compare_all(&self) {
        for (id, expected) in &self.jobs {
            let tenant = TenantId(expected.tenant.into());
            let row = self.db.store.job(&tenant, *id).await.unwrap().unwrap_or_else(|| panic!("{id} is lost"));
            let found = Model {
                tenant: expected.tenant,
                state: row.state,
                attempt: row.attempt,
                max_attempts: row.max_attempts,
                crashes: row.crash_count,
                lost_before: expected.lost_before,
                token: row.lease_token,
                priority: row.priority,
                run_at: row.run_at.millis(),
                cancel: row.cancel_requested_at.is_some(),
                pause: row.pause_requested_at.is_some(),
                deadline: row.deadline_at.map(Timestamp::millis),
                parent: row.parent,
                open_children: row.open_children,
                checkpoint: row.checkpoint,
                claimed_at: expected.claimed_at,
                heartbeat_at: expected.heartbeat_at,
                n_events: self.db.store.events(&tenant, *id, 0, 10_000).await.unwrap().len() as i64,
            };
            assert_eq!(found, *expected, "{id}");
        }
    }

    async fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..25 if self.jobs.values().filter(|m| !m.state.is_terminal()).count() < OPEN => self.create().await,
            0..45 => self.claim().await,
            45..80 => self.as_holder().await,
            80..84 => self.cancel().await,
            84..93 => self.pause_or_resume().await,
            93 => self.rescue().await,
            94 => self.expire().await,
            95 if self.rng.random_bool(0.3) => self.compare_all().await,
            _ => {}
        }
        self.pass();
        if self.jobs.len() > 3 * OPEN {
            self.purge().await;
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the length is chosen by whoever runs the tests")]
fn every_transition_is_the_one_that_the_model_foretells() {
    let wanted = std::env::var("ADAPTD_TRANSITIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(5_000);
    databases_in_memory(|db| async move {
        let b = TenantRecord { id: TenantId("b".into()), max_running: Some(CAP), max_queued: None };
        db.store.set_tenant(b).await.unwrap();
        let mut world = World {
            db: &db,
            rng: ChaCha8Rng::seed_from_u64(5),
            jobs: BTreeMap::new(),
            leases: Vec::new(),
            transitions: 0,
            seen: BTreeMap::new(),
        };
        while world.transitions < wanted {
            world.step().await;
        }
        world.compare_all().await;
        println!("{} transitions as foretold: {:?}", world.transitions, world.seen);
        for what in [
            "family",
            "succeeded",
            "failed",
            "cancelled",
            "paused",
            "queued",
            "checkpoint",
            "lost lease",
            "cancel",
            "pause",
            "resume",
            "rescue",
            "deadline",
            "jump",
            "purge",
        ] {
            assert!(world.seen.contains_key(what), "{what} was not met: {:?}", world.seen);
        }
    });
}
