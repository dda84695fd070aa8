//! Three nodes stay equal (flows 6; docs/decisions/0018): votes before a change, statements fetched by who missed them, whole rows for who
//! lost them, and a comparison of everything for who came back from a backup.

mod adopt;
mod alone;
mod beside;
mod compare;
mod fetch;
mod propose;
mod serve;
mod standing;
mod upkeep;

pub use beside::Beside;
pub use compare::Compared;
pub use standing::{Settling, Standing, mark_restored, settle_by_order, unmark};

use super::{Node, Row};
use crate::ports::NodePeer;
use hufu_kernel::{Bytes, Handle, Key, NodeIndex, Octets, Pair, Refusal, Subset, framed};
use hufu_store::Versioned;
use hufu_wire::api::peer::RowName;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64};

/// What a node keeps about its peers in memory.
pub(super) struct Beyond {
    peers: [Arc<dyn NodePeer>; 2],
    /// The peer to ask first: one that did not answer is asked last.
    first: AtomicU8,
    /// What was not taken from node 1, 2, 3.
    refused: [AtomicU64; 3],
    standing: standing::Known,
    open: upkeep::Open,
}

impl Beyond {
    pub(super) fn new(peers: [Arc<dyn NodePeer>; 2]) -> Self {
        Self {
            peers,
            first: AtomicU8::default(),
            refused: Default::default(),
            standing: standing::Known::default(),
            open: upkeep::Open::default(),
        }
    }
}

impl Node {
    /// The other two, in order.
    pub(super) fn others(&self) -> [NodeIndex; 2] {
        let [a, b, c] = NodeIndex::ALL;
        match self.index.slot() {
            0 => [b, c],
            1 => [a, c],
            _ => [a, b],
        }
    }

    fn peer(&self, index: NodeIndex) -> &dyn NodePeer {
        let [first, second] = &self.beyond.peers;
        if self.others()[0] == index { first.as_ref() } else { second.as_ref() }
    }

    /// The third, of this node and `other`.
    fn third(&self, other: NodeIndex) -> NodeIndex {
        let [a, b] = self.others();
        if a == other { b } else { a }
    }

    /// The key that this node shares with `other`.
    pub(super) fn peer_key(&self, other: NodeIndex) -> Result<String, Refusal> {
        let pair = Pair::new(self.index, other).ok_or(Refusal::Malformed)?;
        Ok(format!("peer-{}", shared(pair)?.name()))
    }

    /// The row's name between this node and `other`.
    fn row_name(&self, other: NodeIndex, root_u: &Octets<32>) -> Result<RowName, Refusal> {
        let message = framed(&[b"row", root_u.as_slice()]);
        self.keys.hmac(&self.peer_key(other)?, &message).map_err(|error| crate::broken(&error))
    }

    /// What finds a row by that name. Not the name itself, which would be the same on two nodes' disks; its first two bytes let a
    /// part of the rows be compared without reading the others.
    fn peer_value(&self, other: NodeIndex, name: &RowName) -> Result<Bytes, Refusal> {
        let code = self.index_of("peer", name.as_slice())?;
        Ok(Bytes([&[other.get()], &name.as_slice()[..2], code.as_slice()].concat()))
    }

    pub(super) fn peer_values(&self, root_u: &Octets<32>) -> Result<Vec<Bytes>, Refusal> {
        self.others().into_iter().map(|other| self.peer_value(other, &self.row_name(other, root_u)?)).collect()
    }

    async fn row_by_peer(&self, from: NodeIndex, name: &RowName) -> Result<Option<Versioned<Row>>, Refusal> {
        self.take_stock().await?;
        let value = self.peer_value(from, name)?;
        Ok(self.store.find::<Row>("peer", &value.0).await?)
    }

    pub(super) async fn row_at(&self, handle: &Handle) -> Result<Versioned<Row>, Refusal> {
        self.store.get::<Row>(&Key::own(handle.as_slice())).await?.ok_or(Refusal::UnknownDevice)
    }

    /// Something of a peer does not check out: nothing is built on it, and the operator hears which peer.
    fn refuse(&self, peer: NodeIndex, what: &'static str) -> Refusal {
        tracing::error!(peer = peer.get(), what, "a peer's word does not check out");
        self.beyond.refused[peer.slot()].fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Refusal::SignatureRefused
    }

    /// How often something of node 1, 2, 3 was not taken, since the start.
    #[must_use]
    pub fn refused_from_peers(&self) -> [u64; 3] {
        self.beyond.refused.each_ref().map(|count| count.load(std::sync::atomic::Ordering::Relaxed))
    }
}

/// The subset whose keys a pair shares.
fn shared(pair: Pair) -> Result<Subset, Refusal> {
    Subset::ALL.into_iter().find(|subset| subset.holders() == pair.into()).ok_or(Refusal::Malformed)
}
