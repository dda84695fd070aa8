//! What a node knows of its own standing: one whose rows come from a backup, or from nowhere, signs nothing until it has compared all of
//! them with both peers (flows 6), and one that missed a rotation signs nothing until it has the new keys.

use super::super::{Node, Row};
use super::compare::Compared;
use crate::key_names::{self, CONFIRMED};
use hufu_kernel::{Key, NodeIndex, Octets, PENDING, Record, Refusal, Rng, Timestamp, framed, offices};
use hufu_store::{Batch, Expect, IdempotencyKey, Paging, Select, Store, StoreError, Versioned};
use hufu_wire::api::trust::node_name;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::OnceCell;

/// What a node's store says about itself: one record, made at the first start.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Standing {
    /// The rows come from a backup, or there are none: nothing is signed until they have been compared.
    pub restored: bool,
    /// Of the keys shared with the peers, when every row was last given its names under them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub named_under: Option<Octets<32>>,
    /// While `restored`: the node whose rows count alone, since two operators ordered it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub follows: Option<NodeIndex>,
    /// The generation of K_A that both peers went by when this node had none of its keys.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lacks_keys: Option<u32>,
    /// Both peers have other K_A of the newest generation than this node, or none of the one it went by.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub keys_alone: bool,
}

impl Standing {
    /// What is put into a store with rows from a backup.
    #[must_use]
    pub fn restored() -> Self {
        Self { restored: true, ..Self::default() }
    }

    fn place() -> Key {
        Key::own(b"standing")
    }
}

impl Record for Standing {
    type Office = offices::Node;
    const KIND: &'static str = "standing";

    fn key(&self) -> Key {
        Self::place()
    }
}

/// What this process knows of it.
#[derive(Default)]
pub(super) struct Known {
    looked: OnceCell<()>,
    compared: AtomicBool,
    /// 0: nobody has said that keys are lacking.
    lacks_keys: AtomicU32,
    keys_alone: AtomicBool,
    /// A peer has shown in this process that the newest keys here are its own too.
    keys_shared: AtomicBool,
    stocked: OnceCell<()>,
    /// What the last comparison came to, and whose rows alone it was about.
    last: Mutex<(Compared, Option<NodeIndex>)>,
}

impl Known {
    fn take(&self, standing: &Standing) {
        self.compared.store(!standing.restored, Ordering::Release);
        self.lacks_keys.store(standing.lacks_keys.unwrap_or_default(), Ordering::Release);
        self.keys_alone.store(standing.keys_alone, Ordering::Release);
    }

    pub(super) fn compared(&self, done: Compared, follows: Option<NodeIndex>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = (done, follows);
    }
}

/// What a store says of itself. One without a row that says nothing has lost both, unless it is new; then a comparison of nothing
/// with nothing is quickly done.
async fn read(store: &Store<offices::Node>) -> Result<(Option<Versioned<Standing>>, Standing), StoreError> {
    let found: Option<Versioned<Standing>> = store.get(&Standing::place()).await?;
    let standing = match &found {
        Some(found) => found.record.clone(),
        None => {
            let rows = store.scan::<Row>("root", Select::all(), Paging::first(1)).await?.rows;
            Standing { restored: rows.is_empty(), ..Standing::default() }
        }
    };
    Ok((found, standing))
}

/// Changes what a store says of itself; what it says then.
async fn rewrite(
    store: &Store<offices::Node>,
    now: Timestamp,
    rng: &dyn Rng,
    change: impl Fn(&mut Standing),
) -> Result<Standing, StoreError> {
    let (found, mut standing) = read(store).await?;
    change(&mut standing);
    if found.as_ref().is_some_and(|found| found.record == standing) {
        return Ok(standing);
    }
    let mut batch = Batch::new();
    batch.put(&standing, Expect::as_read(found.as_ref()));
    store.commit(batch, IdempotencyKey::random(rng, now)).await?;
    Ok(standing)
}

/// Marks a node's store after its rows were put back from a backup: it signs nothing until it has compared every row with both peers. For
/// who restores, while no process serves the store. A store without a row marks itself.
///
/// # Errors
/// The store's.
pub async fn mark_restored(store: &Store<offices::Node>, now: Timestamp, rng: &dyn Rng) -> Result<(), StoreError> {
    rewrite(store, now, rng, |standing| (standing.restored, standing.follows) = (true, None)).await.map(|_| ())
}

/// Takes the mark away without a comparison.
///
/// # Errors
/// The store's.
pub async fn unmark(store: &Store<offices::Node>, now: Timestamp, rng: &dyn Rng) -> Result<(), StoreError> {
    rewrite(store, now, rng, |standing| (standing.restored, standing.follows) = (false, None)).await.map(|_| ())
}

