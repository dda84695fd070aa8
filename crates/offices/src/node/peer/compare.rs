//! All rows against both peers': at the start, every few minutes, and before a restored node signs anything. Equal parts show by a sum
//! of 16 bytes; only where sums differ are rows named.

use super::super::{Node, Row};
use super::serve::{is_pending, levelled};
use super::upkeep::lacks;
use crate::retrying;
use hufu_kernel::{Handle, NodeIndex, Octets, Refusal, framed};
use hufu_store::{Paging, Select, Versioned};
use hufu_wire::api::peer::{AskEntries, AskSums, Entry, RowName};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Rows summed at once for a peer; more are asked for part by part, so that every answer comes in time.
const AT_ONCE: usize = 50_000;

/// Rows that may go for having left, of all rows, without an operator: nobody has seen a tenth of all people leave at once.
const LEFT_AT_ONCE: usize = 16;

/// What a comparison came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Compared {
    /// Rows looked at.
    pub rows: usize,
    /// Rows that were behind and have caught up.
    pub fetched: usize,
    /// Whole rows that both peers gave.
    pub adopted: usize,
    /// Rows of people who left while this node was away.
    pub left: usize,
    /// Rows that could not be settled now: a peer is away, behind, or says something else.
    pub open: usize,
    /// Peers that answered to the end.
    pub peers: usize,
}

impl Compared {
    fn add(&mut self, against: &Against) {
        self.peers += 1;
        self.rows = self.rows.max(against.rows);
        self.fetched += against.fetched;
        self.adopted += against.adopted;
        self.open += against.open;
    }
}

/// One peer's answers to the end.
#[derive(Default)]
struct Against {
    /// The peer's word is enough, by order.
    alone: bool,
    rows: usize,
    fetched: usize,
    adopted: usize,
    open: usize,
    /// Rows in use here that the peer does not have.
    missing: Vec<Handle>,
    /// Rows that lack somebody's commitments.
    lacking: BTreeSet<Handle>,
}

impl Node {
    /// Compares every row with both peers, fetches what is newer there, and lets go of people who have left. Takes a restored node's
    /// mark away if nothing is left open with either peer, or with the one that counts by order.
    ///
    /// # Errors
    /// The store's; a peer that does not answer is counted, not an error.
    pub async fn compare(&self) -> Result<Compared, Refusal> {
        self.take_stock().await?;
        let follows = self.follows().await?;
        let done = match follows {
            Some(whose) => self.compare_alone(whose).await?,
            None => self.compare_with_both().await?,
        };
        self.beyond.standing.compared(done, follows);
        let asked = if follows.is_some() { 1 } else { 2 };
        if done.peers == asked && done.open == 0 && !self.has_compared().await? {
            tracing::info!(rows = done.rows, "all rows have been compared; this node signs again");
            self.settle().await?;
        }
        Ok(done)
    }

    async fn compare_with_both(&self) -> Result<Compared, Refusal> {
        let mut total = Compared::default();
        let mut missing = Vec::new();
        for peer in self.others() {
            match self.compare_with(peer, false).await {
                Ok(against) => {
                    total.add(&against);
                    missing.extend(against.missing);
                    for handle in &against.lacking {
                        self.heal(handle).await;
                    }
                }
                Err(refusal) => {
                    tracing::warn!(peer = peer.get(), code = refusal.code(), "rows could not be compared with a peer");
                }
            }
        }
        self.let_go(missing, &mut total).await?;
        Ok(total)
    }

    /// What the node has whose rows count is taken, and what it lacks has left.
    async fn compare_alone(&self, whose: NodeIndex) -> Result<Compared, Refusal> {
        let mut total = Compared::default();
        if !self.is_settled_at(whose).await {
            return Ok(total);
        }
        match self.compare_with(whose, true).await {
            Ok(against) => {
                total.add(&against);
                self.leave_all(against.missing, &mut total).await;
            }
            Err(refusal) => {
                tracing::warn!(peer = whose.get(), code = refusal.code(), "the rows that count could not be compared");
            }
        }
        Ok(total)
    }

