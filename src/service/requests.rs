//! Requests with a key of the client's: done once, however often they are sent.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::Service;
use super::error::{Code, ServiceError};
use crate::records::{Earlier, KeyedRequest, Made, TenantId, Timestamp};

/// The key that a client gives a request, and the hash of what it sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    pub key: String,
    pub fingerprint: String,
}

/// What a request made, now or when it was sent before with the same key.
#[derive(Debug, Clone, PartialEq)]
pub enum Once<T, R = T> {
    New(T),
    /// As it stands now.
    Replayed(R),
}

/// Requests on their way that are not done within one transaction.
#[derive(Debug, Default)]
pub(super) struct InProgress(Mutex<HashSet<(TenantId, String)>>);

/// One of them; it ends when this is dropped.
pub(super) struct Running<'a> {
    all: &'a InProgress,
    own: (TenantId, String),
}

impl InProgress {
    /// # Errors
    /// If a request with this key is on its way.
    pub(super) fn begin(&self, request: &KeyedRequest) -> Result<Running<'_>, ServiceError> {
        let own = (request.tenant.clone(), request.key.clone());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.insert(own.clone()) {
            let detail = "the first request with this idempotency key has not been answered; try again";
            return Err(ServiceError::new(Code::IdempotencyInProgress, detail));
        }
        Ok(Running { all: self, own })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.own);
    }
}

impl Service {
    /// The request as it is remembered.
    pub(super) fn keyed(&self, tenant: &TenantId, key: Option<RequestKey>, now: Timestamp) -> Option<KeyedRequest> {
        let keep = i64::try_from(self.limits.keep.requests.as_millis()).unwrap_or(i64::MAX);
        let RequestKey { key, fingerprint } = key?;
        let forgotten = Timestamp::from_millis(now.millis().saturating_sub(keep));
        Some(KeyedRequest { tenant: tenant.clone(), key, fingerprint, at: now, forgotten })
    }

    /// What the request made when it was sent before.
    ///
    /// # Errors
    /// If its key was used for another one.
    pub(super) async fn made_before(&self, request: Option<&KeyedRequest>) -> Result<Option<Made>, ServiceError> {
        let Some(request) = request else { return Ok(None) };
        self.store.earlier_request(request).await?.map(made_by_same).transpose()
    }
}

/// What an earlier request made.
///
/// # Errors
/// If it was another one.
pub(super) fn made_by_same(earlier: Earlier) -> Result<Made, ServiceError> {
    match earlier {
        Earlier::Same(made) => Ok(made),
        Earlier::Other => Err(ServiceError::new(
            Code::IdempotencyKeyReused,
            "this idempotency key was used for another request; take a new key",
        )),
    }
}

/// The fingerprint names the operation, so that another kind of thing was never made by it.
pub(super) fn odd() -> ServiceError {
    ServiceError::internal("a request made a thing of another kind")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_on_its_way_once_a_tenant_and_free_again_after() {
        let all = InProgress::default();
        let request = |tenant: &str| KeyedRequest {
            tenant: TenantId(tenant.into()),
            key: "k".into(),
            fingerprint: "f".into(),
            at: Timestamp::from_millis(1),
            forgotten: Timestamp::from_millis(0),
        };
        let first = all.begin(&request("a"));
        assert!(first.is_ok() && all.begin(&request("b")).is_ok());
        let code = all.begin(&request("a")).err().map(|e| e.code);
        assert_eq!(code, Some(Code::IdempotencyInProgress));
        drop(first);
        assert!(all.begin(&request("a")).is_ok());
    }
}
