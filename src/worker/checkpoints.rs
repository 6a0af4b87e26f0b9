//! State that a running attempt offers, on its way to where it is kept. The runner's side offers often; the state itself
//! is made only when the last one is old, or when the attempt is about to end before its work is done.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// What was offered since the supervisor last looked.
pub(super) struct Checkpoints {
    every: Duration,
    state: Mutex<State>,
    made: Notify,
}

struct State {
    /// Whether the work offers state at all.
    offers: bool,
    /// Whether the next offer is taken at once.
    asked: bool,
    made_at: Instant,
    pending: Option<Vec<u8>>,
}

impl Checkpoints {
    /// State is taken at most so often, unless it is asked for.
    #[expect(clippy::disallowed_methods, reason = "the time between two checkpoints is monotonic")]
    pub(super) fn new(every: Duration) -> Self {
        let state = State { offers: false, asked: false, made_at: Instant::now(), pending: None };
        Self { every, state: Mutex::new(state), made: Notify::new() }
    }

    /// Takes the state where it is wanted.
    #[expect(clippy::disallowed_methods, reason = "the time between two checkpoints is monotonic")]
    pub(super) fn offer(&self, make: &dyn Fn() -> Vec<u8>) {
        let wanted = {
            let mut state = self.lock();
            state.offers = true;
            state.asked || state.made_at.elapsed() >= self.every
        };
        if !wanted {
            return;
        }
        // Made outside of the lock: the supervisor must not wait for it.
        let made = make();
        let mut state = self.lock();
        state.pending = Some(made);
        state.asked = false;
        state.made_at = Instant::now();
        drop(state);
        self.made.notify_one();
    }

    /// Asks for the next state that is offered; false where none will be.
    pub(super) fn ask(&self) -> bool {
        let mut state = self.lock();
        state.asked = state.offers;
        state.offers
    }

    pub(super) fn take(&self) -> Option<Vec<u8>> {
        self.lock().pending.take()
    }

    /// Returns when there may be something to take.
    pub(super) async fn made(&self) {
        self.made.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held leaves values that are each whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_made_when_the_last_is_old_or_when_it_is_asked_for() {
        let often = Checkpoints::new(Duration::ZERO);
        assert!(!often.ask(), "nothing was offered yet");
        often.offer(&|| vec![1]);
        often.offer(&|| vec![2]);
        assert_eq!((often.take(), often.take()), (Some(vec![2]), None), "the newest is enough");

        let seldom = Checkpoints::new(Duration::from_secs(3600));
        seldom.offer(&|| panic!("nobody wants it"));
        assert!(seldom.ask());
        seldom.offer(&|| vec![3]);
        assert_eq!(seldom.take(), Some(vec![3]));
        seldom.offer(&|| panic!("it was asked for once"));
    }
}
