//! The clustered engine. READ COMMITTED; rows are locked in key order and compared by version; a batch is one transaction.
//!
//! Only what PostgreSQL's relatives have too: no sequences, advisory locks, LISTEN, triggers, savepoints or PL/pgSQL. Each
//! office has a schema of its own, so that offices on one server can have separate roles. Durability is the server's:
//! [`Postgres::open`] refuses one that answers before it has written.
//!
//! A transaction whose future is dropped before its COMMIT is sent is rolled back; after that it stands.
//!
//! Where several hosts are named they are one cluster: writes go to the host that takes them, reads too; while there is none, reads
//! are answered by a standby (`failover`).

mod commit;
mod dump;
mod failover;
mod schema;
mod settle;
mod statements;

use crate::health::Health;
use crate::prepared::Prepared;
use crate::{
    Catalogue, Committed, Dumped, Engine, IdempotencyKey, Identity, Progress, RawBatch, RawPage, RawRow, Scan,
    StoreError, Terms, Version,
};
use async_trait::async_trait;
use deadpool_postgres::{Object, PoolError};
use failover::{Host, Hosts};
use hufu_kernel::{Key, Timestamp};
use schema::Opened;
use settle::Unsettled;
use statements::Statements;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Socket};

/// Where a PostgreSQL store is.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Host, port or socket directory, role, database. Several hosts are one cluster with one that takes writes.
    pub config: tokio_postgres::Config,
    /// The office's schema on that database; a plain name.
    pub schema: String,
    /// Connections at most. Few are fast: 16 to 64 for a whole server.
    pub connections: usize,
}

/// A PostgreSQL store. Cancel safety: as [`Engine`] says.
pub struct Postgres {
    catalogue: Catalogue,
    statements: Statements,
    hosts: Hosts,
    flushes: AtomicU64,
    /// Kinds that may have rows of an older form.
    unsettled: Mutex<Vec<Unsettled>>,
    health: Health,
}

/// Attempts at one batch when the server says that it met another one.
const ATTEMPTS: u32 = 10;

