//! Models and their versions, and the metrics and files that jobs leave.

use serde_json::Value;
use sqlx::Row as _;
use sqlx::sqlite::{SqliteExecutor, SqlitePool};

use super::super::StoreError;
use super::domains::name_or_id;
use super::rows;
use super::writer::Tx;
use crate::records::{
    JobFile, JobId, JobRecord, ModelId, ModelRecord, ModelVersionRecord, Name, NewModelVersion, PageRequest, Reference,
    TenantId, Timestamp,
};

/// The version that a model of some name gets next, and the model's id if the name is taken.
pub(super) struct NextVersion {
    pub(super) version: i64,
    model: Option<ModelId>,
}

pub(super) async fn next_version(tx: &mut Tx, tenant: &TenantId, name: &Name) -> Result<NextVersion, StoreError> {
    let sql = "SELECT id, latest_version FROM models WHERE tenant_id = ?1 AND name = ?2";
    let row = sqlx::query(sql).bind(&tenant.0).bind(name.as_str()).fetch_optional(&mut tx.connection).await?;
    match row {
        None => Ok(NextVersion { version: 1, model: None }),
        Some(row) => Ok(NextVersion {
            version: row.try_get::<i64, _>("latest_version")? + 1,
            model: Some(rows::parsed(&row, "id")?),
        }),
    }
}

/// Stores the model of a job that has just succeeded in this transaction. The tenant is the job's.
pub(super) async fn insert_version(
    tx: &mut Tx,
    job: &JobRecord,
    new: &NewModelVersion,
    next: NextVersion,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = next.model.unwrap_or(new.id);
    // Revisions begin with the time: those of a model that was removed do not come again under its name.
    let sql = "INSERT INTO models (id, tenant_id, name, latest_version, revision, created_at, updated_at)
      VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?5)
      ON CONFLICT (tenant_id, name)
        DO UPDATE SET latest_version = ?4, updated_at = ?5, revision = models.revision + 1";
    let done = sqlx::query(sql)
        .bind(id.to_string())
        .bind(&job.tenant.0)
        .bind(new.name.as_str())
        .bind(next.version)
        .bind(now.millis())
        .execute(&mut tx.connection)
        .await?;
    if done.rows_affected() != 1 {
        return Err(StoreError::Corrupt(format!("versions of {id}")));
    }
    let sql = "INSERT INTO model_versions
      (model_id, tenant_id, version, job_id, blob, n_bytes, signature, lineage, created_at)
      VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    sqlx::query(sql)
        .bind(id.to_string())
        .bind(&job.tenant.0)
        .bind(next.version)
        .bind(job.id.to_string())
        .bind(&new.blob)
        .bind(new.n_bytes)
        .bind(rows::to_json(&new.signature)?)
        .bind(rows::to_json(&new.lineage)?)
        .bind(now.millis())
        .execute(&mut tx.connection)
        .await?;
    Ok(())
}

pub(super) async fn insert_metrics(tx: &mut Tx, job: &JobRecord, metrics: &Value) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO job_metrics (job_id, tenant_id, metrics) VALUES (?1, ?2, ?3)")
        .bind(job.id.to_string())
        .bind(&job.tenant.0)
        .bind(rows::to_json(metrics)?)
        .execute(&mut tx.connection)
        .await?;
    Ok(())
}

pub(super) async fn insert_file(tx: &mut Tx, job: &JobRecord, file: &JobFile) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO job_files (job_id, tenant_id, format, blob, n_bytes, n_rows) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    sqlx::query(sql)
        .bind(job.id.to_string())
        .bind(&job.tenant.0)
        .bind(file.format.as_str())
        .bind(&file.blob)
        .bind(file.n_bytes)
        .bind(file.n_rows)
        .execute(&mut tx.connection)
        .await?;
    Ok(())
}

pub(super) async fn job_file(
    readers: &SqlitePool,
    tenant: &TenantId,
    id: JobId,
) -> Result<Option<JobFile>, StoreError> {
    let sql = "SELECT format, blob, n_bytes, n_rows FROM job_files WHERE job_id = ?1 AND tenant_id = ?2";
    let row = sqlx::query(sql).bind(id.to_string()).bind(&tenant.0).fetch_optional(readers).await?;
    row.map(|row| rows::job_file(&row)).transpose()
}

pub(super) async fn metrics(readers: &SqlitePool, tenant: &TenantId, id: JobId) -> Result<Option<Value>, StoreError> {
    let sql = "SELECT metrics FROM job_metrics WHERE job_id = ?1 AND tenant_id = ?2";
    let row = sqlx::query(sql).bind(id.to_string()).bind(&tenant.0).fetch_optional(readers).await?;
    row.map(|row| rows::metrics(&row)).transpose()
}

pub(super) async fn one(
    connection: impl SqliteExecutor<'_>,
    tenant: &TenantId,
    which: &Reference<ModelId>,
) -> Result<Option<ModelRecord>, StoreError> {
    let (name, id) = name_or_id(which);
    let sql =
        "SELECT *, (SELECT json_group_object(alias, version) FROM model_aliases WHERE model_id = models.id) AS aliases
      FROM models WHERE tenant_id = ?1 AND (name = ?2 OR id = ?3)";
    let row = sqlx::query(sql).bind(&tenant.0).bind(name).bind(id).fetch_optional(connection).await?;
    row.map(|row| rows::model(&row)).transpose()
}

pub(super) async fn version(
    readers: &SqlitePool,
    tenant: &TenantId,
    which: &Reference<ModelId>,
    version: Option<i64>,
) -> Result<Option<ModelVersionRecord>, StoreError> {
    let (name, id) = name_or_id(which);
    let sql = "SELECT v.*, m.name FROM model_versions v JOIN models m ON m.id = v.model_id
      WHERE m.tenant_id = ?1 AND (m.name = ?2 OR m.id = ?3) AND v.version = coalesce(?4, m.latest_version)";
    let query = sqlx::query(sql).bind(&tenant.0).bind(name).bind(id).bind(version);
    query.fetch_optional(readers).await?.map(|row| rows::model_version(&row)).transpose()
}

pub(super) async fn list(
    readers: &SqlitePool,
    tenant: &TenantId,
    page: &PageRequest,
) -> Result<Vec<ModelRecord>, StoreError> {
    // Every name sorts after the empty text.
    let after = page.after.as_ref().map_or("", |c| c.0.as_str());
    let sql =
        "SELECT *, (SELECT json_group_object(alias, version) FROM model_aliases WHERE model_id = models.id) AS aliases
      FROM models WHERE tenant_id = ?1 AND name > ?2 ORDER BY name LIMIT ?3";
    let found = sqlx::query(sql).bind(&tenant.0).bind(after).bind(page.limit).fetch_all(readers).await?;
    found.iter().map(rows::model).collect()
}
