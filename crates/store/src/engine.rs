//! What a database must do.

use crate::{IdempotencyKey, Identity, RawBatch, RawPage, Scan, StoreError};
use async_trait::async_trait;
use hufu_kernel::{Key, Timestamp};

/// Names the commit that wrote a row. Equal means unchanged; there is no order, and a row that was deleted and made
/// again never has a version it had before, so a stale reader cannot mistake the new row for the old one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version(pub i64);

/// A row as an engine sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawRow {
    /// Where it stands.
    pub key: Key,
    /// Which commit wrote it.
    pub version: Version,
    /// When it may be swept.
    pub expires: Option<Timestamp>,
    /// Under how many of its kind's migrations it was written.
    pub form: i64,
    /// The record as JSON text, in that form.
    pub body: String,
}

/// The answer to a commit: it is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Committed {
    /// The version of every row that this batch put.
    pub version: Version,
    /// Whether an earlier commit of the same batch under the same key did it; nothing was changed now.
    pub replayed: bool,
}

/// A database. Engines agree on every answer; the contract suite in `tests/it` is run on each.
///
/// Cancel safety: dropping a `commit` or `sweep` future does not stop it; it may still be applied.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// Whose store this is.
    fn identity(&self) -> &Identity;

    /// One row, also if it has expired and was not swept yet: callers compare `expires` themselves.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Corrupt`], or [`StoreError::Misuse`] for an undeclared kind.
    async fn get(&self, kind: &'static str, key: &Key) -> Result<Option<RawRow>, StoreError>;

    /// A page of rows by a declared index, in the order of (value, partition, id).
    ///
    /// # Errors
    /// As [`Engine::get`]; [`StoreError::Misuse`] for an undeclared index.
    async fn scan(&self, scan: &Scan) -> Result<RawPage, StoreError>;

    /// Applies the batch whole or not at all, and answers when it is durable.
    ///
    /// # Errors
    /// [`StoreError::Conflict`], [`StoreError::Duplicate`], [`StoreError::Partition`], [`StoreError::Misuse`]: nothing was
    /// changed. [`StoreError::Unavailable`]: the outcome is unknown.
    async fn commit(&self, batch: RawBatch, key: IdempotencyKey) -> Result<Committed, StoreError>;

    /// Deletes rows and idempotency keys that expired before `expired_before`, at most `limit` of them, and writes rows of an
    /// older form in today's with what is left of the limit. Returns how many rows that were; call again while it returns
    /// `limit`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn sweep(&self, expired_before: Timestamp, limit: u32) -> Result<u32, StoreError>;

    /// How often writes were made durable since the store was opened: one fsync here, one COMMIT at a server. One of them may
    /// carry many batches. 0 for an engine that has no disk.
    fn flushes(&self) -> u64 {
        0
    }

    /// What is wrong with the database: that the last write was not written (a sweep tries again), or, which does not pass, that it was
    /// found damaged or is another one than was opened. For operators; nothing while all is well.
    fn ailing(&self) -> Option<StoreError> {
        None
    }
}

/// What a store has done since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Batches that were written, or found written.
    pub committed: u64,
    /// Batches that were refused, with nothing changed.
    pub refused: u64,
    /// Batches of which the store could not say whether they were written, and errors.
    pub failed: u64,
    /// As [`Engine::flushes`].
    pub flushes: u64,
}
