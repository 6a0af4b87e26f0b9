//! What open streams of events cost: memory of ten thousand that are idle, and how long an event is on its way to two
//! thousand that are not.
//!
//! `cargo bench --bench streams [-- N]` starts the program, opens N idle streams (default 10,000) of a job in
//! which nothing happens, and prints Markdown. Then 1,000 streams follow the feed and 1,000 one job
//! that is paused; the job is cancelled, which is one event for all of them, round after round. The time is from the event's
//! `at`, which is taken before its commit, to its arrival; clients share the machine with the program, whose CPU time alone is
//! told beside.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and starts tasks")]

#[allow(dead_code, reason = "another benchmark uses the rest")]
#[path = "load/mod.rs"]
mod load;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use load::{Server, table};
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

const IDLE: usize = 10_000;
/// Streams of the feed, and of the job.
const FOLLOWERS: usize = 1_000;
const ROUNDS: usize = 20;
/// Longer than the program takes to write to all that are silent.
const SILENCE: Duration = Duration::from_secs(20);

fn main() -> anyhow::Result<()> {
    // Cargo adds its own flags.
    let mut arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let n_idle = arguments.next().map_or(Ok(IDLE), |a| a.parse()).context("streams")?;
    raise_limit()?;
    let folder = tempfile::tempdir()?;
    let server = Server::ours(folder.path())?;
    for (name, shift) in [("source", 0.0), ("target", 1.0)] {
        server.call("PUT", &format!("/v1/domains/{name}?label=label"), "", table(500, shift).as_bytes())?;
    }
    let waiting = paused(&server)?;

    println!(
        "| idle streams | MiB before | MiB with them | KiB each | after a round of keep-alives, KiB each | CPU ms a second |"
    );
    println!("|---|---|---|---|---|---|");
    idle(&server, &waiting, n_idle)?;

    println!("\n| event to | arrivals | p50 ms | p99 ms | max ms | CPU µs of the program an arrival |");
    println!("|---|---|---|---|---|---|");
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(fan_out(&server))
}

/// As many descriptors as the system gives, here and in the program that is started.
fn raise_limit() -> anyhow::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

/// A job that is paused.
fn paused(server: &Server) -> anyhow::Result<String> {
    let spec = json!({"kind": "adapt", "sources": ["source"], "target": "target",
                      "method": {"id": "transfer_component_analysis"}, "evaluation": {"kind": "leave_one_out"}});
    let job: Value = serde_json::from_slice(&server.call("POST", "/v1/jobs", "", spec.to_string().as_bytes())?)?;
    let id = job["id"].as_str().context("an id")?.to_owned();
    server.call("POST", &format!("/v1/jobs/{id}/pause"), "", b"")?;
    loop {
        let job: Value = serde_json::from_slice(&server.call("GET", &format!("/v1/jobs/{id}"), "", b"")?)?;
        match job["state"].as_str() {
            Some("paused") => return Ok(id),
            Some("running" | "queued") => std::thread::sleep(Duration::from_millis(5)),
            _ => anyhow::bail!("the job was not paused: {job}"),
        }
    }
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n")
}

fn idle(server: &Server, job: &str, n: usize) -> anyhow::Result<()> {
    let open = |path: &str| -> anyhow::Result<TcpStream> {
        let mut stream = TcpStream::connect(server.addr())?;
        stream.write_all(request(path).as_bytes())?;
        let mut head = [0; 1024];
        let n = stream.read(&mut head)?;
        ensure!(head[..n].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head[..n]));
        Ok(stream)
    };
    let of_job = format!("/v1/jobs/{job}/events");
    // What is made once is made before.
    drop((0..200).map(|_| open(&of_job)).collect::<Result<Vec<_>, _>>()?);
    let before = server.rss_mib()?;
    let streams = (0..n).map(|_| open(&of_job)).collect::<Result<Vec<_>, _>>()?;
    let with = server.rss_mib()?;
    let cpu = server.cpu()?;
    std::thread::sleep(SILENCE);
    let (later, cpu) = (server.rss_mib()?, server.cpu()? - cpu);
    let each = |mib: f64| (mib - before) * 1024.0 / n as f64;
    let ms = cpu * 1e3 / SILENCE.as_secs_f64();
    println!("| {n} | {before:.0} | {later:.0} | {:.1} | {:.1} | {ms:.0} |", each(with), each(later));
    drop(streams);
    Ok(())
}

