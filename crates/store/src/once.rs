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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    const NOW: Timestamp = Timestamp(1_000);

    #[tokio::test]
    async fn a_value_is_fresh_once_until_it_expires() {
        let set = MemoryOnce::new(10);
        assert!(!set.seen(b"a", NOW).await.unwrap());
        assert!(set.insert_once(b"a", NOW + 5, NOW).await.unwrap());
        assert!(!set.insert_once(b"a", NOW + 5, NOW + 5).await.unwrap());
        assert!(set.seen(b"a", NOW + 5).await.unwrap());
        assert!(set.insert_once(b"a", NOW + 9, NOW + 6).await.unwrap());
        assert!(!set.insert_once(b"late", NOW - 1, NOW).await.unwrap());
    }

    #[tokio::test]
    async fn revoking_uses_up_and_never_shortens() {
        let set = MemoryOnce::new(10);
        set.revoke(b"a", NOW + 50, NOW).await.unwrap();
        set.revoke(b"a", NOW + 10, NOW).await.unwrap();
        assert!(!set.insert_once(b"a", NOW + 90, NOW + 50).await.unwrap());
        set.revoke(b"a", NOW + 100, NOW + 50).await.unwrap();
        // Others come and go, and the prolonged entry stays.
        for n in 0..200_u32 {
            let now = NOW + 51 + i64::from(n % 40);
            let _ = set.insert_once(&n.to_be_bytes(), now, now).await;
        }
        assert!(set.seen(b"a", NOW + 100).await.unwrap());
    }

    #[tokio::test]
    async fn a_full_set_refuses_until_something_expires_and_forgets_nothing() {
        let set = MemoryOnce::new(1_000);
        let mut kept = Vec::new();
        let refusal = loop {
            let key = kept.len().to_be_bytes();
            match set.insert_once(&key, NOW + 60, NOW).await {
                Ok(fresh) => kept.push((key, fresh)),
                Err(error) => break error,
            }
        };
        assert!(matches!(refusal, StoreError::Unavailable { .. }));
        assert!((1_000..1_400).contains(&kept.len()), "{}", kept.len());
        for (key, fresh) in &kept {
            assert!(fresh & set.seen(key, NOW + 60).await.unwrap());
        }
        for n in 0..900_u64 {
            assert!(set.insert_once(&(n << 32).to_be_bytes(), NOW + 99, NOW + 61).await.unwrap());
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn of_concurrent_uses_one_is_fresh() {
        let set = Arc::new(MemoryOnce::new(10_000));
        let uses = (0..8).map(|_| {
            let set = Arc::clone(&set);
            tokio::spawn(async move {
                let mut fresh = 0;
                for n in 0..1_000_u32 {
                    fresh += u32::from(set.insert_once(&n.to_be_bytes(), NOW + 60, NOW).await.unwrap());
                }
                fresh
            })
        });
        let mut fresh = 0;
        for one in uses.collect::<Vec<_>>() {
            fresh += one.await.unwrap();
        }
        assert_eq!(fresh, 1_000);
    }

    proptest! {
        #[test]
        fn it_remembers_as_a_plain_map_does(steps in prop::collection::vec((0..6_u8, 0..20_i64, 0..4_i64, 0..3_u8), 0..80)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (set, mut model, mut now) = (MemoryOnce::new(1_000), BTreeMap::new(), NOW);
                for (key, life, pause, action) in steps {
                    now = now + pause;
                    let expires = now + life;
                    let seen = model.get(&key).is_some_and(|until| *until >= now);
                    match action {
                        0 => prop_assert_eq!(set.seen(&[key], now).await.unwrap(), seen),
                        1 => {
                            set.revoke(&[key], expires, now).await.unwrap();
                            let until = model.entry(key).or_insert(expires);
                            *until = expires.max(*until);
                        }
                        _ => {
                            prop_assert_eq!(set.insert_once(&[key], expires, now).await.unwrap(), !seen);
                            if !seen {
                                model.insert(key, expires);
                            }
                        }
                    }
                }
                Ok(())
            })?;
        }
    }
}