impl Postgres {
    /// Opens or creates the store, through `tls` (`tokio_postgres::NoTls` on a local socket).
    ///
    /// # Errors
    /// [`StoreError::WrongStore`], [`StoreError::Unavailable`], [`StoreError::Corrupt`], or [`StoreError::Misuse`] for a
    /// server that acknowledges before it has written, if a newer program has written the store, or if the indexes of a kind
    /// have changed without a migration that says so.
    pub async fn open<T>(options: PostgresOptions, catalogue: Catalogue, tls: T) -> Result<Self, StoreError>
    where
        T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
        T::Stream: Sync + Send,
        T::TlsConnect: Sync + Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let schema = options.schema.clone();
        let hosts = Hosts::new(options.config, options.connections, tls)?;
        let mut client = hosts.leader().await?;
        let Opened { statements, unsettled } = schema::open(&mut client, &schema, &catalogue).await?;
        drop(client);
        let (flushes, unsettled, health) = (AtomicU64::new(0), Mutex::new(unsettled), Health::default());
        Ok(Self { catalogue, statements, hosts, flushes, unsettled, health })
    }

    /// Writes all rows as they stand at this moment, for a backup; the office may be at work on them meanwhile.
    ///
    /// # Errors
    /// [`StoreError::WrongStore`], [`StoreError::Unavailable`], [`StoreError::Corrupt`]; [`StoreError::Misuse`] for a store of
    /// another version.
    pub async fn export<T>(
        options: PostgresOptions,
        catalogue: &Catalogue,
        tls: T,
        out: &mut (dyn std::io::Write + Send),
        progress: Progress<'_>,
    ) -> Result<Dumped, StoreError>
    where
        T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
        T::Stream: Sync + Send,
        T::TlsConnect: Sync + Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let schema = options.schema.clone();
        let mut client = Hosts::new(options.config, options.connections, tls)?.leader().await?;
        dump::export(&mut client, &schema, catalogue, out, progress).await
    }

    /// Whether the store holds any row. Makes an empty one where none is.
    ///
    /// # Errors
    /// As [`Postgres::open`].
    pub async fn holds_rows<T>(options: PostgresOptions, catalogue: &Catalogue, tls: T) -> Result<bool, StoreError>
    where
        T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
        T::Stream: Sync + Send,
        T::TlsConnect: Sync + Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let schema = options.schema.clone();
        let mut client = Hosts::new(options.config, options.connections, tls)?.leader().await?;
        dump::holds_rows(&mut client, &schema, catalogue).await
    }

    /// Puts rows that an engine exported in place of all that are there, on these terms. A process
    /// that has the store open, on whatever machine, reads and writes nothing in it afterwards.
    ///
    /// # Errors
    /// As [`Postgres::export`]; [`StoreError::Corrupt`] if the rows are not all there, or not as they were written. What was there
    /// before is then there still.
    pub async fn import<T>(
        options: PostgresOptions,
        catalogue: &Catalogue,
        tls: T,
        input: &mut (dyn std::io::BufRead + Send),
        progress: Progress<'_>,
        terms: Terms<'_>,
    ) -> Result<Dumped, StoreError>
    where
        T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
        T::Stream: Sync + Send,
        T::TlsConnect: Sync + Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let schema = options.schema.clone();
        let mut client = Hosts::new(options.config, options.connections, tls)?.leader().await?;
        dump::import(&mut client, &schema, catalogue, input, progress, terms).await
    }

    /// Removes what the catalogue no longer declares: tables of dropped indexes, kinds that are gone. Returns the tables'
    /// names. A process that has the store open reads and writes nothing in it afterwards.
    ///
    /// # Errors
    /// As [`Postgres::open`].
    pub async fn contract<T>(options: PostgresOptions, catalogue: &Catalogue, tls: T) -> Result<Vec<String>, StoreError>
    where
        T: MakeTlsConnect<Socket> + Clone + Sync + Send + 'static,
        T::Stream: Sync + Send,
        T::TlsConnect: Sync + Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let schema = options.schema.clone();
        let mut client = Hosts::new(options.config, options.connections, tls)?.leader().await?;
        schema::contract(&mut client, &schema, catalogue).await
    }

    /// Writes rows of an older form in today's, at most `left` of them, and returns how many are left to write.
    async fn settle(&self, client: &mut Object, mut left: u32) -> Result<u32, StoreError> {
        let kinds = self.unsettled().clone();
        for mut rows in kinds {
            if left == 0 {
                break;
            }
            left = left.saturating_sub(settle::some(client, &mut rows, &self.statements, left).await?);
            let mut unsettled = self.unsettled();
            unsettled.retain(|other| other.kind.name != rows.kind.name);
            if !rows.is_done {
                unsettled.push(rows);
            }
        }
        Ok(left)
    }

    fn unsettled(&self) -> MutexGuard<'_, Vec<Unsettled>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to the host that takes writes.
    async fn leader(&self) -> Result<Object, StoreError> {
        let found = self.hosts.leader().await;
        if found.is_err() {
            self.health.note(&found.as_ref().map(|_| ()).map_err(StoreError::clone));
        }
        found
    }

    /// Notes what a write met: a leader that answered is there, one that did not may be gone.
    fn written<T>(&self, answer: Result<T, StoreError>, client: Object) -> Result<T, StoreError> {
        self.health.note(&answer);
        match &answer {
            Ok(_) => {
                self.flushes.fetch_add(1, Ordering::Relaxed);
                self.hosts.there();
            }
            // A leader that became a standby would refuse on this connection for ever.
            Err(StoreError::Unavailable { .. }) => drop(Object::take(client)),
            Err(_) => {}
        }
        answer
    }

    async fn commit_at(&self, client: &mut Object, batch: &Prepared) -> Result<Committed, StoreError> {
        for attempt in 1..ATTEMPTS {
            match commit::attempt(client, batch, &self.statements).await {
                Err(commit::Failure::Collision) => {
                    // Those that met do not meet again if they wait for different times: 1 to 16 ms times the attempt.
                    let wait = u64::from(attempt) * (1 + u64::from(batch.id.0[0] % 16));
                    tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
                }
                answer => return answer.map_err(StoreError::from),
            }
        }
        Ok(commit::attempt(client, batch, &self.statements).await?)
    }

    async fn sweep_at(&self, client: &mut Object, before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        if self.health.is_failing() {
            // A row is written whatever there is to sweep: an empty transaction would say that the server is well again.
            client.execute(self.statements.probe.as_str(), &[]).await?;
        }
        let swept = commit::sweep(client, before, limit, &self.statements).await?;
        Ok(limit - self.settle(client, limit - swept).await?)
    }

    async fn get_at(&self, host: Host, sql: &str, key: &Key) -> Result<Option<RawRow>, StoreError> {
        let read = async |client: &Object| {
            let query = client.prepare_cached(sql).await?;
            let row = client.query_one(&query, &[&key.partition, &key.id]).await?;
            self.statements.check_generation(column(&row, 0)?)?;
            let is_there = column::<Option<i64>>(&row, 1)?.is_some();
            is_there.then(|| raw_row(&row, key.clone(), 1)).transpose()
        };
        self.hosts.read(host, read).await
    }

    async fn scan_at(&self, host: Host, scan: &Scan) -> Result<RawPage, StoreError> {
        let (sql, bytes) = self.statements.scan(scan);
        let read = async |client: &Object| {
            let query = client.prepare_cached(&sql).await?;
            let values: Vec<&(dyn ToSql + Sync)> = bytes.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
            let rows = client.query(&query, &values).await?;
            match rows.first() {
                Some(row) => self.statements.check_generation(column(row, 7)?)?,
                // Asked afterwards: a page that is empty because the rows are others now is noticed.
                None => {
                    let now = client.prepare_cached(&self.statements.generation_now).await?;
                    self.statements.check_generation(column(&client.query_one(&now, &[]).await?, 0)?)?;
                }
            }
            let entries = rows.iter().map(|row| {
                let key = Key { partition: column(row, 1)?, id: column(row, 2)? };
                Ok((column(row, 0)?, raw_row(row, key, 3)?))
            });
            Ok(RawPage::of(entries.collect::<Result<_, StoreError>>()?, scan.paging.size()))
        };
        self.hosts.read(host, read).await
    }
}

