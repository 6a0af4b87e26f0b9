//! What a prediction over HTTP costs: CPU microseconds of the server a request, requests a second, and how long a client
//! waits, for one row and for 1000 rows of 30 features as JSON and as NumPy arrays, over 8 and 64 connections that are
//! kept; then how long clients wait while jobs keep all compute threads busy.
//!
//! `cargo bench --bench predict` starts the real server on a folder of its own, makes models, and prints Markdown
//! tables. `cargo bench --bench predict -- SECONDS` measures each line for so long (default 3). The clients run in this
//! process and share the machine with the server; its CPU time is read from the kernel, so only waits feel them.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and starts threads")]

#[allow(dead_code, reason = "another benchmark uses the rest")]
mod load;

use std::time::Duration;

use anyhow::{Context, ensure};

use load::{Cost, Server, Shape, request};

const SHAPES: [(&str, Shape); 3] = [("records", Shape::Records), ("arrays", Shape::Arrays), ("npy", Shape::Npy)];
/// Rows a request.
const ROWS: [usize; 2] = [1, 1000];
const CONNECTIONS: [usize; 2] = [8, 64];
/// Jobs that outlast the measurements beside them.
const JOBS: usize = 200;

fn main() -> anyhow::Result<()> {
    // Cargo adds its own flags.
    let mut arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let seconds = arguments.next().map_or(Ok(3.0), |a| a.parse()).context("seconds")?;
    let how_long = Duration::from_secs_f64(seconds);
    let folder = tempfile::tempdir()?;
    let server = Server::ours(folder.path())?;
    server.make_model("m", Shape::Records)?;
    server.make_model("n", Shape::Npy)?;
    println!("| rows | as | connections | requests/s | CPU µs a request | p50 ms | p99 ms |");
    println!("|---|---|---|---|---|---|---|");
    for n_rows in ROWS {
        for (name, shape) in SHAPES {
            for connections in CONNECTIONS {
                let Cost { per_second, cpu_us, p50_ms, p99_ms } =
                    server.measure(&prediction(n_rows, shape), connections, how_long)?;
                println!(
                    "| {n_rows} | {name} | {connections} | {per_second:.0} | {cpu_us:.1} | {p50_ms:.2} | {p99_ms:.2} |"
                );
            }
        }
    }
    beside_jobs(&server, how_long)
}

/// The waits of the same requests without and with jobs that compute.
fn beside_jobs(server: &Server, how_long: Duration) -> anyhow::Result<()> {
    let requests = ROWS.map(|n_rows| prediction(n_rows, Shape::Records));
    let measure = || requests.each_ref().map(|request| server.measure(request, CONNECTIONS[0], how_long));
    let idle = measure();
    server.saturate(JOBS)?;
    let busy = measure();
    ensure!(server.n_unfinished()? > 0, "the jobs ended before the measurements; measure for fewer seconds");
    println!();
    println!("| rows, as records over {} connections | p50 ms | beside jobs | p99 ms | beside jobs |", CONNECTIONS[0]);
    println!("|---|---|---|---|---|");
    for ((n_rows, idle), busy) in ROWS.into_iter().zip(idle).zip(busy) {
        let (idle, busy) = (idle?, busy?);
        println!("| {n_rows} | {:.2} | {:.2} | {:.2} | {:.2} |", idle.p50_ms, busy.p50_ms, idle.p99_ms, busy.p99_ms);
    }
    Ok(())
}

fn prediction(n_rows: usize, shape: Shape) -> Vec<u8> {
    let model = if shape == Shape::Npy { "n" } else { "m" };
    request(&format!("/v1/models/{model}/predict"), n_rows, shape)
}
