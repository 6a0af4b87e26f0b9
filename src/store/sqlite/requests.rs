//! Requests that are done once: found by the client's key, and written beside what they made.

use sqlx::Row as _;
use sqlx::sqlite::{SqliteExecutor, SqliteRow};

use super::super::StoreError;
use super::rows;
use super::writer::Tx;
use crate::records::{DomainId, Earlier, KeyedRequest, Made, Reference, VersionedReference};

/// Tells of an earlier request with this key, and forgets one that is too old.
pub(super) async fn begin(tx: &mut Tx, request: &KeyedRequest) -> Result<Option<Earlier>, StoreError> {
    let earlier = earlier(&mut tx.connection, request).await?;
    if earlier.is_none() {
        // What else is too old is removed in small steps, not by whoever comes first.
        sqlx::query("DELETE FROM idempotency_keys WHERE tenant_id = ?1 AND key = ?2")
            .bind(&request.tenant.0)
            .bind(&request.key)
            .execute(&mut tx.connection)
            .await?;
    }
    Ok(earlier)
}

/// What the key was used for, as long as that is not forgotten.
pub(super) async fn earlier(
    connection: impl SqliteExecutor<'_>,
    request: &KeyedRequest,
) -> Result<Option<Earlier>, StoreError> {
    let sql = "SELECT * FROM idempotency_keys WHERE tenant_id = ?1 AND key = ?2 AND created_at > ?3";
    let query = sqlx::query(sql).bind(&request.tenant.0).bind(&request.key).bind(request.forgotten.millis());
    let Some(row) = query.fetch_optional(connection).await? else { return Ok(None) };
    let same = row.try_get::<&str, _>("fingerprint")? == request.fingerprint;
    Ok(Some(if same { Earlier::Same(made(&row)?) } else { Earlier::Other }))
}

pub(super) async fn remember(tx: &mut Tx, request: &KeyedRequest, made: Made) -> Result<(), StoreError> {
    let (kind, id, was_new) = match made {
        Made::Job(id) => ("job", id.to_string(), true),
        Made::Key(id) => ("key", id.to_string(), true),
        Made::DomainVersion { domain, version, was_new } => ("domain_version", format!("{domain}@{version}"), was_new),
    };
    let sql = "INSERT INTO idempotency_keys (tenant_id, key, fingerprint, kind, made, was_new, created_at)
      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    sqlx::query(sql)
        .bind(&request.tenant.0)
        .bind(&request.key)
        .bind(&request.fingerprint)
        .bind(kind)
        .bind(id)
        .bind(was_new)
        .bind(request.at.millis())
        .execute(&mut tx.connection)
        .await?;
    Ok(())
}

fn made(row: &SqliteRow) -> Result<Made, StoreError> {
    match row.try_get::<&str, _>("kind")? {
        "job" => rows::parsed(row, "made").map(Made::Job),
        "key" => rows::parsed(row, "made").map(Made::Key),
        _ => {
            let corrupt = || StoreError::Corrupt("column made".into());
            let which: VersionedReference<DomainId> = rows::parsed(row, "made")?;
            let (Reference::Id(domain), Some(version)) = (which.thing, which.version) else { return Err(corrupt()) };
            Ok(Made::DomainVersion { domain, version, was_new: row.try_get("was_new")? })
        }
    }
}
