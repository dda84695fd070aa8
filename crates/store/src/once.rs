//! Single-use values: replay sets of codes, `jti`s and transactions (design 6). In memory by design: what is sealed under
//! a key that dies with the process needs no longer memory than the process.

use crate::StoreError;
use async_trait::async_trait;
use hufu_kernel::Timestamp;
use sha2::{Digest, Sha256};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A set of values that may be used once, each remembered through the second it expires in.
#[async_trait]
pub trait Once: Send + Sync + 'static {
    /// Uses `key`: true the first time, false ever after until it expires. A key that has expired already is not fresh.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it cannot be remembered; the caller must refuse.
    async fn insert_once(&self, key: &[u8], expires: Timestamp, now: Timestamp) -> Result<bool, StoreError>;

    /// Whether `key` was used or revoked.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn seen(&self, key: &[u8], now: Timestamp) -> Result<bool, StoreError>;

    /// Makes `key` count as used, whether or not it was, until `expires` at least.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it cannot be remembered.
    async fn revoke(&self, key: &[u8], expires: Timestamp, now: Timestamp) -> Result<(), StoreError>;
}

const SHARDS: usize = 16;

/// How many expired entries one call clears at most, so that no caller pays for a whole shard.
const CLEARED: usize = 32;

type Digested = [u8; 32];

#[derive(Debug, Default)]
struct Shard {
    until: HashMap<Digested, i64>,
    queue: BinaryHeap<Reverse<(i64, Digested)>>,
}

/// The set in this process's memory; bounded, and full means refused.
#[derive(Debug)]
pub struct MemoryOnce {
    shards: [Mutex<Shard>; SHARDS],
    shard_capacity: usize,
}

impl MemoryOnce {
    /// A set of at least `capacity` unexpired values, about 150 bytes each.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        // Values fall on shards at random; an eighth more keeps a shard from filling long before the whole is full.
        let even = capacity.div_ceil(SHARDS);
        Self { shards: Default::default(), shard_capacity: even + even / 8 + 8 }
    }

    /// Only digests are kept: entries have one size whatever a caller sends.
    fn shard(&self, key: &[u8]) -> (MutexGuard<'_, Shard>, Digested) {
        let digest: Digested = Sha256::digest(key).into();
        let shard = &self.shards[usize::from(digest[0]) % SHARDS];
        // A panic between two map operations leaves at worst an entry too many, never one too few.
        (shard.lock().unwrap_or_else(PoisonError::into_inner), digest)
    }
}

impl Shard {
    fn seen(&self, key: &Digested, now: Timestamp) -> bool {
        self.until.get(key).is_some_and(|until| *until >= now.0)
    }

    fn clear(&mut self, now: Timestamp, most: usize) {
        for _ in 0..most {
            match self.queue.peek() {
                Some(Reverse((until, _))) if *until < now.0 => {}
                _ => return,
            }
            let Some(Reverse((_, key))) = self.queue.pop() else { return };
            // A revocation may have prolonged the entry; it has a later place in the queue.
            if !self.seen(&key, now) {
                self.until.remove(&key);
            }
        }
    }

    fn remember(&mut self, key: Digested, until: i64, now: Timestamp, capacity: usize) -> Result<(), StoreError> {
        self.clear(now, CLEARED);
        if self.queue.len() >= capacity {
            self.clear(now, usize::MAX);
        }
        if self.queue.len() >= capacity {
            return Err(StoreError::unavailable("the single-use set is full"));
        }
        self.until.insert(key, until);
        self.queue.push(Reverse((until, key)));
        Ok(())
    }
}

#[async_trait]
impl Once for MemoryOnce {
    async fn insert_once(&self, key: &[u8], expires: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        let (mut shard, key) = self.shard(key);
        if expires < now || shard.seen(&key, now) {
            return Ok(false);
        }
        shard.remember(key, expires.0, now, self.shard_capacity)?;
        Ok(true)
    }

    async fn seen(&self, key: &[u8], now: Timestamp) -> Result<bool, StoreError> {
        let (shard, key) = self.shard(key);
        Ok(shard.seen(&key, now))
    }

    async fn revoke(&self, key: &[u8], expires: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let (mut shard, key) = self.shard(key);
        match shard.until.get(&key) {
            Some(until) if *until >= expires.0 => Ok(()),
            _ => shard.remember(key, expires.0, now, self.shard_capacity),
        }
    }
}
