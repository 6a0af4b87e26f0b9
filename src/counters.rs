//! The metrics of the process: where they are gathered, and their text form. Each is counted where it happens.

use std::sync::LazyLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Upper bounds of histograms, in seconds: from a prediction's fraction of a millisecond to a job's hour.
const SECONDS: [f64; 16] =
    [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3600.0];

/// The metrics of the process, however many services run in it.
static METRICS: LazyLock<Option<PrometheusHandle>> = LazyLock::new(|| {
    let builder = PrometheusBuilder::new().set_buckets(&SECONDS).ok()?;
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok()?;
    metrics::describe_histogram!("http_server_request_duration_seconds", "From the head of a request to its answer");
    metrics::describe_histogram!("job_run_seconds", "How long attempts ran, by kind and how they ended");
    metrics::describe_histogram!("db_commit_seconds", "A transaction with the flush of the disk");
    metrics::describe_gauge!("jobs", "Jobs of all tenants, by state and kind");
    metrics::describe_gauge!("job_queue_age_seconds", "How long the oldest queued job could have run");
    metrics::describe_gauge!("sse_streams", "Open streams of events");
    metrics::describe_counter!("job_rescues_total", "Jobs whose process ended while they ran");
    metrics::describe_counter!("lease_lost_total", "Attempts that lost the right to write");
    metrics::describe_counter!("predict_rows_total", "Rows that were predicted, by requests and by jobs");
    // What is counted from the start is there from the start: a rate needs a first value.
    for counter in ["job_rescues_total", "lease_lost_total", "predict_rows_total"] {
        metrics::counter!(counter).absolute(0);
    }
    metrics::gauge!("sse_streams").set(0.0);
    Some(handle)
});

/// Begins to count. Before this nothing is kept; a second call changes nothing.
pub fn count() {
    LazyLock::force(&METRICS);
}

/// Everything that was counted, in the text form of Prometheus; empty where an embedding program counts in its own way.
pub fn rendered() -> String {
    METRICS.as_ref().map(PrometheusHandle::render).unwrap_or_default()
}

/// Empties what histograms have gathered into their buckets; without it an unread metric grows.
pub fn upkeep() {
    if let Some(handle) = METRICS.as_ref() {
        handle.run_upkeep();
    }
}
