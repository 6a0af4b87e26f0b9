//! Keys: made, shown once, found again by the hash of their secret. All are held in memory, so that asking who sends a
//! request costs no read of the database; this process alone changes them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::error::{Code, ServiceError};
use super::jobs::check_cursor;
use super::rates::{Meter, NewRateLimit, Quota, within};
use super::requests::{Once, RequestKey, made_by_same, odd};
use super::scratch::hex;
use super::spec::duration_in;
use super::{Page, Service, cut, one_more};
use crate::records::{KeyId, KeyRecord, Made, PageRequest, Rotation, Scope, TenantId, Timestamp};
use crate::store::Store;

/// Who sends a request, and what it may ask for.
#[derive(Debug, Clone)]
pub struct Caller {
    pub tenant: TenantId,
    /// `None` where the service has no keys.
    pub key: Option<KeyId>,
    scopes: Vec<Scope>,
    meter: Option<Arc<Meter>>,
}

/// What a new key is to be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct NewKey {
    pub name: String,
    pub scopes: Vec<Scope>,
    /// ISO 8601 duration from now; without it the key does not expire.
    #[serde(default)]
    pub expires_in: Option<String>,
    /// Without it the key may ask as often as it likes.
    #[serde(default)]
    pub rate_limit: Option<NewRateLimit>,
}

/// How a key is rotated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct RotateKey {
    /// ISO 8601 duration for which the old secret is accepted beside the new one; none by default.
    pub grace: Option<String>,
}

/// A key with its secret, which is shown this once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreshKey {
    pub record: KeyRecord,
    /// `ak_…_…`, to be sent as `Authorization: Bearer ak_…`.
    pub token: String,
}

/// Old secrets are for the time of a change.
const MAX_GRACE: Duration = Duration::from_secs(7 * 24 * 3600);
const MAX_NAME_CHARS: usize = 100;

/// All keys, by id.
#[derive(Debug, Default)]
pub(super) struct Keyring {
    keys: RwLock<HashMap<KeyId, Held>>,
}

/// A key, and what it has used of its limit: what is changed of the key changes nothing of that.
#[derive(Debug, Clone)]
struct Held {
    record: Arc<KeyRecord>,
    meter: Option<Arc<Meter>>,
}

impl Held {
    fn of(key: KeyRecord) -> Self {
        Self { meter: key.rate_limit.map(Meter::new).map(Arc::new), record: Arc::new(key) }
    }
}

impl Keyring {
    pub(super) fn of(keys: Vec<KeyRecord>) -> Self {
        Self { keys: RwLock::new(keys.into_iter().map(|key| (key.id, Held::of(key))).collect()) }
    }

    fn put(&self, key: KeyRecord) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let meter = keys.get(&key.id).and_then(|held| held.meter.clone());
        let held = Held::of(key);
        keys.insert(held.record.id, Held { meter: meter.or(held.meter), record: held.record });
    }

    fn get(&self, id: KeyId) -> Option<Held> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    fn is_empty(&self) -> bool {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl Caller {
    fn anonymous() -> Self {
        Self { tenant: TenantId::default(), key: None, scopes: vec![Scope::Admin], meter: None }
    }

    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&Scope::Admin) || self.scopes.contains(&scope)
    }

    /// Counts a request; `None` where the key has no limit.
    pub fn charge(&self, now: Timestamp) -> Option<Quota> {
        Some(self.meter.as_ref()?.take(now))
    }

    /// # Errors
    /// [`Code::InsufficientScope`].
    pub fn require(&self, scope: Scope) -> Result<(), ServiceError> {
        if self.may(scope) {
            return Ok(());
        }
        Err(ServiceError::new(Code::InsufficientScope, format!("this key lacks the scope {scope}")))
    }

    /// Whether the caller may all that a key may, as who changes that key has to.
    fn check_covers(&self, key: &KeyRecord) -> Result<(), ServiceError> {
        let Some(scope) = key.scopes.iter().find(|scope| !self.may(**scope)) else { return Ok(()) };
        let detail = format!("that key has the scope {scope}, which this one lacks");
        Err(ServiceError::new(Code::ScopeEscalation, detail))
    }
}

