//! The one writing thread: a queue drained into one transaction, one fsync, then the answers.

use super::settle::{self, Unsettled};
use super::statements::{BUCKET, IndexStatements, KindStatements, Statements, home};
use super::{gone, is_duplicate, schema};
use crate::health::Health;
use crate::prepared::Prepared;
use crate::{Change, Committed, Expect, RawOp, StoreError, Version, values};
use hufu_kernel::{Key, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
    flushes: Arc<AtomicU64>,
}

impl Writer {
    pub fn start(desk: Desk) -> Result<Self, StoreError> {
        let (queue, jobs) = sync_channel(QUEUE);
        let flushes = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&flushes);
        let thread = std::thread::Builder::new().name("store-write".to_owned());
        let run = move || serve(desk, &jobs, &counted);
        let thread = thread.spawn(run).map_err(StoreError::unavailable)?;
        Ok(Self { queue: Some(queue), thread: Some(thread), flushes })
    }

    /// Transactions that were committed, each with one fsync.
    pub fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Relaxed)
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

/// What the writing thread works with.
#[derive(Debug)]
pub(super) struct Desk {
    pub connection: Connection,
    pub statements: Arc<Statements>,
    /// How often the schema had changed when the store was opened.
    pub generation: String,
    /// Kinds that may have rows of an older form.
    pub unsettled: Vec<Unsettled>,
    /// How the last write ended.
    pub health: Arc<Health>,
}

