//! Post: contact reference to sealed phone; sends templates, never free text.

use crate::ports::{self, Sms};
use crate::{Words, open_signed, retrying};
use async_trait::async_trait;
use hufu_domain::rules::Rules;
use hufu_kernel::{
    Clock, Index, Key, KeyStore, Lang, Locator, Octets, Record, Refusal, Sealed, Timestamp, framed, offices,
};
use hufu_store::{Batch, Expect, IdempotencyKey, Paging, Schema, Select, Store, TrustRoot};
use hufu_wire::api::Signed;
use hufu_wire::api::enrolment::{KeepContact, SendCode, StoreContact};
use hufu_wire::api::holder::Forget;
use hufu_wire::api::recovery::{Notice, Notify};
use hufu_wire::api::trust::Trust;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

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
    /// Until a node says that the person exists: an enrolment that lapses leaves no phone behind.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires: Option<Timestamp>,
}

/// A notice that was sent: another node's word to the same effect is not sent again. One that differs is: a node that lies about
/// where to or about what cannot keep an honest node's notice back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Noticed {
    /// SHA-256 of the whole notice.
    pub digest: Octets<32>,
    /// Swept after this.
    pub until: Timestamp,
}

impl Record for Noticed {
    type Office = offices::Post;
    const KIND: &'static str = "notice";

    fn key(&self) -> Key {
        Key::own(self.digest.as_slice())
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

    fn expires(&self) -> Option<Timestamp> {
        self.expires
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
    rules: Arc<Rules>,
    codes: CodesSent,
    notice_turns: [tokio::sync::Mutex<()>; NOTICE_TURNS],
}

/// One event is told at a time, so that nodes which tell of it at once are heard once: which of these its turn is follows from its name.
const NOTICE_TURNS: usize = 64;

/// Codes sent to each phone within the hour, in memory alone: whoever begins many enrolments must not ring a stranger's phone.
#[derive(Default)]
struct CodesSent(Mutex<HashMap<String, Vec<Timestamp>>>);

/// Phones remembered at once: beyond it codes wait rather than go uncounted.
const PHONES: usize = 200_000;

impl CodesSent {
    fn take(&self, phone: &str, now: Timestamp, hourly: usize) -> Result<(), Refusal> {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = |times: &mut Vec<Timestamp>| {
            times.retain(|time| now < *time + 3600);
            !times.is_empty()
        };
        if sent.len() >= PHONES && !sent.contains_key(phone) {
            sent.retain(|_, times| recent(times));
            if sent.len() >= PHONES {
                return Err(Refusal::Busy);
            }
        }
        let times = sent.entry(phone.to_owned()).or_default();
        recent(times);
        if times.len() >= hourly {
            return Err(Refusal::TooMany);
        }
        times.push(now);
        Ok(())
    }
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
        rules: Arc<Rules>,
    ) -> Self {
        let notice_turns = std::array::from_fn(|_| tokio::sync::Mutex::new(()));
        Self { trust, keys, store, sms, clock, rules, codes: CodesSent::default(), notice_turns }
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
        let contact = Contact {
            contact: request.contact,
            loc_u: request.loc_u,
            phone,
            lang: request.lang,
            expires: Some(request.expires),
        };
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
    async fn keep_once(&self, request: &KeepContact) -> Result<(), Refusal> {
        let Some(found) = self.store.get::<Contact>(&Key::own(request.contact.as_slice())).await? else {
            tracing::warn!("a contact was gone before its person existed");
            return Ok(());
        };
        if found.record.expires.is_none() {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.put(&Contact { expires: None, ..found.record.clone() }, Expect::At(found.version));
        let key = IdempotencyKey::of(&[b"keep", request.contact.as_slice()], self.clock.now());
        self.store.commit(batch, key).await?;
        Ok(())
    }

    async fn notify_once(&self, request: &Notify) -> Result<(), Refusal> {
        let whole = serde_json::to_vec(request).map_err(|error| crate::broken(&error))?;
        let digest = Octets(Sha256::digest(framed(&[b"hufu-v1-noticed", &whole])).into());
        if self.store.get::<Noticed>(&Key::own(digest.as_slice())).await?.is_some() {
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
        let send = |template, params| self.sms.send(phone, template, params, contact.lang);
        match request.notice {
            Notice::Recovery { until } => {
                let hours = ((until.0 - now.0).max(0) + 1800) / 3600;
                self.sms.send(phone, "recovery-notice", &[("hours", &hours.to_string())], contact.lang).await?;
            }
            Notice::DeviceAdded => send("device-added", &[]).await?,
            Notice::DeviceRemoved => send("device-removed", &[]).await?,
            Notice::Locked => send("locked", &[]).await?,
            Notice::Unlocked => send("unlocked", &[]).await?,
            Notice::RequestWaiting => send("sign-in-waiting", &[]).await?,
        }
        // After it was sent: a person told twice is better than one told never.
        let mut batch = Batch::new();
        batch.put(&Noticed { digest, until: (now + NOTICED).day() }, Expect::Absent);
        let key = IdempotencyKey::of(&[b"notice", digest.as_slice()], now);
        self.store.commit(batch, key).await?;
        Ok(())
    }
}

#[async_trait]
impl ports::Post for Post {
    async fn send_code(&self, request: &Signed<SendCode>) -> Result<(), Refusal> {
        let request = open_signed(&self.trust, "registrar", request)?;
        self.codes.take(&request.phone, self.clock.now(), self.rules.phone_code.hourly_per_phone)?;
        self.sms.send(&request.phone, "enrolment-code", &[("code", &request.code)], request.lang).await
    }

    async fn store_contact(&self, request: &Signed<StoreContact>) -> Result<(), Refusal> {
        let request = open_signed(&self.trust, "registrar", request)?;
        retrying(|| self.store_once(&request)).await
    }

    async fn keep_contact(&self, request: &Signed<KeepContact>) -> Result<(), Refusal> {
        if !request.office.starts_with("node-") {
            return Err(Refusal::OfficeRefused);
        }
        let request = open_signed(&self.trust, &request.office, request)?;
        retrying(|| self.keep_once(&request)).await
    }

    async fn notify(&self, request: &Signed<Notify>) -> Result<(), Refusal> {
        if !request.office.starts_with("node-") {
            return Err(Refusal::OfficeRefused);
        }
        let request = open_signed(&self.trust, &request.office, request)?;
        let [turn, ..] = request.event.as_slice() else { return Err(Refusal::Internal) };
        let _turn = self.notice_turns[usize::from(*turn) % NOTICE_TURNS].lock().await;
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
