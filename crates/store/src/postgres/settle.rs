//! Writing rows of an older form in today's, some at a time. Several processes may do it at once: each waits for the other's
//! transaction and then finds its rows settled.

use super::column;
use super::commit::{self, Failure};
use super::statements::{KindStatements, Statements};
use crate::{Kind, RawRow, StoreError, Version};
use deadpool_postgres::{Object, Transaction};
use hufu_kernel::Key;
use tokio_postgres::IsolationLevel;

/// Rows of one transaction.
const STEP: u32 = 500;

/// Attempts at one step when the server says that it met another transaction.
const ATTEMPTS: u32 = 20;

/// A kind that may have rows of an older form.
#[derive(Clone, Debug)]
pub(super) struct Unsettled {
    pub kind: Kind,
    /// Rows up to this one are settled.
    after: Option<Key>,
    pub is_done: bool,
}

impl Unsettled {
    pub fn from_the_first(kind: Kind) -> Self {
        Self { kind, after: None, is_done: false }
    }
}

/// Settles every row of a kind.
pub(super) async fn all(client: &mut Object, rows: &mut Unsettled, statements: &Statements) -> Result<(), StoreError> {
    while !rows.is_done {
        some(client, rows, statements, STEP).await?;
    }
    Ok(())
}

/// Settles the next rows, at most `limit`, and returns how many.
pub(super) async fn some(
    client: &mut Object,
    rows: &mut Unsettled,
    statements: &Statements,
    limit: u32,
) -> Result<u32, StoreError> {
    let before = rows.clone();
    for _ in 1..ATTEMPTS {
        match step(client, rows, statements, limit.min(STEP)).await {
            Err(Failure::Collision) => rows.clone_from(&before),
            answer => return Ok(answer?),
        }
    }
    Ok(step(client, rows, statements, limit.min(STEP)).await?)
}

async fn step(client: &mut Object, rows: &mut Unsettled, statements: &Statements, limit: u32) -> Result<u32, Failure> {
    let transaction = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await?;
    let kind = statements.kind(rows.kind.name)?;
    if !transaction.query_one(&statements.current, &[]).await?.try_get::<_, bool>(0)? {
        return Err(StoreError::Overtaken.into());
    }
    let limit = i64::from(limit);
    let found = match &rows.after {
        None => transaction.query(&kind.first_page, &[&limit]).await?,
        Some(key) => transaction.query(&kind.page, &[&limit, &key.partition, &key.id]).await?,
    };
    for row in &found {
        let key = Key { partition: column(row, 0)?, id: column(row, 1)? };
        let version = Version(column(row, 2)?);
        let found = RawRow { key, version, expires: None, form: column(row, 3)?, body: column(row, 4)? };
        write(&transaction, &rows.kind, kind, &found, &column::<Vec<u8>>(row, 5)?).await?;
        rows.after = Some(found.key);
    }
    rows.is_done = found.is_empty();
    if rows.is_done {
        transaction.execute(&statements.settled, &[&rows.kind.form(), &rows.kind.name]).await?;
    }
    transaction.commit().await?;
    Ok(u32::try_from(found.len()).unwrap_or(u32::MAX))
}

async fn write(
    transaction: &Transaction<'_>,
    kind: &Kind,
    statements: &KindStatements,
    row: &RawRow,
    held: &[u8],
) -> Result<(), Failure> {
    let settled = kind.settle(row)?;
    let expires = settled.expires.map(|at| at.0);
    let Key { partition, id } = &row.key;
    let update = transaction.prepare_cached(&statements.settle).await?;
    transaction.execute(&update, &[partition, id, &expires, &settled.body, &settled.values]).await?;
    if settled.values != held {
        commit::release(transaction, &row.key, statements, held).await?;
        commit::take(transaction, &row.key, statements, &settled.values).await.map_err(|failure| match failure {
            Failure::Store(StoreError::Duplicate(index)) => kind.clash(index).into(),
            other => other,
        })?;
    }
    Ok(())
}
