//! One batch as one transaction: lock and compare, then write, then take the index values.

use super::column;
use super::statements::{KindStatements, Statements};
use crate::prepared::Prepared;
use crate::{Change, Committed, Expect, RawOp, StoreError, Version, values};
use deadpool_postgres::{Object, Transaction};
use hufu_kernel::{Key, Timestamp};
use std::collections::BTreeMap;
use tokio_postgres::IsolationLevel;
use tokio_postgres::error::SqlState;

/// Why an attempt failed.
pub(super) enum Failure {
    /// It met another transaction; nothing was changed, and the same attempt may succeed.
    Collision,
    /// The answer.
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.code() {
            Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED) => Self::Collision,
            _ => Self::Store(error.into()),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Collision => Self::unavailable("the batch met others again and again; nothing was changed"),
            Failure::Store(error) => error,
        }
    }
}

async fn begin(client: &mut Object) -> Result<Transaction<'_>, Failure> {
    Ok(client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await?)
}

/// Tries the batch once. Leaving early drops the transaction, which rolls it back.
pub(super) async fn attempt(
    client: &mut Object,
    batch: &Prepared,
    statements: &Statements,
) -> Result<Committed, Failure> {
    let transaction = begin(client).await?;
    let remember = transaction.prepare_cached(&statements.remember).await?;
    let (id, fingerprint) = (batch.id.as_slice(), batch.fingerprint.as_slice());
    // Of two commits under one key the second waits here for the first, and then finds it.
    if transaction.execute(&remember, &[&id, &fingerprint, &batch.expires.0]).await? == 0 {
        let remembered = transaction.prepare_cached(&statements.remembered).await?;
        return match transaction.query_opt(&remembered, &[&id]).await? {
            Some(row) => Ok(batch.again(&column::<Vec<u8>>(&row, 0)?)?),
            None if !column::<bool>(&transaction.query_one(&statements.current, &[]).await?, 0)? => {
                Err(StoreError::Overtaken.into())
            }
            // Swept between the two statements.
            None => Err(Failure::Collision),
        };
    }
    let mut rows = Vec::with_capacity(batch.ops.len());
    for op in &batch.ops {
        let kind = statements.kind(op.kind)?;
        rows.push((op, kind, lock(&transaction, op, kind, batch.version).await?));
    }
    // Values are released before any is taken: one may pass from row to row within a batch.
    let mut taken = Vec::new();
    for (op, kind, held) in &rows {
        let wanted = change(&transaction, op, kind, batch.version).await?;
        if wanted.as_ref().is_some_and(|wanted| wanted != held) {
            release(&transaction, &op.key, kind, held).await?;
            taken.push((op, kind, wanted.unwrap_or_default()));
        }
    }
    for (op, kind, wanted) in &taken {
        take(&transaction, &op.key, kind, wanted).await?;
    }
    transaction.commit().await?;
    Ok(batch.fresh())
}

/// Makes sure of the precondition until the end of the transaction, and returns the index values the row holds.
///
/// Absence is made sure of by being there: the row is inserted, and deleted again if it was only required to be absent.
/// Whoever else wants to insert it waits for this transaction.
async fn lock(
    transaction: &Transaction<'_>,
    op: &RawOp,
    kind: &KindStatements,
    version: Version,
) -> Result<Vec<u8>, Failure> {
    let Key { partition, id } = &op.key;
    match op.expect {
        Expect::At(wanted) => {
            let sql = if op.change == Change::Keep { &kind.share } else { &kind.lock };
            let query = transaction.prepare_cached(sql).await?;
            let row = transaction.query_opt(&query, &[partition, id]).await?.ok_or(StoreError::Conflict)?;
            if Version(column(&row, 0)?) != wanted {
                return Err(StoreError::Conflict.into());
            }
            Ok(column(&row, 1)?)
        }
        Expect::Absent => {
            let insert = transaction.prepare_cached(&kind.insert).await?;
            let (expires, body, values) = match &op.change {
                Change::Put { expires, body, values } => {
                    (expires.map(|at| at.0), body.as_str(), values::encode(values))
                }
                Change::Keep | Change::Delete => (None, "", Vec::new()),
            };
            let inserted = transaction.execute(&insert, &[partition, id, &version.0, &expires, &body, &values]).await?;
            if inserted == 0 { Err(StoreError::Conflict.into()) } else { Ok(Vec::new()) }
        }
    }
}