    async fn compare_with(&self, peer: NodeIndex, alone: bool) -> Result<Against, Refusal> {
        let mut against = Against { alone, ..Against::default() };
        let mut ahead = vec![Vec::new()];
        // Rows are counted where they are looked at: all at once, or in the parts that are too many together.
        let mut in_parts = false;
        while let Some(prefix) = ahead.pop() {
            if prefix.len() == 2 {
                self.compare_leaf(peer, &prefix, &mut against).await?;
                continue;
            }
            let ask = AskSums { prefix: prefix.clone().into() };
            let theirs = self.peer(peer).sums(self.index, &ask).await?.sums;
            let mut looked = 0;
            let ours = self.sums_of(peer, &prefix, |row| {
                looked += 1;
                if lacks(row) {
                    against.lacking.insert(row.handle);
                }
            });
            let ours = ours.await?;
            match &ours {
                Some(_) if in_parts == (prefix.len() == 1) => against.rows += looked,
                None => in_parts = true,
                Some(_) => {}
            }
            let differ = |byte: &u8| match (&ours, &theirs) {
                (Some(ours), Some(theirs)) => ours.get(usize::from(*byte)) != theirs.get(usize::from(*byte)),
                _ => true,
            };
            ahead.extend((0..=u8::MAX).filter(differ).map(|byte| [prefix.as_slice(), &[byte]].concat()));
        }
        Ok(against)
    }

    /// The rows whose names to a peer begin so; there are few of them.
    pub(super) async fn leaf(&self, peer: NodeIndex, prefix: &[u8]) -> Result<Vec<Versioned<Row>>, Refusal> {
        let value = [&[peer.get()], prefix].concat();
        Ok(self.store.scan_up_to::<Row>("peer", Select::prefix(&value), AT_ONCE).await?)
    }

    /// A sum for each byte that may follow `prefix` in the names of rows in use; none if they are too many for one answer.
    pub(super) async fn own_sums(&self, peer: NodeIndex, prefix: &[u8]) -> Result<Option<Vec<Octets<16>>>, Refusal> {
        self.sums_of(peer, prefix, |_| {}).await
    }

    async fn sums_of(
        &self,
        peer: NodeIndex,
        prefix: &[u8],
        mut look: impl FnMut(&Row) + Send,
    ) -> Result<Option<Vec<Octets<16>>>, Refusal> {
        let mut sums = vec![0u128; 256];
        let mut seen = 0;
        let select = Select::prefix(&[&[peer.get()], prefix].concat());
        let mut paging = Paging::first(Paging::MOST);
        loop {
            let page = self.store.scan::<Row>("peer", select.clone(), paging).await?;
            for found in &page.rows {
                look(&found.record);
                let value = found.record.peers.iter().find(|value| value.0.first() == Some(&peer.get()));
                let Some(byte) = value.and_then(|value| value.0.get(1 + prefix.len())) else { continue };
                if !is_pending(&found.record) {
                    let sum = &mut sums[usize::from(*byte)];
                    *sum = sum.wrapping_add(weight(&found.record, self.is_stranded(&found.record)));
                }
            }
            seen += page.rows.len();
            // A part that cannot be parted further is answered whatever its size.
            if seen > AT_ONCE && prefix.is_empty() {
                return Ok(None);
            }
            match page.next {
                Some(cursor) => paging = Paging::after(cursor, Paging::MOST),
                None => break,
            }
        }
        Ok(Some(sums.into_iter().map(|sum| Octets(sum.to_be_bytes())).collect()))
    }

    pub(super) fn entry(&self, peer: NodeIndex, row: &Row) -> Result<Entry, Refusal> {
        let name = self.row_name(peer, &self.private(row)?.root_u)?;
        Ok(Entry { row: name, at: levelled(row), pending: is_pending(row), generation: row.generation })
    }

