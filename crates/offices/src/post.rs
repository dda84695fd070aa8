//! Post: contact reference to sealed phone; sends templates, never free text.

use crate::ports::{self, Sms};
use crate::{Words, open_signed, retrying};
use async_trait::async_trait;
use hufu_kernel::{Clock, Index, Key, KeyStore, Locator, Record, Refusal, Sealed, offices};
use hufu_store::{Batch, Expect, IdempotencyKey, Paging, Schema, Select, Store, TrustRoot};
use hufu_wire::api::Signed;
use hufu_wire::api::enrolment::{SendCode, StoreContact};
use hufu_wire::api::holder::Forget;
use hufu_wire::api::trust::Trust;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A phone number under a random reference.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Contact {
    /// The reference.
    pub contact: Locator,
    /// Lets leaving find it.
    pub loc_u: Locator,
    /// The number, under post's key, bound to the reference.
    pub phone: Sealed,
}

impl Record for Contact {
    type Office = offices::Post;
    const KIND: &'static str = "contact";
    const INDEXES: &'static [Index] = &[Index { name: "loc", unique: false }];

    fn key(&self) -> Key {
        Key::own(self.contact.as_slice())
    }

    fn index_values(&self) -> Vec<(&'static str, Vec<u8>)> {
        vec![("loc", self.loc_u.as_slice().to_vec())]
    }
}

/// The records of its store.
#[must_use]
pub fn schema(trust: TrustRoot) -> Schema<offices::Post> {
    Schema::new(trust).record::<Contact>().record::<Words<offices::Post>>()
}

/// The office.
pub struct Post {
    trust: Arc<Trust>,
    keys: Arc<dyn KeyStore>,
    store: Store<offices::Post>,
    sms: Arc<dyn Sms>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Post {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Post")
    }
}

impl Post {
    /// The office over its store; seals with the key `contacts`.
    #[must_use]
    pub fn new(
        trust: Arc<Trust>,
        keys: Arc<dyn KeyStore>,
        store: Store<offices::Post>,
        sms: Arc<dyn Sms>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { trust, keys, store, sms, clock }
    }

    async fn store_once(&self, request: &StoreContact) -> Result<(), Refusal> {
        let found = self.store.get::<Contact>(&Key::own(request.contact.as_slice())).await?;
        if found.is_some() {
            return Ok(());
        }
        let phone = self
            .keys
            .seal("contacts", request.contact.as_slice(), request.phone.as_bytes())
            .map_err(|error| crate::broken(&error))?;
        let contact = Contact { contact: request.contact, loc_u: request.loc_u, phone };
        let mut batch = Batch::new();
        batch.put(&contact, Expect::Absent);
        self.store
            .commit(
                batch,
                IdempotencyKey::of(&[b"contact", request.contact.as_slice(), &contact.phone.0.0], self.clock.now()),
            )
            .await?;
        Ok(())
    }
}

#[async_trait]
impl ports::Post for Post {
    async fn send_code(&self, request: &Signed<SendCode>) -> Result<(), Refusal> {
        let request = open_signed(&self.trust, "registrar", request)?;
        self.sms.send(&request.phone, "enrolment-code", &[("code", &request.code)], request.lang).await
    }

    async fn store_contact(&self, request: &Signed<StoreContact>) -> Result<(), Refusal> {
        let request = open_signed(&self.trust, "registrar", request)?;
        retrying(|| self.store_once(&request)).await
    }

    async fn forget(&self, word: &Signed<Forget>) -> Result<(), Refusal> {
        let heard = retrying(|| crate::forget::hear(&self.store, &self.trust, self.clock.as_ref(), word)).await?;
        let Some(loc_u) = heard else { return Ok(()) };
        let rows =
            self.store.scan::<Contact>("loc", Select::Value(loc_u.as_slice().to_vec()), Paging::first(64)).await?.rows;
        for found in rows {
            let mut batch = Batch::new();
            batch.delete::<Contact>(&found.record.key(), found.version);
            let key = IdempotencyKey::of(&[b"forget", found.record.contact.as_slice()], self.clock.now());
            self.store.commit(batch, key).await?;
        }
        Ok(())
    }
}