/// What became of an order about whose rows count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Settling {
    /// Nothing: this store waits for nobody.
    NotMarked,
    /// Its own rows count: it signs by them from its next start on.
    Own,
    /// It takes the named node's rows in place of its own from its next start on, and signs then.
    Follows,
}

/// Ends the waiting of a marked store where comparing cannot: two operators have said that the rows of node `whose` count, whatever the
/// third says. **Who is known to the others alone is treated as having left.** While no process serves the store.
///
/// # Errors
/// The store's.
pub async fn settle_by_order(
    store: &Store<offices::Node>,
    own: NodeIndex,
    whose: NodeIndex,
    now: Timestamp,
    rng: &dyn Rng,
) -> Result<Settling, StoreError> {
    if !read(store).await?.1.restored {
        return Ok(Settling::NotMarked);
    }
    if own == whose {
        return unmark(store, now, rng).await.map(|()| Settling::Own);
    }
    rewrite(store, now, rng, |standing| standing.follows = Some(whose)).await.map(|_| Settling::Follows)
}

impl Node {
    /// Refuses while the rows come from a backup that was not compared yet, and while keys are lacking that count elsewhere.
    ///
    /// # Errors
    /// [`Refusal::NodesDisagree`]: the fault is the service's, and other nodes serve meanwhile.
    pub(in super::super) async fn settled(&self) -> Result<(), Refusal> {
        if self.is_settled().await? { Ok(()) } else { Err(Refusal::NodesDisagree) }
    }

    pub(in super::super) async fn is_settled(&self) -> Result<bool, Refusal> {
        Ok(self.has_compared().await? && self.has_keys_that_count())
    }

    /// Whether the store is not marked.
    pub(super) async fn has_compared(&self) -> Result<bool, Refusal> {
        let known = &self.beyond.standing;
        known.looked.get_or_try_init(|| self.look_at_standing()).await?;
        Ok(known.compared.load(Ordering::Acquire))
    }

    /// Reads what the store says of itself; one that says nothing says it from now on. Again every few seconds, since a database can be
    /// put back under a process.
    pub(super) async fn look_at_standing(&self) -> Result<(), Refusal> {
        self.restand(|_| {}).await.map(|_| ())
    }

    async fn restand(&self, change: impl Fn(&mut Standing) + Sync) -> Result<Standing, Refusal> {
        let change = &change;
        let standing =
            crate::retrying(
                || async move { Ok(rewrite(&self.store, self.clock.now(), self.rng.as_ref(), change).await?) },
            );
        let standing = standing.await?;
        self.beyond.standing.take(&standing);
        Ok(standing)
    }

    /// The node whose rows count alone for this one, by order.
    pub(super) async fn follows(&self) -> Result<Option<NodeIndex>, Refusal> {
        let (_, standing) = read(&self.store).await?;
        Ok(standing.follows.filter(|whose| standing.restored && *whose != self.index))
    }

    /// All rows were compared.
    pub(super) async fn settle(&self) -> Result<(), Refusal> {
        self.restand(|standing| (standing.restored, standing.follows) = (false, None)).await.map(|_| ())
    }

    /// Both peers go by keys of a generation that this node has none of.
    pub(super) async fn lacks_keys_of(&self, generation: u32) -> Result<(), Refusal> {
        self.restand(|standing| standing.lacks_keys = Some(generation)).await.map(|_| ())
    }

    /// Whether this node has the keys of every generation that is known to count.
    pub(in super::super) fn has_keys_that_count(&self) -> bool {
        let generations = self.generations();
        let told = self.beyond.standing.lacks_keys.load(Ordering::Acquire);
        generations.newest() >= told && !generations.is_missed_at(self.clock.now()) && !self.is_alone()
    }

    /// Whether nobody else has this node's newest keys. A peer's word that contradicts them is nothing against the peer then.
    pub(super) fn is_alone(&self) -> bool {
        self.beyond.standing.keys_alone.load(Ordering::Acquire)
    }

    /// Whether a peer has shown that it has the newest keys, too.
    pub(in super::super) fn keys_are_shared(&self) -> bool {
        self.beyond.standing.keys_shared.load(Ordering::Acquire)
    }

    /// A peer has them: they are not this node's alone, whatever the third says. Once is enough until the keys are others.
    pub(super) async fn shares_keys(&self) -> Result<(), Refusal> {
        self.beyond.standing.keys_shared.store(true, Ordering::Release);
        if self.is_alone() {
            self.restand(|standing| standing.keys_alone = false).await?;
        }
        Ok(())
    }

    /// What a peer has shown was of other keys.
    pub(in super::super) fn has_others_keys(&self) {
        self.beyond.standing.keys_shared.store(false, Ordering::Release);
    }

    /// Both peers say that these keys are not theirs.
    pub(super) async fn has_keys_alone(&self) -> Result<(), Refusal> {
        self.has_others_keys();
        if self.is_alone() {
            return Ok(());
        }
        tracing::error!("neither of the other nodes has this node's newest keys: nothing is signed with them");
        self.restand(|standing| standing.keys_alone = true).await.map(|_| ())
    }

