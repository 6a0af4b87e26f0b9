//! What a prediction over HTTP costs: CPU microseconds of the server a request, requests a second, and how long a client
//! waits, for one row and for 1000 rows of 30 features as JSON, over 8 and 64 connections that are kept.
//!
//! `cargo bench --bench predict` starts the real server on a folder of its own, makes a model, and prints a Markdown
//! table. `cargo bench --bench predict -- SECONDS` measures each line for so long (default 3). The clients run in this
//! process and share the machine with the server; its CPU time is read from the kernel, so only waits feel them.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and starts threads")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Features of a row.
const N_FEATURES: usize = 30;
/// Rows of each domain that the model is made of.
const N_ROWS: usize = 500;
/// Rows a request, as records or as arrays.
const REQUESTS: [(usize, Shape); 4] =
    [(1, Shape::Records), (1, Shape::Arrays), (1000, Shape::Records), (1000, Shape::Arrays)];
const CONNECTIONS: [usize; 2] = [8, 64];

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Records,
    Arrays,
}

/// The real program, ended when this is dropped.
struct Server {
    child: Child,
    addr: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing more to do then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn main() -> anyhow::Result<()> {
    // Cargo adds its own flags.
    let mut arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let seconds = arguments.next().map_or(Ok(3.0), |a| a.parse()).context("seconds")?;
    let server = Server::start()?;
    server.make_model()?;
    println!("| rows | as | connections | requests/s | CPU µs a request | p50 ms | p99 ms |");
    println!("|---|---|---|---|---|---|---|");
    for (n_rows, shape) in REQUESTS {
        let request = request(n_rows, shape);
        for connections in CONNECTIONS {
            let line = server.measure(&request, connections, Duration::from_secs_f64(seconds))?;
            let name = if shape == Shape::Records { "records" } else { "arrays" };
            println!("| {n_rows} | {name} | {connections} | {line} |");
        }
    }
    Ok(())
}

impl Server {
    fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        // Free now; nobody else on the machine of a benchmark takes it before the server does.
        let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(env!("CARGO_BIN_EXE_adaptd"))
            .args(["serve", "--listen", &addr.to_string(), "--data"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let server = Self { child, addr, _folder: folder };
        for _ in 0..500 {
            if TcpStream::connect(addr).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the server does not listen")
    }

    /// Two domains whose classes differ in every feature, and the model `m` from the one to the other.
    fn make_model(&self) -> anyhow::Result<()> {
        for (name, shift) in [("source", 0.0), ("target", 1.0)] {
            let mut rng = ChaCha8Rng::seed_from_u64(7);
            let names: Vec<String> = (0..N_FEATURES).map(|j| format!("feature_{j}")).collect();
            let mut csv = format!("{},label\n", names.join(","));
            for i in 0..N_ROWS {
                let class = i % 2;
                let row: Vec<String> = (0..N_FEATURES).map(|_| number(&mut rng, shift + class as f64)).collect();
                csv.push_str(&format!("{},c{class}\n", row.join(",")));
            }
            self.call("PUT", &format!("/v1/domains/{name}?label=label"), "", csv.as_bytes())?;
        }
        let spec = json!({"kind": "adapt", "sources": ["source"], "target": "target", "method": {"id": "coral"},
                          "learner": {"id": "logistic"}, "model": "m"});
        let job = self.call("POST", "/v1/jobs", "Prefer: wait=60\r\n", spec.to_string().as_bytes())?;
        let job: Value = serde_json::from_slice(&job)?;
        ensure!(job["state"] == "succeeded", "the model was not made: {job}");
        Ok(())
    }

    fn call(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut client = Client::connect(self.addr)?;
        client.exchange(&message(method, path, headers, body))?;
        Ok(client.body)
    }

    /// Asks from so many connections at once for so long; a part of a line of the table.
    fn measure(&self, request: &[u8], connections: usize, how_long: Duration) -> anyhow::Result<String> {
        let mut clients = (0..connections).map(|_| Client::connect(self.addr)).collect::<Result<Vec<_>, _>>()?;
        // What is made once is made before: the loaded model, threads, buffers.
        for client in &mut clients {
            for _ in 0..20 {
                client.exchange(request)?;
            }
        }
        let (cpu, began) = (self.cpu()?, Instant::now());
        let waits = std::thread::scope(|scope| {
            let asking: Vec<_> =
                clients.iter_mut().map(|client| scope.spawn(move || client.ask(request, began + how_long))).collect();
            asking.into_iter().map(|a| a.join().map_err(|_| anyhow::anyhow!("a client ended early"))?).collect()
        });
        let waits: Vec<Vec<Duration>> = waits_of(waits)?;
        let (wall, cpu) = (began.elapsed().as_secs_f64(), self.cpu()? - cpu);
        let mut waits: Vec<Duration> = waits.into_iter().flatten().collect();
        waits.sort_unstable();
        let n = waits.len();
        let at = |q: f64| waits[((n as f64 * q) as usize).min(n - 1)].as_secs_f64() * 1e3;
        Ok(format!("{:.0} | {:.1} | {:.2} | {:.2}", n as f64 / wall, cpu * 1e6 / n as f64, at(0.5), at(0.99)))
    }

    /// CPU seconds of all threads of the server, to the nanosecond.
    fn cpu(&self) -> anyhow::Result<f64> {
        let mut sum = 0.0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end while the folder is read.
            let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            sum += text.split(' ').next().and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0);
        }
        Ok(sum / 1e9)
    }
}

/// What all clients waited, or why one did not.
fn waits_of(waits: anyhow::Result<Vec<Vec<Duration>>>) -> anyhow::Result<Vec<Vec<Duration>>> {
    let waits = waits?;
    ensure!(waits.iter().all(|w| !w.is_empty()), "a client got no answer");
    Ok(waits)
}

/// One kept connection.
struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    body: Vec<u8>,
}

