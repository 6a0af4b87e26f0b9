//! What a prediction over HTTP costs: CPU microseconds of the server a request, requests a second, and how long a client
//! waits, for one row and for 1000 rows of 30 features as JSON, over 8 and 64 connections that are kept.
//!
//! `cargo bench --bench predict` starts the real server on a folder of its own, makes a model, and prints a Markdown
//! table. `cargo bench --bench predict -- SECONDS` measures each line for so long (default 3). The clients run in this
//! process and share the machine with the server; its CPU time is read from the kernel, so only waits feel them.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and starts threads")]

#[allow(dead_code, reason = "another benchmark uses the rest")]
mod load;

use std::time::Duration;

use anyhow::Context;

use load::{Cost, Server, Shape, request};

/// Rows a request, as records or as arrays.
const REQUESTS: [(usize, Shape); 4] =
    [(1, Shape::Records), (1, Shape::Arrays), (1000, Shape::Records), (1000, Shape::Arrays)];
const CONNECTIONS: [usize; 2] = [8, 64];

fn main() -> anyhow::Result<()> {
    // Cargo adds its own flags.
    let mut arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let seconds = arguments.next().map_or(Ok(3.0), |a| a.parse()).context("seconds")?;
    let folder = tempfile::tempdir()?;
    let server = Server::ours(folder.path())?;
    server.make_model()?;
    println!("| rows | as | connections | requests/s | CPU µs a request | p50 ms | p99 ms |");
    println!("|---|---|---|---|---|---|---|");
    for (n_rows, shape) in REQUESTS {
        let request = request("/v1/models/m/predict", n_rows, shape);
        for connections in CONNECTIONS {
            let Cost { per_second, cpu_us, p50_ms, p99_ms } =
                server.measure(&request, connections, Duration::from_secs_f64(seconds))?;
            let name = if shape == Shape::Records { "records" } else { "arrays" };
            println!(
                "| {n_rows} | {name} | {connections} | {per_second:.0} | {cpu_us:.1} | {p50_ms:.2} | {p99_ms:.2} |"
            );
        }
    }
    Ok(())
}
