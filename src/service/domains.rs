//! Domains: bytes become a new immutable version, or are the newest again.

use adaptation::data::{Column, Role, Table, TaskKind};
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::error::{Code, Fault, Place, ServiceError};
use super::jobs::check_cursor;
use super::requests::{Once, RequestKey, odd};
use super::scratch::{hex, of_io};
use super::unpack::Contents;
use super::{Page, Received, Service, cut, one_more};
use crate::blobs::BlobError;
use crate::ingest::{self, Coding, ColumnStatistics, CsvOptions, Format, IngestError, RoleRequest, Stored};
use crate::records::{
    ColumnRecord, DomainId, DomainRecord, DomainVersionRecord, Expected, Made, Name, NewDomainVersion, PageRequest,
    Reference, TenantId,
};
use crate::store::Put;

/// What a client says about the data it sends.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DomainOptions {
    pub format: Option<Format>,
    pub media_type: Option<String>,
    /// How the bytes are packed; they are also unpacked where their first bytes show it.
    pub coding: Option<Coding>,
    pub csv: CsvOptions,
    pub roles: RoleRequest,
    pub task: Option<TaskKind>,
}

/// A domain that is sent as one document: rows, with a name and roles beside them.
#[derive(Debug, Clone)]
pub struct InlineDomain {
    pub name: Name,
    /// `{"rows": […]}` or `{"columns": […], "data": […]}`.
    pub rows: Value,
    pub options: DomainOptions,
}

/// A version, and whether this request made it.
#[derive(Debug, Clone, PartialEq)]
pub enum PutDomain {
    Created(DomainVersionRecord),
    Unchanged(DomainVersionRecord),
}

impl Service {
    /// Stores what was received as the newest version of a domain, which is made if it is new.
    /// Readable when this returns.
    ///
    /// # Errors
    /// What is wrong with the data or the roles, with its place; or the domain stands otherwise than expected.
    pub async fn put_domain(
        &self,
        tenant: &TenantId,
        (name, expected): (Name, Expected),
        received: Received,
        options: DomainOptions,
    ) -> Result<PutDomain, ServiceError> {
        let (coding, settings, scratch) = (options.coding, self.ingest_options(&options), self.scratch.clone());
        let read = move || Contents::of(received, coding, &settings, &scratch);
        let contents = tokio::task::spawn_blocking(read).await.map_err(ServiceError::internal)??;
        self.put_contents(tenant, (name, expected), contents, options).await
    }

    /// Makes a domain of rows that came in a document; one that is sent again gets the version that it made.
    ///
    /// # Errors
    /// If another domain has the name, a request with this key is on its way, or as [`Service::put_domain`].
    pub async fn create_domain(
        &self,
        tenant: &TenantId,
        new: InlineDomain,
        key: Option<RequestKey>,
    ) -> Result<Once<PutDomain>, ServiceError> {
        let keyed = self.keyed(tenant, key, self.clock.now());
        let running = keyed.as_ref().map(|request| self.in_progress.begin(request)).transpose()?;
        if let Some(made) = self.made_before(keyed.as_ref()).await? {
            return self.version_again(tenant, made).await;
        }
        self.make_room(0)?;
        let put = self.create_inline(tenant, new).await?;
        if let Some(request) = keyed {
            // After a crash before this, the same request finds its own version, which it makes no second time.
            self.store.remember_request(request, made_by(&put)).await?;
        }
        drop(running);
        Ok(Once::New(put))
    }

    /// The version of an earlier request.
    async fn version_again(&self, tenant: &TenantId, made: Made) -> Result<Once<PutDomain>, ServiceError> {
        let Made::DomainVersion { domain, version, was_new } = made else { return Err(odd()) };
        let version = self.domain_version(tenant, &Reference::Id(domain), Some(version)).await?;
        Ok(Once::Replayed(if was_new { PutDomain::Created(version) } else { PutDomain::Unchanged(version) }))
    }

    async fn create_inline(&self, tenant: &TenantId, new: InlineDomain) -> Result<PutDomain, ServiceError> {
        let bytes = Bytes::from(serde_json::to_vec(&new.rows).map_err(ServiceError::internal)?);
        let contents = Contents::rows(bytes);
        let options = DomainOptions { format: Some(Format::JsonRows), ..new.options };
        let identity = identity(&contents.digest, Format::JsonRows, &options, &CsvOptions::default())?;
        if let Some(newest) = self.store.domain_version(tenant, &Reference::Name(new.name.clone()), None).await?
            && newest.identity != identity
        {
            let detail = format!("there is a domain {} with other data; PUT makes a new version of it", new.name);
            return Err(ServiceError::at(Code::DomainNameTaken, "/name", detail));
        }
        self.put_contents(tenant, (new.name, Expected::Unsaid), contents, options).await
    }

