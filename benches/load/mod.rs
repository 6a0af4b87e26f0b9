//! A server in a process of its own, clients that keep their connections, and what a request costs: CPU of the server,
//! read from the kernel, and waits. Shared by the benchmarks that speak HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rand::{RngExt as _, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Features of a row.
pub const N_FEATURES: usize = 30;
/// Rows of each domain that the model is made of.
pub const N_ROWS: usize = 500;
/// Rows of each domain of the jobs that keep the compute threads busy.
const BUSY_ROWS: usize = 2000;

/// How rows are written in a request.
#[derive(Clone, Copy, PartialEq)]
pub enum Shape {
    Records,
    Arrays,
    /// A NumPy array, answered with one; for the model of columns `x0…`.
    Npy,
}

/// A program that listens, ended when this is dropped.
pub struct Server {
    child: Child,
    addr: SocketAddr,
}

/// What a request cost, over all that were sent.
pub struct Cost {
    pub per_second: f64,
    pub cpu_us: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing more to do then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts what `command` makes of an address, and waits until it listens.
    pub fn start(command: impl FnOnce(SocketAddr) -> Command) -> anyhow::Result<Self> {
        // Free now; nobody else on the machine of a benchmark takes it before the server does.
        let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = command(addr).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let server = Self { child, addr };
        for _ in 0..1500 {
            if TcpStream::connect(addr).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the server does not listen")
    }

    /// Our own program on a folder.
    pub fn ours(folder: &std::path::Path) -> anyhow::Result<Self> {
        Self::start(|addr| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_adaptd"));
            command.args(["serve", "--listen", &addr.to_string(), "--data"]).arg(folder);
            command
        })
    }

    /// Our model of this name from one of two domains whose classes differ in every feature to the other.
    pub fn make_model(&self, name: &str, shape: Shape) -> anyhow::Result<()> {
        for (role, shift) in [("source", 0.0), ("target", 1.0)] {
            let csv = table(N_ROWS, shift);
            // As the columns of an array are called.
            let csv = if shape == Shape::Npy { csv.replace("feature_", "x") } else { csv };
            self.call("PUT", &format!("/v1/domains/{role}-{name}?label=label"), "", csv.as_bytes())?;
        }
        let (source, target) = (format!("source-{name}"), format!("target-{name}"));
        let spec = json!({"kind": "adapt", "sources": [source], "target": target, "method": {"id": "coral"},
                          "learner": {"id": "logistic"}, "model": name});
        let job = self.call("POST", "/v1/jobs", "Prefer: wait=60\r\n", spec.to_string().as_bytes())?;
        let job: Value = serde_json::from_slice(&job)?;
        ensure!(job["state"] == "succeeded", "the model was not made: {job}");
        Ok(())
    }

    /// Gives the compute threads work for minutes: `n_jobs` adaptations by an exact kernel.
    pub fn saturate(&self, n_jobs: usize) -> anyhow::Result<()> {
        for (name, shift) in [("busy-source", 0.0), ("busy-target", 1.0)] {
            self.call("PUT", &format!("/v1/domains/{name}?label=label"), "", table(BUSY_ROWS, shift).as_bytes())?;
        }
        let spec = json!({"kind": "adapt", "sources": ["busy-source"], "target": "busy-target",
                          "method": {"id": "transfer_component_analysis"}, "learner": {"id": "logistic"}});
        for _ in 0..n_jobs {
            self.call("POST", "/v1/jobs", "", spec.to_string().as_bytes())?;
        }
        Ok(())
    }

    /// How many jobs there are that wait or run.
    pub fn n_unfinished(&self) -> anyhow::Result<usize> {
        let mut n = 0;
        for state in ["queued", "running"] {
            let page: Value =
                serde_json::from_slice(&self.call("GET", &format!("/v1/jobs?state={state}"), "", b"")?)?;
            n += page["data"].as_array().map_or(0, Vec::len);
        }
        Ok(n)
    }

    pub fn call(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut client = Client::connect(self.addr)?;
        client.exchange(&message(method, path, headers, body))?;
        Ok(client.body)
    }

