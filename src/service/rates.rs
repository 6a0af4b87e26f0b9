//! How often a key may ask. A limit is `n` requests a window, given back one by one over the window, so that there is no
//! moment at which all come at once. A key without a limit costs nothing here.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde::Deserialize;

use super::error::{Code, ServiceError};
use super::spec::duration_in;
use crate::records::{RateLimit, Timestamp};

const MAX_REQUESTS: u32 = 1_000_000;
const MAX_WINDOW_S: u64 = 24 * 3600;
const NS_PER_MS: i64 = 1_000_000;
const NS_PER_S: i64 = 1_000_000_000;

/// A limit as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct NewRateLimit {
    pub requests: u32,
    /// ISO 8601 duration of whole seconds, at most a day.
    pub window: String,
}

/// What one key has used of its limit.
#[derive(Debug)]
pub(super) struct Meter {
    limit: RateLimit,
    /// When all that was used will have been given back, in nanoseconds: one number, so that requests never wait for
    /// each other.
    used_until: AtomicI64,
}

/// Where a key stands after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub limit: RateLimit,
    /// Requests that would be answered now.
    pub remaining: u64,
    /// Until all of the limit is there again.
    pub reset: Duration,
    /// Where this request was one too many: when the next may come.
    pub retry_after: Option<Duration>,
}

impl Meter {
    pub(super) fn new(limit: RateLimit) -> Self {
        Self { limit, used_until: AtomicI64::new(i64::MIN) }
    }

    /// Takes one request, if one is left.
    pub(super) fn take(&self, now: Timestamp) -> Quota {
        let now = now.millis().saturating_mul(NS_PER_MS);
        let requests = i64::from(self.limit.requests.max(1));
        let each = (i64::from(self.limit.window_s) * NS_PER_S / requests).max(1);
        let all = each * requests;
        let taken = self.used_until.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |until| {
            let next = until.max(now) + each;
            (next - now <= all).then_some(next)
        });
        let (used, retry_after) = match taken {
            Ok(until) => (until.max(now) + each - now, None),
            Err(until) => (until - now, Some(nanoseconds(until + each - all - now))),
        };
        let remaining = u64::try_from((all - used) / each).unwrap_or(0);
        Quota { limit: self.limit, remaining, reset: nanoseconds(used), retry_after }
    }
}

impl Quota {
    /// # Errors
    /// If this request was one too many.
    pub fn check(&self) -> Result<(), ServiceError> {
        let Some(retry_after) = self.retry_after else { return Ok(()) };
        let RateLimit { requests, window_s } = self.limit;
        let detail = format!("this key may send {requests} requests in {window_s} s; send fewer, or later");
        Err(ServiceError { retry_after: Some(retry_after), ..ServiceError::new(Code::RateLimited, detail) })
    }
}

impl NewRateLimit {
    /// # Errors
    /// If a number is beyond what is counted.
    pub(super) fn checked(&self) -> Result<RateLimit, ServiceError> {
        let invalid = |field: &str, detail: String| {
            Err(ServiceError::at(Code::InvalidParameter, format!("/rate_limit/{field}"), detail))
        };
        if !(1..=MAX_REQUESTS).contains(&self.requests) {
            return invalid("requests", format!("{} is not between 1 and {MAX_REQUESTS}", self.requests));
        }
        match duration_in(&self.window) {
            Ok(window) if window.subsec_nanos() == 0 && window.as_secs() <= MAX_WINDOW_S => {
                let window_s = u32::try_from(window.as_secs()).map_err(ServiceError::internal)?;
                Ok(RateLimit { requests: self.requests, window_s })
            }
            Ok(_) => invalid("window", "a window has whole seconds and is at most a day".into()),
            Err(why) => invalid("window", why.into()),
        }
    }
}

/// Whether nobody gets more by `inner` than `outer` gives.
pub(super) fn within(inner: Option<RateLimit>, outer: RateLimit) -> bool {
    let slower = |inner: RateLimit| {
        u64::from(inner.requests) * u64::from(outer.window_s) <= u64::from(outer.requests) * u64::from(inner.window_s)
    };
    inner.is_some_and(|inner| inner.requests <= outer.requests && slower(inner))
}

fn nanoseconds(n: i64) -> Duration {
    Duration::from_nanos(u64::try_from(n).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(1_764_000_000_000 + ms)
    }

    #[test]
    fn requests_are_given_back_one_by_one() {
        let meter = Meter::new(RateLimit { requests: 3, window_s: 3 });
        let left: Vec<u64> = (0..3).map(|_| meter.take(at(0)).remaining).collect();
        assert_eq!(left, [2, 1, 0]);
        let refused = meter.take(at(0));
        assert_eq!((refused.remaining, refused.retry_after), (0, Some(Duration::from_secs(1))));
        assert_eq!(refused.reset, Duration::from_secs(3));
        assert_eq!(refused.check().map_err(|e| e.code), Err(Code::RateLimited));
        assert_eq!(meter.take(at(999)).retry_after, Some(Duration::from_millis(1)), "what was refused costs nothing");
        assert_eq!(meter.take(at(1000)).retry_after, None);
        assert!(meter.take(at(1000)).retry_after.is_some());
        assert_eq!(meter.take(at(60_000)).remaining, 2, "no more is saved up than the limit");
    }

    #[test]
    fn any_limit_gives_exactly_its_number_at_once() {
        for requests in [1, 7, 59, 600, 1_000_000] {
            let meter = Meter::new(RateLimit { requests, window_s: 1 });
            let good = (0..=requests).filter(|_| meter.take(at(0)).retry_after.is_none()).count();
            assert_eq!(good, requests as usize);
        }
    }

    #[test]
    fn a_limit_is_no_way_around_another() {
        let of = |requests, window_s| RateLimit { requests, window_s };
        let outer = of(60, 60);
        assert!(within(Some(of(60, 60)), outer) && within(Some(of(1, 1)), outer) && within(Some(of(10, 60)), outer));
        assert!(!within(None, outer) && !within(Some(of(61, 3600)), outer) && !within(Some(of(2, 1)), outer));
    }
}
