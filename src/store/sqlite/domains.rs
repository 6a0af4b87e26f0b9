//! Domains and their versions.

use sqlx::sqlite::SqlitePool;

use super::super::{Put, StoreError};
use super::rows;
use super::writer::Tx;
use crate::records::{DomainId, DomainRecord, DomainVersionRecord, NewDomainVersion, PageRequest, Reference, TenantId};

const VERSION: &str = "SELECT v.*, d.name FROM domain_versions v JOIN domains d ON d.id = v.domain_id
  WHERE d.tenant_id = ?1 AND (d.name = ?2 OR d.id = ?3) AND v.version = coalesce(?4, d.latest_version)";

/// The name and the id to compare with; one of them is NULL, which equals nothing.
pub(super) fn name_or_id<I: ToString>(which: &Reference<I>) -> (Option<&str>, Option<String>) {
    match which {
        Reference::Name(name) => (Some(name.as_str()), None),
        Reference::Id(id) => (None, Some(id.to_string())),
    }
}

pub(super) async fn put(tx: &mut Tx, new: NewDomainVersion) -> Result<Put, StoreError> {
    let newest = sqlx::query(VERSION)
        .bind(&new.tenant.0)
        .bind(new.name.as_str())
        .bind(None::<String>)
        .bind(None::<i64>)
        .fetch_optional(&mut tx.connection)
        .await?
        .map(|row| rows::domain_version(&row))
        .transpose()?;
    let stands_at = newest.as_ref().map_or(0, |newest| newest.version);
    if new.of_version.is_some_and(|version| version != stands_at) {
        return Ok(Put::Stale);
    }
    let (domain, version) = match newest {
        Some(newest) if newest.identity == new.identity => return Ok(Put::Unchanged(newest)),
        Some(newest) => {
            let version = newest.version + 1;
            step_version(tx, newest.domain, version, &new).await?;
            (newest.domain, version)
        }
        None => {
            insert_domain(tx, &new).await?;
            (new.id, 1)
        }
    };
    insert_version(tx, domain, version, &new).await?;
    Ok(Put::Created(DomainVersionRecord {
        domain,
        name: new.name,
        version,
        identity: new.identity,
        format: new.format,
        n_bytes: new.n_bytes,
        n_rows: new.n_rows,
        task: new.task,
        columns: new.columns,
        notes: new.notes,
        blob: new.blob,
        created_at: new.created_at,
    }))
}

async fn insert_domain(tx: &mut Tx, new: &NewDomainVersion) -> Result<(), StoreError> {
    let sql = "INSERT INTO domains (id, tenant_id, name, latest_version, created_at, updated_at)
      VALUES (?1, ?2, ?3, 1, ?4, ?4)";
    sqlx::query(sql)
        .bind(new.id.to_string())
        .bind(&new.tenant.0)
        .bind(new.name.as_str())
        .bind(new.created_at.millis())
        .execute(&mut tx.connection)
        .await?;
    Ok(())
}

async fn step_version(tx: &mut Tx, id: DomainId, version: i64, new: &NewDomainVersion) -> Result<(), StoreError> {
    let sql = "UPDATE domains SET latest_version = ?1, updated_at = ?2
      WHERE id = ?3 AND tenant_id = ?4 AND latest_version = ?1 - 1";
    let done = sqlx::query(sql)
        .bind(version)
        .bind(new.created_at.millis())
        .bind(id.to_string())
        .bind(&new.tenant.0)
        .execute(&mut tx.connection)
        .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Corrupt(format!("versions of {id}"))) }
}

async fn insert_version(tx: &mut Tx, id: DomainId, version: i64, new: &NewDomainVersion) -> Result<(), StoreError> {
    let sql = "INSERT INTO domain_versions
      (domain_id, tenant_id, version, identity, format, n_bytes, n_rows, task, columns, notes, blob, created_at)
      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    sqlx::query(sql)
        .bind(id.to_string())
        .bind(&new.tenant.0)
        .bind(version)
        .bind(&new.identity)
        .bind(&new.format)
        .bind(new.n_bytes)
        .bind(new.n_rows)
        .bind(new.task.map(rows::task_word))
        .bind(rows::to_json(&new.columns)?)
        .bind(rows::to_json(&new.notes)?)
        .bind(&new.blob)
        .bind(new.created_at.millis())
        .execute(&mut tx.connection)
        .await?;
    Ok(())
}

pub(super) async fn one(
    readers: &SqlitePool,
    tenant: &TenantId,
    which: &Reference<DomainId>,
) -> Result<Option<DomainRecord>, StoreError> {
    let (name, id) = name_or_id(which);
    let sql = "SELECT * FROM domains WHERE tenant_id = ?1 AND (name = ?2 OR id = ?3)";
    let row = sqlx::query(sql).bind(&tenant.0).bind(name).bind(id).fetch_optional(readers).await?;
    row.map(|row| rows::domain(&row)).transpose()
}

pub(super) async fn version(
    readers: &SqlitePool,
    tenant: &TenantId,
    which: &Reference<DomainId>,
    version: Option<i64>,
) -> Result<Option<DomainVersionRecord>, StoreError> {
    let (name, id) = name_or_id(which);
    let query = sqlx::query(VERSION).bind(&tenant.0).bind(name).bind(id).bind(version);
    query.fetch_optional(readers).await?.map(|row| rows::domain_version(&row)).transpose()
}

pub(super) async fn list(
    readers: &SqlitePool,
    tenant: &TenantId,
    page: &PageRequest,
) -> Result<Vec<DomainRecord>, StoreError> {
    // Every name sorts after the empty text.
    let after = page.after.as_ref().map_or("", |c| c.0.as_str());
    let sql = "SELECT * FROM domains WHERE tenant_id = ?1 AND name > ?2 ORDER BY name LIMIT ?3";
    let found = sqlx::query(sql).bind(&tenant.0).bind(after).bind(page.limit).fetch_all(readers).await?;
    found.iter().map(rows::domain).collect()
}

pub(super) async fn versions(
    readers: &SqlitePool,
    tenant: &TenantId,
    domain: DomainId,
    page: &PageRequest,
) -> Result<Vec<DomainVersionRecord>, StoreError> {
    let before = match &page.after {
        None => i64::MAX,
        Some(cursor) => cursor.0.parse().map_err(|_| StoreError::BadCursor)?,
    };
    let sql = "SELECT v.*, d.name FROM domain_versions v JOIN domains d ON d.id = v.domain_id
      WHERE v.domain_id = ?1 AND v.tenant_id = ?2 AND v.version < ?3 ORDER BY v.version DESC LIMIT ?4";
    let query = sqlx::query(sql).bind(domain.to_string()).bind(&tenant.0).bind(before).bind(page.limit);
    query.fetch_all(readers).await?.iter().map(rows::domain_version).collect()
}
