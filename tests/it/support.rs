//! A real service on a free port with a folder of its own, and a client that speaks to it. When it is
//! dropped, no job may be left that has not ended.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use adaptd::cli::serve::{self, RunningServer};
use adaptd::config::Options;
use adaptd::records::{Clock as _, Scope, SystemClock, TenantId};
use adaptd::service::{NewKey, make_key};
use adaptd::store::{SqliteOptions, SqliteStore, Store as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use ureq::Agent;
use ureq::http::{HeaderMap, Request};

pub(crate) const ADELIE: &[u8] = include_bytes!("../../examples/data/penguins/adelie.csv");
pub(crate) const GENTOO: &[u8] = include_bytes!("../../examples/data/penguins/gentoo.csv");

pub(crate) struct TestApp {
    runtime: Runtime,
    server: Option<RunningServer>,
    pub(crate) addr: SocketAddr,
    agent: Agent,
    /// Removed last.
    folder: Option<TempDir>,
}

/// What the service answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl TestApp {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    /// A service whose options are changed before it starts.
    pub(crate) fn with(change: impl FnOnce(&mut Options)) -> Self {
        Self::on(tempfile::tempdir().expect("a folder"), change)
    }

    /// A service with a key for each of these tenants, which may do everything; and the keys' tokens.
    pub(crate) fn with_keys<const N: usize>(tenants: [&str; N]) -> (Self, [String; N]) {
        let folder = tempfile::tempdir().expect("a folder");
        let runtime = Runtime::new().expect("threads");
        let tokens = tenants.map(|tenant| {
            runtime.block_on(async {
                let store = SqliteStore::open(&folder.path().join("adaptd.db"), SqliteOptions::default()).await;
                let store = store.expect("a store");
                let new =
                    NewKey { name: tenant.into(), scopes: vec![Scope::Admin], expires_in: None, rate_limit: None };
                let key = make_key(&store, TenantId(tenant.into()), new, SystemClock.now()).await;
                store.close().await;
                key.expect("a key").token
            })
        });
        (Self::on(folder, |_| {}), tokens)
    }

    fn on(folder: TempDir, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            data: folder.path().to_owned(),
            job_threads: 1,
            ..Options::default()
        };
        change(&mut options);
        let runtime = Runtime::new().expect("threads");
        let server = runtime.block_on(serve::start(&options)).expect("the service starts");
        let config =
            Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(90))).build();
        Self { addr: server.addr(), runtime, server: Some(server), agent: config.new_agent(), folder: Some(folder) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    #[track_caller]
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_send(method, path, headers, body).expect("an answer")
    }

    /// Sends what may be refused before its body is read, which ends the connection.
    #[track_caller]
    pub(crate) fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let mut request = Request::builder().method(method).uri(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.to_vec()).expect("a request");
        // A method such as GET with a body is asked for by no test; ureq is told that it may all the same.
        let request = self.agent.configure_request(request).allow_non_standard_methods(true).build();
        let mut response = self.agent.run(request)?;
        let text = response.body_mut().with_config().limit(64 << 20).read_to_string()?;
        Ok(Answer { status: response.status().as_u16(), headers: response.headers().clone(), text })
    }

    /// Posts, and gives an answer that is no text beside its head.
    #[track_caller]
    pub(crate) fn bytes(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> (Answer, Vec<u8>) {
        let mut request = self.agent.post(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = request.send(body).expect("an answer");
        let bytes = response.body_mut().read_to_vec().expect("bytes");
        let head =
            Answer { status: response.status().as_u16(), headers: response.headers().clone(), text: String::new() };
        (head, bytes)
    }

    /// Gets what may be no text.
    #[track_caller]
    pub(crate) fn download(&self, path: &str) -> (Answer, Vec<u8>) {
        self.download_as(path, "*/*")
    }

    #[track_caller]
    pub(crate) fn download_as(&self, path: &str, accept: &str) -> (Answer, Vec<u8>) {
        let mut response = self.agent.get(self.url(path)).header("accept", accept).call().expect("an answer");
        let bytes = response.body_mut().read_to_vec().expect("bytes");
        let head =
            Answer { status: response.status().as_u16(), headers: response.headers().clone(), text: String::new() };
        (head, bytes)
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        let get = || self.agent.get(self.url(path)).call();
        // A connection that was kept may have been closed: by a refusal that came before the body of the request before
        // was read. RFC 9110, section 9.2.2, has clients ask again where asking twice does nothing.
        let mut response = match get() {
            Err(ureq::Error::Io(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => get(),
            other => other,
        }
        .expect("an answer");
        let text = response.body_mut().with_config().limit(64 << 20).read_to_string().expect("text");
        Answer { status: response.status().as_u16(), headers: response.headers().clone(), text }
    }

    #[track_caller]
    pub(crate) fn get_with(&self, path: &str, name: &str, value: &str) -> Answer {
        let mut response = self.agent.get(self.url(path)).header(name, value).call().expect("an answer");
        let text = response.body_mut().read_to_string().expect("text");
        Answer { status: response.status().as_u16(), headers: response.headers().clone(), text }
    }

    #[track_caller]
    pub(crate) fn put(&self, path: &str, body: &[u8]) -> Answer {
        self.send("PUT", path, &[], body)
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    /// As the holder of a key.
    #[track_caller]
    pub(crate) fn ask(&self, token: &str, method: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send(method, path, &headers, body.as_bytes())
    }

    /// Sends bytes as they are, and reads the answer to its end.
    #[track_caller]
    pub(crate) fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.addr).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(90))).expect("a timeout");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The lines of a stream of events, to its end.
    #[track_caller]
    pub(crate) fn stream(&self, path: &str, last: Option<i64>) -> Vec<String> {
        let mut stream = TcpStream::connect(self.addr).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(90))).expect("a timeout");
        let last = last.map_or(String::new(), |seq| format!("Last-Event-ID: {seq}\r\n"));
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nConnection: close\r\n{last}\r\n");
        stream.write_all(request.as_bytes()).expect("sent");
        BufReader::new(stream).lines().map(|line| line.expect("a line")).collect()
    }

    /// Puts the penguins: a labelled source and a target whose labels score.
    #[track_caller]
    pub(crate) fn penguins(&self) {
        assert_eq!(self.put("/v1/domains/adelie?label=label", ADELIE).status, 201);
        assert_eq!(self.put("/v1/domains/gentoo?label=label", GENTOO).status, 201);
    }

    /// Runs a job to its end.
    #[track_caller]
    pub(crate) fn run_job(&self, spec: &Value) -> Value {
        let answer = self.send("POST", "/v1/jobs", &[("Prefer", "wait=60")], spec.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// Removes what is kept no longer, as the service does from time to time; how many rows went.
    pub(crate) fn retain(&self) -> u64 {
        let server = self.server.as_ref().expect("a service that runs");
        self.runtime.block_on(server.service().retain()).expect("what is old is removed")
    }

    /// Stops the service as SIGTERM does.
    pub(crate) fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.shutdown());
        }
    }

    /// Another process on the same folder.
    pub(crate) fn restart(self) -> Self {
        self.restart_with(|_| {})
    }

    /// The same, with other options.
    pub(crate) fn restart_with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        self.stop();
        Self::on(self.folder.take().expect("a folder"), change)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_ref().expect("a folder").path()
    }

    fn unfinished(&self) -> Vec<Value> {
        let list = |state: &str| self.get(&format!("/v1/jobs?state={state}")).json()["data"].as_array().cloned();
        ["queued", "running", "paused"].into_iter().filter_map(list).flatten().collect()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if self.server.is_some() && !std::thread::panicking() {
            let left = self.unfinished();
            assert!(left.is_empty(), "jobs were left: {left:?}");
        }
        self.stop();
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// Asserts a problem with everything that each must have, and gives it.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.json()["code"].clone()), (status, json!(code)), "{}", self.text);
        let problem = self.json();
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(problem["status"], json!(status));
        assert_eq!(problem["request_id"], json!(self.header("x-request-id")));
        for field in ["type", "title", "detail", "instance", "request_id"] {
            assert!(problem[field].as_str().is_some_and(|t| !t.is_empty()), "{field}: {problem}");
        }
        assert!(problem["retryable"].is_boolean());
        problem
    }
}
