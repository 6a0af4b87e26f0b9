//! What a job would be: the answer to `POST /v1/jobs?dry_run=true`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::job_view::JobView;
use crate::service::DryRun;

/// Whether a job is only looked at.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CreateQuery {
    /// Resolve and check everything, the data too, and start nothing.
    pub dry_run: Option<bool>,
}

/// What a job would be, and about what it would take.
#[derive(Debug, Serialize, ToSchema)]
pub struct DryRunView {
    /// Always `dry_run`.
    pub object: &'static str,
    pub kind: &'static str,
    /// With every name resolved and every default that does not depend on the data.
    #[schema(value_type = Object)]
    pub spec: Value,
    pub estimate: EstimateView,
}

/// What a job would take.
#[derive(Debug, Serialize, ToSchema)]
pub struct EstimateView {
    /// Asked for by the method beyond its data; null for kinds that fit nothing.
    pub memory_bytes: Option<u64>,
    /// What a job may ask for.
    pub memory_limit_bytes: u64,
    /// How long past jobs of this kind and method ran, whatever their data; null where there are none.
    pub seconds: Option<PastView>,
}

/// How long past jobs ran, in seconds.
#[derive(Debug, Serialize, ToSchema)]
pub struct PastView {
    pub least: f64,
    pub median: f64,
    pub most: f64,
    /// How many jobs, the newest.
    pub n_jobs: usize,
}

/// A job, or what it would be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "the shape of an answer, for the document alone")]
pub enum JobOrDryRun {
    Job(Box<JobView>),
    DryRun(DryRunView),
}

impl From<DryRun> for DryRunView {
    fn from(dry: DryRun) -> Self {
        let mut seconds: Vec<f64> = dry.past_run_ms.iter().map(|ms| *ms as f64 / 1e3).collect();
        seconds.sort_unstable_by(f64::total_cmp);
        let past = seconds.first().zip(seconds.last()).map(|(least, most)| PastView {
            least: *least,
            median: seconds[seconds.len() / 2],
            most: *most,
            n_jobs: seconds.len(),
        });
        let estimate =
            EstimateView { memory_bytes: dry.memory_bytes, memory_limit_bytes: dry.memory_limit_bytes, seconds: past };
        Self { object: "dry_run", kind: dry.kind.as_str(), spec: dry.spec, estimate }
    }
}