fn serve(mut desk: Desk, jobs: &Receiver<Job>, flushes: &AtomicU64) {
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        group.extend(jobs.try_iter().take(GROUP - 1));
        if write(&mut desk, group) {
            flushes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Deleted content must leave the log too. A reader in the way makes it wait for the next sweep.
fn empty_log(connection: &Connection) {
    let truncate = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    if let Err(error) = truncate {
        tracing::warn!(%error, "the write-ahead log was not emptied");
    }
}

/// One transaction, and whether it was committed. Refusals, too, are answered after the commit: they may rest on a batch of the
/// same group.
fn write(desk: &mut Desk, group: Vec<Job>) -> bool {
    let mut answers = Vec::with_capacity(group.len());
    let before = desk.unsettled.clone();
    let mut outcome = begin(desk);
    for job in group {
        answers.push(run(desk, job, &mut outcome));
    }
    let outcome = outcome.and_then(|()| commit(desk));
    desk.health.note(&outcome);
    if let Err(error) = &outcome {
        tracing::error!(%error, "a group of writes failed");
        desk.unsettled = before;
        if !desk.connection.is_autocommit()
            && let Err(error) = desk.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a failed group could not be rolled back");
        }
    }
    if answers.iter().any(|answer| matches!(answer, Answer::Sweep(..))) {
        empty_log(&desk.connection);
    }
    for answer in answers {
        answer.send(&outcome);
    }
    outcome.is_ok()
}

/// Makes the group durable. After one that was not, a page is written whatever the group holds, so that it is not the empty group of
/// a sweep that says the disk is well again.
fn commit(desk: &Desk) -> Result<(), StoreError> {
    if desk.health.is_failing() {
        let tried: i32 = desk.connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        desk.connection.pragma_update(None, "user_version", tried.wrapping_add(1))?;
    }
    Ok(desk.connection.execute_batch("COMMIT")?)
}

fn begin(desk: &Desk) -> Result<(), StoreError> {
    desk.health.sound()?;
    desk.connection.execute_batch("BEGIN IMMEDIATE")?;
    if schema::generation(&desk.connection)? == desk.generation { Ok(()) } else { Err(StoreError::Overtaken) }
}

/// Runs one job inside the transaction, unless the transaction has failed already.
fn run(desk: &mut Desk, job: Job, outcome: &mut Result<(), StoreError>) -> Answer {
    match job {
        Job::Commit { batch, reply } => {
            let result = attempt(outcome, || apply(&desk.connection, &batch, &desk.statements));
            Answer::Commit(reply, result)
        }
        Job::Sweep { expired_before, limit, reply } => {
            let result = attempt(outcome, || sweep(desk, expired_before, limit));
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

/// One batch. Whatever can refuse is checked before the first row is written, so that a refusal leaves nothing to undo:
/// there is one writer, and what it has checked stays true.
fn apply(connection: &Connection, batch: &Prepared, statements: &Statements) -> Result<Committed, StoreError> {
    let remembered: Option<Vec<u8>> = connection
        .prepare_cached("SELECT fingerprint FROM store__commit WHERE id = ?1")?
        .query_row([batch.id.as_slice()], |row| row.get(0))
        .optional()?;
    if let Some(fingerprint) = remembered {
        return batch.again(&fingerprint);
    }
    let mut rows: Vec<Row<'_>> = Vec::with_capacity(batch.ops.len());
    for op in &batch.ops {
        let kind = statements.kind(op.kind)?;
        rows.push((op, kind, expect(connection, op, kind)?));
    }
    rows.retain(|(op, ..)| op.change != Change::Keep);
    check_unique(connection, &rows)?;
    // Values are released before any is taken: one may pass from row to row within a batch.
    let mut taken = Vec::new();
    for (op, kind, state) in &rows {
        let (place, wanted) = change(connection, op, kind, state.as_ref(), batch.version)?;
        let held = state.as_ref().map_or(&[][..], |state| &state.values);
        if wanted != held {
            release(connection, &op.key, kind, held)?;
            taken.push((op, kind, place, wanted));
        }
    }
    for (op, kind, place, wanted) in &taken {
        take(connection, &op.key, kind, *place, wanted)?;
    }
    connection
        .prepare_cached("INSERT INTO store__commit (id, fingerprint, expires_at) VALUES (?1, ?2, ?3)")?
        .execute(params![batch.id.as_slice(), batch.fingerprint.as_slice(), batch.expires.0])?;
    Ok(batch.fresh())
}

/// A row that is there.
struct State {
    place: i64,
    version: Version,
    /// As [`values::encode`] writes them.
    values: Vec<u8>,
}

/// A row of the batch, its table's statements, and how it was found.
type Row<'a> = (&'a RawOp, &'a KindStatements, Option<State>);

/// A value may pass from one row of the batch to another: only rows outside it, or two of its own, stand in the way.
fn check_unique(connection: &Connection, rows: &[Row<'_>]) -> Result<(), StoreError> {
    let mut claimed = BTreeSet::new();
    for (op, kind, _) in rows {
        let Change::Put { values, .. } = &op.change else { continue };
        for (name, value) in values {
            let index = index_of(kind, name.as_bytes())?;
            let Some(holder) = &index.holder else { continue };
            let found = connection
                .prepare_cached(holder)?
                .query_row([value], |row| Ok(Key { partition: row.get(0)?, id: row.get(1)? }))
                .optional()?;
            let outside = found
                .is_some_and(|holder| !rows.iter().any(|(other, ..)| other.kind == op.kind && other.key == holder));
            if outside || !claimed.insert((op.kind, *name, value)) {
                return Err(StoreError::Duplicate(index.name));
            }
        }
    }
    Ok(())
}

fn expect(connection: &Connection, op: &RawOp, kind: &KindStatements) -> Result<Option<State>, StoreError> {
    let mut query = connection.prepare_cached(&kind.state)?;
    let found = query
        .query_row((home(&op.key), &op.key.partition, &op.key.id), |row| {
            Ok(State { place: row.get(0)?, version: Version(row.get(1)?), values: row.get(2)? })
        })
        .optional()?;
    let holds = match op.expect {
        Expect::Absent => found.is_none(),
        Expect::At(version) => found.as_ref().is_some_and(|state| state.version == version),
    };
    if holds { Ok(found) } else { Err(StoreError::Conflict) }
}

/// Writes or deletes the row itself; returns its place and the index values it is to hold.
fn change(
    connection: &Connection,
    op: &RawOp,
    kind: &KindStatements,
    state: Option<&State>,
    version: Version,
) -> Result<(i64, Vec<u8>), StoreError> {
    let Change::Put { expires, body, values } = &op.change else {
        let place = state.map_or(0, |state| state.place);
        connection.prepare_cached(&kind.delete)?.execute([place])?;
        return Ok((place, Vec::new()));
    };
    let (expires, values) = (expires.map(|at| at.0), values::encode(values));
    if let Some(State { place, .. }) = state {
        connection.prepare_cached(&kind.update)?.execute(params![place, version.0, expires, body, values])?;
        return Ok((*place, values));
    }
    let mut insert = connection.prepare_cached(&kind.insert)?;
    let home = home(&op.key);
    for place in home..home + BUCKET {
        match insert.execute(params![place, version.0, expires, body, values, op.key.partition, op.key.id]) {
            Ok(_) => return Ok((place, values)),
            Err(error) if is_duplicate(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::unavailable("four keys of one hash"))
}

pub(super) fn release(
    connection: &Connection,
    key: &Key,
    kind: &KindStatements,
    held: &[u8],
) -> Result<(), StoreError> {
    for (index, value) in values::decode(held)? {
        let index = index_of(kind, index)?;
        connection.prepare_cached(&index.remove)?.execute((value, &key.partition, &key.id))?;
    }
    Ok(())
}

pub(super) fn take(
    connection: &Connection,
    key: &Key,
    kind: &KindStatements,
    place: i64,
    wanted: &[u8],
) -> Result<(), StoreError> {
    for (index, value) in values::decode(wanted)? {
        let index = index_of(kind, index)?;
        let added = connection.prepare_cached(&index.add)?.execute((value, &key.partition, &key.id, place));
        added.map_err(|error| if is_duplicate(&error) { StoreError::Duplicate(index.name) } else { error.into() })?;
    }
    Ok(())
}

fn index_of<'a>(kind: &'a KindStatements, name: &[u8]) -> Result<&'a IndexStatements, StoreError> {
    let known = std::str::from_utf8(name).ok().and_then(|name| kind.indexes.get(name));
    known.ok_or_else(|| StoreError::corrupt("a row holds a value in an index that is not declared"))
}

fn sweep(desk: &mut Desk, expired_before: Timestamp, limit: u32) -> Result<u32, StoreError> {
    let Desk { connection, statements, unsettled, .. } = desk;
    let mut left = limit;
    for kind in statements.kinds() {
        let mut query = connection.prepare_cached(&kind.expired)?;
        let rows = query
            .query_map((expired_before.0, left), |row| {
                let key = Key { partition: row.get(1)?, id: row.get(2)? };
                Ok((row.get(0)?, key, row.get(3)?))
            })?
            .collect::<Result<Vec<(i64, Key, Vec<u8>)>, _>>()?;
        for (place, key, held) in rows {
            release(connection, &key, kind, &held)?;
            connection.prepare_cached(&kind.delete)?.execute([place])?;
            left = left.saturating_sub(1);
        }
    }
    // After the records: what names people goes first, however many keys there are.
    let keys = "DELETE FROM store__commit WHERE id IN (SELECT id FROM store__commit WHERE expires_at < ?1 LIMIT ?2)";
    let swept = connection.prepare_cached(keys)?.execute((expired_before.0, left))?;
    left = left.saturating_sub(u32::try_from(swept).unwrap_or(u32::MAX));
    for rows in unsettled.iter_mut() {
        left -= settle::some(connection, rows, statements.kind(rows.kind.name)?, left)?;
    }
    unsettled.retain(|rows| !rows.is_done());
    Ok(limit - left)
}
