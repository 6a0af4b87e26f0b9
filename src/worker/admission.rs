//! The memory of all running jobs together. An attempt takes its share before it computes, and waits where there is not
//! enough left: in the order of asking, so that a large one is not overtaken for ever by small ones.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use adaptation::context::FitError;

/// Between two looks at whether a job that waits is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How much memory jobs may ask for together.
#[derive(Clone)]
pub(super) struct MemoryBudget(Arc<Budget>);

struct Budget {
    total: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    taken: u64,
    /// Who waits, in order.
    waiting: VecDeque<u64>,
    next_ticket: u64,
}

/// A share that was taken; given back when it is dropped.
pub(super) struct Share {
    budget: MemoryBudget,
    bytes: u64,
}

impl MemoryBudget {
    pub(super) fn new(total: u64) -> Self {
        Self(Arc::new(Budget { total, state: Mutex::default(), changed: Condvar::new() }))
    }

    /// Takes a share, on a compute thread. `wait` is called from time to time while there is not enough, and ends the
    /// waiting by its error.
    ///
    /// # Errors
    /// Where the share is more than there is in all, and what `wait` says.
    pub(super) fn take(&self, bytes: u64, wait: &dyn Fn() -> Result<(), FitError>) -> Result<Share, FitError> {
        if bytes > self.0.total {
            return Err(FitError::OutOfMemoryBudget { what: "the job", needed: bytes, available: self.0.total });
        }
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back(ticket);
        while state.waiting.front() != Some(&ticket) || state.taken + bytes > self.0.total {
            drop(state);
            let wanted = wait();
            state = self.lock();
            if let Err(error) = wanted {
                state.waiting.retain(|waiting| *waiting != ticket);
                self.0.changed.notify_all();
                return Err(error);
            }
            if state.waiting.front() != Some(&ticket) || state.taken + bytes > self.0.total {
                let waited = self.0.changed.wait_timeout(state, LOOK_EVERY);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        state.waiting.pop_front();
        state.taken += bytes;
        self.0.changed.notify_all();
        Ok(Share { budget: self.clone(), bytes })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held leaves values that are each whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.lock().taken -= self.bytes;
        self.budget.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn shares_are_given_in_the_order_of_asking() {
        let budget = MemoryBudget::new(10);
        let first = budget.take(8, &|| panic!("there is enough")).expect("a share");
        let (waits, waiting) = mpsc::channel();
        let (got, gotten) = mpsc::channel();
        std::thread::scope(|scope| {
            let mut early = None;
            for bytes in [9, 1] {
                let (budget, got, tell) = (budget.clone(), got.clone(), waits.clone());
                scope.spawn(move || {
                    let share = budget.take(bytes, &|| tell.send(bytes).map_err(|_| FitError::Cancelled));
                    got.send((bytes, share.expect("a share"))).expect("a listener");
                });
                // It stands in the line before the next asks.
                while early.is_none() && waiting.recv().expect("someone waits") != bytes {
                    early = gotten.try_recv().ok();
                }
            }
            // One byte would fit beside the first, but the nine came before it. Looked at last: who waits must not be left.
            early = early.or(gotten.try_recv().ok());
            drop(first);
            assert_eq!(early.map(|(bytes, _)| bytes), None, "one byte overtook the nine");
            // Then both get theirs at once, and say so in any order.
            let mut both = [gotten.recv().expect("a share"), gotten.recv().expect("a share")].map(|(bytes, _)| bytes);
            both.sort_unstable();
            assert_eq!(both, [1, 9]);
        });
        assert!(budget.take(10, &|| Err(FitError::Cancelled)).is_ok(), "all was given back");
    }

    #[test]
    fn who_waits_may_be_told_to_stop_and_too_much_is_refused_at_once() {
        let budget = MemoryBudget::new(10);
        let share = budget.take(10, &|| Ok(())).expect("a share");
        assert_eq!(budget.take(1, &|| Err(FitError::Cancelled)).err(), Some(FitError::Cancelled));
        let too_much = budget.take(11, &|| Ok(())).err();
        assert!(matches!(too_much, Some(FitError::OutOfMemoryBudget { needed: 11, available: 10, .. })));
        drop(share);
        assert!(budget.take(10, &|| panic!("nobody is before it")).is_ok());
    }
}
