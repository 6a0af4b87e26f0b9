//! What is removed, and what stands in the way. Blobs are not removed here: those that no record names are collected.

use sqlx::Row as _;
use sqlx::sqlite::SqlitePool;

use super::super::{Aliases, Deletion, Lineage, StoreError};
use super::writer::Tx;
use crate::records::{DomainId, Expected, ModelId, TenantId};

/// Jobs of ?1 that have not ended and name a domain ?2. Specs name `name@version`.
const JOBS_OF_DOMAIN: &str = "SELECT id AS needs FROM jobs
  WHERE tenant_id = ?1 AND state IN ('queued', 'running', 'paused') AND EXISTS (
    SELECT 1 FROM (SELECT value FROM json_each(spec, '$.sources')
                   UNION ALL SELECT json_extract(spec, '$.target') AS value) AS named
    WHERE substr(named.value, 1, instr(named.value, '@') - 1) = ?2) LIMIT 5";

/// Versions of models of ?1 that were made of a version of the domain ?2, whose id is ?3. A name may have been given anew
/// since: the identity tells.
const MODELS_OF_DOMAIN: &str = "SELECT m.name || '@' || v.version AS needs
  FROM model_versions v JOIN models m ON m.id = v.model_id
  WHERE v.tenant_id = ?1 AND EXISTS (
    SELECT 1 FROM (SELECT value FROM json_each(v.lineage, '$.sources')
                   UNION ALL SELECT json_extract(v.lineage, '$.target') AS value) AS made_of
    WHERE substr(made_of.value ->> 'domain', 1, instr(made_of.value ->> 'domain', '@') - 1) = ?2
      AND made_of.value ->> 'identity' IN (SELECT identity FROM domain_versions WHERE domain_id = ?3)) LIMIT 5";

/// Jobs of ?1 that have not ended and read the model ?2: the base of some, what others apply. In the specs of fits `model`
/// is a name without a version, of the model that they make.
const JOBS_OF_MODEL: &str = "SELECT id AS needs FROM jobs
  WHERE tenant_id = ?1 AND state IN ('queued', 'running', 'paused')
    AND EXISTS (SELECT 1 FROM (SELECT json_extract(spec, '$.base') AS value
                               UNION ALL SELECT json_extract(spec, '$.model') AS value) AS named
      WHERE substr(named.value, 1, instr(named.value, '@') - 1) = ?2) LIMIT 5";

const ALIASES_OF_MODEL: &str =
    "SELECT alias AS needs FROM model_aliases WHERE tenant_id = ?1 AND model_id = ?2 ORDER BY alias LIMIT 5";

pub(super) async fn domain(
    tx: &mut Tx,
    (tenant, id): (&TenantId, DomainId),
    lineage: Lineage,
    expected: &Expected,
) -> Result<Deletion, StoreError> {
    let sql = "SELECT name, latest_version AS revision FROM domains WHERE tenant_id = ?1 AND id = ?2";
    let Some((name, revision)) = named(tx, sql, tenant, &id.to_string()).await? else { return Ok(Deletion::NotFound) };
    if !expected.holds(Some(revision)) {
        return Ok(Deletion::Stale);
    }
    let jobs = needing(tx, JOBS_OF_DOMAIN, [&tenant.0, &name, ""]).await?;
    if !jobs.is_empty() {
        return Ok(Deletion::NeededByJobs(jobs));
    }
    let models = needing(tx, MODELS_OF_DOMAIN, [&tenant.0, &name, &id.to_string()]).await?;
    if lineage == Lineage::Keep && !models.is_empty() {
        return Ok(Deletion::NeededByModels(models));
    }
    for sql in ["DELETE FROM domain_versions WHERE domain_id = ?1", "DELETE FROM domains WHERE id = ?1"] {
        sqlx::query(sql).bind(id.to_string()).execute(&mut tx.connection).await?;
    }
    Ok(Deletion::Deleted)
}

pub(super) async fn model(
    tx: &mut Tx,
    (tenant, id): (&TenantId, ModelId),
    aliases: Aliases,
    expected: &Expected,
) -> Result<Deletion, StoreError> {
    let sql = "SELECT name, revision FROM models WHERE tenant_id = ?1 AND id = ?2";
    let Some((name, revision)) = named(tx, sql, tenant, &id.to_string()).await? else { return Ok(Deletion::NotFound) };
    if !expected.holds(Some(revision)) {
        return Ok(Deletion::Stale);
    }
    let jobs = needing(tx, JOBS_OF_MODEL, [&tenant.0, &name, ""]).await?;
    if !jobs.is_empty() {
        return Ok(Deletion::NeededByJobs(jobs));
    }
    let pointing = needing(tx, ALIASES_OF_MODEL, [&tenant.0, &id.to_string(), ""]).await?;
    if aliases == Aliases::Keep && !pointing.is_empty() {
        return Ok(Deletion::NeededByAliases(pointing));
    }
    for sql in [
        "DELETE FROM model_aliases WHERE model_id = ?1",
        "DELETE FROM model_versions WHERE model_id = ?1",
        "DELETE FROM models WHERE id = ?1",
    ] {
        sqlx::query(sql).bind(id.to_string()).execute(&mut tx.connection).await?;
    }
    Ok(Deletion::Deleted)
}

pub(super) async fn names_blob(readers: &SqlitePool, blob: &str) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM domain_versions WHERE blob = ?1)
      OR EXISTS (SELECT 1 FROM model_versions WHERE blob = ?1)
      OR EXISTS (SELECT 1 FROM job_files WHERE blob = ?1)
      OR EXISTS (SELECT 1 FROM jobs WHERE checkpoint_ref = ?1) AS named";
    Ok(sqlx::query(sql).bind(blob).fetch_one(readers).await?.try_get("named")?)
}

/// What a thing is called, and where it stands.
async fn named(
    tx: &mut Tx,
    sql: &'static str,
    tenant: &TenantId,
    id: &str,
) -> Result<Option<(String, i64)>, StoreError> {
    let row = sqlx::query(sql).bind(&tenant.0).bind(id).fetch_optional(&mut tx.connection).await?;
    Ok(row.map(|row| Ok::<_, sqlx::Error>((row.try_get("name")?, row.try_get("revision")?))).transpose()?)
}

async fn needing(tx: &mut Tx, sql: &'static str, values: [&str; 3]) -> Result<Vec<String>, StoreError> {
    let [tenant, name, id] = values;
    let query = sqlx::query(sql).bind(tenant).bind(name);
    let query = if id.is_empty() { query } else { query.bind(id) };
    let found = query.fetch_all(&mut tx.connection).await?;
    Ok(found.iter().map(|row| row.try_get("needs")).collect::<Result<_, sqlx::Error>>()?)
}
