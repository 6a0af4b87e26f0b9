//! Rows to records and back: the columns of each table are named here once for reading. What does not
//! parse was not written by this program, and is reported as corrupt without its content.

use std::str::FromStr;

use adaptation::data::TaskKind;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::super::StoreError;
use crate::records::{
    DomainRecord, DomainVersionRecord, FileFormat, JobEvent, JobFile, JobKind, JobRecord, JobState, ModelRecord,
    ModelVersionRecord, TenantId, Timestamp,
};

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        // Primary result codes of SQLite: FULL, CONSTRAINT, CORRUPT, NOTADB. It says FULL where a file cannot grow because of
        // ENOSPC, but IOERR_SHMSIZE where the index of the log cannot.
        let code = match &error {
            sqlx::Error::Database(e) => match e.code().and_then(|c| c.parse::<u32>().ok()) {
                Some(4874) => Some(13),
                code => code.map(|c| c & 0xff),
            },
            sqlx::Error::Io(e) if e.kind() == std::io::ErrorKind::StorageFull => Some(13),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::Decode(_) => Some(11),
            _ => None,
        };
        match code {
            Some(13) => StoreError::Full,
            Some(19) => StoreError::Refused(error.to_string()),
            Some(11 | 26) => StoreError::Corrupt(error.to_string()),
            _ => StoreError::Unavailable(error.to_string()),
        }
    }
}

/// A value as the text of its JSON.
pub(super) fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Refused(format!("a value is not JSON: {e}")))
}

pub(super) fn corrupt(column: &str) -> StoreError {
    StoreError::Corrupt(format!("column {column}"))
}

/// A column whose text parses.
pub(super) fn parsed<T: FromStr>(row: &SqliteRow, column: &str) -> Result<T, StoreError> {
    row.try_get::<&str, _>(column)?.parse().map_err(|_| corrupt(column))
}

fn parsed_or_null<T: FromStr>(row: &SqliteRow, column: &str) -> Result<Option<T>, StoreError> {
    row.try_get::<Option<&str>, _>(column)?.map(str::parse).transpose().map_err(|_| corrupt(column))
}

pub(super) fn json<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<T, StoreError> {
    serde_json::from_str(row.try_get(column)?).map_err(|_| corrupt(column))
}

fn json_or_null<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> Result<Option<T>, StoreError> {
    row.try_get::<Option<&str>, _>(column)?.map(serde_json::from_str).transpose().map_err(|_| corrupt(column))
}

pub(super) fn time(row: &SqliteRow, column: &str) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_millis(row.try_get(column)?))
}

pub(super) fn time_or_null(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_millis))
}

pub(super) fn state(row: &SqliteRow) -> Result<JobState, StoreError> {
    let text = row.try_get::<&str, _>("state")?;
    JobState::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| corrupt("state"))
}

pub(super) fn kind(row: &SqliteRow) -> Result<JobKind, StoreError> {
    let text = row.try_get::<&str, _>("kind")?;
    JobKind::ALL.into_iter().find(|k| k.as_str() == text).ok_or_else(|| corrupt("kind"))
}

pub(super) const fn task_word(task: TaskKind) -> &'static str {
    match task {
        TaskKind::Classification => "classification",
        TaskKind::Regression => "regression",
    }
}

fn task(row: &SqliteRow) -> Result<Option<TaskKind>, StoreError> {
    match row.try_get::<Option<&str>, _>("task")? {
        None => Ok(None),
        Some("classification") => Ok(Some(TaskKind::Classification)),
        Some("regression") => Ok(Some(TaskKind::Regression)),
        Some(_) => Err(corrupt("task")),
    }
}

