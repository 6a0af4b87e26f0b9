//! Typed ids: a prefix and a UUIDv7, such as `job_0197f1c2-…`; sortable by time and greppable.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Mutex;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::{ContextV7, Uuid};

use super::time::Timestamp;

/// The last time and counter given out, so that ids of one process sort as they were made, within a
/// millisecond too: the queue is first in, first out by them. A clock that is set back gives ids of the
/// last time that was seen.
static SEQUENCE: Mutex<ContextV7> = Mutex::new(ContextV7::new());

/// What an id names; gives the prefix.
pub trait Prefix: 'static {
    const PREFIX: &'static str;
}

/// An id of one kind of thing.
pub struct Id<P> {
    uuid: Uuid,
    kind: PhantomData<fn() -> P>,
}

/// Marks ids of jobs.
pub enum JobKindOfId {}
/// Marks ids of domains.
pub enum DomainKindOfId {}
/// Marks ids of models.
pub enum ModelKindOfId {}
/// Marks ids of keys.
pub enum KeyKindOfId {}
/// Marks ids of requests.
pub enum RequestKindOfId {}

pub type JobId = Id<JobKindOfId>;
pub type DomainId = Id<DomainKindOfId>;
pub type ModelId = Id<ModelKindOfId>;
pub type KeyId = Id<KeyKindOfId>;
pub type RequestId = Id<RequestKindOfId>;

impl Prefix for JobKindOfId {
    const PREFIX: &'static str = "job";
}
impl Prefix for DomainKindOfId {
    const PREFIX: &'static str = "dom";
}
impl Prefix for ModelKindOfId {
    const PREFIX: &'static str = "mod";
}
impl Prefix for KeyKindOfId {
    const PREFIX: &'static str = "key";
}
impl Prefix for RequestKindOfId {
    const PREFIX: &'static str = "req";
}

impl<P: Prefix> Id<P> {
    /// A new id of that time, after every id that this process has made.
    pub fn at(now: Timestamp) -> Self {
        let ms = now.millis().max(0) as u64;
        let time = uuid::Timestamp::from_unix(&SEQUENCE, ms / 1000, (ms % 1000) as u32 * 1_000_000);
        Self { uuid: Uuid::new_v7(time), kind: PhantomData }
    }
}

impl<P: Prefix> fmt::Display for Id<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", P::PREFIX, self.uuid)
    }
}

impl<P: Prefix> fmt::Debug for Id<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<P: Prefix> FromStr for Id<P> {
    type Err = ();

    /// Accepts exactly what `Display` writes.
    fn from_str(text: &str) -> Result<Self, ()> {
        let rest = text.strip_prefix(P::PREFIX).and_then(|t| t.strip_prefix('_')).ok_or(())?;
        let uuid = Uuid::try_parse(rest).map_err(|_| ())?;
        let id = Self { uuid, kind: PhantomData };
        if id.to_string() == text { Ok(id) } else { Err(()) }
    }
}

impl<P> Clone for Id<P> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<P> Copy for Id<P> {}
impl<P> PartialEq for Id<P> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}
impl<P> Eq for Id<P> {}
impl<P> PartialOrd for Id<P> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<P> Ord for Id<P> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.uuid.cmp(&other.uuid)
    }
}
impl<P> std::hash::Hash for Id<P> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}

impl<P: Prefix> Serialize for Id<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, P: Prefix> Deserialize<'de> for Id<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|()| serde::de::Error::custom(format!("not an id of kind {}", P::PREFIX)))
    }
}

/// Whose things these are. Every query of the store carries one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TenantId(pub String);

impl Default for TenantId {
    /// The tenant of a service without keys.
    fn default() -> Self {
        Self("default".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_parse_back() {
        let (a, b) = (JobId::at(Timestamp::from_millis(1_000)), JobId::at(Timestamp::from_millis(2_000)));
        assert!(a < b && a.to_string() < b.to_string());
        assert_eq!(a.to_string().parse(), Ok(a));
        assert!(a.to_string().starts_with("job_"));
        assert!(a.to_string().replace("job_", "mod_").parse::<JobId>().is_err());
        assert!(a.to_string().to_uppercase().parse::<JobId>().is_err());
    }

    #[test]
    fn ids_of_one_millisecond_sort_as_they_were_made() {
        let at = |ms| JobId::at(Timestamp::from_millis(ms));
        // One that seems to come from before, and threads beside it, change nothing.
        let make = |n: i64| (0..n).map(|i| at(if i % 10 == 0 { 4_000 } else { 5_000 })).collect::<Vec<_>>();
        let made = std::thread::scope(|threads| {
            let beside = threads.spawn(|| make(1_000));
            [make(1_000), beside.join().expect("ids")]
        });
        for ids in &made {
            assert!(ids.is_sorted_by(|a, b| a < b && a.to_string() < b.to_string()));
        }
        let mut all = made.concat();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 2_000);
    }
}
