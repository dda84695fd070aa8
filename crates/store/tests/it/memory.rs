//! The contract on the engine in memory.

use crate::contract;
use crate::rows::Place;
use async_trait::async_trait;
use hufu_kernel::Office;
use hufu_store::{Dumped, Engine, Memory, Schema, Store, StoreError, Terms};
use std::sync::{Arc, Mutex};

#[derive(Default)]
pub struct InMemory(Mutex<Option<Arc<dyn Engine>>>);

#[async_trait]
impl Place for InMemory {
    async fn open<O: Office>(&self, schema: &Schema<O>) -> Result<Store<O>, StoreError> {
        let catalogue = schema.catalogue()?;
        let mut place = self.0.lock().unwrap();
        let engine = place.get_or_insert_with(|| Arc::new(Memory::new(catalogue)));
        Store::over(Arc::clone(engine), schema)
    }

    async fn contract<O: Office>(&self, _: &Schema<O>) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    async fn export<O: Office>(&self, _: &Schema<O>, _: &mut Vec<u8>) -> Result<Dumped, StoreError> {
        Ok(Dumped::default())
    }

    async fn import_with<O: Office>(&self, _: &Schema<O>, _: &[u8], _: Terms<'_>) -> Result<Dumped, StoreError> {
        Ok(Dumped::default())
    }
}

contract::suite!(async { InMemory::default() });
