//! Keys. A tenant comes to be with its first key.

use sqlx::Row as _;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::super::StoreError;
use super::writer::Tx;
use super::{requests, rows};
use crate::records::{
    Earlier, KeyId, KeyRecord, KeyedRequest, Made, PageRequest, PreviousSecret, RateLimit, Rotation, TenantId,
    Timestamp,
};

pub(super) async fn create(
    tx: &mut Tx,
    new: &KeyRecord,
    request: Option<KeyedRequest>,
) -> Result<Option<Earlier>, StoreError> {
    if let Some(request) = &request
        && let Some(earlier) = requests::begin(tx, request).await?
    {
        return Ok(Some(earlier));
    }
    sqlx::query("INSERT INTO tenants (id) VALUES (?1) ON CONFLICT (id) DO NOTHING")
        .bind(&new.tenant.0)
        .execute(&mut tx.connection)
        .await?;
    let sql = "INSERT INTO keys (id, tenant_id, name, scopes, secret_hash, created_at, expires_at, rate_requests,
        rate_window_s)
      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    sqlx::query(sql)
        .bind(new.id.to_string())
        .bind(&new.tenant.0)
        .bind(&new.name)
        .bind(rows::to_json(&new.scopes)?)
        .bind(&new.secret_hash)
        .bind(new.created_at.millis())
        .bind(new.expires_at.map(Timestamp::millis))
        .bind(new.rate_limit.map(|limit| limit.requests))
        .bind(new.rate_limit.map(|limit| limit.window_s))
        .execute(&mut tx.connection)
        .await?;
    if let Some(request) = &request {
        requests::remember(tx, request, Made::Key(new.id)).await?;
    }
    Ok(None)
}

pub(super) async fn all(readers: &SqlitePool) -> Result<Vec<KeyRecord>, StoreError> {
    let found = sqlx::query("SELECT * FROM keys ORDER BY id").fetch_all(readers).await?;
    found.iter().map(key).collect()
}

pub(super) async fn one(readers: &SqlitePool, tenant: &TenantId, id: KeyId) -> Result<Option<KeyRecord>, StoreError> {
    let sql = "SELECT * FROM keys WHERE tenant_id = ?1 AND id = ?2";
    let row = sqlx::query(sql).bind(&tenant.0).bind(id.to_string()).fetch_optional(readers).await?;
    row.map(|row| key(&row)).transpose()
}

pub(super) async fn list(
    readers: &SqlitePool,
    tenant: &TenantId,
    page: &PageRequest,
) -> Result<Vec<KeyRecord>, StoreError> {
    let before = page.after.as_ref().map(|c| c.0.as_str());
    let sql = "SELECT * FROM keys WHERE tenant_id = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3";
    let found = sqlx::query(sql).bind(&tenant.0).bind(before).bind(page.limit).fetch_all(readers).await?;
    found.iter().map(key).collect()
}

/// A key that was revoked before keeps the time of it.
pub(super) async fn revoke(
    tx: &mut Tx,
    tenant: &TenantId,
    id: KeyId,
    now: Timestamp,
) -> Result<Option<KeyRecord>, StoreError> {
    let sql = "UPDATE keys SET revoked_at = coalesce(revoked_at, ?3), previous_hash = NULL, previous_until = NULL
      WHERE tenant_id = ?1 AND id = ?2 RETURNING *";
    let query = sqlx::query(sql).bind(&tenant.0).bind(id.to_string()).bind(now.millis());
    query.fetch_optional(&mut tx.connection).await?.map(|row| key(&row)).transpose()
}

/// `None` where there is no such key or it was revoked.
pub(super) async fn rotate(
    tx: &mut Tx,
    tenant: &TenantId,
    id: KeyId,
    rotation: &Rotation,
) -> Result<Option<KeyRecord>, StoreError> {
    let sql = "UPDATE keys SET previous_hash = secret_hash, previous_until = ?4, secret_hash = ?3
      WHERE tenant_id = ?1 AND id = ?2 AND revoked_at IS NULL RETURNING *";
    let query = sqlx::query(sql)
        .bind(&tenant.0)
        .bind(id.to_string())
        .bind(&rotation.secret_hash)
        .bind(rotation.previous_until.millis());
    query.fetch_optional(&mut tx.connection).await?.map(|row| key(&row)).transpose()
}

fn key(row: &SqliteRow) -> Result<KeyRecord, StoreError> {
    let until = rows::time_or_null(row, "previous_until")?;
    let hash = row.try_get::<Option<String>, _>("previous_hash")?;
    let requests = row.try_get::<Option<u32>, _>("rate_requests")?;
    let window_s = row.try_get::<Option<u32>, _>("rate_window_s")?;
    Ok(KeyRecord {
        id: rows::parsed(row, "id")?,
        tenant: TenantId(row.try_get("tenant_id")?),
        name: row.try_get("name")?,
        scopes: rows::json(row, "scopes")?,
        secret_hash: row.try_get("secret_hash")?,
        previous: hash.zip(until).map(|(hash, until)| PreviousSecret { hash, until }),
        created_at: rows::time(row, "created_at")?,
        expires_at: rows::time_or_null(row, "expires_at")?,
        revoked_at: rows::time_or_null(row, "revoked_at")?,
        rate_limit: requests.zip(window_s).map(|(requests, window_s)| RateLimit { requests, window_s }),
    })
}
