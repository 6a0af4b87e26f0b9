//! A job that is only looked at: everything is resolved and checked, the data too, and nothing is started.

use adaptation::context::{Ctx, FitError, Silent};
use adaptation::data::{DomainTable, TaskKind};
use adaptation::engine::{self, FittedModel};
use serde_json::Value;
use std::sync::Arc;

use super::error::{Code, Fault, Place, ServiceError};
use super::{JobRequest, Service};
use crate::ingest::stored;
use crate::records::{JobId, JobKind, ModelReference, StoredSpec, TenantId, VersionedReference};

/// What a job would be, and about what it would take.
#[derive(Debug, Clone, PartialEq)]
pub struct DryRun {
    pub kind: JobKind,
    /// With every name resolved and every default that does not depend on the data.
    pub spec: Value,
    /// What its method asks for beyond its data; `None` for kinds that fit nothing.
    pub memory_bytes: Option<u64>,
    /// What a job may ask for.
    pub memory_limit_bytes: u64,
    /// Of the same kind and method, newest first, of this tenant: the only clue to how long it takes. Empty where there
    /// are none.
    pub past_run_ms: Vec<i64>,
}

/// So many jobs of the past are looked at.
const PAST_RUNS: u32 = 20;

impl Service {
    /// # Errors
    /// All that creating the job would answer, and [`Code::DryRunFailed`] with what the job would fail with before it fits.
    pub async fn dry_run(&self, tenant: &TenantId, request: JobRequest) -> Result<DryRun, ServiceError> {
        let resolved = self.resolved(tenant, request, JobId::at(self.clock.now())).await?;
        let method = resolved.spec["method"]["id"].as_str().unwrap_or_default().to_owned();
        let mut memory_bytes = None;
        // Jobs of a batch may run one by one; the largest has to fit.
        for job in std::iter::once(&resolved).chain(resolved.children.iter().map(|(_, child)| child)) {
            if matches!(job.kind, JobKind::Adapt | JobKind::FineTune) {
                let stored: StoredSpec = serde_json::from_value(job.spec.clone()).map_err(ServiceError::internal)?;
                memory_bytes = memory_bytes.max(Some(self.estimate(tenant, &stored).await?));
            }
        }
        let limit = self.limits.job_memory_bytes;
        if let Some(asked) = memory_bytes.filter(|asked| *asked > limit) {
            let detail = format!(
                "job.out_of_memory_budget: the method asks for {asked} bytes, a job may have {limit}; take fewer rows, \
                 columns or landmarks"
            );
            return Err(ServiceError::new(Code::DryRunFailed, detail));
        }
        let past_run_ms = self.store.past_run_ms(tenant, resolved.kind, &method, PAST_RUNS).await?;
        let (kind, spec) = (resolved.kind, resolved.spec);
        Ok(DryRun { kind, spec, memory_bytes, memory_limit_bytes: limit, past_run_ms })
    }

    /// Bytes that the method asks for beyond its data.
    async fn estimate(&self, tenant: &TenantId, spec: &StoredSpec) -> Result<u64, ServiceError> {
        let mut sources = Vec::new();
        let mut task = None;
        for source in &spec.sources {
            let (table, own) = self.table_of(tenant, source).await?;
            task = task.or(own);
            sources.push(table);
        }
        let (target, _) = self.table_of(tenant, &spec.target).await?;
        let base = match &spec.base {
            Some(base) => Some(self.model_of(tenant, base).await?),
            None => None,
        };
        let task = base.as_ref().map(|b| b.manifest().task).or(task);
        let task = task.ok_or_else(|| ServiceError::new(Code::DryRunFailed, "the source has no label column"))?;
        let engine_spec = spec.engine();
        let limit = self.limits.job_memory_bytes;
        let look = move || {
            let input = engine::Input { task, sources: &sources, target: &target, base: base.as_deref() };
            let ctx = Ctx::new(engine_spec.seed, &Silent).with_memory(limit);
            engine::estimate(&engine_spec, &input, &ctx).map_err(failed)
        };
        tokio::task::spawn_blocking(look).await.map_err(ServiceError::internal)?
    }

    async fn table_of(
        &self,
        tenant: &TenantId,
        reference: &str,
    ) -> Result<(DomainTable, Option<TaskKind>), ServiceError> {
        let which: VersionedReference<_> = reference.parse().map_err(ServiceError::internal)?;
        let version = self.domain_version(tenant, &which.thing, which.version).await?;
        let bytes = self.blob(&version.blob).await?;
        let read = move || stored::read_parquet(bytes).map_err(ServiceError::internal);
        let table = tokio::task::spawn_blocking(read).await.map_err(ServiceError::internal)??;
        let roles = version.columns.iter().map(|c| c.role).collect();
        Ok((DomainTable { name: reference.to_owned(), table, roles }, version.task))
    }

    async fn model_of(&self, tenant: &TenantId, reference: &str) -> Result<Arc<FittedModel>, ServiceError> {
        let which: ModelReference = reference.parse().map_err(ServiceError::internal)?;
        let found = self.model_version_at(tenant, &which).await?;
        self.loaded(&found).await
    }
}

/// What a job would fail with.
fn failed(error: FitError) -> ServiceError {
    let refused = ServiceError::new(Code::DryRunFailed, error.to_string());
    match error {
        FitError::Invalid { pointer, detail } => refused.with(Fault {
            at: Place::Pointer(pointer),
            code: Code::InvalidParameter.as_str().to_owned(),
            detail,
        }),
        _ => refused,
    }
}
