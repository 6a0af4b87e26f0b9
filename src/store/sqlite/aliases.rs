//! Aliases of versions of models, and what people say of a model.

use sqlx::Row as _;
use sqlx::sqlite::{SqliteExecutor, SqliteRow};

use super::super::{AliasChange, StoreError};
use super::domains::name_or_id;
use super::models;
use super::rows;
use super::writer::Tx;
use crate::records::{
    Alias, AliasRecord, Expected, ModelChange, ModelId, ModelRecord, NewAlias, Reference, TenantId, Timestamp,
};

/// Aliases of one model, which are shown with it.
const MAX_ALIASES: i64 = 64;

pub(super) async fn one(
    connection: impl SqliteExecutor<'_>,
    tenant: &TenantId,
    which: &Reference<ModelId>,
    alias: &Alias,
) -> Result<Option<AliasRecord>, StoreError> {
    let (name, id) = name_or_id(which);
    let sql = "SELECT a.*, m.name FROM model_aliases a JOIN models m ON m.id = a.model_id
      WHERE m.tenant_id = ?1 AND (m.name = ?2 OR m.id = ?3) AND a.alias = ?4";
    let query = sqlx::query(sql).bind(&tenant.0).bind(name).bind(id).bind(alias.as_str());
    query.fetch_optional(connection).await?.map(|row| record(&row)).transpose()
}

pub(super) async fn put(tx: &mut Tx, new: NewAlias, expected: Expected) -> Result<AliasChange, StoreError> {
    let model = Reference::Id(new.model);
    let current = one(&mut tx.connection, &new.tenant, &model, &new.alias).await?;
    if let Some(refusal) = refusal(current.as_ref(), &expected) {
        return Ok(refusal);
    }
    let sql = "SELECT 1 FROM model_versions WHERE tenant_id = ?1 AND model_id = ?2 AND version = ?3";
    let version = sqlx::query(sql).bind(&new.tenant.0).bind(new.model.to_string()).bind(new.version);
    if version.fetch_optional(&mut tx.connection).await?.is_none() {
        return Ok(AliasChange::NoVersion);
    }
    let was_there = current.is_some();
    match current {
        Some(current) if current.version == new.version => return Ok(AliasChange::Moved(current)),
        Some(_) => {}
        None if count(tx, new.model).await? >= MAX_ALIASES => return Ok(AliasChange::TooMany(MAX_ALIASES)),
        None => {}
    }
    let revision = step(tx, &new.tenant, new.model, new.at).await?;
    let sql = "INSERT INTO model_aliases (model_id, tenant_id, alias, version, revision, created_at, updated_at)
      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
      ON CONFLICT (model_id, alias) DO UPDATE SET version = ?4, revision = ?5, updated_at = ?6";
    sqlx::query(sql)
        .bind(new.model.to_string())
        .bind(&new.tenant.0)
        .bind(new.alias.as_str())
        .bind(new.version)
        .bind(revision)
        .bind(new.at.millis())
        .execute(&mut tx.connection)
        .await?;
    let stored = one(&mut tx.connection, &new.tenant, &model, &new.alias).await?;
    let stored = stored.ok_or_else(|| StoreError::Corrupt(format!("aliases of {}", new.model)))?;
    Ok(if was_there { AliasChange::Moved(stored) } else { AliasChange::Created(stored) })
}

pub(super) async fn delete(
    tx: &mut Tx,
    tenant: &TenantId,
    (model, alias): (ModelId, &Alias),
    expected: Expected,
    now: Timestamp,
) -> Result<AliasChange, StoreError> {
    let Some(current) = one(&mut tx.connection, tenant, &Reference::Id(model), alias).await? else {
        return Ok(AliasChange::NoAlias);
    };
    if let Some(refusal) = refusal(Some(&current), &expected) {
        return Ok(refusal);
    }
    step(tx, tenant, model, now).await?;
    sqlx::query("DELETE FROM model_aliases WHERE tenant_id = ?1 AND model_id = ?2 AND alias = ?3")
        .bind(&tenant.0)
        .bind(model.to_string())
        .bind(alias.as_str())
        .execute(&mut tx.connection)
        .await?;
    Ok(AliasChange::Removed)
}

/// What people say of a model; `None` where it stands at another revision, or is gone.
pub(super) async fn change_model(tx: &mut Tx, change: ModelChange) -> Result<Option<ModelRecord>, StoreError> {
    let sql = "UPDATE models SET description = ?4, labels = ?5, updated_at = ?6, revision = revision + 1
      WHERE tenant_id = ?1 AND id = ?2 AND revision = ?3";
    let done = sqlx::query(sql)
        .bind(&change.tenant.0)
        .bind(change.model.to_string())
        .bind(change.of_revision)
        .bind(&change.description)
        .bind(rows::to_json(&change.labels)?)
        .bind(change.at.millis())
        .execute(&mut tx.connection)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(None);
    }
    models::one(&mut tx.connection, &change.tenant, &Reference::Id(change.model)).await
}

/// A change of what is there needs to say what it has seen of it.
fn refusal(current: Option<&AliasRecord>, expected: &Expected) -> Option<AliasChange> {
    match expected {
        Expected::Unsaid if current.is_some() => Some(AliasChange::Unsaid),
        expected if !expected.holds(current.map(|c| c.revision)) => Some(AliasChange::Stale),
        _ => None,
    }
}

async fn count(tx: &mut Tx, model: ModelId) -> Result<i64, StoreError> {
    let query = sqlx::query("SELECT count(*) AS n FROM model_aliases WHERE model_id = ?1").bind(model.to_string());
    Ok(query.fetch_one(&mut tx.connection).await?.try_get("n")?)
}

/// The next revision of a model.
async fn step(tx: &mut Tx, tenant: &TenantId, model: ModelId, now: Timestamp) -> Result<i64, StoreError> {
    let sql = "UPDATE models SET revision = revision + 1, updated_at = ?3 WHERE tenant_id = ?1 AND id = ?2 RETURNING revision";
    let query = sqlx::query(sql).bind(&tenant.0).bind(model.to_string()).bind(now.millis());
    Ok(query.fetch_one(&mut tx.connection).await?.try_get("revision")?)
}

fn record(row: &SqliteRow) -> Result<AliasRecord, StoreError> {
    Ok(AliasRecord {
        alias: rows::parsed(row, "alias")?,
        model: rows::parsed(row, "name")?,
        version: row.try_get("version")?,
        revision: row.try_get("revision")?,
        created_at: rows::time(row, "created_at")?,
        updated_at: rows::time(row, "updated_at")?,
    })
}
