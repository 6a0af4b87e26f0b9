//! Keys: who may ask for what. A key is stored by the hash of its secret alone.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ids::{KeyId, TenantId};
use super::time::Timestamp;

/// What a key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    DomainsRead,
    DomainsWrite,
    /// Raw rows, apart from what is known of them.
    DataRead,
    JobsRead,
    JobsWrite,
    ModelsRead,
    ModelsWrite,
    ModelsPredict,
    KeysRead,
    KeysWrite,
    MetricsRead,
    /// Everything.
    Admin,
}

impl Scope {
    pub const ALL: [Scope; 12] = [
        Scope::DomainsRead,
        Scope::DomainsWrite,
        Scope::DataRead,
        Scope::JobsRead,
        Scope::JobsWrite,
        Scope::ModelsRead,
        Scope::ModelsWrite,
        Scope::ModelsPredict,
        Scope::KeysRead,
        Scope::KeysWrite,
        Scope::MetricsRead,
        Scope::Admin,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::DomainsRead => "domains:read",
            Scope::DomainsWrite => "domains:write",
            Scope::DataRead => "data:read",
            Scope::JobsRead => "jobs:read",
            Scope::JobsWrite => "jobs:write",
            Scope::ModelsRead => "models:read",
            Scope::ModelsWrite => "models:write",
            Scope::ModelsPredict => "models:predict",
            Scope::KeysRead => "keys:read",
            Scope::KeysWrite => "keys:write",
            Scope::MetricsRead => "metrics:read",
            Scope::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Scope::ALL.into_iter().find(|s| s.as_str() == text).ok_or(())
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|()| {
            let known = Scope::ALL.map(Scope::as_str).join(", ");
            serde::de::Error::custom(format!("{text:?} is not one of {known}"))
        })
    }
}

/// A key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    pub id: KeyId,
    pub tenant: TenantId,
    /// What people call it.
    pub name: String,
    /// Distinct, in the order of [`Scope::ALL`].
    pub scopes: Vec<Scope>,
    /// SHA-256 of the secret, in hexadecimal.
    pub secret_hash: String,
    /// The secret before the last rotation, as long as it is still accepted.
    pub previous: Option<PreviousSecret>,
    pub created_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    pub rate_limit: Option<RateLimit>,
}

/// How many requests a key may send in how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    pub requests: u32,
    pub window_s: u32,
}

/// A secret that was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousSecret {
    pub hash: String,
    pub until: Timestamp,
}

/// A new secret for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    pub secret_hash: String,
    /// Until when the old secret is accepted beside it.
    pub previous_until: Timestamp,
}