/// Writes or deletes a row that was locked; returns the index values it is to hold, `None` if they stay.
async fn change(
    transaction: &Transaction<'_>,
    op: &RawOp,
    kind: &KindStatements,
    version: Version,
) -> Result<Option<Vec<u8>>, Failure> {
    let Key { partition, id } = &op.key;
    let Change::Put { expires, body, values } = &op.change else {
        if op.change == Change::Keep && op.expect != Expect::Absent {
            return Ok(None);
        }
        let delete = transaction.prepare_cached(&kind.delete).await?;
        transaction.execute(&delete, &[partition, id]).await?;
        return Ok(Some(Vec::new()));
    };
    let values = values::encode(values);
    if op.expect == Expect::Absent {
        return Ok(Some(values));
    }
    let update = transaction.prepare_cached(&kind.update).await?;
    let expires = expires.map(|at| at.0);
    transaction.execute(&update, &[partition, id, &version.0, &expires, body, &values]).await?;
    Ok(Some(values))
}

/// The values of each index, in order.
fn by_index(encoded: &[u8]) -> Result<BTreeMap<&[u8], Vec<&[u8]>>, StoreError> {
    let mut indexes: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
    for (index, value) in values::decode(encoded)? {
        indexes.entry(index).or_default().push(value);
    }
    Ok(indexes)
}

pub(super) async fn release(
    transaction: &Transaction<'_>,
    key: &Key,
    kind: &KindStatements,
    held: &[u8],
) -> Result<(), Failure> {
    for (name, values) in by_index(held)? {
        let remove = transaction.prepare_cached(&kind.index(name)?.remove).await?;
        transaction.execute(&remove, &[&key.partition, &key.id, &values]).await?;
    }
    Ok(())
}

pub(super) async fn take(
    transaction: &Transaction<'_>,
    key: &Key,
    kind: &KindStatements,
    wanted: &[u8],
) -> Result<(), Failure> {
    for (name, values) in by_index(wanted)? {
        let index = kind.index(name)?;
        let add = transaction.prepare_cached(&index.add).await?;
        let added = transaction.execute(&add, &[&key.partition, &key.id, &values]).await?;
        if added != values.len() as u64 {
            return Err(StoreError::Duplicate(index.name).into());
        }
    }
    Ok(())
}

pub(super) async fn sweep(
    client: &mut Object,
    expired_before: Timestamp,
    limit: u32,
    statements: &Statements,
) -> Result<u32, Failure> {
    let transaction = begin(client).await?;
    // Rows that were put back since are not this process's to delete, however long ago they expired.
    let current = transaction.prepare_cached(&statements.current).await?;
    if !column::<bool>(&transaction.query_one(&current, &[]).await?, 0)? {
        return Err(StoreError::Overtaken.into());
    }
    let forget = transaction.prepare_cached(&statements.forget).await?;
    let mut left = i64::from(limit);
    for kind in statements.kinds() {
        let expired = transaction.prepare_cached(&kind.expired).await?;
        for row in transaction.query(&expired, &[&expired_before.0, &left]).await? {
            let key = Key { partition: column(&row, 0)?, id: column(&row, 1)? };
            release(&transaction, &key, kind, &column::<Vec<u8>>(&row, 2)?).await?;
            left -= 1;
        }
    }
    // After the records: what names people goes first, however many keys there are.
    left -= i64::try_from(transaction.execute(&forget, &[&expired_before.0, &left]).await?).unwrap_or(left);
    transaction.commit().await?;
    Ok(limit.saturating_sub(u32::try_from(left).unwrap_or(0)))
}
