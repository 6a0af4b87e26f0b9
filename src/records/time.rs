//! Points in time, and the clock that is passed to whoever needs one.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Milliseconds since 1970-01-01T00:00:00Z; written as RFC 3339 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A length of time, written as ISO 8601 has it; a day has 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period(pub Duration);

/// Gives the time. Real in the service, controlled in tests.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

/// The machine's clock, read once: what has passed since is counted by a clock that nobody sets, so that no lease, retry or
/// deadline follows when the time of day is corrected. A machine that starts with a wrong time keeps it until the process
/// starts anew.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// The time of day as it is set now, which may jump: to be compared with what others stamped by it, such as files.
#[derive(Debug, Clone, Copy, Default)]
pub struct TimeOfDay;

/// Both clocks of the machine, read together.
#[derive(Debug, Clone, Copy)]
struct Reading {
    time_of_day: Timestamp,
    /// Grows at its pace whatever is set, also while the machine sleeps.
    since_boot: Duration,
}

/// The first reading of the process.
static FIRST: OnceLock<Reading> = OnceLock::new();

/// A clock that stands still until it is moved.
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<AtomicI64>);

impl Timestamp {
    /// After every time that there will be.
    pub const MAX: Self = Self(i64::MAX);

    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    pub const fn millis(self) -> i64 {
        self.0
    }

    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The time since `earlier`; zero if that is later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Period {
    pub const fn days(n: u64) -> Self {
        Self(Duration::from_secs(n * 24 * 3600))
    }
}

impl FromStr for Period {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        text.parse::<jiff::Span>()
            .and_then(|span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()))
            .ok()
            .and_then(|d| Duration::try_from(d).ok())
            .filter(|_| text.starts_with('P'))
            .map(Self)
            .ok_or("an ISO 8601 duration is expected, such as \"P30D\" or \"PT12H\"")
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::SignedDuration::try_from(self.0) {
            Ok(duration) => write!(f, "{duration}"),
            Err(_) => f.write_str("PT9223372036854775807S"),
        }
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

impl TryFrom<String> for Period {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => write!(f, "{t:.3}"),
            // Outside the years that RFC 3339 can write.
            Err(_) => write!(f, "{}", if self.0 < 0 { "0000-01-01T00:00:00.000Z" } else { "9999-12-31T23:59:59.999Z" }),
        }
    }
}

impl FromStr for Timestamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        Ok(Self(text.parse::<jiff::Timestamp>()?.as_millisecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let now = Reading::take();
        FIRST.get_or_init(|| now).time_of(now)
    }
}

impl Clock for TimeOfDay {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is passed")]
    fn now(&self) -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_millisecond())
    }
}

impl Reading {
    fn take() -> Self {
        Self { time_of_day: TimeOfDay.now(), since_boot: since_boot() }
    }

    /// The time of a later reading, by what has passed since this one.
    fn time_of(self, later: Reading) -> Timestamp {
        self.time_of_day.plus(later.since_boot.saturating_sub(self.since_boot))
    }
}

#[cfg(target_os = "linux")]
fn since_boot() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let read = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(read.tv_sec).unwrap_or(0), u32::try_from(read.tv_nsec).unwrap_or(0))
}

/// Where the sleep of the machine is not counted: what waits then waits longer.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "this is the clock that everything else is passed")]
fn since_boot() -> Duration {
    static BEGAN: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    BEGAN.elapsed()
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

impl ManualClock {
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(now.0)))
    }

    /// Sets the time, also back.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    pub fn advance(&self, duration: Duration) {
        self.0.fetch_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc_with_milliseconds() {
        let t = Timestamp::from_millis(1_764_000_235_120);
        assert_eq!(t.to_string(), "2025-11-24T16:03:55.120Z");
        assert_eq!(t.to_string().parse::<Timestamp>().ok(), Some(t));
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00.000Z");
    }

    /// What the clock tells when the time of day is set by so much while five seconds pass.
    #[track_caller]
    fn check_jump(hours: i64) {
        let began = 1_764_000_000_000;
        let set = began + 5_000 + hours * 3_600_000;
        let read = |ms, s| Reading { time_of_day: Timestamp(ms), since_boot: Duration::from_secs(s) };
        let first = read(began, 70_000);
        assert_eq!(first.time_of(read(set, 70_005)), Timestamp(began + 5_000), "set by {hours} h");
    }

    #[test]
    fn the_clock_does_not_follow_when_the_time_of_day_is_set() {
        check_jump(0);
        check_jump(1);
        check_jump(-1);
    }

    #[test]
    fn the_clock_begins_at_the_time_of_day_and_goes_on() {
        let before = SystemClock.now();
        assert!(TimeOfDay.now().millis().abs_diff(before.millis()) < 60_000);
        let began = Reading::take();
        while Reading::take().since_boot.saturating_sub(began.since_boot) < Duration::from_millis(20) {}
        assert!((15..10_000).contains(&SystemClock.now().since(before).as_millis()));
    }

    #[test]
    fn periods_are_iso_8601() {
        assert_eq!("P30D".parse(), Ok(Period::days(30)));
        assert_eq!("PT0S".parse(), Ok(Period(Duration::ZERO)));
        for period in ["P30D", "PT90M", "PT0.5S"] {
            let period: Period = period.parse().expect("a period");
            assert_eq!(period.to_string().parse(), Ok(period));
        }
        for wrong in ["", "30", "30 days", "-P1D", "P1X"] {
            assert!(wrong.parse::<Period>().is_err(), "{wrong}");
        }
    }
}