    async fn compare_leaf(&self, peer: NodeIndex, prefix: &[u8], out: &mut Against) -> Result<(), Refusal> {
        let leaf = Octets::try_from(prefix).map_err(|_| Refusal::Malformed)?;
        let theirs = self.peer(peer).entries(self.index, &AskEntries::Leaf(leaf)).await?;
        let mut ours: BTreeMap<RowName, Row> = BTreeMap::new();
        for found in self.leaf(peer, prefix).await? {
            ours.insert(self.row_name(peer, &self.private(&found.record)?.root_u)?, found.record);
        }
        let mut whole = Vec::new();
        for entry in theirs.rows.iter().filter(|entry| !entry.pending) {
            match ours.get(&entry.row) {
                Some(row) if !is_pending(row) => self.compare_row(peer, row, entry, &mut whole, out).await,
                _ => whole.push(entry.row),
            }
        }
        if !whole.is_empty() {
            let adopted =
                if out.alone { self.adopt_alone(peer, &whole).await? } else { self.adopt(peer, &whole).await? };
            out.adopted += adopted.taken;
            out.open += adopted.waiting;
        }
        let known = |name: &RowName| theirs.rows.iter().any(|entry| entry.row == *name);
        let gone = ours.iter().filter(|(name, row)| !is_pending(row) && !known(name)).map(|(_, row)| row.handle);
        if theirs.settled {
            out.missing.extend(gone);
        } else {
            // A peer that is catching up itself says nothing by what it lacks; it may not stay unknown for a restored node.
            out.open += gone.count();
        }
        Ok(())
    }

    /// A row that both have.
    async fn compare_row(
        &self,
        peer: NodeIndex,
        row: &Row,
        entry: &Entry,
        whole: &mut Vec<RowName>,
        out: &mut Against,
    ) {
        let ours = levelled(row);
        if entry.at.version > ours.version {
            match self.catch_up(peer, &row.handle).await {
                Ok(true) => out.fetched += 1,
                Ok(false) | Err(_) if out.alone => whole.push(entry.row),
                Ok(false) | Err(_) => out.open += 1,
            }
        } else if entry.at.version == ours.version && entry.at.head != ours.head {
            tracing::error!(peer = peer.get(), "a row has another history at a peer");
            // If both peers have that one, this node is the odd one out, and nobody was told otherwise by two.
            whole.push(entry.row);
        } else if entry.at.version == ours.version && self.is_stranded(row) {
            // From a backup of before a rotation whose old keys are destroyed.
            whole.push(entry.row);
        }
    }

    /// Lets go of rows that neither peer has: the person left while this node was away, or came back with a backup. What one of them lacks,
    /// settled, may have left too: the other may have it from a backup as this node does, and so a marked node does not sign by it.
    async fn let_go(&self, mut missing: Vec<Handle>, total: &mut Compared) -> Result<(), Refusal> {
        missing.sort_unstable();
        let left: Vec<Handle> = missing.windows(2).filter(|two| two[0] == two[1]).map(|two| two[0]).collect();
        if !self.has_compared().await? {
            total.open += missing.len() - 2 * left.len();
        }
        if left.len() > LEFT_AT_ONCE && left.len() * 10 > total.rows {
            tracing::error!(
                rows = left.len(),
                "both peers lack a large part of the rows. Nothing is deleted: a node that lost its store must be marked as restored"
            );
            total.open += left.len();
            return Ok(());
        }
        self.leave_all(left, total).await;
        Ok(())
    }

    async fn leave_all(&self, left: Vec<Handle>, total: &mut Compared) {
        for handle in left {
            let gone = retrying(|| async {
                let Ok(found) = self.row_at(&handle).await else { return Ok(()) };
                self.leave(&found, &self.private(&found.record)?).await
            });
            match gone.await {
                Ok(()) => total.left += 1,
                Err(refusal) => {
                    tracing::warn!(code = refusal.code(), "a row of somebody who left stays for now");
                    total.open += 1;
                }
            }
        }
    }
}

/// What a row adds to its sum: the same at every node whose row has the same history. One that this node cannot use is to be found.
fn weight(row: &Row, stranded: bool) -> u128 {
    let purpose: &[u8] = if stranded { b"hufu-v1-row-stranded" } else { b"hufu-v1-row-sum" };
    let digest = Sha256::digest(framed(&[purpose, &row.holder.version.to_be_bytes(), row.holder.head.as_slice()]));
    digest.iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}
