//! The resolved spec of a job as it is stored: written by the service, read by the worker.

use std::collections::BTreeMap;

use adaptation::engine::{Choice, Evaluation, Spec};
use adaptation::features::FeatureParams;
use serde::{Deserialize, Serialize};

use super::job::JobKind;
use super::name::Name;

/// What a job runs, with every name resolved to a version and every default that does not depend on
/// the data filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredSpec {
    pub kind: JobKind,
    /// `name@version`; empty where a stored model is continued.
    pub sources: Vec<String>,
    /// `name@version`
    pub target: String,
    pub method: Choice,
    pub learner: Choice,
    pub features: FeatureParams,
    pub evaluation: Evaluation,
    pub seed: u64,
    /// The model that the job makes a version of.
    pub model: Name,
    /// `name@version` of the model that is continued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// How long the job may take from its creation, ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// The client's own words about the job.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Read by `select` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_budget: Option<String>,
    /// Read by `select` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
}

/// What a job of the kinds `predict` and `evaluate` runs: a stored model on a stored domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppliedSpec {
    pub kind: JobKind,
    /// `name@version` of the model.
    pub model: String,
    /// `name@version`
    pub target: String,
    /// Of the file; `None` for an evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<FileFormat>,
    /// What stands beside each prediction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<Include>,
    /// Of the intervals of an evaluation.
    pub seed: u64,
    /// How long the job may take from its creation, ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// The client's own words about the job.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// What a job of the kind `batch` is: its jobs are jobs of their own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchSpec {
    pub kind: JobKind,
    pub n_jobs: usize,
    /// How long the job may take from its creation, ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// The client's own words about the job.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// How the file of a job is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    #[default]
    Csv,
    Parquet,
    Ndjson,
}

/// What stands beside each prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Include {
    /// What the model without the adaptation says.
    SourceOnly,
    /// The row in the adapted space.
    Features,
}

/// How bold a selection may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    Conservative,
    Balanced,
    Aggressive,
}

impl FileFormat {
    pub const ALL: [FileFormat; 3] = [FileFormat::Csv, FileFormat::Parquet, FileFormat::Ndjson];

    pub const fn as_str(self) -> &'static str {
        match self {
            FileFormat::Csv => "csv",
            FileFormat::Parquet => "parquet",
            FileFormat::Ndjson => "ndjson",
        }
    }

    pub const fn media_type(self) -> &'static str {
        match self {
            FileFormat::Csv => "text/csv",
            FileFormat::Parquet => "application/vnd.apache.parquet",
            FileFormat::Ndjson => "application/x-ndjson",
        }
    }
}

impl Include {
    pub const ALL: [Include; 2] = [Include::SourceOnly, Include::Features];

    pub const fn as_str(self) -> &'static str {
        match self {
            Include::SourceOnly => "source_only",
            Include::Features => "features",
        }
    }
}

impl StoredSpec {
    /// The part that the library runs.
    pub fn engine(&self) -> Spec {
        Spec {
            method: self.method.clone(),
            learner: self.learner.clone(),
            features: self.features,
            evaluation: self.evaluation,
            seed: self.seed,
        }
    }
}
