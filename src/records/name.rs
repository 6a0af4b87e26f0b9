//! Names that clients choose, and references to stored things by name or id, with or without a
//! version; of models also by alias.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::ids::{Id, ModelId, Prefix};

/// A name: `[a-z0-9][a-z0-9._-]{0,99}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

/// Why a text is not a name or a reference.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "a name begins with a lower-case letter or digit and holds at most 100 lower-case letters, digits, dots, hyphens and underscores; a version follows as @3, the alias of a model as @production"
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

/// A name for a version of a model. It follows the rules of names and cannot be taken for a version.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Alias(Name);

impl Alias {
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for Alias {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let number = text.strip_prefix('v').unwrap_or(text);
        let version = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        // What is meant by no version at all.
        if version || text == "latest" { Err(BadName) } else { text.parse().map(Self) }
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
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

/// A model, and which of its versions is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelReference {
    pub thing: Reference<ModelId>,
    pub which: Which,
}

/// Which version of a model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Which {
    Newest,
    Version(i64),
    Alias(Alias),
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
            Some((thing, version)) => (thing, Some(number(version)?)),
        };
        Ok(Self { thing: thing.parse()?, version })
    }
}

impl FromStr for ModelReference {
    type Err = BadName;

    /// As other references, and `name@production`.
    fn from_str(text: &str) -> Result<Self, BadName> {
        let (thing, which) = match text.split_once('@') {
            None => (text, Which::Newest),
            Some((thing, word)) => {
                (thing, number(word).map(Which::Version).or_else(|_| word.parse().map(Which::Alias))?)
            }
        };
        Ok(Self { thing: thing.parse()?, which })
    }
}

/// A version as it is written after the `@`.
fn number(text: &str) -> Result<i64, BadName> {
    let canonical = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
    text.parse::<i64>().ok().filter(|_| canonical).ok_or(BadName)
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

    #[test]
    fn references_to_models_carry_aliases_that_are_no_versions() {
        let which = |t: &str| t.parse::<ModelReference>().map(|r| r.which);
        assert_eq!(which("churn@3"), Ok(Which::Version(3)));
        assert_eq!(which("churn"), Ok(Which::Newest));
        for alias in ["production", "v", "2026-11", "v3.1", "3a"] {
            let word = alias.parse::<Alias>().map(|a| a.to_string());
            assert_eq!(word.as_deref(), Ok(alias));
            assert!(matches!(which(&format!("churn@{alias}")), Ok(Which::Alias(_))), "{alias}");
        }
        for bad in ["", "0", "03", "v3", "99999999999999999999", "latest", "a@b", "A", "../x", "-1"] {
            assert_eq!(bad.parse::<Alias>(), Err(BadName), "{bad}");
            assert_eq!(which(&format!("churn@{bad}")), Err(BadName), "{bad}");
        }
    }
}
