//! Reading threads, each with its own read-only connection.

use super::statements::{self, Statements, home};
use super::{gone, prepare_connection};
use crate::health::Health;
use crate::{RawPage, RawRow, Scan, StoreError, Version};
use hufu_kernel::{Key, Timestamp};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params_from_iter};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot::Sender;

/// Reads waiting for a thread; more are refused, so that a slow disk does not fill the memory.
const QUEUE: usize = 8_192;

/// One read and where its answer goes.
pub(super) enum Read {
    Get { kind: &'static str, key: Key, reply: Sender<Result<Option<RawRow>, StoreError>> },
    Scan { scan: Scan, reply: Sender<Result<RawPage, StoreError>> },
}

/// The reading threads.
#[derive(Debug)]
pub(super) struct Readers {
    queue: Option<SyncSender<Read>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    pub fn start(
        path: &Path,
        statements: &Arc<Statements>,
        count: usize,
        health: &Arc<Health>,
    ) -> Result<Self, StoreError> {
        let (queue, reads) = sync_channel(QUEUE);
        let reads = Arc::new(Mutex::new(reads));
        let mut threads = Vec::new();
        for number in 0..count.max(1) {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            prepare_connection(&connection, 8_192)?;
            let (reads, statements, health) = (Arc::clone(&reads), Arc::clone(statements), Arc::clone(health));
            let thread = std::thread::Builder::new().name(format!("store-read-{number}"));
            let run = move || serve(&connection, &reads, &statements, &health);
            threads.push(thread.spawn(run).map_err(StoreError::unavailable)?);
        }
        Ok(Self { queue: Some(queue), threads })
    }

    pub fn ask(&self, read: Read) -> Result<(), StoreError> {
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.try_send(read).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::unavailable("too many reads are waiting"),
            TrySendError::Disconnected(_) => gone(),
        })
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            // A reading thread that panicked has nothing left to finish.
            let _ = thread.join();
        }
    }
}

/// Nothing is read from a store that was found damaged.
fn sound<T>(health: &Health, read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let answer = health.sound().and_then(|()| read());
    health.note_read(&answer);
    answer
}

fn serve(connection: &Connection, reads: &Mutex<Receiver<Read>>, statements: &Statements, health: &Health) {
    loop {
        // One thread waits for the next read, the others for the lock: an idle store costs nothing.
        let next = reads.lock().unwrap_or_else(PoisonError::into_inner).recv();
        // An answer nobody waits for any more is dropped.
        match next {
            Ok(Read::Get { kind, key, reply }) => {
                drop(reply.send(sound(health, || get(connection, statements, kind, key))));
            }
            Ok(Read::Scan { scan, reply }) => drop(reply.send(sound(health, || page(connection, &scan)))),
            Err(_) => return,
        }
    }
}

fn get(connection: &Connection, statements: &Statements, kind: &str, key: Key) -> Result<Option<RawRow>, StoreError> {
    let mut query = connection.prepare_cached(&statements.kind(kind)?.get)?;
    let found = query
        .query_row((home(&key), &key.partition, &key.id), |row| {
            let expires = row.get::<_, Option<i64>>(1)?.map(Timestamp);
            Ok(RawRow {
                version: Version(row.get(0)?),
                expires,
                form: row.get(2)?,
                body: row.get(3)?,
                key: key.clone(),
            })
        })
        .optional()?;
    Ok(found)
}

fn page(connection: &Connection, scan: &Scan) -> Result<RawPage, StoreError> {
    let (sql, values) = statements::scan(scan);
    let mut query = connection.prepare_cached(&sql)?;
    let entries = query
        .query_map(params_from_iter(values), |row| {
            let key = Key { partition: row.get(1)?, id: row.get(2)? };
            let expires = row.get::<_, Option<i64>>(4)?.map(Timestamp);
            Ok((
                row.get(0)?,
                RawRow { key, version: Version(row.get(3)?), expires, form: row.get(5)?, body: row.get(6)? },
            ))
        })?
        .collect::<Result<Vec<_>, _>>()?;
    Ok(RawPage::of(entries, scan.paging.size()))
}
