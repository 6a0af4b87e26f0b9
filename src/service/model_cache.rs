//! Loaded models: the most recently used ones within a bound of bytes. However many requests meet a cold model, it is
//! loaded once.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use adaptation::engine::FittedModel;
use tokio::sync::OnceCell;

use super::error::{Code, ServiceError};

/// What a loaded model takes beside its arrays: manifest, names, maps of levels.
const OVERHEAD_BYTES: u64 = 16 << 10;

/// How long a request waits for another one to load the model, before the client is asked to come again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Loaded models by their blob.
pub struct ModelCache {
    inside: Mutex<Inside>,
    /// A model that is larger alone is loaded for whoever asks together, and not kept.
    bound_bytes: u64,
    patience: Duration,
}

#[derive(Default)]
struct Inside {
    entries: HashMap<String, Entry>,
    /// Grows with every use; tells which model was used last.
    clock: u64,
}

struct Entry {
    /// Empty while the model is being loaded.
    model: Arc<OnceCell<Arc<FittedModel>>>,
    n_bytes: u64,
    used: u64,
}

impl ModelCache {
    pub(super) fn new(bound_bytes: u64) -> Self {
        Self { inside: Mutex::default(), bound_bytes, patience: PATIENCE }
    }

    /// The model of a blob, whose file has so many bytes; `load` runs where nobody has loaded it yet.
    ///
    /// # Errors
    /// What `load` says, to all who waited for it in turn; `model_loading` where another request loads for long.
    pub(super) async fn get(
        &self,
        blob: &str,
        n_bytes: u64,
        load: impl Future<Output = Result<FittedModel, ServiceError>>,
    ) -> Result<Arc<FittedModel>, ServiceError> {
        let cell = self.cell(blob, n_bytes);
        if let Some(model) = cell.get() {
            return Ok(model.clone());
        }
        let mine = AtomicBool::new(false);
        let loaded = cell.get_or_try_init(|| async {
            mine.store(true, Ordering::Relaxed);
            load.await.map(Arc::new)
        });
        let mut loaded = pin!(loaded);
        let found = tokio::select! {
            biased;
            found = &mut loaded => found.cloned(),
            () = tokio::time::sleep(self.patience) => match mine.load(Ordering::Relaxed) {
                // Who loads goes on: given up halfway, the work would begin again for the next.
                true => loaded.await.cloned(),
                false => Err(ServiceError::new(Code::ModelLoading, "the model is being loaded; try again")),
            },
        };
        self.settle(blob, &cell);
        found
    }

    /// Takes the entry of a blob for a use, and makes it where there is none.
    fn cell(&self, blob: &str, n_bytes: u64) -> Arc<OnceCell<Arc<FittedModel>>> {
        let mut inside = self.inside();
        inside.clock += 1;
        let used = inside.clock;
        let n_bytes = n_bytes.saturating_add(OVERHEAD_BYTES);
        // Not by `entry`, which would copy the name for every use.
        if let Some(entry) = inside.entries.get_mut(blob) {
            entry.used = used;
            return entry.model.clone();
        }
        let model = Arc::default();
        inside.entries.insert(blob.to_owned(), Entry { model: Arc::clone(&model), n_bytes, used });
        model
    }

