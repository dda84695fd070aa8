//! The checks every engine makes of a batch before it touches a row, made once.

use crate::{Catalogue, Change, Committed, Expect, IdempotencyKey, RawBatch, RawOp, StoreError, Version};
use hufu_kernel::{Octets, Timestamp, framed};
use sha2::{Digest, Sha256};

/// A batch in order of (kind, key), one operation a row, with what the store will remember of it.
///
/// The order is also the order of locks on PostgreSQL, so that two batches never wait for each other in a circle.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    /// Sorted; no row twice.
    pub ops: Vec<RawOp>,
    /// The idempotency key, bound to this store.
    pub id: Octets<32>,
    /// When the idempotency key may be swept.
    pub expires: Timestamp,
    /// What the batch says; the same key with another is refused.
    pub fingerprint: Octets<32>,
    /// The version of the rows it puts.
    pub version: Version,
}

impl Prepared {
    /// # Errors
    /// [`StoreError::Partition`], [`StoreError::Misuse`], or [`StoreError::Conflict`] if the batch contradicts itself.
    pub(crate) fn new(batch: RawBatch, key: &IdempotencyKey, catalogue: &Catalogue) -> Result<Self, StoreError> {
        let ops = merge(batch.ops, catalogue)?;
        let identity = &catalogue.identity;
        let id = digest(&[identity.office.as_bytes(), identity.trust.id.as_slice(), key.id.as_slice()]);
        let fingerprint = fingerprint(&ops);
        let stamp = digest(&[id.as_slice(), fingerprint.as_slice()]);
        let mut first = [0; 8];
        first.copy_from_slice(&stamp.as_slice()[..8]);
        // 63 bits: PostgreSQL and SQLite have no unsigned integers, and a negative version only looks like a mistake.
        let version = Version(i64::from_be_bytes(first) & i64::MAX);
        Ok(Self { ops, id, expires: key.expires, fingerprint, version })
    }

    /// The answer when it was applied now.
    pub(crate) fn fresh(&self) -> Committed {
        Committed { version: self.version, replayed: false }
    }

    /// The answer when the idempotency key is already there with this fingerprint.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if it was used for another batch.
    pub(crate) fn again(&self, remembered: &[u8]) -> Result<Committed, StoreError> {
        if remembered == self.fingerprint.as_slice() {
            return Ok(Committed { version: self.version, replayed: true });
        }
        Err(StoreError::Conflict)
    }
}

fn merge(mut ops: Vec<RawOp>, catalogue: &Catalogue) -> Result<Vec<RawOp>, StoreError> {
    let Some(partition) = ops.first().map(|op| op.key.partition.clone()) else {
        return Err(StoreError::misuse("an empty batch"));
    };
    for op in &mut ops {
        if op.key.partition != partition {
            return Err(StoreError::Partition);
        }
        check(op, catalogue)?;
    }
    ops.sort_by(|a, b| (a.kind, &a.key).cmp(&(b.kind, &b.key)));
    let mut merged: Vec<RawOp> = Vec::with_capacity(ops.len());
    for op in ops {
        match merged.last_mut() {
            Some(last) if last.kind == op.kind && last.key == op.key => join(last, op)?,
            _ => merged.push(op),
        }
    }
    Ok(merged)
}

/// The longest partition, id and index value, in bytes: three of them fit PostgreSQL's longest index entry (2,704 bytes).
const LONGEST: usize = 768;

fn check(op: &mut RawOp, catalogue: &Catalogue) -> Result<(), StoreError> {
    let kind = catalogue.kind(op.kind)?;
    if op.key.partition.len() > LONGEST || op.key.id.len() > LONGEST {
        return Err(StoreError::misuse(format!("a key of {} is longer than {LONGEST} bytes", op.kind)));
    }
    match &mut op.change {
        Change::Put { values, .. } => {
            for (index, value) in values.iter() {
                kind.index(index)?;
                if value.len() > LONGEST {
                    return Err(StoreError::misuse(format!(
                        "{}.{index}: a value is longer than {LONGEST} bytes",
                        op.kind
                    )));
                }
            }
            values.sort();
            values.dedup();
        }
        Change::Delete if op.expect == Expect::Absent => {
            return Err(StoreError::misuse(format!("deletes an absent {}", op.kind)));
        }
        Change::Delete | Change::Keep => {}
    }
    Ok(())
}

/// One row named twice: a requirement joins the change if both expect the same.
fn join(last: &mut RawOp, op: RawOp) -> Result<(), StoreError> {
    if last.expect != op.expect {
        return Err(StoreError::Conflict);
    }
    match (&last.change, &op.change) {
        (_, Change::Keep) => {}
        (Change::Keep, _) => last.change = op.change,
        _ => return Err(StoreError::misuse(format!("writes one {} twice in a batch", op.kind))),
    }
    Ok(())
}

fn digest(parts: &[&[u8]]) -> Octets<32> {
    Octets(Sha256::digest(framed(parts)).into())
}

fn fingerprint(ops: &[RawOp]) -> Octets<32> {
    let mut hash = Sha256::new();
    for op in ops {
        let expect = match op.expect {
            Expect::Absent => Vec::new(),
            Expect::At(version) => version.0.to_be_bytes().to_vec(),
        };
        let (change, expires, body) = match &op.change {
            Change::Keep => (&b"keep"[..], None, ""),
            Change::Put { expires, body, .. } => (&b"put"[..], *expires, body.as_str()),
            Change::Delete => (&b"delete"[..], None, ""),
        };
        let expires = expires.map(|at| at.to_be_bytes().to_vec()).unwrap_or_default();
        let key = &op.key;
        let parts: [&[u8]; 7] =
            [op.kind.as_bytes(), &key.partition, &key.id, &expect, change, &expires, body.as_bytes()];
        hash.update(framed(&parts));
        let values = if let Change::Put { values, .. } = &op.change { values.as_slice() } else { &[] };
        hash.update((values.len() as u64).to_be_bytes());
        for (index, value) in values {
            hash.update(framed(&[index.as_bytes(), value]));
        }
    }
    Octets(hash.finalize().into())
}
