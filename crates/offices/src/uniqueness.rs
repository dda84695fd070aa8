//! Uniqueness: tags to wrapped root (flows 5). It holds no key that opens a wrap: that key is the tag itself.

use crate::{Words, open_signed, ports, retrying};
use async_trait::async_trait;
use hufu_kernel::{
    Bytes, Clock, EnrolmentId, Index, Key, KeyStore, Locator, Octets, Record, Refusal, Timestamp, offices,
};
use hufu_store::{Batch, Expect, IdempotencyKey, Paging, Schema, Select, Store, TrustRoot, Versioned};
use hufu_wire::api::Signed;
use hufu_wire::api::enrolment::{Confirm, Confirmation, Reserve, StoreWrap, TagState};
use hufu_wire::api::holder::Forget;
use hufu_wire::api::recovery::BeginRecovery;
use hufu_wire::api::trust::Trust;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is known of one tag.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tag {
    /// H(T ‖ "idx").
    pub idx: Octets<32>,
    /// Its standing.
    pub state: State,
}

/// A tag's standing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Held for an enrolment until it lapses.
    Reserved {
        /// For whom.
        enrolment_id: EnrolmentId,
        /// Until when.
        expires: Timestamp,
        /// The wrapped root, once the registrar has made one.
        wrap: Option<Wrap>,
        /// Whether the tag was known before: a person who returns keeps the tag if the enrolment lapses.
        returning: bool,
    },
    /// A person.
    Known {
        /// Their wrapped root.
        wrap: Wrap,
        /// The enrolment that confirmed it.
        enrolment_id: EnrolmentId,
        /// The last recovery.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        recovering: Option<Recovering>,
    },
    /// A person who left: only the tag stays, so that a return is recognised.
    Left,
}

/// A recovery under way: two at once would reach the nodes in different orders and fork the row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Recovering {
    /// By which enrolment.
    pub by: EnrolmentId,
    /// Until then no other begins.
    pub until: Timestamp,
    /// How many were begun on the day of `until`.
    pub begun: u32,
}

/// Seconds in which a recovery reaches the nodes.
const RECOVERY_TURN: i64 = 2 * 60;

/// Recoveries of one person in a day; each rings the person's phone.
const RECOVERIES_A_DAY: u32 = 5;

/// A wrapped root.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Wrap {
    /// AEAD under HKDF(T, "wrap").
    pub sealed: Bytes,
    /// Over all tags of the person.
    pub loc_u: Locator,
}

impl Record for Tag {
    type Office = offices::Uniqueness;
    const KIND: &'static str = "tag";
    const INDEXES: &'static [Index] =
        &[Index { name: "enrolment", unique: false }, Index { name: "loc", unique: false }];

    fn key(&self) -> Key {
        Key::own(self.idx.as_slice())
    }

    fn index_values(&self) -> Vec<(&'static str, Vec<u8>)> {
        let (enrolment, wrap) = match &self.state {
            State::Reserved { enrolment_id, wrap, .. } => (Some(enrolment_id), wrap.as_ref()),
            State::Known { wrap, enrolment_id, .. } => (Some(enrolment_id), Some(wrap)),
            State::Left => (None, None),
        };
        let enrolment = enrolment.map(|id| ("enrolment", id.as_slice().to_vec()));
        enrolment.into_iter().chain(wrap.map(|wrap| ("loc", wrap.loc_u.as_slice().to_vec()))).collect()
    }

    fn expires(&self) -> Option<Timestamp> {
        match &self.state {
            // A lapsed reservation of a new person leaves nothing; one of a returning person must leave the tag.
            State::Reserved { expires, returning: false, .. } => Some(*expires),
            _ => None,
        }
    }
}

/// The records of its store.
#[must_use]
pub fn schema(trust: TrustRoot) -> Schema<offices::Uniqueness> {
    Schema::new(trust).record::<Tag>().record::<Words<offices::Uniqueness>>()
}

/// The office.
pub struct Uniqueness {
    trust: Arc<Trust>,
    keys: Arc<dyn KeyStore>,
    store: Store<offices::Uniqueness>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Uniqueness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Uniqueness")
    }
}

