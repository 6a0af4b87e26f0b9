//! The demo's HTTP client: what a script of a user would do, against the service's own address.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use ureq::Agent;

/// Speaks JSON with one service.
pub(super) struct Client {
    agent: Agent,
    base: String,
}

impl Client {
    pub(super) fn new(addr: SocketAddr) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Longer than the longest long-poll.
            .timeout_global(Some(Duration::from_secs(90)))
            .build();
        Self { agent: config.new_agent(), base: format!("http://{addr}") }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Uploads a file, as `curl -T` does.
    pub(super) fn put(&self, path: &str, bytes: &[u8]) -> anyhow::Result<Value> {
        answer(self.agent.put(self.url(path)).header("content-type", "text/csv").send(bytes)).context(path.to_owned())
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        answer(self.agent.post(self.url(path)).send_json(body)).context(path.to_owned())
    }

    pub(super) fn get(&self, path: &str) -> anyhow::Result<Value> {
        answer(self.agent.get(self.url(path)).call()).context(path.to_owned())
    }
}

/// The JSON of an answer; what a problem says, where it is one.
fn answer(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> anyhow::Result<Value> {
    let mut response = response?;
    let status = response.status();
    let body: Value = response.body_mut().read_json()?;
    if !status.is_success() {
        bail!(
            "{status}: {} ({})",
            body["detail"].as_str().unwrap_or("no detail"),
            body["code"].as_str().unwrap_or("?")
        );
    }
    Ok(body)
}
