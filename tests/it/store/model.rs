//! Random traffic from several tasks, checked against a small model of the machine.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use adaptd::records::{JobId, JobState};
use adaptd::store::{Cancellation, Creation, Lease};
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::fixtures::{Database, LEASE, LIMITS, databases, error, lease, tenant, with_model, without_model};

const TASKS: u64 = 8;
const STEPS: usize = 400;

/// What is known of one job from the answers alone.
#[derive(Debug, Default)]
struct Known {
    cancel_accepted: bool,
    ended: Option<JobState>,
    claims: i64,
    rescues: i64,
}

struct World<'a> {
    db: &'a Database,
    jobs: Mutex<HashMap<JobId, Known>>,
    /// Leases that were given out, the lost ones among them.
    leases: Mutex<Vec<Lease>>,
}

impl World<'_> {
    fn update(&self, id: JobId, change: impl FnOnce(&mut Known)) {
        change(self.jobs.lock().unwrap().entry(id).or_default());
    }

    fn ended(&self, id: JobId, state: JobState) {
        if !state.is_terminal() {
            return;
        }
        self.update(id, |known| {
            assert_eq!(known.ended.replace(state), None, "{id} ended twice");
        });
    }

    fn any<T: Clone>(rng: &mut ChaCha8Rng, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[rng.random_range(0..from.len())].clone())
    }

    async fn step(&self, rng: &mut ChaCha8Rng) {
        let (store, now) = (&self.db.store, self.db.now());
        let held = Self::any(rng, &self.leases.lock().unwrap());
        if rng.random_ratio(1, 100) {
            for (id, state) in store.rescue_all(now, 3).await.unwrap() {
                self.update(id, |known| known.rescues += 1);
                self.ended(id, state);
            }
        }
        match rng.random_range(0..12) {
            0..3 => {
                let Creation::Created(job) = store.create_job(self.db.new_job(), None, LIMITS).await.unwrap() else {
                    panic!("not created")
                };
                self.update(job.id, |_| ());
            }
            3..6 => {
                if let Some(job) = self.db.claim().await {
                    self.update(job.id, |known| known.claims += 1);
                    self.leases.lock().unwrap().push(lease(&job));
                }
            }
            6 => {
                let ids: Vec<JobId> = self.jobs.lock().unwrap().keys().copied().collect();
                if let Some(id) = Self::any(rng, &ids) {
                    self.cancel(id).await;
                }
            }
            n => {
                if let Some(lease) = held {
                    self.end(lease, n, rng).await;
                }
            }
        }
        self.db.clock.advance(Duration::from_millis(rng.next_u64() % 3));
    }

    async fn cancel(&self, id: JobId) {
        let answer = self.db.store.cancel_job(&tenant(), id, self.db.now()).await.unwrap();
        if let Cancellation::Accepted(job) = answer {
            let mut asked_before = false;
            self.update(id, |known| asked_before = std::mem::replace(&mut known.cancel_accepted, true));
            if !asked_before {
                self.ended(id, job.state);
            }
        }
    }

    async fn end(&self, lease: Lease, how: i32, rng: &mut ChaCha8Rng) {
        let (store, now) = (&self.db.store, self.db.now());
        let state = match how {
            7 => store.complete(lease, with_model("m", now), now).await.unwrap(),
            8 => store.complete(lease, without_model(), now).await.unwrap(),
            9 => {
                store.fail(lease, error("job.io_error", rng.random(), 1), Duration::from_millis(5), now).await.unwrap()
            }
            10 => store.release(lease, now).await.unwrap(),
            _ => {
                let _ = store.heartbeat(lease, None, now, now.plus(LEASE)).await.unwrap();
                let _ = store.append_event(lease, "metrics", serde_json::json!({"n": 1}), now).await.unwrap();
                None
            }
        };
        if let Some(state) = state {
            self.ended(lease.job, state);
        }
    }

    async fn settle(&self) {
        let known = std::mem::take(&mut *self.jobs.lock().unwrap());
        let mut versions = 0;
        for (id, known) in &known {
            let job = self.db.job(*id).await;
            if let Some(state) = known.ended {
                assert_eq!(job.state, state, "{id}: {known:?}");
            } else {
                assert!(!job.state.is_terminal(), "{id}: {known:?} but {:?}", job.state);
            }
            assert!(!known.cancel_accepted || job.state != JobState::Succeeded, "{id}: {known:?}");
            assert_eq!(job.lease_token, known.claims + known.rescues, "only claims and rescues move the fence");
            let told = self.db.told(*id).await;
            assert_eq!(told.last().map(String::as_str), Some(job.state.as_str()));
            assert_eq!(told.iter().filter(|s| *s == "running").count() as i64, known.claims);
            assert!(told.iter().filter(|s| ["succeeded", "failed", "cancelled"].contains(&s.as_str())).count() <= 1);
            let made_model = job.result.is_some_and(|r| r.get("model").is_some());
            versions += i64::from(made_model);
        }
        let model = self.db.store.model(&tenant(), &"m".parse().unwrap()).await.unwrap();
        assert_eq!(model.map_or(0, |m| m.latest_version), versions, "one version for each job that names one");
        let ended = |state| known.values().filter(|k| k.ended == Some(state)).count();
        for state in [JobState::Succeeded, JobState::Failed, JobState::Cancelled] {
            assert!(ended(state) > 20, "the traffic reaches {state:?}");
        }
    }
}

#[test]
fn random_traffic_keeps_to_the_machine() {
    databases(|db| async move {
        let world = World { db: &db, jobs: Mutex::default(), leases: Mutex::default() };
        let traffic = (0..TASKS).map(async |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            for _ in 0..STEPS {
                world.step(&mut rng).await;
            }
        });
        futures::future::join_all(traffic).await;
        world.settle().await;
    });
}
