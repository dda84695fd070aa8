//! What a commit is made of.

use crate::{StoreError, Version, Versioned};
use hufu_kernel::{Key, Octets, Office, Record, Rng, Timestamp, framed, random};
use sha2::{Digest, Sha256};
use std::marker::PhantomData;

/// What must hold of a row when the batch is applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// There is no such row.
    Absent,
    /// The row is there and nothing has changed it since this version.
    At(Version),
}

impl Expect {
    /// As a decision found it: absent, or at the version that was read.
    #[must_use]
    pub fn as_read<R>(found: Option<&Versioned<R>>) -> Self {
        found.map_or(Self::Absent, |row| Self::At(row.version))
    }
}

/// What a batch does to one row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Nothing: the row is only required.
    Keep,
    /// The row is written.
    Put {
        /// When it may be swept.
        expires: Option<Timestamp>,
        /// The record as JSON text.
        body: String,
        /// Its values in the declared indexes.
        values: Vec<(&'static str, Vec<u8>)>,
    },
    /// The row goes, with its index values.
    Delete,
}

/// One row's part in a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawOp {
    /// The kind.
    pub kind: &'static str,
    /// The row.
    pub key: Key,
    /// The precondition.
    pub expect: Expect,
    /// The change.
    pub change: Change,
}

/// A batch as an engine sees it. The order of its operations does not matter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RawBatch {
    /// The rows it names.
    pub ops: Vec<RawOp>,
}

/// Names one commit, so that repeating it answers as the first time and changes nothing.
///
/// A retry must present the same batch, bytes and times included: keep the [`Batch`] (it is `Clone`) and present it again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IdempotencyKey {
    /// What the store remembers, after mixing in whose store it is: two offices remember different bytes.
    pub id: Octets<32>,
    /// Until when.
    pub expires: Timestamp,
}

impl IdempotencyKey {
    /// How long a commit is remembered, in seconds.
    pub const REMEMBERED: i64 = 86_400;

    /// The key of a named step, such as (enrolment id, step): the same parts give the same key.
    #[must_use]
    pub fn of(parts: &[&[u8]], now: Timestamp) -> Self {
        Self { id: Octets(Sha256::digest(framed(parts)).into()), expires: Self::until(now) }
    }

    /// A fresh key, for a commit that only its own caller repeats.
    pub fn random(rng: &dyn Rng, now: Timestamp) -> Self {
        Self { id: Octets(random(rng)), expires: Self::until(now) }
    }

    /// No finer than a minute at rest, and never shorter than promised.
    fn until(now: Timestamp) -> Timestamp {
        (now + Self::REMEMBERED + 59).minute()
    }
}

/// A batch of records of one office, in one partition.
#[derive(Clone, Debug)]
pub struct Batch<O> {
    pub(crate) raw: RawBatch,
    pub(crate) fault: Option<StoreError>,
    office: PhantomData<fn() -> O>,
}

impl<O> Default for Batch<O> {
    fn default() -> Self {
        Self { raw: RawBatch::default(), fault: None, office: PhantomData }
    }
}

impl<O: Office> Batch<O> {
    /// An empty batch; committing it as it is refuses.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes `record`, if its row is as expected.
    pub fn put<R: Record<Office = O>>(&mut self, record: &R, expect: Expect) -> &mut Self {
        match serde_json::to_string(record) {
            Ok(body) => {
                let change = Change::Put { expires: record.expires(), body, values: record.index_values() };
                self.raw.ops.push(RawOp { kind: R::KIND, key: record.key(), expect, change });
            }
            // Told at commit: a batch reads better without a Result on every line.
            Err(error) => self.fault = Some(StoreError::misuse(format!("{} has no JSON form: {error}", R::KIND))),
        }
        self
    }

    /// Deletes the row, if it is still at `version`.
    pub fn delete<R: Record<Office = O>>(&mut self, key: &Key, version: Version) -> &mut Self {
        self.op::<R>(key, Expect::At(version), Change::Delete)
    }

    /// Refuses the batch unless the row is as expected; the row stays as it is.
    pub fn require<R: Record<Office = O>>(&mut self, key: &Key, expect: Expect) -> &mut Self {
        self.op::<R>(key, expect, Change::Keep)
    }

    fn op<R: Record<Office = O>>(&mut self, key: &Key, expect: Expect, change: Change) -> &mut Self {
        self.raw.ops.push(RawOp { kind: R::KIND, key: key.clone(), expect, change });
        self
    }
}
