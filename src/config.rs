//! Options of the service, each in one place: a flag, else an `ADAPTD_…` variable, else the file
//! named by `--config`, else the default. The only place where the environment is read.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use figment::Figment;
use figment::providers::{Format as _, Serialized, Toml};
use serde::{Deserialize, Serialize};

use crate::api::HttpLimits;
use crate::disk::BALLAST_BYTES;
use crate::faults;
use crate::records::Period;
use crate::service;
use crate::worker::WorkerOptions;

/// What may be set, as it is written on the command line. What is not given is taken from the file,
/// else from the defaults.
#[derive(Debug, Clone, Default, Args, Serialize)]
pub struct Given {
    /// A TOML file with any of these options, names with underscores: listen = "127.0.0.1:9000"
    #[arg(long, value_name = "FILE", env = "ADAPTD_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Address and port to listen on. Beyond loopback a key is needed first (adaptd keys create). Port 0 takes a free
    /// one. [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "ADAPTD_LISTEN")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,

    /// Listen on an address that other machines reach although there is no key: whoever reaches the port may do
    /// everything. [default: false, such an address is refused until there is a key]
    #[arg(long, env = "ADAPTD_ALLOW_ANONYMOUS", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_anonymous: Option<bool>,

    /// The folder that holds everything: database, domains, models. Made if it is not there; one
    /// process at a time. [default: adaptd-data]
    #[arg(long, value_name = "DIR", env = "ADAPTD_DATA")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,

    /// Jobs that compute at the same time, and threads that a lone job may use. [default: cores less
    /// one, so that predictions are answered while jobs run]
    #[arg(long, value_name = "N", env = "ADAPTD_JOB_THREADS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_threads: Option<usize>,

    /// Bytes that the computation of one job may ask for beyond its data; more is refused before it is
    /// taken, so that the kernel kills nothing. [default: 8 GiB]
    #[arg(long, value_name = "BYTES", env = "ADAPTD_JOB_MEMORY_BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_memory_bytes: Option<u64>,

    /// Bytes that the computations of all running jobs may ask for together, of which no job asks for more than
    /// --job-memory-bytes; a job waits until its share is free. [default: 8 GiB]
    #[arg(long, value_name = "BYTES", env = "ADAPTD_JOBS_MEMORY_BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs_memory_bytes: Option<u64>,

    /// A job that was running at so many crashes of the process is failed with job.worker_lost, so
    /// that one job cannot keep the service from starting. [default: 3]
    #[arg(long, value_name = "N", env = "ADAPTD_CRASH_LIMIT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crash_limit: Option<i64>,

    /// Bytes of one upload, packed or not; it lies on disk while it is read piece by piece. [default: 4 GiB]
    #[arg(long, value_name = "BYTES", env = "ADAPTD_MAX_UPLOAD_BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_upload_bytes: Option<u64>,

    /// Bytes of a JSON document or of rows to predict; held in memory with its cells. [default: 64 MiB]
    #[arg(long, value_name = "BYTES", env = "ADAPTD_MAX_DOCUMENT_BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_document_bytes: Option<u64>,

    /// Rows of one version of a domain; a bound for the memory of a job. [default: 10000000]
    #[arg(long, value_name = "N", env = "ADAPTD_MAX_ROWS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<u64>,

    /// Columns of one version of a domain; many methods cost with their square. [default: 20000]
    #[arg(long, value_name = "N", env = "ADAPTD_MAX_COLUMNS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_columns: Option<usize>,

    /// Rows of one prediction; more are better sent in several requests. [default: 100000]
    #[arg(long, value_name = "N", env = "ADAPTD_MAX_PREDICT_ROWS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_predict_rows: Option<usize>,

    /// Jobs that may wait, paused ones among them; beyond it, new ones are answered 503 queue_full. [default: 200000]
    #[arg(long, value_name = "N", env = "ADAPTD_MAX_QUEUED_JOBS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_queued_jobs: Option<i64>,

    /// Jobs of one tenant that may wait, unless the tenant has a number of its own (adaptd tenants); beyond it, new ones are
    /// answered 429 quota_exceeded. [default: as many as the queue holds]
    #[arg(long, value_name = "N", env = "ADAPTD_TENANT_MAX_QUEUED")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_max_queued: Option<i64>,

    /// Jobs of one tenant that may run at a time, unless the tenant has a number of its own (adaptd tenants), so that none
    /// takes all places. [default: no bound]
    #[arg(long, value_name = "N", env = "ADAPTD_TENANT_MAX_RUNNING")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_max_running: Option<i64>,

    /// How long events of a job are kept after its end; then all but the last are removed. ISO 8601. [default: P30D]
    #[arg(long, value_name = "PERIOD", env = "ADAPTD_KEEP_EVENTS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_events: Option<Period>,

    /// How long a job is kept after its end; then it is removed with its metrics and its file. Models stay. ISO 8601.
    /// [default: P90D]
    #[arg(long, value_name = "PERIOD", env = "ADAPTD_KEEP_JOBS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_jobs: Option<Period>,