    /// After a load: forgets one that failed, and the models that are beyond the bound.
    fn settle(&self, blob: &str, cell: &Arc<OnceCell<Arc<FittedModel>>>) {
        let mut inside = self.inside();
        let own = inside.entries.get(blob).filter(|e| Arc::ptr_eq(&e.model, cell));
        // Others may wait in the cell of a failed load: the next of them loads, and settles after it.
        if own.is_some_and(|e| !e.model.initialized() && Arc::strong_count(&e.model) <= 2) {
            inside.entries.remove(blob);
        }
        let sum = |inside: &Inside| -> u64 {
            let loaded = inside.entries.values().filter(|e| e.model.initialized());
            loaded.map(|e| e.n_bytes).fold(0, u64::saturating_add)
        };
        while sum(&inside) > self.bound_bytes {
            let loaded = inside.entries.iter().filter(|(_, e)| e.model.initialized());
            let Some(oldest) = loaded.min_by_key(|(_, e)| e.used).map(|(blob, _)| blob.clone()) else { return };
            inside.entries.remove(&oldest);
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures::future::{join, join_all};
    use tokio::sync::Notify;

    use super::*;

    const FILE: &[u8] = include_bytes!("../../crates/adaptation/tests/reference/model_version_1.safetensors");

    fn model() -> Result<FittedModel, ServiceError> {
        FittedModel::load(FILE).map_err(ServiceError::internal)
    }

    /// A cache that counts its loads.
    struct Counted {
        cache: ModelCache,
        loads: AtomicUsize,
    }

    impl Counted {
        fn new(n_models: u64) -> Self {
            Self { cache: ModelCache::new(n_models * (1000 + OVERHEAD_BYTES)), loads: AtomicUsize::new(0) }
        }

        async fn take(&self, blob: &str) {
            let load = async {
                self.loads.fetch_add(1, Ordering::SeqCst);
                model()
            };
            self.cache.get(blob, 1000, load).await.expect("a model");
        }

        fn loads(&self) -> usize {
            self.loads.swap(0, Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn requests_that_meet_a_cold_model_load_it_once() {
        let (cache, loads, gate) = (ModelCache::new(1 << 20), AtomicUsize::new(0), Notify::new());
        let load = || async {
            loads.fetch_add(1, Ordering::SeqCst);
            gate.notified().await;
            model()
        };
        let all = join_all((0..100).map(|_| cache.get("a", 1000, load())));
        // All hundred are polled before the load may go on.
        let (found, ()) = join(all, async { gate.notify_one() }).await;
        assert_eq!((found.len(), loads.load(Ordering::SeqCst)), (100, 1));
        let first = found[0].as_ref().expect("a model");
        assert!(found.iter().all(|m| m.as_ref().is_ok_and(|m| Arc::ptr_eq(m, first))));
    }

    #[tokio::test]
    async fn the_model_that_was_not_used_for_longest_goes_first() {
        let counted = Counted::new(2);
        for blob in ["a", "b", "a", "c"] {
            counted.take(blob).await;
        }
        assert_eq!(counted.loads(), 3);
        counted.take("a").await;
        counted.take("c").await;
        assert_eq!(counted.loads(), 0, "they were kept");
        counted.take("b").await;
        assert_eq!(counted.loads(), 1, "it had gone");
    }

    #[tokio::test]
    async fn a_model_beyond_the_bound_is_answered_with_and_not_kept() {
        let counted = Counted::new(0);
        counted.take("a").await;
        counted.take("a").await;
        assert_eq!(counted.loads(), 2);
        assert!(counted.cache.inside().entries.is_empty());
    }

    #[tokio::test]
    async fn a_load_that_failed_is_tried_again() {
        let counted = Counted::new(2);
        let refused = counted.cache.get("a", 1000, async { Err(ServiceError::internal("gone")) }).await;
        assert!(refused.is_err());
        assert!(counted.cache.inside().entries.is_empty(), "nothing is left of it");
        counted.take("a").await;
        assert_eq!(counted.loads(), 1);
    }

    #[tokio::test]
    async fn who_waits_too_long_for_another_is_asked_to_come_again() {
        let cache = ModelCache { patience: Duration::ZERO, ..ModelCache::new(1 << 20) };
        let gate = Notify::new();
        let first = cache.get("a", 1000, async {
            gate.notified().await;
            model()
        });
        let second = async {
            let refused = cache.get("a", 1000, async { model() }).await;
            gate.notify_one();
            refused.err().map(|e| e.code)
        };
        let (first, second) = join(first, second).await;
        assert!(first.is_ok(), "who loads goes on");
        assert_eq!(second, Some(Code::ModelLoading));
    }
}
