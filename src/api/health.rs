//! Whether the process lives, whether it takes requests and why not, and the page that says where things are.

use axum::Json;
use axum::extract::State;
use axum::response::Html;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::problem::{Problem, meaning};
use crate::service::{Checks, Code, DatabaseHealth};

/// That the process lives.
#[derive(Debug, Serialize, ToSchema)]
pub struct Live {
    /// `live`
    pub status: &'static str,
    pub version: &'static str,
}

/// That requests are taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct Ready {
    /// `ready`
    pub status: &'static str,
    pub version: &'static str,
    pub checks: ChecksView,
}

/// What was looked at.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ChecksView {
    /// What became of a short write: `ok`, `silent` where it was not answered within two seconds, `full` or `unavailable`.
    pub database: &'static str,
    /// `null` where the system does not tell.
    pub disk: Option<DiskView>,
    /// Whether the service is stopping.
    pub draining: bool,
}

/// Room on the disk of the data folder.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DiskView {
    pub free_bytes: u64,
    /// With less, what would store more is answered 507 `storage_full`.
    pub needed_bytes: u64,
}

/// Whether the process lives.
///
/// 503 only where a restart would help: the thread that writes the database has ended, or has not answered for ten seconds.
#[utoipa::path(get, path = "/livez", tag = "health", responses((status = 200, body = Live)))]
pub async fn live(State(app): State<App>) -> Result<Json<Live>, Problem> {
    app.service.live()?;
    Ok(Json(Live { status: "live", version: env!("CARGO_PKG_VERSION") }))
}

/// Whether requests are taken.
///
/// The database answers a write, the disk has room, and the service is not stopping; a problem names the same `checks`.
#[utoipa::path(get, path = "/readyz", tag = "health", responses((status = 200, body = Ready)))]
pub async fn ready(State(app): State<App>) -> Result<Json<Ready>, Problem> {
    let found = app.service.checks().await;
    let checks = ChecksView::of(found);
    match found.verdict() {
        Ok(()) => Ok(Json(Ready { status: "ready", version: env!("CARGO_PKG_VERSION"), checks })),
        Err(error) => Err(Problem { checks: Some(Box::new(checks)), ..error.into() }),
    }
}

impl ChecksView {
    fn of(checks: Checks) -> Self {
        let database = match checks.database {
            DatabaseHealth::Ok => "ok",
            DatabaseHealth::Silent => "silent",
            DatabaseHealth::Full => "full",
            DatabaseHealth::Unavailable => "unavailable",
        };
        let disk = checks.disk.map(|room| DiskView { free_bytes: room.free_bytes, needed_bytes: room.needed_bytes });
        Self { database, disk, draining: checks.draining }
    }
}

/// The page at `/`.
pub async fn index() -> Html<&'static str> {
    Html(
        "<!doctype html><html lang=en><meta charset=utf-8><title>adaptd</title><h1>adaptd</h1>\
         <p>A service that adapts models to new data.<ul>\
         <li><a href=/docs/>The interface, to try out</a><li><a href=/docs/errors>Error codes</a>\
         <li><a href=/openapi.yaml>openapi.yaml</a><li><a href=/v1/methods>Methods</a>\
         <li><a href=/v1/domains>Domains</a><li><a href=/v1/jobs>Jobs</a><li><a href=/v1/models>Models</a></ul>",
    )
}

/// The page that problems point to: every code with its status.
pub async fn errors() -> Html<String> {
    let row = |&code: &Code| {
        let m = meaning(code);
        let again = if m.retryable { "yes" } else { "no" };
        format!("<tr id={code}><td><code>{code}</code><td>{}<td>{}<td>{again}", m.status.as_u16(), m.title)
    };
    let rows: String = Code::ALL.iter().map(row).collect();
    let job = |(code, text): &(&str, &str)| format!("<tr id={code}><td><code>{code}</code><td>{text}");
    let jobs: String = JOB_CODES.iter().map(job).collect();
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>adaptd: error codes</title><h1>Error codes</h1>\
         <p>Answers with a status from 400 are <code>application/problem+json</code>; programs decide by \
         <code>code</code>.<table><tr><th>code<th>status<th>meaning<th>try again{rows}</table>\
         <h2>Codes in <code>error.code</code> of a failed job</h2><table>{jobs}</table>"
    ))
}

/// Codes of failed jobs.
const JOB_CODES: &[(&str, &str)] = &[
    ("job.data_degenerate", "The data cannot be adapted as asked; the message names the column, class or figure"),
    ("job.no_shared_columns", "Source and target share no feature column"),
    ("job.label_missing", "Labels that the method needs are not there"),
    ("job.not_converged", "An iteration did not converge"),
    ("job.numerical_error", "A computation left the finite numbers"),
    ("job.out_of_memory_budget", "The job needs more memory than a job may have"),
    ("job.deadline_exceeded", "The deadline passed before the job ended"),
    ("job.worker_lost", "The process that ran the job ended too often while it ran"),
    ("job.io_error", "A file could not be read or written; tried again"),
    ("job.storage_unavailable", "The storage did not answer; tried again"),
    ("job.disk_full", "The disk is full; tried again"),
    ("job.panic", "The job met a defect of the program; tried again once"),
    ("job.cancelled", "The job was cancelled"),
    ("job.children_failed", "None of the jobs of a batch succeeded"),
];
