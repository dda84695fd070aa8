//! Post: contact reference to sealed phone; sends templates, never free text.

use crate::ports::{self, Sms};
use crate::{Words, open_signed, retrying};
use async_trait::async_trait;
use hufu_kernel::{Clock, Index, Key, KeyStore, Lang, Locator, Octets, Record, Refusal, Sealed, Timestamp, offices};
use hufu_store::{Batch, Expect, IdempotencyKey, Paging, Schema, Select, Store, TrustRoot};
use hufu_wire::api::Signed;
use hufu_wire::api::enrolment::{SendCode, StoreContact};
use hufu_wire::api::holder::Forget;
use hufu_wire::api::recovery::{Notice, Notify};
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
    /// The language of messages.
    pub lang: Lang,
}

/// A notice that was sent: the other nodes' word on the same event is not sent again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Noticed {
    /// Which event.
    pub event: Octets<32>,
    /// Swept after this.
    pub until: Timestamp,
}

impl Record for Noticed {
    type Office = offices::Post;
    const KIND: &'static str = "notice";

    fn key(&self) -> Key {
        Key::own(self.event.as_slice())
    }

    fn expires(&self) -> Option<Timestamp> {
        Some(self.until)
    }
}

/// A day: by then every node has spoken or catches up from its peers, which tells nobody anything.
const NOTICED: i64 = 86_400;

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
    Schema::new(trust).record::<Contact>().record::<Noticed>().record::<Words<offices::Post>>()
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
        let contact = Contact { contact: request.contact, loc_u: request.loc_u, phone, lang: request.lang };
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

impl Post {
    async fn notify_once(&self, request: &Notify) -> Result<(), Refusal> {
        if self.store.get::<Noticed>(&Key::own(request.event.as_slice())).await?.is_some() {
            return Ok(());
        }
        let found = self.store.get::<Contact>(&Key::own(request.contact.as_slice())).await?;
        let contact = found.ok_or(Refusal::NotFound)?.record;
        let phone = self
            .keys
            .open("contacts", contact.contact.as_slice(), &contact.phone)
            .map_err(|error| crate::broken(&error))?;
        let phone = std::str::from_utf8(&phone).map_err(|error| crate::broken(&error))?;
        let now = self.clock.now();
        match request.notice {
            Notice::Recovery { until } => {
                let hours = ((until.0 - now.0).max(0) + 1800) / 3600;
                self.sms.send(phone, "recovery-notice", &[("hours", &hours.to_string())], contact.lang).await?;
            }
        }
        // After it was sent: a person told twice is better than one told never.
        let mut batch = Batch::new();
        batch.put(&Noticed { event: request.event, until: (now + NOTICED).day() }, Expect::Absent);
        let key = IdempotencyKey::of(&[b"notice", request.event.as_slice()], now);
        self.store.commit(batch, key).await?;
        Ok(())
    }

    /// Forgets which notices were sent long ago, and words to forget that no second node gave.
    ///
    /// # Errors
    /// The store's.
    pub async fn sweep(&self) -> Result<u32, Refusal> {
        Ok(self.store.sweep(self.clock.now(), 1000).await?)
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

    async fn notify(&self, request: &Signed<Notify>) -> Result<(), Refusal> {
        if !request.office.starts_with("node-") {
            return Err(Refusal::OfficeRefused);
        }
        let request = open_signed(&self.trust, &request.office, request)?;
        retrying(|| self.notify_once(&request)).await
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
