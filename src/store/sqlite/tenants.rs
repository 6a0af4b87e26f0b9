//! Tenants and their bounds.

use sqlx::Row as _;
use sqlx::sqlite::SqlitePool;

use super::super::{StoreError, TenantRecord};
use super::writer::Tx;
use crate::records::TenantId;

pub(super) async fn set(tx: &mut Tx, tenant: TenantRecord) -> Result<(), StoreError> {
    let sql = "INSERT INTO tenants (id, max_running, max_queued) VALUES (?1, ?2, ?3)
      ON CONFLICT (id) DO UPDATE SET max_running = ?2, max_queued = ?3";
    let query = sqlx::query(sql).bind(tenant.id.0).bind(tenant.max_running).bind(tenant.max_queued);
    query.execute(&mut tx.connection).await?;
    Ok(())
}

pub(super) async fn all(readers: &SqlitePool) -> Result<Vec<TenantRecord>, StoreError> {
    let sql = "SELECT id, max_running, max_queued FROM tenants ORDER BY id";
    let found = sqlx::query(sql).fetch_all(readers).await?;
    let record = |row: &sqlx::sqlite::SqliteRow| {
        Ok(TenantRecord {
            id: TenantId(row.try_get("id")?),
            max_running: row.try_get("max_running")?,
            max_queued: row.try_get("max_queued")?,
        })
    };
    found.iter().map(record).collect()
}