impl Uniqueness {
    /// The office over its store; signs with the key `office`.
    #[must_use]
    pub fn new(
        trust: Arc<Trust>,
        keys: Arc<dyn KeyStore>,
        store: Store<offices::Uniqueness>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { trust, keys, store, clock }
    }

    async fn tag(&self, idx: &Octets<32>) -> Result<Option<Versioned<Tag>>, Refusal> {
        Ok(self.store.get::<Tag>(&Key::own(idx.as_slice())).await?)
    }

    async fn put(&self, step: &[u8], tag: Tag, found: Option<&Versioned<Tag>>) -> Result<(), Refusal> {
        let mut batch = Batch::new();
        batch.put(&tag, Expect::as_read(found));
        let version = found.map_or(0, |found| found.version.0);
        // The new state is part of the key: a tag that lapsed and was swept begins at version 0 again, for somebody else.
        let state = serde_json::to_vec(&tag.state).map_err(|error| crate::broken(&error))?;
        let parts = [step, tag.idx.as_slice(), &version.to_be_bytes(), &state];
        let key = IdempotencyKey::of(&parts, self.clock.now());
        self.store.commit(batch, key).await?;
        Ok(())
    }

    async fn reserve_once(&self, request: &Reserve) -> Result<TagState, Refusal> {
        let now = self.clock.now();
        let found = self.tag(&request.idx).await?;
        let (answer, returning) = match found.as_ref().map(|found| &found.record.state) {
            None => (TagState::New, false),
            Some(State::Left) => (TagState::Returning, true),
            Some(State::Known { wrap, enrolment_id, .. }) if *enrolment_id != request.enrolment_id => {
                return Ok(TagState::Known(wrap.sealed.clone()));
            }
            Some(State::Known { wrap, .. }) => return Ok(TagState::Mine(Some(wrap.sealed.clone()))),
            Some(State::Reserved { enrolment_id, wrap, .. }) if *enrolment_id == request.enrolment_id => {
                return Ok(TagState::Mine(wrap.as_ref().map(|wrap| wrap.sealed.clone())));
            }
            Some(State::Reserved { expires, .. }) if now < *expires => return Ok(TagState::Reserved),
            Some(State::Reserved { returning, .. }) => {
                (if *returning { TagState::Returning } else { TagState::New }, *returning)
            }
        };
        let state =
            State::Reserved { enrolment_id: request.enrolment_id, expires: request.expires, wrap: None, returning };
        self.put(b"reserve", Tag { idx: request.idx, state }, found.as_ref()).await?;
        Ok(answer)
    }

    async fn store_wrap_once(&self, request: &StoreWrap) -> Result<Bytes, Refusal> {
        let found = self.tag(&request.idx).await?.ok_or(Refusal::EnrolmentGone)?;
        match &found.record.state {
            State::Reserved { enrolment_id, expires, wrap, returning } if *enrolment_id == request.enrolment_id => {
                // The first wrap stays: a step that is taken twice must end at one root.
                if let Some(wrap) = wrap {
                    return Ok(wrap.sealed.clone());
                }
                let wrap = Wrap { sealed: request.wrap.clone(), loc_u: request.loc_u };
                let (enrolment_id, expires, returning) = (*enrolment_id, *expires, *returning);
                let state = State::Reserved { enrolment_id, expires, wrap: Some(wrap), returning };
                self.put(b"wrap", Tag { idx: request.idx, state }, Some(&found)).await?;
                Ok(request.wrap.clone())
            }
            State::Known { wrap, enrolment_id, .. } if *enrolment_id == request.enrolment_id => Ok(wrap.sealed.clone()),
            _ => Err(Refusal::EnrolmentGone),
        }
    }