#[async_trait]
impl Engine for Postgres {
    fn identity(&self) -> &Identity {
        &self.catalogue.identity
    }

    async fn get(&self, kind: &'static str, key: &Key) -> Result<Option<RawRow>, StoreError> {
        let sql = &self.statements.kind(kind)?.get;
        self.health.sound()?;
        let (first, second) = self.hosts.order();
        let answer = match (self.get_at(first, sql, key).await, second) {
            (Err(StoreError::Unavailable { .. }), Some(second)) => self.get_at(second, sql, key).await,
            (answer, _) => answer,
        };
        self.health.note_read(&answer);
        answer
    }

    async fn scan(&self, scan: &Scan) -> Result<RawPage, StoreError> {
        self.catalogue.kind(scan.kind)?.index(scan.index)?;
        self.health.sound()?;
        let (first, second) = self.hosts.order();
        let answer = match (self.scan_at(first, scan).await, second) {
            (Err(StoreError::Unavailable { .. }), Some(second)) => self.scan_at(second, scan).await,
            (answer, _) => answer,
        };
        self.health.note_read(&answer);
        answer
    }

    async fn commit(&self, batch: RawBatch, key: IdempotencyKey) -> Result<Committed, StoreError> {
        let batch = Prepared::new(batch, &key, &self.catalogue)?;
        self.health.sound()?;
        let mut client = self.leader().await?;
        // A commit that was on its way when the time was over may stand: its idempotency key tells when it is asked again.
        let answer = tokio::time::timeout(failover::WRITE_WITHIN, self.commit_at(&mut client, &batch)).await;
        let answer =
            answer.unwrap_or_else(|_| Err(StoreError::unavailable("the server did not answer a write in time")));
        self.written(answer, client)
    }

    async fn sweep(&self, expired_before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.health.sound()?;
        let mut client = self.leader().await?;
        let answer = self.sweep_at(&mut client, expired_before, limit).await;
        self.written(answer, client)
    }

    fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::Relaxed)
    }

    fn ailing(&self) -> Option<StoreError> {
        self.health.ailing()
    }
}

/// Version, `expires_at`, form and body from column `first` on.
fn raw_row(row: &Row, key: Key, first: usize) -> Result<RawRow, StoreError> {
    let expires = column::<Option<i64>>(row, first + 1)?.map(Timestamp);
    let version = Version(column(row, first)?);
    Ok(RawRow { key, version, expires, form: column(row, first + 2)?, body: column(row, first + 3)? })
}

/// A column of another type than the table declares: it was changed by other means.
fn column<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, at: usize) -> Result<T, StoreError> {
    row.try_get(at).map_err(StoreError::corrupt)
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            return Self::unavailable(error);
        };
        // The detail, which may name values, is left out.
        let text = format!("{} ({})", said.message(), said.code().code());
        match *said.code() {
            SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => Self::corrupt(text),
            _ => Self::unavailable(text),
        }
    }
}

impl From<PoolError> for StoreError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Timeout(_) => Self::unavailable("no connection became free in time"),
            other => Self::unavailable(other),
        }
    }
}