impl Service {
    /// Whether requests need a key: from the first one on, also where all are revoked.
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Who presents this token; `None` is nobody, who may do everything where there are no keys.
    ///
    /// # Errors
    /// If a key is needed and none is given, or the one given is not known, revoked or expired.
    pub fn caller(&self, token: Option<&str>) -> Result<Caller, ServiceError> {
        let Some(token) = token else {
            if self.has_keys() {
                let detail = "send a key as Authorization: Bearer ak_…";
                return Err(ServiceError::new(Code::MissingCredentials, detail));
            }
            return Ok(Caller::anonymous());
        };
        // One answer for all that is wrong with a key, so that nobody learns which ids there are.
        let unknown = || ServiceError::new(Code::InvalidCredentials, "this key is not known, or was revoked");
        let (id, secret) = parse(token).ok_or_else(unknown)?;
        let Held { record: key, meter } = self.keys.get(id).ok_or_else(unknown)?;
        let now = self.clock.now();
        let hash = hash_of(secret);
        let previous = key.previous.as_ref().is_some_and(|p| same(&p.hash, &hash) && now < p.until);
        if key.revoked_at.is_some() || !(same(&key.secret_hash, &hash) || previous) {
            return Err(unknown());
        }
        if key.expires_at.is_some_and(|at| at <= now) {
            return Err(ServiceError::new(Code::KeyExpired, "this key has expired; ask for another"));
        }
        Ok(Caller { tenant: key.tenant.clone(), key: Some(key.id), scopes: key.scopes.clone(), meter })
    }

    /// Makes a key. A request that is sent again gets the key without its secret, which is stored nowhere.
    ///
    /// # Errors
    /// If the name or the time is none, or the key would allow more than the caller may.
    pub async fn create_key(
        &self,
        caller: &Caller,
        new: NewKey,
        key: Option<RequestKey>,
    ) -> Result<Once<FreshKey, KeyRecord>, ServiceError> {
        if let Some(scope) = new.scopes.iter().find(|scope| !caller.may(**scope)) {
            let detail = format!("a key cannot give the scope {scope}, which it lacks");
            return Err(ServiceError::at(Code::ScopeEscalation, "/scopes", detail));
        }
        let manages = |scope: &Scope| matches!(scope, Scope::Admin | Scope::KeysWrite);
        if !self.has_keys() && !new.scopes.iter().any(manages) {
            let detail = "from the first key on every request needs one, so the first must be able to make others: \
                          give it admin or keys:write";
            return Err(ServiceError::at(Code::InvalidParameter, "/scopes", detail));
        }
        let now = self.clock.now();
        let limit = caller.key.and_then(|id| self.keys.get(id)?.record.rate_limit);
        let fresh = draft_key(caller.tenant.clone(), new, now)?;
        if limit.is_some_and(|limit| !within(fresh.record.rate_limit, limit)) {
            let detail = "a key that has a limit gives no more than that: give the new one a limit within it";
            return Err(ServiceError::at(Code::ScopeEscalation, "/rate_limit", detail));
        }
        let request = self.keyed(&caller.tenant, key, now);
        if self.made_before(request.as_ref()).await?.is_none() {
            self.make_room(0)?;
        }
        if let Some(earlier) = self.store.create_key(fresh.record.clone(), request).await? {
            let Made::Key(id) = made_by_same(earlier)? else { return Err(odd()) };
            return Ok(Once::Replayed(self.read_key(&caller.tenant, id).await?));
        }
        self.keys.put(fresh.record.clone());
        Ok(Once::New(fresh))
    }

    /// # Errors
    /// If the cursor is none of ours.
    pub async fn list_keys(&self, tenant: &TenantId, page: &PageRequest) -> Result<Page<KeyRecord>, ServiceError> {
        check_cursor(page, |key| key.parse::<KeyId>().is_ok())?;
        let found = self.store.keys(tenant, &one_more(page)).await?;
        Ok(cut(found, page, |k| k.id.to_string()))
    }

    /// # Errors
    /// If there is no such key.
    pub async fn read_key(&self, tenant: &TenantId, id: KeyId) -> Result<KeyRecord, ServiceError> {
        self.store.key(tenant, id).await?.ok_or_else(no_key)
    }

    /// From the answer on the key is refused. Revoking twice changes nothing.
    ///
    /// # Errors
    /// If there is no such key, or it may what the caller may not.
    pub async fn revoke_key(&self, caller: &Caller, id: KeyId) -> Result<(), ServiceError> {
        // Else a key could lock out a stronger one.
        caller.check_covers(&self.read_key(&caller.tenant, id).await?)?;
        let key = self.store.revoke_key(&caller.tenant, id, self.clock.now()).await?.ok_or_else(no_key)?;
        self.keys.put(key);
        Ok(())
    }

