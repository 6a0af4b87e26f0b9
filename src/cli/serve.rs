//! `adaptd serve`: puts the layers together, listens, and takes them apart again.

use std::fs::{File, TryLockError};
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::{self, App};
use crate::blobs::Blobs;
use crate::config::Options;
use crate::counters;
use crate::disk::{BALLAST_BYTES, Disk};
use crate::records::{Clock, SystemClock};
use crate::service::{Collaborators, Collection, Service};
use crate::store::{SqliteOptions, SqliteStore, Store};
use crate::worker::{Executor, Workers};

/// What open requests and the database get at shutdown, after the jobs: with those no more than the eight seconds in which a
/// process must end.
const LISTENER_ENDS: Duration = Duration::from_millis(1_300);
const STORE_CLOSES: Duration = Duration::from_millis(500);

/// A service that runs in this process.
pub struct RunningServer {
    addr: SocketAddr,
    store: Arc<dyn Store>,
    service: Arc<Service>,
    workers: Workers,
    grace: Duration,
    /// Cancelled first: requests are refused, waits and streams end.
    draining: CancellationToken,
    /// Cancelled last: the listener closes.
    closing: CancellationToken,
    listening: JoinHandle<()>,
    /// Cancelled when nothing listens any more.
    deaf: CancellationToken,
    /// Held as long as anything in the folder is used.
    lock: File,
}

/// Runs the service until it is interrupted.
///
/// # Errors
/// As [`start`].
pub(super) async fn run(options: &Options) -> anyhow::Result<()> {
    let server = start(options).await?;
    tracing::info!(addr = %server.addr(), "listening");
    let broken = tokio::select! {
        () = interrupted() => false,
        () = server.broken() => true,
    };
    tracing::info!("stopping");
    server.shutdown().await;
    if broken {
        bail!("a part of the service stopped at a defect, which the log tells of; start it again");
    }
    Ok(())
}

/// Waits for SIGTERM or Ctrl-C.
pub async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupt = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be heard");
            let _ = interrupt.await;
        }
    }
}

/// Starts a service. It listens only once migrations and the rescue of jobs are done, so that its
/// first answer is a ready one.
///
/// # Errors
/// What cannot be opened.
pub async fn start(options: &Options) -> anyhow::Result<RunningServer> {
    counters::count();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let folder = &options.data;
    let lock = lock(folder)?;
    let disk = Disk::under(folder, options.min_free_bytes, clock.clone());
    let store: Arc<dyn Store> = Arc::new(open_store(folder, &disk).await?);
    let blobs = Blobs::open(&folder.join("blobs")).with_context(|| folder.display().to_string())?.on(disk.clone());

    if !options.allow_anonymous && !options.listen.ip().is_loopback() && store.all_keys().await?.is_empty() {
        store.close().await;
        bail!(
            "{} can be reached from other machines, and without a key whoever reaches it may do everything; make one with \
             adaptd keys create --data {} --name admin --scopes admin, or say --allow-anonymous",
            options.listen,
            folder.display()
        );
    }

    // Before the first job is claimed: a port that is taken must not leave jobs running. Who connects before the
    // rescue waits for it.
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", options.listen))?;

    let (draining, closing) = (CancellationToken::new(), CancellationToken::new());
    let scratch = folder.join("incoming");
    let (own_blobs, stopping) = (blobs.clone(), draining.clone());
    let parts = Collaborators { store: store.clone(), blobs: own_blobs, clock: clock.clone(), scratch, disk, stopping };
    let service = Service::open(parts, options.service_limits()).await;
    let service = Arc::new(service.with_context(|| folder.display().to_string())?);
    // No job runs and no upload is on its way: what no record names was left by a crash or by a deletion.
    let removed = service.collect_garbage(Collection::AtStart).await.context("blobs cannot be collected")?;
    tracing::debug!(removed, "blobs that no record named");

    let executor = Executor::new(store.clone(), blobs.clone(), clock.clone(), options.job_memory_bytes);
    let workers = Workers::start(store.clone(), Arc::new(executor), clock.clone(), options.worker_options());
    let workers = workers.await.context("jobs cannot be rescued")?;

    let addr = listener.local_addr()?;
    let limits = options.http_limits();
    let router = api::router(App { service: service.clone(), limits });
    let serving = api::listen::serve(listener, router, limits, closing.clone());
    let keeping = keep_house(service.clone(), closing.clone());
    let delivering = service.clone();
    let deaf = CancellationToken::new();
    let guard = deaf.clone().drop_guard();
    let listening = spawn(async move {
        let _guard = guard;
        tokio::join!(serving, keeping, delivering.deliver());
    });
    Ok(RunningServer {
        addr,
        store,
        service,
        workers,
        grace: options.grace(),
        draining,
        closing,
        listening,
        deaf,
        lock,
    })
}

