//! Opening the database: one file, one writer, a few readers.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use sqlx::pool::PoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};

use crate::StoreError;
use crate::migrations::{self, Found};

/// How long a statement waits for its turn or for a lock before it fails.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections that only read. More would not be faster: readers wait for the disk, if for anything.
const READERS: u32 = 4;

/// Most rows of one page of a list.
pub(crate) const PAGE: u32 = 1000;

// Taking the write lock at the beginning: a transaction that reads first and writes later could fail halfway.
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";

const INSTALL_ID: &str = "SELECT value FROM meta WHERE name = 'install_id'";
const SET_INSTALL_ID: &str = "INSERT INTO meta (name, value) VALUES ('install_id', ?1)";

/// The store of one installation: an `SQLite` database in WAL mode, whose commits are on disk when they return.
///
/// Cheap to clone; clones share the connections.
#[derive(Debug, Clone)]
pub struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
    install_id: String,
    // Held as long as any clone lives; the system lets go of it if the process dies.
    _lock: Arc<File>,
}

impl Store {
    /// Opens the store at `path`, makes it if there is none, and brings its schema up to date.
    ///
    /// The file has mode 0600, as have those beside it. It is open once at a time: what is read once, such as the
    /// ledger, is not read again, and two processes that each keep a budget keep none.
    ///
    /// # Errors
    ///
    /// It is open already, the file cannot be made, others can read it, it is not a store, or its schema is newer than
    /// this binary knows. The file is then as it was.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = Arc::new(lock(path)?);
        prepare_file(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .foreign_keys(true)
            .busy_timeout(PATIENCE)
            .synchronous(SqliteSynchronous::Full)
            // What is forgotten is overwritten, not left in free pages.
            .pragma("secure_delete", "ON");
        // WAL is a change to the file; it waits until the file is known to be ours.
        let mut first = sqlx::ConnectOptions::connect(&options).await?;
        let found = migrations::look(&mut first).await;
        sqlx::Connection::close(first).await?;
        refuse(found?, path)?;

        let options = options.journal_mode(SqliteJournalMode::Wal);
        let writer = pool(1).connect_with(options.clone()).await?;
        let install_id = migrate(&writer, path).await?;
        let readers = pool(READERS).connect_with(options.read_only(true)).await?;
        Ok(Self {
            writer,
            readers,
            install_id,
            _lock: lock,
        })
    }

    /// The name of this installation, drawn when the store was made. It begins log origins.
    #[must_use]
    pub fn install_id(&self) -> &str {
        &self.install_id
    }

    /// The newest schema version that this binary knows, which every open store has.
    #[must_use]
    pub fn schema_version() -> u32 {
        migrations::newest()
    }

    /// Closes all connections, so that the last one writes everything into the main file. Dropping the store is as safe;
    /// the next start then reads the write-ahead log.
    pub async fn close(self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    pub(crate) const fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    pub(crate) const fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// The only transaction that writes, at any time. Dropping it takes everything back.
    pub(crate) async fn change(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with(BEGIN).await?)
    }
}

fn pool(most: u32) -> PoolOptions<Sqlite> {
    PoolOptions::new()
        .max_connections(most)
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// Takes the lock file beside the store. A file of its own: closing the database's would give up `SQLite`'s locks on it.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let failed = |source| StoreError::File {
        path: path.to_owned(),
        source,
    };
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(name).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Makes the file with mode 0600 before `SQLite` would make it with the process's mask, or looks at the one there is.
fn prepare_file(path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::File {
        path: path.to_owned(),
        source,
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let path = path.to_owned();
        return Err(StoreError::Exposed { path, mode });
    }
    crate::keyfile::sync_parent(path).map_err(failed)
}

fn refuse(found: Found, path: &Path) -> Result<u32, StoreError> {
    let known = migrations::newest();
    match found {
        Found::Empty => Ok(0),
        Found::Store(found) if found > known => Err(StoreError::NewerSchema { found, known }),
        Found::Store(version) => Ok(version),
        Found::Foreign => Err(StoreError::NotAStore {
            path: path.to_owned(),
        }),
    }
}

/// Brings the schema up to date in one transaction, and returns the installation's name.
async fn migrate(writer: &SqlitePool, path: &Path) -> Result<String, StoreError> {
    let mut change = writer.begin_with(BEGIN).await?;
    let version = refuse(migrations::look(&mut change).await?, path)?;
    if version < migrations::newest() {
        migrations::advance(&mut change, version).await?;
    }
    let install_id = install_id(&mut change).await?;
    change.commit().await?;
    Ok(install_id)
}

async fn install_id(connection: &mut SqliteConnection) -> Result<String, StoreError> {
    let known: Option<(String,)> = sqlx::query_as(INSTALL_ID)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some((known,)) = known {
        return Ok(known);
    }
    let mut random = [0; 16];
    rand::fill(&mut random)
        .map_err(|_no_randomness| StoreError::damaged("random source", "it failed"))?;
    let fresh = format!("ins_{:032x}", u128::from_be_bytes(random));
    sqlx::query(SET_INSTALL_ID)
        .bind(&fresh)
        .execute(connection)
        .await?;
    Ok(fresh)
}