impl Client {
    fn connect(addr: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 1 << 16], body: Vec::new() })
    }

    /// Asks again and again until the time; how long each answer took.
    fn ask(&mut self, request: &[u8], until: Instant) -> anyhow::Result<Vec<Duration>> {
        let mut waits = Vec::new();
        while Instant::now() < until {
            let began = Instant::now();
            self.exchange(request)?;
            waits.push(began.elapsed());
        }
        Ok(waits)
    }

    /// Sends a request and reads its answer, which must be a good one.
    fn exchange(&mut self, request: &[u8]) -> anyhow::Result<()> {
        self.stream.write_all(request)?;
        self.body.clear();
        let mut head = Vec::new();
        let mut length = None;
        while length.is_none_or(|n| self.body.len() < n) {
            let n = self.stream.read(&mut self.buffer)?;
            ensure!(n > 0, "the server closed the connection");
            if length.is_some() {
                self.body.extend(&self.buffer[..n]);
                continue;
            }
            head.extend(&self.buffer[..n]);
            if let Some(end) = head.windows(4).position(|w| w == b"\r\n\r\n") {
                self.body.extend(&head[end + 4..]);
                length = Some(length_of(&head[..end])?);
            }
        }
        Ok(())
    }
}

fn length_of(head: &[u8]) -> anyhow::Result<usize> {
    let head = std::str::from_utf8(head)?.to_ascii_lowercase();
    ensure!(head.starts_with("http/1.1 20"), "{head}");
    let length = head.lines().find_map(|l| l.strip_prefix("content-length:")).context("a length")?;
    Ok(length.trim().parse()?)
}

fn message(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A prediction of so many rows.
fn request(n_rows: usize, shape: Shape) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let names: Vec<String> = (0..N_FEATURES).map(|j| format!("\"feature_{j}\"")).collect();
    let rows: Vec<String> = (0..n_rows)
        .map(|_| {
            let row: Vec<String> = (0..N_FEATURES).map(|_| number(&mut rng, 1.0)).collect();
            match shape {
                Shape::Arrays => format!("[{}]", row.join(",")),
                Shape::Records => {
                    let cells: Vec<String> = names.iter().zip(&row).map(|(n, x)| format!("{n}:{x}")).collect();
                    format!("{{{}}}", cells.join(","))
                }
            }
        })
        .collect();
    let body = match shape {
        Shape::Records => format!("{{\"rows\":[{}]}}", rows.join(",")),
        Shape::Arrays => format!("{{\"columns\":[{}],\"data\":[{}]}}", names.join(","), rows.join(",")),
    };
    message("POST", "/v1/models/m/predict", "Content-Type: application/json\r\n", body.as_bytes())
}

/// A measurement with six digits behind the point.
fn number(rng: &mut ChaCha8Rng, mean: f64) -> String {
    format!("{:.6}", mean + rng.random::<f64>() * 2.0 - 1.0)
}
