//! Leaving (flows 5): an office acts when two different nodes have said so, and remembers the first word until the second comes.

use crate::open_signed;
use hufu_kernel::{Clock, Key, Locator, Office, Record, Refusal, Timestamp};
use hufu_store::{Batch, Expect, IdempotencyKey, Store};
use hufu_wire::api::Signed;
use hufu_wire::api::holder::Forget;
use hufu_wire::api::trust::Trust;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::marker::PhantomData;

/// A month: a node that was down gives its word when it is back.
const WORDS_KEPT: i64 = 30 * 86_400;

/// The words received for one person.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Words<O> {
    /// Whose records.
    pub loc_u: Locator,
    /// Which nodes have said so.
    pub nodes: BTreeSet<String>,
    /// Swept after this.
    pub until: Timestamp,
    #[serde(skip)]
    office: PhantomData<fn() -> O>,
}

impl<O> Clone for Words<O> {
    fn clone(&self) -> Self {
        Self { loc_u: self.loc_u, nodes: self.nodes.clone(), until: self.until, office: PhantomData }
    }
}

impl<O: Office> Record for Words<O> {
    type Office = O;
    const KIND: &'static str = "forget";

    fn key(&self) -> Key {
        Key::own(self.loc_u.as_slice())
    }

    fn expires(&self) -> Option<Timestamp> {
        Some(self.until)
    }
}

/// Notes a node's word; the person's locator once two different nodes have spoken.
pub(crate) async fn hear<O: Office>(
    store: &Store<O>,
    trust: &Trust,
    clock: &dyn Clock,
    word: &Signed<Forget>,
) -> Result<Option<Locator>, Refusal> {
    if !word.office.starts_with("node-") {
        return Err(Refusal::OfficeRefused);
    }
    let loc_u = open_signed(trust, &word.office, word)?.loc_u;
    let now = clock.now();
    let found = store.get::<Words<O>>(&Key::own(loc_u.as_slice())).await?;
    let mut words = found.as_ref().map_or_else(
        || Words { loc_u, nodes: BTreeSet::new(), until: (now + WORDS_KEPT).day(), office: PhantomData },
        |found| found.record.clone(),
    );
    if words.nodes.insert(word.office.clone()) {
        let mut batch = Batch::new();
        batch.put(&words, Expect::as_read(found.as_ref()));
        let count = [u8::try_from(words.nodes.len()).unwrap_or(u8::MAX)];
        let key = IdempotencyKey::of(&[b"forget", loc_u.as_slice(), word.office.as_bytes(), &count], now);
        store.commit(batch, key).await?;
    }
    Ok((words.nodes.len() >= 2).then_some(loc_u))
}
