//! `/metrics`, in the text form of Prometheus.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::App;
use super::problem::Problem;
use crate::counters;
use crate::records::{JobKind, JobState};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Numbers about the process, its queue and its requests, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, body = String, content_type = "text/plain",
               example = "jobs{state=\"queued\",kind=\"adapt\"} 3\njob_queue_age_seconds 1.25\n")))]
pub async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let census = app.service.census().await?;
    for state in JobState::ALL {
        for kind in JobKind::ALL {
            let n = census.jobs.iter().find(|(s, k, _)| (*s, *k) == (state, kind)).map_or(0, |(.., n)| *n);
            metrics::gauge!("jobs", "state" => state.as_str(), "kind" => kind.as_str()).set(n as f64);
        }
    }
    metrics::gauge!("job_queue_age_seconds").set(census.queue_age.as_secs_f64());
    Ok(([(header::CONTENT_TYPE, TEXT)], counters::rendered()).into_response())
}
