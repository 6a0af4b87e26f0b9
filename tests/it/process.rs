//! The real binary as its user runs it: started on a free port over a folder of its own, killed,
//! started again.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// `adaptd serve` in a process of its own.
pub struct Process {
    child: Child,
    pub port: u16,
}

/// How long a start may take on a loaded machine.
const START: Duration = Duration::from_secs(30);

impl Process {
    pub fn start(data: &Path, port: u16, options: &[&str]) -> Self {
        Self::spawn(data, port, options, Stdio::null())
    }

    /// The same, with everything that it logs in a file.
    pub fn start_logging(data: &Path, port: u16, options: &[&str], log: &Path) -> Self {
        Self::spawn(data, port, options, File::create(log).expect("a file").into())
    }

    /// With planned failures, and its log at the end of a file; `None` where it ended before it listened.
    pub fn start_failing(data: &Path, port: u16, options: &[&str], plan: &str, log: &Path) -> Option<Self> {
        let log = File::options().create(true).append(true).open(log).expect("a file");
        let mut process = Self::command(data, port, options, log.into(), plan);
        process.listens().then_some(process)
    }

    fn spawn(data: &Path, port: u16, options: &[&str], stderr: Stdio) -> Self {
        let mut process = Self::command(data, port, options, stderr, "");
        assert!(process.listens(), "the service ended at its start");
        process
    }

    fn command(data: &Path, port: u16, options: &[&str], stderr: Stdio, plan: &str) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_adaptd"))
            .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data"])
            .arg(data)
            .args(options)
            .env("FAILPOINTS", plan)
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("the binary starts");
        Self { child, port }
    }

    /// Whether it listens, once it does or has ended.
    #[expect(clippy::disallowed_methods, reason = "another process is waited for")]
    fn listens(&mut self) -> bool {
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(began.elapsed() < START, "the service does not listen");
            if self.has_ended() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// Whether the process is gone.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// SIGKILL: nothing is said, nothing is flushed.
    pub fn kill(mut self) {
        self.child.kill().expect("a process to kill");
        self.child.wait().expect("a process that ended");
    }

    /// SIGTERM, and the time until the process is gone.
    #[expect(clippy::disallowed_methods, reason = "another process is waited for")]
    pub fn terminate(mut self) -> (Duration, bool) {
        let began = Instant::now();
        let status = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill(1)");
        assert!(status.success());
        let ended = self.child.wait().expect("a process that ended");
        (began.elapsed(), ended.success())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that failed leaves no process behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listened on a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

/// A client that takes every status for an answer; errors are broken connections.
pub struct Http {
    agent: ureq::Agent,
    base: String,
}

impl Http {
    pub fn new(port: u16) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // A connection to a process that was killed is of no use to the next.
            .max_idle_connections(0)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        Self { agent: config.new_agent(), base: format!("http://127.0.0.1:{port}") }
    }

    pub fn get(&self, path: &str) -> Option<(u16, Value)> {
        read(self.agent.get(format!("{}{path}", self.base)).call())
    }

    pub fn delete(&self, path: &str) -> Option<(u16, Value)> {
        read(self.agent.delete(format!("{}{path}", self.base)).call())
    }

    pub fn put(&self, path: &str, body: &[u8]) -> Option<(u16, Value)> {
        read(self.agent.put(format!("{}{path}", self.base)).header("content-type", "text/csv").send(body))
    }

    pub fn post(&self, path: &str, body: &Value, key: Option<&str>) -> Option<(u16, Value)> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        read(request.send_json(body))
    }
}

fn read(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Option<(u16, Value)> {
    let mut response = response.ok()?;
    let body = response.body_mut().read_to_string().ok()?;
    Some((response.status().as_u16(), serde_json::from_str(&body).unwrap_or(Value::String(body))))
}