    /// What keeps this node from signing, and what it waits for, for people; empty when nothing does.
    pub async fn reasons(&self) -> Vec<String> {
        let mut reasons = match self.has_compared().await {
            Ok(true) => Vec::new(),
            Ok(false) => self.waits_for(),
            Err(refusal) => vec![format!("the store does not say whether the rows are settled: {}", refusal.code())],
        };
        if self.is_alone() {
            reasons.push(
                "neither of the other nodes has its newest K_A: of a rotation that ended here alone, or was taken back \
                 (docs/operate/rotate-keys.md)"
                    .to_owned(),
            );
        } else if !self.has_keys_that_count() {
            reasons.push(
                "new K_A count at the other nodes and this one lacks them: hufu keys finish, or an order to repair it \
                 (docs/operate/rotate-keys.md)"
                    .to_owned(),
            );
        }
        reasons
    }

    /// What its operators should know before it keeps this node from anything: a rotation of which it has not heard the end.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        // Before this office has confirmed it has ended nowhere.
        if self.keys.share(&format!("{PENDING}{CONFIRMED}")).is_err() {
            return Vec::new();
        }
        let next = self.generations().newest() + 1;
        let pending = self.keys.share(&format!("{PENDING}{}", key_names::since(next)));
        let since = pending.ok().and_then(|since| <[u8; 8]>::try_from(since.as_slice()).ok());
        let told = since.map(|since| {
            format!(
                "K_A of generation {next} are pending here; if the rotation ended at any node they count from {} on: hufu keys finish \
                 (docs/operate/rotate-keys.md)",
                Timestamp(i64::from_be_bytes(since))
            )
        });
        told.into_iter().collect()
    }

    fn waits_for(&self) -> Vec<String> {
        let (last, follows) = *self.beyond.standing.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut reasons = vec![
            "the rows come from a backup, or were lost: nothing is signed until all of them have been compared with both other nodes"
                .to_owned(),
        ];
        match follows {
            Some(whose) if last.peers == 0 => {
                let whose = node_name(whose);
                reasons.push(format!("by order the rows of {whose} count, which does not answer or is not settled itself"));
            }
            None if last.peers < 2 => {
                reasons.push(format!("{} of the two other nodes have answered to the end", last.peers));
            }
            _ if last.open > 0 => reasons.push(format!(
                "{} rows are open: the other nodes do not both say the same of them, or neither is settled. If both answer and this stays, two \
                 operators decide whose rows count: hufu node settle (docs/operate/replace-a-node.md)",
                last.open
            )),
            _ => {}
        }
        reasons
    }

    /// Gives rows their names between this node and its peers: those of before there were names, and all of them after a new key.
    pub(super) async fn take_stock(&self) -> Result<(), Refusal> {
        self.beyond.standing.stocked.get_or_try_init(|| self.name_rows()).await?;
        Ok(())
    }

    async fn name_rows(&self) -> Result<(), Refusal> {
        let found: Option<Versioned<Standing>> = self.store.get(&Standing::place()).await?;
        let under = self.peer_keys()?;
        if found.is_some_and(|found| found.record.named_under == Some(under)) {
            return Ok(());
        }
        let mut paging = Paging::first(Paging::MOST);
        loop {
            let page = self.store.scan::<Row>("root", Select::all(), paging).await?;
            for found in page.rows {
                let handle = found.record.handle;
                crate::retrying(|| self.name_row(&handle)).await?;
            }
            match page.next {
                Some(cursor) => paging = Paging::after(cursor, Paging::MOST),
                None => break,
            }
        }
        self.restand(|standing| standing.named_under = Some(under)).await.map(|_| ())
    }

    async fn name_row(&self, handle: &hufu_kernel::Handle) -> Result<(), Refusal> {
        // One that has left meanwhile needs no name.
        let Ok(found) = self.row_at(handle).await else { return Ok(()) };
        let peers = self.peer_values(&self.private(&found.record)?.root_u)?;
        if found.record.peers != peers {
            self.put(&Row { peers, ..found.record.clone() }, Some(&found)).await?;
        }
        Ok(())
    }

    /// Tells one pair of keys from another, and nothing about them.
    fn peer_keys(&self) -> Result<Octets<32>, Refusal> {
        let mut codes = Vec::new();
        for other in self.others() {
            let code = self.keys.hmac(&self.peer_key(other)?, b"hufu-v1-named-under");
            codes.push(code.map_err(|error| crate::broken(&error))?);
        }
        let parts: Vec<&[u8]> = codes.iter().map(Octets::as_slice).collect();
        Ok(Octets(Sha256::digest(framed(&parts)).into()))
    }
}