impl RunningServer {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The use cases, for who embeds the service.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Returns when a part has stopped that is to run as long as the service does: a service that only looks alive is worse
    /// than one that is started again.
    pub async fn broken(&self) {
        tokio::select! {
            () = self.deaf.cancelled() => tracing::error!("nothing listens any more"),
            () = self.workers.ended() => tracing::error!("no jobs are claimed any more"),
        }
    }

    /// Refuses requests, gives running jobs back without consuming their attempts, closes.
    pub async fn shutdown(self) {
        self.draining.cancel();
        self.workers.shutdown(self.grace).await;
        self.closing.cancel();
        match tokio::time::timeout(LISTENER_ENDS, self.listening).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the listener ended badly"),
            Err(_) => tracing::warn!("requests were not done in time"),
        }
        // What is committed is safe without it; the next start finds a log to read.
        if tokio::time::timeout(STORE_CLOSES, self.store.close()).await.is_err() {
            tracing::warn!("the database was not closed in time");
        }
        drop(self.lock);
    }
}

/// Keeps histograms small and the ballast ready, removes what is kept no longer, and collects blobs every hour, or every minute
/// while the disk is short of room; until the listener closes.
async fn keep_house(service: Arc<Service>, closing: CancellationToken) {
    const STEPS_PER_HOUR: u32 = 720;
    const STEPS_PER_MINUTE: u32 = 12;
    let mut steps = tokio::time::interval(Duration::from_secs(5));
    // Blobs were collected at the start.
    let mut since_collection = 0;
    for step in 0_u32.. {
        tokio::select! {
            () = closing.cancelled() => return,
            _ = steps.tick() => {}
        }
        counters::upkeep();
        let keeper = service.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || keeper.keep_ballast()).await {
            tracing::error!(%error, "the ballast was not looked at");
        }
        if step % STEPS_PER_MINUTE == 0 {
            tokio::select! {
                () = closing.cancelled() => return,
                retained = service.retain() => match retained {
                    Ok(rows) => tracing::debug!(rows, "removed what is kept no longer"),
                    Err(error) => tracing::warn!(%error, "what is kept no longer cannot be removed"),
                },
            }
        }
        since_collection += 1;
        let every = if service.lacks_room() { STEPS_PER_MINUTE } else { STEPS_PER_HOUR };
        if since_collection < every {
            continue;
        }
        since_collection = 0;
        match service.collect_garbage(Collection::WhileRunning).await {
            Ok(removed) => tracing::info!(removed, "blobs that no record named"),
            Err(error) => tracing::warn!(%error, "blobs cannot be collected"),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "RunningServer owns this task and awaits it at shutdown")]
fn spawn(future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(future)
}

/// Opens the database. On a full disk even that may need the ballast.
async fn open_store(folder: &Path, disk: &Disk) -> anyhow::Result<SqliteStore> {
    let database = folder.join("adaptd.db");
    let mut store = SqliteStore::open(&database, SqliteOptions::default()).await;
    if store.is_err() && disk.room().is_ok_and(|room| room.free_bytes < BALLAST_BYTES) {
        disk.give_up_ballast();
        store = SqliteStore::open(&database, SqliteOptions::default()).await;
    }
    Ok(store.with_context(|| database.display().to_string())?.on(disk.clone()))
}

/// Makes the folder and takes its lock, which the system gives back however the process ends.
fn lock(folder: &Path) -> anyhow::Result<File> {
    let shown = format!("--data {}", folder.display());
    std::fs::create_dir_all(folder).with_context(|| shown.clone())?;
    let file = File::options().create(true).truncate(false).write(true).open(folder.join("lock"));
    let file = file.with_context(|| shown.clone())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("{shown}: another adaptd uses this folder; stop it, or take another folder")
        }
        Err(TryLockError::Error(e)) => Err(e).with_context(|| format!("{shown}: cannot be locked")),
    }
}
