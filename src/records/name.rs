//! Names that clients choose, and references to stored things by name or id, with or without a
//! version.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::ids::{Id, Prefix};

/// A name: `[a-z0-9][a-z0-9._-]{0,99}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

/// Why a text is not a name or a reference.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "a name begins with a lower-case letter or digit and holds at most 100 lower-case letters, digits, dots, hyphens and underscores; a version follows as @3"
)]
pub struct BadName;

impl Name {
    pub const MAX_LEN: usize = 100;

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = text.as_bytes();
        let good = (1..=Self::MAX_LEN).contains(&bytes.len())
            && word(bytes[0])
            && bytes.iter().all(|&b| word(b) || matches!(b, b'.' | b'_' | b'-'))
            && !looks_like_an_id(text);
        if good { Ok(Self(text.to_owned())) } else { Err(BadName) }
    }
}

/// A name in the form of a domain's or a model's id could never be reached: the id would be taken first.
/// That of a job may be a name: it is what a model is called that was given none.
fn looks_like_an_id(text: &str) -> bool {
    text.split_once('_')
        .is_some_and(|(prefix, rest)| ["dom", "mod"].contains(&prefix) && uuid::Uuid::try_parse(rest).is_ok())
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A stored thing by its name or its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference<I> {
    Name(Name),
    Id(I),
}

/// A reference with the version that is meant; `None` is the newest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VersionedReference<I> {
    pub thing: Reference<I>,
    pub version: Option<i64>,
}

impl<P: Prefix> FromStr for Reference<Id<P>> {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        match text.parse::<Id<P>>() {
            Ok(id) => Ok(Reference::Id(id)),
            Err(()) => text.parse().map(Reference::Name),
        }
    }
}

impl<P: Prefix> FromStr for VersionedReference<Id<P>> {
    type Err = BadName;

    /// `name`, `name@3`, `dom_…`, `dom_…@3`.
    fn from_str(text: &str) -> Result<Self, BadName> {
        let (thing, version) = match text.split_once('@') {
            None => (text, None),
            Some((thing, version)) => {
                let canonical = version.bytes().all(|b| b.is_ascii_digit()) && !version.starts_with('0');
                let number = version.parse::<i64>().ok().filter(|_| canonical).ok_or(BadName)?;
                (thing, Some(number))
            }
        };
        Ok(Self { thing: thing.parse()?, version })
    }
}

#[cfg(test)]
mod tests {
    use super::super::ids::DomainId;
    use super::*;

    #[track_caller]
    fn check(text: &str, good: bool) {
        assert_eq!(text.parse::<Name>().is_ok(), good, "{text:?}");
    }

    #[test]
    fn names_hold_no_path_and_no_surprise() {
        check("churn-eu_2.1", true);
        check(&"a".repeat(100), true);
        for bad in [
            "",
            "../x",
            "a/b",
            ".a",
            "-a",
            "A",
            "é",
            "a b",
            "a\0",
            "a@1",
            "dom_0197f1c2-4192-7000-8000-000000000000",
            &"a".repeat(101),
        ] {
            check(bad, false);
        }
    }

    #[test]
    fn references_carry_versions() {
        let at = |t: &str| t.parse::<VersionedReference<DomainId>>();
        assert_eq!(at("churn@3").map(|r| r.version), Ok(Some(3)));
        assert_eq!(at("churn").map(|r| r.version), Ok(None));
        for bad in ["churn@", "churn@0", "churn@x", "churn@+1", "churn@1@2", "churn@99999999999999999999"] {
            assert_eq!(at(bad), Err(BadName), "{bad}");
        }
    }
}
