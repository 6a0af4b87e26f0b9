//! The file of the database: taken for this process alone, brought to its newest form, and opened.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::super::StoreError;
use super::SqliteStore;
use super::writer::Writer;

pub(super) static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// How long a connection waits for a lock that a backup or a shell may hold, and a reader for a connection.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages that the writer keeps; taken as they are used.
const WRITER_CACHE_KIB: u32 = 32 << 10;

/// What may be chosen about the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Connections that read.
    pub readers: u32,
    /// Pages of 4 KiB that the file may grow to; `None` is what the disk holds.
    pub max_pages: Option<u32>,
}

impl Default for SqliteOptions {
    /// Four readers: reads are short, and a service of this kind has few clients at a time.
    fn default() -> Self {
        Self { readers: 4, max_pages: None }
    }
}

impl SqliteStore {
    /// Opens or creates the database at `path`, takes its lock file and runs the migrations. The lock is
    /// held until [`crate::store::Store::close`] returns; a store that is only dropped gives it back a little later.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where another process has the lock, the folder cannot be written or a
    /// migration fails; [`StoreError::Corrupt`] where the file is no database.
    pub async fn open(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            // What a statement sets aside stays in memory: it is little, and no other disk can be full.
            .pragma("temp_store", "memory")
            .disable_statement_logging();
        let mut writes = connect
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // A transaction that changes more pages than the cache holds writes them out and reads them again and again.
            .pragma("cache_size", format!("-{WRITER_CACHE_KIB}"));
        if let Some(pages) = options.max_pages {
            writes = writes.pragma("max_page_count", pages.to_string());
        }
        let mut connection = writes.connect().await?;
        MIGRATIONS.run(&mut connection).await.map_err(|e| StoreError::Unavailable(e.to_string()))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.readers.max(1))
            .acquire_timeout(BUSY_TIMEOUT)
            .connect_with(connect.read_only(true))
            .await?;
        Ok(Self { writer: Writer::start(connection, lock)?, readers, disk: None })
    }
}

/// Takes the lock that proves that this process alone writes, and that running jobs found at start are
/// orphans. The system gives it back when the process ends, however it ends.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let unavailable = |why: &str| StoreError::Unavailable(format!("{}: {why}", name.display()));
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name)
        .map_err(|e| unavailable(&e.to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(unavailable("another process uses this database")),
        Err(std::fs::TryLockError::Error(e)) => Err(unavailable(&e.to_string())),
    }
}
