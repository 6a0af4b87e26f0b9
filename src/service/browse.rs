//! Stored domains looked at again: a page of rows, and other roles for the same columns.

use adaptation::data::{Column, Role, Table, TaskKind};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::domains::{PutDomain, columns_of, of_ingest, stale};
use super::error::{Code, ServiceError};
use super::scratch::hex;
use super::{DomainOptions, Service};
use crate::ingest::columnar::Columnar;
use crate::ingest::{self, Assigned, RoleRequest, Source, stored};
use crate::records::{
    Cursor, DomainId, DomainVersionRecord, Expected, NewDomainVersion, PageRequest, Reference, TenantId,
};

/// Some rows of a version.
#[derive(Debug, Clone, PartialEq)]
pub struct RowPage {
    pub table: Table,
    /// Where the next page begins.
    pub next: Option<Cursor>,
}

/// New roles: what is left out stays as it is, null takes a role away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct RolePatch {
    #[serde(deserialize_with = "given")]
    pub label: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    pub weight: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    pub group: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    pub id: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    pub time: Option<Option<String>>,
    pub ignore: Option<Vec<String>>,
    pub task: Option<TaskKind>,
}

/// Tells a null that was written from nothing at all.
pub(super) fn given<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

impl Service {
    /// Rows of a version in their order; `columns` empty means all.
    ///
    /// # Errors
    /// If there is no such domain, version or column, or the cursor is none of ours.
    pub async fn rows(
        &self,
        tenant: &TenantId,
        which: (&Reference<DomainId>, Option<i64>),
        columns: Vec<String>,
        page: &PageRequest,
    ) -> Result<RowPage, ServiceError> {
        // A walk stays in the version in which it began.
        let (of_cursor, offset) = match &page.after {
            Some(cursor) => rows_cursor(cursor)?,
            None => (None, 0),
        };
        if of_cursor.is_some() && which.1.is_some_and(|version| Some(version) != of_cursor) {
            return Err(bad_cursor());
        }
        let version = self.domain_version(tenant, which.0, which.1.or(of_cursor)).await?;
        if let Some(missing) = columns.iter().find(|name| version.columns.iter().all(|c| c.name != **name)) {
            let shown: String = missing.chars().take(80).collect();
            let detail = format!("{}@{} has no column {shown:?}", version.name, version.version);
            return Err(ServiceError::parameter(Code::ColumnNotFound, "columns", detail));
        }
        let limit = page.limit as usize;
        let id = version.blob.parse().map_err(ServiceError::internal)?;
        let path = self.blobs.file(&id).await?;
        let read = move || {
            let source = Source::file(path).map_err(ServiceError::internal)?;
            let table = stored::read_rows(&source, offset, limit).map_err(ServiceError::internal)?;
            Ok::<_, ServiceError>(if columns.is_empty() { table } else { select(table, &columns) })
        };
        let table = tokio::task::spawn_blocking(read).await.map_err(ServiceError::internal)??;
        let end = offset + limit;
        let more = usize::try_from(version.n_rows).is_ok_and(|n| end < n);
        Ok(RowPage { table, next: more.then(|| Cursor(format!("{}:{end}", version.version))) })
    }

    /// A new version with the same columns in other roles; the newest again where nothing changes.
    ///
    /// # Errors
    /// If there is no such domain or column, the roles do not fit the columns, or the newest version is not one that is
    /// expected.
    pub async fn patch_roles(
        &self,
        tenant: &TenantId,
        which: &Reference<DomainId>,
        patch: RolePatch,
        expected: &Expected,
    ) -> Result<PutDomain, ServiceError> {
        let newest = self.domain_version(tenant, which, None).await?;
        if !expected.holds(Some(newest.version)) {
            return Err(stale());
        }
        let roles = patched(&newest, &patch);
        let task = patch.task.or(if patch.label.is_some() { None } else { newest.task });
        let parts = json!({ "of": newest.identity, "roles": roles, "task": task });
        let settings = self.ingest_options(&DomainOptions { roles, task, ..DomainOptions::default() });
        let bytes = self.blob(&newest.blob).await?;
        let assign = move || {
            let table = stored::read_parquet(bytes).map_err(ServiceError::internal)?;
            let found = ingest::assign_roles(table, &settings).map_err(|e| of_ingest(&e))?;
            let parquet = stored::write_parquet(&found.table).map_err(ServiceError::internal)?;
            Ok::<_, ServiceError>((found, parquet))
        };
        let (found, parquet) = tokio::task::spawn_blocking(assign).await.map_err(ServiceError::internal)??;
        let Assigned { table, roles, task, statistics, notes } = found;
        let columns = columns_of(&table, &roles, &statistics)?;
        if columns == newest.columns && task == newest.task {
            return Ok(PutDomain::Unchanged(newest));
        }
        self.make_room(parquet.len() as u64)?;
        let blob = self.store_blob(parquet).await?;
        let now = self.clock.now();
        let new = NewDomainVersion {
            tenant: tenant.clone(),
            id: newest.domain,
            name: newest.name,
            of_version: Some(newest.version),
            identity: hex(&Sha256::digest(parts.to_string().as_bytes())),
            format: newest.format,
            n_bytes: newest.n_bytes,
            n_rows: newest.n_rows,
            task,
            columns,
            notes,
            blob,
            created_at: now,
        };
        self.put_version(new).await
    }
}

/// Version and rows before, as a page's `next` has them.
fn rows_cursor(cursor: &Cursor) -> Result<(Option<i64>, usize), ServiceError> {
    let (version, offset) = cursor.0.split_once(':').ok_or_else(bad_cursor)?;
    Ok((Some(version.parse().map_err(|_| bad_cursor())?), offset.parse().map_err(|_| bad_cursor())?))
}

fn bad_cursor() -> ServiceError {
    ServiceError::parameter(Code::InvalidCursor, "cursor", "not a cursor of this list")
}

/// Rows as a file of columns.
///
/// # Errors
/// A column of words as an array of numbers.
pub fn columnar(table: &Table, form: Columnar) -> Result<Vec<u8>, ServiceError> {
    ingest::columnar::write(table, form).map_err(|e| of_ingest(&e))
}

/// The roles of a version with those of a patch over them. A column that is given another role loses the one it had.
fn patched(newest: &DomainVersionRecord, patch: &RolePatch) -> RoleRequest {
    let taken: Vec<&String> = [&patch.label, &patch.weight, &patch.group, &patch.id, &patch.time]
        .into_iter()
        .filter_map(|given| given.as_ref()?.as_ref())
        .chain(patch.ignore.iter().flatten())
        .collect();
    let with = |role: Role| {
        let free = |name: &&String| !taken.contains(name);
        newest.columns.iter().filter(move |c| c.role == role).map(|c| &c.name).filter(free).cloned()
    };
    let one = |given: &Option<Option<String>>, role: Role| given.clone().unwrap_or_else(|| with(role).next());
    RoleRequest {
        label: one(&patch.label, Role::Label),
        weight: one(&patch.weight, Role::Weight),
        group: one(&patch.group, Role::Group),
        id: one(&patch.id, Role::Id),
        time: one(&patch.time, Role::Time),
        ignore: patch.ignore.clone().unwrap_or_else(|| with(Role::Ignore).collect()),
    }
}

/// The columns that are asked for, in the order in which they are.
fn select(table: Table, names: &[String]) -> Table {
    let mut seen = std::collections::HashSet::new();
    let asked = names.iter().filter(|name| seen.insert(name.as_str()));
    let columns: Vec<Column> = asked.filter_map(|name| table.column(name).cloned()).collect();
    Table::new(columns)
}