pub(super) fn job(row: &SqliteRow) -> Result<JobRecord, StoreError> {
    Ok(JobRecord {
        id: parsed(row, "id")?,
        tenant: TenantId(row.try_get("tenant_id")?),
        kind: kind(row)?,
        state: state(row)?,
        priority: row.try_get("priority")?,
        run_at: time(row, "run_at")?,
        attempt: row.try_get("attempt")?,
        max_attempts: row.try_get("max_attempts")?,
        crash_count: row.try_get("crash_count")?,
        lease_token: row.try_get("lease_token")?,
        created_at: time(row, "created_at")?,
        started_at: time_or_null(row, "started_at")?,
        finished_at: time_or_null(row, "finished_at")?,
        cancel_requested_at: time_or_null(row, "cancel_requested_at")?,
        pause_requested_at: time_or_null(row, "pause_requested_at")?,
        deadline_at: time_or_null(row, "deadline_at")?,
        traceparent: row.try_get("traceparent")?,
        version: row.try_get("version")?,
        spec: json(row, "spec")?,
        progress: json_or_null(row, "progress")?,
        checkpoint: row.try_get("checkpoint_ref")?,
        result: json_or_null(row, "result")?,
        error: json_or_null(row, "error")?,
        parent: parsed_or_null(row, "parent_id")?,
        retry_of: parsed_or_null(row, "retry_of")?,
        n_children: row.try_get("n_children")?,
        open_children: row.try_get("open_children")?,
    })
}

pub(super) fn event(row: &SqliteRow) -> Result<JobEvent, StoreError> {
    Ok(JobEvent {
        job: parsed(row, "job_id")?,
        feed_seq: row.try_get("feed_seq")?,
        seq: row.try_get("seq")?,
        at: time(row, "at")?,
        event: row.try_get("type")?,
        data: json(row, "data")?,
    })
}

pub(super) fn domain(row: &SqliteRow) -> Result<DomainRecord, StoreError> {
    Ok(DomainRecord {
        id: parsed(row, "id")?,
        name: parsed(row, "name")?,
        latest_version: row.try_get("latest_version")?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
    })
}

pub(super) fn domain_version(row: &SqliteRow) -> Result<DomainVersionRecord, StoreError> {
    Ok(DomainVersionRecord {
        domain: parsed(row, "domain_id")?,
        name: parsed(row, "name")?,
        version: row.try_get("version")?,
        identity: row.try_get("identity")?,
        format: row.try_get("format")?,
        n_bytes: row.try_get("n_bytes")?,
        n_rows: row.try_get("n_rows")?,
        task: task(row)?,
        columns: json(row, "columns")?,
        notes: json(row, "notes")?,
        blob: row.try_get("blob")?,
        created_at: time(row, "created_at")?,
    })
}

pub(super) fn model(row: &SqliteRow) -> Result<ModelRecord, StoreError> {
    Ok(ModelRecord {
        id: parsed(row, "id")?,
        name: parsed(row, "name")?,
        latest_version: row.try_get("latest_version")?,
        revision: row.try_get("revision")?,
        description: row.try_get("description")?,
        labels: json(row, "labels")?,
        aliases: json(row, "aliases")?,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
    })
}

pub(super) fn model_version(row: &SqliteRow) -> Result<ModelVersionRecord, StoreError> {
    Ok(ModelVersionRecord {
        model: parsed(row, "model_id")?,
        name: parsed(row, "name")?,
        version: row.try_get("version")?,
        job: parsed(row, "job_id")?,
        blob: row.try_get("blob")?,
        n_bytes: row.try_get("n_bytes")?,
        signature: json(row, "signature")?,
        lineage: json(row, "lineage")?,
        created_at: time(row, "created_at")?,
    })
}

pub(super) fn metrics(row: &SqliteRow) -> Result<serde_json::Value, StoreError> {
    json(row, "metrics")
}

pub(super) fn job_file(row: &SqliteRow) -> Result<JobFile, StoreError> {
    let text = row.try_get::<&str, _>("format")?;
    let format = FileFormat::ALL.into_iter().find(|f| f.as_str() == text).ok_or_else(|| corrupt("format"))?;
    Ok(JobFile { format, blob: row.try_get("blob")?, n_bytes: row.try_get("n_bytes")?, n_rows: row.try_get("n_rows")? })
}