    /// A new secret for a key; the old one is accepted for the time of grace.
    ///
    /// # Errors
    /// If there is no such key, it may what the caller may not, it is revoked, or the time is none.
    pub async fn rotate_key(&self, caller: &Caller, id: KeyId, how: RotateKey) -> Result<FreshKey, ServiceError> {
        let key = self.read_key(&caller.tenant, id).await?;
        // Else a key could take over a stronger one by its new secret.
        caller.check_covers(&key)?;
        let grace = how.grace.map(|text| time_in(&text, "/grace")).transpose()?.unwrap_or_default();
        if grace > MAX_GRACE {
            let detail = "an old secret is accepted for at most seven days";
            return Err(ServiceError::at(Code::InvalidParameter, "/grace", detail));
        }
        let secret = secret()?;
        let rotation = Rotation { secret_hash: hash_of(&secret), previous_until: self.clock.now().plus(grace) };
        let record = self.store.rotate_key(&caller.tenant, id, rotation).await?.ok_or_else(no_key)?;
        self.keys.put(record.clone());
        Ok(FreshKey { token: token(id, &secret), record })
    }
}

/// Makes a key of a tenant and stores it.
///
/// # Errors
/// If the name or the time is none.
pub async fn make_key(
    store: &dyn Store,
    tenant: TenantId,
    new: NewKey,
    now: Timestamp,
) -> Result<FreshKey, ServiceError> {
    let fresh = draft_key(tenant, new, now)?;
    store.create_key(fresh.record.clone(), None).await?;
    Ok(fresh)
}

fn draft_key(tenant: TenantId, new: NewKey, now: Timestamp) -> Result<FreshKey, ServiceError> {
    let invalid = |pointer: &str, detail: &str| ServiceError::at(Code::InvalidParameter, pointer, detail);
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME_CHARS || name.chars().any(char::is_control) {
        return Err(invalid("/name", "a name has 1 to 100 characters, none of them a control character"));
    }
    if new.scopes.is_empty() {
        return Err(invalid("/scopes", "give at least one scope"));
    }
    let expires_in = new.expires_in.map(|text| time_in(&text, "/expires_in")).transpose()?;
    let secret = secret()?;
    let id = KeyId::at(now);
    let record = KeyRecord {
        id,
        tenant,
        name: name.to_owned(),
        scopes: Scope::ALL.into_iter().filter(|scope| new.scopes.contains(scope)).collect(),
        secret_hash: hash_of(&secret),
        previous: None,
        created_at: now,
        expires_at: expires_in.map(|time| now.plus(time)),
        revoked_at: None,
        rate_limit: new.rate_limit.map(|limit| limit.checked()).transpose()?,
    };
    Ok(FreshKey { token: token(id, &secret), record })
}

fn time_in(text: &str, pointer: &str) -> Result<Duration, ServiceError> {
    duration_in(text).map_err(|why| ServiceError::at(Code::InvalidParameter, pointer, why))
}

fn no_key() -> ServiceError {
    ServiceError::new(Code::KeyNotFound, "there is no such key, or it was revoked")
}

/// `ak_<id>_<secret>`: the id finds the key, the secret proves it.
fn token(id: KeyId, secret: &str) -> String {
    format!("ak_{}_{secret}", id.to_string().trim_start_matches("key_"))
}

fn parse(token: &str) -> Option<(KeyId, &str)> {
    let (id, secret) = token.strip_prefix("ak_")?.split_once('_')?;
    Some((format!("key_{id}").parse().ok()?, secret))
}

/// 256 bits from the system, in hexadecimal.
fn secret() -> Result<String, ServiceError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(ServiceError::internal)?;
    Ok(hex(&bytes))
}

/// Secrets are random, so that no slow hash is needed to keep them from being guessed.
fn hash_of(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// Takes as long for texts that differ early as for those that differ late.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_key_and_holds_its_secret() {
        let id = KeyId::at(Timestamp::from_millis(1_000));
        let secret = secret().expect("random bytes");
        let token = token(id, &secret);
        assert_eq!(parse(&token), Some((id, secret.as_str())));
        assert!(secret.len() == 64 && token.starts_with("ak_0"));
        for bad in ["", "ak_", "ak_x_y", &token[3..], &token.to_uppercase(), "Bearer x"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert!(same("ab", "ab") && !same("ab", "ac") && !same("ab", "abc"));
    }
}
