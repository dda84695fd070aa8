//! The embedded engine: one writer thread with group commit, a few reading threads.
//!
//! Durability: WAL with `synchronous=FULL`. The writer drains its queue into one transaction, commits (one fsync), and
//! only then answers; a batch that is refused writes nothing, so the others of its group stand. Readers see a commit only
//! after its fsync.
//!
//! Privacy at rest: rows stand in their table by a hash of their key, so the file keeps no order of arrival; `secure_delete`
//! overwrites what is deleted, and every sweep empties the write-ahead log.

mod dump;
mod examine;
mod pages;
mod reader;
mod schema;
mod settle;
mod statements;
mod writer;

use crate::health::Health;
use crate::prepared::Prepared;
use crate::{
    Catalogue, Committed, Dumped, Engine, IdempotencyKey, Identity, Progress, RawBatch, RawPage, RawRow, Scan,
    StoreError, Terms,
};
use async_trait::async_trait;
use hufu_kernel::{Key, Timestamp};
use reader::{Read, Readers};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};
use schema::Opened;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::oneshot;
use writer::{Desk, Job, Writer};

/// When SQLite waits for the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Synchronous {
    /// Before every answer.
    #[default]
    Full,
    /// Never: acknowledged writes may be lost. Only the control of the power-cut test has a use for it.
    Off,
}

/// How an SQLite store is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SqliteOptions {
    /// When to wait for the disk.
    pub synchronous: Synchronous,
    /// Reading threads, each with a connection.
    pub readers: usize,
    /// Refuse to grow beyond this many bytes; `None` leaves it to the disk.
    pub max_bytes: Option<u64>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { synchronous: Synchronous::Full, readers: 2, max_bytes: None }
    }
}

/// An SQLite store. Dropping it waits for the writer to finish what it has accepted.
#[derive(Debug)]
pub struct Sqlite {
    catalogue: Catalogue,
    writer: Writer,
    readers: Readers,
    health: Arc<Health>,
}

impl Sqlite {
    /// Opens or creates the store at `path`; blocks while it does.
    ///
    /// # Errors
    /// [`StoreError::WrongStore`], [`StoreError::Unavailable`], [`StoreError::Corrupt`] for a file whose pages do not hang together
    /// (a long one is looked at beside the first answers, see [`Engine::ailing`]), or [`StoreError::Misuse`] if a newer
    /// program has written it, or the indexes of a kind have changed without a migration that says so.
    pub fn open(path: &Path, catalogue: Catalogue, options: SqliteOptions) -> Result<Self, StoreError> {
        let Opened { connection, statements, generation, unsettled } = schema::open(path, &catalogue, options)?;
        let (statements, health) = (Arc::new(statements), Arc::<Health>::default());
        if !pages::at_once(path) {
            pages::check_beside(path, &health)?;
        }
        let desk = Desk {
            connection,
            statements: Arc::clone(&statements),
            generation,
            unsettled,
            health: Arc::clone(&health),
        };
        let writer = Writer::start(desk)?;
        let readers = Readers::start(path, &statements, options.readers, &health)?;
        Ok(Self { catalogue, writer, readers, health })
    }

    /// Looks whether the file at `path` is the store of `wanted` and whole; changes nothing in it, and may be called while a process
    /// works on it. Blocks.
    ///
    /// # Errors
    /// [`StoreError::WrongStore`], [`StoreError::Corrupt`], [`StoreError::Unavailable`].
    pub fn examine(path: &Path, wanted: &Identity) -> Result<(), StoreError> {
        examine::examine(path, wanted)
    }

    /// Writes all rows as they stand at this moment, for a backup; another process may be at work on the store meanwhile. Blocks.
    ///
    /// # Errors
    /// [`StoreError::WrongStore`], [`StoreError::Unavailable`], [`StoreError::Corrupt`]; [`StoreError::Misuse`] for a store of
    /// another version.
    pub fn export(
        path: &Path,
        catalogue: &Catalogue,
        out: &mut dyn std::io::Write,
        progress: Progress<'_>,
    ) -> Result<Dumped, StoreError> {
        dump::export(path, catalogue, out, progress)
    }

    /// Makes a new store at `path` of rows that an engine exported, on these terms. Blocks.
    ///
    /// # Errors
    /// As [`Sqlite::export`]; [`StoreError::Corrupt`] if the rows are not all there, or not as they were written. What stands at
    /// `path` is then no store.
    pub fn import(
        path: &Path,
        catalogue: &Catalogue,
        input: &mut dyn std::io::BufRead,
        progress: Progress<'_>,
        terms: Terms<'_>,
    ) -> Result<Dumped, StoreError> {
        dump::import(path, catalogue, input, progress, terms)
    }

    /// Removes what the catalogue no longer declares: tables of dropped indexes, kinds that are gone. Returns the tables'
    /// names. No other process may have the store open; one that has can write nothing to it afterwards.
    ///
    /// # Errors
    /// As [`Sqlite::open`].
    pub fn contract(path: &Path, catalogue: &Catalogue) -> Result<Vec<String>, StoreError> {
        schema::contract(path, catalogue)
    }
}

#[async_trait]
impl Engine for Sqlite {
    fn identity(&self) -> &Identity {
        &self.catalogue.identity
    }

    async fn get(&self, kind: &'static str, key: &Key) -> Result<Option<RawRow>, StoreError> {
        self.catalogue.kind(kind)?;
        let (reply, answer) = oneshot::channel();
        self.readers.ask(Read::Get { kind, key: key.clone(), reply })?;
        answer.await.map_err(|_| gone())?
    }

    async fn scan(&self, scan: &Scan) -> Result<RawPage, StoreError> {
        self.catalogue.kind(scan.kind)?.index(scan.index)?;
        let (reply, answer) = oneshot::channel();
        self.readers.ask(Read::Scan { scan: scan.clone(), reply })?;
        answer.await.map_err(|_| gone())?
    }

    async fn commit(&self, batch: RawBatch, key: IdempotencyKey) -> Result<Committed, StoreError> {
        let batch = Prepared::new(batch, &key, &self.catalogue)?;
        let (reply, answer) = oneshot::channel();
        self.writer.ask(Job::Commit { batch, reply })?;
        answer.await.map_err(|_| gone())?
    }

    async fn sweep(&self, expired_before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.writer.ask(Job::Sweep { expired_before, limit, reply })?;
        answer.await.map_err(|_| gone())?
    }

    fn flushes(&self) -> u64 {
        self.writer.flushes()
    }

    fn ailing(&self) -> Option<StoreError> {
        self.health.ailing()
    }
}

fn gone() -> StoreError {
    StoreError::unavailable("the store's thread has ended")
}

/// Whether a uniqueness constraint refused.
fn is_duplicate(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::ConstraintViolation))
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::corrupt(error),
            Some(ErrorCode::DiskFull) => Self::unavailable("the disk, or the store's size limit, is full"),
            Some(ErrorCode::ReadOnly) => Self::unavailable("the file or its disk is read-only"),
            Some(ErrorCode::SystemIoFailure) => Self::unavailable(format!("the disk fails, or is read-only: {error}")),
            Some(_) => Self::unavailable(error),
            // A column of another type than the table declares: the file was changed by other means.
            None => match error {
                InvalidColumnType(..) | FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) => {
                    Self::corrupt(error)
                }
                other => Self::unavailable(other),
            },
        }
    }
}

/// What every connection needs; `cache` is in KiB, and the operating system's cache stands behind it.
fn prepare_connection(connection: &Connection, cache: i64) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(256);
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    // One plan for a statement whatever is bound to it; without this SQLite plans again for every scan.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "cache_size", -cache)
}
