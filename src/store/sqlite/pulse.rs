//! Whether the writer goes on: since when it has been at what it does. It waits for work as long as it likes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the writer says of itself, and others read. Times are since any fixed moment.
#[derive(Default)]
pub(super) struct Pulse(AtomicU64);

/// The writer waits for work.
const AT_REST: u64 = 0;

impl Pulse {
    /// Work begins, or its next part does.
    pub(super) fn beat(&self, now: Duration) {
        self.0.store(millis(now), Ordering::Relaxed);
    }

    /// All work is answered.
    pub(super) fn rest(&self) {
        self.0.store(AT_REST, Ordering::Relaxed);
    }

    /// How long work has been waiting for an answer.
    pub(super) fn silent_for(&self, now: Duration) -> Duration {
        match self.0.load(Ordering::Relaxed) {
            AT_REST => Duration::ZERO,
            since => Duration::from_millis(millis(now).saturating_sub(since)),
        }
    }
}

/// Never that of rest.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_work_that_waits_is_silence() {
        let at = Duration::from_secs;
        let pulse = Pulse::default();
        assert_eq!(pulse.silent_for(at(1000)), at(0), "there was no work yet");
        pulse.beat(at(0));
        assert_eq!(pulse.silent_for(at(9)), at(9));
        pulse.beat(at(9));
        assert_eq!(pulse.silent_for(at(12)), at(3), "each transaction is a sign of life");
        pulse.rest();
        assert_eq!(pulse.silent_for(at(5000)), at(0));
    }
}
