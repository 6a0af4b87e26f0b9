//! What the queue costs: how soon a job starts after its commit, how many jobs are accepted durably in a second, and what
//! a claim takes in a long queue.
//!
//! `cargo bench --bench jobs` prints Markdown. Starts and claims are measured at the store and the workers in this process,
//! accepts against the program over HTTP with clients that keep their connections and share the machine with it. Nothing
//! runs meanwhile: the tenant may run no job.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock and starts threads")]

#[allow(dead_code, reason = "another benchmark uses the rest")]
#[path = "load/mod.rs"]
mod load;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use adaptd::records::{Clock as _, JobError, JobKind, JobRecord, NewJob, SystemClock, TenantId};
use adaptd::store::{ClaimTerms, Completion, CreateLimits, SqliteOptions, SqliteStore, Store};
use adaptd::worker::{AttemptHandle, Runner, WorkerOptions, Workers};
use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use load::{Server, table};
use serde_json::json;

const STARTS: usize = 300;
const CLAIMS: usize = 200;
const ACCEPT_FOR: Duration = Duration::from_secs(5);
const LIMITS: CreateLimits = CreateLimits { max_queued: i64::MAX, max_queued_of_tenant: None };

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!("| accept → start, an idle worker | p50 ms | p99 ms |\n|---|---|---|");
    runtime.block_on(starts())?;
    println!("\n| jobs that wait | claim p50 µs | p99 µs |\n|---|---|---|");
    runtime.block_on(claims())?;
    println!("\n| clients | accepted/s | p50 ms | p99 ms |\n|---|---|---|---|");
    accepts()?;
    println!("\n| jobs stored at a time | stored/s at the store alone |\n|---|---|");
    runtime.block_on(stored())
}

fn job() -> NewJob {
    let now = SystemClock.now();
    NewJob::new(
        TenantId::default(),
        JobKind::Adapt,
        json!({"sources": ["a@1"], "target": "b@1", "method": {"id": "coral", "params": {}}, "labels": {}}),
        now,
    )
}

async fn open(folder: &Path) -> anyhow::Result<Arc<dyn Store>> {
    Ok(Arc::new(SqliteStore::open(&folder.join("adaptd.db"), SqliteOptions::default()).await?))
}

/// Tells when it was started, and is done.
struct Started(Sender<Instant>);

#[async_trait]
impl Runner for Started {
    async fn run(&self, _: JobRecord, _: AttemptHandle) -> Result<Completion, JobError> {
        // Nobody listens any more once the benchmark is over.
        let _ = self.0.send(Instant::now());
        Ok(Completion { model: None, file: None, metrics: json!({}), result: json!({}) })
    }

    async fn keep(&self, _: Bytes) -> Result<String, JobError> {
        Ok(String::new())
    }
}

async fn starts() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let store = open(folder.path()).await?;
    let (tell, told) = channel();
    let workers =
        Workers::start(store.clone(), Arc::new(Started(tell)), Arc::new(SystemClock), WorkerOptions::default());
    let workers = workers.await?;
    let mut waits = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        // The worker is idle again.
        tokio::time::sleep(Duration::from_millis(10)).await;
        store.create_job(job(), None, LIMITS).await?;
        let committed = Instant::now();
        let started = tokio::task::block_in_place(|| told.recv())?;
        waits.push(started.saturating_duration_since(committed));
    }
    println!("| from the answer of the commit to the runner | {} |", quantiles(waits, 1e3));
    workers.shutdown(Duration::from_secs(1)).await;
    store.close().await;
    Ok(())
}

async fn claims() -> anyhow::Result<()> {
    let terms = ClaimTerms { owner: "a benchmark".into(), lease: Duration::from_secs(15), max_running_of_tenant: None };
    let folder = tempfile::tempdir()?;
    let store = open(folder.path()).await?;
    let mut n_waiting = 0;
    for wanted in [1_000, 10_000, 100_000] {
        fill(&store, wanted - n_waiting).await?;
        let mut waits = Vec::with_capacity(CLAIMS);
        for _ in 0..CLAIMS {
            let began = Instant::now();
            let claimed = store.claim(&terms, SystemClock.now()).await?.context("a job")?;
            waits.push(began.elapsed());
            // Put back, so that the number of running jobs is not what is measured.
            let lease = adaptd::store::Lease { job: claimed.id, token: claimed.lease_token };
            store.release(lease, SystemClock.now()).await?;
        }
        n_waiting = wanted;
        println!("| {wanted} | {} |", quantiles(waits, 1e6));
    }
    store.close().await;
    Ok(())
}