    async fn put_contents(
        &self,
        tenant: &TenantId,
        (name, expected): (Name, Expected),
        contents: Contents,
        options: DomainOptions,
    ) -> Result<PutDomain, ServiceError> {
        let now = self.clock.now();
        let n_bytes = i64::try_from(contents.source.n_bytes()).unwrap_or(i64::MAX);
        let format = contents.format;
        let settings = ingest::Options { format: Some(format), ..self.ingest_options(&options) };
        let csv = if format == Format::Csv {
            settings.csv_options().map_err(|e| of_ingest(&e))?
        } else {
            CsvOptions::default()
        };
        let identity = identity(&contents.digest, format, &options, &csv)?;
        let newest = self.store.domain_version(tenant, &Reference::Name(name.clone()), None).await?;
        let stands_at = newest.as_ref().map(|v| v.version);
        if !expected.holds(stands_at) {
            return Err(stale());
        }
        if let Some(newest) = newest.filter(|v| v.identity == identity) {
            return Ok(PutDomain::Unchanged(newest));
        }
        let (note, scratch) = (contents.note.clone(), self.scratch.clone());
        let store = move || {
            // Stored tables are packed: they are seldom larger than what they are read from.
            scratch.make_room(contents.source.n_bytes())?;
            let (path, file) = scratch.create().map_err(of_io)?;
            let stored = ingest::store(&contents.source, &settings, file).map_err(|e| of_ingest(&e))?;
            Ok::<_, ServiceError>((stored, path))
        };
        let (stored, file) = tokio::task::spawn_blocking(store).await.map_err(ServiceError::internal)??;
        let Stored { columns, roles, task, n_rows, notes, written, .. } = stored;
        let blob = self.blobs.take_file(file.path(), &written.digest).await.map_err(of_blob)?.to_string();
        let columns = columns.into_iter().zip(roles).map(|(column, role)| {
            let statistics = serde_json::to_value(column.statistics).map_err(ServiceError::internal)?;
            Ok(ColumnRecord { name: column.name, kind: column.kind, role, statistics })
        });
        let columns = columns.collect::<Result<_, ServiceError>>()?;
        let new = NewDomainVersion {
            tenant: tenant.clone(),
            id: DomainId::at(now),
            name,
            // Another upload may come in between, which who expects something has not seen.
            of_version: matches!(expected, Expected::Absent | Expected::At(_)).then_some(stands_at.unwrap_or(0)),
            identity,
            format: format.as_str().to_owned(),
            n_bytes,
            n_rows: i64::try_from(n_rows).map_err(ServiceError::internal)?,
            task,
            columns,
            notes: note.into_iter().chain(notes).collect(),
            blob,
            created_at: now,
        };
        self.put_version(new).await
    }

    pub(super) async fn put_version(&self, new: NewDomainVersion) -> Result<PutDomain, ServiceError> {
        match self.store.put_domain_version(new).await? {
            Put::Created(version) => Ok(PutDomain::Created(version)),
            Put::Unchanged(version) => Ok(PutDomain::Unchanged(version)),
            Put::Stale => Err(stale()),
        }
    }

    pub(super) fn ingest_options(&self, options: &DomainOptions) -> ingest::Options {
        let plain = ingest::Limits::default();
        let limits = ingest::Limits {
            bytes: self.limits.max_upload_bytes,
            rows: usize::try_from(self.limits.max_rows).unwrap_or(usize::MAX),
            columns: self.limits.max_columns,
            decompressed_bytes: plain.decompressed_bytes.max(self.limits.max_upload_bytes),
            ..plain
        };
        ingest::Options {
            format: options.format,
            media_type: options.media_type.clone(),
            roles: options.roles.clone(),
            task: options.task,
            csv: options.csv.clone(),
            limits,
        }
    }

    /// # Errors
    /// If the cursor is none of ours.
    pub async fn domains(&self, tenant: &TenantId, page: &PageRequest) -> Result<Page<DomainRecord>, ServiceError> {
        check_cursor(page, |key| key.parse::<Name>().is_ok())?;
        let found = self.store.domains(tenant, &one_more(page)).await?;
        Ok(cut(found, page, |d| d.name.to_string()))
    }

    /// # Errors
    /// If there is no such domain.
    pub async fn domain(&self, tenant: &TenantId, which: &Reference<DomainId>) -> Result<DomainRecord, ServiceError> {
        let found = self.store.domain(tenant, which).await?;
        found.ok_or_else(|| ServiceError::new(Code::DomainNotFound, "there is no such domain"))
    }

    /// One version of a domain, by default the newest.
    ///
    /// # Errors
    /// If there is no such domain or version.
    pub async fn domain_version(
        &self,
        tenant: &TenantId,
        which: &Reference<DomainId>,
        version: Option<i64>,
    ) -> Result<DomainVersionRecord, ServiceError> {
        match self.store.domain_version(tenant, which, version).await? {
            Some(version) => Ok(version),
            None => {
                let domain = self.domain(tenant, which).await?;
                let detail = format!("{} has versions 1 to {}", domain.name, domain.latest_version);
                Err(ServiceError::new(Code::DomainVersionNotFound, detail))
            }
        }
    }

