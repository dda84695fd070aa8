//! The one writing thread: a queue drained into one transaction, one fsync, then the answers.

use super::statements::{IndexStatements, KindStatements, Statements};
use super::{gone, is_duplicate};
use crate::prepared::Prepared;
use crate::{Change, Committed, Expect, RawOp, StoreError, Version};
use hufu_kernel::{Key, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use tokio::sync::oneshot::Sender;

/// Batches of one transaction at most: bounds how long the first of them waits.
const GROUP: usize = 1_024;

/// Batches waiting for the thread; more are refused.
const QUEUE: usize = 8_192;

type Reply<T> = Sender<Result<T, StoreError>>;

/// One write and where its answer goes.
#[derive(Debug)]
pub(super) enum Job {
    Commit { batch: Prepared, reply: Reply<Committed> },
    Sweep { expired_before: Timestamp, limit: u32, reply: Reply<u32> },
}

/// An answer that waits for the disk.
enum Answer {
    Commit(Reply<Committed>, Result<Committed, StoreError>),
    Sweep(Reply<u32>, Result<u32, StoreError>),
}

/// The writing thread.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub fn start(connection: Connection, statements: Arc<Statements>) -> Result<Self, StoreError> {
        let (queue, jobs) = sync_channel(QUEUE);
        let thread = std::thread::Builder::new().name("store-write".to_owned());
        let run = move || serve(&connection, &jobs, &statements);
        let thread = thread.spawn(run).map_err(StoreError::unavailable)?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    pub fn ask(&self, job: Job) -> Result<(), StoreError> {
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::unavailable("too many writes are waiting"),
            TrySendError::Disconnected(_) => gone(),
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked, whoever waited was told by the dropped reply.
            let _ = thread.join();
        }
    }
}

fn serve(connection: &Connection, jobs: &Receiver<Job>, statements: &Statements) {
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        group.extend(jobs.try_iter().take(GROUP - 1));
        write(connection, group, statements);
    }
}

/// Deleted content must leave the log too. A reader in the way makes it wait for the next sweep.
fn empty_log(connection: &Connection) {
    let truncate = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    if let Err(error) = truncate {
        tracing::warn!(%error, "the write-ahead log was not emptied");
    }
}

/// One transaction. Refusals, too, are answered after the commit: they may rest on a batch of the same group.
fn write(connection: &Connection, group: Vec<Job>, statements: &Statements) {
    let mut answers = Vec::with_capacity(group.len());
    let mut outcome = connection.execute_batch("BEGIN IMMEDIATE").map_err(StoreError::from);
    for job in group {
        answers.push(run(connection, job, statements, &mut outcome));
    }
    let outcome = outcome.and_then(|()| connection.execute_batch("COMMIT").map_err(StoreError::from));
    if let Err(error) = &outcome {
        tracing::error!(%error, "a group of writes failed");
        if !connection.is_autocommit()
            && let Err(error) = connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a failed group could not be rolled back");
        }
    }
    if answers.iter().any(|answer| matches!(answer, Answer::Sweep(..))) {
        empty_log(connection);
    }
    for answer in answers {
        answer.send(&outcome);
    }
}

/// Runs one job inside the transaction, unless the transaction has failed already.
fn run(connection: &Connection, job: Job, statements: &Statements, outcome: &mut Result<(), StoreError>) -> Answer {
    match job {
        Job::Commit { batch, reply } => {
            let result = attempt(outcome, || isolated(connection, &batch, statements));
            Answer::Commit(reply, result)
        }
        Job::Sweep { expired_before, limit, reply } => {
            let result = attempt(outcome, || sweep(connection, expired_before, limit, statements));
            Answer::Sweep(reply, result)
        }
    }
}

/// A failure of the database (not a refusal) may have ended the whole transaction by itself (SQLite does so on a full
/// disk), so nothing more is tried in it: it fails as a whole, and whoever is in it repeats.
fn attempt<T>(
    outcome: &mut Result<(), StoreError>,
    work: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    outcome.clone()?;
    let result = work();
    if let Err(error @ (StoreError::Unavailable { .. } | StoreError::Corrupt { .. })) = &result {
        *outcome = Err(error.clone());
    }
    result
}

impl Answer {
    fn send(self, outcome: &Result<(), StoreError>) {
        // An answer nobody waits for any more is dropped; its batch stands all the same.
        match self {
            Self::Commit(reply, result) => drop(reply.send(outcome.clone().and(result))),
            Self::Sweep(reply, result) => drop(reply.send(outcome.clone().and(result))),
        }
    }
}

/// One batch under a savepoint, so that its refusal undoes nothing else.
fn isolated(connection: &Connection, batch: &Prepared, statements: &Statements) -> Result<Committed, StoreError> {
    connection.prepare_cached("SAVEPOINT batch")?.execute([])?;
    let result = apply(connection, batch, statements);
    if let Err(StoreError::Conflict | StoreError::Duplicate(_) | StoreError::Misuse(_)) = &result {
        connection.prepare_cached("ROLLBACK TO batch")?.execute([])?;
    }
    if !connection.is_autocommit() {
        connection.prepare_cached("RELEASE batch")?.execute([])?;
    }
    result
}

