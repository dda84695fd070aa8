//! A store in memory that can be put back to where it was: backups, and disks that lose everything.

use async_trait::async_trait;
use hufu_kernel::{Key, Timestamp};
use hufu_store::{
    Catalogue, Committed, Engine, IdempotencyKey, Identity, Memory, RawBatch, RawPage, RawRow, Scan, StoreError,
};
use std::sync::{Arc, Mutex, RwLock};

/// Remembers every batch that was applied.
pub struct Kept {
    catalogue: Catalogue,
    memory: RwLock<Arc<Memory>>,
    applied: Mutex<Vec<(RawBatch, IdempotencyKey)>>,
}

impl Kept {
    pub fn new(catalogue: Catalogue) -> Self {
        let memory = RwLock::new(Arc::new(Memory::new(catalogue.clone())));
        Self { catalogue, memory, applied: Mutex::default() }
    }

    /// A backup: how much has happened until now.
    pub fn backup(&self) -> usize {
        self.applied.lock().unwrap().len()
    }

    /// Back to a backup; 0 is an empty disk.
    pub async fn restore(&self, backup: usize) {
        let memory = Arc::new(Memory::new(self.catalogue.clone()));
        let kept: Vec<_> = self.applied.lock().unwrap()[..backup].to_vec();
        for (batch, key) in &kept {
            memory.commit(batch.clone(), *key).await.unwrap();
        }
        *self.applied.lock().unwrap() = kept;
        *self.memory.write().unwrap() = memory;
    }

    fn memory(&self) -> Arc<Memory> {
        Arc::clone(&self.memory.read().unwrap())
    }
}

#[async_trait]
impl Engine for Kept {
    fn identity(&self) -> &Identity {
        &self.catalogue.identity
    }

    async fn get(&self, kind: &'static str, key: &Key) -> Result<Option<RawRow>, StoreError> {
        self.memory().get(kind, key).await
    }

    async fn scan(&self, scan: &Scan) -> Result<RawPage, StoreError> {
        self.memory().scan(scan).await
    }

    async fn commit(&self, batch: RawBatch, key: IdempotencyKey) -> Result<Committed, StoreError> {
        let done = self.memory().commit(batch.clone(), key).await?;
        self.applied.lock().unwrap().push((batch, key));
        Ok(done)
    }

    /// Nothing is swept here: what is replayed must find what it found.
    async fn sweep(&self, _: Timestamp, _: u32) -> Result<u32, StoreError> {
        Ok(0)
    }
}
