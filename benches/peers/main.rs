//! What a prediction and an upload cost here, and in the service that most people write: FastAPI, scikit-learn, pandas.
//!
//! `benches/peers/run` installs that one in `target` and runs this, which starts both servers in turn on this machine,
//! with the same rows, and prints Markdown tables; `benches/peers/run SECONDS` measures each line for so long
//! (default 3). The clients share the machine with the server: CPU time is the server's alone, read from the kernel, waits
//! are not. Ours also checks rows against the model's signature, and an upload here is stored durably and has statistics
//! of every column; theirs is read and forgotten.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and starts threads")]

#[allow(dead_code, reason = "another benchmark uses the rest")]
#[path = "../load/mod.rs"]
mod load;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use load::{Cost, N_ROWS, Server, Shape, request, table};
use serde_json::json;

const CONNECTIONS: [usize; 2] = [8, 64];
const ROWS: [usize; 2] = [1, 1000];
/// Bytes of the upload.
const UPLOAD: usize = 100_000_000;
/// Rows of each domain of the jobs that run beside predictions: one takes some tens of seconds.
const JOB_ROWS: usize = 3000;
const JOBS: usize = 20;

fn main() -> anyhow::Result<()> {
    // Cargo adds its own flags.
    let mut arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let seconds = arguments.next().map_or(Ok(3.0), |a| a.parse()).context("seconds")?;
    let how_long = Duration::from_secs_f64(seconds);
    let python = std::env::var("PEERS_PYTHON").context("run benches/peers/run, which sets PEERS_PYTHON")?;
    let folder = tempfile::tempdir()?;
    let training = folder.path().join("training.csv");
    std::fs::write(&training, table(N_ROWS, 1.0))?;
    let theirs = || peer(&python, &training);

    println!("| rows | connections | server | requests/s | CPU µs a request | p50 ms | p99 ms |");
    println!("|---|---|---|---|---|---|---|");
    let server = theirs()?;
    predictions(&server, "FastAPI, scikit-learn", "/predict", how_long)?;
    drop(server);
    let server = Server::ours(&folder.path().join("data"))?;
    server.make_model("m", Shape::Records)?;
    predictions(&server, "adaptd", "/v1/models/m/predict", how_long)?;
    start_jobs(&server)?;
    // The CPU of the job is in the process's too, so that theirs and ours are not to be compared there.
    predictions(&server, "adaptd while a job trains", "/v1/models/m/predict", how_long)?;
    ensure!(is_training(&server)?, "the jobs ended too early");
    drop(server);

    println!("\n| upload of 100 MB of CSV | seconds | MB a CPU second | peak MiB |");
    println!("|---|---|---|---|");
    let line = table(1, 0.0).lines().nth(1).context("a line")?.len() + 1;
    let csv = table(UPLOAD / line, 0.0);
    upload(&theirs()?, "FastAPI, pandas.read_csv", "/ingest", csv.as_bytes())?;
    let ours = Server::ours(&folder.path().join("upload"))?;
    upload(&ours, "adaptd", "/v1/domains/large?label=label", csv.as_bytes())
}

fn peer(python: &str, training: &Path) -> anyhow::Result<Server> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/server.py");
    Server::start(|addr| {
        let mut command = Command::new(python);
        command.arg(program).args([addr.ip().to_string(), addr.port().to_string()]).arg(training);
        command
    })
}

fn predictions(server: &Server, name: &str, path: &str, how_long: Duration) -> anyhow::Result<()> {
    for n_rows in ROWS {
        let request = request(path, n_rows, Shape::Records);
        for connections in CONNECTIONS {
            let Cost { per_second, cpu_us, p50_ms, p99_ms } = server.measure(&request, connections, how_long)?;
            println!(
                "| {n_rows} | {connections} | {name} | {per_second:.0} | {cpu_us:.0} | {p50_ms:.2} | {p99_ms:.2} |"
            );
        }
    }
    Ok(())
}

/// Queues jobs that compute all the while.
fn start_jobs(server: &Server) -> anyhow::Result<()> {
    for (name, shift) in [("large-source", 0.0), ("large-target", 1.0)] {
        server.call("PUT", &format!("/v1/domains/{name}?label=label"), "", table(JOB_ROWS, shift).as_bytes())?;
    }
    for seed in 0..JOBS {
        let spec = json!({"kind": "adapt", "sources": ["large-source"], "target": "large-target", "seed": seed,
                          "method": {"id": "joint_distribution_adaptation", "params": {"kernel": "rbf"}}});
        server.call("POST", "/v1/jobs", "", spec.to_string().as_bytes())?;
    }
    for _ in 0..500 {
        if is_training(server)? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    anyhow::bail!("no job runs")
}

fn is_training(server: &Server) -> anyhow::Result<bool> {
    let list = server.call("GET", "/v1/jobs?state=running", "", b"")?;
    let list: serde_json::Value = serde_json::from_slice(&list)?;
    Ok(list["data"].as_array().is_some_and(|jobs| !jobs.is_empty()))
}

fn upload(server: &Server, name: &str, path: &str, csv: &[u8]) -> anyhow::Result<()> {
    let (cpu, began) = (server.cpu()?, Instant::now());
    server.call("PUT", path, "Content-Type: text/csv\r\n", csv)?;
    let (wall, cpu) = (began.elapsed().as_secs_f64(), server.cpu()? - cpu);
    let (rate, peak) = (csv.len() as f64 / 1e6 / cpu, server.peak_mib()?);
    println!("| {name} | {wall:.1} | {rate:.1} | {peak:.0} |");
    Ok(())
}