/// Milliseconds on its way of each event that arrives, `true` where it came by the feed.
type Arrivals = mpsc::UnboundedSender<(bool, f64)>;

async fn fan_out(server: &Server) -> anyhow::Result<()> {
    let (sender, mut arrivals) = mpsc::unbounded_channel();
    let (mut all, mut cpu) = ([Vec::new(), Vec::new()], 0.0);
    for round in 0..ROUNDS {
        let job = paused(server)?;
        let (ready, mut all_ready) = mpsc::channel(1);
        let paths = [("/v1/events".to_owned(), true), (format!("/v1/jobs/{job}/events?after_seq=0"), false)];
        for (path, by_feed) in paths {
            for _ in 0..FOLLOWERS {
                let (path, sender, ready) = (path.clone(), sender.clone(), ready.clone());
                tokio::spawn(follow(server.addr(), path, (by_feed, sender), ready));
            }
        }
        drop(ready);
        // Every follower has its head when the last has let go of its end.
        while all_ready.recv().await.is_some() {}
        let before = server.cpu()?;
        server.call("POST", &format!("/v1/jobs/{job}/cancel"), "", b"")?;
        for _ in 0..2 * FOLLOWERS {
            let (by_feed, ms) = arrivals.recv().await.context("an arrival")?;
            // The first round also fills caches.
            if round > 0 {
                all[usize::from(by_feed)].push(ms);
            }
        }
        if round > 0 {
            cpu += server.cpu()? - before;
        }
    }
    let each = cpu * 1e6 / (all[0].len() + all[1].len()) as f64;
    for (name, mut waits) in ["1,000 streams of the job", "1,000 streams of the feed"].into_iter().zip(all) {
        waits.sort_by(f64::total_cmp);
        let at = |q: f64| waits[((waits.len() as f64 * q) as usize).min(waits.len() - 1)];
        println!("| {name} | {} | {:.1} | {:.1} | {:.1} | {each:.0} |", waits.len(), at(0.5), at(0.99), at(1.0));
    }
    Ok(())
}

/// Reads a stream to the event that ends the job.
async fn follow(
    addr: SocketAddr,
    path: String,
    (by_feed, sender): (bool, Arrivals),
    ready: mpsc::Sender<()>,
) -> anyhow::Result<()> {
    let mut stream = tokio::net::TcpStream::connect(addr).await?;
    stream.write_all(request(&path).as_bytes()).await?;
    let (mut text, mut ready) = (Vec::new(), Some(ready));
    let mut buffer = [0; 2048];
    loop {
        let n = stream.read(&mut buffer).await?;
        ensure!(n > 0, "the stream has ended");
        let now = jiff::Timestamp::now();
        text.extend(&buffer[..n]);
        if text.windows(11).any(|w| w == b"retry: 2000") {
            drop(ready.take());
        }
        let told = String::from_utf8_lossy(&text);
        if let Some(event) =
            told.split("data: ").find(|event| event.contains("\"cancelled\"") && event.contains("\n\n"))
        {
            let at = event.split("\"at\":\"").nth(1).and_then(|rest| rest.get(..24)).context("a time")?;
            let at: jiff::Timestamp = at.parse()?;
            let ms = (now.as_microsecond() - at.as_microsecond()) as f64 / 1e3;
            return Ok(sender.send((by_feed, ms))?);
        }
    }
}