/// Stores jobs, many at a time.
async fn fill(store: &Arc<dyn Store>, n: usize) -> anyhow::Result<()> {
    for chunk in (0..n).collect::<Vec<_>>().chunks(2_000) {
        let stored = chunk.iter().map(|_| store.create_job(job(), None, LIMITS));
        for outcome in futures::future::join_all(stored).await {
            outcome?;
        }
    }
    Ok(())
}

async fn stored() -> anyhow::Result<()> {
    for beside in [1, 8, 64, 512] {
        let folder = tempfile::tempdir()?;
        let store = open(folder.path()).await?;
        let began = Instant::now();
        let one = async || -> anyhow::Result<usize> {
            let mut n = 0;
            while began.elapsed() < ACCEPT_FOR / 2 {
                store.create_job(job(), None, LIMITS).await?;
                n += 1;
            }
            Ok(n)
        };
        let all = futures::future::join_all((0..beside).map(|_| one())).await;
        let n: usize = all.into_iter().sum::<anyhow::Result<usize>>()?;
        println!("| {beside} | {:.0} |", n as f64 / began.elapsed().as_secs_f64());
        store.close().await;
    }
    Ok(())
}

fn accepts() -> anyhow::Result<()> {
    for clients in [1, 8, 64] {
        let folder = tempfile::tempdir()?;
        let set = Command::new(env!("CARGO_BIN_EXE_adaptd"))
            .args(["tenants", "set", "default", "--max-running", "0", "--data"])
            .arg(folder.path())
            .output()?;
        ensure!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
        let server = Server::ours(folder.path())?;
        for name in ["a", "b"] {
            server.call("PUT", &format!("/v1/domains/{name}?label=label"), "", table(100, 0.0).as_bytes())?;
        }
        let addr = server.addr();
        let began = Instant::now();
        let threads: Vec<_> = (0..clients).map(|_| std::thread::spawn(move || submit(addr, began))).collect();
        let mut waits = Vec::new();
        for thread in threads {
            waits.extend(thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
        }
        let per_second = waits.len() as f64 / began.elapsed().as_secs_f64();
        println!("| {clients} | {per_second:.0} | {} |", quantiles(waits, 1e3));
    }
    Ok(())
}

/// Submits jobs over one connection, and how long each answer took.
fn submit(addr: SocketAddr, began: Instant) -> anyhow::Result<Vec<Duration>> {
    let spec = json!({"kind": "adapt", "sources": ["a"], "target": "b", "method": {"id": "coral"}}).to_string();
    let length = spec.len();
    let request = format!("POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{spec}");
    let mut stream = TcpStream::connect(addr)?;
    stream.set_nodelay(true)?;
    let mut waits = Vec::new();
    let mut answer = vec![0; 64 << 10];
    while began.elapsed() < ACCEPT_FOR {
        let sent = Instant::now();
        stream.write_all(request.as_bytes())?;
        let mut n = 0;
        loop {
            n += stream.read(&mut answer[n..])?;
            let text = std::str::from_utf8(&answer[..n])?;
            ensure!(n > 0 && text.starts_with("HTTP/1.1 202"), "{text}");
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|l| l.strip_prefix("content-length: "));
            if length.and_then(|l| l.parse().ok()) == Some(body.len()) {
                break;
            }
        }
        waits.push(sent.elapsed());
    }
    Ok(waits)
}

/// The median and the 99th percentile, in units of `per_second`.
fn quantiles(mut times: Vec<Duration>, per_second: f64) -> String {
    times.sort_unstable();
    let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize].as_secs_f64() * per_second;
    format!("{:.2} | {:.2}", at(0.5), at(0.99))
}