    async fn recover_once(&self, request: &BeginRecovery) -> Result<Bytes, Refusal> {
        let now = self.clock.now();
        let found = self.tag(&request.idx).await?.ok_or(Refusal::NotEnrolled)?;
        let State::Known { wrap, enrolment_id, recovering } = &found.record.state else {
            return Err(Refusal::NotEnrolled);
        };
        let today = |last: &&Recovering| last.until.day() == now.day();
        let begun = recovering.as_ref().filter(today).map_or(0, |last| last.begun);
        match recovering {
            Some(last) if last.by == request.enrolment_id => {}
            Some(last) if now < last.until || begun >= RECOVERIES_A_DAY => return Err(Refusal::TooMany),
            _ => {
                let until = (now + RECOVERY_TURN + 59).minute();
                let recovering = Some(Recovering { by: request.enrolment_id, until, begun: begun + 1 });
                let state = State::Known { wrap: wrap.clone(), enrolment_id: *enrolment_id, recovering };
                self.put(b"recover", Tag { idx: request.idx, state }, Some(&found)).await?;
            }
        }
        Ok(wrap.sealed.clone())
    }

    async fn tags_of(&self, index: &'static str, value: &[u8]) -> Result<Vec<Versioned<Tag>>, Refusal> {
        Ok(self.store.scan::<Tag>(index, Select::Value(value.to_vec()), Paging::first(64)).await?.rows)
    }

    async fn confirm_once(&self, enrolment_id: EnrolmentId) -> Result<(), Refusal> {
        let rows = self.tags_of("enrolment", enrolment_id.as_slice()).await?;
        // The index names the row; the decision rests on the row itself, at its version.
        let found = rows.first().ok_or(Refusal::EnrolmentGone)?;
        match &found.record.state {
            State::Known { .. } => Ok(()),
            State::Reserved { wrap: Some(wrap), expires, .. } if self.clock.now() < *expires => {
                let state = State::Known { wrap: wrap.clone(), enrolment_id, recovering: None };
                self.put(b"confirm", Tag { idx: found.record.idx, state }, Some(found)).await
            }
            _ => Err(Refusal::EnrolmentGone),
        }
    }

    fn signed(&self, enrolment_id: EnrolmentId) -> Result<Signed<Confirmation>, Refusal> {
        crate::sign(self.keys.as_ref(), "uniqueness", &Confirmation { enrolment_id })
    }

    /// Forgets reservations that lapsed.
    ///
    /// # Errors
    /// The store's.
    pub async fn sweep(&self) -> Result<u32, Refusal> {
        Ok(self.store.sweep(self.clock.now(), 1000).await?)
    }
}

#[async_trait]
impl ports::Uniqueness for Uniqueness {
    async fn reserve(&self, request: &Signed<Reserve>) -> Result<TagState, Refusal> {
        let request = open_signed(&self.trust, "registrar", request)?;
        retrying(|| self.reserve_once(&request)).await
    }

    async fn begin_recovery(&self, request: &Signed<BeginRecovery>) -> Result<Bytes, Refusal> {
        let request = open_signed(&self.trust, "registrar", request)?;
        retrying(|| self.recover_once(&request)).await
    }

    async fn store_wrap(&self, request: &Signed<StoreWrap>) -> Result<Bytes, Refusal> {
        let request = open_signed(&self.trust, "registrar", request)?;
        retrying(|| self.store_wrap_once(&request)).await
    }

    async fn confirm(&self, request: &Signed<Confirm>) -> Result<Signed<Confirmation>, Refusal> {
        let request = open_signed(&self.trust, "registrar", request)?;
        retrying(|| self.confirm_once(request.enrolment_id)).await?;
        self.signed(request.enrolment_id)
    }

    async fn confirmation(&self, enrolment_id: &EnrolmentId) -> Result<Option<Signed<Confirmation>>, Refusal> {
        let rows = self.tags_of("enrolment", enrolment_id.as_slice()).await?;
        let known = rows.iter().any(|row| matches!(row.record.state, State::Known { .. }));
        known.then(|| self.signed(*enrolment_id)).transpose()
    }

    async fn forget(&self, word: &Signed<Forget>) -> Result<(), Refusal> {
        let heard = retrying(|| crate::forget::hear(&self.store, &self.trust, self.clock.as_ref(), word)).await?;
        let Some(loc_u) = heard else { return Ok(()) };
        for found in self.tags_of("loc", loc_u.as_slice()).await? {
            self.put(b"forget", Tag { idx: found.record.idx, state: State::Left }, Some(&found)).await?;
        }
        Ok(())
    }
}
