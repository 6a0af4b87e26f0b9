//! The database read beside the process that owns it, or without one: for backups and inspections. Nothing is written to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::super::{BlobForm, NamedBlob, Owner, Schema, StoreError};
use super::open::MIGRATIONS;
use super::{inspect, rows};
use crate::records::{Finding, Timestamp};

/// How long a read waits for a lock, which only a checkpoint at the end of the owner holds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const TABLES: [&str; 7] = ["tenants", "domains", "domain_versions", "jobs", "job_events", "models", "model_versions"];

const NAMED_BLOBS: &str =
    "SELECT v.blob, NULL AS n_bytes, 'domain ' || d.name || '@' || v.version AS named_by, 1 AS is_table
    FROM domain_versions v JOIN domains d ON d.id = v.domain_id
  UNION ALL SELECT v.blob, v.n_bytes, 'model ' || m.name || '@' || v.version, 0
    FROM model_versions v JOIN models m ON m.id = v.model_id
  UNION ALL SELECT checkpoint_ref, NULL, 'the state of ' || id, 0 FROM jobs WHERE checkpoint_ref IS NOT NULL
  UNION ALL SELECT blob, n_bytes, 'the file of ' || job_id, 0 FROM job_files";

/// Of a database that an older program left.
const NAMED_BLOBS_BEFORE_FILES: &str =
    "SELECT v.blob, NULL AS n_bytes, 'domain ' || d.name || '@' || v.version AS named_by,
      1 AS is_table
    FROM domain_versions v JOIN domains d ON d.id = v.domain_id
  UNION ALL SELECT v.blob, v.n_bytes, 'model ' || m.name || '@' || v.version, 0
    FROM model_versions v JOIN models m ON m.id = v.model_id";

/// A database that is another's.
pub struct SqliteBeside(SqliteConnection);

impl SqliteBeside {
    /// For backups.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where there is no database, [`StoreError::Corrupt`] where the file is none.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::connect(SqliteConnectOptions::new().filename(path).read_only(true)).await
    }

    /// For inspections. SQLite does not know the constraints of a file that is opened to be read only, so that this one is
    /// opened otherwise, and then kept from writing.
    ///
    /// # Errors
    /// As [`SqliteBeside::open`].
    pub async fn open_to_inspect(path: &Path) -> Result<Self, StoreError> {
        Self::connect(SqliteConnectOptions::new().filename(path).pragma("query_only", "on")).await
    }

    async fn connect(options: SqliteConnectOptions) -> Result<Self, StoreError> {
        let options = options.busy_timeout(BUSY_TIMEOUT).pragma("temp_store", "memory").disable_statement_logging();
        let mut connection = options.connect().await?;
        // Opening reads nothing yet.
        sqlx::query("SELECT count(*) FROM sqlite_schema").fetch_one(&mut connection).await?;
        Ok(Self(connection))
    }

    /// Writes the database as it is at this moment into a new file. Its owner goes on meanwhile.
    ///
    /// # Errors
    /// A file that is there or cannot be written.
    pub async fn snapshot(&mut self, to: &Path) -> Result<(), StoreError> {
        let to = to.to_str().ok_or_else(|| StoreError::Unavailable("the path is not UTF-8".into()))?;
        sqlx::query("VACUUM INTO ?1").bind(to).execute(&mut self.0).await?;
        Ok(())
    }

    /// # Errors
    /// A file that is not of this program.
    pub async fn schema(&mut self) -> Result<Schema, StoreError> {
        let sql = "SELECT max(version) AS version, coalesce(min(success), 0) AS finished FROM _sqlx_migrations";
        let row = sqlx::query(sql).fetch_one(&mut self.0).await?;
        let version: Option<i64> = row.try_get("version")?;
        let known = MIGRATIONS.iter().map(|m| m.version).max().unwrap_or(0);
        Ok(Schema { version: version.unwrap_or(0), known, finished: row.try_get("finished")? })
    }

    /// How many rows there are of what people count.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn counts(&mut self) -> Result<BTreeMap<String, i64>, StoreError> {
        let sql = "SELECT (SELECT count(*) FROM tenants) AS tenants, (SELECT count(*) FROM domains) AS domains,
          (SELECT count(*) FROM domain_versions) AS domain_versions, (SELECT count(*) FROM jobs) AS jobs,
          (SELECT count(*) FROM job_events) AS job_events, (SELECT count(*) FROM models) AS models,
          (SELECT count(*) FROM model_versions) AS model_versions";
        let row = sqlx::query(sql).fetch_one(&mut self.0).await?;
        TABLES.iter().map(|table| Ok(((*table).to_owned(), row.try_get(*table)?))).collect()
    }

    /// Every blob that a record names.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn named_blobs(&mut self) -> Result<Vec<NamedBlob>, StoreError> {
        let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'job_files'";
        let has_files = sqlx::query(sql).fetch_optional(&mut self.0).await?.is_some();
        let sql = if has_files { NAMED_BLOBS } else { NAMED_BLOBS_BEFORE_FILES };
        let found = sqlx::query(sql).fetch_all(&mut self.0).await?;
        let named = |row| {
            let row: &sqlx::sqlite::SqliteRow = row;
            let n_bytes = row.try_get::<Option<i64>, _>("n_bytes")?;
            let n_bytes = n_bytes.map(u64::try_from).transpose().map_err(|_| rows::corrupt("n_bytes"))?;
            let form = if row.try_get("is_table")? { BlobForm::Table } else { BlobForm::Other };
            Ok(NamedBlob { blob: row.try_get("blob")?, n_bytes, named_by: row.try_get("named_by")?, form })
        };
        found.iter().map(named).collect()
    }

    /// What of the promises about the database does not hold. All is read of one moment.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn inspect(&mut self, owner: Owner, now: Timestamp) -> Result<Vec<Finding>, StoreError> {
        let schema = self.schema().await?;
        sqlx::query("BEGIN").execute(&mut self.0).await?;
        let found = inspect::all(&mut self.0, schema, owner, now).await;
        sqlx::query("ROLLBACK").execute(&mut self.0).await?;
        found
    }

    /// # Errors
    /// If it cannot be closed.
    pub async fn close(self) -> Result<(), StoreError> {
        Ok(self.0.close().await?)
    }
}
