//! The typed face: an office's code sees its own records only.

use crate::{
    Batch, Committed, Counts, Cursor, Engine, IdempotencyKey, Memory, Paging, Postgres, PostgresOptions, RawRow, Scan,
    Schema, Select, Sqlite, SqliteOptions, StoreError, Version, catalogue, migration,
};
use hufu_kernel::{Key, Office, Record, Timestamp};
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A record as it was read, with the version to put or require in the batch that rests on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Versioned<R> {
    /// The record.
    pub record: R,
    /// Which commit wrote it.
    pub version: Version,
}

/// One page of records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<R> {
    /// In the order of the index.
    pub rows: Vec<Versioned<R>>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Cursor>,
}

/// The store of office `O`. Cloning shares it.
pub struct Store<O> {
    engine: Arc<dyn Engine>,
    tally: Arc<Tally>,
    office: PhantomData<fn() -> O>,
}

/// Batches by outcome, over all clones of a store.
#[derive(Default)]
struct Tally {
    committed: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl Tally {
    fn count<T>(&self, answer: &Result<T, StoreError>) {
        use StoreError::{Conflict, Corrupt, Duplicate, Misuse, Overtaken, Partition, Unavailable, WrongStore};
        let counter = match answer {
            Ok(_) => &self.committed,
            Err(Conflict | Duplicate(_)) => &self.refused,
            Err(Partition | Unavailable { .. } | Corrupt { .. } | WrongStore { .. } | Misuse(_) | Overtaken) => {
                &self.failed
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl<O> Clone for Store<O> {
    fn clone(&self) -> Self {
        Self { engine: Arc::clone(&self.engine), tally: Arc::clone(&self.tally), office: PhantomData }
    }
}

impl<O> std::fmt::Debug for Store<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.engine.identity())
    }
}

impl<O: Office> Store<O> {
    /// A store over an engine that is already open.
    ///
    /// # Errors
    /// [`StoreError::WrongStore`] if the engine serves another office or trust root.
    pub fn over(engine: Arc<dyn Engine>, schema: &Schema<O>) -> Result<Self, StoreError> {
        schema.catalogue()?.identity.check(engine.identity())?;
        Ok(Self { engine, tally: Arc::default(), office: PhantomData })
    }

    /// A new store in memory, gone with the process.
    ///
    /// # Errors
    /// [`StoreError::Misuse`] for a schema that cannot be.
    pub fn memory(schema: &Schema<O>) -> Result<Self, StoreError> {
        Self::over(Arc::new(Memory::new(schema.catalogue()?)), schema)
    }

    /// Opens or creates an SQLite store; blocks while it does.
    ///
    /// # Errors
    /// [`StoreError::WrongStore`], [`StoreError::Unavailable`], [`StoreError::Corrupt`], [`StoreError::Misuse`].
    pub fn sqlite(path: &Path, schema: &Schema<O>, options: SqliteOptions) -> Result<Self, StoreError> {
        Self::over(Arc::new(Sqlite::open(path, schema.catalogue()?, options)?), schema)
    }

    /// Opens or creates a PostgreSQL store, over a local socket or a network that is private already.
    ///
    /// # Errors
    /// As [`Postgres::open`].
    pub async fn postgres(options: PostgresOptions, schema: &Schema<O>) -> Result<Self, StoreError> {
        Self::over(Arc::new(Postgres::open(options, schema.catalogue()?, tokio_postgres::NoTls).await?), schema)
    }

    /// One record; also one that has expired and was not swept yet.
    ///
    /// # Errors
    /// As [`Engine::get`]; [`StoreError::Corrupt`] if the row is not a record of this type and key.
    pub async fn get<R: Record<Office = O>>(&self, key: &Key) -> Result<Option<Versioned<R>>, StoreError> {
        self.engine.get(R::KIND, key).await?.map(read).transpose()
    }

    /// The record that holds `value` in a unique index.
    ///
    /// # Errors
    /// As [`Store::get`]; [`StoreError::Misuse`] if the index is not declared unique.
    pub async fn find<R: Record<Office = O>>(
        &self,
        index: &'static str,
        value: &[u8],
    ) -> Result<Option<Versioned<R>>, StoreError> {
        if !R::INDEXES.iter().any(|declared| declared.name == index && declared.unique) {
            return Err(StoreError::misuse(format!("{}.{index} is not a unique index", R::KIND)));
        }
        let page = self.scan::<R>(index, Select::Value(value.to_vec()), Paging::first(1)).await?;
        Ok(page.rows.into_iter().next())
    }

    /// A page of records by a declared index. For lists and upkeep: decisions never rest on a scan.
    ///
    /// # Errors
    /// As [`Engine::scan`]; [`StoreError::Corrupt`] if a row is not a record of this type.
    pub async fn scan<R: Record<Office = O>>(
        &self,
        index: &'static str,
        select: Select,
        paging: Paging,
    ) -> Result<Page<R>, StoreError> {
        let page = self.engine.scan(&Scan { kind: R::KIND, index, select, paging }).await?;
        let rows = page.rows.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Page { rows, next: page.next })
    }

    /// The first `most` records by a declared index, page after page: for upkeep that must see behind the first page.
    ///
    /// # Errors
    /// As [`Store::scan`].
    pub async fn scan_up_to<R: Record<Office = O>>(
        &self,
        index: &'static str,
        select: Select,
        most: usize,
    ) -> Result<Vec<Versioned<R>>, StoreError> {
        let mut rows = Vec::new();
        let mut paging = Paging::first(Paging::MOST);
        loop {
            let page = self.scan(index, select.clone(), paging).await?;
            rows.extend(page.rows);
            match page.next {
                Some(cursor) if rows.len() < most => paging = Paging::after(cursor, Paging::MOST),
                _ => break,
            }
        }
        rows.truncate(most);
        Ok(rows)
    }

    /// Applies the batch whole or not at all, and answers when it is durable. See [`Engine::commit`] for cancel safety.
    ///
    /// # Errors
    /// As [`Engine::commit`].
    pub async fn commit(&self, batch: Batch<O>, key: IdempotencyKey) -> Result<Committed, StoreError> {
        let answer = match batch.fault {
            Some(fault) => Err(fault),
            None => self.engine.commit(batch.raw, key).await,
        };
        self.tally.count(&answer);
        answer
    }

    /// What was done through this store and its clones.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Tally { committed, refused, failed } = self.tally.as_ref();
        Counts { committed: of(committed), refused: of(refused), failed: of(failed), flushes: self.engine.flushes() }
    }

    /// What is wrong with the database, for operators; see [`Engine::ailing`].
    #[must_use]
    pub fn ailing(&self) -> Option<StoreError> {
        self.engine.ailing()
    }

    /// Deletes what expired before `expired_before`; see [`Engine::sweep`].
    ///
    /// # Errors
    /// As [`Engine::sweep`].
    pub async fn sweep(&self, expired_before: Timestamp, limit: u32) -> Result<u32, StoreError> {
        self.engine.sweep(expired_before, limit).await
    }
}

fn read<R: Record>(row: RawRow) -> Result<Versioned<R>, StoreError> {
    let body = migration::body_of(R::KIND, R::MIGRATIONS, row.form, &row.body)?;
    Ok(Versioned { record: catalogue::parse(&row.key, &body)?, version: row.version })
}