    /// Jobs that have ended and are kept, at most; beyond it the oldest are removed, a tenth at once. [default: 1000000]
    #[arg(long, value_name = "N", env = "ADAPTD_MAX_JOBS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_jobs: Option<i64>,

    /// Bytes of model files that are kept loaded for predictions, the most recently used ones; a larger model is loaded
    /// for every request that finds it gone. [default: 512 MiB]
    #[arg(long, value_name = "BYTES", env = "ADAPTD_MODEL_CACHE_BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_cache_bytes: Option<u64>,

    /// Uploads of domains at a time; each lies on the disk and is read piece by piece, in some tens of MiB. Beyond it, new
    /// ones are answered 503 overloaded. [default: 16]
    #[arg(long, value_name = "N", env = "ADAPTD_MAX_UPLOADS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_uploads: Option<usize>,

    /// Bytes of the disk under --data that are kept free: with less, uploads, new jobs and whatever else stores more are
    /// answered 507 storage_full, so that running jobs can end and jobs be cancelled and domains deleted. [default: 64 MiB]
    #[arg(long, value_name = "BYTES", env = "ADAPTD_MIN_FREE_BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_free_bytes: Option<u64>,

    /// Seconds in which a client has to finish its request line and headers, else it is let go. [default: 15]
    #[arg(long, value_name = "SECONDS", env = "ADAPTD_HEADER_TIMEOUT_S")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_timeout_s: Option<u64>,

    /// Seconds after which a client that takes nothing of what it is sent is let go, so that slow readers do not hold
    /// connections and buffers for ever. [default: 30]
    #[arg(long, value_name = "SECONDS", env = "ADAPTD_WRITE_IDLE_S")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_idle_s: Option<u64>,

    /// Seconds after which a body on its way in that has brought less than 1 KiB in them is given up, so that slow clients
    /// do not hold connections for ever. [default: 30]
    #[arg(long, value_name = "SECONDS", env = "ADAPTD_BODY_IDLE_S")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_idle_s: Option<u64>,

    /// Seconds that running jobs and requests get at shutdown, at most 7; a container is killed after ten.
    /// [default: 6]
    #[arg(long, value_name = "SECONDS", env = "ADAPTD_GRACE_S")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_s: Option<u64>,

    /// Log lines for people or for machines. [default: human]
    #[arg(long, value_name = "FORMAT", env = "ADAPTD_LOG_FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,

    /// What is logged, as tracing's filters are written: info, or warn,adaptd=debug. [default: info]
    #[arg(long, value_name = "FILTER", env = "ADAPTD_LOG")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Human,
    Json,
}

/// The promise is 8 s, of which closing takes a part.
const MAX_GRACE_S: u64 = 7;

/// All options, settled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    pub listen: SocketAddr,
    pub allow_anonymous: bool,
    pub data: PathBuf,
    pub job_threads: usize,
    pub job_memory_bytes: u64,
    pub jobs_memory_bytes: u64,
    pub crash_limit: i64,
    pub max_upload_bytes: u64,
    pub max_document_bytes: u64,
    pub max_rows: u64,
    pub max_columns: usize,
    pub max_predict_rows: usize,
    pub max_queued_jobs: i64,
    pub tenant_max_queued: Option<i64>,
    pub tenant_max_running: Option<i64>,
    pub keep_events: Period,
    pub keep_jobs: Period,
    pub max_jobs: i64,
    pub model_cache_bytes: u64,
    pub max_uploads: usize,
    pub min_free_bytes: u64,
    pub header_timeout_s: u64,
    pub body_idle_s: u64,
    pub write_idle_s: u64,
    pub grace_s: u64,
    pub log_format: LogFormat,
    pub log: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            allow_anonymous: false,
            data: PathBuf::from("adaptd-data"),
            job_threads: std::thread::available_parallelism().map_or(1, |n| (n.get() - 1).max(1)),
            job_memory_bytes: 8 << 30,
            jobs_memory_bytes: 8 << 30,
            crash_limit: 3,
            max_upload_bytes: 4 << 30,
            max_document_bytes: 64 << 20,
            max_rows: 10_000_000,
            max_columns: 20_000,
            max_predict_rows: 100_000,
            max_queued_jobs: 200_000,
            tenant_max_queued: None,
            tenant_max_running: None,
            keep_events: Period::days(30),
            keep_jobs: Period::days(90),
            max_jobs: 1_000_000,
            model_cache_bytes: 512 << 20,
            max_uploads: 16,
            // Eight times the ballast: the log of the database, a file or two of models, and time to react.
            min_free_bytes: 64 << 20,
            header_timeout_s: 15,
            body_idle_s: 30,
            write_idle_s: 30,
            grace_s: 6,
            log_format: LogFormat::Human,
            log: "info".into(),
        }
    }
}