    /// # Errors
    /// If there is no such domain, or the cursor is none of ours.
    pub async fn domain_versions(
        &self,
        tenant: &TenantId,
        which: &Reference<DomainId>,
        page: &PageRequest,
    ) -> Result<Page<DomainVersionRecord>, ServiceError> {
        check_cursor(page, |key| key.parse::<i64>().is_ok())?;
        let domain = self.domain(tenant, which).await?;
        let found = self.store.domain_versions(tenant, domain.id, &one_more(page)).await?;
        Ok(cut(found, page, |v| v.version.to_string()))
    }

    pub(super) async fn store_blob(&self, bytes: Vec<u8>) -> Result<String, ServiceError> {
        Ok(self.blobs.put(bytes.into()).await.map_err(of_blob)?.to_string())
    }

    pub(super) async fn blob(&self, key: &str) -> Result<Bytes, ServiceError> {
        let id = key.parse().map_err(of_blob)?;
        self.blobs.get(&id).await.map_err(of_blob)
    }
}

fn made_by(put: &PutDomain) -> Made {
    let (PutDomain::Created(version) | PutDomain::Unchanged(version)) = put;
    let was_new = matches!(put, PutDomain::Created(_));
    Made::DomainVersion { domain: version.domain, version: version.version, was_new }
}

pub(super) fn stale() -> ServiceError {
    ServiceError::new(Code::PreconditionFailed, "the domain stands otherwise than expected; read it and try again")
}

/// What makes two versions the same: bytes, the format that they are read as, roles and task; of CSV also what is said
/// about it, where something is.
fn identity(digest: &str, format: Format, options: &DomainOptions, csv: &CsvOptions) -> Result<String, ServiceError> {
    let mut parts = json!({ "bytes": digest, "format": format, "roles": options.roles, "task": options.task });
    let csv = serde_json::to_value(csv).map_err(ServiceError::internal)?;
    if csv.as_object().is_some_and(|said| !said.is_empty()) {
        parts["csv"] = csv;
    }
    Ok(hex(&Sha256::digest(parts.to_string().as_bytes())))
}

/// What is stored of the columns beside their values.
pub(super) fn columns_of(
    table: &Table,
    roles: &[Role],
    statistics: &[ColumnStatistics],
) -> Result<Vec<ColumnRecord>, ServiceError> {
    let record = |(column, (&role, statistics)): (&Column, (&Role, &ColumnStatistics))| {
        let statistics = serde_json::to_value(statistics).map_err(ServiceError::internal)?;
        Ok(ColumnRecord { name: column.name.clone(), kind: column.values.kind(), role, statistics })
    };
    table.columns().iter().zip(roles.iter().zip(statistics)).map(record).collect()
}

pub(super) fn of_ingest(error: &IngestError) -> ServiceError {
    let detail = error.to_string();
    let code = match error {
        IngestError::Invalid { .. } => Code::DataInvalid,
        IngestError::Empty { .. } => Code::DataEmpty,
        IngestError::TooManyColumns { .. } => Code::TooManyColumns,
        IngestError::Encoding { .. } => Code::EncodingError,
        // The resource is there; it is the parameter that names a column which is not.
        IngestError::ColumnNotFound { role, .. } => {
            return ServiceError::parameter(Code::InvalidParameter, role, detail);
        }
        IngestError::Parameter { name, .. } => {
            return ServiceError::parameter(Code::InvalidParameter, name, detail);
        }
        IngestError::UnsupportedMediaType { .. } => Code::UnsupportedMediaType,
        IngestError::TooLarge { .. } => Code::BodyTooLarge,
        IngestError::Decompression { .. } => Code::DecompressionLimit,
        IngestError::MalformedJson { .. } => Code::MalformedJson,
        IngestError::JsonTooDeep { .. } => Code::JsonTooDeep,
        IngestError::Storage { kind, .. } => return of_io(std::io::Error::new(*kind, detail)),
    };
    let refused = ServiceError::new(code, detail.clone());
    let Some(place) = error.place() else { return refused };
    let at = match place.pointer {
        Some(pointer) => Place::Pointer(pointer),
        None => Place::Cell { row: place.row, line: place.line, column: place.column },
    };
    refused.with(Fault { at, code: error.code().to_owned(), detail })
}

impl From<BlobError> for ServiceError {
    fn from(error: BlobError) -> Self {
        of_blob(error)
    }
}

fn of_blob(error: BlobError) -> ServiceError {
    let cause = Some(error.to_string());
    match error {
        BlobError::Full(_) => ServiceError::new(Code::StorageFull, "the disk of the service is full"),
        BlobError::Unavailable(_) => {
            let public = ServiceError::new(Code::StorageUnavailable, "the storage of files does not answer; try again");
            ServiceError { cause, ..public }
        }
        BlobError::InvalidId | BlobError::Missing(_) | BlobError::Corrupt(_) => ServiceError::internal(error),
    }
}
