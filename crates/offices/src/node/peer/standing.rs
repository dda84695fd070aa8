//! A node that came back from a backup signs nothing until it has compared all rows with both peers (flows 6).

use super::super::{Node, Row};
use hufu_kernel::{Key, Octets, Record, Refusal, Rng, Timestamp, framed, offices};
use hufu_store::{Batch, Expect, IdempotencyKey, Paging, Select, Store, StoreError, Versioned};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::OnceCell;

/// What a node's store says about itself: one record, made at the first start.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Standing {
    /// The rows come from a backup, or are none because they were lost: nothing is signed until they have been compared.
    pub restored: bool,
    /// Of the keys shared with the peers, when every row was last given its names under them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub named_under: Option<Octets<32>>,
}

impl Standing {
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
    /// Once settled, always: only somebody who restores a backup marks a store, and no process runs then.
    settled: AtomicBool,
    stocked: OnceCell<()>,
}

async fn rewrite(
    store: &Store<offices::Node>,
    now: Timestamp,
    rng: &dyn Rng,
    change: impl Fn(&mut Standing),
) -> Result<(), StoreError> {
    let found: Option<Versioned<Standing>> = store.get(&Standing::place()).await?;
    let mut standing = found.as_ref().map(|found| found.record.clone()).unwrap_or_default();
    change(&mut standing);
    if found.as_ref().is_some_and(|found| found.record == standing) {
        return Ok(());
    }
    let mut batch = Batch::new();
    batch.put(&standing, Expect::as_read(found.as_ref()));
    store.commit(batch, IdempotencyKey::random(rng, now)).await?;
    Ok(())
}

/// Marks a node's store after its rows were put back from a backup, or when it is made anew with none: it signs nothing until it has
/// compared every row with both peers. For who restores, while no process serves the store.
///
/// # Errors
/// The store's.
pub async fn mark_restored(store: &Store<offices::Node>, now: Timestamp, rng: &dyn Rng) -> Result<(), StoreError> {
    rewrite(store, now, rng, |standing| standing.restored = true).await
}

/// Takes the mark away without a comparison. **For a deployment whose three nodes were all restored, and nobody is left to compare with**:
/// two operators decide that what these rows say is to be signed.
///
/// # Errors
/// The store's.
pub async fn unmark(store: &Store<offices::Node>, now: Timestamp, rng: &dyn Rng) -> Result<(), StoreError> {
    rewrite(store, now, rng, |standing| standing.restored = false).await
}

impl Node {
    /// Refuses while the rows come from a backup that was not compared yet.
    ///
    /// # Errors
    /// [`Refusal::NodesDisagree`]: the fault is the service's, and other nodes serve meanwhile.
    pub(in super::super) async fn settled(&self) -> Result<(), Refusal> {
        if self.is_settled().await? { Ok(()) } else { Err(Refusal::NodesDisagree) }
    }

    pub(super) async fn is_settled(&self) -> Result<bool, Refusal> {
        let known = &self.beyond.standing.settled;
        if known.load(Ordering::Acquire) {
            return Ok(true);
        }
        let found: Option<Versioned<Standing>> = self.store.get(&Standing::place()).await?;
        let settled = !found.is_some_and(|found| found.record.restored);
        if settled {
            known.store(true, Ordering::Release);
        }
        Ok(settled)
    }

    /// All rows were compared with both peers.
    pub(super) async fn settle(&self) -> Result<(), Refusal> {
        unmark(&self.store, self.clock.now(), self.rng.as_ref()).await?;
        self.is_settled().await.map(|_| ())
    }

    /// What keeps this node from signing, for people; empty when nothing does.
    pub async fn reasons(&self) -> Vec<String> {
        match self.is_settled().await {
            Ok(true) => self.lacks_keys().into_iter().collect(),
            Ok(false) => vec![
                "the rows come from a backup: nothing is signed until all of them have been compared with both other nodes"
                    .to_owned(),
            ],
            Err(refusal) => vec![format!("the store does not say whether the rows are settled: {}", refusal.code())],
        }
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
        rewrite(&self.store, self.clock.now(), self.rng.as_ref(), |standing| standing.named_under = Some(under))
            .await?;
        Ok(())
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