fn apply(connection: &Connection, batch: &Prepared, statements: &Statements) -> Result<Committed, StoreError> {
    let remembered: Option<Vec<u8>> = connection
        .prepare_cached("SELECT fingerprint FROM store__commit WHERE id = ?1")?
        .query_row([batch.id.as_slice()], |row| row.get(0))
        .optional()?;
    if let Some(fingerprint) = remembered {
        return batch.again(&fingerprint);
    }
    for op in &batch.ops {
        expect(connection, op, statements.kind(op.kind)?)?;
    }
    // Values are released before any is taken: one may pass from row to row within a batch.
    let mut taken = Vec::new();
    for op in &batch.ops {
        let kind = statements.kind(op.kind)?;
        let wanted = if let Change::Put { values, .. } = &op.change { values.as_slice() } else { &[] };
        for index in kind.indexes.values().filter(|_| op.change != Change::Keep) {
            let wanted: Vec<&[u8]> = values_of(wanted, index.name);
            if op.expect == Expect::Absent || release(connection, &op.key, index, &wanted)? {
                taken.push((op, index, wanted));
            }
        }
        change(connection, op, kind, batch.version)?;
    }
    for (op, index, wanted) in taken {
        take(connection, &op.key, index, &wanted)?;
    }
    connection
        .prepare_cached("INSERT INTO store__commit (id, fingerprint, expires_at) VALUES (?1, ?2, ?3)")?
        .execute(params![batch.id.as_slice(), batch.fingerprint.as_slice(), batch.expires.0])?;
    Ok(batch.fresh())
}

fn values_of<'a>(values: &'a [(&'static str, Vec<u8>)], index: &str) -> Vec<&'a [u8]> {
    values.iter().filter(|(name, _)| *name == index).map(|(_, value)| value.as_slice()).collect()
}

fn expect(connection: &Connection, op: &RawOp, kind: &KindStatements) -> Result<(), StoreError> {
    let mut query = connection.prepare_cached(&kind.version)?;
    let found = query.query_row((&op.key.partition, &op.key.id), |row| row.get(0)).optional()?.map(Version);
    let holds = match op.expect {
        Expect::Absent => found.is_none(),
        Expect::At(version) => found == Some(version),
    };
    if holds { Ok(()) } else { Err(StoreError::Conflict) }
}

fn change(connection: &Connection, op: &RawOp, kind: &KindStatements, version: Version) -> Result<(), StoreError> {
    let Key { partition, id } = &op.key;
    match &op.change {
        Change::Keep => {}
        Change::Delete => {
            connection.prepare_cached(&kind.delete)?.execute((partition, id))?;
        }
        Change::Put { expires, body, .. } => {
            let sql = if op.expect == Expect::Absent { &kind.insert } else { &kind.update };
            let expires = expires.map(|at| at.0);
            connection.prepare_cached(sql)?.execute(params![partition, id, version.0, expires, body])?;
        }
    }
    Ok(())
}

/// Removes the row's values from the index unless they are the wanted ones already; says whether the wanted are to be added.
fn release(connection: &Connection, key: &Key, index: &IndexStatements, wanted: &[&[u8]]) -> Result<bool, StoreError> {
    let mut query = connection.prepare_cached(&index.values)?;
    let found = query.query_map((&key.partition, &key.id), |row| row.get(0))?.collect::<Result<Vec<Vec<u8>>, _>>()?;
    if found.iter().map(Vec::as_slice).eq(wanted.iter().copied()) {
        return Ok(false);
    }
    connection.prepare_cached(&index.remove)?.execute((&key.partition, &key.id))?;
    Ok(true)
}

fn take(connection: &Connection, key: &Key, index: &IndexStatements, wanted: &[&[u8]]) -> Result<(), StoreError> {
    let mut add = connection.prepare_cached(&index.add)?;
    for value in wanted {
        match add.execute((&key.partition, &key.id, value)) {
            Ok(_) => {}
            Err(error) if is_duplicate(&error) => return Err(StoreError::Duplicate(index.name)),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn sweep(
    connection: &Connection,
    expired_before: Timestamp,
    limit: u32,
    statements: &Statements,
) -> Result<u32, StoreError> {
    let keys = "DELETE FROM store__commit WHERE id IN (SELECT id FROM store__commit WHERE expires_at < ?1 LIMIT ?2)";
    let swept = connection.prepare_cached(keys)?.execute((expired_before.0, limit))?;
    let mut left = limit.saturating_sub(u32::try_from(swept).unwrap_or(u32::MAX));
    for kind in statements.kinds() {
        let mut query = connection.prepare_cached(&kind.expired)?;
        let rows = query
            .query_map((expired_before.0, left), |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<Vec<(Vec<u8>, Vec<u8>)>, _>>()?;
        for row in rows {
            for index in kind.indexes.values() {
                connection.prepare_cached(&index.remove)?.execute((&row.0, &row.1))?;
            }
            connection.prepare_cached(&kind.delete)?.execute((&row.0, &row.1))?;
            left = left.saturating_sub(1);
        }
    }
    Ok(limit - left)
}