impl Given {
    /// Settles every option: flag, variable, file, default.
    ///
    /// # Errors
    /// A file that cannot be read, an option that is not known, a value that is out of range.
    pub fn settle(&self) -> Result<Options, String> {
        let mut figment = Figment::from(Serialized::defaults(Options::default()));
        if let Some(file) = &self.config {
            if !file.is_file() {
                return Err(format!("--config {}: there is no such file", file.display()));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        let options: Options = figment.merge(Serialized::defaults(self)).extract().map_err(|e| e.to_string())?;
        options.check()?;
        Ok(options)
    }
}

impl Options {
    fn check(&self) -> Result<(), String> {
        let positive = [
            ("job_threads", self.job_threads as u64),
            ("job_memory_bytes", self.job_memory_bytes),
            ("jobs_memory_bytes", self.jobs_memory_bytes),
            ("crash_limit", u64::try_from(self.crash_limit).unwrap_or(0)),
            ("max_upload_bytes", self.max_upload_bytes),
            ("max_document_bytes", self.max_document_bytes),
            ("max_rows", self.max_rows),
            ("max_columns", self.max_columns as u64),
            ("max_predict_rows", self.max_predict_rows as u64),
            ("max_queued_jobs", u64::try_from(self.max_queued_jobs).unwrap_or(0)),
            ("tenant_max_queued", self.tenant_max_queued.map_or(1, |n| u64::try_from(n).unwrap_or(0))),
            ("tenant_max_running", self.tenant_max_running.map_or(1, |n| u64::try_from(n).unwrap_or(0))),
            ("max_jobs", u64::try_from(self.max_jobs).unwrap_or(0)),
            ("max_uploads", self.max_uploads as u64),
            ("header_timeout_s", self.header_timeout_s),
            ("body_idle_s", self.body_idle_s),
            ("write_idle_s", self.write_idle_s),
        ];
        if self.grace_s > MAX_GRACE_S {
            return Err(format!("grace_s must be at most {MAX_GRACE_S}: the process ends within 8 s of SIGTERM"));
        }
        // Else what is new would take the place of the ballast.
        if self.min_free_bytes < 2 * BALLAST_BYTES {
            return Err(format!("min_free_bytes must be at least {}: twice the ballast", 2 * BALLAST_BYTES));
        }
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(format!("{name} must be at least 1")),
            None => Ok(()),
        }
    }

    pub fn service_limits(&self) -> service::Limits {
        service::Limits {
            max_upload_bytes: self.max_upload_bytes,
            job_memory_bytes: self.job_memory_bytes,
            max_rows: self.max_rows,
            max_columns: self.max_columns,
            max_predict_rows: self.max_predict_rows,
            max_queued_jobs: self.max_queued_jobs,
            max_queued_jobs_of_tenant: self.tenant_max_queued,
            keep: service::Keep {
                events: self.keep_events.0,
                jobs: self.keep_jobs.0,
                max_jobs: self.max_jobs,
                // The draft's usual day: a client that retries later than that asks anew.
                requests: Duration::from_secs(24 * 3600),
            },
            model_cache_bytes: self.model_cache_bytes,
            max_uploads: self.max_uploads,
        }
    }

    pub fn worker_options(&self) -> WorkerOptions {
        WorkerOptions {
            job_threads: self.job_threads,
            crash_limit: self.crash_limit,
            memory_bytes: self.jobs_memory_bytes,
            max_running_of_tenant: self.tenant_max_running,
            ..WorkerOptions::default()
        }
    }

    pub fn http_limits(&self) -> HttpLimits {
        HttpLimits {
            max_document_bytes: self.max_document_bytes,
            header_timeout: Duration::from_secs(self.header_timeout_s),
            body_idle: Duration::from_secs(self.body_idle_s),
            write_idle: Duration::from_secs(self.write_idle_s),
        }
    }

    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace_s)
    }
}

/// Reads the failures that tests plan, where this program can have any.
///
/// # Errors
/// A plan that is none.
#[expect(clippy::disallowed_methods, reason = "this is the place where the environment is read")]
pub fn plan_failures() -> Result<(), String> {
    faults::plan(std::env::var("FAILPOINTS").ok().as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(toml: &str, flags: Given) -> Result<Options, String> {
        let dir = tempfile::tempdir().expect("folder");
        let file = dir.path().join("adaptd.toml");
        std::fs::write(&file, toml).expect("file");
        Given { config: Some(file), ..flags }.settle()
    }

    #[test]
    fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
        let flags = Given { crash_limit: Some(7), ..Given::default() };
        let options = given("crash_limit = 5\njob_threads = 2", flags).expect("options");
        assert_eq!((options.crash_limit, options.job_threads), (7, 2));
        assert_eq!(options.listen, Options::default().listen);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(given("crash_limitt = 5", Given::default()).expect_err("refused").contains("crash_limitt"));
        assert!(given("job_threads = 0", Given::default()).expect_err("refused").contains("job_threads"));
        assert!(given("min_free_bytes = 1", Given::default()).expect_err("refused").contains("min_free_bytes"));
        assert!(given("grace_s = 60", Given::default()).expect_err("refused").contains("grace_s"));
        assert!(Given { config: Some("/nowhere/x.toml".into()), ..Given::default() }.settle().is_err());
    }
}