    /// Puts a file, piece by piece.
    pub fn upload(&self, path: &str, file: &std::path::Path) -> anyhow::Result<()> {
        let mut client = Client::connect(self.addr)?;
        let mut file = std::fs::File::open(file)?;
        let length = file.metadata()?.len();
        let head = format!("PUT {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {length}\r\n\r\n");
        client.stream.write_all(head.as_bytes())?;
        std::io::copy(&mut file, &mut client.stream)?;
        client.exchange(&[])
    }

    /// Asks from so many connections at once for so long.
    pub fn measure(&self, request: &[u8], connections: usize, how_long: Duration) -> anyhow::Result<Cost> {
        let mut clients = (0..connections).map(|_| Client::connect(self.addr)).collect::<Result<Vec<_>, _>>()?;
        // What is made once is made before: the loaded model, threads, buffers.
        for client in &mut clients {
            client.exchange(request)?;
        }
        for _ in 0..20 {
            clients[0].exchange(request)?;
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
        Ok(Cost { per_second: n as f64 / wall, cpu_us: cpu * 1e6 / n as f64, p50_ms: at(0.5), p99_ms: at(0.99) })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// CPU seconds of all threads of the server, to the nanosecond.
    pub fn cpu(&self) -> anyhow::Result<f64> {
        let mut sum = 0.0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            // A thread may end while the folder is read.
            let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            sum += text.split(' ').next().and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0);
        }
        Ok(sum / 1e9)
    }

    /// The most memory that the server has held so far, in MiB.
    pub fn peak_mib(&self) -> anyhow::Result<f64> {
        self.memory("VmHWM:")
    }

    /// The memory that the server holds, in MiB.
    pub fn rss_mib(&self) -> anyhow::Result<f64> {
        self.memory("VmRSS:")
    }

    fn memory(&self, field: &str) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|l| l.strip_prefix(field)).context("memory")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
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

pub fn message(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A table of two classes.
pub fn table(n_rows: usize, shift: f64) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let names: Vec<String> = (0..N_FEATURES).map(|j| format!("feature_{j}")).collect();
    let mut csv = format!("{},label\n", names.join(","));
    for i in 0..n_rows {
        let class = i % 2;
        let row: Vec<String> = (0..N_FEATURES).map(|_| number(&mut rng, shift + class as f64)).collect();
        csv.push_str(&format!("{},c{class}\n", row.join(",")));
    }
    csv
}

/// A prediction of so many rows.
pub fn request(path: &str, n_rows: usize, shape: Shape) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    if shape == Shape::Npy {
        let body = array(&mut rng, n_rows);
        return message("POST", path, "Content-Type: application/x-npy\r\nAccept: application/x-npy\r\n", &body);
    }
    let names: Vec<String> = (0..N_FEATURES).map(|j| format!("\"feature_{j}\"")).collect();
    let rows: Vec<String> = (0..n_rows)
        .map(|_| {
            let row: Vec<String> = (0..N_FEATURES).map(|_| number(&mut rng, 1.0)).collect();
            match shape {
                Shape::Arrays | Shape::Npy => format!("[{}]", row.join(",")),
                Shape::Records => {
                    let cells: Vec<String> = names.iter().zip(&row).map(|(n, x)| format!("{n}:{x}")).collect();
                    format!("{{{}}}", cells.join(","))
                }
            }
        })
        .collect();
    let body = match shape {
        Shape::Records => format!("{{\"rows\":[{}]}}", rows.join(",")),
        Shape::Arrays | Shape::Npy => format!("{{\"columns\":[{}],\"data\":[{}]}}", names.join(","), rows.join(",")),
    };
    message("POST", path, "Content-Type: application/json\r\n", body.as_bytes())
}

/// Measurements as NumPy writes them.
fn array(rng: &mut ChaCha8Rng, n_rows: usize) -> Vec<u8> {
    let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({n_rows}, {N_FEATURES}), }}");
    let header = format!("{header:117}\n");
    let mut bytes = [b"\x93NUMPY\x01\x00".as_slice(), &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat();
    (0..n_rows * N_FEATURES).for_each(|_| bytes.extend((rng.random::<f64>() * 2.0).to_le_bytes()));
    bytes
}

/// A measurement with six digits behind the point.
fn number(rng: &mut ChaCha8Rng, mean: f64) -> String {
    format!("{:.6}", mean + rng.random::<f64>() * 2.0 - 1.0)
}
